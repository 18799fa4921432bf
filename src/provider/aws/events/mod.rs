//! EventBridge kinds, on the default event bus.

mod rule;
mod target;

pub(super) use rule::RuleKind;
pub(super) use target::TargetKind;

use aws_sdk_eventbridge::{
    Client,
    types::{PutTargetsResultEntry, RemoveTargetsResultEntry, Target as Entry},
};

use super::error::{entry_failed, failed};
use crate::provider::ProviderError;

/// Targets that one RemoveTargets takes
/// (<https://docs.aws.amazon.com/eventbridge/latest/APIReference/API_RemoveTargets.html>).
const REMOVED_AT_ONCE_MAX: usize = 100;

/// Every target of a rule.
async fn targets(events: &Client, rule: &str) -> Result<Vec<Entry>, ProviderError> {
    let mut found = Vec::new();
    let mut next = None;
    loop {
        let call = events.list_targets_by_rule().rule(rule).set_next_token(next);
        let page = call.send().await.map_err(failed("events:ListTargetsByRule"))?;
        found.extend(page.targets.unwrap_or_default());
        if page.next_token.is_none() {
            return Ok(found);
        }
        next = page.next_token;
    }
}

/// Takes targets off a rule.
async fn remove_targets(events: &Client, rule: &str, ids: &[String]) -> Result<(), ProviderError> {
    const OPERATION: &str = "events:RemoveTargets";
    for ids in ids.chunks(REMOVED_AT_ONCE_MAX) {
        let call = events.remove_targets().rule(rule).set_ids(Some(ids.to_vec()));
        let answer = call.send().await.map_err(failed(OPERATION))?;
        let entries = answer.failed_entries();
        let first = entries.first().map(|RemoveTargetsResultEntry { target_id, error_code, error_message, .. }| {
            (target_id.as_deref(), error_code.as_deref(), error_message.as_deref())
        });
        check(OPERATION, answer.failed_entry_count, first)?;
    }
    Ok(())
}

/// Puts a target on a rule, in place of one that has its id.
async fn put_target(events: &Client, rule: &str, target: Entry) -> Result<(), ProviderError> {
    const OPERATION: &str = "events:PutTargets";
    let answer = events.put_targets().rule(rule).targets(target).send().await.map_err(failed(OPERATION))?;
    let entries = answer.failed_entries();
    let first = entries.first().map(|PutTargetsResultEntry { target_id, error_code, error_message, .. }| {
        (target_id.as_deref(), error_code.as_deref(), error_message.as_deref())
    });
    check(OPERATION, answer.failed_entry_count, first)
}

/// Id, code and message of an entry that failed.
type FailedEntry<'a> = (Option<&'a str>, Option<&'a str>, Option<&'a str>);

/// These operations answer 200 with failures inside.
fn check(operation: &str, failures: i32, first: Option<FailedEntry<'_>>) -> Result<(), ProviderError> {
    let (id, code, message) = match first {
        None if failures == 0 => return Ok(()),
        first => first.unwrap_or_default(),
    };
    Err(entry_failed(operation, code, message, &format!("target `{}`", id.unwrap_or_default())))
}
