//! The state of a training in bytes, so that another process can go on from it.
//!
//! A safetensors file like a model's: the finished networks, those in training with their moments and
//! their best epochs; everything else in the header.

use super::fit::{Best, Fitted, Position, State};
use super::optimizer::{Moments, Rule};
use crate::model::device::Backend;
use crate::model::file::{ModelError, network_tensors, read_array, read_network};
use crate::model::network::{Network, Shape};
use safetensors::{Dtype, SafeTensors, tensor::TensorView};
use serde::{Deserialize, Serialize};
use std::collections::HashMap;

const METADATA_KEY: &str = "taqicfd-checkpoint";

/// One network of a training: not begun, in training, or done.
#[derive(Debug, Clone, Default)]
pub enum Slot {
    /// Not begun.
    #[default]
    Waiting,
    /// Between two steps.
    Running(Box<State>),
    /// Done.
    Finished(Fitted),
}

#[derive(Debug, Serialize, Deserialize)]
struct Header {
    /// Of the settings and the data; a checkpoint of another training is not used.
    fingerprint: String,
    /// Of each network.
    shapes: Vec<Shape>,
    slots: Vec<SlotHeader>,
}

#[derive(Debug, Serialize, Deserialize)]
enum SlotHeader {
    Waiting,
    Running {
        position: Position,
        /// Epoch and score of the best network so far.
        best: Option<(usize, f64)>,
    },
    Finished {
        epoch: usize,
        score: f64,
        epochs: usize,
        stopped: Option<String>,
        elapsed_s: f64,
    },
}

/// Where the network of a slot, finished or in training, stands among those of the file; the best so
/// far of one in training comes right after it.
fn place(slot: usize) -> usize {
    2 * slot
}

fn moment_name(slot: usize, array: usize, which: &str) -> String {
    format!("moment.{slot}.{array}.{which}")
}

/// Writes the networks of a training whose settings and data have `fingerprint`.
pub fn to_bytes(fingerprint: &str, shapes: &[Shape], slots: &[Slot]) -> Vec<u8> {
    let mut headers = Vec::new();
    let mut tensors = Vec::new();
    for (index, slot) in slots.iter().enumerate() {
        headers.push(match slot {
            Slot::Waiting => SlotHeader::Waiting,
            Slot::Finished(fitted) => {
                tensors.extend(network_tensors(place(index), &fitted.best.network));
                SlotHeader::Finished {
                    epoch: fitted.best.epoch,
                    score: fitted.best.score,
                    epochs: fitted.epochs,
                    stopped: fitted.stopped.map(str::to_owned),
                    elapsed_s: fitted.elapsed_s,
                }
            }
            Slot::Running(state) => {
                tensors.extend(network_tensors(place(index), &state.network.clone().into_network()));
                if let Some(best) = &state.best {
                    tensors.extend(network_tensors(place(index) + 1, &best.network));
                }
                for (array, moments) in state.moments.iter().enumerate() {
                    for (which, values) in [("first", &moments.first), ("second", &moments.second)] {
                        let bytes = values.iter().flat_map(|value| value.to_le_bytes()).collect();
                        tensors.push((moment_name(index, array, which), vec![values.len()], bytes));
                    }
                }
                let best = state.best.as_ref().map(|best| (best.epoch, best.score));
                SlotHeader::Running { position: state.position, best }
            }
        });
    }
    let header = Header { fingerprint: fingerprint.to_owned(), shapes: shapes.to_vec(), slots: headers };
    let json = serde_json::to_string(&header).expect("a header has only string keys");
    let metadata = HashMap::from([(METADATA_KEY.to_owned(), json)]);
    let views = tensors.iter().map(|(name, shape, bytes)| {
        let view = TensorView::new(Dtype::F32, shape.clone(), bytes).expect("sizes come from the arrays");
        (name.as_str(), view)
    });
    safetensors::serialize(views, Some(metadata)).expect("names are distinct and sizes right")
}

/// Reads a checkpoint of the training with `fingerprint`, whose networks have `shapes` and are trained
/// by `rule`.
///
/// # Errors
/// When the bytes are damaged or belong to another training.
pub fn from_bytes(
    bytes: &[u8],
    fingerprint: &str,
    shapes: &[Shape],
    rule: &Rule,
    backend: Backend,
) -> Result<Vec<Slot>, ModelError> {
    let corrupt = |error: &dyn std::fmt::Display| ModelError::Corrupt(error.to_string());
    let (_, metadata) = SafeTensors::read_metadata(bytes).map_err(|e| corrupt(&e))?;
    let json = metadata.metadata().as_ref().and_then(|metadata| metadata.get(METADATA_KEY));
    let json = json.ok_or_else(|| corrupt(&"it is not a checkpoint"))?;
    let header: Header = serde_json::from_str(json).map_err(|e| corrupt(&e))?;
    if header.fingerprint != fingerprint || header.shapes != *shapes {
        return Err(corrupt(&"it belongs to another training"));
    }
    let tensors = SafeTensors::deserialize(bytes).map_err(|e| corrupt(&e))?;
    let slots = header.slots.into_iter().enumerate().map(|(index, slot)| {
        let shape = shapes.get(index).ok_or_else(|| corrupt(&"it belongs to another training"))?;
        let network = |place: usize| -> Result<Network, ModelError> { read_network(&tensors, place, shape) };
        Ok(match slot {
            SlotHeader::Waiting => Slot::Waiting,
            SlotHeader::Finished { epoch, score, epochs, stopped, elapsed_s } => Slot::Finished(Fitted {
                best: Best { epoch, score, network: network(place(index))? },
                epochs,
                stopped: match stopped.as_deref() {
                    Some("time_limit") => Some("time_limit"),
                    Some("early_stopping") => Some("early_stopping"),
                    _ => None,
                },
                elapsed_s,
            }),
            SlotHeader::Running { position, best } => {
                let best = match best {
                    None => None,
                    Some((epoch, score)) => Some(Best { epoch, score, network: network(place(index) + 1)? }),
                };
                let mut moments = Vec::new();
                for (array, array_shape) in shape.arrays().iter().enumerate() {
                    let Moments { first, second } = Moments::new(rule, array_shape.len());
                    let read = |which, n| read_array(&tensors, &moment_name(index, array, which), &[n]);
                    moments.push(Moments {
                        first: read("first", first.len())?,
                        second: read("second", second.len())?,
                    });
                }
                let network = network(place(index))?.ready(backend);
                Slot::Running(Box::new(State { position, network, moments, best }))
            }
        })
    });
    slots.collect()
}
