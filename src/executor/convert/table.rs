//! What follows from a table's columns: how its files are encoded, and how rows are told apart by partition.

use arrow::datatypes::SchemaRef;

use super::{group::Encodings, partitions::Partitions};
use crate::{dataset::Dataset, executor::Error};

/// How the rows of a table become files.
pub(super) struct Table {
    pub encodings: Encodings,
    /// `None`: it has no partitions.
    pub partitions: Option<Partitions>,
}

impl Table {
    /// As the dataset wishes its files, for a table of these columns.
    pub fn new(schema: &SchemaRef, dataset: &Dataset) -> Result<Self, Error> {
        let partitions = Partitions::new(schema, dataset)?;
        let of_files = partitions.as_ref().map_or(schema, Partitions::schema);
        Ok(Table { encodings: Encodings::new(of_files, &dataset.parquet)?, partitions })
    }
}
