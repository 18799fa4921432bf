//! Where a resource is within its stack.

use std::{fmt, str::FromStr};

use serde::{Deserialize, Deserializer, Serialize, Serializer};

/// `kind/name`, unique within a stack: `aws:s3:Bucket/raw`.
#[derive(Debug, Clone, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Address {
    /// The kind, `provider:service:Type`.
    pub kind: String,
    /// The program's name for it.
    pub name: String,
}

impl Address {
    /// An address of its parts.
    pub fn new(kind: impl Into<String>, name: impl Into<String>) -> Self {
        Address { kind: kind.into(), name: name.into() }
    }
}

impl fmt::Display for Address {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}/{}", self.kind, self.name)
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
            Some((kind, name)) if !name.is_empty() && kind.split(':').count() == 3 => Ok(Address::new(kind, name)),
            _ => Err(ParseAddressError(text.to_owned())),
        }
    }
}

impl Serialize for Address {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}

impl<'de> Deserialize<'de> for Address {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        String::deserialize(deserializer)?.parse().map_err(serde::de::Error::custom)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_address_reads_back_from_its_text_and_a_name_may_hold_a_slash() {
        for text in ["aws:s3:Bucket/raw", "aws:s3:Object/manifests/flights"] {
            assert_eq!(text.parse::<Address>().unwrap().to_string(), text);
        }
    }

    #[test]
    fn text_without_a_kind_or_a_name_is_refused() {
        for text in ["", "raw", "aws:s3:Bucket", "aws:s3:Bucket/", "bucket/raw"] {
            assert!(text.parse::<Address>().is_err(), "{text}");
        }
    }
}
