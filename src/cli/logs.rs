//! `lake logs`

use std::{collections::HashMap, time::Duration};

use aws_sdk_cloudwatchlogs::{Client, operation::filter_log_events::FilterLogEventsError, types::FilteredLogEvent};
use jiff::{SignedDuration, Timestamp};
use serde::Serialize;
use serde_json::Value;

use super::{console::Style, context::Context, deployed::Deployed, error::CliError, table::printable};

/// How far back `lake logs` looks unless told otherwise.
const SINCE_DEFAULT: &str = "1h";
/// Pause between two looks with `--follow`. (CloudWatch Logs has a live tail, but not for everybody's credentials,
/// and it costs by the minute.)
const FOLLOW_PAUSE: Duration = Duration::from_secs(1);
/// How late an event may come to light and still be shown by `--follow`, milliseconds.
const LATE_MS_MAX: i64 = 10_000;
/// Kind of the resources whose logs these are.
const LOG_GROUP: &str = "aws:logs:LogGroup";
/// Kind of the stack's crawlers.
const CRAWLER: &str = "aws:glue:Crawler";
/// What stands for all crawlers of the stack.
const CRAWLERS: &str = "crawler";
/// Where Glue logs what all crawlers of an account do, each in a stream of its name
/// (<https://docs.aws.amazon.com/glue/latest/dg/console-crawlers-details.html>).
const CRAWLERS_LOG_GROUP: &str = "/aws-glue/crawlers";

/// Shows what a function of the lake logged: `intake`, `convert` or `sweep`; or its crawlers: `crawler`.
///
/// `intake` writes down which files have come, `convert` makes Parquet of them, `sweep` looks every five minutes for
/// what was left behind.
///
/// Example: lake logs convert --since 10m --follow
#[derive(Debug, clap::Args)]
pub struct Args {
    /// The function, or `crawler`.
    #[arg(value_name = "FUNCTION")]
    function: String,
    /// Goes on with what comes.
    #[arg(short, long)]
    follow: bool,
    /// How far back, such as `90s`, `10m`, `2h`, `3d`.
    #[arg(long, value_name = "DURATION", default_value = SINCE_DEFAULT, value_parser = duration)]
    since: SignedDuration,
    /// Only what matches a CloudWatch filter pattern.
    #[arg(long, value_name = "PATTERN")]
    filter: Option<String>,
}

/// A day has 24 hours here: it is about how long ago something was.
fn duration(text: &str) -> Result<SignedDuration, String> {
    let days = text.strip_suffix('d').and_then(|days| days.trim().parse::<i64>().ok());
    let duration = match days {
        Some(days) => SignedDuration::try_from_hours(days.saturating_mul(24)).ok_or_else(|| "too long".to_owned()),
        None => text
            .parse::<SignedDuration>()
            .map_err(|_| "expected a duration such as `90s`, `10m`, `2h`, `3d`".to_owned()),
    }?;
    match duration.is_negative() {
        true => Err("it must not be negative".to_owned()),
        false => Ok(duration),
    }
}

/// An event as JSON.
#[derive(Serialize)]
struct Line<'a> {
    timestamp: Timestamp,
    stream: &'a str,
    message: &'a str,
}

pub async fn run(args: Args, context: &Context) -> Result<(), CliError> {
    let deployed = Deployed::open(context).await?;
    let (group, streams) = place(&deployed, &args.function)?;
    let begin = Timestamp::now().checked_sub(args.since).unwrap_or(Timestamp::UNIX_EPOCH);
    let mut tail = Tail {
        client: Client::new(&deployed.connection.sdk),
        group,
        streams,
        pattern: args.filter.as_deref(),
        start_ms: begin.as_millisecond().max(0),
        latest_ms: 0,
        seen: HashMap::new(),
    };
    let shown = tail.show_new(context).await?;
    if args.follow {
        loop {
            tokio::time::sleep(FOLLOW_PAUSE).await;
            tail.show_new(context).await?;
        }
    }
    if shown == 0 {
        let since = format!("no events since {begin:.0}; --since looks further back, such as `--since 7d`");
        context.console.note(since);
    }
    Ok(())
}

/// The log group of what goes by that name, and its streams there; none means all.
fn place<'a>(deployed: &'a Deployed, name: &str) -> Result<(&'a str, Vec<&'a str>), CliError> {
    if let Some(group) = deployed.identity(LOG_GROUP, name) {
        return Ok((group, Vec::new()));
    }
    let crawlers = deployed.identities(CRAWLER);
    if name == CRAWLERS && !crawlers.is_empty() {
        return Ok((CRAWLERS_LOG_GROUP, crawlers));
    }
    let mut names = deployed.names(LOG_GROUP);
    names.extend((!crawlers.is_empty()).then_some(CRAWLERS));
    Err(CliError::usage(format!("there is no log of `{name}`"))
        .hint(format!("there are logs of: {}", names.join(", "))))
}

/// The end of a log group, as far as it has been shown.
struct Tail<'a> {
    client: Client,
    group: &'a str,
    /// The streams to look at; all of the group when there are none.
    streams: Vec<&'a str>,
    pattern: Option<&'a str>,
    start_ms: i64,
    latest_ms: i64,
    /// Events shown, by id, with their time: those that may come up again.
    seen: HashMap<String, i64>,
}

impl Tail<'_> {
    /// Shows what has not been shown, and tells how much that was.
    async fn show_new(&mut self, context: &Context) -> Result<usize, CliError> {
        let streams: Vec<Option<&str>> = match self.streams.is_empty() {
            true => vec![None],
            false => self.streams.iter().copied().map(Some).collect(),
        };
        let mut shown = 0;
        // One by one: a stream that is not there yet would refuse all of them.
        for stream in streams {
            shown += self.show_new_of(context, stream).await?;
        }
        self.start_ms = self.start_ms.max(self.latest_ms - LATE_MS_MAX);
        self.seen.retain(|_, time| *time >= self.start_ms);
        Ok(shown)
    }

    async fn show_new_of(&mut self, context: &Context, stream: Option<&str>) -> Result<usize, CliError> {
        let request = self.client.filter_log_events().log_group_name(self.group).start_time(self.start_ms);
        let request = request.set_log_stream_names(stream.map(|stream| vec![stream.to_owned()]));
        let mut pages = request.set_filter_pattern(self.pattern.map(str::to_owned)).into_paginator().send();
        let mut shown = 0;
        while let Some(page) = pages.next().await {
            let page = match page {
                // Glue makes group and stream when a crawler first runs.
                Err(error)
                    if stream.is_some()
                        && error
                            .as_service_error()
                            .is_some_and(FilterLogEventsError::is_resource_not_found_exception) =>
                {
                    return Ok(0);
                }
                page => page.map_err(|error| super::service_error("logs:FilterLogEvents", self.group, error))?,
            };
            for event in page.events() {
                let (id, time) = (event.event_id().unwrap_or_default(), event.timestamp().unwrap_or_default());
                if self.seen.insert(id.to_owned(), time).is_none() {
                    show(context, event)?;
                    shown += 1;
                }
                self.latest_ms = self.latest_ms.max(time);
            }
        }
        Ok(shown)
    }
}

fn show(context: &Context, event: &FilteredLogEvent) -> Result<(), CliError> {
    let console = &context.console;
    let timestamp = Timestamp::from_millisecond(event.timestamp().unwrap_or_default()).unwrap_or(Timestamp::UNIX_EPOCH);
    let message = event.message().unwrap_or_default().trim_end();
    if console.is_json() {
        return console.json(&Line { timestamp, stream: event.log_stream_name().unwrap_or_default(), message });
    }
    let time = console.paint(format!("{timestamp:.3}"), Style::Faint);
    let (level, text) = readable(message);
    for (index, line) in text.lines().enumerate() {
        let line = printable(&line.replace('\t', "  "));
        let line = level.map_or(line.clone(), |style| console.paint(line, style));
        match index {
            0 => console.say(format!("{time}  {line}")),
            _ => console.say(format!("{:24}  {line}", "")),
        }
    }
    Ok(())
}

/// Fields of a function's JSON lines that say nothing to a person who reads the line.
const FIELDS_LEFT_OUT: [&str; 5] = ["timestamp", "level", "message", "target", "span"];

/// A line as a person reads it, and its colour when it is of a special kind: a function's own lines are JSON.
fn readable(message: &str) -> (Option<Style>, String) {
    let Ok(Value::Object(line)) = serde_json::from_str(message) else { return (None, message.to_owned()) };
    let text = |value: &Value| value.as_str().map_or_else(|| value.to_string(), str::to_owned);
    if line.contains_key("_aws") {
        let run = line.get("run").and_then(|run| run.get("id")).map(text).unwrap_or_default();
        let count = |name: &str| line.get(name).map(text).unwrap_or_default();
        // The metric counts rows of the data file; a transform may have made several of one that was kept.
        let kept = line.get("run").and_then(|run| run.pointer("/report/kept")).map(text);
        let kept = kept.unwrap_or_else(|| count("RowsWritten"));
        let filtered = match count("RowsFiltered").as_str() {
            "" | "0" => String::new(),
            filtered => format!("{filtered} filtered, "),
        };
        let (read, rejected, took) = (count("RowsRead"), count("RowsRejected"), count("Duration"));
        let report = format!("RUN {run}: {read} rows read, {kept} kept, {filtered}{rejected} rejected, {took} ms");
        return (Some(Style::Strong), report);
    }
    let (Some(level), Some(said)) = (line.get("level").map(text), line.get("message").map(text)) else {
        return (None, message.to_owned());
    };
    let fields = line.iter().filter(|(name, _)| !FIELDS_LEFT_OUT.contains(&name.as_str()));
    let fields: String = fields.map(|(name, value)| format!(" {name}={}", text(value))).collect();
    let style = match level.as_str() {
        "ERROR" => Some(Style::Bad),
        "WARN" => Some(Style::Changed),
        _ => None,
    };
    (style, format!("{level} {said}{fields}"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_functions_json_lines_are_told_in_words_and_others_as_they_are() {
        let line =
            r#"{"timestamp":"2025-01-01T00:00:00Z","level":"ERROR","message":"it failed","key":"a.csv","target":"x"}"#;
        assert_eq!(readable(line).1, "ERROR it failed key=a.csv");
        let line = r#"{"_aws":{},"RowsRead":20,"RowsWritten":11,"RowsRejected":9,"Duration":7,"run":{"id":"r1"}}"#;
        assert_eq!(readable(line).1, "RUN r1: 20 rows read, 11 kept, 9 rejected, 7 ms");
        let line = line.replace(r#""RowsRejected":9"#, r#""RowsFiltered":7,"RowsRejected":3"#);
        let line = line.replace(r#""id":"r1""#, r#""id":"r1","report":{"kept":10}"#);
        assert_eq!(readable(&line).1, "RUN r1: 20 rows read, 10 kept, 7 filtered, 3 rejected, 7 ms");
        for line in ["START RequestId: 1 Version: $LATEST", "[1]", "{\"a\":1}"] {
            assert_eq!(readable(line).1, line);
        }
    }

    #[test]
    fn durations_are_read_as_people_write_them() {
        assert_eq!(duration("90s"), Ok(SignedDuration::from_secs(90)));
        assert_eq!(duration("10m"), Ok(SignedDuration::from_mins(10)));
        assert_eq!(duration("1h30m"), Ok(SignedDuration::from_mins(90)));
        assert_eq!(duration("3d"), Ok(SignedDuration::from_hours(72)));
        for wrong in ["", "yesterday", "-5m", "5"] {
            assert!(duration(wrong).is_err(), "{wrong}");
        }
    }
}
