//! What a caller of IAM must be allowed.
//! <https://docs.aws.amazon.com/service-authorization/latest/reference/list_awsidentityandaccessmanagementiam.html>

use super::{role, user};
use crate::cloud::{
    authorise::Need,
    error::ApiError,
    query::Params,
    service::{ACCOUNT_ID, Call},
    store::Store,
};

/// The need of one call: IAM's actions are its operations.
pub(super) fn needs(store: &Store, call: &Call) -> Result<Vec<Need>, ApiError> {
    let params = Params::of(call);
    let operation = params.action()?;
    let mut need = Need::new(format!("iam:{operation}"), resource(store, call, operation, &params)?);
    if let Some(arn) = params.get("PolicyArn").filter(|_| !operation.contains("Version")) {
        need = need.with("iam:PolicyARN", arn);
    }
    if let Some(arn) = params.get("PermissionsBoundary") {
        need = need.with("iam:PermissionsBoundary", arn);
    }
    for [key, value] in params.records("Tags", ["Key", "Value"]) {
        let key = key.unwrap_or_default();
        need = need.with(format!("aws:RequestTag/{key}"), value.unwrap_or_default()).with("aws:TagKeys", key);
    }
    for key in params.list("TagKeys") {
        need = need.with("aws:TagKeys", key);
    }
    Ok(vec![need])
}

/// What the operation is about: a user, a role, a policy, or everything of a kind.
fn resource(store: &Store, call: &Call, operation: &str, params: &Params) -> Result<String, ApiError> {
    let arn = |rest: String| format!("arn:aws:iam::{ACCOUNT_ID}:{rest}");
    let listed = |kind: &str| arn(format!("{kind}{}", params.get("PathPrefix").unwrap_or("/")));
    let path = params.get("Path").unwrap_or("/");
    let name = |member: &str| params.get(member).unwrap_or_default();
    match operation {
        "ListRoles" => return Ok(listed("role")),
        "ListUsers" => return Ok(listed("user")),
        "ListPolicies" => return Ok(listed("policy")),
        "CreateRole" => return Ok(arn(format!("role{path}{}", name("RoleName")))),
        "CreateUser" => return Ok(arn(format!("user{path}{}", name("UserName")))),
        "CreatePolicy" => return Ok(arn(format!("policy{path}{}", name("PolicyName")))),
        "SimulatePrincipalPolicy" => return Ok(name("PolicySourceArn").to_owned()),
        _ => {}
    }
    if let Some(name) = params.get("RoleName") {
        let role = store.read(|tx| role::find(tx, name))?;
        return Ok(role.map_or_else(|| arn(format!("role/{name}")), |role| role.arn()));
    }
    if let Some(name) = params.get("UserName") {
        let user = store.read(|tx| user::find(tx, name))?;
        return Ok(user.map_or_else(|| arn(format!("user/{name}")), |user| user.arn()));
    }
    // Without a name, the calls about users are about the caller.
    let of_user = operation.contains("User") || operation.contains("AccessKey");
    Ok(match params.get("PolicyArn") {
        Some(policy) => policy.to_owned(),
        None if of_user => call.caller.arn.clone(),
        None => "*".to_owned(),
    })
}
