//! The lines that Lambda itself writes into a function's log, as text or as JSON.
//! <https://docs.aws.amazon.com/lambda/latest/dg/monitoring-cloudwatchlogs-advanced.html>

use std::time::Duration;

use serde_json::{Value, json};

use super::model::{Function, LogFormat};

/// How an invocation ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Status {
    /// It answered, with a result or with an error of its own.
    Success,
    /// Runtime or process failed; the error's type.
    Error(&'static str),
    /// Out of time.
    Timeout,
}

/// What is told of an invocation at its end.
pub(super) struct Report<'a> {
    pub request_id: &'a str,
    pub duration: Duration,
    /// Of the environment that began with this invocation.
    pub init: Option<Duration>,
    pub max_memory_mb: u64,
    pub status: Status,
}

pub(super) fn init_start(function: &Function) -> String {
    let runtime = function.settings.runtime.replace('.', ":");
    event(function, format!("INIT_START Runtime Version: {runtime}"), "platform.initStart", || {
        json!({ "initializationType": "on-demand", "phase": "init", "runtimeVersion": runtime,
            "functionName": function.name, "functionVersion": "$LATEST" })
    })
}

pub(super) fn init_report(function: &Function, duration: Duration, status: Status) -> String {
    let text = match status {
        Status::Timeout => "timeout".to_owned(),
        Status::Error(kind) => format!("error\tError Type: {kind}"),
        Status::Success => "success".to_owned(),
    };
    let line = format!("INIT_REPORT Init Duration: {} ms\tPhase: init\tStatus: {text}", ms(duration));
    event(function, line, "platform.initReport", || {
        json!({ "initializationType": "on-demand", "phase": "init", "status": status_name(status),
            "metrics": { "durationMs": duration.as_secs_f64() * 1000.0 } })
    })
}

pub(super) fn start(function: &Function, request_id: &str) -> String {
    event(
        function,
        format!("START RequestId: {request_id} Version: $LATEST"),
        "platform.start",
        || json!({ "requestId": request_id, "version": "$LATEST" }),
    )
}

pub(super) fn end(function: &Function, request_id: &str, status: Status) -> String {
    event(
        function,
        format!("END RequestId: {request_id}"),
        "platform.runtimeDone",
        || json!({ "requestId": request_id, "status": status_name(status) }),
    )
}

pub(super) fn report(function: &Function, report: &Report<'_>) -> String {
    let memory = function.settings.memory_mb;
    let billed = (report.duration + report.init.unwrap_or_default()).as_secs_f64() * 1000.0;
    let billed = billed.ceil();
    let mut line = format!(
        "REPORT RequestId: {}\tDuration: {} ms\tBilled Duration: {billed} ms\tMemory Size: {memory} MB\tMax Memory \
         Used: {} MB",
        report.request_id,
        ms(report.duration),
        report.max_memory_mb
    );
    if let Some(init) = report.init {
        line += &format!("\tInit Duration: {} ms", ms(init));
    }
    match report.status {
        Status::Success => {}
        Status::Error(kind) => line += &format!("\tStatus: error\tError Type: {kind}"),
        Status::Timeout => line += "\tStatus: timeout",
    }
    event(function, line, "platform.report", || {
        let mut record = json!({
            "requestId": report.request_id,
            "status": status_name(report.status),
            "metrics": {
                "durationMs": report.duration.as_secs_f64() * 1000.0,
                "billedDurationMs": billed,
                "memorySizeMB": memory,
                "maxMemoryUsedMB": report.max_memory_mb,
            },
        });
        if let Some(init) = report.init {
            record["metrics"]["initDurationMs"] = (init.as_secs_f64() * 1000.0).into();
        }
        if let Status::Error(kind) = report.status {
            record["errorType"] = kind.into();
        }
        record
    })
}

fn event(function: &Function, text: String, kind: &str, record: impl FnOnce() -> Value) -> String {
    match function.settings.log_format {
        LogFormat::Text => text,
        LogFormat::Json => {
            let time = jiff::Timestamp::now().strftime("%Y-%m-%dT%H:%M:%S%.3fZ").to_string();
            json!({ "time": time, "type": kind, "record": record() }).to_string()
        }
    }
}

fn status_name(status: Status) -> &'static str {
    match status {
        Status::Success => "success",
        Status::Error(_) => "error",
        Status::Timeout => "timeout",
    }
}

fn ms(duration: Duration) -> String {
    format!("{:.2}", duration.as_secs_f64() * 1000.0)
}
