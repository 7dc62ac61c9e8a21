//! The data sets that benches learn from.

use serde_json::Value;
use std::path::{Path, PathBuf};
use taqicfd::dataset::{ReadLimits, ReadOptions, Reading, read};
use taqicfd::model::Backend;
use taqicfd::training::{Compute, Data, Spec, Stop, Trained, train};

/// Where they are; nothing, and a word about it, if they are not there.
pub(crate) fn root() -> Option<PathBuf> {
    let root = PathBuf::from(concat!(env!("CARGO_MANIFEST_DIR"), "/../shared/data"));
    if root.is_dir() {
        return Some(root);
    }
    eprintln!("SKIPPED: the data sets are not at {}", root.display());
    None
}

/// A JSON file.
pub(crate) fn read_json(path: &Path) -> Value {
    let text = std::fs::read_to_string(path).unwrap_or_else(|error| panic!("{}: {error}", path.display()));
    serde_json::from_str(&text).expect("JSON")
}

/// A list of texts.
pub(crate) fn texts(value: &Value) -> Vec<String> {
    let all = value.as_array().expect("a list").iter();
    all.filter_map(|text| text.as_str().map(str::to_owned)).collect()
}

/// The set `name`, read as the peers are told to read it; `meta` describes it.
pub(crate) fn reading(root: &Path, name: &str, meta: &Value) -> Reading {
    let path = root.join(meta["file"].as_str().expect("a file"));
    let options = ReadOptions {
        sheet: meta["sheet"].as_str().map(str::to_owned),
        // What the peers are told too.
        types: texts(&meta["categorical"]).into_iter().map(|name| (name, "category".to_owned())).collect(),
        ..ReadOptions::default()
    };
    read(path.as_path(), name, &options, &ReadLimits::default()).expect("the set is readable")
}

/// The rows of a part of a split.
pub(crate) fn rows(split: &Value, part: &str) -> Vec<usize> {
    let rows = split[part].as_array().expect("rows");
    rows.iter().map(|row| row.as_u64().expect("a row") as usize).collect()
}

/// A training on all rows but those of `test`, on all processors.
pub(crate) fn fit(reading: &Reading, spec: &Spec, test: &[usize]) -> Trained {
    let data = Data { table: &reading.table, description: &reading.description, test_rows: Some(test) };
    let threads = std::thread::available_parallelism().map_or(1, usize::from);
    let compute = Compute { backend: Backend::Flex, threads, checkpoint_s: 1e9 };
    train(&data, spec, &compute, None, &mut |_| {}, &Stop::new()).expect("it trains")
}
