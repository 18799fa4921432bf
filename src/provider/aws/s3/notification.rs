//! `aws:s3:BucketNotification`: one document a bucket. Entries that are not ours stay untouched, and stop a change.

use async_trait::async_trait;
use aws_sdk_s3::{
    Client,
    operation::get_bucket_notification_configuration::GetBucketNotificationConfigurationOutput as Document,
    types::{
        Event, FilterRule, FilterRuleName, LambdaFunctionConfiguration, NotificationConfiguration,
        NotificationConfigurationFilter, S3KeyFilter,
    },
};
use serde_json::{Value, json};

use crate::{
    provider::{
        ErrorKind, Kind, Observed, ProviderError, Tags, Target,
        aws::{
            Clients,
            error::{OrNone, failed, parent_not_yet, unbuildable},
            fields::{fields, inputs},
        },
    },
    resource::{
        Fields, Resource, Schema,
        aws::s3::{BucketNotification, FunctionNotification},
    },
};

const PUT: &str = "s3:PutBucketNotificationConfiguration";

pub(in crate::provider::aws) struct NotificationKind {
    s3: Client,
}

impl NotificationKind {
    pub(in crate::provider::aws) fn new(clients: &Clients) -> Self {
        NotificationKind { s3: clients.s3.clone() }
    }

    async fn get(&self, bucket: &str) -> Result<Option<Document>, ProviderError> {
        let call = self.s3.get_bucket_notification_configuration().bucket(bucket).send().await;
        call.map_err(failed("s3:GetBucketNotificationConfiguration")).or_none()
    }

    async fn put(&self, bucket: &str, document: NotificationConfiguration) -> Result<(), ProviderError> {
        let call = self.s3.put_bucket_notification_configuration().bucket(bucket).notification_configuration(document);
        call.send().await.map_err(failed(PUT)).map(drop)
    }

    /// Writes the declared entries, unless the document holds others than those and the `prior` ones.
    async fn ensure(&self, target: Target<'_>, prior: &Fields) -> Result<Fields, ProviderError> {
        let inputs: BucketNotification = inputs(target)?;
        let bucket = inputs.bucket.known();
        let mut ours = ids(prior);
        ours.extend(inputs.functions.iter().map(|entry| entry.id.as_str()));
        let there = self.get(bucket).await?;
        let foreign = there.as_ref().map(|document| foreign(document, &ours)).unwrap_or_default();
        if !foreign.is_empty() {
            let message = format!(
                "bucket {bucket} has notifications that are not of this stack: {}; S3 keeps one document a bucket, and \
                 writing ours would drop them: remove them from the bucket, then apply again",
                foreign.join(", ")
            );
            return Err(ProviderError::new(ErrorKind::AlreadyExists, PUT, message));
        }
        let entries = inputs.functions.iter().map(entry).collect::<Result<_, _>>()?;
        let document = NotificationConfiguration::builder().set_lambda_function_configurations(Some(entries)).build();
        self.put(bucket, document).await.map_err(parent_not_yet)?;
        Ok(Fields::new())
    }
}

#[async_trait]
impl Kind for NotificationKind {
    fn schema(&self) -> &'static Schema {
        BucketNotification::SCHEMA
    }

    async fn observe(&self, target: Target<'_>) -> Result<Option<Observed>, ProviderError> {
        let Some(document) = self.get(target.identity).await? else { return Ok(None) };
        if document.lambda_function_configurations().is_empty() {
            return Ok(None);
        }
        // S3 keeps no order; the declared one is taken where it knows the entry.
        let known = ids(target.inputs);
        let mut entries: Vec<_> = document.lambda_function_configurations().iter().collect();
        let place = |entry: &LambdaFunctionConfiguration| known.iter().position(|id| Some(*id) == entry.id());
        entries.sort_by_key(|entry| (place(entry).unwrap_or(usize::MAX), entry.id().map(str::to_owned)));
        let entries: Vec<_> = entries.into_iter().map(|entry| observed(entry, target.inputs)).collect();
        let inputs = fields(json!({ "bucket": target.identity, "functions": entries }));
        Ok(Some(Observed { inputs, outputs: Fields::new(), tags: Tags::new() }))
    }

    async fn create(&self, target: Target<'_>, _tags: &Tags) -> Result<Fields, ProviderError> {
        self.ensure(target, &Fields::new()).await
    }

    async fn update(&self, target: Target<'_>, prior: &Fields, _tags: &Tags) -> Result<Fields, ProviderError> {
        self.ensure(target, prior).await
    }

    async fn delete(&self, target: Target<'_>) -> Result<(), ProviderError> {
        let Some(there) = self.get(target.identity).await? else { return Ok(()) };
        let ours = ids(target.inputs);
        let is_ours = |entry: &LambdaFunctionConfiguration| entry.id().is_some_and(|id| ours.contains(&id));
        if !there.lambda_function_configurations().iter().any(is_ours) {
            return Ok(());
        }
        let others = there.lambda_function_configurations().iter().filter(|entry| !is_ours(entry)).cloned().collect();
        let document = NotificationConfiguration::builder()
            .set_lambda_function_configurations(Some(others))
            .set_queue_configurations(there.queue_configurations)
            .set_topic_configurations(there.topic_configurations)
            .set_event_bridge_configuration(there.event_bridge_configuration)
            .build();
        self.put(target.identity, document).await.or_none().map(drop)
    }
}

/// The ids of the entries in `inputs`.
fn ids(inputs: &Fields) -> Vec<&str> {
    let entries = inputs.get("functions").and_then(Value::as_array).into_iter().flatten();
    entries.filter_map(|entry| entry.get("id")?.as_str()).collect()
}

/// What is in the document besides the entries called `ours`.
fn foreign(document: &Document, ours: &[&str]) -> Vec<String> {
    let functions = document.lambda_function_configurations().iter().map(|e| (e.id(), e.lambda_function_arn()));
    let functions = functions.filter(|(id, _)| id.is_none_or(|id| !ours.contains(&id)));
    let queues = document.queue_configurations().iter().map(|e| (e.id(), e.queue_arn()));
    let topics = document.topic_configurations().iter().map(|e| (e.id(), e.topic_arn()));
    let named = functions.chain(queues).chain(topics);
    let named = named.map(|(id, to)| format!("`{}` to {to}", id.unwrap_or_default()));
    named.chain(document.event_bridge_configuration().map(|_| "EventBridge".to_owned())).collect()
}

fn entry(declared: &FunctionNotification) -> Result<LambdaFunctionConfiguration, ProviderError> {
    let rule = FilterRule::builder().name(FilterRuleName::Prefix).value(&declared.prefix).build();
    let filter = NotificationConfigurationFilter::builder().key(S3KeyFilter::builder().filter_rules(rule).build());
    LambdaFunctionConfiguration::builder()
        .id(&declared.id)
        .lambda_function_arn(declared.function.known())
        .set_events(Some(declared.events.iter().map(|event| Event::from(event.as_str())).collect()))
        .filter(filter.build())
        .build()
        .map_err(|error| unbuildable(PUT, error))
}

/// An entry in the declared shape. A suffix, which lake never declares, is told besides, so that it shows as drift.
fn observed(entry: &LambdaFunctionConfiguration, known: &Fields) -> Value {
    let events: Vec<&str> = entry.events().iter().map(Event::as_str).collect();
    let known = known.get("functions").and_then(Value::as_array).into_iter().flatten();
    let known =
        known.filter(|known| known.get("id").and_then(Value::as_str) == entry.id()).find_map(|k| k.get("events"));
    let same_events = known.and_then(Value::as_array).is_some_and(|known| {
        known.len() == events.len() && known.iter().all(|event| event.as_str().is_some_and(|e| events.contains(&e)))
    });
    let mut told = json!({
        "id": entry.id(),
        "function": entry.lambda_function_arn(),
        "events": known.filter(|_| same_events).cloned().unwrap_or_else(|| json!(events)),
        "prefix": rule(entry, "prefix").unwrap_or_default(),
    });
    if let Some(suffix) = rule(entry, "suffix") {
        told["suffix"] = json!(suffix);
    }
    told
}

/// S3 gives the names of rules back with a capital letter.
fn rule<'a>(entry: &'a LambdaFunctionConfiguration, name: &str) -> Option<&'a str> {
    let rules = entry.filter()?.key()?.filter_rules();
    rules.iter().find(|rule| rule.name().is_some_and(|n| n.as_str().eq_ignore_ascii_case(name)))?.value()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::provider::aws::replay::{Replay, answer, target};

    const ARN: &str = "arn:aws:lambda:eu-west-1:123456789012:function:intake";

    fn declared(ids: &[&str]) -> Fields {
        let entries: Vec<_> = ids
            .iter()
            .map(
                |id| json!({ "id": id, "function": ARN, "events": ["s3:ObjectCreated:*"], "prefix": format!("{id}/") }),
            )
            .collect();
        fields(json!({ "bucket": "b", "functions": entries }))
    }

    fn document(ids: &[&str], rest: &str) -> String {
        let entries: String = ids
            .iter()
            .map(|id| {
                format!(
                    "<CloudFunctionConfiguration><Id>{id}</Id><CloudFunction>{ARN}</CloudFunction>\
                     <Event>s3:ObjectCreated:*</Event><Filter><S3Key><FilterRule><Name>Prefix</Name>\
                     <Value>{id}/</Value></FilterRule></S3Key></Filter></CloudFunctionConfiguration>"
                )
            })
            .collect();
        format!("<NotificationConfiguration>{entries}{rest}</NotificationConfiguration>")
    }

    #[tokio::test]
    async fn the_document_is_read_in_the_declared_order_whatever_order_it_comes_in() {
        let replay = Replay::new([answer(200, document(&["y", "x"], "")), answer(200, document(&[], ""))]);
        let kind = NotificationKind::new(&replay.clients());
        let ours = declared(&["x", "y"]);
        assert_eq!(kind.observe(target("b", &ours)).await.unwrap().unwrap().inputs, ours);
        assert_eq!(kind.observe(target("b", &ours)).await.unwrap(), None);
    }

    #[tokio::test]
    async fn foreign_entries_are_named_and_nothing_is_written() {
        let queue = "<QueueConfiguration><Id>q</Id><Queue>arn:aws:sqs:::q</Queue><Event>s3:ObjectRemoved:*</Event>\
            </QueueConfiguration><EventBridgeConfiguration/>";
        let replay = Replay::new([answer(200, document(&["x", "theirs"], queue))]);
        let kind = NotificationKind::new(&replay.clients());
        let error = kind.create(target("b", &declared(&["x"])), &Tags::new()).await.unwrap_err();
        assert_eq!(error.kind, ErrorKind::AlreadyExists);
        for name in ["`theirs`", "`q` to arn:aws:sqs:::q", "EventBridge"] {
            assert!(error.message.contains(name), "{error}");
        }
        assert!(!error.message.contains("`x`"), "{error}");
    }

    #[tokio::test]
    async fn an_update_replaces_the_prior_entries_with_the_declared_ones() {
        let replay = Replay::new([answer(200, document(&["x", "old"], "")), answer(200, "")]);
        let kind = NotificationKind::new(&replay.clients());
        kind.update(target("b", &declared(&["x"])), &declared(&["x", "old"]), &Tags::new()).await.unwrap();
        let put = &replay.asked()[1];
        assert!(put.contains("<Id>x</Id>") && !put.contains("<Id>old</Id>"), "{put}");
        assert!(put.contains("<Name>prefix</Name><Value>x/</Value>"), "{put}");
    }

    #[tokio::test]
    async fn deletion_takes_our_entries_out_and_leaves_the_others() {
        let replay =
            Replay::new([answer(200, document(&["x", "theirs"], "<EventBridgeConfiguration/>")), answer(200, "")]);
        let kind = NotificationKind::new(&replay.clients());
        kind.delete(target("b", &declared(&["x"]))).await.unwrap();
        let put = &replay.asked()[1];
        assert!(put.contains("theirs") && put.contains("EventBridge") && !put.contains("<Id>x</Id>"), "{put}");
    }
}
