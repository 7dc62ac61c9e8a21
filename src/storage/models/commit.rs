//! The one transaction that ends a training with a model.

use super::{ModelRecord, NewModel, columns, columns_without_aliases, name, own_columns};
use crate::dataset::Warning;
use crate::id::{ModelId, TrainingId};
use crate::storage::{
    Db, Lease, Result, StorageError,
    column::{Count, Document},
    lease::leased,
    with_pool,
};
use chrono::{DateTime, Utc};

/// What came of [`commit`].
#[derive(Debug, Clone, PartialEq)]
pub enum Committed {
    /// The model is listed and the training has succeeded.
    Stored(Box<ModelRecord>),
    /// The training was asked to stop before; nothing was changed.
    CancelRequested,
}

/// Gives a name its next version. The counter is a row, so that concurrent commits queue for it
/// and no version is given twice.
pub(super) const NEXT_VERSION: &str = "
    INSERT INTO model_names (name_key, last_version) VALUES ($1, 1)
    ON CONFLICT (name_key) DO UPDATE SET last_version = model_names.last_version + 1
    RETURNING last_version";

pub(super) const INSERT_TAG: &str = "INSERT INTO model_tags (model_id, tag, value) VALUES ($1, $2, $3)";

const INSERT: &str = concat!(
    "INSERT INTO models (model_id, model_name, name_key, version, task, targets, dataset_id, training_id,
                         metrics, card, size_bytes, sha256, train_s, tags, description, status, created_at)
     VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12, $13, $14, $15, 'ready', $16)
     RETURNING ",
    columns_without_aliases!()
);
const INSERT_METRIC: &str = "INSERT INTO model_metrics (model_id, name, value) VALUES ($1, $2, $3)";

const SPELLING: &str = "SELECT model_name FROM models WHERE name_key = $1 ORDER BY version LIMIT 1";

/// Inserts `model` as the next version of its name, with what lists sort and filter by; the record that came of
/// it. A macro, because the transactions of the two databases have different types.
macro_rules! stored {
    ($tx:ident, $model:expr, $training_id:expr, $now:expr) => {{
        let model: &NewModel = $model;
        let name_key = name::key(&model.model_name);
        // A name has one spelling, that of its first model.
        let spelling: Option<String> =
            sqlx::query_scalar(SPELLING).bind(&name_key).fetch_optional(&mut *$tx).await?;
        let version: i64 = sqlx::query_scalar(NEXT_VERSION).bind(&name_key).fetch_one(&mut *$tx).await?;
        let stored: ModelRecord = sqlx::query_as(INSERT)
            .bind(model.model_id)
            .bind(spelling.as_ref().unwrap_or(&model.model_name))
            .bind(name_key)
            .bind(version)
            .bind(&model.task)
            .bind(Document(model.targets.clone()))
            .bind(model.dataset_id)
            .bind($training_id)
            .bind(Document(model.metrics.clone()))
            .bind(Document(model.card.clone()))
            .bind(Count(model.size_bytes))
            .bind(&model.sha256)
            .bind(model.train_s)
            .bind(Document(model.tags.clone()))
            .bind(&model.description)
            .bind($now)
            .fetch_one(&mut *$tx)
            .await?;
        for (name, value) in numbers(&model.metrics) {
            sqlx::query(INSERT_METRIC).bind(model.model_id).bind(name).bind(value).execute(&mut *$tx).await?;
        }
        for (tag, value) in &model.tags {
            sqlx::query(INSERT_TAG).bind(model.model_id).bind(tag).bind(value).execute(&mut *$tx).await?;
        }
        stored
    }};
}

/// What came of [`import`].
#[derive(Debug, Clone, PartialEq)]
pub enum Imported {
    /// It is listed.
    Stored(Box<ModelRecord>),
    /// The name has a version with the same file, and nothing was changed.
    Known(Box<ModelRecord>),
}

/// Stores a model that was trained elsewhere, as the next version of its name, unless the same file is there already;
/// its own file is stored by now. It has no training and no dataset: its own identifier stands for both.
///
/// # Errors
/// [`StorageError::NameInUse`] if a model has the name in another spelling.
pub async fn import(db: &Db, model: &NewModel, now: DateTime<Utc>) -> Result<Imported> {
    const SAME: &str = concat!(
        "SELECT ",
        columns!(),
        " FROM models WHERE name_key = $1 AND sha256 = $2 AND status = 'ready' AND model_id <> $3
          ORDER BY version DESC LIMIT 1"
    );
    with_pool!(db, |pool| {
        let mut tx = pool.begin_with(db.begin_write()).await?;
        let other: Option<String> = sqlx::query_scalar(super::OTHER_SPELLING)
            .bind(name::key(&model.model_name))
            .bind(&model.model_name)
            .fetch_optional(&mut *tx)
            .await?;
        if let Some(name) = other {
            return Err(StorageError::NameInUse { name });
        }
        let stored = stored!(tx, model, TrainingId(model.model_id.0), now);
        // Looked for after the counter of the name was taken, for which others of the same name wait.
        let known: Option<ModelRecord> = sqlx::query_as(SAME)
            .bind(name::key(&model.model_name))
            .bind(&model.sha256)
            .bind(model.model_id)
            .fetch_optional(&mut *tx)
            .await?;
        if let Some(known) = known {
            tx.rollback().await?;
            return Ok(Imported::Known(Box::new(known)));
        }
        tx.commit().await?;
        Ok(Imported::Stored(Box::new(stored)))
    })
}

/// Stores the model and marks its training as succeeded, if the lease still holds.
///
/// It may be called again after an error with the same `model_id`: a commit whose answer got lost
/// is recognised and not reported as a lost lease.
pub async fn commit(
    db: &Db,
    lease: &Lease,
    model: &NewModel,
    stopped: Option<&str>,
    warnings: &[Warning],
    now: DateTime<Utc>,
) -> Result<Committed> {
    const SUCCEED: &str = concat!(
        "UPDATE trainings SET status = 'succeeded', finished_at = $4, model_id = $5, progress = 1, eta_s = 0,
             message = 'done', stopped = $6, warnings = $7, checkpoint = NULL
         WHERE NOT cancel_requested AND ",
        leased!("training_id")
    );
    const HELD: &str = concat!("SELECT attempt FROM trainings WHERE ", leased!("training_id"));
    with_pool!(db, |pool| {
        let mut tx = pool.begin_with(db.begin_write()).await?;
        let succeeded = sqlx::query(SUCCEED)
            .bind(lease.job_id)
            .bind(lease.owner)
            .bind(lease.attempt)
            .bind(now)
            .bind(model.model_id)
            .bind(stopped)
            .bind(Document(warnings.to_vec()))
            .execute(&mut *tx)
            .await?;
        if succeeded.rows_affected() == 0 {
            let held: Option<i64> = sqlx::query_scalar(HELD)
                .bind(lease.job_id)
                .bind(lease.owner)
                .bind(lease.attempt)
                .fetch_optional(&mut *tx)
                .await?;
            tx.rollback().await?;
            return match (held, stored_before(db, lease, model.model_id).await?) {
                (_, Some(model)) => Ok(Committed::Stored(Box::new(model))),
                (Some(_), None) => Ok(Committed::CancelRequested),
                (None, None) => Err(StorageError::LeaseLost),
            };
        }
        let stored = stored!(tx, model, lease.job_id, now);
        tx.commit().await?;
        Ok(Committed::Stored(Box::new(stored)))
    })
}

/// The model, if an earlier call stored it and only its answer got lost.
async fn stored_before(db: &Db, lease: &Lease, model_id: ModelId) -> Result<Option<ModelRecord>> {
    Ok(super::get(db, model_id).await?.filter(|model| model.training_id == lease.job_id))
}

/// The finite numbers of a metrics document under their dotted paths: what lists can sort by.
fn numbers(metrics: &serde_json::Value) -> Vec<(String, f64)> {
    fn collect(value: &serde_json::Value, path: &str, found: &mut Vec<(String, f64)>) {
        match value {
            serde_json::Value::Object(fields) => {
                for (name, value) in fields {
                    let path = if path.is_empty() { name.clone() } else { format!("{path}.{name}") };
                    collect(value, &path, found);
                }
            }
            serde_json::Value::Number(number) => {
                if let Some(number) = number.as_f64().filter(|number| number.is_finite()) {
                    found.push((path.replace('\0', ""), number));
                }
            }
            _ => {}
        }
    }
    let mut found = Vec::new();
    collect(metrics, "", &mut found);
    // Paths may meet: {"a": {"b": 1}, "a.b": 2}.
    found.sort_by(|one, other| one.0.cmp(&other.0));
    found.dedup_by(|one, other| one.0 == other.0);
    found
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn metrics_are_sorted_by_their_dotted_paths() {
        let metrics = json!({
            "rmse": 0.5, "n": 3, "r2": null, "confusion": [[1, 2]], "a": {"b": 1}, "a.b": 2,
            "per_target": {"Cl": {"rmse": 0.25}}
        });
        let found = numbers(&metrics);
        let expected = [("a.b", 1.0), ("n", 3.0), ("per_target.Cl.rmse", 0.25), ("rmse", 0.5)]
            .map(|(n, v)| (n.to_owned(), v));
        assert_eq!(found, expected);
    }
}
