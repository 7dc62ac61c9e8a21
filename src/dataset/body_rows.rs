//! What stands among and under the rows of a table but is none of them: headers that are repeated,
//! totals and notes at the end.
//!
//! A row that may be a note is held back. The next row of the table shows that it was one too; at
//! the end of the file what is still held is the footer.

use super::{
    description::Warning,
    error::{ReadError, shorten},
    header::{Layout, is_value},
    row::{Cell, OwnedCell, Row, SampleRow},
    text_rows,
};
use std::ops::Range;

/// A footer has no more rows: statistical offices explain every sign they use.
pub(super) const MAX_HELD: usize = 400;
/// Tables that are mostly this full can be told from the notes under them.
const MIN_FILLED: usize = 3;
/// Longer texts are no total's.
const MAX_TOTAL: usize = 30;
/// Words that begin a note.
const NOTES: &[&str] = &[
    "source",
    "sources",
    "note",
    "notes",
    "fonte",
    "nota",
    "notas",
    "fuente",
    "quelle",
    "anmerkung",
    "remarque",
    "obs",
    "*",
    "(",
    "\u{2020}",
    "\u{a9}",
];
/// Words that are the whole of a total's first cell.
const TOTALS: &[&str] = &[
    "total",
    "totals",
    "total general",
    "total geral",
    "total result",
    "gesamtergebnis",
    "grand total",
    "sum",
    "summe",
    "gesamt",
    "gesamtsumme",
    "insgesamt",
    "totaal",
    "somme",
    "soma",
    "suma",
    "mean",
    "average",
    "m\u{e9}dia",
    "media",
    "moyenne",
    "mittelwert",
    "minimum",
    "maximum",
];

/// Sees every row before the columns do.
#[derive(Debug)]
pub(super) struct BodyRows {
    /// The names, and the rows that they were made of.
    headers: Vec<Vec<String>>,
    is_told_apart: bool,
    /// Whether the caller wants totals and notes as rows.
    keeps_footer: bool,
    /// Cells that a row of a text file must have; a sheet leaves out empty ones.
    min_width: usize,
    /// For each column, the characters of a long cell; none where it holds values.
    longest: Vec<usize>,
    last_line: u64,
    n_rows: u64,
    held: Vec<(u64, Vec<OwnedCell>)>,
    /// Whether a total was followed by rows: then it is one of the table's categories.
    has_totals: bool,
    repeated: Vec<u64>,
    /// The columns that are read where another table stands beside.
    kept: Option<Range<usize>>,
}

/// Tells rows that belong to the table for certain, whatever stands above or under them.
#[derive(Debug)]
pub(super) struct Sieve {
    /// The first column that has a name, in each row of the header.
    first_names: Vec<(usize, Vec<u8>)>,
    is_told_apart: bool,
}

impl Sieve {
    /// Whether a row that is not blank and has all its cells is surely one of the table.
    pub(super) fn lets_through(&self, row: &[u8], delimiter: u8) -> bool {
        let cells = row.split(|byte| *byte == delimiter).map(<[u8]>::trim_ascii).enumerate();
        let mut filled = cells.filter(|(_, cell)| !cell.is_empty());
        let Some((i, text)) = filled.next() else { return false };
        if self.first_names.iter().any(|(at, name)| *at == i && name == text) {
            return false;
        }
        if !self.is_told_apart {
            return true;
        }
        if filled.next().is_none() {
            return false;
        }
        !text[0].is_ascii_alphabetic()
            || text.len() > MAX_TOTAL && !text.ends_with(b":")
            || !text.ends_with(b":") && !std::str::from_utf8(text).is_ok_and(is_total)
    }
}

/// What was left out.
#[derive(Debug, Default, Clone, PartialEq)]
pub(super) struct LeftOut {
    /// Line and text of the rows of the footer.
    pub(super) footer: Vec<(u64, String)>,
    pub(super) repeated: Vec<u64>,
}

impl BodyRows {
    pub(super) fn new(sample: &[SampleRow], layout: &Layout, is_workbook: bool, keeps_footer: bool) -> Self {
        let body: Vec<&SampleRow> =
            sample.iter().filter(|row| layout.holds(row.line) && row.n_filled() > 0).collect();
        let mut fills: Vec<usize> = body.iter().map(|row| row.n_filled()).collect();
        fills.sort_unstable();
        let typical = fills.get(fills.len() / 2).copied().unwrap_or(0);
        let longest = (0..layout.width).map(|i| {
            let cells: Vec<&OwnedCell> = body
                .iter()
                .filter_map(|row| row.cells.get(i))
                .filter(|cell| **cell != OwnedCell::Empty)
                .collect();
            let n_values = cells.iter().filter(|cell| is_value(cell)).count();
            let mut lengths: Vec<usize> =
                cells.iter().map(|cell| cell.borrow().to_text().chars().count()).collect();
            lengths.sort_unstable();
            if n_values * 2 > cells.len() {
                0
            } else {
                lengths.get(lengths.len() * 9 / 10).copied().unwrap_or(0)
            }
        });
        Self {
            // Where nothing tells the header from the data, a row like it is data too.
            headers: if layout.is_assumed { Vec::new() } else { headers(layout) },
            is_told_apart: typical >= MIN_FILLED,
            keeps_footer,
            min_width: if is_workbook || keeps_footer { 0 } else { layout.min_width },
            longest: longest.collect(),
            last_line: layout.first_data_line.saturating_sub(1),
            n_rows: 0,
            held: Vec::new(),
            has_totals: false,
            repeated: Vec::new(),
            kept: layout.beside.as_ref().map(|beside| beside.kept.clone()),
        }
    }

    /// Hands on `row`, or keeps it for later.
    pub(super) fn pass(
        &mut self,
        row: Row<'_>,
        each: &mut dyn FnMut(Row<'_>) -> Result<(), ReadError>,
    ) -> Result<(), ReadError> {
        let line = row.line();
        let width = self.longest.len();
        if self.kept.clone().is_some_and(|mut kept| kept.all(|i| row.cell(i) == Cell::Empty)) {
            return Ok(());
        }
        if self.is_header_again(row) {
            self.repeated.push(line);
            self.last_line = line;
            return Ok(());
        }
        let is_held = self.held.len() < MAX_HELD && self.is_footer_like(row);
        self.last_line = line;
        if is_held {
            self.held.push((line, owned(row, width)));
            return Ok(());
        }
        if row.n_cells() < self.min_width {
            return Err(text_rows::short_row(line, width));
        }
        self.release(each)?;
        self.n_rows += 1;
        each(row)
    }

    /// Counts `n` rows, the last in line `line`, all of which a [`Sieve`] let through.
    pub(super) fn pass_plain(
        &mut self,
        n: u64,
        line: u64,
        each: &mut dyn FnMut(Row<'_>) -> Result<(), ReadError>,
    ) -> Result<(), ReadError> {
        if n > 0 {
            self.release(each)?;
            self.n_rows += n;
            self.last_line = line;
        }
        Ok(())
    }

    /// Hands on what was held back: a row of the table follows it.
    fn release(&mut self, each: &mut dyn FnMut(Row<'_>) -> Result<(), ReadError>) -> Result<(), ReadError> {
        for (line, cells) in self.held.drain(..) {
            self.n_rows += 1;
            self.has_totals |= first_text(&cells).is_some_and(is_total);
            each(Row::Cells { line, cells: &cells })?;
        }
        Ok(())
    }

    /// What tells most rows from a header or a footer by themselves.
    pub(super) fn sieve(&self) -> Sieve {
        let first = |header: &Vec<String>| {
            let i = header.iter().position(|name| !name.is_empty()).filter(|_| header.len() > 1)?;
            Some((i, header[i].clone().into_bytes()))
        };
        Sieve {
            first_names: self.headers.iter().filter_map(first).collect(),
            is_told_apart: self.is_told_apart,
        }
    }

    /// What is left at the end of the file.
    pub(super) fn finish(self) -> LeftOut {
        let text = |cells: &[OwnedCell]| {
            let first = cells.iter().find(|cell| **cell != OwnedCell::Empty);
            first.map_or_else(String::new, |cell| shorten(&cell.borrow().to_text()))
        };
        LeftOut {
            footer: self.held.iter().map(|(line, cells)| (*line, text(cells))).collect(),
            repeated: self.repeated,
        }
    }

    fn is_header_again(&self, row: Row<'_>) -> bool {
        let is_same = |header: &Vec<String>| {
            let Some(first) = header.iter().position(|name| !name.is_empty()) else { return false };
            row.cell(first) == Cell::Text(header[first].as_bytes())
                && header.len() > 1
                && (0..header.len()).all(|i| match row.cell(i) {
                    Cell::Empty => header[i].is_empty(),
                    cell => cell == Cell::Text(header[i].as_bytes()),
                })
        };
        self.headers.iter().any(is_same) || self.headers.first().is_some_and(|names| repeats_most(names, row))
    }

    fn is_footer_like(&self, row: Row<'_>) -> bool {
        if self.keeps_footer || self.n_rows + (self.held.len() as u64) < 2 {
            return false;
        }
        if !self.held.is_empty() && self.goes_on(row) {
            return true;
        }
        // Most rows show by their first two cells that they are none.
        let mut filled = (0..self.longest.len()).filter(|i| row.cell(*i) != Cell::Empty);
        let Some(first) = filled.next() else { return false };
        let Cell::Text(text) = row.cell(first) else { return false };
        let is_alone = filled.next().is_none();
        if !is_alone && !text.first().is_some_and(u8::is_ascii_alphabetic) {
            return false;
        }
        let Ok(text) = std::str::from_utf8(text) else { return false };
        if is_alone {
            let is_short = row.n_cells() < self.min_width;
            if !self.is_told_apart && !is_short {
                return false;
            }
            let longest = self.longest[first];
            return !is_value(&OwnedCell::Text(text.to_owned()))
                && (longest == 0
                    || row.line() > self.last_line + 1
                    || begins_note(text)
                    || is_short && ends_file(text)
                    || is_total(text)
                    || (text.contains(' ') && text.chars().count() > 2 * longest));
        }
        // `End:;14:03`
        let mut is_setting = || text.ends_with(':') && self.longest.len() > 3 && filled.next().is_none();
        let is_apart = row.n_cells() < self.min_width || row.line() > self.last_line + 1;
        self.is_told_apart
            && (is_apart && is_setting() || !self.has_totals && text.len() <= MAX_TOTAL && is_total(text))
    }

    /// Whether the row goes on with the notes above it: it has words, and none of its cells is a
    /// value in a column of values. `1;Excludes the islands` and `-;Zero` are lines of a footer.
    fn goes_on(&self, row: Row<'_>) -> bool {
        let is_value_at = |i: usize| {
            let cell = row.cell(i).to_owned_cell();
            self.longest[i] == 0 && cell != OwnedCell::Empty && is_value(&cell)
        };
        let is_word = |i: usize| match row.cell(i) {
            Cell::Text(text) => text.iter().any(|byte| byte.is_ascii_alphabetic() || !byte.is_ascii()),
            _ => false,
        };
        let width = self.longest.len();
        let is_short = row.n_cells() < self.min_width;
        (0..width).any(is_word) && (is_short || !(0..width).any(is_value_at) && self.longest.contains(&0))
    }
}

/// Whether the row says again what most columns are called, as the header of the next group does:
/// `Acre;2007;2008;2009` after `Alagoas;2007;2008;2009`.
fn repeats_most(names: &[String], row: Row<'_>) -> bool {
    const MIN_NAMES: usize = 4;
    let n_named = n_named(names);
    // Nearly all rows show by their last cell that they do not.
    let Some(last) = names.iter().rposition(|name| !name.is_empty()).filter(|_| n_named >= MIN_NAMES) else {
        return false;
    };
    let is_same = |i: usize| match row.cell(i) {
        Cell::Empty => false,
        Cell::Text(text) => text == names[i].as_bytes(),
        cell => cell.to_text() == names[i],
    };
    is_same(last) && (0..names.len()).filter(|i| is_same(*i)).count() * 4 >= n_named * 3
}

/// The names of the columns, and each row of a header of several.
fn headers(layout: &Layout) -> Vec<Vec<String>> {
    let rows = layout.header_rows.iter().filter(|row| layout.header_rows.len() > 1 && n_named(row) > 1);
    std::iter::once(&layout.names).chain(rows).cloned().collect()
}

fn n_named(row: &[String]) -> usize {
    row.iter().filter(|name| !name.is_empty()).count()
}

fn first_text(cells: &[OwnedCell]) -> Option<&str> {
    match cells.iter().find(|cell| **cell != OwnedCell::Empty)? {
        OwnedCell::Text(text) => Some(text),
        _ => None,
    }
}

/// A drawn line, or the word for the end.
pub(super) fn ends_file(text: &str) -> bool {
    !text.contains(char::is_alphanumeric)
        || ["end", "eof", "eot", "fim", "fin", "ende"].iter().any(|word| text.eq_ignore_ascii_case(word))
}

fn begins_note(text: &str) -> bool {
    let lower = text.to_lowercase();
    NOTES.iter().any(|note| {
        lower
            .strip_prefix(note)
            .is_some_and(|rest| !note.ends_with(char::is_alphabetic) || rest.starts_with([':', '.', ' ']))
    })
}

fn is_total(text: &str) -> bool {
    let bare = text.trim_end_matches([':', '.', ' ']);
    if of_what(bare) {
        return true;
    }
    if bare.is_ascii() {
        return TOTALS.iter().any(|total| total.eq_ignore_ascii_case(bare));
    }
    TOTALS.contains(&bare.to_lowercase().as_str())
}

/// `Total no estado`, `Total for 2019`: a total and of what it is one.
fn of_what(text: &str) -> bool {
    const LINKS: &[&str] = &[
        "of", "for", "in", "do", "da", "dos", "das", "de", "no", "na", "nos", "nas", "del", "en", "du", "des",
    ];
    let mut words = text.split_ascii_whitespace();
    let is_one = |word: Option<&str>, of: &[&str]| {
        word.is_some_and(|word| of.iter().any(|other| word.eq_ignore_ascii_case(other)))
    };
    is_one(words.next(), &["total"]) && is_one(words.next(), LINKS) && words.next().is_some()
}

fn owned(row: Row<'_>, width: usize) -> Vec<OwnedCell> {
    (0..width).map(|i| row.cell(i).to_owned_cell()).collect()
}

impl LeftOut {
    /// What the user is told of it.
    pub(super) fn warnings(&self) -> Vec<Warning> {
        let lines = |lines: &[u64]| {
            let shown: Vec<String> = lines.iter().take(10).map(ToString::to_string).collect();
            format!("{}{}", shown.join(", "), if lines.len() > 10 { ", ..." } else { "" })
        };
        let mut warnings = Vec::new();
        if let Some((_, text)) = self.footer.first() {
            let at: Vec<u64> = self.footer.iter().map(|(line, _)| *line).collect();
            warnings.push(Warning {
                code: "footer-left-out".to_owned(),
                column: None,
                message: format!(
                    "{} row(s) under the table are totals or notes and were left out (line {}), beginning with '{text}'; keep_footer=true reads them as rows",
                    at.len(),
                    lines(&at)
                ),
            });
        }
        if !self.repeated.is_empty() {
            warnings.push(Warning {
                code: "repeated-header".to_owned(),
                column: None,
                message: format!(
                    "{} row(s) repeat the header and were left out (line {})",
                    self.repeated.len(),
                    lines(&self.repeated)
                ),
            });
        }
        warnings
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::dataset::row::rows_of;

    /// The first cells of the rows that are kept, the lines of the footer, and repeated headers.
    fn check(text: &str) -> (Vec<String>, Vec<u64>, Vec<u64>) {
        check_with(text, false)
    }

    fn check_with(text: &str, is_assumed: bool) -> (Vec<String>, Vec<u64>, Vec<u64>) {
        let rows: Vec<SampleRow> = rows_of(text).into_iter().filter(|row| row.n_filled() > 0).collect();
        let names: Vec<String> = rows[0].cells.iter().map(|cell| cell.borrow().to_text()).collect();
        let width = names.len();
        let layout =
            Layout { names, width, min_width: width, first_data_line: 2, is_assumed, ..Layout::default() };
        let mut body = BodyRows::new(&rows, &layout, false, false);
        let mut kept = Vec::new();
        for row in &rows[1..] {
            body.pass(row.as_row(), &mut |row| {
                kept.push(row.cell(0).to_text());
                Ok(())
            })
            .unwrap();
        }
        let left_out = body.finish();
        (kept, left_out.footer.iter().map(|(line, _)| *line).collect(), left_out.repeated)
    }

    #[test]
    fn totals_and_notes_at_the_end() {
        let table = "name;x;y\nash;1;2\nbeech;3;4\nTotal;4;6\noak;5;6";
        let kept = ["ash", "beech", "Total", "oak"].map(str::to_owned).to_vec();
        assert_eq!(check(table), (kept.clone(), vec![], vec![]), "in the middle it is a row");
        let table = table.replace("Total;4;6\n", "");
        let kept = kept.into_iter().filter(|name| name != "Total").collect::<Vec<_>>();
        let footer = format!("{table}\nTotal;9;12\n;;\nSource: the office;;\n(1) estimated;;");
        assert_eq!(check(&footer), (kept.clone(), vec![5, 7, 8], vec![]));
        for last in ["Source: the office", "end", "====="] {
            let cut = format!("{table}\n{last}");
            assert_eq!(check(&cut), (kept.clone(), vec![5], vec![]), "without separators: {last}");
        }
    }

    #[test]
    fn a_total_says_of_what() {
        for last in ["TOTAL NO ESTADO", "Total for 2019", "Total de alunos:"] {
            let table = format!("name;x;y\nash;1;2\nbeech;3;4\n{last};4;6");
            assert_eq!(check(&table).1, [4], "{last}");
        }
        for last in ["Total Oil", "total of", "Totals of it"] {
            let table = format!("name;x;y\nash;1;2\nbeech;3;4\n{last};4;6");
            assert!(check(&table).1.is_empty(), "{last}");
        }
    }

    #[test]
    fn a_total_in_every_group_is_a_category() {
        let (kept, footer, _) = check("sex;x;y\nm;1;2\nf;3;4\nTotal;4;6\nm;1;2\nf;3;4\nTotal;4;6");
        assert_eq!((kept.len(), footer), (6, vec![]));
    }

    #[test]
    fn a_row_with_missing_values_is_no_note() {
        let (kept, footer, _) = check("name;x;y\nash;1;2\nbeech;3;4\noak;;");
        assert_eq!((kept.len(), footer), (3, vec![]));
        let (kept, footer, _) = check("x;y;z\n1;2;3\n4;5;6\nmeasured by hand;;");
        assert_eq!((kept.len(), footer), (2, vec![4]), "words under a column of numbers");
    }

    #[test]
    fn headers_again() {
        let (kept, _, repeated) = check("name;x;y\nash;1;2\nname;x;y\nbeech;3;4");
        assert_eq!((kept.len(), repeated), (2, vec![3]));
        let (kept, _, repeated) = check("Acre;2007;2008;2009\nmen;5;6;7\nBahia;2007;2008;2009\nmen;1;2;3");
        assert_eq!((kept.len(), repeated), (2, vec![3]), "that of another group");
        let (kept, _, repeated) = check_with("yes;no\nyes;no\nno;no", true);
        assert_eq!((kept.len(), repeated), (2, vec![]), "all are alike");
    }
}
