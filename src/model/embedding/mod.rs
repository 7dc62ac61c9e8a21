//! What a network sees of its features: more of them than there are, and fewer.
//!
//! ```text
//! features [n, inputs] -> features but those of embedded categories
//!                         | waves of quantities | steps of mostly constant ones | vectors of levels
//! ```

pub mod levels;
pub mod steps;
pub mod waves;

use super::network::Shape;
use std::borrow::Cow;
use waves::Waves;

/// The numbers of all embeddings of a network.
#[derive(Debug, Clone, PartialEq, Default)]
pub struct Embeddings {
    /// Of the features that the shape embeds.
    pub waves: Option<Waves>,
    /// Of the steps of the shape, one after the other; they are not trained.
    pub edges: Option<Vec<f32>>,
    /// Of the levels of the shape's categories: `[levels, SIZE]`.
    pub vectors: Option<Vec<f32>>,
}

/// The gradient by the numbers of [`Embeddings`], where those are.
#[derive(Debug, Clone, PartialEq, Default)]
pub struct EmbeddingsGradient {
    /// By those of the waves.
    pub waves: Option<Waves>,
    /// By the vectors.
    pub vectors: Option<Vec<f32>>,
}

/// Numbers per row behind the embeddings.
pub fn width(shape: &Shape) -> usize {
    waved(shape).saturating_sub(levels::count(&shape.categories))
        + steps::width(&shape.stepped)
        + levels::SIZE * shape.categories.len()
}

/// Numbers per row of the features and their waves.
fn waved(shape: &Shape) -> usize {
    shape.inputs + waves::OUTPUTS * shape.embedded.len()
}

impl Embeddings {
    /// Whether there are none.
    pub fn is_empty(&self) -> bool {
        self.waves.is_none() && self.edges.is_none() && self.vectors.is_none()
    }

    /// `x`, row-major `[n, inputs]`, to `[n, width]`.
    pub fn widen(&self, shape: &Shape, x: &[f32]) -> Vec<f32> {
        let waved_rows = match &self.waves {
            Some(waves) => waves.widen(x, shape.inputs, &shape.embedded),
            None => x.to_vec(),
        };
        if self.is_waves_only() {
            return waved_rows;
        }
        let mut wide = Vec::with_capacity(x.len() / shape.inputs * width(shape));
        for row in waved_rows.chunks_exact(waved(shape)) {
            levels::others(&shape.categories, row.len())
                .for_each(|others| wide.extend_from_slice(&row[others]));
            steps::push(&shape.stepped, self.edges.as_deref().unwrap_or_default(), row, &mut wide);
            levels::push(&shape.categories, self.vectors.as_deref().unwrap_or_default(), row, &mut wide);
        }
        wide
    }

    /// The gradient by the embeddings' numbers, given the features, `[n, inputs]`, and the derivative by what they
    /// became, `[n, width]`.
    #[must_use]
    pub fn gradient(&self, shape: &Shape, x: &[f32], by_wide: &[f32]) -> EmbeddingsGradient {
        let vectors = self.vectors.as_ref().map(|vectors| {
            let mut gradient = vec![0.0; vectors.len()];
            let behind = levels::SIZE * shape.categories.len();
            for (row, by) in x.chunks_exact(shape.inputs).zip(by_wide.chunks_exact(width(shape))) {
                levels::add_gradient(&shape.categories, row, &by[by.len() - behind..], &mut gradient);
            }
            gradient
        });
        let waves = self.waves.as_ref().map(|waves| {
            waves.gradient(x, shape.inputs, &shape.embedded, &self.by_waved_rows(shape, by_wide))
        });
        EmbeddingsGradient { waves, vectors }
    }

    /// The derivative by the features, `[n, inputs]`, given that by what they became, `[n, width]`. It is 0 for the
    /// features of categories that became vectors.
    pub fn by_features(&self, shape: &Shape, x: &[f32], by_wide: &[f32]) -> Vec<f32> {
        let by_waved = self.by_waved_rows(shape, by_wide);
        let mut by_features = match &self.waves {
            Some(waves) => waves.by_features(x, shape.inputs, &shape.embedded, &by_waved),
            None => by_waved.into_owned(),
        };
        if let Some(edges) = &self.edges {
            let first = waved(shape) - levels::count(&shape.categories);
            let rows = x.chunks_exact(shape.inputs).zip(by_wide.chunks_exact(width(shape)));
            for ((row, by), by_features) in rows.zip(by_features.chunks_exact_mut(shape.inputs)) {
                steps::add_slopes(&shape.stepped, edges, row, &by[first..], by_features);
            }
        }
        by_features
    }

    /// Whether the rows are the features and their waves, and nothing else.
    fn is_waves_only(&self) -> bool {
        self.edges.is_none() && self.vectors.is_none()
    }

    /// The part of a derivative, `[n, width]`, that is by the features and their waves: `[n, waved]`.
    fn by_waved_rows<'a>(&self, shape: &Shape, by_wide: &'a [f32]) -> Cow<'a, [f32]> {
        if self.is_waves_only() {
            return Cow::Borrowed(by_wide);
        }
        let (wide, waved) = (width(shape), waved(shape));
        let mut by_rows = vec![0.0; by_wide.len() / wide * waved];
        for (by, of) in by_wide.chunks_exact(wide).zip(by_rows.chunks_exact_mut(waved)) {
            let mut start = 0;
            for others in levels::others(&shape.categories, waved) {
                let n = others.len();
                of[others].copy_from_slice(&by[start..start + n]);
                start += n;
            }
        }
        Cow::Owned(by_rows)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::activation::Activation;
    use levels::{Levels, SIZE};
    use steps::Steps;
    use waves::{OUTPUTS, WAVES};

    fn shape() -> Shape {
        Shape {
            inputs: 4,
            embedded: vec![0],
            stepped: vec![Steps { feature: 0, count: 2 }],
            categories: vec![Levels { first: 1, count: 2 }],
            hidden: vec![],
            outputs: 1,
            activation: Activation::Relu,
            parametric: false,
            scaling_layer: false,
            ntk: false,
        }
    }

    fn embeddings() -> Embeddings {
        let draws =
            |n: usize, seed: f64| (0..n).map(|i| (i as f64 * seed).sin() as f32).collect::<Vec<f32>>();
        Embeddings {
            waves: Some(Waves {
                frequencies: draws(WAVES, 0.3),
                phases: draws(WAVES, 0.7),
                weights: draws(WAVES * OUTPUTS, 1.1),
                biases: draws(OUTPUTS, 1.3),
            }),
            edges: Some(vec![-1.0, 0.0, 2.0]),
            vectors: Some(draws(2 * SIZE, 0.9)),
        }
    }

    #[test]
    fn an_embedded_category_gives_way_to_its_vector() {
        let (shape, embeddings) = (shape(), embeddings());
        let vectors = embeddings.vectors.clone().unwrap();
        let wide = embeddings.widen(&shape, &[0.5, 0.0, 2.0, 7.0, -9.0, 0.0, 0.0, 8.0]);
        let row = width(&shape);
        assert_eq!((row, wide.len()), (2 + OUTPUTS + 2 + SIZE, 2 * row));
        assert_eq!((wide[..2].to_vec(), wide[row..row + 2].to_vec()), (vec![0.5, 7.0], vec![-9.0, 8.0]));
        assert_eq!(wide[2 + OUTPUTS..4 + OUTPUTS], [1.0, 0.25]);
        let doubled: Vec<f32> = vectors[SIZE..].iter().map(|value| 2.0 * value).collect();
        assert_eq!(wide[row - SIZE..row], doubled);
        assert_eq!(wide[2 * row - SIZE..], [0.0; SIZE], "a level that was never seen");
    }

    #[test]
    fn the_derivative_by_a_number_goes_through_its_waves_and_steps() {
        let (shape, embeddings) = (shape(), embeddings());
        let by_wide: Vec<f32> = (0..width(&shape)).map(|i| (i as f32 * 0.8).cos()).collect();
        let answer = |x: f32| -> f64 {
            let wide = embeddings.widen(&shape, &[x, 1.0, 0.0, 3.0]);
            wide.iter().zip(&by_wide).map(|(value, by)| f64::from(*value) * f64::from(*by)).sum()
        };
        for x in [-0.5, 0.7, 1.9, 2.5] {
            let by_features = embeddings.by_features(&shape, &[x, 1.0, 0.0, 3.0], &by_wide);
            let expected = (answer(x + 0.003) - answer(x - 0.003)) / 0.006;
            assert!(
                (f64::from(by_features[0]) - expected).abs() < 2e-3,
                "{x}: {by_features:?}, not {expected}"
            );
            assert_eq!(by_features[1..], [0.0, 0.0, by_wide[1]]);
        }
    }
}
