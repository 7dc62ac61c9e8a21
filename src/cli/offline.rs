//! Training and predicting without a server: a file in, a file out.

use super::{ComputeArgs, backend, default_output, progress::Bar};
use crate::{
    batch::sheet,
    config,
    dataset::{self, Progress, ReadError, ReadLimits, ReadOptions, Reading, Source},
    http::{
        messages,
        predict::{
            answer::{Answer, Extras},
            cells,
            file::columns,
        },
    },
    model::{Model, PredictOptions, UnknownCategory},
    training::{self, Compute, Event, Limits, Stop, TrainRequest},
};
use anyhow::{Context, bail};
use clap::Args;
use std::{
    fs,
    io::Write,
    path::{Path, PathBuf},
    process::ExitCode,
    sync::mpsc::{RecvTimeoutError, channel},
    thread,
    time::Duration,
};

/// How often the bar of a reading moves.
const LOOK_EVERY: Duration = Duration::from_millis(500);

/// What `taqicfd train` takes.
#[derive(Debug, Args)]
pub(super) struct TrainArgs {
    /// The spreadsheet: a text table or a workbook.
    file: PathBuf,
    /// A column to predict; repeat it for several. The last usable column if absent.
    #[arg(long, value_name = "COLUMN")]
    target: Vec<String>,
    /// A column to leave out; repeat it for several.
    #[arg(long, value_name = "COLUMN")]
    exclude: Vec<String>,
    /// `auto`, `regression` or `classification`.
    #[arg(long)]
    task: Option<String>,
    /// How much effort is made: `fast`, `balanced` or `best`.
    #[arg(long)]
    preset: Option<String>,
    /// `auto`, `realmlp_td`, `realmlp_td_s` or `mlp`.
    #[arg(long)]
    architecture: Option<String>,
    /// Passes over the training part.
    #[arg(long)]
    epochs: Option<i64>,
    /// Seed of every random choice.
    #[arg(long)]
    seed: Option<u64>,
    /// Every other setting, as the JSON body of `POST /train`.
    #[arg(long, value_name = "JSON")]
    settings: Option<String>,
    /// The sheet of a workbook.
    #[arg(long)]
    sheet: Option<String>,
    /// The decimal mark: `.` or `,`; detected if absent.
    #[arg(long)]
    decimal: Option<char>,
    /// Where the model goes.
    #[arg(long, short, value_name = "FILE")]
    output: Option<PathBuf>,
    #[command(flatten)]
    compute: ComputeArgs,
}

/// What `taqicfd predict` takes.
#[derive(Debug, Args)]
pub(super) struct PredictArgs {
    /// The model file.
    model: PathBuf,
    /// The rows: a text table, a workbook, or `.json` as the `data` of `POST /predict`.
    input: PathBuf,
    /// Confidence of the intervals; the model's own if absent.
    #[arg(long)]
    confidence: Option<f64>,
    #[command(flatten)]
    compute: ComputeArgs,
}

/// Reads the file, with a bar where it takes long.
fn read(file: &Path, name: &str, options: &ReadOptions) -> Result<Reading, ReadError> {
    let progress = Progress::default();
    let looked_at = &progress;
    thread::scope(|scope| {
        // Dropped when the reading has ended, however it has.
        let (_reading, ended) = channel::<()>();
        scope.spawn(move || {
            let mut bar = Bar::new();
            while ended.recv_timeout(LOOK_EVERY) == Err(RecvTimeoutError::Timeout) {
                let look = looked_at.look();
                bar.show(look.progress, &super::in_language(&format!("{} rows read", look.rows)));
            }
            bar.end();
        });
        dataset::read(Source::Watched(file, &progress), name, options, &ReadLimits::default())
    })
}

/// Trains and writes the model file.
pub(super) fn train(args: TrainArgs) -> anyhow::Result<ExitCode> {
    let options = ReadOptions { sheet: args.sheet, decimal: args.decimal, ..ReadOptions::default() };
    let name = args.file.file_name().map_or_else(String::new, |name| name.to_string_lossy().into_owned());
    let reading = read(&args.file, &name, &options)
        .map_err(|error| anyhow::anyhow!("{}: {}", args.file.display(), error.detail()))?;
    let mut request: TrainRequest = match &args.settings {
        Some(json) => serde_json::from_str(json).context("--settings is not the body of POST /train")?,
        None => TrainRequest::default(),
    };
    if !args.target.is_empty() {
        request.targets = Some(args.target);
    }
    if !args.exclude.is_empty() {
        request.exclude = Some(args.exclude);
    }
    request.task = args.task.or(request.task);
    request.preset = args.preset.or(request.preset);
    request.architecture = args.architecture.or(request.architecture);
    request.epochs = args.epochs.or(request.epochs);
    request.seed = args.seed.or(request.seed);

    let stem =
        args.file.file_stem().map_or_else(|| "model".into(), |stem| stem.to_string_lossy().into_owned());
    let checked = training::check(&request, &reading.description, &stem, &Limits::default())
        .map_err(|error| anyhow::anyhow!("{error}"))?;
    for warning in reading.description.warnings.iter().chain(&checked.warnings) {
        eprintln!("{}", super::in_language(&format!("note: {}", warning.message)));
    }
    let compute = Compute {
        backend: backend(args.compute.backend),
        threads: thread::available_parallelism().map_or(1, usize::from),
        checkpoint_s: f64::INFINITY,
    };
    let mut bar = Bar::new();
    let mut observe = |event: Event| {
        if let Event::Progress { fraction, message, .. } = event {
            bar.show(fraction, &super::in_language(&message));
        }
    };
    let data = training::Data { table: &reading.table, description: &reading.description, test_rows: None };
    let trained = training::train(&data, &checked.spec, &compute, None, &mut observe, &Stop::new());
    bar.end();
    let trained = trained?;
    for warning in &trained.warnings {
        eprintln!("{}", super::in_language(&format!("note: {}", warning.message)));
    }
    let output = args.output.unwrap_or_else(|| default_output(&args.file));
    write_whole(&output, &trained.bytes)?;
    let done = format!(
        "{} rows, {:.1} s, model written to {}",
        reading.table.n_rows(),
        trained.train_s,
        output.display()
    );
    eprintln!("{}", super::in_language(&done));
    super::print(&serde_json::to_string_pretty(&trained.metrics)?)
}

/// Under another name first, so that there is never half a model.
pub(super) fn write_whole(path: &Path, bytes: &[u8]) -> anyhow::Result<()> {
    let mut partial = path.as_os_str().to_owned();
    partial.push(".partial");
    let cannot = || format!("cannot write {}", path.display());
    let mut file = fs::File::create(&partial).with_context(cannot)?;
    file.write_all(bytes)
        .and_then(|()| file.sync_all())
        .and_then(|()| fs::rename(&partial, path))
        .with_context(cannot)
}

/// Predicts and prints what `POST /predict` would answer.
pub(super) fn predict(args: PredictArgs) -> anyhow::Result<ExitCode> {
    let bytes = fs::read(&args.model).with_context(|| format!("cannot read {}", args.model.display()))?;
    let model = Model::from_bytes(&bytes, backend(args.compute.backend))?;
    let input = fs::read(&args.input).with_context(|| format!("cannot read {}", args.input.display()))?;
    let is_json = args.input.extension().is_some_and(|ending| ending.eq_ignore_ascii_case("json"));
    let table;
    let data = if is_json {
        serde_json::from_slice(&input).with_context(|| format!("{} holds no rows", args.input.display()))?
    } else {
        let name =
            args.input.file_name().map_or_else(String::new, |name| name.to_string_lossy().into_owned());
        let options = ReadOptions { usual: sheet::usual(model.inputs()), ..ReadOptions::default() };
        let reading = dataset::read(input.as_slice(), &name, &options, &ReadLimits::default())
            .map_err(|error| anyhow::anyhow!("{}: {}", args.input.display(), error.detail()))?;
        if let Some(detail) = sheet::unit_mismatch(model.inputs(), &reading.description.columns) {
            bail!("{}: {detail}", args.input.display());
        }
        for warning in sheet::about_rows(&reading.description) {
            eprintln!("{}", super::in_language(&format!("note: {}", warning.message)));
        }
        table = reading.table;
        columns(&table, &[])
    };
    let shape = data.shape();
    let cells = cells::arrange(data, model.inputs(), false, "data")
        .map_err(|problem| anyhow::anyhow!("{problem}"))?;
    let options = PredictOptions {
        confidence: args.confidence,
        unknown_category: UnknownCategory::Error,
        explain: false,
    };
    let predictions = match model.predict(&cells.cells, cells.n_rows, &options) {
        Ok(predictions) => predictions,
        Err(error) => bail!("{}", cells::problem(&error, shape, model.inputs())),
    };
    let answer = Answer::unnamed(Extras::new(&predictions, &cells.warnings, cells.n_rows, model.inputs()));
    let json = serde_json::to_string_pretty(&answer)?;
    super::print(&String::from_utf8_lossy(&messages::translated(json.as_bytes(), config::language())))
}
