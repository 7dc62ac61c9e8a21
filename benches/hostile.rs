//! Hostile and odd files against a running server: `cargo bench --bench hostile`.
//!
//! Every file of `../shared/hostile` is uploaded three times to our binary with default settings. The
//! answer must be the one that the folder's `INDEX.md` states, or another refusal where it states one;
//! never a 5xx or a cut connection, never later than ten seconds. The process must be the one that was
//! started, its memory near where it was, and nothing may be left behind by what was refused.

#![expect(clippy::print_stdout, reason = "a bench prints its figures")]

#[path = "support/server.rs"]
mod server;

use serde_json::Value;
use server::Server;
use std::{
    fs, io,
    net::TcpStream,
    path::{Path, PathBuf},
    time::Instant,
};

/// Where the answer is right and other than stated: file, answer, why.
const OTHERWISE: &[(&str, &str, &str)] = &[
    ("excel_pasting.csv", "13x9", "the total and the two notes under the table are none of its rows"),
    ("57893-many-merges.xlsx", "422 empty-file", "the merged ranges are there, but no cell has a value"),
];
const ROUNDS: usize = 3;
const SLOWEST_S: f64 = 10.0;

fn main() -> io::Result<()> {
    // `cargo test --benches` builds and runs this without `--bench`.
    if !std::env::args().any(|argument| argument == "--bench") {
        println!("SKIPPED: run with `cargo bench --bench hostile`");
        return Ok(());
    }
    let folder = Path::new(concat!(env!("CARGO_MANIFEST_DIR"), "/../shared/hostile"));
    if !folder.exists() {
        println!("SKIPPED: {} is absent", folder.display());
        return Ok(());
    }
    let files = stated_outcomes(folder)?;
    let home = tempfile::tempdir()?;
    let mut server = Server::taqicfd(home.path(), |address| TcpStream::connect(address).is_ok());
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
    let client = reqwest::Client::new();
    let upload = |path: &Path| -> io::Result<(String, f64)> {
        let name = path.file_name().unwrap_or_default().to_string_lossy().into_owned();
        let part = reqwest::multipart::Part::bytes(fs::read(path)?).file_name(name);
        let form = reqwest::multipart::Form::new().part("file", part);
        let address = format!("http://{}/upload?allow_duplicate=true", server.address);
        let begun = Instant::now();
        let outcome = runtime.block_on(async {
            let answer = client.post(address).multipart(form).send().await?;
            let status = answer.status().as_u16();
            Ok::<_, reqwest::Error>((status, answer.json::<Value>().await?))
        });
        let found = match outcome {
            Ok((200 | 201, dataset)) => {
                format!("{}x{}", dataset["rows"], dataset["columns"].as_array().map_or(0, Vec::len))
            }
            Ok((status, problem)) => {
                let kind = problem["type"].as_str().unwrap_or("no problem document");
                format!("{status} {}", kind.trim_start_matches("/problems/"))
            }
            Err(error) => format!("no answer: {error}"),
        };
        Ok((found, begun.elapsed().as_secs_f64()))
    };

    // What every process has that has read a file.
    let sample = concat!(env!("CARGO_MANIFEST_DIR"), "/data/samples/airfoil_noise.csv");
    let (found, _) = upload(Path::new(sample))?;
    assert_eq!(found, "1503x6");
    let base_mib = server.memory_mib();
    let (mut n_right, mut most_mib, mut slowest) = (0, base_mib, (0.0, PathBuf::new()));
    println!("| file | stated | found | slowest, s | MiB | |\n|---|---|---|---:|---:|---|");
    for (path, stated) in &files {
        let mut answers = Vec::new();
        for _ in 0..ROUNDS {
            answers.push(upload(path)?);
            most_mib = f64::max(most_mib, server.memory_mib());
        }
        let longest = answers.iter().map(|(_, seconds)| *seconds).fold(0.0, f64::max);
        if longest > slowest.0 {
            slowest = (longest, path.clone());
        }
        let is_same = answers.iter().all(|(found, _)| *found == answers[0].0);
        let is_right = is_same && longest < SLOWEST_S && is_as_stated(stated, &answers[0].0);
        n_right += usize::from(is_right);
        println!(
            "| {} | {} | {} | {longest:.2} | {:.0} | {} |",
            path.file_name().unwrap_or_default().to_string_lossy(),
            stated.chars().take(60).collect::<String>(),
            answers[0].0,
            server.memory_mib(),
            if is_right { "as stated" } else { otherwise(path, &answers[0].0).unwrap_or("DIFFERS") }
        );
    }
    let n_left = fs::read_dir(home.path().join("data/tmp")).map_or(0, Iterator::count);
    println!("\n{n_right} of {} as stated, {ROUNDS} times each", files.len());
    println!("slowest answer {:.2} s ({})", slowest.0, slowest.1.display());
    println!("memory {base_mib:.1} MiB before, at most {most_mib:.1} MiB after an answer");
    println!(
        "{n_left} files left on the way; the server {}",
        if server.is_running() { "never stopped" } else { "ENDED" }
    );
    Ok(())
}

/// Why the answer is other than stated, where it is known and right.
fn otherwise(path: &Path, found: &str) -> Option<&'static str> {
    let name = path.file_name()?.to_str()?;
    let known = OTHERWISE.iter().find(|(file, right, _)| name.ends_with(file) && *right == found);
    known.map(|(_, _, why)| *why)
}

/// The files and what is said of them.
fn stated_outcomes(folder: &Path) -> io::Result<Vec<(PathBuf, String)>> {
    let index = fs::read_to_string(folder.join("INDEX.md"))?;
    let mut part = "";
    let mut files = Vec::new();
    for line in index.lines() {
        if let Some(heading) = line.strip_prefix("## ") {
            part = heading.trim_end_matches('/');
        }
        let cells: Vec<&str> = line.split(" | ").collect();
        let name = cells[0].trim_start_matches("| ");
        // The column before the last states the outcome; it may hold the separator itself.
        let Some(stated) = cells.len().checked_sub(2).map(|i| cells[i]) else { continue };
        let path = folder.join(part).join(name);
        if path.is_file() {
            files.push((path, stated.to_owned()));
        }
    }
    Ok(files)
}

fn is_as_stated(stated: &str, found: &str) -> bool {
    if let Some((status, _)) = found.split_once(' ') {
        // Another refusal than the one stated is one too, where any is.
        return ["413", "415", "422"].contains(&status)
            && ["413", "415", "422"].iter().any(|known| stated.contains(known));
    }
    let shape = stated.split_whitespace().map(|word| word.trim_end_matches([',', ';', ':'])).find(|word| {
        word.split_once('x').is_some_and(|(a, b)| a.parse::<u32>().is_ok() && b.parse::<u32>().is_ok())
    });
    match shape {
        Some(shape) => shape == found,
        None => [
            "parse",
            "train",
            "text",
            "201",
            "Latin-1",
            "422 no-target",
            "422 constant",
            "422 value",
            "422 too-many-c",
            "422 too-few",
        ]
        .iter()
        .any(|word| stated.contains(word)),
    }
}
