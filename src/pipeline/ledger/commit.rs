//! The commit record: which files hold a source's rows. Writing an attempt into it is the decision; all that
//! comes after is repeatable by anybody.

use jiff::Timestamp;
use serde::{Deserialize, Serialize};

use super::{LEDGER_FORMAT, Run, parked::told_by_default};
use crate::{
    dataset::{Column, Dataset},
    pipeline::ports::Upload,
};

/// What is committed of one source key.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Commit {
    /// [`LEDGER_FORMAT`].
    pub format: u32,
    /// Dataset that the key belongs to.
    pub dataset: String,
    /// Key in the raw bucket.
    pub key: String,
    /// Highest generation ever decided, also of attempts that were rolled back: file names are never used twice.
    pub generation: u64,
    /// The generation that readers see.
    pub current: Option<Committed>,
    /// A decided generation that is not finished.
    pub attempt: Option<Attempt>,
    /// Uploads of attempts that were rolled back, to be removed (again) before the next decision.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub discarded: Vec<Upload>,
}

/// A finished generation.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Committed {
    /// Its number, from 1.
    pub generation: u64,
    /// Id of the attempt that made it.
    pub attempt: String,
    /// Entity tag of the source that it was made from, in its quotes.
    pub etag: String,
    /// [`crate::dataset::Dataset::config_hash`] of the time.
    pub config_hash: String,
    /// [`crate::dataset::Transform::plugin_hash`] of the plugin that its rows went through.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub plugin_hash: Option<String>,
    /// Its files in the processed bucket; none for a source without rows.
    pub files: Vec<File>,
    /// Rows in the data file.
    pub rows: u64,
    /// Rows of the source that the transform left out.
    #[serde(default)]
    pub filtered: u64,
    /// Rows set aside.
    pub rejected: u64,
    /// Id of its run report.
    pub run: String,
    /// When it was finished.
    pub finished_at: Timestamp,
    /// Whether the event that tells of it was sent; it is sent before this is written. Records of a version of lake
    /// that told nobody count as told.
    #[serde(default = "told_by_default")]
    pub told: bool,
}

/// A file of a generation.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct File {
    /// Key in the processed bucket.
    pub key: String,
    /// What it holds.
    pub role: Role,
    /// Size in bytes.
    pub bytes: u64,
}

/// What a file holds.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Role {
    /// Rows of the table.
    Data,
    /// Rows set aside.
    Rejects,
}

/// A decided generation: all that is needed to finish it, by anybody.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Attempt {
    /// Random.
    pub id: String,
    /// Generation that it becomes.
    pub generation: u64,
    /// Entity tag of the source it was made from, in its quotes.
    pub etag: String,
    /// [`crate::dataset::Dataset::config_hash`].
    pub config_hash: String,
    /// [`crate::dataset::Transform::plugin_hash`].
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub plugin_hash: Option<String>,
    /// Uploads to complete, each with what it holds.
    pub uploads: Vec<(Role, Upload)>,
    /// Columns that the table must have; none when the source had nothing to tell them by.
    pub columns: Vec<Column>,
    /// Columns of the CSV that these are made of, where the table is to remember them.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub source_columns: Option<Vec<Column>>,
    /// The report to file.
    pub run: Run,
    /// When it was decided.
    pub decided_at: Timestamp,
}

impl Committed {
    /// How it differs from what `dataset` would make of the same source now; `None` when it does not.
    pub fn stale_for(&self, dataset: &Dataset) -> Option<Staleness> {
        let staleness = Staleness {
            config: self.config_hash != dataset.config_hash(),
            plugin: self.plugin_hash.as_deref() != dataset.plugin_hash(),
        };
        (staleness.config || staleness.plugin).then_some(staleness)
    }
}

/// What has changed since a generation was made.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
pub struct Staleness {
    /// The dataset's configuration, that of its transform included.
    pub config: bool,
    /// The plugin's code; or there was none, or is none.
    pub plugin: bool,
}

impl Commit {
    /// The record of a key of which nothing is committed.
    pub fn new(dataset: &str, key: &str) -> Self {
        Commit {
            format: LEDGER_FORMAT,
            dataset: dataset.to_owned(),
            key: key.to_owned(),
            generation: 0,
            current: None,
            attempt: None,
            discarded: Vec::new(),
        }
    }

    /// The record with `attempt` decided. It must be the next generation, no other may be unfinished, and what was
    /// discarded must be removed.
    pub fn decide(&self, attempt: Attempt) -> Self {
        assert!(self.attempt.is_none(), "BUG: deciding over an unfinished attempt of {}", self.key);
        assert_eq!(attempt.generation, self.generation + 1, "BUG: generation of {} out of order", self.key);
        Commit { generation: attempt.generation, attempt: Some(attempt), discarded: Vec::new(), ..self.clone() }
    }

    /// The record with its attempt finished and told of; itself when there is none.
    pub fn finish(&self, now: Timestamp) -> Self {
        let Some(attempt) = &self.attempt else { return self.clone() };
        let file = |(role, upload): &(Role, Upload)| File { key: upload.key.clone(), role: *role, bytes: upload.bytes };
        let current = Committed {
            generation: attempt.generation,
            attempt: attempt.id.clone(),
            etag: attempt.etag.clone(),
            config_hash: attempt.config_hash.clone(),
            plugin_hash: attempt.plugin_hash.clone(),
            files: attempt.uploads.iter().map(file).collect(),
            rows: attempt.run.report.kept + attempt.run.report.exploded,
            filtered: attempt.run.report.filtered,
            rejected: attempt.run.report.rejected,
            run: attempt.run.id.clone(),
            finished_at: now,
            told: true,
        };
        Commit { current: Some(current), attempt: None, ..self.clone() }
    }

    /// The record without its attempt: what readers see stays, the generation is used up.
    pub fn roll_back(&self) -> Self {
        let mut discarded = self.discarded.clone();
        discarded.extend(self.attempt.iter().flat_map(|attempt| &attempt.uploads).map(|(_, upload)| upload.clone()));
        Commit { attempt: None, discarded, ..self.clone() }
    }
}
