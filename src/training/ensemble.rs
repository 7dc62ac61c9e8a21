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

use super::TrainError;
use super::board::{Board, PROGRESS_S, finished};
use super::budget::{Place, has_time_for_more, time_limit};
use super::checkpoint::{self, Slot};
use super::event::{Event, StopReason};
use super::fit::{Fitted, Moment, State, fit};
use super::part::Part;
use super::recipe::Recipe;
use super::session::Session;
use super::team::Team;
use super::turns::{Turn, Turns};
use crate::model::network::Shape;
use std::ops::Range;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Mutex, MutexGuard};
use std::time::Instant;

/// A network that diverged is trained again at the learning rate divided by this.
const SLOWDOWN: f64 = 5.0;

/// The networks that chose their epochs, those of the folds of one variant after the other, and, where
/// asked for, the same trained again on all rows. One of those that has `stopped` did not reach its epoch.
pub(super) struct FittedNetworks {
    pub(super) chosen: Vec<Fitted>,
    pub(super) refitted: Vec<Fitted>,
}

/// Fits all networks, from `resume` on where it is a checkpoint of this training.
pub(super) fn fit_all(
    session: &Session,
    resume: Option<&[u8]>,
    observe: &mut (dyn FnMut(Event) + Send),
) -> Result<FittedNetworks, TrainError> {
    let (n_folds, n_chosen) = (session.split.folds.len(), session.n_chosen());
    let total = n_chosen * if session.refit.is_some() { 2 } else { 1 };
    let slots = resumed(session, resume, total, observe);
    let ensemble = Ensemble { session: *session, board: Mutex::new(Board::new(session, slots, observe)) };
    let mut n_done = 0;
    while n_done < n_chosen && (n_done == 0 || has_time_for_more(session, n_done, &ensemble.board().slots)) {
        ensemble.fit_range(n_done..n_done + n_folds)?;
        n_done += n_folds;
    }
    if session.refit.is_some() {
        ensemble.fit_range(n_chosen..n_chosen + n_done)?;
    }
    let mut board = ensemble.board.into_inner().expect("no network in training has panicked");
    // What comes after the networks takes time too, and may be stopped.
    if board.started.elapsed().as_secs_f64() >= session.compute.checkpoint_s {
        keep(session, &mut board);
    }
    let mut slots = board.slots;
    let refits = slots.split_off(n_chosen);
    let all_finished = |slots: Vec<Slot>| {
        let fitted = slots.into_iter().filter_map(|slot| match slot {
            Slot::Finished(fitted) => Some(fitted),
            _ => None,
        });
        fitted.collect()
    };
    Ok(FittedNetworks { chosen: all_finished(slots), refitted: all_finished(refits) })
}

/// Tells the checkpoints of this training from all others.
fn fingerprint(session: &Session) -> String {
    let spec = serde_json::to_string(session.spec()).expect("settings have only string keys");
    format!("{spec} {} rows {:?}", session.prepared.table.n_rows(), session.compute.backend)
}

/// The shapes of `n` networks.
fn shapes(session: &Session, n: usize) -> Vec<Shape> {
    (0..n).map(|index| session.recipe(index).shape).collect()
}

/// The networks of the checkpoint `resume`, where it is one of this training.
fn resumed(
    session: &Session,
    resume: Option<&[u8]>,
    total: usize,
    observe: &mut (dyn FnMut(Event) + Send),
) -> Vec<Slot> {
    let fresh = || std::iter::repeat_with(Slot::default).take(total).collect();
    let Some(bytes) = resume else { return fresh() };
    let rule = session.recipe(0).rule;
    let backend = session.compute.backend;
    match checkpoint::from_bytes(bytes, &fingerprint(session), &shapes(session, total), &rule, backend) {
        Ok(slots) if slots.len() == total => {
            let done = slots.iter().filter_map(finished).count();
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

/// Networks in training.
struct Ensemble<'a> {
    session: Session<'a>,
    board: Mutex<Board<'a>>,
}

impl<'a> Ensemble<'a> {
    fn board(&self) -> MutexGuard<'_, Board<'a>> {
        self.board.lock().expect("no network in training has panicked")
    }

    fn tell(&self, message: String) {
        (self.board().observe)(Event::Message(message));
    }

    /// Fits the networks of `range`, as many at a time as there are threads.
    fn fit_range(&self, range: Range<usize>) -> Result<(), TrainError> {
        let team = self.session.team;
        let (end, lanes) = (range.end, team.len().min(range.len()));
        if range.len() <= 1 {
            for index in range {
                self.fit_one(Place { index, end, lanes: 1 }, team, None)?;
            }
            return Ok(());
        }
        let next = AtomicUsize::new(range.start);
        let alone = Team::alone();
        let turns = Turns::new(lanes);
        let work = |_| {
            loop {
                let index = next.fetch_add(1, Ordering::Relaxed);
                if index >= end {
                    return Ok(());
                }
                let outcome = self.fit_one(Place { index, end, lanes }, &alone, Some(turns.take()));
                if outcome.is_err() {
                    // One network that cannot be had is the end: begin no other.
                    next.store(end, Ordering::Relaxed);
                    return outcome;
                }
            }
        };
        // As many more than lanes as would otherwise be the last, with too few of them for all lanes.
        let at_once = lanes + range.len() % lanes;
        let larger = if at_once > lanes && at_once <= range.len() { Team::new(at_once).ok() } else { None };
        let outcomes = match larger {
            Some(team) => team.lead(|| team.each(at_once, work)),
            None => team.each(lanes, work),
        };
        outcomes.into_iter().collect()
    }

    fn fit_one(&self, place: Place, team: &Team, turn: Option<Turn<'_>>) -> Result<(), TrainError> {
        let session = &self.session;
        let (index, folds, n_chosen) = (place.index, &session.split.folds, session.n_chosen());
        let view = session.refit.filter(|_| index >= n_chosen).unwrap_or(session.view);
        let member = &view.members[index % view.members.len()];
        let mut recipe = session.recipe(index);
        let slot = {
            let mut board = self.board();
            recipe.time_limit_s = time_limit(session, place, &board.slots);
            if let Some(chosen) = index.checked_sub(n_chosen).and_then(|i| finished(&board.slots[i])) {
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
            self.board().slots[index] = Slot::Finished(fitted);
            return Ok(());
        }
        let part = |rows| session.prepared.part(&view.inputs, member, rows);
        let (training, validation) = if index < n_chosen {
            let fold = &folds[index % folds.len()];
            (part(&fold.training), part(&fold.validation))
        } else {
            (part(&view.rows), part(&[]))
        };
        let state = match slot {
            Slot::Running(state) => *state,
            _ => State::initial(&recipe, &training, session.compute.backend),
        };
        let fitted = self.fit_with_second_try(recipe, (&training, &validation), state, team, turn)?;
        let mut board = self.board();
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

    /// A fit that diverges is begun again once, at a lower rate.
    fn fit_with_second_try(
        &self,
        mut recipe: Recipe,
        (training, validation): (&Part, &Part),
        mut state: State,
        team: &Team,
        mut turn: Option<Turn<'_>>,
    ) -> Result<Fitted, TrainError> {
        let asked_for = recipe.learning_rate;
        loop {
            let slowed = state.position.slowed;
            recipe.learning_rate = if slowed { asked_for / SLOWDOWN } else { asked_for };
            let spent_s = state.position.elapsed_s;
            let mut tell = self.teller(&recipe, turn.as_mut());
            match fit(&recipe, training, validation, team, state, &mut tell, self.session.stop) {
                Err(TrainError::Diverged { epoch, .. }) if slowed => {
                    return Err(TrainError::Diverged { epoch, learning_rate: asked_for });
                }
                Err(TrainError::Diverged { epoch, .. }) => {
                    drop(tell);
                    let (number, rate) = (recipe.fold + 1, asked_for / SLOWDOWN);
                    self.tell(format!(
                        "network {number} diverged in epoch {epoch}; it is trained again at a learning rate of {rate}"
                    ));
                    state = State::initial(&recipe, training, self.session.compute.backend);
                    state.position.slowed = true;
                    state.position.elapsed_s = spent_s;
                }
                other => return other,
            }
        }
    }

    /// What the network of `recipe` does after its steps and epochs.
    fn teller(&self, recipe: &Recipe, mut turn: Option<&mut Turn<'_>>) -> impl FnMut(Moment) {
        let index = recipe.fold as usize;
        let mut kept_at = Instant::now();
        let mut looked_at = None::<Instant>;
        move |moment| match moment {
            Moment::Epoch(score) => {
                looked_at = None;
                (self.board().observe)(Event::Epoch(score));
                if let Some(turn) = &mut turn {
                    turn.pass_on();
                }
            }
            Moment::Step { fraction, epoch, state } => {
                if looked_at.is_none_or(|at| at.elapsed().as_secs_f64() >= PROGRESS_S) {
                    looked_at = Some(Instant::now());
                    let mut board = self.board();
                    board.fractions[index] = fraction;
                    board.tell_progress(epoch, recipe.epochs);
                }
                let due = kept_at.elapsed().as_secs_f64() >= self.session.compute.checkpoint_s;
                if due || self.session.stop.requested() == Some(StopReason::Shutdown) {
                    kept_at = Instant::now();
                    let mut board = self.board();
                    board.slots[index] = Slot::Running(Box::new(state.clone()));
                    keep(&self.session, &mut board);
                }
            }
        }
    }
}

/// Tells what is needed to go on from here.
fn keep(session: &Session, board: &mut Board) {
    let bytes =
        checkpoint::to_bytes(&fingerprint(session), &shapes(session, board.slots.len()), &board.slots);
    (board.observe)(Event::Checkpoint(bytes));
}
