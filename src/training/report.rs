//! What the model card tells of a model: what it is made of, and how far to trust it.

use super::fit::Fitted;
use super::metrics;
use super::prepare::Prepared;
use super::random::{Purpose, shuffled, stream};
use super::split::Split;
use super::truth::TruthColumns;
use crate::dataset::Warning;
use crate::model::encoder::InputValues;
use crate::model::manifest::{Manifest, Target};
use crate::model::{TargetPrediction, answers};
use serde_json::{Map, Value, json};

/// Points of "predicted against actual" at most.
const MAX_POINTS: usize = 1000;

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
    let flagged = outside.count() as f64 / chosen.len().max(1) as f64;
    json!({ "rows": chosen.len(), "flagged": flagged, "margin": manifest.domain.margin() })
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

/// How many networks have steps of their own, and how much they have to say among all.
fn with_steps(manifest: &Manifest) -> Value {
    let all: f64 = manifest.members.iter().map(|member| member.weight).sum();
    let stepped = manifest.members.iter().filter(|member| member.stepped.is_some());
    let weight: f64 = stepped.clone().map(|member| member.weight).sum();
    json!({ "n_networks": stepped.count(), "weight": weight / all })
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
            "n_parameters": manifest.n_parameters() / manifest.members.len(),
            "n_networks": manifest.members.len(),
            "with_steps": with_steps(manifest),
        },
        "metrics": manifest.scores["metrics"],
        "baselines": manifest.scores["baselines"],
        "program_version": manifest.program_version,
    })
}

/// The card, beside what the model's record holds anyway.
pub fn card(manifest: &Manifest, fitted: &[Fitted], split: &Split, warnings: &[Warning]) -> Value {
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
