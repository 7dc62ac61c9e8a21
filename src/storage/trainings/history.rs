//! What a training tells while it runs: progress, epochs and log lines.

use crate::dataset::Warning;
use crate::id::TrainingId;
use crate::storage::{
    Db, Lease, Result, StorageError,
    column::{Document, from_row, texts},
    lease::leased,
    with_pool,
};
use chrono::{DateTime, Utc};
use serde::{Deserialize, Serialize};

/// How far a training is.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Progress {
    /// 0 to 1.
    pub fraction: f64,
    /// What it is doing.
    pub message: String,
    /// Seconds left, as estimated.
    pub eta_s: Option<f64>,
}

/// One epoch, to be recorded.
#[derive(Debug, Clone, PartialEq)]
pub struct NewEpoch {
    /// Counts from 0.
    pub fold: i64,
    /// Counts from 1.
    pub epoch: i64,
    /// Loss on the training part; kept only if finite.
    pub train_loss: f64,
    /// Loss on the validation part, where there is one.
    pub validation_loss: Option<f64>,
    /// The learning rate at its end.
    pub learning_rate: f64,
    /// When it ended.
    pub at: DateTime<Utc>,
}

/// One epoch, as recorded.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct EpochRecord {
    /// Counts from 0.
    pub fold: i64,
    /// Counts from 1.
    pub epoch: i64,
    /// Its place in the stream of this training's epochs: give it to [`epochs_after`].
    pub sequence: i64,
    /// Loss on the training part; absent if it was not finite.
    pub train_loss: Option<f64>,
    /// Loss on the validation part.
    pub validation_loss: Option<f64>,
    /// The learning rate at its end.
    pub learning_rate: f64,
    /// When it ended.
    pub at: DateTime<Utc>,
}

from_row!(EpochRecord, |row| Ok(Self {
    fold: row.try_get("fold")?,
    epoch: row.try_get("epoch")?,
    sequence: row.try_get("sequence")?,
    train_loss: row.try_get("train_loss")?,
    validation_loss: row.try_get("validation_loss")?,
    learning_rate: row.try_get("learning_rate")?,
    at: row.try_get("at")?,
}));

/// How much a log line matters.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum LogLevel {
    /// What is going on.
    Info,
    /// What is to be noticed.
    Warning,
    /// What failed.
    Error,
}

texts!(
    LogLevel,
    { Info: "info", Warning: "warning", Error: "error" },
    |text| format!("{text:?} is not a log level: info, warning or error")
);

/// One log line, to be recorded.
#[derive(Debug, Clone, PartialEq)]
pub struct NewLog {
    /// When it was written.
    pub at: DateTime<Utc>,
    /// How much it matters.
    pub level: LogLevel,
    /// What it says.
    pub message: String,
}

/// One log line, as recorded.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct LogRecord {
    /// Its place among this training's lines: give it to [`logs_after`].
    pub sequence: i64,
    /// When it was written.
    pub at: DateTime<Utc>,
    /// How much it matters.
    pub level: LogLevel,
    /// What it says.
    pub message: String,
}

from_row!(LogRecord, |row| Ok(Self {
    sequence: row.try_get("sequence")?,
    at: row.try_get("at")?,
    level: row.try_get("level")?,
    message: row.try_get("message")?,
}));

/// Writes down how far the training is, in one transaction: the newest progress, all warnings so
/// far, and the epochs and log lines since the last call.
///
/// A resumed training repeats the epochs after its checkpoint. They overwrite the first ones and
/// keep their place in the stream, so that nobody who follows it sees an epoch twice.
pub async fn record(
    db: &Db,
    lease: &Lease,
    progress: &Progress,
    warnings: &[Warning],
    epochs: &[NewEpoch],
    logs: &[NewLog],
) -> Result<()> {
    const PROGRESS: &str = concat!(
        "UPDATE trainings SET progress = $4, message = $5, eta_s = $6, warnings = $7 WHERE ",
        leased!("training_id")
    );
    const LAST_EPOCH: &str = "SELECT COALESCE(MAX(sequence), 0) FROM training_epochs WHERE training_id = $1";
    const EPOCH: &str = "
        INSERT INTO training_epochs
            (training_id, fold, epoch, sequence, train_loss, validation_loss, learning_rate, at)
        VALUES ($1, $2, $3, $4, $5, $6, $7, $8)
        ON CONFLICT (training_id, fold, epoch) DO UPDATE
        SET train_loss = excluded.train_loss, validation_loss = excluded.validation_loss,
            learning_rate = excluded.learning_rate, at = excluded.at";
    const LAST_LOG: &str = "SELECT COALESCE(MAX(sequence), 0) FROM training_logs WHERE training_id = $1";
    const LOG: &str = "
        INSERT INTO training_logs (training_id, sequence, at, level, message) VALUES ($1, $2, $3, $4, $5)";

    with_pool!(db, |pool| {
        let mut tx = pool.begin_with(db.begin_write()).await?;
        // The update also locks the row, so that `sequence` has one writer.
        let updated = sqlx::query(PROGRESS)
            .bind(lease.job_id)
            .bind(lease.owner)
            .bind(lease.attempt)
            .bind(finite(progress.fraction).unwrap_or(0.0).clamp(0.0, 1.0))
            .bind(without_nul(&progress.message))
            .bind(progress.eta_s.and_then(finite))
            .bind(Document(warnings.to_vec()))
            .execute(&mut *tx)
            .await?;
        if updated.rows_affected() == 0 {
            return Err(StorageError::LeaseLost);
        }

        if !epochs.is_empty() {
            let last: i64 = sqlx::query_scalar(LAST_EPOCH).bind(lease.job_id).fetch_one(&mut *tx).await?;
            for (sequence, epoch) in (last + 1..).zip(epochs) {
                sqlx::query(EPOCH)
                    .bind(lease.job_id)
                    .bind(epoch.fold)
                    .bind(epoch.epoch)
                    .bind(sequence)
                    .bind(finite(epoch.train_loss))
                    .bind(epoch.validation_loss.and_then(finite))
                    .bind(finite(epoch.learning_rate).unwrap_or(0.0))
                    .bind(epoch.at)
                    .execute(&mut *tx)
                    .await?;
            }
        }
        if !logs.is_empty() {
            let last: i64 = sqlx::query_scalar(LAST_LOG).bind(lease.job_id).fetch_one(&mut *tx).await?;
            for (sequence, log) in (last + 1..).zip(logs) {
                sqlx::query(LOG)
                    .bind(lease.job_id)
                    .bind(sequence)
                    .bind(log.at)
                    .bind(log.level)
                    .bind(without_nul(&log.message))
                    .execute(&mut *tx)
                    .await?;
            }
        }
        tx.commit().await?;
    });
    Ok(())
}

/// At most `limit` epochs after the one with this `sequence`, in the order of recording; all that
/// is new since the last look. Start with 0.
pub async fn epochs_after(
    db: &Db,
    training_id: TrainingId,
    sequence: i64,
    limit: u32,
) -> Result<Vec<EpochRecord>> {
    const EPOCHS: &str = "
        SELECT fold, epoch, sequence, train_loss, validation_loss, learning_rate, at FROM training_epochs
        WHERE training_id = $1 AND sequence > $2 ORDER BY sequence LIMIT $3";
    Ok(with_pool!(db, |pool| sqlx::query_as(EPOCHS)
        .bind(training_id)
        .bind(sequence)
        .bind(i64::from(limit))
        .fetch_all(pool)
        .await)?)
}

/// At most `limit` log lines after the one with this `sequence`. Start with 0.
pub async fn logs_after(
    db: &Db,
    training_id: TrainingId,
    sequence: i64,
    limit: u32,
) -> Result<Vec<LogRecord>> {
    const LOGS: &str = "
        SELECT sequence, at, level, message FROM training_logs
        WHERE training_id = $1 AND sequence > $2 ORDER BY sequence LIMIT $3";
    Ok(with_pool!(db, |pool| sqlx::query_as(LOGS)
        .bind(training_id)
        .bind(sequence)
        .bind(i64::from(limit))
        .fetch_all(pool)
        .await)?)
}

/// SQLite keeps no NaN, and JSON has none.
fn finite(value: f64) -> Option<f64> {
    value.is_finite().then_some(value)
}

/// PostgreSQL keeps no NUL character, and a log line must not fail a training.
fn without_nul(text: &str) -> String {
    text.replace('\0', "\u{fffd}")
}
