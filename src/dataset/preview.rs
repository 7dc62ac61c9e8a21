//! Rows as JSON, for previews and pages.

use super::{
    date,
    table::{MISSING_CODE, MISSING_DATE, Table, Values},
};
use serde_json::{Map, Value};

impl Table {
    /// At most `limit` rows from `offset` on, each an object by column name: numbers as numbers,
    /// dates as RFC 3339 text, missing values as null.
    pub fn rows_json(&self, offset: usize, limit: usize) -> Vec<Map<String, Value>> {
        let end = self.n_rows().min(offset.saturating_add(limit));
        let row =
            |i| self.columns.iter().map(|column| (column.name.clone(), column.values.json(i))).collect();
        (offset..end).map(row).collect()
    }
}

impl Values {
    /// The `i`-th value; null where it is missing or there is no such row.
    pub fn json(&self, i: usize) -> Value {
        let value = match self {
            Self::Number(numbers) => numbers.get(i).map(|number| number_json(*number)),
            Self::Category { codes, levels } => codes
                .get(i)
                .filter(|code| **code != MISSING_CODE)
                .and_then(|code| levels.get(*code as usize))
                .map(|level| Value::from(level.as_str())),
            Self::Date(dates) => dates
                .get(i)
                .filter(|date| **date != MISSING_DATE)
                .map(|date| Value::from(date::to_rfc3339(*date))),
            Self::Boolean(booleans) => booleans.get(i).copied().flatten().map(Value::from),
            Self::Text(texts) => texts.get(i).and_then(Option::as_deref).map(Value::from),
        };
        value.unwrap_or(Value::Null)
    }
}

/// Whole numbers are written without `.0`, as they stand in the file.
fn number_json(number: f64) -> Value {
    const EXACT: f64 = 9_007_199_254_740_992.0;
    if number.fract() == 0.0 && number.abs() < EXACT && !(number == 0.0 && number.is_sign_negative()) {
        Value::from(number as i64)
    } else {
        Value::from(number)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::dataset::{Column, ColumnKind};

    #[test]
    fn values_as_json() {
        let column = |name: &str, values| Column {
            name: name.to_owned(),
            kind: ColumnKind::Number,
            unit: None,
            values,
        };
        let table = Table {
            columns: vec![
                column("n", Values::Number(vec![1.0, 0.5, f64::NAN])),
                column(
                    "c",
                    Values::Category { codes: vec![0, MISSING_CODE, 0], levels: vec!["a".to_owned()] },
                ),
                column("d", Values::Date(vec![1500, 0, MISSING_DATE])),
                column("b", Values::Boolean(vec![Some(true), None, Some(false)])),
                column("t", Values::Text(vec![None, Some("x".to_owned()), None])),
            ],
        };
        let text = serde_json::to_string(&table.rows_json(0, 10)).unwrap();
        assert_eq!(
            text,
            concat!(
                r#"[{"n":1,"c":"a","d":"1970-01-01T00:00:01.500Z","b":true,"t":null},"#,
                r#"{"n":0.5,"c":null,"d":"1970-01-01T00:00:00Z","b":null,"t":"x"},"#,
                r#"{"n":null,"c":"a","d":null,"b":false,"t":null}]"#
            )
        );
        assert_eq!(table.rows_json(2, 1).len(), 1);
        assert!(table.rows_json(3, 10).is_empty());
        assert!(table.rows_json(usize::MAX, usize::MAX).is_empty());
    }
}
