//! From a stack to SDK clients: the embedded cloud or AWS, told apart here and nowhere else.

use std::time::Duration;

use aws_config::{BehaviorVersion, Region, SdkConfig, retry::RetryConfig, timeout::TimeoutConfig};
use aws_credential_types::Credentials;

use crate::config::{Stack, Target};

use super::{cloud::process, context::Context, error::CliError};

/// Longest wait for a connection.
const CONNECT_TIMEOUT: Duration = Duration::from_secs(5);

/// Tries of one call to AWS that is throttled, fails for a reason of the service's own, or gets no answer. The SDK waits
/// before each a random part of one, two, four seconds and so on, at most twenty: about half a minute for all of them.
/// Lambda and IAM allow some ten changing calls a second in an account, and sixteen steps run at once, so the SDK's own
/// three tries would not do. Whoever sets more (`AWS_MAX_ATTEMPTS`, `max_attempts` of a profile) gets more. Its
/// `adaptive` mode stays off: it holds back every call of a client once one of its operations is throttled.
/// <https://docs.aws.amazon.com/sdkref/latest/guide/feature-retry-behavior.html>
const TRIES: u32 = 8;

/// A stack's cloud, ready to be called.
#[derive(Debug, Clone)]
pub struct Connection {
    /// What every SDK client is made from.
    pub sdk: SdkConfig,
    /// The account behind the credentials.
    pub account_id: String,
    /// `aws`, or a partition of its own such as `aws-cn`.
    pub partition: String,
    /// The stack's region.
    pub region: String,
}

impl Connection {
    /// An S3 client.
    pub fn s3(&self) -> aws_sdk_s3::Client {
        s3(&self.sdk)
    }
}

/// An S3 client; path style for every server but AWS's own, whose names resolve.
pub fn s3(sdk: &SdkConfig) -> aws_sdk_s3::Client {
    let path_style = sdk.endpoint_url().is_some();
    aws_sdk_s3::Client::from_conf(aws_sdk_s3::config::Builder::from(sdk).force_path_style(path_style).build())
}

/// Connects to the stack's cloud. The embedded one is started when it is not running.
pub async fn connect(context: &Context, stack: &Stack) -> Result<Connection, CliError> {
    // Whether anybody answers, and whether the credentials do, is to be told at once.
    let connection = identify(sdk(context, stack).await?, stack).await?;
    let sdk = match &stack.target {
        Target::Embedded => connection.sdk,
        Target::Aws { .. } => persistent(&connection.sdk),
    };
    Ok(Connection { sdk, ..connection })
}

/// What clients of the stack's cloud are made from; nothing was asked of it yet. The embedded one is started when it is
/// not running.
pub async fn sdk(context: &Context, stack: &Stack) -> Result<SdkConfig, CliError> {
    let timeouts = TimeoutConfig::builder().connect_timeout(CONNECT_TIMEOUT).build();
    let loader = aws_config::defaults(BehaviorVersion::latest())
        .region(Region::new(stack.region.clone()))
        .timeout_config(timeouts);
    Ok(match &stack.target {
        Target::Embedded => {
            let server = process::ensure_running(context).await?;
            let credentials =
                Credentials::new(&server.access_key_id, &server.secret_access_key, None, None, "embedded cloud");
            loader.endpoint_url(server.endpoint()).credentials_provider(credentials).load().await
        }
        Target::Aws { profile, endpoint_url } => {
            let mut loader = loader;
            if let Some(profile) = profile {
                loader = loader.profile_name(profile);
            }
            if let Some(endpoint_url) = endpoint_url {
                loader = loader.endpoint_url(endpoint_url);
            }
            loader.load().await
        }
    })
}

/// The configuration with at least [`TRIES`].
fn persistent(sdk: &SdkConfig) -> SdkConfig {
    let retry = sdk.retry_config().cloned().unwrap_or_else(RetryConfig::standard);
    let tries = retry.max_attempts().max(TRIES);
    sdk.to_builder().retry_config(retry.with_max_attempts(tries)).build()
}

async fn identify(sdk: SdkConfig, stack: &Stack) -> Result<Connection, CliError> {
    let caller = aws_sdk_sts::Client::new(&sdk).get_caller_identity().send().await;
    let caller = caller.map_err(|error| {
        let error = crate::provider::aws::classify("sts:GetCallerIdentity", error);
        let message = format!("the cloud does not accept the credentials: {error}");
        CliError::failed(message).hint(match stack.target {
            Target::Embedded => "restart it with `lake cloud stop` and `lake cloud start`".to_owned(),
            Target::Aws { .. } => {
                format!("check the credentials of stack `{}` (`aws sts get-caller-identity`)", stack.name)
            }
        })
    })?;
    let arn = caller.arn().unwrap_or("arn:aws:");
    Ok(Connection {
        account_id: caller.account().unwrap_or_default().to_owned(),
        partition: arn.split(':').nth(1).unwrap_or("aws").to_owned(),
        region: stack.region.clone(),
        sdk,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn calls_are_tried_often_enough_and_more_often_for_whoever_asks_for_it() {
        let sdk = |retry| SdkConfig::builder().retry_config(retry).build();
        let tries = |sdk: &SdkConfig| persistent(sdk).retry_config().map(RetryConfig::max_attempts);
        assert_eq!(tries(&SdkConfig::builder().build()), Some(TRIES));
        assert_eq!(tries(&sdk(RetryConfig::standard())), Some(TRIES));
        assert_eq!(tries(&sdk(RetryConfig::standard().with_max_attempts(20))), Some(20));
    }
}
