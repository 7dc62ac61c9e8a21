//! The body of `POST /predict`: rows, columns or a matrix, read straight into cells.
//!
//! The values are borrowed from the body where JSON allows it, and no tree of JSON values is built:
//! this is the path that has to be fast.

use crate::{
    http::json::Key,
    model::{Cell, UnknownCategory},
};
use serde::{
    Deserialize,
    de::{self, Deserializer, MapAccess, SeqAccess, Visitor},
};
use std::{borrow::Cow, fmt};

/// The body.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct PredictRequest<'a> {
    /// The model, by identifier.
    pub model_id: Option<String>,
    /// The model, by name or by name and version: `polar`, `polar/3`.
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
        deserializer.deserialize_any(DataVisitor)
    }
}

struct DataVisitor;

impl<'de> Visitor<'de> for DataVisitor {
    type Value = Data<'de>;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("the field `data` to be rows [{\"a\": 1}], columns {\"a\": [1]} or a matrix [[1]]")
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut items: A) -> Result<Data<'de>, A::Error> {
        let Some(first) = items.next_element::<Item>()? else { return Ok(Data::Rows(Vec::new())) };
        match first {
            Item::Object(record) => {
                let mut rows = vec![record];
                while let Some(item) = items.next_element::<Item>()? {
                    let Item::Object(record) = item else { return Err(mixed()) };
                    rows.push(record);
                }
                Ok(Data::Rows(rows))
            }
            Item::List(row) => {
                let mut rows = vec![row];
                while let Some(item) = items.next_element::<Item>()? {
                    let Item::List(row) = item else { return Err(mixed()) };
                    rows.push(row);
                }
                Ok(Data::Matrix(rows))
            }
        }
    }

    fn visit_map<A: MapAccess<'de>>(self, mut entries: A) -> Result<Data<'de>, A::Error> {
        let mut columns = Vec::new();
        while let Some(Key(name)) = entries.next_key()? {
            match entries.next_value::<Item>() {
                Ok(Item::List(values)) => columns.push((name, values)),
                Ok(Item::Object(_)) | Err(_) => {
                    return Err(de::Error::custom(
                        "the field `data` is an object, so each of its values must be a list, one value per row; \
                         put a single row into a list: [{...}]",
                    ));
                }
            }
        }
        Ok(Data::Columns(columns))
    }
}

fn mixed<E: de::Error>() -> E {
    E::custom("the field `data` mixes objects and lists; send all rows as objects, or all as lists")
}

/// A row of either kind.
enum Item<'de> {
    Object(Record<'de>),
    List(Vec<Cell<'de>>),
}

impl<'de> Deserialize<'de> for Item<'de> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct ItemVisitor;
        impl<'de> Visitor<'de> for ItemVisitor {
            type Value = Item<'de>;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("the field `data` to hold rows: each an object or a list")
            }

            fn visit_map<A: MapAccess<'de>>(self, mut entries: A) -> Result<Item<'de>, A::Error> {
                let mut record = Vec::with_capacity(16);
                while let Some(Key(name)) = entries.next_key()? {
                    record.push((name, entries.next_value::<JsonCell>()?.0));
                }
                Ok(Item::Object(record))
            }

            fn visit_seq<A: SeqAccess<'de>>(self, mut items: A) -> Result<Item<'de>, A::Error> {
                let mut row = Vec::with_capacity(16);
                while let Some(JsonCell(cell)) = items.next_element()? {
                    row.push(cell);
                }
                Ok(Item::List(row))
            }
        }
        deserializer.deserialize_any(ItemVisitor)
    }
}

struct JsonCell<'de>(Cell<'de>);

impl<'de> Deserialize<'de> for JsonCell<'de> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct CellVisitor;
        impl<'de> Visitor<'de> for CellVisitor {
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
                while items.next_element::<de::IgnoredAny>()?.is_some() {}
                Ok(Cell::Other("array"))
            }

            fn visit_map<A: MapAccess<'de>>(self, mut entries: A) -> Result<Cell<'de>, A::Error> {
                while entries.next_entry::<de::IgnoredAny, de::IgnoredAny>()?.is_some() {}
                Ok(Cell::Other("object"))
            }
        }
        deserializer.deserialize_any(CellVisitor).map(JsonCell)
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
