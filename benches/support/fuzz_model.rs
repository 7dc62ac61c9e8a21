//! Fuzzes the reading of model files, as `POST /models/import` does it.
//!
//! Half of the inputs are model files that are cut, padded or changed in a few bytes, most of them in the header: each
//! must be refused. The others have a manifest or a description of a tensor changed, and a checksum that fits: what is
//! read all the same must answer without a panic.

use sha2::{Digest, Sha256};
use std::{
    collections::HashSet,
    panic,
    time::{Duration, Instant},
};
use taqicfd::{
    dataset::{ReadLimits, ReadOptions, read},
    model::{Backend, Cell, Model, PredictOptions, UnknownCategory},
    training::{Compute, Data, Limits, Stop, TrainRequest, check, train},
};

/// What headers are made of, beside what the model's own is.
const WORDS: [&str; 30] = [
    "0",
    "-1",
    "1",
    "2",
    "1e308",
    "-1e308",
    "1e-308",
    "18446744073709551615",
    "4294967296",
    "0.5",
    "null",
    "true",
    "\"\"",
    "[]",
    "{}",
    ",",
    ":",
    "\"",
    "\\\\u0000",
    "[0]",
    "[0,0]",
    "NaN",
    "1e999",
    "\"relu\"",
    "\"number\"",
    "\"category\"",
    "\"date\"",
    "\"regression\"",
    "\"classification\"",
    "\"F32\"",
];

/// Runs for `time`; prints the executions and every fault.
pub(crate) fn run(time: Duration, below: &mut dyn FnMut(usize) -> usize) {
    let seeds = [numbers(), classes()];
    panic::set_hook(Box::new(|_| {}));
    let begun = Instant::now();
    let (mut n_runs, mut n_read, mut n_faults) = (0_u64, 0_u64, 0_u64);
    let mut kinds = HashSet::new();
    while begun.elapsed() < time && n_faults < 20 {
        let seed = &seeds[below(seeds.len())];
        let is_sealed = below(2) == 0;
        let bytes = if is_sealed { resealed(seed, below) } else { damaged(seed, below) };
        n_runs += 1;
        let outcome =
            panic::catch_unwind(|| Model::from_foreign_bytes(&bytes, Backend::Flex).map(|model| ask(&model)));
        let fault = match outcome {
            Err(_) => "a panic",
            Ok(Ok(())) if !is_sealed && bytes != *seed => "a changed file was read",
            Ok(Ok(())) => {
                n_read += 1;
                continue;
            }
            Ok(Err(error)) => {
                let kind: String =
                    error.to_string().chars().filter(|c| !c.is_ascii_digit()).take(70).collect();
                kinds.insert(kind);
                continue;
            }
        };
        n_faults += 1;
        let path = std::env::temp_dir().join(format!("taqicfd-model-fault-{n_runs}"));
        println!("FAULT in model: {fault}: {}", path.display());
        drop(std::fs::write(path, &bytes));
    }
    let _ = panic::take_hook();
    println!(
        "model: {n_runs} executions in {:.0} s, {} kinds of refusal, {n_read} changed manifests that still answer, \
         {n_faults} faults",
        begun.elapsed().as_secs_f64(),
        kinds.len()
    );
}

/// Answers rows with every kind of cell; whether they are refused does not matter.
fn ask(model: &Model) {
    let cells =
        [Cell::Number(1.5), Cell::Missing, Cell::Text("b".into()), Cell::Number(-1e30), Cell::Boolean(true)];
    for unknown_category in [UnknownCategory::Error, UnknownCategory::Missing, UnknownCategory::Nearest] {
        for cell in &cells {
            let row = vec![cell.clone(); model.inputs().len()];
            let options = PredictOptions { confidence: None, unknown_category, explain: true };
            drop(model.predict(&row, 1, &options));
        }
    }
}

/// Cut, padded, or with some bytes changed.
fn damaged(seed: &[u8], below: &mut dyn FnMut(usize) -> usize) -> Vec<u8> {
    let mut bytes = seed.to_vec();
    match below(8) {
        0 => bytes.truncate(below(seed.len())),
        1 => bytes.extend((0..=below(64)).map(|i| i as u8)),
        2 => drop(bytes.drain(..=below(16))),
        3 => bytes.insert(below(seed.len()), 0),
        kind => {
            let area = if kind == 4 { seed.len() } else { header_end(seed) };
            for _ in 0..=below(3) {
                bytes[below(area)] = below(256) as u8;
            }
        }
    }
    bytes
}

/// With another header, and a checksum that fits.
fn resealed(seed: &[u8], below: &mut dyn FnMut(usize) -> usize) -> Vec<u8> {
    let end = header_end(seed);
    let mut header = seed[8..end].to_vec();
    for _ in 0..=below(3) {
        // Mostly whole values: where one ends, a separator stands.
        let at = below(header.len());
        let is_mark = |byte: &u8| b",:[]{}".contains(byte);
        let start = at + header[at..].iter().position(is_mark).map_or(0, |n| n + 1);
        let length = header[start..].iter().position(is_mark).unwrap_or(0);
        let word = WORDS[below(WORDS.len())].as_bytes();
        match below(4) {
            0 => header[at] = below(128) as u8,
            1 => {
                let other = below(header.len());
                let piece = header[other..(other + below(40)).min(header.len())].to_vec();
                header.splice(start..start + length, piece);
            }
            _ => drop(header.splice(start..start + length, word.iter().copied())),
        }
    }
    let mut bytes = (header.len() as u64).to_le_bytes().to_vec();
    bytes.extend(header);
    bytes.extend(&seed[end..]);
    seal(&mut bytes);
    bytes
}

/// Puts the checksum that fits in its place, where the header still has one.
fn seal(file: &mut [u8]) {
    let end = header_end(file);
    let place = || {
        let header: serde_json::Value = serde_json::from_slice(file.get(8..end)?).ok()?;
        let offsets = header["checksum"]["data_offsets"].as_array()?;
        let offset = |i: usize| end.checked_add(usize::try_from(offsets.get(i)?.as_u64()?).ok()?);
        let place = offset(0)?..offset(1)?;
        (place.len() == 32 && file.get(place.clone()).is_some()).then_some(place)
    };
    let Some(place) = place() else { return };
    file[place.clone()].fill(0);
    let checksum = Sha256::digest(&*file);
    file[place].copy_from_slice(&checksum);
}

/// Where the header of a file ends.
fn header_end(file: &[u8]) -> usize {
    let length: [u8; 8] = file[..8].try_into().expect("eight bytes");
    8 + u64::from_le_bytes(length) as usize
}

fn numbers() -> Vec<u8> {
    let rows = (0..80).map(|i| {
        let (x, z) = (f64::from(i) / 10.0, i * 7 % 13);
        format!("{x},{z},2024-01-{:02},{:.3}\n", i % 28 + 1, x.sin() + f64::from(z))
    });
    trained("x,z,day,y\n", rows.collect())
}

fn classes() -> Vec<u8> {
    let rows = (0..80).map(|i| {
        let missing = if i % 9 == 0 { String::new() } else { format!("{}", i * 7 % 13) };
        format!("{missing},{},{},{}\n", ["a", "b", "c"][i % 3], i % 2 == 0, ["p", "q"][i / 3 % 2])
    });
    trained("x,kind,flag,y\n", rows.collect())
}

fn trained(header: &str, rows: String) -> Vec<u8> {
    let text = format!("{header}{rows}");
    let reading =
        read(text.as_bytes(), "seed.csv", &ReadOptions::default(), &ReadLimits::default()).expect("a table");
    let request = TrainRequest {
        target: Some("y".into()),
        preset: Some("fast".into()),
        epochs: Some(2),
        hidden_layers: Some(vec![4]),
        ..TrainRequest::default()
    };
    let checked = check(&request, &reading.description, "seed", &Limits::default()).expect("a request");
    let compute = Compute { backend: Backend::Flex, threads: 1, checkpoint_s: f64::INFINITY };
    let data = Data { table: &reading.table, description: &reading.description, test_rows: None };
    train(&data, &checked.spec, &compute, None, &mut |_| {}, &Stop::new()).expect("a model").bytes
}
