//! The OpenAPI 3.1 document, made from the handlers themselves, and the page to try them.

use super::{
    error::{Kind, Slug},
    protocols::{Dialect, InferenceError, MlflowError},
};
use crate::app::App;
use axum::{
    Router,
    http::{HeaderValue, header},
    response::IntoResponse,
    routing::get,
};
use serde::Serialize;
use serde_json::json;
use utoipa::{
    OpenApi, ToSchema,
    openapi::{
        Content, HeaderBuilder, ObjectBuilder, OpenApi as Document, PathItem, Ref, RefOr, Response,
        ResponseBuilder, content::ContentBuilder, path::Operation,
    },
};
use utoipa_swagger_ui::{Config, SwaggerUi};

/// What is wrong, where, and how to mend it (RFC 9457).
#[derive(Debug, Serialize, ToSchema)]
#[schema(as = Problem)]
pub struct ProblemSchema {
    /// The kind of problem: a page that explains it.
    #[schema(example = "/problems/unknown-column")]
    r#type: String,
    /// A short name of the kind.
    title: String,
    /// The HTTP status.
    #[schema(example = 422)]
    status: u16,
    /// What is wrong here.
    detail: String,
    /// As in the `X-Request-Id` header.
    #[schema(nullable = false)]
    request_id: Option<String>,
    /// The single things that are wrong.
    #[schema(nullable = false)]
    errors: Option<Vec<super::error::ErrorItem>>,
}

#[derive(OpenApi)]
#[openapi(
    info(
        title = "taqicfd",
        description = "A spreadsheet goes in, a trained neural network answers.\n\nUpload a table with `POST /upload`, \
            train on it with `POST /train`, ask with `POST /predict`, look around with `GET /models`, take the network \
            away with `GET /model/{model_id}`. Errors are problem documents (RFC 9457); each kind has a page under \
            `/problems`.\n\nMessages come in English, or in Brazilian Portuguese where the header `Accept-Language` prefers it (`pt`, \
            `pt-BR`, `pt-PT`): titles, details, reasons, warnings, log lines and the pages of the problems. Names of \
            fields, codes and slugs are the same in every language.",
        license(name = "MIT OR Apache-2.0", identifier = "MIT OR Apache-2.0")
    ),
    tags(
        (name = "datasets", description = "Spreadsheets that were uploaded"),
        (name = "trainings", description = "Networks being trained"),
        (name = "predictions", description = "Asking a network"),
        (name = "models", description = "Networks that were trained"),
        (name = "operations", description = "Running the server"),
        (name = "open inference", description = "The protocol of KServe, Triton and MLServer"),
        (name = "mlflow", description = "The scoring protocol of MLflow and SageMaker"),
        (name = "tensorflow", description = "The protocol of TensorFlow Serving, and version 1 of KServe's")
    ),
    components(schemas(ProblemSchema, InferenceError, MlflowError))
)]
struct Base;

/// The document without any route.
pub fn base() -> Document {
    Base::openapi()
}

/// Problems that any route may answer with.
const EVERYWHERE: &[Slug] = &[
    Slug::BadRequest,
    Slug::NotAcceptable,
    Slug::UriTooLong,
    Slug::HeadersTooLarge,
    Slug::Internal,
    Slug::Overloaded,
    Slug::NotReady,
    Slug::DatabaseUnavailable,
    Slug::DatabaseBusy,
    Slug::Timeout,
];
/// Problems of routes with a JSON body.
const JSON_BODY: &[Slug] = &[
    Slug::MalformedJson,
    Slug::MissingBody,
    Slug::RequestTimeout,
    Slug::BodyTooLarge,
    Slug::UnsupportedMediaType,
    Slug::InvalidParameter,
];
/// Problems of reading a file.
const READING: &[Slug] = &[
    Slug::InflatedTooLarge,
    Slug::TooManyCells,
    Slug::TooManyColumns,
    Slug::TooManyRows,
    Slug::UnsupportedMediaType,
    Slug::MalformedWorkbook,
    Slug::MalformedCsv,
    Slug::CellTooLarge,
    Slug::PasswordProtected,
    Slug::UnsupportedEncoding,
    Slug::AmbiguousNumberFormat,
    Slug::EmptyFile,
    Slug::InvalidParameter,
    Slug::UnknownColumn,
    Slug::StorageUnavailable,
    Slug::InsufficientStorage,
];
/// Problems of finding a model and reading its file.
const LOADING: &[Slug] =
    &[Slug::ModelNotFound, Slug::ModelFormatTooNew, Slug::ModelCorrupt, Slug::StorageUnavailable];
/// Problems of asking a model.
const ASKING: &[Slug] =
    &[Slug::BatchTooLarge, Slug::MissingField, Slug::WrongType, Slug::UnknownCategory, Slug::UnknownField];
/// Problems of single operations, by their ids.
const BY_OPERATION: &[(&str, &[Slug])] = &[
    ("create_dataset", READING),
    (
        "create_dataset",
        &[
            Slug::MissingBody,
            Slug::MalformedMultipart,
            Slug::RequestTimeout,
            Slug::BodyTooLarge,
            Slug::IdempotencyKeyInUse,
            Slug::IdempotencyKeyReused,
        ],
    ),
    ("reread_dataset", READING),
    ("reread_dataset", &[Slug::DatasetNotFound]),
    ("list_datasets", &[Slug::InvalidParameter]),
    ("show_dataset", &[Slug::DatasetNotFound]),
    ("delete_dataset", &[Slug::DatasetNotFound]),
    ("list_rows", &[Slug::DatasetNotFound, Slug::InvalidParameter, Slug::StorageUnavailable]),
    ("show_correlations", &[Slug::DatasetNotFound, Slug::InvalidParameter, Slug::StorageUnavailable]),
    ("download_dataset", &[Slug::DatasetNotFound, Slug::RangeNotSatisfiable, Slug::StorageUnavailable]),
    (
        "create_training",
        &[
            Slug::NoDataset,
            Slug::DatasetNotFound,
            Slug::NameInUse,
            Slug::IdempotencyKeyInUse,
            Slug::UnknownColumn,
            Slug::ConstantTarget,
            Slug::NoTargetValues,
            Slug::TooFewRows,
            Slug::TooFewRowsPerClass,
            Slug::TooManyClasses,
            Slug::TooManyCategories,
            Slug::ValueOutOfRange,
            Slug::ModelTooLarge,
            Slug::UnsupportedTask,
            Slug::NoFeatures,
            Slug::IdempotencyKeyReused,
            Slug::QueueFull,
        ],
    ),
    ("list_trainings", &[Slug::InvalidParameter]),
    ("show_training", &[Slug::TrainingNotFound, Slug::InvalidParameter]),
    ("list_logs", &[Slug::TrainingNotFound, Slug::InvalidParameter]),
    ("cancel_training", &[Slug::TrainingNotFound, Slug::JobAlreadyFinished]),
    ("follow_training", &[Slug::TrainingNotFound]),
    ("create_prediction", &[Slug::ModelNotReady, Slug::MissingBody, Slug::MalformedMultipart]),
    ("create_prediction", READING),
    ("create_prediction", LOADING),
    ("create_prediction", ASKING),
    ("invoke_served_model", LOADING),
    ("invoke_served_model", ASKING),
    ("invoke_served_model", &[Slug::MalformedCsv, Slug::UnsupportedEncoding, Slug::EmptyFile]),
    ("ping_served_model", LOADING),
    ("show_served_health", LOADING),
    ("infer_v2_model", LOADING),
    ("infer_v2_model", ASKING),
    ("infer_v2_version", LOADING),
    ("infer_v2_version", ASKING),
    ("show_v2_model", LOADING),
    ("show_v2_version", LOADING),
    ("show_v2_model_readiness", &[Slug::ModelNotFound]),
    ("show_v2_version_readiness", &[Slug::ModelNotFound]),
    ("describe_v2_model", LOADING),
    ("describe_v2_version", LOADING),
    ("load_v2_model", LOADING),
    ("unload_v2_model", &[Slug::ModelNotFound]),
    ("predict_v1_model", LOADING),
    ("predict_v1_model", ASKING),
    ("predict_v1_version", LOADING),
    ("predict_v1_version", ASKING),
    ("predict_v1_label", LOADING),
    ("predict_v1_label", ASKING),
    ("show_v1_model", &[Slug::ModelNotFound]),
    ("show_v1_version", &[Slug::ModelNotFound]),
    ("show_v1_label", &[Slug::ModelNotFound]),
    ("show_v1_metadata", LOADING),
    ("show_v1_version_metadata", LOADING),
    ("show_v1_label_metadata", LOADING),
    (
        "import_model",
        &[
            Slug::MalformedMultipart,
            Slug::MissingBody,
            Slug::RequestTimeout,
            Slug::IdempotencyKeyInUse,
            Slug::NameInUse,
            Slug::ModelFormatTooNew,
            Slug::BodyTooLarge,
            Slug::UnsupportedMediaType,
            Slug::MalformedModel,
            Slug::InvalidParameter,
            Slug::IdempotencyKeyReused,
            Slug::StorageUnavailable,
            Slug::InsufficientStorage,
        ],
    ),
    ("list_models", &[Slug::InvalidParameter]),
    ("show_model", &[Slug::ModelNotFound]),
    ("update_model", &[Slug::ModelNotFound, Slug::NameInUse, Slug::PreconditionFailed]),
    ("delete_model", &[Slug::ModelNotFound, Slug::ModelHasAliases]),
    ("set_alias", &[Slug::ModelNotFound, Slug::InvalidParameter]),
    ("remove_alias", &[Slug::ModelNotFound]),
    ("compare_models", &[Slug::ModelNotFound, Slug::InvalidParameter]),
    (
        "download_model",
        &[
            Slug::ModelNotFound,
            Slug::InvalidParameter,
            Slug::RangeNotSatisfiable,
            Slug::ModelFormatTooNew,
            Slug::ModelCorrupt,
            Slug::StorageUnavailable,
        ],
    ),
    ("list_events", &[Slug::InvalidParameter]),
];

/// Adds to every operation the problems that the layers around it answer with, and writes all
/// problems in one way: by status, with the slugs in the description.
pub fn complete(document: &mut Document) {
    for (operation_id, slugs) in BY_OPERATION {
        add_problems(document, operation_id, slugs);
    }
    for (path, item) in &mut document.paths.paths {
        let dialect = Dialect::of(path);
        let is_probe =
            ["/healthz", "/metrics", "/version", "/v2/health/"].iter().any(|p| path.starts_with(p));
        let common = if is_probe { &[Slug::HeadersTooLarge, Slug::Internal][..] } else { EVERYWHERE };
        for operation in operations(item) {
            let takes_json = operation.request_body.as_ref().is_some_and(|body| match body {
                RefOr::T(body) => body.content.contains_key("application/json"),
                RefOr::Ref(_) => false,
            });
            for slug in common.iter().chain(if takes_json { JSON_BODY } else { &[] }) {
                add(operation, *slug, dialect);
            }
        }
    }
}

fn operations(item: &mut PathItem) -> impl Iterator<Item = &mut Operation> {
    [&mut item.get, &mut item.post, &mut item.put, &mut item.patch, &mut item.delete, &mut item.head]
        .into_iter()
        .flatten()
}

/// Adds `slugs` to the problems of the operation called `operation_id`.
fn add_problems(document: &mut Document, operation_id: &str, slugs: &[Slug]) {
    let mut found = false;
    for (path, item) in &mut document.paths.paths {
        let dialect = Dialect::of(path);
        for operation in
            operations(item).filter(|operation| operation.operation_id.as_deref() == Some(operation_id))
        {
            found = true;
            for slug in slugs {
                add(operation, *slug, dialect);
            }
        }
    }
    debug_assert!(found, "no operation is called {operation_id}");
}

fn add(operation: &mut Operation, slug: Slug, dialect: Option<Dialect>) {
    let Kind { slug: name, title, .. } = slug.kind();
    let status = dialect.map_or(slug.kind().status, |dialect| dialect.status(slug));
    let line = format!("`{name}`: {title}");
    let entry = operation
        .responses
        .responses
        .entry(status.to_string())
        .or_insert_with(|| RefOr::T(problem_response()));
    let RefOr::T(response) = entry else { return };
    if response.description.contains(&format!("`{name}`")) {
        return;
    }
    if !response.description.is_empty() {
        response.description.push_str("\n\n");
    }
    response.description.push_str(&line);
    match dialect {
        // A probe may answer 503 with a body of its own, which the document then names already.
        Some(dialect) => {
            let content = || RefOr::T(dialect_content(dialect, slug));
            response.content.entry("application/json".into()).or_insert_with(content);
        }
        None => {
            let content = || RefOr::T(problem_content(status, name, title));
            response.content.entry("application/problem+json".into()).or_insert_with(content);
        }
    }
    if matches!(status, 429 | 503) {
        let seconds = HeaderBuilder::new()
            .schema(Some(ObjectBuilder::new().schema_type(utoipa::openapi::schema::Type::Integer)))
            .description(Some("Seconds after which to try again"))
            .build();
        response.headers.entry("Retry-After".into()).or_insert(RefOr::T(seconds));
    }
}

fn problem_response() -> Response {
    ResponseBuilder::new().build()
}

fn problem_content(status: u16, slug: &str, title: &str) -> Content {
    let example = json!({
        "type": format!("/problems/{slug}"), "title": title, "status": status,
        "detail": "what is wrong here, and how to mend it", "request_id": "0191e0c4-7a6b-7c3d-8e9f-0a1b2c3d4e5f",
    });
    content("Problem", example)
}

fn dialect_content(dialect: Dialect, slug: Slug) -> Content {
    content(dialect.error_schema(), dialect.error_body(slug, "what is wrong here, and how to mend it"))
}

fn content(schema: &str, example: serde_json::Value) -> Content {
    ContentBuilder::new().schema(Some(Ref::from_schema_name(schema))).example(Some(example)).build()
}

/// `/openapi.json` and `/docs`.
pub fn router(document: &Document) -> Router<App> {
    let text = document.to_pretty_json().expect("the document is made of texts and lists");
    let serve = move || {
        let text = text.clone();
        async move {
            ([(header::CONTENT_TYPE, HeaderValue::from_static("application/json"))], text).into_response()
        }
    };
    // The page comes with its scripts from this binary; it asks for the document by its path.
    let page = SwaggerUi::new("/docs").config(Config::from("/openapi.json").try_it_out_enabled(true));
    Router::new()
        .route("/openapi.json", get(serve))
        .merge(page)
        .layer(axum::middleware::map_response(protect))
}

/// Only this server is asked for anything. The page styles itself inline and draws `data:` images.
async fn protect(mut response: axum::response::Response) -> axum::response::Response {
    const POLICY: &str = "default-src 'self'; style-src 'self' 'unsafe-inline'; img-src 'self' data:; \
        base-uri 'none'; frame-ancestors 'none'";
    response.headers_mut().insert(header::CONTENT_SECURITY_POLICY, HeaderValue::from_static(POLICY));
    response
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_problem_is_documented_where_it_can_happen() {
        let text = crate::http::document().to_json().unwrap();
        // These are never the answer of a documented operation, or only the `error` of a training.
        let elsewhere = [
            Slug::NotFound,
            Slug::MethodNotAllowed,
            Slug::DatasetDeleted,
            Slug::TrainingDiverged,
            Slug::JobCrashedWorker,
        ];
        for slug in Slug::ALL.iter().filter(|slug| !elsewhere.contains(slug)) {
            assert!(text.contains(&format!("`{}`:", slug.kind().slug)), "{slug:?}");
        }
    }

    #[test]
    fn every_operation_has_a_summary_an_id_and_a_tag() {
        let document = crate::http::document();
        for (path, item) in &document.paths.paths {
            for operation in
                [&item.get, &item.post, &item.put, &item.patch, &item.delete].into_iter().flatten()
            {
                assert!(operation.operation_id.is_some() && operation.summary.is_some(), "{path}");
                assert!(operation.tags.as_ref().is_some_and(|tags| !tags.is_empty()), "{path}");
            }
        }
    }
}
