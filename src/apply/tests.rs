//! Whole lifecycles against a cloud in memory.

mod fuzz;

use std::sync::Arc;

use proptest::prelude::*;
use serde_json::json;

use super::*;
use crate::{
    plan::{Inputs, plan},
    provider::{
        ErrorKind,
        fake::{Cloud, Fault, Thing},
    },
    refresh::{RefreshError, refresh},
    resource::{
        Fields, Program,
        aws::{
            iam::{Role, RolePolicy},
            lambda::Permission,
            logs::LogGroup,
            s3::{Bucket, BucketVersioning},
        },
    },
    state::store::{Store, memory::Memory},
};

struct Stack {
    cloud: Arc<Cloud>,
    store: Store,
}

impl Stack {
    async fn new() -> Self {
        let stack = Stack { cloud: Arc::default(), store: Store::new(Memory::default()) };
        let lock = stack.store.lock("plan").await.unwrap();
        stack.store.create(&lock, &Snapshot::new("flights", "local")).await.unwrap();
        stack
    }

    /// Base and journal, replayed and verified.
    async fn state(&self) -> Snapshot {
        self.store.load().await.unwrap().unwrap().snapshot
    }

    /// What one `lake apply` does.
    async fn apply(&self, program: &Program) -> Result<Outcome, RefreshError> {
        let provider = self.cloud.provider();
        let lock = Arc::new(self.store.lock("apply").await.unwrap());
        let stored = self.store.load().await.unwrap().unwrap();
        let prior = refresh(stored.snapshot.clone(), &provider, 4).await?.snapshot;
        let inputs = Inputs { program, prior: &prior, schemas: provider.schemas(), config_hash: "c" };
        let plan = plan(inputs).unwrap();
        let recorder = Recorder::begin(&self.store, lock, stored, &prior, "apply").await.unwrap();
        let options = Options { parallel: 4, cancel: CancellationToken::new() };
        let outcome = apply(&plan, &provider, &recorder, &options, &|_| {}).await.unwrap();
        recorder.close().await.unwrap();
        Ok(outcome)
    }

    fn kinds_and_inputs(&self) -> Vec<(String, Fields)> {
        let things = self.cloud.things.lock().unwrap();
        let mut found: Vec<_> = things.iter().map(|((kind, _), thing)| (kind.clone(), thing.inputs.clone())).collect();
        found.sort_by_key(|(kind, inputs)| (kind.clone(), format!("{inputs:?}")));
        found
    }
}

/// A program from a few choices: which parts it has, and how they are set.
fn program(choices: [u8; 5]) -> Program {
    let [buckets, versioning, policy, permission, logs] = choices;
    let mut program = Program::default();
    let names = ["raw", "processed"];
    let handles: Vec<_> =
        names[..(buckets % 3) as usize].iter().map(|name| program.declare(name, Bucket::default())).collect();
    if let (Some(bucket), 1..) = (handles.get(usize::from(versioning / 3)).or(handles.first()), versioning % 3) {
        let status = if versioning % 3 == 1 { "Enabled" } else { "Suspended" };
        program.declare("part", BucketVersioning { bucket: bucket.name(), status: status.into() });
    }
    if policy % 3 > 0 {
        let role = program.declare("role", Role { trust: json!({}), description: "role".into() });
        let resources: Vec<_> = handles.iter().map(|bucket| bucket.arn().to_value()).collect();
        let document = json!({ "Sid": policy % 3, "Resource": resources });
        program.declare("policy", RolePolicy { role: role.name(), policy: "lake".into(), document });
    }
    if permission % 3 > 0 {
        let principal = if permission % 3 == 1 { "s3" } else { "events" };
        let (source_arn, source_account) = ("arn".into(), "0".into());
        let (function, statement) = ("f".into(), "s".into());
        program.declare(
            "allow",
            Permission { function, statement, principal: principal.into(), source_arn, source_account },
        );
    }
    if logs % 3 > 0 {
        program.declare("logs", LogGroup { retention_days: u32::from(logs % 3).into() });
    }
    program
}

fn runtime() -> tokio::runtime::Runtime {
    tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap()
}

#[tokio::test]
async fn applying_twice_calls_nothing_the_second_time_and_destroying_leaves_nothing() {
    let stack = Stack::new().await;
    let full = program([2, 1, 1, 1, 1]);
    let outcome = stack.apply(&full).await.unwrap();
    assert_eq!((outcome.failed.len(), outcome.skipped), (0, 0));
    let calls = stack.cloud.calls.lock().unwrap().len();
    stack.apply(&full).await.unwrap();
    assert_eq!(stack.cloud.calls.lock().unwrap().len(), calls, "no mutating call");
    stack.apply(&Program::default()).await.unwrap();
    assert!(stack.cloud.things.lock().unwrap().is_empty());
    assert!(stack.state().await.is_empty());
}

#[tokio::test]
async fn what_bears_the_name_and_is_not_ours_is_refused_and_left_alone() {
    let stack = Stack::new().await;
    let wanted = program([1, 0, 0, 0, 0]);
    let prior = stack.state().await;
    let provider = stack.cloud.provider();
    let inputs = Inputs { program: &wanted, prior: &prior, schemas: provider.schemas(), config_hash: "c" };
    let planned = plan(inputs).unwrap();
    let identity = planned.changes[0].identity.clone().unwrap();
    let foreign = Thing { inputs: Fields::new(), tags: [("team".to_owned(), "other".to_owned())].into() };
    stack.cloud.things.lock().unwrap().insert(("aws:s3:Bucket".to_owned(), identity), foreign.clone());
    let outcome = stack.apply(&wanted).await.unwrap();
    assert!(outcome.failed[0].1.to_string().contains("is not this stack's"), "{:?}", outcome.failed);
    assert_eq!(stack.cloud.things.lock().unwrap().values().collect::<Vec<_>>(), [&foreign]);
    assert!(stack.state().await.resources.is_empty());
}

#[tokio::test]
async fn drift_is_put_right_and_what_was_deleted_behind_our_back_comes_back_under_its_name() {
    let stack = Stack::new().await;
    let full = program([2, 1, 0, 0, 1]);
    stack.apply(&full).await.unwrap();
    let before = stack.cloud.things.lock().unwrap().clone();
    {
        let mut things = stack.cloud.things.lock().unwrap();
        let logs = things.iter_mut().find(|((kind, _), _)| kind == "aws:logs:LogGroup").unwrap();
        logs.1.inputs.insert("retention_days".to_owned(), json!(7));
        let bucket = things.keys().find(|(kind, _)| kind == "aws:s3:Bucket").unwrap().clone();
        things.remove(&bucket);
    }
    stack.apply(&full).await.unwrap();
    assert_eq!(*stack.cloud.things.lock().unwrap(), before);
}

#[tokio::test]
async fn whatever_is_deleted_behind_our_back_comes_back_also_when_others_depend_on_it() {
    let full = program([2, 1, 1, 1, 1]);
    let count = {
        let stack = Stack::new().await;
        stack.apply(&full).await.unwrap();
        stack.cloud.things.lock().unwrap().len()
    };
    for gone in 0..count {
        let stack = Stack::new().await;
        stack.apply(&full).await.unwrap();
        let before = stack.cloud.things.lock().unwrap().clone();
        let key = before.keys().nth(gone).unwrap();
        stack.cloud.things.lock().unwrap().remove(key);
        let outcome = stack.apply(&full).await.unwrap();
        assert!(outcome.failed.is_empty(), "{key:?}: {:?}", outcome.failed);
        assert_eq!(*stack.cloud.things.lock().unwrap(), before);
        assert!(stack.apply(&full).await.unwrap().failed.is_empty());
    }
}

#[tokio::test]
async fn a_replacement_that_was_interrupted_leaves_no_orphan_when_it_is_no_longer_wanted() {
    let (on_raw, on_processed) = (program([2, 1, 0, 0, 0]), program([2, 4, 0, 0, 0]));
    for last in [&on_raw, &on_processed] {
        let stack = Stack::new().await;
        stack.apply(&on_raw).await.unwrap();
        *stack.cloud.faults.lock().unwrap() = [Fault::After].into();
        assert_eq!(stack.apply(&on_processed).await.unwrap().failed.len(), 1, "its answer was lost");
        let outcome = stack.apply(last).await.unwrap();
        assert!(outcome.failed.is_empty(), "{:?}", outcome.failed);
        let kinds: Vec<String> = stack.kinds_and_inputs().into_iter().map(|(kind, _)| kind).collect();
        assert_eq!(kinds, ["aws:s3:Bucket", "aws:s3:Bucket", "aws:s3:BucketVersioning"]);
        let state = stack.state().await;
        assert!(state.deposed.is_empty() && state.pending.is_empty());
    }
}

#[tokio::test]
async fn a_failed_step_skips_what_needs_it_and_the_rest_goes_on() {
    let stack = Stack::new().await;
    *stack.cloud.faults.lock().unwrap() = [Fault::Before].into();
    let outcome = stack.apply(&program([1, 1, 0, 0, 1])).await.unwrap();
    assert_eq!((outcome.done, outcome.failed.len(), outcome.skipped), (1, 1, 1));
}

#[tokio::test]
async fn calls_that_come_too_soon_or_too_often_are_made_again() {
    let stack = Stack::new().await;
    *stack.cloud.faults.lock().unwrap() = [Fault::Throttled, Fault::NotYet, Fault::Throttled].into();
    let outcome = stack.apply(&program([1, 1, 0, 0, 0])).await.unwrap();
    assert!(outcome.failed.is_empty() && outcome.done == 2, "{:?}", outcome.failed);
    let calls = stack.cloud.calls.lock().unwrap().len();
    assert_eq!(calls, 5);
}

#[tokio::test]
async fn what_cannot_be_observed_yet_is_observed_again_before_it_is_made_and_when_it_is_refreshed() {
    let stack = Stack::new().await;
    let wanted = program([1, 0, 0, 0, 0]);
    for done in [1, 0] {
        *stack.cloud.read_faults.lock().unwrap() = [ErrorKind::NotYet, ErrorKind::Throttled].into();
        let outcome = stack.apply(&wanted).await.unwrap();
        assert!(outcome.failed.is_empty() && outcome.done == done, "{:?}", outcome.failed);
        assert!(stack.cloud.read_faults.lock().unwrap().is_empty());
    }
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 300, failure_persistence: None, ..ProptestConfig::default() })]

    /// Any programs one after the other, any calls failing before or after their effect: the state stays sound, and
    /// one clean apply later the cloud is what the program declares, without a question.
    #[test]
    fn a_clean_apply_converges_after_any_failures(
        programs in prop::collection::vec(any::<[u8; 5]>(), 1..4),
        faults in prop::collection::vec(prop_oneof![Just(Fault::None), Just(Fault::Before), Just(Fault::After)], 0..12),
    ) {
        runtime().block_on(async {
            let stack = Stack::new().await;
            *stack.cloud.faults.lock().unwrap() = faults.into();
            for choices in &programs {
                stack.apply(&program(*choices)).await.unwrap();
            }
            stack.cloud.faults.lock().unwrap().clear();
            let last = program(*programs.last().unwrap());
            let outcome = stack.apply(&last).await.unwrap();
            assert!(outcome.failed.is_empty(), "{:?}", outcome.failed);

            let calls = stack.cloud.calls.lock().unwrap().len();
            stack.apply(&last).await.unwrap();
            assert_eq!(stack.cloud.calls.lock().unwrap().len(), calls, "converged: nothing more to do");

            let fresh = Stack::new().await;
            fresh.apply(&last).await.unwrap();
            let kinds = |stack: &Stack| stack.kinds_and_inputs().into_iter().map(|(kind, _)| kind).collect::<Vec<_>>();
            assert_eq!(kinds(&stack), kinds(&fresh), "no orphan, no duplicate");

            stack.apply(&Program::default()).await.unwrap();
            assert!(stack.cloud.things.lock().unwrap().is_empty());
            assert!(stack.state().await.is_empty());
        });
    }
}
