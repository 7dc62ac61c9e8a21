//! Sending a file, stored or made for the request: validators, ranges, digests, a file name (RFC 9110, 6266, 9530).

use super::{
    base64,
    error::{Problem, Slug},
};
use crate::{
    hash::from_hex,
    storage::{BlobKey, Blobs},
};
use axum::{
    body::Body,
    http::{HeaderMap, HeaderValue, Method, StatusCode, header},
    response::Response,
};
use bytes::Bytes;
use std::{fmt::Write, ops::Range};

/// A file to be sent.
#[derive(Debug)]
pub struct Download<'a> {
    /// Where its bytes are.
    pub source: Source,
    /// Its length.
    pub size_bytes: u64,
    /// The strong validator, without quotes.
    pub etag: &'a str,
    /// SHA-256 in hexadecimal.
    pub sha256: &'a str,
    /// The name that the client is to save it under.
    pub filename: &'a str,
    /// Its media type.
    pub media_type: &'static str,
    /// Whether a browser may show it instead of saving it.
    pub is_shown: bool,
}

/// Where the bytes of a file are.
#[derive(Debug)]
pub enum Source {
    /// In the store.
    Blob(BlobKey),
    /// Here.
    Bytes(Bytes),
}

/// What the validators and ranges of a request come down to.
#[derive(Debug, PartialEq, Eq)]
enum Wanted {
    NotModified,
    Whole,
    Part(Range<u64>),
    OutOfRange,
}

/// The answer; `Ok(None)` if the file is not there.
pub async fn send(
    blobs: &Blobs,
    method: &Method,
    headers: &HeaderMap,
    file: &Download<'_>,
) -> Result<Option<Response>, Problem> {
    let etag = quoted(file.etag);
    let wanted = wanted(headers, &etag, file.size_bytes);
    let (status, range) = match &wanted {
        Wanted::NotModified => return Ok(Some(unchanged(&etag))),
        Wanted::Whole => (StatusCode::OK, None),
        Wanted::Part(range) => (StatusCode::PARTIAL_CONTENT, Some(range.clone())),
        Wanted::OutOfRange => {
            let total = header_value(&format!("bytes */{}", file.size_bytes));
            return Err(Problem::new(
                Slug::RangeNotSatisfiable,
                format!("the file has {} bytes", file.size_bytes),
            )
            .with_header(header::CONTENT_RANGE, total));
        }
    };
    let length = range.as_ref().map_or(file.size_bytes, |range| range.end - range.start);
    let Some(body) = body(blobs, method, file, range.clone()).await? else { return Ok(None) };
    let mut response = Response::new(body);
    *response.status_mut() = status;
    let answer = response.headers_mut();
    validate(answer, &etag);
    answer.insert(header::CONTENT_TYPE, HeaderValue::from_static(file.media_type));
    answer.insert(header::CONTENT_LENGTH, HeaderValue::from(length));
    answer.insert(header::CONTENT_DISPOSITION, header_value(&disposition(file.filename, file.is_shown)));
    let digest =
        header_value(&format!("sha-256=:{}:", base64::encode(&from_hex(file.sha256).unwrap_or_default())));
    answer.insert(header::HeaderName::from_static("repr-digest"), digest.clone());
    match range {
        // The digest of the content is known only where the content is the whole file.
        None => answer.insert(header::HeaderName::from_static("content-digest"), digest),
        Some(Range { start, end }) => {
            let text = format!("bytes {start}-{}/{}", end - 1, file.size_bytes);
            answer.insert(header::CONTENT_RANGE, header_value(&text))
        }
    };
    Ok(Some(response))
}

/// The answer to a client that has the file with this validator already, known before the file is made.
pub fn not_modified(headers: &HeaderMap, etag: &str) -> Option<Response> {
    let etag = quoted(etag);
    (wanted(headers, &etag, u64::MAX) == Wanted::NotModified).then(|| unchanged(&etag))
}

fn unchanged(etag: &str) -> Response {
    let mut response = Response::new(Body::empty());
    *response.status_mut() = StatusCode::NOT_MODIFIED;
    validate(response.headers_mut(), etag);
    response
}

fn validate(answer: &mut HeaderMap, etag: &str) {
    answer.insert(header::ETAG, header_value(etag));
    answer.insert(header::ACCEPT_RANGES, HeaderValue::from_static("bytes"));
    // The file of an id never changes, but it may be deleted: ask each time.
    answer.insert(header::CACHE_CONTROL, HeaderValue::from_static("private, no-cache"));
}

/// The bytes that were asked for; `Ok(None)` if the file is not there or of another length.
async fn body(
    blobs: &Blobs,
    method: &Method,
    file: &Download<'_>,
    range: Option<Range<u64>>,
) -> Result<Option<Body>, Problem> {
    let key = match &file.source {
        Source::Bytes(_) if method == Method::HEAD => return Ok(Some(Body::empty())),
        Source::Bytes(bytes) => {
            let Range { start, end } = range.unwrap_or(0..file.size_bytes);
            return Ok(Some(Body::from(bytes.slice(start as usize..end as usize))));
        }
        Source::Blob(key) => key,
    };
    if method == Method::HEAD {
        return Ok(blobs.head(key).await?.map(|_| Body::empty()));
    }
    match blobs.stream(key, range).await? {
        Some((info, stream)) if info.size_bytes == file.size_bytes => Ok(Some(Body::from_stream(stream))),
        Some(_) | None => Ok(None),
    }
}

fn quoted(etag: &str) -> String {
    format!("\"{etag}\"")
}

fn wanted(headers: &HeaderMap, etag: &str, size: u64) -> Wanted {
    let text = |name| headers.get(name).and_then(|value: &HeaderValue| value.to_str().ok());
    if let Some(known) = text(header::IF_NONE_MATCH) {
        // Weak comparison, as RFC 9110 asks for here.
        let matches = |tag: &str| tag.trim() == "*" || tag.trim().trim_start_matches("W/") == etag;
        if known.split(',').any(matches) {
            return Wanted::NotModified;
        }
    }
    let Some(range) = text(header::RANGE) else { return Wanted::Whole };
    if text(header::IF_RANGE).is_some_and(|tag| tag.trim() != etag) {
        return Wanted::Whole;
    }
    parse_range(range, size)
}

/// One range; a list of them, or another unit, is answered with the whole file, as is allowed.
fn parse_range(text: &str, size: u64) -> Wanted {
    let Some((first, last)) = text.trim().strip_prefix("bytes=").and_then(|range| range.split_once('-'))
    else {
        return Wanted::Whole;
    };
    let (first, last) = (first.trim(), last.trim());
    let range = match (first.parse::<u64>(), last.parse::<u64>()) {
        (Ok(first), Ok(last)) if first <= last => first..last.saturating_add(1).min(size),
        (Ok(first), Err(_)) if last.is_empty() => first..size,
        (Err(_), Ok(n)) if first.is_empty() => size.saturating_sub(n)..size,
        _ => return Wanted::Whole,
    };
    if range.is_empty() { Wanted::OutOfRange } else { Wanted::Part(range) }
}

/// An ASCII name for old clients, and the real one, percent-encoded (RFC 8187).
pub(super) fn disposition(filename: &str, is_shown: bool) -> String {
    let plain: String =
        filename
            .chars()
            .map(|c| {
                if c.is_ascii_graphic() && !matches!(c, '"' | '\\' | '/' | '%') || c == ' ' { c } else { '_' }
            })
            .collect();
    let mut encoded = String::new();
    for byte in filename.bytes() {
        if byte.is_ascii_alphanumeric() || b"!#$&+-.^_`|~".contains(&byte) {
            encoded.push(char::from(byte));
        } else {
            let _ = write!(encoded, "%{byte:02X}");
        }
    }
    let kind = if is_shown { "inline" } else { "attachment" };
    format!("{kind}; filename=\"{plain}\"; filename*=UTF-8''{encoded}")
}

fn header_value(text: &str) -> HeaderValue {
    HeaderValue::from_str(text).unwrap_or_else(|_| HeaderValue::from_static(""))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ranges_are_read_as_rfc_9110_says() {
        let check = |text: &str, expected: Wanted| assert_eq!(parse_range(text, 100), expected, "{text}");
        check("bytes=0-9", Wanted::Part(0..10));
        check("bytes=90-", Wanted::Part(90..100));
        check("bytes=90-1000", Wanted::Part(90..100));
        check("bytes=-10", Wanted::Part(90..100));
        check("bytes=-1000", Wanted::Part(0..100));
        check("bytes=100-", Wanted::OutOfRange);
        check("bytes=-0", Wanted::OutOfRange);
        check("bytes=9-0", Wanted::Whole);
        check("bytes=0-1,5-6", Wanted::Whole);
        check("rows=0-9", Wanted::Whole);
    }

    #[test]
    fn validators_decide_before_ranges() {
        let check = |pairs: &[(header::HeaderName, &str)], expected: Wanted| {
            let headers = pairs.iter().map(|(name, value)| (name.clone(), header_value(value))).collect();
            assert_eq!(wanted(&headers, "\"abc\"", 10), expected, "{pairs:?}");
        };
        check(&[(header::IF_NONE_MATCH, "\"x\", W/\"abc\"")], Wanted::NotModified);
        check(&[(header::IF_NONE_MATCH, "*")], Wanted::NotModified);
        check(&[(header::IF_NONE_MATCH, "\"x\"")], Wanted::Whole);
        check(&[(header::RANGE, "bytes=2-3"), (header::IF_RANGE, "\"abc\"")], Wanted::Part(2..4));
        check(&[(header::RANGE, "bytes=2-3"), (header::IF_RANGE, "\"old\"")], Wanted::Whole);
    }

    #[test]
    fn names_survive_the_header() {
        assert_eq!(
            disposition("ensaio \"ç\".csv", false),
            "attachment; filename=\"ensaio ___.csv\"; filename*=UTF-8''ensaio%20%22%C3%A7%22.csv"
        );
    }
}
