//! Two models side by side: only what differs.

use super::{
    error::{Problem, Slug},
    extract::{Json, Query},
    predict::named_record,
};
use crate::{
    app::App,
    id::ModelId,
    storage::{Db, ModelRecord, models},
};
use axum::extract::State;
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value, json};
use utoipa::ToSchema;
use utoipa_axum::{router::OpenApiRouter, routes};

/// The routes of this file.
pub fn routes() -> OpenApiRouter<App> {
    OpenApiRouter::new().routes(routes!(compare_models))
}

/// Which two models.
#[derive(Debug, Deserialize, utoipa::IntoParams)]
#[into_params(parameter_in = Query)]
#[serde(deny_unknown_fields)]
pub struct CompareQuery {
    /// The one: an identifier, or `polar`, `polar/3`, `polar@champion`.
    #[param(example = "polar@champion")]
    a: String,
    /// The other.
    #[param(example = "polar")]
    b: String,
}

/// A model that is compared.
#[derive(Debug, Serialize, ToSchema)]
pub struct Compared {
    /// The identifier.
    #[schema(value_type = uuid::Uuid)]
    model_id: ModelId,
    /// Its name.
    #[schema(example = "polar")]
    model_name: String,
    /// Its version.
    #[schema(example = 3)]
    version: i64,
    /// Its aliases.
    aliases: Vec<String>,
}

/// One thing that differs.
#[derive(Debug, PartialEq, Serialize, ToSchema)]
pub struct Difference {
    /// What it is; parts of objects are joined with points.
    #[schema(example = "validation.folds")]
    name: String,
    /// Of the one model; null where it does not have it.
    a: Value,
    /// Of the other.
    b: Value,
    /// `b` minus `a`, where both are numbers.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(nullable = false)]
    change: Option<f64>,
}

/// What differs between two models. Lists are empty where nothing does.
#[derive(Debug, Serialize, ToSchema)]
pub struct Comparison {
    /// The one.
    a: Compared,
    /// The other.
    b: Compared,
    /// Settings of the trainings, as resolved.
    settings: Vec<Difference>,
    /// Scores on the test parts; those of different data or splits say little about each other.
    metrics: Vec<Difference>,
    /// The datasets, with the SHA-256 of their files, and how their rows were divided.
    data: Vec<Difference>,
    /// Inputs and targets: those that only one has, and what differs in those that both have.
    columns: Vec<Difference>,
    /// The networks, and the version of the program that trained them.
    network: Vec<Difference>,
    /// Tags.
    tags: Vec<Difference>,
}

/// Compare two models
///
/// Only what differs is told.
#[utoipa::path(get, path = "/models/compare", tag = "models", params(CompareQuery),
    responses((status = 200, body = Comparison)))]
pub async fn compare_models(
    State(app): State<App>,
    Query(query): Query<CompareQuery>,
) -> Result<Json<Comparison>, Problem> {
    let db = app.db()?;
    let (a, card_a) = find(db, &query.a).await?;
    let (b, card_b) = find(db, &query.b).await?;
    let part = |pointer: &str| {
        let of = |card: &Value| card.pointer(pointer).cloned().unwrap_or(Value::Null);
        differences(&of(&card_a), &of(&card_b))
    };
    let mut data = part("/lineage/dataset");
    data.extend(part("/split").into_iter().map(|difference| under("split", difference)));
    let mut network = part("/network");
    network.extend(differences(
        &json!({"program_version": card_a["program_version"]}),
        &json!({"program_version": card_b["program_version"]}),
    ));
    Ok(Json(Comparison {
        settings: part("/settings"),
        metrics: differences(&a.metrics, &b.metrics),
        data,
        columns: differences(&columns(&card_a), &columns(&card_b)),
        network,
        tags: differences(&json!(a.tags), &json!(b.tags)),
        a: Compared::from(a),
        b: Compared::from(b),
    }))
}

impl From<ModelRecord> for Compared {
    fn from(record: ModelRecord) -> Self {
        let ModelRecord { model_id, model_name, version, aliases, .. } = record;
        Self { model_id, model_name, version, aliases }
    }
}

/// A model by identifier or by name, and its card.
async fn find(db: &Db, reference: &str) -> Result<(ModelRecord, Value), Problem> {
    let record = match reference.parse::<ModelId>() {
        Ok(model_id) => models::get(db, model_id).await?.ok_or_else(|| {
            Problem::new(Slug::ModelNotFound, format!("there is no model {model_id}; GET /models lists them"))
        })?,
        Err(_) => named_record(db, reference).await?,
    };
    let card = models::card(db, record.model_id).await?.unwrap_or_default();
    Ok((record, card))
}

/// The inputs and targets of a card by their names.
fn columns(card: &Value) -> Value {
    let named = |part: &str| -> Map<String, Value> {
        let all = card[part].as_array().map(Vec::as_slice).unwrap_or_default();
        let entry = |column: &Value| {
            let mut column = column.as_object()?.clone();
            let name = column.remove("name")?.as_str()?.to_owned();
            Some((name, Value::Object(column)))
        };
        all.iter().filter_map(entry).collect()
    };
    json!({"inputs": named("inputs"), "targets": named("targets")})
}

fn under(what: &str, difference: Difference) -> Difference {
    Difference { name: format!("{what}.{}", difference.name), ..difference }
}

/// What differs between two documents. Objects are gone into where both sides have one; everything else, lists too,
/// is compared as a whole.
fn differences(a: &Value, b: &Value) -> Vec<Difference> {
    fn collect(path: &str, a: &Value, b: &Value, found: &mut Vec<Difference>) {
        if let (Value::Object(one), Value::Object(other)) = (a, b) {
            let only_other = other.keys().filter(|name| !one.contains_key(*name));
            for name in one.keys().chain(only_other) {
                let path = if path.is_empty() { name.clone() } else { format!("{path}.{name}") };
                let of = |side: &Map<String, Value>| side.get(name).cloned().unwrap_or(Value::Null);
                collect(&path, &of(one), &of(other), found);
            }
        } else if a != b {
            let change = a.as_f64().zip(b.as_f64()).map(|(a, b)| b - a);
            found.push(Difference { name: path.to_owned(), a: a.clone(), b: b.clone(), change });
        }
    }
    // A card of an older version may lack a part.
    let object = |value: &Value| if value.is_null() { json!({}) } else { value.clone() };
    let mut found = Vec::new();
    collect("", &object(a), &object(b), &mut found);
    found
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_what_differs_is_told() {
        let a =
            json!({"epochs": 5, "validation": {"folds": 5, "method": "random"}, "layers": [8], "gone": 1});
        let b = json!({"validation": {"folds": 3, "method": "random"}, "epochs": 5, "layers": [8, 8], "new": null});
        let difference =
            |name: &str, a: Value, b: Value, change| Difference { name: name.to_owned(), a, b, change };
        let expected = [
            difference("validation.folds", json!(5), json!(3), Some(-2.0)),
            difference("layers", json!([8]), json!([8, 8]), None),
            difference("gone", json!(1), Value::Null, None),
        ];
        assert_eq!(differences(&a, &b), expected);
        assert!(differences(&a, &a).is_empty());
        assert_eq!(differences(&Value::Null, &json!({"sha256": "x"})).len(), 1, "a card of an older version");
    }

    #[test]
    fn columns_are_compared_by_name_and_not_by_place() {
        let card = |inputs: Value| json!({"inputs": inputs, "targets": [{"name": "y", "kind": "number"}]});
        let a = columns(&card(json!([{"name": "p", "unit": "hPa"}, {"name": "q", "unit": null}])));
        let b = columns(&card(json!([{"name": "q", "unit": null}, {"name": "p", "unit": "Pa"}])));
        let found = differences(&a, &b);
        assert_eq!((found.len(), found[0].name.as_str()), (1, "inputs.p.unit"));
    }
}
