//! Marks behind a number that say something of it: `6.8*` is estimated, `3.1 b` breaks the series.

/// Signs that stand directly behind the number, or apart from it.
const SIGNS: &[char] = &['*', '#', '\u{2020}', '\u{2021}', '\u{a7}', '\u{b9}', '\u{b2}', '\u{b3}'];
/// A column has few different marks.
const MAX_MARKS: usize = 6;

/// The number and the mark, where the cell has both. A letter is a mark only apart from the
/// number: `12 p`, but `12p` may be a code. `12(1)` refers to a note.
pub(super) fn split(text: &str) -> Option<(&str, &str)> {
    if let Some((number, inner)) = text.strip_suffix(')').and_then(|rest| rest.rsplit_once('(')) {
        let is_note = (1..=2).contains(&inner.len()) && inner.bytes().all(|byte| byte.is_ascii_digit());
        let number = number.trim_end();
        return (is_note && !number.is_empty()).then(|| (number, &text[number.len()..]));
    }
    let bare = text.trim_end_matches(SIGNS).trim_end();
    if bare.len() < text.len() {
        return (!bare.is_empty()).then(|| (bare, text[bare.len()..].trim_start()));
    }
    let (number, mark) = text.rsplit_once([' ', '\u{a0}'])?;
    let is_letter = mark.len() == 1 && mark.bytes().all(|byte| byte.is_ascii_lowercase());
    is_letter.then(|| (number.trim_end(), mark))
}

/// Whether the marked cells among the numbers of a column are exceptions of few kinds. Where all
/// have one, it is a unit.
pub(super) fn are_marks<'a>(marks: impl Iterator<Item = &'a str>, n_marked: usize, n_bare: usize) -> bool {
    let distinct: std::collections::BTreeSet<&str> = marks.collect();
    n_marked > 0 && n_marked <= n_bare && distinct.len() <= MAX_MARKS
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_and_their_marks() {
        let cases = [
            ("6.8*", Some(("6.8", "*"))),
            ("-3,1 b", Some(("-3,1", "b"))),
            ("12 \u{2020}", Some(("12", "\u{2020}"))),
            ("7**", Some(("7", "**"))),
            ("539354(1)", Some(("539354", "(1)"))),
            ("7 (12)", Some(("7", " (12)"))),
            ("(1)", None),
            ("5 (0.3)", None),
            ("12p", None),
            ("12 kg", None),
            ("*", None),
            ("12", None),
        ];
        for (text, expected) in cases {
            assert_eq!(split(text), expected, "{text}");
        }
    }

    #[test]
    fn marks_are_exceptions() {
        assert!(are_marks(["*", "#"].into_iter(), 2, 10));
        assert!(!are_marks(["m"].into_iter(), 9, 1), "metres");
        assert!(!are_marks([].into_iter(), 0, 10));
    }
}
