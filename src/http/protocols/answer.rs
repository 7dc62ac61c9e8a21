//! What the protocols that have room for it answer: the values, whose they are, and what is said about them.

use crate::{
    http::predict::{Answered, answer::Extras},
    model::TargetPrediction,
    prediction::Loaded,
};
use serde::{Serialize, Serializer};

/// The answer of `MLflow` and of `TensorFlow` Serving.
#[derive(Debug, Serialize)]
pub(super) struct Answer<'a> {
    #[serde(flatten)]
    values: Values<'a>,
    model_name: &'a str,
    model_version: String,
    #[serde(flatten)]
    extras: Extras<'a>,
}

#[derive(Debug, Serialize)]
#[serde(rename_all = "snake_case")]
enum Values<'a> {
    Predictions(ByRow<'a>),
    Outputs(ByColumn<'a>),
}

impl<'a> Answer<'a> {
    /// For rows.
    pub(super) fn by_row(loaded: &'a Loaded, answered: &'a Answered) -> Self {
        let values = ByRow(&answered.predictions.targets, answered.n_rows);
        Self::new(Values::Predictions(values), loaded, answered)
    }

    /// For columns.
    pub(super) fn by_column(loaded: &'a Loaded, answered: &'a Answered) -> Self {
        let values = ByColumn(&answered.predictions.targets, answered.n_rows);
        Self::new(Values::Outputs(values), loaded, answered)
    }

    fn new(values: Values<'a>, loaded: &'a Loaded, answered: &'a Answered) -> Self {
        Self {
            values,
            model_name: &loaded.record.model_name,
            model_version: loaded.record.version.to_string(),
            extras: answered.extras(loaded.model.inputs()),
        }
    }
}

/// The values row by row: bare ones for one target, objects for several.
#[derive(Debug)]
struct ByRow<'a>(&'a [TargetPrediction], usize);

/// The values column by column: one list for one target, an object of lists for several.
#[derive(Debug)]
struct ByColumn<'a>(&'a [TargetPrediction], usize);

/// One value: a number, null where it is not finite, or the name of a class.
struct At<'a>(&'a TargetPrediction, usize);

impl Serialize for At<'_> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        match self.0 {
            TargetPrediction::Number { values, .. } => values[self.1].serialize(serializer),
            TargetPrediction::Class { classes, labels, .. } => classes[labels[self.1]].serialize(serializer),
        }
    }
}

impl Serialize for ByRow<'_> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        struct Row<'a>(&'a [TargetPrediction], usize);
        impl Serialize for Row<'_> {
            fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
                if let [only] = self.0 {
                    return At(only, self.1).serialize(serializer);
                }
                serializer.collect_map(self.0.iter().map(|target| (target.name(), At(target, self.1))))
            }
        }
        serializer.collect_seq((0..self.1).map(|row| Row(self.0, row)))
    }
}

impl Serialize for ByColumn<'_> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        struct Column<'a>(&'a TargetPrediction, usize);
        impl Serialize for Column<'_> {
            fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
                serializer.collect_seq((0..self.1).map(|row| At(self.0, row)))
            }
        }
        if let [only] = self.0 {
            return Column(only, self.1).serialize(serializer);
        }
        serializer.collect_map(self.0.iter().map(|target| (target.name(), Column(target, self.1))))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn one_target_is_bare_and_several_are_named() {
        let number = |name: &str| TargetPrediction::Number {
            name: name.to_owned(),
            values: vec![1.5, f64::NAN],
            bounds: None,
        };
        let (one, two) = ([number("a")], [number("a"), number("b")]);
        assert_eq!(json!(ByRow(&one, 2)), json!([1.5, null]));
        assert_eq!(json!(ByColumn(&one, 2)), json!([1.5, null]));
        assert_eq!(json!(ByRow(&two, 2)), json!([{"a": 1.5, "b": 1.5}, {"a": null, "b": null}]));
        assert_eq!(json!(ByColumn(&two, 2)), json!({"a": [1.5, null], "b": [1.5, null]}));
    }
}
