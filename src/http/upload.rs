//! `POST /upload`: a file becomes a dataset.

use super::{
    datasets::Dataset,
    error::Problem,
    events,
    idempotency::{self, Done},
    observe::RequestId,
    read_options::UploadOptions,
    readings::{self, Reading, Waiting},
    receive::{self, Received},
};
use crate::{
    app::{App, TempFile},
    dataset::{Look, ReadOptions},
    id::DatasetId,
    ingest::Ingested,
    storage::{BlobKey, DatasetRecord, Db, StorageError, datasets},
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
    /// The spreadsheet: a text table, `.xlsx`, `.xlsm`, `.xlsb`, `.xls` or `.ods`.
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
    /// JSON object: column -> `number|fraction|category|date|boolean|text|ignore`.
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
/// options again answer 200 with the dataset that exists, unless `allow_duplicate=true`. With `Prefer: respond-async`
/// the answer comes as soon as the bytes are there, with the address at which to follow how far they have been read.
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
        ("Prefer" = Option<String>, Header, description = "`respond-async` does not wait until the file has been read", example = "respond-async"),
        ("Idempotency-Key" = Option<String>, Header, description = "Does the request once, however often it is sent")
    ),
    request_body(content(
        (UploadForm = "multipart/form-data"),
        (String = "text/csv", example = "Re;Cd\n1,0e5;0,0121\n"),
        (String = "application/octet-stream")
    )),
    responses(
        (status = 201, body = Dataset, description = "Stored and read", headers(("Location" = String, description = "The dataset"))),
        (status = 202, body = Reading, description = "Received, and being read", headers(
            ("Location" = String, description = "The reading"),
            ("Retry-After" = u32, description = "Seconds after which to look"))),
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
        Ok(response) if response.status() == StatusCode::ACCEPTED => "accepted",
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
    if !readings::prefers_async(headers) {
        let work = store(app, db, request_id, &received, &filename, &options);
        return idempotency::once(app, db, headers, "POST /upload", &fingerprint, work).await;
    }
    let work = begin(app, db, request_id, received, filename, options);
    let mut response = idempotency::once(app, db, headers, "POST /upload", &fingerprint, work).await?;
    if response.status() == StatusCode::ACCEPTED {
        readings::add_headers(response.headers_mut());
    }
    Ok(response)
}

/// Has the file read in the background, unless it is known.
async fn begin(
    app: &App,
    db: &Db,
    request_id: &RequestId,
    received: Received,
    filename: String,
    options: UploadOptions,
) -> Result<Done, Problem> {
    if let Some(known) = find_same(app, db, &received, &options).await? {
        return Ok(known);
    }
    let waiting = Waiting {
        file: received.file,
        name: options.name.unwrap_or_else(|| stem(&filename)),
        filename,
        options: options.read,
        sha256: received.sha256,
        size_bytes: received.size_bytes,
    };
    readings::begin(app, db, request_id, waiting).await
}

/// The answer about a dataset that has the same bytes and options.
async fn find_same(
    app: &App,
    db: &Db,
    received: &Received,
    options: &UploadOptions,
) -> Result<Option<Done>, Problem> {
    if options.allow_duplicate {
        return Ok(None);
    }
    let Some(known) = datasets::find_same(db, &received.sha256, &options.read).await? else {
        return Ok(None);
    };
    // One that has lost a file is told to be uploaded again, and this is the upload.
    for key in [BlobKey::Original(known.dataset_id), BlobKey::Table(known.dataset_id)] {
        if app.blobs().head(&key).await?.is_none() {
            return Ok(None);
        }
    }
    done(StatusCode::OK, &Dataset::of(&known).duplicate()).map(Some)
}

async fn store(
    app: &App,
    db: &Db,
    request_id: &RequestId,
    received: &Received,
    filename: &str,
    options: &UploadOptions,
) -> Result<Done, Problem> {
    if let Some(known) = find_same(app, db, received, options).await? {
        return Ok(known);
    }
    let new = NewDataset {
        filename,
        name: options.name.clone().unwrap_or_else(|| stem(filename)),
        options: &options.read,
        sha256: &received.sha256,
        size_bytes: received.size_bytes,
    };
    let record = read_and_insert(app, db, received.file.path(), new, &mut |_| {}).await?;
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

/// What is known of a dataset before it is read.
#[derive(Debug)]
pub struct NewDataset<'a> {
    /// The file's name.
    pub filename: &'a str,
    /// What it is to be called.
    pub name: String,
    /// What the caller overrides.
    pub options: &'a ReadOptions,
    /// SHA-256 of the file in hexadecimal.
    pub sha256: &'a str,
    /// The file's length.
    pub size_bytes: u64,
}

/// Reads the file in a child process, stores it and its table, and then, when both are durable,
/// the row. `file` may be moved away. `on_look` is told how far the reading has come.
pub async fn read_and_insert(
    app: &App,
    db: &Db,
    file: &Path,
    new: NewDataset<'_>,
    on_look: &mut (dyn FnMut(Look) + Send),
) -> Result<DatasetRecord, Problem> {
    let NewDataset { filename, name, options, sha256, size_bytes } = new;
    let Ingested { description, parquet_path, .. } = &app.read_file(file, filename, options, on_look).await?;
    let dataset_id = DatasetId::new();
    let stored = async {
        app.blobs().take_file(&BlobKey::Original(dataset_id), file).await?;
        app.blobs().take_file(&BlobKey::Table(dataset_id), parquet_path).await?;
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
        Ok::<_, StorageError>(record)
    };
    match stored.await {
        Ok(record) => Ok(record),
        Err(error) => {
            // The row may be there although the answer was lost; the sweep knows. Else the blobs are nobody's.
            if !error.is_transient() {
                for key in [BlobKey::Original(dataset_id), BlobKey::Table(dataset_id)] {
                    let _ = app.blobs().delete(&key).await;
                }
            }
            Err(error.into())
        }
    }
}

/// Copies a stored file back for another reading.
pub async fn fetch_original(app: &App, dataset_id: DatasetId) -> Result<TempFile, Problem> {
    let file = TempFile::new(&app.temp_dir(), "reread");
    match app.blobs().get_file(&BlobKey::Original(dataset_id), file.path()).await? {
        Some(_) => Ok(file),
        None => Err(Problem::file_missing("the original file of this dataset is missing")),
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
