//! A workbook with one sheet (ECMA-376), texts inside their cells, dates as dates.
//!
//! ```text
//! [Content_Types].xml         what the parts are
//! _rels/.rels                 -> xl/workbook.xml
//! xl/workbook.xml             the sheets
//! xl/_rels/workbook.xml.rels  -> xl/worksheets/sheet1.xml, xl/styles.xml
//! xl/styles.xml               0: general, 1: date, 2: date and time, 3: time, 4: percent
//! xl/worksheets/sheet1.xml    the cells
//! ```

use super::{Cell, DAY_MS, ExportColumn};
use crate::dataset::date;
use std::{
    fmt::Write as _,
    io::{self, Seek, Write},
};
use zip::{ZipWriter, write::SimpleFileOptions};

/// What one sheet can hold.
const MAX_ROWS: usize = 1_048_576;
const MAX_COLUMNS: usize = 16_384;
const MAX_CELL_CHARS: usize = 32_767;
/// Digits of a number that spreadsheet programs keep.
const MAX_DIGITS: usize = 15;

// The styles.
const DATE: u8 = 1;
const DATE_AND_TIME: u8 = 2;
const TIME: u8 = 3;
const PERCENT: u8 = 4;

const TYPES: &str = r#"<?xml version="1.0" encoding="UTF-8" standalone="yes"?>
<Types xmlns="http://schemas.openxmlformats.org/package/2006/content-types"><Default Extension="rels" ContentType="application/vnd.openxmlformats-package.relationships+xml"/><Default Extension="xml" ContentType="application/xml"/><Override PartName="/xl/workbook.xml" ContentType="application/vnd.openxmlformats-officedocument.spreadsheetml.sheet.main+xml"/><Override PartName="/xl/worksheets/sheet1.xml" ContentType="application/vnd.openxmlformats-officedocument.spreadsheetml.worksheet+xml"/><Override PartName="/xl/styles.xml" ContentType="application/vnd.openxmlformats-officedocument.spreadsheetml.styles+xml"/></Types>"#;
const ROOT: &str = r#"<?xml version="1.0" encoding="UTF-8" standalone="yes"?>
<Relationships xmlns="http://schemas.openxmlformats.org/package/2006/relationships"><Relationship Id="rId1" Type="http://schemas.openxmlformats.org/officeDocument/2006/relationships/officeDocument" Target="xl/workbook.xml"/></Relationships>"#;
const WORKBOOK: &str = r#"<?xml version="1.0" encoding="UTF-8" standalone="yes"?>
<workbook xmlns="http://schemas.openxmlformats.org/spreadsheetml/2006/main" xmlns:r="http://schemas.openxmlformats.org/officeDocument/2006/relationships"><sheets><sheet name="predictions" sheetId="1" r:id="rId1"/></sheets></workbook>"#;
const PARTS: &str = r#"<?xml version="1.0" encoding="UTF-8" standalone="yes"?>
<Relationships xmlns="http://schemas.openxmlformats.org/package/2006/relationships"><Relationship Id="rId1" Type="http://schemas.openxmlformats.org/officeDocument/2006/relationships/worksheet" Target="worksheets/sheet1.xml"/><Relationship Id="rId2" Type="http://schemas.openxmlformats.org/officeDocument/2006/relationships/styles" Target="styles.xml"/></Relationships>"#;
const STYLES: &str = r#"<?xml version="1.0" encoding="UTF-8" standalone="yes"?>
<styleSheet xmlns="http://schemas.openxmlformats.org/spreadsheetml/2006/main"><numFmts count="3"><numFmt numFmtId="164" formatCode="yyyy\-mm\-dd"/><numFmt numFmtId="165" formatCode="yyyy\-mm\-dd\ hh:mm:ss"/><numFmt numFmtId="166" formatCode="hh:mm:ss"/></numFmts><fonts count="1"><font><sz val="11"/><name val="Calibri"/></font></fonts><fills count="2"><fill><patternFill patternType="none"/></fill><fill><patternFill patternType="gray125"/></fill></fills><borders count="1"><border><left/><right/><top/><bottom/><diagonal/></border></borders><cellStyleXfs count="1"><xf numFmtId="0" fontId="0" fillId="0" borderId="0"/></cellStyleXfs><cellXfs count="5"><xf numFmtId="0" fontId="0" fillId="0" borderId="0" xfId="0"/><xf numFmtId="164" fontId="0" fillId="0" borderId="0" xfId="0" applyNumberFormat="1"/><xf numFmtId="165" fontId="0" fillId="0" borderId="0" xfId="0" applyNumberFormat="1"/><xf numFmtId="166" fontId="0" fillId="0" borderId="0" xfId="0" applyNumberFormat="1"/><xf numFmtId="10" fontId="0" fillId="0" borderId="0" xfId="0" applyNumberFormat="1"/></cellXfs><cellStyles count="1"><cellStyle name="Normal" xfId="0" builtinId="0"/></cellStyles></styleSheet>"#;

/// Everything before the cells, and the row of the names. What is written to the writer it returns are the cells.
pub(super) fn begin<W: Write + Seek>(to: W, names: &[&str]) -> io::Result<ZipWriter<W>> {
    if names.len() > MAX_COLUMNS {
        return Err(too_large());
    }
    let mut writer = ZipWriter::new(to);
    for (name, text) in [
        ("[Content_Types].xml", TYPES),
        ("_rels/.rels", ROOT),
        ("xl/workbook.xml", WORKBOOK),
        ("xl/_rels/workbook.xml.rels", PARTS),
        ("xl/styles.xml", STYLES),
    ] {
        writer.start_file(name, SimpleFileOptions::default())?;
        writer.write_all(text.as_bytes())?;
    }
    writer.start_file("xl/worksheets/sheet1.xml", SimpleFileOptions::default().large_file(true))?;
    let mut text = String::from(
        "<?xml version=\"1.0\" encoding=\"UTF-8\" standalone=\"yes\"?>\n<worksheet \
         xmlns=\"http://schemas.openxmlformats.org/spreadsheetml/2006/main\"><sheetData><row r=\"1\">",
    );
    for (i, name) in names.iter().enumerate() {
        write_cell(&mut text, &letters(i), 1, Cell::Text(name));
    }
    text.push_str("</row>");
    writer.write_all(text.as_bytes())?;
    Ok(writer)
}

/// The XML of `n_rows` rows, of which `before` others stand above them.
///
/// # Errors
/// [`io::ErrorKind::InvalidInput`] where a sheet cannot hold so many rows.
pub(super) fn rows(columns: &[ExportColumn], before: usize, n_rows: usize) -> io::Result<String> {
    if before + n_rows >= MAX_ROWS {
        return Err(too_large());
    }
    let letters: Vec<String> = (0..columns.len()).map(letters).collect();
    let times: Vec<bool> = columns.iter().map(ExportColumn::holds_times).collect();
    let mut text = String::new();
    for row in 0..n_rows {
        let number = before + row + 2;
        let _ = write!(text, "<row r=\"{number}\">");
        for ((column, letters), is_time) in columns.iter().zip(&letters).zip(&times) {
            match (column.value(row), column.text(row)) {
                (Cell::Empty, Some(own)) => write_cell(&mut text, letters, number, Cell::Text(own)),
                (Cell::Number(_), Some(own)) if is_long_code(own) => {
                    write_cell(&mut text, letters, number, Cell::Text(own));
                }
                (Cell::Number(value), Some(own)) if own.trim_end().ends_with('%') => {
                    write_styled(&mut text, letters, number, value / 100.0, PERCENT);
                }
                (Cell::Date(ms), _) if *is_time => {
                    write_styled(&mut text, letters, number, ms as f64 / DAY_MS as f64, TIME);
                }
                (value, _) => write_cell(&mut text, letters, number, value),
            }
        }
        text.push_str("</row>");
    }
    Ok(text)
}

/// Everything behind the cells.
pub(super) fn finish<W: Write + Seek>(mut writer: ZipWriter<W>) -> io::Result<W> {
    writer.write_all(b"</sheetData></worksheet>")?;
    Ok(writer.finish()?)
}

fn too_large() -> io::Error {
    let message = format!("a sheet holds {} rows under the header and {MAX_COLUMNS} columns", MAX_ROWS - 1);
    io::Error::new(io::ErrorKind::InvalidInput, message)
}

fn write_cell(text: &mut String, letters: &str, row: usize, cell: Cell) {
    // Writing to a text cannot fail.
    let _ = match cell {
        Cell::Empty => Ok(()),
        // Written out, the smallest numbers have hundreds of digits.
        Cell::Number(value) if value != 0.0 && !(1e-5..1e15).contains(&value.abs()) => {
            write!(text, "<c r=\"{letters}{row}\"><v>{value:E}</v></c>")
        }
        Cell::Number(value) => write!(text, "<c r=\"{letters}{row}\"><v>{value}</v></c>"),
        Cell::Boolean(flag) => write!(text, "<c r=\"{letters}{row}\" t=\"b\"><v>{}</v></c>", u8::from(flag)),
        Cell::Date(ms) => {
            match serial(ms) {
                Some(days) => {
                    let style = if ms % DAY_MS == 0 { DATE } else { DATE_AND_TIME };
                    write_styled(text, letters, row, days, style);
                }
                None => write_cell(text, letters, row, Cell::Text(&date::to_rfc3339(ms))),
            }
            Ok(())
        }
        Cell::Text(own) => {
            let _ = write!(text, "<c r=\"{letters}{row}\" t=\"inlineStr\"><is><t xml:space=\"preserve\">");
            escape(text, own);
            write!(text, "</t></is></c>")
        }
    };
}

fn write_styled(text: &mut String, letters: &str, row: usize, value: f64, style: u8) {
    let _ = write!(text, "<c r=\"{letters}{row}\" s=\"{style}\"><v>{value}</v></c>");
}

/// Days as Excel counts them: from 1899-12-31 on, and with a 29th of February in 1900, which there was not. It knows no
/// day before 1900.
fn serial(ms: i64) -> Option<f64> {
    let days = ms as f64 / DAY_MS as f64 + 25_569.0;
    match days {
        61.0.. => Some(days),
        2.0.. => Some(days - 1.0),
        _ => None,
    }
}

/// A whole number of more digits than a workbook keeps is a code, in which each of them counts.
fn is_long_code(text: &str) -> bool {
    let digits = text.trim().trim_start_matches(['+', '-']);
    digits.len() > MAX_DIGITS && digits.bytes().all(|byte| byte.is_ascii_digit())
}

/// What XML cannot hold is left out: control characters, which no cell shows anyway.
fn escape(text: &mut String, own: &str) {
    for character in own.chars().take(MAX_CELL_CHARS) {
        match character {
            '&' => text.push_str("&amp;"),
            '<' => text.push_str("&lt;"),
            '>' => text.push_str("&gt;"),
            '\t' | '\n' => text.push(character),
            '\r' => text.push_str("&#13;"),
            '\u{fffe}' | '\u{ffff}' => {}
            _ if character.is_ascii_control() => {}
            _ => text.push(character),
        }
    }
}

/// `A`, `B`, ... `Z`, `AA`, ...
fn letters(mut i: usize) -> String {
    let mut name = String::new();
    loop {
        name.insert(0, char::from(b'A' + (i % 26) as u8));
        if i < 26 {
            return name;
        }
        i = i / 26 - 1;
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::dataset::{ReadLimits, ReadOptions, Values, read};

    #[test]
    fn columns_are_lettered() {
        for (i, expected) in
            [(0, "A"), (25, "Z"), (26, "AA"), (51, "AZ"), (52, "BA"), (701, "ZZ"), (702, "AAA")]
        {
            assert_eq!(letters(i), expected);
        }
    }

    #[test]
    fn what_is_written_is_read_back() {
        const DAY: i64 = 86_400_000;
        let numbers = Values::Number(vec![1.5, -2e-7, f64::NAN, 123_456_789.25]);
        let dates = Values::Date((0..4).map(|day| (19_800 + day) * DAY + day * 3_600_000).collect());
        let texts =
            Values::Text(["a <b> & \"c\"", "=1+1", "São", "x\u{1}y"].map(|t| Some(t.to_owned())).to_vec());
        let flags = Values::Boolean(vec![Some(true), Some(false), None, Some(true)]);
        let spelt = [None, None, Some("***".to_owned()), None];
        let columns = [
            ExportColumn { values: &numbers, texts: Some(&spelt), first: 0 },
            ExportColumn { values: &dates, texts: None, first: 0 },
            ExportColumn { values: &texts, texts: None, first: 0 },
            ExportColumn { values: &flags, texts: None, first: 0 },
        ];
        let names = ["Nº & co", "when", "what", "flag"];
        let mut file = begin(io::Cursor::new(Vec::new()), &names).unwrap();
        file.write_all(rows(&columns, 0, 4).unwrap().as_bytes()).unwrap();
        let bytes = finish(file).unwrap().into_inner();
        let options = ReadOptions { missing: Some(vec!["***".into()]), ..ReadOptions::default() };
        let table = read(bytes.as_slice(), "a.xlsx", &options, &ReadLimits::default()).unwrap().table;
        let read_names: Vec<&str> = table.columns.iter().map(|column| column.name.as_str()).collect();
        assert_eq!(read_names, names);
        let shown = |i: usize| -> Vec<serde_json::Value> {
            (0..4).map(|row| table.columns[i].values.json(row)).collect()
        };
        let json = |text: &str| serde_json::from_str::<Vec<serde_json::Value>>(text).unwrap();
        assert_eq!(shown(0), json("[1.5, -2e-7, null, 123456789.25]"));
        assert_eq!(shown(1)[0], "2024-03-18T00:00:00Z");
        assert_eq!(shown(1)[3], "2024-03-21T03:00:00Z");
        assert_eq!(shown(2), json("[\"a <b> & \\\"c\\\"\", \"=1+1\", \"São\", \"xy\"]"));
        assert_eq!(shown(3), json("[true, false, null, true]"));
    }

    #[test]
    fn what_a_number_does_not_say_is_kept() {
        const DAY: i64 = 86_400_000;
        let cell = |values: Values, spelt: Option<&str>| {
            let texts = [spelt.map(str::to_owned)];
            let text =
                rows(&[ExportColumn { values: &values, texts: Some(&texts), first: 0 }], 0, 1).unwrap();
            let (_, cell) = text.split_once("r=\"A2\"").unwrap();
            cell.split_once("</c>").unwrap().0.trim_start().to_owned()
        };
        let number = |value: f64, spelt: &str| cell(Values::Number(vec![value]), Some(spelt));
        assert_eq!(
            number(1.234_567_890_123_456_7e19, "12345678901234567890"),
            "t=\"inlineStr\"><is><t xml:space=\"preserve\">12345678901234567890</t></is>"
        );
        assert_eq!(number(0.123_456_789_012_345_6, "0.1234567890123456"), "><v>0.1234567890123456</v>");
        assert_eq!(number(25.0, "25%"), "s=\"4\"><v>0.25</v>");
        assert_eq!(number(25.0, "25"), "><v>25</v>");
        let date = |ms: i64| cell(Values::Date(vec![ms]), None);
        assert_eq!(date(DAY / 2), "s=\"3\"><v>0.5</v>");
        assert_eq!(date(-25_508 * DAY), "s=\"1\"><v>61</v>", "1900-03-01");
        assert_eq!(date(-25_509 * DAY), "s=\"1\"><v>59</v>", "1900-02-28");
        assert_eq!(date(-25_567 * DAY), "s=\"1\"><v>1</v>", "1900-01-01");
        assert!(date(-25_568 * DAY).contains(">1899-12-31T00:00:00Z<"), "no day that Excel knows");
    }

    #[test]
    fn more_than_a_sheet_holds_is_refused() {
        let none = Values::Number(Vec::new());
        let column = ExportColumn { values: &none, texts: None, first: 0 };
        assert_eq!(rows(&[column], MAX_ROWS - 1, 1).unwrap_err().kind(), io::ErrorKind::InvalidInput);
    }
}
