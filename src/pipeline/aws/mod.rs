//! The ports over the AWS SDK: the same calls against AWS, the embedded cloud, and any server that speaks its
//! protocols.

mod catalog;
mod crawlers;
mod engine;
mod events;
mod objects;
mod plugins;

use std::{collections::BTreeMap, time::Duration};

use aws_config::SdkConfig;
use aws_sdk_lambda::{primitives::Blob, types::InvocationType};
use aws_sdk_s3::error::{ProvideErrorMetadata, SdkError};
use aws_smithy_runtime_api::client::orchestrator::HttpResponse;
use jiff::Timestamp;

pub use self::catalog::SOURCE_COLUMNS;

use self::plugins::Plugins;
use super::ports::{Clock, CloudError, CloudErrorKind, Functions};
use crate::executor::object::describe;

/// Parameter of a table in the catalog that names its lake.
pub const OWNER_LAKE: &str = "lake.name";

/// Parameter of a table in the catalog that names its stack.
pub const OWNER_STACK: &str = "lake.stack";

/// What the lake's parts are called in the cloud.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Names {
    /// The lake.
    pub lake: String,
    /// Its stack.
    pub stack: String,
    /// Bucket of the sources.
    pub raw_bucket: String,
    /// Bucket of the tables' files and the ledger.
    pub processed_bucket: String,
    /// Glue database.
    pub database: String,
    /// Function that converts; whoever never invokes it leaves it empty.
    pub convert_function: String,
}

/// A lake in the cloud.
#[derive(Debug, Clone)]
pub struct Aws {
    s3: aws_sdk_s3::Client,
    glue: aws_sdk_glue::Client,
    lambda: aws_sdk_lambda::Client,
    events: aws_sdk_eventbridge::Client,
    names: Names,
    partition: &'static str,
    crawlers: BTreeMap<String, String>,
    plugins: Option<Plugins>,
    memory_mb: u32,
}

impl Aws {
    /// Clients of `config`'s endpoint, region and credentials. Nothing is called yet.
    pub fn new(config: &SdkConfig, names: Names) -> Self {
        Aws {
            s3: s3_client(config),
            glue: aws_sdk_glue::Client::new(config),
            lambda: aws_sdk_lambda::Client::new(config),
            events: aws_sdk_eventbridge::Client::new(config),
            names,
            partition: config.region().map_or("aws", |region| partition(region.as_ref())),
            crawlers: BTreeMap::new(),
            plugins: None,
            memory_mb: 0,
        }
    }

    /// The same, knowing the names of the datasets' crawlers.
    #[must_use]
    pub fn with_crawlers(self, crawlers: BTreeMap<String, String>) -> Self {
        Aws { crawlers, ..self }
    }

    /// The same, finding plugins in the bucket of artifacts. Nothing is loaded before a conversion needs it.
    #[must_use]
    pub fn with_plugins(self, artifacts_bucket: &str) -> Self {
        let plugins = Plugins::new(self.s3.clone(), artifacts_bucket);
        Aws { plugins: Some(plugins), ..self }
    }

    /// The same, in a function of so many megabytes: what it converts may use more than [`crate::executor::MEMORY_BYTES`] of
    /// them.
    #[must_use]
    pub fn with_memory(self, memory_mb: u32) -> Self {
        Aws { memory_mb, ..self }
    }

    /// What the lake's parts are called.
    pub fn names(&self) -> &Names {
        &self.names
    }

    /// Whose a table is: what its parameters in the catalog say.
    fn owner(&self) -> BTreeMap<String, String> {
        let owner = [(OWNER_LAKE, &self.names.lake), (OWNER_STACK, &self.names.stack)];
        owner.into_iter().map(|(key, value)| (key.to_owned(), value.clone())).collect()
    }
}

/// The partition of a region
/// (<https://docs.aws.amazon.com/whitepapers/latest/aws-fault-isolation-boundaries/partitions.html>).
fn partition(region: &str) -> &'static str {
    match region.split('-').next() {
        Some("cn") => "aws-cn",
        Some("us") if region.starts_with("us-gov-") => "aws-us-gov",
        _ => "aws",
    }
}

/// An S3 client; path style for every server but AWS's own, whose names resolve.
pub(super) fn s3_client(config: &SdkConfig) -> aws_sdk_s3::Client {
    let path_style = config.endpoint_url().is_some();
    aws_sdk_s3::Client::from_conf(aws_sdk_s3::config::Builder::from(config).force_path_style(path_style).build())
}

impl Functions for Aws {
    async fn invoke_convert(&self, marker_key: &str) -> Result<(), CloudError> {
        let function = &self.names.convert_function;
        let payload = serde_json::json!({ "marker": marker_key }).to_string();
        let request = self.lambda.invoke().function_name(function).invocation_type(InvocationType::Event);
        request.payload(Blob::new(payload)).send().await.map_err(|error| failed("Invoke", function, &error))?;
        Ok(())
    }
}

impl Clock for Aws {
    fn now(&self) -> Timestamp {
        Timestamp::now()
    }

    async fn sleep(&self, time: Duration) {
        tokio::time::sleep(time).await;
    }
}

/// An SDK's error as the pipeline sees it. That S3 refuses for want of a permission may pass: roles take seconds to
/// be what they were made.
fn failed<E>(operation: &'static str, target: &str, error: &SdkError<E, HttpResponse>) -> CloudError
where
    E: ProvideErrorMetadata + std::error::Error + 'static,
{
    let conflict = status(error) == Some(409);
    CloudError {
        operation,
        target: target.to_owned(),
        message: describe(error),
        kind: if conflict { CloudErrorKind::Conflict } else { CloudErrorKind::Retriable },
    }
}

fn status<E>(error: &SdkError<E, HttpResponse>) -> Option<u16> {
    error.raw_response().map(|response| response.status().as_u16())
}
