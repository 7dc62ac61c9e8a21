//! From the outputs of the networks to answers in the user's terms: `model::combine` and
//! `model::answers` as operations.

use super::domain::Judged;
use super::graph::{Attribute, Graph, Type, Value};
use crate::model::interval::{Calibration, MAX_LOG_RATIO, ProbabilityScale, Scores, UsualError};
use crate::model::{Manifest, Target, Task};

/// The smallest probability that is told from 0, as in `model::combine`.
const LEAST: f64 = 1e-30;

/// An output of the graph.
#[derive(Debug)]
pub(super) struct Note {
    /// Its name.
    pub(super) name: String,
    /// Its type.
    pub(super) of: Type,
    /// Numbers per row.
    pub(super) width: usize,
    /// The target it belongs to.
    pub(super) target: Option<String>,
    /// What of it.
    pub(super) role: Role,
    /// What it holds.
    pub(super) meaning: String,
}

/// What an output says.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Role {
    Value,
    Lower,
    Upper,
    Label,
    Probabilities,
    Set,
    InDomain,
    DomainScore,
}

/// What the answers are made of.
#[derive(Debug)]
pub(super) struct Parts<'a> {
    /// Everything about the model.
    pub(super) manifest: &'a Manifest,
    /// Float, `[networks, rows, outputs]`.
    pub(super) outputs: Value,
    /// What is said about the rows.
    pub(super) judged: Judged,
    /// Boolean, `[rows, 1]`: the rows that are not answered.
    pub(super) refused: Option<Value>,
}

/// Gives out everything that a prediction has; returns what there is.
///
/// # Errors
/// When the calibration holds a step, which no training makes.
pub(super) fn give(graph: &mut Graph, parts: &Parts) -> Result<Vec<Note>, String> {
    let mut notes = Vec::new();
    let together = combine(graph, parts);
    for (index, target) in parts.manifest.targets.iter().enumerate() {
        match (target, &parts.manifest.calibration) {
            (Target::Number { .. }, Calibration::AbsoluteResiduals { residuals, usual }) => {
                let usual = usual.get(index).and_then(Option::as_ref);
                give_number(
                    graph,
                    parts,
                    &together,
                    (index, target),
                    residuals.get(index),
                    usual,
                    &mut notes,
                )?;
            }
            (Target::Class { name, classes, .. }, Calibration::ClassScores { scale, scores }) => {
                let probabilities = probabilities(graph, &together, *scale, classes.len());
                give_class(graph, parts, &probabilities, name, classes, scores, &mut notes);
            }
            _ => return Err("the calibration does not fit the targets".to_owned()),
        }
    }
    give_domain(graph, parts, &mut notes);
    Ok(notes)
}

/// One answer from all networks, double `[rows, outputs]`: numbers in their units, or logits.
fn combine(graph: &mut Graph, parts: &Parts) -> Value {
    let members = &parts.manifest.members;
    let (n, n_outputs) = (members.len(), parts.manifest.shape.outputs);
    let mut each = graph.cast(&parts.outputs, Type::Double);
    if parts.manifest.task == Task::Regression {
        let scales = || members.iter().flat_map(|member| &member.target_scales);
        let mean = graph.doubles(&[n, 1, n_outputs], scales().map(|scale| scale.0).collect());
        let std = graph.doubles(&[n, 1, n_outputs], scales().map(|scale| scale.1).collect());
        let spread = graph.op("Mul", &[&each, &std]);
        each = graph.op("Add", &[&spread, &mean]);
        let logarithmic: Vec<bool> = (0..n_outputs).map(|target| members[0].is_logarithmic(target)).collect();
        if logarithmic.contains(&true) {
            let logarithmic = graph.bools(&[1, 1, n_outputs], logarithmic);
            let values = graph.op("Exp", &[&each]);
            each = graph.op("Where", &[&logarithmic, &values, &each]);
        }
    } else if n > 1 {
        each = softmax(graph, &each, 2);
    }
    let total: f64 = members.iter().map(|member| member.weight).sum();
    let shares = members.iter().map(|member| if n == 1 { 1.0 } else { member.weight / total }).collect();
    let shares = graph.doubles(&[n, 1, 1], shares);
    let weighted = graph.op("Mul", &[&each, &shares]);
    let axis = graph.int64s(&[1], vec![0]);
    let mean = graph.op_with("ReduceSum", &[&weighted, &axis], &[("keepdims", Attribute::Int(0))]);
    if parts.manifest.task == Task::Regression || n == 1 {
        return mean;
    }
    let least = graph.double(LEAST);
    let mean = graph.op("Max", &[&mean, &least]);
    graph.op("Log", &[&mean])
}

/// `(1 - doubt) softmax(logits / temperature) + doubt / n`, `[rows, n]`.
fn probabilities(graph: &mut Graph, logits: &Value, scale: ProbabilityScale, n: usize) -> Value {
    let temperature = graph.double(scale.temperature);
    let logits = graph.op("Div", &[logits, &temperature]);
    let sure = softmax(graph, &logits, 1);
    let (share, least) = (graph.double(1.0 - scale.doubt), graph.double(scale.doubt / n as f64));
    let sure = graph.op("Mul", &[&sure, &share]);
    graph.op("Add", &[&sure, &least])
}

fn softmax(graph: &mut Graph, logits: &Value, axis: i64) -> Value {
    graph.op_with("Softmax", &[logits], &[("axis", Attribute::Int(axis))])
}

fn give_number(
    graph: &mut Graph,
    parts: &Parts,
    together: &Value,
    (index, target): (usize, &Target),
    residuals: Option<&Scores>,
    usual: Option<&UsualError>,
    notes: &mut Vec<Note>,
) -> Result<(), String> {
    let Target::Number { name, unit, min, max } = target else { return Ok(()) };
    let unit = unit.as_deref().map(|unit| format!(" in {unit}")).unwrap_or_default();
    let own = graph.int64s(&[1], vec![index as i64]);
    let own = graph.op_with("Gather", &[together, &own], &[("axis", Attribute::Int(1))]);
    let (low, high) = (graph.double(*min), graph.double(*max));
    let value = graph.op("Clip", &[&own, &low, &high]);
    let mut give = |graph: &mut Graph, value: &Value, ending: &str, role, meaning: String| {
        let value = unless_refused(graph, parts, value);
        let name_there = graph.output(&value, &format!("{name}{ending}"), Type::Double, 1, &meaning);
        notes.push(Note {
            name: name_there,
            of: Type::Double,
            width: 1,
            target: Some(name.clone()),
            role,
            meaning,
        });
    };
    give(graph, &value, "", Role::Value, format!("the prediction of {name}{unit}"));
    let confidence = parts.manifest.confidence;
    if let Some(limit) = residuals.and_then(|scores| scores.quantile(confidence)) {
        let limit = graph.double(limit);
        let mut width = graph.op("Mul", &[&limit, &parts.judged.stretch]);
        if let Some(usual) = usual {
            let usual = usual_error(graph, usual, &value)?;
            width = graph.op("Mul", &[&width, &usual]);
        }
        let (lower, upper) = if parts.manifest.members[0].is_logarithmic(index) {
            let widest = graph.double(MAX_LOG_RATIO);
            let width = graph.op("Min", &[&width, &widest]);
            let ratio = graph.op("Exp", &[&width]);
            (graph.op("Div", &[&value, &ratio]), graph.op("Mul", &[&value, &ratio]))
        } else {
            (graph.op("Sub", &[&value, &width]), graph.op("Add", &[&value, &width]))
        };
        let of = format!("of an interval that holds the truth with a probability of {confidence}");
        give(graph, &lower, "_lower", Role::Lower, format!("the lower end {of}"));
        give(graph, &upper, "_upper", Role::Upper, format!("the upper end {of}"));
    }
    Ok(())
}

/// The usual error at the level of the answer: the first point's, and what each piece between points adds.
fn usual_error(graph: &mut Graph, usual: &UsualError, answer: &Value) -> Result<Value, String> {
    let (answers, errors) = usual.points();
    let lengths: Vec<f64> = answers.windows(2).map(|pair| pair[1] - pair[0]).collect();
    if lengths.iter().any(|length| *length <= 0.0) {
        return Err("its intervals jump at one answer".to_owned());
    }
    let first = graph.double(errors[0]);
    let n = lengths.len();
    if n == 0 {
        return Ok(first);
    }
    let slopes = errors.windows(2).zip(&lengths).map(|(pair, length)| (pair[1] - pair[0]) / length).collect();
    let starts = graph.doubles(&[1, n], answers[..n].to_vec());
    let (lengths, slopes) = (graph.doubles(&[1, n], lengths), graph.doubles(&[1, n], slopes));
    let zero = graph.double(0.0);
    let past = graph.op("Sub", &[answer, &starts]);
    let past = graph.op("Max", &[&past, &zero]);
    let within = graph.op("Min", &[&past, &lengths]);
    let added = graph.op("Mul", &[&within, &slopes]);
    let added = graph.sum_of_rows(&added);
    Ok(graph.op("Add", &[&first, &added]))
}

fn give_class(
    graph: &mut Graph,
    parts: &Parts,
    probabilities: &Value,
    name: &str,
    classes: &[String],
    scores: &Scores,
    notes: &mut Vec<Note>,
) {
    let n = classes.len();
    let mut best = graph.op_with("ArgMax", &[probabilities], &[("axis", Attribute::Int(1))]);
    // One label more, for rows that are not answered.
    let labels: Vec<String> = classes.iter().cloned().chain([String::new()]).collect();
    if let Some(refused) = &parts.refused {
        let none = graph.int64s(&[], vec![n as i64]);
        best = graph.op("Where", &[refused, &none, &best]);
    }
    let labels = graph.texts(&labels);
    let label = graph.op_with("Gather", &[&labels, &best], &[("axis", Attribute::Int(0))]);
    let probabilities = unless_refused(graph, parts, probabilities);
    let every = graph.int64s(&[1, n], (0..n as i64).collect());
    let is_best = graph.op("Equal", &[&best, &every]);
    // Without a limit no class can be ruled out, except where there is no answer: NaN is no number.
    let one = graph.double(1.0);
    let doubt = graph.op("Sub", &[&one, &probabilities]);
    let limit = graph.double(scores.quantile(parts.manifest.confidence).unwrap_or(f64::MAX));
    let possible = graph.op("LessOrEqual", &[&doubt, &limit]);
    let set = graph.op("Or", &[&possible, &is_best]);
    let in_order = format!("one per class, in the order {}", classes.join(", "));
    let confidence = parts.manifest.confidence;
    for (value, ending, of, width, role, meaning) in [
        (label, "", Type::Text, 1, Role::Label, format!("the most probable class of {name}")),
        (
            probabilities,
            "_probabilities",
            Type::Double,
            n,
            Role::Probabilities,
            format!("the probabilities, {in_order}"),
        ),
        (
            set,
            "_set",
            Type::Bool,
            n,
            Role::Set,
            format!("whether the class cannot be ruled out at a confidence of {confidence}, {in_order}"),
        ),
    ] {
        let there = graph.output(&value, &format!("{name}{ending}"), of, width, &meaning);
        notes.push(Note { name: there, of, width, target: Some(name.to_owned()), role, meaning });
    }
}

fn give_domain(graph: &mut Graph, parts: &Parts, notes: &mut Vec<Note>) {
    let in_domain = match &parts.refused {
        Some(refused) => {
            let answered = graph.op("Not", &[refused]);
            graph.op("And", &[&parts.judged.in_domain, &answered])
        }
        None => parts.judged.in_domain.clone(),
    };
    let score = unless_refused(graph, parts, &parts.judged.score);
    for (value, name, of, role, meaning) in [
        (in_domain, "in_domain", Type::Bool, Role::InDomain, "whether the row is like those of the training"),
        (
            score,
            "domain_score",
            Type::Double,
            Role::DomainScore,
            "the share of training rows that lie at least as far from the others; towards 0 far outside",
        ),
    ] {
        let name = graph.output(&value, name, of, 1, meaning);
        notes.push(Note { name, of, width: 1, target: None, role, meaning: meaning.to_owned() });
    }
}

/// `value`, and NaN in rows that are not answered.
fn unless_refused(graph: &mut Graph, parts: &Parts, value: &Value) -> Value {
    match &parts.refused {
        Some(refused) => {
            let none = graph.double(f64::NAN);
            graph.op("Where", &[refused, &none, value])
        }
        None => value.clone(),
    }
}
