//! What a model is, and what it answers.
//!
//! ```text
//! cells --input--> values --encoder--> features [n, d] --networks--> outputs [n, k]
//!                    |                                                  |
//!                    +--domain--> in_domain, score, reasons             +--interval--> bounds, sets
//! ```

pub mod activation;
pub mod device;
pub mod domain;
pub mod embedding;
pub mod encoder;
pub mod file;
pub mod input;
pub mod interval;
pub mod manifest;
pub mod name;
pub mod network;
pub mod scaling;
pub mod sensitivity;
mod sound;

pub use device::Backend;
pub use file::ModelError;
pub use input::{Cell, Input, UnknownCategory};
pub use manifest::{Manifest, Member, Target, Task};

use input::Value;
use interval::{Calibration, UsualError};
use network::{Network, Ready};
use sensitivity::Together;

/// A trained model, ready to answer.
#[derive(Debug, Clone)]
pub struct Model {
    manifest: Manifest,
    networks: Vec<Ready>,
}

/// How a request wants its answers.
#[derive(Debug, Clone, Copy, PartialEq, Default)]
pub struct PredictOptions {
    /// Between 0 and 1; the model's own where absent.
    pub confidence: Option<f64>,
    /// What to do with categories never seen.
    pub unknown_category: UnknownCategory,
    /// Whether the local effect of each input is wanted.
    pub explain: bool,
}

/// The answers to a batch of rows.
#[derive(Debug, Clone, PartialEq)]
pub struct Predictions {
    /// One entry per target.
    pub targets: Vec<TargetPrediction>,
    /// The confidence of the intervals and sets.
    pub confidence: f64,
    /// Per row: whether every input is one that training saw.
    pub in_domain: Vec<bool>,
    /// Per row: 1 inside the training range, towards 0 far outside.
    pub domain_score: Vec<f64>,
    /// What is to be noticed about single cells.
    pub warnings: Vec<RowWarning>,
    /// Where asked for, `[n, targets, inputs]`: the change of each number, or of the probability of the
    /// predicted class, per unit of each input; NaN where the input is missing or no number.
    pub sensitivities: Option<Vec<f64>>,
}

impl Predictions {
    /// Whether there is a number without bounds: too few rows were held out for the confidence asked for.
    pub fn lack_bounds(&self) -> bool {
        self.targets.iter().any(|target| matches!(target, TargetPrediction::Number { bounds: None, .. }))
    }
}

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

/// A warning about one cell of a request.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RowWarning {
    /// 0-based row of the request.
    pub row: usize,
    /// The input.
    pub column: String,
    /// `out-of-range` or `unknown-category`.
    pub code: &'static str,
    /// What was seen.
    pub message: String,
}

/// Cells that cannot be used.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{} of the request cannot be used: {}", if cells.len() == 1 { "one cell" } else { "several cells" }, cells[0].message)]
pub struct PredictError {
    /// At least one problem, in row order; at most [`MAX_PROBLEMS`].
    pub cells: Vec<CellError>,
}

/// Problems reported at most in one answer.
pub const MAX_PROBLEMS: usize = 100;

/// One cell that cannot be used.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct CellError {
    /// 0-based row of the request.
    pub row: usize,
    /// The input.
    pub column: String,
    /// `missing-field`, `wrong-type` or `unknown-category`.
    pub slug: &'static str,
    /// What is wrong and how to mend it.
    pub message: String,
}

impl Model {
    /// Puts `networks`, of the shapes in the manifest, on `backend`.
    pub fn new(manifest: Manifest, networks: Vec<Network>, backend: Backend) -> Self {
        Self { manifest, networks: networks.into_iter().map(|network| network.ready(backend)).collect() }
    }

    /// Everything about the model but its weights.
    pub fn manifest(&self) -> &Manifest {
        &self.manifest
    }

    /// The columns it needs, in the order of a matrix request.
    pub fn inputs(&self) -> &[Input] {
        &self.manifest.inputs
    }

    /// Its networks as plain arrays, one for each member of the manifest.
    pub fn networks(&self) -> Vec<Network> {
        self.networks.iter().map(|network| network.clone().into_network()).collect()
    }

    /// Bytes the model takes in memory, about.
    pub fn size_in_memory(&self) -> usize {
        self.manifest.n_parameters() * size_of::<f32>()
    }

    /// Answers `cells`, row-major `[n_rows, inputs().len()]`.
    ///
    /// # Errors
    /// When a needed cell is missing, of the wrong type, or an unknown category that the options do
    /// not allow; nothing is predicted then.
    ///
    /// # Panics
    /// If `cells` has another length.
    pub fn predict(
        &self,
        cells: &[Cell],
        n_rows: usize,
        options: &PredictOptions,
    ) -> Result<Predictions, PredictError> {
        let inputs = self.inputs();
        assert_eq!(cells.len(), n_rows * inputs.len(), "one cell per row and input");
        let mut rows = Vec::with_capacity(cells.len());
        let (mut in_domain, mut domain_score) = (Vec::with_capacity(n_rows), Vec::with_capacity(n_rows));
        let mut stretches = Vec::with_capacity(n_rows);
        let (mut warnings, mut problems) = (Vec::new(), Vec::new());
        let mut values = Vec::with_capacity(inputs.len());
        // The domain is measured in the encoding of the first network.
        let encoder = &self.manifest.members[0].encoder;
        let features_of_inputs = encoder.features_of_inputs();
        let mut features = Vec::with_capacity(encoder.width());
        for row in 0..n_rows {
            values.clear();
            for (input, cell) in inputs.iter().zip(&cells[row * inputs.len()..]) {
                let column = || input.name.clone();
                match input.read(cell, options.unknown_category) {
                    Ok((value, warning)) => {
                        values.push(value);
                        warnings.extend(warning.map(|(code, message)| RowWarning {
                            row,
                            column: column(),
                            code,
                            message,
                        }));
                    }
                    Err(problem) => {
                        values.push(Value::Missing);
                        problems.push(CellError {
                            row,
                            column: column(),
                            slug: problem.slug,
                            message: problem.message,
                        });
                    }
                }
            }
            if problems.len() >= MAX_PROBLEMS {
                break;
            }
            features.clear();
            encoder.encode_row(&values, &mut features);
            let verdict = self.manifest.domain.judge(inputs, &values, &features, &features_of_inputs);
            in_domain.push(verdict.in_domain);
            domain_score.push(verdict.score);
            stretches.push(verdict.stretch);
            warnings.extend(verdict.reasons.into_iter().map(|(column, code, message)| RowWarning {
                row,
                column,
                code,
                message,
            }));
            rows.extend_from_slice(&values);
        }
        if !problems.is_empty() {
            return Err(PredictError { cells: problems });
        }
        let outputs = if n_rows == 0 { Vec::new() } else { self.outputs(&rows) };
        let confidence = options.confidence.unwrap_or(self.manifest.confidence);
        let mut targets = answers(&self.manifest, &outputs, n_rows, confidence);
        let first = &self.manifest.members[0];
        for (index, target) in targets.iter_mut().enumerate() {
            target.stretch(&stretches, first.is_logarithmic(index));
        }
        let sensitivities =
            (options.explain && n_rows > 0).then(|| self.sensitivities(&rows, &outputs, &targets));
        Ok(Predictions { targets, confidence, in_domain, domain_score, warnings, sensitivities })
    }

    fn sensitivities(&self, rows: &[Value], outputs: &[f64], targets: &[TargetPrediction]) -> Vec<f64> {
        let together = Together { networks: &self.networks, members: &self.manifest.members };
        let n_inputs = self.inputs().len();
        if let ([TargetPrediction::Class { labels, classes, .. }], Calibration::ClassScores { scale, .. }) =
            (targets, &self.manifest.calibration)
        {
            return together.of_classes(rows, n_inputs, labels, classes.len(), *scale);
        }
        let mut all = together.of_numbers(rows, n_inputs);
        // An answer that is held at the edge of what training saw does not move.
        let edges = outputs.iter().zip(self.manifest.targets.iter().cycle());
        for (own, (output, target)) in all.chunks_exact_mut(n_inputs).zip(edges) {
            if let Target::Number { min, max, .. } = target
                && !(*min..=*max).contains(output)
            {
                own.iter_mut().filter(|value| value.is_finite()).for_each(|value| *value = 0.0);
            }
        }
        all
    }

    /// What the networks say together to rows of values, `[n, inputs]`; see [`combine`].
    fn outputs(&self, rows: &[Value]) -> Vec<f64> {
        let each = self.networks.iter().zip(&self.manifest.members).map(|(network, member)| {
            let mut features = Vec::with_capacity(rows.len() / self.inputs().len() * member.encoder.width());
            for row in rows.chunks_exact(self.inputs().len()) {
                member.encoder.encode_row(row, &mut features);
            }
            in_units(&network.forward(&features), member)
        });
        let each: Vec<Vec<f64>> = each.collect();
        let weights: Vec<f64> = self.manifest.members.iter().map(|member| member.weight).collect();
        combine(&each, &weights, self.manifest.task, self.manifest.shape.outputs)
    }
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
    fn stretch(&mut self, factors: &[f64], is_logarithmic: bool) {
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
