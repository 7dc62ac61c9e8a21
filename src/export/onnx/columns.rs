//! From the user's columns to what the networks see: `model::encoder` as operations.
//!
//! ```text
//! column [rows, 1] --spread--> raw features [rows, features], NaN where a value is missing
//!   --fill--> [networks, rows, features] --centre, scale, squeeze--> the same, as float
//! ```
//!
//! Each network has an encoding of its own, fitted on its training part; all have the same features, so
//! that one operation serves them all, with one row of numbers per network. As in the encoder, everything
//! is computed in double precision until it is squeezed.

use super::graph::{Attribute, Graph, Type, Value};
use crate::dataset::ColumnKind;
use crate::model::encoder::{DAY_MS, Spread, YEAR_DAYS};
use crate::model::{Input, Manifest};
use std::f64::consts::{FRAC_PI_2, TAU};

/// The code of a text that means "no value".
const MISSING: i64 = -1;
/// The code of a category that training never saw.
const UNKNOWN: i64 = -2;

/// The columns of a model, read.
#[derive(Debug, Default)]
pub(super) struct Columns {
    /// Their names and types in the graph, and what is to be given.
    pub(super) notes: Vec<Note>,
    /// Numbers and dates, `[rows, 1]`, with the range of the training.
    pub(super) quantities: Vec<(Value, (f64, f64))>,
    /// Booleans, `[rows, 1]`: whether a category was never seen.
    pub(super) unknown: Vec<Value>,
    /// Per input, `[rows, 1]`: a double, NaN where it is missing, or the code of a level, below 0 where
    /// there is none.
    pub(super) of_inputs: Vec<Value>,
    /// Raw features, `[rows, ...]`, double.
    raw: Vec<Value>,
    /// Per raw feature.
    features: Vec<Feature>,
    /// Booleans, `[rows, 1]`: whether there is a value that cannot be used.
    unusable: Vec<Value>,
}

/// An input of the graph.
#[derive(Debug)]
pub(super) struct Note {
    /// Its name.
    pub(super) name: String,
    /// Its type.
    pub(super) of: Type,
    /// What is to be given.
    pub(super) meaning: String,
}

/// What is known about a raw feature beside its scaling.
#[derive(Debug, Clone, Default)]
struct Feature {
    /// Per network, in the terms of the first one's: where the value is missing, and where zero is.
    of_networks: Vec<(f64, f64)>,
    /// Whether a row without it cannot be answered.
    needed: bool,
}

/// What the networks see.
#[derive(Debug)]
pub(super) struct Encoded {
    /// Float, `[networks, rows, features]`.
    pub(super) features: Value,
    /// Boolean, `[rows, 1]`: whether the row cannot be answered; absent if every row can.
    pub(super) refused: Option<Value>,
}

/// Reads every column of the model.
///
/// # Errors
/// When the encodings of the networks differ in more than numbers, or do not fit the columns; no training
/// makes such a model.
pub(super) fn read(graph: &mut Graph, manifest: &Manifest) -> Result<Columns, String> {
    let mut columns = Columns::default();
    // All names of the user come before any name inside.
    let values: Vec<Value> = manifest.inputs.iter().map(|input| columns.declare(graph, input)).collect();
    for (index, (input, value)) in manifest.inputs.iter().zip(&values).enumerate() {
        let spreads: Vec<&Spread> =
            manifest.members.iter().map(|member| &member.encoder.spreads()[index]).collect();
        if spreads.iter().any(|spread| !is_alike(spread, spreads[0])) {
            return Err(format!("the networks take \"{}\" in different ways", input.name));
        }
        let needed = input.missing_share <= 0.0;
        let range = manifest.domain.ranges()[index];
        match (spreads[0], input.kind) {
            (Spread::Number { indicator, .. }, ColumnKind::Number) => {
                let value = &without_sentinels(graph, value, input);
                columns.quantities.extend(range.map(|range| (value.clone(), range)));
                let means = spreads.iter().map(|spread| (fill_of(spread), 0.0)).collect();
                columns.of_inputs.push(value.clone());
                columns.push(value.clone(), Feature { of_networks: means, needed });
                columns.indicate(graph, value, *indicator);
            }
            (Spread::Date { .. }, ColumnKind::Date) => {
                columns.quantities.extend(range.map(|range| (value.clone(), range)));
                columns.of_inputs.push(value.clone());
                columns.read_date(graph, value, &spreads, needed);
            }
            (Spread::Binary, ColumnKind::Boolean) => columns.read_boolean(graph, value, needed),
            (Spread::Binary | Spread::OneHot { .. }, ColumnKind::Category) => {
                columns.read_category(graph, value, input, spreads[0], needed);
            }
            _ => return Err(format!("the encoding of \"{}\" does not fit the column", input.name)),
        }
    }
    Ok(columns)
}

/// NaN where a number stood for "no value" in the training file.
fn without_sentinels(graph: &mut Graph, value: &Value, input: &Input) -> Value {
    input.sentinels().fold(value.clone(), |value, sentinel| {
        let (sentinel, nothing) = (graph.double(sentinel), graph.double(f64::NAN));
        let is_it = graph.op("Equal", &[&value, &sentinel]);
        graph.op("Where", &[&is_it, &nothing, &value])
    })
}

/// Whether two networks make the same features of a column.
fn is_alike(a: &Spread, b: &Spread) -> bool {
    match (a, b) {
        (Spread::Number { indicator: a, .. }, Spread::Number { indicator: b, .. }) => a == b,
        (
            Spread::Date { daily, weekly, yearly, indicator, .. },
            Spread::Date { daily: d, weekly: w, yearly: y, indicator: i, .. },
        ) => (daily, weekly, yearly, indicator) == (d, w, y, i),
        _ => a == b,
    }
}

/// What a network takes a missing value for: a number in its unit, a date in milliseconds.
fn fill_of(spread: &Spread) -> f64 {
    match spread {
        Spread::Number { mean, .. } => *mean,
        Spread::Date { mean_ms, .. } => *mean_ms,
        Spread::Binary | Spread::OneHot { .. } => 0.0,
    }
}

impl Columns {
    fn declare(&mut self, graph: &mut Graph, input: &Input) -> Value {
        let unit = input.unit.as_deref().map(|unit| format!(" in {unit}")).unwrap_or_default();
        let (of, what) = match input.kind {
            ColumnKind::Number => (Type::Double, format!("a number{unit}")),
            ColumnKind::Boolean => (Type::Double, "1 for yes, 0 for no".to_owned()),
            ColumnKind::Category => (Type::Text, "a category as in the training file".to_owned()),
            _ => (Type::Double, "a date as milliseconds since 1970-01-01T00:00:00Z".to_owned()),
        };
        let missing = match (input.missing_share > 0.0, of) {
            (true, Type::Text) => "; an empty text where it is missing",
            (true, _) => "; NaN where it is missing",
            (false, _) => "; it was never missing in training, so that a row without it is not answered",
        };
        let meaning = format!("{what}{missing}");
        let value = graph.input(&input.name, of, &meaning);
        self.notes.push(Note { name: value.name().to_owned(), of, meaning });
        value
    }

    fn push(&mut self, raw: Value, feature: Feature) {
        self.raw.push(raw);
        self.features.push(feature);
    }

    /// +1 where the value is missing and -1 where it is there.
    fn indicate(&mut self, graph: &mut Graph, value: &Value, indicator: bool) {
        if indicator {
            let there = graph.is_finite(value);
            let (yes, no) = (graph.double(1.0), graph.double(-1.0));
            let flag = graph.op("Where", &[&there, &no, &yes]);
            self.push(flag, Feature::default());
        }
    }

    /// Days since the first network's mean date, then sine and cosine of each cycle.
    fn read_date(&mut self, graph: &mut Graph, ms: &Value, spreads: &[&Spread], needed: bool) {
        let Spread::Date { daily, weekly, yearly, indicator, .. } = *spreads[0] else { return };
        let first = fill_of(spreads[0]);
        let (mean, day) = (graph.double(first), graph.double(DAY_MS));
        let since = graph.op("Sub", &[ms, &mean]);
        let days = graph.op("Div", &[&since, &day]);
        // A missing date is the network's own mean date, which is the zero it counts from.
        let zero = |spread: &&Spread| {
            let shift = (fill_of(spread) - first) / DAY_MS;
            (shift, shift)
        };
        self.push(days, Feature { of_networks: spreads.iter().map(zero).collect(), needed });
        for (on, period) in [(daily, DAY_MS), (weekly, 7.0 * DAY_MS), (yearly, YEAR_DAYS * DAY_MS)] {
            if on {
                let period = graph.double(period);
                let turns = graph.op("Div", &[ms, &period]);
                let whole = graph.op("Floor", &[&turns]);
                let turn = graph.op("Sub", &[&turns, &whole]);
                let (circle, quarter) = (graph.double(TAU), graph.double(FRAC_PI_2));
                let angle = graph.op("Mul", &[&turn, &circle]);
                let sin = graph.op("Sin", &[&angle]);
                // Not every runtime has the cosine of a double.
                let ahead = graph.op("Add", &[&angle, &quarter]);
                let cos = graph.op("Sin", &[&ahead]);
                self.push(sin, Feature::default());
                self.push(cos, Feature::default());
            }
        }
        self.indicate(graph, ms, indicator);
    }

    /// -1 for 0, +1 for 1.
    fn read_boolean(&mut self, graph: &mut Graph, value: &Value, needed: bool) {
        self.of_inputs.push(value.clone());
        // Only 0 and 1 are their own squares.
        let square = graph.op("Mul", &[value, value]);
        let is_flag = graph.op("Equal", &[&square, value]);
        let there = graph.is_finite(value);
        let is_other = graph.op("Not", &[&is_flag]);
        let unusable = graph.op("And", &[&there, &is_other]);
        self.unusable.push(unusable);
        let (two, one) = (graph.double(2.0), graph.double(1.0));
        let doubled = graph.op("Mul", &[value, &two]);
        let flag = graph.op("Sub", &[&doubled, &one]);
        self.push(flag, Feature { needed, ..Feature::default() });
    }

    /// -1 and +1 for the levels of two, else 1 for the own level; 0 where it is missing or unknown.
    fn read_category(
        &mut self,
        graph: &mut Graph,
        text: &Value,
        input: &Input,
        spread: &Spread,
        needed: bool,
    ) {
        let code = code_of(graph, text, input);
        self.of_inputs.push(code.clone());
        let unknown = graph.int64s(&[], vec![UNKNOWN]);
        let is_unknown = graph.op("Equal", &[&code, &unknown]);
        self.unknown.push(is_unknown);
        if needed {
            let missing = graph.int64s(&[], vec![MISSING]);
            let is_missing = graph.op("Equal", &[&code, &missing]);
            self.unusable.push(is_missing);
        }
        if let Spread::OneHot { levels } = spread {
            let all = graph.int64s(&[1, *levels], (0..*levels as i64).collect());
            let own = graph.op("Equal", &[&code, &all]);
            let own = graph.cast(&own, Type::Double);
            self.raw.push(own);
            self.features.extend(vec![Feature::default(); *levels]);
            return;
        }
        let (zero, one, two) = (graph.int64s(&[], vec![0]), graph.int64s(&[], vec![1]), graph.double(2.0));
        let is_known = graph.op("GreaterOrEqual", &[&code, &zero]);
        let is_second = graph.op("Equal", &[&code, &one]);
        let (known, second) = (graph.cast(&is_known, Type::Double), graph.cast(&is_second, Type::Double));
        let twice = graph.op("Mul", &[&second, &two]);
        let flag = graph.op("Sub", &[&twice, &known]);
        self.push(flag, Feature::default());
    }

    /// What the networks see of the columns.
    ///
    /// # Panics
    /// If there is no column; a model without inputs is refused on loading.
    pub(super) fn encode(&self, graph: &mut Graph, manifest: &Manifest) -> Encoded {
        let members = &manifest.members;
        let (n_networks, width) = (members.len(), self.features.len());
        let raw = graph.concat(&self.raw, 1);
        let there = graph.is_finite(&raw);
        let (mut fills, mut centers, mut factors) = (Vec::new(), Vec::new(), Vec::new());
        for (network, member) in members.iter().enumerate() {
            for (feature, scaling) in self.features.iter().zip(member.encoder.scalings()) {
                let (fill, zero) = feature.of_networks.get(network).copied().unwrap_or_default();
                fills.push(fill);
                centers.push(scaling.center + zero);
                factors.push(scaling.factor);
            }
        }
        let per_network = [n_networks, 1, width];
        let fill = graph.doubles(&per_network, fills);
        let center = graph.doubles(&per_network, centers);
        let factor = graph.doubles(&per_network, factors);
        let filled = graph.op("Where", &[&there, &raw, &fill]);
        let centered = graph.op("Sub", &[&filled, &center]);
        let scaled = graph.op("Mul", &[&centered, &factor]);
        let squeezed = squeeze(graph, &scaled);
        Encoded { features: graph.cast(&squeezed, Type::Float), refused: self.refused(graph, &there) }
    }

    /// Whether each row lacks what is needed, or holds what cannot be used.
    fn refused(&self, graph: &mut Graph, there: &Value) -> Option<Value> {
        let mut reasons = self.unusable.clone();
        let needed: Vec<bool> = self.features.iter().map(|feature| feature.needed).collect();
        if needed.contains(&true) {
            let needed = graph.bools(&[1, needed.len()], needed);
            let missing = graph.op("Not", &[there]);
            let lacking = graph.op("And", &[&missing, &needed]);
            reasons.push(lacking);
        }
        if reasons.is_empty() {
            return None;
        }
        let reasons = graph.concat(&reasons, 1);
        Some(graph.any_of_rows(&reasons))
    }
}

/// A text as the index of its level, `[rows, 1]`, [`MISSING`] or [`UNKNOWN`].
fn code_of(graph: &mut Graph, text: &Value, input: &Input) -> Value {
    let mut texts: Vec<String> = vec![String::new()];
    let mut codes = vec![MISSING];
    let missing = input.missing_tokens.iter().map(|token| (token, MISSING));
    let levels = input.levels.iter().zip(0..);
    let others = input.other_spellings().into_iter().map(|(text, index)| (text, index as i64));
    let known = missing.chain(levels).map(|(text, code)| (text.clone(), code)).chain(others);
    for (text, code) in known {
        if !texts.contains(&text) {
            texts.push(text);
            codes.push(code);
        }
    }
    let settings = [
        ("keys_strings", Attribute::Texts(texts)),
        ("values_int64s", Attribute::Ints(codes)),
        ("default_int64", Attribute::Int(UNKNOWN)),
    ];
    graph.op_with("LabelEncoder", &[text], &settings)
}

/// `x / sqrt(1 + (x / 3)^2)`.
fn squeeze(graph: &mut Graph, x: &Value) -> Value {
    // Beyond this the answer is 3 in double precision, and the square might overflow.
    let (low, high) = (graph.double(-1e9), graph.double(1e9));
    let x = graph.op("Clip", &[x, &low, &high]);
    let (one, three) = (graph.double(1.0), graph.double(3.0));
    let third = graph.op("Div", &[&x, &three]);
    let square = graph.op("Mul", &[&third, &third]);
    let sum = graph.op("Add", &[&one, &square]);
    let root = graph.op("Sqrt", &[&sum]);
    graph.op("Div", &[&x, &root])
}
