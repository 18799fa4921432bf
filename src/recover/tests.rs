use proptest::prelude::*;
use serde_json::json;
use tokio_util::sync::CancellationToken;

use super::*;
use crate::{
    apply::{self, Options, Recorder},
    plan::{Inputs, plan},
    provider::fake::{Cloud, Thing},
    refresh::{ownership_tags, refresh},
    resource::{
        Handle,
        aws::{
            iam::{Role, RolePolicy},
            lambda::Permission,
            logs::LogGroup,
            s3::{Bucket, BucketVersioning},
        },
    },
    state::store::{Store, memory::Memory},
};

/// A cloud, and the state of what is in it.
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

    async fn apply(&self, program: &Program) -> Snapshot {
        let provider = self.cloud.provider();
        let lock = Arc::new(self.store.lock("apply").await.unwrap());
        let stored = self.store.load().await.unwrap().unwrap();
        let prior = refresh(stored.snapshot.clone(), &provider, 4).await.unwrap().snapshot;
        let inputs = Inputs { program, prior: &prior, schemas: provider.schemas(), config_hash: "c" };
        let plan = plan(inputs).unwrap();
        let recorder = Recorder::begin(&self.store, lock, stored, &prior, "apply").await.unwrap();
        let options = Options { parallel: 4, cancel: CancellationToken::new() };
        let outcome = apply::apply(&plan, &provider, &recorder, &options, &|_| {}).await.unwrap();
        assert!(outcome.failed.is_empty());
        recorder.close().await.unwrap()
    }

    async fn search(&self) -> Findings {
        search(&self.cloud.provider(), ("flights", "local"), Names::OfStack, 4).await.unwrap()
    }

    /// The state, from the cloud and the program alone.
    async fn recover(&self, program: &Program, lineage: &str) -> Recovered {
        let empty = Snapshot { lineage: lineage.to_owned(), ..Snapshot::new("flights", "local") };
        let found = self.search().await;
        rebuild(empty, &found, program, &self.cloud.provider(), |_| true, 4).await.unwrap()
    }

    fn is_planned(&self, program: &Program, prior: &Snapshot) -> usize {
        let provider = self.cloud.provider();
        let inputs = Inputs { program, prior, schemas: provider.schemas(), config_hash: "c" };
        plan(inputs).unwrap().steps.len()
    }
}

fn program(choices: [u8; 5]) -> Program {
    let [buckets, versioning, policy, permission, logs] = choices;
    let mut program = Program::default();
    let names = ["raw", "processed"];
    let handles: Vec<Handle<Bucket>> =
        names[..usize::from(buckets % 3)].iter().map(|name| program.declare(name, Bucket::default())).collect();
    if let (Some(bucket), 1..) = (handles.first(), versioning % 3) {
        let part = BucketVersioning { bucket: bucket.name(), status: "Enabled".into() };
        let part = program.declare("part", part);
        if versioning % 3 == 2 {
            program.retain(&part);
        }
        program.output("raw", bucket.arn());
    }
    if policy % 3 > 0 {
        let role = program.declare("role", Role { trust: json!({ "n": policy }), description: "role".into() });
        let resources: Vec<_> = handles.iter().map(|bucket| bucket.arn().to_value()).collect();
        let document = json!({ "Sid": policy % 3, "Resource": resources });
        let policy = program.declare("policy", RolePolicy { role: role.name(), policy: "p".into(), document });
        if permission % 2 == 1 {
            let permission = Permission {
                function: role.name(),
                statement: "s".into(),
                principal: "s3.amazonaws.com".into(),
                source_arn: role.arn(),
                source_account: "".into(),
            };
            let permission = program.declare("permission", permission);
            program.after(&permission, &policy);
        }
    }
    if logs % 2 == 1 {
        program.declare("group", LogGroup { retention_days: 30.into() });
    }
    program
}

/// What recovering cannot tell, and nobody needs.
fn comparable(snapshot: &Snapshot) -> Snapshot {
    Snapshot { serial: 0, tombstones: BTreeMap::new(), ..snapshot.clone() }
}

#[tokio::test]
async fn a_role_replaced_half_way_comes_back_with_the_old_one_to_be_deleted() {
    let stack = Stack::new().await;
    let declared = program([1, 0, 1, 0, 0]);
    let before = stack.apply(&declared).await;
    let role: Address = "aws:iam:Role/role".parse().unwrap();
    let old = &before.resources[&role];
    let tags = ownership_tags(&before, &role, 2);
    let key = (role.kind().to_owned(), "flights-local-role-ffffff".to_owned());
    stack.cloud.things.lock().unwrap().insert(key, Thing { inputs: old.inputs.unpack(), tags });
    let after = stack.recover(&declared, &before.lineage).await.snapshot;
    assert_eq!((after.resources[&role].generation, after.deposed[0].identity.as_str()), (2, old.identity.as_str()));
}

#[tokio::test]
async fn what_is_no_longer_declared_is_recorded_with_what_it_must_be_deleted_before() {
    let stack = Stack::new().await;
    let before = stack.apply(&program([2, 1, 1, 0, 1])).await;
    let nothing = Program::default();
    let recovered = stack.recover(&nothing, &before.lineage).await;
    assert_eq!(recovered.undeclared.len(), 4, "two buckets, a role and a log group");
    assert!(recovered.snapshot.resources.values().all(|recorded| recorded.retain), "as the caller said");
}

#[tokio::test]
async fn another_stacks_things_are_not_found_though_their_names_begin_alike() {
    let stack = Stack::new().await;
    let declared = program([1, 0, 0, 0, 0]);
    let ours = stack.apply(&declared).await;
    let other = Snapshot::new("flights", "local-2");
    let address: Address = "aws:s3:Bucket/raw".parse().unwrap();
    let key = ("aws:s3:Bucket".to_owned(), "flights-local-2-raw-ffffff".to_owned());
    let thing = Thing { inputs: Fields::new(), tags: ownership_tags(&other, &address, 1) };
    stack.cloud.things.lock().unwrap().insert(key, thing);
    let found = stack.search().await;
    assert_eq!(found.lineages(), BTreeMap::from([(ours.lineage.as_str(), 1)]));
}

#[tokio::test]
async fn two_that_say_they_are_the_same_are_refused_and_both_are_named() {
    let stack = Stack::new().await;
    let before = stack.apply(&program([1, 0, 0, 0, 0])).await;
    let address: Address = "aws:s3:Bucket/raw".parse().unwrap();
    let key = ("aws:s3:Bucket".to_owned(), "flights-local-copy".to_owned());
    let thing = Thing { inputs: Fields::new(), tags: ownership_tags(&before, &address, 1) };
    stack.cloud.things.lock().unwrap().insert(key, thing);
    let empty = Snapshot { lineage: before.lineage.clone(), ..Snapshot::new("flights", "local") };
    let (found, provider) = (stack.search().await, stack.cloud.provider());
    let refused = rebuild(empty, &found, &Program::default(), &provider, |_| false, 4).await.unwrap_err();
    let message = refused.to_string();
    assert!(
        message.contains("flights-local-copy") && message.contains(&before.resources[&address].identity),
        "{message}"
    );
    let refused = rebuild(before, &found, &Program::default(), &provider, |_| false, 4).await.unwrap_err();
    assert!(matches!(refused, RecoverError::Twice { .. }), "the state's own counts too");
}

#[tokio::test]
async fn a_part_of_what_is_not_there_is_not_taken_in() {
    let stack = Stack::new().await;
    let declared = program([1, 1, 0, 0, 0]);
    let before = stack.apply(&declared).await;
    stack.cloud.things.lock().unwrap().retain(|(kind, _), _| kind != "aws:s3:Bucket");
    let recovered = stack.recover(&declared, &before.lineage).await;
    assert!(recovered.snapshot.resources.is_empty() && recovered.missing.len() == 2, "{recovered:?}");
    assert!(recovered.snapshot.outputs.is_empty());
}

proptest! {
    #[test]
    fn what_was_applied_is_recovered_and_the_next_plan_has_nothing_to_do(
        first: [u8; 5],
        second: [u8; 5],
    ) {
        let runtime = tokio::runtime::Builder::new_current_thread().build().unwrap();
        runtime.block_on(async {
            let stack = Stack::new().await;
            stack.apply(&program(first)).await;
            let declared = program(second);
            let before = stack.apply(&declared).await;
            let recovered = stack.recover(&declared, &before.lineage).await;
            prop_assert_eq!(comparable(&recovered.snapshot), comparable(&before));
            prop_assert_eq!(stack.is_planned(&declared, &recovered.snapshot), 0);
            prop_assert_eq!(recovered.added.len(), before.resources.len());
            let (found, provider) = (stack.search().await, stack.cloud.provider());
            let again = rebuild(before.clone(), &found, &declared, &provider, |_| false, 4).await.unwrap();
            prop_assert_eq!(again.added, Vec::<Address>::new());
            Ok(())
        })?;
    }
}
