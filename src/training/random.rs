//! Random numbers that depend on the seed and on what they are for, and on nothing else.
//!
//! Each use has its own stream, made anew from the seed, so a training that resumes in the middle of
//! an epoch draws the same numbers as one that was never interrupted.

use rand::{RngExt, SeedableRng, seq::SliceRandom};
use rand_xoshiro::Xoshiro256PlusPlus;

/// What a stream of random numbers is for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Purpose {
    /// Choosing the test part.
    TestSplit,
    /// Choosing the validation part or the folds.
    ValidationSplit,
    /// Initial weights.
    Weights,
    /// The order of the rows in an epoch.
    Order,
    /// Units switched off in a step.
    Dropout,
    /// Rows drawn for baselines and displays.
    Sample,
}

/// A generator for `purpose`; `a` and `b` tell its uses apart, such as fold and epoch.
pub fn stream(seed: u64, purpose: Purpose, a: u64, b: u64) -> Xoshiro256PlusPlus {
    let mut state = seed;
    for part in [purpose as u64 + 1, a, b] {
        // One round of SplitMix64 per part keeps neighbouring uses far apart.
        state =
            state.wrapping_add(0x9e37_79b9_7f4a_7c15).wrapping_add(part.wrapping_mul(0xd134_2543_de82_ef95));
        state = (state ^ (state >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        state = (state ^ (state >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        state ^= state >> 31;
    }
    Xoshiro256PlusPlus::seed_from_u64(state)
}

/// `items` in random order.
pub fn shuffled<T>(mut items: Vec<T>, rng: &mut Xoshiro256PlusPlus) -> Vec<T> {
    items.shuffle(rng);
    items
}

/// One draw from the standard normal distribution (Box and Muller 1958).
pub fn normal(rng: &mut Xoshiro256PlusPlus) -> f32 {
    let (u, v): (f64, f64) = (rng.random(), rng.random());
    let radius = (-2.0 * (1.0 - u).ln()).sqrt();
    (radius * (std::f64::consts::TAU * v).cos()) as f32
}

/// One draw from the uniform distribution over `[-bound, bound)`.
pub fn uniform(rng: &mut Xoshiro256PlusPlus, bound: f32) -> f32 {
    (rng.random::<f32>() * 2.0 - 1.0) * bound
}

/// One draw from the exponential distribution with mean 1.
pub fn exponential(rng: &mut Xoshiro256PlusPlus) -> f32 {
    -(1.0 - rng.random::<f32>()).ln()
}

/// One of 0 to `n` - 1, each as likely.
pub fn below(rng: &mut Xoshiro256PlusPlus, n: usize) -> usize {
    rng.random_range(0..n)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn streams_repeat_and_differ_by_use() {
        let first = |purpose, a, b| stream(7, purpose, a, b).random::<u64>();
        assert_eq!(first(Purpose::Order, 1, 2), first(Purpose::Order, 1, 2));
        let all = [
            first(Purpose::Order, 1, 2),
            first(Purpose::Order, 2, 1),
            first(Purpose::Dropout, 1, 2),
            first(Purpose::Weights, 1, 2),
            stream(8, Purpose::Order, 1, 2).random(),
        ];
        for (i, a) in all.iter().enumerate() {
            assert!(!all[i + 1..].contains(a));
        }
    }

    #[test]
    fn normal_draws_have_mean_zero_and_variance_one() {
        let mut rng = stream(1, Purpose::Weights, 0, 0);
        let draws: Vec<f64> = (0..100_000).map(|_| f64::from(normal(&mut rng))).collect();
        let mean = draws.iter().sum::<f64>() / 1e5;
        let variance = draws.iter().map(|x| x * x).sum::<f64>() / 1e5;
        assert!(mean.abs() < 0.02 && (variance - 1.0).abs() < 0.02, "{mean} {variance}");
    }
}
