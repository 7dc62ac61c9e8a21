//! Reports that hold more than a table: what offices, instruments and solvers write around it, and
//! tables under one another. Each is made here small after its kind.

use super::{codes_of_warnings, numbers, read, slug};
use std::fmt::Write as _;
use taqicfd::dataset::{self, ColumnKind, ReadLimits, ReadOptions};

/// `n` lines made by `line`.
fn lines(n: usize, mut line: impl FnMut(usize) -> String) -> String {
    (0..n).fold(String::new(), |mut text, i| {
        writeln!(text, "{}", line(i)).unwrap();
        text
    })
}

fn names(reading: &dataset::Reading) -> Vec<&str> {
    reading.table.columns.iter().map(|column| column.name.as_str()).collect()
}

/// Statistical offices explain their signs under the table, in lines as wide as it is or narrower.
#[test]
fn legends_under_a_table() {
    for extra in ["", ",\"2019\""] {
        let (header, cell) =
            if extra.is_empty() { ("", String::new()) } else { (extra, ",\"7\"".to_owned()) };
        let text = format!(
            "\"Tabela 200 - População\"\n\"Município\",\"2018\"{header}\n{}\"Fonte: IBGE\"\n\"Legenda\"\n\"Símbolo\",\"Significado\"\n\"-\",\"Zero absoluto\"\n\"0\",\"Zero resultante de arredondamento\"\n\"..\",\"Valor não se aplica\"\n",
            lines(30, |i| format!("\"Lugar {i} (RO)\",\"{}\"{cell}", 100 + i))
        );
        let reading = read(text.as_bytes()).unwrap_or_else(|error| panic!("{}", error.detail()));
        assert_eq!(reading.table.n_rows(), 30, "{extra}");
        assert_eq!(numbers(&reading.table, "2018")[29], 129.0);
        let footer = reading.description.warnings.iter().find(|w| w.code == "footer-left-out").unwrap();
        assert!(footer.message.starts_with("6 row(s)"), "{}", footer.message);
    }
}

/// Few rows among many notes, and marks that refer to them.
#[test]
fn more_notes_than_rows() {
    let text = format!(
        "\"Tabela 6579 - População\"\n\"Cód.\";\"UF\";\"Ano\"\n\"Cód.\";\"UF\";\"2021\"\n{}\"Fonte: IBGE\"\n\"Notas\"\n{}\"Legenda\"\n\"-\";\"Zero absoluto\"\n",
        lines(9, |i| format!(
            "\"{}\";\"Estado {i}\";\"{}0000{}\"",
            11 + i,
            1 + i,
            if i == 4 { "(1)" } else { "" }
        )),
        lines(40, |i| format!("\"{i} - Os dados referem-se, em parte, ao ano anterior\""))
    );
    let reading = read(text.as_bytes()).unwrap_or_else(|error| panic!("{}", error.detail()));
    assert_eq!((names(&reading), reading.table.n_rows()), (vec!["Cód.", "UF", "2021"], 9));
    assert_eq!(numbers(&reading.table, "2021")[4], 50_000.0, "539354(1) is a number with a note");
}

/// `&` ends the files that some programs of health services write.
#[test]
fn a_sign_that_ends_the_file() {
    let text = format!(
        "\"Ano\";\"RO\";\"AC\"\n{}\"Total\";90;99\n&\n",
        lines(9, |i| format!("\"200{i}\";{i};1{i}"))
    );
    let reading = read(text.as_bytes()).unwrap_or_else(|error| panic!("{}", error.detail()));
    assert_eq!(reading.table.n_rows(), 9);
    let signal = format!("{}EOT\n", lines(12, |i| format!("0.{i}5 35.88{i}")));
    assert_eq!(slug(signal.as_bytes()), "read 12 x 2", "a word after two columns");
}

/// Notes of several cells under a table whose other columns hold numbers.
#[test]
fn numbered_notes_under_a_table() {
    let text = format!(
        "country;name;energy;share\n{};;;\nFootnotes:;;;\n1;Excludes the islands;;\n2;Data include Monaco;;\n",
        lines(12, |i| format!("Land {i};L{i};{i}00;{i}.5"))
    );
    let reading = read(text.as_bytes()).unwrap();
    assert_eq!((reading.table.n_rows(), reading.description.columns[2].missing), (12, 0));
    let with_rows_after = text + "Land 12;L12;;\nLand 13;L13;1300;13.5\n";
    let reading = read(with_rows_after.as_bytes()).unwrap();
    assert_eq!(reading.table.n_rows(), 17, "a row of numbers shows that all above are rows");
}

#[test]
fn fewer_rows_than_settings() {
    let rows = lines(4, |i| format!("0,{i}\t1,{i}\t2,{i}"));
    let text = format!(
        "LabVIEW Measurement\t\nSeparator\tTab\nDate\t2017/04/21\nTime\t18:14:43,03\nOperator\tme\n***End_of_Header***\t\n\t\nChannels\t2\t\t\nSamples\t1\t1\t\nDate\t2017/04/21\t2017/04/21\t\nY_Unit_Label\tV\tLux\t\nX0\t0,0\t0,0\t\n***End_of_Header***\t\t\t\nX_Value\tVoltage\tLight\tComment\n{rows}"
    );
    let reading = read(text.as_bytes()).unwrap_or_else(|error| panic!("{}", error.detail()));
    assert_eq!((reading.table.n_rows(), reading.description.read.header_row), (4, Some(14)));
    assert_eq!(names(&reading), ["X_Value", "Voltage", "Light", "Comment"]);
    assert_eq!(numbers(&reading.table, "Light"), [2.0, 2.1, 2.2, 2.3]);

    let marked =
        format!("instrument,7\nrange,5,V\n[Data]\nt,y,z\n{}", lines(3, |i| format!("{i},1{i},2{i}")));
    assert_eq!(names(&read(marked.as_bytes()).unwrap()), ["t", "y", "z"]);
}

#[test]
fn moments_with_zones_and_intervals() {
    let text = format!(
        "Carimbo de data/hora,nota\n{}",
        lines(9, |i| format!("2025/05/07 {}:04:28 PM GMT-3,{i}", 1 + i))
    );
    let reading = read(text.as_bytes()).unwrap();
    let (first, _) = reading.description.columns[0].date_range.clone().unwrap();
    assert_eq!(first, "2025-05-07T16:04:28Z");

    let text = format!(
        "MTU,price\n{}",
        lines(20, |i| format!("01.01.2022 {i:02}:00 - 01.01.2022 {:02}:00,{i}.5", i + 1))
    );
    let reading = read(text.as_bytes()).unwrap();
    assert_eq!(reading.table.columns[0].kind, ColumnKind::Date);
    let (first, last) = reading.description.columns[0].date_range.clone().unwrap();
    assert_eq!((first.as_str(), last.as_str()), ("2022-01-01T00:00:00Z", "2022-01-01T19:00:00Z"));

    let text = format!("Data,taxa\n{}", lines(24, |i| format!("20{}.{:02},7.{i}", 12 + i / 12, 1 + i % 12)));
    let reading = read(text.as_bytes()).unwrap();
    let (_, last) = reading.description.columns[0].date_range.clone().unwrap();
    assert_eq!(last, "2013-12-01T00:00:00Z", "2012.10 is a month and no number");
}

#[test]
fn one_table_of_several() {
    let text = format!(
        "Results\nx;y\n{}\nSecond run\nt;p;q\n{}",
        lines(9, |i| format!("{i};1{i}")),
        lines(6, |i| format!("{i};2{i};3{i}"))
    );
    let reading = read(text.as_bytes()).unwrap_or_else(|error| panic!("{}", error.detail()));
    assert_eq!((names(&reading), reading.table.n_rows()), (vec!["x", "y"], 9));
    let warning = reading.description.warnings.iter().find(|w| w.code == "further-tables-left-out").unwrap();
    assert!(warning.message.contains("header in line 14"), "{}", warning.message);

    let options = ReadOptions { header_row: Some(14), ..ReadOptions::default() };
    let other = dataset::read(text.as_bytes(), "upload", &options, &ReadLimits::default()).unwrap();
    assert_eq!((names(&other), other.table.n_rows()), (vec!["t", "p", "q"], 6));
    assert_eq!(numbers(&other.table, "q")[5], 35.0);

    let steps = format!(
        "Time: 0\n\n  Node  Depth  Head\n{}end\n\nTime: 60\n\n  Node  Depth  Head\n{}end\n",
        lines(20, |i| format!("   {}   -0.{i}   7.{i}", i + 1)),
        lines(20, |i| format!("   {}   -0.{i}   8.{i}", i + 1))
    );
    let reading = read(steps.as_bytes()).unwrap_or_else(|error| panic!("{}", error.detail()));
    assert_eq!(reading.table.n_rows(), 20, "times are not mixed");
    assert!(codes_of_warnings(&reading).contains(&"further-tables-left-out"));
}

#[test]
fn solver_headers_by_place() {
    let rows = lines(6, |i| format!("  {i}.000   0.{i}508   0.11534   1.0000   0.0069   0.{i}000   0.1897"));
    let polar = format!(
        "xflr5 v6.61\n\n  alpha     CL       CD     Top Xtr  Bot Xtr   Cpmin\n ------ -------- -------- --------- --------- ---------\n{rows}"
    );
    let reading = read(polar.as_bytes()).unwrap();
    assert_eq!(names(&reading), ["alpha", "CL", "CD", "Top Xtr", "Bot Xtr", "Cpmin", "column_7"]);

    let residuals = format!(
        "# Residuals\n# Time\tUx\tUy\tp\n0\tN/A\tN/A\n{}",
        lines(9, |i| format!("{}\t1.{i}\t2.{i}\t3.{i}", i + 1))
    );
    let reading = read(residuals.as_bytes()).unwrap_or_else(|error| panic!("{}", error.detail()));
    assert_eq!((names(&reading), reading.table.n_rows()), (vec!["Time", "Ux", "Uy", "p"], 10));
    assert!(numbers(&reading.table, "p")[0].is_nan());

    let report = format!(
        "\"lift-rfile\"\n\"Iteration\" \"lift\"\n(\"Iteration\" \"lift\")\n{}",
        lines(12, |i| format!("{} 34{i}.0332", i + 1)).replace("340.0332", "341.0332")
    );
    assert_eq!(names(&read(report.as_bytes()).unwrap()), ["Iteration", "lift"]);
}

#[test]
fn what_is_no_table() {
    let deck = "Blade file\n3 r[m] EI GK\n0.0 18110 18113 715\n3.2 15287 19788 474\n5.2 7229 10220\n1.0 2.0\n4 5 6 7 8\n9 8 7\n1 2\n";
    assert_eq!(slug(deck.as_bytes()), "malformed-csv");
    let names = format!("nome\n{}", lines(9, |i| format!("Rua {i} casa 1{i}")));
    assert_eq!(slug(names.as_bytes()), "read 9 x 1", "addresses hold numbers too");
    let program = format!("module x(\n{}", lines(9, |i| format!("in_{i},\nassign a{i};")));
    assert_eq!(slug(program.as_bytes()), "read 18 x 1");
    let short = "a;b\n1;2\n0 0\n3;4\n";
    assert_eq!(slug(short.as_bytes()), "malformed-csv", "a row that was cut is no unit");
}

/// Settings above and below, and a grid of wells under a header of numbers.
#[test]
fn plate_readers() {
    let wells = |end: &str| {
        "ABCDEFGH".chars().map(|row| format!("{row};0,1;0,25;0,5;0,7{end}\n")).collect::<String>()
    };
    let settings = "Application: reader\nDevice: infinite;Serial number: 7\n\nDate:;2019-03-05\nMode;Absorbance\nWavelength;600;nm\nFlashes;25\nPart of Plate;A1-H4\nStart Time:;05/03/2019 14:02:40\n\n";
    let cases = [
        (format!("{settings}<>;1;2;3;4\n{}", wells("")), "<>", 5),
        (format!("{settings}<>;1;2;3;4\n{}\n\nEnd Time:;05/03/2019 14:03:12\n", wells("")), "<>", 5),
        (format!("{settings};1;2;3;4\n{}", wells(";600")), "column_1", 6),
        (format!("Plate 1\n;1;2;3;4\n{}\nPlate 2\n;1;2;3;4\n{0}", wells("")), "column_1", 5),
    ];
    for (text, first, n_columns) in cases {
        let reading = read(text.as_bytes()).unwrap_or_else(|error| panic!("{}", error.detail()));
        assert_eq!((reading.table.n_rows(), reading.table.columns.len()), (8, n_columns), "{text}");
        assert_eq!(names(&reading)[..5], [first, "1", "2", "3", "4"], "{text}");
        assert_eq!(numbers(&reading.table, "4"), [0.7; 8]);
    }
}

/// What stands above a table may say which number means that there is none.
#[test]
fn marks_that_lines_above_name() {
    let rows = |end: &str| lines(6, |i| format!("{i}{end}1.{i}{end}{}", if i == 3 { "-9999" } else { "4" }));
    for text in [
        format!("Station;Porto;\nMissing values;-9999;\nt;x;y\n{}", rows(";")),
        format!("NODATA_value  -9999\nt x y\n{}", rows(" ")),
    ] {
        let reading = read(text.as_bytes()).unwrap_or_else(|error| panic!("{}", error.detail()));
        let profile = reading.description.columns.iter().find(|column| column.name == "y").unwrap();
        assert_eq!((profile.missing, codes_of_warnings(&reading)[0]), (1, "sentinel-missing"), "{text}");
    }
}
