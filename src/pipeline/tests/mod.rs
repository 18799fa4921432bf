//! The pipeline against a world in memory that keeps S3's conditions, loses answers, dies and interleaves.

mod backfilling;
mod chaos;
mod conversion;
mod crawl_chaos;
mod crawling;
mod deciding;
mod evolving;
mod faults;
mod noting;
mod reading;
mod sweeping;
mod telling;
mod transforming;
mod world;
