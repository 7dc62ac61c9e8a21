//! A CSV file with predictions, from file to file, beside pandas and PyTorch with the same networks.
//!
//! ```text
//! TAQICFD_PEERS_PYTHON=peers/bin/python cargo bench --bench files [-- ROWS]
//! ```
//!
//! Ours is the file sent to a running server and the answer written to the disk; theirs is `benches/peers/file_predict.py`,
//! without the time that its imports take. Both use both processors. Theirs runs twice: once for the values alone, once for
//! what ours gives but for the warnings: bounds and the domain. In turn; the best of each is shown.

#![expect(clippy::print_stdout, reason = "a bench prints its figures")]

#[path = "support/client.rs"]
mod client;
#[path = "support/server.rs"]
mod server;

use client::{call, parse, train, try_call};
use serde_json::json;
use server::Server;
use std::{fmt::Write, path::Path, process::Command, time::Instant};

const REPEATS: usize = 5;

fn main() {
    #[expect(clippy::disallowed_methods, reason = "a bench has no settings of its own")]
    let python = std::env::var("TAQICFD_PEERS_PYTHON");
    let n_rows: usize = std::env::args().find_map(|word| word.parse().ok()).unwrap_or(100_000);
    let folder = tempfile::tempdir().expect("a temporary folder");
    let rows = folder.path().join("rows.csv");
    std::fs::write(&rows, table(n_rows)).expect("writable");
    let ours = Server::taqicfd(folder.path(), |address| {
        try_call(address, "GET", "/readyz", "", &[]).is_some_and(|(status, _)| status == 200)
    });
    println!("{n_rows} rows of 5 numbers, {} bytes", rows.metadata().expect("a file").len());
    for preset in ["fast", "balanced"] {
        let model = train(ours.address, &json!({"model_name": preset, "preset": preset}));
        let own = best((0..REPEATS).map(|_| answer(&ours, preset, &rows, &folder.path().join("ours.csv"))));
        println!(
            "\n{preset:<10} taqicfd                    {own:>7.2} s, {:>7.0} rows/s",
            n_rows as f64 / own
        );
        println!("{preset:<10} memory of the server {:>12.0} MiB", ours.memory_mib());
        let Ok(python) = &python else {
            eprintln!("SKIPPED pandas + PyTorch: set TAQICFD_PEERS_PYTHON to a Python that has both");
            continue;
        };
        for (format, name) in [("pt", "model.pt"), ("py", "taqicfd_model.py")] {
            let file = call(ours.address, "GET", &format!("/model/{model}?format={format}"), "", &[]);
            std::fs::write(folder.path().join(name), file).expect("writable");
        }
        for what in ["values", "all"] {
            let (import, other) = peer(python, folder.path(), what);
            let name = format!("pandas + PyTorch, {what}");
            println!(
                "{preset:<10} {name:<26} {other:>7.2} s, {:>4.1} x; its imports {import:.1} s",
                other / own
            );
        }
    }
}

fn best(times: impl Iterator<Item = f64>) -> f64 {
    times.fold(f64::INFINITY, f64::min)
}

/// Rows like those of the sample.
fn table(n_rows: usize) -> String {
    let sample = include_str!(concat!(env!("CARGO_MANIFEST_DIR"), "/data/samples/airfoil_noise.csv"));
    let rows: Vec<Vec<f64>> = (sample.lines().skip(1))
        .map(|line| line.split(',').take(5).filter_map(|cell| cell.parse().ok()).collect())
        .collect();
    let header = sample.lines().next().expect("a header").rsplit_once(',').expect("columns").0;
    let mut text = format!("{header}\n");
    for i in 0..n_rows {
        let row = &rows[i * 7919 % rows.len()];
        for (k, value) in row.iter().enumerate() {
            let moved = value * (1.0 + 0.01 * ((i * (k + 3)) as f64).sin());
            let _ = write!(text, "{}{moved:.7}", if k > 0 { "," } else { "" });
        }
        text.push('\n');
    }
    text
}

/// Seconds from file to file.
fn answer(ours: &Server, model: &str, rows: &Path, to: &Path) -> f64 {
    let begun = Instant::now();
    let file = std::fs::read(rows).expect("readable");
    let answer = call(ours.address, "POST", &format!("/predict?model={model}"), "text/csv", &file);
    std::fs::write(to, answer).expect("writable");
    begun.elapsed().as_secs_f64()
}

/// Seconds of the imports, and the best from file to file.
fn peer(python: &str, folder: &Path, what: &str) -> (f64, f64) {
    let script = Path::new(env!("CARGO_MANIFEST_DIR")).join("benches/peers/file_predict.py");
    let output = Command::new(python)
        .arg(script)
        .args(["model.pt", "taqicfd_model.py", "rows.csv", "theirs.csv", what, &REPEATS.to_string()])
        .current_dir(folder)
        .output()
        .expect("the peer starts");
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    let told = parse(&output.stdout);
    let times = told["run_s"].as_array().expect("times").iter().filter_map(serde_json::Value::as_f64);
    (told["import_s"].as_f64().expect("seconds"), best(times))
}
