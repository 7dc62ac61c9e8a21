//! Keep-alive connections, each sending its next request when the answer to the last has come.

use super::client::request;
use std::{
    net::SocketAddr,
    time::{Duration, Instant},
};
use tokio::io::{AsyncReadExt, AsyncWriteExt};

const WARM_UP: Duration = Duration::from_millis(500);
const MEASURED: Duration = Duration::from_secs(3);

/// What was measured.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Load {
    pub(crate) per_second: f64,
    pub(crate) p50_ms: f64,
    pub(crate) p99_ms: f64,
}

/// Sends `body` to `path` for some seconds, from one thread.
pub(crate) fn measure(address: SocketAddr, path: &str, body: &str, connections: usize) -> Load {
    let request = request("POST", path, "application/json", body.as_bytes(), "keep-alive");
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().expect("a runtime");
    let mut times = runtime.block_on(async {
        let begun = Instant::now();
        let clients: Vec<_> = (0..connections)
            .map(|_| tokio::spawn(send_again_and_again(address, request.clone(), begun)))
            .collect();
        let mut times = Vec::new();
        for client in clients {
            times.extend(client.await.expect("a client does not panic"));
        }
        times
    });
    times.sort_by(f64::total_cmp);
    let at = |share: f64| times[((times.len() - 1) as f64 * share) as usize] * 1e3;
    Load { per_second: times.len() as f64 / MEASURED.as_secs_f64(), p50_ms: at(0.5), p99_ms: at(0.99) }
}

/// Seconds of each request that began after the warm-up and ended in the measured time.
async fn send_again_and_again(address: SocketAddr, request: Vec<u8>, begun: Instant) -> Vec<f64> {
    let mut stream = tokio::net::TcpStream::connect(address).await.expect("the server accepts");
    stream.set_nodelay(true).expect("a socket");
    let (mut times, mut answer) = (Vec::new(), Vec::new());
    loop {
        let sent = Instant::now();
        stream.write_all(&request).await.expect("the server reads");
        read_answer(&mut stream, &mut answer).await;
        let now = begun.elapsed();
        if now > WARM_UP + MEASURED {
            return times;
        }
        if now > WARM_UP {
            times.push(sent.elapsed().as_secs_f64());
        }
    }
}

/// Reads one answer, which must be a 200 with its length.
async fn read_answer(stream: &mut tokio::net::TcpStream, answer: &mut Vec<u8>) {
    answer.clear();
    loop {
        let n_read = stream.read_buf(answer).await.expect("the server answers");
        assert!(n_read > 0, "the server has closed the connection");
        let Some(head) = answer.windows(4).position(|window| window == b"\r\n\r\n") else { continue };
        assert!(answer.starts_with(b"HTTP/1.1 200"), "{}", String::from_utf8_lossy(answer));
        let head_text = String::from_utf8_lossy(&answer[..head]).to_ascii_lowercase();
        let length = head_text.split("content-length:").nth(1).and_then(|rest| rest.lines().next());
        let length: usize =
            length.and_then(|text| text.trim().parse().ok()).expect("an answer with its length");
        if answer.len() >= head + 4 + length {
            return;
        }
    }
}
