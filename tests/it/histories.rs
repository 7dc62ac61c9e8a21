//! Random histories of trainings: whatever workers, callers and the clock do, in whatever order,
//! the promises hold.

use crate::storage_support::{Store, new_model, new_training, seconds, start_time};
use proptest::{collection::vec, prelude::*};
use std::collections::HashMap;
use taqicfd::{
    id::TrainingId,
    storage::{
        BlobKey, Committed, JobError, JobStatus, Lease, Result, StorageError, datasets, models, trainings,
    },
};
use uuid::Uuid;

#[derive(Debug, Clone)]
enum Step {
    Enqueue,
    Claim,
    /// What the holder of the n-th lease ever given does; it may have lost it long ago.
    Heartbeat(usize),
    Checkpoint(usize),
    Release(usize),
    Fail(usize),
    Commit(usize),
    /// Somebody asks the n-th training to stop.
    Cancel(usize),
    Expire,
    /// Time passes, in seconds; a lease lasts 30.
    Wait(i64),
}

fn step() -> impl Strategy<Value = Step> {
    prop_oneof![
        2 => Just(Step::Enqueue),
        4 => Just(Step::Claim),
        3 => any::<usize>().prop_map(Step::Heartbeat),
        2 => any::<usize>().prop_map(Step::Checkpoint),
        1 => any::<usize>().prop_map(Step::Release),
        1 => any::<usize>().prop_map(Step::Fail),
        2 => any::<usize>().prop_map(Step::Commit),
        1 => any::<usize>().prop_map(Step::Cancel),
        1 => Just(Step::Expire),
        3 => (1_i64..40).prop_map(Step::Wait),
    ]
}

/// What is known about a training from the answers that were given.
#[derive(Default)]
struct Known {
    holder: Option<Lease>,
    ended: Option<JobStatus>,
    cancel_requested: bool,
}

#[expect(clippy::too_many_lines, reason = "one arm for each kind of step")]
async fn play(store: &Store, steps: &[Step]) {
    let db = &store.db;
    let mut now = start_time();
    let mut queued: Vec<TrainingId> = Vec::new();
    let mut leases: Vec<Lease> = Vec::new();
    let mut known: HashMap<TrainingId, Known> = HashMap::new();
    for step in steps {
        let lease = |n: usize| (!leases.is_empty()).then(|| leases[n % leases.len()]);
        // (who wrote, what came of it, how the training ended by it)
        let mut write: Option<(Lease, Result<()>, Option<JobStatus>)> = None;
        match step {
            Step::Enqueue => {
                let training = trainings::enqueue(db, new_training("m"), 100, now).await.unwrap();
                queued.push(training.training_id);
                known.insert(training.training_id, Known::default());
            }
            Step::Claim => {
                if let Some(claimed) =
                    trainings::claim(db, Uuid::now_v7(), now, seconds(30), 3).await.unwrap()
                {
                    let training = known.get_mut(&claimed.lease.job_id).unwrap();
                    assert_eq!(training.ended, None, "an ended training was given out");
                    assert!(!training.cancel_requested, "a cancelled training was given out");
                    training.holder = Some(claimed.lease);
                    leases.push(claimed.lease);
                }
            }
            Step::Heartbeat(n) => {
                if let Some(lease) = lease(*n) {
                    let beat = trainings::heartbeat(db, &lease, now + seconds(30)).await;
                    if let Ok(cancel) = &beat {
                        assert_eq!(*cancel, known[&lease.job_id].cancel_requested);
                    }
                    write = Some((lease, beat.map(drop), None));
                }
            }
            Step::Checkpoint(n) => {
                if let Some(lease) = lease(*n) {
                    let Lease { job_id: training_id, attempt, .. } = lease;
                    let key = BlobKey::Checkpoint { training_id, attempt, sequence: 1 };
                    write = Some((lease, trainings::set_checkpoint(db, &lease, &key).await, None));
                }
            }
            Step::Release(n) => {
                if let Some(lease) = lease(*n) {
                    let released = trainings::release(db, &lease, now).await;
                    let training = known.get_mut(&lease.job_id).unwrap();
                    let ended = training.cancel_requested.then_some(JobStatus::Cancelled);
                    if released.is_ok() && ended.is_none() {
                        assert_eq!(training.holder.take(), Some(lease));
                    } else {
                        write = Some((lease, released, ended));
                    }
                }
            }
            Step::Fail(n) => {
                if let Some(lease) = lease(*n) {
                    let error = JobError { slug: "internal".into(), detail: "a fault".into() };
                    let failed = trainings::finish_failed(db, &lease, &error, &[], now).await;
                    write = Some((lease, failed, Some(JobStatus::Failed)));
                }
            }
            Step::Commit(n) => {
                if let Some(lease) = lease(*n) {
                    match models::commit(db, &lease, &new_model("m", serde_json::json!({})), None, &[], now)
                        .await
                    {
                        Ok(Committed::CancelRequested) => {
                            assert!(known[&lease.job_id].cancel_requested);
                            write = Some((lease, Ok(()), None));
                        }
                        Ok(Committed::Stored(_)) => {
                            assert!(!known[&lease.job_id].cancel_requested, "succeeded after a cancel");
                            write = Some((lease, Ok(()), Some(JobStatus::Succeeded)));
                        }
                        Err(error) => write = Some((lease, Err(error), None)),
                    }
                }
            }
            Step::Cancel(n) => {
                if !queued.is_empty() {
                    let training_id = queued[n % queued.len()];
                    trainings::request_cancel(db, training_id, now).await.unwrap().unwrap();
                    let training = known.get_mut(&training_id).unwrap();
                    training.cancel_requested |= training.ended.is_none();
                }
            }
            Step::Expire => drop(trainings::expire(db, now, 3).await.unwrap()),
            Step::Wait(n) => now += seconds(*n),
        }
        match write {
            Some((lease, Ok(()), ended)) => {
                let training = known.get_mut(&lease.job_id).unwrap();
                assert_eq!(training.holder, Some(lease), "a write without the lease was taken: {step:?}");
                assert_eq!(training.ended, None, "a training ended twice: {step:?}");
                training.ended = ended;
            }
            Some((_, Err(error), _)) => {
                assert!(matches!(error, StorageError::LeaseLost), "{step:?}: {error}");
            }
            None => {}
        }
        for (training_id, training) in &mut known {
            let row = trainings::get(db, *training_id).await.unwrap().expect("a training was lost");
            if let Some(ended) = training.ended {
                assert_eq!(row.status, ended, "an end was changed by {step:?}");
            } else if row.status.is_final() {
                training.ended = Some(row.status); // by a cancel, or by its crashes
            }
        }
    }
    let n_succeeded = known.values().filter(|training| training.ended == Some(JobStatus::Succeeded)).count();
    assert_eq!(models::statuses(db).await.unwrap().len(), n_succeeded, "one model for each success");
    assert_eq!(datasets::ids(db).await.unwrap(), []);
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 24, max_shrink_iters: 200, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn no_history_breaks_a_promise(steps in vec(step(), 1..60)) {
        let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(1).enable_all().build().unwrap();
        runtime.block_on(async {
            play(&Store::sqlite().await, &steps).await;
        });
    }
}
