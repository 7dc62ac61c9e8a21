//! Pickle, protocol 2, as far as a dictionary of tensors needs it: a stack machine that Python runs.
//!
//! ```text
//! OrderedDict()  text value text value ...  SETITEMS  STOP
//! tensor = torch._utils._rebuild_tensor_v2(storage, 0, shape, strides, False, OrderedDict())
//! storage = persistent id ("storage", torch.FloatStorage, name of the entry, "cpu", numbers)
//! ```
//!
//! Only what `torch.load(..., weights_only=True)` allows is written: data, and no code of anybody's.

/// A program being written.
#[derive(Debug)]
pub(super) struct Pickle(Vec<u8>);

impl Pickle {
    /// Begins the dictionary that the program makes.
    pub(super) fn new() -> Self {
        let mut pickle = Self(vec![0x80, 2]);
        pickle.empty_ordered_dict();
        pickle.0.push(b'(');
        pickle
    }

    /// An entry that is a text.
    pub(super) fn text_entry(&mut self, key: &str, value: &str) {
        self.text(key);
        self.text(value);
    }

    /// An entry that is a tensor of floats, row-major, whose numbers are in the entry `storage` of the archive.
    pub(super) fn tensor_entry(&mut self, key: &str, dims: &[usize], storage: &str) {
        let n = dims.iter().product();
        let strides: Vec<usize> =
            (0..dims.len()).map(|axis| dims[axis + 1..].iter().product::<usize>()).collect();
        self.text(key);
        self.global("torch._utils", "_rebuild_tensor_v2");
        self.0.push(b'(');
        self.0.push(b'(');
        self.text("storage");
        self.global("torch", "FloatStorage");
        self.text(storage);
        self.text("cpu");
        self.integer(n);
        self.0.extend(b"tQ");
        self.integer(0);
        self.integers(dims);
        self.integers(&strides);
        self.0.push(0x89); // False: no gradient is wanted
        self.empty_ordered_dict();
        self.0.extend(b"tR");
    }

    /// The program.
    pub(super) fn into_bytes(mut self) -> Vec<u8> {
        self.0.extend(b"u.");
        self.0
    }

    fn empty_ordered_dict(&mut self) {
        self.global("collections", "OrderedDict");
        self.0.extend(b")R");
    }

    fn global(&mut self, module: &str, name: &str) {
        self.0.extend(format!("c{module}\n{name}\n").bytes());
    }

    fn text(&mut self, text: &str) {
        self.0.push(b'X');
        self.0.extend((text.len() as u32).to_le_bytes());
        self.0.extend(text.bytes());
    }

    /// A count. Those beyond 31 bits are written in the long form.
    fn integer(&mut self, value: usize) {
        if let Ok(value) = i32::try_from(value) {
            self.0.push(b'J');
            self.0.extend(value.to_le_bytes());
        } else {
            self.0.extend([0x8a, 9]);
            self.0.extend((value as u64).to_le_bytes());
            self.0.push(0); // The sign.
        }
    }

    fn integers(&mut self, values: &[usize]) {
        self.0.push(b'(');
        values.iter().for_each(|value| self.integer(*value));
        self.0.push(b't');
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_program_is_what_python_writes_for_the_same_thing() {
        let mut pickle = Pickle::new();
        pickle.text_entry("a", "ç");
        let expected = b"\x80\x02ccollections\nOrderedDict\n)R(X\x01\0\0\0aX\x02\0\0\0\xc3\xa7u.";
        assert_eq!(pickle.into_bytes(), expected);
    }

    #[test]
    fn large_counts_are_not_cut() {
        let mut pickle = Pickle(Vec::new());
        pickle.integer(7);
        pickle.integer(1 << 40);
        assert_eq!(pickle.0, b"J\x07\0\0\0\x8a\x09\0\0\0\0\0\x01\0\0\0");
    }
}
