//! Waiting until a function is made or changed: Lambda tells by state, and has no event for it
//! (<https://docs.aws.amazon.com/lambda/latest/dg/functions-states.html>).

use std::time::Duration;

use aws_sdk_lambda::{
    Client,
    operation::get_function_configuration::GetFunctionConfigurationOutput as Seen,
    types::{LastUpdateStatus, State},
};
use tokio::time::Instant;

use crate::provider::{
    ErrorKind, ProviderError,
    aws::error::{OrNone, failed},
};

const OPERATION: &str = "lambda:GetFunctionConfiguration";

/// How long a function may take to become usable. AWS takes seconds.
const READY_WAIT_MAX: Duration = Duration::from_secs(300);

/// How long a function that was just made may be invisible.
const VISIBLE_WAIT_MAX: Duration = Duration::from_secs(30);

/// Pause before the second look; doubles up to [`PAUSE_MAX`].
const PAUSE_FIRST: Duration = Duration::from_millis(50);

/// Longest pause between looks.
const PAUSE_MAX: Duration = Duration::from_secs(2);

/// How a function stands once nothing is going on with it.
pub(super) enum Settled {
    /// It can be invoked and changed; its ARN.
    Usable(String),
    /// Its last change failed; what it was before still runs. Its ARN, and why.
    UpdateFailed(String, ProviderError),
    /// It could not be made and never will be.
    Failed(ProviderError),
}

/// Waits until the function is Active and its last update Successful. Returns its ARN.
pub(super) async fn wait(lambda: &Client, name: &str) -> Result<String, ProviderError> {
    match settled(lambda, name).await? {
        Settled::Usable(arn) => Ok(arn),
        Settled::UpdateFailed(_, error) | Settled::Failed(error) => Err(error),
    }
}

/// Waits until nothing is going on with the function.
pub(super) async fn settled(lambda: &Client, name: &str) -> Result<Settled, ProviderError> {
    let begun = Instant::now();
    let mut pause = PAUSE_FIRST;
    loop {
        let call = lambda.get_function_configuration().function_name(name).send().await;
        let seen = call.map_err(failed(OPERATION)).or_none()?;
        if let Some(settled) = seen.as_ref().and_then(|seen| judge(name, seen)) {
            return Ok(settled);
        }
        let patience = if seen.is_some() { READY_WAIT_MAX } else { VISIBLE_WAIT_MAX };
        if begun.elapsed() + pause > patience {
            let reason = seen
                .as_ref()
                .map_or(Some("it is not there"), |seen| seen.state_reason().or(seen.last_update_status_reason()));
            let what = format!("is not usable after {} s", patience.as_secs());
            return Err(trouble(name, &what, reason));
        }
        tokio::time::sleep(pause).await;
        pause = PAUSE_MAX.min(pause * 2);
    }
}

/// `None` while something is going on.
fn judge(name: &str, seen: &Seen) -> Option<Settled> {
    let arn = seen.function_arn.clone().unwrap_or_default();
    match (seen.state(), seen.last_update_status()) {
        (Some(State::Failed), _) => Some(Settled::Failed(trouble(name, "could not be made", seen.state_reason()))),
        (Some(State::Pending), _) | (_, Some(LastUpdateStatus::InProgress)) => None,
        (_, Some(LastUpdateStatus::Failed)) => {
            let reason = seen.last_update_status_reason();
            Some(Settled::UpdateFailed(arn, trouble(name, "could not be updated", reason)))
        }
        // One long unused is Inactive, and wakes up when it is invoked.
        _ => Some(Settled::Usable(arn)),
    }
}

fn trouble(name: &str, what: &str, reason: Option<&str>) -> ProviderError {
    let reason = reason.unwrap_or("Lambda gives no reason");
    ProviderError::new(ErrorKind::Invalid, OPERATION, format!("function {name} {what}: {reason}"))
}
