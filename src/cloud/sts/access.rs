//! What a caller of STS must be allowed.
//! <https://docs.aws.amazon.com/service-authorization/latest/reference/list_awssecuritytokenservice.html>

use crate::cloud::{authorise::Need, error::ApiError, iam, query::Params, service::Call, store::Store};

/// To assume a role takes its trust policy and, where that names the account alone, the caller's own. To ask who
/// one is and for a session of one's own takes nothing
/// (<https://docs.aws.amazon.com/STS/latest/APIReference/API_GetCallerIdentity.html>).
pub(super) fn needs(store: &Store, call: &Call) -> Result<Vec<Need>, ApiError> {
    let params = Params::of(call);
    if params.action()? != "AssumeRole" {
        return Ok(Vec::new());
    }
    let arn = params.require("RoleArn")?;
    let trust = store.read(|tx| iam::find_by_arn(tx, arn))?.map(|role| role.trust);
    let mut need = Need::new("sts:AssumeRole", arn).under(trust);
    for (key, member) in [("sts:ExternalId", "ExternalId"), ("sts:RoleSessionName", "RoleSessionName")] {
        if let Some(value) = params.get(member) {
            need = need.with(key, value);
        }
    }
    Ok(vec![need])
}
