//! Where a resource is within its stack.

use std::{fmt, str::FromStr, sync::Arc};

use serde::{Deserialize, Deserializer, Serialize, Serializer};

/// `kind/name`, unique within a stack: `aws:s3:Bucket/raw`. Copies share one text: a stack has each address many
/// times over, as a dependency above all.
#[derive(Clone, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Address {
    text: Arc<str>,
    /// Length of the kind: what follows is `/name`.
    kind: usize,
}

impl Address {
    /// An address of its parts: the kind, `provider:service:Type`, and the program's name for the resource.
    pub fn new(kind: impl AsRef<str>, name: impl AsRef<str>) -> Self {
        let kind = kind.as_ref();
        Address { text: format!("{kind}/{}", name.as_ref()).into(), kind: kind.len() }
    }

    /// The kind, `provider:service:Type`.
    pub fn kind(&self) -> &str {
        &self.text[..self.kind]
    }

    /// The program's name for it.
    pub fn name(&self) -> &str {
        &self.text[self.kind + 1..]
    }

    /// `kind/name`.
    pub fn as_str(&self) -> &str {
        &self.text
    }
}

impl fmt::Display for Address {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(&self.text)
    }
}

impl fmt::Debug for Address {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Debug::fmt(&self.text, f)
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
            Some((kind, name)) if !name.is_empty() && kind.split(':').count() == 3 => {
                Ok(Address { text: text.into(), kind: kind.len() })
            }
            _ => Err(ParseAddressError(text.to_owned())),
        }
    }
}

impl Serialize for Address {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_str(&self.text)
    }
}

impl<'de> Deserialize<'de> for Address {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        std::borrow::Cow::<str>::deserialize(deserializer)?.parse().map_err(serde::de::Error::custom)
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
    fn text_without_a_kind_or_a_name_is_refused() {
        for text in ["", "raw", "aws:s3:Bucket", "aws:s3:Bucket/", "bucket/raw"] {
            assert!(text.parse::<Address>().is_err(), "{text}");
        }
    }
}
