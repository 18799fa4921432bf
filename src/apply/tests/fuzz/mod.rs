//! Lifecycles at random: any sound state, any programs one after the other, commands restricted or not, calls that
//! fail before or after their effect or have to be tried again, somebody else in the cloud, a disk that is full, a
//! process that is interrupted or killed at any of its moments.
//!
//! The state stays sound after every command; each call follows a durable intent and the durable records of what it
//! needs; what is deleted is needed by nothing; nothing of somebody else's is touched; one clean apply later the cloud
//! is what the program declares, the next one does nothing, and a destroy leaves nothing.
//!
//! Without being asked, the same cases are run each time, so that a test run tells of the change that it tests alone;
//! `LAKE_FUZZ_CASES` asks for as many others. One that fails is shrunk and printed as a test for `regressions`.

mod case;
mod cloud;
mod disk;
mod kinds;
mod matrix;
mod prior;
mod regressions;
mod shared;
mod world;

use std::panic::{AssertUnwindSafe, catch_unwind};

use proptest::test_runner::{Config, RngAlgorithm, TestCaseError, TestError, TestRng, TestRunner};

use case::Case;

/// Cases unless `LAKE_FUZZ_CASES` says otherwise.
const CASES: u32 = 400;
/// Tries to make a failing case smaller.
const SHRINKS_MAX: u32 = 20_000;

/// Runs a case; a panic is a failure like others.
fn check(case: &Case) -> Result<(), String> {
    catch_unwind(AssertUnwindSafe(|| world::check(case))).unwrap_or_else(|panic| {
        let text = panic.downcast_ref::<String>().cloned();
        Err(text.or_else(|| panic.downcast_ref::<&str>().map(|text| (*text).to_owned())).unwrap_or_default())
    })
}

#[test]
fn any_life_of_a_stack_leads_to_what_is_declared() {
    let asked = std::env::var("LAKE_FUZZ_CASES").ok().and_then(|text| text.parse().ok());
    let cases = asked.unwrap_or(CASES);
    let config = Config { cases, max_shrink_iters: SHRINKS_MAX, failure_persistence: None, ..Config::default() };
    let mut runner = match asked {
        Some(_) => TestRunner::new(config),
        None => TestRunner::new_with_rng(config, TestRng::deterministic_rng(RngAlgorithm::default())),
    };
    let result = runner.run(&case::case(), |case| check(&case).map_err(TestCaseError::fail));
    if let Err(TestError::Fail(why, case)) = &result {
        panic!("{why}\n\nas a test:\n\n{}", case.source());
    }
    result.unwrap();
}
