//! What must hold of the reading of any bytes: used by the fuzzer and by the replay of its corpus.

use std::time::Instant;
use taqicfd::dataset::{self, NumberFormat, ReadLimits, ReadOptions, Reading, number};

/// No file of a few kilobytes may take longer.
const SLOWEST_S: f64 = 5.0;

/// Reads `bytes` and checks the outcome. Returns what kind of outcome it is, so that bytes which
/// lead to a new kind can be told from others.
pub(crate) fn check_reading(bytes: &[u8]) -> Result<String, String> {
    let begun = Instant::now();
    let outcome = dataset::read(bytes, "fuzz", &ReadOptions::default(), &ReadLimits::default());
    let seconds = begun.elapsed().as_secs_f64();
    if seconds > SLOWEST_S {
        return Err(format!("reading took {seconds:.1} s"));
    }
    match outcome {
        Err(error) => {
            let (slug, detail) = (error.slug(), error.detail());
            if detail.is_empty() { Err(format!("{slug} says nothing")) } else { Ok(slug.to_owned()) }
        }
        Ok(reading) => check_table(&reading, bytes.len()).map(|()| kind_of(&reading)),
    }
}

fn check_table(reading: &Reading, n_bytes: usize) -> Result<(), String> {
    let (table, description) = (&reading.table, &reading.description);
    let n_rows = table.n_rows();
    if n_rows as u64 != description.rows || n_rows == 0 {
        return Err(format!("{n_rows} rows are read and {} described", description.rows));
    }
    if table.columns.len() != description.columns.len() || table.columns.is_empty() {
        return Err("columns and their profiles differ in number".to_owned());
    }
    for (column, profile) in table.columns.iter().zip(&description.columns) {
        let n_known = profile.distinct + profile.missing;
        if column.values.len() != n_rows || column.name != profile.name || column.name.is_empty() {
            return Err(format!("column '{}' is not whole", column.name));
        }
        if n_known > n_rows as u64 || profile.reason.is_empty() {
            return Err(format!("the profile of '{}' does not fit: {profile:?}", column.name));
        }
    }
    let mut names: Vec<&String> = table.columns.iter().map(|column| &column.name).collect();
    names.sort_unstable();
    names.dedup();
    if names.len() != table.columns.len() {
        return Err("two columns have one name".to_owned());
    }
    // What is answered and what is stored must be possible for every table that is read. Storing is
    // slow, so one in four is.
    serde_json::to_string(description).map_err(|error| error.to_string())?;
    if !n_bytes.is_multiple_of(4) {
        return Ok(());
    }
    let folder = tempfile::tempdir().map_err(|error| error.to_string())?;
    let path = folder.path().join("t.parquet");
    dataset::parquet::write(table, &path).map_err(|error| format!("not stored: {error}"))?;
    let stored = dataset::parquet::read(path.as_path()).map_err(|error| format!("not read back: {error}"))?;
    // By text, in which missing numbers are alike.
    if format!("{stored:?}") == format!("{table:?}") { Ok(()) } else { Err("stored otherwise".to_owned()) }
}

fn kind_of(reading: &Reading) -> String {
    let description = &reading.description;
    let read = &description.read;
    let mut kinds: Vec<String> = description
        .columns
        .iter()
        .map(|column| format!("{:?}{:?}", column.kind, column.date_format))
        .collect();
    kinds.sort_unstable();
    kinds.dedup();
    let mut codes: Vec<&str> = description.warnings.iter().map(|warning| warning.code.as_str()).collect();
    codes.sort_unstable();
    codes.dedup();
    format!(
        "{} {:?} {:?} {} {:?} header {} units {} sheet {} missing {} columns {kinds:?} warnings {codes:?}",
        read.format,
        read.encoding,
        read.delimiter,
        read.decimal,
        read.thousands,
        read.header_row.map_or(0, |line| line.min(3)),
        read.units_row.is_some(),
        read.sheet.is_some(),
        read.missing.len().min(3),
    )
}

/// Reads a text as a number in every format. What is taken for one must be what the standard's
/// parser makes of it once its marks are those of a programming language.
pub(crate) fn check_number(text: &str) -> Result<String, String> {
    let mut found = Vec::new();
    for (decimal, thousands) in
        [('.', None), (',', None), ('.', Some(',')), (',', Some('.')), (',', Some(' ')), ('.', Some('\''))]
    {
        let format = NumberFormat { decimal, thousands };
        let Some(value) = number::parse(text, format) else { continue };
        let is_gap = |c: &char| c.is_whitespace() || Some(*c) == thousands;
        let plain: String = text
            .chars()
            .filter(|c| !is_gap(c))
            .map(|c| {
                if c == decimal {
                    '.'
                } else if c == '\u{2212}' {
                    '-'
                } else {
                    c
                }
            })
            .collect();
        if plain.parse() != Ok(value) {
            return Err(format!("{text:?} is read as {value} in {format:?}"));
        }
        found.push(format!("{decimal}{thousands:?}"));
    }
    let marks: String = text.chars().filter(|c| !c.is_ascii_digit()).take(4).collect();
    Ok(if found.is_empty() { "no number".to_owned() } else { format!("{marks} {found:?}") })
}
