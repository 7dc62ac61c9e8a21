//! Is a row like the training data, and if not, why?
//!
//! Each input on its own: its range for numbers and dates, its known levels for categories. The
//! joint distance of a row from the training rows is not looked at yet.

use super::input::{Input, Value, short_number};
use serde::{Deserialize, Serialize};

/// What the inputs looked like in training.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Domain {
    /// Per input: the range of the training rows, for numbers and dates.
    ranges: Vec<Option<(f64, f64)>>,
}

/// What is said about one row.
#[derive(Debug, Clone, PartialEq)]
pub struct Verdict {
    /// Whether every input is one that training saw.
    pub in_domain: bool,
    /// 1 inside; `1 / (1 + d)` outside, where `d` is the distance outside in widths of the range,
    /// summed over the inputs. An unseen category counts as one width.
    pub score: f64,
    /// One `(column, message)` for each input outside.
    pub reasons: Vec<(String, String)>,
}

impl Domain {
    /// Remembers the ranges of `inputs`.
    pub fn new(inputs: &[Input]) -> Self {
        Self { ranges: inputs.iter().map(|input| input.range).collect() }
    }

    /// Whether there is one range per input.
    pub fn matches(&self, inputs: &[Input]) -> bool {
        self.ranges.len() == inputs.len()
    }

    /// Judges one row of values, one per input.
    pub fn judge(&self, inputs: &[Input], values: &[Value]) -> Verdict {
        let mut distance = 0.0;
        let mut reasons = Vec::new();
        for ((input, value), range) in inputs.iter().zip(values).zip(&self.ranges) {
            let number = match value {
                Value::Number(number) => *number,
                Value::Instant(ms) => *ms as f64,
                Value::Level(None) => {
                    distance += 1.0;
                    continue; // Reading the cell has already warned.
                }
                _ => continue,
            };
            let Some((low, high)) = *range else { continue };
            if number >= low && number <= high {
                continue;
            }
            let outside = if number < low { low - number } else { number - high };
            let width = if high > low { high - low } else { high.abs().max(1.0) };
            distance += outside / width;
            reasons.push((input.name.clone(), reason(input, value, number, low, high)));
        }
        let in_domain = distance == 0.0;
        Verdict { in_domain, score: 1.0 / (1.0 + distance), reasons }
    }
}

fn reason(input: &Input, value: &Value, number: f64, low: f64, high: f64) -> String {
    let show = |number: f64| match value {
        Value::Instant(_) => crate::dataset::date::to_rfc3339(number as i64),
        _ => short_number(number),
    };
    let (side, limit, word) =
        if number > high { ("above", high, "largest") } else { ("below", low, "smallest") };
    let unit = input.unit.as_deref().map(|unit| format!(" {unit}")).unwrap_or_default();
    format!(
        "{} = {}{unit} is {side} {}{unit}, the {word} value seen in training",
        input.name,
        show(number),
        show(limit)
    )
}
