//! STS: who a caller is, and temporary credentials.
//! <https://docs.aws.amazon.com/STS/latest/APIReference/API_Operations.html>

use std::{sync::Arc, time::Duration};

use async_trait::async_trait;
use bytes::Bytes;
use http::{HeaderMap, Response, StatusCode};
use jiff::Timestamp;

mod access;

use super::{
    authorise::Need,
    credentials::{self, AccessKey},
    error::ApiError,
    iam::{self, Role},
    query::{self, Namespace, Params, Xml},
    service::{ACCOUNT_ID, Call, Caller, Protocol, Service},
    store::Store,
};

/// Version of the API.
const VERSION: &str = "2011-06-15";
/// Of the answers.
pub const NAMESPACE: Namespace = Namespace("https://sts.amazonaws.com/doc/2011-06-15/");
/// Shortest session, in seconds.
const MIN_SESSION_SECONDS: u32 = 900;
/// A role session's duration when the caller does not say, in seconds.
const ROLE_SESSION_SECONDS: u32 = 3600;
/// Longest duration of any role session, in seconds.
const MAX_ROLE_SESSION_SECONDS: u32 = 43_200;
/// A session assumed from within another role's session lasts no longer, in seconds.
const CHAINED_SESSION_SECONDS: u32 = 3600;
/// Longest session that `GetSessionToken` may be asked for, in seconds.
const MAX_TOKEN_SECONDS: u32 = 129_600;
/// A user's session when the caller does not say, in seconds.
const USER_SESSION_SECONDS: u32 = 43_200;
/// Longest session that it gives the root, in seconds.
const ROOT_SESSION_SECONDS: u32 = 3600;
/// Longest name of a role session, in letters.
const SESSION_NAME_LETTERS: usize = 64;

/// The service.
pub struct Sts {
    store: Arc<Store>,
}

impl Sts {
    /// The service over the roles in `store`.
    pub fn new(store: Arc<Store>) -> Sts {
        Sts { store }
    }

    async fn issue(&self, caller: Caller, seconds: u32) -> Result<AccessKey, ApiError> {
        let duration = Duration::from_secs(seconds.into());
        Ok(self.store.commit(move |tx| credentials::issue(tx, caller, duration)).await?)
    }

    async fn assume_role(&self, call: &Call, params: &Params) -> Result<Xml, ApiError> {
        refuse_session_policies(params)?;
        let role = self.assumable(call, params)?;
        let session = session_name(params)?;
        let seconds = role_session_seconds(call, params, &role)?;
        let caller = session_of(&role, session);
        let key = self.issue(caller.clone(), seconds).await?;
        Ok(Xml::of(|xml| {
            write_credentials(xml, &key);
            xml.element("AssumedRoleUser", |xml| {
                xml.text("AssumedRoleId", &caller.user_id);
                xml.text("Arn", &caller.arn);
            });
            xml.text("PackedPolicySize", "0");
        }))
    }

    /// The role that is asked for. One that is not there is refused as one that may not be assumed.
    fn assumable(&self, call: &Call, params: &Params) -> Result<Role, ApiError> {
        if call.caller.arn == format!("arn:aws:iam::{ACCOUNT_ID}:root") {
            return Err(denied("Roles may not be assumed by root accounts."));
        }
        let arn = params.require("RoleArn")?;
        let role = self.store.read(|tx| iam::find_by_arn(tx, arn))?;
        role.ok_or_else(|| {
            let caller = &call.caller.arn;
            denied(format!("User: {caller} is not authorized to perform: sts:AssumeRole on resource: {arn}"))
        })
    }

    async fn session_token(&self, call: &Call, params: &Params) -> Result<Xml, ApiError> {
        if is_session(&call.caller) {
            return Err(denied("Cannot call GetSessionToken with session credentials"));
        }
        let seconds = params.number("DurationSeconds", MIN_SESSION_SECONDS..=MAX_TOKEN_SECONDS)?;
        let seconds = match call.caller.arn.ends_with(":root") {
            // The root's sessions last an hour at most; longer wishes are cut, as AWS does.
            true => seconds.unwrap_or(ROOT_SESSION_SECONDS).min(ROOT_SESSION_SECONDS),
            false => seconds.unwrap_or(USER_SESSION_SECONDS),
        };
        let key = self.issue(call.caller.clone(), seconds).await?;
        Ok(Xml::of(|xml| write_credentials(xml, &key)))
    }
}

#[async_trait]
impl Service for Sts {
    fn scope(&self) -> &'static str {
        "sts"
    }

    fn protocol(&self, _headers: &HeaderMap) -> Protocol {
        Protocol::Query
    }

    fn needs(&self, call: &Call) -> Result<Vec<Need>, ApiError> {
        access::needs(&self.store, call)
    }

    async fn call(&self, call: Call) -> Result<Response<Bytes>, ApiError> {
        let params = Params::of(&call);
        let action = params.action()?;
        let result = match action {
            "GetCallerIdentity" => caller_identity(&call.caller),
            "AssumeRole" => self.assume_role(&call, &params).await?,
            "GetSessionToken" => self.session_token(&call, &params).await?,
            _ => return Err(query::unknown_action(action, VERSION)),
        };
        query::answer(&call, NAMESPACE, action, Some(result))
    }
}

/// Who a session of `role` is. Also what a function runs as: its session bears the function's name.
pub fn session_of(role: &Role, session: &str) -> Caller {
    Caller {
        arn: format!("arn:aws:sts::{ACCOUNT_ID}:assumed-role/{}/{session}", role.name),
        user_id: format!("{}:{session}", role.id),
    }
}

fn denied(message: impl Into<String>) -> ApiError {
    ApiError::with_status(StatusCode::FORBIDDEN, "AccessDenied", message)
}

fn is_session(caller: &Caller) -> bool {
    caller.arn.starts_with("arn:aws:sts:")
}

fn caller_identity(caller: &Caller) -> Xml {
    Xml::of(|xml| {
        xml.text("Arn", &caller.arn);
        xml.text("UserId", &caller.user_id);
        xml.text("Account", ACCOUNT_ID);
    })
}

fn write_credentials(xml: &mut Xml, key: &AccessKey) {
    xml.element("Credentials", |xml| {
        xml.text("AccessKeyId", &key.access_key_id);
        xml.text("SecretAccessKey", &key.secret_access_key);
        xml.optional("SessionToken", key.session_token.as_ref());
        let date = |time: Timestamp| time.strftime("%Y-%m-%dT%H:%M:%SZ").to_string();
        xml.optional("Expiration", key.expires.map(date));
    });
}

fn session_name(params: &Params) -> Result<&str, ApiError> {
    let name = params.require("RoleSessionName")?;
    let letter = |byte: u8| byte.is_ascii_alphanumeric() || b"_+=,.@-".contains(&byte);
    if (2..=SESSION_NAME_LETTERS).contains(&name.len()) && name.bytes().all(letter) {
        return Ok(name);
    }
    Err(ApiError::client(
        "ValidationError",
        format!(
            "1 validation error detected: Value '{name}' at 'roleSessionName' failed to satisfy constraint: Member \
             must satisfy regular expression pattern: [\\w+=,.@-]{{2,{SESSION_NAME_LETTERS}}}"
        ),
    ))
}

fn role_session_seconds(call: &Call, params: &Params, role: &Role) -> Result<u32, ApiError> {
    let asked = params.number("DurationSeconds", MIN_SESSION_SECONDS..=MAX_ROLE_SESSION_SECONDS)?;
    let seconds = asked.unwrap_or(ROLE_SESSION_SECONDS);
    let invalid = |message| Err(ApiError::client("ValidationError", message));
    if is_session(&call.caller) && seconds > CHAINED_SESSION_SECONDS {
        return invalid(
            "The requested DurationSeconds exceeds the 1 hour session limit for roles assumed by role chaining",
        );
    }
    if seconds > role.max_session_seconds {
        return invalid("The requested DurationSeconds exceeds the MaxSessionDuration set for this role.");
    }
    Ok(seconds)
}

/// A session policy narrows what a session may do; one that is not enforced would promise what is not kept.
fn refuse_session_policies(params: &Params) -> Result<(), ApiError> {
    match ["Policy", "PolicyArns.member.1.arn"].into_iter().find(|name| params.get(name).is_some()) {
        None => Ok(()),
        Some(name) => Err(ApiError::client(
            "InvalidParameterValue",
            format!("the embedded cloud does not enforce session policies; leave {name} out"),
        )),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::cloud::{iam::Iam, query::tests::call};

    async fn cloud() -> (tempfile::TempDir, Sts) {
        let folder = tempfile::tempdir().unwrap();
        let store = Store::open(folder.path()).unwrap();
        let trust = r#"{"Statement":{"Effect":"Allow","Principal":{"AWS":"000000000000"},"Action":"sts:AssumeRole"}}"#;
        let role = call("CreateRole", &[("RoleName", "Reader"), ("AssumeRolePolicyDocument", trust)]);
        Iam::new(Arc::clone(&store)).call(role).await.unwrap();
        (folder, Sts::new(store))
    }

    /// A call of a user's, which the gateway has let through.
    async fn ask(sts: &Sts, action: &str, params: &[(&str, &str)]) -> Result<String, ApiError> {
        let mut call = call(action, params);
        call.caller = Caller { arn: "arn:aws:iam::000000000000:user/ann".into(), user_id: "AIDAANN".into() };
        let answer = sts.call(call).await?;
        Ok(String::from_utf8(answer.into_body().to_vec()).unwrap())
    }

    const ROLE: (&str, &str) = ("RoleArn", "arn:aws:iam::000000000000:role/Reader");

    #[tokio::test]
    async fn a_caller_is_told_who_it_is() {
        let (_folder, sts) = cloud().await;
        let answer = ask(&sts, "GetCallerIdentity", &[]).await.unwrap();
        assert!(answer.contains(
            "<GetCallerIdentityResult><Arn>arn:aws:iam::000000000000:user/ann</Arn><UserId>AIDAANN</UserId>\
             <Account>000000000000</Account></GetCallerIdentityResult>"
        ));
    }

    #[tokio::test]
    async fn a_trusted_caller_gets_a_session_of_the_role() {
        let (_folder, sts) = cloud().await;
        let answer = ask(&sts, "AssumeRole", &[ROLE, ("RoleSessionName", "me")]).await.unwrap();
        let arn = "arn:aws:sts::000000000000:assumed-role/Reader/me";
        assert!(answer.contains(&format!(":me</AssumedRoleId><Arn>{arn}</Arn>")));
        let (_, key) = answer.split_once("<AccessKeyId>").unwrap();
        let key = key.split('<').next().unwrap();
        let secret = sts.store.read(|tx| credentials::lookup(tx, key)).unwrap().unwrap();
        assert_eq!(secret.caller.arn, arn, "who signs with the key is the session");
    }

    #[tokio::test]
    async fn the_root_assumes_no_role() {
        let (_folder, sts) = cloud().await;
        let refused = sts.call(call("AssumeRole", &[ROLE, ("RoleSessionName", "me")])).await.unwrap_err();
        assert_eq!(refused.message, "Roles may not be assumed by root accounts.");
    }

    #[tokio::test]
    async fn a_role_that_is_not_there_and_a_session_that_is_too_long_are_refused() {
        let (_folder, sts) = cloud().await;
        let session = ("RoleSessionName", "me");
        let missing = ask(&sts, "AssumeRole", &[("RoleArn", "arn:aws:iam::000000000000:role/None"), session]).await;
        assert_eq!(missing.unwrap_err().code, "AccessDenied");
        let long = ask(&sts, "AssumeRole", &[ROLE, session, ("DurationSeconds", "7200")]).await.unwrap_err();
        assert!(long.message.contains("MaxSessionDuration"));
        let narrowed = ask(&sts, "AssumeRole", &[ROLE, session, ("Policy", "{}")]).await.unwrap_err();
        assert_eq!(narrowed.code, "InvalidParameterValue");
        assert_eq!(ask(&sts, "DecodeAuthorizationMessage", &[]).await.unwrap_err().code, "InvalidAction");
    }
}
