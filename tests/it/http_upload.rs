//! `POST /upload` and the datasets, over HTTP.

use crate::api::{Api, id, shared, waves};
use reqwest::{Body, Method, multipart};
use serde_json::json;
use std::time::Duration;

#[tokio::test]
async fn a_table_is_stored_described_paged_downloaded_and_deleted() {
    let api = Api::start(&[]).await;
    let text = waves(100);
    let answer = api.upload("waves.csv", text.clone()).await;
    let location = answer.header("location").to_owned();
    let dataset = answer.expect(201);
    assert_eq!(location, format!("/datasets/{}", id(&dataset, "dataset_id")));
    assert_eq!((&dataset["rows"], &dataset["name"]), (&json!(100), &json!("waves")));
    assert_eq!(dataset["size_bytes"], text.len());
    let kinds: Vec<&str> =
        dataset["columns"].as_array().unwrap().iter().filter_map(|c| c["kind"].as_str()).collect();
    assert_eq!(kinds, ["number", "number", "category", "number"]);

    assert_eq!(api.get(&location).await.expect(200), dataset);
    let rows = api.get(&format!("{location}/rows?offset=98&limit=10")).await.expect(200);
    assert_eq!((rows["rows"].as_array().unwrap().len(), &rows["total"]), (2, &json!(100)));
    let file = api.request(Method::GET, &format!("{location}/file")).send().await.unwrap();
    assert_eq!(file.headers()["etag"], format!("\"{}\"", dataset["sha256"].as_str().unwrap()));
    assert_eq!(file.text().await.unwrap(), text);

    let read_again =
        api.post(&format!("{location}/reread"), &json!({"types": {"x": "ignore"}})).await.expect(201);
    assert_ne!(read_again["dataset_id"], dataset["dataset_id"]);
    let list = api.get("/datasets?limit=1").await;
    let next = list.header("link").to_owned();
    let first = list.expect(200);
    assert_eq!(first["datasets"][0]["dataset_id"], read_again["dataset_id"]);
    let next = next.trim_start_matches('<').split('>').next().unwrap();
    assert_eq!(api.get(next).await.expect(200)["datasets"][0]["dataset_id"], dataset["dataset_id"]);

    api.delete(&location).await.expect(204);
    api.delete(&location).await.expect(204);
    api.get(&location).await.refused(404, "dataset-not-found");
    let actions: Vec<String> = api.get("/events").await.expect(200)["events"]
        .as_array()
        .unwrap()
        .iter()
        .map(|event| id(event, "action"))
        .collect();
    assert_eq!(actions, ["delete", "upload", "download", "upload"]);
    assert_eq!(api.temp_files(), 0);
}

#[tokio::test]
async fn the_same_bytes_are_stored_once_unless_asked_otherwise() {
    let api = Api::start(&[]).await;
    let first = api.upload("a.csv", waves(50)).await.expect(201);
    let second = api.upload("b.csv", waves(50)).await.expect(200);
    assert_eq!(second["duplicate_of"], first["dataset_id"]);
    let part = || multipart::Form::new().part("file", multipart::Part::text(waves(50)).file_name("a.csv"));
    let again = api.request(Method::POST, "/upload?allow_duplicate=true").multipart(part());
    assert_ne!(api.send(again).await.expect(201)["dataset_id"], first["dataset_id"]);
    let other_options = api.request(Method::POST, "/upload?name=n").multipart(part().text("header_row", "1"));
    assert_eq!(api.send(other_options).await.expect(201)["name"], "n");

    // What has lost its table is told to be uploaded again, which has to help.
    let lost = api.upload("lost.csv", waves(60)).await.expect(201);
    let folder = api.folder.path().join("data/uploads").join(id(&lost, "dataset_id"));
    std::fs::remove_file(folder.join("table.parquet")).unwrap();
    let request = json!({"dataset_id": lost["dataset_id"], "target": "y"});
    assert_ne!(api.upload("lost.csv", waves(60)).await.expect(201)["dataset_id"], request["dataset_id"]);
}

#[tokio::test]
async fn an_idempotency_key_belongs_to_one_request() {
    let api = Api::start(&[]).await;
    let send = |rows: usize| {
        let request = api.request(Method::POST, "/upload?filename=a.csv&allow_duplicate=true");
        api.send(
            request.header("Idempotency-Key", "k-1").header("Content-Type", "text/csv").body(waves(rows)),
        )
    };
    let first = send(50).await.expect(201);
    let replay = send(50).await;
    assert_eq!(replay.header("idempotency-replayed"), "true");
    assert_eq!(replay.expect(201), first);
    send(51).await.refused(422, "idempotency-key-reused");
}

#[tokio::test]
async fn what_is_no_table_is_refused_by_its_content() {
    let api = Api::start(&[]).await;
    let gzip = [0x1f, 0x8b, 8, 0, 0, 0, 0, 0, 0, 3, 1, 2, 3];
    for (filename, bytes, status, slug) in [
        ("a.csv", gzip.to_vec(), 415, "unsupported-media-type"),
        ("a.csv", b"\x7fELF\x02\x01\x01\0\0\0\0\0".to_vec(), 415, "unsupported-media-type"),
        ("a.xlsx", b"<!DOCTYPE html><html><body>x</body></html>".to_vec(), 415, "unsupported-media-type"),
        ("a.csv", Vec::new(), 422, "empty-file"),
        ("a.csv", b"\xef\xbb\xbf".to_vec(), 422, "empty-file"),
        ("a.csv", b"x,y\n".to_vec(), 422, "empty-file"),
        ("a.csv", b"x,y\n1,2\n3,4\n5\0,6\n".to_vec(), 422, "malformed-csv"),
    ] {
        api.upload(filename, bytes).await.refused(status, slug);
    }
    assert_eq!(api.temp_files(), 0);
}

#[tokio::test]
async fn malformed_forms_and_wrong_types_are_refused() {
    let api = Api::start(&[]).await;
    let post = |content_type: &str, body: String| {
        let request = api.request(Method::POST, "/upload").header("Content-Type", content_type);
        api.send(request.body(body))
    };
    let form = "multipart/form-data; boundary=B";
    let part = |name: &str| {
        format!(
            "--B\r\nContent-Disposition: form-data; name=\"{name}\"; filename=a.csv\r\n\r\nx,y\n1,2\n\r\n"
        )
    };
    for body in [
        String::new(),
        format!("{}--B--", part("other")),
        format!("{}{}--B--", part("file"), part("file")),
        format!("{}--B--", part("name").repeat(10_000)),
        part("file"),
        "-".repeat(100_000),
    ] {
        let answer = post(form, body).await;
        assert!(matches!(answer.slug(), "malformed-multipart" | "invalid-parameter"), "{answer:?}");
    }
    post(&format!("multipart/form-data; boundary={}", "x".repeat(71)), part("file"))
        .await
        .refused(400, "malformed-multipart");
    post("application/json", "{}".into()).await.refused(415, "unsupported-media-type");
    api.send(api.request(Method::POST, "/upload")).await.refused(400, "missing-body");
    let bad = api.request(Method::POST, "/upload?decimal=x").body(waves(30));
    api.send(bad).await.refused(422, "invalid-parameter");
    assert_eq!(api.temp_files(), 0);
}

#[tokio::test]
async fn names_of_files_are_labels_and_never_paths() {
    let api = Api::start(&[]).await;
    for (given, kept) in [("../../x.csv", "x.csv"), ("CON", "CON"), ("🚀.csv", "🚀.csv")] {
        let part = multipart::Part::text(waves(40)).file_name(given);
        let form = multipart::Form::new().part("file", part);
        let dataset = api
            .send(api.request(Method::POST, "/upload?allow_duplicate=true").multipart(form))
            .await
            .expect(201);
        assert_eq!(dataset["filename"], kept);
    }
    assert!(!api.folder.path().join("../x.csv").exists());
}

#[tokio::test]
async fn uploads_over_the_limit_are_refused_whether_they_say_their_length_or_not() {
    let api = Api::start(&[("TAQICFD_MAX_UPLOAD", "64KiB")]).await;
    let long = waves(10_000);
    let known = api.request(Method::POST, "/upload").header("Content-Type", "text/csv").body(long.clone());
    let answer = api.send(known).await;
    assert_eq!(answer.header("connection"), "close");
    answer.refused(413, "body-too-large");
    let pieces: Vec<_> =
        long.as_bytes().chunks(1000).map(|piece| Ok::<_, std::io::Error>(piece.to_vec())).collect();
    let chunked = Body::wrap_stream(futures::stream::iter(pieces));
    let unknown = api.request(Method::POST, "/upload").header("Content-Type", "text/csv").body(chunked);
    api.send(unknown).await.refused(413, "body-too-large");
    assert_eq!(api.temp_files(), 0);
}

#[tokio::test]
async fn nothing_is_left_of_a_client_that_goes_away() {
    let api = Api::start(&[]).await;
    let endless = futures::stream::unfold((), |()| async {
        tokio::time::sleep(Duration::from_millis(5)).await;
        Some((Ok::<_, std::io::Error>(vec![b'1'; 100_000]), ()))
    });
    let request = api
        .request(Method::POST, "/upload")
        .header("Content-Type", "text/csv")
        .body(Body::wrap_stream(endless));
    assert!(tokio::time::timeout(Duration::from_millis(300), request.send()).await.is_err());
    let gone = async {
        while api.temp_files() > 0 {
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
    };
    tokio::time::timeout(Duration::from_secs(5), gone).await.unwrap();
    assert_eq!(api.get("/datasets").await.expect(200)["datasets"], json!([]));
}

#[tokio::test]
async fn without_room_on_the_disk_nothing_is_taken_but_everything_is_read() {
    let api = Api::start_unready(&[("TAQICFD_MIN_FREE_DISK", "1000TiB")]);
    while api.request(Method::GET, "/version").send().await.is_err() {
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
    api.upload("a.csv", waves(30)).await.refused(507, "insufficient-storage");
    api.get("/datasets").await.expect(200);
    assert_eq!(api.get("/readyz").await.expect(503)["ready"], false);
}

#[tokio::test]
async fn brazilian_weather_is_read_as_it_is_meant() {
    let Some(bytes) = shared("messy/INMET_NE_RN_A318_MOSSORO_2024.CSV") else { return };
    let api = Api::start(&[]).await;
    let dataset = api.upload("INMET.CSV", bytes).await.expect(201);
    assert_eq!(
        (&dataset["rows"], &dataset["read"]["decimal"], &dataset["read"]["header_row"]),
        (&json!(8784), &json!(","), &json!(9))
    );
}
