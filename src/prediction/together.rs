//! Small requests to one model are answered together: the weights are read from memory once for all of them, which is
//! most of what a row costs.
//!
//! ```text
//! request 1: nobody computes -> leads: lets others that are ready come, computes for all that wait, answers them
//! request 2: somebody computes -> waits; is answered, or told to lead when request 1 has its answer
//! ```
//!
//! Nobody waits for company: whoever comes alone is answered at once. The sums of a row go over its inputs in the same
//! order whatever stands beside it, so the answer does not depend on the company either.

use super::{INLINE_LIMIT, Loaded};
use crate::model::{Cell, PredictError, PredictOptions, Predictions, RowWarning, TargetPrediction};
use std::{
    ops::Range,
    sync::{Arc, Mutex, MutexGuard},
};
use tokio::sync::oneshot;

/// Those who wait for the one who computes.
#[derive(Debug, Default)]
pub(super) struct Line(Mutex<Waiting>);

#[derive(Debug, Default)]
struct Waiting {
    is_led: bool,
    requests: Vec<Request<'static>>,
}

/// The rows of one request.
#[derive(Debug)]
struct Request<'a> {
    cells: Vec<Cell<'a>>,
    n_rows: usize,
    options: PredictOptions,
    /// Absent for the one who leads.
    turn: Option<oneshot::Sender<Turn>>,
}

/// What somebody who waits is told.
#[derive(Debug)]
enum Turn {
    Answered(Result<Predictions, PredictError>),
    /// Compute for yourself and the others; here are your cells again.
    Lead(Lead, Vec<Cell<'static>>),
}

impl Line {
    fn lock(&self) -> MutexGuard<'_, Waiting> {
        self.0.lock().expect("no holder of this lock can panic")
    }
}

/// Answers rows that do not take long, together with those of others.
pub(super) async fn predict(
    loaded: &Arc<Loaded>,
    cells: Vec<Cell<'_>>,
    n_rows: usize,
    options: PredictOptions,
) -> Result<Predictions, PredictError> {
    let turn = {
        let mut waiting = loaded.line.lock();
        if waiting.is_led {
            let (turn, told) = oneshot::channel();
            let cells: Vec<Cell<'static>> = cells.iter().cloned().map(super::own).collect();
            waiting.requests.push(Request { cells, n_rows, options, turn: Some(turn) });
            Some(told)
        } else {
            waiting.is_led = true;
            None
        }
    };
    match turn {
        None => Lead(Some(loaded.clone())).lead(loaded, cells, n_rows, options).await,
        Some(told) => match told.await {
            Ok(Turn::Answered(answer)) => answer,
            Ok(Turn::Lead(lead, cells)) => lead.lead(loaded, cells, n_rows, options).await,
            // The one who computed has panicked; what made it panic may be here.
            Err(_) => loaded.predict_measured(&cells, n_rows, &options),
        },
    }
}

/// Leads until it is dropped, on whatever way out, also if whoever is to lead goes away before it hears of that; then
/// the next one leads, if anybody waits.
#[derive(Debug)]
struct Lead(Option<Arc<Loaded>>);

impl Lead {
    async fn lead(
        self,
        loaded: &Loaded,
        cells: Vec<Cell<'_>>,
        n_rows: usize,
        options: PredictOptions,
    ) -> Result<Predictions, PredictError> {
        // Requests that this thread has read already get into the line now.
        tokio::task::yield_now().await;
        let mut requests = vec![Request { cells, n_rows, options, turn: None }];
        requests.extend(loaded.line.lock().take_like(loaded, n_rows, options));
        if requests.len() == 1 {
            return loaded.predict_measured(&requests[0].cells, n_rows, &options);
        }
        let mut answers = together(loaded, &requests, options).into_iter();
        let own = answers.next().expect("one answer per request");
        for (request, answer) in requests.into_iter().skip(1).zip(answers) {
            // Whoever has gone away does not mind.
            let _ = request.turn.map(|turn| turn.send(Turn::Answered(answer)));
        }
        own
    }
}

impl Drop for Lead {
    fn drop(&mut self) {
        let Some(loaded) = self.0.take() else { return };
        loop {
            let next = {
                let mut waiting = loaded.line.lock();
                waiting.is_led = !waiting.requests.is_empty();
                if !waiting.is_led {
                    return;
                }
                waiting.requests.remove(0)
            };
            let Request { cells, turn: Some(turn), .. } = next else { continue };
            match turn.send(Turn::Lead(Self(Some(loaded.clone())), cells)) {
                Ok(()) => return,
                // It has gone away, and must not pass on what it never had.
                Err(Turn::Lead(mut lead, _)) => drop(lead.0.take()),
                Err(Turn::Answered(_)) => {}
            }
        }
    }
}

/// One answer per request.
fn together(
    loaded: &Loaded,
    requests: &[Request],
    options: PredictOptions,
) -> Vec<Result<Predictions, PredictError>> {
    let n_rows = requests.iter().map(|request| request.n_rows).sum();
    let cells: Vec<Cell> = requests.iter().flat_map(|request| request.cells.iter().cloned()).collect();
    match loaded.predict_measured(&cells, n_rows, &options) {
        Ok(all) => {
            let mut begin = 0;
            let ranges = requests.iter().map(|request| {
                begin += request.n_rows;
                begin - request.n_rows..begin
            });
            ranges.map(|rows| Ok(of_rows(&all, rows))).collect()
        }
        // Only those whose own cells cannot be used are refused.
        Err(_) => requests
            .iter()
            .map(|request| loaded.predict_measured(&request.cells, request.n_rows, &options))
            .collect(),
    }
}

impl Waiting {
    /// Takes those who want the same as somebody with `n_rows` rows, while it is quick for all of them.
    fn take_like(
        &mut self,
        loaded: &Loaded,
        n_rows: usize,
        options: PredictOptions,
    ) -> Vec<Request<'static>> {
        let mut n_rows = n_rows;
        let mut taken = Vec::new();
        let mut left = Vec::new();
        for request in self.requests.drain(..) {
            let n_together = n_rows + request.n_rows;
            if request.options == options && loaded.estimate(n_together) <= INLINE_LIMIT {
                n_rows = n_together;
                taken.push(request);
            } else {
                left.push(request);
            }
        }
        self.requests = left;
        taken
    }
}

/// The predictions of some rows, as if nothing stood beside them.
fn of_rows(all: &Predictions, rows: Range<usize>) -> Predictions {
    let of_target = |target: &TargetPrediction| match target {
        TargetPrediction::Number { name, values, bounds } => TargetPrediction::Number {
            name: name.clone(),
            values: values[rows.clone()].to_vec(),
            bounds: bounds.as_ref().map(|bounds| bounds[rows.clone()].to_vec()),
        },
        TargetPrediction::Class { name, classes, labels, probabilities, sets } => TargetPrediction::Class {
            name: name.clone(),
            classes: classes.clone(),
            labels: labels[rows.clone()].to_vec(),
            probabilities: probabilities[rows.start * classes.len()..rows.end * classes.len()].to_vec(),
            sets: sets[rows.clone()].to_vec(),
        },
    };
    let own = all.warnings.iter().filter(|warning| rows.contains(&warning.row));
    Predictions {
        targets: all.targets.iter().map(of_target).collect(),
        confidence: all.confidence,
        in_domain: all.in_domain[rows.clone()].to_vec(),
        domain_score: all.domain_score[rows.clone()].to_vec(),
        warnings: own.map(|own| RowWarning { row: own.row - rows.start, ..own.clone() }).collect(),
        sensitivities: None,
    }
}
