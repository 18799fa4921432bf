//! What was left behind.

use futures::executor::block_on;
use jiff::SignedDuration;
use serde_json::Value;

use super::world::*;
use crate::{
    dataset::{Dataset, Manifest},
    pipeline::{
        Invocation,
        ledger::{self, Kind, Origin, Parked, take},
        metrics,
        ports::CrawlStatus,
        sweep::{GRACE_SECONDS, Swept, sweep},
    },
};

const KEY: &str = "in/a.csv";

fn grace() -> SignedDuration {
    SignedDuration::from_secs(GRACE_SECONDS + 1)
}

fn invoked(world: &World) -> usize {
    world.lock().invoked.len()
}

#[test]
fn a_marker_is_driven_once_a_grace_and_not_while_it_is_recent_or_claimed() {
    let world = World::new();
    world.put_and_tell(KEY, "one");
    world.lock().invoked.clear();
    assert_eq!(world.sweep().redriven, 0);
    world.advance(grace());
    let swept = world.sweep();
    assert_eq!((swept.pending, swept.redriven, swept.found), (1, 1, 0));
    assert!(swept.oldest_pending_seconds > GRACE_SECONDS.unsigned_abs());
    assert_eq!(world.sweep().redriven, 0, "driven a moment ago");
    let (marker, claim) = (Kind::Pending.key(DATASET, KEY), world.invocation("r1"));
    block_on(take(&world.process(), &marker, &claim, |_| true)).unwrap();
    world.advance(grace());
    assert_eq!(world.sweep().redriven, 0, "claimed");
    world.advance(SignedDuration::from_mins(20));
    assert_eq!(world.sweep().redriven, 1, "the claim is dead");
    world.run_invoked();
    world.assert_sound();
}

#[test]
fn an_object_whose_event_never_came_is_found_by_its_tag_and_only_once() {
    let world = World::new();
    world.put_and_tell("in/known.csv", "one");
    world.put_and_tell("in/parked.csv", "bad");
    world.run_invoked();
    world.upload(KEY, "two");
    world.upload("in/known.csv", "three");
    world.upload("in/folder/", "");
    world.upload("elsewhere/x.csv", "four");
    let swept = world.sweep();
    assert_eq!((swept.found, swept.redriven, invoked(&world)), (2, 0, 2));
    assert_eq!(world.marker(KEY).unwrap().origin, Origin::Sweep);
    assert_eq!(world.sweep().found, 0);
    world.run_invoked();
    world.delete("in/folder/");
    world.delete("elsewhere/x.csv");
    world.assert_sound();
    assert_eq!(world.sweep(), Swept { datasets: vec![DATASET.into()], ..Swept::default() });
}

#[test]
fn a_marker_of_an_event_is_never_overwritten_by_the_sweep() {
    let world = World::new();
    world.put_and_tell(KEY, "one");
    let before = world.marker(KEY);
    world.sweep();
    assert_eq!(world.marker(KEY), before);
}

#[test]
fn with_a_crawler_what_is_found_is_crawled_first() {
    let world = World::crawled();
    world.upload(KEY, "one");
    world.upload("in/b.csv", "two");
    assert_eq!(world.sweep().found, 2);
    assert_eq!((world.crawls(), invoked(&world)), (1, 0));
    world.run_invoked();
    assert_eq!(world.rows(), ["one", "two"]);
    world.assert_sound();
}

#[test]
fn a_success_that_was_never_told_is_noticed() {
    let world = World::crawled();
    world.put_and_tell(KEY, "one");
    world.put_and_tell("in/b.csv", "two");
    world.crawl_ends(CrawlStatus::Succeeded);
    world.lock().crawler.ends.clear();
    assert_eq!(world.sweep().redriven, 0, "Glue may tell yet");
    world.advance(grace());
    assert_eq!(world.sweep().redriven, 2);
    assert_eq!((world.crawls(), invoked(&world)), (2, 1));
    world.run_invoked();
    world.assert_sound();
}

#[test]
fn a_decision_that_nobody_carries_out_is_driven_to_its_end_whether_its_object_is_there_or_gone() {
    for gone in [false, true] {
        for calls in 0..40 {
            let world = World::new();
            world.put_and_tell(KEY, "one");
            let _ = world.convert_on(&world.process_with([(calls, Fault::DieAfter)]), "r1", KEY);
            // Its marker is lost: a newer event's conversion cleared it before this one decided.
            let marker = Kind::Pending.key(DATASET, KEY);
            world.lock().objects.remove(&marker);
            world.lock().invoked.clear();
            if gone {
                world.delete(KEY);
            }
            let is_decided = world.commit(KEY).is_some_and(|commit| commit.attempt.is_some());
            let early = world.sweep();
            assert_eq!(early.redriven, 0, "whoever decided it may be finishing it");
            world.advance(grace());
            let swept = world.sweep();
            if is_decided {
                assert_eq!((early.found, swept.redriven), (0, 1), "{calls} calls, gone: {gone}");
            }
            world.settle();
            world.assert_sound();
        }
    }
}

#[test]
fn a_parked_object_that_nobody_was_told_of_is_told_of_after_a_grace() {
    let world = World::new();
    world.put_and_tell(KEY, "bad");
    world.run_invoked();
    let record = Kind::Parked.key(DATASET, KEY);
    let untold = Parked { told: false, ..world.parked(KEY).unwrap() };
    world.lock().objects.get_mut(&record).unwrap().1 = ledger::body(&untold);
    world.lock().told.clear();
    assert_eq!(world.sweep().told, 0);
    world.advance(grace());
    assert_eq!(world.sweep().told, 1);
    assert_eq!(world.sweep().told, 0);
    assert_eq!(world.lock().told.len(), 1);
    assert!(world.parked(KEY).unwrap().told);
}

#[test]
fn a_lake_larger_than_a_page_is_compared_from_any_place_on_and_around() {
    let world = World::new();
    for object in 0..2_500 {
        world.upload(&format!("in/{object:04}.csv"), "one");
    }
    for object in [0, 700, 2_499] {
        let key = format!("in/{object:04}.csv");
        world.tell(&key);
        world.run_invoked();
    }
    // Wherever it begins, it finds each object once.
    assert_eq!(world.sweep().found, 2_497);
    assert_eq!(world.markers().len(), 2_497);
    for _ in 0..5 {
        let swept = world.sweep();
        assert_eq!((swept.found, swept.pending), (0, 2_497));
    }
}

fn manifest_of(names: &[&str]) -> Manifest {
    Manifest::new(names.iter().map(|name| Dataset::new(*name, format!("{name}/"))).collect())
}

#[test]
fn it_stops_in_time_and_says_where_and_begins_elsewhere_the_next_time() {
    let world = World::new();
    let manifest = manifest_of(&["a", "b", "c", "d"]);
    let now = world.lock().now;
    let over = Invocation::new("r", now, now, 128);
    let mut stops = std::collections::BTreeSet::new();
    for _ in 0..200 {
        let swept = block_on(sweep(&world.process(), &manifest, &Invocation::new("r", now, now, 128)));
        assert!(swept.datasets.is_empty());
        stops.extend(swept.stopped_at);
    }
    assert_eq!(stops.len(), 4, "each of the datasets comes first at times: {stops:?}");
    assert!(block_on(sweep(&world.process(), &manifest_of(&[]), &over)).failures.is_empty());
}

#[test]
fn what_fails_in_one_dataset_keeps_no_other_from_being_swept() {
    let world = World::new();
    for name in ["a", "b"] {
        world.upload(&format!("{name}/x.csv"), "one");
    }
    let manifest = manifest_of(&["a", "b"]);
    for call in 0..6 {
        let process = world.process_with([(call, Fault::Unavailable)]);
        let swept = block_on(sweep(&process, &manifest, &world.invocation("r")));
        assert_eq!(swept.failures.len(), 1, "call {call}");
    }
    let swept = block_on(sweep(&world.process(), &manifest, &world.invocation("r")));
    assert_eq!(swept.failures, [""; 0]);
    assert_eq!(world.markers().len(), 2);
}

#[test]
fn its_metrics_are_one_line_in_the_embedded_metric_format() {
    let swept = Swept { pending: 7, oldest_pending_seconds: 900, redriven: 3, found: 1, ..Swept::default() };
    let line = metrics::sweep_line("l", "s", &swept, "2025-01-02T03:04:05Z".parse().unwrap());
    assert!(!line.contains('\n'));
    let line: Value = serde_json::from_str(&line).unwrap();
    let declared = &line["_aws"]["CloudWatchMetrics"][0];
    assert_eq!(declared["Namespace"], metrics::NAMESPACE);
    assert_eq!(declared["Dimensions"], serde_json::json!([["lake", "stack"]]));
    for (metric, value) in declared["Metrics"].as_array().unwrap().iter().zip([7, 900, 3, 1]) {
        assert_eq!(line[metric["Name"].as_str().unwrap()], value);
    }
}
