//! Response curves: what the networks answer, on average, as one input runs through its range and the
//! others stay as they are in real rows (Friedman 2001, "partial dependence").

use super::TrainError;
use super::blend::Blend;
use super::random::{Purpose, shuffled, stream};
use super::session::Session;
use crate::model::input::{Input, Value as Cell};
use crate::model::manifest::{Manifest, Target, Task};
use crate::model::network::Ready;
use crate::model::{combine, in_units, plain_answers};
use serde_json::{Value, json};

/// Points of a curve.
const POINTS: usize = 21;
/// Real rows that are averaged over, at most.
const MAX_ROWS: usize = 100;
/// Multiply-adds that all curves may cost together.
const WORK: usize = 10_000_000_000;
/// More classes than this make no readable curve.
const MAX_CLASSES: usize = 10;

/// Per numeric input: `x`, from the smallest to the largest value seen, and for each target (or class) the
/// mean answer there. Null where it would cost too much.
pub(super) fn curves(
    session: &Session,
    manifest: &Manifest,
    blend: &Blend,
    rows: &[usize],
) -> Result<Value, TrainError> {
    let (prepared, fitted) = (session.prepared, &blend.fitted);
    let inputs = &manifest.inputs;
    let numeric: Vec<(usize, (f64, f64))> = inputs
        .iter()
        .enumerate()
        .filter_map(|(index, input)| match (input.range, input.levels.is_empty()) {
            (Some(range), true) if range.1 > range.0 => Some((index, range)),
            _ => None,
        })
        .collect();
    let shape = &manifest.shape;
    let per_row = numeric.len() * POINTS * fitted.len() * shape.n_parameters();
    let n_rows = (WORK / per_row.max(1)).min(MAX_ROWS).min(rows.len());
    let names: Vec<String> = match manifest.targets.as_slice() {
        [Target::Class { classes, .. }] => classes.clone(),
        targets => targets.iter().map(|target| target.name().to_owned()).collect(),
    };
    if n_rows < 10 || (manifest.task == Task::Classification && names.len() > MAX_CLASSES) {
        return Ok(Value::Null);
    }
    let mut rows = shuffled(rows.to_vec(), &mut stream(prepared.spec.seed, Purpose::Sample, 0, 2));
    rows.truncate(n_rows);
    let values = prepared.values(inputs, &rows);
    let networks: Vec<Ready> =
        fitted.iter().map(|fitted| fitted.best.network.clone().ready(session.compute.backend)).collect();
    let weights: Vec<f64> = manifest.members.iter().map(|member| member.weight).collect();
    let curve = |(index, (low, high)): &(usize, (f64, f64))| -> Result<Value, TrainError> {
        session.stop.check()?;
        let points: Vec<f64> =
            (0..POINTS).map(|i| low + (high - low) * i as f64 / (POINTS - 1) as f64).collect();
        let each: Vec<Vec<f64>> = networks
            .iter()
            .zip(&manifest.members)
            .map(|(network, member)| {
                let mut features = Vec::new();
                for point in &points {
                    for row in &values {
                        let mut row = row.clone();
                        row[*index] = at(&inputs[*index], *point);
                        member.encoder.encode_row(&row, &mut features);
                    }
                }
                in_units(&network.forward(&features), member)
            })
            .collect();
        let outputs = combine(&each, &weights, manifest.task, shape.outputs);
        // What a request would be answered, before the mean.
        let answers = plain_answers(&manifest.targets, &manifest.calibration, &outputs);
        let of_point = |answers: &[f64], k: usize| {
            answers.iter().skip(k).step_by(shape.outputs).sum::<f64>() / n_rows as f64
        };
        let y: serde_json::Map<String, Value> = names
            .iter()
            .enumerate()
            .map(|(k, name)| {
                let means: Vec<f64> = answers
                    .chunks_exact(n_rows * shape.outputs)
                    .map(|answers| of_point(answers, k))
                    .collect();
                (name.clone(), json!(means))
            })
            .collect();
        Ok(json!({ "input": inputs[*index].name, "unit": inputs[*index].unit, "x": points, "y": y }))
    };
    numeric.iter().map(curve).collect()
}

fn at(input: &Input, point: f64) -> Cell {
    if input.kind == crate::dataset::ColumnKind::Date {
        Cell::Instant(point as i64)
    } else {
        Cell::Number(point)
    }
}
