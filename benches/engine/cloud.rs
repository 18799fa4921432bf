//! A cloud in memory: it keeps the inputs and tags of every thing as it was told them, and answers at once. Between
//! processes it is a file. It holds each thing as one line of JSON, as a service holds it in its database, and makes
//! the answer anew for every question.

use std::{
    collections::HashMap,
    fs, io,
    path::Path,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
};

use async_trait::async_trait;
use lake::{
    provider::{ErrorKind, Kind, Observed, Provider, ProviderError, Tags, Target},
    resource::{Fields, Resource, Schema},
};
use serde::{Deserialize, Serialize};

use crate::shape::Thing;

/// Things, by identity.
type Things = HashMap<Box<str>, Box<str>>;

/// A line of it.
#[derive(Debug, Serialize, Deserialize)]
struct Kept<I, T> {
    inputs: I,
    tags: T,
}

/// The cloud.
#[derive(Debug, Default)]
pub struct Cloud {
    things: Mutex<Things>,
}

impl Cloud {
    /// The cloud as the last process left it in `file`; empty where there is none.
    pub fn load(file: &Path) -> io::Result<Self> {
        let text = match fs::read_to_string(file) {
            Ok(text) => text,
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(Cloud::default()),
            Err(error) => return Err(error),
        };
        let things = text.lines().filter_map(|line| line.split_once(' '));
        Ok(Cloud { things: Mutex::new(things.map(|(identity, kept)| (identity.into(), kept.into())).collect()) })
    }

    /// Leaves it for the next process.
    pub fn save(&self, file: &Path) -> io::Result<()> {
        let lines = self.things().iter().map(|(identity, kept)| format!("{identity} {kept}\n")).collect::<String>();
        fs::write(file, lines)
    }

    /// How many things there are.
    pub fn count(&self) -> usize {
        self.things().len()
    }

    /// A provider of its one kind.
    pub fn provider(self: &Arc<Self>) -> Provider {
        let kind: Box<dyn Kind> = Box::new(ThingKind { cloud: Arc::clone(self) });
        Provider::new([kind])
    }

    fn things(&self) -> MutexGuard<'_, Things> {
        self.things.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// What a thing is and whose, as the cloud keeps it.
fn kept(target: Target<'_>, tags: &Tags) -> Box<str> {
    serde_json::to_string(&Kept { inputs: target.inputs, tags }).expect("inputs and tags are plain data").into()
}

fn outputs(identity: &str) -> Fields {
    let mut outputs = Fields::new();
    outputs.insert("name".to_owned(), identity.into());
    outputs.insert("arn".to_owned(), format!("arn:bench:memory:::thing/{identity}").into());
    outputs
}

/// The lifecycle of a thing.
struct ThingKind {
    cloud: Arc<Cloud>,
}

#[async_trait]
impl Kind for ThingKind {
    fn schema(&self) -> &'static Schema {
        Thing::SCHEMA
    }

    async fn observe(&self, target: Target<'_>) -> Result<Option<Observed>, ProviderError> {
        let things = self.cloud.things();
        let Some(kept) = things.get(target.identity) else { return Ok(None) };
        let Kept { inputs, tags } = serde_json::from_str::<Kept<Fields, Tags>>(kept)
            .map_err(|error| ProviderError::new(ErrorKind::Invalid, "observe", error.to_string()))?;
        Ok(Some(Observed { inputs, outputs: outputs(target.identity), tags }))
    }

    async fn create(&self, target: Target<'_>, tags: &Tags) -> Result<Fields, ProviderError> {
        let mut things = self.cloud.things();
        if things.contains_key(target.identity) {
            return Err(ProviderError::new(ErrorKind::AlreadyExists, "create", target.identity));
        }
        things.insert(target.identity.into(), kept(target, tags));
        Ok(outputs(target.identity))
    }

    async fn update(&self, target: Target<'_>, _prior: &Fields, tags: &Tags) -> Result<Fields, ProviderError> {
        match self.cloud.things().get_mut(target.identity) {
            Some(thing) => *thing = kept(target, tags),
            None => return Err(ProviderError::new(ErrorKind::NotFound, "update", target.identity)),
        }
        Ok(outputs(target.identity))
    }

    async fn delete(&self, target: Target<'_>) -> Result<(), ProviderError> {
        self.cloud.things().remove(target.identity);
        Ok(())
    }
}
