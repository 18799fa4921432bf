//! What a crawler may do: what its role may, and how it fails when it may not.
//! <https://docs.aws.amazon.com/glue/latest/dg/crawler-prereqs.html>

use std::sync::Arc;

use redb::WriteTransaction;

use super::log::{Access, GROUP};
use crate::cloud::{
    authorise::{Need, may_deliver},
    delivery::Sender,
    error::ApiError,
    service::ACCOUNT_ID,
    store::{Store, StoreError},
};

/// What the role's sessions are called.
const SESSION: &str = "AWS-Crawler";

/// Why a crawl ends before its time.
#[derive(Debug)]
pub(super) enum Failure {
    /// It fails with this message.
    Told(String),
    /// Somebody stopped it, or it is gone.
    Stopped,
}

impl From<ApiError> for Failure {
    fn from(error: ApiError) -> Failure {
        if error.status.is_server_error() {
            tracing::error!(%error, "a crawl fails");
            return Failure::Told(super::INTERNAL_FAILURE.to_owned());
        }
        Failure::Told(error.message)
    }
}

impl From<StoreError> for Failure {
    fn from(error: StoreError) -> Failure {
        ApiError::from(error).into()
    }
}

/// A service's own error as AWS's Java clients, of which crawlers are made, write it.
pub(super) fn in_words_of(service: &str, error: &ApiError) -> Failure {
    if error.status.is_server_error() {
        return Failure::from(error.clone());
    }
    let ApiError { status, code, message } = error;
    let status = status.as_u16();
    Failure::Told(format!("{message} (Service: {service}; Status Code: {status}; Error Code: {code})"))
}

/// The rights of one crawler.
#[derive(Clone)]
pub(super) struct Rights {
    sender: Sender,
    /// ARN of the role's session.
    pub session: String,
}

/// Takes decisions back out of a transaction that is not to change anything.
enum Judged {
    Decided(Vec<Option<Need>>),
    Failed(ApiError),
}

impl From<StoreError> for Judged {
    fn from(error: StoreError) -> Judged {
        Judged::Failed(error.into())
    }
}

impl Rights {
    pub(super) fn of(role: &str) -> Rights {
        let name = role.rsplit('/').next().unwrap_or_default();
        Rights {
            sender: Sender::Role { arn: role.to_owned() },
            session: format!("arn:aws:sts::{ACCOUNT_ID}:assumed-role/{name}/{SESSION}"),
        }
    }

    /// The first of `needs` that the role does not have.
    pub(super) fn lacks(&self, tx: &WriteTransaction, needs: Vec<Need>) -> Result<Option<Need>, ApiError> {
        for need in needs {
            if !may_deliver(tx, &self.sender, &need)? {
                return Ok(Some(need));
            }
        }
        Ok(None)
    }

    /// [`Rights::lacks`] of each entry, outside of a transaction of the caller's: one is opened and given up again.
    pub(super) async fn judge<const N: usize>(
        &self,
        store: &Arc<Store>,
        needs: [Vec<Need>; N],
    ) -> Result<[Option<Need>; N], ApiError> {
        let rights = self.clone();
        let judged = store.commit(move |tx| {
            let lacking = needs.into_iter().map(|needs| rights.lacks(tx, needs)).collect();
            Err::<std::convert::Infallible, _>(match lacking {
                Ok(lacking) => Judged::Decided(lacking),
                Err(error) => Judged::Failed(error),
            })
        });
        match judged.await {
            Err(Judged::Decided(lacking)) => {
                <[_; N]>::try_from(lacking).map_err(|_| ApiError::internal("as many decisions as questions"))
            }
            Err(Judged::Failed(error)) => Err(error),
            Ok(never) => match never {},
        }
    }

    /// Fails unless the role has all of `needs`, all of Glue's.
    pub(super) fn require(&self, tx: &WriteTransaction, needs: Vec<Need>) -> Result<(), Failure> {
        match self.lacks(tx, needs)? {
            None => Ok(()),
            Some(need) => Err(self.denied_glue(&need)),
        }
    }

    /// A refusal of the Data Catalog.
    pub(super) fn denied_glue(&self, need: &Need) -> Failure {
        let (session, Need { action, resource, .. }) = (&self.session, need);
        Failure::Told(format!(
            "User: {session} is not authorized to perform: {action} on resource: {resource} because no identity-based \
             policy allows the {action} action (Service: AWSGlue; Status Code: 400; Error Code: AccessDeniedException)"
        ))
    }

    /// A refusal of S3, which says no more than that; the crawler adds what it was about.
    pub(super) fn denied_s3(&self, need: &Need, location: &str) -> Failure {
        let doing = if need.action == "s3:ListBucket" { "listing objects in" } else { "retrieving file at" };
        Failure::Told(format!(
            "Access Denied (Service: Amazon S3; Status Code: 403; Error Code: AccessDenied) {doing} {location}: {} is \
             not authorized to perform: {} on resource: {}",
            self.session, need.action, need.resource
        ))
    }

    /// What the role may do with the crawler's log.
    pub(super) async fn log_access(&self, store: &Arc<Store>, region: &str, crawler: &str) -> Result<Access, ApiError> {
        let group = format!("arn:aws:logs:{region}:{ACCOUNT_ID}:log-group:{GROUP}:log-stream:");
        let stream = format!("{group}{crawler}");
        let write = vec![Need::new("logs:PutLogEvents", &stream)];
        let create = vec![Need::new("logs:CreateLogGroup", group), Need::new("logs:CreateLogStream", stream)];
        let [no_write, no_create] = self.judge(store, [write, create]).await?;
        Ok(Access { writes: no_write.is_none(), creates: no_write.is_none() && no_create.is_none() })
    }
}
