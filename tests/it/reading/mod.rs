//! Files into tables: what is read right, what is refused, and what a child process survives.

mod child;
mod corpus;
mod formats;
mod fuzzed;
mod hostile;
mod layouts;
mod locales;
mod published;
mod reports;
mod workbooks;

use taqicfd::dataset::{self, ReadError, ReadLimits, ReadOptions, Reading, Table, Values};

/// Reads bytes with default options.
fn read(bytes: &[u8]) -> Result<Reading, ReadError> {
    dataset::read(bytes, "upload", &ReadOptions::default(), &ReadLimits::default())
}

fn slug(bytes: &[u8]) -> String {
    match read(bytes) {
        Ok(reading) => format!("read {} x {}", reading.table.n_rows(), reading.table.columns.len()),
        Err(error) => error.slug().to_owned(),
    }
}

fn numbers<'a>(table: &'a Table, column: &str) -> &'a [f64] {
    match &table.column(column).unwrap_or_else(|| panic!("no column {column}")).values {
        Values::Number(numbers) => numbers,
        other => panic!("{column} holds no numbers: {other:?}"),
    }
}

fn codes_of_warnings(reading: &Reading) -> Vec<&str> {
    reading.description.warnings.iter().map(|warning| warning.code.as_str()).collect()
}
