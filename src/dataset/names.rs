//! Column names: unique, trimmed, and free of what would break a terminal or a page.

use super::description::Warning;
use std::collections::{HashMap, HashSet};
use unicode_normalization::UnicodeNormalization;

/// Names the `width` columns from the header's cells, and says what had to be changed.
pub(super) fn unique(header: &[String], width: usize) -> (Vec<String>, Vec<Warning>) {
    let mut warnings = Vec::new();
    let cleaned: Vec<String> =
        (0..width).map(|i| header.get(i).map_or_else(String::new, |name| clean(name))).collect();
    // A name that stands in the header keeps its spelling, so that `a, b, a, a_2` cannot collide.
    let mut taken: HashSet<String> = cleaned.iter().cloned().collect();
    let mut seen = HashSet::new();
    let mut next_number = HashMap::new();
    let mut names = Vec::with_capacity(width);
    for (i, name) in cleaned.into_iter().enumerate() {
        if !name.is_empty() && seen.insert(name.clone()) {
            names.push(name);
            continue;
        }
        let new = match name.as_str() {
            "" => free(format!("column_{}", i + 1), &taken),
            _ => free_number(&name, &taken, next_number.entry(name.clone()).or_insert(2)),
        };
        if !name.is_empty() {
            warnings.push(Warning {
                code: "duplicate-column".to_owned(),
                column: Some(new.clone()),
                message: format!(
                    "column {} is called '{name}' like one before it; it was renamed '{new}'",
                    i + 1
                ),
            });
        }
        taken.insert(new.clone());
        names.push(new);
    }
    (names, warnings)
}

/// The warning for a column without a name, given once it is known to hold something.
pub(super) fn unnamed(name: &str, position: usize) -> Warning {
    Warning {
        code: "unnamed-column".to_owned(),
        column: Some(name.to_owned()),
        message: format!("column {position} has no name in the header; it was called '{name}'"),
    }
}

fn clean(name: &str) -> String {
    let lines: Vec<&str> = name.split(char::is_control).filter(|line| !line.is_empty()).collect();
    let shown: String = lines.join(" ").chars().filter(|c| !is_direction_mark(*c)).nfc().collect();
    shown.trim().to_owned()
}

/// A name without the quotes around it: with blanks around them they are none to a reader of CSV.
pub(super) fn unquoted(name: &str) -> &str {
    let bare = name.trim();
    let inner = bare.strip_prefix('"').and_then(|bare| bare.strip_suffix('"'));
    inner.filter(|inner| !inner.contains('"')).unwrap_or(bare).trim()
}

/// Marks that make a name look like another one.
fn is_direction_mark(c: char) -> bool {
    matches!(c, '\u{200b}'..='\u{200f}' | '\u{202a}'..='\u{202e}' | '\u{2066}'..='\u{2069}' | '\u{feff}')
}

fn free(name: String, taken: &HashSet<String>) -> String {
    if taken.contains(&name) { free_number(&name, taken, &mut 2) } else { name }
}

/// The first `name_2`, `name_3`, ... that nothing is called; `next` remembers how far it came.
fn free_number(name: &str, taken: &HashSet<String>, next: &mut u64) -> String {
    loop {
        let candidate = format!("{name}_{next}");
        *next += 1;
        if !taken.contains(&candidate) {
            return candidate;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(header: &[&str], width: usize, expected: &[&str]) {
        let header: Vec<String> = header.iter().map(|name| (*name).to_owned()).collect();
        assert_eq!(unique(&header, width).0, expected);
    }

    #[test]
    fn names_become_unique() {
        check(&["x", "x", "", "", "x "], 5, &["x", "x_2", "column_3", "column_4", "x_3"]);
        check(&["a", "b", "a", "a_2"], 4, &["a", "b", "a_3", "a_2"]);
        check(&["column_2", ""], 2, &["column_2", "column_2_2"]);
        check(&[], 2, &["column_1", "column_2"]);
        check(&["Water  (kg)\r\nper m3", "\u{202e}gpj"], 2, &["Water  (kg) per m3", "gpj"]);
        check(&["Pressa\u{303}o"], 1, &["Pressão"]);
    }

    #[test]
    fn a_thousand_equal_names_take_no_time() {
        let header = vec!["x".to_owned(); 5000];
        let (names, warnings) = unique(&header, 5000);
        assert_eq!(names.iter().collect::<HashSet<_>>().len(), 5000);
        assert_eq!(warnings.len(), 4999);
    }
}
