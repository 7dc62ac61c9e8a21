//! What a training will take: memory, time, and how many weights it has.

use super::MAX_LEVELS;
use super::validation::n_training_rows;
use crate::dataset::{ColumnKind, ColumnProfile, Description};
use crate::model::manifest::Task;
use crate::training::recipe::variants;
use crate::training::spec::{Architecture, Estimate, Spec};

/// Encoded features of a column, about.
fn width(column: &ColumnProfile) -> usize {
    match column.kind {
        ColumnKind::Category => (column.distinct as usize).clamp(1, MAX_LEVELS),
        ColumnKind::Date => 7,
        _ => 1 + usize::from(column.missing > 0),
    }
}

pub(super) fn estimate(spec: &Spec, data: &Description) -> Estimate {
    let columns = data.columns.iter().filter(|column| spec.features.contains(&column.name));
    let inputs: usize = columns.map(width).sum();
    let outputs = match spec.task {
        Task::Regression => spec.targets.len(),
        Task::Classification => data
            .columns
            .iter()
            .find(|column| column.name == spec.targets[0])
            .map_or(2, |column| column.distinct as usize),
    };
    let columns = data.columns.iter().filter(|column| spec.features.contains(&column.name));
    let embedded = match spec.architecture {
        Architecture::RealmlpTd => columns.filter(|column| column.kind != ColumnKind::Category).count(),
        _ => 0,
    };
    let mut sizes = vec![inputs + 3 * embedded];
    sizes.extend(&spec.hidden_layers);
    sizes.push(outputs);
    let n_parameters: usize = sizes.windows(2).map(|pair| (pair[0] + 1) * pair[1]).sum();
    let rows = data.rows as usize;
    let units: usize = sizes.iter().sum();
    // The table itself, its encoding, and weights, gradients, two moments and the best copy.
    let memory_bytes = rows * (data.columns.len() * 8 + inputs * 4)
        + n_parameters * 4 * 6
        + 2 * units * 4 * spec.batch_size.max(1024);
    let training_rows = n_training_rows(data.rows, &spec.validation);
    // Forward and backward cost about 6 operations per weight and row; small steps have a floor.
    let step_s = 3e-5 + 6.0 * n_parameters as f64 * spec.batch_size as f64 / 8e10;
    let steps = (training_rows as f64 / spec.batch_size as f64).max(1.0) * spec.epochs as f64;
    let n_networks =
        spec.validation.folds * variants(spec, spec.architecture == Architecture::RealmlpTd).len();
    let train_s = (steps * step_s * n_networks as f64).min(spec.time_limit_s.unwrap_or(f64::MAX));
    Estimate { train_s, memory_bytes: memory_bytes as u64, n_parameters: n_parameters as u64 }
}
