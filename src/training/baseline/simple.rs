//! Baselines without steps: the mean, the nearest rows, a straight line.

use crate::model::device::Backend;
use crate::training::random::{Purpose, shuffled, stream};

/// Neighbours whose mean answers.
const NEIGHBOURS: usize = 5;
/// Multiply-adds that the nearest-neighbour search may cost; beyond it a sample of the training rows
/// stands for all.
const NEIGHBOUR_WORK: usize = 10_000_000_000;
/// The same for the sums that a straight line is fitted to.
const LINEAR_WORK: usize = 10_000_000_000;
/// Ridge penalty per training row, on features of about unit size.
const RIDGE: f64 = 1e-6;

/// Encoded rows with their truth as numbers: standardised targets, or one 0/1 column per class.
#[derive(Debug, Clone, Copy)]
pub(super) struct Rows<'a> {
    /// Row-major `[n, width]`.
    pub(super) features: &'a [f32],
    /// Features per row.
    pub(super) width: usize,
    /// Row-major `[n, outputs]`.
    pub(super) truth: &'a [f64],
    /// Numbers per row.
    pub(super) outputs: usize,
}

/// The mean of the training rows for every test row: `[outputs]`. For classes the shares.
pub(super) fn mean(training: &Rows) -> Vec<f64> {
    let n = (training.truth.len() / training.outputs) as f64;
    let mut means = vec![0.0; training.outputs];
    for row in training.truth.chunks_exact(training.outputs) {
        means.iter_mut().zip(row).for_each(|(mean, value)| *mean += value / n);
    }
    means
}

/// The mean of the nearest training rows in the encoded space: `[n_test, outputs]`.
pub(super) fn nearest_neighbours(training: &Rows, test: &[f32], seed: u64, backend: Backend) -> Vec<f64> {
    let (width, outputs) = (training.width, training.outputs);
    let n_all = training.features.len() / width;
    let n_test = test.len() / width;
    let most = (NEIGHBOUR_WORK / (n_test.max(1) * width)).max(500);
    let rows = sampled(n_all, most, seed);
    let gathered: Vec<f32> =
        rows.iter().flat_map(|row| &training.features[row * width..][..width]).copied().collect();
    let norms: Vec<f32> = gathered.chunks_exact(width).map(|row| row.iter().map(|x| x * x).sum()).collect();
    let known = backend.matrix(gathered, rows.len(), width);
    let k = NEIGHBOURS.min(rows.len());
    let mut answers = Vec::with_capacity(n_test * outputs);
    for chunk in test.chunks(256 * width) {
        let products = backend.matrix(chunk.to_vec(), chunk.len() / width, width).times_transposed(&known);
        for row in products.chunks_exact(rows.len()) {
            // |a - b|^2 without |a|^2, which is the same for all b.
            let mut distances: Vec<(f32, usize)> =
                row.iter().zip(&norms).enumerate().map(|(i, (dot, norm))| (norm - 2.0 * dot, i)).collect();
            if k < distances.len() {
                distances.select_nth_unstable_by(k - 1, |a, b| a.0.total_cmp(&b.0).then(a.1.cmp(&b.1)));
            }
            for output in 0..outputs {
                let near = distances[..k].iter().map(|(_, i)| training.truth[rows[*i] * outputs + output]);
                answers.push(near.sum::<f64>() / k as f64);
            }
        }
    }
    answers
}

/// At most `most` of `n` rows: all in order, or some at random.
fn sampled(n: usize, most: usize, seed: u64) -> Vec<usize> {
    let mut rows: Vec<usize> = (0..n).collect();
    if n > most {
        rows = shuffled(rows, &mut stream(seed, Purpose::Sample, 1, 0));
        rows.truncate(most);
    }
    rows
}

/// Ridge regression: the weights `[width + 1, outputs]`, the intercept last, that minimise the mean
/// square error plus a small penalty; by the normal equations and Cholesky's factorisation.
/// A sample of the rows stands for all where they are very many.
pub(super) fn fit_linear(training: &Rows, seed: u64) -> Vec<f64> {
    let size = training.width + 1;
    let most = (LINEAR_WORK / (size * size)).max(2 * size);
    fit_linear_to(training, &sampled(training.features.len() / training.width, most, seed))
}

fn fit_linear_to(training: &Rows, rows: &[usize]) -> Vec<f64> {
    let (width, outputs) = (training.width, training.outputs);
    let size = width + 1;
    let mut gram = vec![0.0; size * size];
    let mut right = vec![0.0; size * outputs];
    let mut x = vec![1.0; size];
    for row in rows {
        let features = &training.features[row * width..][..width];
        let truth = &training.truth[row * outputs..][..outputs];
        x.iter_mut().zip(features).for_each(|(x, feature)| *x = f64::from(*feature));
        for i in 0..size {
            if x[i] == 0.0 {
                continue;
            }
            gram[i * size..=i * size + i].iter_mut().zip(&x).for_each(|(g, value)| *g += x[i] * value);
            right[i * outputs..(i + 1) * outputs].iter_mut().zip(truth).for_each(|(r, t)| *r += x[i] * t);
        }
    }
    for i in 0..width {
        gram[i * size + i] += RIDGE * rows.len() as f64 + 1e-9;
    }
    solve(&mut gram, &mut right, size, outputs);
    right
}

/// The answers of [`fit_linear`]'s weights: `[n_test, outputs]`.
pub(super) fn apply_linear(weights: &[f64], test: &[f32], width: usize, outputs: usize) -> Vec<f64> {
    let mut answers = Vec::with_capacity(test.len() / width * outputs);
    for row in test.chunks_exact(width) {
        let start = answers.len();
        answers.extend_from_slice(&weights[width * outputs..]);
        for (feature, weights) in row.iter().zip(weights.chunks_exact(outputs)) {
            let feature = f64::from(*feature);
            answers[start..].iter_mut().zip(weights).for_each(|(a, w)| *a += feature * w);
        }
    }
    answers
}

/// Solves `a x = b` in place for a symmetric positive definite `a`, of which the lower triangle is
/// given; `b` is `[size, columns]` and becomes `x`.
fn solve(a: &mut [f64], b: &mut [f64], size: usize, columns: usize) {
    for i in 0..size {
        for j in 0..=i {
            let dot: f64 = (0..j).map(|k| a[i * size + k] * a[j * size + k]).sum();
            let value = a[i * size + j] - dot;
            a[i * size + j] = if i == j { value.max(1e-12).sqrt() } else { value / a[j * size + j] };
        }
    }
    for column in 0..columns {
        for i in 0..size {
            let dot: f64 = (0..i).map(|k| a[i * size + k] * b[k * columns + column]).sum();
            b[i * columns + column] = (b[i * columns + column] - dot) / a[i * size + i];
        }
        for i in (0..size).rev() {
            let dot: f64 = (i + 1..size).map(|k| a[k * size + i] * b[k * columns + column]).sum();
            b[i * columns + column] = (b[i * columns + column] - dot) / a[i * size + i];
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ridge_finds_the_line_that_made_the_data() {
        let features: Vec<f32> = (0..40).flat_map(|i| [i as f32 * 0.1, ((i * 7) % 11) as f32]).collect();
        let truth: Vec<f64> = features
            .chunks_exact(2)
            .flat_map(|x| {
                let (a, b) = (f64::from(x[0]), f64::from(x[1]));
                [2.0 * a - b + 3.0, 0.5 * b]
            })
            .collect();
        let rows = Rows { features: &features, width: 2, truth: &truth, outputs: 2 };
        // From all rows, and from a sample of them.
        for weights in [fit_linear(&rows, 1), fit_linear_to(&rows, &sampled(40, 8, 1))] {
            let answers = apply_linear(&weights, &features, 2, 2);
            for (answer, truth) in answers.iter().zip(&truth) {
                assert!((answer - truth).abs() < 1e-3, "{answer} {truth}");
            }
        }
    }

    #[test]
    fn a_constant_and_a_repeated_feature_do_no_harm() {
        let features: Vec<f32> = (0..20).flat_map(|i| [i as f32, i as f32, 0.0]).collect();
        let truth: Vec<f64> = (0..20).map(f64::from).collect();
        let rows = Rows { features: &features, width: 3, truth: &truth, outputs: 1 };
        let answers = apply_linear(&fit_linear(&rows, 1), &[4.5, 4.5, 0.0], 3, 1);
        assert!((answers[0] - 4.5).abs() < 1e-2, "{answers:?}");
    }

    #[test]
    fn neighbours_are_the_nearest_rows() {
        let features: Vec<f32> = (0..100).map(|i| i as f32).collect();
        let truth: Vec<f64> = (0..100).map(|i| f64::from(i) * 10.0).collect();
        let rows = Rows { features: &features, width: 1, truth: &truth, outputs: 1 };
        assert_eq!(nearest_neighbours(&rows, &[50.0, 2.0], 1, Backend::Flex), [500.0, 20.0]);
        assert_eq!(mean(&rows), [495.0]);
    }
}
