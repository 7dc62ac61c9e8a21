//! What a training tells while it runs, and how it is told to stop.

use super::TrainError;
use serde::{Deserialize, Serialize};
use std::sync::Arc;
use std::sync::atomic::{AtomicU8, Ordering};

/// What a training tells while it runs.
#[derive(Debug, Clone, PartialEq)]
pub enum Event {
    /// A line for the log.
    Message(String),
    /// How far it is.
    Progress {
        /// 0 to 1.
        fraction: f64,
        /// Such as `epoch 105 of 256`.
        message: String,
        /// Seconds left, once that can be told.
        eta_s: Option<f64>,
    },
    /// An epoch has ended.
    Epoch(EpochScore),
    /// Everything needed to go on from here after a crash.
    Checkpoint(Vec<u8>),
    /// What is to be noticed.
    Warning(crate::dataset::Warning),
}

/// The losses of one epoch.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
pub struct EpochScore {
    /// 0-based fold.
    pub fold: u32,
    /// 1-based epoch.
    pub epoch: u32,
    /// Mean loss over the steps of the epoch.
    pub train_loss: f64,
    /// Loss on the validation part: mean squared error of standardised targets, or cross-entropy.
    pub validation_loss: f64,
    /// The rate of the last step.
    pub learning_rate: f64,
}

/// Why a training is asked to stop.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum StopReason {
    /// The user does not want the model any more.
    Cancel,
    /// The process ends; another one will go on from the checkpoint.
    Shutdown,
}

/// A flag shared with a running training, looked at in every step.
#[derive(Debug, Clone, Default)]
pub struct Stop(Arc<AtomicU8>);

impl Stop {
    /// A flag that is not raised.
    pub fn new() -> Self {
        Self::default()
    }

    /// Asks the training to stop.
    pub fn request(&self, reason: StopReason) {
        let code = match reason {
            StopReason::Cancel => 1,
            StopReason::Shutdown => 2,
        };
        self.0.store(code, Ordering::Relaxed);
    }

    /// Says so where the training is asked to stop.
    pub(super) fn check(&self) -> Result<(), TrainError> {
        self.requested().map_or(Ok(()), |reason| Err(TrainError::Stopped(reason)))
    }

    /// What was asked for.
    pub fn requested(&self) -> Option<StopReason> {
        match self.0.load(Ordering::Relaxed) {
            0 => None,
            1 => Some(StopReason::Cancel),
            _ => Some(StopReason::Shutdown),
        }
    }
}
