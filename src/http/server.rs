//! The accept loop.
//!
//! `axum::serve` installs no timer, so that a client which sends its headers slowly holds a
//! connection for ever. This loop has a time limit on every state of a connection, and a cap on
//! their number:
//!
//! ```text
//! accepted --headers within header_timeout--> request --answer written--> idle --within idle_timeout--> request
//! ```

use super::{connection::Connection, router};
use crate::{app::App, telemetry};
use axum::{body::Body, extract::Request};
use hyper::body::Incoming;
use hyper_util::rt::{TokioIo, TokioTimer};
use std::{convert::Infallible, io, sync::Arc, time::Duration};
use tokio::{
    net::{TcpListener, TcpStream},
    sync::Semaphore,
    time::{Instant, timeout_at},
};
use tokio_util::{sync::CancellationToken, task::TaskTracker};
use tower::Service;

/// Headers beyond this number are refused by hyper itself, with an empty answer; the middleware
/// refuses from half of it on, with a problem document.
const MAX_HEADER_COUNT: usize = 200;

/// Answers requests until the app shuts down. Returns when the running requests have ended, or
/// the grace period has.
pub async fn serve(app: App, listener: TcpListener) {
    let server = &app.settings().server;
    let grace = server.shutdown_grace_s.duration();
    let permits = Arc::new(Semaphore::new(server.max_connections));
    let connections = TaskTracker::new();
    let close_idle = CancellationToken::new();
    let router = router(app.clone());
    let stopping = app.shutdown().clone();
    // New connections are still taken while the running requests end, so that whoever asks
    // /readyz in that time hears "no" instead of nothing.
    let drained = async {
        stopping.cancelled().await;
        let end = Instant::now() + grace;
        let _ = timeout_at(end, app.requests_ended()).await;
        end
    };
    tokio::pin!(drained);
    let end = loop {
        let permit = tokio::select! {
            end = &mut drained => break end,
            permit = permits.clone().acquire_owned() => permit.expect("the semaphore is never closed"),
        };
        let stream = tokio::select! {
            end = &mut drained => break end,
            accepted = accept(&listener) => accepted,
        };
        let service = router.clone();
        let connection = serve_connection(app.clone(), stream, service, close_idle.clone());
        connections.spawn(async move {
            metrics::gauge!(telemetry::CONNECTIONS).increment(1.0);
            connection.await;
            metrics::gauge!(telemetry::CONNECTIONS).decrement(1.0);
            drop(permit);
        });
    };
    drop(listener);
    close_idle.cancel();
    connections.close();
    // Answers that are still being written get the rest of the time, and a moment in any case.
    let _ = timeout_at(end.max(Instant::now() + Duration::from_millis(500)), connections.wait()).await;
}

async fn accept(listener: &TcpListener) -> TcpStream {
    loop {
        match listener.accept().await {
            Ok((stream, _)) => return stream,
            // Errors of one connection; the next may be fine.
            Err(error)
                if matches!(
                    error.kind(),
                    io::ErrorKind::ConnectionAborted | io::ErrorKind::ConnectionReset
                ) => {}
            Err(error) => {
                // Out of file handles, most likely: wait for some to be closed.
                tracing::warn!(%error, "cannot accept connections");
                tokio::time::sleep(Duration::from_millis(200)).await;
            }
        }
    }
}

async fn serve_connection(app: App, stream: TcpStream, router: axum::Router, close: CancellationToken) {
    // Small answers must not wait for the acknowledgement of the one before.
    let _ = stream.set_nodelay(true);
    let server = &app.settings().server;
    let idle = server.idle_timeout_s.duration();
    let (connection, phase) = Connection::new(stream, server.header_timeout_s.duration(), idle);
    let service = hyper::service::service_fn(move |request: Request<Incoming>| {
        let mut router = router.clone();
        let phase = phase.clone();
        phase.request_begins();
        async move {
            let response = router.call(request.map(Body::new)).await;
            let closes = response.as_ref().is_ok_and(|response| {
                response.headers().get(axum::http::header::CONNECTION).is_some_and(|value| value == "close")
            });
            phase.request_ends(closes);
            response as Result<_, Infallible>
        }
    });
    let mut http = hyper::server::conn::http1::Builder::new();
    // No `pipeline_flush`: it keeps back an answer while unread bytes of the body wait, and so loses
    // the one that refuses a body which is too large.
    // hyper's own timer covers the idle time and the headers after it; `Connection` holds the
    // headers alone to their shorter limit.
    http.timer(TokioTimer::new()).header_read_timeout(idle).max_headers(MAX_HEADER_COUNT);
    let serving = http.serve_connection(TokioIo::new(connection), service);
    tokio::pin!(serving);
    let outcome = tokio::select! {
        outcome = &mut serving => outcome,
        () = close.cancelled() => {
            serving.as_mut().graceful_shutdown();
            serving.await
        }
    };
    if let Err(error) = outcome {
        tracing::debug!(%error, "connection ended");
    }
}
