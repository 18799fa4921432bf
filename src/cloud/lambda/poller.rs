//! Polling: takes messages out of the queues of event source mappings, a batch an invocation, and deletes those
//! that the function has dealt with. The others are seen again after their visibility timeout.
//! <https://docs.aws.amazon.com/lambda/latest/dg/services-sqs-errorhandling.html>

use std::{
    collections::{HashMap, HashSet},
    sync::{Arc, Mutex, PoisonError},
    time::Duration,
};

use serde_json::{Value, json};
use tokio::{
    sync::{Notify, OwnedSemaphorePermit, Semaphore},
    time::Instant,
};
use tokio_util::sync::CancellationToken;

use super::{
    environment::Invocation,
    mappings::{MAPPINGS, Mapping},
    model::Function,
    pool::Pool,
    seams::Queues,
};
use crate::cloud::{error::ApiError, store::Store};

/// Batches of one mapping at one time, unless it says otherwise: what AWS begins with.
const CONCURRENCY: usize = 5;
/// How long one receive waits for messages, in seconds.
const WAIT_SECONDS: u32 = 20;
/// Largest event, in bytes: what a synchronous invocation takes.
const EVENT_BYTES: usize = 6 * 1024 * 1024;
/// First pause after polling failed.
const FAULT_PAUSE: Duration = Duration::from_secs(1);
/// Longest such pause.
const FAULT_PAUSE_MAX: Duration = Duration::from_secs(60);

/// What `LastProcessingResult` says before anything was polled.
const NOTHING_YET: &str = "No records processed";

/// All pollers of the cloud.
pub(super) struct Pollers {
    store: Arc<Store>,
    pool: Arc<Pool>,
    queues: Arc<dyn Queues>,
    news: Notify,
    results: Mutex<HashMap<String, String>>,
}

impl Pollers {
    pub(super) fn new(store: Arc<Store>, pool: Arc<Pool>, queues: Arc<dyn Queues>) -> Arc<Pollers> {
        Arc::new(Pollers { store, pool, queues, news: Notify::new(), results: Mutex::default() })
    }

    /// Tells that a mapping was made, changed or deleted.
    pub(super) fn changed(&self) {
        self.news.notify_one();
    }

    /// How a mapping's polling went last.
    pub(super) fn last_result(&self, uuid: &str) -> String {
        let results = self.results.lock().unwrap_or_else(PoisonError::into_inner);
        results.get(uuid).cloned().unwrap_or_else(|| NOTHING_YET.to_owned())
    }

    fn tell(&self, mapping: &Mapping, result: impl Into<String>) {
        self.results.lock().unwrap_or_else(PoisonError::into_inner).insert(mapping.uuid.clone(), result.into());
    }

    /// Keeps a poller for every mapping that is enabled, until the cloud stops.
    pub(super) async fn run(self: Arc<Self>) {
        let stop = self.pool.host.stop.clone();
        let mut running: HashMap<String, (Mapping, CancellationToken)> = HashMap::new();
        loop {
            match self.store.read(|tx| MAPPINGS.scan(tx, "", None, usize::MAX)) {
                Ok(mappings) => self.reconcile(&mut running, mappings, &stop),
                Err(error) => tracing::error!(%error, "event source mappings could not be read"),
            }
            tokio::select! {
                () = stop.cancelled() => return,
                () = self.news.notified() => {}
            }
        }
    }

    fn reconcile(
        self: &Arc<Self>,
        running: &mut HashMap<String, (Mapping, CancellationToken)>,
        mappings: Vec<(String, Mapping)>,
        stop: &CancellationToken,
    ) {
        let wanted: HashMap<String, Mapping> = mappings.into_iter().filter(|(_, mapping)| mapping.enabled).collect();
        running.retain(|uuid, (mapping, end)| {
            let keep = wanted.get(uuid) == Some(mapping);
            if !keep {
                end.cancel();
            }
            keep
        });
        for (uuid, mapping) in wanted {
            running.entry(uuid).or_insert_with(|| {
                let end = stop.child_token();
                tokio::spawn(Arc::clone(self).poll(mapping.clone(), end.clone()));
                (mapping, end)
            });
        }
    }

    /// Polls for one mapping until it ends.
    async fn poll(self: Arc<Self>, mapping: Mapping, end: CancellationToken) {
        let slots = mapping.concurrency.map_or(CONCURRENCY, |most| most as usize);
        let slots = Arc::new(Semaphore::new(slots));
        let mut pause = FAULT_PAUSE;
        loop {
            let batch = tokio::select! {
                () = end.cancelled() => return,
                batch = self.next(&mapping, &slots, &end) => batch,
            };
            match batch {
                Ok(Some((slot, function, records))) => {
                    pause = FAULT_PAUSE;
                    let (pollers, mapping) = (Arc::clone(&self), mapping.clone());
                    tokio::spawn(async move {
                        pollers.process(&mapping, function, records).await;
                        drop(slot);
                    });
                }
                Ok(None) => pause = FAULT_PAUSE,
                Err(error) => {
                    tracing::warn!(%error, mapping = mapping.uuid, "a queue could not be polled; it is tried again");
                    self.tell(&mapping, format!("PROBLEM: {}", error.message));
                    tokio::select! {
                        () = end.cancelled() => return,
                        () = tokio::time::sleep(pause) => {}
                    }
                    pause = (pause * 2).min(FAULT_PAUSE_MAX);
                }
            }
        }
    }

    /// The next batch: as many messages as there are, up to the batch's size, within the window.
    async fn next(
        &self,
        mapping: &Mapping,
        slots: &Arc<Semaphore>,
        end: &CancellationToken,
    ) -> Result<Option<(OwnedSemaphorePermit, Function, Vec<Value>)>, ApiError> {
        let slot = Arc::clone(slots).acquire_owned().await.map_err(ApiError::internal)?;
        let Some(function) = self.pool.function(&mapping.function)? else {
            return Err(ApiError::client("ResourceNotFoundException", "Function not found"));
        };
        let (size, role) = (mapping.batch_size as usize, &function.settings.role);
        let mut records = self.queues.receive(&mapping.queue, role, size, WAIT_SECONDS).await?;
        if records.is_empty() {
            return Ok(None);
        }
        let until = Instant::now() + Duration::from_secs(mapping.window_seconds.into());
        let mut bytes: usize = records.iter().map(|record| record.to_string().len()).sum();
        while records.len() < size && bytes < EVENT_BYTES / 2 && !end.is_cancelled() {
            let left = until.saturating_duration_since(Instant::now()).as_secs();
            let wait = u32::try_from(left).unwrap_or(WAIT_SECONDS).min(WAIT_SECONDS);
            if wait == 0 {
                break;
            }
            let more = self.queues.receive(&mapping.queue, role, size - records.len(), wait).await?;
            bytes += more.iter().map(|record| record.to_string().len()).sum::<usize>();
            records.extend(more);
        }
        Ok(Some((slot, function, records)))
    }

    /// One invocation with a batch, and what follows for its messages.
    async fn process(&self, mapping: &Mapping, function: Function, records: Vec<Value>) {
        let role = function.settings.role.clone();
        let handles = match self.invoke(mapping, function, &records).await {
            Ok(handles) => handles,
            Err(error) => {
                tracing::warn!(%error, mapping = mapping.uuid, "a batch could not be driven");
                return self.tell(mapping, format!("PROBLEM: {}", error.message));
            }
        };
        let whole = handles.len() == records.len();
        if !handles.is_empty()
            && let Err(error) = self.queues.delete(&mapping.queue, &role, handles).await
        {
            tracing::warn!(%error, mapping = mapping.uuid, "messages that are dealt with could not be deleted");
            return self.tell(mapping, format!("PROBLEM: {}", error.message));
        }
        self.tell(mapping, if whole { "OK" } else { "PROBLEM: Function call failed" });
    }

    /// Handles of the messages that the function has dealt with.
    async fn invoke(&self, mapping: &Mapping, function: Function, records: &[Value]) -> Result<Vec<String>, ApiError> {
        let permit = self.pool.permit().await?;
        let invocation = Invocation {
            request_id: uuid::Uuid::new_v4().to_string(),
            payload: json!({ "Records": records }).to_string().into(),
            client_context: None,
        };
        let outcome = self.pool.run(permit, function, invocation).await?;
        if outcome.failed {
            return Ok(Vec::new());
        }
        let failed = match mapping.reports_failures {
            true => failed_items(&outcome.payload, records),
            false => Some(HashSet::new()),
        };
        // An answer that cannot be read fails the whole batch.
        let Some(failed) = failed else { return Ok(Vec::new()) };
        let done = records.iter().filter(|record| !failed.contains(text(record, "messageId")));
        Ok(done.map(|record| text(record, "receiptHandle").to_owned()).collect())
    }
}

fn text<'a>(record: &'a Value, member: &str) -> &'a str {
    record[member].as_str().unwrap_or_default()
}

/// Ids of the messages that the function reports as failed; `None` when its answer makes no sense, which fails all.
/// <https://docs.aws.amazon.com/lambda/latest/dg/services-sqs-errorhandling.html#services-sqs-batchfailurereporting>
fn failed_items(answer: &[u8], records: &[Value]) -> Option<HashSet<String>> {
    let answer: Value = serde_json::from_slice(answer).ok()?;
    let items = match &answer {
        Value::Null => return Some(HashSet::new()),
        Value::Object(members) => match members.get("batchItemFailures") {
            None | Some(Value::Null) => return Some(HashSet::new()),
            Some(items) => items.as_array()?,
        },
        _ => return None,
    };
    let known: HashSet<&str> = records.iter().map(|record| text(record, "messageId")).collect();
    items
        .iter()
        .map(|item| item["itemIdentifier"].as_str().filter(|id| known.contains(id)).map(str::to_owned))
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_report_names_the_messages_that_failed_and_nonsense_fails_all() {
        let records = [json!({ "messageId": "a" }), json!({ "messageId": "b" })];
        let failed = |answer: &str| failed_items(answer.as_bytes(), &records).map(|items| items.len());
        for nothing in ["null", "{}", r#"{"batchItemFailures":null}"#, r#"{"batchItemFailures":[]}"#] {
            assert_eq!(failed(nothing), Some(0), "{nothing}");
        }
        assert_eq!(failed(r#"{"batchItemFailures":[{"itemIdentifier":"b"}]}"#), Some(1));
        for nonsense in [
            r#""done""#,
            r#"{"batchItemFailures":"b"}"#,
            r#"{"batchItemFailures":[{"itemIdentifier":""}]}"#,
            r#"{"batchItemFailures":[{"itemIdentifier":"other"}]}"#,
            r#"{"batchItemFailures":[{"id":"b"}]}"#,
        ] {
            assert_eq!(failed(nonsense), None, "{nonsense}");
        }
    }
}
