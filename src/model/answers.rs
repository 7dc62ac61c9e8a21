//! From what networks put out to what is answered, in the user's units.

use super::interval::{self, Calibration, UsualError};
use super::manifest::{Manifest, Member, Target, Task};

/// The answers for one target, one per row.
#[derive(Debug, Clone, PartialEq)]
pub enum TargetPrediction {
    /// Numbers in the target's unit.
    Number {
        /// The target.
        name: String,
        /// One per row.
        values: Vec<f64>,
        /// Lower and upper bound per row; `None` where too few rows were left for calibration.
        bounds: Option<Vec<(f64, f64)>>,
    },
    /// Classes.
    Class {
        /// The target.
        name: String,
        /// All classes.
        classes: Vec<String>,
        /// The most probable class per row, as an index into `classes`.
        labels: Vec<usize>,
        /// Row-major `[n, classes]`.
        probabilities: Vec<f64>,
        /// The classes that cannot be ruled out at the confidence, the most probable first.
        sets: Vec<Vec<usize>>,
    },
}

impl TargetPrediction {
    /// The target.
    pub fn name(&self) -> &str {
        match self {
            Self::Number { name, .. } | Self::Class { name, .. } => name,
        }
    }

    /// Widens each interval around its value by the factor of its row, that of a logarithmic target as a
    /// ratio.
    pub(super) fn stretch(&mut self, factors: &[f64], is_logarithmic: bool) {
        if let Self::Number { values, bounds: Some(bounds), .. } = self {
            for ((bound, value), factor) in bounds.iter_mut().zip(values).zip(factors) {
                let (low, high) = *bound;
                *bound = if is_logarithmic {
                    interval::of_ratio(*value, (high / *value).ln() * factor)
                } else {
                    (*value - (*value - low) * factor, *value + (high - *value) * factor)
                };
            }
        }
    }
}

/// The outputs of one network, `[n, outputs]`: numbers in the targets' units, or logits.
pub fn in_units(outputs: &[f32], member: &Member) -> Vec<f64> {
    let width = member.target_scales.len();
    if width == 0 {
        return outputs.iter().map(|value| f64::from(*value)).collect();
    }
    let targets = (0..width).cycle();
    outputs.iter().zip(targets).map(|(value, target)| member.in_units(target, f64::from(*value))).collect()
}

/// One answer from several networks, each as of [`in_units`]: the mean number, or the logarithm of
/// the mean probability, where each counts as much as its weight.
pub fn combine(each: &[Vec<f64>], weights: &[f64], task: Task, n_outputs: usize) -> Vec<f64> {
    if let [only] = each {
        return only.clone();
    }
    let total: f64 = weights.iter().sum();
    let mut mean = vec![0.0; each[0].len()];
    for (outputs, weight) in each.iter().zip(weights) {
        let share = weight / total;
        if share == 0.0 {
            continue;
        }
        let add = |(mean, value): (&mut f64, &f64)| *mean += share * value;
        match task {
            Task::Regression => mean.iter_mut().zip(outputs).for_each(add),
            Task::Classification => {
                mean.iter_mut().zip(&interval::probabilities(outputs, n_outputs, 1.0)).for_each(add);
            }
        }
    }
    if task == Task::Classification {
        mean.iter_mut().for_each(|p| *p = p.max(1e-30).ln());
    }
    mean
}

/// What is answered, in the user's terms and without intervals: numbers in the range that training saw, or
/// probabilities, `[n, outputs]` as `outputs` of the networks.
pub fn plain_answers(targets: &[Target], calibration: &Calibration, outputs: &[f64]) -> Vec<f64> {
    match (targets, calibration) {
        ([Target::Class { classes, .. }], Calibration::ClassScores { scale, .. }) => {
            scale.probabilities(outputs, classes.len())
        }
        _ => outputs
            .iter()
            .zip(targets.iter().cycle())
            .map(|(value, target)| target.in_range(*value))
            .collect(),
    }
}

/// The bounds of `values` that are off by `limit` at most, in multiples of what is `usual` or as a ratio.
fn bounds(values: &[f64], limit: f64, usual: Option<&UsualError>, is_logarithmic: bool) -> Vec<(f64, f64)> {
    let around = |value: &f64| {
        if is_logarithmic {
            return interval::of_ratio(*value, limit);
        }
        let width = limit * usual.map_or(1.0, |usual| usual.at(*value));
        (value - width, value + width)
    };
    values.iter().map(around).collect()
}

/// Turns outputs of the networks into answers in the user's units.
pub fn answers(
    manifest: &Manifest,
    outputs: &[f64],
    n_rows: usize,
    confidence: f64,
) -> Vec<TargetPrediction> {
    let n_outputs = manifest.shape.outputs;
    let numbers =
        manifest.targets.iter().enumerate().map(|(k, target)| match (target, &manifest.calibration) {
            (Target::Number { name, .. }, Calibration::AbsoluteResiduals { residuals, usual }) => {
                let own = outputs.iter().skip(k).step_by(n_outputs);
                let values: Vec<f64> = own.map(|value| target.in_range(*value)).collect();
                let usual = usual.get(k).and_then(Option::as_ref);
                let limit = residuals.get(k).and_then(|scores| scores.quantile(confidence));
                let is_logarithmic = manifest.members[0].is_logarithmic(k);
                let bounds = limit.map(|limit| bounds(&values, limit, usual, is_logarithmic));
                TargetPrediction::Number { name: name.clone(), values, bounds }
            }
            (Target::Class { name, classes, .. }, Calibration::ClassScores { scale, scores }) => {
                let n_classes = classes.len();
                let probabilities = scale.probabilities(outputs, n_classes);
                let limit = scores.quantile(confidence);
                let (mut labels, mut sets) = (Vec::with_capacity(n_rows), Vec::with_capacity(n_rows));
                for row in probabilities.chunks_exact(n_classes) {
                    let mut order: Vec<usize> = (0..n_classes).collect();
                    order.sort_by(|a, b| row[*b].total_cmp(&row[*a]));
                    labels.push(order[0]);
                    // Without a limit no class can be ruled out; the most probable one never is.
                    order.retain(|class| {
                        limit.is_none_or(|limit| 1.0 - row[*class] <= limit)
                            || *class == labels[labels.len() - 1]
                    });
                    sets.push(order);
                }
                TargetPrediction::Class {
                    name: name.clone(),
                    classes: classes.clone(),
                    labels,
                    probabilities,
                    sets,
                }
            }
            _ => unreachable!("a manifest whose calibration does not fit its targets is refused on loading"),
        });
    numbers.collect()
}
