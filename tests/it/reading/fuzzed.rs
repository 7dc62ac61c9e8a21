//! Inputs that the fuzzer (`cargo bench --bench fuzz`) found worth keeping, among them every fault
//! that was mended.

#[path = "../../support/invariants.rs"]
mod invariants;

use super::child::{run, settings};
use std::{fs, path::Path};
use taqicfd::ingest::IngestError;

fn replay(target: &str, check: impl Fn(&[u8]) -> Result<String, String>) {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/corpus").join(target);
    let mut n = 0;
    for entry in fs::read_dir(folder).expect("the corpus") {
        let path = entry.expect("a file").path();
        let bytes = fs::read(&path).expect("a file");
        check(&bytes).unwrap_or_else(|why| panic!("{}: {why}", path.display()));
        n += 1;
    }
    assert!(n >= 10, "the corpus of {target} has only {n} files");
}

#[test]
fn text() {
    replay("text", invariants::check_reading);
}

#[test]
fn numbers() {
    replay("number", |bytes| invariants::check_number(&String::from_utf8_lossy(bytes)));
}

#[test]
fn workbooks() {
    let folder = tempfile::tempdir().expect("a folder");
    let settings = settings(folder.path());
    replay("workbook", |bytes| match run(folder.path(), bytes, &settings) {
        Ok(ingested) => Ok(ingested.description.read.format.clone()),
        Err(IngestError::Read(error)) => Ok(error.slug().to_owned()),
        Err(error) => Err(error.to_string()),
    });
}
