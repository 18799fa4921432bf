//! The AWS kinds, through the aws-sdk crates: a folder a service, a file a kind.

mod account;
mod cloudwatch;
mod document;
mod error;
mod events;
mod fields;
mod glue;
mod iam;
mod lambda;
mod logs;
#[cfg(test)]
mod replay;
mod s3;
mod sns;
mod sqs;

use std::{
    collections::HashMap,
    path::{Path, PathBuf},
    sync::Arc,
};

use aws_config::SdkConfig;

pub use error::classify;

use self::account::Account;
use super::{Kind, Provider};

/// The files that a program deploys (function packages, manifests, plugins), by the SHA-256 of their content in hex.
#[derive(Debug, Clone, Default)]
pub struct Assets(Arc<HashMap<String, PathBuf>>);

impl Assets {
    /// The file whose content has this hash.
    pub fn path(&self, sha256: &str) -> Option<&Path> {
        self.0.get(sha256).map(PathBuf::as_path)
    }
}

impl FromIterator<(String, PathBuf)> for Assets {
    fn from_iter<I: IntoIterator<Item = (String, PathBuf)>>(assets: I) -> Self {
        Assets(Arc::new(assets.into_iter().collect()))
    }
}

/// One client a service. Cheap to clone.
#[derive(Debug, Clone)]
pub struct Clients {
    /// S3.
    pub s3: aws_sdk_s3::Client,
    /// IAM.
    pub iam: aws_sdk_iam::Client,
    /// Lambda.
    pub lambda: aws_sdk_lambda::Client,
    /// CloudWatch Logs.
    pub logs: aws_sdk_cloudwatchlogs::Client,
    /// Glue.
    pub glue: aws_sdk_glue::Client,
    /// SQS.
    pub sqs: aws_sdk_sqs::Client,
    /// SNS.
    pub sns: aws_sdk_sns::Client,
    /// EventBridge.
    pub events: aws_sdk_eventbridge::Client,
    /// CloudWatch.
    pub cloudwatch: aws_sdk_cloudwatch::Client,
    account: Account,
    /// Where they call; empty when the configuration names no region, which every call then reports.
    pub region: String,
}

impl Clients {
    /// Clients that share the configuration's connections and credentials.
    pub fn new(config: &SdkConfig) -> Self {
        // An endpoint of one's own (the embedded cloud, say) has no host name a bucket.
        let s3 = aws_sdk_s3::config::Builder::from(config).force_path_style(config.endpoint_url().is_some()).build();
        let region = config.region().map(ToString::to_string).unwrap_or_default();
        Clients {
            s3: aws_sdk_s3::Client::from_conf(s3),
            iam: aws_sdk_iam::Client::new(config),
            lambda: aws_sdk_lambda::Client::new(config),
            logs: aws_sdk_cloudwatchlogs::Client::new(config),
            glue: aws_sdk_glue::Client::new(config),
            sqs: aws_sdk_sqs::Client::new(config),
            sns: aws_sdk_sns::Client::new(config),
            events: aws_sdk_eventbridge::Client::new(config),
            cloudwatch: aws_sdk_cloudwatch::Client::new(config),
            account: Account::new(aws_sdk_sts::Client::new(config), region.clone()),
            region,
        }
    }
}

/// Every kind of [`crate::resource::aws`], speaking to the cloud that `config` names and uploading from `assets`.
pub fn provider(config: &SdkConfig, assets: Assets) -> Provider {
    let clients = Clients::new(config);
    let kinds: [Box<dyn Kind>; 29] = [
        Box::new(s3::BucketKind::new(&clients)),
        Box::new(s3::VersioningKind::new(&clients)),
        Box::new(s3::EncryptionKind::new(&clients)),
        Box::new(s3::PublicAccessBlockKind::new(&clients)),
        Box::new(s3::NotificationKind::new(&clients)),
        Box::new(s3::PolicyKind::new(&clients)),
        Box::new(s3::LifecycleKind::new(&clients)),
        Box::new(s3::ObjectKind::new(&clients, assets)),
        Box::new(s3::DocumentKind::new(&clients)),
        Box::new(s3::PrefixKind::new(&clients)),
        Box::new(iam::RoleKind::new(&clients)),
        Box::new(iam::RolePolicyKind::new(&clients)),
        Box::new(logs::LogGroupKind::new(&clients)),
        Box::new(lambda::FunctionKind::new(&clients)),
        Box::new(lambda::PermissionKind::new(&clients)),
        Box::new(lambda::EventInvokeConfigKind::new(&clients)),
        Box::new(glue::DatabaseKind::new(&clients)),
        Box::new(glue::ClassifierKind::new(&clients)),
        Box::new(glue::CrawlerKind::new(&clients)),
        Box::new(glue::TablesKind::new(&clients)),
        Box::new(sqs::QueueKind::new(&clients)),
        Box::new(sqs::QueuePolicyKind::new(&clients)),
        Box::new(sns::TopicKind::new(&clients)),
        Box::new(sns::TopicPolicyKind::new(&clients)),
        Box::new(sns::SubscriptionKind::new(&clients)),
        Box::new(events::RuleKind::new(&clients)),
        Box::new(events::TargetKind::new(&clients)),
        Box::new(cloudwatch::AlarmKind::new(&clients)),
        Box::new(cloudwatch::DashboardKind::new(&clients)),
    ];
    Provider::new(kinds)
}

/// The partition that `region` lies in: what an ARN begins with
/// (<https://docs.aws.amazon.com/IAM/latest/UserGuide/reference-arns.html>).
fn partition(region: &str) -> &'static str {
    if region.starts_with("cn-") {
        "aws-cn"
    } else if region.starts_with("us-gov-") {
        "aws-us-gov"
    } else {
        "aws"
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::resource::aws::SCHEMAS;

    #[test]
    fn the_provider_offers_every_kind_that_a_program_can_declare() {
        let provider = provider(&replay::Replay::new([]).config(), Assets::default());
        for schema in SCHEMAS {
            assert!(provider.kind(schema.kind).is_ok(), "{}", schema.kind);
        }
        assert!(provider.kind("aws:s3:Bukket").is_err());
    }
}
