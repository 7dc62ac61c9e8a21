//! How rows are held out: for the test, and to choose the epoch.

use super::find;
use super::settings::Settings;
use crate::dataset::{ColumnKind, Description};
use crate::model::manifest::Task;
use crate::training::spec::{
    Preset, Spec, SpecError, SplitMethod, TrainRequest, Validation, ValidationRequest,
};

/// Folds where a request says nothing: many where there are few rows, since each network is then fitted
/// on more of them, and more of them answer together.
const FOLDS: usize = 5;
const MANY_FOLDS: usize = 10;
/// Rows of a table up to which that is affordable.
const FEW_ROWS: u64 = 2000;

impl Settings {
    pub(super) fn validation(
        &mut self,
        request: &TrainRequest,
        data: &Description,
        task: Task,
        preset: Preset,
    ) -> Validation {
        let empty = ValidationRequest::default();
        let wanted = request.validation.as_ref().unwrap_or(&empty);
        let default = match (&wanted.group, &wanted.time, task) {
            (Some(_), _, _) => SplitMethod::Group,
            (None, Some(_), _) => SplitMethod::Time,
            (None, None, Task::Classification) => SplitMethod::Stratified,
            (None, None, Task::Regression) => SplitMethod::Random,
        };
        let method = self.choice(
            "/validation/method",
            wanted.method.as_deref(),
            default,
            "random, stratified, group, time",
        );
        if wanted.group.is_some() && method != SplitMethod::Group {
            let message =
                "counts only where rows are split by group; leave it out, or set \"method\": \"group\"";
            self.refuse("/validation/group", message.to_owned());
        }
        if wanted.time.is_some() && method != SplitMethod::Time {
            let message =
                "counts only where rows are split by time; leave it out, or set \"method\": \"time\"";
            self.refuse("/validation/time", message.to_owned());
        }
        let stratified_numbers = method == SplitMethod::Stratified && task == Task::Regression;
        if stratified_numbers {
            self.refuse("/validation/method", "stratified splits need classes; use random".to_owned());
        }
        if method == SplitMethod::Group && wanted.group.is_none() {
            let message = "name the column whose equal values must stay together".to_owned();
            self.refuse("/validation/group", message);
        }
        if method == SplitMethod::Time && wanted.time.is_none() {
            self.refuse("/validation/time", "name the column that orders the rows".to_owned());
        }
        let usual = if data.rows <= FEW_ROWS { MANY_FOLDS } else { FOLDS };
        let default_folds = match (preset, method) {
            (Preset::Fast, _) | (_, SplitMethod::Time) => 1,
            (_, SplitMethod::Group) => {
                let group = data.columns.iter().find(|column| Some(&column.name) == wanted.group.as_ref());
                // Some groups are for the test part, and every fold needs one of its own.
                group.map_or(usual, |column| (column.distinct as usize * 3 / 5).clamp(1, usual))
            }
            (_, _) => usual,
        };
        let folds = self.integer("/validation/folds", wanted.folds, default_folds, 1, 20);
        if method == SplitMethod::Time && folds > 1 {
            let message = "a split by time has one validation part: leave \"folds\" out".to_owned();
            self.refuse("/validation/folds", message);
        }
        let test_size = self.real("/validation/test_size", wanted.test_size, 0.2, 0.0, 0.9);
        if test_size == 0.0 && folds == 1 {
            let message =
                "0 is allowed only with \"folds\" of 2 or more, whose left-out rows give the metrics"
                    .to_owned();
            self.refuse("/validation/test_size", message);
        } else if test_size > 0.0 && test_size * (data.rows as f64) < 2.0 {
            let message = format!("{test_size} of {} rows leaves fewer than two to test on", data.rows);
            self.refuse("/validation/test_size", message);
        }
        let validation_size =
            self.real("/validation/validation_size", wanted.validation_size, 0.2, 0.01, 0.9);
        Validation {
            test_size,
            validation_size,
            method,
            group: wanted.group.clone(),
            time: wanted.time.clone(),
            folds,
        }
    }
}

pub(super) fn check_columns_of_split(spec: &Spec, data: &Description) -> Result<(), SpecError> {
    if let Some(name) = &spec.validation.group {
        find(data, name, "/validation/group")?;
    }
    if let Some(name) = &spec.validation.time {
        let column = find(data, name, "/validation/time")?;
        if !matches!(column.kind, ColumnKind::Date | ColumnKind::Number | ColumnKind::Identifier) {
            let message = format!("\"{name}\" is neither a date nor a number, so it cannot order the rows");
            return Err(SpecError::new("invalid-parameter", "/validation/time", message));
        }
    }
    Ok(())
}

/// Rows that each network is fitted on.
pub(super) fn n_training_rows(rows: u64, validation: &Validation) -> usize {
    let kept_for_validation =
        if validation.folds > 1 { 1.0 / validation.folds as f64 } else { validation.validation_size };
    (rows as f64 * (1.0 - validation.test_size) * (1.0 - kept_for_validation)) as usize
}
