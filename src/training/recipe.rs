//! How one network is trained, from the settings of the training.

use super::initial::Initial;
use super::optimizer::Rule;
use super::schedule::Schedule;
use super::spec::{Architecture, Preset, Spec};
use crate::model::activation::Activation;
use crate::model::embedding::steps::Steps;
use crate::model::encoder::Encoder;
use crate::model::manifest::Task;
use crate::model::network::{Role, Shape};

/// How one network is trained: a recipe with nothing left open.
#[derive(Debug, Clone)]
pub struct Recipe {
    /// The network.
    pub shape: Shape,
    /// The optimiser.
    pub rule: Rule,
    /// The first numbers.
    pub initial: Initial,
    /// The learning rate over time.
    pub schedule: Schedule,
    /// Base learning rate.
    pub learning_rate: f64,
    /// Factors of the learning rate.
    pub rate_factors: RateFactors,
    /// Decoupled decay of the weights; other arrays have none.
    pub weight_decay: f64,
    /// Share of hidden units switched off.
    pub dropout: f64,
    /// Weight decay and dropout over time.
    pub regularization: Schedule,
    /// Passes over the training part.
    pub epochs: usize,
    /// Rows per step.
    pub batch_size: usize,
    /// Epochs without a better score before stopping.
    pub patience: Option<usize>,
    /// Seed of every random choice.
    pub seed: u64,
    /// 0-based.
    pub fold: u32,
    /// Seconds of training allowed, including those of earlier attempts.
    pub time_limit_s: Option<f64>,
    /// Stop after this epoch and take its network, with no validation part to choose by.
    pub take_epoch: Option<usize>,
}

impl Recipe {
    /// Rows per step on a training part of `n` rows.
    pub fn batch(&self, n: usize) -> usize {
        self.batch_size.min(n)
    }

    /// Steps per epoch on `n` rows. Those left over wait for the next epoch's order: a last batch of few would be
    /// noise.
    pub fn steps_per_epoch(&self, n: usize) -> u64 {
        (n / self.batch(n)) as u64
    }

    /// Steps in all epochs on `n` rows.
    pub fn total_steps(&self, n: usize) -> u64 {
        self.steps_per_epoch(n) * self.epochs as u64
    }
}

/// The share of the learning rate that the arrays of each role get.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct RateFactors {
    /// Of [`Role::Embedding`].
    pub embedding: f64,
    /// Of [`Role::Scale`].
    pub scale: f64,
    /// Of [`Role::Bias`].
    pub bias: f64,
    /// Of [`Role::Slope`].
    pub slope: f64,
}

impl RateFactors {
    /// The same rate for all.
    pub const EQUAL: Self = Self { embedding: 1.0, scale: 1.0, bias: 1.0, slope: 1.0 };

    /// That of `role`.
    pub fn of(&self, role: Role) -> f64 {
        match role {
            Role::Embedding => self.embedding,
            Role::Scale => self.scale,
            Role::Weight | Role::Vectors => 1.0,
            Role::Edges => 0.0,
            Role::Bias => self.bias,
            Role::Slope => self.slope,
        }
    }
}

/// What an architecture takes where a request says nothing.
#[derive(Debug, Clone, PartialEq)]
pub struct Defaults {
    /// Units of each hidden layer.
    pub hidden_layers: Vec<usize>,
    /// After each hidden layer.
    pub activation: Activation,
    /// Base learning rate.
    pub learning_rate: f64,
    /// Decoupled weight decay.
    pub weight_decay: f64,
    /// Share of hidden units switched off in each step.
    pub dropout: f64,
    /// Epochs without a better score before stopping.
    pub patience: Option<usize>,
}

impl Defaults {
    /// The defaults of `architecture` for `task`.
    pub fn of(architecture: Architecture, task: Task) -> Self {
        let hidden_layers = vec![256, 256, 256];
        let (activation, learning_rate) = match (architecture, task) {
            (Architecture::Mlp, _) => (Activation::Relu, 0.001),
            (_, Task::Classification) => (Activation::Selu, 0.04),
            (Architecture::RealmlpTd, Task::Regression) => (Activation::Mish, 0.2),
            (Architecture::RealmlpTdS, Task::Regression) => (Activation::Mish, 0.07),
        };
        let (weight_decay, dropout) =
            if architecture == Architecture::RealmlpTd { (0.02, 0.15) } else { (0.0, 0.0) };
        let patience = (architecture == Architecture::Mlp).then_some(20);
        Self { hidden_layers, activation, learning_rate, weight_decay, dropout, patience }
    }
}

impl Defaults {
    /// Rows per step for a network that is fitted on `n` rows: small tables need many small steps, large
    /// ones are learned well by fewer and larger ones, which cost less per row.
    pub fn batch_size(n: usize) -> usize {
        match n {
            0..=1_024 => 64,
            1_025..=8_192 => 128,
            8_193..=30_000 => 256,
            30_001..=100_000 => 512,
            _ => 1024,
        }
    }

    /// Passes over `n` rows: fewer where there are many rows, since the number of steps is what counts.
    pub fn epochs(n: usize) -> usize {
        const ALL: f64 = 256.0;
        const MANY: f64 = 20_000.0;
        (ALL * (MANY / n.max(1) as f64).sqrt().min(1.0)) as usize
    }
}

/// The shape of the networks of a training, and the steps of those that are to have them for every number, where that
/// is of use; `features`, `[n, inputs]`, gives the rows that one of them is fitted on.
pub fn shape(
    spec: &Spec,
    encoder: &Encoder,
    features: impl FnOnce() -> Vec<f32>,
    outputs: usize,
) -> (Shape, Option<Vec<Steps>>) {
    let full = spec.architecture == Architecture::RealmlpTd;
    let inputs = encoder.width();
    let (mut stepped, mut of_all) = (Vec::new(), None);
    if full {
        let features = features();
        let column = |feature: usize| features.iter().skip(feature).step_by(inputs).copied().collect();
        let numbers = encoder.features_of_numbers();
        stepped = numbers.iter().filter_map(|feature| Steps::choose(*feature, column(*feature))).collect();
        of_all = Steps::of_all(&numbers, features.len() / inputs, column);
    }
    let shape = Shape {
        inputs,
        embedded: if full { encoder.numeric_features() } else { Vec::new() },
        stepped,
        categories: if full { encoder.long_categories() } else { Vec::new() },
        hidden: spec.hidden_layers.clone(),
        outputs,
        activation: spec.activation,
        parametric: full,
        scaling_layer: spec.architecture.is_realmlp(),
        ntk: spec.architecture.is_realmlp(),
    };
    (shape, of_all)
}

/// How the networks of one variant differ from what the settings say.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Variant {
    /// Not at all.
    AsSet,
    /// Steps for every number: better where answers change abruptly, as trees have it.
    Stepped,
    /// Neither dropout nor weight decay: better where the data are many or without noise.
    Unregularized,
    /// Four times as many rows per step: better where the data are noisy.
    LargeBatches,
}

/// The variants that a training fits on every fold, the most promising one first; `can_step` says whether the data have
/// numbers with [steps for all](Steps::of_all).
pub fn variants(spec: &Spec, can_step: bool) -> Vec<Variant> {
    let all: &[Variant] = match spec.preset {
        Preset::Fast => &[Variant::AsSet],
        Preset::Balanced => &[Variant::AsSet, Variant::Stepped],
        Preset::Best => &[Variant::AsSet, Variant::Stepped, Variant::Unregularized, Variant::LargeBatches],
    };
    all.iter().copied().filter(|variant| can_step || *variant != Variant::Stepped).collect()
}

/// How network `index` of a training with `spec` is fitted, which is one of `variant` and has this `shape`.
pub fn recipe(spec: &Spec, shape: Shape, variant: Variant, index: usize) -> Recipe {
    let realmlp = spec.architecture.is_realmlp();
    let regularized = if variant == Variant::Unregularized { 0.0 } else { 1.0 };
    Recipe {
        shape,
        rule: Rule { optimizer: spec.optimizer, beta2: if realmlp { 0.95 } else { 0.999 } },
        initial: match spec.architecture {
            Architecture::RealmlpTd => Initial::DataDriven,
            Architecture::RealmlpTdS => Initial::Normal,
            Architecture::Mlp => Initial::Uniform,
        },
        schedule: if realmlp { Schedule::CosLog4 } else { Schedule::Constant },
        learning_rate: spec.learning_rate,
        rate_factors: if realmlp {
            RateFactors { embedding: 0.1, scale: 6.0, bias: 0.1, slope: 0.1 }
        } else {
            RateFactors::EQUAL
        },
        weight_decay: regularized * spec.weight_decay,
        dropout: regularized * spec.dropout,
        regularization: match spec.architecture {
            Architecture::RealmlpTd => Schedule::FlatCos,
            _ => Schedule::Constant,
        },
        epochs: spec.epochs,
        batch_size: if variant == Variant::LargeBatches { 4 * spec.batch_size } else { spec.batch_size },
        patience: spec.early_stopping.map(|stopping| stopping.patience),
        seed: spec.seed,
        fold: index as u32,
        time_limit_s: None,
        take_epoch: None,
    }
}
