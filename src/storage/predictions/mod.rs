//! Files that are answered in the background: durable jobs, as trainings are.
//!
//! ```text
//!            enqueue            claim                  succeed
//!  (file) ----------> queued ----------> running ------------------> succeeded --\
//!                       |  '-- release --'  |  \-- fail -----------> failed ------+-- expired: the row goes,
//!                       '-- request_cancel -'------ finish_cancelled -> cancelled -/   then its file
//! ```
//!
//! The file is made durable before the row is written, and the answer before the row says `succeeded`. A worker that
//! dies leaves a lease that runs out; the next claim begins the file anew, which costs seconds.

mod lease;

pub use lease::{
    Done, PredictionProgress, claim, expire, fail, finish_cancelled, heartbeat, release, succeed,
};

use crate::{
    dataset::{ReadOptions, Warning},
    id::{ModelId, PredictionId},
    model::UnknownCategory,
    storage::{
        BlobKey, Db, JobError, JobStatus, Page, Result, Slice, StorageError,
        column::{Count, Document, from_row, texts},
        lease::asked_to_stop,
        with_pool, written,
    },
};
use chrono::{DateTime, Utc};
use serde::{Deserialize, Serialize};

/// As what the answer is written.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum AnswerFormat {
    /// A text table.
    Csv,
    /// A workbook.
    Xlsx,
}

texts!(AnswerFormat, { Csv: "csv", Xlsx: "xlsx" }, |_| "must be csv or xlsx".to_owned());

/// How the answers are wanted.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct PredictionRequest {
    /// What the answer is to be; as the file is, if absent.
    pub format: Option<AnswerFormat>,
    /// Confidence of the intervals, between 0 and 1; the model's own if absent.
    pub confidence: Option<f64>,
    /// What to do with categories never seen.
    pub unknown_category: UnknownCategory,
    /// The language of the warnings, `en` or `pt-BR`.
    pub language: String,
    /// How the file is to be read.
    pub read: ReadOptions,
}

/// One file.
#[derive(Debug, Clone, PartialEq)]
pub struct PredictionRecord {
    /// The identifier; `UUIDv7`.
    pub prediction_id: PredictionId,
    /// The model that answers; it may have been deleted since.
    pub model_id: ModelId,
    /// The name of the file as it was sent: shown, never used as a path.
    pub filename: String,
    /// How the answers are wanted. Once there are some, `format` says what they are.
    pub request: PredictionRequest,
    /// Where it stands.
    pub status: JobStatus,
    /// Its rows; absent until it has been read.
    pub rows: Option<u64>,
    /// Rows that have been answered.
    pub rows_done: u64,
    /// Of these, the rows outside the domain of the model.
    pub rows_outside: u64,
    /// Size of the file as sent.
    pub file_bytes: u64,
    /// Size of the answer, once there is one.
    pub size_bytes: Option<u64>,
    /// SHA-256 of the answer, in hexadecimal.
    pub sha256: Option<String>,
    /// What was noticed while the file was read.
    pub file_warnings: Vec<Warning>,
    /// The reason, once it failed.
    pub error: Option<JobError>,
    /// How often a worker has taken it.
    pub attempt: i64,
    /// Whether it was asked to stop.
    pub cancel_requested: bool,
    /// When it was asked for.
    pub created_at: DateTime<Utc>,
    /// When a worker first took it.
    pub started_at: Option<DateTime<Utc>>,
    /// When it ended.
    pub finished_at: Option<DateTime<Utc>>,
}

from_row!(PredictionRecord, |row| Ok(Self {
    prediction_id: row.try_get("prediction_id")?,
    model_id: row.try_get("model_id")?,
    filename: row.try_get("filename")?,
    request: row.try_get::<Document<_>, _>("request")?.0,
    status: row.try_get("status")?,
    rows: row.try_get::<Option<Count>, _>("rows")?.map(|count| count.0),
    rows_done: row.try_get::<Count, _>("rows_done")?.0,
    rows_outside: row.try_get::<Count, _>("rows_outside")?.0,
    file_bytes: row.try_get::<Count, _>("file_bytes")?.0,
    size_bytes: row.try_get::<Option<Count>, _>("size_bytes")?.map(|count| count.0),
    sha256: row.try_get("sha256")?,
    file_warnings: row
        .try_get::<Option<Document<_>>, _>("file_warnings")?
        .map(|warnings| warnings.0)
        .unwrap_or_default(),
    error: row.try_get::<Option<Document<_>>, _>("error")?.map(|error| error.0),
    attempt: row.try_get("attempt")?,
    cancel_requested: row.try_get("cancel_requested")?,
    created_at: row.try_get("created_at")?,
    started_at: row.try_get("started_at")?,
    finished_at: row.try_get("finished_at")?,
}));

impl PredictionRecord {
    /// The file that it still needs, or the answer that it has.
    pub fn blob(&self) -> Option<BlobKey> {
        let Self { prediction_id, attempt, .. } = *self;
        match self.status {
            JobStatus::Queued | JobStatus::Running => Some(BlobKey::Asked(prediction_id)),
            JobStatus::Succeeded => Some(BlobKey::Answered { prediction_id, attempt }),
            JobStatus::Failed | JobStatus::Cancelled => None,
        }
    }
}

/// How many files are kept, waiting, running or answered; what failed or was cancelled has none.
#[derive(Debug, Clone, Copy)]
pub struct PredictionLimits {
    /// Most files.
    pub files: u64,
    /// Most bytes of these and of their answers.
    pub bytes: u64,
}

/// What [`enqueue`] needs to know.
#[derive(Debug, Clone)]
pub struct NewPrediction {
    /// As [`PredictionRecord::prediction_id`].
    pub prediction_id: PredictionId,
    /// As [`PredictionRecord::model_id`].
    pub model_id: ModelId,
    /// As [`PredictionRecord::filename`].
    pub filename: String,
    /// As [`PredictionRecord::request`].
    pub request: PredictionRequest,
    /// As [`PredictionRecord::file_bytes`].
    pub file_bytes: u64,
}

/// Stores a job as `queued`, after its file is durable, unless there are as many as `limits` allow.
pub async fn enqueue(
    db: &Db,
    new: NewPrediction,
    limits: PredictionLimits,
    now: DateTime<Utc>,
) -> Result<PredictionRecord> {
    const ENQUEUE: &str = "
        INSERT INTO predictions (prediction_id, model_id, filename, request, file_bytes, status, created_at)
        SELECT $1, $2, $3, $4, $5, 'queued', $6
        WHERE (SELECT COUNT(*) FROM predictions WHERE status IN ('queued', 'running', 'succeeded')) < $7
          AND (SELECT COALESCE(SUM(CASE WHEN status IN ('queued', 'running') THEN file_bytes
                                        ELSE COALESCE(size_bytes, 0) END), 0) FROM predictions) + $5 <= $8
        RETURNING *";
    const N_FILES: &str =
        "SELECT COUNT(*) FROM predictions WHERE status IN ('queued', 'running', 'succeeded')";
    let to_i64 = |limit: u64| i64::try_from(limit).unwrap_or(i64::MAX);
    let row = with_pool!(db, |pool| sqlx::query_as(ENQUEUE)
        .bind(new.prediction_id)
        .bind(new.model_id)
        .bind(&new.filename)
        .bind(Document(new.request))
        .bind(Count(new.file_bytes))
        .bind(now)
        .bind(to_i64(limits.files))
        .bind(to_i64(limits.bytes))
        .fetch_all(pool)
        .await
        .map(written))?;
    if let Some(row) = row {
        return Ok(row);
    }
    let n_files: i64 = with_pool!(db, |pool| sqlx::query_scalar(N_FILES).fetch_one(pool).await)?;
    Err(if n_files >= to_i64(limits.files) {
        StorageError::TooManyFiles { limit: limits.files }
    } else {
        StorageError::FilesTooLarge { limit_bytes: limits.bytes }
    })
}

/// The job with this id.
pub async fn get(db: &Db, prediction_id: PredictionId) -> Result<Option<PredictionRecord>> {
    const GET: &str = "SELECT * FROM predictions WHERE prediction_id = $1";
    Ok(with_pool!(db, |pool| sqlx::query_as(GET).bind(prediction_id).fetch_optional(pool).await)?)
}

/// Which jobs are wanted. Everything absent matches all.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct PredictionFilter {
    /// In this status.
    pub status: Option<JobStatus>,
    /// Answered by this model.
    pub model_id: Option<ModelId>,
}

/// The jobs, newest first.
pub async fn list(db: &Db, filter: &PredictionFilter, page: &Page) -> Result<Slice<PredictionRecord>> {
    const LIST: &str = "
        SELECT * FROM predictions
        WHERE ($1 IS NULL OR status = $1)
          AND ($2 IS NULL OR model_id = $2)
          AND ($3 IS NULL OR (created_at, prediction_id) < ($3, $4))
        ORDER BY created_at DESC, prediction_id DESC LIMIT $5";
    let start = page.start::<(DateTime<Utc>, PredictionId)>()?;
    let rows = with_pool!(db, |pool| sqlx::query_as(LIST)
        .bind(filter.status)
        .bind(filter.model_id)
        .bind(start.map(|(created_at, _)| created_at))
        .bind(start.map(|(_, prediction_id)| prediction_id))
        .bind(page.n_rows())
        .fetch_all(pool)
        .await)?;
    Ok(page.cut(rows, |last: &PredictionRecord| (last.created_at, last.prediction_id)))
}

/// Asks a job to stop: one that waits, or whose worker is dead, ends at once. `None` if it does not exist or had ended.
pub async fn request_cancel(
    db: &Db,
    prediction_id: PredictionId,
    now: DateTime<Utc>,
) -> Result<Option<PredictionRecord>> {
    const REQUEST_CANCEL: &str = concat!(
        "UPDATE predictions SET ",
        asked_to_stop!(),
        " WHERE prediction_id = $1 AND status IN ('queued', 'running') RETURNING *"
    );
    Ok(with_pool!(db, |pool| sqlx::query_as(REQUEST_CANCEL)
        .bind(prediction_id)
        .bind(now)
        .fetch_all(pool)
        .await
        .map(written))?)
}

/// Removes the row and returns it; `None` if it was not there. The caller removes the blobs after. A worker that holds
/// the job finds its lease lost.
pub async fn delete(db: &Db, prediction_id: PredictionId) -> Result<Option<PredictionRecord>> {
    const DELETE: &str = "DELETE FROM predictions WHERE prediction_id = $1 RETURNING *";
    Ok(with_pool!(db, |pool| sqlx::query_as(DELETE).bind(prediction_id).fetch_all(pool).await.map(written))?)
}

/// Removes the jobs that ended before `before` and returns them, for the caller to remove their blobs.
pub async fn remove_ended(db: &Db, before: DateTime<Utc>) -> Result<Vec<PredictionRecord>> {
    const REMOVE: &str = "DELETE FROM predictions WHERE finished_at < $1 RETURNING *";
    Ok(with_pool!(db, |pool| sqlx::query_as(REMOVE).bind(before).fetch_all(pool).await)?)
}

/// Every blob that belongs to a row; for the sweep.
pub async fn blobs(db: &Db) -> Result<Vec<BlobKey>> {
    const ALL: &str = "SELECT * FROM predictions";
    let rows: Vec<PredictionRecord> = with_pool!(db, |pool| sqlx::query_as(ALL).fetch_all(pool).await)?;
    Ok(rows.iter().filter_map(PredictionRecord::blob).collect())
}
