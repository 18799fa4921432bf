//! What a program declares, and the handles it gets for it.

use std::{collections::BTreeMap, marker::PhantomData};

use serde::{Serialize, de::DeserializeOwned};
use serde_json::Value;

use super::{Address, Fields, Input, Schema, references};

/// A typed kind of resource: its inputs are the struct's fields.
pub trait Resource: Serialize + DeserializeOwned {
    /// How the kind behaves.
    const SCHEMA: &'static Schema;
}

/// A resource as a program declares it.
#[derive(Debug, Clone, PartialEq)]
pub struct Declared {
    /// Where it is in the stack.
    pub address: Address,
    /// Its inputs, with references unresolved.
    pub inputs: Fields,
    /// Order that references do not show.
    pub after: Vec<Address>,
    /// Stays in the cloud when it is no longer declared.
    pub retain: bool,
}

impl Declared {
    /// Every address this resource comes after: by reference, or because the program says so.
    pub fn dependencies(&self) -> Vec<Address> {
        let mut found: Vec<Address> = self
            .inputs
            .values()
            .flat_map(references)
            .map(|reference| reference.address)
            .chain(self.after.iter().cloned())
            .collect();
        found.sort();
        found.dedup();
        found
    }
}

/// A program is refused.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum ProgramError {
    /// Two resources at one address.
    #[error("{0} is declared twice; give one of them another name")]
    Twice(Address),
    /// A reference to what is not declared.
    #[error("{from} needs {to}, which the program does not declare")]
    Dangling {
        /// Who refers.
        from: Address,
        /// To what.
        to: Address,
    },
}

/// What an infrastructure program builds up: resources, and outputs for people and scripts.
///
/// ```
/// use lake::resource::{Program, aws::s3::Bucket};
///
/// let mut program = Program::default();
/// let raw = program.declare("raw", Bucket::default());
/// program.output("raw_bucket", raw.name());
/// assert_eq!(program.resources().len(), 1);
/// ```
#[derive(Debug, Default, Clone)]
pub struct Program {
    resources: Vec<Declared>,
    outputs: BTreeMap<String, Value>,
}

impl Program {
    /// Declares `resource` under `name`.
    pub fn declare<R: Resource>(&mut self, name: &str, resource: R) -> Handle<R> {
        let address = Address::new(R::SCHEMA.kind, name);
        let inputs = match serde_json::to_value(resource).expect("inputs are plain data and always serialise") {
            Value::Object(fields) => fields.into_iter().filter(|(_, value)| !value.is_null()).collect(),
            other => panic!("BUG: the inputs of {address} are no object but {other}"),
        };
        self.resources.push(Declared { address: address.clone(), inputs, after: Vec::new(), retain: false });
        Handle { address, kind: PhantomData }
    }

    /// Declares a resource of any kind, for tests of the engine.
    #[cfg(test)]
    pub(crate) fn push(&mut self, declared: Declared) {
        self.resources.push(declared);
    }

    /// Orders `later` after `earlier` where no reference shows it.
    pub fn after<L, E>(&mut self, later: &Handle<L>, earlier: &Handle<E>) {
        self.edit(&later.address).after.push(earlier.address.clone());
    }

    /// Keeps the resource in the cloud when it is no longer declared.
    pub fn retain<R>(&mut self, handle: &Handle<R>) {
        self.edit(&handle.address).retain = true;
    }

    fn edit(&mut self, address: &Address) -> &mut Declared {
        let found = self.resources.iter_mut().find(|declared| declared.address == *address);
        found.expect("BUG: a handle comes from declaring the resource in this program")
    }

    /// Tells people and scripts `value` under `name` once the program is applied.
    pub fn output(&mut self, name: &str, value: Input<String>) {
        self.outputs.insert(name.to_owned(), value.to_value());
    }

    /// The declared resources, in the order of their declaration.
    pub fn resources(&self) -> &[Declared] {
        &self.resources
    }

    /// The declared outputs, with references unresolved.
    pub fn outputs(&self) -> &BTreeMap<String, Value> {
        &self.outputs
    }

    /// Refuses a program with two resources at one address or a reference to none.
    pub fn check(&self) -> Result<(), ProgramError> {
        let mut seen = std::collections::BTreeSet::new();
        for declared in &self.resources {
            if !seen.insert(&declared.address) {
                return Err(ProgramError::Twice(declared.address.clone()));
            }
        }
        for declared in &self.resources {
            if let Some(to) = declared.dependencies().into_iter().find(|to| !seen.contains(to)) {
                return Err(ProgramError::Dangling { from: declared.address.clone(), to });
            }
        }
        Ok(())
    }
}

/// A declared resource, as other resources refer to it.
#[derive(Debug)]
pub struct Handle<R> {
    address: Address,
    kind: PhantomData<fn() -> R>,
}

impl<R> Clone for Handle<R> {
    fn clone(&self) -> Self {
        Handle { address: self.address.clone(), kind: PhantomData }
    }
}

impl<R> Handle<R> {
    /// Where it is in the stack.
    pub fn address(&self) -> &Address {
        &self.address
    }

    /// A reference to one of its outputs.
    pub fn output<T>(&self, name: &str) -> Input<T> {
        Input::reference(self.address.clone(), name)
    }

    /// Its name in the cloud.
    pub fn name(&self) -> Input<String> {
        self.output("name")
    }

    /// Its ARN.
    pub fn arn(&self) -> Input<String> {
        self.output("arn")
    }
}
