//! What workers do to the trainings they hold.

use super::TrainingRecord;
use crate::{
    dataset::Warning,
    id::TrainingId,
    storage::{
        BlobKey, Db, JobError, Lease, Result,
        column::Document,
        lease::{self, claim_sql, expire_sql, given_back, leased, leased_update, write_leased},
        with_pool,
    },
};
use chrono::{DateTime, Duration, Utc};
use uuid::Uuid;

/// A training that this worker holds now.
#[derive(Debug, Clone, PartialEq)]
pub struct Claimed {
    /// To be shown with every write.
    pub lease: Lease,
    /// The row as it is after the claim.
    pub training: TrainingRecord,
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
    const CLAIM: [&str; 2] = claim_sql!("trainings", "training_id", "");
    let training: Option<TrainingRecord> = lease::claim(db, CLAIM, owner, now, lease, max_crashes).await?;
    Ok(training.map(|training| Claimed {
        lease: Lease { job_id: training.training_id, owner, attempt: training.attempt },
        training,
    }))
}

/// Ends the trainings whose lease has run out and that nobody shall take again: those that were
/// asked to stop, and those whose worker died `max_crashes` times without getting to a new
/// checkpoint, which are taken for the cause. Returns which.
pub async fn expire(db: &Db, now: DateTime<Utc>, max_crashes: u32) -> Result<Vec<TrainingId>> {
    const EXPIRE: &str = expire_sql!("trainings", "training_id", "eta_s = NULL, checkpoint = NULL,");
    let detail = format!(
        "the process that ran this training died {max_crashes} times without getting any further; \
         the usual cause is too little memory: try a smaller network or fewer columns"
    );
    let ended = lease::expire(db, EXPIRE, now, max_crashes, detail).await?;
    Ok(ended.into_iter().map(TrainingId).collect())
}

/// Renews the lease until `lease_until`. Returns whether the training was asked to stop.
pub async fn heartbeat(db: &Db, lease: &Lease, lease_until: DateTime<Utc>) -> Result<bool> {
    const HEARTBEAT: &str = leased_update!("trainings", "training_id", "lease_until = $4");
    write_leased!(db, lease, HEARTBEAT, lease_until)
}

/// Makes `checkpoint`, already stored, the place to resume from. The training has come further, so
/// its crashes are forgotten.
pub async fn set_checkpoint(db: &Db, lease: &Lease, checkpoint: &BlobKey) -> Result<()> {
    const SET_CHECKPOINT: &str = leased_update!("trainings", "training_id", "checkpoint = $4, crashes = 0");
    write_leased!(db, lease, SET_CHECKPOINT, checkpoint).map(drop)
}

/// Gives the training back to the queue at a graceful shutdown; one that was asked to stop ends.
pub async fn release(db: &Db, lease: &Lease, now: DateTime<Utc>) -> Result<()> {
    const RELEASE: &str = leased_update!(
        "trainings",
        "training_id",
        concat!(
            given_back!(),
            ", checkpoint = CASE WHEN cancel_requested THEN NULL ELSE checkpoint END, eta_s = NULL"
        )
    );
    write_leased!(db, lease, RELEASE, now).map(drop)
}

/// Ends the training with an error.
pub async fn finish_failed(
    db: &Db,
    lease: &Lease,
    error: &JobError,
    warnings: &[Warning],
    now: DateTime<Utc>,
) -> Result<()> {
    const FAIL: &str = leased_update!(
        "trainings",
        "training_id",
        "status = 'failed', finished_at = $4, eta_s = NULL, checkpoint = NULL, error = $5, warnings = $6"
    );
    write_leased!(db, lease, FAIL, now, Document(error.clone()), Document(warnings.to_vec())).map(drop)
}

/// Ends the training because it was asked to stop.
pub async fn finish_cancelled(db: &Db, lease: &Lease, now: DateTime<Utc>) -> Result<()> {
    const CANCEL: &str = leased_update!(
        "trainings",
        "training_id",
        "status = 'cancelled', finished_at = $4, eta_s = NULL, checkpoint = NULL"
    );
    write_leased!(db, lease, CANCEL, now).map(drop)
}
