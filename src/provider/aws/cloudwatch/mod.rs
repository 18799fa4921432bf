//! CloudWatch kinds.

mod alarm;
mod dashboard;

pub(super) use alarm::AlarmKind;
pub(super) use dashboard::DashboardKind;

use aws_sdk_cloudwatch::{Client, types::Tag};

use super::error::{OrNone, failed, parent_not_yet};
use crate::provider::{ErrorKind, ProviderError, Tags};

const LIST_TAGS: &str = "cloudwatch:ListTagsForResource";

/// The tags of an alarm or a dashboard; `None` when it is not there.
async fn tags(cloudwatch: &Client, arn: &str) -> Result<Option<Tags>, ProviderError> {
    let call = cloudwatch.list_tags_for_resource().resource_arn(arn).send().await;
    let Some(answer) = call.map_err(failed(LIST_TAGS)).or_none()? else { return Ok(None) };
    Ok(Some(answer.tags.into_iter().flatten().filter_map(|tag| Some((tag.key?, tag.value?))).collect()))
}

/// The error for what is there while its tags are said not to be: whose it is cannot be told.
fn tags_unreadable(what: &str, name: &str) -> ProviderError {
    let message = format!("{what} {name} is there, but its tags cannot be read");
    ProviderError::new(ErrorKind::NotYet, LIST_TAGS, message)
}

/// The operations that make a thing heed tags only when it is new.
async fn tag(cloudwatch: &Client, arn: &str, tags: &Tags) -> Result<(), ProviderError> {
    let call = cloudwatch.tag_resource().resource_arn(arn).set_tags(Some(tag_list(tags)));
    call.send().await.map_err(failed("cloudwatch:TagResource")).map_err(parent_not_yet).map(drop)
}

fn tag_list(tags: &Tags) -> Vec<Tag> {
    tags.iter().map(|(key, value)| Tag::builder().key(key).value(value).build()).collect()
}
