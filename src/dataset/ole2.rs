//! A look at the container of an old workbook before its reader follows it: the file is cut into
//! sectors, a table says which sector comes after which, and a table that leads in a circle makes a
//! reader that trusts it ask for memory without end.
//!
//! ```text
//! header   48: first sector of the directory   76..512: sectors of the table (109 of them)
//!          68: where their list goes on
//! table    one number per sector: the next one, or an end mark
//! ```

use super::{archive::malformed, error::ReadError, source::Source};
use std::io::{Read, Seek, SeekFrom};

const HEADER_BYTES: usize = 512;
/// Larger numbers are marks, not sectors.
const LAST_SECTOR: u32 = 0xffff_fff9;

/// Refuses a container whose chains of sectors never end.
pub(super) fn check(source: Source<'_>) -> Result<(), ReadError> {
    if has_circle(&table(source)?.0) { Err(circle()) } else { Ok(()) }
}

/// The stream that holds the workbook, where there is one. Short streams, which lie elsewhere, hold
/// none.
pub(super) fn workbook_stream(source: Source<'_>) -> Option<Vec<u8>> {
    const SHORT: u32 = 4096;
    const ENTRY_BYTES: usize = 128;
    let (table, shift) = table(source).ok().filter(|(table, _)| !has_circle(table))?;
    let mut file = source.open().ok()?;
    let mut chain = |mut at: u32| {
        let mut bytes = Vec::new();
        while let Some(next) = table.get(at as usize) {
            file.seek(SeekFrom::Start((u64::from(at) + 1) << shift)).ok()?;
            file.by_ref().take(1 << shift).read_to_end(&mut bytes).ok()?;
            at = *next;
        }
        Some(bytes)
    };
    let directory = chain(*words(source.head(52).ok()?.get(48..)?).first()?)?;
    let is_workbook = |entry: &&[u8]| {
        let name: Vec<u8> = entry[..64].iter().copied().filter(|byte| *byte != 0).collect();
        name.eq_ignore_ascii_case(b"Workbook") || name.eq_ignore_ascii_case(b"Book")
    };
    let entry = directory.chunks_exact(ENTRY_BYTES).find(is_workbook)?;
    let size = words(&entry[120..124])[0];
    let mut stream = chain(words(&entry[116..120])[0]).filter(|_| size >= SHORT)?;
    stream.truncate(size as usize);
    Some(stream)
}

/// For each sector the one after it, and the power of two that is the size of a sector.
fn table(source: Source<'_>) -> Result<(Vec<u32>, u32), ReadError> {
    let mut file = source.open()?;
    let size = file.seek(SeekFrom::End(0))?;
    let header = source.head(HEADER_BYTES as u64)?;
    if header.len() < HEADER_BYTES {
        return Err(malformed("it ends within its first sector"));
    }
    let shift = u32::from(header[30]);
    if shift != 9 && shift != 12 {
        return Err(malformed(&format!("its sectors have 2^{shift} bytes, which no writer makes")));
    }
    let n_sectors = (size >> shift) as usize;
    let mut sector = |i: u32| -> Result<Vec<u32>, ReadError> {
        let mut bytes = Vec::with_capacity(1 << shift);
        file.seek(SeekFrom::Start((u64::from(i) + 1) << shift))?;
        file.by_ref().take(1 << shift).read_to_end(&mut bytes)?;
        Ok(words(&bytes))
    };
    let mut table_sectors: Vec<u32> = words(&header[76..]);
    let mut next = words(&header[68..72])[0];
    let mut n_lists = 0;
    while next <= LAST_SECTOR {
        n_lists += 1;
        if n_lists > n_sectors {
            return Err(circle());
        }
        let mut list = sector(next)?;
        next = list.pop().unwrap_or(u32::MAX);
        table_sectors.extend(list);
    }
    let mut table = Vec::new();
    for i in table_sectors.into_iter().filter(|i| *i <= LAST_SECTOR) {
        table.extend(sector(i)?);
        if table.len() > n_sectors + (1 << shift) {
            break;
        }
    }
    table.truncate(n_sectors);
    Ok((table, shift))
}

fn words(bytes: &[u8]) -> Vec<u32> {
    bytes.chunks_exact(4).map(|word| u32::from_le_bytes([word[0], word[1], word[2], word[3]])).collect()
}

fn circle() -> ReadError {
    malformed("the chain of its sectors leads in a circle")
}

/// Whether following the table from any entry comes back to an entry passed before.
fn has_circle(table: &[u32]) -> bool {
    // 0 is unseen; otherwise the walk that has seen the entry.
    let mut seen = vec![0u32; table.len()];
    for start in 0..table.len() {
        let walk = start as u32 + 1;
        let mut at = start;
        while at < table.len() && seen[at] == 0 {
            seen[at] = walk;
            at = table[at] as usize;
        }
        if seen.get(at) == Some(&walk) {
            return true;
        }
    }
    false
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn circles() {
        assert!(!has_circle(&[1, 2, 0xffff_fffe, 0xffff_ffff]));
        assert!(!has_circle(&[2, 2, 0xffff_fffe]), "two chains may share an end");
        assert!(has_circle(&[1, 2, 0]));
        assert!(has_circle(&[0xffff_fffe, 1]), "one sector after itself");
    }

    #[test]
    fn a_small_container() {
        // A header and one sector, which is the table; `next` follows sector 0.
        let container = |next: u32| {
            let mut bytes = vec![0xff; 2 * HEADER_BYTES];
            bytes[30] = 9;
            bytes[76..80].copy_from_slice(&0u32.to_le_bytes());
            bytes[512..516].copy_from_slice(&next.to_le_bytes());
            bytes
        };
        let slug = |bytes: &[u8]| check(Source::Bytes(bytes)).map_err(|error| error.slug());
        assert_eq!(slug(&container(u32::MAX)), Ok(()));
        assert_eq!(slug(&container(0)), Err("malformed-workbook"));
        assert_eq!(slug(&container(0)[..100]), Err("malformed-workbook"));
    }
}
