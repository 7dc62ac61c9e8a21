//! Files that are answered in the background: listed, shown, followed, downloaded, cancelled, deleted.

mod follow;

use super::{
    download::{self, Download, Source},
    error::{Problem, Slug},
    events,
    extract::{Json, Path, Query, parse_id},
    list::{page, paged},
    observe::RequestId,
    predict::file::{answer_name, media_type},
    schema,
    trainings::Failure,
};
use crate::{
    app::App,
    dataset::Warning,
    id::{ModelId, PredictionId},
    storage::{
        AnswerFormat, BlobKey, Db, JobError, JobStatus, PredictionFilter, PredictionRecord, predictions,
    },
};
use axum::{
    Extension,
    extract::State,
    http::{HeaderMap, Method, StatusCode, Uri},
    response::Response,
};
use chrono::{DateTime, Utc};
use serde::{Deserialize, Serialize};
use std::time::Duration;
use tokio::time::Instant;
use utoipa::ToSchema;
use utoipa_axum::{router::OpenApiRouter, routes};

/// How long a listener sleeps at most: workers of other processes cannot wake it.
const LOOK_AGAIN: Duration = Duration::from_secs(1);

/// The routes of this folder.
pub fn routes() -> OpenApiRouter<App> {
    OpenApiRouter::new()
        .routes(routes!(list_predictions))
        .routes(routes!(show_prediction, delete_prediction))
        .routes(routes!(follow::follow_prediction))
        .routes(routes!(download_prediction))
        .routes(routes!(cancel_prediction))
}

/// A file that is answered in the background: how far it is, what came of it.
#[derive(Debug, Serialize, ToSchema)]
pub struct Prediction {
    /// The identifier.
    #[schema(value_type = uuid::Uuid)]
    prediction_id: PredictionId,
    /// `queued`, `running`, `succeeded`, `failed` or `cancelled`.
    #[schema(value_type = String, example = "running", pattern = "^(queued|running|succeeded|failed|cancelled)$")]
    status: JobStatus,
    /// 0 to 1.
    #[schema(example = 0.41)]
    progress: f64,
    /// Rows of the file; null until it has been read.
    rows: Option<u64>,
    /// Rows that have been answered.
    rows_done: u64,
    /// Of these, the rows that are unlike those of the training.
    rows_outside: u64,
    /// The model that answers.
    #[schema(value_type = uuid::Uuid)]
    model_id: ModelId,
    /// The name of the file that was sent.
    filename: String,
    /// What the answer is, `csv` or `xlsx`; null where that depends on a file that has not been read yet.
    #[schema(value_type = Option<String>, example = "csv")]
    format: Option<AnswerFormat>,
    /// Where the answer is, once there is one.
    #[schema(example = "/predictions/0191e0c4-0000-7000-8000-000000000000/file")]
    file: Option<String>,
    /// Size of the answer.
    size_bytes: Option<u64>,
    /// SHA-256 of the answer, in hexadecimal.
    sha256: Option<String>,
    /// What was noticed while the file was read, such as lines that are no rows of its table.
    #[schema(value_type = Vec<schema::Warning>)]
    file_warnings: Vec<Warning>,
    /// Why it failed.
    #[schema(value_type = Option<Failure>)]
    error: Option<JobError>,
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
    /// Until when it is kept, at least.
    expires_at: Option<DateTime<Utc>>,
}

impl Prediction {
    /// The answer about one file.
    pub fn of(app: &App, record: PredictionRecord) -> Self {
        let is_answered = record.status == JobStatus::Succeeded;
        let progress = match record.rows {
            _ if is_answered => 1.0,
            Some(rows) if rows > 0 => record.rows_done as f64 / rows as f64,
            _ => 0.0,
        };
        let kept = chrono::Duration::from_std(app.settings().prediction.file_keep_s.duration());
        let expires = |finished: DateTime<Utc>| kept.ok().and_then(|kept| finished.checked_add_signed(kept));
        Self {
            prediction_id: record.prediction_id,
            status: record.status,
            progress,
            rows: record.rows,
            rows_done: record.rows_done,
            rows_outside: record.rows_outside,
            model_id: record.model_id,
            filename: record.filename,
            format: record.request.format,
            file: is_answered.then(|| format!("/predictions/{}/file", record.prediction_id)),
            size_bytes: record.size_bytes,
            sha256: record.sha256,
            file_warnings: record.file_warnings,
            error: record.error,
            cancel_requested: record.cancel_requested,
            attempt: record.attempt,
            created_at: record.created_at,
            started_at: record.started_at,
            finished_at: record.finished_at,
            expires_at: record.finished_at.and_then(expires),
        }
    }

    /// Whether it has ended.
    pub fn is_final(&self) -> bool {
        self.status.is_final()
    }
}

/// Which files.
#[derive(Debug, Deserialize, utoipa::IntoParams)]
#[into_params(parameter_in = Query)]
#[serde(deny_unknown_fields)]
pub struct PredictionQuery {
    /// In this status.
    #[param(value_type = Option<String>, pattern = "^(queued|running|succeeded|failed|cancelled)$")]
    status: Option<JobStatus>,
    /// Answered by this model.
    #[param(value_type = Option<uuid::Uuid>)]
    model_id: Option<ModelId>,
    /// Items per page; 50 if absent.
    #[param(minimum = 1, maximum = 500)]
    limit: Option<u32>,
    /// The `next_cursor` of the page before.
    cursor: Option<String>,
}

/// One page of files.
#[derive(Debug, Serialize, ToSchema)]
pub struct PredictionList {
    /// Newest first.
    predictions: Vec<Prediction>,
    /// Give this as `cursor` for the next page; null on the last.
    next_cursor: Option<String>,
}

/// List the files that are answered in the background, newest first
#[utoipa::path(get, path = "/predictions", tag = "predictions", params(PredictionQuery),
    responses((status = 200, body = PredictionList)))]
pub async fn list_predictions(
    State(app): State<App>,
    uri: Uri,
    Query(query): Query<PredictionQuery>,
) -> Result<Response, Problem> {
    let page = page(query.limit, query.cursor)?;
    let filter = PredictionFilter { status: query.status, model_id: query.model_id };
    let slice = predictions::list(app.db()?, &filter, &page).await?;
    let predictions = slice.items.into_iter().map(|record| Prediction::of(&app, record)).collect();
    Ok(paged(&uri, slice.next_cursor, |next_cursor| PredictionList { predictions, next_cursor }))
}

/// Whether to wait.
#[derive(Debug, Deserialize, utoipa::IntoParams)]
#[into_params(parameter_in = Query)]
#[serde(deny_unknown_fields)]
pub struct PredictionWaitQuery {
    /// Answer when the file has ended, or after so many seconds.
    #[param(minimum = 0, maximum = 65535)]
    wait: Option<u16>,
}

/// Show a file that is answered in the background
#[utoipa::path(get, path = "/predictions/{prediction_id}", tag = "predictions",
    params(("prediction_id" = uuid::Uuid, Path), PredictionWaitQuery), responses((status = 200, body = Prediction)))]
pub async fn show_prediction(
    State(app): State<App>,
    Path(prediction_id): Path<String>,
    Query(query): Query<PredictionWaitQuery>,
) -> Result<Json<Prediction>, Problem> {
    let wait = Duration::from_secs(query.wait.unwrap_or(0).into());
    let wait = wait.min(app.settings().server.max_wait_s.duration());
    Ok(Json(wait_for_end(&app, app.db()?, &prediction_id, wait).await?))
}

/// The file when it has ended, or as it is when `wait` is over.
pub async fn wait_for_end(
    app: &App,
    db: &Db,
    prediction_id: &str,
    wait: Duration,
) -> Result<Prediction, Problem> {
    let prediction_id = parse_id(prediction_id, Slug::PredictionNotFound)?;
    let deadline = Instant::now() + wait;
    let mut listener = app.live_files().subscribe(prediction_id);
    loop {
        let record = find(db, prediction_id).await?;
        let left = deadline.saturating_duration_since(Instant::now());
        if record.status.is_final() || left.is_zero() || app.shutdown().is_cancelled() {
            return Ok(Prediction::of(app, record));
        }
        tokio::select! {
            () = listener.changed(left.min(LOOK_AGAIN)) => {}
            () = app.shutdown().cancelled() => {}
        }
    }
}

async fn find(db: &Db, prediction_id: PredictionId) -> Result<PredictionRecord, Problem> {
    predictions::get(db, prediction_id).await?.ok_or_else(|| {
        Problem::new(
            Slug::PredictionNotFound,
            format!("there is no prediction {prediction_id}; GET /predictions lists them"),
        )
    })
}

/// Download a file with its answers
///
/// Answers ranges and validators: the strong `ETag` is the SHA-256.
#[utoipa::path(get, path = "/predictions/{prediction_id}/file", tag = "predictions",
    params(("prediction_id" = uuid::Uuid, Path)),
    responses(
        (status = 200, description = "The file", content(
            (String = "text/csv"),
            (String = "application/vnd.openxmlformats-officedocument.spreadsheetml.sheet"))),
        (status = 206, description = "Some of its bytes", content(
            (String = "text/csv"),
            (String = "application/vnd.openxmlformats-officedocument.spreadsheetml.sheet"))),
        (status = 304, description = "The client has it")
    ))]
pub async fn download_prediction(
    State(app): State<App>,
    Extension(request_id): Extension<RequestId>,
    method: Method,
    headers: HeaderMap,
    Path(prediction_id): Path<String>,
) -> Result<Response, Problem> {
    let db = app.db()?;
    let prediction_id: PredictionId = parse_id(&prediction_id, Slug::PredictionNotFound)?;
    let record = find(db, prediction_id).await?;
    let (Some(key @ BlobKey::Answered { .. }), Some(format), Some(size_bytes), Some(sha256)) =
        (record.blob(), record.request.format, record.size_bytes, &record.sha256)
    else {
        return Err(no_answer(&record));
    };
    let file = Download {
        source: Source::Blob(key),
        size_bytes,
        etag: sha256,
        sha256,
        filename: &answer_name(&record.filename, format),
        media_type: media_type(format),
        is_shown: false,
    };
    let Some(response) = download::send(app.blobs(), &method, &headers, &file).await? else {
        return Err(Problem::file_missing("the file with the answers is missing"));
    };
    if response.status() == StatusCode::OK && method == Method::GET {
        events::append(
            &app,
            db,
            &request_id,
            "download",
            "prediction",
            prediction_id,
            serde_json::json!({"size_bytes": size_bytes}),
        )
        .await;
    }
    Ok(response)
}

/// Why there is nothing to download.
fn no_answer(record: &PredictionRecord) -> Problem {
    let id = record.prediction_id;
    let detail = match &record.error {
        Some(error) => format!("the prediction {id} has failed: {}", error.detail),
        None if record.status.is_final() => format!("the prediction {id} was cancelled; send the file again"),
        None => {
            format!("the prediction {id} is {}; wait for it: GET /predictions/{id}?wait=30", record.status)
        }
    };
    Problem::new(Slug::PredictionNotReady, detail)
}

/// Cancel a file that is answered in the background
///
/// A waiting one is cancelled at once, a running one stops within two seconds.
#[utoipa::path(post, path = "/predictions/{prediction_id}/cancel", tag = "predictions",
    params(("prediction_id" = uuid::Uuid, Path)), responses((status = 200, body = Prediction)))]
pub async fn cancel_prediction(
    State(app): State<App>,
    Extension(request_id): Extension<RequestId>,
    Path(prediction_id): Path<String>,
) -> Result<Json<Prediction>, Problem> {
    let db = app.db()?;
    let prediction_id: PredictionId = parse_id(&prediction_id, Slug::PredictionNotFound)?;
    let Some(record) = predictions::request_cancel(db, prediction_id, app.clock().now()).await? else {
        let record = find(db, prediction_id).await?;
        return Err(Problem::new(
            Slug::JobAlreadyFinished,
            format!("the prediction has {} already", record.status),
        ));
    };
    if record.status.is_final() {
        remove(&app, BlobKey::Asked(prediction_id)).await;
    }
    app.live_files().nudge(prediction_id);
    app.live_files().wake(prediction_id);
    events::append(&app, db, &request_id, "cancel", "prediction", prediction_id, serde_json::Value::Null)
        .await;
    Ok(Json(Prediction::of(&app, record)))
}

/// Delete a file that is answered in the background
///
/// With its answers; one that is being answered stops.
#[utoipa::path(delete, path = "/predictions/{prediction_id}", tag = "predictions",
    params(("prediction_id" = uuid::Uuid, Path)), responses((status = 204, description = "Deleted")))]
pub async fn delete_prediction(
    State(app): State<App>,
    Extension(request_id): Extension<RequestId>,
    Path(prediction_id): Path<String>,
) -> Result<StatusCode, Problem> {
    let db = app.db()?;
    let prediction_id: PredictionId = parse_id(&prediction_id, Slug::PredictionNotFound)?;
    let Some(record) = predictions::delete(db, prediction_id).await? else {
        find(db, prediction_id).await?;
        return Ok(StatusCode::NO_CONTENT);
    };
    if let Some(key) = record.blob() {
        remove(&app, key).await;
    }
    app.live_files().nudge(prediction_id);
    app.live_files().wake(prediction_id);
    events::append(&app, db, &request_id, "delete", "prediction", prediction_id, serde_json::Value::Null)
        .await;
    Ok(StatusCode::NO_CONTENT)
}

/// The row is gone, so the file is nobody's: what cannot be removed now is left to the sweep.
async fn remove(app: &App, key: BlobKey) {
    if let Err(error) = app.blobs().delete(&key).await {
        tracing::warn!(%error, %key, "a file stays behind; the sweep removes it");
    }
}
