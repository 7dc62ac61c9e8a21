//! The event log: who did what to which object, and when. Rows are only ever added.

use crate::storage::{
    Db, Page, Result, Slice,
    column::{Document, from_row},
    with_pool,
};
use chrono::{DateTime, Utc};
use serde::{Deserialize, Serialize};
use uuid::Uuid;

/// One entry of the log.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct EventRecord {
    /// UUIDv7.
    pub event_id: Uuid,
    /// When it happened.
    pub at: DateTime<Utc>,
    /// Who did it; `anonymous` where nobody has to say.
    pub actor: String,
    /// `upload`, `train`, `download`, `delete`, `cancel`, ...
    pub action: String,
    /// `dataset`, `training`, `model` or `prediction`.
    pub object_kind: String,
    /// The id of the object.
    pub object_id: String,
    /// The request that asked for it; absent for what a worker did.
    pub request_id: Option<String>,
    /// What else is worth keeping; never user data.
    pub details: serde_json::Value,
}

from_row!(EventRecord, |row| Ok(Self {
    event_id: row.try_get("event_id")?,
    at: row.try_get("at")?,
    actor: row.try_get("actor")?,
    action: row.try_get("action")?,
    object_kind: row.try_get("object_kind")?,
    object_id: row.try_get("object_id")?,
    request_id: row.try_get("request_id")?,
    details: row.try_get::<Document<_>, _>("details")?.0,
}));

/// What [`append`] needs to know.
#[derive(Debug, Clone)]
pub struct NewEvent<'a> {
    /// As [`EventRecord::actor`].
    pub actor: &'a str,
    /// As [`EventRecord::action`].
    pub action: &'a str,
    /// As [`EventRecord::object_kind`].
    pub object_kind: &'a str,
    /// As [`EventRecord::object_id`].
    pub object_id: String,
    /// As [`EventRecord::request_id`].
    pub request_id: Option<&'a str>,
    /// As [`EventRecord::details`].
    pub details: serde_json::Value,
}

/// Which events are wanted. Everything absent matches all.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct EventFilter {
    /// By this actor.
    pub actor: Option<String>,
    /// With this action.
    pub action: Option<String>,
    /// On this kind of object.
    pub object_kind: Option<String>,
    /// On this object.
    pub object_id: Option<String>,
    /// Not before.
    pub since: Option<DateTime<Utc>>,
    /// Before.
    pub until: Option<DateTime<Utc>>,
}

/// Adds one entry.
pub async fn append(db: &Db, event: NewEvent<'_>, now: DateTime<Utc>) -> Result<()> {
    const APPEND: &str = "
        INSERT INTO events (event_id, at, actor, action, object_kind, object_id, request_id, details)
        VALUES ($1, $2, $3, $4, $5, $6, $7, $8)";
    with_pool!(db, |pool| sqlx::query(APPEND)
        .bind(Uuid::now_v7())
        .bind(now)
        .bind(event.actor)
        .bind(event.action)
        .bind(event.object_kind)
        .bind(&event.object_id)
        .bind(event.request_id)
        .bind(Document(event.details))
        .execute(pool)
        .await
        .map(drop))?;
    Ok(())
}

/// The entries, newest first.
pub async fn list(db: &Db, filter: &EventFilter, page: &Page) -> Result<Slice<EventRecord>> {
    const LIST: &str = "
        SELECT * FROM events
        WHERE ($1 IS NULL OR actor = $1)
          AND ($2 IS NULL OR action = $2)
          AND ($3 IS NULL OR object_kind = $3)
          AND ($4 IS NULL OR object_id = $4)
          AND ($5 IS NULL OR at >= $5)
          AND ($6 IS NULL OR at < $6)
          AND ($7 IS NULL OR (at, event_id) < ($7, $8))
        ORDER BY at DESC, event_id DESC LIMIT $9";
    let start = page.start::<(DateTime<Utc>, Uuid)>()?;
    let rows = with_pool!(db, |pool| sqlx::query_as(LIST)
        .bind(&filter.actor)
        .bind(&filter.action)
        .bind(&filter.object_kind)
        .bind(&filter.object_id)
        .bind(filter.since)
        .bind(filter.until)
        .bind(start.map(|(at, _)| at))
        .bind(start.map(|(_, event_id)| event_id))
        .bind(page.n_rows())
        .fetch_all(pool)
        .await)?;
    Ok(page.cut(rows, |last: &EventRecord| (last.at, last.event_id)))
}
