//! The tensors of a request: typed, shaped, flat or nested, as JSON or as bytes; and how they become data.

use crate::{
    http::{
        error::{Problem, Slug},
        predict::request::Data,
        printable,
    },
    model::{Cell, Input},
};
use serde::{
    Deserialize, Deserializer,
    de::{self, DeserializeSeed, SeqAccess, Visitor},
};
use serde_json::{Map, Value};
use std::{borrow::Cow, collections::HashSet, fmt};

/// The element types of the protocol.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Datatype {
    Bool,
    /// Unsigned, of so many bytes.
    Uint(usize),
    /// Signed, of so many bytes.
    Int(usize),
    /// Floating point, of so many bytes.
    Float(usize),
    Bytes,
}

impl Datatype {
    fn parse(text: &str) -> Option<Self> {
        Some(match text {
            "BOOL" => Self::Bool,
            "UINT8" => Self::Uint(1),
            "UINT16" => Self::Uint(2),
            "UINT32" => Self::Uint(4),
            "UINT64" => Self::Uint(8),
            "INT8" => Self::Int(1),
            "INT16" => Self::Int(2),
            "INT32" => Self::Int(4),
            "INT64" => Self::Int(8),
            "FP16" => Self::Float(2),
            "FP32" => Self::Float(4),
            "FP64" => Self::Float(8),
            "BYTES" => Self::Bytes,
            _ => return None,
        })
    }

    /// Whether a JSON value may stand in a tensor of this type. Null may in all: it is a missing value.
    fn takes(self, cell: &Cell) -> bool {
        let whole =
            |number: f64, low: f64, high: f64| number.fract() == 0.0 && number >= low && number < high;
        match (self, cell) {
            (_, Cell::Missing) => true,
            (Self::Bool, Cell::Boolean(_))
            | (Self::Float(_), Cell::Number(_))
            | (Self::Bytes, Cell::Text(_)) => true,
            (Self::Bool, Cell::Number(number)) => *number == 0.0 || *number == 1.0,
            (Self::Uint(n), Cell::Number(number)) => whole(*number, 0.0, 2_f64.powi(8 * n as i32)),
            (Self::Int(n), Cell::Number(number)) => {
                let half = 2_f64.powi(8 * n as i32 - 1);
                whole(*number, -half, half)
            }
            _ => false,
        }
    }
}

/// A tensor as it stands in the JSON of a request.
#[derive(Debug, Deserialize)]
pub(super) struct RawTensor<'a> {
    #[serde(borrow, default)]
    name: Cow<'a, str>,
    shape: Vec<u64>,
    #[serde(borrow)]
    datatype: Cow<'a, str>,
    #[serde(default)]
    parameters: Option<Map<String, Value>>,
    #[serde(borrow, default)]
    data: Option<Elements<'a>>,
}

/// The elements in row-major order, and the lengths of the lists they stood in.
#[derive(Debug, PartialEq)]
struct Elements<'a> {
    cells: Vec<Cell<'a>>,
    lengths: Vec<usize>,
}

impl<'de: 'a, 'a> Deserialize<'de> for Elements<'a> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let mut cells = Vec::new();
        let lengths = Level(&mut cells).deserialize(deserializer)?;
        if lengths.is_empty() {
            return Err(de::Error::custom("the field `data` must be a list"));
        }
        Ok(Self { cells, lengths })
    }
}

/// One level of nesting: collects its elements, and returns the lengths of the lists from here on inwards; none for a
/// single element.
struct Level<'c, 'a>(&'c mut Vec<Cell<'a>>);

impl<'de: 'a, 'a> DeserializeSeed<'de> for Level<'_, 'a> {
    type Value = Vec<usize>;

    fn deserialize<D: Deserializer<'de>>(self, deserializer: D) -> Result<Vec<usize>, D::Error> {
        deserializer.deserialize_any(self)
    }
}

impl<'a> Level<'_, 'a> {
    fn push<E>(self, cell: Cell<'a>) -> Result<Vec<usize>, E> {
        self.0.push(cell);
        Ok(Vec::new())
    }
}

impl<'de: 'a, 'a> Visitor<'de> for Level<'_, 'a> {
    type Value = Vec<usize>;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("the field `data` to hold numbers, texts, booleans and null, in lists")
    }

    fn visit_unit<E>(self) -> Result<Vec<usize>, E> {
        self.push(Cell::Missing)
    }

    fn visit_bool<E>(self, value: bool) -> Result<Vec<usize>, E> {
        self.push(Cell::Boolean(value))
    }

    fn visit_u64<E>(self, value: u64) -> Result<Vec<usize>, E> {
        self.push(Cell::Number(value as f64))
    }

    fn visit_i64<E>(self, value: i64) -> Result<Vec<usize>, E> {
        self.push(Cell::Number(value as f64))
    }

    fn visit_f64<E>(self, value: f64) -> Result<Vec<usize>, E> {
        self.push(Cell::Number(value))
    }

    fn visit_borrowed_str<E>(self, text: &'de str) -> Result<Vec<usize>, E> {
        self.push(Cell::Text(Cow::Borrowed(text)))
    }

    fn visit_str<E>(self, text: &str) -> Result<Vec<usize>, E> {
        self.push(Cell::Text(Cow::Owned(text.to_owned())))
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut items: A) -> Result<Vec<usize>, A::Error> {
        let (mut n, mut inner) = (0, Vec::new());
        while let Some(lengths) = items.next_element_seed(Level(self.0))? {
            if n > 0 && lengths != inner {
                return Err(de::Error::custom("the lists in the field `data` have different lengths"));
            }
            inner = lengths;
            n += 1;
        }
        inner.insert(0, n);
        Ok(inner)
    }
}

/// A tensor that was checked: as many elements as its shape says, each of its type.
#[derive(Debug, PartialEq)]
pub(super) struct Tensor<'a> {
    name: Cow<'a, str>,
    shape: Vec<usize>,
    cells: Vec<Cell<'a>>,
}

/// Checks the tensors of a request. Those that say so take their elements from `tail`, the bytes behind the JSON.
pub(super) fn check<'a>(raw: Vec<RawTensor<'a>>, tail: &'a [u8]) -> Result<Vec<Tensor<'a>>, Problem> {
    let mut rest = tail;
    let mut tensors = Vec::with_capacity(raw.len());
    for (i, tensor) in raw.into_iter().enumerate() {
        tensors.push(check_one(tensor, &mut rest).map_err(|(name, message)| {
            Problem::invalid(&format!("/inputs/{i}"), format!("\"{}\" {message}", printable(&name)))
        })?);
    }
    if !rest.is_empty() {
        let detail = format!("{} bytes behind the JSON belong to no tensor", rest.len());
        return Err(Problem::new(Slug::InvalidParameter, detail));
    }
    Ok(tensors)
}

fn check_one<'a>(raw: RawTensor<'a>, tail: &mut &'a [u8]) -> Result<Tensor<'a>, (Cow<'a, str>, String)> {
    let RawTensor { name, shape, datatype, parameters, data } = raw;
    let parameters = parameters.unwrap_or_default();
    let checked = (|| {
        let Some(datatype) = Datatype::parse(&datatype) else {
            return Err(format!(
                "has the datatype {}; known are BOOL, UINT8 to UINT64, INT8 to INT64, FP16, FP32, FP64 and BYTES",
                printable(&datatype)
            ));
        };
        if parameters.contains_key("shared_memory_region") {
            return Err("lies in shared memory, which is not offered; send the data in the body".to_owned());
        }
        if parameters.get("content_type").is_some_and(|kind| kind == "base64") {
            return Err("is encoded as base64; send plain texts".to_owned());
        }
        let n = shape.iter().try_fold(1_u64, |n, length| n.checked_mul(*length));
        let n = n.and_then(|n| usize::try_from(n).ok()).ok_or_else(|| "has too large a shape".to_owned())?;
        let shape: Vec<usize> = shape.iter().map(|length| *length as usize).collect();
        let cells = match (data, parameters.get("binary_data_size")) {
            (Some(_), Some(_)) => return Err("has both `data` and `binary_data_size`".to_owned()),
            (None, None) => return Err("has no `data`".to_owned()),
            (None, Some(size)) => {
                let size = size.as_u64().and_then(|size| usize::try_from(size).ok());
                let size =
                    size.ok_or_else(|| "has a `binary_data_size` that is no number of bytes".to_owned())?;
                let Some((own, rest)) = tail.split_at_checked(size) else {
                    return Err(format!(
                        "is said to have {size} bytes behind the JSON, where {} are left; the header \
                         Inference-Header-Content-Length says how long the JSON is",
                        tail.len()
                    ));
                };
                *tail = rest;
                super::binary::decode(datatype, own, n)?
            }
            (Some(elements), None) => nested(elements, &shape, n)?,
        };
        if let Some(i) = cells.iter().position(|cell| !datatype.takes(cell)) {
            return Err(format!("has an element, number {i} counted from 0, that is not of its datatype"));
        }
        Ok((shape, cells))
    })();
    match checked {
        Ok((shape, cells)) => Ok(Tensor { name, shape, cells }),
        Err(message) => Err((name, message)),
    }
}

/// The elements, if there are as many as the shape says and, where they are nested, nested as it says.
fn nested<'a>(elements: Elements<'a>, shape: &[usize], n: usize) -> Result<Vec<Cell<'a>>, String> {
    let Elements { cells, lengths } = elements;
    if cells.len() != n {
        return Err(format!("has {} elements; its shape {shape:?} makes {n}", cells.len()));
    }
    let without_ones = |lengths: &[usize]| lengths.iter().copied().filter(|n| *n != 1).collect::<Vec<_>>();
    if lengths.len() > 1 && n > 0 && without_ones(&lengths) != without_ones(shape) {
        return Err(format!("is nested as {lengths:?}; its shape is {shape:?}"));
    }
    Ok(cells)
}

/// The tensors as columns, or, if there is one tensor `[n, d]` that no input is called like, as a matrix in the order
/// of the inputs. `[n]` and `[n, 1]` are the same.
pub(super) fn into_data<'a>(mut tensors: Vec<Tensor<'a>>, inputs: &[Input]) -> Result<Data<'a>, Problem> {
    let is_input = |name: &str| inputs.iter().any(|input| input.name == name);
    if let [Tensor { name, shape, .. }] = tensors.as_slice()
        && let [_, width] = shape[..]
        && (width > 1 || inputs.len() == 1)
        && width > 0
        && !is_input(name)
    {
        let cells = tensors.remove(0).cells;
        return Ok(Data::Matrix(cells.chunks(width).map(<[Cell]>::to_vec).collect()));
    }
    let mut columns: Vec<(Cow<'a, str>, Vec<Cell<'a>>)> = Vec::with_capacity(tensors.len());
    let mut seen = HashSet::new();
    for (i, Tensor { name, shape, cells }) in tensors.into_iter().enumerate() {
        let refuse = |message: &str| {
            Err(Problem::invalid(&format!("/inputs/{i}"), format!("\"{}\" {message}", printable(&name))))
        };
        if !matches!(shape[..], [_] | [_, 1]) {
            return refuse(&format!(
                "has the shape {shape:?}; an input has [n] or [n, 1], one element per row, and a single tensor \
                 under another name may hold all inputs as [n, {}]",
                inputs.len()
            ));
        }
        if !seen.insert(name.clone()) {
            return refuse("is there twice");
        }
        columns.push((name, cells));
    }
    Ok(Data::Columns(columns))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(text: &str) -> Result<Vec<Tensor<'_>>, String> {
        let raw: Vec<RawTensor> = serde_json::from_str(text).map_err(|error| error.to_string())?;
        check(raw, b"").map_err(|problem| problem.detail().to_owned())
    }

    #[test]
    fn nested_and_flat_data_are_the_same() {
        let tensor = |shape: &str, data: &str| {
            let text = format!(
                "[{{\"name\": \"a\", \"shape\": {shape}, \"datatype\": \"FP64\", \"data\": {data}}}]"
            );
            serde_json::from_str::<Vec<RawTensor>>(&text).map_err(|error| error.to_string()).and_then(|raw| {
                let tensors = check(raw, b"").map_err(|problem| problem.detail().to_owned())?;
                Ok(format!("{:?}", tensors[0].cells))
            })
        };
        let expected = "[Number(1.0), Number(2.0), Missing, Number(4.0)]";
        for (shape, data) in [
            ("[2, 2]", "[1, 2, null, 4]"),
            ("[2, 2]", "[[1, 2], [null, 4]]"),
            ("[4, 1]", "[[1], [2], [null], [4]]"),
            ("[4, 1]", "[1, 2, null, 4]"),
            ("[4]", "[[1], [2], [null], [4]]"),
        ] {
            assert_eq!(tensor(shape, data).unwrap(), expected, "{shape} {data}");
        }
        for (shape, data, part) in [
            ("[2, 2]", "[1, 2, 3]", "has 3 elements; its shape [2, 2] makes 4"),
            ("[2, 3]", "[[1, 2], [3, 4], [5, 6]]", "is nested as [3, 2]"),
            ("[2, 2]", "[[1], [2, 3, 4]]", "different lengths"),
            ("[1]", "7", "must be a list"),
            ("[1]", "[{}]", "numbers, texts"),
            ("[99999999999, 99999999999]", "[1]", "too large"),
            ("[1]", "[\"1\"]", "not of its datatype"),
        ] {
            let error = tensor(shape, data).unwrap_err();
            assert!(error.contains(part), "{shape} {data}: {error}");
        }
    }

    #[test]
    fn elements_are_of_their_type() {
        let check = |datatype: &str, element: &str, fits: bool| {
            let text = format!(
                "[{{\"name\": \"a\", \"shape\": [1], \"datatype\": \"{datatype}\", \"data\": [{element}]}}]"
            );
            assert_eq!(read(&text).is_ok(), fits, "{datatype} {element}");
        };
        check("INT8", "-128", true);
        check("INT8", "128", false);
        check("UINT8", "255", true);
        check("UINT8", "-1", false);
        check("INT64", "1.5", false);
        check("INT64", "null", true);
        check("BOOL", "1", true);
        check("BOOL", "2", false);
        check("BYTES", "\"x\"", true);
        check("BYTES", "1", false);
        check("FP32", "true", false);
        check("FP8", "1", false);
    }

    #[test]
    fn tensors_become_columns_or_a_matrix() {
        let input = |name: &str| Input {
            name: name.to_owned(),
            kind: crate::dataset::ColumnKind::Number,
            unit: None,
            missing_share: 0.0,
            range: None,
            levels: Vec::new(),
            number_format: crate::dataset::NumberFormat { decimal: '.', thousands: None },
            date_format: None,
            missing_tokens: Vec::new(),
        };
        let inputs = [input("a"), input("b")];
        let data = |tensors: &[(&str, &[usize])]| {
            let tensor = |(name, shape): &(&str, &[usize])| Tensor {
                name: (*name).to_owned().into(),
                shape: shape.to_vec(),
                cells: vec![Cell::Missing; shape.iter().product()],
            };
            into_data(tensors.iter().map(tensor).collect(), &inputs)
        };
        assert!(
            matches!(data(&[("a", &[3]), ("b", &[3, 1])]).unwrap(), Data::Columns(columns) if columns.len() == 2)
        );
        assert!(matches!(data(&[("input-0", &[3, 2])]).unwrap(), Data::Matrix(rows) if rows.len() == 3));
        assert!(data(&[("a", &[3, 2])]).unwrap_err().detail().contains("[n, 2]"));
        assert!(data(&[("a", &[1]), ("a", &[1])]).unwrap_err().detail().contains("twice"));
    }
}
