//! Where authorisation comes in. Every signed request passes [`authorise`] after its signature has been checked
//! and before its service sees it: S3 through `s3s`' access hook, everything else through the gateway. What a service
//! does on its own account, delivering an event say, passes [`may_deliver`].
//!
//! Each decision is told at debug level under the target `lake::authorised`, with the statement that decided.

use http::{HeaderMap, StatusCode};
use jiff::Timestamp;
use redb::WriteTransaction;

use super::{
    delivery::Sender,
    error::ApiError,
    iam::{
        cache,
        context::Context,
        evaluate::{Asked, Decision, Kind, Policies, Principal, Source},
        policy::PolicyKind,
        standing::{Standing, Who},
    },
    service::{ACCOUNT_ID, Caller},
    store::{Store, StoreError, Table, Transaction},
};

/// Whether policies are evaluated, at [`ENFORCED`]; they are unless this says no.
const SETTINGS: Table<bool> = Table::new("cloud.iam");
const ENFORCED: &str = "enforced";

/// What a bucket's owner may do as root whatever the bucket's policy denies, so that nobody is locked out.
/// <https://docs.aws.amazon.com/AmazonS3/latest/API/API_PutBucketPolicy.html>
const ROOT_ALWAYS_MAY: [&str; 3] = ["s3:GetBucketPolicy", "s3:PutBucketPolicy", "s3:DeleteBucketPolicy"];

/// Where every request comes from: the server listens on the loopback alone.
const SOURCE_IP: &str = "127.0.0.1";

/// One permission that a call takes, in IAM's terms.
/// <https://docs.aws.amazon.com/service-authorization/latest/reference/reference_policies_actions-resources-contextkeys.html>
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Need {
    /// IAM's action: `sqs:SendMessage`, `s3:GetObject`. Not always the operation's name (`HeadObject` needs
    /// `s3:GetObject`, `Invoke` needs `lambda:InvokeFunction`).
    pub action: String,
    /// ARN of what it is done to; `*` for actions that take no resource.
    pub resource: String,
    /// Condition keys of the service and their values (`s3:prefix`, `iam:PassedToService`); a key with several values
    /// comes several times. The global ones (`aws:SecureTransport`, `aws:PrincipalArn`…) are added by whoever
    /// evaluates.
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

/// A signed request, as far as policies ask about it.
#[derive(Debug, Clone, Copy)]
pub struct Signed<'a> {
    /// Who signed it.
    pub caller: &'a Caller,
    /// The service of the signature's scope: it decides on the form of a refusal.
    pub service: &'a str,
    /// Region of the signature's scope.
    pub region: &'a str,
    /// Headers as sent.
    pub headers: &'a HeaderMap,
}

/// Makes policies count or not. Signatures and trust policies of functions' roles are checked either way.
pub fn enforce(store: &Store, enforced: bool) -> Result<(), StoreError> {
    store.write(|tx| match SETTINGS.get(tx, ENFORCED)?.unwrap_or(true) == enforced {
        true => Ok(()),
        false => SETTINGS.put(tx, ENFORCED, &enforced),
    })
}

fn is_enforced(tx: &impl Transaction) -> Result<bool, StoreError> {
    Ok(SETTINGS.get(tx, ENFORCED)?.unwrap_or(true))
}

/// Decides whether the caller may do all that a call needs; the refusal is that of the service.
pub fn authorise(store: &Store, request: &Signed<'_>, needs: &[Need]) -> Result<(), ApiError> {
    if needs.is_empty() {
        return Ok(());
    }
    store.read(|tx| {
        if !is_enforced(tx)? {
            return Ok(());
        }
        let standing = Standing::of(tx, request.caller)?;
        for need in needs {
            let decision = decide(&standing, need, &request_context(request, &standing.context, need));
            tell(&request.caller.arn, need, &decision);
            if !decision.is_allowed() {
                return Err(refusal(request, need, &decision));
            }
        }
        Ok(())
    })
}

/// Decides whether `sender`, a service acting by itself or with a role's rights, may do what `need` says: a service
/// needs an allowing statement in the resource's policy, a role one of its own or one there.
/// <https://docs.aws.amazon.com/IAM/latest/UserGuide/access_policies-cross-service-confused-deputy.html>
pub fn may_deliver(tx: &WriteTransaction, sender: &Sender, need: &Need) -> Result<bool, ApiError> {
    if !is_enforced(tx)? {
        return Ok(true);
    }
    let (name, decision) = match sender {
        Sender::Service(source) => {
            let mut context = Context::default();
            context.set("aws:SourceArn", &source.arn);
            context.set("aws:SourceAccount", &source.account);
            context.set("aws:PrincipalIsAWSService", "true");
            context.set("aws:PrincipalServiceName", &source.principal);
            let context = delivery_context(context, need);
            let policies = Policies { resource: resource(need), ..Policies::default() };
            let principal = Principal::Service(&source.principal);
            (&source.principal, policies.decide(principal, &asked(need, &context)))
        }
        Sender::Role { arn } => {
            let Some(standing) = Standing::of_role(tx, arn)? else {
                tracing::debug!(target: "lake::authorised", role = arn, "there is no such role");
                return Ok(false);
            };
            let context = delivery_context(standing.context.clone(), need);
            (arn, decide(&standing, need, &context))
        }
    };
    tell(name, need, &decision);
    Ok(decision.is_allowed())
}

fn decide(standing: &Standing, need: &Need, context: &Context) -> Decision {
    let Standing { who, identity, boundary, .. } = standing;
    let policies = Policies { identity: identity.clone(), boundary: boundary.clone(), resource: resource(need) };
    let decision = policies.decide(who.principal(), &asked(need, context));
    let root = matches!(who, Who::Root(_));
    match &decision {
        // The root may do everything that no resource's policy denies.
        Decision::Unallowed(Kind::Identity) if root => Decision::Allowed(None),
        Decision::Denied(..) if root && ROOT_ALWAYS_MAY.contains(&need.action.as_str()) => Decision::Allowed(None),
        _ => decision,
    }
}

fn asked<'a>(need: &'a Need, context: &'a Context) -> Asked<'a> {
    Asked { action: &need.action, resource: &need.resource, context }
}

/// The resource's policy: that of a role is its trust policy.
fn resource(need: &Need) -> Option<(Source, PolicyKind)> {
    let document = need.resource_policy.as_deref()?;
    let assumes = need.action.starts_with("sts:AssumeRole");
    let kind = if assumes { PolicyKind::Trust } else { PolicyKind::Resource };
    let name = format!("policy of {}", need.resource);
    Some((Source { name, policy: cache::policy(document, kind) }, kind))
}

/// The global keys of a request, with those of its caller and its need.
fn request_context(request: &Signed<'_>, caller: &Context, need: &Need) -> Context {
    let mut context = caller.clone();
    let header = |name: &str| request.headers.get(name).and_then(|value| value.to_str().ok());
    // Nobody listens in on the loopback: such a request counts as one over TLS. A proxy in front of the cloud tells
    // by the usual header when it took the request without TLS.
    let secure = header("x-forwarded-proto") != Some("http");
    context.set("aws:SecureTransport", secure.to_string());
    context.set("aws:RequestedRegion", request.region);
    context.set("aws:SourceIp", SOURCE_IP);
    for (key, name) in [("aws:UserAgent", "user-agent"), ("aws:Referer", "referer")] {
        if let Some(value) = header(name) {
            context.set(key, value);
        }
    }
    completed(context, need)
}

/// The global keys of what a service does by itself.
fn delivery_context(mut context: Context, need: &Need) -> Context {
    context.set("aws:SecureTransport", "true");
    if let Some(region) = need.resource.split(':').nth(3).filter(|region| !region.is_empty()) {
        context.set("aws:RequestedRegion", region);
    }
    completed(context, need)
}

fn completed(mut context: Context, need: &Need) -> Context {
    let now = Timestamp::now();
    context.set("aws:CurrentTime", now.to_string());
    context.set("aws:EpochTime", now.as_second().to_string());
    context.set("aws:ViaAWSService", "false");
    context.set("aws:ResourceAccount", ACCOUNT_ID);
    for (key, value) in &need.context {
        context.add(key, value);
    }
    context
}

fn tell(who: &str, need: &Need, decision: &Decision) {
    let Need { action, resource, .. } = need;
    match decision {
        Decision::Allowed(decider) => {
            let (policy, statement) = match decider {
                Some(decider) => (decider.policy.as_str(), decider.statement.as_str()),
                None => ("", ""),
            };
            tracing::debug!(target: "lake::authorised", decision = "allow", who, action, resource, policy, statement);
        }
        Decision::Denied(_, decider) => {
            let (policy, statement) = (&decider.policy, &decider.statement);
            tracing::debug!(target: "lake::authorised", decision = "deny", who, action, resource, policy, statement);
        }
        Decision::Unallowed(kind) => {
            tracing::debug!(target: "lake::authorised", decision = "none", who, action, resource, missing = ?kind);
        }
    }
}

/// What the caller is told, in AWS's words.
/// <https://docs.aws.amazon.com/IAM/latest/UserGuide/troubleshoot_access-denied.html>
fn refusal(request: &Signed<'_>, need: &Need, decision: &Decision) -> ApiError {
    let action = spelled(request.service, &need.action);
    let on = match (need.resource.as_str(), request.service) {
        ("*", "monitoring") => String::new(),
        _ if need.action == "s3:ListAllMyBuckets" => String::new(),
        (resource, "s3") => format!(" on resource: \"{resource}\""),
        (resource, _) => format!(" on resource: {resource}"),
    };
    let because = match decision {
        Decision::Denied(kind, _) => format!("with an explicit deny in {}", a_policy(*kind)),
        Decision::Unallowed(kind) => format!("because no {} allows the {action} action", policy(*kind)),
        Decision::Allowed(_) => String::new(),
    };
    let caller = &request.caller.arn;
    let message = format!("User: {caller} is not authorized to perform: {action}{on} {because}");
    let (status, code) = form(request.service);
    ApiError::with_status(status, code, message)
}

/// How a service's refusals look: status and code.
fn form(service: &str) -> (StatusCode, &'static str) {
    match service {
        "s3" | "iam" | "sts" | "sqs" | "monitoring" => (StatusCode::FORBIDDEN, "AccessDenied"),
        "sns" => (StatusCode::FORBIDDEN, "AuthorizationError"),
        "lambda" => (StatusCode::FORBIDDEN, "AccessDeniedException"),
        // Glue, CloudWatch Logs, EventBridge: JSON services that answer 400.
        _ => (StatusCode::BAD_REQUEST, "AccessDeniedException"),
    }
}

/// SNS and SQS spell actions their own way in messages.
fn spelled(service: &str, action: &str) -> String {
    match service {
        "sns" => action.replacen("sns:", "SNS:", 1),
        "sqs" => action.to_ascii_lowercase(),
        _ => action.to_owned(),
    }
}

fn policy(kind: Kind) -> &'static str {
    match kind {
        Kind::Identity => "identity-based policy",
        Kind::Resource => "resource-based policy",
        Kind::Trust => "role trust policy",
        Kind::Boundary => "permissions boundary",
    }
}

fn a_policy(kind: Kind) -> &'static str {
    match kind {
        Kind::Identity => "an identity-based policy",
        Kind::Resource => "a resource-based policy",
        Kind::Trust => "the role trust policy",
        Kind::Boundary => "a permissions boundary",
    }
}

#[cfg(test)]
mod tests;
