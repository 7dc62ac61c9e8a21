//! What the benches say to servers.

use serde_json::{Value, json};
use std::{
    io::{Read, Write},
    net::{SocketAddr, TcpStream},
};

/// One request on a connection of its own; panics unless it succeeds.
pub(crate) fn call(address: SocketAddr, method: &str, path: &str, media_type: &str, body: &[u8]) -> Vec<u8> {
    let (status, answer) = try_call(address, method, path, media_type, body).expect("the server answers");
    assert!((200..300).contains(&status), "{method} {path}: {status} {}", String::from_utf8_lossy(&answer));
    answer
}

pub(crate) fn try_call(
    address: SocketAddr,
    method: &str,
    path: &str,
    media_type: &str,
    body: &[u8],
) -> Option<(u16, Vec<u8>)> {
    let mut stream = TcpStream::connect(address).ok()?;
    stream.write_all(&request(method, path, media_type, body, "close")).ok()?;
    let mut answer = Vec::new();
    stream.read_to_end(&mut answer).ok()?;
    let head = answer.windows(4).position(|window| window == b"\r\n\r\n")? + 4;
    let status = std::str::from_utf8(answer.get(9..12)?).ok()?.parse().ok()?;
    Some((status, answer.split_off(head)))
}

pub(crate) fn request(method: &str, path: &str, media_type: &str, body: &[u8], connection: &str) -> Vec<u8> {
    let mut bytes =
        format!("{method} {path} HTTP/1.1\r\nHost: 127.0.0.1\r\nConnection: {connection}\r\n").into_bytes();
    if !media_type.is_empty() {
        bytes.extend(format!("Content-Type: {media_type}\r\nContent-Length: {}\r\n", body.len()).bytes());
    }
    bytes.extend(b"\r\n");
    bytes.extend(body);
    bytes
}

/// Uploads the sample and queues a training with these settings beside the default ones.
pub(crate) fn queue(address: SocketAddr, settings: &Value) -> Value {
    let file = include_bytes!(concat!(env!("CARGO_MANIFEST_DIR"), "/data/samples/airfoil_noise.csv"));
    let dataset = parse(&call(address, "POST", "/upload?filename=airfoil_noise.csv", "text/csv", file));
    let mut request = json!({"dataset_id": dataset["dataset_id"], "target": "sound_pressure_db"});
    for (name, value) in settings.as_object().into_iter().flatten() {
        request[name] = value.clone();
    }
    parse(&call(address, "POST", "/train", "application/json", request.to_string().as_bytes()))
}

/// Uploads the sample, trains with these settings beside the default ones, and returns the model.
pub(crate) fn train(address: SocketAddr, settings: &Value) -> String {
    let mut training = queue(address, settings);
    let path = format!("/trainings/{}?wait=20", training["training_id"].as_str().expect("an id"));
    while matches!(training["status"].as_str(), Some("queued" | "running")) {
        training = parse(&call(address, "GET", &path, "", &[]));
    }
    let model_id = training["model_id"].as_str();
    model_id.unwrap_or_else(|| panic!("no model: {training}")).to_owned()
}

/// A document.
pub(crate) fn parse(bytes: &[u8]) -> Value {
    serde_json::from_slice(bytes).expect("JSON")
}
