//! One handler a face: reads the event, calls the room that does the work, logs, and answers Lambda.

use std::io::Write;

use jiff::{SignedDuration, Timestamp};
use lambda_runtime::Diagnostic;
use serde_json::Value;

use super::{Services, diagnostic, environment::Environment};
use crate::pipeline::{
    Invocation,
    convert::{self, ConvertError, Event},
    crawl::{self, CrawlEnd},
    intake,
    ledger::Run,
    metrics, sweep,
};

pub(super) async fn intake(environment: &Environment, services: &Services, event: &Value) -> Result<Value, Diagnostic> {
    let raw_bucket = &environment.names.raw_bucket;
    match intake::intake(&services.aws, &services.manifest, raw_bucket, event).await {
        Ok(noted) => {
            tracing::info!(noted = ?noted.noted, ignored = ?noted.ignored, "the event is written down");
            Ok(serde_json::to_value(noted).unwrap_or_default())
        }
        Err(error) => {
            for failure in &error.failures {
                tracing::error!(failure, "an object could not be noted");
            }
            Err(diagnostic("IntakeError", error))
        }
    }
}

pub(super) async fn convert(
    environment: &Environment,
    services: &Services,
    invocation: &Invocation,
    event: &Value,
) -> Result<Value, Diagnostic> {
    match Event::read(event).map_err(|error| diagnostic("EventError", error))? {
        Event::Marker(marker) => convert_marker(environment, services, invocation, &marker).await,
        Event::CrawlEnded(end) => hear(environment, services, invocation, &end).await,
    }
}

async fn convert_marker(
    environment: &Environment,
    services: &Services,
    invocation: &Invocation,
    marker: &str,
) -> Result<Value, Diagnostic> {
    match convert::convert(&services.aws, &services.manifest, invocation, marker).await {
        Ok(answer) => {
            report(environment, &answer.runs);
            tracing::info!(marker, outcome = ?answer.outcome, "done");
            Ok(serde_json::to_value(answer).unwrap_or_default())
        }
        Err(error) => Err(failed(environment, &error)),
    }
}

async fn hear(
    environment: &Environment,
    services: &Services,
    invocation: &Invocation,
    end: &CrawlEnd,
) -> Result<Value, Diagnostic> {
    let CrawlEnd { crawler, failure } = end;
    match crawl::heard(&services.aws, &services.manifest, invocation, end).await {
        Ok(heard) => {
            if let Some(answer) = &heard.converted {
                report(environment, &answer.runs);
            }
            tracing::info!(crawler, ?failure, ?heard, "the end of a crawl is heard");
            Ok(serde_json::to_value(heard).unwrap_or_default())
        }
        Err(error) => Err(failed(environment, &error)),
    }
}

pub(super) async fn sweep(
    environment: &Environment,
    services: &Services,
    invocation: &Invocation,
    event: &Value,
) -> Result<Value, Diagnostic> {
    if !event.is_object() {
        return Err(diagnostic("EventError", "sweep takes any JSON object; a schedule sends one"));
    }
    let grace = event.get("grace_seconds").and_then(Value::as_u64).and_then(|it| i64::try_from(it).ok());
    let grace = SignedDuration::from_secs(grace.unwrap_or(sweep::GRACE_SECONDS));
    let swept = sweep::sweep_older(&services.aws, &services.manifest, invocation, grace).await;
    let names = &environment.names;
    write_lines([metrics::sweep_line(&names.lake, &names.stack, &swept, Timestamp::now())]);
    match &swept.stopped_at {
        Some(dataset) => tracing::warn!(?swept, "the time was over at {dataset}; the next sweep begins elsewhere"),
        None => tracing::info!(?swept, "swept"),
    }
    match swept.failures.first() {
        None => Ok(serde_json::to_value(&swept).unwrap_or_default()),
        Some(first) => {
            let message = format!("{} things could not be done; first: {first}", swept.failures.len());
            Err(diagnostic("SweepError", message))
        }
    }
}

fn failed(environment: &Environment, error: &ConvertError) -> Diagnostic {
    report(environment, &error.runs);
    diagnostic(&error.failure.code, &error.failure.message)
}

fn report(environment: &Environment, runs: &[Run]) {
    let names = &environment.names;
    write_lines(runs.iter().map(|run| metrics::line(&names.lake, &names.stack, run)));
}

/// Each a line of its own: CloudWatch takes metrics from lines that are nothing but their JSON.
fn write_lines(lines: impl IntoIterator<Item = String>) {
    let mut out = std::io::stdout().lock();
    for line in lines {
        if let Err(error) = writeln!(out, "{line}") {
            tracing::warn!(%error, "metrics could not be written");
        }
    }
}
