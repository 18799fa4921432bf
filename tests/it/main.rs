//! One integration binary. `tidy` holds the lines of docs/ARCHITECTURE.md; the others drive the real binary against
//! the real embedded cloud.

mod abroad;
mod apply_policy;
mod aws;
mod chain;
mod config;
mod control;
mod convert;
mod evolving;
mod faults;
mod interrupt;
mod kill;
mod mail;
mod ministack;
mod models;
mod partitions;
mod peers;
mod pipeline;
mod plugin;
mod policies;
mod python;
mod rebuilt;
mod record;
mod state;
mod state_s3;
mod status;
mod targets;
mod tidy;
mod transforms;
mod world;
