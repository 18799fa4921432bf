//! Base and journal: how a base names its journal, how a journal is read, and how it is closed to others.

use futures::{StreamExt, TryStreamExt, stream};
use uuid::Uuid;

use super::{
    BASE, S3,
    objects::{Condition, Listed, Put},
};
use crate::state::{
    FormatError,
    store::{Files, Mark, StateError},
};

/// What closes a journal. No group of edits is as short.
pub(super) const SEAL: &[u8] = b"sealed\n";
/// What a base that names its journal begins with.
const NAMED: &[u8] = br#"{"journal":""#;
/// Objects of a journal that are read at once.
const GETS_MAX: usize = 16;
/// Times that base and journal are read again because they were replaced meanwhile.
const READS_MAX: u32 = 5;
/// Times that the next number of a journal is tried for, with somebody still writing.
const FENCES_MAX: u32 = 20;

/// What an object of a journal is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Group {
    /// The header, or edits.
    Edits,
    /// It only takes a number.
    Fence,
    /// Nothing comes behind it.
    Seal,
}

impl Group {
    /// By the size that the object is listed with.
    fn of(bytes: u64) -> Self {
        match bytes {
            0 => Group::Fence,
            size if size == SEAL.len() as u64 => Group::Seal,
            _ => Group::Edits,
        }
    }
}

/// What there is to know of a base without reading it.
#[derive(Debug)]
pub(super) struct Head {
    pub version: String,
    pub journal: Option<String>,
}

/// A new journal for a base of `serial`.
pub(super) fn name(serial: u64) -> String {
    let random = Uuid::new_v4().simple().to_string();
    format!("{serial:010}-{}", &random[..12])
}

/// Where a journal's objects are.
pub(super) fn folder(journal: &str) -> String {
    format!("journal/{journal}/")
}

/// The object of that number.
pub(super) fn object(journal: &str, number: u64) -> String {
    format!("journal/{journal}/{number:08}")
}

/// A base that names its journal, in a field that nobody else reads.
pub(super) fn with_name(base: &[u8], journal: &str) -> Result<Vec<u8>, StateError> {
    let rest = base.strip_prefix(b"{").ok_or_else(|| StateError::unwritable("a base that is no object"))?;
    Ok([NAMED, journal.as_bytes(), b"\",", rest].concat())
}

/// The journal that a base names.
fn named(base: &[u8]) -> Option<String> {
    let rest = base.strip_prefix(NAMED)?;
    let end = rest.iter().position(|byte| *byte == b'"')?;
    String::from_utf8(rest[..end].to_owned()).ok()
}

/// The objects of a journal, listed.
struct Numbers {
    groups: Vec<(Group, Listed)>,
    /// The first number that is missing, with others behind it.
    gap: Option<u64>,
}

impl Numbers {
    fn of(journal: &str, listed: Vec<Listed>) -> Self {
        // The order of names is that of numbers.
        let gap = (0..).zip(&listed).find(|(number, listed)| listed.name != object(journal, *number));
        let gap = gap.map(|(number, _)| number);
        let groups: Vec<_> = listed.into_iter().map(|listed| (Group::of(listed.bytes), listed)).collect();
        Numbers { groups, gap }
    }

    /// Above all that are there, also where one is missing.
    fn next(&self) -> u64 {
        let last = self.groups.last().and_then(|(_, listed)| listed.name.rsplit('/').next()?.parse::<u64>().ok());
        last.map_or(self.groups.len() as u64, |last| last + 1)
    }

    fn sealed(&self) -> bool {
        self.groups.iter().any(|(group, _)| *group == Group::Seal)
    }
}

impl S3 {
    /// The beginning of a base.
    pub(super) async fn head(&self, base: &str) -> Result<Option<Head>, StateError> {
        let head = self.objects.head(base).await?;
        Ok(head.map(|head| Head { journal: named(&head.body), version: head.etag }))
    }

    /// A base and its journal.
    pub(super) async fn read_whole(&self, name: &str) -> Result<Files, StateError> {
        let mut reads = 1;
        loop {
            let Some(base) = self.objects.get(name).await? else {
                return Ok(Files { base: None, journal: Vec::new(), mark: Mark::default() });
            };
            let version = Some(base.etag.clone());
            let Some(journal) = named(&base.body) else {
                let mark = Mark { version, ..Mark::default() };
                return Ok(Files { base: Some(base.body), journal: Vec::new(), mark });
            };
            let read = self.read_journal(&journal).await?;
            let begun = matches!(&read, Ok((bytes, _)) if !bytes.is_empty());
            // A journal that is not there (any more) may be one whose base was replaced meanwhile.
            if !begun && reads < READS_MAX && self.head(name).await?.is_none_or(|head| head.version != base.etag) {
                reads += 1;
                continue;
            }
            let (bytes, numbers) = read.map_err(|number| self.damaged(FormatError::Gap { number }))?;
            let (next, sealed, length) = (numbers.next(), numbers.sealed(), bytes.len() as u64);
            let mark = Mark { version, journal: Some(journal), next, length, sealed };
            return Ok(Files { base: Some(base.body), journal: bytes, mark });
        }
    }

    /// All of a journal, or the number of the first object that is missing.
    async fn read_journal(&self, journal: &str) -> Result<Result<(Vec<u8>, Numbers), u64>, StateError> {
        let numbers = Numbers::of(journal, self.objects.list(&folder(journal)).await?);
        if let Some(gap) = numbers.gap {
            return Ok(Err(gap));
        }
        let edits = numbers.groups.iter().enumerate().filter(|(_, (group, _))| *group == Group::Edits);
        let names: Vec<_> = edits.map(|(number, (_, listed))| (number, listed.name.clone())).collect();
        let get = async |(number, name): (usize, String)| -> Result<Result<Vec<u8>, u64>, StateError> {
            Ok(self.objects.get(&name).await?.map(|object| object.body).ok_or(number as u64))
        };
        let read: Vec<_> = stream::iter(names).map(get).buffered(GETS_MAX).try_collect().await?;
        let read: Result<Vec<_>, u64> = read.into_iter().collect();
        Ok(read.map(|groups| (groups.concat(), numbers)))
    }

    /// Takes the next number of the journal, so that whoever wrote there up to now does not write any more.
    pub(super) async fn fence(&self, id: Uuid) -> Result<(), StateError> {
        for _ in 0..FENCES_MAX {
            let Some(Head { version, journal: Some(journal) }) = self.head(BASE).await? else { return Ok(()) };
            // A gap is for whoever reads: it must not keep away who comes to repair it.
            let numbers = Numbers::of(&journal, self.objects.list(&folder(&journal)).await?);
            if numbers.sealed() {
                // Nothing more comes, unless the base was replaced already and has a journal of its own.
                if self.head(BASE).await?.is_some_and(|head| head.version == version) {
                    return Ok(());
                }
                continue;
            }
            let next = object(&journal, numbers.next());
            if self.objects.put(&next, Vec::new(), Condition::Absent, id).await? != Put::Refused {
                return Ok(());
            }
        }
        Err(self.objects.failed("somebody without the lock keeps writing to the journal"))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_base_names_its_journal_and_is_still_the_same_json() {
        let named_base = with_name(br#"{"format":2,"state":{}}"#, "0000000007-abc").unwrap();
        assert_eq!(named(&named_base).as_deref(), Some("0000000007-abc"));
        let json: serde_json::Value = serde_json::from_slice(&named_base).unwrap();
        assert_eq!(json["format"], 2);
        assert_eq!(named(br#"{"format":2}"#), None);
    }

    #[test]
    fn a_number_that_is_missing_is_noticed() {
        let listed = |number| Listed { name: object("j", number), bytes: 40 };
        assert_eq!(Numbers::of("j", vec![listed(0), listed(1)]).gap, None);
        assert_eq!(Numbers::of("j", vec![listed(0), listed(2)]).gap, Some(1));
        assert_eq!(Numbers::of("j", vec![listed(1)]).gap, Some(0));
        assert_eq!(Numbers::of("j", vec![listed(0), listed(2)]).next(), 3);
        assert_eq!(Numbers::of("j", Vec::new()).next(), 0);
    }
}
