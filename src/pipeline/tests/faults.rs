//! One thing breaks, at every place where it can.

use super::world::*;
use crate::pipeline::convert::Outcome;

const KEY: &str = "in/a.csv";
const FAULTS: [Fault; 6] =
    [Fault::DieBefore, Fault::DieAfter, Fault::Unavailable, Fault::AnswerLost, Fault::MeetsItself, Fault::Conflict];

/// A world, what happens in it before the run under test, and the number of calls of that run.
fn at_every_call(prepare: impl Fn(&World), check: impl Fn(&World)) {
    let world = World::new();
    prepare(&world);
    let process = world.process();
    world.convert_on(&process, "r1", KEY).unwrap();
    let calls = process.calls();
    assert!(calls > 8, "only {calls} calls");
    for fault in FAULTS {
        for call in 0..calls {
            let world = World::new();
            prepare(&world);
            let answer = world.convert_on(&world.process_with([(call, fault)]), "r1", KEY);
            if answer.is_err() {
                // Lambda tries an asynchronous invocation that failed again, with the same request id.
                let retried = world.convert("r1", KEY);
                assert!(retried.is_ok(), "{fault:?} at call {call}: {answer:?} then {retried:?}");
            }
            assert!(world.markers().is_empty(), "{fault:?} at call {call}: {answer:?}, marker left");
            world.assert_sound();
            check(&world);
        }
    }
}

#[test]
fn a_first_conversion_converges_after_any_fault_at_any_call() {
    at_every_call(
        |world| world.put_and_tell(KEY, "one with a reject"),
        |world| {
            assert_eq!(world.rows(), ["one with a reject"]);
            assert_eq!(world.lock().commits_decided, 1, "decided more than once");
        },
    );
}

#[test]
fn a_conversion_that_adds_columns_converges_after_any_fault_at_any_call() {
    at_every_call(
        |world| {
            world.put_and_tell("in/0.csv", "one");
            world.convert("r0", "in/0.csv").unwrap();
            world.put_and_tell(KEY, "two with b");
        },
        |world| {
            assert_eq!(world.rows(), ["one", "two with b"]);
            assert_eq!(world.table_columns().len(), 2);
        },
    );
}

#[test]
fn a_conversion_of_a_partitioned_table_converges_after_any_fault_at_any_call() {
    at_every_call(
        |world| {
            world.repartition(&["kind"]);
            world.put_and_tell(KEY, "zero");
            world.convert("r0", KEY).unwrap();
            world.put_and_tell(KEY, "one with a reject");
        },
        |world| {
            assert_eq!(world.rows(), ["one with a reject"]);
            world.assert_parted();
        },
    );
}

#[test]
fn a_newer_version_in_another_partition_is_never_out_of_sight() {
    for call in 0..40 {
        let world = World::new();
        world.repartition(&["kind"]);
        world.put_and_tell(KEY, "zero");
        world.convert("r0", KEY).unwrap();
        world.put_and_tell(KEY, "one");
        let _ = world.convert_on(&world.process_with([(call, Fault::DieAfter)]), "r1", KEY);
        assert!(world.keys("flights/").iter().any(|file| world.is_seen(file)), "call {call}: no version is seen");
    }
}

#[test]
fn what_was_decided_without_a_transform_is_not_forgotten_when_one_begins_to_remember() {
    for call in 0..40 {
        let world = World::new();
        world.put_and_tell("in/b.csv", "four with b");
        let _ = world.convert_on(&world.process_with([(call, Fault::DieAfter)]), "r1", "in/b.csv");
        world.deploy(Some("tags"));
        world.put_and_tell(KEY, "one");
        world.convert("r2", KEY).unwrap();
        world.settle();
        world.assert_sound();
    }
}

#[test]
fn a_superseding_conversion_converges_after_any_fault_at_any_call() {
    at_every_call(
        |world| {
            world.put_and_tell(KEY, "one with a reject");
            world.convert("r0", KEY).unwrap();
            world.put_and_tell(KEY, "two");
        },
        |world| {
            assert_eq!(world.rows(), ["two"]);
            assert_eq!(world.lock().commits_decided, 2);
        },
    );
}

#[test]
fn parking_converges_after_any_fault_at_any_call() {
    at_every_call(
        |world| world.put_and_tell(KEY, "bad"),
        |world| {
            assert!(world.parked(KEY).is_some());
            assert_eq!(world.keys("_lake/runs/").len(), 1);
        },
    );
}

#[test]
fn replacing_a_parked_object_converges_after_any_fault_at_any_call() {
    at_every_call(
        |world| {
            world.put_and_tell(KEY, "bad");
            world.convert("r0", KEY).unwrap();
            world.put_and_tell(KEY, "good");
        },
        |world| assert!(world.parked(KEY).is_none()),
    );
}

#[test]
fn an_attempt_left_unfinished_is_finished_by_whoever_comes_even_if_its_source_has_changed_or_gone() {
    for change in [None, Some("two"), Some("bad")] {
        for gone in [false, true] {
            for call in 0..40 {
                let world = World::new();
                world.put_and_tell(KEY, "zero");
                world.convert("r0", KEY).unwrap();
                world.put_and_tell(KEY, "one");
                let _ = world.convert_on(&world.process_with([(call, Fault::DieAfter)]), "r1", KEY);
                if let Some(content) = change {
                    world.put_and_tell(KEY, content);
                }
                if gone {
                    world.delete(KEY);
                }
                world.settle();
                world.assert_sound();
                assert_eq!(world.rows().len(), 1, "call {call}: a version of the object is always in the table");
            }
        }
    }
}

#[test]
fn an_attempt_whose_uploads_are_gone_is_rolled_back_and_made_again() {
    let mut rolled_back = 0;
    for (call, second) in (0..30).flat_map(|call| (0..20).map(move |second| (call, second))) {
        let world = World::new();
        world.put_and_tell(KEY, "zero");
        world.convert("r0", KEY).unwrap();
        world.put_and_tell(KEY, "one with a reject");
        let _ = world.convert_on(&world.process_with([(call, Fault::DieAfter)]), "r1", KEY);
        world.lock().uploads.retain(|_, (key, _)| !key.starts_with("_lake/rejects/"));
        let _ = world.convert_on(&world.process_with([(second, Fault::DieAfter)]), "r1", KEY);
        world.settle();
        world.assert_sound();
        assert_eq!(world.rows(), ["one with a reject"], "call {call}");
        rolled_back += world.commit(KEY).unwrap().generation.saturating_sub(2);
    }
    assert!(rolled_back > 0, "no call left an attempt to roll back");
}

#[test]
fn the_third_attempt_that_fails_parks_the_object() {
    let world = World::new();
    world.put_and_tell(KEY, "one");
    // Calls: marker, claim, three looks, table, the object.
    let broken = || world.process_with([(6, Fault::Unavailable)]);
    for attempt in 1..=2 {
        let error = world.convert_on(&broken(), "r1", KEY).unwrap_err();
        assert_eq!(error.failure.code, "executor");
        let marker = world.marker(KEY).unwrap();
        assert_eq!((marker.attempts, marker.claim), (attempt, None));
        assert!(marker.last_error.unwrap().contains("injected"));
    }
    let answer = world.convert_on(&broken(), "r1", KEY).unwrap();
    assert_eq!(answer.outcome, Outcome::Parked { code: "executor".into() });
    assert_eq!(world.parked(KEY).unwrap().attempts, 3);
    world.assert_sound();
}

#[test]
fn an_object_on_which_every_attempt_dies_without_a_word_is_parked_by_the_next() {
    let world = World::new();
    world.put_and_tell(KEY, "one");
    for _ in 0..3 {
        world.convert_on(&world.process_with([(5, Fault::DieBefore)]), "r1", KEY).unwrap_err();
    }
    assert_eq!(world.marker(KEY).unwrap().attempts, 3);
    world.advance(jiff::SignedDuration::from_hours(1));
    let answer = world.convert("r2", KEY).unwrap();
    assert_eq!(answer.outcome, Outcome::Parked { code: "attempts_exhausted".into() });
    world.assert_sound();
}
