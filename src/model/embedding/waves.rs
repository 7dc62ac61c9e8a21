//! Periodic embedding of numbers: each becomes a few waves of it, mixed by a small layer of its own.
//!
//! ```text
//! e(x) = W2 cos(2 pi w1 x + b1) + b2        16 waves, 3 outputs, per embedded feature
//! ```
//!
//! This is the PBLD embedding of `RealMLP` (Holzmüller et al. 2024, after Gorishniy et al. 2022); the
//! number itself stays beside its waves. It lets a network bend sharply where it has to.

use pulp::Arch;
use std::f32::consts::TAU;

/// Waves per feature.
pub const WAVES: usize = 16;
/// Numbers that a feature gains.
pub const OUTPUTS: usize = 3;

/// The numbers of all embeddings of a network, `[features, ...]` row-major.
#[derive(Debug, Clone, PartialEq)]
pub struct Waves {
    /// `w1`: `[features, WAVES]`.
    pub frequencies: Vec<f32>,
    /// `b1`: `[features, WAVES]`.
    pub phases: Vec<f32>,
    /// `W2`: `[features, OUTPUTS, WAVES]`.
    pub weights: Vec<f32>,
    /// `b2`: `[features, OUTPUTS]`.
    pub biases: Vec<f32>,
}

type Lanes = [f32; WAVES];

/// Sine and cosine to within 2e-7 for `|x| < 1000`: reduction by multiples of `pi / 2` in three
/// parts, then Cephes' polynomials. Without branches, so that it is vectorised.
#[inline(always)]
fn sin_cos(x: f32) -> (f32, f32) {
    const ROUND: f32 = 12_582_912.0;
    let shifted = x * std::f32::consts::FRAC_2_PI + ROUND;
    let quadrant = shifted.to_bits();
    let n = shifted - ROUND;
    let r = x - n * 1.570_312_5 - n * 4.837_513e-4 - n * 7.549_79e-8;
    let square = r * r;
    let sin = r + r * square * (-1.666_665_5e-1 + square * (8.332_161e-3 + square * -1.951_529_6e-4));
    let cos = 1.0 - 0.5 * square
        + square * square * (4.166_664_6e-2 + square * (-1.388_731_6e-3 + square * 2.443_315_7e-5));
    let swap = quadrant & 1 == 1;
    let (s, c) = if swap { (cos, sin) } else { (sin, cos) };
    // Negative in quadrants 2 and 3 for the sine, 1 and 2 for the cosine.
    let sign_of_sin = (quadrant & 2) << 30;
    let sign_of_cos = (quadrant.wrapping_add(1) & 2) << 30;
    (f32::from_bits(s.to_bits() ^ sign_of_sin), f32::from_bits(c.to_bits() ^ sign_of_cos))
}

/// The sum of all lanes, by halves: an order the compiler can vectorise.
#[inline(always)]
fn sum(mut lanes: Lanes) -> f32 {
    for width in [8, 4, 2, 1] {
        for i in 0..width {
            lanes[i] += lanes[i + width];
        }
    }
    lanes[0]
}

#[inline(always)]
fn lanes(values: &[f32], index: usize) -> Lanes {
    values[index * WAVES..][..WAVES].try_into().expect("a whole group of lanes")
}

impl Waves {
    /// `x`, row-major `[n, inputs]`, to `[n, inputs + OUTPUTS columns.len()]`: the features as they are,
    /// then the embeddings of `columns`.
    pub fn widen(&self, x: &[f32], inputs: usize, columns: &[usize]) -> Vec<f32> {
        let width = inputs + OUTPUTS * columns.len();
        let n = x.len() / inputs;
        let mut wide = vec![0.0; n * width];
        Arch::new().dispatch(|| {
            for (row, wide) in x.chunks_exact(inputs).zip(wide.chunks_exact_mut(width)) {
                wide[..inputs].copy_from_slice(row);
            }
            for (index, column) in columns.iter().enumerate() {
                let (w1, b1) = (lanes(&self.frequencies, index), lanes(&self.phases, index));
                let w2: [Lanes; OUTPUTS] = std::array::from_fn(|k| lanes(&self.weights, index * OUTPUTS + k));
                let b2 = &self.biases[index * OUTPUTS..][..OUTPUTS];
                for row in 0..n {
                    let x = TAU * x[row * inputs + column];
                    let mut waves = [0.0; WAVES];
                    for i in 0..WAVES {
                        waves[i] = sin_cos(w1[i] * x + b1[i]).1;
                    }
                    let out = &mut wide[row * width + inputs + index * OUTPUTS..][..OUTPUTS];
                    for k in 0..OUTPUTS {
                        let mut products = [0.0; WAVES];
                        for i in 0..WAVES {
                            products[i] = w2[k][i] * waves[i];
                        }
                        out[k] = sum(products) + b2[k];
                    }
                }
            }
        });
        wide
    }

    /// The gradient by the embeddings' numbers, given that by the widened rows, `[n, width]`.
    #[must_use]
    pub fn gradient(&self, x: &[f32], inputs: usize, columns: &[usize], by_wide: &[f32]) -> Self {
        let width = inputs + OUTPUTS * columns.len();
        let n = x.len() / inputs;
        let mut of = Self {
            frequencies: Vec::with_capacity(self.frequencies.len()),
            phases: Vec::with_capacity(self.phases.len()),
            weights: Vec::with_capacity(self.weights.len()),
            biases: Vec::with_capacity(self.biases.len()),
        };
        Arch::new().dispatch(|| {
            for (index, column) in columns.iter().enumerate() {
                let (w1, b1) = (lanes(&self.frequencies, index), lanes(&self.phases, index));
                let w2: [Lanes; OUTPUTS] = std::array::from_fn(|k| lanes(&self.weights, index * OUTPUTS + k));
                let (mut of_w1, mut of_b1) = ([0.0; WAVES], [0.0; WAVES]);
                let (mut of_w2, mut of_b2) = ([[0.0; WAVES]; OUTPUTS], [0.0; OUTPUTS]);
                for row in 0..n {
                    let x = TAU * x[row * inputs + column];
                    let by_out = &by_wide[row * width + inputs + index * OUTPUTS..][..OUTPUTS];
                    let (g0, g1, g2) = (by_out[0], by_out[1], by_out[2]);
                    for i in 0..WAVES {
                        let (sin, cos) = sin_cos(w1[i] * x + b1[i]);
                        of_w2[0][i] += g0 * cos;
                        of_w2[1][i] += g1 * cos;
                        of_w2[2][i] += g2 * cos;
                        let by_angle = -sin * (g0 * w2[0][i] + g1 * w2[1][i] + g2 * w2[2][i]);
                        of_w1[i] += by_angle * x;
                        of_b1[i] += by_angle;
                    }
                    for k in 0..OUTPUTS {
                        of_b2[k] += by_out[k];
                    }
                }
                of.frequencies.extend(of_w1);
                of.phases.extend(of_b1);
                of.weights.extend(of_w2.as_flattened());
                of.biases.extend(of_b2);
            }
        });
        of
    }
}

impl Waves {
    /// The derivative by the features, `[n, inputs]`, given that by the widened rows, `[n, width]`.
    pub fn by_features(&self, x: &[f32], inputs: usize, columns: &[usize], by_wide: &[f32]) -> Vec<f32> {
        let width = inputs + OUTPUTS * columns.len();
        let mut by_features = Vec::with_capacity(x.len());
        for (x, by_wide) in x.chunks_exact(inputs).zip(by_wide.chunks_exact(width)) {
            let start = by_features.len();
            by_features.extend_from_slice(&by_wide[..inputs]);
            for (index, column) in columns.iter().enumerate() {
                let (w1, b1) = (lanes(&self.frequencies, index), lanes(&self.phases, index));
                let by_out = &by_wide[inputs + index * OUTPUTS..][..OUTPUTS];
                for i in 0..WAVES {
                    let sin = sin_cos(TAU * w1[i] * x[*column] + b1[i]).0;
                    let by_wave: f32 = (0..OUTPUTS)
                        .map(|k| by_out[k] * self.weights[(index * OUTPUTS + k) * WAVES + i])
                        .sum();
                    by_features[start + column] -= by_wave * sin * TAU * w1[i];
                }
            }
        }
        by_features
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sine_and_cosine_agree_with_f64() {
        for i in -20_000..20_000 {
            let x = i as f32 * 0.0317;
            let (sin, cos) = sin_cos(x);
            let (s, c) = f64::from(x).sin_cos();
            assert!(
                (f64::from(sin) - s).abs() < 5e-7 && (f64::from(cos) - c).abs() < 5e-7,
                "{x}: {sin} {cos}"
            );
        }
    }

    #[test]
    fn the_embedding_is_what_the_formula_says() {
        let of = |f: fn(usize) -> f64, n: usize| -> Vec<f32> { (0..n).map(|i| f(i) as f32).collect() };
        let embedding = Waves {
            frequencies: of(|i| (i as f64 * 0.7).sin(), 2 * WAVES),
            phases: of(|i| (i as f64 * 1.3).cos() * 3.0, 2 * WAVES),
            weights: of(|i| (i as f64 * 0.9).sin() * 0.25, 2 * WAVES * OUTPUTS),
            biases: of(|i| i as f64 * 0.1, 2 * OUTPUTS),
        };
        let x = [0.5, 9.0, -1.5, 2.0, 8.0, 0.25];
        let wide = embedding.widen(&x, 3, &[0, 2]);
        assert_eq!((&wide[..3], &wide[9..12]), (&x[..3], &x[3..]));
        for (row, columns) in [(0, [0.5_f64, -1.5]), (1, [2.0, 0.25])] {
            for (index, x) in columns.into_iter().enumerate() {
                for k in 0..OUTPUTS {
                    let waves = (0..WAVES).map(|i| {
                        let at = index * WAVES + i;
                        let angle = std::f64::consts::TAU * f64::from(embedding.frequencies[at]) * x
                            + f64::from(embedding.phases[at]);
                        f64::from(embedding.weights[(index * OUTPUTS + k) * WAVES + i]) * angle.cos()
                    });
                    let expected = waves.sum::<f64>() + f64::from(embedding.biases[index * OUTPUTS + k]);
                    let got = wide[row * 9 + 3 + index * OUTPUTS + k];
                    assert!((f64::from(got) - expected).abs() < 1e-5, "{got} is not {expected}");
                }
            }
        }
    }
}
