//! Errors of the inner modules as problems. Each has two texts: the client gets the safe one, the
//! log the complete one.

use super::error::{ErrorItem, Problem, Slug};
use crate::{
    app::{DiskFull, NotReady},
    dataset::ReadError,
    ingest::IngestError,
    prediction::PredictionError,
    storage::{Part, StorageError},
    training::SpecError,
};

impl From<NotReady> for Problem {
    fn from(error: NotReady) -> Self {
        Self::new(Slug::NotReady, error.to_string())
    }
}

impl From<DiskFull> for Problem {
    fn from(error: DiskFull) -> Self {
        Self::new(Slug::InsufficientStorage, error.to_string()).closing()
    }
}

impl From<StorageError> for Problem {
    fn from(error: StorageError) -> Self {
        match error {
            StorageError::Unavailable { part, source } => {
                tracing::error!(%part, %source, "storage does not answer");
                match part {
                    Part::Database => Self::new(Slug::DatabaseUnavailable, "the database does not answer"),
                    Part::Blobs => Self::new(Slug::StorageUnavailable, "the file store does not answer"),
                }
            }
            StorageError::Busy => Self::new(Slug::DatabaseBusy, "the database was locked for too long"),
            StorageError::InsufficientStorage(part) => {
                Self::new(Slug::InsufficientStorage, format!("no space is left in the {part}"))
            }
            StorageError::QueueFull { limit } => {
                Self::new(Slug::QueueFull, format!("{limit} trainings are waiting already"))
            }
            StorageError::TooManyFiles { limit } => Self::new(
                Slug::QueueFull,
                format!(
                    "{limit} files are kept already for answers in the background; delete some of \
                     GET /predictions, or wait until they expire"
                ),
            ),
            StorageError::FilesTooLarge { limit_bytes } => Self::new(
                Slug::InsufficientStorage,
                format!(
                    "files for answers in the background may take {limit_bytes} bytes together; delete some of \
                     GET /predictions, or wait until they expire"
                ),
            ),
            StorageError::Changed => Self::new(Slug::PreconditionFailed, error.to_string()),
            StorageError::NameInUse { name } => Self::new(
                Slug::NameInUse,
                format!("a model is called \"{name}\" already; choose another name"),
            ),
            StorageError::HasAliases { aliases } => Self::new(
                Slug::ModelHasAliases,
                format!(
                    "the model has the alias {}; give it to another version, or remove it, before you delete the model",
                    aliases.join(", ")
                ),
            ),
            StorageError::InvalidCursor => Self::invalid("/cursor", error.to_string()),
            StorageError::InvalidText => Self::new(Slug::InvalidParameter, error.to_string()),
            StorageError::Settings(_)
            | StorageError::NewerSchema { .. }
            | StorageError::FolderInUse(_)
            | StorageError::LeaseLost
            | StorageError::Corrupt(_)
            | StorageError::Internal(_) => Self::internal(error),
        }
    }
}

impl From<ReadError> for Problem {
    fn from(error: ReadError) -> Self {
        let slug = Slug::find(error.slug()).unwrap_or(Slug::Internal);
        if slug == Slug::Internal {
            return Self::internal(error.detail());
        }
        let errors = error
            .issues()
            .into_iter()
            .map(|issue| ErrorItem {
                pointer: None,
                column: issue.column,
                line: issue.line,
                sheet: issue.sheet,
                value: issue.value.map(serde_json::Value::from),
                message: issue.message,
            })
            .collect();
        Self::new(slug, error.detail().to_owned()).with_errors(errors)
    }
}

impl From<IngestError> for Problem {
    fn from(error: IngestError) -> Self {
        match error {
            IngestError::Read(error) => error.into(),
            IngestError::StorageFull => Self::new(Slug::InsufficientStorage, error.to_string()),
            IngestError::Process(_) => Self::internal(error),
        }
    }
}

impl From<SpecError> for Problem {
    fn from(error: SpecError) -> Self {
        let slug = Slug::find(error.slug).unwrap_or(Slug::InvalidParameter);
        let detail = error.to_string();
        let item = |setting: crate::training::spec::SettingError| ErrorItem {
            pointer: Some(setting.pointer),
            message: setting.message,
            ..ErrorItem::default()
        };
        Self::new(slug, detail).with_errors(error.errors.into_iter().map(item).collect())
    }
}

impl From<PredictionError> for Problem {
    fn from(error: PredictionError) -> Self {
        match error {
            PredictionError::NotFound => {
                Self::new(Slug::ModelNotFound, "there is no such model; GET /models lists them")
            }
            PredictionError::Corrupt | PredictionError::Missing => {
                Self::new(Slug::ModelCorrupt, error.to_string())
            }
            PredictionError::TooNew(detail) => Self::new(Slug::ModelFormatTooNew, detail),
            PredictionError::Refused(error) => Self::new(Slug::InvalidParameter, error.to_string()),
            PredictionError::Storage(error) => error.into(),
            PredictionError::Failed(_) => Self::internal(error),
        }
    }
}
