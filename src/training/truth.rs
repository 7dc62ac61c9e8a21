//! What is to be predicted, as the table has it and as the networks see it.

use super::TrainError;
use super::part::OwnedTruth;
use super::prepare::data_error;
use super::spec::{Spec, TargetScale};
use crate::dataset::{MISSING_CODE, Table, Values, Warning};
use crate::model::manifest::{Member, Task};
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
                    let (mean, std) = mean_and_std(usable.iter().map(|row| column[*row]));
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

    /// Whether the logarithms that were asked for exist.
    pub(super) fn check_scale(&self, usable: &[usize], spec: &Spec) -> Result<(), TrainError> {
        let Self::Numbers(columns) = self else { return Ok(()) };
        for (column, name) in columns.iter().zip(&spec.targets) {
            let without = usable.iter().map(|row| column[*row]).find(|value| *value <= 0.0);
            if let Some(value) = without.filter(|_| spec.target_scale == TargetScale::Log) {
                let message = format!(
                    "\"{name}\" has values without a logarithm, such as {value}; leave \"target_scale\" out, or \
                     leave out those rows"
                );
                return Err(data_error("invalid-parameter", message));
            }
        }
        Ok(())
    }

    /// Mean and standard deviation of each numeric target over `rows`, or of its logarithm where
    /// `logarithmic` says so; a constant one has 1.
    pub(super) fn scales(&self, rows: &[usize], logarithmic: &[bool]) -> Vec<(f64, f64)> {
        let Self::Numbers(columns) = self else { return Vec::new() };
        let scale = |(target, column): (usize, &Vec<f64>)| {
            let is_log = logarithmic.get(target) == Some(&true);
            let (mean, std) = mean_and_std(rows.iter().map(|row| learned(column[*row], is_log)));
            (mean, if std > 0.0 { std } else { 1.0 })
        };
        columns.iter().enumerate().map(scale).collect()
    }

    /// Per numeric target, whether its logarithm is learned; empty if none is. `rows` are those that
    /// anything may be learned from.
    pub(super) fn logarithmic(&self, rows: &[usize], scale: TargetScale) -> Vec<bool> {
        let Self::Numbers(columns) = self else { return Vec::new() };
        let each: Vec<bool> = columns
            .iter()
            .map(|column| match scale {
                TargetScale::Auto => few_drown_the_others(rows.iter().map(|row| column[*row]).collect()),
                TargetScale::Linear => false,
                TargetScale::Log => true,
            })
            .collect();
        if each.contains(&true) { each } else { Vec::new() }
    }

    /// Whether the logarithms of `row` exist that `logarithmic` asks for.
    pub(super) fn can_be_learned(&self, row: usize, logarithmic: &[bool]) -> bool {
        let Self::Numbers(columns) = self else { return true };
        columns.iter().zip(logarithmic).all(|(column, is_log)| !is_log || column[row] > 0.0)
    }

    /// The truth of `rows` in a network's terms.
    pub(super) fn in_network_terms(&self, rows: &[usize], member: &Member) -> OwnedTruth {
        match self {
            Self::Classes { codes, .. } => OwnedTruth::Classes(rows.iter().map(|row| codes[*row]).collect()),
            Self::Numbers(columns) => OwnedTruth::Numbers(
                rows.iter()
                    .flat_map(|row| {
                        let scaled = columns.iter().zip(&member.target_scales).enumerate();
                        scaled.map(|(target, (column, (mean, std)))| {
                            ((learned(column[*row], member.is_logarithmic(target)) - mean) / std) as f32
                        })
                    })
                    .collect(),
            ),
        }
    }
}

/// What a network learns of a value.
fn learned(value: f64, is_logarithmic: bool) -> f64 {
    if is_logarithmic { value.ln() } else { value }
}

/// How many times the median the largest of positive values is, for their logarithm to be learned. In
/// units of their standard deviation all but a few of such values are alike, and nothing is learned of them.
const DROWNING: f64 = 100.0;

fn few_drown_the_others(mut values: Vec<f64>) -> bool {
    values.sort_by(f64::total_cmp);
    let (Some(least), Some(most)) = (values.first(), values.last()) else { return false };
    *least > 0.0 && *most > DROWNING * values[values.len() / 2]
}

/// Mean and standard deviation (of the population), without overflow for large values.
fn mean_and_std(values: impl ExactSizeIterator<Item = f64> + Clone) -> (f64, f64) {
    let n = values.len() as f64;
    let mean = values.clone().map(|value| value / n).sum::<f64>();
    let largest = values.clone().map(|value| (value - mean).abs()).fold(0.0, f64::max);
    if largest == 0.0 {
        return (mean, 0.0);
    }
    let variance = values.map(|value| ((value - mean) / largest).powi(2)).sum::<f64>() / n;
    (mean, largest * variance.sqrt())
}
