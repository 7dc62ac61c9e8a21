//! The rows between a header and the data: units, and what explains the names.

use super::{
    error::ReadError,
    header::{BODY_ROWS, Layout, is_value, is_value_column, no_such_line},
    missing::Missing,
    row::{OwnedCell, SampleRow},
    unit,
};

/// Units are short, `kg/m³`, `W/(m² K)`, but beside known ones: `share of all trees`.
const MAX_UNIT_CHARS: usize = 20;
const MAX_TEXT_CHARS: usize = 80;

/// Takes the units from the rows under the header, and passes over those that explain the names:
/// kinds of averages, questions in full.
pub(super) fn take(
    layout: &mut Layout,
    filled: &[&SampleRow],
    first: usize,
    first_of_data: usize,
    units_row: Option<u64>,
    missing: &Missing,
) -> Result<(), ReadError> {
    let last = filled.last().map_or(0, |row| row.line);
    let mut n_further = 0;
    let take_units = |layout: &mut Layout, row: &SampleRow, reason: &str| {
        layout.units_line = Some(row.line);
        layout.first_data_line = layout.first_data_line.max(row.line + 1);
        layout.units = row.cells.iter().map(unit_of).collect();
        layout.units_reason = Some(reason.to_owned());
    };
    if let Some(line) = units_row.filter(|line| *line != 0) {
        let row = filled[first..].iter().find(|row| row.line == line);
        let row = row.ok_or_else(|| no_such_line("units_row", line, last))?;
        take_units(layout, row, "given with the upload");
        return Ok(());
    }
    if units_row.is_some() {
        return Ok(());
    }
    // Where the first row of data is not known, only units may stand above it.
    for i in first..first_of_data.max(first + 1).min(filled.len()) {
        let (row, body) = (filled[i], &filled[i + 1..]);
        let is_units = layout.units_line.is_none()
            && (i == first && !repeats_a_name(layout, row) && is_units_row(row, body, layout.width, missing)
                || (i < first_of_data || i == first && lacks_values(row, body, layout.width, missing))
                    && are_units(row));
        if is_units {
            take_units(layout, row, "the row under the header has short texts over columns of numbers");
            exchange_names_and_units(layout);
        } else if i < first_of_data {
            layout.first_data_line = row.line + 1;
            n_further += 1;
        }
    }
    if n_further > 0 {
        layout.reason.push_str(&format!("; {n_further} line(s) under it explain the names"));
    }
    Ok(())
}

/// What says the same as the name of its column is no unit.
fn repeats_a_name(layout: &Layout, row: &SampleRow) -> bool {
    let texts = row.cells.iter().map(|cell| cell.borrow().to_text());
    layout.names.iter().zip(texts).any(|(name, text)| !text.is_empty() && *name == text)
}

/// `Units, , A, V`: known units, though over few columns.
pub(super) fn are_units(row: &SampleRow) -> bool {
    let texts = row.cells.iter().skip(1).filter(|cell| **cell != OwnedCell::Empty);
    let mut texts = texts.map(|cell| cell.borrow().to_text()).peekable();
    texts.peek().is_some() && texts.all(|text| unit::is_unit(bare_unit(&text)))
}

/// Whether the row has no cell in any column of values, of which there are two or more: `,,,,mm`.
fn lacks_values(row: &SampleRow, body: &[&SampleRow], width: usize, missing: &Missing) -> bool {
    let of_values = (0..width).filter(|i| is_value_column(body, *i, missing));
    let is_empty = |i: usize| row.cells.get(i).is_none_or(|cell| *cell == OwnedCell::Empty);
    body.len() > 1 && of_values.clone().count() > 1 && of_values.into_iter().all(is_empty)
}

/// Units may stand above the names.
fn exchange_names_and_units(layout: &mut Layout) {
    let is_unit = |text: &str| text.is_empty() || unit::is_unit(bare_unit(text));
    let names_are = layout.names.iter().all(|name| is_unit(name));
    let units_are = layout.units.iter().flatten().all(|unit| is_unit(unit));
    if !names_are || units_are || layout.units.iter().any(Option::is_none) {
        return;
    }
    let names: Vec<String> = layout.units.drain(..).flatten().collect();
    let units = std::mem::replace(&mut layout.names, names);
    layout.units =
        units.iter().map(|unit| Some(bare_unit(unit).to_owned()).filter(|u| !u.is_empty())).collect();
    std::mem::swap(&mut layout.header_line, &mut layout.units_line);
    layout.units_reason = Some("the row above the names has units".to_owned());
}

pub(super) fn is_units_row(row: &SampleRow, body: &[&SampleRow], width: usize, missing: &Missing) -> bool {
    if body.len() < 2 {
        return false;
    }
    let (mut n_numeric, mut n_units, mut n_dashes) = (0, 0, 0);
    let (mut n_known, mut has_remarks) = (0, false);
    for i in 0..width {
        let cell = row.cells.get(i).unwrap_or(&OwnedCell::Empty);
        let text = match cell {
            OwnedCell::Empty => "",
            OwnedCell::Text(text) => text.as_str(),
            _ => return false,
        };
        let bare = bare_unit(text);
        let is_known = unit::is_unit(bare) || unit::leading(bare).is_some();
        let n_chars = text.chars().count();
        let is_remark = !is_known && (text.matches(' ').count() > 2 || n_chars > MAX_UNIT_CHARS);
        let is_sentence = text.ends_with('?') || n_chars > MAX_TEXT_CHARS;
        if missing.is_missing(text.as_bytes()) || is_value(cell) || is_sentence {
            return false;
        }
        has_remarks |= is_remark;
        let is_dash = are_dashes(text);
        if !is_dash
            && !matches!(bare_unit(text), "-" | "")
            && !text.contains(|c: char| c.is_alphabetic() || !c.is_ascii() || c == '%')
        {
            return false;
        }
        if is_value_column(body, i, missing) {
            n_numeric += 1;
            n_units += usize::from(!is_dash);
            n_known += usize::from(is_known);
            // A dash says that the quantity has no unit.
            n_dashes += usize::from(is_dash && !text.is_empty());
        }
        if !is_dash && body.iter().take(BODY_ROWS).any(|row| row.cells.get(i) == Some(cell)) {
            return false;
        }
    }
    n_units > 0 && (n_units + n_dashes) * 2 >= n_numeric && (!has_remarks || n_known * 2 >= n_units)
}

/// Nothing, `-` or `--`: the quantity has no unit.
fn are_dashes(text: &str) -> bool {
    text.chars().all(|c| matches!(c, '-' | '–' | '—'))
}

/// `[m/s]` and `(m/s)` are `m/s`.
fn unit_of(cell: &OwnedCell) -> Option<String> {
    let text = cell.borrow().to_text();
    let bare = bare_unit(&text);
    (!are_dashes(bare)).then(|| bare.to_owned())
}

pub(super) fn bare_unit(text: &str) -> &str {
    let inner = [('[', ']'), ('(', ')')].into_iter().find_map(|(open, close)| {
        let inner = text.strip_prefix(open)?.strip_suffix(close)?;
        (!inner.contains([open, close])).then_some(inner)
    });
    inner.unwrap_or(text).trim()
}
