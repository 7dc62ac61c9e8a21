//! The rules of the module map in `src/lib.rs`, read from the source text.

#![expect(clippy::unwrap_used, reason = "a test that cannot go on ends with a panic")]

#[path = "support/sources.rs"]
mod files;

use std::{collections::BTreeSet, fs, path::Path};

/// Which crates may be named where. A crate that is not listed may be named anywhere.
const WHO_MAY_NAME: [(&str, &[&str]); 14] = [
    ("burn", &["model", "training"]),
    ("safetensors", &["model", "training"]),
    ("polars", &["dataset"]),
    ("calamine", &["dataset"]),
    ("csv", &["dataset"]),
    ("sqlx", &["storage"]),
    ("object_store", &["storage"]),
    ("axum", &["http", "cli"]),
    ("tower", &["http", "cli"]),
    ("tower_http", &["http", "cli"]),
    ("utoipa", &["http", "cli"]),
    ("hyper", &["http", "cli"]),
    ("hyper_util", &["http", "cli"]),
    ("clap", &["config", "cli"]),
];

/// Pure: data in, data out.
const PURE: [&str; 5] = ["dataset", "language", "model", "training", "export"];
const NOT_PURE: [&str; 5] = ["tokio", "sqlx", "axum", "reqwest", "object_store"];

/// One source file: its top-level module and its text without comments and texts in quotes.
struct Source {
    module: String,
    path: String,
    code: String,
}

fn sources() -> Vec<Source> {
    let sources = files::sources().into_iter().map(|(path, text)| {
        let module = path.split('/').next().unwrap().trim_end_matches(".rs").to_owned();
        Source { module, path, code: code_of(&text) }
    });
    sources.filter(|source| !["lib", "main"].contains(&source.module.as_str())).collect()
}

/// Cuts line comments, and the texts in quotes on a line. Good enough for finding paths.
fn code_of(text: &str) -> String {
    let mut code = String::with_capacity(text.len());
    for line in text.lines() {
        let mut in_quotes = false;
        let mut previous = ' ';
        let mut rest = line.chars().peekable();
        while let Some(character) = rest.next() {
            match character {
                '"' if previous != '\\' && previous != '\'' => in_quotes = !in_quotes,
                '/' if !in_quotes && rest.peek() == Some(&'/') => break,
                _ if in_quotes => {}
                _ => code.push(character),
            }
            previous = character;
        }
        code.push('\n');
    }
    code
}

/// The words that follow `before`, as in `crate::{word}`; of a group `crate::{a::x, b}`, all.
fn names_after(code: &str, before: &str) -> BTreeSet<String> {
    let mut names = BTreeSet::new();
    for (at, _) in code.match_indices(before) {
        let rest = &code[at + before.len()..];
        if let Some(group) = rest.strip_prefix('{') {
            let mut depth = 0;
            let mut item = String::new();
            for character in group.chars() {
                match character {
                    '}' if depth == 0 => break,
                    '{' => depth += 1,
                    '}' => depth -= 1,
                    ',' if depth == 0 => {
                        names.extend(first_word(&item));
                        item.clear();
                        continue;
                    }
                    _ => {}
                }
                item.push(character);
            }
            names.extend(first_word(&item));
        } else {
            names.extend(first_word(rest));
        }
    }
    names
}

fn first_word(text: &str) -> Option<String> {
    let word: String = text
        .trim_start()
        .chars()
        .take_while(|character| character.is_alphanumeric() || *character == '_')
        .collect();
    (!word.is_empty()).then_some(word)
}

/// Whether `code` names the crate: `name::` or `use name`, as a word of its own.
fn names_crate(code: &str, name: &str) -> bool {
    code.match_indices(name).any(|(at, _)| {
        let before = code[..at].trim_end_matches(' ').chars().last().unwrap_or(' ');
        let joined = code[..at].chars().last().is_some_and(|c| c.is_alphanumeric() || c == '_' || c == ':');
        let after = &code[at + name.len()..];
        let used = code[..at].trim_end().ends_with("use") && after.starts_with([';', ' ']);
        before != '.' && !joined && (after.starts_with("::") || used)
    })
}

/// The modules in the order of `src/lib.rs`.
fn declared() -> Vec<String> {
    let lib = fs::read_to_string(Path::new(env!("CARGO_MANIFEST_DIR")).join("src/lib.rs")).unwrap();
    let names = lib.lines().filter_map(|line| {
        let line = line.trim();
        line.strip_prefix("pub mod ").or(line.strip_prefix("mod "))?.strip_suffix(';').map(str::to_owned)
    });
    names.collect()
}

#[test]
fn a_module_imports_only_modules_declared_above_it() {
    let order = declared();
    assert!(order.len() > 5, "the modules of src/lib.rs were not found: {order:?}");
    let place = |name: &str| order.iter().position(|module| module == name);
    let mut wrong = Vec::new();
    for source in sources() {
        let Some(own) = place(&source.module) else {
            wrong.push(format!("{}: {} is not declared in src/lib.rs", source.path, source.module));
            continue;
        };
        for used in names_after(&source.code, "crate::") {
            if place(&used).is_some_and(|used| used > own) {
                wrong.push(format!("{}: {} is declared above {used}", source.path, source.module));
            }
        }
    }
    assert!(wrong.is_empty(), "move the code, or the module in src/lib.rs:\n{}", wrong.join("\n"));
}

#[test]
fn a_crate_is_named_only_where_it_belongs() {
    let mut wrong = Vec::new();
    for source in sources() {
        for (name, homes) in WHO_MAY_NAME {
            if !homes.contains(&source.module.as_str()) && names_crate(&source.code, name) {
                wrong.push(format!("{}: {name} belongs to {homes:?}", source.path));
            }
        }
        for name in NOT_PURE {
            if PURE.contains(&source.module.as_str()) && names_crate(&source.code, name) {
                wrong.push(format!("{}: {} is pure and may not name {name}", source.path, source.module));
            }
        }
        if source.module != "config"
            && (source.code.contains("env::var") || source.code.contains("env::vars"))
        {
            wrong.push(format!("{}: only config reads the environment", source.path));
        }
        if source.module != "clock" && source.code.contains("Utc::now") {
            wrong.push(format!("{}: only clock asks for the time", source.path));
        }
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}

#[test]
fn both_databases_have_the_same_migrations() {
    let names = |engine: &str| -> BTreeSet<String> {
        let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("migrations").join(engine);
        fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().file_name().into_string().unwrap()).collect()
    };
    assert_eq!(names("sqlite"), names("postgres"));
    assert!(!names("sqlite").is_empty());
}

#[test]
fn the_checks_see_what_they_look_for() {
    let code = code_of(
        "use crate::{dataset::{Table, x}, id}; // crate::cli\nlet y = \"crate::http\"; crate::jobs::run();",
    );
    let expected = ["dataset", "id", "jobs"].map(str::to_owned);
    assert_eq!(names_after(&code, "crate::"), BTreeSet::from(expected));
    for (code, expected) in [
        ("use sqlx::Row;", true),
        ("let x = sqlx::query(SQL);", true),
        ("use sqlx;", true),
        ("use burn_sqlx::Row;", false),
        ("crate::sqlx::Row", false),
        ("let sqlx = 1;", false),
    ] {
        assert_eq!(names_crate(code, "sqlx"), expected, "{code}");
    }
}
