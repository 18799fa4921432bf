//! Which face of lake: the CLI, or the Lambda bootstrap when a Runtime API is there.

fn main() {}
