//! A few made-up rows and what the model answers to them, so that a runtime can be checked anywhere.

use super::answers::{Note, Role};
use super::columns;
use crate::dataset::ColumnKind;
use crate::model::{Cell, Input, Model, PredictOptions, Predictions, TargetPrediction, UnknownCategory};
use serde_json::{Map, Value, json};

/// Where the rows lie between the ends of each range. The last is outside, and has unknown categories.
const PLACES: [f64; 4] = [0.5, 0.25, 0.75, 1.25];
/// The row in which everything is missing that may be.
const MISSING_ROW: usize = 2;
const UNKNOWN: &str = "never seen in training";

/// `{"inputs": {name: [value, ...]}, "outputs": {name: [[value, ...], ...]}}`, with null for NaN.
pub(super) fn example(model: &Model, columns: &[columns::Note], outputs: &[Note]) -> Value {
    let rows: Vec<Vec<Value>> =
        (0..PLACES.len()).map(|row| model.inputs().iter().map(|input| value(input, row)).collect()).collect();
    let cells: Vec<Cell> = rows
        .iter()
        .flat_map(|row| row.iter().zip(model.inputs()))
        .map(|(value, input)| cell(value, input))
        .collect();
    let options = PredictOptions { unknown_category: UnknownCategory::Missing, ..PredictOptions::default() };
    // Every cell is of the input's kind, and missing only where training saw that.
    let Ok(predictions) = model.predict(&cells, rows.len(), &options) else { return Value::Null };
    let inputs: Map<String, Value> = columns
        .iter()
        .enumerate()
        .map(|(index, note)| (note.name.clone(), rows.iter().map(|row| row[index].clone()).collect()))
        .collect();
    let outputs: Map<String, Value> = outputs
        .iter()
        .map(|note| {
            let rows = (0..rows.len()).map(|row| expected(&predictions, note, row));
            (note.name.clone(), rows.collect())
        })
        .collect();
    json!({ "inputs": inputs, "outputs": outputs })
}

/// The value of one input in a row, as the graph takes it: a number, a text, null for NaN.
fn value(input: &Input, row: usize) -> Value {
    let missing = row == MISSING_ROW && input.missing_share > 0.0;
    match input.kind {
        ColumnKind::Category if missing => json!(""),
        ColumnKind::Category if row == PLACES.len() - 1 => json!(UNKNOWN),
        ColumnKind::Category => json!(input.levels.get(row % input.levels.len().max(1))),
        _ if missing => Value::Null,
        ColumnKind::Boolean => json!(if row.is_multiple_of(2) { 1.0 } else { 0.0 }),
        kind => {
            let (low, high) = input.range.unwrap_or((0.0, 1.0));
            let between = low * (1.0 - PLACES[row]) + high * PLACES[row];
            json!(if kind == ColumnKind::Date { between.round() } else { between })
        }
    }
}

/// The same as `POST /predict` takes it.
fn cell(value: &Value, input: &Input) -> Cell<'static> {
    match value {
        Value::String(text) if text.is_empty() => Cell::Missing,
        Value::String(text) => Cell::Text(text.clone().into()),
        Value::Number(number) if input.kind == ColumnKind::Date => {
            let ms = number.as_f64().map_or(0, |ms| ms as i64);
            Cell::Text(crate::dataset::date::to_rfc3339(ms).into())
        }
        Value::Number(number) => number.as_f64().map_or(Cell::Missing, Cell::Number),
        _ => Cell::Missing,
    }
}

/// What an output holds in a row.
fn expected(predictions: &Predictions, note: &Note, row: usize) -> Value {
    let target = predictions.targets.iter().find(|target| Some(target.name()) == note.target.as_deref());
    match (target, note.role) {
        (_, Role::InDomain) => json!([predictions.in_domain[row]]),
        (_, Role::DomainScore) => json!([predictions.domain_score[row]]),
        (Some(TargetPrediction::Number { values, bounds, .. }), role) => {
            let (low, high) = bounds.as_ref().map_or((f64::NAN, f64::NAN), |bounds| bounds[row]);
            json!([match role {
                Role::Lower => low,
                Role::Upper => high,
                _ => values[row],
            }])
        }
        (Some(TargetPrediction::Class { classes, labels, probabilities, sets, .. }), role) => {
            let n = classes.len();
            match role {
                Role::Probabilities => json!(probabilities[row * n..(row + 1) * n]),
                Role::Set => (0..n).map(|class| sets[row].contains(&class)).collect(),
                _ => json!([classes[labels[row]]]),
            }
        }
        (None, _) => Value::Null,
    }
}
