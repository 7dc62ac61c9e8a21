//! How many cells the rows of a text table have, among titles, comments and notes.

use super::{
    row::{OwnedCell, SampleRow},
    spaced,
};

/// The rows that hold something and are no comments, unless there are only comments.
pub(super) fn without_comments(rows: &[SampleRow]) -> Vec<&SampleRow> {
    let filled: Vec<&SampleRow> = rows.iter().filter(|row| row.n_filled() > 0).collect();
    let bare: Vec<&SampleRow> = filled.iter().copied().filter(|row| !is_comment(row)).collect();
    if bare.len() < 2 { filled } else { bare }
}

/// `# made by hand`, but not `#`, which may be the name of a column.
pub(super) fn is_comment(row: &SampleRow) -> bool {
    match row.cells.first() {
        Some(OwnedCell::Text(text)) => text.len() > 1 && spaced::unmarked(text).is_some(),
        _ => false,
    }
}

/// The commonest number of cells; the later rows decide, because titles stand at the top.
pub(super) fn usual_width(rows: &[&SampleRow]) -> usize {
    let mut counts = std::collections::BTreeMap::new();
    for row in rows {
        *counts.entry(row.cells.len()).or_insert(0usize) += 1;
    }
    let usual = counts.iter().max_by_key(|(width, count)| (**count, **width)).map_or(0, |(width, _)| *width);
    if let Some(under) = width_under_settings(rows).filter(|_| usual == 2) {
        return under;
    }
    // Among many lines of notes, which nothing cuts, the rows stand together.
    let together = counts.keys().filter(|width| **width > 1).map(|width| (longest_run(rows, *width), *width));
    match together.max() {
        Some((n, width)) if usual == 1 && n >= MIN_TOGETHER => width,
        _ => usual,
    }
}

/// The width of the rows at the end, where most of those above are settings of a name and a value each,
/// which may be more than they. A few settings may stand under them too.
fn width_under_settings(rows: &[&SampleRow]) -> Option<usize> {
    let n_under = rows.iter().rev().take_while(|row| row.cells.len() <= 2).count();
    let rows = &rows[..rows.len() - n_under.min(MAX_UNDER)];
    let last = rows.last().map(|row| row.cells.len()).filter(|last| *last > 2)?;
    let n = rows.iter().rev().take_while(|row| row.cells.len() == last && row.n_filled() > 1).count();
    let above = &rows[..rows.len() - n];
    let is_name = |cell: &OwnedCell| matches!(cell, OwnedCell::Text(text) if !spaced::is_number(text));
    let n_settings = above.iter().filter(|row| row.cells.len() == 2 && is_name(&row.cells[0])).count();
    (n >= MIN_TOGETHER && n_settings * 2 > above.len()).then_some(last)
}

/// More settings under a table are rather another one.
const MAX_UNDER: usize = 3;

/// Rows of one width one after the other that show a table among notes.
pub(super) const MIN_TOGETHER: usize = 5;

pub(super) fn longest_run(rows: &[&SampleRow], width: usize) -> usize {
    // Lines of a program end with a semicolon, but hold one cell.
    let is_row = |row: &SampleRow| row.cells.len() == width && row.n_filled() > 1;
    let runs = rows.chunk_by(|row, next| is_row(row) == is_row(next));
    runs.filter(|run| is_row(run[0])).map(<[_]>::len).max().unwrap_or(0)
}
