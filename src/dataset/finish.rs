//! From filled columns to a table: kinds, reasons and what is to be noticed.

use super::{
    classify::classify,
    columns::Building,
    date,
    date_order::{self, Order},
    description::{ColumnProfile, Warning},
    error::{Problem, ReadError},
    header::Layout,
    names,
    notices::{self, MIXED, warning},
    number_format::Decision,
    profile, relations,
    row::{OwnedCell, SampleRow},
    schema::{Forced, Plan},
    sentinel,
    table::{Column, ColumnKind, Table, Values},
    unit,
};
use std::collections::BTreeSet;

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
    /// Whether day and month may be exchanged.
    is_open: bool,
    column: Column,
    reason: String,
}

/// The texts that were taken for missing, over all columns.
pub(super) fn missing_tokens(buildings: &[Building]) -> Vec<String> {
    let tokens: BTreeSet<String> =
        buildings.iter().flat_map(|building| building.tokens.iter().cloned()).collect();
    tokens.into_iter().collect()
}

/// Makes sentinels missing, first those that the file names; returns them as texts, and what to tell
/// of them.
pub(super) fn remove_sentinels<'a>(
    names: &[String],
    buildings: &mut [Building],
    above: impl Iterator<Item = &'a SampleRow>,
) -> (Vec<String>, Vec<Warning>) {
    let mut tokens = BTreeSet::new();
    let mut warnings = Vec::new();
    for (line, mark) in sentinel::named(above) {
        for (building, name) in buildings.iter_mut().zip(names) {
            if !building.numbers().is_some_and(|numbers| numbers.contains(&mark)) {
                continue;
            }
            let n = building.make_missing(mark);
            tokens.insert(mark.to_string());
            warnings.push(warning(
                "sentinel-missing",
                name,
                format!("{n} cell(s) hold {mark}, which line {line} names as the mark of a missing value, so they count as missing. Upload the file again with missing= listing only what is missing to keep them"),
            ));
        }
    }
    let numbers: Vec<Option<&[f64]>> = buildings.iter().map(Building::numbers).collect();
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
        let mut plan = building.plan.clone();
        let affix = building.affix.filter(|_| matches!(plan, Plan::Number(_)) && !building.is_fraction());
        let (n_non_finite, n_misfits) = (building.n_non_finite, building.n_misfits);
        let misfits = building.misfits.clone();
        if building.n_marked > 0 {
            warnings.push(notices::marks_left_out(&names[i], building.n_marked, building.marked.as_deref()));
        }
        let (kind, mut values, mut reason) = classify(&names[i], building, forced[i]);
        let is_open = match (&mut plan, &mut values) {
            (Plan::Date(format), Values::Date(dates)) if may_be_exchanged(dates, format) => {
                !settle_day_and_month(dates, format, &mut reason)
            }
            _ => false,
        };
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
            is_open,
            column,
            reason,
        });
    }
    let columns: Vec<&Column> = finished.iter().map(|finished| &finished.column).collect();
    let found = profile::of_all(&columns);
    for (finished, mut profile) in finished.into_iter().zip(found) {
        let Finished {
            i,
            plan,
            own_unit,
            n_non_finite,
            n_misfits,
            misfits,
            is_unnamed,
            is_open,
            column,
            reason,
        } = finished;
        let name = &names[i];
        profile.reason = reason;
        if is_unnamed {
            warnings.push(names::unnamed(name, i + 1));
        }
        if n_misfits > 0 {
            warnings.push(notices::made_missing(name, n_misfits, &misfits));
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
                warnings.extend(is_open.then(|| notices::day_or_month(name, &format)).flatten());
                profile.date_format = Some(format);
            }
            _ => {}
        }
        let is_known_mixed = warnings.iter().any(|w| w.code == MIXED && w.column.as_ref() == Some(name));
        warnings.extend(notices::notices(&column, &profile, decision, is_known_mixed));
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
    warnings.extend(notices::lies_on_its_side(&table, &profiles, warnings));
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

/// `05/01/2024` is two dates, unless a day of the column is above 12.
fn may_be_exchanged(dates: &[i64], format: &str) -> bool {
    let mut present = dates.iter().filter(|date| **date != super::table::MISSING_DATE).peekable();
    date::exchanged(format).is_some()
        && present.peek().is_some()
        && present.all(|ms| date::day_of_month(*ms) <= 12)
}

/// Tells day from month by the steps between the dates, where these do.
fn settle_day_and_month(dates: &mut [i64], format: &mut String, reason: &mut String) -> bool {
    let order = date_order::find(dates);
    if order == Order::Open {
        return false;
    }
    if order == Order::Exchanged
        && let Some(other) = date::exchanged(format)
    {
        for ms in dates.iter_mut().filter(|ms| **ms != super::table::MISSING_DATE) {
            *ms = date::with_day_and_month_exchanged(*ms).unwrap_or(*ms);
        }
        *format = other;
    }
    *reason = format!(
        "all values are dates or times written {format}; the other way round their steps would be uneven"
    );
    true
}
