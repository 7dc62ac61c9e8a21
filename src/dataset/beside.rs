//! Two tables side by side on one sheet: which of them is read.
//!
//! ```text
//! t;F;;alpha;CL     a column without a name and without a value between them
//! 0;1;;2;0.2
//! 1;5;;4;0.4
//! 2;7;;;            and one goes on where the other has ended
//! 3;8;;;
//! ```
//!
//! An empty column alone is no evidence: printed tables have such to part groups of columns.

use super::{
    description::Warning,
    row::{OwnedCell, SampleRow},
};
use std::ops::Range;

/// Fewer columns are remarks beside a table, and fewer rows are none.
const MIN_COLUMNS: usize = 2;
const MIN_ROWS: usize = 2;
/// Rows that one table must have more than the other.
const MIN_MORE: usize = 2;

/// The columns that are read, and those of the other tables.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Beside {
    pub(super) kept: Range<usize>,
    others: Vec<(Range<usize>, Vec<String>)>,
}

/// Finds tables among the columns called `names`, of which `body` has all rows.
pub(super) fn find(names: &[String], body: &[&SampleRow]) -> Option<Beside> {
    let parts = parts(names, body);
    let sizes: Vec<usize> = parts.iter().map(|part| n_rows(part, body)).collect::<Option<_>>()?;
    let (shortest, longest) = (sizes.iter().min()?, sizes.iter().max()?);
    if parts.len() < 2 || *shortest < MIN_ROWS || shortest + MIN_MORE > *longest {
        return None;
    }
    let largest = (0..parts.len()).max_by_key(|i| (sizes[*i] * parts[*i].len(), parts.len() - i))?;
    let others = parts.iter().enumerate().filter(|(i, _)| *i != largest);
    Some(Beside {
        kept: parts[largest].clone(),
        others: others.map(|(_, part)| (part.clone(), names[part.clone()].to_vec())).collect(),
    })
}

/// The runs of columns between those that have neither name nor value; nothing where one is too narrow.
fn parts(names: &[String], body: &[&SampleRow]) -> Vec<Range<usize>> {
    let is_used = |i: &usize| !names[*i].is_empty() || body.iter().any(|row| is_filled(row, *i));
    let used: Vec<usize> = (0..names.len()).filter(is_used).collect();
    let runs = used.chunk_by(|left, right| left + 1 == *right);
    let parts: Vec<Range<usize>> = runs.map(|run| run[0]..run[0] + run.len()).collect();
    let n_named = |part: &Range<usize>| names[part.clone()].iter().filter(|name| !name.is_empty()).count();
    if parts.iter().all(|part| n_named(part) >= MIN_COLUMNS) { parts } else { Vec::new() }
}

/// The rows from the first to the last that the part fills; nothing where they have gaps.
fn n_rows(part: &Range<usize>, body: &[&SampleRow]) -> Option<usize> {
    let n_filled = |row: &SampleRow| part.clone().filter(|i| is_filled(row, *i)).count();
    // A cell alone is rather a note.
    let is_row = |row: &&SampleRow| n_filled(row) * 2 >= part.len() && n_filled(row) > 1;
    let n = body.iter().rposition(is_row)? + 1;
    let has_rest = body[n..].iter().any(|row| n_filled(row) > 1);
    (!has_rest && body[..n].iter().filter(|row| is_row(row)).count() * 10 >= n * 9).then_some(n)
}

fn is_filled(row: &SampleRow, i: usize) -> bool {
    row.cells.get(i).is_some_and(|cell| *cell != OwnedCell::Empty)
}

impl Beside {
    /// What the user is told of it.
    pub(super) fn warnings(&self) -> impl Iterator<Item = Warning> {
        self.others.iter().map(|(columns, names)| Warning {
            code: "table-beside-left-out".to_owned(),
            column: None,
            message: format!(
                "columns {} to {}, beginning with '{}', are another table beside this one and were left out; to read that one, save it as a file of its own",
                columns.start + 1,
                columns.end,
                super::error::shorten(names.iter().find(|name| !name.is_empty()).map_or("", String::as_str))
            ),
        })
    }
}

#[cfg(test)]
mod tests {
    use crate::dataset::{ReadLimits, ReadOptions, Reading, read};

    fn reading(text: &str) -> Reading {
        read(text.as_bytes(), "a.csv", &ReadOptions::default(), &ReadLimits::default()).unwrap()
    }

    fn check(text: &str, n_rows: usize, names: &[&str], n_left_out: usize) {
        let reading = reading(text);
        let found: Vec<&str> = reading.table.columns.iter().map(|column| column.name.as_str()).collect();
        let warnings = &reading.description.warnings;
        let n = warnings.iter().filter(|warning| warning.code == "table-beside-left-out").count();
        assert_eq!((reading.table.n_rows(), found.as_slice(), n), (n_rows, names, n_left_out), "{text}");
    }

    #[test]
    fn the_larger_is_read() {
        check("t;F;;alpha;CL\n0;1;;2;3\n1;5;;4;5\n2;7;;;\n3;8;;;", 4, &["t", "F"], 1);
        check("t;F;;t;CL;Cd\n0;1;;2;3;1\n1;5;;4;5;2\n;;;6;7;3\n;;;8;9;4", 4, &["t", "CL", "Cd"], 1);
    }

    #[test]
    fn an_empty_column_alone_parts_no_tables() {
        check("t;F;;alpha;CL\n0;1;;2;3\n1;5;;4;5\n2;7;;8;9", 3, &["t", "F", "alpha", "CL"], 0);
        check("t;F;;alpha;CL\n0;1;;2;3\n1;5;;4;5\n2;7;;;\n3;8;;6;7", 4, &["t", "F", "alpha", "CL"], 0);
        check("t;F;;remark\n0;1;;a\n1;5;;b\n2;7;;\n3;8;;", 4, &["t", "F", "remark"], 0);
    }
}
