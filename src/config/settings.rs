//! Every setting: its flag, its environment name, its default and one line about it.

use super::units::{Seconds, Secret, Size};
use clap::{Args, ValueEnum, builder::BoolishValueParser};
use std::{net::SocketAddr, path::PathBuf};

/// All settings, in the order in which `--help` and `.env.example` show them.
#[derive(Debug, Clone, Args)]
pub struct Settings {
    /// Where and how requests are accepted.
    #[command(flatten, next_help_heading = "Server")]
    pub server: Server,
    /// Where things are kept.
    #[command(flatten, next_help_heading = "Storage")]
    pub storage: Storage,
    /// Limits on reading spreadsheets.
    #[command(flatten, next_help_heading = "Reading spreadsheets")]
    pub reading: Reading,
    /// Workers and their jobs.
    #[command(flatten, next_help_heading = "Training")]
    pub training: Training,
    /// Answering predictions.
    #[command(flatten, next_help_heading = "Prediction")]
    pub prediction: Prediction,
    /// What is logged.
    #[command(flatten, next_help_heading = "Logs")]
    pub logs: Logs,
}

/// Where and how requests are accepted.
#[derive(Debug, Clone, Args)]
pub struct Server {
    /// Address and port to listen on; port 0 takes a free one.
    #[arg(long, env = "TAQICFD_BIND", default_value = "127.0.0.1:8080", value_name = "ADDRESS")]
    pub bind: SocketAddr,
    /// Listen beyond this machine although nobody has to log in.
    #[arg(long, env = "TAQICFD_INSECURE_NO_AUTH", value_parser = BoolishValueParser::new())]
    pub insecure_no_auth: bool,
    /// Names by which this server is asked, beside those of this machine, such as that of a proxy in front of it. Where
    /// it listens beyond this machine, every name is answered to unless some are given.
    #[arg(long, env = "TAQICFD_ALLOWED_HOSTS", value_delimiter = ',', value_name = "HOSTS")]
    pub allowed_hosts: Vec<String>,
    /// Most connections open at once.
    #[arg(long, env = "TAQICFD_MAX_CONNECTIONS", default_value_t = 1024, value_name = "N")]
    pub max_connections: usize,
    /// Most requests worked on at once; further ones get 503.
    #[arg(long, env = "TAQICFD_MAX_REQUESTS", default_value_t = 512, value_name = "N")]
    pub max_requests: usize,
    /// Longest time a client may take to send the headers of a request.
    #[arg(long, env = "TAQICFD_HEADER_TIMEOUT_S", default_value_t = Seconds(10.0), value_name = "SECONDS")]
    pub header_timeout_s: Seconds,
    /// Longest time a connection may stay open without a request.
    #[arg(long, env = "TAQICFD_IDLE_TIMEOUT_S", default_value_t = Seconds(75.0), value_name = "SECONDS")]
    pub idle_timeout_s: Seconds,
    /// Longest time a request may take, apart from uploads, downloads and waiting for a training.
    #[arg(long, env = "TAQICFD_HANDLER_TIMEOUT_S", default_value_t = Seconds(30.0), value_name = "SECONDS")]
    pub handler_timeout_s: Seconds,
    /// Longest time a body may stay below the slowest allowed rate.
    #[arg(long, env = "TAQICFD_BODY_TIMEOUT_S", default_value_t = Seconds(30.0), value_name = "SECONDS")]
    pub body_timeout_s: Seconds,
    /// Slowest allowed rate of a body, per second.
    #[arg(long, env = "TAQICFD_BODY_MIN_RATE", default_value_t = Size(1 << 10), value_name = "SIZE")]
    pub body_min_rate: Size,
    /// Largest headers of a request, all together.
    #[arg(long, env = "TAQICFD_MAX_HEADERS", default_value_t = Size(32 << 10), value_name = "SIZE")]
    pub max_headers: Size,
    /// Largest upload.
    #[arg(long, env = "TAQICFD_MAX_UPLOAD", default_value_t = Size(100 << 20), value_name = "SIZE")]
    pub max_upload: Size,
    /// Largest JSON body.
    #[arg(long, env = "TAQICFD_MAX_JSON", default_value_t = Size(10 << 20), value_name = "SIZE")]
    pub max_json: Size,
    /// Longest time that `?wait=` and `Prefer: wait` hold a request.
    #[arg(long, env = "TAQICFD_MAX_WAIT_S", default_value_t = Seconds(60.0), value_name = "SECONDS")]
    pub max_wait_s: Seconds,
    /// How long running requests and trainings get to end when the server is told to stop.
    #[arg(long, env = "TAQICFD_SHUTDOWN_GRACE_S", default_value_t = Seconds(10.0), value_name = "SECONDS")]
    pub shutdown_grace_s: Seconds,
}

/// Where things are kept.
#[derive(Debug, Clone, Args)]
pub struct Storage {
    /// The database: `sqlite:PATH` or `postgres://USER:PASSWORD@HOST/NAME`; SQLite in the data folder if absent.
    #[arg(long, env = "DATABASE_URL", hide_env_values = true, value_name = "URL")]
    pub database_url: Option<Secret>,
    /// Most connections to the database.
    #[arg(long, env = "TAQICFD_DB_CONNECTIONS", default_value_t = 10, value_name = "N")]
    pub db_connections: u32,
    /// How long the start waits for the database.
    #[arg(long, env = "TAQICFD_DB_WAIT_S", default_value_t = Seconds(30.0), value_name = "SECONDS")]
    pub db_wait_s: Seconds,
    /// Folder of the embedded database and of the uploads.
    #[arg(long, env = "TAQICFD_DATA_DIR", default_value = "data", value_name = "FOLDER")]
    pub data_dir: PathBuf,
    /// Folder of the model files.
    #[arg(long, env = "TAQICFD_MODELS_DIR", default_value = "saved_models", value_name = "FOLDER")]
    pub models_dir: PathBuf,
    /// Where files go: these folders, or an S3 bucket.
    #[arg(long = "storage", env = "TAQICFD_STORAGE", value_enum, default_value_t = StorageKind::Local)]
    pub kind: StorageKind,
    /// The bucket; needed with `storage=s3`.
    #[arg(long, env = "TAQICFD_S3_BUCKET", value_name = "NAME")]
    pub s3_bucket: Option<String>,
    /// Put before every key in the bucket.
    #[arg(long, env = "TAQICFD_S3_PREFIX", value_name = "TEXT")]
    pub s3_prefix: Option<String>,
    /// Address of an S3 service other than Amazon's.
    #[arg(long, env = "AWS_ENDPOINT_URL", value_name = "URL")]
    pub s3_endpoint: Option<String>,
    /// Region of the bucket.
    #[arg(long, env = "AWS_REGION", default_value = "us-east-1", value_name = "NAME")]
    pub s3_region: String,
    /// Name of the S3 key.
    #[arg(long, env = "AWS_ACCESS_KEY_ID", hide_env_values = true, value_name = "TEXT")]
    pub s3_access_key_id: Option<Secret>,
    /// The S3 key itself; give it in the environment, since other users can see flags.
    #[arg(long, env = "AWS_SECRET_ACCESS_KEY", hide_env_values = true, value_name = "TEXT")]
    pub s3_secret_access_key: Option<Secret>,
    /// Token of a temporary S3 key.
    #[arg(long, env = "AWS_SESSION_TOKEN", hide_env_values = true, value_name = "TEXT")]
    pub s3_session_token: Option<Secret>,
    /// Uploads are refused when less disk space than this is free.
    #[arg(long, env = "TAQICFD_MIN_FREE_DISK", default_value_t = Size(1 << 30), value_name = "SIZE")]
    pub min_free_disk: Size,
}

/// Where files go.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub enum StorageKind {
    /// Folders of this machine.
    Local,
    /// A bucket of an S3 service.
    S3,
}

/// Limits on reading spreadsheets.
#[derive(Debug, Clone, Args)]
pub struct Reading {
    /// Memory that reading one file may take.
    #[arg(long, env = "TAQICFD_READ_MEMORY", default_value_t = Size(1 << 30), value_name = "SIZE")]
    pub read_memory: Size,
    /// Processor time that reading one file may take.
    #[arg(long, env = "TAQICFD_READ_CPU_S", default_value_t = Seconds(30.0), value_name = "SECONDS")]
    pub read_cpu_s: Seconds,
    /// Time that reading one file may take.
    #[arg(long, env = "TAQICFD_READ_WALL_S", default_value_t = Seconds(60.0), value_name = "SECONDS")]
    pub read_wall_s: Seconds,
    /// Files read at once; further uploads wait.
    #[arg(long, env = "TAQICFD_READERS", default_value_t = 2, value_name = "N")]
    pub readers: usize,
    /// Most bytes that a workbook may unpack to.
    #[arg(long, env = "TAQICFD_MAX_INFLATED", default_value_t = Size(512 << 20), value_name = "SIZE")]
    pub max_inflated: Size,
    /// Most cells in the rectangle that a sheet covers.
    #[arg(long, env = "TAQICFD_MAX_CELLS", default_value_t = 50_000_000, value_name = "N")]
    pub max_cells: u64,
    /// Most rows.
    #[arg(long, env = "TAQICFD_MAX_ROWS", default_value_t = 5_000_000, value_name = "N")]
    pub max_rows: u64,
    /// Most columns.
    #[arg(long, env = "TAQICFD_MAX_COLUMNS", default_value_t = 16_384, value_name = "N")]
    pub max_columns: u64,
    /// Longest text in one cell.
    #[arg(long, env = "TAQICFD_MAX_CELL_CHARS", default_value_t = 32_767, value_name = "N")]
    pub max_cell_chars: u64,
}

/// Workers and their jobs.
#[derive(Debug, Clone, Args)]
pub struct Training {
    /// Trainings that this process runs at once; 0 leaves them to `taqicfd worker`.
    #[arg(long, env = "TAQICFD_WORKERS", default_value_t = 1, value_name = "N")]
    pub workers: usize,
    /// What computes the networks.
    #[arg(long, env = "TAQICFD_BACKEND", value_enum, default_value_t = Backend::Flex)]
    pub backend: Backend,
    /// Threads that computing may use; 0 means one per processor.
    #[arg(long, env = "TAQICFD_THREADS", default_value_t = 0, value_name = "N")]
    pub threads: usize,
    /// Most trainings waiting; further ones get 429.
    #[arg(long, env = "TAQICFD_QUEUE_LIMIT", default_value_t = 1000, value_name = "N")]
    pub queue_limit: u64,
    /// Memory that one training may take, as estimated before it is queued.
    #[arg(long, env = "TAQICFD_TRAIN_MEMORY", default_value_t = Size(8 << 30), value_name = "SIZE")]
    pub train_memory: Size,
    /// How long a worker may stay silent before another takes its training over.
    #[arg(long, env = "TAQICFD_LEASE_S", default_value_t = Seconds(30.0), value_name = "SECONDS")]
    pub lease_s: Seconds,
    /// How often a worker says that it is alive, and asks whether to cancel.
    #[arg(long, env = "TAQICFD_HEARTBEAT_S", default_value_t = Seconds(1.0), value_name = "SECONDS")]
    pub heartbeat_s: Seconds,
    /// Most training time lost when a worker is killed.
    #[arg(long, env = "TAQICFD_CHECKPOINT_S", default_value_t = Seconds(20.0), value_name = "SECONDS")]
    pub checkpoint_s: Seconds,
    /// How often a training may take its worker down before it is given up.
    #[arg(long, env = "TAQICFD_MAX_ATTEMPTS", default_value_t = 3, value_name = "N")]
    pub max_attempts: u32,
    /// How long a finished result is kept trying when the database or the store is away.
    #[arg(long, env = "TAQICFD_SAVE_RETRY_S", default_value_t = Seconds(600.0), value_name = "SECONDS")]
    pub save_retry_s: Seconds,
}

/// What computes the networks.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub enum Backend {
    /// burn-flex: fast, uses AVX-512 where the processor has it.
    Flex,
    /// burn-ndarray.
    Ndarray,
}

/// Answering predictions.
#[derive(Debug, Clone, Args)]
pub struct Prediction {
    /// Most rows in one request; a file with more is answered in the background.
    #[arg(long, env = "TAQICFD_MAX_BATCH_ROWS", default_value_t = 100_000, value_name = "N")]
    pub max_batch_rows: usize,
    /// Files that this process answers in the background at once; 0 leaves them to other processes.
    #[arg(long, env = "TAQICFD_FILE_WORKERS", default_value_t = 1, value_name = "N")]
    pub file_workers: usize,
    /// Most files kept for that, waiting or answered; further ones get 429.
    #[arg(long, env = "TAQICFD_FILE_LIMIT", default_value_t = 100, value_name = "N")]
    pub file_limit: u64,
    /// Most disk space that these files and their answers take; further ones get 507.
    #[arg(long, env = "TAQICFD_FILE_DISK", default_value_t = Size(10 << 30), value_name = "SIZE")]
    pub file_disk: Size,
    /// How long an answered file is kept for its download.
    #[arg(long, env = "TAQICFD_FILE_KEEP_S", default_value_t = Seconds(86_400.0), value_name = "SECONDS")]
    pub file_keep_s: Seconds,
    /// The model that answers `/invocations`: `NAME`, `NAME/VERSION` or `NAME@ALIAS`; the only name that exists if absent.
    #[arg(long, env = "TAQICFD_SERVED_MODEL", value_name = "MODEL")]
    pub served_model: Option<String>,
    /// Memory for models that are kept ready.
    #[arg(long, env = "TAQICFD_MODEL_CACHE", default_value_t = Size(256 << 20), value_name = "SIZE")]
    pub model_cache: Size,
}

/// What is logged.
#[derive(Debug, Clone, Args)]
pub struct Logs {
    /// Which messages: `error`, `warn`, `info`, `debug`, `trace`, also per module.
    #[arg(long = "log", env = "RUST_LOG", default_value = "info", value_name = "FILTER")]
    pub filter: String,
    /// How they look: for people on a terminal, JSON otherwise.
    #[arg(long, env = "TAQICFD_LOG_FORMAT", value_enum, default_value_t = LogFormat::Auto)]
    pub log_format: LogFormat,
}

/// How log lines look.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub enum LogFormat {
    /// `human` on a terminal, else `json`.
    Auto,
    /// One readable line.
    Human,
    /// One JSON object per line.
    Json,
}
