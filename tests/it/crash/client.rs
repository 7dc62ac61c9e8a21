//! A client that does one thing after the other until the server is gone.

use super::world::{Dice, Draft, Kept, Recipe, Training, Upload, World};
use crate::process::Server;
use reqwest::{RequestBuilder, StatusCode};
use serde_json::{Value, json};
use std::{fmt::Write, sync::Arc};
use taqicfd::hash::of_bytes as sha256;

/// Trainings that may wait or run at once; more would take too long to end after the last round.
const MAX_OPEN: usize = 3;

/// An answer, or nothing: the server is gone, and whether it did what was asked is not known.
type Answer = Option<(StatusCode, Value)>;

/// Sends, and reads the answer to its end: only a whole answer is an acknowledgement.
async fn send(request: RequestBuilder) -> Result<Answer, String> {
    let Ok(response) = request.send().await else { return Ok(None) };
    let (status, url) = (response.status(), response.url().path().to_owned());
    let Ok(bytes) = response.bytes().await else { return Ok(None) };
    let body =
        if bytes.is_empty() { Value::Null } else { serde_json::from_slice(&bytes).unwrap_or_default() };
    if status.is_server_error() && status != StatusCode::SERVICE_UNAVAILABLE {
        return Err(format!("{url} answered {status}: {}", String::from_utf8_lossy(&bytes)));
    }
    Ok(Some((status, body)))
}

fn unexpected(what: &str, status: StatusCode, body: &Value) -> String {
    format!("{what} answered {status}: {body}")
}

pub(super) fn id_of(body: &Value, field: &str) -> Result<String, String> {
    body[field].as_str().map(str::to_owned).ok_or_else(|| format!("no {field} in {body}"))
}

fn upload(http: &reqwest::Client, base: &str, bytes: &[u8]) -> RequestBuilder {
    http.post(format!("{base}/upload?filename=crash.csv&allow_duplicate=true"))
        .header("content-type", "text/csv")
        .body(bytes.to_vec())
}

/// Uploads what the recipes learn from.
pub(super) async fn upload_training_data(
    http: &reqwest::Client,
    server: &Server,
    world: &World,
) -> Result<(), String> {
    for recipe in &world.recipes {
        match send(upload(http, &server.url(""), recipe.draft.data)).await? {
            Some((StatusCode::CREATED, body)) => {
                let dataset_id = id_of(&body, "dataset_id")?;
                let sha256 = sha256(recipe.draft.data);
                let mut known = world.known();
                known.uploads.insert(dataset_id.clone(), Upload { sha256, kept: Kept::Yes });
                known.training_data.push(dataset_id);
            }
            other => return Err(format!("the training data were not taken: {other:?}")),
        }
    }
    Ok(())
}

/// Trains without interruption, and keeps what came of it.
pub(super) async fn train_to_the_end(
    http: &reqwest::Client,
    server: &Server,
    draft: Draft,
) -> Result<Recipe, String> {
    let gone = || format!("the server is gone; {}", server.log_tail());
    let (_, dataset) = send(upload(http, &server.url(""), draft.data)).await?.ok_or_else(gone)?;
    let request = train(http, &server.url(""), &draft, &id_of(&dataset, "dataset_id")?);
    let (_, mut training) = send(request).await?.ok_or_else(gone)?;
    let training_id = id_of(&training, "training_id")?;
    while matches!(training["status"].as_str(), Some("queued" | "running")) {
        let request = http.get(server.url(&format!("/trainings/{training_id}?wait=20")));
        (_, training) = send(request).await?.ok_or_else(gone)?;
    }
    let model_id = id_of(&training, "model_id").map_err(|_| format!("no model came of {training}"))?;
    let file = http.get(server.url(&format!("/model/{model_id}"))).send().await;
    let file = file.map_err(|error| error.to_string())?.bytes().await.map_err(|error| error.to_string())?;
    let (status, answer) =
        send(predict(http, &server.url(""), &model_id, &draft.row)).await?.ok_or_else(gone)?;
    if status != StatusCode::OK {
        return Err(unexpected("/predict", status, &answer));
    }
    Ok(Recipe { sha256: sha256(&file), predictions: answer["predictions"].clone(), draft })
}

fn train(http: &reqwest::Client, base: &str, draft: &Draft, dataset_id: &str) -> RequestBuilder {
    let mut request = draft.request.clone();
    request["dataset_id"] = json!(dataset_id);
    request["model_name"] = json!(draft.name);
    http.post(format!("{base}/train")).json(&request)
}

pub(super) fn predict(http: &reqwest::Client, base: &str, model_id: &str, row: &Value) -> RequestBuilder {
    http.post(format!("{base}/predict")).json(&json!({"model_id": model_id, "data": [row]}))
}

/// Works until the server is gone. An error is a broken promise.
pub(super) async fn work(
    http: reqwest::Client,
    base: String,
    world: Arc<World>,
    mut dice: Dice,
) -> Result<(), String> {
    let client = Client { http: &http, base: &base, world: &world };
    loop {
        let alive = match dice.below(100) {
            0..30 => client.upload(&mut dice).await?,
            30..50 => client.train(&mut dice).await?,
            50..80 => client.predict(&mut dice).await?,
            80..90 => client.delete_upload(&mut dice).await?,
            90..94 => client.delete_model(&mut dice).await?,
            94..97 => client.cancel(&mut dice).await?,
            _ => send(http.get(format!("{base}/models"))).await?.is_some(),
        };
        if !alive {
            return Ok(());
        }
    }
}

struct Client<'a> {
    http: &'a reqwest::Client,
    base: &'a str,
    world: &'a World,
}

/// Each returns whether the server still answers.
impl Client<'_> {
    async fn upload(&self, dice: &mut Dice) -> Result<bool, String> {
        // Now and then one that takes long enough to be cut off.
        let n_rows = if dice.chance(0.2) { 20_000 } else { 30 + dice.below(300) };
        let mut text = String::from("x,y,z\n");
        for _ in 0..n_rows {
            let _ = writeln!(text, "{},{},{}", dice.below(1000), dice.below(1000), dice.next());
        }
        match send(upload(self.http, self.base, text.as_bytes())).await? {
            None => Ok(false),
            Some((StatusCode::CREATED, body)) => {
                let upload = Upload { sha256: sha256(text.as_bytes()), kept: Kept::Yes };
                if body["sha256"] != json!(upload.sha256) {
                    return Err(format!("the upload {} was hashed as {}", upload.sha256, body["sha256"]));
                }
                self.world.known().uploads.insert(id_of(&body, "dataset_id")?, upload);
                Ok(true)
            }
            Some((StatusCode::SERVICE_UNAVAILABLE, _)) => Ok(true),
            Some((status, body)) => Err(unexpected("/upload", status, &body)),
        }
    }

    async fn train(&self, dice: &mut Dice) -> Result<bool, String> {
        let index = dice.below(self.world.recipes.len() as u64) as usize;
        let dataset_id = {
            let known = self.world.known();
            let n_open = known.trainings.values().filter(|training| training.end.is_none()).count();
            if n_open >= MAX_OPEN {
                return Ok(true);
            }
            known.training_data[index].clone()
        };
        match send(train(self.http, self.base, &self.world.recipes[index].draft, &dataset_id)).await? {
            None => Ok(false),
            Some((StatusCode::ACCEPTED, body)) => {
                self.world.known().trainings.insert(id_of(&body, "training_id")?, Training::default());
                Ok(true)
            }
            Some((StatusCode::SERVICE_UNAVAILABLE, _)) => Ok(true),
            Some((status, body)) => Err(unexpected("/train", status, &body)),
        }
    }

    async fn predict(&self, dice: &mut Dice) -> Result<bool, String> {
        let Some((_, list)) = send(self.http.get(format!("{}/models?limit=20", self.base))).await? else {
            return Ok(false);
        };
        let models = list["models"].as_array().cloned().unwrap_or_default();
        let Some(model) = dice.pick(&models) else { return Ok(true) };
        let (model_id, name) = (id_of(&model, "model_id")?, id_of(&model, "model_name")?);
        let recipe = self.world.recipe(&name).ok_or_else(|| format!("a model called {name}"))?;
        match send(predict(self.http, self.base, &model_id, &recipe.draft.row)).await? {
            None => Ok(false),
            Some((StatusCode::OK, body)) if body["predictions"] == recipe.predictions => {
                self.world.known().n_predictions += 1;
                Ok(true)
            }
            Some((StatusCode::SERVICE_UNAVAILABLE, _)) => Ok(true),
            // Another client has deleted it meanwhile.
            Some((StatusCode::NOT_FOUND, _))
                if self.world.known().models.get(&model_id) != Some(&Kept::Yes) =>
            {
                Ok(true)
            }
            Some((status, body)) => Err(format!(
                "{}; the uninterrupted model predicts {}",
                unexpected("/predict", status, &body),
                recipe.predictions
            )),
        }
    }

    async fn delete_upload(&self, dice: &mut Dice) -> Result<bool, String> {
        let dataset_id = {
            let mut known = self.world.known();
            let mut kept: Vec<String> = known
                .uploads
                .iter()
                .filter(|(dataset_id, upload)| {
                    upload.kept == Kept::Yes && !known.training_data.contains(dataset_id)
                })
                .map(|(dataset_id, _)| dataset_id.clone())
                .collect();
            kept.sort();
            let Some(dataset_id) = dice.pick(&kept) else { return Ok(true) };
            if let Some(upload) = known.uploads.get_mut(&dataset_id) {
                upload.kept = Kept::Unsure;
            }
            dataset_id
        };
        match send(self.http.delete(format!("{}/datasets/{dataset_id}", self.base))).await? {
            None => Ok(false),
            Some((status, _)) if status.is_success() => {
                let mut known = self.world.known();
                known.n_deletes += 1;
                if let Some(upload) = known.uploads.get_mut(&dataset_id) {
                    upload.kept = Kept::No;
                }
                Ok(true)
            }
            Some((StatusCode::SERVICE_UNAVAILABLE, _)) => Ok(true),
            Some((status, body)) => Err(unexpected("DELETE /datasets", status, &body)),
        }
    }

    async fn delete_model(&self, dice: &mut Dice) -> Result<bool, String> {
        let model_id = {
            let mut known = self.world.known();
            let mut kept: Vec<String> = known
                .models
                .iter()
                .filter(|(_, kept)| **kept == Kept::Yes)
                .map(|(model_id, _)| model_id.clone())
                .collect();
            kept.sort();
            let Some(model_id) = dice.pick(&kept) else { return Ok(true) };
            known.models.insert(model_id.clone(), Kept::Unsure);
            model_id
        };
        match send(self.http.delete(format!("{}/models/{model_id}", self.base))).await? {
            None => Ok(false),
            Some((status, _)) if status.is_success() => {
                let mut known = self.world.known();
                known.n_deletes += 1;
                known.models.insert(model_id, Kept::No);
                Ok(true)
            }
            Some((StatusCode::SERVICE_UNAVAILABLE, _)) => Ok(true),
            Some((status, body)) => Err(unexpected("DELETE /models", status, &body)),
        }
    }

    async fn cancel(&self, dice: &mut Dice) -> Result<bool, String> {
        let training_id = {
            let mut known = self.world.known();
            let mut open: Vec<String> = known
                .trainings
                .iter()
                .filter(|(_, training)| training.end.is_none())
                .map(|(training_id, _)| training_id.clone())
                .collect();
            open.sort();
            let Some(training_id) = dice.pick(&open) else { return Ok(true) };
            if let Some(training) = known.trainings.get_mut(&training_id) {
                training.may_be_cancelled = true;
            }
            training_id
        };
        match send(self.http.post(format!("{}/trainings/{training_id}/cancel", self.base))).await? {
            None => Ok(false),
            // 409: it has ended already.
            Some((status, _)) if status.is_success() || status == StatusCode::CONFLICT => Ok(true),
            Some((StatusCode::SERVICE_UNAVAILABLE, _)) => Ok(true),
            Some((status, body)) => Err(unexpected("cancel", status, &body)),
        }
    }
}
