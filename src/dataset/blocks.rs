//! One pass over a text file without quotes, by blocks of whole lines: threads cut blocks into
//! cells and cells into columns side by side, and the parts are put together in order.
//!
//! ```text
//! reader: text -> blocks ---+--> thread: block 1, 3, .. -> parts of all columns --+--> columns
//!                           +--> thread: block 2, 4, .. -> parts of all columns --+
//! ```
//!
//! What a row means can depend on those before and after it: a note, a total, a row too short. A
//! block with such a row, which is rare, is left to [`Rows`] and [`BodyRows`], row by row.

use super::{
    body_rows::{BodyRows, Sieve},
    delimited::Dialect,
    error::ReadError,
    filling::Pending,
    header::Layout,
    missing::Missing,
    options::ReadLimits,
    row::{Cell, Row, trimmed},
    text_rows::Rows,
    transcode::count_feeds,
};
use std::{
    collections::VecDeque,
    io::{self, Read},
    sync::{
        Mutex,
        mpsc::{Receiver, Sender, SyncSender, channel, sync_channel},
    },
    thread,
};

/// The first block holds the header and is read row by row.
const FIRST_BLOCK: usize = 1 << 16;
const BLOCK: usize = 1 << 20;
/// More threads would wait for the reader.
const MAX_THREADS: usize = 8;

/// Whole lines.
#[derive(Debug)]
struct Block {
    first_line: u64,
    text: Vec<u8>,
}

/// The columns of a block, or `None` where a row of it has to be looked at with the others.
#[derive(Debug)]
struct Part {
    block: Block,
    columns: Option<Columns>,
}

#[derive(Debug)]
struct Columns {
    pending: Pending,
    n_rows: u64,
    last_line: u64,
}

/// A block on its way to a thread, and where its part is to go.
type Task = (Block, SyncSender<Part>);

/// What is the same for all blocks of a file.
#[derive(Debug, Clone, Copy)]
pub(super) struct Table<'a> {
    pub(super) layout: &'a Layout,
    pub(super) dialect: &'a Dialect,
    /// What [`Dialect::plain_delimiter`] says.
    pub(super) delimiter: u8,
    pub(super) limits: &'a ReadLimits,
    pub(super) missing: &'a Missing,
}

/// Fills `pending` from a text without quotes whose last line is ended. `count` is told of every
/// row and may refuse it.
pub(super) fn fill(
    mut pending: Pending,
    table: Table<'_>,
    text: &mut dyn Read,
    body_rows: &mut BodyRows,
    count: &mut dyn FnMut(u64) -> Result<(), ReadError>,
) -> Result<Pending, ReadError> {
    let empty: Pending = pending.iter().map(|(column, building)| (*column, building.part())).collect();
    let cutter = Cutter::new(&empty, table, body_rows.sieve());
    let mut rows = Rows::new(table.layout, table.dialect, table.limits);
    let first_line = rows.first_line();
    let mut gather = |part: Part, pending: &mut Pending| {
        let Some(columns) = part.columns else {
            return rows.read(part.block.text.as_slice(), part.block.first_line, &mut |row| {
                body_rows.pass(row, &mut |row| push(row, pending, table.missing, count))
            });
        };
        if rows.count(columns.n_rows)? {
            let each = &mut |row: Row<'_>| push(row, pending, table.missing, count);
            body_rows.pass_plain(columns.n_rows, columns.last_line, each)?;
            count(columns.n_rows)?;
            for ((_, building), (_, part)) in pending.iter_mut().zip(columns.pending) {
                building.append(part);
            }
        }
        Ok(())
    };
    let mut blocks = Blocks { text, carried: Vec::new(), next_line: 1 };
    let (tasks, queue) = channel::<Task>();
    let queue = Mutex::new(queue);
    thread::scope(|scope| {
        // Moved in, so that the threads end when this scope is left early too.
        let tasks = tasks;
        let mut n_threads = 0;
        let mut waiting: VecDeque<Receiver<Part>> = VecDeque::new();
        while let Some(block) = blocks.next()? {
            if block.first_line < first_line {
                gather(Part { block, columns: None }, &mut pending)?;
                continue;
            }
            if n_threads == 0 {
                let n_cores = thread::available_parallelism().map_or(1, usize::from).min(MAX_THREADS);
                let start = || thread::Builder::new().spawn_scoped(scope, || work(&queue, &cutter, &empty));
                n_threads = (0..n_cores).take_while(|_| start().is_ok()).count();
            }
            if n_threads == 0 {
                gather(cutter.cut(block, &empty), &mut pending)?;
                continue;
            }
            let (answer, part) = sync_channel(1);
            hand_on(&tasks, (block, answer))?;
            waiting.push_back(part);
            if waiting.len() > 2 * n_threads
                && let Some(first) = waiting.pop_front()
            {
                gather(first.recv().map_err(lost)?, &mut pending)?;
            }
        }
        drop(tasks);
        waiting.iter().try_for_each(|part| gather(part.recv().map_err(lost)?, &mut pending))
    })?;
    rows.finish(&mut |row| body_rows.pass(row, &mut |row| push(row, &mut pending, table.missing, count)))?;
    Ok(pending)
}

fn hand_on(tasks: &Sender<Task>, task: Task) -> Result<(), ReadError> {
    tasks.send(task).map_err(lost)
}

/// A thread that is gone has panicked, which shows where it is joined.
fn lost<E>(_: E) -> ReadError {
    io::Error::other("a reading thread is gone").into()
}

fn push(
    row: Row<'_>,
    pending: &mut Pending,
    missing: &Missing,
    count: &mut dyn FnMut(u64) -> Result<(), ReadError>,
) -> Result<(), ReadError> {
    count(1)?;
    for (column, building) in pending {
        building.push(row.line(), row.cell(*column), missing);
    }
    Ok(())
}

fn work(queue: &Mutex<Receiver<Task>>, cutter: &Cutter<'_>, empty: &Pending) {
    loop {
        let Ok(Ok((block, answer))) = queue.lock().map(|queue| queue.recv()) else { return };
        // Nobody waits any more where the file was refused.
        let _ = answer.send(cutter.cut(block, empty));
    }
}

/// Cuts a text into blocks.
struct Blocks<'a> {
    text: &'a mut dyn Read,
    /// The begun line at the end of the last block.
    carried: Vec<u8>,
    next_line: u64,
}

impl Blocks<'_> {
    fn next(&mut self) -> Result<Option<Block>, ReadError> {
        let mut text = std::mem::take(&mut self.carried);
        let mut size = if self.next_line == 1 { FIRST_BLOCK } else { BLOCK };
        loop {
            let n_before = text.len();
            (&mut *self.text).take(size as u64).read_to_end(&mut text)?;
            if text.is_empty() {
                return Ok(None);
            }
            let is_last = text.len() == n_before;
            let end = memchr::memrchr(b'\n', &text[n_before..]).map(|at| n_before + at + 1);
            let end = end.or_else(|| is_last.then_some(text.len()));
            if let Some(end) = end {
                self.carried = text.split_off(end);
                let first_line = self.next_line;
                self.next_line += count_feeds(&text);
                return Ok(Some(Block { first_line, text }));
            }
            size = BLOCK;
        }
    }
}

/// How a line becomes cells of columns.
struct Cutter<'a> {
    table: Table<'a>,
    sieve: Sieve,
    /// For each column of the file, where it is among those to be filled, and its decimal mark
    /// where its cells may be taken quickly.
    places: Vec<Option<(usize, Option<u8>)>>,
}

impl<'a> Cutter<'a> {
    fn new(empty: &Pending, table: Table<'a>, sieve: Sieve) -> Self {
        let mut places = vec![None; table.layout.width];
        for (i, (column, building)) in empty.iter().enumerate() {
            places[*column] = Some((i, building.quick_decimal(table.missing)));
        }
        Self { table, sieve, places }
    }

    fn cut(&self, block: Block, empty: &Pending) -> Part {
        let mut pending: Pending =
            empty.iter().map(|(column, building)| (*column, building.part())).collect();
        let (mut n_rows, mut line, mut last_line) = (0, block.first_line, 0);
        let mut rest = block.text.as_slice();
        while !rest.is_empty() {
            let end = memchr::memchr(b'\n', rest).unwrap_or(rest.len());
            let row = &rest[..end];
            rest = rest.get(end + 1..).unwrap_or_default();
            if !row.trim_ascii().is_empty() {
                if !self.cut_row(line, row, &mut pending) {
                    return Part { block, columns: None };
                }
                n_rows += 1;
                last_line = line;
            }
            line += 1;
        }
        Part { block, columns: Some(Columns { pending, n_rows, last_line }) }
    }

    /// `false` where the row is not like most.
    fn cut_row(&self, line: u64, row: &[u8], pending: &mut Pending) -> bool {
        let Table { layout, delimiter, limits, missing, .. } = self.table;
        let row = row.strip_suffix(b"\r").unwrap_or(row);
        if row.len() > limits.max_cell_chars || !self.sieve.lets_through(row, delimiter) {
            return false;
        }
        // Behind the last cell this lies one behind the row, as if a separator ended it.
        let mut at = 0;
        for (column, place) in self.places.iter().enumerate() {
            let Some(text) = row.get(at..) else {
                if column < layout.min_width {
                    return false;
                }
                if let Some((i, _)) = place {
                    pending[*i].1.push(line, Cell::Empty, missing);
                }
                continue;
            };
            let taken = place.and_then(|(i, quick)| pending[i].1.push_first(text, quick?, delimiter));
            let end = taken.unwrap_or_else(|| {
                let end = memchr::memchr(delimiter, text).unwrap_or(text.len());
                if let Some((i, _)) = place {
                    let cell = match trimmed(&text[..end]) {
                        [] => Cell::Empty,
                        cell => Cell::Text(cell),
                    };
                    pending[*i].1.push(line, cell, missing);
                }
                end
            });
            at += end + 1;
        }
        // Separators at the end of the line add empty cells.
        let mut more = row.get(at..).unwrap_or_default().iter();
        more.all(|byte| *byte == delimiter || byte.is_ascii_whitespace())
    }
}

#[cfg(test)]
mod tests {
    use crate::dataset::{ReadLimits, ReadOptions, Values, read};
    use std::fmt::Write;

    /// Missing numbers are equal here.
    fn is_same(a: &Values, b: &Values) -> bool {
        match (a, b) {
            (Values::Number(a), Values::Number(b)) => {
                a.len() == b.len() && a.iter().zip(b).all(|(a, b)| a.to_bits() == b.to_bits())
            }
            (a, b) => a == b,
        }
    }

    /// Lines of a table of several blocks; `odd` replaces the line of that number.
    fn lines(n: usize, end: &str, odd: &[(usize, &str)]) -> String {
        let mut text = format!("name;x;y;n{end}");
        for line in 2..=n {
            match odd.iter().find(|(at, _)| *at == line) {
                Some((_, odd)) => text.push_str(odd),
                None => {
                    let name = ["ash", "beech", "Tara"][line % 3];
                    let x =
                        if line % 17 == 0 { "NA".to_owned() } else { format!("{},{:03}", line % 97, line) };
                    let _ = write!(text, "{name};{x};-{line};{}", 7 * line % 1000);
                }
            }
            text.push_str(end);
        }
        text
    }

    #[test]
    fn blocks_and_rows_give_the_same() {
        /// What is odd, the lines that are, and how lines end.
        type Case<'a> = (&'a str, &'a [(usize, &'a str)], &'a str);
        #[rustfmt::skip]
        let cases: &[Case<'_>] = &[
            ("plain", &[], "\n"),
            ("line ends of Windows", &[], "\r\n"),
            ("blank lines", &[(9_000, ""), (50_000, "  "), (70_000, ";;;")], "\n"),
            ("cells too many, but empty", &[(40_000, "ash;1,5;2;3;;"), (60_000, "ash;1,5;2;3;")], "\n"),
            ("cells too few", &[(40_000, "ash;1,5"), (41_000, "ash"), (80_000, "ash;1;2;3;4")], "\n"),
            ("a total that is a row", &[(50_000, "Total;1,5;2;3")], "\n"),
            ("a footer", &[(100_000, "Total;1,5;2;3"), (99_999, "Source: the office;;;")], "\n"),
            ("notes at the end", &[(99_999, "Source: the office"), (100_000, "made by hand")], "\n"),
            ("the header again", &[(50_000, "name;x;y;n")], "\n"),
            ("other numbers", &[(50_000, "ash;1e3;- 5;12345678901234567890"), (60_000, " oak ; 1,5 ;+2;0"), (70_000, "ash;inf;1e999;-0")], "\n"),
            ("codes in one column", &[(90_000, "ash;1,5;2;007")], "\n"),
            ("no number in the last block", &[(99_000, "ash;1,5;two;3")], "\n"),
            ("two ways to write numbers", &[(95_000, "ash;1.5;2;3")], "\n"),
            ("a cell too large", &[(95_000, &"ash".repeat(20_000))], "\n"),
            ("levels that come late", &[(30_000, "zebra wood;1;2;3"), (90_000, "pear;1;2;3")], "\n"),
        ];
        for (what, odd, end) in cases {
            let text = lines(100_000, end, odd);
            assert!(text.len() > 2 << 20, "several blocks");
            let read = |text: &str| {
                read(text.as_bytes(), "t.csv", &ReadOptions::default(), &ReadLimits::default())
                    .map_err(|error| (error.slug().to_owned(), error.detail().to_owned()))
            };
            // With a quote in it the file is read row by row.
            let (blocks, rows) = (read(&text), read(&text.replacen("name;", "\"name\";", 1)));
            match (blocks, rows) {
                (Ok(blocks), Ok(rows)) => {
                    assert_eq!(blocks.description, rows.description, "{what}");
                    for (blocks, rows) in blocks.table.columns.iter().zip(&rows.table.columns) {
                        assert!(is_same(&blocks.values, &rows.values), "{what}: {}", blocks.name);
                    }
                }
                (Err(blocks), Err(rows)) => assert_eq!(blocks, rows, "{what}"),
                (blocks, rows) => panic!("{what}: {} {}", blocks.is_ok(), rows.is_ok()),
            }
        }
    }

    #[test]
    fn a_limit_on_rows_holds_over_blocks() {
        let text = lines(100_000, "\n", &[]);
        let limits = ReadLimits { max_rows: 60_000, ..ReadLimits::default() };
        let error = read(text.as_bytes(), "t.csv", &ReadOptions::default(), &limits).unwrap_err();
        assert_eq!(error.slug(), "too-many-rows");
        let limits = ReadLimits { max_cells: 4 * 60_000, ..ReadLimits::default() };
        let error = read(text.as_bytes(), "t.csv", &ReadOptions::default(), &limits).unwrap_err();
        assert_eq!(error.slug(), "too-many-cells");
    }
}
