//! The manifest: every dataset of a lake as one immutable object. A function's environment (4 KB at most) names
//! it by its content, so an edit of `lake.toml` uploads kilobytes and never touches the function's code.

use serde::{Deserialize, Serialize};
use sha2::{Digest, Sha256};

use super::Dataset;

/// The manifest's format. A function refuses one it does not know.
pub const MANIFEST_FORMAT: u32 = 1;

/// The datasets of a lake, as its functions read them.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Manifest {
    /// [`MANIFEST_FORMAT`].
    pub format: u32,
    /// In the order of their names.
    pub datasets: Vec<Dataset>,
}

/// A manifest that cannot be used.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum ManifestError {
    /// Not the JSON of a manifest.
    #[error("the manifest is not readable: {0}")]
    Unreadable(String),
    /// Written by another version of lake.
    #[error("the manifest has format {0}, this function reads format {MANIFEST_FORMAT}; run `lake apply` again")]
    Format(u32),
}

impl Manifest {
    /// A manifest of `datasets`, whatever order they come in.
    pub fn new(mut datasets: Vec<Dataset>) -> Self {
        datasets.sort_by(|a, b| a.name.cmp(&b.name));
        Manifest { format: MANIFEST_FORMAT, datasets }
    }

    /// The canonical JSON: equal manifests have equal bytes.
    pub fn to_bytes(&self) -> Vec<u8> {
        serde_json::to_vec(self).expect("a manifest is plain data and always serialises")
    }

    /// Reads what [`Manifest::to_bytes`] wrote.
    pub fn from_bytes(bytes: &[u8]) -> Result<Self, ManifestError> {
        #[derive(Deserialize)]
        struct Format {
            format: u32,
        }
        let unreadable = |error: serde_json::Error| ManifestError::Unreadable(error.to_string());
        let Format { format } = serde_json::from_slice(bytes).map_err(unreadable)?;
        if format != MANIFEST_FORMAT {
            return Err(ManifestError::Format(format));
        }
        serde_json::from_slice(bytes).map_err(unreadable)
    }

    /// SHA-256 of the canonical JSON, 64 hex digits.
    pub fn content_hash(&self) -> String {
        hex::encode(Sha256::digest(self.to_bytes()))
    }

    /// Key of the manifest in the artefacts bucket, named by its content.
    pub fn object_key(&self) -> String {
        format!("manifests/{}.json", self.content_hash())
    }

    /// The dataset of that name.
    pub fn dataset(&self, name: &str) -> Option<&Dataset> {
        self.datasets.iter().find(|dataset| dataset.name == name)
    }

    /// The dataset whose source prefix holds `key`; the longest prefix where several do.
    pub fn dataset_of_key(&self, key: &str) -> Option<&Dataset> {
        self.datasets
            .iter()
            .filter(|dataset| key.starts_with(&dataset.source))
            .max_by_key(|dataset| dataset.source.len())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_order_datasets_are_given_in_does_not_change_the_content_hash() {
        let (a, b) = (Dataset::new("a", "a/"), Dataset::new("b", "b/"));
        let one = Manifest::new(vec![a.clone(), b.clone()]);
        let other = Manifest::new(vec![b, a]);
        assert_eq!(one.content_hash(), other.content_hash());
        assert_eq!(one.object_key(), format!("manifests/{}.json", one.content_hash()));
        assert_eq!(Manifest::from_bytes(&one.to_bytes()), Ok(one));
    }

    #[test]
    fn a_manifest_of_another_format_is_refused_by_its_number() {
        assert_eq!(Manifest::from_bytes(br#"{"format":2,"tables":[]}"#), Err(ManifestError::Format(2)));
        assert!(matches!(Manifest::from_bytes(b"{}"), Err(ManifestError::Unreadable(_))));
    }

    #[test]
    fn a_key_belongs_to_the_dataset_with_the_longest_prefix() {
        let manifest = Manifest::new(vec![Dataset::new("all", "in/"), Dataset::new("orders", "in/orders/")]);
        assert_eq!(manifest.dataset_of_key("in/orders/a.csv").unwrap().name, "orders");
        assert_eq!(manifest.dataset_of_key("in/order/a.csv").unwrap().name, "all");
        assert!(manifest.dataset_of_key("out/a.csv").is_none());
    }
}
