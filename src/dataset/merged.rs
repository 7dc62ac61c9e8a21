//! Merged cells: only the first of them holds the value, but it stands for every row they cover.

use super::row::OwnedCell;
use calamine::Dimensions;

/// The merged cells of a sheet that reach over several rows, as its rows pass from top to bottom.
#[derive(Debug, Default)]
pub(super) struct Merged {
    /// By their first row.
    regions: Vec<Region>,
    /// The first of `regions` that has not begun.
    next: usize,
    active: Vec<usize>,
}

#[derive(Debug)]
struct Region {
    top: u32,
    bottom: u32,
    column: usize,
    value: OwnedCell,
}

impl Merged {
    /// Regions of one row are left alone: a title over all columns is no value of each.
    pub(super) fn new(dimensions: &[Dimensions]) -> Self {
        let over_rows = dimensions.iter().filter(|region| region.start.0 < region.end.0);
        let mut regions: Vec<Region> = over_rows
            .map(|region| Region {
                top: region.start.0,
                bottom: region.end.0,
                column: region.start.1 as usize,
                value: OwnedCell::Empty,
            })
            .collect();
        regions.sort_by_key(|region| region.top);
        Self { regions, next: 0, active: Vec::new() }
    }

    /// Fills the merged cells of `row`, which lies below the rows that were filled before.
    pub(super) fn fill(&mut self, row: u32, cells: &mut Vec<OwnedCell>) {
        while self.regions.get(self.next).is_some_and(|region| region.top <= row) {
            self.active.push(self.next);
            self.next += 1;
        }
        let regions = &mut self.regions;
        self.active.retain(|i| regions[*i].bottom >= row);
        for i in &self.active {
            let region = &mut regions[*i];
            if region.top == row {
                region.value = cells.get(region.column).cloned().unwrap_or_default();
            } else if region.value != OwnedCell::Empty {
                if cells.len() <= region.column {
                    cells.resize(region.column + 1, OwnedCell::Empty);
                }
                if cells[region.column] == OwnedCell::Empty {
                    cells[region.column] = region.value.clone();
                }
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_value_reaches_over_the_rows_it_covers() {
        let mut merged = Merged::new(&[
            Dimensions::new((1, 0), (2, 0)),
            Dimensions::new((0, 0), (0, 3)),
            Dimensions::new((2, 2), (3, 3)),
        ]);
        let mut filled = Vec::new();
        for (row, line) in ["title", "A;1", ";2;x", "B;3"].iter().enumerate() {
            let mut cells: Vec<OwnedCell> = line.split(';').map(OwnedCell::text).collect();
            merged.fill(row as u32, &mut cells);
            let texts: Vec<String> = cells.iter().map(|cell| cell.borrow().to_text()).collect();
            filled.push(texts.join(";"));
        }
        assert_eq!(filled, ["title", "A;1", "A;2;x", "B;3;x"]);
    }
}
