//! A look into a zip archive before the workbook reader sees it: what it is, and whether it tells
//! the truth about its sizes. Everything is inflated once and counted; nothing is kept and nothing
//! is written to disk.

use super::{
    error::{Problem, ReadError},
    format,
    options::ReadLimits,
    sheet_cells::Kind,
    source::{ReadSeek, Source},
};
use std::{
    collections::HashSet,
    io::{BufReader, Read},
};
use zip::{ZipArchive, result::ZipError};

/// The ratio is looked at once this much has been inflated: small parts compress well.
const RATIO_FROM_BYTES: u64 = 10 << 20;
/// The shortest XML of one shared string.
const MIN_STRING_BYTES: u64 = 5;

/// Checks the archive of what should be a workbook, and says which kind it is.
pub(super) fn check(
    source: Source<'_>,
    named_as_workbook: bool,
    limits: &ReadLimits,
) -> Result<Kind, ReadError> {
    let stored_bytes = size(source)?;
    let mut archive = ZipArchive::new(BufReader::new(source.open()?)).map_err(|error| {
        if named_as_workbook {
            malformed(&format!("its zip archive is damaged: {error}"))
        } else {
            format::unsupported("a damaged zip archive", "upload the table itself")
        }
    })?;
    let names = member_names(&mut archive, named_as_workbook)?;
    let kind = kind(&names, named_as_workbook)?;
    let mut seen = HashSet::new();
    if let Some(twice) = names.iter().find(|name| !seen.insert(name.to_lowercase().replace('\\', "/"))) {
        return Err(malformed(&format!(
            "ambiguous archive: two members are called '{}'",
            super::error::shorten(twice)
        )));
    }
    if archive.has_duplicate_names() {
        return Err(malformed("ambiguous archive: two members have one name"));
    }
    let mut inflated_bytes = 0;
    for (i, name) in names.iter().enumerate() {
        let member = archive.by_index(i).map_err(|error| zip_error(&error))?;
        let lower = name.to_lowercase();
        // Only XML and binary sheets are ever read; pictures and macros stay as they are.
        let is_read = [".xml", ".rels", ".vml", ".bin"].iter().any(|extension| lower.ends_with(extension));
        if is_read && !lower.ends_with("vbaproject.bin") {
            let n = inflate(member, &lower, stored_bytes, inflated_bytes, limits)?;
            inflated_bytes += n;
        }
    }
    Ok(kind)
}

fn size(source: Source<'_>) -> Result<u64, ReadError> {
    Ok(source.open()?.seek(std::io::SeekFrom::End(0))?)
}

fn member_names(
    archive: &mut ZipArchive<BufReader<Box<dyn ReadSeek + '_>>>,
    named_as_workbook: bool,
) -> Result<Vec<String>, ReadError> {
    let mut names = Vec::with_capacity(archive.len());
    for i in 0..archive.len() {
        let entry = archive.by_index_raw(i).map_err(|error| {
            if named_as_workbook {
                zip_error(&error)
            } else {
                format::unsupported("a damaged zip archive", "upload the table itself")
            }
        })?;
        if entry.encrypted() {
            return Err(ReadError::PasswordProtected(Problem::new(
                "the archive is protected by a password; save it without one and upload it again",
            )));
        }
        names.push(String::from_utf8_lossy(entry.name_raw()).into_owned());
    }
    Ok(names)
}

/// Tells a workbook from the other things that are zip archives.
fn kind(names: &[String], named_as_workbook: bool) -> Result<Kind, ReadError> {
    let has = |wanted: &str| names.iter().any(|name| name.replace('\\', "/").eq_ignore_ascii_case(wanted));
    if has("xl/workbook.bin") {
        return Ok(Kind::Xlsb);
    }
    if has("content.xml") && has("mimetype") {
        return Ok(Kind::Ods);
    }
    if has("word/document.xml") {
        return Err(format::unsupported("a Word document", "copy the table into a spreadsheet"));
    }
    if has("[Content_Types].xml") || has("xl/workbook.xml") {
        return Ok(Kind::Xlsx);
    }
    if named_as_workbook {
        return Err(malformed("its archive has no workbook in it"));
    }
    let member = names
        .first()
        .map_or_else(|| "nothing".to_owned(), |name| format!("'{}'", super::error::shorten(name)));
    Err(format::unsupported(&format!("a zip archive (holding {member})"), "unpack it first"))
}

/// Inflates one member, counting. The sizes in its header are not trusted.
fn inflate(
    mut member: impl Read,
    name: &str,
    stored_bytes: u64,
    before: u64,
    limits: &ReadLimits,
) -> Result<u64, ReadError> {
    let mut buffer = vec![0; 1 << 16];
    let mut n_bytes = 0u64;
    let mut declared_strings = None;
    loop {
        let n = member
            .read(&mut buffer)
            .map_err(|error| malformed(&format!("'{name}' cannot be inflated: {error}")))?;
        if n == 0 {
            break;
        }
        if n_bytes == 0 {
            // Old OpenDocument writers name the manifest's type; they define nothing with it.
            if name != "meta-inf/manifest.xml" {
                refuse_doctype(&buffer[..n], name)?;
            }
            if name.ends_with("sharedstrings.xml") {
                declared_strings = unique_count(&buffer[..n]);
            }
        }
        n_bytes += n as u64;
        let total = before + n_bytes;
        let is_bomb = total > RATIO_FROM_BYTES && total / stored_bytes.max(1) > limits.max_inflate_ratio;
        if total > limits.max_inflated_bytes || is_bomb {
            return Err(ReadError::InflatedTooLarge(Problem::new(format!(
                "the workbook of {stored_bytes} bytes grows to more than {total} bytes when it is unpacked; allowed are {} bytes and {} times its size. Save only the sheet with the table, or as .csv",
                limits.max_inflated_bytes, limits.max_inflate_ratio
            ))));
        }
    }
    // The reader reserves memory by this count before it has read one string.
    match declared_strings {
        Some(n) if n > 1 << 16 && n > n_bytes / MIN_STRING_BYTES => Err(malformed(&format!(
            "it declares {n} shared strings, more than the {n_bytes} bytes of '{name}' can hold"
        ))),
        _ => Ok(n_bytes),
    }
}

/// A document type can define entities that grow without bound or name other files. No spreadsheet
/// program writes one.
fn refuse_doctype(start: &[u8], name: &str) -> Result<(), ReadError> {
    if start.windows(9).any(|piece| piece.eq_ignore_ascii_case(b"<!doctype")) {
        return Err(malformed(&format!(
            "'{name}' has a document type declaration, which no spreadsheet program writes"
        )));
    }
    Ok(())
}

fn unique_count(start: &[u8]) -> Option<u64> {
    let key = b"uniqueCount=";
    let at = start.windows(key.len()).position(|piece| piece == key)? + key.len() + 1;
    let digits: String = start
        .get(at..)?
        .iter()
        .take_while(|byte| byte.is_ascii_digit())
        .map(|byte| char::from(*byte))
        .collect();
    digits.parse().ok()
}

fn zip_error(error: &ZipError) -> ReadError {
    malformed(&format!("its zip archive is damaged: {error}"))
}

/// A broken workbook: `what` completes "the workbook cannot be read: ".
pub(super) fn malformed(what: &str) -> ReadError {
    ReadError::MalformedWorkbook(Problem::new(format!(
        "the workbook cannot be read: {}. Open it in a spreadsheet program and save it again as .xlsx, or as .csv",
        what.trim_end_matches('.')
    )))
}
