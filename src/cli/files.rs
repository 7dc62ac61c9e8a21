//! The files that the commands without a server read and write.

use super::progress::Bar;
use crate::{
    dataset::{self, Progress, ReadLimits, ReadOptions, Reading, Source},
    http::read_options::UploadOptions,
};
use anyhow::{Context, bail};
use clap::Args;
use std::{
    fs::{self, File},
    path::Path,
    sync::mpsc::{RecvTimeoutError, channel},
    thread,
    time::Duration,
};

/// How often the bar of a reading moves.
const LOOK_EVERY: Duration = Duration::from_millis(500);

/// How a spreadsheet is read, where it is not detected.
#[derive(Debug, Args)]
pub(super) struct ReadArgs {
    /// The sheet of a workbook.
    #[arg(long)]
    sheet: Option<String>,
    /// The decimal mark: `.` or `,`; detected if absent.
    #[arg(long)]
    decimal: Option<String>,
    /// Any other option of `POST /upload`, such as `header_row=3`; repeat it for several.
    #[arg(long = "read", value_name = "OPTION=VALUE")]
    others: Vec<String>,
}

impl ReadArgs {
    /// The options that they say.
    pub(super) fn options(&self) -> anyhow::Result<ReadOptions> {
        let mut options = UploadOptions::default();
        let mut set = |name: &str, value: &str| {
            options.set(name, value.to_owned()).map_err(|problem| anyhow::anyhow!("{}", problem.detail()))
        };
        if let Some(sheet) = &self.sheet {
            set("sheet", sheet)?;
        }
        if let Some(decimal) = &self.decimal {
            set("decimal", decimal)?;
        }
        for other in &self.others {
            let Some((name, value)) = other.split_once('=') else {
                bail!("--read takes OPTION=VALUE, such as header_row=3, and not \"{other}\"");
            };
            set(name.trim(), value)?;
        }
        Ok(options.read)
    }
}

/// Reads the file, with a bar where it takes long.
pub(super) fn read(file: &Path, options: &ReadOptions) -> anyhow::Result<Reading> {
    let name = file.file_name().map_or_else(String::new, |name| name.to_string_lossy().into_owned());
    let progress = Progress::default();
    let looked_at = &progress;
    let reading = thread::scope(|scope| {
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
        dataset::read(Source::Watched(file, &progress), &name, options, &ReadLimits::default())
    });
    reading.map_err(|error| anyhow::anyhow!("{}: {}", file.display(), error.detail()))
}

/// Writes a file under another name first, so that there is never half of it.
pub(super) fn write(
    path: &Path,
    content: impl FnOnce(&mut File) -> anyhow::Result<()>,
) -> anyhow::Result<()> {
    let mut partial = path.as_os_str().to_owned();
    partial.push(".partial");
    let cannot = || format!("cannot write {}", path.display());
    let mut file = File::options()
        .read(true)
        .write(true)
        .create(true)
        .truncate(true)
        .open(&partial)
        .with_context(cannot)?;
    let written = content(&mut file);
    let done =
        written.and_then(|()| file.sync_all().and_then(|()| fs::rename(&partial, path)).with_context(cannot));
    if done.is_err() {
        let _ = fs::remove_file(&partial);
    }
    done
}
