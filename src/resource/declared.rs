//! What a program declares, and the handles it gets for it.

use std::{
    collections::{BTreeMap, HashMap, HashSet},
    marker::PhantomData,
};

use serde::{Serialize, de::DeserializeOwned};
use serde_json::Value;

use super::{Address, Fields, Input, Packed, Schema, references};

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
    pub inputs: Packed,
    /// What it comes after, in the order of their addresses.
    dependencies: Vec<Address>,
    /// Stays in the cloud when it is no longer declared.
    pub retain: bool,
}

impl Declared {
    /// What has these inputs, and comes after all that they refer to.
    pub(crate) fn new(address: Address, inputs: &Fields) -> Self {
        let mut dependencies: Vec<Address> = inputs.values().flat_map(references).map(|it| it.address).collect();
        dependencies.sort();
        dependencies.dedup();
        dependencies.shrink_to_fit();
        Declared { address, inputs: inputs.into(), dependencies, retain: false }
    }

    /// Every address this resource comes after: by reference, or because the program says so.
    pub fn dependencies(&self) -> &[Address] {
        &self.dependencies
    }

    /// Orders it after `earlier` where no reference shows it.
    pub(crate) fn come_after(&mut self, earlier: Address) {
        if let Err(place) = self.dependencies.binary_search(&earlier) {
            self.dependencies.insert(place, earlier);
        }
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
    /// Where each address is among them.
    places: HashMap<Address, usize>,
    outputs: BTreeMap<String, Value>,
}

impl Program {
    /// Declares `resource` under `name`.
    pub fn declare<R: Resource>(&mut self, name: &str, resource: R) -> Handle<R> {
        let address = Address::new(R::SCHEMA.kind, name);
        let inputs: Fields = match serde_json::to_value(resource).expect("inputs are plain data and always serialise") {
            Value::Object(fields) => fields.into_iter().filter(|(_, value)| !value.is_null()).collect(),
            other => panic!("BUG: the inputs of {address} are no object but {other}"),
        };
        self.push(Declared::new(address.clone(), &inputs));
        Handle { address, kind: PhantomData }
    }

    /// Declares a resource of any kind.
    pub(crate) fn push(&mut self, mut declared: Declared) {
        for on in &mut declared.dependencies {
            if let Some((known, _)) = self.places.get_key_value(on) {
                // One text for both.
                *on = known.clone();
            }
        }
        self.places.insert(declared.address.clone(), self.resources.len());
        self.resources.push(declared);
    }

    /// Orders `later` after `earlier` where no reference shows it.
    pub fn after<L, E>(&mut self, later: &Handle<L>, earlier: &Handle<E>) {
        self.edit(&later.address).come_after(earlier.address.clone());
    }

    /// Keeps the resource in the cloud when it is no longer declared.
    pub fn retain<R>(&mut self, handle: &Handle<R>) {
        self.edit(&handle.address).retain = true;
    }

    fn edit(&mut self, address: &Address) -> &mut Declared {
        let place = self.places.get(address);
        &mut self.resources[*place.expect("BUG: a handle comes from declaring the resource in this program")]
    }

    /// Tells people and scripts `value` under `name` once the program is applied.
    pub fn output(&mut self, name: &str, value: Input<String>) {
        self.outputs.insert(name.to_owned(), value.to_value());
    }

    /// The declared resources, in the order of their declaration.
    pub fn resources(&self) -> &[Declared] {
        &self.resources
    }

    /// What is declared at `address`.
    pub fn get(&self, address: &Address) -> Option<&Declared> {
        self.places.get(address).map(|place| &self.resources[*place])
    }

    /// The declared outputs, with references unresolved.
    pub fn outputs(&self) -> &BTreeMap<String, Value> {
        &self.outputs
    }

    /// Refuses a program with two resources at one address or a reference to none.
    pub fn check(&self) -> Result<(), ProgramError> {
        if self.places.len() < self.resources.len() {
            let mut seen = HashSet::new();
            let twice = self.resources.iter().find(|declared| !seen.insert(&declared.address));
            return Err(ProgramError::Twice(twice.expect("BUG: each has a place of its own").address.clone()));
        }
        for declared in &self.resources {
            if let Some(to) = declared.dependencies.iter().find(|to| !self.places.contains_key(*to)) {
                return Err(ProgramError::Dangling { from: declared.address.clone(), to: to.clone() });
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
