//! Is a row like the training data, and if not, why?
//!
//! Three looks. Each input on its own: its range for numbers and dates, its known levels for
//! categories. Two and two: whether their values are seen together ([`pairs`]). And all together: how far
//! the row lies from its nearest training rows, in the encoded space ([`joint`]). For the last two, the
//! share of training rows that are at least as strange is a conformal p-value (Vovk et al. 2005), so a
//! score means the same on every dataset.

pub mod joint;
pub mod pairs;

use super::input::{Input, Value, short_number, shorten};
use joint::Joint;
use pairs::Pairs;
use serde::{Deserialize, Serialize};

/// A row is outside when fewer than this share of training rows lie as far from the others.
pub const LEAST_SHARE: f64 = 0.02;
/// How far outside its range, in widths of the range, an input may be at least: ordinary new rows do exceed the range of
/// a small training part a little, and the more so the more inputs there are.
pub const MARGIN: f64 = 0.05;
/// It is never more than this.
const MAX_MARGIN: f64 = 0.5;
/// Fewer rows say nothing about how far a new one may be off.
const LEAST_ROWS: usize = 50;

/// What the inputs looked like in training.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Domain {
    /// Per input: the range of the training rows, for numbers and dates.
    ranges: Vec<Option<(f64, f64)>>,
    /// How far outside its range, in widths of the range, an input may be.
    #[serde(default = "usual_margin", skip_serializing_if = "is_usual_margin")]
    margin: f64,
    /// What the rows looked like together; absent where there were too few.
    joint: Option<Joint>,
    /// Which values were seen together; absent where there were too few rows, and in files of older
    /// programs.
    #[serde(default)]
    pairs: Option<Pairs>,
}

/// What is said about one row.
#[derive(Debug, Clone, PartialEq)]
pub struct Verdict {
    /// Whether the row is like those of the training.
    pub in_domain: bool,
    /// The share of training rows that are at least as strange as this row, from 0 to 1; divided by
    /// `1 + d` where inputs are outside their range, `d` widths of the range together. An unseen category
    /// counts as one width.
    pub score: f64,
    /// How many times wider than inside an interval must be here: 1 inside.
    pub stretch: f64,
    /// One `(column, code, message)` for each thing that is unlike the training.
    pub reasons: Vec<(String, &'static str, String)>,
}

impl Domain {
    /// Remembers the ranges of `inputs`, and what rows of the training look like together, in random
    /// order: `values` has one per input of each row, `features`, `[n, width]`, are encoded rows, not
    /// necessarily all of those.
    pub fn fit(inputs: &[Input], values: &[Vec<Value>], features: &[f32], width: usize) -> Self {
        let ranges: Vec<_> = inputs.iter().map(|input| input.range).collect();
        let margin = margin(&ranges, values);
        Self { ranges, margin, joint: Joint::fit(features, width), pairs: Pairs::fit(inputs, values) }
    }

    /// Whether it fits `inputs`, encoded into `width` features.
    pub fn matches(&self, inputs: &[Input], width: usize) -> bool {
        self.ranges.len() == inputs.len()
            && self.joint.as_ref().is_none_or(|joint| joint.matches(width))
            && self.pairs.as_ref().is_none_or(|pairs| pairs.matches(inputs.len()))
    }

    /// Per input, in its order: the range of the training rows, for numbers and dates.
    pub fn ranges(&self) -> &[Option<(f64, f64)>] {
        &self.ranges
    }

    /// How far outside its range, in widths of the range, an input may be.
    pub fn margin(&self) -> f64 {
        self.margin
    }

    /// What the distance of a row is measured with, if it is.
    pub fn joint(&self) -> Option<&Joint> {
        self.joint.as_ref()
    }

    /// The same, to be given what the model file keeps elsewhere.
    pub fn joint_mut(&mut self) -> Option<&mut Joint> {
        self.joint.as_mut()
    }

    /// Which values were seen together, if that is known.
    pub fn pairs(&self) -> Option<&Pairs> {
        self.pairs.as_ref()
    }

    /// The same, to be given what the model file keeps elsewhere.
    pub fn pairs_mut(&mut self) -> Option<&mut Pairs> {
        self.pairs.as_mut()
    }

    /// Judges one row of values, one per input, whose encoding is `features`. `features_of_inputs` says
    /// which features belong to each input.
    pub fn judge(
        &self,
        inputs: &[Input],
        values: &[Value],
        features: &[f32],
        features_of_inputs: &[std::ops::Range<usize>],
    ) -> Verdict {
        let (mut outside, mut worst) = (0.0, 0.0_f64);
        let mut reasons = Vec::new();
        for ((input, value), range) in inputs.iter().zip(values).zip(&self.ranges) {
            let number = match value {
                Value::Number(number) => *number,
                Value::Instant(ms) => *ms as f64,
                Value::Level(None) => {
                    outside += 1.0;
                    worst = worst.max(1.0);
                    continue; // Reading the cell has already warned.
                }
                _ => continue,
            };
            let Some((low, high)) = *range else { continue };
            if number >= low && number <= high {
                continue;
            }
            let by = if number < low { low - number } else { number - high };
            let width = width_of((low, high));
            outside += by / width;
            worst = worst.max(by / width);
            reasons.push((input.name.clone(), "out-of-range", reason(input, value, number, low, high)));
        }
        // Where a single input explains it, the combination is no news.
        let (share, farther, reason) = self.combination(inputs, values, features, features_of_inputs);
        reasons.extend(reason.filter(|_| worst <= self.margin));
        let in_domain = worst <= self.margin && share >= LEAST_SHARE;
        // Nothing is known about errors out there; they grow at least as the distance does.
        let stretch = if in_domain { 1.0 } else { farther * (1.0 + outside) };
        Verdict { in_domain, score: share / (1.0 + outside), stretch, reasons }
    }

    /// How usual the values of a row are together: the share of training rows that are at least as
    /// strange, how many times wider than inside an interval must be, and what is strange if too few are.
    fn combination(
        &self,
        inputs: &[Input],
        values: &[Value],
        features: &[f32],
        features_of_inputs: &[std::ops::Range<usize>],
    ) -> (f64, f64, Option<(String, &'static str, String)>) {
        let by_distance = self.joint.as_ref().map(|joint| (joint, joint.distance(features)));
        let by_pair = self.pairs.as_ref().map(|pairs| (pairs, pairs.surprise(values)));
        let as_far = by_distance.map(|(joint, (distance, _))| joint.share_as_far(distance));
        let as_unusual = by_pair.map(|(pairs, (surprise, _))| pairs.share_as_unusual(surprise));
        let share = either(as_far, as_unusual);
        let farther = by_distance.map_or(1.0, |(joint, (distance, _))| joint.times_farther(distance));
        let stranger = by_pair.map_or(1.0, |(pairs, (surprise, _))| pairs.times_stranger(surprise));
        let reason = (share < LEAST_SHARE).then(|| match (by_distance, by_pair) {
            (_, Some((_, (_, (a, b))))) if as_unusual < as_far || as_far.is_none() => {
                let text = unusual_pair((&inputs[a], &values[a]), (&inputs[b], &values[b]), share);
                (inputs[a].name.clone(), "unusual-combination", text)
            }
            (by_distance, _) => {
                let feature = by_distance.map_or(0, |(_, (_, feature))| feature);
                let owner = features_of_inputs.iter().position(|range| range.contains(&feature));
                let column = owner.unwrap_or(0);
                let text = unusual_row((&inputs[column], &values[column]), share);
                (inputs[column].name.clone(), "unusual-combination", text)
            }
        });
        (share, farther.max(stranger), reason)
    }
}

/// The share of ordinary rows of which at least one of two shares is as small as the smaller of these, if
/// the two had nothing to do with each other (Sidak 1967); fewer where they have.
fn either(a: Option<f64>, b: Option<f64>) -> f64 {
    match (a, b) {
        (Some(a), Some(b)) => 1.0 - (1.0 - a.min(b)).powi(2),
        (a, b) => a.or(b).unwrap_or(1.0),
    }
}

/// The share of `ascending` values that are at least `value`, itself counted.
fn share_as_large(ascending: &[f32], value: f64) -> f64 {
    let smaller = ascending.partition_point(|known| f64::from(*known) < value);
    (ascending.len() - smaller + 1) as f64 / (ascending.len() + 1) as f64
}

fn usual_margin() -> f64 {
    MARGIN
}

#[expect(clippy::trivially_copy_pass_by_ref, reason = "serde calls it so")]
fn is_usual_margin(margin: &f64) -> bool {
    *margin <= MARGIN
}

/// How far all but [`LEAST_SHARE`] of the rows lie outside the ranges of the others, in widths of those.
fn margin(ranges: &[Option<(f64, f64)>], values: &[Vec<Value>]) -> f64 {
    if values.len() < LEAST_ROWS {
        return MARGIN;
    }
    let mut excess = vec![0.0_f64; values.len()];
    for input in (0..ranges.len()).filter(|input| ranges[*input].is_some()) {
        let number = |row: &Vec<Value>| match row[input] {
            Value::Number(number) => Some(number),
            Value::Instant(ms) => Some(ms as f64),
            _ => None,
        };
        let mut numbers: Vec<(f64, usize)> =
            values.iter().enumerate().filter_map(|(i, row)| Some((number(row)?, i))).collect();
        if numbers.len() < 3 {
            continue;
        }
        numbers.sort_unstable_by(|a, b| a.0.total_cmp(&b.0));
        let n = numbers.len();
        let [(lowest, first), (low, _)] = [numbers[0], numbers[1]];
        let [(high, _), (highest, last)] = [numbers[n - 2], numbers[n - 1]];
        excess[first] = excess[first].max((low - lowest) / width_of((low, highest)));
        excess[last] = excess[last].max((highest - high) / width_of((lowest, high)));
    }
    excess.sort_unstable_by(f64::total_cmp);
    let rank = ((1.0 - LEAST_SHARE) * excess.len() as f64) as usize;
    excess[rank].clamp(MARGIN, MAX_MARGIN)
}

/// How wide a range is; that of a column of one value is as wide as the value is large, and at least 1.
pub fn width_of((low, high): (f64, f64)) -> f64 {
    if high > low { high - low } else { high.abs().max(1.0) }
}

fn unusual_row(differing: (&Input, &Value), share: f64) -> String {
    format!(
        "each value was seen in training, but not together: at most {:.1} % of the training rows lie as far from \
         the others; {} differs most from the nearest of them",
        100.0 * share,
        with_value(differing)
    )
}

fn unusual_pair(a: (&Input, &Value), b: (&Input, &Value), share: f64) -> String {
    format!(
        "each value was seen in training, but not together: {} and {} go together as strangely in at most {:.1} % \
         of the training rows",
        with_value(a),
        with_value(b),
        100.0 * share
    )
}

/// The name of an input, and its value in brackets.
fn with_value((input, value): (&Input, &Value)) -> String {
    let name = &input.name;
    let unit = input.unit.as_deref().map(|unit| format!(" {unit}")).unwrap_or_default();
    match value {
        Value::Number(number) => format!("{name} ({}{unit})", short_number(*number)),
        Value::Instant(ms) => format!("{name} ({})", crate::dataset::date::to_rfc3339(*ms)),
        Value::Level(Some(level)) => format!("{name} (\"{}\")", shorten(&input.levels[*level])),
        Value::Flag(flag) => format!("{name} ({flag})"),
        Value::Level(None) | Value::Missing => name.clone(),
    }
}

fn reason(input: &Input, value: &Value, number: f64, low: f64, high: f64) -> String {
    let show = |number: f64| match value {
        Value::Instant(_) => crate::dataset::date::to_rfc3339(number as i64),
        _ => short_number(number),
    };
    let (side, limit, word) =
        if number > high { ("above", high, "largest") } else { ("below", low, "smallest") };
    let unit = input.unit.as_deref().map(|unit| format!(" {unit}")).unwrap_or_default();
    format!(
        "{} = {}{unit} is {side} {}{unit}, the {word} value seen in training",
        input.name,
        show(number),
        show(limit)
    )
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::dataset::{ColumnKind, NumberFormat};

    fn input(name: &str) -> Input {
        Input {
            name: name.to_owned(),
            kind: ColumnKind::Number,
            unit: Some("m".to_owned()),
            missing_share: 0.0,
            range: Some((0.0, 10.0)),
            levels: Vec::new(),
            number_format: NumberFormat { decimal: '.', thousands: None },
            date_format: None,
            missing_tokens: Vec::new(),
        }
    }

    /// Rows along the diagonal of a square, each there twice.
    fn domain() -> (Domain, [Input; 2]) {
        let inputs = [input("x"), input("y")];
        let features: Vec<f32> = (0..400)
            .flat_map(|i| {
                let x = (i % 200) as f32 / 20.0;
                [x, x + if i % 2 == 0 { 0.3 } else { -0.3 }]
            })
            .collect();
        let numbers = |row: &[f32]| row.iter().map(|value| Value::Number(f64::from(*value))).collect();
        let values: Vec<Vec<Value>> = features.chunks(2).map(numbers).collect();
        (Domain::fit(&inputs, &values, &features, 2), inputs)
    }

    fn judge(x: f64, y: f64) -> Verdict {
        let (domain, inputs) = domain();
        let values = [Value::Number(x), Value::Number(y)];
        domain.judge(&inputs, &values, &[x as f32, y as f32], &[0..1, 1..2])
    }

    #[test]
    fn a_row_among_the_others_is_inside() {
        let verdict = judge(5.02, 5.1);
        assert!(verdict.in_domain && verdict.score > 0.02 && verdict.reasons.is_empty(), "{verdict:?}");
    }

    #[test]
    fn a_combination_that_was_never_seen_is_outside_though_each_value_was() {
        let verdict = judge(2.0, 8.0);
        assert!(!verdict.in_domain && verdict.score < 0.02, "{verdict:?}");
        assert_eq!(verdict.reasons.len(), 1);
        let (_, code, message) = &verdict.reasons[0];
        assert_eq!(*code, "unusual-combination");
        assert!(message.contains("x (2 m) and y (8 m)"), "{message}");
    }

    #[test]
    fn the_farther_outside_its_range_the_lower_the_score() {
        let (near, far) = (judge(13.0, 9.9), judge(40.0, 9.9));
        assert!(!near.in_domain && !far.in_domain && far.score < near.score, "{near:?} {far:?}");
        assert!(near.stretch > 1.3 && far.stretch > near.stretch, "{near:?} {far:?}");
        assert_eq!(near.reasons[0].1, "out-of-range");
        assert_eq!(near.reasons.len(), 1, "the range explains it");
    }

    #[test]
    fn a_hair_outside_the_range_is_told_but_still_inside() {
        let verdict = judge(10.05, 9.9);
        assert!(verdict.in_domain && verdict.reasons.len() == 1, "{verdict:?}");
    }

    #[test]
    fn of_many_inputs_ordinary_rows_exceed_some_range_more_than_of_few() {
        // Numbers that are spread as those of a normal distribution, from a generator of linear congruences.
        let mut state = 7_u64;
        let mut uniform = || {
            state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
            (state >> 11) as f64 / (1_u64 << 53) as f64
        };
        let mut rows = |n: usize, width: usize| -> Vec<Vec<Value>> {
            let mut normal = || (0..12).map(|_| uniform()).sum::<f64>() - 6.0;
            (0..n).map(|_| (0..width).map(|_| Value::Number(normal())).collect()).collect()
        };
        for width in [2, 60] {
            let known = rows(150, width);
            let of_column =
                |i: usize| known.iter().map(move |row| if let Value::Number(x) = row[i] { x } else { 0.0 });
            let ranges: Vec<Option<(f64, f64)>> = (0..width)
                .map(|i| Some((of_column(i).fold(f64::MAX, f64::min), of_column(i).fold(f64::MIN, f64::max))))
                .collect();
            let margin = margin(&ranges, &known);
            let beyond = |row: &Vec<Value>, by: f64| {
                row.iter().zip(&ranges).any(|(value, range)| {
                    let (Value::Number(x), Some((low, high))) = (value, range) else { return false };
                    *x < low - by * (high - low) || *x > high + by * (high - low)
                })
            };
            let new = rows(2000, width);
            let share = |by: f64| new.iter().filter(|row| beyond(row, by)).count() as f64 / 2000.0;
            assert!(share(margin) < 0.04, "{width}: {} beyond {margin}", share(margin));
            assert!(width == 2 || share(MARGIN) > 0.1, "{}", share(MARGIN));
        }
    }

    #[test]
    fn few_rows_leave_the_ranges_alone() {
        let inputs = [input("x"), input("y")];
        let values =
            vec![vec![Value::Number(0.0), Value::Number(1.0)], vec![Value::Number(2.0), Value::Number(3.0)]];
        let domain = Domain::fit(&inputs, &values, &[0.0, 1.0, 2.0, 3.0], 2);
        assert!(domain.joint().is_none() && domain.pairs().is_none());
        let verdict =
            domain.judge(&inputs, &[Value::Number(1.0), Value::Number(99.0)], &[1.0, 99.0], &[0..1, 1..2]);
        assert!(!verdict.in_domain);
    }
}
