//! What somebody has to look at, of the whole stack: dead letters, alarms, addresses that get no alerts yet.

use aws_sdk_cloudwatch::types::{AlarmType, StateValue};
use aws_sdk_sqs::types::QueueAttributeName;
use indicatif::HumanCount;
use jiff::Timestamp;
use serde::Serialize;

use crate::cli::{console::Style, context::Context, deployed::Deployed, error::CliError, service_error, table};

use super::ago;

/// Kind of the stack's alarms.
const ALARM: &str = "aws:cloudwatch:Alarm";
/// Alarms that CloudWatch describes by their names at once
/// (<https://docs.aws.amazon.com/AmazonCloudWatch/latest/APIReference/API_DescribeAlarms.html>).
const ALARM_NAMES_MAX: usize = 100;
/// What SNS gives for the ARN of a subscription that nobody has confirmed
/// (<https://docs.aws.amazon.com/sns/latest/api/API_ListSubscriptionsByTopic.html>).
const PENDING: &str = "PendingConfirmation";

/// What is wrong, as far as the services told.
#[derive(Debug, Default, Serialize)]
pub(super) struct Trouble {
    /// Messages in the queue of dead letters.
    dead_letters: Option<DeadLetters>,
    /// Alarms of the stack that are in the state `ALARM`.
    alarms: Vec<Alarm>,
    /// Addresses that get no alerts until their subscription is confirmed.
    unconfirmed: Vec<String>,
}

#[derive(Debug, Serialize)]
struct DeadLetters {
    queue: String,
    messages: u64,
}

#[derive(Debug, Serialize)]
struct Alarm {
    name: String,
    description: String,
    since: Option<Timestamp>,
}

impl Trouble {
    /// Asks the services. One that does not answer is told of, and the others are shown.
    pub(super) async fn of(deployed: &Deployed, context: &Context) -> Self {
        let (dead, alarms, unconfirmed) =
            futures::join!(dead_letters(deployed), alarms(deployed), unconfirmed(deployed));
        Trouble {
            dead_letters: known(context, dead).flatten(),
            alarms: known(context, alarms).unwrap_or_default(),
            unconfirmed: known(context, unconfirmed).unwrap_or_default(),
        }
    }

    /// A line for each, with what to do.
    pub(super) fn show(&self, context: &Context, now: Timestamp) {
        let console = &context.console;
        if let Some(DeadLetters { queue, messages: messages @ 1.. }) = &self.dead_letters {
            let head = match messages {
                1 => "1 dead letter".to_owned(),
                many => format!("{} dead letters", HumanCount(*many)),
            };
            console.say(format!(
                "{}: events that were not delivered or handled. `lake retry` drives the files that are left; see the \
                 letters with `aws sqs receive-message --queue-url {queue}`",
                console.paint(head, Style::Bad)
            ));
        }
        for Alarm { name, description, since } in &self.alarms {
            let when = since.map_or_else(String::new, |since| format!(" since {}", ago(since, now)));
            let head = console.paint(format!("alarm {name}"), Style::Bad);
            console.say(format!("{head}{when}: {}", table::printable(description)));
        }
        if !self.unconfirmed.is_empty() {
            let addresses = table::printable(&self.unconfirmed.join(", "));
            let head = console.paint(format!("no alerts go to {addresses}"), Style::Changed);
            console.say(format!("{head} until the link in the confirmation mail is opened"));
        }
    }
}

fn known<T>(context: &Context, answer: Result<T, CliError>) -> Option<T> {
    answer.inspect_err(|error| context.console.warn(error)).ok()
}

async fn dead_letters(deployed: &Deployed) -> Result<Option<DeadLetters>, CliError> {
    // A stack that an earlier version of lake applied has no such queue.
    let Some(queue) = deployed.output("dead_letters_queue") else { return Ok(None) };
    let name = QueueAttributeName::ApproximateNumberOfMessages;
    let client = aws_sdk_sqs::Client::new(&deployed.connection.sdk);
    let answer = client.get_queue_attributes().queue_url(queue).attribute_names(name.clone()).send().await;
    let answer = answer.map_err(|error| service_error("sqs:GetQueueAttributes", queue, error))?;
    let messages = answer.attributes().and_then(|attributes| attributes.get(&name)?.parse().ok()).unwrap_or(0);
    Ok(Some(DeadLetters { queue: queue.to_owned(), messages }))
}

async fn alarms(deployed: &Deployed) -> Result<Vec<Alarm>, CliError> {
    let client = aws_sdk_cloudwatch::Client::new(&deployed.connection.sdk);
    let mut alarms = Vec::new();
    for names in deployed.identities(ALARM).chunks(ALARM_NAMES_MAX) {
        let names = names.iter().map(|name| (*name).to_owned()).collect();
        let describe = client.describe_alarms().set_alarm_names(Some(names)).alarm_types(AlarmType::MetricAlarm);
        let answer = describe.state_value(StateValue::Alarm).max_records(ALARM_NAMES_MAX as i32).send().await;
        let answer = answer.map_err(|error| service_error("cloudwatch:DescribeAlarms", "the alarms", error))?;
        alarms.extend(answer.metric_alarms().iter().map(|alarm| Alarm {
            name: alarm.alarm_name().unwrap_or_default().to_owned(),
            description: alarm.alarm_description().unwrap_or_default().to_owned(),
            since: alarm.state_updated_timestamp().and_then(|time| Timestamp::from_second(time.secs()).ok()),
        }));
    }
    Ok(alarms)
}

async fn unconfirmed(deployed: &Deployed) -> Result<Vec<String>, CliError> {
    let Some(topic) = deployed.output("alerts_topic") else { return Ok(Vec::new()) };
    let list = aws_sdk_sns::Client::new(&deployed.connection.sdk).list_subscriptions_by_topic().topic_arn(topic);
    let mut pages = list.into_paginator().send();
    let mut addresses = Vec::new();
    while let Some(page) = pages.next().await {
        let page = page.map_err(|error| service_error("sns:ListSubscriptionsByTopic", topic, error))?;
        let pending = page.subscriptions().iter().filter(|it| it.subscription_arn() == Some(PENDING));
        addresses.extend(pending.filter_map(|it| it.endpoint()).map(str::to_owned));
    }
    addresses.sort();
    Ok(addresses)
}
