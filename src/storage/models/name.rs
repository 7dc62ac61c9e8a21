//! Model names: `polar`, `polar/3`.

use unicode_normalization::UnicodeNormalization;

/// What two spellings of one name have in common: Unicode NFC and no case.
///
/// Upper case first, then lower: that also joins `ß` with `ss`, as Unicode case folding does.
pub(super) fn key(name: &str) -> String {
    let normal: String = name.trim().nfc().collect();
    normal.to_uppercase().to_lowercase().nfc().collect()
}

/// `polar/3` is version 3 of `polar`; a text without a number after the last `/` is all name.
pub(super) fn split_version(reference: &str) -> (&str, Option<i64>) {
    let versioned = reference.rsplit_once('/').and_then(|(name, version)| {
        let is_number = !version.is_empty() && version.bytes().all(|byte| byte.is_ascii_digit());
        Some((name, version.parse().ok().filter(|_| is_number)?))
    });
    match versioned {
        Some((name, version)) => (name, Some(version)),
        None => (reference, None),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn spellings_of_one_name_share_a_key() {
        for (one, other, same) in [
            ("polar", "Polar", true),
            ("Pressão", "pressa\u{303}o", true), // composed and decomposed
            ("Straße", "STRASSE", true),
            (" polar ", "polar", true),
            ("ΟΔΟΣ", "οδος", true), // the final sigma
            ("polar", "polar2", false),
            ("pressão", "pressao", false), // an accent is a difference
        ] {
            assert_eq!(key(one) == key(other), same, "{one} {other}");
        }
    }

    #[test]
    fn only_a_number_after_the_slash_is_a_version() {
        for (reference, expected) in [
            ("polar", ("polar", None)),
            ("polar/3", ("polar", Some(3))),
            ("a/b/12", ("a/b", Some(12))),
            ("polar/", ("polar/", None)),
            ("polar/+3", ("polar/+3", None)),
            ("polar/x", ("polar/x", None)),
            ("polar/99999999999999999999", ("polar/99999999999999999999", None)),
        ] {
            assert_eq!(split_version(reference), expected, "{reference}");
        }
    }
}
