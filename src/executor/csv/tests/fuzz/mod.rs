//! The reader at random: any bytes, in any dialect, cut anywhere.
//!
//! Each case goes through `blocks`, `grid` and `decode` twice, whole and in small pieces, and is held against `split`,
//! which reads record by record, against values that are parsed alone, against the `csv` crate where that reads alike,
//! and against the text itself, of which each line must be in exactly one row or one reject.
//!
//! Two fuzzers make cases. The one in `random` is part of the tests: it needs nothing else, and knows what a CSV file
//! is. Without being asked, it runs the same cases each time, so that a test run tells of the change that it tests
//! alone; `LAKE_FUZZ_CASES` asks for as many others. One that fails is shrunk and printed as a test for `regressions`.
//!
//! The other is libFuzzer, in the folder `fuzz` at the top: it keeps and changes the cases that reached code that none
//! had reached before. It needs `cargo fuzz` and a nightly compiler, which nothing else here does. Its crate compiles
//! this module by `cfg(fuzzing)`; a case that fails is printed there as a test for `regressions`, too.

mod bytes;
mod case;
mod check;
#[cfg(test)]
mod random;
#[cfg(test)]
mod regressions;

#[cfg(fuzzing)]
pub(crate) use self::{case::Case, check::check};
