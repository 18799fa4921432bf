//! Where authorisation comes in. Every signed request passes [`authorise`] after its signature has been checked
//! and before its service sees it: S3 through `s3s`' access hook, everything else through the gateway. What a service
//! does on its own account, delivering an event say, passes [`may_deliver`].

use redb::WriteTransaction;

use super::{delivery::Sender, error::ApiError, service::Caller, store::Store};

/// One permission that a call takes, in IAM's terms.
/// <https://docs.aws.amazon.com/service-authorization/latest/reference/reference_policies_actions-resources-contextkeys.html>
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Need {
    /// IAM's action: `sqs:SendMessage`, `s3:GetObject`. Not always the operation's name (`HeadObject` needs
    /// `s3:GetObject`, `Invoke` needs `lambda:InvokeFunction`).
    pub action: String,
    /// ARN of what it is done to; `*` for actions that take no resource.
    pub resource: String,
    /// Condition keys of the service and their values (`s3:prefix`, `iam:PassedToService`). The global ones
    /// (`aws:SecureTransport`, `aws:PrincipalArn`…) are added by whoever evaluates.
    pub context: Vec<(String, String)>,
    /// The resource's own policy, as JSON, where it has one.
    pub resource_policy: Option<String>,
}

impl Need {
    /// `action` on `resource`, with nothing else to consider.
    pub fn new(action: impl Into<String>, resource: impl Into<String>) -> Need {
        Need { action: action.into(), resource: resource.into(), ..Need::default() }
    }

    /// With a condition key of the service.
    #[must_use]
    pub fn with(mut self, key: impl Into<String>, value: impl Into<String>) -> Need {
        self.context.push((key.into(), value.into()));
        self
    }

    /// With the policy of the resource.
    #[must_use]
    pub fn under(mut self, policy: Option<String>) -> Need {
        self.resource_policy = policy;
        self
    }
}

/// Decides whether `caller` may do all that a call needs. Identity policies are recorded but not evaluated yet:
/// every caller with valid credentials may do everything. An implicit or explicit deny belongs here, as
/// `AccessDenied` with 403.
pub fn authorise(_store: &Store, caller: &Caller, needs: &[Need]) -> Result<(), ApiError> {
    tracing::trace!(caller = caller.arn, ?needs, "authorised");
    Ok(())
}

/// Decides whether `sender`, a service acting by itself or with a role's rights, may do what `need` says: a service
/// needs an allowing statement in the resource's policy, a role one of its own.
pub fn may_deliver(_tx: &WriteTransaction, sender: &Sender, need: &Need) -> Result<bool, ApiError> {
    tracing::trace!(?sender, ?need, "authorised");
    Ok(true)
}
