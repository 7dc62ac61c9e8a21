//! The file of a model: downloaded as it is stored, or in a form that other programs read.

use super::{
    download::{self, Download, Source},
    error::{Problem, Slug},
    events,
    extract::{Path, Query},
    idempotency::fingerprint,
    model_card,
    models::{ModelCard, find},
    observe::RequestId,
};
use crate::{
    app::App,
    export::{ExportError, Form, onnx, torch},
    hash,
    prediction::Loaded,
    storage::{BlobKey, Db, ModelRecord, ModelStatus, models},
};
use axum::{
    Extension,
    extract::State,
    http::{HeaderMap, Method, StatusCode},
    response::Response,
};
use bytes::Bytes;
use serde::Deserialize;
use serde_json::json;
use utoipa_axum::{router::OpenApiRouter, routes};

/// The routes of this file.
pub fn routes() -> OpenApiRouter<App> {
    OpenApiRouter::new().routes(routes!(download_model))
}

/// How the file is to be written.
#[derive(Debug, Deserialize, utoipa::IntoParams)]
#[into_params(parameter_in = Query)]
#[serde(deny_unknown_fields)]
pub struct FormatQuery {
    /// `native`, if absent: one self-describing safetensors file. `onnx`: one ONNX file that reads your columns and
    /// answers everything that a prediction has. `pt`: what `torch.load` opens, a dictionary of tensors and the manifest;
    /// `py`: the Python module that answers from it. `card`: the model card, as JSON, or by `Accept` as `text/markdown` or
    /// `text/html`; `card.md` and `card.html` are these by name.
    #[param(pattern = "^(native|onnx|pt|py|card|card[.]md|card[.]html)$")]
    format: Option<String>,
}

/// Download a model
///
/// The native form is one self-describing safetensors file: any library of that format reads the weights, and the
/// metadata holds everything else. Its strong `ETag` is its SHA-256. With `format=onnx` the file computes in any runtime
/// of ONNX what `POST /predict` answers with `"unknown_category": "missing"`: inputs are your columns in your units, with
/// missing values as NaN or empty texts; outputs are values, bounds or labels, probabilities and sets, `in_domain` and
/// `domain_score`. Its properties `taqicfd.*` say how to use it and hold rows to check a runtime by. The card says in
/// words and tables what the model was made from, how, and how far to trust it. Every form answers ranges and
/// validators.
#[utoipa::path(get, path = "/model/{model_id}", tag = "models",
    params(("model_id" = uuid::Uuid, Path), FormatQuery),
    responses(
        (status = 200, description = "The bytes", content(
            (String = "application/octet-stream"), (String = "text/markdown"), (String = "text/html"), (String = "text/x-python"),
            (ModelCard = "application/json")
        )),
        (status = 206, content_type = "application/octet-stream", body = String, description = "Some of them"),
        (status = 304, description = "The client has them")
    ))]
pub async fn download_model(
    State(app): State<App>,
    Extension(request_id): Extension<RequestId>,
    method: Method,
    headers: HeaderMap,
    Path(model_id): Path<String>,
    Query(query): Query<FormatQuery>,
) -> Result<Response, Problem> {
    let form = match query.format.as_deref() {
        Some(name) => Form::find(name).ok_or_else(|| unknown_format(name))?,
        None => Form::Native,
    };
    let db = app.db()?;
    let record = find(db, &model_id).await?;
    let filename = form.filename(&format!("{}-v{}", record.model_name, record.version));
    let response = match form {
        Form::Native => send_stored(&app, db, &method, &headers, &record, &filename).await?,
        Form::Onnx | Form::Torch | Form::Python => {
            send_derived(&app, db, &method, &headers, &record, (form, &filename)).await?
        }
        Form::Card | Form::CardMarkdown | Form::CardHtml => {
            return model_card::send(&app, db, &method, &headers, record, form).await;
        }
    };
    if method == Method::GET && response.status() != StatusCode::NOT_MODIFIED {
        let details = json!({ "format": form.name() });
        events::append(&app, db, &request_id, "download", "model", record.model_id, details).await;
    }
    Ok(response)
}

fn unknown_format(name: &str) -> Problem {
    let known = Form::names();
    Problem::invalid("/format", format!("\"{}\" is none of {known}", super::printable(name)))
}

/// The model file itself, from the store.
async fn send_stored(
    app: &App,
    db: &Db,
    method: &Method,
    headers: &HeaderMap,
    record: &ModelRecord,
    filename: &str,
) -> Result<Response, Problem> {
    let file = Download {
        source: Source::Blob(BlobKey::Model(record.model_id)),
        size_bytes: record.size_bytes,
        etag: &record.sha256,
        sha256: &record.sha256,
        filename,
        media_type: Form::Native.media_type(),
        is_shown: false,
    };
    if let Some(response) = download::send(app.blobs(), method, headers, &file).await? {
        return Ok(response);
    }
    if models::get(db, record.model_id).await?.is_none() {
        return Err(super::models::not_found(&record.model_id.to_string()));
    }
    models::set_status(db, record.model_id, ModelStatus::Missing).await?;
    Err(Problem::new(Slug::ModelCorrupt, "the file of this model is missing or cut short"))
}

/// Another form, made for this request: it follows from the model file and the program.
async fn send_derived(
    app: &App,
    db: &Db,
    method: &Method,
    headers: &HeaderMap,
    record: &ModelRecord,
    (form, filename): (Form, &str),
) -> Result<Response, Problem> {
    let version = env!("CARGO_PKG_VERSION");
    let etag = fingerprint(&[record.sha256.as_bytes(), form.name().as_bytes(), version.as_bytes()]);
    if let Some(response) = download::not_modified(headers, &etag) {
        return Ok(response);
    }
    let loaded = app.models().get_record(app.blobs(), db, record.clone()).await?;
    let outcome = app.models().work(loaded, move |loaded| written(loaded, form)).await?;
    let bytes = outcome.map_err(|error| Problem::invalid("/format", error.to_string()))?;
    let file = Download {
        size_bytes: bytes.len() as u64,
        etag: &etag,
        sha256: &hash::of_bytes(&bytes),
        source: Source::Bytes(bytes),
        filename,
        media_type: form.media_type(),
        is_shown: false,
    };
    let sent = download::send(app.blobs(), method, headers, &file).await?;
    sent.ok_or_else(|| Problem::internal("bytes in memory cannot be missing"))
}

fn written(loaded: &Loaded, form: Form) -> Result<Bytes, ExportError> {
    match form {
        Form::Onnx => onnx::to_bytes(&loaded.model).map(Bytes::from),
        Form::Torch => torch::to_bytes(&loaded.model).map(Bytes::from),
        Form::Python => Ok(Bytes::from_static(torch::PYTHON.as_bytes())),
        _ => unreachable!("other forms do not follow from the model alone"),
    }
}
