//! Listings: one walk over a range of the store, which jumps over what a delimiter rolls up and over old versions.

use percent_encoding::{AsciiSet, NON_ALPHANUMERIC, utf8_percent_encode};
use s3s::{S3Error, S3Result, s3_error};

use super::{
    keys,
    meta::{VERSIONS, Version},
};
use crate::cloud::store::{Step, Table, Transaction};

/// Most entries of one answer.
pub(super) const MAX_ENTRIES: usize = 1000;

/// What `encoding-type=url` leaves as it is.
const KEPT: &AsciiSet = &NON_ALPHANUMERIC.remove(b'-').remove(b'_').remove(b'.').remove(b'*').remove(b'/');

/// What to list.
#[derive(Debug, Clone, Default)]
pub(super) struct Query {
    pub prefix: String,
    pub delimiter: Option<String>,
    /// Where to begin.
    pub after: After,
    /// Most entries and rolled-up prefixes together.
    pub limit: usize,
}

/// Where a listing begins.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(super) enum After {
    /// At the first key.
    #[default]
    Nothing,
    /// After this key, or after all that this rolled-up prefix stands for.
    Key(String),
    /// After this item of the key: a version's place, an upload's id.
    Item(String, String),
}

/// One page of a listing.
#[derive(Debug)]
pub(super) struct Page<T> {
    /// What was found, in order.
    pub entries: Vec<Found<T>>,
    /// Rolled-up prefixes, in order.
    pub prefixes: Vec<String>,
    /// The last thing on this page, when there is more.
    pub next: Option<After>,
}

/// An entry with its key.
#[derive(Debug)]
pub(super) struct Found<T> {
    pub key: String,
    /// What follows the key in the store.
    pub item: String,
    pub value: T,
    /// Whether it is the key's first entry.
    pub first: bool,
}

/// Lists what lies in `table` under the bucket's name. With `newest_only`, of each key its first entry alone;
/// `shown` tells which entries count.
pub(super) fn list<T: serde::Serialize + serde::de::DeserializeOwned>(
    tx: &impl Transaction,
    table: &Table<T>,
    bucket: &str,
    query: &Query,
    newest_only: bool,
    shown: impl Fn(&T) -> bool,
) -> S3Result<Page<T>> {
    let mut page = Page { entries: Vec::new(), prefixes: Vec::new(), next: None };
    let (end, start) = (keys::prefix(bucket, &query.prefix), start(bucket, query));
    let mut last_key: Option<String> = None;
    let mut last = After::Nothing;
    if query.limit == 0 {
        return Ok(page);
    }
    table.walk(tx, &start, |place, entry| {
        if !place.starts_with(&end) {
            return Ok::<_, S3Error>(Step::Stop);
        }
        let Some((key, item)) = keys::split(bucket, place) else {
            return Err(s3_error!(InternalError, "the store holds a key that this version cannot read"));
        };
        let first = last_key.as_ref() != Some(&key) && !matches!(&query.after, After::Item(after, _) if *after == key);
        if newest_only && last_key.as_ref() == Some(&key) {
            return Ok(Step::Seek(keys::after_chain(bucket, &key)));
        }
        last_key = Some(key.clone());
        let value = entry.value()?;
        if !shown(&value) {
            return Ok(if newest_only { Step::Seek(keys::after_chain(bucket, &key)) } else { Step::Next });
        }
        if page.entries.len() + page.prefixes.len() == query.limit {
            page.next = Some(last.clone());
            return Ok(Step::Stop);
        }
        if let Some(rolled_up) = roll_up(&key, query) {
            let after = keys::after_prefix(&keys::prefix(bucket, &rolled_up));
            last = After::Key(rolled_up.clone());
            page.prefixes.push(rolled_up);
            return Ok(after.map_or(Step::Stop, Step::Seek));
        }
        last = if newest_only { After::Key(key.clone()) } else { After::Item(key.clone(), item.to_owned()) };
        page.entries.push(Found { key, item: item.to_owned(), value, first });
        Ok(Step::Next)
    })?;
    Ok(page)
}

/// The first place that a listing may show.
fn start(bucket: &str, query: &Query) -> String {
    let first = keys::prefix(bucket, &query.prefix);
    let after = match &query.after {
        After::Nothing => return first,
        After::Key(key) if roll_up(key, query).as_deref() == Some(key) => {
            keys::after_prefix(&keys::prefix(bucket, key)).unwrap_or_else(|| keys::after_chain(bucket, key))
        }
        After::Key(key) => keys::after_chain(bucket, key),
        // Items are plain ASCII: the next place after one is that with the smallest character behind it.
        After::Item(key, item) => keys::item(bucket, key, item) + "\0",
    };
    after.max(first)
}

/// The common prefix that stands for `key`, when the delimiter lies behind the query's prefix.
fn roll_up(key: &str, query: &Query) -> Option<String> {
    let delimiter = query.delimiter.as_deref().filter(|delimiter| !delimiter.is_empty())?;
    let rest = key.strip_prefix(query.prefix.as_str())?;
    let end = query.prefix.len() + rest.find(delimiter)? + delimiter.len();
    Some(key[..end].to_owned())
}

/// Lists the newest versions that are objects.
pub(super) fn list_objects(tx: &impl Transaction, bucket: &str, query: &Query) -> S3Result<Page<Version>> {
    list(tx, &VERSIONS, bucket, query, true, |version| version.object.is_some())
}

/// `max-keys` as asked for, within the limit.
pub(super) fn limit(asked: Option<i32>, name: &str) -> S3Result<usize> {
    match asked {
        None => Ok(MAX_ENTRIES),
        Some(asked) => usize::try_from(asked)
            .map(|asked| asked.min(MAX_ENTRIES))
            .map_err(|_| s3_error!(InvalidArgument, "Argument {name} must be an integer between 0 and 2147483647")),
    }
}

/// Writes keys as the request's `encoding-type` wants them.
#[derive(Debug, Clone, Copy)]
pub(super) struct Encoder {
    url: bool,
}

impl Encoder {
    /// Reads the request's choice.
    pub fn new(asked: Option<&s3s::dto::EncodingType>) -> S3Result<Self> {
        match asked.map(s3s::dto::EncodingType::as_str) {
            None => Ok(Encoder { url: false }),
            Some("url") => Ok(Encoder { url: true }),
            Some(_) => Err(s3_error!(InvalidArgument, "Invalid Encoding Method specified in Request")),
        }
    }

    /// The text on the wire.
    pub fn encode(self, text: String) -> String {
        if self.url { utf8_percent_encode(&text, KEPT).to_string() } else { text }
    }

    /// The text on the wire, when there is one.
    pub fn encode_some(self, text: Option<String>) -> Option<String> {
        text.map(|text| self.encode(text))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::cloud::{
        s3::meta::Object,
        store::{Store, StoreError},
    };
    use proptest::prelude::*;
    use std::{collections::BTreeSet, sync::Arc};

    /// A store with these keys, each with an older version; a key that ends in `x` is deleted.
    fn store(keys: &[&str]) -> (tempfile::TempDir, Arc<Store>) {
        let folder = tempfile::tempdir().unwrap();
        let store = Store::open(folder.path()).unwrap();
        store
            .write::<_, StoreError>(|tx| {
                for (bucket, key) in keys.iter().map(|key| ("b", key)).chain([("a", &"other"), ("b2", &"other")]) {
                    for sequence in 1..=2 {
                        let deleted = key.ends_with('x') && sequence == 2;
                        let object = (!deleted).then(Object::default);
                        let version = Version { sequence, id: Some(sequence.to_string()), object };
                        VERSIONS.put(tx, &keys::version(bucket, key, sequence), &version)?;
                    }
                }
                Ok(())
            })
            .unwrap();
        (folder, store)
    }

    fn all(store: &Store, query: Query) -> (Vec<String>, Vec<String>, usize) {
        let (mut keys, mut prefixes, mut pages) = (Vec::new(), Vec::new(), 0);
        let mut query = query;
        loop {
            let page = store.read(|tx| list_objects(tx, "b", &query)).unwrap();
            assert!(page.entries.len() + page.prefixes.len() <= query.limit);
            pages += 1;
            keys.extend(page.entries.into_iter().map(|found| found.key));
            prefixes.extend(page.prefixes);
            match page.next {
                Some(next) => query.after = next,
                None => return (keys, prefixes, pages),
            }
        }
    }

    fn query(prefix: &str, delimiter: &str, limit: usize) -> Query {
        let delimiter = Some(delimiter.to_owned()).filter(|text| !text.is_empty());
        Query { prefix: prefix.into(), delimiter, after: After::Nothing, limit }
    }

    #[test]
    fn a_delimiter_rolls_up_and_pages_add_up() {
        let (_folder, store) = store(&["a", "b/1", "b/2", "b/c/3", "d", "e/", "gone-x", "hidden/x"]);
        for limit in 1..=8 {
            let (keys, prefixes, pages) = all(&store, query("", "/", limit));
            assert_eq!(keys, ["a", "d"]);
            assert_eq!(prefixes, ["b/", "e/"], "a prefix of deleted keys alone is not there");
            assert_eq!(pages, 4usize.div_ceil(limit), "no page is empty");
        }
        assert_eq!(all(&store, query("b/", "/", 9)).0, ["b/1", "b/2"]);
        assert_eq!(all(&store, query("b/", "/", 9)).1, ["b/c/"]);
        assert_eq!(all(&store, query("e/", "/", 9)).0, ["e/"]);
    }

    #[test]
    fn a_listing_begins_after_a_key_or_a_rolled_up_prefix() {
        let (_folder, store) = store(&["a", "b/1", "b/2", "c"]);
        let from = |after: &str, delimiter: &str| {
            let after = After::Key(after.into());
            let (keys, prefixes, _) = all(&store, Query { after, ..query("", delimiter, 9) });
            (keys.join(" "), prefixes.join(" "))
        };
        assert_eq!(from("a", ""), ("b/1 b/2 c".into(), String::new()));
        assert_eq!(from("b", ""), ("b/1 b/2 c".into(), String::new()));
        assert_eq!(from("b/1", "/"), ("c".into(), "b/".into()));
        assert_eq!(from("b/", "/"), ("c".into(), String::new()));
    }

    #[test]
    fn versions_are_listed_newest_first_and_pages_go_on_within_a_key() {
        let (_folder, store) = store(&["k", "lx"]);
        let mut query = query("", "", 1);
        let mut seen = Vec::new();
        loop {
            let page = store.read(|tx| list(tx, &VERSIONS, "b", &query, false, |_| true)).unwrap();
            seen.extend(page.entries.iter().map(|found| (found.key.clone(), found.value.sequence, found.first)));
            let Some(next) = page.next else { break };
            query.after = next;
        }
        let expected = [("k", 2, true), ("k", 1, false), ("lx", 2, true), ("lx", 1, false)];
        assert_eq!(seen, expected.map(|(key, sequence, first)| (key.to_owned(), sequence, first)));
    }

    #[test]
    fn url_encoding_keeps_slashes() {
        let encoder = Encoder { url: true };
        assert_eq!(encoder.encode("a b/é+&\u{1}".into()), "a%20b/%C3%A9%2B%26%01");
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(48))]
        #[test]
        fn every_listing_is_what_a_simple_filter_gives(
            keys in proptest::collection::btree_set("[ab/\0é]{1,5}", 0..12),
            prefix in "[ab/]{0,2}",
            limit in 1usize..5,
        ) {
            let names: Vec<&str> = keys.iter().map(String::as_str).collect();
            let (_folder, store) = store(&names);
            let (listed, prefixes, _) = all(&store, query(&prefix, "/", limit));
            let below = keys.iter().filter(|key| key.starts_with(&prefix));
            let (mut objects, mut rolled) = (Vec::new(), BTreeSet::new());
            for key in below {
                match key[prefix.len()..].find('/') {
                    Some(at) => { rolled.insert(key[..prefix.len() + at + 1].to_owned()); }
                    None => objects.push(key.clone()),
                }
            }
            prop_assert_eq!(listed, objects);
            prop_assert_eq!(prefixes, rolled.into_iter().collect::<Vec<_>>());
        }
    }
}
