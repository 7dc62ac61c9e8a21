//! Logs and metrics: set up once per process.
//!
//! No log line and no metric carries user data: identifiers, routes, counts and durations only.

use crate::config::{LogFormat, Logs};
use metrics_exporter_prometheus::{Matcher, PrometheusBuilder, PrometheusHandle, PrometheusRecorder};
use std::io::{self, IsTerminal};
use tracing_subscriber::{EnvFilter, layer::SubscriberExt, util::SubscriberInitExt};

/// Seconds that requests take, by method, route and status.
pub const REQUEST_SECONDS: &str = "http_request_duration_seconds";
/// Requests being worked on.
pub const REQUESTS_ACTIVE: &str = "http_requests_active";
/// Open connections.
pub const CONNECTIONS: &str = "http_connections";
/// Seconds that predictions take, by whether they ran on the spot or in the pool.
pub const PREDICTION_SECONDS: &str = "prediction_duration_seconds";
/// Rows predicted.
pub const PREDICTED_ROWS: &str = "prediction_rows_total";
/// Models loaded from the store into memory.
pub const MODEL_LOADS: &str = "model_loads_total";
/// Bytes of the models kept in memory.
pub const MODEL_CACHE_BYTES: &str = "model_cache_bytes";
/// Trainings that wait.
pub const QUEUE_LENGTH: &str = "trainings_queued";
/// Trainings that run.
pub const TRAININGS_RUNNING: &str = "trainings_running";
/// Trainings that have ended, by status.
pub const TRAININGS_ENDED: &str = "trainings_ended";
/// Files uploaded, by outcome.
pub const UPLOADS: &str = "uploads_total";

/// Why logging or metrics could not be set up.
#[derive(Debug, thiserror::Error)]
pub enum TelemetryError {
    /// The log filter is not one.
    #[error("RUST_LOG is `{filter}`: {reason}; write for example info or taqicfd=debug,warn")]
    Filter {
        /// As given.
        filter: String,
        /// What the parser said.
        reason: String,
    },
    /// Something else in this process logs already.
    #[error("cannot set up logging: {0}")]
    Taken(#[from] tracing_subscriber::util::TryInitError),
}

/// Starts logging to standard error, so that standard output stays free for results.
pub fn init_logs(settings: &Logs) -> Result<(), TelemetryError> {
    let filter = EnvFilter::try_new(&settings.filter).map_err(|error| TelemetryError::Filter {
        filter: settings.filter.clone(),
        reason: error.to_string(),
    })?;
    let terminal = io::stderr().is_terminal();
    let human = match settings.log_format {
        LogFormat::Auto => terminal,
        LogFormat::Human => true,
        LogFormat::Json => false,
    };
    let registry = tracing_subscriber::registry().with(filter);
    if human {
        let ansi = terminal && !crate::config::no_color();
        let layer =
            tracing_subscriber::fmt::layer().with_writer(io::stderr).with_ansi(ansi).with_target(false);
        registry.with(layer).try_init()?;
    } else {
        let layer = tracing_subscriber::fmt::layer().json().flatten_event(true).with_writer(io::stderr);
        registry.with(layer).try_init()?;
    }
    Ok(())
}

/// Starts collecting metrics for the whole process. A second call keeps the first collector; its
/// handle then shows nothing, which only happens in tests that start several servers.
pub fn init_metrics() -> PrometheusHandle {
    let recorder = recorder();
    let handle = recorder.handle();
    if metrics::set_global_recorder(recorder).is_ok() {
        describe();
    }
    handle
}

fn recorder() -> PrometheusRecorder {
    // From half a millisecond, the goal for one row, to the longest request that is allowed.
    const SECONDS: [f64; 14] =
        [0.0002, 0.0005, 0.001, 0.002, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 1.0, 5.0, 15.0, 60.0];
    PrometheusBuilder::new()
        .set_buckets_for_metric(Matcher::Suffix("_seconds".into()), &SECONDS)
        .expect("the list of buckets is not empty")
        .build_recorder()
}

fn describe() {
    metrics::describe_histogram!(REQUEST_SECONDS, metrics::Unit::Seconds, "time that requests take");
    metrics::describe_gauge!(REQUESTS_ACTIVE, "requests being worked on");
    metrics::describe_gauge!(CONNECTIONS, "open connections");
    metrics::describe_histogram!(PREDICTION_SECONDS, metrics::Unit::Seconds, "time that predictions take");
    metrics::describe_counter!(PREDICTED_ROWS, "rows predicted");
    metrics::describe_counter!(MODEL_LOADS, "models loaded from the store");
    metrics::describe_gauge!(MODEL_CACHE_BYTES, metrics::Unit::Bytes, "models kept in memory");
    metrics::describe_gauge!(QUEUE_LENGTH, "trainings that wait");
    metrics::describe_gauge!(TRAININGS_RUNNING, "trainings that run");
    metrics::describe_gauge!(TRAININGS_ENDED, "trainings that have ended and are not deleted");
    metrics::describe_counter!(UPLOADS, "files uploaded");
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_bad_filter_is_one_clear_line() {
        let logs = Logs { filter: "taqicfd=loud=1".into(), log_format: LogFormat::Json };
        let error = init_logs(&logs).unwrap_err().to_string();
        assert!(error.starts_with("RUST_LOG is `taqicfd=loud=1`"), "{error}");
    }

    #[test]
    fn durations_are_counted_in_buckets() {
        let recorder = recorder();
        let handle = recorder.handle();
        metrics::with_local_recorder(&recorder, || metrics::histogram!(REQUEST_SECONDS).record(0.0004));
        assert!(handle.render().contains("http_request_duration_seconds_bucket{le=\"0.0005\"} 1"));
    }
}
