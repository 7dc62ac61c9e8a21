//! Which database the files belong to.
//!
//! The sweep removes files that have no row. Beside another database, such as an empty one that a misspelt
//! `DATABASE_URL` has made, that would be all of them: every place where files are kept bears the mark of the
//! database that names them.

use super::{Area, Blobs, Db, Result, StorageError, datasets, models, with_pool};
use uuid::Uuid;

/// Marks the places of `blobs` as those of `db`, or finds its mark there.
///
/// # Errors
/// [`StorageError::Settings`] if one belongs to another database, or, without a mark, holds files though `db` is empty.
pub async fn claim(db: &Db, blobs: &Blobs) -> Result<()> {
    let own = identity(db).await?;
    let mut has_mark = true;
    for (place, mark) in blobs.marks().await? {
        match mark {
            Some(mark) if mark == own => {}
            Some(_) => return Err(refusal(&place, "belong to another database")),
            None if is_empty(db).await? && holds_files(blobs).await? => {
                return Err(refusal(&place, "are not known to the database, which is empty"));
            }
            None => has_mark = false,
        }
    }
    if has_mark { Ok(()) } else { blobs.write_mark(&own).await }
}

/// What this database is called, from its first use on.
async fn identity(db: &Db) -> Result<String> {
    const NAME: &str = "
        INSERT INTO database_identity (only_row, identity) VALUES (1, $1) ON CONFLICT (only_row) DO NOTHING";
    const LOOK: &str = "SELECT identity FROM database_identity";
    with_pool!(db, |pool| {
        sqlx::query(NAME).bind(Uuid::now_v7().to_string()).execute(pool).await?;
        Ok(sqlx::query_scalar(LOOK).fetch_one(pool).await?)
    })
}

async fn is_empty(db: &Db) -> Result<bool> {
    Ok(datasets::ids(db).await?.is_empty() && models::statuses(db).await?.is_empty())
}

async fn holds_files(blobs: &Blobs) -> Result<bool> {
    Ok(!blobs.list(Area::Uploads).await?.is_empty() || !blobs.list(Area::Models).await?.is_empty())
}

fn refusal(place: &str, why: &str) -> StorageError {
    StorageError::Settings(format!(
        "the files in {place} {why}, and would be removed as nobody's: set DATABASE_URL to their database, or \
         choose other folders with --data-dir and --models-dir. To give them up, remove them, and database.id with them"
    ))
}
