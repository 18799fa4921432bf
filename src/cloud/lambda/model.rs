//! What is kept of a function, how it is named, and how its description goes out.

use std::collections::BTreeMap;

use base64::Engine;
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};

use super::rest::{constraint, invalid, not_found};
use crate::cloud::{
    error::ApiError,
    service::ACCOUNT_ID,
    store::{StoreError, Table, Transaction},
};

/// Functions by ARN.
pub(super) const FUNCTIONS: Table<Function> = Table::new("lambda.functions");

/// Longest name of a function, in characters.
const NAME_CHARACTERS: usize = 64;

/// A function. It has no `Debug`: its variables may hold secrets.
#[derive(Clone, Serialize, Deserialize)]
pub(super) struct Function {
    pub name: String,
    pub region: String,
    pub tags: BTreeMap<String, String>,
    pub settings: Settings,
    pub code: Code,
    pub architecture: String,
    /// Milliseconds since 1970.
    pub last_modified: i64,
    /// Changes with every change of the function.
    pub revision: String,
}

/// What `UpdateFunctionConfiguration` changes.
#[derive(Clone, PartialEq, Serialize, Deserialize)]
pub(super) struct Settings {
    pub role: String,
    pub runtime: String,
    pub handler: String,
    pub description: String,
    pub timeout_seconds: u32,
    pub memory_mb: u32,
    pub ephemeral_storage_mb: u32,
    pub variables: Option<BTreeMap<String, String>>,
    pub log_format: LogFormat,
    pub log_group: String,
    /// ARN of the queue or topic for events that failed for good.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub dead_letters: Option<String>,
}

#[derive(Clone, Copy, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub(super) enum LogFormat {
    Text,
    #[serde(rename = "JSON")]
    Json,
}

/// A package, by content.
#[derive(Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct Code {
    /// SHA-256 of the zip, in hex: the name of its folder.
    pub sha256: String,
    /// Bytes of the zip.
    pub size: u64,
}

impl Code {
    /// AWS's spelling of the hash.
    pub(super) fn sha256_base64(&self) -> String {
        base64::engine::general_purpose::STANDARD.encode(hex::decode(&self.sha256).unwrap_or_default())
    }
}

impl Function {
    pub(super) fn arn(&self) -> String {
        function_arn(&self.region, &self.name)
    }

    /// A change of the function: a new revision, now.
    pub(super) fn touch(&mut self) {
        self.revision = uuid::Uuid::new_v4().to_string();
        self.last_modified = jiff::Timestamp::now().as_millisecond();
    }

    /// `FunctionConfiguration`.
    pub(super) fn view(&self) -> Value {
        let settings = &self.settings;
        let mut view = json!({
            "FunctionName": self.name,
            "FunctionArn": self.arn(),
            "Runtime": settings.runtime,
            "Role": settings.role,
            "Handler": settings.handler,
            "CodeSize": self.code.size,
            "Description": settings.description,
            "Timeout": settings.timeout_seconds,
            "MemorySize": settings.memory_mb,
            "LastModified": last_modified(self.last_modified),
            "CodeSha256": self.code.sha256_base64(),
            "Version": "$LATEST",
            "TracingConfig": { "Mode": "PassThrough" },
            "RevisionId": self.revision,
            "State": "Active",
            "LastUpdateStatus": "Successful",
            "PackageType": "Zip",
            "Architectures": [self.architecture],
            "EphemeralStorage": { "Size": settings.ephemeral_storage_mb },
            "SnapStart": { "ApplyOn": "None", "OptimizationStatus": "Off" },
            "LoggingConfig": { "LogFormat": settings.log_format, "LogGroup": settings.log_group },
        });
        if let Some(target) = &settings.dead_letters {
            view["DeadLetterConfig"] = json!({ "TargetArn": target });
        }
        if let Some(variables) = &settings.variables {
            view["Environment"] = json!({ "Variables": variables });
        }
        view
    }
}

/// `2026-01-31T12:00:00.000+0000`, AWS's form.
fn last_modified(milliseconds: i64) -> String {
    let at = jiff::Timestamp::from_millisecond(milliseconds).unwrap_or_default();
    at.strftime("%Y-%m-%dT%H:%M:%S%.3f+0000").to_string()
}

pub(super) fn function_arn(region: &str, name: &str) -> String {
    format!("arn:aws:lambda:{region}:{ACCOUNT_ID}:function:{name}")
}

/// A function as a request names it: by name, partial ARN or ARN, with or without a qualifier.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Reference {
    pub arn: String,
    pub name: String,
    pub qualifier: Option<String>,
}

impl Reference {
    /// Reads `name`, `account:function:name` or an ARN, each perhaps followed by `:qualifier`.
    pub(super) fn parse(region: &str, text: &str) -> Result<Reference, ApiError> {
        let refusal = || invalid(format!("`{text}` does not name a function"));
        let (region, account, rest) = match text.strip_prefix("arn:aws:lambda:") {
            Some(rest) => {
                let mut parts = rest.splitn(3, ':');
                match (parts.next(), parts.next(), parts.next()) {
                    (Some(region), Some(account), Some(rest)) => (region, account, rest),
                    _ => return Err(refusal()),
                }
            }
            None => match text.split_once(":function:") {
                Some((account, _)) => (region, account, &text[account.len() + 1..]),
                None => (region, ACCOUNT_ID, text),
            },
        };
        let rest = rest.strip_prefix("function:").unwrap_or(rest);
        let (name, qualifier) = match rest.split_once(':') {
            Some((name, qualifier)) => (name, Some(qualifier.to_owned())),
            None => (rest, None),
        };
        check_name(name)?;
        let arn = format!("arn:aws:lambda:{region}:{account}:function:{name}");
        Ok(Reference { arn, name: name.to_owned(), qualifier })
    }

    /// The function's ARN as events name it, with a qualifier or without.
    pub(super) fn of_arn(arn: &str) -> Result<Reference, ApiError> {
        if arn.starts_with("arn:aws:lambda:") {
            return Reference::parse("", arn);
        }
        Err(invalid(format!("`{arn}` is not the ARN of a function")))
    }

    /// The function, or AWS's refusal. There are no versions and aliases, so the one qualifier is `$LATEST`.
    pub(super) fn find(&self, tx: &impl Transaction) -> Result<Function, ApiError> {
        match self.get(tx)? {
            Some(function) => Ok(function),
            None => Err(not_found(format!("Function not found: {}", self.qualified_arn()))),
        }
    }

    /// The function, if it is there.
    pub(super) fn get(&self, tx: &impl Transaction) -> Result<Option<Function>, StoreError> {
        match self.qualifier.as_deref() {
            None | Some("$LATEST") => FUNCTIONS.get(tx, &self.arn),
            Some(_) => Ok(None),
        }
    }

    fn qualified_arn(&self) -> String {
        match &self.qualifier {
            Some(qualifier) => format!("{}:{qualifier}", self.arn),
            None => self.arn.clone(),
        }
    }
}

fn check_name(name: &str) -> Result<(), ApiError> {
    let fits = name.chars().all(|c| c.is_ascii_alphanumeric() || c == '-' || c == '_');
    if fits && (1..=NAME_CHARACTERS).contains(&name.len()) {
        return Ok(());
    }
    Err(constraint(format_args!(
        "Value '{name}' at 'functionName' failed to satisfy constraint: Member must satisfy regular expression \
         pattern: [a-zA-Z0-9-_]+ and have 1 to {NAME_CHARACTERS} characters"
    )))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_function_is_found_by_name_partial_arn_and_arn() {
        let arn = function_arn("eu-west-1", "f");
        for text in ["f", "000000000000:function:f", &arn] {
            let reference = Reference::parse("eu-west-1", text).unwrap();
            assert_eq!((reference.arn.as_str(), reference.qualifier), (arn.as_str(), None), "{text}");
        }
        for text in ["f:$LATEST", "000000000000:function:f:$LATEST", &format!("{arn}:$LATEST")] {
            let reference = Reference::parse("eu-west-1", text).unwrap();
            assert_eq!((reference.arn.as_str(), reference.qualifier.as_deref()), (arn.as_str(), Some("$LATEST")));
        }
        for text in ["", "a b", "arn:aws:lambda:x", &"n".repeat(65)] {
            assert!(Reference::parse("r", text).is_err(), "{text}");
        }
    }

    #[test]
    fn the_time_of_a_change_is_written_as_aws_writes_it() {
        assert_eq!(last_modified(1_700_000_000_123), "2023-11-14T22:13:20.123+0000");
    }
}
