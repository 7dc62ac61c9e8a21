//! `MLflow`'s scoring protocol, which is also `SageMaker`'s: `/invocations`, `/ping`, `/health`.
//!
//! A server of this protocol has one model. Which of ours it is, the setting `TAQICFD_SERVED_MODEL` says.

use super::{ByRow, data, essence, nan_as_null, options, read_any_body, refuse};
use crate::{
    app::App,
    dataset::{ColumnKind, plain_csv::PlainCsv},
    http::{
        error::{Problem, Slug},
        extract::Json,
        health, json,
        predict::{
            self, Options, Question,
            answer::Extras,
            request::{CellSeed, Data, Reader},
        },
    },
    model::{Cell, Input},
    prediction::Loaded,
    storage::models,
};
use axum::{
    extract::{Request, State},
    http::{HeaderMap, HeaderValue, header},
    response::{IntoResponse, Response},
};
use serde::{Deserialize, Deserializer, Serialize, de::DeserializeSeed};
use serde_json::{Map, Value};
use std::{borrow::Cow, sync::Arc};
use utoipa::ToSchema;
use utoipa_axum::{router::OpenApiRouter, routes};

/// The routes of this file.
pub fn routes() -> OpenApiRouter<App> {
    OpenApiRouter::new()
        .routes(routes!(invoke_served_model))
        .routes(routes!(ping_served_model))
        .routes(routes!(show_served_health))
}

/// `MLflow`'s name for an error with this status.
pub fn error_code(status: u16) -> &'static str {
    match status {
        404 => "RESOURCE_DOES_NOT_EXIST",
        409 => "RESOURCE_CONFLICT",
        429 => "REQUEST_LIMIT_EXCEEDED",
        501 => "NOT_IMPLEMENTED",
        503 | 504 => "TEMPORARILY_UNAVAILABLE",
        500.. => "INTERNAL_ERROR",
        _ => "BAD_REQUEST",
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

fn instances<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Option<Data<'de>>, D::Error> {
    data(deserializer, "instances")
}

fn inputs<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Option<Data<'de>>, D::Error> {
    data(deserializer, "inputs")
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
        if let Some((i, name)) = names.iter().enumerate().find(|(i, name)| names[..*i].contains(name)) {
            return Err(Problem::invalid(
                &format!("/dataframe_split/columns/{i}"),
                format!("the column \"{}\" is there twice", crate::http::printable(name)),
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

/// Predict with the served model (`MLflow`)
///
/// The body is one of `dataframe_split`, `dataframe_records`, `instances` and `inputs`, and optionally `params` with
/// `confidence` (or `interval`), `unknown_category`, `strict` and `explain`; or a CSV with a header, as
/// `df.to_csv(index=False)` writes it. The answers are `predictions`: one value per row for one target, one object per
/// row for several. `TAQICFD_SERVED_MODEL` says which model answers; without it the only model name that exists does.
#[utoipa::path(post, path = "/invocations", tag = "mlflow",
    request_body(content(
        (InvocationBody = "application/json"),
        (String = "text/csv", example = "re,alpha\n100000,2\n200000,4\n"),
        (String = "application/csv")
    )),
    responses((status = 200, body = InvocationAnswer)))]
pub async fn invoke_served_model(State(app): State<App>, request: Request) -> Result<Response, Problem> {
    let format = Format::of(request.headers())?;
    let bytes = read_any_body(&app, request).await?;
    match format {
        Format::Json => {
            let text = nan_as_null(&bytes);
            let (question, options) = read_json(&text)?;
            let loaded = served(&app).await?;
            let (data, field) = question;
            respond(&app, &loaded, Question { data, field, options }).await
        }
        Format::Csv => {
            let table = PlainCsv::read(&bytes)?;
            let loaded = served(&app).await?;
            require_columns(&table, loaded.model.inputs())?;
            let data = cells_of(&table, loaded.model.inputs());
            respond(&app, &loaded, Question { data, field: "csv", options: Options::default() }).await
        }
    }
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Format {
    Json,
    Csv,
}

impl Format {
    fn of(headers: &HeaderMap) -> Result<Self, Problem> {
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
                if other.is_empty() { "of no stated type".into() } else { crate::http::printable(other) }
            )),
        }
    }
}

/// The data of a JSON body with the name of their field, and the options.
fn read_json(bytes: &[u8]) -> Result<((Data<'_>, &'static str), Options), Problem> {
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
fn require_columns(table: &PlainCsv, inputs: &[Input]) -> Result<(), Problem> {
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
fn cells_of<'a>(table: &'a PlainCsv, inputs: &[Input]) -> Data<'a> {
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

/// The model that answers here.
async fn served(app: &App) -> Result<Arc<Loaded>, Problem> {
    let db = app.db()?;
    if let Some(name) = &app.settings().prediction.served_model {
        return predict::find_named(app, db, name).await.map_err(|problem| match problem.slug() {
            Slug::ModelNotFound => Problem::new(
                Slug::ModelNotFound,
                format!(
                    "TAQICFD_SERVED_MODEL is \"{}\", and there is no such model",
                    crate::http::printable(name)
                ),
            ),
            _ => problem,
        });
    }
    let names = models::names(db, 6).await?;
    match names.as_slice() {
        [name] => predict::find_named(app, db, name).await,
        [] => Err(Problem::new(Slug::ModelNotFound, "there is no model yet; train one with POST /train")),
        several => {
            let shown: Vec<String> =
                several.iter().take(5).map(|name| format!("\"{}\"", crate::http::printable(name))).collect();
            let more = if several.len() > 5 { ", ..." } else { "" };
            Err(Problem::new(
                Slug::ModelNotFound,
                format!(
                    "there are several models ({}{more}), and nothing says which of them is served here: start the \
                     server with TAQICFD_SERVED_MODEL=NAME, NAME/VERSION or NAME@ALIAS, or ask POST /predict or \
                     /v2/models/NAME/infer",
                    shown.join(", ")
                ),
            ))
        }
    }
}

#[derive(Serialize)]
struct Answer<'a> {
    predictions: ByRow<'a>,
    model_name: &'a str,
    model_version: String,
    #[serde(flatten)]
    extras: Extras<'a>,
}

async fn respond(app: &App, loaded: &Arc<Loaded>, question: Question<'_>) -> Result<Response, Problem> {
    let answered = predict::ask(app, loaded, question, refuse).await?;
    let answer = Answer {
        predictions: ByRow(&answered.predictions.targets, answered.n_rows),
        model_name: &loaded.record.model_name,
        model_version: loaded.record.version.to_string(),
        extras: answered.extras(loaded.model.inputs()),
    };
    Ok(Json(answer).into_response())
}

/// Whether the served model can answer (`SageMaker`, `MLflow`)
#[utoipa::path(get, path = "/ping", tag = "mlflow",
    responses((status = 200, body = String, content_type = "text/plain", description = "It can")))]
pub async fn ping_served_model(State(app): State<App>) -> Result<Response, Problem> {
    health::refuse_when_stopping(&app)?;
    served(&app).await?;
    Ok(([(header::CONTENT_TYPE, HeaderValue::from_static("text/plain; charset=utf-8"))], "\n")
        .into_response())
}

/// Whether the served model can answer (`MLflow`)
#[utoipa::path(get, path = "/health", tag = "mlflow",
    responses((status = 200, body = String, content_type = "text/plain", description = "It can")))]
pub async fn show_served_health(app: State<App>) -> Result<Response, Problem> {
    ping_served_model(app).await
}

/// What to predict for: exactly one of the four fields.
#[derive(Debug, Serialize, ToSchema)]
#[serde(deny_unknown_fields)]
#[schema(example = json!({"dataframe_split": {"columns": ["re", "alpha"], "data": [[1e5, 2.0], [2e5, 4.0]]}}))]
pub struct InvocationBody {
    /// As `df.to_dict(orient="split")` gives it.
    #[schema(nullable = false)]
    pub dataframe_split: Option<SplitBody>,
    /// One object per row, as `df.to_dict(orient="records")` gives them.
    #[schema(nullable = false, value_type = Option<Vec<Object>>)]
    pub dataframe_records: Option<Vec<Value>>,
    /// One object per row.
    #[schema(nullable = false, value_type = Option<Vec<Object>>)]
    pub instances: Option<Vec<Value>>,
    /// One list per column, or a matrix in the order of the model's inputs.
    #[schema(nullable = false)]
    pub inputs: Option<Value>,
    /// `confidence` (or `interval`), `unknown_category`, `strict`, `explain`.
    #[schema(nullable = false, value_type = Option<Object>)]
    pub params: Option<Value>,
}

/// A data frame in three parts.
#[derive(Debug, Serialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct SplitBody {
    /// The names of the columns.
    pub columns: Vec<String>,
    /// The names of the rows; they are not used.
    #[schema(nullable = false)]
    pub index: Option<Vec<Value>>,
    /// One list per row.
    pub data: Vec<Vec<Value>>,
}

/// Predictions, one per row.
#[derive(Debug, Serialize, ToSchema)]
pub struct InvocationAnswer {
    /// The value of each row; for several targets, an object from target to value.
    pub predictions: Vec<Value>,
    /// The model that answered.
    pub model_name: String,
    /// Its version.
    #[schema(example = "3")]
    pub model_version: String,
    /// Target to bounds; for regressions.
    #[schema(value_type = Option<Vec<Object>>, nullable = false)]
    pub intervals: Option<Vec<Value>>,
    /// Target to class to probability; for classifications.
    #[schema(value_type = Option<Vec<Object>>, nullable = false)]
    pub probabilities: Option<Vec<Value>>,
    /// Target to the classes that cannot be ruled out; for classifications.
    #[schema(value_type = Option<Vec<Object>>, nullable = false)]
    pub prediction_sets: Option<Vec<Value>>,
    /// The confidence of the intervals and sets.
    pub confidence: f64,
    /// Whether the row is like those of the training.
    pub in_domain: Vec<bool>,
    /// The share of training rows that lie at least as far from the others.
    pub domain_score: Vec<f64>,
    /// What is to be noticed about single cells.
    pub warnings: Vec<predict::answer::PredictionWarning>,
    /// With `explain`: target to numeric input to the change of the answer per unit of the input.
    #[schema(value_type = Option<Vec<Object>>, nullable = false)]
    pub sensitivities: Option<Vec<Value>>,
}

#[cfg(test)]
mod tests {
    use super::*;

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
