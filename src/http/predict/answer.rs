//! The answer of `POST /predict`, written row by row straight from the model's columns.

use super::Answered;
use crate::{
    batch::answers::{self, NO_BOUNDS, NOT_FINITE},
    id::ModelId,
    language::Language,
    model::{Input, Predictions, RowWarning, TargetPrediction},
    storage::ModelRecord,
};
use serde::{
    Serialize, Serializer,
    ser::{SerializeMap, SerializeSeq},
};
use serde_json::{Map, Value, json};
use utoipa::ToSchema;

/// The answer of `POST /predict`.
#[derive(Debug, Serialize)]
pub struct Answer<'a> {
    #[serde(flatten)]
    model: Option<ModelRef<'a>>,
    predictions: Rows<'a, Predicted>,
    #[serde(flatten)]
    extras: Extras<'a>,
}

#[derive(Debug, Serialize)]
struct ModelRef<'a> {
    model_id: ModelId,
    model_name: &'a str,
    version: i64,
}

impl<'a> Answer<'a> {
    /// The answer of a stored model.
    pub fn new(record: &'a ModelRecord, extras: Extras<'a>) -> Self {
        let model =
            ModelRef { model_id: record.model_id, model_name: &record.model_name, version: record.version };
        Self { model: Some(model), ..Self::unnamed(extras) }
    }

    /// The answer of a model from a file, which has no name.
    pub fn unnamed(extras: Extras<'a>) -> Self {
        Self { model: None, predictions: Rows::new(extras.targets, extras.n_rows), extras }
    }
}

/// Everything that is said about the predictions beside their values; the same in every protocol that has room for
/// fields of its own.
#[derive(Debug, Serialize)]
pub struct Extras<'a> {
    #[serde(skip_serializing_if = "Option::is_none")]
    intervals: Option<Rows<'a, Interval>>,
    #[serde(skip_serializing_if = "Option::is_none")]
    probabilities: Option<Rows<'a, Probability>>,
    #[serde(skip_serializing_if = "Option::is_none")]
    prediction_sets: Option<Rows<'a, Set>>,
    confidence: f64,
    in_domain: &'a [bool],
    domain_score: &'a [f64],
    warnings: Vec<RowWarningView<'a>>,
    #[serde(skip_serializing_if = "Option::is_none")]
    sensitivities: Option<Vec<Value>>,
    #[serde(skip)]
    targets: &'a [TargetPrediction],
    #[serde(skip)]
    n_rows: usize,
}

#[derive(Debug, Serialize)]
struct RowWarningView<'a> {
    row: usize,
    column: &'a str,
    code: &'a str,
    message: &'a str,
}

impl Answered {
    /// What there is to say beside the values; `inputs` are those of the model.
    pub fn extras(&self, inputs: &[Input]) -> Extras<'_> {
        Extras::new(&self.predictions, &self.warnings, self.n_rows, inputs)
    }

    /// The texts of all warnings, one per row; empty where there is none.
    pub fn messages(&self) -> Vec<String> {
        let warnings = self.extras(&[]).warnings;
        let messages = warnings.iter().map(|warning| (warning.row, warning.message));
        let texts = answers::joined(messages, self.n_rows, Language::English);
        texts.into_iter().map(Option::unwrap_or_default).collect()
    }
}

impl<'a> Extras<'a> {
    /// `own` are the warnings about the request itself; `inputs` name the sensitivities, where they were asked for.
    pub fn new(predictions: &'a Predictions, own: &'a [RowWarning], n_rows: usize, inputs: &[Input]) -> Self {
        let targets = predictions.targets.as_slice();
        let classes = targets.iter().any(|target| matches!(target, TargetPrediction::Class { .. }));
        let numbers = targets.iter().any(|target| matches!(target, TargetPrediction::Number { .. }));
        let view = |warning: &'a RowWarning| RowWarningView {
            row: warning.row,
            column: &warning.column,
            code: warning.code,
            message: &warning.message,
        };
        let mut warnings: Vec<RowWarningView> = own.iter().chain(&predictions.warnings).map(view).collect();
        warnings.extend(not_finite(targets));
        warnings.extend(without_bounds(targets).filter(|_| n_rows > 0));
        Self {
            intervals: numbers.then(|| Rows::new(targets, n_rows)),
            probabilities: classes.then(|| Rows::new(targets, n_rows)),
            prediction_sets: classes.then(|| Rows::new(targets, n_rows)),
            confidence: predictions.confidence,
            in_domain: &predictions.in_domain,
            domain_score: &predictions.domain_score,
            warnings,
            sensitivities: sensitivities(predictions, inputs),
            targets,
            n_rows,
        }
    }
}

/// Per row, target to input to the change per unit, where they were asked for.
fn sensitivities(predictions: &Predictions, inputs: &[Input]) -> Option<Vec<Value>> {
    let Predictions { targets, sensitivities, .. } = predictions;
    let per_row = targets.len() * inputs.len();
    sensitivities.as_ref().map(|all| {
        let row = |own: &[f64]| -> Value {
            let of_targets = targets.iter().zip(own.chunks_exact(inputs.len().max(1)));
            let fields = of_targets.map(|(target, own)| {
                let known = inputs.iter().zip(own).filter(|(_, value)| value.is_finite());
                let of_inputs: Map<String, Value> =
                    known.map(|(input, value)| (input.name.clone(), json!(value))).collect();
                (target.name().to_owned(), Value::Object(of_inputs))
            });
            Value::Object(fields.collect())
        };
        all.chunks_exact(per_row.max(1)).map(row).collect()
    })
}

/// JSON has no NaN: such a value is written as null, and this says so.
fn not_finite(targets: &[TargetPrediction]) -> Vec<RowWarningView<'_>> {
    let mut warnings = Vec::new();
    for target in targets {
        let TargetPrediction::Number { name, values, .. } = target else { continue };
        for (row, _) in values.iter().enumerate().filter(|(_, value)| !value.is_finite()) {
            warnings.push(RowWarningView { row, column: name, code: "not-finite", message: NOT_FINITE });
        }
    }
    warnings
}

/// Said once for all rows, at the first.
fn without_bounds(targets: &[TargetPrediction]) -> impl Iterator<Item = RowWarningView<'_>> {
    targets.iter().filter_map(|target| match target {
        TargetPrediction::Number { name, bounds: None, .. } => {
            Some(RowWarningView { row: 0, column: name, code: "no-interval", message: NO_BOUNDS })
        }
        _ => None,
    })
}

/// One object per row, one field per target.
#[derive(Debug)]
struct Rows<'a, V> {
    targets: &'a [TargetPrediction],
    n_rows: usize,
    what: std::marker::PhantomData<V>,
}

impl<'a, V> Rows<'a, V> {
    fn new(targets: &'a [TargetPrediction], n_rows: usize) -> Self {
        Self { targets, n_rows, what: std::marker::PhantomData }
    }
}

/// What one target contributes to a row.
trait Field {
    fn write<M: SerializeMap>(map: &mut M, target: &TargetPrediction, row: usize) -> Result<(), M::Error>;
}

impl<V: Field> Serialize for Rows<'_, V> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        struct Row<'a, V>(&'a Rows<'a, V>, usize);
        impl<V: Field> Serialize for Row<'_, V> {
            fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
                let mut map = serializer.serialize_map(None)?;
                for target in self.0.targets {
                    V::write(&mut map, target, self.1)?;
                }
                map.end()
            }
        }
        let mut rows = serializer.serialize_seq(Some(self.n_rows))?;
        for row in 0..self.n_rows {
            rows.serialize_element(&Row(self, row))?;
        }
        rows.end()
    }
}

#[derive(Debug)]
struct Predicted;
#[derive(Debug)]
struct Interval;
#[derive(Debug)]
struct Probability;
#[derive(Debug)]
struct Set;

#[derive(Serialize)]
struct Bounds {
    lower_bound: f64,
    upper_bound: f64,
}

impl Field for Predicted {
    fn write<M: SerializeMap>(map: &mut M, target: &TargetPrediction, row: usize) -> Result<(), M::Error> {
        match target {
            TargetPrediction::Number { name, values, .. } => map.serialize_entry(name, &values[row]),
            TargetPrediction::Class { name, classes, labels, .. } => {
                map.serialize_entry(name, &classes[labels[row]])
            }
        }
    }
}

impl Field for Interval {
    fn write<M: SerializeMap>(map: &mut M, target: &TargetPrediction, row: usize) -> Result<(), M::Error> {
        let TargetPrediction::Number { name, bounds, .. } = target else { return Ok(()) };
        let (lower_bound, upper_bound) = bounds.as_ref().map_or((f64::NAN, f64::NAN), |bounds| bounds[row]);
        map.serialize_entry(name, &Bounds { lower_bound, upper_bound })
    }
}

impl Field for Probability {
    fn write<M: SerializeMap>(map: &mut M, target: &TargetPrediction, row: usize) -> Result<(), M::Error> {
        struct Shares<'a>(&'a [String], &'a [f64]);
        impl Serialize for Shares<'_> {
            fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
                serializer.collect_map(self.0.iter().zip(self.1))
            }
        }
        let TargetPrediction::Class { name, classes, probabilities, .. } = target else { return Ok(()) };
        let n = classes.len();
        map.serialize_entry(name, &Shares(classes, &probabilities[row * n..(row + 1) * n]))
    }
}

impl Field for Set {
    fn write<M: SerializeMap>(map: &mut M, target: &TargetPrediction, row: usize) -> Result<(), M::Error> {
        let TargetPrediction::Class { name, classes, sets, .. } = target else { return Ok(()) };
        let names: Vec<&str> = sets[row].iter().map(|class| classes[*class].as_str()).collect();
        map.serialize_entry(name, &names)
    }
}

/// What to predict for.
#[derive(Debug, Serialize, ToSchema)]
#[serde(deny_unknown_fields)]
#[schema(as = PredictRequest, example = json!({"model": "airfoil", "data": [{"frequency": 800, "angle_of_attack": 0, "chord_length": 0.3048,
    "free_stream_velocity": 71.3, "suction_side_displacement_thickness": 0.00266}], "confidence": 0.9}))]
pub struct PredictBody {
    /// The model, by identifier.
    pub model_id: Option<uuid::Uuid>,
    /// The model, by name (its newest version), by name and version, `polar/3`, or by alias, `polar@champion`.
    pub model: Option<String>,
    /// Rows `[{"a": 1}]`, columns `{"a": [1]}` or a matrix `[[1]]`.
    pub data: DataBody,
    /// Confidence of the intervals; the model's own if absent.
    #[schema(exclusive_minimum = 0.0, exclusive_maximum = 1.0)]
    pub confidence: Option<f64>,
    /// What to do with categories never seen: `error`, `missing` or `nearest`.
    #[schema(nullable = false, pattern = "^(error|missing|nearest)$")]
    pub unknown_category: Option<String>,
    /// Refuse fields that the model does not have; they are ignored otherwise.
    #[schema(nullable = false)]
    pub strict: Option<bool>,
    /// Whether `sensitivities` are wanted: how much each answer changes with each numeric input.
    #[schema(nullable = false)]
    pub explain: Option<bool>,
}

/// The three shapes of data.
#[derive(Debug, Serialize, ToSchema)]
#[serde(untagged)]
pub enum DataBody {
    /// One object per row.
    Rows(Vec<Map<String, Value>>),
    /// One list per column.
    Columns(std::collections::BTreeMap<String, Vec<Value>>),
    /// One list per row, in the order of the model's inputs.
    Matrix(Vec<Vec<Value>>),
}

/// The schema of an answer: its own fields, then those of [`Extras`]. utoipa would describe a flattened structure as an
/// `allOf`, where neither readers nor generated clients find its fields.
macro_rules! answer_schema {
    ($(#[$about:meta])* pub struct $name:ident { $($own:tt)* }) => {
        $(#[$about])*
        #[derive(Debug, serde::Serialize, utoipa::ToSchema)]
        pub struct $name {
            $($own)*
            /// Target to bounds; for regressions.
            #[schema(value_type = Option<Vec<Object>>, nullable = false, example = json!([{"Cl": {"lower_bound": 0.79, "upper_bound": 0.83}}]))]
            pub intervals: Option<Vec<serde_json::Value>>,
            /// Target to class to probability; for classifications.
            #[schema(value_type = Option<Vec<Object>>, nullable = false)]
            pub probabilities: Option<Vec<serde_json::Value>>,
            /// Target to the classes that cannot be ruled out; for classifications.
            #[schema(value_type = Option<Vec<Object>>, nullable = false)]
            pub prediction_sets: Option<Vec<serde_json::Value>>,
            /// The confidence of the intervals and sets.
            pub confidence: f64,
            /// Whether the row is like those of the training.
            pub in_domain: Vec<bool>,
            /// The share of training rows that lie at least as far from the others; towards 0 far outside.
            pub domain_score: Vec<f64>,
            /// What is to be noticed about single cells.
            pub warnings: Vec<$crate::http::predict::answer::PredictionWarning>,
            /// With `explain`: target to numeric input to the change of the answer per unit of the input, at this row; for a
            /// class, of the probability of the predicted one.
            #[schema(value_type = Option<Vec<Object>>, nullable = false, example = json!([{"Cl": {"alpha": 0.11}}]))]
            pub sensitivities: Option<Vec<serde_json::Value>>,
        }
    };
}
pub(in crate::http) use answer_schema;

answer_schema! {
    /// Predictions, one per row.
    pub struct PredictAnswer {
        /// The model that answered.
        pub model_id: uuid::Uuid,
        /// Its name.
        pub model_name: String,
        /// Its version.
        pub version: i64,
        /// Target to value.
        #[schema(value_type = Vec<Object>, example = json!([{"Cl": 0.81, "Cd": 0.0121}]))]
        pub predictions: Vec<Value>,
        /// What was noticed while a spreadsheet was read, such as lines that are no rows of its table.
        #[schema(nullable = false)]
        pub file_warnings: Option<Vec<crate::http::schema::Warning>>,
    }
}

/// A warning about one cell.
#[derive(Debug, Serialize, ToSchema)]
pub struct PredictionWarning {
    /// 0-based row of the request.
    pub row: u64,
    /// The input or target.
    pub column: String,
    /// A stable slug.
    #[schema(example = "out-of-range")]
    pub code: String,
    /// What was seen.
    pub message: String,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn columns_become_rows_and_nan_becomes_null() {
        let targets = [
            TargetPrediction::Number {
                name: "y".into(),
                values: vec![1.5, f64::NAN],
                bounds: Some(vec![(1.0, 2.0), (f64::NAN, f64::NAN)]),
            },
            TargetPrediction::Class {
                name: "c".into(),
                classes: vec!["a".into(), "b".into()],
                labels: vec![0, 1],
                probabilities: vec![0.75, 0.25, 0.5, 0.5],
                sets: vec![vec![0], vec![1, 0]],
            },
        ];
        let check = |shown: Value, expected: Value| assert_eq!(shown, expected);
        check(
            json!(Rows::<Predicted>::new(&targets, 2)),
            json!([{"y": 1.5, "c": "a"}, {"y": null, "c": "b"}]),
        );
        check(
            json!(Rows::<Interval>::new(&targets, 2)),
            json!([{"y": {"lower_bound": 1.0, "upper_bound": 2.0}}, {"y": {"lower_bound": null, "upper_bound": null}}]),
        );
        check(
            json!(Rows::<Probability>::new(&targets, 2)),
            json!([{"c": {"a": 0.75, "b": 0.25}}, {"c": {"a": 0.5, "b": 0.5}}]),
        );
        check(json!(Rows::<Set>::new(&targets, 2)), json!([{"c": ["a"]}, {"c": ["b", "a"]}]));
        assert_eq!(not_finite(&targets).len(), 1);
    }
}
