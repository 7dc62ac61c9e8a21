//! The score of one network that is tested on whole cases, where cases are measured again and again.

use super::event::Stop;
use super::run::run;
use super::spec::{Preset, Spec, SplitMethod};
use super::team::Team;
use super::{Compute, Data, TrainError};
use crate::dataset::ColumnKind;
use serde_json::Value;

/// The metrics of one network that is tested on whole cases of `column`, beside those of a split in
/// which it knows the cases.
pub(super) fn score(
    data: &Data,
    spec: &Spec,
    compute: &Compute,
    stop: &Stop,
    team: &Team,
    column: &str,
) -> Result<Value, TrainError> {
    let spec = by_group(data, spec, column);
    let data = Data { test_rows: None, ..*data };
    let trained = run(&data, &spec, compute, None, &mut |_| {}, stop, team)?;
    Ok(trained.metrics)
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
