//! Workbooks, a cell at a time: no sheet is ever held as a grid, because a file of one kilobyte may
//! say that it has seventeen billion cells.

use super::{
    archive::{self, malformed},
    delimited,
    error::{Issue, Problem, ReadError},
    options::ReadLimits,
    row::{OwnedCell, Row, SampleRow},
    source::{ReadSeek, Source},
};
use calamine::{DataRef, ExcelDateTime, Reader, SheetType, SheetVisible, Xlsx, XlsxError};
use std::{collections::BTreeMap, io::BufReader, panic::AssertUnwindSafe};

const SAMPLE_ROWS: usize = 1000;
/// Excel's own limits.
const MAX_SHEET_ROWS: u32 = 1 << 20;
const MAX_SHEET_COLUMNS: u32 = 1 << 14;

/// An open workbook.
pub(super) struct Workbook<'a> {
    reader: Xlsx<BufReader<Box<dyn ReadSeek + 'a>>>,
    names: Vec<String>,
    /// Sheets a person sees.
    visible: Vec<String>,
}

/// The sheet that will be read.
#[derive(Debug)]
pub(super) struct ChosenSheet {
    pub(super) name: String,
    pub(super) sample: Vec<SampleRow>,
    /// Whether its rows are stored from top to bottom; nothing forces a writer to do so.
    pub(super) is_ordered: bool,
    pub(super) reason: String,
}

/// What one look over a sheet found.
#[derive(Debug, Default)]
struct SheetSurvey {
    sample: BTreeMap<u32, Vec<OwnedCell>>,
    n_filled: u64,
    n_rows: u64,
    is_ordered: bool,
}

impl<'a> Workbook<'a> {
    pub(super) fn open(
        source: Source<'a>,
        named_as_workbook: bool,
        limits: &ReadLimits,
    ) -> Result<Self, ReadError> {
        archive::check(source, named_as_workbook, limits)?;
        let file = BufReader::new(source.open()?);
        let reader: Xlsx<_> = guarded(|| Xlsx::new(file))?.map_err(|error| xlsx_error(&error, None))?;
        let sheets = reader.sheets_metadata();
        let worksheets = || sheets.iter().filter(|sheet| sheet.typ == SheetType::WorkSheet);
        let names: Vec<String> = worksheets().map(|sheet| sheet.name.clone()).collect();
        let visible: Vec<String> = worksheets()
            .filter(|sheet| sheet.visible == SheetVisible::Visible)
            .map(|sheet| sheet.name.clone())
            .collect();
        if names.is_empty() {
            return Err(malformed("it has no worksheet"));
        }
        Ok(Self { reader, names, visible })
    }

    pub(super) fn sheet_names(&self) -> &[String] {
        &self.names
    }

    /// The sheet that was asked for, or the visible one with the most cells filled.
    pub(super) fn choose_sheet(
        &mut self,
        wanted: Option<&str>,
        limits: &ReadLimits,
    ) -> Result<ChosenSheet, ReadError> {
        if let Some(wanted) = wanted {
            if !self.names.iter().any(|name| name == wanted) {
                return Err(ReadError::InvalidParameter(Problem::new(format!(
                    "sheet: there is no sheet '{}'; the workbook has {}",
                    super::error::shorten(wanted),
                    self.names.join(", ")
                ))));
            }
            let survey = self.survey(wanted, limits)?;
            return chosen(wanted, survey, "given with the upload".to_owned());
        }
        let candidates = if self.visible.is_empty() { self.names.clone() } else { self.visible.clone() };
        let mut best: Option<(String, SheetSurvey)> = None;
        let mut others = Vec::new();
        for name in candidates {
            let survey = self.survey(&name, limits)?;
            // A table has at least a header and a row.
            let rank = |survey: &SheetSurvey| (survey.n_rows >= 2, survey.n_filled);
            match &best {
                Some((_, found)) if rank(found) >= rank(&survey) => others.push((name, survey.n_filled)),
                _ => {
                    others.extend(best.take().map(|(name, survey)| (name, survey.n_filled)));
                    best = Some((name, survey));
                }
            }
        }
        let Some((name, survey)) = best else { return Err(malformed("it has no worksheet")) };
        let others: Vec<String> = others.iter().map(|(name, n)| format!("'{name}' has {n}")).collect();
        let reason = if others.is_empty() {
            "the only sheet".to_owned()
        } else {
            format!("it has the most filled cells, {}; {}", survey.n_filled, others.join(", "))
        };
        chosen(&name, survey, reason)
    }

    /// Streams the sheet once: its size, its order and its first rows.
    fn survey(&mut self, sheet: &str, limits: &ReadLimits) -> Result<SheetSurvey, ReadError> {
        let mut survey = SheetSurvey { is_ordered: true, ..SheetSurvey::default() };
        let (mut last_row, mut bottom, mut right) = (None, 0u32, 0u32);
        self.cells(sheet, limits, &mut |row, column, cell| {
            if cell == OwnedCell::Empty {
                return Ok(());
            }
            survey.n_filled += 1;
            (bottom, right) = (bottom.max(row), right.max(column));
            check_box(bottom, right, limits)?;
            if last_row != Some(row) {
                survey.n_rows += 1;
                survey.is_ordered &= last_row.is_none_or(|last| last < row);
                last_row = Some(row);
            }
            let is_known = survey.sample.contains_key(&row);
            if is_known || survey.sample.len() < SAMPLE_ROWS {
                put(survey.sample.entry(row).or_default(), column, cell);
            }
            Ok(())
        })?;
        let width = right as usize + 1;
        for cells in survey.sample.values_mut() {
            cells.resize(width, OwnedCell::Empty);
        }
        Ok(survey)
    }

    /// Visits every data row from top to bottom.
    pub(super) fn visit(
        &mut self,
        sheet: &str,
        is_ordered: bool,
        first_line: u64,
        limits: &ReadLimits,
        each: &mut dyn FnMut(Row<'_>) -> Result<(), ReadError>,
    ) -> Result<(), ReadError> {
        let mut n_rows = 0u64;
        let mut hand_on = |row: u32, cells: &[OwnedCell]| {
            let line = u64::from(row) + 1;
            if line < first_line || cells.iter().all(|cell| *cell == OwnedCell::Empty) {
                return Ok(());
            }
            n_rows += 1;
            if n_rows > limits.max_rows {
                return Err(ReadError::TooManyRows(Problem::new(format!(
                    "the sheet has more than the {} rows allowed; upload a part of it",
                    limits.max_rows
                ))));
            }
            each(Row::Cells { line, cells })
        };
        if !is_ordered {
            let mut rows: BTreeMap<u32, Vec<OwnedCell>> = BTreeMap::new();
            self.cells(sheet, limits, &mut |row, column, cell| {
                put(rows.entry(row).or_default(), column, cell);
                Ok(())
            })?;
            return rows.iter().try_for_each(|(row, cells)| hand_on(*row, cells));
        }
        let (mut current, mut cells) = (0, Vec::new());
        self.cells(sheet, limits, &mut |row, column, cell| {
            if row != current {
                hand_on(current, &cells)?;
                cells.clear();
                current = row;
            }
            put(&mut cells, column, cell);
            Ok(())
        })?;
        hand_on(current, &cells)
    }

    /// Streams the cells in the order in which they are stored.
    fn cells(
        &mut self,
        sheet: &str,
        limits: &ReadLimits,
        each: &mut dyn FnMut(u32, u32, OwnedCell) -> Result<(), ReadError>,
    ) -> Result<(), ReadError> {
        let reader = &mut self.reader;
        guarded(move || {
            let mut cells =
                reader.worksheet_cells_reader(sheet).map_err(|error| xlsx_error(&error, Some(sheet)))?;
            while let Some(cell) = cells.next_cell().map_err(|error| xlsx_error(&error, Some(sheet)))? {
                let (row, column) = cell.get_position();
                if row >= MAX_SHEET_ROWS || column >= MAX_SHEET_COLUMNS {
                    return Err(malformed(&format!(
                        "sheet '{sheet}' has a cell in row {}, column {}, where no sheet can have one",
                        u64::from(row) + 1,
                        u64::from(column) + 1
                    )));
                }
                each(row, column, convert(cell.get_value(), row, column, sheet, limits)?)?;
            }
            Ok(())
        })?
    }
}

fn chosen(name: &str, survey: SheetSurvey, reason: String) -> Result<ChosenSheet, ReadError> {
    if survey.n_filled == 0 {
        return Err(ReadError::EmptyFile(Problem::new(format!(
            "sheet '{name}' has no cell with anything in it"
        ))));
    }
    let sample = survey.sample.into_iter().map(|(row, cells)| SampleRow { line: u64::from(row) + 1, cells });
    Ok(ChosenSheet { name: name.to_owned(), sample: sample.collect(), is_ordered: survey.is_ordered, reason })
}

fn put(cells: &mut Vec<OwnedCell>, column: u32, cell: OwnedCell) {
    let i = column as usize;
    if cells.len() <= i {
        cells.resize(i + 1, OwnedCell::Empty);
    }
    cells[i] = cell;
}

fn check_box(bottom: u32, right: u32, limits: &ReadLimits) -> Result<(), ReadError> {
    let (n_rows, n_columns) = (u64::from(bottom) + 1, u64::from(right) + 1);
    if n_columns > limits.max_columns {
        return Err(ReadError::TooManyColumns(Problem::new(format!(
            "the sheet has {n_columns} columns, more than the {} allowed",
            limits.max_columns
        ))));
    }
    if n_rows * n_columns > limits.max_cells {
        return Err(ReadError::TooManyCells(Problem::new(format!(
            "the cells of the sheet span {n_rows} rows and {n_columns} columns, more than the {} cells allowed; a stray cell far from the table does this: delete the rows and columns around the table",
            limits.max_cells
        ))));
    }
    Ok(())
}

fn convert(
    value: &DataRef<'_>,
    row: u32,
    column: u32,
    sheet: &str,
    limits: &ReadLimits,
) -> Result<OwnedCell, ReadError> {
    Ok(match value {
        DataRef::Empty => OwnedCell::Empty,
        DataRef::Int(number) => OwnedCell::Number(*number as f64),
        DataRef::Float(number) => OwnedCell::Number(*number),
        DataRef::Bool(value) => OwnedCell::Boolean(*value),
        DataRef::Error(_) => OwnedCell::Error,
        DataRef::DateTime(date) => date_cell(*date),
        DataRef::DateTimeIso(text) | DataRef::DurationIso(text) => {
            text_cell(text, row, column, sheet, limits)?
        }
        DataRef::String(text) => text_cell(text, row, column, sheet, limits)?,
        DataRef::SharedString(text) => text_cell(text, row, column, sheet, limits)?,
    })
}

fn text_cell(
    text: &str,
    row: u32,
    column: u32,
    sheet: &str,
    limits: &ReadLimits,
) -> Result<OwnedCell, ReadError> {
    if text.len() > limits.max_cell_chars {
        let n_chars = text.chars().count();
        if n_chars > limits.max_cell_chars {
            let line = u64::from(row) + 1;
            return Err(delimited::cell_too_large(line, column as usize, n_chars, limits).in_sheet(sheet));
        }
    }
    Ok(OwnedCell::text(text))
}

/// A serial date. One below 1 is a time of day; it goes to 1970-01-01, as times in text files do.
fn date_cell(date: ExcelDateTime) -> OwnedCell {
    if date.is_duration() {
        return OwnedCell::Number(date.as_f64() * 24.0);
    }
    if (0.0..1.0).contains(&date.as_f64()) {
        return OwnedCell::Date((date.as_f64() * 86_400_000.0).round() as i64);
    }
    match date.as_datetime() {
        Some(moment) => OwnedCell::Date(moment.and_utc().timestamp_millis()),
        None => OwnedCell::Error,
    }
}

/// The workbook reader panics on some damaged files.
fn guarded<T>(work: impl FnOnce() -> T) -> Result<T, ReadError> {
    std::panic::catch_unwind(AssertUnwindSafe(work))
        .map_err(|_| malformed("it is damaged in a way that no reader foresaw"))
}

fn xlsx_error(error: &XlsxError, sheet: Option<&str>) -> ReadError {
    if matches!(error, XlsxError::Password) {
        return ReadError::PasswordProtected(Problem::new(
            "the workbook is protected by a password; save it without one and upload it again",
        ));
    }
    let Some(sheet) = sheet else { return malformed(&error.to_string()) };
    let issue = Issue { message: error.to_string(), ..Issue::default() };
    match malformed(&format!("sheet '{sheet}': {error}")) {
        ReadError::MalformedWorkbook(problem) => {
            ReadError::MalformedWorkbook(problem.with(issue.in_sheet(sheet)))
        }
        other => other,
    }
}
