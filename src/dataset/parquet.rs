//! The typed table as a Parquet file and back, exactly.
//!
//! Every column is one Parquet column that other programs read too: numbers as doubles, dates as
//! timestamps in milliseconds, missing values as nulls. Categories are stored as the numbers of
//! their levels. What Parquet has no place for (kinds, units, levels and their order) is JSON under
//! the key `taqicfd.table` of the file's metadata.

use super::{
    source::Source,
    table::{Column, ColumnKind, MISSING_CODE, MISSING_DATE, Table, Values},
};
use polars::io::mmap::MmapBytesReader;
use polars::prelude::{
    BooleanChunked, Column as Series, DataFrame, DataType, Float64Chunked, Int64Chunked, IntoColumn,
    KeyValueMetadata, NewChunkedArray, ParquetCompression, ParquetReader, ParquetWriter, PlSmallStr,
    PolarsError, SerReader, StatisticsOptions, StringChunked, TimeUnit, UInt32Chunked,
};
use serde::{Deserialize, Serialize};
use std::{
    fs::File,
    io::{Cursor, Write},
    ops::Range,
    path::Path,
    thread,
};

const KEY: &str = "taqicfd.table";
const VERSION: u32 = 1;
/// Rows that are encoded at once.
const GROUP_ROWS: usize = 1 << 17;
/// Rows that show whether compressing helps.
const SAMPLE_ROWS: usize = 1 << 13;

/// Why a table could not be stored or read back.
#[derive(Debug, thiserror::Error)]
pub enum ParquetError {
    /// The file could not be opened, written or read.
    #[error("the table file could not be accessed")]
    Io(#[from] std::io::Error),
    /// The bytes are no Parquet file, or a damaged one.
    #[error("the table file is damaged")]
    Damaged(#[from] PolarsError),
    /// A Parquet file, but not one that [`write()`] made.
    #[error("the table file is not one of ours: {0}")]
    Foreign(String),
}

#[derive(Serialize, Deserialize)]
struct Metadata {
    version: u32,
    columns: Vec<ColumnMetadata>,
}

#[derive(Serialize, Deserialize)]
struct ColumnMetadata {
    name: String,
    kind: ColumnKind,
    unit: Option<String>,
    storage: Storage,
    #[serde(skip_serializing_if = "Option::is_none", default)]
    levels: Option<Vec<String>>,
}

#[derive(Serialize, Deserialize, Clone, Copy)]
#[serde(rename_all = "snake_case")]
enum Storage {
    Number,
    Category,
    Date,
    Boolean,
    Text,
}

/// Writes `table` to a new file. Whoever keeps the file makes it durable.
pub fn write(table: &Table, path: &Path) -> Result<(), ParquetError> {
    let metadata = Metadata { version: VERSION, columns: table.columns.iter().map(metadata_of).collect() };
    let json = serde_json::to_string(&metadata).map_err(std::io::Error::other)?;
    let metadata = KeyValueMetadata::from_static(vec![(KEY.to_owned(), json)]);
    let compression = compression(table)?;
    let mut file = File::create(path)?;
    let writer = writer(&mut file, compression).with_key_value_metadata(Some(metadata));
    let writer = writer.batched(frame(table, 0..0)?.schema())?;
    let n_rows = table.n_rows();
    let n_threads = thread::available_parallelism().map_or(1, usize::from);
    // So many groups at a time that every processor has one.
    for wave in (0..n_rows).step_by(n_threads * GROUP_ROWS) {
        let starts = (wave..n_rows).step_by(GROUP_ROWS).take(n_threads);
        let encode = |start: usize| -> Result<_, ParquetError> {
            let frame = frame(table, start..(start + GROUP_ROWS).min(n_rows))?;
            Ok(writer.encode_and_compress(&frame).collect::<Result<Vec<_>, _>>()?)
        };
        thread::scope(|scope| {
            let started: Vec<_> = starts
                .map(|start| (start, thread::Builder::new().spawn_scoped(scope, move || encode(start))))
                .collect();
            started.into_iter().try_for_each(|(start, thread)| {
                let groups = match thread {
                    Ok(thread) => thread.join().unwrap_or_else(|panic| std::panic::resume_unwind(panic)),
                    // What cannot have a thread is done here.
                    Err(_) => encode(start),
                };
                Ok::<_, ParquetError>(writer.write_row_groups(groups?)?)
            })
        })?;
    }
    writer.finish()?;
    Ok(())
}

fn writer<W: Write>(to: W, compression: ParquetCompression) -> ParquetWriter<W> {
    // The profile of the dataset holds better statistics.
    ParquetWriter::new(to)
        .with_compression(compression)
        .with_statistics(StatisticsOptions::empty())
        .set_parallel(false)
}

/// Measured numbers hardly get smaller, and then compressing takes longer than writing.
fn compression(table: &Table) -> Result<ParquetCompression, ParquetError> {
    let sample = frame(table, 0..table.n_rows().min(SAMPLE_ROWS))?;
    let size = |compression| -> Result<usize, ParquetError> {
        let mut bytes = Vec::new();
        writer(&mut bytes, compression).finish(&mut sample.clone())?;
        Ok(bytes.len())
    };
    let compressed = size(ParquetCompression::Snappy)?;
    let is_smaller = compressed * 4 < size(ParquetCompression::Uncompressed)? * 3;
    Ok(if is_smaller { ParquetCompression::Snappy } else { ParquetCompression::Uncompressed })
}

fn frame(table: &Table, rows: Range<usize>) -> Result<DataFrame, ParquetError> {
    let columns = table.columns.iter().map(|column| to_series(column, rows.clone())).collect();
    Ok(DataFrame::new(rows.len(), columns)?)
}

/// Reads a table that [`write()`] wrote.
pub fn read<'a>(source: impl Into<Source<'a>>) -> Result<Table, ParquetError> {
    read_rows(source, 0, usize::MAX)
}

/// Reads at most `limit` rows from `offset` on; categories keep all their levels.
pub fn read_rows<'a>(
    source: impl Into<Source<'a>>,
    offset: usize,
    limit: usize,
) -> Result<Table, ParquetError> {
    match source.into() {
        // Of a file, only what is asked for comes into memory.
        Source::Path(path) | Source::Watched(path, _) => rows_of(File::open(path)?, offset, limit),
        Source::Bytes(bytes) => rows_of(Cursor::new(bytes), offset, limit),
    }
}

fn rows_of(from: impl MmapBytesReader, offset: usize, limit: usize) -> Result<Table, ParquetError> {
    let mut reader = ParquetReader::new(from);
    let json = reader.get_metadata()?.key_value_metadata().iter().flatten().find(|pair| pair.key == KEY);
    let json = json
        .and_then(|pair| pair.value.clone())
        .ok_or_else(|| foreign("it has no description of its columns"))?;
    let metadata: Metadata = serde_json::from_str(&json).map_err(|error| foreign(&error.to_string()))?;
    if metadata.version != VERSION {
        return Err(foreign(&format!(
            "version {} of the format is newer than this program",
            metadata.version
        )));
    }
    let offset = offset.min(reader.num_rows()?);
    let frame = reader.with_slice(Some((offset, limit))).finish()?;
    let columns = metadata.columns.into_iter().map(|column| from_series(&frame, column));
    Ok(Table { columns: columns.collect::<Result<_, _>>()? })
}

fn foreign(why: &str) -> ParquetError {
    ParquetError::Foreign(why.to_owned())
}

fn metadata_of(column: &Column) -> ColumnMetadata {
    let (storage, levels) = match &column.values {
        Values::Number(_) => (Storage::Number, None),
        Values::Category { levels, .. } => (Storage::Category, Some(levels.clone())),
        Values::Date(_) => (Storage::Date, None),
        Values::Boolean(_) => (Storage::Boolean, None),
        Values::Text(_) => (Storage::Text, None),
    };
    ColumnMetadata {
        name: column.name.clone(),
        kind: column.kind,
        unit: column.unit.clone(),
        storage,
        levels,
    }
}

fn to_series(column: &Column, rows: Range<usize>) -> Series {
    let name = column.name.as_str().into();
    match &column.values {
        Values::Number(values) => numbers(name, &values[rows]),
        Values::Category { codes, .. } => {
            let present = codes[rows].iter().map(|code| (*code != MISSING_CODE).then_some(*code));
            UInt32Chunked::from_iter_options(name, present).into_column()
        }
        Values::Date(dates) => {
            let present = dates[rows].iter().map(|date| (*date != MISSING_DATE).then_some(*date));
            let ms = Int64Chunked::from_iter_options(name, present);
            ms.into_datetime(TimeUnit::Milliseconds, None).into_column()
        }
        Values::Boolean(values) => {
            BooleanChunked::from_iter_options(name, values[rows].iter().copied()).into_column()
        }
        Values::Text(texts) => {
            StringChunked::from_iter_options(name, texts[rows].iter().map(Option::as_deref)).into_column()
        }
    }
}

fn numbers(name: PlSmallStr, values: &[f64]) -> Series {
    if !values.iter().any(|value| value.is_nan()) {
        return Float64Chunked::from_slice(name, values).into_column();
    }
    let present = values.iter().map(|value| (!value.is_nan()).then_some(*value));
    Float64Chunked::from_iter_options(name, present).into_column()
}

fn from_series(frame: &DataFrame, metadata: ColumnMetadata) -> Result<Column, ParquetError> {
    let series = frame.column(&metadata.name)?;
    let values = match metadata.storage {
        Storage::Number => {
            Values::Number(series.f64()?.iter().map(|value| value.unwrap_or(f64::NAN)).collect())
        }
        Storage::Category => {
            let levels = metadata.levels.unwrap_or_default();
            let codes: Vec<u32> = series.u32()?.iter().map(|code| code.unwrap_or(MISSING_CODE)).collect();
            if codes.iter().any(|code| *code != MISSING_CODE && *code as usize >= levels.len()) {
                return Err(foreign(&format!("column '{}' has a value without a level", metadata.name)));
            }
            Values::Category { codes, levels }
        }
        Storage::Date => {
            let ms = series.cast(&DataType::Int64)?;
            Values::Date(ms.i64()?.iter().map(|date| date.unwrap_or(MISSING_DATE)).collect())
        }
        Storage::Boolean => Values::Boolean(series.bool()?.iter().collect()),
        Storage::Text => Values::Text(series.str()?.iter().map(|text| text.map(str::to_owned)).collect()),
    };
    Ok(Column { name: metadata.name, kind: metadata.kind, unit: metadata.unit, values })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn table() -> Table {
        let column = |name: &str, kind, values| Column { name: name.to_owned(), kind, unit: None, values };
        let mut number = column("Pressão", ColumnKind::Number, Values::Number(vec![0.1, -0.0, 5e-324]));
        number.unit = Some("hPa".to_owned());
        let levels = vec!["never used".to_owned(), "b".to_owned(), "a".to_owned()];
        let codes = vec![2, MISSING_CODE, 1];
        let texts = vec![None, Some(String::new()), Some("line\nbreak".to_owned())];
        Table {
            columns: vec![
                number,
                column("c", ColumnKind::Category, Values::Category { codes, levels }),
                column("d", ColumnKind::Date, Values::Date(vec![-1, MISSING_DATE, i64::MAX])),
                column("b", ColumnKind::Boolean, Values::Boolean(vec![Some(true), None, Some(false)])),
                column("t", ColumnKind::Identifier, Values::Text(texts)),
            ],
        }
    }

    fn file(table: &Table) -> (tempfile::TempDir, std::path::PathBuf) {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("table.parquet");
        write(table, &path).unwrap();
        (folder, path)
    }

    #[test]
    fn a_table_comes_back_as_it_was() {
        let table = table();
        let (_folder, path) = file(&table);
        assert_eq!(read(path.as_path()).unwrap(), table);
        let Values::Number(numbers) = &read(path.as_path()).unwrap().columns[0].values else {
            panic!("numbers")
        };
        assert!(numbers[1].is_sign_negative(), "-0 keeps its sign");
    }

    #[test]
    fn a_page_of_rows() {
        let table = table();
        let (_folder, path) = file(&table);
        let page = read_rows(path.as_path(), 1, 1).unwrap();
        assert_eq!(page.rows_json(0, 10), table.rows_json(1, 1));
        assert_eq!(read_rows(path.as_path(), 2, 100).unwrap().n_rows(), 1);
        assert_eq!(read_rows(path.as_path(), 99, 100).unwrap().n_rows(), 0);
    }

    #[test]
    fn other_bytes_are_refused() {
        assert!(matches!(read(b"PAR1 no parquet".as_slice()), Err(ParquetError::Damaged(_))));
        let mut frame = DataFrame::new(1, vec![Series::new("x".into(), [1.0])]).unwrap();
        let mut bytes = Vec::new();
        ParquetWriter::new(&mut bytes).finish(&mut frame).unwrap();
        assert!(
            matches!(read(bytes.as_slice()), Err(ParquetError::Foreign(_))),
            "a Parquet file of someone else"
        );
        let (_folder, path) = file(&table());
        let mut bytes = std::fs::read(path).unwrap();
        bytes.truncate(bytes.len() / 2);
        assert!(read(bytes.as_slice()).is_err(), "cut off");
    }
}
