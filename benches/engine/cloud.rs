//! A cloud in memory: it keeps the inputs and tags of every thing as it was told them, and answers at once. Between
//! processes it is a file. It holds each thing as one line of JSON, as a service holds it in its database, and makes
//! the answer anew for every question.

use std::{
    collections::BTreeMap,
    fs,
    io::{self, Write},
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

/// What the cloud has, as the last process left it and what this one did.
#[derive(Debug, Default)]
struct Things {
    /// A line a thing, `identity {"inputs":…,"tags":…}`, in the order of identities.
    before: String,
    /// Where each of them begins.
    begins: Vec<usize>,
    /// What is otherwise since; `None` for what is gone.
    since: BTreeMap<Box<str>, Option<Box<str>>>,
}

impl Things {
    /// Identity and what is kept, of the line that begins there.
    fn line(&self, begin: usize) -> (&str, &str) {
        self.before[begin..].lines().next().and_then(|line| line.split_once(' ')).unwrap_or_default()
    }

    fn get(&self, identity: &str) -> Option<&str> {
        if let Some(since) = self.since.get(identity) {
            return since.as_deref();
        }
        let place = self.begins.partition_point(|begin| self.line(*begin).0 < identity);
        let (found, kept) = self.line(*self.begins.get(place)?);
        (found == identity).then_some(kept)
    }

    fn all(&self) -> BTreeMap<&str, &str> {
        let mut all: BTreeMap<&str, &str> = self.begins.iter().map(|begin| self.line(*begin)).collect();
        for (identity, since) in &self.since {
            match since {
                Some(kept) => drop(all.insert(identity, kept)),
                None => drop(all.remove(&**identity)),
            }
        }
        all
    }
}

impl Cloud {
    /// The cloud as the last process left it in `file`; empty where there is none.
    pub fn load(file: &Path) -> io::Result<Self> {
        let before = match fs::read_to_string(file) {
            Ok(text) => text,
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(Cloud::default()),
            Err(error) => return Err(error),
        };
        let ends = before.match_indices('\n').map(|(end, _)| end + 1);
        let begins = [0].into_iter().chain(ends).filter(|begin| *begin < before.len()).collect();
        Ok(Cloud { things: Mutex::new(Things { before, begins, since: BTreeMap::new() }) })
    }

    /// Leaves it for the next process.
    pub fn save(&self, file: &Path) -> io::Result<()> {
        let mut file = io::BufWriter::new(fs::File::create(file)?);
        for (identity, kept) in self.things().all() {
            writeln!(file, "{identity} {kept}")?;
        }
        file.flush()
    }

    /// How many things there are.
    pub fn count(&self) -> usize {
        self.things().all().len()
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
        if things.get(target.identity).is_some() {
            return Err(ProviderError::new(ErrorKind::AlreadyExists, "create", target.identity));
        }
        things.since.insert(target.identity.into(), Some(kept(target, tags)));
        Ok(outputs(target.identity))
    }

    async fn update(&self, target: Target<'_>, _prior: &Fields, tags: &Tags) -> Result<Fields, ProviderError> {
        let mut things = self.cloud.things();
        if things.get(target.identity).is_none() {
            return Err(ProviderError::new(ErrorKind::NotFound, "update", target.identity));
        }
        things.since.insert(target.identity.into(), Some(kept(target, tags)));
        Ok(outputs(target.identity))
    }

    async fn delete(&self, target: Target<'_>) -> Result<(), ProviderError> {
        self.cloud.things().since.insert(target.identity.into(), None);
        Ok(())
    }
}
