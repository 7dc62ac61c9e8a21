//! Trainings: durable jobs. Each is a row that a worker holds by a lease.
//!
//! ```text
//!            enqueue            claim                      models::commit
//!  (request) -------> queued ----------> running --------------------------> succeeded
//!                       |  ^               | |  \-- finish_failed ----------> failed
//!                       |  '--- release ---' |  \-- finish_cancelled -------> cancelled
//!                       |   (shutdown)       |
//!                       |                    '--> the lease runs out: the next claim takes the
//!                       |                         row over, and the one that finds it crashed
//!                       '--> cancelled            for the third time fails it
//!                        request_cancel
//! ```
//!
//! Every write of a worker carries its [`Lease`](super::Lease); a write that changes no row means that
//! the lease is lost, and the worker stops and discards what it has.

mod history;
mod lease;

pub use history::{
    EpochRecord, LogLevel, LogRecord, NewEpoch, NewLog, Progress, epochs_after, logs_after, record,
};
pub use lease::{
    Claimed, claim, expire, finish_cancelled, finish_failed, heartbeat, release, set_checkpoint,
};

use crate::dataset::Warning;
use crate::id::{DatasetId, ModelId, TrainingId};
use crate::storage::{
    BlobKey, Db, JobError, JobStatus, Page, Result, Slice, StorageError,
    column::{Document, from_row},
    lease::asked_to_stop,
    with_pool, written,
};
use chrono::{DateTime, Utc};
use std::collections::BTreeMap;

/// One training.
#[derive(Debug, Clone, PartialEq)]
pub struct TrainingRecord {
    /// The identifier; UUIDv7.
    pub training_id: TrainingId,
    /// The dataset it learns from; the dataset may have been deleted since.
    pub dataset_id: DatasetId,
    /// The name that the model gets.
    pub model_name: String,
    /// The tags that the model gets.
    pub tags: BTreeMap<String, String>,
    /// The settings as resolved.
    pub request: serde_json::Value,
    /// Where it stands.
    pub status: JobStatus,
    /// 0 to 1.
    pub progress: f64,
    /// What it is doing.
    pub message: String,
    /// Seconds left, as estimated.
    pub eta_s: Option<f64>,
    /// The model, once it succeeded.
    pub model_id: Option<ModelId>,
    /// The reason, once it failed.
    pub error: Option<JobError>,
    /// What is to be noticed.
    pub warnings: Vec<Warning>,
    /// Why it stopped before its last epoch: `early_stopping`, `time_limit`.
    pub stopped: Option<String>,
    /// How often a worker has taken it.
    pub attempt: i64,
    /// How often its worker died since the last checkpoint.
    pub crashes: i64,
    /// Whether it was asked to stop.
    pub cancel_requested: bool,
    /// Where it can be resumed.
    pub checkpoint: Option<BlobKey>,
    /// When it was asked for.
    pub created_at: DateTime<Utc>,
    /// When a worker first took it.
    pub started_at: Option<DateTime<Utc>>,
    /// When it ended.
    pub finished_at: Option<DateTime<Utc>>,
}

from_row!(TrainingRecord, |row| Ok(Self {
    training_id: row.try_get("training_id")?,
    dataset_id: row.try_get("dataset_id")?,
    model_name: row.try_get("model_name")?,
    tags: row.try_get::<Document<_>, _>("tags")?.0,
    request: row.try_get::<Document<_>, _>("request")?.0,
    status: row.try_get("status")?,
    progress: row.try_get("progress")?,
    message: row.try_get("message")?,
    eta_s: row.try_get("eta_s")?,
    model_id: row.try_get("model_id")?,
    error: row.try_get::<Option<Document<_>>, _>("error")?.map(|error| error.0),
    warnings: row.try_get::<Document<_>, _>("warnings")?.0,
    stopped: row.try_get("stopped")?,
    attempt: row.try_get("attempt")?,
    crashes: row.try_get("crashes")?,
    cancel_requested: row.try_get("cancel_requested")?,
    checkpoint: row.try_get("checkpoint")?,
    created_at: row.try_get("created_at")?,
    started_at: row.try_get("started_at")?,
    finished_at: row.try_get("finished_at")?,
}));

/// What [`enqueue`] needs to know.
#[derive(Debug, Clone)]
pub struct NewTraining {
    /// As [`TrainingRecord::training_id`].
    pub training_id: TrainingId,
    /// As [`TrainingRecord::dataset_id`].
    pub dataset_id: DatasetId,
    /// As [`TrainingRecord::model_name`].
    pub model_name: String,
    /// As [`TrainingRecord::tags`].
    pub tags: BTreeMap<String, String>,
    /// As [`TrainingRecord::request`].
    pub request: serde_json::Value,
    /// As [`TrainingRecord::warnings`].
    pub warnings: Vec<Warning>,
}

/// Stores a training as `queued`, unless `queue_limit` are waiting already.
pub async fn enqueue(
    db: &Db,
    training: NewTraining,
    queue_limit: u64,
    now: DateTime<Utc>,
) -> Result<TrainingRecord> {
    const ENQUEUE: &str = "
        INSERT INTO trainings (training_id, dataset_id, model_name, tags, request, warnings, status, created_at)
        SELECT $1, $2, $3, $4, $5, $6, 'queued', $7
        WHERE (SELECT COUNT(*) FROM trainings WHERE status = 'queued') < $8
        RETURNING *";
    let limit = i64::try_from(queue_limit).unwrap_or(i64::MAX);
    let row = with_pool!(db, |pool| sqlx::query_as(ENQUEUE)
        .bind(training.training_id)
        .bind(training.dataset_id)
        .bind(&training.model_name)
        .bind(Document(training.tags))
        .bind(Document(training.request))
        .bind(Document(training.warnings))
        .bind(now)
        .bind(limit)
        .fetch_all(pool)
        .await
        .map(written))?;
    row.ok_or(StorageError::QueueFull { limit: queue_limit })
}

/// The training with this id.
pub async fn get(db: &Db, training_id: TrainingId) -> Result<Option<TrainingRecord>> {
    const GET: &str = "SELECT * FROM trainings WHERE training_id = $1";
    Ok(with_pool!(db, |pool| sqlx::query_as(GET).bind(training_id).fetch_optional(pool).await)?)
}

/// Which trainings are wanted. Everything absent matches all.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct TrainingFilter {
    /// In this status.
    pub status: Option<JobStatus>,
    /// On this dataset.
    pub dataset_id: Option<DatasetId>,
    /// For a model of this name.
    pub model_name: Option<String>,
}

/// The trainings, newest first.
pub async fn list(db: &Db, filter: &TrainingFilter, page: &Page) -> Result<Slice<TrainingRecord>> {
    const LIST: &str = "
        SELECT * FROM trainings
        WHERE ($1 IS NULL OR status = $1)
          AND ($2 IS NULL OR dataset_id = $2)
          AND ($3 IS NULL OR model_name = $3)
          AND ($4 IS NULL OR (created_at, training_id) < ($4, $5))
        ORDER BY created_at DESC, training_id DESC LIMIT $6";
    let start = page.start::<(DateTime<Utc>, TrainingId)>()?;
    let rows = with_pool!(db, |pool| sqlx::query_as(LIST)
        .bind(filter.status)
        .bind(filter.dataset_id)
        .bind(&filter.model_name)
        .bind(start.map(|(created_at, _)| created_at))
        .bind(start.map(|(_, training_id)| training_id))
        .bind(page.n_rows())
        .fetch_all(pool)
        .await)?;
    Ok(page.cut(rows, |last: &TrainingRecord| (last.created_at, last.training_id)))
}

/// How many trainings stand where; statuses without any are left out.
pub async fn counts(db: &Db) -> Result<BTreeMap<String, i64>> {
    const COUNTS: &str = "SELECT status, COUNT(*) FROM trainings GROUP BY status";
    let rows: Vec<(String, i64)> = with_pool!(db, |pool| sqlx::query_as(COUNTS).fetch_all(pool).await)?;
    Ok(rows.into_iter().collect())
}

/// The checkpoints that trainings can still be resumed from; for the sweep.
pub async fn checkpoints(db: &Db) -> Result<Vec<BlobKey>> {
    const CHECKPOINTS: &str = "SELECT checkpoint FROM trainings WHERE checkpoint IS NOT NULL";
    Ok(with_pool!(db, |pool| sqlx::query_scalar(CHECKPOINTS).fetch_all(pool).await)?)
}

/// What came of [`request_cancel`].
#[derive(Debug, Clone, PartialEq)]
pub enum Cancellation {
    /// It was waiting, or its worker is dead: it is cancelled.
    Done(TrainingRecord),
    /// A worker holds it and will stop soon.
    Requested(TrainingRecord),
    /// It had ended before.
    AlreadyFinished(TrainingRecord),
}

/// Asks a training to stop; `None` if it does not exist. A training that was asked to stop never
/// succeeds afterwards.
pub async fn request_cancel(
    db: &Db,
    training_id: TrainingId,
    now: DateTime<Utc>,
) -> Result<Option<Cancellation>> {
    const REQUEST_CANCEL: &str = concat!(
        "UPDATE trainings SET ",
        asked_to_stop!(),
        ", checkpoint = CASE WHEN status = 'queued' OR lease_until < $2 THEN NULL ELSE checkpoint END
         WHERE training_id = $1 AND status IN ('queued', 'running') RETURNING *"
    );
    let changed: Option<TrainingRecord> = with_pool!(db, |pool| sqlx::query_as(REQUEST_CANCEL)
        .bind(training_id)
        .bind(now)
        .fetch_all(pool)
        .await
        .map(written))?;
    Ok(match changed {
        Some(training) if training.status == JobStatus::Cancelled => Some(Cancellation::Done(training)),
        Some(training) => Some(Cancellation::Requested(training)),
        None => get(db, training_id).await?.map(Cancellation::AlreadyFinished),
    })
}
