//! A bucket's notification configuration: read, checked and written back.
//! <https://docs.aws.amazon.com/AmazonS3/latest/userguide/notification-how-to-filtering.html>

use redb::WriteTransaction;
use s3s::{S3Request, S3Response, S3Result, dto, s3_error};
use serde::{Deserialize, Serialize};

use super::{
    Cloud,
    meta::{self, BUCKETS},
    notify::Happening,
};
use crate::cloud::{
    delivery::{AsyncInvoker, Source},
    service::ACCOUNT_ID,
};

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

/// One function that is told of some events of some keys.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct Rule {
    pub id: String,
    pub function_arn: String,
    /// Event types as given, `s3:` included.
    pub events: Vec<String>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub prefix: Option<String>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub suffix: Option<String>,
}

impl Rule {
    /// Whether the function wants to know of this.
    pub fn matches(&self, happening: Happening, key: &str) -> bool {
        self.events.iter().any(|event| covers(event, &format!("s3:{}", happening.name())))
            && key.starts_with(self.prefix.as_deref().unwrap_or_default())
            && key.ends_with(self.suffix.as_deref().unwrap_or_default())
    }

    fn read(configuration: dto::LambdaFunctionConfiguration) -> S3Result<Rule> {
        let dto::LambdaFunctionConfiguration { events, filter, id, lambda_function_arn } = configuration;
        let events: Vec<String> = events.into_iter().map(String::from).collect();
        if events.is_empty() {
            return Err(s3_error!(MalformedXML, "A notification configuration needs at least one event"));
        }
        if let Some(unknown) = events.iter().find(|event| !EVENTS.contains(&event.as_str())) {
            return Err(s3_error!(InvalidArgument, "The event '{unknown}' is not supported for notifications"));
        }
        let id = id.filter(|id| !id.is_empty()).unwrap_or_else(|| uuid::Uuid::new_v4().to_string());
        let mut rule = Rule { id, function_arn: lambda_function_arn, events, prefix: None, suffix: None };
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

    fn wire(&self) -> dto::LambdaFunctionConfiguration {
        let filter = |name: &'static str, value: &Option<String>| {
            value
                .clone()
                .map(|value| dto::FilterRule { name: Some(dto::FilterRuleName::from_static(name)), value: Some(value) })
        };
        let rules: Vec<_> =
            [filter("Prefix", &self.prefix), filter("Suffix", &self.suffix)].into_iter().flatten().collect();
        dto::LambdaFunctionConfiguration {
            events: self.events.iter().cloned().map(dto::Event::from).collect(),
            filter: (!rules.is_empty()).then_some(dto::NotificationConfigurationFilter {
                key: Some(dto::S3KeyFilter { filter_rules: Some(rules) }),
            }),
            id: Some(self.id.clone()),
            lambda_function_arn: self.function_arn.clone(),
        }
    }
}

impl Cloud {
    pub(super) async fn put_notification(
        &self,
        request: S3Request<dto::PutBucketNotificationConfigurationInput>,
    ) -> S3Result<S3Response<dto::PutBucketNotificationConfigurationOutput>> {
        let input = request.input;
        let validate = !input.skip_destination_validation.unwrap_or(false);
        let rules = read_rules(input.notification_configuration)?;
        let (name, invoker) = (input.bucket, self.invoker.clone());
        self.store
            .commit(move |tx| {
                let mut bucket = meta::bucket(tx, &name)?;
                if validate {
                    check_destinations(tx, &*invoker, &name, &rules)?;
                }
                bucket.notifications = rules;
                Ok::<_, s3s::S3Error>(BUCKETS.put(tx, &name, &bucket)?)
            })
            .await?;
        Ok(S3Response::new(dto::PutBucketNotificationConfigurationOutput {}))
    }

    pub(super) async fn get_notification(
        &self,
        request: S3Request<dto::GetBucketNotificationConfigurationInput>,
    ) -> S3Result<S3Response<dto::GetBucketNotificationConfigurationOutput>> {
        let bucket = self.store.read(|tx| meta::bucket(tx, &request.input.bucket))?;
        let functions: Vec<_> = bucket.notifications.iter().map(Rule::wire).collect();
        Ok(S3Response::new(dto::GetBucketNotificationConfigurationOutput {
            lambda_function_configurations: (!functions.is_empty()).then_some(functions),
            ..Default::default()
        }))
    }
}

fn read_rules(configuration: dto::NotificationConfiguration) -> S3Result<Vec<Rule>> {
    let dto::NotificationConfiguration {
        event_bridge_configuration,
        lambda_function_configurations,
        queue_configurations,
        topic_configurations,
    } = configuration;
    if event_bridge_configuration.is_some() {
        return Err(s3_error!(
            NotImplemented,
            "The embedded cloud delivers S3 events to Lambda only, not to EventBridge"
        ));
    }
    if queue_configurations.is_some_and(|list| !list.is_empty())
        || topic_configurations.is_some_and(|list| !list.is_empty())
    {
        return Err(s3_error!(
            NotImplemented,
            "The embedded cloud delivers S3 events to Lambda only, not to queues and topics"
        ));
    }
    let functions = lambda_function_configurations.unwrap_or_default();
    let rules: Vec<Rule> = functions.into_iter().map(Rule::read).collect::<S3Result<_>>()?;
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

fn check_destinations(tx: &WriteTransaction, invoker: &dyn AsyncInvoker, bucket: &str, rules: &[Rule]) -> S3Result<()> {
    let source = Source {
        principal: "s3.amazonaws.com".into(),
        arn: format!("arn:aws:s3:::{bucket}"),
        account: ACCOUNT_ID.to_owned(),
    };
    for rule in rules {
        if !invoker.may_invoke(tx, &rule.function_arn, &source)? {
            return Err(s3_error!(InvalidArgument, "Unable to validate the following destination configurations"));
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
            function_arn: "arn:aws:lambda:eu-west-1:000000000000:function:f".into(),
            events: events.iter().map(|event| (*event).to_owned()).collect(),
            prefix: some(prefix),
            suffix: some(suffix),
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
        let refused = |left: Rule, right: Rule| {
            let wire = vec![left.wire(), right.wire()];
            let configuration =
                dto::NotificationConfiguration { lambda_function_configurations: Some(wire), ..Default::default() };
            read_rules(configuration).is_err()
        };
        assert!(refused(put("a/", ""), any("a/b", "")));
        assert!(refused(put("", ".csv"), any("x", "v")));
        assert!(!refused(put("a/", ""), any("b/", "")));
        assert!(!refused(put("a/", ".csv"), any("a/", ".txt")));
        assert!(!refused(put("a/", ""), rule(&["s3:ObjectRemoved:*"], "a/", "")));
    }

    #[test]
    fn a_rule_reads_back_as_it_was_written() {
        let rule = rule(&["s3:ObjectCreated:*", "s3:ObjectRemoved:Delete"], "p/", ".s");
        assert_eq!(Rule::read(rule.wire()).unwrap(), rule);
    }

    #[test]
    fn unknown_events_and_doubled_filters_are_refused() {
        let mut wire = rule(&["s3:ObjectCreated:*"], "p/", "").wire();
        wire.events = vec![dto::Event::from("s3:Nothing".to_owned())];
        assert!(Rule::read(wire).is_err());
        let mut wire = rule(&["s3:ObjectCreated:*"], "p/", "").wire();
        let rules = wire.filter.as_mut().unwrap().key.as_mut().unwrap().filter_rules.as_mut().unwrap();
        rules.push(rules[0].clone());
        assert!(Rule::read(wire).is_err());
    }
}
