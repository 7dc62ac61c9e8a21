//! The tensors of an answer: one per target, and one per thing that is said about each row.

use crate::{
    http::predict::Answered,
    model::{Target, TargetPrediction},
};
use serde::{Serialize, Serializer};
use std::borrow::Cow;

/// What a tensor of the answer holds. The index is that of the target.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum What {
    Value(usize),
    Lower(usize),
    Upper(usize),
    Probabilities(usize),
    InSet(usize),
    Sensitivities(usize),
    InDomain,
    DomainScore,
    Warnings,
}

/// A tensor of the answer, before there is one.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct OutputKind {
    /// Its name; unique.
    pub(super) name: String,
    /// `FP64`, `BOOL` or `BYTES`.
    pub(super) datatype: &'static str,
    /// Elements per row.
    pub(super) width: usize,
    what: What,
}

/// The tensors that a model answers with: its targets, and then what is said about them. Where a target is called like
/// one of the others, that one gets a `_` behind its name. `n_sensitivities` is the number of inputs where
/// sensitivities were asked for, else 0.
pub(super) fn kinds(targets: &[Target], n_sensitivities: usize) -> Vec<OutputKind> {
    let values = targets.iter().enumerate().map(|(k, target)| OutputKind {
        name: target.name().to_owned(),
        datatype: if matches!(target, Target::Number { .. }) { "FP64" } else { "BYTES" },
        width: 1,
        what: What::Value(k),
    });
    let mut kinds: Vec<OutputKind> = values.collect();
    let mut add = |name: String, datatype, width, what| {
        let mut name = name;
        while kinds.iter().any(|kind| kind.name == name) {
            name.push('_');
        }
        kinds.push(OutputKind { name, datatype, width, what });
    };
    for (k, target) in targets.iter().enumerate() {
        match target {
            Target::Number { name, .. } => {
                add(format!("{name}_lower"), "FP64", 1, What::Lower(k));
                add(format!("{name}_upper"), "FP64", 1, What::Upper(k));
            }
            Target::Class { name, classes, .. } => {
                add(format!("{name}_probabilities"), "FP64", classes.len(), What::Probabilities(k));
                add(format!("{name}_in_set"), "BOOL", classes.len(), What::InSet(k));
            }
        }
        if n_sensitivities > 0 {
            add(format!("{}_sensitivities", target.name()), "FP64", n_sensitivities, What::Sensitivities(k));
        }
    }
    add("in_domain".to_owned(), "BOOL", 1, What::InDomain);
    add("domain_score".to_owned(), "FP64", 1, What::DomainScore);
    add("warnings".to_owned(), "BYTES", 1, What::Warnings);
    kinds
}

/// The elements of a tensor, row-major.
#[derive(Debug, PartialEq)]
pub(super) enum Elements<'a> {
    Numbers(Cow<'a, [f64]>),
    Flags(Cow<'a, [bool]>),
    Texts(Vec<Cow<'a, str>>),
}

impl Serialize for Elements<'_> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        match self {
            // What is not finite is written as null.
            Self::Numbers(numbers) => numbers.serialize(serializer),
            Self::Flags(flags) => flags.serialize(serializer),
            Self::Texts(texts) => texts.serialize(serializer),
        }
    }
}

impl OutputKind {
    /// The elements that the model answered with.
    pub(super) fn elements<'a>(&self, answered: &'a Answered) -> Elements<'a> {
        let predictions = &answered.predictions;
        match self.what {
            What::Value(k) => match &predictions.targets[k] {
                TargetPrediction::Number { values, .. } => Elements::Numbers(values.into()),
                TargetPrediction::Class { classes, labels, .. } => {
                    Elements::Texts(labels.iter().map(|label| classes[*label].as_str().into()).collect())
                }
            },
            What::Lower(k) => bounds(&predictions.targets[k], answered.n_rows, |bounds| bounds.0),
            What::Upper(k) => bounds(&predictions.targets[k], answered.n_rows, |bounds| bounds.1),
            What::Probabilities(k) => match &predictions.targets[k] {
                TargetPrediction::Class { probabilities, .. } => Elements::Numbers(probabilities.into()),
                TargetPrediction::Number { .. } => Elements::Numbers(Cow::default()),
            },
            What::InSet(k) => match &predictions.targets[k] {
                TargetPrediction::Class { classes, sets, .. } => Elements::Flags(
                    sets.iter()
                        .flat_map(|set| (0..classes.len()).map(|class| set.contains(&class)))
                        .collect(),
                ),
                TargetPrediction::Number { .. } => Elements::Flags(Cow::default()),
            },
            What::Sensitivities(k) => {
                let rows = predictions.sensitivities.as_deref().unwrap_or_default();
                let rows = rows.chunks_exact(predictions.targets.len() * self.width);
                let own = rows.flat_map(|row| &row[k * self.width..(k + 1) * self.width]);
                Elements::Numbers(own.copied().collect())
            }
            What::InDomain => Elements::Flags(predictions.in_domain.as_slice().into()),
            What::DomainScore => Elements::Numbers(predictions.domain_score.as_slice().into()),
            What::Warnings => Elements::Texts(answered.messages().into_iter().map(Cow::Owned).collect()),
        }
    }
}

/// One side of the intervals; not finite where there are none, so that every answer has the same tensors.
fn bounds(target: &TargetPrediction, n_rows: usize, side: impl Fn(&(f64, f64)) -> f64) -> Elements<'_> {
    Elements::Numbers(match target {
        TargetPrediction::Number { bounds: Some(bounds), .. } => bounds.iter().map(side).collect(),
        _ => vec![f64::NAN; n_rows].into(),
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::Predictions;

    #[test]
    fn every_tensor_has_its_own_name_and_its_own_elements() {
        let number = |name: &str| Target::Number { name: name.to_owned(), unit: None, min: 0.0, max: 1.0 };
        let class = Target::Class {
            name: "c".to_owned(),
            column_kind: crate::dataset::ColumnKind::Category,
            classes: vec!["p".to_owned(), "q".to_owned()],
        };
        let kinds = kinds(&[number("y"), number("in_domain"), class], 1);
        let names: Vec<&str> = kinds.iter().map(|kind| kind.name.as_str()).collect();
        let expected = "y in_domain c y_lower y_upper y_sensitivities in_domain_lower in_domain_upper \
            in_domain_sensitivities c_probabilities c_in_set c_sensitivities in_domain_ domain_score warnings";
        assert_eq!(names, expected.split_whitespace().collect::<Vec<_>>());
        let targets = vec![
            TargetPrediction::Number { name: "y".into(), values: vec![1.5], bounds: Some(vec![(1.0, 2.0)]) },
            TargetPrediction::Number { name: "in_domain".into(), values: vec![f64::NAN], bounds: None },
            TargetPrediction::Class {
                name: "c".into(),
                classes: vec!["p".into(), "q".into()],
                labels: vec![1],
                probabilities: vec![0.25, 0.75],
                sets: vec![vec![1]],
            },
        ];
        let predictions = Predictions {
            targets,
            confidence: 0.9,
            in_domain: vec![false],
            domain_score: vec![0.5],
            warnings: Vec::new(),
            sensitivities: Some(vec![1.0, 2.0, 3.0]),
        };
        let answered = Answered { predictions, warnings: Vec::new(), n_rows: 1 };
        let shown: Vec<String> =
            kinds.iter().map(|kind| serde_json::to_string(&kind.elements(&answered)).unwrap()).collect();
        let expected = [
            "[1.5]",
            "[null]",
            "[\"q\"]",
            "[1.0]",
            "[2.0]",
            "[1.0]",
            "[null]",
            "[null]",
            "[2.0]",
            "[0.25,0.75]",
            "[false,true]",
            "[3.0]",
            "[false]",
            "[0.5]",
            "[\"the prediction is not a finite number; no interval can be given at this confidence: too few rows were held out to calibrate it; ask for a lower one\"]",
        ];
        assert_eq!(shown, expected);
        for (kind, shown) in kinds.iter().zip(&shown) {
            let n = serde_json::from_str::<Vec<serde_json::Value>>(shown).unwrap().len();
            assert_eq!(n, kind.width, "{}", kind.name);
        }
    }
}
