//! How sure several networks are together, beside each of them alone.
//!
//! The temperature of probabilities is fitted to rows that were held out, and each of those is answered by
//! the networks of one fold alone. A request is answered by the mean over all folds, which is less sure: the
//! networks differ where they do not know. At the same temperature it would be less sure than it should be.
//! How much less needs no truth to see: all networks but those of a row's own fold answer it, each fold
//! alone and all together.

use crate::model::interval::probabilities;

/// The temperature at which the answers of all folds, `together`, are as sure as those of each of them,
/// `alone`, are at `temperature`. Both are logits, `[n, n_classes]`, to the same rows.
///
/// Only what was taken from them is given back: at 1 they are as sure as they say.
pub(super) fn of_several(alone: &[f64], together: &[f64], n_classes: usize, temperature: f64) -> f64 {
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
    use crate::model::combine;
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
