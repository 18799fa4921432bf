//! How a function's asynchronous events are retried: the event invoke configuration.

use std::sync::Arc;

use bytes::Bytes;
use http::{Response, StatusCode};
use redb::WriteTransaction;
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};

use super::{
    Lambda, destinations,
    model::{Function, Reference},
    rest::{answer, constraint, empty, not_found},
};
use crate::cloud::{delivery::Exchange, error::ApiError, service::Call, store::Table};

/// Configurations by the function's ARN.
pub(super) const EVENT_CONFIGS: Table<EventConfig> = Table::new("lambda.event_configs");

/// Retries of a failed event.
const RETRIES: u32 = 2;
/// How old an event may become, in seconds.
const EVENT_AGE_SECONDS: u32 = 6 * 60 * 60;
const EVENT_AGE_SECONDS_MIN: u32 = 60;

#[derive(Debug, Clone, Default, Serialize, Deserialize)]
pub(super) struct EventConfig {
    maximum_retry_attempts: Option<u32>,
    maximum_event_age_in_seconds: Option<u32>,
    /// ARN of what is told of events that succeeded.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub on_success: Option<String>,
    /// ARN of what is told of events that failed for good.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub on_failure: Option<String>,
    /// Milliseconds since 1970.
    last_modified: i64,
}

#[derive(Deserialize, Default)]
#[serde(rename_all = "PascalCase", default)]
struct Given {
    maximum_retry_attempts: Option<u32>,
    maximum_event_age_in_seconds: Option<u32>,
    destination_config: Option<DestinationConfig>,
}

#[derive(Deserialize, Default)]
#[serde(rename_all = "PascalCase", default)]
struct DestinationConfig {
    on_success: Option<Destination>,
    on_failure: Option<Destination>,
}

#[derive(Deserialize, Default)]
#[serde(rename_all = "PascalCase", default)]
struct Destination {
    destination: Option<String>,
}

impl EventConfig {
    /// How often a failed event is tried again.
    pub(super) fn retries(&self) -> u32 {
        self.maximum_retry_attempts.unwrap_or(RETRIES)
    }

    /// How old an event may become, in milliseconds.
    pub(super) fn max_age_ms(&self) -> i64 {
        i64::from(self.maximum_event_age_in_seconds.unwrap_or(EVENT_AGE_SECONDS)) * 1000
    }

    fn change(
        &mut self,
        tx: &WriteTransaction,
        exchange: &Exchange,
        function: &Function,
        given: Given,
    ) -> Result<(), ApiError> {
        let within = |value: Option<u32>, least: u32, most: u32, member: &str| match value {
            Some(value) if !(least..=most).contains(&value) => Err(constraint(format_args!(
                "Value '{value}' at '{member}' failed to satisfy constraint: Member must have value between {least} \
                 and {most}"
            ))),
            _ => Ok(()),
        };
        within(given.maximum_retry_attempts, 0, RETRIES, "maximumRetryAttempts")?;
        let age = given.maximum_event_age_in_seconds;
        within(age, EVENT_AGE_SECONDS_MIN, EVENT_AGE_SECONDS, "maximumEventAgeInSeconds")?;
        self.maximum_retry_attempts = given.maximum_retry_attempts.or(self.maximum_retry_attempts);
        self.maximum_event_age_in_seconds = age.or(self.maximum_event_age_in_seconds);
        if let Some(config) = given.destination_config {
            let arn = |given: Option<Destination>| given.and_then(|it| it.destination).filter(|arn| !arn.is_empty());
            (self.on_success, self.on_failure) = (arn(config.on_success), arn(config.on_failure));
            for target in [&self.on_success, &self.on_failure].into_iter().flatten() {
                destinations::check(tx, exchange, &function.settings.role, target)?;
            }
        }
        self.last_modified = jiff::Timestamp::now().as_millisecond();
        Ok(())
    }

    fn view(&self, arn: &str) -> Value {
        let destination = |arn: &Option<String>| match arn {
            Some(arn) => json!({ "Destination": arn }),
            None => json!({}),
        };
        let mut view = json!({
            "LastModified": self.last_modified as f64 / 1000.0,
            "FunctionArn": format!("{arn}:$LATEST"),
            "DestinationConfig": {
                "OnSuccess": destination(&self.on_success),
                "OnFailure": destination(&self.on_failure),
            },
        });
        if let Some(attempts) = self.maximum_retry_attempts {
            view["MaximumRetryAttempts"] = attempts.into();
        }
        if let Some(age) = self.maximum_event_age_in_seconds {
            view["MaximumEventAgeInSeconds"] = age.into();
        }
        view
    }
}

impl Lambda {
    /// `PutFunctionEventInvokeConfig` replaces, `UpdateFunctionEventInvokeConfig` changes.
    pub(super) async fn set_event_config(
        &self,
        call: &Call,
        of: Reference,
        replace: bool,
    ) -> Result<Response<Bytes>, ApiError> {
        let given: Given = super::body(call)?;
        let exchange = Arc::clone(&self.pool.host.exchange);
        let view = self
            .store
            .commit(move |tx| {
                let function = of.find(tx)?;
                let arn = function.arn();
                let mut config = match EVENT_CONFIGS.get(tx, &arn)? {
                    _ if replace => EventConfig::default(),
                    Some(config) => config,
                    None => return Err(missing(&arn)),
                };
                config.change(tx, &exchange, &function, given)?;
                EVENT_CONFIGS.put(tx, &arn, &config)?;
                Ok(config.view(&arn))
            })
            .await?;
        answer(StatusCode::OK, &view)
    }

    pub(super) fn get_event_config(&self, of: &Reference) -> Result<Response<Bytes>, ApiError> {
        let view = self.store.read(|tx| {
            let arn = of.find(tx)?.arn();
            let config = EVENT_CONFIGS.get(tx, &arn)?.ok_or_else(|| missing(&arn))?;
            Ok::<_, ApiError>(config.view(&arn))
        })?;
        answer(StatusCode::OK, &view)
    }

    pub(super) fn list_event_configs(&self, of: &Reference) -> Result<Response<Bytes>, ApiError> {
        let views = self.store.read(|tx| {
            let arn = of.find(tx)?.arn();
            Ok::<_, ApiError>(EVENT_CONFIGS.get(tx, &arn)?.map(|config| config.view(&arn)))
        })?;
        answer(StatusCode::OK, &json!({ "FunctionEventInvokeConfigs": Vec::from_iter(views) }))
    }

    pub(super) async fn delete_event_config(&self, of: Reference) -> Result<Response<Bytes>, ApiError> {
        self.store
            .commit(move |tx| {
                let arn = of.find(tx)?.arn();
                if EVENT_CONFIGS.delete(tx, &arn)? { Ok(()) } else { Err(missing(&arn)) }
            })
            .await?;
        empty(StatusCode::NO_CONTENT)
    }
}

fn missing(arn: &str) -> ApiError {
    not_found(format!("The function {arn}:$LATEST doesn't have an EventInvokeConfig"))
}
