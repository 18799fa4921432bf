//! The Glue Data Catalog, databases, tables with their versions, partitions, tags, and the crawlers that fill it.
//! <https://docs.aws.amazon.com/glue/latest/dg/aws-glue-api-catalog.html>
//!
//! Removing a database removes what is in it in the same transaction; AWS does it some time afterwards.

mod access;
mod crawler;
mod database;
mod expression;
mod model;
mod notice;
mod partition;
mod partition_batch;
mod table;
mod tags;
mod version;

use std::{cell::RefCell, sync::Arc};

use async_trait::async_trait;
use bytes::Bytes;
use http::{HeaderMap, Response};
use jiff::Timestamp;
use redb::{ReadTransaction, WriteTransaction};
use serde::{Deserialize, Serialize, de::DeserializeOwned};
use serde_json::{Map, Value, json};

use super::{
    authorise::Need,
    delivery::Exchange,
    error::ApiError,
    json as protocol,
    logs::LogSink,
    service::{ACCOUNT_ID, Call, Protocol, Service},
    store::{Store, Table, Transaction},
};

pub use crawler::seams::{ObjectEntry, ObjectPage, ObjectSource, OpenObject};

/// Between the parts of a key; no name may contain it.
const SEPARATOR: char = '\0';
/// Longest name of a database, table, column, in bytes.
const NAME_BYTES: usize = 255;
/// Entries that are read at a time.
const CHUNK_ENTRIES: usize = 256;
/// Entries that one page looks through at most; it ends early with a token then.
const SCANNED_ENTRIES: usize = 20_000;
/// Members of inputs that change what an operation does, and are not there.
const UNSUPPORTED: [&str; 6] = [
    "TransactionId",
    "QueryAsOfTime",
    "OpenTableFormatInput",
    "UpdateOpenTableFormatInput",
    "PartitionIndexes",
    "ViewUpdateAction",
];

/// The service.
pub struct Glue {
    store: Arc<Store>,
    exchange: Arc<Exchange>,
    crawlers: Arc<crawler::Crawlers>,
}

/// What Glue works with.
pub struct Neighbours {
    /// Takes the events.
    pub exchange: Arc<Exchange>,
    /// Takes the crawlers' log lines.
    pub sink: LogSink,
    /// Has what crawlers look at.
    pub objects: Arc<dyn ObjectSource>,
}

/// Where and for whom an operation works.
struct Scope {
    region: String,
    caller: String,
    /// Seconds since 1970.
    now: i64,
    /// What the operation has changed, to be told in its transaction.
    changes: RefCell<Vec<notice::Change>>,
}

type Read<I, O> = fn(&ReadTransaction, &Scope, I) -> Result<O, ApiError>;
type Write<I, O> = fn(&WriteTransaction, &Scope, I) -> Result<O, ApiError>;

impl Glue {
    /// Starts the service over `store` and ends the crawls that an earlier cloud left under way. Needs a tokio
    /// runtime, and the event bus already in the exchange.
    pub fn start(store: Arc<Store>, neighbours: Neighbours) -> Arc<Glue> {
        let Neighbours { exchange, sink, objects } = neighbours;
        let crawlers = crawler::Crawlers::start(Arc::clone(&store), Arc::clone(&exchange), sink, objects);
        Arc::new(Glue { store, exchange, crawlers })
    }

    /// Ends the crawls under way; the next start finds them.
    pub fn stop(&self) {
        self.crawlers.stop();
    }

    async fn read<I, O>(&self, call: &Call, operation: Read<I, O>) -> Result<Response<Bytes>, ApiError>
    where
        I: DeserializeOwned + Send + 'static,
        O: Serialize + Send + 'static,
    {
        let (scope, input) = (Scope::of(call), input(call)?);
        let store = Arc::clone(&self.store);
        // A page may look through thousands of partitions.
        let answer = tokio::task::spawn_blocking(move || store.read(|tx| operation(tx, &scope, input)));
        protocol::output(&answer.await.map_err(ApiError::internal)??)
    }

    async fn write<I, O>(&self, call: &Call, operation: Write<I, O>) -> Result<Response<Bytes>, ApiError>
    where
        I: DeserializeOwned + Send + 'static,
        O: Serialize + Send + 'static,
    {
        let (scope, input) = (Scope::of(call), input(call)?);
        let exchange = Arc::clone(&self.exchange);
        let answer = self.store.commit(move |tx| {
            let answer = operation(tx, &scope, input)?;
            notice::emit(&exchange, tx, &scope)?;
            Ok::<_, ApiError>(answer)
        });
        let answer = answer.await?;
        self.exchange.wake();
        protocol::output(&answer)
    }

    /// The operations on crawlers and classifiers.
    async fn call_crawler(&self, operation: &str, call: &Call) -> Result<Response<Bytes>, ApiError> {
        use crawler::{api, classifier, history, schedule};
        match operation {
            "CreateCrawler" => self.write(call, api::create).await,
            "UpdateCrawler" => self.write(call, api::update).await,
            "DeleteCrawler" => self.write(call, api::delete).await,
            "GetCrawler" => self.read(call, api::get).await,
            "GetCrawlers" => self.read(call, api::list).await,
            "BatchGetCrawlers" => self.read(call, api::batch_get).await,
            "ListCrawlers" => self.read(call, api::names).await,
            "StartCrawler" => protocol::output(&self.crawlers.start_crawler(Scope::of(call), input(call)?).await?),
            "StopCrawler" => protocol::output(&self.crawlers.stop_crawler(Scope::of(call), input(call)?).await?),
            "GetCrawlerMetrics" => self.read(call, history::metrics).await,
            "ListCrawls" => self.read(call, history::crawls).await,
            "StartCrawlerSchedule" => self.read(call, schedule::start).await,
            "StopCrawlerSchedule" => self.read(call, schedule::stop).await,
            "UpdateCrawlerSchedule" => self.read(call, schedule::update).await,
            "CreateClassifier" => self.write(call, classifier::create).await,
            "UpdateClassifier" => self.write(call, classifier::update).await,
            "DeleteClassifier" => self.write(call, classifier::delete).await,
            "GetClassifier" => self.read(call, classifier::get).await,
            "GetClassifiers" => self.read(call, classifier::list).await,
            operation => Err(protocol::unknown_operation("Glue", operation)),
        }
    }
}

#[async_trait]
impl Service for Glue {
    fn scope(&self) -> &'static str {
        "glue"
    }

    fn protocol(&self, _headers: &HeaderMap) -> Protocol {
        Protocol::Json11
    }

    fn needs(&self, call: &Call) -> Result<Vec<Need>, ApiError> {
        access::needs(call)
    }

    async fn call(&self, call: Call) -> Result<Response<Bytes>, ApiError> {
        match protocol::operation(&call)? {
            "CreateDatabase" => self.write(&call, database::create).await,
            "GetDatabase" => self.read(&call, database::get).await,
            "GetDatabases" => self.read(&call, database::list).await,
            "UpdateDatabase" => self.write(&call, database::update).await,
            "DeleteDatabase" => self.write(&call, database::delete).await,
            "CreateTable" => self.write(&call, table::create).await,
            "GetTable" => self.read(&call, table::get).await,
            "GetTables" => self.read(&call, table::list).await,
            "UpdateTable" => self.write(&call, table::update).await,
            "DeleteTable" => self.write(&call, table::delete).await,
            "BatchDeleteTable" => self.write(&call, table::batch_delete).await,
            "GetTableVersion" => self.read(&call, version::get).await,
            "GetTableVersions" => self.read(&call, version::list).await,
            "DeleteTableVersion" => self.write(&call, version::delete).await,
            "BatchDeleteTableVersion" => self.write(&call, version::batch_delete).await,
            "CreatePartition" => self.write(&call, partition::create).await,
            "GetPartition" => self.read(&call, partition::get).await,
            "GetPartitions" => self.read(&call, partition::list).await,
            "UpdatePartition" => self.write(&call, partition::update).await,
            "DeletePartition" => self.write(&call, partition::delete).await,
            "BatchCreatePartition" => self.write(&call, partition_batch::create).await,
            "BatchGetPartition" => self.read(&call, partition_batch::get).await,
            "BatchDeletePartition" => self.write(&call, partition_batch::delete).await,
            "GetPartitionIndexes" => self.read(&call, partition::indexes).await,
            "TagResource" => self.write(&call, tags::tag).await,
            "UntagResource" => self.write(&call, tags::untag).await,
            "GetTags" => self.read(&call, tags::get).await,
            operation => self.call_crawler(operation, &call).await,
        }
    }
}

impl Scope {
    fn of(call: &Call) -> Scope {
        Scope::internal(&call.region, call.caller.arn.clone())
    }

    /// Of what the cloud does by itself, for `caller`.
    fn internal(region: &str, caller: String) -> Scope {
        let now = Timestamp::now().as_second();
        Scope { region: region.to_owned(), caller, now, changes: RefCell::default() }
    }

    /// The key of what `names` lead to.
    fn key(&self, names: &[&str]) -> String {
        let mut key = self.region.clone();
        for name in names {
            key.push(SEPARATOR);
            key.push_str(name);
        }
        key
    }

    /// What the keys of everything inside `names` begin with.
    fn inside(&self, names: &[&str]) -> String {
        let mut prefix = self.key(names);
        prefix.push(SEPARATOR);
        prefix
    }
}

/// The operation's input, refused where it asks for what is not there.
fn input<I: DeserializeOwned>(call: &Call) -> Result<I, ApiError> {
    let members: Map<String, Value> = protocol::input(call)?;
    match members.get("CatalogId") {
        None | Some(Value::Null) => (),
        Some(Value::String(catalog)) if catalog == ACCOUNT_ID => (),
        Some(catalog) => {
            return Err(not_found(format!("Catalog {catalog} not found; this account's is {ACCOUNT_ID}.")));
        }
    }
    match UNSUPPORTED.iter().find(|name| members.get(**name).is_some_and(|value| !value.is_null())) {
        Some(name) => Err(invalid(format!("the embedded cloud's Glue does not have {name}; leave it out"))),
        None => protocol::decode(Value::Object(members)),
    }
}

/// The answer without members.
#[derive(Serialize)]
struct Empty {}

/// Where a page goes on and how long it is.
#[derive(Debug, Default, Deserialize)]
#[serde(rename_all = "PascalCase")]
struct Paging {
    next_token: Option<String>,
    max_results: Option<i64>,
}

impl Paging {
    fn limit(&self, most: usize) -> Result<usize, ApiError> {
        match self.max_results {
            None => Ok(most),
            Some(number) => usize::try_from(number)
                .ok()
                .filter(|number| (1..=most).contains(number))
                .ok_or_else(|| invalid(format!("MaxResults is {number}; it must be from 1 to {most}"))),
        }
    }

    fn after(&self, prefix: &str) -> Result<Option<String>, ApiError> {
        let Some(token) = self.next_token.as_deref().filter(|token| !token.is_empty()) else { return Ok(None) };
        let rest = hex::decode(token).ok().and_then(|bytes| String::from_utf8(bytes).ok());
        match rest {
            Some(rest) => Ok(Some(format!("{prefix}{rest}"))),
            None => Err(invalid("NextToken is not one that the page before gave".into())),
        }
    }
}

/// Entries under `prefix` that are to `keep`, and the token of the next page.
fn page<V: Serialize + DeserializeOwned>(
    tx: &impl Transaction,
    table: &Table<V>,
    prefix: &str,
    paging: &Paging,
    most: usize,
    mut keep: impl FnMut(&str, &V) -> bool,
) -> Result<(Vec<V>, Option<String>), ApiError> {
    let (limit, mut after) = (paging.limit(most)?, paging.after(prefix)?);
    let token = |after: &Option<String>| after.as_deref().map(|key| hex::encode(&key[prefix.len()..]));
    let (mut found, mut scanned) = (Vec::new(), 0);
    loop {
        let chunk = table.scan(tx, prefix, after.as_deref(), CHUNK_ENTRIES)?;
        let (last, read) = (chunk.len() < CHUNK_ENTRIES, chunk.len());
        for (key, value) in chunk {
            if found.len() == limit {
                return Ok((found, token(&after)));
            }
            if keep(&key, &value) {
                found.push(value);
            }
            after = Some(key);
        }
        scanned += read;
        if last {
            return Ok((found, None));
        }
        if scanned >= SCANNED_ENTRIES {
            return Ok((found, token(&after)));
        }
    }
}

/// Removes every entry under `prefix`.
fn remove_all<V: Serialize + DeserializeOwned>(
    tx: &WriteTransaction,
    table: &Table<V>,
    prefix: &str,
) -> Result<(), ApiError> {
    loop {
        let chunk = table.scan(tx, prefix, None, CHUNK_ENTRIES)?;
        for (key, _) in &chunk {
            table.delete(tx, key)?;
        }
        if chunk.len() < CHUNK_ENTRIES {
            return Ok(());
        }
    }
}

/// A name as the catalog keeps it: in lower case, for Hive's sake.
fn folded(name: &str, member: &str) -> Result<String, ApiError> {
    single_line(name, member)?;
    if name.is_empty() || name.len() > NAME_BYTES {
        return Err(ApiError::client(
            "InvalidInputException",
            format!("{member} has {} bytes; it must have from 1 to {NAME_BYTES}", name.len()),
        ));
    }
    Ok(name.to_lowercase())
}

fn single_line(text: &str, member: &str) -> Result<(), ApiError> {
    if text.chars().any(|letter| letter.is_control() && letter != '\t') {
        return Err(invalid(format!("{member} contains a control character; it must be a single line")));
    }
    Ok(())
}

fn at_most(count: usize, limit: usize, member: &str) -> Result<(), ApiError> {
    if count > limit {
        return Err(ApiError::client(
            "ValidationException",
            format!(
                "1 validation error detected: Value at '{member}' failed to satisfy constraint: Member must have \
                 length less than or equal to {limit}; it has {count}"
            ),
        ));
    }
    Ok(())
}

fn not_found(message: impl Into<String>) -> ApiError {
    ApiError::client("EntityNotFoundException", message)
}

fn already_exists(message: &str) -> ApiError {
    ApiError::client("AlreadyExistsException", message)
}

fn invalid(message: String) -> ApiError {
    ApiError::client("InvalidInputException", message)
}

/// `ErrorDetail` of a batch's entry.
fn detail(error: &ApiError) -> Value {
    json!({ "ErrorCode": error.code, "ErrorMessage": error.message })
}

#[cfg(test)]
mod tests;
