//! Request bodies, with limits on size and on slowness.

use super::error::{Problem, Slug};
use crate::config::{Server, Size};
use axum::{
    body::{Body, BodyDataStream},
    extract::Request,
    http::{HeaderMap, header},
};
use bytes::{Bytes, BytesMut};
use futures::StreamExt;
use std::time::Duration;
use tokio::time::{Instant, timeout_at};

/// A body that is read piece by piece. It refuses to grow over a limit, also when it does not say
/// its length, and to come slower than a rate.
pub struct LimitedBody {
    stream: BodyDataStream,
    limit: Size,
    setting: &'static str,
    received: u64,
    window: Duration,
    window_bytes: u64,
    window_end: Instant,
    window_received: u64,
}

impl std::fmt::Debug for LimitedBody {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("LimitedBody").field("received", &self.received).field("limit", &self.limit).finish()
    }
}

impl LimitedBody {
    /// Refuses at once what says that it is too large; nothing of it is read then.
    pub fn new(
        headers: &HeaderMap,
        body: Body,
        server: &Server,
        limit: Size,
        setting: &'static str,
    ) -> Result<Self, Problem> {
        if declared_length(headers).is_some_and(|length| length > limit.bytes()) {
            return Err(too_large(limit, setting));
        }
        let window = server.body_timeout_s.duration();
        let window_bytes = (server.body_min_rate.bytes() as f64 * window.as_secs_f64()) as u64;
        Ok(Self {
            stream: body.into_data_stream(),
            limit,
            setting,
            received: 0,
            window,
            window_bytes,
            window_end: Instant::now() + window,
            window_received: 0,
        })
    }

    /// The next piece; `None` at the end.
    pub async fn next(&mut self) -> Result<Option<Bytes>, Problem> {
        let piece = timeout_at(self.window_end, self.stream.next()).await;
        let Ok(piece) = piece else {
            return self.window_passed().map(|()| Some(Bytes::new()));
        };
        let Some(piece) = piece else { return Ok(None) };
        let piece = piece.map_err(|error| {
            Problem::new(Slug::BadRequest, format!("the body broke off: {error}")).closing()
        })?;
        self.received += piece.len() as u64;
        self.window_received += piece.len() as u64;
        if self.received > self.limit.bytes() {
            return Err(too_large(self.limit, self.setting));
        }
        if Instant::now() >= self.window_end {
            self.window_passed()?;
        }
        Ok(Some(piece))
    }

    fn window_passed(&mut self) -> Result<(), Problem> {
        if self.window_received < self.window_bytes {
            return Err(Problem::new(
                Slug::RequestTimeout,
                format!(
                    "only {} bytes came in {} s; at least {} are needed in that time",
                    self.window_received,
                    self.window.as_secs_f64(),
                    self.window_bytes,
                ),
            )
            .closing());
        }
        self.window_received = 0;
        self.window_end = Instant::now() + self.window;
        Ok(())
    }
}

/// The whole body in one piece.
pub async fn read(
    request: Request,
    server: &Server,
    limit: Size,
    setting: &'static str,
) -> Result<Bytes, Problem> {
    let (parts, body) = request.into_parts();
    let length = declared_length(&parts.headers).unwrap_or(0).min(limit.bytes());
    let mut body = LimitedBody::new(&parts.headers, body, server, limit, setting)?;
    // A small body nearly always comes in one piece, which is then handed on as it is.
    let Some(first) = body.next().await? else { return Ok(Bytes::new()) };
    if first.len() as u64 == length && length > 0 {
        return Ok(first);
    }
    let mut whole = BytesMut::with_capacity(usize::try_from(length).unwrap_or(0).max(first.len()));
    whole.extend_from_slice(&first);
    while let Some(piece) = body.next().await? {
        whole.extend_from_slice(&piece);
    }
    Ok(whole.freeze())
}

fn declared_length(headers: &HeaderMap) -> Option<u64> {
    headers.get(header::CONTENT_LENGTH)?.to_str().ok()?.parse().ok()
}

fn too_large(limit: Size, setting: &'static str) -> Problem {
    Problem::new(
        Slug::BodyTooLarge,
        format!("the body is larger than {limit}; the server's {setting} sets the limit"),
    )
    .closing()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::Seconds;
    use futures::stream;

    fn limits() -> Server {
        let mut server = crate::config::Settings::defaults().server;
        server.body_timeout_s = Seconds(0.2);
        server.body_min_rate = Size(100);
        server
    }

    fn request(body: Body) -> Request {
        Request::new(body)
    }

    #[tokio::test]
    async fn a_body_that_grows_over_the_limit_is_refused() {
        let pieces = stream::iter((0..10).map(|_| Ok::<_, std::io::Error>(Bytes::from_static(&[7; 100]))));
        let result = read(request(Body::from_stream(pieces)), &limits(), Size(550), "X").await;
        assert_eq!(result.unwrap_err().slug(), Slug::BodyTooLarge);
        let whole = read(request(Body::from("abc")), &limits(), Size(3), "X").await;
        assert_eq!(whole.unwrap().as_ref(), b"abc");
    }

    #[tokio::test]
    async fn a_trickle_is_refused_but_a_slow_steady_body_is_not() {
        let drops = |size: usize| {
            Body::from_stream(stream::unfold(0, move |n| async move {
                tokio::time::sleep(Duration::from_millis(20)).await;
                (n < 25).then(|| (Ok::<_, std::io::Error>(Bytes::from(vec![7; size])), n + 1))
            }))
        };
        let trickle = read(request(drops(1)), &limits(), Size(1000), "X").await;
        assert_eq!(trickle.unwrap_err().slug(), Slug::RequestTimeout);
        let steady = read(request(drops(10)), &limits(), Size(1000), "X").await;
        assert_eq!(steady.unwrap().len(), 250);
    }
}
