//! One message of the catalogue: what it looks like in English, and how it is written in Portuguese.
//!
//! ```text
//! English      {} of {} rows have no value        holes as in `format!`, in order
//! Portuguese   {0} de {1} linhas não têm valor    which hole goes where
//!              {0}   what stood there, as it is: a number, or a name of the user
//!              {~0}  what stood there, translated: another message or a known word
//!              {,0}  a list with ", " between its items, each translated; {;0} with "; "
//!              {0|linha|linhas}  what fits one, or several, by the number that stood there
//!              {{ }} braces that are meant
//! ```
//!
//! Holes that touch each other count as one. An English text that begins with `…` goes on after
//! another message, which is translated by itself; one that ends with `…` goes before one.

const MORE: char = '…';

/// A piece of a text with holes.
#[derive(Debug, Clone, PartialEq, Eq)]
enum Token {
    Text(String),
    /// What stands between the braces.
    Hole(String),
}

/// A piece of the translation; numbers count the holes of the English text.
#[derive(Debug, Clone, PartialEq, Eq)]
enum Piece {
    Text(String),
    AsIs(usize),
    Translated(usize),
    List(usize, &'static str),
    Count { hole: usize, one: Vec<Piece>, several: Vec<Piece> },
}

/// A template and its translation.
#[derive(Debug)]
pub struct Template {
    /// The text before the first hole, between the holes, and after the last.
    literals: Vec<String>,
    pieces: Vec<Piece>,
    /// Whether it follows another message: it is then found from the end.
    follows: bool,
    /// The holes that hold other messages.
    messages: Vec<usize>,
    /// The holes that hold whole numbers.
    counts: Vec<usize>,
}

impl Template {
    /// Reads a pair of the catalogue.
    ///
    /// # Errors
    /// When the translation names a hole that is not there, leaves one out, or has stray braces.
    pub fn new(english: &str, translation: &str) -> Result<Self, String> {
        let (english, follows, precedes) = cut_marks(english);
        let (translation, follows_too, precedes_too) = cut_marks(translation);
        if (follows, precedes) != (follows_too, precedes_too) {
            return Err(format!("`{MORE}` stands on one side only: {english}"));
        }
        let mut literals = vec![String::new()];
        for token in joined(tokens(english)?) {
            match (token, literals.last_mut()) {
                (Token::Text(text), Some(last)) => last.push_str(&text),
                _ => literals.push(String::new()),
            }
        }
        let shift = usize::from(follows);
        let mut pieces = Vec::new();
        if follows {
            literals.insert(0, String::new());
            pieces.push(Piece::Translated(0));
        }
        pieces.extend(pieces_of(translation, shift)?);
        if precedes {
            pieces.push(Piece::Translated(literals.len() - 1));
            literals.push(String::new());
        }
        let (mut messages, mut counts) = (Vec::new(), Vec::new());
        pieces.iter().for_each(|piece| piece.sort_holes(&mut messages, &mut counts));
        let template = Self { literals, pieces, follows, messages, counts };
        template.check().map_err(|what| format!("{what}: {english}"))?;
        Ok(template)
    }

    fn check(&self) -> Result<(), &'static str> {
        let n_holes = self.literals.len() - 1;
        let mut named = Vec::new();
        self.pieces.iter().for_each(|piece| piece.holes(&mut named));
        if named.iter().any(|i| *i >= n_holes) {
            return Err("the translation names a hole that is not there");
        }
        // Nothing that the reader of English is told may be lost.
        if !(0..n_holes).all(|i| named.contains(&i)) {
            return Err("the translation leaves a hole out");
        }
        if self.n_fixed() == 0 {
            return Err("the template has no text of its own");
        }
        Ok(())
    }

    /// Bytes of text that are always the same.
    pub fn n_fixed(&self) -> usize {
        self.literals.iter().map(String::len).sum()
    }

    /// Whether it may hold other messages.
    pub fn has_messages(&self) -> bool {
        !self.messages.is_empty()
    }

    /// Bytes that are known at most, if the messages in the holes are.
    pub fn most_known(&self, captures: &[&str]) -> usize {
        let of_messages = self.messages.iter().filter_map(|i| captures.get(*i));
        self.n_fixed() + of_messages.map(|text| text.len()).sum::<usize>()
    }

    /// The character that every message of this template begins with, if there is one.
    pub fn first_char(&self) -> Option<char> {
        self.literals[0].chars().next()
    }

    /// What stands in the holes, if `message` was made from this template.
    pub fn captures<'m>(&self, message: &'m str) -> Option<Vec<&'m str>> {
        let (first, rest) = self.literals.split_first()?;
        let mut open = message.strip_prefix(first.as_str())?;
        let Some((last, middle)) = rest.split_last() else { return open.is_empty().then(Vec::new) };
        open = open.strip_suffix(last.as_str())?;
        let mut found = Vec::with_capacity(rest.len());
        if self.follows {
            for literal in middle.iter().rev() {
                let (before, after) = open.rsplit_once(literal.as_str())?;
                found.push(after);
                open = before;
            }
            found.push(open);
            found.reverse();
        } else {
            for literal in middle {
                let (before, after) = open.split_once(literal.as_str())?;
                found.push(before);
                open = after;
            }
            found.push(open);
        }
        let is_number =
            |i: &usize| found.get(*i).is_some_and(|text| text.bytes().all(|b| b.is_ascii_digit()));
        self.counts.iter().all(is_number).then_some(found)
    }

    /// The translation with `captures` in its holes; `translate` is used where they are messages.
    pub fn fill(&self, captures: &[&str], mut translate: impl FnMut(&str) -> Option<String>) -> String {
        let mut text = String::new();
        write_pieces(&self.pieces, captures, &mut translate, &mut text);
        text
    }
}

fn translated(text: &str, translate: &mut dyn FnMut(&str) -> Option<String>) -> String {
    translate(text).unwrap_or_else(|| text.to_owned())
}

fn write_pieces(
    pieces: &[Piece],
    captures: &[&str],
    translate: &mut dyn FnMut(&str) -> Option<String>,
    text: &mut String,
) {
    let at = |i: usize| captures.get(i).copied().unwrap_or_default();
    for piece in pieces {
        match piece {
            Piece::Text(own) => text.push_str(own),
            Piece::AsIs(i) => text.push_str(at(*i)),
            Piece::Translated(i) => text.push_str(&translated(at(*i), translate)),
            Piece::List(i, between) => {
                let items: Vec<String> =
                    at(*i).split(between).map(|item| translated(item, translate)).collect();
                text.push_str(&items.join(between));
            }
            Piece::Count { hole, one, several } => {
                let fitting = if at(*hole) == "1" { one } else { several };
                write_pieces(fitting, captures, translate, text);
            }
        }
    }
}

impl Piece {
    /// Adds the holes of other messages to `messages`, those of numbers to `counts`.
    fn sort_holes(&self, messages: &mut Vec<usize>, counts: &mut Vec<usize>) {
        match self {
            Self::Text(_) | Self::AsIs(_) => {}
            Self::Translated(i) | Self::List(i, _) => messages.push(*i),
            Self::Count { hole, one, several } => {
                counts.push(*hole);
                one.iter().chain(several).for_each(|piece| piece.sort_holes(messages, counts));
            }
        }
    }

    /// Adds the holes that are sure to be written out.
    fn holes(&self, named: &mut Vec<usize>) {
        match self {
            Self::Text(_) => {}
            Self::AsIs(i) | Self::Translated(i) | Self::List(i, _) => named.push(*i),
            Self::Count { hole, several, .. } => {
                named.push(*hole);
                several.iter().for_each(|piece| piece.holes(named));
            }
        }
    }
}

/// A text of the sources or the catalogue in one form: holes are `{}`, those that touch are one,
/// braces that are meant are doubled. `None` for a text that is no format string.
pub fn skeleton(text: &str) -> Option<String> {
    let tokens = joined(tokens(text).ok()?);
    Some(tokens.iter().fold(String::new(), |mut skeleton, token| {
        match token {
            Token::Text(text) => skeleton.push_str(&doubled(text)),
            Token::Hole(_) => skeleton.push_str("{}"),
        }
        skeleton
    }))
}

/// A text without holes in the same form.
pub fn doubled(text: &str) -> String {
    text.replace('{', "{{").replace('}', "}}")
}

/// The text without the marks, and whether they stood before and after it.
pub fn cut_marks(text: &str) -> (&str, bool, bool) {
    let (text, follows) = text.strip_prefix(MORE).map_or((text, false), |rest| (rest, true));
    let (text, precedes) = text.strip_suffix(MORE).map_or((text, false), |rest| (rest, true));
    (text, follows, precedes)
}

fn tokens(text: &str) -> Result<Vec<Token>, String> {
    let mut tokens = Vec::new();
    let mut own = String::new();
    let mut rest = text.chars().peekable();
    while let Some(character) = rest.next() {
        match character {
            '{' | '}' if rest.next_if_eq(&character).is_some() => own.push(character),
            '{' => {
                let mut depth = 1;
                let in_hole = |character: &char| {
                    depth += i32::from(*character == '{') - i32::from(*character == '}');
                    depth > 0
                };
                let hole: String = rest.by_ref().take_while(in_hole).collect();
                if !own.is_empty() {
                    tokens.push(Token::Text(std::mem::take(&mut own)));
                }
                tokens.push(Token::Hole(hole));
            }
            '}' => return Err(format!("a brace is not doubled: {text}")),
            _ => own.push(character),
        }
    }
    if !own.is_empty() {
        tokens.push(Token::Text(own));
    }
    Ok(tokens)
}

fn joined(tokens: Vec<Token>) -> Vec<Token> {
    let mut joined: Vec<Token> = Vec::new();
    for token in tokens {
        let touches = matches!((joined.last(), &token), (Some(Token::Hole(_)), Token::Hole(_)));
        if !touches {
            joined.push(token);
        }
    }
    joined
}

fn pieces_of(translation: &str, shift: usize) -> Result<Vec<Piece>, String> {
    tokens(translation)?.into_iter().map(|token| piece(token, shift)).collect()
}

fn piece(token: Token, shift: usize) -> Result<Piece, String> {
    let hole = match token {
        Token::Text(text) => return Ok(Piece::Text(text)),
        Token::Hole(hole) => hole,
    };
    let number = |text: &str| -> Result<usize, String> {
        let number: usize = text.parse().map_err(|_| format!("{{{hole}}} is no hole of a translation"))?;
        Ok(number + shift)
    };
    if let [count, one, several] = hole.split('|').collect::<Vec<_>>().as_slice() {
        let (one, several) = (pieces_of(one, shift)?, pieces_of(several, shift)?);
        return Ok(Piece::Count { hole: number(count)?, one, several });
    }
    if let Some(rest) = hole.strip_prefix('~') {
        return number(rest).map(Piece::Translated);
    }
    for (mark, between) in [(',', ", "), (';', "; ")] {
        if let Some(rest) = hole.strip_prefix(mark) {
            return Ok(Piece::List(number(rest)?, between));
        }
    }
    number(&hole).map(Piece::AsIs)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn filled(english: &str, translation: &str, message: &str) -> Option<String> {
        let template = Template::new(english, translation).unwrap();
        let captures = template.captures(message)?;
        Some(template.fill(&captures, |text| (text == "yes").then(|| "sim".to_owned())))
    }

    #[test]
    fn holes_are_filled_as_the_translation_says() {
        let check = |english: &str, translation: &str, message: &str, expected: Option<&str>| {
            assert_eq!(filled(english, translation, message).as_deref(), expected, "{message}");
        };
        check("{} of {} rows", "das {1} linhas, {0}", "3 of 40 rows", Some("das 40 linhas, 3"));
        check("{} of {} rows", "das {1} linhas, {0}", "3 of 40 rows and more", None);
        check("no {}", "não {0}", "no yes", Some("não yes"));
        check("no {}", "não {~0}", "no yes", Some("não sim"));
        check("all: {}", "tudo: {,0}", "all: a, yes", Some("tudo: a, sim"));
        check("types={{\"{}\"}}", "tipos={{\"{0}\"}}", "types={\"Re\"}", Some("tipos={\"Re\"}"));
        check("a {}{} b", "b {0} a", "a 5 m b", Some("b 5 m a"));
        let rows = "{0|a única linha|as {0} linhas}";
        check("{} row(s)", rows, "1 row(s)", Some("a única linha"));
        check("{} row(s)", rows, "12 row(s)", Some("as 12 linhas"));
    }

    #[test]
    fn a_text_that_goes_on_is_found_from_the_end() {
        let check = |message: &str, expected: &str| {
            assert_eq!(filled("…; {} lines", "…; {0} linhas", message).unwrap(), expected);
        };
        check("yes; 3 lines", "sim; 3 linhas");
        check("no; 2 lines; 3 lines", "no; 2 lines; 3 linhas");
        assert_eq!(filled("{} done, …", "{0} prontas, …", "3 done, yes").unwrap(), "3 prontas, sim");
    }

    #[test]
    fn pairs_that_lose_something_are_refused() {
        for (english, translation) in [
            ("{} of {}", "{0}"),
            ("{} rows", "{1} linhas"),
            ("{}", "{0}"),
            ("a}", "b"),
            ("…a", "b"),
            ("a {}", "{x}"),
        ] {
            assert!(Template::new(english, translation).is_err(), "{english}");
        }
    }

    #[test]
    fn source_and_catalogue_have_one_form() {
        assert_eq!(skeleton("{n_rows:.1} of {}{unit}").as_deref(), Some("{} of {}"));
        assert_eq!(skeleton("types={{\"{name}\"}}").as_deref(), Some("types={{\"{}\"}}"));
        assert_eq!(skeleton("a } b"), None);
        assert_eq!(doubled("a {} b"), "a {{}} b");
    }
}
