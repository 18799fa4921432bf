//! The operations on crawlers that are one transaction each.
//! <https://docs.aws.amazon.com/glue/latest/dg/aws-glue-api-crawler-crawling.html>

use redb::{ReadTransaction, WriteTransaction};
use serde::Deserialize;
use serde_json::{Value, json};

use super::{
    PRINCIPAL, classifier, log,
    model::{CRAWLERS, CRAWLS, Crawler, Settings, State},
    state,
};
use crate::cloud::{
    error::ApiError,
    glue::{
        Empty, NAME_BYTES, Paging, Scope, already_exists, at_most, invalid, model::Map, page, remove_all, single_line,
        tags,
    },
    iam,
    store::Transaction,
};

/// Crawlers of one account and region; AWS's default quota.
const CRAWLERS_PER_REGION: usize = 1000;
/// Most crawlers of a page.
const PAGE_ENTRIES: usize = 1000;
/// Most names of one page or batch.
const NAMES: usize = 100;

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
pub(in crate::cloud::glue) struct CreateCrawler {
    name: String,
    tags: Option<Map>,
    #[serde(flatten)]
    settings: Settings,
}

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
pub(in crate::cloud::glue) struct UpdateCrawler {
    name: String,
    #[serde(flatten)]
    settings: Settings,
}

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
pub(in crate::cloud::glue) struct NamedCrawler {
    pub(super) name: String,
}

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
pub(in crate::cloud::glue) struct BatchGetCrawlers {
    crawler_names: Vec<String>,
}

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
pub(in crate::cloud::glue) struct ListCrawlers {
    tags: Option<Map>,
    #[serde(flatten)]
    paging: Paging,
}

pub(in crate::cloud::glue) fn create(
    tx: &WriteTransaction,
    scope: &Scope,
    input: CreateCrawler,
) -> Result<Empty, ApiError> {
    let name = input.name;
    check_name(&name)?;
    let key = scope.key(&[&name]);
    if CRAWLERS.get(tx, &key)?.is_some() {
        return Err(already_exists(&format!("Crawler with name {name} already exists")));
    }
    if CRAWLERS.scan(tx, &scope.inside(&[]), None, CRAWLERS_PER_REGION)?.len() >= CRAWLERS_PER_REGION {
        return Err(ApiError::client(
            "ResourceNumberLimitExceededException",
            format!("{} has {CRAWLERS_PER_REGION} crawlers, which is the limit", scope.region),
        ));
    }
    let definition = input.settings.applied_to(&name, None)?;
    check_role(tx, &definition.role)?;
    classifier::all_exist(tx, scope, &definition.classifiers)?;
    if let Some(given) = input.tags {
        tags::set(tx, &tags::crawler_arn(scope, &name), given)?;
    }
    let now = log::now();
    let crawler = Crawler {
        definition,
        region: scope.region.clone(),
        state: State::Ready,
        version: 1,
        created: now,
        updated: now,
        run: None,
        last: None,
    };
    CRAWLERS.put(tx, &key, &crawler)?;
    Ok(Empty {})
}

pub(in crate::cloud::glue) fn update(
    tx: &WriteTransaction,
    scope: &Scope,
    input: UpdateCrawler,
) -> Result<Empty, ApiError> {
    let mut crawler = state::existing(tx, scope, &input.name)?;
    if crawler.state != State::Ready {
        return Err(state::running(format!("Cannot update Crawler {} while running", input.name)));
    }
    crawler.definition = input.settings.applied_to(&input.name, Some(&crawler.definition))?;
    check_role(tx, &crawler.definition.role)?;
    classifier::all_exist(tx, scope, &crawler.definition.classifiers)?;
    crawler.version += 1;
    crawler.updated = log::now();
    CRAWLERS.put(tx, &scope.key(&[&input.name]), &crawler)?;
    Ok(Empty {})
}

pub(in crate::cloud::glue) fn delete(
    tx: &WriteTransaction,
    scope: &Scope,
    input: NamedCrawler,
) -> Result<Empty, ApiError> {
    let crawler = state::existing(tx, scope, &input.name)?;
    if crawler.state != State::Ready {
        return Err(state::running(format!("Cannot delete Crawler {} while running", input.name)));
    }
    CRAWLERS.delete(tx, &scope.key(&[&input.name]))?;
    remove_all(tx, &CRAWLS, &scope.inside(&[&input.name]))?;
    tags::forget(tx, &tags::crawler_arn(scope, &input.name))?;
    Ok(Empty {})
}

pub(in crate::cloud::glue) fn get(tx: &ReadTransaction, scope: &Scope, input: NamedCrawler) -> Result<Value, ApiError> {
    Ok(json!({ "Crawler": state::existing(tx, scope, &input.name)?.told(log::now()) }))
}

pub(in crate::cloud::glue) fn list(tx: &ReadTransaction, scope: &Scope, paging: Paging) -> Result<Value, ApiError> {
    let (crawlers, next) = page(tx, &CRAWLERS, &scope.inside(&[]), &paging, PAGE_ENTRIES, |_, _| true)?;
    let now = log::now();
    let crawlers: Vec<Value> = crawlers.iter().map(|crawler| crawler.told(now)).collect();
    Ok(with_token(json!({ "Crawlers": crawlers }), next))
}

pub(in crate::cloud::glue) fn batch_get(
    tx: &ReadTransaction,
    scope: &Scope,
    input: BatchGetCrawlers,
) -> Result<Value, ApiError> {
    at_most(input.crawler_names.len(), NAMES, "crawlerNames")?;
    let (mut found, mut missing) = (Vec::new(), Vec::new());
    for name in input.crawler_names {
        match CRAWLERS.get(tx, &scope.key(&[&name]))? {
            Some(crawler) => found.push(crawler.told(log::now())),
            None => missing.push(name),
        }
    }
    Ok(json!({ "Crawlers": found, "CrawlersNotFound": missing }))
}

/// Names of the crawlers that bear all the tags asked for.
pub(in crate::cloud::glue) fn names(
    tx: &ReadTransaction,
    scope: &Scope,
    input: ListCrawlers,
) -> Result<Value, ApiError> {
    let wanted = input.tags.unwrap_or_default();
    // A page of this operation has fewer entries than its MaxResults may ask for.
    let limit = input.paging.limit(PAGE_ENTRIES)?.min(NAMES);
    let paging = Paging { max_results: i64::try_from(limit).ok(), ..input.paging };
    let mut failed = None;
    let (crawlers, next) = page(tx, &CRAWLERS, &scope.inside(&[]), &paging, PAGE_ENTRIES, |_, crawler: &Crawler| {
        match tags::of(tx, &tags::crawler_arn(scope, &crawler.definition.name)) {
            Ok(tags) => wanted.iter().all(|(key, value)| tags.get(key) == Some(value)),
            Err(error) => {
                failed = Some(error);
                false
            }
        }
    })?;
    if let Some(error) = failed {
        return Err(error);
    }
    let names: Vec<_> = crawlers.into_iter().map(|crawler| crawler.definition.name).collect();
    Ok(with_token(json!({ "CrawlerNames": names }), next))
}

/// `answer` with the token of the next page, if there is one.
pub(super) fn with_token(mut answer: Value, token: Option<String>) -> Value {
    if let Some(token) = token {
        answer["NextToken"] = token.into();
    }
    answer
}

pub(super) fn check_name(name: &str) -> Result<(), ApiError> {
    single_line(name, "Name")?;
    match name.len() {
        1..=NAME_BYTES => Ok(()),
        bytes => Err(invalid(format!("Name has {bytes} bytes; it must have from 1 to {NAME_BYTES}"))),
    }
}

fn check_role(tx: &impl Transaction, role: &str) -> Result<(), ApiError> {
    if iam::assumable_by(tx, role, PRINCIPAL)? {
        return Ok(());
    }
    Err(invalid(super::CANNOT_ASSUME.to_owned()))
}
