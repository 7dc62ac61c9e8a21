//! What runs later: trainings, taken from the queue by workers, and the hourly clean-up.
//!
//! ```text
//!                    trainings (rows)
//!                      ^   |
//!   heartbeat, record, |   | claim
//!   checkpoint, commit |   v
//!  worker::run ---- run::run ----------- own OS thread: trainer(Work, observe, stop)
//!                      ^  mailbox: progress, epochs, log lines, newest checkpoint |
//!                      '----------------------------------------------------------'
//! ```
//!
//! - [`worker`] claims trainings, as many at once as the settings say; other kinds of jobs are waited
//!   for in its loop too.
//! - `run` sees one training through: its lease, its thread, its end.
//! - `mailbox` is where the training thread puts what it tells, without ever waiting.
//! - `record` writes the mailbox into the database and the blobs, at a bearable rate.
//! - `save` stores the finished model.
//! - [`of_storage`] is what a job tells that a store has ended.
//! - [`retry()`] keeps trying while a store is away.
//! - [`train`] is the training that workers run; tests put another one in its place.
//! - [`sweep`] removes what crashes have left behind.
//! - [`live`] wakes whoever follows a training in this process.
//! - [`Changes`] counts what has happened to the models in this process.

mod changes;
mod failure;
pub mod live;
mod mailbox;
mod record;
mod retry;
mod run;
mod save;
pub mod sweep;
pub mod train;
pub mod worker;

pub use changes::{Changes, Changing};
pub use failure::of_storage;
pub use live::{Listener, Live, Running};
pub use retry::retry;

use crate::clock::Clock;
use crate::dataset::{Description, Warning};
use crate::storage::{Blobs, Db, JobError};
use crate::training::{Event, Stop, StopReason};
use bytes::Bytes;
use std::{fmt, path::PathBuf, sync::Arc, time::Duration};

/// What jobs need of the process.
#[derive(Debug, Clone)]
pub struct Jobs {
    /// The records.
    pub db: Db,
    /// The files.
    pub blobs: Blobs,
    /// The time.
    pub clock: Clock,
    /// Who follows which training.
    pub live: Live,
    /// Told of every model that is added.
    pub changes: Changes,
    /// How jobs are run.
    pub settings: JobSettings,
}

/// How jobs are run.
#[derive(Debug, Clone)]
pub struct JobSettings {
    /// Trainings at once in this process.
    pub workers: usize,
    /// How long a worker may stay silent before its job is taken over.
    pub lease: Duration,
    /// How often it renews its lease and asks whether to stop. Bounds how late it stops.
    pub heartbeat: Duration,
    /// How often an idle worker looks for jobs that other processes have queued.
    pub poll: Duration,
    /// How often progress is written down.
    pub record_every: Duration,
    /// How often a job may take its worker down before it is failed.
    pub max_crashes: u32,
    /// For how long a finished model, or a file's answer, is kept while a store is away.
    pub save_retry_for: Duration,
    /// How often the sweep runs.
    pub sweep_every: Duration,
    /// How long a file that was answered in the background is kept.
    pub keep_predictions: Duration,
    /// How old a file without a row must be before it is removed.
    pub orphan_after: Duration,
    /// Where uploads are received; old files in it are removed.
    pub temp_dir: Option<PathBuf>,
}

impl JobSettings {
    /// The lease, as times are counted with it.
    pub fn lease_span(&self) -> chrono::Duration {
        chrono::Duration::milliseconds(self.lease.as_millis().try_into().unwrap_or(i64::MAX))
    }
}

impl Default for JobSettings {
    fn default() -> Self {
        Self {
            workers: 1,
            lease: Duration::from_secs(30),
            heartbeat: Duration::from_secs(1),
            poll: Duration::from_secs(1),
            record_every: Duration::from_millis(500),
            max_crashes: 3,
            save_retry_for: Duration::from_mins(10),
            sweep_every: Duration::from_hours(1),
            keep_predictions: Duration::from_hours(24),
            orphan_after: Duration::from_hours(1),
            temp_dir: None,
        }
    }
}

/// What a training works on.
#[derive(Debug, Clone)]
pub struct Work {
    /// The table, as Parquet.
    pub table: Bytes,
    /// How the file was read.
    pub description: Description,
    /// Which dataset it is, with the hash of its bytes: for the model card.
    pub dataset: serde_json::Value,
    /// The settings as resolved: [`crate::storage::TrainingRecord::request`].
    pub request: serde_json::Value,
    /// The last checkpoint of an earlier attempt.
    pub resume: Option<Bytes>,
}

/// What a training made.
#[derive(Debug, Clone)]
pub struct Outcome {
    /// The model file.
    pub file: Vec<u8>,
    /// `regression` or `classification`.
    pub task: String,
    /// The columns it predicts.
    pub targets: Vec<String>,
    /// The metrics of the test part.
    pub metrics: serde_json::Value,
    /// The model card.
    pub card: serde_json::Value,
    /// Why it stopped before its last epoch.
    pub stopped: Option<String>,
    /// What is to be noticed.
    pub warnings: Vec<Warning>,
    /// Seconds of training, over all attempts.
    pub train_s: f64,
}

/// Why a training made nothing.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Failure {
    /// It was asked to stop.
    Stopped(StopReason),
    /// It failed.
    Failed(JobError),
}

impl Failure {
    /// A failure with this slug and detail.
    pub fn new(slug: &str, detail: impl Into<String>) -> Self {
        Self::Failed(JobError { slug: slug.into(), detail: detail.into() })
    }
}

/// The function that trains: a parameter, so that tests can put a slow, failing or panicking one
/// in the place of a network.
#[derive(Clone)]
pub struct Trainer(Arc<TrainFn>);

type TrainFn =
    dyn Fn(Work, &mut (dyn FnMut(Event) + Send), &Stop) -> Result<Outcome, Failure> + Send + Sync + 'static;

impl Trainer {
    /// Wraps the function. It is called on a thread of its own and may take as long as it likes,
    /// but looks at the flag often.
    pub fn new(
        train: impl Fn(Work, &mut (dyn FnMut(Event) + Send), &Stop) -> Result<Outcome, Failure>
        + Send
        + Sync
        + 'static,
    ) -> Self {
        Self(Arc::new(train))
    }

    fn train(
        &self,
        work: Work,
        observe: &mut (dyn FnMut(Event) + Send),
        stop: &Stop,
    ) -> Result<Outcome, Failure> {
        (self.0)(work, observe, stop)
    }
}

impl fmt::Debug for Trainer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Trainer")
    }
}
