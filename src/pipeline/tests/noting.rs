//! Intake.

use futures::executor::block_on;
use serde_json::json;

use super::world::*;
use crate::pipeline::{intake::intake, ledger::Kind};

#[test]
fn every_key_of_an_event_gets_a_marker_and_an_invocation() {
    let world = World::new();
    let event = event_of(&["in/a+b%2Bc.csv", "in/%C3%BC.csv", "in/x.csv", "in/x.csv"]);
    let noted = block_on(intake(&world.process(), &world.manifest(), RAW, &event)).unwrap();
    assert_eq!(noted.noted, ["in/a b+c.csv", "in/x.csv", "in/ü.csv"]);
    assert_eq!(world.markers().len(), 3);
    assert_eq!(world.lock().invoked.len(), 3);
    let marker = world.marker("in/a b+c.csv").unwrap();
    assert_eq!((marker.attempts, marker.claim), (0, None));
    assert_eq!(marker.event.unwrap().name, "ObjectCreated:Put");
}

#[test]
fn what_is_not_the_lakes_business_is_ignored_with_its_reason() {
    let world = World::new();
    let mut event = event_of(&["elsewhere/a.csv", "in/folder/", "in/b.csv", "in/c.csv"]);
    event["Records"][1]["s3"]["object"]["size"] = json!(0);
    event["Records"][2]["s3"]["bucket"]["name"] = json!("another");
    event["Records"][3]["eventName"] = json!("ObjectRemoved:Delete");
    let noted = block_on(intake(&world.process(), &world.manifest(), RAW, &event)).unwrap();
    assert!(noted.noted.is_empty());
    assert_eq!(noted.ignored.len(), 4);
    assert!(world.markers().is_empty());
}

#[test]
fn the_test_event_that_s3_sends_is_no_error() {
    let world = World::new();
    let event = json!({"Service": "Amazon S3", "Event": "s3:TestEvent", "Bucket": RAW});
    let noted = block_on(intake(&world.process(), &world.manifest(), RAW, &event)).unwrap();
    assert_eq!(noted.ignored.len(), 1);
}

#[test]
fn a_marker_that_cannot_be_written_fails_the_event_and_the_other_keys_are_noted() {
    let world = World::new();
    let process = world.process_with([(0, Fault::Unavailable)]);
    let error = block_on(intake(&process, &world.manifest(), RAW, &event_of(&["in/a.csv", "in/b.csv"]))).unwrap_err();
    assert_eq!(error.failures.len(), 1);
    assert_eq!(world.markers().len(), 1);
}

#[test]
fn an_invocation_that_fails_fails_the_event_after_the_marker_is_written() {
    let world = World::new();
    let process = world.process_with([(1, Fault::Unavailable)]);
    block_on(intake(&process, &world.manifest(), RAW, &event_of(&["in/a.csv"]))).unwrap_err();
    assert_eq!(world.markers(), [Kind::Pending.key(DATASET, "in/a.csv")]);
    assert!(world.lock().invoked.is_empty());
}

#[test]
fn a_record_that_cannot_be_read_fails_the_event_and_the_others_are_noted() {
    let world = World::new();
    let mut event = event_of(&["in/a.csv", "in/b.csv"]);
    event["Records"][0] = json!({"eventName": 7});
    block_on(intake(&world.process(), &world.manifest(), RAW, &event)).unwrap_err();
    assert_eq!(world.markers().len(), 1);
}
