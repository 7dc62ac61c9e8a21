//! The names of a spaced table's columns, from the lines above its rows.
//!
//! ```text
//! # Probe 0 1 2                                    the nearest line with one name a column
//! # Time                                           a single word names the first column
//! # Time forces(pressure viscous)                  one name for each group: expanded
//! VARIABLES = "x" "y"                              Tecplot
//! "mpg" "cyl"                                      R: the rows have a name in front
//! ```

use super::{
    spaced::{Line, is_number, is_numeric, split, ungrouped, unmarked, zone_title},
    unit,
};

/// Lines above the rows that are looked at.
const MAX_ABOVE: usize = 8;
/// The parts of vectors and of symmetric and full tensors.
const AXES: [&str; 3] = ["x", "y", "z"];
const SYMMETRIC: [&str; 6] = ["xx", "xy", "xz", "yy", "yz", "zz"];
const TENSOR: [&str; 9] = ["xx", "xy", "xz", "yx", "yy", "yz", "zx", "zy", "zz"];

/// A header.
#[derive(Debug, Default, PartialEq)]
pub(super) struct Found {
    pub(super) line: u64,
    /// As it stands.
    pub(super) header: String,
    pub(super) names: Vec<String>,
    pub(super) units: Option<(u64, Vec<String>)>,
    pub(super) is_marked: bool,
}

/// The header among the lines `above` the first of `rows`, where there is one for rows of `width`
/// cells.
pub(super) fn find(above: &[Line<'_>], rows: &[&str], width: usize, has_groups: bool) -> Option<Found> {
    let row = rows.first()?;
    let groups = has_groups.then(|| groups(row));
    let places = if has_groups { None } else { Places::of(rows, width) };
    let mut units: Option<Line<'_>> = None;
    let mut first_name: Option<&str> = None;
    for (i, (at, line)) in above.iter().rev().take(MAX_ABOVE).enumerate() {
        if zone_title(line).is_some() {
            continue;
        }
        let bare = unmarked(line).unwrap_or(line);
        let is_marked = unmarked(line).is_some();
        let may_be_units = units.is_none() && i == 0 && are_units(bare);
        let names = places
            .as_ref()
            .and_then(|places| places.names(line, is_marked))
            .or_else(|| names(bare, width, groups.as_deref(), is_marked))
            .or_else(|| row_names(bare, row, width, i));
        match names {
            Some(_) if may_be_units && above.len() > 1 => units = Some((*at, line)),
            Some(mut names) => {
                let are_numbered =
                    names[1..].iter().all(|name| name.starts_with(|c: char| c.is_ascii_digit()));
                if let Some(first) = first_name.filter(|_| are_numbered) {
                    // A number alone would look like a value.
                    let each = names[0].clone();
                    names.iter_mut().skip(1).for_each(|name| name.insert_str(0, &format!("{each} ")));
                    first.clone_into(&mut names[0]);
                }
                let aligned = units.map(|(at, units)| (at, aligned(units, line, &names)));
                return Some(Found {
                    line: *at,
                    header: line.trim().to_owned(),
                    names,
                    units: aligned,
                    is_marked,
                });
            }
            None if may_be_units => units = Some((*at, line)),
            None if is_marked => {
                if let [word] = split(bare)[..]
                    && i == 0
                    && !is_number(word)
                {
                    first_name = Some(word);
                }
            }
            None if bare.starts_with('(') => {}
            // Words that are no header: what stands above them is none either.
            None => break,
        }
    }
    let (at, line) = units?;
    let names = names(unmarked(line).unwrap_or(line), width, None, false)?;
    Some(Found {
        line: at,
        header: line.trim().to_owned(),
        names,
        units: None,
        is_marked: unmarked(line).is_some(),
    })
}

/// The names in Tecplot's `VARIABLES`, which may go on over several lines.
pub(super) fn variables(lines: &[Line<'_>]) -> Option<Vec<String>> {
    let is_start =
        |line: &str| line.trim_start().get(..9).is_some_and(|word| word.eq_ignore_ascii_case("variables"));
    let start = lines.iter().position(|(_, line)| is_start(line))?;
    let (_, first) = lines[start].1.split_once('=')?;
    let further = lines[start + 1..]
        .iter()
        .map(|(_, line)| *line)
        .take_while(|line| line.trim_start().starts_with('"'));
    let text: Vec<&str> = std::iter::once(first).chain(further).collect();
    let text = text.join(" ");
    let names: Vec<String> = if text.contains('"') {
        quoted(&text)
    } else {
        let words = text.split(|c: char| c == ',' || c.is_whitespace()).filter(|word| !word.is_empty());
        words.map(str::to_owned).collect()
    };
    (names.len() >= 2).then_some(names)
}

pub(super) fn quoted(text: &str) -> Vec<String> {
    text.split('"').skip(1).step_by(2).map(|name| name.trim().to_owned()).collect()
}

/// One name for each of the `width` columns, where the line has them.
fn names(line: &str, width: usize, groups: Option<&[Group]>, is_marked: bool) -> Option<Vec<String>> {
    let clean = |cells: Vec<&str>| {
        // `x, y, z` over columns of blanks.
        let has_commas = cells.len() > 1 && cells[..cells.len() - 1].iter().all(|cell| cell.ends_with(','));
        let bare =
            |cell: &str| if has_commas { cell.trim_end_matches(',').to_owned() } else { cell.to_owned() };
        cells.iter().map(|cell| bare(cell.trim_matches('"'))).collect::<Vec<String>>()
    };
    let strings = quoted(line);
    if strings.len() == width && line.contains('"') {
        return Some(strings);
    }
    if let Some(groups) = groups {
        // `(x y z)` has the names of the parts, `U` and `average(U)` that of the whole.
        let words = outside_groups(line);
        let is_of_wholes = !words.iter().any(|word| word.starts_with('('));
        if is_of_wholes && words.len() == groups.len() && has_words(&words, is_marked) {
            return Some(words.iter().zip(groups).flat_map(|(word, group)| group.names(word)).collect());
        }
    }
    let whole = ungrouped(line);
    let of_parts = split(if groups.is_some() { &whole } else { line });
    if of_parts.len() == width && has_words(&of_parts, is_marked) {
        return Some(clean(of_parts));
    }
    // `Data:  y  x1  x2`
    if let [label, names @ ..] = of_parts.as_slice()
        && label.ends_with(':')
        && names.len() == width
        && has_words(names, is_marked)
    {
        return Some(clean(names.to_vec()));
    }
    let apart: Vec<&str> = wide_gaps(line).collect();
    (apart.len() == width && has_words(&apart, is_marked)).then(|| clean(apart))
}

/// `Probe 0 1 2` names columns too, where a comment says so.
fn has_words(cells: &[&str], is_marked: bool) -> bool {
    let numbers: Vec<f64> = cells.iter().skip(1).map_while(|cell| cell.parse().ok()).collect();
    let is_run = cells.len() > 2
        && numbers.len() + 1 == cells.len()
        && numbers.windows(2).all(|pair| pair[1] - pair[0] == 1.0);
    if is_marked && is_run && !is_number(cells[0]) {
        return true;
    }
    let line = cells.join(" ");
    if !is_number(cells[0]) && is_axis(&cells[1..]) {
        return true;
    }
    !is_numeric(&line) && !line.starts_with(|c: char| c.is_ascii_digit())
}

/// `0.2 0.2 0.4 0.7`: numbers that never fall, which name the columns of a map over two quantities
/// where the first cell of the line is a word.
pub(super) fn is_axis(cells: &[impl AsRef<str>]) -> bool {
    let numbers: Option<Vec<f64>> = cells.iter().map(|cell| cell.as_ref().parse().ok()).collect();
    numbers
        .is_some_and(|numbers| numbers.len() >= 4 && numbers.is_sorted() && numbers.first() < numbers.last())
}

/// R names the columns and not the names of the rows, which stand in front.
fn row_names(line: &str, row: &str, width: usize, i: usize) -> Option<Vec<String>> {
    let names = quoted(line);
    let has_name = row.trim_start().starts_with('"');
    let is_all_quoted = split(line).iter().all(|cell| cell.starts_with('"'));
    (i == 0 && has_name && is_all_quoted && names.len() + 1 == width)
        .then(|| std::iter::once(String::new()).chain(names).collect())
}

/// Where the cells of all rows end, as they do where a program fills each to the same width.
struct Places(Vec<usize>);

impl Places {
    /// Fewer rows show no places.
    const MIN_ROWS: usize = 3;

    fn of(rows: &[&str], width: usize) -> Option<Self> {
        let ends = |row: &str| -> Vec<usize> {
            let start = |cell: &str| cell.as_ptr() as usize - row.as_ptr() as usize;
            split(row).into_iter().map(|cell| start(cell) + cell.len()).collect()
        };
        let first = ends(rows.first()?);
        let is_aligned = rows
            .iter()
            .take(20)
            .all(|row| row.is_ascii() && !row.contains(['\t', '"']) && ends(row.trim_end()) == first);
        (rows.len() >= Self::MIN_ROWS && first.len() == width && is_aligned).then_some(Self(first))
    }

    /// What stands in `header` over each column, where that parts no word and names nearly all: names
    /// may be of several words, and the last columns may have none. The columns may be numbered.
    fn names(&self, header: &str, is_marked: bool) -> Option<Vec<String>> {
        let header = header.trim_end();
        if !header.is_ascii() || header.contains(['\t', '"']) {
            return None;
        }
        let bytes = header.as_bytes();
        let is_blank = |i: usize| bytes.get(i).is_none_or(|byte| *byte == b' ');
        let starts = std::iter::once(0).chain(self.0.iter().copied());
        let end_of = |i: usize| if i + 1 == self.0.len() { header.len() } else { self.0[i] };
        let part = |(i, start): (usize, usize)| {
            let part = header.get(start..end_of(i).min(header.len())).unwrap_or_default().trim();
            if i == 0 { unmarked(part).unwrap_or(part).trim() } else { part }
        };
        let mut parts: Vec<&str> = starts.enumerate().take(self.0.len()).map(part).collect();
        let without_number = |(i, part): (usize, &&str)| {
            let bare = part.strip_suffix(&(i + 1).to_string())?;
            Some(bare.trim_end().to_owned()).filter(|bare| !bare.is_empty())
        };
        if let Some(names) = parts.iter().enumerate().map(without_number).collect() {
            return Some(names);
        }
        // What stands far before the first column or beyond the last is no name of it.
        parts[0] = wide_gaps(parts[0]).last().unwrap_or_default();
        if let Some(last) = parts.last_mut() {
            *last = wide_gaps(last).next().unwrap_or_default();
        }
        let n_named = parts.iter().take_while(|part| !part.is_empty()).count();
        let are_parted = self.0.iter().take(n_named).all(|end| is_blank(end - 1) || is_blank(*end));
        let is_header = n_named * 4 >= self.0.len() * 3
            && parts[n_named..].iter().all(|part| part.is_empty())
            && are_parted
            && has_words(&parts[..n_named], is_marked);
        is_header.then(|| parts.into_iter().map(str::to_owned).collect())
    }
}

pub(super) fn wide_gaps(line: &str) -> impl Iterator<Item = &str> {
    line.split("  ").flat_map(|part| part.split('\t')).map(str::trim).filter(|part| !part.is_empty())
}

/// `(m/s)`, `degC`, `-`: whether every text of the line is a unit.
fn are_units(line: &str) -> bool {
    let is_one = |cell: &str| {
        let bracketed =
            (cell.starts_with('(') && cell.ends_with(')')) || (cell.starts_with('[') && cell.ends_with(']'));
        bracketed || cell == "-" || unit::is_unit(cell)
    };
    let apart: Vec<&str> = wide_gaps(line).collect();
    let cells = if apart.len() > 1 { apart } else { split(line) };
    let n_named = cells.iter().filter(|cell| **cell != "-").count();
    n_named > 0 && cells.into_iter().all(is_one)
}

/// The words of `units` under the names that they stand nearest to.
fn aligned(units: &str, header: &str, names: &[String]) -> Vec<String> {
    let units_bare = unmarked(units).unwrap_or(units);
    let apart: Vec<&str> = wide_gaps(units_bare).collect();
    let words = split(units_bare);
    for cells in [&words, &apart] {
        if cells.len() == names.len() {
            return cells.iter().map(|cell| (*cell).to_owned()).collect();
        }
    }
    let mut placed = vec![String::new(); names.len()];
    let (mut from, mut middles) = (0, Vec::new());
    for name in names {
        let Some(at) = header.get(from..).and_then(|rest| rest.find(name.as_str())) else { return placed };
        middles.push(2 * (from + at) + name.len());
        from += at + name.len();
    }
    let mut from = 0;
    for word in apart {
        let Some(at) = units.get(from..).and_then(|rest| rest.find(word)) else { return placed };
        let middle = 2 * (from + at) + word.len();
        from += at + word.len();
        if let Some(i) = (0..names.len()).min_by_key(|i| middles[*i].abs_diff(middle)) {
            word.clone_into(&mut placed[i]);
        }
    }
    placed
}

/// What stands between two blanks of a row outside all parentheses: a number, a vector, or several
/// vectors in one more pair of parentheses.
#[derive(Debug, Clone, PartialEq)]
struct Group {
    /// Numbers in each part.
    parts: Vec<usize>,
    is_nested: bool,
}

impl Group {
    /// `U` is `U_x`, `U_y`, `U_z`; `forces(pressure viscous)` is `forces_pressure_x` and so on.
    fn names(&self, word: &str) -> Vec<String> {
        let word = word.trim_matches('"');
        let (base, inner) = match word.split_once('(') {
            Some((base, inner)) if self.is_nested => (base, inner.trim_end_matches(')')),
            _ => (word, ""),
        };
        let inner: Vec<&str> = inner.split_whitespace().collect();
        let part = |(i, n): (usize, &usize)| {
            let stem = match inner.get(i).filter(|_| inner.len() == self.parts.len()) {
                Some(name) => format!("{base}_{name}"),
                None if self.parts.len() > 1 => format!("{base}_{}", i + 1),
                None => base.to_owned(),
            };
            leaves(&stem, *n)
        };
        self.parts.iter().enumerate().flat_map(part).collect()
    }
}

fn leaves(stem: &str, n: usize) -> Vec<String> {
    let axes: &[&str] = match n {
        1 => return vec![stem.to_owned()],
        2 | 3 => &AXES[..n],
        6 => &SYMMETRIC,
        9 => &TENSOR,
        _ => return (1..=n).map(|i| format!("{stem}_{i}")).collect(),
    };
    axes.iter().map(|axis| format!("{stem}_{axis}")).collect()
}

/// The groups of a row.
fn groups(row: &str) -> Vec<Group> {
    let words = outside_groups(row);
    let group = |word: &&str| {
        let inner = word.strip_prefix('(').and_then(|word| word.strip_suffix(')')).unwrap_or(word);
        if word.starts_with("((") {
            let parts = outside_groups(inner).iter().map(|part| split(&ungrouped(part)).len()).collect();
            Group { parts, is_nested: true }
        } else {
            Group { parts: vec![split(inner).len()], is_nested: false }
        }
    };
    words.iter().map(group).collect()
}

/// The parts of a line between blanks outside parentheses.
fn outside_groups(line: &str) -> Vec<&str> {
    let (mut words, mut start, mut depth) = (Vec::new(), None, 0usize);
    for (i, c) in line.char_indices() {
        match c {
            '(' => depth += 1,
            ')' => depth = depth.saturating_sub(1),
            _ => {}
        }
        match start {
            None if !c.is_whitespace() => start = Some(i),
            Some(from) if c.is_whitespace() && depth == 0 => {
                words.push(&line[from..i]);
                start = None;
            }
            _ => {}
        }
    }
    words.extend(start.map(|from| line[from..].trim_end()));
    words
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(above: &str, row: &str, expected: &[&str]) -> Found {
        let lines: Vec<Line<'_>> = (1..).zip(above.lines()).collect();
        let has_groups = row.contains('(');
        let width = split(&ungrouped(row)).len();
        let found = find(&lines, &[row], width, has_groups).unwrap();
        assert_eq!(found.names, expected, "{above}");
        found
    }

    #[test]
    fn names_over_vectors() {
        check(
            "# Forces\n# CofR : (0 0 0)\n# Time forces(pressure viscous)",
            "1 ((1 2 3) (4 5 6))",
            &[
                "Time",
                "forces_pressure_x",
                "forces_pressure_y",
                "forces_pressure_z",
                "forces_viscous_x",
                "forces_viscous_y",
                "forces_viscous_z",
            ],
        );
        check("# Time (a_x a_y) p", "1 (2 3) 4", &["Time", "a_x", "a_y", "p"]);
        check(
            "# Probe 0 1\n# Time",
            "1 (2 3) (4 5)",
            &["Time", "Probe 0_x", "Probe 0_y", "Probe 1_x", "Probe 1_y"],
        );
        check("# Time s", "1 (1 2 3 4)", &["Time", "s_1", "s_2", "s_3", "s_4"]);
    }

    #[test]
    fn names_over_numbers() {
        check(
            "#  Probe 0 (0 0 0)\n#  Probe 0 1 2\n#  Time",
            "0.1 1 2 3",
            &["Time", "Probe 0", "Probe 1", "Probe 2"],
        );
        check("! Comment\n! ColA ColB\n! Comment", "1 2", &["ColA", "ColB"]);
        check("(\"Iteration\" \"drag\")", "1 2", &["Iteration", "drag"]);
        check(
            "(labels \"Position\" \"Static Pressure\")\n((xy/key/label \"w\")",
            "1 2",
            &["Position", "Static Pressure"],
        );
        check("cell, x, y", "1 2 3", &["cell", "x", "y"]);
        check("Data:  y  x1", "1 2", &["y", "x1"]);
        check("\"mpg\" \"cyl\"", "\"Fiat 128\" 1 2", &["", "mpg", "cyl"]);
    }

    #[test]
    fn units_under_names() {
        let found = check("V      J       Pe\n(mph)  (Adv Ratio)  -", "1 2 3", &["V", "J", "Pe"]);
        assert_eq!(found.units.unwrap().1, ["(mph)", "(Adv Ratio)", "-"]);
        let found = check(
            " yyyy  mm   tmax   rain\n            degC    mm",
            "1941 1 2 3",
            &["yyyy", "mm", "tmax", "rain"],
        );
        assert_eq!(found.units.unwrap().1, ["", "", "degC", "mm"]);
        let found = check("(m) (s)", "1 2", &["(m)", "(s)"]);
        assert_eq!(found.units, None, "units alone are names");
    }

    #[test]
    fn names_by_the_places_of_their_columns() {
        let check = |header: &str, rows: [&str; 3], expected: &[&str]| {
            let width = split(rows[0]).len();
            let found = find(&[(1, header)], &rows, width, false).unwrap();
            assert_eq!(found.names, expected, "{header}");
        };
        let rows =
            ["  1.0  0.50  0.90  0.1  0.2", " 10.0  0.60  0.80  0.1  0.3", " -2.0  0.70  0.70  0.1  0.4"];
        check(" alpha  Top Xtr   Bot   p", rows, &["alpha", "Top", "Xtr", "Bot", "p"]);
        check("   a  Top   Bot Xtr  Cp", rows, &["a", "Top", "Bot", "Xtr", "Cp"]);
        let wide = [
            "     1.00     0.50     0.90     0.10",
            "    10.00     0.60     0.80     0.10",
            "    -2.00     0.70     0.70     0.10",
        ];
        check("    alpha  Top Xtr  Bot Xtr", wide, &["alpha", "Top Xtr", "Bot Xtr", ""]);
        check(
            " #  V [-] 1   P [kW] 2 FLAPX[N] 3ALPHAX[m] 4",
            ["       1.00       0.50       0.90       0.10"; 3],
            &["V [-]", "P [kW]", "FLAPX[N]", "ALPHAX[m]"],
        );
    }

    #[test]
    fn a_title_is_no_header() {
        let lines = [(1, "a long title with more words"), (2, "12 3")];
        assert_eq!(find(&lines, &["1 2"], 2, false), None);
    }

    #[test]
    fn variables_over_several_lines() {
        let lines = [(1, "TITLE = \"x\""), (2, "VARIABLES = \"a\""), (3, "\"b c\""), (4, "ZONE")];
        assert_eq!(variables(&lines).unwrap(), ["a", "b c"]);
        assert_eq!(variables(&[(1, "Variables = X, Y")]).unwrap(), ["X", "Y"]);
        assert_eq!(variables(&[(1, "x y")]), None);
    }
}
