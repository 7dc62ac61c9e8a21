//! Every crate that is compiled into the program or its tests has a licence that we accept.
//!
//! The list comes from `cargo tree`, which knows the features as they are resolved; `cargo metadata`
//! also lists optional crates that nothing switches on.

use std::collections::BTreeMap;
use std::process::Command;

/// The licences that are accepted, and why. A crate may offer a choice (`OR`): one accepted
/// licence is enough. A crate under several at once (`AND`) needs all of them accepted.
const ACCEPTED: &[(&str, &str)] = &[
    ("MIT", "permissive; ours"),
    ("Apache-2.0", "permissive with a patent grant; ours"),
    ("Apache-2.0 WITH LLVM-exception", "Apache-2.0 with fewer duties for binaries"),
    ("BSD-2-Clause", "permissive"),
    ("BSD-3-Clause", "permissive"),
    ("ISC", "permissive"),
    ("Zlib", "permissive"),
    ("BSL-1.0", "permissive: Boost, not the Business Source License"),
    ("Unicode-3.0", "permissive; Unicode's data tables"),
    ("CC0-1.0", "public domain dedication"),
    ("CDLA-Permissive-2.0", "permissive, for data: Mozilla's list of root certificates"),
    ("MPL-2.0", "copyleft per file: we use those files unchanged"),
];

/// Crates that must not be there whatever their licence, and why.
const BANNED: &[(&str, &str)] = &[
    ("ring", "a second cryptography library beside aws-lc"),
    ("openssl-sys", "would tie the binary to the system's OpenSSL"),
];

/// `name version` of each crate that is compiled for this machine, with its licence expression.
fn dependencies() -> BTreeMap<String, String> {
    let output = Command::new(env!("CARGO"))
        .args(["tree", "--offline", "--locked", "--prefix=none", "--no-dedupe", "--edges=normal,build,dev"])
        .args(["--format={p}|{l}", "--manifest-path", concat!(env!("CARGO_MANIFEST_DIR"), "/Cargo.toml")])
        .output()
        .expect("cargo starts");
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    let text = String::from_utf8(output.stdout).expect("cargo writes UTF-8");
    let lines = text.lines().filter_map(|line| line.split_once('|'));
    lines
        .map(|(package, licence)| {
            let name: Vec<&str> = package.split(' ').take(2).collect();
            (name.join(" "), licence.to_owned())
        })
        .collect()
}

/// Whether an SPDX expression can be met with accepted licences alone.
fn is_accepted(expression: &str) -> bool {
    // Crates published before SPDX expressions were asked for write `MIT/Apache-2.0`.
    let spaced = expression.replace('/', " OR ").replace('(', " ( ").replace(')', " ) ");
    let mut tokens = spaced.split_whitespace().peekable();
    let accepted = any_of(&mut tokens);
    accepted && tokens.next().is_none()
}

type Tokens<'a> = std::iter::Peekable<std::str::SplitWhitespace<'a>>;

fn any_of(tokens: &mut Tokens) -> bool {
    let mut accepted = all_of(tokens);
    while tokens.next_if_eq(&"OR").is_some() {
        accepted |= all_of(tokens);
    }
    accepted
}

fn all_of(tokens: &mut Tokens) -> bool {
    let mut accepted = one(tokens);
    while tokens.next_if_eq(&"AND").is_some() {
        accepted &= one(tokens);
    }
    accepted
}

fn one(tokens: &mut Tokens) -> bool {
    match tokens.next() {
        Some("(") => {
            let accepted = any_of(tokens);
            tokens.next() == Some(")") && accepted
        }
        Some(licence) => {
            let exception = tokens.next_if_eq(&"WITH").and_then(|_| tokens.next());
            let full =
                exception.map_or(licence.to_owned(), |exception| format!("{licence} WITH {exception}"));
            ACCEPTED.iter().any(|(known, _)| *known == full)
        }
        None => false,
    }
}

#[test]
fn every_dependency_has_an_accepted_licence() {
    let all = dependencies();
    assert!(all.len() > 100, "only {} crates: is the list whole?", all.len());
    let refused: Vec<String> = all
        .iter()
        .filter(|(_, licence)| !is_accepted(licence))
        .map(|(package, licence)| format!("{package}: {licence:?}"))
        .collect();
    assert!(refused.is_empty(), "not in the list of accepted licences:\n{}", refused.join("\n"));
}

#[test]
fn banned_crates_are_absent() {
    for package in dependencies().keys() {
        let name = package.split(' ').next().unwrap_or_default();
        if let Some((_, reason)) = BANNED.iter().find(|(banned, _)| *banned == name) {
            panic!("{package} is among the dependencies: {reason}");
        }
    }
}

#[test]
fn expressions_are_understood() {
    let check = |expression: &str, expected: bool| {
        assert_eq!(is_accepted(expression), expected, "{expression}");
    };
    check("MIT OR Apache-2.0", true);
    check("MIT/Apache-2.0", true); // the old spelling
    check("MIT OR GPL-3.0-only", true); // the choice is ours
    check("MIT AND GPL-3.0-only", false); // here it is not
    check("(MIT OR GPL-2.0-only) AND BSD-3-Clause", true);
    check("(MIT AND GPL-2.0-only) OR SSPL-1.0", false);
    check("Apache-2.0 WITH LLVM-exception", true);
    check("GPL-3.0-only WITH GCC-exception-3.1", false);
    check("AGPL-3.0-or-later", false);
    check("", false); // none stated
    check("MIT)", false); // not an expression
}
