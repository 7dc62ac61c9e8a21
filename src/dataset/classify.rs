//! The kind of a finished column, from all its values, and why.

use super::{
    columns::Building,
    schema::{self, Forced, Plan},
    table::{ColumnKind, MISSING_CODE, Values},
};

pub(super) fn classify(
    name: &str,
    building: Building,
    forced: Option<Forced>,
) -> (ColumnKind, Values, String) {
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
            if levels.len() == 1 && n_present > 1 && forced != Some(Forced::Text) {
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
