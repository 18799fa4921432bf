//! A cloud in memory for the engine's tests: every kind, with calls that fail before or after their effect.

use std::{
    collections::{BTreeMap, VecDeque},
    sync::{Arc, Mutex},
    time::Duration,
};

use async_trait::async_trait;
use serde_json::json;

use super::{Clock, ErrorKind, Kind, Observed, Patience, Provider, ProviderError, Tags, Target};
use crate::resource::{Fields, Ownership, Schema, aws::SCHEMAS};

/// A clock on which pauses pass at once, and every random part is the whole.
#[derive(Debug, Default)]
pub struct TestClock(Mutex<Duration>);

#[async_trait]
impl Clock for TestClock {
    fn now(&self) -> Duration {
        *self.0.lock().unwrap()
    }

    async fn sleep(&self, pause: Duration) {
        *self.0.lock().unwrap() += pause;
        tokio::task::yield_now().await;
    }

    fn part(&self, whole: Duration) -> Duration {
        whole
    }
}

#[async_trait]
impl Clock for Arc<TestClock> {
    fn now(&self) -> Duration {
        self.as_ref().now()
    }

    async fn sleep(&self, pause: Duration) {
        self.as_ref().sleep(pause).await;
    }

    fn part(&self, whole: Duration) -> Duration {
        self.as_ref().part(whole)
    }
}

/// What a call does instead of answering.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Fault {
    /// It works.
    None,
    /// It fails and changes nothing.
    Before,
    /// It takes effect and its answer is lost.
    After,
    /// What it needs is not visible yet, and it changes nothing.
    NotYet,
    /// The service asks for fewer calls, and it changes nothing.
    Throttled,
}

/// Everything in the cloud, by kind and identity.
pub type Things = BTreeMap<(String, String), Thing>;

#[derive(Debug, Clone, PartialEq)]
pub struct Thing {
    pub inputs: Fields,
    pub tags: Tags,
}

/// The cloud in memory.
#[derive(Default)]
pub struct Cloud {
    pub things: Mutex<Things>,
    /// What the next mutating calls do; when it is used up they work.
    pub faults: Mutex<VecDeque<Fault>>,
    /// Why the next calls that observe fail; when it is used up they work.
    pub read_faults: Mutex<VecDeque<ErrorKind>>,
    /// Mutating calls, in order: `create aws:s3:Bucket flights-local-raw-…`.
    pub calls: Mutex<Vec<String>>,
}

impl Cloud {
    /// A provider of every kind in this cloud.
    pub fn provider(self: &Arc<Self>) -> Provider {
        Provider::new(SCHEMAS.iter().map(|schema| {
            let kind: Box<dyn Kind> = Box::new(FakeKind { schema, cloud: Arc::clone(self) });
            kind
        }))
        .with_patience(Patience::on(TestClock::default()))
    }
}

struct FakeKind {
    schema: &'static Schema,
    cloud: Arc<Cloud>,
}

impl FakeKind {
    fn key(&self, target: Target<'_>) -> (String, String) {
        (self.schema.kind.to_owned(), target.identity.to_owned())
    }

    fn mutate(&self, verb: &str, target: Target<'_>, effect: impl FnOnce(&mut Things)) -> Result<(), ProviderError> {
        self.cloud.calls.lock().unwrap().push(format!("{verb} {} {}", self.schema.kind, target.identity));
        let fault = self.cloud.faults.lock().unwrap().pop_front().unwrap_or(Fault::None);
        if matches!(fault, Fault::None | Fault::After) {
            effect(&mut self.cloud.things.lock().unwrap());
        }
        let kind = match fault {
            Fault::None => return Ok(()),
            Fault::Before | Fault::After => ErrorKind::Unreachable,
            Fault::NotYet => ErrorKind::NotYet,
            Fault::Throttled => ErrorKind::Throttled,
        };
        Err(ProviderError::new(kind, verb, "no answer"))
    }

    fn tags(&self, tags: &Tags) -> Tags {
        if self.schema.ownership == Ownership::Tags { tags.clone() } else { Tags::new() }
    }
}

fn outputs(target: Target<'_>) -> Fields {
    let outputs = json!({ "name": target.identity, "arn": format!("arn:fake:{}", target.identity) });
    outputs.as_object().unwrap().clone()
}

#[async_trait]
impl Kind for FakeKind {
    fn schema(&self) -> &'static Schema {
        self.schema
    }

    async fn observe(&self, target: Target<'_>) -> Result<Option<Observed>, ProviderError> {
        if let Some(kind) = self.cloud.read_faults.lock().unwrap().pop_front() {
            return Err(ProviderError::new(kind, "observe", "no answer"));
        }
        let things = self.cloud.things.lock().unwrap();
        Ok(things.get(&self.key(target)).map(|thing| Observed {
            inputs: thing.inputs.clone(),
            outputs: outputs(target),
            tags: thing.tags.clone(),
        }))
    }

    async fn list(&self, prefix: &str) -> Result<Option<Vec<String>>, ProviderError> {
        let things = self.cloud.things.lock().unwrap();
        let names = things.keys().filter(|(kind, name)| *kind == self.schema.kind && name.starts_with(prefix));
        Ok(Some(names.map(|(_, name)| name.clone()).collect()))
    }

    async fn tag(&self, target: Target<'_>, tags: &Tags) -> Result<(), ProviderError> {
        let key = self.key(target);
        self.mutate("tag", target, |things| {
            if let Some(thing) = things.get_mut(&key) {
                thing.tags.extend(tags.clone());
            }
        })
    }

    async fn create(&self, target: Target<'_>, tags: &Tags) -> Result<Fields, ProviderError> {
        if self.cloud.things.lock().unwrap().contains_key(&self.key(target)) {
            return Err(ProviderError::new(ErrorKind::AlreadyExists, "create", "it is there"));
        }
        let thing = Thing { inputs: target.inputs.clone(), tags: self.tags(tags) };
        self.mutate("create", target, |things| drop(things.insert(self.key(target), thing)))?;
        Ok(outputs(target))
    }

    async fn update(&self, target: Target<'_>, _prior: &Fields, tags: &Tags) -> Result<Fields, ProviderError> {
        let thing = Thing { inputs: target.inputs.clone(), tags: self.tags(tags) };
        self.mutate("update", target, |things| drop(things.insert(self.key(target), thing)))?;
        Ok(outputs(target))
    }

    async fn delete(&self, target: Target<'_>) -> Result<(), ProviderError> {
        self.mutate("delete", target, |things| drop(things.remove(&self.key(target))))
    }
}
