//! The ways from one part of the lake to the next: S3 to intake, crawlers to convert, the clock to sweep, the lake's
//! own events to whoever is told, and dead letters to where they are found.

use std::collections::BTreeMap;

use serde_json::{Value, json};

use super::{Inputs, crawl::Crawlers, data::Data, dataset, function::Deployed, policy, storage::Buckets};
use crate::dataset::{JOB_EVENT, event_source};
use crate::resource::{
    Handle, Program,
    aws::{
        events::{Rule, Target},
        glue::Crawler,
        lambda::Permission,
        s3::BucketNotification,
        sns::{Subscription, Topic, TopicPolicy},
        sqs::{Queue, QueuePolicy},
    },
};

/// Seconds that a dead letter is kept: all that SQS offers, 14 days.
const DEAD_LETTERS_RETENTION_SECONDS: u32 = 1_209_600;
/// Seconds that a dead letter is hidden from others once somebody has taken it.
const DEAD_LETTERS_VISIBILITY_SECONDS: u32 = 60;

/// How often the sweep runs.
const SWEEP_RATE: &str = "rate(5 minutes)";

/// Seconds that EventBridge tries to deliver an event: all that it offers, a day.
const TARGET_AGE_SECONDS: u32 = 86_400;
/// Times that it tries: all that it offers.
const TARGET_RETRIES: u32 = 185;

/// The ARNs of the stack's rules, as a pattern: their names all begin alike.
fn rules(inputs: &Inputs) -> String {
    inputs.arn("events", &format!("rule/{}*", inputs.name_prefix()))
}

/// The queue of what could not be delivered or handled.
pub(super) fn dead_letters(program: &mut Program, inputs: &Inputs) -> Handle<Queue> {
    let queue = Queue {
        visibility_timeout_seconds: DEAD_LETTERS_VISIBILITY_SECONDS.into(),
        retention_seconds: DEAD_LETTERS_RETENTION_SECONDS.into(),
    };
    let queue = program.declare("dead-letters", queue);
    let rules = policy::allow_service(
        "Rules",
        "events.amazonaws.com",
        "sqs:SendMessage",
        queue.arn().to_value(),
        &rules(inputs),
    );
    let document = policy::policy([rules]);
    program.declare("dead-letters", QueuePolicy { queue: queue.name(), document });
    queue
}

/// The topic that tells people, and who they are.
pub(super) fn alerts(program: &mut Program, inputs: &Inputs) -> Handle<Topic> {
    let display_name = format!("Lake {} ({})", inputs.lake, inputs.stack);
    let topic = program.declare("alerts", Topic { display_name: display_name.into() });
    let publish = |sid: &str, service: &str, source: &str| {
        policy::allow_service(sid, service, "sns:Publish", topic.arn().to_value(), source)
    };
    let alarms = inputs.arn("cloudwatch", &format!("alarm:{}*", inputs.name_prefix()));
    let document = policy::policy([
        publish("Rules", "events.amazonaws.com", &rules(inputs)),
        publish("Alarms", "cloudwatch.amazonaws.com", &alarms),
    ]);
    program.declare("alerts", TopicPolicy { topic: topic.arn(), document });
    for address in &inputs.alerts {
        let subscription =
            Subscription { topic: topic.arn(), protocol: "email".into(), endpoint: address.as_str().into() };
        program.declare(address, subscription);
    }
    topic
}

/// A job's end becomes a line that the topic's subscribers read.
pub(super) fn job_rules(program: &mut Program, inputs: &Inputs, alerts: &Handle<Topic>, dead: &Handle<Queue>) {
    for (name, state, description) in [
        ("job-succeeded", "Succeeded", "a run has committed an object"),
        ("job-failed", "Failed", "an object was parked, or a crawl has failed"),
    ] {
        let pattern = json!({
            "source": [event_source(&inputs.lake)],
            "detail-type": [JOB_EVENT],
            // Stacks of one lake in one account do not hear each other.
            "detail": { "stack": [inputs.stack], "state": [state] },
        });
        let rule = rule(program, inputs, name, description, pattern);
        let target = Target {
            input_paths: [("lake", "$.detail.lake"), ("stack", "$.detail.stack"), ("message", "$.detail.message")]
                .map(|(name, path)| (name.to_owned(), path.to_owned()))
                .into(),
            // In quotes, and delivered so: a template is JSON.
            input_template: r#""Lake <lake> (<stack>): <message>""#.to_owned(),
            ..target(&rule, name, alerts.arn(), dead)
        };
        program.declare(name, target);
    }
}

/// The clock starts the sweep.
pub(super) fn sweep_schedule(program: &mut Program, inputs: &Inputs, sweep: &Deployed, dead: &Handle<Queue>) {
    let rule = Rule {
        description: format!("Lake {}, stack {}: looks for objects left behind", inputs.lake, inputs.stack).into(),
        pattern: None,
        schedule: Some(SWEEP_RATE.to_owned()),
        enabled: true.into(),
    };
    let rule = program.declare("sweep", rule);
    let permission = invoke_permission(program, inputs, "sweep", sweep);
    let target = Target { input: Some(json!({ "sweep": true })), ..target(&rule, "sweep", sweep.function.arn(), dead) };
    let target = program.declare("sweep", target);
    program.after(&target, &permission);
    program.after(&target, &sweep.policy);
}

/// A crawler's end starts convert.
pub(super) fn crawl_rules(
    program: &mut Program,
    inputs: &Inputs,
    crawlers: &Crawlers,
    convert: &Deployed,
    dead: &Handle<Queue>,
) {
    let permission = invoke_permission(program, inputs, "convert", convert);
    for (dataset, crawler) in &crawlers.by_dataset {
        for (end, state) in [("crawled", "Succeeded"), ("crawl-failed", "Failed")] {
            let name = format!("{end}-{dataset}");
            let description = format!("the crawl of {dataset} has ended: {state}");
            let rule = rule(program, inputs, &name, &description, crawl_pattern(crawler, state));
            let target = program.declare(&name, target(&rule, &name, convert.function.arn(), dead));
            program.after(&target, &permission);
            program.after(&target, &convert.policy);
        }
    }
}

/// The events of this crawler, not of any.
fn crawl_pattern(crawler: &Handle<Crawler>, state: &str) -> Value {
    json!({
        "source": ["aws.glue"],
        "detail-type": ["Glue Crawler State Change"],
        "detail": { "crawlerName": [crawler.name().to_value()], "state": [state] },
    })
}

/// S3 tells intake of new objects, from when all is there that their conversion needs.
pub(super) fn notifications(
    program: &mut Program,
    inputs: &Inputs,
    buckets: &Buckets,
    data: &[Data],
    (intake, convert): (&Deployed, &Deployed),
) {
    let permission = Permission {
        function: intake.function.name(),
        statement: "lake-raw-bucket".into(),
        principal: "s3.amazonaws.com".into(),
        source_arn: buckets.raw.arn(),
        // A bucket's ARN has no account: another's bucket of that name, after ours is gone, must not get through.
        source_account: inputs.account_id.as_str().into(),
    };
    let permission = program.declare("intake", permission);
    if inputs.datasets.is_empty() {
        return;
    }
    let arn = || intake.function.arn();
    let functions = inputs.datasets.iter().map(|dataset| dataset::notification(dataset, arn())).collect();
    let notification = program.declare("raw", BucketNotification { bucket: buckets.raw.name(), functions });
    program.after(&notification, &permission);
    program.after(&notification, &intake.policy);
    program.after(&notification, &convert.policy);
    program.after(&notification, &convert.function);
    for data in data {
        program.after(&notification, &data.raw);
    }
}

/// Lets the stack's rules invoke the function.
fn invoke_permission(program: &mut Program, inputs: &Inputs, name: &str, to: &Deployed) -> Handle<Permission> {
    let permission = Permission {
        function: to.function.name(),
        statement: "lake-rules".into(),
        principal: "events.amazonaws.com".into(),
        // One statement for all of them: a function's policy is 20 KB at most.
        source_arn: rules(inputs).into(),
        // The ARN has the account in it, and EventBridge is not documented to tell it besides
        // (https://docs.aws.amazon.com/eventbridge/latest/userguide/eb-use-resource-based.html).
        source_account: "".into(),
    };
    program.declare(name, permission)
}

fn rule(program: &mut Program, inputs: &Inputs, name: &str, description: &str, pattern: Value) -> Handle<Rule> {
    let rule = Rule {
        description: format!("Lake {}, stack {}: {description}", inputs.lake, inputs.stack).into(),
        pattern: Some(pattern),
        schedule: None,
        enabled: true.into(),
    };
    program.declare(name, rule)
}

/// A target that gets the whole event, is tried as long as EventBridge offers, and leaves a dead letter after that.
fn target(rule: &Handle<Rule>, id: &str, arn: crate::resource::Input<String>, dead: &Handle<Queue>) -> Target {
    Target {
        rule: rule.name(),
        id: id.into(),
        arn,
        input: None,
        input_paths: BTreeMap::new(),
        input_template: String::new(),
        dead_letter: Some(dead.arn()),
        retry_attempts: TARGET_RETRIES.into(),
        retry_age_seconds: TARGET_AGE_SECONDS.into(),
    }
}
