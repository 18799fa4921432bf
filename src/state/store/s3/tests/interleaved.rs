//! Processes that each believe to have the lock, with every order of their requests, and with requests that are lost,
//! late, or unanswered: whatever happens, all agree on one sequence of edits.
//!
//! Every holder seems dead to every other here, so that locks are taken over as often as can be.
//! `LAKE_STATE_CASES=2000` tries so many cases.

use std::{
    collections::BTreeSet,
    sync::{
        Mutex,
        atomic::{AtomicUsize, Ordering},
    },
};

use async_trait::async_trait;
use proptest::prelude::*;
use tokio::sync::{Notify, oneshot};

use super::{
    wire::{Director, Fate},
    *,
};
use crate::state::store::{Holder, Resumed};

/// Cases of a test run that asks for no number.
const CASES: u32 = 24;
/// Processes at once.
const PROCESSES: usize = 3;
/// Edits that each tries to append.
const EDITS: usize = 3;
/// The first line of a journal.
const HEADER: &[u8] = b"HEADER LINE\n";

/// Decides which of the waiting requests goes next, and what becomes of it.
#[derive(Debug, Default)]
struct Stage {
    waiting: Mutex<Vec<oneshot::Sender<Fate>>>,
    late: Mutex<Vec<oneshot::Sender<()>>>,
    running: AtomicUsize,
    under_way: AtomicUsize,
    changed: Notify,
}

#[async_trait]
impl Director for Stage {
    async fn fate(&self, _method: &str, _path: &str) -> Fate {
        let (sender, receiver) = oneshot::channel();
        self.waiting.lock().unwrap().push(sender);
        self.changed.notify_one();
        receiver.await.unwrap_or(Fate::Lose)
    }

    async fn arrival(&self, _path: &str) {
        let (sender, receiver) = oneshot::channel();
        self.late.lock().unwrap().push(sender);
        let _ = receiver.await;
    }

    fn arrived(&self) {
        self.under_way.fetch_sub(1, Ordering::SeqCst);
        self.changed.notify_one();
    }
}

impl Stage {
    /// Lets requests go until every process has ended and nothing is under way.
    async fn direct(&self, choices: &[u8]) {
        let mut choices = choices.iter().copied();
        loop {
            // Whoever can come to a request does.
            for _ in 0..50 {
                tokio::task::yield_now().await;
            }
            let (waiting, late) = (self.waiting.lock().unwrap().len(), self.late.lock().unwrap().len());
            if waiting + late == 0 {
                if self.running.load(Ordering::SeqCst) == 0 && self.under_way.load(Ordering::SeqCst) == 0 {
                    return;
                }
                let _ = tokio::time::timeout(Duration::from_millis(2), self.changed.notified()).await;
                continue;
            }
            let choice = choices.next();
            let place = usize::from(choice.unwrap_or(0) >> 3) % (waiting + late);
            if place >= waiting {
                let late = self.late.lock().unwrap().remove(place - waiting);
                let _ = late.send(());
                continue;
            }
            let fate = match choice.map(|choice| choice & 7) {
                Some(0) => Fate::LoseAnswer,
                Some(1) => Fate::Lose,
                Some(2) => Fate::Late,
                _ => Fate::Deliver,
            };
            if fate == Fate::Late {
                self.under_way.fetch_add(1, Ordering::SeqCst);
            }
            let waiting = self.waiting.lock().unwrap().remove(place);
            let _ = waiting.send(fate);
        }
    }
}

/// What a process did and saw.
#[derive(Debug, Default, Clone)]
struct Told {
    fence: u64,
    /// What it read when it had the lock; `None` when it did not come so far.
    seen: Option<Vec<String>>,
    /// What it was told to be written.
    acknowledged: Vec<String>,
}

fn base(edits: &[String]) -> Vec<u8> {
    serde_json::to_vec(&json!({ "edits": edits })).unwrap()
}

async fn edits(s3: &S3) -> Result<Option<(Vec<String>, super::super::Mark, u64)>, StateError> {
    let files = s3.read().await?;
    let Some(base) = &files.base else { return Ok(None) };
    let base: Value = serde_json::from_slice(base).unwrap();
    let mut edits: Vec<String> = serde_json::from_value(base["edits"].clone()).unwrap();
    if let Some(lines) = files.journal.strip_prefix(HEADER) {
        edits.extend(std::str::from_utf8(lines).unwrap().lines().map(|line| line.trim_start_matches('.').to_owned()));
    } else {
        assert!(files.journal.is_empty(), "a journal without its header: {files:?}");
    }
    Ok(Some((edits, files.mark, files.journal.len() as u64)))
}

/// A command that appends, and perhaps compacts. It stops at the first error, as a journal does.
async fn process(number: usize, s3: S3, compact: bool, end: bool, told: Arc<Mutex<Told>>) -> Result<(), StateError> {
    let guard = s3.lock(Holder::this(&format!("process {number}"))).await?;
    told.lock().unwrap().fence = guard.holder().fence;
    let mut all = match edits(&s3).await? {
        None => {
            s3.replace(&*guard, &base(&[]), HEADER, 0).await?;
            Vec::new()
        }
        Some((all, mark, length)) => {
            told.lock().unwrap().seen = Some(all.clone());
            if s3.resume(&*guard, &mark, length).await? == Resumed::ReplaceBase {
                s3.replace(&*guard, &base(&all), HEADER, all.len() as u64).await?;
            }
            all
        }
    };
    for edit in 0..EDITS {
        let edit = format!("{number}-{edit}");
        s3.append(&*guard, format!("........{edit}\n").as_bytes()).await?;
        told.lock().unwrap().acknowledged.push(edit.clone());
        all.push(edit);
        if compact && all.len().is_multiple_of(2) {
            s3.replace(&*guard, &base(&all), HEADER, all.len() as u64).await?;
        }
    }
    match end {
        true => guard.release().await,
        // It is killed.
        false => Ok(()),
    }
}

async fn play(choices: &[u8], compact: [bool; PROCESSES], end: [bool; PROCESSES]) {
    let cloud = Cloud::start().await;
    let stage = Arc::new(Stage::default());
    let told: Vec<Arc<Mutex<Told>>> = (0..PROCESSES).map(|_| Arc::default()).collect();
    let mut processes = Vec::new();
    for number in 0..PROCESSES {
        let s3 = cloud.s3(stage.clone(), 1, Duration::ZERO);
        let (stage, told) = (Arc::clone(&stage), Arc::clone(&told[number]));
        stage.running.fetch_add(1, Ordering::SeqCst);
        processes.push(tokio::spawn(async move {
            let ended = process(number, s3, compact[number], end[number], told).await;
            stage.running.fetch_sub(1, Ordering::SeqCst);
            stage.changed.notify_one();
            ended
        }));
    }
    stage.direct(choices).await;
    for process in processes {
        match process.await.unwrap() {
            Ok(()) | Err(StateError::Fenced { .. } | StateError::Service { .. }) => {}
            Err(other) => panic!("{other:?}"),
        }
    }
    let told: Vec<Told> = told.iter().map(|told| told.lock().unwrap().clone()).collect();
    let s3 = cloud.s3(faithful(), 3, Duration::ZERO);
    let guard = s3.lock(Holder::this("the last")).await.unwrap();
    let last = edits(&s3).await.unwrap().map_or_else(Vec::new, |(all, ..)| all);
    check(&told, &last);
    // Whatever was left behind, the next goes on.
    drop(guard);
    let next = Arc::default();
    process(PROCESSES, cloud.s3(faithful(), 3, Duration::ZERO), true, true, Arc::clone(&next)).await.unwrap();
    let after = edits(&s3).await.unwrap().unwrap().0;
    assert_eq!(after[..last.len()], last[..]);
    assert_eq!(after.len(), last.len() + EDITS);
}

fn check(told: &[Told], last: &[String]) {
    assert_eq!(last.iter().collect::<BTreeSet<_>>().len(), last.len(), "nothing is there twice: {last:?}");
    for (number, process) in told.iter().enumerate() {
        let own = format!("{number}-");
        let there: Vec<&String> = last.iter().filter(|edit| edit.starts_with(&own)).collect();
        let acknowledged: Vec<&String> = process.acknowledged.iter().collect();
        assert!(there.starts_with(&acknowledged), "what was acknowledged is there: {told:?}, {last:?}");
        let Some(seen) = &process.seen else { continue };
        assert!(last.starts_with(seen), "what somebody has read stays, in its order: {told:?}, {last:?}");
        let earlier = told.iter().enumerate().filter(|(_, other)| other.fence < process.fence && other.fence > 0);
        for (number, _) in earlier {
            let of_earlier = |edits: &[String]| edits.iter().filter(|it| it.starts_with(&format!("{number}-"))).count();
            // Those that never got so far as to record anything need not be refused.
            if !process.acknowledged.is_empty() {
                let message = "an earlier holder writes nothing more";
                assert_eq!(of_earlier(seen), of_earlier(last), "{message}: {told:?}, {last:?}");
            }
        }
    }
}

fn cases() -> u32 {
    std::env::var("LAKE_STATE_CASES").ok().and_then(|cases| cases.parse().ok()).unwrap_or(CASES)
}

proptest! {
    #![proptest_config(ProptestConfig { cases: cases(), max_shrink_iters: 64, ..ProptestConfig::default() })]

    #[test]
    fn all_agree_on_one_sequence_of_edits_whatever_becomes_of_their_requests(
        choices in prop::collection::vec(any::<u8>(), 0..220),
        compact: [bool; PROCESSES],
        end: [bool; PROCESSES],
    ) {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
        runtime.block_on(play(&choices, compact, end));
    }
}
