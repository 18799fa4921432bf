//! Decisions with a store behind them.

use std::sync::Arc;

use super::*;
use crate::cloud::{iam::Iam, query::tests::call, service::Service};

const ROLE: &str = "arn:aws:iam::000000000000:role/lake/convert";
const TRUST: &str = r#"{"Version":"2012-10-17","Statement":{"Effect":"Allow","Principal":{"AWS":"000000000000"},"Action":"sts:AssumeRole"}}"#;
const READ: &str = r#"{"Version":"2012-10-17","Statement":{"Sid":"Read","Effect":"Allow","Action":"s3:GetObject","Resource":"arn:aws:s3:::raw/${aws:PrincipalTag/team}/*"}}"#;

struct Cloud {
    _folder: tempfile::TempDir,
    store: Arc<Store>,
}

impl Cloud {
    /// A cloud with a role of the team `a` that may read what is its team's.
    async fn start() -> Cloud {
        let folder = tempfile::tempdir().unwrap();
        let cloud = Cloud { store: Store::open(folder.path()).unwrap(), _folder: folder };
        cloud
            .ask(
                "CreateRole",
                &[
                    ("RoleName", "convert"),
                    ("Path", "/lake/"),
                    ("AssumeRolePolicyDocument", TRUST),
                    ("Tags.member.1.Key", "team"),
                    ("Tags.member.1.Value", "a"),
                ],
            )
            .await;
        cloud.ask("PutRolePolicy", &[("RoleName", "convert"), ("PolicyName", "r"), ("PolicyDocument", READ)]).await;
        cloud
    }

    async fn ask(&self, action: &str, params: &[(&str, &str)]) {
        Iam::new(Arc::clone(&self.store)).call(call(action, params)).await.unwrap();
    }

    fn session(&self) -> Caller {
        let role = self.store.read(|tx| crate::cloud::iam::find_by_arn(tx, ROLE)).unwrap().unwrap();
        crate::cloud::sts::session_of(&role, "1")
    }

    fn authorise(&self, caller: &Caller, service: &str, need: Need) -> Result<(), ApiError> {
        let headers = HeaderMap::new();
        authorise(&self.store, &Signed { caller, service, region: "eu-west-1", headers: &headers }, &[need])
    }
}

fn root() -> Caller {
    Caller { arn: "arn:aws:iam::000000000000:root".into(), user_id: "000000000000".into() }
}

fn everyone(effect: &str, condition: &str) -> Option<String> {
    Some(format!(
        r#"{{"Version":"2012-10-17","Statement":{{"Effect":"{effect}","Principal":"*","Action":"*","Resource":"*"{condition}}}}}"#
    ))
}

#[tokio::test]
async fn a_session_has_the_rights_of_its_role_and_of_no_other() {
    let cloud = Cloud::start().await;
    let (session, read) = (cloud.session(), |key: &str| Need::new("s3:GetObject", format!("arn:aws:s3:::raw/{key}")));
    cloud.authorise(&session, "s3", read("a/1")).unwrap();
    let refused = cloud.authorise(&session, "s3", read("b/1")).unwrap_err();
    assert_eq!((refused.status.as_u16(), refused.code.as_str()), (403, "AccessDenied"));
    assert_eq!(
        refused.message,
        "User: arn:aws:sts::000000000000:assumed-role/convert/1 is not authorized to perform: s3:GetObject on \
         resource: \"arn:aws:s3:::raw/b/1\" because no identity-based policy allows the s3:GetObject action"
    );
    let of_another = Caller { user_id: "AROAANOTHER:1".into(), ..session };
    cloud.authorise(&of_another, "s3", read("a/1")).unwrap_err();
}

#[tokio::test]
async fn the_root_may_all_that_no_resource_denies_and_can_always_mend_a_bucket_policy() {
    let cloud = Cloud::start().await;
    cloud.authorise(&root(), "glue", Need::new("glue:GetTable", "arn:aws:glue:r:0:table/d/t")).unwrap();
    let get = Need::new("s3:GetObject", "arn:aws:s3:::raw/a/1").under(everyone("Deny", ""));
    let refused = cloud.authorise(&root(), "s3", get).unwrap_err();
    assert!(refused.message.ends_with("with an explicit deny in a resource-based policy"), "{}", refused.message);
    for action in ROOT_ALWAYS_MAY {
        cloud.authorise(&root(), "s3", Need::new(action, "arn:aws:s3:::raw").under(everyone("Deny", ""))).unwrap();
    }
}

#[tokio::test]
async fn a_refusal_is_that_of_its_service() {
    let cloud = Cloud::start().await;
    for (service, action, status, code, said) in [
        ("glue", "glue:GetTable", 400, "AccessDeniedException", "perform: glue:GetTable on resource: arn"),
        ("logs", "logs:PutLogEvents", 400, "AccessDeniedException", "logs:PutLogEvents"),
        ("events", "events:PutEvents", 400, "AccessDeniedException", "events:PutEvents"),
        ("lambda", "lambda:InvokeFunction", 403, "AccessDeniedException", "lambda:InvokeFunction"),
        ("iam", "iam:GetRole", 403, "AccessDenied", "iam:GetRole"),
        ("sns", "sns:Publish", 403, "AuthorizationError", "perform: SNS:Publish"),
        ("sqs", "sqs:SendMessage", 403, "AccessDenied", "allows the sqs:sendmessage action"),
        ("monitoring", "cloudwatch:PutMetricData", 403, "AccessDenied", "cloudwatch:PutMetricData"),
    ] {
        let refused = cloud.authorise(&cloud.session(), service, Need::new(action, "arn:aws:x:r:0:y")).unwrap_err();
        assert_eq!((refused.status.as_u16(), refused.code.as_str()), (status, code), "{service}");
        assert!(refused.message.contains(said), "{}", refused.message);
    }
}

#[tokio::test]
async fn the_loopback_counts_as_secure_unless_a_proxy_took_the_request_without_tls() {
    let cloud = Cloud::start().await;
    let plain = r#","Condition":{"Bool":{"aws:SecureTransport":"false"}}"#;
    let need = || Need::new("s3:ListBucket", "arn:aws:s3:::raw").under(everyone("Deny", plain));
    cloud.authorise(&root(), "s3", need()).unwrap();
    let forwarded = |proto: &'static str| {
        let headers = [(http::HeaderName::from_static("x-forwarded-proto"), http::HeaderValue::from_static(proto))];
        let headers = headers.into_iter().collect();
        let signed = Signed { caller: &root(), service: "s3", region: "r", headers: &headers };
        authorise(&cloud.store, &signed, &[need()])
    };
    forwarded("https").unwrap();
    forwarded("http").unwrap_err();
}

#[tokio::test]
async fn a_service_delivers_what_the_resource_lets_it_and_a_role_what_it_may() {
    let cloud = Cloud::start().await;
    let own = r#","Condition":{"ArnEquals":{"aws:SourceArn":"arn:aws:events:r:0:rule/a"},"StringEquals":{"aws:SourceAccount":"000000000000"}}"#;
    let queue = |policy: Option<String>| Need::new("sqs:SendMessage", "arn:aws:sqs:r:000000000000:q").under(policy);
    let rule = |name: &str| Sender::service("events.amazonaws.com", format!("arn:aws:events:r:0:rule/{name}"));
    let may = |sender: &Sender, need: &Need| cloud.store.write(|tx| may_deliver(tx, sender, need)).unwrap();
    assert!(may(&rule("a"), &queue(everyone("Allow", own))));
    assert!(!may(&rule("b"), &queue(everyone("Allow", own))));
    assert!(!may(&rule("a"), &queue(None)), "a queue without a policy lets no service in");
    assert!(!may(&rule("a"), &queue(Some("{".into()))), "nor does one with a policy that cannot be read");
    let role = Sender::Role { arn: ROLE.into() };
    assert!(may(&role, &Need::new("s3:GetObject", "arn:aws:s3:::raw/a/1")));
    assert!(!may(&role, &queue(None)));
    assert!(!may(&Sender::Role { arn: "arn:aws:iam::000000000000:role/none".into() }, &queue(everyone("Allow", ""))));
}

#[tokio::test]
async fn nothing_is_refused_when_policies_are_not_enforced() {
    let cloud = Cloud::start().await;
    enforce(&cloud.store, false).unwrap();
    let denied = Need::new("s3:GetObject", "arn:aws:s3:::raw/b").under(everyone("Deny", ""));
    cloud.authorise(&cloud.session(), "s3", denied.clone()).unwrap();
    let service = Sender::service("events.amazonaws.com", "arn:aws:events:r:0:rule/a");
    assert!(cloud.store.write(|tx| may_deliver(tx, &service, &denied)).unwrap());
    enforce(&cloud.store, true).unwrap();
    cloud.authorise(&cloud.session(), "s3", denied).unwrap_err();
}

#[tokio::test]
async fn a_role_writes_the_log_streams_that_its_policies_name_and_makes_no_group_unasked() {
    let cloud = Cloud::start().await;
    let may = |group: &str| cloud.store.read(|tx| crate::cloud::logs::may_write(tx, ROLE, "r", group, "s")).unwrap();
    assert!(!may("/aws/lambda/f"));
    let statement = |actions: &str| {
        format!(
            r#"{{"Version":"2012-10-17","Statement":{{"Effect":"Allow","Action":[{actions}],"Resource":"arn:aws:logs:r:000000000000:log-group:/aws/lambda/f:*"}}}}"#
        )
    };
    let put = async |actions: &str| {
        let document = statement(actions);
        cloud
            .ask("PutRolePolicy", &[("RoleName", "convert"), ("PolicyName", "l"), ("PolicyDocument", &document)])
            .await;
    };
    put(r#""logs:CreateLogStream","logs:PutLogEvents""#).await;
    assert!(!may("/aws/lambda/f"), "the group is not there, and may not be made");
    put(r#""logs:CreateLogGroup","logs:CreateLogStream","logs:PutLogEvents""#).await;
    assert!(may("/aws/lambda/f"));
    assert!(!may("/aws/lambda/g"));
}
