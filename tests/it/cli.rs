//! The command line: bad settings, and work without a server.

use crate::api::{Api, waves};
use std::{
    path::Path,
    process::{Command, Output},
};

fn run(folder: &Path, arguments: &[&str], environment: &[(&str, &str)]) -> Output {
    Command::new(env!("CARGO_BIN_EXE_taqicfd"))
        .args(arguments)
        .current_dir(folder)
        .env_clear()
        .envs(environment.iter().copied())
        .output()
        .unwrap()
}

fn refused(output: &Output, part: &str) {
    let text = String::from_utf8_lossy(&output.stderr);
    assert!(!output.status.success(), "{text}");
    assert!(text.contains(part), "{text}");
    assert_eq!(text.trim_end().lines().count(), 1, "one line: {text}");
}

#[test]
fn bad_settings_are_one_line_and_a_code_before_anything_listens() {
    let folder = tempfile::tempdir().unwrap();
    let serve = |environment: &[(&str, &str)]| run(folder.path(), &["serve"], environment);
    refused(&serve(&[("TAQICFD_BIND", "nowhere")]), "TAQICFD_BIND");
    refused(&serve(&[("TAQICFD_BIND", "0.0.0.0:0")]), "--insecure-no-auth");
    refused(&serve(&[("TAQICFD_WORKRES", "1")]), "TAQICFD_WORKERS");
    refused(&serve(&[("DATABASE_URL", "mysql://x")]), "DATABASE_URL");
    refused(&serve(&[("TAQICFD_STORAGE", "s3")]), "TAQICFD_S3_BUCKET");
    refused(&serve(&[("RUST_LOG", "a=b=c")]), "RUST_LOG");
    refused(&run(folder.path(), &["serve", "--max-upload", "much"], &[]), "TAQICFD_MAX_UPLOAD");
    std::fs::write(folder.path().join(".env"), "TAQICFD_BIND=elsewhere\n").unwrap();
    refused(&serve(&[]), "elsewhere");
}

#[test]
fn a_taken_port_or_folder_is_one_line() {
    let folder = tempfile::tempdir().unwrap();
    let taken = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let address = taken.local_addr().unwrap().to_string();
    refused(&run(folder.path(), &["serve", "--bind", &address], &[]), "--bind");
    std::fs::write(folder.path().join("file"), "x").unwrap();
    let data = [("TAQICFD_DATA_DIR", "file"), ("TAQICFD_BIND", "127.0.0.1:0")];
    refused(&run(folder.path(), &["serve"], &data), "cannot be written");
    let _lock = taqicfd::storage::lock_folder(&folder.path().join("data")).unwrap();
    refused(&run(folder.path(), &["serve", "--bind", "127.0.0.1:0"], &[]), "already using the data folder");
}

#[tokio::test]
async fn files_of_another_database_are_not_taken_for_nobodys() {
    let mut api = Api::start(&[]).await;
    api.model().await;
    api.server.kill();
    let folder = api.folder.path();
    let files = || {
        let uploads = std::fs::read_dir(folder.join("data/uploads")).unwrap().count();
        uploads + std::fs::read_dir(folder.join("models")).unwrap().count()
    };
    let before = files();
    let data_dir = [
        ("TAQICFD_DATA_DIR", "data"),
        ("TAQICFD_MODELS_DIR", "models"),
        ("TAQICFD_BIND", "127.0.0.1:0"),
        ("DATABASE_URL", "sqlite:misspelt.db"),
    ];
    refused(&run(folder, &["serve"], &data_dir), "belong to another database");
    std::fs::remove_file(folder.join("data/database.id")).unwrap();
    std::fs::remove_file(folder.join("models/database.id")).unwrap();
    refused(&run(folder, &["serve"], &data_dir), "are not known to the database");
    assert_eq!(files() + 1, before, "all but the mark");
}

#[test]
fn a_file_is_trained_and_predicted_without_a_server() {
    let folder = tempfile::tempdir().unwrap();
    std::fs::write(folder.path().join("waves.csv"), waves(200)).unwrap();
    let trained = run(folder.path(), &["train", "waves.csv", "--target", "y", "--epochs", "5"], &[]);
    assert!(trained.status.success(), "{}", String::from_utf8_lossy(&trained.stderr));
    let metrics: serde_json::Value = serde_json::from_slice(&trained.stdout).unwrap();
    assert!(metrics["rmse"].as_f64().is_some(), "{metrics}");
    let predict = |input: &str| {
        let output = run(folder.path(), &["predict", "waves.taqicfd.safetensors", input], &[]);
        assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
        serde_json::from_slice::<serde_json::Value>(&output.stdout).unwrap()
    };
    assert_eq!(predict("waves.csv")["predictions"].as_array().unwrap().len(), 200);
    std::fs::write(folder.path().join("rows.json"), "[{\"x\": 1, \"z\": 2, \"kind\": \"a\"}]").unwrap();
    assert!(predict("rows.json")["predictions"][0]["y"].is_number());
    std::fs::write(folder.path().join("bad.json"), "[{\"x\": \"far\", \"z\": 2, \"kind\": \"a\"}]").unwrap();
    let bad = run(folder.path(), &["predict", "waves.taqicfd.safetensors", "bad.json"], &[]);
    assert!(!bad.status.success() && String::from_utf8_lossy(&bad.stderr).contains("/data/0/x"));
    let missing = run(folder.path(), &["train", "none.csv"], &[]);
    assert!(!missing.status.success());
}

#[test]
fn a_spreadsheet_is_answered_without_a_server_as_a_spreadsheet() {
    let folder = tempfile::tempdir().unwrap();
    std::fs::write(folder.path().join("waves.csv"), waves(200)).unwrap();
    let run = |arguments: &[&str]| run(folder.path(), arguments, &[]);
    let trained = run(&[
        "train",
        "waves.csv",
        "--target",
        "y",
        "--epochs",
        "5",
        "--preset",
        "fast",
        "-o",
        "m.safetensors",
    ]);
    assert!(trained.status.success(), "{}", String::from_utf8_lossy(&trained.stderr));

    let rows = "Ensaio de junho;;\nz;x;kind\n2,50;1,0;a\n3,25;1,5;b\n";
    std::fs::write(folder.path().join("rows.csv"), rows).unwrap();
    let predict = ["predict", "--model", "m.safetensors", "rows.csv", "-o"];
    let answered = run(&[&predict[..], &["answers.csv"]].concat());
    assert!(answered.status.success(), "{}", String::from_utf8_lossy(&answered.stderr));
    let text = std::fs::read_to_string(folder.path().join("answers.csv")).unwrap();
    let lines: Vec<&str> = text.trim_start_matches('\u{feff}').lines().collect();
    assert_eq!(lines[0], "z;x;kind;y_predicted;y_lower;y_upper;in_domain;warnings");
    assert!(
        lines.len() == 3 && lines[1].starts_with("2,50;1,0;a;") && lines[2].starts_with("3,25;1,5;b;"),
        "{text}"
    );
    assert!(run(&[&predict[..], &["answers.xlsx"]].concat()).status.success());
    assert!(std::fs::read(folder.path().join("answers.xlsx")).unwrap().starts_with(b"PK"));
    let other = run(&[&predict[..], &["answers.ods"]].concat());
    assert!(
        !other.status.success() && String::from_utf8_lossy(&other.stderr).contains(".csv, .xlsx or .json")
    );

    std::fs::write(folder.path().join("rows.csv"), rows.replace(";b\n", ";unheard\n")).unwrap();
    let refused = run(&[&predict[..], &["refused.csv"]].concat());
    assert!(!refused.status.success() && String::from_utf8_lossy(&refused.stderr).contains("unheard"));
    let warned = run(&[&predict[..], &["warned.csv", "--unknown-category", "missing"]].concat());
    assert!(warned.status.success(), "{}", String::from_utf8_lossy(&warned.stderr));
    let skipped = run(&[&predict[..], &["skipped.json", "--read", "header_row=3", "--explain"]].concat());
    assert!(
        !skipped.status.success() && String::from_utf8_lossy(&skipped.stderr).contains("lacks the columns")
    );

    let mut left: Vec<String> = std::fs::read_dir(folder.path())
        .unwrap()
        .map(|entry| entry.unwrap().file_name().into_string().unwrap())
        .collect();
    left.sort();
    let expected = ["answers.csv", "answers.xlsx", "m.safetensors", "rows.csv", "warned.csv", "waves.csv"];
    assert_eq!(left, expected, "nothing half done stays behind");
}

#[test]
fn the_openapi_document_is_the_committed_one() {
    let folder = tempfile::tempdir().unwrap();
    let output = run(folder.path(), &["openapi"], &[]);
    let document: serde_json::Value = serde_json::from_slice(&output.stdout).unwrap();
    insta::assert_json_snapshot!("openapi", document);
}

#[test]
fn help_teaches() {
    let folder = tempfile::tempdir().unwrap();
    let help = run(folder.path(), &["--help"], &[]);
    let text = String::from_utf8_lossy(&help.stdout);
    assert!(
        help.status.success() && text.contains("taqicfd demo") && text.contains("TAQICFD_BIND"),
        "{text}"
    );
}

#[test]
fn a_model_file_is_exported_without_a_server() {
    let folder = tempfile::tempdir().unwrap();
    std::fs::write(folder.path().join("waves.csv"), waves(200)).unwrap();
    let settings = "{\"hidden_layers\": [8], \"preset\": \"fast\"}";
    let train = [
        "train",
        "waves.csv",
        "--target",
        "y",
        "--epochs",
        "3",
        "--settings",
        settings,
        "--output",
        "m.safetensors",
    ];
    assert!(run(folder.path(), &train, &[]).status.success());
    let output = run(folder.path(), &["export", "m.safetensors", "--format", "onnx"], &[]);
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    let file = std::fs::read(folder.path().join("m.onnx")).unwrap();
    assert_eq!(&file[..2], [0x08, 8], "it begins with the version of ONNX's format");
    refused(&run(folder.path(), &["export", "m.safetensors", "--format", "pmml"], &[]), "native, onnx");
    refused(&run(folder.path(), &["export", "waves.csv", "--format", "onnx"], &[]), "not a taqicfd model");
}
