//! Blobs: immutable files under names that the server makes, in local folders or an S3 bucket.
//!
//! A write returns when the blob is on stable storage and has the size it should have. Only then
//! is the row written that names it.

mod key;
mod open;

pub use key::{Area, BlobKey};
pub use open::{BlobSettings, S3Settings};

use crate::storage::{Part, Result, StorageError, error::from_io};
use bytes::Bytes;
use chrono::{DateTime, Utc};
use futures::{StreamExt, TryStreamExt, stream::BoxStream};
use object_store::{
    Error as StoreError, GetOptions, GetRange, ObjectMeta, ObjectStore, ObjectStoreExt, PutPayload,
    WriteMultipart, path::Path as StorePath,
};
use std::{
    ops::Range,
    path::{Path, PathBuf},
    sync::Arc,
};
use tokio::io::{AsyncReadExt, AsyncWriteExt};

/// Larger files are sent in parts of this size; S3 asks for at least 5 MiB.
const PART_BYTES: usize = 8 << 20;

/// The name of the file that says which database the others belong to.
const MARK: &str = "database.id";

/// The blob store.
#[derive(Debug, Clone)]
pub struct Blobs {
    /// Uploads, checkpoints, and files to be answered.
    data: Place,
    /// Model files.
    models: Place,
}

/// A store, and its folder where it is local.
#[derive(Debug, Clone)]
struct Place {
    store: Arc<dyn ObjectStore>,
    folder: Option<PathBuf>,
}

/// What is known about a blob without reading it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct BlobInfo {
    /// Its name.
    pub key: BlobKey,
    /// Its size.
    pub size_bytes: u64,
    /// When it was written, by the clock of the store.
    pub modified: DateTime<Utc>,
}

/// The bytes of a blob as they arrive.
pub type BlobStream = BoxStream<'static, Result<Bytes>>;

impl Blobs {
    /// Stores the file at `path`, reading it part by part, and returns its size.
    pub async fn put_file(&self, key: &BlobKey, path: &Path) -> Result<u64> {
        let (place, location) = self.locate(key);
        let mut file = tokio::fs::File::open(path).await.map_err(from_io)?;
        let size_bytes = file.metadata().await.map_err(from_io)?.len();
        if size_bytes <= PART_BYTES as u64 {
            let mut bytes = Vec::with_capacity(size_bytes as usize);
            file.read_to_end(&mut bytes).await.map_err(from_io)?;
            return self.put_bytes(key, bytes.into()).await;
        }
        let upload = place.store.put_multipart(&location).await?;
        let mut writer = WriteMultipart::new_with_chunk_size(upload, PART_BYTES);
        let sent = async {
            let mut sent = 0;
            loop {
                let mut part = Vec::with_capacity(PART_BYTES);
                let n_bytes =
                    (&mut file).take(PART_BYTES as u64).read_to_end(&mut part).await.map_err(from_io)?;
                if n_bytes == 0 {
                    return Ok::<u64, StorageError>(sent);
                }
                sent += n_bytes as u64;
                // At most two parts in flight: memory stays bounded whatever the file.
                writer.wait_for_capacity(1).await?;
                writer.put(part.into());
            }
        }
        .await;
        match sent {
            Ok(sent) => {
                writer.finish().await?;
                self.verify(key, sent).await
            }
            Err(error) => {
                // Parts that stay behind cost money on S3. The error that is told is the first one.
                if let Err(error) = writer.abort().await {
                    tracing::warn!(%key, %error, "an upload in parts could not be taken back");
                }
                Err(error)
            }
        }
    }

    /// Stores the file at `path` and returns its size. Where the file lies on the disk of the store it
    /// is moved, and else copied: afterwards it may be gone.
    pub async fn take_file(&self, key: &BlobKey, path: &Path) -> Result<u64> {
        let (place, location) = self.locate(key);
        let Some(folder) = place.folder.clone() else { return self.put_file(key, path).await };
        let (from, to) = (path.to_owned(), folder.join(location.as_ref()));
        let moved = tokio::task::spawn_blocking(move || move_durably(&from, &to, &folder))
            .await
            .map_err(|error| StorageError::Internal(error.into()))?;
        match moved {
            Ok(size_bytes) => self.verify(key, size_bytes).await,
            Err(error) if error.kind() == std::io::ErrorKind::CrossesDevices => {
                self.put_file(key, path).await
            }
            Err(error) => Err(from_io(error)),
        }
    }

    /// Stores `bytes` and returns their number.
    pub async fn put_bytes(&self, key: &BlobKey, bytes: Bytes) -> Result<u64> {
        let (place, location) = self.locate(key);
        let size_bytes = bytes.len() as u64;
        place.store.put(&location, PutPayload::from(bytes)).await?;
        self.verify(key, size_bytes).await
    }

    /// Asks the store what it has: a write that was cut short must not get a row.
    async fn verify(&self, key: &BlobKey, expected: u64) -> Result<u64> {
        let found = self.head(key).await?.map(|info| info.size_bytes);
        if found == Some(expected) {
            return Ok(expected);
        }
        let found = found.map_or("nothing".to_owned(), |size| format!("{size} bytes"));
        Err(StorageError::Unavailable {
            part: Part::Blobs,
            source: format!("{expected} bytes of {key} were written, but {found} are stored").into(),
        })
    }

    /// The whole blob.
    pub async fn get_bytes(&self, key: &BlobKey) -> Result<Option<Bytes>> {
        let (place, location) = self.locate(key);
        match absent(place.store.get(&location).await)? {
            Some(found) => Ok(Some(found.bytes().await?)),
            None => Ok(None),
        }
    }

    /// The blob, or the bytes of `range`, which must lie within it, as they arrive. A blob that is removed meanwhile is
    /// still read to its end (locally; S3 ends the stream with an error).
    pub async fn stream(
        &self,
        key: &BlobKey,
        range: Option<Range<u64>>,
    ) -> Result<Option<(BlobInfo, BlobStream)>> {
        let (place, location) = self.locate(key);
        let options = GetOptions { range: range.map(GetRange::Bounded), ..GetOptions::default() };
        Ok(absent(place.store.get_opts(&location, options).await)?.map(|found| {
            let info = info(*key, &found.meta);
            (info, found.into_stream().map_err(StorageError::from).boxed())
        }))
    }

    /// Copies the blob into a new local file and returns its size.
    pub async fn get_file(&self, key: &BlobKey, path: &Path) -> Result<Option<u64>> {
        let Some((info, mut bytes)) = self.stream(key, None).await? else { return Ok(None) };
        let mut file = tokio::fs::File::create(path).await.map_err(from_io)?;
        while let Some(part) = bytes.try_next().await? {
            file.write_all(&part).await.map_err(from_io)?;
        }
        file.flush().await.map_err(from_io)?;
        Ok(Some(info.size_bytes))
    }

    /// What is known about the blob.
    pub async fn head(&self, key: &BlobKey) -> Result<Option<BlobInfo>> {
        let (place, location) = self.locate(key);
        Ok(absent(place.store.head(&location).await)?.map(|meta| info(*key, &meta)))
    }

    /// Removes the blob; it is no error if it is not there.
    pub async fn delete(&self, key: &BlobKey) -> Result<()> {
        let (place, location) = self.locate(key);
        Ok(absent(place.store.delete(&location).await).map(drop)?)
    }

    /// All blobs of one kind. Files with other names are not ours and are left out.
    pub async fn list(&self, area: Area) -> Result<Vec<BlobInfo>> {
        let (place, prefix) = self.place(area);
        let prefix = prefix.map(StorePath::from);
        let mut found = Vec::new();
        let mut listed = place.store.list(prefix.as_ref());
        while let Some(meta) = listed.next().await {
            let meta = match meta {
                Ok(meta) => meta,
                // The folder is made by the first write, and files may go while they are listed.
                Err(StoreError::NotFound { .. }) if place.folder.is_some() => continue,
                Err(error) => return Err(error.into()),
            };
            let name = match prefix {
                Some(_) => meta.location.to_string(),
                None => format!("{}/{}", area.prefix(), meta.location),
            };
            if let Ok(key) = name.parse() {
                found.push(info(key, &meta));
            }
        }
        Ok(found)
    }

    /// Where blobs are kept, and the mark that each place bears: see [`owner`](crate::storage::owner).
    pub async fn marks(&self) -> Result<Vec<(String, Option<String>)>> {
        let mut marks = Vec::new();
        for place in [&self.data, &self.models] {
            let name = match &place.folder {
                Some(folder) => folder.display().to_string(),
                None => "the bucket".to_owned(),
            };
            let mark = match absent(place.store.get(&StorePath::from(MARK)).await)? {
                Some(found) => Some(String::from_utf8_lossy(&found.bytes().await?).trim().to_owned()),
                None => None,
            };
            marks.push((name, mark));
        }
        Ok(marks)
    }

    /// Gives all places this mark.
    pub async fn write_mark(&self, mark: &str) -> Result<()> {
        for place in [&self.data, &self.models] {
            place.store.put(&StorePath::from(MARK), PutPayload::from(format!("{mark}\n"))).await?;
        }
        Ok(())
    }

    /// Whether blobs can be written and read; for the readiness check.
    pub async fn check(&self) -> Result<()> {
        for place in [&self.data, &self.models] {
            if let Some(folder) = place.folder.clone() {
                tokio::task::spawn_blocking(move || open::probe(&folder))
                    .await
                    .map_err(|error| StorageError::Internal(error.into()))?
                    .map_err(from_io)?;
            } else {
                // A list, because S3 answers 404 to a HEAD on a bucket that is not there, too.
                let nothing = StorePath::from("readiness");
                place.store.list(Some(&nothing)).next().await.transpose()?;
            }
        }
        Ok(())
    }

    /// Removes what writes that a crash cut short have left in the local folders: staged files
    /// (`name#1`) older than `before`. On S3 the bucket's lifecycle rule does it.
    pub async fn remove_partial(&self, before: DateTime<Utc>) -> Result<u64> {
        let folders = [
            self.data.folder.as_ref().map(|folder| folder.join(Area::Uploads.prefix())),
            self.data.folder.as_ref().map(|folder| folder.join(Area::Checkpoints.prefix())),
            self.data.folder.as_ref().map(|folder| folder.join(Area::Predictions.prefix())),
            self.models.folder.clone(),
        ];
        tokio::task::spawn_blocking(move || {
            folders.iter().flatten().map(|folder| remove_staged(folder, before)).sum::<std::io::Result<u64>>()
        })
        .await
        .map_err(|error| StorageError::Internal(error.into()))?
        .map_err(from_io)
    }

    fn locate(&self, key: &BlobKey) -> (&Place, StorePath) {
        let (place, prefix) = self.place(key.area());
        let name = key.to_string();
        let path = match prefix {
            Some(_) => name.as_str(),
            None => name.strip_prefix("models/").unwrap_or(&name),
        };
        (place, StorePath::from(path))
    }

    /// The store of an area, and its prefix there. The local models folder holds nothing else, so
    /// that its files can be handed around as they are.
    fn place(&self, area: Area) -> (&Place, Option<&'static str>) {
        match area {
            Area::Uploads | Area::Checkpoints | Area::Predictions => (&self.data, Some(area.prefix())),
            Area::Models if self.models.folder.is_some() => (&self.models, None),
            Area::Models => (&self.models, Some(area.prefix())),
        }
    }
}

/// Moves a file to a place below `folder` and returns its size, once bytes and names are on stable
/// storage.
fn move_durably(from: &Path, to: &Path, folder: &Path) -> std::io::Result<u64> {
    let file = std::fs::File::open(from)?;
    file.sync_all()?;
    let size_bytes = file.metadata()?.len();
    let parent = to.parent().unwrap_or(folder);
    std::fs::create_dir_all(parent)?;
    std::fs::rename(from, to)?;
    // The folders between may be new.
    for folder in parent.ancestors().take_while(|ancestor| ancestor.starts_with(folder)) {
        std::fs::File::open(folder)?.sync_all()?;
    }
    Ok(size_bytes)
}

fn info(key: BlobKey, meta: &ObjectMeta) -> BlobInfo {
    BlobInfo { key, size_bytes: meta.size, modified: meta.last_modified }
}

/// A blob that is not there is `None`.
fn absent<T>(result: object_store::Result<T>) -> object_store::Result<Option<T>> {
    match result {
        Ok(found) => Ok(Some(found)),
        Err(StoreError::NotFound { .. }) => Ok(None),
        Err(error) => Err(error),
    }
}

/// Removes the staged files of `object_store` below `folder`, two levels deep at most.
fn remove_staged(folder: &Path, before: DateTime<Utc>) -> std::io::Result<u64> {
    let mut n_removed = 0;
    let entries = match std::fs::read_dir(folder) {
        Ok(entries) => entries,
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => return Ok(0),
        Err(error) => return Err(error),
    };
    for entry in entries {
        let entry = entry?;
        let Ok(meta) = entry.metadata() else { continue }; // gone meanwhile
        if meta.is_dir() {
            n_removed += remove_staged(&entry.path(), before)?;
            continue;
        }
        let name = entry.file_name();
        let staged = name.to_str().and_then(|name| name.rsplit_once('#')).is_some_and(|(_, number)| {
            !number.is_empty() && number.bytes().all(|byte| byte.is_ascii_digit())
        });
        if staged && DateTime::<Utc>::from(meta.modified()?) < before {
            std::fs::remove_file(entry.path())?;
            n_removed += 1;
        }
    }
    Ok(n_removed)
}
