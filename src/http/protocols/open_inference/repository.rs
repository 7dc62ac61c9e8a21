//! The model repository extension of Triton and `MLServer`: which models there are, and loading them ahead.

use super::{Which, find};
use crate::{
    app::App,
    http::{
        error::Problem,
        extract::{Json, Path},
        json,
        protocols::{question::read_body, record},
    },
    storage::{ModelStatus, models},
};
use axum::extract::{Request, State};
use serde::{Deserialize, Serialize, de::DeserializeOwned};
use serde_json::{Map, Value};
use utoipa::ToSchema;
use utoipa_axum::{router::OpenApiRouter, routes};

/// The routes of this file.
pub fn routes() -> OpenApiRouter<App> {
    OpenApiRouter::new()
        .routes(routes!(list_v2_repository))
        .routes(routes!(load_v2_model))
        .routes(routes!(unload_v2_model))
}

/// Which models are wanted.
#[derive(Debug, Default, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct V2IndexBody {
    /// Only those that can answer.
    #[serde(default)]
    ready: Option<bool>,
}

/// A version of a model.
#[derive(Debug, Serialize, ToSchema)]
pub struct V2IndexEntry {
    /// The name.
    #[schema(example = "polar")]
    name: String,
    /// The version.
    #[schema(example = "3")]
    version: String,
    /// `READY`, or `UNAVAILABLE` where the file is damaged or missing.
    #[schema(example = "READY")]
    state: &'static str,
    /// Why it is unavailable; empty if it is not.
    reason: &'static str,
}

/// List every version of every model (Triton, `MLServer`)
#[utoipa::path(post, path = "/v2/repository/index", tag = "open inference",
    request_body = Option<V2IndexBody>, responses((status = 200, body = Vec<V2IndexEntry>)))]
pub async fn list_v2_repository(
    State(app): State<App>,
    request: Request,
) -> Result<Json<Vec<V2IndexEntry>>, Problem> {
    let V2IndexBody { ready } = optional_body(&app, request).await?;
    let entries = models::index(app.db()?).await?.into_iter().map(|(name, version, status)| {
        let (state, reason) = match status {
            ModelStatus::Ready => ("READY", ""),
            ModelStatus::Corrupt => ("UNAVAILABLE", "the file of this model is damaged"),
            ModelStatus::Missing => ("UNAVAILABLE", "the file of this model is missing"),
        };
        V2IndexEntry { name, version: version.to_string(), state, reason }
    });
    let only_ready = ready.unwrap_or(false);
    Ok(Json(entries.filter(|entry| !only_ready || entry.state == "READY").collect()))
}

/// How a model is to be loaded.
#[derive(Debug, Default, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct V2LoadBody {
    /// Must be empty: models have no other configuration than their own.
    #[schema(value_type = Option<Object>)]
    #[serde(default)]
    parameters: Option<Map<String, Value>>,
}

/// Nothing to tell.
#[derive(Debug, Serialize, ToSchema)]
pub struct V2Done {}

/// Load a model into memory (Triton, `MLServer`)
///
/// The newest version. Every model is loaded when it is first asked for; this spares the first request the wait.
#[utoipa::path(post, path = "/v2/repository/models/{model}/load", tag = "open inference",
    params(("model" = String, Path)), request_body = Option<V2LoadBody>, responses((status = 200, body = V2Done)))]
pub async fn load_v2_model(
    State(app): State<App>,
    Path(model): Path<String>,
    request: Request,
) -> Result<Json<V2Done>, Problem> {
    let V2LoadBody { parameters } = optional_body(&app, request).await?;
    if parameters.is_some_and(|parameters| !parameters.is_empty()) {
        let message = "must be empty: a model has no configuration and no files but its own";
        return Err(Problem::invalid("/parameters", message));
    }
    find(&app, &model, Which::Newest).await?;
    Ok(Json(V2Done {}))
}

/// How a model is to be unloaded.
#[derive(Debug, Default, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct V2UnloadBody {
    /// `unload_dependents` changes nothing: no model depends on another.
    #[schema(value_type = Option<Object>)]
    #[serde(default)]
    #[expect(dead_code, reason = "clients send it, and there is nothing to do about it")]
    parameters: Option<Map<String, Value>>,
}

/// Free the memory of a model (Triton, `MLServer`)
///
/// The newest version. It is loaded again when it is next asked for; `DELETE /models/{model_id}` removes it.
#[utoipa::path(post, path = "/v2/repository/models/{model}/unload", tag = "open inference",
    params(("model" = String, Path)), request_body = Option<V2UnloadBody>, responses((status = 200, body = V2Done)))]
pub async fn unload_v2_model(
    State(app): State<App>,
    Path(model): Path<String>,
    request: Request,
) -> Result<Json<V2Done>, Problem> {
    let V2UnloadBody { .. } = optional_body(&app, request).await?;
    let record = record(&app, &model, Which::Newest).await?;
    app.models().forget(record.model_id);
    Ok(Json(V2Done {}))
}

/// The JSON of the body; the default where there is none.
async fn optional_body<T: DeserializeOwned + Default>(app: &App, request: Request) -> Result<T, Problem> {
    let (_, bytes) = read_body(app, request).await?;
    let text = bytes.trim_ascii();
    if text.is_empty() || text == b"null" {
        return Ok(T::default());
    }
    if text[0] != b'{' {
        return Err(Problem::new(
            crate::http::error::Slug::InvalidParameter,
            "the body is not an object; send a JSON object, or nothing",
        ));
    }
    json::from_slice(text)
}
