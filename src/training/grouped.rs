//! The score of one network that is tested on whole cases, where cases are measured again and again.

use super::blend::Blend;
use super::calibration::calibrate;
use super::ensemble::fit_all;
use super::event::Stop;
use super::prepare::{data_error, prepare};
use super::score;
use super::session::Session;
use super::spec::{Preset, Spec, SplitMethod};
use super::split::{Rows, split};
use super::team::Team;
use super::view::{fitting_rows, views};
use super::{Compute, Data, TrainError};
use crate::dataset::ColumnKind;
use crate::model::plain_answers;
use serde_json::Value;

/// The metrics of one network that is tested on whole cases of `column`, beside those of a split in which it
/// knows the cases. Under a time limit there are `left_s` seconds for it.
pub(super) fn score(
    data: &Data,
    spec: &Spec,
    column: &str,
    left_s: Option<f64>,
    compute: &Compute,
    team: &Team,
    stop: &Stop,
) -> Result<Value, TrainError> {
    let spec = &Spec { time_limit_s: left_s, ..by_group(data, spec, column) };
    let prepared = prepare(data.table, data.description, spec)?;
    let keys = prepared.split_keys();
    let split = &split(&Rows { usable: &prepared.usable, keys: &keys, given_test: None }, spec)?;
    let (inputs, _) = prepared.inputs(&fitting_rows(split))?;
    let (view, _) = &views(&prepared, split, inputs)?;
    // Nobody would go on from a checkpoint of it.
    let compute = &Compute { checkpoint_s: f64::INFINITY, ..*compute };
    let session = Session { prepared: &prepared, split, view, refit: None, compute, team, stop };
    let fitted = fit_all(&session, None, &mut |_| {})?.chosen;
    if fitted.iter().any(|fitted| fitted.stopped == Some("time_limit")) {
        let message = "the time limit left too little for a score by group; allow more with \"time_limit_s\"";
        return Err(data_error("time-limit", message.to_owned()));
    }
    let blend = Blend::of(&session, fitted);
    let (judged, outputs) = blend.judged(&session);
    let answers = plain_answers(&prepared.targets(&view.rows), &calibrate(&session, &blend), &outputs);
    Ok(score::score(&prepared.truth, &judged, &answers, &session.stds()).to_json(&spec.targets))
}

/// `spec` for one network, as a request for a split by `column` has it.
fn by_group(data: &Data, spec: &Spec, column: &str) -> Spec {
    let mut spec = spec.clone();
    spec.preset = Preset::Fast;
    spec.refit = false;
    spec.validation.method = SplitMethod::Group;
    spec.validation.group = Some(column.to_owned());
    spec.validation.folds = 1;
    // Names of cases tell nothing about others.
    let is_category = data.table.column(column).is_some_and(|column| column.kind == ColumnKind::Category);
    if is_category && spec.features.len() > 1 {
        spec.features.retain(|feature| feature != column);
    }
    if spec.validation.test_size == 0.0 {
        spec.validation.test_size = 0.2;
    }
    spec
}
