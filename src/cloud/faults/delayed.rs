//! Messages that arrive late: kept until they are due, also over a restart of the cloud.

use std::{sync::Arc, time::Duration};

use jiff::Timestamp;
use redb::WriteTransaction;
use serde::{Deserialize, Serialize};
use tokio::sync::Notify;
use tokio_util::sync::CancellationToken;

use crate::cloud::{
    delivery::{Exchange, Message, Sender},
    error::ApiError,
    store::{Store, StoreError, Table},
};

/// By the time they are due, in milliseconds of 20 digits, and a random id.
const DELAYED: Table<Late> = Table::new("faults.delayed");
/// Most messages that one commit delivers.
const BATCH: usize = 64;

#[derive(Debug, Clone, Serialize, Deserialize)]
struct Late {
    target: String,
    sender: Sender,
    message: Message,
}

/// The messages that are under way for too long.
#[derive(Debug, Default)]
pub struct Delayed(Notify);

impl Delayed {
    /// Keeps a message for `milliseconds`, as part of `tx`.
    pub fn keep(
        &self,
        tx: &WriteTransaction,
        target: &str,
        sender: &Sender,
        message: &Message,
        milliseconds: u64,
    ) -> Result<(), ApiError> {
        let due = now().saturating_add(milliseconds);
        let late = Late { target: target.to_owned(), sender: sender.clone(), message: message.clone() };
        DELAYED.put(tx, &format!("{due:020}/{}", uuid::Uuid::new_v4()), &late)?;
        Ok(())
    }

    /// Tells that a commit may have kept one.
    pub fn wake(&self) {
        self.0.notify_one();
    }

    /// Delivers what is due until `stop`.
    pub async fn run(self: Arc<Self>, store: Arc<Store>, exchange: Arc<Exchange>, stop: CancellationToken) {
        loop {
            let wait = match deliver_due(&store, &exchange).await {
                Ok(next) => next,
                Err(error) => {
                    tracing::error!(%error, "late messages could not be delivered; they are tried again");
                    Some(Duration::from_secs(1))
                }
            };
            let due = async {
                match wait {
                    Some(wait) => tokio::time::sleep(wait).await,
                    None => std::future::pending().await,
                }
            };
            tokio::select! {
                () = stop.cancelled() => return,
                () = self.0.notified() => {}
                () = due => {}
            }
        }
    }
}

/// Delivers what is due and tells how long it is to the next.
async fn deliver_due(store: &Arc<Store>, exchange: &Arc<Exchange>) -> Result<Option<Duration>, StoreError> {
    loop {
        let page = store.read(|tx| DELAYED.scan(tx, "", None, BATCH))?;
        let now = now();
        let due = |key: &str| key.split('/').next().and_then(|due| due.parse::<u64>().ok()).unwrap_or(0);
        let ripe: Vec<(String, Late)> = page.iter().filter(|(key, _)| due(key) <= now).cloned().collect();
        if ripe.is_empty() {
            return Ok(page.first().map(|(key, _)| Duration::from_millis(due(key) - now)));
        }
        let exchanging = Arc::clone(exchange);
        let delivered = store.commit(move |tx| {
            for (key, late) in &ripe {
                DELAYED.delete(tx, key)?;
                if let Err(error) = exchanging.send_now(tx, &late.target, &late.sender, &late.message) {
                    tracing::warn!(%error, target = late.target, "a late message is refused");
                }
            }
            Ok::<_, StoreError>(())
        });
        delivered.await?;
        exchange.wake();
    }
}

fn now() -> u64 {
    u64::try_from(Timestamp::now().as_millisecond()).unwrap_or(0)
}
