//! Small tables for the tests of this module.

use crate::dataset::{
    Column, ColumnKind, ColumnProfile, Description, MISSING_CODE, ReadReport, Table, Values,
};

pub(crate) fn number(name: &str, values: Vec<f64>) -> Column {
    Column { name: name.to_owned(), kind: ColumnKind::Number, unit: None, values: Values::Number(values) }
}

pub(crate) fn category(name: &str, values: &[Option<&str>]) -> Column {
    let mut levels: Vec<String> = Vec::new();
    let codes = values
        .iter()
        .map(|value| {
            let Some(text) = value else { return MISSING_CODE };
            let index = levels.iter().position(|level| level == text).unwrap_or_else(|| {
                levels.push((*text).to_owned());
                levels.len() - 1
            });
            index as u32
        })
        .collect();
    let values = Values::Category { codes, levels };
    Column { name: name.to_owned(), kind: ColumnKind::Category, unit: None, values }
}

pub(crate) fn describe(table: &Table) -> Description {
    let columns = table.columns.iter().map(|column| {
        let mut seen: Vec<String> = match &column.values {
            Values::Number(v) => v.iter().filter(|x| x.is_finite()).map(ToString::to_string).collect(),
            Values::Category { codes, levels } => {
                codes.iter().filter_map(|code| levels.get(*code as usize).cloned()).collect()
            }
            Values::Date(v) => v.iter().filter(|x| **x != i64::MIN).map(ToString::to_string).collect(),
            Values::Boolean(v) => v.iter().flatten().map(ToString::to_string).collect(),
            Values::Text(v) => v.iter().flatten().cloned().collect(),
        };
        let missing = (column.values.len() - seen.len()) as u64;
        seen.sort_unstable();
        seen.dedup();
        ColumnProfile {
            name: column.name.clone(),
            kind: column.kind,
            unit: column.unit.clone(),
            missing,
            distinct: seen.len() as u64,
            min: None,
            max: None,
            mean: None,
            std: None,
            quantiles: None,
            histogram: None,
            outliers: None,
            levels: None,
            date_range: None,
            number_format: None,
            date_format: None,
            reason: "made for a test".to_owned(),
        }
    });
    Description {
        rows: table.n_rows() as u64,
        read: ReadReport {
            format: "csv".to_owned(),
            encoding: None,
            delimiter: Some(','),
            decimal: '.',
            thousands: None,
            header_row: Some(1),
            units_row: None,
            sheet: None,
            sheets: Vec::new(),
            missing: Vec::new(),
            reasons: std::collections::BTreeMap::new(),
        },
        columns: columns.collect(),
        preview: Vec::new(),
        warnings: Vec::new(),
    }
}

/// 300 rows of `y = sin(3 a) + b / 2 (+ 1 where c = "on")`, `z = 100 a`, with gaps in `b`.
pub(crate) fn waves() -> Table {
    let n = 300;
    let a: Vec<f64> = (0..n).map(|i| f64::from(i * 37 % n) / f64::from(n) * 2.0 - 1.0).collect();
    let b: Vec<f64> =
        (0..n).map(|i| if i % 17 == 0 { f64::NAN } else { f64::from(i * 53 % 100) / 50.0 }).collect();
    let c: Vec<Option<&str>> = (0..n).map(|i| Some(["on", "off", "idle"][i as usize % 3])).collect();
    let y = (0..n as usize).map(|i| {
        let b = if b[i].is_finite() { b[i] } else { 1.0 };
        (3.0 * a[i]).sin() + b / 2.0 + if c[i] == Some("on") { 1.0 } else { 0.0 }
    });
    let label: Vec<Option<&str>> = a
        .iter()
        .map(|a| {
            Some(if *a < -0.3 {
                "low"
            } else if *a < 0.4 {
                "mid"
            } else {
                "high"
            })
        })
        .collect();
    let (y, z) = (y.collect(), a.iter().map(|a| 100.0 * a).collect());
    Table {
        columns: vec![
            number("a", a),
            number("b", b),
            category("c", &c),
            category("label", &label),
            number("z", z),
            number("y", y),
        ],
    }
}
