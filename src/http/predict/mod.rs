//! `POST /predict`: rows go in, predictions come out.

pub mod answer;
pub mod cells;
pub mod request;

use super::{
    error::{Problem, Slug},
    extract::{JsonBytes, parse_id},
    json,
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
    extract::State,
    http::{HeaderValue, header},
    response::{IntoResponse, Response},
};
use cells::Cells;
use request::{Data, PredictRequest};
use std::sync::Arc;
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
#[utoipa::path(post, path = "/predict", tag = "predictions",
    request_body = answer::PredictBody, responses((status = 200, body = PredictAnswer)))]
pub async fn create_prediction(
    State(app): State<App>,
    JsonBytes(bytes): JsonBytes,
) -> Result<Response, Problem> {
    let db = app.db()?;
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
pub fn check_rows(app: &App, n_rows: usize) -> Result<(), Problem> {
    let limit = app.settings().prediction.max_batch_rows;
    if n_rows <= limit {
        return Ok(());
    }
    Err(Problem::new(
        Slug::BatchTooLarge,
        format!("there are {n_rows} rows; one request may have {limit}, so send them in several"),
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
        Err(PredictionError::Refused(error)) => Err(refuse(&error)),
        Err(other) => Err(other.into()),
    }
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
    Ok(app.models().get_record(app.blobs(), db, named_record(db, name).await?).await?)
}

/// The row of the model called `polar` (its newest version), `polar/3` or `polar@champion`.
pub async fn named_record(db: &Db, name: &str) -> Result<ModelRecord, Problem> {
    models::resolve(db, name).await?.ok_or_else(|| {
        Problem::new(
            Slug::ModelNotFound,
            format!("there is no model called \"{}\"; GET /models lists them", super::printable(name)),
        )
    })
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
