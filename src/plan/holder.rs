//! Names that pass from one resource to another: of kinds that are named by their inputs, one may be called as another
//! was. The cloud has each name once, so the one goes before the other comes.

use std::collections::HashMap;

use super::{Action, PlanError, diff::Decision};
use crate::{
    resource::{Address, Declared, Naming, Schemas},
    state::Snapshot,
};

/// Finds whose name is wanted by another resource. A program in which two resources have one name is refused.
pub(super) fn settle(
    decisions: &mut [Decision],
    kept: &[&Declared],
    prior: &Snapshot,
    schemas: &Schemas,
) -> Result<(), PlanError> {
    let wanted = wanted(decisions, schemas)?;
    if wanted.is_empty() {
        return Ok(());
    }
    // What stays as it is keeps its name.
    for declared in kept {
        let one = &declared.address;
        let identity = &prior.resources[one].identity;
        if let Some(place) = wanted.get(&(one.kind().to_owned(), identity.clone())) {
            let other = decisions[*place].change.address.clone();
            return Err(PlanError::Twice { one: one.clone(), other, identity: identity.clone() });
        }
    }
    let holds = |place: usize, decision: &Decision| {
        let address = &decision.change.address;
        let recorded = prior.resources.get(address)?;
        let by = *wanted.get(&(address.kind().to_owned(), recorded.identity.clone()))?;
        (by != place).then_some(by)
    };
    let pairs: Vec<(usize, usize)> = decisions
        .iter()
        .enumerate()
        .filter_map(|(place, decision)| holds(place, decision).map(|by| (place, by)))
        .collect();
    for (holder, by) in pairs {
        let address: Address = decisions[holder].change.address.clone();
        decisions[holder].is_holder = true;
        if decisions[holder].change.action == Action::ReplaceCreateFirst {
            decisions[holder].change.action = Action::ReplaceDeleteFirst;
        }
        decisions[by].after_holder = Some(address);
    }
    Ok(())
}

/// Which decision is to have which name.
fn wanted(decisions: &[Decision], schemas: &Schemas) -> Result<HashMap<(String, String), usize>, PlanError> {
    let mut wanted = HashMap::new();
    for (place, decision) in decisions.iter().enumerate() {
        let address = &decision.change.address;
        let by_fields = schemas.get(address.kind()).is_some_and(|schema| matches!(schema.naming, Naming::Fields(_)));
        let Some(identity) = decision.change.identity.as_ref().filter(|_| by_fields && decision.desired.is_some())
        else {
            continue;
        };
        if let Some(other) = wanted.insert((address.kind().to_owned(), identity.clone()), place) {
            return Err(PlanError::Twice {
                one: decisions[other].change.address.clone(),
                other: address.clone(),
                identity: identity.clone(),
            });
        }
    }
    Ok(wanted)
}
