//! Between decoding and writing: the plugin at work on one input.

use arrow::array::RecordBatch;

use super::{
    super::{
        Dialect,
        csv::{Batch, Decoded, Reject, Row, plugin_code},
        transform::{Instance, Limits, PluginError, RowError, Transformed},
    },
    Through,
};
use crate::dataset::{Column, Transform};

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
    /// What fits is kept: there is no transform.
    pub fn untouched(decoded: Decoded) -> Self {
        let kept = decoded.batch.as_ref().map_or(0, |batch| batch.num_rows() as u64);
        Passed { batch: decoded.batch, kept, filtered: 0, rejects: decoded.rejects }
    }
}

/// An opened plugin, and what it takes to say where its rows came from.
pub(super) struct Stage {
    plugin: String,
    instance: Instance,
    newline: u8,
}

impl Stage {
    /// Opens the plugin for a file of `columns` that is written in `dialect`.
    pub fn open(
        through: Through<'_>,
        transform: &Transform,
        columns: &[Column],
        dialect: &Dialect,
    ) -> Result<Self, PluginError> {
        let Through { plugin, deadline } = through;
        let instance = plugin.open(&transform.config, columns, &Limits::of(transform), deadline)?;
        Ok(Stage { plugin: plugin.name().to_owned(), instance, newline: dialect.newline.byte() })
    }

    /// The columns of the table.
    pub fn columns(&self) -> &[Column] {
        &self.instance.contract().columns
    }

    /// Puts the rows of `decoded` through the plugin; they are records of `batch`.
    pub fn pass(&mut self, batch: &Batch<'_>, decoded: Decoded) -> Result<Passed, PluginError> {
        let Decoded { batch: Some(rows), records, mut rejects } = decoded else {
            return Ok(Passed::untouched(decoded));
        };
        let transformed = self.instance.transform(&rows).map_err(|error| self.in_lines(error, batch, &records))?;
        let Transformed { batch: rows, kept, filtered, errors } = transformed;
        for RowError { row, code, column, message } in errors {
            let Some(record) = records.get(row as usize) else {
                let message = format!("it rejects row {row} of a batch of {}", records.len());
                let error = PluginError::BrokeContract { plugin: self.plugin.clone(), rows: None, message };
                return Err(self.in_lines(error, batch, &records));
            };
            rejects.push(batch.reject(record, column, plugin_code(code), message));
        }
        rejects.sort_by_key(|reject| reject.offset);
        Ok(Passed { batch: rows, kept, filtered, rejects })
    }

    fn in_lines(&self, error: PluginError, batch: &Batch<'_>, records: &[Row]) -> PluginError {
        match records {
            [first, .., last] | [first @ last] => error.in_lines(first.line, batch.last_line(last, self.newline)),
            [] => error,
        }
    }
}
