//! Files that are answered in the background, over HTTP: how they end, what is kept, and what outlives a kill.

use crate::{
    api::{Api, id, waves},
    process::Server,
};
use reqwest::{Method, RequestBuilder};
use serde_json::{Value, json};
use std::time::{Duration, Instant};
use taqicfd::hash;

const XLSX: &str = "application/vnd.openxmlformats-officedocument.spreadsheetml.sheet";

fn send(api: &Api, query: &str, body: impl Into<reqwest::Body>) -> RequestBuilder {
    let request = api.request(Method::POST, &format!("/predict?filename=rows.csv&{query}"));
    request.header("Content-Type", "text/csv").body(body)
}

fn in_background(api: &Api, query: &str, body: impl Into<reqwest::Body>) -> RequestBuilder {
    send(api, query, body).header("Prefer", "respond-async")
}

async fn bytes(request: RequestBuilder) -> Vec<u8> {
    let answer = request.send().await.unwrap();
    assert_eq!(answer.status(), 200);
    answer.bytes().await.unwrap().to_vec()
}

/// The job when it has ended.
async fn ended(api: &Api, prediction_id: &str) -> Value {
    let begun = Instant::now();
    loop {
        let job = api.get(&format!("/predictions/{prediction_id}?wait=5")).await.expect(200);
        if !["queued", "running"].contains(&job["status"].as_str().unwrap()) {
            return job;
        }
        assert!(begun.elapsed() < Duration::from_secs(60), "{job}; {}", api.server.log_tail());
    }
}

/// Files below `data/predictions`.
fn kept_files(api: &Api) -> usize {
    let folders = std::fs::read_dir(api.folder.path().join("data/predictions"));
    let files = |folder: std::io::Result<std::fs::DirEntry>| {
        std::fs::read_dir(folder.unwrap().path()).map_or(0, Iterator::count)
    };
    folders.map_or(0, |folders| folders.map(files).sum())
}

#[tokio::test]
async fn a_file_is_answered_in_the_background_as_it_would_be_at_once() {
    let api = Api::start(&[]).await;
    let model_id = api.model().await;
    let expected = bytes(send(&api, "", waves(300))).await;
    let queued = api.send(in_background(&api, "", waves(300))).await;
    assert_eq!((queued.header("retry-after"), queued.header("preference-applied")), ("1", "respond-async"));
    let place = queued.header("location").to_owned();
    let job = queued.expect(202);
    assert_eq!((&job["status"], &job["rows"], &job["file"]), (&json!("queued"), &json!(null), &json!(null)));
    let prediction_id = id(&job, "prediction_id");
    assert_eq!(place, format!("/predictions/{prediction_id}"));

    let events = api.request(Method::GET, &format!("{place}/events")).header("Accept", "text/event-stream");
    let events = String::from_utf8(bytes(events).await).unwrap();
    let last = events.trim_end().rsplit("\n\n").next().unwrap();
    let end: Value = serde_json::from_str(last.strip_prefix("event: end\ndata: ").expect(last)).unwrap();
    let job = ended(&api, &prediction_id).await;
    assert_eq!(end, job);
    assert_eq!(
        (&job["status"], &job["progress"], &job["format"]),
        (&json!("succeeded"), &json!(1.0), &json!("csv"))
    );
    assert_eq!(
        (&job["rows"], &job["rows_done"], &job["model_id"]),
        (&json!(300), &json!(300), &json!(model_id))
    );
    let text = String::from_utf8(expected.clone()).unwrap();
    assert_eq!(job["rows_outside"], text.lines().filter(|line| line.contains(",false,")).count());
    assert!(job["expires_at"].as_str() > job["finished_at"].as_str(), "{job}");

    let file = job["file"].as_str().unwrap();
    let answer = api.request(Method::GET, file).send().await.unwrap();
    let digest = format!("\"{}\"", hash::of_bytes(&expected));
    assert_eq!(answer.headers()["etag"], digest.as_str());
    assert_eq!(answer.headers()["content-type"], "text/csv; charset=utf-8; header=present");
    assert!(answer.headers()["content-disposition"].to_str().unwrap().ends_with("rows_predictions.csv"));
    assert_eq!(answer.bytes().await.unwrap(), expected);
    let part = api.request(Method::GET, file).header("Range", "bytes=3-9").send().await.unwrap();
    assert_eq!((part.status().as_u16(), part.bytes().await.unwrap().as_ref()), (206, &expected[3..10]));
    let known = api.request(Method::GET, file).header("If-None-Match", &digest).send().await.unwrap();
    assert_eq!(known.status(), 304);

    // As a workbook, waited for; `format` goes before what `Accept` says.
    let request = in_background(&api, "format=xlsx", waves(20))
        .header("Prefer", "wait=30")
        .header("Accept", "text/csv");
    let waited = api.send(request).await;
    assert_eq!(waited.header("preference-applied"), "respond-async, wait=30");
    let waited = waited.expect(200);
    assert_eq!((&waited["status"], &waited["format"]), (&json!("succeeded"), &json!("xlsx")));
    let workbook = bytes(api.request(Method::GET, waited["file"].as_str().unwrap())).await;
    assert_eq!(api.upload("answers.xlsx", workbook).await.expect(201)["rows"], 20);
    let by_accept = in_background(&api, "", waves(20)).header("Accept", XLSX);
    assert_eq!(api.send(by_accept).await.expect(202)["format"], "xlsx");

    let listed =
        api.get(&format!("/predictions?status=succeeded&model_id={model_id}&limit=1")).await.expect(200);
    assert_eq!(listed["predictions"].as_array().unwrap().len(), 1);
    let actions = api.get(&format!("/events?object_id={prediction_id}")).await.expect(200);
    let actions: Vec<&str> =
        actions["events"].as_array().unwrap().iter().map(|event| event["action"].as_str().unwrap()).collect();
    assert_eq!(actions, ["download", "predict"]);

    let cancel = format!("{place}/cancel");
    api.post(&cancel, &json!({})).await.refused(409, "job-already-finished");
    assert_eq!(api.delete(&place).await.status, 204);
    api.get(&place).await.refused(404, "prediction-not-found");
    api.get(file).await.refused(404, "prediction-not-found");
    api.delete(&place).await.refused(404, "prediction-not-found");
    api.get("/predictions/none").await.refused(404, "prediction-not-found");
    let none = api.request(Method::GET, "/predictions/none/events").header("Accept", "text/event-stream");
    api.send(none).await.refused(404, "prediction-not-found");
}

#[tokio::test]
async fn a_file_with_too_many_rows_for_one_request_becomes_a_job() {
    let api = Api::start(&[("TAQICFD_MAX_BATCH_ROWS", "100")]).await;
    api.model().await;
    assert_eq!(api.send(send(&api, "", waves(100))).await.status, 200);
    let job = api.send(send(&api, "", waves(101)).header("Accept-Language", "pt-BR")).await;
    assert!(job.headers.get("preference-applied").is_none(), "nothing was preferred");
    let job = ended(&api, &id(&job.expect(202), "prediction_id")).await;
    assert_eq!((&job["status"], &job["rows_done"]), (&json!("succeeded"), &json!(101)));
    let rows: Vec<Value> = (0..101).map(|_| json!({"x": 1, "z": 2, "kind": "a"})).collect();
    let refused = api.post("/predict", &json!({"data": rows})).await.refused(413, "batch-too-large");
    assert!(refused["detail"].as_str().unwrap().contains("as a file"), "{refused}");
}

#[tokio::test]
async fn the_same_request_twice_is_one_job() {
    let api = Api::start(&[("TAQICFD_FILE_WORKERS", "0")]).await;
    api.model().await;
    let ask = |key: &'static str, rows: usize| {
        api.send(in_background(&api, "", waves(rows)).header("Idempotency-Key", key))
    };
    let first = ask("one", 5).await.expect(202);
    let again = ask("one", 5).await;
    assert_eq!(again.header("idempotency-replayed"), "true");
    assert_eq!(again.expect(202), first);
    ask("one", 6).await.refused(422, "idempotency-key-reused");
    assert_ne!(ask("two", 5).await.expect(202)["prediction_id"], first["prediction_id"]);
}

#[tokio::test]
async fn a_file_that_cannot_be_answered_says_why() {
    let api = Api::start(&[]).await;
    let model_id = api.model().await;
    let fails = async |query: &str, body: &str| {
        let job = api.send(in_background(&api, query, body.to_owned())).await.expect(202);
        let job = ended(&api, &id(&job, "prediction_id")).await;
        assert_eq!((&job["status"], &job["file"]), (&json!("failed"), &json!(null)), "{job}");
        let path = format!("/predictions/{}/file", id(&job, "prediction_id"));
        let refused = api.get(&path).await.refused(409, "prediction-not-ready");
        let detail = job["error"]["detail"].as_str().unwrap().to_owned();
        assert!(refused["detail"].as_str().unwrap().contains(&detail), "{refused}");
        (job["error"]["slug"].as_str().unwrap().to_owned(), detail)
    };
    let (slug, detail) = fails("", "x,z,kind\n1,2,a\n2,3,q\n3,3,r\n").await;
    assert_eq!(slug, "unknown-category");
    assert!(detail.starts_with("row 1 (counted from 0)") && detail.contains("row 2, \"kind\""), "{detail}");
    let (slug, detail) = fails("", "x,kind\n1,a\n2,b\n").await;
    assert_eq!(slug, "missing-field");
    assert!(detail.contains("lacks the columns z"), "{detail}");
    assert_eq!(fails("", "x,z,kind\n").await.0, "empty-file");
    assert_eq!(kept_files(&api), 0, "nothing is kept of them");
    assert_eq!(api.temp_files(), 0);

    // What can be known before is refused at once.
    let ask = |query: &'static str, body: &'static str| api.send(in_background(&api, query, body));
    ask("model=none", "x\n1\n").await.refused(404, "model-not-found");
    ask("format=ods", "x\n1\n").await.refused(422, "invalid-parameter");
    ask("confidence=2", "x\n1\n").await.refused(422, "invalid-parameter");
    ask("", "").await.refused(400, "missing-body");

    let in_portuguese = in_background(&api, "unknown_category=missing", "x,z,kind\n99,2,q\n1,2,a\n")
        .header("Accept-Language", "pt-BR")
        .header("Prefer", "wait=30");
    let job = api.send(in_portuguese).await.expect(200);
    let answer = bytes(api.request(Method::GET, job["file"].as_str().unwrap())).await;
    assert!(
        String::from_utf8(answer).unwrap().contains("valor visto no treinamento"),
        "the warnings are in Portuguese"
    );
    assert_eq!(api.delete(&format!("/models/{model_id}")).await.status, 204);
    bytes(api.request(Method::GET, job["file"].as_str().unwrap())).await;
}

#[tokio::test]
async fn waiting_files_are_bounded_cancelled_and_deleted() {
    let settings =
        [("TAQICFD_FILE_WORKERS", "0"), ("TAQICFD_FILE_LIMIT", "3"), ("TAQICFD_FILE_DISK", "64KiB")];
    let api = Api::start(&settings).await;
    let model_id = api.model().await;
    let add = |rows| api.send(in_background(&api, "", waves(rows)));
    let first = id(&add(5).await.expect(202), "prediction_id");
    let large = add(5000).await.refused(507, "insufficient-storage");
    assert!(large["detail"].as_str().unwrap().contains("65536 bytes"), "{large}");
    let second = id(&add(5).await.expect(202), "prediction_id");
    add(5).await.expect(202);
    let full = add(5).await;
    assert_eq!(full.header("retry-after"), "1");
    full.refused(429, "queue-full");
    assert_eq!(kept_files(&api), 3);

    let cancelled = api.post(&format!("/predictions/{first}/cancel"), &json!({})).await.expect(200);
    assert_eq!((&cancelled["status"], &cancelled["cancel_requested"]), (&json!("cancelled"), &json!(true)));
    api.get(&format!("/predictions/{first}/file")).await.refused(409, "prediction-not-ready");
    api.get(&format!("/predictions/{second}/file")).await.refused(409, "prediction-not-ready");
    assert_eq!(api.delete(&format!("/predictions/{second}")).await.status, 204);
    assert_eq!(kept_files(&api), 1);
    add(5).await.expect(202);
    add(5).await.expect(202);
    add(5).await.refused(429, "queue-full");
    assert_eq!(kept_files(&api), 3, "what was cancelled takes no place");
    assert_eq!(
        api.delete(&format!("/models/{model_id}")).await.status,
        204,
        "a model may go before its files"
    );
}

#[tokio::test]
async fn a_killed_server_answers_its_files_after_the_next_start() {
    let settings =
        [("TAQICFD_LEASE_S", "1"), ("TAQICFD_HEARTBEAT_S", "0.05"), ("TAQICFD_MAX_BATCH_ROWS", "10")];
    let mut api = Api::start(&settings).await;
    api.model().await;
    let n_rows = 60_000;
    let job = id(&api.send(send(&api, "", waves(n_rows))).await.expect(202), "prediction_id");
    let other = id(&api.send(send(&api, "", waves(11))).await.expect(202), "prediction_id");
    let begun = Instant::now();
    let running = loop {
        let shown = api.get(&format!("/predictions/{job}")).await.expect(200);
        if shown["status"] != "queued" || begun.elapsed() > Duration::from_secs(10) {
            break shown;
        }
    };
    assert_eq!(running["status"], "running", "{running}");
    api.server.kill();
    api.server = Server::spawn(api.folder.path(), &settings);
    api.server.ready(&api.http, Duration::from_secs(30)).await.unwrap();
    let shown = ended(&api, &job).await;
    assert_eq!((&shown["status"], &shown["rows_done"]), (&json!("succeeded"), &json!(n_rows)), "{shown}");
    assert_eq!(shown["attempt"], 2, "it was begun anew");
    let answer = bytes(api.request(Method::GET, shown["file"].as_str().unwrap())).await;
    assert_eq!(answer.split(|byte| *byte == b'\n').count(), n_rows + 2);
    assert_eq!(ended(&api, &other).await["status"], "succeeded");
    assert_eq!(kept_files(&api), 2, "only the answers");
}

#[tokio::test]
async fn a_running_file_stops_when_it_is_cancelled_deleted_or_the_server_is_stopped() {
    let settings = [("TAQICFD_HEARTBEAT_S", "0.05")];
    let api = Api::start(&settings).await;
    api.model().await;
    let running = async |api: &Api| {
        let job = api.send(in_background(api, "", waves(200_000))).await.expect(202);
        let job = id(&job, "prediction_id");
        loop {
            let shown = api.get(&format!("/predictions/{job}")).await.expect(200);
            match shown["status"].as_str() {
                Some("queued") => {}
                Some("running") => return job,
                _ => panic!("{shown}"),
            }
        }
    };
    let job = running(&api).await;
    let asked = Instant::now();
    api.post(&format!("/predictions/{job}/cancel"), &json!({})).await.expect(200);
    assert_eq!(ended(&api, &job).await["status"], "cancelled");
    assert!(asked.elapsed() < Duration::from_secs(2), "{:?}", asked.elapsed());

    let job = running(&api).await;
    assert_eq!(api.delete(&format!("/predictions/{job}")).await.status, 204);
    let job = running(&api).await;
    let Api { server, http, folder } = api;
    assert!(server.terminate(Duration::from_secs(15)).await.unwrap().success());
    let mut api = Api { server: Server::spawn(folder.path(), &settings), http, folder };
    api.server.ready(&api.http, Duration::from_secs(30)).await.unwrap();
    let shown = ended(&api, &job).await;
    assert_eq!((&shown["status"], &shown["attempt"]), (&json!("succeeded"), &json!(2)), "{shown}");
    assert_eq!(kept_files(&api), 1);
}
