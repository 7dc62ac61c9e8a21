//! A spreadsheet that is answered in the background: `POST /predict` gives 202 and a job.

use super::file::{Asked, Format};
use crate::{
    app::App,
    http::{
        error::Problem,
        events, extract,
        idempotency::{self, Done},
        language,
        observe::RequestId,
        predictions::{self, Prediction},
        receive::Received,
    },
    id::PredictionId,
    prediction::Loaded,
    storage::{self, BlobKey, Db, NewPrediction, PredictionLimits, PredictionRequest},
};
use axum::{
    http::{HeaderMap, HeaderName, HeaderValue, StatusCode, header, request::Parts},
    response::Response,
};
use std::time::Duration;

/// Whether the client asks for a job: `Prefer: respond-async` (RFC 7240).
pub(super) fn is_preferred(headers: &HeaderMap) -> bool {
    extract::preferences(headers).any(|preference| preference.eq_ignore_ascii_case("respond-async"))
}

/// Makes the file durable, then the job, and answers with the job.
pub(super) async fn enqueue(
    app: &App,
    db: &Db,
    parts: &Parts,
    asked: Asked,
    received: Received,
    filename: &str,
    loaded: &Loaded,
) -> Result<Response, Problem> {
    let headers = &parts.headers;
    // Where JSON is asked for, that is the job: the file comes back as what it is.
    let by_accept = Format::choose(headers, Format::Json).ok().and_then(Format::of_file);
    let request = PredictionRequest {
        format: asked.format.or(by_accept),
        confidence: asked.options.confidence,
        unknown_category: asked.options.unknown_category,
        language: language::wanted(headers).tag().to_owned(),
        read: asked.file.read,
    };
    let model_id = loaded.record.model_id;
    let as_json = serde_json::to_vec(&request).map_err(Problem::internal)?;
    let fingerprint =
        idempotency::fingerprint(&[received.sha256.as_bytes(), model_id.0.as_bytes(), &as_json]);
    let new = NewPrediction {
        prediction_id: PredictionId::new(),
        model_id,
        filename: filename.to_owned(),
        request,
        file_bytes: received.size_bytes,
    };
    let work = async {
        let key = BlobKey::Asked(new.prediction_id);
        app.blobs().put_file(&key, received.file.path()).await?;
        let limits = PredictionLimits {
            files: app.settings().prediction.file_limit,
            bytes: app.settings().prediction.file_disk.bytes(),
        };
        match storage::predictions::enqueue(db, new, limits, app.clock().now()).await {
            Ok(record) => {
                app.live_files().wake_worker();
                note(app, db, parts, &record).await;
                Ok(Done {
                    status: StatusCode::ACCEPTED,
                    location: Some(format!("/predictions/{}", record.prediction_id)),
                    body: serde_json::to_string(&Prediction::of(app, record)).map_err(Problem::internal)?,
                })
            }
            Err(error) => {
                // The row may be there although the answer was lost; the sweep knows. Else the file is nobody's.
                if !error.is_transient() {
                    let _ = app.blobs().delete(&key).await;
                }
                Err(error.into())
            }
        }
    };
    let queued = idempotency::once(app, db, headers, "POST /predict", &fingerprint, work).await?;
    answer(app, db, headers, queued).await
}

async fn note(app: &App, db: &Db, parts: &Parts, record: &storage::PredictionRecord) {
    let Some(request_id) = parts.extensions.get::<RequestId>() else { return };
    let details = serde_json::json!({"model_id": record.model_id, "size_bytes": record.file_bytes});
    events::append(app, db, request_id, "predict", "prediction", record.prediction_id, details).await;
}

/// Answers at once, or waits as the client prefers.
async fn answer(app: &App, db: &Db, headers: &HeaderMap, mut queued: Response) -> Result<Response, Problem> {
    queued.headers_mut().insert(header::RETRY_AFTER, HeaderValue::from_static("1"));
    let location = queued.headers().get(header::LOCATION).and_then(|value| value.to_str().ok());
    let place = location.unwrap_or_default().to_owned();
    let (mut response, applied) = match extract::prefer_wait(headers) {
        None => (queued, "respond-async".to_owned()),
        Some(wait_s) => {
            let wait = Duration::from_secs(wait_s).min(app.settings().server.max_wait_s.duration());
            let id = place.strip_prefix("/predictions/").unwrap_or_default();
            let ended = predictions::wait_for_end(app, db, id, wait).await?;
            let response =
                if ended.is_final() { extract::with_status(StatusCode::OK, &place, ended) } else { queued };
            (response, format!("respond-async, wait={}", wait.as_secs()))
        }
    };
    if let (true, Ok(applied)) = (is_preferred(headers), HeaderValue::from_str(&applied)) {
        response.headers_mut().insert(HeaderName::from_static("preference-applied"), applied);
    }
    Ok(response)
}
