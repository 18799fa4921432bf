//! What is to happen to each resource: declared against prior.

use std::collections::{BTreeMap, HashMap};

use serde::{Deserialize, Serialize};
use serde_json::Value;

use super::{Action, Desired, PlanError};
use crate::{
    graph::{Cycle, Graph},
    resource::{
        Address, Declared, Fields, Naming, Program, Reference, Schema, Schemas, is_unknown, physical_name, resolve,
    },
    state::{Recorded, Snapshot},
};

/// What happens to one resource.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Change {
    /// Which one.
    pub address: Address,
    /// What.
    pub action: Action,
    /// What the cloud knows it by, or will; absent when that is known only after apply.
    pub identity: Option<String>,
    /// Its fields before and after.
    pub fields: Vec<FieldChange>,
}

/// One field before and after.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct FieldChange {
    /// Path within the inputs, `environment.LAKE_MANIFEST`.
    pub path: String,
    /// Its value before; absent when there was none.
    pub before: Option<Value>,
    /// Its value after; absent when there is none. A value with references is known only after apply.
    pub after: Option<Value>,
    /// This change is why the resource is replaced.
    pub replaces: bool,
}

/// A change, and what it needs to be done.
#[derive(Debug, Clone)]
pub(super) struct Decision {
    pub change: Change,
    /// What it is to be; absent for what goes.
    pub desired: Option<Desired>,
}

/// Decides for every declared and every recorded resource, in dependency order; what goes comes last.
pub(super) fn decide(program: &Program, prior: &Snapshot, schemas: &Schemas) -> Result<Vec<Decision>, PlanError> {
    let declared: BTreeMap<&Address, &Declared> =
        program.resources().iter().map(|declared| (&declared.address, declared)).collect();
    let mut graph = Graph::default();
    for resource in program.resources() {
        graph.insert(&resource.address);
        for dependency in resource.dependencies() {
            let (dependency, _) = declared.get_key_value(&dependency).expect("BUG: the program was checked");
            graph.order(&resource.address, *dependency);
        }
    }
    let sorted = graph.sorted().map_err(|cycle| PlanError::Cycle(Cycle::owned(&cycle)))?;
    let mut planner = Planner { prior, schemas, decided: HashMap::new(), decisions: Vec::new() };
    for address in sorted {
        planner.decide(declared[*address])?;
    }
    planner.decide_undeclared(&declared)?;
    Ok(planner.decisions)
}

impl Cycle<Address> {
    fn owned(cycle: &Cycle<&Address>) -> Self {
        Cycle(cycle.0.iter().map(|address| (*address).clone()).collect())
    }
}

struct Planner<'a> {
    prior: &'a Snapshot,
    schemas: &'a Schemas,
    /// What is known of each decided resource's outputs.
    decided: HashMap<Address, Known>,
    decisions: Vec<Decision>,
}

/// Which outputs of a resource are known before apply.
enum Known {
    /// Nothing but the physical name.
    Name(Option<String>),
    /// The recorded ones, less those an update changes.
    Recorded { volatile: &'static [&'static str] },
}

impl Planner<'_> {
    fn lookup(&self, reference: &Reference) -> Option<Value> {
        match self.decided.get(&reference.address)? {
            Known::Name(name) => (reference.output == "name").then(|| name.clone().map(Value::String)).flatten(),
            Known::Recorded { volatile } if volatile.contains(&reference.output.as_str()) => None,
            Known::Recorded { .. } => self.prior.output(reference),
        }
    }

    fn decide(&mut self, declared: &Declared) -> Result<(), PlanError> {
        let address = &declared.address;
        let schema = self.schemas.get(address.kind()).ok_or_else(|| PlanError::Kind(address.clone()))?;
        let inputs: Fields = declared
            .inputs
            .iter()
            .map(|(name, value)| (name.clone(), resolve(value, &|reference| self.lookup(reference))))
            .collect();
        let desired = |generation| Desired {
            generation,
            name: self.name(schema, address, generation),
            inputs: inputs.clone(),
            dependencies: declared.dependencies(),
            retain: declared.retain,
        };
        let (action, fields, desired) = match self.prior.resources.get(address) {
            None => {
                let desired = desired(self.first_generation(address));
                (Action::Create, diff(&Fields::new(), &inputs, &[]), desired)
            }
            Some(recorded) => {
                let fields = diff(&recorded.inputs, &inputs, schema.replace_on);
                let replaced = desired(recorded.generation + 1);
                match self.compare(schema, recorded, declared, &fields, &replaced) {
                    action @ (Action::ReplaceCreateFirst | Action::ReplaceDeleteFirst) => (action, fields, replaced),
                    action => (action, fields, desired(recorded.generation)),
                }
            }
        };
        self.decided.insert(address.clone(), known(action, schema, &desired));
        let identity = match self.prior.resources.get(address) {
            Some(recorded) if matches!(action, Action::Keep | Action::Note | Action::Update) => {
                Some(recorded.identity.clone())
            }
            _ => identity(schema, &desired),
        };
        self.decisions.push(Decision {
            change: Change { address: address.clone(), action, identity, fields },
            desired: Some(desired),
        });
        Ok(())
    }

    fn compare(
        &self,
        schema: &Schema,
        recorded: &Recorded,
        declared: &Declared,
        fields: &[FieldChange],
        replaced: &Desired,
    ) -> Action {
        if fields.iter().any(|field| field.replaces) {
            let elsewhere = identity(schema, replaced).is_some_and(|identity| identity != recorded.identity);
            return if elsewhere { Action::ReplaceCreateFirst } else { Action::ReplaceDeleteFirst };
        }
        if !fields.is_empty() {
            return Action::Update;
        }
        if recorded.dependencies != declared.dependencies() || recorded.retain != declared.retain {
            return Action::Note;
        }
        Action::Keep
    }

    /// A resource that was left in the cloud is taken up under its name; one that is gone never comes back under it.
    fn first_generation(&self, address: &Address) -> u32 {
        match self.prior.tombstones.get(address) {
            Some(tombstone) if tombstone.retained => tombstone.generation,
            Some(tombstone) => tombstone.generation + 1,
            None => 1,
        }
    }

    fn name(&self, schema: &Schema, address: &Address, generation: u32) -> Option<String> {
        let Snapshot { lake, stack, lineage, .. } = self.prior;
        physical_name(schema.naming, lake, stack, lineage, address, generation)
    }

    /// What is recorded and not declared goes: last what others depend on.
    fn decide_undeclared(&mut self, declared: &BTreeMap<&Address, &Declared>) -> Result<(), PlanError> {
        let mut graph = Graph::default();
        let gone = self.prior.resources.values().filter(|recorded| !declared.contains_key(&recorded.address));
        for recorded in gone {
            graph.insert(&recorded.address);
            for dependency in recorded.dependencies.iter().filter(|address| !declared.contains_key(address)) {
                graph.order(&recorded.address, dependency);
            }
        }
        let sorted = graph.sorted().map_err(|cycle| PlanError::Cycle(Cycle::owned(&cycle)))?;
        for address in sorted.into_iter().rev() {
            let recorded = &self.prior.resources[*address];
            let action = if recorded.retain { Action::Forget } else { Action::Delete };
            self.decisions.push(Decision {
                change: Change {
                    address: (*address).clone(),
                    action,
                    identity: Some(recorded.identity.clone()),
                    fields: Vec::new(),
                },
                desired: None,
            });
        }
        Ok(())
    }
}

fn known(action: Action, schema: &'static Schema, desired: &Desired) -> Known {
    match action {
        Action::Keep | Action::Note => Known::Recorded { volatile: &[] },
        Action::Update => Known::Recorded { volatile: schema.volatile_outputs },
        _ => Known::Name(desired.name.clone()),
    }
}

/// What the cloud will know the resource by; `None` while an input that names it is unknown.
fn identity(schema: &Schema, desired: &Desired) -> Option<String> {
    match schema.naming {
        Naming::Physical { .. } => desired.name.clone(),
        Naming::Fields(fields) => {
            let parts: Option<Vec<&str>> =
                fields.iter().map(|field| desired.inputs.get(*field).and_then(Value::as_str)).collect();
            parts.map(|parts| parts.join("/"))
        }
    }
}

/// The fields in which `after` differs from `before`, by path. Lists are compared as a whole.
pub fn diff(before: &Fields, after: &Fields, replace_on: &[&str]) -> Vec<FieldChange> {
    let mut changes = Vec::new();
    let mut names: Vec<&String> = after.keys().collect();
    names.extend(before.keys().filter(|name| !after.contains_key(*name)));
    for name in names {
        let replaces = replace_on.contains(&name.as_str());
        compare(name, before.get(name), after.get(name), replaces, &mut changes);
    }
    changes
}

fn compare(path: &str, before: Option<&Value>, after: Option<&Value>, replaces: bool, changes: &mut Vec<FieldChange>) {
    if before == after {
        return;
    }
    if let (Some(Value::Object(before)), Some(Value::Object(after))) = (before, after)
        && !after.keys().any(|key| key.starts_with('$'))
    {
        for change in diff(before, after, &[]) {
            changes.push(FieldChange { path: format!("{path}.{}", change.path), replaces, ..change });
        }
        return;
    }
    changes.push(FieldChange {
        path: path.to_owned(),
        before: before.cloned(),
        after: after.cloned(),
        // Nothing there before: the field is set for the first time, on a new resource.
        replaces: replaces && before.is_some(),
    });
}

impl FieldChange {
    /// Whether the value after is known only once it is applied.
    pub fn is_unknown(&self) -> bool {
        self.after.as_ref().is_some_and(is_unknown)
    }
}
