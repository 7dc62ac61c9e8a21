//! Where the blobs are: local folders or an S3 bucket.

use super::{Blobs, Place};
use crate::storage::{Result, StorageError};
use object_store::{
    BackoffConfig, ClientOptions, ObjectStore, RetryConfig, aws::AmazonS3Builder, local::LocalFileSystem,
    prefix::PrefixStore,
};
use std::{
    fmt,
    path::{Path, PathBuf},
    sync::Arc,
    time::Duration,
};

/// Where the blobs are to be kept.
#[derive(Debug, Clone)]
pub enum BlobSettings {
    /// In folders of this machine.
    Local {
        /// Holds `uploads/`, `checkpoints/` and `predictions/`.
        data_dir: PathBuf,
        /// Holds the model files.
        models_dir: PathBuf,
    },
    /// In a bucket of S3 or of a server that speaks its protocol.
    S3(S3Settings),
}

/// How to reach the bucket.
#[derive(Clone)]
pub struct S3Settings {
    /// The bucket; it must exist.
    pub bucket: String,
    /// Put before every name, so that the bucket can be shared.
    pub prefix: Option<String>,
    /// The region; servers other than AWS take any.
    pub region: String,
    /// The address of a server other than AWS, such as `http://localhost:9000`.
    pub endpoint: Option<String>,
    /// The access key; absent where the machine itself has a role.
    pub access_key_id: Option<String>,
    /// The secret of the access key.
    pub secret_access_key: Option<String>,
    /// The token of temporary credentials.
    pub session_token: Option<String>,
    /// Bucket in the path (`host/bucket/key`) and not in the host name: what most servers other
    /// than AWS want.
    pub path_style: bool,
    /// Whether plain HTTP is allowed.
    pub allow_http: bool,
    /// For how long a request that fails is tried again.
    pub retry_for: Duration,
}

impl fmt::Debug for S3Settings {
    /// Shows no secret.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("S3Settings")
            .field("bucket", &self.bucket)
            .field("prefix", &self.prefix)
            .field("region", &self.region)
            .field("endpoint", &self.endpoint)
            .field("path_style", &self.path_style)
            .field("allow_http", &self.allow_http)
            .field("retry_for", &self.retry_for)
            .finish_non_exhaustive()
    }
}

impl Blobs {
    /// Opens the store, making local folders that are not there. Whether S3 answers is not tried:
    /// see [`Blobs::check`].
    pub fn open(settings: &BlobSettings) -> Result<Self> {
        match settings {
            BlobSettings::Local { data_dir, models_dir } => {
                Ok(Self { data: local(data_dir, "data")?, models: local(models_dir, "models")? })
            }
            BlobSettings::S3(settings) => {
                let store = s3(settings)?;
                let place = Place { store, folder: None };
                Ok(Self { data: place.clone(), models: place })
            }
        }
    }
}

/// `with_fsync` makes every write durable before it returns: file, rename and parent folders
/// (`object_store` 0.14.2, `local.rs`: `finish_staged_rename`, `create_parent_dirs`). Removals are
/// not synced; a blob that comes back after a power loss has no row, and the sweep removes it.
fn local(folder: &Path, name: &str) -> Result<Place> {
    let unusable = |error: &dyn fmt::Display| {
        StorageError::Settings(format!(
            "the {name} folder {} cannot be used: {error}; make it writable, or choose another one",
            folder.display()
        ))
    };
    std::fs::create_dir_all(folder).map_err(|error| unusable(&error))?;
    let folder = folder.canonicalize().map_err(|error| unusable(&error))?;
    // A folder that cannot be written is found now, and not by the first upload.
    probe(&folder).map_err(|error| unusable(&error))?;
    let store = LocalFileSystem::new_with_prefix(&folder)
        .map_err(|error| unusable(&error))?
        .with_automatic_cleanup(true)
        .with_fsync(true);
    Ok(Place { store: Arc::new(store), folder: Some(folder) })
}

/// Writes and removes one file. It always has the same name, so that what a crash in between leaves is
/// taken away by the next start; another process may remove it first.
pub(super) fn probe(folder: &Path) -> std::io::Result<()> {
    let file = folder.join(".probe");
    std::fs::write(&file, b"")?;
    match std::fs::remove_file(file) {
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => Ok(()),
        outcome => outcome,
    }
}

fn s3(settings: &S3Settings) -> Result<Arc<dyn ObjectStore>> {
    // The signature of a PUT covers the SHA-256 of its body, so the server checks what it received;
    // a further checksum header is unknown to some servers.
    let mut builder = AmazonS3Builder::new()
        .with_bucket_name(&settings.bucket)
        .with_region(&settings.region)
        .with_virtual_hosted_style_request(!settings.path_style)
        .with_allow_http(settings.allow_http)
        // Several servers lack the bulk request, and nothing here removes many blobs at once.
        .with_disable_bulk_delete(true)
        .with_client_options(
            ClientOptions::new()
                .with_allow_http(settings.allow_http)
                .with_connect_timeout(Duration::from_secs(5))
                .with_timeout(Duration::from_mins(5)),
        )
        .with_retry(RetryConfig {
            backoff: BackoffConfig {
                init_backoff: Duration::from_millis(100),
                max_backoff: Duration::from_secs(5),
                base: 2.0,
            },
            max_retries: usize::MAX, // the time is the limit
            retry_timeout: settings.retry_for,
        });
    if let Some(endpoint) = &settings.endpoint {
        builder = builder.with_endpoint(endpoint);
    }
    if let Some(key) = &settings.access_key_id {
        builder = builder.with_access_key_id(key);
    }
    if let Some(secret) = &settings.secret_access_key {
        builder = builder.with_secret_access_key(secret);
    }
    if let Some(token) = &settings.session_token {
        builder = builder.with_token(token);
    }
    let store = builder
        .build()
        .map_err(|error| StorageError::Settings(format!("the S3 settings cannot be used: {error}")))?;
    Ok(match settings.prefix.as_deref().map(|prefix| prefix.trim_matches('/')) {
        None | Some("") => Arc::new(store),
        Some(prefix) => Arc::new(PrefixStore::new(store, prefix)),
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn secrets_are_not_shown() {
        let settings = S3Settings {
            bucket: "taqicfd".into(),
            prefix: None,
            region: "auto".into(),
            endpoint: None,
            access_key_id: Some("key-of-test".into()),
            secret_access_key: Some("secret-of-test".into()),
            session_token: Some("token-of-test".into()),
            path_style: true,
            allow_http: false,
            retry_for: Duration::from_secs(1),
        };
        let shown = format!("{:?}", BlobSettings::S3(settings));
        assert!(shown.contains("taqicfd") && !shown.contains("of-test"), "{shown}");
    }
}
