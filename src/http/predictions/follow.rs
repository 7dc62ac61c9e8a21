//! Following a file by server-sent events.
//!
//! ```text
//! retry: 1000
//!         event: progress   the file as it is      whenever something has changed
//!         event: end        the file as it ended   and the stream ends
//! ```
//!
//! There is nothing to resume: a client that comes back gets the newest state.

use super::{LOOK_AGAIN, Prediction, find};
use crate::{
    app::App,
    http::{
        error::{Problem, Slug},
        extract::{Path, parse_id, require_accept},
        follow::{StreamEvent, stream_of},
    },
    id::PredictionId,
    jobs::Listener,
    storage::predictions,
};
use axum::{
    extract::State,
    http::HeaderMap,
    response::{Response, sse::Event},
};
use futures::Stream;
use std::convert::Infallible;

/// Follow a file that is answered in the background
///
/// Server-sent events: `progress` whenever something has changed, then `end` with the finished file.
#[utoipa::path(get, path = "/predictions/{prediction_id}/events", tag = "predictions",
    params(("prediction_id" = uuid::Uuid, Path)),
    responses((status = 200, content_type = "text/event-stream", body = StreamEvent,
        example = "event: progress\ndata: {\"status\":\"running\",\"progress\":0.41,\"rows\":200000,\"rows_done\":82000}\n\n")))]
pub(super) async fn follow_prediction(
    State(app): State<App>,
    headers: HeaderMap,
    Path(prediction_id): Path<String>,
) -> Result<Response, Problem> {
    require_accept(&headers, "text/event-stream")?;
    let prediction_id: PredictionId = parse_id(&prediction_id, Slug::PredictionNotFound)?;
    let listener = app.live_files().subscribe(prediction_id);
    find(app.db()?, prediction_id).await?;
    Ok(stream_of(events(Following { app, prediction_id, listener, shown: String::new(), ended: false })))
}

struct Following {
    app: App,
    prediction_id: PredictionId,
    listener: Listener<PredictionId>,
    /// What the last event said.
    shown: String,
    ended: bool,
}

fn events(following: Following) -> impl Stream<Item = Result<Event, Infallible>> {
    futures::stream::unfold(following, |mut following| async move {
        while !following.ended {
            if let Some(event) = following.look().await {
                return Some((Ok(event), following));
            }
            let shutdown = following.app.shutdown().clone();
            tokio::select! {
                () = following.listener.changed(LOOK_AGAIN) => {}
                // The client comes back, to this server or another.
                () = shutdown.cancelled() => following.ended = true,
            }
        }
        None
    })
}

impl Following {
    /// What is new, if anything is.
    async fn look(&mut self) -> Option<Event> {
        let db = self.app.db().ok()?;
        let record = match predictions::get(db, self.prediction_id).await {
            Ok(Some(record)) => record,
            Ok(None) => {
                self.ended = true; // it was deleted
                return None;
            }
            // The database is away for a moment: the client keeps its connection.
            Err(error) => {
                tracing::warn!(%error, prediction_id = %self.prediction_id, "cannot follow a file");
                return None;
            }
        };
        self.ended = record.status.is_final();
        let data = serde_json::to_string(&Prediction::of(&self.app, record)).ok()?;
        if data == self.shown {
            return None;
        }
        let event = Event::default().event(if self.ended { "end" } else { "progress" }).data(&data);
        self.shown = data;
        Some(event)
    }
}
