//! How far a row lies from its nearest training rows, in the space of all encoded features.

use super::{LEAST_SHARE, share_as_large};
use serde::{Deserialize, Serialize};

/// Training rows that are remembered at most.
pub const MAX_ROWS: usize = 1000;
/// Numbers that these rows may have together; but never fewer rows than [`MIN_ROWS`].
const MAX_NUMBERS: usize = 50_000;
const MIN_ROWS: usize = 100;
/// The distance of a row is that to its so-manieth nearest training row.
pub const NEIGHBOURS: usize = 3;
/// Distances that differ by less than this share are equal: in tables of few different values many are,
/// and how they were rounded must not decide.
pub const ROUNDING: f64 = 1e-5;
/// Distances that are kept; more are thinned evenly.
const MAX_DISTANCES: usize = 500;

/// Training rows in the encoded space, and how far they lie from each other.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Joint {
    /// By which distances are measured: the reciprocal standard deviation of each feature, 1 for those that are 0 or 1.
    scales: Vec<f32>,
    /// Ascending distances of the rows from each other.
    distances: Vec<f32>,
    /// Scaled features, row-major; a tensor of the model file.
    #[serde(skip)]
    rows: Vec<f32>,
}

impl Joint {
    /// Remembers some of the training rows: `features`, `[n, width]`, in random order. Nothing where they
    /// are too few.
    pub fn fit(features: &[f32], width: usize) -> Option<Self> {
        let n = (MAX_NUMBERS / width.max(1)).clamp(MIN_ROWS, MAX_ROWS);
        let chosen: Vec<&[f32]> = features.chunks_exact(width).take(n).collect();
        let scales: Vec<f32> = (0..width)
            .map(|feature| {
                let n = chosen.len() as f64;
                let own = || chosen.iter().map(|row| f64::from(row[feature]));
                let mean = own().sum::<f64>() / n;
                let variance = own().map(|value| (value - mean).powi(2)).sum::<f64>() / n;
                if variance <= 1e-12 {
                    // A feature that never varies says nothing in units of its spread.
                    0.0
                } else if own().all(|value| value == 0.0 || value == 1.0) {
                    // Of rare levels, and rows without a value, each would be far from all others by its rarity alone.
                    1.0
                } else {
                    (1.0 / variance.sqrt()) as f32
                }
            })
            .collect();
        let mut scaled: Vec<Vec<f32>> = chosen
            .iter()
            .map(|row| row.iter().zip(&scales).map(|(value, scale)| value * scale).collect())
            .collect();
        // Copies would make their distance 0 the usual one, and every new row unusual.
        scaled.sort_by(|a, b| {
            let unequal = a.iter().zip(b).map(|(a, b)| a.total_cmp(b)).find(|order| order.is_ne());
            unequal.unwrap_or(std::cmp::Ordering::Equal)
        });
        scaled.dedup();
        if scaled.len() < 2 * NEIGHBOURS {
            return None;
        }
        let mut joint = Self { scales, distances: Vec::new(), rows: scaled.concat() };
        let mut distances: Vec<f32> =
            (0..scaled.len()).map(|row| joint.nearest(&scaled[row], Some(row)).0).collect();
        distances.sort_by(f32::total_cmp);
        let last = distances.len() - 1;
        let n_kept = distances.len().min(MAX_DISTANCES);
        joint.distances = (0..n_kept).map(|i| distances[i * last / (n_kept - 1)]).collect();
        Some(joint)
    }

    /// The distance of encoded `features` from the remembered rows, and the feature in which they differ
    /// most from the nearest one.
    pub fn distance(&self, features: &[f32]) -> (f32, usize) {
        let scaled: Vec<f32> =
            features.iter().zip(&self.scales).map(|(value, scale)| value * scale).collect();
        let (distance, nearest) = self.nearest(&scaled, None);
        let row = self.rows.chunks_exact(self.scales.len()).nth(nearest).unwrap_or(&scaled);
        let gaps = row.iter().zip(&scaled).map(|(a, b)| (a - b).abs());
        let widest = gaps.enumerate().max_by(|a, b| a.1.total_cmp(&b.1));
        (distance, widest.map_or(0, |(feature, _)| feature))
    }

    /// The distance to the third nearest row, `but` one, and which row is the nearest.
    fn nearest(&self, scaled: &[f32], but: Option<usize>) -> (f32, usize) {
        let mut least = [(f32::INFINITY, 0); NEIGHBOURS];
        for (index, row) in self.rows.chunks_exact(self.scales.len()).enumerate() {
            let square = square_distance(row, scaled);
            if square < least[NEIGHBOURS - 1].0 && Some(index) != but {
                least[NEIGHBOURS - 1] = (square, index);
                least.sort_by(|a, b| a.0.total_cmp(&b.0));
            }
        }
        (least[NEIGHBOURS - 1].0.sqrt(), least[0].1)
    }

    /// The distance that a row may have without being outside; 0 says nothing.
    pub fn inside(&self) -> f32 {
        let last = self.distances.len() - 1;
        self.distances[((1.0 - LEAST_SHARE) * last as f64) as usize]
    }

    /// `distance` in units of the farthest that counts as inside, at least 1.
    pub fn times_farther(&self, distance: f32) -> f64 {
        let inside = self.inside();
        if inside > 0.0 { f64::from(distance / inside).max(1.0) } else { 1.0 }
    }

    /// The share of training rows that lie at least `distance` from the others, the row itself counted.
    pub fn share_as_far(&self, distance: f32) -> f64 {
        share_as_large(&self.distances, f64::from(distance) * (1.0 - ROUNDING))
    }

    /// Whether it fits rows of `width` features.
    pub fn matches(&self, width: usize) -> bool {
        self.scales.len() == width
            && !self.distances.is_empty()
            && self.scales.iter().chain(&self.distances).all(|value| value.is_finite())
    }

    /// The remembered rows, `[n, width]`, which go into the model file as a tensor.
    pub fn rows(&self) -> (&[f32], usize) {
        (&self.rows, self.scales.len())
    }

    /// How wide the rows are that are to be given back by [`set_rows`](Self::set_rows).
    pub fn width(&self) -> usize {
        self.scales.len()
    }

    /// Gives the remembered rows back.
    pub fn set_rows(&mut self, rows: Vec<f32>) {
        self.rows = rows;
    }

    /// The factor of each feature.
    pub fn scales(&self) -> &[f32] {
        &self.scales
    }

    /// Ascending distances of the remembered rows from each other.
    pub fn distances(&self) -> &[f32] {
        &self.distances
    }
}

/// Summed in eight lanes, so that the compiler can vectorise it.
fn square_distance(a: &[f32], b: &[f32]) -> f32 {
    let mut lanes = [0.0_f32; 8];
    let (a_chunks, b_chunks) = (a.chunks_exact(8), b.chunks_exact(8));
    let rest = a_chunks.remainder().iter().zip(b_chunks.remainder());
    let mut sum: f32 = rest.map(|(a, b)| (a - b) * (a - b)).sum();
    for (a, b) in a_chunks.zip(b_chunks) {
        for i in 0..8 {
            lanes[i] += (a[i] - b[i]) * (a[i] - b[i]);
        }
    }
    sum += lanes.iter().sum::<f32>();
    sum
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn equal_distances_are_equal_however_they_were_rounded() {
        let joint = Joint { scales: vec![1.0], distances: vec![1.0, 2.0, 2.0, 2.0, 3.0], rows: vec![0.0; 6] };
        let share = joint.share_as_far(2.0);
        assert_eq!(share, 5.0 / 6.0);
        assert_eq!(joint.share_as_far(f32::from_bits(2.0_f32.to_bits() + 1)), share);
        assert_eq!(joint.share_as_far(f32::from_bits(2.0_f32.to_bits() - 1)), share);
    }
}
