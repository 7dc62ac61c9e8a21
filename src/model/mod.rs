//! What a model is, and what it answers.
//!
//! ```text
//! cells --input--> values --encoder--> features [n, d] --networks--> outputs [n, k]
//!                    |                                                  |
//!                    +--domain--> in_domain, score, reasons             +--interval--> bounds, sets
//! ```

pub mod activation;
mod answers;
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

pub use answers::{TargetPrediction, answers, combine, in_units, plain_answers};
pub use device::Backend;
pub use file::ModelError;
pub use input::{Cell, Input, UnknownCategory};
pub use manifest::{Manifest, Member, Target, Task};

use input::Value;
use interval::Calibration;
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
