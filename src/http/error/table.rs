//! One table: what can go wrong, with which status, under which slug, and how to mend it.

use axum::http::StatusCode;

macro_rules! problems {
    ($($slug:ident = $status:literal $text:literal, $title:literal, $meaning:literal, $mend:literal;)*) => {
        /// What can go wrong. The slug is stable: clients may rely on it.
        #[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
        #[expect(missing_docs, reason = "the titles in the table say it")]
        pub enum Slug { $($slug),* }

        impl Slug {
            /// Every slug, in the order of the table.
            pub const ALL: &[Slug] = &[$(Slug::$slug),*];

            /// The row of the table.
            pub fn kind(self) -> &'static Kind {
                match self {
                    $(Slug::$slug => &Kind {
                        slug: $text, status: $status, title: $title, meaning: $meaning, mend: $mend,
                    }),*
                }
            }
        }
    };
}

/// One row of the table.
#[derive(Debug, Clone, Copy)]
pub struct Kind {
    /// The last part of the problem's `type`.
    pub slug: &'static str,
    /// The HTTP status.
    pub status: u16,
    /// A short name.
    pub title: &'static str,
    /// What has happened.
    pub meaning: &'static str,
    /// What to do about it.
    pub mend: &'static str,
}

problems! {
    // The request itself.
    BadRequest = 400 "bad-request", "The request cannot be read",
        "The address, a query parameter or a header is not valid.", "Compare the request with /docs.";
    MalformedJson = 400 "malformed-json", "The body is not valid JSON",
        "The body is not JSON, names a key twice, is nested more than 32 deep, or holds NaN or Infinity, which JSON does not have.",
        "Mend the place that `detail` names. Write null for a missing value.";
    MalformedMultipart = 400 "malformed-multipart", "The form cannot be read",
        "The multipart/form-data body is cut off, has no `file` part or two of them, too many parts, or an unknown one.",
        "Send one part named `file`, and the options as further parts: curl -F file=@data.csv -F decimal=, ...";
    MissingBody = 400 "missing-body", "There is no body",
        "The route needs a body and got none.", "Send the file or the JSON document as the body.";
    HostNotAllowed = 403 "host-not-allowed", "The server does not answer to this host",
        "The request names a host, or comes from a page of one, that is not this server's.",
        "Ask by the address it listens on, or start it with --allowed-hosts.";
    NotFound = 404 "not-found", "There is no such route",
        "No route has this address.", "See / for the routes and /docs for how to use them.";
    DatasetNotFound = 404 "dataset-not-found", "There is no such dataset",
        "No dataset has this identifier, or it has been deleted.", "List the datasets with GET /datasets.";
    TrainingNotFound = 404 "training-not-found", "There is no such training",
        "No training has this identifier.", "List the trainings with GET /trainings.";
    PredictionNotFound = 404 "prediction-not-found", "There is no such prediction",
        "No file with this identifier is answered in the background, or it was deleted, or its time is over.",
        "List them with GET /predictions, or send the file again.";
    ReadingNotFound = 404 "reading-not-found", "There is no such reading",
        "No upload that is being read has this identifier, or it ended long ago.",
        "Take the address from the Location of POST /upload with Prefer: respond-async, or list the datasets with GET /datasets.";
    ModelNotFound = 404 "model-not-found", "There is no such model",
        "No model has this identifier or name, or it has been deleted.", "List the models with GET /models.";
    MethodNotAllowed = 405 "method-not-allowed", "The route does not know this method",
        "The address is right, the method is not.", "Use one of the methods in the Allow header.";
    NotAcceptable = 406 "not-acceptable", "The answer does not come in this format",
        "The Accept header excludes every format that this route has.", "Accept the format that `detail` names, or */*.";
    RequestTimeout = 408 "request-timeout", "The body came too slowly",
        "The client sent the body slower than the server waits for.",
        "Send again over a faster connection, or raise TAQICFD_BODY_TIMEOUT_S.";
    IdempotencyKeyInUse = 409 "idempotency-key-in-use", "The same request is still running",
        "A request with this Idempotency-Key has not been answered yet.", "Wait for the time in Retry-After and send it again.";
    JobAlreadyFinished = 409 "job-already-finished", "The job has ended",
        "A training or prediction that has ended cannot be cancelled.", "Nothing to do. Delete its model or its file if you do not want it.";
    NameInUse = 409 "name-in-use", "The name is taken",
        "Another model has this name, perhaps in other capitals.", "Choose another name.";
    ModelHasAliases = 409 "model-has-aliases", "The model has aliases",
        "Somebody may ask for the model under its alias, so it is not deleted.",
        "Give the alias to another version with PUT /models/{model_id}/aliases/{alias}, or remove it with DELETE; then delete the model.";
    PredictionNotReady = 409 "prediction-not-ready", "There are no answers yet",
        "The file is still being answered, or it could not be, or that was cancelled.",
        "See its `status` and its `error`: GET /predictions/{prediction_id}?wait=30.";
    ModelNotReady = 409 "model-not-ready", "The model is not there yet",
        "The training that makes this model has not ended, or has failed.",
        "Wait for it: GET /trainings/{id}?wait=30.";
    ModelFormatTooNew = 409 "model-format-too-new", "The model file is from a newer version",
        "This program is older than the one that wrote the model.", "Update the program.";
    PreconditionFailed = 412 "precondition-failed", "The thing has changed",
        "It is no longer what If-Match says.", "Fetch it again and decide anew.";
    BodyTooLarge = 413 "body-too-large", "The body is too large",
        "The body is longer than this route takes.", "Send less, or raise the limit: TAQICFD_MAX_UPLOAD, TAQICFD_MAX_JSON.";
    InflatedTooLarge = 413 "inflated-too-large", "The workbook unpacks to too much",
        "The compressed file is small, its content is not. Such files can stop a server.",
        "Save the sheet as CSV, or raise TAQICFD_MAX_INFLATED.";
    TooManyCells = 413 "too-many-cells", "The sheet is too large",
        "The rectangle from the first cell to the last has too many cells; often one stray cell lies far away.",
        "Delete the stray cells, or raise TAQICFD_MAX_CELLS.";
    TooManyColumns = 413 "too-many-columns", "There are too many columns",
        "The table has more columns than are read.", "Leave columns out, or raise TAQICFD_MAX_COLUMNS.";
    TooManyRows = 413 "too-many-rows", "There are too many rows",
        "The table has more rows than are read.", "Send a part of the rows, or raise TAQICFD_MAX_ROWS.";
    BatchTooLarge = 413 "batch-too-large", "There are too many rows to predict at once",
        "One request may hold a limited number of rows.",
        "Send them as a file, which is answered in the background, split them over several requests, or raise TAQICFD_MAX_BATCH_ROWS.";
    UnsupportedMediaType = 415 "unsupported-media-type", "This kind of content is not taken",
        "The content is not what the route reads, whatever its name says.",
        "Send CSV or another text table, XLSX, XLSM, XLSB, XLS or ODS to /upload, application/json to the others. Unpack \
         archives first.";
    RangeNotSatisfiable = 416 "range-not-satisfiable", "The file is shorter than that",
        "The Range header asks for bytes behind the end.", "See Content-Range for the length.";
    UriTooLong = 414 "uri-too-long", "The address is too long",
        "The address of the request is longer than is read.", "Send data in the body.";
    HeadersTooLarge = 431 "headers-too-large", "The headers are too large",
        "The headers of the request are longer than are read.", "Send fewer or shorter headers.";

    // Reading a file.
    MalformedWorkbook = 422 "malformed-workbook", "The workbook cannot be read",
        "The file is damaged, or takes more memory or time to read than it may.",
        "Open it in a spreadsheet program, save it again as .xlsx or .csv, and send that.";
    MalformedCsv = 422 "malformed-csv", "The table cannot be read",
        "Some lines do not fit the table: another number of fields, an open quote, a NUL byte.",
        "Mend the lines listed in `errors`.";
    CellTooLarge = 422 "cell-too-large", "A cell is too long",
        "One cell holds more text than Excel allows.", "Shorten it; often a quote is not closed.";
    PasswordProtected = 422 "password-protected", "The workbook has a password",
        "A file with a password cannot be read.", "Save it without a password.";
    UnsupportedEncoding = 422 "unsupported-encoding", "The characters cannot be read",
        "The text is not UTF-8, UTF-16, Windows-1252 or Latin-1, or breaks their rules.",
        "Save it as UTF-8, or name the encoding with `encoding`.";
    AmbiguousNumberFormat = 422 "ambiguous-number-format", "The numbers can be read in two ways",
        "The file holds both commas and points in a way that has two readings. A guess could change your data.",
        "Say which mark is the decimal one: decimal=, or decimal=.";
    EmptyFile = 422 "empty-file", "There is no data in the file",
        "The file has no row of data.", "Send a file with a header and at least one row.";
    InvalidParameter = 422 "invalid-parameter", "A value is not allowed",
        "A field has the wrong type, is outside its range, or is not known.", "See `errors`: each entry points to a field.";
    IdempotencyKeyReused = 422 "idempotency-key-reused", "The Idempotency-Key belongs to another request",
        "A different request was sent with this key before.", "Use a new key for a new request.";

    // Training.
    NoDataset = 404 "no-dataset", "There is no dataset yet",
        "The request names no dataset and none has been uploaded.", "Upload one with POST /upload.";
    UnknownColumn = 422 "unknown-column", "There is no such column",
        "A column that the request names is not in the dataset.", "Use one of the names in `errors`.";
    ConstantTarget = 422 "constant-target", "The target never changes",
        "There is nothing to learn from a target with one value.", "Choose another target.";
    NoTargetValues = 422 "no-target-values", "The target is empty",
        "No row has a value of the target.", "Choose another target, or check how the column was read.";
    TooFewRows = 422 "too-few-rows", "There are too few rows",
        "Training, checking and testing need rows of their own.", "Send more rows.";
    TooFewRowsPerClass = 422 "too-few-rows-per-class", "A class has too few rows",
        "Each class needs rows to learn from and rows to test on.", "Merge rare classes or leave them out.";
    TooManyClasses = 422 "too-many-classes", "The target has too many classes",
        "The target has more different values than a classifier is made for.",
        "If it is a number, train a regression: task=regression.";
    ValueOutOfRange = 422 "value-out-of-range", "A value is too large",
        "The column holds values that stay infinite after scaling.", "Check the column's unit, or leave it out.";
    ModelTooLarge = 422 "model-too-large", "The network would not fit into memory",
        "The estimate of the memory is above the limit.", "Use smaller layers or a smaller batch.";

    // Failed trainings: the slug is in the training's `error`, the status is never sent.
    DatasetDeleted = 500 "dataset-deleted", "The dataset was deleted",
        "The dataset was deleted while the training waited or ran.", "Upload it again and train again.";
    DatasetCorrupt = 500 "dataset-corrupt", "The stored table is damaged",
        "The table that was stored when the file was uploaded cannot be read any more.", "Upload the file again and train again.";
    SettingsUnreadable = 500 "settings-unreadable", "The settings of the training cannot be read",
        "They were written by another version of the program.", "Train again.";
    TrainingDiverged = 500 "training-diverged", "The training diverged",
        "The loss became infinite or not a number.", "Lower the learning rate.";
    JobCrashedWorker = 500 "job-crashed-worker", "The job took its worker down",
        "The process that did the work died several times.", "Use a smaller network, or send a smaller file; see the logs of the worker.";
    DatabaseUnavailable = 503 "database-unavailable", "The database does not answer",
        "The database is away or overloaded.", "Try again after the time in Retry-After.";
    StorageUnavailable = 503 "storage-unavailable", "The file store does not answer",
        "The folder or the S3 service is away.", "Try again after the time in Retry-After.";

    // Importing a model.
    MalformedModel = 422 "malformed-model", "The model file is damaged",
        "The file is cut off, longer than it should be, changed somewhere, or no model file of this program.",
        "Download it again with GET /model/{model_id}, without a format, and send it as it is.";

    // Predicting.
    MissingField = 422 "missing-field", "A value is missing",
        "A row lacks an input that had a value in every row of the training.", "Add the fields listed in `errors`.";
    WrongType = 422 "wrong-type", "A value has the wrong type",
        "The model cannot read the value as what it learnt the input to be.", "See `errors`: each entry points to a value.";
    UnknownCategory = 422 "unknown-category", "The model does not know this category",
        "The value was not in the training data.",
        "Use a known one, or send unknown_category=missing or nearest.";
    UnitMismatch = 422 "unit-mismatch", "A column is in another unit",
        "The model learned the column in another unit than the file gives for it.",
        "Convert the values to the units of the training, which the card of the model names.";
    UnknownField = 422 "unknown-field", "The model does not have this input",
        "With strict=true, every field must be an input of the model.", "Remove the fields listed in `errors`.";

    // The server.
    QueueFull = 429 "queue-full", "Too much is waiting",
        "The queue has reached its limit.", "Try again after the time in Retry-After, or cancel or delete some.";
    Internal = 500 "internal", "Something went wrong inside",
        "A fault of the program. Your request may well be right.", "Report it with the request_id.";
    FileMissing = 500 "file-missing", "A stored file is gone",
        "The store no longer has a file that it was given. Asking again does not bring it back.",
        "Send the file again, or restore the store from a backup.";
    ModelCorrupt = 500 "model-corrupt", "The model file is damaged",
        "The file is missing or no longer what was written. Other models are not affected.", "Train again.";
    Overloaded = 503 "overloaded", "The server is busy",
        "Too many requests are being worked on.", "Try again after the time in Retry-After.";
    NotReady = 503 "not-ready", "The server is starting or stopping",
        "The database is not open yet, or the server is shutting down.", "Try again after the time in Retry-After.";
    ReadingInterrupted = 503 "reading-interrupted", "The reading of the file was cut short",
        "The server was stopped before an upload that nobody waited for had been read and stored.", "Send the file again.";
    DatabaseBusy = 503 "database-busy", "The database is busy",
        "The database was locked for too long.", "Try again after the time in Retry-After.";
    Timeout = 504 "timeout", "The request took too long",
        "The work was stopped at the time limit.", "Ask for less at once.";
    InsufficientStorage = 507 "insufficient-storage", "The disk is nearly full",
        "Less disk space is free than the server keeps in reserve.", "Free some space, or lower TAQICFD_MIN_FREE_DISK.";
}

impl Slug {
    /// The slug written `text`.
    pub fn find(text: &str) -> Option<Self> {
        Self::ALL.iter().copied().find(|slug| slug.kind().slug == text)
    }

    /// The HTTP status.
    pub fn status(self) -> StatusCode {
        StatusCode::from_u16(self.kind().status).expect("the table holds valid statuses")
    }
}
