//! Conditional writes whose answers lie.

use bytes::Bytes;
use futures::executor::block_on;

use super::world::*;
use crate::pipeline::{
    ledger::{CONFLICT_TRIES_MAX, Decision, put_decisively},
    ports::{CloudErrorKind, Condition},
};

const KEY: &str = "_lake/x.json";

fn put(world: &World, faults: &[(usize, Fault)]) -> Result<Decision, CloudErrorKind> {
    let (process, body) = (world.process_with(faults.iter().copied()), Bytes::from_static(b"ours"));
    block_on(put_decisively(&process, KEY, body, Condition::Absent, |there| there == b"ours"))
        .map_err(|error| error.kind)
}

fn won(decision: Result<Decision, CloudErrorKind>) -> bool {
    matches!(decision, Ok(Decision::Won(_)))
}

#[test]
fn a_lost_answer_and_a_412_against_our_own_write_are_read_back_as_ours() {
    assert!(won(put(&World::new(), &[(0, Fault::AnswerLost)])));
    assert!(won(put(&World::new(), &[(0, Fault::MeetsItself)])));
}

#[test]
fn a_412_against_somebody_elses_write_is_lost() {
    let world = World::new();
    world.lock().objects.insert(KEY.into(), ("\"e\"".into(), Bytes::from_static(b"theirs")));
    assert_eq!(put(&world, &[]), Ok(Decision::Lost));
}

#[test]
fn a_409_is_asked_again_a_bounded_number_of_times() {
    let conflicts = |count: u32| (0..count as usize).map(|call| (call, Fault::Conflict)).collect::<Vec<_>>();
    assert!(won(put(&World::new(), &conflicts(CONFLICT_TRIES_MAX - 1))));
    assert_eq!(put(&World::new(), &conflicts(CONFLICT_TRIES_MAX)), Err(CloudErrorKind::Conflict));
}

#[test]
fn a_write_that_is_not_known_to_have_happened_is_an_error_and_not_a_loss() {
    assert_eq!(put(&World::new(), &[(0, Fault::Unavailable)]), Err(CloudErrorKind::Retriable));
}
