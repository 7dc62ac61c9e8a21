//! The catalogue of messages and the sources say the same: no translation is out of date, and no
//! message is without one.

#[path = "../support/sources.rs"]
mod files;

use files::sources;
use std::collections::HashSet;
use taqicfd::language::{
    catalogue::{FILES, pairs_of},
    template::{cut_marks, doubled, skeleton},
};

/// Where the texts that a reader may see arise; what other sources say goes to the log.
const SEEN: [&str; 17] = [
    "app.rs",
    "batch/",
    "dataset/",
    "export/mod.rs",
    "http/",
    "ingest.rs",
    "jobs/",
    "model/",
    "prediction/",
    "storage/error.rs",
    "storage/job.rs",
    "storage/models/list.rs",
    "storage/models/mod.rs",
    "storage/predictions/",
    "storage/trainings/history.rs",
    "storage/trainings/lease.rs",
    "training/",
];

/// Sources without messages: the descriptions of the routes, which are in English, and test data.
const UNSEEN: [&str; 4] = [
    "http/openapi/",
    "http/protocols/open_inference/describe.rs",
    "http/protocols/open_inference/document.rs",
    "training/test_data.rs",
];

/// Calls whose texts go to the log or say why something cannot happen.
const LOGGED: [&str; 14] = [
    "expect",
    "tracing::debug!",
    "tracing::info!",
    "tracing::warn!",
    "tracing::error!",
    "debug_assert!",
    "Problem::internal",
    "io::Error::other",
    "panic!",
    "assert!",
    "assert_eq!",
    "unreachable!",
    "timed_out",
    "comment",
];

/// Texts with several words that are no message, or have no words to translate.
const NO_MESSAGES: [&str; 37] = [
    // What tables say themselves.
    "total general",
    "total result",
    "total geral",
    "grand total",
    "sample number",
    "%d de %b de %Y",
    "%Y-%m-%d %H:%M:%S%f%z",
    "%Y-%m-%d %H:%M%z",
    "SQLite format 30",
    // Headers, and what else is made for programs.
    "bytes */{}",
    "bytes {start}-{}/{}",
    "private, no-cache",
    "{kind}; filename=\"{plain}\"; filename*=UTF-8''{encoded}",
    "text/plain; version=0.0.4; charset=utf-8",
    "text/html; charset=utf-8",
    "text/plain; charset=utf-8",
    "default-src 'none'; style-src 'unsafe-inline'; base-uri 'none'; form-action 'none'",
    "POST /train",
    "POST /predict",
    "POST /upload",
    "respond-async, wait={}",
    "POST /models/import",
    "text/csv; charset=utf-8; header=present",
    "{spec} {} rows {:?}",
    "model_id, model_name, version, task, targets, dataset_id, training_id, metrics, size_bytes, sha256, train_s, \
     tags, description, status, created_at",
    // Names that are the same in every language.
    "auto, realmlp_td, realmlp_td_s, mlp",
    "fast, balanced, best",
    "relu, leaky_relu, elu, selu, silu, mish, gelu, tanh, sigmoid",
    "adam, adamw, rmsprop, sgd",
    "auto, linear, log",
    "random, stratified, group, time",
    // Looked for in the texts of libraries, or only seen by the log.
    " at line ",
    "Failed to deserialize query string: ",
    "bytes that are no {encoding}",
    "the reading process failed: {0}",
    "no message",
    "{ms} ms",
];

/// A text in quotes.
#[derive(Debug)]
struct Literal {
    path: String,
    line: usize,
    text: String,
    /// The calls, macros and attributes around it, outermost first.
    around: Vec<String>,
}

impl Literal {
    /// Whether a reader may see it, as far as its place tells.
    fn is_seen(&self) -> bool {
        let is_in = |places: &[&str]| places.iter().any(|place| self.path.starts_with(place));
        let is_logged = self.around.iter().any(|call| LOGGED.contains(&call.as_str()));
        // Of attributes, `#[error("...")]` alone makes texts.
        let attribute = self.around.iter().position(|call| call == "#");
        let is_attribute =
            attribute.is_some_and(|i| self.around.get(i + 1).is_none_or(|name| name != "error"));
        is_in(&SEEN) && !is_in(&UNSEEN) && !is_logged && !is_attribute
    }

    /// Several words beside what is filled in. SQL and the markup of pages are none.
    fn is_prose(&self) -> bool {
        let text = skeleton(&self.text).unwrap_or_else(|| self.text.clone());
        let words: Vec<&str> = text.split_whitespace().collect();
        let is_style = self.path == "http/page.rs" && self.text.contains('{');
        let is_markup = self.text.starts_with('<') || is_style;
        let is_sql = ["SELECT ", "UPDATE ", "INSERT ", "RETURNING ", "ORDER BY ", " LIMIT ", "CAST(", " = "]
            .iter()
            .any(|word| self.text.contains(word));
        let has_word = words.iter().any(|word| word.chars().filter(char::is_ascii_lowercase).count() > 1);
        words.len() > 1 && has_word && !is_markup && !(is_sql && self.path.starts_with("storage/"))
    }

    /// The forms that its template may have in the catalogue: of a format string, or of a text.
    fn forms(&self) -> [Option<String>; 2] {
        [skeleton(&self.text), Some(doubled(&self.text))]
    }
}

/// Every text in quotes of `src`, without those of unit tests.
fn literals() -> Vec<Literal> {
    let sources = sources().into_iter().filter(|(path, _)| !path.starts_with("language/"));
    let literals = |(path, text): (String, String)| {
        literals_of(&path, text.split("#[cfg(test)]\nmod tests").next().unwrap_or_default())
    };
    sources.flat_map(literals).collect()
}

/// The texts in quotes of a source. Good enough for code that rustfmt has been over.
fn literals_of(path: &str, code: &str) -> Vec<Literal> {
    let mut found = Vec::new();
    let mut around: Vec<String> = Vec::new();
    let mut at = 0;
    while let Some(character) = code[at..].chars().next() {
        let rest = &code[at..];
        let before = &code[..at];
        if rest.starts_with("//") {
            at += rest.find('\n').unwrap_or(rest.len());
            continue;
        }
        if let Some(length) = character_length(rest) {
            at += length;
            continue;
        }
        let raw = rest.strip_prefix('r').filter(|rest| rest.starts_with('"') || rest.starts_with("#\""));
        let is_word = before.ends_with(|c: char| c.is_alphanumeric() || c == '_') && !before.ends_with('b');
        if let Some(raw) = raw.filter(|_| !is_word) {
            let (begin, end) = if raw.starts_with('#') { (3, "\"#") } else { (2, "\"") };
            let length = rest[begin..].find(end).unwrap();
            push(&mut found, path, before, rest[begin..begin + length].to_owned(), &around);
            at += begin + length + end.len();
            continue;
        }
        match character {
            '"' => {
                let length = quoted_length(rest);
                push(&mut found, path, before, unescaped(&rest[1..length - 1]), &around);
                at += length;
                continue;
            }
            '(' | '[' | '{' => around.push(caller(before)),
            ')' | ']' | '}' => {
                around.pop();
            }
            _ => {}
        }
        at += character.len_utf8();
    }
    found
}

fn push(found: &mut Vec<Literal>, path: &str, before: &str, text: String, around: &[String]) {
    let line = before.matches('\n').count() + 1;
    found.push(Literal { path: path.to_owned(), line, text, around: around.to_vec() });
}

/// `'x'`, `'\n'`, `'\u{7f}'`; not the `'a` of a lifetime.
fn character_length(rest: &str) -> Option<usize> {
    let inner = rest.strip_prefix('\'')?;
    let mut characters = inner.chars();
    let first = characters.next()?;
    if first == '\\' {
        return Some(2 + 1 + inner[2..].find('\'')?);
    }
    (characters.next() == Some('\'')).then(|| 2 + first.len_utf8())
}

fn quoted_length(rest: &str) -> usize {
    let mut escaped = false;
    let end = rest.char_indices().skip(1).find(|(_, character)| {
        let is_end = *character == '"' && !escaped;
        escaped = *character == '\\' && !escaped;
        is_end
    });
    end.unwrap().0 + 1
}

/// Joins the lines that a backslash continues, and undoes the escapes that messages have.
fn unescaped(text: &str) -> String {
    let mut plain = String::new();
    let mut rest = text.chars().peekable();
    while let Some(character) = rest.next() {
        if character != '\\' {
            plain.push(character);
            continue;
        }
        match rest.next() {
            Some('\n') => while rest.next_if(|character| character.is_whitespace()).is_some() {},
            Some('n') => plain.push('\n'),
            Some(other) => plain.push(other),
            None => {}
        }
    }
    plain
}

/// The name before a bracket: `expect`, `tracing::warn!`, or `#` of an attribute.
fn caller(before: &str) -> String {
    let is_part = |c: char| c.is_alphanumeric() || "_:!#".contains(c);
    let start = before.rfind(|c: char| !is_part(c)).map_or(0, |at| at + 1);
    let name = before[start..].trim_end_matches("::<_>");
    if name == "#!" { "#".to_owned() } else { name.to_owned() }
}

#[test]
fn every_translation_is_of_a_message_that_the_sources_have() {
    let literals = literals();
    let known: HashSet<String> = literals.iter().flat_map(Literal::forms).flatten().collect();
    // Names with a low line are shown with blanks, and the last word of a training stands in SQL.
    let spelt: HashSet<String> = known.iter().map(|text| text.replace('_', " ")).collect();
    let is_in_sql = |text: &str| literals.iter().any(|literal| literal.text.contains(&format!("= '{text}'")));
    let mut stale = Vec::new();
    for (file, text) in FILES.into_iter().filter(|(file, _)| *file != "libraries.txt") {
        for (english, _) in pairs_of(text).unwrap() {
            let form = skeleton(cut_marks(english).0).unwrap();
            if !known.contains(&form) && !spelt.contains(&form) && !is_in_sql(english) {
                stale.push(format!("{file}: {english}"));
            }
        }
    }
    assert!(stale.is_empty(), "no source says this any more; correct or remove it:\n{}", stale.join("\n"));
}

#[test]
fn every_message_has_a_translation() {
    let mut known: HashSet<String> = NO_MESSAGES.iter().filter_map(|text| skeleton(text)).collect();
    for (_, text) in FILES {
        let pairs = pairs_of(text).unwrap().into_iter();
        known.extend(pairs.filter_map(|(english, _)| skeleton(cut_marks(english).0)));
    }
    let literals = literals();
    assert!(literals.len() > 1000, "the sources are not understood: {} texts", literals.len());
    let seen = literals.iter().filter(|literal| literal.is_seen() && literal.is_prose());
    let missing: Vec<String> = seen
        .filter(|literal| !literal.forms().iter().flatten().any(|form| known.contains(form)))
        .map(|Literal { path, line, text, .. }| format!("src/{path}:{line}: {text}"))
        .collect();
    assert!(
        missing.is_empty(),
        "add these to a file of src/language/pt_br/ (or, if no reader sees them, to NO_MESSAGES):\n{}",
        missing.join("\n")
    );
}

#[test]
fn texts_are_found_with_what_is_around_them() {
    let code = "#[error(\"a {b} \\\n     c\")]\n#[expect(dead_code, reason = \"why not\")]\nfn f<'a>() { // \"no\"\n  \
                x.expect(\"it is so\"); tracing::warn!(%e, \"log it\"); g('\"', '\\'', r#\"raw \"one\"\"#) }";
    let found = literals_of("http/x.rs", code);
    let texts: Vec<(&str, bool)> =
        found.iter().map(|literal| (literal.text.as_str(), literal.is_seen())).collect();
    assert_eq!(
        texts,
        [
            ("a {b} c", true),
            ("why not", false),
            ("it is so", false),
            ("log it", false),
            ("raw \"one\"", true)
        ]
    );
}
