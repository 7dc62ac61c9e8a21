//! Rows as the readers hand them on: text from a text file, typed cells from a workbook.

use csv::ByteRecord;

/// One row, borrowed from the reader's buffer: no cell is copied on the way to its column.
#[derive(Debug, Clone, Copy)]
pub(super) enum Row<'a> {
    /// A record of a text file.
    Text { line: u64, record: &'a ByteRecord },
    /// A row of a sheet or of a sample; missing cells at the end are empty.
    Cells { line: u64, cells: &'a [OwnedCell] },
}

/// One cell. Text is known to be UTF-8 and is trimmed.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(super) enum Cell<'a> {
    Empty,
    Text(&'a [u8]),
    Number(f64),
    /// A fraction that the workbook shows as a percentage.
    Percent(f64),
    /// Milliseconds since 1970-01-01.
    Date(i64),
    Boolean(bool),
    /// A formula's error value such as `#DIV/0!`.
    Error,
}

/// A cell that outlives the reader's buffer.
#[derive(Debug, Clone, PartialEq, Default)]
pub(super) enum OwnedCell {
    #[default]
    Empty,
    Text(String),
    Number(f64),
    Percent(f64),
    Date(i64),
    Boolean(bool),
    Error,
}

/// A row of the sample that everything is detected from.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct SampleRow {
    pub(super) line: u64,
    pub(super) cells: Vec<OwnedCell>,
}

/// The rows of a text whose cells end at `;`.
#[cfg(test)]
pub(super) fn rows_of(text: &str) -> Vec<SampleRow> {
    let row =
        |(line, text): (u64, &str)| SampleRow { line, cells: text.split(';').map(OwnedCell::text).collect() };
    (1..).zip(text.lines()).map(row).collect()
}

impl<'a> Row<'a> {
    /// 1-based line of the file or row of the sheet.
    pub(super) fn line(&self) -> u64 {
        match self {
            Self::Text { line, .. } | Self::Cells { line, .. } => *line,
        }
    }

    /// How many cells are written.
    pub(super) fn n_cells(&self) -> usize {
        match self {
            Self::Text { record, .. } => record.len(),
            Self::Cells { cells, .. } => cells.len(),
        }
    }

    /// The cell of the `i`-th column.
    pub(super) fn cell(&self, i: usize) -> Cell<'a> {
        match self {
            Self::Text { record, .. } => match record.get(i).map(trimmed) {
                None | Some([]) => Cell::Empty,
                Some(text) => Cell::Text(text),
            },
            Self::Cells { cells, .. } => cells.get(i).map_or(Cell::Empty, OwnedCell::borrow),
        }
    }
}

impl OwnedCell {
    /// A trimmed text, or nothing.
    pub(super) fn text(text: &str) -> Self {
        match text.trim() {
            "" => Self::Empty,
            trimmed => Self::Text(trimmed.to_owned()),
        }
    }

    pub(super) fn borrow(&self) -> Cell<'_> {
        match self {
            Self::Empty => Cell::Empty,
            Self::Text(text) => Cell::Text(text.as_bytes()),
            Self::Number(number) => Cell::Number(*number),
            Self::Percent(fraction) => Cell::Percent(*fraction),
            Self::Date(date) => Cell::Date(*date),
            Self::Boolean(boolean) => Cell::Boolean(*boolean),
            Self::Error => Cell::Error,
        }
    }
}

impl SampleRow {
    /// How many cells hold something.
    pub(super) fn n_filled(&self) -> usize {
        self.cells.iter().filter(|cell| **cell != OwnedCell::Empty).count()
    }

    pub(super) fn as_row(&self) -> Row<'_> {
        Row::Cells { line: self.line, cells: &self.cells }
    }
}

impl Cell<'_> {
    pub(super) fn to_owned_cell(self) -> OwnedCell {
        match self {
            Self::Empty => OwnedCell::Empty,
            Self::Text(text) => OwnedCell::Text(String::from_utf8_lossy(text).into_owned()),
            Self::Number(number) => OwnedCell::Number(number),
            Self::Percent(fraction) => OwnedCell::Percent(fraction),
            Self::Date(ms) => OwnedCell::Date(ms),
            Self::Boolean(value) => OwnedCell::Boolean(value),
            Self::Error => OwnedCell::Error,
        }
    }

    /// The cell as text, as a person would write it.
    pub(super) fn to_text(self) -> String {
        match self {
            Self::Empty => String::new(),
            Self::Text(text) => String::from_utf8_lossy(text).into_owned(),
            Self::Number(number) => number.to_string(),
            Self::Percent(fraction) => format!("{}%", percent(fraction)),
            Self::Date(ms) => super::date::to_rfc3339(ms),
            Self::Boolean(true) => "TRUE".to_owned(),
            Self::Boolean(false) => "FALSE".to_owned(),
            Self::Error => "#ERROR!".to_owned(),
        }
    }
}

/// A cell without the blanks around it, those that do not break included.
pub(super) fn trimmed(cell: &[u8]) -> &[u8] {
    let cell = cell.trim_ascii();
    let is_other = |byte: Option<&u8>| byte.is_some_and(|byte| !byte.is_ascii());
    if !is_other(cell.first()) && !is_other(cell.last()) {
        return cell;
    }
    std::str::from_utf8(cell).map_or(cell, |text| text.trim().as_bytes())
}

/// 0.07 as 7: the product has a last digit too many.
pub(super) fn percent(fraction: f64) -> f64 {
    let percent = fraction * 100.0;
    format!("{percent:.14e}").parse().unwrap_or(percent)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn percentages_are_as_they_are_shown() {
        for (fraction, shown) in [
            (0.07, "7%"),
            (0.055, "5.5%"),
            (-0.125, "-12.5%"),
            (1.0, "100%"),
            (1.0 / 3.0, "33.3333333333333%"),
        ] {
            assert_eq!(OwnedCell::Percent(fraction).borrow().to_text(), shown);
        }
    }
}
