//! Something simple on the same split, so that the network has something to beat.

mod logistic;
mod simple;

use super::TrainError;
use super::part::{OwnedTruth, Part};
use super::score::{Scores, score};
use super::session::Session;
use crate::dataset::Warning;
use crate::model::manifest::{Member, Task};
use simple::Rows;

/// The names of the baselines, in the order of [`answers`].
fn names(task: Task) -> [&'static str; 3] {
    [if task == Task::Regression { "mean" } else { "majority" }, "linear", "nearest_neighbours"]
}

/// The scores of the baselines on the rows `judged`, by name.
pub(super) fn baselines(
    session: &Session,
    judged: &[usize],
) -> Result<Vec<(&'static str, Scores)>, TrainError> {
    let (split, view) = (session.split, session.view);
    let mut all: [Vec<f64>; 3] = Default::default();
    for (fold, member) in split.folds.iter().zip(&view.members) {
        let judged = if split.test.is_empty() { &fold.validation } else { &split.test };
        // Against the test part they may learn from all other rows, as the networks together do.
        let learned_from = if split.test.is_empty() {
            fold.training.clone()
        } else {
            [fold.training.as_slice(), &fold.validation].concat()
        };
        let training = session.prepared.part(&view.inputs, member, &learned_from);
        let test = session.prepared.part(&view.inputs, member, judged);
        all.iter_mut()
            .zip(answers(session, member, &training, &test)?)
            .for_each(|(all, own)| all.extend(own));
        if !split.test.is_empty() {
            break; // One training part is enough to judge by.
        }
    }
    let stds = &session.stds();
    let scored = names(session.spec().task).into_iter().zip(&all);
    Ok(scored.map(|(name, answers)| (name, score(&session.prepared.truth, judged, answers, stds))).collect())
}

/// What something simple answers to the rows of `test`, fitted on `training`: numbers in the targets' units or
/// probabilities, `[rows, outputs]` each, in the order of [`names`]. Where the networks learn logarithms, so do
/// all but the mean.
fn answers(
    session: &Session,
    member: &Member,
    training: &Part,
    test: &Part,
) -> Result<[Vec<f64>; 3], TrainError> {
    let (task, seed, outputs) = (session.spec().task, session.spec().seed, session.width());
    let width = member.encoder.width();
    let n_test = test.features.len() / width;
    let truth = as_numbers(&training.truth, outputs);
    let rows = Rows { features: &training.features, width, truth: &truth, outputs };
    let in_units = |answers: &[f64]| -> Vec<f64> {
        let targets = (0..outputs).cycle();
        answers.iter().zip(targets).map(|(y, target)| member.in_units(target, *y)).collect()
    };
    // Of the values themselves: where logarithms are learned, the mean of those is no mean of the values.
    let truth_in_units = if task == Task::Regression { in_units(&truth) } else { truth.clone() };
    let prior = simple::mean(&Rows { truth: &truth_in_units, ..rows });
    let mean: Vec<f64> = prior.iter().copied().cycle().take(n_test * outputs).collect();
    session.stop.check()?;
    let mut neighbours = simple::nearest_neighbours(&rows, &test.features, seed, session.compute.backend);
    session.stop.check()?;
    if task == Task::Classification {
        // Shares of five neighbours may be 0: one row's worth of the prior keeps the log-loss finite.
        let with_prior = |(share, prior): (&mut f64, &f64)| *share = (5.0 * *share + prior) / 6.0;
        neighbours.iter_mut().zip(prior.iter().cycle()).for_each(with_prior);
        let linear = logistic::answers(session, training, test, width)?;
        return Ok([mean, linear, neighbours]);
    }
    let linear = simple::apply_linear(&simple::fit_linear(&rows, seed), &test.features, width, outputs);
    Ok([mean, in_units(&linear), in_units(&neighbours)])
}

fn as_numbers(truth: &OwnedTruth, outputs: usize) -> Vec<f64> {
    match truth {
        OwnedTruth::Numbers(values) => values.iter().map(|value| f64::from(*value)).collect(),
        OwnedTruth::Classes(classes) => {
            let mut columns = vec![0.0; classes.len() * outputs];
            for (row, class) in classes.iter().enumerate() {
                columns[row * outputs + *class as usize] = 1.0;
            }
            columns
        }
    }
}

/// A warning for each baseline that does as well as the network or better.
pub(super) fn lost_to(network: &Scores, baselines: &[(&'static str, Scores)]) -> Vec<Warning> {
    let better = baselines.iter().filter(|(_, scores)| scores.loss() <= network.loss());
    better
        .map(|(name, scores)| Warning {
            code: "baseline-wins".to_owned(),
            column: None,
            message: format!(
                "the network does not beat the {} baseline on the test part ({:.4} against {:.4}, lower is better): \
                 trust it no more than that, and look for better features or more rows",
                name.replace('_', " "),
                network.loss(),
                scores.loss()
            ),
        })
        .collect()
}
