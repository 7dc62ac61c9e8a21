//! Model files that come back: whole ones become models, damaged and lying ones are refused.

use crate::api::{Answer, Api, id, waves};
use proptest::prelude::*;
use reqwest::{Method, multipart};
use safetensors::{Dtype, SafeTensors, tensor::TensorView};
use serde_json::{Value, json};
use sha2::{Digest, Sha256};
use std::{collections::HashMap, sync::LazyLock};
use taqicfd::{
    dataset::{ReadLimits, ReadOptions, read},
    export,
    model::{Backend, Cell, Model, ModelError, PredictOptions, UnknownCategory},
    training::{Compute, Data, Limits, Stop, TrainRequest, check, train},
};

async fn post(api: &Api, query: &str, bytes: &[u8]) -> Answer {
    let request = api.request(Method::POST, &format!("/models/import{query}")).body(bytes.to_vec());
    api.send(request.header("Content-Type", "application/octet-stream")).await
}

async fn file(api: &Api, model: &str) -> Vec<u8> {
    let path = format!("/model/{model}");
    api.request(Method::GET, &path).send().await.unwrap().bytes().await.unwrap().to_vec()
}

#[tokio::test]
async fn a_downloaded_model_becomes_a_model_on_another_server() {
    let (here, there) = (Api::start(&[]).await, Api::start(&[]).await);
    let original = here.model().await;
    let bytes = file(&here, &original).await;

    let imported = post(&there, "", &bytes).await;
    let location = imported.header("location").to_owned();
    let imported = imported.expect(201);
    let model = id(&imported, "model_id");
    assert_eq!(location, format!("/models/{model}"));
    assert_eq!((&imported["model_name"], &imported["version"]), (&json!("waves"), &json!(1)));
    assert!(imported["training_id"].is_null() && imported["dataset_id"].is_null(), "{imported}");
    let known = here.get(&format!("/models/{original}")).await.expect(200);
    for same in ["sha256", "size_bytes", "metrics", "task", "targets"] {
        assert_eq!(imported[same], known[same], "{same}");
    }
    assert_eq!(file(&there, &model).await, bytes);

    let rows = json!([{"x": 1, "z": 2, "kind": "a"}, {"x": 50, "z": 2, "kind": "b"}]);
    let ask = |model: &str| json!({"model_id": model, "data": rows});
    let (a, b) = (here.post("/predict", &ask(&original)).await, there.post("/predict", &ask(&model)).await);
    let (a, b) = (a.expect(200), b.expect(200));
    for part in ["predictions", "intervals", "in_domain", "domain_score"] {
        assert_eq!(a[part], b[part], "{part}");
    }
    let card = there.get(&format!("/models/{model}")).await.expect(200);
    assert!(card["inputs"][0]["range"].is_array() && card["baselines"]["linear"].is_object(), "{card}");
    let path = format!("/model/{model}?format=card.md");
    let text = there.request(Method::GET, &path).send().await.unwrap().text().await.unwrap();
    assert!(text.contains("trained elsewhere and imported") && text.contains("| this model |"), "{text}");

    assert_eq!(id(&post(&there, "", &bytes).await.expect(200), "model_id"), model, "it is there already");
    let form = multipart::Form::new()
        .part("file", multipart::Part::bytes(bytes.clone()).file_name("waves.safetensors"))
        .text("model_name", "other waves");
    let other = there.send(there.request(Method::POST, "/models/import").multipart(form)).await.expect(201);
    assert_eq!((&other["model_name"], &other["version"]), (&json!("other waves"), &json!(1)));
    assert_eq!(there.get("/models").await.expect(200)["models"].as_array().unwrap().len(), 2);
    assert_eq!(there.get("/events").await.expect(200)["events"][0]["action"], "import");
}

#[tokio::test]
async fn what_is_no_whole_model_is_refused_and_leaves_nothing() {
    let api = Api::start(&[]).await;
    let bytes = file(&api, &api.model().await).await;
    let mut changed = bytes.clone();
    // One digit of the manifest: still JSON, still a model, but not the one that was trained.
    let digit = bytes.windows(7).position(|w| w == b"center\\").unwrap();
    let digit = digit + bytes[digit..].iter().position(u8::is_ascii_digit).unwrap();
    changed[digit] = if bytes[digit] == b'9' { b'8' } else { bytes[digit] + 1 };
    for damaged in
        [bytes[..bytes.len() / 2].to_vec(), [&bytes[..], b"\0"].concat(), changed, b"PK\x03\x04".to_vec()]
    {
        let problem = post(&api, "?model_name=x", &damaged).await.refused(422, "malformed-model");
        assert!(problem["detail"].as_str().unwrap().contains("damaged"), "{problem}");
    }
    post(&api, "", b"").await.refused(400, "missing-body");
    post(&api, "?model_name=%09", &bytes).await.refused(422, "invalid-parameter");
    let request = json!({"target": "z", "epochs": 2, "hidden_layers": [8], "model_name": "z"});
    let other = file(&api, &id(&api.train(&request).await, "model_id")).await;
    post(&api, "?model_name=WAVES", &other).await.refused(409, "name-in-use");
    post(&api, "?name=x", &bytes).await.refused(422, "invalid-parameter");
    let form = multipart::Form::new().text("colour", "red");
    let answer = api.send(api.request(Method::POST, "/models/import").multipart(form)).await;
    answer.refused(400, "malformed-multipart");
    assert_eq!(api.get("/models").await.expect(200)["models"].as_array().unwrap().len(), 2);
    assert_eq!(api.temp_files(), 0);
    let files = std::fs::read_dir(api.folder.path().join("models")).unwrap().count();
    assert_eq!(files, 3, "nothing of what was refused is kept; one is the mark of the folder");
}

/// A small model with numbers, a category and two networks.
fn small(target: &str) -> Vec<u8> {
    let text = waves(120);
    let reading =
        read(text.as_bytes(), "waves.csv", &ReadOptions::default(), &ReadLimits::default()).unwrap();
    let request = json!({"target": target, "epochs": 2, "hidden_layers": [4], "validation": {"folds": 2}});
    let request: TrainRequest = serde_json::from_value(request).unwrap();
    let spec = check(&request, &reading.description, "waves", &Limits::default()).unwrap().spec;
    let data = Data { table: &reading.table, description: &reading.description, test_rows: None };
    let compute = Compute { backend: Backend::Flex, threads: 1, checkpoint_s: 1e9 };
    train(&data, &spec, &compute, None, &mut |_| {}, &Stop::new()).unwrap().bytes
}

static SMALL: LazyLock<Vec<u8>> = LazyLock::new(|| small("y"));

proptest! {
    #![proptest_config(ProptestConfig { cases: 400, ..ProptestConfig::default() })]

    #[test]
    fn any_damage_to_a_model_file_is_found(
        edits in prop::collection::vec((any::<prop::sample::Index>(), any::<u8>(), 0..3_u8), 1..4),
        cut in prop::option::of(any::<prop::sample::Index>()),
    ) {
        let mut damaged = SMALL.clone();
        for (at, byte, how) in edits {
            let at = at.index(damaged.len());
            match how {
                0 => damaged[at] = byte,
                1 => damaged.insert(at, byte),
                _ => { damaged.remove(at); }
            }
        }
        if let Some(cut) = cut {
            damaged.truncate(cut.index(damaged.len()));
        }
        prop_assume!(damaged != *SMALL);
        let read = Model::from_foreign_bytes(&damaged, Backend::Flex);
        prop_assert!(matches!(read, Err(ModelError::Corrupt(_))), "{read:?}");
    }
}

/// The file with another manifest, and a checksum that fits: what somebody would write who means harm.
fn with_manifest(file: &[u8], manifest: &Value) -> Vec<u8> {
    let tensors = SafeTensors::deserialize(file).unwrap();
    let zeros = [0; 32];
    let views = tensors.tensors().into_iter().map(|(name, view)| match name.as_str() {
        "checksum" => (name, TensorView::new(Dtype::U8, vec![32], &zeros).unwrap()),
        _ => (name, view),
    });
    let metadata = HashMap::from([("taqicfd".to_owned(), manifest.to_string())]);
    let mut written = safetensors::serialize(views.collect::<Vec<_>>(), Some(metadata)).unwrap();
    let (header, metadata) = SafeTensors::read_metadata(&written).unwrap();
    let begin = 8 + header + metadata.info("checksum").unwrap().data_offsets.0;
    let checksum = Sha256::digest(&written);
    written[begin..begin + 32].copy_from_slice(&checksum);
    written
}

/// The JSON pointers of everything in a document.
fn pointers(value: &Value, path: &str, found: &mut Vec<String>) {
    let children: Vec<(String, &Value)> = match value {
        Value::Object(fields) => {
            fields.iter().map(|(name, value)| (name.replace('~', "~0").replace('/', "~1"), value)).collect()
        }
        Value::Array(items) => items.iter().enumerate().map(|(i, value)| (i.to_string(), value)).collect(),
        _ => Vec::new(),
    };
    for (name, child) in children {
        let path = format!("{path}/{name}");
        found.push(path.clone());
        pointers(child, &path, found);
    }
}

#[test]
fn no_manifest_however_it_lies_makes_anything_panic() {
    let hostile = [
        json!(0),
        json!(-1),
        json!(1),
        json!(7),
        json!(u64::MAX),
        json!(1e308),
        json!(-1e308),
        json!(0.5),
        json!(""),
        json!("a"),
        json!(null),
        json!([]),
        json!({}),
        json!(true),
        json!([0]),
        json!(["a", "a"]),
        json!([[5, -5]]),
    ];
    let (mut n_read, mut n_refused) = (0, 0);
    for target in ["y", "kind"] {
        let file = small(target);
        let (_, metadata) = SafeTensors::read_metadata(&file).unwrap();
        let manifest: Value =
            serde_json::from_str(&metadata.metadata().as_ref().unwrap()["taqicfd"]).unwrap();
        assert_eq!(with_manifest(&file, &manifest).len(), file.len());
        assert!(Model::from_foreign_bytes(&with_manifest(&file, &manifest), Backend::Flex).is_ok());
        let mut places = Vec::new();
        pointers(&manifest, "", &mut places);
        // Long lists of scores are all alike.
        places.retain(|place| {
            place
                .split('/')
                .all(|part| part.parse::<usize>().is_ok_and(|i| i < 4) || part.parse::<usize>().is_err())
        });
        places.retain(|place| !place.starts_with("/settings") && !place.starts_with("/scores"));
        for place in &places {
            for value in &hostile {
                let mut lying = manifest.clone();
                *lying.pointer_mut(place).unwrap() = value.clone();
                match Model::from_foreign_bytes(&with_manifest(&file, &lying), Backend::Flex) {
                    Ok(model) => {
                        n_read += 1;
                        use_it(&model);
                    }
                    Err(_) => n_refused += 1,
                }
            }
        }
    }
    assert!(n_read > 100 && n_refused > 1000, "{n_read} {n_refused}");
}

/// Everything that a server does with a model.
fn use_it(model: &Model) {
    let options = PredictOptions {
        unknown_category: UnknownCategory::Nearest,
        explain: true,
        ..PredictOptions::default()
    };
    for cell in
        [Cell::Number(1.0), Cell::Number(-1e300), Cell::Text("a".into()), Cell::Missing, Cell::Boolean(true)]
    {
        let cells: Vec<Cell> = model.inputs().iter().map(|_| cell.clone()).collect();
        let _ = model.predict(&cells, 1, &options);
    }
    let mixed: Vec<Cell> = model
        .inputs()
        .iter()
        .map(|input| if input.levels.is_empty() { Cell::Number(3.0) } else { Cell::Text("b".into()) })
        .collect();
    for confidence in [0.5, 0.9999] {
        let _ = model.predict(&mixed, 1, &PredictOptions { confidence: Some(confidence), ..options });
    }
    let _ = export::onnx::to_bytes(model);
    let _ = export::torch::to_bytes(model);
}
