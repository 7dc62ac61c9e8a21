//! Workers with trainers that are slow, fail, panic or are cut off, on both databases.

use crate::storage_support::{Store, dataset, new_model, new_training, on_both, seconds, start_time};
use bytes::Bytes;
use serde_json::json;
use std::{
    net::SocketAddr,
    sync::{
        Arc,
        atomic::{AtomicBool, AtomicU32, Ordering},
    },
    time::{Duration, Instant},
};
use taqicfd::{
    clock::Clock,
    id::{DatasetId, ModelId, TrainingId},
    jobs::{Changes, Failure, JobSettings, Jobs, Live, Outcome, Trainer, sweep, worker},
    storage::{
        Area, BlobKey, BlobSettings, Blobs, Cancellation, Committed, JobStatus, ModelStatus, S3Settings,
        TrainingRecord, datasets, models, trainings,
    },
    training::{EpochScore, Event},
};
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::{TcpListener, TcpStream},
};
use tokio_util::sync::CancellationToken;

on_both!(
    a_training_becomes_a_model,
    a_cancel_stops_a_running_training_within_two_seconds,
    a_panic_fails_its_training_and_no_other,
    a_failure_is_told,
    a_shutdown_keeps_the_last_checkpoint_and_the_next_worker_resumes,
    a_lost_lease_stops_the_training_and_leaves_nothing,
    a_deleted_dataset_fails_the_training,
    workers_run_as_many_at_once_as_they_may,
    a_checkpoint_that_cannot_be_stored_is_a_warning,
    a_model_waits_for_a_store_that_is_away,
    a_model_that_cannot_be_stored_fails_its_training,
    the_sweep_removes_what_belongs_to_nothing,
);

const LONG: Duration = Duration::from_secs(20);

/// A process with workers.
struct Process {
    jobs: Jobs,
    stop: CancellationToken,
    workers: Option<tokio::task::JoinHandle<()>>,
}

fn jobs(store: &Store) -> Jobs {
    let folder = store.folder.path();
    let settings = BlobSettings::Local { data_dir: folder.join("data"), models_dir: folder.join("models") };
    Jobs {
        db: store.db.clone(),
        blobs: Blobs::open(&settings).unwrap(),
        clock: Clock::System,
        live: Live::default(),
        changes: Changes::default(),
        settings: JobSettings {
            workers: 2,
            lease: Duration::from_secs(2),
            heartbeat: Duration::from_millis(200),
            poll: Duration::from_millis(50),
            record_every: Duration::from_millis(50),
            save_retry_for: Duration::from_secs(5),
            ..JobSettings::default()
        },
    }
}

impl Process {
    fn start(jobs: &Jobs, trainer: Trainer) -> Self {
        let stop = CancellationToken::new();
        let workers = tokio::spawn(worker::run(jobs.clone(), trainer, stop.clone()));
        Self { jobs: jobs.clone(), stop, workers: Some(workers) }
    }

    /// As SIGTERM does.
    async fn shut_down(&mut self) {
        self.stop.cancel();
        tokio::time::timeout(LONG, self.workers.take().unwrap()).await.expect("the workers end").unwrap();
    }

    async fn until(
        &self,
        training_id: TrainingId,
        wanted: impl Fn(&TrainingRecord) -> bool,
    ) -> TrainingRecord {
        let deadline = Instant::now() + LONG;
        let mut listener = self.jobs.live.subscribe(training_id);
        loop {
            let training = trainings::get(&self.jobs.db, training_id).await.unwrap().unwrap();
            if wanted(&training) {
                return training;
            }
            assert!(Instant::now() < deadline, "waited too long: {training:?}");
            listener.changed(Duration::from_millis(50)).await;
        }
    }

    /// Waits until the training has told of an epoch.
    async fn trains(&self, training_id: TrainingId) {
        let deadline = Instant::now() + LONG;
        while trainings::epochs_after(&self.jobs.db, training_id, 0, 1).await.unwrap().is_empty() {
            assert!(Instant::now() < deadline, "the training does not start");
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
    }

    async fn ended(&self, training_id: TrainingId) -> TrainingRecord {
        self.until(training_id, |training| training.status.is_final()).await
    }
}

/// A training on a stored dataset, queued.
async fn queue(jobs: &Jobs) -> TrainingId {
    let record = dataset("data");
    jobs.blobs.put_bytes(&BlobKey::Table(record.dataset_id), Bytes::from_static(b"table")).await.unwrap();
    datasets::insert(&jobs.db, &record).await.unwrap();
    let mut training = new_training("polar");
    training.dataset_id = record.dataset_id;
    let training_id = training.training_id;
    trainings::enqueue(&jobs.db, training, 100, jobs.clock.now()).await.unwrap();
    jobs.live.wake_worker();
    training_id
}

fn outcome() -> Outcome {
    Outcome {
        file: b"weights".to_vec(),
        task: "regression".into(),
        targets: vec!["Cd".into()],
        metrics: json!({"rmse": 0.5}),
        card: json!({"seed": 42}),
        stopped: None,
        warnings: Vec::new(),
        train_s: 1.0,
    }
}

fn epoch(epoch: u32) -> Event {
    Event::Epoch(EpochScore { fold: 0, epoch, train_loss: 1.0, validation_loss: 1.0, learning_rate: 0.1 })
}

/// Trains until it is stopped, and stores a checkpoint then.
fn endless() -> Trainer {
    Trainer::new(|_, observe, stop| {
        for n in 1.. {
            observe(epoch(n));
            if let Some(reason) = stop.requested() {
                observe(Event::Checkpoint(b"last".to_vec()));
                return Err(Failure::Stopped(reason));
            }
            std::thread::sleep(Duration::from_millis(20));
        }
        unreachable!()
    })
}

/// The end of the row comes first, the clean-up right after it.
async fn no_checkpoint_stays(jobs: &Jobs) {
    let deadline = Instant::now() + LONG;
    while !jobs.blobs.list(Area::Checkpoints).await.unwrap().is_empty() {
        assert!(Instant::now() < deadline, "the checkpoint of a training that has ended stays");
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
}

fn instant() -> Trainer {
    Trainer::new(|_, _, _| Ok(outcome()))
}

async fn a_training_becomes_a_model(store: Store) {
    let jobs = jobs(&store);
    let process = Process::start(
        &jobs,
        Trainer::new(|work, observe, _| {
            assert_eq!((&work.table[..], work.resume), (&b"table"[..], None));
            assert_eq!(work.request["epochs"], 256);
            for n in 1..=500 {
                observe(epoch(n)); // far faster than they are written down
            }
            observe(Event::Message("half-way".into()));
            observe(Event::Progress { fraction: 0.5, message: "half-way".into(), eta_s: Some(1.0) });
            Ok(Outcome { stopped: Some("early_stopping".into()), ..outcome() })
        }),
    );
    let training_id = queue(&jobs).await;
    let ended = process.ended(training_id).await;
    assert_eq!((ended.status, ended.attempt), (JobStatus::Succeeded, 1), "{:?}", ended.error);
    assert_eq!(ended.stopped.as_deref(), Some("early_stopping"));
    let model = models::get(&jobs.db, ended.model_id.unwrap()).await.unwrap().unwrap();
    assert_eq!((model.model_name.as_str(), model.size_bytes), ("polar", 7));
    assert_eq!(model.tags["campaign"], "A");
    assert_eq!(model.sha256, "9a129038d9a00aed0cf6a7ea059ca50a813449061ab87848cf1a13eafdf33b2c");
    let file = jobs.blobs.get_bytes(&BlobKey::Model(model.model_id)).await.unwrap();
    assert_eq!(file.as_deref(), Some(&b"weights"[..]));
    let epochs = trainings::epochs_after(&jobs.db, training_id, 0, 1000).await.unwrap();
    assert_eq!(epochs.len(), 500, "no epoch is lost");
    let logs = trainings::logs_after(&jobs.db, training_id, 0, 10).await.unwrap();
    assert!(logs.iter().any(|log| log.message == "half-way"), "{logs:?}");
}

async fn a_cancel_stops_a_running_training_within_two_seconds(store: Store) {
    let jobs = jobs(&store);
    let process = Process::start(&jobs, endless());
    for nudge in [true, false] {
        let training_id = queue(&jobs).await;
        process.until(training_id, |training| training.status == JobStatus::Running).await;
        let asked = Instant::now();
        let answer = trainings::request_cancel(&jobs.db, training_id, jobs.clock.now()).await.unwrap();
        assert!(matches!(answer, Some(Cancellation::Requested(_))), "{answer:?}");
        if nudge {
            jobs.live.nudge(training_id); // the request came to this process
        }
        let ended = process.ended(training_id).await;
        assert_eq!((ended.status, ended.model_id), (JobStatus::Cancelled, None));
        assert!(asked.elapsed() < Duration::from_secs(2), "{:?}", asked.elapsed());
    }
    no_checkpoint_stays(&jobs).await;
}

async fn a_panic_fails_its_training_and_no_other(store: Store) {
    let jobs = jobs(&store);
    let calls = Arc::new(AtomicU32::new(0));
    let trainer = Trainer::new(move |_, _, _| {
        assert!(calls.fetch_add(1, Ordering::SeqCst) > 0, "the first training meets a fault");
        Ok(outcome())
    });
    let process = Process::start(&jobs, trainer);
    let failed = process.ended(queue(&jobs).await).await;
    assert_eq!((failed.status, failed.error.unwrap().slug.as_str()), (JobStatus::Failed, "internal"));
    assert_eq!(process.ended(queue(&jobs).await).await.status, JobStatus::Succeeded);
}

async fn a_failure_is_told(store: Store) {
    let jobs = jobs(&store);
    let trainer = Trainer::new(|_, observe, _| {
        observe(epoch(1));
        Err(Failure::new("training-diverged", "the training diverged in epoch 1: lower the learning rate"))
    });
    let process = Process::start(&jobs, trainer);
    let training_id = queue(&jobs).await;
    let failed = process.ended(training_id).await;
    let error = failed.error.unwrap();
    assert_eq!(error.slug, "training-diverged");
    assert!(error.detail.contains("lower the learning rate"));
    assert_eq!(trainings::epochs_after(&jobs.db, training_id, 0, 10).await.unwrap().len(), 1);
    let logs = trainings::logs_after(&jobs.db, training_id, 0, 10).await.unwrap();
    assert_eq!(logs.last().unwrap().message, error.detail);
}

async fn a_shutdown_keeps_the_last_checkpoint_and_the_next_worker_resumes(store: Store) {
    let jobs = jobs(&store);
    let mut first = Process::start(&jobs, endless());
    let training_id = queue(&jobs).await;
    first.trains(training_id).await;
    first.shut_down().await;
    let released = trainings::get(&jobs.db, training_id).await.unwrap().unwrap();
    assert_eq!((released.status, released.crashes), (JobStatus::Queued, 0));
    assert!(released.checkpoint.is_some());

    let second = Process::start(
        &jobs,
        Trainer::new(|work, _, _| match work.resume.as_deref() {
            Some(b"last") => Ok(outcome()),
            other => Err(Failure::new("internal", format!("resumed from {other:?}"))),
        }),
    );
    let ended = second.ended(training_id).await;
    assert_eq!((ended.status, ended.attempt), (JobStatus::Succeeded, 2), "{:?}", ended.error);
    no_checkpoint_stays(&jobs).await;
}

async fn a_lost_lease_stops_the_training_and_leaves_nothing(store: Store) {
    let jobs = jobs(&store);
    let stopped = Arc::new(AtomicU32::new(0));
    let seen = stopped.clone();
    let trainer = Trainer::new(move |_, _, stop| {
        while stop.requested().is_none() {
            std::thread::sleep(Duration::from_millis(10));
        }
        seen.fetch_add(1, Ordering::SeqCst);
        Ok(outcome()) // it had just finished
    });
    let mut process = Process::start(&jobs, trainer);
    let training_id = queue(&jobs).await;
    process.until(training_id, |training| training.status == JobStatus::Running).await;
    // Another worker takes it: for that one, the lease has long run out.
    let later = jobs.clock.now() + seconds(3600);
    let thief =
        trainings::claim(&jobs.db, uuid::Uuid::now_v7(), later, seconds(3600), 3).await.unwrap().unwrap();
    assert_eq!(thief.lease.job_id, training_id);
    let deadline = Instant::now() + LONG;
    while stopped.load(Ordering::SeqCst) == 0 {
        assert!(Instant::now() < deadline, "the training goes on without its lease");
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
    process.shut_down().await;
    let row = trainings::get(&jobs.db, training_id).await.unwrap().unwrap();
    assert_eq!((row.status, row.attempt), (JobStatus::Running, 2), "the other worker's row is untouched");
    assert_eq!(jobs.blobs.list(Area::Models).await.unwrap(), [], "no model file stays");
    assert_eq!(models::statuses(&jobs.db).await.unwrap(), []);
}

async fn a_deleted_dataset_fails_the_training(store: Store) {
    let jobs = jobs(&store);
    let training_id = queue(&jobs).await;
    let training = trainings::get(&jobs.db, training_id).await.unwrap().unwrap();
    datasets::delete(&jobs.db, training.dataset_id).await.unwrap();
    let process = Process::start(&jobs, instant());
    assert_eq!(process.ended(training_id).await.error.unwrap().slug, "dataset-deleted");
    let training_id = queue(&jobs).await;
    assert_eq!(process.ended(training_id).await.status, JobStatus::Succeeded, "the queue goes on");
}

async fn workers_run_as_many_at_once_as_they_may(store: Store) {
    let jobs = jobs(&store);
    let (now, most) = (Arc::new(AtomicU32::new(0)), Arc::new(AtomicU32::new(0)));
    let (at_once, peak) = (now.clone(), most.clone());
    let trainer = Trainer::new(move |_, _, _| {
        peak.fetch_max(at_once.fetch_add(1, Ordering::SeqCst) + 1, Ordering::SeqCst);
        std::thread::sleep(Duration::from_millis(150));
        at_once.fetch_sub(1, Ordering::SeqCst);
        Ok(outcome())
    });
    let process = Process::start(&jobs, trainer);
    let mut queued = Vec::new();
    for _ in 0..6 {
        queued.push(queue(&jobs).await);
    }
    for training_id in queued {
        assert_eq!(process.ended(training_id).await.status, JobStatus::Succeeded);
    }
    assert_eq!(most.load(Ordering::SeqCst), 2);
}

/// Makes the store of `area` refuse writes: a file stands where its folder should.
fn break_store(store: &Store, folder: &str) {
    let path = store.folder.path().join(folder);
    if path.exists() {
        std::fs::remove_dir_all(&path).unwrap();
    }
    std::fs::write(path, b"in the way").unwrap();
}

fn mend_store(store: &Store, folder: &str) {
    let path = store.folder.path().join(folder);
    std::fs::remove_file(&path).unwrap();
    std::fs::create_dir(path).unwrap();
}

async fn a_checkpoint_that_cannot_be_stored_is_a_warning(store: Store) {
    let jobs = jobs(&store);
    break_store(&store, "data/checkpoints");
    let trainer = Trainer::new(|_, observe, _| {
        for n in 1..=3 {
            observe(epoch(n));
            observe(Event::Checkpoint(vec![0; 100]));
            std::thread::sleep(Duration::from_millis(100));
        }
        Ok(outcome())
    });
    let process = Process::start(&jobs, trainer);
    let ended = process.ended(queue(&jobs).await).await;
    assert_eq!(ended.status, JobStatus::Succeeded, "{:?}", ended.error);
    assert!(
        ended.warnings.iter().any(|warning| warning.code == "checkpoint-not-stored"),
        "{:?}",
        ended.warnings
    );
}

async fn a_model_waits_for_a_store_that_is_away(store: Store) {
    let jobs = jobs(&store);
    break_store(&store, "models");
    let process = Process::start(&jobs, instant());
    let training_id = queue(&jobs).await;
    process.until(training_id, |training| training.status == JobStatus::Running).await;
    tokio::time::sleep(Duration::from_millis(500)).await;
    let waiting = trainings::get(&jobs.db, training_id).await.unwrap().unwrap();
    assert_eq!(waiting.status, JobStatus::Running, "the model is not thrown away");
    mend_store(&store, "models");
    let ended = process.ended(training_id).await;
    assert_eq!((ended.status, ended.attempt), (JobStatus::Succeeded, 1), "{:?}", ended.error);
}

async fn a_model_that_cannot_be_stored_fails_its_training(store: Store) {
    let mut jobs = jobs(&store);
    jobs.settings.save_retry_for = Duration::from_millis(500);
    break_store(&store, "models");
    let process = Process::start(&jobs, instant());
    let ended = process.ended(queue(&jobs).await).await;
    assert_eq!(ended.error.unwrap().slug, "storage-unavailable");
    assert_eq!(models::statuses(&jobs.db).await.unwrap(), [], "no row points to nothing");
}

/// A way to the server at `to` that lets nothing through once it is closed.
async fn gate(to: SocketAddr) -> (SocketAddr, Arc<AtomicBool>) {
    let closed = Arc::new(AtomicBool::new(false));
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let (address, is_closed) = (listener.local_addr().unwrap(), closed.clone());
    tokio::spawn(async move {
        while let Ok((from, _)) = listener.accept().await {
            let to = TcpStream::connect(to).await.unwrap();
            let ((mut asks, mut hears), (mut answers, mut told)) = (from.into_split(), to.into_split());
            let is_closed = is_closed.clone();
            tokio::spawn(async move {
                let mut buffer = vec![0; 1 << 16];
                while let Ok(n @ 1..) = asks.read(&mut buffer).await {
                    while is_closed.load(Ordering::Relaxed) {
                        tokio::time::sleep(Duration::from_millis(50)).await;
                    }
                    if told.write_all(&buffer[..n]).await.is_err() {
                        return;
                    }
                }
            });
            tokio::spawn(async move { tokio::io::copy(&mut answers, &mut hears).await });
        }
    });
    (address, closed)
}

#[tokio::test(flavor = "multi_thread")]
async fn a_store_that_hangs_with_a_checkpoint_holds_neither_an_end_nor_a_shutdown_up() {
    let store = Store::sqlite().await;
    let (address, closed) = gate(crate::blobs::s3_server(store.folder.path()).await).await;
    let mut jobs = jobs(&store);
    let settings = S3Settings { retry_for: Duration::from_mins(5), ..crate::blobs::s3_settings(address) };
    jobs.blobs = Blobs::open(&BlobSettings::S3(settings)).unwrap();
    let close = closed.clone();
    let trainer = Trainer::new(move |_, observe, stop| {
        close.store(true, Ordering::Relaxed);
        observe(Event::Checkpoint(vec![0; 100]));
        observe(epoch(1));
        loop {
            if let Some(reason) = stop.requested() {
                return Err(Failure::Stopped(reason));
            }
            std::thread::sleep(Duration::from_millis(20));
        }
    });
    let mut process = Process::start(&jobs, trainer);
    let training_id = queue(&jobs).await;
    process.trains(training_id).await;
    trainings::request_cancel(&jobs.db, training_id, jobs.clock.now()).await.unwrap();
    assert_eq!(process.ended(training_id).await.status, JobStatus::Cancelled);

    closed.store(false, Ordering::Relaxed);
    let training_id = queue(&jobs).await;
    process.trains(training_id).await;
    process.shut_down().await;
    let released = trainings::get(&jobs.db, training_id).await.unwrap().unwrap();
    assert_eq!(released.status, JobStatus::Queued, "another worker may have it at once");
}

/// As a restart of the server or of the network does it.
#[tokio::test(flavor = "multi_thread")]
async fn connections_cut_at_any_moment_lose_no_training() {
    const CUT: &str = "
        SELECT pg_terminate_backend(pid) FROM pg_stat_activity
        WHERE datname = current_database() AND pid <> pg_backend_pid()";
    let Some(store) = Store::postgres().await else { return };
    let jobs = jobs(&store);
    let trainer = Trainer::new(|_, observe, _| {
        for n in 1..=20 {
            observe(epoch(n));
            std::thread::sleep(Duration::from_millis(10));
        }
        Ok(outcome())
    });
    let process = Process::start(&jobs, trainer);
    let mut queued = Vec::new();
    for _ in 0..10 {
        queued.push(queue(&jobs).await);
    }
    let cutter = store.connect_again().await.unwrap();
    let taqicfd::storage::Db::Postgres(pool) = &cutter else { unreachable!() };
    for _ in 0..40 {
        drop(sqlx::query(CUT).execute(pool).await); // it may cut its own spare connections
        tokio::time::sleep(Duration::from_millis(37)).await;
    }
    let retry = async |training_id| loop {
        // The test's own reads are cut, too, just after the last cut.
        match trainings::get(&jobs.db, training_id).await {
            Ok(training) => break training.unwrap(),
            Err(error) => assert!(error.is_transient(), "{error}"),
        }
    };
    for training_id in queued {
        retry(training_id).await;
        let ended = process.ended(training_id).await;
        assert_eq!(ended.status, JobStatus::Succeeded, "{:?}", ended.error);
        let epochs = trainings::epochs_after(&jobs.db, training_id, 0, 100).await.unwrap();
        assert_eq!(epochs.len(), 20, "no epoch is lost");
    }
    assert_eq!(models::statuses(&jobs.db).await.unwrap().len(), 10, "one model each");
    assert_eq!(jobs.blobs.list(Area::Models).await.unwrap().len(), 10, "and one file each");
}

async fn the_sweep_removes_what_belongs_to_nothing(store: Store) {
    let mut jobs = jobs(&store);
    let temp_dir = store.folder.path().join("tmp");
    std::fs::create_dir(&temp_dir).unwrap();
    std::fs::write(temp_dir.join("upload"), b"half").unwrap();
    jobs.settings.temp_dir = Some(temp_dir.clone());
    let put = async |key: &BlobKey| {
        jobs.blobs.put_bytes(key, Bytes::from_static(b"x")).await.unwrap();
    };

    let kept = dataset("kept");
    datasets::insert(&jobs.db, &kept).await.unwrap();
    let training_id = queue(&jobs).await;
    let claimed = trainings::claim(&jobs.db, uuid::Uuid::now_v7(), start_time(), seconds(30), 3)
        .await
        .unwrap()
        .unwrap();
    let checkpoint = |sequence| BlobKey::Checkpoint { training_id, attempt: 1, sequence };
    trainings::set_checkpoint(&jobs.db, &claimed.lease, &checkpoint(2)).await.unwrap();
    let kept_keys = [
        BlobKey::Original(kept.dataset_id),
        BlobKey::Table(kept.dataset_id),
        BlobKey::Table(claimed.training.dataset_id),
        checkpoint(2),
    ];
    let orphans = [
        BlobKey::Original(DatasetId::new()),
        BlobKey::Table(DatasetId::new()),
        checkpoint(1),
        BlobKey::Model(ModelId::new()),
    ];
    for key in kept_keys.iter().chain(&orphans) {
        put(key).await;
    }
    assert_eq!(sweep::sweep(&jobs).await.unwrap().orphans_removed, 0, "a young file may still get its row");
    jobs.clock = Clock::fixed(jobs.clock.now() + seconds(7200));
    // The lease is far gone by now; the training is to be taken again, not ended.
    let swept = sweep::sweep(&jobs).await.unwrap();
    assert_eq!((swept.orphans_removed, swept.partial_removed, swept.trainings_ended), (4, 1, 0));
    for key in &kept_keys {
        assert!(jobs.blobs.head(key).await.unwrap().is_some(), "{key} was removed");
    }
    for key in &orphans {
        assert!(jobs.blobs.head(key).await.unwrap().is_none(), "{key} was kept");
    }

    // A model whose file is gone is marked, and marked back when the file returns.
    let model = new_model("m", json!({}));
    let committed = models::commit(&jobs.db, &claimed.lease, &model, None, &[], start_time()).await.unwrap();
    assert!(matches!(committed, Committed::Stored(_)));
    let status = async || models::get(&jobs.db, model.model_id).await.unwrap().unwrap().status;
    assert_eq!(sweep::sweep(&jobs).await.unwrap().models_missing, 1);
    assert_eq!(status().await, ModelStatus::Missing);
    put(&BlobKey::Model(model.model_id)).await;
    assert_eq!(sweep::sweep(&jobs).await.unwrap().models_missing, 0);
    assert_eq!(status().await, ModelStatus::Ready);
    assert_eq!(sweep::sweep(&jobs).await.unwrap(), sweep::Swept::default(), "nothing is left to do");
}
