//! What the caller may override, and how much a file may ask for.

use serde::{Deserialize, Serialize};
use std::collections::{BTreeMap, BTreeSet};

/// What the caller overrides when a file is read. Everything absent is detected.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
pub struct ReadOptions {
    /// The sheet of a workbook.
    pub sheet: Option<String>,
    /// 1-based line of the header; 0 where the file has none.
    pub header_row: Option<u64>,
    /// 1-based line of the units; 0 where the file has none.
    pub units_row: Option<u64>,
    /// One character.
    pub delimiter: Option<char>,
    /// `.` or `,`.
    pub decimal: Option<char>,
    /// A WHATWG encoding label such as `windows-1252`.
    pub encoding: Option<String>,
    /// Texts that mean "missing", beside the empty cell.
    pub missing: Option<Vec<String>>,
    /// Column name to `number|fraction|category|date|boolean|text|ignore`.
    pub types: BTreeMap<String, String>,
    /// Whether totals and notes under the table are rows of it.
    #[serde(default)]
    pub keep_footer: bool,
    /// What other files of the kind settle, where this one leaves it open.
    #[serde(default)]
    pub usual: Usual,
}

/// How files of the same kind are read: what counts where a file can be read in more than one way, and nowhere else.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Usual {
    /// Their decimal mark.
    pub decimal: Option<char>,
    /// Columns that hold categories, whatever the cells look like.
    pub categories: BTreeSet<String>,
}

/// How much a file may ask for. Every number is a setting; the defaults are those of Excel where
/// Excel has one.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct ReadLimits {
    /// Data rows.
    pub max_rows: u64,
    /// Columns.
    pub max_columns: u64,
    /// Rows times columns of the box around all cells.
    pub max_cells: u64,
    /// Characters of one cell.
    pub max_cell_chars: usize,
    /// Bytes of a workbook once its parts are inflated.
    pub max_inflated_bytes: u64,
    /// Inflated over stored bytes, looked at once 10 MiB have been inflated.
    pub max_inflate_ratio: u64,
}

impl Default for ReadLimits {
    fn default() -> Self {
        Self {
            max_rows: 5_000_000,
            max_columns: 16_384,
            max_cells: 50_000_000,
            max_cell_chars: 32_767,
            max_inflated_bytes: 512 << 20,
            max_inflate_ratio: 200,
        }
    }
}
