//! `Idempotency-Key`: a request that is sent twice is done once.

use super::error::{Problem, Slug};
use crate::{
    app::App,
    hash::hex,
    storage::{
        Db, HeldKey, StoredResponse,
        idempotency::{self, Begun},
    },
};
use axum::{
    body::Body,
    http::{HeaderMap, HeaderName, HeaderValue, StatusCode, header},
    response::Response,
};
use sha2::{Digest, Sha256};
use std::future::Future;

const KEY: HeaderName = HeaderName::from_static("idempotency-key");
const MAX_KEY_BYTES: usize = 255;

/// What a request does once: a status, perhaps a place, a JSON body.
#[derive(Debug)]
pub struct Done {
    /// The HTTP status.
    pub status: StatusCode,
    /// The `Location` header.
    pub location: Option<String>,
    /// The body, JSON.
    pub body: String,
}

/// The fingerprint of a request: the key belongs to these parts and no others.
pub fn fingerprint(parts: &[&[u8]]) -> String {
    let mut hash = Sha256::new();
    for part in parts {
        hash.update((part.len() as u64).to_le_bytes());
        hash.update(part);
    }
    hex(&hash.finalize())
}

/// Does `work`, unless the same request was done before: then its answer is given again.
pub async fn once(
    app: &App,
    db: &Db,
    headers: &HeaderMap,
    route: &str,
    fingerprint: &str,
    work: impl Future<Output = Result<Done, Problem>>,
) -> Result<Response, Problem> {
    let Some(key) = key(headers)? else { return Ok(respond(work.await?, false)) };
    let held = match idempotency::begin(db, route, &key, fingerprint, app.clock().now()).await? {
        Begun::New(held) => held,
        Begun::Replay(StoredResponse { status, location, body }) => {
            let status = StatusCode::from_u16(status).unwrap_or(StatusCode::OK);
            return Ok(respond(Done { status, location, body }, true));
        }
        Begun::InProgress => {
            return Err(Problem::new(
                Slug::IdempotencyKeyInUse,
                "a request with this Idempotency-Key is still running; send it again a little later",
            ));
        }
        Begun::Mismatch => {
            return Err(Problem::new(
                Slug::IdempotencyKeyReused,
                "this Idempotency-Key was used for a different request; make a new key for each new request",
            ));
        }
    };
    // If the client goes away while the work is done, this future is dropped: give the key back.
    let guard = Guard(Some((db.clone(), held.clone())));
    let worked = work.await;
    guard.disarm();
    let done = match worked {
        Ok(done) => done,
        Err(problem) => {
            idempotency::abandon(db, &held).await?;
            return Err(problem);
        }
    };
    let stored = StoredResponse {
        status: done.status.as_u16(),
        location: done.location.clone(),
        body: done.body.clone(),
    };
    // What was done stays done. If that cannot be written down, the key does not allow it a second time until this
    // request is taken for dead.
    if !idempotency::complete(db, &held, &stored).await? {
        tracing::warn!(route, "a request took so long that another one has its idempotency key");
    }
    Ok(respond(done, false))
}

fn key(headers: &HeaderMap) -> Result<Option<String>, Problem> {
    let Some(value) = headers.get(KEY) else { return Ok(None) };
    match value.to_str() {
        Ok(text) if (1..=MAX_KEY_BYTES).contains(&text.len()) => Ok(Some(text.to_owned())),
        _ => Err(Problem::new(
            Slug::BadRequest,
            format!("the Idempotency-Key must have 1 to {MAX_KEY_BYTES} ASCII characters"),
        )),
    }
}

fn respond(done: Done, replayed: bool) -> Response {
    let mut response = Response::new(Body::from(done.body));
    *response.status_mut() = done.status;
    let headers = response.headers_mut();
    headers.insert(header::CONTENT_TYPE, HeaderValue::from_static("application/json"));
    if let Some(location) = done.location.and_then(|text| HeaderValue::from_str(&text).ok()) {
        headers.insert(header::LOCATION, location);
    }
    if replayed {
        headers.insert(HeaderName::from_static("idempotency-replayed"), HeaderValue::from_static("true"));
    }
    response
}

/// Gives the key up when the work was dropped.
struct Guard(Option<(Db, HeldKey)>);

impl Guard {
    fn disarm(mut self) {
        self.0 = None;
    }
}

impl Drop for Guard {
    fn drop(&mut self) {
        let Some((db, held)) = self.0.take() else { return };
        if let Ok(runtime) = tokio::runtime::Handle::try_current() {
            runtime.spawn(async move {
                if let Err(error) = idempotency::abandon(&db, &held).await {
                    tracing::warn!(%error, "an idempotency key could not be given back; it expires by itself");
                }
            });
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn parts_do_not_run_into_each_other() {
        assert_ne!(fingerprint(&[b"ab", b"c"]), fingerprint(&[b"a", b"bc"]));
        assert_eq!(fingerprint(&[b"ab"]), fingerprint(&[b"ab"]));
    }

    #[test]
    fn keys_have_a_length() {
        let headers = |text: &str| HeaderMap::from_iter([(KEY, HeaderValue::from_str(text).unwrap())]);
        assert_eq!(key(&headers("a-1")).unwrap().as_deref(), Some("a-1"));
        assert!(key(&headers(&"x".repeat(256))).is_err());
        assert_eq!(key(&HeaderMap::new()).unwrap(), None);
    }
}
