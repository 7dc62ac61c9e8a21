//! The OpenAPI 3.1 document, made from the handlers themselves, and the page to try them.

mod complete;
mod problems;

pub use complete::complete;

use super::protocols::{InferenceError, MlflowError};
use crate::app::App;
use axum::{
    Router,
    http::{HeaderValue, header},
    response::IntoResponse,
    routing::get,
};
use serde::Serialize;
use utoipa::{OpenApi, ToSchema, openapi::OpenApi as Document};
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
    use crate::http::error::Slug;

    #[test]
    fn every_problem_is_documented_where_it_can_happen() {
        let text = crate::http::document().to_json().unwrap();
        // These are never the answer of a documented operation, or only the `error` of a training or
        // the `problem` of a reading.
        let elsewhere = [
            Slug::NotFound,
            Slug::MethodNotAllowed,
            Slug::DatasetDeleted,
            Slug::DatasetCorrupt,
            Slug::SettingsUnreadable,
            Slug::TrainingDiverged,
            Slug::JobCrashedWorker,
            Slug::ReadingInterrupted,
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
