//! What a person is told of files on their way, and of what somebody has to look at.

use serde_json::{Value, json};

use crate::{
    record::{confirm_mails, until},
    world::{ORDERS, Project},
};

const ROWS: &str = "id,price,placed,note\n1,1.50,2026-01-01T00:00:00Z,a\n2,2.50,2026-01-02T00:00:00Z,b\n";

fn watched() -> Project {
    let project = Project::new(&ORDERS.replace("[lake]\n", "[lake]\nalerts = [\"ann@example.com\"]\n"));
    let applied = project.lake(&["apply", "--yes"]).ok();
    assert_eq!(applied.matches("alerts: a mail with a link goes to ann@example.com").count(), 1, "{applied}");
    assert!(applied.contains("state/cloud/mail/*.eml"), "{applied}");
    project
}

fn output(project: &Project, name: &str) -> String {
    let outputs = project.lake(&["outputs", "--json"]).document();
    outputs[name].as_str().unwrap_or_else(|| panic!("{name} in {outputs}")).to_owned()
}

/// Waits until the one object of `orders` is in this state; returns the document of `lake status`.
async fn until_state(project: &Project, state: &str) -> Value {
    until(state, async || {
        let status = project.lake(&["status", "--json"]).document();
        (status["datasets"][0]["objects"][0]["state"] == state).then_some(status)
    })
    .await
}

#[test]
fn each_hop_of_a_file_is_told_once_with_how_long_it_took() {
    let project = watched();
    let path = project.write("a.csv", ROWS);
    let put = project.lake(&["put", "orders", &path, "--wait"]).ok();
    let words: Vec<&str> = put.lines().map(|line| line.split_once("  ").unwrap().1.trim_start()).collect();
    for word in ["uploaded", "to be crawled", "being crawled", "crawled", "converting", "finishing"] {
        let told = words.iter().filter(|line| line.starts_with(word)).count();
        assert!(told <= 1, "{word}: {put}");
    }
    let last = words.last().unwrap();
    assert!(last.starts_with("committed") && last.contains("ms in all") && last.ends_with("; told"), "{put}");
    let again = project.write("b.csv", ROWS);
    let put = project.lake(&["put", "orders", &again, "--wait", "--json"]).document();
    let hops = put["files"][0]["hops"].as_array().unwrap();
    assert!(!hops.is_empty() && hops.iter().all(|hop| hop["milliseconds"].is_u64()), "{put}");
    assert_eq!(hops[0]["stage"], "unheard");
    assert_eq!(put["files"][0]["result"]["told"], true);
}

#[tokio::test]
async fn a_file_whose_crawl_nobody_heard_of_is_seen_to_wait_and_a_retry_drives_it() {
    let project = watched();
    let events = aws_sdk_eventbridge::Client::new(&project.sdk().await);
    let rules = events.list_rules().send().await.unwrap();
    let rule = rules.rules().iter().filter_map(|rule| rule.name()).find(|name| name.contains("crawled-")).unwrap();
    events.disable_rule().name(rule).send().await.unwrap();
    let path = project.write("a.csv", ROWS);
    project.lake(&["put", "orders", &path]).ok();
    let status = until_state(&project, "awaiting_crawl").await;
    let dataset = &status["datasets"][0];
    assert_eq!(dataset["totals"]["by_state"], json!({ "awaiting_crawl": 1 }), "{status}");
    assert_eq!(dataset["crawler"]["name"], output(&project, "crawler_orders"));
    until("the crawl is over", async || {
        let status = project.lake(&["status", "--json"]).document();
        (status["datasets"][0]["crawler"]["last_crawl"]["status"] == "SUCCEEDED").then_some(())
    })
    .await;
    let status = project.lake(&["status"]).ok();
    assert!(status.contains("1 waiting for a crawl") && status.contains(": READY; last crawl SUCCEEDED"), "{status}");
    events.enable_rule().name(rule).send().await.unwrap();
    let retried = project.lake(&["retry"]).ok();
    assert!(retried.contains("orders/a.csv  is being tried again"), "{retried}");
    until_state(&project, "committed").await;
    let status = project.lake(&["status"]).ok();
    assert!(status.contains("committed, told"), "{status}");
}

#[tokio::test]
async fn a_file_is_parked_when_its_crawls_fail_and_a_retry_converts_it_once_they_do_not() {
    let project = watched();
    let iam = aws_sdk_iam::Client::new(&project.sdk().await);
    let roles = iam.list_roles().send().await.unwrap();
    let role =
        roles.roles().iter().map(aws_sdk_iam::types::Role::role_name).find(|name| name.contains("crawler")).unwrap();
    iam.delete_role_policy().role_name(role).policy_name("crawler").send().await.unwrap();
    let path = project.write("a.csv", ROWS);
    let put = project.lake(&["put", "orders", &path, "--wait"]);
    assert!(put.stderr.contains("parked (crawl_failed)") && put.stderr.contains("lake retry"), "{put:?}");
    let status = project.lake(&["status"]).ok();
    assert!(status.contains("parked, told") && status.contains("last crawl FAILED"), "{status}");
    assert!(status.contains("`lake logs crawler` says more"), "{status}");
    let runs = project.lake(&["runs"]).ok();
    assert!(runs.contains("parked") && runs.contains("crawl_failed"), "{runs}");
    project.lake(&["apply", "--yes"]).ok();
    project.lake(&["retry", "orders", "orders/a.csv"]).ok();
    until_state(&project, "committed").await;
    let runs = project.lake(&["runs", "--json"]).document();
    assert_eq!(runs["runs"][0]["outcome"], "committed", "{runs}");
}

#[tokio::test]
async fn dead_letters_alarms_and_addresses_that_wait_are_told_in_a_line_each() {
    let project = watched();
    let status = project.lake(&["status"]).ok();
    assert!(status.contains("no alerts go to ann@example.com until the link"), "{status}");
    confirm_mails(&project).await;
    assert_eq!(project.lake(&["status"]).ok().lines().count(), 2, "the dataset and its crawler");
    let sdk = project.sdk().await;
    let queue = output(&project, "dead_letters_queue");
    aws_sdk_sqs::Client::new(&sdk).send_message().queue_url(&queue).message_body("lost").send().await.unwrap();
    let cloudwatch = aws_sdk_cloudwatch::Client::new(&sdk);
    let alarms = cloudwatch.describe_alarms().send().await.unwrap();
    let names = alarms.metric_alarms().iter().filter_map(|alarm| alarm.alarm_name());
    let name = names.into_iter().find(|name| name.contains("errors-convert")).unwrap();
    // Its next evaluation puts it back: it is set until it is seen.
    let (text, status) = until("the alarm is told of", async || {
        let set = cloudwatch.set_alarm_state().alarm_name(name).state_reason("test");
        set.state_value(aws_sdk_cloudwatch::types::StateValue::Alarm).send().await.unwrap();
        let (text, status) = (project.lake(&["status"]).ok(), project.lake(&["status", "--json"]).document());
        let is_seen = text.contains(&format!("alarm {name}")) && status["trouble"]["alarms"][0]["name"] == name;
        is_seen.then_some((text, status))
    })
    .await;
    let line = |begin: &str| text.lines().find(|line| line.starts_with(begin)).unwrap_or_else(|| panic!("{text}"));
    assert!(line("1 dead letter:").contains(&queue), "{text}");
    assert!(line(&format!("alarm {name} since")).contains("`lake logs convert` says why"), "{text}");
    assert_eq!(status["trouble"]["dead_letters"]["messages"], 1, "{status}");
    assert_eq!(status["trouble"]["unconfirmed"], json!([]));
}

#[test]
fn the_logs_of_every_function_and_of_the_crawler_can_be_read() {
    let project = watched();
    let before = project.lake(&["logs", "crawler"]).ok();
    assert!(before.contains("no events since"), "{before}");
    let path = project.write("a.csv", ROWS);
    project.lake(&["put", "orders", &path, "--wait"]).ok();
    let crawler = project.lake(&["logs", "crawler"]).ok();
    assert!(crawler.contains("raw_orders") && crawler.contains("Crawler has finished"), "{crawler}");
    project.lake(&["logs", "sweep"]).ok();
    let none = project.lake(&["logs", "nobody"]);
    assert_eq!(none.code, 64);
    assert!(none.stderr.contains("there are logs of: convert, intake, sweep, crawler"), "{none:?}");
}
