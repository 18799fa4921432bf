//! What Lambda needs of STS and IAM, given by them.

use std::{sync::Arc, time::Duration};

use async_trait::async_trait;
use http::StatusCode;

use super::{
    credentials,
    error::ApiError,
    iam,
    lambda::{CredentialIssuer, Roles, TemporaryCredentials},
    logs,
    store::Store,
    sts,
};

/// Who assumes the roles of functions.
const LAMBDA: &str = "lambda.amazonaws.com";

/// The services that share a store.
pub struct Neighbourhood(pub Arc<Store>);

#[async_trait]
impl CredentialIssuer for Neighbourhood {
    async fn issue(&self, role_arn: &str, session_name: &str, ttl: Duration) -> Result<TemporaryCredentials, ApiError> {
        let (role_arn, session_name) = (role_arn.to_owned(), session_name.to_owned());
        let key = self.0.commit(move |tx| {
            // Asked each time: a trust policy may have changed since the function was given the role.
            if !iam::assumable_by(tx, &role_arn, LAMBDA)? {
                return Err(unassumable());
            }
            let role = iam::find_by_arn(tx, &role_arn)?.ok_or_else(unassumable)?;
            Ok::<_, ApiError>(credentials::issue(tx, sts::session_of(&role, &session_name), ttl)?)
        });
        let key = key.await?;
        Ok(TemporaryCredentials {
            access_key_id: key.access_key_id,
            secret_access_key: key.secret_access_key,
            session_token: key.session_token.unwrap_or_default(),
        })
    }
}

impl Roles for Neighbourhood {
    fn assumable(&self, role_arn: &str, principal: &str) -> Result<bool, ApiError> {
        self.0.read(|tx| iam::assumable_by(tx, role_arn, principal))
    }

    fn may_log(&self, role_arn: &str, region: &str, group: &str, stream: &str) -> Result<bool, ApiError> {
        self.0.read(|tx| logs::may_write(tx, role_arn, region, group, stream))
    }
}

/// The role was deleted under its function, or trusts Lambda no longer.
/// <https://docs.aws.amazon.com/lambda/latest/dg/lambda-intro-execution-role.html>
fn unassumable() -> ApiError {
    let message = "The role defined for the function cannot be assumed by Lambda.";
    ApiError::with_status(StatusCode::FORBIDDEN, "AccessDeniedException", message)
}
