//! EventBridge: buses, rules and their targets.

pub mod pattern;

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
pub struct Events {
    store: Arc<Store>,
    exchange: Arc<Exchange>,
}

impl Events {
    /// Starts the service over `store`. Needs a tokio runtime.
    pub fn start(store: Arc<Store>, exchange: Arc<Exchange>) -> Result<Arc<Events>, StoreError> {
        Ok(Arc::new(Events { store, exchange }))
    }
}

#[async_trait]
impl Service for Events {
    fn scope(&self) -> &'static str {
        "events"
    }

    fn protocol(&self, _headers: &HeaderMap) -> Protocol {
        Protocol::Json11
    }

    fn needs(&self, _call: &Call) -> Result<Vec<Need>, ApiError> {
        Ok(Vec::new())
    }

    async fn call(&self, call: Call) -> Result<Response<Bytes>, ApiError> {
        let _ = (&self.store, &self.exchange);
        Err(json::unknown_operation("Events", json::operation(&call)?))
    }
}
