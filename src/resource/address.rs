//! Where a resource is within its stack.

use std::{cell::RefCell, collections::HashSet, fmt, str::FromStr, sync::Arc};

use serde::{Deserialize, Deserializer, Serialize, Serializer, de::Visitor};

/// `kind/name`, unique within a stack: `aws:s3:Bucket/raw`. Copies share one text: a stack has each address many
/// times over, as a dependency above all.
#[derive(Clone, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Address(Arc<str>);

thread_local! {
    /// Texts of the addresses that were read so far, while [`Address::sharing`].
    static SHARED: RefCell<Option<HashSet<Arc<str>>>> = const { RefCell::new(None) };
}

impl Address {
    /// An address of its parts: the kind, `provider:service:Type`, and the program's name for the resource.
    pub fn new(kind: impl AsRef<str>, name: impl AsRef<str>) -> Self {
        Address(format!("{}/{}", kind.as_ref(), name.as_ref()).into())
    }

    /// What `read` deserialises; each address in it has one text, however often it stands there.
    pub fn sharing<R>(read: impl FnOnce() -> R) -> R {
        let before = SHARED.replace(Some(HashSet::new()));
        let result = read();
        SHARED.set(before);
        result
    }

    /// The address that `text` is, with the text of the same one that was read before.
    fn read(text: &str) -> Result<Self, ParseAddressError> {
        SHARED.with_borrow_mut(|shared| {
            let Some(shared) = shared else { return text.parse() };
            if let Some(known) = shared.get(text) {
                return Ok(Address(Arc::clone(known)));
            }
            let address: Address = text.parse()?;
            shared.insert(Arc::clone(&address.0));
            Ok(address)
        })
    }

    fn parts(&self) -> (&str, &str) {
        self.0.split_once('/').expect("BUG: an address has two parts")
    }

    /// The kind, `provider:service:Type`.
    pub fn kind(&self) -> &str {
        self.parts().0
    }

    /// The program's name for it.
    pub fn name(&self) -> &str {
        self.parts().1
    }

    /// `kind/name`.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl fmt::Display for Address {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(&self.0)
    }
}

impl fmt::Debug for Address {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Debug::fmt(&self.0, f)
    }
}

/// Text that is no address.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("`{0}` is not an address; expected `kind/name`, such as `aws:s3:Bucket/raw` (`lake state list` shows them)")]
pub struct ParseAddressError(String);

impl FromStr for Address {
    type Err = ParseAddressError;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        match text.split_once('/') {
            Some((kind, name)) if !name.is_empty() && kind.split(':').count() == 3 => Ok(Address(text.into())),
            _ => Err(ParseAddressError(text.to_owned())),
        }
    }
}

impl Serialize for Address {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_str(&self.0)
    }
}

impl<'de> Deserialize<'de> for Address {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_str(Text)
    }
}

/// Takes an address from its text.
struct Text;

impl Visitor<'_> for Text {
    type Value = Address;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("an address")
    }

    fn visit_str<E: serde::de::Error>(self, text: &str) -> Result<Address, E> {
        Address::read(text).map_err(E::custom)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_address_reads_back_from_its_text_and_a_name_may_hold_a_slash() {
        for (text, name) in [("aws:s3:Bucket/raw", "raw"), ("aws:s3:Object/manifests/flights", "manifests/flights")] {
            let address: Address = text.parse().unwrap();
            assert_eq!(address.to_string(), text);
            assert_eq!(address.name(), name);
            assert_eq!(Address::new(address.kind(), name), address);
        }
    }

    #[test]
    fn what_is_read_together_has_each_address_once() {
        let read = || serde_json::from_str::<Vec<Address>>(r#"["a:b:C/one", "a:b:C/two", "a:b:C/one"]"#).unwrap();
        let same = |read: &[Address]| Arc::ptr_eq(&read[0].0, &read[2].0);
        assert!(!same(&read()), "unless it is asked for");
        assert!(same(&Address::sharing(read)));
        assert!(SHARED.with_borrow(Option::is_none));
    }

    #[test]
    fn text_without_a_kind_or_a_name_is_refused() {
        for text in ["", "raw", "aws:s3:Bucket", "aws:s3:Bucket/", "bucket/raw"] {
            assert!(text.parse::<Address>().is_err(), "{text}");
        }
    }
}
