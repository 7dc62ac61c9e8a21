//! `POST /predict`, over HTTP.

use crate::api::{Api, id};
use futures::future::join_all;
use serde_json::{Value, json};

fn row() -> Value {
    json!({"x": 1.0, "z": 3, "kind": "a"})
}

#[tokio::test]
async fn rows_columns_and_matrix_give_the_same_predictions() {
    let api = Api::start(&[]).await;
    let model = api.model().await;
    let rows = json!([row(), {"kind": "b", "z": 2, "x": 4.5}]);
    let columns = json!({"x": [1.0, 4.5], "z": [3, 2], "kind": ["a", "b"]});
    let matrix = json!([[1.0, 3, "a"], [4.5, 2, "b"]]);
    let mut answers = Vec::new();
    for data in [rows, columns, matrix] {
        let request = json!({"model_id": model, "data": data, "confidence": 0.8});
        answers.push(api.post("/predict", &request).await.expect(200));
    }
    assert!(answers[0] == answers[1] && answers[1] == answers[2]);
    let answer = &answers[0];
    assert_eq!(
        (&answer["model_id"], &answer["model_name"], &answer["version"]),
        (&json!(model), &json!("waves"), &json!(1))
    );
    assert_eq!((&answer["confidence"], &answer["in_domain"]), (&json!(0.8), &json!([true, true])));
    let (low, y, high) = (
        answer["intervals"][1]["y"]["lower_bound"].as_f64().unwrap(),
        answer["predictions"][1]["y"].as_f64().unwrap(),
        answer["intervals"][1]["y"]["upper_bound"].as_f64().unwrap(),
    );
    assert!(low <= y && y <= high);
    for name in [json!({"model": "waves"}), json!({"model": "WAVES/1"}), json!({})] {
        let mut request = json!({"data": [row()]});
        request.as_object_mut().unwrap().extend(name.as_object().unwrap().clone());
        assert_eq!(api.post("/predict", &request).await.expect(200)["model_id"], json!(model));
    }
    let empty = api.post("/predict", &json!({"model_id": model, "data": []})).await.expect(200);
    assert_eq!((&empty["predictions"], &empty["in_domain"]), (&json!([]), &json!([])));
}

#[tokio::test]
async fn values_that_cannot_be_used_are_pointed_at() {
    let api = Api::start(&[("TAQICFD_MAX_BATCH_ROWS", "10"), ("TAQICFD_MAX_JSON", "64KiB")]).await;
    let model = api.model().await;
    let ask = |data: Value| {
        let request = json!({"model_id": model, "data": data});
        let api = &api;
        async move { api.post("/predict", &request).await }
    };
    let missing = ask(json!([row(), {"z": 1}])).await.refused(422, "missing-field");
    let pointers: Vec<&str> =
        missing["errors"].as_array().unwrap().iter().filter_map(|e| e["pointer"].as_str()).collect();
    assert_eq!(pointers, ["/data/1/x", "/data/1/kind"]);
    let wrong =
        ask(json!({"x": [1, "abc"], "z": [1, 2], "kind": ["a", "a"]})).await.refused(422, "wrong-type");
    assert_eq!(wrong["errors"][0]["pointer"], "/data/x/1");
    let comma = ask(json!([[1, "12,5", "a"]])).await.refused(422, "wrong-type");
    assert_eq!(comma["errors"][0]["pointer"], "/data/0/1");
    let unknown = ask(json!([{"x": 1, "z": 2, "kind": "q"}])).await.refused(422, "unknown-category");
    assert!(unknown["detail"].as_str().unwrap().contains("\"a\", \"b\", \"c\""), "{unknown}");
    ask(Value::Array(vec![row(); 11])).await.refused(413, "batch-too-large");
    ask(json!([{"x": "y".repeat(70_000)}])).await.refused(413, "body-too-large");

    let far = ask(json!([{"x": 1e6, "z": 2, "kind": "a", "extra": 1}])).await.expect(200);
    assert_eq!(far["in_domain"], json!([false]));
    let codes: Vec<&str> =
        far["warnings"].as_array().unwrap().iter().filter_map(|w| w["code"].as_str()).collect();
    assert!(codes.contains(&"unknown-field") && codes.contains(&"out-of-range"), "{codes:?}");
    let strict =
        json!({"model_id": model, "strict": true, "data": [{"x": 1, "z": 2, "kind": "a", "extra": 1}]});
    let strict = api.post("/predict", &strict).await.refused(422, "unknown-field");
    assert_eq!(strict["errors"][0]["pointer"], "/data/0/extra");
    let nearest =
        json!({"model_id": model, "unknown_category": "missing", "data": [{"x": 1, "z": 2, "kind": "q"}]});
    api.post("/predict", &nearest).await.expect(200);

    let explained = json!({"model_id": model, "explain": true, "data": [{"x": 1, "z": 2, "kind": "a"}]});
    let explained = api.post("/predict", &explained).await.expect(200);
    let by = |input: &str| explained["sensitivities"][0]["y"][input].as_f64();
    assert!(by("x").is_some() && by("z").is_some() && by("kind").is_none(), "{explained}");
}

#[tokio::test]
async fn json_that_two_readers_could_understand_differently_is_refused() {
    let api = Api::start(&[]).await;
    for (body, status, slug) in [
        ("{\"data\": [{\"x\": NaN}]}", 400, "malformed-json"),
        ("{\"data\": [{\"x\": 1e999}]}", 400, "malformed-json"),
        ("{\"data\": [{\"x\": 1, \"x\": 2}]}", 400, "malformed-json"),
        ("{\"data\": ", 400, "malformed-json"),
        ("", 400, "missing-body"),
        ("{\"data\": 7}", 422, "invalid-parameter"),
        ("{\"dta\": []}", 422, "invalid-parameter"),
        ("{\"data\": [], \"confidence\": 2}", 422, "invalid-parameter"),
        ("{\"data\": [], \"model\": \"none\"}", 404, "model-not-found"),
        ("{\"data\": [], \"model_id\": \"none\"}", 404, "model-not-found"),
        ("{\"data\": []}", 404, "model-not-found"),
    ] {
        api.post_text("/predict", body).await.refused(status, slug);
    }
    let deep = format!("{{\"data\": {}{}}}", "[".repeat(100_000), "]".repeat(100_000));
    api.post_text("/predict", &deep).await.refused(400, "malformed-json");
    let form =
        api.request(reqwest::Method::POST, "/predict").header("Content-Type", "text/html").body("x,z\n1,2\n");
    api.send(form).await.refused(415, "unsupported-media-type");
}

#[tokio::test]
async fn two_hundred_first_uses_are_one_load() {
    let api = Api::start(&[]).await;
    let model = api.model().await;
    let request = json!({"model_id": model, "data": [row()]});
    let answers = join_all((0..200).map(|_| api.post("/predict", &request))).await;
    let first = answers.into_iter().map(|answer| answer.expect(200)).reduce(|one, other| {
        assert_eq!(one, other);
        one
    });
    assert!(first.is_some());
    let metrics = api.request(reqwest::Method::GET, "/metrics").send().await.unwrap().text().await.unwrap();
    assert!(metrics.contains("model_loads_total 1\n"), "{metrics}");
    assert!(metrics.contains("route=\"/predict\""));
}

#[tokio::test]
async fn a_damaged_file_spoils_its_own_model_only() {
    let api = Api::start(&[]).await;
    let good = api.model().await;
    let request = json!({"target": "y", "epochs": 2, "hidden_layers": [8], "seed": 7, "model_name": "other"});
    let bad = id(&api.train(&request).await, "model_id");
    let file = api.folder.path().join(format!("models/{bad}.safetensors"));
    let mut bytes = std::fs::read(&file).unwrap();
    let last = bytes.len() - 1;
    bytes[last] ^= 1;
    std::fs::write(&file, bytes).unwrap();
    let ask = |model: &str| {
        let request = json!({"model_id": model, "data": [row()]});
        let api = &api;
        async move { api.post("/predict", &request).await }
    };
    ask(&bad).await.refused(500, "model-corrupt");
    ask(&bad).await.refused(500, "model-corrupt");
    ask(&good).await.expect(200);
    assert_eq!(api.get(&format!("/models/{bad}")).await.expect(200)["status"], "corrupt");
}

#[tokio::test]
async fn a_deleted_model_answers_no_more() {
    let api = Api::start(&[]).await;
    let model = api.model().await;
    let request = json!({"model_id": model, "data": [row()]});
    api.post("/predict", &request).await.expect(200);
    api.delete(&format!("/models/{model}")).await.expect(204);
    api.post("/predict", &request).await.refused(404, "model-not-found");
}
