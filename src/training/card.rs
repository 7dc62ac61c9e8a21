//! The model card: what a model is made of, and how far to trust it.

use super::baseline::{self, Rows};
use super::fit::{Fitted, State, fit};
use super::initial::Initial;
use super::metrics::{self, ClassScores, NumberScores};
use super::optimizer::Rule;
use super::part::{OwnedTruth, Part};
use super::prepare::Prepared;
use super::random::{Purpose, shuffled, stream};
use super::recipe::{RateFactors, Recipe};
use super::schedule::Schedule;
use super::spec::Optimizer;
use super::team::Team;
use super::truth::TruthColumns;
use super::{Compute, TrainError};
use crate::dataset::Warning;
use crate::model::activation::Activation;
use crate::model::encoder::InputValues;
use crate::model::interval::probabilities;
use crate::model::manifest::{Manifest, Member, Target, Task};
use crate::model::network::Shape;
use crate::model::{TargetPrediction, answers};
use serde_json::{Map, Value, json};

/// Points of "predicted against actual" at most.
const MAX_POINTS: usize = 1000;

/// Scores of the network or of a baseline on the test part.
#[derive(Debug, Clone, PartialEq)]
pub enum Scores {
    /// Per target.
    Numbers(Vec<NumberScores>),
    /// Of the one target.
    Classes(ClassScores),
}

impl Scores {
    /// As `metrics` of the API: the overall scores, and `per_target` for numbers.
    pub fn to_json(&self, targets: &[String]) -> Value {
        match self {
            Self::Classes(scores) => json!(scores),
            Self::Numbers(all) => {
                let mean = |of: fn(&NumberScores) -> Option<f64>| -> Option<f64> {
                    let each: Vec<f64> = all.iter().filter_map(of).collect();
                    (!each.is_empty()).then(|| each.iter().sum::<f64>() / each.len() as f64)
                };
                let max_error = all.iter().map(|scores| scores.max_error).fold(0.0, f64::max);
                let per_target: Map<String, Value> =
                    targets.iter().zip(all).map(|(name, scores)| (name.clone(), json!(scores))).collect();
                json!({
                    "rmse": mean(|s| Some(s.rmse)),
                    "mae": mean(|s| Some(s.mae)),
                    "mape": mean(|s| s.mape),
                    "r2": mean(|s| s.r2),
                    "max_error": max_error,
                    "nrmse": mean(|s| Some(s.nrmse)),
                    "per_target": per_target,
                })
            }
        }
    }

    /// The one number that models of a kind are compared by: lower is better.
    pub fn loss(&self) -> f64 {
        match self {
            Self::Classes(scores) => scores.log_loss,
            Self::Numbers(all) => all.iter().map(|scores| scores.nrmse).sum::<f64>() / all.len() as f64,
        }
    }
}

/// Scores of answers in the users' terms, row-major `[rows, outputs]`: numbers, or probabilities.
/// `stds` are those of the training targets.
pub fn score(truth: &TruthColumns, rows: &[usize], answers: &[f64], stds: &[(f64, f64)]) -> Scores {
    let outputs = truth.width();
    match truth {
        TruthColumns::Numbers(columns) => Scores::Numbers(
            columns
                .iter()
                .zip(stds)
                .enumerate()
                .map(|(k, (column, (_, std)))| {
                    let truth: Vec<f64> = rows.iter().map(|row| column[*row]).collect();
                    let own: Vec<f64> = answers.iter().skip(k).step_by(outputs).copied().collect();
                    metrics::of_numbers(&truth, &own, *std)
                })
                .collect(),
        ),
        TruthColumns::Classes { codes, .. } => {
            let truth: Vec<usize> = rows.iter().map(|row| codes[*row] as usize).collect();
            Scores::Classes(metrics::of_classes(&truth, answers, outputs))
        }
    }
}

/// The names of the baselines, in the order of [`baseline_answers`].
pub fn baseline_names(task: Task) -> [&'static str; 3] {
    [if task == Task::Regression { "mean" } else { "majority" }, "linear", "nearest_neighbours"]
}

/// What something simple answers to the rows of `test`, fitted on `training`: numbers in the
/// targets' units or probabilities, `[rows, outputs]` each, in the order of [`baseline_names`]. Where the
/// networks learn logarithms, so do all but the mean.
#[expect(clippy::too_many_arguments, reason = "a struct of these would be built in one place only")]
pub fn baseline_answers(
    task: Task,
    outputs: usize,
    training: &Part,
    test: &Part,
    member: &Member,
    seed: u64,
    compute: &Compute,
    team: &Team,
) -> Result<[Vec<f64>; 3], TrainError> {
    let width = member.encoder.width();
    let n_test = test.features.len() / width;
    let truth = as_numbers(&training.truth, outputs);
    let rows = Rows { features: &training.features, width, truth: &truth, outputs };
    let in_units = |answers: &[f64]| -> Vec<f64> {
        let targets = (0..outputs).cycle();
        answers.iter().zip(targets).map(|(y, target)| member.in_units(target, *y)).collect()
    };
    // Of the values themselves: where logarithms are learned, the mean of those is no mean of the values.
    let truth_in_units = if task == Task::Regression { in_units(&truth) } else { truth.clone() };
    let prior = baseline::mean(&Rows { truth: &truth_in_units, ..rows });
    let mean: Vec<f64> = prior.iter().copied().cycle().take(n_test * outputs).collect();
    let mut neighbours = baseline::nearest_neighbours(&rows, &test.features, seed, compute.backend);
    if task == Task::Classification {
        // Shares of five neighbours may be 0: one row's worth of the prior keeps the log-loss finite.
        let with_prior = |(share, prior): (&mut f64, &f64)| *share = (5.0 * *share + prior) / 6.0;
        neighbours.iter_mut().zip(prior.iter().cycle()).for_each(with_prior);
        let linear = logistic(training, test, width, outputs, seed, compute, team)?;
        return Ok([mean, linear, neighbours]);
    }
    let linear = baseline::apply_linear(&baseline::fit_linear(&rows), &test.features, width, outputs);
    Ok([mean, in_units(&linear), in_units(&neighbours)])
}

/// Multinomial logistic regression: a network without hidden layers.
fn logistic(
    training: &Part,
    test: &Part,
    width: usize,
    outputs: usize,
    seed: u64,
    compute: &Compute,
    team: &Team,
) -> Result<Vec<f64>, TrainError> {
    let shape = Shape {
        inputs: width,
        embedded: Vec::new(),
        stepped: Vec::new(),
        categories: Vec::new(),
        hidden: Vec::new(),
        outputs,
        activation: Activation::Relu,
        parametric: false,
        scaling_layer: false,
        ntk: false,
    };
    let n = training.features.len() / width;
    // About 4000 steps, whatever the number of rows.
    let epochs = (4000 * 256 / n.max(1)).clamp(10, 400);
    let recipe = Recipe {
        shape,
        rule: Rule { optimizer: Optimizer::Adam, beta2: 0.999 },
        initial: Initial::Uniform,
        schedule: Schedule::CosLog4,
        learning_rate: 0.02,
        rate_factors: RateFactors::EQUAL,
        weight_decay: 0.001,
        dropout: 0.0,
        regularization: Schedule::Constant,
        epochs,
        batch_size: 256,
        patience: None,
        seed,
        fold: 1000,
        time_limit_s: None,
        take_epoch: Some(epochs),
    };
    let empty = Part { features: Vec::new(), truth: OwnedTruth::Classes(Vec::new()) };
    let state = State::initial(&recipe, training, compute.backend);
    let quiet = &mut |_: super::fit::Moment| {};
    let fitted = fit(&recipe, training, &empty, team, state, quiet, &super::Stop::new())?;
    let logits = fitted.best.network.ready(compute.backend).forward(&test.features);
    let logits: Vec<f64> = logits.into_iter().map(f64::from).collect();
    Ok(probabilities(&logits, outputs, 1.0))
}

fn as_numbers(truth: &OwnedTruth, outputs: usize) -> Vec<f64> {
    match truth {
        OwnedTruth::Numbers(values) => values.iter().map(|value| f64::from(*value)).collect(),
        OwnedTruth::Classes(classes) => {
            let mut columns = vec![0.0; classes.len() * outputs];
            for (row, class) in classes.iter().enumerate() {
                columns[row * outputs + *class as usize] = 1.0;
            }
            columns
        }
    }
}

/// Measured on the test part: how often intervals or sets hold the truth, and how wide they are.
pub fn coverage(prepared: &Prepared, manifest: &Manifest, rows: &[usize], outputs: &[f64]) -> Value {
    let predictions = answers(manifest, outputs, rows.len(), manifest.confidence);
    let mut per_target = Map::new();
    for (k, prediction) in predictions.iter().enumerate() {
        let (name, value) = match (prediction, &prepared.truth) {
            (TargetPrediction::Number { name, bounds: Some(bounds), .. }, TruthColumns::Numbers(columns)) => {
                let held = rows.iter().zip(bounds).filter(|(row, (low, high))| {
                    let truth = columns[k][**row];
                    truth >= *low && truth <= *high
                });
                let width = bounds.iter().map(|(low, high)| high - low).sum::<f64>() / bounds.len() as f64;
                (name, json!({ "measured": held.count() as f64 / rows.len() as f64, "mean_width": width }))
            }
            (TargetPrediction::Class { name, sets, .. }, TruthColumns::Classes { codes, .. }) => {
                let held = rows.iter().zip(sets).filter(|(row, set)| set.contains(&(codes[**row] as usize)));
                let size = sets.iter().map(Vec::len).sum::<usize>() as f64 / sets.len() as f64;
                (name, json!({ "measured": held.count() as f64 / rows.len() as f64, "mean_set_size": size }))
            }
            (TargetPrediction::Number { name, .. } | TargetPrediction::Class { name, .. }, _) => {
                (name, Value::Null)
            }
        };
        per_target.insert(name.clone(), value);
    }
    json!({ "nominal": manifest.confidence, "per_target": per_target })
}

/// As [`coverage`], where there is no test part: on the rows that the intervals or sets were made from it
/// would say nothing.
pub fn unmeasured_coverage(manifest: &Manifest) -> Value {
    let per_target: Map<String, Value> =
        manifest.targets.iter().map(|target| (target.name().to_owned(), Value::Null)).collect();
    json!({
        "nominal": manifest.confidence,
        "per_target": per_target,
        "reason": "no rows were kept for a test, and those that are left made the intervals",
    })
}

/// Rows that [`flagged`] judges at most.
const MAX_JUDGED: usize = 1000;

/// The share of `rows` that count as outside the domain, of evenly chosen ones where there are many.
pub fn flagged(prepared: &Prepared, manifest: &Manifest, rows: &[usize]) -> Value {
    let encoder = &manifest.members[0].encoder;
    let of_inputs = encoder.features_of_inputs();
    let columns: Vec<InputValues> =
        manifest.inputs.iter().map(|input| InputValues::new(prepared.table, input)).collect();
    let chosen: Vec<usize> = rows.iter().copied().step_by(rows.len().div_ceil(MAX_JUDGED).max(1)).collect();
    let outside = chosen.iter().filter(|row| {
        let values: Vec<_> = columns.iter().map(|column| column.get(**row)).collect();
        let mut features = Vec::with_capacity(encoder.width());
        encoder.encode_row(&values, &mut features);
        !manifest.domain.judge(&manifest.inputs, &values, &features, &of_inputs).in_domain
    });
    json!({ "rows": chosen.len(), "flagged": outside.count() as f64 / chosen.len().max(1) as f64 })
}

/// The confusion matrix of classes, or a sample of predicted against actual numbers.
pub fn comparison(prepared: &Prepared, manifest: &Manifest, rows: &[usize], outputs: &[f64]) -> Value {
    let predictions = answers(manifest, outputs, rows.len(), manifest.confidence);
    match (&prepared.truth, &predictions[0]) {
        (TruthColumns::Classes { codes, names }, TargetPrediction::Class { probabilities, .. }) => {
            let truth: Vec<usize> = rows.iter().map(|row| codes[*row] as usize).collect();
            let counts = metrics::confusion(&truth, probabilities, names.len());
            json!({ "confusion_matrix": { "classes": names, "counts": counts } })
        }
        (TruthColumns::Numbers(columns), _) => {
            let mut chosen: Vec<usize> = (0..rows.len()).collect();
            if chosen.len() > MAX_POINTS {
                chosen = shuffled(chosen, &mut stream(prepared.spec.seed, Purpose::Sample, 2, 0));
                chosen.truncate(MAX_POINTS);
                chosen.sort_unstable();
            }
            let points: Map<String, Value> = predictions
                .iter()
                .zip(columns)
                .filter_map(|(prediction, column)| {
                    let TargetPrediction::Number { name, values, .. } = prediction else { return None };
                    let pairs: Vec<[f64; 2]> =
                        chosen.iter().map(|i| [column[rows[*i]], values[*i]]).collect();
                    Some((name.clone(), json!(pairs)))
                })
                .collect();
            json!({ "actual_and_predicted": points })
        }
        _ => Value::Null,
    }
}

/// A warning for each baseline that does as well as the network or better.
pub fn lost_to(network: &Scores, baselines: &[(&'static str, Scores)]) -> Vec<Warning> {
    let better = baselines.iter().filter(|(_, scores)| scores.loss() <= network.loss());
    better
        .map(|(name, scores)| Warning {
            code: "baseline-wins".to_owned(),
            column: None,
            message: format!(
                "the network does not beat the {} baseline on the test part ({:.4} against {:.4}, lower is better): \
                 trust it no more than that, and look for better features or more rows",
                name.replace('_', " "),
                network.loss(),
                scores.loss()
            ),
        })
        .collect()
}

/// What a model file alone tells: the card of a model that was trained elsewhere.
pub fn of_manifest(manifest: &Manifest) -> Value {
    let targets: Vec<Value> = manifest
        .targets
        .iter()
        .enumerate()
        .map(|(k, target)| match target {
            Target::Number { name, unit, min, max } => {
                // What the networks, and the linear and the nearest-neighbours baseline, learn of it.
                let scale = if manifest.members[0].is_logarithmic(k) { "log" } else { "linear" };
                json!({ "name": name, "kind": "number", "unit": unit, "range": [min, max], "scale": scale })
            }
            Target::Class { name, classes, .. } => {
                json!({ "name": name, "kind": "class", "classes": classes })
            }
        })
        .collect();
    json!({
        "task": manifest.task,
        "inputs": manifest.inputs.iter().map(|input| json!({
            "name": input.name, "kind": input.kind, "unit": input.unit, "range": input.range,
            "levels": input.levels, "missing_share": input.missing_share,
            "decimal": input.number_format.decimal, "date_format": input.date_format,
        })).collect::<Vec<_>>(),
        "targets": targets,
        "settings": manifest.settings,
        "network": {
            "shape": manifest.shape,
            "n_parameters": manifest.shape.n_parameters(),
            "n_networks": manifest.members.len(),
        },
        "metrics": manifest.scores["metrics"],
        "baselines": manifest.scores["baselines"],
        "program_version": manifest.program_version,
    })
}

/// The card, beside what the model's record holds anyway.
pub fn card(
    manifest: &Manifest,
    fitted: &[Fitted],
    split: &super::split::Split,
    warnings: &[Warning],
) -> Value {
    let mut card = of_manifest(manifest);
    card["network"]["best_epochs"] = fitted.iter().map(|fitted| fitted.best.epoch).collect();
    card["split"] = json!({
        "method": manifest.settings["validation"]["method"],
        "training_rows": split.folds[0].training.len(),
        "validation_rows": split.folds[0].validation.len(),
        "test_rows": split.test.len(),
        "folds": split.folds.len(),
    });
    card["warnings"] = json!(warnings);
    card
}
