//! Predicting without a server: a model file and rows in, the answers out.

use super::{
    ComputeArgs, backend,
    files::{self, ReadArgs},
};
use crate::{
    app::TempFile,
    batch::{
        answers,
        sheet::{self, Tables},
        write::{self, AnswerError, Progress, Wanted},
    },
    config,
    dataset::{Description, ReadOptions, Reading, parquet},
    http::{
        messages,
        predict::{
            Options,
            answer::{Answer, Extras},
            cells,
            file::columns,
            request::Data,
        },
    },
    model::{Model, PredictOptions, UnknownCategory},
    storage::AnswerFormat,
};
use anyhow::{Context, bail};
use clap::{Args, ValueEnum};
use std::{
    fs::{self, File},
    io::Write,
    path::{Path, PathBuf},
    process::ExitCode,
};

/// What `taqicfd predict` takes.
#[derive(Debug, Args)]
pub(super) struct PredictArgs {
    /// The model file, unless `--model` names it; then the rows: a text table, a workbook, or `.json` as the `data` of
    /// `POST /predict`.
    #[arg(value_names = ["MODEL", "ROWS"], num_args = 1..=2, required = true)]
    files: Vec<PathBuf>,
    /// The model file.
    #[arg(long, value_name = "MODEL")]
    model: Option<PathBuf>,
    /// Where the answers go: `.json`, or, for a spreadsheet, its own columns and the answers as `.csv` or `.xlsx`. As JSON
    /// to standard output if absent.
    #[arg(long, short, value_name = "FILE")]
    output: Option<PathBuf>,
    /// Confidence of the intervals; the model's own if absent.
    #[arg(long)]
    confidence: Option<f64>,
    /// What is done with a category that training never saw.
    #[arg(long, value_enum, default_value_t = Unknown::Error)]
    unknown_category: Unknown,
    /// Add to JSON how much each answer changes with each input.
    #[arg(long)]
    explain: bool,
    #[command(flatten)]
    read: ReadArgs,
    #[command(flatten)]
    compute: ComputeArgs,
}

#[derive(Debug, Clone, Copy, ValueEnum)]
enum Unknown {
    /// The rows are refused.
    Error,
    /// It counts as missing, with a warning.
    Missing,
    /// The known one with the most similar spelling is taken, with a warning.
    Nearest,
}

/// Predicts and prints, or writes, what `POST /predict` would answer.
pub(super) fn predict(args: PredictArgs) -> anyhow::Result<ExitCode> {
    let ((Some(model), [rows]) | (None, [model, rows])) = (&args.model, args.files.as_slice()) else {
        bail!("one model file and one file of rows are needed: taqicfd predict MODEL ROWS");
    };
    let bytes = fs::read(model).with_context(|| format!("cannot read {}", model.display()))?;
    let model = Model::from_bytes(&bytes, backend(args.compute.backend))?;
    Options { confidence: args.confidence, ..Options::default() }
        .check()
        .map_err(|problem| anyhow::anyhow!("{}", problem.detail()))?;
    let options = PredictOptions {
        confidence: args.confidence,
        unknown_category: match args.unknown_category {
            Unknown::Error => UnknownCategory::Error,
            Unknown::Missing => UnknownCategory::Missing,
            Unknown::Nearest => UnknownCategory::Nearest,
        },
        explain: args.explain,
    };
    let output = args.output.as_deref();
    if is(rows, "json") {
        let input = fs::read(rows).with_context(|| format!("cannot read {}", rows.display()))?;
        let data =
            serde_json::from_slice(&input).with_context(|| format!("{} holds no rows", rows.display()))?;
        return answer_as_json(&model, data, &options, output);
    }

    let read_options = ReadOptions { usual: sheet::usual(model.inputs()), ..args.read.options()? };
    let Reading { table, description, .. } = files::read(rows, &read_options)?;
    if let Err(unfit) = sheet::check(&description.columns, model.inputs()) {
        let (sheet::Unfit::Lacks(detail) | sheet::Unfit::OtherUnit(detail)) = unfit;
        bail!("{}: {detail}", rows.display());
    }
    for warning in sheet::about_rows(&description) {
        eprintln!("{}", super::in_language(&format!("note: {}", warning.message)));
    }
    match output {
        Some(output) if !is(output, "json") => {
            let format = match output.extension().and_then(|ending| ending.to_str()) {
                Some(ending) if ending.eq_ignore_ascii_case("csv") => AnswerFormat::Csv,
                Some(ending) if ending.eq_ignore_ascii_case("xlsx") => AnswerFormat::Xlsx,
                _ => bail!("{}: --output must end in .csv, .xlsx or .json", output.display()),
            };
            let typed = stored(&table, output)?;
            drop(table);
            let spelt = spelling(rows, &description, &read_options, format, output)?;
            let tables = Tables::new(
                &description,
                typed.path().to_owned(),
                spelt.as_ref().map(|file| file.path().to_owned()),
            );
            let wanted = Wanted {
                options,
                language: config::language(),
                format: sheet::in_marks_of(&description.read, format),
                is_awaited: true,
            };
            files::write(output, |file| write_rows(&tables, &model, wanted, file))?;
            eprintln!(
                "{}",
                super::in_language(&format!(
                    "{} rows, answers written to {}",
                    description.rows,
                    output.display()
                ))
            );
            Ok(ExitCode::SUCCESS)
        }
        _ => answer_as_json(&model, columns(&table, model.inputs()), &options, output),
    }
}

fn is(file: &Path, ending: &str) -> bool {
    file.extension().is_some_and(|own| own.eq_ignore_ascii_case(ending))
}

fn answer_as_json(
    model: &Model,
    data: Data,
    options: &PredictOptions,
    output: Option<&Path>,
) -> anyhow::Result<ExitCode> {
    let shape = data.shape();
    let cells = cells::arrange(data, model.inputs(), false, "data")
        .map_err(|problem| anyhow::anyhow!("{problem}"))?;
    let predictions = match model.predict(&cells.cells, cells.n_rows, options) {
        Ok(predictions) => predictions,
        Err(error) => bail!("{}", cells::problem(&error, shape, model.inputs())),
    };
    let answer = Answer::unnamed(Extras::new(&predictions, &cells.warnings, cells.n_rows, model.inputs()));
    let json = serde_json::to_string_pretty(&answer)?;
    let json = messages::translated(json.as_bytes(), config::language());
    match output {
        None => super::print(&String::from_utf8_lossy(&json)),
        Some(output) => {
            files::write(output, |file| Ok(file.write_all(&json)?))?;
            Ok(ExitCode::SUCCESS)
        }
    }
}

/// The table in a file beside the `output`, from which rows are taken some at a time.
fn stored(table: &crate::dataset::Table, output: &Path) -> anyhow::Result<TempFile> {
    let folder = output.parent().unwrap_or(Path::new(""));
    let file = TempFile::new(folder, "partial");
    parquet::write(table, file.path())
        .with_context(|| format!("cannot write beside {}", output.display()))?;
    Ok(file)
}

/// The cells as they are spelt, where the answer repeats them so.
fn spelling(
    rows: &Path,
    typed: &Description,
    options: &ReadOptions,
    format: AnswerFormat,
    output: &Path,
) -> anyhow::Result<Option<TempFile>> {
    if sheet::hides_spelling(&typed.read, format) {
        return Ok(None);
    }
    // Without it, the cells are written as they were understood.
    let Ok(reading) = files::read(rows, &sheet::as_spelt(typed, options)) else { return Ok(None) };
    if !sheet::has_its_rows(typed, &reading.description) {
        return Ok(None);
    }
    stored(&reading.table, output).map(Some)
}

fn write_rows(tables: &Tables, model: &Model, wanted: Wanted, file: &mut File) -> anyhow::Result<()> {
    let written = write::answer(tables, model, wanted, &Progress::default(), std::io::BufWriter::new(file));
    match written {
        Ok(mut written) => Ok(written.flush()?),
        Err(AnswerError::Refused(error)) => bail!("{}", answers::refusal(&error)),
        Err(error) => Err(error.into()),
    }
}
