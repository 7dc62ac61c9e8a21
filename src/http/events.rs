//! The event log: who uploaded, trained, downloaded and deleted what, when.

use super::{
    error::Problem,
    extract::Query,
    list::{page, paged},
    observe::RequestId,
};
use crate::{
    app::App,
    storage::{Db, EventFilter, EventRecord, NewEvent, events},
};
use axum::{extract::State, http::Uri, response::Response};
use chrono::{DateTime, Utc};
use serde::{Deserialize, Serialize};
use serde_json::Value;
use std::fmt::Display;
use utoipa::ToSchema;
use utoipa_axum::{router::OpenApiRouter, routes};

/// The routes of this file.
pub fn routes() -> OpenApiRouter<App> {
    OpenApiRouter::new().routes(routes!(list_events))
}

/// Writes down what was done. The request has succeeded by now, so a failure here is only logged.
pub async fn append(
    app: &App,
    db: &Db,
    request_id: &RequestId,
    action: &str,
    object_kind: &str,
    object_id: impl Display,
    details: Value,
) {
    let event = NewEvent {
        actor: "anonymous",
        action,
        object_kind,
        object_id: object_id.to_string(),
        request_id: Some(request_id.as_str()),
        details,
    };
    if let Err(error) = events::append(db, event, app.clock().now()).await {
        tracing::error!(%error, action, object_kind, "an event could not be written down");
    }
}

/// Which events.
#[derive(Debug, Deserialize, utoipa::IntoParams)]
#[into_params(parameter_in = Query)]
#[serde(deny_unknown_fields)]
pub struct EventQuery {
    /// By this actor.
    actor: Option<String>,
    /// With this action: `upload`, `train`, `predict`, `cancel`, `download`, `import`, `update`, `set_alias`,
    /// `remove_alias`, `delete`.
    action: Option<String>,
    /// On this kind of object: `dataset`, `training`, `model`, `prediction`.
    object_kind: Option<String>,
    /// On this object.
    object_id: Option<String>,
    /// Not before.
    since: Option<DateTime<Utc>>,
    /// Before.
    until: Option<DateTime<Utc>>,
    /// Items per page; 50 if absent.
    #[param(minimum = 1, maximum = 500)]
    limit: Option<u32>,
    /// The `next_cursor` of the page before.
    cursor: Option<String>,
}

/// One event.
#[derive(Debug, Serialize, ToSchema)]
pub struct Event {
    /// The identifier.
    event_id: uuid::Uuid,
    /// When it happened.
    at: DateTime<Utc>,
    /// Who did it.
    #[schema(example = "anonymous")]
    actor: String,
    /// What was done.
    #[schema(example = "upload")]
    action: String,
    /// To what kind of object.
    #[schema(example = "dataset")]
    object_kind: String,
    /// To which object.
    object_id: String,
    /// The request that asked for it; null for what a worker did.
    request_id: Option<String>,
    /// What else was kept.
    details: Value,
}

impl From<EventRecord> for Event {
    fn from(record: EventRecord) -> Self {
        let EventRecord { event_id, at, actor, action, object_kind, object_id, request_id, details } = record;
        Self { event_id, at, actor, action, object_kind, object_id, request_id, details }
    }
}

/// One page of events.
#[derive(Debug, Serialize, ToSchema)]
pub struct EventList {
    /// Newest first.
    events: Vec<Event>,
    /// Give this as `cursor` for the next page; null on the last.
    next_cursor: Option<String>,
}

/// List who did what, newest first
#[utoipa::path(get, path = "/events", tag = "operations", params(EventQuery),
    responses((status = 200, body = EventList)))]
pub async fn list_events(
    State(app): State<App>,
    uri: Uri,
    Query(query): Query<EventQuery>,
) -> Result<Response, Problem> {
    let page = page(query.limit, query.cursor)?;
    let filter = EventFilter {
        actor: query.actor,
        action: query.action,
        object_kind: query.object_kind,
        object_id: query.object_id,
        since: query.since,
        until: query.until,
    };
    let slice = events::list(app.db()?, &filter, &page).await?;
    let events = slice.items.into_iter().map(Event::from).collect();
    Ok(paged(&uri, slice.next_cursor, |next_cursor| EventList { events, next_cursor }))
}
