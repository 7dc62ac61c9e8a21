//! A spreadsheet as the body of `POST /predict`: it comes back with the answers as further columns.

use super::{Answered, Options, Question, answer::Answer, ask, cells, check_rows, find, request::Data};
use crate::{
    app::App,
    dataset::{
        Column, ReadOptions, ReadReport, Table, Values,
        export::{CsvStyle, ExportColumn, to_csv, to_xlsx},
        parquet,
    },
    http::{
        download::disposition,
        error::{Problem, Slug},
        extract::{Json, Pairs, accepts, parse_id},
        language,
        read_options::UploadOptions,
        receive::{self, Received, clean_filename},
        upload,
    },
    id::ModelId,
    ingest::Ingested,
    language::Language,
    model::{Cell, Input, TargetPrediction, UnknownCategory},
    prediction::Loaded,
};
use axum::{
    extract::Request,
    http::{HeaderMap, HeaderValue, header},
    response::{IntoResponse, Response},
};
use std::collections::BTreeMap;

const CSV: &str = "text/csv";
const XLSX: &str = "application/vnd.openxmlformats-officedocument.spreadsheetml.sheet";
/// What a spreadsheet may be sent as; what it is, its bytes say.
const FILES: [&str; 9] = [
    "multipart/form-data",
    CSV,
    "application/csv",
    "text/tab-separated-values",
    XLSX,
    "application/vnd.ms-excel",
    "application/vnd.ms-excel.sheet.binary.macroenabled.12",
    "application/vnd.oasis.opendocument.spreadsheet",
    "application/octet-stream",
];

/// Whether the body of a request is said to be a spreadsheet, or a form with one.
pub fn is_file(headers: &HeaderMap) -> bool {
    let value = headers.get(header::CONTENT_TYPE).and_then(|value| value.to_str().ok()).unwrap_or_default();
    let essence = value.split(';').next().unwrap_or_default().trim().to_ascii_lowercase();
    FILES.contains(&essence.as_str())
}

/// What the query or the form says beside the file.
#[derive(Debug, Default)]
struct Asked {
    model_id: Option<ModelId>,
    model: Option<String>,
    options: Options,
    file: UploadOptions,
}

impl Asked {
    fn set(&mut self, name: &str, value: String) -> Result<(), Problem> {
        let invalid = |message: &str| Problem::invalid(&format!("/{name}"), message);
        match name {
            "model_id" if !value.is_empty() => self.model_id = Some(parse_id(&value, Slug::ModelNotFound)?),
            "model" if !value.is_empty() => self.model = Some(value),
            "model_id" | "model" => {}
            "confidence" => {
                let number = value.parse().map_err(|_| invalid("must be between 0 and 1, such as 0.9"))?;
                self.options.confidence = Some(number);
                self.options.check()?;
            }
            "unknown_category" => {
                self.options.unknown_category = match value.as_str() {
                    "error" => UnknownCategory::Error,
                    "missing" => UnknownCategory::Missing,
                    "nearest" => UnknownCategory::Nearest,
                    _ => return Err(invalid("must be error, missing or nearest")),
                };
            }
            "name" | "allow_duplicate" => {
                return Err(invalid("is for uploads; nothing is kept of this file"));
            }
            _ => return self.file.set(name, value),
        }
        Ok(())
    }
}

/// As what the answer is written.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Format {
    Csv,
    Xlsx,
    Json,
}

impl Format {
    fn media_type(self) -> &'static str {
        match self {
            Self::Csv => CSV,
            Self::Xlsx => XLSX,
            Self::Json => "application/json",
        }
    }

    /// What `Accept` names, else what it allows; the format of the file itself wherever there is a choice.
    fn choose(headers: &HeaderMap, own: Self) -> Result<Self, Problem> {
        let named: Vec<String> = headers
            .get_all(header::ACCEPT)
            .iter()
            .filter_map(|value| value.to_str().ok())
            .map(str::to_ascii_lowercase)
            .collect();
        let order = || [own, Self::Csv, Self::Xlsx, Self::Json].into_iter();
        let allowed = |format: &Self| accepts(headers, format.media_type());
        let is_named = |format: &Self| named.iter().any(|value| value.contains(format.media_type()));
        order()
            .find(|format| is_named(format) && allowed(format))
            .or_else(|| order().find(allowed))
            .ok_or_else(|| {
                let detail = format!("a spreadsheet is answered as {CSV}, {XLSX} or application/json");
                Problem::new(Slug::NotAcceptable, detail)
            })
    }
}

/// Answers a spreadsheet.
pub(super) async fn predict_file(app: &App, request: Request) -> Result<Response, Problem> {
    let db = app.db()?;
    app.check_disk()?;
    let (parts, body) = request.into_parts();
    Format::choose(&parts.headers, Format::Csv)?;
    let mut asked = Asked::default();
    let Pairs(pairs) = Pairs::from_uri(&parts.uri)?;
    pairs.into_iter().try_for_each(|(name, value)| asked.set(&name, value))?;
    let mut set = |name: &str, value: String| asked.set(name, value);
    let received = receive::receive(app, &parts.headers, body, &mut set).await?;
    let loaded = find(app, db, asked.model_id, asked.model.as_deref()).await?;
    let inputs = loaded.model.inputs();

    let sheet = Sheet::read(app, &received, &asked.file).await?;
    require_columns(&sheet.table, inputs)?;
    let question = Question { data: columns(&sheet.table, inputs), field: "file", options: asked.options };
    let answered = ask(app, &loaded, question, cells::problem_by_row).await?;
    let own = if sheet.read.format == "csv" { Format::Csv } else { Format::Xlsx };
    match Format::choose(&parts.headers, own)? {
        Format::Json => Ok(Json(Answer::new(&loaded.record, answered.extras(inputs))).into_response()),
        format => sheet.respond(format, &loaded, answered, language::wanted(&parts.headers)).await,
    }
}

/// Says which inputs the file lacks, rather than that every row lacks them.
fn require_columns(table: &Table, inputs: &[Input]) -> Result<(), Problem> {
    let missing: Vec<&str> =
        inputs.iter().map(|input| input.name.as_str()).filter(|name| table.column(name).is_none()).collect();
    if missing.is_empty() {
        return Ok(());
    }
    let known: Vec<&str> = table.columns.iter().map(|column| column.name.as_str()).take(20).collect();
    let detail = format!(
        "the file lacks the columns {}; it has {}. If the header is in another line, name it (header_row=)",
        missing.join(", "),
        known.join(", ")
    );
    Err(Problem::new(Slug::MissingField, detail))
}

/// The columns of a table as those of a request. Where `inputs` are given, others are left out.
pub fn columns<'a>(table: &'a Table, inputs: &[Input]) -> Data<'a> {
    let cell = |values: &Values, row: usize| match values.json(row) {
        serde_json::Value::Number(number) => number.as_f64().map_or(Cell::Missing, Cell::Number),
        serde_json::Value::String(text) => Cell::Text(text.into()),
        serde_json::Value::Bool(flag) => Cell::Boolean(flag),
        _ => Cell::Missing,
    };
    let n_rows = table.n_rows();
    let column = |column: &'a Column| (0..n_rows).map(|row| cell(&column.values, row)).collect();
    let is_wanted =
        |column: &&Column| inputs.is_empty() || inputs.iter().any(|input| input.name == column.name);
    Data::Columns(
        table.columns.iter().filter(is_wanted).map(|c| (c.name.as_str().into(), column(c))).collect(),
    )
}

/// A spreadsheet that was read.
struct Sheet {
    table: Table,
    read: ReadReport,
    /// The same rows as they are spelt in the file, where the file can tell.
    spelt: Option<Table>,
    filename: String,
}

impl Sheet {
    async fn read(app: &App, received: &Received, options: &UploadOptions) -> Result<Self, Problem> {
        let named = if received.filename.is_empty() {
            options.filename.as_deref()
        } else {
            Some(&*received.filename)
        };
        let filename = clean_filename(named.unwrap_or_default());
        let file = received.file.path();
        let ingested = upload::read_file(app, file, &filename, &options.read).await?;
        check_rows(app, usize::try_from(ingested.description.rows).unwrap_or(usize::MAX))?;
        let table = load(&ingested).await?;
        // Once more with every column as text and nothing as missing: what stood in the cells.
        let as_text: BTreeMap<String, String> =
            table.columns.iter().map(|column| (column.name.clone(), "text".to_owned())).collect();
        let read_as_text = ReadOptions { types: as_text, missing: Some(Vec::new()), ..options.read.clone() };
        let spelt = match upload::read_file(app, file, &filename, &read_as_text).await {
            Ok(ingested) => load(&ingested).await.ok(),
            Err(_) => None,
        };
        let same_rows = |spelt: &Table| {
            spelt.n_rows() == table.n_rows() && table.columns.iter().all(|c| spelt.column(&c.name).is_some())
        };
        let spelt = spelt.filter(same_rows);
        Ok(Self { table, read: ingested.description.read.clone(), spelt, filename })
    }

    /// The file with its own columns and the answers.
    async fn respond(
        self,
        format: Format,
        loaded: &Loaded,
        answered: Answered,
        language: Language,
    ) -> Result<Response, Problem> {
        let own = loaded.record.model_id;
        let writing = move || {
            let answers = answer_columns(&self.table, &answered, language);
            let is_text_file = self.read.format == "csv";
            let mut columns: Vec<ExportColumn> = Vec::with_capacity(self.table.columns.len() + answers.len());
            for column in &self.table.columns {
                let spelt = self.spelt.as_ref().and_then(|spelt| match &spelt.column(&column.name)?.values {
                    Values::Text(texts) => Some(texts.as_slice()),
                    _ => None,
                });
                // The number of a workbook's cell is spelt by its format, which is not known here.
                let texts = spelt.filter(|_| is_text_file || format == Format::Xlsx);
                columns.push(ExportColumn { name: &column.name, values: &column.values, texts });
            }
            columns.extend(answers.iter().map(|(name, values)| ExportColumn {
                name: name.as_str(),
                values,
                texts: None,
            }));
            let bytes = match format {
                Format::Csv => to_csv(&columns, answered.n_rows, csv_style(&self.read)),
                _ => to_xlsx(&columns, answered.n_rows).map_err(|error| {
                    Problem::new(Slug::BatchTooLarge, format!("{error}; ask for text/csv"))
                })?,
            };
            Ok::<_, Problem>((bytes, self.filename))
        };
        let (bytes, filename) = tokio::task::spawn_blocking(writing).await.map_err(Problem::internal)??;
        let (media_type, ending) = match format {
            Format::Csv => ("text/csv; charset=utf-8; header=present", "csv"),
            _ => (XLSX, "xlsx"),
        };
        let stem = filename.rsplit_once('.').map_or(filename.as_str(), |(stem, _)| stem);
        let text = |value: String| HeaderValue::from_str(&value).map_err(Problem::internal);
        let headers = [
            (header::CONTENT_TYPE, HeaderValue::from_static(media_type)),
            (header::CONTENT_DISPOSITION, text(disposition(&format!("{stem}_predictions.{ending}"), false))?),
            (header::LINK, text(format!("</models/{own}>; rel=\"describedby\""))?),
        ];
        let mut response = (headers, bytes).into_response();
        language::declare(response.headers_mut(), language);
        Ok(response)
    }
}

/// The table that a reading process left.
async fn load(ingested: &Ingested) -> Result<Table, Problem> {
    let path = ingested.parquet_path.clone();
    let table = tokio::task::spawn_blocking(move || parquet::read(path.as_path())).await;
    table.map_err(Problem::internal)?.map_err(Problem::internal)
}

/// The marks of a text file; for a workbook, and for a file whose columns stand in their places without a mark, those
/// that go with its decimal mark.
fn csv_style(read: &ReadReport) -> CsvStyle {
    let usual = if read.decimal == ',' { ';' } else { ',' };
    CsvStyle { delimiter: read.delimiter.filter(|mark| *mark != ' ').unwrap_or(usual), decimal: read.decimal }
}

/// `<y>_predicted` and, for numbers, `<y>_lower` and `<y>_upper`; for classes `<y>_probability` and `<y>_set`; then
/// `in_domain` and `warnings`. Where the file has such a column already, the new one gets a `_` behind its name.
fn answer_columns(table: &Table, answered: &Answered, language: Language) -> Vec<(String, Values)> {
    let mut columns: Vec<(String, Values)> = Vec::new();
    let mut add = |name: String, values: Values| {
        let mut name = name;
        while table.column(&name).is_some() || columns.iter().any(|(known, _)| *known == name) {
            name.push('_');
        }
        columns.push((name, values));
    };
    for target in &answered.predictions.targets {
        match target {
            TargetPrediction::Number { name, values, bounds } => {
                add(format!("{name}_predicted"), Values::Number(values.clone()));
                let side = |of: fn(&(f64, f64)) -> f64| match bounds {
                    Some(bounds) => Values::Number(bounds.iter().map(of).collect()),
                    None => Values::Number(vec![f64::NAN; values.len()]),
                };
                add(format!("{name}_lower"), side(|bounds| bounds.0));
                add(format!("{name}_upper"), side(|bounds| bounds.1));
            }
            TargetPrediction::Class { name, classes, labels, probabilities, sets } => {
                let codes = labels.iter().map(|label| *label as u32).collect();
                add(format!("{name}_predicted"), Values::Category { codes, levels: classes.clone() });
                let of_label = |(row, label): (usize, &usize)| probabilities[row * classes.len() + label];
                let own = labels.iter().enumerate().map(of_label).collect();
                add(format!("{name}_probability"), Values::Number(own));
                let joined = |set: &Vec<usize>| {
                    Some(set.iter().map(|class| classes[*class].as_str()).collect::<Vec<_>>().join(" | "))
                };
                add(format!("{name}_set"), Values::Text(sets.iter().map(joined).collect()));
            }
        }
    }
    let in_domain = answered.predictions.in_domain.iter().copied().map(Some).collect();
    add("in_domain".to_owned(), Values::Boolean(in_domain));
    let messages =
        answered.messages(language).into_iter().map(|text| (!text.is_empty()).then_some(text)).collect();
    add("warnings".to_owned(), Values::Text(messages));
    columns
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_answer_is_what_accept_names_or_what_the_file_is() {
        let check = |accept: &'static str, own: Format, expected: Option<Format>| {
            let headers = HeaderMap::from_iter([(header::ACCEPT, HeaderValue::from_static(accept))]);
            assert_eq!(Format::choose(&headers, own).ok(), expected, "{accept} {own:?}");
        };
        check("*/*", Format::Csv, Some(Format::Csv));
        check("*/*", Format::Xlsx, Some(Format::Xlsx));
        check("text/csv", Format::Xlsx, Some(Format::Csv));
        check("text/*", Format::Xlsx, Some(Format::Csv));
        check("application/json, */*;q=0.1", Format::Csv, Some(Format::Json));
        check("application/json, text/csv", Format::Csv, Some(Format::Csv));
        check("text/csv;q=0, */*", Format::Csv, Some(Format::Xlsx));
        check("image/png", Format::Csv, None);
        assert_eq!(Format::choose(&HeaderMap::new(), Format::Xlsx).ok(), Some(Format::Xlsx));
    }

    #[test]
    fn new_columns_never_take_the_place_of_old_ones() {
        let number = |name: &str| Column {
            name: name.to_owned(),
            kind: crate::dataset::ColumnKind::Number,
            unit: None,
            values: Values::Number(vec![1.0]),
        };
        let table = Table { columns: vec![number("y_predicted"), number("in_domain")] };
        let predictions = crate::model::Predictions {
            targets: vec![TargetPrediction::Number { name: "y".into(), values: vec![2.0], bounds: None }],
            confidence: 0.9,
            in_domain: vec![true],
            domain_score: vec![1.0],
            warnings: Vec::new(),
            sensitivities: None,
        };
        let answered = Answered { predictions, warnings: Vec::new(), n_rows: 1 };
        let names: Vec<String> =
            answer_columns(&table, &answered, Language::English).into_iter().map(|(name, _)| name).collect();
        assert_eq!(names, ["y_predicted_", "y_lower", "y_upper", "in_domain_", "warnings"]);
    }
}
