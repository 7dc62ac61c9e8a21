//! The scores of a model or a baseline, in the users' terms.

use super::metrics::{self, ClassScores, NumberScores};
use super::truth::TruthColumns;
use serde_json::{Map, Value, json};

/// Scores of the network or of a baseline on the test part.
#[derive(Debug, Clone, PartialEq)]
pub enum Scores {
    /// Per target.
    Numbers(Vec<NumberScores>),
    /// Of the one target.
    Classes(ClassScores),
}

impl Scores {
    /// As `metrics` of the API: the overall scores, and `per_target` for numbers.
    pub fn to_json(&self, targets: &[String]) -> Value {
        match self {
            Self::Classes(scores) => json!(scores),
            Self::Numbers(all) => {
                let mean = |of: fn(&NumberScores) -> Option<f64>| -> Option<f64> {
                    let each: Vec<f64> = all.iter().filter_map(of).collect();
                    (!each.is_empty()).then(|| each.iter().sum::<f64>() / each.len() as f64)
                };
                let max_error = all.iter().map(|scores| scores.max_error).fold(0.0, f64::max);
                let per_target: Map<String, Value> =
                    targets.iter().zip(all).map(|(name, scores)| (name.clone(), json!(scores))).collect();
                json!({
                    "rmse": mean(|s| Some(s.rmse)),
                    "mae": mean(|s| Some(s.mae)),
                    "mape": mean(|s| s.mape),
                    "r2": mean(|s| s.r2),
                    "max_error": max_error,
                    "nrmse": mean(|s| Some(s.nrmse)),
                    "per_target": per_target,
                })
            }
        }
    }

    /// The one number that models of a kind are compared by: lower is better.
    pub fn loss(&self) -> f64 {
        match self {
            Self::Classes(scores) => scores.log_loss,
            Self::Numbers(all) => all.iter().map(|scores| scores.nrmse).sum::<f64>() / all.len() as f64,
        }
    }
}

/// Scores of answers in the users' terms, row-major `[rows, outputs]`: numbers, or probabilities.
/// `stds` are those of the training targets.
pub fn score(truth: &TruthColumns, rows: &[usize], answers: &[f64], stds: &[(f64, f64)]) -> Scores {
    let outputs = truth.width();
    match truth {
        TruthColumns::Numbers(columns) => Scores::Numbers(
            columns
                .iter()
                .zip(stds)
                .enumerate()
                .map(|(k, (column, (_, std)))| {
                    let truth: Vec<f64> = rows.iter().map(|row| column[*row]).collect();
                    let own: Vec<f64> = answers.iter().skip(k).step_by(outputs).copied().collect();
                    metrics::of_numbers(&truth, &own, *std)
                })
                .collect(),
        ),
        TruthColumns::Classes { codes, .. } => {
            let truth: Vec<usize> = rows.iter().map(|row| codes[*row] as usize).collect();
            Scores::Classes(metrics::of_classes(&truth, answers, outputs))
        }
    }
}
