//! Files that are answered in the background: claim, answer, again; until the process is told to stop.
//!
//! ```text
//! claim -> the file from the store -> Sheet -> write::answer -> the answer into the store -> succeeded
//!          meanwhile, every heartbeat: the lease is renewed, the progress written, a cancel seen
//! ```
//!
//! A process that is told to stop gives its file back to the queue; one that dies lets its lease run out. Either way the
//! file is begun anew: it takes seconds, and nothing of it is told before it is whole.

use super::{failure::of_storage, stored, write::Progress};
use crate::{
    app::{App, TempFile},
    id::PredictionId,
    jobs::{self, Jobs},
    storage::{
        BlobKey, JobError, JobStatus, Lease, PredictionRecord, Result, StorageError,
        predictions::{self, Done, PredictionProgress},
    },
};
use chrono::{DateTime, Utc};
use std::{
    path::Path,
    sync::{Arc, atomic::Ordering},
    time::Duration,
};
use tokio_util::sync::CancellationToken;
use uuid::Uuid;

/// Answers one file after the other until `stop` is cancelled.
pub async fn run(app: App, jobs: Jobs, stop: CancellationToken) {
    let owner = Uuid::now_v7();
    let (live, poll) = (app.live_files(), jobs.settings.poll);
    while let Some((lease, record)) =
        jobs::worker::next(live, poll, &stop, || claim(&app, &jobs, owner)).await
    {
        let held = Held { app: &app, jobs: &jobs, lease, record, progress: Arc::default() };
        Box::pin(held.see_through(&stop)).await;
    }
}

async fn claim(
    app: &App,
    jobs: &Jobs,
    owner: Uuid,
) -> Result<Option<(Lease<PredictionId>, PredictionRecord)>> {
    let (now, settings) = (jobs.clock.now(), &jobs.settings);
    for prediction_id in predictions::expire(&jobs.db, now, settings.max_crashes).await? {
        tracing::warn!(%prediction_id, "a file without a living worker has been ended");
        app.live_files().wake(prediction_id);
    }
    predictions::claim(&jobs.db, owner, now, settings.lease_span(), settings.max_crashes).await
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

/// What a heartbeat has found.
#[derive(Debug)]
enum Beat {
    Renewed,
    /// The database was away: the next one tries again, and the lease decides at the end.
    Missed,
    Cancelled,
    Lost,
}

/// A file that this worker holds.
struct Held<'a> {
    app: &'a App,
    jobs: &'a Jobs,
    lease: Lease<PredictionId>,
    record: PredictionRecord,
    /// Shared with the threads that answer it.
    progress: Arc<Progress>,
}

impl Held<'_> {
    /// Whatever happens to the file, this returns normally.
    async fn see_through(&self, stop: &CancellationToken) {
        let Self { app, jobs, lease, .. } = self;
        let prediction_id = lease.job_id;
        let end = self.attend(stop).await;
        tracing::info!(%prediction_id, attempt = lease.attempt, end = end.name(), "a file has ended here");
        let patience = jobs.settings.save_retry_for;
        let outcome = match end {
            End::Answered(done, file) => self.store(&done, file.path()).await,
            End::Failed(error) => self.fail(&error).await.map(|()| true),
            End::Cancelled => {
                let cancelled = || predictions::finish_cancelled(&jobs.db, lease, self.now());
                jobs::retry(patience, cancelled).await.map(|()| true)
            }
            End::Released => {
                // The process is about to end.
                let patience = Duration::from_secs(2);
                jobs::retry(patience, || predictions::release(&jobs.db, lease, self.now()))
                    .await
                    .map(|()| false)
            }
            End::Lost => Ok(false),
        };
        match outcome {
            Ok(true) => {
                let asked = BlobKey::Asked(prediction_id);
                if let Err(error) = jobs.blobs.delete(&asked).await {
                    tracing::warn!(%error, key = %asked, "a file stays behind; the sweep removes it");
                }
            }
            Ok(false) | Err(StorageError::LeaseLost) => {}
            // The row stays claimed until the lease runs out; then another worker takes it.
            Err(error) => {
                tracing::error!(%error, %prediction_id, "the end of a file could not be written down");
            }
        }
        app.live_files().wake(prediction_id);
    }

    /// Answers, and meanwhile renews the lease and looks whether to stop.
    async fn attend(&self, stop: &CancellationToken) -> End {
        let live = self.app.live_files();
        let running = live.runs(self.lease.job_id);
        let settings = &self.jobs.settings;
        let mut work = std::pin::pin!(stored::answer(self.app, self.jobs, &self.record, &self.progress));
        let end = loop {
            tokio::select! {
                answered = &mut work => match answered {
                    Ok((done, file)) => return End::Answered(done, file),
                    Err(error) => return End::Failed(error),
                },
                () = stop.cancelled() => break End::Released,
                () = tokio::time::sleep(settings.heartbeat) => {}
                () = running.nudged() => {}
            }
            match self.heartbeat().await {
                Beat::Renewed => live.wake(self.lease.job_id),
                Beat::Missed => {}
                Beat::Cancelled => break End::Cancelled,
                Beat::Lost => break End::Lost,
            }
        };
        self.progress.stop.store(true, Ordering::Relaxed);
        end
    }

    /// Makes the answer durable, then says so. `Ok(true)` if the file has ended.
    async fn store(&self, done: &Done, path: &Path) -> Result<bool> {
        let Self { jobs, lease, record, .. } = self;
        let key = BlobKey::Answered { prediction_id: lease.job_id, attempt: lease.attempt };
        let patience = jobs.settings.save_retry_for;
        // Copying a large answer may take longer than the lease; the store has it in the end or it has not.
        let storing = jobs::retry(patience, || jobs.blobs.put_file(&key, path));
        let stored = async {
            let mut storing = std::pin::pin!(storing);
            loop {
                tokio::select! {
                    stored = &mut storing => return stored.map(drop),
                    () = tokio::time::sleep(jobs.settings.heartbeat) => {
                        if matches!(self.heartbeat().await, Beat::Lost) {
                            return Err(StorageError::LeaseLost);
                        }
                    }
                }
            }
        };
        let counts = match stored.await {
            Ok(()) => {
                let succeed =
                    || predictions::succeed(&jobs.db, lease, record, self.progress(), done, self.now());
                jobs::retry(patience, succeed).await
            }
            Err(StorageError::LeaseLost) => Err(StorageError::LeaseLost),
            Err(error) => self.fail(&of_storage(&error)).await.map(|()| false),
        };
        match counts {
            Ok(true) => return Ok(true),
            // A commit whose answer was lost on the way has ended the job, and the next try finds no lease.
            Err(StorageError::LeaseLost) if self.has_succeeded().await? => return Ok(true),
            Ok(false) | Err(StorageError::LeaseLost) => {
                // Nobody's: the job was cancelled, deleted, or is another worker's.
                let _ = jobs.blobs.delete(&key).await;
            }
            // It may have gone through: the sweep knows.
            Err(_) => {}
        }
        counts.map(|_| true)
    }

    /// Renews the lease and writes the progress down.
    async fn heartbeat(&self) -> Beat {
        let settings = &self.jobs.settings;
        let until = self.now() + settings.lease_span();
        let beat = predictions::heartbeat(&self.jobs.db, &self.lease, self.progress(), until);
        match tokio::time::timeout(settings.lease / 3, beat).await {
            Ok(Ok(false)) => return Beat::Renewed,
            Ok(Ok(true)) => return Beat::Cancelled,
            Ok(Err(StorageError::LeaseLost)) => return Beat::Lost,
            Ok(Err(error)) => tracing::warn!(%error, "the lease on a file could not be renewed"),
            Err(_) => tracing::warn!("the lease on a file could not be renewed in time"),
        }
        Beat::Missed
    }

    async fn fail(&self, error: &JobError) -> Result<()> {
        let fail = || predictions::fail(&self.jobs.db, &self.lease, error, self.now());
        jobs::retry(self.jobs.settings.save_retry_for, fail).await
    }

    async fn has_succeeded(&self) -> Result<bool> {
        let record = predictions::get(&self.jobs.db, self.lease.job_id).await?;
        Ok(record.is_some_and(|record| {
            record.attempt == self.lease.attempt && record.status == JobStatus::Succeeded
        }))
    }

    fn progress(&self) -> PredictionProgress {
        let rows = self.progress.rows.load(Ordering::Relaxed);
        PredictionProgress {
            rows: (rows > 0).then_some(rows),
            rows_done: self.progress.rows_done.load(Ordering::Relaxed),
            rows_outside: self.progress.rows_outside.load(Ordering::Relaxed),
        }
    }

    fn now(&self) -> DateTime<Utc> {
        self.jobs.clock.now()
    }
}
