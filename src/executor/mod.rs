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
//! worker and those that wait for their turn, and what a plugin uses within its [`transform::Limits`].

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
    Columns, Conversion, Converted, GUESS_BYTES, Input, OTHER_CODES, Origin, PLUGIN_CODES_MAX, Through, convert,
};
pub use csv::{Decision, Dialect, Inference, Item, infer, infer_all};
pub use error::Error;
pub use report::{Progress, Report, Stages};
pub use schedule::{MEMORY_BYTES, Resources};

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

/// Where a conversion's two outputs go. An output that gets no row is never opened.
pub trait Sink {
    /// One output. It is handed back unfinished in [`Converted`], for the rim to commit.
    type Write: Write + Send;

    /// Opens the Parquet file of the kept rows.
    ///
    /// # Errors
    /// Whatever keeps it from being opened.
    fn data(&mut self) -> std::io::Result<Self::Write>;

    /// Opens the Parquet file of the rejected rows.
    ///
    /// # Errors
    /// Whatever keeps it from being opened.
    fn rejects(&mut self) -> std::io::Result<Self::Write>;
}

#[cfg(test)]
mod tests;
