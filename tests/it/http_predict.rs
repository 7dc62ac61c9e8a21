//! `POST /predict`, over HTTP.

use crate::api::{Api, id};
use futures::future::join_all;
use reqwest::Method;
use serde_json::{Value, json};
use std::time::Duration;

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
    let sure = json!({"model_id": model, "data": [row()], "confidence": 0.9999});
    let sure = api.post("/predict", &sure).await.expect(200);
    assert_eq!(sure["intervals"][0]["y"], json!({"lower_bound": null, "upper_bound": null}));
    assert_eq!(
        (sure["warnings"].as_array().unwrap().len(), &sure["warnings"][0]["code"]),
        (1, &json!("no-interval"))
    );
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
    let misspelt = ask(json!([{"X": 1.0, "z": 3, "kind": "a"}])).await.refused(422, "missing-field");
    assert!(misspelt["detail"].as_str().unwrap().contains("the request has \"X\""), "{misspelt}");
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
        ("[{\"x\": 1}]", 422, "invalid-parameter"),
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
    let form = api.request(Method::POST, "/predict").header("Content-Type", "text/html").body("x,z\n1,2\n");
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
    let metrics = api.request(Method::GET, "/metrics").send().await.unwrap().text().await.unwrap();
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
    let whole = std::fs::read(&file).unwrap();
    let mut bytes = whole.clone();
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
    let status = async || api.get(&format!("/models/{bad}")).await.expect(200)["status"].clone();
    assert_eq!(status().await, "corrupt");
    std::fs::remove_file(&file).unwrap();
    ask(&bad).await.refused(500, "model-corrupt");
    assert_eq!(status().await, "missing");
    std::fs::write(&file, whole).unwrap();
    ask(&bad).await.expect(200);
    assert_eq!(status().await, "ready", "a backup was put back");
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

#[tokio::test(flavor = "multi_thread")]
async fn requests_that_are_answered_together_get_the_answers_they_would_get_alone() {
    let api = Api::start(&[]).await;
    let dataset = api.dataset().await;
    // The default network, whose products are large enough to be done in different ways for one row and for many.
    let request = json!({"dataset_id": dataset, "target": "y", "epochs": 2, "model_name": "waves"});
    api.train(&request).await;
    let body = |i: usize| {
        let kind = |i: usize| ["a", "b", "c", "q"][i % 4];
        let row = |i: usize| json!({"x": i as f64 / 3.0, "z": i % 13, "kind": kind(i)});
        match i % 5 {
            0 => json!({"model": "waves", "data": [row(i), row(i + 1)], "unknown_category": "missing"}),
            1 => {
                json!({"model": "waves", "data": [row(i)], "confidence": 0.5, "unknown_category": "nearest"})
            }
            2 => json!({"model": "waves", "data": [row(i), row(2 * i), row(0)]}),
            3 => json!({"model": "waves", "data": []}),
            _ => json!({"model": "waves", "data": [row(i)], "explain": true}),
        }
    };
    let mut alone = Vec::new();
    for i in 0..60 {
        let answer = api.post("/predict", &body(i)).await;
        alone.push((answer.status, without_id(answer.body)));
    }
    assert!(alone.iter().any(|(status, _)| *status == 422), "some have a category that was never seen");
    for _ in 0..3 {
        let api = &api;
        let all = (0..60).map(|i| async move {
            let answer = api.post("/predict", &body(i)).await;
            (answer.status, without_id(answer.body))
        });
        assert_eq!(join_all(all).await, alone);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn clients_that_go_away_hold_nobody_up() {
    let api = Api::start(&[]).await;
    api.model().await;
    let question = json!({"model": "waves", "data": [row()]});
    for round in 0..20 {
        let asked: Vec<_> = (0..64)
            .map(|_| tokio::spawn(api.request(Method::POST, "/predict").json(&question).send()))
            .collect();
        tokio::time::sleep(Duration::from_millis(round)).await;
        asked.iter().for_each(tokio::task::JoinHandle::abort);
        let answered = tokio::time::timeout(Duration::from_secs(10), api.post("/predict", &question)).await;
        assert_eq!(answered.expect("an answer").status, 200);
    }
}

/// Without what differs from request to request.
fn without_id(mut body: Value) -> Value {
    body.as_object_mut().unwrap().remove("request_id");
    body
}

#[tokio::test]
async fn a_name_means_the_model_it_is_of_from_that_moment_on() {
    let api = Api::start(&[]).await;
    let dataset = api.dataset().await;
    let request = json!({"dataset_id": dataset, "target": "y", "epochs": 1, "hidden_layers": [4], "model_name": "waves"});
    let row = json!([{"x": 1, "z": 2, "kind": "a"}]);
    let version = async |name: &str| {
        let answer = api.post("/predict", &json!({"model": name, "data": row})).await;
        (answer.status.as_u16(), answer.body["version"].clone())
    };
    let mut ids = Vec::new();
    for n in 1..=3 {
        ids.push(id(&api.train(&request).await, "model_id"));
        assert_eq!(version("waves").await, (200, json!(n)), "the newest");
    }
    for n in [1, 3, 2] {
        let alias = format!("/models/{}/aliases/champion", ids[n - 1]);
        assert_eq!(api.send(api.request(Method::PUT, &alias)).await.status, 200);
        assert_eq!(version("waves@champion").await, (200, json!(n)), "the alias has moved");
    }
    assert_eq!(api.delete(&format!("/models/{}", ids[2])).await.status, 204);
    assert_eq!(version("waves").await, (200, json!(2)), "the newest that is left");
    let renamed =
        api.request(Method::PATCH, &format!("/models/{}", ids[1])).json(&json!({"model_name": "other"}));
    assert_eq!(api.send(renamed).await.status, 200);
    assert_eq!(version("waves").await, (200, json!(1)));
    assert_eq!(version("other").await.0, 200);
    assert_eq!(version("waves@champion").await.0, 404, "it went along");
}
