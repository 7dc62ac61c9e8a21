//! Lists are read page by page, from where the last page ended.

use crate::{
    hash::{from_hex, hex},
    storage::{Result, StorageError},
};
use serde::{Deserialize, Serialize, de::DeserializeOwned};

/// Which part of a list is wanted.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Page {
    /// At most so many items; at least one.
    pub limit: u32,
    /// The `next_cursor` of the page before; absent for the first.
    pub cursor: Option<String>,
}

impl Page {
    /// The first `limit` items.
    pub fn first(limit: u32) -> Self {
        Self { limit, cursor: None }
    }

    /// The items after `cursor`.
    pub fn after(cursor: impl Into<String>, limit: u32) -> Self {
        Self { limit, cursor: Some(cursor.into()) }
    }

    /// The rows to ask for: one more than wanted tells whether there is a next page.
    pub(super) fn n_rows(&self) -> i64 {
        i64::from(self.limit.max(1)) + 1
    }

    /// Where the page before ended.
    pub(super) fn start<T: DeserializeOwned>(&self) -> Result<Option<T>> {
        self.cursor.as_deref().map(decode).transpose()
    }

    /// Cuts the extra row off and makes the cursor from the last one that stays.
    pub(super) fn cut<T, C: Serialize>(&self, mut items: Vec<T>, position: impl Fn(&T) -> C) -> Slice<T> {
        let limit = self.limit.max(1) as usize;
        let more = items.len() > limit;
        items.truncate(limit);
        let next_cursor = items.last().filter(|_| more).map(|last| encode(&position(last)));
        Slice { items, next_cursor }
    }
}

/// One page of a list.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Slice<T> {
    /// The items, in the order of the list.
    pub items: Vec<T>,
    /// Give this back for the next page; absent on the last one.
    pub next_cursor: Option<String>,
}

/// A cursor is the position in hexadecimal: opaque to clients, and safe in a URL.
fn encode<T: Serialize>(position: &T) -> String {
    hex(&serde_json::to_vec(position).expect("positions are numbers, texts and ids"))
}

fn decode<T: DeserializeOwned>(cursor: &str) -> Result<T> {
    let bytes = from_hex(cursor).ok_or(StorageError::InvalidCursor)?;
    serde_json::from_slice(&bytes).map_err(|_| StorageError::InvalidCursor)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_page_ends_where_the_next_one_starts() {
        let page = Page::first(2);
        assert_eq!(page.n_rows(), 3);
        let slice = page.cut(vec![1, 2, 3], |n| *n);
        assert_eq!(slice.items, [1, 2]);
        let next = Page::after(slice.next_cursor.unwrap(), 2);
        assert_eq!(next.start::<i32>().unwrap(), Some(2));
        assert_eq!(next.cut(vec![3], |n| *n).next_cursor, None, "the last page has no next one");
    }

    #[test]
    fn foreign_cursors_are_refused() {
        for cursor in ["", "zz", "é", "7", "6e756c", "2261"] {
            let page = Page::after(cursor, 1);
            assert!(matches!(page.start::<(i64, String)>(), Err(StorageError::InvalidCursor)), "{cursor:?}");
        }
    }
}
