//! Uploads that are read while their senders do not wait.
//!
//! ```text
//!  insert          progress            finish
//! --------> queued ---------> reading ---------> stored
//!              |                 |    ---------> refused
//!              '-----------------'
//!          end_lost: its server has not been seen for too long
//! ```

use crate::id::{DatasetId, ReadingId};
use crate::storage::{
    Db, Result,
    column::{Count, Document, from_row, texts},
    with_pool,
};
use chrono::{DateTime, Utc};
use serde::{Deserialize, Serialize};
use serde_json::Value;

/// Where a reading stands.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum ReadingStatus {
    /// Waits for its turn.
    Queued,
    /// Is being read.
    Reading,
    /// Has become a dataset.
    Stored,
    /// Will not become one.
    Refused,
}

texts!(
    ReadingStatus,
    { Queued: "queued", Reading: "reading", Stored: "stored", Refused: "refused" },
    |text| format!("'{text}' is no status of a reading")
);

impl ReadingStatus {
    /// Whether nothing more will happen.
    pub fn is_final(self) -> bool {
        matches!(self, Self::Stored | Self::Refused)
    }
}

/// One reading.
#[derive(Debug, Clone, PartialEq)]
pub struct ReadingRecord {
    /// Its identifier.
    pub reading_id: ReadingId,
    /// Where it stands.
    pub status: ReadingStatus,
    /// What is being done; absent before it begins.
    pub phase: Option<String>,
    /// 0 to 1.
    pub progress: f64,
    /// Rows read so far.
    pub rows_read: u64,
    /// The file's name.
    pub filename: String,
    /// The file's size.
    pub size_bytes: u64,
    /// The dataset that it has become.
    pub dataset_id: Option<DatasetId>,
    /// Why it has not become one: a problem document.
    pub problem: Option<Value>,
    /// When its server was last seen.
    pub seen_at: DateTime<Utc>,
    /// When it was accepted.
    pub created_at: DateTime<Utc>,
    /// When it began.
    pub started_at: Option<DateTime<Utc>>,
    /// When it ended.
    pub finished_at: Option<DateTime<Utc>>,
}

from_row!(ReadingRecord, |row| Ok(Self {
    reading_id: row.try_get("reading_id")?,
    status: row.try_get("status")?,
    phase: row.try_get("phase")?,
    progress: row.try_get("progress")?,
    rows_read: row.try_get::<Count, _>("rows_read")?.0,
    filename: row.try_get("filename")?,
    size_bytes: row.try_get::<Count, _>("size_bytes")?.0,
    dataset_id: row.try_get("dataset_id")?,
    problem: row.try_get::<Option<Document<_>>, _>("problem")?.map(|document| document.0),
    seen_at: row.try_get("seen_at")?,
    created_at: row.try_get("created_at")?,
    started_at: row.try_get("started_at")?,
    finished_at: row.try_get("finished_at")?,
}));

/// How a reading ended.
#[derive(Debug, Clone, PartialEq)]
pub enum ReadingEnd {
    /// It became this dataset of so many rows.
    Stored(DatasetId, u64),
    /// It was refused, for the reason in this problem document.
    Refused(Value),
}

/// Adds a reading that waits for its turn.
pub async fn insert(
    db: &Db,
    reading_id: ReadingId,
    filename: &str,
    size_bytes: u64,
    now: DateTime<Utc>,
) -> Result<()> {
    const INSERT: &str = "
        INSERT INTO readings (reading_id, status, filename, size_bytes, seen_at, created_at)
        VALUES ($1, 'queued', $2, $3, $4, $4)";
    with_pool!(db, |pool| sqlx::query(INSERT)
        .bind(reading_id)
        .bind(filename)
        .bind(Count(size_bytes))
        .bind(now)
        .execute(pool)
        .await
        .map(drop))?;
    Ok(())
}

/// The reading, where there is one.
pub async fn get(db: &Db, reading_id: ReadingId) -> Result<Option<ReadingRecord>> {
    const GET: &str = "SELECT * FROM readings WHERE reading_id = $1";
    Ok(with_pool!(db, |pool| sqlx::query_as(GET).bind(reading_id).fetch_optional(pool).await)?)
}

/// How many have not ended and were alive at `seen_since`.
pub async fn count_open(db: &Db, seen_since: DateTime<Utc>) -> Result<u64> {
    const COUNT: &str =
        "SELECT COUNT(*) FROM readings WHERE status IN ('queued', 'reading') AND seen_at >= $1";
    let count: Count =
        with_pool!(db, |pool| sqlx::query_scalar(COUNT).bind(seen_since).fetch_one(pool).await)?;
    Ok(count.0)
}

/// Says that the reading is alive, and how far it has come; `phase` is absent before it begins.
/// Changes nothing where it has ended.
pub async fn progress(
    db: &Db,
    reading_id: ReadingId,
    phase: Option<&str>,
    progress: f64,
    rows_read: u64,
    now: DateTime<Utc>,
) -> Result<()> {
    const PROGRESS: &str = "
        UPDATE readings
        SET seen_at = $2, phase = $3, progress = $4, rows_read = $5,
            status = CASE WHEN $3 IS NULL THEN status ELSE 'reading' END,
            started_at = CASE WHEN $3 IS NULL THEN started_at ELSE COALESCE(started_at, $2) END
        WHERE reading_id = $1 AND status IN ('queued', 'reading')";
    with_pool!(db, |pool| sqlx::query(PROGRESS)
        .bind(reading_id)
        .bind(now)
        .bind(phase)
        .bind(progress)
        .bind(Count(rows_read))
        .execute(pool)
        .await
        .map(drop))?;
    Ok(())
}

/// Ends a reading. Changes nothing where it has ended already.
pub async fn finish(db: &Db, reading_id: ReadingId, end: ReadingEnd, now: DateTime<Utc>) -> Result<()> {
    const FINISH: &str = "
        UPDATE readings
        SET status = $2, dataset_id = $3, problem = $4, seen_at = $5, finished_at = $5,
            rows_read = CASE WHEN $6 < 0 THEN rows_read ELSE $6 END,
            progress = CASE WHEN $6 < 0 THEN progress ELSE 1 END
        WHERE reading_id = $1 AND status IN ('queued', 'reading')";
    let (status, dataset_id, problem, rows) = match end {
        ReadingEnd::Stored(dataset_id, rows) => {
            (ReadingStatus::Stored, Some(dataset_id), None, i64::try_from(rows).unwrap_or(i64::MAX))
        }
        ReadingEnd::Refused(problem) => (ReadingStatus::Refused, None, Some(Document(problem)), -1),
    };
    with_pool!(db, |pool| sqlx::query(FINISH)
        .bind(reading_id)
        .bind(status)
        .bind(dataset_id)
        .bind(problem)
        .bind(now)
        .bind(rows)
        .execute(pool)
        .await
        .map(drop))?;
    Ok(())
}

/// Ends the readings whose server was last seen before `seen_before`, with this problem document.
pub async fn end_lost(
    db: &Db,
    seen_before: DateTime<Utc>,
    problem: Value,
    now: DateTime<Utc>,
) -> Result<u64> {
    const END: &str = "
        UPDATE readings SET status = 'refused', problem = $2, finished_at = $3
        WHERE status IN ('queued', 'reading') AND seen_at < $1";
    Ok(with_pool!(db, |pool| sqlx::query(END)
        .bind(seen_before)
        .bind(Document(problem))
        .bind(now)
        .execute(pool)
        .await
        .map(|done| done.rows_affected()))?)
}

/// Forgets the readings that were accepted before `before` and have ended.
pub async fn remove_old(db: &Db, before: DateTime<Utc>) -> Result<u64> {
    const REMOVE: &str = "DELETE FROM readings WHERE created_at < $1 AND status IN ('stored', 'refused')";
    Ok(with_pool!(db, |pool| sqlx::query(REMOVE)
        .bind(before)
        .execute(pool)
        .await
        .map(|done| done.rows_affected()))?)
}
