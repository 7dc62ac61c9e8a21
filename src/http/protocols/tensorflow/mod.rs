//! The protocol of `TensorFlow` Serving, which is also version 1 of `KServe`'s: everything below `/v1/models`.
//!
//! The verb stands in the last segment of the path, behind a colon: `/v1/models/polar:predict`. The router takes such
//! a segment whole, so the handlers of `POST` cut it at its last colon, and the OpenAPI document, where the address is
//! written as clients write it, is put together by hand.

pub mod status;

use super::{
    Which,
    answer::Answer,
    find,
    question::{inputs, instances, nan_as_null, options, read_body},
};
use crate::{
    app::App,
    http::{
        error::{Problem, Slug},
        extract::{Json, Path},
        json,
        predict::{self, Question, answer::answer_schema, request::Data},
    },
};
use axum::{
    extract::{Request, State},
    http::{HeaderValue, Uri, header},
    response::{IntoResponse, Response},
    routing::get,
};
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};
use utoipa::{OpenApi, ToSchema};
use utoipa_axum::router::OpenApiRouter;

const PREDICT: &str = ":predict";

#[derive(OpenApi)]
#[openapi(
    paths(
        status::list_v1_models,
        status::show_v1_model,
        status::show_v1_version,
        status::show_v1_label,
        predict_v1_model,
        predict_v1_version,
        predict_v1_label,
        status::show_v1_metadata,
        status::show_v1_version_metadata,
        status::show_v1_label_metadata
    ),
    components(schemas(super::InferenceError))
)]
struct Paths;

/// The routes of this file.
pub fn routes() -> OpenApiRouter<App> {
    OpenApiRouter::with_openapi(Paths::openapi())
        .route("/v1/models", get(status::list_v1_models))
        .route(
            "/v1/models/{model}",
            get(status::show_v1_model).post(predict_v1_model).fallback(refuse_method),
        )
        .route(
            "/v1/models/{model}/versions/{version}",
            get(status::show_v1_version).post(predict_v1_version).fallback(refuse_method),
        )
        .route(
            "/v1/models/{model}/labels/{label}",
            get(status::show_v1_label).post(predict_v1_label).fallback(refuse_method),
        )
        .route("/v1/models/{model}/metadata", get(status::show_v1_metadata))
        .route("/v1/models/{model}/versions/{version}/metadata", get(status::show_v1_version_metadata))
        .route("/v1/models/{model}/labels/{label}/metadata", get(status::show_v1_label_metadata))
}

/// Which methods an address takes depends on the verb in its last segment, which the router does not see.
async fn refuse_method(uri: Uri) -> Problem {
    let (detail, allow) = if uri.path().ends_with(PREDICT) {
        ("`:predict` takes POST", "POST")
    } else {
        (
            "this address takes GET; to predict, POST to the same address with `:predict` behind it",
            "GET, HEAD",
        )
    };
    Problem::new(Slug::MethodNotAllowed, detail).with_header(header::ALLOW, HeaderValue::from_static(allow))
}

/// Predict (`TensorFlow` Serving, `KServe` v1)
///
/// `instances` are rows (objects or lists) and are answered with `predictions`; `inputs` are columns (an object of
/// lists, or a matrix) and are answered with `outputs`. For one target the answer is a list of values; for several it
/// is a list of objects, or an object of lists. `parameters` may hold `confidence`, `unknown_category`, `strict` and
/// `explain`.
#[utoipa::path(post, path = "/v1/models/{model}:predict", tag = "tensorflow", params(("model" = String, Path)),
    request_body = V1PredictBody, responses((status = 200, body = V1Answer)))]
pub async fn predict_v1_model(
    State(app): State<App>,
    Path(model): Path<String>,
    request: Request,
) -> Result<Response, Problem> {
    let model = with_verb(&model)?;
    answer(&app, model, Which::Newest, request).await
}

/// Predict with a version (`TensorFlow` Serving)
#[utoipa::path(post, path = "/v1/models/{model}/versions/{version}:predict", tag = "tensorflow",
    params(("model" = String, Path), ("version" = String, Path)),
    request_body = V1PredictBody, responses((status = 200, body = V1Answer)))]
pub async fn predict_v1_version(
    State(app): State<App>,
    Path((model, version)): Path<(String, String)>,
    request: Request,
) -> Result<Response, Problem> {
    answer(&app, &model, Which::Version(with_verb(&version)?), request).await
}

/// Predict with the version under an alias (`TensorFlow` Serving)
#[utoipa::path(post, path = "/v1/models/{model}/labels/{label}:predict", tag = "tensorflow",
    params(("model" = String, Path), ("label" = String, Path)),
    request_body = V1PredictBody, responses((status = 200, body = V1Answer)))]
pub async fn predict_v1_label(
    State(app): State<App>,
    Path((model, label)): Path<(String, String)>,
    request: Request,
) -> Result<Response, Problem> {
    answer(&app, &model, Which::Label(with_verb(&label)?), request).await
}

/// The body of `:predict`.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct PredictBody<'a> {
    #[serde(default)]
    signature_name: Option<String>,
    #[serde(borrow, default, deserialize_with = "instances")]
    instances: Option<Data<'a>>,
    #[serde(borrow, default, deserialize_with = "inputs")]
    inputs: Option<Data<'a>>,
    #[serde(default)]
    parameters: Option<Map<String, Value>>,
}

async fn answer(app: &App, model: &str, which: Which<'_>, request: Request) -> Result<Response, Problem> {
    let (_, bytes) = read_body(app, request).await?;
    let text = nan_as_null(&bytes);
    let body: PredictBody = json::from_slice(&text)?;
    if body.signature_name.as_deref().is_some_and(|name| !["", "serving_default", "predict"].contains(&name))
    {
        return Err(Problem::invalid("/signature_name", "must be serving_default, or absent"));
    }
    let options = options(&body.parameters.unwrap_or_default(), true)?;
    let (data, field) = match (body.instances, body.inputs) {
        (Some(data), None) => (data, "instances"),
        (None, Some(data)) => (data, "inputs"),
        _ => {
            let detail = "the body must hold either `instances`, for rows, or `inputs`, for columns";
            return Err(Problem::new(Slug::InvalidParameter, detail));
        }
    };
    let loaded = find(app, model, which).await?;
    let answered =
        predict::ask(app, &loaded, Question { data, field, options }, predict::cells::problem_by_row).await?;
    let answer = match field {
        "instances" => Answer::by_row(&loaded, &answered),
        _ => Answer::by_column(&loaded, &answered),
    };
    Ok(Json(answer).into_response())
}

/// What stands before the verb.
fn with_verb(segment: &str) -> Result<&str, Problem> {
    if let Some(before) = segment.strip_suffix(PREDICT) {
        return Ok(before);
    }
    match segment.rsplit_once(':') {
        Some((_, verb @ ("classify" | "regress" | "explain"))) => Err(Problem::new(
            Slug::BadRequest,
            format!("`:{verb}` is not offered; `:predict` answers numbers, classes and probabilities alike"),
        )),
        _ => Err(Problem::new(
            Slug::MethodNotAllowed,
            "POST needs a verb behind the address: /v1/models/{model}:predict",
        )
        .with_header(header::ALLOW, HeaderValue::from_static("GET, HEAD"))),
    }
}

fn refuse_verb(segment: &str) -> Result<(), Problem> {
    if segment.ends_with(PREDICT) {
        return Err(Problem::new(Slug::MethodNotAllowed, "`:predict` takes POST")
            .with_header(header::ALLOW, HeaderValue::from_static("POST")));
    }
    Ok(())
}

/// What to predict for: either of the two fields.
#[derive(Debug, Serialize, ToSchema)]
#[serde(deny_unknown_fields)]
#[schema(example = json!({"instances": [{"re": 1e5, "alpha": 2.0}]}))]
pub struct V1PredictBody {
    /// `serving_default`, or absent.
    #[schema(nullable = false, pattern = "^(serving_default|predict)?$")]
    pub signature_name: Option<String>,
    /// Rows: objects, lists in the order of the model's inputs, or, for a model with one input, values.
    #[schema(nullable = false)]
    pub instances: Option<Vec<Value>>,
    /// Columns: an object of lists, or a matrix.
    #[schema(nullable = false)]
    pub inputs: Option<Value>,
    /// `confidence`, `unknown_category`, `strict`, `explain`.
    #[schema(nullable = false, value_type = Option<Object>)]
    pub parameters: Option<Value>,
}

answer_schema! {
    /// Predictions: `predictions` for `instances`, `outputs` for `inputs`.
    pub struct V1Answer {
        /// The value of each row; for several targets, an object from target to value.
        #[schema(nullable = false)]
        pub predictions: Option<Vec<Value>>,
        /// The values of all rows; for several targets, an object from target to values.
        #[schema(nullable = false)]
        pub outputs: Option<Value>,
        /// The model that answered.
        pub model_name: String,
        /// Its version.
        #[schema(example = "3")]
        pub model_version: String,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_verb_is_cut_at_the_last_colon() {
        assert_eq!(with_verb("polar:predict").unwrap(), "polar");
        assert_eq!(with_verb("a:b:predict").unwrap(), "a:b");
        assert_eq!(with_verb("polar:explain").unwrap_err().slug(), Slug::BadRequest);
        assert_eq!(with_verb("polar").unwrap_err().slug(), Slug::MethodNotAllowed);
        assert!(refuse_verb("polar").is_ok() && refuse_verb("polar:predict").is_err());
    }
}
