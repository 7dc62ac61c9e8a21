//! Which fields of an answer hold messages, and translating those within the text of the answer.
//!
//! Answers can be large (a prediction of 100,000 rows) and most of them are numbers, which must stay
//! as they are, digit by digit. So no tree of JSON values is built: the text is walked over once,
//! and copied, but for the messages.

use crate::language::Language;
use std::borrow::Cow;

/// Whether the text in field `name` is a message. `parent` is the field whose object, or list of
/// objects, it stands in; empty at the top.
///
/// Both names are asked for, because users name things too: a column, a target or a tag may be
/// called `message`. Their names stand in objects of their own, such as `predictions` or `tags`.
fn is_message(parent: &[u8], name: &[u8]) -> bool {
    match (parent, name) {
        (b"", b"title" | b"detail" | b"message" | b"error")
        | (b"problem", b"title" | b"detail")
        | (b"errors" | b"issues" | b"warnings" | b"logs" | b"trainings", b"message")
        | (b"" | b"columns", b"reason")
        | (b"error", b"detail" | b"message")
        | (b"grouped", b"error")
        | (b"routes", b"summary") => true,
        (parent, _) => parent == b"reasons",
    }
}

/// An open object or list.
struct Open<'a> {
    /// The field it is the value of; that of the list around it, for an object of a list.
    name: &'a [u8],
    is_object: bool,
}

/// `json` with its messages in `language`; borrowed if nothing has changed. What is not whole JSON
/// comes back as far as it was understood, with the rest as it was.
pub fn translated(json: &[u8], language: Language) -> Cow<'_, [u8]> {
    if language == Language::English {
        return Cow::Borrowed(json);
    }
    let mut written = Vec::new();
    let mut copied = 0;
    let mut open: Vec<Open> = Vec::new();
    let mut name: &[u8] = b"";
    let mut at = 0;
    // Everything else, such as the digits of numbers, is passed over.
    while let Some(step) = json[at..].iter().position(|byte| b"{}[]\"".contains(byte)) {
        let start = at + step;
        at = start + 1;
        match json[start] {
            byte @ (b'{' | b'[') => {
                let name =
                    open.last().map_or(&b""[..], |around| if around.is_object { name } else { around.name });
                open.push(Open { name, is_object: byte == b'{' });
            }
            b'"' => {
                let Some(end) = string_end(json, at) else { break };
                at = end;
                let text = &json[start..end];
                if is_name(json, end) {
                    name = &text[1..text.len() - 1];
                } else if open.last().is_some_and(|around| around.is_object && is_message(around.name, name))
                {
                    if let Some(message) = message(text, language) {
                        written.extend_from_slice(&json[copied..start]);
                        written.extend_from_slice(&message);
                        copied = end;
                    }
                }
            }
            _ => {
                open.pop();
            }
        }
    }
    if copied == 0 {
        return Cow::Borrowed(json);
    }
    written.extend_from_slice(&json[copied..]);
    Cow::Owned(written)
}

/// Behind the closing quote of the string whose text begins at `at`.
fn string_end(json: &[u8], mut at: usize) -> Option<usize> {
    loop {
        at += memchr::memchr2(b'"', b'\\', json.get(at..)?)?;
        if json[at] == b'"' {
            return Some(at + 1);
        }
        at += 2;
    }
}

/// Whether the string that ends at `end` names a field.
fn is_name(json: &[u8], end: usize) -> bool {
    json[end..].iter().find(|byte| !byte.is_ascii_whitespace()) == Some(&b':')
}

/// The translation of a JSON string as a JSON string, where there is one.
fn message(text: &[u8], language: Language) -> Option<Vec<u8>> {
    let english: String = serde_json::from_slice(text).ok()?;
    match language.translate(&english) {
        Cow::Borrowed(_) => None,
        Cow::Owned(translation) => serde_json::to_vec(&translation).ok(),
    }
}

/// A piece of an event stream with the messages of its events in `language`. Each piece holds whole
/// lines, as events are written one by one.
pub fn translated_events(piece: &[u8], language: Language) -> Vec<u8> {
    const DATA: &[u8] = b"data: ";
    piece.split_inclusive(|byte| *byte == b'\n').fold(Vec::with_capacity(piece.len()), |mut written, line| {
        match line.strip_prefix(DATA) {
            Some(json) => {
                written.extend_from_slice(DATA);
                written.extend_from_slice(&translated(json, language));
            }
            None => written.extend_from_slice(line),
        }
        written
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn in_portuguese(json: &str) -> String {
        String::from_utf8(translated(json.as_bytes(), Language::Portuguese).into_owned()).unwrap()
    }

    #[test]
    fn messages_are_translated_and_all_else_is_as_it_was() {
        let json = r#"{"rows": 3, "mean": 1.50e-3,"read":{"reasons":{"sheet":"the only sheet"},"missing":["NA"]},
            "columns":[{"name":"two readings","kind":"number","reason":"no row has a value"}],
            "warnings":[{"code":"x","column":"all values are the same","message":"all values are the same; the column is not used"}]}"#;
        let expected = r#"{"rows": 3, "mean": 1.50e-3,"read":{"reasons":{"sheet":"a única aba"},"missing":["NA"]},
            "columns":[{"name":"two readings","kind":"number","reason":"nenhuma linha tem valor"}],
            "warnings":[{"code":"x","column":"all values are the same","message":"todos os valores são iguais; a coluna não é usada"}]}"#;
        assert_eq!(in_portuguese(json), expected);
        assert_eq!(translated(json.as_bytes(), Language::English), json.as_bytes());
    }

    #[test]
    fn what_users_call_message_is_no_message() {
        for json in [
            r#"{"predictions":[{"message":"two readings","reasons":"two readings"}]}"#,
            r#"{"preview":[{"title":"two readings","detail":"two readings"}],"tags":{"message":"two readings"}}"#,
            r#"{"prediction_sets":[{"reasons":["two readings"]}],"rows":[{"error":"two readings"}]}"#,
            r#"{"errors":[{"value":"two readings","pointer":"/message"}]}"#,
        ] {
            assert_eq!(in_portuguese(json), json);
        }
    }

    #[test]
    fn quotes_escapes_and_broken_ends_are_survived() {
        let json = r#"{"detail":"there is no column \"A\\\"; the nearest names are \"á{\"","x":"}\""}"#;
        let expected =
            r#"{"detail":"não existe a coluna \"A\\\"; os nomes mais parecidos são \"á{\"","x":"}\""}"#;
        assert_eq!(in_portuguese(json), expected);
        for end in 0..json.len() {
            if let Some(cut) = json.get(..end) {
                assert!(!in_portuguese(cut).is_empty() || end == 0);
            }
        }
        assert_eq!(in_portuguese("]}\"a\":{"), "]}\"a\":{");
    }

    #[test]
    fn events_are_translated_line_by_line() {
        let piece = b"event: progress\ndata: {\"status\":\"running\",\"message\":\"epoch 3 of 9\"}\n\n: two readings\n";
        let expected = "event: progress\ndata: {\"status\":\"running\",\"message\":\"época 3 de 9\"}\n\n: two readings\n";
        assert_eq!(translated_events(piece, Language::Portuguese), expected.as_bytes());
    }
}
