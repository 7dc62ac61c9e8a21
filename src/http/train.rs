//! `POST /train`: a request becomes a queued training.

use super::{
    datasets,
    error::{Problem, Slug},
    events, extract,
    extract::{Json, JsonBytes, Query},
    idempotency::{self, Done},
    json,
    models::check_tags,
    observe::RequestId,
    schema,
    trainings::{self, Training},
};
use crate::{
    app::App,
    dataset::Warning,
    id::{DatasetId, TrainingId},
    storage::{self, DatasetRecord, Db, NewTraining},
    training::{self, Checked, TrainRequest},
};
use axum::{
    Extension,
    extract::State,
    http::{HeaderMap, HeaderName, HeaderValue, StatusCode, header},
    response::{IntoResponse, Response},
};
use serde::{Deserialize, Serialize};
use serde_json::Value;
use std::time::Duration;
use utoipa::ToSchema;
use utoipa_axum::{router::OpenApiRouter, routes};

/// The routes of this file.
pub fn routes() -> OpenApiRouter<App> {
    OpenApiRouter::new().routes(routes!(create_training))
}

/// How a training is asked for.
#[derive(Debug, Deserialize, utoipa::IntoParams)]
#[into_params(parameter_in = Query)]
#[serde(deny_unknown_fields)]
pub struct TrainQuery {
    /// Check everything, show the resolved settings and an estimate, and train nothing.
    #[serde(default)]
    dry_run: bool,
}

/// What a training would do.
#[derive(Debug, Serialize, ToSchema)]
pub struct DryRun {
    /// Always true.
    dry_run: bool,
    /// The dataset it would learn from.
    #[schema(value_type = uuid::Uuid)]
    dataset_id: DatasetId,
    /// Every setting as resolved.
    #[schema(value_type = Object)]
    settings: Value,
    /// What it would cost.
    estimate: Estimate,
    /// What was chosen for the caller, and which columns would be left out.
    #[schema(value_type = Vec<schema::Warning>)]
    warnings: Vec<Warning>,
}

/// What a training would cost, about.
#[derive(Debug, Serialize, ToSchema)]
pub struct Estimate {
    /// Seconds on this machine.
    train_s: f64,
    /// Bytes of memory at the peak.
    memory_bytes: u64,
    /// Trained numbers of one network.
    n_parameters: u64,
}

/// Train a network
///
/// Every field is optional: without `dataset_id` the newest dataset is used, without a target its last usable column;
/// the answer's warnings say what was chosen. The training is queued and outlives a restart: follow it at the
/// `Location`. `Prefer: wait=60` answers 200 with the finished training if it ends in time.
#[utoipa::path(post, path = "/train", tag = "trainings",
    params(
        TrainQuery,
        ("Prefer" = Option<String>, Header, description = "`wait=60` waits so many seconds for the end", example = "wait=60"),
        ("Idempotency-Key" = Option<String>, Header, description = "Does the request once, however often it is sent")
    ),
    request_body = schema::TrainRequest,
    responses(
        (status = 202, body = Training, description = "Queued", headers(
            ("Location" = String, description = "The training"),
            ("Retry-After" = u32, description = "Seconds after which to look"))),
        (status = 200, body = TrainAnswer, description = "Ended in the time that `Prefer: wait` gave, or a dry run")
    ))]
pub async fn create_training(
    State(app): State<App>,
    Extension(request_id): Extension<RequestId>,
    Query(query): Query<TrainQuery>,
    headers: HeaderMap,
    JsonBytes(bytes): JsonBytes,
) -> Result<Response, Problem> {
    let db = app.db()?;
    let request = read_request(&bytes)?;
    if query.dry_run {
        let (dataset, checked) = check(&app, db, request).await?;
        return Ok(Json(dry_run(&dataset, checked)?).into_response());
    }
    let work = enqueue(&app, db, &request_id, request);
    let fingerprint = idempotency::fingerprint(&[&bytes]);
    let queued = idempotency::once(&app, db, &headers, "POST /train", &fingerprint, work).await?;
    answer(&app, db, &headers, queued).await
}

/// Reads the body. `1e3` is a whole number too, as JSON has only one kind, and a value of the wrong
/// type is pointed at: as every field is optional, each can be tried alone.
fn read_request(bytes: &[u8]) -> Result<TrainRequest, Problem> {
    let mut body: Value = json::from_slice(bytes)?;
    whole_numbers(&mut body);
    let Value::Object(fields) = &body else {
        return Err(Problem::new(
            Slug::InvalidParameter,
            "the body must be a JSON object; {} trains with all defaults",
        ));
    };
    for (name, value) in fields {
        let alone = Value::Object([(name.clone(), value.clone())].into_iter().collect());
        if let Err(error) = serde_json::from_value::<TrainRequest>(alone) {
            return Err(Problem::invalid(&format!("/{}", super::printable(name)), error.to_string()));
        }
    }
    serde_json::from_value(body).map_err(|error| Problem::new(Slug::InvalidParameter, error.to_string()))
}

fn whole_numbers(value: &mut Value) {
    match value {
        Value::Number(number) => {
            let whole = number.as_f64().filter(|n| number.is_f64() && n.fract() == 0.0 && n.abs() < 9e15);
            if let Some(whole) = whole {
                *number = (whole as i64).into();
            }
        }
        Value::Array(items) => items.iter_mut().for_each(whole_numbers),
        Value::Object(fields) => fields.values_mut().for_each(whole_numbers),
        _ => {}
    }
}

/// What 200 holds.
#[derive(Debug, Serialize, ToSchema)]
#[serde(untagged)]
pub enum TrainAnswer {
    /// The finished training.
    Training(Box<Training>),
    /// The settings and the estimate.
    DryRun(Box<DryRun>),
}

fn dry_run(dataset: &DatasetRecord, checked: Checked) -> Result<DryRun, Problem> {
    let Checked { spec, warnings, estimate } = checked;
    Ok(DryRun {
        dry_run: true,
        dataset_id: dataset.dataset_id,
        settings: serde_json::to_value(spec).map_err(Problem::internal)?,
        estimate: Estimate {
            train_s: estimate.train_s,
            memory_bytes: estimate.memory_bytes,
            n_parameters: estimate.n_parameters,
        },
        warnings,
    })
}

/// Fills in what the request leaves open, and checks all of it.
async fn check(app: &App, db: &Db, mut request: TrainRequest) -> Result<(DatasetRecord, Checked), Problem> {
    let mut chosen = Vec::new();
    let dataset = match request.dataset_id {
        Some(dataset_id) => {
            storage::datasets::get(db, dataset_id).await?.ok_or_else(|| datasets::not_found(dataset_id))?
        }
        None => {
            let newest = storage::datasets::newest(db).await?.ok_or_else(|| {
                Problem::new(Slug::NoDataset, "the request names no dataset_id, and nothing was uploaded yet")
            })?;
            chosen.push(warning(
                "chosen-dataset",
                format!(
                    "no dataset_id was given; the newest dataset, \"{}\" ({}), is used",
                    newest.name, newest.dataset_id
                ),
            ));
            newest
        }
    };
    if let Some(tags) = &request.tags {
        check_tags(tags)?;
    }
    if let Some(name) = &request.model_name {
        if let Some(other) = storage::models::other_spelling(db, name).await? {
            return Err(Problem::new(
                Slug::NameInUse,
                format!(
                    "a model is called \"{other}\", which differs from \"{name}\" only in its spelling; use the one or another name"
                ),
            ));
        }
        if request.target.is_none() && request.targets.is_none() {
            if let Some(model) = storage::models::resolve(db, name).await? {
                if model
                    .targets
                    .iter()
                    .all(|target| dataset.description.columns.iter().any(|c| c.name == *target))
                {
                    chosen.push(warning(
                        "chosen-target",
                        format!(
                            "no target was given; that of {} version {} is used",
                            model.model_name, model.version
                        ),
                    ));
                    request.targets = Some(model.targets);
                }
            }
        }
    }
    let limits = training::Limits { memory_bytes: app.settings().training.train_memory.bytes() };
    let mut checked = training::check(&request, &dataset.description, &dataset.name, &limits)?;
    chosen.append(&mut checked.warnings);
    checked.warnings = chosen;
    Ok((dataset, checked))
}

fn warning(code: &str, message: String) -> Warning {
    Warning { code: code.to_owned(), column: None, message }
}

async fn enqueue(app: &App, db: &Db, request_id: &RequestId, request: TrainRequest) -> Result<Done, Problem> {
    let (dataset, checked) = check(app, db, request).await?;
    let new = NewTraining {
        training_id: TrainingId::new(),
        dataset_id: dataset.dataset_id,
        model_name: checked.spec.model_name.clone(),
        tags: checked.spec.tags.clone(),
        request: serde_json::to_value(&checked.spec).map_err(Problem::internal)?,
        warnings: checked.warnings,
    };
    let limit = app.settings().training.queue_limit;
    let record = storage::trainings::enqueue(db, new, limit, app.clock().now()).await?;
    app.live().wake_worker();
    let details = serde_json::json!({"dataset_id": record.dataset_id});
    events::append(app, db, request_id, "train", "training", record.training_id, details).await;
    Ok(Done {
        status: StatusCode::ACCEPTED,
        location: Some(format!("/trainings/{}", record.training_id)),
        body: serde_json::to_string(&Training::of(record, Vec::new())).map_err(Problem::internal)?,
    })
}

/// Answers at once, or waits as the client prefers.
async fn answer(app: &App, db: &Db, headers: &HeaderMap, mut queued: Response) -> Result<Response, Problem> {
    queued.headers_mut().insert(header::RETRY_AFTER, HeaderValue::from_static("1"));
    let Some(wait_s) = extract::prefer_wait(headers) else { return Ok(queued) };
    let wait = Duration::from_secs(wait_s).min(app.settings().server.max_wait_s.duration());
    let location = queued.headers().get(header::LOCATION).and_then(|value| value.to_str().ok());
    let id =
        location.and_then(|location| location.strip_prefix("/trainings/")).unwrap_or_default().to_owned();
    let training = trainings::wait_for_end(app, db, &id, wait).await?;
    let mut response = if training.is_final() {
        extract::with_status(StatusCode::OK, &format!("/trainings/{id}"), training)
    } else {
        queued
    };
    if let Ok(applied) = HeaderValue::from_str(&format!("wait={}", wait.as_secs())) {
        response.headers_mut().insert(HeaderName::from_static("preference-applied"), applied);
    }
    Ok(response)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_are_whole_however_they_are_written() {
        let request = read_request(br#"{"epochs": 1e3, "batch_size": 32.0, "dropout": 0}"#).unwrap();
        assert_eq!((request.epochs, request.batch_size, request.dropout), (Some(1000), Some(32), Some(0.0)));
    }

    #[test]
    fn a_wrong_value_is_pointed_at() {
        for (body, pointer) in [
            (r#"{"seed": 1, "epochs": "many"}"#, "/epochs"),
            (r#"{"epoch": 1}"#, "/epoch"),
            (r#"{"validation": {"test_size": "x"}}"#, "/validation"),
        ] {
            let problem = read_request(body.as_bytes()).unwrap_err();
            assert!(format!("{problem:?}").contains(pointer), "{problem:?}");
        }
        assert!(read_request(b"[]").is_err());
    }
}
