//! Wakes whoever waits for something in this process. Nothing is told but "look again": the rows
//! are the truth, and listeners in other processes look at them every second.

use crate::id::TrainingId;
use std::{
    collections::HashMap,
    fmt::Debug,
    hash::Hash,
    sync::{Arc, Mutex, MutexGuard},
    time::Duration,
};
use tokio::sync::{Notify, watch};

/// The registry of who waits for which job: a training, or another kind with identifiers of its own.
#[derive(Debug)]
pub struct Live<Id: Key = TrainingId>(Arc<Registry<Id>>);

/// What names a job.
pub trait Key: Copy + Eq + Hash + Debug {}

impl<Id: Copy + Eq + Hash + Debug> Key for Id {}

#[derive(Debug)]
struct Registry<Id> {
    /// Those who follow a job.
    followed: Mutex<HashMap<Id, watch::Sender<()>>>,
    /// The jobs that run in this process.
    running: Mutex<HashMap<Id, Arc<Notify>>>,
    /// Idle workers.
    queued: Notify,
}

impl<Id: Key> Default for Live<Id> {
    fn default() -> Self {
        Self(Arc::new(Registry {
            followed: Mutex::default(),
            running: Mutex::default(),
            queued: Notify::new(),
        }))
    }
}

impl<Id: Key> Clone for Live<Id> {
    fn clone(&self) -> Self {
        Self(self.0.clone())
    }
}

impl<Id: Key> Live<Id> {
    /// Follows a job. Subscribe first, then read the rows, then wait: nothing is missed.
    pub fn subscribe(&self, id: Id) -> Listener<Id> {
        let receiver = lock(&self.0.followed).entry(id).or_default().subscribe();
        Listener { live: self.clone(), id, receiver }
    }

    /// Tells those who follow a job that its rows have changed.
    pub fn wake(&self, id: Id) {
        if let Some(sender) = lock(&self.0.followed).get(&id) {
            sender.send_replace(());
        }
    }

    /// Tells an idle worker that a job was queued.
    pub fn wake_worker(&self) {
        self.0.queued.notify_one();
    }

    /// Tells the job, if it runs in this process, that it was asked to stop; it would find
    /// out by its next heartbeat.
    pub fn nudge(&self, id: Id) {
        if let Some(nudged) = lock(&self.0.running).get(&id) {
            nudged.notify_one();
        }
    }

    /// Waits until a job was queued in this process, or for `at_most`.
    pub async fn queued(&self, at_most: Duration) {
        drop(tokio::time::timeout(at_most, self.0.queued.notified()).await);
    }

    /// Registers a job that runs in this process, until the guard is dropped.
    pub fn runs(&self, id: Id) -> Running<Id> {
        let nudged = Arc::new(Notify::new());
        lock(&self.0.running).insert(id, nudged.clone());
        Running { live: self.clone(), id, nudged }
    }
}

/// Nothing that holds one of these locks can panic, so a poisoned one is as good as any.
pub(super) fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(std::sync::PoisonError::into_inner)
}

/// Follows one job.
#[derive(Debug)]
pub struct Listener<Id: Key = TrainingId> {
    live: Live<Id>,
    id: Id,
    receiver: watch::Receiver<()>,
}

impl<Id: Key> Listener<Id> {
    /// Waits until the rows have changed since the last call (or since the subscription), or for
    /// `at_most`: other processes cannot wake this one.
    pub async fn changed(&mut self, at_most: Duration) {
        drop(tokio::time::timeout(at_most, self.receiver.changed()).await);
    }
}

impl<Id: Key> Drop for Listener<Id> {
    fn drop(&mut self) {
        let mut followed = lock(&self.live.0.followed);
        // This receiver still counts.
        if followed.get(&self.id).is_some_and(|sender| sender.receiver_count() <= 1) {
            followed.remove(&self.id);
        }
    }
}

/// A job that runs in this process.
#[derive(Debug)]
pub struct Running<Id: Key = TrainingId> {
    live: Live<Id>,
    id: Id,
    nudged: Arc<Notify>,
}

impl<Id: Key> Running<Id> {
    /// Waits for [`Live::nudge`].
    pub async fn nudged(&self) {
        self.nudged.notified().await;
    }
}

impl<Id: Key> Drop for Running<Id> {
    fn drop(&mut self) {
        let mut running = lock(&self.live.0.running);
        // After a lost lease the same training may run here again, under another entry.
        if running.get(&self.id).is_some_and(|entry| Arc::ptr_eq(entry, &self.nudged)) {
            running.remove(&self.id);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use tokio::time::Instant;

    const LONG: Duration = Duration::from_secs(30);

    #[tokio::test]
    async fn a_change_between_reading_and_waiting_is_not_missed() {
        let live: Live = Live::default();
        let training_id = TrainingId::new();
        let mut listener = live.subscribe(training_id);
        live.wake(training_id);
        let start = Instant::now();
        listener.changed(LONG).await;
        assert!(start.elapsed() < LONG);
        listener.changed(Duration::from_millis(1)).await; // nothing new: the time ends it
    }

    #[tokio::test]
    async fn nothing_is_kept_for_listeners_that_left() {
        let live: Live = Live::default();
        let training_id = TrainingId::new();
        let (one, other) = (live.subscribe(training_id), live.subscribe(training_id));
        drop(one);
        assert_eq!(lock(&live.0.followed).len(), 1);
        drop(other);
        assert_eq!(lock(&live.0.followed).len(), 0);
        live.wake(training_id);

        let running = live.runs(training_id);
        let again = live.runs(training_id);
        drop(running);
        assert_eq!(lock(&live.0.running).len(), 1, "the second run is still there");
        drop(again);
        assert_eq!(lock(&live.0.running).len(), 0);
    }

    #[tokio::test]
    async fn a_queued_training_wakes_the_worker_that_comes_late() {
        let live: Live = Live::default();
        live.wake_worker();
        let start = Instant::now();
        live.queued(LONG).await;
        assert!(start.elapsed() < LONG);
    }
}
