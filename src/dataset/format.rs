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
    /// An OLE2 container: a workbook of Excel 97-2003, unless it holds something else.
    Ole2,
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

/// The stream of a workbook lies at the start of its container, after the tables of sectors.
const FILE_PASS_BYTES: u64 = 1 << 20;
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
        return ole2(source);
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
        "the file is {what}, not a table; {mend}. Read are text tables (.csv, .tsv, .txt, .dat) and workbooks (.xlsx, .xlsm, .xlsb, .xls, .ods)"
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
fn ole2(source: Source<'_>) -> Result<Format, ReadError> {
    let marker: Vec<u8> = "EncryptedPackage".bytes().flat_map(|byte| [byte, 0]).collect();
    if contains(&mut source.open()?, &marker)? || has_file_pass(&source.head(FILE_PASS_BYTES)?) {
        return Err(ReadError::PasswordProtected(Problem::new(
            "the workbook is protected by a password; open it and save it without one, then upload it again",
        )));
    }
    Ok(Format::Ole2)
}

/// Whether an old workbook says that it is encrypted: a `FilePass` record among the first of its
/// stream. A reader that overlooks it takes the scrambled bytes for cells.
fn has_file_pass(head: &[u8]) -> bool {
    const BEGIN: [u8; 8] = [0x09, 0x08, 0x10, 0x00, 0x00, 0x06, 0x05, 0x00];
    const FILE_PASS: u16 = 0x2f;
    const RECORDS: usize = 8;
    // Streams begin at sectors, the smallest of which have 64 bytes.
    let starts = (0..head.len()).step_by(64).filter(|at| head[*at..].starts_with(&BEGIN));
    let mut starts = starts.take(4);
    starts.any(|start| {
        let mut rest = &head[start..];
        for _ in 0..RECORDS {
            let [a, b, c, d, ..] = *rest else { return false };
            if u16::from_le_bytes([a, b]) == FILE_PASS {
                return true;
            }
            let Some(after) = rest.get(4 + usize::from(u16::from_le_bytes([c, d]))..) else { return false };
            rest = after;
        }
        false
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
        assert_eq!(detect(Source::Bytes(&bytes)), Ok(Format::Ole2));
        // A workbook stream in the second sector: begin, then the record that says "encrypted".
        let mut scrambled = bytes.clone();
        scrambled[512..520].copy_from_slice(&[0x09, 0x08, 0x10, 0, 0, 0x06, 0x05, 0]);
        scrambled[532..536].copy_from_slice(&[0x2f, 0, 6, 0]);
        assert_eq!(detect(Source::Bytes(&scrambled)).unwrap_err().slug(), "password-protected");
        // The marker lies across the border of two pieces.
        bytes.truncate((1 << 16) - 5);
        bytes.extend("EncryptedPackage".bytes().flat_map(|byte| [byte, 0]));
        assert_eq!(detect(Source::Bytes(&bytes)).unwrap_err().slug(), "password-protected");
    }
}
