//! The program.

use std::{path::Path, process::ExitCode};
use taqicfd::{cli, config, ingest};

/// Faster than the system's allocator at the many small vectors of a training, and it gives memory
/// back to the system.
#[global_allocator]
static GLOBAL: mimalloc::MiMalloc = mimalloc::MiMalloc;

fn main() -> ExitCode {
    let arguments: Vec<_> = std::env::args_os().collect();
    // The reading process limits itself and has an empty environment: nothing else comes first.
    if let [_, command, job] = arguments.as_slice()
        && command == ingest::SUBCOMMAND
    {
        return ingest::child_main(Path::new(job));
    }
    // Before any thread exists: this changes the environment of the process.
    let outcome = config::load_env_file().map_err(Into::into).and_then(|()| cli::run(arguments));
    match outcome {
        Ok(code) => code,
        Err(error) => {
            eprintln!("{}", cli::in_language(&format!("error: {}", one_line(&error))));
            ExitCode::FAILURE
        }
    }
}

/// The whole chain of causes; one that the text before already quotes is not said again.
fn one_line(error: &anyhow::Error) -> String {
    error.chain().map(ToString::to_string).fold(String::new(), |text, cause| match text.contains(&cause) {
        true => text,
        false if text.is_empty() => cause,
        false => format!("{text}: {cause}"),
    })
}
