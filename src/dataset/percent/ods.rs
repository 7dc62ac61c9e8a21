//! Tags of `OpenDocument`: each cell says of which type its value is, and how often it is repeated.

use super::{super::source::Source, Percents};
use std::io::{BufRead, BufReader};
use zip::ZipArchive;

pub(super) fn find(source: Source<'_>) -> Option<Vec<Percents>> {
    let mut archive = ZipArchive::new(BufReader::new(source.open().ok()?)).ok()?;
    of_content(BufReader::with_capacity(1 << 16, archive.by_name("content.xml").ok()?))
}

fn of_content(mut content: impl BufRead) -> Option<Vec<Percents>> {
    let mut sheets: Vec<Percents> = Vec::new();
    let (mut row, mut column) = (0u32, 0u32);
    let mut depth = 0u32;
    let (mut n_rows, mut is_in_row) = (1, false);
    let mut piece = Vec::new();
    loop {
        piece.clear();
        if content.read_until(b'>', &mut piece).ok()? == 0 {
            return Some(sheets);
        }
        let Some(start) = memchr::memrchr(b'<', &piece) else { continue };
        let tag = &piece[start + 1..];
        let name = tag.split(|byte| matches!(byte, b' ' | b'>' | b'/' | b'\n')).next().unwrap_or_default();
        match name {
            b"table:table" => {
                if depth == 0 {
                    sheets.push(Percents::default());
                    (row, n_rows, is_in_row) = (0, 1, false);
                }
                depth += u32::from(!tag.ends_with(b"/>"));
            }
            b"table:table-row" => {
                n_rows = count(tag, b"table:number-rows-repeated=");
                (column, is_in_row) = (0, !tag.ends_with(b"/>"));
                row = if is_in_row { row } else { row.saturating_add(n_rows) };
            }
            b"table:table-cell" | b"table:covered-table-cell" if is_in_row => {
                let n = count(tag, b"table:number-columns-repeated=");
                let sheet = sheets.last_mut()?;
                if value(tag, b"office:value-type=") == Some(b"percentage") {
                    sheet.add(row, column, n);
                    sheet.extend_to(row.saturating_add(n_rows - 1));
                }
                column = column.saturating_add(n);
            }
            b"" if tag.starts_with(b"/table:table-row>") => {
                row = row.saturating_add(n_rows);
                is_in_row = false;
            }
            b"" if tag.starts_with(b"/table:table>") => depth = depth.saturating_sub(1),
            _ => {}
        }
    }
}

fn value<'a>(tag: &'a [u8], key: &[u8]) -> Option<&'a [u8]> {
    let at = memchr::memmem::find(tag, key)? + key.len();
    let quote = *tag.get(at)?;
    let rest = &tag[at + 1..];
    rest.get(..memchr::memchr(quote, rest)?)
}

/// How often a row or a cell stands there; no sheet has more rows or columns than this allows.
fn count(tag: &[u8], key: &[u8]) -> u32 {
    let written = value(tag, key).and_then(|text| std::str::from_utf8(text).ok()?.parse().ok());
    written.unwrap_or(1).clamp(1, 1 << 20)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn cells_of_percentages() {
        let content = r#"<?xml version="1.0"?><office:spreadsheet><table:table table:name="a"><table:table-column/>
            <table:table-row table:number-rows-repeated="2"/>
            <table:table-row><table:table-cell table:number-columns-repeated="2"/><table:table-cell office:value-type="percentage" office:value="0.5"><text:p>50% > 40%</text:p></table:table-cell></table:table-row>
            <table:table-row table:number-rows-repeated="3"><table:table-cell office:value-type="float"/><table:covered-table-cell/><table:table-cell office:value-type="percentage" table:number-columns-repeated="2"/></table:table-row>
            <table:table-row><table:table-cell office:value-type="percentage"/></table:table-row></table:table>
            <table:table table:name="b"/><table:table table:name="c"><table:table-row><table:table-cell office:value-type="string"/></table:table-row></table:table></office:spreadsheet>"#;
        let found = of_content(content.as_bytes()).unwrap();
        let mut expected = Percents::default();
        expected.add(2, 2, 1);
        expected.add(3, 2, 2);
        expected.extend_to(5);
        expected.add(6, 0, 1);
        assert_eq!(found, [expected, Percents::default(), Percents::default()]);
    }
}
