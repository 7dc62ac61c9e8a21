//! Stores the finished model: first the file, then, in one transaction, the rows.

use super::{
    failure::of_storage,
    record, retry,
    run::{Hashed, Run},
};
use crate::id::ModelId;
use crate::storage::{BlobKey, Committed, JobError, NewModel, Result, StorageError, TrainingRecord, models};
use bytes::Bytes;
use std::time::Duration;
use tokio_util::sync::CancellationToken;

/// How the saving went.
#[derive(Debug)]
pub(super) enum Saved {
    /// The model is listed and the training has succeeded.
    Stored,
    /// The training was asked to stop; there is no model.
    CancelRequested,
    /// A store refused for too long; there is no model.
    Failed(JobError),
    /// The process is to end while a store is away; there is no model yet.
    Interrupted,
}

/// Stores the model of a training. A store that is away is tried again for
/// `settings.save_retry_for`: the result of hours is not thrown away for a minute's outage.
pub(super) async fn save(
    run: &Run<'_>,
    training: &TrainingRecord,
    (outcome, sha256): Hashed,
    shutdown: &CancellationToken,
) -> Result<Saved> {
    let settings = &run.jobs.settings;
    let model_id = ModelId::new();
    let key = BlobKey::Model(model_id);
    let file = Bytes::from(outcome.file);
    let model = NewModel {
        model_id,
        model_name: training.model_name.clone(),
        task: outcome.task,
        targets: outcome.targets,
        dataset_id: training.dataset_id,
        metrics: outcome.metrics,
        card: outcome.card,
        size_bytes: file.len() as u64,
        sha256,
        train_s: outcome.train_s,
        tags: training.tags.clone(),
        description: String::new(),
    };
    let attempt = async {
        retry(settings.save_retry_for, || run.jobs.blobs.put_bytes(&key, file.clone())).await?;
        record::settle(run, settings.save_retry_for).await;
        let warnings = run.mailbox.warnings();
        let _changing = run.jobs.changes.begin();
        retry(settings.save_retry_for, || {
            let now = run.jobs.clock.now();
            models::commit(&run.jobs.db, &run.lease, &model, outcome.stopped.as_deref(), &warnings, now)
        })
        .await
    };
    // A save that works takes a moment, and is let finish; one that waits for a store is not.
    let interrupted = async {
        shutdown.cancelled().await;
        tokio::time::sleep(Duration::from_secs(5)).await;
    };
    let saved = tokio::select! {
        saved = attempt => saved,
        // Whether the commit went through is unknown. If it did, the training has succeeded, and
        // releasing it changes nothing; if not, the sweep removes the file.
        () = interrupted => return Ok(Saved::Interrupted),
    };
    match saved {
        Ok(Committed::Stored(model)) => {
            tracing::info!(%model_id, model_name = model.model_name, version = model.version, "model stored");
            Ok(Saved::Stored)
        }
        Ok(Committed::CancelRequested) => {
            record::remove(run, &key).await;
            Ok(Saved::CancelRequested)
        }
        Err(StorageError::LeaseLost) => {
            record::remove(run, &key).await;
            Err(StorageError::LeaseLost)
        }
        // As above: the file stays, because the commit may have gone through.
        Err(error) => {
            tracing::error!(%error, "the model could not be stored");
            Ok(Saved::Failed(of_storage(&error, "train again")))
        }
    }
}
