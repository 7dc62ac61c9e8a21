//! What trainings and files that are answered in the background have in common: both are jobs.

use super::column::texts;
use serde::{Deserialize, Serialize};

/// Where a job stands.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum JobStatus {
    /// Waits for a worker.
    Queued,
    /// A worker holds it.
    Running,
    /// Ended with what it is for: a model, or answers.
    Succeeded,
    /// Ended with an error.
    Failed,
    /// Ended because it was asked to.
    Cancelled,
}

texts!(
    JobStatus,
    { Queued: "queued", Running: "running", Succeeded: "succeeded", Failed: "failed", Cancelled: "cancelled" },
    |text| format!("{text:?} is not a status: queued, running, succeeded, failed or cancelled")
);

impl JobStatus {
    /// Whether it will not change any more.
    pub fn is_final(self) -> bool {
        matches!(self, Self::Succeeded | Self::Failed | Self::Cancelled)
    }
}

/// Why a job failed.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct JobError {
    /// A stable slug such as `training-diverged`.
    pub slug: String,
    /// What happened, and what to do about it.
    pub detail: String,
}
