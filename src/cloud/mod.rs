//! The embedded AWS: the slice of AWS that a lake needs, spoken over AWS's own wire protocols on one loopback
//! port, with its data in a folder.
//!
//! `gateway` takes a request, checks its signature and tells the service from the signature's scope; `s3/` goes
//! through the crate `s3s`, every other service is a [`service::Service`]. What a service keeps is in [`store`]:
//! an acknowledged write is on disk. The rest of lake knows this room by its endpoint URL alone.
//!
//! - `assembly` puts the services together.
//! - [`authorise`] decides whether a caller may do what a call takes, and whether a service may do what it does by
//!   itself; [`iam`] has the policies.
//! - [`delivery`] is the way from one service to another, inside the transaction that causes a message; [`meter`] is
//!   the way of metrics to [`cloudwatch`].
//! - [`faults`] makes messages and requests go wrong, when it is asked to.

pub mod assembly;
pub mod authorise;
pub mod cloudwatch;
pub mod credentials;
pub mod delivery;
pub mod error;
pub mod events;
pub mod faults;
pub mod gateway;
pub mod glue;
pub mod iam;
pub mod json;
pub mod lambda;
pub mod logs;
pub mod meter;
mod neighbours;
pub mod query;
pub mod s3;
pub mod server;
pub mod service;
pub mod sns;
pub mod sqs;
pub mod store;
pub mod sts;

#[cfg(test)]
mod clients;
