//! Tables of cases, and what holds of all of them.

use proptest::prelude::*;

use super::*;

const ROLE: &str = "arn:aws:iam::000000000000:role/lake/convert";
const SESSION: &str = "arn:aws:sts::000000000000:assumed-role/convert/1";
const USER: &str = "arn:aws:iam::000000000000:user/ann";
const OBJECT: &str = "arn:aws:s3:::raw/a.csv";

fn session() -> Principal<'static> {
    Principal::Role { role: ROLE, session: Some(SESSION) }
}

fn source(name: &str, statements: &str, kind: PolicyKind) -> Source {
    let document = format!(r#"{{"Version":"2012-10-17","Statement":{statements}}}"#);
    Source { name: name.into(), policy: Some(Arc::new(Policy::parse(&document, kind).unwrap())) }
}

fn policies(identity: &str, resource: &str) -> Policies {
    let identity = (!identity.is_empty()).then(|| source("own", identity, PolicyKind::Identity));
    let resource = (!resource.is_empty()).then(|| source("bucket", resource, PolicyKind::Resource));
    Policies {
        identity: identity.into_iter().collect(),
        boundary: None,
        resource: resource.map(|it| (it, PolicyKind::Resource)),
    }
}

fn decide(identity: &str, resource: &str, principal: Principal<'_>) -> Decision {
    let context = [("aws:SecureTransport", "true"), ("aws:username", "ann")].into_iter().collect();
    let asked = Asked { action: "s3:GetObject", resource: OBJECT, context: &context };
    policies(identity, resource).decide(principal, &asked)
}

fn allowed(policy: &str, statement: &str) -> Decision {
    Decision::Allowed(Some(Decider { policy: policy.into(), statement: statement.into() }))
}

fn denied(kind: Kind, policy: &str, statement: &str) -> Decision {
    Decision::Denied(kind, Decider { policy: policy.into(), statement: statement.into() })
}

#[test]
fn identity_policies_decide_as_the_reference_says() {
    let read = r#"{"Sid":"Read","Effect":"Allow","Action":"s3:Get*","Resource":"arn:aws:s3:::raw/*"}"#;
    let never = r#"{"Effect":"Deny","NotAction":"sts:*","Resource":"*"}"#;
    let silent = Decision::Unallowed(Kind::Identity);
    let cases: &[(&str, Decision)] = &[
        ("", silent.clone()),
        (read, allowed("own", "Read")),
        (r#"{"Effect":"Allow","Action":"S3:getobject","Resource":"*"}"#, allowed("own", "#1")),
        (r#"{"Effect":"Allow","Action":"s3:PutObject","Resource":"*"}"#, silent.clone()),
        (r#"{"Effect":"Allow","Action":"*","Resource":"arn:aws:s3:::raw"}"#, silent.clone()),
        (r#"{"Effect":"Allow","Action":"*","Resource":"arn:aws:s3:::RAW/*"}"#, silent.clone()),
        (r#"{"Effect":"Allow","Action":"*","NotResource":"arn:aws:s3:::raw/*"}"#, silent.clone()),
        (r#"{"Effect":"Allow","NotAction":"iam:*","NotResource":"arn:aws:s3:::other/*"}"#, allowed("own", "#1")),
        (&format!("[{read},{never}]"), denied(Kind::Identity, "own", "#2")),
        (
            r#"{"Effect":"Allow","Action":"*","Resource":"*","Condition":{"Bool":{"aws:SecureTransport":"false"}}}"#,
            silent.clone(),
        ),
        (
            r#"{"Effect":"Allow","Action":"*","Resource":"*","Condition":{"StringEquals":{"aws:username":"ann"},"Null":{"s3:prefix":"false"}}}"#,
            silent.clone(),
        ),
        (r#"{"Effect":"Allow","Action":"*","Resource":"arn:aws:s3:::${aws:PrincipalTag/b}/*"}"#, silent),
    ];
    for (statements, expected) in cases {
        assert_eq!(decide(statements, "", session()), *expected, "{statements}");
    }
}

#[test]
fn either_policy_of_the_account_is_enough_and_a_deny_in_either_wins() {
    let own = r#"{"Effect":"Allow","Action":"s3:*","Resource":"*"}"#;
    let bucket = |effect: &str, principal: &str| {
        format!(
            r#"{{"Effect":"{effect}","Principal":{principal},"Action":"s3:GetObject","Resource":"arn:aws:s3:::raw/*"}}"#
        )
    };
    let aws = |arn: &str| format!(r#"{{"AWS":"{arn}"}}"#);
    let silent = Decision::Unallowed(Kind::Identity);
    let by_bucket = allowed("bucket", "#1");
    let deny = denied(Kind::Resource, "bucket", "#1");
    let account = aws("000000000000");
    for (identity, resource, expected) in [
        (own, bucket("Allow", &aws("arn:aws:iam::111111111111:root")), allowed("own", "#1")),
        ("", bucket("Allow", &aws(ROLE)), by_bucket.clone()),
        ("", bucket("Allow", &aws(SESSION)), by_bucket.clone()),
        ("", bucket("Allow", "\"*\""), by_bucket.clone()),
        ("", bucket("Allow", &account), silent.clone()),
        (own, bucket("Allow", &account), allowed("own", "#1")),
        ("", bucket("Allow", &aws("arn:aws:iam::000000000000:role/convert")), silent.clone()),
        ("", bucket("Allow", r#"{"Service":"s3.amazonaws.com"}"#), silent),
        (own, bucket("Deny", &account), deny.clone()),
        (own, bucket("Deny", &aws(ROLE)), deny.clone()),
        (own, bucket("Deny", "\"*\""), deny),
    ] {
        assert_eq!(decide(identity, &resource, session()), expected, "{resource}");
    }
}

#[test]
fn everyone_but_some_is_everyone_that_is_not_named_in_all_that_it_is() {
    let own = r#"{"Effect":"Allow","Action":"s3:*","Resource":"*"}"#;
    let all_but = |names: &str| {
        format!(r#"{{"Effect":"Deny","NotPrincipal":{{"AWS":[{names}]}},"Action":"s3:*","Resource":"*"}}"#)
    };
    let account = "\"000000000000\"";
    assert!(decide(own, &all_but(&format!("{account},\"{ROLE}\",\"{SESSION}\"")), session()).is_allowed());
    assert!(!decide(own, &all_but(&format!("{account},\"{ROLE}\"")), session()).is_allowed());
    assert!(decide(own, &all_but(&format!("{account},\"{USER}\"")), Principal::User(USER)).is_allowed());
    assert!(!decide(own, &all_but(&format!("\"{USER}\"")), Principal::User(USER)).is_allowed());
}

#[test]
fn a_boundary_limits_what_identity_policies_and_the_role_are_given() {
    let context = Context::default();
    let asked = Asked { action: "s3:GetObject", resource: OBJECT, context: &context };
    let own = r#"{"Effect":"Allow","Action":"s3:*","Resource":"*"}"#;
    let grant = |principal: &str| {
        format!(r#"{{"Effect":"Allow","Principal":{{"AWS":"{principal}"}},"Action":"s3:*","Resource":"*"}}"#)
    };
    let bounded = |identity: &str, resource: &str| {
        let boundary = source("limit", r#"{"Effect":"Allow","Action":"glue:*","Resource":"*"}"#, PolicyKind::Identity);
        Policies { boundary: Some(boundary), ..policies(identity, resource) }.decide(session(), &asked)
    };
    assert_eq!(bounded(own, ""), Decision::Unallowed(Kind::Boundary));
    assert_eq!(bounded("", &grant(ROLE)), Decision::Unallowed(Kind::Boundary));
    assert_eq!(bounded("", &grant(SESSION)), allowed("bucket", "#1"));
}

#[test]
fn a_trust_policy_must_allow_and_its_word_for_the_account_needs_an_identity_policy() {
    let context = Context::default();
    let asked = Asked { action: "sts:AssumeRole", resource: ROLE, context: &context };
    let own = r#"{"Effect":"Allow","Action":"sts:*","Resource":"*"}"#;
    let assume = |identity: &str, principal: &str| {
        let trust = format!(r#"{{"Effect":"Allow","Principal":{{"AWS":"{principal}"}},"Action":"sts:AssumeRole"}}"#);
        let trust = source("trust", &trust, PolicyKind::Trust);
        let policies = Policies { resource: Some((trust, PolicyKind::Trust)), ..policies(identity, "") };
        policies.decide(Principal::User(USER), &asked)
    };
    assert_eq!(assume("", USER), allowed("trust", "#1"));
    assert_eq!(assume("", "000000000000"), Decision::Unallowed(Kind::Identity));
    assert_eq!(assume(own, "000000000000"), allowed("own", "#1"));
    assert_eq!(assume(own, "arn:aws:iam::000000000000:user/bob"), Decision::Unallowed(Kind::Trust));
}

#[test]
fn a_document_that_cannot_be_read_denies() {
    let mut policies = policies(r#"{"Effect":"Allow","Action":"*","Resource":"*"}"#, "");
    policies.identity.push(Source { name: "broken".into(), policy: None });
    let context = Context::default();
    let asked = Asked { action: "s3:GetObject", resource: OBJECT, context: &context };
    assert!(matches!(policies.decide(session(), &asked), Decision::Denied(Kind::Identity, _)));
}

#[test]
fn what_cannot_be_judged_denies_and_never_allows() {
    let unknown = r#""Condition":{"StringEquals":{"s3:ExistingObjectTag/team":"x"}}"#;
    let allow = format!(r#"{{"Effect":"Allow","Action":"*","Resource":"*",{unknown}}}"#);
    let deny = format!(r#"{{"Effect":"Deny","Action":"*","Resource":"*",{unknown}}}"#);
    let plain = r#"{"Effect":"Allow","Action":"*","Resource":"*"}"#;
    assert_eq!(decide(&allow, "", session()), Decision::Unallowed(Kind::Identity));
    assert!(matches!(decide(&format!("[{plain},{deny}]"), "", session()), Decision::Denied(..)));
}

#[test]
fn a_service_is_trusted_where_it_is_named() {
    let trust = |statements: &str| source("trust", statements, PolicyKind::Trust).policy.unwrap();
    let named = trust(
        r#"{"Effect":"Allow","Principal":{"Service":["lambda.amazonaws.com"]},"Action":"sts:assumerole","Condition":{"StringEquals":{"aws:SourceAccount":"000000000000"}}}"#,
    );
    let context = [("aws:SourceAccount", "000000000000")].into_iter().collect();
    assert!(named.trusts("lambda.amazonaws.com", &context));
    assert!(!named.trusts("glue.amazonaws.com", &context));
    assert!(!named.trusts("lambda.amazonaws.com", &Context::default()));
}

/// A statement over few actions, resources and conditions, so that many of them apply.
fn statement(effect: &'static str) -> impl Strategy<Value = String> {
    let action = prop_oneof![Just("s3:GetObject"), Just("s3:*"), Just("*"), Just("s3:Put*"), Just("glue:*")];
    let resource = prop_oneof![Just("*"), Just("arn:aws:s3:::raw/*"), Just("arn:aws:s3:::b/*")];
    let condition = prop_oneof![
        Just(""),
        Just(r#","Condition":{"Bool":{"aws:SecureTransport":"true"}}"#),
        Just(r#","Condition":{"Bool":{"aws:SecureTransport":"false"}}"#),
        Just(r#","Condition":{"NumericEquals":{"aws:username":"1"}}"#),
        Just(r#","Condition":{"StringLike":{"aws:PrincipalTag/x":"*"}}"#),
    ];
    (action, resource, condition, any::<[bool; 2]>()).prop_map(move |(action, resource, condition, but)| {
        let [action_element, resource_element] =
            [if but[0] { "NotAction" } else { "Action" }, if but[1] { "NotResource" } else { "Resource" }];
        format!(r#"{{"Effect":"{effect}","{action_element}":"{action}","{resource_element}":"{resource}"{condition}}}"#)
    })
}

fn statements() -> impl Strategy<Value = Vec<String>> {
    prop::collection::vec(prop_oneof![statement("Allow"), statement("Deny")], 1..5)
}

fn joined(statements: &[String]) -> String {
    format!("[{}]", statements.join(","))
}

proptest! {
    #[test]
    fn a_deny_that_applies_wins_wherever_it_stands(mut list in statements(), at in any::<prop::sample::Index>()) {
        list.insert(at.index(list.len() + 1), r#"{"Effect":"Deny","Action":"*","Resource":"*"}"#.to_owned());
        let decision = decide(&joined(&list), "", session());
        prop_assert!(matches!(decision, Decision::Denied(Kind::Identity, _)), "{decision:?}");
    }

    #[test]
    fn one_more_allow_never_takes_away(mut list in statements(), more in statement("Allow")) {
        let before = decide(&joined(&list), "", session());
        list.push(more);
        let after = decide(&joined(&list), "", session());
        prop_assert!(!before.is_allowed() || after.is_allowed(), "{before:?} {after:?}");
    }

    #[test]
    fn one_more_deny_never_gives(mut list in statements(), more in statement("Deny")) {
        let before = decide(&joined(&list), "", session());
        list.push(more);
        let after = decide(&joined(&list), "", session());
        prop_assert!(before.is_allowed() || !after.is_allowed(), "{before:?} {after:?}");
    }
}
