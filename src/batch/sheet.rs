//! A spreadsheet on its way: read once for its values, and once more for how they are spelt.

use crate::{
    app::App,
    dataset::{
        ReadOptions, ReadReport, Table,
        export::{CsvStyle, FileFormat},
        parquet,
        parquet::ParquetError,
    },
    ingest::{IngestError, Ingested},
    model::Input,
    storage::AnswerFormat,
};
use std::{
    collections::BTreeMap,
    path::{Path, PathBuf},
};

/// A spreadsheet that was read. Its tables lie in scratch folders, which go with this value.
#[derive(Debug)]
pub struct Sheet {
    typed: Ingested,
    /// The same rows with every column as text, where they were read so.
    spelt: Option<Ingested>,
}

impl Sheet {
    /// Reads the `file`, which its sender calls `filename`, in a child process.
    ///
    /// # Errors
    /// What is wrong with the file.
    pub async fn read(
        app: &App,
        file: &Path,
        filename: &str,
        options: &ReadOptions,
    ) -> Result<Self, IngestError> {
        Ok(Self { typed: app.read_file(file, filename, options, &mut |_| {}).await?, spelt: None })
    }

    /// Reads the file once more, for what stood in the cells, where that is to be repeated.
    pub async fn read_spelling(
        &mut self,
        app: &App,
        file: &Path,
        filename: &str,
        options: &ReadOptions,
        format: AnswerFormat,
    ) {
        // The number of a workbook's cell is spelt by its format, which is not known here.
        if !self.is_text() && format == AnswerFormat::Csv {
            return;
        }
        let names = self.names();
        let as_text: BTreeMap<String, String> =
            names.iter().map(|name| ((*name).to_owned(), "text".to_owned())).collect();
        let options = ReadOptions { types: as_text, missing: Some(Vec::new()), ..options.clone() };
        // Without it, the cells are written as they were understood.
        let spelt = app.read_file(file, filename, &options, &mut |_| {}).await.ok();
        let is_same = |spelt: &Ingested| {
            let has = |name: &&str| spelt.description.columns.iter().any(|column| column.name == **name);
            spelt.description.rows == self.typed.description.rows && names.iter().all(has)
        };
        self.spelt = spelt.filter(is_same);
    }

    /// Number of rows.
    pub fn n_rows(&self) -> usize {
        usize::try_from(self.typed.description.rows).unwrap_or(usize::MAX)
    }

    /// How the file was read.
    pub fn report(&self) -> &ReadReport {
        &self.typed.description.read
    }

    /// Whether it is a text table, and no workbook.
    pub fn is_text(&self) -> bool {
        self.report().format == "csv"
    }

    /// What the answer is where nothing else was asked for: what the file is.
    pub fn own_format(&self) -> AnswerFormat {
        if self.is_text() { AnswerFormat::Csv } else { AnswerFormat::Xlsx }
    }

    /// An answer in `format`, in the marks of the file: for a workbook, and for a file whose columns stand in their
    /// places without a mark, those that go with its decimal mark.
    pub fn in_its_marks(&self, format: AnswerFormat) -> FileFormat {
        let ReadReport { delimiter, decimal, .. } = *self.report();
        let usual = if decimal == ',' { ';' } else { ',' };
        let delimiter = delimiter.filter(|mark| *mark != ' ').unwrap_or(usual);
        match format {
            AnswerFormat::Csv => FileFormat::Csv(CsvStyle { delimiter, decimal }),
            AnswerFormat::Xlsx => FileFormat::Xlsx,
        }
    }

    /// The names of the columns.
    pub fn names(&self) -> Vec<&str> {
        self.typed.description.columns.iter().map(|column| column.name.as_str()).collect()
    }

    /// Says which inputs the file lacks, if any, rather than that every row lacks them.
    pub fn lacks(&self, inputs: &[Input]) -> Option<String> {
        let names = self.names();
        let missing: Vec<&str> =
            inputs.iter().map(|input| input.name.as_str()).filter(|name| !names.contains(name)).collect();
        if missing.is_empty() {
            return None;
        }
        let known: Vec<&str> = names.into_iter().take(20).collect();
        Some(format!(
            "the file lacks the columns {}; it has {}. If the header is in another line, name it (header_row=)",
            missing.join(", "),
            known.join(", ")
        ))
    }

    /// Where the rows are.
    pub fn tables(&self) -> Tables {
        Tables {
            n_rows: self.n_rows(),
            names: self.names().into_iter().map(str::to_owned).collect(),
            typed: self.typed.parquet_path.clone(),
            spelt: self.spelt.as_ref().map(|spelt| spelt.parquet_path.clone()),
        }
    }
}

/// The rows of a [`Sheet`], which must live on meanwhile.
#[derive(Debug, Clone)]
pub struct Tables {
    /// Number of rows.
    pub n_rows: usize,
    /// The names of the columns.
    pub names: Vec<String>,
    typed: PathBuf,
    spelt: Option<PathBuf>,
}

impl Tables {
    /// At most `limit` rows from `first` on: typed, and as they are spelt, where that is known.
    pub fn read(&self, first: usize, limit: usize) -> Result<(Table, Option<Table>), ParquetError> {
        let read = |path: &PathBuf| parquet::read_rows(path.as_path(), first, limit);
        Ok((read(&self.typed)?, self.spelt.as_ref().map(read).transpose()?))
    }

    /// All rows, typed.
    pub fn read_all(&self) -> Result<Table, ParquetError> {
        parquet::read(self.typed.as_path())
    }
}
