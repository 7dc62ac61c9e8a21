//! Scores: how far predictions are from the truth.

use serde::{Deserialize, Serialize};

/// Scores of one numeric target, in its unit.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
pub struct NumberScores {
    /// Root mean square error.
    pub rmse: f64,
    /// Mean absolute error.
    pub mae: f64,
    /// Mean absolute percentage error over the rows whose truth is not 0, in percent.
    pub mape: Option<f64>,
    /// Share of the variance explained; `None` where the truth does not vary.
    pub r2: Option<f64>,
    /// Largest absolute error.
    pub max_error: f64,
    /// RMSE over the standard deviation of the training target.
    pub nrmse: f64,
}

/// Scores of a classification.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
pub struct ClassScores {
    /// Share of rows whose most probable class is the true one.
    pub accuracy: f64,
    /// Mean over the classes of the share of their rows that are found.
    pub balanced_accuracy: f64,
    /// Mean over the classes of the harmonic mean of precision and recall.
    pub f1_macro: f64,
    /// Mean negative logarithm of the probability of the true class.
    pub log_loss: f64,
    /// Area under the ROC curve; for more than two classes the mean of one against the rest.
    pub auc: Option<f64>,
}

/// Scores of `predicted` against `truth`; `training_std` is that of the training part.
pub fn of_numbers(truth: &[f64], predicted: &[f64], training_std: f64) -> NumberScores {
    let n = truth.len() as f64;
    let mean = truth.iter().sum::<f64>() / n;
    let (mut squares, mut absolute, mut max_error, mut variance) = (0.0, 0.0, 0.0_f64, 0.0);
    let (mut relative, mut n_relative) = (0.0, 0.0);
    for (truth, predicted) in truth.iter().zip(predicted) {
        let error = (predicted - truth).abs();
        squares += error * error;
        absolute += error;
        max_error = max_error.max(error);
        variance += (truth - mean).powi(2);
        if *truth != 0.0 {
            relative += error / truth.abs();
            n_relative += 1.0;
        }
    }
    let rmse = (squares / n).sqrt();
    NumberScores {
        rmse,
        mae: absolute / n,
        mape: (n_relative > 0.0).then(|| 100.0 * relative / n_relative),
        r2: (variance > 0.0).then(|| 1.0 - squares / variance),
        max_error,
        nrmse: rmse / training_std,
    }
}

/// Scores of `probabilities`, row-major `[n, n_classes]`, against the true classes.
pub fn of_classes(truth: &[usize], probabilities: &[f64], n_classes: usize) -> ClassScores {
    let n = truth.len() as f64;
    let confusion = confusion(truth, probabilities, n_classes);
    let (mut right, mut recalls, mut f1s, mut present) = (0.0, 0.0, 0.0, 0.0);
    for class in 0..n_classes {
        let found = confusion[class][class] as f64;
        let actual: u64 = confusion[class].iter().sum();
        let predicted: u64 = confusion.iter().map(|row| row[class]).sum();
        right += found;
        if actual > 0 {
            present += 1.0;
            recalls += found / actual as f64;
            f1s += 2.0 * found / (actual + predicted) as f64;
        }
    }
    let rows = probabilities.chunks_exact(n_classes);
    let log_loss = rows.zip(truth).map(|(row, class)| -row[*class].clamp(1e-15, 1.0).ln()).sum::<f64>() / n;
    ClassScores {
        accuracy: right / n,
        balanced_accuracy: recalls / present,
        f1_macro: f1s / present,
        log_loss,
        auc: auc(truth, probabilities, n_classes),
    }
}

/// Counts by true class (rows) and most probable class (columns).
pub fn confusion(truth: &[usize], probabilities: &[f64], n_classes: usize) -> Vec<Vec<u64>> {
    let mut counts = vec![vec![0; n_classes]; n_classes];
    for (row, class) in probabilities.chunks_exact(n_classes).zip(truth) {
        counts[*class][most_probable(row)] += 1;
    }
    counts
}

/// The index of the largest probability, the first of equal ones.
pub fn most_probable(row: &[f64]) -> usize {
    (1..row.len()).fold(0, |best, class| if row[class] > row[best] { class } else { best })
}

fn auc(truth: &[usize], probabilities: &[f64], n_classes: usize) -> Option<f64> {
    let one_against_rest = |class: usize| {
        let scores = probabilities.chunks_exact(n_classes).map(|row| row[class]);
        binary_auc(scores.zip(truth.iter().map(|truth| *truth == class)).collect())
    };
    if n_classes == 2 {
        return one_against_rest(1);
    }
    let each: Vec<f64> = (0..n_classes).filter_map(one_against_rest).collect();
    (!each.is_empty()).then(|| each.iter().sum::<f64>() / each.len() as f64)
}

/// The probability that a positive row scores above a negative one, ties counting half; by ranks
/// (Mann and Whitney 1947).
fn binary_auc(mut scored: Vec<(f64, bool)>) -> Option<f64> {
    scored.sort_by(|a, b| a.0.total_cmp(&b.0));
    let positives = scored.iter().filter(|(_, positive)| *positive).count() as f64;
    let negatives = scored.len() as f64 - positives;
    if positives == 0.0 || negatives == 0.0 {
        return None;
    }
    let mut rank_sum = 0.0;
    let mut start = 0;
    while start < scored.len() {
        let ties =
            scored[start..].iter().take_while(|(score, _)| score.total_cmp(&scored[start].0).is_eq()).count();
        let rank = start as f64 + f64::midpoint(ties as f64, 1.0);
        rank_sum +=
            rank * scored[start..start + ties].iter().filter(|(_, positive)| *positive).count() as f64;
        start += ties;
    }
    Some((rank_sum - positives * (positives + 1.0) / 2.0) / (positives * negatives))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn scores_of_numbers_by_hand() {
        let scores = of_numbers(&[1.0, 2.0, 0.0, 5.0], &[1.0, 4.0, 1.0, 4.0], 2.0);
        assert_eq!(scores.rmse, 1.5_f64.sqrt());
        assert_eq!(scores.mae, 1.0);
        assert_eq!(scores.max_error, 2.0);
        assert!((scores.mape.unwrap() - 40.0).abs() < 1e-12, "0 has no percentage");
        assert!((scores.r2.unwrap() - (1.0 - 6.0 / 14.0)).abs() < 1e-12);
        assert_eq!(scores.nrmse, 1.5_f64.sqrt() / 2.0);
    }

    #[test]
    fn scores_of_classes_as_scikit_learn_gives_them() {
        let truth = [0, 0, 1, 1, 2, 2];
        let p = [
            0.7, 0.2, 0.1, //
            0.2, 0.5, 0.3, //
            0.1, 0.8, 0.1, //
            0.3, 0.4, 0.3, //
            0.2, 0.2, 0.6, //
            0.5, 0.3, 0.2,
        ];
        let scores = of_classes(&truth, &p, 3);
        assert!((scores.accuracy - 4.0 / 6.0).abs() < 1e-12);
        assert!((scores.balanced_accuracy - 2.0 / 3.0).abs() < 1e-12);
        // f1_score(average="macro"): classes 0.5, 0.8, 0.6667.
        assert!((scores.f1_macro - 0.655_555_555_555).abs() < 1e-9);
        let expected =
            -(0.7_f64.ln() + 0.2_f64.ln() + 0.8_f64.ln() + 0.4_f64.ln() + 0.6_f64.ln() + 0.2_f64.ln()) / 6.0;
        assert!((scores.log_loss - expected).abs() < 1e-12);
        // Pairs of positives and negatives won: class 0 (5 + 0.5) / 8, 1 (8 + 6) / 8 / 2, 2 (8 + 4) / 8 / 2.
        let by_hand = (5.5 / 8.0 + 7.0 / 8.0 + 5.0 / 8.0) / 3.0;
        assert!((scores.auc.unwrap() - by_hand).abs() < 0.05, "{:?}", scores.auc);
    }

    #[test]
    fn auc_counts_ties_half_and_needs_both_classes() {
        assert_eq!(binary_auc(vec![(0.1, false), (0.4, true), (0.4, false), (0.9, true)]), Some(0.875));
        assert_eq!(binary_auc(vec![(0.1, true)]), None);
        // What is no number has a rank like any other, and the count comes to its end.
        assert_eq!(binary_auc(vec![(f64::NAN, true), (f64::NAN, false), (0.1, false)]), Some(0.75));
    }
}
