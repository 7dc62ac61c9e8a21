//! A file becomes a typed table, and the reasons for every decision are kept.
//!
//! ```text
//! format     what the bytes are                     text | zip | OLE2 | refused by name
//! encoding   bytes -> UTF-8                         delimited: which separator, records
//! archive    is the zip what it says                workbook:  sheets, cells as a stream
//! text_rows  rows of text, told from notes and ragged lines
//! header     titles, header, units, first data line and last
//! schema     a plan per column, from a sample       number_format: which mark is decimal
//! filling    rows -> threads that own columns       body_rows: repeated headers, footers
//! blocks     the same for text without quotes: blocks of lines -> threads
//! columns    cells -> typed columns, streaming      (again, where the plan did not hold)
//! finish     kinds, reasons, warnings, profiles     relations: copies, order, repeated cases
//! ```
//!
//! [`read`] holds the typed columns in memory and nothing else of the file. It trusts nothing that
//! a file says about itself, but a hostile workbook can still exhaust the memory of its process:
//! servers call it through `ingest`, which runs it in a process of its own.

pub mod affix;
mod archive;
mod assembling;
mod beside;
mod blocks;
mod body_rows;
pub mod boolean;
mod classify;
mod columns;
pub mod correlation;
pub mod date;
mod date_order;
mod delimited;
mod description;
mod encoding;
mod error;
pub mod export;
mod filling;
mod finish;
mod fixed_width;
mod flag;
mod format;
mod further_tables;
mod header;
mod header_block;
mod header_start;
mod levels;
mod merged;
mod missing;
mod names;
mod notices;
pub mod number;
mod number_format;
mod ole2;
mod options;
pub mod parquet;
mod percent;
pub mod plain_csv;
mod preamble;
mod preview;
mod profile;
mod progress;
mod reading;
mod quotes;
pub mod relations;
mod row;
mod schema;
mod sentinel;
mod sheet_cells;
mod sorting;
mod source;
mod spaced;
mod spaced_names;
mod spaced_text;
pub mod spelling;
mod table;
mod text_rows;
mod transcode;
mod unit;
mod units_row;
mod width;
mod workbook;

pub use description::{ColumnProfile, Description, Histogram, Outliers, ReadReport, Warning};
pub use error::{Issue, MAX_ISSUES, Problem, ReadError};
pub use options::{ReadLimits, ReadOptions, Usual};
pub use progress::{Look, Phase, Progress};
pub use reading::{Reading, read};
pub use source::Source;
pub use table::{Column, ColumnKind, MISSING_CODE, MISSING_DATE, NumberFormat, Table, Values};
