//! Columns that stand at the same place in every line: blanks part them, and a missing value is
//! nothing but blanks.
//!
//! ```text
//!   Re     Cl      Cd
//!   10   0.512   0.031
//!  100           0.024       no lift was measured
//! 1000   0.701
//! ```

use super::number_format;

/// Fewer lines show no columns.
const MIN_LINES: usize = 5;

/// The columns, each from its first position to after its last; the last goes on to the line's end.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Columns(Vec<(usize, usize)>);

impl Columns {
    pub(super) fn len(&self) -> usize {
        self.0.len()
    }

    /// The columns that all `lines` agree on, where each has a name in `header`.
    pub(super) fn find(header: &str, lines: &[&str]) -> Option<Self> {
        if lines.len() < MIN_LINES || !header.is_ascii() || lines.iter().any(|line| !is_plain(line)) {
            return None;
        }
        let width = lines.iter().map(|line| line.trim_end().len()).max()?;
        let is_used = |i: usize| lines.iter().any(|line| line.as_bytes().get(i).is_some_and(|b| *b != b' '));
        let mut spans: Vec<(usize, usize)> = Vec::new();
        for i in (0..width).filter(|i| is_used(*i)) {
            match spans.last_mut() {
                Some((_, end)) if *end == i => *end = i + 1,
                _ => spans.push((i, i + 1)),
            }
        }
        let columns = Self(spans);
        let names = columns.names(header)?;
        let mut cells = lines.iter().flat_map(|line| columns.cells(line).unwrap_or_default());
        let is_whole =
            |cell: &str| cell.is_empty() || number_format::shape(cell).is_some() || !cell.contains("  ");
        (columns.len() >= 2 && names.len() == columns.len() && cells.all(is_whole)).then_some(columns)
    }

    /// The names of a header: each word belongs to the column under it, or to the nearest.
    pub(super) fn names(&self, header: &str) -> Option<Vec<String>> {
        let mut names = vec![String::new(); self.len()];
        let mut from = 0;
        for word in header.split_ascii_whitespace() {
            let start = from + header[from..].find(word)?;
            from = start + word.len();
            // Twice the middle of the word, and of each column.
            let distance = |span: &(usize, usize)| {
                let overlap = from.min(span.1).saturating_sub(start.max(span.0));
                (overlap == 0, (span.0 + span.1).abs_diff(start + from))
            };
            let nearest = (0..self.len()).min_by_key(|i| distance(&self.0[*i]))?;
            if !names[nearest].is_empty() {
                names[nearest].push(' ');
            }
            names[nearest].push_str(word);
        }
        names.iter().all(|name| !name.is_empty()).then_some(names)
    }

    /// The cells of a line; nothing where one reaches over the place of its column.
    pub(super) fn cells<'a>(&self, line: &'a str) -> Option<Vec<&'a str>> {
        let line = line.trim_end();
        if !is_plain(line) {
            return None;
        }
        let mut cells = Vec::with_capacity(self.len());
        let mut from = 0;
        for (i, (start, end)) in self.0.iter().enumerate() {
            let end = if i + 1 == self.len() { line.len() } else { *end };
            let (start, end) = ((*start).min(line.len()), end.min(line.len()).max((*start).min(line.len())));
            if !line[from.min(start)..start].trim().is_empty() {
                return None;
            }
            cells.push(line[start..end].trim());
            from = end;
        }
        Some(cells)
    }
}

/// Positions are bytes, and a tab has no width that is known.
fn is_plain(line: &str) -> bool {
    line.is_ascii() && !line.contains('\t')
}

#[cfg(test)]
mod tests {
    use super::*;

    const LINES: [&str; 5] = [
        "  10   0.512   0.031",
        " 100           0.024",
        "1000   0.701",
        "2000   0.702   0.020",
        "   5           0.100",
    ];

    #[test]
    fn blanks_at_the_place_of_a_column_are_a_missing_value() {
        let columns = Columns::find("  Re      Cl      Cd", &LINES).unwrap();
        assert_eq!(columns.names("  Re      Cl      Cd").unwrap(), ["Re", "Cl", "Cd"]);
        assert_eq!(columns.cells(LINES[1]), Some(vec!["100", "", "0.024"]));
        assert_eq!(columns.cells(LINES[2]), Some(vec!["1000", "0.701", ""]));
        assert_eq!(columns.cells("12345678 0.5"), None, "a cell between two columns");
    }

    #[test]
    fn without_a_name_for_each_column_there_is_no_table() {
        assert_eq!(Columns::find("  Re      Cl", &LINES), None);
        assert_eq!(Columns::find("  Re      Cl      Cd", &LINES[..4]), None, "too few lines");
    }
}
