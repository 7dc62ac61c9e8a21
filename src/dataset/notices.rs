//! What is to be noticed of a column, or of the table, before anyone trains on it.

use super::{
    date,
    description::{ColumnProfile, Warning},
    number,
    number_format::Decision,
    row::OwnedCell,
    schema::{self, Plan},
    table::{Column, ColumnKind, Table, Values},
};

/// The warning of [`no_longer`].
pub(super) const MIXED: &str = "mixed-column";

const MOSTLY_NUMBERS: &str = "mostly-numbers";

/// Above this share of missing values a column is worth a warning.
const NEARLY_EMPTY: f64 = 0.95;

pub(super) fn warning(code: &str, column: &str, message: String) -> Warning {
    Warning { code: code.to_owned(), column: Some(column.to_owned()), message }
}

/// A column that was read as something at first, and then as text, because of a few cells.
pub(super) fn no_longer(name: &str, old: &Plan, misfits: &[(u64, OwnedCell)]) -> Option<Warning> {
    let what = match old {
        Plan::Number(_) => "numbers",
        Plan::Date(_) | Plan::TypedDate => "dates",
        Plan::Boolean => "true and false",
        Plan::Text | Plan::Ignore => return None,
    };
    let (line, cell) = misfits.first()?;
    Some(warning(
        MIXED,
        name,
        format!(
            "the column holds {what} at first, but '{}' in row {line}; it was read as text. Correct the cell, list it in missing=, or give the type (types={{\"{name}\": \"number\"}}), which makes such cells missing",
            super::error::shorten(&cell.borrow().to_text())
        ),
    ))
}

pub(super) fn made_missing(name: &str, n_misfits: u64, misfits: &[(u64, OwnedCell)]) -> Warning {
    let (line, text) =
        misfits.first().map_or((0, String::new()), |(line, cell)| (*line, cell.borrow().to_text()));
    warning(
        "values-made-missing",
        name,
        format!(
            "{n_misfits} cell(s) do not fit the type given for the column and count as missing, such as '{}' in row {line}",
            super::error::shorten(&text)
        ),
    )
}

/// If nothing in the column tells day from month, that is said.
pub(super) fn day_or_month(column: &str, format: &str) -> Option<Warning> {
    let other = date::exchanged(format)?;
    Some(warning(
        "day-or-month",
        column,
        format!("no day is above 12, so the dates may be {format} or {other}; they were read as {format}"),
    ))
}

/// Marks behind numbers are not kept.
pub(super) fn marks_left_out(name: &str, n: u64, first: Option<&str>) -> Warning {
    warning(
        "marks-left-out",
        name,
        format!(
            "{n} number(s) have a mark behind them, such as '{}'; the numbers were read and the marks left out",
            super::error::shorten(first.unwrap_or_default())
        ),
    )
}

/// A table whose rows are what columns should be: the first cell of each names a quantity.
pub(super) fn lies_on_its_side(
    table: &Table,
    profiles: &[ColumnProfile],
    warnings: &[Warning],
) -> Option<Warning> {
    let n_mixed =
        warnings.iter().filter(|warning| warning.code == MIXED || warning.code == MOSTLY_NUMBERS).count();
    let first = table.columns.first()?;
    let names_rows = matches!(first.values, Values::Category { .. } | Values::Text(_))
        && profiles.first().is_some_and(|profile| profile.distinct == table.n_rows() as u64);
    let is_small = table.n_rows() <= 100 && table.columns.len() > 3;
    (is_small && names_rows && n_mixed * 3 >= (table.columns.len() - 1) * 2).then(|| Warning {
        code: "table-on-its-side".to_owned(),
        column: None,
        message: "most columns mix numbers and words, and the first cell of each row is a name, so the table may lie on its side: exchange rows and columns and upload it again".to_owned(),
    })
}

/// What a column shows that a user should know before training on it.
pub(super) fn notices(
    column: &Column,
    profile: &ColumnProfile,
    decision: &Decision,
    is_known_mixed: bool,
) -> Vec<Warning> {
    let mut notices = Vec::new();
    let n_rows = column.values.len() as f64;
    let name = &column.name;
    match column.kind {
        ColumnKind::Empty => {
            notices.push(warning("empty-column", name, "the column has no value; it is not used".to_owned()));
        }
        ColumnKind::Constant => notices.push(warning(
            "constant-column",
            name,
            format!("{}; the column is not used", profile.reason),
        )),
        ColumnKind::Identifier => notices.push(warning(
            "identifier-column",
            name,
            format!("{}; it names rows and is not used unless named in features", profile.reason),
        )),
        ColumnKind::Category | ColumnKind::Text if !is_known_mixed => {
            notices.extend(nearly_numbers(column, decision));
        }
        _ => {}
    }
    if column.kind != ColumnKind::Empty && profile.missing as f64 > NEARLY_EMPTY * n_rows {
        notices.push(warning(
            "nearly-empty-column",
            name,
            format!("{} of {} rows have no value", profile.missing, n_rows),
        ));
    }
    notices
}

/// A column of text most of whose cells are numbers was probably meant to be one of numbers.
fn nearly_numbers(column: &Column, decision: &Decision) -> Option<Warning> {
    let texts: Vec<&str> = match &column.values {
        Values::Category { levels, .. } => levels.iter().map(String::as_str).collect(),
        Values::Text(texts) => texts.iter().take(10_000).flatten().map(String::as_str).collect(),
        _ => return None,
    };
    if texts.len() < 3 {
        return None;
    }
    let is_number =
        |text: &&str| number::parse(text, decision.file).is_some() && !schema::is_code(text.as_bytes());
    if texts.iter().filter(|text| is_number(text)).count() * 2 > texts.len() {
        let Some(odd) = texts.iter().find(|text| !is_number(text)) else {
            return Some(warning(
                "codes-kept-as-text",
                &column.name,
                format!(
                    "the cells hold whole numbers of one length that are stored as text, as codes are, so the column was read as text. If they are quantities, give the type (types={{\"{}\": \"number\"}})",
                    column.name
                ),
            ));
        };
        return Some(warning(
            MOSTLY_NUMBERS,
            &column.name,
            format!(
                "most cells are numbers, but not all, such as '{}'; the column was read as text. Correct them, list them in missing=, or give the type (types={{\"{}\": \"number\"}}), which makes such cells missing",
                super::error::shorten(odd),
                column.name
            ),
        ));
    }
    let dressed = texts.iter().filter(|text| is_dressed_number(text)).count();
    (dressed * 10 > texts.len() * 9).then(|| warning("numbers-with-units", &column.name, format!(
        "the cells are numbers with something around them, such as '{}'; they were read as text. Write the numbers alone and the unit in the header",
        super::error::shorten(texts[0])
    )))
}

/// `R$ 1.000,50`, `5,5%`, `12 kg`: a number with a few other characters before or after.
fn is_dressed_number(text: &str) -> bool {
    let is_part = |c: char| c.is_ascii_digit() || matches!(c, '-' | '+');
    let bare = text.trim_matches(|c: char| !is_part(c));
    let n_other = text.chars().count() - bare.chars().count();
    (1..=6).contains(&n_other)
        && !bare.is_empty()
        && super::number_format::shape(bare).is_some()
        && !text.contains('_')
        && !text.starts_with(|c: char| c.is_alphabetic() && !matches!(c, 'R' | 'U'))
}
