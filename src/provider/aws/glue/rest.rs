//! Changing a crawler: Glue refuses that while it runs. It is stopped, and tells by its state when it has
//! (<https://docs.aws.amazon.com/glue/latest/webapi/API_StopCrawler.html>); there is no call that waits.

use std::{error::Error, time::Duration};

use aws_sdk_glue::{Client, types::CrawlerState};
use aws_smithy_runtime_api::client::{orchestrator::HttpResponse, result::SdkError};
use aws_smithy_types::error::metadata::ProvideErrorMetadata;
use tokio::time::Instant;

use crate::provider::{
    ErrorKind, ProviderError,
    aws::error::{OrNone, classify, failed},
};

/// Times that a crawler is stopped while somebody goes on starting it.
const STOPS_MAX: u32 = 5;

/// How long a crawler may take to stop. AWS takes a minute or two.
const REST_WAIT_MAX: Duration = Duration::from_secs(300);

/// Pause before the second look; doubles up to [`PAUSE_MAX`].
const PAUSE_FIRST: Duration = Duration::from_millis(20);

/// Longest pause between looks.
const PAUSE_MAX: Duration = Duration::from_secs(2);

/// Makes the call while the crawler stands still.
pub(super) async fn at_rest<T, E, F>(
    glue: &Client,
    name: &str,
    operation: &str,
    call: impl Fn() -> F + Send + Sync,
) -> Result<T, ProviderError>
where
    E: ProvideErrorMetadata + Error + Send + 'static,
    F: Future<Output = Result<T, SdkError<E, HttpResponse>>> + Send,
    T: Send,
{
    for round in 1.. {
        match call().await {
            Ok(answer) => return Ok(answer),
            Err(error) if error.code() == Some("CrawlerRunningException") && round <= STOPS_MAX => {}
            Err(error) => return Err(classify(operation, error)),
        }
        stop(glue, name).await?;
        wait(glue, name).await?;
    }
    unreachable!("the last round returns")
}

async fn stop(glue: &Client, name: &str) -> Result<(), ProviderError> {
    match glue.stop_crawler().name(name).send().await {
        // It stopped, or is about to.
        Err(error) if matches!(error.code(), Some("CrawlerNotRunningException" | "CrawlerStoppingException")) => Ok(()),
        answer => answer.map_err(failed("glue:StopCrawler")).or_none().map(drop),
    }
}

/// Waits until the crawler is READY, or gone.
async fn wait(glue: &Client, name: &str) -> Result<(), ProviderError> {
    const OPERATION: &str = "glue:GetCrawler";
    let begun = Instant::now();
    let mut pause = PAUSE_FIRST;
    loop {
        let answer = glue.get_crawler().name(name).send().await.map_err(failed(OPERATION)).or_none()?;
        let state = answer.and_then(|answer| answer.crawler?.state);
        if state.is_none_or(|state| state == CrawlerState::Ready) {
            return Ok(());
        }
        if begun.elapsed() + pause > REST_WAIT_MAX {
            let message = format!("crawler {name} did not stop within {} s", REST_WAIT_MAX.as_secs());
            return Err(ProviderError::new(ErrorKind::Invalid, OPERATION, message));
        }
        tokio::time::sleep(pause).await;
        pause = PAUSE_MAX.min(pause * 2);
    }
}
