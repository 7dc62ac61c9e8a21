//! Where the bytes of a file come from. A file is read several times over rather than held in
//! memory: once to learn what it is, once to read it.

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
    /// Bytes already in memory.
    Bytes(&'a [u8]),
}

/// What a workbook reader needs.
pub(super) trait ReadSeek: Read + Seek {}
impl<T: Read + Seek> ReadSeek for T {}

impl<'a> Source<'a> {
    /// Opens the file at its first byte.
    pub(super) fn open(self) -> io::Result<Box<dyn ReadSeek + 'a>> {
        Ok(match self {
            Self::Path(path) => Box::new(File::open(path)?),
            Self::Bytes(bytes) => Box::new(Cursor::new(bytes)),
        })
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
