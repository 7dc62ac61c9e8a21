//! The numbers that a network starts from.

use super::random::{Purpose, below, exponential, normal, stream, uniform};
use crate::model::device::Backend;
use crate::model::embedding::waves;
use crate::model::network::{Network, Ready, Role, Shape, multiply_rows};
use rand_xoshiro::Xoshiro256PlusPlus;
use serde::{Deserialize, Serialize};

/// How the first numbers are chosen.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Initial {
    /// `U(-1, 1) / sqrt(inputs)`, `PyTorch`'s default.
    Uniform,
    /// `N(0, 1)` and an output layer of zeros, as the simplified `RealMLP` does.
    Normal,
    /// From the training rows, as `RealMLP` does (Holzmüller et al. 2024, section 3): `N(0, 1)` weights,
    /// scaled so that each unit's argument has standard deviation 1; each bias such that the argument
    /// is 0 at a random point between five rows.
    DataDriven,
}

/// Rows that a data-driven start looks at.
const ROWS: usize = 2048;
/// Rows that the place of each bias is mixed from.
const MIXED_ROWS: usize = 5;
/// Standard deviation of the first frequencies of the embeddings.
const FREQUENCY: f32 = 0.1;

/// The network before the first step. `features`, `[n, inputs]`, are the training rows.
pub fn initial(
    how: Initial,
    shape: &Shape,
    backend: Backend,
    features: &[f32],
    seed: u64,
    fold: u32,
) -> Ready {
    let mut rng = stream(seed, Purpose::Weights, u64::from(fold), 0);
    let last = shape.hidden.len();
    let mut layer = 0;
    let column = |feature: usize| features.iter().skip(feature).step_by(shape.inputs).copied().collect();
    let arrays = shape.arrays().into_iter().map(|array| {
        let n = array.len();
        let mut normals = |scale: f32| (0..n).map(|_| scale * normal(&mut rng)).collect::<Vec<f32>>();
        match array.role {
            Role::Scale | Role::Slope => vec![1.0; n],
            Role::Embedding if array.name.ends_with("frequency") => normals(FREQUENCY),
            Role::Embedding if array.name.ends_with("phase") => {
                (0..n).map(|_| uniform(&mut rng, std::f32::consts::PI)).collect()
            }
            Role::Embedding => {
                (0..n).map(|_| uniform(&mut rng, 1.0 / (waves::WAVES as f32).sqrt())).collect()
            }
            Role::Edges => {
                shape.stepped.iter().flat_map(|steps| steps.edges(column(steps.feature))).collect()
            }
            Role::Vectors => normals(1.0),
            Role::Weight | Role::Bias => {
                let own = layer;
                layer += usize::from(array.role == Role::Bias);
                match how {
                    Initial::Uniform => {
                        let bound = 1.0 / (shape.layers()[own].0 as f32).sqrt();
                        (0..n).map(|_| uniform(&mut rng, bound)).collect()
                    }
                    Initial::Normal if own == last => vec![0.0; n],
                    Initial::Normal | Initial::DataDriven => normals(1.0),
                }
            }
        }
    });
    let network = Network { shape: shape.clone(), arrays: arrays.collect() }.ready(backend);
    if how == Initial::DataDriven { fitted_to(network, features, &mut rng) } else { network }
}

fn fitted_to(mut network: Ready, features: &[f32], rng: &mut Xoshiro256PlusPlus) -> Ready {
    let shape = network.shape.clone();
    let n = (features.len() / shape.inputs).min(ROWS);
    if n < 2 {
        return network;
    }
    // Training rows come in the order of the file, which may be sorted: take them from all over it.
    let stride = features.len() / shape.inputs / n;
    let rows = features.chunks_exact(shape.inputs).step_by(stride).take(n);
    let mut h = network.widen(&rows.flatten().copied().collect::<Vec<f32>>());
    if let Some(scale) = &network.scale {
        multiply_rows(&mut h, scale);
    }
    for (layer, (inputs, outputs)) in network.layers.iter_mut().zip(shape.layers()) {
        let mut weight = layer.weight.clone().into_vec();
        let c = shape.product_scale(inputs);
        let mut z = network.backend.matrix(h, n, inputs).times(&layer.weight);
        z.iter_mut().for_each(|z| *z *= c);
        for unit in 0..outputs {
            let own = || z.iter().skip(unit).step_by(outputs).map(|value| f64::from(*value));
            let mean = own().sum::<f64>() / n as f64;
            let variance = own().map(|value| (value - mean).powi(2)).sum::<f64>() / n as f64;
            // A unit whose argument is the same for all rows cannot be scaled.
            let factor = if variance > 1e-12 { (1.0 / variance.sqrt()) as f32 } else { 1.0 };
            weight.iter_mut().skip(unit).step_by(outputs).for_each(|weight| *weight *= factor);
            z.iter_mut().skip(unit).step_by(outputs).for_each(|z| *z *= factor);
            let (mut total, mut mixed) = (0.0, 0.0);
            for _ in 0..MIXED_ROWS {
                let (row, share) = (below(rng, n), exponential(rng));
                total += share;
                mixed += share * z[row * outputs + unit];
            }
            layer.bias[unit] = -mixed / total;
        }
        layer.weight = network.backend.matrix(weight, inputs, outputs);
        shape.activation.apply(&mut z, 1.0, &layer.bias, layer.slope.as_deref());
        h = z;
    }
    network
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::activation::Activation;

    #[test]
    fn a_data_driven_start_gives_every_unit_an_argument_of_spread_one() {
        let shape = Shape {
            inputs: 4,
            embedded: vec![0, 3],
            stepped: vec![],
            categories: vec![],
            hidden: vec![32, 16],
            outputs: 2,
            activation: Activation::Mish,
            parametric: true,
            scaling_layer: true,
            ntk: true,
        };
        let mut rng = stream(1, Purpose::Sample, 0, 0);
        let features: Vec<f32> = (0..4 * 500).map(|_| normal(&mut rng)).collect();
        let network = initial(Initial::DataDriven, &shape, Backend::Flex, &features, 3, 0);
        let outputs = network.forward(&features);
        for k in 0..2 {
            let own: Vec<f64> = outputs.iter().skip(k).step_by(2).map(|v| f64::from(*v)).collect();
            let mean = own.iter().sum::<f64>() / 500.0;
            let std = (own.iter().map(|v| (v - mean).powi(2)).sum::<f64>() / 500.0).sqrt();
            assert!((std - 1.0).abs() < 1e-3 && mean.abs() < 3.0, "{mean} {std}");
        }
        let again = initial(Initial::DataDriven, &shape, Backend::Flex, &features, 3, 0).into_network();
        assert_eq!(again, network.into_network());
        let other = initial(Initial::DataDriven, &shape, Backend::Flex, &features, 3, 1).into_network();
        assert_ne!(again, other);
    }

    #[test]
    fn the_simplified_start_answers_zero() {
        let shape = Shape {
            inputs: 2,
            embedded: vec![],
            stepped: vec![],
            categories: vec![],
            hidden: vec![8],
            outputs: 3,
            activation: Activation::Selu,
            parametric: false,
            scaling_layer: true,
            ntk: true,
        };
        let network = initial(Initial::Normal, &shape, Backend::Flex, &[], 3, 0);
        assert_eq!(network.forward(&[1.0, -2.0]), [0.0; 3]);
    }
}
