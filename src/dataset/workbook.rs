//! Workbooks, a cell at a time: no sheet is ever held as a grid, because a file of one kilobyte may
//! say that it has seventeen billion cells.

use super::{
    archive::malformed,
    error::{Problem, ReadError},
    header::Layout,
    merged::Merged,
    options::ReadLimits,
    row::{OwnedCell, Row, SampleRow},
    sheet_cells::{Book, Kind},
    source::Source,
};
use calamine::{Dimensions, SheetType, SheetVisible};
use std::collections::BTreeMap;

const SAMPLE_ROWS: usize = 1000;

/// An open workbook.
pub(super) struct Workbook<'a> {
    book: Book<'a>,
    names: Vec<String>,
    /// Sheets that a person does not see.
    hidden: Vec<String>,
}

/// The sheet that will be read.
#[derive(Debug)]
pub(super) struct ChosenSheet {
    pub(super) name: String,
    pub(super) sample: Vec<SampleRow>,
    /// Whether its rows are stored from top to bottom; nothing forces a writer to do so.
    is_ordered: bool,
    merged: Vec<Dimensions>,
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
    pub(super) fn open(source: Source<'a>, kind: Kind) -> Result<Self, ReadError> {
        let book = Book::open(source, kind)?;
        let worksheets = || book.sheets().iter().filter(|sheet| sheet.typ == SheetType::WorkSheet);
        let names: Vec<String> = worksheets().map(|sheet| sheet.name.clone()).collect();
        let is_hidden = |sheet: &&calamine::Sheet| sheet.visible != SheetVisible::Visible;
        let hidden: Vec<String> = worksheets().filter(is_hidden).map(|sheet| sheet.name.clone()).collect();
        if names.is_empty() {
            return Err(malformed("it has no worksheet"));
        }
        Ok(Self { book, names, hidden })
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
            return self.chosen(wanted, survey, "given with the upload".to_owned());
        }
        let is_seen = |name: &&String| !self.hidden.contains(name);
        let mut candidates: Vec<String> = self.names.iter().filter(is_seen).cloned().collect();
        if candidates.is_empty() {
            candidates.clone_from(&self.names);
        }
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
        let mut reason = if others.is_empty() {
            "the only sheet".to_owned()
        } else {
            format!("it has the most filled cells, {}; {}", survey.n_filled, others.join(", "))
        };
        let unread: Vec<String> =
            self.hidden.iter().filter(|hidden| **hidden != name).map(|name| format!("'{name}'")).collect();
        if !unread.is_empty() {
            reason
                .push_str(&format!("; hidden and not looked at: {} (sheet= reads them)", unread.join(", ")));
        }
        self.chosen(&name, survey, reason)
    }

    /// Streams the sheet once: its size, its order and its first rows.
    fn survey(&mut self, sheet: &str, limits: &ReadLimits) -> Result<SheetSurvey, ReadError> {
        let mut survey = SheetSurvey { is_ordered: true, ..SheetSurvey::default() };
        let (mut last_row, mut bottom, mut right) = (None, 0u32, 0u32);
        self.book.visit(sheet, limits, &mut |row, column, cell| {
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
        for cells in survey.sample.values_mut() {
            cells.resize(right as usize + 1, OwnedCell::Empty);
        }
        Ok(survey)
    }

    fn chosen(&mut self, name: &str, survey: SheetSurvey, reason: String) -> Result<ChosenSheet, ReadError> {
        if survey.n_filled == 0 {
            return Err(ReadError::EmptyFile(Problem::new(format!(
                "sheet '{name}' has no cell with anything in it"
            ))));
        }
        // The list stands behind all cells, so finding it takes as long as reading them.
        let dimensions = self.book.merged(name);
        let mut merged = Merged::new(&dimensions);
        let sample = survey.sample.into_iter().map(|(row, mut cells)| {
            let width = cells.len();
            merged.fill(row, &mut cells);
            cells.resize(width, OwnedCell::Empty);
            SampleRow { line: u64::from(row) + 1, cells }
        });
        Ok(ChosenSheet {
            name: name.to_owned(),
            sample: sample.collect(),
            is_ordered: survey.is_ordered,
            merged: dimensions,
            reason,
        })
    }

    /// Visits every data row from top to bottom.
    pub(super) fn visit(
        &mut self,
        sheet: &ChosenSheet,
        layout: &Layout,
        limits: &ReadLimits,
        each: &mut dyn FnMut(Row<'_>) -> Result<(), ReadError>,
    ) -> Result<(), ReadError> {
        let mut n_rows = 0u64;
        let mut merged = Merged::new(&sheet.merged);
        let mut hand_on = |row: u32, cells: &mut Vec<OwnedCell>| {
            merged.fill(row, cells);
            let line = u64::from(row) + 1;
            if !layout.holds(line) || cells.iter().all(|cell| *cell == OwnedCell::Empty) {
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
        if !sheet.is_ordered {
            let mut rows: BTreeMap<u32, Vec<OwnedCell>> = BTreeMap::new();
            self.book.visit(&sheet.name, limits, &mut |row, column, cell| {
                put(rows.entry(row).or_default(), column, cell);
                Ok(())
            })?;
            return rows.iter_mut().try_for_each(|(row, cells)| hand_on(*row, cells));
        }
        let (mut current, mut cells) = (0, Vec::new());
        self.book.visit(&sheet.name, limits, &mut |row, column, cell| {
            if row != current {
                hand_on(current, &mut cells)?;
                cells.clear();
                current = row;
            }
            put(&mut cells, column, cell);
            Ok(())
        })?;
        hand_on(current, &mut cells)
    }
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
