//! The body of `POST /predict`: rows, columns or a matrix, read straight into cells.
//!
//! The values are borrowed from the body where JSON allows it, and no tree of JSON values is built:
//! this is the path that has to be fast.

use crate::{
    http::{base64, json::Key},
    model::{Cell, UnknownCategory},
};
use serde::{
    Deserialize,
    de::{self, DeserializeSeed, Deserializer, MapAccess, SeqAccess, Unexpected, Visitor},
};
use std::{borrow::Cow, fmt};

/// The body.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct PredictRequest<'a> {
    /// The model, by identifier.
    pub model_id: Option<String>,
    /// The model, by name, version or alias: `polar`, `polar/3`, `polar@champion`.
    pub model: Option<String>,
    /// What to predict for.
    #[serde(borrow)]
    pub data: Data<'a>,
    /// Confidence of the intervals.
    pub confidence: Option<f64>,
    /// What to do with categories never seen.
    #[serde(default)]
    pub unknown_category: UnknownCategory,
    /// Whether fields that the model does not have are an error.
    #[serde(default)]
    pub strict: bool,
    /// Whether each prediction is to be explained.
    #[serde(default)]
    pub explain: bool,
}

/// The three shapes.
#[derive(Debug)]
pub enum Data<'de> {
    /// `[{"a": 1, "b": 2}, ...]`
    Rows(Vec<Record<'de>>),
    /// `{"a": [1, ...], "b": [2, ...]}`
    Columns(Vec<(Cow<'de, str>, Vec<Cell<'de>>)>),
    /// `[[1, 2], ...]` in the order of the model's inputs.
    Matrix(Vec<Vec<Cell<'de>>>),
}

/// One row as an object.
pub type Record<'de> = Vec<(Cow<'de, str>, Cell<'de>)>;

impl<'de: 'a, 'a> Deserialize<'de> for Data<'a> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        Reader { field: "data", flatten: false }.deserialize(deserializer)
    }
}

/// How data are read from a field of a body.
#[derive(Debug, Clone, Copy)]
pub struct Reader {
    /// The name of the field; for messages.
    pub field: &'static str,
    /// Whether a list of one value counts as that value, and a value in the place of a row as a row of one: what
    /// array libraries write for columns of shape `[n, 1]` and `[n]`; and whether `{"b64": ".."}` is a text.
    pub flatten: bool,
}

impl<'de> DeserializeSeed<'de> for Reader {
    type Value = Data<'de>;

    fn deserialize<D: Deserializer<'de>>(self, deserializer: D) -> Result<Data<'de>, D::Error> {
        deserializer.deserialize_any(self)
    }
}

impl<'de> Visitor<'de> for Reader {
    type Value = Data<'de>;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(
            f,
            "the field `{}` to be rows [{{\"a\": 1}}], columns {{\"a\": [1]}} or a matrix [[1]]",
            self.field
        )
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut items: A) -> Result<Data<'de>, A::Error> {
        let Some(first) = items.next_element_seed(ItemSeed(self))? else { return Ok(Data::Rows(Vec::new())) };
        match first {
            Item::Object(record) => {
                let mut rows = vec![record];
                while let Some(item) = items.next_element_seed(ItemSeed(self))? {
                    let Item::Object(record) = item else { return Err(self.mixed()) };
                    rows.push(record);
                }
                Ok(Data::Rows(rows))
            }
            Item::List(row) => {
                let mut rows = vec![row];
                while let Some(item) = items.next_element_seed(ItemSeed(self))? {
                    let Item::List(row) = item else { return Err(self.mixed()) };
                    rows.push(row);
                }
                Ok(Data::Matrix(rows))
            }
            Item::Value(cell) => {
                let mut rows = vec![vec![cell]];
                while let Some(item) = items.next_element_seed(ItemSeed(self))? {
                    let Item::Value(cell) = item else { return Err(self.mixed()) };
                    rows.push(vec![cell]);
                }
                Ok(Data::Matrix(rows))
            }
        }
    }

    fn visit_map<A: MapAccess<'de>>(self, mut entries: A) -> Result<Data<'de>, A::Error> {
        let mut columns = Vec::new();
        while let Some(Key(name)) = entries.next_key()? {
            match entries.next_value_seed(ItemSeed(self)) {
                Ok(Item::List(values)) => columns.push((name, values)),
                Ok(Item::Object(_) | Item::Value(_)) | Err(_) => {
                    return Err(de::Error::custom(format!(
                        "the field `{}` is an object, so each of its values must be a list, one value per row; \
                         put a single row into a list: [{{...}}]",
                        self.field
                    )));
                }
            }
        }
        Ok(Data::Columns(columns))
    }
}

impl Reader {
    fn mixed<E: de::Error>(self) -> E {
        E::custom(format!(
            "the field `{}` mixes objects and lists; send all rows as objects, or all as lists",
            self.field
        ))
    }
}

/// A row of either kind; a bare value only where the reader flattens.
enum Item<'de> {
    Object(Record<'de>),
    List(Vec<Cell<'de>>),
    Value(Cell<'de>),
}

#[derive(Clone, Copy)]
struct ItemSeed(Reader);

impl<'de> DeserializeSeed<'de> for ItemSeed {
    type Value = Item<'de>;

    fn deserialize<D: Deserializer<'de>>(self, deserializer: D) -> Result<Item<'de>, D::Error> {
        deserializer.deserialize_any(self)
    }
}

impl ItemSeed {
    fn value<'de, E: de::Error>(self, cell: Cell<'de>, unexpected: Unexpected<'_>) -> Result<Item<'de>, E> {
        if self.0.flatten { Ok(Item::Value(cell)) } else { Err(E::invalid_type(unexpected, &self)) }
    }
}

impl<'de> Visitor<'de> for ItemSeed {
    type Value = Item<'de>;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "the field `{}` to hold rows: each an object or a list", self.0.field)
    }

    fn visit_map<A: MapAccess<'de>>(self, mut entries: A) -> Result<Item<'de>, A::Error> {
        let mut record = Vec::with_capacity(16);
        while let Some(Key(name)) = entries.next_key()? {
            record.push((name, entries.next_value_seed(CellSeed(self.0))?));
        }
        Ok(Item::Object(record))
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut items: A) -> Result<Item<'de>, A::Error> {
        let mut row = Vec::with_capacity(16);
        while let Some(cell) = items.next_element_seed(CellSeed(self.0))? {
            row.push(cell);
        }
        Ok(Item::List(row))
    }

    fn visit_unit<E: de::Error>(self) -> Result<Item<'de>, E> {
        self.value(Cell::Missing, Unexpected::Unit)
    }

    fn visit_bool<E: de::Error>(self, value: bool) -> Result<Item<'de>, E> {
        self.value(Cell::Boolean(value), Unexpected::Bool(value))
    }

    fn visit_u64<E: de::Error>(self, value: u64) -> Result<Item<'de>, E> {
        self.value(Cell::Number(value as f64), Unexpected::Unsigned(value))
    }

    fn visit_i64<E: de::Error>(self, value: i64) -> Result<Item<'de>, E> {
        self.value(Cell::Number(value as f64), Unexpected::Signed(value))
    }

    fn visit_f64<E: de::Error>(self, value: f64) -> Result<Item<'de>, E> {
        self.value(Cell::Number(value), Unexpected::Float(value))
    }

    fn visit_borrowed_str<E: de::Error>(self, text: &'de str) -> Result<Item<'de>, E> {
        self.value(Cell::Text(Cow::Borrowed(text)), Unexpected::Str(text))
    }

    fn visit_str<E: de::Error>(self, text: &str) -> Result<Item<'de>, E> {
        self.value(Cell::Text(Cow::Owned(text.to_owned())), Unexpected::Str(text))
    }
}

/// One cell.
#[derive(Debug, Clone, Copy)]
pub struct CellSeed(pub Reader);

impl<'de> DeserializeSeed<'de> for CellSeed {
    type Value = Cell<'de>;

    fn deserialize<D: Deserializer<'de>>(self, deserializer: D) -> Result<Cell<'de>, D::Error> {
        deserializer.deserialize_any(self)
    }
}

impl<'de> Visitor<'de> for CellSeed {
    type Value = Cell<'de>;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a value")
    }

    fn visit_unit<E>(self) -> Result<Cell<'de>, E> {
        Ok(Cell::Missing)
    }

    fn visit_bool<E>(self, value: bool) -> Result<Cell<'de>, E> {
        Ok(Cell::Boolean(value))
    }

    fn visit_u64<E>(self, value: u64) -> Result<Cell<'de>, E> {
        Ok(Cell::Number(value as f64))
    }

    fn visit_i64<E>(self, value: i64) -> Result<Cell<'de>, E> {
        Ok(Cell::Number(value as f64))
    }

    fn visit_f64<E>(self, value: f64) -> Result<Cell<'de>, E> {
        Ok(Cell::Number(value))
    }

    fn visit_borrowed_str<E>(self, text: &'de str) -> Result<Cell<'de>, E> {
        Ok(Cell::Text(Cow::Borrowed(text)))
    }

    fn visit_str<E>(self, text: &str) -> Result<Cell<'de>, E> {
        Ok(Cell::Text(Cow::Owned(text.to_owned())))
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut items: A) -> Result<Cell<'de>, A::Error> {
        let first = if self.0.flatten { items.next_element_seed(self)? } else { None };
        let mut is_one = first.is_some();
        while items.next_element::<de::IgnoredAny>()?.is_some() {
            is_one = false;
        }
        Ok(first.filter(|_| is_one).unwrap_or(Cell::Other("array")))
    }

    fn visit_map<A: MapAccess<'de>>(self, mut entries: A) -> Result<Cell<'de>, A::Error> {
        let mut text = None;
        let mut n = 0;
        while let Some(Key(name)) = entries.next_key()? {
            n += 1;
            if self.0.flatten && name == "b64" {
                text = entries.next_value_seed(self)?.into();
            } else {
                entries.next_value::<de::IgnoredAny>()?;
            }
        }
        // TensorFlow's clients may write a text as {"b64": ".."}.
        let decoded = match text {
            Some(Cell::Text(text)) if n == 1 => {
                base64::decode(&text).and_then(|bytes| String::from_utf8(bytes).ok())
            }
            _ => None,
        };
        Ok(decoded.map_or(Cell::Other("object"), |text| Cell::Text(Cow::Owned(text))))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::http::json;

    fn data(text: &str) -> Result<String, String> {
        let body = format!("{{\"data\": {text}}}");
        json::from_slice::<PredictRequest>(body.as_bytes())
            .map(|request| format!("{:?}", request.data))
            .map_err(|problem| format!("{problem:?}"))
    }

    #[test]
    fn all_three_shapes_are_read() {
        let check = |text: &str, expected: &str| assert_eq!(data(text).unwrap(), expected, "{text}");
        check("[]", "Rows([])");
        check("[{\"a\": 1, \"b\": \"x\"}]", "Rows([[(\"a\", Number(1.0)), (\"b\", Text(\"x\"))]])");
        check("{\"a\": [1, null]}", "Columns([(\"a\", [Number(1.0), Missing])])");
        check("[[true, [1], {}]]", "Matrix([[Boolean(true), Other(\"array\"), Other(\"object\")]])");
    }

    #[test]
    fn lists_of_one_are_flattened_where_the_protocol_has_them() {
        let flat = |text: &str| {
            let reader = Reader { field: "instances", flatten: true };
            let read = reader.deserialize(&mut serde_json::Deserializer::from_str(text));
            read.map(|data| format!("{data:?}")).map_err(|error| error.to_string())
        };
        let check = |text: &str, expected: &str| assert_eq!(flat(text).unwrap(), expected, "{text}");
        check("[1.5, null]", "Matrix([[Number(1.5)], [Missing]])");
        check("[{\"a\": [[1]]}]", "Rows([[(\"a\", Number(1.0))]])");
        check("{\"a\": [[\"x\"], [true]]}", "Columns([(\"a\", [Text(\"x\"), Boolean(true)])])");
        check(
            "[[{\"b64\": \"U8Ojbw==\"}, {\"b64\": 1}, {}]]",
            "Matrix([[Text(\"São\"), Other(\"object\"), Other(\"object\")]])",
        );
        check("[[1, [2, 3], []]]", "Matrix([[Number(1.0), Other(\"array\"), Other(\"array\")]])");
        assert!(flat("[1, [2]]").unwrap_err().contains("`instances` mixes"));
    }

    #[test]
    fn other_shapes_are_refused_with_the_way_out() {
        let check = |text: &str, part: &str| {
            let error = data(text).unwrap_err();
            assert!(error.contains(part), "{text}: {error}");
        };
        check("{\"a\": 1}", "put a single row into a list");
        check("[{\"a\": 1}, [1]]", "mixes objects and lists");
        check("7", "`data`");
        check("[7]", "`data`");
    }
}
