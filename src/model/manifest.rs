//! The manifest: everything about a model but its weights, as the model file carries it.

use super::domain::Domain;
use super::embedding::steps::Steps;
use super::encoder::Encoder;
use super::input::Input;
use super::interval::Calibration;
use super::network::Shape;
use crate::dataset::ColumnKind;
use serde::{Deserialize, Serialize};

/// Written as `format` in every manifest.
pub const FORMAT: &str = "taqicfd-model";
/// The newest format this program writes and reads.
pub const FORMAT_VERSION: u32 = 1;

/// What is predicted: numbers or classes.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Task {
    /// One or several numbers.
    Regression,
    /// One of several classes.
    Classification,
}

/// A column that the model predicts.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(tag = "kind", rename_all = "snake_case")]
pub enum Target {
    /// A number.
    Number {
        /// The column's name.
        name: String,
        /// Its unit.
        unit: Option<String>,
        /// Smallest value among the training rows; predictions do not go below.
        min: f64,
        /// Largest value among the training rows; predictions do not go above.
        max: f64,
    },
    /// A class. The network answers one logit per class.
    Class {
        /// The column's name.
        name: String,
        /// What the column was in the data: `category`, `boolean` or `number`.
        column_kind: ColumnKind,
        /// The classes, in the order of the outputs.
        classes: Vec<String>,
    },
}

/// What goes with one network: everything else that was fitted on its training part.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Member {
    /// Rows to features.
    pub encoder: Encoder,
    /// Mean and standard deviation of each numeric target, or of its logarithm; the network answers in
    /// these terms.
    pub target_scales: Vec<(f64, f64)>,
    /// Per numeric target: whether the network answers its natural logarithm. None does if empty.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub logarithmic: Vec<bool>,
    /// How much the network has to say among the others.
    #[serde(default = "one")]
    pub weight: f64,
    /// The steps of the network where they are not those of [`Manifest::shape`].
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub stepped: Option<Vec<Steps>>,
}

fn one() -> f64 {
    1.0
}

/// Everything about a model but its weights. Holds no time and no id, so that the same data, settings and seed
/// give the same file, byte for byte, on the same backend and number of threads and without a time limit.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Manifest {
    /// Always [`FORMAT`].
    pub format: String,
    /// [`FORMAT_VERSION`] of the program that wrote it.
    pub format_version: u32,
    /// Version of the program that wrote it.
    pub program_version: String,
    /// Numbers or classes.
    pub task: Task,
    /// What the model takes, in the order of a matrix request.
    pub inputs: Vec<Input>,
    /// What it predicts.
    pub targets: Vec<Target>,
    /// The shape of its networks, but for the steps of those that have others.
    pub shape: Shape,
    /// What goes with each network; together they answer.
    pub members: Vec<Member>,
    /// How far answers have been off, for intervals and sets.
    pub calibration: Calibration,
    /// What the training data looked like.
    pub domain: Domain,
    /// The confidence of intervals when a request names none.
    pub confidence: f64,
    /// The settings of the training, as resolved.
    pub settings: serde_json::Value,
    /// The scores on the test part, with the baselines'.
    pub scores: serde_json::Value,
    /// Rows the network was fitted on.
    pub n_training_rows: usize,
}

impl Manifest {
    /// The shape of network `index`.
    pub fn shape_of(&self, index: usize) -> Shape {
        let own = self.members[index].stepped.as_ref();
        Shape { stepped: own.unwrap_or(&self.shape.stepped).clone(), ..self.shape.clone() }
    }

    /// Numbers that training has chosen, of all networks together.
    pub fn n_parameters(&self) -> usize {
        (0..self.members.len()).map(|index| self.shape_of(index).n_parameters()).sum()
    }
}

impl Member {
    /// What the network says of numeric target number `target`, in the unit of the target.
    pub fn in_units(&self, target: usize, output: f64) -> f64 {
        let (mean, std) = self.target_scales[target];
        let value = output * std + mean;
        if self.is_logarithmic(target) { value.exp() } else { value }
    }

    /// Whether the network answers the logarithm of numeric target number `target`.
    pub fn is_logarithmic(&self, target: usize) -> bool {
        self.logarithmic.get(target).copied().unwrap_or(false)
    }
}

impl Target {
    /// The column's name.
    pub fn name(&self) -> &str {
        match self {
            Self::Number { name, .. } | Self::Class { name, .. } => name,
        }
    }

    /// What is answered where the networks say `value`: a number is held in the range that training saw.
    pub fn in_range(&self, value: f64) -> f64 {
        match self {
            Self::Number { min, max, .. } => value.clamp(*min, *max),
            Self::Class { .. } => value,
        }
    }
}
