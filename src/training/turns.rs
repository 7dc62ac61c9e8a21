//! More networks than processors, which all are to end at about the same time: they take turns.
//!
//! Five networks on two processors, one after the other on each, leave one processor idle while the
//! fifth is trained. Three that take turns on two end together after one and a half times as long, and
//! the other two have a processor each.

use std::{
    collections::VecDeque,
    sync::{Condvar, Mutex, MutexGuard, PoisonError},
    time::{Duration, Instant},
};

/// A turn is not given up before: changing costs more than it evens out.
const TURN: Duration = Duration::from_millis(50);

/// Lets so many work at a time; the one that has waited longest is the next.
#[derive(Debug)]
pub(super) struct Turns {
    line: Mutex<Line>,
    changed: Condvar,
}

#[derive(Debug)]
struct Line {
    free: usize,
    waiting: VecDeque<u64>,
    next_ticket: u64,
}

/// The right to work, until it is dropped.
#[derive(Debug)]
pub(super) struct Turn<'a> {
    turns: &'a Turns,
    since: Instant,
}

impl Turns {
    /// Turns for `n` at a time.
    pub(super) fn new(n: usize) -> Self {
        let line = Line { free: n.max(1), waiting: VecDeque::new(), next_ticket: 0 };
        Self { line: Mutex::new(line), changed: Condvar::new() }
    }

    /// Waits for a turn.
    pub(super) fn take(&self) -> Turn<'_> {
        self.wait();
        Turn { turns: self, since: Instant::now() }
    }

    fn line(&self) -> MutexGuard<'_, Line> {
        // Whoever panicked with it held left it whole: every change is one assignment.
        self.line.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn wait(&self) {
        let mut line = self.line();
        let ticket = line.next_ticket;
        line.next_ticket += 1;
        line.waiting.push_back(ticket);
        while line.free == 0 || line.waiting.front() != Some(&ticket) {
            line = self.changed.wait(line).unwrap_or_else(PoisonError::into_inner);
        }
        line.waiting.pop_front();
        line.free -= 1;
        drop(line);
        // The next in line may have a turn too.
        self.changed.notify_all();
    }

    fn free(&self) {
        self.line().free += 1;
        self.changed.notify_all();
    }
}

impl Turn<'_> {
    /// Lets others work, if they wait and this turn has lasted long enough, and waits for the next one.
    pub(super) fn pass_on(&mut self) {
        if self.since.elapsed() < TURN || self.turns.line().waiting.is_empty() {
            return;
        }
        self.turns.free();
        self.turns.wait();
        self.since = Instant::now();
    }
}

impl Drop for Turn<'_> {
    fn drop(&mut self) {
        self.turns.free();
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::sync::atomic::{AtomicUsize, Ordering};

    #[test]
    fn never_more_than_allowed_and_all_get_their_turn() {
        let turns = Turns::new(2);
        let (at_work, most) = (AtomicUsize::new(0), AtomicUsize::new(0));
        std::thread::scope(|scope| {
            for _ in 0..5 {
                scope.spawn(|| {
                    for _ in 0..3 {
                        let mut turn = turns.take();
                        let n = at_work.fetch_add(1, Ordering::SeqCst) + 1;
                        most.fetch_max(n, Ordering::SeqCst);
                        std::thread::sleep(Duration::from_millis(2));
                        at_work.fetch_sub(1, Ordering::SeqCst);
                        turn.pass_on();
                    }
                });
            }
        });
        assert_eq!(most.load(Ordering::SeqCst), 2);
        assert_eq!(turns.line().free, 2);
    }

    #[test]
    fn a_long_turn_is_passed_on() {
        let turns = Turns::new(1);
        let order = Mutex::new(Vec::new());
        std::thread::scope(|scope| {
            let mut first = turns.take();
            scope.spawn(|| {
                let _second = turns.take();
                order.lock().unwrap().push("second");
            });
            while turns.line().waiting.is_empty() {
                std::thread::yield_now();
            }
            std::thread::sleep(TURN);
            first.pass_on();
            order.lock().unwrap().push("first");
        });
        assert_eq!(*order.lock().unwrap(), ["second", "first"]);
    }
}
