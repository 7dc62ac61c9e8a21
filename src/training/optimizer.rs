//! How gradients become steps: each rule is one loop over all its arrays.

use super::spec::Optimizer;
use pulp::Arch;
use serde::{Deserialize, Serialize};

/// Momentum of stochastic gradient descent.
const MOMENTUM: f32 = 0.9;
/// Decay of `RMSprop`'s running mean square, as in Hinton's lecture.
const RMS_DECAY: f32 = 0.99;
const EPSILON: f32 = 1e-8;

/// The constants of a rule.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
pub struct Rule {
    /// Which rule.
    pub optimizer: Optimizer,
    /// Decay of Adam's running mean square: 0.999 by custom, 0.95 in `RealMLP`.
    pub beta2: f32,
}

/// The running means of one array of parameters.
#[derive(Debug, Clone, PartialEq, Default)]
pub struct Moments {
    /// Of the gradient; empty for `RMSprop`.
    pub first: Vec<f32>,
    /// Of its square; empty for gradient descent.
    pub second: Vec<f32>,
}

/// What one step does to one array.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Step {
    /// Learning rate, schedule and factor of the array included.
    pub rate: f32,
    /// The share of each parameter that is taken away: rate times weight decay.
    pub decay: f32,
    /// 1-based number of the step.
    pub number: u64,
}

impl Moments {
    /// Zeros for an array of `n` parameters.
    pub fn new(rule: &Rule, n: usize) -> Self {
        let zeros = |wanted: bool| if wanted { vec![0.0; n] } else { Vec::new() };
        Self {
            first: zeros(rule.optimizer != Optimizer::Rmsprop),
            second: zeros(rule.optimizer != Optimizer::Sgd),
        }
    }
}

/// A stretch of one array of parameters, with everything that its step needs.
#[derive(Debug)]
pub struct Stretch<'a> {
    /// Rate and decay of the array.
    pub step: Step,
    /// The parameters.
    pub parameters: &'a mut [f32],
    /// As [`Moments::first`].
    pub first: &'a mut [f32],
    /// As [`Moments::second`].
    pub second: &'a mut [f32],
    /// The parts of the batch's gradient; they are added up.
    pub gradients: Vec<&'a [f32]>,
}

/// Moves the parameters of a stretch one step against their gradient.
///
/// Weight decay is decoupled from the gradient in every rule (Loshchilov and Hutter 2019).
pub fn update(rule: &Rule, stretch: Stretch) {
    // The two halves of a batch, the usual case, are added on the way instead of in a pass before.
    match stretch.gradients.as_slice() {
        [] => {}
        [only] => {
            apply(
                rule,
                stretch.step,
                stretch.parameters,
                stretch.first,
                stretch.second,
                only.iter().copied(),
            );
        }
        [a, b] => {
            let sums = a.iter().zip(*b).map(|(a, b)| a + b);
            apply(rule, stretch.step, stretch.parameters, stretch.first, stretch.second, sums);
        }
        [a, rest @ ..] => {
            let mut sum = a.to_vec();
            for part in rest {
                sum.iter_mut().zip(*part).for_each(|(a, b)| *a += b);
            }
            apply(rule, stretch.step, stretch.parameters, stretch.first, stretch.second, sum.into_iter());
        }
    }
}

#[inline(always)]
fn apply(
    rule: &Rule,
    step: Step,
    parameters: &mut [f32],
    first: &mut [f32],
    second: &mut [f32],
    gradient: impl Iterator<Item = f32>,
) {
    let keep = 1.0 - step.decay;
    let Step { rate, number, .. } = step;
    match rule.optimizer {
        Optimizer::Adam | Optimizer::Adamw => {
            let (beta1, beta2) = (0.9_f32, rule.beta2);
            let power = i32::try_from(number).unwrap_or(i32::MAX);
            let rate = rate / (1.0 - beta1.powi(power));
            let correction = 1.0 / (1.0 - beta2.powi(power));
            let arrays = parameters.iter_mut().zip(first.iter_mut()).zip(second.iter_mut()).zip(gradient);
            Arch::new().dispatch(|| {
                for (((p, m), v), g) in arrays {
                    *m += (1.0 - beta1) * (g - *m);
                    *v += (1.0 - beta2) * (g * g - *v);
                    *p = keep * *p - rate * *m / ((*v * correction).sqrt() + EPSILON);
                }
            });
        }
        Optimizer::Rmsprop => {
            let arrays = parameters.iter_mut().zip(second.iter_mut()).zip(gradient);
            Arch::new().dispatch(|| {
                for ((p, v), g) in arrays {
                    *v += (1.0 - RMS_DECAY) * (g * g - *v);
                    *p = keep * *p - rate * g / (v.sqrt() + EPSILON);
                }
            });
        }
        Optimizer::Sgd => {
            let arrays = parameters.iter_mut().zip(first.iter_mut()).zip(gradient);
            Arch::new().dispatch(|| {
                for ((p, m), g) in arrays {
                    *m = MOMENTUM * *m + g;
                    *p = keep * *p - rate * *m;
                }
            });
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn one(rule: &Rule, step: Step, parameters: &mut [f32], moments: &mut Moments, gradients: &[&[f32]]) {
        let Moments { first, second } = moments;
        update(rule, Stretch { step, parameters, first, second, gradients: gradients.to_vec() });
    }

    fn run(optimizer: Optimizer, decay: f32, gradients: &[f32]) -> Vec<f32> {
        let rule = Rule { optimizer, beta2: 0.999 };
        let (mut parameter, mut moments) = ([1.0], Moments::new(&rule, 1));
        gradients
            .iter()
            .zip(1..)
            .map(|(gradient, number)| {
                let step = Step { rate: 0.1, decay, number };
                one(&rule, step, &mut parameter, &mut moments, &[&[*gradient]]);
                parameter[0]
            })
            .collect()
    }

    fn close(got: &[f32], expected: &[f32]) {
        for (a, b) in got.iter().zip(expected) {
            assert!((a - b).abs() < 2e-6, "{got:?} is not {expected:?}");
        }
    }

    #[test]
    fn steps_are_those_of_pytorch() {
        // torch.optim.{Adam, AdamW(weight_decay=0.5), RMSprop, SGD(momentum=0.9)}, lr 0.1, on one
        // parameter of 1 with gradients 1, -2, 0.5.
        close(&run(Optimizer::Adam, 0.0, &[1.0, -2.0, 0.5]), &[0.9, 0.936_610_4, 0.950_279_5]);
        close(&run(Optimizer::Adamw, 0.05, &[1.0, -2.0, 0.5]), &[0.85, 0.844_110_4, 0.815_573_9]);
        close(&run(Optimizer::Rmsprop, 0.0, &[1.0, -2.0, 0.5]), &[1e-7, 0.895_323, 0.675_849_6]);
        close(&run(Optimizer::Sgd, 0.0, &[1.0, -2.0, 0.5]), &[0.9, 1.01, 1.059]);
    }

    #[test]
    fn two_halves_of_a_gradient_are_worth_their_sum() {
        let rule = Rule { optimizer: Optimizer::Adam, beta2: 0.95 };
        let step = Step { rate: 0.1, decay: 0.01, number: 1 };
        let outcome = |gradients: &[&[f32]]| {
            let (mut parameters, mut moments) = (vec![1.0, 2.0], Moments::new(&rule, 2));
            one(&rule, step, &mut parameters, &mut moments, gradients);
            parameters
        };
        let whole = outcome(&[&[3.0, -1.0]]);
        assert_eq!(outcome(&[&[1.0, -0.5], &[2.0, -0.5]]), whole);
        assert_eq!(outcome(&[&[1.0, -0.5], &[1.0, -0.25], &[1.0, -0.25]]), whole);
    }
}
