//! Later files that bring columns which the table does not have.

use std::{
    future::Future,
    pin::Pin,
    task::{Context, Waker},
};

use futures::executor::block_on;

use super::world::*;
use crate::{
    dataset::{Column, ColumnType, SchemaChange},
    pipeline::{
        convert::{Outcome, convert},
        ledger::{Kind, Run},
        ports::Shape,
        retry::{Selection, retry},
    },
};

const KEY: &str = "in/a.csv";
const OTHER: &str = "in/b.csv";

fn a() -> Column {
    column("a", ColumnType::Int64)
}

fn b() -> Column {
    column("b", ColumnType::Int64)
}

fn c() -> Column {
    column("c", ColumnType::Date)
}

/// A world with a table of the column `a`, made with `plugin`.
fn with_table(plugin: Option<&'static str>) -> World {
    let world = World::new();
    world.deploy(plugin);
    world.put_and_tell("in/0.csv", "one");
    world.settle();
    world
}

fn put(world: &World, key: &str, content: &str) -> Outcome {
    world.put_and_tell(key, content);
    world.convert("r1", key).unwrap().outcome
}

/// The columns that the run of what is committed says it has added.
fn added(world: &World, key: &str) -> Vec<Column> {
    let id = world.current(key).unwrap().run;
    let report = world.keys("_lake/runs/").into_iter().find(|report| report.contains(&id)).unwrap();
    world.record::<Run>(&report).unwrap().new_columns
}

fn is_committed(outcome: &Outcome) -> bool {
    matches!(outcome, Outcome::Committed { .. })
}

fn mismatch() -> Outcome {
    Outcome::Parked { code: "schema_mismatch".into() }
}

fn shape(world: &World) -> Shape {
    world.lock().tables[DATASET].shape.clone()
}

#[test]
fn columns_that_a_later_file_brings_stand_behind_those_that_are_there_in_the_order_of_the_file() {
    let world = with_table(None);
    assert!(is_committed(&put(&world, KEY, "two with c and b")));
    assert_eq!(
        shape(&world),
        Shape { columns: vec![a(), c(), b()], source_columns: Some(vec![a(), c(), b()]), ..Shape::default() }
    );
    assert_eq!(world.current(KEY).unwrap().rows, 1);
    assert_eq!(added(&world, KEY), [c(), b()]);
    assert!(is_committed(&put(&world, OTHER, "three")), "a file without them comes as before");
    assert_eq!(added(&world, OTHER), []);
    assert_eq!(world.table_columns(), [a(), c(), b()]);
    world.assert_sound();
}

#[test]
fn a_column_more_in_each_file_is_added_file_by_file() {
    let world = with_table(None);
    put(&world, KEY, "two with b");
    assert_eq!(world.table_columns(), [a(), b()]);
    put(&world, OTHER, "three with c and b");
    assert_eq!(world.table_columns(), [a(), b(), c()]);
    assert_eq!(world.source_columns(), [a(), b(), c()]);
    world.assert_sound();
}

#[test]
fn a_column_keeps_the_type_that_it_came_with() {
    let world = with_table(None);
    put(&world, KEY, "two with b");
    assert!(is_committed(&put(&world, OTHER, "three with b as text")));
    assert_eq!(world.table_columns(), [a(), b()]);
    world.assert_sound();
}

#[test]
fn two_files_that_bring_the_same_column_at_once_add_it_once_and_the_loser_takes_the_type() {
    let mut both_orders = [false; 2];
    for calls in 1..60 {
        let world = with_table(None);
        world.put_and_tell(KEY, "two with b");
        world.put_and_tell(OTHER, "three with b as text");
        let slow = world.clone();
        let mut one: Pin<Box<dyn Future<Output = ()>>> = Box::pin(async move {
            let (manifest, invocation) = (slow.manifest(), slow.invocation("r1"));
            let answer = convert(&slow.process(), &manifest, &invocation, &Kind::Pending.key(DATASET, KEY)).await;
            assert!(is_committed(&answer.unwrap().outcome));
        });
        let mut context = Context::from_waker(Waker::noop());
        let ended = (0..calls).any(|_| one.as_mut().poll(&mut context).is_ready());
        assert!(is_committed(&world.convert("r2", OTHER).unwrap().outcome));
        if !ended {
            block_on(one);
        }
        world.settle();
        let is_text = world.table_columns() == [a(), column("b", ColumnType::String)];
        assert!(is_text || world.table_columns() == [a(), b()], "after {calls} calls: {:?}", world.table_columns());
        both_orders[usize::from(is_text)] = true;
        assert_eq!(world.rows().len(), 3);
        world.assert_sound();
    }
    assert_eq!(both_orders, [true, true], "one of them was always first");
}

#[test]
fn a_frozen_dataset_refuses_the_file_until_it_may_evolve() {
    let world = with_table(None);
    world.lock().schema_change = Some(SchemaChange::Freeze);
    assert_eq!(put(&world, KEY, "two with b"), mismatch());
    let message = world.parked(KEY).unwrap().message;
    assert!(message.contains("no column b") && message.contains("schema_change = \"evolve\""), "{message}");
    assert_eq!(world.table_columns(), [a()]);
    world.assert_sound();
    world.lock().schema_change = None;
    block_on(retry(&world.process(), DATASET, &Selection::All)).unwrap();
    world.settle();
    assert_eq!((world.rows().len(), world.table_columns()), (2, vec![a(), b()]));
    world.assert_sound();
}

#[test]
fn a_contract_is_frozen_by_default() {
    let world = with_table(None);
    let mut manifest = world.manifest();
    manifest.datasets[0].schema = Some(vec![a()]);
    world.put_and_tell(KEY, "two with b");
    let (marker, invocation) = (Kind::Pending.key(DATASET, KEY), world.invocation("r1"));
    let answer = block_on(convert(&world.process(), &manifest, &invocation, &marker)).unwrap();
    assert_eq!(answer.outcome, mismatch());
    let message = world.parked(KEY).unwrap().message;
    assert!(!message.contains("evolve"), "a contract cannot: {message}");
    assert_eq!(world.table_columns(), [a()]);
}

#[test]
fn rows_with_a_value_in_an_unknown_column_are_set_aside_where_the_dataset_says_so() {
    let world = with_table(None);
    world.lock().schema_change = Some(SchemaChange::Reject);
    assert!(is_committed(&put(&world, KEY, "two with b")));
    let current = world.current(KEY).unwrap();
    assert_eq!((current.rows, current.rejected), (1, 1));
    assert_eq!(shape(&world), Shape { columns: vec![a()], source_columns: None, ..Shape::default() });
    world.assert_sound();
}

#[test]
fn what_was_set_aside_comes_into_the_table_by_a_backfill_once_it_may_evolve() {
    let world = with_table(None);
    world.lock().schema_change = Some(SchemaChange::Reject);
    put(&world, KEY, "two with b");
    world.lock().schema_change = None;
    assert!(world.plan().keys().contains(&KEY.to_owned()));
    world.backfill();
    world.settle();
    let current = world.current(KEY).unwrap();
    assert_eq!((current.generation, current.rows, current.rejected), (2, 1, 0));
    assert_eq!(world.table_columns(), [a(), b()]);
    world.assert_sound();
}

#[test]
fn a_file_that_has_none_of_the_tables_columns_is_refused_and_adds_none() {
    let world = with_table(None);
    assert_eq!(put(&world, KEY, "strange"), mismatch());
    let message = world.parked(KEY).unwrap().message;
    assert!(message.contains("none of the table's columns"), "{message}");
    assert_eq!(world.table_columns(), [a()]);
    world.assert_sound();
}

#[test]
fn a_bare_header_adds_no_column_for_it_says_nothing_of_types() {
    let world = with_table(None);
    assert!(is_committed(&put(&world, KEY, "header with b")));
    assert_eq!(world.table_columns(), [a()]);
    world.assert_sound();
}

#[test]
fn with_a_transform_the_columns_of_the_csv_grow_and_the_table_gets_what_the_plugin_makes_of_them() {
    let world = with_table(Some("tags"));
    let tag = || column("tag", ColumnType::String);
    assert!(is_committed(&put(&world, KEY, "two with b")));
    assert_eq!(
        shape(&world),
        Shape { columns: vec![a(), tag(), b()], source_columns: Some(vec![a(), b()]), ..Shape::default() }
    );
    assert_eq!(world.rows(), ["tags(one)", "tags(two with b)"]);
    assert!(is_committed(&put(&world, OTHER, "three")));
    world.assert_sound();
    world.assert_current();
}

#[test]
fn a_plugin_that_refuses_the_new_columns_parks_the_file_and_the_table_stays_as_it_is() {
    let world = with_table(None);
    world.deploy(Some("refuses"));
    assert_eq!(put(&world, KEY, "two with b"), Outcome::Parked { code: "plugin_refused".into() });
    assert_eq!(shape(&world), Shape { columns: vec![a()], source_columns: None, ..Shape::default() });
    world.assert_sound();
}

#[test]
fn a_column_that_a_transform_has_left_in_the_table_is_read_by_its_type_once_the_transform_is_gone() {
    let world = with_table(None);
    let text = column("b", ColumnType::String);
    let made = Shape { columns: vec![a(), text.clone()], source_columns: Some(vec![a()]), ..Shape::default() };
    world.lock().tables.get_mut(DATASET).unwrap().shape = made;
    assert!(is_committed(&put(&world, KEY, "two with b")));
    let all = vec![a(), text];
    assert_eq!(shape(&world), Shape { columns: all.clone(), source_columns: Some(all), ..Shape::default() });
    world.assert_sound();
}

#[test]
fn a_backfill_knows_the_columns_that_were_added() {
    let world = with_table(None);
    put(&world, KEY, "two with b");
    world.deploy(Some("tags"));
    world.backfill();
    world.settle();
    assert_eq!(world.source_columns(), [a(), b()]);
    assert_eq!(world.rows(), ["tags(one)", "tags(two with b)"]);
    world.assert_sound();
    world.assert_current();
}

#[test]
fn a_newer_version_with_more_columns_that_a_backfill_finds_replaces_the_tables_columns_with_all_of_them() {
    let world = with_table(None);
    put(&world, KEY, "two");
    world.deploy(Some("retypes"));
    world.upload(KEY, "two with b");
    world.backfill();
    world.settle();
    let columns = vec![column("a", ColumnType::String), b()];
    assert_eq!(shape(&world), Shape { columns, source_columns: Some(vec![a(), b()]), ..Shape::default() });
    assert_eq!(added(&world, KEY), [b()]);
    world.assert_sound();
    world.assert_current();
}

#[test]
fn what_was_decided_before_a_column_came_is_finished_after_it_and_does_not_make_it_forgotten() {
    let mut decided = 0;
    for call in 0..40 {
        let world = with_table(Some("tags"));
        world.put_and_tell(KEY, "two");
        let _ = world.convert_on(&world.process_with([(call, Fault::DieAfter)]), "r1", KEY);
        decided += u32::from(world.commit(KEY).is_some_and(|commit| commit.attempt.is_some()));
        put(&world, OTHER, "three with b");
        world.settle();
        assert_eq!(world.source_columns(), [a(), b()], "died after call {call}");
        world.assert_sound();
        world.assert_current();
    }
    assert!(decided > 0, "it never died between its decision and its end");
}
