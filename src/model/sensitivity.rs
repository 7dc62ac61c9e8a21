//! How much an answer changes with each input: exact derivatives, in the user's units.
//!
//! A network is differentiable, so the local effect of an input needs no guessing by small changes: it
//! is carried back through network, squeeze and scaling. For a class it is the change of its
//! probability.

use super::encoder::Encoder;
use super::input::Value;
use super::interval::{ProbabilityScale, probabilities};
use super::manifest::Member;
use super::network::{Ready, add_bias, multiply_rows};

impl Ready {
    /// The derivative by the features `x`, `[n, inputs]`, of the outputs weighted by `by_outputs`,
    /// `[n, outputs]`.
    fn by_features(&self, x: &[f32], by_outputs: Vec<f32>) -> Vec<f32> {
        let shape = &self.shape;
        let n = x.len() / shape.inputs;
        let sizes = shape.layers();
        let mut h = self.widen(x);
        if let Some(scale) = &self.scale {
            multiply_rows(&mut h, scale);
        }
        let mut derivatives = Vec::with_capacity(self.layers.len());
        for (index, (layer, (inputs, outputs))) in self.layers.iter().zip(&sizes).enumerate() {
            let c = shape.product_scale(*inputs);
            let mut z = self.backend.matrix(h, n, *inputs).times(&layer.weight);
            let mut by_x = vec![1.0; n * outputs];
            if index < shape.hidden.len() {
                let slopes = layer.slope.as_deref();
                let mut by_slope = vec![0.0; if slopes.is_some() { by_x.len() } else { 0 }];
                shape.activation.apply_with_derivatives(
                    &mut z,
                    &mut by_x,
                    &mut by_slope,
                    c,
                    &layer.bias,
                    slopes,
                );
            } else {
                add_bias(&mut z, c, &layer.bias);
            }
            derivatives.push(by_x);
            h = z;
        }
        let mut dz = by_outputs;
        for ((layer, (inputs, outputs)), by_x) in self.layers.iter().zip(&sizes).zip(&derivatives).rev() {
            let c = shape.product_scale(*inputs);
            dz.iter_mut().zip(by_x).for_each(|(dz, by_x)| *dz *= c * by_x);
            dz = self.backend.matrix(dz, n, *outputs).times_transposed(&layer.weight);
        }
        if let Some(scale) = &self.scale {
            multiply_rows(&mut dz, scale);
        }
        self.embeddings.by_features(shape, x, &dz)
    }
}

/// Networks that answer together.
#[derive(Debug, Clone, Copy)]
pub struct Together<'a> {
    /// Ready to answer.
    pub networks: &'a [Ready],
    /// What goes with each network.
    pub members: &'a [Member],
}

impl Together<'_> {
    fn share(&self, index: usize) -> f64 {
        self.members[index].weight / self.members.iter().map(|member| member.weight).sum::<f64>()
    }

    fn encode(&self, index: usize, rows: &[Value], n_inputs: usize) -> Vec<f32> {
        let mut features = Vec::new();
        rows.chunks_exact(n_inputs)
            .for_each(|row| self.members[index].encoder.encode_row(row, &mut features));
        features
    }

    /// The derivative of each numeric target by each input, `[n, targets, inputs]`, for `rows` of
    /// values, `[n, inputs]`. NaN for an input that is missing or no number.
    pub fn of_numbers(&self, rows: &[Value], n_inputs: usize) -> Vec<f64> {
        let n = rows.len() / n_inputs;
        let n_targets = self.members[0].target_scales.len();
        let mut sum = Sum::new(n, n_targets, n_inputs);
        for (index, (network, member)) in self.networks.iter().zip(self.members).enumerate() {
            let features = self.encode(index, rows, n_inputs);
            let outputs =
                if member.logarithmic.contains(&true) { network.forward(&features) } else { Vec::new() };
            for (target, (_, std)) in member.target_scales.iter().enumerate() {
                let mut by_outputs = vec![0.0; n * n_targets];
                for row in 0..n {
                    // The exponential function is its own derivative.
                    let slope = if member.is_logarithmic(target) {
                        member.in_units(target, f64::from(outputs[row * n_targets + target]))
                    } else {
                        1.0
                    };
                    by_outputs[row * n_targets + target] = (slope * std * self.share(index)) as f32;
                }
                sum.add(&member.encoder, rows, target, &network.by_features(&features, by_outputs));
            }
        }
        sum.values
    }

    /// The derivative of the probability of the class `labels[row]` by each input, `[n, inputs]`.
    /// `scale` is that of the model's calibration.
    pub fn of_classes(
        &self,
        rows: &[Value],
        n_inputs: usize,
        labels: &[usize],
        n_classes: usize,
        scale: ProbabilityScale,
    ) -> Vec<f64> {
        let n = labels.len();
        let each: Vec<(Vec<f32>, Vec<f64>)> = self
            .networks
            .iter()
            .enumerate()
            .map(|(index, network)| {
                let features = self.encode(index, rows, n_inputs);
                let logits: Vec<f64> = network.forward(&features).into_iter().map(f64::from).collect();
                let p = probabilities(&logits, n_classes, 1.0);
                (features, p)
            })
            .collect();
        // The mean probability q, and the calibrated one but for the doubt: q to the power 1 / temperature,
        // normalised.
        let mut q = vec![0.0; n * n_classes];
        for (index, (_, p)) in each.iter().enumerate() {
            q.iter_mut().zip(p).for_each(|(q, p)| *q += self.share(index) * p);
        }
        let logs: Vec<f64> = q.iter().map(|q| q.max(1e-30).ln()).collect();
        let calibrated = probabilities(&logs, n_classes, scale.temperature);
        let mut sum = Sum::new(n, 1, n_inputs);
        for (index, (features, own)) in each.iter().enumerate() {
            let mut by_logits = vec![0.0; n * n_classes];
            for (row, label) in labels.iter().enumerate() {
                let range = row * n_classes..(row + 1) * n_classes;
                let (q, p, own) = (&q[range.clone()], &calibrated[range.clone()], &own[range.clone()]);
                // By the mean probabilities: (1 - doubt) p_label / T (1[j = label] - p_j) / q_j.
                let by_q: Vec<f64> = (0..n_classes)
                    .map(|j| {
                        let hit = if j == *label { 1.0 } else { 0.0 };
                        (1.0 - scale.doubt) * p[*label] / scale.temperature * (hit - p[j]) / q[j].max(1e-30)
                    })
                    .collect();
                // Then by the logits, through the softmax of this network.
                let mean: f64 = by_q.iter().zip(own).map(|(by, own)| by * own).sum();
                for ((by_logit, by), own) in by_logits[range].iter_mut().zip(&by_q).zip(own) {
                    *by_logit = (self.share(index) * own * (by - mean)) as f32;
                }
            }
            let by_features = self.networks[index].by_features(features, by_logits);
            sum.add(&self.members[index].encoder, rows, 0, &by_features);
        }
        sum.values
    }
}

/// Derivatives by inputs, added up over the networks.
struct Sum {
    n_targets: usize,
    n_inputs: usize,
    values: Vec<f64>,
}

impl Sum {
    fn new(n: usize, n_targets: usize, n_inputs: usize) -> Self {
        Self { n_targets, n_inputs, values: vec![0.0; n * n_targets * n_inputs] }
    }

    fn add(&mut self, encoder: &Encoder, rows: &[Value], target: usize, by_features: &[f32]) {
        let derivatives = rows.chunks_exact(self.n_inputs).zip(by_features.chunks_exact(encoder.width()));
        for (row, (values, by_features)) in derivatives.enumerate() {
            let begin = (row * self.n_targets + target) * self.n_inputs;
            let own = self.values[begin..].iter_mut();
            for (sum, slope) in own.zip(encoder.slopes(values)) {
                *sum += slope.map_or(f64::NAN, |(feature, slope)| slope * f64::from(by_features[feature]));
            }
        }
    }
}
