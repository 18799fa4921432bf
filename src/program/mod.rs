//! The embedded infrastructure program: what a lake is made of, as resources that refer to each other. Pure: from
//! values to values.
//!
//! [`lake`] puts a lake together from its parts: [`storage`] (buckets, catalog, code), [`function`] (the functions,
//! their roles and rights), [`events`] (the ways from one to the next), [`crawl`] (a crawler for each dataset that
//! wants one), [`data`] (what others write on behalf of a dataset), [`watch`] (alarms and dashboard). [`dataset`] is what each dataset adds to them, [`policy`] writes IAM
//! documents.

mod crawl;
mod data;
mod dataset;
mod events;
mod function;
mod lake;
mod policy;
mod storage;
#[cfg(test)]
mod tests;
mod watch;

pub use data::RAW;

use crate::{
    dataset::{Architecture, CatalogMode, Dataset, Transform},
    resource::Program,
};

/// All that the program is made from.
#[derive(Debug, Clone)]
pub struct Inputs {
    /// Name of the lake.
    pub lake: String,
    /// Name of the stack.
    pub stack: String,
    /// Region it lies in.
    pub region: String,
    /// The account it belongs to, 12 digits.
    pub account_id: String,
    /// Partition of the region, what its ARNs begin with: `aws`, `aws-cn`, `aws-us-gov`.
    pub partition: String,
    /// Whether the cloud's endpoint keeps requests from being read on the way: TLS, or loopback. Buckets then refuse
    /// any other way.
    pub secure_transport: bool,
    /// Who is told of runs and failures, by e-mail.
    pub alerts: Vec<String>,
    /// Whether raw and processed data stay in the cloud when the lake is destroyed, or a dataset is removed.
    pub on_destroy_retain: bool,
    /// The tables, with their plugins among the assets of the provider by their hashes.
    pub datasets: Vec<Dataset>,
    /// The zip that holds the functions.
    pub package: FunctionPackage,
    /// The description of the datasets that the functions read.
    pub manifest: ManifestObject,
    /// What intake gets.
    pub intake: FunctionSize,
    /// What convert gets.
    pub convert: FunctionSize,
    /// What sweep gets.
    pub sweep: FunctionSize,
}

impl Inputs {
    /// What the names of the stack's resources begin with, where the plan gives them
    /// ([`crate::resource::physical_name`]).
    fn name_prefix(&self) -> String {
        format!("{}-{}-", self.lake, self.stack)
    }

    /// The ARN of `resource` in the stack's account and region.
    fn arn(&self, service: &str, resource: &str) -> String {
        let Inputs { partition, region, account_id, .. } = self;
        format!("arn:{partition}:{service}:{region}:{account_id}:{resource}")
    }

    /// The transforms, with the names of their datasets.
    fn transforms(&self) -> impl Iterator<Item = (&str, &Transform)> {
        self.datasets.iter().filter_map(|dataset| Some((dataset.name.as_str(), dataset.transform.as_ref()?)))
    }

    /// The datasets whose files a crawler looks at first.
    fn crawled(&self) -> impl Iterator<Item = &Dataset> {
        self.datasets.iter().filter(|dataset| dataset.catalog == CatalogMode::Crawler)
    }
}

/// The zip that holds every function, among the assets of the provider by its hash.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct FunctionPackage {
    /// SHA-256 of the zip, in hex.
    pub sha256: String,
    /// What its program is built for.
    pub architecture: Architecture,
}

/// The manifest, among the assets of the provider by its hash.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ManifestObject {
    /// Key in the artifacts bucket, below [`MANIFEST_PREFIX`].
    pub key: String,
    /// SHA-256 of the manifest, in hex.
    pub sha256: String,
}

/// Prefix of manifests in the artifacts bucket: functions may read what is below it, so that another manifest
/// changes no policy.
pub const MANIFEST_PREFIX: &str = "manifests/";

/// Prefix of function packages in the artifacts bucket.
pub const PACKAGE_PREFIX: &str = "packages/";

/// Megabytes that convert needs at most besides a plugin's memory: row groups in the making, batches and uploads on
/// their way, and the plugin's code.
pub const EXECUTOR_MEMORY_MB: u32 = 640;

/// Memory and time of a function.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct FunctionSize {
    /// Megabytes. CPU comes with it: 1,769 MB is one whole vCPU
    /// (<https://docs.aws.amazon.com/lambda/latest/dg/configuration-memory.html>).
    pub memory_mb: u32,
    /// Seconds that an invocation may take.
    pub timeout_seconds: u32,
}

impl FunctionSize {
    /// What intake gets by default: it writes a marker and makes a call.
    pub const INTAKE: Self = FunctionSize { memory_mb: 512, timeout_seconds: 60 };
    /// What convert gets by default: one vCPU, and the longest time that Lambda gives.
    pub const CONVERT: Self = FunctionSize { memory_mb: 1769, timeout_seconds: 900 };
    /// What sweep gets by default: it lists and compares.
    pub const SWEEP: Self = FunctionSize { memory_mb: 512, timeout_seconds: 300 };
}

/// Declares the lake.
pub fn program(inputs: &Inputs) -> Program {
    let mut program = Program::default();
    lake::declare(&mut program, inputs);
    program
}
