//! The models, over HTTP.

use crate::api::{Api, id};
use reqwest::Method;
use serde_json::json;
use sha2::{Digest, Sha256};

#[tokio::test]
async fn models_are_listed_filtered_sorted_and_described() {
    let api = Api::start(&[]).await;
    let first = api.model().await;
    let dataset = api.get("/datasets").await.expect(200)["datasets"][0]["dataset_id"].clone();
    let request = json!({"dataset_id": dataset, "target": "kind", "epochs": 3, "hidden_layers": [8],
        "model_name": "kinds", "tags": {"campaign": "A"}});
    let second = id(&api.train(&request).await, "model_id");
    let ids = |path: &'static str| {
        let api = &api;
        async move {
            let list = api.get(path).await.expect(200);
            list["models"].as_array().unwrap().iter().map(|model| id(model, "model_id")).collect::<Vec<_>>()
        }
    };
    assert_eq!(ids("/models").await, [second.clone(), first.clone()]);
    assert_eq!(ids("/models?sort=created_at").await, [first.clone(), second.clone()]);
    assert_eq!(ids("/models?task=regression").await, [first.clone()]);
    assert_eq!(ids("/models?name=KINDS").await, [second.clone()]);
    assert_eq!(ids("/models?tag=campaign:A").await, [second.clone()]);
    assert_eq!(ids("/models?sort=-metrics.rmse&limit=1").await, [first.clone()]);
    for bad in
        ["/models?sort=size", "/models?task=x", "/models?limit=0", "/models?cursor=7f", "/models?colour=red"]
    {
        api.get(bad).await.refused(422, "invalid-parameter");
    }
    let card = api.get(&format!("/models/{second}")).await.expect(200);
    for part in ["inputs", "targets", "settings", "split", "metrics", "baselines"] {
        assert!(!card[part].is_null(), "{part}: {card}");
    }
    api.get("/models/none").await.refused(404, "model-not-found");
    let request = json!({"model_id": second, "data": [{"x": 1, "z": 2, "y": 0.5}]});
    let answer = api.post("/predict", &request).await.expect(200);
    assert!(answer["intervals"].is_null() && answer["predictions"][0]["kind"].is_string(), "{answer}");
    let shares = answer["probabilities"][0]["kind"].as_object().unwrap();
    assert!((shares.values().filter_map(serde_json::Value::as_f64).sum::<f64>() - 1.0).abs() < 1e-6);
}

#[tokio::test]
async fn models_are_renamed_only_by_those_who_saw_them() {
    let api = Api::start(&[]).await;
    let model = api.model().await;
    let path = format!("/models/{model}");
    let etag = api.get(&path).await.header("etag").to_owned();
    let patch = |etag: String, body: serde_json::Value| {
        api.send(api.request(Method::PATCH, &path).header("If-Match", etag).json(&body))
    };
    let changed = patch(etag.clone(), json!({"model_name": "polar", "tags": {"a": "b"}})).await.expect(200);
    assert_eq!((&changed["model_name"], &changed["tags"]["a"]), (&json!("polar"), &json!("b")));
    patch(etag, json!({"description": "x"})).await.refused(412, "precondition-failed");
    api.send(api.request(Method::PATCH, &path).json(&json!({"version": 9})))
        .await
        .refused(422, "invalid-parameter");
    let request = json!({"model": "polar", "data": [{"x": 1, "z": 2, "kind": "a"}]});
    assert_eq!(api.post("/predict", &request).await.expect(200)["model_name"], "polar");
}

#[tokio::test]
async fn a_model_file_is_downloaded_whole_in_parts_and_not_twice() {
    let api = Api::start(&[]).await;
    let model = api.model().await;
    let summary = api.get(&format!("/models/{model}")).await.expect(200);
    let path = format!("/model/{model}");
    let get = |headers: &[(&'static str, String)]| {
        let request =
            headers.iter().fold(api.request(Method::GET, &path), |r, (name, value)| r.header(*name, value));
        request.send()
    };
    let whole = get(&[]).await.unwrap();
    let etag = format!("\"{}\"", id(&summary, "sha256"));
    assert_eq!(whole.headers()["etag"], etag);
    assert!(
        whole.headers()["content-disposition"].to_str().unwrap().contains("waves-v1.taqicfd.safetensors")
    );
    assert!(whole.headers()["content-digest"].to_str().unwrap().starts_with("sha-256=:"));
    let bytes = whole.bytes().await.unwrap();
    let digest: String = Sha256::digest(&bytes).iter().map(|byte| format!("{byte:02x}")).collect();
    assert_eq!(digest, id(&summary, "sha256"));
    assert!(safetensors::SafeTensors::deserialize(&bytes).is_ok());

    let part = get(&[("Range", "bytes=4-7".into())]).await.unwrap();
    assert_eq!((part.status().as_u16(), part.bytes().await.unwrap()), (206, bytes.slice(4..8)));
    let beyond = get(&[("Range", format!("bytes={}-", bytes.len()))]).await.unwrap();
    assert_eq!(
        (beyond.status().as_u16(), &beyond.headers()["content-range"]),
        (416, &format!("bytes */{}", bytes.len())[..].parse().unwrap())
    );
    assert_eq!(get(&[("If-None-Match", etag.clone())]).await.unwrap().status(), 304);
    let stale = get(&[("Range", "bytes=4-7".into()), ("If-Range", "\"old\"".into())]).await.unwrap();
    assert_eq!(stale.status(), 200);
    let head = api.request(Method::HEAD, &path).send().await.unwrap();
    assert_eq!(head.headers()["content-length"], bytes.len().to_string());
    std::fs::remove_file(api.folder.path().join(format!("models/{model}.safetensors"))).unwrap();
    api.get(&path).await.refused(500, "model-corrupt");
    assert_eq!(api.get(&format!("/models/{model}")).await.expect(200)["status"], "missing");
}
