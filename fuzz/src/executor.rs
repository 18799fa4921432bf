//! In the place of lake's `executor`, which would bring S3's SDK and the WASM host along.

pub mod transform;

#[path = "../../src/executor/csv/mod.rs"]
pub mod csv;
#[path = "../../src/executor/error.rs"]
mod error;
#[path = "../../src/executor/parquet/mod.rs"]
pub mod parquet;
#[path = "../../src/executor/report.rs"]
mod report;
#[path = "../../src/executor/schedule.rs"]
mod schedule;

pub use self::{
    csv::Dialect,
    error::Error,
    report::{Progress, Report},
};

/// As lake's, which stands in the file that this one is in the place of.
pub trait Source: Send + Sync {
    fn name(&self) -> &str;
    fn len(&self) -> Option<u64>;
    fn open(&self) -> std::io::Result<Box<dyn std::io::Read + Send>>;
}
