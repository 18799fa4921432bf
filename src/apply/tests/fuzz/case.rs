//! A case: what there is, what is done to it, and what it must come to. Small numbers throughout, so that a failing
//! case shrinks to a few of them, and prints as Rust.

use proptest::{collection::vec, option, prelude::*};

/// Places for resources.
pub const SLOTS: usize = 6;

/// A stack's life.
#[derive(Debug, Clone, PartialEq)]
pub struct Case {
    /// What was declared at first.
    pub prior: Layout,
    /// How far each of it got, by slot.
    pub marks: Vec<Mark>,
    /// What happens then.
    pub rounds: Vec<Round>,
    /// What is declared at last.
    pub last: Layout,
    /// The last apply comes after a refresh of its own.
    pub refreshed: bool,
}

/// A program.
#[derive(Debug, Clone, PartialEq)]
pub struct Layout {
    /// Which slots come before which: the slots' numbers with these bits turned.
    pub order: u8,
    /// What each slot declares.
    pub slots: Vec<Option<Node>>,
}

/// A resource.
#[derive(Debug, Clone, PartialEq)]
pub struct Node {
    /// Added to its slot's own kind.
    pub kind: u8,
    /// Its name, for kinds that have one of their own.
    pub key: u8,
    /// Another one is another resource.
    pub shape: u8,
    /// What can change in place.
    pub value: u8,
    /// Slots it depends on, by bit; those that come after it do not count.
    pub on: u8,
    /// What the edges are made of.
    pub how: u8,
    /// It stays when it is no longer declared.
    pub retain: bool,
}

/// How far a resource got before the case begins. `done`: the call took effect, and was not recorded.
#[derive(Debug, Clone, Copy, PartialEq)]
pub enum Mark {
    /// It was never there.
    Absent,
    /// It is recorded and there.
    Created,
    /// It was changed behind lake's back.
    Drifted,
    /// It was deleted behind lake's back.
    Gone,
    /// It is recorded, and the one that it replaced is still to be deleted.
    Replaced,
    /// A call was to make it.
    Creating { done: bool },
    /// A call was to change it.
    Updating { done: bool },
    /// A call was to make its successor.
    Replacing { done: bool },
    /// A call was to delete it.
    Deleting { done: bool },
    /// It was there once.
    Deleted { retained: bool },
}

/// One command, and what goes wrong meanwhile.
#[derive(Debug, Clone, PartialEq)]
pub struct Round {
    /// What somebody else does before.
    pub drifts: Vec<Drift>,
    /// What is run.
    pub command: Command,
    /// What is declared.
    pub program: Layout,
    /// What it is restricted to.
    pub aims: Vec<Aim>,
    /// What goes wrong.
    pub trouble: Trouble,
}

/// A command.
#[derive(Debug, Clone, Copy, PartialEq)]
pub enum Command {
    Plan,
    Apply,
    Destroy,
    Refresh,
}

/// What somebody else does in the cloud.
#[derive(Debug, Clone, Copy, PartialEq)]
pub enum Drift {
    /// Deletes the thing at this place.
    Delete(u8),
    /// Changes the thing at this place.
    Change(u8),
    /// Makes something of the name that this slot is going to have.
    Foreign(u8),
}

/// Part of a command's scope: a slot, or everything of its kind.
#[derive(Debug, Clone, Copy, PartialEq)]
pub enum Aim {
    Target { slot: u8, kind: bool },
    Exclude { slot: u8, kind: bool },
    Replace { slot: u8 },
}

/// What goes wrong in one command. Moments are counted: each call and each write has one before and one after it.
#[derive(Debug, Clone, PartialEq, Default)]
pub struct Trouble {
    /// What becomes of the calls that change something, in order.
    pub calls: Vec<Fault>,
    /// The call that reads and fails.
    pub read: Option<u8>,
    /// The moment at which the process is killed.
    pub kill: Option<u8>,
    /// The write that it is killed in is torn.
    pub torn: bool,
    /// The moment at which somebody interrupts.
    pub cancel: Option<u8>,
    /// Writes that work before the disk is full.
    pub room: Option<u8>,
    /// In which order things happen that may happen in any.
    pub seed: u8,
    /// Steps at once.
    pub parallel: u8,
}

/// What becomes of a call.
#[derive(Debug, Clone, Copy, PartialEq)]
pub enum Fault {
    /// It works.
    Works,
    /// It fails and changes nothing.
    Before,
    /// It takes effect and its answer is lost.
    After,
    /// It has to be tried again so many times.
    NotYet(u8),
}

fn flag(of: u32) -> impl Strategy<Value = bool> {
    (0..of).prop_map(move |it| it == of - 1)
}

fn node() -> impl Strategy<Value = Node> {
    let kind = prop_oneof![8 => Just(0u8), 1 => 0..5u8];
    let shape = prop_oneof![3 => Just(0u8), 1 => 0..3u8];
    (kind, 0..3u8, shape, 0..3u8, prop_oneof![1 => Just(0u8), 3 => 0..64u8], 0..4u8, flag(8))
        .prop_map(|(kind, key, shape, value, on, how, retain)| Node { kind, key, shape, value, on, how, retain })
}

fn layout() -> impl Strategy<Value = Layout> {
    let order = prop_oneof![2 => Just(0u8), 1 => 0..8u8];
    (order, vec(option::weighted(0.75, node()), SLOTS)).prop_map(|(order, slots)| Layout { order, slots })
}

fn mark() -> impl Strategy<Value = Mark> {
    let done = any::<bool>();
    prop_oneof![
        4 => Just(Mark::Absent),
        8 => Just(Mark::Created),
        1 => Just(Mark::Drifted),
        1 => Just(Mark::Gone),
        2 => Just(Mark::Replaced),
        1 => done.prop_map(|done| Mark::Creating { done }),
        1 => done.prop_map(|done| Mark::Updating { done }),
        1 => done.prop_map(|done| Mark::Replacing { done }),
        1 => done.prop_map(|done| Mark::Deleting { done }),
        1 => done.prop_map(|retained| Mark::Deleted { retained }),
    ]
}

fn fault() -> impl Strategy<Value = Fault> {
    prop_oneof![
        12 => Just(Fault::Works),
        2 => Just(Fault::Before),
        2 => Just(Fault::After),
        1 => (1..4u8).prop_map(Fault::NotYet),
    ]
}

fn trouble() -> impl Strategy<Value = Trouble> {
    (
        prop_oneof![1 => Just(Vec::new()), 2 => vec(fault(), 0..12)],
        option::weighted(0.05, 0..12u8),
        option::weighted(0.4, 0..60u8),
        any::<bool>(),
        option::weighted(0.1, 0..40u8),
        option::weighted(0.1, 0..12u8),
        any::<u8>(),
        1..5u8,
    )
        .prop_map(|(calls, read, kill, torn, cancel, room, seed, parallel)| Trouble {
            calls,
            read,
            kill,
            torn,
            cancel,
            room,
            seed,
            parallel,
        })
}

fn drift() -> impl Strategy<Value = Drift> {
    prop_oneof![
        2 => any::<u8>().prop_map(Drift::Delete),
        2 => any::<u8>().prop_map(Drift::Change),
        1 => (0..SLOTS as u8).prop_map(Drift::Foreign),
    ]
}

fn aim() -> impl Strategy<Value = Aim> {
    let slot = 0..SLOTS as u8;
    prop_oneof![
        3 => (slot.clone(), flag(4)).prop_map(|(slot, kind)| Aim::Target { slot, kind }),
        2 => (slot.clone(), flag(4)).prop_map(|(slot, kind)| Aim::Exclude { slot, kind }),
        1 => slot.prop_map(|slot| Aim::Replace { slot }),
    ]
}

fn round() -> impl Strategy<Value = Round> {
    let command = prop_oneof![
        1 => Just(Command::Plan),
        8 => Just(Command::Apply),
        2 => Just(Command::Destroy),
        1 => Just(Command::Refresh),
    ];
    let drifts = prop_oneof![2 => Just(Vec::new()), 1 => vec(drift(), 1..3)];
    let aims = prop_oneof![2 => Just(Vec::new()), 1 => vec(aim(), 1..4)];
    (drifts, command, layout(), aims, trouble()).prop_map(|(drifts, command, program, aims, trouble)| Round {
        drifts,
        command,
        program,
        aims,
        trouble,
    })
}

/// Which slots a program has as the one before it, by bit. What stays as it is meets what others go through.
fn same() -> impl Strategy<Value = u8> {
    prop_oneof![1 => Just(0u8), 2 => any::<u8>()]
}

/// Any case.
pub fn case() -> impl Strategy<Value = Case> {
    let rounds = vec((round(), same()), 0..4);
    (layout(), vec(mark(), SLOTS), rounds, (layout(), same()), any::<bool>()).prop_map(
        |(prior, marks, rounds, (last, same), refreshed)| {
            let mut before = prior.clone();
            let rounds = rounds.into_iter().map(|(mut round, same)| {
                round.program.keep(&before, same);
                before.clone_from(&round.program);
                round
            });
            let rounds = rounds.collect();
            let mut last = last;
            last.keep(&before, same);
            Case { prior, marks, rounds, last, refreshed }
        },
    )
}

impl Layout {
    /// Takes the slots of `same` from `before`, and the order with any of them.
    fn keep(&mut self, before: &Layout, same: u8) {
        for (slot, node) in self.slots.iter_mut().enumerate().filter(|(slot, _)| same >> slot & 1 == 1) {
            node.clone_from(&before.slots[slot]);
        }
        if same != 0 {
            self.order = before.order;
        }
    }
}

impl Case {
    /// A test that runs this case, to be pasted into `regressions`.
    pub fn source(&self) -> String {
        let literal = format!("{self:?}").replace('[', "vec![");
        format!("#[test]\nfn what_it_is_about() {{\n    check(&{literal}).unwrap();\n}}\n")
    }
}
