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
    model::PredictOptions,
    prediction::Loaded,
    storage::{Db, models, trainings},
};
use answer::{Answer, PredictAnswer};
use axum::{
    extract::State,
    http::{HeaderValue, header},
    response::{IntoResponse, Response},
};
use request::PredictRequest;
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
    if confidence.is_some_and(|confidence| !(0.0 < confidence && confidence < 1.0)) {
        return Err(Problem::invalid("/confidence", "must be between 0 and 1, such as 0.9"));
    }
    let limit = app.settings().prediction.max_batch_rows;
    if data.n_rows() > limit {
        return Err(Problem::new(
            Slug::BatchTooLarge,
            format!(
                "there are {} rows; one request may have {limit}, so send them in several",
                data.n_rows()
            ),
        ));
    }
    let model_id = model_id.map(|text| parse_id(&text, Slug::ModelNotFound)).transpose()?;
    let loaded = find(&app, db, model_id, model.as_deref()).await?;
    let inputs = loaded.model.inputs();
    let shape = data.shape();
    let cells = cells::arrange(data, inputs, strict)?;
    let (n_rows, warnings) = (cells.n_rows, cells.warnings);
    if explain && n_rows > EXPLAINED_ROWS {
        let message = format!("explains {EXPLAINED_ROWS} rows per request at most; there are {n_rows}");
        return Err(Problem::invalid("/explain", &message));
    }
    let options = PredictOptions { confidence, unknown_category, explain };
    let predictions = app
        .models()
        .predict(&loaded, cells.cells, n_rows, options)
        .await
        .map_err(|error| refusal(error, shape, &loaded))?;
    let answer = Answer::new(&loaded.record, &predictions, warnings, n_rows).with_inputs(inputs);
    let body = serde_json::to_vec(&answer).map_err(Problem::internal)?;
    Ok(([(header::CONTENT_TYPE, HeaderValue::from_static("application/json"))], body).into_response())
}

fn refusal(error: crate::prediction::PredictionError, shape: cells::Shape, loaded: &Loaded) -> Problem {
    match error {
        crate::prediction::PredictionError::Refused(error) => {
            cells::problem(&error, shape, loaded.model.inputs())
        }
        other => other.into(),
    }
}

async fn find(
    app: &App,
    db: &Db,
    model_id: Option<crate::id::ModelId>,
    name: Option<&str>,
) -> Result<Arc<Loaded>, Problem> {
    let (cache, blobs) = (app.models(), app.blobs());
    let record = match (model_id, name) {
        (Some(_), Some(_)) => return Err(Problem::invalid("/model", "give model_id or model, not both")),
        (Some(model_id), None) => {
            return match cache.get(db, blobs, model_id).await {
                Err(crate::prediction::PredictionError::NotFound) => Err(not_found(db, model_id).await),
                other => Ok(other?),
            };
        }
        (None, Some(name)) => models::resolve(db, name).await?.ok_or_else(|| {
            Problem::new(
                Slug::ModelNotFound,
                format!("there is no model called \"{}\"; GET /models lists them", super::printable(name)),
            )
        })?,
        (None, None) => models::newest(db).await?.ok_or_else(|| {
            Problem::new(Slug::ModelNotFound, "there is no model yet; train one with POST /train")
        })?,
    };
    Ok(cache.get_record(blobs, db, record).await?)
}

/// An identifier that is none of a model may be that of a training, which makes a better answer.
async fn not_found(db: &Db, model_id: crate::id::ModelId) -> Problem {
    if let Ok(Some(training)) = trainings::get(db, crate::id::TrainingId(model_id.0)).await {
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
