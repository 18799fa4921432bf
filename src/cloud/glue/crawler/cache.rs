//! What objects were found to be, by etag, so that a crawl reads only what has changed since the last one.

use std::{
    collections::{HashMap, VecDeque},
    sync::{Arc, Mutex, PoisonError},
};

use super::classify::Sample;

/// Objects that are remembered; the longest known is forgotten first.
const OBJECTS: usize = 50_000;

/// What makes a classification what it is.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub(super) struct Key {
    pub bucket: Arc<str>,
    pub key: String,
    pub etag: String,
    /// Of the custom classifiers.
    pub rules: u64,
}

type Known = Option<Arc<Sample>>;

#[derive(Default)]
pub(super) struct Cache(Mutex<Entries>);

#[derive(Default)]
struct Entries {
    known: HashMap<Arc<Key>, Known>,
    oldest: VecDeque<Arc<Key>>,
}

impl Cache {
    /// What is known: nothing, that it is unknown, or what it is.
    pub(super) fn get(&self, key: &Key) -> Option<Known> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).known.get(key).cloned()
    }

    pub(super) fn put(&self, key: Key, found: Known) {
        let mut entries = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let key = Arc::new(key);
        if entries.known.insert(Arc::clone(&key), found).is_none() {
            entries.oldest.push_back(key);
        }
        if entries.oldest.len() > OBJECTS
            && let Some(oldest) = entries.oldest.pop_front()
        {
            entries.known.remove(&oldest);
        }
    }
}
