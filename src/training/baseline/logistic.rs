//! Multinomial logistic regression: a network without hidden layers.

use crate::model::activation::Activation;
use crate::model::interval::probabilities;
use crate::model::network::Shape;
use crate::training::TrainError;
use crate::training::fit::{State, fit};
use crate::training::initial::Initial;
use crate::training::optimizer::Rule;
use crate::training::part::{OwnedTruth, Part};
use crate::training::recipe::{RateFactors, Recipe};
use crate::training::schedule::Schedule;
use crate::training::session::Session;
use crate::training::spec::Optimizer;

/// The probabilities of the rows of `test`, of `width` features each, fitted on `training`.
pub(super) fn answers(
    session: &Session,
    training: &Part,
    test: &Part,
    width: usize,
) -> Result<Vec<f64>, TrainError> {
    let (outputs, backend) = (session.width(), session.compute.backend);
    let shape = Shape {
        inputs: width,
        embedded: Vec::new(),
        stepped: Vec::new(),
        categories: Vec::new(),
        hidden: Vec::new(),
        outputs,
        activation: Activation::Relu,
        parametric: false,
        scaling_layer: false,
        ntk: false,
    };
    let n = training.features.len() / width;
    // About 4000 steps, but no fewer than 10 passes and no more than 400.
    let epochs = (4000 * 256 / n.max(1)).clamp(10, 400);
    let recipe = Recipe {
        shape,
        rule: Rule { optimizer: Optimizer::Adam, beta2: 0.999 },
        initial: Initial::Uniform,
        schedule: Schedule::CosLog4,
        learning_rate: 0.02,
        rate_factors: RateFactors::EQUAL,
        weight_decay: 0.001,
        dropout: 0.0,
        regularization: Schedule::Constant,
        epochs,
        batch_size: 256,
        patience: None,
        seed: session.spec().seed,
        fold: 1000,
        time_limit_s: None,
        take_epoch: Some(epochs),
    };
    let empty = Part { features: Vec::new(), truth: OwnedTruth::Classes(Vec::new()) };
    let state = State::initial(&recipe, training, backend);
    let fitted = fit(&recipe, training, &empty, session.team, state, &mut |_| {}, session.stop)?;
    let logits = fitted.best.network.ready(backend).forward(&test.features);
    let logits: Vec<f64> = logits.into_iter().map(f64::from).collect();
    Ok(probabilities(&logits, outputs, 1.0))
}
