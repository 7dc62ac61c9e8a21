//! Accuracy with default settings, beside the peers on the same rows.
//!
//! `cargo bench --bench accuracy [-- SET ...]`; needs the data sets in `../shared/data` and reads the
//! peers' scores from `TAQICFD_PEER_SCORES`, the JSON lines that `../shared/bench/peers.py run --splits
//! 0 --peers linear,realmlp_td_s --out FILE` writes. Without that file only our own scores are shown.
//!
//! Numbers are judged by nRMSE (RMSE over the standard deviation of the 80 % that is not tested on),
//! classes by log-loss, both on the 20 % of split 0.

#![expect(clippy::print_stdout, reason = "a bench reports on standard output")]

use serde_json::Value;
use std::path::{Path, PathBuf};
use taqicfd::dataset::{ReadLimits, ReadOptions, Values, read};
use taqicfd::model::Backend;
use taqicfd::training::{Compute, Data, Limits, Stop, TrainRequest, check, train};

const SETS: [&str; 8] =
    ["airfoil_noise", "yacht", "concrete", "energy_efficiency", "abalone", "penguins", "dry_bean", "adult"];

fn json(path: &Path) -> Value {
    let text = std::fs::read_to_string(path).unwrap_or_else(|error| panic!("{}: {error}", path.display()));
    serde_json::from_str(&text).expect("JSON")
}

fn texts(value: &Value) -> Vec<String> {
    value
        .as_array()
        .map(|all| all.iter().filter_map(|v| v.as_str().map(str::to_owned)).collect())
        .unwrap_or_default()
}

/// Our loss, the seconds it took, and whether our own linear baseline was beaten.
fn ours(root: &Path, name: &str, meta: &Value) -> (f64, f64, bool) {
    let path = root.join(meta["file"].as_str().expect("a file"));
    let options = ReadOptions { sheet: meta["sheet"].as_str().map(str::to_owned), ..ReadOptions::default() };
    let reading = read(path.as_path(), name, &options, &ReadLimits::default()).expect("the set is readable");
    let splits = json(&root.join("splits").join(format!("{name}.json")));
    let rows = |part: &str| -> Vec<usize> {
        let rows = splits["splits"][0][part].as_array().expect("rows");
        rows.iter().map(|row| row.as_u64().expect("a row") as usize).collect()
    };
    let (known, test) = (rows("train"), rows("test"));
    let targets = texts(&meta["targets"]);
    let request = TrainRequest {
        targets: Some(targets.clone()),
        exclude: Some(texts(&meta["drop"])),
        task: meta["task"].as_str().map(str::to_owned),
        ..TrainRequest::default()
    };
    let checked =
        check(&request, &reading.description, name, &Limits::default()).expect("the set is trainable");
    let data = Data { table: &reading.table, description: &reading.description, test_rows: Some(&test) };
    let threads = std::thread::available_parallelism().map_or(1, usize::from);
    let compute = Compute { backend: Backend::Flex, threads, checkpoint_s: 1e9 };
    let trained = train(&data, &checked.spec, &compute, None, &mut |_| {}, &Stop::new()).expect("it trains");
    let loss = |metrics: &Value| match metrics["log_loss"].as_f64() {
        Some(loss) => loss,
        None => {
            let each = targets.iter().map(|target| {
                let column = reading.table.column(target).expect("the target is a column");
                let Values::Number(values) = &column.values else { panic!("{target} holds no numbers") };
                let n = known.len() as f64;
                let mean = known.iter().map(|row| values[*row]).sum::<f64>() / n;
                let std = (known.iter().map(|row| (values[*row] - mean).powi(2)).sum::<f64>() / n).sqrt();
                metrics["per_target"][target]["rmse"].as_f64().expect("a score") / std
            });
            each.sum::<f64>() / targets.len() as f64
        }
    };
    let own = loss(&trained.metrics);
    (own, trained.train_s, own < loss(&trained.card["baselines"]["linear"]))
}

fn main() {
    let root = PathBuf::from(concat!(env!("CARGO_MANIFEST_DIR"), "/../shared/data"));
    if !root.is_dir() {
        eprintln!("SKIPPED: the data sets are not at {}", root.display());
        return;
    }
    let meta = json(&root.join("meta.json"));
    #[expect(clippy::disallowed_methods, reason = "a bench has no settings of its own")]
    let scores = std::env::var("TAQICFD_PEER_SCORES").ok();
    let scores =
        scores.map(|path| std::fs::read_to_string(path).expect("the peers' scores")).unwrap_or_default();
    let scores: Vec<Value> = scores.lines().filter_map(|line| serde_json::from_str(line).ok()).collect();
    let peer = |name: &str, peer: &str| -> Option<(f64, f64)> {
        let found = scores.iter().find(|s| s["dataset"] == name && s["peer"] == peer && s["split"] == 0)?;
        let loss = found["nrmse"].as_f64().or_else(|| found["logloss"].as_f64())?;
        Some((loss, found["fit_s"].as_f64()?))
    };
    let wanted: Vec<String> = std::env::args().skip(1).filter(|arg| !arg.starts_with('-')).collect();
    println!(
        "{:<20} {:>9} {:>8} {:>9} {:>8} {:>7} {:>9}",
        "set", "taqicfd", "s", "td_s", "s", "ratio", "linear"
    );
    for name in SETS.into_iter().filter(|name| wanted.is_empty() || wanted.iter().any(|w| w == name)) {
        let (own, seconds, beats_linear) = ours(&root, name, &meta[name]);
        let td_s = peer(name, "realmlp_td_s");
        let show =
            |value: Option<f64>, digits: usize| value.map_or("-".to_owned(), |v| format!("{v:.digits$}"));
        println!(
            "{name:<20} {own:>9.4} {seconds:>8.1} {:>9} {:>8} {:>7} {:>9}{}",
            show(td_s.map(|s| s.0), 4),
            show(td_s.map(|s| s.1), 1),
            show(td_s.map(|s| own / s.0), 3),
            show(peer(name, "linear").map(|s| s.0), 4),
            if beats_linear { "" } else { "  does not beat our linear baseline" }
        );
    }
}
