//! Hive partitions: `year=2013/month=1/` in the key of a file says what the columns `year` and `month` are in all of its
//! rows. Values are escaped as Hive does it, so that Spark, Athena, DuckDB and pyarrow read them back
//! (`FileUtils.escapePathName`, <https://github.com/apache/hive/blob/master/common/src/java/org/apache/hadoop/hive/common/FileUtils.java>).

use std::fmt::Write as _;

/// What stands for null, and, as in Hive, for the empty text.
pub const NULL_PARTITION: &str = "__HIVE_DEFAULT_PARTITION__";

/// Columns that a table is partitioned by at most: each is a folder.
pub const PARTITION_COLUMNS_MAX: usize = 8;

/// The values that the partition columns have in a file, outermost first. None: the table has no partitions.
#[derive(Debug, Clone, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Partition(Vec<Part>);

/// One column of a [`Partition`].
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Part {
    /// The column.
    pub name: String,
    /// Its value as text; `None` for null and for the empty text.
    pub value: Option<String>,
}

impl Partition {
    /// The partition of these values, outermost first.
    pub fn new(parts: impl IntoIterator<Item = (String, Option<String>)>) -> Self {
        let part = |(name, value): (String, Option<String>)| Part { name, value: value.filter(|it| !it.is_empty()) };
        Partition(parts.into_iter().map(part).collect())
    }

    /// The partition that the folders of a key say: those of the form `name=value`.
    pub fn of_key(key: &str) -> Self {
        let folders = key.rsplit_once('/').map_or("", |(folders, _)| folders).split('/');
        let part = |(name, value): (&str, &str)| {
            let value = unescaped(value);
            Part { name: unescaped(name), value: Some(value).filter(|value| value != NULL_PARTITION) }
        };
        Partition(folders.filter_map(|folder| folder.split_once('=')).map(part).collect())
    }

    /// Its columns, outermost first.
    pub fn parts(&self) -> &[Part] {
        &self.0
    }

    /// True for a file of a table without partitions.
    pub fn is_none(&self) -> bool {
        self.0.is_empty()
    }

    /// The names of its columns.
    pub fn names(&self) -> impl Iterator<Item = &str> {
        self.0.iter().map(|part| part.name.as_str())
    }

    /// Its values as a catalog lists them: not escaped, [`NULL_PARTITION`] for null.
    pub fn values(&self) -> Vec<String> {
        let value = |part: &Part| part.value.clone().unwrap_or_else(|| NULL_PARTITION.to_owned());
        self.0.iter().map(value).collect()
    }

    /// Its folders: `year=2013/month=1/`; nothing without partitions.
    pub fn path(&self) -> String {
        let mut path = String::new();
        for folder in self.folders() {
            path += &folder;
            path.push('/');
        }
        path
    }

    /// Its folders, each without a slash.
    pub fn folders(&self) -> impl Iterator<Item = String> {
        self.0.iter().map(|Part { name, value }| {
            let mut folder = String::new();
            escape(name, &mut folder);
            folder.push('=');
            match value {
                Some(value) => escape(value, &mut folder),
                None => folder += NULL_PARTITION,
            }
            folder
        })
    }
}

/// Characters that Hive escapes in folders: those that mean something to file systems, to URLs or to shells.
fn is_escaped(character: char) -> bool {
    matches!(
        character,
        '\0'..='\x1f' | '\x7f' | '"' | '#' | '%' | '\'' | '*' | '/' | ':' | '=' | '?' | '\\' | '{' | '[' | ']' | '^'
    )
}

fn escape(text: &str, into: &mut String) {
    for character in text.chars() {
        match is_escaped(character) {
            true => write!(into, "%{:02X}", u32::from(character)).expect("BUG: a text takes any text"),
            false => into.push(character),
        }
    }
}

/// Percent signs that are followed by two hexadecimal digits are read, whoever wrote them; others are left as they are.
fn unescaped(text: &str) -> String {
    let mut bytes = Vec::with_capacity(text.len());
    let mut rest = text.as_bytes();
    while let [first, after @ ..] = rest {
        let digits = after.get(..2).filter(|_| *first == b'%').and_then(|digits| std::str::from_utf8(digits).ok());
        let digits = digits.filter(|digits| digits.bytes().all(|digit| digit.is_ascii_hexdigit()));
        match digits.and_then(|digits| u8::from_str_radix(digits, 16).ok()) {
            Some(byte) => {
                bytes.push(byte);
                rest = &after[2..];
            }
            None => {
                bytes.push(*first);
                rest = after;
            }
        }
    }
    String::from_utf8_lossy(&bytes).into_owned()
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn partition(parts: &[(&str, Option<&str>)]) -> Partition {
        Partition::new(parts.iter().map(|(name, value)| ((*name).to_owned(), value.map(str::to_owned))))
    }

    #[test]
    fn folders_are_written_as_hive_writes_them() {
        let two = partition(&[("year", Some("2013")), ("carrier", Some("a/b=c%"))]);
        assert_eq!(two.path(), "year=2013/carrier=a%2Fb%3Dc%25/");
        assert_eq!(two.values(), ["2013", "a/b=c%"]);
        assert_eq!(Partition::default().path(), "");
        assert_eq!(partition(&[("day", Some("2013-01-01 10:00"))]).path(), "day=2013-01-01 10%3A00/");
        assert_eq!(partition(&[("stadt", Some("Köln"))]).path(), "stadt=Köln/");
    }

    #[test]
    fn null_and_the_empty_text_are_the_default_partition() {
        for value in [None, Some("")] {
            let null = partition(&[("carrier", value)]);
            assert_eq!(null.path(), "carrier=__HIVE_DEFAULT_PARTITION__/");
            assert_eq!(null.values(), [NULL_PARTITION]);
            assert_eq!(Partition::of_key(&format!("t/{}x.parquet", null.path())), null);
        }
    }

    #[test]
    fn a_key_without_such_folders_has_no_partition() {
        assert!(Partition::of_key("flights/0123-1.parquet").is_none());
        assert!(Partition::of_key("a=b").is_none(), "that is the file's name");
    }

    proptest! {
        #[test]
        fn any_values_come_back_from_the_key(
            values in proptest::collection::vec(proptest::option::of(any::<String>()), 1..4)
        ) {
            let parts = values.iter().enumerate().map(|(place, value)| (format!("c{place}"), value.clone()));
            let there = Partition::new(parts);
            let key = format!("flights/{}file.parquet", there.path());
            prop_assert_eq!(key.split('/').count(), values.len() + 2);
            let is_told = values.iter().all(|value| value.as_deref() != Some(NULL_PARTITION));
            prop_assert!(!is_told || Partition::of_key(&key) == there);
        }
    }
}
