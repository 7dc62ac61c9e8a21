//! A table as a file that people open: CSV or XLSX.
//!
//! A column may come with the texts that stood in its cells. CSV then repeats them letter by letter. XLSX, where a number
//! has no spelling, takes them where the typed column has no value, such as for a mark that means "missing", and where the
//! number is not all that the text says: `12345678901234567890` is a code, and `25%` a quarter.

//!
//! ```text
//! FileFormat::rows: columns -> text      of some rows, on any thread
//! TableWriter: names, text, text, ...    the texts in the order of the rows -> the file
//! ```

mod csv;
mod xlsx;

pub use csv::CsvStyle;

use super::table::{MISSING_CODE, MISSING_DATE, Values};
use std::io::{self, Seek, Write};
use zip::ZipWriter;

const DAY_MS: i64 = 86_400_000;

/// What the file is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum FileFormat {
    /// A text table.
    Csv(CsvStyle),
    /// A workbook with one sheet.
    Xlsx,
}

impl FileFormat {
    /// The first `n_rows` rows of `columns` as a [`TableWriter`] takes them; `before` rows stand above them.
    ///
    /// # Errors
    /// [`io::ErrorKind::InvalidInput`] where a sheet cannot hold so many rows.
    pub fn rows(self, columns: &[ExportColumn], before: usize, n_rows: usize) -> io::Result<String> {
        match self {
            Self::Csv(style) => Ok(csv::rows(columns, n_rows, style)),
            Self::Xlsx => xlsx::rows(columns, before, n_rows),
        }
    }
}

/// Writes a file row by row.
#[derive(Debug)]
pub struct TableWriter<W: Write + Seek>(Inner<W>);

#[derive(Debug)]
enum Inner<W: Write + Seek> {
    Csv(W),
    Xlsx(Box<ZipWriter<W>>),
}

impl<W: Write + Seek> TableWriter<W> {
    /// Begins the file with the `names` of the columns.
    ///
    /// # Errors
    /// [`io::ErrorKind::InvalidInput`] where a sheet cannot hold so many columns; what writing to `to` says.
    pub fn begin(mut to: W, format: FileFormat, names: &[&str]) -> io::Result<Self> {
        Ok(Self(match format {
            FileFormat::Csv(style) => {
                to.write_all(csv::header(names, style).as_bytes())?;
                Inner::Csv(to)
            }
            FileFormat::Xlsx => Inner::Xlsx(Box::new(xlsx::begin(to, names)?)),
        }))
    }

    /// Adds what [`FileFormat::rows`] has made of the next rows.
    pub fn push(&mut self, rows: &str) -> io::Result<()> {
        match &mut self.0 {
            Inner::Csv(to) => to.write_all(rows.as_bytes()),
            Inner::Xlsx(zip) => zip.write_all(rows.as_bytes()),
        }
    }

    /// Ends the file.
    pub fn finish(self) -> io::Result<W> {
        match self.0 {
            Inner::Csv(to) => Ok(to),
            Inner::Xlsx(zip) => xlsx::finish(*zip),
        }
    }
}

/// A column of a file that is to be written.
#[derive(Debug, Clone, Copy)]
pub struct ExportColumn<'a> {
    /// Its values.
    pub values: &'a Values,
    /// What stood in its cells, where that is known; as many as there are values.
    pub texts: Option<&'a [Option<String>]>,
    /// The value that is the first row of what is written.
    pub first: usize,
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
        let row = self.first + row;
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

    /// Whether these are times of day, which a reading puts on 1970-01-01: a column of that one day has no dates.
    fn holds_times(&self) -> bool {
        let Values::Date(dates) = self.values else { return false };
        let mut known = dates.iter().filter(|ms| **ms != MISSING_DATE);
        known.clone().any(|ms| *ms != 0) && known.all(|ms| (0..DAY_MS).contains(ms))
    }

    fn text(&self, row: usize) -> Option<&'a str> {
        self.texts?.get(self.first + row)?.as_deref()
    }
}
