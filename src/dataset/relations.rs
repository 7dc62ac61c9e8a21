//! How the columns and rows of a table relate to each other: copies, order, repeated cases.

use super::{
    description::Warning,
    sorting,
    table::{Column, ColumnKind, MISSING_CODE, MISSING_DATE, Table, Values},
};
use std::{
    collections::{HashMap, HashSet},
    hash::{BuildHasher, BuildHasherDefault, DefaultHasher},
};

/// Cases that are repeated: at least so many, each in so many rows on average, with so many columns
/// that never change within one.
const MIN_CASES: usize = 5;
const MIN_REPEATS: usize = 3;
const MIN_FIXED_COLUMNS: usize = 2;
/// Larger tables are not searched for repeated cases when they are read; a training looks again.
const MAX_CASE_ROWS: usize = 50_000;
const MAX_CASE_COLUMNS: usize = 60;
/// Fewer different values are in order by chance, or on purpose.
const MIN_SORTED: u64 = 10;
/// Columns that a message names.
const MAX_NAMED: usize = 5;

/// The value of each row as a number that is equal where the values are; `None` where it is missing.
pub fn keys(values: &Values) -> Vec<Option<u64>> {
    match values {
        Values::Number(values) => {
            // Adding zero makes -0 and 0 the same.
            values.iter().map(|value| value.is_finite().then(|| (value + 0.0).to_bits())).collect()
        }
        Values::Date(values) => values.iter().map(|ms| (*ms != MISSING_DATE).then_some(*ms as u64)).collect(),
        Values::Boolean(values) => values.iter().map(|value| value.map(u64::from)).collect(),
        Values::Category { codes, .. } => {
            codes.iter().map(|code| (*code != MISSING_CODE).then_some(u64::from(*code))).collect()
        }
        Values::Text(values) => {
            let hasher = BuildHasherDefault::<DefaultHasher>::new();
            values.iter().map(|text| text.as_deref().map(|text| hasher.hash_one(text))).collect()
        }
    }
}

/// A column whose equal values look like one case measured again and again, such as one geometry at
/// many angles: other columns never change within it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RepeatedCases {
    /// The column that numbers or names the cases.
    pub column: usize,
    /// How many cases there are.
    pub n_cases: usize,
    /// The columns that never change within one.
    pub fixed: Vec<usize>,
}

/// Looks for repeated cases in `columns` of [`keys`], of which only those may be fixed that
/// `is_feature` allows. `rows` are the rows to look at.
pub fn repeated_cases(
    columns: &[Vec<Option<u64>>],
    rows: &[usize],
    is_feature: impl Fn(usize) -> bool,
) -> Option<RepeatedCases> {
    let mut best: Option<RepeatedCases> = None;
    for (column, cases) in columns.iter().enumerate() {
        let n_cases = rows.iter().filter_map(|row| cases[*row]).collect::<HashSet<u64>>().len();
        if n_cases < MIN_CASES || n_cases * MIN_REPEATS > rows.len() {
            continue;
        }
        let is_fixed = |other: &usize| {
            *other != column && is_feature(*other) && is_fixed_within(cases, &columns[*other], rows, n_cases)
        };
        let fixed: Vec<usize> = (0..columns.len()).filter(is_fixed).collect();
        let rank = (fixed.len(), n_cases);
        let is_better = best.as_ref().is_none_or(|best| rank > (best.fixed.len(), best.n_cases));
        if fixed.len() >= MIN_FIXED_COLUMNS && is_better {
            best = Some(RepeatedCases { column, n_cases, fixed });
        }
    }
    best
}

/// Whether `values` has one value for each case, and at least a third as many values as there are cases:
/// a column of two values is fixed within many things by chance.
fn is_fixed_within(cases: &[Option<u64>], values: &[Option<u64>], rows: &[usize], n_cases: usize) -> bool {
    let mut of_case: HashMap<u64, Option<u64>> = HashMap::new();
    for row in rows {
        let Some(case) = cases[*row] else { continue };
        if *of_case.entry(case).or_insert(values[*row]) != values[*row] {
            return false;
        }
    }
    of_case.values().flatten().collect::<HashSet<_>>().len() * 3 >= n_cases
}

/// What is to be noticed about the table as a whole. `distinct` holds the number of different values
/// of each column.
pub(super) fn notices(table: &Table, distinct: &[u64]) -> Vec<Warning> {
    let mut digests = Vec::with_capacity(table.columns.len());
    let mut rows = vec![0u64; table.n_rows()];
    for column in &table.columns {
        let mut digest = 0;
        for (row, key) in rows.iter_mut().zip(keys(&column.values)) {
            let key = key.map_or(u64::MAX, |key| key.rotate_left(17));
            *row = mix(*row ^ key);
            digest = mix(digest ^ key);
        }
        digests.push(digest);
    }
    let mut notices = copied_columns(table, &digests);
    notices.extend(repeated_rows(rows));
    notices.extend(sorted(table, distinct));
    notices.extend(cases(table));
    notices
}

/// Spreads every bit over all (the finaliser of `SplitMix64`).
fn mix(key: u64) -> u64 {
    let key = (key ^ (key >> 30)).wrapping_add(0x9e37_79b9_7f4a_7c15).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    let key = (key ^ (key >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
    key ^ (key >> 31)
}

fn warning(code: &str, column: Option<&Column>, message: String) -> Warning {
    Warning { code: code.to_owned(), column: column.map(|column| column.name.clone()), message }
}

fn copied_columns(table: &Table, digests: &[u64]) -> Vec<Warning> {
    let mut first: HashMap<u64, &Column> = HashMap::new();
    let used = table.columns.iter().zip(digests).filter(|(column, _)| column.kind.is_feature());
    let copies = used.filter_map(|(column, digest)| match first.get(digest) {
        Some(original) if is_copy(&original.values, &column.values) => Some(warning(
            "copied-column",
            Some(column),
            format!(
                "the column has the same values as '{}'; name one of the two in \"exclude\" when training",
                original.name
            ),
        )),
        _ => {
            first.insert(*digest, column);
            None
        }
    });
    copies.collect()
}

/// Levels are numbered in the order in which they appear, so copies have the same codes; they are
/// one only where the words are the same too.
fn is_copy(a: &Values, b: &Values) -> bool {
    match (a, b) {
        (Values::Category { levels: a, .. }, Values::Category { levels: b, .. }) => a == b,
        (a, b) => std::mem::discriminant(a) == std::mem::discriminant(b),
    }
}

fn repeated_rows(mut rows: Vec<u64>) -> Option<Warning> {
    let n_rows = rows.len();
    sorting::sort_keys(&mut rows);
    rows.dedup();
    let n = n_rows - rows.len();
    (n > 0).then(|| {
        warning(
            "duplicate-rows",
            None,
            format!(
                "{n} of {n_rows} rows repeat an earlier one in every column. If a measurement was entered twice, remove the copies; all are kept"
            ),
        )
    })
}

/// A file in order is often one that was recorded in time.
fn sorted(table: &Table, distinct: &[u64]) -> Option<Warning> {
    let is_in_order = |column: &Column| match &column.values {
        Values::Number(values) => {
            let mut present = values.iter().filter(|value| !value.is_nan());
            present.clone().is_sorted() || present.by_ref().rev().is_sorted()
        }
        Values::Date(values) => {
            let present = values.iter().filter(|ms| **ms != MISSING_DATE);
            present.clone().is_sorted() || present.rev().is_sorted()
        }
        _ => false,
    };
    let columns = table.columns.iter().zip(distinct);
    let found: Vec<&Column> = columns
        .filter(|(column, n)| column.kind.is_feature() && **n >= MIN_SORTED && is_in_order(column))
        .map(|(column, _)| column)
        .collect();
    let first = found.iter().find(|column| column.kind == ColumnKind::Date).or_else(|| found.first())?;
    Some(warning(
        "sorted-rows",
        Some(first),
        format!(
            "the rows stand in order of '{}'. If they were recorded one after the other and future ones are to be predicted, train with \"validation\": {{\"time\": \"{}\"}}; otherwise nothing has to be done, rows are shuffled",
            first.name, first.name
        ),
    ))
}

fn cases(table: &Table) -> Option<Warning> {
    if table.n_rows() > MAX_CASE_ROWS || table.columns.len() > MAX_CASE_COLUMNS {
        return None;
    }
    let columns: Vec<_> = table.columns.iter().map(|column| keys(&column.values)).collect();
    let rows: Vec<usize> = (0..table.n_rows()).collect();
    let found = repeated_cases(&columns, &rows, |i| table.columns[i].kind.is_feature())?;
    let names: Vec<String> =
        found.fixed.iter().take(MAX_NAMED).map(|i| format!("'{}'", table.columns[*i].name)).collect();
    let column = &table.columns[found.column];
    Some(warning(
        "rows-look-grouped",
        Some(column),
        format!(
            "the rows look like {} cases of '{}' measured several times: {} never change within one. To be scored on cases that are new, train with \"validation\": {{\"group\": \"{}\"}}",
            found.n_cases,
            column.name,
            names.join(", "),
            column.name
        ),
    ))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn number(name: &str, value: impl Fn(usize) -> f64) -> Column {
        let values = Values::Number((0..120).map(value).collect());
        Column { name: name.to_owned(), kind: ColumnKind::Number, unit: None, values }
    }

    fn category(name: &str, levels: [&str; 2]) -> Column {
        let codes = (0..120).map(|i| if i % 7 == 0 { MISSING_CODE } else { i % 2 }).collect();
        let values = Values::Category { codes, levels: levels.map(str::to_owned).to_vec() };
        Column { name: name.to_owned(), kind: ColumnKind::Category, unit: None, values }
    }

    fn check(columns: Vec<Column>, expected: &[(&str, Option<&str>)]) {
        let table = Table { columns };
        let distinct: Vec<u64> = table
            .columns
            .iter()
            .map(|column| keys(&column.values).into_iter().flatten().collect::<HashSet<_>>().len() as u64)
            .collect();
        let found = notices(&table, &distinct);
        let codes: Vec<_> = found.iter().map(|w| (w.code.as_str(), w.column.as_deref())).collect();
        assert_eq!(codes, expected, "{found:?}");
    }

    fn shuffled(i: usize) -> f64 {
        (i * 49 % 120) as f64
    }

    #[test]
    fn columns_that_are_copies() {
        let gap = |i| if i % 5 == 0 { f64::NAN } else { shuffled(i) };
        check(
            vec![number("a", gap), number("b", shuffled), number("c", gap)],
            &[("copied-column", Some("c"))],
        );
        let a = || number("a", shuffled);
        check(
            vec![a(), category("x", ["on", "off"]), category("y", ["on", "off"])],
            &[("copied-column", Some("y"))],
        );
        check(vec![a(), category("x", ["on", "off"]), category("y", ["off", "on"])], &[]);
    }

    #[test]
    fn rows_that_are_copies() {
        let twice = |i: usize| shuffled(i / 2 * 2);
        let table = Table { columns: vec![number("a", twice), number("b", |i| shuffled(i / 2 * 2).cos())] };
        let found = notices(&table, &[60, 60]);
        assert_eq!(found[0].code, "duplicate-rows");
        assert!(found[0].message.starts_with("60 of 120 rows"), "{}", found[0].message);
    }

    #[test]
    fn rows_in_order() {
        let a = || number("a", shuffled);
        check(vec![a(), number("t", |i| i as f64)], &[("sorted-rows", Some("t"))]);
        check(
            vec![a(), number("t", |i| if i == 5 { f64::NAN } else { -(i as f64) })],
            &[("sorted-rows", Some("t"))],
        );
        check(vec![a(), number("block", |i| (i / 40) as f64)], &[]);
        check(vec![a(), number("t", |i| if i == 100 { 3.0 } else { i as f64 })], &[]);
    }

    #[test]
    fn cases_that_are_repeated() {
        let case = |i: usize| ((i / 10) * 5 % 12) as f64;
        check(
            vec![
                number("case", case),
                number("chord", move |i| case(i).sqrt()),
                number("thickness", move |i| case(i).sin()),
                number("angle", |i| (i % 10) as f64),
            ],
            &[("rows-look-grouped", Some("case"))],
        );
    }
}
