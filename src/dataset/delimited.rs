//! Text tables: which character separates the columns, and how a text is cut by it.

use super::{
    encoding::Survey,
    error::{Problem, ReadError},
    number_format,
    options::ReadLimits,
    preamble,
    row::{OwnedCell, SampleRow},
    sentinel,
    source::Source,
    spaced::{self, Spacing},
    spaced_text::Spaced,
    transcode::count_feeds,
    width::{MIN_TOGETHER, longest_run, usual_width, without_comments},
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
    /// Lines before the first that are no part of the table: an Excel `sep=;` line, the settings of an
    /// instrument up to the line that ends them.
    pub(super) n_skipped: u64,
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
        None => (None, preamble::end(&text)),
    };
    let dialect = match (forced, sep_line) {
        (Some(delimiter), _) => {
            let delimiter = u8::try_from(delimiter).ok().filter(u8::is_ascii).ok_or_else(|| {
                ReadError::InvalidParameter(Problem::new(format!(
                    "delimiter: '{delimiter}' is no ASCII character; use , ; | or a tab"
                )))
            })?;
            let reason = "given with the upload".to_owned();
            let text = preamble::blanked(&text, n_skipped);
            let detect = || spaced::detect(&text).or_else(|| spaced::detect_by_place(&text));
            let spacing = (delimiter == b' ').then(detect).flatten();
            let delimiter = if spacing.is_some() { b'\t' } else { delimiter };
            Dialect { delimiter, reason, n_skipped, spacing }
        }
        (None, Some(delimiter)) => {
            let reason = "the file's first line names it".to_owned();
            Dialect { delimiter, reason, n_skipped, spacing: None }
        }
        (None, None) => {
            let dialect = Dialect { n_skipped, ..detect(&preamble::blanked(&text, n_skipped)) };
            if dialect.delimiter == NONE && dialect.spacing.is_none() {
                check_one_column(&text)?;
            }
            dialect
        }
    };
    let mut rows = named_marks(&text, &dialect);
    rows.extend(parse_sample(&text, &dialect));
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

/// Refuses a text most lines of which hold several numbers between blanks, but not the same number of
/// them: reports and the input of programs, of which one column of text would be made.
fn check_one_column(text: &str) -> Result<(), ReadError> {
    const MIN_LINES: usize = 8;
    let lines: Vec<&str> = text.lines().filter(|line| !line.trim().is_empty()).collect();
    let is_several = |line: &&&str| spaced::is_numeric(line) && number_format::shape(line.trim()).is_none();
    let mut widths: Vec<usize> =
        lines.iter().filter(is_several).map(|line| spaced::split(line).len()).filter(|n| *n > 1).collect();
    widths.sort_unstable();
    let (Some(fewest), Some(most)) = (widths.first(), widths.last()) else { return Ok(()) };
    if lines.len() < MIN_LINES || widths.len() * 2 < lines.len() || fewest == most {
        return Ok(());
    }
    Err(ReadError::MalformedCsv(Problem::new(format!(
        "its lines hold from {fewest} to {most} cells between blanks, so it is no one table but several, or the input of a program; save the one that is wanted as a file of its own, with as many cells in every line"
    ))))
}

pub(super) fn reader<R: Read>(text: R, dialect: &Dialect, buffer: usize) -> csv::Reader<R> {
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
pub(super) fn next_record<R: Read>(
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

/// The lines above a spaced table that name marks of missing values; the others become blank.
fn named_marks(text: &str, dialect: &Dialect) -> Vec<SampleRow> {
    let first_line = dialect.spacing.as_ref().map_or(0, |spacing| spacing.first_line);
    let rows = (1..first_line)
        .zip(text.lines())
        .map(|(line, text)| SampleRow { line, cells: vec![OwnedCell::text(text)] });
    rows.filter(|row| !sentinel::named(std::iter::once(row)).is_empty()).collect()
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
        b'\t' => {
            let is_header_whole = found.names.is_some() && !has_byte(text, found.first_line, b'\t');
            let row = text.lines().nth(found.first_row.saturating_sub(1) as usize).unwrap_or_default();
            let n_by_tabs = row.trim_end().split('\t').count();
            // `-1 000 000,00<tab>0`: these blanks part thousands.
            let is_grouped =
                |cell: &str| cell.trim().contains(' ') && number_format::shape(cell.trim()).is_some();
            let has_thousands = row.split('\t').any(is_grouped);
            // Two tabs with nothing between them are an empty cell.
            n_by_tabs <= found.width
                && (found.is_marked
                    || found.has_groups
                    || is_header_whole
                    || numeric < 0.5 && n_by_tabs < found.width && !has_thousands)
        }
        // `10 000 000,00;0`: blanks between thousands.
        b';' | b'|' => !has_byte(text, found.first_row, delimiter),
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
    if delimiter == NONE
        && let Some(spacing) = spaced::detect_by_place(text)
    {
        return Dialect {
            delimiter: b'\t',
            reason: format!(
                "{} columns stand at the same places in all lines, parted by blanks",
                spacing.width
            ),
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
    let filled: Vec<&SampleRow> = without_comments(rows);
    let width = usual_width(&filled);
    if width < 2 {
        return (0.0, width);
    }
    // Titles may stand above the table and notes under it; between its first row and its last all
    // should have its width.
    let is_of_width = |row: &&SampleRow| row.cells.len() == width;
    let start = filled.iter().position(is_of_width).unwrap_or(0);
    let end = filled.iter().rposition(is_of_width).map_or(filled.len(), |last| last + 1);
    let same: Vec<&&SampleRow> = filled[start..].iter().filter(|row| row.cells.len() == width).collect();
    let is_most = same.len() * 2 > filled.len() - start;
    let end = if is_most { end } else { filled.len() };
    let consistency = same.len() as f64 / (end - start) as f64;
    // Rows that stand together among notes, which nothing cuts.
    let is_among_notes =
        filled.iter().all(|row| row.cells.len() <= width) && longest_run(&filled, width) >= MIN_TOGETHER;
    let consistency = if is_among_notes { consistency.max(0.9) } else { consistency };
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

fn too_many_columns(n: u64, limits: &ReadLimits) -> ReadError {
    ReadError::TooManyColumns(Problem::new(format!(
        "the file has at least {n} columns, more than the {} allowed; a table this wide is usually lying on its side",
        limits.max_columns
    )))
}
