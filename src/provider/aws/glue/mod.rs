//! Glue kinds.

mod classifier;
mod crawler;
mod database;
mod rest;
mod tables;

pub(super) use classifier::ClassifierKind;
pub(super) use crawler::CrawlerKind;
pub(super) use database::DatabaseKind;
pub(super) use tables::TablesKind;

use aws_sdk_glue::Client;

use super::error::{OrNone, failed};
use crate::provider::{ProviderError, Tags};

/// The tags of a resource of Glue's.
async fn tags(glue: &Client, arn: &str) -> Result<Tags, ProviderError> {
    let call = glue.get_tags().resource_arn(arn).send().await;
    let answer = call.map_err(failed("glue:GetTags")).or_none()?;
    Ok(answer.and_then(|answer| answer.tags).into_iter().flatten().collect())
}

async fn tag(glue: &Client, arn: &str, tags: &Tags) -> Result<(), ProviderError> {
    let call = glue.tag_resource().resource_arn(arn).set_tags_to_add(Some(tags.clone().into_iter().collect()));
    call.send().await.map_err(failed("glue:TagResource")).map(drop)
}
