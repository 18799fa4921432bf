//! Notifications: who is told of what.

use aws_sdk_s3::types::{
    Event, EventBridgeConfiguration, FilterRule, FilterRuleName, LambdaFunctionConfiguration,
    NotificationConfiguration, NotificationConfigurationFilter, QueueConfiguration, S3KeyFilter, TopicConfiguration,
};

use super::*;

async fn notify(cloud: &Cloud, function: &str, prefix: &str) -> Result<(), (String, u16)> {
    let rule = FilterRule::builder().name(FilterRuleName::Prefix).value(prefix).build();
    let filter = NotificationConfigurationFilter::builder().key(S3KeyFilter::builder().filter_rules(rule).build());
    let lambda = LambdaFunctionConfiguration::builder()
        .id("to-intake")
        .lambda_function_arn(function)
        .events(Event::from("s3:ObjectCreated:*"))
        .events(Event::from("s3:ObjectRemoved:*"))
        .filter(filter.build());
    let configuration =
        NotificationConfiguration::builder().lambda_function_configurations(lambda.build().unwrap()).build();
    let put = cloud.client.put_bucket_notification_configuration().bucket("lake-raw");
    let put = put.notification_configuration(configuration).send().await;
    if put.is_err() { Err(code(put)) } else { Ok(()) }
}

#[tokio::test]
async fn writes_and_deletes_below_the_prefix_are_told() {
    let cloud = Cloud::with_bucket().await;
    notify(&cloud, FUNCTION, "flights/").await.unwrap();
    let got = cloud.client.get_bucket_notification_configuration().bucket("lake-raw").send().await.unwrap();
    let lambda = &got.lambda_function_configurations()[0];
    assert_eq!((lambda.id(), lambda.lambda_function_arn()), (Some("to-intake"), FUNCTION));

    let put = cloud.put("flights/a b+é.csv", "x,y").send().await.unwrap();
    cloud.put("other/a.csv", "x").send().await.unwrap();
    cloud
        .client
        .copy_object()
        .bucket("lake-raw")
        .key("flights/c")
        .copy_source("lake-raw/other/a.csv")
        .send()
        .await
        .unwrap();
    cloud.client.delete_object().bucket("lake-raw").key("flights/c").send().await.unwrap();
    cloud.client.delete_object().bucket("lake-raw").key("flights/none").send().await.unwrap();

    let events = cloud.recorder.events.lock().unwrap().clone();
    let names: Vec<_> = events.iter().map(|event| event["Records"][0]["eventName"].as_str().unwrap()).collect();
    assert_eq!(names, ["ObjectCreated:Put", "ObjectCreated:Copy", "ObjectRemoved:Delete"]);
    let record = &events[0]["Records"][0];
    assert_eq!(record["s3"]["object"]["key"], "flights/a+b%2B%C3%A9.csv");
    assert_eq!(record["s3"]["object"]["size"], 3);
    assert_eq!(record["s3"]["object"]["eTag"], put.e_tag().unwrap().trim_matches('"'));
    assert_eq!(record["awsRegion"], REGION);
    let order: Vec<_> =
        events.iter().map(|event| event["Records"][0]["s3"]["object"]["sequencer"].as_str().unwrap()).collect();
    assert!(order.is_sorted() && order[0] != order[1], "{order:?}");
    // Each of the four services behind it: for the configuration and for three events.
    assert_eq!(*cloud.recorder.wakes.lock().unwrap(), 4 * 4);
}

#[tokio::test]
async fn a_refused_write_tells_nobody() {
    let cloud = Cloud::with_bucket().await;
    notify(&cloud, FUNCTION, "").await.unwrap();
    cloud.put("k", "1").send().await.unwrap();
    cloud.put("k", "2").if_none_match("*").send().await.unwrap_err();
    assert_eq!(cloud.recorder.events.lock().unwrap().len(), 1);
}

#[tokio::test]
async fn a_function_that_does_not_let_s3_in_is_no_destination() {
    let cloud = Cloud::with_bucket().await;
    let refused = notify(&cloud, "arn:aws:lambda:eu-west-1:000000000000:function:other", "").await;
    assert_eq!(refused, Err(error("InvalidArgument", 400)));
    let empty = NotificationConfiguration::builder().build();
    let put = cloud.client.put_bucket_notification_configuration().bucket("lake-raw");
    put.notification_configuration(empty).send().await.unwrap();
}

#[tokio::test]
async fn queues_and_topics_are_tested_and_told_and_eventbridge_hears_everything() {
    let cloud = Cloud::with_bucket().await;
    let created = || Event::from("s3:ObjectCreated:*");
    let prefix = |value: &str| {
        let rule = FilterRule::builder().name(FilterRuleName::Prefix).value(value).build();
        NotificationConfigurationFilter::builder().key(S3KeyFilter::builder().filter_rules(rule).build()).build()
    };
    let queue = QueueConfiguration::builder().queue_arn(QUEUE).events(created()).filter(prefix("q/"));
    let topic = TopicConfiguration::builder().topic_arn(TOPIC).events(created()).filter(prefix("t/"));
    let configuration = NotificationConfiguration::builder()
        .queue_configurations(queue.build().unwrap())
        .topic_configurations(topic.build().unwrap())
        .event_bridge_configuration(EventBridgeConfiguration::builder().build());
    let put = cloud.client.put_bucket_notification_configuration().bucket("lake-raw");
    put.notification_configuration(configuration.build()).send().await.unwrap();
    let got = cloud.client.get_bucket_notification_configuration().bucket("lake-raw").send().await.unwrap();
    assert_eq!(got.queue_configurations()[0].queue_arn(), QUEUE);
    assert_eq!(got.topic_configurations()[0].topic_arn(), TOPIC);
    assert!(got.event_bridge_configuration().is_some());

    cloud.put("q/a b", "x").send().await.unwrap();
    // A queue that no longer lets S3 in loses the event, not the write.
    cloud.recorder.closed.lock().unwrap().push(QUEUE.to_owned());
    cloud.put("q/c", "x").send().await.unwrap();
    let events = cloud.recorder.events.lock().unwrap().clone();
    let names: Vec<_> = events
        .iter()
        .map(|event| [&event["Event"], &event["Records"][0]["eventName"], &event["detail-type"]])
        .map(|names| names.into_iter().find_map(|name| name.as_str()).unwrap())
        .collect();
    assert_eq!(names, ["s3:TestEvent", "s3:TestEvent", "ObjectCreated:Put", "Object Created", "Object Created"]);
    assert_eq!(events[3]["detail"]["object"]["key"], "q/a b");
    assert_eq!(events[3]["resources"][0], "arn:aws:s3:::lake-raw");
}
