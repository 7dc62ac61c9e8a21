//! Handlers return a [`Problem`]; it becomes an `application/problem+json` document (RFC 9457).
//!
//! What can go wrong is in one table ([`Slug`]). The same table makes the pages under `/problems/` and the error answers
//! of the OpenAPI document.

mod table;

pub use table::{Kind, Slug};

use axum::{
    body::Body,
    http::{HeaderMap, HeaderName, HeaderValue, StatusCode, header},
    response::{IntoResponse, Response},
};
use serde::Serialize;
use std::borrow::Cow;

/// One thing that is wrong, and where.
#[derive(Debug, Clone, Default, Serialize, utoipa::ToSchema)]
pub struct ErrorItem {
    /// JSON pointer into the body.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub pointer: Option<String>,
    /// Column of the table.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub column: Option<String>,
    /// 1-based line of the file.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub line: Option<u64>,
    /// Sheet of the workbook.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub sheet: Option<String>,
    /// The value as it was sent.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub value: Option<serde_json::Value>,
    /// What is wrong with it, and what would be right.
    pub message: String,
}

/// An answer that says what went wrong, where, and how to mend it.
#[derive(Debug, Clone)]
pub struct Problem {
    slug: Slug,
    detail: Cow<'static, str>,
    errors: Vec<ErrorItem>,
    headers: HeaderMap,
}

/// Result of a handler.
pub type Result<T, E = Problem> = std::result::Result<T, E>;

impl Problem {
    /// A problem of this kind; `detail` says what is wrong here.
    pub fn new(slug: Slug, detail: impl Into<Cow<'static, str>>) -> Self {
        let mut problem = Self { slug, detail: detail.into(), errors: Vec::new(), headers: HeaderMap::new() };
        if matches!(slug.kind().status, 429 | 503) || slug == Slug::IdempotencyKeyInUse {
            problem.headers.insert(header::RETRY_AFTER, HeaderValue::from_static("1"));
        }
        problem
    }

    /// A fault of the program: the cause goes to the log, the client gets the request id.
    pub fn internal(cause: impl std::fmt::Display) -> Self {
        tracing::error!(%cause, "internal error");
        Self::new(Slug::Internal, "the server failed to answer; its log has the cause under this request_id")
    }

    /// One field of the request is wrong.
    pub fn invalid(pointer: &str, message: impl Into<String>) -> Self {
        let message = message.into();
        let place = pointer.trim_start_matches('/').to_owned();
        Self::new(Slug::InvalidParameter, format!("`{place}`: {message}")).with_errors(vec![ErrorItem {
            pointer: Some(pointer.to_owned()),
            message,
            ..ErrorItem::default()
        }])
    }

    /// Adds the single things that are wrong.
    #[must_use]
    pub fn with_errors(mut self, errors: Vec<ErrorItem>) -> Self {
        self.errors = errors;
        self
    }

    /// Adds a header to the answer.
    #[must_use]
    pub fn with_header(mut self, name: HeaderName, value: HeaderValue) -> Self {
        self.headers.insert(name, value);
        self
    }

    /// For a file that the store no longer has, although its record is there: nobody should try again.
    pub fn file_missing(detail: &'static str) -> Self {
        tracing::error!(detail, "a stored file is gone");
        Self::new(Slug::FileMissing, detail)
    }

    /// Closes the connection after the answer: the rest of the body is not going to be read.
    #[must_use]
    pub fn closing(self) -> Self {
        self.with_header(header::CONNECTION, HeaderValue::from_static("close"))
    }

    /// What kind of problem it is.
    pub fn slug(&self) -> Slug {
        self.slug
    }

    /// What is wrong here, and how to mend it.
    pub fn detail(&self) -> &str {
        &self.detail
    }
}

impl std::fmt::Display for Problem {
    /// The detail, then one line per thing that is wrong; for the command line.
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(&self.detail)?;
        for error in &self.errors {
            write!(f, "\n  {} {}", error.pointer.as_deref().unwrap_or_default(), error.message)?;
        }
        Ok(())
    }
}

/// The document. `request_id` is put in by the outermost layer, which knows it.
#[derive(Debug, Serialize)]
struct Document<'a> {
    r#type: String,
    title: &'a str,
    status: u16,
    detail: &'a str,
    #[serde(skip_serializing_if = "Option::is_none")]
    request_id: Option<&'a str>,
    #[serde(skip_serializing_if = "<[_]>::is_empty")]
    errors: &'a [ErrorItem],
}

impl Problem {
    fn parts<'a>(&'a self, request_id: Option<&'a str>) -> Document<'a> {
        let kind = self.slug.kind();
        Document {
            r#type: format!("/problems/{}", kind.slug),
            title: kind.title,
            status: kind.status,
            detail: &self.detail,
            request_id,
            errors: &self.errors,
        }
    }

    /// The document, to be kept for a client that does not wait for it.
    pub fn document(&self, request_id: Option<&str>) -> serde_json::Value {
        serde_json::to_value(self.parts(request_id)).expect("text and numbers always serialise")
    }

    /// The answer, with the id of the request it answers.
    pub fn into_response_for(self, request_id: Option<&str>) -> Response {
        let body = serde_json::to_vec(&self.parts(request_id)).expect("text and numbers always serialise");
        let status = self.slug.status();
        self.respond(status, "application/problem+json", body)
    }

    /// The answer as `document`, in the words of another protocol; the headers stay.
    pub fn into_json_response(self, status: StatusCode, document: &serde_json::Value) -> Response {
        self.respond(status, "application/json", document.to_string().into_bytes())
    }

    fn respond(self, status: StatusCode, media_type: &'static str, body: Vec<u8>) -> Response {
        let mut response = Response::new(Body::from(body));
        *response.status_mut() = status;
        *response.headers_mut() = self.headers;
        response.headers_mut().insert(header::CONTENT_TYPE, HeaderValue::from_static(media_type));
        response
    }
}

impl IntoResponse for Problem {
    /// Leaves the problem itself in the answer, so that the outermost layer can write it again
    /// with the request id.
    fn into_response(self) -> Response {
        let mut response = Response::new(Body::empty());
        *response.status_mut() = self.slug.status();
        response.extensions_mut().insert(Box::new(self));
        response
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::collections::HashSet;

    #[test]
    fn the_table_is_sound() {
        let mut seen = HashSet::new();
        for slug in Slug::ALL {
            let kind = slug.kind();
            assert!(seen.insert(kind.slug), "{} is there twice", kind.slug);
            assert!((400..600).contains(&kind.status), "{}", kind.slug);
            assert!(kind.slug.chars().all(|c| c.is_ascii_lowercase() || c == '-'), "{}", kind.slug);
            assert!(kind.meaning.ends_with('.') && !kind.mend.is_empty(), "{}", kind.slug);
            assert_eq!(Slug::find(kind.slug), Some(*slug));
        }
    }

    #[test]
    fn refusals_for_lack_of_room_say_when_to_come_back() {
        for slug in Slug::ALL.iter().filter(|slug| matches!(slug.kind().status, 429 | 503)) {
            let response = Problem::new(*slug, "x").into_response_for(None);
            assert!(response.headers().contains_key(header::RETRY_AFTER), "{slug:?}");
        }
    }
}
