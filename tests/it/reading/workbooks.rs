//! Workbooks made here part by part, the honest and the hostile ones.

use super::{codes_of_warnings, numbers, read, slug};
use std::{
    fmt::Write as _,
    io::{Cursor, Write as _},
};
use taqicfd::dataset::{self, ReadLimits, ReadOptions};
use zip::{ZipWriter, write::SimpleFileOptions};

const SHEET_OPEN: &str = r#"<?xml version="1.0" encoding="UTF-8"?><worksheet xmlns="http://schemas.openxmlformats.org/spreadsheetml/2006/main">"#;

/// The members of a workbook with these sheets, each given as the rows' XML.
fn members(sheets: &[(&str, &str)]) -> Vec<(String, Vec<u8>)> {
    let mut names = String::new();
    let mut relations = String::new();
    let mut parts = Vec::new();
    for (i, (name, rows)) in (1..).zip(sheets) {
        write!(names, r#"<sheet name="{name}" sheetId="{i}" r:id="rId{i}"/>"#).expect("memory");
        write!(
            relations,
            r#"<Relationship Id="rId{i}" Type="http://schemas.openxmlformats.org/officeDocument/2006/relationships/worksheet" Target="worksheets/sheet{i}.xml"/>"#
        )
        .expect("memory");
        let sheet = format!("{SHEET_OPEN}<sheetData>{rows}</sheetData></worksheet>");
        parts.push((format!("xl/worksheets/sheet{i}.xml"), sheet.into_bytes()));
    }
    let workbook = format!(
        r#"<?xml version="1.0"?><workbook xmlns="http://schemas.openxmlformats.org/spreadsheetml/2006/main" xmlns:r="http://schemas.openxmlformats.org/officeDocument/2006/relationships"><sheets>{names}</sheets></workbook>"#
    );
    let package = "http://schemas.openxmlformats.org/package/2006";
    let office = "http://schemas.openxmlformats.org/officeDocument/2006/relationships";
    write!(relations, r#"<Relationship Id="rIdS" Type="{office}/styles" Target="styles.xml"/>"#)
        .expect("memory");
    write!(
        relations,
        r#"<Relationship Id="rIdT" Type="{office}/sharedStrings" Target="sharedStrings.xml"/>"#
    )
    .expect("memory");
    // The second cell format is a date, the third shows percentages.
    let styles = r#"<?xml version="1.0"?><styleSheet xmlns="http://schemas.openxmlformats.org/spreadsheetml/2006/main"><cellXfs><xf numFmtId="0"/><xf numFmtId="14"/><xf numFmtId="10"/></cellXfs></styleSheet>"#;
    parts.extend([
        ("[Content_Types].xml".to_owned(), format!(r#"<?xml version="1.0"?><Types xmlns="{package}/content-types"/>"#).into_bytes()),
        ("_rels/.rels".to_owned(), format!(r#"<?xml version="1.0"?><Relationships xmlns="{package}/relationships"><Relationship Id="rId1" Type="{office}/officeDocument" Target="xl/workbook.xml"/></Relationships>"#).into_bytes()),
        ("xl/workbook.xml".to_owned(), workbook.into_bytes()),
        ("xl/_rels/workbook.xml.rels".to_owned(), format!(r#"<?xml version="1.0"?><Relationships xmlns="{package}/relationships">{relations}</Relationships>"#).into_bytes()),
        ("xl/styles.xml".to_owned(), styles.as_bytes().to_vec()),
    ]);
    parts
}

fn archive(members: &[(String, Vec<u8>)]) -> Vec<u8> {
    let mut writer = ZipWriter::new(Cursor::new(Vec::new()));
    for (name, bytes) in members {
        writer.start_file(name.as_str(), SimpleFileOptions::default()).expect("memory");
        writer.write_all(bytes).expect("memory");
    }
    writer.finish().expect("memory").into_inner()
}

fn workbook(sheets: &[(&str, &str)]) -> Vec<u8> {
    archive(&members(sheets))
}

/// A row of inline texts and bare numbers.
fn row(line: u64, cells: &[&str]) -> String {
    let cell = |(i, text): (usize, &&str)| {
        let at = format!("{}{line}", char::from(b'A' + i as u8));
        match text.parse::<f64>() {
            Ok(_) => format!(r#"<c r="{at}"><v>{text}</v></c>"#),
            Err(_) if text.is_empty() => String::new(),
            Err(_) => format!(r#"<c r="{at}" t="inlineStr"><is><t>{text}</t></is></c>"#),
        }
    };
    format!(r#"<row r="{line}">{}</row>"#, cells.iter().enumerate().map(cell).collect::<String>())
}

fn rows(lines: &[&[&str]]) -> String {
    (1..).zip(lines).map(|(line, cells)| row(line, cells)).collect()
}

#[test]
fn the_sheet_with_the_table_is_read() {
    let note = rows(&[&["please cite us"]]);
    let table = rows(&[&["Re", "regime", "Cd"], &["10", "laminar", "24.5"], &["100", "turbulent", ""]]);
    let file = workbook(&[("Notes", &note), ("Dados é", &table), ("Empty", "")]);
    let reading = read(&file).unwrap();
    let report = &reading.description.read;
    assert_eq!((report.format.as_str(), report.sheet.as_deref()), ("xlsx", Some("Dados é")));
    assert_eq!(report.sheets, ["Notes", "Dados é", "Empty"]);
    assert!(report.reasons["sheet"].contains("'Notes' has 1"), "{}", report.reasons["sheet"]);
    assert_eq!(numbers(&reading.table, "Re"), [10.0, 100.0]);
    assert!(numbers(&reading.table, "Cd")[1].is_nan());

    let with_sheet = |name: &str| {
        let options = ReadOptions { sheet: Some(name.to_owned()), ..ReadOptions::default() };
        dataset::read(file.as_slice(), "f.xlsx", &options, &ReadLimits::default())
            .map_err(|error| error.slug().to_owned())
    };
    assert_eq!(with_sheet("Nope").unwrap_err(), "invalid-parameter");
    assert_eq!(with_sheet("Empty").unwrap_err(), "empty-file");
}

#[test]
fn dates_errors_and_numbers_typed_as_text() {
    let body = [
        r#"<row r="1"><c r="A1" t="inlineStr"><is><t>day</t></is></c><c r="B1" t="inlineStr"><is><t>x</t></is></c><c r="C1" t="inlineStr"><is><t>ok</t></is></c></row>"#,
        r#"<row r="2"><c r="A2" s="1"><v>45292</v></c><c r="B2" t="inlineStr"><is><t>2,5</t></is></c><c r="C2" t="b"><v>1</v></c></row>"#,
        r#"<row r="4"><c r="A4" s="1"><v>45292.25</v></c><c r="B4" t="e"><v>#DIV/0!</v></c><c r="C4" t="b"><v>0</v></c></row>"#,
        r#"<row r="5"><c r="B5"><v>7</v></c><c r="C5" t="b"><v>1</v></c></row>"#,
    ];
    let reading = read(&workbook(&[("S", &body.concat())])).unwrap();
    let shown = serde_json::to_string(&reading.description.preview).unwrap();
    assert_eq!(
        shown,
        concat!(
            r#"[{"day":"2024-01-01T00:00:00Z","x":2.5,"ok":true},"#,
            r#"{"day":"2024-01-01T06:00:00Z","x":null,"ok":false},"#,
            r#"{"day":null,"x":7,"ok":true}]"#
        )
    );
    assert_eq!(reading.description.read.decimal, ',');
}

/// Percentages as a workbook holds them and as a text file shows them are the same numbers.
#[test]
fn percentages_are_read_as_they_are_shown() {
    let shown = |line: u64, fraction: &str, other: &str| {
        format!(r#"<row r="{line}"><c r="A{line}" s="2"><v>{fraction}</v></c>{other}</row>"#)
    };
    let percent = |line: u64, fraction: &str| format!(r#"<c r="B{line}" s="2"><v>{fraction}</v></c>"#);
    let plain = |line: u64, number: &str| format!(r#"<c r="B{line}"><v>{number}</v></c>"#);
    let body = [
        row(1, &["share", "mixed"]),
        shown(2, "0.055", &percent(2, "0.5")),
        shown(3, "0.07", &plain(3, "0.25")),
        shown(4, "-0.125", &percent(4, "1")),
    ];
    let file = workbook(&[("S", &body.concat())]);
    let reading = read(&file).unwrap();
    assert_eq!(numbers(&reading.table, "share"), [5.5, 7.0, -12.5]);
    assert_eq!(reading.table.column("share").unwrap().unit.as_deref(), Some("%"));
    assert!(codes_of_warnings(&reading).contains(&"sign-as-unit"), "{:?}", reading.description.warnings);
    assert_eq!(
        numbers(&reading.table, "mixed"),
        [0.5, 0.25, 1.0],
        "not all are shown so: numbers as they are"
    );
    let text = read(b"share;y\n5,5%;1\n7 %;2\n-12,5%;3\n").unwrap();
    assert_eq!(numbers(&text.table, "share"), [5.5, 7.0, -12.5]);

    let types = [("share".to_owned(), "fraction".to_owned())].into();
    let options = ReadOptions { types, ..ReadOptions::default() };
    for bytes in [file.as_slice(), b"share;y\n5,5%;1\n7 %;2\n-12,5%;3\n"] {
        let reading = dataset::read(bytes, "f", &options, &ReadLimits::default()).unwrap();
        assert_eq!(numbers(&reading.table, "share"), [0.055, 0.07, -0.125]);
        assert_eq!(reading.table.column("share").unwrap().unit, None);
    }
}

#[test]
fn rows_stored_bottom_up_are_read_top_down() {
    let body = row(3, &["2", "20"]) + &row(2, &["1", "10"]) + &row(1, &["x", "y"]);
    let reading = read(&workbook(&[("S", &body)])).unwrap();
    assert_eq!(numbers(&reading.table, "x"), [1.0, 2.0]);
}

#[test]
fn cells_far_away_are_refused_without_memory() {
    let stray = rows(&[&["x"], &["1"]]) + r#"<row r="1048576"><c r="XFD1048576"><v>1</v></c></row>"#;
    assert_eq!(slug(&workbook(&[("S", &stray)])), "too-many-cells", "U4");
    let beyond = rows(&[&["x"], &["1"]]) + r#"<row r="4294967295"><c r="A4294967295"><v>1</v></c></row>"#;
    assert_eq!(slug(&workbook(&[("S", &beyond)])), "malformed-workbook", "U4");
}

#[test]
fn archives_that_lie_are_refused() {
    let honest = members(&[("S", &rows(&[&["x", "y"], &["1", "2"]]))]);
    assert_eq!(slug(&archive(&honest)), "read 1 x 2");
    let with = |name: &str, bytes: &[u8]| {
        let mut members = honest.clone();
        members.push((name.to_owned(), bytes.to_vec()));
        slug(&archive(&members))
    };
    let strings = |count: &str| {
        format!(
            r#"<?xml version="1.0"?><sst xmlns="http://schemas.openxmlformats.org/spreadsheetml/2006/main" uniqueCount="{count}"><si><t>a</t></si></sst>"#
        )
    };
    assert_eq!(with("xl/sharedStrings.xml", strings("4294967295").as_bytes()), "malformed-workbook", "U5");
    assert_eq!(
        with("xl/sharedStrings.xml", strings("5").as_bytes()),
        "read 1 x 2",
        "a small lie does no harm"
    );
    assert_eq!(with("XL/Workbook.xml", b"<workbook/>"), "malformed-workbook", "U12: two members of one name");
    let entity = br#"<!DOCTYPE sst [<!ENTITY x SYSTEM "file:///etc/passwd">]><sst><si><t>&x;</t></si></sst>"#;
    assert_eq!(with("xl/sharedStrings.xml", entity), "malformed-workbook", "U10");
    let bomb = vec![b' '; 32 << 20];
    assert_eq!(with("xl/theme/theme1.xml", &bomb), "inflated-too-large", "U3: the ratio");
    assert_eq!(with("../../escape.xml", b"<x/>"), "read 1 x 2", "U11: nothing is ever extracted");
    let huge = "a".repeat(40_000);
    assert_eq!(slug(&workbook(&[("S", &rows(&[&["x"], &[&huge]]))])), "cell-too-large", "U6");
}

#[test]
fn other_archives_are_named() {
    let check = |names: &[&str], filename: &str| {
        let members: Vec<_> = names.iter().map(|name| ((*name).to_owned(), b"x".to_vec())).collect();
        let bytes = archive(&members);
        let error =
            dataset::read(bytes.as_slice(), filename, &ReadOptions::default(), &ReadLimits::default())
                .unwrap_err();
        (error.slug().to_owned(), error.detail().to_owned())
    };
    let (slug, detail) = check(&["table.csv"], "table.zip");
    assert_eq!(slug, "unsupported-media-type");
    assert!(detail.contains("table.csv"), "{detail}");
    assert_eq!(check(&["mimetype", "content.xml"], "f.ods").0, "malformed-workbook");
    assert_eq!(check(&["xl/workbook.bin"], "f.xlsb").0, "malformed-workbook");
    assert_eq!(check(&["word/document.xml"], "f.docx").0, "unsupported-media-type");
    assert_eq!(check(&["table.csv"], "table.xlsx").0, "malformed-workbook");
    let cut = &workbook(&[("S", &rows(&[&["x"], &["1"]]))])[..300];
    let error = dataset::read(cut, "f.xlsx", &ReadOptions::default(), &ReadLimits::default()).unwrap_err();
    assert_eq!(error.slug(), "malformed-workbook", "cut off");
}

#[test]
fn text_named_as_a_workbook_is_read_and_said() {
    let reading = dataset::read(
        b"x;y\n1;2\n3;4\n".as_slice(),
        "f.xlsx",
        &ReadOptions::default(),
        &ReadLimits::default(),
    )
    .unwrap();
    assert!(codes_of_warnings(&reading).contains(&"content-not-as-named"));
}
