//! Each text is read whole and in small pieces, and held against what else reads it.

#![no_main]

use lake_fuzz::Input;
use libfuzzer_sys::fuzz_target;

fuzz_target!(|input: Input| input.check());
