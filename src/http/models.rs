//! Models: listed, shown, downloaded, renamed, deleted.

use super::{
    error::{Problem, Slug},
    events,
    extract::{Json, Path, Query, parse_id},
    list::{page, paged},
    observe::RequestId,
};
use crate::{
    app::App,
    id::{DatasetId, ModelId, TrainingId},
    model::name,
    storage::{
        BlobKey, Db, ModelFilter, ModelRecord, ModelSort, ModelStatus,
        models::{self, ModelPatch},
    },
};
use axum::{
    Extension,
    extract::State,
    http::{HeaderMap, HeaderValue, StatusCode, Uri, header},
    response::{IntoResponse, Response},
};
use chrono::{DateTime, Utc};
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};
use std::collections::BTreeMap;
use utoipa::ToSchema;
use utoipa_axum::{router::OpenApiRouter, routes};

/// The routes of this file.
pub fn routes() -> OpenApiRouter<App> {
    OpenApiRouter::new().routes(routes!(list_models)).routes(routes!(show_model, update_model, delete_model))
}

/// A model, in short.
#[derive(Debug, Serialize, ToSchema)]
pub struct ModelSummary {
    /// The identifier.
    #[schema(value_type = uuid::Uuid)]
    model_id: ModelId,
    /// Its name, shared by all its versions.
    #[schema(example = "polar")]
    model_name: String,
    /// Counts from 1 for each name.
    #[schema(example = 3)]
    version: i64,
    /// Further names: `polar@champion` is this model if `champion` is among them.
    #[schema(example = json!(["champion"]))]
    aliases: Vec<String>,
    /// `regression` or `classification`.
    #[schema(example = "regression")]
    task: String,
    /// The columns it predicts.
    targets: Vec<String>,
    /// When it was stored.
    created_at: DateTime<Utc>,
    /// The dataset it learnt from; may have been deleted since. Null for a model that was imported.
    #[schema(value_type = Option<uuid::Uuid>)]
    dataset_id: Option<DatasetId>,
    /// The training that made it. Null for a model that was imported.
    #[schema(value_type = Option<uuid::Uuid>)]
    training_id: Option<TrainingId>,
    /// Scores on the test part: rows that the network never saw.
    #[schema(value_type = Object, example = json!({"rmse": 0.02, "mae": 0.01, "r2": 0.99}))]
    metrics: Value,
    /// Size of its file.
    size_bytes: u64,
    /// SHA-256 of its file, in hexadecimal.
    sha256: String,
    /// Seconds it was trained for.
    train_s: f64,
    /// Free labels.
    tags: BTreeMap<String, String>,
    /// Free text.
    description: String,
    /// `ready`; or `corrupt` or `missing` where its file is.
    #[schema(value_type = String, example = "ready")]
    status: ModelStatus,
}

impl ModelSummary {
    /// The identifier.
    pub(super) fn model_id(&self) -> ModelId {
        self.model_id
    }
}

impl From<ModelRecord> for ModelSummary {
    fn from(record: ModelRecord) -> Self {
        let is_imported = record.is_imported();
        Self {
            model_id: record.model_id,
            model_name: record.model_name,
            version: record.version,
            aliases: record.aliases,
            task: record.task,
            targets: record.targets,
            created_at: record.created_at,
            dataset_id: (!is_imported).then_some(record.dataset_id),
            training_id: (!is_imported).then_some(record.training_id),
            metrics: record.metrics,
            size_bytes: record.size_bytes,
            sha256: record.sha256,
            train_s: record.train_s,
            tags: record.tags,
            description: record.description,
            status: record.status,
        }
    }
}

/// The model card: everything that is known about a model.
#[derive(Debug, Serialize, ToSchema)]
pub struct ModelCard {
    #[serde(flatten)]
    summary: ModelSummary,
    /// Inputs, settings, split, all metrics with those of the baselines beside them, interval coverage, history.
    #[serde(flatten)]
    #[schema(value_type = Object)]
    card: Map<String, Value>,
}

impl ModelCard {
    fn new(record: ModelRecord, card: Option<Value>) -> Result<Self, Problem> {
        let summary = ModelSummary::from(record);
        let mut card = match card {
            Some(Value::Object(card)) => card,
            _ => Map::new(),
        };
        // The summary has their names only.
        if let Some(targets) = card.get("targets").cloned() {
            card.insert("target_details".to_owned(), targets);
        }
        // What the row says is newer: names and labels can be changed.
        if let Value::Object(own) = serde_json::to_value(&summary).map_err(Problem::internal)? {
            card.retain(|name, _| !own.contains_key(name));
        }
        Ok(Self { summary, card })
    }
}

/// Which models, in which order.
#[derive(Debug, Deserialize, utoipa::IntoParams)]
#[into_params(parameter_in = Query)]
#[serde(deny_unknown_fields)]
pub struct ModelQuery {
    /// `regression` or `classification`.
    #[param(pattern = "^(regression|classification)$")]
    task: Option<String>,
    /// Learnt from this dataset.
    #[param(value_type = Option<uuid::Uuid>)]
    dataset_id: Option<DatasetId>,
    /// Of this name.
    name: Option<String>,
    /// With this tag: `campaign`, or `campaign:A` for one value of it.
    tag: Option<String>,
    /// With this alias.
    alias: Option<String>,
    /// With this metric: `rmse`, `per_target.Cl.rmse`.
    #[param(example = "rmse")]
    metric: Option<String>,
    /// With a value of `metric` that is not below.
    at_least: Option<f64>,
    /// With a value of `metric` that is not above.
    at_most: Option<f64>,
    /// `created_at`, `model_name` or `metrics.<name>`; `-` in front for the largest first.
    #[param(example = "-created_at")]
    sort: Option<String>,
    /// Items per page; 50 if absent.
    #[param(minimum = 1, maximum = 500)]
    limit: Option<u32>,
    /// The `next_cursor` of the page before.
    cursor: Option<String>,
}

/// One page of models.
#[derive(Debug, Serialize, ToSchema)]
pub struct ModelList {
    /// In the order that was asked for, newest first if none.
    models: Vec<ModelSummary>,
    /// Give this as `cursor` for the next page; null on the last.
    next_cursor: Option<String>,
}

/// List the models
#[utoipa::path(get, path = "/models", tag = "models", params(ModelQuery),
    responses((status = 200, body = ModelList)))]
pub async fn list_models(
    State(app): State<App>,
    uri: Uri,
    Query(query): Query<ModelQuery>,
) -> Result<Response, Problem> {
    let page = page(query.limit, query.cursor)?;
    let sort = match query.sort {
        Some(text) => text.parse::<ModelSort>().map_err(|message| Problem::invalid("/sort", message))?,
        None => ModelSort::default(),
    };
    if query.task.as_deref().is_some_and(|task| !["regression", "classification"].contains(&task)) {
        return Err(Problem::invalid("/task", "must be regression or classification"));
    }
    let (tag, tag_value) = match query
        .tag
        .as_deref()
        .map(|tag| tag.split_once(':').map_or((tag, None), |(t, v)| (t, Some(v))))
    {
        Some((tag, value)) => (Some(tag.to_owned()), value.map(str::to_owned)),
        None => (None, None),
    };
    let filter = ModelFilter {
        task: query.task,
        dataset_id: query.dataset_id,
        model_name: query.name,
        tag,
        tag_value,
        alias: query.alias,
        metric: query.metric,
        at_least: query.at_least,
        at_most: query.at_most,
    };
    for (name, bound) in [("/at_least", filter.at_least), ("/at_most", filter.at_most)] {
        if bound.is_some_and(|bound| filter.metric.is_none() || !bound.is_finite()) {
            return Err(Problem::invalid(name, "must be a finite number, and `metric` must say of what"));
        }
    }
    let slice = models::list(app.db()?, &filter, &sort, &page).await?;
    let models = slice.items.into_iter().map(ModelSummary::from).collect();
    Ok(paged(&uri, slice.next_cursor, |next_cursor| ModelList { models, next_cursor }))
}

/// Show the model card
#[utoipa::path(get, path = "/models/{model_id}", tag = "models",
    params(
        ("model_id" = uuid::Uuid, Path),
        ("If-None-Match" = Option<String>, Header, description = "Answers 304 if its `ETag` is still this one")
    ),
    responses((status = 200, body = ModelCard), (status = 304, description = "The client has it")))]
pub async fn show_model(
    State(app): State<App>,
    headers: HeaderMap,
    Path(model_id): Path<String>,
) -> Result<Response, Problem> {
    let db = app.db()?;
    let record = find(db, &model_id).await?;
    let etag = etag(&record);
    if headers.get(header::IF_NONE_MATCH).is_some_and(|known| names_etag(known, &etag)) {
        return Ok((StatusCode::NOT_MODIFIED, [(header::ETAG, etag)]).into_response());
    }
    let card = models::card(db, record.model_id).await?;
    let mut response = Json(ModelCard::new(record, card)?).into_response();
    response.headers_mut().insert(header::ETAG, etag);
    Ok(response)
}

/// What is to be changed. Everything absent stays.
#[derive(Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
#[schema(example = json!({"description": "for the wind tunnel of May", "tags": {"campaign": "B"}}))]
pub struct UpdateModel {
    /// A new name, which no other model has.
    model_name: Option<String>,
    /// All tags.
    tags: Option<BTreeMap<String, String>>,
    /// The description.
    description: Option<String>,
}

/// Rename, label or describe a model
///
/// Its aliases go with it to the new name.
#[utoipa::path(patch, path = "/models/{model_id}", tag = "models",
    params(
        ("model_id" = uuid::Uuid, Path),
        ("If-Match" = Option<String>, Header, description = "Change it only if its `ETag` is still this one")
    ),
    request_body = UpdateModel, responses((status = 200, body = ModelSummary)))]
pub async fn update_model(
    State(app): State<App>,
    Extension(request_id): Extension<RequestId>,
    headers: HeaderMap,
    Path(model_id): Path<String>,
    Json(change): Json<UpdateModel>,
) -> Result<Response, Problem> {
    let db = app.db()?;
    let record = find(db, &model_id).await?;
    if let Some(name) = &change.model_name {
        check_name(name)?;
    }
    if let Some(tags) = &change.tags {
        check_tags(tags)?;
    }
    if change.description.as_ref().is_some_and(|text| text.len() > 64 << 10) {
        return Err(Problem::invalid("/description", "must have at most 65536 bytes"));
    }
    let patch = ModelPatch {
        model_name: change.model_name.map(|name| name.trim().to_owned()),
        tags: change.tags,
        description: change.description,
    };
    let _changing = app.model_changes().begin();
    let changed = models::patch(db, record.model_id, &patch, |model| is_wanted(&headers, model))
        .await?
        .ok_or_else(|| not_found(&model_id))?;
    app.models().forget(changed.model_id);
    events::append(&app, db, &request_id, "update", "model", changed.model_id, Value::Null).await;
    let etag = etag(&changed);
    let mut response = Json(ModelSummary::from(changed)).into_response();
    response.headers_mut().insert(header::ETAG, etag);
    Ok(response)
}

/// Delete a model
///
/// A model with aliases is not deleted: whoever asks for the alias would get no answer. Move or remove them first.
#[utoipa::path(delete, path = "/models/{model_id}", tag = "models",
    params(("model_id" = uuid::Uuid, Path)), responses((status = 204, description = "Gone, also if it was before")))]
pub async fn delete_model(
    State(app): State<App>,
    Extension(request_id): Extension<RequestId>,
    Path(model_id): Path<String>,
) -> Result<StatusCode, Problem> {
    let db = app.db()?;
    let model_id: ModelId = parse_id(&model_id, Slug::ModelNotFound)?;
    let _changing = app.model_changes().begin();
    if models::delete(db, model_id).await?.is_some() {
        app.models().forget(model_id);
        if let Err(error) = app.blobs().delete(&BlobKey::Model(model_id)).await {
            tracing::warn!(%model_id, %error, "the file of a deleted model stays until the next sweep");
        }
        events::append(&app, db, &request_id, "delete", "model", model_id, Value::Null).await;
    }
    Ok(StatusCode::NO_CONTENT)
}

/// The model that an address names.
pub(super) async fn find(db: &Db, model_id: &str) -> Result<ModelRecord, Problem> {
    let id: ModelId = parse_id(model_id, Slug::ModelNotFound)?;
    models::get(db, id).await?.ok_or_else(|| not_found(model_id))
}

pub(super) fn not_found(model_id: &str) -> Problem {
    Problem::new(Slug::ModelNotFound, format!("there is no model {model_id}; GET /models lists them"))
}

/// Refuses what cannot be the name of a model.
pub(super) fn check_name(name: &str) -> Result<(), Problem> {
    name::check(name.trim()).map_err(|message| Problem::invalid("/model_name", message))
}

/// Refuses labels that no database could look up.
pub(super) fn check_tags(tags: &BTreeMap<String, String>) -> Result<(), Problem> {
    let fits = |text: &str, most: usize| text.chars().count() <= most && !text.chars().any(char::is_control);
    let is_label = |(tag, value): (&String, &String)| !tag.is_empty() && fits(tag, 100) && fits(value, 1000);
    if tags.len() <= 50 && tags.iter().all(is_label) {
        return Ok(());
    }
    let message = "must be at most 50 tags, of 1 to 100 characters with values of up to 1000, without control characters";
    Err(Problem::invalid("/tags", message))
}

/// Changes with everything that can be changed.
fn etag(record: &ModelRecord) -> HeaderValue {
    let tags = serde_json::to_vec(&record.tags).unwrap_or_default();
    let aliases = record.aliases.join(",");
    let parts = [
        record.model_name.as_bytes(),
        &record.version.to_le_bytes(),
        &tags,
        record.description.as_bytes(),
        aliases.as_bytes(),
    ];
    let print = super::idempotency::fingerprint(&parts);
    HeaderValue::from_str(&format!("\"{}\"", &print[..32])).expect("hexadecimal digits are ASCII")
}

/// Whether the model is still the one that `If-Match` names, where there is one.
fn is_wanted(headers: &HeaderMap, record: &ModelRecord) -> bool {
    headers.get(header::IF_MATCH).is_none_or(|wanted| names_etag(wanted, &etag(record)))
}

/// Whether `etag` is in a list of validators.
fn names_etag(list: &HeaderValue, etag: &HeaderValue) -> bool {
    let is_it = |tag: &str| tag == "*" || tag.trim_start_matches("W/").as_bytes() == etag.as_bytes();
    list.to_str().is_ok_and(|list| list.split(',').any(|tag| is_it(tag.trim())))
}
