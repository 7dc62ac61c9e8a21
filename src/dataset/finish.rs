//! From filled columns to a table: kinds, reasons and what is to be noticed.

use super::{
    columns::Building,
    date,
    description::{ColumnProfile, Warning},
    error::{Problem, ReadError},
    header::Layout,
    names, number,
    number_format::Decision,
    profile, relations,
    row::OwnedCell,
    schema::{self, Forced, Plan},
    sentinel,
    table::{Column, ColumnKind, MISSING_CODE, Table, Values},
    unit,
};
use std::collections::BTreeSet;

/// The warning of [`no_longer`].
const MIXED: &str = "mixed-column";
/// Above this share of missing values a column is worth a warning.
const NEARLY_EMPTY: f64 = 0.95;

/// A column whose values are known, and what was noticed on the way to them.
struct Finished {
    i: usize,
    plan: Plan,
    /// The sign beside its numbers.
    own_unit: Option<String>,
    n_non_finite: u64,
    n_misfits: u64,
    misfits: Vec<(u64, OwnedCell)>,
    is_unnamed: bool,
    column: Column,
    reason: String,
}

/// The texts that were taken for missing, over all columns.
pub(super) fn missing_tokens(buildings: &[Building]) -> Vec<String> {
    let tokens: BTreeSet<String> =
        buildings.iter().flat_map(|building| building.tokens.iter().cloned()).collect();
    tokens.into_iter().collect()
}

/// Makes sentinels missing; returns them as texts, and what to tell of them.
pub(super) fn remove_sentinels(names: &[String], buildings: &mut [Building]) -> (Vec<String>, Vec<Warning>) {
    let numbers: Vec<Option<&[f64]>> = buildings.iter().map(Building::numbers).collect();
    let mut tokens = BTreeSet::new();
    let mut warnings = Vec::new();
    for (i, sentinel) in sentinel::find(&numbers).into_iter().enumerate() {
        let Some(sentinel) = sentinel else { continue };
        let n = buildings[i].make_missing(sentinel);
        tokens.insert(sentinel.to_string());
        warnings.push(warning(
            "sentinel-missing",
            &names[i],
            format!("{n} cell(s) hold {sentinel}, which is repeated and lies far outside the other values, so they count as missing. Upload the file again with missing= listing only what is missing to keep them"),
        ));
    }
    (tokens.into_iter().collect(), warnings)
}

/// Makes numbers of columns in which one text among the numbers says that there is none; tells of it.
pub(super) fn remove_lone_texts(
    names: &[String],
    buildings: &mut [Building],
    forced: &[Option<Forced>],
    decision: &Decision,
    warnings: &mut Vec<Warning>,
) {
    let columns = names.iter().zip(buildings).zip(forced).filter(|(_, forced)| forced.is_none());
    for ((name, building), _) in columns {
        let Some((text, n)) = building.without_lone_text(decision.file) else { continue };
        warnings.retain(|warning| warning.code != MIXED || warning.column.as_ref() != Some(name));
        warnings.push(warning(
            "text-as-missing",
            name,
            format!(
                "{n} cell(s) hold '{}' and all others are numbers, so these cells count as missing. To keep the column as text, give the type (types={{\"{name}\": \"text\"}})",
                super::error::shorten(&text)
            ),
        ));
    }
}

/// The finished columns with their profiles; unnamed empty ones and ignored ones are left out.
pub(super) fn table(
    names: &[String],
    layout: &Layout,
    buildings: Vec<Building>,
    forced: &[Option<Forced>],
    decision: &Decision,
    warnings: &mut Vec<Warning>,
) -> Result<(Table, Vec<ColumnProfile>), ReadError> {
    let mut table = Table::default();
    let mut profiles = Vec::new();
    let mut n_dropped = 0;
    let mut finished = Vec::new();
    for (i, building) in buildings.into_iter().enumerate() {
        if building.plan == Plan::Ignore {
            continue;
        }
        let plan = building.plan.clone();
        let affix = building.affix.filter(|_| matches!(plan, Plan::Number(_)));
        let (n_non_finite, n_misfits) = (building.n_non_finite, building.n_misfits);
        let misfits = building.misfits.clone();
        let (kind, values, reason) = classify(&names[i], building, forced[i]);
        let is_unnamed =
            layout.header_line.is_some() && layout.names.get(i).is_none_or(|name| name.trim().is_empty());
        if is_unnamed && kind == ColumnKind::Empty {
            n_dropped += 1;
            continue;
        }
        let own_unit = affix.map(|affix| affix.unit().to_owned());
        let unit = layout.units.get(i).cloned().flatten().or(own_unit.clone());
        let named = unit::in_name(&names[i]).filter(|_| kind == ColumnKind::Number);
        let unit = unit.or_else(|| named.map(str::to_owned));
        let column = Column { name: names[i].clone(), kind, unit, values };
        finished.push(Finished {
            i,
            plan,
            own_unit,
            n_non_finite,
            n_misfits,
            misfits,
            is_unnamed,
            column,
            reason,
        });
    }
    let columns: Vec<&Column> = finished.iter().map(|finished| &finished.column).collect();
    let found = profile::of_all(&columns);
    for (finished, mut profile) in finished.into_iter().zip(found) {
        let Finished { i, plan, own_unit, n_non_finite, n_misfits, misfits, is_unnamed, column, reason } =
            finished;
        let name = &names[i];
        profile.reason = reason;
        if is_unnamed {
            warnings.push(names::unnamed(name, i + 1));
        }
        if n_misfits > 0 {
            warnings.push(made_missing(name, n_misfits, &misfits));
        }
        if n_non_finite > 0 {
            warnings.push(warning(
                "non-finite-values",
                name,
                format!(
                    "{n_non_finite} value(s) are infinite or too large for a number; they count as missing"
                ),
            ));
        }
        warnings.extend(
            decision
                .doubts
                .iter()
                .filter(|(column, _)| *column == i)
                .map(|(_, doubt)| warning("number-format-assumed", name, doubt.clone())),
        );
        if let Some(unit) = &own_unit {
            warnings.push(warning(
                "sign-as-unit",
                name,
                format!("every number has {unit} beside it; the number was read as it is written and {unit} became the unit of the column"),
            ));
        }
        match plan {
            Plan::Number(format) => profile.number_format = Some(format.unwrap_or(decision.file)),
            Plan::Date(format) => {
                warnings.extend(day_or_month(&column, &format));
                profile.date_format = Some(format);
            }
            _ => {}
        }
        let is_known_mixed = warnings.iter().any(|w| w.code == MIXED && w.column.as_ref() == Some(name));
        warnings.extend(notices(&column, &profile, decision, is_known_mixed));
        table.columns.push(column);
        profiles.push(profile);
    }
    if n_dropped > 0 {
        warnings.push(Warning {
            code: "empty-column-dropped".to_owned(),
            column: None,
            message: format!("{n_dropped} column(s) without a name and without a value were left out, as separators at the end of the lines make them"),
        });
    }
    if table.columns.is_empty() {
        return Err(ReadError::EmptyFile(Problem::new("no column of the file holds a value")));
    }
    let distinct: Vec<u64> = profiles.iter().map(|profile| profile.distinct).collect();
    warnings.extend(relations::notices(&table, &distinct));
    if layout.is_assumed {
        warnings.push(Warning {
            code: "header-assumed".to_owned(),
            column: None,
            message: "nothing tells the first row from the others, so it was taken for the header; if it is data, upload the file again with header_row=0".to_owned(),
        });
    }
    Ok((table, profiles))
}

fn warning(code: &str, column: &str, message: String) -> Warning {
    Warning { code: code.to_owned(), column: Some(column.to_owned()), message }
}

fn classify(name: &str, building: Building, forced: Option<Forced>) -> (ColumnKind, Values, String) {
    let plan = building.plan.clone();
    let values = building.into_values();
    let n_rows = values.len();
    let given = "given with the upload".to_owned();
    match values {
        Values::Number(numbers) => {
            let mut present = numbers.iter().copied().filter(|number| !number.is_nan());
            let first = present.next();
            let is_same = first.is_some_and(|first| present.all(|number| number == first));
            let n = numbers.iter().filter(|number| !number.is_nan()).count();
            let kind = match first {
                None => (ColumnKind::Empty, "no row has a value".to_owned()),
                Some(first) if n > 1 && is_same => {
                    (ColumnKind::Constant, format!("all {n} values are {first}"))
                }
                Some(_) if forced.is_some() => (ColumnKind::Number, given),
                Some(_) if schema::is_identifier(name, &numbers) => (
                    ColumnKind::Identifier,
                    "whole numbers, all different, under a name for row numbers".to_owned(),
                ),
                Some(_) => (ColumnKind::Number, format!("all {n} values are numbers")),
            };
            (kind.0, Values::Number(numbers), kind.1)
        }
        Values::Date(dates) => {
            let mut present = dates.iter().filter(|date| **date != super::table::MISSING_DATE);
            let shown = match plan {
                Plan::Date(format) => format!("all values are dates or times written {format}"),
                _ => "all values are dates in the workbook".to_owned(),
            };
            let kind = match present.next() {
                None => {
                    return (
                        ColumnKind::Empty,
                        Values::Number(vec![f64::NAN; n_rows]),
                        "no row has a value".to_owned(),
                    );
                }
                Some(first) if present.clone().next().is_some() && present.all(|date| date == first) => {
                    ColumnKind::Constant
                }
                Some(_) => ColumnKind::Date,
            };
            let reason = if kind == ColumnKind::Constant {
                "all values are the same date".to_owned()
            } else if forced.is_some() {
                given
            } else {
                shown
            };
            (kind, Values::Date(dates), reason)
        }
        Values::Boolean(booleans) => {
            let n_true = booleans.iter().filter(|value| **value == Some(true)).count();
            let n_false = booleans.iter().filter(|value| **value == Some(false)).count();
            let (kind, reason) = match (n_true, n_false) {
                (0, 0) => {
                    return (
                        ColumnKind::Empty,
                        Values::Number(vec![f64::NAN; n_rows]),
                        "no row has a value".to_owned(),
                    );
                }
                (0, 2..) | (2.., 0) => (ColumnKind::Constant, "all values are the same".to_owned()),
                _ if forced.is_some() => (ColumnKind::Boolean, given),
                _ => (ColumnKind::Boolean, "all values are true or false".to_owned()),
            };
            (kind, Values::Boolean(booleans), reason)
        }
        Values::Category { codes, levels } => {
            let n_present = codes.iter().filter(|code| **code != MISSING_CODE).count() as u64;
            if n_present == 0 {
                return (
                    ColumnKind::Empty,
                    Values::Number(vec![f64::NAN; n_rows]),
                    "no row has a value".to_owned(),
                );
            }
            if levels.len() == 1 && n_present > 1 {
                let reason = format!("all {n_present} values are '{}'", super::error::shorten(&levels[0]));
                return (ColumnKind::Constant, Values::Category { codes, levels }, reason);
            }
            let (kind, reason) = schema::text_kind(&levels, n_present, forced);
            let values = if kind == ColumnKind::Category {
                Values::Category { codes, levels }
            } else {
                texts(&codes, &levels)
            };
            (kind, values, reason)
        }
        Values::Text(texts) => (ColumnKind::Text, Values::Text(texts), given),
    }
}

fn texts(codes: &[u32], levels: &[String]) -> Values {
    Values::Text(codes.iter().map(|code| levels.get(*code as usize).cloned()).collect())
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

fn made_missing(name: &str, n_misfits: u64, misfits: &[(u64, OwnedCell)]) -> Warning {
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

/// `05/01/2024` is two dates; if nothing in the column tells which, that is said.
fn day_or_month(column: &Column, format: &str) -> Option<Warning> {
    let other = date::exchanged(format)?;
    let Values::Date(dates) = &column.values else { return None };
    let present = dates.iter().filter(|date| **date != super::table::MISSING_DATE);
    let is_open = present.clone().next().is_some() && present.clone().all(|ms| date::day_of_month(*ms) <= 12);
    is_open.then(|| {
        warning(
            "day-or-month",
            &column.name,
            format!(
                "no day is above 12, so the dates may be {format} or {other}; they were read as {format}"
            ),
        )
    })
}

/// What a column shows that a user should know before training on it.
fn notices(
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
            format!("{}; it names rows and is not used unless asked for (include)", profile.reason),
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
            "mostly-numbers",
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
