//! Columns that stand at the same place in every line: blanks part them, a missing value is nothing
//! but blanks, and texts may have blanks within.
//!
//! ```text
//! id     place            Cl      Cd
//!   10   Porto         0.512   0.031
//!  100   Rio Grande            0.024       no lift was measured
//! 1000   Passo Fundo   0.701
//! ```
//!
//! Places are counted in characters.

use super::{date, number_format, spaced, unit, units_row::bare_unit};

/// Fewer lines show no columns.
const MIN_LINES: usize = 5;
/// Longer lines are none that a person or a printer aligned.
const MAX_LINE_BYTES: usize = 4096;
/// Lines that may stand above the first row, and under the last.
const MAX_ABOVE: usize = 40;
const MAX_BELOW: usize = 6;

/// The columns, each from its first place to after its last; the last goes on to the line's end.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Columns(Vec<(usize, usize)>);

/// A table of such columns: numbers of lines, with a text for each column.
#[derive(Debug, PartialEq)]
pub(super) struct Placed {
    pub(super) columns: Columns,
    pub(super) header: Option<(u64, Vec<String>)>,
    pub(super) units: Option<(u64, Vec<String>)>,
    pub(super) first_row: u64,
}

/// Finds the first line from which on all are cut alike.
pub(super) fn find(lines: &[(u64, &str)]) -> Option<Placed> {
    let is_plain = |line: &str| !line.contains('\t') && spaced::unmarked(line).is_none();
    let has_values = |line: &str| {
        line.len() <= MAX_LINE_BYTES && line.split(' ').filter(|word| is_value(word)).nth(1).is_some()
    };
    // What is aligned, or missing, leaves several blanks.
    let is_aligned = |line: &str| line.trim().contains("  ");
    let n_with = |test: &dyn Fn(&str) -> bool| lines.iter().filter(|(_, line)| test(line)).count();
    if n_with(&has_values) * 2 < lines.len() || n_with(&is_aligned) * 10 < lines.len() {
        return None;
    }
    for n_below in 0..=MAX_BELOW {
        let lines = lines.get(..lines.len().checked_sub(n_below)?)?;
        for first in 0..MAX_ABOVE.min(lines.len().saturating_sub(MIN_LINES - 1)) {
            let body: Vec<&str> =
                lines[first..].iter().map(|(_, line)| *line).filter(|line| is_plain(line)).collect();
            let Some(columns) = Columns::find(&body).filter(|_| is_plain(lines[first].1)) else { continue };
            let placed = columns.under(&lines[..first], lines[first].0);
            // Two columns may as well be a text that ends in a number.
            let are_named =
                placed.header.as_ref().is_some_and(|(_, names)| names.iter().all(|n| !n.is_empty()));
            if are_named || placed.columns.0.len() > 2 {
                return Some(placed);
            }
        }
    }
    None
}

impl Columns {
    pub(super) fn len(&self) -> usize {
        self.0.len()
    }

    /// The columns of lines all of which have blanks in the same places, most of which hold numbers.
    fn find(lines: &[&str]) -> Option<Self> {
        if lines.len() < MIN_LINES {
            return None;
        }
        let mut is_used = Vec::new();
        for line in lines {
            for (i, _) in line.trim_end().chars().enumerate().filter(|(_, c)| *c != ' ') {
                if is_used.len() <= i {
                    is_used.resize(i + 1, false);
                }
                is_used[i] = true;
            }
        }
        let mut spans: Vec<(usize, usize)> = Vec::new();
        for (i, _) in is_used.iter().enumerate().filter(|(_, is_used)| **is_used) {
            match spans.last_mut() {
                Some((_, end)) if *end == i => *end = i + 1,
                _ => spans.push((i, i + 1)),
            }
        }
        if spans.len() < 2 {
            return None;
        }
        let holds_values = |columns: &Self| -> Option<Vec<bool>> {
            let rows: Option<Vec<Vec<&str>>> = lines.iter().map(|line| columns.cells(line)).collect();
            let rows = rows?;
            Some((0..columns.len()).map(|i| are_values(rows.iter().map(|row| row[i]))).collect())
        };
        // A single blank between texts is one of theirs.
        let of_values = holds_values(&Self(spans.clone()))?;
        let mut joined: Vec<(usize, usize, bool)> = Vec::new();
        for ((start, end), is_value) in spans.into_iter().zip(of_values) {
            match joined.last_mut() {
                Some((_, last, false)) if !is_value && *last + 1 == start => *last = end,
                _ => joined.push((start, end, is_value)),
            }
        }
        let n_values = joined.iter().filter(|(_, _, is_value)| *is_value).count();
        let columns = Self(joined.iter().map(|(start, end, _)| (*start, *end)).collect());
        let is_row = |line: &&str| {
            let cells = columns.cells(line).unwrap_or_default();
            let mut of_values = cells.iter().zip(&joined).filter(|(_, (_, _, is_value))| *is_value);
            let n = of_values.clone().filter(|(cell, _)| is_value(cell)).count();
            n > 0 && of_values.all(|(cell, _)| cell.is_empty() || is_value(cell))
        };
        let n_rows = lines.iter().filter(|line| is_row(line)).count();
        let n_broken =
            lines.iter().filter(|line| columns.cells(line).is_none_or(|c| c.iter().any(|c| is_broken(c))));
        (n_values >= 2
            && is_row(&lines[0])
            && n_rows * 5 >= lines.len() * 4
            && n_broken.count() * 5 <= lines.len())
        .then_some(columns)
    }

    /// The table under `above`, whose last lines may be a header and units.
    fn under(self, above: &[(u64, &str)], first_row: u64) -> Placed {
        let mut placed = Placed { columns: self, header: None, units: None, first_row };
        let mut above = above;
        if let [rest @ .., (line, units)] = above
            && units.split_whitespace().all(|word| unit::is_unit(bare_unit(word)))
        {
            placed.units = Some((*line, placed.columns.words(units)));
            above = rest;
        }
        if let [.., (line, header)] = above {
            // A marker is none of the names.
            let bare = match spaced::unmarked(header) {
                Some(rest) => " ".repeat(header.chars().count() - rest.chars().count()) + rest,
                None => (*header).to_owned(),
            };
            let names = placed.columns.words(&bare);
            let n_named = names.iter().filter(|name| !name.is_empty()).count();
            if n_named * 3 >= names.len() * 2 && !placed.columns.is_overrun(&bare) {
                placed.header = Some((*line, names));
            }
        }
        // Units alone name nothing, so they are rather the names.
        if placed.header.is_none()
            && let Some((line, names)) = placed.units.take()
        {
            placed.header = Some((line, names));
        }
        placed
    }

    /// The words of a line by columns: each belongs to the column under it, or to the nearest.
    fn words(&self, line: &str) -> Vec<String> {
        let mut words = vec![String::new(); self.len()];
        for (start, end, word) in words_of(line) {
            // Twice the middle of the word, and of each column.
            let distance = |span: &(usize, usize)| {
                let overlap = end.min(span.1).saturating_sub(start.max(span.0));
                (overlap == 0, (span.0 + span.1).abs_diff(start + end))
            };
            let Some(nearest) = (0..self.len()).min_by_key(|i| distance(&self.0[*i])) else { continue };
            if !words[nearest].is_empty() {
                words[nearest].push(' ');
            }
            words[nearest].push_str(word);
        }
        words
    }

    /// Whether a word reaches over two columns, as those of a title do.
    fn is_overrun(&self, line: &str) -> bool {
        let n_columns =
            |start: usize, end: usize| self.0.iter().filter(|span| span.0 < end && start < span.1).count();
        words_of(line).into_iter().any(|(start, end, _)| n_columns(start, end) > 1)
    }

    /// The cells of a line; nothing where it has no blank between two columns. A cell may reach out of
    /// its column, as longer numbers do.
    pub(super) fn cells<'a>(&self, line: &'a str) -> Option<Vec<&'a str>> {
        let line = line.trim_end();
        if line.contains('\t') {
            return None;
        }
        let bytes = line.as_bytes();
        let place = |i: usize| {
            if line.is_ascii() {
                i.min(line.len())
            } else {
                line.char_indices().nth(i).map_or(line.len(), |(at, _)| at)
            }
        };
        let mut cells = Vec::with_capacity(self.len());
        let mut from = 0;
        for pair in self.0.windows(2) {
            let (start, end) = (place(pair[0].1), place(pair[1].0));
            let between = &line[start..end];
            let is_blank =
                |at: Option<usize>| at.and_then(|at| bytes.get(at)).is_none_or(|byte| *byte == b' ');
            let head = between.find(' ').unwrap_or(between.len());
            let tail = between.rfind(' ').map_or(between.len(), |at| at + 1);
            let is_apart = end == line.len() || head < between.len();
            let belongs = (head == 0 || !is_blank(start.checked_sub(1)))
                && (tail == between.len() || !is_blank(Some(end)));
            if !is_apart || !belongs || !between[head..tail.max(head)].trim().is_empty() {
                return None;
            }
            cells.push(line[from..start + head].trim());
            from = start + tail.max(head);
        }
        cells.push(line[from..].trim());
        Some(cells)
    }
}

/// The words of a line, each with its first place and that after its last.
fn words_of(line: &str) -> Vec<(usize, usize, &str)> {
    let mut words = Vec::new();
    let (mut at, mut n_chars) = (0, 0);
    for word in line.split_whitespace() {
        let start = at + line[at..].find(word).unwrap_or(0);
        let first = n_chars + line[at..start].chars().count();
        n_chars = first + word.chars().count();
        at = start + word.len();
        words.push((first, n_chars, word));
    }
    words
}

fn is_value(cell: &str) -> bool {
    spaced::is_number(cell) || date::is_day_or_time(cell)
}

/// Whether most cells that hold something hold a value.
fn are_values<'a>(cells: impl Iterator<Item = &'a str>) -> bool {
    let (mut n, mut n_values) = (0, 0);
    for cell in cells.filter(|cell| !cell.is_empty()) {
        n += 1;
        n_values += usize::from(is_value(cell));
    }
    n > 0 && n_values * 5 >= n * 4
}

/// Several numbers in one cell, or a gap that is none of a text: two columns that overlap.
fn is_broken(cell: &str) -> bool {
    let is_one = number_format::shape(cell).is_some() || date::is_day_or_time(cell);
    !is_one
        && (cell.contains("  ")
            || cell.split(' ').filter(|word| number_format::shape(word).is_some()).count() > 1)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn placed(text: &str) -> Option<Placed> {
        let lines: Vec<(u64, &str)> =
            (1..).zip(text.lines()).filter(|(_, line)| !line.trim().is_empty()).collect();
        find(&lines)
    }

    fn names(text: &str) -> Vec<String> {
        placed(text).unwrap().header.unwrap().1
    }

    const ROWS: &str = "  10   0.512   0.031\n 100           0.024\n1000   0.701\n2000   0.702   0.020\n   5           0.100\n";
    const PLACES: &str = "  10  S\u{e3}o Paulo      -23.5    760\n 100  Rio Grande              10\n1000  Passo Fundo    -28.2\n2000  Bag\u{e9}           -31.3    212\n   5  Porto          -30.0      3\n";

    #[test]
    fn blanks_at_the_place_of_a_column_are_a_missing_value() {
        let found = placed(&format!("A run\n  Re      Cl      Cd\n{ROWS}")).unwrap();
        assert_eq!(found.header, Some((2, vec!["Re".into(), "Cl".into(), "Cd".into()])));
        assert_eq!(found.first_row, 3);
        let columns = found.columns;
        assert_eq!(columns.cells(" 100           0.024"), Some(vec!["100", "", "0.024"]));
        assert_eq!(columns.cells("1000   0.701"), Some(vec!["1000", "0.701", ""]));
        assert_eq!(
            columns.cells("9000  10.701  10.701"),
            Some(vec!["9000", "10.701", "10.701"]),
            "longer numbers"
        );
        assert_eq!(columns.cells("12345678901 0.5"), None, "a cell over two columns");
        assert_eq!(columns.cells("10   4 0.512"), None, "a cell between two columns");
    }

    #[test]
    fn texts_with_blanks_and_letters_of_two_bytes() {
        let text = format!("id    place          lat    height\n{PLACES}");
        assert_eq!(names(&text), ["id", "place", "lat", "height"]);
        let columns = placed(&text).unwrap().columns;
        let cells: Vec<Vec<&str>> = PLACES.lines().map(|line| columns.cells(line).unwrap()).collect();
        assert_eq!(cells[0], ["10", "S\u{e3}o Paulo", "-23.5", "760"]);
        assert_eq!(cells[1], ["100", "Rio Grande", "", "10"]);
        assert_eq!(cells[3], ["2000", "Bag\u{e9}", "-31.3", "212"]);
    }

    #[test]
    fn what_stands_above_and_below() {
        assert_eq!(placed(ROWS).unwrap().header, None, "no header");
        let titled = format!("Coefficients of the wing, second series\n{ROWS}");
        assert_eq!(placed(&titled).unwrap().header, None, "a title is none");
        let units = placed(&format!("  Re      Cl      Cd\n  mm       s      kg\n{ROWS}")).unwrap();
        assert_eq!(units.header.unwrap().0, 1);
        assert_eq!(units.units, Some((2, vec!["mm".into(), "s".into(), "kg".into()])));
        assert_eq!(names(&format!("#  t     Cl      Cd\n{ROWS}")), ["t", "Cl", "Cd"], "a comment");
        let footer =
            format!("  Re      Cl      Cd\n{ROWS}The run was ended by hand and may not be complete.\n");
        assert_eq!(names(&footer), ["Re", "Cl", "Cd"]);
    }

    #[test]
    fn what_is_no_such_table() {
        let few: String = ROWS.lines().take(4).map(|line| format!("{line}\n")).collect();
        assert_eq!(placed(&few), None, "too few lines");
        assert_eq!(placed("item\nitem 1\nitem 2\nitem 3\nitem 4\nitem 5\n"), None);
        assert_eq!(placed("x\n1 234\n5 678\n9 123\n4 567\n7 123\n"), None);
        let prose = "The run of May was\nended by hand in 2\nhours and has 3 or 4\nlines which are not\nwhole, as 17 shows\nin the table 5 of it\n";
        assert_eq!(placed(prose), None);
        let overlap = "a   1.5 2.5   7\nb  11.5 2.5   8\nc   1.5 22.5  9\nd 1.5555 2.5  3\ne   1.5 2.75  4\n";
        assert_eq!(placed(overlap), None, "two columns in one place");
    }
}
