//! Operations: is it alive, can it work, what does it count, which version is it.

use super::{
    error::{Problem, Slug},
    extract::{Json, accepts},
};
use crate::app::App;
use axum::{
    extract::State,
    http::{HeaderMap, HeaderValue, StatusCode, header},
    response::{IntoResponse, Response},
};
use serde::Serialize;
use utoipa::ToSchema;
use utoipa_axum::{router::OpenApiRouter, routes};

/// The routes of this file.
pub fn routes() -> OpenApiRouter<App> {
    OpenApiRouter::new()
        .routes(routes!(show_health))
        .routes(routes!(show_readiness))
        .routes(routes!(show_metrics))
        .routes(routes!(show_version))
}

/// The process is alive.
#[derive(Debug, Serialize, ToSchema)]
pub struct Health {
    /// Always `ok`.
    #[schema(example = "ok")]
    status: &'static str,
}

/// Whether the process is alive
///
/// Answers as long as the process can; says nothing about the database.
#[utoipa::path(get, path = "/healthz", tag = "operations", responses((status = 200, body = Health)))]
pub async fn show_health() -> Json<Health> {
    Json(Health { status: "ok" })
}

/// Whether requests can be worked on, part by part.
#[derive(Debug, Serialize, ToSchema)]
pub struct Readiness {
    /// Whether all parts are well.
    ready: bool,
    /// `ok`, or what is wrong.
    #[schema(example = "ok")]
    database: String,
    /// `ok`, or what is wrong.
    #[schema(example = "ok")]
    storage: String,
    /// `ok`, or what is wrong.
    #[schema(example = "ok")]
    disk: String,
    /// Whether the server has been told to stop.
    stopping: bool,
}

/// Whether requests can be worked on
///
/// Asks the database and the file store, and looks at the free disk space. 503 while starting and stopping.
#[utoipa::path(get, path = "/readyz", tag = "operations",
    responses((status = 200, body = Readiness), (status = 503, body = Readiness, description = "Not now")))]
pub async fn show_readiness(State(app): State<App>) -> Response {
    let body = readiness(&app).await;
    ready_or_not(body.ready, &body)
}

/// The answer of a probe: 503, to be asked again soon, where it is not ready.
pub(super) fn ready_or_not(ready: bool, body: &impl Serialize) -> Response {
    let mut response = Json(body).into_response();
    if !ready {
        *response.status_mut() = StatusCode::SERVICE_UNAVAILABLE;
        response.headers_mut().insert(header::RETRY_AFTER, HeaderValue::from_static("1"));
    }
    response
}

/// Asks every part.
pub async fn readiness(app: &App) -> Readiness {
    let stopping = app.shutdown().is_cancelled();
    let (database, storage) = tokio::join!(
        async {
            match app.db() {
                Ok(db) => db.check().await.map_err(|error| error.to_string()),
                Err(error) => Err(error.to_string()),
            }
        },
        async { app.blobs().check().await.map_err(|error| error.to_string()) }
    );
    let disk = app.check_disk().map_err(|error| error.to_string());
    let ready = !stopping && database.is_ok() && storage.is_ok() && disk.is_ok();
    let text = |outcome: Result<(), String>| outcome.map_or_else(|error| error, |()| "ok".to_owned());
    Readiness { ready, database: text(database), storage: text(storage), disk: text(disk), stopping }
}

impl Readiness {
    /// Whether all parts are well.
    pub fn is_ready(&self) -> bool {
        self.ready
    }
}

/// For probes that have to know before the server is gone.
pub fn refuse_when_stopping(app: &App) -> Result<(), Problem> {
    if app.shutdown().is_cancelled() {
        return Err(Problem::new(Slug::NotReady, "the server is shutting down").closing());
    }
    Ok(())
}

/// Figures for Prometheus
///
/// Request and prediction latencies, queue length, trainings, uploads, connections.
#[utoipa::path(get, path = "/metrics", tag = "operations",
    responses((status = 200, body = String, content_type = "text/plain")))]
pub async fn show_metrics(State(app): State<App>) -> Response {
    let text = app.metrics().render();
    ([(header::CONTENT_TYPE, HeaderValue::from_static("text/plain; version=0.0.4; charset=utf-8"))], text)
        .into_response()
}

/// The version of the program.
#[derive(Debug, Serialize, ToSchema)]
pub struct Version {
    /// Always `taqicfd`.
    #[schema(example = "taqicfd")]
    name: &'static str,
    /// Semantic version.
    #[schema(example = "0.1.0")]
    version: &'static str,
    /// What computes the networks.
    #[schema(example = "flex")]
    backend: String,
    /// `sqlite` or `postgres`.
    #[schema(example = "sqlite")]
    database: &'static str,
}

/// The version of the program
///
/// JSON, or the version alone for those who accept `text/plain` only, as `MLflow`'s servers answer.
#[utoipa::path(get, path = "/version", tag = "operations",
    responses((status = 200, content((Version = "application/json"), (String = "text/plain", example = "0.1.0")))))]
pub async fn show_version(State(app): State<App>, headers: HeaderMap) -> Result<Response, Problem> {
    const PLAIN: HeaderValue = HeaderValue::from_static("text/plain; charset=utf-8");
    if accepts(&headers, "application/json") {
        let version = Version {
            name: env!("CARGO_PKG_NAME"),
            version: env!("CARGO_PKG_VERSION"),
            backend: format!("{:?}", app.settings().training.backend).to_lowercase(),
            database: app.db().map_or("opening", crate::storage::Db::engine),
        };
        return Ok(Json(version).into_response());
    }
    if accepts(&headers, "text/plain") {
        return Ok(([(header::CONTENT_TYPE, PLAIN)], env!("CARGO_PKG_VERSION")).into_response());
    }
    Err(Problem::new(Slug::NotAcceptable, "this route answers with application/json or text/plain"))
}
