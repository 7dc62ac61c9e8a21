//! One cell as true or false. `yes` and `no` stay words: a model answers in the words of its file.

const PAIRS: &[(&str, &str)] = &[
    ("true", "false"),
    ("verdadeiro", "falso"),
    ("verdadero", "falso"),
    ("vrai", "faux"),
    ("wahr", "falsch"),
    (".true.", ".false."),
];

/// Reads a trimmed cell in any capitals.
pub fn parse(text: &str) -> Option<bool> {
    parse_bytes(text.trim().as_bytes())
}

pub(super) fn parse_bytes(cell: &[u8]) -> Option<bool> {
    PAIRS.iter().find_map(|(yes, no)| {
        if cell.eq_ignore_ascii_case(yes.as_bytes()) {
            Some(true)
        } else if cell.eq_ignore_ascii_case(no.as_bytes()) {
            Some(false)
        } else {
            None
        }
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn words_for_true_and_false() {
        for (text, expected) in [
            ("True", Some(true)),
            ("FALSE", Some(false)),
            ("Verdadeiro", Some(true)),
            (" falso ", Some(false)),
            ("yes", None),
            ("1", None),
            ("t", None),
            ("", None),
        ] {
            assert_eq!(parse(text), expected, "{text}");
        }
    }
}
