//! (declared, prior) → [`Plan`]. Pure: no IO, no async, no clock, no randomness.
//!
//! [`diff`](mod@diff) decides for each resource what is to happen, `order` makes the steps and what each waits for.
//! `holder` settles who gives a name to whom, `target` restricts a plan to a part. Destroy is the plan of the empty
//! program.

mod action;
mod diff;
mod holder;
mod order;
mod target;

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};
use serde_json::Value;

pub use action::Action;
pub use diff::{Change, FieldChange, diff};
pub use target::{Along, Partial, Pattern, Scope, Why};

use diff::Decided;

use crate::{
    graph::Cycle,
    resource::{Address, Fields, Program, ProgramError, Schemas},
    state::Snapshot,
};

/// Everything that apply needs.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Plan {
    /// Lineage of the state it was made from.
    pub lineage: String,
    /// Serial of the state it was made from: another serial makes the plan stale.
    pub serial: u64,
    /// Hash of the configuration it was made from.
    pub config_hash: String,
    /// What happens, resource by resource, in dependency order.
    pub changes: Vec<Change>,
    /// What is done; a step's id is its place.
    pub steps: Vec<Step>,
    /// Resources that stay as they are.
    pub unchanged: usize,
    /// The program's outputs, with references unresolved.
    pub outputs: BTreeMap<String, Value>,
    /// What the plan was asked to be restricted to.
    #[serde(default, skip_serializing_if = "Scope::is_default")]
    pub scope: Scope,
    /// What it leaves out for that; absent when it is the whole plan.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub partial: Option<Partial>,
}

/// One thing to do.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Step {
    /// To which resource.
    pub address: Address,
    /// What.
    pub operation: Operation,
    /// Steps that must be recorded before this one begins.
    pub after: Vec<usize>,
}

/// What a step does.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Operation {
    /// Makes the resource. If one is recorded at the address, that one becomes deposed.
    Create(Desired),
    /// Brings the recorded resource to these inputs.
    Update(Desired),
    /// Writes down what changed in state alone.
    Note(Desired),
    /// Deletes the recorded resource.
    Delete,
    /// Deletes the deposed resource of this identity.
    DeleteDeposed(String),
    /// Leaves the resource in the cloud and forgets it.
    Forget,
    /// Leaves the deposed resource of this identity in the cloud and forgets it.
    ForgetDeposed(String),
}

/// What a resource is to be.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Desired {
    /// Its generation.
    pub generation: u32,
    /// Its physical name, for kinds that have one.
    pub name: Option<String>,
    /// Its inputs; what is known only after apply is still a reference.
    pub inputs: Fields,
    /// What it comes after.
    pub dependencies: Vec<Address>,
    /// Stays in the cloud when it is no longer declared.
    pub retain: bool,
}

impl Plan {
    /// Whether the cloud stays as it is. There may be steps even so, which write down what changed in state alone.
    pub fn is_empty(&self) -> bool {
        self.changes.is_empty() && self.steps.iter().all(|step| matches!(step.operation, Operation::Note(_)))
    }

    /// How many resources each action touches.
    pub fn count(&self, action: Action) -> usize {
        self.changes.iter().filter(|change| change.action == action).count()
    }
}

/// What a plan is made from.
#[derive(Debug, Clone, Copy)]
pub struct Inputs<'a> {
    /// What is declared.
    pub program: &'a Program,
    /// State, refreshed.
    pub prior: &'a Snapshot,
    /// The kinds that are known.
    pub schemas: &'a Schemas,
    /// Hash of the configuration.
    pub config_hash: &'a str,
}

/// A program that cannot be planned.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum PlanError {
    /// The program contradicts itself.
    #[error(transparent)]
    Program(#[from] ProgramError),
    /// Resources wait for each other.
    #[error("these resources wait for each other: {0}")]
    Cycle(Cycle<Address>),
    /// A kind that this version does not know.
    #[error("{0} is of a kind that this version of lake does not know; use the version that created it")]
    Kind(Address),
    /// Two resources of one name.
    #[error("{one} and {other} would both be `{identity}`; give one of them another name")]
    Twice {
        /// The first.
        one: Address,
        /// The second.
        other: Address,
        /// What the cloud would know both by.
        identity: String,
    },
    /// A target that is nowhere.
    #[error("no resource matches `{pattern}`")]
    Unmatched {
        /// What was asked for.
        pattern: Pattern,
        /// Every address there is.
        known: Vec<Address>,
    },
}

/// Plans how to get from `prior` to `program`.
pub fn plan(inputs: Inputs<'_>) -> Result<Plan, PlanError> {
    plan_within(inputs, &Scope::default())
}

/// Plans how to get from `prior` to `program` as far as `scope` goes.
pub fn plan_within(inputs: Inputs<'_>, scope: &Scope) -> Result<Plan, PlanError> {
    inputs.program.check()?;
    let is_replaced = |address: &Address| scope.is_replaced(address);
    let Decided { decisions, kept } = diff::decide(inputs.program, inputs.prior, inputs.schemas, &is_replaced)?;
    let noted = decisions.iter().filter(|decision| !decision.change.action.touches_the_cloud()).count();
    let target::Restricted { decisions, outside, partial } = target::restrict(decisions, &kept, inputs.prior, scope)?;
    let steps = order::steps(&decisions, inputs.prior, inputs.schemas, &|address| !outside.contains(address));
    Ok(Plan {
        lineage: inputs.prior.lineage.clone(),
        serial: inputs.prior.serial,
        config_hash: inputs.config_hash.to_owned(),
        unchanged: kept.len() + noted,
        changes: decisions
            .into_iter()
            .map(|decision| decision.change)
            .filter(|change| change.action.touches_the_cloud())
            .collect(),
        steps,
        outputs: inputs.program.outputs().clone(),
        scope: scope.clone(),
        partial,
    })
}

#[cfg(test)]
mod tests;
