//! How a kind of resource behaves: what the planner must know of it.

/// The planner's knowledge of a kind.
#[derive(Debug)]
pub struct Schema {
    /// `provider:service:Type`.
    pub kind: &'static str,
    /// What the cloud knows it by.
    pub naming: Naming,
    /// How a resource found in the cloud is told to be ours.
    pub ownership: Ownership,
    /// Inputs that cannot change in place: another value means another resource.
    pub replace_on: &'static [&'static str],
    /// Outputs that an update in place may change; all others stay.
    pub volatile_outputs: &'static [&'static str],
}

/// What the cloud knows a resource by: its identity.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Naming {
    /// A physical name fixed by the plan: `{prefix}{lake}-{stack}-{part}-{6 hex}`. It is also the output `name`.
    Physical {
        /// What the name begins with (`/aws/lambda/`), or nothing.
        prefix: &'static str,
        /// Between the parts: `-`, or `_` where Athena reads the name.
        separator: char,
        /// Longest name the service takes, in characters.
        length_max: usize,
    },
    /// These inputs together, joined by `/`.
    Fields(&'static [&'static str]),
}

/// How a resource found in the cloud is told to be ours.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Ownership {
    /// By our tags, set in the call that creates it.
    Tags,
    /// It is part of another resource, the one this input names, and belongs to whom that belongs.
    Parent(&'static str),
}
