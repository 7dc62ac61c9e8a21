//! One server per data folder: an advisory lock that the operating system drops with the process.

use crate::storage::{Result, StorageError};
use std::{
    fs::{File, TryLockError},
    path::Path,
};

const LOCK_FILE: &str = "server.lock";

/// Held by `serve` for as long as it runs.
#[derive(Debug)]
pub struct FolderLock {
    _file: File,
}

/// Takes the lock of `data_dir`, making the folder if it is not there.
///
/// The file stays behind on purpose: removing it would let a third process lock a new file of the
/// same name while the second still holds the old one.
pub fn lock_folder(data_dir: &Path) -> Result<FolderLock> {
    let settings = |error: &dyn std::fmt::Display| {
        StorageError::Settings(format!(
            "the data folder {} cannot be written: {error}; make it writable, or choose another folder with --data-dir",
            data_dir.display()
        ))
    };
    std::fs::create_dir_all(data_dir).map_err(|error| settings(&error))?;
    let file = File::options()
        .create(true)
        .truncate(false)
        .write(true)
        .open(data_dir.join(LOCK_FILE))
        .map_err(|error| settings(&error))?;
    match file.try_lock() {
        Ok(()) => Ok(FolderLock { _file: file }),
        Err(TryLockError::WouldBlock) => Err(StorageError::FolderInUse(data_dir.to_owned())),
        Err(TryLockError::Error(error)) => Err(settings(&error)),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_second_taker_is_told_who_to_stop() {
        let folder = tempfile::tempdir().unwrap();
        let first = lock_folder(folder.path()).unwrap();
        let error = lock_folder(folder.path()).unwrap_err();
        assert!(matches!(error, StorageError::FolderInUse(_)), "{error}");
        drop(first);
        lock_folder(folder.path()).unwrap();
    }

    #[test]
    fn a_folder_that_cannot_be_made_is_named() {
        let file = tempfile::NamedTempFile::new().unwrap();
        let error = lock_folder(&file.path().join("data")).unwrap_err().to_string();
        assert!(error.contains("cannot be written") && error.contains("--data-dir"), "{error}");
    }
}
