//! State × action, in full: whatever a resource got to, whatever it is to become, alone and among others.

use super::{
    case::{Layout, Mark, Node, SLOTS},
    kinds::{ENTRY, KEYED, LONE, NAMED},
    world::World,
};

/// What a resource may have got to.
const MARKS: [Mark; 14] = [
    Mark::Absent,
    Mark::Created,
    Mark::Drifted,
    Mark::Gone,
    Mark::Replaced,
    Mark::Creating { done: false },
    Mark::Creating { done: true },
    Mark::Updating { done: false },
    Mark::Updating { done: true },
    Mark::Replacing { done: false },
    Mark::Replacing { done: true },
    Mark::Deleting { done: false },
    Mark::Deleting { done: true },
    Mark::Deleted { retained: true },
];

/// What it is to become.
#[derive(Debug, Clone, Copy)]
enum Action {
    Stay,
    Update,
    Replace,
    Rename,
    Go,
}

const ACTIONS: [Action; 5] = [Action::Stay, Action::Update, Action::Replace, Action::Rename, Action::Go];

/// Who depends on whom, by slot.
const SHAPES: [(&str, [u8; SLOTS]); 4] = [
    ("alone", [0, 0, 0, 0, 0, 0]),
    ("a chain", [0, 0b1, 0b10, 0b100, 0b1000, 0b1_0000]),
    ("a diamond", [0, 0b1, 0b1, 0b110, 0b110, 0b1_1000]),
    ("a fan", [0, 0b1, 0b1, 0b1, 0b1, 0b1]),
];

fn node(kind: usize, slot: usize, on: u8) -> Node {
    let kind = ((kind + 5 - slot % 5) % 5) as u8;
    Node { kind, key: 0, shape: 0, value: 0, on, how: 1, retain: false }
}

fn changed(node: &Node, action: Action) -> Option<Node> {
    let node = node.clone();
    match action {
        Action::Stay => Some(node),
        Action::Update => Some(Node { value: 2, ..node }),
        Action::Replace => Some(Node { shape: 2, ..node }),
        Action::Rename => Some(Node { key: 3, ..node }),
        Action::Go => None,
    }
}

/// A program of this shape, in which the resource in `slot` is of this kind and the others are buckets or the like.
fn layout(shape: [u8; SLOTS], slot: usize, kind: usize) -> Layout {
    let kind_of = |other: usize| match other {
        _ if other == slot => kind,
        _ if other.is_multiple_of(2) => NAMED,
        _ => KEYED,
    };
    let slots = shape.iter().enumerate().map(|(other, on)| Some(node(kind_of(other), other, *on)));
    Layout { order: 0, slots: slots.collect() }
}

#[test]
fn whatever_a_resource_got_to_it_becomes_what_is_declared() {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_time().build().unwrap();
    for (name, shape) in SHAPES {
        for slot in [0, 2, 5] {
            for kind in [NAMED, KEYED, ENTRY, LONE] {
                let prior = layout(shape, slot, kind);
                for mark in MARKS {
                    for action in ACTIONS {
                        let mut marks = vec![Mark::Created; SLOTS];
                        marks[slot] = mark;
                        let mut last = prior.clone();
                        last.slots[slot] = prior.slots[slot].as_ref().and_then(|node| changed(node, action));
                        let settled =
                            runtime.block_on(async { World::new(&prior, &marks).await.settle(&last, false).await });
                        settled.unwrap_or_else(|why| {
                            panic!("{name}, slot {slot}, kind {kind}, {mark:?} × {action:?}: {why}")
                        });
                    }
                }
            }
        }
    }
}
