//! ONNX files: read by a reader of our own, and run where onnxruntime is.

use super::{download, mixed};
use crate::api::{Api, id, sample, waves};
use crate::python::python;
use serde_json::{Map, Value, json};
use std::{
    collections::{BTreeMap, BTreeSet},
    path::Path,
    process::Command,
};

/// The fields of a message of Protocol Buffers: number to integers and byte strings, in their order.
#[derive(Default)]
struct Fields<'a> {
    integers: BTreeMap<u64, Vec<u64>>,
    bytes: BTreeMap<u64, Vec<&'a [u8]>>,
}

/// A reader of its own, so that the writer is not tested by itself.
fn fields(mut bytes: &[u8]) -> Fields<'_> {
    fn varint(bytes: &mut &[u8]) -> u64 {
        let n = bytes.iter().position(|byte| byte & 0x80 == 0).unwrap() + 1;
        let (own, rest) = bytes.split_at(n);
        *bytes = rest;
        own.iter().rev().fold(0, |value, byte| value << 7 | u64::from(byte & 0x7f))
    }
    let mut found = Fields::default();
    while !bytes.is_empty() {
        let key = varint(&mut bytes);
        match key & 7 {
            0 => found.integers.entry(key >> 3).or_default().push(varint(&mut bytes)),
            wire_type => {
                let n = if wire_type == 2 { varint(&mut bytes) as usize } else { 4 };
                let (own, rest) = bytes.split_at(n);
                found.bytes.entry(key >> 3).or_default().push(own);
                bytes = rest;
            }
        }
    }
    found
}

impl Fields<'_> {
    fn text(&self, field: u64) -> String {
        String::from_utf8(self.bytes[&field][0].to_vec()).unwrap()
    }
}

/// Names and element types of the inputs (11) or outputs (12) of a `GraphProto`.
fn values(graph: &Fields, field: u64) -> Vec<(String, u64)> {
    let infos = graph.bytes[&field].iter().map(|info| {
        let info = fields(info);
        let tensor = fields(info.bytes[&2][0]);
        (info.text(1), fields(tensor.bytes[&1][0]).integers[&1][0])
    });
    infos.collect()
}

const TEXT: u64 = 8;
const BOOL: u64 = 9;
const DOUBLE: u64 = 11;

#[tokio::test]
async fn the_onnx_file_has_the_columns_of_the_user_and_everything_that_a_prediction_has() {
    let api = Api::start(&[]).await;
    let dataset = api.dataset().await;
    let mut files = Vec::new();
    for target in ["y", "kind"] {
        let request = json!({"dataset_id": dataset, "target": target, "epochs": 3, "hidden_layers": [8], "model_name": target});
        let model = id(&api.train(&request).await, "model_id");
        files.push(download(&api, &format!("/model/{model}?format=onnx"), None).await.bytes().await.unwrap());
    }
    let of = |name: &str, kind: u64| (name.to_owned(), kind);
    let [numbers, classes] = files.as_slice() else { panic!() };

    let model = fields(numbers);
    assert_eq!(model.integers[&1], [8], "the version of the format");
    let opsets: Vec<u64> = model.bytes[&8].iter().map(|opset| fields(opset).integers[&2][0]).collect();
    assert_eq!(opsets, [17, 3]);
    let graph = fields(model.bytes[&7][0]);
    assert_eq!(values(&graph, 11), [of("x", DOUBLE), of("z", DOUBLE), of("kind", TEXT)]);
    let expected = [
        of("y", DOUBLE),
        of("y_lower", DOUBLE),
        of("y_upper", DOUBLE),
        of("in_domain", BOOL),
        of("domain_score", DOUBLE),
    ];
    assert_eq!(values(&graph, 12), expected);
    let properties: BTreeMap<String, String> =
        model.bytes[&14].iter().map(|entry| (fields(entry).text(1), fields(entry).text(2))).collect();
    let example: Value = serde_json::from_str(&properties["taqicfd.example"]).unwrap();
    let row = |name: &str| example["inputs"][name][0].clone();
    let request = json!({"model": "y", "data": [{"x": row("x"), "z": row("z"), "kind": row("kind")}]});
    let answer = api.post("/predict", &request).await.expect(200);
    assert_eq!(answer["predictions"][0]["y"], example["outputs"]["y"][0][0]);
    assert_eq!(answer["intervals"][0]["y"]["upper_bound"], example["outputs"]["y_upper"][0][0]);
    assert_eq!(example["outputs"]["in_domain"][3], json!([false]), "the last row is outside");
    let card: Value = serde_json::from_str(&properties["taqicfd.card"]).unwrap();
    assert!(card["scores"]["metrics"]["rmse"].is_number(), "{card}");

    let graph = fields(fields(classes).bytes[&7][0]);
    assert_eq!(values(&graph, 11), [of("x", DOUBLE), of("z", DOUBLE), of("y", DOUBLE)]);
    let expected = [
        of("kind", TEXT),
        of("kind_probabilities", DOUBLE),
        of("kind_set", BOOL),
        of("in_domain", BOOL),
        of("domain_score", DOUBLE),
    ];
    assert_eq!(values(&graph, 12), expected);
}

/// Waves in which -999 stands for a missing `x` in every ninth row.
fn sentinels(n_rows: usize) -> String {
    let line = |(i, line): (usize, &str)| match line.split_once(',') {
        Some((_, rest)) if i % 9 == 5 => format!("-999,{rest}\n"),
        _ => format!("{line}\n"),
    };
    waves(n_rows).lines().enumerate().map(line).collect()
}

/// A prediction of `rows`, and what `benches/peers/export.py` compares an exported model with.
async fn expectation(api: &Api, card: &Value, rows: &[Map<String, Value>]) -> Value {
    let inputs = card["inputs"].as_array().unwrap();
    let mut rows = rows.to_vec();
    for (index, row) in rows.iter_mut().enumerate() {
        let input = &inputs[index / 5 % inputs.len()];
        if index % 5 == 0 && input["kind"] == "category" {
            row.insert(id(input, "name"), json!("never seen"));
        }
    }
    if inputs.iter().any(|input| input["name"] == "z") {
        // What stands for a missing value in the table of sentinels.
        rows.iter_mut().filter(|row| row["x"].is_null()).for_each(|row| row["x"] = json!(-999));
    }
    let request = json!({"model_id": card["model_id"], "data": rows, "unknown_category": "missing"});
    let answer = api.post("/predict", &request).await.expect(200);
    let mut columns = Map::new();
    for input in inputs {
        let name = id(input, "name");
        let as_given = |row: &Map<String, Value>| match (input["kind"].as_str().unwrap(), &row[&name]) {
            ("category", Value::Null) => json!(""),
            ("date", Value::String(text)) => {
                json!(chrono::DateTime::parse_from_rfc3339(text).unwrap().timestamp_millis() as f64)
            }
            ("boolean", Value::Bool(flag)) => json!(u8::from(*flag)),
            (_, value) => value.clone(),
        };
        columns.insert(name.clone(), rows.iter().map(as_given).collect());
    }
    let targets = card["targets"].as_array().unwrap().iter().map(|target| target.as_str().unwrap());
    let ranges: Map<String, Value> = targets
        .map(|target| {
            let known = || rows.iter().filter_map(|row| row[target].as_f64());
            let range = known().fold(f64::MIN, f64::max) - known().fold(f64::MAX, f64::min);
            (target.to_owned(), json!(range))
        })
        .collect();
    json!({"columns": columns, "n_refused": 0, "answer": answer, "ranges": ranges})
}

/// Runs the pairs of files, `NAME.onnx` and `NAME.json`, and returns one report for each.
fn compare(python: &Path, folder: &Path, names: &[String]) -> Vec<Value> {
    let files =
        names.iter().flat_map(|name| ["onnx", "json"].map(|end| folder.join(format!("{name}.{end}"))));
    let output = Command::new(python)
        .arg(concat!(env!("CARGO_MANIFEST_DIR"), "/benches/peers/export.py"))
        .args(files)
        .output()
        .unwrap();
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    String::from_utf8(output.stdout)
        .unwrap()
        .lines()
        .map(|line| serde_json::from_str(line).unwrap())
        .collect()
}

#[tokio::test]
async fn onnxruntime_answers_as_predict_does() {
    let Some(python) = python("numpy, onnx, onnxruntime", true) else { return };
    let api = Api::start(&[]).await;
    let mut trainings = vec![
        ("penguins.csv", sample("penguins.csv"), json!({"target": "species"})),
        ("perfil_ensaio.csv", sample("perfil_ensaio.csv"), json!({"targets": ["Cl", "Cd"]})),
        ("perfil_ensaio.csv", sample("perfil_ensaio.csv"), json!({"target": "Cd", "target_scale": "log"})),
        ("waves.csv", waves(60).into_bytes(), json!({"target": "y", "preset": "fast"})),
        ("sentinels.csv", sentinels(60).into_bytes(), json!({"target": "y", "preset": "fast"})),
        (
            "mixed.csv",
            mixed(400).into_bytes(),
            json!({"target": "class", "exclude": ["y"], "preset": "best"}),
        ),
        ("mixed.csv", mixed(400).into_bytes(), json!({"target": "y", "exclude": ["class"]})),
    ];
    for activation in ["relu", "leaky_relu", "elu", "selu", "silu", "mish", "gelu", "tanh", "sigmoid"] {
        let request = json!({"target": "y", "exclude": ["class"], "architecture": "mlp", "activation": activation, "preset": "fast"});
        trainings.push(("mixed.csv", mixed(400).into_bytes(), request));
    }
    let folder = tempfile::tempdir().unwrap();
    let (mut names, mut kinds) = (Vec::new(), BTreeSet::new());
    for (index, (filename, bytes, mut request)) in trainings.into_iter().enumerate() {
        let uploaded = api.upload(filename, bytes).await;
        let dataset = id(&uploaded.body, "dataset_id");
        for (key, value) in
            [("dataset_id", json!(dataset)), ("epochs", json!(5)), ("hidden_layers", json!([16, 16]))]
        {
            request[key] = value;
        }
        let model = id(&api.train(&request).await, "model_id");
        let card = api.get(&format!("/models/{model}")).await.expect(200);
        kinds.extend(card["inputs"].as_array().unwrap().iter().map(|input| id(input, "kind")));
        let rows = api.get(&format!("/datasets/{dataset}/rows?limit=400")).await.expect(200);
        let rows: Vec<Map<String, Value>> = serde_json::from_value(rows["rows"].clone()).unwrap();
        let is_found = filename != "sentinels.csv" || rows.iter().any(|row| row["x"].is_null());
        assert!(is_found, "-999 stands for a missing value");
        let name = format!("{index}-{filename}");
        let file = download(&api, &format!("/model/{model}?format=onnx"), None).await.bytes().await.unwrap();
        std::fs::write(folder.path().join(format!("{name}.onnx")), file).unwrap();
        let expected = expectation(&api, &card, &rows).await;
        std::fs::write(folder.path().join(format!("{name}.json")), expected.to_string()).unwrap();
        names.push(name);
    }
    assert_eq!(
        kinds,
        ["boolean", "category", "date", "number"].map(str::to_owned).into(),
        "every kind of column"
    );
    let reports = compare(&python, folder.path(), &names);
    assert_eq!(reports.len(), names.len());
    for (name, report) in names.iter().zip(&reports) {
        eprintln!("{name}: {report}");
        for near in ["value", "bound", "probability"] {
            assert!(report[near].as_f64().is_none_or(|difference| difference < 1e-5), "{name}: {report}");
        }
        for equal in ["labels", "sets", "domain", "score"] {
            assert!(report[equal].as_u64().is_none_or(|n| n == 0), "{name}: {report}");
        }
        assert!(report["note"].is_null(), "{name}: {report}");
    }
}
