//! The model file: one safetensors file, readable by any library of that format.
//!
//! ```text
//! header  __metadata__["taqicfd"]  the manifest as JSON
//! tensors network.0.embedding. ...                     where the shape embeds features
//!         network.0.scale          [width]             where the shape has a scaling layer
//!         network.0.layer.0.weight [width, units]      one group per layer, the output layer last
//!         network.0.layer.0.bias   [units]
//!         network.0.layer.0.slope  [units]             where the activation is parametric
//!         network.1. ...                               one group per network
//!         domain.rows              [rows, inputs]      encoded training rows, to tell strange ones
//!         domain.pairs             [cells]             how strange values of two inputs are together
//!         checksum                 [32] bytes          SHA-256 of the file with zeros in this place
//! ```
//!
//! The file is data, never code, and everything it declares is checked against its length before it
//! is used. Files from before there was a checksum are read too.

use super::Model;
use super::device::Backend;
use super::domain::Domain;
use super::manifest::{FORMAT, FORMAT_VERSION, Manifest};
use super::network::{Network, Shape};
use super::sound;
use safetensors::{Dtype, SafeTensors, tensor::TensorView};
use sha2::{Digest, Sha256};
use std::collections::HashMap;
use std::ops::Range;

const METADATA_KEY: &str = "taqicfd";
const DOMAIN_ROWS: &str = "domain.rows";
const DOMAIN_PAIRS: &str = "domain.pairs";
const CHECKSUM: &str = "checksum";
const CHECKSUM_BYTES: usize = 32;

/// Why a model file cannot be used.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum ModelError {
    /// Damaged, cut short, or not a model of this product.
    #[error("the model file is damaged or not a taqicfd model: {0}")]
    Corrupt(String),
    /// Written by a newer program.
    #[error(
        "the model file has format {found}, and this program reads up to {FORMAT_VERSION}; use a newer taqicfd"
    )]
    TooNew {
        /// The file's format version.
        found: u32,
    },
}

/// Writes a model file.
pub fn to_bytes(manifest: &Manifest, networks: &[Network]) -> Vec<u8> {
    let json = serde_json::to_string(manifest).expect("a manifest has only string keys");
    let mut tensors: Vec<(String, Vec<usize>, Vec<u8>)> =
        networks.iter().enumerate().flat_map(|(index, network)| network_tensors(index, network)).collect();
    for (name, dims, values) in domain_tensors(&manifest.domain) {
        tensors.push((name.to_owned(), dims, to_little_endian(values)));
    }
    write(json, &tensors)
}

/// `(name, shape, numbers)` of each array that tells strange rows.
pub fn domain_tensors(domain: &Domain) -> Vec<(&'static str, Vec<usize>, &[f32])> {
    let rows = domain.joint().map(|joint| {
        let (rows, width) = joint.rows();
        (DOMAIN_ROWS, vec![rows.len() / width, width], rows)
    });
    let cells = domain.pairs().map(|pairs| (DOMAIN_PAIRS, vec![pairs.n_cells()], pairs.cells()));
    rows.into_iter().chain(cells).collect()
}

/// Gives the domain its arrays.
fn read_domain(domain: &mut Domain, tensors: &SafeTensors) -> Result<(), ModelError> {
    let finite = |values: Vec<f32>| {
        let is_usable = !values.is_empty() && values.iter().all(|value| value.is_finite());
        let damage =
            || ModelError::Corrupt("the tables of the domain hold what is not a finite number".to_owned());
        is_usable.then_some(values).ok_or_else(damage)
    };
    if let Some(joint) = domain.joint_mut() {
        let n = tensors.tensor(DOMAIN_ROWS).map_or(0, |view| view.shape().first().copied().unwrap_or(0));
        joint.set_rows(finite(read_array(tensors, DOMAIN_ROWS, &[n, joint.width()])?)?);
    }
    if let Some(pairs) = domain.pairs_mut() {
        pairs.set_cells(finite(read_array(tensors, DOMAIN_PAIRS, &[pairs.n_cells()])?)?);
    }
    Ok(())
}

/// A file of a manifest and `(name, shape, little-endian bytes)` of each array of floats.
fn write(manifest: String, tensors: &[(String, Vec<usize>, Vec<u8>)]) -> Vec<u8> {
    let metadata = HashMap::from([(METADATA_KEY.to_owned(), manifest)]);
    let views = tensors.iter().map(|(name, shape, bytes)| {
        let view = TensorView::new(Dtype::F32, shape.clone(), bytes).expect("sizes come from the shape");
        (name.as_str(), view)
    });
    let zeros = [0; CHECKSUM_BYTES];
    let place = TensorView::new(Dtype::U8, vec![CHECKSUM_BYTES], &zeros).expect("as many bytes as it says");
    let mut file = safetensors::serialize(views.chain([(CHECKSUM, place)]), Some(metadata))
        .expect("names are distinct and sizes right");
    let place = checksum_place(&file).expect("it was just written");
    let checksum = checksum(&file, &place);
    file[place].copy_from_slice(&checksum);
    file
}

/// Where the checksum of a file stands, if it has one.
fn checksum_place(file: &[u8]) -> Option<Range<usize>> {
    let (header, metadata) = SafeTensors::read_metadata(file).ok()?;
    let info = metadata.info(CHECKSUM).filter(|info| info.dtype == Dtype::U8)?;
    let (begin, end) = info.data_offsets;
    let begins = size_of::<u64>() + header;
    (end - begin == CHECKSUM_BYTES).then_some(begins + begin..begins + end)
}

/// SHA-256 of a file as if the checksum in `place` were zeros.
fn checksum(file: &[u8], place: &Range<usize>) -> [u8; CHECKSUM_BYTES] {
    let hash = Sha256::new().chain_update(&file[..place.start]).chain_update([0; CHECKSUM_BYTES]);
    hash.chain_update(&file[place.end..]).finalize().into()
}

/// `(name, shape, little-endian bytes)` of each array of a network.
pub fn network_tensors(index: usize, network: &Network) -> Vec<(String, Vec<usize>, Vec<u8>)> {
    let arrays = network.arrays.iter().zip(network.shape.arrays());
    arrays
        .map(|(values, array)| {
            (format!("network.{index}.{}", array.name), array.dims, to_little_endian(values))
        })
        .collect()
}

fn to_little_endian(values: &[f32]) -> Vec<u8> {
    values.iter().flat_map(|value| value.to_le_bytes()).collect()
}

/// The array called `name`, which must have `shape`.
pub fn read_array(tensors: &SafeTensors, name: &str, shape: &[usize]) -> Result<Vec<f32>, ModelError> {
    let view = tensors.tensor(name).map_err(|_| ModelError::Corrupt(format!("\"{name}\" is missing")))?;
    if view.dtype() != Dtype::F32 || view.shape() != shape {
        return Err(ModelError::Corrupt(format!(
            "\"{name}\" is {:?} {:?} where F32 {shape:?} belongs",
            view.dtype(),
            view.shape()
        )));
    }
    Ok(view.data().chunks_exact(4).map(|b| f32::from_le_bytes([b[0], b[1], b[2], b[3]])).collect())
}

/// The network written as number `index`, which must have `shape`.
pub fn read_network(tensors: &SafeTensors, index: usize, shape: &Shape) -> Result<Network, ModelError> {
    let arrays = shape.arrays();
    let arrays = arrays
        .iter()
        .map(|array| read_array(tensors, &format!("network.{index}.{}", array.name), &array.dims));
    let network = Network { shape: shape.clone(), arrays: arrays.collect::<Result<_, _>>()? };
    if network.is_finite() {
        Ok(network)
    } else {
        Err(ModelError::Corrupt("a weight is not a finite number".to_owned()))
    }
}

impl Model {
    /// Reads a model file from outside: it must have a checksum, so that any change to it is found.
    /// Never panics, whatever the bytes.
    pub fn from_foreign_bytes(bytes: &[u8], backend: Backend) -> Result<Self, ModelError> {
        let model = Self::from_bytes(bytes, backend)?;
        match checksum_place(bytes) {
            Some(_) => Ok(model),
            None => Err(ModelError::Corrupt(
                "it has no checksum; train again, or use a file of this version".to_owned(),
            )),
        }
    }

    /// Reads a model file. Never panics, whatever the bytes.
    pub fn from_bytes(bytes: &[u8], backend: Backend) -> Result<Self, ModelError> {
        let corrupt = |error: &dyn std::fmt::Display| ModelError::Corrupt(error.to_string());
        let (_, header) = SafeTensors::read_metadata(bytes).map_err(|e| corrupt(&e))?;
        if let Some(place) = checksum_place(bytes)
            && checksum(bytes, &place) != bytes[place]
        {
            return Err(ModelError::Corrupt("its checksum does not fit: some bytes were changed".to_owned()));
        }
        let json = header
            .metadata()
            .as_ref()
            .and_then(|metadata| metadata.get(METADATA_KEY))
            .ok_or_else(|| ModelError::Corrupt("it has no manifest".to_owned()))?;
        // The version first: a newer manifest may have another shape.
        let value: serde_json::Value = serde_json::from_str(json).map_err(|e| corrupt(&e))?;
        if value["format"] != FORMAT {
            return Err(ModelError::Corrupt("its manifest is of another format".to_owned()));
        }
        let found = value["format_version"].as_u64().unwrap_or(0) as u32;
        if found > FORMAT_VERSION {
            return Err(ModelError::TooNew { found });
        }
        let mut manifest: Manifest = serde_json::from_value(value).map_err(|e| corrupt(&e))?;
        sound::check(&manifest).map_err(|e| corrupt(&e))?;
        let tensors = SafeTensors::deserialize(bytes).map_err(|e| corrupt(&e))?;
        read_domain(&mut manifest.domain, &tensors)?;
        let networks = (0..manifest.members.len())
            .map(|index| read_network(&tensors, index, &manifest.shape_of(index)))
            .collect::<Result<_, _>>()?;
        Ok(Self::new(manifest, networks, backend))
    }
}
