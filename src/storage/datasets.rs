//! Datasets: one row per file and way of reading it.

use crate::dataset::{Description, ReadOptions};
use crate::hash;
use crate::id::DatasetId;
use crate::storage::{
    Db, Page, Result, Slice,
    column::{Count, Document, from_row},
    with_pool, written,
};
use chrono::{DateTime, Utc};

/// One dataset. Its file and its table are the blobs `Original` and `Table` under the same id.
#[derive(Debug, Clone, PartialEq)]
pub struct DatasetRecord {
    /// The identifier; UUIDv7.
    pub dataset_id: DatasetId,
    /// What the caller calls it; not unique.
    pub name: String,
    /// The name of the file as it was sent: shown, never used as a path.
    pub filename: String,
    /// SHA-256 of the bytes as sent, in hexadecimal.
    pub sha256: String,
    /// Size of the bytes as sent.
    pub size_bytes: u64,
    /// How it was read, its columns and its first rows.
    pub description: Description,
    /// What the caller had overridden.
    pub options: ReadOptions,
    /// Data rows.
    pub rows: u64,
    /// When it was stored.
    pub created_at: DateTime<Utc>,
}

from_row!(DatasetRecord, |row| Ok(Self {
    dataset_id: row.try_get("dataset_id")?,
    name: row.try_get("name")?,
    filename: row.try_get("filename")?,
    sha256: row.try_get("sha256")?,
    size_bytes: row.try_get::<Count, _>("size_bytes")?.0,
    description: row.try_get::<Document<_>, _>("description")?.0,
    options: row.try_get::<Document<_>, _>("options")?.0,
    rows: row.try_get::<Count, _>("rows")?.0,
    created_at: row.try_get("created_at")?,
}));

/// Stores a dataset, after its blobs are durable.
pub async fn insert(db: &Db, dataset: &DatasetRecord) -> Result<()> {
    const INSERT: &str = "
        INSERT INTO datasets (dataset_id, name, filename, sha256, size_bytes, description, options,
                              options_fingerprint, rows, created_at)
        VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10)";
    with_pool!(db, |pool| sqlx::query(INSERT)
        .bind(dataset.dataset_id)
        .bind(&dataset.name)
        .bind(&dataset.filename)
        .bind(&dataset.sha256)
        .bind(Count(dataset.size_bytes))
        .bind(Document(dataset.description.clone()))
        .bind(Document(dataset.options.clone()))
        .bind(fingerprint(&dataset.options))
        .bind(Count(dataset.rows))
        .bind(dataset.created_at)
        .execute(pool)
        .await
        .map(drop))?;
    Ok(())
}

/// The dataset with this id.
pub async fn get(db: &Db, dataset_id: DatasetId) -> Result<Option<DatasetRecord>> {
    const GET: &str = "SELECT * FROM datasets WHERE dataset_id = $1";
    Ok(with_pool!(db, |pool| sqlx::query_as(GET).bind(dataset_id).fetch_optional(pool).await)?)
}

/// The dataset stored last.
pub async fn newest(db: &Db) -> Result<Option<DatasetRecord>> {
    const NEWEST: &str = "SELECT * FROM datasets ORDER BY created_at DESC, dataset_id DESC LIMIT 1";
    Ok(with_pool!(db, |pool| sqlx::query_as(NEWEST).fetch_optional(pool).await)?)
}

/// The oldest dataset with the same bytes, read with the same options.
pub async fn find_same(db: &Db, sha256: &str, options: &ReadOptions) -> Result<Option<DatasetRecord>> {
    const FIND: &str = "
        SELECT * FROM datasets WHERE sha256 = $1 AND options_fingerprint = $2
        ORDER BY created_at, dataset_id LIMIT 1";
    Ok(with_pool!(db, |pool| sqlx::query_as(FIND)
        .bind(sha256)
        .bind(fingerprint(options))
        .fetch_optional(pool)
        .await)?)
}

/// The datasets, newest first.
pub async fn list(db: &Db, page: &Page) -> Result<Slice<DatasetRecord>> {
    const LIST: &str = "
        SELECT * FROM datasets
        WHERE $1 IS NULL OR (created_at, dataset_id) < ($1, $2)
        ORDER BY created_at DESC, dataset_id DESC LIMIT $3";
    let start = page.start::<(DateTime<Utc>, DatasetId)>()?;
    let rows = with_pool!(db, |pool| sqlx::query_as(LIST)
        .bind(start.map(|(created_at, _)| created_at))
        .bind(start.map(|(_, dataset_id)| dataset_id))
        .bind(page.n_rows())
        .fetch_all(pool)
        .await)?;
    Ok(page.cut(rows, |last: &DatasetRecord| (last.created_at, last.dataset_id)))
}

/// Removes the row and returns it; `None` if it was not there. The caller removes the blobs after.
///
/// Trainings that wait for this dataset fail with `dataset-deleted` when a worker takes them.
pub async fn delete(db: &Db, dataset_id: DatasetId) -> Result<Option<DatasetRecord>> {
    const DELETE: &str = "DELETE FROM datasets WHERE dataset_id = $1 RETURNING *";
    Ok(with_pool!(db, |pool| sqlx::query_as(DELETE).bind(dataset_id).fetch_all(pool).await.map(written))?)
}

/// The ids of all datasets; for the sweep.
pub async fn ids(db: &Db) -> Result<Vec<DatasetId>> {
    const IDS: &str = "SELECT dataset_id FROM datasets";
    Ok(with_pool!(db, |pool| sqlx::query_scalar(IDS).fetch_all(pool).await)?)
}

/// Tells readings of the same bytes apart.
fn fingerprint(options: &ReadOptions) -> String {
    let json = serde_json::to_vec(options).expect("options are texts and numbers under text keys");
    hash::of_bytes(&json)
}
