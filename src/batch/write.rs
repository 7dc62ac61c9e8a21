//! The loop from rows to answers: slab by slab from the disk, piece by piece on every processor.

use super::{answers, sheet::Tables};
use crate::{
    dataset::{
        Table, Values,
        export::{ExportColumn, FileFormat, TableWriter},
        parquet::ParquetError,
    },
    language::Language,
    model::{Cell, CellError, Input, MAX_PROBLEMS, Model, PredictError, PredictOptions},
    telemetry,
    training::team::Team,
};
use std::{
    io::{self, Seek, Write},
    ops::Range,
    sync::atomic::{AtomicBool, AtomicU64, Ordering},
};

/// Rows that are in memory at once.
const SLAB_ROWS: usize = 1 << 17;
/// Rows that one processor takes at a time: enough for efficient matrix products.
const PIECE_ROWS: usize = 4096;

/// How the rows are answered.
#[derive(Debug, Clone, Copy)]
pub struct Wanted {
    /// How the model answers.
    pub options: PredictOptions,
    /// Of the warnings.
    pub language: Language,
    /// What the file is to be.
    pub format: FileFormat,
    /// Whether somebody waits for it; otherwise other work goes first.
    pub is_awaited: bool,
}

/// How far it is; to be looked at from another thread.
#[derive(Debug, Default)]
pub struct Progress {
    /// Rows of the file; 0 until it has been read.
    pub rows: AtomicU64,
    /// Rows that have been answered.
    pub rows_done: AtomicU64,
    /// Of these, those outside the domain of the model.
    pub rows_outside: AtomicU64,
    /// Set to make it stop.
    pub stop: AtomicBool,
}

/// Why there is no answer.
#[derive(Debug, thiserror::Error)]
pub enum AnswerError {
    /// Cells that the model cannot use.
    #[error(transparent)]
    Refused(#[from] PredictError),
    /// More rows or columns than a workbook holds.
    #[error("{0}; ask for text/csv")]
    TooLarge(String),
    /// The file could not be written.
    #[error("the answer could not be written")]
    Io(#[source] io::Error),
    /// What was read cannot be read back.
    #[error(transparent)]
    Table(#[from] ParquetError),
    /// It was told to stop.
    #[error("it was told to stop")]
    Stopped,
}

impl From<io::Error> for AnswerError {
    fn from(error: io::Error) -> Self {
        match error.kind() {
            io::ErrorKind::InvalidInput => Self::TooLarge(error.to_string()),
            _ => Self::Io(error),
        }
    }
}

/// Writes the rows of `tables` to `to`: their own columns, and the answers of `model`, which has every input among them.
///
/// # Errors
/// See [`AnswerError`]; what was written by then is worth nothing.
pub fn answer<W: Write + Seek>(
    tables: &Tables,
    model: &Model,
    wanted: Wanted,
    progress: &Progress,
    to: W,
) -> Result<W, AnswerError> {
    let own: Vec<&str> = tables.names.iter().map(String::as_str).collect();
    let new = answers::names(&own, &model.manifest().targets);
    let names: Vec<&str> = own.iter().copied().chain(new.iter().map(String::as_str)).collect();
    let mut writer = TableWriter::begin(to, wanted.format, &names)?;
    let n_threads = std::thread::available_parallelism().map_or(1, usize::from);
    let team = if wanted.is_awaited { Team::awaited(n_threads) } else { Team::new(n_threads) };
    let team = team.map_err(io::Error::other)?;
    let n_piece = tables.n_rows.div_ceil(n_threads).clamp(1, PIECE_ROWS);
    for first in (0..tables.n_rows).step_by(SLAB_ROWS) {
        let (typed, spelt) = tables.read(first, SLAB_ROWS)?;
        let slab = Slab { first, typed: &typed, spelt: spelt.as_ref(), model, wanted };
        let n_rows = typed.n_rows();
        let starts: Vec<usize> = (0..n_rows).step_by(n_piece).collect();
        for starts in starts.chunks(n_threads) {
            if progress.stop.load(Ordering::Relaxed) {
                return Err(AnswerError::Stopped);
            }
            let piece = |i: usize| slab.answer(starts[i]..(starts[i] + n_piece).min(n_rows));
            for answered in team.lead(|| team.each(starts.len(), piece)) {
                let Piece { text, n_rows, n_outside } = match answered {
                    Err(AnswerError::Refused(_)) => {
                        return Err(problems(tables, model, wanted, first + starts[0]));
                    }
                    answered => answered?,
                };
                writer.push(&text)?;
                metrics::counter!(telemetry::PREDICTED_ROWS).increment(n_rows);
                progress.rows_done.fetch_add(n_rows, Ordering::Relaxed);
                progress.rows_outside.fetch_add(n_outside, Ordering::Relaxed);
            }
        }
    }
    Ok(writer.finish()?)
}

/// The rows that are in memory.
struct Slab<'a> {
    first: usize,
    typed: &'a Table,
    spelt: Option<&'a Table>,
    model: &'a Model,
    wanted: Wanted,
}

/// Rows that were answered, as text.
struct Piece {
    text: String,
    n_rows: u64,
    n_outside: u64,
}

impl Slab<'_> {
    fn answer(&self, rows: Range<usize>) -> Result<Piece, AnswerError> {
        let n_rows = rows.len();
        let cells = cells(self.typed, self.model.inputs(), rows.clone());
        let predictions = self.model.predict(&cells, n_rows, &self.wanted.options)?;
        let new = answers::columns(&predictions, self.wanted.language);
        let own = self.typed.columns.iter().map(|column| {
            let spelt = self.spelt.and_then(|spelt| match &spelt.column(&column.name)?.values {
                Values::Text(texts) => Some(texts.as_slice()),
                _ => None,
            });
            ExportColumn { values: &column.values, texts: spelt, first: rows.start }
        });
        let new = new.iter().map(|values| ExportColumn { values, texts: None, first: 0 });
        let columns: Vec<ExportColumn> = own.chain(new).collect();
        let text = self.wanted.format.rows(&columns, self.first + rows.start, n_rows)?;
        let n_outside = predictions.in_domain.iter().filter(|inside| !**inside).count();
        Ok(Piece { text, n_rows: n_rows as u64, n_outside: n_outside as u64 })
    }
}

/// The cells of some rows as a model takes them: row by row, in the order of its `inputs`.
pub fn cells<'a>(table: &'a Table, inputs: &[Input], rows: Range<usize>) -> Vec<Cell<'a>> {
    let columns: Vec<Option<&Values>> =
        inputs.iter().map(|input| table.column(&input.name).map(|column| &column.values)).collect();
    let mut cells = Vec::with_capacity(rows.len() * inputs.len());
    for row in rows {
        cells.extend(columns.iter().map(|column| column.map_or(Cell::Absent, |values| cell(values, row))));
    }
    cells
}

/// One value of a column as a cell of a request.
pub fn cell(values: &Values, row: usize) -> Cell<'_> {
    match values {
        Values::Number(numbers) if numbers[row].is_finite() => Cell::Number(numbers[row]),
        Values::Category { codes, levels } => {
            levels.get(codes[row] as usize).map_or(Cell::Missing, |level| Cell::Text(level.into()))
        }
        Values::Text(texts) => texts[row].as_deref().map_or(Cell::Missing, |text| Cell::Text(text.into())),
        Values::Boolean(flags) => flags[row].map_or(Cell::Missing, Cell::Boolean),
        Values::Date(_) => match values.json(row) {
            serde_json::Value::String(text) => Cell::Text(text.into()),
            _ => Cell::Missing,
        },
        Values::Number(_) => Cell::Missing,
    }
}

/// All that cannot be used from row `first` on, where something cannot: whoever mends the file should not be told of
/// one place at a time.
fn problems(tables: &Tables, model: &Model, wanted: Wanted, first: usize) -> AnswerError {
    let mut problems: Vec<CellError> = Vec::new();
    let inputs = model.inputs();
    'slabs: for first in (first..tables.n_rows).step_by(SLAB_ROWS) {
        let typed = match tables.read(first, SLAB_ROWS) {
            Ok((typed, _)) => typed,
            Err(error) => return error.into(),
        };
        for row in 0..typed.n_rows() {
            let cells = cells(&typed, inputs, row..row + 1);
            for (input, cell) in inputs.iter().zip(&cells) {
                let Err(problem) = input.read(cell, wanted.options.unknown_category) else { continue };
                problems.push(CellError {
                    row: first + row,
                    column: input.name.clone(),
                    slug: problem.slug,
                    message: problem.message,
                });
            }
            if problems.len() >= MAX_PROBLEMS {
                break 'slabs;
            }
        }
    }
    AnswerError::Refused(PredictError { cells: problems })
}
