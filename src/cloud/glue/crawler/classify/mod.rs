//! What an object is, found out from its first bytes: custom classifiers in the crawler's order, then the built-in
//! ones. <https://docs.aws.amazon.com/glue/latest/dg/add-classifier.html>
//!
//! Built in are Parquet, JSON (objects one after the other) and CSV, each plain or gzipped; everything else, text
//! that is not UTF-8 included, is `UNKNOWN`, as it is on AWS where no classifier is certain.

mod csv;
mod json;
mod parquet;

use std::{io::Read, sync::Arc};

use tokio::io::AsyncReadExt;

use super::seams::{ObjectEntry, ObjectSource};
use crate::cloud::error::ApiError;

pub(super) use csv::{CsvFormat, CsvRules, Presence, Serde, SerdeChoice};

/// Bytes of an object, and of what it unpacks to, that a classifier looks at: "the first 1 MB".
/// <https://docs.aws.amazon.com/glue/latest/dg/add-classifier.html>
const SAMPLE_BYTES: u64 = 1024 * 1024;
/// Records that a classifier looks at: "the first 1,000 records or the first megabyte, whichever comes first".
const SAMPLE_RECORDS: usize = 1000;
/// Longest name of a column that the catalog takes, in bytes.
const NAME_BYTES: usize = 255;
/// What a gzipped file begins with.
const GZIP_MAGIC: &[u8] = &[0x1f, 0x8b];
/// What a Parquet file begins with.
const PARQUET_MAGIC: &[u8] = b"PAR1";

/// What is known of an object's contents.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct Sample {
    pub shape: Shape,
    /// Records looked at.
    pub records: u64,
    /// Bytes that they take, unpacked.
    pub bytes: u64,
    /// Records of the whole object, where its format tells them.
    pub counted: Option<u64>,
}

/// Format and schema.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct Shape {
    pub format: Format,
    pub compression: Compression,
    pub columns: Vec<Column>,
}

#[derive(Debug, Clone, PartialEq)]
pub(super) enum Format {
    Csv(CsvFormat),
    Json,
    Parquet,
}

/// Compression of the file as a whole. <https://docs.aws.amazon.com/glue/latest/dg/add-classifier.html>
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Compression {
    None,
    Gzip,
}

/// A column with its type in Hive's words.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Column {
    pub name: String,
    pub kind: String,
}

/// An object as it was read.
pub(super) struct Classified {
    /// Etag of what was read.
    pub etag: String,
    /// `None`: unknown.
    pub sample: Option<Arc<Sample>>,
}

impl Format {
    pub(super) fn classification(&self) -> &'static str {
        match self {
            Format::Csv(_) => "csv",
            Format::Json => "json",
            Format::Parquet => "parquet",
        }
    }
}

impl Shape {
    /// Whether files of both shapes can be read through one table, whatever their columns: the same format and the
    /// same compression.
    pub(super) fn compatible(&self, other: &Shape) -> bool {
        let same = match (&self.format, &other.format) {
            (Format::Csv(a), Format::Csv(b)) => a.delimiter == b.delimiter && a.serde == b.serde,
            (a, b) => a == b,
        };
        same && self.compression == other.compression
    }
}

/// Reads the beginning of an object, for Parquet its end, and classifies it.
pub(super) async fn classify(
    objects: &dyn ObjectSource,
    bucket: &str,
    entry: &ObjectEntry,
    rules: &Arc<Vec<CsvRules>>,
) -> Result<Classified, ApiError> {
    let mut open = objects.open(bucket, &entry.key, 0..SAMPLE_BYTES).await?;
    let mut start = Vec::with_capacity(usize::try_from(open.size.min(SAMPLE_BYTES)).unwrap_or_default());
    while open.bytes.read_buf(&mut start).await.map_err(ApiError::internal)? > 0 {
        if start.starts_with(PARQUET_MAGIC) {
            break;
        }
    }
    let (etag, size) = (open.etag, open.size);
    drop(open.bytes);
    if start.starts_with(PARQUET_MAGIC) {
        let sample = parquet::classify(objects, bucket, entry, &etag, size).await?;
        return Ok(Classified { etag, sample: sample.map(Arc::new) });
    }
    let rules = Arc::clone(rules);
    let whole = start.len() as u64 >= size;
    let sample = tokio::task::spawn_blocking(move || classify_text(start, whole, &rules));
    Ok(Classified { etag, sample: sample.await.map_err(ApiError::internal)?.map(Arc::new) })
}

/// Classifies what `start`, the whole object or its beginning, holds.
pub(super) fn classify_text(start: Vec<u8>, whole: bool, rules: &[CsvRules]) -> Option<Sample> {
    let (bytes, whole, compression) = match start.starts_with(GZIP_MAGIC) {
        true => {
            let (bytes, whole) = unpack(&start, whole)?;
            (bytes, whole, Compression::Gzip)
        }
        false => (start, whole, Compression::None),
    };
    let text = text(&bytes, whole)?;
    let custom = rules.iter().find_map(|rules| csv::classify(text, whole, rules));
    let found = custom.or_else(|| json::classify(text, whole));
    let (format, columns, records, bytes) = found.or_else(|| csv::classify(text, whole, &CsvRules::built_in()))?;
    Some(Sample { shape: Shape { format, compression, columns }, records, bytes, counted: None })
}

/// What a classifier finds: format, columns, records looked at and the bytes that they take.
type Found = (Format, Vec<Column>, u64, u64);

/// Unpacks up to [`SAMPLE_BYTES`]; tells whether that is all.
fn unpack(packed: &[u8], whole: bool) -> Option<(Vec<u8>, bool)> {
    let mut bytes = Vec::new();
    let mut unpacking = flate2::read::MultiGzDecoder::new(packed).take(SAMPLE_BYTES);
    match unpacking.read_to_end(&mut bytes) {
        Ok(_) => {
            let whole = whole && (bytes.len() as u64) < SAMPLE_BYTES;
            Some((bytes, whole))
        }
        // The sample ends within the packed stream: what came out before is good.
        Err(_) if !whole && !bytes.is_empty() => Some((bytes, false)),
        Err(_) => None,
    }
}

/// The text without a byte order mark and, in a sample, without a letter that its end cuts.
fn text(bytes: &[u8], whole: bool) -> Option<&str> {
    let bytes = bytes.strip_prefix(b"\xef\xbb\xbf").unwrap_or(bytes);
    match std::str::from_utf8(bytes) {
        Ok(text) => Some(text),
        Err(error) if !whole && error.error_len().is_none() => std::str::from_utf8(&bytes[..error.valid_up_to()]).ok(),
        Err(_) => None,
    }
}

/// Names as the catalog takes them: in lower case, without control characters, none twice. What AWS makes of a name
/// that comes twice is not documented; here the later ones get a number.
fn columns(named: impl IntoIterator<Item = (String, String)>) -> Vec<Column> {
    let mut taken = std::collections::HashSet::new();
    let name = |(place, (raw, kind)): (usize, (String, String))| {
        let clean: String = raw.to_lowercase().chars().map(|c| if c.is_control() { '_' } else { c }).collect();
        let clean = if clean.trim().is_empty() { format!("col{place}") } else { clean };
        let mut name = shortened(&clean, NAME_BYTES).to_owned();
        let mut count = 1;
        while !taken.insert(name.clone()) {
            let number = format!("_{count}");
            name = format!("{}{number}", shortened(&clean, NAME_BYTES - number.len()));
            count += 1;
        }
        Column { name, kind }
    };
    named.into_iter().enumerate().map(name).collect()
}

/// The longest beginning of `text` that has at most `bytes` bytes.
pub(super) fn shortened(text: &str, bytes: usize) -> &str {
    match text.char_indices().map(|(at, letter)| at + letter.len_utf8()).take_while(|end| *end <= bytes).last() {
        Some(end) => &text[..end],
        None => "",
    }
}

/// The type that values of both types can be read as.
/// Integers widen; anything else that differs is text.
pub(super) fn common(a: &str, b: &str) -> String {
    const WIDENING: [&str; 6] = ["tinyint", "smallint", "int", "bigint", "float", "double"];
    let rank = |kind: &str| WIDENING.iter().position(|name| *name == kind);
    match (rank(a), rank(b)) {
        _ if a == b => a.to_owned(),
        // A float holds no bigint.
        (Some(a), Some(b)) if a.min(b) < 4 && a.max(b) == 4 => "double".to_owned(),
        (Some(a), Some(b)) => WIDENING[a.max(b)].to_owned(),
        _ => "string".to_owned(),
    }
}

#[cfg(test)]
mod tests;
