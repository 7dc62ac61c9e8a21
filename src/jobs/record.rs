//! Writes what the training tells: progress, epochs and log lines into rows, checkpoints into
//! blobs. Nothing here fails a training: what cannot be written now is written later or given up.

use super::{live::lock, mailbox::News, retry, run::Run};
use crate::dataset::Warning;
use crate::storage::{BlobKey, Result, StorageError, trainings};
use std::{convert::Infallible, sync::Mutex, time::Duration};
use tokio::sync::Notify;
use tokio_util::sync::CancellationToken;

/// Writes the mailbox down every `record_every`, until the training has ended.
pub(super) async fn record_until(run: &Run<'_>, done: &CancellationToken) {
    loop {
        tokio::select! {
            () = done.cancelled() => return,
            () = tokio::time::sleep(run.jobs.settings.record_every) => {
                if let Err(error) = flush(run).await {
                    tracing::warn!(%error, "progress could not be written down, trying again");
                }
            }
        }
    }
}

/// Writes down everything that was told before, also what another call was just writing, because
/// the end of the training follows and its row takes nothing after. A database that is away is
/// waited for.
pub(super) async fn settle(run: &Run<'_>, patience: Duration) {
    if let Err(error) = retry(patience, || flush(run)).await {
        tracing::error!(%error, "the last epochs and log lines of the training are lost");
    }
}

/// Writes down what is in the mailbox, or puts it back.
async fn flush(run: &Run<'_>) -> Result<()> {
    let _writing = run.recording.lock().await;
    let Some(news) = run.mailbox.take() else { return Ok(()) };
    let News { progress, warnings, epochs, logs, .. } = &news;
    match trainings::record(&run.jobs.db, &run.lease, progress, warnings, epochs, logs).await {
        Ok(()) => run.jobs.live.wake(run.lease.job_id),
        // The training has ended, or is another worker's: the heartbeat finds out which.
        Err(StorageError::LeaseLost) => {}
        Err(error) => {
            run.mailbox.put_back(news);
            return Err(error);
        }
    }
    Ok(())
}

/// Keeps the one checkpoint that the row points to.
///
/// Store the new blob, point the row to it, remove the old blob: after a crash in between, the row
/// still points to a whole checkpoint, and the sweep removes the other one.
#[derive(Debug)]
pub(super) struct CheckpointKeeper {
    kept: Mutex<Kept>,
    /// Told when one has been stored, or could not be.
    stored: Notify,
}

#[derive(Debug)]
struct Kept {
    current: Option<BlobKey>,
    sequence: u64,
    is_storing: bool,
}

impl CheckpointKeeper {
    /// Starts with the checkpoint of an earlier attempt.
    pub(super) fn new(current: Option<BlobKey>) -> Self {
        Self { stored: Notify::new(), kept: Mutex::new(Kept { current, sequence: 0, is_storing: false }) }
    }

    /// Stores one checkpoint after the other, until it is dropped.
    pub(super) async fn keep(&self, run: &Run<'_>) -> Infallible {
        loop {
            run.mailbox.checkpoint().await;
            self.store_newest(run).await;
        }
    }

    /// Waits until nothing is half-way into the store, while [`keep`](Self::keep) goes on.
    pub(super) async fn idle(&self) {
        while lock(&self.kept).is_storing {
            self.stored.notified().await;
        }
    }

    /// Stores the newest checkpoint in the mailbox, if there is one. Without space, or without a store, the
    /// training goes on and the last good checkpoint stays.
    pub(super) async fn store_newest(&self, run: &Run<'_>) {
        let Some(bytes) = run.mailbox.take_checkpoint() else { return };
        let key = {
            let mut kept = lock(&self.kept);
            kept.is_storing = true;
            kept.sequence += 1;
            BlobKey::Checkpoint {
                training_id: run.lease.job_id,
                attempt: run.lease.attempt,
                sequence: kept.sequence,
            }
        };
        let stored = async {
            run.jobs.blobs.put_bytes(&key, bytes.into()).await?;
            trainings::set_checkpoint(&run.jobs.db, &run.lease, &key).await
        };
        self.take_down(run, key, stored.await).await;
        lock(&self.kept).is_storing = false;
        self.stored.notify_one();
    }

    /// Whether `key` is the checkpoint now, and what becomes of the one before.
    async fn take_down(&self, run: &Run<'_>, key: BlobKey, stored: Result<()>) {
        match stored {
            Ok(()) => {
                let before = lock(&self.kept).current.replace(key);
                if let Some(before) = before {
                    remove(run, &before).await;
                }
            }
            Err(StorageError::LeaseLost) => remove(run, &key).await,
            Err(error) => {
                tracing::warn!(%error, "a checkpoint could not be stored");
                run.mailbox.warn(Warning {
                    code: "checkpoint-not-stored".into(),
                    column: None,
                    message: format!(
                        "a checkpoint could not be stored, the training goes on without it: {error}"
                    ),
                });
                // The row may or may not point to it: a lost answer looks like a failure. The
                // blob stays; the sweep knows from the row whether it is needed.
            }
        }
    }

    /// Removes the checkpoint of a training that has ended. One that was lost to another worker
    /// keeps it: the other one may be reading it.
    pub(super) async fn discard(&self, run: &Run<'_>) {
        let row = trainings::get(&run.jobs.db, run.lease.job_id).await;
        let ended = row.ok().flatten().is_some_and(|row| row.checkpoint.is_none());
        let current = lock(&self.kept).current.take();
        if let (true, Some(key)) = (ended, current) {
            remove(run, &key).await;
        }
    }
}

/// Removes a blob that no row points to; if that fails, the sweep does it later.
pub(super) async fn remove(run: &Run<'_>, key: &BlobKey) {
    if let Err(error) = run.jobs.blobs.delete(key).await {
        tracing::warn!(%key, %error, "a file that is no longer needed could not be removed");
    }
}
