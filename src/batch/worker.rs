//! Files that are answered in the background: claim, answer, again; until the process is told to stop.
//!
//! ```text
//! claim -> the file from the store -> Sheet -> write::answer -> the answer into the store -> succeeded
//!          meanwhile, every heartbeat: the lease is renewed, the progress written, a cancel seen
//! ```
//!
//! A process that is told to stop gives its file back to the queue; one that dies lets its lease run out. Either way the
//! file is begun anew: it takes seconds, and nothing of it is told before it is whole.

use super::{
    Sheet,
    failure::{internal, job_error, of_answer, of_model, of_reading, of_storage},
    write::{self, Progress, Wanted},
};
use crate::{
    app::{App, TempFile},
    dataset::{
        ReadReport,
        export::{CsvStyle, FileFormat},
    },
    id::PredictionId,
    jobs,
    language::Language,
    model::PredictOptions,
    prediction::{Loaded, PredictionError},
    storage::{
        AnswerFormat, BlobKey, Db, JobError, Lease, PredictionRecord, PredictionStatus, StorageError,
        predictions::{self, Done, PredictionProgress},
    },
};
use sha2::{Digest, Sha256};
use std::{
    fmt::Write as _,
    fs::File,
    io::{self, BufWriter, Read as _},
    path::Path,
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering},
    },
    time::Duration,
};
use tokio_util::sync::CancellationToken;
use uuid::Uuid;

/// How often an idle worker looks for files that other processes have queued.
const POLL: Duration = Duration::from_secs(1);
/// Longest wait between two tries while the database does not answer.
const MAX_WAIT: Duration = Duration::from_secs(10);

/// Answers one file after the other until `stop` is cancelled.
pub async fn run(app: App, stop: CancellationToken) {
    let owner = Uuid::now_v7();
    let mut wait = POLL;
    while !stop.is_cancelled() {
        match next(&app, owner).await {
            Ok(Some((lease, record))) => {
                wait = POLL;
                Box::pin(see_through(&app, lease, &record, &stop)).await;
            }
            Ok(None) => {
                wait = POLL;
                stop.run_until_cancelled(app.live_files().queued(POLL)).await;
            }
            Err(error) => {
                tracing::warn!(%error, "no file can be claimed, trying again");
                stop.run_until_cancelled(tokio::time::sleep(wait)).await;
                wait = (wait * 2).min(MAX_WAIT);
            }
        }
    }
}

async fn next(
    app: &App,
    owner: Uuid,
) -> Result<Option<(Lease<PredictionId>, PredictionRecord)>, StorageError> {
    let Ok(db) = app.db() else { return Ok(None) };
    let max_crashes = app.settings().training.max_attempts;
    let now = app.clock().now();
    for prediction_id in predictions::expire(db, now, max_crashes).await? {
        tracing::warn!(%prediction_id, "a file without a living worker has been ended");
        app.live_files().wake(prediction_id);
    }
    predictions::claim(db, owner, now, lease_span(app), max_crashes).await
}

fn lease_span(app: &App) -> chrono::Duration {
    let lease = app.settings().training.lease_s.duration();
    chrono::Duration::milliseconds(lease.as_millis().try_into().unwrap_or(i64::MAX))
}

/// How a file ended in this process.
#[derive(Debug)]
enum End {
    Answered(Done, TempFile),
    Failed(JobError),
    Cancelled,
    Released,
    Lost,
}

impl End {
    /// For the log, which must not have the cells that a refusal quotes.
    fn name(&self) -> &str {
        match self {
            Self::Answered(..) => "answered",
            Self::Failed(error) => &error.slug,
            Self::Cancelled => "cancelled",
            Self::Released => "released",
            Self::Lost => "lost",
        }
    }
}

/// Sees one file through. Whatever happens to it, this returns normally.
async fn see_through(
    app: &App,
    lease: Lease<PredictionId>,
    record: &PredictionRecord,
    stop: &CancellationToken,
) {
    let prediction_id = lease.job_id;
    let Ok(db) = app.db() else { return };
    let progress = Arc::new(Shared::default());
    let end = attend(app, db, lease, record, &progress, stop).await;
    tracing::info!(%prediction_id, attempt = lease.attempt, end = end.name(), "a file has ended here");
    let asked = BlobKey::Asked(prediction_id);
    let patience = app.settings().training.save_retry_s.duration();
    let now = || app.clock().now();
    let outcome = match end {
        End::Answered(done, file) => store(app, db, &lease, record, progress.now(), &done, file.path()).await,
        End::Failed(error) => {
            jobs::retry(patience, || predictions::fail(db, &lease, &error, now())).await.map(|()| true)
        }
        End::Cancelled => {
            jobs::retry(patience, || predictions::finish_cancelled(db, &lease, now())).await.map(|()| true)
        }
        End::Released => {
            // The process is about to end.
            let patience = Duration::from_secs(2);
            jobs::retry(patience, || predictions::release(db, &lease, now())).await.map(|()| false)
        }
        End::Lost => Ok(false),
    };
    match outcome {
        Ok(true) => {
            if let Err(error) = app.blobs().delete(&asked).await {
                tracing::warn!(%error, key = %asked, "a file stays behind; the sweep removes it");
            }
        }
        Ok(false) | Err(StorageError::LeaseLost) => {}
        // The row stays claimed until the lease runs out; then another worker takes it.
        Err(error) => tracing::error!(%error, %prediction_id, "the end of a file could not be written down"),
    }
    app.live_files().wake(prediction_id);
}

/// Answers, and meanwhile renews the lease and looks whether to stop.
async fn attend(
    app: &App,
    db: &Db,
    lease: Lease<PredictionId>,
    record: &PredictionRecord,
    progress: &Arc<Shared>,
    stop: &CancellationToken,
) -> End {
    let running = app.live_files().runs(lease.job_id);
    let mut work = std::pin::pin!(answer(app, db, record, progress));
    let end = loop {
        tokio::select! {
            answered = &mut work => match answered {
                Ok((done, path)) => return End::Answered(done, path),
                Err(error) => return End::Failed(error),
            },
            () = stop.cancelled() => break End::Released,
            () = tokio::time::sleep(app.settings().training.heartbeat_s.duration()) => {}
            () = running.nudged() => {}
        }
        let until = app.clock().now() + lease_span(app);
        let patience = app.settings().training.lease_s.duration() / 3;
        match tokio::time::timeout(patience, predictions::heartbeat(db, &lease, progress.now(), until)).await
        {
            Ok(Ok(false)) => app.live_files().wake(lease.job_id),
            Ok(Ok(true)) => break End::Cancelled,
            Ok(Err(StorageError::LeaseLost)) => break End::Lost,
            Ok(Err(error)) => tracing::warn!(%error, "the lease on a file could not be renewed"),
            Err(_) => tracing::warn!("the lease on a file could not be renewed in time"),
        }
    };
    progress.of_rows.stop.store(true, Ordering::Relaxed);
    end
}

/// The progress of one file, shared with the threads that answer it.
#[derive(Debug, Default)]
struct Shared {
    /// Rows of the file; 0 until it has been read.
    rows: AtomicU64,
    of_rows: Progress,
}

impl Shared {
    fn now(&self) -> PredictionProgress {
        let rows = self.rows.load(Ordering::Relaxed);
        PredictionProgress {
            rows: (rows > 0).then_some(rows),
            rows_done: self.of_rows.rows_done.load(Ordering::Relaxed),
            rows_outside: self.of_rows.rows_outside.load(Ordering::Relaxed),
        }
    }
}

/// From the stored file to the answer in the temporary folder.
async fn answer(
    app: &App,
    db: &Db,
    record: &PredictionRecord,
    progress: &Arc<Shared>,
) -> Result<(Done, TempFile), JobError> {
    let (key, request) = (BlobKey::Asked(record.prediction_id), &record.request);
    let file = TempFile::new(&app.temp_dir(), "asked");
    let patience = app.settings().training.save_retry_s.duration();
    let copied = jobs::retry(patience, || app.blobs().get_file(&key, file.path())).await;
    if copied.map_err(|error| of_storage(&error))?.is_none() {
        return Err(job_error("storage-unavailable", "the stored file is not there; send it again"));
    }
    let loaded =
        jobs::retry(patience, || model(app, db, record)).await.map_err(|error| of_storage(&error))?;
    let loaded = loaded.map_err(|error| of_model(&error, record))?;
    let mut sheet = Sheet::read(app, file.path(), &record.filename, &request.read)
        .await
        .map_err(|error| of_reading(&error))?;
    progress.rows.store(sheet.n_rows() as u64, Ordering::Relaxed);
    if let Some(detail) = sheet.lacks(loaded.model.inputs()) {
        return Err(job_error("missing-field", &detail));
    }
    let format = request.format.unwrap_or_else(|| sheet.own_format());
    sheet.read_spelling(app, file.path(), &record.filename, &request.read, format).await;
    drop(file);
    let wanted = Wanted {
        options: PredictOptions {
            confidence: request.confidence,
            unknown_category: request.unknown_category,
            explain: false,
        },
        language: Language::of_locale(&request.language),
        format: file_format(format, sheet.report()),
        is_awaited: false,
    };
    let (path, tables, progress) =
        (TempFile::new(&app.temp_dir(), "answered"), sheet.tables(), progress.clone());
    let writing = move || {
        let to = BufWriter::new(File::options().write(true).create_new(true).open(path.path())?);
        let to = write::answer(&tables, &loaded.model, wanted, &progress.of_rows, to)?;
        to.into_inner().map_err(io::IntoInnerError::into_error)?.sync_all()?;
        let (sha256, size_bytes) = hash(path.path())?;
        Ok((Done { format, size_bytes, sha256 }, path))
    };
    let answered = tokio::task::spawn_blocking(writing).await;
    // The tables are in its scratch folders.
    drop(sheet);
    let answered = answered.map_err(|error| {
        tracing::error!(%error, "answering a file panicked");
        internal()
    })?;
    let (done, path) = answered.map_err(|error| of_answer(&error))?;
    Ok((done, path))
}

/// The model; the outer error is one of the stores, which is worth another try.
async fn model(
    app: &App,
    db: &Db,
    record: &PredictionRecord,
) -> Result<Result<Arc<Loaded>, PredictionError>, StorageError> {
    match app.models().get(db, app.blobs(), record.model_id).await {
        Err(PredictionError::Storage(error)) => Err(error),
        other => Ok(other),
    }
}

/// Makes the answer durable, then says so. `Ok(true)` if the file has ended.
async fn store(
    app: &App,
    db: &Db,
    lease: &Lease<PredictionId>,
    record: &PredictionRecord,
    progress: PredictionProgress,
    done: &Done,
    path: &Path,
) -> Result<bool, StorageError> {
    let key = BlobKey::Answered { prediction_id: lease.job_id, attempt: lease.attempt };
    let patience = app.settings().training.save_retry_s.duration();
    let until = || app.clock().now() + lease_span(app);
    let now = || app.clock().now();
    // Copying a large answer may take longer than the lease; the store has it in the end or it has not.
    let storing = jobs::retry(patience, || app.blobs().put_file(&key, path));
    let stored = async {
        let mut storing = std::pin::pin!(storing);
        loop {
            tokio::select! {
                stored = &mut storing => return stored.map(drop),
                () = tokio::time::sleep(app.settings().training.heartbeat_s.duration()) => {
                    predictions::heartbeat(db, lease, progress, until()).await?;
                }
            }
        }
    };
    let counts = match stored.await {
        Ok(()) => {
            jobs::retry(patience, || predictions::succeed(db, lease, record, progress, done, now())).await
        }
        Err(StorageError::LeaseLost) => Err(StorageError::LeaseLost),
        Err(error) => {
            let error = of_storage(&error);
            jobs::retry(patience, || predictions::fail(db, lease, &error, now())).await.map(|()| false)
        }
    };
    match counts {
        Ok(true) => return Ok(true),
        // A commit whose answer was lost on the way has ended the job, and the next try finds no lease.
        Err(StorageError::LeaseLost) if has_ended(db, lease).await? => return Ok(true),
        Ok(false) | Err(StorageError::LeaseLost) => {
            // Nobody's: the job was cancelled, deleted, or is another worker's.
            let _ = app.blobs().delete(&key).await;
        }
        // It may have gone through: the sweep knows.
        Err(_) => {}
    }
    counts.map(|_| true)
}

async fn has_ended(db: &Db, lease: &Lease<PredictionId>) -> Result<bool, StorageError> {
    let record = predictions::get(db, lease.job_id).await?;
    Ok(record.is_some_and(|record| {
        record.attempt == lease.attempt && record.status == PredictionStatus::Succeeded
    }))
}

/// SHA-256 in hexadecimal, and the size.
fn hash(path: &Path) -> io::Result<(String, u64)> {
    let (mut hash, mut size_bytes) = (Sha256::new(), 0);
    let (mut file, mut part) = (File::open(path)?, vec![0; 1 << 18]);
    loop {
        let n_read = file.read(&mut part)?;
        if n_read == 0 {
            break;
        }
        hash.update(&part[..n_read]);
        size_bytes += n_read as u64;
    }
    let sha256 = hash.finalize().iter().fold(String::new(), |mut text, byte| {
        // Writing to a text cannot fail.
        let _ = write!(text, "{byte:02x}");
        text
    });
    Ok((sha256, size_bytes))
}

/// As what the answer is written, in the marks of the file: for a workbook, and for a file whose columns stand in their
/// places without a mark, those that go with its decimal mark.
pub fn file_format(format: AnswerFormat, read: &ReadReport) -> FileFormat {
    let usual = if read.decimal == ',' { ';' } else { ',' };
    let delimiter = read.delimiter.filter(|mark| *mark != ' ').unwrap_or(usual);
    match format {
        AnswerFormat::Csv => FileFormat::Csv(CsvStyle { delimiter, decimal: read.decimal }),
        AnswerFormat::Xlsx => FileFormat::Xlsx,
    }
}
