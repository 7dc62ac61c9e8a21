//! What all parts of a running process share.

use crate::{
    clock::Clock,
    config::Settings,
    dataset::{Look, ReadOptions},
    id::PredictionId,
    ingest::{self, IngestError, IngestRequest, IngestSettings, Ingested},
    jobs::{Changes, Live},
    prediction::ModelCache,
    storage::{Blobs, Db},
};
use metrics_exporter_prometheus::PrometheusHandle;
use std::{
    path::{Path, PathBuf},
    sync::{
        Arc, OnceLock,
        atomic::{AtomicUsize, Ordering},
    },
};
use tokio::sync::{Notify, Semaphore};
use tokio_util::sync::CancellationToken;
use uuid::Uuid;

/// Shared state; clones are handles to the same.
#[derive(Debug, Clone)]
pub struct App(Arc<Inner>);

struct Inner {
    settings: Settings,
    clock: Clock,
    /// Empty until the database has been opened: the server answers /healthz before that.
    db: OnceLock<Db>,
    blobs: Blobs,
    models: ModelCache,
    live: Live,
    live_files: Live<PredictionId>,
    model_changes: Changes,
    readers: Semaphore,
    table_permits: Arc<Semaphore>,
    request_permits: Semaphore,
    active_requests: AtomicUsize,
    request_ended: Notify,
    shutdown: CancellationToken,
    metrics: PrometheusHandle,
}

impl std::fmt::Debug for Inner {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("App").field("settings", &self.settings).finish_non_exhaustive()
    }
}

/// The database has not been opened yet.
#[derive(Debug, Clone, Copy, thiserror::Error)]
#[error("the database is not open yet")]
pub struct NotReady;

/// Less disk space is free than must be.
#[derive(Debug, Clone, Copy, thiserror::Error)]
#[error("{free} bytes are free on the disk of the data folder, {needed} must be")]
pub struct DiskFull {
    /// Free bytes.
    pub free: u64,
    /// Bytes that must be free.
    pub needed: u64,
}

impl App {
    /// The state of a process that has not opened its database yet.
    pub fn new(
        settings: Settings,
        clock: Clock,
        blobs: Blobs,
        models: ModelCache,
        metrics: PrometheusHandle,
    ) -> Self {
        Self(Arc::new(Inner {
            readers: Semaphore::new(settings.reading.readers),
            table_permits: Arc::new(Semaphore::new(
                std::thread::available_parallelism().map_or(1, usize::from),
            )),
            request_permits: Semaphore::new(settings.server.max_requests),
            settings,
            clock,
            db: OnceLock::new(),
            blobs,
            models,
            live: Live::default(),
            live_files: Live::default(),
            model_changes: Changes::default(),
            active_requests: AtomicUsize::new(0),
            request_ended: Notify::new(),
            shutdown: CancellationToken::new(),
            metrics,
        }))
    }

    /// Hands over the opened database; from now on requests are answered.
    pub fn set_db(&self, db: Db) {
        // A second call would come from a fault of ours, and the first database is as good.
        let _ = self.0.db.set(db);
    }

    /// The settings.
    pub fn settings(&self) -> &Settings {
        &self.0.settings
    }

    /// The clock.
    pub fn clock(&self) -> &Clock {
        &self.0.clock
    }

    /// The database, once it is open.
    pub fn db(&self) -> Result<&Db, NotReady> {
        self.0.db.get().ok_or(NotReady)
    }

    /// The file store.
    pub fn blobs(&self) -> &Blobs {
        &self.0.blobs
    }

    /// The models kept ready in memory.
    pub fn models(&self) -> &ModelCache {
        &self.0.models
    }

    /// Who follows which training.
    pub fn live(&self) -> &Live {
        &self.0.live
    }

    /// Who follows which file that is answered in the background.
    pub fn live_files(&self) -> &Live<PredictionId> {
        &self.0.live_files
    }

    /// To be told before models or their names are changed.
    pub fn model_changes(&self) -> &Changes {
        &self.0.model_changes
    }

    /// One permit per file that may be read at the same time.
    pub fn readers(&self) -> &Semaphore {
        &self.0.readers
    }

    /// Reads a spreadsheet in a child process, when it is its turn; `on_look` is told how far it has come.
    pub async fn read_file(
        &self,
        file: &Path,
        filename: &str,
        options: &ReadOptions,
        on_look: &mut (dyn FnMut(Look) + Send),
    ) -> Result<Ingested, IngestError> {
        let _permit = self.0.readers.acquire().await.expect("the semaphore is never closed");
        let request = IngestRequest { file, filename, options };
        ingest::ingest_watched(request, &self.ingest_settings()?, on_look).await
    }

    fn ingest_settings(&self) -> std::io::Result<IngestSettings> {
        let reading = &self.0.settings.reading;
        let mut settings = IngestSettings::new(self.temp_dir())?;
        settings.memory_bytes = reading.read_memory.bytes();
        settings.cpu_s = reading.read_cpu_s.duration().as_secs().max(1);
        settings.wall = reading.read_wall_s.duration();
        settings.limits.max_rows = reading.max_rows;
        settings.limits.max_columns = reading.max_columns;
        settings.limits.max_cells = reading.max_cells;
        settings.limits.max_cell_chars = usize::try_from(reading.max_cell_chars).unwrap_or(usize::MAX);
        settings.limits.max_inflated_bytes = reading.max_inflated.bytes();
        Ok(settings)
    }

    /// Permits for work with a whole table, which takes memory and time: as many as there are processors.
    pub fn table_permits(&self) -> Arc<Semaphore> {
        self.0.table_permits.clone()
    }

    /// One permit per request that may be worked on at the same time.
    pub fn request_permits(&self) -> &Semaphore {
        &self.0.request_permits
    }

    /// Cancelled when the process has been told to stop.
    pub fn shutdown(&self) -> &CancellationToken {
        &self.0.shutdown
    }

    /// Renders the metrics.
    pub fn metrics(&self) -> &PrometheusHandle {
        &self.0.metrics
    }

    /// The folder for files that are being received.
    pub fn temp_dir(&self) -> PathBuf {
        self.0.settings.storage.data_dir.join("tmp")
    }

    /// Whether the disk of the data folder has room for more.
    pub fn check_disk(&self) -> Result<(), DiskFull> {
        let needed = self.0.settings.storage.min_free_disk.bytes();
        match free_bytes(&self.0.settings.storage.data_dir) {
            Some(free) if free < needed => Err(DiskFull { free, needed }),
            _ => Ok(()),
        }
    }

    /// Counts a request until the guard is dropped.
    pub fn request_begins(&self, counts: bool) -> ActiveRequest {
        if counts {
            self.0.active_requests.fetch_add(1, Ordering::Relaxed);
        }
        ActiveRequest { app: self.clone(), counts }
    }

    /// Returns when no request is being worked on.
    pub async fn requests_ended(&self) {
        loop {
            let ended = self.0.request_ended.notified();
            if self.0.active_requests.load(Ordering::Relaxed) == 0 {
                return;
            }
            ended.await;
        }
    }
}

/// A request that is being worked on.
#[derive(Debug)]
pub struct ActiveRequest {
    app: App,
    counts: bool,
}

impl Drop for ActiveRequest {
    fn drop(&mut self) {
        if self.counts {
            self.app.0.active_requests.fetch_sub(1, Ordering::Relaxed);
            self.app.0.request_ended.notify_waiters();
        }
    }
}

/// A file in the temporary folder that removes itself.
#[derive(Debug)]
pub struct TempFile(PathBuf);

impl TempFile {
    /// A new name in `folder`, with nothing under it yet.
    pub fn new(folder: &Path, ending: &str) -> Self {
        Self(folder.join(format!("{}.{ending}", Uuid::now_v7())))
    }

    /// Where the file is.
    pub fn path(&self) -> &Path {
        &self.0
    }
}

impl Drop for TempFile {
    fn drop(&mut self) {
        match std::fs::remove_file(&self.0) {
            Ok(()) => {}
            Err(error) if error.kind() == std::io::ErrorKind::NotFound => {}
            Err(error) => tracing::warn!(%error, "a temporary file stays behind; the next start removes it"),
        }
    }
}

/// Bytes that an ordinary user may still write to the disk of `folder`.
fn free_bytes(folder: &Path) -> Option<u64> {
    let disk = rustix::fs::statvfs(folder).ok()?;
    Some(disk.f_bavail.saturating_mul(disk.f_frsize))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn free_space_is_known_where_there_is_a_folder() {
        assert!(free_bytes(Path::new(".")).is_some_and(|free| free > 0));
        assert_eq!(free_bytes(Path::new("/no/such/folder")), None);
    }

    #[test]
    fn a_temporary_file_goes_with_its_value() {
        let folder = tempfile::tempdir().unwrap();
        let file = TempFile::new(folder.path(), "upload");
        std::fs::write(file.path(), "x").unwrap();
        let path = file.path().to_owned();
        drop(file);
        assert!(!path.exists());
    }
}
