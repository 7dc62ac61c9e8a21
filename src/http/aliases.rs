//! Aliases of models: `polar@champion`, moved from version to version.

use super::{
    error::{Problem, Slug},
    events,
    extract::{Json, Path, parse_id},
    models::{ModelSummary, not_found},
    observe::RequestId,
};
use crate::{
    app::App,
    id::ModelId,
    storage::models::{self, MAX_ALIAS_CHARS, is_alias},
};
use axum::{Extension, extract::State, http::StatusCode};
use serde_json::json;
use utoipa_axum::{router::OpenApiRouter, routes};

/// The routes of this file.
pub fn routes() -> OpenApiRouter<App> {
    OpenApiRouter::new().routes(routes!(set_alias, remove_alias))
}

/// Give an alias to a model
///
/// From now on `polar@champion` is this version wherever a model is named. The version of the same name that had the
/// alias before loses it in the same step, so that there is no moment without an answer.
#[utoipa::path(put, path = "/models/{model_id}/aliases/{alias}", tag = "models",
    params(
        ("model_id" = uuid::Uuid, Path),
        ("alias" = String, Path, description = "Letters, digits, `-`, `_` and `.`; not digits alone", max_length = 64)
    ),
    responses((status = 200, body = ModelSummary)))]
pub async fn set_alias(
    State(app): State<App>,
    Extension(request_id): Extension<RequestId>,
    Path((model_id, alias)): Path<(String, String)>,
) -> Result<Json<ModelSummary>, Problem> {
    let db = app.db()?;
    if !is_alias(&alias) {
        let message = format!(
            "must have 1 to {MAX_ALIAS_CHARS} letters, digits, `-`, `_` and `.`, and not digits alone, which are a version"
        );
        return Err(Problem::invalid("/alias", message));
    }
    let id: ModelId = parse_id(&model_id, Slug::ModelNotFound)?;
    let _changing = app.model_changes().begin();
    let model =
        models::set_alias(db, id, &alias, app.clock().now()).await?.ok_or_else(|| not_found(&model_id))?;
    let details = json!({"alias": alias, "version": model.version});
    events::append(&app, db, &request_id, "set_alias", "model", id, details).await;
    Ok(Json(ModelSummary::from(model)))
}

/// Take an alias away from a model
///
/// Other versions that have the alias by now keep it.
#[utoipa::path(delete, path = "/models/{model_id}/aliases/{alias}", tag = "models",
    params(("model_id" = uuid::Uuid, Path), ("alias" = String, Path)),
    responses((status = 204, description = "The model does not have it, also if it never had")))]
pub async fn remove_alias(
    State(app): State<App>,
    Extension(request_id): Extension<RequestId>,
    Path((model_id, alias)): Path<(String, String)>,
) -> Result<StatusCode, Problem> {
    let db = app.db()?;
    let id: ModelId = parse_id(&model_id, Slug::ModelNotFound)?;
    let _changing = app.model_changes().begin();
    if models::remove_alias(db, id, &alias).await? {
        events::append(&app, db, &request_id, "remove_alias", "model", id, json!({"alias": alias})).await;
    }
    Ok(StatusCode::NO_CONTENT)
}
