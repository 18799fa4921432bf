use serde_json::json;

use super::*;

fn needs(operation: &str, input: Value) -> Vec<Need> {
    super::super::access::needs(&call(operation, &input)).unwrap()
}

fn of_rule(action: &str, rule: &str) -> Need {
    let arn = format!("arn:aws:events:eu-west-1:000000000000:rule/{rule}");
    Need::new(action, arn).with("events:creatorAccount", "000000000000")
}

#[test]
fn putting_events_needs_the_bus_for_each_source_and_type() {
    let entry = |source: &str| json!({ "Source": source, "DetailType": "t", "Detail": "{}" });
    let bus = "arn:aws:events:eu-west-1:000000000000:event-bus/default";
    let need =
        |source| Need::new("events:PutEvents", bus).with("events:source", source).with("events:detail-type", "t");
    let input = json!({ "Entries": [entry("a"), entry("b"), entry("a")] });
    assert_eq!(needs("PutEvents", input), [need("a"), need("b")]);
}

#[test]
fn a_rule_or_target_with_a_role_needs_the_right_to_pass_it() {
    let role = "arn:aws:iam::000000000000:role/r";
    let pass = Need::new("iam:PassRole", role).with("iam:PassedToService", "events.amazonaws.com");
    let input = json!({ "Name": "r", "RoleArn": role, "Tags": [{ "Key": "a", "Value": "b" }] });
    let expected = [of_rule("events:PutRule", "r"), of_rule("events:TagResource", "r"), pass.clone()];
    assert_eq!(needs("PutRule", input), expected);
    let input = json!({
        "Rule": "r", "EventBusName": "mine",
        "Targets": [{ "Id": "1", "Arn": QUEUE, "RoleArn": role }, { "Id": "2", "Arn": TOPIC }],
    });
    let to = |target| of_rule("events:PutTargets", "mine/r").with("events:TargetArn", target);
    assert_eq!(needs("PutTargets", input), [to(QUEUE), to(TOPIC), pass]);
}

#[test]
fn other_operations_need_the_resource_that_they_name() {
    for operation in ["DescribeRule", "DeleteRule", "EnableRule", "DisableRule"] {
        assert_eq!(needs(operation, json!({ "Name": "r" })), [of_rule(&format!("events:{operation}"), "r")]);
    }
    for operation in ["ListTargetsByRule", "RemoveTargets"] {
        let input = json!({ "Rule": "r", "Ids": ["1"] });
        assert_eq!(needs(operation, input), [of_rule(&format!("events:{operation}"), "r")]);
    }
    for operation in ["ListRules", "ListEventBuses", "ListRuleNamesByTarget", "TestEventPattern"] {
        assert_eq!(needs(operation, json!({})), [Need::new(format!("events:{operation}"), "*")]);
    }
    let bus = "arn:aws:events:eu-west-1:000000000000:event-bus/mine";
    for operation in ["DescribeEventBus", "CreateEventBus", "DeleteEventBus"] {
        assert_eq!(needs(operation, json!({ "Name": "mine" })), [Need::new(format!("events:{operation}"), bus)]);
    }
    for operation in ["TagResource", "UntagResource", "ListTagsForResource"] {
        assert_eq!(needs(operation, json!({ "ResourceARN": bus })), [Need::new(format!("events:{operation}"), bus)]);
    }
}
