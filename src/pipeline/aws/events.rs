//! EventBridge.

use aws_sdk_eventbridge::types::PutEventsRequestEntry;

use super::{Aws, failed};
use crate::pipeline::{
    ports::{CloudError, CloudErrorKind, Events},
    telling::{DETAIL_TYPE, Subject, Telling, source},
};

/// The bus that every account has.
const BUS: &str = "default";

impl Events for Aws {
    async fn tell(&self, telling: &Telling) -> Result<(), CloudError> {
        let entry = PutEventsRequestEntry::builder()
            .event_bus_name(BUS)
            .source(source(&self.names.lake))
            .detail_type(DETAIL_TYPE)
            .detail(telling.detail(&self.names.lake, &self.names.stack).to_string())
            .set_resources(self.resource(&telling.subject).map(|arn| vec![arn]))
            .build();
        let answer = self.events.put_events().entries(entry).send().await;
        let answer = answer.map_err(|error| failed("PutEvents", &telling.dataset, &error))?;
        // The answer is 200 even when the event was not taken
        // (https://docs.aws.amazon.com/eventbridge/latest/APIReference/API_PutEvents.html).
        if answer.failed_entry_count() == 0 {
            return Ok(());
        }
        let entry = answer.entries().first();
        let code = entry.and_then(|entry| entry.error_code()).unwrap_or("unknown");
        let message = entry.and_then(|entry| entry.error_message()).unwrap_or_default();
        Err(CloudError {
            operation: "PutEvents",
            target: telling.dataset.clone(),
            message: format!("{code}: {message}"),
            kind: CloudErrorKind::Retriable,
        })
    }
}

impl Aws {
    /// The ARN of what the event is about.
    fn resource(&self, subject: &Subject) -> Option<String> {
        match subject {
            Subject::Run { source, .. } => {
                Some(format!("arn:{}:s3:::{}/{source}", self.partition, self.names.raw_bucket))
            }
            Subject::Crawl { .. } => None,
        }
    }
}
