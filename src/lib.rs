//! `lake`: a serverless CSV to Parquet data lake in one binary.
//!
//! Two flows run through this crate; each word is a room (a module):
//!
//! - control plane: `cli → config → package → program → refresh → plan → apply → provider → state`
//! - data plane: `bootstrap → pipeline → executor → object store → catalog`
//!
//! and the embedded [`cloud`] stands behind an endpoint URL, as AWS does. `docs/ARCHITECTURE.md` is the map,
//! `tests/it/tidy.rs` holds its lines.

/// The only room that prints: one file a command.
pub mod cli;
/// The embedded AWS: services behind one loopback port, with what goes from one to the other.
pub mod cloud;
/// `lake.toml` → [`config::Config`], with errors that point at the line.
pub mod config;
/// What control plane and data plane share: a dataset's resolved description. Values only.
pub mod dataset;
/// CSV → Arrow → Parquet. Core without IO, object stores at the rim.
pub mod executor;
/// Places where a test makes the process die.
pub mod failpoint;
/// Durable file writes: temp file, fsync, rename, fsync of the folder.
pub mod files;
/// Dependency order on petgraph. Knows nothing of resources.
pub mod graph;
/// What gets deployed: the functions' zip and the dataset manifest, addressed by content.
pub mod package;
/// What runs when an object lands: intake, the crawl, convert, the sweep, and the ledger between them.
pub mod pipeline;
/// (declared, prior) → [`plan::Plan`]. Pure.
pub mod plan;
/// Config + packages → declared resources: the embedded infrastructure program.
pub mod program;
/// How each kind of resource is observed, created, updated and deleted.
pub mod provider;
/// Cloud + program → state: what was lost is found again by its ownership tags.
pub mod recover;
/// State + provider → prior: the only reading step before a plan.
pub mod refresh;
/// Values only: addresses, inputs, references, a kind's schema.
pub mod resource;
/// Snapshots of what is there, where they are kept, and who may write them.
pub mod state;

/// Plan → cloud, in dependency order, concurrently.
pub mod apply;
