//! The wire format of Protocol Buffers, as far as ONNX needs it.
//!
//! ```text
//! message  a field after the other, in any order, repeated ones several times
//! field    varint(number * 8 + wire type), then
//!            wire type 0  varint: 7 bits per byte, the lowest first, the top bit set on all but the last
//!            wire type 2  varint length, then so many bytes: text, bytes, message
//!            wire type 5  4 bytes, little-endian: float
//! ```
//!
//! A writer generated from the schema would bring a compiler and a crate for five record types; the
//! [encoding](https://protobuf.dev/programming-guides/encoding/) is stable and small.

/// A message being written.
#[derive(Debug, Clone, Default)]
pub(super) struct Message(Vec<u8>);

impl Message {
    /// An integer, also a boolean or an enumeration.
    pub(super) fn integer(mut self, field: u32, value: i64) -> Self {
        self.key(field, 0);
        self.varint(value as u64);
        self
    }

    /// A 32-bit float.
    pub(super) fn float(mut self, field: u32, value: f32) -> Self {
        self.key(field, 5);
        self.0.extend(value.to_le_bytes());
        self
    }

    /// Bytes.
    pub(super) fn bytes(mut self, field: u32, value: &[u8]) -> Self {
        self.key(field, 2);
        self.varint(value.len() as u64);
        self.0.extend(value);
        self
    }

    /// A text.
    pub(super) fn text(self, field: u32, value: &str) -> Self {
        self.bytes(field, value.as_bytes())
    }

    /// A message within this one.
    pub(super) fn message(self, field: u32, value: &Self) -> Self {
        self.bytes(field, &value.0)
    }

    /// A repeated message.
    pub(super) fn messages<'a>(self, field: u32, values: impl IntoIterator<Item = &'a Self>) -> Self {
        values.into_iter().fold(self, |message, value| message.message(field, value))
    }

    /// A repeated text.
    pub(super) fn texts<T: AsRef<str>>(self, field: u32, values: impl IntoIterator<Item = T>) -> Self {
        values.into_iter().fold(self, |message, value| message.text(field, value.as_ref()))
    }

    /// A repeated integer, unpacked as in the schema of ONNX.
    pub(super) fn integers(self, field: u32, values: impl IntoIterator<Item = i64>) -> Self {
        values.into_iter().fold(self, |message, value| message.integer(field, value))
    }

    /// What was written.
    pub(super) fn into_bytes(self) -> Vec<u8> {
        self.0
    }

    fn key(&mut self, field: u32, wire_type: u32) {
        self.varint(u64::from(field << 3 | wire_type));
    }

    fn varint(&mut self, mut value: u64) {
        while value >= 0x80 {
            self.0.push(value as u8 | 0x80);
            value >>= 7;
        }
        self.0.push(value as u8);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn fields_are_written_as_the_encoding_guide_shows() {
        let check = |message: Message, expected: &[u8]| assert_eq!(message.into_bytes(), expected);
        check(Message::default().integer(1, 150), &[0x08, 0x96, 0x01]);
        check(Message::default().integer(20, 0), &[0xa0, 0x01, 0x00]);
        let minus_two = [0xfe, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0x01];
        check(Message::default().integer(1, -2), &[&[0x08], &minus_two[..]].concat());
        check(Message::default().text(2, "testing"), b"\x12\x07testing");
        check(Message::default().message(3, &Message::default().integer(1, 150)), b"\x1a\x03\x08\x96\x01");
        check(Message::default().float(2, 1.0), &[0x15, 0, 0, 0x80, 0x3f]);
        check(Message::default().integers(1, [1, 2]), &[0x08, 1, 0x08, 2]);
        check(Message::default().texts(2, ["a", ""]), b"\x12\x01a\x12\x00");
    }
}
