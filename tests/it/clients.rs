//! The examples of `docs/clients.md`, run as they stand against a server.

use crate::api::{Api, id};
use serde_json::json;
use std::{
    path::Path,
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
    let sample = std::fs::read(root.join("data/samples/airfoil_noise.csv")).unwrap();
    let dataset = id(&api.upload("airfoil_noise.csv", sample).await.expect(201), "dataset_id");
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
            eprintln!("SKIPPED: the example in {language} is not run; there is no {}", interpreter[0]);
            continue;
        };
        let (said, errors) =
            (String::from_utf8_lossy(&output.stdout), String::from_utf8_lossy(&output.stderr));
        if language == "r" && errors.contains("httr2") {
            eprintln!("SKIPPED: the example in r is not run; the package httr2 is not installed");
            continue;
        }
        let value = said.trim().parse::<f64>();
        let is_right = value.is_ok_and(|value| (value - expected).abs() < 1e-9 * expected.abs());
        assert!(is_right, "{language} printed {said:?} instead of {expected}; {errors}");
    }
}
