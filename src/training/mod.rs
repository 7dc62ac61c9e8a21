//! A table becomes a model.
//!
//! ```text
//! request --check--> Spec --train--> Trained { model, metrics, card }
//!                              |  events up: epochs, progress, checkpoints
//!                              |  stop down: looked at in every step
//! ```
//!
//! Nothing here knows of files, databases or time of day: the same table, settings and seed give the
//! same model, byte for byte, also after a stop and a resume. That holds for one backend and one number of
//! threads, which decide in what order sums are rounded, and without a time limit.

mod baseline;
mod blend;
mod board;
mod budget;
mod calibration;
pub mod check;
pub mod checkpoint;
mod ensemble;
pub mod event;
pub mod fit;
pub mod gradient;
mod grouped;
mod importance;
pub mod initial;
pub mod metrics;
mod notice;
pub mod optimizer;
pub mod part;
pub mod prepare;
pub mod random;
pub mod recipe;
pub mod report;
mod response;
mod run;
pub mod schedule;
pub mod score;
mod session;
pub mod spec;
pub mod split;
pub mod team;
pub mod truth;
mod turns;
mod view;
#[cfg(test)]
pub(crate) mod test_data;

pub use check::{Limits, check};
pub use event::{EpochScore, Event, Stop, StopReason};
pub use spec::{Checked, Spec, SpecError, TrainRequest};

use crate::dataset::{Description, Table, Warning};
use crate::model::{Backend, Model};

/// What a training computes with.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Compute {
    /// Which of burn's backends multiplies matrices.
    pub backend: Backend,
    /// Threads for one network; more than one pays for large batches only.
    pub threads: usize,
    /// Seconds of training between checkpoints; the most that a crash can cost.
    pub checkpoint_s: f64,
}

/// The outcome of a training.
#[derive(Debug)]
pub struct Trained {
    /// The model.
    pub model: Model,
    /// The model file.
    pub bytes: Vec<u8>,
    /// Scores on the test part, by name; `per_target` for several numeric targets.
    pub metrics: serde_json::Value,
    /// Everything the model card shows.
    pub card: serde_json::Value,
    /// `time_limit` or `early_stopping`, where not all epochs were needed or allowed.
    pub stopped: Option<String>,
    /// What was noticed.
    pub warnings: Vec<Warning>,
    /// Seconds of training, over all attempts.
    pub train_s: f64,
}

/// Why a training gave no model.
#[derive(Debug, Clone, PartialEq, thiserror::Error)]
pub enum TrainError {
    /// It was asked to stop; the last checkpoint event holds the state.
    #[error("the training was stopped")]
    Stopped(StopReason),
    /// The loss is not a finite number any more.
    #[error(
        "the training diverged in epoch {epoch}: the loss is no longer a number; lower the learning rate (it was {learning_rate}; a second try at a fifth of that diverged too)"
    )]
    Diverged {
        /// 1-based.
        epoch: usize,
        /// Of the settings.
        learning_rate: f64,
    },
    /// The data do not allow it.
    #[error("{message}")]
    Data {
        /// `too-few-rows`, `constant-target`, `no-target-values`, `too-few-rows-per-class`, ...
        slug: &'static str,
        /// What is wrong and how to mend it.
        message: String,
    },
}

impl TrainError {
    /// The stable name of the failure.
    pub fn slug(&self) -> &'static str {
        match self {
            Self::Stopped(_) => "stopped",
            Self::Diverged { .. } => "training-diverged",
            Self::Data { slug, .. } => slug,
        }
    }
}

/// What a training learns from.
#[derive(Debug, Clone, Copy)]
pub struct Data<'a> {
    /// The rows.
    pub table: &'a Table,
    /// How the file was read.
    pub description: &'a Description,
    /// Rows to test on, ascending, where the caller has a split of their own.
    pub test_rows: Option<&'a [usize]>,
}

/// Trains a model on `data` as `spec` says. `resume` is the last checkpoint of an earlier attempt
/// with the same data and settings.
///
/// # Errors
/// When it is stopped, diverges, or the data do not allow it.
pub fn train(
    data: &Data,
    spec: &Spec,
    compute: &Compute,
    resume: Option<&[u8]>,
    observe: &mut (dyn FnMut(Event) + Send),
    stop: &Stop,
) -> Result<Trained, TrainError> {
    let team = team::Team::new(compute.threads).map_err(|error| TrainError::Data {
        slug: "internal",
        message: format!("no thread could be started: {error}"),
    })?;
    team.lead(|| run::run(data, spec, compute, resume, observe, stop, &team))
}
