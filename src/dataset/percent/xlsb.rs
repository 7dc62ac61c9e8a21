//! Records of binary Excel 2007 ([MS-XLSB]): type and length in groups of seven bits, the data.
//!
//! ```text
//! styles.bin    Fmt: number, code    between BeginCellXFs and EndCellXFs, XF: the format of each style
//! workbook.bin  BundleSh: state, number, relation, name of a sheet
//! sheet         RowHdr: row    CellRk, CellReal, FmlaNum: column, style
//! ```

use super::{
    super::source::{ReadSeek, Source},
    Percents, is_built_in, is_percent_format, u16_at, u32_at, wide,
};
use std::{
    collections::{HashMap, HashSet},
    io::{BufReader, Read},
};
use zip::ZipArchive;

const ROW: u16 = 0;
const SHORT_NUMBER: u16 = 2;
const NUMBER: u16 = 5;
const FORMULA: u16 = 9;
const FORMAT: u16 = 44;
const STYLE: u16 = 47;
const SHEET: u16 = 156;
const BEGIN_CELL_STYLES: u16 = 617;
const END_CELL_STYLES: u16 = 618;

type Archive<'a> = ZipArchive<BufReader<Box<dyn ReadSeek + 'a>>>;

pub(super) fn find(source: Source<'_>) -> Option<Vec<Percents>> {
    let mut archive = ZipArchive::new(BufReader::new(source.open().ok()?)).ok()?;
    let styles = styles(part(&mut archive, "xl/styles.bin")?)?;
    if !styles.contains(&true) {
        return None;
    }
    let mut relations = String::new();
    part(&mut archive, "xl/_rels/workbook.bin.rels")?.read_to_string(&mut relations).ok()?;
    let relations = targets(&relations);
    let mut paths = Vec::new();
    for_each(part(&mut archive, "xl/workbook.bin")?, &mut |kind, data| {
        if kind == SHEET {
            let n_letters = u32_at(data, 8)? as usize;
            let relation = data.get(12..).and_then(|rest| rest.get(..n_letters.checked_mul(2)?));
            // A sheet without a part is none of the reader's.
            if let Some(relation) = relation {
                paths.push(format!("xl/{}", relations.get(&wide(relation))?));
            }
        }
        Some(())
    })?;
    Some(paths.iter().map(|path| of_sheet(&mut archive, path, &styles).unwrap_or_default()).collect())
}

fn part<'a>(archive: &'a mut Archive<'_>, name: &str) -> Option<Box<dyn Read + 'a>> {
    Some(Box::new(BufReader::new(archive.by_name(name).ok()?)))
}

/// Visits records up to the end, or to the first that `each` cannot read.
fn for_each(mut part: impl Read, each: &mut dyn FnMut(u16, &[u8]) -> Option<()>) -> Option<()> {
    let mut data = Vec::new();
    while let Some(kind) = seven_bits(&mut part, 2) {
        let length = seven_bits(&mut part, 4)?;
        data.clear();
        part.by_ref().take(length.into()).read_to_end(&mut data).ok()?;
        each(u16::try_from(kind).ok()?, &data)?;
    }
    Some(())
}

/// A number of at most `n` bytes, the lowest first, each of which says whether another follows.
fn seven_bits(part: &mut impl Read, n: u32) -> Option<u32> {
    let mut number = 0;
    for i in 0..n {
        let mut byte = [0];
        part.read_exact(&mut byte).ok()?;
        number |= u32::from(byte[0] & 0x7f) << (7 * i);
        if byte[0] & 0x80 == 0 {
            break;
        }
    }
    Some(number)
}

/// Whether each style shows percentages.
fn styles(part: impl Read) -> Option<Vec<bool>> {
    let (mut formats, mut styles) = (HashSet::new(), Vec::new());
    let mut is_of_cells = false;
    for_each(part, &mut |kind, data| {
        match kind {
            FORMAT if is_percent_format(&wide(data.get(6..)?)) => formats.extend([u16_at(data, 0)?]),
            BEGIN_CELL_STYLES => is_of_cells = true,
            END_CELL_STYLES => is_of_cells = false,
            STYLE if is_of_cells => {
                let format = u16_at(data, 2)?;
                styles.push(is_built_in(format) || formats.contains(&format));
            }
            _ => {}
        }
        Some(())
    })?;
    Some(styles)
}

fn of_sheet(archive: &mut Archive<'_>, path: &str, styles: &[bool]) -> Option<Percents> {
    let mut found = Percents::default();
    let mut row = 0;
    for_each(part(archive, path)?, &mut |kind, data| {
        match kind {
            ROW => row = u32_at(data, 0)?,
            SHORT_NUMBER | NUMBER | FORMULA => {
                let style = u32_at(data, 4)? & 0x00ff_ffff;
                if styles.get(style as usize) == Some(&true) {
                    found.add(row, u32_at(data, 0)?, 1);
                }
            }
            _ => {}
        }
        Some(())
    })?;
    Some(found)
}

/// The parts that a workbook names, by the names it uses for them.
fn targets(relations: &str) -> HashMap<String, String> {
    let attribute = |tag: &str, name: &str| {
        let (_, rest) = tag.split_once(&format!(" {name}=\""))?;
        Some(rest.split_once('"')?.0.to_owned())
    };
    relations.split('<').filter_map(|tag| Some((attribute(tag, "Id")?, attribute(tag, "Target")?))).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::io::{Cursor, Write};
    use zip::{ZipWriter, write::SimpleFileOptions};

    fn record(kind: u16, data: &[u8]) -> Vec<u8> {
        let mut record = match kind {
            0..0x80 => vec![kind as u8],
            _ => vec![kind as u8 & 0x7f | 0x80, (kind >> 7) as u8],
        };
        record.push(u8::try_from(data.len()).unwrap());
        record.extend(data);
        record
    }

    fn text(text: &str) -> Vec<u8> {
        let units: Vec<u8> = text.encode_utf16().flat_map(u16::to_le_bytes).collect();
        [&(text.len() as u32).to_le_bytes()[..], &units].concat()
    }

    fn cell(kind: u16, column: u32, style: u32) -> Vec<u8> {
        record(kind, &[column.to_le_bytes(), style.to_le_bytes(), [0; 4], [0; 4]].concat())
    }

    #[test]
    fn cells_of_styles_that_show_percentages() {
        let style = |format: u16| record(STYLE, &[[0; 2], format.to_le_bytes()].concat());
        let styles = [
            record(FORMAT, &[&170u16.to_le_bytes()[..], &text("0.0%")].concat()),
            style(9),
            record(BEGIN_CELL_STYLES, &[3, 0, 0, 0]),
            [style(0), style(10), style(170)].concat(),
            record(END_CELL_STYLES, &[]),
        ]
        .concat();
        let sheets = [record(SHEET, &[&[0; 8][..], &text("rId7"), &text("S")].concat())].concat();
        let sheet = [
            record(ROW, &4u32.to_le_bytes()),
            cell(NUMBER, 0, 0),
            cell(SHORT_NUMBER, 1, 1),
            record(ROW, &5u32.to_le_bytes()),
            cell(FORMULA, 2, 2),
            cell(3, 3, 2),
        ]
        .concat();
        let relations =
            br#"<Relationships><Relationship Id="rId7" Type="t" Target="worksheets/s.bin"/></Relationships>"#;
        let mut writer = ZipWriter::new(Cursor::new(Vec::new()));
        for (name, bytes) in [
            ("xl/styles.bin", styles.as_slice()),
            ("xl/workbook.bin", &sheets),
            ("xl/_rels/workbook.bin.rels", relations),
            ("xl/worksheets/s.bin", &sheet),
        ] {
            writer.start_file(name, SimpleFileOptions::default()).unwrap();
            writer.write_all(bytes).unwrap();
        }
        let bytes = writer.finish().unwrap().into_inner();
        let mut expected = Percents::default();
        expected.add(4, 1, 1);
        expected.add(5, 2, 1);
        assert_eq!(find(Source::Bytes(&bytes)).unwrap(), [expected], "texts and errors are none");
    }
}
