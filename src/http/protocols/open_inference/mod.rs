//! The Open Inference Protocol, version 2, of `KServe`, Triton and `MLServer`: everything below `/v2`.
//!
//! ```text
//! tensor   request: typed tensors, flat, nested or as bytes  -> rows of cells
//! binary   elements as bytes behind the JSON, both ways
//! output   predictions -> one tensor per target, and one per thing that is said about each row
//! describe what a model takes and gives, and whether it is ready
//! document the OpenAPI document of a model
//! ```

mod binary;
pub mod describe;
mod document;
mod output;
pub mod repository;
mod tensor;

use super::{
    Which, find,
    question::{nan_as_null, options, read_body},
};
use crate::{
    app::App,
    http::{
        error::Problem,
        extract::{Json, Path},
        health, json,
        predict::{self, Answered, Question},
        printable,
    },
    prediction::Loaded,
};
use axum::{
    extract::{Request, State},
    http::{HeaderValue, header},
    response::{IntoResponse, Response},
};
use output::OutputKind;
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value, json};
use tensor::RawTensor;
use utoipa::ToSchema;
use utoipa_axum::{router::OpenApiRouter, routes};

/// The routes of this folder.
pub fn routes() -> OpenApiRouter<App> {
    OpenApiRouter::new()
        .routes(routes!(show_v2_server))
        .routes(routes!(show_v2_liveness))
        .routes(routes!(show_v2_readiness))
        .merge(describe::routes())
        .routes(routes!(infer_v2_model))
        .routes(routes!(infer_v2_version))
        .merge(repository::routes())
}

/// The server.
#[derive(Debug, Serialize, ToSchema)]
pub struct V2Server {
    /// Always `taqicfd`.
    #[schema(example = "taqicfd")]
    name: &'static str,
    /// Version of the program.
    #[schema(example = "0.1.0")]
    version: &'static str,
    /// What is offered beyond the protocol.
    extensions: Vec<&'static str>,
}

/// Show the server (Open Inference Protocol)
#[utoipa::path(get, path = "/v2", tag = "open inference", responses((status = 200, body = V2Server)))]
pub async fn show_v2_server() -> Json<V2Server> {
    Json(V2Server {
        name: env!("CARGO_PKG_NAME"),
        version: env!("CARGO_PKG_VERSION"),
        extensions: vec!["binary_tensor_data", "model_repository"],
    })
}

/// Whether the server is alive.
#[derive(Debug, Serialize, ToSchema)]
pub struct V2Live {
    /// Always `true`.
    live: bool,
}

/// Whether the process is alive (Open Inference Protocol)
#[utoipa::path(get, path = "/v2/health/live", tag = "open inference", responses((status = 200, body = V2Live)))]
pub async fn show_v2_liveness() -> Json<V2Live> {
    Json(V2Live { live: true })
}

/// Whether the server can work.
#[derive(Debug, Serialize, ToSchema)]
pub struct V2Ready {
    /// Whether it can.
    ready: bool,
}

/// Whether requests can be worked on (Open Inference Protocol)
#[utoipa::path(get, path = "/v2/health/ready", tag = "open inference",
    responses((status = 200, body = V2Ready), (status = 503, body = V2Ready, description = "Not now")))]
pub async fn show_v2_readiness(State(app): State<App>) -> Response {
    let ready = health::readiness(&app).await.is_ready();
    health::ready_or_not(ready, &V2Ready { ready })
}

/// Predict (Open Inference Protocol)
///
/// One tensor `[n]` or `[n, 1]` per input, or a single tensor `[n, d]` under another name with all inputs in the order
/// of the model. Null, and a floating-point NaN in binary data, is a missing value. The answer has one tensor per
/// target, and further ones: `<target>_lower` and `<target>_upper` for numbers, `<target>_probabilities` and
/// `<target>_in_set` for classes, `in_domain`, `domain_score` and `warnings`. `outputs` chooses among them.
/// `parameters` may hold `confidence`, `unknown_category`, `strict` and `explain`; the last adds
/// `<target>_sensitivities`. With the header `Inference-Header-Content-Length`, tensors may follow the JSON as bytes
/// (`binary_data_size`), and with `binary_data` or `binary_data_output` they are answered so.
#[utoipa::path(post, path = "/v2/models/{model}/infer", tag = "open inference",
    params(
        ("model" = String, Path),
        ("Inference-Header-Content-Length" = Option<u64>, Header, description = "Length of the JSON, where bytes follow it")
    ),
    request_body(content((V2InferBody = "application/json"), (String = "application/octet-stream"))),
    responses((status = 200, content((V2Inference = "application/json"), (String = "application/octet-stream")))))]
pub async fn infer_v2_model(
    State(app): State<App>,
    Path(model): Path<String>,
    request: Request,
) -> Result<Response, Problem> {
    infer(&app, &model, Which::Newest, request).await
}

/// Predict with a version (Open Inference Protocol)
#[utoipa::path(post, path = "/v2/models/{model}/versions/{version}/infer", tag = "open inference",
    params(
        ("model" = String, Path), ("version" = String, Path),
        ("Inference-Header-Content-Length" = Option<u64>, Header, description = "Length of the JSON, where bytes follow it")
    ),
    request_body(content((V2InferBody = "application/json"), (String = "application/octet-stream"))),
    responses((status = 200, content((V2Inference = "application/json"), (String = "application/octet-stream")))))]
pub async fn infer_v2_version(
    State(app): State<App>,
    Path((model, version)): Path<(String, String)>,
    request: Request,
) -> Result<Response, Problem> {
    infer(&app, &model, Which::Version(&version), request).await
}

/// The JSON of a request. Fields that it does not name belong to extensions that are not offered, and change nothing.
#[derive(Debug, Deserialize)]
struct InferRequest<'a> {
    #[serde(default)]
    id: Option<String>,
    #[serde(default)]
    parameters: Option<Map<String, Value>>,
    #[serde(borrow)]
    inputs: Vec<RawTensor<'a>>,
    #[serde(default)]
    outputs: Option<Vec<WantedOutput>>,
}

#[derive(Debug, Deserialize)]
struct WantedOutput {
    name: String,
    #[serde(default)]
    parameters: Option<Map<String, Value>>,
}

async fn infer(app: &App, model: &str, which: Which<'_>, request: Request) -> Result<Response, Problem> {
    let (headers, bytes) = read_body(app, request).await?;
    let (text, tail) = binary::split(&headers, &bytes)?;
    let text = nan_as_null(text);
    let InferRequest { id, parameters, inputs, outputs } = json::from_slice(&text)?;
    let parameters = parameters.unwrap_or_default();
    let options = options(&parameters, false)?;
    let tensors = tensor::check(inputs, tail)?;
    let loaded = find(app, model, which).await?;
    let model = &loaded.model;
    let n_sensitivities = if options.explain { model.inputs().len() } else { 0 };
    let kinds = output::kinds(&model.manifest().targets, n_sensitivities);
    let is_binary = parameters.get("binary_data_output").and_then(Value::as_bool).unwrap_or(false);
    let wanted = choose(kinds, outputs.unwrap_or_default(), is_binary)?;
    let data = tensor::into_data(tensors, model.inputs())?;
    let answered = predict::ask(
        app,
        &loaded,
        Question { data, field: "inputs", options },
        predict::cells::problem_by_row,
    )
    .await?;
    Ok(respond(&loaded, id.as_deref(), &wanted, &answered))
}

/// The tensors that a request wants, in its order, and whether as bytes; all of them if it names none.
fn choose(
    kinds: Vec<OutputKind>,
    wanted: Vec<WantedOutput>,
    is_binary: bool,
) -> Result<Vec<(OutputKind, bool)>, Problem> {
    if wanted.is_empty() {
        return Ok(kinds.into_iter().map(|kind| (kind, is_binary)).collect());
    }
    let mut chosen: Vec<(OutputKind, bool)> = Vec::with_capacity(wanted.len());
    for (i, WantedOutput { name, parameters }) in wanted.into_iter().enumerate() {
        let refuse = |message: String| {
            Problem::invalid(&format!("/outputs/{i}"), format!("\"{}\" {message}", printable(&name)))
        };
        let parameters = parameters.unwrap_or_default();
        for (parameter, instead) in [
            ("classification", "take the output `<target>_probabilities`"),
            ("shared_memory_region", "the data come in the answer"),
        ] {
            if parameters.contains_key(parameter) {
                return Err(refuse(format!("asks for {parameter}, which is not offered: {instead}")));
            }
        }
        let Some(kind) = kinds.iter().find(|kind| kind.name == name) else {
            let known: Vec<&str> = kinds.iter().map(|kind| kind.name.as_str()).collect();
            return Err(refuse(format!("is no output of this model; it has {}", known.join(", "))));
        };
        if chosen.iter().any(|(other, _)| other.name == name) {
            return Err(refuse("is asked for twice".to_owned()));
        }
        let as_bytes = parameters.get("binary_data").and_then(Value::as_bool).unwrap_or(is_binary);
        chosen.push((kind.clone(), as_bytes));
    }
    Ok(chosen)
}

#[derive(Serialize)]
struct Output<'a> {
    name: &'a str,
    shape: [usize; 2],
    datatype: &'static str,
    #[serde(skip_serializing_if = "Option::is_none")]
    parameters: Option<Value>,
    #[serde(skip_serializing_if = "Option::is_none")]
    data: Option<output::Elements<'a>>,
}

#[derive(Serialize)]
struct InferResponse<'a> {
    model_name: &'a str,
    model_version: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    id: Option<&'a str>,
    parameters: Value,
    outputs: Vec<Output<'a>>,
}

fn respond(
    loaded: &Loaded,
    id: Option<&str>,
    wanted: &[(OutputKind, bool)],
    answered: &Answered,
) -> Response {
    let mut tail = Vec::new();
    let outputs = wanted.iter().map(|(kind, as_bytes)| {
        let elements = kind.elements(answered);
        let (parameters, data) = if *as_bytes {
            (Some(json!({"binary_data_size": binary::encode(&elements, &mut tail)})), None)
        } else {
            (None, Some(elements))
        };
        let shape = [answered.n_rows, kind.width];
        Output { name: &kind.name, shape, datatype: kind.datatype, parameters, data }
    });
    let outputs = outputs.collect();
    let response = InferResponse {
        model_name: &loaded.record.model_name,
        model_version: loaded.record.version.to_string(),
        id,
        parameters: json!({"confidence": answered.predictions.confidence}),
        outputs,
    };
    if !wanted.iter().any(|(_, as_bytes)| *as_bytes) {
        return Json(response).into_response();
    }
    let mut body = match serde_json::to_vec(&response) {
        Ok(body) => body,
        Err(error) => return Problem::internal(error).into_response(),
    };
    let length = HeaderValue::from(body.len());
    body.append(&mut tail);
    let octets = HeaderValue::from_static("application/octet-stream");
    ([(header::CONTENT_TYPE, octets), (binary::HEADER_LENGTH, length)], body).into_response()
}

/// The tensors of a request.
#[derive(Debug, Serialize, ToSchema)]
#[schema(example = json!({"id": "42", "inputs": [
    {"name": "re", "shape": [2], "datatype": "FP64", "data": [1e5, 2e5]},
    {"name": "airfoil", "shape": [2], "datatype": "BYTES", "data": ["0012", "2412"]}]}))]
pub struct V2InferBody {
    /// Comes back in the answer.
    #[schema(nullable = false)]
    pub id: Option<String>,
    /// `confidence`, `unknown_category`, `strict`, `explain`, `binary_data_output`.
    #[schema(nullable = false, value_type = Option<Object>)]
    pub parameters: Option<Value>,
    /// One per input, or one for all of them.
    pub inputs: Vec<V2Tensor>,
    /// The tensors that are wanted; all if absent.
    #[schema(nullable = false)]
    pub outputs: Option<Vec<V2WantedOutput>>,
}

/// A tensor.
#[derive(Debug, Serialize, ToSchema)]
pub struct V2Tensor {
    /// The input or output.
    #[schema(example = "re")]
    pub name: String,
    /// `[n]` or `[n, 1]`; `[n, d]` for what has `d` elements per row.
    pub shape: Vec<u64>,
    /// `BOOL`, `UINT8` to `UINT64`, `INT8` to `INT64`, `FP16`, `FP32`, `FP64` or `BYTES`.
    #[schema(example = "FP64")]
    pub datatype: String,
    /// `binary_data_size` where the elements follow the JSON as bytes.
    #[schema(nullable = false, value_type = Option<Object>)]
    pub parameters: Option<Value>,
    /// The elements, row-major, flat or nested.
    #[schema(nullable = false)]
    pub data: Option<Vec<Value>>,
}

/// A tensor that is wanted.
#[derive(Debug, Serialize, ToSchema)]
pub struct V2WantedOutput {
    /// Its name.
    #[schema(example = "cl")]
    pub name: String,
    /// `binary_data`: whether as bytes behind the JSON.
    #[schema(nullable = false, value_type = Option<Object>)]
    pub parameters: Option<Value>,
}

/// The tensors of an answer.
#[derive(Debug, Serialize, ToSchema)]
pub struct V2Inference {
    /// The model that answered.
    #[schema(example = "polar")]
    pub model_name: String,
    /// Its version.
    #[schema(example = "3")]
    pub model_version: String,
    /// That of the request.
    #[schema(nullable = false)]
    pub id: Option<String>,
    /// `confidence`: that of the intervals and sets.
    #[schema(value_type = Object)]
    pub parameters: Value,
    /// Those that were wanted.
    pub outputs: Vec<V2Tensor>,
}
