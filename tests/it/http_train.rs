//! `POST /train` and the trainings, over HTTP.

use crate::{
    api::{Api, id, waves},
    process::Server,
};
use reqwest::Method;
use serde_json::{Value, json};
use std::{
    collections::HashMap,
    time::{Duration, Instant},
};

/// Settings of a training that takes long enough to be watched.
fn long(dataset: &str) -> Value {
    json!({"dataset_id": dataset, "target": "y", "epochs": 100_000, "hidden_layers": [256, 256]})
}

#[tokio::test]
async fn a_training_is_queued_followed_and_ends_with_a_model() {
    let api = Api::start(&[]).await;
    let dataset = api.dataset().await;
    let request = json!({"dataset_id": dataset, "target": "y", "epochs": 12, "hidden_layers": [8]}); // ten folds
    let answer = api.post("/train", &request).await;
    assert_eq!(answer.header("retry-after"), "1");
    let location = answer.header("location").to_owned();
    assert_eq!(answer.expect(202)["status"], "queued");
    let training = api.get(&format!("{location}?wait=60")).await.expect(200);
    assert_eq!(
        (&training["status"], &training["progress"]),
        (&json!("succeeded"), &json!(1.0)),
        "{training}"
    );
    let history = training["history"].as_array().unwrap();
    assert_eq!(history.len(), 10 * 12);
    assert_eq!(training["settings"]["preset"], "balanced");
    assert_eq!(training["settings"]["epochs"], 12);
    api.get(&format!("/models/{}", id(&training, "model_id"))).await.expect(200);
    assert!(!api.get(&format!("{location}/logs")).await.expect(200)["logs"].is_null());
    api.post(&format!("{location}/cancel"), &Value::Null).await.refused(409, "job-already-finished");
    assert_eq!(
        api.get("/trainings?status=succeeded").await.expect(200)["trainings"].as_array().unwrap().len(),
        1
    );
}

#[tokio::test]
async fn events_come_in_order_and_resume_where_the_client_left() {
    let api = Api::start(&[]).await;
    let dataset = api.dataset().await;
    let request =
        json!({"dataset_id": dataset, "target": "y", "preset": "fast", "epochs": 10, "hidden_layers": [8]});
    let training = api.post("/train", &request).await.expect(202);
    let path = format!("/trainings/{}/events", id(&training, "training_id"));
    let all = api.request(Method::GET, &path).send().await.unwrap();
    assert_eq!(all.headers()["content-type"], "text/event-stream");
    let all = all.text().await.unwrap();
    let epochs = |text: &str| -> Vec<u64> {
        let data = text.split("\n\n").filter(|event| event.contains("event: epoch"));
        let number = |event: &str| {
            serde_json::from_str::<Value>(event.split("data: ").nth(1)?).ok()?["epoch"].as_u64()
        };
        data.filter_map(number).collect()
    };
    assert_eq!(epochs(&all), (1..=10).collect::<Vec<_>>(), "{all}");
    assert!(all.starts_with("retry: 1000") || all.contains("\nretry: 1000"), "{all}");
    assert!(all.trim_end().rsplit("\n\n").next().unwrap().contains("event: end"), "{all}");
    let rest = api
        .request(Method::GET, &path)
        .header("Last-Event-ID", "7")
        .send()
        .await
        .unwrap()
        .text()
        .await
        .unwrap();
    assert_eq!(epochs(&rest), [8, 9, 10]);
    let json = api.request(Method::GET, &path).header("Accept", "application/json");
    api.send(json).await.refused(406, "not-acceptable");
}

#[tokio::test]
async fn a_running_training_stops_within_two_seconds() {
    let api = Api::start(&[]).await;
    let dataset = api.dataset().await;
    let running = id(&api.post("/train", &long(&dataset)).await.expect(202), "training_id");
    let waiting = id(&api.post("/train", &long(&dataset)).await.expect(202), "training_id");
    while api.get(&format!("/trainings/{running}")).await.expect(200)["status"] != "running" {
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
    let cancelled = api.post(&format!("/trainings/{waiting}/cancel"), &Value::Null).await.expect(200);
    assert_eq!(cancelled["status"], "cancelled");
    let asked = Instant::now();
    api.post(&format!("/trainings/{running}/cancel"), &Value::Null).await.expect(200);
    let ended = api.get(&format!("/trainings/{running}?wait=10")).await.expect(200);
    assert_eq!(ended["status"], "cancelled");
    assert!(asked.elapsed() < Duration::from_secs(2), "{:?}", asked.elapsed());
    assert_eq!(api.get("/models").await.expect(200)["models"], json!([]));
}

#[tokio::test]
async fn a_dry_run_checks_and_trains_nothing() {
    let api = Api::start(&[]).await;
    api.dataset().await;
    let dry = api.post("/train?dry_run=true", &json!({})).await.expect(200);
    assert_eq!(dry["settings"]["targets"], json!(["y"]));
    assert!(dry["estimate"]["train_s"].as_f64().unwrap() > 0.0);
    assert!(dry["warnings"].as_array().unwrap().len() >= 2, "says which dataset and target: {dry}");
    assert_eq!(api.get("/trainings").await.expect(200)["trainings"], json!([]));
}

#[tokio::test]
async fn requests_that_cannot_be_trained_are_refused_before_they_wait() {
    let api = Api::start(&[("TAQICFD_QUEUE_LIMIT", "1"), ("TAQICFD_WORKERS", "0")]).await;
    api.post("/train", &json!({})).await.refused(404, "no-dataset");
    let missing = json!({"dataset_id": uuid::Uuid::now_v7()});
    api.post("/train", &missing).await.refused(404, "dataset-not-found");
    let dataset = api.dataset().await;
    let check = async |change: Value, slug: &str| {
        let mut request = json!({"dataset_id": dataset, "target": "y"});
        request.as_object_mut().unwrap().extend(change.as_object().unwrap().clone());
        let body = api.post("/train", &request).await.refused(422, slug);
        assert!(body["errors"][0]["pointer"].is_string(), "{body}");
    };
    check(json!({"target": "yy"}), "unknown-column").await;
    for change in [
        json!({"epochs": 1e9}),
        json!({"epochs": 0}),
        json!({"hidden_layers": vec![8; 1_000_000]}),
        json!({"batch_size": 0}),
        json!({"learning_rate": -1}),
        json!({"epochs": "many"}),
        json!({"epoch": 3}),
        json!({"dropout": 2}),
        json!({"tags": {"campaign": "a\u{0}b"}}),
        json!({"tags": {("x".repeat(20_000)): ""}}),
        json!({"validation": {"method": "random", "group": "kind"}}),
        json!({"validation": {"group": "kind", "time": "x"}}),
    ] {
        check(change, "invalid-parameter").await;
    }
    let small = id(&api.upload("small.csv", waves(5)).await.expect(201), "dataset_id");
    api.post("/train", &json!({"dataset_id": small})).await.refused(422, "too-few-rows");
    let flat: String = (0..60).map(|i| format!("{i},{}\n", 7)).collect();
    let flat = id(&api.upload("flat.csv", format!("x,y\n{flat}")).await.expect(201), "dataset_id");
    api.post("/train", &json!({"dataset_id": flat, "target": "y"})).await.refused(422, "constant-target");

    let queued = api.post("/train", &json!({"dataset_id": dataset})).await.expect(202);
    let full = api.post("/train", &json!({"dataset_id": dataset})).await;
    assert_eq!(full.header("retry-after"), "1");
    full.refused(429, "queue-full");
    let model = json!({"model_id": queued["training_id"], "data": []});
    api.post("/predict", &model).await.refused(409, "model-not-ready");
    let cancel = format!("/trainings/{}/cancel", id(&queued, "training_id"));
    api.post(&cancel, &Value::Null).await.expect(200);
    api.get("/trainings/nonsense").await.refused(404, "training-not-found");
}

#[tokio::test]
async fn a_training_whose_dataset_is_deleted_says_so() {
    let api = Api::start(&[]).await;
    let dataset = api.dataset().await;
    let blocker = id(&api.post("/train", &long(&dataset)).await.expect(202), "training_id");
    let waiting = id(&api.post("/train", &long(&dataset)).await.expect(202), "training_id");
    api.delete(&format!("/datasets/{dataset}")).await.expect(204);
    api.post(&format!("/trainings/{blocker}/cancel"), &Value::Null).await;
    let ended = api.get(&format!("/trainings/{waiting}?wait=20")).await.expect(200);
    assert_eq!(
        (&ended["status"], &ended["error"]["slug"]),
        (&json!("failed"), &json!("dataset-deleted")),
        "{ended}"
    );
}

#[tokio::test]
async fn a_restart_resumes_the_training_that_it_stopped() {
    let api = Api::start(&[]).await;
    let dataset = api.dataset().await;
    // As many epochs as are allowed: no machine is done before it is stopped.
    let request = json!({"dataset_id": dataset, "target": "y", "epochs": 100_000, "hidden_layers": [64, 64]});
    let training = id(&api.post("/train", &request).await.expect(202), "training_id");
    let path = format!("/trainings/{training}");
    let history_past = async |api: &Api, n_epochs: usize| loop {
        let now = api.get(&path).await.expect(200);
        if now["history"].as_array().unwrap().len() > n_epochs {
            return now;
        }
        tokio::time::sleep(Duration::from_millis(20)).await;
    };
    history_past(&api, 0).await;
    let Api { server, http, folder } = api;
    let status = server.terminate(Duration::from_secs(12)).await.unwrap();
    assert!(status.success(), "{status}");
    let mut server = Server::spawn(folder.path(), &[]);
    server.ready(&http, Duration::from_secs(10)).await.unwrap();
    let api = Api { server, http, folder };
    let before = api.get(&path).await.expect(200)["history"].as_array().unwrap().len();
    let resumed = history_past(&api, before).await;
    assert_eq!((&resumed["status"], &resumed["attempt"]), (&json!("running"), &json!(2)), "{resumed}");
    let mut last = HashMap::new();
    for one in resumed["history"].as_array().unwrap() {
        let last = last.entry(one["fold"].as_u64().unwrap()).or_insert(0);
        *last += 1;
        assert_eq!(one["epoch"], *last, "an epoch is missing or told twice");
    }
    api.post(&format!("{path}/cancel"), &Value::Null).await.expect(200);
}
