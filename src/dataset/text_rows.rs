//! The data rows of a text table, told from blank lines, notes and rows of another width.

use super::{
    body_rows::{MAX_HELD, ends_file},
    delimited::{Dialect, next_record, reader},
    encoding::Survey,
    error::{Issue, MAX_ISSUES, Problem, ReadError},
    header::Layout,
    number_format,
    options::ReadLimits,
    row::Row,
    source::Source,
};
use csv::ByteRecord;
use std::io::Read;

/// Fewer lines of another width can be corrected, whatever the others are.
const MIN_LINES: u64 = 10;

/// Visits every data row.
pub(super) fn visit(
    source: Source<'_>,
    survey: &Survey,
    dialect: &Dialect,
    layout: &Layout,
    limits: &ReadLimits,
    each: &mut dyn FnMut(Row<'_>) -> Result<(), ReadError>,
) -> Result<(), ReadError> {
    let mut rows = Rows::new(layout, dialect, limits);
    rows.read(dialect.text(source, survey)?, 1, each)?;
    rows.finish(each)
}

/// The data rows among the records of a text. Rows of other widths are collected and refused
/// together, so that the person who mends the file sees them all at once.
#[derive(Debug)]
pub(super) struct Rows<'a> {
    layout: &'a Layout,
    dialect: &'a Dialect,
    limits: &'a ReadLimits,
    n_rows: u64,
    ragged: Vec<Issue>,
    n_ragged: u64,
    /// Lines of one text, and what may go on with them. Under the last row of the table they are notes; above it those with
    /// a message are ragged rows, and the others are rows like any.
    notes: Vec<(u64, ByteRecord, Option<String>)>,
}

impl<'a> Rows<'a> {
    pub(super) fn new(layout: &'a Layout, dialect: &'a Dialect, limits: &'a ReadLimits) -> Self {
        Self { layout, dialect, limits, n_rows: 0, ragged: Vec::new(), n_ragged: 0, notes: Vec::new() }
    }

    /// Goes on with a text of whole lines, the first of which is the file's `first_line`.
    pub(super) fn read(
        &mut self,
        text: impl Read,
        first_line: u64,
        each: &mut dyn FnMut(Row<'_>) -> Result<(), ReadError>,
    ) -> Result<(), ReadError> {
        let mut reader = reader(text, self.dialect, 1 << 18);
        let mut record = ByteRecord::new();
        while let Some(line) = next_record(&mut reader, &mut record)? {
            let line = line + first_line - 1;
            if (self.first_line()..self.layout.end_line()).contains(&line) {
                self.take(line, &record, each)?;
            }
        }
        Ok(())
    }

    /// The first line that may be a row.
    pub(super) fn first_line(&self) -> u64 {
        self.layout.first_data_line.max(self.dialect.n_skipped + 1)
    }

    fn take(
        &mut self,
        line: u64,
        record: &ByteRecord,
        each: &mut dyn FnMut(Row<'_>) -> Result<(), ReadError>,
    ) -> Result<(), ReadError> {
        if record.as_slice().len() > self.limits.max_cell_chars {
            check_cell_sizes(record, line, self.limits)?;
        }
        let fits = record.len() == self.layout.width || fits(record, self.layout);
        if !fits || self.goes_on(record) {
            if is_blank(record) {
                return Ok(());
            }
            let message = format!("{} cells instead of {}", record.len(), self.layout.width);
            if (is_note(record, self.layout.width) || self.goes_on(record)) && self.notes.len() < MAX_HELD {
                self.notes.push((line, record.clone(), (!fits).then_some(message)));
                return Ok(());
            }
            self.refuse_notes();
            self.n_ragged += 1;
            if self.ragged.len() < MAX_ISSUES {
                self.ragged.push(Issue::at(line, message));
            }
            return Ok(());
        }
        if !is_blank(record) && self.count(1)? {
            each(Row::Text { line, record })?;
        }
        Ok(())
    }

    /// Whether a row goes on with the notes above it, `-;Zero` or `1;Revised`: it has words, and no
    /// number in a column of values.
    fn goes_on(&self, record: &ByteRecord) -> bool {
        let shape = |cell: &[u8]| number_format::shape(std::str::from_utf8(cell).ok()?.trim());
        let is_word = |cell: &[u8]| {
            shape(cell).is_none() && cell.iter().any(|byte| byte.is_ascii_alphabetic() || !byte.is_ascii())
        };
        let holds_values = self.layout.holds_values.as_slice();
        let has_value = || record.iter().zip(holds_values).any(|(cell, is)| *is && shape(cell).is_some());
        let is_narrow = record.len() < self.layout.min_width;
        !self.notes.is_empty()
            && record.len() <= self.layout.width
            && record.iter().any(is_word)
            && (is_narrow || holds_values.contains(&true) && !has_value())
    }

    /// Counts rows of the right width, and says whether they are to be handed on.
    pub(super) fn count(&mut self, n: u64) -> Result<bool, ReadError> {
        if n > 0 {
            self.refuse_notes();
        }
        self.n_rows += n;
        if self.n_rows > self.limits.max_rows {
            return Err(ReadError::TooManyRows(Problem::new(format!(
                "the file has more than the {} rows allowed; upload a part of it, or raise the limit in the settings",
                self.limits.max_rows
            ))));
        }
        Ok(self.n_ragged == 0)
    }

    fn refuse_notes(&mut self) {
        for (line, _, message) in self.notes.drain(..) {
            let Some(message) = message else { continue };
            self.n_ragged += 1;
            self.ragged.push(Issue::at(line, message));
        }
    }

    /// Hands on the notes under the table, or refuses the file for its ragged rows.
    pub(super) fn finish(
        mut self,
        each: &mut dyn FnMut(Row<'_>) -> Result<(), ReadError>,
    ) -> Result<(), ReadError> {
        if !self.ragged.is_empty() {
            self.ragged.truncate(MAX_ISSUES);
            if self.n_ragged > 2 * self.n_rows.max(MIN_LINES) {
                return Err(no_table(self.n_rows, self.n_ragged, self.ragged, self.layout));
            }
            return Err(ragged_rows(self.n_ragged, self.ragged, self.layout));
        }
        self.notes.iter().try_for_each(|(line, record, _)| each(Row::Text { line: *line, record }))
    }
}

/// Separators at the end of the line add empty cells, in the rows or in the header only.
fn fits(record: &ByteRecord, layout: &Layout) -> bool {
    record.len() >= layout.min_width
        && record.iter().skip(layout.width).all(|cell| cell.trim_ascii().is_empty())
}

/// One text and no number, or `End:;14:03`: perhaps a note under the table. Beside one other column a
/// short word may be a row that was cut off.
fn is_note(record: &ByteRecord, width: usize) -> bool {
    let mut filled = record.iter().map(<[u8]>::trim_ascii).filter(|cell| !cell.is_empty());
    let (first, second) = (filled.next(), filled.next());
    if first.is_some_and(|name| name.ends_with(b":")) && width > 3 && filled.next().is_none() {
        return true;
    }
    let Some(text) = first.and_then(|cell| std::str::from_utf8(cell).ok()) else { return false };
    let is_drawn = !text.contains(char::is_alphanumeric) && text.len() < 4;
    let ends = !is_drawn && ends_file(text);
    second.is_none()
        && (text.len() > 3 || ends || width > 2 && (text.len() > 2 || is_drawn))
        && number_format::shape(text).is_none()
}

fn is_blank(record: &ByteRecord) -> bool {
    record.as_slice().trim_ascii().is_empty()
}

fn check_cell_sizes(record: &ByteRecord, line: u64, limits: &ReadLimits) -> Result<(), ReadError> {
    for (i, cell) in record.iter().enumerate().filter(|(_, cell)| cell.len() > limits.max_cell_chars) {
        let n_chars = String::from_utf8_lossy(cell).chars().count();
        if n_chars > limits.max_cell_chars {
            return Err(cell_too_large(line, i, n_chars, limits));
        }
    }
    Ok(())
}

/// A cell over the limit, in a text file or in a sheet.
pub(super) fn cell_too_large(line: u64, i: usize, n_chars: usize, limits: &ReadLimits) -> ReadError {
    ReadError::CellTooLarge(
        Problem::new(format!(
            "the cell in row {line}, column {} has {n_chars} characters, more than the {} that a cell may have; is a quote or a line end missing?",
            i + 1,
            limits.max_cell_chars
        ))
        .with(Issue::at(line, "cell too large").in_column((i + 1).to_string())),
    )
}

/// A row that is no note either.
pub(super) fn short_row(line: u64, width: usize) -> ReadError {
    let layout = Layout { width, ..Layout::default() };
    ragged_rows(1, vec![Issue::at(line, format!("1 cell instead of {width}"))], &layout)
}

/// Where most lines have another number of cells, they are not what has to be corrected.
fn no_table(n_rows: u64, n_ragged: u64, issues: Vec<Issue>, layout: &Layout) -> ReadError {
    ReadError::MalformedCsv(Problem {
        detail: format!(
            "only {n_rows} of {} lines have {} cells, so what seems to part the columns does not. Where each column has its own width, or several tables stand in the file, save the one that is wanted as a file of its own with ; , or tabs between its cells; otherwise name the separator (delimiter=)",
            n_rows + n_ragged,
            layout.width,
        ),
        issues,
    })
}

fn ragged_rows(n_ragged: u64, ragged: Vec<Issue>, layout: &Layout) -> ReadError {
    let lines: Vec<String> =
        ragged.iter().filter_map(|issue| issue.line).map(|line| line.to_string()).collect();
    let more = if n_ragged > ragged.len() as u64 { ", ..." } else { "" };
    ReadError::MalformedCsv(Problem {
        detail: format!(
            "the table has {} columns, but {n_ragged} row(s) have another number of cells (line {}{more}). Correct these lines; where text holds the separator, put it in quotes. If the header is elsewhere, name its line (header_row=)",
            layout.width,
            lines.join(", ")
        ),
        issues: ragged,
    })
}
