//! Glue kinds.

mod database;

pub(super) use database::DatabaseKind;
