//! What a model may be called.

const MAX_CHARS: usize = 120;

/// Refuses what cannot be the name of a model: behind `/` stands a version, behind `@` an alias.
///
/// # Errors
/// What a name must be.
pub fn check(name: &str) -> Result<(), &'static str> {
    let is_name = !name.is_empty() && mended(name) == name;
    is_name
        .then_some(())
        .ok_or("must have 1 to 120 characters, no control characters, no / or @, and no spaces at the ends")
}

/// The nearest name, for one that nobody chose; empty where nothing is left.
pub fn mended(name: &str) -> String {
    let is_bad = |c: char| c.is_control() || c == '/' || c == '@';
    let clean: String =
        name.trim().chars().map(|c| if is_bad(c) { '-' } else { c }).take(MAX_CHARS).collect();
    clean.trim_end().to_owned()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_mended_name_is_a_name() {
        for name in
            ["polar", " polar ", "a/b", "a@b", "a\tb", &"x".repeat(200), &format!("{} y", "x".repeat(119))]
        {
            assert_eq!(check(&mended(name)), Ok(()), "{name}");
            assert_eq!(check(name).is_ok(), name == "polar", "{name}");
        }
        assert!(check("").is_err() && check(&mended("  ")).is_err());
    }
}
