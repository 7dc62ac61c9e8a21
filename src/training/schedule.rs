//! Learning rates over the course of a training.

use serde::{Deserialize, Serialize};

/// How the learning rate changes from the first step to the last.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Schedule {
    /// Always the base rate.
    Constant,
    /// Four cosine waves of growing length, as `RealMLP` uses: the rate is low often, so the best
    /// epoch can be caught at many lengths of training.
    CosLog4,
}

impl Schedule {
    /// The factor of the base rate at `t`, the share of all steps already done.
    pub fn factor(self, t: f64) -> f64 {
        match self {
            Self::Constant => 1.0,
            Self::CosLog4 => 0.5 * (1.0 - (std::f64::consts::TAU * (1.0 + 15.0 * t).log2()).cos()),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn coslog4_touches_zero_five_times_and_one_four_times() {
        for wave in 0..=4_i32 {
            let t = (2.0_f64.powi(wave) - 1.0) / 15.0;
            assert!(Schedule::CosLog4.factor(t).abs() < 1e-12, "{t}");
        }
        for wave in 0..4 {
            let t = (2.0_f64.powf(f64::from(wave) + 0.5) - 1.0) / 15.0;
            assert!((Schedule::CosLog4.factor(t) - 1.0).abs() < 1e-12, "{t}");
        }
    }
}
