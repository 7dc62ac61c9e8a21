//! A spreadsheet comes back with the answers: its own columns as they were, and further ones.
//!
//! ```text
//! file --Sheet::read--> table.parquet, twice: typed, and as the cells are spelt
//!      --write::answer: some rows at a time, on all processors--> the file with the answers
//!                       rows -> cells -> Model::predict -> further columns -> text
//! ```
//!
//! However long the file is, only so many rows of it are in memory at once. [`worker`] answers files in the background,
//! each by `stored`.

pub mod answers;
mod failure;
pub mod sheet;
mod stored;
pub mod worker;
pub mod write;

pub use sheet::{Sheet, Unfit};
