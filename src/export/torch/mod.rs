//! A model as a file of PyTorch: what `torch.save` writes for a dictionary of tensors.
//!
//! ```text
//! zip, stored   archive/data.pkl     the dictionary: see `pickle`
//!               archive/byteorder    "little"
//!               archive/data/0 ...   the numbers of each tensor, little-endian floats
//!               archive/version      "3\n"
//!
//! dictionary    manifest                             everything but the weights, as a text of JSON
//!               networks.0.embedding.frequency ...   as in the model file
//!               networks.0.scale
//!               networks.0.layers.0.weight           [outputs, inputs], as torch.nn.Linear has it
//!               networks.0.layers.0.bias
//!               networks.0.activations.0.slope       where the activation is parametric
//!               domain.rows, domain.pairs            as in the model file
//! ```
//!
//! The factor of the neural tangent parametrisation is multiplied into the weights, so that a layer is a
//! plain `torch.nn.Linear`. [`PYTHON`] makes a module of all this that answers as `POST /predict` does.

mod pickle;

use super::{ExportError, Form};
use crate::model::network::{Network, Role};
use crate::model::{Model, file};
use pickle::Pickle;
use std::io::{Cursor, Write};
use zip::{CompressionMethod, DateTime, ZipWriter, result::ZipResult, write::SimpleFileOptions};

/// A Python module that needs PyTorch alone: it reads the file and answers from it.
pub const PYTHON: &str = include_str!("taqicfd_model.py");

/// Where the numbers of a tensor begin in the file: a multiple of this, so that they can be mapped.
const ALIGNMENT: u16 = 64;

/// A tensor of the dictionary.
struct Tensor {
    name: String,
    dims: Vec<usize>,
    values: Vec<f32>,
}

/// Writes `model` as a file that `torch.load(path, weights_only=True)` opens.
///
/// # Errors
/// When it is larger than an archive may be.
pub fn to_bytes(model: &Model) -> Result<Vec<u8>, ExportError> {
    let manifest = model.manifest();
    let mut tensors: Vec<Tensor> =
        model.networks().iter().enumerate().flat_map(|(index, network)| of_network(index, network)).collect();
    for (name, dims, values) in file::domain_tensors(&manifest.domain) {
        tensors.push(Tensor { name: name.to_owned(), dims, values: values.to_vec() });
    }
    let json = serde_json::to_string(manifest).expect("a manifest has only string keys");
    archive(&json, &tensors)
        .map_err(|error| ExportError { form: Form::Torch.name(), reason: error.to_string() })
}

fn of_network(index: usize, network: &Network) -> Vec<Tensor> {
    let arrays = network.arrays.iter().zip(network.shape.arrays());
    let tensors = arrays.map(|(values, array)| {
        let name = format!("networks.{index}.{}", array.name);
        match (array.role, array.dims.as_slice()) {
            (Role::Weight, &[inputs, outputs]) => {
                let factor = f64::from(network.shape.product_scale(inputs));
                let weight = |row, column| (f64::from(values[row * outputs + column]) * factor) as f32;
                let transposed =
                    (0..outputs).flat_map(|column| (0..inputs).map(move |row| weight(row, column)));
                let name = name.replace(".layer.", ".layers.");
                Tensor { name, dims: vec![outputs, inputs], values: transposed.collect() }
            }
            (Role::Slope, _) => {
                let name = name.replace(".layer.", ".activations.");
                Tensor { name, dims: array.dims, values: values.clone() }
            }
            _ => {
                Tensor { name: name.replace(".layer.", ".layers."), dims: array.dims, values: values.clone() }
            }
        }
    });
    tensors.collect()
}

fn archive(manifest: &str, tensors: &[Tensor]) -> ZipResult<Vec<u8>> {
    let mut pickle = Pickle::new();
    pickle.text_entry("manifest", manifest);
    for (index, tensor) in tensors.iter().enumerate() {
        pickle.tensor_entry(&tensor.name, &tensor.dims, &index.to_string());
    }
    // Without a time, so that the same model gives the same bytes.
    let options = SimpleFileOptions::default()
        .compression_method(CompressionMethod::Stored)
        .last_modified_time(DateTime::default())
        .with_alignment(ALIGNMENT);
    let mut zip = ZipWriter::new(Cursor::new(Vec::new()));
    let mut entry = |name: &str, bytes: &[u8]| -> ZipResult<()> {
        zip.start_file(format!("archive/{name}"), options)?;
        Ok(zip.write_all(bytes)?)
    };
    entry("data.pkl", &pickle.into_bytes())?;
    entry("byteorder", b"little")?;
    for (index, tensor) in tensors.iter().enumerate() {
        let bytes: Vec<u8> = tensor.values.iter().flat_map(|value| value.to_le_bytes()).collect();
        entry(&format!("data/{index}"), &bytes)?;
    }
    entry("version", b"3\n")?;
    Ok(zip.finish()?.into_inner())
}
