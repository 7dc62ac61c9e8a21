//! What is to be predicted, as the table has it and as the networks see it.

use super::TrainError;
use super::part::OwnedTruth;
use super::prepare::data_error;
use super::spec::Spec;
use crate::dataset::{MISSING_CODE, Table, Values, Warning};
use crate::model::manifest::Task;
use std::collections::HashMap;

/// The values to predict, one per row of the table.
#[derive(Debug)]
pub enum TruthColumns {
    /// Per target; NaN where missing.
    Numbers(Vec<Vec<f64>>),
    /// Of the one target.
    Classes {
        /// Index into `names`; [`MISSING_CODE`] where missing.
        codes: Vec<u32>,
        /// In ascending order.
        names: Vec<String>,
    },
}

pub(super) fn truth_columns(table: &Table, spec: &Spec) -> Result<TruthColumns, TrainError> {
    let columns = spec.targets.iter().filter_map(|name| table.column(name));
    if spec.task == Task::Regression {
        let numbers = columns.map(|column| match &column.values {
            Values::Number(values) => Ok(values.clone()),
            _ => Err(data_error("invalid-parameter", format!("\"{}\" holds no numbers", column.name))),
        });
        return Ok(TruthColumns::Numbers(numbers.collect::<Result<_, _>>()?));
    }
    let Some(column) = columns.into_iter().next() else {
        return Err(data_error("no-target-values", "no target is left".to_owned()));
    };
    let texts: Vec<Option<String>> = match &column.values {
        Values::Number(values) => {
            values.iter().map(|value| value.is_finite().then(|| value.to_string())).collect()
        }
        Values::Boolean(values) => values.iter().map(|value| value.map(|yes| yes.to_string())).collect(),
        Values::Text(values) => values.clone(),
        Values::Category { codes, levels } => {
            codes.iter().map(|code| levels.get(*code as usize).cloned()).collect()
        }
        Values::Date(_) => {
            let message = format!("\"{}\" is a date and cannot be a class", column.name);
            return Err(data_error("invalid-parameter", message));
        }
    };
    let mut names: Vec<String> = texts.iter().flatten().cloned().collect();
    names.sort_unstable();
    names.dedup();
    if let Values::Number(_) = &column.values {
        // "10" after "9", not after "1".
        names.sort_by(|a, b| {
            let number = |text: &str| text.parse::<f64>().unwrap_or(f64::NAN);
            number(a).total_cmp(&number(b))
        });
    }
    let index: HashMap<&str, u32> = names.iter().map(String::as_str).zip(0..).collect();
    let codes =
        texts.iter().map(|text| text.as_ref().map_or(MISSING_CODE, |text| index[text.as_str()])).collect();
    Ok(TruthColumns::Classes { codes, names })
}

impl TruthColumns {
    pub(super) fn is_present(&self, row: usize) -> bool {
        match self {
            Self::Numbers(columns) => columns.iter().all(|column| column[row].is_finite()),
            Self::Classes { codes, .. } => codes[row] != MISSING_CODE,
        }
    }

    /// Outputs of a network that predicts this.
    pub fn width(&self) -> usize {
        match self {
            Self::Numbers(columns) => columns.len(),
            Self::Classes { names, .. } => names.len(),
        }
    }

    pub(super) fn check(
        &self,
        usable: &[usize],
        spec: &Spec,
        warnings: &mut Vec<Warning>,
    ) -> Result<(), TrainError> {
        match self {
            Self::Numbers(columns) => {
                for (column, name) in columns.iter().zip(&spec.targets) {
                    let first = column[usable[0]];
                    if usable.iter().all(|row| column[*row] == first) {
                        let message = format!("\"{name}\" has the same value in every usable row");
                        return Err(data_error("constant-target", message));
                    }
                    let (mean, std) = mean_and_std(column, usable);
                    if !mean.is_finite() || !std.is_finite() || std < f64::MIN_POSITIVE {
                        let message = format!(
                            "\"{name}\" holds values too large or too small to be scaled; change its unit"
                        );
                        return Err(data_error("value-out-of-range", message));
                    }
                }
            }
            Self::Classes { codes, names } => {
                let mut counts = vec![0; names.len()];
                usable.iter().for_each(|row| counts[codes[*row] as usize] += 1);
                let rare: Vec<String> = names
                    .iter()
                    .zip(&counts)
                    .filter(|(_, count)| **count < 5)
                    .map(|(name, count)| format!("\"{name}\" ({count})"))
                    .collect();
                if counts.iter().filter(|count| **count >= 2).count() < 2 {
                    let message = format!(
                        "at least two classes need two rows or more each; \"{}\" has {}",
                        spec.targets[0],
                        rare.join(", ")
                    );
                    return Err(data_error("too-few-rows-per-class", message));
                }
                if !rare.is_empty() {
                    let shown = rare.iter().take(10).cloned().collect::<Vec<_>>().join(", ");
                    let message = format!(
                        "{} classes have fewer than 5 rows and cannot be judged: {shown}",
                        rare.len()
                    );
                    let column = Some(spec.targets[0].clone());
                    warnings.push(Warning { code: "rare-classes".to_owned(), column, message });
                }
            }
        }
        Ok(())
    }

    /// Mean and standard deviation of each numeric target over `rows`; a constant one has 1.
    pub(super) fn scales(&self, rows: &[usize]) -> Vec<(f64, f64)> {
        match self {
            Self::Classes { .. } => Vec::new(),
            Self::Numbers(columns) => columns
                .iter()
                .map(|column| {
                    let (mean, std) = mean_and_std(column, rows);
                    (mean, if std > 0.0 { std } else { 1.0 })
                })
                .collect(),
        }
    }

    /// The truth of `rows` in a network's terms.
    pub(super) fn in_network_terms(&self, rows: &[usize], scales: &[(f64, f64)]) -> OwnedTruth {
        match self {
            Self::Classes { codes, .. } => OwnedTruth::Classes(rows.iter().map(|row| codes[*row]).collect()),
            Self::Numbers(columns) => OwnedTruth::Numbers(
                rows.iter()
                    .flat_map(|row| {
                        let scaled = columns.iter().zip(scales);
                        scaled.map(|(column, (mean, std))| ((column[*row] - mean) / std) as f32)
                    })
                    .collect(),
            ),
        }
    }
}

/// Mean and standard deviation (of the population) over `rows`, without overflow for large values.
fn mean_and_std(column: &[f64], rows: &[usize]) -> (f64, f64) {
    let n = rows.len() as f64;
    let mean = rows.iter().map(|row| column[*row] / n).sum::<f64>();
    let largest = rows.iter().map(|row| (column[*row] - mean).abs()).fold(0.0, f64::max);
    if largest == 0.0 {
        return (mean, 0.0);
    }
    let variance = rows.iter().map(|row| ((column[*row] - mean) / largest).powi(2)).sum::<f64>() / n;
    (mean, largest * variance.sqrt())
}
