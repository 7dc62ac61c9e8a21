//! The protocols of other model servers, so that their clients work here unchanged.
//!
//! Each is a thin adapter: it reads its own shape into [`predict::Question`], and writes its own shape from
//! [`predict::Answered`]. What is asked, its limits and its refusals are those of `POST /predict`; only the document
//! that a refusal is written as is the protocol's, and that is decided here, for every layer, by the path alone.

pub mod mlflow;
pub mod open_inference;
pub mod tensorflow;

use super::{
    body,
    error::{Problem, Slug},
    predict::{self, Options},
};
use crate::{
    app::App,
    model::{TargetPrediction, UnknownCategory},
    prediction::Loaded,
    storage::ModelRecord,
};
use axum::{
    extract::Request,
    http::{HeaderMap, StatusCode, header},
    response::Response,
};
use bytes::Bytes;
use serde::{Serialize, Serializer};
use serde_json::{Map, Value};
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

/// The body of a request within the limit for JSON. Without a content type it is taken as JSON, and so is what
/// `curl -d` says where nobody says otherwise: the documentation of these protocols is full of such requests.
async fn read_body(app: &App, request: Request) -> Result<(HeaderMap, Bytes), Problem> {
    let headers = request.headers().clone();
    let content_type = essence(&headers, &header::CONTENT_TYPE);
    let is_json = content_type == "application/json"
        || (content_type.starts_with("application/") && content_type.ends_with("+json"));
    if !(is_json
        || ["", "application/x-www-form-urlencoded", "application/octet-stream"].contains(&&*content_type))
    {
        let shown = super::printable(&content_type);
        let detail = format!("the body is {shown}; this route reads application/json");
        return Err(Problem::new(Slug::UnsupportedMediaType, detail).closing());
    }
    read_any_body(app, request).await.map(|bytes| (headers, bytes))
}

/// The body of a request within the limit for JSON, whatever it is said to be.
async fn read_any_body(app: &App, request: Request) -> Result<Bytes, Problem> {
    let encoding = essence(request.headers(), &header::CONTENT_ENCODING);
    if !["", "identity"].contains(&&*encoding) {
        let detail = format!("the body is compressed ({}); send it plain", super::printable(&encoding));
        return Err(Problem::new(Slug::UnsupportedMediaType, detail).closing());
    }
    let limits = &app.settings().server;
    body::read(request, limits, limits.max_json, "TAQICFD_MAX_JSON").await
}

/// `text` with each bare `NaN` in the place of a value written as `null`.
///
/// Python's `json` module writes a missing value of a data frame so, and with it the clients of these protocols. It is
/// no JSON, and the product's own routes refuse it; here it has one meaning. `Infinity` has none, and stays refused.
fn nan_as_null(text: &[u8]) -> Cow<'_, [u8]> {
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
fn essence(headers: &HeaderMap, name: &header::HeaderName) -> String {
    let value = headers.get(name).and_then(|value| value.to_str().ok()).unwrap_or_default();
    value.split(';').next().unwrap_or_default().trim().to_ascii_lowercase()
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

/// The options in an object of parameters. Others than ours are refused where only we define them.
fn options(parameters: &Map<String, Value>, only_ours: bool) -> Result<Options, Problem> {
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
                return Err(Problem::invalid(&format!("/{}", super::printable(name)), message));
            }
            _ => {}
        }
    }
    options.check()?;
    Ok(options)
}

/// A field of a body that holds data, read as these protocols write them.
fn data<'de, D: serde::Deserializer<'de>>(
    deserializer: D,
    field: &'static str,
) -> Result<Option<predict::request::Data<'de>>, D::Error> {
    let reader = predict::request::Reader { field, flatten: true };
    serde::de::DeserializeSeed::deserialize(reader, deserializer).map(Some)
}

/// The values row by row: bare ones for one target, objects for several.
#[derive(Debug)]
struct ByRow<'a>(&'a [TargetPrediction], usize);

/// The values column by column: one list for one target, an object of lists for several.
#[derive(Debug)]
struct ByColumn<'a>(&'a [TargetPrediction], usize);

/// One value: a number, null where it is not finite, or the name of a class.
struct At<'a>(&'a TargetPrediction, usize);

impl Serialize for At<'_> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        match self.0 {
            TargetPrediction::Number { values, .. } => values[self.1].serialize(serializer),
            TargetPrediction::Class { classes, labels, .. } => classes[labels[self.1]].serialize(serializer),
        }
    }
}

impl Serialize for ByRow<'_> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        struct Row<'a>(&'a [TargetPrediction], usize);
        impl Serialize for Row<'_> {
            fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
                if let [only] = self.0 {
                    return At(only, self.1).serialize(serializer);
                }
                serializer.collect_map(self.0.iter().map(|target| (target.name(), At(target, self.1))))
            }
        }
        serializer.collect_seq((0..self.1).map(|row| Row(self.0, row)))
    }
}

impl Serialize for ByColumn<'_> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        struct Column<'a>(&'a TargetPrediction, usize);
        impl Serialize for Column<'_> {
            fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
                serializer.collect_seq((0..self.1).map(|row| At(self.0, row)))
            }
        }
        if let [only] = self.0 {
            return Column(only, self.1).serialize(serializer);
        }
        serializer.collect_map(self.0.iter().map(|target| (target.name(), Column(target, self.1))))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

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

    #[test]
    fn one_target_is_bare_and_several_are_named() {
        let number = |name: &str| TargetPrediction::Number {
            name: name.to_owned(),
            values: vec![1.5, f64::NAN],
            bounds: None,
        };
        let (one, two) = ([number("a")], [number("a"), number("b")]);
        assert_eq!(json!(ByRow(&one, 2)), json!([1.5, null]));
        assert_eq!(json!(ByColumn(&one, 2)), json!([1.5, null]));
        assert_eq!(json!(ByRow(&two, 2)), json!([{"a": 1.5, "b": 1.5}, {"a": null, "b": null}]));
        assert_eq!(json!(ByColumn(&two, 2)), json!({"a": [1.5, null], "b": [1.5, null]}));
    }

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
