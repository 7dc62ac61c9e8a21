//! How a worker holds a job: the row says whose it is, until when, and by which claim.
//!
//! Trainings and files that are answered in the background are such rows, in tables whose columns for this are the same.
//! A claim takes a row that waits, or whose worker has let its lease run out. Every later write shows the [`Lease`] that
//! the claim gave; one that finds no row is refused, because the job is another worker's now, or has ended.

use super::{Db, JobError, Result, column::Document, with_pool, written};
use crate::id::TrainingId;
use chrono::{DateTime, Duration, Utc};
use sqlx::{FromRow, postgres::PgRow, sqlite::SqliteRow};
use uuid::Uuid;

/// The fencing token of one claim: what a worker shows with every write.
///
/// `attempt` only ever grows, so even the same worker taking the same job again has another token
/// than before.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Lease<Id = TrainingId> {
    /// The job that is held.
    pub job_id: Id,
    /// The worker process that holds it; drawn anew at each start.
    pub owner: Uuid,
    /// The number of the claim.
    pub attempt: i64,
}

/// The row that a lease speaks for: `$1` job, `$2` owner, `$3` attempt.
macro_rules! leased {
    ($id:literal) => {
        concat!($id, " = $1 AND status = 'running' AND lease_owner = $2 AND attempt = $3")
    };
}
pub(super) use leased;

/// An update of that row for [`write_leased`]; the values of `$set` count from `$4`.
macro_rules! leased_update {
    ($table:literal, $id:literal, $set:expr) => {
        concat!("UPDATE ", $table, " SET ", $set, " WHERE ", leased!($id), " RETURNING cancel_requested")
    };
}
pub(super) use leased_update;

/// Runs a [`leased_update`]. The result is whether the job was asked to stop, or that the lease is lost.
macro_rules! write_leased {
    ($db:expr, $lease:expr, $sql:expr $(, $value:expr)*) => {{
        let asked: Option<bool> = with_pool!($db, |pool| sqlx::query_scalar($sql)
            .bind($lease.job_id)
            .bind($lease.owner)
            .bind($lease.attempt)
            $(.bind($value))*
            .fetch_all(pool)
            .await
            .map($crate::storage::written))?;
        asked.ok_or($crate::storage::StorageError::LeaseLost)
    }};
}
pub(super) use write_leased;

/// What a job becomes that its worker gives back: `$4` now.
macro_rules! given_back {
    () => {
        "status = CASE WHEN cancel_requested THEN 'cancelled' ELSE 'queued' END,
         finished_at = CASE WHEN cancel_requested THEN $4 ELSE NULL END,
         lease_owner = NULL, lease_until = NULL"
    };
}
pub(super) use given_back;

/// What a job becomes that is asked to stop, `$2` now: one that waits, or whose worker is dead, ends at once.
macro_rules! asked_to_stop {
    () => {
        "cancel_requested = TRUE,
         status = CASE WHEN status = 'queued' OR lease_until < $2 THEN 'cancelled' ELSE status END,
         finished_at = CASE WHEN status = 'queued' OR lease_until < $2 THEN $2 ELSE NULL END"
    };
}
pub(super) use asked_to_stop;

/// The statement of [`claim`] for a table, on SQLite and on PostgreSQL. `$reset` is what begins anew with each claim.
macro_rules! claim_sql {
    ($table:literal, $id:literal, $reset:literal) => {
        // SQLite has one writer at a time: there is nothing to lock.
        [claim_sql!($table, $id, $reset, ""), claim_sql!($table, $id, $reset, "FOR UPDATE SKIP LOCKED")]
    };
    ($table:literal, $id:literal, $reset:literal, $lock:literal) => {
        concat!(
            "UPDATE ",
            $table,
            " SET status = 'running', lease_owner = $1, lease_until = $3, attempt = attempt + 1,
                  crashes = crashes + CASE WHEN status = 'running' THEN 1 ELSE 0 END, ",
            $reset,
            "     started_at = COALESCE(started_at, $2)
              WHERE ",
            $id,
            " = (
                  SELECT ",
            $id,
            " FROM ",
            $table,
            " WHERE status = 'queued'
                 OR (status = 'running' AND lease_until < $2 AND crashes + 1 < $4 AND NOT cancel_requested)
              ORDER BY created_at, ",
            $id,
            " LIMIT 1 ",
            $lock,
            ") RETURNING *"
        )
    };
}
pub(super) use claim_sql;

/// Takes the oldest job that waits, or whose worker has let its lease run out; but not one that has
/// crashed its worker `max_crashes` times: see [`expire`].
pub(super) async fn claim<Record>(
    db: &Db,
    [sqlite, postgres]: [&'static str; 2],
    owner: Uuid,
    now: DateTime<Utc>,
    lease: Duration,
    max_crashes: u32,
) -> Result<Option<Record>>
where
    Record: for<'r> FromRow<'r, SqliteRow> + for<'r> FromRow<'r, PgRow> + Send + Unpin,
{
    let sql = match db {
        Db::Sqlite(_) => sqlite,
        Db::Postgres(_) => postgres,
    };
    Ok(with_pool!(db, |pool| sqlx::query_as(sql)
        .bind(owner)
        .bind(now)
        .bind(now + lease)
        .bind(i64::from(max_crashes))
        .fetch_all(pool)
        .await
        .map(written))?)
}

/// The statement of [`expire`] for a table. `$reset` is what an ended job does not keep.
macro_rules! expire_sql {
    ($table:literal, $id:literal, $reset:literal) => {
        concat!(
            "UPDATE ",
            $table,
            " SET status = CASE WHEN cancel_requested THEN 'cancelled' ELSE 'failed' END, finished_at = $1, ",
            $reset,
            "     crashes = crashes + CASE WHEN cancel_requested THEN 0 ELSE 1 END,
                  error = CASE WHEN cancel_requested THEN error ELSE $3 END
              WHERE status = 'running' AND lease_until < $1 AND (cancel_requested OR crashes + 1 >= $2)
              RETURNING ",
            $id
        )
    };
}
pub(super) use expire_sql;

/// Ends the jobs whose lease has run out and that nobody shall take again: those that were asked to
/// stop, and those whose worker died `max_crashes` times, which fail with `detail`. Returns which.
pub(super) async fn expire(
    db: &Db,
    sql: &'static str,
    now: DateTime<Utc>,
    max_crashes: u32,
    detail: String,
) -> Result<Vec<Uuid>> {
    let error = JobError { slug: "job-crashed-worker".into(), detail };
    Ok(with_pool!(db, |pool| sqlx::query_scalar(sql)
        .bind(now)
        .bind(i64::from(max_crashes))
        .bind(Document(error))
        .fetch_all(pool)
        .await)?)
}
