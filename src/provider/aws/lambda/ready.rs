//! Waiting until a function is made or changed: Lambda tells by state, and has no event for it
//! (<https://docs.aws.amazon.com/lambda/latest/dg/functions-states.html>).

use std::time::Duration;

use aws_sdk_lambda::{
    Client,
    types::{LastUpdateStatus, State},
};
use tokio::time::Instant;

use crate::provider::{ErrorKind, ProviderError, aws::error::failed};

const OPERATION: &str = "lambda:GetFunctionConfiguration";

/// How long a function may take to become usable. AWS takes seconds.
const READY_WAIT_MAX: Duration = Duration::from_secs(300);

/// Pause before the second look; doubles up to [`PAUSE_MAX`].
const PAUSE_FIRST: Duration = Duration::from_millis(50);

/// Longest pause between looks.
const PAUSE_MAX: Duration = Duration::from_secs(2);

/// Waits until the function is Active and its last update Successful. Returns its ARN.
pub(super) async fn wait(lambda: &Client, name: &str) -> Result<String, ProviderError> {
    let deadline = Instant::now() + READY_WAIT_MAX;
    let mut pause = PAUSE_FIRST;
    loop {
        let seen = lambda.get_function_configuration().function_name(name).send().await.map_err(failed(OPERATION))?;
        let trouble = |kind, what: &str, reason: Option<&str>| {
            let reason = reason.unwrap_or("Lambda gives no reason");
            ProviderError::new(kind, OPERATION, format!("function {name} {what}: {reason}"))
        };
        match (seen.state(), seen.last_update_status()) {
            (Some(State::Failed), _) => {
                return Err(trouble(ErrorKind::Invalid, "could not be made", seen.state_reason()));
            }
            (_, Some(LastUpdateStatus::Failed)) => {
                return Err(trouble(ErrorKind::Invalid, "could not be updated", seen.last_update_status_reason()));
            }
            // A function long unused is Inactive and wakes up when it is invoked.
            (Some(State::Pending), _) | (_, Some(LastUpdateStatus::InProgress)) => {}
            _ => return Ok(seen.function_arn.unwrap_or_default()),
        }
        if Instant::now() + pause > deadline {
            let seconds = READY_WAIT_MAX.as_secs();
            let reason = seen.state_reason().or(seen.last_update_status_reason());
            return Err(trouble(ErrorKind::NotYet, &format!("is not usable after {seconds} s"), reason));
        }
        tokio::time::sleep(pause).await;
        pause = PAUSE_MAX.min(pause * 2);
    }
}
