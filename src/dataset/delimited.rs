//! Text tables: which character separates the columns, and one record after the other.

use super::{
    encoding::Survey,
    error::{Issue, MAX_ISSUES, Problem, ReadError},
    header::Layout,
    number_format,
    options::ReadLimits,
    row::{OwnedCell, Row, SampleRow},
    source::Source,
    spaced::{self, Spaced, Spacing},
    transcode::count_feeds,
};
use csv::{ByteRecord, ReaderBuilder, Terminator};
use std::io::{BufRead, BufReader, Read};

/// Enough to see every habit of a file that has habits.
const SAMPLE_BYTES: u64 = 1 << 18;
const SAMPLE_ROWS: usize = 1000;
/// The sample grows up to this for files whose lines are very long.
const MAX_SAMPLE_BYTES: u64 = 1 << 24;
const CANDIDATES: [u8; 4] = [b';', b',', b'\t', b'|'];
/// Stands for "one column": no text table contains it.
const NONE: u8 = 0x1f;

/// How a text table is cut into cells.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct Dialect {
    delimiter: u8,
    pub(super) reason: String,
    /// Lines before the first that are no part of the table: an Excel `sep=;` line.
    n_skipped: u64,
    /// Where blanks part the columns.
    spacing: Option<Spacing>,
}

impl Dialect {
    /// The separator, where there is more than one column.
    pub(super) fn delimiter(&self) -> Option<char> {
        if self.spacing.is_some() {
            return Some(' ');
        }
        (self.delimiter != NONE).then(|| char::from(self.delimiter))
    }

    pub(super) fn is_comma(&self) -> bool {
        self.delimiter == b','
    }

    /// The byte that parts the cells, where nothing else has to be looked at to cut a line.
    pub(super) fn plain_delimiter(&self) -> Option<u8> {
        self.spacing.is_none().then_some(self.delimiter)
    }

    /// The whole text, with one separator between its cells.
    pub(super) fn text<'a>(
        &self,
        source: Source<'a>,
        survey: &Survey,
    ) -> std::io::Result<Box<dyn Read + 'a>> {
        let text = survey.text(source)?;
        Ok(match &self.spacing {
            Some(spacing) => Box::new(Spaced::new(text, spacing.clone())),
            None => text,
        })
    }
}

/// Decides the separator and takes the sample that everything else is detected from.
pub(super) fn sample(
    source: Source<'_>,
    survey: &Survey,
    forced: Option<char>,
    limits: &ReadLimits,
) -> Result<(Dialect, Vec<SampleRow>), ReadError> {
    let text = sample_text(source, survey)?;
    if text.trim().is_empty() {
        return Err(ReadError::EmptyFile(Problem::new("the file has no text in it, only blank lines")));
    }
    let (sep_line, n_skipped) = match sep_line(&text) {
        Some(delimiter) => (Some(delimiter), 1),
        None => (None, 0),
    };
    let dialect = match (forced, sep_line) {
        (Some(delimiter), _) => {
            let delimiter = u8::try_from(delimiter).ok().filter(u8::is_ascii).ok_or_else(|| {
                ReadError::InvalidParameter(Problem::new(format!(
                    "delimiter: '{delimiter}' is no ASCII character; use , ; | or a tab"
                )))
            })?;
            let reason = "given with the upload".to_owned();
            let spacing = spaced::detect(&text).filter(|_| delimiter == b' ');
            let delimiter = if spacing.is_some() { b'\t' } else { delimiter };
            Dialect { delimiter, reason, n_skipped, spacing }
        }
        (None, Some(delimiter)) => {
            let reason = "the file's first line names it".to_owned();
            Dialect { delimiter, reason, n_skipped, spacing: None }
        }
        (None, None) => detect(&text),
    };
    let rows = parse_sample(&text, &dialect);
    let width = rows.iter().map(|row| row.cells.len()).max().unwrap_or(0) as u64;
    if width > limits.max_columns {
        return Err(too_many_columns(width, limits));
    }
    Ok((dialect, rows))
}

/// Whole lines from the start of the file.
fn sample_text(source: Source<'_>, survey: &Survey) -> Result<String, ReadError> {
    let mut reader = BufReader::new(survey.text(source)?);
    let mut bytes = Vec::new();
    reader.by_ref().take(SAMPLE_BYTES).read_to_end(&mut bytes)?;
    if count_feeds(&bytes) < 20 {
        reader.by_ref().take(MAX_SAMPLE_BYTES).read_to_end(&mut bytes)?;
    }
    if bytes.last() != Some(&b'\n') {
        reader.take(MAX_SAMPLE_BYTES).read_until(b'\n', &mut bytes)?;
    }
    String::from_utf8(bytes).or_else(|error| Ok(String::from_utf8_lossy(error.as_bytes()).into_owned()))
}

/// Excel's own way to name the separator: `sep=;` alone in the first line.
fn sep_line(text: &str) -> Option<u8> {
    let line = text.lines().next()?.trim_end().trim_matches('"');
    match line.get(..4)?.eq_ignore_ascii_case("sep=").then(|| &line.as_bytes()[4..])? {
        [delimiter] => Some(*delimiter),
        [] => Some(b'\t'),
        _ => None,
    }
}

fn reader<R: Read>(text: R, dialect: &Dialect, buffer: usize) -> csv::Reader<R> {
    ReaderBuilder::new()
        .delimiter(dialect.delimiter)
        .quoting(dialect.spacing.is_none())
        .has_headers(false)
        .flexible(true)
        // The default takes three line ends but counts lines by one of them.
        .terminator(Terminator::Any(b'\n'))
        .buffer_capacity(buffer)
        .from_reader(text)
}

/// Reads one record and says in which line it began.
fn next_record<R: Read>(
    reader: &mut csv::Reader<R>,
    record: &mut ByteRecord,
) -> Result<Option<u64>, ReadError> {
    let found =
        reader.read_byte_record(record).map_err(|error| ReadError::from(std::io::Error::from(error)))?;
    if !found {
        return Ok(None);
    }
    let n_breaks = count_feeds(record.as_slice());
    // An open quote swallows the last line feed.
    Ok(Some(reader.position().line().saturating_sub(1 + n_breaks).max(1)))
}

fn parse_sample(text: &str, dialect: &Dialect) -> Vec<SampleRow> {
    let text: Box<dyn Read + '_> = match &dialect.spacing {
        Some(spacing) => Box::new(Spaced::new(text.as_bytes(), spacing.clone())),
        None => Box::new(text.as_bytes()),
    };
    let mut reader = reader(text, dialect, 1 << 16);
    let mut record = ByteRecord::new();
    let mut rows = Vec::new();
    while let Ok(Some(line)) = next_record(&mut reader, &mut record) {
        if line > dialect.n_skipped {
            let cells = record.iter().map(|cell| OwnedCell::text(&String::from_utf8_lossy(cell)));
            rows.push(SampleRow { line, cells: cells.collect() });
        }
        if rows.len() == SAMPLE_ROWS {
            break;
        }
    }
    rows
}

/// The separator with which most rows have the same width and the cells are whole.
fn detect(text: &str) -> Dialect {
    let mut best = (0.0, NONE, 1);
    let mut numeric = 0.0;
    for delimiter in CANDIDATES {
        let dialect = Dialect { delimiter, reason: String::new(), n_skipped: 0, spacing: None };
        let mut rows = parse_sample(text, &dialect);
        rows.truncate(200);
        let (score, width) = score(&rows, delimiter);
        if score > best.0 {
            best = (score, delimiter, width);
            numeric = numeric_share(&rows);
        }
    }
    let (_, delimiter, width) = best;
    if let Some(spacing) = spaced::detect(text).filter(|found| match delimiter {
        NONE => true,
        // Tabs and blanks mixed, under a header that is a comment.
        b'\t' => found.is_marked || numeric < 0.5,
        // `1,5 2,5`: cut at the decimal commas, cells are no numbers and the header stays whole.
        _ => numeric < 0.5 || !has_byte(text, found.first_line, delimiter),
    }) {
        return Dialect {
            delimiter: b'\t',
            reason: format!("blanks part its lines into {} columns of numbers", spacing.width),
            n_skipped: 0,
            spacing: Some(spacing),
        };
    }
    let reason = match delimiter {
        NONE => "no separator gives rows of equal width: one column".to_owned(),
        _ => format!("it cuts most rows into {width} cells that are whole"),
    };
    Dialect { delimiter, reason, n_skipped: 0, spacing: None }
}

fn has_byte(text: &str, line: u64, byte: u8) -> bool {
    let line = text.lines().nth(line.saturating_sub(1) as usize);
    line.is_some_and(|line| line.bytes().any(|other| other == byte))
}

/// The share of the cells below the first row that are numbers.
fn numeric_share(rows: &[SampleRow]) -> f64 {
    let (mut n, mut n_numbers) = (0usize, 0usize);
    for cell in rows.iter().skip(1).flat_map(|row| &row.cells) {
        if let OwnedCell::Text(text) = cell {
            n += 1;
            n_numbers += usize::from(number_format::shape(text).is_some());
        }
    }
    n_numbers as f64 / n.max(1) as f64
}

/// How well a separator explains the rows, and the width of most of them.
fn score(rows: &[SampleRow], delimiter: u8) -> (f64, usize) {
    let filled: Vec<&SampleRow> = rows.iter().filter(|row| row.n_filled() > 0).collect();
    let width = usual_width(&filled);
    if width < 2 {
        return (0.0, width);
    }
    // Titles may stand above the table; below its first row all should have its width.
    let start = filled.iter().position(|row| row.cells.len() == width).unwrap_or(0);
    let same: Vec<&&SampleRow> = filled[start..].iter().filter(|row| row.cells.len() == width).collect();
    let consistency = same.len() as f64 / (filled.len() - start) as f64;
    let is_header_cut = filled[0].cells.len() > 1;
    if !is_header_cut && (consistency < 0.8 || are_lone_decimals(&same, delimiter)) {
        return (0.0, width);
    }
    let texts = same.iter().flat_map(|row| &row.cells).filter_map(|cell| match cell {
        OwnedCell::Text(text) => Some(text.as_str()),
        _ => None,
    });
    let (mut n, mut n_whole) = (0usize, 0usize);
    for text in texts {
        n += 1;
        n_whole += usize::from(is_whole(text, delimiter));
    }
    let wholeness = n_whole as f64 / n.max(1) as f64;
    let header = if is_header_cut { 1.0 } else { 0.9 };
    // Among equals, more columns explain more.
    (consistency * wholeness * header * (1.0 + width as f64 / 1000.0), width)
}

/// A lone column of decimal commas falls into two parts at every comma; but its header does not.
fn are_lone_decimals(rows: &[&&SampleRow], delimiter: u8) -> bool {
    let joined = |row: &&&SampleRow| {
        let parts: Vec<String> = row.cells.iter().map(|cell| cell.borrow().to_text()).collect();
        parts.join(",")
    };
    delimiter == b','
        && rows.iter().all(|row| row.cells.len() == 2 && number_format::shape(&joined(row)).is_some())
}

/// A cell that still holds another separator was probably cut by the wrong one, unless that is a
/// comma between digits or it is a sentence.
fn is_whole(text: &str, delimiter: u8) -> bool {
    let bytes = text.as_bytes();
    let is_digit = |i: Option<usize>| i.and_then(|i| bytes.get(i)).is_some_and(u8::is_ascii_digit);
    let is_separator = |i: usize| {
        let follows = bytes.get(i + 1);
        let is_decimal = bytes[i] == b',' && is_digit(Some(i + 1)) && (i == 0 || is_digit(Some(i - 1)));
        bytes[i] != delimiter && CANDIDATES.contains(&bytes[i]) && !is_decimal && follows != Some(&b' ')
    };
    !(0..bytes.len()).any(is_separator)
}

/// The commonest number of cells; the later rows decide, because titles stand at the top.
pub(super) fn usual_width(rows: &[&SampleRow]) -> usize {
    let mut counts = std::collections::BTreeMap::new();
    for row in rows {
        *counts.entry(row.cells.len()).or_insert(0usize) += 1;
    }
    counts.into_iter().max_by_key(|(width, count)| (*count, *width)).map_or(0, |(width, _)| width)
}

/// Walks over the quotes of a file that has any. The tokeniser forgives an open quote by taking
/// the rest of the file for one cell, so this is checked before it.
pub(super) fn check_quotes(source: Source<'_>, survey: &Survey, dialect: &Dialect) -> Result<(), ReadError> {
    #[derive(Clone, Copy, PartialEq)]
    enum At {
        Start,
        Plain,
        Quoted,
        /// After a quote within quotes: the end of the cell, or half of a doubled quote.
        Closed,
    }
    if !survey.has_quotes || dialect.spacing.is_some() {
        return Ok(());
    }
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
                (_, byte) if byte == dialect.delimiter => At::Start,
                (At::Closed, b'\r') => At::Closed,
                (At::Closed, _) => return Err(text_after_quote(line)),
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

fn text_after_quote(line: u64) -> ReadError {
    ReadError::MalformedCsv(
        Problem::new(format!(
            "in line {line} text follows a closing quote; put the whole cell in quotes and double (\"\") the quotes inside it"
        ))
        .with(Issue::at(line, "text after a closing quote")),
    )
}

fn too_many_columns(n: u64, limits: &ReadLimits) -> ReadError {
    ReadError::TooManyColumns(Problem::new(format!(
        "the file has at least {n} columns, more than the {} allowed; a table this wide is usually lying on its side",
        limits.max_columns
    )))
}

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
    /// Lines of one text. Under the last row of the table they are notes; above it, ragged rows.
    notes: Vec<(u64, ByteRecord, String)>,
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
            if line >= self.first_line() {
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
        if record.len() != self.layout.width && !fits(record, self.layout) {
            if is_blank(record) {
                return Ok(());
            }
            let message = format!("{} cells instead of {}", record.len(), self.layout.width);
            if is_note(record) && self.notes.len() < MAX_ISSUES {
                self.notes.push((line, record.clone(), message));
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
        self.n_ragged += self.notes.len() as u64;
        self.ragged.extend(self.notes.drain(..).map(|(line, _, message)| Issue::at(line, message)));
    }

    /// Hands on the notes under the table, or refuses the file for its ragged rows.
    pub(super) fn finish(
        mut self,
        each: &mut dyn FnMut(Row<'_>) -> Result<(), ReadError>,
    ) -> Result<(), ReadError> {
        if !self.ragged.is_empty() {
            self.ragged.truncate(MAX_ISSUES);
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

/// One text and no number: perhaps a note under the table.
fn is_note(record: &ByteRecord) -> bool {
    let mut filled = record.iter().map(<[u8]>::trim_ascii).filter(|cell| !cell.is_empty());
    let (first, second) = (filled.next(), filled.next());
    let Some(text) = first.and_then(|cell| std::str::from_utf8(cell).ok()) else { return false };
    second.is_none() && text.len() > 3 && number_format::shape(text).is_none()
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
