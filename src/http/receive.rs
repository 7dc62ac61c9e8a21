//! An upload on its way to the disk: the bytes go to a temporary file while they are hashed.

use super::{
    body::LimitedBody,
    error::{Problem, Slug},
    multipart::Multipart,
};
use crate::{
    app::{App, TempFile},
    hash::hex,
};
use axum::{
    body::Body,
    http::{HeaderMap, header},
};
use bytes::Bytes;
use sha2::{Digest, Sha256};
use std::{
    fs::File,
    io::{self, Write},
};

/// Longest option in a form.
const MAX_OPTION_BYTES: usize = 64 << 10;
/// The hash and the disk get pieces of about this size: each is a trip to the blocking pool.
const PIECE_BYTES: usize = 256 << 10;

/// A file that was received. It is removed when this value is dropped, on every way out.
#[derive(Debug)]
pub struct Received {
    /// Where it is.
    pub file: TempFile,
    /// SHA-256 in hexadecimal.
    pub sha256: String,
    /// Its length.
    pub size_bytes: u64,
    /// The name that the client gave it; empty if none.
    pub filename: String,
}

/// Takes an option of a form, by name.
pub type SetOption<'a> = &'a mut (dyn FnMut(&str, String) -> Result<(), Problem> + Send);

/// Takes the file and the options from a form, or the file alone from a plain body.
pub async fn receive(
    app: &App,
    headers: &HeaderMap,
    body: Body,
    set_option: SetOption<'_>,
) -> Result<Received, Problem> {
    let server = &app.settings().server;
    let content_type = match headers.get(header::CONTENT_TYPE).map(|value| value.to_str()) {
        Some(Ok(text)) => text,
        Some(Err(_)) | None => "",
    };
    let essence = content_type.split(';').next().unwrap_or_default().trim().to_ascii_lowercase();
    let body = LimitedBody::new(headers, body, server, server.max_upload, "TAQICFD_MAX_UPLOAD")?;
    match essence.as_str() {
        "multipart/form-data" => from_form(app, Multipart::new(content_type, body)?, set_option).await,
        // What browsers and curl send for a form without a file, and what no spreadsheet is.
        "application/x-www-form-urlencoded" | "application/json" => Err(Problem::new(
            Slug::UnsupportedMediaType,
            format!(
                "the body is {essence}; send multipart/form-data with a part named `file` (curl -F file=@data.csv), \
                 or the bytes of the file with Content-Type: text/csv (curl --data-binary @data.csv -H ...)"
            ),
        )
        .closing()),
        _ => from_body(app, body).await,
    }
}

async fn from_form(app: &App, mut form: Multipart, set_option: SetOption<'_>) -> Result<Received, Problem> {
    let mut received = None;
    while let Some(part) = form.next_part().await? {
        if part.name == "file" {
            if received.is_some() {
                return Err(Problem::new(
                    Slug::MalformedMultipart,
                    "there are two parts named `file`; send one file at a time",
                )
                .closing());
            }
            let mut sink = Sink::open(app).await?;
            while let Some(piece) = form.piece().await? {
                sink.push(piece).await?;
            }
            received = Some(sink.finish(part.filename.unwrap_or_default()).await?);
        } else {
            let text = form.text(&part.name, MAX_OPTION_BYTES).await?;
            set_option(&part.name, text).map_err(Problem::closing)?;
        }
    }
    received.ok_or_else(|| {
        Problem::new(Slug::MalformedMultipart, "the form has no part named `file`: curl -F file=@data.csv")
    })
}

async fn from_body(app: &App, mut body: LimitedBody) -> Result<Received, Problem> {
    let mut sink = Sink::open(app).await?;
    while let Some(piece) = body.next().await? {
        sink.push(piece).await?;
    }
    let received = sink.finish(String::new()).await?;
    if received.size_bytes == 0 {
        return Err(Problem::new(Slug::MissingBody, "there is no body; send the bytes of the file"));
    }
    Ok(received)
}

/// Writes and hashes in the blocking pool, a few pieces at a time.
struct Sink {
    file: TempFile,
    writer: Option<Writer>,
    waiting: Vec<Bytes>,
    waiting_bytes: usize,
}

struct Writer {
    file: File,
    hash: Sha256,
    size_bytes: u64,
}

impl Sink {
    async fn open(app: &App) -> Result<Self, Problem> {
        let file = TempFile::new(&app.temp_dir(), "upload");
        let path = file.path().to_owned();
        let writer = blocking(move || {
            let file = File::options().write(true).create_new(true).open(path)?;
            Ok(Writer { file, hash: Sha256::new(), size_bytes: 0 })
        })
        .await?;
        Ok(Self { file, writer: Some(writer), waiting: Vec::new(), waiting_bytes: 0 })
    }

    async fn push(&mut self, piece: Bytes) -> Result<(), Problem> {
        self.waiting_bytes += piece.len();
        self.waiting.push(piece);
        if self.waiting_bytes >= PIECE_BYTES { self.write().await } else { Ok(()) }
    }

    async fn write(&mut self) -> Result<(), Problem> {
        let pieces = std::mem::take(&mut self.waiting);
        self.waiting_bytes = 0;
        let mut writer =
            self.writer.take().expect("it is put back unless writing failed, which ends the upload");
        let writer = blocking(move || {
            for piece in &pieces {
                writer.file.write_all(piece)?;
                writer.hash.update(piece);
                writer.size_bytes += piece.len() as u64;
            }
            Ok(writer)
        })
        .await?;
        self.writer = Some(writer);
        Ok(())
    }

    /// Makes the file durable.
    async fn finish(mut self, filename: String) -> Result<Received, Problem> {
        self.write().await?;
        let Writer { file, hash, size_bytes } =
            self.writer.take().expect("it is put back unless writing failed, which ends the upload");
        blocking(move || file.sync_all()).await?;
        let sha256 = hex(&hash.finalize());
        Ok(Received { file: self.file, sha256, size_bytes, filename })
    }
}

async fn blocking<T: Send + 'static>(
    work: impl FnOnce() -> io::Result<T> + Send + 'static,
) -> Result<T, Problem> {
    match tokio::task::spawn_blocking(work).await {
        Ok(Ok(value)) => Ok(value),
        Ok(Err(error))
            if matches!(error.kind(), io::ErrorKind::StorageFull | io::ErrorKind::QuotaExceeded) =>
        {
            Err(Problem::new(Slug::InsufficientStorage, "the disk became full while the file was written")
                .closing())
        }
        Ok(Err(error)) => Err(Problem::internal(error).closing()),
        Err(error) => Err(Problem::internal(error).closing()),
    }
}

/// The name of a file as it is kept: a label, never a path. Control characters and marks that
/// reorder text are taken out, and it gets at most 255 bytes.
pub fn clean_filename(raw: &str) -> String {
    let last = raw.rsplit(['/', '\\']).next().unwrap_or_default();
    let mut name: String = last
        .chars()
        .filter(|c| {
            !c.is_control()
                && !matches!(c, '\u{200e}' | '\u{200f}' | '\u{202a}'..='\u{202e}' | '\u{2066}'..='\u{2069}')
        })
        .collect();
    while name.len() > 255 {
        name.pop();
    }
    let name = name.trim();
    if name.is_empty() || name.chars().all(|c| c == '.') { "upload".to_owned() } else { name.to_owned() }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn filenames_become_harmless_labels() {
        let check = |raw: &str, expected: &str| assert_eq!(clean_filename(raw), expected, "{raw}");
        check("ensaio.csv", "ensaio.csv");
        check("../../etc/passwd", "passwd");
        check("C:\\data\\a.xlsx", "a.xlsx");
        check("a\0b\r\n.csv", "ab.csv");
        check("safe\u{202e}vsc.exe", "safevsc.exe");
        check("CON", "CON");
        check("🚀.csv", "🚀.csv");
        check("..", "upload");
        check("", "upload");
        assert_eq!(clean_filename(&"é".repeat(4000)).len(), 254);
    }
}
