//! What workers do to the rows they hold.

use super::{JobError, TrainingRecord};
use crate::dataset::Warning;
use crate::id::TrainingId;
use crate::storage::{
    BlobKey, Db, Result, StorageError,
    column::{Document, from_row},
    with_pool,
};
use chrono::{DateTime, Duration, Utc};
use uuid::Uuid;

/// The fencing token of one claim: what a worker shows with every write.
///
/// `attempt` only ever grows, so even the same worker taking the same training again has another
/// token than before.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Lease {
    /// The training that is held.
    pub training_id: TrainingId,
    /// The worker process that holds it; drawn anew at each start.
    pub owner: Uuid,
    /// The number of the claim.
    pub attempt: i64,
}

/// A training that this worker holds now.
#[derive(Debug, Clone, PartialEq)]
pub struct Claimed {
    /// To be shown with every write.
    pub lease: Lease,
    /// The row as it is after the claim.
    pub training: TrainingRecord,
}

/// The rows that a lease speaks for. `$1` training, `$2` owner, `$3` attempt.
macro_rules! leased {
    () => {
        "training_id = $1 AND status = 'running' AND lease_owner = $2 AND attempt = $3"
    };
}
pub(in crate::storage) use leased;

/// `Ok` if exactly the leased row was changed.
pub(in crate::storage) fn held(n_rows: u64) -> Result<()> {
    if n_rows == 1 { Ok(()) } else { Err(StorageError::LeaseLost) }
}

macro_rules! claim {
    ($lock:literal) => {
        concat!(
            "UPDATE trainings
             SET status = 'running', lease_owner = $1, lease_until = $3, attempt = attempt + 1,
                 crashes = crashes + CASE WHEN status = 'running' THEN 1 ELSE 0 END,
                 started_at = COALESCE(started_at, $2)
             WHERE training_id = (
                 SELECT training_id FROM trainings
                 WHERE status = 'queued'
                    OR (status = 'running' AND lease_until < $2 AND crashes + 1 < $4 AND NOT cancel_requested)
                 ORDER BY created_at, training_id LIMIT 1 ",
            $lock,
            ")
             RETURNING *"
        )
    };
}

/// Takes the oldest training that waits, or whose worker has let its lease run out; but not one
/// that has crashed its worker `max_crashes` times: see [`expire`].
pub async fn claim(
    db: &Db,
    owner: Uuid,
    now: DateTime<Utc>,
    lease: Duration,
    max_crashes: u32,
) -> Result<Option<Claimed>> {
    const CLAIM_SQLITE: &str = claim!(""); // one writer at a time: nothing to lock
    const CLAIM_POSTGRES: &str = claim!("FOR UPDATE SKIP LOCKED");
    let sql = match db {
        Db::Sqlite(_) => CLAIM_SQLITE,
        Db::Postgres(_) => CLAIM_POSTGRES,
    };
    let training: Option<TrainingRecord> = with_pool!(db, |pool| sqlx::query_as(sql)
        .bind(owner)
        .bind(now)
        .bind(now + lease)
        .bind(i64::from(max_crashes))
        .fetch_optional(pool)
        .await)?;
    Ok(training.map(|training| Claimed {
        lease: Lease { training_id: training.training_id, owner, attempt: training.attempt },
        training,
    }))
}

/// Ends the trainings whose lease has run out and that nobody shall take again: those that were
/// asked to stop, and those whose worker died `max_crashes` times without getting to a new
/// checkpoint, which are taken for the cause. Returns which.
pub async fn expire(db: &Db, now: DateTime<Utc>, max_crashes: u32) -> Result<Vec<TrainingId>> {
    const CANCEL: &str = "
        UPDATE trainings SET status = 'cancelled', finished_at = $1, eta_s = NULL, checkpoint = NULL
        WHERE status = 'running' AND lease_until < $1 AND cancel_requested
        RETURNING training_id";
    const FAIL: &str = "
        UPDATE trainings SET status = 'failed', finished_at = $1, eta_s = NULL, checkpoint = NULL,
            crashes = crashes + 1, error = $3
        WHERE status = 'running' AND lease_until < $1 AND crashes + 1 >= $2
        RETURNING training_id";
    let error = JobError {
        slug: "job-crashed-worker".into(),
        detail: format!(
            "the process that ran this training died {max_crashes} times without getting any further; \
             the usual cause is too little memory: try a smaller network or fewer columns"
        ),
    };
    let mut ended: Vec<TrainingId> =
        with_pool!(db, |pool| sqlx::query_scalar(CANCEL).bind(now).fetch_all(pool).await)?;
    let failed: Vec<TrainingId> = with_pool!(db, |pool| sqlx::query_scalar(FAIL)
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

/// Renews the lease until `lease_until`. Returns whether the training was asked to stop.
pub async fn heartbeat(db: &Db, lease: &Lease, lease_until: DateTime<Utc>) -> Result<bool> {
    const HEARTBEAT: &str =
        concat!("UPDATE trainings SET lease_until = $4 WHERE ", leased!(), " RETURNING cancel_requested");
    let row: Option<CancelRequested> = with_pool!(db, |pool| sqlx::query_as(HEARTBEAT)
        .bind(lease.training_id)
        .bind(lease.owner)
        .bind(lease.attempt)
        .bind(lease_until)
        .fetch_optional(pool)
        .await)?;
    row.map(|row| row.0).ok_or(StorageError::LeaseLost)
}

/// Makes `checkpoint`, already stored, the place to resume from. The training has come further, so
/// its crashes are forgotten.
pub async fn set_checkpoint(db: &Db, lease: &Lease, checkpoint: &BlobKey) -> Result<()> {
    const SET_CHECKPOINT: &str =
        concat!("UPDATE trainings SET checkpoint = $4, crashes = 0 WHERE ", leased!());
    held(with_pool!(db, |pool| sqlx::query(SET_CHECKPOINT)
        .bind(lease.training_id)
        .bind(lease.owner)
        .bind(lease.attempt)
        .bind(checkpoint)
        .execute(pool)
        .await
        .map(|done| done.rows_affected()))?)
}

/// Gives the training back to the queue at a graceful shutdown; one that was asked to stop ends.
pub async fn release(db: &Db, lease: &Lease, now: DateTime<Utc>) -> Result<()> {
    const RELEASE: &str = concat!(
        "UPDATE trainings
         SET status = CASE WHEN cancel_requested THEN 'cancelled' ELSE 'queued' END,
             finished_at = CASE WHEN cancel_requested THEN $4 ELSE NULL END,
             checkpoint = CASE WHEN cancel_requested THEN NULL ELSE checkpoint END,
             lease_owner = NULL, lease_until = NULL, eta_s = NULL
         WHERE ",
        leased!()
    );
    held(with_pool!(db, |pool| sqlx::query(RELEASE)
        .bind(lease.training_id)
        .bind(lease.owner)
        .bind(lease.attempt)
        .bind(now)
        .execute(pool)
        .await
        .map(|done| done.rows_affected()))?)
}

/// Ends the training with an error.
pub async fn finish_failed(
    db: &Db,
    lease: &Lease,
    error: &JobError,
    warnings: &[Warning],
    now: DateTime<Utc>,
) -> Result<()> {
    const FAIL: &str = concat!(
        "UPDATE trainings SET status = 'failed', finished_at = $4, eta_s = NULL, checkpoint = NULL,
             error = $5, warnings = $6
         WHERE ",
        leased!()
    );
    held(with_pool!(db, |pool| sqlx::query(FAIL)
        .bind(lease.training_id)
        .bind(lease.owner)
        .bind(lease.attempt)
        .bind(now)
        .bind(Document(error.clone()))
        .bind(Document(warnings.to_vec()))
        .execute(pool)
        .await
        .map(|done| done.rows_affected()))?)
}

/// Ends the training because it was asked to stop.
pub async fn finish_cancelled(db: &Db, lease: &Lease, now: DateTime<Utc>) -> Result<()> {
    const CANCEL: &str = concat!(
        "UPDATE trainings SET status = 'cancelled', finished_at = $4, eta_s = NULL, checkpoint = NULL WHERE ",
        leased!()
    );
    held(with_pool!(db, |pool| sqlx::query(CANCEL)
        .bind(lease.training_id)
        .bind(lease.owner)
        .bind(lease.attempt)
        .bind(now)
        .execute(pool)
        .await
        .map(|done| done.rows_affected()))?)
}
