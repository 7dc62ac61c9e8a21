//! Following a training by server-sent events.
//!
//! ```text
//! retry: 1000
//! id: 1   event: epoch      {"fold": 0, "epoch": 1, ...}       one per epoch, in order
//!         event: progress   {"status": "running", ...}         when something else has changed
//! id: 57  event: end        the finished training               and the stream ends
//! ```
//!
//! The id of an epoch is its place in the stream: a client that comes back with `Last-Event-ID`
//! gets what it has missed and nothing twice. Nothing is buffered for slow clients; each look
//! takes the rows that are new by then.

use super::{
    error::{Problem, Slug},
    extract::{Path, parse_id, require_accept},
    trainings::{Epoch, Training, find},
};
use crate::{
    app::App,
    id::TrainingId,
    jobs::Listener,
    storage::{StorageError, TrainingRecord, trainings},
};
use axum::{
    extract::State,
    http::{HeaderMap, HeaderName, HeaderValue, header},
    response::{
        IntoResponse, Response,
        sse::{Event, KeepAlive, Sse},
    },
};
use futures::{Stream, StreamExt};
use std::{collections::VecDeque, convert::Infallible, time::Duration};

const PER_LOOK: u32 = 500;
const LOOK_AGAIN: Duration = Duration::from_secs(1);
const KEEP_ALIVE: Duration = Duration::from_secs(15);
const RECONNECT: Duration = Duration::from_secs(1);

/// Follow a training
///
/// Server-sent events: one `epoch` per epoch, `progress` in between, `end` with the finished training.
/// `Last-Event-ID` resumes.
#[utoipa::path(get, path = "/trainings/{training_id}/events", tag = "trainings",
    params(
        ("training_id" = uuid::Uuid, Path),
        ("Last-Event-ID" = Option<String>, Header, description = "The id of the last event that was received")
    ),
    responses((status = 200, content_type = "text/event-stream", body = StreamEvent,
        example = "id: 1\nevent: epoch\ndata: {\"fold\":0,\"epoch\":1,\"train_loss\":0.9,\"validation_loss\":0.8,\"learning_rate\":0.04}\n\n")))]
pub async fn follow_training(
    State(app): State<App>,
    headers: HeaderMap,
    Path(training_id): Path<String>,
) -> Result<Response, Problem> {
    require_accept(&headers, "text/event-stream")?;
    let training_id = parse_id(&training_id, Slug::TrainingNotFound)?;
    let last =
        headers.get("last-event-id").and_then(|value| value.to_str().ok()).and_then(|text| text.parse().ok());
    let listener = app.live().subscribe(training_id);
    find(app.db()?, training_id).await?;
    let following = Following {
        app,
        training_id,
        listener,
        sequence: last.unwrap_or(0),
        shown: None,
        waiting: VecDeque::new(),
        ended: false,
    };
    Ok(stream_of(events(following)))
}

/// The answer that is this stream of events.
pub fn stream_of(events: impl Stream<Item = Result<Event, Infallible>> + Send + 'static) -> Response {
    let first = Event::default().retry(RECONNECT).comment("follows a job");
    let events = futures::stream::once(async { Ok(first) }).chain(events);
    let mut response = Sse::new(events).keep_alive(KeepAlive::new().interval(KEEP_ALIVE)).into_response();
    let answer = response.headers_mut();
    answer.insert(header::CACHE_CONTROL, HeaderValue::from_static("no-store"));
    // Proxies that buffer would hold the events back.
    answer.insert(HeaderName::from_static("x-accel-buffering"), HeaderValue::from_static("no"));
    response
}

/// One event, as a client reads it.
#[derive(Debug, serde::Serialize, utoipa::ToSchema)]
pub struct StreamEvent {
    /// `epoch`, `progress` or `end`.
    #[schema(nullable = false, example = "epoch")]
    pub event: Option<String>,
    /// Give it back as `Last-Event-ID`.
    #[schema(nullable = false, example = "1")]
    pub id: Option<String>,
    /// A JSON document: an epoch, the progress, or the finished training.
    #[schema(nullable = false)]
    pub data: Option<String>,
    /// Milliseconds after which to connect again.
    #[schema(nullable = false)]
    pub retry: Option<u64>,
}

struct Following {
    app: App,
    training_id: TrainingId,
    listener: Listener,
    /// Of the last epoch that was sent.
    sequence: i64,
    /// What the last `progress` said.
    shown: Option<(String, String)>,
    waiting: VecDeque<Event>,
    ended: bool,
}

fn events(following: Following) -> impl Stream<Item = Result<Event, Infallible>> {
    futures::stream::unfold(following, |mut following| async move {
        loop {
            if let Some(event) = following.waiting.pop_front() {
                return Some((Ok(event), following));
            }
            if following.ended {
                return None;
            }
            following.look().await;
            if following.waiting.is_empty() && !following.ended {
                let shutdown = following.app.shutdown().clone();
                tokio::select! {
                    () = following.listener.changed(LOOK_AGAIN) => {}
                    // The client comes back with its Last-Event-ID, to this server or another.
                    () = shutdown.cancelled() => following.ended = true,
                }
            }
        }
    })
}

impl Following {
    async fn look(&mut self) {
        match self.read().await {
            Ok(None) => self.ended = true, // it was deleted
            Ok(Some(record)) => self.take(record),
            // The database is away for a moment: the client keeps its connection.
            Err(error) => tracing::warn!(%error, training_id = %self.training_id, "cannot follow a training"),
        }
    }

    async fn read(&mut self) -> Result<Option<TrainingRecord>, StorageError> {
        let Ok(db) = self.app.db() else { return Ok(None) };
        // The row before the epochs: when it says "ended", all epochs are there.
        let record = trainings::get(db, self.training_id).await?;
        let epochs = trainings::epochs_after(db, self.training_id, self.sequence, PER_LOOK).await?;
        for epoch in epochs {
            self.sequence = epoch.sequence;
            let event = Event::default().id(epoch.sequence.to_string()).event("epoch");
            self.waiting.extend(event.json_data(Epoch::from(epoch)).ok());
        }
        Ok(record)
    }

    fn take(&mut self, record: TrainingRecord) {
        if record.status.is_final() && self.waiting.len() < PER_LOOK as usize {
            // Every client that comes back after the end gets the end again: it has no id of its own.
            let event = Event::default().id(self.sequence.to_string()).event("end");
            self.waiting.extend(event.json_data(Training::summary(record)).ok());
            self.ended = true;
            return;
        }
        let state = (record.status.to_string(), format!("{} {:.3}", record.message, record.progress));
        if self.shown.as_ref() != Some(&state) {
            self.shown = Some(state);
            let data = serde_json::json!({
                "status": record.status, "progress": record.progress, "message": record.message,
                "eta_s": record.eta_s,
            });
            self.waiting.extend(Event::default().event("progress").json_data(data).ok());
        }
    }
}
