//! The model card as a document: JSON, Markdown or HTML, by name or by `Accept`.

use super::{
    download::{self, Download, Source},
    error::{Problem, Slug},
    extract::preferred,
    models::ModelSummary,
};
use crate::{
    app::App,
    export::{
        Form,
        card::{self, Facts},
    },
    hash,
    storage::{DatasetRecord, Db, ModelRecord, datasets, models},
};
use axum::{
    http::{HeaderMap, HeaderValue, Method, header},
    response::Response,
};
use serde_json::{Value, json};

/// A card holds no script and loads nothing, whatever names of columns and classes say.
const POLICY: &str = "default-src 'none'; style-src 'unsafe-inline'; base-uri 'none'; form-action 'none'";
/// What `format=card` may become, the default first.
const NEGOTIABLE: [(Form, &str); 3] =
    [(Form::Card, "application/json"), (Form::CardMarkdown, "text/markdown"), (Form::CardHtml, "text/html")];

/// The card in `form`; `card` itself leaves the choice to `Accept`.
///
/// Its validator is that of what is shown, which changes with the name, the labels and the dataset.
pub(super) async fn send(
    app: &App,
    db: &Db,
    method: &Method,
    headers: &HeaderMap,
    record: ModelRecord,
    form: Form,
) -> Result<Response, Problem> {
    let form = match form {
        Form::Card => negotiated(headers)?,
        form => form,
    };
    let filename = form.filename(&format!("{}-v{}", record.model_name, record.version));
    let dataset = datasets::get(db, record.dataset_id).await?.map_or(Value::Null, dataset_facts);
    let card = models::card(db, record.model_id).await?.unwrap_or(Value::Null);
    let model = serde_json::to_value(ModelSummary::from(record)).map_err(Problem::internal)?;
    let facts = Facts { model: &model, card: &card, dataset: &dataset };
    let text = match form {
        Form::CardMarkdown => card::markdown(&facts),
        Form::CardHtml => card::html(&facts),
        _ => as_json(&facts),
    };
    let sha256 = hash::of_bytes(text.as_bytes());
    let file = Download {
        size_bytes: text.len() as u64,
        etag: &sha256,
        sha256: &sha256,
        source: Source::Bytes(text.into()),
        filename: &filename,
        media_type: form.media_type(),
        is_shown: true,
    };
    let sent = download::send(app.blobs(), method, headers, &file).await?;
    let mut response = sent.ok_or_else(|| Problem::internal("a text in memory cannot be missing"))?;
    response.headers_mut().insert(header::VARY, HeaderValue::from_static("accept"));
    response.headers_mut().insert(header::CONTENT_SECURITY_POLICY, HeaderValue::from_static(POLICY));
    Ok(response)
}

fn negotiated(headers: &HeaderMap) -> Result<Form, Problem> {
    let names = NEGOTIABLE.map(|(_, name)| name);
    let index = preferred(headers, &names).ok_or_else(|| {
        Problem::new(Slug::NotAcceptable, format!("a model card comes as {}", names.join(", ")))
    })?;
    Ok(NEGOTIABLE[index].0)
}

/// What `GET /models/{model_id}` shows, with the targets in full and the dataset.
fn as_json(facts: &Facts) -> String {
    let mut all = facts.card.as_object().cloned().unwrap_or_default();
    if let Some(targets) = all.get("targets").cloned() {
        all.insert("target_details".to_owned(), targets);
    }
    all.extend(facts.model.as_object().cloned().unwrap_or_default());
    all.insert("dataset".to_owned(), facts.dataset.clone());
    Value::Object(all).to_string()
}

/// What a card says about the dataset: never its rows.
fn dataset_facts(record: DatasetRecord) -> Value {
    let columns: Vec<Value> = record
        .description
        .columns
        .iter()
        .map(|column| {
            json!({
                "name": column.name, "kind": column.kind, "unit": column.unit, "missing": column.missing,
                "distinct": column.distinct, "reason": column.reason,
            })
        })
        .collect();
    json!({
        "dataset_id": record.dataset_id, "name": record.name, "filename": record.filename,
        "sha256": record.sha256, "size_bytes": record.size_bytes, "rows": record.rows,
        "read": record.description.read, "columns": columns, "warnings": record.description.warnings,
    })
}
