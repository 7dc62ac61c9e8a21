//! Models: one row per trained network; the file is the blob `Model` under the same id.

mod alias;
mod commit;
mod index;
mod list;
mod name;

pub use alias::{MAX_ALIAS_CHARS, is_alias, remove_alias, set_alias};
pub use commit::{Committed, Imported, commit, import};
pub use index::{index, names, versions};
pub use list::{ModelFilter, ModelSort, SortKey, list};

use crate::id::{DatasetId, ModelId, TrainingId};
use crate::storage::{
    Db, Result, StorageError,
    column::{Count, Document, from_row, texts},
    with_pool, written,
};
use chrono::{DateTime, Utc};
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;

/// Whether a model can be used.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum ModelStatus {
    /// Its file is there and was whole when last read.
    Ready,
    /// Its file has not the bytes that were stored.
    Corrupt,
    /// Its file is not there.
    Missing,
}

texts!(
    ModelStatus,
    { Ready: "ready", Corrupt: "corrupt", Missing: "missing" },
    |text| format!("{text:?} is not a status: ready, corrupt or missing")
);

/// One model, without its card (see [`card`]).
#[derive(Debug, Clone, PartialEq)]
pub struct ModelRecord {
    /// The identifier; UUIDv7.
    pub model_id: ModelId,
    /// Its name, shared by all its versions.
    pub model_name: String,
    /// Counts from 1 for each name.
    pub version: i64,
    /// Further names, in order: `polar@champion` is this model if `champion` is among them.
    pub aliases: Vec<String>,
    /// `regression` or `classification`.
    pub task: String,
    /// The columns it predicts.
    pub targets: Vec<String>,
    /// The dataset it learnt from; may have been deleted since.
    pub dataset_id: DatasetId,
    /// The training that made it.
    pub training_id: TrainingId,
    /// The metrics of the test part.
    pub metrics: serde_json::Value,
    /// Size of its file.
    pub size_bytes: u64,
    /// SHA-256 of its file, in hexadecimal.
    pub sha256: String,
    /// Seconds it was trained for.
    pub train_s: f64,
    /// Free labels.
    pub tags: BTreeMap<String, String>,
    /// Free text.
    pub description: String,
    /// Whether it can be used.
    pub status: ModelStatus,
    /// When it was stored.
    pub created_at: DateTime<Utc>,
}

impl ModelRecord {
    /// Whether it was trained elsewhere and [imported](import): its own identifier stands in the place of a
    /// training and a dataset.
    pub fn is_imported(&self) -> bool {
        self.training_id.0 == self.model_id.0
    }
}

/// All columns of the table but the card, which is as large as the others are small.
macro_rules! own_columns {
    () => {
        "model_id, model_name, version, task, targets, dataset_id, training_id, metrics, size_bytes, sha256, \
         train_s, tags, description, status, created_at"
    };
}
use own_columns;

/// These and the aliases, for a SELECT from `models`. No alias has a comma in it.
macro_rules! columns {
    () => {
        concat!(
            own_columns!(),
            ", (SELECT string_agg(alias, ',' ORDER BY alias_key) FROM model_aliases
                WHERE model_aliases.model_id = models.model_id) AS aliases"
        )
    };
}
use columns;

/// For a row that was made or removed just now, and so has no alias.
macro_rules! columns_without_aliases {
    () => {
        concat!(own_columns!(), ", CAST(NULL AS TEXT) AS aliases")
    };
}
use columns_without_aliases;

from_row!(ModelRecord, |row| Ok(Self {
    model_id: row.try_get("model_id")?,
    model_name: row.try_get("model_name")?,
    version: row.try_get("version")?,
    aliases: split_aliases(row.try_get("aliases")?),
    task: row.try_get("task")?,
    targets: row.try_get::<Document<_>, _>("targets")?.0,
    dataset_id: row.try_get("dataset_id")?,
    training_id: row.try_get("training_id")?,
    metrics: row.try_get::<Document<_>, _>("metrics")?.0,
    size_bytes: row.try_get::<Count, _>("size_bytes")?.0,
    sha256: row.try_get("sha256")?,
    train_s: row.try_get("train_s")?,
    tags: row.try_get::<Document<_>, _>("tags")?.0,
    description: row.try_get("description")?,
    status: row.try_get("status")?,
    created_at: row.try_get("created_at")?,
}));

fn split_aliases(joined: Option<String>) -> Vec<String> {
    joined.map_or_else(Vec::new, |text| text.split(',').map(str::to_owned).collect())
}

/// A model that a training made, to be stored by [`commit`].
#[derive(Debug, Clone)]
pub struct NewModel {
    /// As [`ModelRecord::model_id`]; its blob is already stored.
    pub model_id: ModelId,
    /// As [`ModelRecord::model_name`].
    pub model_name: String,
    /// As [`ModelRecord::task`].
    pub task: String,
    /// As [`ModelRecord::targets`].
    pub targets: Vec<String>,
    /// As [`ModelRecord::dataset_id`].
    pub dataset_id: DatasetId,
    /// As [`ModelRecord::metrics`].
    pub metrics: serde_json::Value,
    /// Everything that is known about it: see [`card`].
    pub card: serde_json::Value,
    /// As [`ModelRecord::size_bytes`].
    pub size_bytes: u64,
    /// As [`ModelRecord::sha256`].
    pub sha256: String,
    /// As [`ModelRecord::train_s`].
    pub train_s: f64,
    /// As [`ModelRecord::tags`].
    pub tags: BTreeMap<String, String>,
    /// As [`ModelRecord::description`].
    pub description: String,
}

const GET: &str = concat!("SELECT ", columns!(), " FROM models WHERE model_id = $1");

/// The model with this id.
pub async fn get(db: &Db, model_id: ModelId) -> Result<Option<ModelRecord>> {
    Ok(with_pool!(db, |pool| sqlx::query_as(GET).bind(model_id).fetch_optional(pool).await)?)
}

struct Card(serde_json::Value);

from_row!(Card, |row| Ok(Self(row.try_get::<Document<_>, _>("card")?.0)));

/// The model card: inputs, settings, all metrics with those of the baselines, history, ...
pub async fn card(db: &Db, model_id: ModelId) -> Result<Option<serde_json::Value>> {
    const CARD: &str = "SELECT card FROM models WHERE model_id = $1";
    let card: Option<Card> =
        with_pool!(db, |pool| sqlx::query_as(CARD).bind(model_id).fetch_optional(pool).await)?;
    Ok(card.map(|card| card.0))
}

/// The model stored last.
pub async fn newest(db: &Db) -> Result<Option<ModelRecord>> {
    const NEWEST: &str =
        concat!("SELECT ", columns!(), " FROM models ORDER BY created_at DESC, model_id DESC LIMIT 1");
    Ok(with_pool!(db, |pool| sqlx::query_as(NEWEST).fetch_optional(pool).await)?)
}

/// The model called `polar` (its newest version), `polar/3` or `polar@champion`. Case and Unicode form do not matter.
pub async fn resolve(db: &Db, reference: &str) -> Result<Option<ModelRecord>> {
    const VERSION: &str = concat!("SELECT ", columns!(), " FROM models WHERE name_key = $1 AND version = $2");
    const NEWEST_VERSION: &str =
        concat!("SELECT ", columns!(), " FROM models WHERE name_key = $1 ORDER BY version DESC LIMIT 1");
    if let Some(model) = alias::find(db, reference).await? {
        return Ok(Some(model));
    }
    let (name, version) = name::split_version(reference);
    let key = name::key(name);
    Ok(with_pool!(db, |pool| match version {
        Some(version) => sqlx::query_as(VERSION).bind(key).bind(version).fetch_optional(pool).await,
        None => sqlx::query_as(NEWEST_VERSION).bind(key).fetch_optional(pool).await,
    })?)
}

/// The newest version of a name that has the same file and can be used.
pub async fn find_same(db: &Db, model_name: &str, sha256: &str) -> Result<Option<ModelRecord>> {
    const FIND_SAME: &str = concat!(
        "SELECT ",
        columns!(),
        " FROM models WHERE name_key = $1 AND sha256 = $2 AND status = 'ready' ORDER BY version DESC LIMIT 1"
    );
    Ok(with_pool!(db, |pool| sqlx::query_as(FIND_SAME)
        .bind(name::key(model_name))
        .bind(sha256)
        .fetch_optional(pool)
        .await)?)
}

const OTHER_SPELLING: &str = "
    SELECT model_name FROM models
    WHERE name_key = $1 AND NOT EXISTS (SELECT 1 FROM models WHERE name_key = $1 AND model_name = $2)
    ORDER BY version LIMIT 1";

/// How another model spells this name, if it is the same name but for case or Unicode form.
/// A training for such a name is refused: `Polar` beside `polar` is a mistake.
pub async fn other_spelling(db: &Db, model_name: &str) -> Result<Option<String>> {
    Ok(with_pool!(db, |pool| sqlx::query_scalar(OTHER_SPELLING)
        .bind(name::key(model_name))
        .bind(model_name)
        .fetch_optional(pool)
        .await)?)
}

/// What is to be changed about a model. Everything absent stays.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct ModelPatch {
    /// A new name, which no model has: the model becomes its next version.
    pub model_name: Option<String>,
    /// All tags.
    pub tags: Option<BTreeMap<String, String>>,
    /// The description.
    pub description: Option<String>,
}

/// Changes a model that `is_expected`; `None` if it does not exist.
///
/// # Errors
/// [`StorageError::Changed`] if it is not as expected, [`StorageError::NameInUse`] if another model has the new name.
pub async fn patch(
    db: &Db,
    model_id: ModelId,
    patch: &ModelPatch,
    is_expected: impl Fn(&ModelRecord) -> bool,
) -> Result<Option<ModelRecord>> {
    // On PostgreSQL, whoever comes second waits here, and then reads what the first has written.
    const HOLD: &str = "UPDATE models SET version = version WHERE model_id = $1";
    const NAME_HOLDER: &str = "SELECT model_name FROM models WHERE name_key = $1 AND model_id <> $2 LIMIT 1";
    const PATCH: &str = "
        UPDATE models SET model_name = $2, name_key = $3, version = $4, tags = $5, description = $6
        WHERE model_id = $1";
    const MOVE_ALIASES: &str = "UPDATE model_aliases SET name_key = $2 WHERE model_id = $1";
    const CLEAR_TAGS: &str = "DELETE FROM model_tags WHERE model_id = $1";

    with_pool!(db, |pool| {
        let mut tx = pool.begin_with(db.begin_write()).await?;
        sqlx::query(HOLD).bind(model_id).execute(&mut *tx).await?;
        let model: Option<ModelRecord> = sqlx::query_as(GET).bind(model_id).fetch_optional(&mut *tx).await?;
        let Some(mut model) = model else { return Ok(None) };
        if !is_expected(&model) {
            return Err(StorageError::Changed);
        }
        let old_key = name::key(&model.model_name);
        if let Some(new_name) = &patch.model_name {
            let new_key = name::key(new_name);
            let renamed = new_key != old_key || *new_name != model.model_name;
            let holder: Option<String> = if renamed {
                sqlx::query_scalar(NAME_HOLDER).bind(&new_key).bind(model_id).fetch_optional(&mut *tx).await?
            } else {
                None
            };
            if let Some(name) = holder {
                return Err(StorageError::NameInUse { name });
            }
            if new_key != old_key {
                model.version =
                    sqlx::query_scalar(commit::NEXT_VERSION).bind(&new_key).fetch_one(&mut *tx).await?;
                // No other model has the new name, so none of its aliases is taken.
                sqlx::query(MOVE_ALIASES).bind(model_id).bind(&new_key).execute(&mut *tx).await?;
            }
            model.model_name.clone_from(new_name);
        }
        if let Some(description) = &patch.description {
            model.description.clone_from(description);
        }
        if let Some(tags) = &patch.tags {
            model.tags.clone_from(tags);
            sqlx::query(CLEAR_TAGS).bind(model_id).execute(&mut *tx).await?;
            for (tag, value) in tags {
                sqlx::query(commit::INSERT_TAG)
                    .bind(model_id)
                    .bind(tag)
                    .bind(value)
                    .execute(&mut *tx)
                    .await?;
            }
        }
        sqlx::query(PATCH)
            .bind(model_id)
            .bind(&model.model_name)
            .bind(name::key(&model.model_name))
            .bind(model.version)
            .bind(Document(model.tags.clone()))
            .bind(&model.description)
            .execute(&mut *tx)
            .await?;
        tx.commit().await?;
        Ok(Some(model))
    })
}

/// Notes what was found out about the model's file.
pub async fn set_status(db: &Db, model_id: ModelId, status: ModelStatus) -> Result<()> {
    const SET_STATUS: &str = "UPDATE models SET status = $2 WHERE model_id = $1";
    with_pool!(db, |pool| sqlx::query(SET_STATUS).bind(model_id).bind(status).execute(pool).await.map(drop))?;
    Ok(())
}

/// Removes the row and returns it; `None` if it was not there. The caller removes the blob after.
///
/// # Errors
/// [`StorageError::HasAliases`] while an alias points to the model.
pub async fn delete(db: &Db, model_id: ModelId) -> Result<Option<ModelRecord>> {
    // The key covers an alias that is set in this moment on PostgreSQL.
    const DELETE: &str = concat!(
        "DELETE FROM models
         WHERE model_id = $1
           AND NOT EXISTS (SELECT 1 FROM model_aliases WHERE model_aliases.model_id = $1)
         RETURNING ",
        columns_without_aliases!()
    );
    let deleted: sqlx::Result<Option<ModelRecord>> =
        with_pool!(db, |pool| sqlx::query_as(DELETE).bind(model_id).fetch_all(pool).await.map(written));
    match deleted {
        Ok(Some(model)) => Ok(Some(model)),
        Err(error) if !alias::is_foreign_key(&error) => Err(error.into()),
        Ok(None) | Err(_) => match get(db, model_id).await? {
            Some(model) => Err(StorageError::HasAliases { aliases: model.aliases }),
            None => Ok(None),
        },
    }
}

/// The ids and statuses of all models; for the sweep.
pub async fn statuses(db: &Db) -> Result<Vec<(ModelId, ModelStatus)>> {
    const STATUSES: &str = "SELECT model_id, status FROM models";
    Ok(with_pool!(db, |pool| sqlx::query_as(STATUSES).fetch_all(pool).await)?)
}
