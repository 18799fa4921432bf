//! CSV → Arrow → Parquet: `bytes → records → typed columns → bytes`. The core does no IO of its own: it reads
//! from a [`Source`], writes through a [`Sink`], and both are somebody else's (local files and S3 live in
//! `local.rs` and `object.rs`, the rim).
//!
//! The promise: no row vanishes. `read = kept + rejected`, asserted in every run; a rejected row is set aside with
//! its file, line, byte offset, column, code, message and raw text.
