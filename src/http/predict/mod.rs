//! `POST /predict`: rows go in, predictions come out.

pub mod answer;
mod background;
pub mod cells;
pub mod file;
pub mod request;

use super::{
    error::{Problem, Slug},
    extract::{JsonBytes, parse_id, require_accept},
    json,
    predictions::Prediction,
};
use crate::{
    app::App,
    id::{ModelId, TrainingId},
    model::{PredictError, PredictOptions, Predictions, RowWarning, UnknownCategory},
    prediction::{Loaded, PredictionError},
    storage::{Db, ModelRecord, models, trainings},
};
use answer::{Answer, PredictAnswer};
use axum::{
    extract::{FromRequest, Request, State},
    http::{HeaderValue, header},
    response::{IntoResponse, Response},
};
use cells::Cells;
use request::{Data, PredictRequest};
use serde::Serialize;
use std::sync::Arc;
use utoipa::ToSchema;
use utoipa_axum::{router::OpenApiRouter, routes};

/// Explaining a row costs more than predicting it, by the number of targets.
const EXPLAINED_ROWS: usize = 1000;

/// The routes of this file.
pub fn routes() -> OpenApiRouter<App> {
    OpenApiRouter::new().routes(routes!(create_prediction))
}

/// Predict
///
/// `data` holds rows (a list of objects), columns (an object of lists) or a matrix (a list of lists, in the order of
/// the model's inputs). Without `model_id` or `model` the newest model answers. A row unlike those of the training is
/// answered too, with `in_domain: false`, a wider interval, and a warning that says what is unlike; a value just outside
/// the range of the training only gets the warning. With `explain`, `sensitivities` says how much each answer changes
/// per unit of each numeric input, at that row.
///
/// The body may be a spreadsheet instead, as for `POST /upload`, with the model and the options as form parts or query
/// parameters. It comes back as CSV or XLSX, as `Accept` says or as it came: its own columns, spelt as they were, and
/// `<target>_predicted`, `<target>_lower` and `<target>_upper` (for classes `<target>_probability` and `<target>_set`),
/// `in_domain` and `warnings`. CSV has the delimiter and the decimal mark of the file, and no cell that a spreadsheet
/// program would run as a formula. Nothing of the file is kept. Where the file leaves open how it is to be read, it is
/// read as the file that the model was trained on; a column in another unit than there is refused. What was noticed
/// while it was read, such as a total that is no row, stands in `file_warnings`, and for CSV and XLSX, by its codes, in
/// the header `taqicfd-file-warnings`.
///
/// With `Prefer: respond-async`, and where the file has more rows than one request may have, it is answered in the
/// background instead: 202 with a job, which outlives a restart. Follow it at the `Location`; its answer is kept for a
/// day. `Prefer: respond-async, wait=60` answers 200 with the job if it ends in time.
#[utoipa::path(post, path = "/predict", tag = "predictions",
    params(
        ("model_id" = Option<uuid::Uuid>, Query, description = "For a spreadsheet: the model, by identifier"),
        ("model" = Option<String>, Query, description = "For a spreadsheet: the model, by name, version or alias"),
        ("confidence" = Option<f64>, Query, description = "For a spreadsheet: confidence of the intervals"),
        ("unknown_category" = Option<String>, Query, pattern = "^(error|missing|nearest)$",
            description = "For a spreadsheet: what to do with categories never seen"),
        ("format" = Option<String>, Query, pattern = "^(csv|xlsx)$",
            description = "For a spreadsheet: as what it comes back, whatever `Accept` says"),
        ("Prefer" = Option<String>, Header, description = "For a spreadsheet: `respond-async` answers it in the background",
            example = "respond-async"),
        ("Idempotency-Key" = Option<String>, Header,
            description = "For a spreadsheet in the background: does the request once, however often it is sent"),
        ("filename" = Option<String>, Query, description = "For a spreadsheet: its name, where the body is the file itself"),
        ("sheet" = Option<String>, Query, description = "For a spreadsheet: the sheet of a workbook"),
        ("header_row" = Option<u64>, Query, minimum = 0, description = "For a spreadsheet: 1-based line of the header; 0 where there is none"),
        ("units_row" = Option<u64>, Query, minimum = 0, description = "For a spreadsheet: 1-based line of the units; 0 where there is none"),
        ("delimiter" = Option<String>, Query, description = "For a spreadsheet: one character, or `tab`"),
        ("decimal" = Option<String>, Query, pattern = "^[.,]$", description = "For a spreadsheet: `.` or `,`"),
        ("encoding" = Option<String>, Query, description = "For a spreadsheet: a WHATWG encoding label"),
        ("missing" = Option<Vec<String>>, Query, description = "For a spreadsheet: texts that mean missing"),
        ("types" = Option<String>, Query, description = "For a spreadsheet: JSON object from column to kind"),
        ("keep_footer" = Option<bool>, Query,
            description = "For a spreadsheet: whether totals and notes under the table are rows of it")
    ),
    request_body(content(
        (answer::PredictBody = "application/json"),
        (PredictForm = "multipart/form-data"),
        (String = "text/csv", example = "Re;alpha\n1,0e5;4,5\n"),
        (String = "application/vnd.openxmlformats-officedocument.spreadsheetml.sheet"),
        (String = "application/octet-stream")
    )),
    responses(
        (status = 200, content(
            (PredictAnswer = "application/json"),
            (String = "text/csv"),
            (String = "application/vnd.openxmlformats-officedocument.spreadsheetml.sheet")
        )),
        (status = 202, body = Prediction, description = "The file is answered in the background", headers(
            ("Location" = String, description = "The job"),
            ("Retry-After" = u32, description = "Seconds after which to look")))
    ))]
pub async fn create_prediction(State(app): State<App>, request: Request) -> Result<Response, Problem> {
    if file::is_file(request.headers()) {
        return Box::pin(file::predict_file(&app, request)).await;
    }
    require_accept(request.headers(), "application/json")?;
    let JsonBytes(bytes) = JsonBytes::from_request(request, &app).await?;
    let db = app.db()?;
    // Serde would take an array for a structure, field by field.
    if bytes.trim_ascii_start().first() == Some(&b'[') {
        let detail = "the body is an array; send a JSON object that has the rows in its field data";
        return Err(Problem::new(Slug::InvalidParameter, detail));
    }
    let PredictRequest { model_id, model, data, confidence, unknown_category, strict, explain } =
        json::from_slice(&bytes)?;
    let options = Options { confidence, unknown_category, strict, explain };
    options.check()?;
    check_rows(&app, data.n_rows())?;
    let model_id = model_id.map(|text| parse_id(&text, Slug::ModelNotFound)).transpose()?;
    let loaded = find(&app, db, model_id, model.as_deref()).await?;
    let shape = data.shape();
    let question = Question { data, field: "data", options };
    let answered =
        ask(&app, &loaded, question, |error| cells::problem(error, shape, loaded.model.inputs())).await?;
    let answer = Answer::new(&loaded.record, answered.extras(loaded.model.inputs()));
    let body = serde_json::to_vec(&answer).map_err(Problem::internal)?;
    Ok(([(header::CONTENT_TYPE, HeaderValue::from_static("application/json"))], body).into_response())
}

/// A spreadsheet and how it is to be read and answered.
#[derive(Debug, Serialize, ToSchema)]
pub struct PredictForm {
    /// The spreadsheet.
    #[schema(value_type = String, format = Binary)]
    pub file: Vec<u8>,
    /// The model, by identifier.
    #[schema(nullable = false)]
    pub model_id: Option<uuid::Uuid>,
    /// The model, by name, version or alias; the newest if absent.
    #[schema(nullable = false)]
    pub model: Option<String>,
    /// Confidence of the intervals.
    #[schema(nullable = false)]
    pub confidence: Option<f64>,
    /// `error`, `missing` or `nearest`.
    #[schema(nullable = false, pattern = "^(error|missing|nearest)$")]
    pub unknown_category: Option<String>,
    /// `csv` or `xlsx`; as `Accept` says, or as the file is, if absent.
    #[schema(nullable = false, pattern = "^(csv|xlsx)$")]
    pub format: Option<String>,
}

/// How a request wants its answers, in whatever protocol it comes.
#[derive(Debug, Clone, Copy, PartialEq, Default)]
pub struct Options {
    /// Confidence of the intervals, between 0 and 1; the model's own if absent.
    pub confidence: Option<f64>,
    /// What to do with categories never seen.
    pub unknown_category: UnknownCategory,
    /// Whether fields that the model does not have are an error.
    pub strict: bool,
    /// Whether the sensitivities are wanted.
    pub explain: bool,
}

impl Options {
    /// Refuses a confidence that is none.
    pub fn check(&self) -> Result<(), Problem> {
        match self.confidence {
            Some(confidence) if !(0.0 < confidence && confidence < 1.0) => {
                Err(Problem::invalid("/confidence", "must be between 0 and 1, such as 0.9"))
            }
            _ => Ok(()),
        }
    }
}

/// What is asked of a model, in whatever protocol.
#[derive(Debug)]
pub struct Question<'a> {
    /// What to predict for.
    pub data: Data<'a>,
    /// The field of the body that held the data; for messages.
    pub field: &'static str,
    /// How the answers are wanted.
    pub options: Options,
}

/// What the model says.
#[derive(Debug)]
pub struct Answered {
    /// The answers, one per row.
    pub predictions: Predictions,
    /// Fields that the model does not have.
    pub warnings: Vec<RowWarning>,
    /// How many rows were asked for.
    pub n_rows: usize,
}

/// Refuses more rows than one request may have.
fn check_rows(app: &App, n_rows: usize) -> Result<(), Problem> {
    let limit = app.settings().prediction.max_batch_rows;
    if n_rows <= limit {
        return Ok(());
    }
    Err(Problem::new(
        Slug::BatchTooLarge,
        format!(
            "there are {n_rows} rows; one request may have {limit}: send them in several, or as a file, which is \
             answered in the background"
        ),
    ))
}

/// Answers a question: the one way from the rows of a request to predictions, for every protocol.
/// `refuse` says what is wrong with cells that the model cannot use.
pub async fn ask(
    app: &App,
    loaded: &Arc<Loaded>,
    question: Question<'_>,
    refuse: impl Fn(&PredictError) -> Problem,
) -> Result<Answered, Problem> {
    let Question { data, field, options } = question;
    options.check()?;
    check_rows(app, data.n_rows())?;
    let Options { confidence, unknown_category, strict, explain } = options;
    let Cells { cells, n_rows, warnings } = cells::arrange(data, loaded.model.inputs(), strict, field)?;
    if explain && n_rows > EXPLAINED_ROWS {
        let message = format!("explains {EXPLAINED_ROWS} rows per request at most; there are {n_rows}");
        return Err(Problem::invalid("/explain", &message));
    }
    let options = PredictOptions { confidence, unknown_category, explain };
    match app.models().predict(loaded, cells, n_rows, options).await {
        Ok(predictions) => Ok(Answered { predictions, warnings, n_rows }),
        Err(PredictionError::Refused(error)) => Err(refuse(&with_names_alike(error, &warnings))),
        Err(other) => Err(other.into()),
    }
}

/// Says of fields that are missing which ignored one has the same name in other capitals.
fn with_names_alike(mut error: PredictError, ignored: &[RowWarning]) -> PredictError {
    for cell in error.cells.iter_mut().filter(|cell| cell.slug == "missing-field") {
        let wanted = cell.column.to_lowercase();
        let alike = ignored.iter().find(|field| field.column.trim().to_lowercase() == wanted);
        if let Some(field) = alike {
            cell.message = format!(
                "{}; the request has \"{}\", which is another name",
                cell.message,
                super::printable(&field.column)
            );
        }
    }
    error
}

async fn find(
    app: &App,
    db: &Db,
    model_id: Option<ModelId>,
    name: Option<&str>,
) -> Result<Arc<Loaded>, Problem> {
    let (cache, blobs) = (app.models(), app.blobs());
    let record = match (model_id, name) {
        (Some(_), Some(_)) => return Err(Problem::invalid("/model", "give model_id or model, not both")),
        (Some(model_id), None) => {
            return match cache.get(db, blobs, model_id).await {
                Err(PredictionError::NotFound) => Err(not_found(db, model_id).await),
                other => Ok(other?),
            };
        }
        (None, Some(name)) => return find_named(app, db, name).await,
        (None, None) => models::newest(db).await?.ok_or_else(|| {
            Problem::new(Slug::ModelNotFound, "there is no model yet; train one with POST /train")
        })?,
    };
    Ok(cache.get_record(blobs, db, record).await?)
}

/// The model called `polar` (its newest version), `polar/3` or `polar@champion`, ready to answer.
pub async fn find_named(app: &App, db: &Db, name: &str) -> Result<Arc<Loaded>, Problem> {
    let found = app.models().get_named(db, app.blobs(), app.model_changes(), name).await?;
    found.ok_or_else(|| no_such_name(name))
}

/// The row of the model called `polar` (its newest version), `polar/3` or `polar@champion`.
pub async fn named_record(db: &Db, name: &str) -> Result<ModelRecord, Problem> {
    models::resolve(db, name).await?.ok_or_else(|| no_such_name(name))
}

fn no_such_name(name: &str) -> Problem {
    let detail = format!("there is no model called \"{}\"; GET /models lists them", super::printable(name));
    Problem::new(Slug::ModelNotFound, detail)
}

/// An identifier that is none of a model may be that of a training, which makes a better answer.
async fn not_found(db: &Db, model_id: ModelId) -> Problem {
    if let Ok(Some(training)) = trainings::get(db, TrainingId(model_id.0)).await {
        return match training.model_id {
            Some(model) => Problem::new(
                Slug::ModelNotFound,
                format!("{model_id} is a training, not a model; its model is {model}"),
            ),
            None => Problem::new(
                Slug::ModelNotReady,
                format!("{model_id} is a training that is {}; it has no model", training.status),
            ),
        };
    }
    Problem::new(Slug::ModelNotFound, format!("there is no model {model_id}; GET /models lists them"))
}
