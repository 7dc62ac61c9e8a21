//! Compares what the server has with what the clients were told.

use super::{
    client::{id_of, predict},
    world::{Kept, World},
};
use crate::process::Server;
use serde_json::Value;
use std::{
    collections::{BTreeMap, BTreeSet},
    path::{Path, PathBuf},
};
use taqicfd::hash::of_bytes as sha256;

/// What the server lists.
#[derive(Debug)]
pub(super) struct Audit {
    /// Dataset -> SHA-256.
    datasets: BTreeMap<String, String>,
    /// Model -> SHA-256 of the file as downloaded.
    models: BTreeMap<String, String>,
    trainings: Vec<Value>,
    list_of_models: Vec<Value>,
}

impl Audit {
    /// Everything listed, each file downloaded and hashed.
    pub(super) async fn of(http: &reqwest::Client, server: &Server) -> Result<Self, String> {
        let mut datasets = BTreeMap::new();
        for dataset in list(http, server, "datasets").await? {
            let dataset_id = id_of(&dataset, "dataset_id")?;
            let hash = sha256(&download(http, server, &format!("/datasets/{dataset_id}/file")).await?);
            if dataset["sha256"] != hash {
                return Err(format!("the file of {dataset} has the hash {hash}"));
            }
            datasets.insert(dataset_id, hash);
        }
        // Trainings before models: one that ends in between has its model listed, not the reverse.
        let trainings = list(http, server, "trainings").await?;
        let list_of_models = list(http, server, "models").await?;
        let mut models = BTreeMap::new();
        for model in &list_of_models {
            let model_id = id_of(model, "model_id")?;
            let hash = sha256(&download(http, server, &format!("/model/{model_id}")).await?);
            models.insert(model_id, hash);
        }
        Ok(Self { datasets, models, trainings, list_of_models })
    }

    /// The same, held against the promises.
    pub(super) async fn take(http: &reqwest::Client, server: &Server, world: &World) -> Result<Self, String> {
        let audit = Self::of(http, server).await?;
        audit.check_uploads(world)?;
        audit.check_trainings(world)?;
        audit.check_models(http, server, world).await?;
        Ok(audit)
    }

    fn check_uploads(&self, world: &World) -> Result<(), String> {
        let mut known = world.known();
        for (dataset_id, upload) in &mut known.uploads {
            match (upload.kept, self.datasets.get(dataset_id)) {
                (Kept::Yes, None) => return Err(format!("the acknowledged upload {dataset_id} is lost")),
                (Kept::No, Some(_)) => return Err(format!("the deleted upload {dataset_id} is back")),
                (_, Some(hash)) if *hash != upload.sha256 => {
                    return Err(format!("the upload {dataset_id} has changed"));
                }
                // The deletion that was not answered is decided now, and for good.
                (Kept::Unsure, found) => upload.kept = if found.is_some() { Kept::Yes } else { Kept::No },
                _ => {}
            }
        }
        Ok(())
    }

    fn check_trainings(&self, world: &World) -> Result<(), String> {
        let mut known = world.known();
        let listed: BTreeSet<&str> =
            self.trainings.iter().filter_map(|t| t["training_id"].as_str()).collect();
        if let Some(lost) = known.trainings.keys().find(|training_id| !listed.contains(training_id.as_str()))
        {
            return Err(format!("the acknowledged training {lost} is lost"));
        }
        for training in &self.trainings {
            let entry = known.trainings.entry(id_of(training, "training_id")?).or_default();
            let status = id_of(training, "status")?;
            let allowed = match status.as_str() {
                "queued" | "running" | "succeeded" => true,
                "cancelled" => entry.may_be_cancelled,
                _ => false,
            };
            if !allowed {
                return Err(format!("a training ended as it should not: {training}"));
            }
            if (status == "succeeded") != training["model_id"].is_string() {
                return Err(format!("a training with a model that does not fit its status: {training}"));
            }
            let end = (status, training["model_id"].clone(), training["finished_at"].clone());
            match &entry.end {
                Some(before) if *before != end => {
                    return Err(format!("ended twice: {before:?}, then {end:?}"));
                }
                None if training["finished_at"].is_string() => entry.end = Some(end),
                _ => {}
            }
        }
        Ok(())
    }

    async fn check_models(
        &self,
        http: &reqwest::Client,
        server: &Server,
        world: &World,
    ) -> Result<(), String> {
        let mut makers = BTreeSet::new();
        for model in &self.list_of_models {
            let model_id = id_of(model, "model_id")?;
            if !makers.insert(id_of(model, "training_id")?) {
                return Err(format!("a second model of one training: {model}"));
            }
            let name = id_of(model, "model_name")?;
            let recipe = world.recipe(&name).ok_or_else(|| format!("a model called {name}"))?;
            if self.models[&model_id] != recipe.sha256 {
                return Err(format!("not the bytes of the uninterrupted \"{name}\": {model}"));
            }
            let request = predict(http, &server.url(""), &model_id, &recipe.draft.row);
            let answer = request.send().await.map_err(|error| error.to_string())?;
            let answer: Value = answer.json().await.map_err(|error| error.to_string())?;
            if answer["predictions"] != recipe.predictions {
                return Err(format!("{model_id} answers {answer}, not {}", recipe.predictions));
            }
        }
        let mut known = world.known();
        let made: Vec<String> =
            known.trainings.values().filter_map(|t| Some(t.end.as_ref()?.1.as_str()?.to_owned())).collect();
        for model_id in made {
            let kept = known.models.entry(model_id.clone()).or_insert(Kept::Yes);
            match (*kept, self.models.contains_key(&model_id)) {
                (Kept::Yes, false) => return Err(format!("the model {model_id} is lost")),
                (Kept::No, true) => return Err(format!("the deleted model {model_id} is back")),
                (Kept::Unsure, found) => *kept = if found { Kept::Yes } else { Kept::No },
                _ => {}
            }
        }
        Ok(())
    }

    /// Whether another audit saw the same datasets and models.
    pub(super) fn same_as(&self, other: &Self) -> Result<(), String> {
        if self.datasets == other.datasets && self.models == other.models {
            return Ok(());
        }
        Err(format!("the sweep has changed what is listed: {self:?}, then {other:?}"))
    }

    /// Files of uploads, checkpoints, models and temporary ones that no row names.
    pub(super) fn strangers(&self, folder: &Path) -> Vec<PathBuf> {
        let named = |path: &Path| {
            let text = path.to_string_lossy();
            let kept = ["taqicfd.db", "database.id", "server.lock", "server.log"]
                .iter()
                .any(|name| path.file_name().is_some_and(|file| file.to_string_lossy().starts_with(name)));
            // Every training has ended, so that no checkpoint is needed.
            kept || (!text.contains("checkpoints")
                && self.datasets.keys().chain(self.models.keys()).any(|id| text.contains(id.as_str())))
        };
        files(folder).into_iter().filter(|path| !named(path)).collect()
    }

    pub(super) fn summary(&self) -> String {
        let resumed = self.trainings.iter().filter(|t| t["attempt"].as_i64() > Some(1)).count();
        format!(
            "at the end {} datasets, {} models; {} of {} trainings taken up again after a crash",
            self.datasets.len(),
            self.models.len(),
            resumed,
            self.trainings.len()
        )
    }
}

/// The trainings that have not ended.
pub(super) async fn open_trainings(http: &reqwest::Client, server: &Server) -> Result<Vec<String>, String> {
    let trainings = list(http, server, "trainings").await?;
    let open = trainings.iter().filter(|training| training["finished_at"].is_null());
    Ok(open.map(|training| format!("{} {}", training["training_id"], training["message"])).collect())
}

/// All items of a list, page by page.
async fn list(http: &reqwest::Client, server: &Server, noun: &str) -> Result<Vec<Value>, String> {
    let mut items = Vec::new();
    let mut path = format!("/{noun}?limit=100");
    loop {
        let body: Value = serde_json::from_slice(&download(http, server, &path).await?)
            .map_err(|error| format!("{path}: {error}"))?;
        let page = body[noun].as_array().ok_or_else(|| format!("{path} answered {body}"))?;
        items.extend(page.iter().cloned());
        match body["next_cursor"].as_str() {
            Some(cursor) => path = format!("/{noun}?limit=100&cursor={cursor}"),
            None => return Ok(items),
        }
    }
}

async fn download(http: &reqwest::Client, server: &Server, path: &str) -> Result<Vec<u8>, String> {
    let answer = http.get(server.url(path)).send().await.map_err(|error| format!("{path}: {error}"))?;
    let status = answer.status();
    let bytes = answer.bytes().await.map_err(|error| format!("{path}: {error}"))?;
    if !status.is_success() {
        return Err(format!("{path} answered {status}: {}", String::from_utf8_lossy(&bytes)));
    }
    Ok(bytes.to_vec())
}

/// Every file under `folder`.
pub(super) fn files(folder: &Path) -> Vec<PathBuf> {
    tree(folder).into_iter().filter(|path| !path.is_dir()).collect()
}

/// Every file and folder under `folder`, a folder after what is in it.
pub(super) fn tree(folder: &Path) -> Vec<PathBuf> {
    let mut found = Vec::new();
    for entry in std::fs::read_dir(folder).into_iter().flatten().flatten() {
        if entry.file_type().is_ok_and(|kind| kind.is_dir()) {
            found.extend(tree(&entry.path()));
        }
        found.push(entry.path());
    }
    found
}
