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
