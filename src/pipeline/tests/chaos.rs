//! Everything at once: several invocations interleaved call by call, with faults, newer versions, deletions and
//! events told twice. Whatever the order, the promises hold once it is quiet.

use std::{
    future::Future,
    pin::Pin,
    task::{Context, Waker},
};

use futures::executor::block_on;
use proptest::prelude::*;

use super::world::*;
use crate::pipeline::{convert::convert, ledger::Kind};

type Task = Pin<Box<dyn Future<Output = ()>>>;

const KEYS: [&str; 2] = ["in/a.csv", "in/b.csv"];

#[derive(Debug, Clone)]
enum Happening {
    /// A new version lands; S3 has not told yet.
    Upload { key: usize, content: usize },
    /// It is deleted.
    Delete { key: usize },
    /// S3 tells of a key, perhaps again.
    Tell { key: usize },
    /// Lambda starts what was invoked first; it may meet a fault.
    Start { fault: Option<(usize, Fault)> },
    /// Somebody drives a key although nobody was invoked.
    Drive { key: usize, fault: Option<(usize, Fault)> },
    /// One of the running invocations gets on by some calls.
    Step { task: usize, calls: usize },
    /// One of them is killed.
    Kill { task: usize },
    /// Time passes: claims die.
    Wait,
    /// An apply: the dataset has another plugin, or none. Who converts at the moment has the one before.
    Deploy { plugin: Option<&'static str> },
    /// An apply: the dataset is partitioned otherwise.
    Repartition { by: &'static [&'static str] },
    /// Somebody has all that is stale converted again.
    Backfill,
}

fn fault() -> impl Strategy<Value = Option<(usize, Fault)>> {
    let kinds = prop::sample::select(vec![
        Fault::DieBefore,
        Fault::DieAfter,
        Fault::Unavailable,
        Fault::AnswerLost,
        Fault::MeetsItself,
        Fault::Conflict,
    ]);
    prop::option::weighted(0.4, (0_usize..24, kinds))
}

fn happening() -> impl Strategy<Value = Happening> {
    prop_oneof![
        3 => (0..2_usize, 0..CONTENTS.len()).prop_map(|(key, content)| Happening::Upload { key, content }),
        1 => (0..2_usize).prop_map(|key| Happening::Delete { key }),
        3 => (0..2_usize).prop_map(|key| Happening::Tell { key }),
        4 => fault().prop_map(|fault| Happening::Start { fault }),
        2 => (0..2_usize, fault()).prop_map(|(key, fault)| Happening::Drive { key, fault }),
        12 => (0..4_usize, 1..12_usize).prop_map(|(task, calls)| Happening::Step { task, calls }),
        1 => (0..4_usize).prop_map(|task| Happening::Kill { task }),
        1 => Just(Happening::Wait),
    ]
}

/// The same, with plugins that come, go and fail.
fn happening_with_plugins() -> impl Strategy<Value = Happening> {
    let plugins = prop::option::weighted(0.8, prop::sample::select(PLUGINS.to_vec()));
    prop_oneof![
        12 => happening(),
        2 => plugins.prop_map(|plugin| Happening::Deploy { plugin }),
        1 => prop::sample::select(PARTITIONS.to_vec()).prop_map(|by| Happening::Repartition { by }),
        1 => Just(Happening::Backfill),
    ]
}

const PARTITIONS: [&[&str]; 3] = [&[], &["kind"], &["kind", "other"]];

const CONTENTS: [&str; 8] =
    ["one", "two with a reject", "bad", "", "three", "four with b", "five with b as text", "two with c and b"];

fn start(world: &World, marker: String, number: usize, fault: Option<(usize, Fault)>) -> Task {
    let (world, process) = (world.clone(), world.process_with(fault));
    Box::pin(async move {
        let invocation = world.invocation(&format!("request-{number}"));
        if convert(&process, &world.manifest(), &invocation, &marker).await.is_err() {
            world.lock().invoked.push_back(marker); // Lambda tries again.
        }
    })
}

/// Plays it, and tells which keys S3 has told of since their last version.
fn play(world: &World, happenings: &[Happening]) -> [bool; 2] {
    let mut told = [true; 2];
    let mut tasks: Vec<(String, Task)> = Vec::new();
    let mut versions = 0;
    for (number, happening) in happenings.iter().enumerate() {
        match *happening {
            Happening::Upload { key, content } => {
                versions += 1;
                let (content, tag) = (CONTENTS[content], format!(" v{versions}"));
                let content = if content.is_empty() { String::new() } else { format!("{content}{tag}") };
                world.upload(KEYS[key], &content);
                told[key] = false;
            }
            Happening::Delete { key } => world.delete(KEYS[key]),
            Happening::Tell { key } => {
                world.tell(KEYS[key]);
                told[key] = true;
            }
            Happening::Start { fault } => {
                let next = world.lock().invoked.pop_front();
                tasks.extend(next.map(|marker| (marker.clone(), start(world, marker, number, fault))));
            }
            Happening::Drive { key, fault } => {
                let marker = Kind::Pending.key(DATASET, KEYS[key]);
                tasks.push((marker.clone(), start(world, marker, number, fault)));
            }
            Happening::Step { task, calls } if !tasks.is_empty() => {
                let task = task % tasks.len();
                let mut context = Context::from_waker(Waker::noop());
                if (0..calls).any(|_| tasks[task].1.as_mut().poll(&mut context).is_ready()) {
                    drop(tasks.remove(task));
                }
            }
            Happening::Kill { task } if !tasks.is_empty() => {
                let (marker, killed) = tasks.remove(task % tasks.len());
                drop(killed);
                world.lock().invoked.push_back(marker); // Lambda tries again.
            }
            Happening::Wait => world.advance(jiff::SignedDuration::from_mins(20)),
            Happening::Deploy { plugin } => world.deploy(plugin),
            Happening::Repartition { by } => world.repartition(by),
            Happening::Backfill => drop(world.backfill()),
            Happening::Step { .. } | Happening::Kill { .. } => {}
        }
    }
    tasks.into_iter().for_each(|(_, task)| block_on(task));
    told
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 2_000, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn whatever_interleaves_and_breaks_no_object_is_lost_and_each_is_committed_once(
        happenings in prop::collection::vec(happening(), 1..60)
    ) {
        let world = World::new();
        let told = play(&world, &happenings);
        // S3 tells of every version at least once, however late.
        for (key, told) in KEYS.iter().zip(told) {
            if !told {
                world.tell(key);
            }
        }
        world.settle();
        world.assert_sound();
    }
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 1_500, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn plugins_and_partitions_may_change_and_a_backfill_makes_all_of_it_of_the_last(
        plugin in prop::option::weighted(0.8, prop::sample::select(PLUGINS.to_vec())),
        by in prop::sample::select(PARTITIONS.to_vec()),
        happenings in prop::collection::vec(happening_with_plugins(), 1..60)
    ) {
        let world = World::new();
        world.deploy(plugin);
        world.repartition(by);
        let told = play(&world, &happenings);
        for (key, told) in KEYS.iter().zip(told) {
            if !told {
                world.tell(key);
            }
        }
        world.settle();
        world.assert_sound();
        world.deploy(Some("marks"));
        // An object that comes now shows whether the columns are those of another plugin still.
        world.put_and_tell("in/last.csv", "last");
        world.settle();
        world.backfill();
        world.settle();
        world.assert_sound();
        world.assert_current();
        world.assert_parted();
    }
}

#[test]
fn two_conversions_at_once_commit_once_at_every_interleaving() {
    for first in 1..40 {
        for second in 1..40 {
            let world = World::new();
            world.put_and_tell(KEYS[0], "one with a reject");
            let marker = Kind::Pending.key(DATASET, KEYS[0]);
            let mut one = start(&world, marker.clone(), 1, None);
            let mut context = Context::from_waker(Waker::noop());
            let mut finished = (0..first).any(|_| one.as_mut().poll(&mut context).is_ready());
            // The event is told again, which frees the marker, and a second invocation takes it.
            world.tell(KEYS[0]);
            let mut two = start(&world, marker, 2, None);
            let ended = (0..second).any(|_| two.as_mut().poll(&mut context).is_ready());
            if !finished {
                finished = true;
                block_on(one);
            }
            if !ended {
                block_on(two);
            }
            assert!(finished);
            world.settle();
            world.assert_sound();
            assert_eq!(world.lock().commits_decided, 1, "after {first} and {second} calls");
            assert!(world.lock().uploads.is_empty(), "uploads of the loser are left: {first}, {second}");
        }
    }
}

#[test]
fn an_object_overwritten_while_it_is_converted_ends_up_in_its_newest_version() {
    for (calls, content) in (1..40).flat_map(|calls| [(calls, "one"), (calls, "bad")]) {
        let world = World::new();
        world.put_and_tell(KEYS[0], content);
        let mut task = start(&world, Kind::Pending.key(DATASET, KEYS[0]), 1, None);
        let mut context = Context::from_waker(Waker::noop());
        let ended = (0..calls).any(|_| task.as_mut().poll(&mut context).is_ready());
        world.put_and_tell(KEYS[0], "two");
        if !ended {
            block_on(task);
        }
        world.settle();
        world.assert_sound();
        assert_eq!(world.rows(), ["two"], "overwritten after {calls} calls");
    }
}
