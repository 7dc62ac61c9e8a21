//! The guided tour: what a researcher does, step by step, over HTTP, with the curl line of each.

use super::{progress::Bar, serve};
use crate::{config::Settings, telemetry};
use anyhow::{Context, bail};
use futures::StreamExt;
use reqwest::{Client, Response, multipart};
use serde_json::{Value, json};
use std::{
    io::{self, IsTerminal, Write},
    process::ExitCode,
};

const SAMPLE: &[u8] = include_bytes!("../../data/samples/airfoil_noise.csv");
const SAMPLE_NAME: &str = "airfoil_noise.csv";
const TARGET: &str = "sound_pressure_db";

/// Starts the server, shows the five steps, and goes on serving.
pub(super) fn run(mut settings: Settings) -> anyhow::Result<ExitCode> {
    // The tour is the output; the log would run through it.
    if settings.logs.filter == "info" {
        "warn".clone_into(&mut settings.logs.filter);
    }
    telemetry::init_logs(&settings.logs)?;
    serve::runtime()?.block_on(async {
        let server = match serve::start(settings.clone()).await {
            Ok(server) => server,
            Err(error) if is_port_taken(&error) => {
                say(&format!("{} is in use; taking a free port instead", settings.server.bind));
                settings.server.bind.set_port(0);
                serve::start(settings).await?
            }
            Err(error) => return Err(error),
        };
        let base = format!("http://{}", server.address);
        let stopped = server.app.shutdown().clone();
        tokio::select! {
            outcome = tour(&base) => outcome.context("the tour failed")?,
            () = stopped.cancelled() => {}
        }
        if !stopped.is_cancelled() {
            say(&format!(
                "\nThe server goes on: {base}/ (routes), {base}/docs (try them), {base}/models. Ctrl-C ends it."
            ));
        }
        server.run().await
    })
}

fn is_port_taken(error: &anyhow::Error) -> bool {
    let taken = |cause: &(dyn std::error::Error + 'static)| {
        cause.downcast_ref::<io::Error>().is_some_and(|error| error.kind() == io::ErrorKind::AddrInUse)
    };
    error.chain().any(taken)
}

async fn tour(base: &str) -> anyhow::Result<()> {
    let client = Client::builder().no_proxy().build()?;
    step(1, "Upload a spreadsheet", &format!("curl -F file=@{SAMPLE_NAME} {base}/upload"));
    let file = multipart::Part::bytes(SAMPLE).file_name(SAMPLE_NAME);
    let form = multipart::Form::new().part("file", file);
    let dataset = answer(client.post(format!("{base}/upload")).multipart(form).send().await?).await?;
    let columns: Vec<&str> = list(&dataset["columns"]).filter_map(|column| column["name"].as_str()).collect();
    say(&format!("   {} rows, columns {}", dataset["rows"], columns.join(", ")));

    let request = json!({"dataset_id": dataset["dataset_id"], "target": TARGET, "model_name": "airfoil"});
    step(2, "Train a network on it", &curl(base, "/train", &request));
    let training = answer(client.post(format!("{base}/train")).json(&request).send().await?).await?;
    let training = follow(&client, base, &training["training_id"]).await?;
    if training["status"] != "succeeded" {
        bail!("the training has {}: {}", training["status"], training["error"]["detail"]);
    }
    let model_id = text(&training["model_id"]).to_owned();
    let card = answer(client.get(format!("{base}/models/{model_id}")).send().await?).await?;
    say(&scores(&card));

    let row = &dataset["preview"][0];
    let inputs: serde_json::Map<String, Value> = list(&card["inputs"])
        .filter_map(|input| input["name"].as_str())
        .map(|name| (name.to_owned(), row[name].clone()))
        .collect();
    let request = json!({"model_id": model_id, "data": [inputs], "confidence": 0.9});
    step(3, "Ask the network", &curl(base, "/predict", &request));
    let prediction = answer(client.post(format!("{base}/predict")).json(&request).send().await?).await?;
    let bounds = &prediction["intervals"][0][TARGET];
    say(&format!(
        "   {TARGET} = {}, between {} and {} with 90 % confidence; measured was {}",
        short(&prediction["predictions"][0][TARGET]),
        short(&bounds["lower_bound"]),
        short(&bounds["upper_bound"]),
        short(&row[TARGET]),
    ));

    step(4, "List the networks", &format!("curl {base}/models"));
    let models = answer(client.get(format!("{base}/models?limit=5")).send().await?).await?;
    for model in list(&models["models"]) {
        say(&format!(
            "   {} version {}: rmse {}, r2 {}  ({})",
            text(&model["model_name"]),
            model["version"],
            short(&model["metrics"]["rmse"]),
            short(&model["metrics"]["r2"]),
            text(&model["model_id"]),
        ));
    }

    step(5, "Download one", &format!("curl -OJ {base}/model/{model_id}"));
    let download = client.get(format!("{base}/model/{model_id}")).send().await?.error_for_status()?;
    let disposition = download.headers().get("content-disposition").and_then(|value| value.to_str().ok());
    let name = disposition.and_then(|text| text.split('"').nth(1)).unwrap_or("the model").to_owned();
    say(&format!(
        "   {name}, {} bytes: weights and description in one safetensors file",
        download.bytes().await?.len()
    ));
    Ok(())
}

/// Draws the progress as the server tells it, and returns the finished training.
async fn follow(client: &Client, base: &str, training_id: &Value) -> anyhow::Result<Value> {
    let url = format!("{base}/trainings/{}", text(training_id));
    let mut bar = Bar::new();
    let mut events = client.get(format!("{url}/events")).send().await?.error_for_status()?.bytes_stream();
    let mut waiting = String::new();
    while let Some(piece) = events.next().await {
        waiting.push_str(&String::from_utf8_lossy(&piece?));
        while let Some((event, rest)) = waiting.split_once("\n\n") {
            let line = |name: &str| event.lines().find_map(|line| line.strip_prefix(name)).map(str::trim);
            let data: Value =
                line("data:").and_then(|data| serde_json::from_str(data).ok()).unwrap_or_default();
            if line("event:") == Some("progress") {
                bar.show(data["progress"].as_f64().unwrap_or(0.0), text(&data["message"]));
            }
            waiting = rest.to_owned();
        }
    }
    bar.end();
    answer(client.get(url).send().await?).await
}

/// The network's scores on the test part beside those of the baselines on the same rows.
fn scores(card: &Value) -> String {
    let mut table =
        format!("   on {} rows it never saw:   rmse      mae       r2\n", card["split"]["test_rows"]);
    let mut row = |name: &str, scores: &Value| {
        let cells = ["rmse", "mae", "r2"].map(|metric| format!("{:<9}", short(&scores[metric])));
        table.push_str(&format!("   {name:<24} {}\n", cells.join(" ")));
    };
    row("network", &card["metrics"]);
    if let Some(baselines) = card["baselines"].as_object() {
        for (name, scores) in baselines {
            row(&name.replace('_', " "), scores.get("metrics").unwrap_or(scores));
        }
    }
    table.trim_end().to_owned()
}

async fn answer(response: Response) -> anyhow::Result<Value> {
    let status = response.status();
    let body: Value = response.json().await?;
    if !status.is_success() {
        bail!("{status}: {}", text(&body["detail"]));
    }
    Ok(body)
}

fn step(number: u8, title: &str, command: &str) {
    let bold = io::stdout().is_terminal() && !crate::config::no_color();
    let (on, off) = if bold { ("\x1b[1m", "\x1b[0m") } else { ("", "") };
    say(&format!("\n{on}{number}. {title}{off}\n   $ {command}"));
}

fn curl(base: &str, path: &str, body: &Value) -> String {
    format!("curl {base}{path} -H 'Content-Type: application/json' -d '{body}'")
}

fn say(line: &str) {
    let _ = writeln!(io::stdout(), "{line}");
}

fn list(value: &Value) -> impl Iterator<Item = &Value> {
    value.as_array().into_iter().flatten()
}

fn text(value: &Value) -> &str {
    value.as_str().unwrap_or_default()
}

/// Four significant digits.
fn short(value: &Value) -> String {
    value.as_f64().map_or_else(|| "-".to_owned(), crate::model::input::short_number)
}
