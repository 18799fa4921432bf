//! Whose account it is: a part of the ARNs that some services take and do not tell.

use std::sync::Arc;

use aws_sdk_sts::Client;
use tokio::sync::OnceCell;

use super::{
    error::{failed, incomplete},
    partition,
};
use crate::provider::ProviderError;

/// The account that the credentials belong to, asked for once.
#[derive(Debug, Clone)]
pub(super) struct Account {
    sts: Client,
    region: String,
    id: Arc<OnceCell<String>>,
}

impl Account {
    pub(super) fn new(sts: Client, region: String) -> Self {
        Account { sts, region, id: Arc::default() }
    }

    /// The account's number.
    pub(super) async fn id(&self) -> Result<&str, ProviderError> {
        const OPERATION: &str = "sts:GetCallerIdentity";
        let ask = || async {
            let answer = self.sts.get_caller_identity().send().await.map_err(failed(OPERATION))?;
            answer.account.ok_or_else(|| incomplete(OPERATION, "Account"))
        };
        self.id.get_or_try_init(ask).await.map(String::as_str)
    }

    /// The ARN of a resource in the account and region.
    pub(super) async fn arn(&self, service: &str, resource: &str) -> Result<String, ProviderError> {
        let region = &self.region;
        Ok(format!("arn:{}:{service}:{region}:{}:{resource}", partition(region), self.id().await?))
    }
}
