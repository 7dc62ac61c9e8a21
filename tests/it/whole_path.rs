//! Upload, train, predict, list, download: on each database and each store.

use crate::api::{Api, id, waves};
use reqwest::Method;
use serde_json::json;

async fn whole_path(settings: &[(&str, &str)]) {
    let api = Api::start(settings).await;
    let dataset = id(&api.upload("waves.csv", waves(200)).await.expect(201), "dataset_id");
    let request = json!({"dataset_id": dataset, "target": "y", "epochs": 5, "hidden_layers": [8], "model_name": "polar"});
    let model = id(&api.train(&request).await, "model_id");
    let request = json!({"model": "polar", "data": [{"x": 1, "z": 2, "kind": "a"}]});
    assert_eq!(api.post("/predict", &request).await.expect(200)["model_id"], json!(model));
    assert_eq!(api.get("/models").await.expect(200)["models"][0]["model_id"], json!(model));
    let file = api
        .request(Method::GET, &format!("/model/{model}"))
        .header("Range", "bytes=8-")
        .send()
        .await
        .unwrap();
    assert_eq!(file.status(), 206);
    assert!(!file.bytes().await.unwrap().is_empty());
    api.delete(&format!("/models/{model}")).await.expect(204);
    api.delete(&format!("/datasets/{dataset}")).await.expect(204);
}

#[tokio::test]
async fn on_sqlite_and_folders() {
    whole_path(&[]).await;
}

#[tokio::test]
async fn on_postgres_and_folders() {
    let Some(url) = crate::postgres::database_url().await else { return };
    whole_path(&[("DATABASE_URL", &url)]).await;
}

#[tokio::test]
async fn on_s3() {
    let folder = tempfile::tempdir().unwrap();
    let endpoint = format!("http://{}", crate::blobs::s3_server(folder.path()).await);
    let mut settings = vec![
        ("TAQICFD_STORAGE", "s3"),
        ("TAQICFD_S3_BUCKET", "taqicfd"),
        ("AWS_ENDPOINT_URL", &*endpoint),
        ("AWS_ACCESS_KEY_ID", "key"),
        ("AWS_SECRET_ACCESS_KEY", "secret"),
    ];
    let url = crate::postgres::database_url().await;
    match &url {
        Some(url) => settings.push(("DATABASE_URL", url)),
        None => eprintln!("SKIPPED: S3 is tried with SQLite alone; PostgreSQL is not installed"),
    }
    whole_path(&settings).await;
}

#[tokio::test]
async fn on_ndarray() {
    whole_path(&[("TAQICFD_BACKEND", "ndarray")]).await;
}
