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
    beside::{self, Beside},
    date,
    error::{Problem, ReadError},
    further_tables::{self, Further},
    header_block::Block,
    header_start,
    missing::Missing,
    number_format,
    options::ReadOptions,
    row::{OwnedCell, SampleRow},
    spaced_names, units_row, width,
};

/// Rows that are looked at to learn what a column holds.
pub(super) const BODY_ROWS: usize = 100;
/// Numbers that may be years.
const YEARS: std::ops::RangeInclusive<f64> = 1900.0..=2100.0;

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
    /// The rows of the header as written.
    pub(super) header_rows: Vec<Vec<String>>,
    /// The header's cells; empty where there is none.
    pub(super) names: Vec<String>,
    pub(super) units: Vec<Option<String>>,
    pub(super) reason: String,
    pub(super) units_reason: Option<String>,
    /// Whether the header was taken for one although nothing tells it from the data.
    pub(super) is_assumed: bool,
    /// Whether each column holds values; nothing where that was not asked.
    pub(super) holds_values: Vec<bool>,
    /// First and last line of what looks like another table above this one.
    pub(super) table_above: Option<(u64, u64)>,
    /// The tables under this one, which ends where the first of them begins.
    pub(super) further: Vec<Further>,
    /// The columns that are read where another table stands beside.
    pub(super) beside: Option<Beside>,
}

impl Layout {
    /// The line after the last of the table.
    pub(super) fn end_line(&self) -> u64 {
        self.further.first().map_or(u64::MAX, |further| further.first_line)
    }

    /// Whether the column is one of the table's.
    pub(super) fn reads(&self, column: usize) -> bool {
        self.beside.as_ref().is_none_or(|beside| beside.kept.contains(&column))
    }

    /// Whether the row is one of the table's.
    pub(super) fn holds(&self, line: u64) -> bool {
        (self.first_data_line..self.end_line()).contains(&line)
    }
}

/// Finds the table in the sample.
pub(super) fn find(
    rows: &[SampleRow],
    is_workbook: bool,
    options: &ReadOptions,
    missing: &Missing,
) -> Result<Layout, ReadError> {
    let usual = match options.header_row {
        Some(line) if line > 0 => width_under(rows, line),
        _ => None,
    };
    let usual = usual.unwrap_or_else(|| width::usual_width(&width::without_comments(rows)));
    let filled: Vec<&SampleRow> = rows
        .iter()
        .filter(|row| row.n_filled() > 0 && (row.cells.len() == usual || !width::is_comment(row)))
        .filter(|row| !is_rule(row))
        .collect();
    let Some(last) = filled.last() else {
        return Err(ReadError::EmptyFile(Problem::new("the file has no cell with anything in it")));
    };
    let found = match options.header_row {
        None => header_start::find(&filled, table_start(&filled, usual), usual, missing),
        Some(_) => None,
    };
    let start = match options.header_row {
        None => found.as_ref().map_or_else(|| table_start(&filled, usual), |found| found.names),
        Some(0) => 0,
        Some(line) => filled
            .iter()
            .position(|row| row.line == line)
            .ok_or_else(|| no_such_line("header_row", line, last.line))?,
    };
    let row_names = header_start::over_row_names(&filled, start, usual);
    let is_open = options.header_row.is_none() && found.is_none() && row_names.is_none();
    let start = if is_open && names_few_above(&filled, start, usual, missing) { start - 1 } else { start };
    let top = filled[start];
    let body = &filled[start + 1..];
    let (has_header, reason, is_assumed) = match options.header_row {
        None if found.is_some() => {
            (true, found.as_ref().map_or_else(String::new, |found| found.reason.clone()), false)
        }
        None if row_names.is_some() => {
            (true, "it has a name for each column but the first, which names the rows".to_owned(), false)
        }
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
    if options.header_row.is_none() {
        layout.table_above = header_start::table_above(&filled[..start]);
    }
    if has_header {
        let block = match (options.header_row, &row_names) {
            (None, None) => Block::from(start, &filled, usual, missing),
            (None, Some(_)) => Block::one(start - 1),
            (Some(_), _) => Block::one(start),
        };
        let row_names = row_names.filter(|_| options.header_row.is_none());
        take_header(&mut layout, &filled, block, row_names);
        let body = found.map_or(block.last + 1, |found| found.body);
        units_row::take(&mut layout, &filled, block.last + 1, body, options.units_row, missing)?;
    }
    // `+----+-----+`, as databases draw their tables.
    for row in rows.iter().filter(|row| row.n_filled() > 0) {
        if row.line == layout.first_data_line && has_header && is_rule(row) {
            layout.first_data_line += 1;
        }
    }
    let body: Vec<&SampleRow> =
        filled.iter().copied().filter(|row| row.line >= layout.first_data_line).collect();
    if layout.header_line.is_some() && !layout.is_assumed {
        layout.further = further_tables::find(&body, &layout.names, !is_workbook, missing);
        if let Some(largest) = largest_under(&layout.further, &body).filter(|_| options.header_row.is_none())
        {
            let (first, last) =
                (layout.header_line.unwrap_or(layout.first_data_line), largest.first_line - 1);
            let from = rows.partition_point(|row| row.line < largest.first_line);
            let under = find(&rows[from..], is_workbook, options, missing)?;
            return Ok(Layout { table_above: Some((first, last)), ..under });
        }
    }
    let end = layout.end_line();
    let body: Vec<&SampleRow> = body.into_iter().filter(|row| row.line < end).collect();
    if layout.header_line.is_some() && !layout.is_assumed {
        layout.beside = beside::find(&layout.names, &body);
    }
    for i in (0..layout.names.len()).filter(|i| !layout.reads(*i)).collect::<Vec<_>>() {
        layout.names[i].clear();
    }
    layout.holds_values = (0..layout.width).map(|i| is_value_column(&body, i, missing)).collect();
    if body.is_empty() {
        return Err(ReadError::EmptyFile(Problem::new(format!(
            "there is a header in line {} but no row of data under it",
            top.line
        ))));
    }
    Ok(layout)
}

/// Takes the names from the rows of the header.
fn take_header(layout: &mut Layout, filled: &[&SampleRow], block: Block, row_names: Option<Vec<String>>) {
    let top = filled[block.first];
    let (rows, body) = (&filled[block.first..=block.last], &filled[block.last + 1..]);
    let n_named = rows.iter().map(|row| n_used(row)).max().unwrap_or(0);
    let bottom = filled[block.last];
    layout.header_line = Some(filled[block.base].line);
    layout.first_data_line = bottom.line + 1;
    // A header may name columns at the end that no row has.
    let is_padded = body.iter().all(|row| row.cells.len() <= layout.width);
    layout.min_width = if is_padded { n_used(top).min(layout.width) } else { n_used(top) };
    layout.width = layout.width.max(n_named);
    let texts = |row: &&SampleRow| row.cells.iter().map(|cell| cell.borrow().to_text()).collect();
    layout.header_rows = rows.iter().map(texts).collect();
    layout.names = row_names.unwrap_or_else(|| block.names(filled, layout.width));
    drop_blank_names(layout, body);
    // `# time,force`: programs mark their header as a comment.
    let bare = layout.names.first().and_then(|name| name.strip_prefix(['#', '%']));
    if let Some(bare) = bare.map(|bare| bare.trim().to_owned()).filter(|bare| !bare.is_empty()) {
        layout.names[0] = bare;
    }
    // `VARIABLES = "alpha", "CL"`: Tecplot's files say first what the line is.
    let tecplot = layout.names.first().and_then(|name| name.split_once('='));
    let name = tecplot.filter(|(word, _)| word.trim().eq_ignore_ascii_case("variables"));
    if let Some(name) = name.map(|(_, name)| name.trim().trim_matches('"').to_owned()) {
        layout.names[0] = name;
    }
    if block.last > block.first {
        layout.reason.push_str(&format!(
            "; the header is lines {} to {}, whose names are joined where one would repeat",
            top.line, bottom.line
        ));
    }
    if block.first > 0 {
        layout.reason.push_str(&format!("; {} line(s) above it are titles or notes", block.first));
    }
}

/// `a,b,,c` over rows of three cells: one separator too many, and no column without a name.
fn drop_blank_names(layout: &mut Layout, body: &[&SampleRow]) {
    let n_blank = layout.names.iter().filter(|name| name.is_empty()).count();
    let n_cells = layout.names.len() - n_blank;
    let is_full = |row: &&SampleRow| row.cells.len() == n_cells && row.n_filled() == n_cells;
    if n_blank > 0 && body.len() > 1 && body.iter().all(is_full) {
        layout.names.retain(|name| !name.is_empty());
        (layout.width, layout.min_width) = (n_cells, n_cells);
    }
}

/// A line that is drawn: `+----+-----+`, `|---|:---|`.
fn is_rule(row: &SampleRow) -> bool {
    let is_drawn = |cell: &OwnedCell| match cell {
        OwnedCell::Text(text) => text.len() > 2 && text.bytes().all(|byte| b"+-=|:".contains(&byte)),
        _ => false,
    };
    row.n_filled() > 0 && row.cells.iter().filter(|cell| **cell != OwnedCell::Empty).all(is_drawn)
}

pub(super) fn no_such_line(parameter: &str, line: u64, last: u64) -> ReadError {
    ReadError::InvalidParameter(Problem::new(format!(
        "{parameter}: line {line} is blank or not among the first rows of the file (they end in line {last}); count lines from 1"
    )))
}

/// The first row that is as wide and nearly as full as the rows of the table.
fn table_start(filled: &[&SampleRow], usual: usize) -> usize {
    let table: Vec<&&SampleRow> = filled.iter().filter(|row| row.cells.len() == usual).collect();
    let mut fills: Vec<usize> = table.iter().map(|row| row.n_filled()).collect();
    fills.sort_unstable();
    // Rows of nothing but a name, as wells without a sample have, do not show how full a table is.
    let is_of_names = fills.get(fills.len() / 2) == Some(&1) && usual > 2 && fills.len() > 10;
    let middle = if is_of_names { fills.len() * 9 / 10 } else { fills.len() / 2 };
    let typical = fills.get(middle).copied().unwrap_or(1);
    let used = table.iter().map(|row| n_used(row)).max().unwrap_or(usual);
    let is_start = |(i, row): (usize, &&SampleRow)| {
        let n_filled = row.n_filled();
        // A wider line among others of every width is none of the table's.
        let is_wider =
            row.cells.len() > usual && filled.get(i + 1).is_some_and(|next| next.cells.len() < used);
        row.cells.len() >= used && !is_wider && 2 * n_filled >= typical && (typical < 2 || n_filled >= 2)
    };
    filled.iter().enumerate().position(is_start).unwrap_or(0)
}

/// Whether the row above the first full one names columns, though not all of them: those of its cells
/// that are filled are words over values, and the rest has no header.
fn names_few_above(filled: &[&SampleRow], start: usize, usual: usize, missing: &Missing) -> bool {
    let Some(above) = start.checked_sub(1).map(|i| filled[i]) else { return false };
    let (top, body) = (filled[start], &filled[start..]);
    let is_whole = above.cells.len() == usual || n_used(above) * 3 >= usual * 2 && above.cells.len() < usual;
    // `Station:,Porto` is no header.
    let is_setting = |cell: &OwnedCell| matches!(cell, OwnedCell::Text(text) if text.ends_with(':'));
    let are_words = above.cells.iter().all(|cell| !is_value(cell) && !is_setting(cell));
    let counts = above.cells.first().is_some_and(|cell| !is_value(cell))
        && is_even_run(&above.cells[1..].iter().map(|cell| cell.borrow().to_text()).collect::<Vec<_>>());
    let (is_header, _, is_assumed) = judge_header(above, body, missing);
    is_whole
        && (are_words || counts)
        && above.line + 1 == top.line
        && above.n_filled() >= 2
        && is_header
        && !is_assumed
        && !judge_header(top, &body[1..], missing).0
}

/// The table under this one that has more than twice its rows in the sample, where one has.
fn largest_under<'a>(further: &'a [Further], body: &[&SampleRow]) -> Option<&'a Further> {
    let n_rows = |from: u64, to: u64| body.iter().filter(|row| row.line > from && row.line < to).count();
    let ends = further.iter().skip(1).map(|next| next.first_line).chain([u64::MAX]);
    let sizes = further.iter().zip(ends).map(|(table, end)| (table, n_rows(table.header_line, end)));
    let (largest, n) = sizes.max_by_key(|(_, n)| *n)?;
    (n > 2 * n_rows(0, further[0].first_line)).then_some(largest)
}

/// The width of the rows directly under the header that the caller named; other tables may be wider.
fn width_under(rows: &[SampleRow], header: u64) -> Option<usize> {
    let under: Vec<&SampleRow> = rows.iter().filter(|row| row.line > header && row.n_filled() > 0).collect();
    let n = under.windows(2).take_while(|pair| pair[1].line == pair[0].line + 1).count() + 1;
    (under.len() >= 2 && n >= 2).then(|| width::usual_width(&under[..n.min(BODY_ROWS)]))
}

pub(super) fn n_used(row: &SampleRow) -> usize {
    row.cells.iter().rposition(|cell| *cell != OwnedCell::Empty).map_or(0, |i| i + 1)
}

/// Whether a cell holds a value rather than a word.
pub(super) fn is_value(cell: &OwnedCell) -> bool {
    match cell {
        OwnedCell::Text(text) => {
            number_format::shape(text).is_some()
                || Affix::of(text).and_then(|affix| number_format::shape(&affix.strip(text)?)).is_some()
                || date::is_day_or_time(text)
        }
        OwnedCell::Empty => false,
        OwnedCell::Number(_)
        | OwnedCell::Percent(_)
        | OwnedCell::Date(_)
        | OwnedCell::Boolean(_)
        | OwnedCell::Error => true,
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
    let names_rows =
        values.len() < top.n_filled() || is_over_words(top, body) || counts_columns(top, &values, body);
    let is_axis = n_words == 1 && values.len() + 1 == top.n_filled() && spaced_names::is_axis(&values);
    let is_run =
        is_axis || is_even_run(&values) || header_start::are_years(top) || has_years_over_others(top, body);
    if is_run && names_rows {
        return (
            true,
            match &values[..] {
                [year] => format!("it has words, and the year {year} over other numbers"),
                _ => format!("it has words, and a run of numbers from {} on, as years are", values[0]),
            },
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

/// A whole number between 1900 and 2100.
pub(super) fn is_year(cell: &OwnedCell) -> bool {
    match cell {
        OwnedCell::Text(text) => text.len() == 4 && text.parse().is_ok_and(|year| YEARS.contains(&year)),
        OwnedCell::Number(number) => number.fract() == 0.0 && YEARS.contains(number),
        _ => false,
    }
}

/// `place;2018`: each value is a year, over numbers that are none.
fn has_years_over_others(top: &SampleRow, body: &[&SampleRow]) -> bool {
    let is_over_others = |i: usize| {
        let below: Vec<&OwnedCell> = body
            .iter()
            .take(BODY_ROWS)
            .filter_map(|row| row.cells.get(i))
            .filter(|cell| is_value(cell))
            .collect();
        let n_years = below.iter().filter(|cell| is_year(cell)).count();
        below.len() >= 2 && n_years * 5 <= below.len()
    };
    let mut values = (0..top.cells.len()).filter(|i| is_value(&top.cells[*i])).peekable();
    values.peek().is_some() && values.all(|i| is_year(&top.cells[i]) && is_over_others(i))
}

/// Whether the first cell is empty, over a column of words.
fn is_over_words(top: &SampleRow, body: &[&SampleRow]) -> bool {
    let is_word = |cell: &OwnedCell| *cell != OwnedCell::Empty && !is_value(cell);
    let n_words = body.iter().filter(|row| row.cells.first().is_some_and(is_word)).count();
    top.cells.first() == Some(&OwnedCell::Empty) && n_words * 2 > body.len()
}

/// `;0;1;2` over rows that all have a first cell, as programs number the columns of a matrix.
fn counts_columns(top: &SampleRow, values: &[String], body: &[&SampleRow]) -> bool {
    let is_filled = |row: &&SampleRow| row.cells.first().is_some_and(|cell| *cell != OwnedCell::Empty);
    top.cells.first() == Some(&OwnedCell::Empty)
        && values.first().is_some_and(|first| first == "0" || first == "1")
        && body.iter().all(is_filled)
}

/// `2000, 2001, 2002`: whole numbers with one step.
fn is_even_run(values: &[String]) -> bool {
    let numbers: Option<Vec<i64>> = values.iter().map(|value| value.parse().ok()).collect();
    let Some(numbers) = numbers.filter(|numbers| numbers.len() >= 3) else { return false };
    let step = numbers[1] - numbers[0];
    step > 0 && numbers.windows(2).all(|pair| pair[1] - pair[0] == step)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::dataset::row::rows_of;

    fn layout(text: &str) -> Layout {
        find(&rows_of(text), false, &ReadOptions::default(), &Missing::default()).unwrap()
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
            ("place;2007/Nov;2007/Dez;2008/Jan\nA;1;2;3\nB;4;5;6", Some(1), 2, "months name columns"),
            ("Data;Mail;;\n01/02/2024;a@b;yes;no\n02/02/2024;c@d;no;no", Some(1), 2, "two names over four columns"),
            ("place;2018\nA;1\nB;2400\nC;7", Some(1), 2, "a single year over other numbers"),
            ("Station:;Porto;;;\n1;2;3;4;5\n4;5;6;7;8\n7;8;9;1;2", None, 2, "a setting over numbers"),
            ("A;2018\nB;2017\nC;2018", None, 1, "years over years"),
            ("rpm;0.2;0.2;0.5;0.9\n10;4;3;2;6\n20;5;3;1;7", Some(1), 2, "numbers that never fall after a word"),
            ("10;0.2;0.2;0.5;0.9\n20;4;3;2;6\n30;5;3;1;7", None, 1, "no word before them"),
            (";0;1;2\n01/02/2024;4;3;2\n02/02/2024;5;3;1", Some(1), 2, "numbered columns over a first one"),
            (";0;1;2\n;4;3;2\n02/02/2024;5;3;1", None, 1, "which has no cell in every row"),
            (";1;2;3\nA;4;2;3;600\nB;5;6;7;600", Some(1), 2, "numbered columns, and one more"),
            (";1985;1993;2000\nA;1;2;3\nB;4;5;6", Some(1), 2, "years with gaps over the names of rows"),
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
    fn explanations_that_mostly_say_the_same() {
        let twice = "id;end;set;place;q1;q2;q3;q4;q5;q5";
        let rows: String = (1..9).map(|i| format!("\nr{i};0{i}/02/2024;a;b;{i};1;2;3;4;5")).collect();
        let found = layout(&format!(
            "{twice}\nid;end;set;place;Age?;Size?;Why?;How?;Who?;Who?\n{{a}};{{b}};{{c}};{{d}};{{e}};{{f}};{{g}};{{h}};{{i}};{{j}}{rows}"
        ));
        assert_eq!(found.names, twice.split(';').collect::<Vec<_>>(), "a name that is given twice");
        let names = "id;end;set;place;q1;q2;q3";
        let rows: String = (1..9).map(|i| format!("\nr{i};0{i}/02/2024;a;b;{i};1;2")).collect();
        let found = layout(&format!(
            "{names}\nid;end;set;place;Age?;Size?;Why?\n{{a}};{{b}};{{c}};{{d}};{{e}};{{f}};{{g}}{rows}"
        ));
        assert_eq!((found.header_line, found.first_data_line), (Some(1), 4));
        assert_eq!(found.names, names.split(';').collect::<Vec<_>>());
    }

    #[test]
    fn one_separator_too_many_in_the_header() {
        let found = layout("x;y;;z\n1;2;3\n4;5;6");
        assert_eq!((found.names, found.width), (vec!["x".into(), "y".into(), "z".into()], 3));
        assert_eq!(layout("x;y;;z\n1;2;;3\n4;5;;6").names, ["x", "y", "", "z"], "an empty column");
    }

    #[test]
    fn rows_of_a_name_alone_do_not_hide_the_table() {
        let wells: String =
            (0..12).map(|i| format!("\nA{i}{}", if i % 4 == 1 { ";4;5;6;7;9" } else { ";;;;;" })).collect();
        let found = layout(&format!("run;7;;;;\n;;;;;\nwell;1;2;3;4;5{wells}"));
        assert_eq!(found.names, ["well", "1", "2", "3", "4", "5"]);
    }

    #[test]
    fn a_header_that_says_what_it_is() {
        assert_eq!(layout("VARIABLES = \"t\";u\n1;2\n3;4").names, ["t", "u"]);
        assert_eq!(layout("VARIABLES;u\n1;2\n3;4").names, ["VARIABLES", "u"]);
    }

    #[test]
    fn units() {
        let few = layout("day;x;kind\n;;mm\n01/02/2024;1;a\n02/02/2024;2;b");
        assert_eq!(few.units, [None, None, Some("mm".to_owned())], "over no column of values");
        let doubled = layout("t;Re;F\ns;--;N\n1;10;2\n2;20;3");
        assert_eq!(doubled.units, [Some("s".to_owned()), None, Some("N".to_owned())]);
        let row = layout("day;x;kind\n;1;mm\n01/02/2024;1;a\n02/02/2024;2;b");
        assert_eq!(row.units_line, None, "beside a value");
        let found = layout("Time;Force;Temp\ns;[N];(°C)\n0,0;0,5;20,1\n1,0;1,5;21,1");
        assert_eq!(found.units_line, Some(2));
        assert_eq!(found.units, [Some("s".to_owned()), Some("N".to_owned()), Some("°C".to_owned())]);
        assert_eq!(found.first_data_line, 3);
        let dashes = layout("Data;Re;Cl;Cd\n;-;-;%\n01/02/2024;10;1;2\n02/02/2024;20;2;3");
        assert_eq!(dashes.units, [None, None, None, Some("%".to_owned())]);
        let with_text = layout("Re;regime;Cd\n-;-;1\n10;laminar;2\n100;turbulent;3");
        assert_eq!(with_text.units_line, None, "a number is no unit");
        let long = layout(
            "t;PAR;T;rest\nh;µmol m-2 s-1 of photons, PAR;°C;share of all that fell\n1;2;3;4\n5;6;7;8",
        );
        assert_eq!(
            long.units[1..],
            ["µmol m-2 s-1 of photons, PAR", "°C", "share of all that fell"].map(|u| Some(u.to_owned()))
        );
        let sentences = layout("t;x;y\nh;what was found there;how much of it was left\n1;2;3\n5;6;7");
        assert_eq!(sentences.units_line, None, "beside one unit");
        let missing = layout("x;y\nNA;NA\n1;2\n3;4");
        assert_eq!(missing.units_line, None, "a missing mark is no unit");
        let words = layout("x;y\nlow;high\nlow;high\n1;2");
        assert_eq!(words.units_line, None, "the column repeats it: data");
    }

    #[test]
    fn the_caller_names_the_lines() {
        let rows = rows_of("a;b\nc;d\n1;2\n3;4");
        let read = |header_row, units_row| {
            let options = ReadOptions { header_row, units_row, ..ReadOptions::default() };
            find(&rows, false, &options, &Missing::default()).map_err(|error| error.slug())
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
            find(&rows_of(text), false, &ReadOptions::default(), &Missing::default()).map_err(|e| e.slug())
        };
        assert_eq!(read(";;\n;").unwrap_err(), "empty-file");
        assert_eq!(read("x;y;z").unwrap_err(), "empty-file", "a header alone");
    }
}
