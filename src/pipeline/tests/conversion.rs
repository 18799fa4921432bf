//! What convert decides when nothing breaks.

use jiff::SignedDuration;

use super::world::*;
use crate::{
    dataset::{Column, ColumnType, Manifest},
    pipeline::{
        convert::{Outcome, convert},
        ledger::{Kind, take},
        ports::{Shape, Table},
        retry::{Action, Selection, retry},
    },
};

const KEY: &str = "in/a.csv";

fn outcome(world: &World, request: &str) -> Outcome {
    world.convert(request, KEY).unwrap().outcome
}

#[test]
fn an_object_is_committed_and_its_marker_cleared_last() {
    let world = World::new();
    world.put_and_tell(KEY, "one");
    let answer = world.convert("r1", KEY).unwrap();
    assert!(matches!(answer.outcome, Outcome::Committed { .. }));
    assert_eq!(answer.runs.len(), 1);
    assert_eq!(answer.runs[0].request_id, "r1");
    assert_eq!(world.rows(), ["one"]);
    assert_eq!(world.table_columns().len(), 1);
    world.assert_sound();
}

#[test]
fn the_same_event_twice_commits_once() {
    let world = World::new();
    world.put_and_tell(KEY, "one");
    outcome(&world, "r1");
    world.tell(KEY);
    assert_eq!(outcome(&world, "r2"), Outcome::AlreadyCommitted);
    assert_eq!(world.lock().commits_decided, 1);
    assert_eq!(outcome(&world, "r2"), Outcome::NothingPending);
    world.assert_sound();
}

#[test]
fn a_newer_version_supersedes_the_older_one_and_its_files() {
    let world = World::new();
    world.put_and_tell(KEY, "one with a reject");
    outcome(&world, "r1");
    assert_eq!(world.keys("_lake/rejects/").len(), 1);
    world.put_and_tell(KEY, "two");
    outcome(&world, "r2");
    assert_eq!(world.rows(), ["two"]);
    assert_eq!(world.commit(KEY).unwrap().generation, 2);
    assert!(world.keys("_lake/rejects/").is_empty());
    world.assert_sound();
}

#[test]
fn a_live_claim_keeps_others_away_and_a_dead_one_is_taken_over() {
    let world = World::new();
    world.put_and_tell(KEY, "one");
    let marker = Kind::Pending.key(DATASET, KEY);
    let held = world.invocation("r1");
    futures::executor::block_on(take(&world.process(), &marker, &held, |_| true)).unwrap();
    let Outcome::ClaimedByOther { owner, until } = outcome(&world, "r2") else { panic!("not held") };
    assert_eq!((owner.as_str(), until), ("r1", held.deadline));
    world.advance(SignedDuration::from_mins(16));
    assert!(matches!(outcome(&world, "r2"), Outcome::Committed { .. }));
    world.assert_sound();
}

#[test]
fn a_retry_of_the_invocation_that_died_takes_its_claim_over_at_once() {
    let world = World::new();
    world.put_and_tell(KEY, "one");
    let marker = Kind::Pending.key(DATASET, KEY);
    let died = world.invocation("r1");
    futures::executor::block_on(take(&world.process(), &marker, &died, |_| true)).unwrap();
    assert!(matches!(outcome(&world, "r1"), Outcome::Committed { .. }));
}

#[test]
fn an_object_deleted_before_conversion_is_logged_and_its_marker_cleared() {
    let world = World::new();
    world.put_and_tell(KEY, "one");
    world.delete(KEY);
    assert_eq!(outcome(&world, "r1"), Outcome::Deleted);
    assert!(world.commit(KEY).is_none());
    world.assert_sound();
}

#[test]
fn an_object_deleted_after_its_commit_leaves_its_rows() {
    let world = World::new();
    world.put_and_tell(KEY, "one");
    outcome(&world, "r1");
    world.delete(KEY);
    world.tell(KEY);
    assert_eq!(outcome(&world, "r2"), Outcome::Deleted);
    assert_eq!(world.rows(), ["one"]);
    world.assert_sound();
}

#[test]
fn a_file_that_is_no_csv_is_parked_at_once_and_left_alone_until_it_changes() {
    let world = World::new();
    world.put_and_tell(KEY, "bad");
    assert_eq!(outcome(&world, "r1"), Outcome::Parked { code: "not_csv".into() });
    let parked = world.parked(KEY).unwrap();
    assert_eq!((parked.attempts, parked.message.as_str()), (1, "not a CSV file"));
    assert_eq!(world.keys("_lake/runs/").len(), 1);
    world.tell(KEY);
    assert_eq!(outcome(&world, "r2"), Outcome::AlreadyParked);
    world.put_and_tell(KEY, "good");
    assert!(matches!(outcome(&world, "r3"), Outcome::Committed { .. }));
    assert!(world.parked(KEY).is_none());
    world.assert_sound();
}

#[test]
fn a_bad_new_version_leaves_the_rows_of_the_old_one() {
    let world = World::new();
    world.put_and_tell(KEY, "good");
    outcome(&world, "r1");
    world.put_and_tell(KEY, "bad");
    assert!(matches!(outcome(&world, "r2"), Outcome::Parked { .. }));
    assert_eq!(world.rows(), ["good"]);
    world.assert_sound();
}

#[test]
fn empty_files_and_bare_headers_are_runs_of_no_rows_and_make_no_table() {
    for content in ["", "header"] {
        let world = World::new();
        world.put_and_tell(KEY, content);
        let answer = world.convert("r1", KEY).unwrap();
        assert!(matches!(answer.outcome, Outcome::Committed { .. }), "{content:?}");
        assert_eq!(answer.runs[0].report.read, 0);
        assert!(world.lock().tables.is_empty());
        world.assert_sound();
    }
}

#[test]
fn a_contract_makes_its_table_when_finishing_and_adds_columns_it_has_gained() {
    let world = World::new();
    let column = |name: &str, ty| Column { name: name.into(), ty };
    let mut manifest = world.manifest();
    manifest.datasets[0].schema = Some(vec![column("a", ColumnType::Double)]);
    convert_with(&world, &manifest, "one", "r1");
    assert_eq!(world.table_columns(), [column("a", ColumnType::Double)]);
    manifest.datasets[0].schema = Some(vec![column("a", ColumnType::Double), column("b", ColumnType::Date)]);
    convert_with(&world, &manifest, "two", "r2");
    assert_eq!(world.table_columns().len(), 2);
    manifest.datasets[0].schema = Some(vec![column("a", ColumnType::String)]);
    let outcome = convert_with(&world, &manifest, "three", "r3");
    assert_eq!(outcome, Outcome::Parked { code: "schema_conflict".into() });
    assert_eq!(world.rows(), ["two"]);
}

fn convert_with(world: &World, manifest: &Manifest, content: &str, request: &str) -> Outcome {
    world.put_and_tell(KEY, content);
    let (marker, invocation) = (Kind::Pending.key(DATASET, KEY), world.invocation(request));
    futures::executor::block_on(convert(&world.process(), manifest, &invocation, &marker)).unwrap().outcome
}

#[test]
fn the_table_that_is_there_decides_the_columns() {
    let world = World::new();
    let columns = vec![Column { name: "a".into(), ty: ColumnType::String }];
    world.lock().tables.insert(
        DATASET.into(),
        Table { shape: Shape { columns: columns.clone(), source_columns: None, ..Shape::default() }, version: None },
    );
    world.put_and_tell(KEY, "one");
    outcome(&world, "r1");
    assert_eq!(world.table_columns(), columns);
}

#[test]
fn a_retry_by_hand_converts_a_parked_object_again() {
    let world = World::new();
    world.put_and_tell(KEY, "bad");
    world.put_and_tell("in/b.csv", "fine");
    world.settle();
    let retried = futures::executor::block_on(retry(&world.process(), DATASET, &Selection::All)).unwrap();
    assert_eq!(retried.len(), 1);
    assert_eq!((retried[0].key.as_str(), &retried[0].action), (KEY, &Action::Invoked));
    assert!(world.parked(KEY).is_some(), "nothing is forgotten before the new try has ended");
    assert_eq!(outcome(&world, "r9"), Outcome::Parked { code: "not_csv".into() });
    assert_eq!(world.keys("_lake/runs/").len(), 3);
    world.assert_sound();
}

#[test]
fn a_retry_by_hand_leaves_what_somebody_works_on() {
    let world = World::new();
    world.put_and_tell(KEY, "one");
    let (marker, held) = (Kind::Pending.key(DATASET, KEY), world.invocation("r1"));
    futures::executor::block_on(take(&world.process(), &marker, &held, |_| true)).unwrap();
    let retried = futures::executor::block_on(retry(&world.process(), DATASET, &Selection::All)).unwrap();
    assert_eq!(retried[0].action, Action::InProgress { until: held.deadline });
}

#[test]
fn a_record_of_a_later_version_of_lake_parks_the_object_and_is_not_overwritten() {
    let world = World::new();
    world.put_and_tell(KEY, "one");
    let record = Kind::Commits.key(DATASET, KEY);
    let later = bytes::Bytes::from_static(br#"{"format":99}"#);
    world.lock().objects.insert(record.clone(), ("\"x\"".into(), later.clone()));
    assert_eq!(outcome(&world, "r1"), Outcome::Parked { code: "damaged_record".into() });
    assert_eq!(world.lock().objects[&record].1, later);
}
