//! Whether the models have changed in this process: what is remembered about their names is then looked up anew.

use std::sync::{
    Arc,
    atomic::{AtomicU64, Ordering},
};

/// Counts the changes: models that were added, renamed or deleted, and aliases that were moved.
#[derive(Debug, Clone, Default)]
pub struct Changes(Arc<Counts>);

#[derive(Debug, Default)]
struct Counts {
    begun: AtomicU64,
    ended: AtomicU64,
}

impl Changes {
    /// Announces a change before it is made. It has been made when the value that this returns is dropped.
    pub fn begin(&self) -> Changing {
        self.0.begun.fetch_add(1, Ordering::SeqCst);
        Changing(self.clone())
    }

    /// The number of changes so far; `None` while one is being made, when what is read may be old or new.
    pub fn settled(&self) -> Option<u64> {
        // In this order: a change that begins in between makes the two differ.
        let ended = self.0.ended.load(Ordering::SeqCst);
        (self.0.begun.load(Ordering::SeqCst) == ended).then_some(ended)
    }
}

/// A change that is being made.
#[derive(Debug)]
pub struct Changing(Changes);

impl Drop for Changing {
    fn drop(&mut self) {
        self.0.0.ended.fetch_add(1, Ordering::SeqCst);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn nothing_is_settled_while_a_change_is_being_made() {
        let changes = Changes::default();
        assert_eq!(changes.settled(), Some(0));
        let (one, other) = (changes.begin(), changes.clone().begin());
        drop(one);
        assert_eq!(changes.settled(), None);
        drop(other);
        assert_eq!(changes.settled(), Some(2));
    }
}
