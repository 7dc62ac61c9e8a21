//! How a raw feature is brought to the scale of the others: centred, divided by its spread, and squeezed.

use serde::{Deserialize, Serialize};

/// Median and reciprocal interquartile range of a raw feature.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
pub struct Scaling {
    /// The median.
    pub center: f64,
    /// What the distance from it is multiplied by.
    pub factor: f64,
}

impl Scaling {
    /// Median and `1 / (q75 - q25)`; where those coincide `2 / (max - min)`, and 0 for a constant.
    pub(super) fn fit(mut values: Vec<f64>) -> Self {
        if values.is_empty() {
            return Self { center: 0.0, factor: 0.0 };
        }
        values.sort_by(f64::total_cmp);
        let quantile = |q: f64| quantile_of_sorted(&values, q);
        let spread = quantile(0.75) - quantile(0.25);
        let range = values[values.len() - 1] - values[0];
        let factor = if spread > 0.0 {
            1.0 / spread
        } else if range > 0.0 {
            2.0 / range
        } else {
            0.0
        };
        Self { center: quantile(0.5), factor }
    }

    /// The derivative of [`apply`](Self::apply).
    pub(super) fn derivative(self, raw: f64) -> f64 {
        let x = (raw - self.center) * self.factor;
        self.factor / (1.0 + (x / 3.0).powi(2)).powf(1.5)
    }

    /// `x <- (x - median) / iqr`, then `x / sqrt(1 + (x / 3)^2)`.
    pub(super) fn apply(self, raw: f64) -> f32 {
        let x = (raw - self.center) * self.factor;
        // Also right where (x / 3)^2 overflows: the limit is 3.
        let squeezed = if x.abs() > 1e9 { 3.0_f64.copysign(x) } else { x / (1.0 + (x / 3.0).powi(2)).sqrt() };
        squeezed as f32
    }
}

/// The `q` quantile of ascending values, linearly interpolated between neighbours.
fn quantile_of_sorted(sorted: &[f64], q: f64) -> f64 {
    let position = q * (sorted.len() - 1) as f64;
    let below = position.floor() as usize;
    let above = (below + 1).min(sorted.len() - 1);
    // Weighted rather than `a + (b - a) t`, whose difference may overflow.
    let t = position - below as f64;
    sorted[below] * (1.0 - t) + sorted[above] * t
}
