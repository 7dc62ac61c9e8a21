//! The real server and a client for it.

use crate::process::Server;
use reqwest::{Client, Method, RequestBuilder, Response, StatusCode, multipart};
use serde_json::{Value, json};
use std::{path::Path, time::Duration};
use tempfile::TempDir;

/// A server of its own, with everything it keeps in a folder that goes with it.
pub(crate) struct Api {
    pub(crate) server: Server,
    pub(crate) http: Client,
    pub(crate) folder: TempDir,
}

/// An answer that was read.
#[derive(Debug)]
pub(crate) struct Answer {
    pub(crate) status: StatusCode,
    pub(crate) headers: reqwest::header::HeaderMap,
    pub(crate) body: Value,
}

impl Answer {
    pub(crate) async fn of(response: Response) -> Self {
        let (status, headers) = (response.status(), response.headers().clone());
        let bytes = response.bytes().await.unwrap();
        Self { status, headers, body: serde_json::from_slice(&bytes).unwrap_or(Value::Null) }
    }

    /// The last part of the problem's type, after checking that it is a whole problem document.
    pub(crate) fn slug(&self) -> &str {
        assert_eq!(self.headers["content-type"], "application/problem+json", "{self:?}");
        assert_eq!(self.body["status"], self.status.as_u16(), "{self:?}");
        assert_eq!(self.body["request_id"].as_str(), self.headers["x-request-id"].to_str().ok(), "{self:?}");
        assert!(self.body["detail"].as_str().is_some_and(|detail| !detail.is_empty()), "{self:?}");
        self.body["type"].as_str().unwrap().strip_prefix("/problems/").unwrap()
    }

    pub(crate) fn expect(self, status: u16) -> Value {
        assert_eq!(self.status, status, "{}", self.body);
        self.body
    }

    pub(crate) fn refused(self, status: u16, slug: &str) -> Value {
        assert_eq!((self.status.as_u16(), self.slug()), (status, slug), "{}", self.body);
        self.body
    }

    pub(crate) fn header(&self, name: &str) -> &str {
        self.headers.get(name).unwrap_or_else(|| panic!("no {name} in {self:?}")).to_str().unwrap()
    }
}

impl Api {
    pub(crate) async fn start(settings: &[(&str, &str)]) -> Self {
        let mut api = Self::start_unready(settings);
        api.server.ready(&api.http, Duration::from_secs(30)).await.unwrap();
        api
    }

    /// A server that may never be ready.
    pub(crate) fn start_unready(settings: &[(&str, &str)]) -> Self {
        let folder = tempfile::tempdir().unwrap();
        let server = Server::spawn(folder.path(), settings);
        let http = Client::builder().no_proxy().timeout(Duration::from_secs(120)).build().unwrap();
        Self { server, http, folder }
    }

    pub(crate) fn request(&self, method: Method, path: &str) -> RequestBuilder {
        self.http.request(method, self.server.url(path))
    }

    pub(crate) async fn send(&self, request: RequestBuilder) -> Answer {
        Answer::of(request.send().await.unwrap()).await
    }

    pub(crate) async fn get(&self, path: &str) -> Answer {
        self.send(self.request(Method::GET, path)).await
    }

    pub(crate) async fn delete(&self, path: &str) -> Answer {
        self.send(self.request(Method::DELETE, path)).await
    }

    pub(crate) async fn post(&self, path: &str, body: &Value) -> Answer {
        self.send(self.request(Method::POST, path).json(body)).await
    }

    pub(crate) async fn post_text(&self, path: &str, body: &str) -> Answer {
        let request = self.request(Method::POST, path).header("Content-Type", "application/json");
        self.send(request.body(body.to_owned())).await
    }

    pub(crate) async fn upload(&self, filename: &str, bytes: impl Into<Vec<u8>>) -> Answer {
        let part = multipart::Part::bytes(bytes.into()).file_name(filename.to_owned());
        let form = multipart::Form::new().part("file", part);
        self.send(self.request(Method::POST, "/upload").multipart(form)).await
    }

    /// Uploads a small table and returns its id.
    pub(crate) async fn dataset(&self) -> String {
        id(&self.upload("waves.csv", waves(200)).await.expect(201), "dataset_id")
    }

    /// Trains to the end and returns the training.
    pub(crate) async fn train(&self, request: &Value) -> Value {
        let request = self.request(Method::POST, "/train").json(request).header("Prefer", "wait=60");
        let training = self.send(request).await.expect(200);
        assert_eq!(training["status"], "succeeded", "{training}");
        training
    }

    /// A model of the small table, and its id.
    pub(crate) async fn model(&self) -> String {
        let dataset = self.dataset().await;
        let request = json!({"dataset_id": dataset, "target": "y", "epochs": 5, "hidden_layers": [8], "model_name": "waves"});
        id(&self.train(&request).await, "model_id")
    }

    /// A model of these targets of a table, and its id.
    pub(crate) async fn model_of(&self, name: &str, table: impl Into<Vec<u8>>, targets: &[&str]) -> String {
        let dataset = id(&self.upload(&format!("{name}.csv"), table).await.expect(201), "dataset_id");
        let request = json!({"dataset_id": dataset, "targets": targets, "epochs": 3, "hidden_layers": [8], "model_name": name});
        id(&self.train(&request).await, "model_id")
    }

    /// Files that are left below `data/tmp`.
    pub(crate) fn temp_files(&self) -> usize {
        std::fs::read_dir(self.folder.path().join("data/tmp")).map_or(0, Iterator::count)
    }
}

/// The text of a field.
pub(crate) fn id(body: &Value, field: &str) -> String {
    body[field].as_str().unwrap_or_else(|| panic!("no {field} in {body}")).to_owned()
}

/// A table with two numbers, a category and a target that follows from them.
pub(crate) fn waves(n_rows: usize) -> String {
    let mut text = String::from("x,z,kind,y\n");
    for i in 0..n_rows {
        let (x, z) = (i as f64 / 10.0, f64::from((i * 7 % 13) as u32));
        let kind = ["a", "b", "c"][i % 3];
        let y = x.sin() + z / 5.0 + (i % 3) as f64;
        text.push_str(&format!("{x},{z},{kind},{y:.4}\n"));
    }
    text
}

/// One of the shipped samples.
pub(crate) fn sample(name: &str) -> Vec<u8> {
    std::fs::read(Path::new(env!("CARGO_MANIFEST_DIR")).join("data/samples").join(name)).unwrap()
}

/// A file of the shared data, or `None`, said loudly, where it is not there.
pub(crate) fn shared(path: &str) -> Option<Vec<u8>> {
    let path = Path::new(concat!(env!("CARGO_MANIFEST_DIR"), "/../shared/data")).join(path);
    let bytes = std::fs::read(&path).ok();
    if bytes.is_none() {
        eprintln!("SKIPPED: the shared data are not here");
    }
    bytes
}
