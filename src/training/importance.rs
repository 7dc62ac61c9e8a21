//! Permutation importance: how much worse the answers become when one input is shuffled among the
//! judged rows (Breiman 2001; Fisher et al. 2019).

use super::TrainError;
use super::blend::Blend;
use super::random::{Purpose, shuffled, stream};
use super::score::score;
use super::session::Session;
use super::truth::TruthColumns;
use crate::model::input::Input;
use crate::model::interval::probabilities;
use crate::model::network::Ready;
use crate::model::{combine, in_units};
use serde_json::{Value, json};

const REPEATS: usize = 3;
const MAX_ROWS: usize = 2000;
/// Multiply-adds that all the shuffled passes may cost together.
const WORK: usize = 20_000_000_000;

/// Per input: mean and standard deviation, over the repeats, of the rise in nRMSE or log-loss.
pub(super) fn importance(session: &Session, blend: &Blend, rows: &[usize]) -> Result<Value, TrainError> {
    let (prepared, inputs, shape) = (session.prepared, &session.view.inputs, &session.view.shape);
    let Blend { fitted, members, .. } = blend;
    let passes = inputs.len() * REPEATS * members.len();
    let n_rows = (WORK / (passes * shape.n_parameters().max(1))).min(MAX_ROWS).min(rows.len());
    if n_rows < 20 {
        return Ok(Value::Null);
    }
    let seed = prepared.spec.seed;
    let mut rows = shuffled(rows.to_vec(), &mut stream(seed, Purpose::Sample, 3, 0));
    rows.truncate(n_rows);
    let networks: Vec<Ready> =
        fitted.iter().map(|fitted| fitted.best.network.clone().ready(session.compute.backend)).collect();
    let features: Vec<Vec<f32>> =
        members.iter().map(|member| prepared.part(inputs, member, &rows).features).collect();
    let weights: Vec<f64> = members.iter().map(|member| member.weight).collect();
    let stds = prepared.truth.scales(&prepared.usable, &[]);
    let loss = |features: &[Vec<f32>]| -> f64 {
        let each: Vec<Vec<f64>> = networks
            .iter()
            .zip(features)
            .zip(members)
            .map(|((network, features), member)| in_units(&network.forward(features), member))
            .collect();
        let outputs = combine(&each, &weights, prepared.spec.task, shape.outputs);
        let answers = match prepared.truth {
            TruthColumns::Numbers(_) => outputs,
            TruthColumns::Classes { .. } => probabilities(&outputs, shape.outputs, 1.0),
        };
        score(&prepared.truth, &rows, &answers, &stds).loss()
    };
    let before = loss(&features);
    let entry = |(index, input): (usize, &Input)| -> Result<Value, TrainError> {
        session.stop.check()?;
        let rises: Vec<f64> = (0..REPEATS)
            .map(|repeat| {
                let mut rng = stream(seed, Purpose::Sample, 4 + index as u64, repeat as u64);
                let order = shuffled((0..n_rows).collect::<Vec<_>>(), &mut rng);
                let shuffled: Vec<Vec<f32>> = features
                    .iter()
                    .zip(members)
                    .map(|(features, member)| {
                        let own = member.encoder.features_of_inputs()[index].clone();
                        let width = member.encoder.width();
                        let mut changed = features.clone();
                        for (to, from) in order.iter().enumerate() {
                            changed[to * width..][own.clone()]
                                .copy_from_slice(&features[from * width..][own.clone()]);
                        }
                        changed
                    })
                    .collect();
                loss(&shuffled) - before
            })
            .collect();
        let mean = rises.iter().sum::<f64>() / REPEATS as f64;
        let std = (rises.iter().map(|rise| (rise - mean).powi(2)).sum::<f64>() / (REPEATS - 1) as f64).sqrt();
        Ok(json!({ "input": input.name, "mean": mean, "std": std }))
    };
    inputs.iter().enumerate().map(entry).collect()
}
