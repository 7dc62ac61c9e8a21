//! The command line.

mod demo;
mod export;
mod files;
mod predict;
mod progress;
mod serve;
mod train;

use crate::config::{self, Settings};
use anyhow::Context;
use clap::{
    Args, CommandFactory, FromArgMatches, Parser, Subcommand,
    error::{ContextKind, ContextValue, ErrorKind},
};
use std::{ffi::OsString, path::PathBuf, process::ExitCode};

/// A spreadsheet goes in, a trained neural network answers over HTTP.
#[derive(Debug, Parser)]
#[command(
    name = "taqicfd",
    version,
    args_conflicts_with_subcommands = true,
    long_about = "A spreadsheet goes in, a trained neural network answers over HTTP.\n\n\
        Without a subcommand the server starts: on 127.0.0.1:8080, with SQLite in ./data and the models in \
        ./saved_models. Every setting is a flag, an environment variable and a line of .env; the first of these that \
        is given counts.",
    after_long_help = "Try it:\n  taqicfd demo                                  a guided tour on real data, then the server\n  \
        taqicfd                                       the server\n  \
        curl -F file=@data.csv localhost:8080/upload  send a spreadsheet\n  \
        taqicfd train data.csv --target Cd            train without a server\n"
)]
struct Cli {
    #[command(subcommand)]
    command: Option<Command>,
    #[command(flatten)]
    settings: Settings,
}

#[derive(Debug, Subcommand)]
enum Command {
    /// Answer requests, and train (the default).
    #[command(after_long_help = "Examples:\n  taqicfd serve --bind 127.0.0.1:9000\n  \
        DATABASE_URL=postgres://me@db/taqicfd taqicfd serve --workers 0\n")]
    Serve(Box<Settings>),
    /// Train what servers on the same database have queued; answer no requests.
    #[command(after_long_help = "Example, on as many machines as wanted:\n  \
        DATABASE_URL=postgres://me@db/taqicfd taqicfd worker --storage s3 --s3-bucket models\n")]
    Worker(Box<Settings>),
    /// Bring the tables of the database up to date, and end.
    Migrate(Box<Settings>),
    /// A guided tour on real data: upload, train, predict, list, download; then serve.
    Demo(Box<Settings>),
    /// Train on a file without a server, and write the model file.
    #[command(after_long_help = "Examples:\n  taqicfd train ensaio.csv --target Cd\n  \
        taqicfd train ensaio.xlsx --target Cl --target Cd --epochs 100 --output polar.safetensors\n")]
    Train(train::TrainArgs),
    /// Predict with a model file without a server.
    #[command(
        after_long_help = "Examples:\n  taqicfd predict polar.safetensors new.csv --output answers.csv\n  \
        taqicfd predict --model polar.safetensors rows.json > predictions.json\n"
    )]
    Predict(predict::PredictArgs),
    /// Write a model file in a form that other programs read.
    #[command(
        after_long_help = "Example:\n  taqicfd export polar.safetensors --format onnx --output polar.onnx\n"
    )]
    Export(export::ExportArgs),
    /// Print the OpenAPI document.
    Openapi,
    /// Show settings.
    Config(ConfigArgs),
}

#[derive(Debug, Args)]
struct ConfigArgs {
    #[command(subcommand)]
    what: ConfigCommand,
}

#[derive(Debug, Subcommand)]
enum ConfigCommand {
    /// Every setting with its default, as a text for `.env`.
    Example,
    /// The settings that are in force; secrets are hidden.
    Print(Box<Settings>),
}

/// What a file is read and a model computed with, for the commands without a server.
#[derive(Debug, Args)]
struct ComputeArgs {
    /// What computes the network: `flex` or `ndarray`.
    #[arg(long, env = "TAQICFD_BACKEND", value_enum, default_value_t = config::Backend::Flex)]
    backend: config::Backend,
}

/// Runs what the arguments say.
pub fn run(arguments: Vec<OsString>) -> anyhow::Result<ExitCode> {
    let cli = match parse(arguments) {
        Ok(cli) => cli,
        Err(code) => return Ok(code),
    };
    config::check_env_names()?;
    match cli.command {
        None => serve::serve(cli.settings.check()?),
        Some(Command::Serve(settings)) => serve::serve(settings.check()?),
        Some(Command::Worker(settings)) => serve::work(settings.check()?),
        Some(Command::Migrate(settings)) => serve::migrate(settings.check()?),
        Some(Command::Demo(settings)) => demo::run(settings.check()?),
        Some(Command::Train(args)) => train::train(args),
        Some(Command::Predict(args)) => predict::predict(args),
        Some(Command::Export(args)) => export::export(args),
        Some(Command::Openapi) => print(&crate::http::document().to_pretty_json()?),
        Some(Command::Config(ConfigArgs { what: ConfigCommand::Example })) => {
            print(config::example().trim_end())
        }
        Some(Command::Config(ConfigArgs { what: ConfigCommand::Print(settings) })) => {
            print(&format!("{:#?}", settings.check()?))
        }
    }
}

fn parse(arguments: Vec<OsString>) -> Result<Cli, ExitCode> {
    let command = Cli::command();
    let parsed =
        command.clone().try_get_matches_from(arguments).and_then(|mut m| Cli::from_arg_matches_mut(&mut m));
    parsed.map_err(|error| match error.kind() {
        ErrorKind::DisplayHelp
        | ErrorKind::DisplayVersion
        | ErrorKind::DisplayHelpOnMissingArgumentOrSubcommand => {
            let _ = error.print();
            ExitCode::SUCCESS
        }
        _ => {
            eprintln!("{}", one_line(&command, &error));
            ExitCode::from(2)
        }
    })
}

/// clap's message, with the environment name of the setting it is about: the value may come from there.
fn one_line(command: &clap::Command, error: &clap::Error) -> String {
    let text = error.render().to_string();
    let mut lines = text.lines();
    let mut line = lines.next().unwrap_or("error: the arguments cannot be read").to_owned();
    if let Some(possible) = lines.next().map(str::trim).filter(|next| next.starts_with("[possible values")) {
        line = format!("{line} {possible}");
    }
    let Some(ContextValue::String(argument)) = error.get(ContextKind::InvalidArg) else {
        return format!("{line}; see taqicfd --help");
    };
    let flag = argument.split([' ', '=']).next().unwrap_or_default().trim_start_matches("--");
    let named = command.get_arguments().find(|candidate| candidate.get_long() == Some(flag));
    match named.and_then(|argument| argument.get_env()) {
        Some(name) => format!("{line}; it is set by --{flag} or {}", name.to_string_lossy()),
        None => format!("{line}; see taqicfd --help"),
    }
}

/// A message in the language of the terminal. Of one with several lines, those after the first begin
/// with the place that they are about.
pub fn in_language(message: &str) -> String {
    let language = config::language();
    let mut lines = message.lines();
    let first = language.translate(lines.next().unwrap_or_default()).into_owned();
    lines.fold(first, |text, line| match line.trim_start().split_once(' ') {
        Some((place, message)) => format!("{text}\n  {place} {}", language.translate(message)),
        None => format!("{text}\n{line}"),
    })
}

/// Writes a result to standard output. A reader that has gone away, as `head` does, is no error.
fn print(text: &str) -> anyhow::Result<ExitCode> {
    use std::io::{ErrorKind, Write};
    let mut to = std::io::stdout().lock();
    match writeln!(to, "{text}").and_then(|()| to.flush()) {
        Err(error) if error.kind() != ErrorKind::BrokenPipe => {
            Err(error).context("cannot write to standard output")
        }
        _ => Ok(ExitCode::SUCCESS),
    }
}

fn backend(backend: config::Backend) -> crate::model::Backend {
    match backend {
        config::Backend::Flex => crate::model::Backend::Flex,
        config::Backend::Ndarray => crate::model::Backend::Ndarray,
    }
}

/// Where a model goes if nobody says.
fn default_output(file: &std::path::Path) -> PathBuf {
    let stem = file.file_stem().map_or_else(|| "model".into(), |stem| stem.to_string_lossy().into_owned());
    PathBuf::from(format!("{stem}.taqicfd.safetensors"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_command_line_is_consistent() {
        Cli::command().debug_assert();
    }

    #[test]
    fn flags_work_with_and_without_the_subcommand() {
        let bind = |arguments: &[&str]| {
            let line =
                std::iter::once("taqicfd").chain(arguments.iter().copied()).map(OsString::from).collect();
            let cli = parse(line).unwrap();
            match cli.command {
                Some(Command::Serve(settings)) => settings.server.bind.port(),
                None => cli.settings.server.bind.port(),
                other => panic!("{other:?}"),
            }
        };
        assert_eq!(bind(&["--bind", "127.0.0.1:9"]), 9);
        assert_eq!(bind(&["serve", "--bind", "127.0.0.1:9"]), 9);
    }

    #[test]
    fn a_bad_value_is_one_line_that_names_the_setting() {
        let command = Cli::command();
        let error = command.clone().try_get_matches_from(["taqicfd", "--bind", "nowhere"]).unwrap_err();
        let line = one_line(&command, &error);
        assert!(line.contains("nowhere") && line.contains("TAQICFD_BIND") && !line.contains('\n'), "{line}");
    }
}
