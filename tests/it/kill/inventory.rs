//! Everything that a cloud lists, one line each, in words that do not depend on when and for whom it was made.

use std::{collections::BTreeMap, fmt::Debug, sync::LazyLock};

use aws_config::SdkConfig;
use regex::Regex;

/// A physical name's hash. It differs from lineage to lineage and from generation to generation.
static HASH: LazyLock<Regex> =
    LazyLock::new(|| Regex::new(r"(shop[-_]local[A-Za-z0-9_-]*?[-_])[0-9a-f]{6}\b").unwrap());

/// The entity tag of a document with such names in it.
static ETAG: LazyLock<Regex> = LazyLock::new(|| Regex::new(r#"(LAKE_CRAWLERS_VERSION": ")[^,}]*"#).unwrap());

/// The text with the hashes of names left out, and what follows from them.
pub fn without_hashes(text: &str) -> String {
    ETAG.replace_all(&HASH.replace_all(text, "${1}HASH"), "${1}ETAG").into_owned()
}

/// Ownership tags that tell lineages and generations apart.
const OF_ONE_RUN: [&str; 2] = ["lake:lineage", "lake:generation"];

/// Log groups that belong to the account.
const ACCOUNTS_LOG_GROUP: &str = "/aws-glue/crawlers";

#[derive(Default)]
struct Lines(Vec<String>);

impl Lines {
    fn add(&mut self, kind: &str, name: &str, what: &dyn Debug) {
        self.0.push(without_hashes(&format!("{kind} {name}: {what:?}")));
    }
}

fn own_tags<K: AsRef<str>, V: AsRef<str>>(tags: impl IntoIterator<Item = (K, V)>) -> BTreeMap<String, String> {
    let tags = tags.into_iter().map(|(key, value)| (key.as_ref().to_owned(), value.as_ref().to_owned()));
    tags.filter(|(key, _)| !OF_ONE_RUN.contains(&key.as_str())).collect()
}

fn sorted<V: Clone>(map: Option<&std::collections::HashMap<String, V>>) -> BTreeMap<String, V> {
    map.into_iter().flatten().map(|(key, value)| (key.clone(), value.clone())).collect()
}

/// All that is there, besides the bucket of the state.
pub async fn of(sdk: &SdkConfig) -> Vec<String> {
    let mut lines = Lines::default();
    buckets(sdk, &mut lines).await;
    functions(sdk, &mut lines).await;
    roles(sdk, &mut lines).await;
    log_groups(sdk, &mut lines).await;
    rules(sdk, &mut lines).await;
    topics(sdk, &mut lines).await;
    queues(sdk, &mut lines).await;
    catalog(sdk, &mut lines).await;
    watches(sdk, &mut lines).await;
    lines.0.sort();
    lines.0
}

async fn buckets(sdk: &SdkConfig, lines: &mut Lines) {
    let config = aws_sdk_s3::config::Builder::from(sdk).force_path_style(true).build();
    let s3 = aws_sdk_s3::Client::from_conf(config);
    for bucket in s3.list_buckets().send().await.unwrap().buckets() {
        let name = bucket.name().unwrap();
        if name == super::bucket::BUCKET {
            continue;
        }
        lines.add("bucket", name, &"");
        let tags = s3.get_bucket_tagging().bucket(name).send().await;
        let tags = tags.map(|it| own_tags(it.tag_set().iter().map(|tag| (tag.key(), tag.value())))).ok();
        lines.add("tags of bucket", name, &tags);
        let versioning = s3.get_bucket_versioning().bucket(name).send().await.unwrap();
        lines.add("versioning of", name, &versioning.status());
        let encryption = s3.get_bucket_encryption().bucket(name).send().await;
        lines.add("encryption of", name, &encryption.ok().map(|it| it.server_side_encryption_configuration));
        let block = s3.get_public_access_block().bucket(name).send().await;
        lines.add("public access block of", name, &block.ok().map(|it| it.public_access_block_configuration));
        let lifecycle = s3.get_bucket_lifecycle_configuration().bucket(name).send().await;
        lines.add("lifecycle of", name, &lifecycle.ok().map(|it| it.rules));
        let policy = s3.get_bucket_policy().bucket(name).send().await;
        lines.add("policy of", name, &policy.ok().map(|it| it.policy));
        let notification = s3.get_bucket_notification_configuration().bucket(name).send().await.unwrap();
        let mut told: Vec<_> =
            notification.lambda_function_configurations().iter().map(|it| format!("{it:?}")).collect();
        told.sort();
        lines.add("notification of", name, &told);
        let uploads = s3.list_multipart_uploads().bucket(name).send().await.unwrap();
        for upload in uploads.uploads() {
            lines.add("upload in", name, &upload.key());
        }
        let versions = s3.list_object_versions().bucket(name).send().await.unwrap();
        assert_ne!(versions.is_truncated(), Some(true), "one page is enough here");
        for version in versions.versions().iter().filter(|version| version.is_latest() == Some(true)) {
            lines.add("object in", name, &(version.key(), version.size()));
        }
        for marker in versions.delete_markers().iter().filter(|marker| marker.is_latest() == Some(true)) {
            lines.add("delete marker in", name, &marker.key());
        }
    }
}

async fn functions(sdk: &SdkConfig, lines: &mut Lines) {
    let lambda = aws_sdk_lambda::Client::new(sdk);
    for function in lambda.list_functions().send().await.unwrap().functions() {
        let name = function.function_name().unwrap();
        let environment = sorted(function.environment().and_then(|it| it.variables()));
        let sizes = (function.memory_size(), function.timeout(), function.architectures(), function.code_sha256());
        let log_group = function.logging_config().and_then(|it| it.log_group());
        lines.add("function", name, &(function.role(), function.handler(), sizes, environment, log_group));
        let tags = lambda.list_tags().resource(function.function_arn().unwrap()).send().await.unwrap();
        lines.add("tags of function", name, &own_tags(sorted(tags.tags())));
        let policy = lambda.get_policy().function_name(name).send().await;
        if let Some(policy) = policy.ok().and_then(|it| it.policy) {
            let policy: serde_json::Value = serde_json::from_str(&policy).unwrap();
            let mut statements: Vec<String> =
                policy["Statement"].as_array().unwrap().iter().map(ToString::to_string).collect();
            statements.sort();
            for statement in statements {
                lines.add("permission on", name, &statement);
            }
        }
        let events = lambda.get_function_event_invoke_config().function_name(name).send().await;
        let events = events.ok().map(|it| {
            (it.maximum_retry_attempts(), it.maximum_event_age_in_seconds(), it.destination_config().cloned())
        });
        lines.add("event invoke config of", name, &events);
    }
}

async fn roles(sdk: &SdkConfig, lines: &mut Lines) {
    let iam = aws_sdk_iam::Client::new(sdk);
    for role in iam.list_roles().send().await.unwrap().roles() {
        let name = role.role_name();
        let role = iam.get_role().role_name(name).send().await.unwrap().role.unwrap();
        let tags = own_tags(role.tags().iter().map(|tag| (tag.key(), tag.value())));
        lines.add("role", name, &(role.description(), role.assume_role_policy_document(), tags));
        for policy in iam.list_role_policies().role_name(name).send().await.unwrap().policy_names() {
            let found = iam.get_role_policy().role_name(name).policy_name(policy).send().await.unwrap();
            lines.add("policy of role", name, &(policy, found.policy_document()));
        }
    }
}

async fn log_groups(sdk: &SdkConfig, lines: &mut Lines) {
    let logs = aws_sdk_cloudwatchlogs::Client::new(sdk);
    for group in logs.describe_log_groups().send().await.unwrap().log_groups() {
        let name = group.log_group_name().unwrap();
        if name == ACCOUNTS_LOG_GROUP {
            continue;
        }
        let arn = group.arn().unwrap().trim_end_matches(":*");
        let tags = logs.list_tags_for_resource().resource_arn(arn).send().await.unwrap();
        lines.add("log group", name, &(group.retention_in_days(), own_tags(sorted(tags.tags()))));
    }
}

async fn rules(sdk: &SdkConfig, lines: &mut Lines) {
    let events = aws_sdk_eventbridge::Client::new(sdk);
    for rule in events.list_rules().send().await.unwrap().rules() {
        let name = rule.name().unwrap();
        let tags = events.list_tags_for_resource().resource_arn(rule.arn().unwrap()).send().await.unwrap();
        let tags = own_tags(tags.tags().iter().map(|tag| (tag.key(), tag.value())));
        let when = (rule.event_pattern(), rule.schedule_expression(), rule.state());
        lines.add("rule", name, &(rule.description(), when, tags));
        for target in events.list_targets_by_rule().rule(name).send().await.unwrap().targets() {
            let template = target.input_transformer();
            let paths = sorted(template.and_then(|it| it.input_paths_map()));
            let template = template.map(aws_sdk_eventbridge::types::InputTransformer::input_template);
            let rest = (target.dead_letter_config(), target.retry_policy());
            lines.add("target of", name, &(target.id(), target.arn(), target.input(), paths, template, rest));
        }
    }
}

async fn topics(sdk: &SdkConfig, lines: &mut Lines) {
    let sns = aws_sdk_sns::Client::new(sdk);
    for topic in sns.list_topics().send().await.unwrap().topics() {
        let arn = topic.topic_arn().unwrap();
        let found = sns.get_topic_attributes().topic_arn(arn).send().await.unwrap();
        let attributes = found.attributes().unwrap();
        let tags = sns.list_tags_for_resource().resource_arn(arn).send().await.unwrap();
        let tags = own_tags(tags.tags().iter().map(|tag| (tag.key(), tag.value())));
        lines.add("topic", arn, &(attributes.get("DisplayName"), attributes.get("Policy"), tags));
        for subscription in sns.list_subscriptions_by_topic().topic_arn(arn).send().await.unwrap().subscriptions() {
            let arn_of_it = subscription.subscription_arn().unwrap_or_default();
            if arn_of_it == "Deleted" {
                continue;
            }
            let pending = arn_of_it == "PendingConfirmation";
            lines.add("subscription of", arn, &(subscription.protocol(), subscription.endpoint(), pending));
        }
    }
}

async fn queues(sdk: &SdkConfig, lines: &mut Lines) {
    use aws_sdk_sqs::types::QueueAttributeName as Name;
    let sqs = aws_sdk_sqs::Client::new(sdk);
    for url in sqs.list_queues().send().await.unwrap().queue_urls() {
        let name = url.rsplit('/').next().unwrap();
        let found = sqs.get_queue_attributes().queue_url(url).attribute_names(Name::All).send().await.unwrap();
        let attributes = found.attributes().unwrap();
        let wanted = [Name::VisibilityTimeout, Name::MessageRetentionPeriod, Name::Policy];
        let attributes = wanted.map(|name| attributes.get(&name).cloned());
        let tags = sqs.list_queue_tags().queue_url(url).send().await.unwrap();
        lines.add("queue", name, &(attributes, own_tags(sorted(tags.tags()))));
    }
}

async fn catalog(sdk: &SdkConfig, lines: &mut Lines) {
    let glue = aws_sdk_glue::Client::new(sdk);
    let account = aws_sdk_sts::Client::new(sdk).get_caller_identity().send().await.unwrap().account.unwrap();
    let region = sdk.region().unwrap().to_string();
    let tags = async |kind: &str, name: &str| {
        let arn = format!("arn:aws:glue:{region}:{account}:{kind}/{name}");
        own_tags(sorted(glue.get_tags().resource_arn(arn).send().await.unwrap().tags()))
    };
    for database in glue.get_databases().send().await.unwrap().database_list() {
        let (name, parameters) = (database.name(), sorted(database.parameters()));
        let what = (database.description(), database.location_uri(), parameters, tags("database", name).await);
        lines.add("database", name, &what);
        for table in glue.get_tables().database_name(name).send().await.unwrap().table_list() {
            lines.add("table in", name, &(table.name(), sorted(table.parameters())));
        }
    }
    for crawler in glue.get_crawlers().send().await.unwrap().crawlers() {
        let name = crawler.name().unwrap();
        let to = (crawler.role(), crawler.database_name(), crawler.targets(), crawler.table_prefix());
        let how = (crawler.schema_change_policy(), crawler.recrawl_policy(), crawler.configuration());
        let how = (how, crawler.classifiers());
        lines.add("crawler", name, &(crawler.description(), to, how, tags("crawler", name).await));
    }
    for classifier in glue.get_classifiers().send().await.unwrap().classifiers() {
        let csv = classifier.csv_classifier().unwrap();
        lines.add("classifier", csv.name(), &(csv.delimiter(), csv.quote_symbol(), csv.contains_header()));
    }
}

async fn watches(sdk: &SdkConfig, lines: &mut Lines) {
    let watch = aws_sdk_cloudwatch::Client::new(sdk);
    for alarm in watch.describe_alarms().send().await.unwrap().metric_alarms() {
        let name = alarm.alarm_name().unwrap();
        let tags = watch.list_tags_for_resource().resource_arn(alarm.alarm_arn().unwrap()).send().await.unwrap();
        let tags = own_tags(tags.tags().iter().filter_map(|tag| Some((tag.key()?, tag.value()?))));
        let metric = (alarm.namespace(), alarm.metric_name(), alarm.dimensions(), alarm.statistic());
        let when = (alarm.threshold(), alarm.comparison_operator(), alarm.period(), alarm.treat_missing_data());
        lines.add("alarm", name, &(alarm.alarm_description(), metric, when, alarm.alarm_actions(), tags));
    }
    for dashboard in watch.list_dashboards().send().await.unwrap().dashboard_entries() {
        let name = dashboard.dashboard_name().unwrap();
        let found = watch.get_dashboard().dashboard_name(name).send().await.unwrap();
        lines.add("dashboard", name, &found.dashboard_body());
    }
}
