//! The models, over HTTP.

use crate::api::{Api, id};
use reqwest::Method;
use serde_json::json;

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
    assert_eq!(ids("/models?metric=rmse&at_most=1000").await, [first.clone()]);
    assert!(ids("/models?metric=rmse&at_least=1000").await.is_empty());
    for bad in [
        "/models?at_most=1",
        "/models?metric=rmse&at_most=NaN",
        "/models?sort=size",
        "/models?task=x",
        "/models?limit=0",
        "/models?cursor=7f",
        "/models?colour=red",
    ] {
        api.get(bad).await.refused(422, "invalid-parameter");
    }
    let card = api.get(&format!("/models/{second}")).await.expect(200);
    for part in ["inputs", "targets", "target_details", "settings", "split", "metrics", "baselines"] {
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
    assert_eq!(taqicfd::hash::of_bytes(&bytes), id(&summary, "sha256"));
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

#[tokio::test]
async fn an_alias_is_moved_while_others_ask_for_it() {
    let api = Api::start(&[]).await;
    let first = api.model().await;
    let put = |model: &str, alias: &str| {
        api.send(api.request(Method::PUT, &format!("/models/{model}/aliases/{alias}")))
    };
    let summary = put(&first, "champion").await.expect(200);
    assert_eq!((&summary["aliases"], &summary["version"]), (&json!(["champion"]), &json!(1)));
    let row = json!([{"x": 1.0, "z": 3, "kind": "a"}]);
    let ask = || async {
        let body = json!({"model": "WAVES@Champion", "data": row});
        api.post("/predict", &body).await.expect(200)["version"].clone()
    };
    assert_eq!(ask().await, 1);

    // Training again makes version 2, and whoever asks for the champion keeps being answered by version 1.
    let request = json!({"target": "y", "epochs": 5, "hidden_layers": [8], "model_name": "waves", "seed": 7});
    let (trained, versions) = tokio::join!(api.train(&request), async {
        let mut versions = Vec::new();
        for _ in 0..20 {
            versions.push(ask().await);
        }
        versions
    });
    let second = id(&trained, "model_id");
    assert!(versions.iter().all(|version| *version == 1) && ask().await == 1, "{versions:?}");
    let body = json!({"instances": row});
    assert_eq!(api.post("/v1/models/waves:predict", &body).await.expect(200)["model_version"], "2");

    // It moves in one step: asking all the while never fails.
    let (moved, versions) = tokio::join!(put(&second, "champion"), async {
        let mut versions = Vec::new();
        for _ in 0..50 {
            versions.push(ask().await);
        }
        versions
    });
    assert_eq!(moved.expect(200)["version"], 2);
    assert!(versions.is_sorted_by_key(serde_json::Value::as_i64), "{versions:?}");
    assert_eq!(ask().await, 2);
    for path in ["/v1/models/waves/labels/champion:predict", "/v1/models/waves@champion:predict"] {
        assert_eq!(api.post(path, &body).await.expect(200)["model_version"], "2", "{path}");
    }
    let tensor =
        json!({"inputs": [{"name": "m", "shape": [1, 3], "datatype": "BYTES", "data": ["1", "3", "a"]}]});
    let answer = api.post("/v2/models/waves@champion/infer", &tensor).await.expect(200);
    assert_eq!((&answer["model_name"], &answer["model_version"]), (&json!("waves"), &json!("2")));

    let ids = |list: serde_json::Value| -> Vec<String> {
        list["models"].as_array().unwrap().iter().map(|model| id(model, "model_id")).collect()
    };
    assert_eq!(ids(api.get("/models?alias=champion").await.expect(200)), [second.clone()]);
    assert_eq!(api.get(&format!("/models/{first}")).await.expect(200)["aliases"], json!([]));
    let refused = api.delete(&format!("/models/{second}")).await.refused(409, "model-has-aliases");
    assert!(refused["detail"].as_str().unwrap().contains("champion"), "{refused}");
    for bad in ["3", "a%20b", "a%2Fb"] {
        put(&first, bad).await.refused(422, "invalid-parameter");
    }
    put("none", "champion").await.refused(404, "model-not-found");
    let events = api.get("/events?action=set_alias").await.expect(200);
    assert_eq!(events["events"][0]["details"], json!({"alias": "champion", "version": 2}));
    api.delete(&format!("/models/{first}/aliases/champion")).await.expect(204);
    assert_eq!(ask().await, 2, "the other version keeps it");
    api.delete(&format!("/models/{second}/aliases/CHAMPION")).await.expect(204);
    api.post("/predict", &json!({"model": "waves@champion", "data": row}))
        .await
        .refused(404, "model-not-found");
    api.delete(&format!("/models/{second}")).await.expect(204);
}

#[tokio::test]
async fn two_models_are_compared_and_each_tells_where_it_came_from() {
    let api = Api::start(&[]).await;
    let first = api.model().await;
    let text: String = crate::api::waves(190).replace("x,z,kind,y", "x,w,kind,y");
    let dataset = api.upload("other.csv", text).await.expect(201);
    let request = json!({"dataset_id": dataset["dataset_id"], "target": "y", "epochs": 7, "hidden_layers": [8],
        "model_name": "waves", "tags": {"campaign": "A"}});
    let second = id(&api.train(&request).await, "model_id");
    let card = api.get(&format!("/models/{second}")).await.expect(200);
    assert_eq!(card["lineage"]["dataset"]["sha256"], dataset["sha256"]);
    assert_eq!(card["lineage"]["dataset"]["filename"], "other.csv");
    assert_eq!(card["lineage"]["program"], json!({"name": "taqicfd", "version": env!("CARGO_PKG_VERSION")}));
    assert!(card["training_id"].is_string() && card["settings"].is_object());

    let compared = api.get(&format!("/models/compare?a=waves/1&b={second}")).await.expect(200);
    assert_eq!((&compared["a"]["model_id"], &compared["b"]["version"]), (&json!(first), &json!(2)));
    let found = |part: &str| -> Vec<String> {
        compared[part].as_array().unwrap().iter().map(|difference| id(difference, "name")).collect()
    };
    let epochs = &compared["settings"].as_array().unwrap()[..];
    let epochs = epochs.iter().find(|difference| difference["name"] == "epochs").unwrap();
    assert_eq!(epochs, &json!({"name": "epochs", "a": 5, "b": 7, "change": 2.0}));
    assert!(!found("settings").contains(&"hidden_layers".to_owned()), "both have it: {compared}");
    assert!(found("data").contains(&"sha256".to_owned()) && found("data").contains(&"rows".to_owned()));
    let columns = found("columns");
    assert!(["inputs.z", "inputs.w"].iter().all(|name| columns.iter().any(|own| own == name)), "{columns:?}");
    assert!(!columns.iter().any(|name| name.starts_with("inputs.kind")), "{columns:?}");
    assert!(found("metrics").contains(&"rmse".to_owned()));
    assert_eq!(compared["tags"], json!([{"name": "campaign", "a": null, "b": "A"}]));

    let same = api.get("/models/compare?a=waves&b=WAVES").await.expect(200);
    for part in ["settings", "metrics", "data", "columns", "network", "tags"] {
        assert_eq!(same[part], json!([]), "{part}");
    }
    api.get("/models/compare?a=waves&b=none").await.refused(404, "model-not-found");
    api.get("/models/compare?a=waves").await.refused(422, "invalid-parameter");
}
