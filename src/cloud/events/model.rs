//! What EventBridge remembers, and how it is named.
//! <https://docs.aws.amazon.com/eventbridge/latest/APIReference/API_Types.html>

use std::collections::BTreeMap;

use redb::WriteTransaction;
use serde::{Deserialize, Serialize, de::DeserializeOwned};
use serde_json::Value;

use crate::cloud::{
    error::ApiError,
    service::ACCOUNT_ID,
    store::{Table, Transaction},
};

/// Custom buses by region and name. The default one is always there.
pub(super) const BUSES: Table<Bus> = Table::new("events.buses");
/// Rules by region, bus and name.
pub(super) const RULES: Table<Rule> = Table::new("events.rules");
/// Targets by region, bus, rule and id.
pub(super) const TARGETS: Table<Target> = Table::new("events.targets");
/// The keys of rules that have a schedule.
pub(super) const SCHEDULED: Table<()> = Table::new("events.scheduled");
/// How often the rules of a bus have changed.
const REVISIONS: Table<u64> = Table::new("events.revisions");

/// The bus that every account has.
pub(super) const DEFAULT_BUS: &str = "default";
/// The service's own principal.
pub(super) const PRINCIPAL: &str = "events.amazonaws.com";
/// Longest page of a list.
const PAGE_ENTRIES: usize = 100;

/// A custom bus.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub(super) struct Bus {
    pub description: Option<String>,
    /// Seconds since 1970.
    pub created: i64,
}

/// A rule.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub(super) struct Rule {
    pub pattern: Option<String>,
    pub schedule: Option<String>,
    pub enabled: bool,
    pub description: Option<String>,
    pub role_arn: Option<String>,
    /// From when its schedule counts, in milliseconds since 1970.
    pub scheduled: i64,
}

/// A target, as it was put.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "PascalCase")]
pub(super) struct Target {
    pub id: String,
    pub arn: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub role_arn: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub input: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub input_path: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub input_transformer: Option<InputTransformer>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub sqs_parameters: Option<SqsParameters>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub dead_letter_config: Option<DeadLetterConfig>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub retry_policy: Option<RetryPolicy>,
}

#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "PascalCase")]
pub(super) struct InputTransformer {
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub input_paths_map: Option<BTreeMap<String, String>>,
    pub input_template: String,
}

#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "PascalCase")]
pub(super) struct SqsParameters {
    #[serde(skip_serializing_if = "Option::is_none")]
    pub message_group_id: Option<String>,
}

#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "PascalCase")]
pub(super) struct DeadLetterConfig {
    #[serde(skip_serializing_if = "Option::is_none")]
    pub arn: Option<String>,
}

#[derive(Debug, Clone, Copy, Default, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "PascalCase")]
pub(super) struct RetryPolicy {
    #[serde(skip_serializing_if = "Option::is_none")]
    pub maximum_retry_attempts: Option<i64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub maximum_event_age_in_seconds: Option<i64>,
}

/// A tag.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(rename_all = "PascalCase")]
pub(super) struct Tag {
    pub key: String,
    pub value: String,
}

/// Where and when an operation works.
pub(super) struct Scope {
    pub region: String,
    /// Milliseconds since 1970.
    pub now: i64,
}

/// A rule's place.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub(super) struct RuleName {
    pub region: String,
    pub bus: String,
    pub name: String,
}

impl RuleName {
    pub fn key(&self) -> String {
        format!("{}/{}/{}", self.region, self.bus, self.name)
    }

    /// Nothing for what is no rule's key.
    pub fn of_key(key: &str) -> Option<RuleName> {
        let mut parts = key.split('/').map(str::to_owned);
        Some(RuleName { region: parts.next()?, bus: parts.next()?, name: parts.next()? })
    }

    /// "arn:aws:events:REGION:ACCOUNT:rule/[BUS/]NAME": the default bus is not named.
    pub fn arn(&self) -> String {
        let RuleName { region, bus, name } = self;
        match bus.as_str() {
            DEFAULT_BUS => format!("arn:aws:events:{region}:{ACCOUNT_ID}:rule/{name}"),
            bus => format!("arn:aws:events:{region}:{ACCOUNT_ID}:rule/{bus}/{name}"),
        }
    }

    /// What the keys of its targets begin with.
    pub fn targets(&self) -> String {
        format!("{}/", self.key())
    }

    pub fn existing(&self, tx: &impl Transaction) -> Result<Rule, ApiError> {
        RULES
            .get(tx, &self.key())?
            .ok_or_else(|| not_found(format!("Rule {} does not exist on EventBus {}.", self.name, self.bus)))
    }
}

pub(super) fn bus_key(region: &str, bus: &str) -> String {
    format!("{region}/{bus}")
}

pub(super) fn bus_arn(region: &str, bus: &str) -> String {
    format!("arn:aws:events:{region}:{ACCOUNT_ID}:event-bus/{bus}")
}

/// The region and bus that an ARN names, when it is one of this account.
pub(super) fn bus_of_arn(arn: &str) -> Option<(&str, &str)> {
    let (region, rest) = arn.strip_prefix("arn:aws:events:")?.split_once(':')?;
    let (account, bus) = rest.split_once(":event-bus/")?;
    (account == ACCOUNT_ID).then_some((region, bus))
}

/// The name behind a bus's name or ARN; what is elsewhere stays an ARN, which no bus has for a name.
pub(super) fn bus_name(region: &str, given: Option<&str>) -> String {
    let given = given.unwrap_or(DEFAULT_BUS);
    match bus_of_arn(given) {
        Some((of, bus)) if of == region => bus.to_owned(),
        _ => given.to_owned(),
    }
}

pub(super) fn bus_exists(tx: &impl Transaction, region: &str, bus: &str) -> Result<bool, ApiError> {
    Ok(bus == DEFAULT_BUS || BUSES.get(tx, &bus_key(region, bus))?.is_some())
}

/// The bus that an operation names.
pub(super) fn existing_bus(tx: &impl Transaction, scope: &Scope, given: Option<&str>) -> Result<String, ApiError> {
    let bus = bus_name(&scope.region, given);
    if bus_exists(tx, &scope.region, &bus)? {
        return Ok(bus);
    }
    Err(not_found(format!("Event bus {bus} does not exist.")))
}

/// The rule that an operation names, on a bus that is there.
pub(super) fn rule_name(
    tx: &impl Transaction,
    scope: &Scope,
    bus: Option<&str>,
    name: String,
) -> Result<RuleName, ApiError> {
    check_name("name", &name, 64)?;
    Ok(RuleName { region: scope.region.clone(), bus: existing_bus(tx, scope, bus)?, name })
}

/// How often the rules of a bus have changed.
pub(super) fn revision(tx: &impl Transaction, region: &str, bus: &str) -> Result<u64, ApiError> {
    Ok(REVISIONS.get(tx, &bus_key(region, bus))?.unwrap_or_default())
}

/// Notes a change of a bus's rules.
pub(super) fn changed(tx: &WriteTransaction, region: &str, bus: &str) -> Result<(), ApiError> {
    let next = revision(tx, region, bus)? + 1;
    Ok(REVISIONS.put(tx, &bus_key(region, bus), &next)?)
}

/// The pattern of all names here: `[\.\-_A-Za-z0-9]+`.
pub(super) fn check_name(member: &str, name: &str, most: usize) -> Result<(), ApiError> {
    let fits = |letter: char| letter.is_ascii_alphanumeric() || matches!(letter, '.' | '-' | '_');
    let constraint = match name.chars().count() {
        0 => "Member must have length greater than or equal to 1".to_owned(),
        letters if letters > most => format!("Member must have length less than or equal to {most}"),
        _ if !name.chars().all(fits) => r"Member must satisfy regular expression pattern: [\.\-_A-Za-z0-9]+".to_owned(),
        _ => return Ok(()),
    };
    Err(constraint_error(member, name, &constraint))
}

pub(super) fn check_length(member: &str, text: Option<&str>, most: usize) -> Result<(), ApiError> {
    match text {
        Some(text) if text.chars().count() > most => {
            Err(constraint_error(member, text, &format!("Member must have length less than or equal to {most}")))
        }
        _ => Ok(()),
    }
}

pub(super) fn constraint_error(member: &str, value: &str, constraint: &str) -> ApiError {
    invalid(format!(
        "1 validation error detected: Value '{value}' at '{member}' failed to satisfy constraint: {constraint}"
    ))
}

pub(super) fn invalid(message: impl Into<String>) -> ApiError {
    ApiError::client("ValidationException", message)
}

pub(super) fn not_found(message: impl Into<String>) -> ApiError {
    ApiError::client("ResourceNotFoundException", message)
}

pub(super) fn limit_exceeded() -> ApiError {
    ApiError::client("LimitExceededException", "The requested resource exceeds the maximum number allowed.")
}

/// Entries by the rest of their key, and the token of the next page.
type Page<V> = (Vec<(String, V)>, Option<String>);

/// Where a page begins and how long it is.
#[derive(Debug, Default, Deserialize)]
#[serde(rename_all = "PascalCase")]
pub(super) struct Paging {
    next_token: Option<String>,
    limit: Option<i64>,
}

impl Paging {
    /// The entries under `prefix` that are to `keep`.
    pub fn page<V: Serialize + DeserializeOwned>(
        &self,
        tx: &impl Transaction,
        table: &Table<V>,
        prefix: &str,
        keep: impl Fn(&str, &V) -> bool,
    ) -> Result<Page<V>, ApiError> {
        let (limit, mut after) = (self.limit()?, self.after(prefix)?);
        let mut found = Vec::new();
        loop {
            let chunk = table.scan(tx, prefix, after.as_deref(), PAGE_ENTRIES)?;
            let last = chunk.len() < PAGE_ENTRIES;
            for (key, value) in chunk {
                let name = key[prefix.len()..].to_owned();
                if keep(&name, &value) {
                    if found.len() == limit {
                        return Ok((found, after.map(|key| hex::encode(&key[prefix.len()..]))));
                    }
                    found.push((name, value));
                    after = Some(key);
                } else {
                    after = Some(key);
                }
            }
            if last {
                return Ok((found, None));
            }
        }
    }

    /// Whether this asks for the first page.
    pub fn is_first(&self) -> bool {
        self.next_token.is_none()
    }

    fn limit(&self) -> Result<usize, ApiError> {
        match self.limit {
            None => Ok(PAGE_ENTRIES),
            Some(limit) => usize::try_from(limit)
                .ok()
                .filter(|limit| (1..=PAGE_ENTRIES).contains(limit))
                .ok_or_else(|| constraint_error("limit", &limit.to_string(), "Member must be between 1 and 100")),
        }
    }

    fn after(&self, prefix: &str) -> Result<Option<String>, ApiError> {
        let Some(token) = &self.next_token else { return Ok(None) };
        let rest = hex::decode(token).ok().and_then(|bytes| String::from_utf8(bytes).ok());
        rest.map(|rest| Some(format!("{prefix}{rest}"))).ok_or_else(|| invalid("Parameter NextToken is not valid."))
    }
}

/// An answer with what is not there left out.
pub(super) fn without_nulls(mut answer: Value) -> Value {
    if let Value::Object(members) = &mut answer {
        members.retain(|_, value| !value.is_null());
    }
    answer
}
