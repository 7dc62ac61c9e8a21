//! Idempotency keys: a request that is sent twice with the same key is done once.
//!
//! ```text
//! begin --> New(HeldKey) -> complete   later requests get the stored response
//!       |              \--> abandon    the request failed: the key is free again
//!       |-> Replay | InProgress | Mismatch
//! ```

use crate::storage::{Db, Result, column::from_row, with_pool};
use chrono::{DateTime, Duration, Utc};

/// The response that a key is bound to.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct StoredResponse {
    /// The HTTP status.
    pub status: u16,
    /// The `Location` header.
    pub location: Option<String>,
    /// The body, JSON.
    pub body: String,
}

/// What [`begin`] found.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Begun {
    /// The key is this request's now: do it, then [`complete`] or [`abandon`].
    New(HeldKey),
    /// The request was done before: give this answer again.
    Replay(StoredResponse),
    /// The first request with this key has not ended.
    InProgress,
    /// The key was used for another body.
    Mismatch,
}

/// The right to a key, of the request that took it last: one that was taken for dead has lost it to another.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct HeldKey {
    route: String,
    key: String,
    since: DateTime<Utc>,
}

/// For how long a key is remembered.
pub const KEPT_FOR: Duration = Duration::hours(24);

/// After so long without an end, the process that ran the first request is taken for dead.
pub const ABANDONED_AFTER: Duration = Duration::minutes(10);

struct KeyRow {
    fingerprint: String,
    status: Option<i64>,
    location: Option<String>,
    body: Option<String>,
}

from_row!(KeyRow, |row| Ok(Self {
    fingerprint: row.try_get("fingerprint")?,
    status: row.try_get("status")?,
    location: row.try_get("location")?,
    body: row.try_get("body")?,
}));

/// Takes the key for one request to `route` whose body has this fingerprint.
pub async fn begin(db: &Db, route: &str, key: &str, fingerprint: &str, now: DateTime<Utc>) -> Result<Begun> {
    // One statement decides who has the key: it is new, or it has expired, or its holder is dead.
    const TAKE: &str = "
        INSERT INTO idempotency_keys (route, key, fingerprint, created_at) VALUES ($1, $2, $3, $4)
        ON CONFLICT (route, key) DO UPDATE
        SET fingerprint = excluded.fingerprint, created_at = excluded.created_at,
            status = NULL, location = NULL, body = NULL
        WHERE idempotency_keys.created_at < $5
           OR (idempotency_keys.status IS NULL AND idempotency_keys.created_at < $6)";
    const LOOK: &str = "
        SELECT fingerprint, status, location, body FROM idempotency_keys WHERE route = $1 AND key = $2";
    let taken = with_pool!(db, |pool| sqlx::query(TAKE)
        .bind(route)
        .bind(key)
        .bind(fingerprint)
        .bind(now)
        .bind(now - KEPT_FOR)
        .bind(now - ABANDONED_AFTER)
        .execute(pool)
        .await
        .map(|done| done.rows_affected()))?;
    if taken == 1 {
        return Ok(Begun::New(HeldKey { route: route.to_owned(), key: key.to_owned(), since: now }));
    }
    let row: Option<KeyRow> =
        with_pool!(db, |pool| sqlx::query_as(LOOK).bind(route).bind(key).fetch_optional(pool).await)?;
    Ok(match row {
        Some(row) if row.fingerprint != fingerprint => Begun::Mismatch,
        Some(KeyRow { status: Some(status), location, body, .. }) => Begun::Replay(StoredResponse {
            status: u16::try_from(status).unwrap_or(500),
            location,
            body: body.unwrap_or_default(),
        }),
        // Without a row, its holder has just given it up: the client will try again.
        Some(_) | None => Begun::InProgress,
    })
}

/// Binds the key to its answer. `false` if another request has it now.
pub async fn complete(db: &Db, held: &HeldKey, response: &StoredResponse) -> Result<bool> {
    const COMPLETE: &str = "
        UPDATE idempotency_keys SET status = $4, location = $5, body = $6
        WHERE route = $1 AND key = $2 AND created_at = $3 AND status IS NULL";
    let changed = with_pool!(db, |pool| sqlx::query(COMPLETE)
        .bind(&held.route)
        .bind(&held.key)
        .bind(held.since)
        .bind(i64::from(response.status))
        .bind(&response.location)
        .bind(&response.body)
        .execute(pool)
        .await
        .map(|done| done.rows_affected()))?;
    Ok(changed == 1)
}

/// Gives the key up: the request was refused or failed, and may be tried again. One that another request has now
/// stays that one's.
pub async fn abandon(db: &Db, held: &HeldKey) -> Result<()> {
    const ABANDON: &str = "
        DELETE FROM idempotency_keys
        WHERE route = $1 AND key = $2 AND created_at = $3 AND status IS NULL";
    with_pool!(db, |pool| sqlx::query(ABANDON)
        .bind(&held.route)
        .bind(&held.key)
        .bind(held.since)
        .execute(pool)
        .await
        .map(drop))?;
    Ok(())
}

/// Gives up the keys whose requests have not ended: for the start of the only process on a database.
pub async fn abandon_all(db: &Db) -> Result<()> {
    const ABANDON_ALL: &str = "DELETE FROM idempotency_keys WHERE status IS NULL";
    with_pool!(db, |pool| sqlx::query(ABANDON_ALL).execute(pool).await.map(drop))?;
    Ok(())
}

/// Forgets the keys that have expired, and says how many.
pub async fn remove_expired(db: &Db, now: DateTime<Utc>) -> Result<u64> {
    const REMOVE: &str = "DELETE FROM idempotency_keys WHERE created_at < $1";
    Ok(with_pool!(db, |pool| sqlx::query(REMOVE)
        .bind(now - KEPT_FOR)
        .execute(pool)
        .await
        .map(|done| done.rows_affected()))?)
}
