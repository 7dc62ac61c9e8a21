//! The text of a spaced table with one tab between its cells, line for line.

use super::spaced::{Spacing, is_number, is_of_missing, is_rule, split, ungrouped, unmarked, zone_title};
use std::{
    borrow::Cow,
    io::{self, BufRead, BufReader, Read},
};

/// Rewrites the lines of a spaced table as they pass.
pub(super) struct Spaced<R> {
    inner: BufReader<R>,
    spacing: Spacing,
    line: Vec<u8>,
    n_lines: u64,
    /// The name of the zone that the rows belong to.
    zone: String,
    ready: Vec<u8>,
    n_served: usize,
}

impl<R: Read> Spaced<R> {
    pub(super) fn new(inner: R, spacing: Spacing) -> Self {
        let inner = BufReader::with_capacity(1 << 18, inner);
        let (line, ready) = (Vec::new(), Vec::new());
        Self { inner, spacing, line, n_lines: 0, zone: String::new(), ready, n_served: 0 }
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
        let Spacing { width, first_line, first_row, names, units, .. } = &self.spacing;
        let whole = String::from_utf8_lossy(&self.line);
        let whole = whole.trim_end();
        let text = whole.trim_start();
        if let Some(title) = zone_title(text) {
            self.zone = title;
            // Only the name of the zone is told, so the line itself is blank.
            if self.n_lines != *first_line {
                return;
            }
        }
        let mut row = Row { ready: &mut self.ready, n_cells: 0 };
        if self.n_lines < *first_row {
            match (names, units) {
                (Some(names), _) if self.n_lines == *first_line => row.push_all(names),
                (_, Some((line, units))) if self.n_lines == *line => row.push_all(units),
                _ => {}
            }
            return;
        }
        // Below the header a comment is no row.
        if text.is_empty() || is_rule(text) || unmarked(text).is_some() {
            return;
        }
        let bare = if self.spacing.has_groups { Cow::Owned(ungrouped(whole)) } else { Cow::Borrowed(whole) };
        let cells = split(&bare);
        let is_row = cells.len() == *width;
        if let Some(cells) = self.spacing.fixed.as_ref().and_then(|columns| columns.cells(whole)) {
            cells.iter().for_each(|cell| row.push(cell));
        } else if text == self.spacing.header
            && let Some(names) = names
        {
            row.push_all(names);
        } else if is_row || cells.first().is_some_and(|cell| is_number(cell)) {
            let is_element = !is_row && self.spacing.has_elements;
            let is_text = !is_row && cells.iter().filter(|cell| is_number(cell)).count() * 2 < cells.len();
            if is_element {
                return;
            }
            if is_text {
                return row.push(text);
            }
            if !is_row && is_of_missing(&cells, *width) {
                row.push(cells[0]);
                (1..*width).for_each(|_| row.push(""));
                return;
            }
            cells.iter().for_each(|cell| row.push(cell.trim_matches('"')));
            if is_row && self.spacing.has_zones {
                row.push(&self.zone);
            }
        } else if !self.spacing.has_zones && !self.spacing.has_elements {
            // A remark: one cell, which shows that it is none of the rows.
            row.push(text);
        }
    }
}

/// The cells of one line on their way out.
struct Row<'a> {
    ready: &'a mut Vec<u8>,
    n_cells: usize,
}

impl Row<'_> {
    fn push(&mut self, cell: &str) {
        if self.n_cells > 0 {
            self.ready.push(b'\t');
        }
        self.n_cells += 1;
        self.ready.extend(cell.bytes().map(|byte| if byte == b'\t' { b' ' } else { byte }));
    }

    fn push_all(&mut self, cells: &[String]) {
        cells.iter().for_each(|cell| self.push(cell));
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
