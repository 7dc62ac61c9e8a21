//! How the numeric columns of a table go together.

use super::{
    sorting,
    table::{Column, ColumnKind, MISSING_DATE, Table, Values},
};
use serde::{Deserialize, Serialize};

/// More rows tell nothing new: of a longer table every k-th row is taken.
const MAX_ROWS: usize = 200_000;
/// Fewer pairs of values are no evidence.
const MIN_PAIRS: usize = 3;

/// Which coefficient.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Method {
    /// Of the values: 1 on a straight line.
    #[default]
    Pearson,
    /// Of the ranks: 1 wherever one grows with the other.
    Spearman,
}

/// The coefficients of two columns.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Coefficient {
    /// -1 to 1; `None` where one of the columns is constant or too few rows have both values.
    pub r: Option<f64>,
    /// Rows in which both have a value.
    pub n: usize,
}

/// The columns that have numbers to compare: numbers, dates, and true and false as 1 and 0. Missing
/// values are NaN. Of a table longer than 200,000 rows, every k-th row is taken.
#[derive(Debug)]
pub struct Numeric {
    /// Their names.
    pub names: Vec<String>,
    /// Rows that are looked at.
    pub n_rows: usize,
    values: Vec<Vec<f64>>,
}

impl Numeric {
    /// The numeric columns of `table`, as values or as ranks.
    pub fn of(table: &Table, method: Method) -> Self {
        let step = table.n_rows().div_ceil(MAX_ROWS).max(1);
        let (names, values): (Vec<_>, Vec<_>) = table
            .columns
            .iter()
            .filter_map(|column| Some((column.name.clone(), numbers(column, step)?)))
            .map(|(name, values)| (name, if method == Method::Spearman { ranks(&values) } else { values }))
            .unzip();
        Self { names, n_rows: table.n_rows().div_ceil(step), values }
    }

    /// The coefficient of two of the columns over the rows in which both have a value. Ranks are
    /// those among all values of a column.
    pub fn coefficient(&self, a: usize, b: usize) -> Coefficient {
        let present =
            || self.values[a].iter().zip(&self.values[b]).filter(|(a, b)| !a.is_nan() && !b.is_nan());
        let n = present().count();
        if n < MIN_PAIRS {
            return Coefficient { r: None, n };
        }
        let count = n as f64;
        let mean = present().fold((0.0, 0.0), |sum, (a, b)| (sum.0 + a / count, sum.1 + b / count));
        let (mut of_a, mut of_b, mut both) = (0.0, 0.0, 0.0);
        for (a, b) in present() {
            let (a, b) = (a - mean.0, b - mean.1);
            (of_a, of_b, both) = (of_a + a * a, of_b + b * b, both + a * b);
        }
        let product = of_a.sqrt() * of_b.sqrt();
        // What rounding leaves of a constant column is no spread.
        let is_spread = |sum: f64, mean: f64| sum > count * (mean * 1e-14).powi(2);
        let is_known = is_spread(of_a, mean.0) && is_spread(of_b, mean.1) && product.is_finite();
        Coefficient { r: is_known.then(|| (both / product).clamp(-1.0, 1.0)), n }
    }
}

fn numbers(column: &Column, step: usize) -> Option<Vec<f64>> {
    if !matches!(column.kind, ColumnKind::Number | ColumnKind::Date | ColumnKind::Boolean) {
        return None;
    }
    Some(match &column.values {
        Values::Number(values) => values.iter().step_by(step).copied().collect(),
        Values::Date(values) => values
            .iter()
            .step_by(step)
            .map(|ms| if *ms == MISSING_DATE { f64::NAN } else { *ms as f64 })
            .collect(),
        Values::Boolean(values) => values
            .iter()
            .step_by(step)
            .map(|value| value.map_or(f64::NAN, |value| f64::from(u8::from(value))))
            .collect(),
        Values::Category { .. } | Values::Text(_) => return None,
    })
}

/// Ranks from 0; equal values share the mean of theirs.
fn ranks(values: &[f64]) -> Vec<f64> {
    let mut sorted: Vec<f64> =
        values.iter().map(|value| value + 0.0).filter(|value| !value.is_nan()).collect();
    sorting::sort(&mut sorted);
    let rank = |value: &f64| {
        if value.is_nan() {
            return f64::NAN;
        }
        let first = sorted.partition_point(|other| other < value);
        let end = sorted.partition_point(|other| other <= value);
        (first + end - 1) as f64 / 2.0
    };
    values.iter().map(rank).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(a: &[f64], b: &[f64], method: Method, expected: Option<f64>) {
        let column = |name: &str, values: &[f64]| Column {
            name: name.to_owned(),
            kind: ColumnKind::Number,
            unit: None,
            values: Values::Number(values.to_vec()),
        };
        let found =
            Numeric::of(&Table { columns: vec![column("a", a), column("b", b)] }, method).coefficient(0, 1);
        match (found.r, expected) {
            (Some(r), Some(expected)) => assert!((r - expected).abs() < 1e-12, "{r} instead of {expected}"),
            (r, expected) => assert_eq!(r, expected),
        }
    }

    #[test]
    fn coefficients() {
        let a = [1.0, 2.0, 3.0, 4.0, 5.0];
        check(&a, &a.map(|a| 7.0 - 3.0 * a), Method::Pearson, Some(-1.0));
        check(&a, &a.map(f64::exp), Method::Spearman, Some(1.0));
        // scipy.stats.pearsonr and spearmanr.
        let b = [2.0, 1.0, 4.0, 4.0, 3.0];
        check(&a, &b, Method::Pearson, Some(0.606_339_062_590_832_5));
        check(&a, &b, Method::Spearman, Some(0.564_288_093_646_834_7));
        check(&a, &[0.1; 5], Method::Pearson, None);
        check(&[1.0, f64::NAN, 3.0, 4.0, 9.0], &[2.0, 5.0, 6.0, 8.0, f64::NAN], Method::Pearson, Some(1.0));
        check(&[1.0, 2.0, f64::NAN], &[1.0, 2.0, 3.0], Method::Pearson, None);
    }

    #[test]
    fn dates_and_booleans_count_as_numbers() {
        let column = |name: &str, kind, values| Column { name: name.to_owned(), kind, unit: None, values };
        let table = Table {
            columns: vec![
                column("t", ColumnKind::Date, Values::Date(vec![0, 1000, MISSING_DATE, 3000])),
                column(
                    "on",
                    ColumnKind::Boolean,
                    Values::Boolean(vec![Some(false), None, Some(true), Some(true)]),
                ),
                column("id", ColumnKind::Identifier, Values::Number(vec![1.0, 2.0, 3.0, 4.0])),
                column("y", ColumnKind::Number, Values::Number(vec![0.0, 1.0, 2.0, 3.0])),
            ],
        };
        let numeric = Numeric::of(&table, Method::Pearson);
        assert_eq!(numeric.names, ["t", "on", "y"]);
        let found = numeric.coefficient(0, 2);
        assert!(found.n == 3 && found.r.is_some_and(|r| (r - 1.0).abs() < 1e-12), "{found:?}");
        assert_eq!(numeric.coefficient(0, 1).n, 2);
    }
}
