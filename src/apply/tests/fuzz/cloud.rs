//! A cloud that watches how it is called: what went before each call, and what depends on what it deletes.

use std::{
    collections::BTreeMap,
    sync::{
        Arc, Mutex,
        atomic::{AtomicU64, Ordering},
    },
};

use async_trait::async_trait;
use serde_json::{Value, json};

use super::{
    case::Fault,
    disk::Disk,
    kinds::{KEYED, NAMED, SCHEMAS, kind_of},
    shared::Shared,
};
use crate::{
    plan::{Operation, Plan, Step},
    provider::{ErrorKind, Kind, Observed, Patience, Provider, ProviderError, Tags, Target, fake::TestClock},
    refresh::ownership_tags,
    resource::{Address, Fields, Ownership, Schema},
    state::{Recorded, Snapshot, store::Store},
};

/// What tells two things apart: their kind, by its place among the schemas, and what it is known by.
pub type Key = (usize, String);

/// Something in the cloud.
#[derive(Debug, Clone, PartialEq)]
pub struct Thing {
    pub inputs: Fields,
    pub tags: Tags,
    /// Tells it from another that had its name before.
    pub serial: u64,
    /// Rises with every change.
    pub version: u64,
    /// When a call of ours made or changed it last, on the clock of the serials.
    pub touched: u64,
    /// Somebody else's.
    pub foreign: bool,
    /// It was retained and left. What it referred to then is forgotten.
    pub left: bool,
}

impl Thing {
    pub fn outputs(&self, key: &Key) -> Fields {
        let (kind, name) = (SCHEMAS[key.0].kind, &key.1);
        let outputs = json!({
            "name": name,
            "arn": format!("arn|{kind}|{name}|{}", self.serial),
            "version": format!("version|{kind}|{name}|{}", self.version),
        });
        outputs.as_object().expect("an object").clone()
    }

    /// What it refers to: key, and the number that its output had.
    fn references(&self) -> Vec<(Key, Option<(&'static str, u64)>)> {
        let text = |value: &Value| value.as_str().map(str::to_owned);
        let mut found = Vec::new();
        if let Some(parent) = self.inputs.get("parent").and_then(text) {
            found.push((by_name(&parent), None));
        }
        for edge in self.inputs.get("on").and_then(Value::as_array).into_iter().flatten().filter_map(text) {
            let parts: Vec<&str> = edge.split('|').collect();
            match parts[..] {
                ["arn", kind, name, number] => {
                    found.push(((kind_of(kind), name.to_owned()), Some(("serial", number.parse().unwrap()))));
                }
                ["version", kind, name, number] => {
                    found.push(((kind_of(kind), name.to_owned()), Some(("version", number.parse().unwrap()))));
                }
                _ => found.push((by_name(&edge), None)),
            }
        }
        found
    }
}

/// Names of different kinds differ, but for parts, which nobody refers to by name.
fn by_name(name: &str) -> Key {
    let kind = match name.chars().next() {
        Some('b') => KEYED,
        Some('e') => super::kinds::LONE,
        _ => NAMED,
    };
    (kind, name.to_owned())
}

/// The cloud.
pub struct Cloud {
    pub things: Mutex<BTreeMap<Key, Thing>>,
    /// Calls that change something, `create fuzz:a:Named lake-…`.
    pub calls: Mutex<Vec<String>>,
    serials: AtomicU64,
    shared: Arc<Shared>,
    store: Store,
}

impl Cloud {
    pub fn new(shared: &Arc<Shared>, disk: &Disk) -> Arc<Self> {
        Arc::new(Cloud {
            things: Mutex::default(),
            calls: Mutex::default(),
            serials: AtomicU64::new(1),
            shared: Arc::clone(shared),
            store: Store::new(disk.clone()),
        })
    }

    pub fn provider(self: &Arc<Self>) -> Provider {
        Provider::new(SCHEMAS.iter().enumerate().map(|(place, schema)| {
            let kind: Box<dyn Kind> = Box::new(Watched { place, schema, cloud: Arc::clone(self) });
            kind
        }))
        .with_patience(Patience::on(TestClock::default()))
    }

    /// Puts a thing there, and tells its outputs.
    pub fn put(&self, key: &Key, inputs: &Fields, tags: Tags, foreign: bool) -> Fields {
        let serial = self.serials.fetch_add(1, Ordering::Relaxed);
        let version = serial * 100;
        let thing = Thing { inputs: inputs.clone(), tags, serial, version, touched: serial, foreign, left: false };
        let outputs = thing.outputs(key);
        self.things.lock().unwrap().insert(key.clone(), thing);
        outputs
    }

    /// Takes a thing away, with its parts.
    pub fn take(&self, key: &Key) {
        let mut things = self.things.lock().unwrap();
        things.remove(key);
        if key.0 <= KEYED {
            let parent = Value::String(key.1.clone());
            things.retain(|_, thing| thing.inputs.get("parent") != Some(&parent));
        }
    }

    /// The tags of a thing of this snapshot's stack.
    pub fn tags(snapshot: &Snapshot, recorded: &Recorded) -> Tags {
        match SCHEMAS[kind_of(recorded.address.kind())].ownership {
            Ownership::Tags => ownership_tags(snapshot, &recorded.address, recorded.generation),
            _ => Tags::new(),
        }
    }
}

struct Watched {
    place: usize,
    schema: &'static Schema,
    cloud: Arc<Cloud>,
}

impl Watched {
    fn key(&self, target: Target<'_>) -> Key {
        (self.place, target.identity.to_owned())
    }

    /// One call: what must be durable is, then what is to go wrong goes wrong.
    async fn mutate<R>(
        &self,
        verb: &str,
        target: Target<'_>,
        effect: impl FnOnce() -> Result<R, ProviderError>,
    ) -> Result<R, ProviderError> {
        let shared = &self.cloud.shared;
        shared.moment().await;
        let durable = self.cloud.store.load().await.expect("the state is sound").expect("there is a state").snapshot;
        let plan = shared.plan.lock().unwrap().clone().expect("calls follow from a plan");
        let watch = Watch { cloud: &self.cloud, durable: &durable, plan: &plan, key: self.key(target) };
        if let Err(violation) = watch.check(verb, target.inputs) {
            shared.violation(format!("{verb} {} {}: {violation}", self.schema.kind, target.identity));
        }
        self.cloud.calls.lock().unwrap().push(format!("{verb} {} {}", self.schema.kind, target.identity));
        let failed = |kind| Err(ProviderError::new(kind, verb, "as the case wants it"));
        match shared.fault() {
            Fault::NotYet(_) => failed(ErrorKind::NotYet),
            Fault::Before => failed(ErrorKind::Unreachable),
            Fault::Works => {
                let result = effect()?;
                shared.moment().await;
                Ok(result)
            }
            Fault::After => {
                effect()?;
                shared.moment().await;
                failed(ErrorKind::Unreachable)
            }
        }
    }

    fn kept_tags(&self, tags: &Tags) -> Tags {
        if self.schema.ownership == Ownership::Tags { tags.clone() } else { Tags::new() }
    }
}

#[async_trait]
impl Kind for Watched {
    fn schema(&self) -> &'static Schema {
        self.schema
    }

    async fn observe(&self, target: Target<'_>) -> Result<Option<Observed>, ProviderError> {
        self.cloud.shared.moment().await;
        if self.cloud.shared.read_fails() {
            return Err(ProviderError::new(ErrorKind::Unreachable, "observe", "as the case wants it"));
        }
        let key = self.key(target);
        Ok(self.cloud.things.lock().unwrap().get(&key).map(|thing| {
            let mut inputs = thing.inputs.clone();
            inputs.remove("secret");
            Observed { inputs, outputs: thing.outputs(&key), tags: thing.tags.clone() }
        }))
    }

    async fn create(&self, target: Target<'_>, tags: &Tags) -> Result<Fields, ProviderError> {
        let key = self.key(target);
        self.mutate("create", target, || {
            if self.cloud.things.lock().unwrap().contains_key(&key) {
                return Err(ProviderError::new(ErrorKind::AlreadyExists, "create", "it is there"));
            }
            Ok(self.cloud.put(&key, target.inputs, self.kept_tags(tags), false))
        })
        .await
    }

    async fn update(&self, target: Target<'_>, prior: &Fields, tags: &Tags) -> Result<Fields, ProviderError> {
        let key = self.key(target);
        self.mutate("update", target, || {
            let mut things = self.cloud.things.lock().unwrap();
            let thing = things
                .get_mut(&key)
                .ok_or_else(|| ProviderError::new(ErrorKind::NotFound, "update", "it is not there"))?;
            // As services do: what is said not to have changed is not sent, hence not set.
            for (name, value) in target.inputs {
                if prior.get(name) != Some(value) {
                    thing.inputs.insert(name.clone(), value.clone());
                }
            }
            thing.inputs.retain(|name, _| target.inputs.contains_key(name));
            thing.tags = self.kept_tags(tags);
            thing.version += 1;
            thing.left = false;
            thing.touched = self.cloud.serials.fetch_add(1, Ordering::Relaxed);
            Ok(thing.outputs(&key))
        })
        .await
    }

    async fn delete(&self, target: Target<'_>) -> Result<(), ProviderError> {
        let key = self.key(target);
        self.mutate("delete", target, || {
            self.cloud.take(&key);
            Ok(())
        })
        .await
    }
}

/// One call, looked at before it takes effect.
struct Watch<'a> {
    cloud: &'a Cloud,
    /// The state as a crash would leave it now.
    durable: &'a Snapshot,
    plan: &'a Plan,
    key: Key,
}

impl Watch<'_> {
    fn check(&self, verb: &str, inputs: &Fields) -> Result<(), String> {
        let things = self.cloud.things.lock().unwrap();
        let there = things.get(&self.key);
        if there.is_some_and(|thing| thing.foreign) {
            return Err("it is somebody else's".to_owned());
        }
        let mut intents = self.durable.pending.iter().filter(|intent| {
            let planned = &intent.planned;
            let covers = intent.operation == verb || intent.operation == "create" && verb == "update";
            kind_of(planned.address.kind()) == self.key.0
                && planned.identity == self.key.1
                && planned.inputs.unpack() == *inputs
                && covers
        });
        let intent = intents.next_back().ok_or("no intent was durable before")?;
        if verb == "create" && !intent.observed_absent {
            return Err("its intent says that it is there".to_owned());
        }
        if verb == "delete" {
            return self.check_delete(&intent.planned, &things);
        }
        self.check_ensure(&intent.planned, inputs, &things)
    }

    /// What it depends on is there, is recorded, and is as the call says.
    fn check_ensure(&self, planned: &Recorded, inputs: &Fields, things: &BTreeMap<Key, Thing>) -> Result<(), String> {
        for on in &planned.dependencies {
            if !self.durable.resources.contains_key(on) {
                return Err(format!("it needs {on}, which is not recorded"));
            }
            let at_work = |operation: &str| operation != "delete";
            if self.durable.pending.iter().any(|it| it.planned.address == *on && at_work(&it.operation)) {
                return Err(format!("it needs {on}, which is at work"));
            }
        }
        let wanted = Thing {
            inputs: inputs.clone(),
            tags: Tags::new(),
            serial: 0,
            version: 0,
            touched: 0,
            foreign: false,
            left: false,
        };
        for (key, number) in wanted.references() {
            let thing = things.get(&key).ok_or_else(|| format!("it needs {key:?}, which is not there"))?;
            let told = match number {
                Some(("serial", number)) => number == thing.serial,
                Some((_, number)) => number == thing.version,
                None => true,
            };
            if !told {
                return Err(format!("it was told of another {key:?} than there is: {number:?}, {thing:?}"));
            }
        }
        Ok(())
    }

    /// Nothing needs it any more, but what cannot move before it is gone.
    fn check_delete(&self, planned: &Recorded, things: &BTreeMap<Key, Thing>) -> Result<(), String> {
        let own = self.step(|step| step.address == planned.address && self.removes(step, planned));
        let own = own.ok_or("no step of the plan deletes it")?;
        let Some(gone) = things.get(&self.key) else { return Ok(()) };
        for (key, user) in things.iter().filter(|(key, thing)| **key != self.key && !thing.foreign && !thing.left) {
            // What was made before this referred to another of its name.
            if user.touched < gone.serial || !user.references().iter().any(|(on, _)| *on == self.key) {
                continue;
            }
            let known = self.durable.known().find(|it| key_of(it) == *key);
            let Some(known) = known else { continue };
            let moves = self.step(|step| {
                step.address == known.address && matches!(step.operation, Operation::Update(_) | Operation::Create(_))
            });
            let comes = self.comes_again();
            let forgotten = self.step(|step| {
                step.address == known.address
                    && matches!(step.operation, Operation::Forget | Operation::ForgetDeposed(_))
            });
            let after = |step: Option<usize>| step.is_some_and(|step| self.waits_for(step, own));
            let goes = self.step(|step| step.address == known.address && self.removes(step, known));
            if !after(moves) && !after(comes) && !after(goes) && forgotten.is_none() {
                return Err(format!("{} ({key:?}) still needs it", known.address));
            }
        }
        Ok(())
    }

    fn removes(&self, step: &Step, planned: &Recorded) -> bool {
        match &step.operation {
            Operation::Delete => {
                let current = self.durable.resources.get(&step.address);
                current.is_some_and(|current| current.identity == planned.identity)
            }
            Operation::DeleteDeposed(identity) => *identity == planned.identity,
            _ => false,
        }
    }

    /// The step that makes what has this name afterwards.
    fn comes_again(&self) -> Option<usize> {
        let change = self.plan.changes.iter().find(|change| {
            let made = self.step_of(&change.address).is_some();
            made && kind_of(change.address.kind()) == self.key.0 && change.identity.as_ref() == Some(&self.key.1)
        })?;
        self.step_of(&change.address)
    }

    fn step_of(&self, address: &Address) -> Option<usize> {
        self.step(|step| step.address == *address && matches!(step.operation, Operation::Create(_)))
    }

    fn step(&self, is_it: impl Fn(&Step) -> bool) -> Option<usize> {
        self.plan.steps.iter().position(is_it)
    }

    fn waits_for(&self, step: usize, other: usize) -> bool {
        step == other || self.plan.steps[step].after.iter().any(|&earlier| self.waits_for(earlier, other))
    }
}

/// What a record's thing is known by.
pub fn key_of(recorded: &Recorded) -> Key {
    (kind_of(recorded.address.kind()), recorded.identity.clone())
}
