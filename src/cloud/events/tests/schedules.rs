use serde_json::json;

use super::*;

async fn scheduled(cloud: &Cloud, name: &str, expression: &str, target: &str) {
    cloud.client.put_rule().name(name).schedule_expression(expression).send().await.unwrap();
    cloud.targets_of(name, &[json!({ "Id": "1", "Arn": target })]).await;
}

#[tokio::test]
async fn a_scheduled_rule_fires_when_it_is_due() {
    let (_folder, cloud) = Cloud::new().await;
    scheduled(&cloud, "sweep", "cron(0/5 * * * ? *)", QUEUE).await;
    cloud.clock.advance(SignedDuration::from_secs(4 * 60 + 30));
    let first = cloud.targets.await_taken(QUEUE, 1).await;
    let event = body(&first[0]);
    let rule = "arn:aws:events:eu-west-1:000000000000:rule/sweep";
    assert_eq!((&event["source"], &event["detail-type"]), (&json!("aws.events"), &json!("Scheduled Event")));
    assert_eq!((&event["resources"], &event["detail"]), (&json!([rule]), &json!({})));
    assert_eq!((&event["time"], &event["account"]), (&json!("2026-11-22T10:05:00Z"), &json!("000000000000")));
    cloud.clock.advance(SignedDuration::from_mins(5));
    assert_eq!(body(&cloud.targets.await_taken(QUEUE, 2).await[1])["time"], "2026-11-22T10:10:00Z");
}

#[tokio::test]
async fn a_rate_counts_from_the_rules_making() {
    let (_folder, cloud) = Cloud::new().await;
    scheduled(&cloud, "sweep", "rate(2 minutes)", QUEUE).await;
    cloud.clock.advance(SignedDuration::from_mins(2));
    assert_eq!(body(&cloud.targets.await_taken(QUEUE, 1).await[0])["time"], "2026-11-22T10:02:30Z");
}

#[tokio::test]
async fn what_was_due_while_nobody_looked_is_not_made_up_for() {
    let (folder, cloud) = Cloud::new().await;
    scheduled(&cloud, "sweep", "cron(0/5 * * * ? *)", QUEUE).await;
    cloud.stop().await;
    // Down from before 10:05 until after 10:10.
    let cloud = Cloud::start(folder.path(), "2026-11-22T10:12:00Z").await;
    cloud.clock.advance(SignedDuration::from_mins(3));
    let taken = cloud.targets.await_taken(QUEUE, 1).await;
    assert_eq!(taken.iter().map(|taken| body(taken)["time"].clone()).collect::<Vec<_>>(), ["2026-11-22T10:15:00Z"]);
    // Asleep for hours: of all that was due the latest alone is fresh enough.
    cloud.clock.advance(SignedDuration::from_mins(180));
    let taken = cloud.targets.await_taken(QUEUE, 2).await;
    assert_eq!((taken.len(), &body(&taken[1])["time"]), (2, &json!("2026-11-22T13:15:00Z")));
}

#[tokio::test]
async fn disabled_and_deleted_schedules_do_not_fire() {
    let (_folder, cloud) = Cloud::new().await;
    scheduled(&cloud, "off", "rate(1 minute)", TOPIC).await;
    scheduled(&cloud, "gone", "rate(1 minute)", TOPIC).await;
    cloud.client.disable_rule().name("off").send().await.unwrap();
    cloud.client.remove_targets().rule("gone").ids("1").send().await.unwrap();
    cloud.client.delete_rule().name("gone").send().await.unwrap();
    scheduled(&cloud, "on", "rate(1 minute)", QUEUE).await;
    cloud.clock.advance(SignedDuration::from_mins(1));
    cloud.targets.await_taken(QUEUE, 1).await;
    assert!(cloud.targets.of(TOPIC).is_empty());
    cloud.client.enable_rule().name("off").send().await.unwrap();
    cloud.clock.advance(SignedDuration::from_mins(1));
    cloud.targets.await_taken(TOPIC, 1).await;
}
