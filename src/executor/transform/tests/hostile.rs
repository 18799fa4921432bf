//! What plugins must not do, and what a user reads then.
