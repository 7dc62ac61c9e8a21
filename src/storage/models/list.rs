//! Lists of models: filtered, sorted, page by page.

use super::{ModelRecord, columns, name, own_columns};
use crate::id::{DatasetId, ModelId};
use crate::storage::{Db, Page, Result, Slice, StorageError, column::from_row, with_pool};
use chrono::{DateTime, Utc};
use serde::{Deserialize, Serialize};
use std::str::FromStr;

/// Which models are wanted. Everything absent matches all.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct ModelFilter {
    /// `regression` or `classification`.
    pub task: Option<String>,
    /// Learnt from this dataset.
    pub dataset_id: Option<DatasetId>,
    /// Of this name; case and Unicode form do not matter.
    pub model_name: Option<String>,
    /// With this tag.
    pub tag: Option<String>,
    /// With this value of `tag`.
    pub tag_value: Option<String>,
    /// With this alias; case and Unicode form do not matter.
    pub alias: Option<String>,
    /// With this metric, under its dotted path.
    pub metric: Option<String>,
    /// With a value of `metric` that is not below.
    pub at_least: Option<f64>,
    /// With a value of `metric` that is not above.
    pub at_most: Option<f64>,
}

/// In which order.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct ModelSort {
    /// What is compared.
    pub by: SortKey,
    /// Largest, latest or last first.
    pub descending: bool,
}

/// What models are sorted by.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub enum SortKey {
    /// Their age.
    CreatedAt,
    /// Their name, then their version.
    ModelName,
    /// The metric under this dotted path, such as `rmse` or `per_target.Cl.rmse`. Models without
    /// it come last in either direction.
    Metric(String),
}

impl Default for ModelSort {
    /// Newest first.
    fn default() -> Self {
        Self { by: SortKey::CreatedAt, descending: true }
    }
}

impl FromStr for ModelSort {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let (descending, key) = text.strip_prefix('-').map_or((false, text), |key| (true, key));
        let by = match key.split_once('.') {
            None if key == "created_at" => SortKey::CreatedAt,
            None if key == "model_name" => SortKey::ModelName,
            Some(("metrics", path)) if !path.is_empty() => SortKey::Metric(path.into()),
            _ => {
                return Err(format!(
                    "{text:?} is not an order: write created_at, model_name or metrics.<name>, with - in front \
                     for the largest first"
                ));
            }
        };
        Ok(Self { by, descending })
    }
}

/// One statement for each order: the filter, where the page before ended, the order.
macro_rules! list {
    ($first:literal, $second:literal, $after:literal, $direction:literal) => {
        concat!(
            "SELECT * FROM (SELECT ",
            columns!(),
            ", name_key, COALESCE((
                    SELECT value FROM model_metrics
                    WHERE model_metrics.model_id = models.model_id AND model_metrics.name = $9
                ), $10) AS sort_value
             FROM models
             WHERE ($1 IS NULL OR task = $1)
               AND ($2 IS NULL OR dataset_id = $2)
               AND ($3 IS NULL OR name_key = $3)
               AND ($4 IS NULL OR EXISTS (
                    SELECT 1 FROM model_tags
                    WHERE model_tags.model_id = models.model_id AND model_tags.tag = $4
                      AND ($5 IS NULL OR model_tags.value = $5)))
               AND ($11 IS NULL OR EXISTS (
                    SELECT 1 FROM model_aliases
                    WHERE model_aliases.model_id = models.model_id AND model_aliases.alias_key = $11))
               AND ($12 IS NULL OR EXISTS (
                    SELECT 1 FROM model_metrics
                    WHERE model_metrics.model_id = models.model_id AND model_metrics.name = $12
                      AND ($13 IS NULL OR model_metrics.value >= $13)
                      AND ($14 IS NULL OR model_metrics.value <= $14)))
             ) AS found
             WHERE $6 IS NULL OR (",
            $first,
            ", ",
            $second,
            ") ",
            $after,
            " ($6, $7)
             ORDER BY ",
            $first,
            " ",
            $direction,
            ", ",
            $second,
            " ",
            $direction,
            " LIMIT $8"
        )
    };
}

/// A model with what it is sorted by, exactly as the database compares it.
struct Sorted {
    model: ModelRecord,
    name_key: String,
    sort_value: f64,
}

from_row!(Sorted, |row| Ok(Self {
    model: ModelRecord::from_row(row)?,
    name_key: row.try_get("name_key")?,
    sort_value: row.try_get("sort_value")?,
}));

/// Where a page ends. A number is kept as its bits: a cursor must not round it.
#[derive(Serialize, Deserialize)]
struct Position {
    sort: ModelSort,
    age: DateTime<Utc>,
    model_id: ModelId,
    name_key: String,
    version: i64,
    value_bits: u64,
}

/// The models that match, in the order of `sort`.
pub async fn list(
    db: &Db,
    filter: &ModelFilter,
    sort: &ModelSort,
    page: &Page,
) -> Result<Slice<ModelRecord>> {
    const BY_AGE: &str = list!("created_at", "model_id", ">", "ASC");
    const BY_AGE_DESC: &str = list!("created_at", "model_id", "<", "DESC");
    const BY_NAME: &str = list!("name_key", "version", ">", "ASC");
    const BY_NAME_DESC: &str = list!("name_key", "version", "<", "DESC");
    const BY_METRIC: &str = list!("sort_value", "model_id", ">", "ASC");
    const BY_METRIC_DESC: &str = list!("sort_value", "model_id", "<", "DESC");

    let start = page.start::<Position>()?;
    if start.as_ref().is_some_and(|start| start.sort != *sort) {
        return Err(StorageError::InvalidCursor);
    }
    let (metric, missing_metric) = match &sort.by {
        SortKey::Metric(path) => (path.as_str(), if sort.descending { f64::MIN } else { f64::MAX }),
        SortKey::CreatedAt | SortKey::ModelName => ("", 0.0),
    };
    // Binds everything but the two values that a page starts after.
    macro_rules! fetch {
        ($sql:expr, $pool:expr, $first:expr, $second:expr) => {
            sqlx::query_as($sql)
                .bind(&filter.task)
                .bind(filter.dataset_id)
                .bind(filter.model_name.as_deref().map(name::key))
                .bind(&filter.tag)
                .bind(&filter.tag_value)
                .bind($first)
                .bind($second)
                .bind(page.n_rows())
                .bind(metric)
                .bind(missing_metric)
                .bind(filter.alias.as_deref().map(name::key))
                .bind(&filter.metric)
                .bind(filter.at_least)
                .bind(filter.at_most)
                .fetch_all($pool)
                .await
        };
    }
    let start = start.as_ref();
    let model_id = start.map(|start| start.model_id);
    let rows: Vec<Sorted> = with_pool!(db, |pool| match &sort.by {
        SortKey::CreatedAt => {
            let sql = if sort.descending { BY_AGE_DESC } else { BY_AGE };
            fetch!(sql, pool, start.map(|start| start.age), model_id)
        }
        SortKey::ModelName => {
            let sql = if sort.descending { BY_NAME_DESC } else { BY_NAME };
            fetch!(sql, pool, start.map(|start| start.name_key.as_str()), start.map(|start| start.version))
        }
        SortKey::Metric(_) => {
            let sql = if sort.descending { BY_METRIC_DESC } else { BY_METRIC };
            fetch!(sql, pool, start.map(|start| f64::from_bits(start.value_bits)), model_id)
        }
    })?;
    let slice = page.cut(rows, |last| Position {
        sort: sort.clone(),
        age: last.model.created_at,
        model_id: last.model.model_id,
        name_key: last.name_key.clone(),
        version: last.model.version,
        value_bits: last.sort_value.to_bits(),
    });
    Ok(Slice {
        items: slice.items.into_iter().map(|sorted| sorted.model).collect(),
        next_cursor: slice.next_cursor,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn orders_are_read_as_the_api_writes_them() {
        for (text, expected) in [
            ("created_at", Some((SortKey::CreatedAt, false))),
            ("-created_at", Some((SortKey::CreatedAt, true))),
            ("model_name", Some((SortKey::ModelName, false))),
            ("-metrics.per_target.Cl.rmse", Some((SortKey::Metric("per_target.Cl.rmse".into()), true))),
            ("metrics.", None),
            ("rmse", None),
            ("", None),
            ("--created_at", None),
        ] {
            let read = text.parse::<ModelSort>().ok().map(|sort| (sort.by, sort.descending));
            assert_eq!(read, expected, "{text:?}");
        }
    }
}
