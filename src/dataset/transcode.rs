//! Readers that change the text as it passes: an encoding into UTF-8, old line ends into new ones.

use encoding_rs::{Decoder, DecoderResult};
use std::io::{self, Read};

/// Bytes that are looked at, decoded and handed on at once.
pub(super) const PIECE: usize = 1 << 18;

/// Bytes that the encoding does not have.
#[derive(Debug, thiserror::Error)]
#[error("bytes that are no {encoding}")]
pub(super) struct Undecodable {
    pub(super) encoding: &'static str,
    /// Line feeds of the same piece that stand before them.
    pub(super) n_feeds_before: u64,
}

/// Bytes that were made but not handed on yet; callers may read with buffers of any size.
#[derive(Default)]
struct Ready {
    bytes: Vec<u8>,
    n_served: usize,
}

impl Ready {
    fn is_empty(&self) -> bool {
        self.n_served == self.bytes.len()
    }

    fn serve(&mut self, output: &mut [u8]) -> usize {
        let rest = &self.bytes[self.n_served..];
        let n = rest.len().min(output.len());
        output[..n].copy_from_slice(&rest[..n]);
        self.n_served += n;
        n
    }

    /// An empty buffer to be filled.
    fn refill(&mut self) -> &mut Vec<u8> {
        self.n_served = 0;
        self.bytes.clear();
        &mut self.bytes
    }
}

/// Decodes a piece at a time.
pub(super) struct Transcoder<R> {
    inner: R,
    decoder: Decoder,
    input: Vec<u8>,
    ready: Ready,
    is_last: bool,
}

impl<R: Read> Transcoder<R> {
    pub(super) fn new(inner: R, decoder: Decoder) -> Self {
        Self { inner, decoder, input: Vec::with_capacity(PIECE), ready: Ready::default(), is_last: false }
    }

    fn fill(&mut self) -> io::Result<()> {
        self.input.clear();
        let n = self.inner.by_ref().take(PIECE as u64).read_to_end(&mut self.input)?;
        self.is_last = n < PIECE;
        let output = self.ready.refill();
        let needed = self.decoder.max_utf8_buffer_length_without_replacement(n).unwrap_or(PIECE * 4);
        output.resize(needed, 0);
        let (result, _, n_written) =
            self.decoder.decode_to_utf8_without_replacement(&self.input, output, self.is_last);
        output.truncate(n_written);
        match result {
            DecoderResult::InputEmpty => Ok(()),
            DecoderResult::Malformed(..) | DecoderResult::OutputFull => {
                let encoding = self.decoder.encoding().name();
                Err(io::Error::other(Undecodable { encoding, n_feeds_before: count_feeds(output) }))
            }
        }
    }
}

impl<R: Read> Read for Transcoder<R> {
    fn read(&mut self, output: &mut [u8]) -> io::Result<usize> {
        while self.ready.is_empty() && !self.is_last {
            self.fill()?;
        }
        Ok(self.ready.serve(output))
    }
}

/// Turns carriage returns that no line feed follows into line feeds.
pub(super) struct LineFeeds<R> {
    inner: R,
    ready: Ready,
    /// Whether the last piece ended in a carriage return, whose successor was not known yet.
    holds_cr: bool,
    is_last: bool,
}

impl<R: Read> LineFeeds<R> {
    pub(super) fn new(inner: R) -> Self {
        Self { inner, ready: Ready::default(), holds_cr: false, is_last: false }
    }

    fn fill(&mut self) -> io::Result<()> {
        let piece = self.ready.refill();
        if self.holds_cr {
            piece.push(b'\r');
        }
        let n = self.inner.by_ref().take(PIECE as u64).read_to_end(piece)?;
        self.is_last = n < PIECE;
        for i in 1..piece.len() {
            if piece[i - 1] == b'\r' && piece[i] != b'\n' {
                piece[i - 1] = b'\n';
            }
        }
        self.holds_cr = false;
        if let Some(last) = piece.last_mut().filter(|last| **last == b'\r') {
            if self.is_last {
                *last = b'\n';
            } else {
                piece.pop();
                self.holds_cr = true;
            }
        }
        Ok(())
    }
}

impl<R: Read> Read for LineFeeds<R> {
    fn read(&mut self, output: &mut [u8]) -> io::Result<usize> {
        while self.ready.is_empty() && !self.is_last {
            self.fill()?;
        }
        Ok(self.ready.serve(output))
    }
}

/// How many lines end in these bytes.
pub(super) fn count_feeds(piece: &[u8]) -> u64 {
    memchr::memchr_iter(b'\n', piece).count() as u64
}
