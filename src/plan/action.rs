//! What happens to a resource.

use serde::{Deserialize, Serialize};

/// What happens to a resource, as people read it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Action {
    /// Stays as it is.
    Keep,
    /// Something changes in state alone.
    Note,
    /// Is made.
    Create,
    /// Changes in place.
    Update,
    /// A new one is made, then the old one deleted.
    ReplaceCreateFirst,
    /// The old one is deleted, then a new one made.
    ReplaceDeleteFirst,
    /// Is deleted.
    Delete,
    /// Stays in the cloud and is forgotten.
    Forget,
}

impl Action {
    /// Whether people need to hear of it: the cloud changes, or something is left behind in it.
    pub fn touches_the_cloud(self) -> bool {
        !matches!(self, Action::Keep | Action::Note)
    }

    /// Its sign in a plan.
    pub fn symbol(self) -> &'static str {
        match self {
            Action::Keep | Action::Note => " ",
            Action::Create => "+",
            Action::Update => "~",
            Action::ReplaceCreateFirst => "+-",
            Action::ReplaceDeleteFirst => "-+",
            Action::Delete => "-",
            Action::Forget => ".",
        }
    }

    /// Its name in a plan.
    pub fn verb(self) -> &'static str {
        match self {
            Action::Keep => "keep",
            Action::Note => "note",
            Action::Create => "create",
            Action::Update => "update",
            Action::ReplaceCreateFirst => "replace (create first)",
            Action::ReplaceDeleteFirst => "replace (delete first)",
            Action::Delete => "delete",
            Action::Forget => "keep in the cloud and forget",
        }
    }
}
