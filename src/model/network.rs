//! The network: optional embeddings and scaling layer, dense layers with one activation, a linear output.
//!
//! ```text
//! x [n, inputs] -> with embeddings [n, width] -> x * scale
//!   -> { f(c x W + b) } for each hidden layer -> c x W + b [n, outputs]
//! ```
//!
//! `c` is 1 in the standard parametrisation and `1 / sqrt(inputs of the layer)` in the neural
//! tangent one (Jacot et al. 2018), which `RealMLP` uses.

use super::activation::Activation;
use super::device::{Backend, Matrix};
use super::embedding::{self, Embeddings, levels, levels::Levels, steps::Steps, waves, waves::Waves};
use serde::{Deserialize, Serialize};

/// Rows that go through the network at once when there are many: enough to keep the matrix
/// products efficient, few enough to stay in the cache.
const CHUNK_ROWS: usize = 1024;

/// Everything about a network but its weights.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Shape {
    /// Encoded features per row.
    pub inputs: usize,
    /// The features that become waves; see [`Waves`].
    #[serde(default)]
    pub embedded: Vec<usize>,
    /// The features that become steps too; see [`steps`](embedding::steps).
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub stepped: Vec<Steps>,
    /// The categories that become vectors, in the order of their features; see [`levels`].
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub categories: Vec<Levels>,
    /// Units of each hidden layer.
    pub hidden: Vec<usize>,
    /// One output per numeric target or per class.
    pub outputs: usize,
    /// After each hidden layer.
    pub activation: Activation,
    /// Whether each unit learns how much of the activation it wants: `x + a (f(x) - x)`.
    #[serde(default)]
    pub parametric: bool,
    /// Whether the inputs are multiplied by a learned vector first.
    pub scaling_layer: bool,
    /// Whether each product is divided by the square root of its inputs.
    pub ntk: bool,
}

/// What an array of numbers does in a network.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Role {
    /// Part of the waves.
    Embedding,
    /// The edges of steps, which are not trained.
    Edges,
    /// The vectors of the levels of categories.
    Vectors,
    /// The scaling layer.
    Scale,
    /// A layer's matrix.
    Weight,
    /// What a layer adds.
    Bias,
    /// How much of the activation each unit wants.
    Slope,
}

/// One array of numbers of a network.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ArrayShape {
    /// As in the model file, such as `layer.0.weight`.
    pub name: String,
    /// Row-major.
    pub dims: Vec<usize>,
    /// What it does.
    pub role: Role,
}

/// A trained network: its shape and its numbers.
#[derive(Debug, Clone, PartialEq)]
pub struct Network {
    /// What the numbers mean.
    pub shape: Shape,
    /// In the order of [`Shape::arrays`].
    pub arrays: Vec<Vec<f32>>,
}

/// A network whose weights sit on a compute backend, ready to answer or to be trained.
#[derive(Debug, Clone)]
pub struct Ready {
    /// What the numbers mean.
    pub shape: Shape,
    /// Where matrices are multiplied.
    pub backend: Backend,
    /// What becomes of the features first.
    pub embeddings: Embeddings,
    /// `[width]`, where the shape has a scaling layer.
    pub scale: Option<Vec<f32>>,
    /// The hidden layers and the output layer.
    pub layers: Vec<Layer>,
}

/// One dense layer.
#[derive(Debug, Clone)]
pub struct Layer {
    /// `[inputs, outputs]`.
    pub weight: Matrix,
    /// `[outputs]`.
    pub bias: Vec<f32>,
    /// `[outputs]`, of a hidden layer with parametric activation.
    pub slope: Option<Vec<f32>>,
}

impl ArrayShape {
    /// Numbers in the array.
    pub fn len(&self) -> usize {
        self.dims.iter().product()
    }

    /// Whether there are none.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }
}

impl Shape {
    /// Numbers per row that enter the first layer.
    pub fn width(&self) -> usize {
        embedding::width(self)
    }

    /// `(inputs, outputs)` of each layer, the output layer last.
    pub fn layers(&self) -> Vec<(usize, usize)> {
        let mut sizes = vec![self.width()];
        sizes.extend(&self.hidden);
        sizes.push(self.outputs);
        sizes.windows(2).map(|pair| (pair[0], pair[1])).collect()
    }

    /// Every array of the network, in the order in which they are kept.
    pub fn arrays(&self) -> Vec<ArrayShape> {
        let array = |name: String, dims: &[usize], role| ArrayShape { name, dims: dims.to_vec(), role };
        let mut arrays = Vec::new();
        if !self.embedded.is_empty() {
            let n = self.embedded.len();
            let (waves, outputs) = (waves::WAVES, waves::OUTPUTS);
            for (name, dims) in [
                ("frequency", &[n, waves][..]),
                ("phase", &[n, waves]),
                ("weight", &[n, outputs, waves]),
                ("bias", &[n, outputs]),
            ] {
                arrays.push(array(format!("embedding.{name}"), dims, Role::Embedding));
            }
        }
        if !self.stepped.is_empty() {
            let n_edges = self.stepped.iter().map(|steps| steps.count + 1).sum();
            arrays.push(array("embedding.edges".to_owned(), &[n_edges], Role::Edges));
        }
        if !self.categories.is_empty() {
            let dims = [levels::count(&self.categories), levels::SIZE];
            arrays.push(array("embedding.vectors".to_owned(), &dims, Role::Vectors));
        }
        if self.scaling_layer {
            arrays.push(array("scale".to_owned(), &[self.width()], Role::Scale));
        }
        for (index, (inputs, outputs)) in self.layers().into_iter().enumerate() {
            arrays.push(array(format!("layer.{index}.weight"), &[inputs, outputs], Role::Weight));
            arrays.push(array(format!("layer.{index}.bias"), &[outputs], Role::Bias));
            if self.parametric && index < self.hidden.len() {
                arrays.push(array(format!("layer.{index}.slope"), &[outputs], Role::Slope));
            }
        }
        arrays
    }

    /// Number of trained numbers.
    pub fn n_parameters(&self) -> usize {
        self.arrays().iter().map(ArrayShape::len).sum()
    }

    /// The factor before each product with a weight matrix of `inputs` rows.
    pub fn product_scale(&self, inputs: usize) -> f32 {
        if self.ntk { 1.0 / (inputs as f32).sqrt() } else { 1.0 }
    }
}

impl Network {
    /// Moves the weights to `backend`.
    ///
    /// # Panics
    /// If the arrays are not those of the shape.
    pub fn ready(self, backend: Backend) -> Ready {
        let Self { shape, arrays } = self;
        let mut arrays = arrays.into_iter();
        let mut next = || arrays.next().expect("one array for each of the shape's");
        let waves = (!shape.embedded.is_empty()).then(|| Waves {
            frequencies: next(),
            phases: next(),
            weights: next(),
            biases: next(),
        });
        let edges = (!shape.stepped.is_empty()).then(&mut next);
        let vectors = (!shape.categories.is_empty()).then(&mut next);
        let embeddings = Embeddings { waves, edges, vectors };
        let scale = shape.scaling_layer.then(&mut next);
        let n_hidden = shape.hidden.len();
        let layers = shape.layers().into_iter().enumerate().map(|(index, (inputs, outputs))| Layer {
            weight: backend.matrix(next(), inputs, outputs),
            bias: next(),
            slope: (shape.parametric && index < n_hidden).then(&mut next),
        });
        let layers = layers.collect();
        Ready { shape, backend, embeddings, scale, layers }
    }

    /// Whether every number is finite; a network that is not is never stored.
    pub fn is_finite(&self) -> bool {
        self.arrays.iter().flatten().all(|value| value.is_finite())
    }
}

impl Ready {
    /// The numbers as plain arrays; free of a copy for a network on `flex` that nobody else holds.
    pub fn into_network(self) -> Network {
        let mut arrays = Vec::new();
        let Embeddings { waves, edges, vectors } = self.embeddings;
        if let Some(Waves { frequencies, phases, weights, biases }) = waves {
            arrays.extend([frequencies, phases, weights, biases]);
        }
        arrays.extend(edges);
        arrays.extend(vectors);
        arrays.extend(self.scale);
        for Layer { weight, bias, slope } in self.layers {
            arrays.extend([weight.into_vec(), bias]);
            arrays.extend(slope);
        }
        Network { shape: self.shape, arrays }
    }

    /// `x`, row-major `[n, inputs]`, to outputs `[n, outputs]`.
    pub fn forward(&self, x: &[f32]) -> Vec<f32> {
        let inputs = self.shape.inputs;
        if x.len() <= CHUNK_ROWS * inputs {
            return self.forward_chunk(x);
        }
        let mut outputs = Vec::with_capacity(x.len() / inputs * self.shape.outputs);
        for chunk in x.chunks(CHUNK_ROWS * inputs) {
            outputs.extend(self.forward_chunk(chunk));
        }
        outputs
    }

    /// The rows as they enter the scaling layer: `[n, width]`.
    pub fn widen(&self, x: &[f32]) -> Vec<f32> {
        self.embeddings.widen(&self.shape, x)
    }

    fn forward_chunk(&self, x: &[f32]) -> Vec<f32> {
        let n = x.len() / self.shape.inputs;
        let mut x = self.widen(x);
        if let Some(scale) = &self.scale {
            multiply_rows(&mut x, scale);
        }
        let last = self.layers.len() - 1;
        for (index, (layer, (inputs, _))) in self.layers.iter().zip(self.shape.layers()).enumerate() {
            let c = self.shape.product_scale(inputs);
            let mut z = self.backend.matrix(x, n, inputs).times(&layer.weight);
            if index == last {
                add_bias(&mut z, c, &layer.bias);
            } else {
                self.shape.activation.apply(&mut z, c, &layer.bias, layer.slope.as_deref());
            }
            x = z;
        }
        x
    }
}

/// Multiplies each row of `values`, `[n, row.len()]`, by `row`.
pub fn multiply_rows(values: &mut [f32], row: &[f32]) {
    for values in values.chunks_exact_mut(row.len()) {
        values.iter_mut().zip(row).for_each(|(value, factor)| *value *= factor);
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
                embedded: vec![],
                stepped: vec![],
                categories: vec![],
                hidden: vec![2],
                outputs: 1,
                activation: Activation::Relu,
                parametric: false,
                scaling_layer: true,
                ntk: false,
            },
            arrays: vec![
                vec![2.0, 1.0],
                vec![1.0, -1.0, 1.0, 1.0],
                vec![0.0, 0.5],
                vec![1.0, 10.0],
                vec![-1.0],
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
    fn the_slopes_mix_the_activation_with_its_argument() {
        let mut network = tiny();
        network.shape.parametric = true;
        network.arrays.insert(3, vec![1.0, 0.5]);
        // x * scale = (-1, -4); arguments (-5, -2.5); hidden = (0, -2.5 + 0.5 * 2.5); output = -12.5 - 1.
        for backend in [Backend::Flex, Backend::Ndarray] {
            let ready = network.clone().ready(backend);
            assert_eq!(ready.forward(&[-0.5, -4.0]), [-13.5]);
            assert_eq!(ready.into_network(), network);
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
        network.arrays[4][0] = f32::NAN;
        assert!(!network.is_finite());
    }
}
