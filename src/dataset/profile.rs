//! Per-column statistics.

use super::{
    date,
    description::{ColumnProfile, Histogram, Outliers},
    sorting,
    table::{Column, MISSING_CODE, MISSING_DATE, Values},
};
use std::{collections::HashSet, thread};

const QUANTILES: [f64; 5] = [0.05, 0.25, 0.5, 0.75, 0.95];
const BINS: usize = 20;
const TOP_LEVELS: usize = 20;

/// Columns of fewer rows in all are not worth a thread.
const MIN_ROWS_FOR_THREADS: usize = 100_000;

/// The profiles of the columns, whose reasons are not known here.
pub(super) fn of_all(columns: &[&Column]) -> Vec<ColumnProfile> {
    let n_rows = columns.iter().map(|column| column.values.len()).sum::<usize>();
    let n_threads = thread::available_parallelism().map_or(1, usize::from);
    let n_each = columns.len().div_ceil(n_threads).max(1);
    if n_rows < MIN_ROWS_FOR_THREADS || n_threads == 1 {
        return columns.iter().map(|column| of(column)).collect();
    }
    let all = |columns: &[&Column]| columns.iter().map(|column| of(column)).collect::<Vec<_>>();
    thread::scope(|scope| {
        let mut shares = columns.chunks(n_each);
        let own = shares.next().unwrap_or_default();
        // What cannot have a thread is done here.
        let started: Vec<_> = shares
            .map(|share| (share, thread::Builder::new().spawn_scoped(scope, move || all(share))))
            .collect();
        let mut profiles = all(own);
        for (share, thread) in started {
            profiles.extend(match thread {
                Ok(thread) => thread.join().unwrap_or_else(|panic| std::panic::resume_unwind(panic)),
                Err(_) => all(share),
            });
        }
        profiles
    })
}

fn of(column: &Column) -> ColumnProfile {
    let mut profile = ColumnProfile {
        name: column.name.clone(),
        kind: column.kind,
        unit: column.unit.clone(),
        missing: 0,
        distinct: 0,
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
        reason: String::new(),
    };
    match &column.values {
        Values::Number(values) => numbers(values, &mut profile),
        Values::Category { codes, levels } => categories(codes, levels, &mut profile),
        Values::Date(dates) => {
            let mut present: Vec<i64> = dates.iter().copied().filter(|date| *date != MISSING_DATE).collect();
            profile.missing = (dates.len() - present.len()) as u64;
            present.sort_unstable();
            present.dedup();
            profile.distinct = present.len() as u64;
            if let (Some(first), Some(last)) = (present.first(), present.last()) {
                profile.date_range = Some((date::to_rfc3339(*first), date::to_rfc3339(*last)));
            }
        }
        Values::Boolean(values) => {
            let count = |wanted| values.iter().filter(|value| **value == wanted).count() as u64;
            profile.missing = count(None);
            let mut levels =
                vec![("true".to_owned(), count(Some(true))), ("false".to_owned(), count(Some(false)))];
            levels.retain(|(_, n)| *n > 0);
            levels.sort_by_key(|(_, n)| std::cmp::Reverse(*n));
            profile.distinct = levels.len() as u64;
            profile.levels = Some(levels);
        }
        Values::Text(texts) => {
            let present: HashSet<&str> = texts.iter().flatten().map(String::as_str).collect();
            profile.missing = texts.iter().filter(|text| text.is_none()).count() as u64;
            profile.distinct = present.len() as u64;
        }
    }
    profile
}

fn numbers(values: &[f64], profile: &mut ColumnProfile) {
    let mut sorted: Vec<f64> = values.iter().copied().filter(|value| value.is_finite()).collect();
    profile.missing = (values.len() - sorted.len()) as u64;
    sorting::sort(&mut sorted);
    let (Some(&min), Some(&max)) = (sorted.first(), sorted.last()) else { return };
    profile.distinct = 1 + sorted.windows(2).filter(|pair| pair[0] != pair[1]).count() as u64;
    (profile.min, profile.max) = (Some(min), Some(max));
    // Shifted by a value of the column: the plain sums of squares cancel where the spread is small
    // beside the mean.
    let (shift, n) = (sorted[sorted.len() / 2], sorted.len() as f64);
    let mean_shift = sorted.iter().map(|value| (value - shift) / n).sum::<f64>();
    let mean = shift + mean_shift;
    profile.mean = Some(mean).filter(|mean| mean.is_finite());
    if sorted.len() > 1 {
        let squares = sorted.iter().map(|value| (value - shift - mean_shift).powi(2)).sum::<f64>();
        profile.std = Some((squares / (n - 1.0)).sqrt()).filter(|std| std.is_finite());
    }
    profile.quantiles = Some(QUANTILES.iter().map(|q| quantile(&sorted, *q)).collect());
    profile.histogram = histogram(&sorted, min, max);
    profile.outliers = outliers(&sorted);
}

/// Linear between the two nearest values, as numpy and spreadsheets do.
fn quantile(sorted: &[f64], q: f64) -> f64 {
    let at = q * (sorted.len() - 1) as f64;
    let (low, high) = (sorted[at.floor() as usize], sorted[at.ceil() as usize]);
    let part = at.fract();
    low * (1.0 - part) + high * part
}

fn outliers(sorted: &[f64]) -> Option<Outliers> {
    let quartiles = (quantile(sorted, 0.25), quantile(sorted, 0.75));
    let reach = 1.5 * (quartiles.1 - quartiles.0);
    let (low, high) = (quartiles.0 - reach, quartiles.1 + reach);
    if reach <= 0.0 || !low.is_finite() || !high.is_finite() {
        return None;
    }
    let n_below = sorted.partition_point(|value| *value < low);
    let n_above = sorted.len() - sorted.partition_point(|value| *value <= high);
    Some(Outliers { low, high, n_below: n_below as u64, n_above: n_above as u64 })
}

fn histogram(sorted: &[f64], min: f64, max: f64) -> Option<Histogram> {
    let n_bins = if min == max { 1 } else { BINS };
    let width = (max - min) / n_bins as f64;
    if !width.is_finite() {
        return None;
    }
    let mut edges: Vec<f64> = (0..n_bins).map(|i| min + width * i as f64).collect();
    edges.push(max);
    let mut counts = vec![0; n_bins];
    let mut start = 0;
    for (i, count) in counts.iter_mut().enumerate() {
        let is_last = i + 1 == n_bins;
        let end = if is_last { sorted.len() } else { sorted.partition_point(|value| *value < edges[i + 1]) };
        *count = (end.max(start) - start) as u64;
        start = end.max(start);
    }
    Some(Histogram { edges, counts })
}

fn categories(codes: &[u32], levels: &[String], profile: &mut ColumnProfile) {
    let mut counts = vec![0u64; levels.len()];
    for code in codes {
        match counts.get_mut(*code as usize) {
            Some(count) if *code != MISSING_CODE => *count += 1,
            _ => profile.missing += 1,
        }
    }
    profile.distinct = counts.iter().filter(|count| **count > 0).count() as u64;
    let mut named: Vec<(String, u64)> = levels.iter().cloned().zip(counts).collect();
    named.sort_by_key(|(_, n)| std::cmp::Reverse(*n));
    named.truncate(TOP_LEVELS);
    profile.levels = Some(named);
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::dataset::ColumnKind;

    fn profile(values: Values) -> ColumnProfile {
        let column = Column { name: "x".to_owned(), kind: ColumnKind::Number, unit: None, values };
        of(&column)
    }

    #[test]
    fn statistics_of_numbers() {
        let found = profile(Values::Number(vec![1.0, 2.0, f64::NAN, 3.0, 4.0, 4.0]));
        assert_eq!((found.missing, found.distinct), (1, 4));
        assert_eq!((found.min, found.max, found.mean), (Some(1.0), Some(4.0), Some(2.8)));
        // numpy.std([1, 2, 3, 4, 4], ddof=1) and numpy.quantile.
        assert!((found.std.unwrap() - 1.303_840_481_040_529_7).abs() < 1e-12);
        let quantiles = found.quantiles.unwrap();
        for (value, expected) in quantiles.iter().zip([1.2, 2.0, 3.0, 4.0, 4.0]) {
            assert!((value - expected).abs() < 1e-12, "{quantiles:?}");
        }
        let histogram = found.histogram.unwrap();
        assert_eq!((histogram.edges.len(), histogram.counts.len()), (21, 20));
        assert_eq!(histogram.counts.iter().sum::<u64>(), 5);
        assert_eq!(histogram.counts[19], 2, "the last bin includes its upper edge");
    }

    #[test]
    fn huge_and_close_numbers() {
        let huge = profile(Values::Number(vec![-1.7e308, 1.7e308]));
        assert_eq!(huge.histogram, None, "the range itself is infinite");
        assert_eq!((huge.std, huge.min), (None, Some(-1.7e308)));
        let close = profile(Values::Number((0..1000).map(|i| 1e9 + f64::from(i % 2)).collect()));
        assert!((close.std.unwrap() - 0.500_250).abs() < 1e-5, "{close:?}");
        let one = profile(Values::Number(vec![7.0]));
        assert_eq!((one.std, one.histogram.unwrap().counts), (None, vec![1]));
        assert_eq!(profile(Values::Number(vec![f64::NAN])).quantiles, None);
    }

    #[test]
    fn values_far_from_the_others() {
        let mut values: Vec<f64> = (0..=100).map(f64::from).collect();
        values.extend([1000.0, 2000.0, -500.0]);
        let found = profile(Values::Number(values)).outliers.unwrap();
        assert_eq!((found.n_below, found.n_above), (1, 2));
        assert!(found.low < 0.0 && found.high > 100.0, "{found:?}");
        let even = profile(Values::Number((0..10).map(f64::from).collect())).outliers.unwrap();
        assert_eq!((even.low, even.high, even.n_below + even.n_above), (2.25 - 6.75, 6.75 + 6.75, 0));
        assert_eq!(
            profile(Values::Number(vec![1.0, 1.0, 1.0, 1.0, 5.0])).outliers,
            None,
            "no box to measure by"
        );
    }

    #[test]
    fn counts_of_levels() {
        let levels: Vec<String> = (0..30).map(|i| format!("l{i}")).collect();
        let found = profile(Values::Category { codes: vec![3, 3, 5, MISSING_CODE], levels });
        assert_eq!((found.missing, found.distinct), (1, 2));
        let top = found.levels.unwrap();
        assert_eq!(top[..2], [("l3".to_owned(), 2), ("l5".to_owned(), 1)]);
        assert_eq!(top.len(), 20);
        let dates = profile(Values::Date(vec![86_400_000, MISSING_DATE, 0]));
        assert_eq!(
            dates.date_range,
            Some(("1970-01-01T00:00:00Z".to_owned(), "1970-01-02T00:00:00Z".to_owned()))
        );
    }
}
