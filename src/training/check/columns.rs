//! Which columns are predicted, from which others, and as what.

use super::{MAX_CLASSES, MIN_ROWS, find, warning};
use crate::dataset::{ColumnKind, ColumnProfile, Description, Warning};
use crate::model::manifest::Task;
use crate::training::spec::{SpecError, TrainRequest};

pub(super) fn choose_targets<'a>(
    request: &TrainRequest,
    data: &'a Description,
    warnings: &mut Vec<Warning>,
) -> Result<Vec<&'a ColumnProfile>, SpecError> {
    let both = request.target.is_some() && request.targets.is_some();
    if both {
        let message = "send either \"target\" or \"targets\", not both".to_owned();
        return Err(SpecError::new("invalid-parameter", "/targets", message));
    }
    if let Some(name) = &request.target {
        return Ok(vec![find(data, name, "/target")?]);
    }
    if let Some(names) = &request.targets {
        if names.is_empty() {
            let message = "\"targets\" is empty; name at least one column, or leave it out".to_owned();
            return Err(SpecError::new("invalid-parameter", "/targets", message));
        }
        let mut targets: Vec<&ColumnProfile> = Vec::new();
        for (index, name) in names.iter().enumerate() {
            let column = find(data, name, &format!("/targets/{index}"))?;
            if targets.iter().any(|known| known.name == column.name) {
                let message = format!("\"{name}\" is named twice");
                return Err(SpecError::new("invalid-parameter", &format!("/targets/{index}"), message));
            }
            targets.push(column);
        }
        return Ok(targets);
    }
    let last = data.columns.iter().rev().find(|column| column.kind.is_feature()).ok_or_else(|| {
        let message =
            "no column can be predicted: all are empty, constant, text or identifiers; correct their \
                       kinds with \"types\" when uploading"
                .to_owned();
        SpecError::new("no-target-values", "/target", message)
    })?;
    let message = format!("no target was named: \"{}\", the last usable column, is predicted", last.name);
    warnings.push(warning("target-chosen", Some(&last.name), message));
    Ok(vec![last])
}

/// Whole numbers up to so many different ones may stand for classes.
const MAX_CODES: u64 = 10;

/// Whether a column looks like whole numbers, as far as its description tells.
fn looks_whole(column: &ColumnProfile) -> bool {
    let is_whole = |value: f64| value.fract() == 0.0;
    let (Some(min), Some(max)) = (column.min, column.max) else { return false };
    // Whole numbers cannot lie closer than one to each other.
    column.kind == ColumnKind::Number
        && is_whole(min)
        && is_whole(max)
        && max - min + 1.0 >= column.distinct as f64
}

pub(super) fn choose_task(
    request: &TrainRequest,
    targets: &[&ColumnProfile],
    warnings: &mut Vec<Warning>,
) -> Result<Task, SpecError> {
    let wanted = match request.task.as_deref() {
        None | Some("auto") => None,
        Some("regression") => Some(Task::Regression),
        Some("classification") => Some(Task::Classification),
        Some(other) => {
            let message = format!("\"task\" is \"{other}\"; allowed are auto, regression, classification");
            return Err(SpecError::new("invalid-parameter", "/task", message));
        }
    };
    let not_number = targets.iter().find(|column| {
        matches!(
            column.kind,
            ColumnKind::Category | ColumnKind::Boolean | ColumnKind::Text | ColumnKind::Date
        )
    });
    let coded = match targets {
        [only] if wanted.is_none() && looks_whole(only) && only.distinct <= MAX_CODES => Some(*only),
        _ => None,
    };
    let are_two = coded.is_some_and(|column| column.distinct == 2);
    let are_classes = not_number.is_some() || are_two;
    let task = wanted.unwrap_or(if are_classes { Task::Classification } else { Task::Regression });
    if let Some(column) = coded {
        warnings.push(told_of_codes(column));
    }
    match (task, not_number) {
        (Task::Regression, Some(column)) => {
            let message = format!(
                "\"{}\" holds no numbers ({}), so regression cannot predict it; use task \"classification\"",
                column.name, column.reason
            );
            Err(SpecError::new("invalid-parameter", "/task", message))
        }
        (Task::Classification, _) if targets.len() > 1 => {
            let message =
                "classification predicts one target; several targets must all be numbers. Train one \
                           model per class column"
                    .to_owned();
            Err(SpecError::new("invalid-parameter", "/targets", message))
        }
        _ => Ok(task),
    }
}

/// What whole numbers of few different values were taken for.
fn told_of_codes(column: &ColumnProfile) -> Warning {
    let (name, n) = (&column.name, column.distinct);
    if n == 2 {
        let message = format!(
            "\"{name}\" has two different whole values, which are taken for classes; \"task\": \"regression\" predicts it \
             as a number"
        );
        return warning("numbers-as-classes", Some(name), message);
    }
    let message = format!(
        "\"{name}\" has {n} different whole values and is predicted as a number; if they stand for classes, set \
         \"task\": \"classification\""
    );
    warning("few-whole-values", Some(name), message)
}

pub(super) fn check_targets(
    request: &TrainRequest,
    targets: &[&ColumnProfile],
    task: Task,
    data: &Description,
) -> Result<(), SpecError> {
    for (index, column) in targets.iter().enumerate() {
        let name = &column.name;
        let place =
            if request.targets.is_some() { format!("/targets/{index}") } else { "/target".to_owned() };
        let refuse = |slug, message| Err(SpecError::new(slug, &place, message));
        if column.distinct == 0 {
            let message = format!("\"{name}\" has no value in any row; choose another target");
            return refuse("no-target-values", message);
        }
        if column.distinct == 1 {
            let message = format!("\"{name}\" has the same value in every row, so there is nothing to learn");
            return refuse("constant-target", message);
        }
        if task == Task::Classification && column.distinct > MAX_CLASSES {
            let message = format!(
                "\"{name}\" has {} different values, and {MAX_CLASSES} classes are the most; if it is a \
                 quantity, use task \"regression\" and, if needed, types {{\"{name}\": \"number\"}} when uploading",
                column.distinct
            );
            return refuse("too-many-classes", message);
        }
        if task == Task::Classification && column.kind == ColumnKind::Date {
            let message = format!("\"{name}\" is a date; dates can be features but not targets");
            return refuse("invalid-parameter", message);
        }
        let usable = data.rows - column.missing;
        if usable < MIN_ROWS {
            let message = format!(
                "\"{name}\" has a value in {usable} rows, and at least {MIN_ROWS} are needed to train and test"
            );
            return refuse("too-few-rows", message);
        }
    }
    Ok(())
}

pub(super) fn choose_features(
    request: &TrainRequest,
    data: &Description,
    targets: &[&ColumnProfile],
    warnings: &mut Vec<Warning>,
) -> Result<Vec<String>, SpecError> {
    let is_target = |name: &str| targets.iter().any(|target| target.name == name);
    let group = request.validation.as_ref().and_then(|validation| validation.group.as_ref());
    let excluded = request.exclude.as_deref().unwrap_or_default();
    for (index, name) in excluded.iter().enumerate() {
        find(data, name, &format!("/exclude/{index}"))?;
    }
    let mut features = Vec::new();
    if let Some(names) = &request.features {
        for (index, name) in names.iter().enumerate() {
            let pointer = format!("/features/{index}");
            let column = find(data, name, &pointer)?;
            if is_target(name) {
                let message = format!("\"{name}\" is the target and cannot be a feature too");
                return Err(SpecError::new("invalid-parameter", &pointer, message));
            }
            if features.contains(name) || excluded.contains(name) {
                continue;
            }
            if matches!(column.kind, ColumnKind::Empty | ColumnKind::Constant) {
                warnings.push(dropped(column));
            } else if column.kind == ColumnKind::Text {
                let message =
                    format!("\"{name}\" is free text, which a network cannot use: {}", column.reason);
                return Err(SpecError::new("invalid-parameter", &pointer, message));
            } else {
                features.push(name.clone());
            }
        }
    } else {
        for column in &data.columns {
            if is_target(&column.name) || excluded.contains(&column.name) {
                continue;
            }
            if group == Some(&column.name) && column.kind == ColumnKind::Category {
                warnings.push(left_out_group(column));
                continue;
            }
            if column.kind.is_feature() {
                features.push(column.name.clone());
            } else {
                warnings.push(dropped(column));
            }
        }
    }
    if features.is_empty() {
        let message = "no column is left to predict from; name some in \"features\"".to_owned();
        return Err(SpecError::new("invalid-parameter", "/features", message));
    }
    Ok(features)
}

/// A model for new cases cannot know them by name.
fn left_out_group(column: &ColumnProfile) -> Warning {
    let message = format!(
        "\"{}\" says which rows belong together; the model would know none of the new ones, so it is not used. Name it in \"features\" to use it all the same",
        column.name
    );
    warning("group-column-left-out", Some(&column.name), message)
}

fn dropped(column: &ColumnProfile) -> Warning {
    let kind = match column.kind {
        ColumnKind::Empty => "empty",
        ColumnKind::Constant => "constant",
        ColumnKind::Identifier => "identifier",
        _ => "text",
    };
    let message = format!("\"{}\" is not used: {}", column.name, column.reason);
    warning(&format!("{kind}-column-dropped"), Some(&column.name), message)
}
