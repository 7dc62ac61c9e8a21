//! A reader for `multipart/form-data` (RFC 7578) that never holds more than a piece of the body.
//!
//! The general parsers buffer the head of a part without a limit, so that one endless head fills
//! the memory. Here everything has a limit, and what is malformed is refused at the first byte:
//!
//! ```text
//! next_part --> Some(part)   then   piece, piece, ... None   then   next_part again
//!          \--> None: the closing boundary was read
//! ```

use super::{
    body::LimitedBody,
    error::{Problem, Slug},
};
use bytes::{Bytes, BytesMut};

const MAX_BOUNDARY: usize = 70;
const MAX_PARTS: usize = 16;
const MAX_HEAD_BYTES: usize = 8 << 10;

/// The head of a part.
#[derive(Debug, PartialEq, Eq)]
pub struct Part {
    /// The name of the field.
    pub name: String,
    /// The name of the file, where it is one.
    pub filename: Option<String>,
}

/// The reader.
#[derive(Debug)]
pub struct Multipart {
    body: LimitedBody,
    buffer: BytesMut,
    /// `\r\n--boundary`: what ends a part. The first boundary lacks the line break before it.
    delimiter: Vec<u8>,
    ended: bool,
    in_part: bool,
    n_parts: usize,
}

fn malformed(detail: impl Into<String>) -> Problem {
    Problem::new(Slug::MalformedMultipart, detail.into()).closing()
}

impl Multipart {
    /// Reads `body` as its `Content-Type` says.
    pub fn new(content_type: &str, body: LimitedBody) -> Result<Self, Problem> {
        let boundary = parameters(content_type)
            .find(|(name, _)| name == "boundary")
            .map(|(_, value)| value)
            .filter(|value| !value.is_empty())
            .ok_or_else(|| malformed("the Content-Type names no boundary"))?;
        if boundary.len() > MAX_BOUNDARY {
            return Err(malformed(format!("the boundary is longer than {MAX_BOUNDARY} characters")));
        }
        let delimiter = format!("\r\n--{boundary}").into_bytes();
        // With the line break put in front, the first boundary looks like every other.
        Ok(Self { body, buffer: BytesMut::from("\r\n"), delimiter, ended: false, in_part: false, n_parts: 0 })
    }

    /// Goes to the next part, over what is left of this one.
    pub async fn next_part(&mut self) -> Result<Option<Part>, Problem> {
        if self.n_parts == 0 {
            // Text before the first boundary is allowed and ignored; it is not a part.
            self.in_part = true;
        }
        while self.piece().await?.is_some() {}
        if self.ended {
            return Ok(None);
        }
        self.n_parts += 1;
        if self.n_parts > MAX_PARTS {
            return Err(malformed(format!("there are more than {MAX_PARTS} parts")));
        }
        let head = self.head().await?;
        self.in_part = true;
        parse_head(&head).map(Some)
    }

    /// The next piece of this part; `None` at its end.
    pub async fn piece(&mut self) -> Result<Option<Bytes>, Problem> {
        while self.in_part {
            if let Some(at) = find(&self.buffer, &self.delimiter) {
                if at > 0 {
                    return Ok(Some(self.buffer.split_to(at).freeze()));
                }
                self.after_delimiter().await?;
                self.in_part = false;
                continue;
            }
            // The end of the buffer may be the beginning of the delimiter.
            let safe = self.buffer.len().saturating_sub(self.delimiter.len());
            if safe > 0 {
                return Ok(Some(self.buffer.split_to(safe).freeze()));
            }
            self.fill().await?;
        }
        Ok(None)
    }

    /// A whole part that is expected to be short.
    pub async fn text(&mut self, name: &str, limit: usize) -> Result<String, Problem> {
        let mut bytes = Vec::new();
        while let Some(piece) = self.piece().await? {
            bytes.extend_from_slice(&piece);
            if bytes.len() > limit {
                return Err(malformed(format!("the part `{name}` is longer than {limit} bytes")));
            }
        }
        String::from_utf8(bytes).map_err(|_| malformed(format!("the part `{name}` is not UTF-8")))
    }

    /// Takes a boundary from the front of the buffer: `--` makes it the last, a line break makes it
    /// one between parts, anything else is refused.
    async fn after_delimiter(&mut self) -> Result<(), Problem> {
        let n = self.delimiter.len();
        while self.buffer.len() < n + 2 {
            self.fill().await?;
        }
        match &self.buffer[n..n + 2] {
            b"--" => self.ended = true,
            b"\r\n" => {}
            _ => return Err(malformed("a boundary is not followed by a line break")),
        }
        let _ = self.buffer.split_to(n + 2);
        Ok(())
    }

    async fn head(&mut self) -> Result<Bytes, Problem> {
        loop {
            if let Some(at) = find(&self.buffer, b"\r\n\r\n") {
                if at > MAX_HEAD_BYTES {
                    break;
                }
                let head = self.buffer.split_to(at + 4).freeze();
                return Ok(head.slice(..at));
            }
            if self.buffer.len() > MAX_HEAD_BYTES {
                break;
            }
            self.fill().await?;
        }
        Err(malformed(format!("the head of a part is longer than {MAX_HEAD_BYTES} bytes")))
    }

    async fn fill(&mut self) -> Result<(), Problem> {
        match self.body.next().await? {
            Some(piece) => {
                self.buffer.extend_from_slice(&piece);
                Ok(())
            }
            None => Err(malformed("the form is cut off: its closing boundary is missing")),
        }
    }
}

/// Where `needle` begins. Looks at its first byte alone until that one fits.
fn find(haystack: &[u8], needle: &[u8]) -> Option<usize> {
    let mut from = 0;
    while let Some(at) = haystack[from..].iter().position(|byte| *byte == needle[0]) {
        let at = from + at;
        if haystack.len() - at < needle.len() {
            return None;
        }
        if haystack[at..].starts_with(needle) {
            return Some(at);
        }
        from = at + 1;
    }
    None
}

fn parse_head(head: &[u8]) -> Result<Part, Problem> {
    let head = std::str::from_utf8(head).map_err(|_| malformed("the head of a part is not UTF-8"))?;
    let disposition = head
        .split("\r\n")
        .filter_map(|line| line.split_once(':'))
        .find(|(name, _)| name.trim().eq_ignore_ascii_case("content-disposition"))
        .map(|(_, value)| value.trim())
        .ok_or_else(|| malformed("a part has no Content-Disposition"))?;
    let mut part = Part { name: String::new(), filename: None };
    let mut named = false;
    for (name, value) in parameters(disposition) {
        match name.as_str() {
            "name" => {
                part.name = value;
                named = true;
            }
            "filename" => part.filename = Some(value),
            _ => {}
        }
    }
    if named { Ok(part) } else { Err(malformed("a part has no name")) }
}

/// The `name=value` pairs behind the first semicolon. Quoted values may hold semicolons, and
/// quotes behind a backslash.
fn parameters(header: &str) -> impl Iterator<Item = (String, String)> {
    let mut rest = header.split_once(';').map_or("", |(_, rest)| rest);
    std::iter::from_fn(move || {
        rest = rest.trim_start_matches([' ', ';', '\t']);
        let (name, tail) = rest.split_once('=')?;
        let name = name.trim().to_ascii_lowercase();
        let Some(quoted) = tail.strip_prefix('"') else {
            let end = tail.find(';').unwrap_or(tail.len());
            rest = &tail[end..];
            return Some((name, tail[..end].trim().to_owned()));
        };
        let mut value = String::new();
        let mut characters = quoted.char_indices();
        while let Some((at, character)) = characters.next() {
            match character {
                '"' => {
                    rest = &quoted[at + 1..];
                    return Some((name, value));
                }
                // Browsers escape nothing but the quote; old ones send a backslash as it is.
                '\\' if quoted[at + 1..].starts_with('"') => {
                    characters.next();
                    value.push('"');
                }
                _ => value.push(character),
            }
        }
        rest = "";
        Some((name, value))
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::{Settings, Size};
    use axum::{body::Body, http::HeaderMap};

    /// Hands the form over in pieces of `size` bytes, so that every boundary is cut somewhere.
    fn reader(form: &str, size: usize) -> Multipart {
        let pieces: Vec<_> = form
            .as_bytes()
            .chunks(size)
            .map(|piece| Ok::<_, std::io::Error>(Bytes::copy_from_slice(piece)))
            .collect();
        let body = Body::from_stream(futures::stream::iter(pieces));
        let server = Settings::defaults().server;
        let body = LimitedBody::new(&HeaderMap::new(), body, &server, Size(1 << 20), "X").unwrap();
        Multipart::new("multipart/form-data; boundary=\"B\"", body).unwrap()
    }

    async fn read(form: &str, size: usize) -> Result<Vec<(Part, String)>, Problem> {
        let mut reader = reader(form, size);
        let mut parts = Vec::new();
        while let Some(part) = reader.next_part().await? {
            let text = reader.text(&part.name, 1 << 20).await?;
            parts.push((part, text));
        }
        Ok(parts)
    }

    const FORM: &str = "before\r\n--B\r\nContent-Disposition: form-data; name=\"decimal\"\r\n\r\n,\r\n--B\r\n\
        content-disposition: form-data; name=file; filename=\"a \\\"b\\\"; c.csv\"\r\nContent-Type: text/csv\r\n\r\n\
        x\r\n--\r\n-Bulk?\r\n--B--\r\nafter";

    #[tokio::test]
    async fn parts_are_the_same_however_the_body_is_cut() {
        for size in 1..FORM.len() {
            let parts = read(FORM, size).await.unwrap();
            assert_eq!(parts.len(), 2);
            assert_eq!((parts[0].0.name.as_str(), parts[0].1.as_str()), ("decimal", ","));
            assert_eq!(parts[1].0.filename.as_deref(), Some("a \"b\"; c.csv"));
            assert_eq!(parts[1].1, "x\r\n--\r\n-Bulk?");
        }
    }

    #[tokio::test]
    async fn what_is_malformed_is_refused() {
        let head = "--B\r\nContent-Disposition: form-data; name=a\r\n\r\n";
        let check = async |form: String, part: &str| {
            let problem = read(&form, 1000).await.unwrap_err();
            assert_eq!(problem.slug(), Slug::MalformedMultipart);
            assert!(format!("{problem:?}").contains(part), "{problem:?}");
        };
        check(String::new(), "cut off").await;
        check(format!("{head}abc"), "cut off").await;
        check(format!("{head}abc\r\n--B"), "cut off").await;
        check(format!("{head}abc\r\n--Bulk"), "line break").await;
        check("-".repeat(100_000), "cut off").await;
        check(format!("--B\r\nX: {}", "y".repeat(10_000)), "head of a part").await;
        check("--B\r\nX: y\r\n\r\nabc\r\n--B--".to_owned(), "Content-Disposition").await;
        check("--B\r\nContent-Disposition: form-data\r\n\r\nabc\r\n--B--".to_owned(), "no name").await;
        check(format!("{}--B--", format!("{head}abc\r\n").repeat(10_000)), "more than 16 parts").await;
        let body = || {
            LimitedBody::new(&HeaderMap::new(), Body::empty(), &Settings::defaults().server, Size(9), "X")
                .unwrap()
        };
        assert!(Multipart::new("multipart/form-data", body()).is_err());
        assert!(
            Multipart::new(&format!("multipart/form-data; boundary={}", "x".repeat(71)), body()).is_err()
        );
    }
}
