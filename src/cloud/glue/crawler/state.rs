//! The states of a crawler, READY → RUNNING → STOPPING → READY, each step one transaction with its event.
//! <https://docs.aws.amazon.com/glue/latest/dg/aws-glue-api-crawler-crawling.html>
//!
//! A crawl that succeeds is STOPPING from the moment in which its results are in the catalog; its event goes out when
//! the crawler is READY again, so that whoever hears of it may start the next crawl. A crawl that is stopped ends as
//! CANCELLED; AWS documents no event for that.

use jiff::Timestamp;
use redb::WriteTransaction;
use serde_json::{Value, json};

use super::{
    log,
    model::{CRAWLERS, CRAWLS, Counts, Crawl, Crawler, Outcome, Run, State},
};
use crate::cloud::{
    delivery::{Exchange, ServiceEvent},
    error::ApiError,
    glue::{CHUNK_ENTRIES, Scope, notice},
    service::ACCOUNT_ID,
    store::Transaction,
};

/// Crawls of a crawler that are remembered after their end.
const REMEMBERED_CRAWLS: usize = 100;

/// The crawler called `name`.
pub(super) fn existing(tx: &impl Transaction, scope: &Scope, name: &str) -> Result<Crawler, ApiError> {
    let crawler = CRAWLERS.get(tx, &scope.key(&[name]))?;
    crawler.ok_or_else(|| super::not_found(format!("Crawler entry with name {name} does not exist")))
}

/// Begins a crawl; gives its id.
pub(super) fn start(tx: &WriteTransaction, scope: &Scope, exchange: &Exchange, name: &str) -> Result<String, ApiError> {
    let mut crawler = existing(tx, scope, name)?;
    if crawler.state != State::Ready {
        return Err(running(format!("Crawler with name {name} has already started")));
    }
    // Two crawls of a crawler differ in when they began, however fast they are.
    let earliest = crawler.last.as_ref().map_or(0, |last| last.started + 1);
    let run = Run { id: uuid::Uuid::new_v4().to_string(), started: log::now().max(earliest), outcome: None };
    let id = run.id.clone();
    let members = json!({ "startTime": instant(run.started), "message": "Crawler Started" });
    crawler.state = State::Running;
    crawler.run = Some(run);
    CRAWLERS.put(tx, &scope.key(&[name]), &crawler)?;
    tell(tx, exchange, &crawler, "Started", members)?;
    Ok(id)
}

/// Tells a crawl to end before its time; gives its id.
pub(super) fn stop(tx: &WriteTransaction, scope: &Scope, name: &str) -> Result<String, ApiError> {
    let mut crawler = existing(tx, scope, name)?;
    match crawler.state {
        State::Ready => {
            return Err(ApiError::client(
                "CrawlerNotRunningException",
                format!("Crawler with name {name} is not running"),
            ));
        }
        State::Stopping => {
            return Err(ApiError::client(
                "CrawlerStoppingException",
                format!("Crawler with name {name} is already stopping"),
            ));
        }
        State::Running => {}
    }
    crawler.state = State::Stopping;
    let run = crawler.run.as_mut().ok_or_else(|| ApiError::internal("a running crawler has no crawl"))?;
    run.outcome = Some(Outcome::Cancelled);
    let id = run.id.clone();
    CRAWLERS.put(tx, &scope.key(&[name]), &crawler)?;
    Ok(id)
}

/// The crawler, if its crawl `id` still runs and nobody has stopped it.
pub(super) fn at_work(tx: &impl Transaction, scope: &Scope, name: &str, id: &str) -> Result<Option<Crawler>, ApiError> {
    let crawler = CRAWLERS.get(tx, &scope.key(&[name]))?;
    Ok(crawler.filter(|crawler| {
        crawler.state == State::Running && crawler.run.as_ref().is_some_and(|run| run.id == id && run.outcome.is_none())
    }))
}

/// The catalog has what the crawl found: nothing stops it any more.
pub(super) fn wrote(
    tx: &WriteTransaction,
    scope: &Scope,
    mut crawler: Crawler,
    counts: Counts,
) -> Result<(), ApiError> {
    crawler.state = State::Stopping;
    if let Some(run) = &mut crawler.run {
        run.outcome = Some(Outcome::Succeeded(Box::new(counts)));
    }
    Ok(CRAWLERS.put(tx, &scope.key(&[&crawler.definition.name]), &crawler)?)
}

/// Ends the crawl: as was decided before, else with `outcome`. Gives how it ended, unless it had ended before.
pub(super) fn finish(
    tx: &WriteTransaction,
    scope: &Scope,
    exchange: &Exchange,
    name: &str,
    id: &str,
    outcome: Outcome,
) -> Result<Option<Outcome>, ApiError> {
    let Some(mut crawler) = CRAWLERS.get(tx, &scope.key(&[name]))? else { return Ok(None) };
    let Some(run) = crawler.run.take_if(|run| run.id == id) else { return Ok(None) };
    let outcome = run.outcome.unwrap_or(outcome);
    let crawl = Crawl { id: run.id, started: run.started, ended: log::now().max(run.started), outcome };
    crawler.state = State::Ready;
    remember(tx, scope, name, &crawl)?;
    tell_end(tx, exchange, &crawler, &crawl)?;
    let outcome = crawl.outcome.clone();
    crawler.last = Some(crawl);
    CRAWLERS.put(tx, &scope.key(&[name]), &crawler)?;
    Ok(Some(outcome))
}

/// Ends the crawls that were under way when the cloud died: as decided before, else as failed. AWS's crawlers fail so
/// too when something of Glue's own breaks, and whoever waits for a crawl hears of a failure and starts another.
/// Gives crawler and crawl of each.
pub(super) fn recover(tx: &WriteTransaction, exchange: &Exchange) -> Result<Vec<(String, String, String)>, ApiError> {
    let mut found = Vec::new();
    let mut after: Option<String> = None;
    loop {
        let chunk = CRAWLERS.scan(tx, "", after.as_deref(), CHUNK_ENTRIES)?;
        let last = chunk.len() < CHUNK_ENTRIES;
        for (key, crawler) in chunk {
            if let Some(run) = crawler.run {
                found.push((crawler.region, crawler.definition.name, run.id));
            }
            after = Some(key);
        }
        if last {
            break;
        }
    }
    for (region, name, id) in &found {
        let scope = Scope::internal(region, String::new());
        finish(tx, &scope, exchange, name, id, Outcome::Failed(super::INTERNAL_FAILURE.to_owned()))?;
    }
    Ok(found)
}

fn remember(tx: &WriteTransaction, scope: &Scope, name: &str, crawl: &Crawl) -> Result<(), ApiError> {
    let inside = scope.inside(&[name]);
    let newest_first = format!("{:020}", i64::MAX - crawl.started);
    CRAWLS.put(tx, &format!("{inside}{newest_first}"), crawl)?;
    for (key, _) in CRAWLS.scan(tx, &inside, None, REMEMBERED_CRAWLS + 1)?.into_iter().skip(REMEMBERED_CRAWLS) {
        CRAWLS.delete(tx, &key)?;
    }
    Ok(())
}

fn tell_end(tx: &WriteTransaction, exchange: &Exchange, crawler: &Crawler, crawl: &Crawl) -> Result<(), ApiError> {
    match &crawl.outcome {
        Outcome::Cancelled => Ok(()),
        Outcome::Failed(message) => {
            let members = json!({ "errorMessage": message, "message": "Crawler Failed" });
            tell(tx, exchange, crawler, "Failed", members)
        }
        Outcome::Succeeded(counts) => {
            let members = json!({
                "message": "Crawler Succeeded",
                "completionDate": instant(crawl.ended),
                "runningTime (sec)": ((crawl.ended - crawl.started) / 1000).to_string(),
                "tablesCreated": counts.tables_created.to_string(),
                "tablesUpdated": counts.tables_updated.to_string(),
                "tablesDeleted": counts.tables_deleted.to_string(),
                "partitionsCreated": counts.partitions_created.to_string(),
                "partitionsUpdated": counts.partitions_updated.to_string(),
                "partitionsDeleted": counts.partitions_deleted.to_string(),
                "warningMessage": counts.warning.as_deref().unwrap_or("N/A"),
            });
            tell(tx, exchange, crawler, "Succeeded", members)
        }
    }
}

/// Emits a `Glue Crawler State Change`.
/// <https://docs.aws.amazon.com/glue/latest/dg/automating-awsglue-with-cloudwatch-events.html>
fn tell(
    tx: &WriteTransaction,
    exchange: &Exchange,
    crawler: &Crawler,
    state: &str,
    members: Value,
) -> Result<(), ApiError> {
    let (region, name) = (&crawler.region, &crawler.definition.name);
    let mut detail = json!({ "accountId": ACCOUNT_ID, "crawlerName": name, "state": state });
    if let (Value::Object(detail), Value::Object(members)) = (&mut detail, members) {
        detail.extend(members);
        if state != "Started" {
            let link = format!(
                "https://console.aws.amazon.com/cloudwatch/home?region={region}#logEventViewer:group={};stream={name}",
                log::GROUP
            );
            detail.insert("cloudWatchLogLink".to_owned(), link.into());
        }
    }
    let event =
        ServiceEvent { source: "aws.glue", detail_type: "Glue Crawler State Change", resources: Vec::new(), detail };
    notice::send(exchange, tx, region, event)
}

pub(super) fn running(message: String) -> ApiError {
    ApiError::client("CrawlerRunningException", message)
}

/// A time in whole seconds, as events tell it.
fn instant(milliseconds: i64) -> String {
    let time = Timestamp::from_millisecond(milliseconds).unwrap_or_default();
    time.strftime("%Y-%m-%dT%H:%M:%SZ").to_string()
}
