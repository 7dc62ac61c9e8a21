//! `MLflow`'s scoring protocol, which is also `SageMaker`'s: `/invocations`, `/ping`, `/health`.
//!
//! A server of this protocol has one model. Which of ours it is, the setting `TAQICFD_SERVED_MODEL` says.

mod body;

use super::{
    answer::Answer,
    question::{nan_as_null, read_any_body},
};
use crate::{
    app::App,
    dataset::plain_csv::PlainCsv,
    http::{
        error::{Problem, Slug},
        extract::Json,
        health,
        predict::{self, Options, Question, answer::answer_schema},
    },
    prediction::Loaded,
    storage::models,
};
use axum::{
    extract::{Request, State},
    http::{HeaderValue, header},
    response::{IntoResponse, Response},
};
use body::{Format, cells_of, read_json, require_columns};
use serde::Serialize;
use serde_json::Value;
use std::sync::Arc;
use utoipa::ToSchema;
use utoipa_axum::{router::OpenApiRouter, routes};

/// The routes of this file.
pub fn routes() -> OpenApiRouter<App> {
    OpenApiRouter::new()
        .routes(routes!(invoke_served_model))
        .routes(routes!(ping_served_model))
        .routes(routes!(show_served_health))
}

/// `MLflow`'s name for an error with this status.
pub fn error_code(status: u16) -> &'static str {
    match status {
        404 => "RESOURCE_DOES_NOT_EXIST",
        409 => "RESOURCE_CONFLICT",
        429 => "REQUEST_LIMIT_EXCEEDED",
        501 => "NOT_IMPLEMENTED",
        503 | 504 => "TEMPORARILY_UNAVAILABLE",
        500.. => "INTERNAL_ERROR",
        _ => "BAD_REQUEST",
    }
}

/// Predict with the served model (`MLflow`)
///
/// The body is one of `dataframe_split`, `dataframe_records`, `instances` and `inputs`, and optionally `params` with
/// `confidence` (or `interval`), `unknown_category`, `strict` and `explain`; or a CSV with a header, as
/// `df.to_csv(index=False)` writes it. The answers are `predictions`: one value per row for one target, one object per
/// row for several. `TAQICFD_SERVED_MODEL` says which model answers; without it the only model name that exists does.
#[utoipa::path(post, path = "/invocations", tag = "mlflow",
    request_body(content(
        (InvocationBody = "application/json"),
        (String = "text/csv", example = "re,alpha\n100000,2\n200000,4\n"),
        (String = "application/csv")
    )),
    responses((status = 200, body = InvocationAnswer)))]
pub async fn invoke_served_model(State(app): State<App>, request: Request) -> Result<Response, Problem> {
    let format = Format::of(request.headers())?;
    let bytes = read_any_body(&app, request).await?;
    match format {
        Format::Json => {
            let text = nan_as_null(&bytes);
            let (question, options) = read_json(&text)?;
            let loaded = served(&app).await?;
            let (data, field) = question;
            respond(&app, &loaded, Question { data, field, options }).await
        }
        Format::Csv => {
            let table = PlainCsv::read(&bytes)?;
            let loaded = served(&app).await?;
            require_columns(&table, loaded.model.inputs())?;
            let data = cells_of(&table, loaded.model.inputs());
            respond(&app, &loaded, Question { data, field: "csv", options: Options::default() }).await
        }
    }
}

/// The model that answers here.
async fn served(app: &App) -> Result<Arc<Loaded>, Problem> {
    let db = app.db()?;
    if let Some(name) = &app.settings().prediction.served_model {
        return predict::find_named(app, db, name).await.map_err(|problem| match problem.slug() {
            Slug::ModelNotFound => Problem::new(
                Slug::ModelNotFound,
                format!(
                    "TAQICFD_SERVED_MODEL is \"{}\", and there is no such model",
                    crate::http::printable(name)
                ),
            ),
            _ => problem,
        });
    }
    let names = models::names(db, 6).await?;
    match names.as_slice() {
        [name] => predict::find_named(app, db, name).await,
        [] => Err(Problem::new(Slug::ModelNotFound, "there is no model yet; train one with POST /train")),
        several => {
            let shown: Vec<String> =
                several.iter().take(5).map(|name| format!("\"{}\"", crate::http::printable(name))).collect();
            let more = if several.len() > 5 { ", ..." } else { "" };
            Err(Problem::new(
                Slug::ModelNotFound,
                format!(
                    "there are several models ({}{more}), and nothing says which of them is served here: start the \
                     server with TAQICFD_SERVED_MODEL=NAME, NAME/VERSION or NAME@ALIAS, or ask POST /predict or \
                     /v2/models/NAME/infer",
                    shown.join(", ")
                ),
            ))
        }
    }
}

async fn respond(app: &App, loaded: &Arc<Loaded>, question: Question<'_>) -> Result<Response, Problem> {
    let answered = predict::ask(app, loaded, question, predict::cells::problem_by_row).await?;
    Ok(Json(Answer::by_row(loaded, &answered)).into_response())
}

/// Whether the served model can answer (`SageMaker`, `MLflow`)
#[utoipa::path(get, path = "/ping", tag = "mlflow",
    responses((status = 200, body = String, content_type = "text/plain", description = "It can")))]
pub async fn ping_served_model(State(app): State<App>) -> Result<Response, Problem> {
    health::refuse_when_stopping(&app)?;
    served(&app).await?;
    Ok(([(header::CONTENT_TYPE, HeaderValue::from_static("text/plain; charset=utf-8"))], "\n")
        .into_response())
}

/// Whether the served model can answer (`MLflow`)
#[utoipa::path(get, path = "/health", tag = "mlflow",
    responses((status = 200, body = String, content_type = "text/plain", description = "It can")))]
pub async fn show_served_health(app: State<App>) -> Result<Response, Problem> {
    ping_served_model(app).await
}

/// What to predict for: exactly one of the four fields.
#[derive(Debug, Serialize, ToSchema)]
#[serde(deny_unknown_fields)]
#[schema(example = json!({"dataframe_split": {"columns": ["re", "alpha"], "data": [[1e5, 2.0], [2e5, 4.0]]}}))]
pub struct InvocationBody {
    /// As `df.to_dict(orient="split")` gives it.
    #[schema(nullable = false)]
    pub dataframe_split: Option<SplitBody>,
    /// One object per row, as `df.to_dict(orient="records")` gives them.
    #[schema(nullable = false, value_type = Option<Vec<Object>>)]
    pub dataframe_records: Option<Vec<Value>>,
    /// One object per row.
    #[schema(nullable = false, value_type = Option<Vec<Object>>)]
    pub instances: Option<Vec<Value>>,
    /// One list per column, or a matrix in the order of the model's inputs.
    #[schema(nullable = false)]
    pub inputs: Option<Value>,
    /// `confidence` (or `interval`), `unknown_category`, `strict`, `explain`.
    #[schema(nullable = false, value_type = Option<Object>)]
    pub params: Option<Value>,
}

/// A data frame in three parts.
#[derive(Debug, Serialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct SplitBody {
    /// The names of the columns.
    pub columns: Vec<String>,
    /// The names of the rows; they are not used.
    #[schema(nullable = false)]
    pub index: Option<Vec<Value>>,
    /// One list per row.
    pub data: Vec<Vec<Value>>,
}

answer_schema! {
    /// Predictions, one per row.
    pub struct InvocationAnswer {
        /// The value of each row; for several targets, an object from target to value.
        pub predictions: Vec<Value>,
        /// The model that answered.
        pub model_name: String,
        /// Its version.
        #[schema(example = "3")]
        pub model_version: String,
    }
}
