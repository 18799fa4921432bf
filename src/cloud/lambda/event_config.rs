//! How a function's asynchronous events are retried: the event invoke configuration.

use bytes::Bytes;
use http::{Response, StatusCode};
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};

use super::{
    Lambda,
    model::Reference,
    rest::{answer, constraint, empty, not_found},
    settings::not_here,
};
use crate::cloud::{error::ApiError, service::Call, store::Table};

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

    fn change(&mut self, given: &Given) -> Result<(), ApiError> {
        let destinations = given.destination_config.iter().flat_map(|config| [&config.on_success, &config.on_failure]);
        let named = |it: &Destination| it.destination.as_ref().is_some_and(|arn| !arn.is_empty());
        if destinations.flatten().any(named) {
            return Err(not_here("destinations of asynchronous events yet"));
        }
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
        self.last_modified = jiff::Timestamp::now().as_millisecond();
        Ok(())
    }

    fn view(&self, arn: &str) -> Value {
        let mut view = json!({
            "LastModified": self.last_modified as f64 / 1000.0,
            "FunctionArn": format!("{arn}:$LATEST"),
            "DestinationConfig": { "OnSuccess": {}, "OnFailure": {} },
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
        let view = self
            .store
            .commit(move |tx| {
                let arn = of.find(tx)?.arn();
                let mut config = match EVENT_CONFIGS.get(tx, &arn)? {
                    _ if replace => EventConfig::default(),
                    Some(config) => config,
                    None => return Err(missing(&arn)),
                };
                config.change(&given)?;
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
