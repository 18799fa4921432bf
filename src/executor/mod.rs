//! CSV → Arrow → Parquet: `bytes → records → typed columns → bytes`. The core does no IO of its own: it reads
//! from a [`Source`], writes through a [`Sink`], and both are somebody else's (local files and S3 live in
//! [`local`] and [`object`], the rim).
//!
//! The promise: no row vanishes. `read = kept + filtered + rejected` counts the rows of the input, each once, and the
//! data file has `kept + exploded` rows; both are asserted in every run. A rejected row is set aside with its file,
//! line, byte offset, column, code, message and raw text, whether lake or a plugin has rejected it. A plugin's codes
//! stay as they are; one that is also lake's gets [`csv::PLUGIN_CODE_PREFIX`] before it, so that the two are told apart.
//!
//! The way of the bytes: `csv::text` unpacks and decodes them, `csv::blocks` cuts the text at ends of records; these
//! two run on one thread. Groups of blocks then go side by side through `csv::grid` (where are the fields),
//! `csv::decode` (typed columns) and `parquet` (an encoded row group), and are put one behind the other as they came
//! (`schedule`). With a transform, what is decoded goes through the plugin in the order of the file before it is
//! encoded. The same bytes come out for the same bytes in, whatever the number of threads.
//!
//! Types that nobody has said are guessed by the beginning of each input, and found out over all of it when a later
//! value refutes the guess. Memory is bounded whatever the input's size, by [`MEMORY_BYTES`]: text under way
//! ([`Resources::text_bytes`], and one record of at most [`csv::RECORD_BYTES_MAX`]), a row group in the making for each
//! worker and those that wait for their turn, and what a plugin uses within its [`transform::Limits`]; for a partitioned
//! table, instead of the workers' row groups, by the rows that wait for one and by what sinks may hold back.

/// The table in the Glue Data Catalog, as a pure mapping.
pub mod catalog;
/// CSV: dialect, records, headers, values, types.
pub mod csv;
/// The rim for local files.
pub mod local;
/// The rim for S3.
pub mod object;
/// Parquet: schema, writers of kept and of rejected rows, reading back.
pub mod parquet;
/// The WASM host: what rows go through between CSV and Parquet.
pub mod transform;

mod convert;
mod error;
mod report;
mod schedule;

use std::io::{Read, Write};

pub use convert::{
    Columns, Conversion, Converted, DataFile, GUESS_BYTES, Input, OPEN_FILES_MAX, OTHER_CODES, Origin, PARTITIONS_MAX,
    PLUGIN_CODES_MAX, Through, convert,
};
pub use csv::{Decision, Dialect, Inference, Item, infer, infer_all};
pub use error::Error;
pub use report::{Progress, Report, Stages};
pub use schedule::{MEMORY_BYTES, Resources};

use crate::dataset::Partition;

/// Bytes that can be read several times from the start: once to find out types, once to decode.
pub trait Source: Send + Sync {
    /// What errors, reports and rejects call it: `s3://bucket/key`, or a path.
    fn name(&self) -> &str;

    /// Its size in bytes, when that is known.
    fn len(&self) -> Option<u64>;

    /// True when it is known to hold nothing.
    fn is_empty(&self) -> bool {
        self.len() == Some(0)
    }

    /// Opens it at its first byte. A read that has waited a while may fail with [`std::io::ErrorKind::Interrupted`], to
    /// be asked again: so a run that was cancelled meanwhile does not wait on.
    ///
    /// # Errors
    /// Whatever keeps it from being read; [`convert`] passes it on as [`Error::Read`].
    fn open(&self) -> std::io::Result<Box<dyn Read + Send>>;
}

/// Bytes of an output that a [`Sink`] may hold back until there are more of them, or it has ended.
pub const HELD_BACK_BYTES: usize = 8 * 1024 * 1024;

/// Where a conversion's outputs go. An output that gets no row is never opened.
pub trait Sink {
    /// An output that is being written. Dropped, it leaves nothing behind.
    type Write: Write + Send;

    /// An output whose bytes are all there, and that nobody sees yet: for the rim to commit. It takes no memory to speak
    /// of. Dropped, it leaves nothing behind.
    type Done;

    /// Opens a Parquet file of kept rows, the `part`th of its partition, from 0. A dataset without partitions whose
    /// files have no size has one, with an empty partition.
    ///
    /// # Errors
    /// Whatever keeps it from being opened.
    fn data(&mut self, partition: &Partition, part: u32) -> std::io::Result<Self::Write>;

    /// Opens the Parquet file of the rejected rows.
    ///
    /// # Errors
    /// Whatever keeps it from being opened.
    fn rejects(&mut self) -> std::io::Result<Self::Write>;

    /// All bytes of the output are written.
    ///
    /// # Errors
    /// Whatever keeps the last of them from arriving.
    fn done(&mut self, write: Self::Write) -> std::io::Result<Self::Done>;
}

#[cfg(test)]
mod tests;
