//! Cells that their workbook shows as percentages, where its reader does not tell: by the number
//! formats of `.xls` and `.xlsb`, by the types of the cells of `.ods`.
//!
//! What is damaged here shows nothing as a percentage; the reader of the cells says what is wrong.

mod ods;
mod xls;
mod xlsb;

use super::{ole2, sheet_cells::Kind, source::Source};

/// Where one sheet has such cells.
#[derive(Debug, Default, PartialEq)]
pub(super) struct Percents(Vec<Band>);

/// Rows that have them in the same columns.
#[derive(Debug, PartialEq)]
struct Band {
    first_row: u32,
    last_row: u32,
    /// First and last column of each run.
    columns: Vec<(u32, u32)>,
}

impl Percents {
    pub(super) fn has(&self, row: u32, column: u32) -> bool {
        let i = self.0.partition_point(|band| band.last_row < row);
        let Some(band) = self.0.get(i).filter(|band| band.first_row <= row) else { return false };
        let i = band.columns.partition_point(|(_, last)| *last < column);
        band.columns.get(i).is_some_and(|(first, _)| *first <= column)
    }

    /// Adds `n` cells of a row; rows and cells are added in their order, as all writers store them.
    fn add(&mut self, row: u32, column: u32, n: u32) {
        let last = column.saturating_add(n - 1);
        match self.0.last_mut().filter(|band| band.first_row == row) {
            Some(Band { columns, .. }) => match columns.last_mut() {
                Some((_, end)) if end.saturating_add(1) == column => *end = last,
                _ => columns.push((column, last)),
            },
            None => {
                self.join_last();
                self.0.push(Band { first_row: row, last_row: row, columns: vec![(column, last)] });
            }
        }
    }

    /// Makes the row that was added last stand for those down to `row`.
    fn extend_to(&mut self, row: u32) {
        if let Some(band) = self.0.last_mut() {
            band.last_row = row;
        }
    }

    /// The last two bands are one where they have the same columns and lie under one another, which
    /// keeps a column of a million cells small.
    fn join_last(&mut self) {
        if let [.., above, below] = self.0.as_mut_slice()
            && above.columns == below.columns
            && above.last_row + 1 == below.first_row
        {
            above.last_row = below.last_row;
            self.0.pop();
        }
    }
}

/// The cells of each sheet, in the order of the workbook; none where no sheet has any.
pub(super) fn find(source: Source<'_>, kind: Kind) -> Vec<Percents> {
    let found = match kind {
        // Its reader gives the formats itself.
        Kind::Xlsx => None,
        Kind::Xlsb => xlsb::find(source),
        Kind::Xls => ole2::workbook_stream(source).and_then(|stream| xls::find(&stream)),
        Kind::Ods => ods::find(source),
    };
    found.unwrap_or_default()
}

/// `0.0%`, but not `0" % of all"`.
pub(super) fn is_percent_format(code: &str) -> bool {
    let mut characters = code.chars();
    let mut is_quoted = false;
    while let Some(c) = characters.next() {
        match c {
            '"' => is_quoted = !is_quoted,
            '\\' if !is_quoted => drop(characters.next()),
            '%' if !is_quoted => return true,
            _ => {}
        }
    }
    false
}

/// `0%` and `0.00%`, which have a number and no code.
fn is_built_in(format: u16) -> bool {
    matches!(format, 9 | 10)
}

fn u16_at(data: &[u8], at: usize) -> Option<u16> {
    Some(u16::from_le_bytes(data.get(at..at + 2)?.try_into().ok()?))
}

fn u32_at(data: &[u8], at: usize) -> Option<u32> {
    Some(u32::from_le_bytes(data.get(at..at + 4)?.try_into().ok()?))
}

/// The first letters of a text in UTF-16.
fn wide(data: &[u8]) -> String {
    let units: Vec<u16> = data.chunks_exact(2).map(|pair| u16::from_le_bytes([pair[0], pair[1]])).collect();
    String::from_utf16_lossy(&units)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn cells_by_row_and_column() {
        let mut found = Percents::default();
        for row in 1..4 {
            found.add(row, 2, 1);
            found.add(row, 3, 1);
            found.add(row, 7, 2);
        }
        found.add(6, 0, 1);
        found.extend_to(8);
        found.add(20, 2, 1);
        assert!(found.0.len() <= 4, "rows that are alike are kept as one: {found:?}");
        let shown: Vec<(u32, u32)> = (0..22)
            .flat_map(|row| (0..10).map(move |column| (row, column)))
            .filter(|(row, column)| found.has(*row, *column))
            .collect();
        let mut expected: Vec<(u32, u32)> =
            (1..4).flat_map(|row| [2, 3, 7, 8].map(|column| (row, column))).collect();
        expected.extend([(6, 0), (7, 0), (8, 0), (20, 2)]);
        assert_eq!(shown, expected);
    }

    #[test]
    fn codes_of_formats() {
        for (code, expected) in [
            ("0.0%", true),
            ("[Red]-0%;0%", true),
            ("0.0", false),
            ("0\" % of all\"", false),
            ("0\\%", false),
            ("", false),
        ] {
            assert_eq!(is_percent_format(code), expected, "{code}");
        }
    }
}
