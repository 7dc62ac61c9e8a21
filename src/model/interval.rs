//! Calibrated intervals and prediction sets, by split conformal prediction.
//!
//! The answers on rows that the network was not fitted on are compared with the truth. Their errors,
//! sorted, tell how wide an interval must be to hold a new truth with a given probability
//! (Papadopoulos et al. 2002; Lei et al. 2018); for classes the same is done with `1 - p(truth)`
//! (the LAC score of Sadinle et al. 2019). The rows are those of the validation part, which also
//! chose the epoch, so the coverage is mildly optimistic; the model card states it as measured on
//! the test part.

use serde::{Deserialize, Serialize};

/// More residuals than this are thinned to evenly spaced order statistics.
const MAX_SCORES: usize = 2000;

/// What is known about the errors of a model.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(tag = "method", rename_all = "snake_case")]
pub enum Calibration {
    /// One sorted list of absolute errors per numeric target: in its unit, in multiples of what is usual at
    /// the level of the answer, or those of the logarithm where the networks answer that.
    AbsoluteResiduals {
        /// Per target.
        residuals: Vec<Scores>,
        /// Per target, where its errors depend on the level of the answer.
        #[serde(default)]
        usual: Vec<Option<UsualError>>,
    },
    /// How logits become probabilities, and the sorted scores `1 - p(truth)`.
    ClassScores {
        /// Fitted on rows that the networks did not learn from.
        #[serde(flatten)]
        scale: ProbabilityScale,
        /// `1 - p(truth)`.
        scores: Scores,
    },
}

/// The widest interval of a ratio, as a logarithm: wider ones could overflow.
pub const MAX_LOG_RATIO: f64 = 300.0;

/// The bounds of a positive `value` whose logarithm is off by at most `log_ratio`.
pub fn of_ratio(value: f64, log_ratio: f64) -> (f64, f64) {
    let ratio = log_ratio.min(MAX_LOG_RATIO).exp();
    (value / ratio, value * ratio)
}

/// How logits become probabilities that mean what they say: `(1 - doubt) softmax(logits / temperature) +
/// doubt / n_classes`.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
pub struct ProbabilityScale {
    /// Above 0: what makes too sure networks less sure on the whole (Guo et al. 2017).
    pub temperature: f64,
    /// From 0 to 1: how often an answer is wrong however sure the networks are.
    #[serde(default)]
    pub doubt: f64,
}

/// The usual size of an error as a function of the answer: straight lines between points, level outside.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct UsualError {
    /// Ascending answers.
    answers: Vec<f64>,
    /// The mean absolute error around each.
    errors: Vec<f64>,
}

/// Rows around one point of [`UsualError`], and points at most.
const ROWS_PER_POINT: usize = 40;
const MAX_POINTS: usize = 20;
/// A point counts as if it had so many more rows with the mean error of all.
const PRIOR_ROWS: f64 = 4.0;
/// Intervals must become this much narrower, for errors to be taken to depend on the level.
const WORTH: f64 = 0.95;

impl UsualError {
    /// The mean absolute error by the level of the answer (normalised conformal prediction, Papadopoulos
    /// et al. 2008), where it makes the intervals for `answers` narrower at 90 %.
    pub fn fit(answers: &[f64], errors: &[f64]) -> Option<Self> {
        let n = answers.len();
        let n_points = (n / ROWS_PER_POINT).min(MAX_POINTS);
        let all = errors.iter().sum::<f64>() / n.max(1) as f64;
        if n_points < 3 || all <= 0.0 || !all.is_finite() {
            return None;
        }
        let mut order: Vec<usize> = (0..n).collect();
        order.sort_by(|a, b| answers[*a].total_cmp(&answers[*b]));
        let mut fitted = Self { answers: Vec::new(), errors: Vec::new() };
        for point in 0..n_points {
            let rows = &order[point * n / n_points..(point + 1) * n / n_points];
            let mean = |of: &[f64]| rows.iter().map(|row| of[*row]).sum::<f64>() / rows.len() as f64;
            let at = mean(answers);
            // Equal answers would make a step of no width.
            if fitted.answers.last().is_some_and(|last| at <= *last) {
                continue;
            }
            let share = rows.len() as f64 / (rows.len() as f64 + PRIOR_ROWS);
            fitted.answers.push(at);
            fitted.errors.push(share * mean(errors) + (1.0 - share) * all);
        }
        let usual: Vec<f64> = answers.iter().map(|answer| fitted.at(*answer)).collect();
        let mean_usual = usual.iter().sum::<f64>() / n as f64;
        let relative = Scores::new(errors.iter().zip(&usual).map(|(error, usual)| error / usual).collect());
        let plain = Scores::new(errors.to_vec());
        (relative.quantile(0.9)? * mean_usual < WORTH * plain.quantile(0.9)?).then_some(fitted)
    }

    /// The usual error where the answer is `answer`.
    pub fn at(&self, answer: f64) -> f64 {
        let after = self.answers.partition_point(|known| *known < answer);
        if after == 0 || after == self.answers.len() {
            return self.errors[after.min(self.errors.len() - 1)];
        }
        let (low, high) = (self.answers[after - 1], self.answers[after]);
        let t = (answer - low) / (high - low);
        self.errors[after - 1] * (1.0 - t) + self.errors[after] * t
    }

    /// The points between which it goes straight: ascending answers, and the error around each.
    pub fn points(&self) -> (&[f64], &[f64]) {
        (&self.answers, &self.errors)
    }

    /// Whether it can be used; a model file that lies is found here.
    pub fn is_sound(&self) -> bool {
        !self.answers.is_empty()
            && self.answers.len() == self.errors.len()
            && self.answers.is_sorted()
            && self.answers.iter().all(|answer| answer.is_finite())
            && self.errors.iter().all(|error| error.is_finite() && *error > 0.0)
    }
}

/// Sorted non-conformity scores.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Scores {
    /// How many scores there were before thinning.
    n: usize,
    /// Ascending.
    sorted: Vec<f64>,
}

impl Scores {
    /// Sorts `scores`, and thins them if they are very many.
    pub fn new(mut scores: Vec<f64>) -> Self {
        scores.sort_by(f64::total_cmp);
        let n = scores.len();
        if n > MAX_SCORES {
            let last = (n - 1) as f64;
            scores = (0..MAX_SCORES)
                // Rounded up, so that thinning can only widen an interval.
                .map(|i| scores[(last * i as f64 / (MAX_SCORES - 1) as f64).ceil() as usize])
                .collect();
        }
        Self { n, sorted: scores }
    }

    /// Whether it can be used; a model file that lies is found here.
    pub fn is_sound(&self) -> bool {
        let n_kept = self.sorted.len();
        (n_kept == self.n || (2..self.n).contains(&n_kept))
            && self.sorted.is_sorted()
            && self.sorted.iter().all(|score| score.is_finite())
    }

    /// The score that a new row stays below with probability `confidence`: the
    /// `ceil((n + 1) confidence)`-th smallest. `None` where there are too few scores to say.
    pub fn quantile(&self, confidence: f64) -> Option<f64> {
        let rank = ((self.n + 1) as f64 * confidence - 1e-9).ceil() as usize;
        if rank == 0 || rank > self.n {
            return None;
        }
        if self.n == self.sorted.len() {
            return Some(self.sorted[rank - 1]);
        }
        let position = (rank - 1) as f64 / (self.n - 1) as f64 * (self.sorted.len() - 1) as f64;
        Some(self.sorted[position.ceil() as usize])
    }
}

/// `softmax(logits / temperature)` of each row, in f64; `logits` is `[n, n_classes]`.
pub fn probabilities(logits: &[f64], n_classes: usize, temperature: f64) -> Vec<f64> {
    let mut all = Vec::with_capacity(logits.len());
    for row in logits.chunks_exact(n_classes) {
        let top = row.iter().copied().fold(f64::NEG_INFINITY, f64::max);
        let start = all.len();
        all.extend(row.iter().map(|logit| ((logit - top) / temperature).exp()));
        let sum: f64 = all[start..].iter().sum();
        all[start..].iter_mut().for_each(|p| *p /= sum);
    }
    all
}

/// Rows that [`ProbabilityScale::fit`] looks at, evenly chosen ones where there are more.
const MAX_FITTED_ROWS: usize = 20_000;
/// Where its temperature is looked for, as a logarithm.
const LOG_TEMPERATURES: (f64, f64) = (-3.0, 3.0);
/// The most that is doubted.
const MOST_DOUBT: f64 = 0.3;

impl ProbabilityScale {
    /// The scale that makes `logits`, `[n, n_classes]`, most likely given the true classes.
    ///
    /// The true class counts `(n + 1) / (n + 2)` and the others share the rest, as in Platt (1999), and no
    /// less than the rest is doubted: on rows that are all answered rightly the likelihood alone would ask
    /// for certainty, which n rows cannot justify.
    pub fn fit(logits: &[f64], n_classes: usize, truth: &[usize]) -> Self {
        let least = 1.0 / (truth.len() as f64 + 2.0);
        let others = least / (n_classes.max(2) - 1) as f64;
        let step = truth.len().div_ceil(MAX_FITTED_ROWS).max(1);
        // One of each `step` rows, not always the same one: tables have rhythms.
        let chosen: Vec<usize> = (0..truth.len().div_ceil(step))
            .map(|i| i * step + (i.wrapping_mul(0x9e37_79b9_7f4a_7c15) >> 32) % step)
            .filter(|row| *row < truth.len())
            .collect();
        let rows = || chosen.iter().map(|row| (&logits[row * n_classes..][..n_classes], &truth[*row]));
        let loss = |scale: Self| -> f64 {
            let of_row = |(logits, class): (&[f64], &usize)| {
                let p = scale.probabilities(logits, n_classes);
                let all: f64 = p.iter().map(|p| p.ln()).sum();
                -(1.0 - least - others) * p[*class].ln() - others * all
            };
            rows().map(of_row).sum()
        };
        let least = least.min(MOST_DOUBT);
        let mut scale = Self { temperature: 1.0, doubt: least };
        // One after the other, until neither would move much.
        for _ in 0..3 {
            let by_temperature = |log: f64| loss(Self { temperature: log.exp(), ..scale });
            scale.temperature = least_by_golden_section(LOG_TEMPERATURES, by_temperature).exp();
            let by_doubt = |log: f64| loss(Self { doubt: log.exp(), ..scale });
            scale.doubt = least_by_golden_section((least.ln(), MOST_DOUBT.ln()), by_doubt).exp();
        }
        scale
    }

    /// The probabilities of each row of `logits`, `[n, n_classes]`.
    pub fn probabilities(self, logits: &[f64], n_classes: usize) -> Vec<f64> {
        let mut all = probabilities(logits, n_classes, self.temperature);
        all.iter_mut().for_each(|p| *p = (1.0 - self.doubt) * *p + self.doubt / n_classes as f64);
        all
    }

    /// Whether probabilities come out of it.
    pub fn is_sound(self) -> bool {
        self.temperature.is_finite() && self.temperature > 0.0 && (0.0..1.0).contains(&self.doubt)
    }
}

/// Where `loss` is least between `low` and `high`, if it has one valley.
fn least_by_golden_section((mut low, mut high): (f64, f64), loss: impl Fn(f64) -> f64) -> f64 {
    let golden = (5.0_f64.sqrt() - 1.0) / 2.0;
    let left = |low: f64, high: f64| high - golden * (high - low);
    let right = |low: f64, high: f64| low + golden * (high - low);
    let (mut at_left, mut at_right) = (loss(left(low, high)), loss(right(low, high)));
    for _ in 0..30 {
        // One of the two points lies in what is left, in the other place.
        if at_left < at_right {
            high = right(low, high);
            (at_left, at_right) = (loss(left(low, high)), at_left);
        } else {
            low = left(low, high);
            (at_left, at_right) = (at_right, loss(right(low, high)));
        }
    }
    f64::midpoint(low, high)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn quantile_is_the_rank_that_conformal_prediction_asks_for() {
        let scores = Scores::new((1..=19).map(f64::from).collect());
        // ceil(20 * 0.9) = 18
        assert_eq!(scores.quantile(0.9), Some(18.0));
        assert_eq!(scores.quantile(0.95), Some(19.0));
        assert_eq!(scores.quantile(0.99), None, "19 scores cannot promise 99 %");
        assert_eq!(Scores::new(vec![]).quantile(0.5), None);
    }

    #[test]
    fn errors_that_grow_with_the_answer_are_found_and_others_left_alone() {
        // Errors between 0 and 2 percent of the answer, spread evenly.
        let answers: Vec<f64> = (0..400).map(|i| f64::from(i * 37 % 400) + 1.0).collect();
        let share = |i: usize| (i * 61 % 400) as f64 / 200.0;
        let growing: Vec<f64> = answers.iter().enumerate().map(|(i, y)| 0.01 * y * share(i)).collect();
        let usual = UsualError::fit(&answers, &growing).unwrap();
        assert!(usual.is_sound());
        for answer in [50.0, 200.0, 350.0] {
            assert!((usual.at(answer) / (0.01 * answer) - 1.0).abs() < 0.35, "{}", usual.at(answer));
        }
        assert_eq!(usual.at(-1e9), usual.at(0.0));
        let even: Vec<f64> = (0..400).map(share).collect();
        assert_eq!(UsualError::fit(&answers, &even), None);
        assert_eq!(UsualError::fit(&answers[..50], &growing[..50]), None, "too few to say");
    }

    #[test]
    fn thinned_scores_never_promise_less_than_all_of_them() {
        let all: Vec<f64> = (0..50_001).map(|i| f64::from(i).sqrt()).collect();
        let thinned = Scores::new(all.clone());
        assert_eq!(thinned.sorted.len(), MAX_SCORES);
        for confidence in [0.01, 0.5, 0.8, 0.9, 0.95, 0.999] {
            let exact = all[(50_002.0_f64 * confidence).ceil() as usize - 1];
            let got = thinned.quantile(confidence).unwrap();
            assert!(got >= exact && got <= exact * 1.01 + 0.2, "{confidence}: {got} for {exact}");
        }
    }

    #[test]
    fn temperature_undoes_overconfidence() {
        // Logits of +-4 promise 98 %, but three in four are right: log(3) = 1.0986 = 4 / T / 1.
        let logits: Vec<f64> = (0..40_000).flat_map(|_| [4.0, 0.0]).collect();
        let truth: Vec<usize> = (0..40_000).map(|i| usize::from(i % 4 == 0)).collect();
        let ProbabilityScale { temperature, doubt } = ProbabilityScale::fit(&logits, 2, &truth);
        assert!((temperature - 4.0 / 3.0_f64.ln()).abs() < 0.01, "{temperature}");
        assert!(doubt < 1e-4, "{doubt}");
    }

    #[test]
    fn rare_blunders_of_sure_networks_are_doubt_and_leave_the_others_sure() {
        // Logits between 2 and 6 are as sure as they should be, but one row in 53 is wrong.
        let (mut logits, mut truth) = (Vec::new(), Vec::new());
        for i in 0..20_000 {
            let logit = 2.0 + 4.0 * f64::from(i % 100) / 100.0;
            let right = (f64::from(i) * 0.618_034).fract() < 1.0 / (1.0 + (-logit).exp());
            let blunder = i % 53 == 0;
            logits.extend([logit, 0.0]);
            truth.push(usize::from(!right || blunder));
        }
        let scale = ProbabilityScale::fit(&logits, 2, &truth);
        assert!((scale.temperature - 1.0).abs() < 0.2, "{scale:?}");
        assert!((0.02..0.06).contains(&scale.doubt), "{scale:?}");
    }

    #[test]
    fn what_is_always_right_is_not_certain() {
        let logits: Vec<f64> = (0..100).flat_map(|_| [30.0, 0.0, 0.0]).collect();
        let p = ProbabilityScale::fit(&logits, 3, &[0; 100]).probabilities(&[30.0, 0.0, 0.0], 3);
        assert!(p[0] > 0.98 && p[1] > 1e-3, "{p:?}");
        assert!((p.iter().sum::<f64>() - 1.0).abs() < 1e-12);
    }

    #[test]
    fn the_least_is_found_with_one_look_a_step() {
        let looks = std::cell::Cell::new(0);
        let least = least_by_golden_section((-3.0, 3.0), |x| {
            looks.set(looks.get() + 1);
            (x - 0.731).powi(4)
        });
        assert!((least - 0.731).abs() < 1e-3 && looks.get() == 32, "{least} after {}", looks.get());
    }

    #[test]
    fn probabilities_sum_to_one_even_for_huge_logits() {
        let p = probabilities(&[1e6, 0.0, -1e6, 1.0, 1.0, 1.0], 3, 1.0);
        assert_eq!(&p[..3], [1.0, 0.0, 0.0]);
        assert!((p[3] - 1.0 / 3.0).abs() < 1e-15);
    }
}
