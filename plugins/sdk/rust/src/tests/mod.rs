//! The machinery as transforms see it.

mod columns;
mod rows;
mod whole_batches;
