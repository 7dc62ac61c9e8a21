//! What a model takes and gives, and whether it is ready.

use super::{Which, document::document, find, output};
use crate::{
    app::App,
    dataset::ColumnKind,
    http::{
        error::Problem,
        extract::{Json, Path},
        health,
        protocols::record,
    },
    model::{Input, Target},
    prediction::Loaded,
    storage::{ModelStatus, models},
};
use axum::{extract::State, response::Response};
use serde::Serialize;
use serde_json::{Value, json};
use std::collections::BTreeMap;
use utoipa::ToSchema;
use utoipa_axum::{router::OpenApiRouter, routes};

/// The routes of this file.
pub fn routes() -> OpenApiRouter<App> {
    OpenApiRouter::new()
        .routes(routes!(list_v2_models))
        .routes(routes!(show_v2_model))
        .routes(routes!(show_v2_version))
        .routes(routes!(show_v2_model_readiness))
        .routes(routes!(show_v2_version_readiness))
        .routes(routes!(describe_v2_model))
        .routes(routes!(describe_v2_version))
}

/// The names of all models.
#[derive(Debug, Serialize, ToSchema)]
pub struct V2ModelNames {
    /// In order.
    models: Vec<String>,
}

/// List the names of the models (`KServe`)
#[utoipa::path(get, path = "/v2/models", tag = "open inference", responses((status = 200, body = V2ModelNames)))]
pub async fn list_v2_models(State(app): State<App>) -> Result<Json<V2ModelNames>, Problem> {
    let models = models::names(app.db()?, u32::MAX).await?;
    Ok(Json(V2ModelNames { models }))
}

/// What a model takes and gives.
#[derive(Debug, Serialize, ToSchema)]
pub struct V2Model {
    /// Its name.
    #[schema(example = "polar")]
    name: String,
    /// All versions of the name.
    versions: Vec<String>,
    /// Always `taqicfd_safetensors`.
    #[schema(example = "taqicfd_safetensors")]
    platform: &'static str,
    /// One tensor per input.
    inputs: Vec<V2TensorKind>,
    /// One tensor per target, and one per thing that is said about each row.
    outputs: Vec<V2TensorKind>,
    /// Units, ranges, levels and classes as texts: `<input>.unit`, `<input>.range`, `<input>.levels`.
    #[schema(value_type = Object)]
    properties: BTreeMap<String, String>,
}

/// A tensor without its elements.
#[derive(Debug, Serialize, ToSchema)]
pub struct V2TensorKind {
    /// Its name.
    #[schema(example = "re")]
    name: String,
    /// The type of its elements.
    #[schema(example = "FP64")]
    datatype: &'static str,
    /// `[-1]`: one element per row; `[-1, k]`: k.
    shape: Vec<i64>,
}

/// Show what a model takes and gives (Open Inference Protocol)
#[utoipa::path(get, path = "/v2/models/{model}", tag = "open inference", params(("model" = String, Path)),
    responses((status = 200, body = V2Model)))]
pub async fn show_v2_model(
    State(app): State<App>,
    Path(model): Path<String>,
) -> Result<Json<V2Model>, Problem> {
    show(&app, &model, Which::Newest).await
}

/// Show what a version takes and gives (Open Inference Protocol)
#[utoipa::path(get, path = "/v2/models/{model}/versions/{version}", tag = "open inference",
    params(("model" = String, Path), ("version" = String, Path)), responses((status = 200, body = V2Model)))]
pub async fn show_v2_version(
    State(app): State<App>,
    Path((model, version)): Path<(String, String)>,
) -> Result<Json<V2Model>, Problem> {
    show(&app, &model, Which::Version(&version)).await
}

async fn show(app: &App, model: &str, which: Which<'_>) -> Result<Json<V2Model>, Problem> {
    let loaded = find(app, model, which).await?;
    let versions = models::versions(app.db()?, &loaded.record.model_name).await?;
    let manifest = loaded.model.manifest();
    let inputs = manifest.inputs.iter().map(|input| V2TensorKind {
        name: input.name.clone(),
        datatype: datatype(input),
        shape: vec![-1],
    });
    let outputs = output::kinds(&manifest.targets, 0).into_iter().map(|kind| V2TensorKind {
        name: kind.name,
        datatype: kind.datatype,
        shape: if kind.width == 1 { vec![-1] } else { vec![-1, kind.width as i64] },
    });
    Ok(Json(V2Model {
        name: loaded.record.model_name.clone(),
        versions: versions.into_iter().map(|(version, _)| version.to_string()).collect(),
        platform: "taqicfd_safetensors",
        inputs: inputs.collect(),
        outputs: outputs.collect(),
        properties: properties(&loaded),
    }))
}

/// Numbers are FP64 whatever they were in the file: JSON has no integer with missing values.
pub(super) fn datatype(input: &Input) -> &'static str {
    match input.kind {
        ColumnKind::Number => "FP64",
        ColumnKind::Boolean => "BOOL",
        _ => "BYTES",
    }
}

/// The protocol has room for texts only, so lists are JSON inside a text.
fn properties(loaded: &Loaded) -> BTreeMap<String, String> {
    let manifest = loaded.model.manifest();
    let mut properties = BTreeMap::from([
        ("task".to_owned(), loaded.record.task.clone()),
        ("confidence".to_owned(), manifest.confidence.to_string()),
    ]);
    let mut add = |name: &str, what: &str, value: String| properties.insert(format!("{name}.{what}"), value);
    for input in &manifest.inputs {
        if let Some(unit) = &input.unit {
            add(&input.name, "unit", unit.clone());
        }
        if let (Some((low, high)), ColumnKind::Number) = (input.range, input.kind) {
            add(&input.name, "range", json!([low, high]).to_string());
        }
        if !input.levels.is_empty() {
            add(&input.name, "levels", json!(input.levels).to_string());
        }
        if let Some(format) = &input.date_format {
            add(&input.name, "date_format", format.clone());
        }
        add(&input.name, "may_be_missing", (input.missing_share > 0.0).to_string());
    }
    for target in &manifest.targets {
        match target {
            Target::Number { name, unit, min, max } => {
                if let Some(unit) = unit {
                    add(name, "unit", unit.clone());
                }
                add(name, "range", json!([min, max]).to_string());
            }
            Target::Class { name, classes, .. } => {
                add(name, "classes", json!(classes).to_string());
            }
        }
    }
    properties
}

/// Whether a model can answer.
#[derive(Debug, Serialize, ToSchema)]
pub struct V2ModelReady {
    /// Its name.
    #[schema(example = "polar")]
    name: String,
    /// Whether it can; not if its file is damaged or missing.
    ready: bool,
}

/// Whether a model can answer (Open Inference Protocol)
#[utoipa::path(get, path = "/v2/models/{model}/ready", tag = "open inference", params(("model" = String, Path)),
    responses((status = 200, body = V2ModelReady), (status = 503, body = V2ModelReady, description = "It cannot")))]
pub async fn show_v2_model_readiness(
    State(app): State<App>,
    Path(model): Path<String>,
) -> Result<Response, Problem> {
    ready(&app, &model, Which::Newest).await
}

/// Whether a version can answer (Open Inference Protocol)
#[utoipa::path(get, path = "/v2/models/{model}/versions/{version}/ready", tag = "open inference",
    params(("model" = String, Path), ("version" = String, Path)),
    responses((status = 200, body = V2ModelReady), (status = 503, body = V2ModelReady, description = "It cannot")))]
pub async fn show_v2_version_readiness(
    State(app): State<App>,
    Path((model, version)): Path<(String, String)>,
) -> Result<Response, Problem> {
    ready(&app, &model, Which::Version(&version)).await
}

async fn ready(app: &App, model: &str, which: Which<'_>) -> Result<Response, Problem> {
    let record = record(app, model, which).await?;
    let ready = record.status == ModelStatus::Ready;
    Ok(health::ready_or_not(ready, &V2ModelReady { name: record.model_name, ready }))
}

/// Show the OpenAPI document of a model (`MLServer`)
///
/// It has the one route that predicts, with the names, types, ranges and levels of this model's inputs.
#[utoipa::path(get, path = "/v2/models/{model}/docs/dataplane.json", tag = "open inference",
    params(("model" = String, Path)), responses((status = 200, body = Object)))]
pub async fn describe_v2_model(
    State(app): State<App>,
    Path(model): Path<String>,
) -> Result<Json<Value>, Problem> {
    Ok(Json(document(&*find(&app, &model, Which::Newest).await?)))
}

/// Show the OpenAPI document of a version (`MLServer`)
#[utoipa::path(get, path = "/v2/models/{model}/versions/{version}/docs/dataplane.json", tag = "open inference",
    params(("model" = String, Path), ("version" = String, Path)), responses((status = 200, body = Object)))]
pub async fn describe_v2_version(
    State(app): State<App>,
    Path((model, version)): Path<(String, String)>,
) -> Result<Json<Value>, Problem> {
    Ok(Json(document(&*find(&app, &model, Which::Version(&version)).await?)))
}
