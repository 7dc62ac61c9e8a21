//! How the time limit of a training is divided among its networks.
//!
//! The networks that are fitted once more have their part of it kept for them: a network that is stopped in the
//! middle of its schedule is of no use without a validation part to choose an epoch by.

use super::board::finished;
use super::checkpoint::Slot;
use super::session::Session;
use std::ops::Range;

/// How much more time than its share of the rows says a network is left that is trained again on all.
const REFIT_SLACK: f64 = 1.2;

/// A network among those that are fitted with it.
#[derive(Debug, Clone, Copy)]
pub(super) struct Place {
    pub(super) index: usize,
    /// One after the last of those.
    pub(super) end: usize,
    /// How many of them are fitted at a time.
    pub(super) lanes: usize,
}

/// Whether another variant, as slow as the slowest so far, would end before the time limit, after `n_done`
/// networks.
pub(super) fn has_time_for_more(session: &Session, n_done: usize, slots: &[Slot]) -> bool {
    let Some(limit_s) = limit_of_chosen(session) else { return true };
    if !matches!(slots[n_done], Slot::Waiting) {
        return true; // Begun in an earlier attempt.
    }
    let seconds: Vec<f64> =
        slots[..n_done].iter().map(|slot| finished(slot).map_or(0.0, |fitted| fitted.elapsed_s)).collect();
    let variants = seconds.chunks(session.split.folds.len());
    let slowest = variants.map(|variant| variant.iter().sum::<f64>()).fold(0.0, f64::max);
    (seconds.iter().sum::<f64>() + slowest) / session.lanes() < limit_s
}

/// The seconds for the networks that choose their epochs: with refit, not all that are allowed.
fn limit_of_chosen(session: &Session) -> Option<f64> {
    let limit_s = session.spec().time_limit_s?;
    let n = session.split.folds[0].training.len() as f64;
    let again = session.refit.map_or(0.0, |view| view.rows.len() as f64 / n);
    Some(limit_s / (1.0 + REFIT_SLACK * again))
}

/// The seconds that the network at `place` may take of what those that have ended have left.
pub(super) fn time_limit(session: &Session, place: Place, slots: &[Slot]) -> Option<f64> {
    let Place { index, end, lanes } = place;
    let (n_folds, n_chosen) = (session.split.folds.len(), session.n_chosen());
    let used_s: f64 = slots.iter().filter_map(finished).map(|fitted| fitted.elapsed_s).sum();
    let left_s = |limit_s: f64| (limit_s * lanes as f64 - used_s).max(0.0);
    let not_ended = |range: Range<usize>| range.filter(|i| finished(&slots[*i]).is_none());
    if index < n_chosen {
        // Those of its variant have equal shares.
        let n_left = not_ended(index / n_folds * n_folds..end).count();
        return Some(left_s(limit_of_chosen(session)?) / n_left as f64);
    }
    // Those that are fitted again have shares of the time that it took to come to their epochs.
    let took_s = |i: usize| {
        let chosen = finished(&slots[i - n_chosen]);
        chosen.map_or(0.0, |fitted| fitted.elapsed_s * fitted.best.epoch as f64 / fitted.epochs as f64)
    };
    let all_s: f64 = not_ended(n_chosen..end).map(took_s).sum();
    Some(left_s(session.spec().time_limit_s?) * took_s(index) / all_s.max(f64::MIN_POSITIVE))
}
