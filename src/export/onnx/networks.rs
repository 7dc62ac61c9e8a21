//! The networks: `model::network` and `model::embedding` as operations, all networks at once.
//!
//! Weights get the factor of the neural tangent parametrisation multiplied in, so that a layer is the
//! usual `x W + b`.

use super::graph::{Attribute, Graph, Value};
use crate::model::activation::Activation;
use crate::model::embedding::levels::{self, SIZE};
use crate::model::embedding::steps::MIN_WIDTH;
use crate::model::embedding::waves::{OUTPUTS, WAVES};
use crate::model::network::{Network, Shape};
use std::f32::consts::TAU;

/// `features`, float `[networks, rows, inputs]`, to outputs, float `[networks, rows, outputs]`.
pub(super) fn forward(graph: &mut Graph, networks: &[Network], features: &Value) -> Value {
    let alike: Vec<&[Network]> = networks.chunk_by(|one, other| one.shape == other.shape).collect();
    if let [all] = alike[..] {
        return forward_alike(graph, all, features);
    }
    let mut first = 0;
    let outputs: Vec<Value> = alike
        .into_iter()
        .map(|networks| {
            let indices: Vec<i64> = (first..first + networks.len()).map(|index| index as i64).collect();
            first += networks.len();
            let indices = graph.int64s(&[indices.len()], indices);
            let own = graph.op_with("Gather", &[features, &indices], &[("axis", Attribute::Int(0))]);
            forward_alike(graph, networks, &own)
        })
        .collect();
    graph.concat(&outputs, 0)
}

/// As [`forward`], for networks of one shape.
fn forward_alike(graph: &mut Graph, networks: &[Network], features: &Value) -> Value {
    let shape = &networks[0].shape;
    let n_networks = networks.len();
    let mut arrays = stacked(networks).into_iter();
    let mut next = || arrays.next().expect("one array for each of the shape's");
    let mut parts = vec![others(graph, shape, features)];
    if !shape.embedded.is_empty() {
        let arrays = [next(), next(), next(), next()];
        parts.push(waves(graph, shape, n_networks, features, arrays));
    }
    if !shape.stepped.is_empty() {
        parts.push(steps(graph, shape, n_networks, features, &next()));
    }
    if !shape.categories.is_empty() {
        parts.extend(vectors(graph, shape, n_networks, features, &next()));
    }
    let mut x = if parts.len() == 1 { parts.remove(0) } else { graph.concat(&parts, 2) };
    if shape.scaling_layer {
        let scale = graph.floats(&[n_networks, 1, shape.width()], next());
        x = graph.op("Mul", &[&x, &scale]);
    }
    for (index, (inputs, outputs)) in shape.layers().into_iter().enumerate() {
        let factor = f64::from(shape.product_scale(inputs));
        let weight = next().into_iter().map(|weight| (f64::from(weight) * factor) as f32).collect();
        let weight = graph.floats(&[n_networks, inputs, outputs], weight);
        let bias = graph.floats(&[n_networks, 1, outputs], next());
        let product = graph.op("MatMul", &[&x, &weight]);
        x = graph.op("Add", &[&product, &bias]);
        if index == shape.hidden.len() {
            break;
        }
        let active = activate(graph, shape.activation, &x);
        x = if shape.parametric {
            let slope = graph.floats(&[n_networks, 1, outputs], next());
            let gap = graph.op("Sub", &[&active, &x]);
            let share = graph.op("Mul", &[&slope, &gap]);
            graph.op("Add", &[&x, &share])
        } else {
            active
        };
    }
    x
}

/// The arrays of a network in their order, each with those of all networks one after the other.
fn stacked(networks: &[Network]) -> Vec<Vec<f32>> {
    let n_arrays = networks[0].arrays.len();
    (0..n_arrays)
        .map(|index| networks.iter().flat_map(|network| network.arrays[index].iter().copied()).collect())
        .collect()
}

/// Some of the features: `[networks, rows, indices]`.
fn gather(graph: &mut Graph, x: &Value, indices: impl Iterator<Item = usize>) -> Value {
    let indices: Vec<i64> = indices.map(|index| index as i64).collect();
    let columns = graph.int64s(&[indices.len()], indices);
    graph.op_with("Gather", &[x, &columns], &[("axis", Attribute::Int(2))])
}

/// The features but those of embedded categories.
fn others(graph: &mut Graph, shape: &Shape, x: &Value) -> Value {
    if shape.categories.is_empty() {
        return x.clone();
    }
    gather(graph, x, levels::others(&shape.categories, shape.inputs).flatten())
}

/// The steps of some features: `[networks, rows, steps]`.
fn steps(graph: &mut Graph, shape: &Shape, n_networks: usize, x: &Value, edges: &[f32]) -> Value {
    let own = gather(graph, x, shape.stepped.iter().flat_map(|of| vec![of.feature; of.count]));
    let (mut low, mut widths, mut rest) = (Vec::new(), Vec::new(), edges);
    while !rest.is_empty() {
        for of in &shape.stepped {
            let own;
            (own, rest) = rest.split_at(of.count + 1);
            low.extend_from_slice(&own[..of.count]);
            widths.extend(own.windows(2).map(|pair| (pair[1] - pair[0]).max(MIN_WIDTH)));
        }
    }
    let dims = [n_networks, 1, low.len() / n_networks];
    let low = graph.floats(&dims, low);
    let widths = graph.floats(&dims, widths);
    let above = graph.op("Sub", &[&own, &low]);
    let share = graph.op("Div", &[&above, &widths]);
    let (zero, one) = (graph.float(0.0), graph.float(1.0));
    graph.op("Clip", &[&share, &zero, &one])
}

/// The vectors of each embedded category: `[networks, rows, SIZE]`.
fn vectors(graph: &mut Graph, shape: &Shape, n_networks: usize, x: &Value, vectors: &[f32]) -> Vec<Value> {
    let of_network = SIZE * levels::count(&shape.categories);
    let mut start = 0;
    let each = shape.categories.iter().map(|of| {
        let own = gather(graph, x, of.features());
        let n = SIZE * of.count;
        let values =
            vectors.chunks_exact(of_network).flat_map(|all| &all[start..start + n]).copied().collect();
        start += n;
        let values = graph.floats(&[n_networks, of.count, SIZE], values);
        graph.op("MatMul", &[&own, &values])
    });
    each.collect()
}

/// The waves of some features: `[networks, rows, OUTPUTS * embedded]`.
fn waves(graph: &mut Graph, shape: &Shape, n_networks: usize, x: &Value, arrays: [Vec<f32>; 4]) -> Value {
    let [frequencies, phases, weights, biases] = arrays;
    let n_embedded = shape.embedded.len();
    let own = gather(graph, x, shape.embedded.iter().copied());
    // [networks, embedded, rows, 1]
    let own = graph.op_with("Transpose", &[&own], &[("perm", Attribute::Ints(vec![0, 2, 1]))]);
    let last = graph.int64s(&[1], vec![3]);
    let own = graph.op("Unsqueeze", &[&own, &last]);
    let circle = graph.float(TAU);
    let turns = graph.op("Mul", &[&circle, &own]);
    let frequencies = graph.floats(&[n_networks, n_embedded, 1, WAVES], frequencies);
    let phases = graph.floats(&[n_networks, n_embedded, 1, WAVES], phases);
    let angle = graph.op("Mul", &[&turns, &frequencies]);
    let angle = graph.op("Add", &[&angle, &phases]);
    let waves = graph.op("Cos", &[&angle]);
    // Each feature's waves are mixed by a layer of their own: [waves] -> [outputs].
    let transposed = weights
        .chunks_exact(OUTPUTS * WAVES)
        .flat_map(|of| (0..WAVES).flat_map(move |wave| (0..OUTPUTS).map(move |k| of[k * WAVES + wave])))
        .collect();
    let weights = graph.floats(&[n_networks, n_embedded, WAVES, OUTPUTS], transposed);
    let biases = graph.floats(&[n_networks, n_embedded, 1, OUTPUTS], biases);
    let mixed = graph.op("MatMul", &[&waves, &weights]);
    let mixed = graph.op("Add", &[&mixed, &biases]);
    // [networks, rows, embedded, outputs], then the last two as one; 0 keeps the size.
    let mixed = graph.op_with("Transpose", &[&mixed], &[("perm", Attribute::Ints(vec![0, 2, 1, 3]))]);
    let flat = graph.int64s(&[3], vec![0, 0, (n_embedded * OUTPUTS) as i64]);
    graph.op("Reshape", &[&mixed, &flat])
}

fn activate(graph: &mut Graph, activation: Activation, x: &Value) -> Value {
    match activation {
        Activation::Relu => graph.op("Relu", &[x]),
        Activation::LeakyRelu => graph.op_with("LeakyRelu", &[x], &[("alpha", Attribute::Float(0.01))]),
        Activation::Elu => graph.op("Elu", &[x]),
        Activation::Selu => graph.op("Selu", &[x]),
        Activation::Silu => {
            let share = graph.op("Sigmoid", &[x]);
            graph.op("Mul", &[x, &share])
        }
        // Written out: ONNX has had an operator of its own only since its version 18.
        Activation::Mish => {
            let soft = graph.op("Softplus", &[x]);
            let share = graph.op("Tanh", &[&soft]);
            graph.op("Mul", &[x, &share])
        }
        Activation::Gelu => gelu(graph, x),
        Activation::Tanh => graph.op("Tanh", &[x]),
        Activation::Sigmoid => graph.op("Sigmoid", &[x]),
    }
}

/// `x / 2 (1 + tanh(sqrt(2 / pi) (x + 0.044715 x^3)))`.
fn gelu(graph: &mut Graph, x: &Value) -> Value {
    let [cubic, scale, one, half] = [0.044_715, 0.797_884_6, 1.0, 0.5].map(|value| graph.float(value));
    let square = graph.op("Mul", &[x, x]);
    let cube = graph.op("Mul", &[&square, x]);
    let cubed = graph.op("Mul", &[&cubic, &cube]);
    let sum = graph.op("Add", &[x, &cubed]);
    let inner = graph.op("Mul", &[&scale, &sum]);
    let tanh = graph.op("Tanh", &[&inner]);
    let sum = graph.op("Add", &[&one, &tanh]);
    let halved = graph.op("Mul", &[&half, x]);
    graph.op("Mul", &[&halved, &sum])
}
