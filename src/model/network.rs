//! The network: an optional scaling layer, dense layers with one activation, a linear output.
//!
//! ```text
//! x [n, inputs] -> x * scale -> { f(c x W + b) } for each hidden layer -> c x W + b [n, outputs]
//! ```
//!
//! `c` is 1 in the standard parametrisation and `1 / sqrt(inputs of the layer)` in the neural
//! tangent one (Jacot et al. 2018), which `RealMLP` uses.

use super::activation::Activation;
use super::device::{Backend, Matrix};
use serde::{Deserialize, Serialize};

/// Rows that go through the network at once when there are many: enough to keep the matrix
/// products efficient, few enough to stay in the cache.
const CHUNK_ROWS: usize = 1024;

/// Everything about a network but its weights.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Shape {
    /// Encoded features per row.
    pub inputs: usize,
    /// Units of each hidden layer.
    pub hidden: Vec<usize>,
    /// One output per numeric target or per class.
    pub outputs: usize,
    /// After each hidden layer.
    pub activation: Activation,
    /// Whether the inputs are multiplied by a learned vector first.
    pub scaling_layer: bool,
    /// Whether each product is divided by the square root of its inputs.
    pub ntk: bool,
}

/// A trained network: its shape and its numbers.
#[derive(Debug, Clone, PartialEq)]
pub struct Network {
    /// What the numbers mean.
    pub shape: Shape,
    /// `[inputs]`, where the shape has a scaling layer.
    pub scale: Option<Vec<f32>>,
    /// The hidden layers and the output layer.
    pub layers: Vec<Dense>,
}

/// One dense layer.
#[derive(Debug, Clone, PartialEq)]
pub struct Dense {
    /// Row-major `[inputs, outputs]`.
    pub weight: Vec<f32>,
    /// `[outputs]`.
    pub bias: Vec<f32>,
}

/// A network whose weights sit on a compute backend, ready to answer.
#[derive(Debug, Clone)]
pub struct Ready {
    shape: Shape,
    scale: Option<Vec<f32>>,
    weights: Vec<Matrix>,
    biases: Vec<Vec<f32>>,
    backend: Backend,
}

impl Shape {
    /// `(inputs, outputs)` of each layer, the output layer last.
    pub fn layers(&self) -> Vec<(usize, usize)> {
        let mut sizes = vec![self.inputs];
        sizes.extend(&self.hidden);
        sizes.push(self.outputs);
        sizes.windows(2).map(|pair| (pair[0], pair[1])).collect()
    }

    /// Number of trained numbers.
    pub fn n_parameters(&self) -> usize {
        let scale = if self.scaling_layer { self.inputs } else { 0 };
        scale + self.layers().iter().map(|(inputs, outputs)| inputs * outputs + outputs).sum::<usize>()
    }

    /// The factor before each product with a weight matrix of `inputs` rows.
    pub fn product_scale(&self, inputs: usize) -> f32 {
        if self.ntk { 1.0 / (inputs as f32).sqrt() } else { 1.0 }
    }
}

impl Network {
    /// Moves the weights to `backend`.
    pub fn ready(self, backend: Backend) -> Ready {
        let sizes = self.shape.layers();
        let (weights, biases) = self
            .layers
            .into_iter()
            .zip(sizes)
            .map(|(layer, (inputs, outputs))| (backend.matrix(layer.weight, inputs, outputs), layer.bias))
            .unzip();
        Ready { shape: self.shape, scale: self.scale, weights, biases, backend }
    }

    /// Whether every number is finite; a network that is not is never stored.
    pub fn is_finite(&self) -> bool {
        let scale = self.scale.iter().flatten();
        let layers = self.layers.iter().flat_map(|layer| layer.weight.iter().chain(&layer.bias));
        scale.chain(layers).all(|value| value.is_finite())
    }
}

impl Ready {
    /// The shape of the network.
    pub fn shape(&self) -> &Shape {
        &self.shape
    }

    /// Puts the pieces of a network together again, as training keeps them.
    pub fn assemble(
        shape: &Shape,
        scale: Option<Vec<f32>>,
        weights: Vec<Matrix>,
        biases: Vec<Vec<f32>>,
        backend: Backend,
    ) -> Self {
        Self { shape: shape.clone(), scale, weights, biases, backend }
    }

    /// `x`, row-major `[n, inputs]`, to outputs `[n, outputs]`.
    pub fn forward(&self, x: &[f32]) -> Vec<f32> {
        let inputs = self.shape.inputs;
        if x.len() <= CHUNK_ROWS * inputs {
            return self.forward_chunk(x.to_vec());
        }
        let mut outputs = Vec::with_capacity(x.len() / inputs * self.shape.outputs);
        for chunk in x.chunks(CHUNK_ROWS * inputs) {
            outputs.extend(self.forward_chunk(chunk.to_vec()));
        }
        outputs
    }

    fn forward_chunk(&self, mut x: Vec<f32>) -> Vec<f32> {
        let n = x.len() / self.shape.inputs;
        if let Some(scale) = &self.scale {
            for row in x.chunks_exact_mut(scale.len()) {
                for (x, s) in row.iter_mut().zip(scale) {
                    *x *= s;
                }
            }
        }
        let sizes = self.shape.layers();
        let last = sizes.len() - 1;
        for (index, (inputs, _)) in sizes.into_iter().enumerate() {
            let c = self.shape.product_scale(inputs);
            let mut z = self.backend.matrix(x, n, inputs).times(&self.weights[index]);
            let bias = &self.biases[index];
            if index == last {
                add_bias(&mut z, c, bias);
            } else {
                self.shape.activation.apply(&mut z, c, bias);
            }
            x = z;
        }
        x
    }
}

/// `z <- scale z + bias`, where `z` is `[n, bias.len()]`.
pub fn add_bias(z: &mut [f32], scale: f32, bias: &[f32]) {
    for row in z.chunks_exact_mut(bias.len()) {
        for (z, b) in row.iter_mut().zip(bias) {
            *z = scale * *z + b;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn tiny() -> Network {
        Network {
            shape: Shape {
                inputs: 2,
                hidden: vec![2],
                outputs: 1,
                activation: Activation::Relu,
                scaling_layer: true,
                ntk: false,
            },
            scale: Some(vec![2.0, 1.0]),
            layers: vec![
                Dense { weight: vec![1.0, -1.0, 1.0, 1.0], bias: vec![0.0, 0.5] },
                Dense { weight: vec![1.0, 10.0], bias: vec![-1.0] },
            ],
        }
    }

    #[test]
    fn forward_is_what_the_formula_says() {
        // x * scale = (2, 3); hidden = relu(5, 1.5); output = 5 + 15 - 1.
        for backend in [Backend::Flex, Backend::Ndarray] {
            assert_eq!(tiny().ready(backend).forward(&[1.0, 3.0]), [19.0]);
        }
    }

    #[test]
    fn many_rows_are_answered_in_order() {
        let ready = tiny().ready(Backend::Flex);
        let x: Vec<f32> = (0..2500).flat_map(|i| [i as f32, 1.0]).collect();
        let outputs = ready.forward(&x);
        assert_eq!(outputs.len(), 2500);
        for i in [0, 1023, 1024, 2499] {
            assert_eq!(outputs[i], ready.forward(&x[2 * i..2 * i + 2])[0]);
        }
    }

    #[test]
    fn parameters_are_counted() {
        assert_eq!(tiny().shape.n_parameters(), 2 + 6 + 3);
    }

    #[test]
    fn one_bad_number_makes_a_network_unfit_to_store() {
        let mut network = tiny();
        assert!(network.is_finite());
        network.layers[1].bias[0] = f32::NAN;
        assert!(!network.is_finite());
    }
}
