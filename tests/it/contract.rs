//! What storage promises, on both databases: one suite, run twice.

use crate::storage_support::{
    Store, claim, claim_at, dataset, minutes, new_model, new_training, on_both, seconds, start_time,
};
use serde_json::json;
use std::collections::{BTreeMap, HashSet};
use taqicfd::storage::Begun;
use taqicfd::{
    dataset::Warning,
    id::{DatasetId, ModelId, ReadingId, TrainingId},
    storage::{
        BlobKey, Cancellation, Committed, EventFilter, JobError, JobStatus, Lease, LogLevel, ModelFilter,
        ModelPatch, ModelSort, ModelStatus, NewEpoch, NewEvent, NewLog, Page, Progress, ReadingEnd,
        ReadingStatus, StorageError, StoredResponse, TrainingFilter, datasets, events, idempotency, models,
        readings, trainings,
    },
};
use uuid::Uuid;

on_both!(
    datasets_are_kept_listed_and_found_again,
    documents_keep_the_order_of_their_keys,
    nul_characters_are_refused_and_not_a_fault,
    a_training_goes_through_its_life,
    the_queue_is_bounded_and_fair,
    a_repeated_epoch_keeps_its_place,
    a_worker_without_the_lease_can_write_nothing,
    cancelling_depends_on_where_the_training_stands,
    three_crashes_without_progress_fail_a_training,
    a_released_training_is_taken_again_without_a_crash,
    many_workers_never_share_a_training,
    a_commit_whose_answer_got_lost_is_recognised,
    versions_count_up_and_are_never_reused,
    an_imported_model_is_the_next_version_and_has_no_training,
    names_differ_by_more_than_case,
    an_alias_names_one_version_and_moves,
    models_are_filtered_sorted_and_paged,
    events_are_listed_newest_first,
    an_idempotency_key_is_used_once,
    a_reading_ends_once,
    a_reading_whose_server_is_gone_ends,
    migrations_are_repeatable_and_a_newer_schema_is_refused,
    processes_that_start_together_migrate_once,
);

async fn datasets_are_kept_listed_and_found_again(store: Store) {
    let db = &store.db;
    let mut kept = Vec::new();
    for n in 0..5 {
        let mut record = dataset(&format!("sheet {n}"));
        record.created_at = start_time() + seconds(n / 2); // pairs share a time
        datasets::insert(db, &record).await.unwrap();
        kept.push(record);
    }
    assert_eq!(datasets::get(db, kept[2].dataset_id).await.unwrap().as_ref(), Some(&kept[2]));
    assert_eq!(datasets::get(db, DatasetId::new()).await.unwrap(), None);
    assert_eq!(datasets::newest(db).await.unwrap().as_ref(), Some(&kept[4]));

    let mut listed = Vec::new();
    let mut page = Page::first(2);
    loop {
        let slice = datasets::list(db, &page).await.unwrap();
        listed.extend(slice.items);
        let Some(next) = slice.next_cursor else { break };
        page = Page::after(next, 2);
    }
    let newest_first: Vec<_> = kept.iter().rev().cloned().collect();
    assert_eq!(listed, newest_first, "every dataset once, newest first");

    let same = datasets::find_same(db, &kept[0].sha256, &kept[0].options).await.unwrap();
    assert_eq!(same.map(|found| found.dataset_id), Some(kept[0].dataset_id));
    let mut other_options = kept[0].options.clone();
    other_options.header_row = Some(7);
    assert_eq!(datasets::find_same(db, &kept[0].sha256, &other_options).await.unwrap(), None);

    let deleted = datasets::delete(db, kept[4].dataset_id).await.unwrap();
    assert_eq!(deleted.as_ref(), Some(&kept[4]));
    assert_eq!(datasets::delete(db, kept[4].dataset_id).await.unwrap(), None);
    assert_eq!(datasets::newest(db).await.unwrap().as_ref(), Some(&kept[3]));
    assert_eq!(datasets::ids(db).await.unwrap().len(), 4);
}

async fn documents_keep_the_order_of_their_keys(store: Store) {
    let mut record = dataset("order");
    let row = json!({"zeta": 1.5, "alpha": "caf\u{e9} \u{0}", "Pressão": null});
    record.description.preview = vec![row.as_object().unwrap().clone()];
    datasets::insert(&store.db, &record).await.unwrap();
    let read = datasets::get(&store.db, record.dataset_id).await.unwrap().unwrap();
    let keys: Vec<_> = read.description.preview[0].keys().cloned().collect();
    assert_eq!(keys, ["zeta", "alpha", "Pressão"], "the columns are shown in the order of the file");
    assert_eq!(read, record);
}

async fn nul_characters_are_refused_and_not_a_fault(store: Store) {
    let filter = TrainingFilter { model_name: Some("po\0lar".into()), ..TrainingFilter::default() };
    match trainings::list(&store.db, &filter, &Page::first(1)).await {
        Ok(found) => assert!(found.items.is_empty() && store.db.engine() == "sqlite"),
        Err(error) => assert!(matches!(error, StorageError::InvalidText), "{error:?}"),
    }
}

async fn a_training_goes_through_its_life(store: Store) {
    let db = &store.db;
    let queued = trainings::enqueue(db, new_training("polar"), 10, start_time()).await.unwrap();
    assert_eq!((queued.status, queued.attempt, queued.started_at), (JobStatus::Queued, 0, None));
    assert_eq!(trainings::get(db, queued.training_id).await.unwrap().as_ref(), Some(&queued));

    let claimed = claim(&store).await.unwrap();
    let lease = claimed.lease;
    assert_eq!(claimed.training.status, JobStatus::Running);
    assert_eq!(claimed.training.started_at, Some(start_time()));
    assert!(!trainings::heartbeat(db, &lease, start_time() + seconds(60)).await.unwrap());

    let progress = Progress { fraction: 0.25, message: "epoch 1 of 4".into(), eta_s: Some(3.5) };
    let warning = Warning { code: "constant-column".into(), column: Some("x".into()), message: "m".into() };
    let epoch = NewEpoch {
        fold: 0,
        epoch: 1,
        train_loss: f64::NAN, // what a diverging network gives
        validation_loss: Some(0.5),
        learning_rate: 0.04,
        at: start_time(),
    };
    let log = NewLog { at: start_time(), level: LogLevel::Warning, message: "nul \0 inside".into() };
    trainings::record(db, &lease, &progress, std::slice::from_ref(&warning), &[epoch], &[log]).await.unwrap();
    let running = trainings::get(db, lease.job_id).await.unwrap().unwrap();
    assert_eq!(
        (running.progress, running.message.as_str(), running.eta_s),
        (0.25, "epoch 1 of 4", Some(3.5))
    );
    assert_eq!(running.warnings, std::slice::from_ref(&warning));
    let epochs = trainings::epochs_after(db, lease.job_id, 0, 10).await.unwrap();
    assert_eq!((epochs[0].train_loss, epochs[0].validation_loss), (None, Some(0.5)), "no NaN is kept");
    let logs = trainings::logs_after(db, lease.job_id, 0, 10).await.unwrap();
    assert_eq!((logs[0].level, logs[0].message.as_str()), (LogLevel::Warning, "nul \u{fffd} inside"));

    let model = new_model("polar", json!({"rmse": 0.5}));
    let committed =
        models::commit(db, &lease, &model, Some("time_limit"), &[warning], start_time() + seconds(9))
            .await
            .unwrap();
    let Committed::Stored(stored) = committed else { panic!("{committed:?}") };
    assert_eq!(models::get(db, model.model_id).await.unwrap().as_ref(), Some(&*stored));
    assert_eq!(models::card(db, model.model_id).await.unwrap(), Some(model.card.clone()));
    assert_eq!((stored.version, stored.training_id, stored.status), (1, lease.job_id, ModelStatus::Ready));
    let ended = trainings::get(db, lease.job_id).await.unwrap().unwrap();
    assert_eq!((ended.status, ended.model_id), (JobStatus::Succeeded, Some(model.model_id)));
    assert_eq!((ended.progress, ended.stopped.as_deref()), (1.0, Some("time_limit")));
    assert_eq!(ended.finished_at, Some(start_time() + seconds(9)));
    assert!(claim(&store).await.is_none(), "nothing is left to do");
    let counts = trainings::counts(db).await.unwrap();
    assert_eq!(counts, BTreeMap::from([("succeeded".to_owned(), 1)]));
}

async fn the_queue_is_bounded_and_fair(store: Store) {
    let db = &store.db;
    let mut queued = Vec::new();
    for n in 0..3 {
        let now = start_time() + seconds(n);
        queued.push(trainings::enqueue(db, new_training("m"), 3, now).await.unwrap().training_id);
    }
    let error = trainings::enqueue(db, new_training("m"), 3, start_time()).await.unwrap_err();
    assert!(matches!(error, StorageError::QueueFull { limit: 3 }), "{error}");
    let cancelled = trainings::request_cancel(db, queued[1], start_time()).await.unwrap();
    assert!(matches!(cancelled, Some(Cancellation::Done(_))), "a full queue still takes a cancel");
    trainings::enqueue(db, new_training("m"), 3, start_time() + seconds(9)).await.unwrap();
    assert_eq!(claim(&store).await.unwrap().lease.job_id, queued[0], "the oldest is first");
    assert_eq!(claim(&store).await.unwrap().lease.job_id, queued[2]);

    let waiting = TrainingFilter { status: Some(JobStatus::Queued), ..TrainingFilter::default() };
    assert_eq!(trainings::list(db, &waiting, &Page::first(10)).await.unwrap().items.len(), 1);
    let all = trainings::list(db, &TrainingFilter::default(), &Page::first(3)).await.unwrap();
    assert_eq!(all.items.len(), 3);
    let rest = Page::after(all.next_cursor.unwrap(), 3);
    assert_eq!(
        trainings::list(db, &TrainingFilter::default(), &rest).await.unwrap().items[0].training_id,
        queued[0]
    );
}

async fn a_repeated_epoch_keeps_its_place(store: Store) {
    let db = &store.db;
    trainings::enqueue(db, new_training("m"), 10, start_time()).await.unwrap();
    let lease = claim(&store).await.unwrap().lease;
    let epoch = |epoch, loss| NewEpoch {
        fold: 0,
        epoch,
        train_loss: loss,
        validation_loss: None,
        learning_rate: 0.1,
        at: start_time(),
    };
    let record = async |epochs: &[NewEpoch]| {
        trainings::record(db, &lease, &Progress::default(), &[], epochs, &[]).await.unwrap();
    };
    record(&[epoch(1, 0.9), epoch(2, 0.8), epoch(3, 0.7)]).await;
    let seen = trainings::epochs_after(db, lease.job_id, 0, 10).await.unwrap();
    let last_seen = seen.last().unwrap().sequence;
    record(&[epoch(2, 0.8), epoch(3, 0.71), epoch(4, 0.6)]).await; // resumed after epoch 1
    let new = trainings::epochs_after(db, lease.job_id, last_seen, 10).await.unwrap();
    assert_eq!(new.iter().map(|epoch| epoch.epoch).collect::<Vec<_>>(), [4], "no epoch is streamed twice");
    let all = trainings::epochs_after(db, lease.job_id, 0, 10).await.unwrap();
    assert_eq!(all.iter().map(|epoch| epoch.epoch).collect::<Vec<_>>(), [1, 2, 3, 4]);
    assert_eq!(all[2].train_loss, Some(0.71), "the last word counts");
    assert_eq!(trainings::epochs_after(db, lease.job_id, 0, 2).await.unwrap().len(), 2);
}

async fn a_worker_without_the_lease_can_write_nothing(store: Store) {
    let db = &store.db;
    trainings::enqueue(db, new_training("m"), 10, start_time()).await.unwrap();
    let frozen = claim(&store).await.unwrap().lease;
    assert!(claim_at(&store, start_time() + seconds(29)).await.is_none(), "the lease still runs");
    let owner = claim_at(&store, start_time() + seconds(31)).await.expect("the lease has run out").lease;
    assert_eq!((owner.job_id, owner.attempt), (frozen.job_id, 2));

    let now = start_time() + seconds(32);
    let checkpoint = BlobKey::Checkpoint { training_id: frozen.job_id, attempt: 1, sequence: 1 };
    let error = JobError { slug: "x".into(), detail: "y".into() };
    let model = new_model("m", json!({}));
    let refused = [
        trainings::heartbeat(db, &frozen, now).await.map(drop),
        trainings::record(db, &frozen, &Progress::default(), &[], &[], &[]).await,
        trainings::set_checkpoint(db, &frozen, &checkpoint).await,
        trainings::release(db, &frozen, now).await,
        trainings::finish_failed(db, &frozen, &error, &[], now).await,
        trainings::finish_cancelled(db, &frozen, now).await,
        models::commit(db, &frozen, &model, None, &[], now).await.map(drop),
        // The token is the owner and the claim: either alone is not enough.
        trainings::heartbeat(db, &Lease { attempt: 2, ..frozen }, now).await.map(drop),
        trainings::heartbeat(db, &Lease { owner: owner.owner, ..frozen }, now).await.map(drop),
    ];
    for (n, result) in refused.into_iter().enumerate() {
        assert!(matches!(result, Err(StorageError::LeaseLost)), "write {n}: {result:?}");
    }
    assert_eq!(models::get(db, model.model_id).await.unwrap(), None, "nothing of a refused commit stays");
    assert!(!trainings::heartbeat(db, &owner, now).await.unwrap(), "the new owner is not disturbed");
}

async fn cancelling_depends_on_where_the_training_stands(store: Store) {
    let db = &store.db;
    let now = start_time() + seconds(1);
    assert_eq!(trainings::request_cancel(db, TrainingId::new(), now).await.unwrap(), None);

    trainings::enqueue(db, new_training("m"), 10, start_time()).await.unwrap();
    let lease = claim(&store).await.unwrap().lease;
    let requested = trainings::request_cancel(db, lease.job_id, now).await.unwrap();
    assert!(matches!(requested, Some(Cancellation::Requested(_))), "{requested:?}");
    assert!(trainings::heartbeat(db, &lease, now + seconds(30)).await.unwrap(), "the worker is told");
    let model = new_model("m", json!({}));
    let committed = models::commit(db, &lease, &model, None, &[], now).await.unwrap();
    assert_eq!(committed, Committed::CancelRequested, "a cancelled training never succeeds");
    trainings::finish_cancelled(db, &lease, now).await.unwrap();
    let again = trainings::request_cancel(db, lease.job_id, now).await.unwrap();
    let Some(Cancellation::AlreadyFinished(training)) = again else { panic!("{again:?}") };
    assert_eq!(training.status, JobStatus::Cancelled);

    // Asked to stop while its worker is dead: there is nobody to wait for.
    trainings::enqueue(db, new_training("m"), 10, start_time()).await.unwrap();
    let dead = claim(&store).await.unwrap().lease;
    let done = trainings::request_cancel(db, dead.job_id, start_time() + minutes(5)).await.unwrap();
    assert!(matches!(done, Some(Cancellation::Done(_))), "{done:?}");

    // Asked to stop, and then the worker dies.
    trainings::enqueue(db, new_training("m"), 10, start_time()).await.unwrap();
    let dying = claim(&store).await.unwrap().lease;
    trainings::request_cancel(db, dying.job_id, now).await.unwrap();
    let later = start_time() + minutes(5);
    assert!(claim_at(&store, later).await.is_none(), "nobody starts it again");
    assert_eq!(trainings::expire(db, later, 3).await.unwrap(), [dying.job_id]);
    let ended = trainings::get(db, dying.job_id).await.unwrap().unwrap();
    assert_eq!(ended.status, JobStatus::Cancelled);
}

async fn three_crashes_without_progress_fail_a_training(store: Store) {
    let db = &store.db;
    let job = trainings::enqueue(db, new_training("m"), 10, start_time()).await.unwrap();
    let innocent = trainings::enqueue(db, new_training("m"), 10, start_time() + seconds(1)).await.unwrap();
    let mut now = start_time();
    let mut claims = 0;
    loop {
        let ended = trainings::expire(db, now, 3).await.unwrap();
        if ended == [job.training_id] {
            break;
        }
        let claimed = claim_at(&store, now).await.unwrap();
        assert_eq!(claimed.lease.job_id, job.training_id);
        claims += 1;
        if claims == 2 {
            // It gets further: earlier crashes are forgotten.
            let key = BlobKey::Checkpoint { training_id: job.training_id, attempt: 2, sequence: 1 };
            trainings::set_checkpoint(db, &claimed.lease, &key).await.unwrap();
        }
        now += seconds(31); // its worker dies
    }
    assert_eq!(claims, 4, "one crash, then three without a new checkpoint");
    let failed = trainings::get(db, job.training_id).await.unwrap().unwrap();
    assert_eq!(failed.status, JobStatus::Failed);
    assert_eq!(failed.error.unwrap().slug, "job-crashed-worker");
    assert_eq!(failed.checkpoint, None, "its checkpoint is for the sweep");
    assert_eq!(claim_at(&store, now).await.unwrap().lease.job_id, innocent.training_id, "the queue goes on");
}

async fn a_released_training_is_taken_again_without_a_crash(store: Store) {
    let db = &store.db;
    trainings::enqueue(db, new_training("m"), 10, start_time()).await.unwrap();
    let first = claim(&store).await.unwrap().lease;
    let key = BlobKey::Checkpoint { training_id: first.job_id, attempt: 1, sequence: 1 };
    trainings::set_checkpoint(db, &first, &key).await.unwrap();
    trainings::release(db, &first, start_time()).await.unwrap();
    assert!(matches!(
        trainings::heartbeat(db, &first, start_time() + seconds(30)).await,
        Err(StorageError::LeaseLost)
    ));
    let second = claim(&store).await.unwrap();
    assert_eq!((second.training.crashes, second.training.attempt), (0, 2));
    assert_eq!(second.training.checkpoint, Some(key), "it can be resumed");
    assert_eq!(trainings::checkpoints(db).await.unwrap(), [key]);

    trainings::request_cancel(db, first.job_id, start_time()).await.unwrap();
    trainings::release(db, &second.lease, start_time()).await.unwrap();
    let ended = trainings::get(db, first.job_id).await.unwrap().unwrap();
    assert_eq!((ended.status, ended.checkpoint), (JobStatus::Cancelled, None));
}

async fn many_workers_never_share_a_training(store: Store) {
    const N_JOBS: usize = 60;
    for _ in 0..N_JOBS {
        trainings::enqueue(&store.db, new_training("m"), 100, start_time()).await.unwrap();
    }
    let workers = (0..8).map(|_| {
        let db = store.db.clone();
        tokio::spawn(async move {
            let owner = Uuid::now_v7();
            let mut done = Vec::new();
            while let Some(claimed) =
                trainings::claim(&db, owner, start_time(), seconds(30), 3).await.unwrap()
            {
                let model = new_model("shared", json!({"n": 1}));
                let committed =
                    models::commit(&db, &claimed.lease, &model, None, &[], start_time()).await.unwrap();
                let Committed::Stored(model) = committed else { panic!("{committed:?}") };
                done.push((claimed.lease.job_id, model.version));
            }
            done
        })
    });
    let mut done = Vec::new();
    for worker in workers.collect::<Vec<_>>() {
        done.extend(worker.await.unwrap());
    }
    let trainings: HashSet<_> = done.iter().map(|(training_id, _)| training_id).collect();
    let versions: HashSet<_> = done.iter().map(|(_, version)| *version).collect();
    assert_eq!((done.len(), trainings.len()), (N_JOBS, N_JOBS), "each exactly once");
    assert_eq!(versions, (1..=N_JOBS as i64).collect(), "and each version exactly once");
}

async fn a_commit_whose_answer_got_lost_is_recognised(store: Store) {
    let db = &store.db;
    trainings::enqueue(db, new_training("m"), 10, start_time()).await.unwrap();
    let lease = claim(&store).await.unwrap().lease;
    let model = new_model("m", json!({"rmse": 1.0}));
    let first = models::commit(db, &lease, &model, None, &[], start_time()).await.unwrap();
    let again = models::commit(db, &lease, &model, None, &[], start_time() + seconds(5)).await.unwrap();
    assert_eq!(first, again);
    let other = new_model("m", json!({}));
    let error = models::commit(db, &lease, &other, None, &[], start_time()).await.unwrap_err();
    assert!(matches!(error, StorageError::LeaseLost), "a training gives one model: {error}");
}

/// Trains a model of this name.
async fn train(store: &Store, name: &str, metrics: serde_json::Value) -> taqicfd::storage::ModelRecord {
    trainings::enqueue(&store.db, new_training(name), 1000, start_time()).await.unwrap();
    let lease = claim(store).await.unwrap().lease;
    let model = new_model(name, metrics);
    match models::commit(&store.db, &lease, &model, None, &[], start_time()).await.unwrap() {
        Committed::Stored(model) => *model,
        Committed::CancelRequested => unreachable!("nobody asked"),
    }
}

async fn versions_count_up_and_are_never_reused(store: Store) {
    let db = &store.db;
    let one = train(&store, "polar", json!({})).await;
    let two = train(&store, "polar", json!({})).await;
    assert_eq!((one.version, two.version), (1, 2));
    let resolve = async |name| models::resolve(db, name).await.unwrap().map(|model| model.model_id);
    assert_eq!(resolve("polar").await, Some(two.model_id));
    assert_eq!(resolve("POLAR/1").await, Some(one.model_id));
    assert_eq!(resolve("polar/3").await, None);
    assert_eq!(resolve("other").await, None);
    assert_eq!(models::newest(db).await.unwrap().unwrap().model_id, two.model_id);

    assert_eq!(models::delete(db, two.model_id).await.unwrap().as_ref(), Some(&two));
    assert_eq!(models::delete(db, two.model_id).await.unwrap(), None);
    assert_eq!(resolve("polar").await, Some(one.model_id));
    let three = train(&store, "polar", json!({})).await;
    assert_eq!(three.version, 3, "version 2 was another model");

    models::set_status(db, three.model_id, ModelStatus::Corrupt).await.unwrap();
    let statuses: BTreeMap<ModelId, ModelStatus> = models::statuses(db).await.unwrap().into_iter().collect();
    let expected = [(one.model_id, ModelStatus::Ready), (three.model_id, ModelStatus::Corrupt)];
    assert_eq!(statuses, BTreeMap::from(expected));
}

async fn an_imported_model_is_the_next_version_and_has_no_training(store: Store) {
    let db = &store.db;
    let trained = train(&store, "polar", json!({"rmse": 0.5})).await;
    let mut model = new_model("polar", json!({"rmse": 0.25}));
    model.sha256 = "cd".repeat(32);
    let import = async |model| models::import(db, model, start_time()).await;
    let models::Imported::Stored(imported) = import(&model).await.unwrap() else {
        panic!("it was not there before");
    };
    let imported = *imported;
    let again = models::NewModel { model_id: ModelId::new(), ..model.clone() };
    assert_eq!(import(&again).await.unwrap(), models::Imported::Known(Box::new(imported.clone())));
    assert_eq!((imported.version, imported.is_imported(), trained.is_imported()), (2, true, false));
    assert_eq!(models::get(db, model.model_id).await.unwrap().as_ref(), Some(&imported));
    assert_eq!(models::card(db, model.model_id).await.unwrap(), Some(model.card.clone()));
    let filter = ModelFilter { tag: Some("campaign".into()), ..ModelFilter::default() };
    let best = models::list(db, &filter, &"metrics.rmse".parse().unwrap(), &Page::first(1)).await.unwrap();
    assert_eq!(best.items, [imported.clone()], "its scores and tags are searched too");
    let same = async |name, sha256| models::find_same(db, name, sha256).await.unwrap();
    assert_eq!(same("POLAR", &model.sha256).await.as_ref(), Some(&imported));
    assert_eq!(same("polar", &trained.sha256).await.as_ref(), Some(&trained));
    assert_eq!(same("other", &model.sha256).await, None);
    let other = new_model("Polar", json!({}));
    match import(&other).await {
        Err(StorageError::NameInUse { name }) => assert_eq!(name, "polar"),
        outcome => panic!("{outcome:?}"),
    }
}

async fn names_differ_by_more_than_case(store: Store) {
    let db = &store.db;
    let polar = train(&store, "Pressão", json!({})).await;
    let other = train(&store, "other", json!({})).await;
    let decomposed = "pressa\u{303}o";
    assert_eq!(models::other_spelling(db, decomposed).await.unwrap().as_deref(), Some("Pressão"));
    assert_eq!(models::other_spelling(db, "Pressão").await.unwrap(), None, "another version is welcome");

    let rename = |name: &str| ModelPatch { model_name: Some(name.into()), ..ModelPatch::default() };
    let error = models::patch(db, other.model_id, &rename(decomposed), |_| true).await.unwrap_err();
    assert!(matches!(&error, StorageError::NameInUse { name } if name == "Pressão"), "{error}");
    let patch = ModelPatch {
        model_name: Some("novo".into()),
        tags: Some(BTreeMap::from([("campaign".into(), "B".into())])),
        description: Some("renamed".into()),
    };
    let renamed = models::patch(db, other.model_id, &patch, |_| true).await.unwrap().unwrap();
    assert_eq!((renamed.model_name.as_str(), renamed.version), ("novo", 1));
    assert_eq!(models::get(db, other.model_id).await.unwrap().as_ref(), Some(&renamed));
    let tagged =
        ModelFilter { tag: Some("campaign".into()), tag_value: Some("B".into()), ..ModelFilter::default() };
    let found = models::list(db, &tagged, &ModelSort::default(), &Page::first(10)).await.unwrap().items;
    assert_eq!(found, [renamed]);
    let error =
        models::patch(db, other.model_id, &patch, |model| model.model_name == "other").await.unwrap_err();
    assert!(matches!(error, StorageError::Changed), "{error}");
    let third = train(&store, "NOVO", json!({})).await;
    assert_eq!((third.model_name.as_str(), third.version), ("novo", 2), "a name has one spelling");
    assert_eq!(models::other_spelling(db, "novo").await.unwrap(), None);
    models::delete(db, third.model_id).await.unwrap();
    let respelt = models::patch(db, polar.model_id, &rename(decomposed), |_| true).await.unwrap().unwrap();
    assert_eq!((respelt.model_name.as_str(), respelt.version), (decomposed, 1));
    assert_eq!(models::patch(db, ModelId::new(), &patch, |_| true).await.unwrap(), None);
}

async fn an_alias_names_one_version_and_moves(store: Store) {
    let db = &store.db;
    let one = train(&store, "polar", json!({})).await;
    let two = train(&store, "polar", json!({})).await;
    let other = train(&store, "other", json!({})).await;
    let resolve = async |name| models::resolve(db, name).await.unwrap().map(|model| model.model_id);
    let set = async |model_id, alias| models::set_alias(db, model_id, alias, start_time()).await.unwrap();
    assert_eq!(set(ModelId::new(), "champion").await, None);
    assert_eq!(set(one.model_id, "Champion").await.unwrap().aliases, ["Champion"]);
    set(one.model_id, "b").await;
    assert_eq!(set(one.model_id, "a").await.unwrap().aliases, ["a", "b", "Champion"]);
    assert_eq!(
        set(other.model_id, "champion").await.unwrap().aliases,
        ["champion"],
        "names do not share aliases"
    );
    assert_eq!(resolve("POLAR@champion").await, Some(one.model_id));
    assert_eq!((resolve("polar@none").await, resolve("none@champion").await), (None, None));

    // It moves, and a newer version does not take it.
    assert_eq!(set(two.model_id, "champion").await.unwrap().aliases, ["champion"]);
    train(&store, "polar", json!({})).await;
    assert_eq!(resolve("polar@Champion").await, Some(two.model_id));
    assert_eq!(models::get(db, one.model_id).await.unwrap().unwrap().aliases, ["a", "b"]);
    let named = ModelFilter { alias: Some("CHAMPION".into()), ..ModelFilter::default() };
    let found = models::list(db, &named, &ModelSort::default(), &Page::first(10)).await.unwrap().items;
    assert_eq!(found.iter().map(|model| model.model_id).collect::<Vec<_>>(), [other.model_id, two.model_id]);

    // Not under its alias.
    let error = models::delete(db, one.model_id).await.unwrap_err();
    assert!(matches!(&error, StorageError::HasAliases { aliases } if *aliases == ["a", "b"]), "{error}");
    assert!(models::remove_alias(db, one.model_id, "A").await.unwrap());
    assert!(!models::remove_alias(db, one.model_id, "a").await.unwrap());
    assert!(!models::remove_alias(db, one.model_id, "champion").await.unwrap(), "another version has it");
    assert!(models::remove_alias(db, one.model_id, "b").await.unwrap());
    assert!(models::delete(db, one.model_id).await.unwrap().is_some());
    assert_eq!(models::delete(db, one.model_id).await.unwrap(), None);

    // It goes with a model that gets another name.
    let rename = ModelPatch { model_name: Some("novo".into()), ..ModelPatch::default() };
    let renamed = models::patch(db, other.model_id, &rename, |_| true).await.unwrap().unwrap();
    assert_eq!(renamed.aliases, ["champion"]);
    assert_eq!(
        (resolve("novo@champion").await, resolve("other@champion").await),
        (Some(other.model_id), None)
    );
}

async fn models_are_filtered_sorted_and_paged(store: Store) {
    let db = &store.db;
    let third = 1.0 / 3.0; // no short decimal: a cursor must not round it
    let metrics =
        [json!({"rmse": third}), json!({}), json!({"rmse": 0.2}), json!({"rmse": third}), json!({"rmse": 9})];
    let mut trained = Vec::new();
    for (name, metrics) in ["b", "a", "c", "a", "b"].into_iter().zip(metrics) {
        trained.push(train(&store, name, metrics).await.model_id);
    }
    let list = async |filter: &ModelFilter, sort: &str| {
        let sort: ModelSort = sort.parse().unwrap();
        let mut found = Vec::new();
        let mut page = Page::first(2);
        loop {
            let slice = models::list(db, filter, &sort, &page).await.unwrap();
            found.extend(
                slice
                    .items
                    .iter()
                    .map(|model| trained.iter().position(|model_id| *model_id == model.model_id).unwrap()),
            );
            match slice.next_cursor {
                Some(next) => page = Page::after(next, 2),
                None => return found,
            }
        }
    };
    let all = ModelFilter::default();
    for (sort, expected) in [
        ("created_at", [0, 1, 2, 3, 4]), // one time for all: the id decides
        ("-created_at", [4, 3, 2, 1, 0]),
        ("model_name", [1, 3, 0, 4, 2]),
        ("-model_name", [2, 4, 0, 3, 1]),
        ("metrics.rmse", [2, 0, 3, 4, 1]), // those without come last
        ("-metrics.rmse", [4, 3, 0, 2, 1]),
    ] {
        assert_eq!(list(&all, sort).await, expected, "{sort}");
    }
    let of = |name: &str| ModelFilter { model_name: Some(name.into()), ..ModelFilter::default() };
    assert_eq!(list(&of("A"), "created_at").await, [1, 3]);
    let tagged = |value: &str| ModelFilter {
        tag: Some("campaign".into()),
        tag_value: Some(value.into()),
        ..ModelFilter::default()
    };
    assert_eq!(list(&tagged("A"), "created_at").await.len(), 5);
    assert!(list(&tagged("B"), "created_at").await.is_empty());
    let task = |task: &str| ModelFilter { task: Some(task.into()), ..ModelFilter::default() };
    assert_eq!(list(&task("regression"), "created_at").await.len(), 5);
    assert!(list(&task("classification"), "created_at").await.is_empty());
    let bounded = |at_least: Option<f64>, at_most: Option<f64>| ModelFilter {
        metric: Some("rmse".into()),
        at_least,
        at_most,
        ..ModelFilter::default()
    };
    assert_eq!(list(&bounded(None, None), "created_at").await, [0, 2, 3, 4], "those that have it");
    assert_eq!(list(&bounded(None, Some(third)), "created_at").await, [0, 2, 3]);
    assert_eq!(list(&bounded(Some(third), Some(1.0)), "created_at").await, [0, 3]);
    let elsewhere = ModelFilter { dataset_id: Some(DatasetId::new()), ..ModelFilter::default() };
    assert!(list(&elsewhere, "created_at").await.is_empty());

    let by_age = models::list(db, &all, &ModelSort::default(), &Page::first(2)).await.unwrap();
    let foreign = Page::after(by_age.next_cursor.unwrap(), 2);
    let error = models::list(db, &all, &"model_name".parse().unwrap(), &foreign).await.unwrap_err();
    assert!(matches!(error, StorageError::InvalidCursor), "a cursor belongs to one order: {error}");
}

async fn events_are_listed_newest_first(store: Store) {
    let db = &store.db;
    for (n, action) in ["upload", "train", "download", "delete"].into_iter().enumerate() {
        let event = NewEvent {
            actor: "anonymous",
            action,
            object_kind: if action == "upload" { "dataset" } else { "model" },
            object_id: format!("object-{}", n % 2),
            request_id: Some("r-1"),
            details: json!({"n": n}),
        };
        events::append(db, event, start_time() + seconds(n as i64)).await.unwrap();
    }
    let first = events::list(db, &EventFilter::default(), &Page::first(3)).await.unwrap();
    let actions: Vec<_> = first.items.iter().map(|event| event.action.as_str()).collect();
    assert_eq!(actions, ["delete", "download", "train"]);
    assert_eq!(first.items[0].details, json!({"n": 3}));
    let rest =
        events::list(db, &EventFilter::default(), &Page::after(first.next_cursor.unwrap(), 3)).await.unwrap();
    assert_eq!((rest.items.len(), rest.next_cursor), (1, None));
    let none = EventFilter::default();
    for (filter, expected) in [
        (EventFilter { action: Some("upload".into()), ..none.clone() }, 1),
        (EventFilter { object_kind: Some("model".into()), ..none.clone() }, 3),
        (EventFilter { object_id: Some("object-1".into()), ..none.clone() }, 2),
        (EventFilter { actor: Some("somebody".into()), ..none.clone() }, 0),
        (
            EventFilter {
                since: Some(start_time() + seconds(1)),
                until: Some(start_time() + seconds(3)),
                ..none
            },
            2,
        ),
    ] {
        let found = events::list(db, &filter, &Page::first(10)).await.unwrap();
        assert_eq!(found.items.len(), expected, "{filter:?}");
    }
}

async fn an_idempotency_key_is_used_once(store: Store) {
    let db = &store.db;
    let response = StoredResponse { status: 201, location: Some("/datasets/1".into()), body: "{}".into() };
    let begin = async |key: &'static str, body: &'static str, at| {
        idempotency::begin(db, "POST /upload", key, body, start_time() + at).await.unwrap()
    };
    let taken = async |key: &'static str, body: &'static str, at| match begin(key, body, at).await {
        Begun::New(held) => held,
        other => panic!("{key} is not free: {other:?}"),
    };
    let held = taken("k", "body", seconds(0)).await;
    assert_eq!(begin("k", "body", seconds(1)).await, Begun::InProgress);
    assert_eq!(begin("k", "other body", seconds(1)).await, Begun::Mismatch);
    assert!(idempotency::complete(db, &held, &response).await.unwrap());
    assert!(!idempotency::complete(db, &held, &response).await.unwrap(), "it is bound to the first answer");
    assert_eq!(begin("k", "body", minutes(60)).await, Begun::Replay(response.clone()));
    assert_eq!(begin("k", "other body", minutes(60)).await, Begun::Mismatch);
    let elsewhere = idempotency::begin(db, "POST /train", "k", "body", start_time()).await.unwrap();
    assert!(matches!(elsewhere, Begun::New(_)), "a key belongs to a route");
    taken("k", "other body", minutes(25 * 60)).await; // a day later it is forgotten

    let first = taken("given up", "body", seconds(0)).await;
    idempotency::abandon(db, &first).await.unwrap();
    let second = taken("given up", "body", seconds(1)).await;
    let third = taken("given up", "body", minutes(11)).await; // the process of the second is dead
    // Or only slow: what it says of the key says nothing any more.
    assert!(!idempotency::complete(db, &second, &response).await.unwrap());
    idempotency::abandon(db, &second).await.unwrap();
    assert_eq!(begin("given up", "body", minutes(12)).await, Begun::InProgress);
    assert!(idempotency::complete(db, &third, &response).await.unwrap());
    let much_later = start_time() + minutes(60 * 24 * 3);
    assert_eq!(idempotency::remove_expired(db, much_later).await.unwrap(), 3);

    taken("open", "body", seconds(0)).await;
    assert_eq!(begin("open", "body", seconds(1)).await, Begun::InProgress);
    idempotency::abandon_all(db).await.unwrap();
    taken("open", "body", seconds(1)).await; // the only process has just begun
}

async fn a_reading_ends_once(store: Store) {
    let (db, reading_id) = (&store.db, ReadingId::new());
    readings::insert(db, reading_id, "a.csv", 12, start_time()).await.unwrap();
    let queued = readings::get(db, reading_id).await.unwrap().unwrap();
    assert_eq!((queued.status, queued.started_at), (ReadingStatus::Queued, None));
    readings::progress(db, reading_id, None, 0.0, 0, start_time() + seconds(1)).await.unwrap();
    assert_eq!(readings::get(db, reading_id).await.unwrap().unwrap().status, ReadingStatus::Queued);
    readings::progress(db, reading_id, Some("reading"), 0.5, 7, start_time() + seconds(2)).await.unwrap();
    let reading = readings::get(db, reading_id).await.unwrap().unwrap();
    assert_eq!((reading.status, reading.rows_read, reading.progress), (ReadingStatus::Reading, 7, 0.5));
    assert_eq!(reading.started_at, Some(start_time() + seconds(2)));
    assert_eq!(readings::count_open(db, start_time()).await.unwrap(), 1);
    assert_eq!(readings::count_open(db, start_time() + seconds(3)).await.unwrap(), 0, "its server is dead");
    let dataset_id = DatasetId::new();
    let end = ReadingEnd::Stored(dataset_id, 9);
    readings::finish(db, reading_id, end, start_time() + seconds(3)).await.unwrap();
    let refusal = ReadingEnd::Refused(json!({"detail": "late"}));
    readings::finish(db, reading_id, refusal, start_time() + seconds(4)).await.unwrap();
    readings::progress(db, reading_id, Some("storing"), 0.9, 9, start_time() + seconds(5)).await.unwrap();
    let stored = readings::get(db, reading_id).await.unwrap().unwrap();
    assert_eq!(
        (stored.status, stored.dataset_id, stored.problem),
        (ReadingStatus::Stored, Some(dataset_id), None)
    );
    assert_eq!(
        (stored.rows_read, stored.progress, stored.finished_at),
        (9, 1.0, Some(start_time() + seconds(3)))
    );
    assert_eq!(readings::remove_old(db, start_time()).await.unwrap(), 0);
    assert_eq!(readings::remove_old(db, start_time() + seconds(1)).await.unwrap(), 1);
}

async fn a_reading_whose_server_is_gone_ends(store: Store) {
    let db = &store.db;
    let (lost, alive) = (ReadingId::new(), ReadingId::new());
    readings::insert(db, lost, "a.csv", 1, start_time()).await.unwrap();
    readings::insert(db, alive, "b.csv", 1, start_time()).await.unwrap();
    readings::progress(db, alive, Some("reading"), 0.1, 1, start_time() + minutes(2)).await.unwrap();
    let problem = json!({"detail": "gone"});
    let now = start_time() + minutes(2);
    let n = readings::end_lost(db, start_time() + minutes(1), problem.clone(), now).await.unwrap();
    assert_eq!(n, 1);
    let ended = readings::get(db, lost).await.unwrap().unwrap();
    assert_eq!(
        (ended.status, ended.problem, ended.finished_at),
        (ReadingStatus::Refused, Some(problem), Some(now))
    );
    assert_eq!(readings::get(db, alive).await.unwrap().unwrap().status, ReadingStatus::Reading);
}

async fn migrations_are_repeatable_and_a_newer_schema_is_refused(store: Store) {
    store.db.migrate().await.unwrap();
    store.db.check().await.unwrap();
    store.add_future_migration().await;
    let error = store.connect_again().await.unwrap_err();
    assert!(matches!(error, StorageError::NewerSchema { found: 9999, known: 6 }), "{error}");
    assert!(!error.to_string().contains('\n'), "one clear line: {error}");
    let error = store.db.migrate().await.unwrap_err();
    assert!(matches!(error, StorageError::NewerSchema { .. }), "{error}");
}

async fn processes_that_start_together_migrate_once(store: Store) {
    let Some(url) = store.another_database().await else { return };
    let options = taqicfd::storage::ConnectOptions::default();
    let starts = (0..6).map(|_| async {
        let db = taqicfd::storage::Db::connect(&url, &options).await?;
        db.migrate().await?;
        datasets::newest(&db).await
    });
    for started in futures::future::join_all(starts).await {
        assert_eq!(started.unwrap(), None);
    }
}

#[tokio::test]
async fn unusable_urls_are_explained_without_their_passwords() {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("file");
    std::fs::write(&file, b"this is not a database").unwrap();
    let quick = taqicfd::storage::ConnectOptions {
        retry_for: std::time::Duration::from_millis(300),
        ..taqicfd::storage::ConnectOptions::default()
    };
    for (url, expected) in [
        ("mysql://root:hidden@host/db".to_owned(), "mysql"),
        ("sqlite::memory:".to_owned(), "in memory"),
        (format!("sqlite://{}", file.display()), "file"),
        (format!("sqlite://{}/db", file.display()), "cannot be opened"),
        ("postgres://user:hidden@127.0.0.1:1/db".to_owned(), "127.0.0.1:1"),
        ("postgres://user:hidden@host:port/db".to_owned(), "percent-encoded"),
    ] {
        let error = taqicfd::storage::Db::connect(&url, &quick).await.unwrap_err().to_string();
        assert!(error.contains(expected), "{url}: {error}");
        assert!(!error.contains("hidden") && !error.contains('\n'), "{url}: {error}");
    }
}
