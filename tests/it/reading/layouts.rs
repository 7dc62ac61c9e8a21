//! Tables as people and programs lay them out: titles, groups, blanks for separators, notes, totals,
//! signs beside numbers, sentinels.

use super::{codes_of_warnings, numbers, read, slug};
use std::fmt::Write;
use taqicfd::dataset::{self, ColumnKind, ReadLimits, ReadOptions};

fn names(text: &str) -> Vec<String> {
    let reading = read(text.as_bytes()).unwrap_or_else(|error| panic!("{text}: {error}"));
    reading.table.columns.iter().map(|column| column.name.clone()).collect()
}

#[test]
fn blanks_between_the_columns() {
    let forces = "# Force coefficients\n# lRef : 1.0\n# Time  \tCd  \tCl\n1 \t0.5\t0.1\n2 \t0.4\t0.2\n";
    let reading = read(forces.as_bytes()).unwrap();
    let report = &reading.description.read;
    assert_eq!((report.delimiter, report.header_row), (Some(' '), Some(3)));
    assert_eq!(numbers(&reading.table, "Cd"), [0.5, 0.4]);
    let polar = " XFOIL  Version 6.99\n\n xtrf =  1.000 (top)  1.000 (bottom)\n\n  alpha   CL       CD\n ------ -------- --------\n  1.000   0.1208  0.00541\n -2.000  -0.2416  0.00561\n";
    let reading = read(polar.as_bytes()).unwrap();
    assert_eq!(numbers(&reading.table, "alpha"), [1.0, -2.0]);
    let fixed = "  Re      Cl      Cd\n  10   0.512   0.031\n 100           0.024\n1000   0.701\n2000   0.702   0.020\n   5           0.100\n";
    let fixed = read(fixed.as_bytes()).unwrap();
    assert_eq!(numbers(&fixed.table, "Cd")[1], 0.024, "a gap is a missing value");
    assert!(numbers(&fixed.table, "Cl")[1].is_nan());
    let commas = "t  u\n0,5  1,5\n1,0  2,5\n1,5  3,5\n";
    assert_eq!(numbers(&read(commas.as_bytes()).unwrap().table, "u"), [1.5, 2.5, 3.5]);
    let ragged = "t u v\n1 2 3\n1 2 3\n1 2 3\n1 2 3\n1 2 3\n1 2 3\n1 2 3\n1 2 3\n1 2 3\n1 2 3\n4 5\n";
    assert_eq!(slug(ragged.as_bytes()), "malformed-csv", "a row with a cell too few");
}

#[test]
fn headers_of_several_rows() {
    let body: String = (2004..2014).fold(String::new(), |mut body, year| {
        writeln!(body, "{year};{};{};{}", year % 7, year % 5, year % 3).unwrap();
        body
    });
    assert_eq!(
        names(&format!("Traffic;;;\n\n;Month;;Year to date\n\nYear;Flow;Loss;Flow\n{body}")),
        ["Year", "Month Flow", "Loss", "Year to date Flow"]
    );
    assert_eq!(
        names(&format!(";province;province;province\n;Groningen;Drenthe;Utrecht\nNr;;;\n{body}")),
        ["Nr", "Groningen", "Drenthe", "Utrecht"]
    );
}

#[test]
fn totals_and_notes_are_left_out_and_said() {
    let text = "name;x;y\nash;1;2\nbeech;3;4\noak;5;6\nTotal;9;12\n;;\nSource: the office;;\n";
    let reading = read(text.as_bytes()).unwrap();
    assert_eq!(numbers(&reading.table, "x"), [1.0, 3.0, 5.0]);
    let warning = &reading.description.warnings.iter().find(|w| w.code == "footer-left-out").unwrap().message;
    assert!(warning.contains("line 5, 7") && warning.contains("'Total'"), "{warning}");
    let words = "x,y,z\n1,2,3\n4,5,6\nmeasured by hand\n";
    assert_eq!(numbers(&read(words.as_bytes()).unwrap().table, "x"), [1.0, 4.0], "without separators");
    let data = "name,x\nAda,1\nBo,2\nEve\n";
    assert_eq!(slug(data.as_bytes()), "malformed-csv", "a row that was cut is no note");
}

#[test]
fn headers_that_are_repeated() {
    let text = "t;u\n1;2\n2;2\n3;2\nt;u\n4;4\n5;5\n";
    let reading = read(text.as_bytes()).unwrap();
    assert_eq!(numbers(&reading.table, "t"), [1.0, 2.0, 3.0, 4.0, 5.0]);
    assert!(codes_of_warnings(&reading).contains(&"repeated-header"));
}

#[test]
fn signs_beside_numbers() {
    let text = "preço;taxa\nR$ 1.000,50;5,5%\n-R$ 2,00;12 %\nR$ 3,00;-1%\n";
    let reading = read(text.as_bytes()).unwrap();
    assert_eq!(numbers(&reading.table, "preço"), [1000.5, -2.0, 3.0]);
    assert_eq!(numbers(&reading.table, "taxa"), [5.5, 12.0, -1.0], "as it is written");
    assert_eq!(reading.table.column("taxa").unwrap().unit.as_deref(), Some("%"));
    assert!(codes_of_warnings(&reading).contains(&"sign-as-unit"));
    let mixed = read(b"taxa;x\n5%;1\n0,05;2\n7%;3\n").unwrap();
    assert_eq!(mixed.table.columns[0].kind, ColumnKind::Category, "5% and 0,05: two readings");
}

#[test]
fn spaces_and_signs_inside_numbers() {
    let text = "a,b,c\n\"1,130,345\",-1 262,- 1\n\"2,000,000\",\"566,216\",5\n";
    let reading = read(text.as_bytes()).unwrap();
    assert_eq!(numbers(&reading.table, "a"), [1_130_345.0, 2_000_000.0]);
    assert_eq!(numbers(&reading.table, "b"), [-1262.0, 566_216.0], "never 566.216");
    assert_eq!(numbers(&reading.table, "c"), [-1.0, 5.0]);
}

#[test]
fn dates_with_names_of_months() {
    let text = "dia;x\n5 fev 2024;1\n14 de março de 2024;2\n";
    assert_eq!(read(text.as_bytes()).unwrap().table.columns[0].kind, ColumnKind::Category, "two ways");
    let text = "dia;x\n5 fev 2024;1\n14 março 2024;2\n";
    let reading = read(text.as_bytes()).unwrap();
    assert_eq!(reading.table.rows_json(1, 1)[0]["dia"], "2024-03-14T00:00:00Z");
}

#[test]
fn sentinels_need_evidence_and_can_be_kept() {
    let mut text = "t;x\n".to_owned();
    for i in 0..60 {
        let x = if i % 10 == 3 { "-9999".to_owned() } else { format!("{}", i % 9) };
        writeln!(text, "{i};{x}").unwrap();
    }
    let reading = read(text.as_bytes()).unwrap();
    assert!(numbers(&reading.table, "x")[3].is_nan());
    assert_eq!(reading.description.read.missing, ["-9999"]);
    let warning = reading.description.warnings.iter().find(|w| w.code == "sentinel-missing").unwrap();
    assert!(warning.message.contains("6 cell(s)"), "{}", warning.message);
    let kept = ReadOptions { missing: Some(vec!["NA".to_owned()]), ..ReadOptions::default() };
    let kept = dataset::read(text.as_bytes(), "f.csv", &kept, &ReadLimits::default()).unwrap();
    assert_eq!(numbers(&kept.table, "x")[3], -9999.0, "the caller's list replaces ours");
}
