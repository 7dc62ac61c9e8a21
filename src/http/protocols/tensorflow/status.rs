//! Which models there are, in which state, and what they take and give.

use super::refuse_verb;
use crate::{
    app::App,
    dataset::ColumnKind,
    http::{
        error::Problem,
        extract::{Json, Path},
        protocols::{Which, find, record},
    },
    model::{Input, Target},
    prediction::Loaded,
    storage::{ModelStatus, models},
};
use axum::{
    extract::State,
    response::{IntoResponse, Response},
};
use serde::Serialize;
use serde_json::{Map, Value, json};
use utoipa::ToSchema;

/// The names of all models.
#[derive(Debug, Serialize, ToSchema)]
pub struct V1ModelNames {
    /// In order.
    models: Vec<String>,
}

/// List the names of the models (`KServe` v1)
#[utoipa::path(get, path = "/v1/models", tag = "tensorflow", responses((status = 200, body = V1ModelNames)))]
pub async fn list_v1_models(State(app): State<App>) -> Result<Json<V1ModelNames>, Problem> {
    let models = models::names(app.db()?, u32::MAX).await?;
    Ok(Json(V1ModelNames { models }))
}

/// The state of a model.
#[derive(Debug, Serialize, ToSchema)]
pub struct V1Status {
    /// Its name.
    #[schema(example = "polar")]
    name: String,
    /// Whether it can answer.
    ready: bool,
    /// Every version, or the one that was asked for.
    model_version_status: Vec<V1VersionStatus>,
}

/// The state of a version.
#[derive(Debug, Serialize, ToSchema)]
pub struct V1VersionStatus {
    /// Counts from 1.
    #[schema(example = "1")]
    version: String,
    /// `AVAILABLE`, or `END` where its file is damaged or missing.
    #[schema(example = "AVAILABLE")]
    state: &'static str,
    /// Why.
    status: V1StatusCode,
}

/// Why a version is in its state.
#[derive(Debug, Serialize, ToSchema)]
pub struct V1StatusCode {
    /// `OK` or `DATA_LOSS`.
    #[schema(example = "OK")]
    error_code: &'static str,
    /// What is wrong; empty if nothing is.
    error_message: &'static str,
}

fn version_status((version, status): (i64, ModelStatus)) -> V1VersionStatus {
    let (state, error_code, error_message) = match status {
        ModelStatus::Ready => ("AVAILABLE", "OK", ""),
        ModelStatus::Corrupt => ("END", "DATA_LOSS", "the file of this model is damaged"),
        ModelStatus::Missing => ("END", "DATA_LOSS", "the file of this model is missing"),
    };
    V1VersionStatus {
        version: version.to_string(),
        state,
        status: V1StatusCode { error_code, error_message },
    }
}

/// Show the state of a model's versions (`TensorFlow` Serving, `KServe` v1)
#[utoipa::path(get, path = "/v1/models/{model}", tag = "tensorflow", params(("model" = String, Path)),
    responses((status = 200, body = V1Status)))]
pub async fn show_v1_model(State(app): State<App>, Path(model): Path<String>) -> Result<Response, Problem> {
    refuse_verb(&model)?;
    let record = record(&app, &model, Which::Newest).await?;
    let versions = models::versions(app.db()?, &record.model_name).await?;
    let status = V1Status {
        name: record.model_name,
        ready: record.status == ModelStatus::Ready,
        model_version_status: versions.into_iter().rev().map(version_status).collect(),
    };
    Ok(Json(status).into_response())
}

/// Show the state of a version (`TensorFlow` Serving)
#[utoipa::path(get, path = "/v1/models/{model}/versions/{version}", tag = "tensorflow",
    params(("model" = String, Path), ("version" = String, Path)), responses((status = 200, body = V1Status)))]
pub async fn show_v1_version(
    State(app): State<App>,
    Path((model, version)): Path<(String, String)>,
) -> Result<Response, Problem> {
    refuse_verb(&version)?;
    one_status(&app, &model, Which::Version(&version)).await
}

/// Show the state of the version under an alias (`TensorFlow` Serving)
#[utoipa::path(get, path = "/v1/models/{model}/labels/{label}", tag = "tensorflow",
    params(("model" = String, Path), ("label" = String, Path)), responses((status = 200, body = V1Status)))]
pub async fn show_v1_label(
    State(app): State<App>,
    Path((model, label)): Path<(String, String)>,
) -> Result<Response, Problem> {
    refuse_verb(&label)?;
    one_status(&app, &model, Which::Label(&label)).await
}

async fn one_status(app: &App, model: &str, which: Which<'_>) -> Result<Response, Problem> {
    let record = record(app, model, which).await?;
    let status = V1Status {
        ready: record.status == ModelStatus::Ready,
        model_version_status: vec![version_status((record.version, record.status))],
        name: record.model_name,
    };
    Ok(Json(status).into_response())
}

/// Show the inputs and outputs of a model (`TensorFlow` Serving)
#[utoipa::path(get, path = "/v1/models/{model}/metadata", tag = "tensorflow", params(("model" = String, Path)),
    responses((status = 200, body = V1Metadata)))]
pub async fn show_v1_metadata(
    State(app): State<App>,
    Path(model): Path<String>,
) -> Result<Json<V1Metadata>, Problem> {
    Ok(Json(metadata(&*find(&app, &model, Which::Newest).await?)))
}

/// Show the inputs and outputs of a version (`TensorFlow` Serving)
#[utoipa::path(get, path = "/v1/models/{model}/versions/{version}/metadata", tag = "tensorflow",
    params(("model" = String, Path), ("version" = String, Path)), responses((status = 200, body = V1Metadata)))]
pub async fn show_v1_version_metadata(
    State(app): State<App>,
    Path((model, version)): Path<(String, String)>,
) -> Result<Json<V1Metadata>, Problem> {
    Ok(Json(metadata(&*find(&app, &model, Which::Version(&version)).await?)))
}

/// Show the inputs and outputs of the version under an alias (`TensorFlow` Serving)
#[utoipa::path(get, path = "/v1/models/{model}/labels/{label}/metadata", tag = "tensorflow",
    params(("model" = String, Path), ("label" = String, Path)), responses((status = 200, body = V1Metadata)))]
pub async fn show_v1_label_metadata(
    State(app): State<App>,
    Path((model, label)): Path<(String, String)>,
) -> Result<Json<V1Metadata>, Problem> {
    Ok(Json(metadata(&*find(&app, &model, Which::Label(&label)).await?)))
}

/// What a model takes and gives.
#[derive(Debug, Serialize, ToSchema)]
pub struct V1Metadata {
    /// Which model.
    model_spec: V1ModelSpec,
    /// The one signature, `serving_default`: a tensor per input and per target.
    #[schema(value_type = Object)]
    metadata: Value,
}

/// Which model.
#[derive(Debug, Serialize, ToSchema)]
pub struct V1ModelSpec {
    /// Its name.
    #[schema(example = "polar")]
    name: String,
    /// Always empty.
    signature_name: &'static str,
    /// Its version.
    #[schema(example = "3")]
    version: String,
}

fn metadata(loaded: &Loaded) -> V1Metadata {
    let tensor = |name: &str, dtype: &str| {
        let shape = json!({"dim": [{"size": "-1", "name": ""}], "unknown_rank": false});
        (name.to_owned(), json!({"dtype": dtype, "tensor_shape": shape, "name": name}))
    };
    let of_input = |input: &Input| {
        let dtype = match input.kind {
            ColumnKind::Number => "DT_DOUBLE",
            ColumnKind::Boolean => "DT_BOOL",
            _ => "DT_STRING",
        };
        tensor(&input.name, dtype)
    };
    let of_target = |target: &Target| match target {
        Target::Number { name, .. } => tensor(name, "DT_DOUBLE"),
        Target::Class { name, .. } => tensor(name, "DT_STRING"),
    };
    let inputs: Map<String, Value> = loaded.model.inputs().iter().map(of_input).collect();
    let outputs: Map<String, Value> = loaded.model.manifest().targets.iter().map(of_target).collect();
    let signature =
        json!({"inputs": inputs, "outputs": outputs, "method_name": "tensorflow/serving/predict"});
    V1Metadata {
        model_spec: V1ModelSpec {
            name: loaded.record.model_name.clone(),
            signature_name: "",
            version: loaded.record.version.to_string(),
        },
        metadata: json!({"signature_def": {"signature_def": {"serving_default": signature}}}),
    }
}
