//! How each kind of resource is observed, created, updated and deleted: one file a kind under `aws/`.

pub mod aws;
mod error;
#[cfg(test)]
pub(crate) mod fake;
mod patience;

use std::collections::{BTreeMap, HashMap};

use async_trait::async_trait;

pub use error::{ErrorKind, ProviderError};
pub use patience::{Clock, Patience};

use crate::resource::{Fields, Schema, Schemas};

/// What a kind is asked about.
#[derive(Debug, Clone, Copy)]
pub struct Target<'a> {
    /// What the cloud knows it by: the physical name, or the naming inputs joined by `/`.
    pub identity: &'a str,
    /// Its inputs, resolved: the recorded ones for what is there, the planned ones for what is to be.
    pub inputs: &'a Fields,
}

/// What the cloud has.
#[derive(Debug, Clone, PartialEq)]
pub struct Observed {
    /// Inputs as the cloud has them, in the declared shape; a field that the cloud does not tell is absent.
    pub inputs: Fields,
    /// Outputs.
    pub outputs: Fields,
    /// Its tags, for kinds that are owned by tags; empty for the others.
    pub tags: Tags,
}

/// Tags of a resource, by key.
pub type Tags = BTreeMap<String, String>;

/// The lifecycle of a kind of resource. One flow serves it: observe → ensure. AlreadyExists and NotFound are normal
/// answers.
#[async_trait]
pub trait Kind: Send + Sync {
    /// What the planner knows of the kind.
    fn schema(&self) -> &'static Schema;

    /// What is there under the identity; `None` when nothing is. A part that is at its service's default (no
    /// versioning, an empty notification document) counts as nothing. Reads only.
    async fn observe(&self, target: Target<'_>) -> Result<Option<Observed>, ProviderError>;

    /// What is there whose names begin with `prefix`, by identity; `None` for a kind that cannot be listed. Only kinds
    /// that are owned by tags need to be: whose a part is, its parent tells.
    async fn list(&self, _prefix: &str) -> Result<Option<Vec<String>>, ProviderError> {
        Ok(None)
    }

    /// Adds `tags` to what is there and changes nothing else. Only kinds that are owned by tags take any.
    async fn tag(&self, target: Target<'_>, _tags: &Tags) -> Result<(), ProviderError> {
        let message = format!("`{}` is of a kind that takes no tags", target.identity);
        Err(ProviderError::new(ErrorKind::Invalid, self.schema().kind, message))
    }

    /// Makes it, with `tags` set in the creating call where that takes tags. Returns its outputs once it is usable.
    async fn create(&self, target: Target<'_>, tags: &Tags) -> Result<Fields, ProviderError>;

    /// Brings what is there (`prior` inputs) to the target's inputs and `tags`. Returns its outputs.
    async fn update(&self, target: Target<'_>, prior: &Fields, tags: &Tags) -> Result<Fields, ProviderError>;

    /// Removes it with all it holds. That it is gone already is success.
    async fn delete(&self, target: Target<'_>) -> Result<(), ProviderError>;
}

/// The kinds a provider offers, by name.
pub struct Provider {
    kinds: HashMap<&'static str, Box<dyn Kind>>,
    schemas: Schemas,
    patience: Patience,
}

impl Provider {
    /// A provider of these kinds.
    pub fn new(kinds: impl IntoIterator<Item = Box<dyn Kind>>) -> Self {
        let kinds: HashMap<_, _> = kinds.into_iter().map(|kind| (kind.schema().kind, kind)).collect();
        let schemas = kinds.values().map(|kind| kind.schema()).collect();
        Provider { kinds, schemas, patience: Patience::default() }
    }

    /// The same kinds, called with this patience.
    #[must_use]
    pub fn with_patience(self, patience: Patience) -> Self {
        Provider { patience, ..self }
    }

    /// Tries their calls again that are worth it.
    pub fn patience(&self) -> &Patience {
        &self.patience
    }

    /// What the planner knows of these kinds.
    pub fn schemas(&self) -> &Schemas {
        &self.schemas
    }

    /// Every kind, by name.
    pub fn kinds(&self) -> impl Iterator<Item = &dyn Kind> {
        let sorted: BTreeMap<_, _> = self.kinds.iter().collect();
        sorted.into_values().map(AsRef::as_ref)
    }

    /// The kind of this name.
    pub fn kind(&self, name: &str) -> Result<&dyn Kind, ProviderError> {
        self.kinds.get(name).map(AsRef::as_ref).ok_or_else(|| {
            ProviderError::new(
                ErrorKind::Invalid,
                name,
                "this version of lake does not know the kind; use the version that created it",
            )
        })
    }
}
