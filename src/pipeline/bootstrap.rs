//! The process that Lambda starts: environment → handler loop. It asks for its first event before it does anything
//! else; clients, certificates and what the artifacts bucket holds are made ready when that event is there, and kept.

mod artifacts;
mod environment;
mod handlers;

use std::{env, process::ExitCode, time::Duration};

use aws_config::{BehaviorVersion, timeout::TimeoutConfig};
use jiff::Timestamp;
use lambda_runtime::{Context, Diagnostic, LambdaEvent, service_fn};
use serde_json::Value;
use tokio::sync::OnceCell;
use tracing::level_filters::LevelFilter;
use tracing_subscriber::{filter::Targets, layer::SubscriberExt, util::SubscriberInitExt};

use self::environment::{Environment, Face};
use super::{
    Invocation,
    aws::{Aws, s3_client},
};
use crate::dataset::Manifest;

/// Longest wait for a connection.
const CONNECT_TIMEOUT: Duration = Duration::from_secs(3);

/// Longest wait for the first byte of an answer. Completing a large multipart upload is the slowest request.
const READ_TIMEOUT: Duration = Duration::from_secs(60);

/// What an event needs, made ready by the first.
struct Services {
    aws: Aws,
    manifest: Manifest,
}

/// The process that Lambda starts: serves events until Lambda ends it.
pub fn main() -> ExitCode {
    let served = tokio::runtime::Runtime::new().map_err(Into::into).and_then(|runtime| runtime.block_on(run()));
    match served {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            tracing::error!("the function ends: {error}");
            ExitCode::FAILURE
        }
    }
}

/// Serves events until Lambda ends the process.
///
/// # Errors
/// When the environment is not that of one of the lake's functions, or the Runtime API cannot be reached.
pub async fn run() -> Result<(), lambda_runtime::Error> {
    log_to_stdout(env::var("AWS_LAMBDA_LOG_LEVEL").ok().as_deref());
    let environment = Environment::read(|name| env::var(name).ok()).inspect_err(|error| tracing::error!("{error}"))?;
    let (environment, services) = (&environment, &OnceCell::new());
    lambda_runtime::run(service_fn(move |event: LambdaEvent<Value>| handle(environment, services, event))).await
}

async fn handle(
    environment: &Environment,
    services: &OnceCell<Services>,
    event: LambdaEvent<Value>,
) -> Result<Value, Diagnostic> {
    let (payload, context) = event.into_parts();
    let invocation = invocation(environment, &context);
    let services = services.get_or_try_init(|| load(environment)).await?;
    match environment.face {
        Face::Intake => handlers::intake(environment, services, &payload).await,
        Face::Convert => handlers::convert(environment, services, &invocation, &payload).await,
        Face::Sweep => handlers::sweep(environment, services, &invocation, &payload).await,
    }
}

fn invocation(environment: &Environment, context: &Context) -> Invocation {
    let deadline = i64::try_from(context.deadline).ok().and_then(|it| Timestamp::from_millisecond(it).ok());
    let now = Timestamp::now();
    Invocation::new(&context.request_id, now, deadline.unwrap_or(now), environment.memory_mb)
}

/// Makes clients, and reads what the environment names.
async fn load(environment: &Environment) -> Result<Services, Diagnostic> {
    let timeouts = TimeoutConfig::builder().connect_timeout(CONNECT_TIMEOUT).read_timeout(READ_TIMEOUT).build();
    let mut loader = aws_config::defaults(BehaviorVersion::latest()).timeout_config(timeouts);
    if environment.endpoint.as_ref().is_some_and(|url| url.starts_with("http://")) {
        // Without TLS no root certificates need to be read and parsed on a cold start.
        loader = loader.http_client(aws_smithy_http_client::Builder::new().build_http());
    }
    let config = loader.load().await;
    let s3 = s3_client(&config);
    let (manifest, crawlers) =
        futures::try_join!(artifacts::manifest(&s3, environment), artifacts::crawlers(&s3, environment))?;
    let aws = Aws::new(&config, environment.names.clone())
        .with_crawlers(crawlers)
        .with_plugins(&environment.artifacts_bucket)
        .with_memory(environment.memory_mb);
    Ok(Services { aws, manifest })
}

fn diagnostic(kind: &str, message: impl ToString) -> Diagnostic {
    Diagnostic { error_type: kind.to_owned(), error_message: message.to_string() }
}

/// JSON lines, each with the request id of its invocation.
fn log_to_stdout(level: Option<&str>) {
    let level = level.and_then(|level| level.parse().ok()).unwrap_or(LevelFilter::INFO);
    // The span that bears the request id is the runtime's own, at INFO.
    let targets = Targets::new()
        .with_default(LevelFilter::WARN)
        .with_target("lake", level)
        .with_target("lambda_runtime", LevelFilter::INFO);
    let lines = tracing_subscriber::fmt::layer()
        .json()
        .flatten_event(true)
        .with_current_span(true)
        .with_span_list(false)
        .with_writer(std::io::stdout);
    // Somebody who embeds the bootstrap may log already.
    let _ = tracing_subscriber::registry().with(lines).with(targets).try_init();
}
