//! What handlers take and give: like axum's own, but every refusal is a problem document.

use super::{
    body,
    error::{Problem, Slug},
    json,
};
use crate::app::App;
use axum::{
    extract::{FromRequest, FromRequestParts, Request},
    http::{HeaderMap, HeaderValue, StatusCode, Uri, header, request::Parts},
    response::{IntoResponse, Response},
};
use bytes::Bytes;
use serde::{Serialize, de::DeserializeOwned};

/// A JSON answer, or a JSON body that was asked for.
#[derive(Debug, Clone, Copy)]
pub struct Json<T>(pub T);

impl<T: Serialize> IntoResponse for Json<T> {
    fn into_response(self) -> Response {
        match serde_json::to_vec(&self.0) {
            Ok(bytes) => {
                let json = HeaderValue::from_static("application/json");
                ([(header::CONTENT_TYPE, json)], bytes).into_response()
            }
            Err(error) => Problem::internal(error).into_response(),
        }
    }
}

/// The bytes of a JSON body, within the limit, of the right type, not read yet.
#[derive(Debug)]
pub struct JsonBytes(pub Bytes);

impl FromRequest<App> for JsonBytes {
    type Rejection = Problem;

    async fn from_request(request: Request, app: &App) -> Result<Self, Problem> {
        require_json(request.headers())?;
        let limits = &app.settings().server;
        let bytes = body::read(request, limits, limits.max_json, "TAQICFD_MAX_JSON").await?;
        Ok(Self(bytes))
    }
}

impl<T: DeserializeOwned> FromRequest<App> for Json<T> {
    type Rejection = Problem;

    async fn from_request(request: Request, app: &App) -> Result<Self, Problem> {
        let JsonBytes(bytes) = JsonBytes::from_request(request, app).await?;
        // Serde would take an array for a structure, field by field.
        if bytes.trim_ascii_start().first() == Some(&b'[') {
            return Err(Problem::new(Slug::InvalidParameter, "the body is an array; send a JSON object"));
        }
        json::from_slice(&bytes).map(Self)
    }
}

/// A whole number that is not below 0, for query parameters.
pub fn not_negative<'de, D: serde::Deserializer<'de>>(deserializer: D) -> Result<i64, D::Error> {
    let value = serde::Deserialize::deserialize(deserializer)?;
    if value < 0 {
        return Err(serde::de::Error::custom(format!("{value} is below 0")));
    }
    Ok(value)
}

fn require_json(headers: &HeaderMap) -> Result<(), Problem> {
    let Some(value) = headers.get(header::CONTENT_TYPE) else {
        let empty = headers.get(header::CONTENT_LENGTH).is_some_and(|length| length == "0")
            || (!headers.contains_key(header::CONTENT_LENGTH)
                && !headers.contains_key(header::TRANSFER_ENCODING));
        return Err(if empty {
            Problem::new(Slug::MissingBody, "there is no body; send a JSON document")
        } else {
            Problem::new(Slug::UnsupportedMediaType, "say what the body is: Content-Type: application/json")
                .closing()
        });
    };
    let essence = value.to_str().unwrap_or_default().split(';').next().unwrap_or_default().trim();
    let subtype = essence.to_ascii_lowercase();
    if subtype == "application/json" || (subtype.starts_with("application/") && subtype.ends_with("+json")) {
        return Ok(());
    }
    Err(Problem::new(
        Slug::UnsupportedMediaType,
        format!("the body is {}; this route reads application/json", super::printable(essence)),
    )
    .closing())
}

/// The parts of the address that the route names.
#[derive(Debug)]
pub struct Path<T>(pub T);

impl<T: DeserializeOwned + Send, S: Send + Sync> FromRequestParts<S> for Path<T> {
    type Rejection = Problem;

    async fn from_request_parts(parts: &mut Parts, state: &S) -> Result<Self, Problem> {
        #[expect(clippy::disallowed_types, reason = "this is the replacement")]
        match axum::extract::Path::<T>::from_request_parts(parts, state).await {
            Ok(axum::extract::Path(value)) => Ok(Self(value)),
            Err(rejection) => Err(Problem::new(Slug::BadRequest, rejection.body_text())),
        }
    }
}

/// The part behind the question mark.
#[derive(Debug)]
pub struct Query<T>(pub T);

impl<T: DeserializeOwned, S: Send + Sync> FromRequestParts<S> for Query<T> {
    type Rejection = Problem;

    async fn from_request_parts(parts: &mut Parts, _: &S) -> Result<Self, Problem> {
        #[expect(clippy::disallowed_types, reason = "this is the replacement")]
        match axum::extract::Query::<T>::try_from_uri(&parts.uri) {
            Ok(axum::extract::Query(value)) => Ok(Self(value)),
            Err(rejection) => {
                let text = rejection.body_text();
                let text = text.trim_start_matches("Failed to deserialize query string: ").to_owned();
                Err(Problem::new(Slug::InvalidParameter, format!("query: {text}")))
            }
        }
    }
}

/// The part behind the question mark, pair by pair, for names that may come several times.
#[derive(Debug)]
pub struct Pairs(pub Vec<(String, String)>);

impl Pairs {
    /// The pairs of this address.
    pub fn from_uri(uri: &Uri) -> Result<Self, Problem> {
        #[expect(clippy::disallowed_types, reason = "this is the replacement")]
        match axum::extract::Query::try_from_uri(uri) {
            Ok(axum::extract::Query(pairs)) => Ok(Self(pairs)),
            Err(rejection) => Err(Problem::new(Slug::InvalidParameter, rejection.body_text())),
        }
    }
}

/// An identifier from the address; one that is not well formed names nothing.
pub fn parse_id<T: std::str::FromStr>(text: &str, slug: Slug) -> Result<T, Problem> {
    text.parse().map_err(|_| {
        Problem::new(slug, format!("`{}` is not an identifier such as 0191e0c4-...", super::printable(text)))
    })
}

/// Refuses a request that does not accept what the route has.
pub fn require_accept(headers: &HeaderMap, offered: &'static str) -> Result<(), Problem> {
    if accepts(headers, offered) {
        return Ok(());
    }
    Err(Problem::new(Slug::NotAcceptable, format!("this route answers with {offered}")))
}

/// Whether `Accept` allows the media type `offered`.
pub fn accepts(headers: &HeaderMap, offered: &str) -> bool {
    weight(headers, offered) > 0.0
}

/// Which of the media types `Accept` likes best; of equal ones the first. `None` if it excludes them all.
pub fn preferred(headers: &HeaderMap, offered: &[&str]) -> Option<usize> {
    let weights = offered.iter().map(|offered| weight(headers, offered));
    let best = weights.enumerate().rev().max_by(|a, b| a.1.total_cmp(&b.1));
    best.filter(|(_, weight)| *weight > 0.0).map(|(index, _)| index)
}

/// How much `Accept` likes a media type, from 0 to 1: the weight of the range that fits it best.
fn weight(headers: &HeaderMap, offered: &str) -> f32 {
    let mut ranges = headers
        .get_all(header::ACCEPT)
        .iter()
        .filter_map(|value| value.to_str().ok())
        .flat_map(|value| value.split(','))
        .peekable();
    if ranges.peek().is_none() {
        return 1.0;
    }
    let family = offered.split('/').next().unwrap_or_default();
    let mut best = (0, 0.0_f32);
    for range in ranges {
        let mut parts = range.split(';').map(str::trim);
        let name = parts.next().unwrap_or_default().to_ascii_lowercase();
        let fit = match name.strip_suffix("/*") {
            Some("*") => 1,
            Some(own) if own == family => 2,
            None if name == offered => 3,
            _ => continue,
        };
        let q = parts.find_map(|parameter| parameter.strip_prefix("q=")?.parse().ok()).unwrap_or(1.0);
        if fit > best.0 || fit == best.0 && q > best.1 {
            best = (fit, q);
        }
    }
    best.1
}

/// What `Prefer` asks for (RFC 7240).
pub fn preferences(headers: &HeaderMap) -> impl Iterator<Item = &str> {
    headers
        .get_all("prefer")
        .iter()
        .filter_map(|value| value.to_str().ok())
        .flat_map(|value| value.split([',', ';']))
        .map(str::trim)
}

/// The seconds of `Prefer: wait=N`.
pub fn prefer_wait(headers: &HeaderMap) -> Option<u64> {
    preferences(headers).find_map(|preference| preference.strip_prefix("wait=")?.trim().parse().ok())
}

/// An answer with a status and a few headers.
pub fn with_status(status: StatusCode, location: &str, body: impl Serialize) -> Response {
    let mut response = Json(body).into_response();
    *response.status_mut() = status;
    if let Ok(location) = HeaderValue::from_str(location) {
        response.headers_mut().insert(header::LOCATION, location);
    }
    response
}

#[cfg(test)]
mod tests {
    use super::*;

    fn headers(name: header::HeaderName, value: &str) -> HeaderMap {
        HeaderMap::from_iter([(name, HeaderValue::from_str(value).unwrap())])
    }

    #[test]
    fn accept_is_weighed() {
        let check = |accept: &str, expected: bool| {
            assert_eq!(accepts(&headers(header::ACCEPT, accept), "application/json"), expected, "{accept}");
        };
        check("application/json", true);
        check("text/html, */*;q=0.1", true);
        check("application/*", true);
        check("text/csv", false);
        check("application/json;q=0", false);
        check("application/json;q=0, */*", false);
        check("*/*;q=0, application/json", true);
        assert!(accepts(&HeaderMap::new(), "application/json"));
    }

    #[test]
    fn the_media_type_that_is_liked_best_is_given() {
        let offered = ["application/json", "text/markdown", "text/html"];
        let check = |accept: &str, expected: Option<usize>| {
            assert_eq!(preferred(&headers(header::ACCEPT, accept), &offered), expected, "{accept}");
        };
        check("*/*", Some(0));
        check("text/html,application/xhtml+xml,application/xml;q=0.9,*/*;q=0.8", Some(2));
        check("text/*", Some(1));
        check("text/*;q=0.5, text/markdown;q=0.1", Some(2));
        check("text/html;q=0.2, application/json;q=0.3", Some(0));
        check("*/*, application/json;q=0", Some(1));
        check("image/png", None);
        assert_eq!(preferred(&HeaderMap::new(), &offered), Some(0));
    }

    #[test]
    fn prefer_names_the_seconds() {
        let prefer = header::HeaderName::from_static("prefer");
        assert_eq!(prefer_wait(&headers(prefer.clone(), "respond-async, wait=60")), Some(60));
        assert_eq!(prefer_wait(&headers(prefer, "respond-async")), None);
    }
}
