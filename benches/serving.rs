//! One-row `POST /predict` over loopback, beside PyTorch and onnxruntime behind `FastAPI` and uvicorn,
//! serving the same network.
//!
//! `cargo bench --bench serving`; the peers run where `TAQICFD_PEERS_PYTHON` names a Python that has
//! it (`pip install -r benches/peers/requirements.txt`). Keep-alive connections, each sending its next
//! request when the answer to the last has come; the load comes from one thread of this process, so
//! that a machine with two processors has one for the server. Both sides answer the same requests, in
//! turn, without a log line per request. Also shown: the time from starting the process until it is
//! ready, and its memory when idle.

#![expect(clippy::print_stdout, reason = "a bench prints its figures")]

#[path = "support/server.rs"]
mod server;

use serde_json::{Value, json};
use server::{Server, free_address};
use std::{
    io::{Read, Write},
    net::{SocketAddr, TcpStream},
    path::Path,
    process::Command,
    thread::sleep,
    time::{Duration, Instant},
};
use tokio::io::{AsyncReadExt, AsyncWriteExt};

const CONNECTIONS: [usize; 3] = [1, 8, 32];
const ROUNDS: usize = 3;
const WARM_UP: Duration = Duration::from_millis(500);
const MEASURED: Duration = Duration::from_secs(3);

fn main() {
    let folder = tempfile::tempdir().expect("a temporary folder");
    let (ours, ready) = taqicfd(folder.path());
    sleep(Duration::from_secs(2));
    println!("ready after {:.0} ms; idle memory {:.1} MiB", ready.as_secs_f64() * 1e3, ours.memory_mib());

    let model_id = train(ours.address);
    let row = json!({"frequency_hz": 1000, "angle_of_attack_deg": 2.0, "chord_m": 0.3048,
        "free_stream_velocity_ms": 71.3, "displacement_thickness_m": 0.0027});
    let body = json!({"model_id": model_id, "data": [row]}).to_string();
    let prediction = predict(ours.address, &body);
    println!("the row is predicted as {prediction}");

    let peers = [
        ("FastAPI + PyTorch", "predict_server.py", "?format=native"),
        ("FastAPI + onnxruntime", "onnx_server.py", "?format=onnx"),
    ];
    let peers = peers.map(|(name, script, format)| {
        let model = folder.path().join(script).with_extension("model");
        let file = call(ours.address, "GET", &format!("/model/{model_id}{format}"), "", &[]);
        std::fs::write(&model, file).expect("writable");
        let peer = peer(script, &model);
        if let Some(peer) = &peer {
            let other = predict(peer.address, &body);
            println!("by {name} as {other}");
            assert!((prediction - other).abs() < 1e-4 * prediction.abs(), "not the same network");
        }
        (name, peer)
    });

    println!(
        "\n{:>12} {:<22} {:>10} {:>9} {:>9} {:>8}",
        "connections", "", "requests/s", "p50 ms", "p99 ms", "ratio"
    );
    for connections in CONNECTIONS {
        let mut sides = vec![("taqicfd", Some(&ours))];
        sides.extend(peers.iter().map(|(name, peer)| (*name, peer.as_ref())));
        let mut all_loads: Vec<(&str, Vec<Load>)> = Vec::new();
        // In turn, so that both see the same state of the machine; the median round counts.
        for _ in 0..ROUNDS {
            for (name, server) in &sides {
                let Some(server) = server else { continue };
                let load = measure(server.address, &body, connections);
                match all_loads.iter_mut().find(|(known, _)| known == name) {
                    Some((_, loads)) => loads.push(load),
                    None => all_loads.push((name, vec![load])),
                }
            }
        }
        let mut own = None;
        for (name, mut loads) in all_loads {
            loads.sort_by(|a, b| a.per_second.total_cmp(&b.per_second));
            let Load { per_second, p50_ms, p99_ms } = loads[loads.len() / 2];
            let ratio = own.get_or_insert(per_second);
            println!(
                "{connections:>12} {name:<22} {per_second:>10.0} {p50_ms:>9.3} {p99_ms:>9.3} {:>7.1}x",
                *ratio / per_second
            );
        }
    }
    println!("\nmemory after the load {:.1} MiB", ours.memory_mib());
}

/// Our binary on a fresh folder, and the time until it was ready.
fn taqicfd(folder: &Path) -> (Server, Duration) {
    let begun = Instant::now();
    let server = Server::taqicfd(folder, |address| {
        try_call(address, "GET", "/readyz", "", &[]).is_some_and(|(status, _)| status == 200)
    });
    (server, begun.elapsed())
}

/// A usual way to serve a network in Python, with the same model.
fn peer(script: &str, model: &Path) -> Option<Server> {
    #[expect(clippy::disallowed_methods, reason = "a bench has no settings of its own")]
    let Ok(python) = std::env::var("TAQICFD_PEERS_PYTHON") else {
        eprintln!(
            "SKIPPED {script}: set TAQICFD_PEERS_PYTHON to a Python that has fastapi, uvicorn, torch and onnxruntime"
        );
        return None;
    };
    let address = free_address();
    let mut command = Command::new(python);
    command
        .arg(Path::new(env!("CARGO_MANIFEST_DIR")).join("benches/peers").join(script))
        .arg(model)
        .arg(address.port().to_string());
    Some(Server::start(&mut command, address, Duration::from_mins(2), |address| {
        TcpStream::connect(address).is_ok()
    }))
}

/// Uploads the sample, trains with the default settings, and returns the model.
fn train(address: SocketAddr) -> String {
    let file = include_bytes!(concat!(env!("CARGO_MANIFEST_DIR"), "/data/samples/airfoil_noise.csv"));
    let parse = |bytes: Vec<u8>| -> Value { serde_json::from_slice(&bytes).expect("JSON") };
    let dataset = parse(call(address, "POST", "/upload?filename=airfoil_noise.csv", "text/csv", file));
    let request = json!({"dataset_id": dataset["dataset_id"], "target": "sound_pressure_db"}).to_string();
    let mut training = parse(call(address, "POST", "/train", "application/json", request.as_bytes()));
    let path = format!("/trainings/{}?wait=20", training["training_id"].as_str().expect("an id"));
    while matches!(training["status"].as_str(), Some("queued" | "running")) {
        training = parse(call(address, "GET", &path, "", &[]));
    }
    let model_id = training["model_id"].as_str();
    model_id.unwrap_or_else(|| panic!("no model: {training}")).to_owned()
}

fn predict(address: SocketAddr, body: &str) -> f64 {
    let answer = call(address, "POST", "/predict", "application/json", body.as_bytes());
    let answer: Value = serde_json::from_slice(&answer).expect("JSON");
    answer["predictions"][0]["sound_pressure_db"]
        .as_f64()
        .unwrap_or_else(|| panic!("no prediction: {answer}"))
}

/// One request on a connection of its own; panics unless it succeeds.
fn call(address: SocketAddr, method: &str, path: &str, media_type: &str, body: &[u8]) -> Vec<u8> {
    let (status, answer) = try_call(address, method, path, media_type, body).expect("the server answers");
    assert!((200..300).contains(&status), "{method} {path}: {status} {}", String::from_utf8_lossy(&answer));
    answer
}

fn try_call(
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

fn request(method: &str, path: &str, media_type: &str, body: &[u8], connection: &str) -> Vec<u8> {
    let mut bytes =
        format!("{method} {path} HTTP/1.1\r\nHost: 127.0.0.1\r\nConnection: {connection}\r\n").into_bytes();
    if !media_type.is_empty() {
        bytes.extend(format!("Content-Type: {media_type}\r\nContent-Length: {}\r\n", body.len()).bytes());
    }
    bytes.extend(b"\r\n");
    bytes.extend(body);
    bytes
}

/// What was measured.
#[derive(Clone, Copy)]
struct Load {
    per_second: f64,
    p50_ms: f64,
    p99_ms: f64,
}

fn measure(address: SocketAddr, body: &str, connections: usize) -> Load {
    let request = request("POST", "/predict", "application/json", body.as_bytes(), "keep-alive");
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().expect("a runtime");
    let mut times = runtime.block_on(async {
        let begun = Instant::now();
        let clients: Vec<_> = (0..connections)
            .map(|_| tokio::spawn(send_again_and_again(address, request.clone(), begun)))
            .collect();
        let mut times = Vec::new();
        for client in clients {
            times.extend(client.await.expect("a client does not panic"));
        }
        times
    });
    times.sort_by(f64::total_cmp);
    let at = |share: f64| times[((times.len() - 1) as f64 * share) as usize] * 1e3;
    Load { per_second: times.len() as f64 / MEASURED.as_secs_f64(), p50_ms: at(0.5), p99_ms: at(0.99) }
}

/// Seconds of each request that began after the warm-up and ended in the measured time.
async fn send_again_and_again(address: SocketAddr, request: Vec<u8>, begun: Instant) -> Vec<f64> {
    let mut stream = tokio::net::TcpStream::connect(address).await.expect("the server accepts");
    stream.set_nodelay(true).expect("a socket");
    let (mut times, mut answer) = (Vec::new(), Vec::new());
    loop {
        let sent = Instant::now();
        stream.write_all(&request).await.expect("the server reads");
        read_answer(&mut stream, &mut answer).await;
        let now = begun.elapsed();
        if now > WARM_UP + MEASURED {
            return times;
        }
        if now > WARM_UP {
            times.push(sent.elapsed().as_secs_f64());
        }
    }
}

/// Reads one answer, which must be a 200 with its length.
async fn read_answer(stream: &mut tokio::net::TcpStream, answer: &mut Vec<u8>) {
    answer.clear();
    loop {
        let n_read = stream.read_buf(answer).await.expect("the server answers");
        assert!(n_read > 0, "the server has closed the connection");
        let Some(head) = answer.windows(4).position(|window| window == b"\r\n\r\n") else { continue };
        assert!(answer.starts_with(b"HTTP/1.1 200"), "{}", String::from_utf8_lossy(answer));
        let head_text = String::from_utf8_lossy(&answer[..head]).to_ascii_lowercase();
        let length = head_text.split("content-length:").nth(1).and_then(|rest| rest.lines().next());
        let length: usize =
            length.and_then(|text| text.trim().parse().ok()).expect("an answer with its length");
        if answer.len() >= head + 4 + length {
            return;
        }
    }
}
