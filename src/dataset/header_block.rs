//! Headers of several rows: which rows name the columns, and one name for each column from them.
//!
//! ```text
//! Monthly totals;;Moving annual totals;      groups: told only where names would repeat
//! ;;;
//! Year;Revenue;Revenue;                      names
//! ;Passengers;Passengers;                    names that go on below
//! 2004;12720;128145
//! ```

use super::{
    header::{is_missing, is_value, is_value_column, is_year},
    header_start,
    missing::Missing,
    row::{OwnedCell, SampleRow},
    units_row::{self, is_units_row},
};

/// No header has more rows.
const MAX_ROWS: usize = 6;
/// How far above the header a row of groups may lie, blank lines included.
const MAX_GROUP_GAP: u64 = 3;

/// A header, by positions among the rows that hold something.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Block {
    pub(super) first: usize,
    /// The lowest row that names most columns.
    pub(super) base: usize,
    pub(super) last: usize,
}

impl Block {
    /// A header of the one row `first`.
    pub(super) fn one(first: usize) -> Self {
        Self { first, base: first, last: first }
    }

    /// The header that begins with row `first`. A row below belongs to it where it has words over
    /// columns of numbers, and is no row of units.
    pub(super) fn from(first: usize, filled: &[&SampleRow], width: usize, missing: &Missing) -> Self {
        let mut block = Self::one(first);
        // Cells merged over both rows say the same twice; the others of the lower row are the names.
        while filled.get(block.last + 1).is_some_and(|row| repeats(filled[block.last], row, width))
            && block.last - first < MAX_ROWS
            && filled.len() > block.last + 3
        {
            block.last += 1;
            block.base = block.last;
        }
        let mut named: Vec<bool> = (0..width).map(|i| is_filled(filled[block.base], i)).collect();
        // Every column has a name of its own: what else stands above the data explains the names.
        if named.iter().all(|named| *named) && n_repeated(filled[block.base]) * 10 <= width {
            return block;
        }
        while block.last + 1 < filled.len() && block.last - first < MAX_ROWS {
            let row = filled[block.last + 1];
            let body = &filled[block.last + 2..];
            let gap = row.line - filled[block.last].line;
            let is_fuller = row.n_filled() > filled[block.last].n_filled();
            // Names that repeat ask for more, however few the rows are.
            let names = filled[block.base];
            let n_least = if n_repeated(names) * 2 >= names.n_filled() { 1 } else { 3 };
            if body.len() < n_least || gap > if is_fuller { MAX_GROUP_GAP } else { 1 } {
                break;
            }
            let (mut n_words, mut n_values, mut n_value_columns) = (0, 0, 0);
            let has_years = is_fuller && header_start::are_years(row);
            for i in (0..width).filter(|i| is_value_column(body, *i, missing)) {
                n_value_columns += 1;
                match row.cells.get(i) {
                    None | Some(OwnedCell::Empty) => {}
                    Some(cell) if !has_years && (is_value(cell) || is_missing(cell, missing)) => {
                        n_values += 1
                    }
                    Some(_) => n_words += 1,
                }
            }
            let goes_on = (0..width).all(|i| !(is_filled(row, i) && named[i]));
            // `Class;Sex;;;` under the groups of the other columns.
            let n_unnamed = named.iter().filter(|named| !**named).count();
            let names_rest = goes_on && n_unnamed >= 2 && row.n_filled() == n_unnamed && n_values == 0;
            let is_full = n_words >= 3 || n_words >= 2 && n_words * 2 >= n_value_columns;
            let divides = n_words >= 2 && divides(row, &named);
            if n_values > 0 || n_words == 0 && !names_rest || !(goes_on || is_full || divides) {
                break;
            }
            let is_third = block.base > first;
            let is_longer = is_third && n_chars(row) > n_chars(names);
            if !is_fuller
                && !divides
                && are_distinct(names)
                && !is_longer
                && is_units_row(row, body, width, missing)
                || block.is_over_units(filled, row, &named)
            {
                break;
            }
            block.last += 1;
            if !goes_on {
                block.base = block.last;
            }
            for (i, named) in named.iter_mut().enumerate() {
                *named |= is_filled(row, i);
            }
        }
        block
    }

    /// Whether the row has known units and the columns have names without it, no two the same.
    fn is_over_units(self, filled: &[&SampleRow], row: &SampleRow, named: &[bool]) -> bool {
        let mut names = self.names(filled, named.len());
        names.retain(|name| !name.is_empty());
        let n = names.len();
        names.sort_unstable();
        names.dedup();
        names.len() == n
            && (0..row.cells.len()).all(|i| !is_filled(row, i) || named.get(i) == Some(&true))
            && units_row::are_units(row)
    }

    /// One name for each column: the lowest, with those above it in front where names would repeat.
    pub(super) fn names(self, filled: &[&SampleRow], width: usize) -> Vec<String> {
        let n_groups = self.n_groups(filled);
        let header = &filled[self.first - n_groups..=self.last];
        // Names above the lowest full row may stand over several columns.
        let n_above = self.base - self.first + n_groups;
        let above: Vec<Vec<String>> =
            (0..n_above).rev().map(|i| spread(header[i], &header[..i], width)).collect();
        let body = &filled[self.last + 1..];
        // For each column its names from the lowest up.
        let ladders: Vec<Vec<String>> = (0..width)
            .map(|i| {
                let own = |row: &&SampleRow| Some(text(row, i)).filter(|name| !name.is_empty());
                let mut ladder: Vec<String> =
                    filled[self.base..=self.last].iter().rev().filter_map(own).collect();
                if ladder.is_empty() && body.iter().any(|row| is_filled(row, i)) {
                    ladder.extend(header[..n_above].iter().rev().find_map(own));
                }
                // A group alone is no name: the column under it may be a gap.
                if !ladder.is_empty() {
                    ladder.extend(above.iter().map(|row| row[i].clone()).filter(|name| !name.is_empty()));
                    ladder.dedup();
                }
                ladder
            })
            .collect();
        let mut n_parts = vec![1; width];
        let join = |ladder: &[String], n: usize| {
            let mut parts: Vec<&str> = ladder.iter().take(n).rev().map(String::as_str).collect();
            parts.dedup();
            parts.join(" ")
        };
        for _ in 0..MAX_ROWS {
            let names: Vec<String> =
                ladders.iter().zip(&n_parts).map(|(ladder, n)| join(ladder, *n)).collect();
            let mut counts = std::collections::HashMap::new();
            for name in &names {
                *counts.entry(name.as_str()).or_insert(0) += 1;
            }
            let mut is_longer = false;
            for (i, n) in n_parts.iter_mut().enumerate() {
                if !names[i].is_empty() && counts[names[i].as_str()] > 1 && *n < ladders[i].len() {
                    *n += 1;
                    is_longer = true;
                }
            }
            if !is_longer {
                return names;
            }
        }
        ladders.iter().zip(&n_parts).map(|(ladder, n)| join(ladder, *n)).collect()
    }

    /// How many rows above the header name groups of its columns.
    fn n_groups(self, filled: &[&SampleRow]) -> usize {
        let mut below = filled[self.first].line;
        let is_group = |row: &&&SampleRow| {
            let is_near = below - row.line <= MAX_GROUP_GAP;
            below = row.line;
            is_near
                && row.n_filled() >= 2
                && row.cells.iter().all(|cell| *cell == OwnedCell::Empty || !is_value(cell) || is_year(cell))
                && row.cells.iter().skip(2).any(|cell| *cell != OwnedCell::Empty)
        };
        filled[..self.first].iter().rev().take_while(is_group).count()
    }
}

/// Whether the row names parts of what is named above it: under each name it repeats over, it has
/// several.
///
/// ```text
/// Temperature;;;;Rain
/// Air;;Soil;;
/// min;max;min;max;
/// ```
fn divides(row: &SampleRow, named: &[bool]) -> bool {
    let is_part = |i: usize| {
        let end = (i + 1..named.len()).find(|j| named[*j]).unwrap_or(named.len());
        !named[i] || (i + 1..end).any(|j| is_filled(row, j))
    };
    (0..named.len()).filter(|i| is_filled(row, *i)).all(is_part)
}

/// Whether some cells say the same as those above them, and the others are years.
fn repeats(above: &SampleRow, row: &SampleRow, width: usize) -> bool {
    let is_same = |i: &usize| is_filled(row, *i) && row.cells.get(*i) == above.cells.get(*i);
    let n_same = (0..width).filter(is_same).filter(|i| !is_value(&row.cells[*i])).count();
    let others: Vec<&OwnedCell> = (0..width)
        .filter(|i| !is_same(i))
        .filter_map(|i| row.cells.get(i))
        .filter(|cell| **cell != OwnedCell::Empty)
        .collect();
    n_same > 0 && n_same + others.len() == width && !others.is_empty() && others.into_iter().all(is_year)
}

/// The row's names, each also over the empty cells to its right, up to where a name of the rows
/// above it begins.
fn spread(row: &SampleRow, above: &[&SampleRow], width: usize) -> Vec<String> {
    let mut current = String::new();
    let name = |i| {
        if is_filled(row, i) || above.iter().any(|above| is_filled(above, i)) {
            current = text(row, i);
        }
        current.clone()
    };
    (0..width).map(name).collect()
}

fn is_filled(row: &SampleRow, i: usize) -> bool {
    row.cells.get(i).is_some_and(|cell| *cell != OwnedCell::Empty)
}

fn text(row: &SampleRow, i: usize) -> String {
    row.cells.get(i).map_or_else(String::new, |cell| cell.borrow().to_text())
}

fn are_distinct(row: &SampleRow) -> bool {
    n_repeated(row) == 0
}

/// How many cells say what another one says.
fn n_repeated(row: &SampleRow) -> usize {
    let mut texts: Vec<String> =
        row.cells.iter().map(|cell| cell.borrow().to_text()).filter(|text| !text.is_empty()).collect();
    let n = texts.len();
    texts.sort_unstable();
    texts.dedup();
    n - texts.len()
}

fn n_chars(row: &SampleRow) -> usize {
    row.cells.iter().map(|cell| cell.borrow().to_text().chars().count()).sum()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::dataset::row::rows_of;

    fn check(text: &str, first: usize, expected: (usize, usize), names: &[&str]) {
        let rows = rows_of(text);
        let filled: Vec<&SampleRow> = rows.iter().filter(|row| row.n_filled() > 0).collect();
        let width = filled[first].cells.len();
        let block = Block::from(first, &filled, width, &Missing::default());
        assert_eq!((block.base, block.last), expected, "{text}");
        assert_eq!(block.names(&filled, width), names, "{text}");
    }

    #[test]
    fn rows_of_one_header() {
        let body = ["1;2;3"; 9].join("\n");
        check(&format!("x;y;z\n{body}"), 0, (0, 0), &["x", "y", "z"]);
        check(&format!("kg;kg;kg\na;b;c\nnorth;south;west\n{body}"), 0, (2, 2), &["north", "south", "west"]);
        check(&format!("Time;Force;Temp\ns;N;°C\n{body}"), 0, (0, 0), &["Time", "Force", "Temp"]);
        check(&format!(";a;b\nNr;;\n{body}"), 0, (0, 1), &["Nr", "a", "b"]);
        let text = ["x;y;1;2"; 9].join("\n");
        check(&format!(";;a;b\nKind;Sex;;\n{text}"), 0, (0, 1), &["Kind", "Sex", "a", "b"]);
        check(&format!("code;place;Year\ncode;place;2019\n{body}"), 0, (1, 1), &["code", "place", "2019"]);
    }

    #[test]
    fn groups_are_named_where_names_repeat() {
        let body = "2004;1;2;3\n2005;4;5;6\n2006;7;8;9";
        check(
            &format!(";Month;;Year\n\nYear;Flow;Loss;Flow\n{body}"),
            1,
            (1, 1),
            &["Year", "Month Flow", "Loss", "Year Flow"],
        );
        check(
            &format!("title;;;\nYear;Flow;Loss;Flow\n{body}"),
            1,
            (1, 1),
            &["Year", "Flow", "Loss", "Flow"],
        );
    }

    #[test]
    fn groups_over_groups() {
        let body = ["a;1;2;3;4;5;6"; 5].join("\n");
        let rows = |header: &[&str]| format!("{}\n{body}", header.join("\n"));
        let seasons = "Plot;Spring;;;Autumn;;";
        let crops = ";Rye;;Oats;Rye;;Oats";
        let names = ";area;mass;mass;area;mass;mass";
        let joined = [
            "Plot",
            "Spring Rye area",
            "Spring Rye mass",
            "Spring Oats mass",
            "Autumn Rye area",
            "Autumn Rye mass",
            "Autumn Oats mass",
        ];
        check(&rows(&[seasons, crops, names]), 2, (2, 2), &joined);
        check(&rows(&[seasons, crops, names, ";ha;kg;kg;ha;kg;kg"]), 2, (2, 2), &joined);
        let years = joined.map(|name| name.replace("Rye", "2019").replace("Oats", "2020"));
        check(
            &rows(&[seasons, ";2019;;2020;2019;;2020", names]),
            2,
            (2, 2),
            &years.each_ref().map(String::as_str),
        );
        check(
            &rows(&["Site;Day;Heat;;;;Rain", ";;Air;;Soil;;", ";;min;max;min;max;"]),
            0,
            (2, 2),
            &["Site", "Day", "Air min", "Air max", "Soil min", "Soil max", "Rain"],
        );
        let few = ";a;a;b;b\n;x;y;x;y\nkg;1;2;3;4\nkg;5;6;7;8";
        check(few, 0, (1, 1), &["", "a x", "a y", "b x", "b y"]);
        check(
            &rows(&["Site;Heat;;;;Rain;", ";Air;;Soil;;sum;max", ";min;max;min;max;;"]),
            1,
            (2, 2),
            &["Site", "Air min", "Air max", "Soil min", "Soil max", "sum", "Rain max"],
        );
    }

    #[test]
    fn a_row_of_data_is_no_header() {
        let row = "name;x;y\nAda;unknown;1\nLin;2;3\nBo;3;4\nEve;3;4";
        check(row, 0, (0, 0), &["name", "x", "y"]);
        let one = "name;x\nAda;unknown\nLin;2\nBo;3\nEve;3";
        check(one, 0, (0, 0), &["name", "x"]);
    }
}
