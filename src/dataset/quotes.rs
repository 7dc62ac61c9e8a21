//! Whether the quotes of a text table open and close where cells do.

use super::{
    delimited::Dialect,
    encoding::Survey,
    error::{Issue, Problem, ReadError},
    source::Source,
};
use std::io::{BufRead, BufReader};

/// Walks over the quotes of a file that has any. The tokeniser forgives an open quote by taking
/// the rest of the file for one cell, so this is checked before it.
pub(super) fn check(source: Source<'_>, survey: &Survey, dialect: &Dialect) -> Result<(), ReadError> {
    #[derive(Clone, Copy, PartialEq)]
    enum At {
        Start,
        Plain,
        Quoted,
        /// After a quote within quotes: the end of the cell, or half of a doubled quote.
        Closed,
    }
    let has_columns = dialect.delimiter().is_some();
    let Some(delimiter) = dialect.plain_delimiter().filter(|_| survey.has_quotes) else { return Ok(()) };
    let mut reader = BufReader::with_capacity(1 << 18, survey.text(source)?);
    let (mut at, mut line, mut opened) = (At::Start, 1u64, 0u64);
    loop {
        let piece = reader.fill_buf()?;
        if piece.is_empty() {
            break;
        }
        for &byte in piece {
            at = match (at, byte) {
                (At::Start, b'"') => {
                    opened = line;
                    At::Quoted
                }
                (At::Quoted, b'"') => At::Closed,
                (At::Closed, b'"') | (At::Quoted, _) => At::Quoted,
                (_, b'\n') => At::Start,
                (_, byte) if byte == delimiter => At::Start,
                (At::Closed, b'\r') => At::Closed,
                (At::Closed, _) => return Err(text_after_quote(line, has_columns)),
                _ => At::Plain,
            };
            line += u64::from(byte == b'\n');
        }
        let n = piece.len();
        reader.consume(n);
    }
    if at == At::Quoted {
        return Err(ReadError::MalformedCsv(
            Problem::new(format!(
                "a quote opened in line {opened} is never closed, so the rest of the file would be one cell; close it, or double it (\"\") where it is part of the text"
            ))
            .with(Issue::at(opened, "quote never closed")),
        ));
    }
    Ok(())
}

fn text_after_quote(line: u64, has_columns: bool) -> ReadError {
    let detail = if has_columns {
        format!(
            "in line {line} text follows a closing quote; put the whole cell in quotes and double (\"\") the quotes inside it"
        )
    } else {
        format!(
            "in line {line} text follows a closing quote, and no separator cuts most lines into the same number of cells; give every line as many, or name the separator (delimiter=)"
        )
    };
    ReadError::MalformedCsv(Problem::new(detail).with(Issue::at(line, "text after a closing quote")))
}
