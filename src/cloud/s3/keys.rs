//! Where a bucket's keys and versions lie in the store: in S3's own listing order (UTF-8 bytes), versions of a key
//! newest first, so that every listing is a range scan.
//!
//! `{bucket}/{key, escaped}\0\0{16 hex digits, falling with time}`. Keys may hold any character: NUL is escaped as
//! `\0\u{1}`, which keeps the order and leaves `\0\0` to end the key.

const END: &str = "\0\0";
const AFTER_END: &str = "\0\u{1}";

/// First place of a bucket.
pub(super) fn bucket(bucket: &str) -> String {
    format!("{bucket}/")
}

/// First place of the keys in `bucket` that begin with `prefix`.
pub(super) fn prefix(bucket: &str, prefix: &str) -> String {
    let mut place = String::with_capacity(bucket.len() + prefix.len() + 20);
    place.push_str(bucket);
    place.push('/');
    push_escaped(&mut place, prefix);
    place
}

/// What all versions of `key` begin with, and no version of another key.
pub(super) fn chain(bucket: &str, key: &str) -> String {
    prefix(bucket, key) + END
}

/// First place after all versions of `key`.
pub(super) fn after_chain(bucket: &str, key: &str) -> String {
    prefix(bucket, key) + AFTER_END
}

/// Place of the version that was written as number `sequence`.
pub(super) fn version(bucket: &str, key: &str, sequence: u64) -> String {
    format!("{}{:016x}", chain(bucket, key), !sequence)
}

/// Place of something of `key` that has an id: a multipart upload.
pub(super) fn item(bucket: &str, key: &str, id: &str) -> String {
    chain(bucket, key) + id
}

/// First place after every place that begins with `place`; `None` when there is none.
pub(super) fn after_prefix(place: &str) -> Option<String> {
    let mut place = place.to_owned();
    while let Some(last) = place.pop() {
        // Surrogates are no characters: the one after U+D7FF is U+E000.
        let next = if last == '\u{d7ff}' { Some('\u{e000}') } else { char::from_u32(last as u32 + 1) };
        if let Some(next) = next {
            place.push(next);
            return Some(place);
        }
    }
    None
}

/// The key, and what follows it, of a place in `bucket`; `None` when the place lies in another bucket.
pub(super) fn split<'a>(bucket: &str, place: &'a str) -> Option<(String, &'a str)> {
    let rest = place.strip_prefix(bucket)?.strip_prefix('/')?;
    let (key, item) = rest.split_once(END)?;
    Some((key.replace(AFTER_END, "\0"), item))
}

fn push_escaped(place: &mut String, text: &str) {
    for (index, part) in text.split('\0').enumerate() {
        if index > 0 {
            place.push_str(AFTER_END);
        }
        place.push_str(part);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn a_newer_version_comes_first_and_a_longer_key_after_all_of_them() {
        let mut places = [
            version("b", "k", 1),
            version("b", "k", 2),
            version("b", "k!", 9),
            version("b", "k\0", 9),
            version("b", "k/", 3),
        ];
        places.sort();
        let order: Vec<_> = places.iter().map(|place| split("b", place).unwrap().0).collect();
        assert_eq!(order, ["k", "k", "k\0", "k!", "k/"]);
        assert!(places[0] == version("b", "k", 2));
        assert!(places[1] < after_chain("b", "k") && after_chain("b", "k") <= places[2]);
    }

    #[test]
    fn the_place_after_a_prefix_lies_after_all_that_begin_with_it() {
        assert_eq!(after_prefix("a/").as_deref(), Some("a0"));
        assert_eq!(after_prefix("a\u{d7ff}").as_deref(), Some("a\u{e000}"));
        assert_eq!(after_prefix("a\u{10ffff}").as_deref(), Some("b"));
        assert_eq!(after_prefix("\u{10ffff}"), None);
    }

    proptest! {
        #[test]
        fn places_sort_as_keys_do_and_read_back(left in ".{0,8}|[\0\u{1}a]{0,5}", right in ".{0,8}|[\0\u{1}a]{0,5}") {
            let (a, b) = (version("b", &left, 7), version("b", &right, 7));
            prop_assert_eq!(a.cmp(&b), left.as_bytes().cmp(right.as_bytes()));
            prop_assert_eq!(split("b", &a), Some((left.clone(), &a[a.len() - 16..])));
            let last = after_prefix(&prefix("b", &left)).unwrap();
            let longer = left + &right;
            prop_assert!(version("b", &longer, 0) < last);
        }
    }
}
