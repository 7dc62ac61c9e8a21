//! The cells of a sheet, one after the other, whichever of the four workbook formats holds it.
//!
//! `.xlsx` and `.xlsb` are streamed. The readers of `.xls` and `.ods` make a grid of every sheet when
//! they open the file; only the limits of the reading process keep that in bounds.

use super::{
    archive::malformed,
    date,
    error::{Issue, Problem, ReadError},
    format,
    options::ReadLimits,
    percent::{self, Percents},
    row::OwnedCell,
    source::{ReadSeek, Source},
    text_rows,
};
use calamine::{
    Data, DataRef, Dimensions, ExcelDateTime, Ods, OdsError, Reader, Sheet, Style, Xls, XlsError, Xlsb,
    XlsbError, Xlsx, XlsxError,
};
use std::{fmt::Display, io::BufReader, panic::AssertUnwindSafe};

/// Excel's own limits.
const MAX_SHEET_ROWS: u32 = 1 << 20;
const MAX_SHEET_COLUMNS: u32 = 1 << 14;

type File<'a> = BufReader<Box<dyn ReadSeek + 'a>>;

/// Which kind of workbook a file is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Kind {
    /// Also `.xlsm`, whose macros are never looked at.
    Xlsx,
    Xlsb,
    /// Excel 97-2003, in an OLE2 container.
    Xls,
    /// `OpenDocument`.
    Ods,
}

impl Kind {
    pub(super) fn name(self) -> &'static str {
        match self {
            Self::Xlsx => "xlsx",
            Self::Xlsb => "xlsb",
            Self::Xls => "xls",
            Self::Ods => "ods",
        }
    }
}

/// An open workbook.
pub(super) struct Book<'a> {
    reader: BookReader<'a>,
    /// The percentages of each sheet, where the reader does not tell.
    percents: Vec<Percents>,
}

enum BookReader<'a> {
    Xlsx(Box<Xlsx<File<'a>>>),
    Xlsb(Box<Xlsb<File<'a>>>),
    Xls(Box<Xls<File<'a>>>),
    Ods(Box<Ods<File<'a>>>),
}

/// Called with row, column and cell.
type Each<'e> = &'e mut dyn FnMut(u32, u32, OwnedCell) -> Result<(), ReadError>;

impl<'a> Book<'a> {
    pub(super) fn open(source: Source<'a>, kind: Kind) -> Result<Self, ReadError> {
        let percents = percent::find(source, kind);
        let file = BufReader::new(source.open()?);
        let reader = guarded(|| {
            Ok::<_, ReadError>(match kind {
                Kind::Xlsx => {
                    BookReader::Xlsx(Box::new(Xlsx::new(file).map_err(|error| xlsx(&error, None))?))
                }
                Kind::Xlsb => {
                    BookReader::Xlsb(Box::new(Xlsb::new(file).map_err(|error| xlsb(&error, None))?))
                }
                Kind::Xls => BookReader::Xls(Box::new(Xls::new(file).map_err(|error| xls(&error))?)),
                Kind::Ods => BookReader::Ods(Box::new(Ods::new(file).map_err(|error| ods(&error))?)),
            })
        })??;
        Ok(Self { reader, percents })
    }

    pub(super) fn sheets(&self) -> &[Sheet] {
        match &self.reader {
            BookReader::Xlsx(book) => book.sheets_metadata(),
            BookReader::Xlsb(book) => book.sheets_metadata(),
            BookReader::Xls(book) => book.sheets_metadata(),
            BookReader::Ods(book) => book.sheets_metadata(),
        }
    }

    /// The merged cells of a sheet, where the format's reader knows them.
    pub(super) fn merged(&mut self, sheet: &str) -> Vec<Dimensions> {
        let found = guarded(|| match &mut self.reader {
            BookReader::Xlsx(book) => book.merge_cells_by_sheet_name(sheet).unwrap_or_default(),
            BookReader::Xls(book) => book.merge_cells_by_sheet_name(sheet).unwrap_or_default(),
            BookReader::Xlsb(_) | BookReader::Ods(_) => Vec::new(),
        });
        found.unwrap_or_default()
    }

    /// Visits the cells in the order in which they are stored.
    pub(super) fn visit(
        &mut self,
        sheet: &str,
        limits: &ReadLimits,
        each: Each<'_>,
    ) -> Result<(), ReadError> {
        let position = self.sheets().iter().position(|known| known.name == sheet);
        let percents = position.and_then(|i| self.percents.get(i));
        let each: Each<'_> = &mut |row, column, cell| match (percents, cell) {
            (Some(percents), OwnedCell::Number(fraction)) if percents.has(row, column) => {
                each(row, column, OwnedCell::Percent(fraction))
            }
            (_, cell) => each(row, column, cell),
        };
        let reader = &mut self.reader;
        guarded(move || match reader {
            BookReader::Xlsx(book) => {
                let error = |error: XlsxError| xlsx(&error, Some(sheet));
                let mut cells = book.worksheet_cells_reader(sheet).map_err(error)?;
                let is_percent: Vec<bool> = cells.styles().iter().map(shows_percent).collect();
                while let Some((cell, style)) = cells.next_cell_with_style_id().map_err(error)? {
                    let at = check_place(cell.get_position(), sheet)?;
                    let cell = match convert(cell.get_value(), at, sheet, limits)? {
                        OwnedCell::Number(fraction) if is_percent.get(style) == Some(&true) => {
                            OwnedCell::Percent(fraction)
                        }
                        cell => cell,
                    };
                    each(at.0, at.1, cell)?;
                }
                Ok(())
            }
            BookReader::Xlsb(book) => {
                let error = |error: XlsbError| xlsb(&error, Some(sheet));
                let mut cells = book.worksheet_cells_reader(sheet).map_err(error)?;
                while let Some(cell) = cells.next_cell().map_err(error)? {
                    let at = check_place(cell.get_position(), sheet)?;
                    each(at.0, at.1, convert(cell.get_value(), at, sheet, limits)?)?;
                }
                Ok(())
            }
            BookReader::Xls(book) => {
                visit_grid(&book.worksheet_range(sheet).map_err(|error| xls(&error))?, sheet, limits, each)
            }
            BookReader::Ods(book) => {
                visit_grid(&book.worksheet_range(sheet).map_err(|error| ods(&error))?, sheet, limits, each)
            }
        })?
    }
}

fn shows_percent(style: &Style) -> bool {
    style.number_format.as_ref().is_some_and(|format| percent::is_percent_format(&format.format_code))
}

fn visit_grid(
    grid: &calamine::Range<Data>,
    sheet: &str,
    limits: &ReadLimits,
    each: Each<'_>,
) -> Result<(), ReadError> {
    let Some((top, left)) = grid.start() else { return Ok(()) };
    for (row, column, cell) in grid.used_cells() {
        let at = check_place((top + row as u32, left + column as u32), sheet)?;
        each(at.0, at.1, convert(&borrowed(cell), at, sheet, limits)?)?;
    }
    Ok(())
}

fn borrowed(cell: &Data) -> DataRef<'_> {
    match cell {
        Data::Int(number) => DataRef::Int(*number),
        Data::Float(number) => DataRef::Float(*number),
        Data::String(text) => DataRef::SharedString(text),
        Data::Bool(value) => DataRef::Bool(*value),
        Data::DateTime(date) => DataRef::DateTime(*date),
        Data::DateTimeIso(text) => DataRef::DateTimeIso(text.clone()),
        Data::DurationIso(text) => DataRef::DurationIso(text.clone()),
        Data::Error(error) => DataRef::Error(error.clone()),
        Data::Empty => DataRef::Empty,
    }
}

fn check_place((row, column): (u32, u32), sheet: &str) -> Result<(u32, u32), ReadError> {
    if row < MAX_SHEET_ROWS && column < MAX_SHEET_COLUMNS {
        return Ok((row, column));
    }
    Err(malformed(&format!(
        "sheet '{sheet}' has a cell in row {}, column {}, where no sheet can have one",
        u64::from(row) + 1,
        u64::from(column) + 1
    )))
}

fn convert(
    value: &DataRef<'_>,
    at: (u32, u32),
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
        DataRef::DateTimeIso(text) => match date::parse_iso(text) {
            Some(ms) => OwnedCell::Date(ms),
            None => text_cell(text, at, sheet, limits)?,
        },
        DataRef::DurationIso(text) => match iso_duration(text) {
            Some(ms) if ms < 86_400_000 => OwnedCell::Date(ms),
            Some(ms) => OwnedCell::Number(ms as f64 / 3_600_000.0),
            None => text_cell(text, at, sheet, limits)?,
        },
        DataRef::String(text) => text_cell(text, at, sheet, limits)?,
        DataRef::SharedString(text) => text_cell(text, at, sheet, limits)?,
    })
}

fn text_cell(
    text: &str,
    (row, column): (u32, u32),
    sheet: &str,
    limits: &ReadLimits,
) -> Result<OwnedCell, ReadError> {
    if text.len() > limits.max_cell_chars {
        let n_chars = text.chars().count();
        if n_chars > limits.max_cell_chars {
            let line = u64::from(row) + 1;
            return Err(text_rows::cell_too_large(line, column as usize, n_chars, limits).in_sheet(sheet));
        }
    }
    // Some programs write two bytes for each letter and say one.
    Ok(if text.contains('\0') { OwnedCell::text(&text.replace('\0', "")) } else { OwnedCell::text(text) })
}

/// A serial date. One below 1 is a time of day; it goes to 1970-01-01, as times in text files do.
fn date_cell(date: ExcelDateTime) -> OwnedCell {
    if date.is_duration() {
        return OwnedCell::Number(date.as_f64() * 24.0);
    }
    if (0.0..1.0).contains(&date.as_f64()) {
        return OwnedCell::Date((date.as_f64() * 86_400_000.0).round() as i64);
    }
    // Before 1900-03-01 a day is one more than its serial says, which calamine says of the days before 1900 as well.
    let ahead = if date.as_f64() < 0.0 { 86_400_000 } else { 0 };
    match date.as_datetime() {
        Some(moment) => OwnedCell::Date(moment.and_utc().timestamp_millis() - ahead),
        None => OwnedCell::Error,
    }
}

/// `PT12H30M15.5S` in milliseconds: the times of `OpenDocument`.
fn iso_duration(text: &str) -> Option<i64> {
    let mut rest = text.strip_prefix("PT")?;
    let mut ms = 0.0;
    for (letter, factor) in [('H', 3_600_000.0), ('M', 60_000.0), ('S', 1000.0)] {
        if let Some((number, after)) = rest.split_once(letter) {
            ms += number.replace(',', ".").parse::<f64>().ok().filter(|number| *number >= 0.0)? * factor;
            rest = after;
        }
    }
    (rest.is_empty() && ms < 1e15).then_some(ms.round() as i64)
}

/// The workbook readers panic on some damaged files.
fn guarded<T>(work: impl FnOnce() -> T) -> Result<T, ReadError> {
    std::panic::catch_unwind(AssertUnwindSafe(work))
        .map_err(|_| malformed("it is damaged in a way that no reader foresaw"))
}

fn password() -> ReadError {
    ReadError::PasswordProtected(Problem::new(
        "the workbook is protected by a password; save it without one and upload it again",
    ))
}

fn xlsx(error: &XlsxError, sheet: Option<&str>) -> ReadError {
    match error {
        XlsxError::Password => password(),
        _ => damaged(error, sheet),
    }
}

fn xlsb(error: &XlsbError, sheet: Option<&str>) -> ReadError {
    match error {
        XlsbError::Password => password(),
        _ => damaged(error, sheet),
    }
}

fn xls(error: &XlsError) -> ReadError {
    match error {
        XlsError::Password => password(),
        // Word and PowerPoint used the same container.
        XlsError::Cfb(inner) if inner.to_string().contains("Workbook") => format::unsupported(
            "an OLE2 document without a workbook in it, such as an old Word document",
            "copy the table into a spreadsheet",
        ),
        _ => damaged(error, None),
    }
}

fn ods(error: &OdsError) -> ReadError {
    match error {
        OdsError::Password => password(),
        OdsError::CellLimitExceeded { requested, max } => ReadError::TooManyCells(Problem::new(format!(
            "a sheet says that it has at least {requested} cells, more than the {max} that are read; a repeated row or column far from the table does this: delete the rows and columns around the table"
        ))),
        _ => damaged(error, None),
    }
}

fn damaged(error: &impl Display, sheet: Option<&str>) -> ReadError {
    let Some(sheet) = sheet else { return malformed(&error.to_string()) };
    let issue = Issue { message: error.to_string(), ..Issue::default() };
    match malformed(&format!("sheet '{sheet}': {error}")) {
        ReadError::MalformedWorkbook(problem) => {
            ReadError::MalformedWorkbook(problem.with(issue.in_sheet(sheet)))
        }
        other => other,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn days_before_march_1900() {
        let shown = |serial: f64| {
            date_cell(ExcelDateTime::new(serial, calamine::ExcelDateTimeType::DateTime, false))
                .borrow()
                .to_text()
        };
        assert_eq!(shown(61.0), "1900-03-01T00:00:00Z");
        assert_eq!(shown(59.0), "1900-02-28T00:00:00Z");
        assert_eq!(shown(-18_260.0), "1850-01-01T00:00:00Z", "as openpyxl writes it");
    }

    #[test]
    fn times_of_open_document() {
        assert_eq!(iso_duration("PT12H30M15S"), Some(45_015_000));
        assert_eq!(iso_duration("PT00H00M00.5S"), Some(500));
        assert_eq!(iso_duration("PT36H"), Some(129_600_000));
        assert_eq!(iso_duration("P1D"), None);
        assert_eq!(iso_duration("PT1X"), None);
    }
}
