//! The protocols of other model servers, so that their clients work here unchanged.
//!
//! Each is a thin adapter: it reads its own shape into [`predict::Question`], and writes its own shape from
//! [`predict::Answered`]. What is asked, its limits and its refusals are those of `POST /predict`; only the document
//! that a refusal is written as is the protocol's, and that is decided here, for every layer, by the path alone.

mod answer;
pub mod mlflow;
pub mod open_inference;
mod question;
pub mod tensorflow;

use super::{
    error::{Problem, Slug},
    predict,
};
use crate::{app::App, prediction::Loaded, storage::ModelRecord};
use axum::{http::StatusCode, response::Response};
use serde::Serialize;
use serde_json::Value;
use std::{borrow::Cow, sync::Arc};
use utoipa::ToSchema;
use utoipa_axum::router::OpenApiRouter;

/// The routes of all protocols.
pub fn routes() -> OpenApiRouter<App> {
    OpenApiRouter::new().merge(mlflow::routes()).merge(open_inference::routes()).merge(tensorflow::routes())
}

/// Whose protocol a route speaks.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Dialect {
    /// `MLflow` scoring: `/invocations`, `/ping`, `/health`.
    Mlflow,
    /// Open Inference Protocol: everything below `/v2`.
    OpenInference,
    /// `TensorFlow` Serving and `KServe` v1: everything below `/v1`.
    TensorFlow,
}

impl Dialect {
    /// The protocol of a path, also of one that no route has.
    pub fn of(path: &str) -> Option<Self> {
        let below =
            |root: &str| path.strip_prefix(root).is_some_and(|rest| rest.is_empty() || rest.starts_with('/'));
        match path {
            "/invocations" | "/ping" | "/health" => Some(Self::Mlflow),
            _ if below("/v2") => Some(Self::OpenInference),
            _ if below("/v1") => Some(Self::TensorFlow),
            _ => None,
        }
    }

    /// The status of a refusal. Values that cannot be used are 400 to all three; the others are as on the product's
    /// own routes.
    pub fn status(self, slug: Slug) -> u16 {
        match slug.kind().status {
            422 => 400,
            status => status,
        }
    }

    /// The name of the schema of its refusals in the OpenAPI document.
    pub fn error_schema(self) -> &'static str {
        match self {
            Self::Mlflow => "MlflowError",
            Self::OpenInference | Self::TensorFlow => "InferenceError",
        }
    }

    /// The document of a refusal.
    pub fn error_body(self, slug: Slug, message: &str) -> Value {
        match self {
            Self::Mlflow => {
                let error_code = mlflow::error_code(self.status(slug));
                serde_json::json!(MlflowError { error_code, message })
            }
            Self::OpenInference | Self::TensorFlow => serde_json::json!(InferenceError { error: message }),
        }
    }

    /// The answer that a refusal becomes.
    pub fn refusal(self, problem: Problem) -> Response {
        let status =
            StatusCode::from_u16(self.status(problem.slug())).expect("the table holds valid statuses");
        let body = self.error_body(problem.slug(), problem.detail());
        problem.into_json_response(status, &body)
    }
}

/// A refusal of the Open Inference Protocol and of `TensorFlow` Serving.
#[derive(Debug, Serialize, ToSchema)]
pub struct InferenceError<'a> {
    /// What is wrong, where, and how to mend it.
    pub error: &'a str,
}

/// A refusal of `MLflow`.
#[derive(Debug, Serialize, ToSchema)]
pub struct MlflowError<'a> {
    /// `MLflow`'s name of the kind of error.
    #[schema(example = "BAD_REQUEST")]
    pub error_code: &'static str,
    /// What is wrong, where, and how to mend it.
    pub message: &'a str,
}

/// How [`predict::find_named`] is asked for the model of an address.
fn reference<'a>(model: &'a str, which: Which<'_>) -> Result<Cow<'a, str>, Problem> {
    Ok(match which {
        Which::Newest => Cow::Borrowed(model),
        Which::Version(version) if version.bytes().all(|byte| byte.is_ascii_digit()) => {
            format!("{model}/{version}").into()
        }
        Which::Version(version) => {
            let detail = format!("`{}` is no version; versions count from 1", super::printable(version));
            return Err(Problem::new(Slug::ModelNotFound, detail));
        }
        Which::Label(label) => format!("{model}@{label}").into(),
    })
}

/// The row of the model of an address.
async fn record(app: &App, model: &str, which: Which<'_>) -> Result<ModelRecord, Problem> {
    predict::named_record(app.db()?, &reference(model, which)?).await
}

/// The model of an address, ready to answer.
async fn find(app: &App, model: &str, which: Which<'_>) -> Result<Arc<Loaded>, Problem> {
    predict::find_named(app, app.db()?, &reference(model, which)?).await
}

/// Which version of a model an address means.
#[derive(Debug, Clone, Copy)]
enum Which<'a> {
    Newest,
    Version(&'a str),
    Label(&'a str),
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_path_speaks_one_protocol() {
        for (path, expected) in [
            ("/v2", Some(Dialect::OpenInference)),
            ("/v2/models/a/infer", Some(Dialect::OpenInference)),
            ("/v20", None),
            ("/v1/nothing", Some(Dialect::TensorFlow)),
            ("/invocations", Some(Dialect::Mlflow)),
            ("/healthz", None),
            ("/predict", None),
        ] {
            assert_eq!(Dialect::of(path), expected, "{path}");
        }
    }
}
