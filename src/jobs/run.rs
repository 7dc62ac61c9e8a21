//! One claimed training, from its table to its end.
//!
//! Four things go on at once: the training on a thread of its own, the heartbeat, the recorder and
//! the checkpoint keeper. None of the last three waits for another, and one failing never stops the
//! training; a lost lease does.

use super::{
    Failure, Jobs, Outcome, Trainer, Work, failure::of_storage, live::Running, mailbox::Mailbox, record,
    retry, save,
};
use crate::hash;
use crate::id::TrainingId;
use crate::storage::{
    BlobKey, Claimed, JobError, Lease, LogLevel, Progress, Result, StorageError, TrainingRecord, datasets,
    trainings,
};
use crate::training::{Stop, StopReason};
use std::{
    panic::AssertUnwindSafe,
    sync::atomic::{AtomicBool, Ordering},
    time::Duration,
};
use tokio::sync::oneshot;
use tokio_util::sync::CancellationToken;
use tracing::Instrument;

/// Sees one training through. Whatever happens to it, this returns normally.
pub(super) async fn run(jobs: &Jobs, trainer: &Trainer, claimed: Claimed, shutdown: &CancellationToken) {
    let Claimed { lease, training } = claimed;
    let span = tracing::info_span!("training", training_id = %lease.job_id, attempt = lease.attempt);
    async {
        tracing::info!("training claimed");
        let run = Run::new(jobs, lease, &training);
        match Box::pin(run.to_the_end(trainer, training, shutdown)).await {
            Ok(end) => tracing::info!(?end, "training ended here"),
            Err(StorageError::LeaseLost) => tracing::warn!("the lease was lost; the work is discarded"),
            // The row stays claimed until the lease runs out; then another worker takes it.
            Err(error) => tracing::error!(%error, "the end of the training could not be written down"),
        }
        jobs.live.wake(lease.job_id);
    }
    .instrument(span)
    .await;
}

/// For how long a training that has ended waits for its checkpoint to be stored.
const CHECKPOINT_PATIENCE: Duration = Duration::from_secs(8);

/// How a training ended in this process.
#[derive(Debug)]
enum End {
    Succeeded,
    Failed(JobError),
    Cancelled,
    Released,
}

/// What a training made, with the SHA-256 of its file: a large one takes a while, off the runtime.
pub(super) type Hashed = (Outcome, String);

/// What the tasks of one training share.
pub(super) struct Run<'a> {
    pub(super) jobs: &'a Jobs,
    pub(super) lease: Lease,
    pub(super) mailbox: Mailbox,
    /// Held while the mailbox is written down.
    pub(super) recording: tokio::sync::Mutex<()>,
    stop: Stop,
    lost: AtomicBool,
    running: Running,
}

impl<'a> Run<'a> {
    fn new(jobs: &'a Jobs, lease: Lease, training: &TrainingRecord) -> Self {
        let progress = Progress {
            fraction: training.progress,
            message: training.message.clone(),
            eta_s: training.eta_s,
        };
        Self {
            jobs,
            lease,
            mailbox: Mailbox::new(jobs.clock.clone(), progress, training.warnings.clone()),
            recording: tokio::sync::Mutex::new(()),
            stop: Stop::new(),
            lost: AtomicBool::new(false),
            running: jobs.live.runs(lease.job_id),
        }
    }

    /// Notes that the training is another worker's now, and stops it here.
    pub(super) fn lose(&self) {
        self.lost.store(true, Ordering::Relaxed);
        self.stop.request(StopReason::Cancel);
    }

    fn is_lost(&self) -> bool {
        self.lost.load(Ordering::Relaxed)
    }

    async fn to_the_end(
        &self,
        trainer: &Trainer,
        training: TrainingRecord,
        shutdown: &CancellationToken,
    ) -> Result<End> {
        let keeper = record::CheckpointKeeper::new(training.checkpoint);
        let done = CancellationToken::new();
        let work = async {
            // Loading from a store that is away must not hold a shutdown up.
            let loaded = Box::pin(shutdown.run_until_cancelled(self.load(&training))).await;
            let result = match loaded {
                Some(Ok(work)) => self.train(trainer, work, shutdown, &keeper).await,
                Some(Err(failure)) => Err(failure),
                None => Err(Failure::Stopped(StopReason::Shutdown)),
            };
            let end = Box::pin(self.finish(&training, result, shutdown, &keeper)).await;
            done.cancel();
            end
        };
        // All three end with `done`; the heartbeat goes on while the model is being saved.
        let (end, (), ()) = tokio::join!(work, self.heartbeat(&done), record::record_until(self, &done));
        end
    }

    /// Renews the lease until the training has ended.
    async fn heartbeat(&self, done: &CancellationToken) {
        loop {
            tokio::select! {
                () = done.cancelled() => return,
                () = tokio::time::sleep(self.jobs.settings.heartbeat) => {}
                () = self.running.nudged() => {}
            }
            let until = self.jobs.clock.now() + self.jobs.settings.lease_span();
            // A database that hangs is like one that refuses: the next beat tries again. The
            // training goes on meanwhile; its lease decides at the end whether the result counts.
            let beat = trainings::heartbeat(&self.jobs.db, &self.lease, until);
            match tokio::time::timeout(self.jobs.settings.lease / 3, beat).await {
                Ok(Ok(false)) => {}
                Ok(Ok(true)) => self.stop.request(StopReason::Cancel),
                Ok(Err(StorageError::LeaseLost)) => {
                    if !done.is_cancelled() {
                        self.lose();
                    }
                    return;
                }
                Ok(Err(error)) => tracing::warn!(%error, "the lease could not be renewed"),
                Err(_) => tracing::warn!("the lease could not be renewed in time"),
            }
        }
    }

    /// Reads the table and the last checkpoint.
    async fn load(&self, training: &TrainingRecord) -> std::result::Result<Work, Failure> {
        let deleted = || {
            Failure::new(
                "dataset-deleted",
                format!("the dataset {} was deleted before the training could start", training.dataset_id),
            )
        };
        let dataset = self.patiently(|| datasets::get(&self.jobs.db, training.dataset_id)).await?;
        let Some(dataset) = dataset else { return Err(deleted()) };
        let key = BlobKey::Table(dataset.dataset_id);
        let table = self.patiently(|| self.jobs.blobs.get_bytes(&key)).await?;
        let Some(table) = table else {
            let still_there = self.patiently(|| datasets::get(&self.jobs.db, training.dataset_id)).await?;
            return Err(match still_there {
                None => deleted(),
                Some(_) => Failure::new(
                    "file-missing",
                    format!(
                        "the stored table of the dataset {} is not there; upload the file again",
                        training.dataset_id
                    ),
                ),
            });
        };
        let resume = match &training.checkpoint {
            Some(key) => self.patiently(|| self.jobs.blobs.get_bytes(key)).await?,
            None => None,
        };
        match (&training.checkpoint, &resume) {
            (Some(_), None) => {
                self.mailbox.log(LogLevel::Warning, "the checkpoint is not there: starting over".into());
            }
            (Some(_), Some(_)) => {
                self.mailbox.log(LogLevel::Info, "resuming from the last checkpoint".into());
            }
            (None, _) => {}
        }
        let about = serde_json::json!({
            "dataset_id": dataset.dataset_id, "name": dataset.name, "filename": dataset.filename,
            "sha256": dataset.sha256, "size_bytes": dataset.size_bytes, "rows": dataset.rows,
        });
        let request = training.request.clone();
        Ok(Work { table, description: dataset.description, dataset: about, request, resume })
    }

    /// Tries an operation again while its store is away, as long as a result would be kept.
    async fn patiently<T, F>(&self, operation: impl Fn() -> F) -> std::result::Result<T, Failure>
    where
        F: Future<Output = Result<T>>,
    {
        retry(self.jobs.settings.save_retry_for, operation).await.map_err(|error| {
            tracing::error!(%error, "the training cannot be started");
            Failure::Failed(of_storage(&error, "train again"))
        })
    }

    /// Runs the training on a thread of its own and stores its checkpoints meanwhile.
    async fn train(
        &self,
        trainer: &Trainer,
        work: Work,
        shutdown: &CancellationToken,
        keeper: &record::CheckpointKeeper,
    ) -> std::result::Result<Hashed, Failure> {
        let (sender, mut ended) = oneshot::channel();
        let (trainer, mailbox, stop) = (trainer.clone(), self.mailbox.clone(), self.stop.clone());
        let training = move || {
            let result = std::panic::catch_unwind(AssertUnwindSafe(|| {
                let outcome = trainer.train(work, &mut |event| mailbox.put(event), &stop)?;
                let sha256 = hash::of_bytes(&outcome.file);
                Ok((outcome, sha256))
            }));
            drop(sender.send(result)); // nobody listens only if the process is ending
        };
        let thread = std::thread::Builder::new().name(thread_name(self.lease.job_id)).spawn(training);
        if let Err(error) = thread {
            return Err(Failure::new(
                "internal",
                format!("no thread could be started for the training: {error}"),
            ));
        }
        let mut shutting_down = false;
        // A store that hangs must not hide the end.
        let mut keeping = std::pin::pin!(keeper.keep(self));
        let result = loop {
            tokio::select! {
                result = &mut ended => break result,
                never = &mut keeping => match never {},
                () = shutdown.cancelled(), if !shutting_down => {
                    shutting_down = true;
                    self.stop.request(StopReason::Shutdown);
                }
            }
        };
        // What is half-way into the store gets there, or a file without a row stays behind for the sweep.
        let stored = async {
            tokio::select! {
                biased;
                () = keeper.idle() => {}
                never = &mut keeping => match never {},
            }
        };
        if tokio::time::timeout(CHECKPOINT_PATIENCE, stored).await.is_err() {
            tracing::warn!("a checkpoint could not be stored in time");
        }
        match result {
            Ok(Ok(result)) => result,
            Ok(Err(panic)) => {
                tracing::error!(panic = panic_text(panic.as_ref()), "the training panicked");
                Err(Failure::new(
                    "internal",
                    "a fault in the program ended the training; the server's log says more",
                ))
            }
            Err(_) => Err(Failure::new("internal", "the training thread ended without a result")),
        }
    }

    /// Writes down how the training ended.
    async fn finish(
        &self,
        training: &TrainingRecord,
        result: std::result::Result<Hashed, Failure>,
        shutdown: &CancellationToken,
        keeper: &record::CheckpointKeeper,
    ) -> Result<End> {
        if self.is_lost() {
            keeper.discard(self).await;
            return Err(StorageError::LeaseLost);
        }
        for warning in result.iter().flat_map(|(outcome, _)| &outcome.warnings) {
            self.mailbox.warn(warning.clone());
        }
        let end = match result {
            Ok(hashed) => match Box::pin(save::save(self, training, hashed, shutdown)).await? {
                save::Saved::Stored => End::Succeeded,
                save::Saved::CancelRequested => End::Cancelled,
                save::Saved::Failed(error) => End::Failed(error),
                save::Saved::Interrupted => End::Released,
            },
            Err(Failure::Failed(error)) => End::Failed(error),
            Err(Failure::Stopped(StopReason::Cancel)) => End::Cancelled,
            Err(Failure::Stopped(StopReason::Shutdown)) => End::Released,
        };
        if matches!(end, End::Released)
            && tokio::time::timeout(CHECKPOINT_PATIENCE, keeper.store_newest(self)).await.is_err()
        {
            tracing::warn!("the last checkpoint could not be stored in time; an earlier one is gone on from");
        }
        if let End::Failed(error) = &end {
            self.mailbox.log(LogLevel::Error, error.detail.clone());
        }
        let (db, lease) = (&self.jobs.db, &self.lease);
        let patience = match end {
            End::Released => Duration::from_secs(2), // the process is about to end
            _ => self.jobs.settings.save_retry_for,
        };
        if !matches!(end, End::Succeeded) {
            record::settle(self, patience).await;
        }
        retry(patience, || async {
            let now = self.jobs.clock.now();
            match &end {
                End::Succeeded => Ok(()),
                End::Failed(error) => {
                    trainings::finish_failed(db, lease, error, &self.mailbox.warnings(), now).await
                }
                End::Cancelled => trainings::finish_cancelled(db, lease, now).await,
                End::Released => trainings::release(db, lease, now).await,
            }
        })
        .await?;
        if !matches!(end, End::Released) {
            keeper.discard(self).await;
        }
        Ok(end)
    }
}

/// At most 15 bytes are shown by Linux; the end of a UUIDv7 tells trainings apart.
fn thread_name(training_id: TrainingId) -> String {
    let id = training_id.0.simple().to_string();
    format!("train-{}", &id[id.len() - 8..])
}

fn panic_text(panic: &(dyn std::any::Any + Send)) -> &str {
    (panic.downcast_ref::<&str>().copied())
        .or_else(|| panic.downcast_ref::<String>().map(String::as_str))
        .unwrap_or("no message")
}
