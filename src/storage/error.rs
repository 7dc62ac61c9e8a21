//! What can go wrong in storage, and how the errors of the database and of the blobs map to it.

use sqlx::{postgres::PgDatabaseError, sqlite::SqliteError};
use std::{error::Error as StdError, io, path::PathBuf};

/// The result of a storage operation. A row that is not there is `None`, never an error.
pub type Result<T, E = StorageError> = std::result::Result<T, E>;

/// Why a storage operation failed.
#[derive(Debug, thiserror::Error)]
pub enum StorageError {
    /// A setting cannot be used: the database URL, a folder, the bucket.
    #[error("{0}")]
    Settings(String),
    /// The database was migrated by a newer version of the program.
    #[error(
        "the database has schema version {found}, this program knows up to {known}: \
         start the newer version of the program, or restore the backup made before it was upgraded"
    )]
    NewerSchema {
        /// The newest migration applied to the database.
        found: i64,
        /// The newest migration in this program.
        known: i64,
    },
    /// Another process serves from the same data folder.
    #[error(
        "another process is already using the data folder {}: stop it, or choose another folder with --data-dir", .0.display()
    )]
    FolderInUse(PathBuf),
    /// The database or the blob store does not answer.
    #[error("the {part} is not available: {source}")]
    Unavailable {
        /// Which of the two.
        part: Part,
        /// The cause, for the log.
        source: Box<dyn StdError + Send + Sync>,
    },
    /// The database was busy for longer than it is waited for.
    #[error("the database is busy")]
    Busy,
    /// No space is left for the database or the blobs.
    #[error("no space is left in the {0}")]
    InsufficientStorage(Part),
    /// The job is no longer this worker's: another one took it over, or it has ended.
    #[error("the lease on the job is lost")]
    LeaseLost,
    /// As many trainings wait as the settings allow.
    #[error("{limit} trainings are already waiting")]
    QueueFull {
        /// The limit.
        limit: u64,
    },
    /// As many files are kept for answering in the background as the settings allow.
    #[error("{limit} files are kept already")]
    TooManyFiles {
        /// The limit.
        limit: u64,
    },
    /// These files, their answers, and the new one are larger than the settings allow.
    #[error("the files that are kept are too large for another one")]
    FilesTooLarge {
        /// The limit.
        limit_bytes: u64,
    },
    /// A model is not what it was expected to be.
    #[error("the model has changed since; fetch it again")]
    Changed,
    /// Another model has this name, or one that differs only in case or Unicode form.
    #[error("the model name {name:?} is in use")]
    NameInUse {
        /// The name as it is spelt by the model that has it.
        name: String,
    },
    /// A model that is to be deleted still has aliases.
    #[error("the model has the aliases {aliases:?}")]
    HasAliases {
        /// Which.
        aliases: Vec<String>,
    },
    /// A cursor that this server did not make, or that belongs to another list.
    #[error("the cursor is not one that this list gave")]
    InvalidCursor,
    /// A text that the database cannot hold: it contains a NUL character.
    #[error("the text contains a NUL character")]
    InvalidText,
    /// What was stored cannot be read back.
    #[error("stored data cannot be read back: {0}")]
    Corrupt(String),
    /// A fault of the program.
    #[error("{0}")]
    Internal(Box<dyn StdError + Send + Sync>),
}

/// The two halves of storage.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Part {
    /// Records and logs.
    Database,
    /// Uploads, tables, checkpoints and model files.
    Blobs,
}

impl std::fmt::Display for Part {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(match self {
            Self::Database => "database",
            Self::Blobs => "file storage",
        })
    }
}

impl StorageError {
    /// Whether the same operation may succeed later, with nothing changed but the time.
    pub fn is_transient(&self) -> bool {
        matches!(self, Self::Unavailable { .. } | Self::Busy)
    }
}

impl From<sqlx::Error> for StorageError {
    fn from(error: sqlx::Error) -> Self {
        use sqlx::Error as E;
        match error {
            E::Database(database) => {
                let kind = if let Some(sqlite) = database.try_downcast_ref::<SqliteError>() {
                    sqlite_kind(sqlite)
                } else if let Some(postgres) = database.try_downcast_ref::<PgDatabaseError>() {
                    postgres_kind(postgres.code())
                } else {
                    Kind::Other
                };
                match kind {
                    Kind::Busy => Self::Busy,
                    Kind::Full => Self::InsufficientStorage(Part::Database),
                    Kind::Unavailable => {
                        Self::Unavailable { part: Part::Database, source: E::Database(database).into() }
                    }
                    Kind::Corrupt => Self::Corrupt(database.to_string()),
                    Kind::Text => Self::InvalidText,
                    Kind::Other => Self::Internal(E::Database(database).into()),
                }
            }
            E::Io(error) if is_full(&error) => Self::InsufficientStorage(Part::Database),
            E::Io(_)
            | E::Tls(_)
            | E::Protocol(_)
            | E::PoolTimedOut
            | E::PoolClosed
            | E::WorkerCrashed
            | E::BeginFailed => Self::Unavailable { part: Part::Database, source: error.into() },
            E::ColumnDecode { .. } | E::Decode(_) => Self::Corrupt(error.to_string()),
            _ => Self::Internal(error.into()),
        }
    }
}

impl From<object_store::Error> for StorageError {
    fn from(error: object_store::Error) -> Self {
        // The cause of a local error is an io::Error a few sources down.
        let mut cause: Option<&(dyn StdError + 'static)> = Some(&error);
        while let Some(error) = cause {
            if error.downcast_ref::<io::Error>().is_some_and(is_full) {
                return Self::InsufficientStorage(Part::Blobs);
            }
            cause = error.source();
        }
        Self::Unavailable { part: Part::Blobs, source: error.into() }
    }
}

/// An error of the local file system, outside `object_store`.
pub(crate) fn from_io(error: io::Error) -> StorageError {
    if is_full(&error) {
        StorageError::InsufficientStorage(Part::Blobs)
    } else {
        StorageError::Unavailable { part: Part::Blobs, source: error.into() }
    }
}

fn is_full(error: &io::Error) -> bool {
    matches!(error.kind(), io::ErrorKind::StorageFull | io::ErrorKind::QuotaExceeded)
}

#[derive(Debug, PartialEq)]
enum Kind {
    Busy,
    Full,
    Unavailable,
    Corrupt,
    Text,
    Other,
}

fn sqlite_kind(error: &SqliteError) -> Kind {
    use sqlx::error::DatabaseError;
    let code = error.code().and_then(|code| code.parse::<i32>().ok()).unwrap_or(0);
    sqlite_code_kind(code)
}

/// The low byte of an extended result code is the primary one: <https://sqlite.org/rescode.html>.
fn sqlite_code_kind(code: i32) -> Kind {
    match code & 0xff {
        5 | 6 => Kind::Busy,              // SQLITE_BUSY, SQLITE_LOCKED
        13 => Kind::Full,                 // SQLITE_FULL
        8 | 10 | 14 => Kind::Unavailable, // SQLITE_READONLY, SQLITE_IOERR, SQLITE_CANTOPEN
        11 | 26 => Kind::Corrupt,         // SQLITE_CORRUPT, SQLITE_NOTADB
        _ => Kind::Other,
    }
}

/// <https://www.postgresql.org/docs/current/errcodes-appendix.html>
fn postgres_kind(code: &str) -> Kind {
    match code {
        "53100" => Kind::Full,
        "40001" | "40P01" | "55P03" => Kind::Busy,
        "22021" => Kind::Text,
        "25006" => Kind::Unavailable, // read-only: a standby after a failover
        "XX001" | "XX002" => Kind::Corrupt,
        // Connection, resources, operator intervention (shutdown, starting up), system errors.
        _ if ["08", "53", "57", "58"].iter().any(|class| code.starts_with(class)) => Kind::Unavailable,
        _ => Kind::Other,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn result_codes_map_to_what_the_caller_can_do() {
        for (code, expected) in [
            (5, Kind::Busy),
            (0x205, Kind::Busy), // SQLITE_BUSY_SNAPSHOT
            (13, Kind::Full),
            (0x30a, Kind::Unavailable), // SQLITE_IOERR_WRITE
            (11, Kind::Corrupt),
            (2067, Kind::Other), // a broken unique constraint is a fault of ours
        ] {
            assert_eq!(sqlite_code_kind(code), expected, "{code}");
        }
        for (code, expected) in [
            ("53100", Kind::Full),
            ("53300", Kind::Unavailable), // too many connections
            ("57P03", Kind::Unavailable), // starting up
            ("40P01", Kind::Busy),
            ("22021", Kind::Text),
            ("23505", Kind::Other),
        ] {
            assert_eq!(postgres_kind(code), expected, "{code}");
        }
    }

    #[test]
    fn a_full_disk_is_told_apart_wherever_it_is_met() {
        let full = || io::Error::from(io::ErrorKind::StorageFull);
        assert!(matches!(
            StorageError::from(sqlx::Error::Io(full())),
            StorageError::InsufficientStorage(Part::Database)
        ));
        let nested = object_store::Error::Generic { store: "LocalFileSystem", source: full().into() };
        assert!(matches!(StorageError::from(nested), StorageError::InsufficientStorage(Part::Blobs)));
        let other = object_store::Error::Generic { store: "S3", source: "refused".into() };
        assert!(StorageError::from(other).is_transient());
    }
}
