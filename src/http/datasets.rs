//! Datasets: listed, shown, paged, downloaded, read anew, deleted.

use super::{
    download::{self, Download, Source},
    error::{Problem, Slug},
    events,
    extract::{Json, Path, Query, parse_id, with_status},
    list::{ListQuery, paged},
    observe::RequestId,
    read_options::UploadOptions,
    schema, upload,
};
use crate::{
    app::App,
    dataset::{ColumnProfile, ReadReport, Warning, parquet},
    id::DatasetId,
    storage::{BlobKey, DatasetRecord, Db, datasets},
};
use axum::{
    Extension,
    extract::State,
    http::{HeaderMap, Method, StatusCode, Uri},
    response::Response,
};
use chrono::{DateTime, Utc};
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};
use utoipa::ToSchema;
use utoipa_axum::{router::OpenApiRouter, routes};

/// The routes of this file.
pub fn routes() -> OpenApiRouter<App> {
    OpenApiRouter::new()
        .routes(routes!(list_datasets))
        .routes(routes!(show_dataset, delete_dataset))
        .routes(routes!(list_rows))
        .routes(routes!(download_dataset))
        .routes(routes!(reread_dataset))
}

/// A dataset: how it was read, what it holds.
#[derive(Debug, Serialize, ToSchema)]
pub struct Dataset {
    #[serde(flatten)]
    summary: DatasetSummary,
    /// How the file was read, with the reasons.
    #[schema(value_type = schema::ReadReport)]
    read: ReadReport,
    /// What is known about each column.
    #[schema(value_type = Vec<schema::ColumnProfile>)]
    columns: Vec<ColumnProfile>,
    /// The first rows.
    #[schema(value_type = Vec<Object>)]
    preview: Vec<Map<String, Value>>,
    /// What is to be noticed.
    #[schema(value_type = Vec<schema::Warning>)]
    warnings: Vec<Warning>,
    /// The dataset that has the same bytes and options; it is the one shown.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(value_type = Option<uuid::Uuid>, nullable = false)]
    duplicate_of: Option<DatasetId>,
}

/// The short form, for lists.
#[derive(Debug, Serialize, ToSchema)]
pub struct DatasetSummary {
    /// The identifier.
    #[schema(value_type = uuid::Uuid)]
    dataset_id: DatasetId,
    /// What the caller calls it.
    #[schema(example = "ensaio")]
    name: String,
    /// The name of the file as it was sent.
    #[schema(example = "ensaio.csv")]
    filename: String,
    /// SHA-256 of the bytes as sent, in hexadecimal.
    sha256: String,
    /// Size of the bytes as sent.
    size_bytes: u64,
    /// Data rows.
    #[schema(example = 1503)]
    rows: u64,
    /// When it was stored.
    created_at: DateTime<Utc>,
}

impl DatasetSummary {
    fn of(record: &DatasetRecord) -> Self {
        Self {
            dataset_id: record.dataset_id,
            name: record.name.clone(),
            filename: record.filename.clone(),
            sha256: record.sha256.clone(),
            size_bytes: record.size_bytes,
            rows: record.rows,
            created_at: record.created_at,
        }
    }
}

impl Dataset {
    /// The answer about a stored dataset.
    pub fn of(record: &DatasetRecord) -> Self {
        let description = record.description.clone();
        Self {
            summary: DatasetSummary::of(record),
            read: description.read,
            columns: description.columns,
            preview: description.preview,
            warnings: description.warnings,
            duplicate_of: None,
        }
    }

    /// Says that nothing new was stored.
    #[must_use]
    pub fn duplicate(mut self) -> Self {
        self.duplicate_of = Some(self.summary.dataset_id);
        self
    }

    /// The identifier.
    pub fn dataset_id(&self) -> DatasetId {
        self.summary.dataset_id
    }
}

/// One page of datasets.
#[derive(Debug, Serialize, ToSchema)]
pub struct DatasetList {
    /// Newest first.
    datasets: Vec<DatasetSummary>,
    /// Give this as `cursor` for the next page; null on the last.
    next_cursor: Option<String>,
}

/// List the datasets, newest first
#[utoipa::path(get, path = "/datasets", tag = "datasets", params(ListQuery),
    responses((status = 200, body = DatasetList)))]
pub async fn list_datasets(
    State(app): State<App>,
    uri: Uri,
    Query(query): Query<ListQuery>,
) -> Result<Response, Problem> {
    let slice = datasets::list(app.db()?, &query.page()?).await?;
    let datasets = slice.items.iter().map(DatasetSummary::of).collect();
    Ok(paged(&uri, slice.next_cursor, |next_cursor| DatasetList { datasets, next_cursor }))
}

/// Show a dataset
#[utoipa::path(get, path = "/datasets/{dataset_id}", tag = "datasets",
    params(("dataset_id" = uuid::Uuid, Path)), responses((status = 200, body = Dataset)))]
pub async fn show_dataset(
    State(app): State<App>,
    Path(dataset_id): Path<String>,
) -> Result<Json<Dataset>, Problem> {
    let record = find(app.db()?, &dataset_id).await?;
    Ok(Json(Dataset::of(&record)))
}

/// Delete a dataset
///
/// Trainings that still wait for it fail; models trained on it stay.
#[utoipa::path(delete, path = "/datasets/{dataset_id}", tag = "datasets",
    params(("dataset_id" = uuid::Uuid, Path)), responses((status = 204, description = "Gone, also if it was before")))]
pub async fn delete_dataset(
    State(app): State<App>,
    Extension(request_id): Extension<RequestId>,
    Path(dataset_id): Path<String>,
) -> Result<StatusCode, Problem> {
    let db = app.db()?;
    let dataset_id: DatasetId = parse_id(&dataset_id, Slug::DatasetNotFound)?;
    // The row first: it is what makes the files a dataset. What the disk refuses, the sweep removes.
    if datasets::delete(db, dataset_id).await?.is_some() {
        for key in [BlobKey::Original(dataset_id), BlobKey::Table(dataset_id)] {
            if let Err(error) = app.blobs().delete(&key).await {
                tracing::warn!(%key, %error, "a file of a deleted dataset stays until the next sweep");
            }
        }
        events::append(&app, db, &request_id, "delete", "dataset", dataset_id, Value::Null).await;
    }
    Ok(StatusCode::NO_CONTENT)
}

/// Which rows.
#[derive(Debug, Deserialize, utoipa::IntoParams)]
#[into_params(parameter_in = Query)]
#[serde(deny_unknown_fields)]
pub struct RowsQuery {
    /// Rows to leave out.
    #[serde(default, deserialize_with = "super::extract::not_negative")]
    #[param(minimum = 0)]
    offset: i64,
    /// Rows to show; at most 1000.
    #[serde(default = "fifty")]
    #[param(minimum = 1, maximum = 1000)]
    limit: u64,
}

fn fifty() -> u64 {
    50
}

/// Some rows of a dataset.
#[derive(Debug, Serialize, ToSchema)]
pub struct Rows {
    /// Objects from column to value.
    #[schema(value_type = Vec<Object>)]
    rows: Vec<Map<String, Value>>,
    /// The first of them, counted from 0.
    offset: u64,
    /// Rows of the whole dataset.
    total: u64,
}

/// Page through the rows of a dataset
#[utoipa::path(get, path = "/datasets/{dataset_id}/rows", tag = "datasets",
    params(("dataset_id" = uuid::Uuid, Path), RowsQuery), responses((status = 200, body = Rows)))]
pub async fn list_rows(
    State(app): State<App>,
    Path(dataset_id): Path<String>,
    Query(query): Query<RowsQuery>,
) -> Result<Json<Rows>, Problem> {
    let record = find(app.db()?, &dataset_id).await?;
    if !(1..=1000).contains(&query.limit) {
        return Err(Problem::invalid("/limit", "must be 1 to 1000"));
    }
    let offset = usize::try_from(query.offset).unwrap_or(usize::MAX);
    let limit = query.limit as usize;
    let page = move |table: &[u8]| {
        let rows = parquet::read_rows(table, offset, limit).map_err(Problem::internal)?;
        Ok(rows.rows_json(0, limit))
    };
    let rows = with_table(&app, record.dataset_id, page).await?;
    Ok(Json(Rows { rows, offset: query.offset.unsigned_abs(), total: record.rows }))
}

/// Does `work` with the bytes of a dataset's table, which may be many: a few at once, and each counts until it has
/// ended, whether or not somebody still waits for it.
pub(super) async fn with_table<T: Send + 'static>(
    app: &App,
    dataset_id: DatasetId,
    work: impl FnOnce(&[u8]) -> Result<T, Problem> + Send + 'static,
) -> Result<T, Problem> {
    let permit = app.table_permits().acquire_owned().await.map_err(Problem::internal)?;
    let Some(table) = app.blobs().get_bytes(&BlobKey::Table(dataset_id)).await? else {
        return Err(Problem::file_missing("the table of this dataset is missing"));
    };
    let working = move || {
        let _permit = permit;
        work(&table)
    };
    tokio::task::spawn_blocking(working).await.map_err(Problem::internal)?
}

/// Download a dataset as it was sent
///
/// Answers ranges and validators: the strong `ETag` is the SHA-256.
#[utoipa::path(get, path = "/datasets/{dataset_id}/file", tag = "datasets",
    params(("dataset_id" = uuid::Uuid, Path)),
    responses(
        (status = 200, content_type = "application/octet-stream", body = String, description = "The bytes"),
        (status = 206, content_type = "application/octet-stream", body = String, description = "Some of them"),
        (status = 304, description = "The client has them")
    ))]
pub async fn download_dataset(
    State(app): State<App>,
    Extension(request_id): Extension<RequestId>,
    method: Method,
    headers: HeaderMap,
    Path(dataset_id): Path<String>,
) -> Result<Response, Problem> {
    let db = app.db()?;
    let record = find(db, &dataset_id).await?;
    let file = Download {
        source: Source::Blob(BlobKey::Original(record.dataset_id)),
        size_bytes: record.size_bytes,
        etag: &record.sha256,
        sha256: &record.sha256,
        filename: &record.filename,
        // Never the type that the uploader claimed: a browser would act on it.
        media_type: "application/octet-stream",
        is_shown: false,
    };
    let response = download::send(app.blobs(), &method, &headers, &file)
        .await?
        .ok_or_else(|| Problem::file_missing("the original file of this dataset is missing"))?;
    if method == Method::GET && response.status() != StatusCode::NOT_MODIFIED {
        events::append(&app, db, &request_id, "download", "dataset", record.dataset_id, Value::Null).await;
    }
    Ok(response)
}

/// The overrides of another reading.
#[derive(Debug, Default, Deserialize, ToSchema)]
#[serde(deny_unknown_fields, default)]
#[schema(example = json!({"decimal": ",", "header_row": 9}))]
pub struct RereadRequest {
    /// What the new dataset is to be called; as the old one if absent.
    name: Option<String>,
    /// The sheet of a workbook.
    sheet: Option<String>,
    /// 1-based line of the header; 0 where there is none.
    #[schema(minimum = 0)]
    header_row: Option<u64>,
    /// 1-based line of the units; 0 where there is none.
    #[schema(minimum = 0)]
    units_row: Option<u64>,
    /// One character, or `tab`.
    delimiter: Option<String>,
    /// `.` or `,`.
    decimal: Option<String>,
    /// A WHATWG encoding label.
    encoding: Option<String>,
    /// Texts that mean "missing".
    missing: Option<Vec<String>>,
    /// Column -> `number|fraction|category|date|boolean|text|ignore`.
    types: Option<std::collections::BTreeMap<String, String>>,
    /// Whether totals and notes under the table are rows of it.
    keep_footer: Option<bool>,
}

impl RereadRequest {
    fn options(self) -> Result<UploadOptions, Problem> {
        let mut options = UploadOptions::default();
        let texts = [
            ("name", self.name),
            ("sheet", self.sheet),
            ("header_row", self.header_row.map(|line| line.to_string())),
            ("units_row", self.units_row.map(|line| line.to_string())),
            ("delimiter", self.delimiter),
            ("decimal", self.decimal),
            ("encoding", self.encoding),
            ("missing", self.missing.map(|texts| serde_json::json!(texts).to_string())),
            ("types", self.types.map(|types| serde_json::json!(types).to_string())),
            ("keep_footer", self.keep_footer.map(|keep| keep.to_string())),
        ];
        for (name, value) in texts {
            if let Some(value) = value {
                options.set(name, value)?;
            }
        }
        Ok(options)
    }
}

/// Read a dataset anew
///
/// The same bytes, read with other options, become another dataset.
#[utoipa::path(post, path = "/datasets/{dataset_id}/reread", tag = "datasets",
    params(("dataset_id" = uuid::Uuid, Path)), request_body = RereadRequest,
    responses((status = 201, body = Dataset, headers(("Location" = String, description = "The new dataset")))))]
pub async fn reread_dataset(
    State(app): State<App>,
    Extension(request_id): Extension<RequestId>,
    Path(dataset_id): Path<String>,
    Json(request): Json<RereadRequest>,
) -> Result<Response, Problem> {
    let db = app.db()?;
    let record = find(db, &dataset_id).await?;
    app.check_disk()?;
    let options = request.options()?;
    let file = upload::fetch_original(&app, record.dataset_id).await?;
    let name = options.name.unwrap_or(record.name);
    let new = upload::NewDataset {
        filename: &record.filename,
        name,
        options: &options.read,
        sha256: &record.sha256,
        size_bytes: record.size_bytes,
    };
    let new = upload::read_and_insert(&app, db, file.path(), new, &mut |_| {}).await?;
    let details = serde_json::json!({"read_again_from": record.dataset_id});
    events::append(&app, db, &request_id, "upload", "dataset", new.dataset_id, details).await;
    Ok(with_status(StatusCode::CREATED, &format!("/datasets/{}", new.dataset_id), Dataset::of(&new)))
}

/// The dataset that an address names.
pub async fn find(db: &Db, dataset_id: &str) -> Result<DatasetRecord, Problem> {
    let dataset_id: DatasetId = parse_id(dataset_id, Slug::DatasetNotFound)?;
    datasets::get(db, dataset_id).await?.ok_or_else(|| not_found(dataset_id))
}

/// No dataset has this identifier.
pub fn not_found(dataset_id: DatasetId) -> Problem {
    Problem::new(Slug::DatasetNotFound, format!("there is no dataset {dataset_id}; GET /datasets lists them"))
}
