//! What a card says about how far to trust the model: scores, intervals, domain, importance.

use super::{Block, Facts, items, row, shown};
use crate::model::domain::{LEAST_SHARE, MARGIN};
use serde_json::Value;

/// Key and name of each score, in the order of a table.
const OF_NUMBERS: [(&str, &str); 6] = [
    ("rmse", "RMSE"),
    ("mae", "MAE"),
    ("mape", "MAPE %"),
    ("r2", "R²"),
    ("max_error", "largest error"),
    ("nrmse", "nRMSE"),
];
const OF_CLASSES: [(&str, &str); 5] = [
    ("accuracy", "accuracy"),
    ("balanced_accuracy", "balanced accuracy"),
    ("f1_macro", "F1 (macro)"),
    ("log_loss", "log-loss"),
    ("auc", "AUC"),
];
/// Classes of which a confusion matrix still fits a page.
const CLASSES: usize = 12;

/// The scores beside those of the baselines.
pub(super) fn scores(facts: &Facts) -> Vec<Block> {
    let Facts { model, card, .. } = facts;
    let is_regression = model["task"] == "regression";
    let columns: &[(&str, &str)] = if is_regression { &OF_NUMBERS } else { &OF_CLASSES };
    let judged = match card["split"]["test_rows"].as_u64() {
        Some(n) if n > 0 => format!("on {n} rows that no network was fitted on and that chose nothing"),
        _ => "on the rows left out of the folds".to_owned(),
    };
    let mut blocks = vec![
        Block::Heading("Scores".to_owned()),
        Block::Text(format!(
            "Measured {judged}, beside simple methods on the same rows. Lower is better{}.",
            if is_regression {
                ", except for R²; RMSE, MAE and the largest error are in the target's unit, nRMSE in standard \
                 deviations of the target"
            } else {
                " for the log-loss, higher for the others"
            }
        )),
    ];
    let per_target = model["metrics"]["per_target"].as_object().into_iter().flatten();
    for (target, _) in per_target {
        let unit = items(&card["targets"]).iter().find(|known| known["name"] == target.as_str());
        let unit = unit.and_then(|known| known["unit"].as_str());
        blocks.push(Block::Text(format!(
            "{target}{}:",
            unit.map(|unit| format!(" in {unit}")).unwrap_or_default()
        )));
        blocks.push(table(facts, columns, |scores| &scores["per_target"][target.as_str()]));
        let pairs = items(&card["comparison"]["actual_and_predicted"][target.as_str()]).iter();
        let points: Vec<(f64, f64)> =
            pairs.filter_map(|pair| pair[0].as_f64().zip(pair[1].as_f64())).collect();
        if !points.is_empty() {
            let label = format!("{target}: predicted against true, {} rows", points.len());
            blocks.push(Block::Scatter { label, points });
        }
    }
    if !is_regression {
        blocks.push(table(facts, columns, |scores| scores));
        blocks.extend(confusion(&card["comparison"]["confusion_matrix"]));
    }
    let grouped = &card["grouped"];
    if grouped["metrics"].is_object() {
        let scores: Vec<String> = columns
            .iter()
            .filter(|(key, _)| !grouped["metrics"][*key].is_null())
            .map(|(key, name)| format!("{name} {}", shown(&grouped["metrics"][*key])))
            .collect();
        blocks.push(Block::Text(format!(
            "One network, tested on whole cases of {} that it had not seen: {}.",
            shown(&grouped["group"]),
            scores.join(", ")
        )));
    }
    blocks
}

/// One row for the model and one per baseline.
fn table<'a>(facts: &Facts<'a>, columns: &[(&str, &str)], part: impl Fn(&'a Value) -> &'a Value) -> Block {
    let line = |name: &str, scores: &'a Value| {
        let own = part(scores);
        let cells = columns.iter().map(|(key, _)| shown(&own[*key]));
        std::iter::once(name.replace('_', " ")).chain(cells).collect::<Vec<String>>()
    };
    let mut rows = vec![line("this model", &facts.model["metrics"])];
    rows.extend(
        facts.card["baselines"].as_object().into_iter().flatten().map(|(name, scores)| line(name, scores)),
    );
    let header = std::iter::once("").chain(columns.iter().map(|(_, name)| *name));
    Block::Table { header: header.map(str::to_owned).collect(), rows }
}

fn confusion(matrix: &Value) -> Vec<Block> {
    let classes = items(&matrix["classes"]);
    if classes.is_empty() || classes.len() > CLASSES {
        return Vec::new();
    }
    let header = std::iter::once("true class".to_owned())
        .chain(classes.iter().map(|class| format!("predicted {}", shown(class))));
    let rows = classes.iter().zip(items(&matrix["counts"])).map(|(class, counts)| {
        std::iter::once(shown(class)).chain(items(counts).iter().map(shown)).collect()
    });
    vec![
        Block::Text("Rows by true and predicted class:".to_owned()),
        Block::Table { header: header.collect(), rows: rows.collect() },
    ]
}

/// Intervals or sets as measured, and what counts as inside the domain.
pub(super) fn uncertainty(facts: &Facts) -> Vec<Block> {
    let coverage = &facts.card["coverage"];
    let Some(nominal) = coverage["nominal"].as_f64() else { return Vec::new() };
    let is_regression = facts.model["task"] == "regression";
    let (what, size, key) = if is_regression {
        ("interval", "mean width", "mean_width")
    } else {
        ("set of classes", "mean size of the set", "mean_set_size")
    };
    let measured = match (facts.card["domain"]["flagged"].as_f64(), facts.card["domain"]["rows"].as_u64()) {
        (Some(flagged), Some(n)) => {
            format!(" Of {n} of the rows above, {} % were.", super::number_text(100.0 * flagged))
        }
        _ => String::new(),
    };
    let rows = coverage["per_target"].as_object().into_iter().flatten().map(|(target, own)| {
        let percent = |share: f64| format!("{} %", super::number_text(100.0 * share));
        let measured = own["measured"].as_f64().map_or_else(|| shown(&Value::Null), percent);
        vec![target.clone(), percent(nominal), measured, shown(&own[key])]
    });
    let table = Block::Table {
        header: vec!["target".to_owned(), "promised".to_owned(), "measured".to_owned(), size.to_owned()],
        rows: rows.collect(),
    };
    let (introduction, table) = match coverage["reason"].as_str() {
        Some(reason) => (format!("How often they hold the truth was not measured: {reason}."), None),
        None => ("On the rows of the scores above, they held the truth this often:".to_owned(), Some(table)),
    };
    let margin = facts.card["domain"]["margin"].as_f64().unwrap_or(MARGIN);
    let what_came = if is_regression { "an interval" } else { "a set of classes" };
    let mut blocks = vec![
        Block::Heading("Uncertainty and domain".to_owned()),
        Block::Text(format!(
            "Each answer comes with {what_came} calibrated by split conformal prediction on rows that the networks in \
             question were not fitted on. {introduction}"
        )),
    ];
    blocks.extend(table);
    blocks.push(
        Block::Text(format!(
            "A row counts as outside the domain when an input lies more than {} % of its range outside it, when a \
             category was never seen, or when fewer than {} % of the training rows are as strange, be it by their \
             distance from the others or by how two of their values go together; so at most about {} % of rows like \
             those of the training are flagged.{measured} Outside, the {what} is no longer backed by data{}.",
            super::number_text(100.0 * margin),
            100.0 * LEAST_SHARE,
            100.0 * LEAST_SHARE,
            if is_regression { ", and is widened with the distance" } else { "" }
        )),
    );
    blocks
}

/// How much worse the answers become without each input.
pub(super) fn importance(facts: &Facts) -> Vec<Block> {
    let mut entries: Vec<&Value> = items(&facts.card["importance"]).iter().collect();
    if entries.is_empty() {
        return Vec::new();
    }
    let mean = |entry: &Value| entry["mean"].as_f64().unwrap_or(f64::NEG_INFINITY);
    entries.sort_by(|a, b| mean(b).total_cmp(&mean(a)));
    let loss = if facts.model["task"] == "regression" { "nRMSE" } else { "log-loss" };
    let rows =
        entries.iter().map(|entry| vec![shown(&entry["input"]), shown(&entry["mean"]), shown(&entry["std"])]);
    vec![
        Block::Heading("What the answers depend on".to_owned()),
        Block::Text(format!(
            "Permutation importance: how much the {loss} rises when the values of one input are shuffled among the \
             rows; mean and standard deviation over three shuffles. Inputs that say the same share their importance."
        )),
        Block::Table {
            header: row(["input", &format!("rise of the {loss}"), "standard deviation"]),
            rows: rows.collect(),
        },
    ]
}
