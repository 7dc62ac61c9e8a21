//! The reading process: what it returns, and what becomes of a file that meets its limits.

use std::{
    fs,
    path::{Path, PathBuf},
    time::Duration,
};
use taqicfd::{
    dataset::{self, ReadOptions},
    ingest::{IngestError, IngestRequest, IngestSettings, Ingested, ingest},
};

pub(super) fn settings(folder: &Path) -> IngestSettings {
    let mut settings = IngestSettings::new(folder.join("scratch")).expect("our own path");
    settings.executable = env!("CARGO_BIN_EXE_taqicfd").into();
    settings
}

pub(super) fn run(folder: &Path, bytes: &[u8], settings: &IngestSettings) -> Result<Ingested, IngestError> {
    let file = folder.join("upload");
    fs::write(&file, bytes).expect("a folder");
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().expect("a runtime");
    let options = ReadOptions::default();
    let request = IngestRequest { file: &file, filename: "ensaio.csv", options: &options };
    runtime.block_on(ingest(request, settings))
}

fn slug(outcome: Result<Ingested, IngestError>) -> String {
    match outcome.expect_err("refused") {
        IngestError::Read(error) => error.slug().to_owned(),
        other => other.to_string(),
    }
}

/// A program in the place of ours.
fn script(folder: &Path, line: &str) -> PathBuf {
    let path = folder.join("script.sh");
    fs::write(&path, format!("#!/bin/sh\n{line}\nexit 9\n")).expect("a folder");
    fs::set_permissions(&path, std::os::unix::fs::PermissionsExt::from_mode(0o755)).expect("a folder");
    path
}

fn n_left(folder: &Path) -> usize {
    fs::read_dir(folder.join("scratch")).expect("a folder").count()
}

#[test]
fn a_file_is_read_in_a_process_of_its_own() {
    let folder = tempfile::tempdir().unwrap();
    let bytes = "Re;Cd\n10;24,5\n100;1,5\n".as_bytes();
    let ingested = run(folder.path(), bytes, &settings(folder.path())).unwrap();
    let here =
        dataset::read(bytes, "ensaio.csv", &ReadOptions::default(), &dataset::ReadLimits::default()).unwrap();
    assert_eq!(ingested.description, here.description);
    assert_eq!(dataset::parquet::read(ingested.parquet_path.as_path()).unwrap(), here.table);
    drop(ingested);
    assert_eq!(n_left(folder.path()), 0, "nothing is left behind");
}

#[test]
fn an_error_comes_back_whole() {
    let folder = tempfile::tempdir().unwrap();
    let Err(IngestError::Read(error)) = run(folder.path(), b"a,b\n1,2\n3\n", &settings(folder.path())) else {
        panic!("refused")
    };
    assert_eq!((error.slug(), error.issues()[0].line), ("malformed-csv", Some(3)));
    assert_eq!(n_left(folder.path()), 0);
}

#[test]
fn memory_is_limited() {
    let folder = tempfile::tempdir().unwrap();
    let mut small = settings(folder.path());
    small.memory_bytes = 48 << 20;
    // 128 MB of doubles.
    let bytes = format!("a,b,c,d\n{}", "1,2,3,4\n".repeat(4_000_000));
    assert_eq!(slug(run(folder.path(), bytes.as_bytes(), &small)), "too-many-cells");
    assert_eq!(n_left(folder.path()), 0);
}

#[test]
fn time_is_limited() {
    let folder = tempfile::tempdir().unwrap();
    let mut slow = settings(folder.path());
    slow.executable = script(folder.path(), "sleep 60");
    slow.wall = Duration::from_millis(50);
    assert_eq!(slug(run(folder.path(), b"a,b\n1,2\n", &slow)), "too-many-cells");
    assert_eq!(slug(run(folder.path(), b"PK\x03\x04", &slow)), "malformed-workbook");
    let mut busy = settings(folder.path());
    busy.cpu_s = 1;
    // Several seconds of work: every text is new.
    let bytes: String = (0..3_000_000).fold("text;more\n".to_owned(), |mut text, i| {
        use std::fmt::Write;
        writeln!(text, "a{i}x;{}b", i * 7).unwrap();
        text
    });
    assert_eq!(slug(run(folder.path(), bytes.as_bytes(), &busy)), "too-many-cells");
    assert_eq!(n_left(folder.path()), 0);
}

#[test]
fn a_child_that_dies_or_never_starts_is_an_answer() {
    let folder = tempfile::tempdir().unwrap();
    let mut broken = settings(folder.path());
    broken.executable = "/bin/false".into();
    assert_eq!(slug(run(folder.path(), b"PK", &broken)), "malformed-workbook");
    broken.executable = folder.path().join("absent");
    assert!(matches!(run(folder.path(), b"a", &broken), Err(IngestError::Process(_))), "the server's fault");
    assert_eq!(n_left(folder.path()), 0);
}

#[test]
fn the_child_inherits_no_secret() {
    let folder = tempfile::tempdir().unwrap();
    let seen = folder.path().join("seen");
    let mut watched = settings(folder.path());
    watched.executable =
        script(folder.path(), &format!("export > {0}; read line && echo stdin >> {0}", seen.display()));
    assert!(run(folder.path(), b"PK", &watched).is_err());
    let seen = fs::read_to_string(seen).unwrap();
    let names: Vec<&str> =
        seen.lines().filter_map(|line| line.strip_prefix("export ")?.split('=').next()).collect();
    let own = ["POLARS_MAX_THREADS", "MIMALLOC_ARENA_RESERVE", "PWD", "OLDPWD", "SHLVL", "_"];
    assert!(names.iter().all(|name| own.contains(name)), "the environment is empty: {names:?}");
    assert!(names.contains(&"POLARS_MAX_THREADS"), "the script was run");
    assert!(!seen.contains("stdin"), "nothing can be read");
}
