//! What AWS's own clients are allowed and refused.

use std::io::Write;

use aws_sdk_lambda::types::{FunctionCode, Runtime};
use aws_sdk_s3::{
    primitives::ByteStream,
    types::{
        BucketLocationConstraint, CreateBucketConfiguration, Delete, Event, LambdaFunctionConfiguration,
        NotificationConfiguration, ObjectIdentifier,
    },
};

use super::*;

const ROLE: &str = "arn:aws:iam::000000000000:role/convert";
const FUNCTION: &str = "arn:aws:lambda:eu-west-1:000000000000:function:f";

fn allow(action: &str, resource: &str) -> String {
    format!(
        r#"{{"Version":"2012-10-17","Statement":{{"Effect":"Allow","Action":"{action}","Resource":"{resource}"}}}}"#
    )
}

macro_rules! s3 {
    ($cloud:expr, $credentials:expr) => {
        client!($cloud, aws_sdk_s3, $credentials)
    };
}

/// Code, status and message of a call that must fail.
fn refusal<T: std::fmt::Debug, E>(
    result: Result<T, aws_sdk_s3::error::SdkError<E, aws_sdk_s3::config::http::HttpResponse>>,
) -> (String, u16, String)
where
    aws_sdk_s3::error::SdkError<E, aws_sdk_s3::config::http::HttpResponse>: ProvideErrorMetadata,
{
    let error = result.unwrap_err();
    let status = error.raw_response().map_or(0, |response| response.status().as_u16());
    (error.code().unwrap_or_default().to_owned(), status, error.message().unwrap_or_default().to_owned())
}

impl Cloud {
    async fn bucket(&self, name: &str) {
        let place = BucketLocationConstraint::from("eu-west-1");
        let place = CreateBucketConfiguration::builder().location_constraint(place).build();
        let s3 = s3!(self, self.root());
        s3.create_bucket().bucket(name).create_bucket_configuration(place).send().await.unwrap();
    }

    async fn give(&self, user: &str, policy: &str, document: &str) {
        let iam = client!(self, aws_sdk_iam, self.root());
        let put = iam.put_user_policy().user_name(user).policy_name(policy).policy_document(document);
        put.send().await.unwrap();
    }

    /// A function of the root's.
    async fn function(&self) {
        let iam = client!(self, aws_sdk_iam, self.root());
        iam.create_role().role_name("convert").assume_role_policy_document(TRUST).send().await.unwrap();
        let lambda = client!(self, aws_sdk_lambda, self.root());
        let code = FunctionCode::builder().zip_file(aws_sdk_lambda::primitives::Blob::new(package())).build();
        let make = lambda.create_function().function_name("f").role(ROLE).runtime(Runtime::Providedal2023);
        make.handler("f").code(code).send().await.unwrap();
    }
}

fn package() -> Vec<u8> {
    let mut zip = zip::ZipWriter::new(std::io::Cursor::new(Vec::new()));
    let options = zip::write::SimpleFileOptions::default().unix_permissions(0o755);
    zip.start_file("bootstrap", options).unwrap();
    zip.write_all(b"#!/bin/sh\n").unwrap();
    zip.finish().unwrap().into_inner()
}

#[tokio::test]
async fn a_user_is_refused_until_a_policy_allows() {
    let cloud = Cloud::start().await;
    cloud.bucket("lake-raw").await;
    let s3 = s3!(cloud, cloud.user("ann", None).await);
    let put = || s3.put_object().bucket("lake-raw").key("a/1").body(ByteStream::from_static(b"x")).send();
    let (code, status, message) = refusal(put().await);
    assert_eq!((code.as_str(), status), ("AccessDenied", 403));
    assert_eq!(
        message,
        "User: arn:aws:iam::000000000000:user/ann is not authorized to perform: s3:PutObject on resource: \
         \"arn:aws:s3:::lake-raw/a/1\" because no identity-based policy allows the s3:PutObject action"
    );
    cloud.give("ann", "write", &allow("s3:PutObject", "arn:aws:s3:::lake-raw/a/*")).await;
    put().await.unwrap();
    let elsewhere = s3.put_object().bucket("lake-raw").key("b/1").body(ByteStream::from_static(b"x")).send();
    assert_eq!(refusal(elsewhere.await).1, 403);
    let conditional = s3.put_object().bucket("lake-raw").key("a/1").if_match("\"e\"").send();
    assert!(refusal(conditional.await).2.contains("s3:GetObject"), "to compare an ETag is to read");
}

#[tokio::test]
async fn whoever_may_not_list_is_not_told_that_an_object_is_missing() {
    let cloud = Cloud::start().await;
    cloud.bucket("lake-raw").await;
    let read = allow("s3:GetObject", "arn:aws:s3:::lake-raw/*");
    let s3 = s3!(cloud, cloud.user("ann", Some(&read)).await);
    let get = || s3.get_object().bucket("lake-raw").key("none").send();
    let (code, status, message) = refusal(get().await);
    assert_eq!((code.as_str(), status), ("AccessDenied", 403));
    assert!(message.contains("s3:ListBucket on resource: \"arn:aws:s3:::lake-raw\""), "{message}");
    assert_eq!(refusal(s3.head_object().bucket("lake-raw").key("none").send().await).1, 403);
    cloud.give("ann", "list", &allow("s3:ListBucket", "arn:aws:s3:::lake-raw")).await;
    assert_eq!(refusal(get().await).0, "NoSuchKey");
    assert_eq!(refusal(s3.head_object().bucket("lake-raw").key("none").send().await).1, 404);
}

#[tokio::test]
async fn of_many_keys_those_are_deleted_that_may_be() {
    let cloud = Cloud::start().await;
    cloud.bucket("lake-raw").await;
    for key in ["a", "b"] {
        s3!(cloud, cloud.root()).put_object().bucket("lake-raw").key(key).send().await.unwrap();
    }
    let s3 = s3!(cloud, cloud.user("ann", Some(&allow("s3:DeleteObject", "arn:aws:s3:::lake-raw/a"))).await);
    let object = |key: &str| ObjectIdentifier::builder().key(key).build().unwrap();
    let delete = Delete::builder().objects(object("a")).objects(object("b")).build().unwrap();
    let answer = s3.delete_objects().bucket("lake-raw").delete(delete).send().await.unwrap();
    assert_eq!(answer.deleted().iter().map(|it| it.key().unwrap()).collect::<Vec<_>>(), ["a"]);
    let errors: Vec<_> = answer.errors().iter().map(|it| (it.key().unwrap(), it.code().unwrap())).collect();
    assert_eq!(errors, [("b", "AccessDenied")]);
    let left = s3!(cloud, cloud.root()).list_objects_v2().bucket("lake-raw").send().await.unwrap();
    assert_eq!(left.contents()[0].key(), Some("b"));
}

#[tokio::test]
async fn a_bucket_policy_denies_even_the_root_which_can_still_mend_it() {
    let cloud = Cloud::start().await;
    cloud.bucket("lake-raw").await;
    let s3 = s3!(cloud, cloud.root());
    s3.put_object().bucket("lake-raw").key("k").send().await.unwrap();
    let deny = r#"{"Version":"2012-10-17","Statement":[{"Sid":"No","Effect":"Deny","Principal":"*","Action":"s3:*","Resource":["arn:aws:s3:::lake-raw","arn:aws:s3:::lake-raw/*"]}]}"#;
    s3.put_bucket_policy().bucket("lake-raw").policy(deny).send().await.unwrap();
    let (code, status, message) = refusal(s3.get_object().bucket("lake-raw").key("k").send().await);
    assert_eq!((code.as_str(), status), ("AccessDenied", 403));
    assert!(message.ends_with("with an explicit deny in a resource-based policy"), "{message}");
    s3.delete_bucket_policy().bucket("lake-raw").send().await.unwrap();
    s3.get_object().bucket("lake-raw").key("k").send().await.unwrap();
}

#[tokio::test]
async fn a_bucket_policy_lets_a_user_in_that_has_no_policy() {
    let cloud = Cloud::start().await;
    cloud.bucket("lake-raw").await;
    let s3 = s3!(cloud, cloud.user("ann", None).await);
    let policy = r#"{"Version":"2012-10-17","Statement":{"Effect":"Allow","Principal":{"AWS":"arn:aws:iam::000000000000:user/ann"},"Action":"s3:ListBucket","Resource":"arn:aws:s3:::lake-raw","Condition":{"StringLike":{"s3:prefix":"a/*"}}}}"#;
    let root = s3!(cloud, cloud.root());
    root.put_bucket_policy().bucket("lake-raw").policy(policy).send().await.unwrap();
    s3.list_objects_v2().bucket("lake-raw").prefix("a/1").send().await.unwrap();
    assert_eq!(refusal(s3.list_objects_v2().bucket("lake-raw").send().await).1, 403);
}

#[tokio::test]
async fn a_role_is_given_to_a_function_by_who_may_pass_it() {
    let cloud = Cloud::start().await;
    cloud.function().await;
    let lambda = client!(cloud, aws_sdk_lambda, cloud.user("ann", Some(&allow("lambda:*", "*"))).await);
    let change = || lambda.update_function_configuration().function_name("f").role(ROLE).send();
    let (code, status, message) = refusal(change().await);
    assert_eq!((code.as_str(), status), ("AccessDeniedException", 403));
    assert!(message.contains(&format!("iam:PassRole on resource: {ROLE}")), "{message}");
    let pass = |service: &str| {
        format!(
            r#"{{"Version":"2012-10-17","Statement":{{"Effect":"Allow","Action":"iam:PassRole","Resource":"{ROLE}","Condition":{{"StringEquals":{{"iam:PassedToService":"{service}"}}}}}}}}"#
        )
    };
    cloud.give("ann", "pass", &pass("glue.amazonaws.com")).await;
    assert_eq!(refusal(change().await).1, 403);
    cloud.give("ann", "pass", &pass("lambda.amazonaws.com")).await;
    change().await.unwrap();
}

#[tokio::test]
async fn a_function_is_invoked_by_whom_its_policy_names() {
    let cloud = Cloud::start().await;
    cloud.bucket("lake-raw").await;
    cloud.function().await;
    let s3 = s3!(cloud, cloud.root());
    let notify = || {
        let function = LambdaFunctionConfiguration::builder().lambda_function_arn(FUNCTION);
        let function = function.events(Event::from("s3:ObjectCreated:*")).build().unwrap();
        let configuration = NotificationConfiguration::builder().lambda_function_configurations(function).build();
        s3.put_bucket_notification_configuration().bucket("lake-raw").notification_configuration(configuration).send()
    };
    assert_eq!(refusal(notify().await).0, "InvalidArgument");
    let lambda = client!(cloud, aws_sdk_lambda, cloud.root());
    let permit = |id: &str, principal: &str| {
        let permit = lambda.add_permission().function_name("f").statement_id(id).action("lambda:InvokeFunction");
        permit.principal(principal)
    };
    permit("s3", "s3.amazonaws.com").source_arn("arn:aws:s3:::lake-raw").send().await.unwrap();
    notify().await.unwrap();

    let user = client!(cloud, aws_sdk_lambda, cloud.user("ann", None).await);
    let dry = || user.invoke().function_name("f").invocation_type("DryRun".into()).send();
    assert_eq!(refusal(dry().await).0, "AccessDeniedException");
    permit("ann", "arn:aws:iam::000000000000:user/ann").send().await.unwrap();
    dry().await.unwrap();
}

#[tokio::test]
async fn a_role_is_assumed_by_whom_its_trust_policy_and_their_own_let() {
    let cloud = Cloud::start().await;
    let iam = client!(cloud, aws_sdk_iam, cloud.root());
    iam.create_role().role_name("convert").assume_role_policy_document(TRUST).send().await.unwrap();
    let sts = client!(cloud, aws_sdk_sts, cloud.user("ann", None).await);
    let assume = || sts.assume_role().role_arn(ROLE).role_session_name("me").send();
    let (code, status, message) = refusal(assume().await);
    assert_eq!((code.as_str(), status), ("AccessDenied", 403));
    assert!(message.contains("sts:AssumeRole"), "{message}");
    sts.get_caller_identity().send().await.unwrap();
    cloud.give("ann", "assume", &allow("sts:AssumeRole", ROLE)).await;
    let assumed = assume().await.unwrap();
    let key = assumed.credentials().unwrap();
    let token = Some(key.session_token().to_owned());
    let session = Credentials::new(key.access_key_id(), key.secret_access_key(), token, None, "session");
    let logs = client!(cloud, aws_sdk_cloudwatchlogs, session);
    let create = || logs.create_log_group().log_group_name("/lake/x").send();
    let (code, status, message) = refusal(create().await);
    assert_eq!((code.as_str(), status), ("AccessDeniedException", 400));
    assert!(message.starts_with("User: arn:aws:sts::000000000000:assumed-role/convert/me is not"), "{message}");
    let own = allow("logs:CreateLogGroup", "arn:aws:logs:eu-west-1:000000000000:log-group:/lake/*");
    iam.put_role_policy().role_name("convert").policy_name("l").policy_document(own).send().await.unwrap();
    create().await.unwrap();
}

#[tokio::test]
async fn without_enforcement_signatures_are_all_that_counts() {
    let cloud = Cloud::start_with_iam(false).await;
    cloud.bucket("lake-raw").await;
    let user = cloud.user("ann", None).await;
    let put = |credentials: Credentials| s3!(cloud, credentials).put_object().bucket("lake-raw").key("k").send();
    put(user.clone()).await.unwrap();
    let forged = Credentials::new(user.access_key_id(), "wrong", None, None, "forged");
    assert_eq!(refusal(put(forged).await).0, "SignatureDoesNotMatch");
}

#[tokio::test]
async fn a_function_whose_role_may_not_write_logs_leaves_none() {
    let cloud = Cloud::start().await;
    cloud.function().await;
    let lambda = client!(cloud, aws_sdk_lambda, cloud.root());
    let logs = client!(cloud, aws_sdk_cloudwatchlogs, cloud.root());
    // Its bootstrap ends at once: that is told in its log, when there is one.
    let invoked = lambda.invoke().function_name("f").log_type("Tail".into()).send().await.unwrap();
    assert!(invoked.function_error().is_some() && invoked.log_result().is_some());
    assert!(logs.describe_log_groups().send().await.unwrap().log_groups().is_empty());

    let iam = client!(cloud, aws_sdk_iam, cloud.root());
    let basic = "arn:aws:iam::aws:policy/service-role/AWSLambdaBasicExecutionRole";
    iam.attach_role_policy().role_name("convert").policy_arn(basic).send().await.unwrap();
    lambda.invoke().function_name("f").send().await.unwrap();
    // Lines are written in batches, a moment later.
    let written = async {
        loop {
            let streams = logs.describe_log_streams().log_group_name("/aws/lambda/f").send().await;
            match streams {
                Ok(streams) if !streams.log_streams().is_empty() => return streams.log_streams().len(),
                _ => tokio::time::sleep(std::time::Duration::from_millis(5)).await,
            }
        }
    };
    assert_eq!(tokio::time::timeout(std::time::Duration::from_secs(20), written).await.expect("no log is written"), 1);
}
