//! Exported models beside our own answers, on up to 1,000 rows of every set of `../shared/data`.
//!
//! ```text
//! TAQICFD_PEERS_PYTHON=peers/bin/python cargo bench --bench export [-- [SET ...] [--request JSON] [--keep FOLDER]]
//! ```
//!
//! Each set is trained briefly (`--request` are settings of `POST /train`), exported, and run by
//! `benches/peers/export.py` in onnxruntime on the rows that the model answers here. Among the rows are
//! some with values missing, with categories never seen, with numbers outside the range of the training,
//! and some that are refused here and must come out as NaN there. Shown are the largest differences:
//! of predicted numbers relative to themselves, but to no less than a hundredth of the target's range; of
//! bounds relative to themselves or the width of the interval; of probabilities absolute. Then how many
//! labels, prediction sets, `in_domain` and `domain_score` (by more than 1e-5) differ, and the sizes.

#![expect(clippy::print_stdout, reason = "a bench reports on standard output")]

use serde_json::{Map, Value, json};
use std::path::{Path, PathBuf};
use std::process::Command;
use taqicfd::dataset::{ColumnKind, MISSING_DATE, ReadLimits, ReadOptions, Reading, Values, read};
use taqicfd::export;
use taqicfd::http::predict::answer::{Answer, Extras};
use taqicfd::model::{Backend, Cell, Input, Model, PredictOptions, Target, UnknownCategory};
use taqicfd::training::{Compute, Data, Limits, Stop, TrainRequest, check, train};

const ROWS: usize = 1000;
const UNKNOWN: &str = "a category never seen";

fn main() {
    let root = PathBuf::from(concat!(env!("CARGO_MANIFEST_DIR"), "/../shared/data"));
    #[expect(clippy::disallowed_methods, reason = "a bench has no settings of its own")]
    let python = std::env::var("TAQICFD_PEERS_PYTHON");
    let (Ok(python), true) = (python, root.is_dir()) else {
        eprintln!(
            "SKIPPED: needs the data sets at {} and TAQICFD_PEERS_PYTHON, a Python that has onnxruntime",
            root.display()
        );
        return;
    };
    let meta = std::fs::read_to_string(root.join("meta.json")).expect("readable");
    let meta: Value = serde_json::from_str(&meta).expect("JSON");
    let (mut sets, mut request, mut keep) = (Vec::new(), json!({"epochs": 5}), None);
    let mut arguments = std::env::args().skip(1);
    while let Some(argument) = arguments.next() {
        match argument.as_str() {
            "--request" => {
                request = serde_json::from_str(&arguments.next().expect("settings")).expect("JSON");
            }
            "--keep" => keep = Some(PathBuf::from(arguments.next().expect("a folder"))),
            "--bench" => {} // What cargo says.
            _ => sets.push(argument),
        }
    }
    if sets.is_empty() {
        sets = meta.as_object().expect("sets").keys().cloned().collect();
    }
    let temporary = tempfile::tempdir().expect("a temporary folder");
    let folder = keep.as_deref().unwrap_or(temporary.path());
    std::fs::create_dir_all(folder).expect("a folder for the files");
    println!(
        "{:<20} {:>6} {:>4} {:>9} {:>9} {:>9} {:>6} {:>6} {:>6} {:>6} {:>8} {:>8}",
        "set", "rows", "nets", "value", "bound", "p", "labels", "sets", "domain", "score", "KiB", "native"
    );
    for name in &sets {
        let model = trained(&root, name, &meta[name], &request);
        show(name, &model, &python, folder);
    }
}

/// A model of the set, its file, and the set.
struct Trained {
    model: Model,
    bytes: Vec<u8>,
    reading: Reading,
}

fn texts(value: &Value) -> Vec<String> {
    value.as_array().expect("a list").iter().filter_map(|text| text.as_str().map(str::to_owned)).collect()
}

fn trained(root: &Path, name: &str, meta: &Value, request: &Value) -> Trained {
    let options = ReadOptions {
        sheet: meta["sheet"].as_str().map(str::to_owned),
        types: texts(&meta["categorical"]).into_iter().map(|name| (name, "category".to_owned())).collect(),
        ..ReadOptions::default()
    };
    let path = root.join(meta["file"].as_str().expect("a file"));
    let reading = read(path.as_path(), name, &options, &ReadLimits::default()).expect("the set is readable");
    let mut body = json!({ "targets": meta["targets"], "exclude": meta["drop"], "task": meta["task"] });
    for (key, value) in request.as_object().expect("an object") {
        body[key] = value.clone();
    }
    let request: TrainRequest = serde_json::from_value(body).expect("settings");
    let checked =
        check(&request, &reading.description, name, &Limits::default()).expect("the set is trainable");
    let data = Data { table: &reading.table, description: &reading.description, test_rows: None };
    let threads = std::thread::available_parallelism().map_or(1, usize::from);
    let compute = Compute { backend: Backend::Flex, threads, checkpoint_s: 1e9 };
    let trained = train(&data, &checked.spec, &compute, None, &mut |_| {}, &Stop::new()).expect("it trains");
    Trained { model: trained.model, bytes: trained.bytes, reading }
}

/// Exports, compares and prints one line.
fn show(name: &str, trained: &Trained, python: &str, folder: &Path) {
    let model = &trained.model;
    let file = export::onnx::to_bytes(model).expect("it can be exported");
    let path = folder.join(format!("{name}.onnx"));
    std::fs::write(&path, &file).expect("writable");
    let rows = rows(trained);
    let refused = refused(model.inputs(), &rows);
    let cells: Vec<Cell> = rows.iter().flatten().map(|(cell, _)| cell.clone()).collect();
    let options = PredictOptions { unknown_category: UnknownCategory::Missing, ..PredictOptions::default() };
    let predictions = model.predict(&cells, rows.len(), &options).expect("rows that can be answered");
    let answer = json!(Answer::unnamed(Extras::new(&predictions, &[], rows.len(), model.inputs())));
    let columns: Map<String, Value> = model
        .inputs()
        .iter()
        .enumerate()
        .map(|(i, input)| {
            let all = rows.iter().chain(&refused).map(|row| row[i].1.clone());
            (input.name.clone(), all.collect())
        })
        .collect();
    let ranges: Map<String, Value> = model
        .manifest()
        .targets
        .iter()
        .filter_map(|target| match target {
            Target::Number { name, min, max, .. } => Some((name.clone(), json!(max - min))),
            Target::Class { .. } => None,
        })
        .collect();
    let expected =
        json!({ "columns": columns, "n_refused": refused.len(), "answer": answer, "ranges": ranges });
    let expected_path = folder.join(format!("{name}.json"));
    std::fs::write(&expected_path, expected.to_string()).expect("writable");
    let output = Command::new(python)
        .arg(concat!(env!("CARGO_MANIFEST_DIR"), "/benches/peers/export.py"))
        .args([&path, &expected_path])
        .output()
        .expect("the peers' Python starts");
    let text = String::from_utf8_lossy(&output.stdout);
    let Ok(found) = serde_json::from_str::<Value>(text.trim()) else {
        println!("{name:<20} FAILED: {}", String::from_utf8_lossy(&output.stderr));
        return;
    };
    let number = |key: &str| found[key].as_f64().map_or("-".to_owned(), |value| format!("{value:.1e}"));
    let count = |key: &str| found[key].as_u64().map_or("-".to_owned(), |value| value.to_string());
    println!(
        "{name:<20} {:>6} {:>4} {:>9} {:>9} {:>9} {:>6} {:>6} {:>6} {:>6} {:>8} {:>8}{}",
        rows.len() + refused.len(),
        model.manifest().members.len(),
        number("value"),
        number("bound"),
        number("probability"),
        count("labels"),
        count("sets"),
        count("domain"),
        count("score"),
        file.len() / 1024,
        trained.bytes.len() / 1024,
        found["note"].as_str().map(|note| format!("  {note}")).unwrap_or_default()
    );
}

/// A value as our own model takes it, and as an exported one does.
type Pair = (Cell<'static>, Value);

/// The first rows of the set that can be answered, one in five of them changed.
fn rows(trained: &Trained) -> Vec<Vec<Pair>> {
    let inputs = trained.model.inputs();
    let table = &trained.reading.table;
    let columns: Vec<&Values> =
        inputs.iter().map(|input| &table.column(&input.name).expect("an input is a column").values).collect();
    let mut rows: Vec<Vec<Pair>> = Vec::new();
    // Evenly over the table, which may be sorted.
    let step = (table.n_rows() / ROWS).max(1);
    for row in (0..table.n_rows()).step_by(step).take(ROWS) {
        let values: Vec<Pair> =
            inputs.iter().zip(&columns).map(|(input, values)| pair(input, values, row)).collect();
        let answered = inputs
            .iter()
            .zip(&values)
            .all(|(input, (cell, _))| *cell != Cell::Missing || input.missing_share > 0.0);
        if answered {
            rows.push(values);
        }
    }
    for (index, row) in rows.iter_mut().enumerate() {
        let chosen = (index / 5) % inputs.len();
        let input = &inputs[chosen];
        match (index % 5, input.kind) {
            (1, kind) if input.missing_share > 0.0 => row[chosen] = missing(kind),
            (2, ColumnKind::Category) => row[chosen] = (Cell::Text(UNKNOWN.into()), json!(UNKNOWN)),
            (3, ColumnKind::Number) => {
                let (low, high) = input.range.unwrap_or((0.0, 1.0));
                let far = high + (index % 100) as f64 / 50.0 * (high - low);
                row[chosen] = (Cell::Number(far), json!(far));
            }
            _ => {}
        }
    }
    rows
}

/// Copies of the first row without one value that every row of the training had.
fn refused(inputs: &[Input], rows: &[Vec<Pair>]) -> Vec<Vec<Pair>> {
    let needed = (0..inputs.len()).filter(|i| inputs[*i].missing_share <= 0.0);
    let without = needed.map(|i| {
        let mut row = rows[0].clone();
        row[i] = missing(inputs[i].kind);
        row
    });
    without.collect()
}

fn missing(kind: ColumnKind) -> Pair {
    (Cell::Missing, if kind == ColumnKind::Category { json!("") } else { Value::Null })
}

fn pair(input: &Input, values: &Values, row: usize) -> Pair {
    match (values, values.json(row)) {
        (Values::Date(all), Value::String(text)) if all[row] != MISSING_DATE => {
            (Cell::Text(text.into()), json!(all[row] as f64))
        }
        (_, Value::Number(number)) => {
            (Cell::Number(number.as_f64().expect("a number")), Value::Number(number))
        }
        (_, Value::String(text)) => (Cell::Text(text.clone().into()), Value::String(text)),
        (_, Value::Bool(flag)) if input.kind == ColumnKind::Category => {
            (Cell::Boolean(flag), json!(flag.to_string()))
        }
        (_, Value::Bool(flag)) => (Cell::Boolean(flag), json!(if flag { 1.0 } else { 0.0 })),
        _ => missing(input.kind),
    }
}
