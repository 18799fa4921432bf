//! Cases at random, which need no compiler but the usual one and know what a CSV file is.

use std::{
    collections::hash_map::RandomState,
    hash::{BuildHasher, Hasher},
    panic::{AssertUnwindSafe, catch_unwind},
    sync::Mutex,
    thread,
};

use super::case::{Case, Corpus};

/// Cases unless `LAKE_FUZZ_CASES` says otherwise.
const CASES: u64 = 3_000;

/// Checks a case; a panic is a failure like others.
pub(super) fn check(case: &Case) -> Result<(), String> {
    catch_unwind(AssertUnwindSafe(|| super::check::check(case))).unwrap_or_else(|panic| {
        let text = panic.downcast_ref::<String>().cloned();
        Err(text.or_else(|| panic.downcast_ref::<&str>().map(|text| (*text).to_owned())).unwrap_or_default())
    })
}

/// The smallest case that still fails, of those that are made by leaving out parts of the text.
fn shrunk(mut case: Case) -> Case {
    let mut length = case.text.len();
    while length > 0 {
        let mut at = 0;
        while at < case.text.len() {
            let mut smaller = case.clone();
            smaller.text.drain(at..(at + length).min(case.text.len()));
            match check(&smaller) {
                Err(_) => case = smaller,
                Ok(()) => at += length,
            }
        }
        length /= 2;
    }
    case
}

#[test]
fn whatever_bytes_there_are_no_row_is_lost_and_no_cell_is_read_otherwise_than_alone() {
    let asked: Option<u64> = std::env::var("LAKE_FUZZ_CASES").ok().and_then(|text| text.parse().ok());
    let (cases, first) = match asked {
        Some(cases) => (cases, RandomState::new().build_hasher().finish()),
        None => (CASES, 0),
    };
    let corpus = Corpus::read();
    let failed: Mutex<Option<Case>> = Mutex::new(None);
    let workers = thread::available_parallelism().map_or(1, |count| count.get() as u64);
    thread::scope(|scope| {
        for worker in 0..workers {
            let (failed, corpus) = (&failed, &corpus);
            scope.spawn(move || {
                for number in (worker..cases).step_by(workers as usize) {
                    let case = corpus.case(first.wrapping_add(number));
                    if check(&case).is_err() {
                        *failed.lock().unwrap() = Some(case);
                    }
                    if number % 64 < workers && failed.lock().unwrap().is_some() {
                        return;
                    }
                }
            });
        }
    });
    if let Some(case) = failed.into_inner().unwrap() {
        let case = shrunk(case);
        panic!("{}\n\nas a test:\n\n{}", check(&case).unwrap_err(), case.source());
    }
}
