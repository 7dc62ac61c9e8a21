//! How much each variant of the networks has to say, and what they say together.

use super::calibration::{held_out_answers, held_out_rows};
use super::fit::Fitted;
use super::score::score;
use super::session::Session;
use super::truth::TruthColumns;
use crate::model::combine;
use crate::model::interval::probabilities;
use crate::model::manifest::{Member, Task};

/// Picks that the greedy selection makes; a weight is a multiple of one over this.
const PICKS: usize = 20;

/// The networks that chose their epochs and have something to say, those of the folds of one variant after the
/// other, with what goes with each.
pub(super) struct Blend {
    /// Of each variant.
    pub(super) weights: Vec<f64>,
    pub(super) fitted: Vec<Fitted>,
    pub(super) members: Vec<Member>,
    /// Rows that the networks of some fold were not fitted on.
    pub(super) held_out: Vec<usize>,
    /// What those networks answer to them, all variants together.
    pub(super) held_out_outputs: Vec<f64>,
}

impl Blend {
    /// Weighs the variants of the networks `chosen`.
    pub(super) fn of(session: &Session, chosen: Vec<Fitted>) -> Self {
        let task = session.spec().task;
        let held_out = held_out_rows(session);
        let of_variants = held_out_answers(session, &chosen);
        let weights = weights(&session.prepared.truth, &held_out, &of_variants, task, &session.stds());
        let held_out_outputs = combine(&of_variants, &weights, task, session.width());
        let (of_folds, variants) = (&session.view.members, session.variants());
        let members = (0..chosen.len())
            .map(|i| Member {
                weight: weights[i / of_folds.len()],
                stepped: session.view.steps_of(variants[i / of_folds.len()]).cloned(),
                ..of_folds[i % of_folds.len()].clone()
            })
            .filter(|member| member.weight > 0.0)
            .collect();
        let fitted = kept(&weights, of_folds.len(), chosen);
        Self { weights, fitted, members, held_out, held_out_outputs }
    }

    /// The rows that judge the networks, and what they answer to them together: the test part where there is
    /// one, else the rows left out of the folds.
    pub(super) fn judged(&self, session: &Session) -> (Vec<usize>, Vec<f64>) {
        let test = &session.split.test;
        if test.is_empty() {
            return (self.held_out.clone(), self.held_out_outputs.clone());
        }
        let networks = self.fitted.iter().zip(&self.members);
        let each: Vec<Vec<f64>> =
            networks.map(|(fitted, member)| session.answers_of(&fitted.best.network, member, test)).collect();
        let weights: Vec<f64> = self.members.iter().map(|member| member.weight).collect();
        (test.clone(), combine(&each, &weights, session.spec().task, session.width()))
    }
}

/// Those of the networks `fitted`, `n_folds` for each variant, that have something to say.
pub(super) fn kept(weights: &[f64], n_folds: usize, fitted: Vec<Fitted>) -> Vec<Fitted> {
    let all = fitted.into_iter().enumerate().filter(|(index, _)| weights[index / n_folds] > 0.0);
    all.map(|(_, fitted)| fitted).collect()
}

/// The weights, adding up to 1, with which the answers of `each` variant to `rows`, which none of their
/// networks was fitted on, are best together: the variant that helps most is picked again and again,
/// and a weight is its share of the picks (Caruana et al. 2004, "Ensemble selection").
///
/// Answers are as of [`in_units`](crate::model::in_units), `[rows, outputs]`.
fn weights(
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
