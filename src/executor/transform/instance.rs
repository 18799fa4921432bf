//! A plugin at work on one object.

use arrow::array::RecordBatch;

use super::{Contract, PluginError};

/// A row that the plugin has set aside.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RowError {
    /// Its place in the batch.
    pub row: u32,
    /// Stable code: lower-case letters, digits and `_`.
    pub code: String,
    /// The column at fault.
    pub column: Option<String>,
    /// Why, for a person.
    pub message: String,
}

/// What became of a batch. Conservation holds: every row of it is kept, filtered or rejected, and counted once.
#[derive(Debug, Clone)]
pub struct Transformed {
    /// The rows to write, with the columns of [`Contract::columns`]; `None` without a row.
    pub batch: Option<RecordBatch>,
    /// Distinct rows of the input that are in it.
    pub kept: u64,
    /// Rows that were left out without an error.
    pub filtered: u64,
    /// Rows that were set aside, by row, each once.
    pub errors: Vec<RowError>,
}

/// An opened plugin. After an error it must not be used again.
pub struct Instance {
    contract: Contract,
}

impl Instance {
    /// What it does with the columns.
    pub fn contract(&self) -> &Contract {
        &self.contract
    }

    /// Gives it a batch of the columns it was opened with.
    ///
    /// # Errors
    /// [`PluginError::Failed`], [`PluginError::BrokeContract`], [`PluginError::Trapped`], [`PluginError::TimedOut`]:
    /// the instance is poisoned.
    pub fn transform(&mut self, batch: &RecordBatch) -> Result<Transformed, PluginError> {
        let _ = batch;
        Err(PluginError::Host(String::new()))
    }

    /// Fuel used so far; 0 without [`super::Meter::Fuel`].
    pub fn fuel(&self) -> u64 {
        0
    }
}
