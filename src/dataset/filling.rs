//! One pass over the rows of a file: one thread cuts the file into rows, others turn their cells
//! into columns. Each column stays with one thread, so nothing has to be put together afterwards.
//!
//! ```text
//! reader: rows -> batches of cells ----+--> thread: columns 0, 2, 4, ..
//!                                      +--> thread: columns 1, 3, 5, ..
//! ```

use super::{
    columns::Building,
    error::ReadError,
    missing::Missing,
    row::{Cell, Row},
};
use std::{
    sync::{
        Arc,
        mpsc::{Receiver, SyncSender, sync_channel},
    },
    thread::{self, Scope, ScopedJoinHandle},
};

/// A batch is handed on once it holds so much; what is smaller is not worth a thread.
const BATCH_CELLS: usize = 1 << 16;
const BATCH_BYTES: usize = 1 << 20;
/// Batches that may wait for a thread.
const QUEUE: usize = 2;
/// Cutting into rows takes about as long as this many threads need for the cells.
const MAX_THREADS: usize = 4;

/// Columns being filled, by their number.
pub(super) type Pending = Vec<(usize, Building)>;

/// Cells of some rows, without a string for each.
#[derive(Debug, Default)]
struct Batch {
    width: usize,
    lines: Vec<u64>,
    cells: Vec<Packed>,
    bytes: Vec<u8>,
}

#[derive(Debug, Clone, Copy)]
enum Packed {
    Empty,
    Text { start: u32, end: u32 },
    Number(f64),
    Percent(f64),
    Date(i64),
    Boolean(bool),
    Error,
}

impl Batch {
    fn push(&mut self, row: Row<'_>) {
        self.lines.push(row.line());
        for i in 0..self.width {
            let cell = match row.cell(i) {
                Cell::Empty => Packed::Empty,
                Cell::Text(text) => {
                    let start = self.bytes.len() as u32;
                    self.bytes.extend_from_slice(text);
                    Packed::Text { start, end: self.bytes.len() as u32 }
                }
                Cell::Number(number) => Packed::Number(number),
                Cell::Percent(fraction) => Packed::Percent(fraction),
                Cell::Date(ms) => Packed::Date(ms),
                Cell::Boolean(value) => Packed::Boolean(value),
                Cell::Error => Packed::Error,
            };
            self.cells.push(cell);
        }
    }

    fn is_full(&self) -> bool {
        self.cells.len() >= BATCH_CELLS || self.bytes.len() >= BATCH_BYTES
    }

    fn cell(&self, i: usize) -> Cell<'_> {
        match self.cells[i] {
            Packed::Empty => Cell::Empty,
            Packed::Text { start, end } => Cell::Text(&self.bytes[start as usize..end as usize]),
            Packed::Number(number) => Cell::Number(number),
            Packed::Percent(fraction) => Cell::Percent(fraction),
            Packed::Date(ms) => Cell::Date(ms),
            Packed::Boolean(value) => Cell::Boolean(value),
            Packed::Error => Cell::Error,
        }
    }

    fn fill(&self, pending: &mut Pending, missing: &Missing) {
        for (column, building) in pending {
            for (row, line) in self.lines.iter().enumerate() {
                building.push(*line, self.cell(row * self.width + *column), missing);
            }
        }
    }
}

struct Worker<'scope> {
    batches: SyncSender<Arc<Batch>>,
    filled: ScopedJoinHandle<'scope, Pending>,
}

fn work(mut pending: Pending, batches: &Receiver<Arc<Batch>>, missing: &Missing) -> Pending {
    while let Ok(batch) = batches.recv() {
        batch.fill(&mut pending, missing);
    }
    pending
}

/// Shares the columns out. Where no thread can be started, they stay with the reader.
fn hire<'scope, 'env>(
    scope: &'scope Scope<'scope, 'env>,
    pending: &mut Pending,
    missing: &'env Missing,
) -> Vec<Worker<'scope>> {
    let n_cores = thread::available_parallelism().map_or(1, usize::from);
    let n = n_cores.min(MAX_THREADS).min(pending.len());
    let mut workers = Vec::new();
    for i in 0..n {
        let n_left = n - i;
        let share = pending.split_off(pending.len() - pending.len() / n_left);
        // A share that is lost with a thread that cannot start would be lost columns.
        let share_cell = Arc::new(std::sync::Mutex::new(Some(share)));
        let (batches, received) = sync_channel(QUEUE);
        let taken = Arc::clone(&share_cell);
        let take = move |cell: &std::sync::Mutex<Option<Pending>>| {
            cell.lock().ok().and_then(|mut share| share.take()).unwrap_or_default()
        };
        let started =
            thread::Builder::new().spawn_scoped(scope, move || work(take(&taken), &received, missing));
        match started {
            Ok(filled) => workers.push(Worker { batches, filled }),
            Err(_) => {
                pending.extend(take(&share_cell));
                break;
            }
        }
    }
    workers
}

/// Fills `pending` from the rows that `visit` hands to its argument; each row has `width` cells.
pub(super) fn fill(
    mut pending: Pending,
    width: usize,
    missing: &Missing,
    visit: impl FnOnce(&mut dyn FnMut(Row<'_>) -> Result<(), ReadError>) -> Result<(), ReadError>,
) -> Result<Pending, ReadError> {
    thread::scope(|scope| {
        let mut workers: Option<Vec<Worker<'_>>> = None;
        let mut batch = Batch { width, ..Batch::default() };
        visit(&mut |row| {
            batch.push(row);
            if batch.is_full() {
                let full = std::mem::replace(&mut batch, Batch { width, ..Batch::default() });
                let workers = workers.get_or_insert_with(|| hire(scope, &mut pending, missing));
                hand_on(full, workers, &mut pending, missing);
            }
            Ok(())
        })?;
        let mut workers = workers.unwrap_or_default();
        hand_on(batch, &mut workers, &mut pending, missing);
        for Worker { batches, filled } in workers {
            drop(batches);
            pending.extend(filled.join().unwrap_or_else(|panic| std::panic::resume_unwind(panic)));
        }
        pending.sort_by_key(|(column, _)| *column);
        Ok(pending)
    })
}

fn hand_on(batch: Batch, workers: &mut [Worker<'_>], pending: &mut Pending, missing: &Missing) {
    let batch = Arc::new(batch);
    for worker in workers {
        // A thread that is gone has panicked, which shows when it is joined.
        let _ = worker.batches.send(Arc::clone(&batch));
    }
    batch.fill(pending, missing);
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::dataset::{
        Values, number_format::Evidence, row::OwnedCell, schema::Plan, table::NumberFormat,
    };

    #[test]
    fn many_batches_make_the_same_columns_as_one() {
        let format = NumberFormat { decimal: '.', thousands: None };
        let build = |plan: Plan| Building::new(plan, false, Evidence::default(), None);
        let pending = || vec![(0, build(Plan::Number(Some(format)))), (2, build(Plan::Text))];
        for n_rows in [3u64, 100_000] {
            let filled = fill(pending(), 3, &Missing::default(), |each| {
                (0..n_rows).try_for_each(|i| {
                    let cells = [
                        OwnedCell::text(&format!("{i}.5")),
                        OwnedCell::text("unused"),
                        OwnedCell::text(if i % 2 == 0 { "even" } else { "odd" }),
                    ];
                    each(Row::Cells { line: i + 2, cells: &cells })
                })
            })
            .unwrap();
            let [(0, numbers), (2, texts)] = <[_; 2]>::try_from(filled).unwrap() else { panic!("in order") };
            let expected: Vec<f64> = (0..n_rows).map(|i| i as f64 + 0.5).collect();
            assert_eq!(numbers.into_values(), Values::Number(expected));
            let Values::Category { codes, levels } = texts.into_values() else { panic!("texts") };
            assert_eq!((codes.len() as u64, levels.len()), (n_rows, 2));
            assert!((0..codes.len()).all(|i| codes[i] as usize == i % 2));
        }
    }
}
