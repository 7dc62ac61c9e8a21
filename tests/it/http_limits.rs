//! What the server does not put up with, and how it stops.

use crate::api::Api;
use reqwest::Method;
use serde_json::json;
use std::time::{Duration, Instant};
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::TcpStream,
};

async fn connect(api: &Api) -> TcpStream {
    let url = api.server.url("");
    TcpStream::connect(url.trim_start_matches("http://")).await.unwrap()
}

/// Sends `text` and reads until the server closes.
async fn raw(api: &Api, text: &str) -> String {
    let mut stream = connect(api).await;
    stream.write_all(text.as_bytes()).await.unwrap();
    let mut answer = Vec::new();
    let _ = tokio::time::timeout(Duration::from_secs(20), stream.read_to_end(&mut answer)).await;
    String::from_utf8_lossy(&answer).into_owned()
}

#[tokio::test]
async fn slow_headers_idle_connections_and_slow_bodies_are_cut_off() {
    let settings = [
        ("TAQICFD_HEADER_TIMEOUT_S", "0.4"),
        ("TAQICFD_IDLE_TIMEOUT_S", "0.8"),
        ("TAQICFD_BODY_TIMEOUT_S", "0.5"),
    ];
    let api = Api::start(&settings).await;
    let begin = Instant::now();
    assert_eq!(raw(&api, "GET /healthz HTTP/1.1\r\nHost: localhost\r\nX-Slow: ").await, "");
    assert!(begin.elapsed() > Duration::from_millis(350) && begin.elapsed() < Duration::from_secs(2));
    let begin = Instant::now();
    let answer = raw(&api, "GET /healthz HTTP/1.1\r\nHost: localhost\r\n\r\n").await;
    assert!(answer.starts_with("HTTP/1.1 200"), "{answer}");
    assert!(begin.elapsed() > Duration::from_millis(700) && begin.elapsed() < Duration::from_secs(3));
    let slow = raw(
        &api,
        "POST /upload HTTP/1.1\r\nHost: localhost\r\nContent-Type: text/csv\r\nContent-Length: 9000\r\n\r\nx,y\n",
    )
    .await;
    assert!(slow.starts_with("HTTP/1.1 408") && slow.contains("request-timeout"), "{slow}");
    assert_eq!(api.temp_files(), 0);
}

#[tokio::test]
async fn a_crowd_of_idle_connections_does_not_slow_the_others() {
    let api = Api::start(&[("TAQICFD_MAX_CONNECTIONS", "64"), ("TAQICFD_HEADER_TIMEOUT_S", "0.5")]).await;
    api.get("/healthz").await.expect(200);
    let mut crowd = Vec::new();
    for _ in 0..200 {
        crowd.push(connect(&api).await);
    }
    let begin = Instant::now();
    // On its open connection, and on a new one once the crowd has been cut off.
    api.get("/healthz").await.expect(200);
    assert!(begin.elapsed() < Duration::from_millis(500), "{:?}", begin.elapsed());
    let answer = raw(&api, "GET /healthz HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n").await;
    assert!(answer.starts_with("HTTP/1.1 200"), "{answer}");
}

#[tokio::test]
async fn overload_is_refused_quickly_and_health_stays() {
    let api = Api::start(&[("TAQICFD_MAX_REQUESTS", "1")]).await;
    let mut busy = connect(&api).await;
    busy.write_all(
        b"POST /upload HTTP/1.1\r\nHost: localhost\r\nContent-Type: text/csv\r\nContent-Length: 9000\r\n\r\nx",
    )
    .await
    .unwrap();
    tokio::time::sleep(Duration::from_millis(200)).await;
    let answer = api.get("/models").await;
    assert_eq!(answer.header("retry-after"), "1");
    answer.refused(503, "overloaded");
    api.get("/healthz").await.expect(200);
    drop(busy);
    tokio::time::sleep(Duration::from_millis(200)).await;
    api.get("/models").await.expect(200);
}

#[tokio::test]
async fn every_refusal_is_a_problem_document() {
    let api = Api::start(&[]).await;
    api.get("/nowhere").await.refused(404, "not-found");
    let put = api.send(api.request(Method::PUT, "/models")).await;
    assert!(put.header("allow").contains("GET"));
    put.refused(405, "method-not-allowed");
    api.get("/datasets/%00").await.refused(404, "dataset-not-found");
    api.get("/datasets/%ff").await.refused(400, "bad-request");
    api.get("/model/%2e%2e%2f%2e%2e%2fetc%2fpasswd").await.refused(404, "model-not-found");
    api.get("/model/%252e%252e").await.refused(404, "model-not-found");
    let csv = api.request(Method::GET, "/models").header("Accept", "text/csv");
    api.send(csv).await.refused(406, "not-acceptable");
    let huge = api.request(Method::GET, "/models").header("X-Huge", "x".repeat(40_000));
    api.send(huge).await.refused(431, "headers-too-large");
    api.get(&format!("/models?name={}", "x".repeat(9_000))).await.refused(414, "uri-too-long");
    let plain = api.request(Method::POST, "/predict").header("Content-Type", "text/plain").body("x");
    api.send(plain).await.refused(415, "unsupported-media-type");
    let long = "POST /upload HTTP/1.1\r\nHost: localhost\r\nExpect: 100-continue\r\nContent-Type: text/csv\r\nContent-Length: 99999999999\r\n\r\n";
    let answer = raw(&api, long).await;
    assert!(answer.starts_with("HTTP/1.1 413"), "refused before anything is sent: {answer}");
}

#[tokio::test]
async fn request_ids_are_kept_where_they_are_harmless() {
    let api = Api::start(&[]).await;
    let with = |id: &'static str| api.send(api.request(Method::GET, "/healthz").header("X-Request-Id", id));
    assert_eq!(with("job-7").await.header("x-request-id"), "job-7");
    assert_eq!(with("a b").await.header("x-request-id").len(), 36);
}

#[tokio::test]
async fn pages_are_there_and_load_nothing_from_elsewhere() {
    let api = Api::start(&[]).await;
    for path in ["/", "/problems", "/problems/model-corrupt", "/docs/", "/docs/swagger-ui-bundle.js"] {
        let answer = api.request(Method::GET, path).header("Accept", "text/html,*/*").send().await.unwrap();
        assert_eq!(answer.status(), 200, "{path}");
        let policy = answer.headers()["content-security-policy"].to_str().unwrap().to_owned();
        assert!(policy.contains("default-src") && !policy.contains("http"), "{path}: {policy}");
    }
    assert_eq!(api.get("/openapi.json").await.expect(200)["openapi"], "3.1.0");
    assert!(api.get("/version").await.expect(200)["version"].is_string());
    assert!(api.get("/").await.expect(200)["routes"].as_array().unwrap().len() > 10);
}

#[tokio::test]
async fn the_term_signal_ends_the_server_after_the_requests_that_run() {
    let api = Api::start(&[]).await;
    let dataset = api.dataset().await;
    let training = json!({"dataset_id": dataset, "target": "y", "epochs": 100_000, "hidden_layers": [64]});
    let training = api.post("/train", &training).await.expect(202);
    let path = format!("/trainings/{}?wait=60", training["training_id"].as_str().unwrap());
    let waiting = api.request(Method::GET, &path).send();
    let waiting = tokio::spawn(async move { waiting.await.map(|answer| answer.status().as_u16()) });
    tokio::time::sleep(Duration::from_millis(500)).await;
    let begin = Instant::now();
    let status = api.server.terminate(Duration::from_secs(12)).await.unwrap();
    assert!(
        status.success() && begin.elapsed() < Duration::from_secs(10),
        "{status} after {:?}",
        begin.elapsed()
    );
    assert_eq!(waiting.await.unwrap().unwrap(), 200);
}

#[tokio::test]
async fn pages_of_other_sites_reach_nothing() {
    let api = Api::start(&[]).await;
    for (name, value) in [("Host", "evil.example"), ("Origin", "http://evil.example"), ("Origin", "null")] {
        for method in [Method::GET, Method::DELETE] {
            let request = api.request(method, "/datasets").header(name, value);
            let refused = api.send(request).await.refused(403, "host-not-allowed");
            assert!(refused["detail"].as_str().unwrap().contains("--allowed-hosts"), "{refused}");
        }
    }
    let own_page = api.request(Method::GET, "/datasets").header("Origin", "http://localhost:3000");
    api.send(own_page).await.expect(200);
    let health = api.request(Method::GET, "/healthz").header("Host", "taqicfd.default.svc");
    assert_eq!(health.send().await.unwrap().status(), 200, "a probe asks by any name");
}
