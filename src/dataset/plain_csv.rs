//! CSV as programs write it (RFC 4180): UTF-8, one header line, commas, quotes where they are needed.
//!
//! Nothing is detected here. A protocol that says how its CSV is written must not be read in another way because of
//! what the values look like; files of people go through [`super::read`].

use super::error::{Issue, Problem, ReadError};
use csv::{ReaderBuilder, StringRecord};
use std::collections::HashSet;

/// A table of texts.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PlainCsv {
    /// One per column, each different.
    pub names: Vec<String>,
    /// One text per row, in the order of `names`. They are as in the file, not trimmed.
    pub columns: Vec<Vec<String>>,
}

impl PlainCsv {
    /// Reads the whole table.
    ///
    /// # Errors
    /// [`ReadError::UnsupportedEncoding`], [`ReadError::EmptyFile`] without a header, [`ReadError::MalformedCsv`] for
    /// rows of another width than the header and for names that are there twice.
    pub fn read(bytes: &[u8]) -> Result<Self, ReadError> {
        let text = std::str::from_utf8(bytes).map_err(|error| {
            let line = bytes[..error.valid_up_to()].iter().filter(|byte| **byte == b'\n').count() as u64 + 1;
            ReadError::UnsupportedEncoding(
                Problem::new(format!("line {line} is not UTF-8; save the table as UTF-8"))
                    .with(Issue::at(line, "not UTF-8")),
            )
        })?;
        let text = text.strip_prefix('\u{feff}').unwrap_or(text);
        let mut reader = ReaderBuilder::new().from_reader(text.as_bytes());
        let header = reader.headers().map_err(|error| malformed(&error))?;
        let names: Vec<String> = header.iter().map(str::to_owned).collect();
        if names.is_empty() {
            return Err(ReadError::EmptyFile(Problem::new(
                "there is no header; the first line holds the names of the columns",
            )));
        }
        let mut seen = HashSet::new();
        if let Some(name) = names.iter().find(|name| !seen.insert(name.as_str())) {
            let detail = format!("the column `{}` is there twice", super::error::shorten(name));
            return Err(ReadError::MalformedCsv(Problem::new(detail)));
        }
        let mut columns = vec![Vec::new(); names.len()];
        let mut record = StringRecord::new();
        while reader.read_record(&mut record).map_err(|error| malformed(&error))? {
            for (column, text) in columns.iter_mut().zip(&record) {
                column.push(text.to_owned());
            }
        }
        Ok(Self { names, columns })
    }
}

fn malformed(error: &csv::Error) -> ReadError {
    let line = error.position().map(csv::Position::line);
    let problem = match (error.kind(), line) {
        (csv::ErrorKind::UnequalLengths { expected_len, len, .. }, Some(line)) => Problem::new(format!(
            "line {line} has {len} cells, the header has {expected_len}; put texts with commas into quotes"
        ))
        .with(Issue::at(line, format!("{len} cells instead of {expected_len}"))),
        _ => Problem::new(format!("the table cannot be read: {error}")),
    };
    ReadError::MalformedCsv(problem)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn quotes_line_ends_and_byte_order_marks_are_no_part_of_the_texts() {
        let table = PlainCsv::read("\u{feff}a,\"b, c\"\r\n1,\"x\"\"y\"\r\n,2.5\n".as_bytes()).unwrap();
        assert_eq!(table.names, ["a", "b, c"]);
        assert_eq!(table.columns, [["1", ""], ["x\"y", "2.5"]]);
    }

    #[test]
    fn what_has_two_readings_is_refused() {
        let slug = |bytes: &[u8]| PlainCsv::read(bytes).unwrap_err();
        assert_eq!(slug(b"").slug(), "empty-file");
        assert_eq!(slug(b"a,a\n1,2\n").slug(), "malformed-csv");
        let ragged = slug(b"a,b\n1,2\n1,2,3\n");
        assert!(ragged.slug() == "malformed-csv" && ragged.detail().contains("line 3 has 3 cells"));
        assert!(slug(b"a\n1\n\xff\n").detail().contains("line 3 is not UTF-8"));
    }
}
