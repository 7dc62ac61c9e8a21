//! What workers do to the files they hold.

use super::{AnswerFormat, PredictionRecord};
use crate::{
    dataset::Warning,
    id::PredictionId,
    storage::{
        Db, JobError, Lease, Result,
        column::{Count, Document},
        lease::{self, claim_sql, expire_sql, given_back, leased, leased_update, write_leased},
        with_pool,
    },
};
use chrono::{DateTime, Duration, Utc};
use uuid::Uuid;

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
#[derive(Debug, Clone, PartialEq)]
pub struct Done {
    /// What it is.
    pub format: AnswerFormat,
    /// Its size.
    pub size_bytes: u64,
    /// SHA-256 in hexadecimal.
    pub sha256: String,
    /// What was noticed while the file was read.
    pub file_warnings: Vec<Warning>,
}

/// Takes the oldest job that waits, or whose worker has let its lease run out; but not one that has crashed its worker
/// `max_crashes` times: see [`expire`].
pub async fn claim(
    db: &Db,
    owner: Uuid,
    now: DateTime<Utc>,
    lease: Duration,
    max_crashes: u32,
) -> Result<Option<(Lease<PredictionId>, PredictionRecord)>> {
    const CLAIM: [&str; 2] = claim_sql!("predictions", "prediction_id", "rows_done = 0, rows_outside = 0,");
    let record: Option<PredictionRecord> = lease::claim(db, CLAIM, owner, now, lease, max_crashes).await?;
    Ok(record.map(|record| (Lease { job_id: record.prediction_id, owner, attempt: record.attempt }, record)))
}

/// Ends the jobs whose lease has run out and that nobody shall take again: those that were asked to stop, and those
/// whose worker died `max_crashes` times. Returns which.
pub async fn expire(db: &Db, now: DateTime<Utc>, max_crashes: u32) -> Result<Vec<PredictionId>> {
    const EXPIRE: &str = expire_sql!("predictions", "prediction_id", "");
    let detail = format!(
        "the process that answered this file died {max_crashes} times; the usual cause is too little memory: \
         send the file in parts"
    );
    let ended = lease::expire(db, EXPIRE, now, max_crashes, detail).await?;
    Ok(ended.into_iter().map(PredictionId).collect())
}

/// Renews the lease until `lease_until` and writes the progress down. Returns whether the job was asked to stop.
pub async fn heartbeat(
    db: &Db,
    lease: &Lease<PredictionId>,
    progress: PredictionProgress,
    lease_until: DateTime<Utc>,
) -> Result<bool> {
    const HEARTBEAT: &str = leased_update!(
        "predictions",
        "prediction_id",
        "lease_until = $4, rows = $5, rows_done = $6, rows_outside = $7"
    );
    write_leased!(
        db,
        lease,
        HEARTBEAT,
        lease_until,
        progress.rows.map(Count),
        Count(progress.rows_done),
        Count(progress.rows_outside)
    )
}

/// Ends the job with its answer, which is durable. Returns whether it counts: a job that was asked to stop is cancelled
/// instead.
pub async fn succeed(
    db: &Db,
    lease: &Lease<PredictionId>,
    record: &PredictionRecord,
    progress: PredictionProgress,
    done: &Done,
    now: DateTime<Utc>,
) -> Result<bool> {
    const SUCCEED: &str = leased_update!(
        "predictions",
        "prediction_id",
        "status = CASE WHEN cancel_requested THEN 'cancelled' ELSE 'succeeded' END, finished_at = $4, request = $5,
         rows = $6, rows_done = $7, rows_outside = $8,
         size_bytes = CASE WHEN cancel_requested THEN NULL ELSE $9 END,
         sha256 = CASE WHEN cancel_requested THEN NULL ELSE $10 END, file_warnings = $11"
    );
    let mut request = record.request.clone();
    request.format = Some(done.format);
    let cancelled = write_leased!(
        db,
        lease,
        SUCCEED,
        now,
        Document(request),
        progress.rows.map(Count),
        Count(progress.rows_done),
        Count(progress.rows_outside),
        Count(done.size_bytes),
        &done.sha256,
        Document(done.file_warnings.clone())
    )?;
    Ok(!cancelled)
}

/// Ends the job with an error.
pub async fn fail(db: &Db, lease: &Lease<PredictionId>, error: &JobError, now: DateTime<Utc>) -> Result<()> {
    const FAIL: &str =
        leased_update!("predictions", "prediction_id", "status = 'failed', finished_at = $4, error = $5");
    write_leased!(db, lease, FAIL, now, Document(error.clone())).map(drop)
}

/// Ends the job because it was asked to stop.
pub async fn finish_cancelled(db: &Db, lease: &Lease<PredictionId>, now: DateTime<Utc>) -> Result<()> {
    const CANCEL: &str =
        leased_update!("predictions", "prediction_id", "status = 'cancelled', finished_at = $4");
    write_leased!(db, lease, CANCEL, now).map(drop)
}

/// Gives the job back to the queue at a graceful shutdown; one that was asked to stop ends.
pub async fn release(db: &Db, lease: &Lease<PredictionId>, now: DateTime<Utc>) -> Result<()> {
    const RELEASE: &str = leased_update!("predictions", "prediction_id", given_back!());
    write_leased!(db, lease, RELEASE, now).map(drop)
}
