//! A model as one ONNX file that needs nothing beside it.
//!
//! ```text
//! the user's columns --columns--> features --networks--> outputs --answers--> values, bounds, labels, sets
//!                                    |                                 |
//!                                    +--domain--> in_domain, domain_score, wider bounds
//! ```
//!
//! The file answers as `POST /predict` does with `"unknown_category": "missing"`. What that would refuse,
//! a row without a value that training never saw missing, is answered with NaN, an empty label, an empty
//! set and `in_domain` false: a graph cannot fail. Texts are compared as they are, without cutting blanks
//! off. `properties` says all this in the file itself, with rows to check a runtime by.
//!
//! Only operators of ONNX 17 and `ai.onnx.ml` 3 are used, with types that common runtimes have.

mod answers;
mod columns;
mod domain;
mod example;
mod graph;
mod networks;
mod properties;
mod protobuf;

use super::{ExportError, Form};
use crate::model::Model;
use answers::Parts;
use graph::Graph;

/// Writes `model` as an ONNX file.
///
/// # Errors
/// When the model holds something that no training makes and ONNX cannot express.
pub fn to_bytes(model: &Model) -> Result<Vec<u8>, ExportError> {
    build(model).map_err(|reason| ExportError { form: Form::Onnx.name(), reason })
}

fn build(model: &Model) -> Result<Vec<u8>, String> {
    let manifest = model.manifest();
    let mut graph = Graph::default();
    let columns = columns::read(&mut graph, manifest)?;
    let encoded = columns.encode(&mut graph, manifest);
    let outputs = networks::forward(&mut graph, &model.networks(), &encoded.features);
    let judged = domain::judge(&mut graph, &manifest.domain, &columns, &encoded.features)?;
    let parts = Parts { manifest, outputs, judged, refused: encoded.refused };
    let notes = answers::give(&mut graph, &parts)?;
    let example = example::example(model, &columns.notes, &notes);
    let properties = properties::properties(manifest, &columns.notes, &notes, &example);
    Ok(graph.into_bytes(&manifest.program_version, &properties::summary(manifest), &properties))
}
