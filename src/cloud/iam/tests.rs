use super::*;
use crate::cloud::query::tests::call;

const TRUST: &str = r#"{"Version":"2012-10-17","Statement":[{"Effect":"Allow","Principal":{"Service":"lambda.amazonaws.com"},"Action":"sts:AssumeRole"}]}"#;
const INLINE: &str =
    r#"{"Version":"2012-10-17","Statement":{"Effect":"Allow","Action":"s3:GetObject","Resource":"arn:aws:s3:::b/*"}}"#;

struct Cloud {
    _folder: tempfile::TempDir,
    iam: Iam,
}

impl Cloud {
    fn new() -> Cloud {
        let folder = tempfile::tempdir().unwrap();
        let iam = Iam::new(Store::open(folder.path()).unwrap());
        Cloud { _folder: folder, iam }
    }

    async fn ask(&self, action: &str, params: &[(&str, &str)]) -> Result<String, ApiError> {
        let answer = self.iam.call(call(action, params)).await?;
        Ok(String::from_utf8(answer.into_body().to_vec()).unwrap())
    }

    async fn with_role() -> Cloud {
        let cloud = Cloud::new();
        cloud
            .ask("CreateRole", &[("RoleName", "Convert"), ("AssumeRolePolicyDocument", TRUST), ("Path", "/lake/")])
            .await
            .unwrap();
        cloud
    }
}

fn text<'a>(xml: &'a str, element: &str) -> &'a str {
    let (_, rest) = xml.split_once(&format!("<{element}>")).unwrap_or_else(|| panic!("no {element} in {xml}"));
    rest.split_once(&format!("</{element}>")).unwrap().0
}

#[tokio::test]
async fn a_role_is_told_as_it_was_made_until_it_is_deleted() {
    let cloud = Cloud::new();
    let made = cloud
        .ask(
            "CreateRole",
            &[
                ("RoleName", "Convert"),
                ("AssumeRolePolicyDocument", TRUST),
                ("Description", "a <b> & c"),
                ("Tags.member.1.Key", "lake:stack"),
                ("Tags.member.1.Value", "local"),
            ],
        )
        .await
        .unwrap();
    let read = cloud.ask("GetRole", &[("RoleName", "Convert")]).await.unwrap();
    assert_eq!(text(&made, "Role"), text(&read, "Role"));
    assert_eq!(text(&read, "Arn"), "arn:aws:iam::000000000000:role/Convert");
    assert_eq!(text(&read, "Description"), "a &lt;b&gt; &amp; c");
    assert_eq!(text(&read, "Value"), "local");
    assert!(text(&read, "RoleId").starts_with("AROA") && text(&read, "RoleId").len() == 21);
    let document = percent_encoding::percent_decode_str(text(&read, "AssumeRolePolicyDocument")).decode_utf8().unwrap();
    assert_eq!(document, TRUST);
    assert!(!text(&read, "AssumeRolePolicyDocument").contains(['{', '"', ':']));

    cloud.ask("DeleteRole", &[("RoleName", "Convert")]).await.unwrap();
    let gone = cloud.ask("GetRole", &[("RoleName", "Convert")]).await.unwrap_err();
    assert_eq!((gone.status.as_u16(), gone.code.as_str()), (404, "NoSuchEntity"));
    assert_eq!(gone.message, "The role with name Convert cannot be found.");
}

#[tokio::test]
async fn a_name_that_differs_by_case_only_is_taken() {
    let cloud = Cloud::with_role().await;
    let refused =
        cloud.ask("CreateRole", &[("RoleName", "convert"), ("AssumeRolePolicyDocument", TRUST)]).await.unwrap_err();
    assert_eq!((refused.status.as_u16(), refused.code.as_str()), (409, "EntityAlreadyExists"));
    assert_eq!(refused.message, "Role with name convert already exists.");
}

#[tokio::test]
async fn a_role_with_policies_is_not_deleted() {
    let cloud = Cloud::with_role().await;
    let role = ("RoleName", "Convert");
    let managed = ("PolicyArn", "arn:aws:iam::aws:policy/service-role/AWSLambdaBasicExecutionRole");
    cloud.ask("PutRolePolicy", &[role, ("PolicyName", "read"), ("PolicyDocument", INLINE)]).await.unwrap();
    cloud.ask("AttachRolePolicy", &[role, managed]).await.unwrap();
    let attached = cloud.ask("ListAttachedRolePolicies", &[role]).await.unwrap();
    assert_eq!(text(&attached, "PolicyName"), "AWSLambdaBasicExecutionRole");

    assert_eq!(cloud.ask("DeleteRole", &[role]).await.unwrap_err().code, "DeleteConflict");
    cloud.ask("DetachRolePolicy", &[role, managed]).await.unwrap();
    assert_eq!(cloud.ask("DeleteRole", &[role]).await.unwrap_err().code, "DeleteConflict");
    cloud.ask("DeleteRolePolicy", &[role, ("PolicyName", "read")]).await.unwrap();
    cloud.ask("DeleteRole", &[role]).await.unwrap();
}

#[tokio::test]
async fn inline_policies_are_listed_read_and_limited_in_sum() {
    let cloud = Cloud::with_role().await;
    let role = ("RoleName", "Convert");
    let long = INLINE.replace("b/*", &format!("b/{}*", "x".repeat(6000)));
    cloud.ask("PutRolePolicy", &[role, ("PolicyName", "a"), ("PolicyDocument", &long)]).await.unwrap();
    let refused =
        cloud.ask("PutRolePolicy", &[role, ("PolicyName", "b"), ("PolicyDocument", &long)]).await.unwrap_err();
    assert_eq!(refused.message, "Maximum policy size of 10240 bytes exceeded for role Convert");
    let names = cloud.ask("ListRolePolicies", &[role]).await.unwrap();
    assert_eq!(text(&names, "PolicyNames"), "<member>a</member>", "a refused policy leaves no trace");
    let missing = cloud.ask("GetRolePolicy", &[role, ("PolicyName", "b")]).await.unwrap_err();
    assert_eq!(missing.message, "The role policy with name b cannot be found.");
}

#[tokio::test]
async fn tags_are_set_by_key_whatever_its_case() {
    let cloud = Cloud::with_role().await;
    let role = ("RoleName", "Convert");
    for (key, value) in [("Team", "a"), ("team", "b"), ("other", "c")] {
        cloud.ask("TagRole", &[role, ("Tags.member.1.Key", key), ("Tags.member.1.Value", value)]).await.unwrap();
    }
    cloud.ask("UntagRole", &[role, ("TagKeys.member.1", "OTHER")]).await.unwrap();
    let tags = cloud.ask("ListRoleTags", &[role]).await.unwrap();
    assert_eq!(text(&tags, "Tags"), "<member><Key>team</Key><Value>b</Value></member>");
    let refused = cloud.ask("TagRole", &[role, ("Tags.member.1.Key", "aws:x"), ("Tags.member.1.Value", "")]).await;
    assert_eq!(refused.unwrap_err().code, "InvalidInput");
}

#[tokio::test]
async fn roles_are_listed_in_pages_and_by_path() {
    let cloud = Cloud::with_role().await;
    for name in ["a", "b", "c"] {
        cloud.ask("CreateRole", &[("RoleName", name), ("AssumeRolePolicyDocument", TRUST)]).await.unwrap();
    }
    let mut seen = Vec::new();
    let mut marker = None;
    loop {
        let mut params = vec![("MaxItems", "3")];
        params.extend(marker.as_deref().map(|marker| ("Marker", marker)));
        let page = cloud.ask("ListRoles", &params).await.unwrap();
        seen.extend(page.split("<RoleName>").skip(1).map(|rest| rest.split('<').next().unwrap().to_owned()));
        if text(&page, "IsTruncated") == "false" {
            break;
        }
        marker = Some(text(&page, "Marker").to_owned());
    }
    assert_eq!(seen, ["a", "b", "c", "Convert"]);
    let of_lake = cloud.ask("ListRoles", &[("PathPrefix", "/lake/")]).await.unwrap();
    assert_eq!(of_lake.matches("<RoleName>").count(), 1);
    assert_eq!(cloud.ask("ListRoles", &[("Marker", "?")]).await.unwrap_err().code, "ValidationError");
}

#[tokio::test]
async fn only_a_service_that_the_trust_policy_names_may_assume_the_role() {
    let cloud = Cloud::with_role().await;
    let assumable = |arn: &str, service: &str| cloud.iam.store.read(|tx| assumable_by(tx, arn, service)).unwrap();
    let arn = "arn:aws:iam::000000000000:role/lake/Convert";
    assert!(assumable(arn, "lambda.amazonaws.com"));
    assert!(!assumable(arn, "glue.amazonaws.com"));
    assert!(
        !assumable("arn:aws:iam::000000000000:role/Convert", "lambda.amazonaws.com"),
        "the path is part of the name"
    );
}

#[tokio::test]
async fn what_is_not_there_is_refused_by_name() {
    let cloud = Cloud::new();
    let refused = cloud.ask("CreateGroup", &[("GroupName", "a")]).await.unwrap_err();
    assert_eq!(refused.code, "InvalidAction");
    assert!(refused.message.contains("CreateGroup"));
    assert_eq!(cloud.ask("GetUser", &[("UserName", "a")]).await.unwrap_err().code, "NoSuchEntity");
    let root = cloud.ask("GetUser", &[]).await.unwrap();
    assert_eq!(text(&root, "Arn"), "arn:aws:iam::000000000000:root");
    assert_eq!(root, cloud.ask("GetUser", &[]).await.unwrap(), "the account's date does not move");
}

#[tokio::test]
async fn a_user_holds_policies_and_keys_and_is_not_deleted_with_them() {
    let cloud = Cloud::new();
    let user = ("UserName", "Ann");
    let made = cloud.ask("CreateUser", &[user, ("Path", "/team/")]).await.unwrap();
    assert_eq!(text(&made, "Arn"), "arn:aws:iam::000000000000:user/team/Ann");
    assert_eq!(text(&made, "User"), text(&cloud.ask("GetUser", &[user]).await.unwrap(), "User"));
    let taken = cloud.ask("CreateUser", &[("UserName", "ann")]).await.unwrap_err();
    assert_eq!((taken.status.as_u16(), taken.code.as_str()), (409, "EntityAlreadyExists"));
    let listed = cloud.ask("ListUsers", &[("PathPrefix", "/team/")]).await.unwrap();
    assert_eq!(text(&listed, "UserName"), "Ann");

    let name = ("PolicyName", "read");
    cloud.ask("PutUserPolicy", &[user, name, ("PolicyDocument", INLINE)]).await.unwrap();
    assert_eq!(text(&cloud.ask("GetUserPolicy", &[user, name]).await.unwrap(), "UserName"), "Ann");
    let long = INLINE.replace("b/*", &format!("b/{}*", "x".repeat(2000)));
    let refused = cloud.ask("PutUserPolicy", &[user, name, ("PolicyDocument", &long)]).await.unwrap_err();
    assert_eq!(refused.message, "Maximum policy size of 2048 bytes exceeded for user Ann");

    let key = cloud.ask("CreateAccessKey", &[user]).await.unwrap();
    let id = ("AccessKeyId", text(&key, "AccessKeyId"));
    let secret = || cloud.iam.store.read(|tx| crate::cloud::credentials::lookup(tx, id.1)).unwrap();
    assert_eq!(secret().unwrap().caller.arn, "arn:aws:iam::000000000000:user/team/Ann");
    cloud.ask("UpdateAccessKey", &[user, id, ("Status", "Inactive")]).await.unwrap();
    assert!(secret().is_none(), "an inactive key is good for nothing");
    assert_eq!(text(&cloud.ask("ListAccessKeys", &[user]).await.unwrap(), "Status"), "Inactive");
    cloud.ask("UpdateAccessKey", &[user, id, ("Status", "Active")]).await.unwrap();
    assert!(secret().is_some());
    cloud.ask("CreateAccessKey", &[user]).await.unwrap();
    assert_eq!(cloud.ask("CreateAccessKey", &[user]).await.unwrap_err().code, "LimitExceeded");

    assert_eq!(cloud.ask("DeleteUser", &[user]).await.unwrap_err().code, "DeleteConflict");
    cloud.ask("DeleteUserPolicy", &[user, name]).await.unwrap();
    assert_eq!(cloud.ask("DeleteUser", &[user]).await.unwrap_err().code, "DeleteConflict");
    cloud.ask("DeleteAccessKey", &[user, id]).await.unwrap();
    let other = cloud.ask("ListAccessKeys", &[user]).await.unwrap();
    cloud.ask("DeleteAccessKey", &[user, ("AccessKeyId", text(&other, "AccessKeyId"))]).await.unwrap();
    cloud.ask("DeleteUser", &[user]).await.unwrap();
    assert_eq!(cloud.ask("GetUser", &[user]).await.unwrap_err().code, "NoSuchEntity");
}

#[tokio::test]
async fn a_managed_policy_is_attached_by_arn_and_one_that_nobody_knows_is_not() {
    let cloud = Cloud::with_role().await;
    let role = ("RoleName", "Convert");
    let made = cloud.ask("CreatePolicy", &[("PolicyName", "Read"), ("PolicyDocument", INLINE)]).await.unwrap();
    let arn = ("PolicyArn", text(&made, "Arn"));
    assert_eq!(arn.1, "arn:aws:iam::000000000000:policy/Read");
    cloud.ask("AttachRolePolicy", &[role, arn]).await.unwrap();
    assert_eq!(text(&cloud.ask("GetPolicy", &[arn]).await.unwrap(), "AttachmentCount"), "1");
    assert_eq!(cloud.ask("DeletePolicy", &[arn]).await.unwrap_err().code, "DeleteConflict");
    let version = cloud.ask("GetPolicyVersion", &[arn, ("VersionId", "v1")]).await.unwrap();
    let document = percent_encoding::percent_decode_str(text(&version, "Document")).decode_utf8().unwrap();
    assert_eq!(document, INLINE);
    let local = cloud.ask("ListPolicies", &[("Scope", "Local")]).await.unwrap();
    assert_eq!(local.matches("<PolicyName>").count(), 1);
    cloud.ask("DetachRolePolicy", &[role, arn]).await.unwrap();
    cloud.ask("DeletePolicy", &[arn]).await.unwrap();
    for unknown in [arn.1, "arn:aws:iam::aws:policy/AmazonChimeFullAccess"] {
        let refused = cloud.ask("AttachRolePolicy", &[role, ("PolicyArn", unknown)]).await.unwrap_err();
        assert_eq!((refused.status.as_u16(), refused.code.as_str()), (404, "NoSuchEntity"));
        assert!(refused.message.contains("does not exist or is not attachable"));
    }
}

#[tokio::test]
async fn a_simulation_tells_what_the_policies_say() {
    let cloud = Cloud::with_role().await;
    let role = ("RoleName", "Convert");
    cloud.ask("PutRolePolicy", &[role, ("PolicyName", "read"), ("PolicyDocument", INLINE)]).await.unwrap();
    let told = cloud
        .ask(
            "SimulatePrincipalPolicy",
            &[
                ("PolicySourceArn", "arn:aws:iam::000000000000:role/lake/Convert"),
                ("ActionNames.member.1", "s3:GetObject"),
                ("ActionNames.member.2", "s3:PutObject"),
                ("ResourceArns.member.1", "arn:aws:s3:::b/k"),
            ],
        )
        .await
        .unwrap();
    let decisions: Vec<_> = told.split("<EvalDecision>").skip(1).map(|rest| rest.split('<').next().unwrap()).collect();
    assert_eq!(decisions, ["allowed", "implicitDeny"]);
}
