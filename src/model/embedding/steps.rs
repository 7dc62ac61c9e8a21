//! Piecewise linear encoding of numbers: how far a value has climbed each of several steps.
//!
//! ```text
//! s_i(x) = (x - e_i) / (e_(i+1) - e_i), held between 0 and 1          for neighbouring edges e_i
//! ```
//!
//! This is what Gorishniy et al. ("On Embeddings for Numerical Features", 2022) do to every number. Here it
//! is for numbers that are mostly one value, such as rain or a gain that few people have: what matters there
//! is which of the few other values it is, and neither the number nor its waves can tell close ones apart.

use serde::{Deserialize, Serialize};

/// Most steps of a feature.
pub const MAX: usize = 24;
/// Rows for each step that are not of the most frequent value.
const ROWS_OF_A_STEP: usize = 20;
/// Steps of all features together, where every one has them: as many numbers as a hidden layer has, twice.
const MOST_OF_ALL: usize = 512;
/// With fewer steps than these for each feature, they say nothing new.
const LEAST_OF_ALL: usize = 6;
/// With fewer rows, the choice between networks with and without such steps would be luck.
const LEAST_ROWS: usize = 240;
/// A step is at least so wide; those of a sound model are wider.
pub const MIN_WIDTH: f32 = 1e-12;

/// A feature and its number of steps.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct Steps {
    /// The feature.
    pub feature: usize,
    /// How many; there is one edge more.
    pub count: usize,
}

impl Steps {
    /// The steps that suit a feature with these values: none unless one value holds the middle half of them.
    pub fn choose(feature: usize, mut values: Vec<f32>) -> Option<Self> {
        values.sort_unstable_by(f32::total_cmp);
        let middle = values.get(values.len() / 4)?;
        if middle != values.get(values.len() * 3 / 4)? {
            return None;
        }
        let n_others = values.iter().filter(|value| *value != middle).count();
        values.dedup();
        let count = MAX.min(n_others / ROWS_OF_A_STEP).min(values.len() - 1);
        (count > 1).then_some(Self { feature, count })
    }

    /// Steps for every one of some `features` in `n_rows` rows, whose values `column` gives; none where the rows or the
    /// steps of a feature would be too few to be of use.
    pub fn of_all(
        features: &[usize],
        n_rows: usize,
        column: impl Fn(usize) -> Vec<f32>,
    ) -> Option<Vec<Self>> {
        let most = MAX.min(MOST_OF_ALL / features.len().max(1)).min(n_rows / ROWS_OF_A_STEP);
        if n_rows < LEAST_ROWS || most < LEAST_OF_ALL {
            return None;
        }
        let steps = features.iter().filter_map(|feature| {
            let mut values = column(*feature);
            values.sort_unstable_by(f32::total_cmp);
            values.dedup();
            let count = most.min(values.len().saturating_sub(1));
            (count > 1).then_some(Self { feature: *feature, count })
        });
        let steps: Vec<Self> = steps.collect();
        (!steps.is_empty()).then_some(steps)
    }

    /// Its `count + 1` edges: from the least to the greatest of `values`, with as many different values in
    /// each step.
    pub fn edges(self, mut values: Vec<f32>) -> Vec<f32> {
        values.sort_unstable_by(f32::total_cmp);
        values.dedup();
        let Some(last) = values.len().checked_sub(1) else { return vec![0.0; self.count + 1] };
        let edge = |i: usize| {
            let position = (i * last) as f64 / self.count as f64;
            let below = position.floor() as usize;
            let (low, high) = (f64::from(values[below]), f64::from(values[(below + 1).min(last)]));
            (low + (high - low) * position.fract()) as f32
        };
        (0..=self.count).map(edge).collect()
    }
}

/// How far `x` has climbed the step between two edges, and the derivative.
fn climbed(x: f32, edges: &[f32]) -> (f32, f32) {
    let width = (edges[1] - edges[0]).max(MIN_WIDTH);
    let share = (x - edges[0]) / width;
    if share <= 0.0 {
        (0.0, 0.0)
    } else if share >= 1.0 {
        (1.0, 0.0)
    } else {
        (share, 1.0 / width)
    }
}

/// Numbers per row that the steps add.
pub fn width(steps: &[Steps]) -> usize {
    steps.iter().map(|of| of.count).sum()
}

/// The steps of a row's `features` onto the end of `wide`. `edges`: those of all steps, one after the other.
pub fn push(steps: &[Steps], edges: &[f32], features: &[f32], wide: &mut Vec<f32>) {
    each(steps, edges, |_, feature, edges| wide.push(climbed(features[feature], edges).0));
}

/// Adds to `by_features` of a row the derivative through its steps, given that by the steps.
pub fn add_slopes(
    steps: &[Steps],
    edges: &[f32],
    features: &[f32],
    by_steps: &[f32],
    by_features: &mut [f32],
) {
    each(steps, edges, |index, feature, edges| {
        by_features[feature] += by_steps[index] * climbed(features[feature], edges).1;
    });
}

/// Every step: its index, its feature, its two edges.
fn each(steps: &[Steps], edges: &[f32], mut visit: impl FnMut(usize, usize, &[f32])) {
    let (mut rest, mut index) = (edges, 0);
    for of in steps {
        let own;
        (own, rest) = rest.split_at(of.count + 1);
        for pair in own.windows(2) {
            visit(index, of.feature, pair);
            index += 1;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_feature_of_enough_rows_has_steps_and_many_features_have_few_each() {
        let column = |feature: usize| (0..480).map(|i| (i / (feature + 1)) as f32).collect::<Vec<_>>();
        let of_all = |n_features: usize, n_rows: usize| {
            let features: Vec<usize> = (0..n_features).collect();
            Steps::of_all(&features, n_rows, |feature| column(feature.min(99)))
        };
        assert_eq!(
            of_all(2, 480),
            Some(vec![Steps { feature: 0, count: 24 }, Steps { feature: 1, count: 24 }])
        );
        assert_eq!(of_all(100, 480), None, "five steps each say nothing new");
        assert_eq!(of_all(80, 480).unwrap()[79], Steps { feature: 79, count: 5 }, "six values");
        assert_eq!(of_all(2, 239), None, "too few rows");
        let flags = Steps::of_all(&[0], 480, |_| vec![0.0, 1.0]);
        assert_eq!(flags, None, "two values are told apart anyway");
    }

    #[test]
    fn only_a_feature_that_is_mostly_one_value_has_steps() {
        let rain: Vec<f32> = (0..400).map(|i| if i % 4 == 0 { i as f32 } else { 0.0 }).collect();
        assert_eq!(Steps::choose(3, rain.clone()), Some(Steps { feature: 3, count: 4 }));
        assert_eq!(Steps::choose(0, (0..400).map(|i| i as f32).collect()), None);
        assert_eq!(Steps::choose(0, rain[..40].to_vec()), None, "too few other values");
        let flag: Vec<f32> = rain.iter().map(|value| f32::from(*value > 0.0)).collect();
        assert_eq!(Steps::choose(0, flag), None, "two values are told apart anyway");
        assert_eq!(Steps::choose(0, Vec::new()), None);
    }

    #[test]
    fn a_value_climbs_the_steps_below_it() {
        let steps = [Steps { feature: 1, count: 2 }, Steps { feature: 0, count: 1 }];
        let edges = [steps[0].edges(vec![0.0, 0.0, 4.0, 1.0]), steps[1].edges(vec![-1.0, 1.0])].concat();
        assert_eq!(edges, [0.0, 1.0, 4.0, -1.0, 1.0]);
        for (x, expected) in [
            ([0.0, -5.0], [0.0, 0.0, 0.5]),
            ([1.0, 0.25], [0.25, 0.0, 1.0]),
            ([-2.0, 2.5], [1.0, 0.5, 0.0]),
            ([0.0, 9.0], [1.0, 1.0, 0.5]),
        ] {
            let mut wide = Vec::new();
            push(&steps, &edges, &x, &mut wide);
            assert_eq!(wide, expected);
        }
        let mut by_features = [10.0, 10.0];
        add_slopes(&steps, &edges, &[0.0, 2.5], &[1.0, 3.0, 8.0], &mut by_features);
        assert_eq!(by_features, [14.0, 11.0]);
    }

    #[test]
    fn steps_without_width_give_no_nonsense() {
        let steps = [Steps { feature: 0, count: 3 }];
        let edges = steps[0].edges(vec![2.0, 2.0]);
        for x in [-1e30, 2.0, 3.0, f32::MAX] {
            let mut wide = Vec::new();
            push(&steps, &edges, &[x], &mut wide);
            assert!(wide.iter().all(|share| (0.0..=1.0).contains(share)), "{wide:?}");
        }
    }
}
