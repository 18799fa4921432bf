//! The CSV reader alone, for libFuzzer: to build all of lake, its SDKs and its WASM host, so that it counts where it
//! passes, would take the better part of an hour. Modules are taken from lake as they are; what is not is said in
//! [`executor`] and in [`executor::transform`].

#![allow(dead_code, unused_imports, reason = "of the rooms, the fuzzer uses what the check of the reader uses")]

mod executor;

#[path = "../../src/dataset/mod.rs"]
mod dataset;

use std::fmt;

use libfuzzer_sys::arbitrary::{Arbitrary, Error, Result, Unstructured};

use executor::csv::{Case, check};

/// A text and how it is to be read, of the bytes that the fuzzer makes.
pub struct Input(Case);

impl Input {
    /// # Panics
    /// When something is read as it must not be.
    pub fn check(&self) {
        if let Err(why) = check(&self.0) {
            panic!("{why}");
        }
    }
}

/// As it stands in `regressions`: `cargo fuzz` prints this of what failed.
impl fmt::Debug for Input {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0.source())
    }
}

impl<'a> Arbitrary<'a> for Input {
    fn arbitrary(bytes: &mut Unstructured<'a>) -> Result<Self> {
        let all = bytes.bytes(bytes.len())?;
        Case::from_bytes(all).map(Input).ok_or(Error::NotEnoughData)
    }
}
