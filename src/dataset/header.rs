//! Where the table starts: titles and station data above it, its header, a row of units under it.
//!
//! ```text
//! REGIAO:;NE                      titles: fewer cells than the table
//! LATITUDE:;-4,90416666
//! Data;Hora UTC;PRESSAO;...       header: text over columns of numbers
//! ;;hPa;...                       units: short text over columns of numbers
//! 2024/01/01;0000 UTC;1009,4;...  data
//! ```

use super::{
    affix::Affix,
    date, delimited,
    error::{Problem, ReadError},
    header_block::Block,
    missing::Missing,
    number_format,
    options::ReadOptions,
    row::{OwnedCell, SampleRow},
};

/// Rows that are looked at to learn what a column holds.
const BODY_ROWS: usize = 100;
/// Units are short: `kg/m³`, `W/(m² K)`.
const MAX_UNIT_CHARS: usize = 20;

/// How the sample is cut into header and data.
#[derive(Debug, Clone, PartialEq, Default)]
pub(super) struct Layout {
    pub(super) header_line: Option<u64>,
    pub(super) units_line: Option<u64>,
    pub(super) first_data_line: u64,
    /// Cells of a row.
    pub(super) width: usize,
    /// Cells that a row must have; those after are unnamed and may be left out.
    pub(super) min_width: usize,
    /// The header's cells as written; empty where there is none.
    pub(super) names: Vec<String>,
    pub(super) units: Vec<Option<String>>,
    pub(super) reason: String,
    pub(super) units_reason: Option<String>,
    /// Whether the header was taken for one although nothing tells it from the data.
    pub(super) is_assumed: bool,
}

/// Finds the table in the sample.
pub(super) fn find(
    rows: &[SampleRow],
    options: &ReadOptions,
    missing: &Missing,
) -> Result<Layout, ReadError> {
    let filled: Vec<&SampleRow> = rows.iter().filter(|row| row.n_filled() > 0).collect();
    let Some(last) = filled.last() else {
        return Err(ReadError::EmptyFile(Problem::new("the file has no cell with anything in it")));
    };
    let usual = delimited::usual_width(&filled);
    let start = match options.header_row {
        None => table_start(&filled, usual),
        Some(0) => 0,
        Some(line) => filled
            .iter()
            .position(|row| row.line == line)
            .ok_or_else(|| no_such_line("header_row", line, last.line))?,
    };
    let top = filled[start];
    let body = &filled[start + 1..];
    let (has_header, reason, is_assumed) = match options.header_row {
        Some(0) => (false, "given with the upload: no header".to_owned(), false),
        Some(_) => (true, "given with the upload".to_owned(), false),
        None => judge_header(top, body, missing),
    };
    let mut layout = Layout {
        reason,
        is_assumed,
        width: usual,
        min_width: usual,
        first_data_line: top.line,
        ..Layout::default()
    };
    if has_header {
        let block = match options.header_row {
            Some(_) => Block::one(start),
            None => Block::from(start, &filled, usual, missing),
        };
        let rows = &filled[block.first..=block.last];
        let n_named = rows.iter().map(|row| n_used(row)).max().unwrap_or(0);
        let bottom = filled[block.last];
        layout.header_line = Some(filled[block.base].line);
        layout.first_data_line = bottom.line + 1;
        layout.width = usual.max(n_named);
        layout.min_width = n_used(top);
        layout.names = block.names(&filled, layout.width);
        // `# time,force`: programs mark their header as a comment.
        let bare = layout.names.first().and_then(|name| name.strip_prefix(['#', '%']));
        if let Some(bare) = bare.map(|bare| bare.trim().to_owned()).filter(|bare| !bare.is_empty()) {
            layout.names[0] = bare;
        }
        if block.last > block.first {
            layout.reason.push_str(&format!(
                "; the header is lines {} to {}, whose names are joined where one would repeat",
                top.line, bottom.line
            ));
        }
        if start > 0 {
            layout.reason.push_str(&format!("; {start} line(s) above it are titles or notes"));
        }
        let body = &filled[block.last + 1..];
        let units = match options.units_row {
            Some(0) => None,
            Some(line) => {
                let row = body.iter().find(|row| row.line == line);
                let row = row.ok_or_else(|| no_such_line("units_row", line, last.line))?;
                Some((*row, "given with the upload"))
            }
            None => body
                .first()
                .filter(|row| is_units_row(row, &body[1..], layout.width, missing))
                .map(|row| (*row, "the row under the header has short texts over columns of numbers")),
        };
        if let Some((row, reason)) = units {
            layout.units_line = Some(row.line);
            layout.first_data_line = layout.first_data_line.max(row.line + 1);
            layout.units = row.cells.iter().map(unit).collect();
            layout.units_reason = Some(reason.to_owned());
        }
    }
    if filled.iter().all(|row| row.line < layout.first_data_line) {
        return Err(ReadError::EmptyFile(Problem::new(format!(
            "there is a header in line {} but no row of data under it",
            top.line
        ))));
    }
    Ok(layout)
}

fn no_such_line(parameter: &str, line: u64, last: u64) -> ReadError {
    ReadError::InvalidParameter(Problem::new(format!(
        "{parameter}: line {line} is blank or not among the first rows of the file (they end in line {last}); count lines from 1"
    )))
}

/// The first row that is as wide and nearly as full as the rows of the table.
fn table_start(filled: &[&SampleRow], usual: usize) -> usize {
    let table: Vec<&&SampleRow> = filled.iter().filter(|row| row.cells.len() == usual).collect();
    let mut fills: Vec<usize> = table.iter().map(|row| row.n_filled()).collect();
    fills.sort_unstable();
    let typical = fills.get(fills.len() / 2).copied().unwrap_or(1);
    let used = table.iter().map(|row| n_used(row)).max().unwrap_or(usual);
    let is_start = |row: &&SampleRow| {
        let n_filled = row.n_filled();
        row.cells.len() >= used && 2 * n_filled >= typical && (typical < 2 || n_filled >= 2)
    };
    filled.iter().position(is_start).unwrap_or(0)
}

fn n_used(row: &SampleRow) -> usize {
    row.cells.iter().rposition(|cell| *cell != OwnedCell::Empty).map_or(0, |i| i + 1)
}

/// Whether a cell holds a value rather than a word.
pub(super) fn is_value(cell: &OwnedCell) -> bool {
    match cell {
        OwnedCell::Text(text) => {
            number_format::shape(text).is_some()
                || Affix::of(text).and_then(|affix| number_format::shape(&affix.strip(text)?)).is_some()
                || !date::candidates(&[text.as_str()].into_iter()).is_empty()
        }
        OwnedCell::Empty => false,
        OwnedCell::Number(_) | OwnedCell::Date(_) | OwnedCell::Boolean(_) | OwnedCell::Error => true,
    }
}

pub(super) fn is_missing(cell: &OwnedCell, missing: &Missing) -> bool {
    match cell {
        OwnedCell::Empty | OwnedCell::Error => true,
        OwnedCell::Text(text) => missing.is_missing_among_numbers(text.as_bytes()),
        _ => false,
    }
}

/// Whether column `i` of the body is one of values: nearly all its cells are.
pub(super) fn is_value_column(body: &[&SampleRow], i: usize, missing: &Missing) -> bool {
    let (mut n, mut n_values) = (0, 0);
    for cell in body.iter().take(BODY_ROWS).filter_map(|row| row.cells.get(i)) {
        if !is_missing(cell, missing) {
            n += 1;
            n_values += usize::from(is_value(cell));
        }
    }
    n > 0 && n_values * 5 >= n * 4
}

/// Whether the top row names the columns, why, and whether that was only assumed.
fn judge_header(top: &SampleRow, body: &[&SampleRow], missing: &Missing) -> (bool, String, bool) {
    let (mut n_words, mut n_values) = (0, 0);
    let mut values = Vec::new();
    for (i, cell) in top.cells.iter().enumerate().filter(|(_, cell)| **cell != OwnedCell::Empty) {
        if is_value(cell) {
            values.push(cell.borrow().to_text());
        }
        if !is_value_column(body, i, missing) {
            continue;
        }
        if is_value(cell) || is_missing(cell, missing) {
            n_values += 1;
        } else {
            n_words += 1;
        }
    }
    if n_words >= n_values.max(1) {
        return (true, format!("it has words over {n_words} column(s) of numbers or dates"), false);
    }
    if is_even_run(&values) && values.len() < top.n_filled() {
        return (
            true,
            format!("it has words, and a run of numbers from {} on, as years are", values[0]),
            false,
        );
    }
    if n_values > 0 {
        let reason = "the first row has numbers or dates where the others have them, so it is data";
        return (false, reason.to_owned(), false);
    }
    if body.is_empty() && !values.is_empty() {
        return (false, "it is the only row and has numbers or dates, so it is data".to_owned(), false);
    }
    if top.n_filled() == 0 || body.is_empty() {
        return (!body.is_empty() || top.n_filled() > 0, "it is the first row".to_owned(), true);
    }
    (true, "it is the first row; all columns are text, so nothing tells it from the data".to_owned(), true)
}

/// `2000, 2001, 2002`: whole numbers with one step.
fn is_even_run(values: &[String]) -> bool {
    let numbers: Option<Vec<i64>> = values.iter().map(|value| value.parse().ok()).collect();
    let Some(numbers) = numbers.filter(|numbers| numbers.len() >= 3) else { return false };
    let step = numbers[1] - numbers[0];
    step > 0 && numbers.windows(2).all(|pair| pair[1] - pair[0] == step)
}

pub(super) fn is_units_row(row: &SampleRow, body: &[&SampleRow], width: usize, missing: &Missing) -> bool {
    if body.len() < 2 {
        return false;
    }
    let (mut n_numeric, mut n_units, mut n_dashes) = (0, 0, 0);
    for i in 0..width {
        let cell = row.cells.get(i).unwrap_or(&OwnedCell::Empty);
        let text = match cell {
            OwnedCell::Empty => "",
            OwnedCell::Text(text) => text.as_str(),
            _ => return false,
        };
        if missing.is_missing(text.as_bytes()) || is_value(cell) || text.chars().count() > MAX_UNIT_CHARS {
            return false;
        }
        let is_dash = matches!(text, "" | "-" | "–" | "—");
        if is_value_column(body, i, missing) {
            n_numeric += 1;
            n_units += usize::from(!is_dash);
            // A dash says that the quantity has no unit.
            n_dashes += usize::from(is_dash && !text.is_empty());
        } else if !is_dash && body.iter().take(BODY_ROWS).any(|row| row.cells.get(i) == Some(cell)) {
            return false;
        }
    }
    n_units > 0 && (n_units + n_dashes) * 2 >= n_numeric
}

/// `[m/s]` and `(m/s)` are `m/s`.
fn unit(cell: &OwnedCell) -> Option<String> {
    let text = cell.borrow().to_text();
    let inner = [('[', ']'), ('(', ')')].into_iter().find_map(|(open, close)| {
        let inner = text.strip_prefix(open)?.strip_suffix(close)?;
        (!inner.contains([open, close])).then_some(inner)
    });
    let bare = inner.unwrap_or(&text).trim();
    (!matches!(bare, "" | "-" | "–" | "—")).then(|| bare.to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn rows(text: &str) -> Vec<SampleRow> {
        let row = |(i, line): (usize, &str)| SampleRow {
            line: i as u64 + 1,
            cells: line.split(';').map(OwnedCell::text).collect(),
        };
        text.lines().enumerate().map(row).collect()
    }

    fn layout(text: &str) -> Layout {
        find(&rows(text), &ReadOptions::default(), &Missing::default()).unwrap()
    }

    #[test]
    fn headers() {
        #[rustfmt::skip]
        let cases = [
            ("x;y\n1;2", Some(1), 2, "words over numbers"),
            ("1;2\n3;4", None, 1, "numbers over numbers are data"),
            ("1;null;0\n2;0;null", None, 1, "so are missing marks over numbers"),
            ("REGIAO:;NE\nLATITUDE:;-4,9\nData;Hora;P;T\n2024/01/01;0000 UTC;1;2\n2024/01/01;0100 UTC;1;2", Some(3), 4, "station data above"),
            ("CO2 by sector;;;\nthousand tonnes;;;\n;;;\nYear;2000;2001;2002\nTimber;2;3;4\nPaper;3;4;5", Some(4), 5, "titles with separators; a run of years"),
            ("1904;2", None, 1, "a lone row of numbers"),
            ("A;1\n2;3", Some(1), 2, "one word over a number suffices"),
            ("name;city\nAda;London\nLin;Porto", Some(1), 2, "all text: assumed"),
            (";a;b\n0;1;2\n1;3;4", Some(1), 2, "an unnamed first column"),
            ("x;x;;;x\n1;2;3;4;5\n6;7;8;9;10", Some(1), 2, "some names are missing"),
            ("Data;v\n01/02/2024;1\n02/02/2024;2", Some(1), 2, "dates are values"),
        ];
        for (text, header, first_data, why) in cases {
            let layout = layout(text);
            assert_eq!((layout.header_line, layout.first_data_line), (header, first_data), "{why}");
        }
        assert!(layout("name;city\nAda;London").is_assumed);
        assert!(!layout("x;y\n1;2").is_assumed);
    }

    #[test]
    fn a_header_that_is_a_comment() {
        assert_eq!(layout("# t;u\n1;2\n3;4").names, ["t", "u"]);
        assert_eq!(layout("#;u\n1;2\n3;4").names, ["#", "u"], "a name of its own");
    }

    #[test]
    fn units() {
        let found = layout("Time;Force;Temp\ns;[N];(°C)\n0,0;0,5;20,1\n1,0;1,5;21,1");
        assert_eq!(found.units_line, Some(2));
        assert_eq!(found.units, [Some("s".to_owned()), Some("N".to_owned()), Some("°C".to_owned())]);
        assert_eq!(found.first_data_line, 3);
        let dashes = layout("Data;Re;Cl;Cd\n;-;-;%\n01/02/2024;10;1;2\n02/02/2024;20;2;3");
        assert_eq!(dashes.units, [None, None, None, Some("%".to_owned())]);
        let with_text = layout("Re;regime;Cd\n-;-;1\n10;laminar;2\n100;turbulent;3");
        assert_eq!(with_text.units_line, None, "a number is no unit");
        let missing = layout("x;y\nNA;NA\n1;2\n3;4");
        assert_eq!(missing.units_line, None, "a missing mark is no unit");
        let words = layout("x;y\nlow;high\nlow;high\n1;2");
        assert_eq!(words.units_line, None, "the column repeats it: data");
    }

    #[test]
    fn the_caller_names_the_lines() {
        let rows = rows("a;b\nc;d\n1;2\n3;4");
        let read = |header_row, units_row| {
            let options = ReadOptions { header_row, units_row, ..ReadOptions::default() };
            find(&rows, &options, &Missing::default()).map_err(|error| error.slug())
        };
        let second = read(Some(2), None).unwrap();
        assert_eq!((second.header_line, second.first_data_line), (Some(2), 3));
        assert_eq!(read(Some(1), Some(2)).unwrap().units_line, Some(2));
        assert_eq!(read(Some(0), None).unwrap().header_line, None);
        assert_eq!(read(Some(9), None).unwrap_err(), "invalid-parameter");
    }

    #[test]
    fn nothing_to_read() {
        let read = |text: &str| {
            find(&rows(text), &ReadOptions::default(), &Missing::default()).map_err(|e| e.slug())
        };
        assert_eq!(read(";;\n;").unwrap_err(), "empty-file");
        assert_eq!(read("x;y;z").unwrap_err(), "empty-file", "a header alone");
    }
}
