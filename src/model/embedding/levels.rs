//! Embedding of categories with many levels: each level becomes a short learned vector.
//!
//! The features of such a category, one per level, ask for a weight of each level in every unit of the first
//! layer. A vector of [`SIZE`] numbers per level is learned once and shared by all units (Guo and Berkhahn,
//! "Entity Embeddings", 2016). It takes the place of the features. A level that training never saw has the
//! vector 0.

use serde::{Deserialize, Serialize};
use std::ops::Range;

/// Numbers that a level becomes.
pub const SIZE: usize = 8;
/// Categories with more levels than these are embedded. `RealMLP` does so beyond 8, which measured worse where rows
/// are few (`german_credit`: log-loss 0.525 instead of 0.509) and no better where they are many (adult).
pub const MAX_ONE_HOT: usize = 32;

/// The features of one category, which stand side by side.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct Levels {
    /// The first of them.
    pub first: usize,
    /// How many.
    pub count: usize,
}

impl Levels {
    /// Which features.
    pub fn features(self) -> Range<usize> {
        self.first..self.first + self.count
    }
}

/// Levels of all categories.
pub fn count(levels: &[Levels]) -> usize {
    levels.iter().map(|of| of.count).sum()
}

/// The vectors of a row's levels onto the end of `wide`. `vectors`: those of all levels, `[count, SIZE]`.
pub fn push(levels: &[Levels], vectors: &[f32], features: &[f32], wide: &mut Vec<f32>) {
    let mut vectors = vectors.chunks_exact(SIZE);
    for of in levels {
        let mut sum = [0.0; SIZE];
        for (feature, vector) in features[of.features()].iter().zip(&mut vectors) {
            // Most are 0.
            if *feature != 0.0 {
                sum.iter_mut().zip(vector).for_each(|(sum, v)| *sum += feature * v);
            }
        }
        wide.extend_from_slice(&sum);
    }
}

/// Adds to `gradient`, `[count, SIZE]`, what a row tells, given the derivative by its vectors.
pub fn add_gradient(levels: &[Levels], features: &[f32], by_vectors: &[f32], gradient: &mut [f32]) {
    let mut of_levels = gradient.chunks_exact_mut(SIZE);
    for (of, by_vector) in levels.iter().zip(by_vectors.chunks_exact(SIZE)) {
        for (feature, of_level) in features[of.features()].iter().zip(&mut of_levels) {
            if *feature != 0.0 {
                of_level.iter_mut().zip(by_vector).for_each(|(of, by)| *of += feature * by);
            }
        }
    }
}

/// The stretches of a row of `width` numbers that are no category's.
pub fn others(levels: &[Levels], width: usize) -> impl Iterator<Item = Range<usize>> {
    let ends = std::iter::once(0).chain(levels.iter().map(|of| of.features().end));
    let starts = levels.iter().map(|of| of.first).chain(std::iter::once(width));
    ends.zip(starts).map(|(from, to)| from..to)
}
