//! A queue's attributes: which there are, what they may be, what they are when nothing was set.
//! <https://docs.aws.amazon.com/AWSSimpleQueueService/latest/APIReference/API_SetQueueAttributes.html>

use std::collections::BTreeMap;

use redb::WriteTransaction;
use serde_json::{Map, Value};

use super::{
    error::{invalid, unsupported},
    model::{self, Counts, QUEUES, Queue, Redrive},
};
use crate::cloud::{error::ApiError, store::Transaction};

/// Largest message, in bytes.
pub(super) const MESSAGE_BYTES: u32 = 1024 * 1024;
/// Longest visibility timeout, in seconds.
pub(super) const VISIBILITY_SECONDS: u32 = 12 * 60 * 60;
/// Longest delay, in seconds.
pub(super) const DELAY_SECONDS: u32 = 15 * 60;
/// Longest wait of a receive, in seconds.
pub(super) const WAIT_SECONDS: u32 = 20;
/// Most receives before a message goes to the dead-letter queue.
const MAX_RECEIVES: u32 = 1000;
/// Receives when the policy names none.
const DEFAULT_RECEIVES: u32 = 10;
/// Largest policy, in bytes.
const POLICY_BYTES: usize = 8192;
/// Most queues that a redrive allow policy names.
const SOURCE_QUEUES: usize = 10;

/// Attributes that are numbers: name, least, most, default.
const NUMBERS: [(&str, u32, u32, u32); 5] = [
    ("VisibilityTimeout", 0, VISIBILITY_SECONDS, 30),
    ("MaximumMessageSize", 1024, MESSAGE_BYTES, MESSAGE_BYTES),
    ("MessageRetentionPeriod", 60, 1_209_600, 345_600),
    ("DelaySeconds", 0, DELAY_SECONDS, 0),
    ("ReceiveMessageWaitTimeSeconds", 0, WAIT_SECONDS, 0),
];
/// Attributes that are documents; an empty text takes them away.
const DOCUMENTS: [&str; 3] = ["Policy", "RedrivePolicy", "RedriveAllowPolicy"];
/// Attributes that only SQS sets.
const READ_ONLY: [&str; 6] = [
    "ApproximateNumberOfMessages",
    "ApproximateNumberOfMessagesNotVisible",
    "ApproximateNumberOfMessagesDelayed",
    "CreatedTimestamp",
    "LastModifiedTimestamp",
    "QueueArn",
];
const SSE: &str = "SqsManagedSseEnabled";
/// Attributes of what this SQS does not have, and what that is.
const ABSENT: [(&str, &str); 6] = [
    ("FifoQueue", "FIFO queues"),
    ("ContentBasedDeduplication", "FIFO queues"),
    ("DeduplicationScope", "FIFO queues"),
    ("FifoThroughputLimit", "FIFO queues"),
    ("KmsMasterKeyId", "encryption with KMS keys"),
    ("KmsDataKeyReusePeriodSeconds", "encryption with KMS keys"),
];

impl Queue {
    /// The value of a numeric attribute.
    pub(super) fn number(&self, name: &str) -> u32 {
        let set = self.attributes.get(name).and_then(|text| text.parse().ok());
        set.or_else(|| NUMBERS.iter().find(|number| number.0 == name).map(|number| number.3)).unwrap_or(0)
    }

    /// The queue's dead-letter queue.
    pub(super) fn redrive(&self) -> Option<Redrive> {
        self.attributes.get("RedrivePolicy").and_then(|text| redrive(text).ok())
    }

    /// Changes attributes as CreateQueue and SetQueueAttributes give them.
    pub(super) fn set(&mut self, tx: &WriteTransaction, given: &BTreeMap<String, String>) -> Result<(), ApiError> {
        for (name, value) in given {
            match self.checked(tx, name, value)? {
                Some(value) => self.attributes.insert(name.clone(), value),
                None => self.attributes.remove(name),
            };
        }
        Ok(())
    }

    /// The value as it is kept; `None` takes the attribute away.
    fn checked(&self, tx: &WriteTransaction, name: &str, value: &str) -> Result<Option<String>, ApiError> {
        if let Some((_, least, most, _)) = NUMBERS.iter().find(|number| number.0 == name) {
            let fits = value.parse::<u32>().is_ok_and(|number| (*least..=*most).contains(&number));
            return if fits { Ok(Some(value.to_owned())) } else { Err(refused(name)) };
        }
        if DOCUMENTS.contains(&name) && value.is_empty() {
            return Ok(None);
        }
        if let Some((_, what)) = ABSENT.iter().find(|absent| absent.0 == name) {
            // `false` and nothing ask for what there is.
            return if matches!(value, "" | "false") { Ok(None) } else { Err(unsupported(what)) };
        }
        match name {
            "Policy" => check_policy(value)?,
            "RedrivePolicy" => self.check_redrive(tx, value)?,
            "RedriveAllowPolicy" => check_allow(value).map(drop)?,
            SSE if matches!(value, "true" | "false") => {}
            SSE => return Err(refused(SSE)),
            _ => return Err(unknown(name)),
        }
        Ok(Some(value.to_owned()))
    }

    fn check_redrive(&self, tx: &WriteTransaction, text: &str) -> Result<(), ApiError> {
        let redrive = redrive(text)?;
        let refusal = |reason: &str| invalid(text, "RedrivePolicy", reason);
        let key = model::key_of_arn(&redrive.target).ok_or_else(|| refusal("Invalid value for deadLetterTargetArn"))?;
        if !key.starts_with(&format!("{}/", self.region)) {
            return Err(refusal("Dead-letter target must be in the same region as the source"));
        }
        let target = QUEUES.get(tx, &key)?.ok_or_else(|| refusal("Dead letter target does not exist"))?;
        let allow = target.attributes.get("RedriveAllowPolicy").map(|text| check_allow(text)).transpose()?;
        match allow {
            Some(Some(sources)) if !sources.contains(&self.arn()) => {
                Err(refusal("Dead letter target does not allow this queue: see its RedriveAllowPolicy"))
            }
            _ => Ok(()),
        }
    }

    /// Whether the queue has all of these attributes with these values.
    pub(super) fn differs(&self, given: &BTreeMap<String, String>) -> Option<String> {
        let all = self.settings();
        let same = |name: &str, value: &str| match all.get(name) {
            Some(present) => same_value(present, value),
            None => matches!(value, "" | "false"),
        };
        given.iter().find(|(name, value)| !same(name, value)).map(|(name, _)| name.clone())
    }

    /// Attributes that can be set, with their defaults.
    fn settings(&self) -> BTreeMap<String, String> {
        let mut all: BTreeMap<String, String> =
            NUMBERS.iter().map(|number| (number.0.to_owned(), number.3.to_string())).collect();
        all.insert(SSE.into(), "true".into());
        all.extend(self.attributes.clone());
        all
    }

    /// The attributes that `names` asks for.
    pub(super) fn view(&self, names: &[String], counts: Counts) -> Result<BTreeMap<String, String>, ApiError> {
        let mut all = self.settings();
        let own = [
            counts.visible.to_string(),
            counts.in_flight.to_string(),
            counts.delayed.to_string(),
            (self.created / 1000).to_string(),
            (self.modified / 1000).to_string(),
            self.arn(),
        ];
        all.extend(READ_ONLY.iter().map(|name| (*name).to_owned()).zip(own));
        if names.iter().any(|name| name == "All") {
            return Ok(all);
        }
        let known = |name: &String| {
            all.contains_key(name) || DOCUMENTS.contains(&name.as_str()) || ABSENT.iter().any(|it| it.0 == name)
        };
        if let Some(name) = names.iter().find(|name| !known(name)) {
            return Err(unknown(name));
        }
        all.retain(|name, _| names.contains(name));
        Ok(all)
    }
}

/// Texts are equal, or the same JSON.
fn same_value(one: &str, other: &str) -> bool {
    let json = |text: &str| serde_json::from_str::<Value>(text).ok();
    one == other || json(one).is_some_and(|one| json(other) == Some(one))
}

fn unknown(name: &str) -> ApiError {
    ApiError::client("InvalidAttributeName", format!("Unknown Attribute {name}."))
}

fn refused(name: &str) -> ApiError {
    ApiError::client("InvalidAttributeValue", format!("Invalid value for the parameter {name}."))
}

fn check_policy(text: &str) -> Result<(), ApiError> {
    let document: Option<Map<String, Value>> = serde_json::from_str(text).ok();
    let statements = document.as_ref().and_then(|document| document.get("Statement"));
    let fits = statements.is_some_and(|it| it.is_object() || it.as_array().is_some_and(|list| !list.is_empty()));
    if fits && text.len() <= POLICY_BYTES { Ok(()) } else { Err(refused("Policy")) }
}

fn redrive(text: &str) -> Result<Redrive, ApiError> {
    let refusal = |reason: &str| invalid(text, "RedrivePolicy", reason);
    let document: Map<String, Value> =
        serde_json::from_str(text).map_err(|_| refusal("Redrive policy is not a valid JSON map"))?;
    let target = document.get("deadLetterTargetArn").and_then(Value::as_str);
    let target =
        target.ok_or_else(|| refusal("Redrive policy does not contain mandatory attribute: deadLetterTargetArn"))?;
    // Consoles write the number as text.
    let receives = match document.get("maxReceiveCount") {
        None => Some(DEFAULT_RECEIVES),
        Some(Value::String(text)) => text.parse().ok(),
        Some(number) => number.as_u64().and_then(|number| number.try_into().ok()),
    };
    match receives {
        Some(max_receives @ 1..=MAX_RECEIVES) => Ok(Redrive { target: target.to_owned(), max_receives }),
        _ => Err(refusal("Invalid value for maxReceiveCount: must be a number from 1 to 1000")),
    }
}

/// The queues that may use this one as their dead-letter queue; `None` for all.
fn check_allow(text: &str) -> Result<Option<Vec<String>>, ApiError> {
    let refusal = |reason: &str| invalid(text, "RedriveAllowPolicy", reason);
    let document: Map<String, Value> =
        serde_json::from_str(text).map_err(|_| refusal("Redrive allow policy is not a valid JSON map"))?;
    let sources = document.get("sourceQueueArns").map(|list| serde_json::from_value::<Vec<String>>(list.clone()));
    match (document.get("redrivePermission").and_then(Value::as_str), sources) {
        (Some("allowAll"), None) => Ok(None),
        (Some("denyAll"), None) => Ok(Some(Vec::new())),
        (Some("byQueue"), Some(Ok(sources))) if (1..=SOURCE_QUEUES).contains(&sources.len()) => Ok(Some(sources)),
        _ => Err(refusal("redrivePermission must be allowAll, denyAll, or byQueue with 1 to 10 sourceQueueArns")),
    }
}

/// ARNs of the queues whose dead-letter queue is `target`.
pub(super) fn sources_of(tx: &impl Transaction, region: &str, target: &str) -> Result<Vec<Queue>, ApiError> {
    let queues = model::all(tx, &format!("{region}/"))?;
    let sources = queues.into_iter().map(|(_, queue)| queue);
    Ok(sources.filter(|queue| queue.redrive().is_some_and(|redrive| redrive.target == target)).collect())
}
