//! Reads an uploaded file in a process of its own.
//!
//! A workbook of one kilobyte can make its reader ask for gigabytes, and Rust cannot catch an
//! allocation that fails. So this program starts itself again with limits on memory and processor
//! time, and whatever happens there is an answer, not an end:
//!
//! ```text
//! server                                      child: `taqicfd read-file JOB`
//!   write job.json into a scratch folder
//!   start the child: no stdin, empty            limit address space, data, CPU, core, file size
//!     environment, killed when dropped          dataset::read -> table, description
//!   wait, at most the wall-clock limit          say on stdout how far it is, twice a second
//!                                               write table.parquet, then description.json
//!   exit 0: read description.json             exit 0
//!   exit 1: stdout ends with the ReadError    exit 1
//!   exit 3: the disk is full                  exit 3
//!   anything else, or too late: the file is refused, saying which limit it met
//! ```

use crate::dataset::{
    self, Description, Look, Phase, Problem, Progress, ReadError, ReadLimits, ReadOptions, Source,
};
use rustix::process::{Resource, Rlimit, setrlimit};
use serde::{Deserialize, Serialize};
use std::{
    fs, io,
    os::unix::process::ExitStatusExt,
    path::{Path, PathBuf},
    process::{ExitCode, ExitStatus, Stdio},
    sync::mpsc::{RecvTimeoutError, channel},
    thread,
    time::{Duration, Instant},
};
use tokio::io::{AsyncBufReadExt, AsyncRead, AsyncReadExt, BufReader};
use uuid::Uuid;

/// The hidden subcommand under which this program reads a file; its one argument is the job file.
/// The command line hands it to [`child_main`].
pub const SUBCOMMAND: &str = "read-file";

const EXIT_REFUSED: u8 = 1;
const EXIT_DISK_FULL: u8 = 3;
const SIGXCPU: i32 = 24;
/// The child says how far it is, and nothing longer than an error with its places.
const MAX_STDOUT_BYTES: u64 = 1 << 24;
/// What a line of the child begins with that says how far it is.
const LOOK: &[u8] = b"look ";
/// How often it says so.
const LOOK_EVERY: Duration = Duration::from_millis(500);
/// How often a long reading is told in the log.
const LOG_EVERY: Duration = Duration::from_secs(5);

/// What a child may use.
#[derive(Debug, Clone)]
pub struct IngestSettings {
    /// How much the file may ask for.
    pub limits: ReadLimits,
    /// Memory of the child beside what the program itself takes.
    pub memory_bytes: u64,
    /// Processor time of the child.
    pub cpu_s: u64,
    /// How long the server waits.
    pub wall: Duration,
    /// Where the child writes; a folder on the disk of the data folder. It is made where it is
    /// absent.
    pub scratch_dir: PathBuf,
    /// The program that is started; tests name another one than their own.
    pub executable: PathBuf,
}

impl IngestSettings {
    /// The defaults, with `scratch_dir` for the files on their way.
    pub fn new(scratch_dir: impl Into<PathBuf>) -> io::Result<Self> {
        Ok(Self {
            limits: ReadLimits::default(),
            memory_bytes: 1 << 30,
            cpu_s: 30,
            wall: Duration::from_mins(1),
            scratch_dir: scratch_dir.into(),
            executable: std::env::current_exe()?,
        })
    }
}

/// A file to be read.
#[derive(Debug, Clone, Copy)]
pub struct IngestRequest<'a> {
    /// The uploaded bytes; a local file.
    pub file: &'a Path,
    /// The name it was uploaded under.
    pub filename: &'a str,
    /// What the caller overrides.
    pub options: &'a ReadOptions,
}

/// A file that was read. The folder with the table goes when this is dropped, so store the table
/// before.
#[derive(Debug)]
pub struct Ingested {
    /// How it was read and what it holds.
    pub description: Description,
    /// The table, as [`dataset::parquet::read`] takes it.
    pub parquet_path: PathBuf,
    _scratch: Scratch,
}

/// Why a file was not read.
#[derive(Debug, thiserror::Error)]
pub enum IngestError {
    /// The file's fault.
    #[error(transparent)]
    Read(#[from] ReadError),
    /// No room for the table.
    #[error("the disk of the data folder is full")]
    StorageFull,
    /// The server's fault: the child could not be started or its answer not be read.
    #[error("the reading process failed: {0}")]
    Process(#[source] io::Error),
}

impl From<io::Error> for IngestError {
    fn from(error: io::Error) -> Self {
        if error.kind() == io::ErrorKind::StorageFull { Self::StorageFull } else { Self::Process(error) }
    }
}

/// A folder that is removed when it is dropped.
#[derive(Debug)]
struct Scratch(PathBuf);

impl Scratch {
    fn new(parent: &Path) -> io::Result<Self> {
        let path = parent.join(format!("read-{}", Uuid::now_v7()));
        fs::create_dir_all(&path)?;
        Ok(Self(path))
    }
}

impl Drop for Scratch {
    fn drop(&mut self) {
        if let Err(error) = fs::remove_dir_all(&self.0) {
            tracing::warn!(path = %self.0.display(), %error, "a scratch folder was left behind");
        }
    }
}

/// What the child is told.
#[derive(Debug, Serialize, Deserialize)]
struct Job {
    file: PathBuf,
    filename: String,
    options: ReadOptions,
    limits: ReadLimits,
    memory_bytes: u64,
    cpu_s: u64,
    parquet: PathBuf,
    description: PathBuf,
}

/// Reads a file in a child process.
pub async fn ingest(request: IngestRequest<'_>, settings: &IngestSettings) -> Result<Ingested, IngestError> {
    ingest_watched(request, settings, &mut |_| {}).await
}

/// The same; `on_look` is told how far it has come, at once and then twice a second.
pub async fn ingest_watched(
    request: IngestRequest<'_>,
    settings: &IngestSettings,
    on_look: &mut (dyn FnMut(Look) + Send),
) -> Result<Ingested, IngestError> {
    let scratch = Scratch::new(&settings.scratch_dir)?;
    let job = Job {
        file: std::path::absolute(request.file)?,
        filename: request.filename.to_owned(),
        options: request.options.clone(),
        limits: settings.limits,
        memory_bytes: settings.memory_bytes,
        cpu_s: settings.cpu_s,
        parquet: std::path::absolute(scratch.0.join("table.parquet"))?,
        description: std::path::absolute(scratch.0.join("description.json"))?,
    };
    let job_file = std::path::absolute(scratch.0.join("job.json"))?;
    tokio::fs::write(&job_file, serde_json::to_vec(&job).map_err(io::Error::other)?).await?;
    let mut child = tokio::process::Command::new(&settings.executable)
        .arg(SUBCOMMAND)
        .arg(&job_file)
        .env_clear()
        // The table is small beside the limit; one thread per core would take its share of it.
        .env("POLARS_MAX_THREADS", "1")
        // The allocator reserves a gigabyte at once, in KiB here: beside the limit on memory that fails
        // now and then, and with it the reading of a good file.
        .env("MIMALLOC_ARENA_RESERVE", "65536")
        .stdin(Stdio::null())
        .stdout(Stdio::piped())
        // A panic message may quote the file.
        .stderr(Stdio::null())
        .kill_on_drop(true)
        .spawn()?;
    on_look(Look::default());
    let stdout = child
        .stdout
        .take()
        .ok_or_else(|| io::Error::other("the child has no stdout"))?
        .take(MAX_STDOUT_BYTES);
    let ended = tokio::time::timeout(settings.wall, async {
        let said = listen(stdout, on_look).await?;
        Ok::<_, io::Error>((child.wait().await?, said))
    });
    let Ok(ended) = ended.await else {
        child.kill().await?;
        return Err(
            limit_met(&job, &format!("reading it took longer than {} s", settings.wall.as_secs())).into()
        );
    };
    let (status, said) = ended?;
    answer(status, &said, job, scratch).await
}

/// Hands on what the child says of how far it is, and returns what else it says.
async fn listen(
    stdout: impl AsyncRead + Unpin,
    on_look: &mut (dyn FnMut(Look) + Send),
) -> io::Result<Vec<u8>> {
    let mut stdout = BufReader::new(stdout);
    let (mut line, mut said) = (Vec::new(), Vec::new());
    let mut told = Instant::now();
    while stdout.read_until(b'\n', &mut line).await? > 0 {
        match line.strip_prefix(LOOK).map(serde_json::from_slice::<Look>) {
            Some(Ok(look)) => {
                on_look(look);
                if told.elapsed() >= LOG_EVERY {
                    told = Instant::now();
                    let percent = (look.progress * 100.0).round();
                    tracing::info!(
                        phase = look.phase.as_str(),
                        percent,
                        rows = look.rows,
                        "still reading a file"
                    );
                }
            }
            _ => said.append(&mut line),
        }
        line.clear();
    }
    Ok(said)
}

async fn answer(
    status: ExitStatus,
    said: &[u8],
    job: Job,
    scratch: Scratch,
) -> Result<Ingested, IngestError> {
    let code = status.code().and_then(|code| u8::try_from(code).ok());
    match code {
        Some(0) => {
            let json = tokio::fs::read(&job.description).await?;
            let description = serde_json::from_slice(&json).map_err(io::Error::other)?;
            Ok(Ingested { description, parquet_path: job.parquet, _scratch: scratch })
        }
        Some(EXIT_REFUSED) => match serde_json::from_slice::<ReadError>(said) {
            Ok(error) => Err(error.into()),
            Err(_) => Err(limit_met(&job, "reading it failed").into()),
        },
        Some(EXIT_DISK_FULL) => Err(IngestError::StorageFull),
        _ => {
            tracing::warn!(%status, "a reading process was ended");
            let what = match status.signal() {
                // What is out of memory is killed too, and by nobody who would say so.
                Some(SIGXCPU) => {
                    format!("reading it took more than {} s of processor time", job.cpu_s)
                }
                _ => format!(
                    "reading it needs more than {} MiB of memory, or it is damaged",
                    job.memory_bytes >> 20
                ),
            };
            Err(limit_met(&job, &what).into())
        }
    }
}

/// A file that met a limit of the child. A workbook that does is taken for a malformed one: they
/// are kept small by everything checked before.
fn limit_met(job: &Job, what: &str) -> ReadError {
    let starts_with = |magic| Source::Path(&job.file).starts_with(magic).unwrap_or(false);
    if starts_with(b"PK") || starts_with(b"\xd0\xcf\x11\xe0") {
        ReadError::MalformedWorkbook(Problem::new(format!(
            "the workbook cannot be read: {what}. Save only the sheet with the table, or as .csv"
        )))
    } else {
        ReadError::TooManyCells(Problem::new(format!(
            "the file cannot be read within the limits of this server: {what}. Upload a part of it, or raise the limits in the settings"
        )))
    }
}

/// The child's whole life: reads the file that `job_file` names. Called by the command line for
/// [`SUBCOMMAND`], before anything else of the program has started.
pub fn child_main(job_file: &Path) -> ExitCode {
    match run_child(job_file) {
        Ok(()) => ExitCode::SUCCESS,
        Err(ChildError::Refused(error)) => {
            let json = serde_json::to_vec(&error).unwrap_or_default();
            match io::Write::write_all(&mut io::stdout(), &json) {
                Ok(()) => ExitCode::from(EXIT_REFUSED),
                Err(_) => ExitCode::FAILURE,
            }
        }
        Err(ChildError::DiskFull) => ExitCode::from(EXIT_DISK_FULL),
    }
}

enum ChildError {
    Refused(ReadError),
    DiskFull,
}

impl From<io::Error> for ChildError {
    fn from(error: io::Error) -> Self {
        if error.kind() == io::ErrorKind::StorageFull { Self::DiskFull } else { Self::Refused(error.into()) }
    }
}

impl From<ReadError> for ChildError {
    fn from(error: ReadError) -> Self {
        Self::Refused(error)
    }
}

fn run_child(job_file: &Path) -> Result<(), ChildError> {
    let job: Job = serde_json::from_slice(&fs::read(job_file)?).map_err(io::Error::other)?;
    limit_self(&job)?;
    let progress = Progress::default();
    while_telling(&progress, || {
        let source = Source::Watched(&job.file, &progress);
        let reading = dataset::read(source, &job.filename, &job.options, &job.limits)?;
        progress.begin(Phase::Storing, 0);
        dataset::parquet::write(&reading.table, &job.parquet).map_err(|error| match error {
            dataset::parquet::ParquetError::Io(error) => ChildError::from(error),
            other => io::Error::other(other).into(),
        })?;
        // Written last: it is there only where the table is whole.
        let json = serde_json::to_vec(&reading.description).map_err(io::Error::other)?;
        fs::write(&job.description, json)?;
        Ok(())
    })
}

/// Does `work` while another thread says on stdout how far it has come.
fn while_telling<T>(progress: &Progress, work: impl FnOnce() -> T) -> T {
    thread::scope(|scope| {
        // Dropped when the work has ended, however it has.
        let (_working, ended) = channel::<()>();
        // Where no thread can be had, nobody is told.
        let _ = thread::Builder::new().spawn_scoped(scope, move || {
            while ended.recv_timeout(LOOK_EVERY) == Err(RecvTimeoutError::Timeout) {
                let Ok(json) = serde_json::to_vec(&progress.look()) else { return };
                let line = [LOOK, &json, b"\n"].concat();
                if io::Write::write_all(&mut io::stdout().lock(), &line).is_err() {
                    return;
                }
            }
        });
        work()
    })
}

fn limit_self(job: &Job) -> io::Result<()> {
    let limit = |resource, n: u64| {
        setrlimit(resource, Rlimit { current: Some(n), maximum: Some(n) }).map_err(io::Error::from)
    };
    // The program's own address space, with what its allocator has reserved, comes on top.
    limit(Resource::As, address_space_bytes()? + job.memory_bytes)?;
    limit(Resource::Data, job.memory_bytes)?;
    limit(Resource::Fsize, job.memory_bytes.saturating_mul(2))?;
    limit(Resource::Core, 0)?;
    setrlimit(Resource::Cpu, Rlimit { current: Some(job.cpu_s), maximum: Some(job.cpu_s + 1) })?;
    Ok(())
}

/// The address space of this process, as the kernel counts it.
fn address_space_bytes() -> io::Result<u64> {
    let status = fs::read_to_string("/proc/self/status")?;
    let size = status.lines().find_map(|line| line.strip_prefix("VmSize:"));
    let kilobytes =
        size.and_then(|size| size.trim().strip_suffix(" kB")).and_then(|size| size.parse::<u64>().ok());
    kilobytes.map(|n| n << 10).ok_or_else(|| io::Error::other("the size of this process is unknown"))
}

#[cfg(test)]
mod tests {
    use super::*;

    /// What a child that ended like this makes of an upload that begins with `head`.
    fn check(raw_status: i32, said: &[u8], head: &[u8]) -> (String, String) {
        let folder = tempfile::tempdir().unwrap();
        let scratch = Scratch::new(folder.path()).unwrap();
        let file = folder.path().join("upload");
        fs::write(&file, head).unwrap();
        let job = Job {
            file,
            filename: String::new(),
            options: ReadOptions::default(),
            limits: ReadLimits::default(),
            memory_bytes: 64 << 20,
            cpu_s: 7,
            parquet: scratch.0.join("table.parquet"),
            description: scratch.0.join("description.json"),
        };
        let runtime = tokio::runtime::Builder::new_current_thread().build().unwrap();
        let outcome = runtime.block_on(answer(ExitStatus::from_raw(raw_status), said, job, scratch));
        assert_eq!(fs::read_dir(folder.path()).unwrap().count(), 1, "the scratch folder is gone");
        match outcome.unwrap_err() {
            IngestError::Read(error) => (error.slug().to_owned(), error.detail().to_owned()),
            other => (other.to_string(), String::new()),
        }
    }

    #[test]
    fn what_a_child_says_is_told_and_its_refusal_kept() {
        let look = Look { phase: Phase::Reading, progress: 0.5, rows: 7 };
        let line = format!("look {}\n", serde_json::to_string(&look).unwrap());
        let stdout = format!("{line}look nonsense\n{line}{{\"x\":1}}");
        let mut looks = Vec::new();
        let runtime = tokio::runtime::Builder::new_current_thread().build().unwrap();
        let said = runtime.block_on(listen(stdout.as_bytes(), &mut |look| looks.push(look))).unwrap();
        assert_eq!(looks, [look, look]);
        assert_eq!(said, b"look nonsense\n{\"x\":1}");
    }

    #[test]
    fn every_end_of_a_child_is_an_answer() {
        let refused = serde_json::to_vec(&ReadError::EmptyFile(Problem::new("nothing"))).unwrap();
        assert_eq!(check(1 << 8, &refused, b"x"), ("empty-file".to_owned(), "nothing".to_owned()));
        let (slug, detail) = check(6, b"", b"PK\x03\x04");
        assert_eq!(slug, "malformed-workbook", "aborted");
        assert!(detail.contains("64 MiB"), "{detail}");
        let (slug, detail) = check(SIGXCPU, b"", b"PK\x03\x04");
        assert_eq!(slug, "malformed-workbook");
        assert!(detail.contains("7 s of processor time"), "{detail}");
        let (_, detail) = check(9, b"", b"PK\x03\x04");
        assert!(detail.contains("64 MiB"), "killed, as where the machine has no memory left: {detail}");
        assert_eq!(check(6, b"", b"\xd0\xcf\x11\xe0").0, "malformed-workbook", "an old workbook");
        assert_eq!(check(6, b"", b"a,b").0, "too-many-cells", "text is not malformed, but too much");
        assert_eq!(check(101 << 8, b"", b"PK").0, "malformed-workbook", "panicked");
        assert_eq!(check(1 << 8, b"{", b"PK").0, "malformed-workbook", "half an answer");
        assert_eq!(check(3 << 8, b"", b"x").0, "the disk of the data folder is full");
    }
}
