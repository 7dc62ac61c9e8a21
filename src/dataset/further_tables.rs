//! Tables that stand under one another: where the one that is read ends.
//!
//! ```text
//! x;y               the table
//! 1;2
//! 3;4
//!
//! Second run        a label, or nothing but the gap
//! t;p;q             words over columns of values, and values under them: another header
//! 5;6;7
//! 8;9;1
//! ```

use super::{
    header::{is_missing, is_value, is_value_column},
    missing::Missing,
    row::{OwnedCell, SampleRow},
};

/// Fewer rows are no table.
const MIN_ROWS: usize = 2;
/// Rows of labels that may stand above a header.
const MAX_LABELS: usize = 4;
/// Rows of units that may stand under it.
const MAX_UNITS: usize = 2;

/// Rows under a header that show whether it is theirs.
const MAX_NEAR: usize = 20;

/// A table under the one that is read.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Further {
    /// The first line that is none of the table above.
    pub(super) first_line: u64,
    pub(super) header_line: u64,
}

/// The tables among the rows under the header called `names`. Where `may_repeat`, the same header
/// again under a label begins one too.
pub(super) fn find(
    body: &[&SampleRow],
    names: &[String],
    may_repeat: bool,
    missing: &Missing,
) -> Vec<Further> {
    let mut found = Vec::new();
    let (mut start, mut i) = (0, MIN_ROWS);
    while i < body.len() {
        match header_under(&body[start..i], &body[i..], names, may_repeat, missing) {
            Some(n_labels) => {
                found.push(Further { first_line: body[i].line, header_line: body[i + n_labels].line });
                start = i + n_labels + 1;
                i = start + MIN_ROWS;
            }
            None => i += 1,
        }
    }
    found
}

/// How many labels stand above the header with which `below` begins, where it begins with one.
fn header_under(
    table: &[&SampleRow],
    below: &[&SampleRow],
    names: &[String],
    may_repeat: bool,
    missing: &Missing,
) -> Option<usize> {
    let has_gap = below[0].line > table.last()?.line + 1;
    if !has_gap && !is_label(below[0]) {
        return None;
    }
    let n_labels = below.iter().take(MAX_LABELS + 1).take_while(|row| is_label(row)).count();
    let header = below.get(n_labels)?;
    let named: Vec<usize> =
        (0..header.cells.len()).filter(|i| header.cells[*i] != OwnedCell::Empty).collect();
    let mut texts: Vec<String> = named.iter().map(|i| header.cells[*i].borrow().to_text()).collect();
    let is_same = named.iter().zip(&texts).all(|(i, text)| names.get(*i) == Some(text))
        && names.iter().filter(|name| !name.is_empty()).count() == named.len();
    texts.sort_unstable();
    texts.dedup();
    // `oak;NA;NA` under a heading is a row without values.
    let is_name = |i: &usize| is_word(&header.cells[*i]) && !is_missing(&header.cells[*i], missing);
    // `;1;2;3` again over another plate.
    let is_header = named.len() >= 2 && texts.len() >= 2 && (is_same || named.iter().all(is_name));
    if !is_header {
        return None;
    }
    let has_value = |row: &&&SampleRow| {
        named.iter().filter_map(|i| row.cells.get(*i)).any(is_value) && row.n_filled() >= 2
    };
    let rows = &below[n_labels + 1..];
    let n_units = rows.iter().take(MAX_UNITS).take_while(|row| !has_value(row)).count();
    if rows[n_units..].iter().take(MIN_ROWS).filter(has_value).count() < MIN_ROWS {
        return None;
    }
    // Where rows follow that go beyond the header, the table above goes on.
    let (first, last) = (named[0].saturating_sub(1), *named.last()?);
    let is_beyond =
        |row: &&&SampleRow| (0..row.cells.len()).any(|i| !(first..=last).contains(&i) && is_filled(row, i));
    let near = &rows[..rows.len().min(MAX_NEAR)];
    if near.iter().filter(is_beyond).count() * 2 > near.len() {
        return None;
    }
    let is_other = || {
        named.iter().any(|i| is_value_column(table, *i, missing))
            || table.iter().all(|row| row.cells.len() != header.cells.len())
    };
    let begins = if is_same { may_repeat && n_labels > 0 } else { is_other() };
    begins.then_some(n_labels)
}

fn is_filled(row: &SampleRow, i: usize) -> bool {
    row.cells[i] != OwnedCell::Empty
}

/// One cell of words.
fn is_label(row: &SampleRow) -> bool {
    row.n_filled() == 1 && row.cells.iter().any(is_word)
}

fn is_word(cell: &OwnedCell) -> bool {
    matches!(cell, OwnedCell::Text(text) if text.contains(char::is_alphabetic)) && !is_value(cell)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::dataset::row::rows_of;

    /// The first lines and the header lines of the tables under the first.
    fn check(text: &str, may_repeat: bool, expected: &[(u64, u64)], why: &str) {
        let rows: Vec<SampleRow> = rows_of(text).into_iter().filter(|row| row.n_filled() > 0).collect();
        let names: Vec<String> = rows[0].cells.iter().map(|cell| cell.borrow().to_text()).collect();
        let body: Vec<&SampleRow> = rows[1..].iter().collect();
        let found: Vec<(u64, u64)> = find(&body, &names, may_repeat, &Missing::default())
            .iter()
            .map(|further| (further.first_line, further.header_line))
            .collect();
        assert_eq!(found, expected, "{why}");
    }

    #[test]
    fn tables_under_one_another() {
        let first = "x;y\n1;2\n3;4\n";
        check(&format!("{first}\nt;p\n5;6\n7;8\n"), false, &[(5, 5)], "a gap");
        check(&format!("{first}Run 2;\nt;p\n5;6\n7;8\n"), false, &[(4, 5)], "a label");
        check(
            &format!("{first}\nRun 2\nt;p;q\ns;Pa;-\n5;6;7\n7;8;9\n"),
            false,
            &[(5, 6)],
            "of another width",
        );
        let three = format!("{first}\nt;p\n5;6\n7;8\n\na;b\n1;1\n2;2\n");
        check(&three, false, &[(5, 5), (9, 9)], "three");
        check(&format!("{first}\nTime 2\nx;y\n5;6\n7;8\n"), true, &[(5, 6)], "the same header again");
        check(&format!("{first}\nPage 2\nx;y\n5;6\n7;8\n"), false, &[], "may be a page of a report");
    }

    #[test]
    fn plates_under_one_another() {
        let plate = ";1;2\nA;3;4\nB;5;6\n";
        check(&format!("{plate}Plate 2\n{plate}"), true, &[(4, 5)], "the same header of numbers");
        check(&format!("{plate}Plate 2\nC;3;4\nD;5;6\n"), true, &[], "a label among rows");
    }

    #[test]
    fn what_is_no_other_table() {
        let first = "name;y\nash;2\nelm;4\n";
        check(&format!("{first}\noak;6\nfir;8\n"), true, &[], "a gap alone");
        check(&format!("{first}\nname;y\nfir;8\noak;9\n"), true, &[], "the header repeated");
        check(&format!("{first}\nSource: us\n-;zero\n..;none\n"), true, &[], "a legend");
        check(&format!("{first}conifers;\nfir;8\noak;9\n"), true, &[], "a group");
        check(&format!("{first}\nt;p\n5;6\n"), true, &[], "a single row");
        check(&format!("{first}conifers;\nfir;NA\nyew;8\npine;9\n"), true, &[], "a row without values");
        let island =
            format!("name;y;z\nash;2;1\nelm;4;2\n\nby;n;\nus;6;\nyou;8;\n\n{}", "oak;6;9\n".repeat(9));
        check(&island, true, &[], "the table goes on");
    }
}
