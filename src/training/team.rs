//! The threads of one training: one leads, the others help with large batches.
//!
//! Each has a rayon pool of its own with a single thread, so that burn's matrix products inside it
//! stay on that thread. Splitting a batch by rows costs one meeting per step, where splitting every
//! matrix product would cost a dozen.

use rayon::{ThreadPool, ThreadPoolBuilder};

/// Of 19, at which a thread gets a hundredth of a processor that is wanted by others.
#[cfg(target_os = "linux")]
const NICENESS: i32 = 10;

/// A fixed number of threads.
#[derive(Debug)]
pub struct Team {
    pools: Vec<ThreadPool>,
}

/// Lets whatever else the machine does, above all answering predictions, go before this thread. Only
/// Linux has priorities of threads; and where it refuses, training goes on as before.
fn yield_to_answers() {
    #[cfg(target_os = "linux")]
    let _ = rustix::process::setpriority_process(None, NICENESS);
}

impl Team {
    /// Starts `n` threads, at least one, which let other work go before theirs.
    ///
    /// # Errors
    /// When the system gives no more threads.
    pub fn new(n: usize) -> Result<Self, rayon::ThreadPoolBuildError> {
        Self::start(n, yield_to_answers)
    }

    /// The same for work that somebody waits for.
    pub fn awaited(n: usize) -> Result<Self, rayon::ThreadPoolBuildError> {
        Self::start(n, || {})
    }

    fn start(n: usize, begin: fn()) -> Result<Self, rayon::ThreadPoolBuildError> {
        let pools = (0..n.max(1))
            .map(|index| {
                ThreadPoolBuilder::new()
                    .num_threads(1)
                    .thread_name(move |_| format!("train-{index}"))
                    .start_handler(move |_| begin())
                    .build()
            })
            .collect::<Result<_, _>>()?;
        Ok(Self { pools })
    }

    /// The thread that calls, by itself.
    pub fn alone() -> Self {
        Self { pools: Vec::new() }
    }

    /// Number of threads.
    pub fn len(&self) -> usize {
        self.pools.len().max(1)
    }

    /// Never: a team has at least its leader.
    pub fn is_empty(&self) -> bool {
        false
    }

    /// Runs `work` on the leading thread. Everything below must be called from inside.
    pub fn lead<R: Send>(&self, work: impl FnOnce() -> R + Send) -> R {
        match self.pools.first() {
            Some(pool) => pool.install(work),
            None => work(),
        }
    }

    /// Runs `task` for 0 to `n` - 1 at the same time and returns the results in that order; the
    /// leading thread takes the last one. `n` is at most [`len`](Self::len).
    pub fn each<R: Send>(&self, n: usize, task: impl Fn(usize) -> R + Sync) -> Vec<R> {
        let mut results: Vec<Option<R>> = (0..n).map(|_| None).collect();
        share(self.pools.get(1..).unwrap_or_default(), &mut results, 0, &task);
        results.into_iter().flatten().collect()
    }
}

fn share<R: Send>(
    helpers: &[ThreadPool],
    results: &mut [Option<R>],
    index: usize,
    task: &(impl Fn(usize) -> R + Sync),
) {
    match (helpers, results) {
        (_, []) => {}
        ([], all) => {
            for (offset, slot) in all.iter_mut().enumerate() {
                *slot = Some(task(index + offset));
            }
        }
        (_, [last]) => *last = Some(task(index)),
        ([helper, others @ ..], [first, rest @ ..]) => helper.in_place_scope(|scope| {
            scope.spawn(|_| *first = Some(task(index)));
            share(others, rest, index + 1, task);
        }),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn results_come_back_in_order_whatever_the_number_of_threads() {
        for n_threads in [1, 2, 3] {
            let team = Team::new(n_threads).unwrap();
            for n in 0..=n_threads {
                let results = team.lead(|| team.each(n, |index| index * 10));
                assert_eq!(results, (0..n).map(|i| i * 10).collect::<Vec<_>>());
            }
        }
    }

    #[test]
    fn tasks_run_at_the_same_time() {
        let team = Team::new(2).unwrap();
        let barrier = std::sync::Barrier::new(2);
        // Would never return if the tasks ran one after the other.
        team.lead(|| team.each(2, |_| barrier.wait().is_leader()));
    }
}
