//! Numbers that stand for "no value": -9999, or the -200 of a gas sensor. Nothing says so but the
//! numbers themselves, so it takes evidence: the value is repeated and lies far outside the others.

use super::row::{OwnedCell, SampleRow};
use std::collections::BTreeMap;

/// So often a value must be repeated.
const MIN_REPEATS: usize = 3;
/// A column with fewer other values shows no range.
const MIN_OTHERS: usize = 20;
/// So many times the range of the others a value that is no row of nines must lie away from them.
const FAR: f64 = 3.0;

/// An extreme value of a column.
#[derive(Debug, Clone, Copy, PartialEq)]
struct Extreme {
    value: f64,
    /// The distance to the nearest other value, over the range of the others.
    distance: f64,
    others_are_positive: bool,
}

/// For each column the value that stands for a missing one, where there is evidence.
pub(super) fn find(columns: &[Option<&[f64]>]) -> Vec<Option<f64>> {
    let extremes: Vec<Vec<Extreme>> =
        columns.iter().map(|numbers| numbers.map(extremes).unwrap_or_default()).collect();
    let is_firm = |extreme: &Extreme| {
        let limit = if is_nines(extreme.value) && extreme.value < 0.0 { 1.0 } else { FAR };
        (is_nines(extreme.value) || is_round(extreme.value)) && extreme.distance > limit
    };
    let mut firm = BTreeMap::new();
    for extreme in extremes.iter().flatten().filter(|extreme| is_firm(extreme)) {
        *firm.entry(extreme.value.to_bits()).or_insert(0) += 1;
    }
    let n_firm = |value: f64| firm.get(&value.to_bits()).copied().unwrap_or(0);
    // What is the mark in some columns is it in others too, though their range be wide.
    let holds = |extreme: &&Extreme| {
        is_firm(extreme) || n_firm(extreme.value) >= 2 && extreme.value < 0.0 && extreme.others_are_positive
    };
    extremes.iter().map(|own| own.iter().find(holds).map(|extreme| extreme.value)).collect()
}

/// The smallest and the largest value, where they are repeated.
fn extremes(numbers: &[f64]) -> Vec<Extreme> {
    let present = || numbers.iter().copied().filter(|number| !number.is_nan());
    let (low, high) = present()
        .fold((f64::INFINITY, f64::NEG_INFINITY), |(low, high), number| (low.min(number), high.max(number)));
    let of = |value: f64| {
        let (mut n, mut n_others) = (0, 0);
        let (mut least, mut most) = (f64::INFINITY, f64::NEG_INFINITY);
        for number in present() {
            if number == value {
                n += 1;
            } else {
                n_others += 1;
                (least, most) = (least.min(number), most.max(number));
            }
        }
        let gap = if value < least { least - value } else { value - most };
        let is_one = n >= MIN_REPEATS && n_others >= MIN_OTHERS && most > least;
        is_one.then(|| Extreme { value, distance: gap / (most - least), others_are_positive: least >= 0.0 })
    };
    // Most columns end here: no one marks a missing value by a small number or a fraction.
    [low, high].into_iter().filter(|value| is_nines(*value) || is_round(*value)).filter_map(of).collect()
}

/// -99, 999, -9999.0, -99999: at least two nines and nothing else.
fn is_nines(value: f64) -> bool {
    let digits = value.abs();
    digits < 1e9 && [99.0, 999.0, 9999.0, 99_999.0, 999_999.0, 9_999_999.0, 99_999_999.0].contains(&digits)
}

/// -200, -1000: a negative multiple of a hundred.
fn is_round(value: f64) -> bool {
    value <= -100.0 && value > -1e9 && value % 100.0 == 0.0
}

/// The numbers that lines above a table name as marks, with their lines: `Missing values: -999`. How
/// many values are missing is rather told by a number that may be a value.
pub(super) fn named<'a>(above: impl Iterator<Item = &'a SampleRow>) -> Vec<(u64, f64)> {
    const NAMES: [&str; 5] = ["missing", "nodata", "fillvalue", "ausente", "faltante"];
    let number =
        |text: &str| text.trim().replace(',', ".").parse().ok().filter(|number| may_be_named(*number));
    let mut found = Vec::new();
    for row in above {
        let texts: Vec<String> = row
            .cells
            .iter()
            .filter(|cell| **cell != OwnedCell::Empty)
            .map(|cell| cell.borrow().to_text())
            .collect();
        for (i, text) in texts.iter().enumerate() {
            let lower = text.to_lowercase();
            let joined = lower.replace([' ', '_'], "");
            if NAMES.iter().any(|name| joined.contains(name)) {
                let within =
                    lower.split(|c: char| c.is_whitespace() || matches!(c, ':' | '=' | '(' | ')' | ';'));
                let beside = texts.get(i + 1).and_then(|text| number(text));
                found.extend(
                    within.filter_map(number).next_back().or(beside).map(|number| (row.line, number)),
                );
            }
        }
    }
    found
}

/// Nines before or after a point, or far below zero.
fn may_be_named(number: f64) -> bool {
    let digits: String = number.abs().to_string().chars().filter(char::is_ascii_digit).collect();
    number.is_finite() && (digits.len() >= 2 && digits.bytes().all(|digit| digit == b'9') || number <= -9.0)
}

/// Makes the sentinels of a column missing, and says how many there were.
pub(super) fn remove(numbers: &mut [f64], sentinel: f64) -> usize {
    let mut n = 0;
    for number in numbers.iter_mut().filter(|number| **number == sentinel) {
        *number = f64::NAN;
        n += 1;
    }
    n
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Forty numbers from 0 to `top` and then `more`.
    fn column(top: f64, more: &[f64]) -> Vec<f64> {
        let mut numbers: Vec<f64> = (0..40).map(|i| top * f64::from(i) / 39.0).collect();
        numbers.extend(more);
        numbers
    }

    fn find(columns: &[Vec<f64>]) -> Vec<Option<f64>> {
        super::find(&columns.iter().map(|numbers| Some(numbers.as_slice())).collect::<Vec<_>>())
    }

    #[test]
    fn evidence_is_needed() {
        #[rustfmt::skip]
        let cases: [(f64, &[f64], Option<f64>, &str); 7] = [
            (30.0, &[-9999.0; 3], Some(-9999.0), "far and repeated"),
            (30.0, &[-9999.0; 2], None, "not repeated enough"),
            (20_000.0, &[-9999.0; 9], None, "not far from the others"),
            (12.0, &[-200.0; 9], Some(-200.0), "a round number, very far"),
            (300.0, &[-200.0; 9], None, "a round number, not so far"),
            (41_000.0, &[99_999.0; 9], None, "the largest amount"),
            (1.0, &[-0.5; 9], None, "a small number"),
        ];
        for (top, more, expected, why) in cases {
            assert_eq!(find(&[column(top, more)]), [expected], "{why}");
        }
    }

    #[test]
    fn columns_vouch_for_each_other() {
        let far = column(12.0, &[-200.0; 5]);
        let wide = column(1400.0, &[-200.0; 5]);
        let both_signs = column(-1400.0, &[-200.0; 5]);
        assert_eq!(find(&[far.clone(), wide.clone()]), [Some(-200.0), None], "one is not enough");
        let found = find(&[far.clone(), far, wide, both_signs]);
        assert_eq!(found, [Some(-200.0), Some(-200.0), Some(-200.0), None]);
    }

    #[test]
    fn marks_that_the_file_names() {
        #[rustfmt::skip]
        let cases: &[(&str, &[(u64, f64)])] = &[
            ("Station;Porto\nMissing values;-999", &[(2, -999.0)]), ("# nodata = -99.9", &[(1, -99.9)]),
            ("dados ausentes (-9999)", &[(1, -9999.0)]), ("Missing data: 99.99 and below", &[(1, 99.99)]),
            ("Missing values: 12", &[]), ("Offset;-999", &[]), ("Missing hours;none", &[]),
        ];
        for (text, expected) in cases {
            assert_eq!(named(crate::dataset::row::rows_of(text).iter()), *expected, "{text}");
        }
    }

    #[test]
    fn removal() {
        let mut with = column(1.0, &[-99.0; 4]);
        assert_eq!(remove(&mut with, -99.0), 4);
        assert_eq!(with.iter().filter(|number| number.is_nan()).count(), 4);
    }
}
