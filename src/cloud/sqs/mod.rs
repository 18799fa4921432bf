//! SQS: queues.

use std::sync::Arc;

use async_trait::async_trait;
use bytes::Bytes;
use http::{HeaderMap, Response};

use super::{
    authorise::Need,
    delivery::Exchange,
    error::ApiError,
    json,
    service::{Call, Protocol, Service},
    store::{Store, StoreError},
};

/// The service.
pub struct Sqs {
    store: Arc<Store>,
    exchange: Arc<Exchange>,
}

impl Sqs {
    /// Starts the service over `store`. Needs a tokio runtime.
    pub fn start(store: Arc<Store>, exchange: Arc<Exchange>) -> Result<Arc<Sqs>, StoreError> {
        Ok(Arc::new(Sqs { store, exchange }))
    }
}

#[async_trait]
impl Service for Sqs {
    fn scope(&self) -> &'static str {
        "sqs"
    }

    fn protocol(&self, _headers: &HeaderMap) -> Protocol {
        Protocol::Json10
    }

    fn needs(&self, _call: &Call) -> Result<Vec<Need>, ApiError> {
        Ok(Vec::new())
    }

    async fn call(&self, call: Call) -> Result<Response<Bytes>, ApiError> {
        let _ = (&self.store, &self.exchange);
        Err(json::unknown_operation("Sqs", json::operation(&call)?))
    }
}
