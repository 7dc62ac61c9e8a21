//! The networks of a training, several at a time.
//!
//! One network has all the threads, which share large batches. Several networks have one thread each:
//! for networks this small, that keeps every core busy where one network on all of them would wait. Where
//! they would not come out even, the first ones take [turns](super::turns).
//!
//! ```text
//! networks 0 .. k         of the first variant, fitted on the folds, each choosing its epoch
//! networks k .. n         of the other variants likewise, as far as the time limit allows
//! networks n .. 2 n       with refit: fitted on all rows for as many epochs
//! ```
//!
//! Under a time limit the last ones have their part of it kept for them: a network that is stopped in the
//! middle of its schedule is of no use without a validation part to choose an epoch by.

use super::checkpoint::{self, Shapes, Slot};
use super::event::{Event, Stop, StopReason};
use super::fit::{Fitted, Moment, State, fit};
use super::part::Part;
use super::prepare::Prepared;
use super::recipe::Recipe;
use super::recipe::{recipe, variants};
use super::split::Split;
use super::team::Team;
use super::turns::{Turn, Turns};
use super::view::View;
use super::{Compute, TrainError};
use std::sync::Mutex;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Instant;

/// Progress is told at most this often within an epoch.
const PROGRESS_S: f64 = 0.5;
/// A network that diverged is trained again at the learning rate divided by this.
const SLOWDOWN: f64 = 5.0;
/// How much more time than its share of the rows says a network is left that is trained again on all.
const REFIT_SLACK: f64 = 1.2;

/// What the networks are fitted with.
pub(super) struct Ensemble<'a> {
    pub(super) prepared: &'a Prepared<'a>,
    /// Of the networks that choose their epochs: a member per fold.
    pub(super) view: &'a View,
    /// Of those that are fitted once more, on all rows: one member.
    pub(super) refit: Option<&'a View>,
    pub(super) compute: &'a Compute,
    pub(super) team: &'a Team,
}

/// The networks that chose their epochs, those of the folds of one variant after the other, and, where
/// asked for, the same trained again on all rows. One of those that has `stopped` did not reach its epoch.
pub(super) struct FittedNetworks {
    pub(super) chosen: Vec<Fitted>,
    pub(super) refitted: Vec<Fitted>,
}

/// What the networks in training share: where each stands, and the way to tell it.
struct Board<'a> {
    slots: Vec<Slot>,
    /// The share of its steps that each network has done.
    fractions: Vec<f64>,
    told_at: Option<Instant>,
    started: Instant,
    /// The mean of `fractions` at the start of this attempt.
    begun: f64,
    observe: &'a mut (dyn FnMut(Event) + Send),
}

fn finished(slot: &Slot) -> Option<&Fitted> {
    if let Slot::Finished(fitted) = slot { Some(fitted) } else { None }
}

impl Board<'_> {
    fn tell_progress(&mut self, epoch: usize, epochs: usize, limit_s: Option<f64>) {
        if self.told_at.is_some_and(|at| at.elapsed().as_secs_f64() < PROGRESS_S) {
            return;
        }
        self.told_at = Some(Instant::now());
        let total = self.slots.len();
        let done = self.slots.iter().filter(|slot| matches!(slot, Slot::Finished(_))).count();
        let part = if total > 1 { format!("{done} of {total} networks done, ") } else { String::new() };
        let fraction = self.fraction();
        let gained = fraction - self.begun;
        let spent_s = self.started.elapsed().as_secs_f64();
        // Below this the start-up noise would be multiplied.
        let steady = gained * total as f64 > 0.01 || spent_s > 3.0;
        let eta_s = steady.then(|| spent_s / gained.max(1e-9) * (1.0 - fraction));
        let limit_s = limit_s.map(|limit| (limit - spent_s).max(0.0));
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

impl Ensemble<'_> {
    /// Tells the checkpoints of this training from all others.
    fn fingerprint(&self) -> String {
        let spec = serde_json::to_string(self.prepared.spec).expect("settings have only string keys");
        format!("{spec} {} rows {:?}", self.prepared.table.n_rows(), self.compute.backend)
    }

    /// Networks that choose their epochs, in all variants.
    fn n_chosen(&self) -> usize {
        self.view.members.len() * variants(self.prepared.spec).len()
    }

    fn shapes(&self) -> Shapes {
        let refitted = self.refit.map(|view| view.shape.clone());
        Shapes { chosen: self.view.shape.clone(), n_chosen: self.n_chosen(), refitted }
    }

    /// Fits all networks, from `resume` on where it is a checkpoint of this training.
    pub(super) fn fit(
        &self,
        split: &Split,
        resume: Option<&[u8]>,
        observe: &mut (dyn FnMut(Event) + Send),
        stop: &Stop,
    ) -> Result<FittedNetworks, TrainError> {
        let n_folds = split.folds.len();
        let n_networks = self.n_chosen();
        let total = n_networks * if self.refit.is_some() { 2 } else { 1 };
        let slots = self.resumed(resume, total, observe);
        let fractions =
            slots.iter().map(|slot| if let Slot::Finished(_) = slot { 1.0 } else { 0.0 }).collect();
        let mut board =
            Board { slots, fractions, told_at: None, started: Instant::now(), begun: 0.0, observe };
        board.begun = board.fraction();
        let board = Mutex::new(board);
        let mut n_done = 0;
        while n_done < n_networks && (n_done == 0 || self.has_time_for_more(n_done, split, &board)) {
            self.fit_range(n_done..n_done + n_folds, split, &board, stop)?;
            n_done += n_folds;
        }
        if self.refit.is_some() {
            self.fit_range(n_networks..n_networks + n_done, split, &board, stop)?;
        }
        let mut slots = board.into_inner().expect("no network in training has panicked").slots;
        let refits = slots.split_off(n_networks);
        let all_finished = |slots: Vec<Slot>| {
            let fitted = slots.into_iter().filter_map(|slot| match slot {
                Slot::Finished(fitted) => Some(fitted),
                _ => None,
            });
            fitted.collect()
        };
        Ok(FittedNetworks { chosen: all_finished(slots), refitted: all_finished(refits) })
    }

    /// Whether another variant, as slow as the slowest so far, would end before the time limit.
    fn has_time_for_more(&self, n_done: usize, split: &Split, board: &Mutex<Board>) -> bool {
        let Some(limit_s) = self.limit_of_chosen(split) else { return true };
        let n_folds = split.folds.len();
        let board = board.lock().expect("no network in training has panicked");
        if !matches!(board.slots[n_done], Slot::Waiting) {
            return true; // Begun in an earlier attempt.
        }
        let seconds: Vec<f64> = board.slots[..n_done]
            .iter()
            .map(|slot| finished(slot).map_or(0.0, |fitted| fitted.elapsed_s))
            .collect();
        let lanes = self.team.len().min(n_folds) as f64;
        let slowest = seconds.chunks(n_folds).map(|variant| variant.iter().sum::<f64>()).fold(0.0, f64::max);
        (seconds.iter().sum::<f64>() + slowest) / lanes < limit_s
    }

    fn resumed(
        &self,
        resume: Option<&[u8]>,
        total: usize,
        observe: &mut (dyn FnMut(Event) + Send),
    ) -> Vec<Slot> {
        let fresh = || std::iter::repeat_with(Slot::default).take(total).collect();
        let Some(bytes) = resume else { return fresh() };
        let rule = recipe(self.prepared.spec, &self.view.shape, self.view.members.len(), 0).rule;
        let backend = self.compute.backend;
        match checkpoint::from_bytes(bytes, &self.fingerprint(), &self.shapes(), &rule, backend) {
            Ok(slots) if slots.len() == total => {
                let done = slots.iter().filter(|slot| matches!(slot, Slot::Finished(_))).count();
                let steps =
                    slots.iter().map(|slot| if let Slot::Running(s) = slot { s.position.step } else { 0 });
                let steps: u64 = steps.sum();
                observe(Event::Message(format!("resumed after {done} networks and {steps} steps")));
                slots
            }
            Ok(_) => fresh(),
            Err(error) => {
                observe(Event::Message(format!("the checkpoint cannot be used ({error}); starting again")));
                fresh()
            }
        }
    }

    /// Fits the networks of `range`, as many at a time as there are threads.
    fn fit_range(
        &self,
        range: std::ops::Range<usize>,
        split: &Split,
        board: &Mutex<Board>,
        stop: &Stop,
    ) -> Result<(), TrainError> {
        let lanes = self.team.len().min(range.len());
        if range.len() <= 1 {
            for index in range.clone() {
                self.fit_one(index, range.end, 1, split, board, stop, (self.team, None))?;
            }
            return Ok(());
        }
        let next = AtomicUsize::new(range.start);
        let alone = Team::alone();
        let turns = Turns::new(lanes);
        let work = |_| {
            loop {
                let index = next.fetch_add(1, Ordering::Relaxed);
                if index >= range.end {
                    return Ok(());
                }
                let turn = turns.take();
                let outcome = self.fit_one(index, range.end, lanes, split, board, stop, (&alone, Some(turn)));
                if outcome.is_err() {
                    // One network that cannot be had is the end: begin no other.
                    next.store(range.end, Ordering::Relaxed);
                    return outcome;
                }
            }
        };
        // As many more than lanes as would otherwise be the last, with too few of them for all lanes.
        let at_once = lanes + range.len() % lanes;
        let larger = if at_once > lanes && at_once <= range.len() { Team::new(at_once).ok() } else { None };
        let outcomes = match larger {
            Some(team) => team.lead(|| team.each(at_once, work)),
            None => self.team.each(lanes, work),
        };
        outcomes.into_iter().collect()
    }

    #[expect(clippy::too_many_arguments, reason = "a struct of these would be built in two places only")]
    fn fit_one(
        &self,
        index: usize,
        end: usize,
        lanes: usize,
        split: &Split,
        board: &Mutex<Board>,
        stop: &Stop,
        (team, turn): (&Team, Option<Turn<'_>>),
    ) -> Result<(), TrainError> {
        let n_folds = split.folds.len();
        let n_networks = self.n_chosen();
        let view = self.refit.filter(|_| index >= n_networks).unwrap_or(self.view);
        let member = &view.members[index % view.members.len()];
        let mut recipe = recipe(self.prepared.spec, &view.shape, n_folds, index);
        let locked = || board.lock().expect("no network in training has panicked");
        let slot = {
            let mut board = locked();
            recipe.time_limit_s = self.time_limit(index, end, lanes, split, &board.slots);
            if let Some(chosen) = index.checked_sub(n_networks).and_then(|i| finished(&board.slots[i])) {
                recipe.take_epoch = Some(chosen.best.epoch);
                recipe.patience = None;
            }
            // What is taken out here stays on the board until the next checkpoint.
            match &mut board.slots[index] {
                Slot::Running(state) => Slot::Running(state.clone()),
                other => std::mem::take(other),
            }
        };
        if let Slot::Finished(fitted) = slot {
            locked().slots[index] = Slot::Finished(fitted);
            return Ok(());
        }
        let part = |rows| self.prepared.part(&view.inputs, member, rows);
        let (training, validation) = if index < n_networks {
            let fold = &split.folds[index % n_folds];
            (part(&fold.training), part(&fold.validation))
        } else {
            (part(&view.rows), part(&[]))
        };
        let state = match slot {
            Slot::Running(state) => *state,
            _ => State::initial(&recipe, &training, self.compute.backend),
        };
        let fitted = self.fit_with_second_try(
            recipe,
            index,
            &training,
            &validation,
            state,
            board,
            stop,
            (team, turn),
        )?;
        let mut board = locked();
        let total = board.slots.len();
        (board.observe)(Event::Message(format!(
            "network {} of {total}: epoch {} of {} is the best after {:.1} s",
            index + 1,
            fitted.best.epoch,
            fitted.epochs,
            fitted.elapsed_s
        )));
        board.fractions[index] = 1.0;
        board.slots[index] = Slot::Finished(fitted);
        Ok(())
    }

    /// The seconds for the networks that choose their epochs: with refit, not all that are allowed.
    fn limit_of_chosen(&self, split: &Split) -> Option<f64> {
        let limit_s = self.prepared.spec.time_limit_s?;
        let again =
            self.refit.map_or(0.0, |view| view.rows.len() as f64 / split.folds[0].training.len() as f64);
        Some(limit_s / (1.0 + REFIT_SLACK * again))
    }

    /// The seconds that network `index` may take of what those that have ended have left.
    fn time_limit(
        &self,
        index: usize,
        end: usize,
        lanes: usize,
        split: &Split,
        slots: &[Slot],
    ) -> Option<f64> {
        let (n_folds, n_networks) = (split.folds.len(), self.n_chosen());
        let used_s: f64 = slots.iter().filter_map(finished).map(|fitted| fitted.elapsed_s).sum();
        let left_s = |limit_s: f64| (limit_s * lanes as f64 - used_s).max(0.0);
        let not_ended = |range: std::ops::Range<usize>| range.filter(|i| finished(&slots[*i]).is_none());
        if index < n_networks {
            // Those of its variant have equal shares.
            let n_left = not_ended(index / n_folds * n_folds..end).count();
            return Some(left_s(self.limit_of_chosen(split)?) / n_left as f64);
        }
        // Those that are fitted again have shares of the time that it took to come to their epochs.
        let took_s = |i: usize| {
            let chosen = finished(&slots[i - n_networks]);
            chosen.map_or(0.0, |fitted| fitted.elapsed_s * fitted.best.epoch as f64 / fitted.epochs as f64)
        };
        let all_s: f64 = not_ended(n_networks..end).map(took_s).sum();
        Some(left_s(self.prepared.spec.time_limit_s?) * took_s(index) / all_s.max(f64::MIN_POSITIVE))
    }

    /// A fit that diverges is begun again once, at a lower rate.
    #[expect(clippy::too_many_arguments, reason = "a struct of these would be built in one place only")]
    fn fit_with_second_try(
        &self,
        mut recipe: Recipe,
        index: usize,
        training: &Part,
        validation: &Part,
        mut state: State,
        board: &Mutex<Board>,
        stop: &Stop,
        (team, mut turn): (&Team, Option<Turn<'_>>),
    ) -> Result<Fitted, TrainError> {
        let asked_for = recipe.learning_rate;
        loop {
            let slowed = state.position.slowed;
            recipe.learning_rate = if slowed { asked_for / SLOWDOWN } else { asked_for };
            let spent_s = state.position.elapsed_s;
            let mut tell = self.teller(&recipe, index, board, stop, turn.as_mut());
            match fit(&recipe, training, validation, team, state, &mut tell, stop) {
                Err(TrainError::Diverged { epoch, .. }) if slowed => {
                    return Err(TrainError::Diverged { epoch, learning_rate: asked_for });
                }
                Err(TrainError::Diverged { epoch, .. }) => {
                    drop(tell);
                    let rate = asked_for / SLOWDOWN;
                    let mut board = board.lock().expect("no network in training has panicked");
                    (board.observe)(Event::Message(format!(
                        "network {} diverged in epoch {epoch}; it is trained again at a learning rate of {rate}",
                        index + 1
                    )));
                    state = State::initial(&recipe, training, self.compute.backend);
                    state.position.slowed = true;
                    state.position.elapsed_s = spent_s;
                }
                other => return other,
            }
        }
    }

    /// What network `index` does after its steps and epochs.
    fn teller(
        &self,
        recipe: &Recipe,
        index: usize,
        board: &Mutex<Board>,
        stop: &Stop,
        mut turn: Option<&mut Turn<'_>>,
    ) -> impl FnMut(Moment) {
        let mut kept_at = Instant::now();
        let mut looked_at = None::<Instant>;
        move |moment| match moment {
            Moment::Epoch(score) => {
                looked_at = None;
                let mut board = board.lock().expect("no network in training has panicked");
                (board.observe)(Event::Epoch(score));
                drop(board);
                if let Some(turn) = &mut turn {
                    turn.pass_on();
                }
            }
            Moment::Step { fraction, epoch, state } => {
                if looked_at.is_none_or(|at| at.elapsed().as_secs_f64() >= PROGRESS_S) {
                    looked_at = Some(Instant::now());
                    let mut board = board.lock().expect("no network in training has panicked");
                    board.fractions[index] = fraction;
                    board.tell_progress(epoch, recipe.epochs, self.prepared.spec.time_limit_s);
                }
                let due = kept_at.elapsed().as_secs_f64() >= self.compute.checkpoint_s;
                if due || stop.requested() == Some(StopReason::Shutdown) {
                    kept_at = Instant::now();
                    let mut board = board.lock().expect("no network in training has panicked");
                    board.slots[index] = Slot::Running(Box::new(state.clone()));
                    let bytes = checkpoint::to_bytes(&self.fingerprint(), &self.shapes(), &board.slots);
                    (board.observe)(Event::Checkpoint(bytes));
                }
            }
        }
    }
}
