//! The other workbook formats: `.ods`, `.xlsb` and `.xls`, written here byte by byte.

use super::{numbers, read, slug};
use std::io::{Cursor, Write as _};
use zip::{ZipWriter, write::SimpleFileOptions};

fn archive(members: &[(&str, Vec<u8>)]) -> Vec<u8> {
    let mut writer = ZipWriter::new(Cursor::new(Vec::new()));
    for (name, bytes) in members {
        writer.start_file(*name, SimpleFileOptions::default()).expect("memory");
        writer.write_all(bytes).expect("memory");
    }
    writer.finish().expect("memory").into_inner()
}

/// An `OpenDocument` spreadsheet with these tables.
fn ods(tables: &str) -> Vec<u8> {
    let content = format!(
        r#"<?xml version="1.0"?><office:document-content xmlns:office="o" xmlns:table="t" xmlns:text="x" xmlns:style="s"><office:automatic-styles><style:style style:name="hid" style:family="table"><style:table-properties table:display="false"/></style:style></office:automatic-styles><office:body><office:spreadsheet>{tables}</office:spreadsheet></office:body></office:document-content>"#
    );
    archive(&[
        ("mimetype", b"application/vnd.oasis.opendocument.spreadsheet".to_vec()),
        (
            "META-INF/manifest.xml",
            b"<?xml version=\"1.0\"?><manifest:manifest xmlns:manifest=\"m\"/>".to_vec(),
        ),
        ("content.xml", content.into_bytes()),
    ])
}

fn ods_row(cells: &[&str]) -> String {
    let cell = |text: &&str| match text.parse::<f64>() {
        Ok(_) => format!(r#"<table:table-cell office:value-type="float" office:value="{text}"/>"#),
        Err(_) if text.starts_with('<') => (*text).to_owned(),
        Err(_) => format!(
            r#"<table:table-cell office:value-type="string"><text:p>{text}</text:p></table:table-cell>"#
        ),
    };
    format!("<table:table-row>{}</table:table-row>", cells.iter().map(cell).collect::<String>())
}

#[test]
fn open_document() {
    let day =
        |date: &str| format!(r#"<table:table-cell office:value-type="date" office:date-value="{date}"/>"#);
    let time = r#"<table:table-cell office:value-type="time" office:time-value="PT06H30M00S"/>"#;
    let percent = r#"<table:table-cell office:value-type="percentage" office:value="0.055"/>"#;
    let gap = "<table:table-cell/>";
    let rows = [
        "<table:table-row table:number-rows-repeated=\"2\"><table:table-cell/></table:table-row>".to_owned(),
        ods_row(&[gap, "day", "hour", "share", "Cd"]),
        ods_row(&[gap, &day("2024-02-29"), time, percent, "0.5"]),
        ods_row(&[gap, &day("2024-03-01T12:00:00"), time, percent, "#N/A"]),
    ];
    let table = format!(r#"<table:table table:name="Dados">{}</table:table>"#, rows.concat());
    let hidden = format!(
        r#"<table:table table:name="secret" table:style-name="hid">{}</table:table>"#,
        ods_row(&["a", "b", "c", "d", "e"]).repeat(9)
    );
    let reading = read(&ods(&(hidden + &table))).unwrap();
    let report = &reading.description.read;
    assert_eq!((report.format.as_str(), report.sheet.as_deref()), ("ods", Some("Dados")));
    assert_eq!(report.header_row, Some(3), "the table starts mid-sheet");
    assert!(report.reasons["sheet"].contains("hidden and not looked at: 'secret'"), "{:?}", report.reasons);
    let shown = serde_json::to_string(&reading.description.preview).unwrap();
    assert_eq!(
        shown,
        concat!(
            r#"[{"day":"2024-02-29T00:00:00Z","hour":"1970-01-01T06:30:00Z","share":5.5,"Cd":0.5},"#,
            r#"{"day":"2024-03-01T12:00:00Z","hour":"1970-01-01T06:30:00Z","share":5.5,"Cd":null}]"#
        )
    );
}

#[test]
fn an_open_document_that_repeats_without_end_is_refused() {
    let far = format!(
        r#"<table:table table:name="S">{}<table:table-row table:number-rows-repeated="1048576">{}</table:table-row></table:table>"#,
        ods_row(&["x", "y"]),
        r#"<table:table-cell table:number-columns-repeated="16384" office:value-type="float" office:value="1"/>"#
    );
    assert_eq!(slug(&ods(&far)), "too-many-cells", "U5");
}

/// A record of a binary workbook: type, length, content.
fn record(kind: u16, content: &[u8]) -> Vec<u8> {
    let mut bytes =
        if kind < 0x80 { vec![kind as u8] } else { vec![(kind & 0x7f) as u8 | 0x80, (kind >> 7) as u8] };
    assert!(content.len() < 128, "one byte of length");
    bytes.push(content.len() as u8);
    bytes.extend(content);
    bytes
}

fn wide(text: &str) -> Vec<u8> {
    let units: Vec<u16> = text.encode_utf16().collect();
    let mut bytes = (units.len() as u32).to_le_bytes().to_vec();
    bytes.extend(units.iter().flat_map(|unit| unit.to_le_bytes()));
    bytes
}

#[test]
fn binary_workbook() {
    let sheet_entry = [vec![0; 8], wide("rId1"), wide("Ensaio é")].concat();
    let workbook = [record(0x9c, &sheet_entry), record(0x90, &[]), record(0x9d, &[])].concat();
    let relations = r#"<?xml version="1.0"?><Relationships><Relationship Id="rId1" Target="worksheets/sheet1.bin"/></Relationships>"#;
    let mut sheet = [record(0x81, &[]), record(0x94, &[0; 16]), record(0x91, &[])].concat();
    let at = |column: u32| [column.to_le_bytes(), [0; 4]].concat();
    for (row, cells) in [["Re", "Cd"], ["10", "24.5"], ["100", "1.5"]].iter().enumerate() {
        sheet.extend(record(0x00, &(row as u32).to_le_bytes()));
        for (column, text) in (0..).zip(cells) {
            sheet.extend(match text.parse::<f64>() {
                Ok(number) => record(0x05, &[at(column), number.to_le_bytes().to_vec()].concat()),
                Err(_) => record(0x06, &[at(column), wide(text)].concat()),
            });
        }
    }
    sheet.extend(record(0x92, &[]));
    let file = archive(&[
        ("[Content_Types].xml", b"<Types/>".to_vec()),
        ("xl/workbook.bin", workbook),
        ("xl/_rels/workbook.bin.rels", relations.as_bytes().to_vec()),
        ("xl/worksheets/sheet1.bin", sheet),
    ]);
    let reading = read(&file).unwrap();
    let report = &reading.description.read;
    assert_eq!((report.format.as_str(), report.sheet.as_deref()), ("xlsb", Some("Ensaio é")));
    assert_eq!(numbers(&reading.table, "Cd"), [24.5, 1.5]);
}

/// A record of an Excel 97 workbook.
fn biff(kind: u16, content: &[u8]) -> Vec<u8> {
    [&kind.to_le_bytes(), &(content.len() as u16).to_le_bytes(), content].concat()
}

/// An Excel 97 workbook of one sheet; texts that begin with `@` are dates by their serial number.
fn xls(rows: &[&[&str]], is_1904: bool, merged: &[[u16; 4]]) -> Vec<u8> {
    let begin = |kind: u16| {
        let [low, high] = kind.to_le_bytes();
        biff(0x0809, &[0, 6, low, high, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0])
    };
    let place = |row: usize, column: usize, format: u16| {
        [row as u16, column as u16, format].iter().flat_map(|n| n.to_le_bytes()).collect::<Vec<u8>>()
    };
    let mut sheet = begin(0x10);
    for (row, cells) in rows.iter().enumerate() {
        for (column, text) in cells.iter().enumerate().filter(|(_, text)| !text.is_empty()) {
            let (bare, format) = text.strip_prefix('@').map_or((*text, 0), |bare| (bare, 1));
            sheet.extend(match bare.parse::<f64>() {
                Ok(number) => {
                    biff(0x0203, &[place(row, column, format), number.to_le_bytes().to_vec()].concat())
                }
                Err(_) if text.starts_with('#') => {
                    biff(0x0205, &[place(row, column, 0), vec![0x07, 1]].concat())
                }
                Err(_) => {
                    let length = (text.len() as u16).to_le_bytes().to_vec();
                    let text = [length, vec![0], text.as_bytes().to_vec()].concat();
                    biff(0x0204, &[place(row, column, 0), text].concat())
                }
            });
        }
    }
    if !merged.is_empty() {
        let mut regions = (merged.len() as u16).to_le_bytes().to_vec();
        regions.extend(merged.iter().flatten().flat_map(|n| n.to_le_bytes()));
        sheet.extend(biff(0x00e5, &regions));
    }
    sheet.extend(biff(0x000a, &[]));
    let format = |number: u16| {
        let mut content = vec![0; 20];
        content[2..4].copy_from_slice(&number.to_le_bytes());
        biff(0x00e0, &content)
    };
    let mut globals = [begin(0x05), biff(0x0022, &[u8::from(is_1904), 0])].concat();
    globals.extend([format(0), format(14)].concat());
    let name = b"Plan1";
    let entry_bytes = 4 + 8 + name.len();
    let end = biff(0x000a, &[]);
    let sheet_at = (globals.len() + entry_bytes + end.len()) as u32;
    let entry = [&sheet_at.to_le_bytes()[..], &[0, 0, name.len() as u8, 0], name].concat();
    globals.extend(biff(0x0085, &entry));
    assert_eq!(globals.len() + end.len(), sheet_at as usize);
    container(&[globals, end, sheet].concat())
}

/// The container of an old workbook: header, table of sectors, directory, stream.
fn container(stream: &[u8]) -> Vec<u8> {
    const SECTOR: usize = 512;
    let n_stream = stream.len().max(4096).div_ceil(SECTOR);
    let mut header = vec![0; SECTOR];
    header[..8].copy_from_slice(b"\xd0\xcf\x11\xe0\xa1\xb1\x1a\xe1");
    header[26..34].copy_from_slice(&[3, 0, 0xfe, 0xff, 9, 0, 6, 0]);
    header[44..52].copy_from_slice(&[1, 0, 0, 0, 1, 0, 0, 0]);
    header[56..64].copy_from_slice(&[0, 16, 0, 0, 0xfe, 0xff, 0xff, 0xff]);
    header[68..72].copy_from_slice(&0xffff_fffe_u32.to_le_bytes());
    header[76..].fill(0xff);
    header[76..80].copy_from_slice(&0u32.to_le_bytes());
    let mut table = vec![0xffff_fffd_u32, 0xffff_fffe];
    table.extend((0..n_stream as u32).map(|i| if i + 1 == n_stream as u32 { 0xffff_fffe } else { i + 3 }));
    assert!(table.len() <= 128, "one sector of table");
    table.resize(128, 0xffff_ffff);
    let entry = |name: &str, kind: u8, start: u32, bytes: u32| {
        let mut entry = vec![0; 128];
        for (i, unit) in name.encode_utf16().enumerate() {
            entry[2 * i..2 * i + 2].copy_from_slice(&unit.to_le_bytes());
        }
        entry[64] = 2 * (name.len() as u8 + 1);
        entry[66] = kind;
        entry[116..120].copy_from_slice(&start.to_le_bytes());
        entry[120..124].copy_from_slice(&bytes.to_le_bytes());
        entry
    };
    let mut directory = entry("Root Entry", 5, 0xffff_fffe, 0);
    directory.extend(entry("Workbook", 2, 2, (n_stream * SECTOR) as u32));
    directory.resize(SECTOR, 0);
    let mut padded = stream.to_vec();
    padded.resize(n_stream * SECTOR, 0);
    let table: Vec<u8> = table.iter().flat_map(|n| n.to_le_bytes()).collect();
    [header, table, directory, padded].concat()
}

#[test]
fn excel_97() {
    let rows: &[&[&str]] = &[
        &["Wind tunnel"],
        &[],
        &["day", "profile", "Cl"],
        &["@45292", "NACA 0012", "0.5"],
        &["@45292.25", "", "#DIV/0!"],
        &["@45293", "NACA 4412", "0.7"],
    ];
    let reading = read(&xls(rows, false, &[[3, 4, 1, 1]])).unwrap();
    let report = &reading.description.read;
    assert_eq!((report.format.as_str(), report.sheet.as_deref()), ("xls", Some("Plan1")));
    assert_eq!(report.header_row, Some(3));
    let shown = serde_json::to_string(&reading.description.preview).unwrap();
    assert_eq!(
        shown,
        concat!(
            r#"[{"day":"2024-01-01T00:00:00Z","profile":"NACA 0012","Cl":0.5},"#,
            r#"{"day":"2024-01-01T06:00:00Z","profile":"NACA 0012","Cl":null},"#,
            r#"{"day":"2024-01-02T00:00:00Z","profile":"NACA 4412","Cl":0.7}]"#
        ),
        "the merged cell stands for both rows"
    );
}

#[test]
fn the_other_calendar_begins_in_1904() {
    let rows: &[&[&str]] = &[&["day", "x"], &["@43830", "1"], &["@43831", "2"]];
    let reading = read(&xls(rows, true, &[])).unwrap();
    assert_eq!(reading.table.rows_json(0, 1)[0]["day"], "2024-01-01T00:00:00Z");
}

#[test]
fn old_workbooks_that_lie_are_refused() {
    let honest = xls(&[&["x", "y"], &["1", "2"], &["3", "4"]], false, &[]);
    assert_eq!(slug(&honest), "read 2 x 2");
    let mut circle = honest.clone();
    // The directory's sector comes after itself.
    circle[516..520].copy_from_slice(&1u32.to_le_bytes());
    assert_eq!(slug(&circle), "malformed-workbook", "U5: a looped chain");
    let mut scrambled = honest.clone();
    let after_begin = 512 * 3 + 20;
    scrambled[after_begin..after_begin + 2].copy_from_slice(&[0x2f, 0]);
    assert_eq!(slug(&scrambled), "password-protected", "U13");
    let mut letter = honest;
    let name = 512 * 2 + 128;
    letter[name] = b'V';
    assert_eq!(slug(&letter), "unsupported-media-type", "no stream is called Workbook");
}
