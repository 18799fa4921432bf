//! What is to happen to each resource: declared against prior.

use std::collections::HashMap;

use serde::{Deserialize, Serialize};
use serde_json::Value;

use super::{Action, Desired, PlanError};
use crate::{
    graph::{Cycle, Graph},
    resource::{
        Address, Declared, Fields, Program, Reference, Schema, Schemas, is_unknown, physical_name, resolve_all,
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
    /// Another resource is to have the name that this one has now: it goes before that comes.
    pub is_holder: bool,
    /// Who has the name now that this one is to have.
    pub after_holder: Option<Address>,
}

/// What is decided for all of them.
pub(super) struct Decided<'a> {
    /// For each that does not stay as it is, in dependency order; what goes comes last.
    pub decisions: Vec<Decision>,
    /// Those that stay as they are.
    pub kept: Vec<&'a Declared>,
}

/// Decides for every declared and every recorded resource. Where `is_replaced` says so, a resource is replaced although
/// nothing asks for it.
pub(super) fn decide<'a>(
    program: &'a Program,
    prior: &'a Snapshot,
    schemas: &'a Schemas,
    is_replaced: &'a dyn Fn(&Address) -> bool,
) -> Result<Decided<'a>, PlanError> {
    let mut graph = Graph::default();
    for resource in program.resources() {
        graph.order_all(&resource.address, resource.dependencies());
    }
    let sorted = graph.sorted().map_err(|cycle| PlanError::Cycle(Cycle::owned(&cycle)))?;
    let mut planner =
        Planner { prior, schemas, is_replaced, known: HashMap::new(), decisions: Vec::new(), kept: Vec::new() };
    for address in sorted {
        planner.decide(program.get(address).expect("BUG: the program was checked"))?;
    }
    planner.decide_undeclared(program)?;
    let Planner { mut decisions, kept, .. } = planner;
    super::holder::settle(&mut decisions, &kept, prior, schemas)?;
    Ok(Decided { decisions, kept })
}

impl Cycle<Address> {
    fn owned(cycle: &Cycle<&Address>) -> Self {
        Cycle(cycle.0.iter().map(|address| (*address).clone()).collect())
    }
}

struct Planner<'a> {
    prior: &'a Snapshot,
    schemas: &'a Schemas,
    is_replaced: &'a dyn Fn(&Address) -> bool,
    /// What is known of the outputs of those that change; of the others all is that is recorded.
    known: HashMap<&'a Address, Known>,
    decisions: Vec<Decision>,
    kept: Vec<&'a Declared>,
}

/// Which outputs of a resource are known before apply.
enum Known {
    /// Nothing but the physical name.
    Name(Option<String>),
    /// The recorded ones, less those an update changes.
    Recorded { volatile: &'static [&'static str] },
}

impl<'a> Planner<'a> {
    fn lookup(&self, reference: &Reference) -> Option<Value> {
        match self.known.get(&reference.address) {
            Some(Known::Name(name)) => (reference.output == "name").then(|| name.clone().map(Value::String)).flatten(),
            Some(Known::Recorded { volatile }) if volatile.contains(&reference.output.as_str()) => None,
            Some(Known::Recorded { .. }) | None => self.prior.output(reference),
        }
    }

    fn decide(&mut self, declared: &'a Declared) -> Result<(), PlanError> {
        let address = &declared.address;
        let schema = self.schemas.get(address.kind()).ok_or_else(|| PlanError::Kind(address.clone()))?;
        let inputs = resolve_all(declared.inputs.unpack(), &|reference| self.lookup(reference));
        let recorded = self.prior.resources.get(address);
        let before = recorded.map_or_else(Fields::new, |recorded| recorded.inputs.unpack());
        let fields = diff(&before, &inputs, if recorded.is_some() { schema.replace_on } else { &[] });
        let is_replaced = fields.iter().any(|field| field.replaces) || (self.is_replaced)(address);
        let generation = match recorded {
            None => self.first_generation(address),
            Some(recorded) if is_replaced => recorded.generation + 1,
            Some(recorded) if fields.is_empty() && is_as_declared(recorded, declared) => {
                self.kept.push(declared);
                return Ok(());
            }
            Some(recorded) => recorded.generation,
        };
        let desired = Desired {
            generation,
            name: self.name(schema, address, generation),
            inputs,
            dependencies: declared.dependencies().to_vec(),
            retain: declared.retain,
        };
        let action = match recorded {
            None => Action::Create,
            Some(recorded) if is_replaced => replacement(schema, recorded, &desired),
            Some(_) if fields.is_empty() => Action::Note,
            Some(_) => Action::Update,
        };
        self.known.insert(address, known(action, schema, &desired));
        let identity = match recorded {
            Some(recorded) if matches!(action, Action::Note | Action::Update) => Some(recorded.identity.clone()),
            _ => identity(schema, &desired),
        };
        self.decisions.push(Decision {
            change: Change { address: address.clone(), action, identity, fields },
            desired: Some(desired),
            is_holder: false,
            after_holder: None,
        });
        Ok(())
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
    fn decide_undeclared(&mut self, program: &Program) -> Result<(), PlanError> {
        let mut graph = Graph::default();
        let is_gone = |address: &&Address| program.get(address).is_none();
        for recorded in self.prior.resources.values().filter(|recorded| is_gone(&&recorded.address)) {
            graph.order_all(&recorded.address, recorded.dependencies.iter().filter(is_gone));
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
                is_holder: false,
                after_holder: None,
            });
        }
        Ok(())
    }
}

/// Whether nothing but its fields may be otherwise than the program says.
fn is_as_declared(recorded: &Recorded, declared: &Declared) -> bool {
    recorded.dependencies == declared.dependencies() && recorded.retain == declared.retain
}

/// Which is first, unless the two have one name in the cloud.
fn replacement(schema: &Schema, recorded: &Recorded, desired: &Desired) -> Action {
    let elsewhere = identity(schema, desired).is_some_and(|identity| identity != recorded.identity);
    if elsewhere { Action::ReplaceCreateFirst } else { Action::ReplaceDeleteFirst }
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
    schema.naming.identity(desired.name.as_deref(), &desired.inputs)
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
