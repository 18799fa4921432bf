//! Event source mappings: queues whose messages a function is given.
//! <https://docs.aws.amazon.com/lambda/latest/api/API_CreateEventSourceMapping.html>

use std::sync::Arc;

use bytes::Bytes;
use http::{Response, StatusCode};
use redb::WriteTransaction;
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};

use super::{
    Lambda,
    model::{Function, Reference},
    rest::{answer, conflict, constraint, invalid, max_items, not_found, query},
    seams::Queues,
    settings::not_here,
};
use crate::cloud::{error::ApiError, service::ACCOUNT_ID, service::Call, store::Table};

/// Mappings by UUID.
pub(super) const MAPPINGS: Table<Mapping> = Table::new("lambda.mappings");

/// Most mappings of one page.
const PAGE_MAPPINGS: usize = 100;
/// Messages of one batch.
const BATCH_SIZE: u32 = 10;
const BATCH_SIZE_MAX: u32 = 10_000;
/// Above this, a window is needed to fill the batch.
const BATCH_SIZE_WITHOUT_WINDOW: u32 = 10;
/// Longest batching window, in seconds.
const WINDOW_SECONDS_MAX: u32 = 300;
/// Concurrent batches of one mapping.
const CONCURRENCY: std::ops::RangeInclusive<u32> = 2..=1000;
const REPORT: &str = "ReportBatchItemFailures";

/// A mapping.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct Mapping {
    pub uuid: String,
    pub region: String,
    pub queue: String,
    pub function: String,
    pub batch_size: u32,
    pub window_seconds: u32,
    /// Whether the function says which messages of a batch failed.
    pub reports_failures: bool,
    pub concurrency: Option<u32>,
    pub enabled: bool,
    /// Milliseconds since 1970; another one with every change.
    pub modified: i64,
}

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
struct Given {
    event_source_arn: Option<String>,
    function_name: Option<String>,
    enabled: Option<bool>,
    batch_size: Option<u32>,
    maximum_batching_window_in_seconds: Option<u32>,
    function_response_types: Option<Vec<String>>,
    scaling_config: Option<ScalingConfig>,
    /// What is not there.
    #[serde(flatten)]
    others: serde_json::Map<String, Value>,
}

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
struct ScalingConfig {
    maximum_concurrency: Option<u32>,
}

impl Mapping {
    fn view(&self, state: Option<&str>) -> Value {
        let settled = if self.enabled { "Enabled" } else { "Disabled" };
        let types: &[&str] = if self.reports_failures { &[REPORT] } else { &[] };
        let mut view = json!({
            "UUID": self.uuid,
            "EventSourceMappingArn":
                format!("arn:aws:lambda:{}:{ACCOUNT_ID}:event-source-mapping:{}", self.region, self.uuid),
            "EventSourceArn": self.queue,
            "FunctionArn": self.function,
            "BatchSize": self.batch_size,
            "MaximumBatchingWindowInSeconds": self.window_seconds,
            "FunctionResponseTypes": types,
            "LastModified": self.modified as f64 / 1000.0,
            "State": state.unwrap_or(settled),
            "StateTransitionReason": "USER_INITIATED",
        });
        if let Some(concurrency) = self.concurrency {
            view["ScalingConfig"] = json!({ "MaximumConcurrency": concurrency });
        }
        view
    }

    /// Takes what an operation gives.
    fn change(&mut self, given: &Given) -> Result<(), ApiError> {
        if let Some((name, _)) = given.others.iter().find(|(_, value)| super::settings::says_something(value)) {
            return Err(not_here(&format!("{name} of event source mappings")));
        }
        self.enabled = given.enabled.unwrap_or(self.enabled);
        self.batch_size = given.batch_size.unwrap_or(self.batch_size);
        self.window_seconds = given.maximum_batching_window_in_seconds.unwrap_or(self.window_seconds);
        if let Some(types) = &given.function_response_types {
            if types.iter().any(|name| name != REPORT) {
                return Err(invalid(format!("FunctionResponseTypes takes {REPORT} alone")));
            }
            self.reports_failures = !types.is_empty();
        }
        if let Some(scaling) = &given.scaling_config {
            self.concurrency = scaling.maximum_concurrency;
        }
        self.modified = jiff::Timestamp::now().as_millisecond().max(self.modified + 1);
        self.check()
    }

    fn check(&self) -> Result<(), ApiError> {
        let within = |value: u32, range: std::ops::RangeInclusive<u32>, member: &str| {
            if range.contains(&value) {
                return Ok(());
            }
            Err(constraint(format_args!(
                "Value '{value}' at '{member}' failed to satisfy constraint: Member must have value between {} and {}",
                range.start(),
                range.end()
            )))
        };
        within(self.batch_size, 1..=BATCH_SIZE_MAX, "batchSize")?;
        within(self.window_seconds, 0..=WINDOW_SECONDS_MAX, "maximumBatchingWindowInSeconds")?;
        if let Some(concurrency) = self.concurrency {
            within(concurrency, CONCURRENCY, "scalingConfig.maximumConcurrency")?;
        }
        if self.batch_size > BATCH_SIZE_WITHOUT_WINDOW && self.window_seconds == 0 {
            return Err(invalid(
                "Maximum batch window in seconds must be greater than 0 if maximum batch size is greater than 10",
            ));
        }
        Ok(())
    }

    /// Refuses a queue that is not there, that the role may not poll, or that shows messages again while the
    /// function still works on them.
    fn check_queue(&self, tx: &WriteTransaction, queues: &dyn Queues, function: &Function) -> Result<(), ApiError> {
        let Some(visibility) = queues.visibility_seconds(tx, &self.queue)? else {
            return Err(invalid(format!(
                "Error occurred while ReceiveMessage. SQS Error Code: AWS.SimpleQueueService.NonExistentQueue. SQS \
                 Error Message: The specified queue {} does not exist.",
                self.queue
            )));
        };
        if let Some(operation) = queues.refusal(tx, &self.queue, &function.settings.role)? {
            return Err(invalid(format!(
                "The provided execution role does not have permissions to call {operation} on SQS"
            )));
        }
        let timeout = function.settings.timeout_seconds;
        if visibility < timeout {
            return Err(invalid(format!(
                "Queue visibility timeout: {visibility} seconds is less than Function timeout: {timeout} seconds"
            )));
        }
        Ok(())
    }
}

impl Lambda {
    pub(super) async fn create_mapping(&self, call: &Call) -> Result<Response<Bytes>, ApiError> {
        let given: Given = super::body(call)?;
        let queue = given.event_source_arn.clone().unwrap_or_default();
        if !queue.starts_with("arn:aws:sqs:") {
            return Err(not_here("event sources other than queues"));
        }
        let of = Reference::parse(&call.region, given.function_name.as_deref().unwrap_or_default())?;
        let (queues, region) = (Arc::clone(&self.queues), call.region.clone());
        let mapping = self
            .store
            .commit(move |tx| {
                let function = of.find(tx)?;
                let mut mapping = Mapping {
                    uuid: uuid::Uuid::new_v4().to_string(),
                    region,
                    queue,
                    function: function.arn(),
                    batch_size: BATCH_SIZE,
                    window_seconds: 0,
                    reports_failures: false,
                    concurrency: None,
                    enabled: true,
                    modified: 0,
                };
                mapping.change(&given)?;
                mapping.check_queue(tx, &*queues, &function)?;
                let all = MAPPINGS.scan(tx, "", None, usize::MAX)?;
                let same = all.iter().find(|(_, it)| it.queue == mapping.queue && it.function == mapping.function);
                if let Some((uuid, _)) = same {
                    return Err(conflict(format!(
                        "An event source mapping with SQS arn (\" {} \") and function (\" {} \") already exists. Please \
                         update or delete the existing mapping with UUID {uuid}",
                        mapping.queue, function.name
                    )));
                }
                MAPPINGS.put(tx, &mapping.uuid, &mapping)?;
                Ok(mapping)
            })
            .await?;
        self.pollers.changed();
        answer(StatusCode::ACCEPTED, &mapping.view(Some("Creating")))
    }

    pub(super) fn get_mapping(&self, uuid: &str) -> Result<Response<Bytes>, ApiError> {
        let mapping = self.store.read(|tx| MAPPINGS.get(tx, uuid))?.ok_or_else(missing)?;
        answer(StatusCode::OK, &self.told(&mapping))
    }

    /// The mapping with how its polling goes.
    fn told(&self, mapping: &Mapping) -> Value {
        let mut view = mapping.view(None);
        view["LastProcessingResult"] = self.pollers.last_result(&mapping.uuid).into();
        view
    }

    pub(super) fn list_mappings(&self, call: &Call) -> Result<Response<Bytes>, ApiError> {
        let limit = max_items(call, PAGE_MAPPINGS)?;
        let function = query(call, "FunctionName").map(|name| Reference::parse(&call.region, &name)).transpose()?;
        let (queue, after) = (query(call, "EventSourceArn"), query(call, "Marker"));
        let all = self.store.read(|tx| MAPPINGS.scan(tx, "", after.as_deref(), usize::MAX))?;
        let mut wanted: Vec<Mapping> = all
            .into_iter()
            .map(|(_, mapping)| mapping)
            .filter(|it| it.region == call.region)
            .filter(|it| function.as_ref().is_none_or(|function| function.arn == it.function))
            .filter(|it| queue.as_ref().is_none_or(|queue| *queue == it.queue))
            .collect();
        let more = wanted.len() > limit;
        wanted.truncate(limit);
        let views: Vec<Value> = wanted.iter().map(|mapping| self.told(mapping)).collect();
        let mut body = json!({ "EventSourceMappings": views });
        if more && let Some(last) = wanted.last() {
            body["NextMarker"] = last.uuid.clone().into();
        }
        answer(StatusCode::OK, &body)
    }

    pub(super) async fn update_mapping(&self, call: &Call, uuid: String) -> Result<Response<Bytes>, ApiError> {
        let given: Given = super::body(call)?;
        let (queues, region) = (Arc::clone(&self.queues), call.region.clone());
        let (mapping, state) = self
            .store
            .commit(move |tx| {
                let mut mapping = MAPPINGS.get(tx, &uuid)?.ok_or_else(missing)?;
                let was_enabled = mapping.enabled;
                if let Some(name) = &given.function_name {
                    mapping.function = Reference::parse(&region, name)?.find(tx)?.arn();
                }
                mapping.change(&given)?;
                let function = Reference::of_arn(&mapping.function)?.find(tx)?;
                mapping.check_queue(tx, &*queues, &function)?;
                MAPPINGS.put(tx, &uuid, &mapping)?;
                let state = match (was_enabled, mapping.enabled) {
                    (false, true) => "Enabling",
                    (true, false) => "Disabling",
                    _ => "Updating",
                };
                Ok::<_, ApiError>((mapping, state))
            })
            .await?;
        self.pollers.changed();
        answer(StatusCode::ACCEPTED, &mapping.view(Some(state)))
    }

    pub(super) async fn delete_mapping(&self, uuid: String) -> Result<Response<Bytes>, ApiError> {
        let mapping = self
            .store
            .commit(move |tx| {
                let mapping = MAPPINGS.get(tx, &uuid)?.ok_or_else(missing)?;
                MAPPINGS.delete(tx, &uuid)?;
                Ok::<_, ApiError>(mapping)
            })
            .await?;
        self.pollers.changed();
        answer(StatusCode::ACCEPTED, &mapping.view(Some("Deleting")))
    }
}

fn missing() -> ApiError {
    not_found("The resource you requested does not exist.")
}
