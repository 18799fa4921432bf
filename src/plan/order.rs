//! The steps of a plan, and what each waits for.
//!
//! - What is made or changed waits for what it depends on, and for whoever has its name to be gone.
//! - What goes waits for whoever depended on it to go or to have moved away.
//! - What must go **early**, before its successor comes, waits for those of them alone that go early as well.
//!
//! So there are three layers, each without circles and none waiting for a later one: what goes early (along the
//! edges of the state), what is made or changed (along those of the program), what goes at last (along the state's).
//! Beyond that, what goes waits for whoever needs it and can move before: wherever that closes no circle.
//!
//! With what goes early the state loses the edges of those that stay: they are written down again, after its successor.

use std::collections::{BTreeMap, HashMap, HashSet};

use serde_json::Value;

use super::{Action, Desired, Operation, Step, diff::Decision};
use crate::{
    resource::{Address, Naming, Schemas},
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
    early: bool,
}

/// Something deposed that goes.
struct Left<'a> {
    old: &'a Recorded,
    step: usize,
    early: bool,
}

/// Who depends on an address, as far as the state knows.
type Dependents<'a> = BTreeMap<&'a Address, Vec<&'a Address>>;

/// The steps of `decisions`. Of what is deposed, only what lies at an address that is `inside` goes.
pub(super) fn steps(
    decisions: &[Decision],
    prior: &Snapshot,
    schemas: &Schemas,
    inside: &dyn Fn(&Address) -> bool,
) -> Vec<Step> {
    let mut steps = Vec::new();
    let mut places: BTreeMap<&Address, Places> = BTreeMap::new();
    for decision in decisions {
        let place = place(decision, prior, &mut steps);
        places.insert(&decision.change.address, place);
    }
    let wanted = wanted(decisions, prior);
    let is_current = |old: &Recorded| wanted.get(&key(old)) == Some(&&old.address);
    let mut left = Vec::new();
    for old in prior.deposed.iter().map(AsRef::as_ref).filter(|old| inside(&old.address) && !is_current(old)) {
        left.push(Left { old, step: steps.len(), early: wanted.contains_key(&key(old)) });
        steps.push(Step { address: old.address.clone(), operation: remove_deposed(old), after: Vec::new() });
    }
    // Who depends on whom in the state matters to what goes; most plans have nothing that does.
    let stays =
        |step: &Step| matches!(step.operation, Operation::Create(_) | Operation::Update(_) | Operation::Note(_));
    let dependents = if steps.iter().all(stays) { Dependents::new() } else { dependents(prior) };
    hasten(&mut places, &mut left, &dependents);
    for decision in decisions {
        wait(decision, &places, &dependents, &mut steps);
    }
    for Left { old, step, .. } in &left {
        let successor = wanted.get(&key(old)).and_then(|address| places.get(*address)?.ensure);
        successor.into_iter().for_each(|ensure| steps[ensure].after.push(*step));
    }
    order_unnamed(decisions, &left, &places, &mut steps);
    let current = prior.deposed.iter().map(AsRef::as_ref).filter(|old| is_current(old));
    let current: Vec<_> = current.filter_map(|old| Some((old, places.get(&old.address)?.ensure?))).collect();
    for sure in [true, false] {
        order_left(&left, prior, &places, &dependents, sure, &mut steps);
        let going = left.iter().map(|left| (left.old, left.step));
        order_after_deposed(going.chain(current.iter().copied()), &left, prior, &places, sure, &mut steps);
    }
    order_early(&left, &places, &dependents, &mut steps);
    rejoin(&places, &dependents, prior, schemas, &mut steps);
    for step in &mut steps {
        step.after.sort_unstable();
        step.after.dedup();
    }
    steps
}

/// What tells two things in the cloud apart.
fn key(recorded: &Recorded) -> (&str, &str) {
    (recorded.address.kind(), &recorded.identity)
}

/// Which address is to have which thing, where something is deposed that one of them may be.
fn wanted<'a>(decisions: &'a [Decision], prior: &'a Snapshot) -> HashMap<(&'a str, &'a str), &'a Address> {
    if prior.deposed.is_empty() {
        return HashMap::new();
    }
    let made = decisions.iter().filter(|decision| decision.desired.is_some());
    made.filter_map(|decision| {
        let address = &decision.change.address;
        Some(((address.kind(), decision.change.identity.as_deref()?), address))
    })
    .collect()
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
    let mut places = Places { early: decision.is_holder, ..Places::default() };
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
            // What is to be kept stays, unless its successor has its very name.
            let moves = decision.change.identity.as_ref() != Some(&old().identity);
            places.remove = push(if old().retain && moves { Operation::Forget } else { Operation::Delete });
            places.ensure = push(Operation::Create(desired()));
            places.early = true;
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
fn dependents(prior: &Snapshot) -> Dependents<'_> {
    let mut dependents = Dependents::new();
    for recorded in prior.resources.values() {
        for dependency in &recorded.dependencies {
            dependents.entry(dependency).or_default().push(&recorded.address);
        }
    }
    dependents
}

/// What depends on something that goes early, and goes itself, goes early too: otherwise it would wait for its own
/// dependents to move, and these perhaps for the successor.
fn hasten<'a>(places: &mut BTreeMap<&'a Address, Places>, left: &mut [Left<'a>], dependents: &Dependents<'a>) {
    let early = places.iter().filter(|(_, place)| place.early).map(|(address, _)| *address);
    let early_left = left.iter().filter(|left| left.early).map(|left| &left.old.address);
    let mut next: Vec<&Address> = early.chain(early_left).collect();
    while let Some(address) = next.pop() {
        for dependent in dependents.get(address).into_iter().flatten() {
            if let Some(place) = places.get_mut(*dependent)
                && place.ensure.is_none()
                && place.remove.is_some()
                && !place.early
            {
                place.early = true;
                next.push(dependent);
            }
        }
        for left in left.iter_mut().filter(|left| !left.early && left.old.dependencies.contains(address)) {
            left.early = true;
            next.push(&left.old.address);
        }
    }
}

/// What a resource's own steps wait for.
fn wait(decision: &Decision, places: &BTreeMap<&Address, Places>, dependents: &Dependents<'_>, steps: &mut [Step]) {
    let address = &decision.change.address;
    let own = places[address];
    if let (Some(ensure), Some(desired)) = (own.ensure, &decision.desired) {
        let needed = desired.dependencies.iter().filter_map(|address| places.get(address)?.ensure);
        steps[ensure].after.extend(needed);
        let holder = decision.after_holder.as_ref().and_then(|holder| places.get(holder)?.remove);
        steps[ensure].after.extend(holder);
    }
    if let Some(remove) = own.remove {
        let users = dependents.get(address).map_or(&[][..], Vec::as_slice);
        steps[remove].after.extend(removal_waits(own.early, users, places));
    }
    match (own.ensure, own.remove) {
        (Some(ensure), Some(remove)) if own.early => steps[ensure].after.push(remove),
        (Some(ensure), Some(remove)) => steps[remove].after.push(ensure),
        _ => {}
    }
}

/// What a removal waits for. When the resource goes before its successor comes, its dependents change only after
/// that, so it can wait for those of them alone that go early as well.
fn removal_waits(early: bool, dependents: &[&Address], places: &BTreeMap<&Address, Places>) -> Vec<usize> {
    let mut waits = Vec::new();
    for dependent in dependents.iter().filter_map(|address| places.get(address)) {
        if dependent.early || !early {
            waits.extend(dependent.remove);
        }
        if !early {
            waits.extend(dependent.ensure);
        }
    }
    waits
}

/// What is made under a name that is known only then may turn out to be called as something that goes: it waits for all
/// of its kind that can go before.
fn order_unnamed(decisions: &[Decision], left: &[Left<'_>], places: &BTreeMap<&Address, Places>, steps: &mut [Step]) {
    let mut going: HashMap<&str, Vec<(&Address, usize)>> = HashMap::new();
    let current = places.iter().filter_map(|(address, place)| Some((*address, place.remove?)));
    for (address, removal) in current.chain(left.iter().map(|left| (&left.old.address, left.step))) {
        going.entry(address.kind()).or_default().push((address, removal));
    }
    for decision in decisions.iter().filter(|decision| decision.change.identity.is_none()) {
        let address = &decision.change.address;
        let Some(ensure) = places[address].ensure else { continue };
        let of_kind = going.get(address.kind()).into_iter().flatten();
        for (_, removal) in of_kind.filter(|(other, _)| *other != address) {
            wait_unless_circular(steps, ensure, *removal);
        }
    }
}

/// What is deposed waits for those that may need it to go or to move, and for its successor. The state says on which
/// addresses they depend, not on which generation: first come the edges that are `sure`, because a record tells the
/// very name; of the others, those that would close a circle are left out.
fn order_left(
    left: &[Left<'_>],
    prior: &Snapshot,
    places: &BTreeMap<&Address, Places>,
    dependents: &Dependents<'_>,
    sure: bool,
    steps: &mut [Step],
) {
    for Left { old, step, early } in left {
        for user in dependents.get(&old.address).into_iter().flatten() {
            let Some(place) = places.get(user).filter(|place| !early || place.early) else { continue };
            if mentions(&prior.resources[*user], old) == sure {
                let ensure = place.ensure.filter(|_| !early);
                ensure.into_iter().chain(place.remove).for_each(|other| wait_unless_circular(steps, *step, other));
            }
        }
        let successor = places.get(&old.address).and_then(|places| places.ensure).filter(|_| !sure && !early);
        successor.into_iter().for_each(|other| wait_unless_circular(steps, *step, other));
    }
}

/// What is deposed depended on others, too: those that go wait for it to go, or to be made current again.
fn order_after_deposed<'a>(
    deposed: impl Iterator<Item = (&'a Recorded, usize)>,
    left: &[Left<'_>],
    prior: &Snapshot,
    places: &BTreeMap<&Address, Places>,
    sure: bool,
    steps: &mut [Step],
) {
    for (old, own) in deposed {
        for on in &old.dependencies {
            let current = places.get(on).and_then(|places| Some((places.remove?, &**prior.resources.get(on)?)));
            let others = left.iter().filter(|other| other.old.address == *on).map(|other| (other.step, other.old));
            for (removal, gone) in others.chain(current) {
                if mentions(old, gone) == sure {
                    wait_unless_circular(steps, removal, own);
                }
            }
        }
    }
}

/// Whether a record's inputs hold the very name, or another output, of what another record is about.
fn mentions(user: &Recorded, thing: &Recorded) -> bool {
    let outputs = thing.outputs.unpack();
    let texts = outputs.values().filter_map(Value::as_str).filter(|text| !text.is_empty());
    let told: Vec<&str> = texts.chain([thing.identity.as_str()]).collect();
    user.inputs.unpack().values().any(|value| holds(value, &told))
}

fn holds(value: &Value, told: &[&str]) -> bool {
    match value {
        Value::String(text) => told.iter().any(|told| text.contains(told)),
        Value::Array(items) => items.iter().any(|item| holds(item, told)),
        Value::Object(fields) => fields.values().any(|field| holds(field, told)),
        _ => false,
    }
}

/// What goes early waits for those that need it and can go or move before.
fn order_early(
    left: &[Left<'_>],
    places: &BTreeMap<&Address, Places>,
    dependents: &Dependents<'_>,
    steps: &mut [Step],
) {
    let current = places.iter().filter(|(_, place)| place.early);
    let current = current.filter_map(|(address, place)| Some((*address, place.remove?, None)));
    let left = left.iter().filter(|left| left.early).map(|left| {
        let successor = places.get(&left.old.address).and_then(|places| places.ensure);
        (&left.old.address, left.step, successor)
    });
    for (address, removal, successor) in current.chain(left) {
        let users = dependents.get(address).into_iter().flatten().filter_map(|user| places.get(user));
        let moves = users.flat_map(|user| user.ensure.into_iter().chain(user.remove)).chain(successor);
        for step in moves {
            wait_unless_circular(steps, removal, step);
        }
    }
}

/// What stays is noted as it is recorded, edges and all, once the successors of what it depends on are there. Only order
/// ties it to them: were an output of theirs among its inputs, it would change.
fn rejoin(
    places: &BTreeMap<&Address, Places>,
    dependents: &Dependents<'_>,
    prior: &Snapshot,
    schemas: &Schemas,
    steps: &mut Vec<Step>,
) {
    let mut successors: BTreeMap<&Address, Vec<usize>> = BTreeMap::new();
    for (address, place) in places.iter().filter(|(_, place)| place.early && place.remove.is_some()) {
        let stays = |user: &&&Address| places.get(**user).is_none_or(|it| it.ensure.is_none() && it.remove.is_none());
        for user in dependents.get(address).into_iter().flatten().filter(stays) {
            successors.entry(user).or_default().extend(place.ensure);
        }
    }
    for (address, after) in successors {
        let as_recorded = Operation::Note(as_recorded(&prior.resources[address], schemas));
        steps.push(Step { address: address.clone(), operation: as_recorded, after });
    }
}

fn as_recorded(recorded: &Recorded, schemas: &Schemas) -> Desired {
    let schema = schemas.get(recorded.address.kind());
    let is_named = schema.is_some_and(|schema| matches!(schema.naming, Naming::Physical { .. }));
    Desired {
        generation: recorded.generation,
        name: is_named.then(|| recorded.identity.clone()),
        inputs: recorded.inputs.unpack(),
        dependencies: recorded.dependencies.clone(),
        retain: recorded.retain,
    }
}

/// Lets `step` wait for `other`, unless that waits for it.
fn wait_unless_circular(steps: &mut [Step], step: usize, other: usize) {
    if !waits_for(steps, other, step) {
        steps[step].after.push(other);
    }
}

/// Whether `step` waits for `other`, itself or through others.
fn waits_for(steps: &[Step], step: usize, other: usize) -> bool {
    let (mut seen, mut next) = (HashSet::new(), vec![step]);
    while let Some(at) = next.pop() {
        if at == other {
            return true;
        }
        next.extend(steps[at].after.iter().filter(|&&earlier| seen.insert(earlier)));
    }
    false
}
