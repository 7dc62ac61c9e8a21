//! What the protocols ask: bodies, parameters and data as their clients write them.

use crate::{
    app::App,
    http::{
        body,
        error::{Problem, Slug},
        predict::{
            Options,
            request::{Data, Reader},
        },
        printable,
    },
    model::UnknownCategory,
};
use axum::{
    extract::Request,
    http::{HeaderMap, header},
};
use bytes::Bytes;
use serde::{Deserializer, de::DeserializeSeed};
use serde_json::{Map, Value};
use std::borrow::Cow;

/// The body of a request within the limit for JSON. Without a content type it is taken as JSON, and so is what
/// `curl -d` says where nobody says otherwise: the documentation of these protocols is full of such requests.
pub(super) async fn read_body(app: &App, request: Request) -> Result<(HeaderMap, Bytes), Problem> {
    let headers = request.headers().clone();
    let content_type = essence(&headers, &header::CONTENT_TYPE);
    let is_json = content_type == "application/json"
        || (content_type.starts_with("application/") && content_type.ends_with("+json"));
    if !(is_json
        || ["", "application/x-www-form-urlencoded", "application/octet-stream"].contains(&&*content_type))
    {
        let shown = printable(&content_type);
        let detail = format!("the body is {shown}; this route reads application/json");
        return Err(Problem::new(Slug::UnsupportedMediaType, detail).closing());
    }
    read_any_body(app, request).await.map(|bytes| (headers, bytes))
}

/// The body of a request within the limit for JSON, whatever it is said to be.
pub(super) async fn read_any_body(app: &App, request: Request) -> Result<Bytes, Problem> {
    let encoding = essence(request.headers(), &header::CONTENT_ENCODING);
    if !["", "identity"].contains(&&*encoding) {
        let detail = format!("the body is compressed ({}); send it plain", printable(&encoding));
        return Err(Problem::new(Slug::UnsupportedMediaType, detail).closing());
    }
    let limits = &app.settings().server;
    body::read(request, limits, limits.max_json, "TAQICFD_MAX_JSON").await
}

/// `text` with each bare `NaN` in the place of a value written as `null`.
///
/// Python's `json` module writes a missing value of a data frame so, and with it the clients of these protocols. It is
/// no JSON, and the product's own routes refuse it; here it has one meaning. `Infinity` has none, and stays refused.
pub(super) fn nan_as_null(text: &[u8]) -> Cow<'_, [u8]> {
    const NAN: &[u8] = b"NaN";
    if !text.windows(NAN.len()).any(|window| window == NAN) {
        return text.into();
    }
    let mut written = Vec::with_capacity(text.len() + 64);
    let (mut rest, mut in_text) = (text, false);
    while let Some(&byte) = rest.first() {
        let taken = match byte {
            // An escaped character, such as a quote, ends no text.
            b'\\' if in_text => 2.min(rest.len()),
            b'N' if !in_text && rest.starts_with(NAN) => {
                written.extend(b"null");
                rest = &rest[NAN.len()..];
                continue;
            }
            _ => {
                in_text ^= byte == b'"';
                1
            }
        };
        written.extend(&rest[..taken]);
        rest = &rest[taken..];
    }
    written.into()
}

/// A header up to the first `;`, in small letters; empty if it is not there.
pub(super) fn essence(headers: &HeaderMap, name: &header::HeaderName) -> String {
    let value = headers.get(name).and_then(|value| value.to_str().ok()).unwrap_or_default();
    value.split(';').next().unwrap_or_default().trim().to_ascii_lowercase()
}

/// The options in an object of parameters. Others than ours are refused where only we define them.
pub(super) fn options(parameters: &Map<String, Value>, only_ours: bool) -> Result<Options, Problem> {
    let mut options = Options::default();
    for (name, value) in parameters {
        let wrong = |expected: &str| Problem::invalid(&format!("/{name}"), format!("must be {expected}"));
        let flag = || value.as_bool().ok_or_else(|| wrong("true or false"));
        match name.as_str() {
            "confidence" | "interval" => {
                let number = value.as_f64().ok_or_else(|| wrong("a number between 0 and 1, such as 0.9"))?;
                options.confidence = Some(number);
            }
            "unknown_category" => {
                options.unknown_category = serde_json::from_value::<UnknownCategory>(value.clone())
                    .map_err(|_| wrong("\"error\", \"missing\" or \"nearest\""))?;
            }
            "strict" => options.strict = flag()?,
            "explain" => options.explain = flag()?,
            _ if only_ours => {
                let message = "is not known here; known are confidence, unknown_category, strict and explain";
                return Err(Problem::invalid(&format!("/{}", printable(name)), message));
            }
            _ => {}
        }
    }
    options.check()?;
    Ok(options)
}

/// A field of a body that holds data, read as these protocols write them.
pub(super) fn data<'de, D: Deserializer<'de>>(
    deserializer: D,
    field: &'static str,
) -> Result<Option<Data<'de>>, D::Error> {
    Reader { field, flatten: true }.deserialize(deserializer).map(Some)
}

/// The field `instances`.
pub(super) fn instances<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Option<Data<'de>>, D::Error> {
    data(deserializer, "instances")
}

/// The field `inputs`.
pub(super) fn inputs<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Option<Data<'de>>, D::Error> {
    data(deserializer, "inputs")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn nan_is_null_outside_of_texts() {
        for (text, expected) in [
            ("[NaN, 1,NaN]", "[null, 1,null]"),
            (r#"{"NaN": "a\\\"NaN", "b\\": NaN}"#, r#"{"NaN": "a\\\"NaN", "b\\": null}"#),
            ("[-NaN, Infinity]", "[-null, Infinity]"),
            (r#"["NaN\"#, r#"["NaN\"#),
        ] {
            assert_eq!(String::from_utf8_lossy(&nan_as_null(text.as_bytes())), expected);
        }
        assert!(matches!(nan_as_null(b"[1]"), Cow::Borrowed(_)));
    }

    #[test]
    fn parameters_are_checked() {
        let read = |text: &str, only_ours| options(&serde_json::from_str(text).unwrap(), only_ours);
        let read_all =
            read("{\"interval\": 0.8, \"explain\": true, \"unknown_category\": \"nearest\"}", true).unwrap();
        assert_eq!((read_all.confidence, read_all.explain), (Some(0.8), true));
        assert!(read("{\"content_type\": \"pd\"}", false).is_ok());
        for bad in
            ["{\"colour\": 1}", "{\"confidence\": 2}", "{\"explain\": 1}", "{\"unknown_category\": \"x\"}"]
        {
            assert!(read(bad, true).is_err(), "{bad}");
        }
    }
}
