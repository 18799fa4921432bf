//! A dataset's resolved description: what `lake.toml` says after defaults, as the functions read it from their
//! manifest. Values only, no IO.

mod architecture;
mod csv;
mod manifest;
mod names;
mod partition;
mod policy;
mod transform;
mod types;

pub use architecture::Architecture;
pub use csv::{CsvOptions, DEFAULT_NULLS, DateOrder, HEADER_ROWS_MAX, Mark, Newline, SKIP_LINES_MAX};
pub use manifest::{MANIFEST_FORMAT, Manifest, ManifestError};
pub use names::{
    COLUMN_NAME_MAX, JOB_EVENT, LEDGER_PREFIX, METRICS_NAMESPACE, column_name, event_source, ledger_prefixes,
};
pub use partition::{NULL_PARTITION, PARTITION_COLUMNS_MAX, Part, Partition};
pub use policy::{MaxRejects, ParseMaxRejectsError, Ragged, SchemaChange};
pub use transform::{DEFAULT_TRANSFORM_CALL_SECONDS, DEFAULT_TRANSFORM_MEMORY_MB, TRANSFORM_PREFIX, Transform};
pub use types::{ColumnType, DECIMAL_PRECISION_MAX, ParseTypeError};

use serde::{Deserialize, Serialize};
use sha2::{Digest, Sha256};

/// One table: where its CSV files arrive, how they are read, what they become.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Dataset {
    /// Table name in the catalog and prefix of its files in the processed bucket: `[a-z][a-z0-9_]*`.
    pub name: String,
    /// Prefix in the raw bucket, ending in `/`.
    pub source: String,
    /// Who fills the catalog.
    pub catalog: CatalogMode,
    /// How the CSV is written. What is absent is found out from the file.
    pub csv: CsvOptions,
    /// The contract: the columns of the CSV files, in order. `None`: those that the processed table was first made
    /// from, else found out from the first object as a whole. Without a transform they are the table's columns, too.
    pub schema: Option<Vec<Column>>,
    /// What happens when a later file brings columns that the table does not have, as far as the configuration says:
    /// see [`Dataset::schema_change`].
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub schema_change: Option<SchemaChange>,
    /// How many rows of a file may be set aside; with more of them nothing of it is written. `None`: all.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub max_rejects: Option<MaxRejects>,
    /// What rows go through on their way.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub transform: Option<Transform>,
    /// Columns of the table that its files lie in folders by ([`Partition`]), outermost first.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub partition_by: Vec<String>,
    /// How the Parquet is written.
    pub parquet: ParquetOptions,
}

impl Dataset {
    /// A dataset with every option at its default.
    pub fn new(name: impl Into<String>, source: impl Into<String>) -> Self {
        Dataset {
            name: name.into(),
            source: source.into(),
            catalog: CatalogMode::Direct,
            csv: CsvOptions::default(),
            schema: None,
            schema_change: None,
            max_rejects: None,
            transform: None,
            partition_by: Vec::new(),
            parquet: ParquetOptions::default(),
        }
    }

    /// What happens when a later file brings columns that the table does not have: what the configuration says, else
    /// they are added, unless a contract says which there are.
    pub fn schema_change(&self) -> SchemaChange {
        self.schema_change.unwrap_or(match self.schema {
            Some(_) => SchemaChange::Freeze,
            None => SchemaChange::Evolve,
        })
    }

    /// Whether an input may become several data files.
    pub fn makes_several_files(&self) -> bool {
        !self.partition_by.is_empty() || self.parquet.target_file_bytes.is_some()
    }

    /// Hash of everything but the plugin's code that decides what a conversion writes: 16 hex digits. Commit records
    /// and Parquet metadata carry it, so that a backfill knows which files were made with another configuration. The
    /// plugin's code has a hash of its own: [`Transform::plugin_hash`].
    pub fn config_hash(&self) -> String {
        let mut decisive = self.clone();
        // Whether a file is taken or refused says nothing of what is written of one that was taken.
        decisive.max_rejects = None;
        decisive.schema_change = self.schema_change.filter(|change| *change == SchemaChange::Reject);
        if self.csv.ragged == Ragged::Fail {
            decisive.csv.ragged = Ragged::Reject;
        }
        if let Some(transform) = &mut decisive.transform {
            // Where it is found, and what it may use up, decides nothing.
            *transform = Transform {
                name: String::new(),
                component: String::new(),
                precompiled: None,
                config: std::mem::take(&mut transform.config),
                memory_mb: 0,
                call_seconds: 0,
            };
        }
        let json = serde_json::to_vec(&decisive).expect("a dataset is plain data and always serialises");
        hex::encode(&Sha256::digest(json)[..8])
    }

    /// All that decides what a conversion writes: [`Dataset::config_hash`], and the plugin's where there is one.
    pub fn version(&self) -> String {
        let plugin = self.plugin_hash().map(|plugin| format!("-{plugin}"));
        format!("{}{}", self.config_hash(), plugin.unwrap_or_default())
    }

    /// [`Transform::plugin_hash`], where there is a transform.
    pub fn plugin_hash(&self) -> Option<&str> {
        self.transform.as_ref().map(Transform::plugin_hash)
    }
}

/// Who writes the catalog's tables.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum CatalogMode {
    /// A Glue crawler reads the raw objects into a table of their own; its success starts the conversion. The
    /// executor still writes the processed table.
    Crawler,
    /// No crawler: an object is converted as soon as it is noted, and only the processed table is in the catalog.
    Direct,
}

/// A column of a contract or of a table.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Column {
    /// Lower-case name as in the catalog.
    pub name: String,
    /// Its type.
    #[serde(rename = "type")]
    pub ty: ColumnType,
}

/// How Parquet is written.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct ParquetOptions {
    /// Codec of the column chunks.
    pub compression: Compression,
    /// A row group takes rows until their CSV text has this many bytes. That is known before anything is encoded, so
    /// that row groups can be made side by side; encoded they take less, mostly a fifth to a third of it.
    pub row_group_bytes: u64,
    /// Level of the codec; `None`: the codec's own default. Only Zstandard has levels.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub compression_level: Option<i32>,
    /// A data file that has reached this many bytes ends with its row group, and the next one begins. `None`: an input
    /// becomes one file, or one a partition.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub target_file_bytes: Option<u64>,
    /// Columns with a bloom filter.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub bloom_filters: Vec<String>,
    /// Columns that order the rows of a row group: ascending, nulls first.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub sort_by: Vec<String>,
}

/// Default of [`ParquetOptions::row_group_bytes`]: some hundred thousand rows, as DuckDB and Polars write them, and
/// small enough that a file of 100 MB keeps several processors busy.
pub const DEFAULT_ROW_GROUP_BYTES: u64 = 32 * 1024 * 1024;

impl Default for ParquetOptions {
    fn default() -> Self {
        ParquetOptions {
            compression: Compression::Zstd,
            row_group_bytes: DEFAULT_ROW_GROUP_BYTES,
            compression_level: None,
            target_file_bytes: None,
            bloom_filters: Vec::new(),
            sort_by: Vec::new(),
        }
    }
}

/// Codec of Parquet column chunks.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Compression {
    /// Zstandard, level 1 unless set otherwise: the default.
    Zstd,
    /// Snappy: faster, larger.
    Snappy,
    /// None.
    None,
}
