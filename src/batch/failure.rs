//! Why a file that is answered in the background is not.

use super::answers;
use super::sheet::Unfit;
use super::write::AnswerError;
use crate::{
    ingest::IngestError,
    jobs,
    prediction::PredictionError,
    storage::{JobError, PredictionRecord, StorageError},
};
use std::io;

/// A file that cannot be answered, with the slug of the problem and how to mend it.
pub(super) fn job_error(slug: &str, detail: impl Into<String>) -> JobError {
    JobError { slug: slug.to_owned(), detail: detail.into() }
}

/// A fault of the program; its cause is in the log.
pub(super) fn internal() -> JobError {
    job_error("internal", "a fault in the program ended the work on this file; the server's log says more")
}

/// Because of the database or the store.
pub(super) fn of_storage(error: &StorageError) -> JobError {
    tracing::error!(%error, "a file cannot be answered");
    jobs::of_storage(error, "send the file again")
}

/// Because it cannot be read.
pub(super) fn of_reading(error: &IngestError) -> JobError {
    match error {
        IngestError::Read(error) => job_error(error.slug(), error.detail()),
        IngestError::StorageFull => job_error("insufficient-storage", error.to_string()),
        IngestError::Process(_) => {
            tracing::error!(%error, "a file cannot be read");
            internal()
        }
    }
}

/// Because of its columns.
pub(super) fn of_unfit(unfit: Unfit) -> JobError {
    match unfit {
        Unfit::Lacks(detail) => job_error("missing-field", detail),
        Unfit::OtherUnit(detail) => job_error("unit-mismatch", detail),
    }
}

/// Because of its model.
pub(super) fn of_model(error: &PredictionError, record: &PredictionRecord) -> JobError {
    match error {
        PredictionError::NotFound => {
            let detail = format!("the model {} was deleted before the file was answered", record.model_id);
            job_error("model-not-found", detail)
        }
        PredictionError::Corrupt | PredictionError::Missing => job_error("model-corrupt", error.to_string()),
        PredictionError::TooNew(detail) => job_error("model-format-too-new", detail.clone()),
        PredictionError::Refused(_) | PredictionError::Storage(_) | PredictionError::Failed(_) => {
            tracing::error!(%error, "a model cannot be loaded");
            internal()
        }
    }
}

/// Because of a row, its size or the disk.
pub(super) fn of_answer(error: &AnswerError) -> JobError {
    match error {
        AnswerError::Refused(error) => job_error(error.cells[0].slug, answers::refusal(error)),
        AnswerError::TooLarge(_) => job_error("batch-too-large", error.to_string()),
        AnswerError::Io(cause) if cause.kind() == io::ErrorKind::StorageFull => job_error(
            "insufficient-storage",
            "the disk became full while the answer was written: free some space and send the file again",
        ),
        AnswerError::Io(_) | AnswerError::Table(_) | AnswerError::Stopped => {
            tracing::error!(%error, "a file cannot be answered");
            internal()
        }
    }
}
