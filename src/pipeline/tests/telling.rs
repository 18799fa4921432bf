//! Someone is told.

use serde_json::{Value, json};

use super::world::*;
use crate::executor::Report;
use crate::pipeline::{
    convert::ATTEMPTS_MAX,
    ledger::{Commit, Kind, Parked, Run, parse},
    metrics,
    telling::{JobState, Telling},
};

const KEY: &str = "in/a.csv";

#[test]
fn a_run_that_committed_is_told_of_once_with_its_counts() {
    let world = World::new();
    world.put_and_tell(KEY, "one with a reject");
    let run = world.convert("r1", KEY).unwrap().runs.remove(0);
    let told = world.lock().told.clone();
    assert_eq!(told, [Telling::of_run(&run)]);
    let detail = told[0].detail("l", "s");
    assert_eq!(detail["rows"], json!({"read": 2, "kept": 1, "filtered": 0, "rejected": 1, "exploded": 0}));
    assert_eq!((&detail["lake"], &detail["stack"], &detail["dataset"]), (&json!("l"), &json!("s"), &json!(DATASET)));
    assert_eq!((&detail["run"], &detail["source"]), (&json!(run.id), &json!(KEY)));
    assert_eq!((&detail["state"], detail.get("error")), (&json!("Succeeded"), None));
    let message = detail["message"].as_str().unwrap();
    assert!(message.starts_with("in/a.csv is in the table flights: 1 of 2 rows in "), "{message}");
    assert!(message.ends_with(&format!(", 1 rejected; run {}", run.id)), "{message}");
    world.tell(KEY);
    world.convert("r2", KEY).unwrap();
    assert_eq!(world.lock().told.len(), 1);
}

#[test]
fn what_a_transform_did_to_the_rows_is_told() {
    let world = World::new();
    world.put_and_tell(KEY, "one");
    let mut run = world.convert("r1", KEY).unwrap().runs.remove(0);
    let line = |run: &Run| serde_json::from_str::<Value>(&metrics::line("l", "s", run)).unwrap();
    assert!(!line(&run).to_string().contains("RowsFiltered"), "a metric costs money: none that is always 0");
    let plugin_hash = Some("0123456789abcdef".to_owned());
    run.report = Report { read: 10, kept: 6, exploded: 2, filtered: 3, rejected: 1, plugin_hash, ..run.report };
    let told = Telling::of_run(&run);
    let rows = json!({"read": 10, "kept": 6, "filtered": 3, "rejected": 1, "exploded": 2});
    assert_eq!(told.detail("l", "s")["rows"], rows);
    assert!(told.message.contains(": 6 of 10 rows as 8 in "), "{}", told.message);
    assert!(told.message.contains(", 3 filtered, 1 rejected; run "), "{}", told.message);
    let line = line(&run);
    assert_eq!((&line["RowsWritten"], &line["RowsFiltered"]), (&json!(8), &json!(3)));
    let declared = line["_aws"]["CloudWatchMetrics"][0]["Metrics"].as_array().unwrap();
    assert!(declared.contains(&json!({"Name": "RowsFiltered", "Unit": "Count"})));
}

#[test]
fn a_parked_object_is_told_of_once_with_code_and_message() {
    let world = World::new();
    world.put_and_tell(KEY, "bad");
    world.convert("r1", KEY).unwrap();
    world.tell(KEY);
    world.convert("r2", KEY).unwrap();
    let told = world.lock().told.clone();
    assert_eq!((told.len(), told[0].state), (1, JobState::Failed));
    let detail = told[0].detail("l", "s");
    assert_eq!(detail["error"], json!({"code": "not_csv", "message": "not a CSV file"}));
    let message = detail["message"].as_str().unwrap();
    let run = detail["run"].as_str().unwrap();
    assert!(message.ends_with(&format!("is set aside by run {run} (not_csv): not a CSV file")), "{message}");
    assert!(world.parked(KEY).unwrap().told);
}

#[test]
fn a_run_that_gave_up_is_told_of_even_if_it_was_killed_before_and_the_object_is_another_by_now() {
    for (next, calls) in ["one", "bad too"].into_iter().flat_map(|next| (0..24).map(move |calls| (next, calls))) {
        let world = World::new();
        world.put_and_tell(KEY, "bad");
        let _ = world.convert_on(&world.process_with([(calls, Fault::DieAfter)]), "r1", KEY);
        world.put_and_tell(KEY, next);
        world.settle();
        world.assert_sound();
    }
}

#[test]
fn a_message_is_one_short_line_that_may_stand_inside_any_quotation() {
    let told = Telling::of_failed_crawl(DATASET, CRAWLER, &format!("a \"b\"\n\\c{}", "x".repeat(5_000)));
    assert!(told.message.contains("a 'b' /cx"), "{}", told.message);
    assert!(told.message.chars().count() <= 1_001);
    let detail = told.detail("l", "s");
    assert_eq!((&detail["crawler"], detail.get("run")), (&json!(CRAWLER), None));
    assert!(detail.to_string().len() < 4_000);
}

#[test]
fn a_decided_run_is_never_parked_because_nobody_can_be_told() {
    let world = World::new();
    world.put_and_tell(KEY, "one");
    let process = world.process();
    world.convert_on(&process, "r0", KEY).unwrap();
    let calls = process.calls();
    let world = World::new();
    world.put_and_tell(KEY, "one");
    // The call before the last two: PutEvents, then the record, then the marker.
    let failure = world.convert_on(&world.process_with([(calls - 3, Fault::Unavailable)]), "r1", KEY).unwrap_err();
    assert_eq!(failure.failure.code, "unfinished");
    assert!(failure.failure.message.contains("PutEvents"), "{}", failure.failure.message);
    for attempt in 1..ATTEMPTS_MAX + 3 {
        // Marker, claim, three looks, completing, table, report, telling.
        let process = world.process_with((5..40).map(|call| (call, Fault::Unavailable)));
        world.convert_on(&process, &format!("again-{attempt}"), KEY).unwrap_err();
        world.advance(jiff::SignedDuration::from_mins(20));
        assert!(world.parked(KEY).is_none(), "attempt {attempt}");
    }
    world.run_invoked();
    world.convert("r9", KEY).unwrap();
    world.assert_sound();
    assert_eq!(world.rows(), ["one"]);
}

#[test]
fn records_of_a_version_that_told_nobody_count_as_told() {
    let world = World::new();
    world.put_and_tell(KEY, "bad");
    world.convert("r1", KEY).unwrap();
    world.put_and_tell("in/b.csv", "one");
    world.convert("r2", "in/b.csv").unwrap();
    let without_told = |record: &str, inside: Option<&str>| {
        let body = world.lock().objects[record].1.clone();
        let mut value: Value = serde_json::from_slice(&body).unwrap();
        let target = match inside {
            Some(field) => &mut value[field],
            None => &mut value,
        };
        target.as_object_mut().unwrap().remove("told").unwrap();
        value.to_string()
    };
    let parked: Parked = parse("", without_told(&Kind::Parked.key(DATASET, KEY), None).as_bytes()).unwrap();
    assert!(parked.told);
    let commit = without_told(&Kind::Commits.key(DATASET, "in/b.csv"), Some("current"));
    assert!(parse::<Commit>("", commit.as_bytes()).unwrap().current.unwrap().told);
}
