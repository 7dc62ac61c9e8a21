//! Rows as the networks see them.

use super::gradient::Truth;

/// Encoded rows and their truth.
#[derive(Debug, Clone)]
pub struct Part {
    /// Row-major `[n, inputs]`.
    pub features: Vec<f32>,
    /// The truth, in the network's terms.
    pub truth: OwnedTruth,
}

/// As [`Truth`], owning its numbers.
#[derive(Debug, Clone)]
pub enum OwnedTruth {
    /// Standardised, row-major `[n, outputs]`.
    Numbers(Vec<f32>),
    /// One class per row.
    Classes(Vec<u32>),
}

impl OwnedTruth {
    /// Borrowed.
    pub fn as_truth(&self) -> Truth<'_> {
        match self {
            Self::Numbers(values) => Truth::Numbers(values),
            Self::Classes(values) => Truth::Classes(values),
        }
    }

    /// The truth of `rows`, gathered.
    #[must_use]
    pub fn gather(&self, rows: &[usize], outputs: usize) -> Self {
        match self {
            Self::Numbers(values) => Self::Numbers(
                rows.iter().flat_map(|row| &values[row * outputs..][..outputs]).copied().collect(),
            ),
            Self::Classes(values) => Self::Classes(rows.iter().map(|row| values[*row]).collect()),
        }
    }
}
