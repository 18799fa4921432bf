//! A bucket's notification configuration: read, checked and written back.
//! <https://docs.aws.amazon.com/AmazonS3/latest/userguide/notification-how-to-filtering.html>

use std::sync::Arc;

use redb::WriteTransaction;
use s3s::{S3Request, S3Response, S3Result, dto, s3_error};
use serde::{Deserialize, Serialize};

use super::{
    Cloud,
    meta::{self, BUCKETS},
    notify::{self, Happening},
};
use crate::cloud::delivery::Exchange;

/// Event types that a rule may name. Those of features that this cloud has not got simply never happen.
const EVENTS: [&str; 29] = [
    "s3:ObjectCreated:*",
    "s3:ObjectCreated:Put",
    "s3:ObjectCreated:Post",
    "s3:ObjectCreated:Copy",
    "s3:ObjectCreated:CompleteMultipartUpload",
    "s3:ObjectRemoved:*",
    "s3:ObjectRemoved:Delete",
    "s3:ObjectRemoved:DeleteMarkerCreated",
    "s3:ObjectRestore:*",
    "s3:ObjectRestore:Post",
    "s3:ObjectRestore:Completed",
    "s3:ObjectRestore:Delete",
    "s3:ReducedRedundancyLostObject",
    "s3:Replication:*",
    "s3:Replication:OperationFailedReplication",
    "s3:Replication:OperationMissedThreshold",
    "s3:Replication:OperationReplicatedAfterThreshold",
    "s3:Replication:OperationNotTracked",
    "s3:LifecycleExpiration:*",
    "s3:LifecycleExpiration:Delete",
    "s3:LifecycleExpiration:DeleteMarkerCreated",
    "s3:LifecycleTransition",
    "s3:IntelligentTiering",
    "s3:ObjectTagging:*",
    "s3:ObjectTagging:Put",
    "s3:ObjectTagging:Delete",
    "s3:ObjectAcl:Put",
    "s3:ObjectAnnotation:*",
    "s3:TestEvent",
];

/// A function, queue or topic that is told of some events of some keys.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct Rule {
    pub id: String,
    /// Whom it tells: an ARN.
    #[serde(alias = "function_arn")]
    pub target: String,
    /// Event types as given, `s3:` included.
    pub events: Vec<String>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub prefix: Option<String>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub suffix: Option<String>,
}

impl Rule {
    /// Whether the destination wants to know of this.
    pub fn matches(&self, happening: Happening, key: &str) -> bool {
        self.events.iter().any(|event| covers(event, &format!("s3:{}", happening.name())))
            && key.starts_with(self.prefix.as_deref().unwrap_or_default())
            && key.ends_with(self.suffix.as_deref().unwrap_or_default())
    }

    fn read(
        service: &str,
        target: String,
        id: Option<String>,
        events: Vec<dto::Event>,
        filter: Option<dto::NotificationConfigurationFilter>,
    ) -> S3Result<Rule> {
        if target.split(':').nth(2) != Some(service) || target.ends_with(".fifo") {
            return Err(s3_error!(
                InvalidArgument,
                "The ARN could not be parsed, or is not one of a destination: {target}"
            ));
        }
        let events: Vec<String> = events.into_iter().map(String::from).collect();
        if events.is_empty() {
            return Err(s3_error!(MalformedXML, "A notification configuration needs at least one event"));
        }
        if let Some(unknown) = events.iter().find(|event| !EVENTS.contains(&event.as_str())) {
            return Err(s3_error!(InvalidArgument, "The event '{unknown}' is not supported for notifications"));
        }
        let id = id.filter(|id| !id.is_empty()).unwrap_or_else(|| uuid::Uuid::new_v4().to_string());
        let mut rule = Rule { id, target, events, prefix: None, suffix: None };
        let filters = filter.and_then(|filter| filter.key).and_then(|key| key.filter_rules).unwrap_or_default();
        for filter in filters {
            let name = filter.name.map(|name| name.as_str().to_ascii_lowercase()).unwrap_or_default();
            let value = filter.value.unwrap_or_default();
            let (kind, place) = match name.as_str() {
                "prefix" => ("prefix", &mut rule.prefix),
                "suffix" => ("suffix", &mut rule.suffix),
                _ => return Err(s3_error!(InvalidArgument, "filter rule name must be either prefix or suffix")),
            };
            if place.replace(value).is_some() {
                return Err(s3_error!(InvalidArgument, "Cannot specify more than one {kind} rule in a filter."));
            }
        }
        Ok(rule)
    }

    /// The rule's events and filter on the wire.
    fn wire(&self) -> (Vec<dto::Event>, Option<dto::NotificationConfigurationFilter>) {
        let filter = |name: &'static str, value: &Option<String>| {
            value
                .clone()
                .map(|value| dto::FilterRule { name: Some(dto::FilterRuleName::from_static(name)), value: Some(value) })
        };
        let rules: Vec<_> =
            [filter("Prefix", &self.prefix), filter("Suffix", &self.suffix)].into_iter().flatten().collect();
        let filter = (!rules.is_empty()).then_some(dto::NotificationConfigurationFilter {
            key: Some(dto::S3KeyFilter { filter_rules: Some(rules) }),
        });
        (self.events.iter().cloned().map(dto::Event::from).collect(), filter)
    }

    /// Whether the destination is one of `service`, as its ARN names it.
    fn is_of(&self, service: &str) -> bool {
        self.target.split(':').nth(2) == Some(service)
    }
}

/// What S3 answers of a bucket's rules.
fn wire(rules: &[Rule], event_bridge: bool) -> dto::GetBucketNotificationConfigurationOutput {
    let of = |service: &'static str| rules.iter().filter(move |rule| rule.is_of(service));
    let (mut functions, mut queues, mut topics) = (Vec::new(), Vec::new(), Vec::new());
    for rule in of("lambda") {
        let ((events, filter), id, lambda_function_arn) = (rule.wire(), Some(rule.id.clone()), rule.target.clone());
        functions.push(dto::LambdaFunctionConfiguration { events, filter, id, lambda_function_arn });
    }
    for rule in of("sqs") {
        let ((events, filter), id, queue_arn) = (rule.wire(), Some(rule.id.clone()), rule.target.clone());
        queues.push(dto::QueueConfiguration { events, filter, id, queue_arn });
    }
    for rule in of("sns") {
        let ((events, filter), id, topic_arn) = (rule.wire(), Some(rule.id.clone()), rule.target.clone());
        topics.push(dto::TopicConfiguration { events, filter, id, topic_arn });
    }
    dto::GetBucketNotificationConfigurationOutput {
        event_bridge_configuration: event_bridge.then(dto::EventBridgeConfiguration::default),
        lambda_function_configurations: (!functions.is_empty()).then_some(functions),
        queue_configurations: (!queues.is_empty()).then_some(queues),
        topic_configurations: (!topics.is_empty()).then_some(topics),
    }
}

impl Cloud {
    pub(super) async fn put_notification(
        &self,
        request: S3Request<dto::PutBucketNotificationConfigurationInput>,
    ) -> S3Result<S3Response<dto::PutBucketNotificationConfigurationOutput>> {
        let origin = super::origin(&request);
        let input = request.input;
        let validate = !input.skip_destination_validation.unwrap_or(false);
        let event_bridge = input.notification_configuration.event_bridge_configuration.is_some();
        let rules = read_rules(input.notification_configuration)?;
        let (name, exchange) = (input.bucket, Arc::clone(&self.exchange));
        self.store
            .commit(move |tx| {
                let mut bucket = meta::bucket(tx, &name)?;
                if validate {
                    check_destinations(tx, &exchange, &name, &rules, &origin.request_id)?;
                }
                bucket.notifications = rules;
                bucket.event_bridge = event_bridge;
                Ok::<_, s3s::S3Error>(BUCKETS.put(tx, &name, &bucket)?)
            })
            .await?;
        self.exchange.wake();
        Ok(S3Response::new(dto::PutBucketNotificationConfigurationOutput {}))
    }

    pub(super) async fn get_notification(
        &self,
        request: S3Request<dto::GetBucketNotificationConfigurationInput>,
    ) -> S3Result<S3Response<dto::GetBucketNotificationConfigurationOutput>> {
        let bucket = self.store.read(|tx| meta::bucket(tx, &request.input.bucket))?;
        Ok(S3Response::new(wire(&bucket.notifications, bucket.event_bridge)))
    }
}

fn read_rules(configuration: dto::NotificationConfiguration) -> S3Result<Vec<Rule>> {
    let mut rules = Vec::new();
    for it in configuration.lambda_function_configurations.unwrap_or_default() {
        rules.push(Rule::read("lambda", it.lambda_function_arn, it.id, it.events, it.filter)?);
    }
    for it in configuration.queue_configurations.unwrap_or_default() {
        rules.push(Rule::read("sqs", it.queue_arn, it.id, it.events, it.filter)?);
    }
    for it in configuration.topic_configurations.unwrap_or_default() {
        rules.push(Rule::read("sns", it.topic_arn, it.id, it.events, it.filter)?);
    }
    for (index, rule) in rules.iter().enumerate() {
        for other in &rules[..index] {
            if rule.id == other.id {
                return Err(s3_error!(InvalidArgument, "Same ID used for multiple configurations: {}", rule.id));
            }
            if overlap(rule, other) {
                return Err(s3_error!(
                    InvalidArgument,
                    "Configuration is ambiguously defined. Cannot have overlapping suffixes in two rules if the \
                     prefixes are overlapping for the same event type."
                ));
            }
        }
    }
    Ok(rules)
}

/// Every destination has to let S3 in; queues and topics are sent a test event.
/// <https://docs.aws.amazon.com/AmazonS3/latest/userguide/how-to-enable-disable-notification-intro.html>
fn check_destinations(
    tx: &WriteTransaction,
    exchange: &Exchange,
    bucket: &str,
    rules: &[Rule],
    request_id: &str,
) -> S3Result<()> {
    for rule in rules {
        let lets_in = exchange.would_accept(tx, &rule.target, &notify::sender(bucket));
        if !lets_in.or_else(|error| if error.status.is_server_error() { Err(error) } else { Ok(false) })? {
            return Err(s3_error!(InvalidArgument, "Unable to validate the following destination configurations"));
        }
    }
    let mut told = std::collections::BTreeSet::new();
    for rule in rules.iter().filter(|rule| !rule.is_of("lambda")) {
        if told.insert(&rule.target) {
            notify::send(tx, exchange, bucket, &rule.target, notify::test_event(bucket, request_id))?;
        }
    }
    Ok(())
}

/// Whether some event of some key would go to both.
fn overlap(left: &Rule, right: &Rule) -> bool {
    let events =
        left.events.iter().any(|one| right.events.iter().any(|other| covers(one, other) || covers(other, one)));
    let text = |text: &Option<String>| text.clone().unwrap_or_default();
    let (a, b) = (text(&left.prefix), text(&right.prefix));
    let (c, d) = (text(&left.suffix), text(&right.suffix));
    events && (a.starts_with(&b) || b.starts_with(&a)) && (c.ends_with(&d) || d.ends_with(&c))
}

/// Whether the event type `general` (which may end in `*`) includes `event`.
fn covers(general: &str, event: &str) -> bool {
    match general.strip_suffix('*') {
        Some(start) => event.starts_with(start),
        None => general == event,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn rule(events: &[&str], prefix: &str, suffix: &str) -> Rule {
        let some = |text: &str| (!text.is_empty()).then(|| text.to_owned());
        Rule {
            id: format!("{events:?}{prefix}{suffix}"),
            target: "arn:aws:lambda:eu-west-1:000000000000:function:f".into(),
            events: events.iter().map(|event| (*event).to_owned()).collect(),
            prefix: some(prefix),
            suffix: some(suffix),
        }
    }

    fn configuration(wire: dto::GetBucketNotificationConfigurationOutput) -> dto::NotificationConfiguration {
        dto::NotificationConfiguration {
            event_bridge_configuration: wire.event_bridge_configuration,
            lambda_function_configurations: wire.lambda_function_configurations,
            queue_configurations: wire.queue_configurations,
            topic_configurations: wire.topic_configurations,
        }
    }

    #[test]
    fn a_rule_matches_its_events_prefix_and_suffix() {
        let rule = rule(&["s3:ObjectCreated:*"], "raw/", ".csv");
        assert!(rule.matches(Happening::Put, "raw/a.csv"));
        assert!(rule.matches(Happening::CompleteMultipartUpload, "raw/a.csv"));
        assert!(!rule.matches(Happening::Delete, "raw/a.csv"));
        assert!(!rule.matches(Happening::Put, "other/a.csv"));
        assert!(!rule.matches(Happening::Put, "raw/a.txt"));
    }

    #[test]
    fn overlapping_rules_are_ambiguous() {
        let put = |prefix, suffix| rule(&["s3:ObjectCreated:Put"], prefix, suffix);
        let any = |prefix, suffix| rule(&["s3:ObjectCreated:*"], prefix, suffix);
        let refused = |left: Rule, right: Rule| read_rules(configuration(wire(&[left, right], false))).is_err();
        assert!(refused(put("a/", ""), any("a/b", "")));
        assert!(refused(put("", ".csv"), any("x", "v")));
        assert!(!refused(put("a/", ""), any("b/", "")));
        assert!(!refused(put("a/", ".csv"), any("a/", ".txt")));
        assert!(!refused(put("a/", ""), rule(&["s3:ObjectRemoved:*"], "a/", "")));
    }

    #[test]
    fn rules_read_back_as_they_were_written() {
        let function = rule(&["s3:ObjectCreated:*", "s3:ObjectRemoved:Delete"], "p/", ".s");
        let queue = Rule { target: "arn:aws:sqs:r:0:q".into(), ..rule(&["s3:ObjectCreated:*"], "q/", "") };
        let topic = Rule { target: "arn:aws:sns:r:0:t".into(), ..rule(&["s3:ObjectCreated:*"], "t/", "") };
        let rules = [function, queue, topic];
        let wire = wire(&rules, true);
        assert!(wire.event_bridge_configuration.is_some());
        assert_eq!(read_rules(configuration(wire)).unwrap(), rules);
    }

    #[test]
    fn unknown_events_doubled_filters_and_foreign_arns_are_refused() {
        let refused = |change: &dyn Fn(&mut dto::LambdaFunctionConfiguration)| {
            let mut wire = wire(&[rule(&["s3:ObjectCreated:*"], "p/", "")], false);
            wire.lambda_function_configurations.iter_mut().flatten().for_each(change);
            read_rules(configuration(wire)).is_err()
        };
        assert!(!refused(&|_| {}));
        assert!(refused(&|it| it.events = vec![dto::Event::from("s3:Nothing".to_owned())]));
        assert!(refused(&|it| it.lambda_function_arn = "arn:aws:sqs:r:0:q".into()));
        assert!(refused(&|it| {
            let rules = it.filter.as_mut().unwrap().key.as_mut().unwrap().filter_rules.as_mut().unwrap();
            rules.push(rules[0].clone());
        }));
    }
}
