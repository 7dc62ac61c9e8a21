//! What outlives the process: records in a database, files in a folder or on S3.
//!
//! - The **database** ([`Db`]) is SQLite or PostgreSQL, chosen by its URL. One SQL text serves
//!   both; [`datasets`], [`readings`], [`trainings`], [`predictions`], [`models`], [`events`] and
//!   [`idempotency`] each hold the statements of their tables.
//! - The **blobs** ([`Blobs`]) are immutable files under names that the server makes
//!   ([`BlobKey`]), in local folders or in an S3 bucket.
//!
//! The database row is the only authority. A blob is made durable before the row that names it is
//! written, and removed after that row is gone; so a crash at any point leaves at most a blob
//! without a row, which the sweep removes. [`owner`] keeps it from the files of another database.

mod blobs;
mod column;
mod connect;
pub mod datasets;
mod error;
pub mod events;
pub mod idempotency;
mod job;
mod lease;
mod lock;
pub mod models;
pub mod owner;
mod page;
pub mod predictions;
pub mod readings;
pub mod trainings;

pub use blobs::{Area, BlobInfo, BlobKey, BlobSettings, BlobStream, Blobs, S3Settings};
pub use connect::{ConnectOptions, Db};
pub use datasets::DatasetRecord;
pub use error::{Part, Result, StorageError};
pub use events::{EventFilter, EventRecord, NewEvent};
pub use idempotency::{Begun, HeldKey, StoredResponse};
pub use job::{JobError, JobStatus};
pub use lease::Lease;
pub use lock::{FolderLock, lock_folder};
pub use models::{
    Committed, ModelFilter, ModelPatch, ModelRecord, ModelSort, ModelStatus, NewModel, SortKey,
};
pub use page::{Page, Slice};
pub use predictions::{
    AnswerFormat, NewPrediction, PredictionFilter, PredictionLimits, PredictionRecord, PredictionRequest,
};
pub use readings::{ReadingEnd, ReadingRecord, ReadingStatus};
pub use trainings::{
    Cancellation, Claimed, EpochRecord, LogLevel, LogRecord, NewEpoch, NewLog, NewTraining, Progress,
    TrainingFilter, TrainingRecord,
};

/// Runs the same code on the pool of either engine.
macro_rules! with_pool {
    ($db:expr, |$pool:ident| $body:expr) => {
        match $db {
            $crate::storage::Db::Sqlite($pool) => $body,
            $crate::storage::Db::Postgres($pool) => $body,
        }
    };
}
pub(crate) use with_pool;

/// The row that a statement has written, of all its rows. Such a statement is read to its end: SQLite commits there, and
/// a row that is taken before, as `fetch_optional` does, may be one that a full disk or a crash takes back.
fn written<T>(mut rows: Vec<T>) -> Option<T> {
    rows.pop()
}
