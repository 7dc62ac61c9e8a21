//! Where the networks of a training stand, and how far it is.

use super::checkpoint::Slot;
use super::event::Event;
use super::fit::Fitted;
use super::session::Session;
use std::time::Instant;

/// Progress is told at most this often within an epoch.
pub(super) const PROGRESS_S: f64 = 0.5;

/// What the networks in training share: where each stands, and the way to tell it.
pub(super) struct Board<'a> {
    pub(super) slots: Vec<Slot>,
    /// The share of its steps that each network has done.
    pub(super) fractions: Vec<f64>,
    pub(super) observe: &'a mut (dyn FnMut(Event) + Send),
    told_at: Option<Instant>,
    pub(super) started: Instant,
    /// The mean of `fractions` at the start of this attempt.
    begun: f64,
    /// What is left of the time limit at the start of this attempt.
    limit_s: Option<f64>,
}

pub(super) fn finished(slot: &Slot) -> Option<&Fitted> {
    if let Slot::Finished(fitted) = slot { Some(fitted) } else { None }
}

/// The share of its steps that network `index` has done.
fn share_done(session: &Session, index: usize, slot: &Slot) -> f64 {
    match slot {
        Slot::Waiting => 0.0,
        Slot::Finished(_) => 1.0,
        Slot::Running(state) => {
            let folds = &session.split.folds;
            let chosen = &folds[index % folds.len()].training;
            let again = session.refit.filter(|_| index >= session.n_chosen()).map(|view| &view.rows);
            let n = again.unwrap_or(chosen).len();
            let recipe = session.recipe(index);
            state.position.step as f64 / recipe.total_steps(n) as f64
        }
    }
}

impl<'a> Board<'a> {
    /// At the start of an attempt, with the networks as an earlier one has left them.
    pub(super) fn new(
        session: &Session,
        slots: Vec<Slot>,
        observe: &'a mut (dyn FnMut(Event) + Send),
    ) -> Self {
        let fractions: Vec<f64> =
            slots.iter().enumerate().map(|(index, slot)| share_done(session, index, slot)).collect();
        let spent_s: f64 = slots
            .iter()
            .map(|slot| match slot {
                Slot::Waiting => 0.0,
                Slot::Running(state) => state.position.elapsed_s,
                Slot::Finished(fitted) => fitted.elapsed_s,
            })
            .sum();
        let limit_s = session.spec().time_limit_s.map(|limit| limit - spent_s / session.lanes());
        let mut board =
            Self { slots, fractions, observe, told_at: None, started: Instant::now(), begun: 0.0, limit_s };
        board.begun = board.fraction();
        board
    }

    /// Tells how far the training is, of which a network is in `epoch` of `epochs`.
    pub(super) fn tell_progress(&mut self, epoch: usize, epochs: usize) {
        if self.told_at.is_some_and(|at| at.elapsed().as_secs_f64() < PROGRESS_S) {
            return;
        }
        self.told_at = Some(Instant::now());
        let total = self.slots.len();
        let done = self.slots.iter().filter(|slot| finished(slot).is_some()).count();
        let part = if total > 1 { format!("{done} of {total} networks done, ") } else { String::new() };
        let fraction = self.fraction();
        let gained = fraction - self.begun;
        let spent_s = self.started.elapsed().as_secs_f64();
        // Below this the start-up noise would be multiplied.
        let steady = gained * total as f64 > 0.01 || spent_s > 3.0;
        let eta_s = steady.then(|| spent_s / gained.max(1e-9) * (1.0 - fraction));
        let limit_s = self.limit_s.map(|limit| (limit - spent_s).max(0.0));
        let eta_s = match (eta_s, limit_s) {
            (Some(eta), Some(limit)) => Some(eta.min(limit)),
            (eta, _) => eta,
        };
        let message = format!("{part}epoch {epoch} of {epochs}");
        (self.observe)(Event::Progress { fraction, message, eta_s });
    }

    fn fraction(&self) -> f64 {
        self.fractions.iter().sum::<f64>() / self.fractions.len() as f64
    }
}
