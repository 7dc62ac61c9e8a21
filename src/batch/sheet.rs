//! A spreadsheet on its way: read once for its values, and once more for how they are spelt.

use crate::{
    app::App,
    dataset::{
        ColumnKind, ColumnProfile, Description, ReadOptions, ReadReport, Table, Usual, Warning,
        export::{CsvStyle, FileFormat},
        parquet,
        parquet::ParquetError,
    },
    ingest::{IngestError, Ingested},
    model::Input,
    storage::AnswerFormat,
};
use std::path::{Path, PathBuf};

/// The warnings of a reading that say what became of rows and cells.
const ABOUT_ROWS: [&str; 18] = [
    "codes-kept-as-text",
    "day-or-month",
    "encoding-guessed",
    "footer-left-out",
    "further-tables-left-out",
    "header-assumed",
    "lines-not-cut",
    "marks-left-out",
    "mixed-column",
    "mostly-numbers",
    "number-format-assumed",
    "repeated-header",
    "sentinel-missing",
    "table-above-left-out",
    "table-beside-left-out",
    "table-on-its-side",
    "text-as-missing",
    "values-made-missing",
];

/// A spreadsheet that was read. Its tables lie in scratch folders, which go with this value.
#[derive(Debug)]
pub struct Sheet {
    typed: Ingested,
    /// The same rows with every column as text, where they were read so.
    spelt: Option<Ingested>,
}

impl Sheet {
    /// Reads the `file`, which its sender calls `filename`, in a child process, for a model that takes `inputs`.
    ///
    /// # Errors
    /// What is wrong with the file.
    pub async fn read(
        app: &App,
        file: &Path,
        filename: &str,
        options: &ReadOptions,
        inputs: &[Input],
    ) -> Result<Self, IngestError> {
        let options = ReadOptions { usual: usual(inputs), ..options.clone() };
        Ok(Self { typed: app.read_file(file, filename, &options, &mut |_| {}).await?, spelt: None })
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
        if hides_spelling(self.report(), format) {
            return;
        }
        let options = as_spelt(&self.typed.description, options);
        // Without it, the cells are written as they were understood.
        let spelt = app.read_file(file, filename, &options, &mut |_| {}).await.ok();
        self.spelt = spelt.filter(|spelt| has_its_rows(&self.typed.description, &spelt.description));
    }

    /// Number of rows.
    pub fn n_rows(&self) -> usize {
        usize::try_from(self.typed.description.rows).unwrap_or(usize::MAX)
    }

    /// How the file was read.
    pub fn report(&self) -> &ReadReport {
        &self.typed.description.read
    }

    /// What the answer is where nothing else was asked for: what the file is.
    pub fn own_format(&self) -> AnswerFormat {
        if is_text(self.report()) { AnswerFormat::Csv } else { AnswerFormat::Xlsx }
    }

    /// An answer in `format`, in the marks of the file; see [`in_marks_of`].
    pub fn in_its_marks(&self, format: AnswerFormat) -> FileFormat {
        in_marks_of(self.report(), format)
    }

    /// What was noticed about its rows and cells while it was read. What is of interest to a training alone is not
    /// among it.
    pub fn warnings(&self) -> Vec<Warning> {
        about_rows(&self.typed.description).cloned().collect()
    }

    /// Whether the file has what a model takes.
    ///
    /// # Errors
    /// Which of the `inputs` it lacks, rather than that every row lacks them, or has in another unit.
    pub fn check(&self, inputs: &[Input]) -> Result<(), Unfit> {
        check(&self.typed.description.columns, inputs)
    }

    /// Where the rows are.
    pub fn tables(&self) -> Tables {
        let spelt = self.spelt.as_ref().map(|spelt| spelt.parquet_path.clone());
        Tables::new(&self.typed.description, self.typed.parquet_path.clone(), spelt)
    }
}

/// Whether a file is a text table, and no workbook.
fn is_text(report: &ReadReport) -> bool {
    report.format == "csv"
}

/// Whether an answer in `format` cannot repeat the cells as they are spelt: the number of a workbook's cell is spelt by
/// its format, which is not known here.
pub fn hides_spelling(report: &ReadReport, format: AnswerFormat) -> bool {
    !is_text(report) && format == AnswerFormat::Csv
}

/// The options that read every column of the file that became `typed` as it is spelt.
pub fn as_spelt(typed: &Description, options: &ReadOptions) -> ReadOptions {
    let as_text = typed.columns.iter().map(|column| (column.name.clone(), "text".to_owned())).collect();
    ReadOptions { types: as_text, missing: Some(Vec::new()), ..options.clone() }
}

/// Whether the spelling of a file belongs to the rows and columns that it was understood as.
pub fn has_its_rows(typed: &Description, spelt: &Description) -> bool {
    let has = |name: &str| spelt.columns.iter().any(|column| column.name == name);
    spelt.rows == typed.rows && typed.columns.iter().all(|column| has(&column.name))
}

/// An answer in `format`, in the marks of the file that was read: for a workbook, and for a file whose columns stand in
/// their places without a mark, those that go with its decimal mark.
pub fn in_marks_of(report: &ReadReport, format: AnswerFormat) -> FileFormat {
    let ReadReport { delimiter, decimal, .. } = *report;
    let usual = if decimal == ',' { ';' } else { ',' };
    let delimiter = delimiter.filter(|mark| *mark != ' ').unwrap_or(usual);
    match format {
        AnswerFormat::Csv => FileFormat::Csv(CsvStyle { delimiter, decimal }),
        AnswerFormat::Xlsx => FileFormat::Xlsx,
    }
}

/// Why a model cannot answer a file.
#[derive(Debug, PartialEq, Eq)]
pub enum Unfit {
    /// A column is not there.
    Lacks(String),
    /// A column is in another unit than the model learned it in.
    OtherUnit(String),
}

/// Whether the `columns` of a file are what a model takes.
///
/// # Errors
/// See [`Sheet::check`].
pub fn check(columns: &[ColumnProfile], inputs: &[Input]) -> Result<(), Unfit> {
    lacks(columns, inputs).map_or(Ok(()), |detail| Err(Unfit::Lacks(detail)))?;
    unit_mismatch(inputs, columns).map_or(Ok(()), |detail| Err(Unfit::OtherUnit(detail)))
}

fn lacks(columns: &[ColumnProfile], inputs: &[Input]) -> Option<String> {
    let names: Vec<&str> = columns.iter().map(|column| column.name.as_str()).collect();
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

/// What the file that a model was trained on says about others for it.
pub fn usual(inputs: &[Input]) -> Usual {
    let numbers = inputs.iter().filter(|input| input.kind == ColumnKind::Number);
    let n_comma = numbers.clone().filter(|input| input.number_format.decimal == ',').count();
    let n = numbers.count();
    let categories = inputs.iter().filter(|input| input.kind == ColumnKind::Category);
    Usual {
        decimal: (n > 0).then_some(if n_comma * 2 > n { ',' } else { '.' }),
        categories: categories.map(|input| input.name.clone()).collect(),
    }
}

/// What a reading has to say about rows and cells.
pub fn about_rows(read: &Description) -> impl Iterator<Item = &Warning> {
    read.warnings.iter().filter(|warning| ABOUT_ROWS.contains(&warning.code.as_str()))
}

/// Says which of the `inputs` have another unit than the `columns` of a file, where both are known.
fn unit_mismatch(inputs: &[Input], columns: &[ColumnProfile]) -> Option<String> {
    // `°` and `º`, `m²` and `m2`, `m/s` and `m / s` are spellings of one unit; `mW` and `MW` are not.
    let plain = |unit: &str| -> String {
        let same = |c| match c {
            'º' | '˚' => '°',
            'µ' => 'μ',
            '²' => '2',
            '³' => '3',
            c => c,
        };
        unit.chars().filter(|c| !c.is_whitespace() && !"^[]()".contains(*c)).map(same).collect()
    };
    let differ = inputs.iter().filter_map(|input| {
        let column = columns.iter().find(|column| column.name == input.name)?;
        let (own, given) = (input.unit.as_deref()?, column.unit.as_deref()?);
        (plain(own) != plain(given))
            .then(|| (format!("{} ({given})", input.name), format!("{} ({own})", input.name)))
    });
    let (given, own): (Vec<String>, Vec<String>) = differ.unzip();
    (!given.is_empty()).then(|| {
        format!(
            "the file has {}, and the model was trained on {}; convert the values, or, where only the spelling differs, correct the unit in the file",
            given.join(", "),
            own.join(", ")
        )
    })
}

/// The rows of a file, such as of a [`Sheet`], which must live on meanwhile.
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
    /// Those of a file that was read, as [`parquet::write`] wrote them: typed, and as spelt where that is to be repeated.
    pub fn new(read: &Description, typed: PathBuf, spelt: Option<PathBuf>) -> Self {
        let names = read.columns.iter().map(|column| column.name.clone()).collect();
        Self { n_rows: usize::try_from(read.rows).unwrap_or(usize::MAX), names, typed, spelt }
    }

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
