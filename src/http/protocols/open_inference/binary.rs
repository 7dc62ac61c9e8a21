//! The binary tensor data extension: elements as bytes behind the JSON, little-endian.
//!
//! ```text
//! Inference-Header-Content-Length: n
//!
//! n bytes of JSON | bytes of the first tensor with binary_data_size | bytes of the second | ...
//! ```
//!
//! Elements of `BYTES` are each a 4-byte length and so many bytes; all others have the width of their type.

use super::{output::Elements, tensor::Datatype};
use crate::{
    http::error::{Problem, Slug},
    model::Cell,
};
use axum::http::{HeaderMap, HeaderName};

/// Says how long the JSON is, both ways.
pub(super) const HEADER_LENGTH: HeaderName = HeaderName::from_static("inference-header-content-length");

/// The JSON of a body, and the bytes behind it.
pub(super) fn split<'a>(headers: &HeaderMap, body: &'a [u8]) -> Result<(&'a [u8], &'a [u8]), Problem> {
    let Some(value) = headers.get(HEADER_LENGTH) else { return Ok((body, &[])) };
    let length = value.to_str().ok().and_then(|text| text.parse::<usize>().ok());
    length.and_then(|length| body.split_at_checked(length)).ok_or_else(|| {
        let detail =
            format!("Inference-Header-Content-Length is no length within the body of {} bytes", body.len());
        Problem::new(Slug::BadRequest, detail)
    })
}

/// The `n` elements in `bytes`. A floating-point NaN is a missing value, as null is in JSON.
pub(super) fn decode(datatype: Datatype, bytes: &[u8], n: usize) -> Result<Vec<Cell<'_>>, String> {
    let width = match datatype {
        Datatype::Bytes => return decode_texts(bytes, n),
        Datatype::Bool => 1,
        Datatype::Uint(width) | Datatype::Int(width) | Datatype::Float(width) => width,
    };
    if n.checked_mul(width) != Some(bytes.len()) {
        return Err(format!("has {} bytes; {n} elements of {width} bytes each are expected", bytes.len()));
    }
    let cell = |element: &[u8]| {
        let mut bits = [0; 8];
        bits[..width].copy_from_slice(element);
        let bits = u64::from_le_bytes(bits);
        let number = match datatype {
            Datatype::Bool => return Cell::Boolean(bits != 0),
            Datatype::Uint(_) => bits as f64,
            Datatype::Int(width) => {
                // The sign bit goes to the top, and comes back as the sign.
                let unused = 64 - 8 * width as u32;
                ((bits << unused) as i64 >> unused) as f64
            }
            Datatype::Float(2) => half(bits as u16),
            Datatype::Float(4) => f64::from(f32::from_bits(bits as u32)),
            Datatype::Float(_) | Datatype::Bytes => f64::from_bits(bits),
        };
        if number.is_finite() { Cell::Number(number) } else { Cell::Missing }
    };
    Ok(bytes.chunks_exact(width).map(cell).collect())
}

fn decode_texts(mut bytes: &[u8], n: usize) -> Result<Vec<Cell<'_>>, String> {
    let mut cells = Vec::new();
    while let Some((length, rest)) = bytes.split_first_chunk::<4>() {
        let length = u32::from_le_bytes(*length) as usize;
        let (text, rest) = rest.split_at_checked(length).ok_or_else(|| {
            format!(
                "has an element of {length} bytes, number {} counted from 0, that is cut off",
                cells.len()
            )
        })?;
        let text = std::str::from_utf8(text).map_err(|_| {
            format!("has an element, number {} counted from 0, that is not UTF-8", cells.len())
        })?;
        cells.push(Cell::Text(text.into()));
        bytes = rest;
    }
    if cells.len() != n || !bytes.is_empty() {
        return Err(format!("has {} elements and {} bytes more; {n} are expected", cells.len(), bytes.len()));
    }
    Ok(cells)
}

/// A number of 16 bits: sign, 5 bits of exponent, 10 bits of fraction.
fn half(bits: u16) -> f64 {
    let sign = if bits >> 15 == 1 { -1.0 } else { 1.0 };
    let (exponent, fraction) = (i32::from(bits >> 10 & 31), f64::from(bits & 1023) / 1024.0);
    match exponent {
        0 => sign * fraction * 2_f64.powi(-14),
        31 if fraction == 0.0 => sign * f64::INFINITY,
        31 => f64::NAN,
        _ => sign * (1.0 + fraction) * 2_f64.powi(exponent - 15),
    }
}

/// Appends the elements to `body`, and returns how many bytes they take.
pub(super) fn encode(elements: &Elements, body: &mut Vec<u8>) -> usize {
    let before = body.len();
    match elements {
        Elements::Numbers(numbers) => numbers.iter().for_each(|number| body.extend(number.to_le_bytes())),
        Elements::Flags(flags) => body.extend(flags.iter().map(|flag| u8::from(*flag))),
        Elements::Texts(texts) => {
            for text in texts {
                // The longest texts are warnings, far below the 4 GiB that the length can say.
                body.extend((text.len() as u32).to_le_bytes());
                body.extend(text.as_bytes());
            }
        }
    }
    body.len() - before
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn elements_have_the_width_of_their_type() {
        let check = |datatype, bytes: &[u8], expected: &[f64]| {
            let cells = decode(datatype, bytes, expected.len()).unwrap();
            let numbers: Vec<Cell> = expected.iter().map(|number| Cell::Number(*number)).collect();
            assert_eq!(cells, numbers, "{datatype:?}");
        };
        check(Datatype::Int(1), &[0xff, 0x7f], &[-1.0, 127.0]);
        check(Datatype::Uint(1), &[0xff, 0x7f], &[255.0, 127.0]);
        check(Datatype::Int(2), &[0x00, 0x80], &[-32768.0]);
        check(Datatype::Int(8), &(-5_i64).to_le_bytes(), &[-5.0]);
        check(Datatype::Float(4), &0.1_f32.to_le_bytes(), &[f64::from(0.1_f32)]);
        check(Datatype::Float(8), &0.1_f64.to_le_bytes(), &[0.1]);
        // 1, -2, the smallest above 0, 65504.
        check(
            Datatype::Float(2),
            &[0x00, 0x3c, 0x00, 0xc0, 0x01, 0x00, 0xff, 0x7b],
            &[1.0, -2.0, 2_f64.powi(-24), 65504.0],
        );
        assert_eq!(decode(Datatype::Float(8), &f64::NAN.to_le_bytes(), 1).unwrap(), [Cell::Missing]);
        assert_eq!(decode(Datatype::Bool, &[0, 1], 2).unwrap(), [Cell::Boolean(false), Cell::Boolean(true)]);
        assert!(decode(Datatype::Float(8), &[0; 12], 1).is_err());
    }

    #[test]
    fn texts_carry_their_lengths() {
        let mut bytes = Vec::new();
        encode(&Elements::Texts(vec!["".into(), "São".into()]), &mut bytes);
        assert_eq!(
            decode(Datatype::Bytes, &bytes, 2).unwrap(),
            [Cell::Text("".into()), Cell::Text("São".into())]
        );
        assert!(decode(Datatype::Bytes, &bytes, 3).is_err());
        assert!(decode(Datatype::Bytes, &bytes[..6], 2).is_err());
        assert!(decode(Datatype::Bytes, &[1, 0, 0, 0, 0xff], 1).unwrap_err().contains("UTF-8"));
        assert!(decode(Datatype::Bytes, &[0xff; 4], 1).unwrap_err().contains("cut off"));
    }
}
