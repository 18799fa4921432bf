//! Converting again what was made by another configuration or plugin.

use std::{
    future::Future,
    task::{Context, Waker},
};

use futures::executor::block_on;
use jiff::SignedDuration;

use super::world::*;
use crate::{
    dataset::ColumnType,
    pipeline::{
        backfill::{self, Action, ColumnChange, Standing},
        convert::{Outcome, convert},
        ledger::{Kind, Origin, Staleness, take},
        ports::CrawlStatus,
        retry::{Selection, retry},
        sweep::GRACE_SECONDS,
    },
};

const KEY: &str = "in/a.csv";
const OTHER: &str = "in/b.csv";
const BY_PLUGIN: Staleness = Staleness { config: true, plugin: true };

/// Two objects, committed without a plugin, or with one.
fn committed(world: World, plugin: Option<&'static str>) -> World {
    world.deploy(plugin);
    world.put_and_tell(KEY, "one");
    world.put_and_tell(OTHER, "two with a reject");
    world.settle();
    world
}

fn standing(world: &World, key: &str) -> Standing {
    block_on(backfill::standing(&world.process(), &world.dataset(), key)).unwrap()
}

#[test]
fn a_plan_names_what_other_plugins_have_made_and_why() {
    let world = committed(World::new(), Some("tags"));
    let plan = world.plan();
    assert_eq!((plan.committed, plan.keys().len()), (2, 0));
    world.deploy(Some("marks"));
    let plan = world.plan();
    assert_eq!((plan.committed, plan.by_plugin(), plan.by_config()), (2, 2, 0));
    assert_eq!(plan.keys(), [KEY, OTHER]);
    assert_eq!(plan.stale[0].staleness, Staleness { config: false, plugin: true });
    assert_eq!(plan.stale[0].current.plugin_hash.as_deref(), Some(transform("tags").plugin_hash()));
    world.deploy(None);
    assert_eq!(world.plan().stale[0].staleness, BY_PLUGIN, "a transform is part of the configuration, too");
}

#[test]
fn a_backfill_converts_each_stale_object_once_and_leaves_nothing_of_the_old() {
    let world = committed(World::new(), None);
    world.deploy(Some("tags"));
    let driven = world.backfill();
    assert!(driven.iter().all(|driven| driven.action == Action::Invoked), "{driven:?}");
    assert_eq!(world.marker(KEY).unwrap().origin, Origin::Backfill);
    assert_eq!(standing(&world, KEY), Standing::Waiting);
    world.settle();
    assert_eq!(world.rows(), ["tags(one)", "tags(two with a reject)"]);
    assert!(matches!(standing(&world, KEY), Standing::Done(current) if current.generation == 2));
    assert_eq!(world.lock().commits_decided, 4);
    assert_eq!(world.plan().keys(), [""; 0]);
    world.assert_sound();
    world.assert_current();
}

#[test]
fn an_event_or_a_retry_that_nothing_has_changed_for_converts_nothing_again() {
    let world = committed(World::new(), Some("tags"));
    world.tell(KEY);
    assert_eq!(world.convert("r1", KEY).unwrap().outcome, Outcome::AlreadyCommitted);
    let keys = Selection::Keys(vec![KEY.into()]);
    block_on(retry(&world.process(), DATASET, &keys)).unwrap();
    assert_eq!(world.convert("r2", KEY).unwrap().outcome, Outcome::AlreadyCommitted);
    world.deploy(Some("marks"));
    world.tell(KEY);
    assert_eq!(world.convert("r3", KEY).unwrap().outcome, Outcome::AlreadyCommitted, "an event asks for no other");
    block_on(retry(&world.process(), DATASET, &keys)).unwrap();
    assert!(matches!(world.convert("r4", KEY).unwrap().outcome, Outcome::Committed { .. }));
    assert_eq!(world.rows(), ["marks(one)", "tags(two with a reject)"]);
}

#[test]
fn a_backfill_replaces_columns_of_another_type_and_new_objects_go_on_with_them() {
    let world = committed(World::new(), None);
    world.deploy(Some("retypes"));
    world.put_and_tell("in/c.csv", "three");
    world.settle();
    assert_eq!(world.parked("in/c.csv").unwrap().code, "schema_conflict");
    let plan = world.plan();
    assert_eq!(
        (plan.conflicting.as_slice(), plan.column_change()),
        (&["in/c.csv".to_owned()][..], ColumnChange::Allowed)
    );
    world.backfill();
    world.settle();
    assert_eq!(world.table_columns(), [column("a", ColumnType::String)]);
    assert_eq!(world.rows(), ["retypes(one)", "retypes(three)", "retypes(two with a reject)"]);
    assert!(world.parked("in/c.csv").is_none());
    world.assert_sound();
    world.assert_current();
}

#[test]
fn columns_that_the_new_plugin_does_not_make_are_gone_from_the_table() {
    let world = committed(World::new(), Some("tags"));
    world.deploy(Some("sieves"));
    world.backfill();
    world.settle();
    assert_eq!(world.table_columns(), [column("a", ColumnType::Int64)]);
    world.assert_current();
}

#[test]
fn without_leave_to_replace_columns_they_stay_and_what_does_not_fit_is_parked() {
    let world = committed(World::new(), None);
    world.deploy(Some("retypes"));
    let (dataset, keys) = (world.dataset(), world.plan().keys());
    block_on(backfill::drive(&world.process(), &dataset, &keys, ColumnChange::Refused, |_| {}));
    world.settle();
    assert!(matches!(standing(&world, KEY), Standing::Parked { code, .. } if code == "schema_conflict"));
    assert_eq!(world.table_columns(), [column("a", ColumnType::Int64)]);
    assert_eq!(world.rows(), ["one", "two with a reject"], "what is committed stays");
    world.assert_sound();
    world.backfill();
    world.settle();
    assert!(matches!(standing(&world, KEY), Standing::Done(_)));
    world.assert_sound();
}

#[test]
fn a_plugin_that_fails_on_every_object_leaves_the_tables_columns_alone() {
    let world = World::new();
    world.put_and_tell(KEY, "three");
    world.settle();
    world.deploy(Some("traps"));
    world.backfill();
    world.settle();
    assert!(matches!(standing(&world, KEY), Standing::Parked { code, .. } if code == "plugin_trapped"));
    assert_eq!(world.table_columns(), [column("a", ColumnType::Int64)]);
    assert_eq!(world.rows(), ["three"]);
    world.assert_sound();
}

#[test]
fn a_function_that_has_another_plugin_than_the_backfill_was_asked_for_replaces_no_columns() {
    let world = committed(World::new(), Some("tags"));
    world.deploy(Some("marks"));
    world.backfill();
    world.deploy(Some("retypes"));
    world.settle();
    assert_eq!(world.table_columns(), columns_by(Some("tags"), &[column("a", ColumnType::Int64)]));
    assert_eq!(world.rows(), ["tags(one)", "tags(two with a reject)"]);
    world.backfill();
    world.settle();
    world.assert_current();
    world.assert_sound();
}

#[test]
fn an_object_that_is_gone_is_told_and_its_rows_stay() {
    let world = committed(World::new(), None);
    world.delete(KEY);
    world.deploy(Some("tags"));
    let plan = world.plan();
    assert_eq!(plan.gone.iter().map(|stale| stale.key.as_str()).collect::<Vec<_>>(), [KEY]);
    assert_eq!((plan.keys().as_slice(), plan.by_plugin()), (&[OTHER.to_owned()][..], 2));
    assert_eq!(plan.column_change(), ColumnChange::Refused);
    world.backfill();
    world.settle();
    assert_eq!(standing(&world, KEY), Standing::Gone);
    assert_eq!(world.rows(), ["one", "tags(two with a reject)"]);
}

#[test]
fn what_somebody_works_on_is_left_and_what_waits_is_asked_for_in_its_place() {
    let world = committed(World::new(), None);
    world.deploy(Some("tags"));
    world.tell(KEY);
    world.tell(OTHER);
    let held = world.invocation("r1");
    block_on(take(&world.process(), &Kind::Pending.key(DATASET, KEY), &held, |_| true)).unwrap();
    let driven = world.backfill();
    assert_eq!(driven[0].action, Action::InProgress { until: held.deadline });
    assert_eq!(driven[1].action, Action::Invoked);
    assert_eq!(standing(&world, KEY), Standing::Converting);
    let marker = world.marker(OTHER).unwrap();
    assert!(marker.origin == Origin::Backfill && marker.event.is_some());
    // A retry of what waits for a backfill asks for no less.
    block_on(retry(&world.process(), DATASET, &Selection::Keys(vec![OTHER.into()]))).unwrap();
    assert_eq!(world.marker(OTHER).unwrap().columns_of, Some(world.dataset().version()));
    world.settle();
    assert_eq!(standing(&world, KEY), Standing::Stale);
    assert!(matches!(standing(&world, OTHER), Standing::Done(_)));
    world.assert_sound();
}

#[test]
fn a_drive_that_breaks_somewhere_is_made_good_by_the_next_or_by_the_sweep() {
    for (call, fault) in (0..10).flat_map(|call| {
        [Fault::DieBefore, Fault::DieAfter, Fault::Unavailable, Fault::AnswerLost, Fault::MeetsItself, Fault::Conflict]
            .map(|fault| (call, fault))
    }) {
        let world = committed(World::new(), None);
        world.deploy(Some("retypes"));
        let (dataset, keys) = (world.dataset(), world.plan().keys());
        let broken = world.process_with([(call, fault)]);
        let driven = block_on(backfill::drive(&broken, &dataset, &keys, ColumnChange::Allowed, |_| {}));
        assert_eq!(driven.len(), 2);
        world.settle();
        world.backfill();
        world.settle();
        world.assert_sound();
        world.assert_current();
        assert_eq!(world.plan().keys(), [""; 0], "{fault:?} at call {call}");
    }
}

#[test]
fn a_conversion_that_replaces_columns_converges_after_any_fault_at_any_call() {
    for (call, fault) in (0..40).flat_map(|call| {
        [Fault::DieBefore, Fault::DieAfter, Fault::Unavailable, Fault::AnswerLost, Fault::MeetsItself, Fault::Conflict]
            .map(|fault| (call, fault))
    }) {
        let world = committed(World::new(), None);
        world.deploy(Some("retypes"));
        world.backfill();
        let _ = world.convert_on(&world.process_with([(call, fault)]), "r1", KEY);
        world.settle();
        assert_eq!(world.rows(), ["retypes(one)", "retypes(two with a reject)"], "{fault:?} at call {call}");
        world.assert_sound();
        world.assert_current();
    }
}

#[test]
fn a_table_that_changes_while_its_columns_are_to_be_replaced_is_looked_at_again_and_no_upload_is_left() {
    let mut again = 0;
    for calls in 1..30 {
        let world = committed(World::new(), None);
        world.deploy(Some("retypes"));
        world.backfill();
        let (process, manifest) = (world.process(), world.manifest());
        let (invocation, marker) = (world.invocation("r1"), Kind::Pending.key(DATASET, KEY));
        let mut task = Box::pin(convert(&process, &manifest, &invocation, &marker));
        let mut context = Context::from_waker(Waker::noop());
        if (0..calls).any(|_| task.as_mut().poll(&mut context).is_ready()) {
            break;
        }
        let conversions = world.lock().conversions;
        world.lock().tables.get_mut(DATASET).unwrap().version = Some(format!("changed after {calls} calls"));
        block_on(task).unwrap();
        again += u32::from(world.lock().conversions > conversions + 1);
        assert!(world.lock().uploads.is_empty(), "changed after {calls} calls");
        world.settle();
        assert_eq!(world.rows(), ["retypes(one)", "retypes(two with a reject)"]);
        world.assert_sound();
        world.assert_current();
    }
    assert!(again > 0, "at no call was the table missed");
}

#[test]
fn objects_that_come_while_a_backfill_goes_on_are_converted_with_it() {
    let world = committed(World::new(), None);
    world.deploy(Some("retypes"));
    world.backfill();
    let _ = world.convert("r1", KEY);
    world.put_and_tell("in/c.csv", "three");
    world.put_and_tell(OTHER, "two anew");
    world.settle();
    assert_eq!(world.rows(), ["retypes(one)", "retypes(three)", "retypes(two anew)"]);
    world.assert_sound();
    world.assert_current();
}

#[test]
fn with_a_crawler_a_backfill_needs_no_crawl_and_the_sweep_drives_it_without_one() {
    let world = committed(World::crawled(), None);
    let crawls = world.crawls();
    world.deploy(Some("tags"));
    world.backfill();
    world.run_invoked();
    assert_eq!(world.rows(), ["tags(one)", "tags(two with a reject)"]);
    assert_eq!(world.crawls(), crawls);
    world.deploy(Some("marks"));
    world.backfill();
    world.lock().invoked.clear();
    assert_eq!(world.sweep().redriven, 0, "it was told a moment ago");
    world.advance(SignedDuration::from_secs(GRACE_SECONDS + 1));
    assert_eq!(world.sweep().redriven, 2);
    world.run_invoked();
    assert_eq!(world.rows(), ["marks(one)", "marks(two with a reject)"]);
    assert_eq!(world.crawls(), crawls);
    world.assert_sound();
}

#[test]
fn with_a_crawler_a_newer_version_that_a_backfill_finds_is_crawled_first() {
    let world = committed(World::crawled(), None);
    let crawls = world.crawls();
    world.deploy(Some("tags"));
    world.backfill();
    world.upload(KEY, "one anew");
    assert_eq!(world.convert("r1", KEY).unwrap().outcome, Outcome::AwaitsCrawl);
    assert_eq!(world.crawls(), crawls + 1);
    world.crawl_ends(CrawlStatus::Succeeded);
    world.settle();
    assert_eq!(world.rows(), ["tags(one anew)", "tags(two with a reject)"]);
    world.assert_sound();
}
