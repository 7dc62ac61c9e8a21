//! The bodies of `/invocations`: four shapes of JSON, a list alone, and CSV.

use crate::{
    dataset::{ColumnKind, plain_csv::PlainCsv},
    http::{
        error::{Problem, Slug},
        json,
        predict::{
            Options,
            request::{CellSeed, Data, Reader},
        },
        printable,
        protocols::question::{data, essence, inputs, instances, options},
    },
    model::{Cell, Input},
};
use axum::http::{HeaderMap, header};
use serde::{Deserialize, Deserializer, de::DeserializeSeed};
use serde_json::{Map, Value};
use std::{borrow::Cow, collections::HashSet};

/// What the body is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Format {
    Json,
    Csv,
}

impl Format {
    pub(super) fn of(headers: &HeaderMap) -> Result<Self, Problem> {
        let refuse = |detail: String| Err(Problem::new(Slug::UnsupportedMediaType, detail).closing());
        let value =
            headers.get(header::CONTENT_TYPE).and_then(|value| value.to_str().ok()).unwrap_or_default();
        let charset = value.split(';').skip(1).find_map(|parameter| {
            let (name, value) = parameter.split_once('=')?;
            name.trim()
                .eq_ignore_ascii_case("charset")
                .then(|| value.trim().trim_matches('"').to_ascii_lowercase())
        });
        if charset.as_deref().is_some_and(|charset| !["utf-8", "utf8"].contains(&charset)) {
            return refuse("the body is not in UTF-8; this route reads only that".to_owned());
        }
        match &*essence(headers, &header::CONTENT_TYPE) {
            "application/json" => Ok(Self::Json),
            "text/csv" | "application/csv" => Ok(Self::Csv),
            other => refuse(format!(
                "the body is {}; this route reads application/json and text/csv",
                if other.is_empty() { "of no stated type".into() } else { printable(other) }
            )),
        }
    }
}

/// The body: exactly one of the four fields, and the parameters.
#[derive(Debug, Default, Deserialize)]
#[serde(deny_unknown_fields)]
struct Invocation<'a> {
    #[serde(borrow, default)]
    dataframe_split: Option<Split<'a>>,
    #[serde(borrow, default, deserialize_with = "dataframe_records")]
    dataframe_records: Option<Data<'a>>,
    #[serde(borrow, default, deserialize_with = "instances")]
    instances: Option<Data<'a>>,
    #[serde(borrow, default, deserialize_with = "inputs")]
    inputs: Option<Data<'a>>,
    #[serde(default)]
    params: Option<Map<String, Value>>,
}

fn dataframe_records<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Option<Data<'de>>, D::Error> {
    data(deserializer, "dataframe_records")
}

/// What `df.to_dict(orient="split")` gives. The index names rows, and is not needed for an answer.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct Split<'a> {
    #[serde(borrow)]
    columns: Vec<Cow<'a, str>>,
    #[serde(default)]
    #[expect(dead_code, reason = "clients send it; the answers come in the order of the rows")]
    index: Option<Vec<serde::de::IgnoredAny>>,
    data: SplitRows<'a>,
}

#[derive(Debug)]
struct SplitRows<'a>(Vec<Vec<Cell<'a>>>);

impl<'de: 'a, 'a> Deserialize<'de> for SplitRows<'a> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct CellOf<'a>(Cell<'a>);
        impl<'de: 'a, 'a> Deserialize<'de> for CellOf<'a> {
            fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
                let reader = Reader { field: "dataframe_split", flatten: true };
                CellSeed(reader).deserialize(deserializer).map(Self)
            }
        }
        let rows = Vec::<Vec<CellOf<'a>>>::deserialize(deserializer)?;
        Ok(Self(rows.into_iter().map(|row| row.into_iter().map(|cell| cell.0).collect()).collect()))
    }
}

impl<'a> Split<'a> {
    fn into_columns(self) -> Result<Data<'a>, Problem> {
        let (names, rows) = (self.columns, self.data.0);
        let mut seen = HashSet::new();
        if let Some((i, name)) = names.iter().enumerate().find(|(_, name)| !seen.insert((*name).clone())) {
            return Err(Problem::invalid(
                &format!("/dataframe_split/columns/{i}"),
                format!("the column \"{}\" is there twice", printable(name)),
            ));
        }
        if let Some((row, cells)) = rows.iter().enumerate().find(|(_, cells)| cells.len() != names.len()) {
            return Err(Problem::invalid(
                &format!("/dataframe_split/data/{row}"),
                format!("has {} values; there are {} columns", cells.len(), names.len()),
            ));
        }
        let mut columns: Vec<(Cow<'a, str>, Vec<Cell<'a>>)> =
            names.into_iter().map(|name| (name, Vec::with_capacity(rows.len()))).collect();
        for row in rows {
            for (column, cell) in columns.iter_mut().zip(row) {
                column.1.push(cell);
            }
        }
        Ok(Data::Columns(columns))
    }
}

/// The data of a JSON body with the name of their field, and the options.
pub(super) fn read_json(bytes: &[u8]) -> Result<((Data<'_>, &'static str), Options), Problem> {
    if bytes.trim_ascii_start().first() == Some(&b'[') {
        let Bare(data) = json::from_slice(bytes)?;
        if matches!(data, Data::Matrix(_)) {
            return Err(Problem::new(
                Slug::InvalidParameter,
                "a list alone must hold objects, one per row; send a matrix as {\"inputs\": [[..]]}",
            ));
        }
        return Ok(((data, "instances"), Options::default()));
    }
    let invocation: Invocation = json::from_slice(bytes)?;
    let options = options(&invocation.params.unwrap_or_default(), true)?;
    let split = invocation.dataframe_split.map(Split::into_columns).transpose()?;
    let mut given: Vec<(Data, &'static str)> = [
        (split, "dataframe_split"),
        (invocation.dataframe_records, "dataframe_records"),
        (invocation.instances, "instances"),
        (invocation.inputs, "inputs"),
    ]
    .into_iter()
    .filter_map(|(data, name)| Some((data?, name)))
    .collect();
    match (given.pop(), given.is_empty()) {
        (Some(question), true) => Ok((question, options)),
        (found, _) => Err(Problem::new(
            Slug::InvalidParameter,
            format!(
                "the body must hold exactly one of the input fields dataframe_split, dataframe_records, instances and \
                 inputs; it holds {}",
                found.map_or(0, |_| given.len() + 1)
            ),
        )),
    }
}

/// A list without an object around it.
struct Bare<'a>(Data<'a>);

impl<'de: 'a, 'a> Deserialize<'de> for Bare<'a> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        Reader { field: "instances", flatten: true }.deserialize(deserializer).map(Self)
    }
}

/// Refuses a header that lacks inputs, also where there are no rows.
pub(super) fn require_columns(table: &PlainCsv, inputs: &[Input]) -> Result<(), Problem> {
    let missing: Vec<&str> = inputs
        .iter()
        .map(|input| input.name.as_str())
        .filter(|name| !table.names.iter().any(|own| own == name))
        .collect();
    if missing.is_empty() {
        return Ok(());
    }
    let detail =
        format!("the header lacks {}; the first line holds the names of the columns", missing.join(", "));
    Err(Problem::new(Slug::MissingField, detail))
}

/// A table of texts as columns of cells, as `pandas.read_csv` would take them: numbers have a decimal point, and the
/// texts that pandas takes for missing are missing. A number in another spelling goes on as a text, so that the model
/// reads it as its training file was read. So the same rows mean the same as CSV and as JSON.
pub(super) fn cells_of<'a>(table: &'a PlainCsv, inputs: &[Input]) -> Data<'a> {
    let columns = table.names.iter().zip(&table.columns).map(|(name, texts)| {
        let input = inputs.iter().find(|input| input.name == *name);
        (Cow::Borrowed(name.as_str()), texts.iter().map(|text| cell_of(text, input)).collect())
    });
    Data::Columns(columns.collect())
}

fn cell_of<'a>(text: &'a str, input: Option<&Input>) -> Cell<'a> {
    /// `pandas._libs.parsers.STR_NA_VALUES`
    const MISSING: [&str; 18] = [
        "", "#N/A", "#N/A N/A", "#NA", "-1.#IND", "-1.#QNAN", "-NaN", "-nan", "1.#IND", "1.#QNAN", "<NA>",
        "N/A", "NA", "NULL", "NaN", "None", "n/a", "nan",
    ];
    let Some(input) = input else { return Cell::Text(text.into()) };
    let trimmed = text.trim();
    if input.levels.iter().any(|level| level == trimmed) {
        return Cell::Text(text.into());
    }
    if MISSING.contains(&trimmed) || trimmed == "null" {
        return Cell::Missing;
    }
    let is_plain = trimmed.bytes().all(|byte| matches!(byte, b'0'..=b'9' | b'.' | b'-' | b'+' | b'e' | b'E'));
    match trimmed.parse() {
        Ok(number) if is_plain && input.kind == ColumnKind::Number => Cell::Number(number),
        _ => Cell::Text(text.into()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use axum::http::HeaderValue;

    #[test]
    fn exactly_one_field_is_read() {
        let read = |text: &str| read_json(text.as_bytes()).map(|(data, _)| format!("{data:?}"));
        let split = "{\"dataframe_split\": {\"columns\": [\"a\", \"b\"], \"index\": [7, \"x\"], \"data\": [[1, \"x\"], [null, [2]]]}}";
        assert_eq!(
            read(split).unwrap(),
            "(Columns([(\"a\", [Number(1.0), Missing]), (\"b\", [Text(\"x\"), Number(2.0)])]), \"dataframe_split\")"
        );
        assert_eq!(read("[{\"a\": 1}]").unwrap(), "(Rows([[(\"a\", Number(1.0))]]), \"instances\")");
        assert_eq!(read("{\"inputs\": [[1]]}").unwrap(), "(Matrix([[Number(1.0)]]), \"inputs\")");
        let check = |text: &str, part: &str| {
            let problem = read(text).unwrap_err();
            assert!(problem.detail().contains(part), "{text}: {problem}");
        };
        check("{}", "exactly one of the input fields");
        check("{\"inputs\": {}, \"instances\": []}", "it holds 2");
        check("{\"columns\": [\"a\"], \"data\": [[1]]}", "columns");
        check("[[1]]", "must hold objects");
        check("{\"dataframe_split\": {\"columns\": [\"a\", \"a\"], \"data\": []}}", "twice");
        check("{\"dataframe_split\": {\"columns\": [\"a\"], \"data\": [[1, 2]]}}", "has 2 values");
        check("{\"instances\": [], \"params\": {\"x\": 1}}", "not known");
        check("{\"instances\": 7}", "`instances`");
    }

    #[test]
    fn only_json_and_csv_in_utf_8_are_read() {
        let format = |text: &'static str| {
            let headers = HeaderMap::from_iter([(header::CONTENT_TYPE, HeaderValue::from_static(text))]);
            Format::of(&headers).ok()
        };
        assert_eq!(format("application/json; charset=UTF-8"), Some(Format::Json));
        assert_eq!(format("text/csv"), Some(Format::Csv));
        assert_eq!(format("application/csv"), Some(Format::Csv));
        assert_eq!(format("application/json; charset=latin-1"), None);
        assert_eq!(format("text/plain"), None);
        assert!(Format::of(&HeaderMap::new()).is_err());
    }
}
