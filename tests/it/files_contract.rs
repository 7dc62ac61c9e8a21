//! What storage promises of files that are answered in the background, on both databases, and their sweep.

use crate::storage_support::{Store, on_both, seconds, start_time};
use bytes::Bytes;
use chrono::{DateTime, Utc};
use taqicfd::{
    clock::Clock,
    dataset::ReadOptions,
    id::{ModelId, PredictionId},
    jobs::{Changes, JobSettings, Jobs, Live, sweep},
    model::UnknownCategory,
    storage::{
        AnswerFormat, BlobKey, BlobSettings, Blobs, Db, JobError, JobStatus, Lease, NewPrediction, Page,
        PredictionFilter, PredictionLimits, PredictionRecord, PredictionRequest, StorageError,
        predictions::{self, Done, PredictionProgress},
    },
};
use uuid::Uuid;

on_both!(
    a_file_goes_through_its_life,
    their_number_and_their_size_are_bounded,
    a_worker_without_the_lease_can_write_nothing,
    cancelling_depends_on_where_the_file_stands,
    three_crashes_fail_a_file_and_a_release_is_none,
    many_workers_never_share_a_file,
    the_sweep_keeps_what_is_needed_and_removes_what_is_over,
);

const ROOMY: PredictionLimits = PredictionLimits { files: 100, bytes: 1 << 30 };

fn new_file(file_bytes: u64) -> NewPrediction {
    let request = PredictionRequest {
        format: None,
        confidence: Some(0.8),
        unknown_category: UnknownCategory::Nearest,
        language: "pt-BR".into(),
        read: ReadOptions { decimal: Some(','), ..ReadOptions::default() },
    };
    let filename = "ensaio ç.csv".to_owned();
    NewPrediction {
        prediction_id: PredictionId::new(),
        model_id: ModelId::new(),
        filename,
        request,
        file_bytes,
    }
}

async fn queued(db: &Db) -> PredictionRecord {
    predictions::enqueue(db, new_file(10), ROOMY, start_time()).await.unwrap()
}

async fn claim_at(db: &Db, now: DateTime<Utc>) -> Option<(Lease<PredictionId>, PredictionRecord)> {
    predictions::claim(db, Uuid::now_v7(), now, seconds(30), 3).await.unwrap()
}

fn done() -> Done {
    Done { format: AnswerFormat::Csv, size_bytes: 70, sha256: "ab".repeat(32), file_warnings: Vec::new() }
}

fn progress(rows_done: u64) -> PredictionProgress {
    PredictionProgress { rows: Some(9), rows_done, rows_outside: 2 }
}

async fn a_file_goes_through_its_life(store: Store) {
    let db = &store.db;
    assert_eq!(claim_at(db, start_time()).await, None);
    let new = new_file(10);
    let record = predictions::enqueue(db, new.clone(), ROOMY, start_time()).await.unwrap();
    assert_eq!((record.request.clone(), &*record.filename, record.rows), (new.request, "ensaio ç.csv", None));
    assert_eq!(record.blob(), Some(BlobKey::Asked(record.prediction_id)));
    assert_eq!(predictions::get(db, record.prediction_id).await.unwrap().as_ref(), Some(&record));

    let (lease, running) = claim_at(db, start_time()).await.unwrap();
    assert_eq!((running.status, running.attempt), (JobStatus::Running, 1));
    assert_eq!(claim_at(db, start_time()).await, None, "it is held");
    assert!(!predictions::heartbeat(db, &lease, progress(4), start_time() + seconds(60)).await.unwrap());
    let seen = predictions::get(db, record.prediction_id).await.unwrap().unwrap();
    assert_eq!((seen.rows, seen.rows_done, seen.rows_outside), (Some(9), 4, 2));
    assert!(predictions::succeed(db, &lease, &running, progress(9), &done(), start_time()).await.unwrap());
    let ended = predictions::get(db, record.prediction_id).await.unwrap().unwrap();
    assert_eq!((ended.status, ended.request.format), (JobStatus::Succeeded, Some(AnswerFormat::Csv)));
    assert_eq!((ended.rows_done, ended.size_bytes, ended.sha256.clone()), (9, Some(70), Some(done().sha256)));
    assert_eq!(ended.blob(), Some(BlobKey::Answered { prediction_id: record.prediction_id, attempt: 1 }));

    let failed = queued(db).await;
    let (lease, _) = claim_at(db, start_time()).await.unwrap();
    let error = JobError { slug: "empty-file".into(), detail: "nothing".into() };
    predictions::fail(db, &lease, &error, start_time()).await.unwrap();
    let failed = predictions::get(db, failed.prediction_id).await.unwrap().unwrap();
    assert_eq!((failed.status, failed.error.clone()), (JobStatus::Failed, Some(error)));

    let filter = PredictionFilter { status: Some(JobStatus::Failed), model_id: Some(failed.model_id) };
    assert_eq!(predictions::list(db, &filter, &Page::first(5)).await.unwrap().items, [failed]);
    let first = predictions::list(db, &PredictionFilter::default(), &Page::first(1)).await.unwrap();
    let next = Page::after(first.next_cursor.unwrap(), 1);
    let second = predictions::list(db, &PredictionFilter::default(), &next).await.unwrap();
    assert_eq!((second.items, second.next_cursor), (vec![ended], None));
    assert!(predictions::delete(db, record.prediction_id).await.unwrap().is_some());
    assert_eq!(predictions::delete(db, record.prediction_id).await.unwrap(), None);
}

async fn their_number_and_their_size_are_bounded(store: Store) {
    let db = &store.db;
    let limits = PredictionLimits { files: 2, bytes: 100 };
    let add = |file_bytes| predictions::enqueue(db, new_file(file_bytes), limits, start_time());
    let first = add(60).await.unwrap();
    assert!(matches!(add(41).await, Err(StorageError::FilesTooLarge { limit_bytes: 100 })));
    add(40).await.unwrap();
    assert!(matches!(add(0).await, Err(StorageError::TooManyFiles { limit: 2 })));
    // Once it is answered, the answer counts and no longer the file.
    let (lease, record) = claim_at(db, start_time()).await.unwrap();
    assert_eq!(record.prediction_id, first.prediction_id, "the oldest goes first");
    let small = Done { size_bytes: 20, ..done() };
    predictions::succeed(db, &lease, &record, progress(9), &small, start_time()).await.unwrap();
    let roomier = PredictionLimits { files: 3, ..limits };
    assert!(predictions::enqueue(db, new_file(41), roomier, start_time()).await.is_err());
    predictions::enqueue(db, new_file(40), roomier, start_time()).await.unwrap();
}

async fn a_worker_without_the_lease_can_write_nothing(store: Store) {
    let db = &store.db;
    let record = queued(db).await;
    let (old, _) = claim_at(db, start_time()).await.unwrap();
    let later = start_time() + seconds(31);
    let (new, retaken) = claim_at(db, later).await.unwrap();
    assert_eq!((retaken.prediction_id, retaken.attempt), (record.prediction_id, 2));
    let error = JobError { slug: "internal".into(), detail: String::new() };
    let lost = |outcome: Result<(), StorageError>| assert!(matches!(outcome, Err(StorageError::LeaseLost)));
    lost(predictions::heartbeat(db, &old, progress(1), later).await.map(drop));
    lost(predictions::succeed(db, &old, &record, progress(9), &done(), later).await.map(drop));
    lost(predictions::fail(db, &old, &error, later).await);
    lost(predictions::finish_cancelled(db, &old, later).await);
    lost(predictions::release(db, &old, later).await);
    predictions::delete(db, record.prediction_id).await.unwrap();
    lost(predictions::heartbeat(db, &new, progress(1), later).await.map(drop));
}

async fn cancelling_depends_on_where_the_file_stands(store: Store) {
    let db = &store.db;
    let cancel = |id| predictions::request_cancel(db, id, start_time());
    let waiting = queued(db).await.prediction_id;
    assert_eq!(cancel(waiting).await.unwrap().unwrap().status, JobStatus::Cancelled);
    assert_eq!(cancel(waiting).await.unwrap(), None, "it has ended");
    assert_eq!(cancel(PredictionId::new()).await.unwrap(), None);

    let running = queued(db).await.prediction_id;
    let (lease, record) = claim_at(db, start_time()).await.unwrap();
    assert_eq!(cancel(running).await.unwrap().unwrap().status, JobStatus::Running);
    assert!(predictions::heartbeat(db, &lease, progress(1), start_time()).await.unwrap(), "it is to stop");
    let counts = predictions::succeed(db, &lease, &record, progress(9), &done(), start_time()).await.unwrap();
    let ended = predictions::get(db, running).await.unwrap().unwrap();
    assert!(!counts, "a file that was to stop never succeeds afterwards");
    assert_eq!((ended.status, ended.size_bytes), (JobStatus::Cancelled, None));
}

async fn three_crashes_fail_a_file_and_a_release_is_none(store: Store) {
    let db = &store.db;
    let id = queued(db).await.prediction_id;
    for _ in 0..4 {
        let (lease, _) = claim_at(db, start_time()).await.unwrap();
        predictions::release(db, &lease, start_time()).await.unwrap();
    }
    let mut now = start_time();
    for _ in 0..3 {
        assert!(predictions::expire(db, now, 3).await.unwrap().is_empty());
        assert!(claim_at(db, now).await.is_some());
        now += seconds(31);
    }
    assert_eq!(claim_at(db, now).await, None);
    assert_eq!(predictions::expire(db, now, 3).await.unwrap(), [id]);
    let failed = predictions::get(db, id).await.unwrap().unwrap();
    assert_eq!(failed.error.unwrap().slug, "job-crashed-worker");
    assert_eq!((failed.status, failed.attempt), (JobStatus::Failed, 7));
}

async fn many_workers_never_share_a_file(store: Store) {
    for _ in 0..10 {
        queued(&store.db).await;
    }
    let claims = (0..20).map(|_| {
        let db = store.db.clone();
        tokio::spawn(async move { claim_at(&db, start_time()).await.map(|(lease, _)| lease.job_id) })
    });
    let mut claimed: Vec<PredictionId> = Vec::new();
    for claim in claims.collect::<Vec<_>>() {
        claimed.extend(claim.await.unwrap());
    }
    claimed.sort();
    claimed.dedup();
    assert_eq!(claimed.len(), 10, "each file once");
}

async fn the_sweep_keeps_what_is_needed_and_removes_what_is_over(store: Store) {
    let folder = store.folder.path();
    let settings = BlobSettings::Local { data_dir: folder.join("data"), models_dir: folder.join("models") };
    let mut jobs = Jobs {
        db: store.db.clone(),
        blobs: Blobs::open(&settings).unwrap(),
        clock: Clock::fixed(Clock::System.now() + seconds(7200)),
        live: Live::default(),
        changes: Changes::default(),
        settings: JobSettings::default(),
    };
    let (db, now) = (&jobs.db, jobs.clock.now());
    let waiting = predictions::enqueue(db, new_file(1), ROOMY, now).await.unwrap();
    let (lease, answered) =
        predictions::claim(db, Uuid::now_v7(), now, seconds(30), 3).await.unwrap().unwrap();
    predictions::succeed(db, &lease, &answered, progress(9), &done(), now).await.unwrap();
    assert_eq!(answered.prediction_id, waiting.prediction_id);
    let waiting = predictions::enqueue(db, new_file(1), ROOMY, now).await.unwrap();
    let answer = BlobKey::Answered { prediction_id: answered.prediction_id, attempt: 1 };
    let kept = [BlobKey::Asked(waiting.prediction_id), answer];
    let orphans = [
        BlobKey::Asked(answered.prediction_id),
        BlobKey::Asked(PredictionId::new()),
        BlobKey::Answered { prediction_id: answered.prediction_id, attempt: 2 },
    ];
    for key in kept.iter().chain(&orphans) {
        jobs.blobs.put_bytes(key, Bytes::from_static(b"x")).await.unwrap();
    }
    let swept = sweep::sweep(&jobs).await.unwrap();
    assert_eq!((swept.orphans_removed, swept.predictions_expired), (3, 0));
    for key in &kept {
        assert!(jobs.blobs.head(key).await.unwrap().is_some(), "{key} was removed");
    }
    jobs.clock.advance(seconds(24 * 3600 + 1));
    let swept = sweep::sweep(&jobs).await.unwrap();
    assert_eq!((swept.orphans_removed, swept.predictions_expired), (0, 1));
    assert_eq!(jobs.blobs.head(&answer).await.unwrap(), None);
    assert!(predictions::get(&jobs.db, waiting.prediction_id).await.unwrap().is_some(), "it still waits");
    jobs.settings.keep_predictions = std::time::Duration::MAX;
    assert_eq!(sweep::sweep(&jobs).await.unwrap().predictions_expired, 0);
}
