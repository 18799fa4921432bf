//! Queues: making, naming, listing, changing and deleting them.

use std::collections::BTreeMap;

use bytes::Bytes;
use http::Response;
use serde::Deserialize;
use serde_json::json;

use super::{
    Sqs, attributes,
    error::{invalid, no_queue, output},
    model::{self, Counts, DELETED, QUEUES, Queue, now_ms},
};
use crate::cloud::{
    error::ApiError,
    service::{ACCOUNT_ID, Call},
    store::{StoreError, Transaction},
};

/// A name is free again this long after its queue was deleted, in milliseconds.
/// <https://docs.aws.amazon.com/AWSSimpleQueueService/latest/APIReference/API_DeleteQueue.html>
const DELETED_NAME_MS: i64 = 60_000;
/// A queue is purged at most once in this time, in milliseconds.
/// <https://docs.aws.amazon.com/AWSSimpleQueueService/latest/APIReference/API_PurgeQueue.html>
const PURGE_MS: i64 = 60_000;
/// Longest name of a queue, in characters.
const NAME_CHARACTERS: usize = 80;
/// Most queues of one page.
const PAGE_QUEUES: usize = 1000;
/// Most tags of a queue.
const TAGS: usize = 50;
/// Longest key of a tag, in characters.
const TAG_KEY_CHARACTERS: usize = 128;
/// Longest value of a tag, in characters.
const TAG_VALUE_CHARACTERS: usize = 256;

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
struct CreateQueue {
    queue_name: String,
    #[serde(default)]
    attributes: BTreeMap<String, String>,
    // The model has it in small letters.
    #[serde(default, rename = "tags", alias = "Tags")]
    tags: BTreeMap<String, String>,
}

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
struct GetQueueUrl {
    queue_name: String,
    #[serde(rename = "QueueOwnerAWSAccountId")]
    owner: Option<String>,
}

/// The input of every operation on one queue.
#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
struct OfQueue {
    queue_url: String,
    #[serde(default)]
    attribute_names: Vec<String>,
    #[serde(default)]
    attributes: BTreeMap<String, String>,
    #[serde(default)]
    tags: BTreeMap<String, String>,
    #[serde(default)]
    tag_keys: Vec<String>,
}

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
struct Page {
    queue_url: Option<String>,
    #[serde(default)]
    queue_name_prefix: String,
    max_results: Option<usize>,
    next_token: Option<String>,
}

/// Key of the queue that a URL names: its last two segments are account and name; host and port do not matter, as
/// the cloud may have had another port when the URL was given.
pub(super) fn key_of_url(region: &str, url: &str) -> Result<String, ApiError> {
    let path = url.split_once("://").map_or(url, |(_, rest)| rest.split_once('/').map_or("", |(_, path)| path));
    match path.trim_matches('/').rsplit_once('/') {
        Some((account, name)) if account.rsplit('/').next() == Some(ACCOUNT_ID) => Ok(model::key(region, name)),
        // A bare name is taken as well.
        None if !path.is_empty() => Ok(model::key(region, path)),
        _ => Err(ApiError::client("InvalidAddress", format!("The address {url} is not valid for this endpoint."))),
    }
}

/// The queue that a URL names.
pub(super) fn find(tx: &impl Transaction, region: &str, url: &str) -> Result<Queue, ApiError> {
    QUEUES.get(tx, &key_of_url(region, url)?)?.ok_or_else(no_queue)
}

fn check_name(name: &str) -> Result<(), ApiError> {
    let fits = |name: &str| {
        (1..=NAME_CHARACTERS).contains(&name.len())
            && name.chars().all(|c| c.is_ascii_alphanumeric() || c == '-' || c == '_')
    };
    if name.ends_with(".fifo") {
        return Err(super::error::unsupported("FIFO queues"));
    }
    if fits(name) {
        return Ok(());
    }
    Err(invalid(
        name,
        "QueueName",
        "Can only include alphanumeric characters, hyphens, or underscores. 1 to 80 in length",
    ))
}

fn check_tags(tags: &BTreeMap<String, String>) -> Result<(), ApiError> {
    if tags.len() > TAGS {
        return Err(invalid(tags.len(), "Tags", format_args!("a queue has at most {TAGS} tags")));
    }
    let fits = |(key, value): (&String, &String)| {
        let letters = key.chars().count();
        (1..=TAG_KEY_CHARACTERS).contains(&letters) && value.chars().count() <= TAG_VALUE_CHARACTERS
    };
    match tags.iter().find(|tag| !fits(*tag)) {
        Some((key, _)) => Err(invalid(key, "Tags", "a key has 1 to 128 characters, a value at most 256")),
        None => Ok(()),
    }
}

impl Sqs {
    pub(super) fn url(&self, name: &str) -> String {
        format!("{}/{ACCOUNT_ID}/{name}", self.endpoint)
    }

    /// <https://docs.aws.amazon.com/AWSSimpleQueueService/latest/APIReference/API_CreateQueue.html>
    pub(super) async fn create_queue(&self, call: &Call) -> Result<Response<Bytes>, ApiError> {
        let CreateQueue { queue_name: name, attributes, tags } = super::input(call)?;
        check_name(&name)?;
        check_tags(&tags)?;
        let url = self.url(&name);
        let region = call.region.clone();
        self.store
            .commit(move |tx| {
                let (key, now) = (model::key(&region, &name), now_ms());
                if let Some(present) = QUEUES.get(tx, &key)? {
                    return match present.differs(&attributes) {
                        None => Ok(()),
                        Some(attribute) => Err(ApiError::client(
                            "QueueNameExists",
                            format!(
                                "A queue already exists with the same name and a different value for attribute \
                                 {attribute}"
                            ),
                        )),
                    };
                }
                if DELETED.get(tx, &key)?.is_some_and(|deleted| now - deleted < DELETED_NAME_MS) {
                    return Err(ApiError::client(
                        "QueueDeletedRecently",
                        "You must wait 60 seconds after deleting a queue before you can create another with the same \
                         name.",
                    ));
                }
                let mut queue = Queue {
                    region,
                    name,
                    id: uuid::Uuid::new_v4().simple().to_string(),
                    created: now,
                    modified: now,
                    purged: None,
                    attributes: BTreeMap::new(),
                    tags,
                };
                queue.set(tx, &attributes)?;
                DELETED.delete(tx, &key)?;
                Ok(QUEUES.put(tx, &key, &queue)?)
            })
            .await?;
        output(&json!({ "QueueUrl": url }))
    }

    pub(super) fn get_queue_url(&self, call: &Call) -> Result<Response<Bytes>, ApiError> {
        let GetQueueUrl { queue_name, owner } = super::input(call)?;
        if owner.is_some_and(|owner| owner != ACCOUNT_ID) {
            return Err(no_queue());
        }
        let found = self.store.read(|tx| QUEUES.get(tx, &model::key(&call.region, &queue_name)))?;
        found.ok_or_else(no_queue)?;
        output(&json!({ "QueueUrl": self.url(&queue_name) }))
    }

    pub(super) fn list_queues(&self, call: &Call) -> Result<Response<Bytes>, ApiError> {
        let page: Page = super::input(call)?;
        let limit = page_size(page.max_results)?;
        let prefix = model::key(&call.region, &page.queue_name_prefix);
        let after = page.next_token.map(|name| model::key(&call.region, &name));
        let mut queues = self.store.read(|tx| QUEUES.scan(tx, &prefix, after.as_deref(), limit + 1))?;
        let more = queues.len() > limit;
        queues.truncate(limit);
        let names: Vec<_> = queues.into_iter().map(|(_, queue)| queue.name).collect();
        self.url_page("QueueUrls", &names, more && page.max_results.is_some())
    }

    pub(super) fn list_dead_letter_sources(&self, call: &Call) -> Result<Response<Bytes>, ApiError> {
        let page: Page = super::input(call)?;
        let limit = page_size(page.max_results)?;
        let url = page.queue_url.ok_or_else(|| super::error::missing("QueueUrl"))?;
        let sources = self.store.read(|tx| {
            let queue = find(tx, &call.region, &url)?;
            attributes::sources_of(tx, &call.region, &queue.arn())
        })?;
        let after = page.next_token.unwrap_or_default();
        let mut names: Vec<_> = sources.into_iter().map(|queue| queue.name).filter(|name| *name > after).collect();
        let more = names.len() > limit;
        names.truncate(limit);
        // The model has this member in small letters.
        self.url_page("queueUrls", &names, more)
    }

    fn url_page(&self, member: &str, names: &[String], more: bool) -> Result<Response<Bytes>, ApiError> {
        let urls: Vec<_> = names.iter().map(|name| self.url(name)).collect();
        let mut body = json!({ member: urls });
        if more && let Some(last) = names.last() {
            body["NextToken"] = last.clone().into();
        }
        output(&body)
    }

    pub(super) async fn delete_queue(&self, call: &Call) -> Result<Response<Bytes>, ApiError> {
        let OfQueue { queue_url, .. } = super::input(call)?;
        let region = call.region.clone();
        self.store
            .commit(move |tx| {
                let queue = find(tx, &region, &queue_url)?;
                QUEUES.delete(tx, &queue.key())?;
                DELETED.put(tx, &queue.key(), &now_ms())?;
                Ok::<_, ApiError>(model::clear(tx, &queue.id)?)
            })
            .await?;
        self.arrivals.notify_waiters();
        output(&json!({}))
    }

    pub(super) async fn purge_queue(&self, call: &Call) -> Result<Response<Bytes>, ApiError> {
        let OfQueue { queue_url, .. } = super::input(call)?;
        let region = call.region.clone();
        let queue = self
            .store
            .commit(move |tx| {
                let mut queue = find(tx, &region, &queue_url)?;
                let now = now_ms();
                if queue.purged.is_some_and(|purged| now - purged < PURGE_MS) {
                    return Err(ApiError::with_status(
                        http::StatusCode::FORBIDDEN,
                        "PurgeQueueInProgress",
                        format!("Only one PurgeQueue operation on {} is allowed every 60 seconds.", queue.name),
                    ));
                }
                queue.purged = Some(now);
                QUEUES.put(tx, &queue.key(), &queue)?;
                model::clear(tx, &queue.id)?;
                Ok(queue)
            })
            .await?;
        self.gauge.changed(&queue);
        output(&json!({}))
    }

    pub(super) fn get_attributes(&self, call: &Call) -> Result<Response<Bytes>, ApiError> {
        let OfQueue { queue_url, attribute_names, .. } = super::input(call)?;
        let view = self.store.read(|tx| {
            let queue = find(tx, &call.region, &queue_url)?;
            let counted = attribute_names.iter().any(|name| name == "All" || name.starts_with("Approximate"));
            let counts = if counted { model::count(tx, &queue.id, now_ms())? } else { Counts::default() };
            queue.view(&attribute_names, counts)
        })?;
        if view.is_empty() { output(&json!({})) } else { output(&json!({ "Attributes": view })) }
    }

    pub(super) async fn set_attributes(&self, call: &Call) -> Result<Response<Bytes>, ApiError> {
        let OfQueue { queue_url, attributes, .. } = super::input(call)?;
        self.change(call, queue_url, move |tx, queue| {
            queue.set(tx, &attributes)?;
            queue.modified = now_ms();
            Ok(())
        })
        .await
    }

    pub(super) async fn tag_queue(&self, call: &Call) -> Result<Response<Bytes>, ApiError> {
        let OfQueue { queue_url, tags, .. } = super::input(call)?;
        self.change(call, queue_url, move |_, queue| {
            queue.tags.extend(tags);
            check_tags(&queue.tags)
        })
        .await
    }

    pub(super) async fn untag_queue(&self, call: &Call) -> Result<Response<Bytes>, ApiError> {
        let OfQueue { queue_url, tag_keys, .. } = super::input(call)?;
        self.change(call, queue_url, move |_, queue| {
            queue.tags.retain(|key, _| !tag_keys.contains(key));
            Ok(())
        })
        .await
    }

    pub(super) fn list_tags(&self, call: &Call) -> Result<Response<Bytes>, ApiError> {
        let OfQueue { queue_url, .. } = super::input(call)?;
        let tags = self.store.read(|tx| Ok::<_, ApiError>(find(tx, &call.region, &queue_url)?.tags))?;
        if tags.is_empty() { output(&json!({})) } else { output(&json!({ "Tags": tags })) }
    }

    async fn change(
        &self,
        call: &Call,
        url: String,
        change: impl FnOnce(&redb::WriteTransaction, &mut Queue) -> Result<(), ApiError> + Send + 'static,
    ) -> Result<Response<Bytes>, ApiError> {
        let region = call.region.clone();
        self.store
            .commit(move |tx| {
                let mut queue = find(tx, &region, &url)?;
                change(tx, &mut queue)?;
                Ok::<_, ApiError>(QUEUES.put(tx, &queue.key(), &queue)?)
            })
            .await?;
        output(&json!({}))
    }
}

fn page_size(given: Option<usize>) -> Result<usize, ApiError> {
    match given {
        None => Ok(PAGE_QUEUES),
        Some(size @ 1..=PAGE_QUEUES) => Ok(size),
        Some(other) => Err(invalid(other, "MaxResults", "Must be between 1 and 1000, if provided")),
    }
}

/// Forgets the names of deleted queues that are free again.
pub(super) fn forget_deleted(tx: &redb::WriteTransaction, now: i64) -> Result<(), StoreError> {
    for (key, at) in DELETED.scan(tx, "", None, usize::MAX)? {
        if now - at >= DELETED_NAME_MS {
            DELETED.delete(tx, &key)?;
        }
    }
    Ok(())
}
