//! The distinct texts of a column.

use std::collections::HashMap;

/// Distinct texts, numbered as they appear.
#[derive(Debug, Default)]
pub(super) struct Levels {
    codes: HashMap<Box<[u8]>, u32>,
    pub(super) in_order: Vec<String>,
    /// Texts often repeat from row to row.
    last: Option<u32>,
}

impl Levels {
    /// The number of a text, which is new or known.
    pub(super) fn code(&mut self, text: &[u8]) -> u32 {
        if let Some(last) = self.last
            && self.in_order[last as usize].as_bytes() == text
        {
            return last;
        }
        let code = self.codes.get(text).copied().unwrap_or_else(|| {
            let code = self.in_order.len() as u32;
            self.codes.insert(text.into(), code);
            self.in_order.push(String::from_utf8_lossy(text).into_owned());
            code
        });
        self.last = Some(code);
        code
    }
}
