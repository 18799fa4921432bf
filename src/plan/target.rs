//! Plans of a part of a stack.
//!
//! What is **inside** is decided as in the whole plan, what is outside stays as the state has it. For that to leave a
//! sound state, targets take along:
//!
//! - for what is made or changed, all that it depends on;
//! - for what goes or is replaced, what depends on it and goes or changes too;
//! - whoever has the name that a target is to have.
//!
//! What is excluded takes along, the other way round, whatever would need one of those.

use std::{
    collections::{BTreeMap, BTreeSet, HashSet},
    convert::Infallible,
    fmt,
    str::FromStr,
};

use serde::{Deserialize, Serialize};

use super::{Action, PlanError, diff::Decision};
use crate::{
    resource::{Address, Declared},
    state::Snapshot,
};

/// Addresses: one as it stands, or many with `*` for any text, `aws:glue:*/*`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(transparent)]
pub struct Pattern(String);

impl Pattern {
    /// Whether `address` is one of them.
    pub fn matches(&self, address: &Address) -> bool {
        let mut parts = self.0.split('*');
        let first = parts.next().unwrap_or_default();
        let Some(mut rest) = address.as_str().strip_prefix(first) else { return false };
        let Some(last) = parts.next_back() else { return rest.is_empty() };
        for part in parts {
            match rest.find(part) {
                Some(place) => rest = &rest[place + part.len()..],
                None => return false,
            }
        }
        rest.ends_with(last)
    }

    /// As it was given.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl FromStr for Pattern {
    type Err = Infallible;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        Ok(Pattern(text.to_owned()))
    }
}

impl fmt::Display for Pattern {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(&self.0)
    }
}

/// Which part of a stack a plan is about.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Scope {
    /// These alone, with what they need; everything when there are none.
    pub targets: Vec<Pattern>,
    /// All but these, and what needs them.
    pub excludes: Vec<Pattern>,
    /// These are replaced although nothing asks for it.
    pub replaces: Vec<Pattern>,
}

impl Scope {
    /// Whether it asks for nothing in particular.
    pub fn is_default(&self) -> bool {
        *self == Scope::default()
    }

    /// Whether the resource is to be replaced in any case.
    pub(super) fn is_replaced(&self, address: &Address) -> bool {
        self.replaces.iter().any(|pattern| pattern.matches(address))
    }

    /// Whether the resource is asked for. What is to be replaced is.
    fn is_target(&self, address: &Address) -> bool {
        self.targets.iter().chain(&self.replaces).any(|pattern| pattern.matches(address))
    }

    fn is_excluded(&self, address: &Address) -> bool {
        self.excludes.iter().any(|pattern| pattern.matches(address))
    }
}

/// What a plan of a part leaves out, and what it takes along.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Partial {
    /// Resources that would change too in the plan of the whole.
    pub left_out: usize,
    /// Resources that change although nobody asked for them.
    pub along: Vec<Along>,
}

/// A resource that changes because another does.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Along {
    /// Which one.
    pub address: Address,
    /// Why.
    pub why: Why,
    /// For which other.
    pub of: Address,
}

/// Why a resource changes with another.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Why {
    /// The other depends on it.
    Needed,
    /// It depends on the other, which goes or is replaced.
    Depends,
    /// It has the name that the other is to have.
    Holds,
}

impl fmt::Display for Along {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Along { address, why, of } = self;
        match why {
            Why::Needed => write!(f, "{address} comes along: {of} needs it"),
            Why::Depends => write!(f, "{address} comes along: it depends on {of}, which goes or is replaced"),
            Why::Holds => write!(f, "{address} comes along: it has the name that {of} is to have"),
        }
    }
}

/// Decisions after a restriction.
pub(super) struct Restricted {
    pub decisions: Vec<Decision>,
    /// What stays as the state has it.
    pub outside: HashSet<Address>,
    pub partial: Option<Partial>,
}

/// Leaves of `decisions` those that `scope` asks for, and what they need.
pub(super) fn restrict(
    decisions: Vec<Decision>,
    kept: &[&Declared],
    prior: &Snapshot,
    scope: &Scope,
) -> Result<Restricted, PlanError> {
    if scope.is_default() {
        return Ok(Restricted { decisions, outside: HashSet::new(), partial: None });
    }
    let stack = Stack::of(&decisions, kept, prior);
    stack.check(scope)?;
    if scope.targets.is_empty() && scope.excludes.is_empty() {
        return Ok(Restricted { decisions, outside: HashSet::new(), partial: None });
    }
    let (inside, along) = stack.inside(scope);
    let outside: HashSet<Address> =
        stack.nodes.keys().filter(|address| !inside.contains(*address)).map(|address| (*address).clone()).collect();
    let is_news = |address: &Address| stack.nodes[address].action.is_some_and(Action::touches_the_cloud);
    let left_out = outside.iter().filter(|address| stack.changes(address)).count();
    let along =
        along.into_values().filter(|along| inside.contains(&along.address) && is_news(&along.address)).collect();
    let kept = |decision: Decision| {
        if !outside.contains(&decision.change.address) {
            return Some(decision);
        }
        let recorded = prior.resources.get(&decision.change.address)?;
        let mut kept = Decision { desired: None, is_holder: false, after_holder: None, ..decision };
        kept.change.action = Action::Keep;
        kept.change.identity = Some(recorded.identity.clone());
        kept.change.fields = Vec::new();
        Some(kept)
    };
    let decisions = decisions.into_iter().filter_map(kept).collect();
    Ok(Restricted { decisions, outside, partial: Some(Partial { left_out, along }) })
}

/// What is declared, recorded or deposed, and who needs whom.
struct Stack<'a> {
    nodes: BTreeMap<&'a Address, Node<'a>>,
}

#[derive(Default)]
struct Node<'a> {
    /// Absent for an address at which something is deposed and nothing else.
    action: Option<Action>,
    is_deposed: bool,
    /// What the program says that it depends on.
    needs: Vec<&'a Address>,
    /// Who depends on it in the program.
    needed_by: Vec<&'a Address>,
    /// What it depends on in the state.
    stands_on: Vec<&'a Address>,
    /// Who depends on it in the state.
    carries: Vec<&'a Address>,
    /// Who has the name that it is to have, now or as what is still to be deleted.
    holders: Vec<&'a Address>,
    /// Who is to have the name that it has.
    held_for: Vec<&'a Address>,
}

impl<'a> Stack<'a> {
    fn of(decisions: &'a [Decision], kept: &[&'a Declared], prior: &'a Snapshot) -> Self {
        let mut nodes: BTreeMap<&Address, Node<'_>> = BTreeMap::new();
        for decision in decisions {
            let node = nodes.entry(&decision.change.address).or_default();
            node.action = Some(decision.change.action);
            node.holders.extend(&decision.after_holder);
            node.needs = decision.desired.iter().flat_map(|desired| &desired.dependencies).collect();
        }
        for declared in kept {
            let needs = declared.dependencies().iter().collect();
            nodes.insert(&declared.address, Node { action: Some(Action::Keep), needs, ..Node::default() });
        }
        for old in &prior.deposed {
            nodes.entry(&old.address).or_default().is_deposed = true;
            let has_its_name = |decision: &&Decision| {
                decision.desired.is_some()
                    && decision.change.identity.as_ref() == Some(&old.identity)
                    && decision.change.address.kind() == old.address.kind()
                    && decision.change.address != old.address
            };
            for decision in decisions.iter().filter(has_its_name) {
                nodes.entry(&decision.change.address).or_default().holders.push(&old.address);
            }
        }
        let addresses: Vec<&Address> = nodes.keys().copied().collect();
        for address in addresses {
            for need in nodes[address].needs.clone() {
                nodes.entry(need).or_default().needed_by.push(address);
            }
            for holder in nodes[address].holders.clone() {
                nodes.entry(holder).or_default().held_for.push(address);
            }
        }
        for recorded in prior.known() {
            for on in recorded.dependencies.iter().filter(|on| **on != recorded.address) {
                if let Some(node) = nodes.get_mut(on) {
                    node.carries.push(&recorded.address);
                    nodes.entry(&recorded.address).or_default().stands_on.push(on);
                }
            }
        }
        Stack { nodes }
    }

    /// Refuses a pattern that nothing matches.
    fn check(&self, scope: &Scope) -> Result<(), PlanError> {
        let patterns = scope.targets.iter().chain(&scope.excludes).chain(&scope.replaces);
        for pattern in patterns {
            if !self.nodes.keys().any(|address| pattern.matches(address)) {
                let known = self.nodes.keys().map(|address| (*address).clone()).collect();
                return Err(PlanError::Unmatched { pattern: pattern.clone(), known });
            }
        }
        Ok(())
    }

    fn changes(&self, address: &Address) -> bool {
        let node = &self.nodes[address];
        node.is_deposed || node.action.is_some_and(|action| action != Action::Keep)
    }

    /// Whether something at the address leaves the cloud, or the state.
    fn goes(&self, address: &Address) -> bool {
        let node = &self.nodes[address];
        node.is_deposed || !matches!(node.action, Some(Action::Keep | Action::Note | Action::Create | Action::Update))
    }

    /// What the plan is about, and why, for what was not asked for.
    fn inside(&self, scope: &Scope) -> (BTreeSet<&'a Address>, BTreeMap<&'a Address, Along>) {
        let excluded = self.nodes.keys().copied().filter(|address| scope.is_excluded(address));
        let mut outside: BTreeSet<&Address> = excluded.collect();
        let mut next: Vec<&Address> = outside.iter().copied().collect();
        while let Some(address) = next.pop() {
            next.extend(self.held_back(address).into_iter().filter(|other| outside.insert(other)));
        }
        let all = scope.targets.is_empty();
        let asked = self.nodes.keys().copied().filter(|address| all || scope.is_target(address));
        // What is outside is needed by nothing that is not: none of it comes along.
        let mut inside: BTreeSet<&Address> = asked.filter(|address| !outside.contains(address)).collect();
        let mut along = BTreeMap::new();
        let mut next: Vec<&Address> = inside.iter().copied().collect();
        while let Some(address) = next.pop() {
            for (other, why) in self.taken_along(address) {
                if inside.insert(other) {
                    along.insert(other, Along { address: other.clone(), why, of: address.clone() });
                    next.push(other);
                }
            }
        }
        debug_assert!(inside.is_disjoint(&outside), "BUG: a part takes along what is excluded");
        (inside, along)
    }

    /// What must be inside when `address` is.
    fn taken_along(&self, address: &Address) -> Vec<(&'a Address, Why)> {
        let node = &self.nodes[address];
        let needs = node.needs.iter().map(|need| (*need, Why::Needed));
        let carries = node.carries.iter().filter(|_| self.goes(address)).filter(|user| self.changes(user));
        let holders = node.holders.iter().map(|holder| (*holder, Why::Holds));
        needs.chain(carries.map(|user| (*user, Why::Depends))).chain(holders).collect()
    }

    /// What must be outside when `address` is: the other way round.
    fn held_back(&self, address: &Address) -> Vec<&'a Address> {
        let node = &self.nodes[address];
        let bases = node.stands_on.iter().filter(|base| self.changes(address) && self.goes(base));
        node.needed_by.iter().chain(bases).chain(&node.held_for).copied().collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_star_stands_for_any_text() {
        let address: Address = "aws:glue:Crawler/flights/raw".parse().unwrap();
        let matches = |text: &str| text.parse::<Pattern>().unwrap().matches(&address);
        for text in ["*", "aws:glue:*/*", "aws:glue:Crawler/flights/raw", "*raw", "aws:*:Crawler/*/r*w", "**"] {
            assert!(matches(text), "{text}");
        }
        for text in ["", "aws:glue:Crawler", "aws:glue:Crawler/flights", "aws:s3:*", "*flights", "*flights*flights"] {
            assert!(!matches(text), "{text}");
        }
    }
}
