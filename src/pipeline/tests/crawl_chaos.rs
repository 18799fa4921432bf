//! Everything at once, with a crawler: events of S3 and of Glue that come twice, late or never, intakes, listeners,
//! conversions and sweeps interleaved call by call, with faults.

use std::{
    future::Future,
    pin::Pin,
    task::{Context, Waker},
};

use futures::executor::block_on;
use proptest::prelude::*;

use super::world::*;
use crate::pipeline::{
    convert::convert,
    crawl::{CrawlEnd, heard},
    intake::intake,
    ledger::Kind,
    ports::CrawlStatus,
    sweep::sweep,
};

type Task = Pin<Box<dyn Future<Output = ()>>>;

const KEYS: [&str; 3] = ["in/a.csv", "in/b.csv", "in/c.csv"];
const CONTENTS: [&str; 5] = ["one", "two with a reject", "bad", "", "three"];

#[derive(Debug, Clone)]
enum Happening {
    /// A new version lands.
    Upload { key: usize, content: usize },
    /// It is deleted.
    Delete { key: usize },
    /// S3 tells of a key, perhaps again: intake begins, and may meet a fault that Lambda does not make good.
    Tell { key: usize, fault: Option<(usize, Fault)> },
    /// The crawl under way gets on; Glue may tell early, twice or not at all.
    Crawl { status: CrawlStatus, early: bool },
    /// EventBridge delivers the oldest end of a crawl, and perhaps keeps it for another time.
    Hear { again: bool, fault: Option<(usize, Fault)> },
    /// It loses it.
    Lose,
    /// Lambda starts what was invoked first.
    Start { fault: Option<(usize, Fault)> },
    /// Convert is invoked for a key although nobody asked.
    Drive { key: usize },
    /// The schedule strikes.
    Sweep { fault: Option<(usize, Fault)> },
    /// Something that runs gets on by some calls.
    Step { task: usize, calls: usize },
    /// It is killed.
    Kill { task: usize },
    /// Time passes.
    Wait { minutes: i64 },
    /// An apply: the dataset has another plugin, or none.
    Deploy { plugin: Option<&'static str> },
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
    prop::option::weighted(0.3, (0_usize..24, kinds))
}

fn happening() -> impl Strategy<Value = Happening> {
    let status = prop::sample::select(vec![
        CrawlStatus::Succeeded,
        CrawlStatus::Succeeded,
        CrawlStatus::Succeeded,
        CrawlStatus::Failed,
        CrawlStatus::Cancelled,
    ]);
    prop_oneof![
        3 => (0..3_usize, 0..5_usize).prop_map(|(key, content)| Happening::Upload { key, content }),
        1 => (0..3_usize).prop_map(|key| Happening::Delete { key }),
        4 => (0..3_usize, fault()).prop_map(|(key, fault)| Happening::Tell { key, fault }),
        6 => (status, any::<bool>()).prop_map(|(status, early)| Happening::Crawl { status, early }),
        4 => (prop::bool::weighted(0.2), fault()).prop_map(|(again, fault)| Happening::Hear { again, fault }),
        1 => Just(Happening::Lose),
        3 => fault().prop_map(|fault| Happening::Start { fault }),
        1 => (0..3_usize).prop_map(|key| Happening::Drive { key }),
        1 => fault().prop_map(|fault| Happening::Sweep { fault }),
        14 => (0..5_usize, 1..12_usize).prop_map(|(task, calls)| Happening::Step { task, calls }),
        1 => (0..5_usize).prop_map(|task| Happening::Kill { task }),
        1 => (1..30_i64).prop_map(|minutes| Happening::Wait { minutes }),
        1 => prop::option::of(prop::sample::select(PLUGINS.to_vec())).prop_map(|plugin| Happening::Deploy { plugin }),
        1 => Just(Happening::Backfill),
    ]
}

fn tell(world: &World, key: &'static str, fault: Option<(usize, Fault)>) -> Task {
    let (world, process) = (world.clone(), world.process_with(fault));
    Box::pin(async move {
        let _ = intake(&process, &world.manifest(), RAW, &event_of(&[key])).await;
    })
}

fn hear(world: &World, request: String, end: CrawlEnd, fault: Option<(usize, Fault)>) -> Task {
    let (world, process) = (world.clone(), world.process_with(fault));
    Box::pin(async move {
        let invocation = world.invocation(&request);
        if heard(&process, &world.manifest(), &invocation, &end).await.is_err() {
            world.lock().crawler.ends.push_back((request, end)); // Lambda tries again.
        }
    })
}

fn start(world: &World, marker: String, number: usize, fault: Option<(usize, Fault)>) -> Task {
    let (world, process) = (world.clone(), world.process_with(fault));
    Box::pin(async move {
        let invocation = world.invocation(&format!("request-{number}"));
        if convert(&process, &world.manifest(), &invocation, &marker).await.is_err() {
            world.lock().invoked.push_back(marker); // Lambda tries again.
        }
    })
}

fn sweeping(world: &World, number: usize, fault: Option<(usize, Fault)>) -> Task {
    let (world, process) = (world.clone(), world.process_with(fault));
    Box::pin(async move {
        let invocation = world.invocation(&format!("sweep-{number}"));
        sweep(&process, &world.manifest(), &invocation).await;
    })
}

fn play(world: &World, happenings: &[Happening]) {
    let mut tasks: Vec<Task> = Vec::new();
    for (number, happening) in happenings.iter().enumerate() {
        match *happening {
            Happening::Upload { key, content } => {
                let content = CONTENTS[content];
                let content = if content.is_empty() { String::new() } else { format!("{content} v{number}") };
                world.upload(KEYS[key], &content);
            }
            Happening::Delete { key } => world.delete(KEYS[key]),
            Happening::Tell { key, fault } => tasks.push(tell(world, KEYS[key], fault)),
            Happening::Crawl { status, early } => world.crawl_step(status, early),
            Happening::Hear { again, fault } => {
                let next = world.lock().crawler.ends.pop_front();
                if let Some((request, end)) = next {
                    if again {
                        world.lock().crawler.ends.push_back((format!("{request}-again"), end.clone()));
                    }
                    tasks.push(hear(world, request, end, fault));
                }
            }
            Happening::Lose => drop(world.lock().crawler.ends.pop_front()),
            Happening::Start { fault } => {
                let next = world.lock().invoked.pop_front();
                tasks.extend(next.map(|marker| start(world, marker, number, fault)));
            }
            Happening::Drive { key } => {
                tasks.push(start(world, Kind::Pending.key(DATASET, KEYS[key]), number, None));
            }
            Happening::Sweep { fault } => tasks.push(sweeping(world, number, fault)),
            Happening::Step { task, calls } if !tasks.is_empty() => {
                let task = task % tasks.len();
                let mut context = Context::from_waker(Waker::noop());
                if (0..calls).any(|_| tasks[task].as_mut().poll(&mut context).is_ready()) {
                    drop(tasks.remove(task));
                }
            }
            Happening::Kill { task } if !tasks.is_empty() => drop(tasks.remove(task % tasks.len())),
            Happening::Deploy { plugin } => world.deploy(plugin),
            Happening::Backfill => drop(world.backfill()),
            Happening::Wait { minutes } => world.advance(jiff::SignedDuration::from_mins(minutes)),
            Happening::Step { .. } | Happening::Kill { .. } => {}
        }
    }
    tasks.into_iter().for_each(block_on);
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 1_500, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn whatever_is_lost_or_comes_twice_each_object_is_converted_after_a_crawl_of_its_own(
        happenings in prop::collection::vec(happening(), 1..80)
    ) {
        let world = World::crawled();
        play(&world, &happenings);
        // Neither S3 nor Glue tells of anything more: the sweep finds all.
        world.settle();
        world.assert_sound();
        world.deploy(Some("marks"));
        world.put_and_tell("in/last.csv", "last");
        world.settle();
        world.backfill();
        world.settle();
        world.assert_sound();
        world.assert_current();
    }
}
