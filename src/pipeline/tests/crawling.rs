//! Between a marker and its conversion: the crawler.

use futures::executor::block_on;
use jiff::{SignedDuration, Timestamp};

use super::world::*;
use crate::{
    dataset::CatalogMode,
    pipeline::{
        convert::{Outcome, convert},
        crawl::{CRAWLS_MAX, CrawlEnd, Next, next},
        intake::intake,
        ledger::{Crawl, HandOver, Kind, Note},
        ports::{CrawlStatus, Crawler, CrawlerState, LastCrawl},
        retry::{Selection, retry},
        telling::{JobState, Subject},
        view::{Stage, key_state},
    },
};

const KEY: &str = "in/a.csv";
const SUCCEEDED: CrawlStatus = CrawlStatus::Succeeded;
const FAILED: CrawlStatus = CrawlStatus::Failed;

fn stage(world: &World, key: &str) -> Stage {
    let etag = world.lock().sources[key].0.clone();
    let now = world.lock().now;
    block_on(key_state(&world.process(), DATASET, key)).unwrap().stage(&etag, now)
}

fn end(failure: Option<&str>) -> CrawlEnd {
    CrawlEnd { crawler: CRAWLER.into(), failure: failure.map(str::to_owned) }
}

/// Every state of a marker and of a crawler.
fn every_situation(mut check: impl FnMut(Option<&Crawl>, &Crawler)) {
    let time = |second: i64| Timestamp::from_second(second).unwrap();
    let mut crawls = vec![None];
    for (noted, failures, handed_over) in
        [None, Some(None), Some(Some(1)), Some(Some(2))].into_iter().flat_map(|noted| {
            (0..=CRAWLS_MAX).flat_map(move |failures| [(noted, failures, false), (noted, failures, true)])
        })
    {
        let noted = noted.map(|seen: Option<i64>| Note { seen_start: seen.map(time), at: time(0) });
        let handed_over = handed_over.then(|| HandOver { crawl: None, at: time(0), by: "r".into() });
        crawls.push(Some(Crawl { noted, failures, handed_over }));
    }
    let mut lasts = vec![None];
    for (start, status) in [1, 2].into_iter().flat_map(|start| {
        [CrawlStatus::Succeeded, CrawlStatus::Failed, CrawlStatus::Cancelled].map(|status| (start, status))
    }) {
        lasts.push(Some(LastCrawl { start: time(start), status, message: None }));
    }
    for crawl in &crawls {
        for state in [CrawlerState::Ready, CrawlerState::Running, CrawlerState::Stopping] {
            for last in &lasts {
                check(crawl.as_ref(), &Crawler { state, last: last.clone() });
            }
        }
    }
}

#[test]
fn a_crawl_counts_exactly_if_one_was_noted_and_another_has_succeeded() {
    every_situation(|crawl, crawler| {
        let noted = crawl.and_then(|crawl| crawl.noted.as_ref());
        let handed_over = crawl.is_some_and(|crawl| crawl.handed_over.is_some());
        let another =
            crawler.last.as_ref().filter(|last| noted.is_some_and(|note| note.seen_start != Some(last.start)));
        let next = next(crawl, crawler);
        let counts = another.is_some_and(|last| last.status == SUCCEEDED);
        assert_eq!(matches!(next, Next::HandOver { .. }), counts && !handed_over, "{crawl:?} {crawler:?}: {next:?}");
        let failed = another.is_some_and(|last| last.status != SUCCEEDED);
        let again = matches!(next, Next::CrawlAgain { .. } | Next::GiveUp { .. });
        assert_eq!(again, failed && !handed_over, "{crawl:?} {crawler:?}: {next:?}");
        assert_eq!(next == Next::HandedOver, handed_over);
    });
}

#[test]
fn a_crawl_is_started_exactly_if_none_is_under_way_and_one_is_needed() {
    every_situation(|crawl, crawler| {
        let next = next(crawl, crawler);
        let starts = matches!(next, Next::Crawl { .. } | Next::CrawlAsNoted | Next::CrawlAgain { start: true, .. });
        let is_ready = crawler.state == CrawlerState::Ready;
        let waits = matches!(next, Next::Wait | Next::CrawlAgain { start: false, .. });
        assert!(!starts || is_ready, "{crawl:?} {crawler:?}: {next:?}");
        assert!(!waits || !is_ready, "{crawl:?} {crawler:?}: {next:?}, and nobody would come");
    });
}

#[test]
fn an_object_is_crawled_then_converted_by_who_hears_of_the_crawls_end() {
    let world = World::crawled();
    world.put_and_tell(KEY, "one");
    assert_eq!(world.crawls(), 1);
    assert!(world.lock().invoked.is_empty());
    assert!(matches!(stage(&world, KEY), Stage::AwaitingCrawl { since: Some(_), failures: 0 }));
    world.crawl_ends(SUCCEEDED);
    let heard = world.hear().unwrap();
    assert!(matches!(heard.converted.unwrap().outcome, Outcome::Committed { .. }));
    assert!(world.lock().invoked.is_empty());
    assert_eq!((world.rows(), world.crawls()), (vec!["one".to_owned()], 1));
    world.assert_sound();
}

#[test]
fn an_object_that_comes_while_the_crawler_runs_waits_for_the_next_crawl() {
    for stopping in [false, true] {
        let world = World::crawled();
        world.put_and_tell(KEY, "one");
        if stopping {
            world.crawl_step(SUCCEEDED, false);
        }
        world.put_and_tell("in/b.csv", "two");
        assert_eq!(stage(&world, "in/b.csv"), Stage::AwaitingCrawl { since: None, failures: 0 });
        world.crawl_ends(SUCCEEDED);
        let heard = world.hear().unwrap();
        assert!(heard.started && heard.converted.is_some());
        assert_eq!(world.rows(), ["one"]);
        world.crawl_ends(SUCCEEDED);
        world.hear().unwrap();
        assert_eq!((world.rows().len(), world.crawls()), (2, 2));
        world.assert_sound();
    }
}

#[test]
fn three_hundred_objects_in_a_burst_cost_two_crawls() {
    let world = World::crawled();
    for object in 0..300 {
        world.put_and_tell(&format!("in/{object}.csv"), &format!("one {object}"));
    }
    assert_eq!(world.crawls(), 1);
    world.run_invoked();
    world.assert_sound();
    assert_eq!((world.crawls(), world.rows().len()), (2, 300));
    assert_eq!(world.lock().commits_decided, 300);
}

#[test]
fn a_burst_that_lasts_for_several_crawls_costs_one_more_than_those() {
    let world = World::crawled();
    for object in 0..300 {
        world.put_and_tell(&format!("in/{object}.csv"), &format!("one {object}"));
        if object % 60 == 59 {
            world.crawl_ends(SUCCEEDED);
            world.hear().unwrap();
        }
    }
    world.run_invoked();
    world.assert_sound();
    assert!(world.crawls() <= 7, "{} crawls", world.crawls());
}

#[test]
fn one_event_with_many_objects_looks_at_the_crawler_once() {
    let world = World::crawled();
    let keys: Vec<String> = (0..40).map(|object| format!("in/{object}.csv")).collect();
    keys.iter().for_each(|key| world.upload(key, "one"));
    let process = world.process();
    let event = event_of(&keys.iter().map(String::as_str).collect::<Vec<_>>());
    let noted = block_on(intake(&process, &world.manifest(), RAW, &event)).unwrap();
    // Each marker, the crawler, its start, each note.
    assert_eq!((noted.noted.len(), process.calls()), (40, 82));
    world.run_invoked();
    assert_eq!(world.crawls(), 1);
    world.assert_sound();
}

#[test]
fn a_success_that_is_told_twice_hands_nothing_over_twice() {
    let world = World::crawled();
    for key in ["in/a.csv", "in/b.csv"] {
        world.upload(key, "one");
    }
    let event = event_of(&["in/a.csv", "in/b.csv"]);
    block_on(intake(&world.process(), &world.manifest(), RAW, &event)).unwrap();
    world.crawl_ends(SUCCEEDED);
    let heard = |request: &str| world.hear_on(&world.process(), request, &end(None)).unwrap();
    assert_eq!(heard("r1").handed_over, 2);
    assert!(matches!(stage(&world, KEY), Stage::Crawled { .. }));
    assert_eq!(heard("r2").handed_over, 0, "another invocation leaves them");
    assert_eq!(heard("r1").handed_over, 2, "a retry of the first does it again: it may have died before");
    assert_eq!(world.crawls(), 1);
    world.run_invoked();
    world.assert_sound();
}

#[test]
fn an_end_of_a_crawl_that_is_told_late_or_of_no_crawler_of_ours_changes_nothing() {
    let world = World::crawled();
    world.put_and_tell(KEY, "one");
    let late = world.hear_on(&world.process(), "r1", &end(None)).unwrap();
    assert_eq!((late.waiting, late.started, late.handed_over), (1, false, 0));
    let foreign = CrawlEnd { crawler: "another".into(), failure: None };
    assert_eq!(world.hear_on(&world.process(), "r2", &foreign).unwrap().dataset, None);
    world.run_invoked();
    world.assert_sound();
    assert_eq!(world.crawls(), 1);
}

#[test]
fn an_end_that_is_told_while_the_crawler_still_stops_is_tried_again() {
    let world = World::crawled();
    world.put_and_tell(KEY, "one");
    world.crawl_step(SUCCEEDED, true);
    let error = world.hear_on(&world.process(), "r1", &end(None)).unwrap_err();
    assert_eq!(error.failure.code, "crawler_stopping");
    world.crawl_step(SUCCEEDED, true);
    assert!(world.hear_on(&world.process(), "r1", &end(None)).unwrap().converted.is_some());
    world.assert_sound();
}

#[test]
fn a_crawl_that_fails_is_told_of_and_started_again_and_the_third_failure_parks_the_object() {
    let world = World::crawled();
    world.put_and_tell(KEY, "one");
    for failures in 1..CRAWLS_MAX {
        world.crawl_ends(FAILED);
        let heard = world.hear().unwrap();
        assert!(heard.started);
        assert!(matches!(stage(&world, KEY), Stage::AwaitingCrawl { failures: it, .. } if it == failures));
    }
    world.crawl_ends(FAILED);
    let heard = world.hear().unwrap();
    assert_eq!(heard.converted.unwrap().outcome, Outcome::Parked { code: "crawl_failed".into() });
    assert!(!heard.started);
    let parked = world.parked(KEY).unwrap();
    assert!(parked.message.contains("no access"), "{}", parked.message);
    assert_eq!(world.crawls(), 3);
    let of_crawls = world.lock().told.iter().filter(|told| matches!(told.subject, Subject::Crawl { .. })).count();
    assert_eq!(of_crawls, 3);
    world.assert_sound();
}

#[test]
fn a_failure_that_is_told_twice_counts_once() {
    let world = World::crawled();
    world.put_and_tell(KEY, "one");
    world.crawl_ends(FAILED);
    for request in ["r1", "r2", "r3", "r4"] {
        world.hear_on(&world.process(), request, &end(Some("no access"))).unwrap();
    }
    assert_eq!((world.marker(KEY).unwrap().crawl.unwrap().failures, world.crawls()), (1, 2));
    world.lock().crawler.ends.clear();
    world.run_invoked();
    assert_eq!(world.rows(), ["one"]);
    world.assert_sound();
}

#[test]
fn a_failed_crawl_does_not_count_against_an_object_that_came_while_it_ran() {
    let world = World::crawled();
    world.put_and_tell(KEY, "one");
    world.put_and_tell("in/b.csv", "two");
    world.crawl_ends(FAILED);
    world.hear().unwrap();
    assert_eq!(world.marker("in/b.csv").unwrap().crawl.unwrap().failures, 0);
    world.run_invoked();
    assert_eq!((world.rows().len(), world.crawls()), (2, 2));
    world.assert_sound();
}

#[test]
fn a_crawl_that_somebody_stops_is_started_again_by_the_sweep_and_told_of() {
    let world = World::crawled();
    world.put_and_tell(KEY, "one");
    world.crawl_ends(CrawlStatus::Cancelled);
    assert!(world.lock().crawler.ends.is_empty(), "Glue tells of no such end");
    world.advance(SignedDuration::from_mins(10));
    assert_eq!(world.sweep().redriven, 1);
    assert_eq!(world.lock().told[0].state, JobState::Failed);
    world.run_invoked();
    assert_eq!(world.rows(), ["one"]);
    world.assert_sound();
}

#[test]
fn a_newer_event_waits_for_a_crawl_of_its_own_even_if_an_older_one_is_being_converted() {
    for calls in 0..40 {
        let world = World::crawled();
        world.put_and_tell(KEY, "one");
        world.crawl_ends(SUCCEEDED);
        let _ = world.hear_on(&world.process_with([(calls, Fault::DieAfter)]), "r1", &end(None));
        world.put_and_tell(KEY, "two");
        let heard = world.hear_on(&world.process(), "r1", &end(None)).unwrap();
        assert!(heard.converted.is_none(), "{calls} calls: {heard:?}");
        // An invocation for the older marker meets the newer one.
        let outcome = world.convert("r9", KEY).unwrap().outcome;
        assert_eq!(outcome, Outcome::AwaitsCrawl);
        world.run_invoked();
        world.assert_sound();
        assert_eq!(world.rows(), ["two"]);
    }
}

#[test]
fn a_retry_by_hand_is_crawled_like_every_other_object() {
    let world = World::crawled();
    world.put_and_tell(KEY, "bad");
    world.run_invoked();
    block_on(retry(&world.process(), DATASET, &Selection::All)).unwrap();
    assert_eq!(world.crawls(), 1);
    assert_eq!(world.convert("r1", KEY).unwrap().outcome, Outcome::AwaitsCrawl);
    assert_eq!(world.crawls(), 2);
    world.run_invoked();
    world.assert_sound();
}

#[test]
fn a_dataset_that_has_no_crawler_any_more_waits_for_none() {
    let world = World::crawled();
    world.put_and_tell(KEY, "one");
    world.lock().catalog = Some(CatalogMode::Direct);
    assert!(matches!(world.convert("r1", KEY).unwrap().outcome, Outcome::Committed { .. }));
    assert_eq!(world.hear_on(&world.process(), "r2", &end(None)).unwrap().dataset, None);
}

#[test]
fn a_marker_handed_over_to_convert_which_never_came_is_driven_by_the_sweep_by_hand_at_once() {
    let world = World::crawled();
    world.put_and_tell(KEY, "one");
    world.put_and_tell("in/b.csv", "two");
    world.put_and_tell("in/c.csv", "three");
    world.crawl_ends(SUCCEEDED);
    world.hear();
    world.crawl_ends(SUCCEEDED);
    assert_eq!(world.hear().unwrap().handed_over, 2);
    world.lock().invoked.clear();
    assert_eq!(world.sweep().redriven, 0, "they may be on their way");
    assert_eq!(world.sweep_all().redriven, 2);
    world.run_invoked();
    assert_eq!(world.rows().len(), 3);
    world.assert_sound();
}

#[test]
fn a_crawler_that_was_made_anew_is_started_by_the_sweep() {
    let world = World::crawled();
    world.put_and_tell("in/b.csv", "zero");
    world.run_invoked();
    world.put_and_tell(KEY, "one");
    world.lock().crawler = CrawlerSim::default();
    world.advance(SignedDuration::from_mins(10));
    // What was written before counts as written at the beginning of the new crawler's days.
    assert_eq!(world.sweep().redriven, 1);
    world.run_invoked();
    assert_eq!(world.rows().len(), 2);
}

const FAULTS: [Fault; 5] =
    [Fault::DieBefore, Fault::DieAfter, Fault::Unavailable, Fault::AnswerLost, Fault::MeetsItself];

/// Something that happens in a world, with a fault at a call of it; Lambda tries it again where it fails. Without a
/// sweep everything comes to its end.
fn at_every_call(prepare: impl Fn(&World), act: impl Fn(&World, &Process) -> bool, check: impl Fn(&World)) {
    let world = World::crawled();
    prepare(&world);
    let process = world.process();
    assert!(act(&world, &process));
    let calls = process.calls();
    for fault in FAULTS {
        for call in 0..calls {
            let world = World::crawled();
            prepare(&world);
            if !act(&world, &world.process_with([(call, fault)])) {
                assert!(act(&world, &world.process()), "{fault:?} at call {call} of {calls}, and again");
            }
            world.run_invoked();
            assert!(world.markers().is_empty(), "{fault:?} at call {call}: {:?}", world.markers());
            world.assert_sound();
            check(&world);
        }
    }
}

#[test]
fn intake_starts_a_crawl_that_counts_after_any_fault_at_any_call() {
    at_every_call(
        |world| {
            world.upload("in/a.csv", "one");
            world.upload("in/b.csv", "two");
        },
        |world, process| {
            let event = event_of(&["in/a.csv", "in/b.csv"]);
            block_on(intake(process, &world.manifest(), RAW, &event)).is_ok()
        },
        |world| assert_eq!(world.rows(), ["one", "two"]),
    );
}

#[test]
fn a_success_is_heard_after_any_fault_at_any_call() {
    let prepare = |count: usize| {
        move |world: &World| {
            let keys: Vec<String> = (0..count).map(|object| format!("in/{object}.csv")).collect();
            keys.iter().for_each(|key| world.upload(key, "one"));
            let event = event_of(&keys.iter().map(String::as_str).collect::<Vec<_>>());
            block_on(intake(&world.process(), &world.manifest(), RAW, &event)).unwrap();
            world.put_and_tell("in/late.csv", "two");
            world.crawl_ends(SUCCEEDED);
            world.lock().crawler.ends.clear();
        }
    };
    let act = |world: &World, process: &Process| world.hear_on(process, "r1", &end(None)).is_ok();
    at_every_call(prepare(1), act, |world| assert_eq!(world.rows().len(), 2));
    at_every_call(prepare(3), act, |world| assert_eq!(world.rows().len(), 4));
}

#[test]
fn a_failure_is_heard_and_told_of_after_any_fault_at_any_call() {
    for earlier in 0..CRAWLS_MAX {
        at_every_call(
            |world| {
                world.put_and_tell("in/a.csv", "one");
                for _ in 0..earlier {
                    world.crawl_ends(FAILED);
                    world.hear().unwrap();
                }
                world.crawl_ends(FAILED);
                world.lock().crawler.ends.clear();
                world.lock().told.clear();
            },
            |world, process| world.hear_on(process, "r1", &end(Some("no access"))).is_ok(),
            |world| {
                assert!(world.lock().told.iter().any(|told| matches!(told.subject, Subject::Crawl { .. })));
                assert_eq!(world.parked("in/a.csv").is_some(), earlier + 1 == CRAWLS_MAX);
            },
        );
    }
}

#[test]
fn two_who_hear_of_the_same_end_hand_over_once_at_every_interleaving() {
    use std::task::{Context, Waker};
    for (first, second) in (1..30).flat_map(|first| (1..30).map(move |second| (first, second))) {
        let world = World::crawled();
        world.put_and_tell("in/a.csv", "one");
        world.put_and_tell("in/late.csv", "two");
        world.crawl_ends(SUCCEEDED);
        world.lock().crawler.ends.clear();
        let (manifest, one, two) = (world.manifest(), world.process(), world.process());
        let (end, invocations) = (end(None), [world.invocation("r1"), world.invocation("r2")]);
        let mut one = Box::pin(crate::pipeline::crawl::heard(&one, &manifest, &invocations[0], &end));
        let mut two = Box::pin(crate::pipeline::crawl::heard(&two, &manifest, &invocations[1], &end));
        let mut context = Context::from_waker(Waker::noop());
        let one_ended = (0..first).any(|_| one.as_mut().poll(&mut context).is_ready());
        let two_ended = (0..second).any(|_| two.as_mut().poll(&mut context).is_ready());
        if !one_ended {
            block_on(one).unwrap();
        }
        if !two_ended {
            block_on(two).unwrap();
        }
        world.run_invoked();
        world.assert_sound();
        let decided = world.lock().commits_decided;
        assert_eq!((decided, world.crawls()), (2, 2), "after {first} and {second} calls");
    }
}

#[test]
fn a_marker_is_not_claimed_before_its_crawl_even_if_convert_is_invoked() {
    let world = World::crawled();
    world.put_and_tell(KEY, "one");
    let before = world.marker(KEY).unwrap();
    let (marker, invocation) = (Kind::Pending.key(DATASET, KEY), world.invocation("r1"));
    let answer = block_on(convert(&world.process(), &world.manifest(), &invocation, &marker)).unwrap();
    assert_eq!(answer.outcome, Outcome::AwaitsCrawl);
    assert_eq!(world.marker(KEY).unwrap(), before);
    assert_eq!(world.crawls(), 1);
}
