//! The typed table: what every reader makes and every training takes.

use serde::{Deserialize, Serialize};

/// Marks a missing value in [`Values::Category`].
pub const MISSING_CODE: u32 = u32::MAX;
/// Marks a missing value in [`Values::Date`].
pub const MISSING_DATE: i64 = i64::MIN;

/// A typed table: named columns of equal length.
#[derive(Debug, Clone, PartialEq, Default)]
pub struct Table {
    /// The columns in file order; names are unique and never empty.
    pub columns: Vec<Column>,
}

/// One column of a [`Table`].
#[derive(Debug, Clone, PartialEq)]
pub struct Column {
    /// Unique within the table, trimmed, Unicode NFC.
    pub name: String,
    /// What the column means; decides whether it is a usable feature.
    pub kind: ColumnKind,
    /// The unit given by a units row, such as `hPa`.
    pub unit: Option<String>,
    /// The values, one per row.
    pub values: Values,
}

/// The values of a column, one per row.
#[derive(Debug, Clone, PartialEq)]
pub enum Values {
    /// Finite numbers; NaN is missing.
    Number(Vec<f64>),
    /// Indexes into `levels`; [`MISSING_CODE`] is missing.
    Category {
        /// One index into `levels` per row.
        codes: Vec<u32>,
        /// The distinct texts, in order of first appearance.
        levels: Vec<String>,
    },
    /// Milliseconds since 1970-01-01T00:00:00Z; [`MISSING_DATE`] is missing.
    Date(Vec<i64>),
    /// `None` is missing.
    Boolean(Vec<Option<bool>>),
    /// Free text; `None` is missing.
    Text(Vec<Option<String>>),
}

/// What a column means.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum ColumnKind {
    /// A measured quantity.
    Number,
    /// One of a limited set of texts or codes.
    Category,
    /// A date, a time, or both.
    Date,
    /// Yes or no.
    Boolean,
    /// Free text: not a feature.
    Text,
    /// Names a row: not a feature.
    Identifier,
    /// One value everywhere: not a feature.
    Constant,
    /// No value at all: not a feature.
    Empty,
}

impl ColumnKind {
    /// Whether a network can learn from such a column.
    pub fn is_feature(self) -> bool {
        matches!(self, Self::Number | Self::Category | Self::Date | Self::Boolean)
    }
}

/// How numbers are written in a file.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct NumberFormat {
    /// `.` or `,`.
    pub decimal: char,
    /// The thousands mark, where the file uses one.
    pub thousands: Option<char>,
}

impl Table {
    /// Number of rows.
    pub fn n_rows(&self) -> usize {
        self.columns.first().map_or(0, |column| column.values.len())
    }

    /// The column called `name`.
    pub fn column(&self, name: &str) -> Option<&Column> {
        self.columns.iter().find(|column| column.name == name)
    }
}

impl Values {
    /// Number of rows.
    pub fn len(&self) -> usize {
        match self {
            Self::Number(v) => v.len(),
            Self::Category { codes, .. } => codes.len(),
            Self::Date(v) => v.len(),
            Self::Boolean(v) => v.len(),
            Self::Text(v) => v.len(),
        }
    }

    /// Whether there is no row.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }
}
