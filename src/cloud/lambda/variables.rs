//! The environment variables of a function: exactly those that AWS documents for a custom runtime, the function's
//! own, and `AWS_ENDPOINT_URL`.
//! <https://docs.aws.amazon.com/lambda/latest/dg/configuration-envvars.html>

use std::{collections::BTreeMap, ffi::OsString, net::SocketAddr, path::Path};

use super::{model::Function, seams::TemporaryCredentials};

/// Where AWS has a runtime's libraries. A custom runtime has none there.
const RUNTIME_DIR: &str = "/var/runtime";

/// What the variables of one environment depend on.
pub(super) struct Surroundings<'a> {
    pub function: &'a Function,
    pub credentials: &'a TemporaryCredentials,
    pub endpoint_url: &'a str,
    pub runtime_api: SocketAddr,
    pub log_stream: &'a str,
    /// Folder of the unpacked package.
    pub task_root: &'a Path,
}

/// All variables of an environment. `AWS_EXECUTION_ENV` and `_X_AMZN_TRACE_ID` are not defined for custom runtimes.
pub(super) fn variables(of: &Surroundings<'_>) -> BTreeMap<String, OsString> {
    let settings = &of.function.settings;
    let root = of.task_root.display();
    let libraries = format!("/lib64:/usr/lib64:{RUNTIME_DIR}:{RUNTIME_DIR}/lib:{root}:{root}/lib:/opt/lib");
    let set = [
        ("LANG", "en_US.UTF-8".into()),
        ("PATH", "/usr/local/bin:/usr/bin/:/bin:/opt/bin".into()),
        ("LD_LIBRARY_PATH", libraries.into()),
        ("TZ", ":UTC".into()),
        ("AWS_ENDPOINT_URL", of.endpoint_url.into()),
    ];
    let reserved = [
        ("_HANDLER", settings.handler.clone().into()),
        ("AWS_REGION", of.function.region.clone().into()),
        ("AWS_DEFAULT_REGION", of.function.region.clone().into()),
        ("AWS_LAMBDA_FUNCTION_NAME", of.function.name.clone().into()),
        ("AWS_LAMBDA_FUNCTION_MEMORY_SIZE", settings.memory_mb.to_string().into()),
        ("AWS_LAMBDA_FUNCTION_VERSION", "$LATEST".into()),
        ("AWS_LAMBDA_INITIALIZATION_TYPE", "on-demand".into()),
        ("AWS_LAMBDA_LOG_GROUP_NAME", settings.log_group.clone().into()),
        ("AWS_LAMBDA_LOG_STREAM_NAME", of.log_stream.into()),
        ("AWS_LAMBDA_RUNTIME_API", of.runtime_api.to_string().into()),
        ("AWS_ACCESS_KEY_ID", of.credentials.access_key_id.clone().into()),
        ("AWS_SECRET_ACCESS_KEY", of.credentials.secret_access_key.clone().into()),
        ("AWS_SESSION_TOKEN", of.credentials.session_token.clone().into()),
        ("LAMBDA_TASK_ROOT", of.task_root.into()),
        ("LAMBDA_RUNTIME_DIR", RUNTIME_DIR.into()),
    ];
    let own = settings.variables.iter().flatten().map(|(name, value)| (name.clone(), value.into()));
    let named = |(name, value): (&str, OsString)| (name.to_owned(), value);
    // The function's own win over what is not reserved, as on AWS.
    set.into_iter().map(named).chain(own).chain(reserved.into_iter().map(named)).collect()
}
