//! The settings of a function as `CreateFunction` and `UpdateFunctionConfiguration` give them: checked, and
//! refused where the embedded cloud would ignore them.

use std::collections::BTreeMap;

use serde::Deserialize;
use serde_json::Value;

use super::{
    model::{LogFormat, Settings},
    rest::{constraint, invalid},
    seams::Roles,
};
use crate::cloud::error::ApiError;

/// Largest size of all variables, as the JSON that AWS measures.
const VARIABLES_BYTES: usize = 4 * 1024;
const DESCRIPTION_CHARACTERS: usize = 256;
const HANDLER_CHARACTERS: usize = 128;
const TIMEOUT_SECONDS: std::ops::RangeInclusive<u32> = 1..=900;
const MEMORY_MB: std::ops::RangeInclusive<u32> = 128..=10_240;
const EPHEMERAL_STORAGE_MB: std::ops::RangeInclusive<u32> = 512..=10_240;
const DEFAULT_TIMEOUT_SECONDS: u32 = 3;
const DEFAULT_MEMORY_MB: u32 = 128;
const DEFAULT_EPHEMERAL_STORAGE_MB: u32 = 512;
const RUNTIMES: [&str; 2] = ["provided.al2023", "provided.al2"];
/// The principal that assumes a function's role.
const PRINCIPAL: &str = "lambda.amazonaws.com";

/// Variables that Lambda sets itself.
/// <https://docs.aws.amazon.com/lambda/latest/dg/configuration-envvars.html>
const RESERVED: [&str; 19] = [
    "_HANDLER",
    "_X_AMZN_TRACE_ID",
    "AWS_DEFAULT_REGION",
    "AWS_REGION",
    "AWS_EXECUTION_ENV",
    "AWS_LAMBDA_FUNCTION_NAME",
    "AWS_LAMBDA_FUNCTION_MEMORY_SIZE",
    "AWS_LAMBDA_FUNCTION_VERSION",
    "AWS_LAMBDA_INITIALIZATION_TYPE",
    "AWS_LAMBDA_LOG_GROUP_NAME",
    "AWS_LAMBDA_LOG_STREAM_NAME",
    "AWS_LAMBDA_RUNTIME_API",
    "AWS_ACCESS_KEY",
    "AWS_ACCESS_KEY_ID",
    "AWS_SECRET_ACCESS_KEY",
    "AWS_SESSION_TOKEN",
    "AWS_SECURITY_TOKEN",
    "LAMBDA_TASK_ROOT",
    "LAMBDA_RUNTIME_DIR",
];

/// The members that both operations have; what is absent stays as it is.
#[derive(Deserialize, Default)]
#[serde(rename_all = "PascalCase", default)]
pub(super) struct Given {
    role: Option<String>,
    runtime: Option<String>,
    handler: Option<String>,
    description: Option<String>,
    timeout: Option<u32>,
    memory_size: Option<u32>,
    environment: Option<Environment>,
    ephemeral_storage: Option<EphemeralStorage>,
    logging_config: Option<LoggingConfig>,
    vpc_config: Option<Value>,
    dead_letter_config: Option<DeadLetterConfig>,
    #[serde(rename = "KMSKeyArn")]
    kms_key_arn: Option<Value>,
    tracing_config: Option<Value>,
    layers: Option<Value>,
    file_system_configs: Option<Value>,
    image_config: Option<Value>,
    snap_start: Option<Value>,
    capacity_provider_config: Option<Value>,
    durable_config: Option<Value>,
}

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
struct Environment {
    #[serde(default)]
    variables: BTreeMap<String, String>,
}

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
struct DeadLetterConfig {
    target_arn: Option<String>,
}

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
struct EphemeralStorage {
    size: u32,
}

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
struct LoggingConfig {
    log_format: Option<LogFormat>,
    log_group: Option<String>,
    application_log_level: Option<String>,
    system_log_level: Option<String>,
}

impl Given {
    /// The settings of a new function.
    pub(super) fn create(self, name: &str, roles: &dyn Roles) -> Result<Settings, ApiError> {
        let required = |value: &Option<String>, member: &str| match value {
            Some(value) => Ok(value.clone()),
            None => Err(constraint(format_args!(
                "Value null at '{member}' failed to satisfy constraint: Member must not be null"
            ))),
        };
        let settings = Settings {
            role: required(&self.role, "role")?,
            runtime: required(&self.runtime, "runtime")?,
            handler: required(&self.handler, "handler")?,
            description: String::new(),
            timeout_seconds: DEFAULT_TIMEOUT_SECONDS,
            memory_mb: DEFAULT_MEMORY_MB,
            ephemeral_storage_mb: DEFAULT_EPHEMERAL_STORAGE_MB,
            variables: None,
            log_format: LogFormat::Text,
            log_group: format!("/aws/lambda/{name}"),
            dead_letters: None,
        };
        self.change(settings, roles)
    }

    /// The settings after an update.
    pub(super) fn change(self, mut settings: Settings, roles: &dyn Roles) -> Result<Settings, ApiError> {
        self.refuse_what_is_not_there()?;
        let role_given = self.role.is_some();
        let set = |into: &mut String, value: Option<String>| {
            if let Some(value) = value {
                *into = value;
            }
        };
        set(&mut settings.role, self.role);
        set(&mut settings.runtime, self.runtime);
        set(&mut settings.handler, self.handler);
        set(&mut settings.description, self.description);
        settings.timeout_seconds = self.timeout.unwrap_or(settings.timeout_seconds);
        settings.memory_mb = self.memory_size.unwrap_or(settings.memory_mb);
        settings.ephemeral_storage_mb = self.ephemeral_storage.map_or(settings.ephemeral_storage_mb, |it| it.size);
        if let Some(environment) = self.environment {
            settings.variables = (!environment.variables.is_empty()).then_some(environment.variables);
        }
        if let Some(logging) = self.logging_config {
            if logging.application_log_level.is_some() || logging.system_log_level.is_some() {
                return Err(not_here("log levels in LoggingConfig"));
            }
            settings.log_format = logging.log_format.unwrap_or(settings.log_format);
            set(&mut settings.log_group, logging.log_group);
        }
        if let Some(config) = self.dead_letter_config {
            settings.dead_letters = config.target_arn.filter(|arn| !arn.is_empty());
        }
        check(&settings)?;
        if role_given && !roles.assumable(&settings.role, PRINCIPAL)? {
            return Err(invalid("The role defined for the function cannot be assumed by Lambda."));
        }
        Ok(settings)
    }

    fn refuse_what_is_not_there(&self) -> Result<(), ApiError> {
        let members = [
            (&self.vpc_config, "VpcConfig"),
            (&self.kms_key_arn, "KMSKeyArn"),
            (&self.layers, "Layers"),
            (&self.file_system_configs, "FileSystemConfigs"),
            (&self.image_config, "ImageConfig"),
            (&self.capacity_provider_config, "CapacityProviderConfig"),
            (&self.durable_config, "DurableConfig"),
        ];
        if let Some((_, name)) = members.iter().find(|(value, _)| value.as_ref().is_some_and(says_something)) {
            return Err(not_here(name));
        }
        let says = |value: &Option<Value>, member: &str, text: &str| {
            value.as_ref().and_then(|value| value.get(member)).is_some_and(|value| value == text)
        };
        if says(&self.tracing_config, "Mode", "Active") {
            return Err(not_here("TracingConfig with the mode Active"));
        }
        if says(&self.snap_start, "ApplyOn", "PublishedVersions") {
            return Err(not_here("SnapStart"));
        }
        Ok(())
    }
}

/// Whether a member asks for anything: SDKs send empty lists and objects for what is off.
pub(super) fn says_something(value: &Value) -> bool {
    match value {
        Value::Null => false,
        Value::String(text) => !text.is_empty(),
        Value::Array(items) => items.iter().any(says_something),
        Value::Object(members) => members.values().any(says_something),
        Value::Bool(value) => *value,
        Value::Number(_) => true,
    }
}

/// The refusal of a part of Lambda that the embedded cloud does not have.
pub(super) fn not_here(what: &str) -> ApiError {
    invalid(format!("the embedded cloud's Lambda has no {what}"))
}

fn check(settings: &Settings) -> Result<(), ApiError> {
    let within = |value: u32, range: &std::ops::RangeInclusive<u32>, member: &str| {
        if range.contains(&value) {
            return Ok(());
        }
        Err(constraint(format_args!(
            "Value '{value}' at '{member}' failed to satisfy constraint: Member must have value between {} and {}",
            range.start(),
            range.end()
        )))
    };
    within(settings.timeout_seconds, &TIMEOUT_SECONDS, "timeout")?;
    within(settings.memory_mb, &MEMORY_MB, "memorySize")?;
    within(settings.ephemeral_storage_mb, &EPHEMERAL_STORAGE_MB, "ephemeralStorage.size")?;
    if !RUNTIMES.contains(&settings.runtime.as_str()) {
        return Err(invalid(format!(
            "Value {} at 'runtime' failed to satisfy constraint: Member must satisfy enum value set: [{}]. The \
             embedded cloud runs the bootstrap of a custom runtime only",
            settings.runtime,
            RUNTIMES.join(", ")
        )));
    }
    if settings.description.chars().count() > DESCRIPTION_CHARACTERS {
        return Err(invalid(format!("description has more than {DESCRIPTION_CHARACTERS} characters")));
    }
    let handler = &settings.handler;
    if handler.is_empty() || handler.chars().count() > HANDLER_CHARACTERS || handler.contains(char::is_whitespace) {
        return Err(invalid(format!(
            "Value '{handler}' at 'handler' has to be 1 to {HANDLER_CHARACTERS} characters without white space"
        )));
    }
    let dead_letters = settings.dead_letters.as_deref();
    if dead_letters.is_some_and(|arn| !arn.starts_with("arn:aws:sqs:") && !arn.starts_with("arn:aws:sns:")) {
        return Err(invalid("deadLetterConfig.targetArn has to be the ARN of a queue or a topic"));
    }
    let group = &settings.log_group;
    let in_group = |c: char| c.is_ascii_alphanumeric() || "._-/#".contains(c);
    if group.is_empty() || group.len() > 512 || !group.chars().all(in_group) {
        return Err(invalid(format!("Value '{group}' at 'loggingConfig.logGroup' is not the name of a log group")));
    }
    settings.variables.as_ref().map_or(Ok(()), check_variables)
}

fn check_variables(variables: &BTreeMap<String, String>) -> Result<(), ApiError> {
    const UNABLE: &str = "Lambda was unable to configure your environment variables because the environment variables \
                          you have provided";
    let reserved: Vec<&str> = variables.keys().map(String::as_str).filter(|key| RESERVED.contains(key)).collect();
    if !reserved.is_empty() {
        return Err(invalid(format!(
            "{UNABLE} contains reserved keys that are currently not supported for modification. Reserved keys used in \
             this request: {}",
            reserved.join(", ")
        )));
    }
    let letter_first = |key: &str| key.starts_with(|c: char| c.is_ascii_alphabetic());
    let fits = |key: &str| key.len() >= 2 && key.chars().all(|c| c.is_ascii_alphanumeric() || c == '_');
    if let Some(key) = variables.keys().find(|key| !letter_first(key) || !fits(key)) {
        return Err(invalid(format!(
            "Value '{key}' at 'environment.variables' failed to satisfy constraint: Map keys must satisfy constraint: \
             [Member must satisfy regular expression pattern: [a-zA-Z]([a-zA-Z0-9_])+]"
        )));
    }
    if let Some((key, _)) = variables.iter().find(|(_, value)| value.contains('\0')) {
        return Err(invalid(format!("the value of the environment variable {key} holds a NUL character")));
    }
    let bytes = serde_json::to_vec(variables).map_err(ApiError::internal)?.len();
    if bytes > VARIABLES_BYTES {
        // AWS repeats the variables here; they may be secrets.
        return Err(invalid(format!("{UNABLE} exceeded the 4KB limit: they measure {bytes} bytes as JSON.")));
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    struct Role(bool);
    impl Roles for Role {
        fn assumable(&self, _: &str, principal: &str) -> Result<bool, ApiError> {
            assert_eq!(principal, "lambda.amazonaws.com");
            Ok(self.0)
        }

        fn may_log(&self, _: &str, _: &str, _: &str, _: &str) -> Result<bool, ApiError> {
            Ok(self.0)
        }
    }

    fn created(extra: Value) -> Result<Settings, String> {
        let mut input = json!({ "Role": "arn", "Runtime": "provided.al2023", "Handler": "h" });
        input.as_object_mut().unwrap().extend(extra.as_object().unwrap().clone());
        let given: Given = serde_json::from_value(input).unwrap();
        given.create("f", &Role(true)).map_err(|error| error.message)
    }

    #[test]
    fn defaults_are_those_of_aws() {
        let settings = created(json!({})).ok().unwrap();
        assert_eq!((settings.timeout_seconds, settings.memory_mb, settings.ephemeral_storage_mb), (3, 128, 512));
        assert_eq!(settings.log_group, "/aws/lambda/f");
    }

    #[test]
    fn what_would_be_ignored_is_refused_and_what_is_off_is_not() {
        let off = json!({ "VpcConfig": { "SubnetIds": [] }, "Layers": [], "DeadLetterConfig": {}, "KMSKeyArn": "",
            "SnapStart": { "ApplyOn": "None" }, "TracingConfig": { "Mode": "PassThrough" } });
        assert!(created(off).is_ok());
        for on in [
            json!({ "VpcConfig": { "SubnetIds": ["s"] } }),
            json!({ "Layers": ["l"] }),
            json!({ "TracingConfig": { "Mode": "Active" } }),
            json!({ "SnapStart": { "ApplyOn": "PublishedVersions" } }),
        ] {
            assert!(created(on).err().unwrap().contains("has no"));
        }
    }

    #[test]
    fn variables_have_a_size_and_reserved_names() {
        let with = |key: &str, value: &str| created(json!({ "Environment": { "Variables": { key: value } } })).err();
        assert!(with("AWS_REGION", "x").unwrap().contains("Reserved keys used in this request: AWS_REGION"));
        assert!(with("1A", "x").unwrap().contains("regular expression"));
        let secret = "s".repeat(5000);
        let refusal = with("KEY", &secret).unwrap();
        assert!(refusal.contains("exceeded the 4KB limit") && !refusal.contains(&secret));
        assert!(with("KEY", &"s".repeat(4000)).is_none());
    }

    #[test]
    fn numbers_out_of_range_other_runtimes_and_foreign_roles_are_refused() {
        assert!(created(json!({ "Timeout": 901 })).err().unwrap().contains("between 1 and 900"));
        assert!(created(json!({ "MemorySize": 64 })).err().unwrap().contains("between 128"));
        assert!(created(json!({ "Runtime": "python3.13" })).err().unwrap().contains("enum value set"));
        let given: Given =
            serde_json::from_value(json!({ "Role": "arn", "Runtime": "provided.al2", "Handler": "h" })).unwrap();
        let refusal = given.create("f", &Role(false)).err().unwrap();
        assert_eq!(refusal.message, "The role defined for the function cannot be assumed by Lambda.");
    }
}
