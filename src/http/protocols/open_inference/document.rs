//! The OpenAPI document of a model: the one route that predicts, with the columns of that model.

use super::{describe::datatype, output};
use crate::{dataset::ColumnKind, model::Input, prediction::Loaded};
use serde_json::{Map, Value, json};

/// The document of one version.
pub(super) fn document(loaded: &Loaded) -> Value {
    let manifest = loaded.model.manifest();
    let (name, version) = (&loaded.record.model_name, loaded.record.version);
    let tensor = |name: &str, datatype: &str, width: usize, element: Value| {
        let shape = if width == 1 { json!("[n] or [n, 1]") } else { json!(format!("[n, {width}]")) };
        json!({
            "type": "object", "required": ["name", "shape", "datatype", "data"],
            "properties": {
                "name": {"const": name},
                "shape": {"type": "array", "items": {"type": "integer", "minimum": 0}, "description": shape},
                "datatype": {"const": datatype},
                "data": {"type": "array", "items": element},
            },
        })
    };
    let inputs: Vec<Value> =
        manifest.inputs.iter().map(|input| tensor(&input.name, datatype(input), 1, element(input))).collect();
    let outputs: Vec<Value> = output::kinds(&manifest.targets, 0)
        .iter()
        .map(|kind| {
            let element = match kind.datatype {
                "FP64" => json!({"type": ["number", "null"]}),
                "BOOL" => json!({"type": "boolean"}),
                _ => json!({"type": "string"}),
            };
            tensor(&kind.name, kind.datatype, kind.width, element)
        })
        .collect();
    let path = format!("/v2/models/{}/versions/{version}/infer", percent_encoded(name));
    let request = json!({
        "type": "object", "required": ["inputs"],
        "properties": {
            "id": {"type": "string"},
            "parameters": {"type": "object"},
            "inputs": {"type": "array", "items": {"anyOf": inputs}},
            "outputs": {"type": "array", "items": {"type": "object"}},
        },
    });
    let response = json!({
        "type": "object", "required": ["model_name", "model_version", "outputs"],
        "properties": {
            "model_name": {"const": name},
            "model_version": {"const": version.to_string()},
            "id": {"type": "string"},
            "parameters": {"type": "object"},
            "outputs": {"type": "array", "items": {"anyOf": outputs}},
        },
    });
    let error = json!({"type": "object", "required": ["error"], "properties": {"error": {"type": "string"}}});
    let content = |schema: Value| json!({"application/json": {"schema": schema}});
    json!({
        "openapi": "3.1.0",
        "info": {"title": format!("Data plane of {name}"), "version": version.to_string()},
        "paths": {path: {"post": {
            "operationId": "infer",
            "summary": format!("Predict with version {version} of {name}"),
            "requestBody": {"required": true, "content": content(request)},
            "responses": {
                "200": {"description": "Predictions", "content": content(response)},
                "default": {"description": "What is wrong", "content": content(error)},
            },
        }}},
    })
}

/// The schema of one value of an input.
fn element(input: &Input) -> Value {
    let mut schema = Map::new();
    let kind = match datatype(input) {
        "FP64" => "number",
        "BOOL" => "boolean",
        _ => "string",
    };
    let may_be_missing = input.missing_share > 0.0;
    schema.insert("type".into(), if may_be_missing { json!([kind, "null"]) } else { json!(kind) });
    let mut notes = Vec::new();
    if let (Some((low, high)), ColumnKind::Number) = (input.range, input.kind) {
        // Not `minimum` and `maximum`: values outside are answered, with a warning.
        notes.push(format!("from {low} to {high} in the training"));
    }
    notes.extend(input.unit.as_ref().map(|unit| format!("in {unit}")));
    if !input.levels.is_empty() {
        let null = may_be_missing.then_some(Value::Null);
        let levels: Vec<Value> = input.levels.iter().map(|level| json!(level)).chain(null).collect();
        schema.insert("enum".into(), Value::Array(levels));
    }
    if !notes.is_empty() {
        schema.insert("description".into(), json!(notes.join(", ")));
    }
    Value::Object(schema)
}

fn percent_encoded(name: &str) -> String {
    name.bytes().fold(String::new(), |mut text, byte| {
        if byte.is_ascii_alphanumeric() || b"-._~".contains(&byte) {
            text.push(char::from(byte));
        } else {
            text.push_str(&format!("%{byte:02X}"));
        }
        text
    })
}
