//! Everything that is tested with files, databases or HTTP: one binary, which links once.

#![expect(clippy::unwrap_used, reason = "a test that cannot go on ends with a panic")]

mod api;
mod blobs;
mod catalogue;
mod cli;
mod clients;
mod contract;
mod crash;
mod export;
mod files_contract;
mod histories;
mod http_datasets;
mod http_limits;
mod http_models;
mod http_predict;
mod http_readings;
mod http_train;
mod http_upload;
mod import;
mod jobs;
mod language;
mod postgres;
mod predict_file;
mod predictions;
mod process;
mod protocols;
mod python;
mod reading;
mod readme;
mod storage_support;
mod whole_path;
