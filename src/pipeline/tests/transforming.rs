//! Conversions with a transform.

use super::world::*;
use crate::{
    dataset::{Column, ColumnType},
    pipeline::{
        Invocation,
        convert::{Outcome, convert},
        ledger::{Commit, Kind, parse},
        ports::{Shape, Table},
    },
};

const KEY: &str = "in/a.csv";

fn outcome(world: &World, request: &str) -> Outcome {
    world.convert(request, KEY).unwrap().outcome
}

fn deployed(plugin: &'static str) -> World {
    let world = World::new();
    world.deploy(Some(plugin));
    world
}

fn csv() -> Vec<Column> {
    vec![column("a", ColumnType::Int64)]
}

fn shape(world: &World) -> Shape {
    world.lock().tables[DATASET].shape.clone()
}

fn parked_with(code: &str) -> Outcome {
    Outcome::Parked { code: code.into() }
}

#[test]
fn rows_go_through_the_plugin_and_the_table_has_its_columns_and_remembers_those_of_the_csv() {
    let world = deployed("tags");
    world.put_and_tell(KEY, "one");
    let run = world.convert("r1", KEY).unwrap().runs.remove(0);
    assert_eq!(world.rows(), ["tags(one)"]);
    assert_eq!(
        shape(&world),
        Shape { columns: columns_by(Some("tags"), &csv()), source_columns: Some(csv()), ..Shape::default() }
    );
    let current = world.current(KEY).unwrap();
    assert_eq!(current.plugin_hash.as_deref(), Some(transform("tags").plugin_hash()));
    assert_eq!((run.report.plugin_hash, current.rows), (current.plugin_hash, 1));
    world.assert_sound();
}

#[test]
fn one_schema_a_dataset_the_second_object_is_read_by_the_columns_that_the_first_was() {
    let world = deployed("retypes");
    world.put_and_tell(KEY, "one");
    outcome(&world, "r1");
    // The table's own column is another; the engine insists on that of the CSV.
    assert_eq!(world.table_columns(), [column("a", ColumnType::String)]);
    world.put_and_tell(KEY, "two");
    assert!(matches!(outcome(&world, "r2"), Outcome::Committed { .. }));
    assert_eq!(world.rows(), ["retypes(two)"]);
    world.assert_sound();
}

#[test]
fn what_the_plugin_leaves_out_is_counted_and_makes_no_file() {
    let world = deployed("sieves");
    world.put_and_tell(KEY, "two with a reject");
    outcome(&world, "r1");
    let current = world.current(KEY).unwrap();
    assert_eq!((current.rows, current.filtered, current.rejected, current.files.len()), (0, 1, 1, 1));
    let told = world.lock().told[0].detail("l", "s");
    let rows = ["read", "kept", "filtered", "rejected"].map(|name| told["rows"][name].as_u64().unwrap());
    assert_eq!(rows, [2, 0, 1, 1]);
    world.assert_sound();
}

#[test]
fn a_plugin_that_fails_parks_its_object_with_its_code_and_leaves_nothing_and_the_others_alone() {
    let world = deployed("traps");
    world.put_and_tell("in/b.csv", "one");
    world.put_and_tell(KEY, "three");
    assert_eq!(outcome(&world, "r1"), parked_with("plugin_trapped"));
    let parked = world.parked(KEY).unwrap();
    assert!(parked.message.starts_with("in/a.csv: plugin traps stopped in lines 2 to 3"), "{}", parked.message);
    assert_eq!(parked.run.report.plugin_hash.as_deref(), Some(transform("traps").plugin_hash()));
    assert!(world.lock().uploads.is_empty());
    world.settle();
    assert_eq!(world.rows(), ["traps(one)"]);
    world.assert_sound();
}

#[test]
fn a_plugin_that_refuses_the_columns_parks_the_object_by_name_and_makes_no_table() {
    let world = deployed("refuses");
    world.put_and_tell(KEY, "one");
    assert_eq!(outcome(&world, "r1"), parked_with("plugin_refused"));
    assert_eq!(world.parked(KEY).unwrap().message, "in/a.csv: plugin refuses refuses the dataset: no");
    assert!(world.lock().tables.is_empty());
    world.assert_sound();
}

#[test]
fn a_plugin_that_cannot_be_fetched_is_tried_again() {
    let world = deployed("tags");
    world.put_and_tell(KEY, "one");
    world.convert("r0", KEY).unwrap();
    world.put_and_tell(KEY, "two");
    // Calls: marker, claim, three looks, table, the plugin.
    let error = world.convert_on(&world.process_with([(6, Fault::Unavailable)]), "r1", KEY).unwrap_err();
    assert!(!error.failure.permanent && error.failure.message.contains("transforms/"), "{error}");
    assert!(matches!(outcome(&world, "r1"), Outcome::Committed { .. }));
    world.assert_sound();
}

#[test]
fn bare_headers_and_empty_files_are_runs_of_no_rows_and_open_no_plugin() {
    for content in ["", "header"] {
        let world = deployed("refuses");
        world.put_and_tell(KEY, content);
        assert!(matches!(outcome(&world, "r1"), Outcome::Committed { .. }), "{content:?}");
        assert!(world.lock().tables.is_empty());
        world.assert_sound();
    }
}

#[test]
fn a_table_made_without_a_transform_is_read_by_its_columns_and_remembers_them() {
    let world = World::new();
    world.put_and_tell("in/b.csv", "one");
    world.settle();
    assert_eq!(shape(&world), Shape { columns: csv(), source_columns: None, ..Shape::default() });
    world.deploy(Some("tags"));
    // With another type, so that finding out again would show.
    world.put_and_tell(KEY, "two");
    assert!(matches!(outcome(&world, "r1"), Outcome::Committed { .. }));
    assert_eq!(
        shape(&world),
        Shape { columns: columns_by(Some("tags"), &csv()), source_columns: Some(csv()), ..Shape::default() }
    );
    assert_eq!(world.rows(), ["one", "tags(two)"]);
    world.assert_sound();
}

#[test]
fn a_table_that_somebody_made_beforehand_says_nothing_of_the_csv() {
    let world = deployed("retypes");
    let columns = vec![column("a", ColumnType::String)];
    let made =
        Table { shape: Shape { columns: columns.clone(), source_columns: None, ..Shape::default() }, version: None };
    world.lock().tables.insert(DATASET.into(), made);
    world.put_and_tell(KEY, "one");
    assert!(matches!(outcome(&world, "r1"), Outcome::Committed { .. }));
    assert_eq!(shape(&world), Shape { columns, source_columns: Some(csv()), ..Shape::default() });
    world.assert_sound();
}

#[test]
fn a_transform_that_is_taken_away_leaves_the_columns_of_the_csv_in_the_tables_memory() {
    let world = deployed("tags");
    world.put_and_tell("in/b.csv", "one");
    world.settle();
    world.deploy(None);
    world.put_and_tell(KEY, "two");
    assert!(matches!(outcome(&world, "r1"), Outcome::Committed { .. }));
    assert_eq!(
        shape(&world),
        Shape { columns: columns_by(Some("tags"), &csv()), source_columns: Some(csv()), ..Shape::default() }
    );
    assert_eq!(world.rows(), ["tags(one)", "two"]);
    assert_eq!(world.current(KEY).unwrap().plugin_hash, None);
    world.assert_sound();
}

#[test]
fn columns_of_another_type_than_the_tables_are_refused_and_nothing_changes() {
    let world = World::new();
    world.put_and_tell("in/b.csv", "one");
    world.settle();
    world.deploy(Some("retypes"));
    world.put_and_tell(KEY, "two");
    assert_eq!(outcome(&world, "r1"), parked_with("schema_conflict"));
    let message = world.parked(KEY).unwrap().message;
    assert!(message.contains("transform retypes") && message.contains("lake backfill flights"), "{message}");
    assert_eq!(shape(&world), Shape { columns: csv(), source_columns: None, ..Shape::default() });
    world.assert_sound();
}

#[test]
fn with_a_contract_the_plugin_is_opened_with_its_columns() {
    let world = deployed("tags");
    let mut manifest = world.manifest();
    let contract = vec![column("a", ColumnType::Int64), column("b", ColumnType::Date)];
    manifest.datasets[0].schema = Some(contract.clone());
    world.put_and_tell(KEY, "one");
    let (marker, invocation) = (Kind::Pending.key(DATASET, KEY), world.invocation("r1"));
    futures::executor::block_on(convert(&world.process(), &manifest, &invocation, &marker)).unwrap();
    let columns = columns_by(Some("tags"), &contract);
    assert_eq!(shape(&world), Shape { columns, source_columns: Some(contract), ..Shape::default() });
}

#[test]
fn an_attempt_left_unfinished_is_finished_with_its_plugins_columns_whatever_is_deployed_then() {
    for call in 0..40 {
        let world = deployed("tags");
        world.put_and_tell(KEY, "one");
        let _ = world.convert_on(&world.process_with([(call, Fault::DieAfter)]), "r1", KEY);
        world.deploy(None);
        world.settle();
        world.assert_sound();
        let made_by_plugin = world.current(KEY).unwrap().plugin_hash.is_some();
        let remembered = shape(&world).source_columns.is_some();
        assert!(remembered || !made_by_plugin, "call {call}: a table with the plugin's columns does not say so");
    }
}

#[test]
fn records_of_a_version_that_knew_no_plugins_are_read_as_made_without_one() {
    let world = World::new();
    world.put_and_tell("in/a.csv", "one");
    world.settle();
    let key = Kind::Commits.key(DATASET, "in/a.csv");
    let mut record: serde_json::Value = serde_json::from_slice(&world.lock().objects[&key].1).unwrap();
    let current = record["current"].as_object_mut().unwrap();
    assert!(current.remove("filtered").is_some() && !current.contains_key("plugin_hash"));
    let commit: Commit = parse(&key, record.to_string().as_bytes()).unwrap();
    assert_eq!(commit.current.unwrap().stale_for(&world.dataset()), None);
}

#[test]
fn a_transform_leaves_time_to_put_things_away_and_most_of_a_short_invocation_to_itself() {
    let started_at: jiff::Timestamp = "2025-01-02T03:04:05Z".parse().unwrap();
    let left = |seconds: i64| {
        let deadline = started_at + jiff::SignedDuration::from_secs(seconds);
        deadline.duration_since(Invocation::new("r", started_at, deadline, 128).work_ends_at()).as_secs()
    };
    assert_eq!((left(900), left(60), left(20), left(5)), (10, 10, 4, 1));
    assert_eq!(left(0), 0);
}
