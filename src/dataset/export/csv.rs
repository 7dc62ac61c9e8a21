//! CSV in the marks of the file that it answers, safe to be opened in a spreadsheet program.

use super::{Cell, ExportColumn};
use crate::dataset::{date, number_format};
use std::fmt::Write;

/// How the file is written.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct CsvStyle {
    /// Between the cells.
    pub delimiter: char,
    /// `.` or `,`.
    pub decimal: char,
}

/// The line of the names. UTF-8 with a byte order mark, without which Excel takes it for something else; lines end as
/// RFC 4180 says.
pub(super) fn header(names: &[&str], style: CsvStyle) -> String {
    let mut text = String::from('\u{feff}');
    for (i, name) in names.iter().enumerate() {
        separate(&mut text, i, style);
        write_text(&mut text, name, style);
    }
    text.push_str("\r\n");
    text
}

/// The lines of the first `n_rows` rows.
pub(super) fn rows(columns: &[ExportColumn], n_rows: usize, style: CsvStyle) -> String {
    let mut text = String::new();
    let mut number = String::new();
    let times: Vec<bool> = columns.iter().map(ExportColumn::holds_times).collect();
    for row in 0..n_rows {
        for (i, column) in columns.iter().enumerate() {
            separate(&mut text, i, style);
            if column.texts.is_some() {
                write_text(&mut text, column.text(row).unwrap_or_default(), style);
                continue;
            }
            match column.value(row) {
                Cell::Empty => {}
                Cell::Text(own) => write_text(&mut text, own, style),
                Cell::Boolean(flag) => text.push_str(if flag { "true" } else { "false" }),
                Cell::Date(ms) if times[i] => text.push_str(&date::to_time(ms)),
                Cell::Date(ms) => text.push_str(&date::to_rfc3339(ms)),
                Cell::Number(value) => {
                    number.clear();
                    // Writing to a text cannot fail.
                    let _ = write!(number, "{value}");
                    if style.decimal != '.' {
                        number = number.replace('.', style.decimal.encode_utf8(&mut [0; 4]));
                    }
                    quote(&mut text, &number, style);
                }
            }
        }
        text.push_str("\r\n");
    }
    text
}

fn separate(text: &mut String, i: usize, style: CsvStyle) {
    if i > 0 {
        text.push(style.delimiter);
    }
}

/// A text, made harmless: a spreadsheet program runs a cell that begins like a formula, so such a cell gets an
/// apostrophe in front, which the program takes for "text" (OWASP, CSV injection). Numbers stay as they are.
fn write_text(text: &mut String, cell: &str, style: CsvStyle) {
    let begins_like_a_formula = cell.starts_with(['=', '+', '-', '@', '\t', '\r']);
    let is_harmless = cell.chars().count() == 1 && cell != "=" || number_format::shape(cell).is_some();
    if begins_like_a_formula && !is_harmless {
        quote(text, &format!("'{cell}"), style);
    } else {
        quote(text, cell, style);
    }
}

fn quote(text: &mut String, cell: &str, style: CsvStyle) {
    if cell.contains([style.delimiter, '"', '\n', '\r']) {
        text.push('"');
        text.push_str(&cell.replace('"', "\"\""));
        text.push('"');
    } else {
        text.push_str(cell);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::dataset::Values;

    const EUROPE: CsvStyle = CsvStyle { delimiter: ';', decimal: ',' };

    #[test]
    fn cells_are_written_in_the_marks_of_the_file() {
        let numbers = Values::Number(vec![1.5, f64::NAN, -0.001]);
        let texts = Values::Text(vec![Some("a;b".into()), None, Some("say \"x\"".into())]);
        let flags = Values::Boolean(vec![Some(true), Some(false), None]);
        let spelt = [Some("1,50".to_owned()), Some("***".to_owned()), None];
        let columns = [
            ExportColumn { values: &numbers, texts: None, first: 0 },
            ExportColumn { values: &texts, texts: None, first: 0 },
            ExportColumn { values: &flags, texts: None, first: 0 },
            ExportColumn { values: &numbers, texts: Some(&spelt), first: 0 },
        ];
        let written = header(&["n", "t", "f", "spelt"], EUROPE) + &rows(&columns, 3, EUROPE);
        let expected =
            "\u{feff}n;t;f;spelt\r\n1,5;\"a;b\";true;1,50\r\n;;false;***\r\n-0,001;\"say \"\"x\"\"\";;\r\n";
        assert_eq!(written, expected);
        let comma = rows(&columns[..1], 1, CsvStyle { delimiter: ',', decimal: ',' });
        assert_eq!(comma, "\"1,5\"\r\n");
    }

    #[test]
    fn nothing_begins_like_a_formula_unless_it_is_a_number() {
        let check = |cell: &str, expected: &str| {
            let mut text = String::new();
            write_text(&mut text, cell, EUROPE);
            assert_eq!(text, expected, "{cell}");
        };
        check("=1+1", "'=1+1");
        check("=", "'=");
        check("@SUM(A1)", "'@SUM(A1)");
        check("+cmd|' /C calc'!A0", "'+cmd|' /C calc'!A0");
        check("-1+1", "'-1+1");
        check("\tx", "'\tx");
        check("\rx", "\"'\rx\"");
        check("-6,0", "-6,0");
        check("-1.302,5", "-1.302,5");
        check("+5e-3", "+5e-3");
        check("-", "-");
        check("a=1", "a=1");
    }
}
