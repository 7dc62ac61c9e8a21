//! What a table offers to a training: usable rows, targets, inputs, keys of the split.

use super::TrainError;
use super::check::{MAX_LEVELS, MIN_ROWS};
use super::part::Part;
use super::spec::{Spec, SplitMethod, TargetScale};
use super::truth::{TruthColumns, truth_columns};
use crate::dataset::{
    ColumnKind, Description, MISSING_CODE, MISSING_DATE, NumberFormat, Table, Values, Warning,
};
use crate::model::encoder::{Encoder, InputValues};
use crate::model::input::{Input, Value};
use crate::model::manifest::{Member, Target};
use std::collections::HashMap;

/// A table seen through the settings of a training.
#[derive(Debug)]
pub struct Prepared<'a> {
    /// The data.
    pub table: &'a Table,
    /// How the file was read.
    pub description: &'a Description,
    /// The settings.
    pub spec: &'a Spec,
    /// Rows with a value in every target, ascending.
    pub usable: Vec<usize>,
    /// The values to predict.
    pub truth: TruthColumns,
    /// What was noticed.
    pub warnings: Vec<Warning>,
}

pub(super) fn data_error(slug: &'static str, message: String) -> TrainError {
    TrainError::Data { slug, message }
}

/// Looks at `table` as `spec` asks.
///
/// # Errors
/// When too few rows can be used or a target does not vary.
pub fn prepare<'a>(
    table: &'a Table,
    description: &'a Description,
    spec: &'a Spec,
) -> Result<Prepared<'a>, TrainError> {
    let missing = spec.targets.iter().chain(&spec.features).find(|name| table.column(name).is_none());
    if let Some(name) = missing {
        return Err(data_error("unknown-column", format!("the dataset has no column \"{name}\" any more")));
    }
    let truth = truth_columns(table, spec)?;
    let n_rows = table.n_rows();
    let usable: Vec<usize> = (0..n_rows).filter(|row| truth.is_present(*row)).collect();
    let mut warnings = Vec::new();
    if usable.len() < n_rows {
        let message = format!(
            "{} of {n_rows} rows have no value in {} and are not used",
            n_rows - usable.len(),
            spec.targets.join(", ")
        );
        warnings.push(Warning { code: "rows-without-target".to_owned(), column: None, message });
    }
    if (usable.len() as u64) < MIN_ROWS {
        let message = format!(
            "{} rows have a value in every target, and at least {MIN_ROWS} are needed to train and test",
            usable.len()
        );
        return Err(data_error("too-few-rows", message));
    }
    truth.check(&usable, spec, &mut warnings)?;
    truth.check_scale(&usable, spec)?;
    Ok(Prepared { table, description, spec, usable, truth, warnings })
}

impl Prepared<'_> {
    /// Per row of the table: what the method of the split goes by; 0 for a number or a date that is missing.
    pub fn split_keys(&self) -> Vec<u64> {
        let n_rows = self.table.n_rows();
        let validation = &self.spec.validation;
        let column = match validation.method {
            SplitMethod::Random => return vec![0; n_rows],
            SplitMethod::Stratified => {
                return match &self.truth {
                    TruthColumns::Classes { codes, .. } => {
                        codes.iter().map(|code| u64::from(*code)).collect()
                    }
                    TruthColumns::Numbers(_) => vec![0; n_rows],
                };
            }
            SplitMethod::Group => validation.group.as_deref(),
            SplitMethod::Time => validation.time.as_deref(),
        };
        let Some(column) = column.and_then(|name| self.table.column(name)) else { return vec![0; n_rows] };
        match &column.values {
            // A total order of floats as integers: negative ones reversed, below the positive ones.
            Values::Number(values) => values
                .iter()
                .map(|value| match value.to_bits() {
                    // Before all others: what has no time is neither tested on nor chosen by.
                    _ if value.is_nan() => 0,
                    bits if bits >> 63 == 1 => !bits,
                    bits => bits | 1 << 63,
                })
                .collect(),
            Values::Date(values) => values.iter().map(|ms| (*ms as u64) ^ (1 << 63)).collect(),
            Values::Category { codes, .. } => codes.iter().map(|code| u64::from(*code)).collect(),
            Values::Boolean(values) => values.iter().map(|v| v.map_or(2, u64::from)).collect(),
            Values::Text(values) => {
                let mut index = HashMap::new();
                values
                    .iter()
                    .map(|text| {
                        let next = index.len() as u64;
                        *index.entry(text).or_insert(next)
                    })
                    .collect()
            }
        }
    }

    /// The inputs as `rows` show them, and what was noticed about them.
    pub fn inputs(&self, rows: &[usize]) -> Result<(Vec<Input>, Vec<Warning>), TrainError> {
        let (mut inputs, mut warnings) = (Vec::new(), Vec::new());
        for name in &self.spec.features {
            let Some(column) = self.table.column(name) else { continue };
            let profile = self.description.columns.iter().find(|profile| profile.name == *name);
            let read = &self.description.read;
            let mut input = Input {
                name: name.clone(),
                kind: match &column.values {
                    Values::Number(_) => ColumnKind::Number,
                    Values::Category { .. } => ColumnKind::Category,
                    Values::Date(_) => ColumnKind::Date,
                    Values::Boolean(_) => ColumnKind::Boolean,
                    Values::Text(_) => {
                        let message = format!("\"{name}\" is free text, which a network cannot use");
                        return Err(data_error("invalid-parameter", message));
                    }
                },
                unit: column.unit.clone(),
                missing_share: 0.0,
                range: None,
                levels: Vec::new(),
                number_format: profile
                    .and_then(|profile| profile.number_format)
                    .unwrap_or(NumberFormat { decimal: read.decimal, thousands: read.thousands }),
                date_format: profile.and_then(|profile| profile.date_format.clone()),
                missing_tokens: read.missing.clone(),
            };
            let n_missing = Self::look_at(&column.values, rows, &mut input, &mut warnings);
            if n_missing == rows.len() {
                let message = format!("\"{name}\" has no value in the training part and is not used");
                let code = "empty-column-dropped".to_owned();
                warnings.push(Warning { code, column: Some(name.clone()), message });
                continue;
            }
            input.missing_share = n_missing as f64 / rows.len() as f64;
            inputs.push(input);
        }
        if inputs.is_empty() {
            let message = "no feature has a value in the training part".to_owned();
            return Err(data_error("invalid-parameter", message));
        }
        Ok((inputs, warnings))
    }

    /// Fills range and levels of `input`; returns how many of `rows` have no value.
    fn look_at(values: &Values, rows: &[usize], input: &mut Input, warnings: &mut Vec<Warning>) -> usize {
        let mut range: Option<(f64, f64)> = None;
        let mut widen = |value: f64| {
            range = Some(range.map_or((value, value), |(low, high)| (low.min(value), high.max(value))));
        };
        let mut n_missing = 0;
        match values {
            Values::Number(numbers) => rows.iter().for_each(|row| match numbers[*row] {
                value if value.is_finite() => widen(value),
                _ => n_missing += 1,
            }),
            Values::Date(instants) => rows.iter().for_each(|row| match instants[*row] {
                MISSING_DATE => n_missing += 1,
                ms => widen(ms as f64),
            }),
            Values::Boolean(flags) => n_missing = rows.iter().filter(|row| flags[**row].is_none()).count(),
            Values::Text(_) => {}
            Values::Category { codes, levels } => {
                let mut counts = vec![0_usize; levels.len()];
                for row in rows {
                    match codes[*row] {
                        MISSING_CODE => n_missing += 1,
                        code => counts[code as usize] += 1,
                    }
                }
                let mut kept: Vec<usize> = (0..levels.len()).filter(|level| counts[*level] > 0).collect();
                if kept.len() > MAX_LEVELS {
                    let message = format!(
                        "\"{}\" has {} categories; the {MAX_LEVELS} commonest are told apart, the others count as \
                         one",
                        input.name,
                        kept.len()
                    );
                    let column = Some(input.name.clone());
                    warnings.push(Warning { code: "many-categories".to_owned(), column, message });
                    kept.sort_by(|a, b| counts[*b].cmp(&counts[*a]).then(a.cmp(b)));
                    kept.truncate(MAX_LEVELS);
                    kept.sort_unstable();
                }
                input.levels = kept.into_iter().map(|level| levels[level].clone()).collect();
                input.levels.sort_unstable();
            }
        }
        input.range = range;
        n_missing
    }

    /// Fits encoder and target scales on `rows`, which are some of `all`, the rows of all networks.
    /// `logarithmic` says of which targets the logarithm is learned.
    pub fn member(
        &self,
        inputs: &[Input],
        all: &[usize],
        rows: &[usize],
        logarithmic: &[bool],
    ) -> Result<Member, TrainError> {
        let encoder = Encoder::fit(self.table, inputs, all, rows)
            .map_err(|error| data_error("value-out-of-range", error.to_string()))?;
        let target_scales = self.truth.scales(rows, logarithmic);
        Ok(Member { encoder, target_scales, logarithmic: logarithmic.to_vec(), weight: 1.0, stepped: None })
    }

    /// What is to be told where logarithms are learned that nobody asked for.
    pub fn logarithms(&self, member: &Member) -> Vec<Warning> {
        let chosen =
            self.spec.targets.iter().enumerate().filter(|(target, _)| member.is_logarithmic(*target));
        let chosen = chosen.filter(|_| self.spec.target_scale == TargetScale::Auto);
        chosen
            .map(|(_, name)| {
                let message = format!(
                    "\"{name}\" is positive and its largest values are more than a hundred times the median, so the \
                     networks learn its logarithm; \"target_scale\": \"linear\" makes them learn it as it is"
                );
                Warning { code: "logarithmic-target".to_owned(), column: Some(name.clone()), message }
            })
            .collect()
    }

    /// `rows` as a network of `member` sees them.
    pub fn part(&self, inputs: &[Input], member: &Member, rows: &[usize]) -> Part {
        Part {
            features: member.encoder.encode(self.table, inputs, rows),
            truth: self.truth.in_network_terms(rows, member),
        }
    }

    /// The targets, with the ranges of `rows`.
    pub fn targets(&self, rows: &[usize]) -> Vec<Target> {
        let columns = self.spec.targets.iter().filter_map(|name| self.table.column(name));
        match &self.truth {
            TruthColumns::Classes { names, .. } => columns
                .map(|column| Target::Class {
                    name: column.name.clone(),
                    column_kind: column.kind,
                    classes: names.clone(),
                })
                .collect(),
            TruthColumns::Numbers(values) => columns
                .zip(values)
                .map(|(column, values)| {
                    let (low, high) = rows
                        .iter()
                        .map(|row| values[*row])
                        .fold((f64::INFINITY, f64::NEG_INFINITY), |(low, high), v| (low.min(v), high.max(v)));
                    Target::Number {
                        name: column.name.clone(),
                        unit: column.unit.clone(),
                        min: low,
                        max: high,
                    }
                })
                .collect(),
        }
    }

    /// The values of `inputs` in `row`, as a request would give them.
    pub fn values(&self, inputs: &[Input], rows: &[usize]) -> Vec<Vec<Value>> {
        let columns: Vec<InputValues> =
            inputs.iter().map(|input| InputValues::new(self.table, input)).collect();
        rows.iter().map(|row| columns.iter().map(|column| column.get(*row)).collect()).collect()
    }
}
