//! Cases that failed once, as the fuzz printed them. Each says what was wrong.
#![cfg_attr(rustfmt, rustfmt_skip)]

use super::{case::{Aim::*, Case, Command::*, Drift::*, Layout, Mark::*, Node, Round, Trouble, Fault::*}, check};

/// Two things at one address were at work at once, and the end of one struck out the intent of the other.
#[test]
fn the_intent_of_a_deposed_thing_is_not_ended_by_the_current_one() {
    check(&Case { prior: Layout { order: 0, slots: vec![None, Some(Node { kind: 0, key: 0, shape: 0, value: 0, on: 0, how: 0, retain: false }), None, None, None, None] }, marks: vec![Absent, Replaced, Absent, Absent, Absent, Absent], rounds: vec![Round { drifts: vec![], command: Destroy, program: Layout { order: 0, slots: vec![None, None, None, None, None, None] }, aims: vec![], trouble: Trouble { calls: vec![], read: None, kill: None, torn: false, cancel: None, room: None, seed: 148, parallel: 2 } }], last: Layout { order: 0, slots: vec![None, None, None, None, None, None] }, refreshed: false }).unwrap();
}

/// What had to go early, before its successor came, went before those that could have moved away first.
#[test]
fn what_goes_early_waits_for_those_that_can_move_before() {
    check(&Case { prior: Layout { order: 0, slots: vec![None, None, None, None, None, None] }, marks: vec![Absent, Absent, Absent, Absent, Absent, Absent], rounds: vec![Round { drifts: vec![], command: Apply, program: Layout { order: 0, slots: vec![None, Some(Node { kind: 0, key: 2, shape: 0, value: 0, on: 0, how: 0, retain: false }), None, Some(Node { kind: 0, key: 0, shape: 0, value: 0, on: 0, how: 0, retain: false }), None, Some(Node { kind: 0, key: 0, shape: 0, value: 0, on: 8, how: 2, retain: false })] }, aims: vec![], trouble: Trouble { calls: vec![], read: None, kill: None, torn: false, cancel: None, room: None, seed: 0, parallel: 1 } }], last: Layout { order: 0, slots: vec![None, Some(Node { kind: 0, key: 0, shape: 0, value: 0, on: 0, how: 0, retain: false }), None, Some(Node { kind: 0, key: 0, shape: 0, value: 0, on: 0, how: 0, retain: false }), None, Some(Node { kind: 0, key: 0, shape: 0, value: 0, on: 0, how: 0, retain: false })] }, refreshed: false }).unwrap();
}

/// A name that was not known when it was planned turned out to be that of something deposed, which was made current
/// and then looked for in vain.
#[test]
fn what_is_deposed_may_be_made_current_by_a_name_that_was_not_known_before() {
    check(&Case { prior: Layout { order: 0, slots: vec![None, Some(Node { kind: 0, key: 0, shape: 0, value: 0, on: 0, how: 0, retain: false }), Some(Node { kind: 0, key: 0, shape: 0, value: 0, on: 0, how: 0, retain: false }), None, None, None] }, marks: vec![Absent, Updating { done: false }, Created, Absent, Absent, Absent], rounds: vec![Round { drifts: vec![], command: Apply, program: Layout { order: 0, slots: vec![Some(Node { kind: 0, key: 0, shape: 0, value: 0, on: 0, how: 0, retain: false }), Some(Node { kind: 0, key: 1, shape: 0, value: 0, on: 5, how: 0, retain: false }), Some(Node { kind: 0, key: 0, shape: 0, value: 0, on: 0, how: 0, retain: false }), Some(Node { kind: 0, key: 0, shape: 0, value: 0, on: 0, how: 0, retain: false }), Some(Node { kind: 0, key: 0, shape: 0, value: 0, on: 40, how: 0, retain: false }), Some(Node { kind: 0, key: 0, shape: 0, value: 0, on: 26, how: 0, retain: false })] }, aims: vec![], trouble: Trouble { calls: vec![Works, Works, Before, Works, Before], read: None, kill: None, torn: false, cancel: None, room: None, seed: 20, parallel: 3 } }], last: Layout { order: 0, slots: vec![None, Some(Node { kind: 0, key: 0, shape: 0, value: 0, on: 0, how: 0, retain: false }), Some(Node { kind: 0, key: 0, shape: 0, value: 0, on: 0, how: 0, retain: false }), None, None, None] }, refreshed: false }).unwrap();
}

/// Whose successor was deleted behind lake's back was deleted before those that still needed it.
#[test]
fn what_was_replaced_is_current_again_when_its_successor_is_gone() {
    check(&Case { prior: Layout { order: 0, slots: vec![Some(Node { kind: 0, key: 0, shape: 1, value: 0, on: 0, how: 0, retain: false }), Some(Node { kind: 0, key: 0, shape: 0, value: 0, on: 29, how: 1, retain: false }), Some(Node { kind: 0, key: 0, shape: 0, value: 0, on: 34, how: 0, retain: false }), Some(Node { kind: 0, key: 0, shape: 0, value: 0, on: 0, how: 0, retain: false }), None, Some(Node { kind: 0, key: 0, shape: 0, value: 0, on: 0, how: 0, retain: false })] }, marks: vec![Updating { done: false }, Updating { done: false }, Replaced, Created, Absent, Updating { done: false }], rounds: vec![Round { drifts: vec![Delete(109)], command: Apply, program: Layout { order: 0, slots: vec![Some(Node { kind: 0, key: 0, shape: 0, value: 0, on: 0, how: 0, retain: false }), None, None, None, None, None] }, aims: vec![], trouble: Trouble { calls: vec![], read: None, kill: None, torn: false, cancel: Some(14), room: None, seed: 0, parallel: 1 } }, Round { drifts: vec![Delete(180)], command: Destroy, program: Layout { order: 0, slots: vec![None, None, None, None, None, None] }, aims: vec![], trouble: Trouble { calls: vec![], read: None, kill: None, torn: false, cancel: None, room: None, seed: 0, parallel: 1 } }], last: Layout { order: 0, slots: vec![None, None, None, None, None, None] }, refreshed: false }).unwrap();
}

/// A deposed part waited for its successor, and that for the name of the part's parent, which went without the part.
#[test]
fn what_is_deposed_goes_early_when_what_it_depends_on_does() {
    check(&Case { prior: Layout { order: 0, slots: vec![None, Some(Node { kind: 0, key: 0, shape: 0, value: 0, on: 0, how: 0, retain: false }), None, Some(Node { kind: 0, key: 0, shape: 0, value: 0, on: 0, how: 0, retain: false }), Some(Node { kind: 0, key: 1, shape: 0, value: 0, on: 0, how: 0, retain: false }), Some(Node { kind: 0, key: 0, shape: 0, value: 0, on: 0, how: 0, retain: false })] }, marks: vec![Absent, Updating { done: false }, Absent, Replaced, Created, Created], rounds: vec![Round { drifts: vec![], command: Apply, program: Layout { order: 0, slots: vec![None, Some(Node { kind: 0, key: 1, shape: 0, value: 0, on: 0, how: 0, retain: false }), None, Some(Node { kind: 0, key: 0, shape: 0, value: 0, on: 0, how: 0, retain: false }), None, None] }, aims: vec![], trouble: Trouble { calls: vec![], read: None, kill: Some(24), torn: false, cancel: None, room: None, seed: 66, parallel: 3 } }], last: Layout { order: 4, slots: vec![None, None, None, Some(Node { kind: 0, key: 0, shape: 0, value: 0, on: 0, how: 0, retain: false }), None, Some(Node { kind: 1, key: 2, shape: 0, value: 0, on: 0, how: 0, retain: false })] }, refreshed: false }).unwrap();
}

/// A target was to have the name of something deposed elsewhere, which did not come along.
#[test]
fn a_target_takes_along_what_is_deposed_and_has_its_name() {
    check(&Case { prior: Layout { order: 0, slots: vec![None, Some(Node { kind: 0, key: 0, shape: 0, value: 0, on: 0, how: 0, retain: false }), None, Some(Node { kind: 0, key: 0, shape: 0, value: 0, on: 0, how: 0, retain: false }), None, None] }, marks: vec![Absent, Replaced, Absent, Absent, Absent, Absent], rounds: vec![Round { drifts: vec![], command: Apply, program: Layout { order: 0, slots: vec![Some(Node { kind: 0, key: 0, shape: 0, value: 0, on: 0, how: 0, retain: false }), Some(Node { kind: 0, key: 1, shape: 0, value: 0, on: 0, how: 0, retain: false }), None, None, Some(Node { kind: 0, key: 0, shape: 0, value: 0, on: 0, how: 0, retain: false }), None] }, aims: vec![], trouble: Trouble { calls: vec![Works, Works, Works, Before], read: None, kill: None, torn: false, cancel: None, room: None, seed: 0, parallel: 1 } }, Round { drifts: vec![], command: Apply, program: Layout { order: 0, slots: vec![Some(Node { kind: 1, key: 1, shape: 0, value: 0, on: 0, how: 0, retain: false }), None, None, None, None, None] }, aims: vec![Target { slot: 0, kind: false }], trouble: Trouble { calls: vec![], read: None, kill: None, torn: false, cancel: None, room: None, seed: 0, parallel: 1 } }], last: Layout { order: 0, slots: vec![None, None, None, None, None, None] }, refreshed: false }).unwrap();
}
