//! Trainings: listed, shown, followed, cancelled.

use super::{
    error::{Problem, Slug},
    events,
    extract::{Json, Path, Query, parse_id},
    list::{page, paged},
    observe::RequestId,
    schema,
};
use crate::{
    app::App,
    dataset::Warning,
    id::{DatasetId, ModelId, TrainingId},
    storage::{
        Db, EpochRecord, JobError, JobStatus, LogRecord, TrainingFilter, TrainingRecord,
        trainings::{self, Cancellation},
    },
};
use axum::{Extension, extract::State, http::Uri, response::Response};
use chrono::{DateTime, Utc};
use serde::{Deserialize, Serialize};
use std::{collections::BTreeMap, time::Duration};
use tokio::time::Instant;
use utoipa::ToSchema;
use utoipa_axum::{router::OpenApiRouter, routes};

/// Most epochs in one answer.
const MAX_HISTORY: u32 = 100_000;
/// How long a listener sleeps at most: workers of other processes cannot wake it.
const LOOK_AGAIN: Duration = Duration::from_secs(1);

/// The routes of this file.
pub fn routes() -> OpenApiRouter<App> {
    OpenApiRouter::new()
        .routes(routes!(list_trainings))
        .routes(routes!(show_training))
        .routes(routes!(list_logs))
        .routes(routes!(cancel_training))
        .routes(routes!(super::follow::follow_training))
}

/// A training: what was asked for, how far it is, what came of it.
#[derive(Debug, Serialize, ToSchema)]
pub struct Training {
    /// The identifier.
    #[schema(value_type = uuid::Uuid)]
    training_id: TrainingId,
    /// `queued`, `running`, `succeeded`, `failed` or `cancelled`.
    #[schema(value_type = String, example = "running", pattern = "^(queued|running|succeeded|failed|cancelled)$")]
    status: JobStatus,
    /// 0 to 1.
    #[schema(example = 0.41)]
    progress: f64,
    /// What it is doing.
    #[schema(example = "epoch 105 of 256")]
    message: String,
    /// Seconds left, as estimated.
    eta_s: Option<f64>,
    /// The dataset it learns from.
    #[schema(value_type = uuid::Uuid)]
    dataset_id: DatasetId,
    /// The name that the model gets.
    model_name: String,
    /// The labels that the model gets.
    tags: BTreeMap<String, String>,
    /// Every setting as resolved.
    #[schema(value_type = Object)]
    settings: serde_json::Value,
    /// The model, once there is one.
    #[schema(value_type = Option<uuid::Uuid>)]
    model_id: Option<ModelId>,
    /// The losses of the epochs so far; left out in lists.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(nullable = false)]
    history: Option<Vec<Epoch>>,
    /// Why it failed.
    #[schema(value_type = Option<Failure>)]
    error: Option<JobError>,
    /// What is to be noticed.
    #[schema(value_type = Vec<schema::Warning>)]
    warnings: Vec<Warning>,
    /// Why it ended before its last epoch: `early_stopping`, `time_limit`.
    stopped: Option<String>,
    /// Whether it was asked to stop.
    cancel_requested: bool,
    /// How often a worker has taken it: more than once after a crash or a restart.
    attempt: i64,
    /// When it was asked for.
    created_at: DateTime<Utc>,
    /// When a worker first took it.
    started_at: Option<DateTime<Utc>>,
    /// When it ended.
    finished_at: Option<DateTime<Utc>>,
}

/// Why a training failed.
#[derive(Debug, Serialize, ToSchema)]
pub struct Failure {
    /// A stable slug; `/problems/{slug}` explains it.
    #[schema(example = "training-diverged")]
    pub slug: String,
    /// What happened, and what to do about it.
    pub detail: String,
}

/// The losses of one epoch.
#[derive(Debug, Serialize, ToSchema)]
pub struct Epoch {
    /// Counts from 0.
    pub fold: i64,
    /// Counts from 1.
    pub epoch: i64,
    /// Loss on the training part; null if it was not finite.
    pub train_loss: Option<f64>,
    /// Loss on the validation part.
    pub validation_loss: Option<f64>,
    /// The learning rate at its end.
    pub learning_rate: f64,
}

impl From<EpochRecord> for Epoch {
    fn from(record: EpochRecord) -> Self {
        let EpochRecord { fold, epoch, train_loss, validation_loss, learning_rate, .. } = record;
        Self { fold, epoch, train_loss, validation_loss, learning_rate }
    }
}

impl Training {
    /// The answer about one training.
    pub fn of(record: TrainingRecord, history: Vec<EpochRecord>) -> Self {
        let history = Some(history.into_iter().map(Epoch::from).collect());
        Self { history, ..Self::summary(record) }
    }

    /// The same without its epochs.
    pub fn summary(record: TrainingRecord) -> Self {
        Self {
            training_id: record.training_id,
            status: record.status,
            progress: record.progress,
            message: record.message,
            eta_s: record.eta_s,
            dataset_id: record.dataset_id,
            model_name: record.model_name,
            tags: record.tags,
            settings: record.request,
            model_id: record.model_id,
            history: None,
            error: record.error,
            warnings: record.warnings,
            stopped: record.stopped,
            cancel_requested: record.cancel_requested,
            attempt: record.attempt,
            created_at: record.created_at,
            started_at: record.started_at,
            finished_at: record.finished_at,
        }
    }

    /// Whether it has ended.
    pub fn is_final(&self) -> bool {
        self.status.is_final()
    }
}

/// Which trainings.
#[derive(Debug, Deserialize, utoipa::IntoParams)]
#[into_params(parameter_in = Query)]
#[serde(deny_unknown_fields)]
pub struct TrainingQuery {
    /// In this status.
    #[param(value_type = Option<String>, pattern = "^(queued|running|succeeded|failed|cancelled)$")]
    status: Option<JobStatus>,
    /// On this dataset.
    #[param(value_type = Option<uuid::Uuid>)]
    dataset_id: Option<DatasetId>,
    /// For a model of this name.
    model_name: Option<String>,
    /// Items per page; 50 if absent.
    #[param(minimum = 1, maximum = 500)]
    limit: Option<u32>,
    /// The `next_cursor` of the page before.
    cursor: Option<String>,
}

/// One page of trainings.
#[derive(Debug, Serialize, ToSchema)]
pub struct TrainingList {
    /// Newest first.
    trainings: Vec<Training>,
    /// Give this as `cursor` for the next page; null on the last.
    next_cursor: Option<String>,
}

/// List the trainings, newest first
#[utoipa::path(get, path = "/trainings", tag = "trainings", params(TrainingQuery),
    responses((status = 200, body = TrainingList)))]
pub async fn list_trainings(
    State(app): State<App>,
    uri: Uri,
    Query(query): Query<TrainingQuery>,
) -> Result<Response, Problem> {
    let page = page(query.limit, query.cursor)?;
    let filter =
        TrainingFilter { status: query.status, dataset_id: query.dataset_id, model_name: query.model_name };
    let slice = trainings::list(app.db()?, &filter, &page).await?;
    let trainings = slice.items.into_iter().map(Training::summary).collect();
    Ok(paged(&uri, slice.next_cursor, |next_cursor| TrainingList { trainings, next_cursor }))
}

/// Whether to wait.
#[derive(Debug, Deserialize, utoipa::IntoParams)]
#[into_params(parameter_in = Query)]
#[serde(deny_unknown_fields)]
pub struct WaitQuery {
    /// Answer when the training has ended, or after so many seconds.
    #[param(minimum = 0, maximum = 65535)]
    wait: Option<u16>,
}

/// Show a training
#[utoipa::path(get, path = "/trainings/{training_id}", tag = "trainings",
    params(("training_id" = uuid::Uuid, Path), WaitQuery), responses((status = 200, body = Training)))]
pub async fn show_training(
    State(app): State<App>,
    Path(training_id): Path<String>,
    Query(query): Query<WaitQuery>,
) -> Result<Json<Training>, Problem> {
    let wait = Duration::from_secs(query.wait.unwrap_or(0).into());
    wait_for_end(&app, app.db()?, &training_id, wait.min(app.settings().server.max_wait_s.duration()))
        .await
        .map(Json)
}

/// The training when it has ended, or as it is after `wait`.
pub async fn wait_for_end(
    app: &App,
    db: &Db,
    training_id: &str,
    wait: Duration,
) -> Result<Training, Problem> {
    let deadline = Instant::now() + wait;
    let training_id = parse_id(training_id, Slug::TrainingNotFound)?;
    // Subscribed before the first look, so that no change falls between looking and waiting.
    let mut listener = app.live().subscribe(training_id);
    loop {
        let record = find(db, training_id).await?;
        let left = deadline.saturating_duration_since(Instant::now());
        if record.status.is_final() || left.is_zero() || app.shutdown().is_cancelled() {
            let history = trainings::epochs_after(db, training_id, 0, MAX_HISTORY).await?;
            return Ok(Training::of(record, history));
        }
        tokio::select! {
            () = listener.changed(left.min(LOOK_AGAIN)) => {}
            () = app.shutdown().cancelled() => {}
        }
    }
}

/// The training with this identifier.
pub async fn find(db: &Db, training_id: TrainingId) -> Result<TrainingRecord, Problem> {
    trainings::get(db, training_id).await?.ok_or_else(|| {
        Problem::new(
            Slug::TrainingNotFound,
            format!("there is no training {training_id}; GET /trainings lists them"),
        )
    })
}

/// Which log lines.
#[derive(Debug, Deserialize, utoipa::IntoParams)]
#[into_params(parameter_in = Query)]
#[serde(deny_unknown_fields)]
pub struct LogQuery {
    /// Only lines after the one with this `sequence`.
    #[serde(default, deserialize_with = "super::extract::not_negative")]
    #[param(minimum = 0)]
    after: i64,
    /// Lines per page; 500 if absent.
    #[param(minimum = 1, maximum = 5000)]
    limit: Option<u32>,
}

/// One log line.
#[derive(Debug, Serialize, ToSchema)]
pub struct LogLine {
    /// Its place; give the last one as `after` for the next page.
    sequence: i64,
    /// When it was written.
    at: DateTime<Utc>,
    /// `info`, `warning` or `error`.
    #[schema(example = "info")]
    level: String,
    /// What it says.
    message: String,
}

/// The log of a training.
#[derive(Debug, Serialize, ToSchema)]
pub struct Logs {
    /// In the order of writing.
    logs: Vec<LogLine>,
}

/// Read the log of a training
#[utoipa::path(get, path = "/trainings/{training_id}/logs", tag = "trainings",
    params(("training_id" = uuid::Uuid, Path), LogQuery), responses((status = 200, body = Logs)))]
pub async fn list_logs(
    State(app): State<App>,
    Path(training_id): Path<String>,
    Query(query): Query<LogQuery>,
) -> Result<Json<Logs>, Problem> {
    let db = app.db()?;
    let training_id = parse_id(&training_id, Slug::TrainingNotFound)?;
    let limit = query.limit.unwrap_or(500);
    if !(1..=5000).contains(&limit) {
        return Err(Problem::invalid("/limit", "must be 1 to 5000"));
    }
    find(db, training_id).await?;
    let lines = trainings::logs_after(db, training_id, query.after, limit).await?;
    let line = |LogRecord { sequence, at, level, message }| LogLine {
        sequence,
        at,
        level: level.to_string(),
        message,
    };
    Ok(Json(Logs { logs: lines.into_iter().map(line).collect() }))
}

/// Cancel a training
///
/// A waiting one is cancelled at once, a running one stops within two seconds.
#[utoipa::path(post, path = "/trainings/{training_id}/cancel", tag = "trainings",
    params(("training_id" = uuid::Uuid, Path)), responses((status = 200, body = Training)))]
pub async fn cancel_training(
    State(app): State<App>,
    Extension(request_id): Extension<RequestId>,
    Path(training_id): Path<String>,
) -> Result<Json<Training>, Problem> {
    let db = app.db()?;
    let training_id = parse_id(&training_id, Slug::TrainingNotFound)?;
    let outcome = trainings::request_cancel(db, training_id, app.clock().now()).await?;
    let record = match outcome {
        None => find(db, training_id).await?,
        Some(Cancellation::AlreadyFinished(record)) => {
            return Err(Problem::new(
                Slug::JobAlreadyFinished,
                format!("the training has {} already", record.status),
            ));
        }
        Some(Cancellation::Done(record) | Cancellation::Requested(record)) => record,
    };
    app.live().nudge(training_id);
    app.live().wake(training_id);
    events::append(&app, db, &request_id, "cancel", "training", training_id, serde_json::Value::Null).await;
    let history = trainings::epochs_after(db, training_id, 0, MAX_HISTORY).await?;
    Ok(Json(Training::of(record, history)))
}
