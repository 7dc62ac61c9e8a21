//! One pass forward and backward: the loss of a batch and its gradient.
//!
//! Written by hand for the one family of networks there is, rather than recorded by automatic
//! differentiation: no tape, no temporary per operation, and activation and slope in one loop. A
//! test compares it with burn's automatic differentiation.

use super::random::{Purpose, stream};
use crate::model::network::{Ready, add_bias, multiply_rows};
use pulp::Arch;
use rand::Rng;

/// Units whose factors are drawn at once; a multiple of 4.
const DROPOUT_CHUNK: usize = 256;

/// The gradient of the loss by every number of a network, and the loss itself.
#[derive(Debug, Clone, PartialEq)]
pub struct Gradient {
    /// This shard's part of the batch's mean loss.
    pub loss: f64,
    /// In the order of [`Shape::arrays`](crate::model::network::Shape::arrays).
    pub arrays: Vec<Vec<f32>>,
}

/// The truth for the rows of a batch.
#[derive(Debug, Clone, Copy)]
pub enum Truth<'a> {
    /// Standardised targets, row-major `[n, outputs]`: mean squared error.
    Numbers(&'a [f32]),
    /// Classes: cross-entropy of the softmax.
    Classes(&'a [u32]),
}

/// Units switched off at random.
#[derive(Debug, Clone, Copy)]
pub struct Dropout {
    /// Share of units, below 1.
    pub share: f64,
    /// Seed of the training.
    pub seed: u64,
    /// Tells epochs and folds apart.
    pub epoch: u64,
    /// Tells steps and shards apart.
    pub step: u64,
}

/// Loss and gradient for the rows `x`, row-major `[n, inputs]`, which are a part of a batch of
/// `batch_rows`; the parts of a batch add up.
pub fn gradient(
    network: &Ready,
    x: &[f32],
    truth: &Truth,
    batch_rows: usize,
    dropout: Option<Dropout>,
) -> Gradient {
    let shape = &network.shape;
    let backend = network.backend;
    let n = x.len() / shape.inputs;
    let sizes = shape.layers();
    let last = sizes.len() - 1;
    let mut rng = dropout.map(|d| (d.share, stream(d.seed, Purpose::Dropout, d.epoch, d.step)));

    // Forward, keeping what the way back needs: the input of every layer and the derivatives.
    let mut h = network.widen(x);
    let mut unscaled = Vec::new();
    if let Some(scale) = &network.scale {
        unscaled.clone_from(&h);
        multiply_rows(&mut h, scale);
    }
    let mut layer_inputs = Vec::with_capacity(sizes.len());
    let mut derivatives = Vec::with_capacity(last);
    for (index, (layer, (inputs, outputs))) in network.layers.iter().zip(sizes.iter().copied()).enumerate() {
        let input = backend.matrix(h, n, inputs);
        let mut z = input.times(&layer.weight);
        layer_inputs.push(input);
        let c = shape.product_scale(inputs);
        if index == last {
            add_bias(&mut z, c, &layer.bias);
        } else {
            let mut by_x = vec![0.0; n * outputs];
            let mut by_slope = vec![0.0; if layer.slope.is_some() { n * outputs } else { 0 }];
            let slopes = layer.slope.as_deref();
            shape.activation.apply_with_derivatives(&mut z, &mut by_x, &mut by_slope, c, &layer.bias, slopes);
            if let Some((share, rng)) = &mut rng {
                drop_units([&mut z, &mut by_x, &mut by_slope], *share, rng);
            }
            derivatives.push((by_x, by_slope));
        }
        h = z;
    }

    // Backward, the last array first. `dz` is the gradient by what enters the activation.
    let (loss, mut dz) = loss_and_slope(h, truth, shape.outputs, batch_rows);
    let mut arrays = Vec::with_capacity(3 * sizes.len() + 5);
    let mut of_slope = None;
    for (index, (layer, (inputs, outputs))) in network.layers.iter().zip(sizes).enumerate().rev() {
        arrays.extend(of_slope.take());
        arrays.push(column_sums(&dz, outputs));
        if shape.ntk {
            multiply_by(&mut dz, shape.product_scale(inputs));
        }
        let dz_matrix = backend.matrix(dz, n, outputs);
        arrays.push(layer_inputs[index].transposed_times(&dz_matrix));
        if index > 0 {
            let mut dx = dz_matrix.times_transposed(&layer.weight);
            let (by_x, by_slope) = &derivatives[index - 1];
            if !by_slope.is_empty() {
                of_slope = Some(sums_of_products(&dx, by_slope, inputs));
            }
            multiply(&mut dx, by_x);
            dz = dx;
        } else {
            if network.scale.is_some() || !network.embeddings.is_empty() {
                let mut dx = dz_matrix.times_transposed(&layer.weight);
                if let Some(scale) = &network.scale {
                    arrays.push(sums_of_products(&dx, &unscaled, inputs));
                    multiply_rows(&mut dx, scale);
                }
                let by = network.embeddings.gradient(shape, x, &dx);
                arrays.extend(by.vectors);
                // The edges of steps stay where they are.
                arrays.extend(network.embeddings.edges.as_ref().map(|edges| vec![0.0; edges.len()]));
                if let Some(by) = by.waves {
                    arrays.extend([by.biases, by.weights, by.phases, by.frequencies]);
                }
            }
            dz = Vec::new();
        }
    }
    arrays.reverse();
    Gradient { loss, arrays }
}

/// The share of the batch's mean loss, and its gradient by the outputs in place of the outputs.
fn loss_and_slope(mut outputs: Vec<f32>, truth: &Truth, width: usize, batch_rows: usize) -> (f64, Vec<f32>) {
    let mut loss = 0.0;
    match truth {
        Truth::Numbers(targets) => {
            let factor = 1.0 / (batch_rows * width) as f32;
            for (output, target) in outputs.iter_mut().zip(*targets) {
                let error = *output - target;
                loss += f64::from(error * error);
                *output = 2.0 * factor * error;
            }
            (loss * f64::from(factor), outputs)
        }
        Truth::Classes(classes) => {
            let factor = 1.0 / batch_rows as f32;
            for (row, class) in outputs.chunks_exact_mut(width).zip(*classes) {
                let top = row.iter().copied().fold(f32::NEG_INFINITY, f32::max);
                let of_class = row[*class as usize] - top;
                let mut sum = 0.0;
                for value in row.iter_mut() {
                    *value = (*value - top).exp();
                    sum += *value;
                }
                loss += f64::from(sum.ln() - of_class);
                row.iter_mut().for_each(|value| *value *= factor / sum);
                row[*class as usize] -= factor;
            }
            (loss * f64::from(factor), outputs)
        }
    }
}

/// The mean loss of `outputs`, `[n, width]`.
pub fn mean_loss(outputs: &[f32], truth: &Truth, width: usize) -> f64 {
    loss_and_slope(outputs.to_vec(), truth, width, (outputs.len() / width).max(1)).0
}

/// Inverted dropout: a unit is 0 with probability `share`, and scaled up otherwise; its derivatives
/// likewise. An array of derivatives may be empty.
fn drop_units(arrays: [&mut [f32]; 3], share: f64, rng: &mut impl Rng) {
    let limit = (share * 65_536.0) as u64;
    let keep = (1.0 / (1.0 - share)) as f32;
    let [values, by_x, by_slope] = arrays;
    let mut factors = [0.0; DROPOUT_CHUNK];
    for (chunk, values) in values.chunks_mut(DROPOUT_CHUNK).enumerate() {
        // Four units per draw: 16 random bits are enough to decide one.
        for four in factors.chunks_exact_mut(4) {
            let mut bits = rng.next_u64();
            for factor in four {
                *factor = if bits & 0xffff < limit { 0.0 } else { keep };
                bits >>= 16;
            }
        }
        let factors = &factors[..values.len()];
        let begin = chunk * DROPOUT_CHUNK;
        multiply(values, factors);
        multiply(&mut by_x[begin..][..factors.len()], factors);
        if !by_slope.is_empty() {
            multiply(&mut by_slope[begin..][..factors.len()], factors);
        }
    }
}

fn multiply(a: &mut [f32], b: &[f32]) {
    Arch::new().dispatch(|| a.iter_mut().zip(b).for_each(|(a, b)| *a *= b));
}

fn multiply_by(a: &mut [f32], factor: f32) {
    Arch::new().dispatch(|| a.iter_mut().for_each(|a| *a *= factor));
}

fn column_sums(a: &[f32], width: usize) -> Vec<f32> {
    let mut sums = vec![0.0; width];
    Arch::new().dispatch(|| {
        for row in a.chunks_exact(width) {
            sums.iter_mut().zip(row).for_each(|(sum, value)| *sum += value);
        }
    });
    sums
}

/// The sum over the rows of `a b`, for each of `width` columns.
fn sums_of_products(a: &[f32], b: &[f32], width: usize) -> Vec<f32> {
    let mut sums = vec![0.0; width];
    Arch::new().dispatch(|| {
        for (a, b) in a.chunks_exact(width).zip(b.chunks_exact(width)) {
            for ((sum, a), b) in sums.iter_mut().zip(a).zip(b) {
                *sum += a * b;
            }
        }
    });
    sums
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::Backend;
    use crate::model::activation::Activation;
    use crate::model::embedding::levels::Levels;
    use crate::model::embedding::steps::Steps;
    use crate::model::embedding::waves::{OUTPUTS, WAVES};
    use crate::model::network::{Network, Shape};
    use crate::training::random::normal;
    use burn::tensor::{Device, Tensor, TensorData, activation};

    /// A network with every part there is.
    fn network(classes: bool, backend: Backend) -> Ready {
        let shape = Shape {
            inputs: 6,
            embedded: vec![2, 0],
            stepped: vec![Steps { feature: 2, count: 3 }, Steps { feature: 0, count: 2 }],
            categories: vec![Levels { first: 3, count: 2 }],
            hidden: vec![5, 4],
            outputs: if classes { 3 } else { 2 },
            activation: if classes { Activation::Selu } else { Activation::Tanh },
            parametric: true,
            scaling_layer: true,
            ntk: true,
        };
        let mut arrays: Vec<Vec<f32>> =
            shape.arrays().iter().zip(0..).map(|(array, i)| draws(array.len(), i)).collect();
        arrays[4] = vec![-1.0, -0.2, 0.4, 1.5, -2.0, 0.1, 0.9];
        Network { shape, arrays }.ready(backend)
    }

    fn draws(n: usize, stream_id: u64) -> Vec<f32> {
        let mut rng = stream(3, Purpose::Sample, stream_id, 0);
        (0..n).map(|_| normal(&mut rng)).collect()
    }

    /// The gradient of the same loss by burn's automatic differentiation, in the order of the arrays.
    fn by_autodiff(network: &Network, x: &[f32], truth: &Truth) -> (Vec<Vec<f32>>, f32) {
        let device = Device::flex().autodiff();
        let shape = &network.shape;
        let n = x.len() / shape.inputs;
        let constant = |values: Vec<f32>, rows: usize, columns: usize| {
            Tensor::<2>::from_data(TensorData::new(values, [rows, columns]), &device)
        };
        let leaves: Vec<Tensor<2>> = network
            .arrays
            .iter()
            .zip(shape.arrays())
            .map(|(values, array)| {
                let rows = if array.dims.len() == 1 { 1 } else { array.dims[0] };
                constant(values.clone(), rows, array.len() / rows).require_grad()
            })
            .collect();
        let mut next = leaves.iter().cloned();
        let mut next = || next.next().unwrap();
        let [frequencies, phases, mixes, biases] = [next(), next(), next(), next()];
        let mut parts = vec![constant(x.to_vec(), n, shape.inputs)];
        for (index, column) in shape.embedded.iter().enumerate() {
            let values = (0..n).map(|row| std::f32::consts::TAU * x[row * shape.inputs + column]).collect();
            let row = |tensor: &Tensor<2>| tensor.clone().narrow(0, index, 1);
            let waves = (constant(values, n, 1).matmul(row(&frequencies)) + row(&phases)).cos();
            let mix = row(&mixes).reshape([OUTPUTS, WAVES]).transpose();
            parts.push(waves.matmul(mix) + row(&biases));
        }
        // The edges are not trained: what they would be worth is not asked.
        let _ = next();
        for (feature, edges) in [(2, &network.arrays[4][..4]), (0, &network.arrays[4][4..])] {
            for pair in edges.windows(2) {
                let share = |row: usize| {
                    ((x[row * shape.inputs + feature] - pair[0]) / (pair[1] - pair[0])).clamp(0.0, 1.0)
                };
                parts.push(constant((0..n).map(share).collect(), n, 1));
            }
        }
        let levels =
            constant((0..n).flat_map(|row| x[row * shape.inputs + 3..][..2].to_vec()).collect(), n, 2);
        parts.push(levels.matmul(next()));
        let features = parts[0].clone();
        parts[0] = Tensor::cat(vec![features.clone().narrow(1, 0, 3), features.narrow(1, 5, 1)], 1);
        let mut h = Tensor::cat(parts, 1) * next();
        let sizes = shape.layers();
        for (index, (inputs, _)) in sizes.iter().enumerate() {
            let (weight, bias) = (next(), next());
            h = h.matmul(weight) * shape.product_scale(*inputs) + bias;
            if index < sizes.len() - 1 {
                let f = match shape.activation {
                    Activation::Selu => {
                        let positive = h.clone().clamp_min(0.0);
                        let negative = h.clone().clamp_max(0.0).exp() - 1.0;
                        (positive + negative * 1.673_263_2) * 1.050_701
                    }
                    _ => h.clone().tanh(),
                };
                h = h.clone() + next() * (f - h);
            }
        }
        let loss = match truth {
            Truth::Numbers(targets) => {
                (h - constant(targets.to_vec(), n, shape.outputs)).powf_scalar(2.0).mean()
            }
            Truth::Classes(classes) => {
                let mut one_hot = vec![0.0; n * shape.outputs];
                for (i, class) in classes.iter().enumerate() {
                    one_hot[i * shape.outputs + *class as usize] = 1.0;
                }
                (activation::log_softmax(h, 1) * constant(one_hot, n, shape.outputs)).sum()
                    * (-1.0 / n as f32)
            }
        };
        let gradients = loss.backward();
        let of = |tensor: &Tensor<2>| {
            let zeros = || vec![0.0; tensor.shape().num_elements()];
            tensor
                .grad(&gradients)
                .map_or_else(zeros, |gradient| gradient.into_data().try_into_vec().unwrap())
        };
        (leaves.iter().map(of).collect(), loss.into_scalar())
    }

    #[test]
    fn gradients_agree_with_automatic_differentiation() {
        let targets = draws(14, 200);
        for (classes, truth) in
            [(false, Truth::Numbers(&targets)), (true, Truth::Classes(&[0, 2, 1, 1, 0, 2, 2]))]
        {
            for backend in [Backend::Flex, Backend::Ndarray] {
                let network = network(classes, backend);
                let x = draws(42, 300);
                let ours = gradient(&network, &x, &truth, 7, None);
                let (theirs, loss) = by_autodiff(&network.into_network(), &x, &truth);
                assert!((ours.loss - f64::from(loss)).abs() < 1e-5, "{} {loss}", ours.loss);
                assert_eq!(ours.arrays.len(), theirs.len());
                for (ours, theirs) in ours.arrays.iter().zip(&theirs) {
                    assert_eq!(ours.len(), theirs.len());
                    for (a, b) in ours.iter().zip(theirs) {
                        assert!((a - b).abs() < 2e-5 * (1.0 + b.abs()), "{a} is not {b}");
                    }
                }
            }
        }
    }

    #[test]
    fn the_parts_of_a_batch_add_up() {
        let network = network(false, Backend::Flex);
        let (x, targets) = (draws(42, 1), draws(14, 2));
        let part = |rows: std::ops::Range<usize>| {
            let truth = Truth::Numbers(&targets[rows.start * 2..rows.end * 2]);
            gradient(&network, &x[rows.start * 6..rows.end * 6], &truth, 7, None)
        };
        let (whole, a, b) = (part(0..7), part(0..3), part(3..7));
        assert!((whole.loss - a.loss - b.loss).abs() < 1e-6);
        for ((whole, a), b) in whole.arrays.iter().zip(&a.arrays).zip(&b.arrays) {
            for ((whole, a), b) in whole.iter().zip(a).zip(b) {
                assert!((whole - a - b).abs() < 1e-4 * (1.0 + whole.abs()), "{whole} is not {a} + {b}");
            }
        }
    }

    #[test]
    fn dropout_keeps_the_mean_and_repeats_with_its_seed() {
        let run = |step| {
            let (mut values, mut by_x, mut by_slope) =
                (vec![1.0; 40_001], vec![1.0; 40_001], vec![1.0; 40_001]);
            let mut rng = stream(1, Purpose::Dropout, 0, step);
            drop_units([&mut values, &mut by_x, &mut by_slope], 0.3, &mut rng);
            assert_eq!(values, by_x);
            assert_eq!(values, by_slope);
            values
        };
        let values = run(0);
        let zeros = values.iter().filter(|v| **v == 0.0).count() as f64 / 40_001.0;
        let mean = values.iter().map(|v| f64::from(*v)).sum::<f64>() / 40_001.0;
        assert!((zeros - 0.3).abs() < 0.01 && (mean - 1.0).abs() < 0.01, "{zeros} {mean}");
        assert_eq!(run(0), values);
        assert_ne!(run(1), values);
    }
}
