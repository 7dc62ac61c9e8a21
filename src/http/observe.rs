//! What happens around every request: its identity, its limits, its log line, its metrics; and
//! every refusal, whoever made it, becomes a problem document.

use super::{
    error::{Problem, Slug},
    extract::accepts,
    hosts, language,
    predict::file::is_file,
    protocols::Dialect,
};
use crate::{app::App, telemetry};
use axum::{
    extract::{MatchedPath, Request, State},
    http::{HeaderMap, HeaderName, HeaderValue, Method, StatusCode, header},
    middleware::Next,
    response::Response,
};
use futures::FutureExt;
use std::{
    panic::AssertUnwindSafe,
    time::{Duration, Instant},
};

/// Carries the identity of a request, both ways.
pub const REQUEST_ID: HeaderName = HeaderName::from_static("x-request-id");

const MAX_HEADER_COUNT: usize = 100;
const MAX_URI_BYTES: usize = 8192;

/// The identity of a request, as handlers get it.
#[derive(Debug, Clone)]
pub struct RequestId(HeaderValue);

impl RequestId {
    /// As in the header.
    pub fn as_str(&self) -> &str {
        self.0.to_str().unwrap_or_default()
    }
}

/// The routes by which others see how the server is: they answer under any load.
const PROBES: [&str; 8] = [
    "/healthz",
    "/readyz",
    "/metrics",
    "/version",
    "/ping",
    "/health",
    "/v2/health/live",
    "/v2/health/ready",
];

/// How a route is treated.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Treatment {
    /// Answered under any load, and while starting and stopping.
    Health,
    /// Bounded by the time limit for handlers.
    Ordinary,
    /// May be asked to wait for a job.
    Waiting,
    /// Has limits of its own: on the rate of the body and on the time of reading it.
    Upload,
}

fn treatment(path: Option<&str>, headers: &HeaderMap) -> Treatment {
    match path {
        Some("/predict") if is_file(headers) => Treatment::Upload,
        Some(path) if PROBES.contains(&path) => Treatment::Health,
        Some(
            "/train" | "/trainings/{training_id}" | "/predictions/{prediction_id}" | "/readings/{reading_id}",
        ) => Treatment::Waiting,
        Some("/upload" | "/datasets/{dataset_id}/reread" | "/models/import") => Treatment::Upload,
        _ => Treatment::Ordinary,
    }
}

/// The outermost layer.
pub async fn observe(State(app): State<App>, mut request: Request, next: Next) -> Response {
    let begin = Instant::now();
    let language = language::wanted(request.headers());
    let request_id = request_id(request.headers());
    request.extensions_mut().insert(RequestId(request_id.clone()));
    let method = request.method().clone();
    let path = request.extensions().get::<MatchedPath>().cloned();
    let treatment = treatment(path.as_ref().map(MatchedPath::as_str), request.headers());
    let dialect = Dialect::of(request.uri().path());
    let _active = app.request_begins(treatment != Treatment::Health);

    let mut response = match refuse_early(&app, &request, treatment) {
        Err(problem) => axum::response::IntoResponse::into_response(problem),
        Ok(_permit) => run(&app, request, next, treatment).await,
    };

    response = finish(response, &request_id, dialect);
    if !describes_routes(path.as_ref().map(MatchedPath::as_str)) {
        response = language::answer_in(language, response).await;
    }
    if app.shutdown().is_cancelled() {
        response.headers_mut().insert(header::CONNECTION, HeaderValue::from_static("close"));
    }
    record(
        &method,
        path.as_ref().map_or("none", MatchedPath::as_str),
        response.status(),
        begin,
        &request_id,
        treatment,
    );
    response
}

/// All routes but pages, files, figures and the event stream, which look at `Accept` themselves.
fn answers_json(path: Option<&str>) -> bool {
    path.is_some_and(|path| {
        let other = path.ends_with("/file") || path.ends_with("_id}/events");
        !other
            && !["/", "/metrics", "/version", "/predict", "/ping", "/health", "/model/{model_id}"]
                .contains(&path)
            && !path.starts_with("/docs")
            && !path.starts_with("/problems")
    })
}

/// The descriptions for programs, which are in English.
fn describes_routes(path: Option<&str>) -> bool {
    let last = path.and_then(|path| path.rsplit('/').next());
    matches!(last, Some("openapi.json" | "dataplane.json"))
}

fn refuse_early<'a>(
    app: &'a App,
    request: &Request,
    treatment: Treatment,
) -> Result<Option<tokio::sync::SemaphorePermit<'a>>, Problem> {
    let header_bytes: usize =
        request.headers().iter().map(|(name, value)| name.as_str().len() + value.len() + 4).sum();
    let max_headers = app.settings().server.max_headers;
    if header_bytes > max_headers.as_usize() || request.headers().len() > MAX_HEADER_COUNT {
        let detail = format!("the headers may have {max_headers} and {MAX_HEADER_COUNT} lines");
        return Err(Problem::new(Slug::HeadersTooLarge, detail).closing());
    }
    if request.uri().path_and_query().is_some_and(|path| path.as_str().len() > MAX_URI_BYTES) {
        return Err(
            Problem::new(Slug::UriTooLong, format!("an address may have {MAX_URI_BYTES} bytes")).closing()
        );
    }
    let path = request.extensions().get::<MatchedPath>().map(MatchedPath::as_str);
    // Tensors may be wanted as bytes.
    let is_inference = path.is_some_and(|path| path.ends_with("/infer"));
    if answers_json(path)
        && !accepts(request.headers(), "application/json")
        && !(is_inference && accepts(request.headers(), "application/octet-stream"))
    {
        return Err(Problem::new(Slug::NotAcceptable, "this route answers with application/json"));
    }
    if treatment == Treatment::Health {
        return Ok(None);
    }
    let server = &app.settings().server;
    hosts::check(server.bind.ip(), &server.allowed_hosts, request.uri(), request.headers())?;
    if app.shutdown().is_cancelled() {
        return Err(Problem::new(Slug::NotReady, "the server is shutting down").closing());
    }
    match app.request_permits().try_acquire() {
        Ok(permit) => Ok(Some(permit)),
        Err(_) => Err(Problem::new(
            Slug::Overloaded,
            format!("{} requests are being worked on already", app.settings().server.max_requests),
        )),
    }
}

async fn run(app: &App, request: Request, next: Next, treatment: Treatment) -> Response {
    let server = &app.settings().server;
    let limit = match treatment {
        Treatment::Health | Treatment::Ordinary => server.handler_timeout_s.duration(),
        Treatment::Waiting => server.handler_timeout_s.duration() + server.max_wait_s.duration(),
        Treatment::Upload => Duration::MAX,
    };
    let handling = AssertUnwindSafe(next.run(request)).catch_unwind();
    match tokio::time::timeout(limit, handling).await {
        Ok(Ok(response)) => response,
        Ok(Err(_panic)) => {
            let problem = Problem::internal("a handler panicked");
            axum::response::IntoResponse::into_response(problem.closing())
        }
        Err(_elapsed) => {
            let detail = format!("the request was stopped after {} s", limit.as_secs_f64());
            axum::response::IntoResponse::into_response(Problem::new(Slug::Timeout, detail).closing())
        }
    }
}

/// Writes the problem, if it is one, in the words of the route's protocol, and the headers that every answer has.
fn finish(mut response: Response, request_id: &HeaderValue, dialect: Option<Dialect>) -> Response {
    let write = |problem: Problem| match dialect {
        Some(dialect) => dialect.refusal(problem),
        None => problem.into_response_for(request_id.to_str().ok()),
    };
    if let Some(problem) = response.extensions_mut().remove::<Box<Problem>>() {
        response = write(*problem);
    } else if response.status().is_client_error() || response.status().is_server_error() {
        if !response.headers().contains_key(header::CONTENT_TYPE) || is_plain_text(response.headers()) {
            response = generic(&response, write);
        }
    }
    let headers = response.headers_mut();
    headers.insert(REQUEST_ID, request_id.clone());
    headers.insert(header::X_CONTENT_TYPE_OPTIONS, HeaderValue::from_static("nosniff"));
    response
}

fn is_plain_text(headers: &HeaderMap) -> bool {
    headers.get(header::CONTENT_TYPE).is_some_and(|value| value.as_bytes().starts_with(b"text/plain"))
}

/// What axum itself refuses: unknown methods, mostly.
fn generic(response: &Response, write: impl FnOnce(Problem) -> Response) -> Response {
    let allow = response.headers().get(header::ALLOW).cloned();
    let problem = match response.status() {
        StatusCode::METHOD_NOT_ALLOWED => Problem::new(
            Slug::MethodNotAllowed,
            "this address does not know the method; the Allow header lists those it knows",
        ),
        StatusCode::NOT_FOUND => {
            Problem::new(Slug::NotFound, "no route has this address; see / for the routes")
        }
        StatusCode::PAYLOAD_TOO_LARGE => Problem::new(Slug::BodyTooLarge, "the body is too large").closing(),
        StatusCode::UNSUPPORTED_MEDIA_TYPE => {
            Problem::new(Slug::UnsupportedMediaType, "the route does not read this content type")
        }
        status if status.is_client_error() => Problem::new(Slug::BadRequest, "the request cannot be read"),
        status => Problem::internal(format!("answer {status} without an explanation")),
    };
    let mut response = write(problem);
    if let Some(allow) = allow {
        response.headers_mut().insert(header::ALLOW, allow);
    }
    response
}

/// The client's own id, if it is harmless in a log, else a new one.
fn request_id(headers: &HeaderMap) -> HeaderValue {
    let sane = |value: &&HeaderValue| {
        (1..=64).contains(&value.len())
            && value.as_bytes().iter().all(|byte| byte.is_ascii_alphanumeric() || b"-_.".contains(byte))
    };
    headers.get(REQUEST_ID).filter(sane).cloned().unwrap_or_else(|| {
        let mut buffer = [0; uuid::fmt::Hyphenated::LENGTH];
        let text = uuid::Uuid::now_v7().hyphenated().encode_lower(&mut buffer);
        HeaderValue::from_str(text).expect("an identifier is ASCII")
    })
}

fn record(
    method: &Method,
    route: &str,
    status: StatusCode,
    begin: Instant,
    request_id: &HeaderValue,
    treatment: Treatment,
) {
    let elapsed = begin.elapsed();
    let method: &'static str = match *method {
        Method::GET => "GET",
        Method::POST => "POST",
        Method::PUT => "PUT",
        Method::PATCH => "PATCH",
        Method::DELETE => "DELETE",
        Method::HEAD => "HEAD",
        _ => "other",
    };
    metrics::histogram!(
        telemetry::REQUEST_SECONDS,
        "method" => method,
        "route" => route.to_owned(),
        "status" => status.as_str().to_owned(),
    )
    .record(elapsed.as_secs_f64());
    let request_id = request_id.to_str().unwrap_or_default();
    let elapsed_ms = elapsed.as_secs_f64() * 1000.0;
    let status = status.as_u16();
    // Probes come every few seconds and say nothing while they succeed.
    if treatment == Treatment::Health && status < 400 {
        tracing::debug!(method, route, status, elapsed_ms, request_id, "request");
    } else {
        tracing::info!(method, route, status, elapsed_ms, request_id, "request");
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_harmless_request_ids_are_kept() {
        let check = |given: &str, kept: bool| {
            let headers = HeaderMap::from_iter([(REQUEST_ID, HeaderValue::from_str(given).unwrap())]);
            assert_eq!(request_id(&headers) == given, kept, "{given}");
        };
        check("job-17_a.b", true);
        check("has space", false);
        check("{\"a\":1}", false);
        check(&"x".repeat(65), false);
        assert_eq!(request_id(&HeaderMap::new()).len(), 36);
    }
}
