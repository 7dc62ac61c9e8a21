//! A table is read back the same in whatever locale, encoding and quoting it was written.

use proptest::prelude::*;
use taqicfd::dataset::{self, Column, ColumnKind, MISSING_CODE, MISSING_DATE, NumberFormat, Table, Values};

/// How a spreadsheet program in some country saves a table.
#[derive(Debug, Clone)]
struct Locale {
    format: NumberFormat,
    delimiter: char,
    encoding: &'static str,
    line_end: &'static str,
    quotes_all: bool,
    missing: &'static str,
    date: &'static str,
    has_titles: bool,
}

#[derive(Debug, Clone)]
struct Row {
    /// In thousandths.
    number: Option<i64>,
    integer: i32,
    day: Option<u32>,
    text: String,
}

fn locale() -> impl Strategy<Value = Locale> {
    let format = prop_oneof![
        Just(('.', None)),
        Just(('.', Some(','))),
        Just((',', None)),
        Just((',', Some('.'))),
        Just((',', Some(' '))),
        Just(('.', Some('\''))),
    ];
    let encoding = prop_oneof![
        Just("utf-8"),
        Just("utf-8 bom"),
        Just("utf-16le"),
        Just("utf-16be"),
        Just("windows-1252")
    ];
    let line_end = prop_oneof![Just("\n"), Just("\r\n"), Just("\r")];
    let date = prop_oneof![Just("%Y-%m-%d"), Just("%d/%m/%Y"), Just("%Y/%m/%d"), Just("%d.%m.%Y")];
    let delimiter = prop_oneof![Just(','), Just(';'), Just('\t'), Just('|')];
    let missing = prop_oneof![Just(""), Just("NA"), Just("-"), Just("***")];
    (format, delimiter, encoding, line_end, any::<bool>(), missing, date, any::<bool>()).prop_map(
        |((decimal, thousands), delimiter, encoding, line_end, quotes_all, missing, date, has_titles)| {
            Locale {
                format: NumberFormat { decimal, thousands },
                delimiter,
                encoding,
                line_end,
                quotes_all,
                missing,
                date,
                has_titles,
            }
        },
    )
}

fn row() -> impl Strategy<Value = Row> {
    let number = prop::option::weighted(0.9, -9_999_999_999i64..9_999_999_999);
    let day = prop::option::weighted(0.9, 0u32..20_000);
    (number, any::<i32>(), day, "[a-zA-Zãéçñ ,;|\"'.()-]{0,20}").prop_map(|(number, integer, day, text)| {
        Row {
            number,
            integer,
            day,
            // Framed, so that neither trimming nor a missing mark can touch it.
            text: format!("t{text}z"),
        }
    })
}

fn grouped(digits: &str, mark: Option<char>) -> String {
    let Some(mark) = mark else { return digits.to_owned() };
    let mut text = String::new();
    for (i, digit) in digits.chars().enumerate() {
        if i > 0 && (digits.len() - i).is_multiple_of(3) {
            text.push(mark);
        }
        text.push(digit);
    }
    text
}

fn write_number(thousandths: i64, format: NumberFormat) -> String {
    let (whole, part) = (thousandths.unsigned_abs() / 1000, thousandths.unsigned_abs() % 1000);
    let sign = if thousandths < 0 { "-" } else { "" };
    format!("{sign}{}{}{part:03}", grouped(&whole.to_string(), format.thousands), format.decimal)
}

fn write_file(rows: &[Row], locale: &Locale) -> Vec<u8> {
    let quote = |text: &str| {
        if locale.quotes_all || text.contains([locale.delimiter, '"', '\n', '\r']) {
            format!("\"{}\"", text.replace('"', "\"\""))
        } else {
            text.to_owned()
        }
    };
    let line = |cells: &[String]| {
        let quoted: Vec<String> = cells.iter().map(|cell| quote(cell)).collect();
        quoted.join(&locale.delimiter.to_string()) + locale.line_end
    };
    let mut text = String::new();
    if locale.has_titles {
        text += &line(&["Ensaio".to_owned()]);
        text += &line(&["Local:".to_owned(), "túnel".to_owned()]);
        text += locale.line_end;
    }
    text += &line(&["Pressão".to_owned(), "n".to_owned(), "Data".to_owned(), "Observação".to_owned()]);
    for row in rows {
        let date = row.day.map(|day| {
            chrono::DateTime::from_timestamp(i64::from(day) * 86_400, 0)
                .expect("a day")
                .format(locale.date)
                .to_string()
        });
        text += &line(&[
            row.number
                .map_or_else(|| locale.missing.to_owned(), |number| write_number(number, locale.format)),
            row.integer.to_string(),
            date.unwrap_or_else(|| locale.missing.to_owned()),
            row.text.clone(),
        ]);
    }
    match locale.encoding {
        "utf-8 bom" => [b"\xef\xbb\xbf", text.as_bytes()].concat(),
        "utf-16le" => [0xfeff].into_iter().chain(text.encode_utf16()).flat_map(u16::to_le_bytes).collect(),
        "utf-16be" => [0xfeff].into_iter().chain(text.encode_utf16()).flat_map(u16::to_be_bytes).collect(),
        "windows-1252" => encoding_rs::WINDOWS_1252.encode(&text).0.into_owned(),
        _ => text.into_bytes(),
    }
}

proptest! {
    // 256 cases; PROPTEST_CASES=10000 for a long night.
    #![proptest_config(ProptestConfig::default())]

    #[test]
    fn any_locale_is_read_back_the_same(rows in prop::collection::vec(row(), 3..40), locale in locale()) {
        let mut rows = rows;
        // What no reader can know is not asked: the first rows show the marks and the order of day
        // and month.
        rows[0] = Row { number: Some(1_234_567_500), integer: 7, day: Some(30), text: "té".to_owned() };
        rows[1].number = Some(250);
        let bytes = write_file(&rows, &locale);
        let reading = dataset::read(bytes.as_slice(), "f.csv", &dataset::ReadOptions::default(), &dataset::ReadLimits::default());
        let reading = reading.map_err(|error| TestCaseError::fail(format!("{error}\n{}", String::from_utf8_lossy(&bytes))))?;
        let read = reading.table.rows_json(0, usize::MAX);
        prop_assert_eq!(read.len(), rows.len(), "{:?}", reading.description.read);
        for (read, row) in read.iter().zip(&rows) {
            prop_assert_eq!(&read["Pressão"].as_f64(), &row.number.map(|number| number as f64 / 1000.0), "{:?}", reading.description.read);
            prop_assert_eq!(read["n"].as_i64(), Some(i64::from(row.integer)));
            let date = row.day.map(|day| dataset::date::to_rfc3339(i64::from(day) * 86_400_000));
            prop_assert_eq!(read["Data"].as_str(), date.as_deref(), "{:?}", reading.description.columns);
            prop_assert_eq!(read["Observação"].as_str(), Some(row.text.as_str()));
        }
        // One cell sent to a model is read as the file was.
        let profile = &reading.description.columns[0];
        let written = write_number(-9_876_543, locale.format);
        prop_assert_eq!(dataset::number::parse(&written, profile.number_format.unwrap()), Some(-9876.543));
    }

    #[test]
    fn no_bytes_make_the_reader_panic(bytes in prop::collection::vec(any::<u8>(), 0..400)) {
        let _ = dataset::read(bytes.as_slice(), "f.csv", &dataset::ReadOptions::default(), &dataset::ReadLimits::default());
    }

    #[test]
    fn no_text_makes_the_reader_panic(text in "[0-9a-c.,;|\t\"'\n\r NA/:%+-]{0,200}") {
        let _ = dataset::read(text.as_bytes(), "f.csv", &dataset::ReadOptions::default(), &dataset::ReadLimits::default());
    }

    #[test]
    fn parquet_keeps_a_table_exactly(table in table()) {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("t.parquet");
        dataset::parquet::write(&table, &path).unwrap();
        let read = dataset::parquet::read(path.as_path()).unwrap();
        prop_assert_eq!(exact(&read), exact(&table));
    }
}

/// NaN is unlike itself, so numbers are compared by their bits.
fn exact(table: &Table) -> Vec<String> {
    let values = |values: &Values| match values {
        Values::Number(numbers) => {
            let bits = numbers
                .iter()
                .map(|number| if number.is_nan() { f64::NAN.to_bits() } else { number.to_bits() });
            format!("{:?}", bits.collect::<Vec<_>>())
        }
        other => format!("{other:?}"),
    };
    let column = |column: &Column| {
        format!("{} {:?} {:?} {}", column.name, column.kind, column.unit, values(&column.values))
    };
    table.columns.iter().map(column).collect()
}

fn table() -> impl Strategy<Value = Table> {
    let kind = prop_oneof![
        Just(ColumnKind::Number),
        Just(ColumnKind::Category),
        Just(ColumnKind::Date),
        Just(ColumnKind::Boolean),
        Just(ColumnKind::Text),
        Just(ColumnKind::Identifier),
        Just(ColumnKind::Constant),
        Just(ColumnKind::Empty),
    ];
    (0usize..50).prop_flat_map(move |n_rows| {
        let number = prop_oneof![5 => any::<f64>().boxed(), 1 => Just(f64::NAN).boxed()];
        let levels = prop::collection::hash_set("\\PC{0,8}", 1..5);
        let values = prop_oneof![
            prop::collection::vec(number, n_rows).prop_map(Values::Number),
            (levels, prop::collection::vec(prop::option::of(any::<u32>()), n_rows)).prop_map(
                |(levels, codes)| {
                    let levels: Vec<String> = levels.into_iter().collect();
                    let code =
                        |code: Option<u32>| code.map_or(MISSING_CODE, |code| code % levels.len() as u32);
                    Values::Category { codes: codes.into_iter().map(code).collect(), levels }
                }
            ),
            prop::collection::vec(prop_oneof![any::<i64>().boxed(), Just(MISSING_DATE).boxed()], n_rows)
                .prop_map(Values::Date),
            prop::collection::vec(any::<Option<bool>>(), n_rows).prop_map(Values::Boolean),
            prop::collection::vec(prop::option::of("\\PC{0,12}"), n_rows).prop_map(Values::Text),
        ];
        let column = (kind.clone(), prop::option::of("\\PC{1,6}"), values);
        prop::collection::vec(column, 1..6).prop_map(|columns| {
            let column =
                |(i, (kind, unit, values))| Column { name: format!("coluna {i} é"), kind, unit, values };
            Table { columns: columns.into_iter().enumerate().map(column).collect() }
        })
    })
}
