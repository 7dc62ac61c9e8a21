//! What a job tells that a store has ended.

use crate::storage::{JobError, Part, StorageError};

/// Because of the database or the store. `again` says what to do then: `train again`.
pub fn of_storage(error: &StorageError, again: &str) -> JobError {
    let (slug, detail) = match error {
        StorageError::InsufficientStorage(part) => {
            ("insufficient-storage", format!("no space is left in the {part}: free some and {again}"))
        }
        StorageError::Unavailable { part: Part::Database, .. } | StorageError::Busy => (
            "database-unavailable",
            format!("the database did not answer for too long: {again} when it does"),
        ),
        StorageError::Unavailable { part: Part::Blobs, .. } => (
            "storage-unavailable",
            format!("the file storage did not answer for too long: {again} when it does"),
        ),
        _ => ("internal", "a fault in the program ended the work; the server's log says more".to_owned()),
    };
    JobError { slug: slug.to_owned(), detail }
}
