//! A spreadsheet as the body of `POST /predict`: it comes back with the answers as further columns.

use super::{Options, Question, answer::Answer, ask, background, cells, find, request::Data};
use crate::{
    app::{App, TempFile},
    batch::{
        Sheet, Unfit,
        write::{self, AnswerError, Progress, Wanted},
    },
    dataset::{Column, Table, Warning},
    http::{
        download::disposition,
        error::{Problem, Slug},
        extract::{Json, Pairs, accepts, parse_id},
        language,
        read_options::UploadOptions,
        receive::{self, clean_filename},
    },
    id::ModelId,
    language::Language,
    model::{Input, PredictOptions, UnknownCategory},
    prediction::Loaded,
    storage::AnswerFormat,
};
use axum::{
    body::Body,
    extract::Request,
    http::{HeaderMap, HeaderName, HeaderValue, header},
    response::{IntoResponse, Response},
};
use serde::Serialize;
use std::{
    fs::File,
    io::{self, BufWriter, Seek},
    sync::Arc,
};
use tokio_util::io::ReaderStream;

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

/// On an answer that is a file: the codes of what was noticed while the file that was sent was read. The texts stand in
/// the answer as JSON.
const FILE_WARNINGS: HeaderName = HeaderName::from_static("taqicfd-file-warnings");

/// The answer to a spreadsheet as JSON.
#[derive(Debug, Serialize)]
struct FileAnswer<T> {
    #[serde(flatten)]
    answer: T,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    file_warnings: Vec<Warning>,
}

/// Whether the body of a request is said to be a spreadsheet, or a form with one.
pub fn is_file(headers: &HeaderMap) -> bool {
    let value = headers.get(header::CONTENT_TYPE).and_then(|value| value.to_str().ok()).unwrap_or_default();
    let essence = value.split(';').next().unwrap_or_default().trim().to_ascii_lowercase();
    FILES.contains(&essence.as_str())
}

/// What the query or the form says beside the file.
#[derive(Debug, Default)]
pub(super) struct Asked {
    model_id: Option<ModelId>,
    model: Option<String>,
    /// What the answer is to be, whatever `Accept` says.
    pub(super) format: Option<AnswerFormat>,
    pub(super) options: Options,
    pub(super) file: UploadOptions,
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
            "format" => self.format = Some(value.parse().map_err(|message: String| invalid(&message))?),
            "name" | "allow_duplicate" => {
                return Err(invalid("is for uploads; this file becomes no dataset"));
            }
            _ => return self.file.set(name, value),
        }
        Ok(())
    }
}

/// As what the answer is written.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Format {
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

    fn of(format: AnswerFormat) -> Self {
        match format {
            AnswerFormat::Csv => Self::Csv,
            AnswerFormat::Xlsx => Self::Xlsx,
        }
    }

    /// As what a file is written; `None` for JSON.
    pub(super) fn of_file(self) -> Option<AnswerFormat> {
        match self {
            Self::Csv => Some(AnswerFormat::Csv),
            Self::Xlsx => Some(AnswerFormat::Xlsx),
            Self::Json => None,
        }
    }

    /// What `Accept` names, else what it allows; the format of the file itself wherever there is a choice.
    pub(super) fn choose(headers: &HeaderMap, own: Self) -> Result<Self, Problem> {
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

/// Answers a spreadsheet: at once, or, where that is preferred or there are too many rows for it, in the background.
pub(super) async fn predict_file(app: &App, request: Request) -> Result<Response, Problem> {
    let db = app.db()?;
    app.check_disk()?;
    let (parts, body) = request.into_parts();
    let is_async = background::is_preferred(&parts.headers);
    if !is_async {
        Format::choose(&parts.headers, Format::Csv)?;
    }
    let mut asked = Asked::default();
    let Pairs(pairs) = Pairs::from_uri(&parts.uri)?;
    pairs.into_iter().try_for_each(|(name, value)| asked.set(&name, value))?;
    let mut set = |name: &str, value: String| asked.set(name, value);
    let received = receive::receive(app, &parts.headers, body, &mut set).await?;
    let loaded = find(app, db, asked.model_id, asked.model.as_deref()).await?;
    let named =
        if received.filename.is_empty() { asked.file.filename.as_deref() } else { Some(&*received.filename) };
    let filename = clean_filename(named.unwrap_or_default());
    if is_async {
        return background::enqueue(app, db, &parts, asked, received, &filename, &loaded).await;
    }

    let inputs = loaded.model.inputs();
    let mut sheet = Sheet::read(app, received.file.path(), &filename, &asked.file.read, inputs).await?;
    sheet.check(inputs).map_err(|unfit| match unfit {
        Unfit::Lacks(detail) => Problem::new(Slug::MissingField, detail),
        Unfit::OtherUnit(detail) => Problem::new(Slug::UnitMismatch, detail),
    })?;
    if sheet.n_rows() > app.settings().prediction.max_batch_rows {
        drop(sheet);
        return background::enqueue(app, db, &parts, asked, received, &filename, &loaded).await;
    }
    let format = match asked.format {
        Some(format) => Format::of(format),
        None => Format::choose(&parts.headers, Format::of(sheet.own_format()))?,
    };
    let Some(format) = format.of_file() else {
        let tables = sheet.tables();
        let reading = app.models().work(loaded.clone(), move |_| tables.read_all());
        let table = reading.await?.map_err(Problem::internal)?;
        let question = Question { data: columns(&table, inputs), field: "file", options: asked.options };
        let answered = ask(app, &loaded, question, cells::problem_by_row).await?;
        let answer = Answer::new(&loaded.record, answered.extras(inputs));
        return Ok(Json(FileAnswer { answer, file_warnings: sheet.warnings() }).into_response());
    };
    sheet.read_spelling(app, received.file.path(), &filename, &asked.file.read, format).await;
    let language = language::wanted(&parts.headers);
    let noticed = sheet.warnings();
    let answer = write_answer(app, sheet, &loaded, asked.options, language, format).await?;
    respond(answer, &filename, format, &loaded, &noticed, language)
}

/// Writes the answer to a temporary file, because a row that cannot be answered may be the last one, and a refusal must
/// not come after the beginning of an answer.
async fn write_answer(
    app: &App,
    sheet: Sheet,
    loaded: &Arc<Loaded>,
    options: Options,
    language: Language,
    format: AnswerFormat,
) -> Result<File, Problem> {
    let wanted = Wanted {
        options: PredictOptions {
            confidence: options.confidence,
            unknown_category: options.unknown_category,
            explain: false,
        },
        language,
        format: sheet.in_its_marks(format),
        is_awaited: true,
    };
    let path = TempFile::new(&app.temp_dir(), "answered");
    let progress = Arc::new(Progress::default());
    // Set when the client goes away, and this future with it.
    let _stop = StopOnDrop(progress.clone());
    let writing = move |loaded: &Loaded| {
        let file = File::options().read(true).write(true).create_new(true).open(path.path())?;
        let written = write::answer(&sheet.tables(), &loaded.model, wanted, &progress, BufWriter::new(file))?;
        let mut file = written.into_inner().map_err(io::IntoInnerError::into_error)?;
        file.rewind()?;
        // Its name goes now, its bytes when they have been sent.
        drop(path);
        Ok::<_, AnswerError>(file)
    };
    match app.models().work(loaded.clone(), writing).await? {
        Ok(file) => Ok(file),
        Err(AnswerError::Refused(error)) => Err(cells::problem_by_row(&error)),
        Err(error @ AnswerError::TooLarge(_)) => Err(Problem::new(Slug::BatchTooLarge, error.to_string())),
        Err(AnswerError::Io(error)) if error.kind() == io::ErrorKind::StorageFull => {
            Err(Problem::new(Slug::InsufficientStorage, "the disk became full while the answer was written"))
        }
        Err(error) => Err(Problem::internal(error)),
    }
}

struct StopOnDrop(Arc<Progress>);

impl Drop for StopOnDrop {
    fn drop(&mut self) {
        self.0.stop.store(true, std::sync::atomic::Ordering::Relaxed);
    }
}

/// The media type of a written answer.
pub fn media_type(format: AnswerFormat) -> &'static str {
    match format {
        AnswerFormat::Csv => "text/csv; charset=utf-8; header=present",
        AnswerFormat::Xlsx => XLSX,
    }
}

/// What the answer to the file `filename` is called.
pub fn answer_name(filename: &str, format: AnswerFormat) -> String {
    let stem = filename.rsplit_once('.').map_or(filename, |(stem, _)| stem);
    format!("{stem}_predictions.{format}")
}

fn respond(
    answer: File,
    filename: &str,
    format: AnswerFormat,
    loaded: &Loaded,
    noticed: &[Warning],
    language: Language,
) -> Result<Response, Problem> {
    let n_bytes = answer.metadata().map_err(Problem::internal)?.len();
    let text = |value: String| HeaderValue::from_str(&value).map_err(Problem::internal);
    let headers = [
        (header::CONTENT_TYPE, HeaderValue::from_static(media_type(format))),
        (header::CONTENT_LENGTH, HeaderValue::from(n_bytes)),
        (header::CONTENT_DISPOSITION, text(disposition(&answer_name(filename, format), false))?),
        (header::LINK, text(format!("</models/{}>; rel=\"describedby\"", loaded.record.model_id))?),
    ];
    let body = Body::from_stream(ReaderStream::with_capacity(tokio::fs::File::from_std(answer), 1 << 16));
    let mut response = (headers, body).into_response();
    if !noticed.is_empty() {
        let codes: Vec<&str> = noticed.iter().map(|warning| warning.code.as_str()).collect();
        response.headers_mut().insert(FILE_WARNINGS, text(codes.join(", "))?);
    }
    language::declare(response.headers_mut(), language);
    Ok(response)
}

/// The columns of a table as those of a request. Where `inputs` are given, others are left out.
pub fn columns<'a>(table: &'a Table, inputs: &[Input]) -> Data<'a> {
    let n_rows = table.n_rows();
    let column = |column: &'a Column| (0..n_rows).map(|row| write::cell(&column.values, row)).collect();
    let is_wanted =
        |column: &&Column| inputs.is_empty() || inputs.iter().any(|input| input.name == column.name);
    Data::Columns(
        table.columns.iter().filter(is_wanted).map(|c| (c.name.as_str().into(), column(c))).collect(),
    )
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
}
