//! The training that workers run: bytes in, `training::train`, bytes out.

use super::{Failure, Outcome, Trainer, Work};
use crate::dataset::parquet;
use crate::model::manifest::Task;
use crate::training::{self, Compute, Data, Event, Spec, Stop, TrainError};

/// The trainer that computes with `compute`.
pub fn trainer(compute: Compute) -> Trainer {
    Trainer::new(move |work, observe, stop| train(&work, &compute, observe, stop))
}

fn train(
    work: &Work,
    compute: &Compute,
    observe: &mut (dyn FnMut(Event) + Send),
    stop: &Stop,
) -> Result<Outcome, Failure> {
    let spec: Spec = serde_json::from_value(work.request.clone()).map_err(|error| {
        Failure::new(
            "settings-unreadable",
            format!("the settings of this training were written by another version of the program: {error}; train again"),
        )
    })?;
    let table = parquet::read(&*work.table).map_err(|error| {
        Failure::new(
            "dataset-corrupt",
            format!("the stored table cannot be read: {error}; upload the file again"),
        )
    })?;
    let data = Data { table: &table, description: &work.description, test_rows: None };
    let mut trained =
        training::train(&data, &spec, compute, work.resume.as_deref(), observe, stop).map_err(|error| {
            match error {
                TrainError::Stopped(reason) => Failure::Stopped(reason),
                error => Failure::new(error.slug(), error.to_string()),
            }
        })?;
    trained.card["lineage"] = serde_json::json!({
        "dataset": work.dataset,
        "program": {"name": env!("CARGO_PKG_NAME"), "version": env!("CARGO_PKG_VERSION")},
        "seed": spec.seed,
    });
    let task = match spec.task {
        Task::Regression => "regression",
        Task::Classification => "classification",
    };
    Ok(Outcome {
        file: trained.bytes,
        task: task.into(),
        targets: spec.targets,
        metrics: trained.metrics,
        card: trained.card,
        stopped: trained.stopped,
        warnings: trained.warnings,
        train_s: trained.train_s,
    })
}
