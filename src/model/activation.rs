//! Activation functions, with their derivatives, over whole slices.
//!
//! A training step of a small network spends more time in `exp` and `tanh` than in its matrix
//! products, so these loops are written for the compiler to vectorise: no branches, no library
//! calls, and [`pulp`] picks the widest instructions the processor has when the program runs.

use pulp::Arch;
use serde::{Deserialize, Serialize};

/// The non-linearity after each hidden layer.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Activation {
    /// `max(0, x)`.
    Relu,
    /// `x` above zero, `0.01 x` below.
    LeakyRelu,
    /// `x` above zero, `exp(x) - 1` below.
    Elu,
    /// Scaled ELU with fixed point at mean 0, variance 1 (Klambauer et al. 2017).
    Selu,
    /// `x sigmoid(x)`, also called Swish.
    Silu,
    /// `x tanh(softplus(x))` (Misra 2019).
    Mish,
    /// Gaussian error linear unit in its `tanh` form (Hendrycks and Gimpel 2016).
    Gelu,
    /// Hyperbolic tangent.
    Tanh,
    /// Logistic function.
    Sigmoid,
}

const SELU_SCALE: f32 = 1.050_701;
const SELU_ALPHA: f32 = 1.673_263_2;
/// `sqrt(2 / pi)`, the factor inside GELU's `tanh`.
const GELU_SCALE: f32 = 0.797_884_6;
const GELU_CUBIC: f32 = 0.044_715;

/// `exp(x)` to within 2e-7 relative, by range reduction to `[-ln 2 / 2, ln 2 / 2]` and a polynomial
/// of degree 6 (the method of Cephes' `expf`). Arguments are clamped to where the result is finite
/// and normal.
#[inline(always)]
fn exp(x: f32) -> f32 {
    // Adding this moves the integer part into the low bits of the mantissa, rounded to nearest.
    const ROUND: f32 = 12_582_912.0;
    const LN2_HIGH: f32 = 0.693_359_4;
    const LN2_LOW: f32 = -2.121_944_4e-4;
    let x = x.clamp(-87.0, 88.0);
    let shifted = x * std::f32::consts::LOG2_E + ROUND;
    let n = shifted - ROUND;
    let r = x - n * LN2_HIGH - n * LN2_LOW;
    let p = 1.987_569_2e-4;
    let p = p * r + 1.398_199_9e-3;
    let p = p * r + 8.333_452e-3;
    let p = p * r + 4.166_579_6e-2;
    let p = p * r + 1.666_666_5e-1;
    let p = p * r + 0.5;
    let power = f32::from_bits((shifted.to_bits() << 23).wrapping_add(127 << 23));
    (p * r * r + r + 1.0) * power
}

#[inline(always)]
fn sigmoid(x: f32) -> f32 {
    1.0 / (1.0 + exp(-x))
}

#[inline(always)]
fn tanh(x: f32) -> f32 {
    2.0 / (1.0 + exp(-2.0 * x)) - 1.0
}

/// Value and derivative of each activation at one point.
mod at {
    use super::{GELU_CUBIC, GELU_SCALE, SELU_ALPHA, SELU_SCALE, exp, sigmoid, tanh};

    #[inline(always)]
    pub(super) fn relu(x: f32) -> (f32, f32) {
        (x.max(0.0), if x > 0.0 { 1.0 } else { 0.0 })
    }

    #[inline(always)]
    pub(super) fn leaky_relu(x: f32) -> (f32, f32) {
        let slope = if x > 0.0 { 1.0 } else { 0.01 };
        (slope * x, slope)
    }

    #[inline(always)]
    pub(super) fn elu(x: f32) -> (f32, f32) {
        let e = exp(x.min(0.0));
        (if x > 0.0 { x } else { e - 1.0 }, if x > 0.0 { 1.0 } else { e })
    }

    #[inline(always)]
    pub(super) fn selu(x: f32) -> (f32, f32) {
        let e = SELU_ALPHA * exp(x.min(0.0));
        (SELU_SCALE * if x > 0.0 { x } else { e - SELU_ALPHA }, SELU_SCALE * if x > 0.0 { 1.0 } else { e })
    }

    #[inline(always)]
    pub(super) fn silu(x: f32) -> (f32, f32) {
        let s = sigmoid(x);
        (x * s, s * (1.0 + x * (1.0 - s)))
    }

    /// `tanh(softplus(x))` needs one exponential: with `n = e^x (e^x + 2)` it is `n / (n + 2)`.
    #[inline(always)]
    pub(super) fn mish(x: f32) -> (f32, f32) {
        // Above 20 mish(x) = x to the last bit, and e^(2x) would overflow.
        let e = exp(x.min(20.0));
        let n = e * (e + 2.0);
        let t = n / (n + 2.0);
        (x * t, t + x * (1.0 - t * t) * (e / (1.0 + e)))
    }

    #[inline(always)]
    pub(super) fn gelu(x: f32) -> (f32, f32) {
        let t = tanh(GELU_SCALE * (x + GELU_CUBIC * x * x * x));
        let inner = GELU_SCALE * (1.0 + 3.0 * GELU_CUBIC * x * x);
        (0.5 * x * (1.0 + t), 0.5 * (1.0 + t) + 0.5 * x * (1.0 - t * t) * inner)
    }

    #[inline(always)]
    pub(super) fn tanh_(x: f32) -> (f32, f32) {
        let t = tanh(x);
        (t, 1.0 - t * t)
    }

    #[inline(always)]
    pub(super) fn sigmoid_(x: f32) -> (f32, f32) {
        let s = sigmoid(x);
        (s, s * (1.0 - s))
    }
}

/// Calls `$body` with `$f` bound to the chosen function, so that each arm is its own tight loop.
macro_rules! with_function {
    ($activation:expr, $f:ident => $body:expr) => {
        match $activation {
            Activation::Relu => {
                let $f = at::relu;
                $body
            }
            Activation::LeakyRelu => {
                let $f = at::leaky_relu;
                $body
            }
            Activation::Elu => {
                let $f = at::elu;
                $body
            }
            Activation::Selu => {
                let $f = at::selu;
                $body
            }
            Activation::Silu => {
                let $f = at::silu;
                $body
            }
            Activation::Mish => {
                let $f = at::mish;
                $body
            }
            Activation::Gelu => {
                let $f = at::gelu;
                $body
            }
            Activation::Tanh => {
                let $f = at::tanh_;
                $body
            }
            Activation::Sigmoid => {
                let $f = at::sigmoid_;
                $body
            }
        }
    };
}

impl Activation {
    /// Every activation, for lists and tests.
    pub const ALL: [Self; 9] = [
        Self::Relu,
        Self::LeakyRelu,
        Self::Elu,
        Self::Selu,
        Self::Silu,
        Self::Mish,
        Self::Gelu,
        Self::Tanh,
        Self::Sigmoid,
    ];

    /// `z <- f(scale z + bias)`, where `z` is `[n, bias.len()]` row-major; with slopes `a`,
    /// `[bias.len()]`, `x + a (f(x) - x)` in the place of `f(x)`.
    pub fn apply(self, z: &mut [f32], scale: f32, bias: &[f32], slopes: Option<&[f32]>) {
        let width = bias.len();
        with_function!(self, f => Arch::new().dispatch(|| match slopes {
            None => {
                for row in z.chunks_exact_mut(width) {
                    for (z, b) in row.iter_mut().zip(bias) {
                        *z = f(scale * *z + b).0;
                    }
                }
            }
            Some(slopes) => {
                for row in z.chunks_exact_mut(width) {
                    for ((z, b), a) in row.iter_mut().zip(bias).zip(slopes) {
                        let x = scale * *z + b;
                        *z = x + a * (f(x).0 - x);
                    }
                }
            }
        }));
    }

    /// As [`apply`](Self::apply), and what the way back needs: the derivative by `x` in `by_x`, and
    /// with slopes that by the slope, `f(x) - x`, in `by_slope`.
    pub fn apply_with_derivatives(
        self,
        z: &mut [f32],
        by_x: &mut [f32],
        by_slope: &mut [f32],
        scale: f32,
        bias: &[f32],
        slopes: Option<&[f32]>,
    ) {
        let width = bias.len();
        with_function!(self, f => Arch::new().dispatch(|| match slopes {
            None => {
                for (row, by_x) in z.chunks_exact_mut(width).zip(by_x.chunks_exact_mut(width)) {
                    for ((z, d), b) in row.iter_mut().zip(by_x).zip(bias) {
                        (*z, *d) = f(scale * *z + b);
                    }
                }
            }
            Some(slopes) => {
                let rows = z.chunks_exact_mut(width).zip(by_x.chunks_exact_mut(width));
                for ((row, by_x), by_slope) in rows.zip(by_slope.chunks_exact_mut(width)) {
                    let outputs = row.iter_mut().zip(by_x).zip(by_slope);
                    for (((z, d), gap), (b, a)) in outputs.zip(bias.iter().zip(slopes)) {
                        let x = scale * *z + b;
                        let (value, derivative) = f(x);
                        *gap = value - x;
                        *d = 1.0 + a * (derivative - 1.0);
                        *z = x + a * *gap;
                    }
                }
            }
        }));
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn reference(activation: Activation, x: f64) -> f64 {
        match activation {
            Activation::Relu => x.max(0.0),
            Activation::LeakyRelu => {
                if x > 0.0 {
                    x
                } else {
                    0.01 * x
                }
            }
            Activation::Elu => {
                if x > 0.0 {
                    x
                } else {
                    x.exp() - 1.0
                }
            }
            Activation::Selu => {
                1.050_700_987_355_480_5 * if x > 0.0 { x } else { 1.673_263_242_354_377_2 * (x.exp() - 1.0) }
            }
            Activation::Silu => x / (1.0 + (-x).exp()),
            Activation::Mish => x * x.exp().ln_1p().tanh(),
            Activation::Gelu => {
                0.5 * x * (1.0 + ((2.0 / std::f64::consts::PI).sqrt() * (x + 0.044_715 * x.powi(3))).tanh())
            }
            Activation::Tanh => x.tanh(),
            Activation::Sigmoid => 1.0 / (1.0 + (-x).exp()),
        }
    }

    #[test]
    fn values_and_slopes_agree_with_f64_references() {
        for activation in Activation::ALL {
            for i in -400..=400 {
                let x = f64::from(i) * 0.049 + 0.001;
                let (mut z, mut slope) = ([x as f32], [0.0]);
                activation.apply_with_derivatives(&mut z, &mut slope, &mut [], 1.0, &[0.0], None);
                let expected = reference(activation, x);
                let h = 1e-5;
                let expected_slope =
                    (reference(activation, x + h) - reference(activation, x - h)) / (2.0 * h);
                assert!(
                    (f64::from(z[0]) - expected).abs() < 3e-6 * (1.0 + expected.abs()),
                    "{activation:?}({x}) = {} is not {expected}",
                    z[0]
                );
                assert!(
                    (f64::from(slope[0]) - expected_slope).abs() < 2e-5,
                    "{activation:?}'({x}) = {} is not {expected_slope}",
                    slope[0]
                );
            }
        }
    }

    #[test]
    fn extreme_arguments_stay_finite() {
        for activation in Activation::ALL {
            let (mut z, mut slope) = ([-1e30, -100.0, 100.0, 1e18], [0.0; 4]);
            activation.apply_with_derivatives(&mut z, &mut slope, &mut [], 1.0, &[0.0], None);
            let finite_where_expected = z.iter().take(3).all(|v| v.is_finite());
            assert!(finite_where_expected, "{activation:?} gave {z:?}");
        }
    }

    #[test]
    fn scale_and_bias_are_applied_before_the_function() {
        let mut z = [1.0, -4.0, 2.0, 3.0];
        Activation::Relu.apply(&mut z, 0.5, &[1.0, -1.0], None);
        assert_eq!(z, [1.5, 0.0, 2.0, 0.5]);
    }
}
