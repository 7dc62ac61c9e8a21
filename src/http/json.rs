//! Reading JSON more strictly than serde does: no key twice, no deep nesting.
//!
//! With a key given twice, parsers disagree about which value counts, so one that checks and one
//! that acts can see different requests. Deep nesting is only ever an attack on the stack.

use super::error::{Problem, Slug};
use serde::de::{self, Deserialize, DeserializeSeed, MapAccess, SeqAccess, Visitor};
use serde_path_to_error::Segment;
use std::{borrow::Cow, collections::HashSet, fmt};

/// Most levels of lists and objects within each other.
pub const MAX_DEPTH: usize = 32;

/// Reads `bytes` into a `T`, or says what is wrong and where.
pub fn from_slice<'de, T: Deserialize<'de>>(bytes: &'de [u8]) -> Result<T, Problem> {
    if bytes.iter().all(u8::is_ascii_whitespace) {
        return Err(Problem::new(Slug::MissingBody, "the body is empty; send a JSON document"));
    }
    check(bytes).map_err(|error| {
        Problem::new(Slug::MalformedJson, format!("the body is not valid JSON: {}", explain(bytes, &error)))
    })?;
    serde_json::from_slice(bytes).map_err(|error| {
        // The syntax is right, so what is left is a field of the wrong type, out of range, or unknown.
        let mut text = error.to_string();
        if let Some(end) = text.find(" at line ") {
            text.truncate(end);
        }
        let pointer = field_named_in(&text).map(|field| format!("/{field}")).or_else(|| place::<T>(bytes));
        let Some(pointer) = pointer else {
            let detail = format!("line {}, column {}: {text}", error.line(), error.column());
            return Problem::new(Slug::InvalidParameter, detail);
        };
        Problem::invalid(&pointer, text)
    })
}

/// A JSON pointer to the field that is no part of a `T`. Looked for only after a refusal, since it costs more than
/// reading.
fn place<'de, T: Deserialize<'de>>(bytes: &'de [u8]) -> Option<String> {
    let mut deserializer = serde_json::Deserializer::from_slice(bytes);
    let error = serde_path_to_error::deserialize::<_, T>(&mut deserializer).err()?;
    let steps = error.path().iter().map(|step| match step {
        Segment::Seq { index } => Some(format!("/{index}")),
        Segment::Map { key } => Some(format!("/{}", key.replace('~', "~0").replace('/', "~1"))),
        Segment::Enum { .. } | Segment::Unknown => None,
    });
    let pointer: String = steps.map_while(|step| step).collect();
    (!pointer.is_empty()).then_some(pointer)
}

/// The first name that serde quotes, where it speaks of a field.
fn field_named_in(text: &str) -> Option<&str> {
    text.contains("field").then(|| text.split('`').nth(1)).flatten()
}

/// Walks through the document without keeping anything but the keys of the open objects.
pub fn check(bytes: &[u8]) -> serde_json::Result<()> {
    let mut deserializer = serde_json::Deserializer::from_slice(bytes);
    Walk { depth: 0 }.deserialize(&mut deserializer)?;
    deserializer.end()
}

fn explain(bytes: &[u8], error: &serde_json::Error) -> String {
    let text = error.to_string();
    let rest = bytes.get(offset(bytes, error.line(), error.column().saturating_sub(1))..).unwrap_or_default();
    let not_a_number =
        ["NaN", "Inf", "-Inf", "nan", "inf"].iter().any(|token| rest.starts_with(token.as_bytes()));
    if not_a_number {
        format!("{text}; JSON has no NaN or Infinity, write null for a missing value")
    } else {
        text
    }
}

/// Where 1-based `line` and 0-based `column` lie.
fn offset(bytes: &[u8], line: usize, column: usize) -> usize {
    let line_start = bytes
        .iter()
        .enumerate()
        .filter(|(_, byte)| **byte == b'\n')
        .map(|(i, _)| i + 1)
        .nth(line.wrapping_sub(2))
        .unwrap_or(0);
    line_start + column
}

#[derive(Clone, Copy)]
struct Walk {
    depth: usize,
}

impl Walk {
    fn deeper<E: de::Error>(self) -> Result<Self, E> {
        if self.depth == MAX_DEPTH {
            return Err(E::custom(format!("more than {MAX_DEPTH} levels of lists and objects")));
        }
        Ok(Self { depth: self.depth + 1 })
    }
}

impl<'de> DeserializeSeed<'de> for Walk {
    type Value = ();

    fn deserialize<D: de::Deserializer<'de>>(self, deserializer: D) -> Result<(), D::Error> {
        deserializer.deserialize_any(self)
    }
}

impl<'de> Visitor<'de> for Walk {
    type Value = ();

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a JSON value")
    }

    fn visit_bool<E>(self, _: bool) -> Result<(), E> {
        Ok(())
    }

    fn visit_i64<E>(self, _: i64) -> Result<(), E> {
        Ok(())
    }

    fn visit_u64<E>(self, _: u64) -> Result<(), E> {
        Ok(())
    }

    fn visit_f64<E>(self, _: f64) -> Result<(), E> {
        Ok(())
    }

    fn visit_str<E>(self, _: &str) -> Result<(), E> {
        Ok(())
    }

    fn visit_unit<E>(self) -> Result<(), E> {
        Ok(())
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut items: A) -> Result<(), A::Error> {
        let inner = self.deeper()?;
        while items.next_element_seed(inner)?.is_some() {}
        Ok(())
    }

    fn visit_map<A: MapAccess<'de>>(self, mut entries: A) -> Result<(), A::Error> {
        let inner = self.deeper()?;
        let mut keys = Keys::default();
        while let Some(Key(key)) = entries.next_key()? {
            if let Some(key) = keys.insert(key) {
                return Err(de::Error::custom(format!("the key `{key}` is there twice")));
            }
            entries.next_value_seed(inner)?;
        }
        Ok(())
    }
}

/// A key, borrowed from the document where it holds no escapes.
#[derive(Debug)]
pub struct Key<'de>(pub Cow<'de, str>);

impl<'de> Deserialize<'de> for Key<'de> {
    fn deserialize<D: de::Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Text;
        impl<'de> Visitor<'de> for Text {
            type Value = Key<'de>;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("a key")
            }

            fn visit_borrowed_str<E>(self, text: &'de str) -> Result<Key<'de>, E> {
                Ok(Key(Cow::Borrowed(text)))
            }

            fn visit_str<E>(self, text: &str) -> Result<Key<'de>, E> {
                Ok(Key(Cow::Owned(text.to_owned())))
            }
        }
        deserializer.deserialize_str(Text)
    }
}

/// The keys of one object: a list while they are few, which is nearly always, then a set.
#[derive(Default)]
struct Keys<'de> {
    few: Vec<Cow<'de, str>>,
    many: HashSet<Cow<'de, str>>,
}

impl<'de> Keys<'de> {
    /// Gives the key back if it is there already.
    fn insert(&mut self, key: Cow<'de, str>) -> Option<Cow<'de, str>> {
        if self.few.contains(&key) || self.many.contains(&key) {
            return Some(key);
        }
        if self.few.len() < 24 {
            self.few.push(key);
        } else {
            self.many.insert(key);
        }
        None
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::Value;

    fn refused(text: &str) -> (Slug, String) {
        let problem = from_slice::<Value>(text.as_bytes()).unwrap_err();
        (problem.slug(), format!("{problem:?}"))
    }

    #[test]
    fn keys_given_twice_are_refused_wherever_they_are() {
        let check = |text: &str| {
            let (slug, shown) = refused(text);
            assert_eq!(slug, Slug::MalformedJson);
            assert!(shown.contains("there twice"), "{shown}");
        };
        check(r#"{"a": 1, "a": 2}"#);
        check(r#"{"data": [{"x": 1, "\u0078": 2}]}"#);
        let many: Vec<String> = (0..100).map(|i| format!("\"k{i}\": 0")).collect();
        check(&format!("{{{}, \"k77\": 1}}", many.join(",")));
        assert!(from_slice::<Value>(format!("{{{}}}", many.join(",")).as_bytes()).is_ok());
    }

    #[test]
    fn depth_is_limited() {
        let nested = |n: usize| format!("{}{}", "[".repeat(n), "]".repeat(n));
        assert!(from_slice::<Value>(nested(MAX_DEPTH).as_bytes()).is_ok());
        assert_eq!(refused(&nested(MAX_DEPTH + 1)).0, Slug::MalformedJson);
        assert_eq!(refused(&"[".repeat(1_000_000)).0, Slug::MalformedJson);
    }

    #[test]
    fn tokens_that_json_does_not_have_are_explained() {
        for text in ["{\"a\": NaN}", "[Infinity]", "{\n\"a\": -Infinity}"] {
            assert_eq!(refused(text).0, Slug::MalformedJson, "{text}");
        }
        assert!(refused("{\"a\": NaN}").1.contains("write null"));
        assert_eq!(refused("[1e999]").0, Slug::MalformedJson);
        assert_eq!(refused("[1] x").0, Slug::MalformedJson);
        assert_eq!(refused(" \n").0, Slug::MissingBody);
    }

    #[test]
    fn wrong_fields_are_pointed_at() {
        #[derive(Debug, serde::Deserialize)]
        #[serde(deny_unknown_fields)]
        struct Body {
            #[expect(dead_code, reason = "only its name matters")]
            epochs: Option<u32>,
        }
        let shown = format!("{:?}", from_slice::<Body>(br#"{"epochs": "3"}"#).unwrap_err());
        assert!(shown.contains("/epochs"), "{shown}");
        let problem = from_slice::<Body>(br#"{"epoch": 3}"#).unwrap_err();
        assert_eq!(problem.slug(), Slug::InvalidParameter);
        assert!(format!("{problem:?}").contains("/epoch"));
    }
}
