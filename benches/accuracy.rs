//! Accuracy with default settings, beside the peers on the same rows.
//!
//! ```text
//! cargo bench --bench accuracy [-- [SET ...] [--splits 0,1,2] [--request JSON] [--name NAME] [--out FILE]]
//! ```
//!
//! `SET` is a data set of `../shared/data`, or `all`; without one, the eight of split 0 that the README
//! shows. `--request` are settings of `POST /train`, such as `{"preset": "best"}`. `--out` appends one
//! JSON line per set and split, of the shape that `../shared/bench/peers.py run --out FILE` writes, and
//! skips what stands there under the same `--name`. `TAQICFD_PEER_SCORES` names the peers' file.
//!
//! Numbers are judged by nRMSE (RMSE over the standard deviation of the rows that are not tested on),
//! classes by log-loss, both on the test part of the split. The table at the end has, over the sets and
//! splits that all of them have run: the geometric mean of nRMSE, the mean log-loss, the mean ranks.

#![expect(clippy::print_stdout, reason = "a bench reports on standard output")]

use serde_json::{Value, json};
use std::collections::{BTreeMap, BTreeSet};
use std::io::Write;
use std::path::{Path, PathBuf};
use taqicfd::dataset::{ColumnKind, ReadLimits, ReadOptions, Reading, Values, read};
use taqicfd::model::{Backend, Cell, Model, PredictOptions, UnknownCategory};
use taqicfd::training::{Compute, Data, Limits, Stop, TrainRequest, check, train};

const SETS: [&str; 8] =
    ["airfoil_noise", "yacht", "concrete", "energy_efficiency", "abalone", "penguins", "dry_bean", "adult"];

fn read_json(path: &Path) -> Value {
    let text = std::fs::read_to_string(path).unwrap_or_else(|error| panic!("{}: {error}", path.display()));
    serde_json::from_str(&text).expect("JSON")
}

fn texts(value: &Value) -> Vec<String> {
    let all = value.as_array().expect("a list").iter();
    all.filter_map(|text| text.as_str().map(str::to_owned)).collect()
}

fn reading(root: &Path, name: &str, meta: &Value) -> Reading {
    let path = root.join(meta["file"].as_str().expect("a file"));
    let options = ReadOptions {
        sheet: meta["sheet"].as_str().map(str::to_owned),
        // What the peers are told too.
        types: texts(&meta["categorical"]).into_iter().map(|name| (name, "category".to_owned())).collect(),
        ..ReadOptions::default()
    };
    read(path.as_path(), name, &options, &ReadLimits::default()).expect("the set is readable")
}

/// One line as the peers write it.
fn ours(reading: &Reading, name: &str, meta: &Value, split: &Value, request: &Value) -> Value {
    let rows = |part: &str| -> Vec<usize> {
        let rows = split[part].as_array().expect("rows");
        rows.iter().map(|row| row.as_u64().expect("a row") as usize).collect()
    };
    let (known, test) = (rows("train"), rows("test"));
    let targets = texts(&meta["targets"]);
    let mut body = json!({ "targets": targets, "exclude": meta["drop"], "task": meta["task"] });
    for (key, value) in request.as_object().expect("an object") {
        body[key] = value.clone();
    }
    let request: TrainRequest = serde_json::from_value(body).expect("settings");
    let checked =
        check(&request, &reading.description, name, &Limits::default()).expect("the set is trainable");
    let data = Data { table: &reading.table, description: &reading.description, test_rows: Some(&test) };
    let threads = std::thread::available_parallelism().map_or(1, usize::from);
    let compute = Compute { backend: Backend::Flex, threads, checkpoint_s: 1e9 };
    let begun = std::time::Instant::now();
    let trained = train(&data, &checked.spec, &compute, None, &mut |_| {}, &Stop::new()).expect("it trains");
    let fit_s = begun.elapsed().as_secs_f64();
    let nrmse = |metrics: &Value| -> f64 {
        let each = targets.iter().map(|target| {
            let column = reading.table.column(target).expect("the target is a column");
            let Values::Number(values) = &column.values else { panic!("{target} holds no numbers") };
            let n = known.len() as f64;
            let mean = known.iter().map(|row| values[*row]).sum::<f64>() / n;
            let std = (known.iter().map(|row| (values[*row] - mean).powi(2)).sum::<f64>() / n).sqrt();
            metrics["per_target"][target]["rmse"].as_f64().expect("a score") / std
        });
        each.sum::<f64>() / targets.len() as f64
    };
    let (own, linear) = (&trained.metrics, &trained.card["baselines"]["linear"]);
    let mut line =
        json!({ "fit_s": fit_s, "coverage": trained.card["coverage"], "warnings": trained.warnings });
    let (flagged, auroc) = domain(&trained.model, reading, &test);
    line["flagged"] = json!(flagged);
    line["domain_auroc"] = json!(auroc);
    if let Some(loss) = own["log_loss"].as_f64() {
        line["logloss"] = json!(loss);
        line["accuracy"] = own["accuracy"].clone();
        line["beats_linear"] = json!(linear["log_loss"].as_f64().is_none_or(|linear| loss < linear));
    } else {
        line["nrmse"] = json!(nrmse(own));
        line["beats_linear"] = json!(nrmse(own) < nrmse(linear));
    }
    line
}

/// The share of the test rows that are said to be outside the training's domain, and how well
/// `domain_score` tells them from the same rows with one numeric column moved 1 to 3 ranges away.
fn domain(model: &Model, reading: &Reading, rows: &[usize]) -> (f64, f64) {
    let inputs = model.inputs();
    let as_json = |row: &usize| reading.table.rows_json(*row, 1).remove(0);
    let cells: Vec<Cell> = rows
        .iter()
        .map(as_json)
        .flat_map(|row| {
            inputs
                .iter()
                .map(|input| match &row[input.name.as_str()] {
                    Value::Null => Cell::Missing,
                    Value::Number(number) => Cell::Number(number.as_f64().expect("a number")),
                    Value::Bool(flag) => Cell::Boolean(*flag),
                    other => Cell::Text(other.as_str().expect("a text").to_owned().into()),
                })
                .collect::<Vec<_>>()
        })
        .collect();
    let options = PredictOptions { unknown_category: UnknownCategory::Missing, ..PredictOptions::default() };
    let judge = |cells: &[Cell]| model.predict(cells, rows.len(), &options).expect("rows that can be read");
    let ordinary = judge(&cells);
    let numeric: Vec<usize> = (0..inputs.len()).filter(|i| inputs[*i].kind == ColumnKind::Number).collect();
    let mut moved = cells;
    for row in 0..rows.len() {
        let Some(index) = numeric.get(row % numeric.len().max(1)) else { break };
        let (low, high) = inputs[*index].range.expect("numbers have a range");
        let away = (1.0 + 2.0 * (row as f64 / rows.len() as f64)) * (high - low);
        moved[row * inputs.len() + index] = Cell::Number(if row % 2 == 0 { high + away } else { low - away });
    }
    let strange = judge(&moved);
    let flagged = ordinary.in_domain.iter().filter(|inside| !**inside).count() as f64 / rows.len() as f64;
    // The chance that a moved row has a lower score than an ordinary one.
    let mut own = ordinary.domain_score;
    own.sort_by(f64::total_cmp);
    let wins = strange.domain_score.iter().map(|score| {
        let lower = own.partition_point(|other| other < score);
        let equal = own.partition_point(|other| other <= score) - lower;
        (own.len() - lower) as f64 - 0.5 * equal as f64
    });
    (flagged, wins.sum::<f64>() / (own.len() * rows.len()) as f64)
}

fn loss(line: &Value) -> Option<f64> {
    line["nrmse"].as_f64().or_else(|| line["logloss"].as_f64())
}

fn lines(path: &str) -> Vec<Value> {
    let text = std::fs::read_to_string(path).unwrap_or_default();
    text.lines().filter_map(|line| serde_json::from_str(line).ok()).collect()
}

struct Arguments {
    sets: Vec<String>,
    splits: Vec<usize>,
    request: Value,
    name: String,
    out: Option<String>,
}

fn arguments() -> Arguments {
    let mut wanted = Arguments {
        sets: Vec::new(),
        splits: vec![0],
        request: json!({}),
        name: "taqicfd".to_owned(),
        out: None,
    };
    let mut all = std::env::args().skip(1);
    while let Some(argument) = all.next() {
        let mut value = || all.next().unwrap_or_else(|| panic!("{argument} needs a value"));
        match argument.as_str() {
            "--splits" => {
                wanted.splits = value().split(',').map(|split| split.parse().expect("a number")).collect();
            }
            "--request" => wanted.request = serde_json::from_str(&value()).expect("JSON"),
            "--name" => wanted.name = value(),
            "--out" => wanted.out = Some(value()),
            "--bench" => {} // What cargo says.
            _ => wanted.sets.push(argument),
        }
    }
    wanted
}

fn main() {
    let root = PathBuf::from(concat!(env!("CARGO_MANIFEST_DIR"), "/../shared/data"));
    if !root.is_dir() {
        eprintln!("SKIPPED: the data sets are not at {}", root.display());
        return;
    }
    let meta = read_json(&root.join("meta.json"));
    let wanted = arguments();
    let sets: Vec<String> = match wanted.sets.as_slice() {
        [] => SETS.iter().map(ToString::to_string).collect(),
        [all] if all == "all" => meta.as_object().expect("sets").keys().cloned().collect(),
        sets => sets.to_vec(),
    };
    #[expect(clippy::disallowed_methods, reason = "a bench has no settings of its own")]
    let peers = std::env::var("TAQICFD_PEER_SCORES").ok().map(|path| lines(&path)).unwrap_or_default();
    let mut known = wanted.out.as_deref().map(lines).unwrap_or_default();
    let find = |all: &[Value], name: &str, split: usize, peer: &str| -> Option<Value> {
        let mut all = all.iter();
        all.find(|s| s["dataset"] == name && s["split"] == split && s["peer"] == peer).cloned()
    };
    println!("{:<20} {:>2} {:>9} {:>8}  ratio to peers", "set", "", wanted.name, "s");
    for name in &sets {
        let splits = read_json(&root.join("splits").join(format!("{name}.json")));
        let mut read_once = None;
        for index in wanted.splits.iter().copied() {
            let Some(split) = splits["splits"].get(index) else { continue };
            let line = find(&known, name, index, &wanted.name).unwrap_or_else(|| {
                let reading = read_once.get_or_insert_with(|| reading(&root, name, &meta[name]));
                let mut line = ours(reading, name, &meta[name], split, &wanted.request);
                line["dataset"] = json!(name);
                line["split"] = json!(index);
                line["peer"] = json!(wanted.name);
                line["task"] = meta[name]["task"].clone();
                if let Some(path) = &wanted.out {
                    let mut file = std::fs::OpenOptions::new()
                        .create(true)
                        .append(true)
                        .open(path)
                        .expect("the file opens");
                    writeln!(file, "{line}").expect("the file is written");
                }
                known.push(line.clone());
                line
            });
            let own = loss(&line).expect("a loss");
            let ratios: Vec<String> = peers
                .iter()
                .filter(|s| s["dataset"] == name.as_str() && s["split"] == index)
                .filter_map(|s| Some(format!("{} {:.3}", s["peer"].as_str()?, own / loss(s)?)))
                .collect();
            let seconds = line["fit_s"].as_f64().unwrap_or(f64::NAN);
            let note = if line["beats_linear"] == false { "  linear baseline wins" } else { "" };
            println!("{name:<20} {index:>2} {own:>9.4} {seconds:>8.1}  {}{note}", ratios.join(", "));
        }
    }
    known.extend(peers);
    summary(&known, &sets, &wanted.splits);
}

/// Loss and seconds, by peer.
type Scores = BTreeMap<String, (f64, f64)>;

/// Geometric mean of nRMSE, mean log-loss and mean ranks, over what everyone has run.
fn summary(lines: &[Value], sets: &[String], splits: &[usize]) {
    let mut scores: BTreeMap<(bool, String, u64), Scores> = BTreeMap::new();
    for line in lines {
        let (Some(set), Some(split), Some(peer)) =
            (line["dataset"].as_str(), line["split"].as_u64(), line["peer"].as_str())
        else {
            continue;
        };
        if !sets.iter().any(|name| name == set) || !splits.contains(&(split as usize)) {
            continue;
        }
        let Some(loss) = loss(line) else { continue };
        let key = (line["nrmse"].is_number(), set.to_owned(), split);
        let seconds = line["fit_s"].as_f64().unwrap_or(f64::NAN);
        scores.entry(key).or_default().insert(peer.to_owned(), (loss, seconds));
    }
    for regression in [true, false] {
        let own: Vec<_> =
            scores.iter().filter(|(key, _)| key.0 == regression).map(|(_, value)| value).collect();
        let names: BTreeSet<&String> = own.iter().flat_map(|scores| scores.keys()).collect();
        // A peer that has run less than half is shown by itself, and the others do not wait for it.
        let names: Vec<&String> = names
            .into_iter()
            .filter(|name| 2 * own.iter().filter(|s| s.contains_key(*name)).count() > own.len())
            .collect();
        let shared: Vec<_> = own.iter().filter(|s| names.iter().all(|name| s.contains_key(*name))).collect();
        if shared.is_empty() || names.is_empty() {
            continue;
        }
        let measure = if regression { "geometric mean nRMSE" } else { "mean log-loss" };
        println!("\n{:<24} {measure:>20} {:>10} {:>8}   ({} runs)", "", "mean rank", "fit s", shared.len());
        let n = shared.len() as f64;
        let mut rows: Vec<(f64, String)> = names
            .iter()
            .map(|name| {
                let mine = || shared.iter().map(|s| s[*name]);
                let mean = if regression {
                    (mine().map(|(loss, _)| loss.ln()).sum::<f64>() / n).exp()
                } else {
                    mine().map(|(loss, _)| loss).sum::<f64>() / n
                };
                let ranks = shared.iter().map(|s| {
                    let own = s[*name].0;
                    let better = names.iter().filter(|other| s[**other].0 < own).count();
                    let equal = names.iter().filter(|other| s[**other].0 == own).count();
                    better as f64 + f64::midpoint(equal as f64, 1.0)
                });
                let rank = ranks.sum::<f64>() / n;
                let seconds = mine().map(|(_, seconds)| seconds).sum::<f64>();
                (rank, format!("{name:<24} {mean:>20.4} {rank:>10.2} {seconds:>8.0}"))
            })
            .collect();
        rows.sort_by(|a, b| a.0.total_cmp(&b.0));
        rows.iter().for_each(|(_, row)| println!("{row}"));
    }
}
