//! The README stays true where a test can see it.

use std::collections::BTreeMap;

const README: &str = include_str!(concat!(env!("CARGO_MANIFEST_DIR"), "/README.md"));
const ENV_EXAMPLE: &str = include_str!(concat!(env!("CARGO_MANIFEST_DIR"), "/.env.example"));

/// Name and default from lines such as ``| `TAQICFD_BIND` | `127.0.0.1:8080` | ... |``.
fn settings_of_readme() -> BTreeMap<&'static str, &'static str> {
    let rows = README.lines().filter_map(|line| line.strip_prefix("| `")?.split_once("` | "));
    rows.filter(|(name, _)| name.chars().all(|c| c.is_ascii_uppercase() || c.is_ascii_digit() || c == '_'))
        .map(|(name, rest)| (name, rest.split(" | ").next().unwrap_or_default().trim_matches('`')))
        .collect()
}

#[test]
fn the_settings_table_is_that_of_env_example() {
    let lines = ENV_EXAMPLE.lines().filter_map(|line| line.strip_prefix('#')?.split_once('='));
    let expected: BTreeMap<_, _> = lines.filter(|(name, _)| !name.contains(' ')).collect();
    assert!(expected.len() > 20, "the lines of .env.example are not understood: {expected:?}");
    assert_eq!(settings_of_readme(), expected, "README.md (left) and .env.example (right) differ");
}

#[test]
fn every_file_that_the_readme_names_is_there() {
    let root = std::path::Path::new(env!("CARGO_MANIFEST_DIR"));
    let named = README.split('`').skip(1).step_by(2).flat_map(str::split_whitespace);
    for path in named.filter(|word| {
        ["src/", "tests/", "benches/", "data/samples/", "migrations/"]
            .iter()
            .any(|start| word.starts_with(start))
    }) {
        assert!(root.join(path).exists(), "README.md names {path}");
    }
}
