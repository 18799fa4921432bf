//! The AWS kinds, through the aws-sdk crates.
