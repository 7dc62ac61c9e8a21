//! From the shapes of a request to the cells that a model takes, row by row in its own order.

use super::request::Data;
use crate::{
    batch::answers,
    http::error::{ErrorItem, Problem, Slug},
    model::{Cell, Input, PredictError, RowWarning},
};
use std::{borrow::Cow, collections::HashMap};

/// Most problems that one answer lists.
const MAX_LISTED: usize = 100;

/// Cells for [`crate::model::Model::predict`].
#[derive(Debug, PartialEq)]
pub struct Cells<'a> {
    /// Row-major, in the order of the model's inputs.
    pub cells: Vec<Cell<'a>>,
    /// Number of rows.
    pub n_rows: usize,
    /// Fields that the model does not have.
    pub warnings: Vec<RowWarning>,
}

/// Where a value stands in the request; for pointers.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Shape {
    /// `/data/{row}/{name}`
    Rows,
    /// `/data/{name}/{row}`
    Columns,
    /// `/data/{row}/{index}`
    Matrix,
}

impl Data<'_> {
    /// Which of the shapes it is.
    pub fn shape(&self) -> Shape {
        match self {
            Self::Rows(_) => Shape::Rows,
            Self::Columns(_) => Shape::Columns,
            Self::Matrix(_) => Shape::Matrix,
        }
    }

    /// Number of rows; of columns of unequal length, the longest counts.
    pub fn n_rows(&self) -> usize {
        match self {
            Self::Rows(rows) => rows.len(),
            Self::Columns(columns) => columns.iter().map(|(_, values)| values.len()).max().unwrap_or(0),
            Self::Matrix(rows) => rows.len(),
        }
    }
}

/// Sorts the values of the request's `field` into the order of `inputs`.
pub fn arrange<'a>(
    data: Data<'a>,
    inputs: &[Input],
    strict: bool,
    field: &str,
) -> Result<Cells<'a>, Problem> {
    match data {
        Data::Rows(rows) => arrange_rows(rows, inputs, strict, field),
        Data::Columns(columns) => arrange_columns(columns, inputs, strict, field),
        Data::Matrix(rows) => arrange_matrix(rows, inputs, field),
    }
}

fn arrange_rows<'a>(
    rows: Vec<super::request::Record<'a>>,
    inputs: &[Input],
    strict: bool,
    field: &str,
) -> Result<Cells<'a>, Problem> {
    // Made only for the first field that is not where it is expected.
    let mut positions: Option<HashMap<&str, usize>> = None;
    let index = || inputs.iter().enumerate().map(|(i, input)| (input.name.as_str(), i)).collect();
    let n_rows = rows.len();
    let mut cells = Vec::with_capacity(n_rows * inputs.len());
    let mut unknown = Vec::new();
    for (row, record) in rows.into_iter().enumerate() {
        let start = cells.len();
        cells.resize(start + inputs.len(), Cell::Absent);
        for (guess, (name, cell)) in record.into_iter().enumerate() {
            // Clients nearly always send the fields in the model's order.
            let position = match inputs.get(guess) {
                Some(input) if input.name == name => Some(guess),
                _ => positions.get_or_insert_with(index).get(name.as_ref()).copied(),
            };
            match position {
                Some(position) => cells[start + position] = cell,
                None if unknown.len() < MAX_LISTED => unknown.push((row, name)),
                None => {}
            }
        }
    }
    let warnings = judge_unknown(unknown, inputs, strict, Shape::Rows, field)?;
    Ok(Cells { cells, n_rows, warnings })
}

fn arrange_columns<'a>(
    columns: Vec<(Cow<'a, str>, Vec<Cell<'a>>)>,
    inputs: &[Input],
    strict: bool,
    field: &str,
) -> Result<Cells<'a>, Problem> {
    let n_rows = columns.iter().map(|(_, values)| values.len()).max().unwrap_or(0);
    let uneven: Vec<ErrorItem> = columns
        .iter()
        .filter(|(_, values)| values.len() != n_rows)
        .map(|(name, values)| ErrorItem {
            pointer: Some(pointer(&[field, name])),
            message: format!("has {} values, the longest column has {n_rows}", values.len()),
            ..ErrorItem::default()
        })
        .collect();
    if let Some(first) = uneven.first() {
        let name = columns.iter().find(|(_, values)| values.len() != n_rows).map_or("", |(name, _)| name);
        let detail =
            format!("the columns of `{field}` have different lengths: `{}` {}", shorten(name), first.message);
        return Err(Problem::new(Slug::InvalidParameter, detail).with_errors(uneven));
    }
    let positions: HashMap<&str, usize> =
        inputs.iter().enumerate().map(|(i, input)| (input.name.as_str(), i)).collect();
    let mut cells = vec![Cell::Absent; n_rows * inputs.len()];
    let mut unknown = Vec::new();
    for (name, values) in columns {
        let Some(position) = positions.get(name.as_ref()).copied() else {
            if unknown.len() < MAX_LISTED {
                unknown.push((0, name));
            }
            continue;
        };
        for (row, cell) in values.into_iter().enumerate() {
            cells[row * inputs.len() + position] = cell;
        }
    }
    let warnings = judge_unknown(unknown, inputs, strict, Shape::Columns, field)?;
    Ok(Cells { cells, n_rows, warnings })
}

fn arrange_matrix<'a>(rows: Vec<Vec<Cell<'a>>>, inputs: &[Input], field: &str) -> Result<Cells<'a>, Problem> {
    let n_rows = rows.len();
    if let Some((row, values)) = rows.iter().enumerate().find(|(_, values)| values.len() != inputs.len()) {
        let names: Vec<&str> = inputs.iter().map(|input| input.name.as_str()).collect();
        return Err(Problem::invalid(
            &format!("/{field}/{row}"),
            format!("has {} values; the model takes {}: {}", values.len(), inputs.len(), names.join(", ")),
        ));
    }
    Ok(Cells { cells: rows.into_iter().flatten().collect(), n_rows, warnings: Vec::new() })
}

fn judge_unknown(
    unknown: Vec<(usize, Cow<'_, str>)>,
    inputs: &[Input],
    strict: bool,
    shape: Shape,
    field: &str,
) -> Result<Vec<RowWarning>, Problem> {
    if !strict {
        // One warning per field is enough, at the first row that has it.
        let mut warnings: Vec<RowWarning> = Vec::new();
        for (row, column) in unknown {
            if !warnings.iter().any(|warning| warning.column == column) {
                let message = format!("the model has no input `{}`; the field was ignored", shorten(&column));
                warnings.push(RowWarning {
                    row,
                    column: column.into_owned(),
                    code: "unknown-field",
                    message,
                });
            }
        }
        return Ok(warnings);
    }
    if unknown.is_empty() {
        return Ok(Vec::new());
    }
    let known: Vec<&str> = inputs.iter().map(|input| input.name.as_str()).collect();
    let errors = unknown
        .iter()
        .map(|(row, column)| ErrorItem {
            pointer: Some(match shape {
                Shape::Columns => pointer(&[field, column]),
                Shape::Rows | Shape::Matrix => pointer(&[field, &row.to_string(), column]),
            }),
            message: format!("the model has no input `{}`", shorten(column)),
            ..ErrorItem::default()
        })
        .collect();
    let detail =
        format!("the model has no input `{}`; it takes only {}", shorten(&unknown[0].1), known.join(", "));
    Err(Problem::new(Slug::UnknownField, detail).with_errors(errors))
}

/// A refusal of the model, with pointers into the request.
pub fn problem(error: &PredictError, shape: Shape, inputs: &[Input]) -> Problem {
    let slug = error.cells.first().and_then(|cell| Slug::find(cell.slug)).unwrap_or(Slug::InvalidParameter);
    let errors = error
        .cells
        .iter()
        .take(MAX_LISTED)
        .map(|cell| {
            let row = cell.row.to_string();
            let place = match shape {
                Shape::Rows => pointer(&["data", &row, &cell.column]),
                Shape::Columns => pointer(&["data", &cell.column, &row]),
                Shape::Matrix => {
                    let index = inputs.iter().position(|input| input.name == cell.column).unwrap_or(0);
                    pointer(&["data", &row, &index.to_string()])
                }
            };
            ErrorItem {
                pointer: Some(place),
                column: Some(cell.column.clone()),
                message: cell.message.clone(),
                ..ErrorItem::default()
            }
        })
        .collect();
    Problem::new(slug, error.to_string()).with_errors(errors)
}

/// As [`answers::refusal`] says it.
pub fn problem_by_row(error: &PredictError) -> Problem {
    let slug = Slug::find(error.cells[0].slug).unwrap_or(Slug::InvalidParameter);
    Problem::new(slug, answers::refusal(error))
}

/// A JSON pointer (RFC 6901).
fn pointer(parts: &[&str]) -> String {
    parts.iter().fold(String::new(), |mut text, part| {
        text.push('/');
        text.push_str(&part.replace('~', "~0").replace('/', "~1"));
        text
    })
}

fn shorten(text: &str) -> String {
    super::super::printable(text)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::dataset::{ColumnKind, NumberFormat};

    fn inputs(names: &[&str]) -> Vec<Input> {
        names
            .iter()
            .map(|name| Input {
                name: (*name).to_owned(),
                kind: ColumnKind::Number,
                unit: None,
                missing_share: 0.0,
                range: None,
                levels: Vec::new(),
                number_format: NumberFormat { decimal: '.', thousands: None },
                date_format: None,
                missing_tokens: Vec::new(),
            })
            .collect()
    }

    fn rows(names: &[&[&'static str]]) -> Data<'static> {
        let record = |names: &&[&'static str]| {
            names.iter().enumerate().map(|(i, name)| (Cow::Borrowed(*name), Cell::Number(i as f64))).collect()
        };
        Data::Rows(names.iter().map(record).collect())
    }

    #[test]
    fn fields_go_to_their_place_in_whatever_order_they_come() {
        let cells =
            arrange(rows(&[&["a", "b"], &["b", "a"], &["b"]]), &inputs(&["a", "b"]), true, "data").unwrap();
        let number = Cell::Number;
        let expected = [number(0.0), number(1.0), number(1.0), number(0.0), Cell::Absent, number(0.0)];
        assert_eq!((cells.cells.as_slice(), cells.n_rows), (&expected[..], 3));
    }

    #[test]
    fn fields_that_the_model_lacks_are_told_once_or_refused() {
        let inputs = inputs(&["a"]);
        let cells = arrange(rows(&[&["a", "x"], &["a", "x"]]), &inputs, false, "data").unwrap();
        assert_eq!(cells.warnings.len(), 1);
        let problem = arrange(rows(&[&["a", "x/y"]]), &inputs, true, "data").unwrap_err();
        assert_eq!(problem.slug(), Slug::UnknownField);
        assert!(format!("{problem:?}").contains("/data/0/x~1y"));
    }

    #[test]
    fn columns_and_matrices_of_the_wrong_size_are_refused() {
        let inputs = inputs(&["a", "b"]);
        let columns =
            Data::Columns(vec![("a".into(), vec![Cell::Missing; 2]), ("b".into(), vec![Cell::Missing])]);
        assert_eq!(arrange(columns, &inputs, false, "data").unwrap_err().slug(), Slug::InvalidParameter);
        let matrix = Data::Matrix(vec![vec![Cell::Missing; 2], vec![Cell::Missing; 3]]);
        assert!(format!("{:?}", arrange(matrix, &inputs, false, "data").unwrap_err()).contains("/data/1"));
    }
}
