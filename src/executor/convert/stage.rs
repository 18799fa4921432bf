//! Between decoding and writing: the plugin at work on one input.

use arrow::array::RecordBatch;

use super::Through;
use crate::{
    dataset::{Column, Transform},
    executor::{
        csv::{Decoded, Marks, Origins, Reject, plugin_code},
        transform::{Instance, Limits, PluginError, RowError, Transformed},
    },
};

/// What became of the rows of a batch: each is kept, filtered or rejected.
pub(super) struct Passed {
    /// The rows to write.
    pub batch: Option<RecordBatch>,
    /// Rows of the input that are in it.
    pub kept: u64,
    /// Rows that were left out.
    pub filtered: u64,
    /// Rows that were set aside, in the order of the file.
    pub rejects: Vec<Reject>,
}

impl Passed {
    /// What fits is kept.
    pub fn untouched(decoded: Decoded) -> Self {
        let kept = decoded.batch.as_ref().map_or(0, |batch| batch.num_rows() as u64);
        Passed { batch: decoded.batch, kept, filtered: 0, rejects: decoded.rejects }
    }
}

/// An opened plugin.
pub(super) struct Stage {
    plugin: String,
    instance: Instance,
}

impl Stage {
    /// Opens the plugin for a file of `columns`.
    pub fn open(through: Through<'_>, transform: &Transform, columns: &[Column]) -> Result<Self, PluginError> {
        let Through { plugin, deadline } = through;
        let instance = plugin.open(&transform.config, columns, &Limits::of(transform), deadline)?;
        Ok(Stage { plugin: plugin.name().to_owned(), instance })
    }

    /// The columns of the table.
    pub fn columns(&self) -> &[Column] {
        &self.instance.contract().columns
    }

    /// Puts rows through the plugin.
    pub fn pass(&mut self, decoded: Decoded, marks: &Marks) -> Result<Passed, PluginError> {
        let Decoded { batch: Some(rows), origins, mut rejects, .. } = decoded else {
            return Ok(Passed::untouched(decoded));
        };
        let transformed = self.instance.transform(&rows).map_err(|error| in_lines(error, &origins, marks))?;
        let Transformed { batch, kept, filtered, errors } = transformed;
        for RowError { row, code, column, message } in errors {
            match origins.reject(row as usize, column, plugin_code(code), message, marks) {
                Some(reject) => rejects.push(reject),
                None => {
                    let message = format!("it rejects row {row} of a batch of {}", origins.len());
                    let error = PluginError::BrokeContract { plugin: self.plugin.clone(), rows: None, message };
                    return Err(in_lines(error, &origins, marks));
                }
            }
        }
        rejects.sort_by_key(|reject| reject.offset);
        Ok(Passed { batch, kept, filtered, rejects })
    }
}

fn in_lines(error: PluginError, origins: &Origins, marks: &Marks) -> PluginError {
    match origins.lines(marks) {
        Some((first, last)) => error.in_lines(first, last),
        None => error,
    }
}
