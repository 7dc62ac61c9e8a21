//! One-row predictions over loopback, beside the usual ways to serve the same network in Python.
//!
//! ```text
//! TAQICFD_PEERS_PYTHON=peers/bin/python TAQICFD_MLSERVER_PYTHON=mlserver/bin/python cargo bench --bench serving
//! ```
//!
//! The peers run where these name a Python that has them (`pip install -r benches/peers/requirements.txt`, and
//! `benches/peers/requirements-mlserver.txt` in an environment of its own). The load comes from one thread of this
//! process, so that a machine with two processors has one for the server. All sides answer the same row, each in its own
//! protocol, in turn, without a log line per request. Also shown: the time from starting the process until it is ready,
//! its memory when idle, the first prediction from a model that is on disk only, and predictions beside a training.

#![expect(clippy::print_stdout, reason = "a bench prints its figures")]

#[path = "support/client.rs"]
mod client;
#[path = "support/load.rs"]
mod load;
#[path = "support/server.rs"]
mod server;

use client::{call, parse, queue, train, try_call};
use load::{Load, measure};
use serde_json::{Value, json};
use server::{Server, free_address};
use std::{
    net::{SocketAddr, TcpStream},
    path::Path,
    process::{Command, Stdio},
    thread::sleep,
    time::{Duration, Instant},
};

const CONNECTIONS: [usize; 3] = [1, 8, 32];
const ROUNDS: usize = 3;

/// A way to serve the network.
struct Peer {
    name: &'static str,
    script: &'static str,
    /// Of the file it reads, at `GET /model/{model_id}`.
    format: &'static str,
    /// Names the Python that has it.
    python: &'static str,
    protocol: Protocol,
}

/// Where and how a row is sent.
#[derive(Clone, Copy, PartialEq)]
enum Protocol {
    Own,
    OpenInference,
    Mlflow,
}

const PEERS: [Peer; 4] = [
    Peer {
        name: "FastAPI + PyTorch",
        script: "predict_server.py",
        format: "native",
        python: "TAQICFD_PEERS_PYTHON",
        protocol: Protocol::Own,
    },
    Peer {
        name: "FastAPI + onnxruntime",
        script: "onnx_server.py",
        format: "onnx",
        python: "TAQICFD_PEERS_PYTHON",
        protocol: Protocol::Own,
    },
    Peer {
        name: "MLServer + PyTorch",
        script: "mlserver_server.py",
        format: "native",
        python: "TAQICFD_MLSERVER_PYTHON",
        protocol: Protocol::OpenInference,
    },
    Peer {
        name: "mlflow models serve",
        script: "mlflow_server.py",
        format: "native",
        python: "TAQICFD_MLSERVER_PYTHON",
        protocol: Protocol::Mlflow,
    },
];

impl Protocol {
    fn path(self) -> &'static str {
        match self {
            Self::Own => "/predict",
            Self::OpenInference => "/v2/models/airfoil/infer",
            Self::Mlflow => "/invocations",
        }
    }

    fn body(self) -> String {
        let row = json!({"frequency_hz": 1000, "angle_of_attack_deg": 2.0, "chord_m": 0.3048,
            "free_stream_velocity_ms": 71.3, "displacement_thickness_m": 0.0027});
        match self {
            Self::Own => json!({"model": "airfoil", "data": [row]}),
            Self::Mlflow => json!({"dataframe_records": [row]}),
            Self::OpenInference => {
                let tensor = |(name, value): (&String, &Value)| {
                    json!({"name": name, "shape": [1, 1], "datatype": "FP64", "data": [value]})
                };
                json!({"inputs": row.as_object().into_iter().flatten().map(tensor).collect::<Vec<_>>()})
            }
        }
        .to_string()
    }

    /// The prediction in an answer.
    fn value(self, answer: &Value) -> Option<f64> {
        match self {
            Self::OpenInference => answer["outputs"][0]["data"][0].as_f64(),
            _ => {
                let prediction = &answer["predictions"][0];
                prediction["sound_pressure_db"].as_f64().or_else(|| prediction.as_f64())
            }
        }
    }

    fn ask(self, address: SocketAddr) -> f64 {
        let answer = parse(&call(address, "POST", self.path(), "application/json", self.body().as_bytes()));
        self.value(&answer).unwrap_or_else(|| panic!("no prediction: {answer}"))
    }
}

fn main() {
    let folder = tempfile::tempdir().expect("a temporary folder");
    let begun = Instant::now();
    let ours = taqicfd(folder.path());
    let ready = begun.elapsed();
    sleep(Duration::from_secs(2));
    println!("ready after {:.0} ms; idle memory {:.1} MiB", ready.as_secs_f64() * 1e3, ours.memory_mib());

    let model_id = train(ours.address, &json!({"model_name": "airfoil"}));
    let prediction = Protocol::Own.ask(ours.address);
    println!("the row is predicted as {prediction}");
    let ours = show_cold_start(ours, folder.path());
    compare(&ours, &model_id, prediction, folder.path());
    show_beside_training(&ours);
    println!("\nmemory after the load {:.1} MiB", ours.memory_mib());
}

/// Requests per second of all sides.
fn compare(ours: &Server, model_id: &str, prediction: f64, folder: &Path) {
    let peers: Vec<(&Peer, Server)> = PEERS
        .iter()
        .filter_map(|peer| {
            let file =
                call(ours.address, "GET", &format!("/model/{model_id}?format={}", peer.format), "", &[]);
            let model = folder.join(peer.script).with_extension("model");
            std::fs::write(&model, file).expect("writable");
            let server = start(peer, &model)?;
            let other = peer.protocol.ask(server.address);
            assert!(
                (prediction - other).abs() < 1e-4 * prediction.abs(),
                "{}: not the same network",
                peer.name
            );
            Some((peer, server))
        })
        .collect();
    println!(
        "\n{:>12} {:<26} {:>10} {:>9} {:>9} {:>8}",
        "connections", "", "requests/s", "p50 ms", "p99 ms", "ratio"
    );
    for connections in CONNECTIONS {
        let own = [Protocol::Own, Protocol::OpenInference, Protocol::Mlflow].map(|protocol| {
            let name = if protocol == Protocol::Own {
                "taqicfd".to_owned()
            } else {
                format!("taqicfd, {}", &protocol.path()[..protocol.path().len().min(12)])
            };
            (name, ours.address, protocol)
        });
        let others = peers.iter().map(|(peer, server)| (peer.name.to_owned(), server.address, peer.protocol));
        let sides: Vec<(String, SocketAddr, Protocol)> = own.into_iter().chain(others).collect();
        let mut loads: Vec<Vec<Load>> = vec![Vec::new(); sides.len()];
        // In turn, so that all see the same state of the machine; the median round counts.
        for _ in 0..ROUNDS {
            for ((_, address, protocol), loads) in sides.iter().zip(&mut loads) {
                loads.push(measure(*address, protocol.path(), &protocol.body(), connections));
            }
        }
        let loads: Vec<Load> = loads.into_iter().map(median).collect();
        for ((name, ..), Load { per_second, p50_ms, p99_ms }) in sides.iter().zip(&loads) {
            let ratio = loads[0].per_second / per_second;
            println!(
                "{connections:>12} {name:<26} {per_second:>10.0} {p50_ms:>9.3} {p99_ms:>9.3} {ratio:>7.1}x"
            );
        }
    }
}

fn median(mut loads: Vec<Load>) -> Load {
    loads.sort_by(|a, b| a.per_second.total_cmp(&b.per_second));
    loads[loads.len() / 2]
}

/// The first prediction of a server that has just started: the model is on disk only.
fn show_cold_start(ours: Server, folder: &Path) -> Server {
    drop(ours);
    let mut times = Vec::new();
    let mut server = taqicfd(folder);
    for _ in 0..ROUNDS {
        let begun = Instant::now();
        Protocol::Own.ask(server.address);
        times.push(begun.elapsed().as_secs_f64() * 1e3);
        drop(server);
        server = taqicfd(folder);
    }
    times.sort_by(f64::total_cmp);
    println!(
        "first prediction from a model on disk: {:.1} ms, at most {:.1}",
        times[times.len() / 2],
        times[ROUNDS - 1]
    );
    server
}

/// One connection beside a training of preset `best`, and beside nothing.
fn show_beside_training(ours: &Server) {
    let protocol = Protocol::Own;
    let load =
        || median((0..ROUNDS).map(|_| measure(ours.address, protocol.path(), &protocol.body(), 1)).collect());
    let idle = load();
    let settings = json!({"model_name": "beside", "preset": "best", "epochs": 4000, "time_limit_s": 120});
    let training = queue(ours.address, &settings);
    let path = format!("/trainings/{}", training["training_id"].as_str().expect("an id"));
    let status = || parse(&call(ours.address, "GET", &path, "", &[]))["status"].as_str().map(str::to_owned);
    while status().as_deref() == Some("queued") {
        sleep(Duration::from_millis(50));
    }
    let busy = load();
    assert_eq!(status().as_deref(), Some("running"), "the training ended before the load did");
    call(ours.address, "POST", &format!("{path}/cancel"), "application/json", b"{}");
    println!("\n1 connection: p50 {:.3}, p99 {:.3} ms", idle.p50_ms, idle.p99_ms);
    println!(
        "beside a training: p50 {:.3}, p99 {:.3} ms ({:.1} x)",
        busy.p50_ms,
        busy.p99_ms,
        busy.p99_ms / idle.p99_ms
    );
}

/// Our binary.
fn taqicfd(folder: &Path) -> Server {
    Server::taqicfd(folder, |address| {
        try_call(address, "GET", "/readyz", "", &[]).is_some_and(|(status, _)| status == 200)
    })
}

/// A usual way to serve a network in Python, with the same model.
fn start(peer: &Peer, model: &Path) -> Option<Server> {
    #[expect(clippy::disallowed_methods, reason = "a bench has no settings of its own")]
    let Ok(python) = std::env::var(peer.python) else {
        eprintln!("SKIPPED {}: set {} to a Python that has what it needs", peer.name, peer.python);
        return None;
    };
    let address = free_address();
    let mut command = Command::new(python);
    command
        .arg(Path::new(env!("CARGO_MANIFEST_DIR")).join("benches/peers").join(peer.script))
        .arg(model)
        .arg(address.port().to_string())
        .stdout(Stdio::null())
        .stderr(Stdio::null());
    let protocol = peer.protocol;
    Some(Server::start(&mut command, address, Duration::from_mins(2), |address| {
        TcpStream::connect(address).is_ok()
            && try_call(address, "POST", protocol.path(), "application/json", protocol.body().as_bytes())
                .is_some_and(|(status, _)| status == 200)
    }))
}
