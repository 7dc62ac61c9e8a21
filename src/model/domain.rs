//! Is a row like the training data, and if not, why?
//!
//! Two looks. Each input on its own: its range for numbers and dates, its known levels for
//! categories. And all together: how far the row lies from its nearest training rows, in the encoded
//! space, compared with how far training rows lie from each other. The share of training rows that
//! lie at least as far is a conformal p-value (Vovk et al. 2005), so a score means the same on every
//! dataset.

use super::input::{Input, Value, short_number};
use serde::{Deserialize, Serialize};

/// Training rows that are remembered at most.
pub const MAX_ROWS: usize = 1000;
/// Numbers that these rows may have together; but never fewer rows than [`MIN_ROWS`].
const MAX_NUMBERS: usize = 50_000;
const MIN_ROWS: usize = 100;
/// The distance of a row is that to its so-manieth nearest training row.
pub const NEIGHBOURS: usize = 3;
/// A row is outside when fewer than this share of training rows lie as far from the others.
pub const LEAST_SHARE: f64 = 0.02;
/// How far outside its range, in widths of the range, an input may be: ordinary new rows do exceed the
/// range of a small training part a little.
pub const MARGIN: f64 = 0.05;
/// Distances that differ by less than this share are equal: in tables of few different values many are,
/// and how they were rounded must not decide.
pub const ROUNDING: f64 = 1e-5;
/// Distances that are kept; more are thinned evenly.
const MAX_DISTANCES: usize = 500;

/// What the inputs looked like in training.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Domain {
    /// Per input: the range of the training rows, for numbers and dates.
    ranges: Vec<Option<(f64, f64)>>,
    /// What the rows looked like together; absent where there were too few.
    joint: Option<Joint>,
}

/// Training rows in the encoded space, and how far they lie from each other.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
struct Joint {
    /// Reciprocal standard deviation of each feature, by which distances are measured.
    scales: Vec<f32>,
    /// Ascending distances of the rows from each other.
    distances: Vec<f32>,
    /// Scaled features, row-major; a tensor of the model file.
    #[serde(skip)]
    rows: Vec<f32>,
}

/// What is said about one row.
#[derive(Debug, Clone, PartialEq)]
pub struct Verdict {
    /// Whether the row is like those of the training.
    pub in_domain: bool,
    /// The share of training rows that lie at least as far from the others as this row, from 0 to 1;
    /// divided by `1 + d` where inputs are outside their range, `d` widths of the range together. An
    /// unseen category counts as one width.
    pub score: f64,
    /// How many times wider than inside an interval must be here: 1 inside.
    pub stretch: f64,
    /// One `(column, code, message)` for each thing that is unlike the training.
    pub reasons: Vec<(String, &'static str, String)>,
}

impl Domain {
    /// Remembers the ranges of `inputs`, and some of the training rows, encoded: `features`,
    /// `[n, width]`, in random order.
    pub fn fit(inputs: &[Input], features: &[f32], width: usize) -> Self {
        let ranges = inputs.iter().map(|input| input.range).collect();
        Self { ranges, joint: Joint::fit(features, width) }
    }

    /// Whether it fits `inputs`, encoded into `width` features.
    pub fn matches(&self, inputs: &[Input], width: usize) -> bool {
        let joint_fits = self.joint.as_ref().is_none_or(|joint| {
            joint.scales.len() == width
                && !joint.distances.is_empty()
                && joint.scales.iter().chain(&joint.distances).all(|value| value.is_finite())
        });
        self.ranges.len() == inputs.len() && joint_fits
    }

    /// The remembered rows, `[n, width]`, which go into the model file as a tensor.
    pub fn rows(&self) -> Option<(&[f32], usize)> {
        self.joint.as_ref().map(|joint| (joint.rows.as_slice(), joint.scales.len()))
    }

    /// Per input, in its order: the range of the training rows, for numbers and dates.
    pub fn ranges(&self) -> &[Option<(f64, f64)>] {
        &self.ranges
    }

    /// What the distance of a row is measured with, if it is: the factor of each feature, and the
    /// ascending distances of the remembered rows from each other.
    pub fn distances(&self) -> Option<(&[f32], &[f32])> {
        self.joint.as_ref().map(|joint| (joint.scales.as_slice(), joint.distances.as_slice()))
    }

    /// The distance that a row may have without being outside, if it is measured; 0 says nothing.
    pub fn inside(&self) -> Option<f32> {
        self.joint.as_ref().map(Joint::inside)
    }

    /// Whether rows are to be given back by [`set_rows`](Self::set_rows), and how wide they are.
    pub fn width(&self) -> Option<usize> {
        self.joint.as_ref().map(|joint| joint.scales.len())
    }

    /// Gives the remembered rows back.
    pub fn set_rows(&mut self, rows: Vec<f32>) {
        if let Some(joint) = &mut self.joint {
            joint.rows = rows;
        }
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
        let (mut share, mut farther) = (1.0, 1.0);
        if let Some(joint) = &self.joint {
            let (distance, feature) = joint.distance(features);
            share = joint.share_as_far(distance);
            farther = joint.times_farther(distance);
            // Where a single input explains it, the combination is no news.
            if share < LEAST_SHARE && worst <= MARGIN {
                let column =
                    features_of_inputs.iter().position(|range| range.contains(&feature)).unwrap_or(0);
                let text = combination(&inputs[column], &values[column], share);
                reasons.push((inputs[column].name.clone(), "unusual-combination", text));
            }
        }
        let in_domain = worst <= MARGIN && share >= LEAST_SHARE;
        // Nothing is known about errors out there; they grow at least as the distance does.
        let stretch = if in_domain { 1.0 } else { farther * (1.0 + outside) };
        Verdict { in_domain, score: share / (1.0 + outside), stretch, reasons }
    }
}

impl Joint {
    fn fit(features: &[f32], width: usize) -> Option<Self> {
        let n = (MAX_NUMBERS / width.max(1)).clamp(MIN_ROWS, MAX_ROWS);
        let chosen: Vec<&[f32]> = features.chunks_exact(width).take(n).collect();
        let scales: Vec<f32> = (0..width)
            .map(|feature| {
                let n = chosen.len() as f64;
                let own = || chosen.iter().map(|row| f64::from(row[feature]));
                let mean = own().sum::<f64>() / n;
                let variance = own().map(|value| (value - mean).powi(2)).sum::<f64>() / n;
                // A feature that never varies says nothing in units of its spread.
                if variance > 1e-12 { (1.0 / variance.sqrt()) as f32 } else { 0.0 }
            })
            .collect();
        let mut scaled: Vec<Vec<f32>> = chosen
            .iter()
            .map(|row| row.iter().zip(&scales).map(|(value, scale)| value * scale).collect())
            .collect();
        // Copies would make their distance 0 the usual one, and every new row unusual.
        scaled.sort_by(|a, b| {
            let unequal = a.iter().zip(b).map(|(a, b)| a.total_cmp(b)).find(|order| order.is_ne());
            unequal.unwrap_or(std::cmp::Ordering::Equal)
        });
        scaled.dedup();
        if scaled.len() < 2 * NEIGHBOURS {
            return None;
        }
        let mut joint = Self { scales, distances: Vec::new(), rows: scaled.concat() };
        let mut distances: Vec<f32> =
            (0..scaled.len()).map(|row| joint.nearest(&scaled[row], Some(row)).0).collect();
        distances.sort_by(f32::total_cmp);
        let last = distances.len() - 1;
        let n_kept = distances.len().min(MAX_DISTANCES);
        joint.distances = (0..n_kept).map(|i| distances[i * last / (n_kept - 1)]).collect();
        Some(joint)
    }

    /// The distance of encoded `features` from the remembered rows, and the feature in which they differ
    /// most from the nearest one.
    fn distance(&self, features: &[f32]) -> (f32, usize) {
        let scaled: Vec<f32> =
            features.iter().zip(&self.scales).map(|(value, scale)| value * scale).collect();
        let (distance, nearest) = self.nearest(&scaled, None);
        let row = self.rows.chunks_exact(self.scales.len()).nth(nearest).unwrap_or(&scaled);
        let gaps = row.iter().zip(&scaled).map(|(a, b)| (a - b).abs());
        let widest = gaps.enumerate().max_by(|a, b| a.1.total_cmp(&b.1));
        (distance, widest.map_or(0, |(feature, _)| feature))
    }

    /// The distance to the third nearest row, `but` one, and which row is the nearest.
    fn nearest(&self, scaled: &[f32], but: Option<usize>) -> (f32, usize) {
        let mut least = [(f32::INFINITY, 0); NEIGHBOURS];
        for (index, row) in self.rows.chunks_exact(self.scales.len()).enumerate() {
            let square = square_distance(row, scaled);
            if square < least[NEIGHBOURS - 1].0 && Some(index) != but {
                least[NEIGHBOURS - 1] = (square, index);
                least.sort_by(|a, b| a.0.total_cmp(&b.0));
            }
        }
        (least[NEIGHBOURS - 1].0.sqrt(), least[0].1)
    }

    fn inside(&self) -> f32 {
        let last = self.distances.len() - 1;
        self.distances[((1.0 - LEAST_SHARE) * last as f64) as usize]
    }

    /// `distance` in units of the farthest that counts as inside, at least 1.
    fn times_farther(&self, distance: f32) -> f64 {
        let inside = self.inside();
        if inside > 0.0 { f64::from(distance / inside).max(1.0) } else { 1.0 }
    }

    /// The share of training rows that lie at least `distance` from the others, the row itself counted.
    fn share_as_far(&self, distance: f32) -> f64 {
        let least = f64::from(distance) * (1.0 - ROUNDING);
        let nearer = self.distances.partition_point(|known| f64::from(*known) < least);
        (self.distances.len() - nearer + 1) as f64 / (self.distances.len() + 1) as f64
    }
}

/// How wide a range is; that of a column of one value is as wide as the value is large, and at least 1.
pub fn width_of((low, high): (f64, f64)) -> f64 {
    if high > low { high - low } else { high.abs().max(1.0) }
}

/// Summed in eight lanes, so that the compiler can vectorise it.
fn square_distance(a: &[f32], b: &[f32]) -> f32 {
    let mut lanes = [0.0_f32; 8];
    let (a_chunks, b_chunks) = (a.chunks_exact(8), b.chunks_exact(8));
    let rest = a_chunks.remainder().iter().zip(b_chunks.remainder());
    let mut sum: f32 = rest.map(|(a, b)| (a - b) * (a - b)).sum();
    for (a, b) in a_chunks.zip(b_chunks) {
        for i in 0..8 {
            lanes[i] += (a[i] - b[i]) * (a[i] - b[i]);
        }
    }
    sum += lanes.iter().sum::<f32>();
    sum
}

fn combination(input: &Input, value: &Value, share: f64) -> String {
    let unit = input.unit.as_deref().map(|unit| format!(" {unit}")).unwrap_or_default();
    let value = match value {
        Value::Number(number) => format!(" ({}{unit})", short_number(*number)),
        Value::Instant(ms) => format!(" ({})", crate::dataset::date::to_rfc3339(*ms)),
        _ => String::new(),
    };
    format!(
        "each value was seen in training, but not together: at most {:.1} % of the training rows lie as far from \
         the others; {}{value} differs most from the nearest of them",
        100.0 * share,
        input.name
    )
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
        (Domain::fit(&inputs, &features, 2), inputs)
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
        assert!(message.contains(" m)"), "{message}");
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
    fn equal_distances_are_equal_however_they_were_rounded() {
        let joint = Joint { scales: vec![1.0], distances: vec![1.0, 2.0, 2.0, 2.0, 3.0], rows: vec![0.0; 6] };
        let share = joint.share_as_far(2.0);
        assert_eq!(share, 5.0 / 6.0);
        assert_eq!(joint.share_as_far(f32::from_bits(2.0_f32.to_bits() + 1)), share);
        assert_eq!(joint.share_as_far(f32::from_bits(2.0_f32.to_bits() - 1)), share);
    }

    #[test]
    fn few_rows_leave_the_ranges_alone() {
        let inputs = [input("x"), input("y")];
        let domain = Domain::fit(&inputs, &[0.0, 1.0, 2.0, 3.0], 2);
        assert_eq!(domain.rows(), None);
        let verdict =
            domain.judge(&inputs, &[Value::Number(1.0), Value::Number(99.0)], &[1.0, 99.0], &[0..1, 1..2]);
        assert!(!verdict.in_domain);
    }
}
