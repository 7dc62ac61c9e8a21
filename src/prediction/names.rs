//! Which model a name means, remembered for a moment: asking the database takes as long as answering a row.

use super::TRUSTED_FOR;
use crate::id::ModelId;
use std::{
    collections::HashMap,
    sync::{Mutex, MutexGuard},
    time::Instant,
};

/// Names that are remembered at most; then they are forgotten all together.
const MAX_NAMES: usize = 10_000;

/// The names that were asked for last.
#[derive(Debug, Default)]
pub(super) struct Names(Mutex<HashMap<String, Known>>);

#[derive(Debug, Clone, Copy)]
struct Known {
    model_id: ModelId,
    /// When the database last said so.
    seen: Instant,
    /// How many changes of models there had been by then.
    change: u64,
}

impl Names {
    /// The model of this name, if nothing has changed in this process since it was looked up, a moment ago. Of those
    /// who find the moment over, one is told so and asks; the others go on meanwhile.
    pub(super) fn get(&self, name: &str, change: u64) -> Option<ModelId> {
        let mut names = self.lock();
        let known = names.get_mut(name).filter(|known| known.change == change)?;
        if known.seen.elapsed() < TRUSTED_FOR {
            return Some(known.model_id);
        }
        known.seen = Instant::now();
        None
    }

    /// Remembers what the database has said after `change` changes.
    pub(super) fn put(&self, name: &str, model_id: ModelId, change: u64) {
        let mut names = self.lock();
        if names.len() >= MAX_NAMES {
            names.clear();
        }
        names.insert(name.to_owned(), Known { model_id, seen: Instant::now(), change });
    }

    fn lock(&self) -> MutexGuard<'_, HashMap<String, Known>> {
        self.0.lock().expect("no holder of this lock can panic")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_name_is_looked_up_anew_after_every_change() {
        let (names, model_id) = (Names::default(), ModelId::new());
        assert_eq!(names.get("polar", 0), None);
        names.put("polar", model_id, 0);
        assert_eq!(names.get("polar", 0), Some(model_id));
        assert_eq!(names.get("polar", 1), None, "something has changed");
        for i in 0..MAX_NAMES {
            names.put(&i.to_string(), model_id, 1);
        }
        assert!(names.lock().len() <= MAX_NAMES);
    }
}
