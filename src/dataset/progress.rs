//! How far the reading of a file has come. The reader counts, and who wants to know looks.

use serde::{Deserialize, Serialize};
use std::sync::atomic::{AtomicU8, AtomicU64, Ordering::Relaxed};

/// What is being done to a file. The phases follow one another in this order.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Phase {
    /// What it is, its encoding, where the table lies.
    #[default]
    Checking,
    /// Its rows become columns.
    Reading,
    /// What the columns hold.
    Describing,
    /// The table is written.
    Storing,
}

impl Phase {
    const ALL: [Self; 4] = [Self::Checking, Self::Reading, Self::Describing, Self::Storing];

    /// The name in the API and in the log.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Checking => "checking",
            Self::Reading => "reading",
            Self::Describing => "describing",
            Self::Storing => "storing",
        }
    }

    /// The parts of the whole, about, at which the phase begins and ends.
    fn span(self) -> (f64, f64) {
        match self {
            Self::Checking => (0.0, 0.15),
            Self::Reading => (0.15, 0.7),
            Self::Describing => (0.7, 0.85),
            Self::Storing => (0.85, 1.0),
        }
    }
}

/// One look at a reading.
#[derive(Debug, Clone, Copy, PartialEq, Default, Serialize, Deserialize)]
pub struct Look {
    /// What is being done.
    pub phase: Phase,
    /// 0 to 1, about.
    pub progress: f64,
    /// Rows of the table read so far.
    pub rows: u64,
}

/// The counts of one reading, shared between threads.
#[derive(Debug, Default)]
pub struct Progress {
    phase: AtomicU8,
    /// Bytes of the file that this phase has read, and has to.
    bytes: AtomicU64,
    total: AtomicU64,
    rows: AtomicU64,
}

impl Progress {
    /// Begins a phase that reads `total` bytes; 0 where it reads none.
    pub fn begin(&self, phase: Phase, total: u64) {
        self.bytes.store(0, Relaxed);
        self.total.store(total, Relaxed);
        self.phase.store(phase as u8, Relaxed);
        if phase == Phase::Reading {
            // A second pass over the rows begins anew.
            self.rows.store(0, Relaxed);
        }
    }

    pub(super) fn add_bytes(&self, n: usize) {
        self.bytes.fetch_add(n as u64, Relaxed);
    }

    pub(super) fn add_rows(&self, n: u64) {
        self.rows.fetch_add(n, Relaxed);
    }

    /// Where the reading stands.
    pub fn look(&self) -> Look {
        let phase = Phase::ALL[usize::from(self.phase.load(Relaxed)).min(Phase::ALL.len() - 1)];
        let (from, to) = phase.span();
        let total = self.total.load(Relaxed);
        // Some phases read the file twice.
        let share = if total == 0 { 0.0 } else { (self.bytes.load(Relaxed) as f64 / total as f64).min(1.0) };
        Look { phase, progress: from + (to - from) * share, rows: self.rows.load(Relaxed) }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_share_grows_from_phase_to_phase() {
        let progress = Progress::default();
        let mut last = -1.0;
        for phase in Phase::ALL {
            progress.begin(phase, 10);
            for _ in 0..2 {
                let look = progress.look();
                assert_eq!(look.phase, phase);
                assert!(look.progress > last, "{look:?}");
                last = look.progress;
                progress.add_bytes(5);
            }
            progress.add_bytes(50);
            assert!(progress.look().progress <= 1.0);
        }
        assert_eq!(serde_json::to_value(Phase::Describing).unwrap(), Phase::Describing.as_str());
    }

    #[test]
    fn rows_are_counted_anew_in_a_second_pass() {
        let progress = Progress::default();
        progress.begin(Phase::Reading, 0);
        progress.add_rows(7);
        assert_eq!(progress.look().rows, 7);
        progress.begin(Phase::Reading, 0);
        assert_eq!(progress.look().rows, 0);
    }
}
