//! `POST /upload`: a file becomes a dataset.

use super::{
    datasets::Dataset,
    error::{Problem, Slug},
    events,
    idempotency::{self, Done},
    observe::RequestId,
    read_options::UploadOptions,
    receive::{self, Received},
};
use crate::{
    app::{App, TempFile},
    dataset::ReadOptions,
    id::DatasetId,
    ingest::Ingested,
    storage::{BlobKey, DatasetRecord, Db, datasets},
    telemetry,
};
use axum::{
    Extension,
    body::Body,
    extract::State,
    http::{HeaderMap, StatusCode, Uri},
    response::Response,
};
use std::path::Path;
use utoipa_axum::{router::OpenApiRouter, routes};

/// The routes of this file.
pub fn routes() -> OpenApiRouter<App> {
    OpenApiRouter::new().routes(routes!(create_dataset))
}

/// A form with a file.
#[derive(Debug, utoipa::ToSchema)]
pub struct UploadForm {
    /// The spreadsheet: `.csv` or `.xlsx`.
    #[schema(value_type = String, format = Binary)]
    pub file: Vec<u8>,
    /// What the dataset is to be called; the file's name if absent.
    #[schema(nullable = false)]
    pub name: Option<String>,
    /// The sheet of a workbook.
    #[schema(nullable = false)]
    pub sheet: Option<String>,
    /// 1-based line of the header; 0 where there is none.
    #[schema(nullable = false, minimum = 0)]
    pub header_row: Option<u64>,
    /// 1-based line of the units; 0 where there is none.
    #[schema(nullable = false, minimum = 0)]
    pub units_row: Option<u64>,
    /// One character, or `tab`.
    #[schema(nullable = false)]
    pub delimiter: Option<String>,
    /// `.` or `,`.
    #[schema(nullable = false, pattern = "^[.,]$")]
    pub decimal: Option<String>,
    /// A WHATWG encoding label.
    #[schema(nullable = false, example = "windows-1252")]
    pub encoding: Option<String>,
    /// A text that means "missing", or a JSON list of them.
    #[schema(nullable = false)]
    pub missing: Option<String>,
    /// JSON object: column -> `number|category|date|boolean|text|ignore`.
    #[schema(nullable = false)]
    pub types: Option<String>,
    /// Whether totals and notes under the table are rows of it.
    #[schema(nullable = false)]
    pub keep_footer: Option<bool>,
}

/// Upload a spreadsheet
///
/// `multipart/form-data` with one part named `file`, or the bytes themselves as the body with `?filename=`. The
/// options are form parts or query parameters; each overrides what would be detected. The same bytes with the same
/// options again answer 200 with the dataset that exists, unless `allow_duplicate=true`.
#[utoipa::path(post, path = "/upload", tag = "datasets",
    params(
        ("filename" = Option<String>, Query, description = "Name of the file, where the body is the file itself"),
        ("name" = Option<String>, Query, description = "What the dataset is to be called"),
        ("sheet" = Option<String>, Query, description = "The sheet of a workbook"),
        ("header_row" = Option<u64>, Query, minimum = 0, description = "1-based line of the header; 0 where there is none"),
        ("units_row" = Option<u64>, Query, minimum = 0, description = "1-based line of the units; 0 where there is none"),
        ("delimiter" = Option<String>, Query, description = "One character, or `tab`"),
        ("decimal" = Option<String>, Query, pattern = "^[.,]$", description = "`.` or `,`"),
        ("encoding" = Option<String>, Query, description = "A WHATWG encoding label"),
        ("missing" = Option<Vec<String>>, Query, description = "Texts that mean missing"),
        ("types" = Option<String>, Query, description = "JSON object from column to kind"),
        ("keep_footer" = Option<bool>, Query, description = "Whether totals and notes under the table are rows of it"),
        ("allow_duplicate" = Option<bool>, Query, description = "Whether the same bytes may become a second dataset"),
        ("Idempotency-Key" = Option<String>, Header, description = "Does the request once, however often it is sent")
    ),
    request_body(content(
        (UploadForm = "multipart/form-data"),
        (String = "text/csv", example = "Re;Cd\n1,0e5;0,0121\n"),
        (String = "application/octet-stream")
    )),
    responses(
        (status = 201, body = Dataset, description = "Stored and read", headers(("Location" = String, description = "The dataset"))),
        (status = 200, body = Dataset, description = "The same bytes were uploaded before")
    ))]
pub async fn create_dataset(
    State(app): State<App>,
    Extension(request_id): Extension<RequestId>,
    uri: Uri,
    headers: HeaderMap,
    body: Body,
) -> Result<Response, Problem> {
    let outcome = upload(&app, &request_id, &uri, &headers, body).await;
    let label = match &outcome {
        Ok(response) if response.status() == StatusCode::CREATED => "stored",
        Ok(_) => "known",
        Err(_) => "refused",
    };
    metrics::counter!(telemetry::UPLOADS, "outcome" => label).increment(1);
    outcome
}

async fn upload(
    app: &App,
    request_id: &RequestId,
    uri: &Uri,
    headers: &HeaderMap,
    body: Body,
) -> Result<Response, Problem> {
    let db = app.db()?;
    app.check_disk()?;
    let mut options = UploadOptions::from_query(uri.query())?;
    let received = receive::receive(app, headers, body, &mut |name, text| options.set(name, text)).await?;
    let named =
        if received.filename.is_empty() { options.filename.as_deref() } else { Some(&*received.filename) };
    let filename = receive::clean_filename(named.unwrap_or_default());
    let fingerprint = idempotency::fingerprint(&[
        received.sha256.as_bytes(),
        filename.as_bytes(),
        &serde_json::to_vec(&options.read).map_err(Problem::internal)?,
        options.name.as_deref().unwrap_or_default().as_bytes(),
        &[u8::from(options.allow_duplicate)],
    ]);
    let work = store(app, db, request_id, &received, &filename, &options);
    idempotency::once(app, db, headers, "POST /upload", &fingerprint, work).await
}

async fn store(
    app: &App,
    db: &Db,
    request_id: &RequestId,
    received: &Received,
    filename: &str,
    options: &UploadOptions,
) -> Result<Done, Problem> {
    if !options.allow_duplicate {
        if let Some(known) = datasets::find_same(db, &received.sha256, &options.read).await? {
            let body = Dataset::of(&known).duplicate();
            return done(StatusCode::OK, &body);
        }
    }
    let name = options.name.clone().unwrap_or_else(|| stem(filename));
    let file = received.file.path();
    let record =
        read_and_insert(app, db, file, filename, name, &options.read, &received.sha256, received.size_bytes)
            .await?;
    events::append(
        app,
        db,
        request_id,
        "upload",
        "dataset",
        record.dataset_id,
        serde_json::json!({
            "size_bytes": record.size_bytes, "rows": record.rows,
        }),
    )
    .await;
    done(StatusCode::CREATED, &Dataset::of(&record))
}

fn done(status: StatusCode, dataset: &Dataset) -> Result<Done, Problem> {
    Ok(Done {
        status,
        location: Some(format!("/datasets/{}", dataset.dataset_id())),
        body: serde_json::to_string(dataset).map_err(Problem::internal)?,
    })
}

/// Reads the file in a child process, stores it and its table, and then, when both are durable,
/// the row.
#[expect(clippy::too_many_arguments, reason = "these are the parts of one record")]
pub async fn read_and_insert(
    app: &App,
    db: &Db,
    file: &Path,
    filename: &str,
    name: String,
    options: &ReadOptions,
    sha256: &str,
    size_bytes: u64,
) -> Result<DatasetRecord, Problem> {
    let Ingested { description, parquet_path, .. } = &app.read_file(file, filename, options).await?;
    let dataset_id = DatasetId::new();
    let stored = async {
        app.blobs().put_file(&BlobKey::Original(dataset_id), file).await?;
        app.blobs().put_file(&BlobKey::Table(dataset_id), parquet_path).await?;
        let record = DatasetRecord {
            dataset_id,
            name,
            filename: filename.to_owned(),
            sha256: sha256.to_owned(),
            size_bytes,
            description: description.clone(),
            options: options.clone(),
            rows: description.rows,
            created_at: app.clock().now(),
        };
        datasets::insert(db, &record).await?;
        Ok::<_, Problem>(record)
    };
    match stored.await {
        Ok(record) => Ok(record),
        Err(problem) => {
            // Without a row the blobs are nobody's. The sweep would find them; this is sooner.
            for key in [BlobKey::Original(dataset_id), BlobKey::Table(dataset_id)] {
                let _ = app.blobs().delete(&key).await;
            }
            Err(problem)
        }
    }
}

/// Copies a stored file back for another reading.
pub async fn fetch_original(app: &App, dataset_id: DatasetId) -> Result<TempFile, Problem> {
    let file = TempFile::new(&app.temp_dir(), "reread");
    match app.blobs().get_file(&BlobKey::Original(dataset_id), file.path()).await? {
        Some(_) => Ok(file),
        None => Err(Problem::new(Slug::StorageUnavailable, "the original file of this dataset is missing")),
    }
}

fn stem(filename: &str) -> String {
    match filename.rsplit_once('.') {
        Some((stem, _)) if !stem.is_empty() => stem.to_owned(),
        _ => filename.to_owned(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn datasets_are_called_like_their_files() {
        for (filename, expected) in
            [("a.csv", "a"), ("a.b.xlsx", "a.b"), (".csv", ".csv"), ("plain", "plain")]
        {
            assert_eq!(stem(filename), expected);
        }
    }
}
