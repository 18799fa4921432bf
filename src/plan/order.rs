//! The steps of a plan, and what each waits for.
//!
//! - What is made or changed waits for what it depends on.
//! - What goes waits for whoever depended on it to go or to have moved away.

use std::collections::BTreeMap;

use super::{Action, Operation, Step, diff::Decision};
use crate::{
    resource::Address,
    state::{Recorded, Snapshot},
};

/// A resource's steps, by their place.
#[derive(Default, Clone, Copy)]
struct Places {
    /// The step that makes or changes it.
    ensure: Option<usize>,
    /// The step that removes what is recorded.
    remove: Option<usize>,
    /// It is removed before its successor is made.
    delete_first: bool,
}

pub(super) fn steps(decisions: &[Decision], prior: &Snapshot) -> Vec<Step> {
    let mut steps = Vec::new();
    let mut places: BTreeMap<&Address, Places> = BTreeMap::new();
    for decision in decisions {
        let place = place(decision, prior, &mut steps);
        places.insert(&decision.change.address, place);
    }
    let leftovers = steps.len();
    for deposed in prior.deposed.iter().filter(|deposed| !is_taken_up(deposed, decisions)) {
        steps.push(Step { address: deposed.address.clone(), operation: remove_deposed(deposed), after: Vec::new() });
    }
    let dependents = dependents(prior);
    for decision in decisions {
        let own = places[&decision.change.address];
        if let (Some(ensure), Some(desired)) = (own.ensure, &decision.desired) {
            let needed = desired.dependencies.iter().filter_map(|address| places.get(address)?.ensure);
            steps[ensure].after.extend(needed);
        }
        if let Some(remove) = own.remove {
            let waits = removal_waits(own, dependents.get(&decision.change.address), &places);
            steps[remove].after.extend(waits);
        }
        match (own.ensure, own.remove, own.delete_first) {
            (Some(ensure), Some(remove), true) => steps[ensure].after.push(remove),
            (Some(ensure), Some(remove), false) => steps[remove].after.push(ensure),
            _ => {}
        }
    }
    for step in &mut steps[leftovers..] {
        let users = dependents.get(&step.address).into_iter().flatten().copied().chain([&step.address]);
        let waits: Vec<usize> = users.filter_map(|address| places.get(address)?.ensure).collect();
        step.after.extend(waits);
    }
    for step in &mut steps {
        step.after.sort_unstable();
        step.after.dedup();
    }
    steps
}

/// Whether a replacement that was interrupted is what the program wants now: then it is made current, not deleted.
fn is_taken_up(deposed: &Recorded, decisions: &[Decision]) -> bool {
    decisions.iter().any(|decision| {
        let same_kind = decision.change.address.kind() == deposed.address.kind();
        same_kind && decision.desired.is_some() && decision.change.identity.as_ref() == Some(&deposed.identity)
    })
}

/// Adds a resource's own steps.
fn place(decision: &Decision, prior: &Snapshot, steps: &mut Vec<Step>) -> Places {
    let address = &decision.change.address;
    let mut push = |operation| {
        steps.push(Step { address: address.clone(), operation, after: Vec::new() });
        Some(steps.len() - 1)
    };
    let desired = || decision.desired.clone().expect("BUG: what is made or changed has a description");
    let old = || &prior.resources[address];
    let mut places = Places::default();
    match decision.change.action {
        Action::Keep => {}
        Action::Create => places.ensure = push(Operation::Create(desired())),
        Action::Update => places.ensure = push(Operation::Update(desired())),
        Action::Note => places.ensure = push(Operation::Note(desired())),
        Action::Delete => places.remove = push(Operation::Delete),
        Action::Forget => places.remove = push(Operation::Forget),
        Action::ReplaceCreateFirst => {
            places.ensure = push(Operation::Create(desired()));
            places.remove = push(remove_deposed(old()));
        }
        Action::ReplaceDeleteFirst => {
            places.remove = push(Operation::Delete);
            places.ensure = push(Operation::Create(desired()));
            places.delete_first = true;
        }
    }
    places
}

fn remove_deposed(recorded: &Recorded) -> Operation {
    if recorded.retain {
        Operation::ForgetDeposed(recorded.identity.clone())
    } else {
        Operation::DeleteDeposed(recorded.identity.clone())
    }
}

/// Who depended on each resource.
fn dependents(prior: &Snapshot) -> BTreeMap<&Address, Vec<&Address>> {
    let mut dependents: BTreeMap<&Address, Vec<&Address>> = BTreeMap::new();
    for recorded in prior.resources.values() {
        for dependency in &recorded.dependencies {
            dependents.entry(dependency).or_default().push(&recorded.address);
        }
    }
    dependents
}

/// What a removal waits for. When the resource goes before its successor comes, its dependents change only after
/// that, so it can wait for those of them alone that go as well.
fn removal_waits(own: Places, dependents: Option<&Vec<&Address>>, places: &BTreeMap<&Address, Places>) -> Vec<usize> {
    let mut waits = Vec::new();
    for dependent in dependents.into_iter().flatten().filter_map(|address| places.get(address)) {
        let goes_first = dependent.delete_first || dependent.ensure.is_none();
        if goes_first || !own.delete_first {
            waits.extend(dependent.remove);
        }
        if !own.delete_first {
            waits.extend(dependent.ensure);
        }
    }
    waits
}
