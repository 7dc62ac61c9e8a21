//! Training without a server: a spreadsheet in, a model file out.

use super::{
    ComputeArgs, backend, default_output,
    files::{self, ReadArgs},
    progress::Bar,
};
use crate::training::{self, Compute, Event, Limits, Stop, TrainRequest};
use anyhow::Context;
use clap::Args;
use std::{io::Write, path::PathBuf, process::ExitCode, thread};

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
    #[command(flatten)]
    read: ReadArgs,
    /// Where the model goes.
    #[arg(long, short, value_name = "FILE")]
    output: Option<PathBuf>,
    #[command(flatten)]
    compute: ComputeArgs,
}

/// Trains and writes the model file.
pub(super) fn train(args: TrainArgs) -> anyhow::Result<ExitCode> {
    let reading = files::read(&args.file, &args.read.options()?)?;
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
    files::write(&output, |file| Ok(file.write_all(&trained.bytes)?))?;
    let done = format!(
        "{} rows, {:.1} s, model written to {}",
        reading.table.n_rows(),
        trained.train_s,
        output.display()
    );
    eprintln!("{}", super::in_language(&done));
    super::print(&serde_json::to_string_pretty(&trained.metrics)?)
}
