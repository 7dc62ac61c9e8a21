//! What is said about a dataset: how it was read, its columns, its warnings.

use super::table::{ColumnKind, NumberFormat};
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;

/// What is to be noticed about a dataset, a training or a model; never a failure.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Warning {
    /// A stable slug such as `duplicate-column`.
    pub code: String,
    /// The column it is about.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub column: Option<String>,
    /// What was seen, and what to do about it.
    pub message: String,
}

/// What is said about one column: the `columns` of a dataset's description.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct ColumnProfile {
    /// As [`Column::name`](super::Column::name).
    pub name: String,
    /// As [`Column::kind`](super::Column::kind).
    pub kind: ColumnKind,
    /// As [`Column::unit`](super::Column::unit).
    pub unit: Option<String>,
    /// Rows without a value.
    pub missing: u64,
    /// Different values seen.
    pub distinct: u64,
    /// Smallest value of a number column.
    pub min: Option<f64>,
    /// Largest value of a number column.
    pub max: Option<f64>,
    /// Mean of a number column.
    pub mean: Option<f64>,
    /// Sample standard deviation of a number column.
    pub std: Option<f64>,
    /// The 5, 25, 50, 75 and 95 % quantiles of a number column.
    pub quantiles: Option<Vec<f64>>,
    /// Equal-width counts of a number column.
    pub histogram: Option<Histogram>,
    /// The values of a number column that lie far from the others.
    #[serde(default)]
    pub outliers: Option<Outliers>,
    /// The commonest levels of a category, with their counts.
    pub levels: Option<Vec<(String, u64)>>,
    /// The earliest and latest date, RFC 3339.
    pub date_range: Option<(String, String)>,
    /// How its numbers are written, where they are text: needed to read a value such as `12,5` the
    /// same way when it is sent to a model.
    #[serde(default)]
    pub number_format: Option<NumberFormat>,
    /// How its dates are written, in the letters of [`super::date`], where they are text.
    #[serde(default)]
    pub date_format: Option<String>,
    /// Why the column was taken for this kind.
    pub reason: String,
}

/// Counts in equal-width bins.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Histogram {
    /// Bin edges; one more than `counts`.
    pub edges: Vec<f64>,
    /// Values in each bin; the last bin includes its upper edge.
    pub counts: Vec<u64>,
}

/// Values outside the fences of a box plot: more than 1.5 times the distance between the quartiles
/// away from them (Tukey, *Exploratory Data Analysis*, 1977). Absent where the quartiles are equal.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Outliers {
    /// The lower fence.
    pub low: f64,
    /// The upper fence.
    pub high: f64,
    /// Values below the lower fence.
    pub n_below: u64,
    /// Values above the upper fence.
    pub n_above: u64,
}

/// How a file was read: the `read` of a dataset's description.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct ReadReport {
    /// `csv`, `xlsx`, `xlsb`, `xls` or `ods`.
    pub format: String,
    /// The encoding of a text file.
    pub encoding: Option<String>,
    /// The separator of a text file.
    pub delimiter: Option<char>,
    /// The decimal mark.
    pub decimal: char,
    /// The thousands mark, where one is used.
    pub thousands: Option<char>,
    /// 1-based line of the header; absent where the file has none.
    pub header_row: Option<u64>,
    /// 1-based line of the units.
    pub units_row: Option<u64>,
    /// The sheet that was read.
    pub sheet: Option<String>,
    /// All sheets of the workbook.
    pub sheets: Vec<String>,
    /// The texts and sentinels taken for missing.
    pub missing: Vec<String>,
    /// Why each of these was decided so.
    pub reasons: BTreeMap<String, String>,
}

/// Everything that is known about a dataset beside its rows. Stored with the dataset and shown by
/// the API.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Description {
    /// Data rows.
    pub rows: u64,
    /// How the file was read.
    pub read: ReadReport,
    /// One entry per column.
    pub columns: Vec<ColumnProfile>,
    /// The first rows, as JSON objects by column name.
    pub preview: Vec<serde_json::Map<String, serde_json::Value>>,
    /// What is to be noticed.
    pub warnings: Vec<Warning>,
}
