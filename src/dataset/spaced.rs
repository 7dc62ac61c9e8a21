//! Text tables whose columns are kept apart by blanks: what solvers and measuring programs print.
//!
//! ```text
//!        XFOIL         Version 6.99            titles: blanked
//!    alpha    CL        CD                     header (after a # in OpenFOAM's files)
//!   ------ -------- ---------                  rules: blanked
//!   10.000   1.2022   0.00000                  data
//! ```
//!
//! Every line is handed on with tabs in the place of the blanks, or as an empty line where it is no
//! part of the table, so that line numbers stay those of the file.

use super::{fixed_width::Columns, number_format};
use std::io::{self, BufRead, BufReader, Read};

/// Lines that are looked at.
const SAMPLE_LINES: usize = 400;
/// A line with one of these in front is a comment, or a header.
const MARKERS: [&str; 4] = ["#", "%", "!", "//"];

/// Where the table lies and how wide it is.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Spacing {
    pub(super) width: usize,
    /// The line of the header, or of the first row where there is none.
    pub(super) first_line: u64,
    /// Whether the header's names hold single blanks, so that two or more part them.
    has_wide_gaps: bool,
    /// Where cells are missing, the places of the columns.
    fixed: Option<Columns>,
    /// Whether a comment marker stands before the header.
    pub(super) is_marked: bool,
}

/// Finds a table of numbers between blanks.
pub(super) fn detect(text: &str) -> Option<Spacing> {
    let lines: Vec<(u64, &str)> = (1..)
        .zip(text.lines())
        .filter(|(_, line)| !line.trim().is_empty() && !is_rule(line))
        .take(SAMPLE_LINES)
        .collect();
    let plain: Vec<&(u64, &str)> = lines.iter().filter(|(_, line)| unmarked(line).is_none()).collect();
    let rows: Vec<&&(u64, &str)> = plain.iter().filter(|(_, line)| is_numeric(line)).collect();
    let mut counts = std::collections::BTreeMap::new();
    for (_, line) in &rows {
        *counts.entry(line.split_ascii_whitespace().count()).or_insert(0usize) += 1;
    }
    let (width, n_same) = counts.into_iter().max_by_key(|(width, count)| (*count, *width))?;
    let has_width = |line: &str| line.split_ascii_whitespace().count() == width;
    let first = rows.iter().find(|(_, line)| has_width(line))?.0;
    // One column of text with numbers in it, or of numbers such as `1 234`, is none of several.
    let of_width: Vec<&str> = rows.iter().map(|(_, line)| *line).filter(|line| has_width(line)).collect();
    let n_numbers = of_width.iter().flat_map(|line| line.split_ascii_whitespace());
    let n_numbers = n_numbers.filter(|cell| number_format::shape(cell).is_some()).count();
    let is_one_column = of_width.iter().all(|line| number_format::shape(line.trim()).is_some());
    if n_numbers * 3 < of_width.len() * width * 2 || is_one_column {
        return None;
    }
    let n_below = plain.iter().filter(|(at, _)| *at >= first).count();
    if width < 2 || n_same < 2 || n_same * 10 < n_below * 9 {
        return fixed(&lines, &plain, rows[0].0);
    }
    let header = lines.iter().rev().find(|(at, _)| *at < first);
    let named = header.and_then(|(at, line)| {
        let bare = unmarked(line).unwrap_or(line);
        let is_marked = unmarked(line).is_some();
        let has_words = !is_numeric(bare) && !bare.trim_start().starts_with(|c: char| c.is_ascii_digit());
        let spacing =
            |has_wide_gaps| Spacing { width, first_line: *at, has_wide_gaps, fixed: None, is_marked };
        if !has_words {
            None
        } else if bare.split_ascii_whitespace().count() == width {
            Some(spacing(false))
        } else {
            (wide_gaps(bare).count() == width).then(|| spacing(true))
        }
    });
    let unnamed = Spacing { width, first_line: first, has_wide_gaps: false, fixed: None, is_marked: false };
    Some(named.unwrap_or(unnamed))
}

/// Lines with other numbers of cells, all in the same columns under one header.
fn fixed(lines: &[(u64, &str)], plain: &[&(u64, &str)], first: u64) -> Option<Spacing> {
    let (at, header) = lines.iter().rev().find(|(at, _)| *at < first)?;
    let below: Vec<&str> = plain.iter().filter(|(at, _)| *at >= first).map(|(_, line)| *line).collect();
    let columns = Columns::find(header, &below)?;
    Some(Spacing {
        width: columns.len(),
        first_line: *at,
        has_wide_gaps: false,
        fixed: Some(columns),
        is_marked: false,
    })
}

/// The line without its comment marker, where it has one.
fn unmarked(line: &str) -> Option<&str> {
    let line = line.trim_start();
    MARKERS.iter().find_map(|marker| line.strip_prefix(marker)).map(|rest| rest.trim_start_matches('#'))
}

/// `------ -------- =====`
fn is_rule(line: &str) -> bool {
    let mut cells = line.split_ascii_whitespace().peekable();
    cells.peek().is_some()
        && cells.all(|cell| cell.len() > 1 && cell.bytes().all(|byte| matches!(byte, b'-' | b'=' | b'_')))
}

/// Whether at least half of the cells are numbers, the last of them too or the first.
fn is_numeric(line: &str) -> bool {
    let (mut n, mut n_numbers) = (0, 0);
    for cell in line.split_ascii_whitespace() {
        n += 1;
        n_numbers += usize::from(number_format::shape(cell).is_some() || cell.eq_ignore_ascii_case("nan"));
    }
    n > 0
        && n_numbers * 2 >= n
        && line
            .split_ascii_whitespace()
            .next_back()
            .is_some_and(|cell| number_format::shape(cell).is_some() || n_numbers * 3 >= n * 2)
}

fn wide_gaps(line: &str) -> impl Iterator<Item = &str> {
    line.split("  ").flat_map(|part| part.split('\t')).map(str::trim).filter(|part| !part.is_empty())
}

/// Rewrites the lines of a spaced table as they pass.
pub(super) struct Spaced<R> {
    inner: BufReader<R>,
    spacing: Spacing,
    line: Vec<u8>,
    n_lines: u64,
    ready: Vec<u8>,
    n_served: usize,
}

impl<R: Read> Spaced<R> {
    pub(super) fn new(inner: R, spacing: Spacing) -> Self {
        let inner = BufReader::with_capacity(1 << 18, inner);
        Self { inner, spacing, line: Vec::new(), n_lines: 0, ready: Vec::new(), n_served: 0 }
    }

    /// Makes the next pieces ready; nothing at the end of the text.
    fn fill(&mut self) -> io::Result<()> {
        self.ready.clear();
        self.n_served = 0;
        while self.ready.len() < 1 << 16 {
            self.line.clear();
            if self.inner.read_until(b'\n', &mut self.line)? == 0 {
                break;
            }
            self.n_lines += 1;
            self.rewrite();
            self.ready.push(b'\n');
        }
        Ok(())
    }

    fn rewrite(&mut self) {
        let Spacing { first_line, has_wide_gaps, .. } = self.spacing;
        let fixed = self.spacing.fixed.as_ref();
        let whole = String::from_utf8_lossy(&self.line);
        let whole = whole.trim_end();
        let text = whole.trim_start();
        if self.n_lines < first_line || text.is_empty() || is_rule(text) {
            return;
        }
        let mut push = |i: usize, cell: &str| {
            if i > 0 {
                self.ready.push(b'\t');
            }
            self.ready.extend_from_slice(cell.as_bytes());
        };
        let bare = unmarked(text);
        let is_header = self.n_lines == first_line;
        if let Some(names) = fixed.filter(|_| is_header).and_then(|columns| columns.names(whole)) {
            names.iter().enumerate().for_each(|(i, name)| push(i, name));
        } else if let Some(cells) = fixed.filter(|_| bare.is_none()).and_then(|columns| columns.cells(whole))
        {
            cells.iter().enumerate().for_each(|(i, cell)| push(i, cell));
        } else if is_header && has_wide_gaps {
            wide_gaps(bare.unwrap_or(text)).enumerate().for_each(|(i, cell)| push(i, cell));
        } else if is_header || bare.is_none() {
            let cells = bare.unwrap_or(text).split_ascii_whitespace();
            cells.enumerate().for_each(|(i, cell)| push(i, cell));
        }
        // Below the header a comment is no row, nor is a header that a restarted solver repeats.
    }
}

impl<R: Read> Read for Spaced<R> {
    fn read(&mut self, output: &mut [u8]) -> io::Result<usize> {
        if self.n_served == self.ready.len() {
            self.fill()?;
        }
        let rest = &self.ready[self.n_served..];
        let n = rest.len().min(output.len());
        output[..n].copy_from_slice(&rest[..n]);
        self.n_served += n;
        Ok(n)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const POLAR: &str = "\n  XFOIL  Version 6.99\n\n 1 1 Reynolds number fixed  Mach number fixed\n xtrf =   1.000 (top)  1.000 (bottom)\n\n   alpha    CL        CD\n  ------ -------- ---------\n  10.000   1.2022   0.00000\n   9.000   1.0831   0.00100\n";

    fn rewritten(text: &str) -> String {
        let mut out = String::new();
        Spaced::new(text.as_bytes(), detect(text).unwrap()).read_to_string(&mut out).unwrap();
        out
    }

    #[test]
    fn titles_and_rules_become_blank_lines() {
        let found = detect(POLAR).unwrap();
        assert_eq!((found.width, found.first_line), (3, 7));
        assert_eq!(
            rewritten(POLAR),
            "\n\n\n\n\n\nalpha\tCL\tCD\n\n10.000\t1.2022\t0.00000\n9.000\t1.0831\t0.00100\n"
        );
    }

    #[test]
    fn the_last_comment_is_the_header() {
        let text = "# Force coefficients\n# lRef : 1.0\n# Time \tCd\tCl\n1   \t0.5\t0.1\n2   \t0.4\t0.2\n# Time Cd Cl\n3 0.3 0.3\n# restarted here again\n4 0.2 0.4\n";
        let found = detect(text).unwrap();
        assert!(found.is_marked);
        assert_eq!(
            rewritten(text),
            "\n\nTime\tCd\tCl\n1\t0.5\t0.1\n2\t0.4\t0.2\n\n3\t0.3\t0.3\n\n4\t0.2\t0.4\n"
        );
    }

    #[test]
    fn names_of_several_words() {
        let text = "Mach number   Drag coefficient\n0.1   0.5\n0.2   0.6\n";
        assert_eq!(rewritten(text), "Mach number\tDrag coefficient\n0.1\t0.5\n0.2\t0.6\n");
    }

    #[test]
    fn missing_values_in_fixed_columns() {
        let text = "A run\n\n  Re      Cl      Cd\n  10   0.512   0.031\n 100           0.024\n1000   0.701\n2000   0.702   0.020\n   5           0.100\n";
        assert_eq!(
            rewritten(text),
            "\n\nRe\tCl\tCd\n10\t0.512\t0.031\n100\t\t0.024\n1000\t0.701\t\n2000\t0.702\t0.020\n5\t\t0.100\n"
        );
    }

    #[test]
    fn what_is_no_such_table() {
        for text in [
            "name,x\nAda,1\nLin,2\n",
            "a few words\nand more words\n",
            "1\n2\n3\n",
            "a b\n1 2\n",
            "x\n1 234\n5 678\n",
            "item\nitem 1\nitem 2\n",
        ] {
            assert_eq!(detect(text), None, "{text}");
        }
        assert_eq!(detect("1 2\n3 4\n").unwrap().first_line, 1, "without a header");
    }
}
