//! Models kept ready in memory, and predictions that do not block the runtime.
//!
//! A model is loaded once, however many requests ask for it at the same time; the others wait for
//! the one that loads. The memory of all models together is bounded: the one that was not used for
//! the longest time leaves.

mod names;
mod together;

use crate::{
    hash,
    id::ModelId,
    jobs::Changes,
    model::{Backend, Cell, Model, ModelError, PredictError, PredictOptions, Predictions},
    storage::{BlobKey, Blobs, Db, ModelRecord, ModelStatus, StorageError, models},
    telemetry,
};
use std::{
    collections::HashMap,
    sync::{
        Arc, Mutex,
        atomic::{AtomicU64, Ordering},
    },
    time::{Duration, Instant},
};
use tokio::sync::{OnceCell, Semaphore};

/// A prediction that is expected to take longer than this goes to the blocking pool, where it does
/// not hold up the requests that share the thread.
const INLINE_LIMIT: Duration = Duration::from_micros(500);
/// For so long a model in memory is used without asking the database whether it still exists. This
/// process forgets models that it deletes at once; the time covers the other processes.
const TRUSTED_FOR: Duration = Duration::from_secs(1);

/// Why there is no answer.
#[derive(Debug, thiserror::Error)]
pub enum PredictionError {
    /// No such model.
    #[error("there is no such model")]
    NotFound,
    /// Its file has other bytes than were stored.
    #[error("the file of this model is damaged")]
    Corrupt,
    /// Its file is not there.
    #[error("the file of this model is missing; where it is put back, the model answers again")]
    Missing,
    /// Its file was written by a newer version.
    #[error("{0}")]
    TooNew(String),
    /// The values cannot be used.
    #[error(transparent)]
    Refused(#[from] PredictError),
    /// The database or the file store failed.
    #[error(transparent)]
    Storage(#[from] StorageError),
    /// The computation panicked.
    #[error("the computation failed: {0}")]
    Failed(String),
}

/// A model in memory.
#[derive(Debug)]
pub struct Loaded {
    /// The row as it was when the model was loaded.
    pub record: ModelRecord,
    /// The model.
    pub model: Model,
    /// What one row takes, as measured; 0 before the first.
    ns_per_row: AtomicU64,
    /// Requests that wait to be answered together.
    line: together::Line,
}

/// The models in memory.
#[derive(Debug)]
pub struct ModelCache {
    limit_bytes: usize,
    backend: Backend,
    entries: Mutex<HashMap<ModelId, Entry>>,
    names: names::Names,
    pool: Semaphore,
}

#[derive(Debug, Clone)]
struct Entry {
    cell: Arc<OnceCell<Arc<Loaded>>>,
    bytes: usize,
    used: Instant,
    /// When the database last said that the model exists.
    seen: Instant,
}

impl ModelCache {
    /// An empty cache for at most `limit_bytes` of models.
    pub fn new(limit_bytes: usize, backend: Backend) -> Self {
        let n_threads = std::thread::available_parallelism().map_or(1, usize::from);
        Self {
            limit_bytes,
            backend,
            entries: Mutex::default(),
            names: names::Names::default(),
            pool: Semaphore::new(n_threads),
        }
    }

    /// The model with this id.
    pub async fn get(
        &self,
        db: &Db,
        blobs: &Blobs,
        model_id: ModelId,
    ) -> Result<Arc<Loaded>, PredictionError> {
        let (entry, trusted) = self.touch(model_id);
        if let (Some(loaded), true) = (entry.cell.get(), trusted) {
            return Ok(loaded.clone());
        }
        match models::get(db, model_id).await {
            Ok(Some(record)) => self.get_record(blobs, db, record).await,
            Ok(None) => {
                self.forget(model_id);
                Err(PredictionError::NotFound)
            }
            // The database is away, but what was asked for is here.
            Err(error) => match entry.cell.get() {
                Some(loaded) if error.is_transient() => Ok(loaded.clone()),
                Some(_) => Err(error.into()),
                None => {
                    self.forget(model_id);
                    Err(error.into())
                }
            },
        }
    }

    /// The model of a row that has just been read.
    pub async fn get_record(
        &self,
        blobs: &Blobs,
        db: &Db,
        record: ModelRecord,
    ) -> Result<Arc<Loaded>, PredictionError> {
        let model_id = record.model_id;
        // A file that was away or damaged may have been put back: its bytes say whether it is the model.
        let noted = record.status;
        let (entry, _) = self.touch(model_id);
        let loading = entry.cell.get_or_try_init(|| async {
            metrics::counter!(telemetry::MODEL_LOADS).increment(1);
            load(blobs, record, self.backend).await.map(Arc::new)
        });
        match loading.await {
            Ok(loaded) => {
                let loaded = loaded.clone();
                self.admit(model_id, &entry, loaded.model.size_in_memory());
                note_status(db, model_id, noted, ModelStatus::Ready).await?;
                Ok(loaded)
            }
            Err(error) => {
                self.forget(model_id);
                match error {
                    // It was deleted after its row was read.
                    PredictionError::Missing if models::get(db, model_id).await?.is_none() => {
                        return Err(PredictionError::NotFound);
                    }
                    PredictionError::Missing => {
                        note_status(db, model_id, noted, ModelStatus::Missing).await?;
                    }
                    PredictionError::Corrupt => {
                        note_status(db, model_id, noted, ModelStatus::Corrupt).await?;
                    }
                    _ => {}
                }
                Err(error)
            }
        }
    }

    /// The model called `name`, as [`models::resolve`] finds it; `Ok(None)` if there is none. A name is looked up again
    /// after any of the `changes`, and from time to time for those that other processes make.
    pub async fn get_named(
        &self,
        db: &Db,
        blobs: &Blobs,
        changes: &Changes,
        name: &str,
    ) -> Result<Option<Arc<Loaded>>, PredictionError> {
        let change = changes.settled();
        if let Some(model_id) = change.and_then(|change| self.names.get(name, change)) {
            match self.get(db, blobs, model_id).await {
                // It is gone: the name may mean another one now.
                Err(PredictionError::NotFound) => {}
                other => return other.map(Some),
            }
        }
        let Some(record) = models::resolve(db, name).await? else { return Ok(None) };
        let model_id = record.model_id;
        let loaded = self.get_record(blobs, db, record).await?;
        // Only what was certainly read after the last change is remembered.
        if let Some(change) = change.filter(|change| changes.settled() == Some(*change)) {
            self.names.put(name, model_id, change);
        }
        Ok(Some(loaded))
    }

    /// Drops a model from memory: it was deleted or renamed.
    pub fn forget(&self, model_id: ModelId) {
        self.entries().remove(&model_id);
    }

    fn entries(&self) -> std::sync::MutexGuard<'_, HashMap<ModelId, Entry>> {
        self.entries.lock().expect("no holder of this lock can panic")
    }

    /// The entry, made if it is not there, and whether it may be used without asking the database.
    /// Of those who find the trust run out, one is told so and asks; the others go on meanwhile.
    fn touch(&self, model_id: ModelId) -> (Entry, bool) {
        let now = Instant::now();
        let mut entries = self.entries();
        let entry = entries.entry(model_id).or_insert_with(|| Entry {
            cell: Arc::default(),
            bytes: 0,
            used: now,
            seen: now,
        });
        entry.used = now;
        let trusted = now.duration_since(entry.seen) < TRUSTED_FOR;
        if !trusted {
            entry.seen = now;
        }
        (entry.clone(), trusted)
    }

    /// Counts a model that was loaded, and makes room for it.
    fn admit(&self, model_id: ModelId, loaded: &Entry, bytes: usize) {
        let mut entries = self.entries();
        match entries.get_mut(&model_id) {
            Some(entry) if Arc::ptr_eq(&entry.cell, &loaded.cell) => entry.bytes = bytes.max(1),
            // It was forgotten while it was loading.
            _ => return,
        }
        let mut total: usize = entries.values().map(|entry| entry.bytes).sum();
        while total > self.limit_bytes {
            // The one just asked for stays, whatever its size: it is in use anyway.
            let oldest = entries
                .iter()
                .filter(|(id, entry)| **id != model_id && entry.bytes > 0)
                .min_by_key(|(_, entry)| entry.used)
                .map(|(id, entry)| (*id, entry.bytes));
            let Some((id, freed)) = oldest else { break };
            entries.remove(&id);
            total -= freed;
        }
        metrics::gauge!(telemetry::MODEL_CACHE_BYTES).set(total as f64);
    }

    /// Does longer `work` with a model in the blocking pool, where as much runs at once as there are processors.
    pub async fn work<T: Send + 'static>(
        &self,
        loaded: Arc<Loaded>,
        work: impl FnOnce(&Loaded) -> T + Send + 'static,
    ) -> Result<T, PredictionError> {
        let _permit = self.pool.acquire().await.expect("the semaphore is never closed");
        tokio::task::spawn_blocking(move || work(&loaded))
            .await
            .map_err(|error| PredictionError::Failed(error.to_string()))
    }

    /// Predicts, on the spot if that is quick, else in the blocking pool, where as many predictions
    /// run at once as there are processors.
    pub async fn predict(
        &self,
        loaded: &Arc<Loaded>,
        cells: Vec<Cell<'_>>,
        n_rows: usize,
        options: PredictOptions,
    ) -> Result<Predictions, PredictionError> {
        let begin = Instant::now();
        metrics::counter!(telemetry::PREDICTED_ROWS).increment(n_rows as u64);
        let place;
        let outcome = if loaded.estimate(n_rows) <= INLINE_LIMIT {
            place = "inline";
            if options.explain || n_rows == 0 {
                loaded.predict_measured(&cells, n_rows, &options)
            } else {
                together::predict(loaded, cells, n_rows, options).await
            }
        } else {
            place = "pool";
            let _permit = self.pool.acquire().await.expect("the semaphore is never closed");
            let cells: Vec<Cell<'static>> = cells.into_iter().map(own).collect();
            let loaded = loaded.clone();
            tokio::task::spawn_blocking(move || loaded.predict_measured(&cells, n_rows, &options))
                .await
                .map_err(|error| PredictionError::Failed(error.to_string()))?
        };
        metrics::histogram!(telemetry::PREDICTION_SECONDS, "place" => place)
            .record(begin.elapsed().as_secs_f64());
        Ok(outcome?)
    }
}

impl Loaded {
    fn new(record: ModelRecord, model: Model) -> Self {
        Self { record, model, ns_per_row: AtomicU64::new(0), line: together::Line::default() }
    }

    /// Before anything was measured, a guess from the size: one multiplication per weight and row,
    /// at a tenth of what a processor core can do.
    fn estimate(&self, n_rows: usize) -> Duration {
        let measured = self.ns_per_row.load(Ordering::Relaxed);
        let ns_per_row =
            if measured > 0 { measured } else { 20_000 + self.model.size_in_memory() as u64 / 4 };
        Duration::from_nanos(ns_per_row.saturating_mul(n_rows as u64))
    }

    fn predict_measured(
        &self,
        cells: &[Cell],
        n_rows: usize,
        options: &PredictOptions,
    ) -> Result<Predictions, PredictError> {
        let begin = Instant::now();
        let outcome = self.model.predict(cells, n_rows, options);
        if n_rows > 0 {
            let now = (begin.elapsed().as_nanos() as u64 / n_rows as u64).max(1);
            let before = self.ns_per_row.load(Ordering::Relaxed);
            // A running mean; several threads may lose an update, which does not matter.
            let mean = if before == 0 { now } else { (7 * before + now) / 8 };
            self.ns_per_row.store(mean.max(1), Ordering::Relaxed);
        }
        outcome
    }
}

/// Writes down what was found out about the file of a model, where that is news.
async fn note_status(
    db: &Db,
    model_id: ModelId,
    noted: ModelStatus,
    found: ModelStatus,
) -> Result<(), StorageError> {
    if noted == found {
        return Ok(());
    }
    match found {
        ModelStatus::Ready => tracing::info!(%model_id, "the file of the model is sound again"),
        ModelStatus::Missing => tracing::error!(%model_id, "the file of the model is missing"),
        ModelStatus::Corrupt => tracing::error!(%model_id, "the file of the model is damaged"),
    }
    models::set_status(db, model_id, found).await
}

fn own(cell: Cell<'_>) -> Cell<'static> {
    match cell {
        Cell::Absent => Cell::Absent,
        Cell::Missing => Cell::Missing,
        Cell::Number(number) => Cell::Number(number),
        Cell::Text(text) => Cell::Text(text.into_owned().into()),
        Cell::Boolean(boolean) => Cell::Boolean(boolean),
        Cell::Other(kind) => Cell::Other(kind),
    }
}

async fn load(blobs: &Blobs, record: ModelRecord, backend: Backend) -> Result<Loaded, PredictionError> {
    let key = BlobKey::Model(record.model_id);
    let Some(bytes) = blobs.get_bytes(&key).await? else { return Err(PredictionError::Missing) };
    let reading = move || {
        if hash::of_bytes(&bytes) != record.sha256 {
            return Err(PredictionError::Corrupt);
        }
        match Model::from_bytes(&bytes, backend) {
            Ok(model) => Ok(Loaded::new(record, model)),
            Err(error @ ModelError::TooNew { .. }) => Err(PredictionError::TooNew(error.to_string())),
            Err(ModelError::Corrupt(_)) => Err(PredictionError::Corrupt),
        }
    };
    tokio::task::spawn_blocking(reading).await.map_err(|error| PredictionError::Failed(error.to_string()))?
}
