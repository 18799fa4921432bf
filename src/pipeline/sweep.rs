//! What was left behind: found, and driven on.

/// What was written more recently than this is left to those who work on it, seconds.
pub const GRACE_SECONDS: i64 = 300;
