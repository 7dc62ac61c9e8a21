//! The clean-up: what crashes and outages have left behind.
//!
//! A blob without a row is removed once it is old enough that no upload and no training can still
//! be about to write its row. A model whose file is gone is marked, not removed.

use super::Jobs;
use crate::storage::{
    Area, BlobInfo, BlobKey, ModelStatus, PredictionRecord, Result, datasets, idempotency, models,
    predictions, readings, trainings,
};
use chrono::{DateTime, Utc};
use std::{
    collections::{HashMap, HashSet},
    path::Path,
    time::SystemTime,
};
use tokio_util::sync::CancellationToken;

/// How long the end of a reading can be looked at.
const KEEP_READINGS: chrono::Duration = chrono::Duration::days(1);

/// What one sweep did.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Swept {
    /// Trainings without a living worker that were ended.
    pub trainings_ended: u64,
    /// Blobs without a row that were removed.
    pub orphans_removed: u64,
    /// Models whose file was found missing.
    pub models_missing: u64,
    /// Half-written and temporary files that were removed.
    pub partial_removed: u64,
    /// Files answered in the background whose time was over.
    pub predictions_expired: u64,
    /// Idempotency keys that had expired.
    pub keys_expired: u64,
}

/// Sweeps at once and then every `settings.sweep_every`, until `stop` is cancelled.
pub async fn run(jobs: Jobs, stop: CancellationToken) {
    loop {
        match stop.run_until_cancelled(sweep(&jobs)).await {
            None => return,
            Some(Ok(swept)) if swept == Swept::default() => tracing::debug!("nothing to sweep"),
            Some(Ok(swept)) => tracing::info!(?swept, "swept"),
            Some(Err(error)) => tracing::warn!(%error, "the sweep did not finish, the next one will"),
        }
        if stop.run_until_cancelled(tokio::time::sleep(jobs.settings.sweep_every)).await.is_none() {
            return;
        }
    }
}

/// Sweeps once. Several processes may do so at the same time.
pub async fn sweep(jobs: &Jobs) -> Result<Swept> {
    let now = jobs.clock.now();
    let old = now - chrono::Duration::from_std(jobs.settings.orphan_after).unwrap_or(chrono::Duration::MAX);
    let mut swept = Swept::default();
    for training_id in trainings::expire(&jobs.db, now, jobs.settings.max_crashes).await? {
        jobs.live.wake(training_id);
        swept.trainings_ended += 1;
    }
    swept.predictions_expired = expire_predictions(jobs, now).await?;
    swept.models_missing = mark_missing(jobs).await?;
    for area in Area::ALL {
        swept.orphans_removed += remove_orphans(jobs, area, old).await?;
    }
    swept.partial_removed = jobs.blobs.remove_partial(old).await?;
    if let Some(folder) = jobs.settings.temp_dir.clone() {
        let removed = tokio::task::spawn_blocking(move || remove_old_files(&folder, old.into())).await;
        match removed {
            Ok(Ok(n_removed)) => swept.partial_removed += n_removed,
            Ok(Err(error)) => tracing::warn!(%error, "the folder of temporary files cannot be swept"),
            Err(error) => tracing::warn!(%error, "the folder of temporary files was not swept"),
        }
    }
    swept.keys_expired = idempotency::remove_expired(&jobs.db, now).await?;
    readings::remove_old(&jobs.db, now - KEEP_READINGS).await?;
    Ok(swept)
}

/// Ends the jobs that nobody will take again, and removes those that ended long enough ago.
async fn expire_predictions(jobs: &Jobs, now: DateTime<Utc>) -> Result<u64> {
    predictions::expire(&jobs.db, now, jobs.settings.max_crashes).await?;
    let kept = chrono::Duration::from_std(jobs.settings.keep_predictions).unwrap_or(chrono::Duration::MAX);
    let Some(before) = now.checked_sub_signed(kept) else { return Ok(0) };
    let expired = predictions::remove_ended(&jobs.db, before).await?;
    for key in expired.iter().filter_map(PredictionRecord::blob) {
        jobs.blobs.delete(&key).await?;
    }
    Ok(expired.len() as u64)
}

/// Marks the models whose file is not there, and those whose file is there again.
async fn mark_missing(jobs: &Jobs) -> Result<u64> {
    // Rows first: a row is written after its file and removed before it, so a file that is not
    // listed now either is missing or belongs to a row that is gone.
    let rows = models::statuses(&jobs.db).await?;
    let listed = jobs.blobs.list(Area::Models).await?;
    let there: HashSet<BlobKey> = listed.into_iter().map(|blob| blob.key).collect();
    let mut n_missing = 0;
    for (model_id, status) in rows {
        match (status, there.contains(&BlobKey::Model(model_id))) {
            (ModelStatus::Ready, false) => {
                tracing::error!(%model_id, "the file of a model is not there");
                models::set_status(&jobs.db, model_id, ModelStatus::Missing).await?;
                n_missing += 1;
            }
            (ModelStatus::Missing, true) => {
                tracing::info!(%model_id, "the file of a model is there again");
                models::set_status(&jobs.db, model_id, ModelStatus::Ready).await?;
            }
            _ => {}
        }
    }
    Ok(n_missing)
}

/// Removes the blobs of one kind that are older than `old` and have no row.
async fn remove_orphans(jobs: &Jobs, area: Area, old: DateTime<Utc>) -> Result<u64> {
    // Files first here, for the same reason turned around.
    let mut candidates: HashMap<BlobKey, BlobInfo> = (jobs.blobs.list(area).await?.into_iter())
        .filter(|blob| blob.modified < old)
        .map(|blob| (blob.key, blob))
        .collect();
    if candidates.is_empty() {
        return Ok(0);
    }
    let needed: Vec<BlobKey> = match area {
        Area::Uploads => {
            let blobs_of = |dataset_id| [BlobKey::Original(dataset_id), BlobKey::Table(dataset_id)];
            datasets::ids(&jobs.db).await?.into_iter().flat_map(blobs_of).collect()
        }
        Area::Checkpoints => trainings::checkpoints(&jobs.db).await?,
        Area::Predictions => predictions::blobs(&jobs.db).await?,
        Area::Models => {
            let models = models::statuses(&jobs.db).await?;
            models.into_iter().map(|(model_id, _)| BlobKey::Model(model_id)).collect()
        }
    };
    for key in needed {
        candidates.remove(&key);
    }
    let mut n_removed = 0;
    for (key, blob) in candidates {
        tracing::info!(%key, size_bytes = blob.size_bytes, "removing a file that belongs to nothing");
        jobs.blobs.delete(&key).await?;
        n_removed += 1;
    }
    Ok(n_removed)
}

/// Removes the files directly in `folder` that were last written before `old`, and the folders of
/// reading processes that were last written to before it.
fn remove_old_files(folder: &Path, old: SystemTime) -> std::io::Result<u64> {
    let entries = match std::fs::read_dir(folder) {
        Ok(entries) => entries,
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => return Ok(0),
        Err(error) => return Err(error),
    };
    let mut n_removed = 0;
    for entry in entries {
        let entry = entry?;
        let Ok(meta) = entry.metadata() else { continue }; // gone meanwhile
        if meta.modified()? >= old {
            continue;
        }
        if meta.is_dir() {
            std::fs::remove_dir_all(entry.path())?;
        } else {
            std::fs::remove_file(entry.path())?;
        }
        n_removed += 1;
    }
    Ok(n_removed)
}
