//! The examples of `docs/clients.md`, run as they stand against a server.

use crate::{
    api::{Api, id, sample},
    python::python,
};
use serde_json::json;
use std::{
    path::{Path, PathBuf},
    process::{Command, Stdio},
};

/// The language of a block, what runs it, and how its file must end.
const INTERPRETERS: [(&str, &[&str], &str); 5] = [
    ("sh", &["sh"], "sh"),
    ("python", &["python3"], "py"),
    ("javascript", &["node"], "mjs"),
    ("r", &["Rscript"], "R"),
    ("matlab", &["octave-cli", "--no-init-file"], "m"),
];

fn example(text: &str, language: &str) -> String {
    let block = text.split("```").find_map(|block| block.strip_prefix(&format!("{language}\n")));
    block.unwrap_or_else(|| panic!("no example in {language}")).to_owned()
}

#[tokio::test]
async fn every_example_prints_what_predict_answers() {
    let root = Path::new(env!("CARGO_MANIFEST_DIR"));
    let text = std::fs::read_to_string(root.join("docs/clients.md")).unwrap();
    let api = Api::start(&[]).await;
    let dataset =
        id(&api.upload("airfoil_noise.csv", sample("airfoil_noise.csv")).await.expect(201), "dataset_id");
    let request = json!({"dataset_id": dataset, "target": "sound_pressure_db", "model_name": "airfoil", "preset": "fast", "epochs": 2});
    api.train(&request).await;
    let row = json!({"frequency_hz": 1000, "angle_of_attack_deg": 2, "chord_m": 0.3048, "free_stream_velocity_ms": 71.3,
        "displacement_thickness_m": 0.0027});
    let answer = api.post("/predict", &json!({"model": "airfoil", "data": [row]})).await.expect(200);
    let expected = answer["predictions"][0]["sound_pressure_db"].as_f64().unwrap();

    let folder = tempfile::tempdir().unwrap();
    for (language, interpreter, ending) in INTERPRETERS {
        let file = folder.path().join(format!("example.{ending}"));
        std::fs::write(&file, example(&text, language)).unwrap();
        let mut command = Command::new(interpreter[0]);
        command
            .args(&interpreter[1..])
            .arg(&file)
            .env("TAQICFD_URL", api.server.url(""))
            .stdin(Stdio::null());
        let Ok(output) = tokio::task::spawn_blocking(move || command.output()).await.unwrap() else {
            // Some must run, or this shows nothing.
            assert!(!["sh", "python"].contains(&language), "there is no {}", interpreter[0]);
            eprintln!("SKIPPED: the example in {language} is not run; there is no {}", interpreter[0]);
            continue;
        };
        let (said, errors) =
            (String::from_utf8_lossy(&output.stdout), String::from_utf8_lossy(&output.stderr));
        if language == "r"
            && ["httr2", "jsonlite"].iter().any(|package| errors.contains(package))
            && said.is_empty()
        {
            eprintln!("SKIPPED: the example in r is not run; httr2 or jsonlite is not installed");
            continue;
        }
        let value = said.trim().parse::<f64>();
        let is_right = value.is_ok_and(|value| (value - expected).abs() < 1e-9 * expected.abs());
        assert!(is_right, "{language} printed {said:?} instead of {expected}; {errors}");
    }
}

/// Where `npm` has put onnxruntime: named by the environment, or made by `.ci/run` beside the build.
fn node_modules() -> Option<PathBuf> {
    #[expect(clippy::disallowed_methods, reason = "a setting of the tests, not of the program")]
    let named = std::env::var_os("TAQICFD_TEST_NODE_MODULES").map(PathBuf::from);
    let program = std::env::current_exe().unwrap();
    let beside = program.ancestors().nth(3).map(|target| target.join("ci-node/node_modules"));
    [named, beside].into_iter().flatten().find(|folder| folder.join("onnxruntime-node").is_dir())
}

#[tokio::test]
async fn an_exported_model_answers_in_javascript_as_the_server_does() {
    let Some(modules) = node_modules() else {
        eprintln!(
            "SKIPPED: the exported model is not run in JavaScript; npm install onnxruntime-node, and name its folder in TAQICFD_TEST_NODE_MODULES"
        );
        return;
    };
    let root = Path::new(env!("CARGO_MANIFEST_DIR"));
    let api = Api::start(&[]).await;
    let dataset =
        id(&api.upload("perfil_ensaio.csv", sample("perfil_ensaio.csv")).await.expect(201), "dataset_id");
    let request = json!({"dataset_id": dataset, "targets": ["Cl", "Cd"], "model_name": "polar", "preset": "fast", "epochs": 5});
    let model = id(&api.train(&request).await, "model_id");
    let row = json!({"Data": "12/03/2024", "Configuração": "liso", "Pressão": "1012,5", "Reynolds": "300.000",
        "Ângulo de ataque": "4,5", "Turbulência": "0,3"});
    let answer = api.post("/predict", &json!({"model": "polar", "data": [row]})).await.expect(200);
    let expected = answer["predictions"][0]["Cl"].as_f64().unwrap();

    let folder = tempfile::tempdir().unwrap();
    let exported =
        api.request(reqwest::Method::GET, &format!("/model/{model}?format=onnx")).send().await.unwrap();
    let onnx = folder.path().join("polar.onnx");
    std::fs::write(&onnx, exported.bytes().await.unwrap()).unwrap();
    std::os::unix::fs::symlink(modules, folder.path().join("node_modules")).unwrap();
    let file = folder.path().join("example.mjs");
    std::fs::write(&file, example(&std::fs::read_to_string(root.join("docs/clients.md")).unwrap(), "js"))
        .unwrap();
    let output = Command::new("node").arg(file).env("TAQICFD_ONNX", onnx).output().unwrap();
    let said = String::from_utf8_lossy(&output.stdout);
    let is_right =
        said.trim().parse::<f64>().is_ok_and(|value| (value - expected).abs() < 1e-5 * expected.abs());
    assert!(is_right, "{said:?} instead of {expected}; {}", String::from_utf8_lossy(&output.stderr));
}

#[tokio::test]
async fn a_generated_client_uploads_trains_predicts_and_downloads() {
    let Some(python) = python("openapi_python_client", true) else { return };
    let root = Path::new(env!("CARGO_MANIFEST_DIR"));
    let api = Api::start(&[]).await;
    let folder = tempfile::tempdir().unwrap();
    let generate = Command::new(&python)
        .args(["-c", "from openapi_python_client.cli import app; app()", "generate", "--meta", "none"])
        .args(["--fail-on-warning", "--url", &api.server.url("/openapi.json"), "--config"])
        .arg(root.join("tests/clients/generator.yml"))
        .arg("--output-path")
        .arg(folder.path().join("taqicfd_client"))
        .output()
        .unwrap();
    assert!(
        generate.status.success(),
        "{}{}",
        String::from_utf8_lossy(&generate.stdout),
        String::from_utf8_lossy(&generate.stderr)
    );
    let client = Command::new(&python)
        .arg(root.join("tests/clients/generated.py"))
        .arg(api.server.url(""))
        .arg(root.join("data/samples/airfoil_noise.csv"))
        .env("PYTHONPATH", folder.path())
        .env("PYTHONDONTWRITEBYTECODE", "1")
        .output()
        .unwrap();
    let said = String::from_utf8_lossy(&client.stdout);
    assert!(said.contains("all done"), "{said}{}", String::from_utf8_lossy(&client.stderr));
}
