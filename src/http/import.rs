//! `POST /models/import`: a downloaded model file becomes a model again.

use super::{
    error::{Problem, Slug},
    events,
    extract::Query,
    idempotency::{self, Done, fingerprint},
    models::{ModelSummary, check_name},
    observe::RequestId,
    receive::{self, Received},
};
use crate::{
    app::App,
    id::{DatasetId, ModelId},
    model::{Manifest, Model, ModelError, Task},
    storage::{
        BlobKey, Db, NewModel,
        models::{self, Imported},
    },
    training::report,
};
use axum::{
    Extension,
    body::Body,
    extract::State,
    http::{HeaderMap, StatusCode},
    response::Response,
};
use serde::Deserialize;
use serde_json::json;
use std::collections::BTreeMap;
use utoipa_axum::{router::OpenApiRouter, routes};

/// The routes of this file.
pub fn routes() -> OpenApiRouter<App> {
    OpenApiRouter::new().routes(routes!(import_model))
}

/// What the model is to be called.
#[derive(Debug, Deserialize, utoipa::IntoParams)]
#[into_params(parameter_in = Query)]
#[serde(deny_unknown_fields)]
pub struct ImportQuery {
    /// The name of the model; that of its training if absent.
    model_name: Option<String>,
}

/// A form with a model file.
#[derive(Debug, utoipa::ToSchema)]
pub struct ImportForm {
    /// The file, as `GET /model/{model_id}` gives it.
    #[schema(value_type = String, format = Binary)]
    pub file: Vec<u8>,
    /// The name of the model; that of its training if absent.
    #[schema(nullable = false)]
    pub model_name: Option<String>,
}

/// Import a model
///
/// Takes a file as `GET /model/{model_id}` gives it, from this server or another one, as `multipart/form-data` with one
/// part named `file`, or as the body itself. It is checked in full, by its checksum too, and becomes the next version of
/// its name. The same file under the same name again answers 200 with the model that exists. A model file holds the
/// scores, but not the parts of the card that were measured beside them, such as coverage and importance.
#[utoipa::path(post, path = "/models/import", tag = "models",
    params(
        ImportQuery,
        ("Idempotency-Key" = Option<String>, Header, description = "Does the request once, however often it is sent")
    ),
    request_body(content((ImportForm = "multipart/form-data"), (String = "application/octet-stream"))),
    responses(
        (status = 201, body = ModelSummary, description = "Stored", headers(("Location" = String, description = "The model"))),
        (status = 200, body = ModelSummary, description = "The same file has this name already")
    ))]
pub async fn import_model(
    State(app): State<App>,
    Extension(request_id): Extension<RequestId>,
    headers: HeaderMap,
    Query(query): Query<ImportQuery>,
    body: Body,
) -> Result<Response, Problem> {
    let db = app.db()?;
    app.check_disk()?;
    let mut name = query.model_name;
    let mut set_option = |option: &str, text: String| {
        if option != "model_name" {
            let option = super::printable(option);
            return Err(Problem::new(
                Slug::MalformedMultipart,
                format!("there is no option `{option}`; the parts are `file` and `model_name`"),
            ));
        }
        name = Some(text);
        Ok(())
    };
    let received = receive::receive(&app, &headers, body, &mut set_option).await?;
    if let Some(name) = &name {
        check_name(name)?;
    }
    let print = fingerprint(&[received.sha256.as_bytes(), name.as_deref().unwrap_or_default().as_bytes()]);
    let work = store(&app, db, &request_id, &received, name);
    idempotency::once(&app, db, &headers, "POST /models/import", &print, work).await
}

async fn store(
    app: &App,
    db: &Db,
    request_id: &RequestId,
    received: &Received,
    name: Option<String>,
) -> Result<Done, Problem> {
    let manifest = read(app, received).await?;
    let model_name = match name {
        Some(name) => name.trim().to_owned(),
        None => own_name(&manifest)?,
    };
    if let Some(known) = models::find_same(db, &model_name, &received.sha256).await? {
        return done(StatusCode::OK, ModelSummary::from(known));
    }
    let model = new_model(app, &manifest, received, model_name);
    let key = BlobKey::Model(model.model_id);
    app.blobs().put_file(&key, received.file.path()).await?;
    let _changing = app.model_changes().begin();
    let record = match models::import(db, &model, app.clock().now()).await {
        Ok(Imported::Stored(record)) => *record,
        Ok(Imported::Known(known)) => {
            let _ = app.blobs().delete(&key).await;
            return done(StatusCode::OK, ModelSummary::from(*known));
        }
        Err(error) => {
            // Whether a database that went away has stored the row is unknown; then the sweep decides.
            if !error.is_transient() {
                let _ = app.blobs().delete(&key).await;
            }
            return Err(error.into());
        }
    };
    let details = json!({ "size_bytes": record.size_bytes });
    events::append(app, db, request_id, "import", "model", record.model_id, details).await;
    done(StatusCode::CREATED, ModelSummary::from(record))
}

/// Reads the file in full; what is kept of it is the manifest.
async fn read(app: &App, received: &Received) -> Result<Manifest, Problem> {
    let _permit = app.readers().acquire().await.expect("the semaphore is never closed");
    let path = received.file.path().to_owned();
    let reading = move || -> std::io::Result<Result<Manifest, ModelError>> {
        let bytes = std::fs::read(path)?;
        let model = Model::from_foreign_bytes(&bytes, crate::model::Backend::default());
        Ok(model.map(|model| model.manifest().clone()))
    };
    let outcome = tokio::task::spawn_blocking(reading).await.map_err(Problem::internal)?;
    outcome.map_err(Problem::internal)?.map_err(|error| {
        let slug = match error {
            ModelError::TooNew { .. } => Slug::ModelFormatTooNew,
            ModelError::Corrupt(_) => Slug::MalformedModel,
        };
        Problem::new(slug, error.to_string())
    })
}

/// The name that the model had where it was trained.
fn own_name(manifest: &Manifest) -> Result<String, Problem> {
    let name = manifest.settings["model_name"].as_str().unwrap_or_default().trim();
    check_name(name).map_err(|_| {
        Problem::invalid("/model_name", "the file names no model; give a name: ?model_name=polar")
    })?;
    Ok(name.to_owned())
}

fn new_model(app: &App, manifest: &Manifest, received: &Received, model_name: String) -> NewModel {
    let model_id = ModelId::new();
    let mut card = report::of_manifest(manifest);
    card["imported"] = json!({ "at": app.clock().now(), "sha256": received.sha256 });
    let task = match manifest.task {
        Task::Regression => "regression",
        Task::Classification => "classification",
    };
    NewModel {
        model_id,
        model_name,
        task: task.to_owned(),
        targets: manifest.targets.iter().map(|target| target.name().to_owned()).collect(),
        dataset_id: DatasetId(model_id.0),
        metrics: manifest.scores.get("metrics").cloned().unwrap_or_else(|| json!({})),
        card,
        size_bytes: received.size_bytes,
        sha256: received.sha256.clone(),
        train_s: 0.0,
        tags: BTreeMap::new(),
        description: String::new(),
    }
}

fn done(status: StatusCode, model: ModelSummary) -> Result<Done, Problem> {
    let location = Some(format!("/models/{}", model.model_id()));
    Ok(Done { status, location, body: serde_json::to_string(&model).map_err(Problem::internal)? })
}
