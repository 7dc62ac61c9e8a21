//! What the bytes are. The name of a file is a hint for messages, never the answer.

use super::{
    error::{Problem, ReadError},
    source::Source,
};
use std::io::{self, Read};

/// A file that we read.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Format {
    /// Text with separators.
    Delimited,
    /// A zip archive; whether it is a workbook is seen from its directory.
    Zip,
}

/// Signatures of what people upload by mistake.
const FOREIGN: &[(&[u8], &str, &str)] = &[
    (b"\x1f\x8b", "gzip-compressed data", "unpack it first"),
    (b"\x28\xb5\x2f\xfd", "zstd-compressed data", "unpack it first"),
    (b"BZh", "bzip2-compressed data", "unpack it first"),
    (b"\xfd7zXZ\0", "xz-compressed data", "unpack it first"),
    (b"7z\xbc\xaf\x27\x1c", "a 7-Zip archive", "unpack it first"),
    (b"Rar!\x1a\x07", "a RAR archive", "unpack it first"),
    (b"\x7fELF", "a program (ELF)", "upload the table itself"),
    (b"MZ\x90\0", "a Windows program", "upload the table itself"),
    (b"%PDF-", "a PDF document", "export the table as .csv or .xlsx"),
    (b"\x89PNG\r\n", "a PNG picture", "upload the table itself"),
    (b"\xff\xd8\xff", "a JPEG picture", "upload the table itself"),
    (b"GIF8", "a GIF picture", "upload the table itself"),
    (b"PAR1", "a Parquet file", "export it as .csv"),
    (b"SQLite format 3\0", "an SQLite database", "export the table as .csv"),
    (b"\x89HDF\r\n", "an HDF5 file", "export the table as .csv"),
    (b"\x93NUMPY", "a NumPy array", "export it with numpy.savetxt"),
];

const OLE2: &[u8] = b"\xd0\xcf\x11\xe0\xa1\xb1\x1a\xe1";

/// Says what `source` is, or refuses it, naming what was found.
pub(super) fn detect(source: Source<'_>) -> Result<Format, ReadError> {
    let head = source.head(4096)?;
    if head.is_empty() {
        return Err(ReadError::EmptyFile(Problem::new(
            "the file has 0 bytes; check the export and upload it again",
        )));
    }
    if head.starts_with(b"PK\x03\x04") || head.starts_with(b"PK\x05\x06") {
        return Ok(Format::Zip);
    }
    if head.starts_with(OLE2) {
        return Err(ole2(source)?);
    }
    if let Some((_, what, mend)) = FOREIGN.iter().find(|(magic, ..)| head.starts_with(magic)) {
        return Err(unsupported(what, mend));
    }
    match markup(&head) {
        Some(what) => Err(unsupported(what, "export the table as .csv or .xlsx")),
        None => Ok(Format::Delimited),
    }
}

/// The refusal that names what was found.
pub(super) fn unsupported(what: &str, mend: &str) -> ReadError {
    ReadError::UnsupportedMediaType(Problem::new(format!(
        "the file is {what}, not a table; {mend}. Read are .csv (also .tsv and .txt with , ; tab or |) and .xlsx"
    )))
}

fn markup(head: &[u8]) -> Option<&'static str> {
    let text = head.strip_prefix(b"\xef\xbb\xbf").unwrap_or(head).trim_ascii_start();
    let lower = text[..text.len().min(256)].to_ascii_lowercase();
    if lower.starts_with(b"<!doctype html") || lower.starts_with(b"<html") {
        Some("an HTML page (a download that asked for a login often gives one)")
    } else if lower.starts_with(b"<?xml") {
        Some("an XML document")
    } else if lower.starts_with(b"{\"") || lower.starts_with(b"[{") || lower.starts_with(b"{\n") {
        Some("a JSON document")
    } else {
        None
    }
}

/// An OLE2 container is an old workbook, or a new one that is encrypted.
fn ole2(source: Source<'_>) -> io::Result<ReadError> {
    let marker: Vec<u8> = "EncryptedPackage".bytes().flat_map(|byte| [byte, 0]).collect();
    Ok(if contains(&mut source.open()?, &marker)? {
        ReadError::PasswordProtected(Problem::new(
            "the workbook is protected by a password; open it and save it without one, then upload it again",
        ))
    } else {
        unsupported("an Excel 97-2003 workbook (.xls) or another OLE2 document", "save it as .xlsx")
    })
}

/// Whether `needle` occurs, reading a piece at a time.
fn contains(reader: &mut dyn Read, needle: &[u8]) -> io::Result<bool> {
    let mut window = Vec::with_capacity(1 << 17);
    loop {
        let n_before = window.len();
        reader.take(1 << 16).read_to_end(&mut window)?;
        if window.len() == n_before {
            return Ok(false);
        }
        if window.windows(needle.len()).any(|piece| piece == needle) {
            return Ok(true);
        }
        window.drain(..window.len().saturating_sub(needle.len() - 1));
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn bytes_decide_not_names() {
        let slug = |bytes: &[u8]| detect(Source::Bytes(bytes)).map_err(|error| error.slug());
        assert_eq!(slug(b"a,b\n1,2\n"), Ok(Format::Delimited));
        assert_eq!(slug(b"PK\x03\x04rest"), Ok(Format::Zip));
        assert_eq!(slug(b""), Err("empty-file"));
        assert_eq!(slug(b"\x1f\x8b\x08"), Err("unsupported-media-type"), "gzip is not inflated");
        assert_eq!(slug(b"\x28\xb5\x2f\xfd"), Err("unsupported-media-type"), "nor is zstd");
        assert_eq!(slug(b"\x7fELF\x02"), Err("unsupported-media-type"));
        assert_eq!(slug(b"\xef\xbb\xbf <!DOCTYPE html><p>"), Err("unsupported-media-type"));
        assert_eq!(slug(b"[{\"a\": 1}]"), Err("unsupported-media-type"));
        assert_eq!(slug(b"{a;b}\n1;2\n"), Ok(Format::Delimited), "a brace alone is no JSON");
    }

    #[test]
    fn an_encrypted_workbook_is_told_from_an_old_one() {
        let mut bytes = OLE2.to_vec();
        bytes.resize(70_000, 0);
        assert_eq!(detect(Source::Bytes(&bytes)).unwrap_err().slug(), "unsupported-media-type");
        // The marker lies across the border of two pieces.
        bytes.truncate((1 << 16) - 5);
        bytes.extend("EncryptedPackage".bytes().flat_map(|byte| [byte, 0]));
        assert_eq!(detect(Source::Bytes(&bytes)).unwrap_err().slug(), "password-protected");
    }
}
