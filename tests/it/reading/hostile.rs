//! Text files that are broken, ambiguous or out of measure, each with its answer.

use super::{codes_of_warnings, numbers, read, slug};
use std::fmt::Write;
use taqicfd::dataset::{self, ReadLimits, ReadOptions};

#[test]
fn each_kind_of_bad_file_has_its_slug() {
    #[rustfmt::skip]
    let cases: &[(&[u8], &str, &str)] = &[
        (b"", "empty-file", "U23: nothing"),
        (b"\xef\xbb\xbf", "empty-file", "U23: a byte-order mark only"),
        (b"\n\n\r\n\n", "empty-file", "U23: blank lines only"),
        (b"x,y,z\n", "empty-file", "U23: a header only"),
        (b"x;y\n;\n;\n", "empty-file", "U23: rows without a value"),
        (b"<!DOCTYPE html><table>", "unsupported-media-type", "U15: a page"),
        (b"\x7fELF\x02\x01\x01", "unsupported-media-type", "U15: a program"),
        (b"\x1f\x8b\x08\0\0\0\0\0", "unsupported-media-type", "U16: gzip"),
        (b"\x28\xb5\x2f\xfd\x04", "unsupported-media-type", "U16: zstd"),
        (b"PAR1....", "unsupported-media-type", "U15: Parquet"),
        (b"x,y\n1,\x002\n", "malformed-csv", "U17: NUL"),
        (b"x,y\n1,\"abc\n2,3\n", "malformed-csv", "U22: an open quote"),
        (b"a,\"", "malformed-csv", "U22: an open quote at the end"),
        (b"x,y\n\"a\"b,3\n", "malformed-csv", "U22: text after a quote"),
        (b"a,b,c\n1,2,3\n4,5\n6,7,8,9\n", "malformed-csv", "U22: ragged"),
        (b"\xc3\xa3,b\n1,2\n\xff\xfe,3\n", "unsupported-encoding", "U18: two encodings in one file"),
        (b"x\n1.234\n5.678\n", "ambiguous-number-format", "U19: nothing settles it"),
        (b"x;y\n1.5;1\n2,5;2\n", "ambiguous-number-format", "U19: both marks in one column"),
        (b"A;B\n1;5,5\n2;5.555\n", "ambiguous-number-format", "U19: never 5555"),
    ];
    for (bytes, expected, why) in cases {
        assert_eq!(slug(bytes), *expected, "{why}");
    }
}

#[test]
fn the_lines_are_named() {
    let places =
        |bytes: &[u8]| read(bytes).unwrap_err().issues().iter().filter_map(|i| i.line).collect::<Vec<_>>();
    assert_eq!(places(b"a,b,c\n1,2,3\n4,5\n6,7,8,9\n"), [3, 4]);
    assert_eq!(places(b"a,b,c\r\n1,2,3\r\n\r\n4,5\r\n"), [4], "blank lines and CRLF count as lines");
    assert_eq!(places(b"a,b\r1,2\r3\r"), [3], "so do lone carriage returns");
    assert_eq!(places(b"a,b\n\"1\n1\",2\n3\n"), [4], "and line breaks inside quotes");
    assert_eq!(places(b"x,y\n1,2\n3,\"open\n4,5\n"), [3], "the line in which the quote opens");
    assert_eq!(places(b"x;y\n1.5;1\n3;2\n2,5;2\n"), [2, 4], "the two cells that contradict");
    let text = "place,n,m\nNorth\nLima,NA,NA\nOslo,1,2\nRome,3,4\n";
    assert_eq!(places(text.as_bytes()), [2], "a row without values under a line of one text is a row");
    let mut many = "a,b\n".to_owned();
    many.push_str(&"1,2,3\n".repeat(3));
    many.push_str(&"1,2\n".repeat(500));
    many.push_str(&"1\n".repeat(500));
    let error = read(many.as_bytes()).unwrap_err();
    assert_eq!(error.issues().len(), 20, "the first places only");
    assert!(error.detail().contains("503 row(s)"), "but all are counted: {}", error.detail());
}

#[test]
fn limits_are_kept() {
    let limits = ReadLimits {
        max_rows: 10,
        max_columns: 5,
        max_cells: 30,
        max_cell_chars: 20,
        ..ReadLimits::default()
    };
    let check = |text: &str| match dataset::read(text.as_bytes(), "f", &ReadOptions::default(), &limits) {
        Ok(_) => "read".to_owned(),
        Err(error) => error.slug().to_owned(),
    };
    assert_eq!(check(&format!("x\n{}", "1\n".repeat(10))), "read");
    assert_eq!(check(&format!("x\n{}", "1\n".repeat(11))), "too-many-rows", "U8");
    assert_eq!(check("a,b,c,d,e\n1,2,3,4,5\n"), "read");
    assert_eq!(check("a,b,c,d,e,f\n1,2,3,4,5,6\n"), "too-many-columns", "U7");
    assert_eq!(check(&format!("a,b,c,d\n{}", "1,2,3,4\n".repeat(8))), "too-many-cells");
    assert_eq!(check("a,b\n1,éééééééééééééééééééé\n"), "read", "20 characters, though 40 bytes");
    assert_eq!(check("a,b\n1,ééééééééééééééééééééé\n"), "cell-too-large", "U9");
    let wide: String = (0..1_000_000).fold(String::new(), |mut line, _| {
        line.push_str("1,");
        line
    });
    assert_eq!(slug(format!("{wide}1\n{wide}1\n").as_bytes()), "too-many-columns", "U7: a million columns");
}

#[test]
fn names_are_only_data() {
    let reading =
        read(b"=cmd|'/C calc'!A0;../../etc/passwd;<script>;\xe2\x80\xaex\n1;2;3;4\n2;3;4;5\n").unwrap();
    let names: Vec<&str> = reading.table.columns.iter().map(|column| column.name.as_str()).collect();
    assert_eq!(names, ["=cmd|'/C calc'!A0", "../../etc/passwd", "<script>", "x"], "U21, U24");
}

#[test]
fn a_column_that_changes_its_mind_is_read_whole() {
    // Far behind the sample that the plan is made from.
    let with = |first: &str, last: &str| {
        let mut text = "x;y\n".to_owned();
        for i in 0..60_000 {
            writeln!(text, "{first};{i}").unwrap();
        }
        writeln!(text, "{last};7").unwrap();
        read(text.as_bytes())
    };
    let decimals = with("12", "2,5").unwrap();
    assert_eq!(numbers(&decimals.table, "x").last(), Some(&2.5), "integers, then a decimal comma");
    assert_eq!(numbers(&decimals.table, "x")[0], 12.0);
    let words = with("12", "broken").unwrap();
    assert!(codes_of_warnings(&words).contains(&"mixed-column"), "{:?}", words.description.warnings);
    let message = &words.description.warnings.iter().find(|w| w.code == "mixed-column").unwrap().message;
    assert!(message.contains("'broken' in row 60002"), "{message}");
    assert_eq!(words.table.rows_json(0, 1)[0]["x"], "12", "the first cells are text as written");
    let dates = with("01/02/2024", "02/13/2024").unwrap();
    assert_eq!(dates.table.rows_json(0, 1)[0]["x"], "2024-01-02T00:00:00Z", "the month came first after all");
    assert_eq!(
        with("1,5", "2.5").unwrap_err().slug(),
        "ambiguous-number-format",
        "a contradiction at the end"
    );
    assert_eq!(
        with("12", "1.234").unwrap_err().slug(),
        "ambiguous-number-format",
        "the only mark of the file"
    );
}

#[test]
fn overrides() {
    let read_with = |text: &str, options: ReadOptions| {
        dataset::read(text.as_bytes(), "f.csv", &options, &ReadLimits::default())
    };
    let decimal = |mark| ReadOptions { decimal: Some(mark), ..ReadOptions::default() };
    let column = |text: &str, options| numbers(&read_with(text, options).unwrap().table, "x").to_vec();
    assert_eq!(column("x\n1.234\n", decimal('.')), [1.234]);
    assert_eq!(column("x\n1.234\n", decimal(',')), [1234.0]);
    let typed = |kind: &str| ReadOptions {
        types: [("x".to_owned(), kind.to_owned())].into(),
        ..ReadOptions::default()
    };
    let forced = read_with("x;y\n1;a\nbad;b\n2;c\n", typed("number")).unwrap();
    assert!(numbers(&forced.table, "x")[1].is_nan());
    assert!(codes_of_warnings(&forced).contains(&"values-made-missing"));
    let category = read_with("x;y\n1;2\n2;3\n", typed("category")).unwrap();
    assert_eq!(category.table.rows_json(0, 1)[0]["x"], "1");
    let ignored = read_with("x;y\n1;2\n2;3\n", typed("ignore")).unwrap();
    assert!(ignored.table.column("x").is_none());
    let missing = ReadOptions { missing: Some(vec!["-9999".to_owned()]), ..ReadOptions::default() };
    let read_missing = read_with("x\n1\n-9999\n", missing).unwrap();
    assert!(numbers(&read_missing.table, "x")[1].is_nan());
    assert_eq!(read_missing.description.read.missing, ["-9999"]);
    let encoding = ReadOptions { encoding: Some("windows-1250".to_owned()), ..ReadOptions::default() };
    let polish = dataset::read(b"x;\xb3\n1;2\n".as_slice(), "f", &encoding, &ReadLimits::default()).unwrap();
    assert_eq!(polish.table.columns[1].name, "ł");

    for (options, why) in [
        (decimal('x'), "decimal"),
        (typed("colour"), "kind"),
        (ReadOptions { encoding: Some("klingon".to_owned()), ..ReadOptions::default() }, "encoding"),
        (ReadOptions { header_row: Some(77), ..ReadOptions::default() }, "header"),
        (ReadOptions { delimiter: Some('é'), ..ReadOptions::default() }, "delimiter"),
    ] {
        assert_eq!(read_with("x;y\n1;2\n", options).unwrap_err().slug(), "invalid-parameter", "{why}");
    }
    let unknown =
        ReadOptions { types: [("nope".to_owned(), "text".to_owned())].into(), ..ReadOptions::default() };
    assert_eq!(read_with("x;y\n1;2\n", unknown).unwrap_err().slug(), "unknown-column");
}
