//! Crawls that have ended, and what they add up to.
//! <https://docs.aws.amazon.com/glue/latest/webapi/API_ListCrawls.html>
//! <https://docs.aws.amazon.com/glue/latest/webapi/API_GetCrawlerMetrics.html>

use redb::ReadTransaction;
use serde::Deserialize;
use serde_json::{Value, json};

use super::{
    api::with_token,
    log,
    model::{CRAWLERS, CRAWLS, Counts, Crawl, Crawler, Outcome, seconds},
    state,
};
use crate::cloud::{
    error::ApiError,
    glue::{Paging, Scope, at_most, invalid, page},
};

/// Most crawls, or crawlers, of a page.
const PAGE_ENTRIES: usize = 1000;
/// Most crawlers that are asked for by name.
const NAMES: usize = 100;
/// Crawls that a median is taken of.
const MEDIAN_CRAWLS: usize = 100;

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
pub(in crate::cloud::glue) struct ListCrawls {
    crawler_name: String,
    #[serde(default)]
    filters: Option<Vec<CrawlFilter>>,
    #[serde(flatten)]
    paging: Paging,
}

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
struct CrawlFilter {
    field_name: String,
    filter_operator: String,
    field_value: String,
}

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
pub(in crate::cloud::glue) struct GetMetrics {
    crawler_name_list: Option<Vec<String>>,
    #[serde(flatten)]
    paging: Paging,
}

/// The crawl under way first, then the ended ones from new to old.
pub(in crate::cloud::glue) fn crawls(
    tx: &ReadTransaction,
    scope: &Scope,
    input: ListCrawls,
) -> Result<Value, ApiError> {
    let crawler = state::existing(tx, scope, &input.crawler_name)?;
    let filters = input.filters.unwrap_or_default();
    filters.iter().try_for_each(CrawlFilter::check)?;
    let inside = scope.inside(&[&input.crawler_name]);
    let shown = |crawl: &Value| filters.iter().all(|filter| filter.matches(crawl));
    let first = input.paging.next_token.is_none();
    let (ended, next) = page(tx, &CRAWLS, &inside, &input.paging, PAGE_ENTRIES, |_, crawl: &Crawl| {
        shown(&told(&input.crawler_name, crawl))
    })?;
    let under_way = crawler.run.filter(|_| first).map(|run| {
        json!({
            "CrawlId": run.id, "State": "RUNNING", "StartTime": seconds(run.started), "DPUHour": 0.0,
            "LogGroup": log::GROUP, "LogStream": input.crawler_name, "MessagePrefix": run.id,
        })
    });
    let ended = ended.iter().map(|crawl| told(&input.crawler_name, crawl));
    let crawls: Vec<Value> = under_way.filter(|crawl| shown(crawl)).into_iter().chain(ended).collect();
    Ok(with_token(json!({ "Crawls": crawls }), next))
}

fn told(crawler: &str, crawl: &Crawl) -> Value {
    let (state, summary) = match &crawl.outcome {
        Outcome::Succeeded(counts) => ("COMPLETED", summary(counts)),
        Outcome::Cancelled => ("STOPPED", None),
        Outcome::Failed(_) => ("FAILED", None),
    };
    let mut told = json!({
        "CrawlId": crawl.id,
        "State": state,
        "StartTime": seconds(crawl.started),
        "EndTime": seconds(crawl.ended),
        "LogGroup": log::GROUP,
        "LogStream": crawler,
        "MessagePrefix": crawl.id,
        // Nothing is paid for here.
        "DPUHour": 0.0,
    });
    if let Some(summary) = summary {
        told["Summary"] = summary.into();
    }
    if let Some(message) = crawl.outcome.error() {
        told["ErrorMessage"] = message.into();
    }
    told
}

/// "A run summary for the specific crawl in JSON": what was added, updated and deleted.
fn summary(counts: &Counts) -> Option<String> {
    let part = |added: u64, updated: u64, deleted: u64| {
        let all = [("ADD", added), ("UPDATE", updated), ("DELETE", deleted)];
        let some: serde_json::Map<String, Value> = all
            .iter()
            .filter(|(_, count)| *count > 0)
            .map(|(name, count)| ((*name).to_owned(), json!(count)))
            .collect();
        (!some.is_empty()).then(|| Value::Object(some).to_string())
    };
    let tables = part(counts.tables_created, counts.tables_updated, counts.tables_deleted);
    let partitions = part(counts.partitions_created, counts.partitions_updated, counts.partitions_deleted);
    let mut summary = serde_json::Map::new();
    summary.extend(tables.map(|text| ("TABLE".to_owned(), text.into())));
    summary.extend(partitions.map(|text| ("PARTITION".to_owned(), text.into())));
    (!summary.is_empty()).then(|| Value::Object(summary).to_string())
}

impl CrawlFilter {
    fn check(&self) -> Result<(), ApiError> {
        let number = self.field_value.parse::<f64>().is_ok();
        let known = match self.field_name.as_str() {
            "CRAWL_ID" | "STATE" => matches!(self.filter_operator.as_str(), "EQ" | "NE"),
            "START_TIME" | "END_TIME" | "DPU_HOUR" => {
                number && matches!(self.filter_operator.as_str(), "GT" | "GE" | "LT" | "LE" | "EQ" | "NE")
            }
            _ => false,
        };
        if known {
            return Ok(());
        }
        let CrawlFilter { field_name, filter_operator, field_value } = self;
        Err(invalid(format!("{field_name} {filter_operator} {field_value} is not a filter of crawls")))
    }

    /// Times are asked for in milliseconds since 1970.
    fn matches(&self, crawl: &Value) -> bool {
        let (member, factor) = match self.field_name.as_str() {
            "CRAWL_ID" => ("CrawlId", 1.0),
            "STATE" => ("State", 1.0),
            "START_TIME" => ("StartTime", 1000.0),
            "END_TIME" => ("EndTime", 1000.0),
            _ => ("DPUHour", 1.0),
        };
        let order = match &crawl[member] {
            Value::String(text) => Some(text.as_str().cmp(&self.field_value)),
            value => {
                let wanted = self.field_value.parse::<f64>().unwrap_or_default();
                value.as_f64().and_then(|value| (value * factor).partial_cmp(&wanted))
            }
        };
        order.is_some_and(|order| match self.filter_operator.as_str() {
            "GT" => order.is_gt(),
            "GE" => order.is_ge(),
            "LT" => order.is_lt(),
            "LE" => order.is_le(),
            "EQ" => order.is_eq(),
            _ => order.is_ne(),
        })
    }
}

pub(in crate::cloud::glue) fn metrics(
    tx: &ReadTransaction,
    scope: &Scope,
    input: GetMetrics,
) -> Result<Value, ApiError> {
    let names = input.crawler_name_list.unwrap_or_default();
    at_most(names.len(), NAMES, "crawlerNameList")?;
    let (crawlers, next) = match names.is_empty() {
        true => page(tx, &CRAWLERS, &scope.inside(&[]), &input.paging, PAGE_ENTRIES, |_, _| true)?,
        false => {
            let mut found = Vec::new();
            for name in &names {
                found.extend(CRAWLERS.get(tx, &scope.key(&[name]))?);
            }
            (found, None)
        }
    };
    let mut metrics = Vec::new();
    for crawler in &crawlers {
        let crawls = CRAWLS.scan(tx, &scope.inside(&[&crawler.definition.name]), None, MEDIAN_CRAWLS)?;
        metrics.push(metrics_of(crawler, crawls.into_iter().map(|(_, crawl)| crawl)));
    }
    Ok(with_token(json!({ "CrawlerMetricsList": metrics }), next))
}

fn metrics_of(crawler: &Crawler, crawls: impl Iterator<Item = Crawl>) -> Value {
    let mut times: Vec<i64> = crawls.map(|crawl| crawl.ended - crawl.started).collect();
    let last = times.first().copied().unwrap_or_default();
    times.sort_unstable();
    let median = times.get(times.len() / 2).copied().unwrap_or_default();
    let counts = match crawler.last.as_ref().map(|last| &last.outcome) {
        Some(Outcome::Succeeded(counts)) => (**counts).clone(),
        _ => Counts::default(),
    };
    json!({
        "CrawlerName": crawler.definition.name,
        "TimeLeftSeconds": 0.0,
        "StillEstimating": crawler.run.is_some(),
        "LastRuntimeSeconds": last as f64 / 1000.0,
        "MedianRuntimeSeconds": median as f64 / 1000.0,
        "TablesCreated": counts.tables_created,
        "TablesUpdated": counts.tables_updated,
        "TablesDeleted": counts.tables_deleted,
    })
}
