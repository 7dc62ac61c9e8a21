//! From the stored file to its answer in the temporary folder.

use super::{
    Sheet,
    failure::{internal, job_error, of_answer, of_model, of_reading, of_storage, of_unfit},
    write::{self, Progress, Wanted},
};
use crate::{
    app::{App, TempFile},
    hash,
    jobs::{self, Jobs},
    language::Language,
    model::PredictOptions,
    prediction::{Loaded, PredictionError},
    storage::{BlobKey, JobError, PredictionRecord, StorageError, predictions::Done},
};
use std::{
    fs::File,
    io::{self, BufWriter},
    sync::{Arc, atomic::Ordering},
};

/// Answers a file, which takes as long as it takes.
pub(super) async fn answer(
    app: &App,
    jobs: &Jobs,
    record: &PredictionRecord,
    progress: &Arc<Progress>,
) -> Result<(Done, TempFile), JobError> {
    let (key, request) = (BlobKey::Asked(record.prediction_id), &record.request);
    let file = TempFile::new(&app.temp_dir(), "asked");
    let patience = jobs.settings.save_retry_for;
    let copied = jobs::retry(patience, || jobs.blobs.get_file(&key, file.path())).await;
    if copied.map_err(|error| of_storage(&error))?.is_none() {
        return Err(job_error("file-missing", "the stored file is not there; send it again"));
    }
    let loaded =
        jobs::retry(patience, || model(app, jobs, record)).await.map_err(|error| of_storage(&error))?;
    let loaded = loaded.map_err(|error| of_model(&error, record))?;
    let mut sheet = Sheet::read(app, file.path(), &record.filename, &request.read, loaded.model.inputs())
        .await
        .map_err(|error| of_reading(&error))?;
    progress.rows.store(sheet.n_rows() as u64, Ordering::Relaxed);
    sheet.check(loaded.model.inputs()).map_err(of_unfit)?;
    let format = request.format.unwrap_or_else(|| sheet.own_format());
    sheet.read_spelling(app, file.path(), &record.filename, &request.read, format).await;
    drop(file);
    let wanted = Wanted {
        options: PredictOptions {
            confidence: request.confidence,
            unknown_category: request.unknown_category,
            explain: false,
        },
        language: Language::of_locale(&request.language),
        format: sheet.in_its_marks(format),
        is_awaited: false,
    };
    let (path, tables, progress) =
        (TempFile::new(&app.temp_dir(), "answered"), sheet.tables(), progress.clone());
    let file_warnings = sheet.warnings();
    let writing = move || {
        let to = BufWriter::new(File::options().write(true).create_new(true).open(path.path())?);
        let to = write::answer(&tables, &loaded.model, wanted, &progress, to)?;
        to.into_inner().map_err(io::IntoInnerError::into_error)?.sync_all()?;
        let (sha256, size_bytes) = hash::of_file(path.path())?;
        Ok((Done { format, size_bytes, sha256, file_warnings }, path))
    };
    let answered = tokio::task::spawn_blocking(writing).await;
    // The tables are in its scratch folders.
    drop(sheet);
    let answered = answered.map_err(|error| {
        tracing::error!(%error, "answering a file panicked");
        internal()
    })?;
    answered.map_err(|error| of_answer(&error))
}

/// The model; the outer error is one of the stores, which is worth another try.
async fn model(
    app: &App,
    jobs: &Jobs,
    record: &PredictionRecord,
) -> Result<Result<Arc<Loaded>, PredictionError>, StorageError> {
    match app.models().get(&jobs.db, &jobs.blobs, record.model_id).await {
        Err(PredictionError::Storage(error)) => Err(error),
        other => Ok(other),
    }
}
