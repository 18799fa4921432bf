//! Log groups: creation, listing, retention, tags.

use std::collections::BTreeMap;

use bytes::Bytes;
use http::Response;
use serde::{Deserialize, Serialize};
use serde_json::json;

use super::{
    Logs,
    model::{
        EVENTS, GROUPS, Group, PAGE_ENTRIES, STREAMS, below, check_group_name, find_group, group_key,
        group_of_identifier, invalid, page_size,
    },
    retention,
};
use crate::cloud::{error::ApiError, json, service::Call};

/// Most tags of a group.
const TAGS: usize = 50;

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct CreateLogGroup {
    log_group_name: String,
    kms_key_id: Option<String>,
    #[serde(default)]
    tags: BTreeMap<String, String>,
    log_group_class: Option<String>,
    #[serde(default)]
    deletion_protection_enabled: bool,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Named {
    log_group_name: String,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct DescribeLogGroups {
    log_group_name_prefix: Option<String>,
    log_group_name_pattern: Option<String>,
    log_group_class: Option<String>,
    next_token: Option<String>,
    limit: Option<i64>,
    log_group_identifiers: Option<Vec<String>>,
    #[serde(default)]
    include_linked_accounts: bool,
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct GroupView {
    log_group_name: String,
    creation_time: i64,
    #[serde(skip_serializing_if = "Option::is_none")]
    retention_in_days: Option<i32>,
    metric_filter_count: i32,
    arn: String,
    stored_bytes: u64,
    log_group_class: &'static str,
    log_group_arn: String,
}

impl From<Group> for GroupView {
    fn from(group: Group) -> Self {
        GroupView {
            arn: format!("{}:*", group.arn()),
            log_group_arn: group.arn(),
            log_group_name: group.name,
            creation_time: group.created,
            retention_in_days: group.retention_days,
            metric_filter_count: 0,
            stored_bytes: group.stored_bytes,
            log_group_class: "STANDARD",
        }
    }
}

impl Logs {
    pub(super) async fn create_group(&self, call: &Call) -> Result<Response<Bytes>, ApiError> {
        let input: CreateLogGroup = json::input(call)?;
        check_group_name(&input.log_group_name)?;
        check_tags(&input.tags)?;
        let class = input.log_group_class.as_deref().unwrap_or("STANDARD");
        if input.kms_key_id.is_some() || class != "STANDARD" || input.deletion_protection_enabled {
            return Err(invalid(
                "the embedded cloud has neither KMS keys, nor log classes other than STANDARD, nor deletion protection",
            ));
        }
        let group = Group { tags: input.tags, ..Group::new(&call.region, &input.log_group_name) };
        self.store
            .commit(move |tx| {
                if GROUPS.get(tx, &group.key())?.is_some() {
                    return Err(ApiError::client(
                        "ResourceAlreadyExistsException",
                        "The specified log group already exists",
                    ));
                }
                Ok(GROUPS.put(tx, &group.key(), &group)?)
            })
            .await?;
        nothing()
    }

    pub(super) async fn delete_group(&self, call: &Call) -> Result<Response<Bytes>, ApiError> {
        let Named { log_group_name } = json::input(call)?;
        let region = call.region.clone();
        self.store
            .commit(move |tx| {
                let key = find_group(tx, &region, &log_group_name)?.key();
                let (from, before) = below(&key);
                EVENTS.delete_range(tx, &from, &before)?;
                STREAMS.delete_range(tx, &from, &before)?;
                GROUPS.delete(tx, &key)?;
                Ok::<_, ApiError>(())
            })
            .await?;
        nothing()
    }

    pub(super) fn describe_groups(&self, call: &Call) -> Result<Response<Bytes>, ApiError> {
        let input: DescribeLogGroups = json::input(call)?;
        if input.log_group_identifiers.is_some() || input.include_linked_accounts {
            return Err(invalid(
                "the embedded cloud lists log groups by logGroupNamePrefix or logGroupNamePattern only",
            ));
        }
        if input.log_group_name_prefix.is_some() && input.log_group_name_pattern.is_some() {
            return Err(invalid("LogGroup name prefix and LogGroup name pattern are mutually exclusive parameters."));
        }
        let limit = page_size(input.limit, PAGE_ENTRIES)?;
        if input.log_group_class.is_some_and(|class| class != "STANDARD") {
            return json::output(&json!({ "logGroups": [] }));
        }
        let prefix = group_key(&call.region, input.log_group_name_prefix.as_deref().unwrap_or_default());
        let pattern = input.log_group_name_pattern.unwrap_or_default();
        let mut after = input.next_token.map(|name| group_key(&call.region, &name));
        let mut found: Vec<Group> = Vec::new();
        let more = self.store.read::<_, ApiError>(|tx| {
            loop {
                let page = GROUPS.scan(tx, &prefix, after.as_deref(), PAGE_ENTRIES)?;
                let last_page = page.len() < PAGE_ENTRIES;
                for (key, group) in page {
                    after = Some(key);
                    if !group.name.contains(&pattern) {
                        continue;
                    }
                    if found.len() == limit {
                        return Ok(true);
                    }
                    found.push(group);
                }
                if last_page {
                    return Ok(false);
                }
            }
        })?;
        let next = if more { found.last().map(|group| group.name.clone()) } else { None };
        let views: Vec<GroupView> = found.into_iter().map(Into::into).collect();
        let mut body = json!({ "logGroups": views });
        if let Some(next) = next {
            body["nextToken"] = next.into();
        }
        json::output(&body)
    }

    pub(super) async fn put_retention(&self, call: &Call) -> Result<Response<Bytes>, ApiError> {
        #[derive(Deserialize)]
        #[serde(rename_all = "camelCase")]
        struct PutRetentionPolicy {
            log_group_name: String,
            retention_in_days: i32,
        }
        let input: PutRetentionPolicy = json::input(call)?;
        retention::check_days(input.retention_in_days)?;
        self.change(call, input.log_group_name, move |group| {
            group.retention_days = Some(input.retention_in_days);
            Ok(())
        })
        .await
    }

    pub(super) async fn delete_retention(&self, call: &Call) -> Result<Response<Bytes>, ApiError> {
        let Named { log_group_name } = json::input(call)?;
        self.change(call, log_group_name, |group| {
            group.retention_days = None;
            Ok(())
        })
        .await
    }

    pub(super) async fn tag_resource(&self, call: &Call) -> Result<Response<Bytes>, ApiError> {
        #[derive(Deserialize)]
        #[serde(rename_all = "camelCase")]
        struct TagResource {
            resource_arn: String,
            tags: BTreeMap<String, String>,
        }
        let input: TagResource = json::input(call)?;
        let name = group_of_identifier(&input.resource_arn)?.to_owned();
        self.change(call, name, move |group| add_tags(group, input.tags)).await
    }

    pub(super) async fn untag_resource(&self, call: &Call) -> Result<Response<Bytes>, ApiError> {
        #[derive(Deserialize)]
        #[serde(rename_all = "camelCase")]
        struct UntagResource {
            resource_arn: String,
            tag_keys: Vec<String>,
        }
        let input: UntagResource = json::input(call)?;
        let name = group_of_identifier(&input.resource_arn)?.to_owned();
        self.change(call, name, move |group| {
            group.tags.retain(|key, _| !input.tag_keys.contains(key));
            Ok(())
        })
        .await
    }

    pub(super) fn list_tags_for_resource(&self, call: &Call) -> Result<Response<Bytes>, ApiError> {
        #[derive(Deserialize)]
        #[serde(rename_all = "camelCase")]
        struct ListTagsForResource {
            resource_arn: String,
        }
        let input: ListTagsForResource = json::input(call)?;
        self.tags(call, group_of_identifier(&input.resource_arn)?)
    }

    pub(super) async fn tag_group(&self, call: &Call) -> Result<Response<Bytes>, ApiError> {
        #[derive(Deserialize)]
        #[serde(rename_all = "camelCase")]
        struct TagLogGroup {
            log_group_name: String,
            tags: BTreeMap<String, String>,
        }
        let input: TagLogGroup = json::input(call)?;
        self.change(call, input.log_group_name, move |group| add_tags(group, input.tags)).await
    }

    pub(super) async fn untag_group(&self, call: &Call) -> Result<Response<Bytes>, ApiError> {
        #[derive(Deserialize)]
        #[serde(rename_all = "camelCase")]
        struct UntagLogGroup {
            log_group_name: String,
            tags: Vec<String>,
        }
        let input: UntagLogGroup = json::input(call)?;
        self.change(call, input.log_group_name, move |group| {
            group.tags.retain(|key, _| !input.tags.contains(key));
            Ok(())
        })
        .await
    }

    pub(super) fn list_tags_of_group(&self, call: &Call) -> Result<Response<Bytes>, ApiError> {
        let Named { log_group_name } = json::input(call)?;
        self.tags(call, &log_group_name)
    }

    fn tags(&self, call: &Call, group: &str) -> Result<Response<Bytes>, ApiError> {
        let group = self.store.read(|tx| find_group(tx, &call.region, group))?;
        json::output(&json!({ "tags": group.tags }))
    }

    async fn change(
        &self,
        call: &Call,
        name: String,
        change: impl FnOnce(&mut Group) -> Result<(), ApiError> + Send + 'static,
    ) -> Result<Response<Bytes>, ApiError> {
        let region = call.region.clone();
        self.store
            .commit(move |tx| {
                let mut group = find_group(tx, &region, &name)?;
                change(&mut group)?;
                Ok::<_, ApiError>(GROUPS.put(tx, &group.key(), &group)?)
            })
            .await?;
        nothing()
    }
}

fn add_tags(group: &mut Group, tags: BTreeMap<String, String>) -> Result<(), ApiError> {
    group.tags.extend(tags);
    check_tags(&group.tags)
}

fn check_tags(tags: &BTreeMap<String, String>) -> Result<(), ApiError> {
    if tags.len() > TAGS {
        return Err(ApiError::client("TooManyTagsException", format!("a log group takes at most {TAGS} tags")));
    }
    let fits = |(key, value): (&String, &String)| {
        (1..=128).contains(&key.chars().count()) && value.chars().count() <= 256 && !key.starts_with("aws:")
    };
    if tags.iter().all(fits) {
        return Ok(());
    }
    Err(invalid("a tag's key has 1 to 128 characters and does not begin with `aws:`, its value has at most 256"))
}

pub(super) fn nothing() -> Result<Response<Bytes>, ApiError> {
    json::output(&json!({}))
}
