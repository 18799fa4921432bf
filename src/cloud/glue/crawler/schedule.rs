//! Schedules: crawlers here start when they are told to, so that there are none to start, stop or set. Each
//! operation answers as it does on AWS for a crawler without a schedule.
//! <https://docs.aws.amazon.com/glue/latest/dg/aws-glue-api-crawler-scheduler.html>

use redb::ReadTransaction;
use serde::Deserialize;

use super::state;
use crate::cloud::{
    error::ApiError,
    glue::{Empty, Scope, invalid},
};

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
pub(in crate::cloud::glue) struct ScheduledCrawler {
    crawler_name: String,
    schedule: Option<String>,
}

pub(in crate::cloud::glue) fn start(
    tx: &ReadTransaction,
    scope: &Scope,
    input: ScheduledCrawler,
) -> Result<Empty, ApiError> {
    state::existing(tx, scope, &input.crawler_name)?;
    Err(ApiError::client("NoScheduleException", format!("Crawler {} has no schedule", input.crawler_name)))
}

pub(in crate::cloud::glue) fn stop(
    tx: &ReadTransaction,
    scope: &Scope,
    input: ScheduledCrawler,
) -> Result<Empty, ApiError> {
    state::existing(tx, scope, &input.crawler_name)?;
    Err(ApiError::client(
        "SchedulerNotRunningException",
        format!("The schedule of crawler {} is not running", input.crawler_name),
    ))
}

pub(in crate::cloud::glue) fn update(
    tx: &ReadTransaction,
    scope: &Scope,
    input: ScheduledCrawler,
) -> Result<Empty, ApiError> {
    state::existing(tx, scope, &input.crawler_name)?;
    match input.schedule.filter(|schedule| !schedule.is_empty()) {
        None => Ok(Empty {}),
        Some(schedule) => Err(invalid(format!(
            "the embedded cloud's crawlers have no schedules: `{schedule}` is not set; let an EventBridge schedule \
             start the crawler"
        ))),
    }
}
