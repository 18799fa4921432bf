//! CloudWatch: metrics, alarms, dashboards.

use std::sync::Arc;

use async_trait::async_trait;
use bytes::Bytes;
use http::{HeaderMap, Response};
use tokio::sync::mpsc;

use super::{
    authorise::Need,
    delivery::Exchange,
    error::ApiError,
    json,
    meter::Datum,
    service::{Call, Protocol, Service},
    store::{Store, StoreError},
};

/// The service.
pub struct CloudWatch {
    store: Arc<Store>,
    exchange: Arc<Exchange>,
}

impl CloudWatch {
    /// Starts the service over `store`. Needs a tokio runtime.
    pub fn start(
        store: Arc<Store>,
        exchange: Arc<Exchange>,
        _data: mpsc::Receiver<Datum>,
    ) -> Result<Arc<CloudWatch>, StoreError> {
        Ok(Arc::new(CloudWatch { store, exchange }))
    }
}

#[async_trait]
impl Service for CloudWatch {
    fn scope(&self) -> &'static str {
        "monitoring"
    }

    fn protocol(&self, _headers: &HeaderMap) -> Protocol {
        Protocol::Json10
    }

    fn needs(&self, _call: &Call) -> Result<Vec<Need>, ApiError> {
        Ok(Vec::new())
    }

    async fn call(&self, call: Call) -> Result<Response<Bytes>, ApiError> {
        let _ = (&self.store, &self.exchange);
        Err(json::unknown_operation("CloudWatch", json::operation(&call)?))
    }
}
