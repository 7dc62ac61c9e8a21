//! The loop of a worker process: claim, run, again; until it is told to stop.

use super::{Jobs, Live, Trainer, live, run};
use crate::storage::{Claimed, Result, trainings};
use std::{sync::Arc, time::Duration};
use tokio::sync::Semaphore;
use tokio_util::{sync::CancellationToken, task::TaskTracker};
use uuid::Uuid;

/// Longest wait between two tries while the database does not answer.
const MAX_WAIT: Duration = Duration::from_secs(10);

/// Runs trainings, `settings.workers` at a time, until `stop` is cancelled. Then the running ones
/// store a checkpoint and go back to the queue, and this returns.
pub async fn run(jobs: Jobs, trainer: Trainer, stop: CancellationToken) {
    // Drawn at each start, and never a host name: two processes are two owners.
    let owner = Uuid::now_v7();
    let slots = Arc::new(Semaphore::new(jobs.settings.workers));
    let running = TaskTracker::new();
    tracing::info!(%owner, workers = jobs.settings.workers, "workers are ready");
    loop {
        let slot = tokio::select! {
            () = stop.cancelled() => break,
            slot = slots.clone().acquire_owned() => slot.expect("the semaphore is never closed"),
        };
        let claimed = next(&jobs.live, jobs.settings.poll, &stop, || claim(&jobs, owner)).await;
        let Some(claimed) = claimed else { break };
        let (jobs, trainer, stop) = (jobs.clone(), trainer.clone(), stop.clone());
        running.spawn(async move {
            Box::pin(run::run(&jobs, &trainer, claimed, &stop)).await;
            drop(slot);
        });
    }
    running.close();
    running.wait().await;
}

/// Waits for a job to claim, of any kind; `None` when it is time to stop.
///
/// Only the waiting is cut short. A claim that was dropped half-way could leave a job that nobody
/// works on, until its lease is over.
pub async fn next<Id: live::Key, Job, F>(
    live: &Live<Id>,
    poll: Duration,
    stop: &CancellationToken,
    claim: impl Fn() -> F,
) -> Option<Job>
where
    F: Future<Output = Result<Option<Job>>>,
{
    let mut wait = poll;
    while !stop.is_cancelled() {
        match claim().await {
            Ok(Some(job)) => return Some(job),
            Ok(None) => {
                wait = poll;
                stop.run_until_cancelled(live.queued(wait)).await;
            }
            Err(error) => {
                tracing::warn!(%error, "no job can be claimed, trying again");
                stop.run_until_cancelled(tokio::time::sleep(wait)).await;
                wait = (wait * 2).min(MAX_WAIT);
            }
        }
    }
    None
}

async fn claim(jobs: &Jobs, owner: Uuid) -> Result<Option<Claimed>> {
    let settings = &jobs.settings;
    let now = jobs.clock.now();
    for training_id in trainings::expire(&jobs.db, now, settings.max_crashes).await? {
        tracing::warn!(%training_id, "a training without a living worker has been ended");
        jobs.live.wake(training_id);
    }
    let lease = settings.lease_span();
    trainings::claim(&jobs.db, owner, now, lease, settings.max_crashes).await
}
