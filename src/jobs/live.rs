//! Wakes whoever waits for something in this process. Nothing is told but "look again": the rows
//! are the truth, and listeners in other processes look at them every second.

use crate::id::TrainingId;
use std::{
    collections::HashMap,
    sync::{Arc, Mutex, MutexGuard},
    time::Duration,
};
use tokio::sync::{Notify, watch};

/// The registry of who waits for what.
#[derive(Debug, Clone, Default)]
pub struct Live(Arc<Registry>);

#[derive(Debug, Default)]
struct Registry {
    /// Those who follow a training.
    followed: Mutex<HashMap<TrainingId, watch::Sender<()>>>,
    /// The trainings that run in this process.
    running: Mutex<HashMap<TrainingId, Arc<Notify>>>,
    /// Idle workers.
    queued: Notify,
}

impl Live {
    /// Follows a training. Subscribe first, then read the rows, then wait: nothing is missed.
    pub fn subscribe(&self, training_id: TrainingId) -> Listener {
        let receiver = lock(&self.0.followed).entry(training_id).or_default().subscribe();
        Listener { live: self.clone(), training_id, receiver }
    }

    /// Tells those who follow a training that its rows have changed.
    pub fn wake(&self, training_id: TrainingId) {
        if let Some(sender) = lock(&self.0.followed).get(&training_id) {
            sender.send_replace(());
        }
    }

    /// Tells an idle worker that a training was queued.
    pub fn wake_worker(&self) {
        self.0.queued.notify_one();
    }

    /// Tells the training, if it runs in this process, that it was asked to stop; it would find
    /// out by its next heartbeat.
    pub fn nudge(&self, training_id: TrainingId) {
        if let Some(nudged) = lock(&self.0.running).get(&training_id) {
            nudged.notify_one();
        }
    }

    /// Waits until a training was queued in this process, or for `at_most`.
    pub(super) async fn queued(&self, at_most: Duration) {
        drop(tokio::time::timeout(at_most, self.0.queued.notified()).await);
    }

    /// Registers a training that runs in this process, until the guard is dropped.
    pub(super) fn runs(&self, training_id: TrainingId) -> Running {
        let nudged = Arc::new(Notify::new());
        lock(&self.0.running).insert(training_id, nudged.clone());
        Running { live: self.clone(), training_id, nudged }
    }
}

/// Nothing that holds one of these locks can panic, so a poisoned one is as good as any.
pub(super) fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(std::sync::PoisonError::into_inner)
}

/// Follows one training.
#[derive(Debug)]
pub struct Listener {
    live: Live,
    training_id: TrainingId,
    receiver: watch::Receiver<()>,
}

impl Listener {
    /// Waits until the rows have changed since the last call (or since the subscription), or for
    /// `at_most`: other processes cannot wake this one.
    pub async fn changed(&mut self, at_most: Duration) {
        drop(tokio::time::timeout(at_most, self.receiver.changed()).await);
    }
}

impl Drop for Listener {
    fn drop(&mut self) {
        let mut followed = lock(&self.live.0.followed);
        // This receiver still counts.
        if followed.get(&self.training_id).is_some_and(|sender| sender.receiver_count() <= 1) {
            followed.remove(&self.training_id);
        }
    }
}

/// A training that runs in this process.
#[derive(Debug)]
pub(super) struct Running {
    live: Live,
    training_id: TrainingId,
    nudged: Arc<Notify>,
}

impl Running {
    /// Waits for [`Live::nudge`].
    pub(super) async fn nudged(&self) {
        self.nudged.notified().await;
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        let mut running = lock(&self.live.0.running);
        // After a lost lease the same training may run here again, under another entry.
        if running.get(&self.training_id).is_some_and(|entry| Arc::ptr_eq(entry, &self.nudged)) {
            running.remove(&self.training_id);
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
        let live = Live::default();
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
        let live = Live::default();
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
        let live = Live::default();
        live.wake_worker();
        let start = Instant::now();
        live.queued(LONG).await;
        assert!(start.elapsed() < LONG);
    }
}
