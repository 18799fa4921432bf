//! What somebody changes in the cloud behind lake's back: something in every kind that can change in place, and
//! permissions, which cannot.

use aws_config::SdkConfig;
use aws_sdk_cloudwatch::types::{ComparisonOperator, Dimension, Statistic};
use aws_sdk_s3::types as s3;
use aws_sdk_sqs::types::QueueAttributeName;
use serde_json::Value;

/// A change in every kind that can change in place.
pub async fn everything(sdk: &SdkConfig) {
    buckets(sdk).await;
    functions(sdk).await;
    roles(sdk).await;
    log_groups(sdk).await;
    rules(sdk).await;
    topic(sdk).await;
    queue(sdk).await;
    catalog(sdk).await;
    watches(sdk).await;
}

async fn buckets(sdk: &SdkConfig) {
    let config = aws_sdk_s3::config::Builder::from(sdk).force_path_style(true).build();
    let client = aws_sdk_s3::Client::from_conf(config);
    for bucket in client.list_buckets().send().await.unwrap().buckets() {
        let name = bucket.name().unwrap();
        let suspended = s3::VersioningConfiguration::builder().status(s3::BucketVersioningStatus::Suspended).build();
        client.put_bucket_versioning().bucket(name).versioning_configuration(suspended).send().await.unwrap();
        let by_default = s3::ServerSideEncryptionByDefault::builder()
            .sse_algorithm(s3::ServerSideEncryption::AwsKms)
            .build()
            .unwrap();
        let rule = s3::ServerSideEncryptionRule::builder().apply_server_side_encryption_by_default(by_default).build();
        let encryption = s3::ServerSideEncryptionConfiguration::builder().rules(rule).build().unwrap();
        client
            .put_bucket_encryption()
            .bucket(name)
            .server_side_encryption_configuration(encryption)
            .send()
            .await
            .unwrap();
        let open = s3::PublicAccessBlockConfiguration::builder().block_public_acls(true).build();
        client.put_public_access_block().bucket(name).public_access_block_configuration(open).send().await.unwrap();
        let soon = s3::LifecycleExpiration::builder().days(1).build();
        let everything = s3::LifecycleRuleFilter::builder().prefix("").build();
        let rule = s3::LifecycleRule::builder()
            .id("theirs")
            .filter(everything)
            .expiration(soon)
            .status(s3::ExpirationStatus::Disabled)
            .build()
            .unwrap();
        let lifecycle = s3::BucketLifecycleConfiguration::builder().rules(rule).build().unwrap();
        client
            .put_bucket_lifecycle_configuration()
            .bucket(name)
            .lifecycle_configuration(lifecycle)
            .send()
            .await
            .unwrap();
        let policy = client.get_bucket_policy().bucket(name).send().await.unwrap().policy.unwrap();
        let mut policy: Value = serde_json::from_str(&policy).unwrap();
        policy["Statement"][0]["Sid"] = "Theirs".into();
        client.put_bucket_policy().bucket(name).policy(policy.to_string()).send().await.unwrap();
        let told = client.get_bucket_notification_configuration().bucket(name).send().await.unwrap();
        if let Some(mut functions) = told.lambda_function_configurations {
            for function in &mut functions {
                function.events = vec![s3::Event::S3ObjectCreatedPut];
            }
            let less = s3::NotificationConfiguration::builder().set_lambda_function_configurations(Some(functions));
            let put = client.put_bucket_notification_configuration().bucket(name);
            put.notification_configuration(less.build()).send().await.unwrap();
        }
        for object in client.list_objects_v2().bucket(name).send().await.unwrap().contents() {
            let key = object.key().unwrap();
            // What functions read is put again without its hash; the rest gets another content.
            let found = client.get_object().bucket(name).key(key).send().await.unwrap();
            let found = found.body.collect().await.unwrap().into_bytes().to_vec();
            let bytes = if key.ends_with("/crawlers.json") { b"{}".to_vec() } else { found };
            client.put_object().bucket(name).key(key).body(bytes.into()).send().await.unwrap();
        }
    }
}

async fn functions(sdk: &SdkConfig) {
    let lambda = aws_sdk_lambda::Client::new(sdk);
    for function in lambda.list_functions().send().await.unwrap().functions() {
        let name = function.function_name().unwrap();
        lambda.update_function_configuration().function_name(name).memory_size(256).send().await.unwrap();
        let config = lambda.put_function_event_invoke_config().function_name(name);
        config.maximum_retry_attempts(0).maximum_event_age_in_seconds(60).send().await.unwrap();
    }
}

async fn roles(sdk: &SdkConfig) {
    let iam = aws_sdk_iam::Client::new(sdk);
    for role in iam.list_roles().send().await.unwrap().roles() {
        let name = role.role_name();
        iam.update_role_description().role_name(name).description("theirs").send().await.unwrap();
        for policy in iam.list_role_policies().role_name(name).send().await.unwrap().policy_names() {
            let nothing = r#"{"Version":"2012-10-17","Statement":[{"Effect":"Deny","Action":"s3:*","Resource":"*"}]}"#;
            let put = iam.put_role_policy().role_name(name).policy_name(policy).policy_document(nothing);
            put.send().await.unwrap();
        }
    }
}

async fn log_groups(sdk: &SdkConfig) {
    let logs = aws_sdk_cloudwatchlogs::Client::new(sdk);
    for group in logs.describe_log_groups().send().await.unwrap().log_groups() {
        let name = group.log_group_name().unwrap();
        logs.put_retention_policy().log_group_name(name).retention_in_days(7).send().await.unwrap();
    }
}

async fn rules(sdk: &SdkConfig) {
    let events = aws_sdk_eventbridge::Client::new(sdk);
    for rule in events.list_rules().send().await.unwrap().rules() {
        let name = rule.name().unwrap();
        let put = events.put_rule().name(name).description("theirs");
        let put = put.set_event_pattern(rule.event_pattern.clone());
        put.set_schedule_expression(rule.schedule_expression.clone()).send().await.unwrap();
        for mut target in events.list_targets_by_rule().rule(name).send().await.unwrap().targets.unwrap() {
            target.retry_policy = None;
            events.put_targets().rule(name).targets(target).send().await.unwrap();
        }
    }
}

/// The topic's name for people, and its policy.
pub async fn topic(sdk: &SdkConfig) {
    let sns = aws_sdk_sns::Client::new(sdk);
    for topic in sns.list_topics().send().await.unwrap().topics() {
        let arn = topic.topic_arn().unwrap();
        let found = sns.get_topic_attributes().topic_arn(arn).send().await.unwrap();
        let mut policy: Value = serde_json::from_str(&found.attributes().unwrap()["Policy"]).unwrap();
        policy["Statement"][0]["Sid"] = "Theirs".into();
        for (name, value) in [("DisplayName", "theirs".to_owned()), ("Policy", policy.to_string())] {
            let set = sns.set_topic_attributes().topic_arn(arn).attribute_name(name).attribute_value(value);
            set.send().await.unwrap();
        }
    }
}

async fn queue(sdk: &SdkConfig) {
    let sqs = aws_sdk_sqs::Client::new(sdk);
    for url in sqs.list_queues().send().await.unwrap().queue_urls() {
        let found = sqs.get_queue_attributes().queue_url(url).attribute_names(QueueAttributeName::Policy);
        let found = found.send().await.unwrap().attributes.unwrap();
        let mut policy: Value = serde_json::from_str(&found[&QueueAttributeName::Policy]).unwrap();
        policy["Statement"][0]["Sid"] = "Theirs".into();
        let set = sqs.set_queue_attributes().queue_url(url).attributes(QueueAttributeName::VisibilityTimeout, "7");
        set.attributes(QueueAttributeName::Policy, policy.to_string()).send().await.unwrap();
    }
}

async fn catalog(sdk: &SdkConfig) {
    let glue = aws_sdk_glue::Client::new(sdk);
    for database in glue.get_databases().send().await.unwrap().database_list() {
        let input = aws_sdk_glue::types::DatabaseInput::builder()
            .name(database.name())
            .set_location_uri(database.location_uri.clone())
            .set_parameters(database.parameters.clone())
            .description("theirs")
            .build()
            .unwrap();
        glue.update_database().name(database.name()).database_input(input).send().await.unwrap();
    }
    for crawler in glue.get_crawlers().send().await.unwrap().crawlers() {
        glue.update_crawler().name(crawler.name().unwrap()).description("theirs").send().await.unwrap();
    }
    for classifier in glue.get_classifiers().send().await.unwrap().classifiers() {
        let name = classifier.csv_classifier().unwrap().name();
        let theirs = aws_sdk_glue::types::UpdateCsvClassifierRequest::builder().name(name).delimiter("#");
        glue.update_classifier().csv_classifier(theirs.build().unwrap()).send().await.unwrap();
    }
}

async fn watches(sdk: &SdkConfig) {
    let watch = aws_sdk_cloudwatch::Client::new(sdk);
    for alarm in watch.describe_alarms().send().await.unwrap().metric_alarms() {
        let dimension = Dimension::builder().name("theirs").value("theirs").build();
        let put = watch.put_metric_alarm().alarm_name(alarm.alarm_name().unwrap()).dimensions(dimension);
        let put = put.namespace("Theirs").metric_name("theirs").statistic(Statistic::Sum).period(60);
        let put = put.comparison_operator(ComparisonOperator::LessThanThreshold).threshold(1.0);
        put.evaluation_periods(1).send().await.unwrap();
    }
    for dashboard in watch.list_dashboards().send().await.unwrap().dashboard_entries() {
        let text = r#"{"widgets":[{"type":"text","properties":{"markdown":"theirs"}}]}"#;
        let put = watch.put_dashboard().dashboard_name(dashboard.dashboard_name().unwrap()).dashboard_body(text);
        put.send().await.unwrap();
    }
}

/// Every permission names another source.
pub async fn permissions(sdk: &SdkConfig) {
    permission_of(sdk, "").await;
}

/// [`permissions`] of the functions whose names contain `part`.
pub async fn permission_of(sdk: &SdkConfig, part: &str) {
    let lambda = aws_sdk_lambda::Client::new(sdk);
    for function in lambda.list_functions().send().await.unwrap().functions() {
        let name = function.function_name().unwrap();
        let policy = lambda.get_policy().function_name(name).send().await.ok().and_then(|it| it.policy);
        let Some(policy) = policy.filter(|_| name.contains(part)) else { continue };
        let policy: Value = serde_json::from_str(&policy).unwrap();
        for statement in policy["Statement"].as_array().unwrap() {
            let sid = statement["Sid"].as_str().unwrap();
            lambda.remove_permission().function_name(name).statement_id(sid).send().await.unwrap();
            let add = lambda.add_permission().function_name(name).statement_id(sid).action("lambda:InvokeFunction");
            let add = add.principal(statement["Principal"]["Service"].as_str().unwrap());
            add.source_arn("arn:aws:s3:::theirs").send().await.unwrap();
        }
    }
}
