//! The epoch loop: one network, from random numbers to its best epoch.
//!
//! ```text
//! epoch: shuffle rows -> step, step, ... -> validation score -> best so far?
//! step:  batch rows -> gradient of each shard, one thread each -> one update
//! ```

use super::TrainError;
use super::event::{EpochScore, Stop};
use super::gradient::{Dropout, Gradient, gradient, mean_loss};
use super::initial::initial;
use super::optimizer::{Moments, Step, Stretch, update};
use super::part::{OwnedTruth, Part};
use super::random::{Purpose, shuffled, stream};
use super::recipe::Recipe;
use super::team::Team;
use crate::model::device::Backend;
use crate::model::network::{Network, Ready, Role, Shape};
use serde::{Deserialize, Serialize};
use std::sync::Mutex;
use std::time::Instant;

/// Multiply-adds in a step above which its rows are shared between threads; below, the meeting
/// costs more than it saves.
const SHARED_WORK: usize = 2_000_000;
/// Rows a shard has at least.
const SHARD_ROWS: usize = 32;

/// The network of the best epoch so far.
#[derive(Debug, Clone, PartialEq)]
pub struct Best {
    /// 1-based.
    pub epoch: usize,
    /// Validation score: lower is better.
    pub score: f64,
    /// Its numbers.
    pub network: Network,
}

/// Everything that the rest of a fit depends on.
#[derive(Debug, Clone)]
pub struct State {
    /// Where it stands.
    pub position: Position,
    /// The network in training.
    pub network: Ready,
    /// Running means, in the order of [`Shape::arrays`].
    pub moments: Vec<Moments>,
    /// The best epoch so far.
    pub best: Option<Best>,
}

/// Where a fit stands.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
pub struct Position {
    /// Steps done.
    pub step: u64,
    /// Sum of the losses of this epoch's steps.
    pub epoch_loss: f64,
    /// Seconds of training in all attempts.
    pub elapsed_s: f64,
    /// Whether it diverged once and is trained again at a lower rate.
    #[serde(default)]
    pub slowed: bool,
}

/// What a fit tells its caller after steps and epochs; the caller may keep the state.
#[derive(Debug)]
pub enum Moment<'a> {
    /// An epoch has ended.
    Epoch(EpochScore),
    /// A step has ended: the share of all steps done, the 1-based epoch, the state.
    Step {
        /// 0 to 1.
        fraction: f64,
        /// 1-based.
        epoch: usize,
        /// To be kept for a resume.
        state: &'a State,
    },
}

/// How a fit ended.
#[derive(Debug, Clone)]
pub struct Fitted {
    /// The network of the best epoch.
    pub best: Best,
    /// Epochs done.
    pub epochs: usize,
    /// `time_limit` or `early_stopping`, where it ended before the last epoch.
    pub stopped: Option<&'static str>,
    /// Seconds in all attempts.
    pub elapsed_s: f64,
}

impl State {
    /// The state before the first step on `training`.
    pub fn initial(recipe: &Recipe, training: &Part, backend: Backend) -> Self {
        let Recipe { shape, seed, fold, .. } = recipe;
        Self {
            position: Position { step: 0, epoch_loss: 0.0, elapsed_s: 0.0, slowed: false },
            network: initial(recipe.initial, shape, backend, &training.features, *seed, *fold),
            moments: shape.arrays().iter().map(|array| Moments::new(&recipe.rule, array.len())).collect(),
            best: None,
        }
    }
}

/// Trains one network from `state` on. Must run on the leading thread of `team`.
///
/// # Errors
/// When it is stopped or diverges.
pub fn fit(
    recipe: &Recipe,
    training: &Part,
    validation: &Part,
    team: &Team,
    mut state: State,
    tell: &mut dyn FnMut(Moment),
    stop: &Stop,
) -> Result<Fitted, TrainError> {
    let started = Instant::now();
    let earlier_s = state.position.elapsed_s;
    // While others have the processor, this network's time stands still.
    let mut paused_s = 0.0;
    let n = training.features.len() / recipe.shape.inputs;
    let (batch, steps_per_epoch, total_steps) =
        (recipe.batch(n), recipe.steps_per_epoch(n), recipe.total_steps(n));
    let diverged = |epoch| TrainError::Diverged { epoch, learning_rate: recipe.learning_rate };
    let mut order: Option<(u64, Vec<usize>)> = None;
    loop {
        let epoch_index = state.position.step / steps_per_epoch;
        let epoch = epoch_index as usize + 1;
        let in_epoch = (state.position.step % steps_per_epoch) as usize;
        if order.as_ref().is_none_or(|(of, _)| *of != epoch_index) {
            let mut rng = stream(recipe.seed, Purpose::Order, u64::from(recipe.fold), epoch_index);
            order = Some((epoch_index, shuffled((0..n).collect(), &mut rng)));
        }
        let rows =
            order.as_ref().map_or(&[][..], |(_, order)| &order[in_epoch * batch..(in_epoch + 1) * batch]);

        let t = state.position.step as f64 / total_steps as f64;
        let rate = recipe.learning_rate * recipe.schedule.factor(t);
        let loss = step(recipe, training, rows, team, &mut state, t);
        if !loss.is_finite() {
            return Err(diverged(epoch));
        }
        state.position.step += 1;
        state.position.epoch_loss += loss;
        state.position.elapsed_s = earlier_s + started.elapsed().as_secs_f64() - paused_s;

        let late = recipe.time_limit_s.is_some_and(|limit| state.position.elapsed_s >= limit);
        let epoch_done = in_epoch as u64 + 1 == steps_per_epoch;
        if epoch_done || (late && state.best.is_none()) {
            let (score, validation_loss) = evaluate(&state.network, validation, team);
            if !score.is_finite() {
                return Err(diverged(epoch));
            }
            let train_loss = state.position.epoch_loss / (in_epoch + 1) as f64;
            state.position.epoch_loss = 0.0;
            let taken = match recipe.take_epoch {
                Some(wanted) => epoch == wanted,
                // Ties go to the later epoch.
                None => state.best.as_ref().is_none_or(|best| score <= best.score),
            };
            if taken || (late && state.best.is_none()) {
                let network = state.network.clone().into_network();
                state.best = Some(Best { epoch, score, network });
            }
            let (fold, epoch) = (recipe.fold, epoch as u32);
            let told_at = Instant::now();
            tell(Moment::Epoch(EpochScore { fold, epoch, train_loss, validation_loss, learning_rate: rate }));
            paused_s += told_at.elapsed().as_secs_f64();
        }
        let best_epoch = state.best.as_ref().map(|best| best.epoch);
        let waited = best_epoch.map_or(0, |best| epoch.saturating_sub(best));
        let stopped = if late {
            Some("time_limit")
        } else if epoch_done && recipe.patience.is_some_and(|patience| waited >= patience) {
            Some("early_stopping")
        } else {
            None
        };
        // Before anybody may keep the state or stop: a fit that has ended has nothing to be taken up again.
        let done = state.position.step >= total_steps || (epoch_done && recipe.take_epoch == Some(epoch));
        if done || stopped.is_some() {
            let stopped = stopped.filter(|_| !done);
            let elapsed_s = state.position.elapsed_s;
            return match state.best {
                Some(best) if best.network.is_finite() => {
                    Ok(Fitted { best, epochs: epoch, stopped, elapsed_s })
                }
                _ => Err(diverged(epoch)),
            };
        }
        tell(Moment::Step {
            fraction: state.position.step as f64 / total_steps as f64,
            epoch,
            state: &state,
        });

        stop.check()?;
    }
}

/// One step at `t`, the share of all steps already done; returns the mean loss of its rows before it.
pub fn step(recipe: &Recipe, training: &Part, rows: &[usize], team: &Team, state: &mut State, t: f64) -> f64 {
    let shape = &recipe.shape;
    let shards = n_shards(shape, rows.len(), team.len());
    let (number, batch_rows) = (state.position.step, rows.len());
    let share = recipe.dropout * recipe.regularization.factor(t);
    let gradients: Vec<Gradient> = team.each(shards, |shard| {
        let rows = &rows[shard * rows.len() / shards..(shard + 1) * rows.len() / shards];
        let mut x = Vec::with_capacity(rows.len() * shape.inputs);
        for row in rows {
            x.extend_from_slice(&training.features[row * shape.inputs..][..shape.inputs]);
        }
        let truth = training.truth.gather(rows, shape.outputs);
        let dropout = (share > 0.0).then_some(Dropout {
            share,
            seed: recipe.seed,
            epoch: u64::from(recipe.fold),
            step: number * 64 + shard as u64,
        });
        gradient(&state.network, &x, &truth.as_truth(), batch_rows, dropout)
    });
    descend(recipe, team, state, &gradients, t);
    gradients.iter().map(|gradient| gradient.loss).sum()
}

fn n_shards(shape: &Shape, n_rows: usize, n_threads: usize) -> usize {
    if n_rows * shape.n_parameters() * 3 < SHARED_WORK {
        1
    } else {
        n_threads.min(n_rows / SHARD_ROWS).max(1)
    }
}

/// One update of every parameter, shared between the threads where there are many.
fn descend(recipe: &Recipe, team: &Team, state: &mut State, gradients: &[Gradient], t: f64) {
    let rate = recipe.learning_rate * recipe.schedule.factor(t);
    let decay = recipe.weight_decay * recipe.regularization.factor(t);
    let number = state.position.step + 1;
    // The matrices become plain arrays for the update; on `flex` they move.
    let backend = state.network.backend;
    let layers = std::mem::take(&mut state.network.layers);
    let scale = state.network.scale.take();
    let embeddings = std::mem::take(&mut state.network.embeddings);
    let taken = Ready { shape: recipe.shape.clone(), backend, embeddings, scale, layers };
    let mut network = taken.into_network();

    let n_parts = if recipe.shape.n_parameters() < SHARED_WORK / 50 { 1 } else { team.len() };
    let mut parts: Vec<Vec<Stretch>> = (0..n_parts).map(|_| Vec::new()).collect();
    let arrays = network.arrays.iter_mut().zip(&mut state.moments).zip(recipe.shape.arrays());
    for (index, ((values, moments), array)) in arrays.enumerate() {
        let rate = rate * recipe.rate_factors.of(array.role);
        let decays = matches!(array.role, Role::Weight | Role::Vectors);
        let decay = if decays { rate * decay } else { 0.0 };
        let step = Step { rate: rate as f32, decay: decay as f32, number };
        let own: Vec<&[f32]> = gradients.iter().map(|gradient| gradient.arrays[index].as_slice()).collect();
        cut(step, values, moments, &own, &mut parts);
    }
    let parts: Vec<Mutex<Vec<Stretch>>> = parts.into_iter().map(Mutex::new).collect();
    team.each(n_parts, |part| {
        let stretches = std::mem::take(&mut *parts[part].lock().expect("each part has one taker"));
        stretches.into_iter().for_each(|stretch| update(&recipe.rule, stretch));
    });
    drop(parts);
    state.network = network.ready(backend);
}

/// Cuts one array into a stretch for each part.
fn cut<'a>(
    step: Step,
    mut parameters: &'a mut [f32],
    moments: &'a mut Moments,
    gradients: &[&'a [f32]],
    parts: &mut [Vec<Stretch<'a>>],
) {
    let (n, n_parts) = (parameters.len(), parts.len());
    let (mut first, mut second) = (moments.first.as_mut_slice(), moments.second.as_mut_slice());
    for (index, part) in parts.iter_mut().enumerate() {
        let range = index * n / n_parts..(index + 1) * n / n_parts;
        let head;
        (head, parameters) = parameters.split_at_mut(range.len());
        // A rule without one of the moments has an empty array for it.
        let head_first;
        (head_first, first) = first.split_at_mut(range.len().min(first.len()));
        let head_second;
        (head_second, second) = second.split_at_mut(range.len().min(second.len()));
        part.push(Stretch {
            step,
            parameters: head,
            first: head_first,
            second: head_second,
            gradients: gradients.iter().map(|gradient| &gradient[range.clone()]).collect(),
        });
    }
}

/// The validation score that chooses the epoch, and the loss that is shown.
///
/// The score of classes is their cross-entropy; that of numbers is the root mean square error in
/// standard deviations, averaged over the targets, so that no target decides by its unit.
fn evaluate(network: &Ready, validation: &Part, team: &Team) -> (f64, f64) {
    if validation.features.is_empty() {
        return (0.0, 0.0); // The epoch is already chosen.
    }
    let outputs = forward(network, &validation.features, team);
    let width = network.shape.outputs;
    let loss = mean_loss(&outputs, &validation.truth.as_truth(), width);
    match &validation.truth {
        OwnedTruth::Classes(_) => (loss, loss),
        OwnedTruth::Numbers(targets) => {
            let mut squares = vec![0.0_f64; width];
            for (row, truth) in outputs.chunks_exact(width).zip(targets.chunks_exact(width)) {
                for ((sum, output), target) in squares.iter_mut().zip(row).zip(truth) {
                    *sum += f64::from(output - target).powi(2);
                }
            }
            let n = (outputs.len() / width).max(1) as f64;
            let score = squares.iter().map(|sum| (sum / n).sqrt()).sum::<f64>() / width as f64;
            (score, loss)
        }
    }
}

/// The outputs for `features`, `[n, inputs]`, shared between the threads.
pub fn forward(network: &Ready, features: &[f32], team: &Team) -> Vec<f32> {
    let inputs = network.shape.inputs;
    let n = features.len() / inputs;
    let shards = n_shards(&network.shape, n, team.len());
    let parts = team.each(shards, |shard| {
        let rows = shard * n / shards..(shard + 1) * n / shards;
        network.forward(&features[rows.start * inputs..rows.end * inputs])
    });
    parts.concat()
}
