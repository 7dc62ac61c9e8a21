//! Waiting out a store that is away.

use crate::storage::Result;
use std::time::Duration;
use tokio::time::Instant;

/// Tries an operation until it succeeds, fails for good, or `patience` is over.
pub async fn retry<T, F>(patience: Duration, operation: impl Fn() -> F) -> Result<T>
where
    F: Future<Output = Result<T>>,
{
    let deadline = Instant::now() + patience;
    let mut wait = Duration::from_millis(200);
    loop {
        match operation().await {
            Err(error) if error.is_transient() && Instant::now() + wait < deadline => {
                tracing::warn!(%error, "trying again");
                tokio::time::sleep(wait).await;
                wait = (wait * 2).min(Duration::from_secs(10));
            }
            result => return result,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::storage::{Part, StorageError};
    use std::cell::Cell;

    fn away() -> StorageError {
        StorageError::Unavailable { part: Part::Database, source: "refused".into() }
    }

    #[tokio::test]
    async fn an_outage_is_waited_out_and_a_fault_is_not() {
        let tries = Cell::new(0);
        let count = || tries.set(tries.get() + 1);
        let result = retry(Duration::from_mins(1), || async {
            count();
            if tries.get() < 3 { Err(away()) } else { Ok(tries.get()) }
        });
        assert_eq!(result.await.unwrap(), 3);

        tries.set(0);
        let result: Result<()> = retry(Duration::from_millis(700), || async {
            count();
            Err(away())
        })
        .await;
        assert!(result.is_err() && tries.get() == 3, "{} tries: at 0, 0.2 and 0.6 s", tries.get());

        tries.set(0);
        let result: Result<()> = retry(Duration::from_mins(1), || async {
            count();
            Err(StorageError::InsufficientStorage(Part::Blobs))
        })
        .await;
        assert!(result.is_err() && tries.get() == 1, "a full disk is not waited for");
    }
}
