//! Where the bytes of a file come from. A file is read several times over rather than held in
//! memory: once to learn what it is, once to read it.

use super::progress::{Phase, Progress};
use std::{
    fs::File,
    io::{self, Cursor, Read, Seek},
    path::Path,
};

/// The bytes of an uploaded file.
#[derive(Debug, Clone, Copy)]
pub enum Source<'a> {
    /// A local file; it is streamed, so memory does not grow with it.
    Path(&'a Path),
    /// The same, whose reading is followed.
    Watched(&'a Path, &'a Progress),
    /// Bytes already in memory.
    Bytes(&'a [u8]),
}

/// Counts the bytes that are read.
struct Counting<'a> {
    file: File,
    progress: &'a Progress,
}

impl Read for Counting<'_> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let n = self.file.read(buffer)?;
        self.progress.add_bytes(n);
        Ok(n)
    }
}

impl Seek for Counting<'_> {
    fn seek(&mut self, position: io::SeekFrom) -> io::Result<u64> {
        self.file.seek(position)
    }
}

/// What a workbook reader needs.
pub(super) trait ReadSeek: Read + Seek {}
impl<T: Read + Seek> ReadSeek for T {}

impl<'a> Source<'a> {
    /// Opens the file at its first byte.
    pub(super) fn open(self) -> io::Result<Box<dyn ReadSeek + 'a>> {
        Ok(match self {
            Self::Path(path) => Box::new(File::open(path)?),
            Self::Watched(path, progress) => Box::new(Counting { file: File::open(path)?, progress }),
            Self::Bytes(bytes) => Box::new(Cursor::new(bytes)),
        })
    }

    /// Begins a phase of the reading in which the whole file is read, where anyone follows it.
    pub(super) fn begin(self, phase: Phase) {
        if let Self::Watched(path, progress) = self {
            progress.begin(phase, path.metadata().map_or(0, |meta| meta.len()));
        }
    }

    /// Counts rows of the table, where anyone follows the reading.
    pub(super) fn add_rows(self, n: u64) {
        if let Self::Watched(_, progress) = self {
            progress.add_rows(n);
        }
    }

    /// Whether the file begins with these bytes.
    pub fn starts_with(self, bytes: &[u8]) -> io::Result<bool> {
        Ok(self.head(bytes.len() as u64)? == bytes)
    }

    /// The first `n` bytes, or all where there are fewer.
    pub(super) fn head(self, n: u64) -> io::Result<Vec<u8>> {
        let mut head = Vec::new();
        self.open()?.take(n).read_to_end(&mut head)?;
        Ok(head)
    }
}

impl<'a> From<&'a Path> for Source<'a> {
    fn from(path: &'a Path) -> Self {
        Self::Path(path)
    }
}

impl<'a> From<&'a [u8]> for Source<'a> {
    fn from(bytes: &'a [u8]) -> Self {
        Self::Bytes(bytes)
    }
}
