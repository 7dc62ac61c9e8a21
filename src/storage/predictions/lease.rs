//! What workers do to the rows they hold.

use super::{AnswerFormat, PredictionRecord};
use crate::{
    id::PredictionId,
    storage::{
        Db, JobError, Result, StorageError,
        column::{Count, Document, from_row},
        with_pool,
    },
};
use chrono::{DateTime, Duration, Utc};
use uuid::Uuid;

/// The fencing token of one claim, as [`Lease`](crate::storage::Lease) is for trainings.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct PredictionLease {
    /// The job that is held.
    pub prediction_id: PredictionId,
    /// The process that holds it; drawn anew at each start.
    pub owner: Uuid,
    /// The number of the claim.
    pub attempt: i64,
}

/// How far a job is.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct PredictionProgress {
    /// Rows of the file; absent until it has been read.
    pub rows: Option<u64>,
    /// Rows that have been answered.
    pub rows_done: u64,
    /// Of these, those outside the domain.
    pub rows_outside: u64,
}

/// The answer, once it is durable.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Done {
    /// What it is.
    pub format: AnswerFormat,
    /// Its size.
    pub size_bytes: u64,
    /// SHA-256 in hexadecimal.
    pub sha256: String,
}

/// The rows that a lease speaks for. `$1` job, `$2` owner, `$3` attempt.
macro_rules! leased {
    () => {
        "prediction_id = $1 AND status = 'running' AND lease_owner = $2 AND attempt = $3"
    };
}

/// `Ok` if exactly the leased row was changed.
fn held(n_rows: u64) -> Result<()> {
    if n_rows == 1 { Ok(()) } else { Err(StorageError::LeaseLost) }
}

macro_rules! claim {
    ($lock:literal) => {
        concat!(
            "UPDATE predictions
             SET status = 'running', lease_owner = $1, lease_until = $3, attempt = attempt + 1,
                 crashes = crashes + CASE WHEN status = 'running' THEN 1 ELSE 0 END,
                 rows_done = 0, rows_outside = 0, started_at = COALESCE(started_at, $2)
             WHERE prediction_id = (
                 SELECT prediction_id FROM predictions
                 WHERE status = 'queued'
                    OR (status = 'running' AND lease_until < $2 AND crashes + 1 < $4 AND NOT cancel_requested)
                 ORDER BY created_at, prediction_id LIMIT 1 ",
            $lock,
            ")
             RETURNING *"
        )
    };
}

/// Takes the oldest job that waits, or whose worker has let its lease run out; but not one that has crashed its worker
/// `max_crashes` times: see [`expire`].
pub async fn claim(
    db: &Db,
    owner: Uuid,
    now: DateTime<Utc>,
    lease: Duration,
    max_crashes: u32,
) -> Result<Option<(PredictionLease, PredictionRecord)>> {
    const CLAIM_SQLITE: &str = claim!(""); // one writer at a time: nothing to lock
    const CLAIM_POSTGRES: &str = claim!("FOR UPDATE SKIP LOCKED");
    let sql = match db {
        Db::Sqlite(_) => CLAIM_SQLITE,
        Db::Postgres(_) => CLAIM_POSTGRES,
    };
    let row: Option<PredictionRecord> = with_pool!(db, |pool| sqlx::query_as(sql)
        .bind(owner)
        .bind(now)
        .bind(now + lease)
        .bind(i64::from(max_crashes))
        .fetch_optional(pool)
        .await)?;
    Ok(row
        .map(|row| (PredictionLease { prediction_id: row.prediction_id, owner, attempt: row.attempt }, row)))
}

/// Ends the jobs whose lease has run out and that nobody shall take again: those that were asked to stop, and those
/// whose worker died `max_crashes` times. Returns which.
pub async fn expire(db: &Db, now: DateTime<Utc>, max_crashes: u32) -> Result<Vec<PredictionId>> {
    const CANCEL: &str = "
        UPDATE predictions SET status = 'cancelled', finished_at = $1
        WHERE status = 'running' AND lease_until < $1 AND cancel_requested
        RETURNING prediction_id";
    const FAIL: &str = "
        UPDATE predictions SET status = 'failed', finished_at = $1, crashes = crashes + 1, error = $3
        WHERE status = 'running' AND lease_until < $1 AND crashes + 1 >= $2
        RETURNING prediction_id";
    let error = JobError {
        slug: "job-crashed-worker".into(),
        detail: format!(
            "the process that answered this file died {max_crashes} times; the usual cause is too little memory: \
             send the file in parts"
        ),
    };
    let mut ended: Vec<PredictionId> =
        with_pool!(db, |pool| sqlx::query_scalar(CANCEL).bind(now).fetch_all(pool).await)?;
    let failed: Vec<PredictionId> = with_pool!(db, |pool| sqlx::query_scalar(FAIL)
        .bind(now)
        .bind(i64::from(max_crashes))
        .bind(Document(error))
        .fetch_all(pool)
        .await)?;
    ended.extend(failed);
    Ok(ended)
}

struct CancelRequested(bool);

from_row!(CancelRequested, |row| Ok(Self(row.try_get("cancel_requested")?)));

/// Renews the lease until `lease_until` and writes the progress down. Returns whether the job was asked to stop.
pub async fn heartbeat(
    db: &Db,
    lease: &PredictionLease,
    progress: PredictionProgress,
    lease_until: DateTime<Utc>,
) -> Result<bool> {
    const HEARTBEAT: &str = concat!(
        "UPDATE predictions SET lease_until = $4, rows = $5, rows_done = $6, rows_outside = $7 WHERE ",
        leased!(),
        " RETURNING cancel_requested"
    );
    let row: Option<CancelRequested> = with_pool!(db, |pool| sqlx::query_as(HEARTBEAT)
        .bind(lease.prediction_id)
        .bind(lease.owner)
        .bind(lease.attempt)
        .bind(lease_until)
        .bind(progress.rows.map(Count))
        .bind(Count(progress.rows_done))
        .bind(Count(progress.rows_outside))
        .fetch_optional(pool)
        .await)?;
    row.map(|row| row.0).ok_or(StorageError::LeaseLost)
}

/// Ends the job with its answer, which is durable. Returns whether it counts: a job that was asked to stop is cancelled
/// instead.
pub async fn succeed(
    db: &Db,
    lease: &PredictionLease,
    record: &PredictionRecord,
    progress: PredictionProgress,
    done: &Done,
    now: DateTime<Utc>,
) -> Result<bool> {
    const SUCCEED: &str = concat!(
        "UPDATE predictions
         SET status = CASE WHEN cancel_requested THEN 'cancelled' ELSE 'succeeded' END, finished_at = $4, request = $5,
             rows = $6, rows_done = $7, rows_outside = $8,
             size_bytes = CASE WHEN cancel_requested THEN NULL ELSE $9 END,
             sha256 = CASE WHEN cancel_requested THEN NULL ELSE $10 END
         WHERE ",
        leased!(),
        " RETURNING cancel_requested"
    );
    let mut request = record.request.clone();
    request.format = Some(done.format);
    let row: Option<CancelRequested> = with_pool!(db, |pool| sqlx::query_as(SUCCEED)
        .bind(lease.prediction_id)
        .bind(lease.owner)
        .bind(lease.attempt)
        .bind(now)
        .bind(Document(request))
        .bind(progress.rows.map(Count))
        .bind(Count(progress.rows_done))
        .bind(Count(progress.rows_outside))
        .bind(Count(done.size_bytes))
        .bind(&done.sha256)
        .fetch_optional(pool)
        .await)?;
    row.map(|row| !row.0).ok_or(StorageError::LeaseLost)
}

/// Ends the job with an error.
pub async fn fail(db: &Db, lease: &PredictionLease, error: &JobError, now: DateTime<Utc>) -> Result<()> {
    const FAIL: &str =
        concat!("UPDATE predictions SET status = 'failed', finished_at = $4, error = $5 WHERE ", leased!());
    held(with_pool!(db, |pool| sqlx::query(FAIL)
        .bind(lease.prediction_id)
        .bind(lease.owner)
        .bind(lease.attempt)
        .bind(now)
        .bind(Document(error.clone()))
        .execute(pool)
        .await
        .map(|done| done.rows_affected()))?)
}

/// Ends the job because it was asked to stop.
pub async fn finish_cancelled(db: &Db, lease: &PredictionLease, now: DateTime<Utc>) -> Result<()> {
    const CANCEL: &str =
        concat!("UPDATE predictions SET status = 'cancelled', finished_at = $4 WHERE ", leased!());
    held(with_pool!(db, |pool| sqlx::query(CANCEL)
        .bind(lease.prediction_id)
        .bind(lease.owner)
        .bind(lease.attempt)
        .bind(now)
        .execute(pool)
        .await
        .map(|done| done.rows_affected()))?)
}

/// Gives the job back to the queue at a graceful shutdown; one that was asked to stop ends.
pub async fn release(db: &Db, lease: &PredictionLease, now: DateTime<Utc>) -> Result<()> {
    const RELEASE: &str = concat!(
        "UPDATE predictions
         SET status = CASE WHEN cancel_requested THEN 'cancelled' ELSE 'queued' END,
             finished_at = CASE WHEN cancel_requested THEN $4 ELSE NULL END,
             lease_owner = NULL, lease_until = NULL
         WHERE ",
        leased!()
    );
    held(with_pool!(db, |pool| sqlx::query(RELEASE)
        .bind(lease.prediction_id)
        .bind(lease.owner)
        .bind(lease.attempt)
        .bind(now)
        .execute(pool)
        .await
        .map(|done| done.rows_affected()))?)
}
