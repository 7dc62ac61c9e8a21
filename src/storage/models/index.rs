//! Names and versions alone, for those who look around before they ask.

use super::{ModelStatus, name};
use crate::storage::{Db, Result, with_pool};

/// At most `limit` of the names that models have, in order.
pub async fn names(db: &Db, limit: u32) -> Result<Vec<String>> {
    const NAMES: &str = "SELECT MIN(model_name) FROM models GROUP BY name_key ORDER BY name_key LIMIT $1";
    let limit = i64::from(limit);
    Ok(with_pool!(db, |pool| sqlx::query_scalar(NAMES).bind(limit).fetch_all(pool).await)?)
}

/// The versions of a name with their statuses, the oldest first; none where no model has the name.
pub async fn versions(db: &Db, model_name: &str) -> Result<Vec<(i64, ModelStatus)>> {
    const VERSIONS: &str = "SELECT version, status FROM models WHERE name_key = $1 ORDER BY version";
    let key = name::key(model_name);
    Ok(with_pool!(db, |pool| sqlx::query_as(VERSIONS).bind(key).fetch_all(pool).await)?)
}

/// Name, version and status of every model, in the order of the names.
pub async fn index(db: &Db) -> Result<Vec<(String, i64, ModelStatus)>> {
    const INDEX: &str = "SELECT model_name, version, status FROM models ORDER BY name_key, version";
    Ok(with_pool!(db, |pool| sqlx::query_as(INDEX).fetch_all(pool).await)?)
}
