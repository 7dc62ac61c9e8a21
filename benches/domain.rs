//! How well `domain_score` tells rows that are unlike the training from ordinary new ones.
//!
//! ```text
//! cargo bench --bench domain [-- SET ...]
//! ```
//!
//! `SET` is a data set of `../shared/data`; without one, those of numbers of less than 20,000 rows. Two
//! kinds of strange rows: the test rows of split 0 with one numeric column moved 1 to 3 of its ranges
//! away, and corners: the rows above the second third in two numeric columns, for up to six pairs of
//! columns, each held out of a training of its own, beside a fifth of the other rows. Printed are the AUROC,
//! the chance that a strange row has a lower score than an ordinary one, the least of it over the corners,
//! and the shares of ordinary and strange rows that are flagged by `in_domain`.
//!
//! The domain does not depend on the weights, so each training has one epoch.

#![expect(clippy::print_stdout, reason = "a bench reports on standard output")]

#[path = "support/sets.rs"]
mod sets;

use serde_json::{Value, json};
use sets::{read_json, reading, rows, texts};
use taqicfd::batch::write;
use taqicfd::dataset::{ColumnKind, Reading, Values};
use taqicfd::model::{Cell, Model, PredictOptions, UnknownCategory};
use taqicfd::training::{Limits, TrainRequest, check};

/// Corners tried per set.
const MAX_CORNERS: usize = 6;
/// A corner has at least so many rows, and at most this share of all.
const MIN_CORNER_ROWS: usize = 10;
const MAX_CORNER_SHARE: f64 = 0.3;

/// How a model judges rows.
struct Judged {
    scores: Vec<f64>,
    flagged: f64,
}

fn model(reading: &Reading, meta: &Value, test: &[usize]) -> Model {
    let body = json!({ "targets": meta["targets"], "exclude": meta["drop"], "task": meta["task"], "preset": "fast", "epochs": 1 });
    let request: TrainRequest = serde_json::from_value(body).expect("settings");
    let checked =
        check(&request, &reading.description, "set", &Limits::default()).expect("the set is trainable");
    sets::fit(reading, &checked.spec, test).model
}

/// Rows as a request would give them, one cell per input, without those that cannot be answered.
fn cells<'a>(model: &Model, reading: &'a Reading, rows: &[usize]) -> Vec<Cell<'a>> {
    let of_row = |row: &usize| {
        let cells = write::cells(&reading.table, model.inputs(), *row..row + 1);
        let mut both = model.inputs().iter().zip(&cells);
        let lacks = both.any(|(input, cell)| input.missing_share == 0.0 && *cell == Cell::Missing);
        if lacks { Vec::new() } else { cells }
    };
    rows.iter().flat_map(of_row).collect()
}

fn judge(model: &Model, cells: &[Cell]) -> Judged {
    let options = PredictOptions { unknown_category: UnknownCategory::Missing, ..PredictOptions::default() };
    let n = cells.len() / model.inputs().len();
    let answer = model.predict(cells, n, &options).expect("rows that can be read");
    let outside = answer.in_domain.iter().filter(|inside| !**inside).count();
    Judged { scores: answer.domain_score, flagged: outside as f64 / n as f64 }
}

/// The chance that a strange row has a lower score than an ordinary one.
fn auroc(ordinary: &Judged, strange: &Judged) -> f64 {
    let mut own = ordinary.scores.clone();
    own.sort_by(f64::total_cmp);
    let wins = strange.scores.iter().map(|score| {
        let lower = own.partition_point(|other| other < score);
        let equal = own.partition_point(|other| other <= score) - lower;
        (own.len() - lower) as f64 - 0.5 * equal as f64
    });
    wins.sum::<f64>() / (own.len() * strange.scores.len()) as f64
}

/// AUROC and flagged shares of rows with one column moved.
fn moved(reading: &Reading, meta: &Value, split: &Value) -> [f64; 3] {
    let test = rows(split, "test");
    let model = model(reading, meta, &test);
    let inputs = model.inputs();
    let ordinary = cells(&model, reading, &test);
    let numeric: Vec<usize> = (0..inputs.len()).filter(|i| inputs[*i].kind == ColumnKind::Number).collect();
    let mut strange = ordinary.clone();
    let n = ordinary.len() / inputs.len();
    for row in 0..n {
        let Some(index) = numeric.get(row % numeric.len().max(1)) else { break };
        let (low, high) = inputs[*index].range.expect("numbers have a range");
        let away = (1.0 + 2.0 * (row as f64 / n as f64)) * (high - low);
        strange[row * inputs.len() + index] =
            Cell::Number(if row % 2 == 0 { high + away } else { low - away });
    }
    let (ordinary, strange) = (judge(&model, &ordinary), judge(&model, &strange));
    [auroc(&ordinary, &strange), ordinary.flagged, strange.flagged]
}

/// The numbers of a column, and what two thirds of them do not exceed.
fn two_thirds<'a>(reading: &'a Reading, name: &str) -> Option<(&'a [f64], f64)> {
    let Values::Number(values) = &reading.table.column(name)?.values else { return None };
    let mut known: Vec<f64> = values.iter().copied().filter(|value| value.is_finite()).collect();
    known.sort_by(f64::total_cmp);
    Some((values, *known.get(known.len() * 2 / 3)?))
}

/// AUROC and flagged shares for each corner.
fn corners(reading: &Reading, meta: &Value) -> Vec<[f64; 3]> {
    let left_out = [texts(&meta["targets"]), texts(&meta["drop"])].concat();
    let names = reading.description.columns.iter().map(|column| &column.name);
    let columns: Vec<(&[f64], f64)> =
        names.filter(|name| !left_out.contains(name)).filter_map(|name| two_thirds(reading, name)).collect();
    let n = reading.table.n_rows();
    let mut found = Vec::new();
    for (index, a) in columns.iter().enumerate() {
        for b in &columns[index + 1..] {
            let is_corner = |row: &usize| a.0[*row] > a.1 && b.0[*row] > b.1;
            let (corner, others): (Vec<usize>, Vec<usize>) = (0..n).partition(is_corner);
            if corner.len() < MIN_CORNER_ROWS || corner.len() as f64 > MAX_CORNER_SHARE * n as f64 {
                continue;
            }
            found.push((corner, others));
        }
    }
    let step = found.len().div_ceil(MAX_CORNERS).max(1);
    found
        .iter()
        .step_by(step)
        .map(|(corner, others)| {
            // Every fifth of them in an order that has nothing to do with the file's.
            let (ordinary, _): (Vec<usize>, Vec<usize>) =
                others.iter().partition(|row| (row.wrapping_mul(0x9e37_79b9_7f4a_7c15) >> 40) % 5 == 0);
            let mut test = [corner.as_slice(), &ordinary].concat();
            test.sort_unstable();
            let model = model(reading, meta, &test);
            let [ordinary, strange] =
                [&ordinary, corner].map(|rows| judge(&model, &cells(&model, reading, rows)));
            [auroc(&ordinary, &strange), ordinary.flagged, strange.flagged]
        })
        .collect()
}

fn main() {
    let Some(root) = sets::root() else { return };
    let meta = read_json(&root.join("meta.json"));
    let wanted: Vec<String> =
        std::env::args().skip(1).filter(|argument| !argument.starts_with("--")).collect();
    let all = meta.as_object().expect("sets");
    println!(
        "| set | moved: AUROC | ordinary flagged | moved flagged | corners | AUROC | least | ordinary flagged | corners flagged |"
    );
    println!("|---|---:|---:|---:|---:|---:|---:|---:|---:|");
    for (name, meta) in all.iter().filter(|(name, _)| wanted.is_empty() || wanted.contains(name)) {
        if wanted.is_empty() && (meta["task"] != "regression" || meta["rows"].as_u64() >= Some(20_000)) {
            continue;
        }
        let reading = reading(&root, name, meta);
        let splits = read_json(&root.join("splits").join(format!("{name}.json")));
        let [auroc, ordinary, strange] = moved(&reading, meta, &splits["splits"][0]);
        let corners = corners(&reading, meta);
        let mean = |k: usize| corners.iter().map(|corner| corner[k]).sum::<f64>() / corners.len() as f64;
        let least = corners.iter().map(|corner| corner[0]).fold(f64::NAN, f64::min);
        println!(
            "| {name} | {auroc:.3} | {ordinary:.3} | {strange:.3} | {} | {:.3} | {least:.3} | {:.3} | {:.3} |",
            corners.len(),
            mean(0),
            mean(1),
            mean(2)
        );
    }
}
