//! Aliases: `polar@champion` is a second name for one version of `polar`, and can be moved to another version.

use super::{ModelRecord, columns, name, own_columns};
use crate::id::ModelId;
use crate::storage::{Db, Result, with_pool};
use chrono::{DateTime, Utc};

/// Most characters of an alias.
pub const MAX_ALIAS_CHARS: usize = 64;

/// Whether a text can be an alias: letters, digits, `-`, `_` and `.`, and not digits alone, which are a version.
pub fn is_alias(text: &str) -> bool {
    let allowed = |c: char| c.is_alphanumeric() || "-_.".contains(c);
    (1..=MAX_ALIAS_CHARS).contains(&text.chars().count())
        && text.chars().all(allowed)
        && !text.chars().all(|c| c.is_ascii_digit())
}

/// Gives the alias to this model, away from the other version of its name that had it, in one step: whoever asks for
/// it meanwhile is answered by one of the two. `None` if there is no such model.
pub async fn set_alias(
    db: &Db,
    model_id: ModelId,
    alias: &str,
    now: DateTime<Utc>,
) -> Result<Option<ModelRecord>> {
    const SET: &str = "
        INSERT INTO model_aliases (name_key, alias_key, alias, model_id, moved_at)
        SELECT name_key, $2, $3, model_id, $4 FROM models WHERE model_id = $1
        ON CONFLICT (name_key, alias_key)
        DO UPDATE SET model_id = excluded.model_id, alias = excluded.alias, moved_at = excluded.moved_at";
    let set = with_pool!(db, |pool| sqlx::query(SET)
        .bind(model_id)
        .bind(name::key(alias))
        .bind(alias)
        .bind(now)
        .execute(pool)
        .await
        .map(|done| done.rows_affected()));
    match set {
        Ok(0) => Ok(None),
        Ok(_) => super::get(db, model_id).await,
        // It was deleted in this moment.
        Err(error) if is_foreign_key(&error) => Ok(None),
        Err(error) => Err(error.into()),
    }
}

/// Takes the alias away from this model. Returns whether it had it.
pub async fn remove_alias(db: &Db, model_id: ModelId, alias: &str) -> Result<bool> {
    const REMOVE: &str = "DELETE FROM model_aliases WHERE model_id = $1 AND alias_key = $2";
    let removed = with_pool!(db, |pool| sqlx::query(REMOVE)
        .bind(model_id)
        .bind(name::key(alias))
        .execute(pool)
        .await
        .map(|done| done.rows_affected()))?;
    Ok(removed > 0)
}

/// The model that `polar@champion` names; `None` where the text names no alias, or one that is not set.
pub(super) async fn find(db: &Db, reference: &str) -> Result<Option<ModelRecord>> {
    const FIND: &str = concat!(
        "SELECT ",
        columns!(),
        " FROM models WHERE model_id =
            (SELECT model_id FROM model_aliases WHERE name_key = $1 AND alias_key = $2)"
    );
    let Some((model_name, alias)) = reference.rsplit_once('@').filter(|(_, alias)| is_alias(alias)) else {
        return Ok(None);
    };
    let (name_key, alias_key) = (name::key(model_name), name::key(alias));
    Ok(with_pool!(db, |pool| sqlx::query_as(FIND).bind(name_key).bind(alias_key).fetch_optional(pool).await)?)
}

/// Whether the database refused to leave an alias without its model.
pub(super) fn is_foreign_key(error: &sqlx::Error) -> bool {
    error.as_database_error().is_some_and(sqlx::error::DatabaseError::is_foreign_key_violation)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn aliases_are_words_and_no_versions() {
        for (text, expected) in [
            ("champion", true),
            ("campeão", true),
            ("v1.2_b-c", true),
            ("3", false),
            ("", false),
            ("a b", false),
            ("a/b", false),
            ("a@b", false),
            ("a,b", false),
        ] {
            assert_eq!(is_alias(text), expected, "{text}");
        }
        assert!(is_alias(&"a".repeat(64)) && !is_alias(&"a".repeat(65)));
    }
}
