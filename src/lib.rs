//! taqicfd: a spreadsheet goes in, a trained neural network answers over HTTP.
//!
//! The modules stand in reading order, and **a module imports only modules declared above it**
//! (`tests/architecture.rs` checks this). Data flows down this list; only return values and
//! progress events come back up.

// Foundations.
pub mod clock;
pub mod language;
pub mod config;
pub mod id;
pub mod hash;
pub mod telemetry;

// Pure: a file becomes a typed table. No I/O but the bytes it is handed, no async.
pub mod dataset;

// Pure: what a model is, and how a table becomes one. Numbers in, numbers out.
pub mod model;
pub mod training;

// Pure: a model in the forms that other programs read.
pub mod export;

// What outlives the process, and what runs beside it.
pub mod ingest;
pub mod storage;

// What runs later.
pub mod jobs;

// Answers.
pub mod prediction;
pub mod app;
pub mod batch;
pub mod http;
pub mod cli;
