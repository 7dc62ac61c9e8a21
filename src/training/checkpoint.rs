//! The state of a training in bytes, so that another process can go on from it.
//!
//! A safetensors file like a model's: the finished networks, the one in training with its moments,
//! and its best epoch; everything else in the header.

use super::fit::{Best, Fitted, Position, Recipe, State};
use super::gradient::Parameters;
use super::optimizer::Moments;
use crate::model::device::Backend;
use crate::model::file::{ModelError, network_tensors, read_array, read_network};
use crate::model::network::{Network, Shape};
use safetensors::{Dtype, SafeTensors, tensor::TensorView};
use serde::{Deserialize, Serialize};
use std::collections::HashMap;

const METADATA_KEY: &str = "taqicfd-checkpoint";

/// A training between two steps.
#[derive(Debug, Clone)]
pub struct Checkpoint {
    /// The networks that are finished, in order.
    pub finished: Vec<Fitted>,
    /// The one in training; `None` between two.
    pub current: Option<State>,
}

#[derive(Debug, Serialize, Deserialize)]
struct Header {
    /// Of the settings and the data; a checkpoint of another training is not used.
    fingerprint: String,
    shape: Shape,
    finished: Vec<FinishedHeader>,
    current: Option<CurrentHeader>,
}

#[derive(Debug, Serialize, Deserialize)]
struct FinishedHeader {
    epoch: usize,
    score: f64,
    epochs: usize,
    stopped: Option<String>,
    elapsed_s: f64,
}

#[derive(Debug, Serialize, Deserialize)]
struct CurrentHeader {
    position: Position,
    /// Epoch and score of the best network so far.
    best: Option<(usize, f64)>,
}

/// Writes `checkpoint` of a training whose settings and data have `fingerprint`.
pub fn to_bytes(fingerprint: &str, shape: &Shape, finished: &[Fitted], current: Option<&State>) -> Vec<u8> {
    let header = Header {
        fingerprint: fingerprint.to_owned(),
        shape: shape.clone(),
        finished: finished
            .iter()
            .map(|fitted| FinishedHeader {
                epoch: fitted.best.epoch,
                score: fitted.best.score,
                epochs: fitted.epochs,
                stopped: fitted.stopped.map(str::to_owned),
                elapsed_s: fitted.elapsed_s,
            })
            .collect(),
        current: current.map(|state| CurrentHeader {
            position: state.position,
            best: state.best.as_ref().map(|best| (best.epoch, best.score)),
        }),
    };
    let mut tensors = Vec::new();
    for (index, fitted) in finished.iter().enumerate() {
        tensors.extend(network_tensors(index, &fitted.best.network));
    }
    if let Some(state) = current {
        // After the finished ones: the network in training, then its best epoch.
        tensors.extend(network_tensors(finished.len(), &state.parameters.to_network(shape)));
        if let Some(best) = &state.best {
            tensors.extend(network_tensors(finished.len() + 1, &best.network));
        }
        for (index, moments) in state.moments.iter().enumerate() {
            for (name, values) in [("first", &moments.first), ("second", &moments.second)] {
                let bytes = values.iter().flat_map(|value| value.to_le_bytes()).collect();
                tensors.push((format!("moment.{index}.{name}"), vec![values.len()], bytes));
            }
        }
    }
    let json = serde_json::to_string(&header).expect("a header has only string keys");
    let metadata = HashMap::from([(METADATA_KEY.to_owned(), json)]);
    let views = tensors.iter().map(|(name, shape, bytes)| {
        let view = TensorView::new(Dtype::F32, shape.clone(), bytes).expect("sizes come from the arrays");
        (name.as_str(), view)
    });
    safetensors::serialize(views, Some(metadata)).expect("names are distinct and sizes right")
}

/// Reads a checkpoint of the training with `fingerprint`; `recipe` is that of its current network.
///
/// # Errors
/// When the bytes are damaged or belong to another training.
pub fn from_bytes(
    bytes: &[u8],
    fingerprint: &str,
    recipe: &Recipe,
    backend: Backend,
) -> Result<Checkpoint, ModelError> {
    let corrupt = |error: &dyn std::fmt::Display| ModelError::Corrupt(error.to_string());
    let (_, metadata) = SafeTensors::read_metadata(bytes).map_err(|e| corrupt(&e))?;
    let json = metadata.metadata().as_ref().and_then(|metadata| metadata.get(METADATA_KEY));
    let json = json.ok_or_else(|| corrupt(&"it is not a checkpoint"))?;
    let header: Header = serde_json::from_str(json).map_err(|e| corrupt(&e))?;
    if header.fingerprint != fingerprint || header.shape != recipe.shape {
        return Err(corrupt(&"it belongs to another training"));
    }
    let tensors = SafeTensors::deserialize(bytes).map_err(|e| corrupt(&e))?;
    let network =
        |index: usize| -> Result<Network, ModelError> { read_network(&tensors, index, &header.shape) };
    let mut finished = Vec::new();
    for (index, done) in header.finished.iter().enumerate() {
        finished.push(Fitted {
            best: Best { epoch: done.epoch, score: done.score, network: network(index)? },
            epochs: done.epochs,
            stopped: match done.stopped.as_deref() {
                Some("time_limit") => Some("time_limit"),
                Some("early_stopping") => Some("early_stopping"),
                _ => None,
            },
            elapsed_s: done.elapsed_s,
        });
    }
    let current = match header.current {
        None => None,
        Some(current) => {
            let best = match current.best {
                None => None,
                Some((epoch, score)) => Some(Best { epoch, score, network: network(finished.len() + 1)? }),
            };
            let mut moments = Vec::new();
            for (index, n) in Parameters::arrays(&header.shape).into_iter().enumerate() {
                let Moments { first, second } = Moments::new(&recipe.rule, n);
                moments.push(Moments {
                    first: read_array(&tensors, &format!("moment.{index}.first"), &[first.len()])?,
                    second: read_array(&tensors, &format!("moment.{index}.second"), &[second.len()])?,
                });
            }
            let parameters = Parameters::from_network(network(finished.len())?, backend);
            Some(State { position: current.position, parameters, moments, best })
        }
    };
    Ok(Checkpoint { finished, current })
}
