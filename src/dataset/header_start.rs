//! Where a table begins, where titles, station data or instrument settings stand above it that are
//! as wide as itself.
//!
//! ```text
//! 723170;GREENSBORO;NC;-5.0        settings: not words over all columns of values
//! Date;Time;GHI;DNI                the header: only words over them
//! TS;;W/m2;W/m2
//! 01/01/1981;01:00;0;0
//! ```
//!
//! What a column holds is judged in the middle of the sample, so that what stands above the table
//! does not blur it.

use super::{
    header::{is_missing, is_value, n_used},
    missing::Missing,
    number_format,
    row::{OwnedCell, SampleRow},
    unit,
    units_row::bare_unit,
};

/// Rows in the middle of the sample that show what the columns hold.
const REFERENCE: usize = 100;
/// More rows of values above the header than these are a table and no settings.
const MAX_SETTINGS: usize = 4;
/// Rows that may stand above a header.
const MAX_ABOVE: usize = 40;
/// Columns of which a row that explains the names says something else than they.
const MIN_EXPLAINED: usize = 3;
/// More rows than these show by themselves which of them are data.
const MAX_FEW: usize = 10;
/// Fewer rows of numbers above are no table of their own.
const MIN_TABLE_ROWS: usize = 3;

/// Where the header lies, by positions among the rows that hold something.
#[derive(Debug, PartialEq)]
pub(super) struct Start {
    /// The row that names the columns.
    pub(super) names: usize,
    /// The first row of data.
    pub(super) body: usize,
    pub(super) reason: String,
}

/// The row that names the columns, at `start` or below: one of those over the first row of data that
/// have words over the columns of values and a value over none.
pub(super) fn find(filled: &[&SampleRow], start: usize, width: usize, missing: &Missing) -> Option<Start> {
    let n = filled.len();
    let reference = &filled[if n > 5 { n * 2 / 5 } else { 1.min(n) }..];
    let reference = &reference[..reference.len().min(REFERENCE)];
    find_by(reference, 2, filled, start, width, missing)
        .or_else(|| find_over_few(filled, start, width, missing))
}

/// The same over fewer rows of data than lines that explain the names, which only the last rows show.
/// A row with words instead of values may be one of so few, so those of one line have to stand over
/// several columns and to differ.
fn find_over_few(filled: &[&SampleRow], start: usize, width: usize, missing: &Missing) -> Option<Start> {
    let n = filled.len();
    let explains = |row: &SampleRow, data: &SampleRow| {
        let over_values = (0..width).filter(|i| data.cells.get(*i).is_some_and(is_value));
        let mut words: Vec<String> = over_values
            .filter_map(|i| row.cells.get(i))
            .filter(|cell| **cell != OwnedCell::Empty)
            .map(|cell| cell.borrow().to_text())
            .collect();
        let n = words.len();
        words.sort_unstable();
        words.dedup();
        n >= MIN_EXPLAINED && words.len() >= 2
    };
    let sizes = [2, 1].into_iter().filter(|size| n - start <= MAX_FEW && start + size + 2 <= n);
    sizes
        .filter_map(|size| find_by(&filled[n - size..], size, filled, start, width, missing))
        .find(|found| filled[found.names + 1..found.body].iter().any(|row| explains(row, filled[found.body])))
}

/// As [`find`], where the rows of `reference` show which columns hold values, `n_least` or more.
fn find_by(
    reference: &[&SampleRow],
    n_least: usize,
    filled: &[&SampleRow],
    start: usize,
    width: usize,
    missing: &Missing,
) -> Option<Start> {
    let n = filled.len();
    let columns: Vec<usize> =
        (0..width).filter(|column| holds_values(reference, n_least, *column, missing)).collect();
    let kinds = |row: &SampleRow| {
        let (mut n_words, mut n_values) = (0, 0);
        let has_years = are_years(row);
        for cell in columns.iter().filter_map(|column| row.cells.get(*column)) {
            if is_value(cell) {
                n_values += usize::from(!has_years);
                n_words += usize::from(has_years);
            } else if has_letter(cell) && !is_missing(cell, missing) {
                n_words += 1;
            }
        }
        (n_words, n_values)
    };
    let is_data = |row: &SampleRow| matches!(kinds(row), (0, n) if n > 0 && n * 2 >= columns.len());
    let is_of_words = |row: &SampleRow| matches!(kinds(row), (n, 0) if n > 0);
    // Settings above a table may hold values too, but no words over them.
    let is_first = |i: &usize| {
        let above = &filled[start..*i];
        above.last().is_some_and(|row| is_of_words(row))
            && above.iter().filter(|row| is_data(row)).count() <= MAX_SETTINGS
            && is_data(filled[*i])
            && filled.get(i + 1).is_none_or(|next| is_data(next))
    };
    let data = (start + 1..n.min(start + MAX_ABOVE)).find(is_first)?;
    let top = (start..data).rev().take_while(|i| is_of_words(filled[*i])).last()?;
    let fullest = filled[top..data].iter().map(|row| row.n_filled()).max()?;
    let is_name = |i: &usize| {
        let row = filled[*i];
        row.n_filled() >= fullest.min(width)
            && columns.iter().all(|column| is_filled(row, *column))
            && are_names(row, &filled[i + 1..], data - i - 1)
    };
    // A line with more cells than the table is rather one above it.
    let names = (top..data)
        .find(|i| is_name(i) && n_used(filled[*i]) <= width)
        .or_else(|| (top..data).find(is_name))
        .or_else(|| (data - 1 == top && has_units_only(filled[top])).then_some(top))?;
    let names =
        if has_units_only(filled[names]) && is_named_above(filled, names) { names - 1 } else { names };
    if has_units_only(filled[names]) && !is_name(&names) {
        return None;
    }
    // A row with words that other rows have too is one of the data.
    let repeats = |i: &usize| (0..width).any(|column| repeats_below(filled[*i], column, &filled[i + 1..]));
    let body = (names + 1..data).find(repeats).unwrap_or(data);
    let n_words = kinds(filled[names]).0;
    let reason = format!("it has words over {n_words} column(s) of numbers or dates");
    Some(Start { names, body, reason })
}

/// `0 0` is no word.
fn has_letter(cell: &OwnedCell) -> bool {
    let is_letter = |c: char| c.is_alphabetic() || c == '%' || c == '\u{b0}';
    matches!(cell, OwnedCell::Text(text) if text.contains(is_letter))
}

/// `second,Volt,Volt`: known units alone.
fn has_units_only(row: &SampleRow) -> bool {
    let mut cells = row.cells.iter().filter(|cell| **cell != OwnedCell::Empty).peekable();
    let is_one = |cell: &OwnedCell| matches!(cell, OwnedCell::Text(text) if unit::is_unit(bare_unit(text)));
    cells.peek().is_some() && cells.all(is_one)
}

/// Whether the row above, which may have numbers, names each column of this row of units:
/// `x-axis,1,2`.
fn is_named_above(filled: &[&SampleRow], units: usize) -> bool {
    let Some(above) = units.checked_sub(1).map(|i| filled[i]) else { return false };
    let row = filled[units];
    above.line + 1 == row.line
        && above.n_filled() == row.n_filled()
        && (0..row.cells.len()).all(|i| is_filled(above, i) == is_filled(row, i))
        && above.cells.iter().any(|cell| *cell != OwnedCell::Empty && !is_value(cell))
        && !has_units_only(above)
        && are_names(above, &filled[units..], 0)
}

fn is_filled(row: &SampleRow, column: usize) -> bool {
    row.cells.get(column).is_some_and(|cell| *cell != OwnedCell::Empty)
}

fn repeats_below(row: &SampleRow, column: usize, below: &[&SampleRow]) -> bool {
    is_filled(row, column) && below.iter().any(|other| other.cells.get(column) == row.cells.get(column))
}

/// Names are different, and no row of data has one of them for a value. Of the `n_further` rows
/// between, which explain the names, one may say the same of some columns, or of most of many.
fn are_names(row: &SampleRow, below: &[&SampleRow], n_further: usize) -> bool {
    let (further, body) = below.split_at(n_further);
    let mut texts: Vec<String> = row
        .cells
        .iter()
        .filter(|cell| **cell != OwnedCell::Empty)
        .map(|cell| cell.borrow().to_text())
        .collect();
    let n = texts.len();
    texts.sort_unstable();
    texts.dedup();
    let n_repeated = (0..row.cells.len()).filter(|column| repeats_below(row, *column, further)).count();
    // Of many names a few may be given twice.
    texts.len() * 10 >= n * 9
        && (n_repeated * 2 < n || n_repeated + MIN_EXPLAINED <= n)
        && !(0..row.cells.len()).any(|column| repeats_below(row, column, body))
}

/// Whether nearly all cells of the column are values, and so many are.
fn holds_values(window: &[&SampleRow], n_least: usize, column: usize, missing: &Missing) -> bool {
    let cells = window.iter().filter_map(|row| row.cells.get(column));
    let (mut n, mut n_values) = (0, 0);
    for cell in cells.filter(|cell| !is_missing(cell, missing)) {
        n += 1;
        n_values += usize::from(is_value(cell));
    }
    n_values >= n_least && n_values * 5 >= n * 4
}

/// `2019, 2020`: years, which name the columns of many tables.
pub(super) fn are_years(row: &SampleRow) -> bool {
    let values = row.cells.iter().filter(|cell| **cell != OwnedCell::Empty && is_value(cell));
    let years: Option<Vec<f64>> = values
        .map(|cell| match cell {
            OwnedCell::Text(text) if text.len() == 4 => text.parse().ok(),
            OwnedCell::Number(number) => Some(*number),
            _ => None,
        })
        .collect();
    years.is_some_and(|years| {
        years.len() >= 2
            && years.iter().all(|year| year.fract() == 0.0 && (1900.0..=2100.0).contains(year))
            && years.windows(2).all(|pair| pair[0] < pair[1])
    })
}

/// The header that R writes over rows with names: a word for each column but the first.
pub(super) fn over_row_names(filled: &[&SampleRow], start: usize, width: usize) -> Option<Vec<String>> {
    let row = start.checked_sub(1).filter(|above| *above == 0).map(|above| filled[above])?;
    let body = &filled[start..];
    let words: Vec<String> = row
        .cells
        .iter()
        .filter_map(|cell| match cell {
            OwnedCell::Text(text) if !is_value(cell) => Some(text.clone()),
            _ => None,
        })
        .collect();
    let mut names: Vec<String> =
        body.iter().filter_map(|row| row.cells.first()).map(|cell| cell.borrow().to_text()).collect();
    let n = names.len();
    names.sort_unstable();
    names.dedup();
    let is_header = words.len() == row.cells.len() && words.len() + 1 == width && width > 2;
    (is_header && n > 1 && names.len() == n).then(|| std::iter::once(String::new()).chain(words).collect())
}

/// Rows of numbers above a table are one more table, which the reader is told of.
pub(super) fn table_above(above: &[&SampleRow]) -> Option<(u64, u64)> {
    let n_numbers = |row: &SampleRow| {
        let is_number = |cell: &&OwnedCell| match cell {
            OwnedCell::Number(_) | OwnedCell::Percent(_) => true,
            OwnedCell::Text(text) => number_format::shape(text).is_some(),
            _ => false,
        };
        row.cells.iter().filter(is_number).count()
    };
    let is_row = |row: &&&SampleRow| n_numbers(row) >= 2;
    let mut longest: &[&SampleRow] = &[];
    let mut from = 0;
    while from < above.len() {
        let n = above[from..]
            .iter()
            .take_while(is_row)
            .take_while(|row| n_used(row) == n_used(above[from]))
            .count();
        if n > longest.len() {
            longest = &above[from..from + n];
        }
        from += n.max(1);
    }
    match longest {
        [first, .., last] if longest.len() >= MIN_TABLE_ROWS => {
            // Its header is what a reader would name to have it read.
            let is_header = |row: &&&SampleRow| {
                row.line + 1 == first.line && n_used(row) == n_used(first) && n_numbers(row) == 0
            };
            Some((above.iter().find(is_header).map_or(first.line, |row| row.line), last.line))
        }
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::{
        super::{header, options::ReadOptions, row::rows_of},
        *,
    };

    /// The lines of the header and of the units, and the first line of data.
    fn check(text: &str, expected: (Option<u64>, Option<u64>, u64), names: &[&str], why: &str) {
        let layout =
            header::find(&rows_of(text), false, &ReadOptions::default(), &Missing::default()).unwrap();
        assert_eq!((layout.header_line, layout.units_line, layout.first_data_line), expected, "{why}");
        assert_eq!(layout.names, names, "{why}");
    }

    fn body(row: &str, n: usize) -> String {
        (0..n).map(|i| format!("\n{}", row.replace('#', &(10 + i).to_string()))).collect()
    }

    #[test]
    fn lines_above_that_are_as_wide_as_the_table() {
        let table = body("0#/2020;#;1#", 20);
        check(
            &format!("7231;Porto;-5{table}").replace("7231;Porto;-5", "7231;Porto;-5\nDate;GHI;DNI"),
            (Some(2), None, 3),
            &["Date", "GHI", "DNI"],
            "a station",
        );
        let settings = format!("Model;TBS\nLength;50\nSource;CH1\nTIME;CH1{}", body("0.#;#", 20));
        check(&settings, (Some(4), None, 5), &["TIME", "CH1"], "settings of an instrument");
        let notes = format!("lots;;people\nwrite;such;\nName;Age;Born{}", body("n#;#;19#", 10));
        check(&notes, (Some(3), None, 4), &["Name", "Age", "Born"], "words as full as the table");
    }

    #[test]
    fn lines_between_the_names_and_the_data() {
        let logger = format!(
            "TOA5;stn;CR1000;1234;prog\nTIMESTAMP;RECORD;T\nTS;RN;Deg C\n;;Avg{}",
            body("2015-07-#;#;1.#", 20)
        );
        check(&logger, (Some(2), Some(3), 5), &["TIMESTAMP", "RECORD", "T"], "a logger's four");
        let survey = format!(
            "Start;Age;Q1\nStart Date;What is your age?;Rate the thing in front of you\nid-1;id-2;id-3{}",
            body("2021-03-#;#;1#", 12)
        );
        check(&survey, (Some(1), None, 4), &["Start", "Age", "Q1"], "questions in full");
        let scope = format!("x-axis;1;2\nsecond;Volt;Volt{}", body("0.#;0.1#;2#", 9));
        check(&scope, (Some(1), Some(2), 3), &["x-axis", "1", "2"], "an oscilloscope numbers its channels");
        let above = format!("s;m/s;N\nTime;Speed;Force{}", body("#;1#;2#", 9));
        check(&above, (Some(2), Some(1), 3), &["Time", "Speed", "Force"], "units above the names");
    }

    #[test]
    fn few_rows_under_lines_that_explain_the_names() {
        let survey = "Start;Age;Q1;Q2\nStart Date;What is your age?;Rate the thing;Why so?\n{\"id\":\"s\"};{\"id\":\"a\"};{\"id\":\"q\"};{\"id\":\"w\"}";
        for n in 1..4 {
            let text = format!("{survey}{}", body("2021-03-#;#;4;it was so", n));
            check(&text, (Some(1), None, 4), &["Start", "Age", "Q1", "Q2"], "answers");
        }
        let logger = "TOA5;stn;CR1000;1234\nTIMESTAMP;RECORD;T;P\nTS;RN;Deg C;hPa\n;;Avg;Smp";
        for n in 1..4 {
            let text = format!("{logger}{}", body("2015-07-#;#;1.#;9#", n));
            let names = ["TIMESTAMP", "RECORD", "T", "P"];
            check(&text, (Some(2), Some(3), 5), &names, "records of a logger");
        }
        let words = "name;x;y;z\nAda;none;none;none\nLin;3;4;5";
        check(words, (Some(1), None, 2), &["name", "x", "y", "z"], "a row without values");
    }

    #[test]
    fn headers_of_other_widths() {
        let longer = format!("X;V0;V1;Comment{}", body("#;1#;2#", 9));
        check(&longer, (Some(1), None, 2), &["X", "V0", "V1", "Comment"], "a column that no row has");
        let shorter = format!("mpg;cyl{}", body("Car #;2#;4", 9));
        check(&shorter, (Some(1), None, 2), &["", "mpg", "cyl"], "R's names of rows");
        let pivot = format!("Sum;Column Labels;;\nRow Labels;2019;2020;Total{}", body("R#;#;3#;4#", 9));
        check(
            &pivot,
            (Some(2), None, 3),
            &["Row Labels", "2019", "2020", "Total"],
            "a pivot table with years",
        );
    }

    #[test]
    fn a_row_of_data_is_no_header() {
        let mixed = format!(
            "name;x;y\nAda;none given;unknown\nBea;none given;unknown\nCid;none given;unknown{}",
            body("n#;#;1#", 20)
        );
        check(&mixed, (Some(1), None, 2), &["name", "x", "y"], "texts that repeat");
        let bare = body("n#;#;1#", 20);
        check(bare.trim_start(), (None, None, 1), &[], "no header at all");
    }

    #[test]
    fn another_table_above_is_told() {
        let text = format!("a;b;{}\n\nx;y;z{}", body("#;1;", 5), body("#;1#;2#", 20));
        let layout =
            header::find(&rows_of(&text), false, &ReadOptions::default(), &Missing::default()).unwrap();
        assert_eq!(
            (layout.header_line, layout.table_above),
            (Some(8), Some((1, 7))),
            "the larger one is read"
        );
        let narrow = "Table A\nx;y\n1;2\n3;4\n5;6\nTable B\na;b;c\n1;2;3\n4;5;6\n7;8;9\n10;11;12\n13;14;15";
        let layout =
            header::find(&rows_of(narrow), false, &ReadOptions::default(), &Missing::default()).unwrap();
        assert_eq!((layout.header_line, layout.table_above), (Some(7), Some((2, 5))), "with its header");
    }
}
