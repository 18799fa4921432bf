use aws_sdk_eventbridge::{
    error::ProvideErrorMetadata,
    types::{RuleState, Tag},
};
use serde_json::json;

use super::*;

const PATTERN: &str = r#"{"source":["lake.demo"]}"#;

#[tokio::test]
async fn a_rule_is_made_told_switched_replaced_and_deleted() {
    let (_folder, cloud) = Cloud::new().await;
    let client = &cloud.client;
    let tag = Tag::builder().key("stack").value("local").build().unwrap();
    let put = client.put_rule().name("done").event_pattern(PATTERN).description("d").tags(tag.clone()).send();
    let arn = put.await.unwrap().rule_arn.unwrap();
    assert_eq!(arn, "arn:aws:events:eu-west-1:000000000000:rule/done");
    let told = client.describe_rule().name("done").send().await.unwrap();
    assert_eq!((told.event_pattern(), told.state()), (Some(PATTERN), Some(&RuleState::Enabled)));
    assert_eq!((told.event_bus_name(), told.created_by()), (Some("default"), Some("000000000000")));
    let tags = client.list_tags_for_resource().resource_arn(&arn).send().await.unwrap();
    assert_eq!(tags.tags(), [tag]);

    client.disable_rule().name("done").send().await.unwrap();
    assert_eq!(client.describe_rule().name("done").send().await.unwrap().state(), Some(&RuleState::Disabled));
    client.enable_rule().name("done").send().await.unwrap();
    client.put_rule().name("done").schedule_expression("rate(5 minutes)").send().await.unwrap();
    let told = client.describe_rule().name("done").send().await.unwrap();
    assert_eq!((told.event_pattern(), told.description()), (None, None), "what is left out is left out");
    assert_eq!((told.schedule_expression(), told.state()), (Some("rate(5 minutes)"), Some(&RuleState::Enabled)));

    client.delete_rule().name("done").send().await.unwrap();
    client.delete_rule().name("done").send().await.unwrap();
    let gone = client.describe_rule().name("done").send().await.unwrap_err().into_service_error();
    assert!(gone.is_resource_not_found_exception());
    assert_eq!(gone.message(), Some("Rule done does not exist on EventBus default."));
    let gone = client.list_tags_for_resource().resource_arn(&arn).send().await.unwrap_err().into_service_error();
    assert!(gone.is_resource_not_found_exception());
}

#[tokio::test]
async fn rules_are_listed_by_prefix_and_in_pages() {
    let (_folder, cloud) = Cloud::new().await;
    for name in ["a-1", "a-2", "a-3", "b-1"] {
        cloud.client.put_rule().name(name).event_pattern(PATTERN).send().await.unwrap();
    }
    let names = async |token: Option<String>| {
        let page = cloud.client.list_rules().name_prefix("a-").limit(2).set_next_token(token).send().await.unwrap();
        (page.rules().iter().map(|rule| rule.name().unwrap().to_owned()).collect::<Vec<_>>(), page.next_token)
    };
    let (first, token) = names(None).await;
    assert_eq!((first, token.is_some()), (vec!["a-1".to_owned(), "a-2".to_owned()], true));
    assert_eq!(names(token).await, (vec!["a-3".to_owned()], None));
}

#[tokio::test]
async fn a_rule_that_makes_no_sense_is_refused_as_aws_does() {
    let (_folder, cloud) = Cloud::new().await;
    let put = async |members: Value| {
        let mut input = json!({ "Name": "r" });
        input.as_object_mut().unwrap().extend(members.as_object().unwrap().clone());
        cloud.refusal("PutRule", input).await
    };
    let (code, message) = put(json!({})).await;
    assert_eq!(code, "ValidationException");
    assert_eq!(message, "Parameter(s) EventPattern or ScheduleExpression must be specified.");
    let (code, message) = put(json!({ "EventPattern": r#"{"a": 1}"# })).await;
    assert_eq!(code, "InvalidEventPatternException");
    assert_eq!(message, "Event pattern is not valid. Reason: \"a\" must be an object or an array");
    assert_eq!(
        put(json!({ "ScheduleExpression": "rate(1 minutes)" })).await.1,
        "Parameter ScheduleExpression is not valid."
    );
    let (code, message) = put(json!({ "EventPattern": PATTERN, "EventBusName": "none" })).await;
    assert_eq!((code.as_str(), message.as_str()), ("ResourceNotFoundException", "Event bus none does not exist."));
    assert_eq!(put(json!({ "EventPattern": PATTERN, "State": "ON" })).await.0, "ValidationException");
    let (_, message) = put(json!({ "Name": "a b", "EventPattern": PATTERN })).await;
    assert!(message.ends_with(r"Member must satisfy regular expression pattern: [\.\-_A-Za-z0-9]+"), "{message}");
    cloud.call("CreateEventBus", json!({ "Name": "mine" })).await.unwrap();
    let scheduled = put(json!({ "ScheduleExpression": "rate(5 minutes)", "EventBusName": "mine" })).await;
    assert_eq!(scheduled.1, "ScheduleExpression is supported only on the default event bus.");
    assert_eq!(cloud.refusal("ListArchives", json!({})).await.0, "UnknownOperationException");
}

#[tokio::test]
async fn a_bus_has_300_rules_at_most() {
    let (_folder, cloud) = Cloud::new().await;
    let put = async |number: usize| {
        cloud.call("PutRule", json!({ "Name": format!("r{number}"), "EventPattern": PATTERN })).await
    };
    cloud
        .events
        .core
        .store
        .write::<_, ApiError>(|tx| {
            for number in 0..rule::RULES_PER_BUS {
                let input = json!({ "Name": format!("r{number}"), "EventPattern": PATTERN });
                let scope = Scope { region: "eu-west-1".into(), now: 0 };
                rule::put(tx, &scope, serde_json::from_value(input).unwrap())?;
            }
            Ok(())
        })
        .unwrap();
    assert_eq!(put(300).await.unwrap_err().code, "LimitExceededException");
    put(299).await.unwrap();
}

#[tokio::test]
async fn targets_are_put_listed_replaced_and_removed_before_their_rule() {
    let (_folder, cloud) = Cloud::new().await;
    let full = json!({
        "Id": "1", "Arn": QUEUE, "RoleArn": "arn:aws:iam::000000000000:role/r",
        "InputTransformer": { "InputPathsMap": { "a": "$.detail.a" }, "InputTemplate": "\"a is <a>\"" },
        "DeadLetterConfig": { "Arn": DEAD },
        "RetryPolicy": { "MaximumRetryAttempts": 3, "MaximumEventAgeInSeconds": 60 },
    });
    cloud.rule("r", json!({ "source": ["x"] }), &[full.clone(), json!({ "Id": "2", "Arn": FUNCTION })]).await;
    let told = cloud.call("ListTargetsByRule", json!({ "Rule": "r" })).await.unwrap();
    assert_eq!(told["Targets"], json!([full, { "Id": "2", "Arn": FUNCTION }]));
    cloud.targets_of("r", &[json!({ "Id": "2", "Arn": TOPIC })]).await;
    let told = cloud.client.list_targets_by_rule().rule("r").send().await.unwrap();
    assert_eq!(told.targets()[1].arn(), TOPIC);
    let names = cloud.client.list_rule_names_by_target().target_arn(TOPIC).send().await.unwrap();
    assert_eq!(names.rule_names(), ["r"]);
    let names = cloud.client.list_rule_names_by_target().target_arn(FUNCTION).send().await.unwrap();
    assert!(names.rule_names().is_empty());

    let refused = cloud.client.delete_rule().name("r").send().await.unwrap_err().into_service_error();
    assert_eq!(refused.code(), Some("ValidationException"));
    assert_eq!(refused.message(), Some("Rule can't be deleted since it has targets."));
    let removed = cloud.client.remove_targets().rule("r").ids("1").ids("2").send().await.unwrap();
    assert_eq!((removed.failed_entry_count(), removed.failed_entries().len()), (0, 0));
    cloud.client.delete_rule().name("r").send().await.unwrap();
    assert_eq!(cloud.refusal("ListTargetsByRule", json!({ "Rule": "r" })).await.0, "ResourceNotFoundException");
}

#[tokio::test]
async fn targets_that_could_not_work_are_refused() {
    let (_folder, cloud) = Cloud::new().await;
    cloud.call("PutRule", json!({ "Name": "r", "EventPattern": PATTERN })).await.unwrap();
    let put = async |members: Value| {
        let mut target = json!({ "Id": "t", "Arn": QUEUE });
        target.as_object_mut().unwrap().extend(members.as_object().unwrap().clone());
        cloud.refusal("PutTargets", json!({ "Rule": "r", "Targets": [target] })).await.1
    };
    assert_eq!(
        put(json!({ "Input": "1", "InputPath": "$.detail" })).await,
        "Only one of Input, InputPath, or InputTransformer must be provided for target t."
    );
    let template = |text: &str| json!({ "InputTransformer": { "InputTemplate": text } });
    assert_eq!(put(template("\"<x>\"")).await, "InputTemplate for target t contains invalid placeholder x.");
    assert!(put(template("no quotes")).await.starts_with("Invalid InputTemplate for target t : "));
    assert!(put(json!({ "Input": "{" })).await.starts_with("JSON syntax error in input for target t : "));
    assert!(put(json!({ "Arn": "queue" })).await.ends_with("Provided Arn is not in correct format."));
    for arn in [
        "arn:aws:kinesis:eu-west-1:000000000000:stream/s",
        "arn:aws:sqs:us-east-1:000000000000:q",
        "arn:aws:sqs:eu-west-1:111111111111:q",
        "arn:aws:events:eu-west-1:000000000000:event-bus/default",
        "arn:aws:events:eu-west-1:000000000000:rule/r",
        "arn:aws:lambda:eu-west-1:000000000000:layer:l",
    ] {
        assert!(put(json!({ "Arn": arn })).await.starts_with(&format!("Parameter {arn} is not valid.")), "{arn}");
    }
    assert!(put(json!({ "Arn": format!("{QUEUE}.fifo") })).await.starts_with("Parameter(s) SqsParameters must be"));
    assert!(put(json!({ "DeadLetterConfig": { "Arn": TOPIC } })).await.contains("DeadLetterConfig"));
    assert!(put(json!({ "RetryPolicy": { "MaximumRetryAttempts": 186 } })).await.contains("between 0 and 185"));
    assert!(put(json!({ "RetryPolicy": { "MaximumEventAgeInSeconds": 59 } })).await.contains("between 60 and 86400"));
    assert!(put(json!({ "EcsParameters": {} })).await.contains("EcsParameters"));
    assert!(put(json!({ "Id": null })).await.contains("Member must not be null"));
    let six: Vec<Value> = (0..6).map(|id| json!({ "Id": id.to_string(), "Arn": QUEUE })).collect();
    let (code, message) = cloud.refusal("PutTargets", json!({ "Rule": "r", "Targets": six })).await;
    assert_eq!(code, "LimitExceededException");
    assert_eq!(message, "The requested resource exceeds the maximum number allowed.");
    let (code, _) = cloud.refusal("PutTargets", json!({ "Rule": "none", "Targets": [six[0]] })).await;
    assert_eq!(code, "ResourceNotFoundException");
}

#[tokio::test]
async fn buses_are_made_listed_and_deleted_but_not_the_default_one() {
    let (_folder, cloud) = Cloud::new().await;
    let made = cloud.client.create_event_bus().name("mine").description("d").send().await.unwrap();
    assert_eq!(made.event_bus_arn(), Some("arn:aws:events:eu-west-1:000000000000:event-bus/mine"));
    let again = cloud.client.create_event_bus().name("mine").send().await.unwrap_err().into_service_error();
    assert!(again.is_resource_already_exists_exception());
    let buses = cloud.client.list_event_buses().send().await.unwrap();
    assert_eq!(buses.event_buses().iter().filter_map(|bus| bus.name()).collect::<Vec<_>>(), ["default", "mine"]);
    let told = cloud.client.describe_event_bus().name("mine").send().await.unwrap();
    assert_eq!((told.description(), told.creation_time().is_some()), (Some("d"), true));
    assert_eq!(cloud.client.describe_event_bus().send().await.unwrap().name(), Some("default"));

    cloud.client.put_rule().name("r").event_bus_name("mine").event_pattern(PATTERN).send().await.unwrap();
    assert_eq!(cloud.refusal("DeleteEventBus", json!({ "Name": "mine" })).await.0, "ValidationException");
    let rule =
        cloud.client.describe_rule().name("r").event_bus_name(made.event_bus_arn().unwrap()).send().await.unwrap();
    assert_eq!(rule.arn(), Some("arn:aws:events:eu-west-1:000000000000:rule/mine/r"));
    cloud.client.delete_rule().name("r").event_bus_name("mine").send().await.unwrap();
    cloud.client.delete_event_bus().name("mine").send().await.unwrap();
    assert_eq!(cloud.refusal("DescribeEventBus", json!({ "Name": "mine" })).await.0, "ResourceNotFoundException");
    let refused = cloud.refusal("DeleteEventBus", json!({ "Name": "default" })).await;
    assert_eq!(refused.1, "Cannot delete event bus default.");
}

#[tokio::test]
async fn a_pattern_is_tried_on_an_event() {
    let (_folder, cloud) = Cloud::new().await;
    let event = json!({
        "id": "1", "account": "0", "source": "lake.demo", "time": "2026-11-22T10:00:00Z", "region": "eu-west-1",
        "resources": [], "detail-type": "x", "detail": { "a": 1 },
    });
    let test = async |pattern: &str, event: &str| {
        cloud.client.test_event_pattern().event_pattern(pattern).event(event).send().await
    };
    assert!(test(PATTERN, &event.to_string()).await.unwrap().result());
    assert!(!test(r#"{"detail":{"a":[2]}}"#, &event.to_string()).await.unwrap().result());
    let refused = test(PATTERN, "text").await.unwrap_err().into_service_error();
    assert_eq!(
        (refused.code(), refused.message()),
        (Some("ValidationException"), Some("Parameter Event is not valid."))
    );
    let refused = test("{}", &event.to_string()).await.unwrap_err().into_service_error();
    assert!(refused.is_invalid_event_pattern_exception());
}

#[tokio::test]
async fn tags_belong_to_rules_and_buses_that_are_there() {
    let (_folder, cloud) = Cloud::new().await;
    cloud.call("PutRule", json!({ "Name": "r", "EventPattern": PATTERN })).await.unwrap();
    for arn in ["rule/r", "event-bus/default"].map(|path| format!("arn:aws:events:eu-west-1:000000000000:{path}")) {
        let tag = |key: &str| Tag::builder().key(key).value("v").build().unwrap();
        cloud.client.tag_resource().resource_arn(&arn).tags(tag("a")).tags(tag("b")).send().await.unwrap();
        cloud.client.untag_resource().resource_arn(&arn).tag_keys("a").send().await.unwrap();
        let tags = cloud.client.list_tags_for_resource().resource_arn(&arn).send().await.unwrap();
        assert_eq!(tags.tags(), [tag("b")]);
    }
    let reserved = json!({ "ResourceARN": "arn:aws:events:eu-west-1:000000000000:rule/r", "Tags": [{ "Key": "aws:x", "Value": "" }] });
    assert_eq!(cloud.refusal("TagResource", reserved).await.0, "ValidationException");
    let foreign = json!({ "ResourceARN": "arn:aws:events:us-east-1:000000000000:rule/r" });
    assert_eq!(cloud.refusal("ListTagsForResource", foreign).await.0, "ResourceNotFoundException");
}
