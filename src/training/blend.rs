//! How much each variant of the networks has to say.

use super::card::score;
use super::truth::TruthColumns;
use crate::model::combine;
use crate::model::interval::probabilities;
use crate::model::manifest::Task;

/// Picks that the greedy selection makes; a weight is a multiple of one over this.
const PICKS: usize = 20;

/// The weights, adding up to 1, with which the answers of `each` variant to `rows`, which none of their
/// networks was fitted on, are best together: the variant that helps most is picked again and again,
/// and a weight is its share of the picks (Caruana et al. 2004, "Ensemble selection").
///
/// Answers are as of [`in_units`](crate::model::in_units), `[rows, outputs]`.
pub(super) fn weights(
    truth: &TruthColumns,
    rows: &[usize],
    each: &[Vec<f64>],
    task: Task,
    stds: &[(f64, f64)],
) -> Vec<f64> {
    let outputs = truth.width();
    let loss = |weights: &[f64]| -> f64 {
        let together = combine(each, weights, task, outputs);
        let answers = match task {
            Task::Regression => together,
            Task::Classification => probabilities(&together, outputs, 1.0),
        };
        score(truth, rows, &answers, stds).loss()
    };
    let mut picks = vec![0.0; each.len()];
    if each.len() > 1 {
        for _ in 0..PICKS {
            let losses = (0..each.len()).map(|variant| {
                let mut tried = picks.clone();
                tried[variant] += 1.0;
                loss(&tried)
            });
            let best =
                losses.enumerate().min_by(|a, b| a.1.total_cmp(&b.1)).map_or(0, |(variant, _)| variant);
            picks[best] += 1.0;
        }
    } else {
        picks.fill(1.0);
    }
    let total: f64 = picks.iter().sum();
    picks.iter().map(|picks| picks / total).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn errors_that_cancel_are_blended_and_a_useless_variant_is_left_out() {
        let truth: Vec<f64> = (0..100).map(f64::from).collect();
        let rows: Vec<usize> = (0..100).collect();
        let off =
            |by: f64| truth.iter().zip(0..).map(|(y, i)| y + if i % 2 == 0 { by } else { -by }).collect();
        let each = vec![off(3.0), off(-1.0), vec![50.0; 100]];
        let truth = TruthColumns::Numbers(vec![truth.clone()]);
        let weights = weights(&truth, &rows, &each, Task::Regression, &[(50.0, 30.0)]);
        // 3 w - (1 - w) = 0 at w = 1 / 4.
        assert!((weights[0] - 0.25).abs() < 0.06 && weights[2] == 0.0, "{weights:?}");
        assert!((weights.iter().sum::<f64>() - 1.0).abs() < 1e-12);
    }

    #[test]
    fn classes_are_blended_by_their_probabilities() {
        let codes: Vec<u32> = (0..60).map(|i| u32::from(i % 3 == 0)).collect();
        let rows: Vec<usize> = (0..60).collect();
        let logits = |right: f64| -> Vec<f64> {
            codes.iter().flat_map(|code| if *code == 0 { [right, 0.0] } else { [0.0, right] }).collect()
        };
        let each = vec![logits(2.0), logits(-2.0)];
        let truth = TruthColumns::Classes { codes, names: vec!["a".to_owned(), "b".to_owned()] };
        assert_eq!(weights(&truth, &rows, &each, Task::Classification, &[]), [1.0, 0.0]);
    }
}
