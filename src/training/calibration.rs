//! How far the answers of networks are off, measured on the rows that they were not fitted on.
//!
//! The temperature of probabilities is fitted to rows that were held out, and each of those is answered by
//! the networks of one fold alone. A request is answered by the mean over all folds, which is less sure: the
//! networks differ where they do not know. At the same temperature it would be less sure than it should be.
//! How much less needs no truth to see: all networks but those of a row's own fold answer it, each fold
//! alone and all together.

use super::blend::Blend;
use super::fit::Fitted;
use super::session::Session;
use super::truth::TruthColumns;
use crate::model::combine;
use crate::model::interval::{Calibration, ProbabilityScale, Scores, UsualError, probabilities};

/// Rows that tell how sure the folds are together, at most.
const MAX_SURENESS_ROWS: usize = 2000;

/// The rows that some network was not fitted on, in the order of the folds.
pub(super) fn held_out_rows(session: &Session) -> Vec<usize> {
    session.split.folds.iter().flat_map(|fold| &fold.validation).copied().collect()
}

/// What each variant of the networks `chosen` answers to [`held_out_rows`], those of a fold by its own network,
/// which was not fitted on them.
pub(super) fn held_out_answers(session: &Session, chosen: &[Fitted]) -> Vec<Vec<f64>> {
    let folds = &session.split.folds;
    let of_variant = |networks: &[Fitted]| -> Vec<f64> {
        let each = networks.iter().zip(folds).zip(&session.view.members);
        each.flat_map(|((own, fold), member)| session.answers_of(&own.best.network, member, &fold.validation))
            .collect()
    };
    chosen.chunks(folds.len()).map(of_variant).collect()
}

/// What the answers of `blend` to the rows that were held out say about its errors.
pub(super) fn calibrate(session: &Session, blend: &Blend) -> Calibration {
    let (rows, outputs) = (&blend.held_out, &blend.held_out_outputs);
    match &session.prepared.truth {
        TruthColumns::Numbers(columns) => of_numbers(session, columns, rows, outputs),
        TruthColumns::Classes { codes, .. } => {
            let truth: Vec<usize> = rows.iter().map(|row| codes[*row] as usize).collect();
            let (mut scale, scores) = of_classes(&truth, outputs, session.width());
            let (alone, together) = surenesses(session, blend);
            scale.temperature = of_several(&alone, &together, session.width(), scale.temperature);
            Calibration::ClassScores { scale, scores }
        }
    }
}

fn of_numbers(session: &Session, columns: &[Vec<f64>], rows: &[usize], outputs: &[f64]) -> Calibration {
    let targets = session.prepared.targets(&session.view.rows);
    let (mut residuals, mut all_usual) = (Vec::new(), Vec::new());
    for (k, (column, target)) in columns.iter().zip(&targets).enumerate() {
        let own: Vec<f64> =
            outputs.iter().skip(k).step_by(session.width()).map(|value| target.in_range(*value)).collect();
        if session.view.members[0].is_logarithmic(k) {
            let off = own.iter().zip(rows).map(|(own, row)| (own / column[*row]).ln().abs());
            residuals.push(Scores::new(off.collect()));
            all_usual.push(None);
            continue;
        }
        let mut errors: Vec<f64> =
            own.iter().zip(rows).map(|(own, row)| (own - column[*row]).abs()).collect();
        let usual = UsualError::fit(&own, &errors);
        if let Some(usual) = &usual {
            errors.iter_mut().zip(&own).for_each(|(error, own)| *error /= usual.at(*own));
        }
        residuals.push(Scores::new(errors));
        all_usual.push(usual);
    }
    Calibration::AbsoluteResiduals { residuals, usual: all_usual }
}

/// How the logits of single folds become probabilities, and `1 - p(truth)` of those.
fn of_classes(truth: &[usize], logits: &[f64], n_classes: usize) -> (ProbabilityScale, Scores) {
    let scale = ProbabilityScale::fit(logits, n_classes, truth);
    let p = scale.probabilities(logits, n_classes);
    let scores = p.chunks_exact(n_classes).zip(truth).map(|(row, class)| 1.0 - row[*class]).collect();
    (scale, Scores::new(scores))
}

/// What the folds answer to rows of another, each fold alone and all together, as logits; nothing where
/// there is one fold.
fn surenesses(session: &Session, blend: &Blend) -> (Vec<f64>, Vec<f64>) {
    let Blend { members, fitted, .. } = blend;
    let folds = &session.split.folds;
    let (n_folds, task, n_classes) = (folds.len(), session.spec().task, session.width());
    let (mut alone, mut together) = (Vec::new(), Vec::new());
    for (own, fold) in folds.iter().enumerate().filter(|_| n_folds > 1) {
        let step = (fold.validation.len() * n_folds).div_ceil(MAX_SURENESS_ROWS);
        let rows: Vec<usize> = fold.validation.iter().copied().step_by(step.max(1)).collect();
        let of_fold = |other: usize| -> Vec<f64> {
            // The networks of all folds of one variant come after those of another.
            let variants = (other..members.len()).step_by(n_folds);
            let weights: Vec<f64> = variants.clone().map(|i| members[i].weight).collect();
            let each: Vec<Vec<f64>> =
                variants.map(|i| session.answers_of(&fitted[i].best.network, &members[i], &rows)).collect();
            combine(&each, &weights, task, n_classes)
        };
        let of_folds: Vec<Vec<f64>> = (0..n_folds).filter(|other| *other != own).map(of_fold).collect();
        together.extend(combine(&of_folds, &vec![1.0; of_folds.len()], task, n_classes));
        alone.extend(of_folds.concat());
    }
    (alone, together)
}

/// The temperature at which the answers of all folds, `together`, are as sure as those of each of them,
/// `alone`, are at `temperature`. Both are logits, `[n, n_classes]`, to the same rows.
///
/// Only what was taken from them is given back: at 1 they are as sure as they say.
fn of_several(alone: &[f64], together: &[f64], n_classes: usize, temperature: f64) -> f64 {
    let wanted = mean_entropy(alone, n_classes, temperature);
    let (mut low, mut high) = (temperature.min(1.0), temperature);
    if mean_entropy(together, n_classes, high) <= wanted {
        return temperature;
    }
    for _ in 0..30 {
        let middle = f64::midpoint(low, high);
        if mean_entropy(together, n_classes, middle) < wanted { low = middle } else { high = middle }
    }
    high
}

/// The mean entropy of the probabilities that `logits` are at `temperature`.
fn mean_entropy(logits: &[f64], n_classes: usize, temperature: f64) -> f64 {
    let p = probabilities(logits, n_classes, temperature);
    let n = (p.len() / n_classes).max(1) as f64;
    -p.iter().filter(|p| **p > 0.0).map(|p| p * p.ln()).sum::<f64>() / n
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::manifest::Task;

    /// Logits of four folds to two classes: what all know, and what each adds for itself.
    fn folds(own: f64) -> Vec<Vec<f64>> {
        let noise = |fold: usize, row: usize| ((row * 7 + fold * 13) as f64 * 12.9898).sin();
        let logit = |fold, row| 2.0 * ((row % 21) as f64 / 10.0 - 1.0) + own * noise(fold, row);
        (0..4).map(|fold| (0..420).flat_map(|row| [logit(fold, row), 0.0]).collect()).collect()
    }

    #[test]
    fn folds_that_differ_are_made_as_sure_together_as_each_is_alone() {
        let each = folds(3.0);
        let together = combine(&each, &[1.0; 4], Task::Classification, 2);
        let alone = each.concat();
        let temperature = of_several(&alone, &together, 2, 3.0);
        assert!((1.05..2.9).contains(&temperature), "{temperature}");
        let (one, all) = (mean_entropy(&alone, 2, 3.0), mean_entropy(&together, 2, temperature));
        assert!((one - all).abs() < 1e-6, "{one} {all}");
        assert!(mean_entropy(&together, 2, 3.0) > one + 0.01, "the mean was less sure");
        assert_eq!(of_several(&alone, &together, 2, 0.7), 0.7, "nothing was taken from them");
    }

    #[test]
    fn folds_that_agree_keep_their_temperature() {
        let each = folds(0.0);
        let together = combine(&each, &[1.0; 4], Task::Classification, 2);
        for temperature in [0.3, 1.0, 3.0] {
            let own = of_several(&each.concat(), &together, 2, temperature);
            assert!((own / temperature - 1.0).abs() < 1e-6, "{own} {temperature}");
        }
        assert_eq!(of_several(&[], &[], 2, 1.4), 1.4, "one fold alone has no others");
    }
}
