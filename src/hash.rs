//! SHA-256 in hexadecimal, as rows, files and answers give it.

use sha2::{Digest, Sha256};
use std::{
    fmt::Write,
    fs::File,
    io::{self, Read},
    path::Path,
};

/// The hash of these bytes.
pub fn of_bytes(bytes: &[u8]) -> String {
    hex(&Sha256::digest(bytes))
}

/// The hash of a file, and its size.
pub fn of_file(path: &Path) -> io::Result<(String, u64)> {
    let (mut hash, mut size_bytes) = (Sha256::new(), 0);
    let (mut file, mut part) = (File::open(path)?, vec![0; 1 << 18]);
    loop {
        let n_read = file.read(&mut part)?;
        if n_read == 0 {
            return Ok((hex(&hash.finalize()), size_bytes));
        }
        hash.update(&part[..n_read]);
        size_bytes += n_read as u64;
    }
}

/// Two digits for each byte.
pub fn hex(bytes: &[u8]) -> String {
    bytes.iter().fold(String::with_capacity(2 * bytes.len()), |mut text, byte| {
        write!(text, "{byte:02x}").expect("a String takes every write");
        text
    })
}

/// The bytes of such a text; `None` if it is none.
pub fn from_hex(text: &str) -> Option<Vec<u8>> {
    let digit = |byte: u8| char::from(byte).to_digit(16).and_then(|digit| u8::try_from(digit).ok());
    let byte = |pair: &[u8]| match pair {
        [high, low] => Some(16 * digit(*high)? + digit(*low)?),
        _ => None,
    };
    text.as_bytes().chunks(2).map(byte).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_file_has_the_hash_of_its_bytes() {
        let abc = "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad"; // FIPS 180-2, B.1
        assert_eq!(of_bytes(b"abc"), abc);
        let file = tempfile::NamedTempFile::new().unwrap();
        std::fs::write(file.path(), "abc").unwrap();
        assert_eq!(of_file(file.path()).unwrap(), (abc.to_owned(), 3));
    }

    #[test]
    fn hexadecimal_goes_both_ways() {
        assert_eq!(hex(&[0, 255, 16]), "00ff10");
        assert_eq!(from_hex("00ff10"), Some(vec![0, 255, 16]));
        for text in ["0é", "zz", "+1", "001"] {
            assert_eq!(from_hex(text), None, "{text}");
        }
    }
}
