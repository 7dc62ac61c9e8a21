//! `POST /upload` with `Prefer: respond-async`: the file is read while the sender does not wait, and
//! `GET /readings/{reading_id}` says how far it has come.
//!
//! ```text
//! 202 /readings/01a2..   queued -> reading -> stored     the dataset is there, on stable storage
//!                                          -> refused    with the problem that 4xx would have been
//! ```
//!
//! A reading lives in the process that took the upload, which says every second that it is alive.
//! One that has not been heard of for some time was lost with its process, and ends so.

use super::{
    error::{Problem, Slug},
    events,
    extract::{Json, Path, Query, parse_id},
    idempotency::Done,
    observe::RequestId,
    upload,
};
use crate::{
    app::{App, TempFile},
    dataset::{Look, ReadOptions},
    id::{DatasetId, ReadingId},
    storage::{DatasetRecord, Db, ReadingEnd, ReadingRecord, ReadingStatus, StorageError, readings},
    telemetry,
};
use axum::{
    extract::State,
    http::{HeaderMap, HeaderValue, StatusCode},
};
use chrono::{DateTime, Utc};
use serde::{Deserialize, Serialize};
use serde_json::Value;
use std::time::{Duration, Instant};
use tokio::sync::watch;
use utoipa::ToSchema;
use utoipa_axum::{router::OpenApiRouter, routes};

/// How often a reading says how far it has come.
const HEARTBEAT: Duration = Duration::from_secs(1);
/// A reading that was not heard of for so long is lost.
const LOST_AFTER: chrono::Duration = chrono::Duration::seconds(30);
/// How often a waiting client's answer is looked for.
const LOOK_AGAIN: Duration = Duration::from_millis(250);

/// The routes of this file.
pub fn routes() -> OpenApiRouter<App> {
    OpenApiRouter::new().routes(routes!(show_reading))
}

/// An upload that is being read.
#[derive(Debug, Serialize, ToSchema)]
pub struct Reading {
    /// The identifier.
    #[schema(value_type = uuid::Uuid)]
    reading_id: ReadingId,
    /// `queued`, `reading`, `stored` or `refused`.
    #[schema(value_type = String, example = "reading", pattern = "^(queued|reading|stored|refused)$")]
    status: ReadingStatus,
    /// `checking`, `reading`, `describing` or `storing`; null before it begins.
    #[schema(example = "reading")]
    phase: Option<String>,
    /// 0 to 1, about.
    #[schema(example = 0.41)]
    progress: f64,
    /// Rows of the table read so far.
    #[schema(example = 1_200_000)]
    rows: u64,
    /// The name of the file as it was sent.
    filename: String,
    /// Size of the bytes as sent.
    size_bytes: u64,
    /// The dataset, once it is stored: `GET /datasets/{dataset_id}`.
    #[schema(value_type = Option<uuid::Uuid>)]
    dataset_id: Option<DatasetId>,
    /// Why it was refused: the problem document that a waiting sender would have got.
    #[schema(value_type = Option<Object>)]
    problem: Option<Value>,
    /// When it was accepted.
    created_at: DateTime<Utc>,
    /// When its turn came.
    started_at: Option<DateTime<Utc>>,
    /// When it ended.
    finished_at: Option<DateTime<Utc>>,
}

impl From<ReadingRecord> for Reading {
    fn from(record: ReadingRecord) -> Self {
        Self {
            reading_id: record.reading_id,
            status: record.status,
            phase: record.phase,
            progress: record.progress,
            rows: record.rows_read,
            filename: record.filename,
            size_bytes: record.size_bytes,
            dataset_id: record.dataset_id,
            problem: record.problem,
            created_at: record.created_at,
            started_at: record.started_at,
            finished_at: record.finished_at,
        }
    }
}

/// Whether to wait.
#[derive(Debug, Deserialize, utoipa::IntoParams)]
#[into_params(parameter_in = Query)]
#[serde(deny_unknown_fields)]
pub struct ReadingQuery {
    /// Answer when the reading has ended, or after so many seconds.
    #[param(minimum = 0, maximum = 65535)]
    wait: Option<u16>,
}

/// Follow the reading of an upload
///
/// For an upload that was sent with `Prefer: respond-async`. A reading whose server was stopped ends as `refused` with
/// the problem `reading-interrupted`: send the file again.
#[utoipa::path(get, path = "/readings/{reading_id}", tag = "datasets",
    params(("reading_id" = uuid::Uuid, Path), ReadingQuery), responses((status = 200, body = Reading)))]
pub async fn show_reading(
    State(app): State<App>,
    Path(reading_id): Path<String>,
    Query(query): Query<ReadingQuery>,
) -> Result<Json<Reading>, Problem> {
    let db = app.db()?;
    let reading_id: ReadingId = parse_id(&reading_id, Slug::ReadingNotFound)?;
    let wait = Duration::from_secs(query.wait.unwrap_or(0).into());
    let deadline = Instant::now() + wait.min(app.settings().server.max_wait_s.duration());
    loop {
        let record = find(&app, db, reading_id).await?;
        let left = deadline.saturating_duration_since(Instant::now());
        if record.status.is_final() || left.is_zero() || app.shutdown().is_cancelled() {
            return Ok(Json(record.into()));
        }
        tokio::time::sleep(left.min(LOOK_AGAIN)).await;
    }
}

/// The reading, ended if its process is gone.
async fn find(app: &App, db: &Db, reading_id: ReadingId) -> Result<ReadingRecord, Problem> {
    let get = || async {
        readings::get(db, reading_id)
            .await?
            .ok_or_else(|| Problem::new(Slug::ReadingNotFound, format!("there is no reading {reading_id}")))
    };
    let record = get().await?;
    let now = app.clock().now();
    if record.status.is_final() || record.seen_at >= now - LOST_AFTER {
        return Ok(record);
    }
    readings::end_lost(db, now - LOST_AFTER, interrupted().document(None), now).await?;
    get().await
}

fn interrupted() -> Problem {
    Problem::new(
        Slug::ReadingInterrupted,
        "the server was stopped before the file was read and stored; send it again",
    )
}

/// Whether the client prefers not to wait for the end.
pub fn prefers_async(headers: &HeaderMap) -> bool {
    headers
        .get_all("prefer")
        .iter()
        .filter_map(|value| value.to_str().ok())
        .flat_map(|value| value.split([',', ';']))
        .any(|preference| preference.trim().eq_ignore_ascii_case("respond-async"))
}

/// A received file that is to be read.
#[derive(Debug)]
pub struct Waiting {
    /// Where it is; removed when the reading has ended.
    pub file: TempFile,
    /// Its name.
    pub filename: String,
    /// What the dataset is to be called.
    pub name: String,
    /// What the caller overrides.
    pub options: ReadOptions,
    /// SHA-256 in hexadecimal.
    pub sha256: String,
    /// Its length.
    pub size_bytes: u64,
}

/// Begins to read a file in the background, and answers where to follow it.
pub async fn begin(app: &App, db: &Db, request_id: &RequestId, waiting: Waiting) -> Result<Done, Problem> {
    let limit = app.settings().training.queue_limit;
    if readings::count_open(db, app.clock().now() - LOST_AFTER).await? >= limit {
        return Err(Problem::new(Slug::QueueFull, format!("{limit} uploads are waiting to be read already")));
    }
    let reading_id = ReadingId::new();
    readings::insert(db, reading_id, &waiting.filename, waiting.size_bytes, app.clock().now()).await?;
    let record = find(app, db, reading_id).await?;
    // The server does not stop under it without having ended it.
    let active = app.request_begins(true);
    let (app, db, request_id) = (app.clone(), db.clone(), request_id.clone());
    tokio::spawn(async move {
        run(&app, &db, &request_id, reading_id, waiting).await;
        drop(active);
    });
    Ok(Done {
        status: StatusCode::ACCEPTED,
        location: Some(format!("/readings/{reading_id}")),
        body: serde_json::to_string(&Reading::from(record)).map_err(Problem::internal)?,
    })
}

/// What the answer of [`begin`] carries beside its body.
pub fn add_headers(headers: &mut HeaderMap) {
    headers.insert(axum::http::header::RETRY_AFTER, HeaderValue::from_static("1"));
    headers.insert("preference-applied", HeaderValue::from_static("respond-async"));
}

/// Reads the file to its end, telling the database every second how far it has come.
async fn run(app: &App, db: &Db, request_id: &RequestId, reading_id: ReadingId, waiting: Waiting) {
    let (seen, looks) = watch::channel(None);
    let reading = store(app, db, request_id, &waiting, &seen);
    tokio::pin!(reading);
    let mut heartbeat = tokio::time::interval(HEARTBEAT);
    let outcome = loop {
        tokio::select! {
            outcome = &mut reading => break outcome,
            () = app.shutdown().cancelled() => break Err(interrupted()),
            _ = heartbeat.tick() => {
                let look: Option<Look> = *looks.borrow();
                if let Err(error) = tell(app, db, reading_id, look).await {
                    tracing::warn!(%error, %reading_id, "cannot tell how far a reading has come");
                }
            }
        }
    };
    let (label, end) = match outcome {
        Ok(record) => ("stored", ReadingEnd::Stored(record.dataset_id, record.rows)),
        Err(problem) => ("refused", ReadingEnd::Refused(problem.document(Some(request_id.as_str())))),
    };
    metrics::counter!(telemetry::UPLOADS, "outcome" => label).increment(1);
    if let Err(error) = readings::finish(db, reading_id, end, app.clock().now()).await {
        // It ends as lost when somebody asks for it.
        tracing::error!(%error, %reading_id, "cannot tell how a reading ended");
    }
}

async fn tell(app: &App, db: &Db, reading_id: ReadingId, look: Option<Look>) -> Result<(), StorageError> {
    let phase = look.map(|look| look.phase.as_str());
    let Look { progress, rows, .. } = look.unwrap_or_default();
    readings::progress(db, reading_id, phase, progress, rows, app.clock().now()).await
}

async fn store(
    app: &App,
    db: &Db,
    request_id: &RequestId,
    waiting: &Waiting,
    seen: &watch::Sender<Option<Look>>,
) -> Result<DatasetRecord, Problem> {
    let Waiting { file, filename, name, options, sha256, size_bytes } = waiting;
    let mut on_look = |look| {
        seen.send_replace(Some(look));
    };
    let new = upload::NewDataset { filename, name: name.clone(), options, sha256, size_bytes: *size_bytes };
    let record = upload::read_and_insert(app, db, file.path(), new, &mut on_look).await?;
    let details = serde_json::json!({"size_bytes": record.size_bytes, "rows": record.rows});
    events::append(app, db, request_id, "upload", "dataset", record.dataset_id, details).await;
    Ok(record)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn who_does_not_want_to_wait() {
        let headers =
            |value: &str| HeaderMap::from_iter([("prefer".parse().unwrap(), value.parse().unwrap())]);
        assert!(prefers_async(&headers("respond-async")));
        assert!(prefers_async(&headers("wait=5, Respond-Async")));
        assert!(!prefers_async(&headers("wait=5")));
        assert!(!prefers_async(&HeaderMap::new()));
    }
}
