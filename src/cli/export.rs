//! A model file in the forms that other programs read, without a server.

use super::files;
use crate::{
    export::{Form, onnx, torch},
    model::{Backend, Model},
};
use anyhow::{Context, bail};
use clap::Args;
use std::{fs, io::Write, path::PathBuf, process::ExitCode};

/// What `taqicfd export` takes.
#[derive(Debug, Args)]
pub(super) struct ExportArgs {
    /// The model file.
    model: PathBuf,
    /// The form: `onnx`; `pt` for PyTorch, and `py` for the Python module that answers from it.
    #[arg(long, value_name = "NAME")]
    format: String,
    /// Where it goes; beside the model file if absent.
    #[arg(long, short, value_name = "FILE")]
    output: Option<PathBuf>,
}

/// Writes the model in another form.
pub(super) fn export(args: ExportArgs) -> anyhow::Result<ExitCode> {
    let Some(form) = Form::find(&args.format) else {
        bail!("--format \"{}\" is none of {}", args.format, Form::names());
    };
    let bytes = fs::read(&args.model).with_context(|| format!("cannot read {}", args.model.display()))?;
    let model = Model::from_bytes(&bytes, Backend::default())?;
    let written = match form {
        Form::Native => bytes,
        Form::Onnx => onnx::to_bytes(&model)?,
        Form::Torch => torch::to_bytes(&model)?,
        Form::Python => torch::PYTHON.as_bytes().to_vec(),
        Form::Card | Form::CardMarkdown | Form::CardHtml => {
            bail!(
                "a model card tells more than the model file holds: GET /model/{{model_id}}?format={}",
                args.format
            );
        }
    };
    let output = args.output.unwrap_or_else(|| {
        let stem = args.model.file_stem().unwrap_or_default().to_string_lossy();
        args.model.with_file_name(form.filename(stem.trim_end_matches(".taqicfd")))
    });
    files::write(&output, |file| Ok(file.write_all(&written)?))?;
    eprintln!("{} bytes written to {}", written.len(), output.display());
    Ok(ExitCode::SUCCESS)
}
