//! The clock, passed in wherever time is recorded, so that tests can fix it.

use chrono::{DateTime, SubsecRound, Utc};
use std::sync::{Arc, Mutex};

/// Tells the time: the system's, or one that a test sets.
#[derive(Debug, Clone, Default)]
pub enum Clock {
    /// The system clock.
    #[default]
    System,
    /// A clock that stands still until it is moved.
    Fixed(Arc<Mutex<DateTime<Utc>>>),
}

impl Clock {
    /// A clock that stands at `now`.
    pub fn fixed(now: DateTime<Utc>) -> Self {
        Self::Fixed(Arc::new(Mutex::new(now)))
    }

    /// The time in UTC, cut to microseconds: what both databases store without loss.
    pub fn now(&self) -> DateTime<Utc> {
        match self {
            #[expect(clippy::disallowed_methods, reason = "this is the one place that asks the system")]
            Self::System => Utc::now().trunc_subsecs(6),
            Self::Fixed(now) => *now.lock().expect("no holder of this lock can panic"),
        }
    }

    /// Moves a fixed clock by `by`; the system clock cannot be moved.
    pub fn advance(&self, by: chrono::Duration) {
        if let Self::Fixed(now) = self {
            *now.lock().expect("no holder of this lock can panic") += by;
        }
    }
}
