//! A table as a file that people open: CSV or XLSX.
//!
//! A column may come with the texts that stood in its cells. CSV then repeats them letter by letter, and XLSX, where a
//! number has no spelling, takes them where the typed column has no value, such as for a mark that means "missing".

mod csv;
mod xlsx;

pub use csv::{CsvStyle, to_csv};
pub use xlsx::to_xlsx;

use super::table::{MISSING_CODE, MISSING_DATE, Values};

/// A column of a file that is to be written.
#[derive(Debug, Clone, Copy)]
pub struct ExportColumn<'a> {
    /// Its header.
    pub name: &'a str,
    /// Its values, one per row.
    pub values: &'a Values,
    /// What stood in its cells, one per row, where that is known.
    pub texts: Option<&'a [Option<String>]>,
}

/// One cell of it.
#[derive(Debug, Clone, Copy, PartialEq)]
enum Cell<'a> {
    Empty,
    Number(f64),
    /// Milliseconds since 1970-01-01.
    Date(i64),
    Boolean(bool),
    Text(&'a str),
}

impl<'a> ExportColumn<'a> {
    fn value(&self, row: usize) -> Cell<'a> {
        match self.values {
            Values::Number(numbers) if numbers[row].is_finite() => Cell::Number(numbers[row]),
            Values::Category { codes, levels } if codes[row] != MISSING_CODE => {
                levels.get(codes[row] as usize).map_or(Cell::Empty, |level| Cell::Text(level))
            }
            Values::Date(dates) if dates[row] != MISSING_DATE => Cell::Date(dates[row]),
            Values::Boolean(flags) => flags[row].map_or(Cell::Empty, Cell::Boolean),
            Values::Text(texts) => texts[row].as_deref().map_or(Cell::Empty, Cell::Text),
            _ => Cell::Empty,
        }
    }

    fn text(&self, row: usize) -> Option<&'a str> {
        self.texts?.get(row)?.as_deref()
    }
}
