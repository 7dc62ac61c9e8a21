//! Answers in the language that the reader accepts.
//!
//! Handlers know nothing of it: they answer in English, and the outermost layer translates what is
//! written, so that stored texts reach every reader in their own language.

use super::{error::Problem, messages};
use crate::language::Language;
use axum::{
    body::Body,
    http::{HeaderMap, HeaderValue, header},
    response::Response,
};
use bytes::Bytes;
use futures::TryStreamExt;
use std::borrow::Cow;

/// Translating so many bytes takes longer than a task may keep the runtime.
const LARGE_BYTES: usize = 64 << 10;

/// The language that a request asks for.
pub fn wanted(headers: &HeaderMap) -> Language {
    let values = headers.get_all(header::ACCEPT_LANGUAGE).iter();
    Language::accepted(values.filter_map(|value| value.to_str().ok()))
}

/// Says in the headers which language the answer is in, and that it depends on the request.
pub fn declare(headers: &mut HeaderMap, language: Language) {
    headers.insert(header::CONTENT_LANGUAGE, HeaderValue::from_static(language.tag()));
    headers.append(header::VARY, HeaderValue::from_static("accept-language"));
}

/// The answer in `language`. Only bodies that hold messages are touched, and for readers of English
/// none is.
pub async fn answer_in(language: Language, mut response: Response) -> Response {
    let Some(kind) = Kind::of(response.headers()) else { return response };
    declare(response.headers_mut(), language);
    if language == Language::English {
        return response;
    }
    let (mut parts, body) = response.into_parts();
    // It is counted anew; of a HEAD request, the length is not known without the body.
    parts.headers.remove(header::CONTENT_LENGTH);
    let body = match kind {
        Kind::Events => {
            let pieces = body.into_data_stream();
            Body::from_stream(pieces.map_ok(move |piece| messages::translated_events(&piece, language)))
        }
        Kind::Json => match axum::body::to_bytes(body, usize::MAX).await {
            Ok(json) => Body::from(translate(json, language).await),
            // The body is in memory already: there is nothing that could fail.
            Err(error) => return Problem::internal(error).into_response_for(None),
        },
    };
    Response::from_parts(parts, body)
}

/// Bodies that hold messages.
#[derive(Debug, Clone, Copy)]
enum Kind {
    Json,
    Events,
}

impl Kind {
    fn of(headers: &HeaderMap) -> Option<Self> {
        let essence = headers.get(header::CONTENT_TYPE)?.to_str().ok()?.split(';').next()?.trim();
        match essence {
            "application/json" | "application/problem+json" => Some(Self::Json),
            "text/event-stream" => Some(Self::Events),
            _ => None,
        }
    }
}

async fn translate(json: Bytes, language: Language) -> Bytes {
    if json.len() < LARGE_BYTES {
        return translate_now(json, language);
    }
    let english = json.clone();
    let work = tokio::task::spawn_blocking(move || translate_now(json, language));
    // The work does not panic; if the runtime is ending, English is better than nothing.
    work.await.unwrap_or(english)
}

fn translate_now(json: Bytes, language: Language) -> Bytes {
    match messages::translated(&json, language) {
        Cow::Borrowed(_) => json,
        Cow::Owned(translation) => translation.into(),
    }
}
