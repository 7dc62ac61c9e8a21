//! Learning rate and regularisation over the course of a training.

use serde::{Deserialize, Serialize};

/// How a rate changes from the first step to the last.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Schedule {
    /// Always the base rate.
    Constant,
    /// Four cosine waves of growing length, as `RealMLP` uses: the rate is low often, so the best
    /// epoch can be caught at many lengths of training.
    CosLog4,
    /// The base rate for the first half, then half a cosine wave down to 0.
    FlatCos,
}

impl Schedule {
    /// The factor of the base rate at `t`, the share of all steps already done.
    pub fn factor(self, t: f64) -> f64 {
        match self {
            Self::Constant => 1.0,
            Self::FlatCos if t <= 0.5 => 1.0,
            Self::FlatCos => 0.5 * (1.0 + (std::f64::consts::PI * (2.0 * t - 1.0)).cos()),
            Self::CosLog4 => 0.5 * (1.0 - (std::f64::consts::TAU * (1.0 + 15.0 * t).log2()).cos()),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn flatcos_stays_and_then_falls_to_zero() {
        let at = |t| Schedule::FlatCos.factor(t);
        assert_eq!((at(0.0), at(0.5)), (1.0, 1.0));
        assert!((at(0.75) - 0.5).abs() < 1e-12 && at(1.0).abs() < 1e-12);
    }

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
