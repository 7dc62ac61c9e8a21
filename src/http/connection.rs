//! One TCP connection with time limits: on the headers, on writing, and on closing.

use std::{
    io,
    pin::Pin,
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
    task::{Context, Poll, ready},
    time::Duration,
};
use tokio::{
    io::{AsyncRead, AsyncWrite, ReadBuf},
    time::{Instant, Sleep, sleep},
};

/// How long a connection is read after its last answer, where the client may still be sending: if
/// it were closed at once, the reset could overtake the answer, and the client would never see it.
const LINGER: Duration = Duration::from_secs(2);

/// What the request handler tells the connection.
#[derive(Debug, Clone, Default)]
pub struct Phase(Arc<Flags>);

#[derive(Debug, Default)]
struct Flags {
    /// A request is being worked on; it has limits of its own.
    busy: AtomicBool,
    /// The last answer closes the connection, although the client may still be sending.
    linger: AtomicBool,
}

impl Phase {
    /// The headers are complete.
    pub fn request_begins(&self) {
        self.0.busy.store(true, Ordering::Relaxed);
    }

    /// The answer is there.
    pub fn request_ends(&self, closes: bool) {
        self.0.busy.store(false, Ordering::Relaxed);
        if closes {
            self.0.linger.store(true, Ordering::Relaxed);
        }
    }
}

/// The connection.
#[derive(Debug)]
pub struct Connection<S> {
    stream: S,
    phase: Phase,
    header_timeout: Duration,
    write_timeout: Duration,
    /// Runs from the first byte of a request to the end of its headers.
    header_timer: Option<Pin<Box<Sleep>>>,
    /// Runs while the client does not take what is written.
    write_timer: Option<Pin<Box<Sleep>>>,
    /// Runs from the closing of our side.
    linger_timer: Option<Pin<Box<Sleep>>>,
}

impl<S> Connection<S> {
    /// Starts the limit on the headers of the first request.
    pub fn new(stream: S, header_timeout: Duration, write_timeout: Duration) -> (Self, Phase) {
        let phase = Phase::default();
        let connection = Self {
            stream,
            phase: phase.clone(),
            header_timeout,
            write_timeout,
            header_timer: Some(Box::pin(sleep(header_timeout))),
            write_timer: None,
            linger_timer: None,
        };
        (connection, phase)
    }
}

fn timed_out(what: &str) -> io::Error {
    io::Error::new(io::ErrorKind::TimedOut, what.to_owned())
}

impl<S: AsyncRead + Unpin> AsyncRead for Connection<S> {
    fn poll_read(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        let busy = self.phase.0.busy.load(Ordering::Relaxed);
        if busy {
            self.header_timer = None;
        }
        let before = buffer.filled().len();
        match Pin::new(&mut self.stream).poll_read(cx, buffer) {
            Poll::Ready(Ok(())) => {
                let received = buffer.filled().len() > before;
                if received && !busy && self.header_timer.is_none() {
                    self.header_timer = Some(Box::pin(sleep(self.header_timeout)));
                }
                Poll::Ready(Ok(()))
            }
            Poll::Ready(Err(error)) => Poll::Ready(Err(error)),
            Poll::Pending => {
                let Some(timer) = &mut self.header_timer else { return Poll::Pending };
                ready!(timer.as_mut().poll(cx));
                Poll::Ready(Err(timed_out("the headers came too slowly")))
            }
        }
    }
}

impl<S: AsyncRead + AsyncWrite + Unpin> Connection<S> {
    fn watch_write<T>(&mut self, cx: &mut Context<'_>, outcome: Poll<io::Result<T>>) -> Poll<io::Result<T>> {
        if outcome.is_ready() {
            self.write_timer = None;
            return outcome;
        }
        let limit = self.write_timeout;
        let timer = self.write_timer.get_or_insert_with(|| Box::pin(sleep(limit)));
        ready!(timer.as_mut().poll(cx));
        Poll::Ready(Err(timed_out("the client does not take the answer")))
    }
}

impl<S: AsyncRead + AsyncWrite + Unpin> AsyncWrite for Connection<S> {
    fn poll_write(mut self: Pin<&mut Self>, cx: &mut Context<'_>, bytes: &[u8]) -> Poll<io::Result<usize>> {
        let outcome = Pin::new(&mut self.stream).poll_write(cx, bytes);
        self.watch_write(cx, outcome)
    }

    fn poll_write_vectored(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        slices: &[io::IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        let outcome = Pin::new(&mut self.stream).poll_write_vectored(cx, slices);
        self.watch_write(cx, outcome)
    }

    fn is_write_vectored(&self) -> bool {
        self.stream.is_write_vectored()
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        let outcome = Pin::new(&mut self.stream).poll_flush(cx);
        self.watch_write(cx, outcome)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        if self.linger_timer.is_none() {
            ready!(Pin::new(&mut self.stream).poll_shutdown(cx))?;
            if !self.phase.0.linger.load(Ordering::Relaxed) {
                return Poll::Ready(Ok(()));
            }
            self.linger_timer = Some(Box::pin(sleep(LINGER)));
        }
        let this = &mut *self;
        let mut scratch = [0; 8192];
        // Timed by the clock too: a client that never stops sending never lets the timer be polled.
        let deadline = this.linger_timer.as_ref().map_or_else(Instant::now, |timer| timer.deadline());
        while Instant::now() < deadline {
            let mut buffer = ReadBuf::new(&mut scratch);
            match Pin::new(&mut this.stream).poll_read(cx, &mut buffer) {
                Poll::Ready(Ok(())) if !buffer.filled().is_empty() => {}
                Poll::Ready(_) => return Poll::Ready(Ok(())),
                Poll::Pending => break,
            }
        }
        match &mut this.linger_timer {
            Some(timer) => timer.as_mut().poll(cx).map(Ok),
            None => Poll::Ready(Ok(())),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use tokio::io::{AsyncReadExt, AsyncWriteExt, duplex};

    const LIMIT: Duration = Duration::from_millis(50);

    #[tokio::test]
    async fn slow_headers_end_the_connection() {
        let (mut client, server) = duplex(64);
        let (mut connection, _phase) = Connection::new(server, LIMIT, LIMIT);
        client.write_all(b"GET / HT").await.unwrap();
        let mut text = [0; 8];
        connection.read_exact(&mut text).await.unwrap();
        let error = connection.read(&mut text).await.unwrap_err();
        assert_eq!(error.kind(), io::ErrorKind::TimedOut);
    }

    #[tokio::test]
    async fn a_request_under_work_and_the_pause_after_it_have_no_header_limit() {
        let (mut client, server) = duplex(64);
        let (mut connection, phase) = Connection::new(server, LIMIT, LIMIT);
        phase.request_begins();
        let mut text = [0; 8];
        assert!(tokio::time::timeout(3 * LIMIT, connection.read(&mut text)).await.is_err());
        phase.request_ends(false);
        assert!(tokio::time::timeout(3 * LIMIT, connection.read(&mut text)).await.is_err());
        client.write_all(b"GET").await.unwrap();
        assert_eq!(connection.read(&mut text).await.unwrap(), 3);
        assert!(connection.read(&mut text).await.is_err());
    }

    #[tokio::test]
    async fn a_client_that_does_not_read_is_left() {
        let (_client, server) = duplex(64);
        let (mut connection, _phase) = Connection::new(server, LIMIT, LIMIT);
        assert_eq!(connection.write_all(&[7; 1000]).await.unwrap_err().kind(), io::ErrorKind::TimedOut);
    }
}
