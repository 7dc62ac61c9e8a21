//! One pass forward and backward: the loss of a batch and its gradient.
//!
//! Written by hand for the one family of networks there is, rather than recorded by automatic
//! differentiation: no tape, no temporary per operation, and activation and slope in one loop. A
//! test compares it with burn's automatic differentiation.

use super::random::{Purpose, stream};
use crate::model::device::{Backend, Matrix};
use crate::model::network::{Shape, add_bias};
use pulp::Arch;
use rand::Rng;

/// The numbers being trained, with the weight matrices where burn can multiply them.
#[derive(Debug, Clone)]
pub struct Parameters {
    /// `[inputs]`, where the shape has a scaling layer.
    pub scale: Option<Vec<f32>>,
    /// `[inputs, outputs]` of each layer.
    pub weights: Vec<Matrix>,
    /// `[outputs]` of each layer.
    pub biases: Vec<Vec<f32>>,
}

/// The gradient of the loss by each of the [`Parameters`], row-major, and the loss itself.
#[derive(Debug, Clone, PartialEq)]
pub struct Gradient {
    /// This shard's part of the batch's mean loss.
    pub loss: f64,
    /// As [`Parameters::scale`].
    pub scale: Option<Vec<f32>>,
    /// As [`Parameters::weights`].
    pub weights: Vec<Vec<f32>>,
    /// As [`Parameters::biases`].
    pub biases: Vec<Vec<f32>>,
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

impl Truth<'_> {
    /// The truth of `rows`, where a row has `outputs` numbers.
    pub fn rows(&self, rows: std::ops::Range<usize>, outputs: usize) -> Truth<'_> {
        match self {
            Self::Numbers(all) => Truth::Numbers(&all[rows.start * outputs..rows.end * outputs]),
            Self::Classes(all) => Truth::Classes(&all[rows]),
        }
    }
}

/// Loss and gradient for the rows `x`, row-major `[n, inputs]`, which are a part of a batch of
/// `batch_rows`; the parts of a batch add up.
pub fn gradient(
    shape: &Shape,
    parameters: &Parameters,
    backend: Backend,
    x: Vec<f32>,
    truth: &Truth,
    batch_rows: usize,
    dropout: Option<Dropout>,
) -> Gradient {
    let n = x.len() / shape.inputs;
    let sizes = shape.layers();
    let last = sizes.len() - 1;
    let mut rng = dropout.map(|d| (d.share, stream(d.seed, Purpose::Dropout, d.epoch, d.step)));

    // Forward, keeping what the way back needs: the input of every layer and the slopes.
    let unscaled = parameters.scale.as_ref().map(|_| x.clone());
    let mut x = x;
    if let Some(scale) = &parameters.scale {
        multiply_rows(&mut x, scale);
    }
    let mut layer_inputs = Vec::with_capacity(sizes.len());
    let mut slopes = Vec::with_capacity(last);
    for (index, (inputs, outputs)) in sizes.iter().copied().enumerate() {
        let input = backend.matrix(x, n, inputs);
        let mut z = input.times(&parameters.weights[index]);
        layer_inputs.push(input);
        let c = shape.product_scale(inputs);
        if index == last {
            add_bias(&mut z, c, &parameters.biases[index]);
        } else {
            let mut slope = vec![0.0; n * outputs];
            shape.activation.apply_with_slope(&mut z, &mut slope, c, &parameters.biases[index]);
            if let Some((share, rng)) = &mut rng {
                drop_units(&mut z, &mut slope, *share, rng);
            }
            slopes.push(slope);
        }
        x = z;
    }

    // Backward. `dz` is the gradient by what enters the activation.
    let (loss, mut dz) = loss_and_slope(x, truth, shape.outputs, batch_rows);
    let mut weights = vec![Vec::new(); sizes.len()];
    let mut biases = vec![Vec::new(); sizes.len()];
    let mut scale = None;
    for (index, (inputs, outputs)) in sizes.iter().copied().enumerate().rev() {
        biases[index] = column_sums(&dz, outputs);
        let c = shape.product_scale(inputs);
        if shape.ntk {
            multiply_by(&mut dz, c);
        }
        let dz_matrix = backend.matrix(dz, n, outputs);
        weights[index] = layer_inputs[index].transposed_times(&dz_matrix);
        if index > 0 {
            let mut dx = dz_matrix.times_transposed(&parameters.weights[index]);
            multiply(&mut dx, &slopes[index - 1]);
            dz = dx;
        } else {
            if let Some(unscaled) = &unscaled {
                let mut dx = dz_matrix.times_transposed(&parameters.weights[0]);
                multiply(&mut dx, unscaled);
                scale = Some(column_sums(&dx, inputs));
            }
            dz = Vec::new();
        }
    }
    Gradient { loss, scale, weights, biases }
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

/// Inverted dropout: a unit is 0 with probability `share`, and scaled up otherwise.
fn drop_units(values: &mut [f32], slopes: &mut [f32], share: f64, rng: &mut impl Rng) {
    let limit = (share * 65_536.0) as u64;
    let keep = (1.0 / (1.0 - share)) as f32;
    // Four units per draw: 16 random bits are enough to decide one.
    for (values, slopes) in values.chunks_mut(4).zip(slopes.chunks_mut(4)) {
        let mut bits = rng.next_u64();
        for (value, slope) in values.iter_mut().zip(slopes) {
            let factor = if bits & 0xffff < limit { 0.0 } else { keep };
            *value *= factor;
            *slope *= factor;
            bits >>= 16;
        }
    }
}

fn multiply(a: &mut [f32], b: &[f32]) {
    Arch::new().dispatch(|| a.iter_mut().zip(b).for_each(|(a, b)| *a *= b));
}

fn multiply_by(a: &mut [f32], factor: f32) {
    Arch::new().dispatch(|| a.iter_mut().for_each(|a| *a *= factor));
}

fn multiply_rows(a: &mut [f32], row: &[f32]) {
    for values in a.chunks_exact_mut(row.len()) {
        values.iter_mut().zip(row).for_each(|(a, b)| *a *= b);
    }
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

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::activation::Activation;
    use crate::training::random::normal;
    use burn::tensor::{Device, Tensor, TensorData, activation};

    fn shape(classes: bool) -> Shape {
        Shape {
            inputs: 3,
            hidden: vec![5, 4],
            outputs: if classes { 3 } else { 2 },
            activation: if classes { Activation::Selu } else { Activation::Tanh },
            scaling_layer: true,
            ntk: true,
        }
    }

    fn draws(n: usize, stream_id: u64) -> Vec<f32> {
        let mut rng = stream(3, Purpose::Sample, stream_id, 0);
        (0..n).map(|_| normal(&mut rng)).collect()
    }

    fn parameters(shape: &Shape, backend: Backend) -> Parameters {
        let sizes = shape.layers();
        Parameters {
            scale: Some(draws(shape.inputs, 100)),
            weights: sizes
                .iter()
                .enumerate()
                .map(|(i, (inputs, outputs))| {
                    backend.matrix(draws(inputs * outputs, i as u64), *inputs, *outputs)
                })
                .collect(),
            biases: sizes
                .iter()
                .enumerate()
                .map(|(i, (_, outputs))| draws(*outputs, 50 + i as u64))
                .collect(),
        }
    }

    /// The same network and loss by burn's automatic differentiation: gradients of scale, weights
    /// and biases, in that order, and the loss.
    fn by_autodiff(shape: &Shape, parameters: &Parameters, x: &[f32], truth: &Truth) -> (Vec<Vec<f32>>, f32) {
        let device = Device::flex().autodiff();
        let n = x.len() / shape.inputs;
        let leaf = |values: Vec<f32>, rows: usize, columns: usize| {
            Tensor::<2>::from_data(TensorData::new(values, [rows, columns]), &device).require_grad()
        };
        let constant = |values: Vec<f32>, rows: usize, columns: usize| {
            Tensor::<2>::from_data(TensorData::new(values, [rows, columns]), &device)
        };
        let scale = leaf(parameters.scale.clone().unwrap(), 1, shape.inputs);
        let sizes = shape.layers();
        let layers: Vec<_> = sizes
            .iter()
            .enumerate()
            .map(|(i, (inputs, outputs))| {
                let weight = leaf(parameters.weights[i].clone().into_vec(), *inputs, *outputs);
                (weight, leaf(parameters.biases[i].clone(), 1, *outputs))
            })
            .collect();
        let mut h = constant(x.to_vec(), n, shape.inputs) * scale.clone();
        for (i, (weight, bias)) in layers.iter().enumerate() {
            h = h.matmul(weight.clone()) * shape.product_scale(sizes[i].0) + bias.clone();
            if i < layers.len() - 1 {
                h = match shape.activation {
                    Activation::Selu => {
                        let positive = h.clone().clamp_min(0.0);
                        let negative = h.clamp_max(0.0).exp() - 1.0;
                        (positive + negative * 1.673_263_2) * 1.050_701
                    }
                    _ => h.tanh(),
                };
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
        let of =
            |tensor: &Tensor<2>| tensor.grad(&gradients).unwrap().into_data().try_into_vec::<f32>().unwrap();
        let mut all = vec![of(&scale)];
        all.extend(layers.iter().map(|(weight, _)| of(weight)));
        all.extend(layers.iter().map(|(_, bias)| of(bias)));
        (all, loss.into_scalar())
    }

    #[test]
    fn gradients_agree_with_automatic_differentiation() {
        let targets = draws(14, 200);
        for (classes, truth) in
            [(false, Truth::Numbers(&targets)), (true, Truth::Classes(&[0, 2, 1, 1, 0, 2, 2]))]
        {
            let shape = shape(classes);
            for backend in [Backend::Flex, Backend::Ndarray] {
                let parameters = parameters(&shape, backend);
                let x = draws(21, 300);
                let ours = gradient(&shape, &parameters, backend, x.clone(), &truth, 7, None);
                let (theirs, loss) = by_autodiff(&shape, &parameters, &x, &truth);
                assert!((ours.loss - f64::from(loss)).abs() < 1e-5, "{} {loss}", ours.loss);
                let mut all = vec![ours.scale.unwrap()];
                all.extend(ours.weights);
                all.extend(ours.biases);
                for (ours, theirs) in all.iter().zip(&theirs) {
                    assert_eq!(ours.len(), theirs.len());
                    for (a, b) in ours.iter().zip(theirs) {
                        assert!((a - b).abs() < 1e-5 * (1.0 + b.abs()), "{a} is not {b}");
                    }
                }
            }
        }
    }

    #[test]
    fn the_parts_of_a_batch_add_up() {
        let shape = shape(false);
        let parameters = parameters(&shape, Backend::Flex);
        let (x, targets) = (draws(21, 1), draws(14, 2));
        let truth = Truth::Numbers(&targets);
        let part = |rows: std::ops::Range<usize>| {
            let x = x[rows.start * 3..rows.end * 3].to_vec();
            gradient(&shape, &parameters, Backend::Flex, x, &truth.rows(rows, 2), 7, None)
        };
        let (whole, a, b) = (part(0..7), part(0..3), part(3..7));
        assert!((whole.loss - a.loss - b.loss).abs() < 1e-6);
        for (i, value) in whole.weights[1].iter().enumerate() {
            assert!((value - a.weights[1][i] - b.weights[1][i]).abs() < 1e-5);
        }
    }

    #[test]
    fn dropout_keeps_the_mean_and_repeats_with_its_seed() {
        let run = |step| {
            let (mut values, mut slopes) = (vec![1.0; 40_000], vec![1.0; 40_000]);
            drop_units(&mut values, &mut slopes, 0.3, &mut stream(1, Purpose::Dropout, 0, step));
            assert_eq!(values, slopes);
            values
        };
        let values = run(0);
        let zeros = values.iter().filter(|v| **v == 0.0).count() as f64 / 4e4;
        let mean = values.iter().map(|v| f64::from(*v)).sum::<f64>() / 4e4;
        assert!((zeros - 0.3).abs() < 0.01 && (mean - 1.0).abs() < 0.01, "{zeros} {mean}");
        assert_eq!(run(0), values);
        assert_ne!(run(1), values);
    }
}
