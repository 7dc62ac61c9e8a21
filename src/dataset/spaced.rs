//! Tables whose columns are parted by blanks, as solvers write them: `OpenFOAM`, XFOIL, SU2, Tecplot,
//! Fluent.
//!
//! ```text
//!  XFOIL  Version 6.99                    titles: become blank lines
//!    alpha    CL        CD                header: its names, one a column
//!    (deg)     -         -                units
//!   ------ -------- ---------             rules: blank lines
//!   10.000   1.2022   0.00000             rows: one tab between cells
//! # Time  force  (x y z)                  comments; the last above the rows may be the header
//! ```
//!
//! Every line keeps its number, so that messages name the lines of the file.

use super::{
    fixed_width::{self, Columns},
    missing::Missing,
    number_format,
    spaced_names::{self, Found},
};

/// Lines that are looked at.
const SAMPLE_LINES: usize = 400;
/// A line with one of these in front is a comment, or a header.
const MARKERS: [&str; 4] = ["#", "%", "!", "//"];
/// Leading rows that may be titles with numbers in them: `NACA 0012`.
const MAX_TITLES: usize = 3;

/// Where the table lies and how wide it is.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Spacing {
    /// Cells of a row, the zone's name not counted.
    pub(super) width: usize,
    /// The line of the header, or of the first row where there is none.
    pub(super) first_line: u64,
    pub(super) first_row: u64,
    /// One name for each column, and for the zone where there are several.
    pub(super) names: Option<Vec<String>>,
    /// The header as it stands, to know it where a restarted solver writes it again.
    pub(super) header: String,
    /// The line of the units, and one for each column.
    pub(super) units: Option<(u64, Vec<String>)>,
    /// Where cells are missing, the places of the columns.
    pub(super) fixed: Option<Columns>,
    /// Whether vectors stand in parentheses.
    pub(super) has_groups: bool,
    /// Whether the file is cut into zones whose names are a column.
    pub(super) has_zones: bool,
    /// Whether lists of elements follow the rows.
    pub(super) has_elements: bool,
    /// Whether a comment marker stands before the header.
    pub(super) is_marked: bool,
}

/// A line of the sample that holds something.
pub(super) type Line<'a> = (u64, &'a str);

/// Finds a table of numbers between blanks.
pub(super) fn detect(text: &str) -> Option<Spacing> {
    let lines = sample_lines(text);
    let has_groups = has_groups(&lines);
    let bare = |line: &str| if has_groups { ungrouped(line) } else { line.to_owned() };
    let plain: Vec<(u64, String)> = lines
        .iter()
        .filter(|(_, line)| unmarked(line).is_none() && zone_title(line).is_none())
        .map(|(at, line)| (*at, bare(line)))
        .collect();
    let mut rows: Vec<&(u64, String)> = plain.iter().filter(|(_, line)| is_numeric(line)).collect();
    let variables = spaced_names::variables(&lines);
    let mut counts = std::collections::BTreeMap::new();
    for (_, line) in &rows {
        *counts.entry(split(line).len()).or_insert(0usize) += 1;
    }
    let commonest = counts.iter().max_by_key(|(width, count)| (**count, **width)).map(|(width, _)| *width)?;
    let width = variables.as_ref().map_or(commonest, Vec::len);
    let n_same = counts.get(&width).copied().unwrap_or(0);
    rows.retain(|(_, line)| split(line).len() == width);
    drop_titles(&mut rows, width);
    let (first, last) = (rows.first()?.0, rows.last()?.0);
    // One column of text with numbers in it, or of numbers such as `1 234`, is none of several.
    let n_numbers = rows.iter().flat_map(|(_, line)| split(line));
    let n_numbers = n_numbers.filter(|cell| is_number(cell)).count();
    let is_one_column = rows.iter().all(|(_, line)| number_format::shape(line.trim()).is_some());
    let has_two_names = lines.iter().any(|(at, line)| *at < first && spaced_names::quoted(line).len() > 1);
    if n_numbers * 3 < rows.len() * width * 2 || is_one_column && !has_two_names {
        return None;
    }
    // What stands under the last row is a footer.
    let n_within = plain.iter().filter(|(at, _)| (first..=last).contains(at)).count();
    let n_below = plain.iter().filter(|(at, _)| *at >= first).count();
    if width < 2 || n_same < 2 || n_same * 10 < n_within * 9 || n_same * 2 < n_below && variables.is_none() {
        return None;
    }
    let of_missing = plain.iter().rev().skip_while(|(at, _)| *at >= first);
    let of_missing = of_missing.take_while(|(_, line)| is_of_missing(&split(line), width));
    let first = of_missing.last().map_or(first, |(at, _)| *at);
    let above: Vec<Line<'_>> = lines.iter().copied().filter(|(at, _)| *at < first).collect();
    let whole = |at: &u64| lines.iter().find(|(other, _)| other == at).map(|(_, line)| *line);
    let below: Vec<&str> = rows.iter().filter_map(|(at, _)| whole(at)).collect();
    let zones: Vec<String> = lines.iter().filter_map(|(_, line)| zone_title(line)).collect();
    let has_zones = zones.iter().filter(|title| !title.is_empty()).count() > 1;
    let found = match variables {
        Some(names) => {
            Some(Found { line: above.first().map_or(first, |(at, _)| *at), names, ..Found::default() })
        }
        None => spaced_names::find(&above, &below, width, has_groups),
    };
    let mut spacing = Spacing {
        width,
        first_line: first,
        first_row: first,
        names: None,
        header: String::new(),
        units: None,
        fixed: None,
        has_groups,
        has_zones,
        has_elements: lines.iter().any(|(_, line)| is_zone_of_elements(line)),
        is_marked: false,
    };
    if let Some(found) = found {
        spacing.first_line = found.line;
        spacing.is_marked = found.is_marked;
        spacing.header = found.header;
        spacing.units = found.units;
        spacing.names = Some(found.names);
    }
    if has_zones && let Some(names) = &mut spacing.names {
        names.push("zone".to_owned());
    }
    Some(spacing)
}

/// Finds a table whose columns stand in the same places in all lines, with blanks for missing values.
pub(super) fn detect_by_place(text: &str) -> Option<Spacing> {
    let found = fixed_width::find(&sample_lines(text))?;
    let first_line = found.header.as_ref().map_or(found.first_row, |(line, _)| *line);
    let header = text.lines().nth(first_line.saturating_sub(1) as usize).unwrap_or_default();
    Some(Spacing {
        width: found.columns.len(),
        first_line,
        first_row: found.first_row,
        names: found.header.map(|(_, names)| names),
        header: header.trim().to_owned(),
        units: found.units,
        fixed: Some(found.columns),
        has_groups: false,
        has_zones: false,
        has_elements: false,
        is_marked: false,
    })
}

/// The lines that are looked at, with their numbers.
fn sample_lines(text: &str) -> Vec<Line<'_>> {
    let lines = (1..).zip(text.lines()).filter(|(_, line)| !line.trim().is_empty() && !is_rule(line));
    lines.take(SAMPLE_LINES).collect()
}

/// `NACA 0012` over coordinates has as many cells as they, but a word where they have numbers.
fn drop_titles(rows: &mut Vec<&(u64, String)>, width: usize) {
    let is_title = |rows: &[&(u64, String)]| {
        let cells = split(&rows[0].1);
        (0..width).any(|i| {
            let n = rows[1..].iter().filter(|(_, line)| is_number(split(line)[i])).count();
            !is_number(cells[i]) && n * 10 >= (rows.len() - 1) * 9
        })
    };
    for _ in 0..MAX_TITLES {
        if rows.len() > 3 && is_title(rows) {
            rows.remove(0);
        }
    }
}

/// Whether at least half of the lines of numbers hold some in parentheses.
fn has_groups(lines: &[Line<'_>]) -> bool {
    let (mut n, mut n_grouped) = (0usize, 0usize);
    for (_, line) in lines.iter().filter(|(_, line)| unmarked(line).is_none()) {
        if is_numeric(&ungrouped(line)) {
            n += 1;
            n_grouped += usize::from(line.contains('(') && line.contains(')'));
        }
    }
    n_grouped >= 2 && n_grouped * 2 >= n
}

/// `(1 2 3)` without its parentheses.
pub(super) fn ungrouped(line: &str) -> String {
    line.replace(['(', ')'], " ")
}

/// The cells of a line: blanks part them, but not within quotes.
pub(super) fn split(line: &str) -> Vec<&str> {
    // `AR  136.5  3.33 ! fitted`: a remark at the end of the line.
    let line = line.split_once(" ! ").map_or(line, |(cells, _)| cells);
    if !line.contains('"') {
        return line.split_ascii_whitespace().collect();
    }
    let (mut cells, mut start, mut is_quoted) = (Vec::new(), None, false);
    for (i, c) in line.char_indices() {
        is_quoted ^= c == '"';
        match start {
            None if !c.is_ascii_whitespace() => start = Some(i),
            Some(from) if c.is_ascii_whitespace() && !is_quoted => {
                cells.push(&line[from..i]);
                start = None;
            }
            _ => {}
        }
    }
    cells.extend(start.map(|from| &line[from..]));
    cells
}

/// The line without its comment marker, where it has one.
pub(super) fn unmarked(line: &str) -> Option<&str> {
    let line = line.trim_start();
    MARKERS.iter().find_map(|marker| line.strip_prefix(marker)).map(|rest| rest.trim_start_matches('#'))
}

/// `------ -------- =====`, `***`, or a parenthesis alone.
pub(super) fn is_rule(line: &str) -> bool {
    let mut cells = line.split_ascii_whitespace().peekable();
    let is_dashes =
        |cell: &str| cell.len() > 1 && cell.bytes().all(|byte| matches!(byte, b'-' | b'=' | b'_' | b'*'));
    matches!(line.trim(), "(" | ")") || cells.peek().is_some() && cells.all(is_dashes)
}

/// The name of the zone that the line begins: `ZONE T="wall"` in Tecplot's files,
/// `((xy/key/label "wall")` in Fluent's.
pub(super) fn zone_title(line: &str) -> Option<String> {
    let line = line.trim_start();
    let is_zone = line.get(..4).is_some_and(|word| word.eq_ignore_ascii_case("zone"))
        && line[4..].starts_with(|c: char| c.is_whitespace() || c == '=')
        || line.starts_with("((xy/key/label");
    is_zone.then(|| line.split('"').nth(1).unwrap_or_default().trim().to_owned())
}

/// A zone of elements is followed by lists of the corners of each.
fn is_zone_of_elements(line: &str) -> bool {
    let upper = line.to_uppercase();
    zone_title(line).is_some() && (upper.contains("ELEMENTS") || upper.contains("FEPOINT"))
}

/// Whether the cell is a number, or stands for one that is missing.
pub(super) fn is_number(cell: &str) -> bool {
    number_format::shape(cell).is_some()
        || cell.len() > 1
            && cell.bytes().any(|b| b.is_ascii_alphabetic())
            && Missing::default().is_missing(cell.as_bytes())
}

/// `0 N/A N/A`: a solver has no residuals yet, and writes one mark for all parts of a vector.
pub(super) fn is_of_missing(cells: &[&str], width: usize) -> bool {
    let missing = Missing::default();
    let are_marks = |cells: &[&str]| cells.iter().all(|cell| missing.is_missing(cell.as_bytes()));
    (2..width).contains(&cells.len()) && is_number(cells[0]) && are_marks(&cells[1..])
}

/// Whether at least half of the cells are numbers, the last of them too or the first.
pub(super) fn is_numeric(line: &str) -> bool {
    let cells = split(line);
    let (n, n_numbers) = (cells.len(), cells.iter().filter(|cell| is_number(cell)).count());
    let has_digit = line.bytes().any(|byte| byte.is_ascii_digit());
    has_digit
        && n_numbers * 2 >= n
        && cells.last().is_some_and(|cell| number_format::shape(cell).is_some() || n_numbers * 3 >= n * 2)
}

#[cfg(test)]
mod tests {
    use super::{super::spaced_text::Spaced, *};
    use std::io::Read;

    const POLAR: &str = "\n  XFOIL  Version 6.99\n\n 1 1 Reynolds number fixed  Mach number fixed\n xtrf =   1.000 (top)  1.000 (bottom)\n\n   alpha    CL        CD\n  ------ -------- ---------\n  10.000   1.2022   0.00000\n   9.000   1.0831   0.00100\n";

    fn rewritten(text: &str) -> String {
        let mut out = String::new();
        let spacing = detect(text).or_else(|| detect_by_place(text)).unwrap();
        Spaced::new(text.as_bytes(), spacing).read_to_string(&mut out).unwrap();
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
    fn a_title_with_a_number_is_no_row() {
        let text = "NACA 0012\n1.0 0.001\n0.5 0.060\n0.0 0.000\n0.5 -0.060\n";
        assert_eq!(rewritten(text), "\n1.0\t0.001\n0.5\t0.060\n0.0\t0.000\n0.5\t-0.060\n");
    }

    #[test]
    fn lists_of_corners_are_left_out() {
        let text = "VARIABLES= X, Y, P\nZONE T=\"a\" I= 3 J= 2 F=FEPOINT\n0.1 0.2 3.5\n0.3 0.4 4.5\n0.5 0.6 5.5\n1 2\n2 3\n";
        assert!(rewritten(text).ends_with("0.5\t0.6\t5.5\n\n\n"), "{}", rewritten(text));
    }

    #[test]
    fn a_line_of_stars_parts_header_and_rows() {
        let text = "Made in 2010\n\nRG  IS   t    B IK\n***\n 5   1  2.5   0  9\n 5   1  2.4   7  9\n 5   2  2.1   3  9\n";
        assert_eq!(detect(text).unwrap().names.unwrap(), ["RG", "IS", "t", "B", "IK"]);
    }

    #[test]
    fn a_remark_ends_the_line() {
        let text = "AR  0 136.5 3.330\nC2  1  97.5 3.621 ! fitted\nCN  1 232.4 3.828 ! * 2\n";
        assert_eq!(rewritten(text), "AR\t0\t136.5\t3.330\nC2\t1\t97.5\t3.621\nCN\t1\t232.4\t3.828\n");
    }

    #[test]
    fn numbers_after_a_word_name_columns() {
        let text = "RVALUE:  0.2  0.2  0.5  0.9\n  0.0  4.0  3.0  2.0  6.0\n 15.0  5.0  3.0  1.0  7.0\n 30.0  5.1  3.2  1.3  7.4\n";
        let names = detect(text).unwrap().names.unwrap();
        assert_eq!(names, ["RVALUE:", "0.2", "0.2", "0.5", "0.9"]);
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
    fn vectors_in_parentheses_become_columns() {
        let text = "# Time areaAverage(p) areaAverage(U)\n1 5.0 (1 2 3)\n2 6.0 (4 5 6)\n";
        assert_eq!(
            rewritten(text),
            "Time\tareaAverage(p)\tareaAverage(U)_x\tareaAverage(U)_y\tareaAverage(U)_z\n1\t5.0\t1\t2\t3\n2\t6.0\t4\t5\t6\n"
        );
    }

    #[test]
    fn zones_become_a_column() {
        let text = "TITLE = \"t\"\nVARIABLES = \"x\" \"y\"\nZONE T=\"a\"\n1 2\n3 4\nZONE T=\"b\"\n5 6\n7 8\n";
        assert_eq!(rewritten(text), "x\ty\tzone\n\n\n1\t2\ta\n3\t4\ta\n\n5\t6\tb\n7\t8\tb\n");
        let one = "(title \"Cp\")\n(labels \"Position\" \"Cp\")\n\n((xy/key/label \"wall\")\n1 2\n3 4\n)\n";
        assert_eq!(rewritten(one), "\nPosition\tCp\n\n\n1\t2\n3\t4\n\n");
    }

    #[test]
    fn a_closing_remark_stays_one_cell() {
        let text = "t y\n1 2\n3 4\n5 6\nThis file was closed at 10:15.\n";
        assert_eq!(rewritten(text), "t\ty\n1\t2\n3\t4\n5\t6\nThis file was closed at 10:15.\n");
    }

    #[test]
    fn a_row_of_missing_values_may_be_shorter() {
        let text = "# Time Ux Uy p\n0 N/A N/A\n1 1.0 1.0 1.0\n2 0.5 0.5 0.5\n3 0.1 0.1 0.1\n";
        assert_eq!(
            rewritten(text),
            "Time\tUx\tUy\tp\n0\t\t\t\n1\t1.0\t1.0\t1.0\n2\t0.5\t0.5\t0.5\n3\t0.1\t0.1\t0.1\n"
        );
        let settings = "CENTER= 0 0 0\nNROW= 3\n# r CT CP\n1 2 3\n4 5 6\n7 8 9\n";
        assert_eq!(rewritten(settings), "\n\nr\tCT\tCP\n1\t2\t3\n4\t5\t6\n7\t8\t9\n");
    }

    #[test]
    fn two_quoted_names_over_what_may_be_one_number() {
        let text = "\"Iteration\" \"lift\"\n1 341.0332\n2 341.1611\n3 341.3658\n";
        assert_eq!(rewritten(text), "Iteration\tlift\n1\t341.0332\n2\t341.1611\n3\t341.3658\n");
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
