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

#[path = "support/sets.rs"]
mod sets;

use serde_json::{Value, json};
use sets::{read_json, reading, texts};
use std::collections::{BTreeMap, BTreeSet};
use std::io::Write;
use taqicfd::dataset::{Reading, Values};
use taqicfd::training::{Limits, TrainRequest, check};

const SETS: [&str; 8] =
    ["airfoil_noise", "yacht", "concrete", "energy_efficiency", "abalone", "penguins", "dry_bean", "adult"];

/// One line as the peers write it.
fn ours(reading: &Reading, name: &str, meta: &Value, split: &Value, request: &Value) -> Value {
    let (known, test) = (sets::rows(split, "train"), sets::rows(split, "test"));
    let targets = texts(&meta["targets"]);
    let mut body = json!({ "targets": targets, "exclude": meta["drop"], "task": meta["task"] });
    for (key, value) in request.as_object().expect("an object") {
        body[key] = value.clone();
    }
    let request: TrainRequest = serde_json::from_value(body).expect("settings");
    let checked =
        check(&request, &reading.description, name, &Limits::default()).expect("the set is trainable");
    let begun = std::time::Instant::now();
    let trained = sets::fit(reading, &checked.spec, &test);
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
    let Some(root) = sets::root() else { return };
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
