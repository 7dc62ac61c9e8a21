//! A request for training, and the checked settings that it becomes.

use crate::model::activation::Activation;
use crate::model::manifest::Task;
use serde::{Deserialize, Serialize};

/// The body of a training request: everything is optional.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct TrainRequest {
    /// The dataset; the newest where absent.
    pub dataset_id: Option<crate::id::DatasetId>,
    /// The column to predict.
    pub target: Option<String>,
    /// The columns to predict; not together with `target`.
    pub targets: Option<Vec<String>>,
    /// The columns to predict from; every usable one where absent.
    pub features: Option<Vec<String>>,
    /// Columns to leave out.
    pub exclude: Option<Vec<String>>,
    /// `auto`, `regression` or `classification`.
    pub task: Option<String>,
    /// `fast`: one network; `balanced`: two variants of one per fold, blended; `best`: four variants.
    pub preset: Option<String>,
    /// `auto`, `realmlp_td`, `realmlp_td_s` or `mlp`.
    pub architecture: Option<String>,
    /// Units of each hidden layer.
    pub hidden_layers: Option<Vec<i64>>,
    /// `relu`, `leaky_relu`, `elu`, `selu`, `silu`, `mish`, `gelu`, `tanh` or `sigmoid`.
    pub activation: Option<String>,
    /// Share of hidden units switched off at random in each step.
    pub dropout: Option<f64>,
    /// Passes over the training part.
    pub epochs: Option<i64>,
    /// Rows per step.
    pub batch_size: Option<i64>,
    /// Base learning rate.
    pub learning_rate: Option<f64>,
    /// Decoupled weight decay per step, times the learning rate.
    pub weight_decay: Option<f64>,
    /// `adam`, `adamw`, `rmsprop` or `sgd`.
    pub optimizer: Option<String>,
    /// When to stop before the last epoch.
    pub early_stopping: Option<EarlyStoppingRequest>,
    /// How the rows are divided.
    pub validation: Option<ValidationRequest>,
    /// `auto`, `linear` or `log`: whether the networks learn the targets or their logarithms.
    pub target_scale: Option<String>,
    /// Seed of every random choice.
    pub seed: Option<u64>,
    /// Seconds of training after which the best network so far is taken.
    pub time_limit_s: Option<f64>,
    /// Confidence of intervals where a prediction asks for none.
    pub confidence: Option<f64>,
    /// Train the final network once more on all rows.
    pub refit: Option<bool>,
    /// Name of the model; versions count up per name.
    pub model_name: Option<String>,
    /// Free labels.
    pub tags: Option<std::collections::BTreeMap<String, String>>,
}

/// The `early_stopping` of a request.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct EarlyStoppingRequest {
    /// Epochs without a better validation score.
    pub patience: Option<i64>,
}

/// The `validation` of a request.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct ValidationRequest {
    /// Share of the rows kept for the test part.
    pub test_size: Option<f64>,
    /// Share of the remaining rows that choose the epoch, where there are no folds.
    pub validation_size: Option<f64>,
    /// `random`, `stratified`, `group` or `time`.
    pub method: Option<String>,
    /// The column whose equal values stay together.
    pub group: Option<String>,
    /// The column that orders the rows: the last ones are the test part.
    pub time: Option<String>,
    /// Networks, each validated on another part; their mean answers.
    pub folds: Option<i64>,
}

/// Checked settings: what a training does, completely. Nothing below checks them again.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Spec {
    /// Columns to predict.
    pub targets: Vec<String>,
    /// Columns to predict from.
    pub features: Vec<String>,
    /// Numbers or classes.
    pub task: Task,
    /// How much effort is made.
    pub preset: Preset,
    /// Which recipe.
    pub architecture: Architecture,
    /// Units of each hidden layer.
    pub hidden_layers: Vec<usize>,
    /// After each hidden layer.
    pub activation: Activation,
    /// Share of hidden units switched off in each step.
    pub dropout: f64,
    /// Passes over the training part.
    pub epochs: usize,
    /// Rows per step.
    pub batch_size: usize,
    /// Base learning rate.
    pub learning_rate: f64,
    /// Decoupled weight decay.
    pub weight_decay: f64,
    /// How gradients become steps.
    pub optimizer: Optimizer,
    /// When to stop before the last epoch.
    pub early_stopping: Option<EarlyStopping>,
    /// How the rows are divided.
    pub validation: Validation,
    /// Whether the networks learn the targets or their logarithms.
    #[serde(default)]
    pub target_scale: TargetScale,
    /// Seed of every random choice.
    pub seed: u64,
    /// Seconds after which the best network so far is taken.
    pub time_limit_s: Option<f64>,
    /// Confidence of intervals where a prediction asks for none.
    pub confidence: f64,
    /// Train the final network once more on all rows.
    pub refit: bool,
    /// Name of the model.
    pub model_name: String,
    /// Free labels.
    pub tags: std::collections::BTreeMap<String, String>,
}

/// How much effort a training makes.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Preset {
    /// One network.
    Fast,
    /// One network per fold; their mean answers.
    Balanced,
    /// One network per fold in each of several variants, which are blended by what they answer to the
    /// rows left out.
    Best,
}

/// A recipe for a network and its training.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Architecture {
    /// `RealMLP` in full (Holzmüller et al. 2024).
    RealmlpTd,
    /// The simplified `RealMLP` (Holzmüller et al. 2024).
    RealmlpTdS,
    /// A plain multi-layer perceptron with every setting open.
    Mlp,
}

impl Architecture {
    /// Whether it is one of the `RealMLP` recipes.
    pub fn is_realmlp(self) -> bool {
        self != Self::Mlp
    }
}

/// What the networks learn of a numeric target. Answers are in the target's unit in any case.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum TargetScale {
    /// The logarithm of targets whose few largest values would drown all others, else the target.
    #[default]
    Auto,
    /// The target.
    Linear,
    /// Its logarithm: errors count relative to the value.
    Log,
}

/// How gradients become steps.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Optimizer {
    /// Kingma and Ba 2015; weight decay is decoupled here too.
    Adam,
    /// Loshchilov and Hutter 2019: Adam with decoupled weight decay.
    Adamw,
    /// Gradient over its running root mean square.
    Rmsprop,
    /// Gradient descent with momentum 0.9.
    Sgd,
}

/// Stops after `patience` epochs without a better validation score.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct EarlyStopping {
    /// Epochs.
    pub patience: usize,
}

/// How the rows are divided.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Validation {
    /// Share of the rows in the test part; 0 only with folds.
    pub test_size: f64,
    /// Share of the other rows that choose the epoch; unused with folds.
    pub validation_size: f64,
    /// How rows are chosen.
    pub method: SplitMethod,
    /// The column whose equal values stay together.
    pub group: Option<String>,
    /// The column that orders the rows.
    pub time: Option<String>,
    /// Number of networks, each validated on another part; 1 for a single validation part.
    pub folds: usize,
}

/// How rows are chosen for the test and validation parts.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum SplitMethod {
    /// At random.
    Random,
    /// At random within each class.
    Stratified,
    /// Whole groups at random.
    Group,
    /// The last rows by time.
    Time,
}

/// What a training will cost, about.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
pub struct Estimate {
    /// Seconds on this machine.
    pub train_s: f64,
    /// Bytes of memory at the peak.
    pub memory_bytes: u64,
    /// Trained numbers of one network.
    pub n_parameters: u64,
}

/// The result of checking a request.
#[derive(Debug, Clone, PartialEq)]
pub struct Checked {
    /// Settings for [`train`](super::train).
    pub spec: Spec,
    /// What was chosen for the caller, and which columns were left out.
    pub warnings: Vec<crate::dataset::Warning>,
    /// What it will cost.
    pub estimate: Estimate,
}

/// Why a request cannot be trained.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{}", errors[0].message)]
pub struct SpecError {
    /// `invalid-parameter`, `unknown-column`, `constant-target`, `no-target-values`, `too-few-rows`,
    /// `too-many-classes` or `model-too-large`.
    pub slug: &'static str,
    /// At least one.
    pub errors: Vec<SettingError>,
}

/// One setting that cannot be used.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SettingError {
    /// JSON pointer into the request, such as `/validation/test_size`.
    pub pointer: String,
    /// What is wrong and what is allowed.
    pub message: String,
}
