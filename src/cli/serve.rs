//! Starting and stopping: the server, a worker alone, the migrations alone.
//!
//! ```text
//! start: lock the folder -> open the store -> bind the port -> open the database -> workers, sweep -> ready
//!        (a database that does not answer yet is tried again while /healthz answers)
//! stop:  first signal -> /readyz says no -> requests end, trainings write checkpoints -> exit 0
//!        second signal -> exit at once
//! ```

use super::backend;
use crate::{
    app::App,
    batch,
    clock::Clock,
    config::{Settings, StorageKind},
    http,
    jobs::{self, JobSettings, Jobs},
    prediction::ModelCache,
    storage::{
        BlobSettings, Blobs, ConnectOptions, Db, FolderLock, S3Settings, StorageError, idempotency,
        lock_folder, owner, trainings,
    },
    telemetry,
    training::Compute,
};
use anyhow::Context;
use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};
use std::{net::SocketAddr, process::ExitCode, time::Duration};
use tokio::{
    net::TcpListener,
    runtime::Runtime,
    signal::unix::{SignalKind, signal},
    time::timeout,
};
use tokio_util::{sync::CancellationToken, task::TaskTracker};

/// Runs the server until it is told to stop.
pub(super) fn serve(settings: Settings) -> anyhow::Result<ExitCode> {
    telemetry::init_logs(&settings.logs)?;
    let runtime = runtime()?;
    let ended = runtime.block_on(async {
        let server = start(settings).await?;
        tracing::info!("listening on http://{}", server.address);
        server.run().await
    });
    // Work in the blocking pool that nobody waits for any more is not waited for either.
    runtime.shutdown_background();
    ended
}

/// Trains what others have queued, until it is told to stop.
pub(super) fn work(mut settings: Settings) -> anyhow::Result<ExitCode> {
    telemetry::init_logs(&settings.logs)?;
    settings.training.workers = settings.training.workers.max(1);
    runtime()?.block_on(async {
        let stop = CancellationToken::new();
        stop_on_signal(stop.clone())?;
        let blobs = open_blobs(&settings)?;
        let db = open_db(&settings, settings.storage.db_wait_s.duration()).await?;
        owner::claim(&db, &blobs).await?;
        let (live, changes) = (jobs::Live::default(), jobs::Changes::default());
        let jobs = job_parts(&settings, db.clone(), blobs, live, changes);
        tracing::info!(workers = settings.training.workers, "waiting for trainings");
        jobs::worker::run(jobs, jobs::train::trainer(compute(&settings)), stop).await;
        db.close().await;
        Ok(ExitCode::SUCCESS)
    })
}

/// Brings the database up to date.
pub(super) fn migrate(settings: Settings) -> anyhow::Result<ExitCode> {
    telemetry::init_logs(&settings.logs)?;
    runtime()?.block_on(async {
        let db = open_db(&settings, settings.storage.db_wait_s.duration()).await?;
        tracing::info!(engine = db.engine(), "the database is up to date");
        db.close().await;
        Ok(ExitCode::SUCCESS)
    })
}

pub(super) fn runtime() -> anyhow::Result<Runtime> {
    tokio::runtime::Builder::new_multi_thread()
        .enable_all()
        .thread_name("taqicfd")
        .build()
        .context("the runtime cannot start")
}

/// A server that answers.
pub(super) struct Running {
    /// Where it listens.
    pub(super) address: SocketAddr,
    /// Its state.
    pub(super) app: App,
    tasks: TaskTracker,
    failed: tokio::sync::oneshot::Receiver<anyhow::Error>,
    _lock: Option<FolderLock>,
}

/// Opens everything, and answers; fails before it listens if anything cannot work.
pub(super) async fn start(settings: Settings) -> anyhow::Result<Running> {
    raise_file_limit();
    let lock = uses_sqlite(&settings).then(|| lock_folder(&settings.storage.data_dir)).transpose()?;
    let temp_dir = settings.storage.data_dir.join("tmp");
    std::fs::create_dir_all(&temp_dir).with_context(|| {
        format!("the data folder {} cannot be written", settings.storage.data_dir.display())
    })?;
    let blobs = open_blobs(&settings)?;
    blobs.check().await.context("the file store cannot be used")?;
    let listener = TcpListener::bind(settings.server.bind).await.with_context(|| {
        format!("cannot listen on {}; choose another address with --bind", settings.server.bind)
    })?;
    let address = listener.local_addr()?;

    let cache =
        ModelCache::new(settings.prediction.model_cache.as_usize(), backend(settings.training.backend));
    let app = App::new(settings, Clock::System, blobs, cache, telemetry::init_metrics());
    let (failure, failed) = tokio::sync::oneshot::channel();
    let tasks = TaskTracker::new();
    stop_on_signal(app.shutdown().clone())?;
    // A first try before anything is answered: what cannot work at all ends the program here.
    match open_db(app.settings(), Duration::ZERO).await {
        Ok(db) => use_db(&app, &tasks, db).await?,
        Err(error) if is_transient(&error) => {
            tracing::warn!(error = %format!("{error:#}"), "the database does not answer yet");
            let (app, tracker) = (app.clone(), tasks.clone());
            tasks.spawn(async move {
                let wait = app.settings().storage.db_wait_s.duration();
                let used = match open_db(app.settings(), wait).await {
                    Ok(db) => use_db(&app, &tracker, db).await,
                    Err(error) => Err(error),
                };
                if let Err(error) = used {
                    let _ = failure.send(error);
                    app.shutdown().cancel();
                }
            });
        }
        Err(error) => return Err(error),
    }
    tasks.spawn(http::serve(app.clone(), listener));
    Ok(Running { address, app, tasks, failed, _lock: lock })
}

impl Running {
    /// Returns when the server has been told to stop and has stopped.
    pub(super) async fn run(mut self) -> anyhow::Result<ExitCode> {
        self.app.shutdown().cancelled().await;
        tracing::info!("stopping: running requests end, trainings write their checkpoints");
        self.tasks.close();
        let grace = self.app.settings().server.shutdown_grace_s.duration() + Duration::from_secs(2);
        if timeout(grace, self.tasks.wait()).await.is_err() {
            tracing::warn!("something did not end in time; trainings go on from their last checkpoint");
        }
        if let Ok(db) = self.app.db() {
            let _ = timeout(Duration::from_secs(2), db.close()).await;
        }
        match self.failed.try_recv() {
            Ok(error) => Err(error),
            Err(_) => Ok(ExitCode::SUCCESS),
        }
    }
}

/// Hands the database over and starts what works on it.
async fn use_db(app: &App, tasks: &TaskTracker, db: Db) -> anyhow::Result<()> {
    owner::claim(&db, app.blobs()).await?;
    if uses_sqlite(app.settings()) {
        // There is no other process: what had a key and has not ended never will.
        idempotency::abandon_all(&db).await?;
    }
    tracing::info!(engine = db.engine(), "the database is open: ready");
    app.set_db(db.clone());
    let settings = app.settings();
    let (live, changes) = (app.live().clone(), app.model_changes().clone());
    let jobs = job_parts(settings, db, app.blobs().clone(), live, changes);
    let stop = app.shutdown().clone();
    tasks.spawn(jobs::sweep::run(jobs.clone(), stop.clone()));
    if settings.training.workers > 0 {
        let trainer = jobs::train::trainer(compute(settings));
        tasks.spawn(jobs::worker::run(jobs.clone(), trainer, stop.clone()));
    }
    for _ in 0..settings.prediction.file_workers {
        tasks.spawn(batch::worker::run(app.clone(), jobs.clone(), stop.clone()));
    }
    tasks.spawn(measure(app.clone(), stop));
    Ok(())
}

/// Counts the queue for the metrics, and lets the metrics tidy up.
async fn measure(app: App, stop: CancellationToken) {
    let mut every = tokio::time::interval(Duration::from_secs(5));
    loop {
        tokio::select! {
            _ = every.tick() => {}
            () = stop.cancelled() => return,
        }
        app.metrics().run_upkeep();
        let Ok(db) = app.db() else { continue };
        if let Ok(counts) = trainings::counts(db).await {
            let count = |status: &str| counts.get(status).copied().unwrap_or(0) as f64;
            metrics::gauge!(telemetry::QUEUE_LENGTH).set(count("queued"));
            metrics::gauge!(telemetry::TRAININGS_RUNNING).set(count("running"));
            for status in ["succeeded", "failed", "cancelled"] {
                metrics::gauge!(telemetry::TRAININGS_ENDED, "status" => status).set(count(status));
            }
        }
    }
}

async fn open_db(settings: &Settings, retry_for: Duration) -> anyhow::Result<Db> {
    let options = ConnectOptions {
        max_connections: settings.storage.db_connections,
        retry_for,
        ..ConnectOptions::default()
    };
    let db = Db::connect(&database_url(settings), &options).await?;
    db.migrate().await?;
    Ok(db)
}

fn is_transient(error: &anyhow::Error) -> bool {
    error.downcast_ref::<StorageError>().is_some_and(StorageError::is_transient)
}

fn database_url(settings: &Settings) -> String {
    match &settings.storage.database_url {
        Some(url) => url.reveal().to_owned(),
        None => format!("sqlite://{}", settings.storage.data_dir.join("taqicfd.db").display()),
    }
}

fn uses_sqlite(settings: &Settings) -> bool {
    database_url(settings).starts_with("sqlite")
}

fn open_blobs(settings: &Settings) -> anyhow::Result<Blobs> {
    let storage = &settings.storage;
    let reveal =
        |secret: &Option<crate::config::Secret>| secret.as_ref().map(|secret| secret.reveal().to_owned());
    let blobs = match storage.kind {
        StorageKind::Local => {
            BlobSettings::Local { data_dir: storage.data_dir.clone(), models_dir: storage.models_dir.clone() }
        }
        StorageKind::S3 => BlobSettings::S3(S3Settings {
            bucket: storage.s3_bucket.clone().unwrap_or_default(),
            prefix: storage.s3_prefix.clone(),
            region: storage.s3_region.clone(),
            endpoint: storage.s3_endpoint.clone(),
            access_key_id: reveal(&storage.s3_access_key_id),
            secret_access_key: reveal(&storage.s3_secret_access_key),
            session_token: reveal(&storage.s3_session_token),
            // Servers other than Amazon's nearly all want the bucket in the path.
            path_style: storage.s3_endpoint.is_some(),
            allow_http: storage.s3_endpoint.as_deref().is_some_and(|url| url.starts_with("http://")),
            retry_for: Duration::from_secs(10),
        }),
    };
    Ok(Blobs::open(&blobs)?)
}

fn job_parts(settings: &Settings, db: Db, blobs: Blobs, live: jobs::Live, changes: jobs::Changes) -> Jobs {
    let (training, prediction) = (&settings.training, &settings.prediction);
    let settings = JobSettings {
        workers: training.workers,
        lease: training.lease_s.duration(),
        heartbeat: training.heartbeat_s.duration(),
        max_crashes: training.max_attempts,
        save_retry_for: training.save_retry_s.duration(),
        keep_predictions: prediction.file_keep_s.duration(),
        temp_dir: Some(settings.storage.data_dir.join("tmp")),
        ..JobSettings::default()
    };
    Jobs { db, blobs, clock: Clock::System, live, changes, settings }
}

/// The processors are shared out between the trainings that run at once.
fn compute(settings: &Settings) -> Compute {
    let training = &settings.training;
    let available = std::thread::available_parallelism().map_or(1, usize::from);
    let threads = if training.threads == 0 { available } else { training.threads };
    Compute {
        backend: backend(training.backend),
        threads: (threads / training.workers.max(1)).max(1),
        checkpoint_s: training.checkpoint_s.0,
    }
}

fn stop_on_signal(stop: CancellationToken) -> anyhow::Result<()> {
    let mut terminate = signal(SignalKind::terminate())?;
    let mut interrupt = signal(SignalKind::interrupt())?;
    tokio::spawn(async move {
        for first in [true, false] {
            tokio::select! {
                _ = terminate.recv() => {}
                _ = interrupt.recv() => {}
            }
            if first {
                stop.cancel();
            }
        }
        std::process::exit(1);
    });
    Ok(())
}

/// A connection is a file handle, and many systems give 1024 of them unless they are asked.
fn raise_file_limit() {
    let limit = getrlimit(Resource::Nofile);
    let _ = setrlimit(Resource::Nofile, Rlimit { current: limit.maximum, ..limit });
}
