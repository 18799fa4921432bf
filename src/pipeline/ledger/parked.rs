//! A source that cannot be converted as it is: it waits for a new version, or for `lake retry`.

use jiff::Timestamp;
use serde::{Deserialize, Serialize};

use super::{Committed, Run};

/// "This version of this object was given up, and why."
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Parked {
    /// [`super::LEDGER_FORMAT`].
    pub format: u32,
    /// Dataset that the key belongs to.
    pub dataset: String,
    /// Key in the raw bucket.
    pub key: String,
    /// Entity tag of the version given up, in its quotes. A version with another one is converted.
    pub etag: String,
    /// Stable code of the reason.
    pub code: String,
    /// What is wrong, where, and what to do.
    pub message: String,
    /// When it was given up.
    pub parked_at: Timestamp,
    /// When the same version was last told of.
    pub confirmed_at: Timestamp,
    /// Times that it was tried.
    pub attempts: u32,
    /// Whether the event that tells of it was sent. Records of a version of lake that told nobody count as told:
    /// what is long known is not news.
    #[serde(default = "told_by_default")]
    pub told: bool,
    /// The report of the last try; filed under `_lake/runs/` as well.
    pub run: Run,
}

/// What a record says that was written before there were events.
pub(super) fn told_by_default() -> bool {
    true
}

impl Parked {
    /// Whether the version given up is the one that readers see: another invocation converted it while this one
    /// gave it up. Such a record says nothing, and goes when the object is next looked at. A retry that has been
    /// asked for the sake of another configuration or plugin is parked later than its version was committed, and counts.
    pub fn is_void(&self, current: Option<&Committed>) -> bool {
        let report = &self.run.report;
        current.is_some_and(|current| {
            current.etag == self.etag
                && current.config_hash == report.config_hash
                && current.plugin_hash == report.plugin_hash
        })
    }
}
