//! The process that Lambda starts: environment → handler loop. It asks for its first event before it does anything
//! else; clients, certificates and the manifest are made ready when that event is there, and kept.

use std::process::ExitCode;
use std::{env, io::Write, str::FromStr, time::Duration};

use aws_config::{BehaviorVersion, timeout::TimeoutConfig};
use jiff::Timestamp;
use lambda_runtime::{Context, Diagnostic, LambdaEvent, service_fn};
use serde_json::Value;
use tokio::sync::OnceCell;
use tracing::level_filters::LevelFilter;
use tracing_subscriber::{filter::Targets, layer::SubscriberExt, util::SubscriberInitExt};

use super::{
    Invocation,
    aws::{Aws, Names, s3_client},
    convert, intake,
    ledger::Run,
    metrics,
};
use crate::dataset::Manifest;

/// Longest wait for a connection.
const CONNECT_TIMEOUT: Duration = Duration::from_secs(3);

/// Longest wait for the first byte of an answer. Completing a large multipart upload is the slowest request.
const READ_TIMEOUT: Duration = Duration::from_secs(60);

/// Largest manifest that is read, bytes.
const MANIFEST_BYTES_MAX: usize = 16 * 1024 * 1024;

/// Which of the functions this process is: the function's handler setting.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Face {
    Intake,
    Convert,
}

impl FromStr for Face {
    type Err = String;

    fn from_str(handler: &str) -> Result<Self, String> {
        match handler {
            "intake" => Ok(Face::Intake),
            "convert" => Ok(Face::Convert),
            other => Err(format!("_HANDLER is `{other}`; the function's handler must be `intake` or `convert`")),
        }
    }
}

/// What the function's environment says.
#[derive(Debug, Clone)]
struct Environment {
    face: Face,
    names: Names,
    artifacts_bucket: String,
    manifest_key: String,
    memory_mb: u32,
    endpoint: Option<String>,
}

impl Environment {
    fn read(get: impl Fn(&str) -> Option<String>) -> Result<Self, String> {
        let need = |name: &str| {
            let value = get(name).filter(|value| !value.is_empty());
            value.ok_or_else(|| format!("the function's environment lacks {name}; run `lake apply` again"))
        };
        let face = need("_HANDLER")?.parse()?;
        let convert_function = match face {
            Face::Intake => need("LAKE_CONVERT_FUNCTION")?,
            Face::Convert => String::new(),
        };
        let names = Names {
            lake: need("LAKE_NAME")?,
            stack: need("LAKE_STACK")?,
            raw_bucket: need("LAKE_RAW_BUCKET")?,
            processed_bucket: need("LAKE_PROCESSED_BUCKET")?,
            database: need("LAKE_DATABASE")?,
            convert_function,
        };
        Ok(Environment {
            face,
            names,
            artifacts_bucket: need("LAKE_ARTIFACTS_BUCKET")?,
            manifest_key: need("LAKE_MANIFEST")?,
            memory_mb: get("AWS_LAMBDA_FUNCTION_MEMORY_SIZE").and_then(|size| size.parse().ok()).unwrap_or(0),
            endpoint: get("AWS_ENDPOINT_URL").filter(|url| !url.is_empty()),
        })
    }
}

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
        Face::Intake => note(environment, services, &payload).await,
        Face::Convert => convert_marker(environment, services, &invocation, &payload).await,
    }
}

fn invocation(environment: &Environment, context: &Context) -> Invocation {
    let deadline = i64::try_from(context.deadline).ok().and_then(|it| Timestamp::from_millisecond(it).ok());
    let now = Timestamp::now();
    Invocation::new(&context.request_id, now, deadline.unwrap_or(now), environment.memory_mb)
}

async fn note(environment: &Environment, services: &Services, event: &Value) -> Result<Value, Diagnostic> {
    let raw_bucket = &environment.names.raw_bucket;
    match intake::intake(&services.aws, &services.manifest, raw_bucket, event).await {
        Ok(noted) => {
            tracing::info!(noted = ?noted.noted, ignored = ?noted.ignored, "the event is written down");
            Ok(serde_json::to_value(noted).unwrap_or_default())
        }
        Err(error) => {
            for failure in &error.failures {
                tracing::error!(failure, "an object could not be noted");
            }
            Err(diagnostic("IntakeError", error))
        }
    }
}

async fn convert_marker(
    environment: &Environment,
    services: &Services,
    invocation: &Invocation,
    event: &Value,
) -> Result<Value, Diagnostic> {
    let Some(marker) = event.get("marker").and_then(Value::as_str) else {
        return Err(diagnostic("EventError", r#"convert takes {"marker": "<key of a pending marker>"}"#));
    };
    let result = convert::convert(&services.aws, &services.manifest, invocation, marker).await;
    let runs = result.as_ref().map_or_else(|error| &error.runs, |answer| &answer.runs);
    report(environment, runs);
    match result {
        Ok(answer) => {
            tracing::info!(marker, outcome = ?answer.outcome, "done");
            Ok(serde_json::to_value(answer).unwrap_or_default())
        }
        Err(error) => Err(diagnostic(&error.failure.code, &error.failure.message)),
    }
}

/// Each run is one line of its own: CloudWatch takes metrics from lines that are nothing but their JSON.
fn report(environment: &Environment, runs: &[Run]) {
    let mut out = std::io::stdout().lock();
    for run in runs {
        let line = metrics::line(&environment.names.lake, &environment.names.stack, run);
        if let Err(error) = writeln!(out, "{line}") {
            tracing::warn!(%error, "a run's metrics could not be written");
        }
    }
}

/// Makes clients, and reads the manifest that the environment names.
async fn load(environment: &Environment) -> Result<Services, Diagnostic> {
    let timeouts = TimeoutConfig::builder().connect_timeout(CONNECT_TIMEOUT).read_timeout(READ_TIMEOUT).build();
    let mut loader = aws_config::defaults(BehaviorVersion::latest()).timeout_config(timeouts);
    if environment.endpoint.as_ref().is_some_and(|url| url.starts_with("http://")) {
        // Without TLS no root certificates need to be read and parsed on a cold start.
        loader = loader.http_client(aws_smithy_http_client::Builder::new().build_http());
    }
    let config = loader.load().await;
    let manifest = manifest(&s3_client(&config), environment).await?;
    Ok(Services { aws: Aws::new(&config, environment.names.clone()), manifest })
}

async fn manifest(s3: &aws_sdk_s3::Client, environment: &Environment) -> Result<Manifest, Diagnostic> {
    let (bucket, key) = (&environment.artifacts_bucket, &environment.manifest_key);
    let failed = |message: String| diagnostic("ManifestError", format!("s3://{bucket}/{key}: {message}"));
    let object = s3.get_object().bucket(bucket).key(key).send().await;
    let object = object.map_err(|error| failed(aws_sdk_s3::error::DisplayErrorContext(error).to_string()))?;
    let (mut chunks, mut bytes) = (object.body, Vec::new());
    while let Some(chunk) = chunks.next().await {
        bytes.extend_from_slice(&chunk.map_err(|error| failed(error.to_string()))?);
        if bytes.len() > MANIFEST_BYTES_MAX {
            return Err(failed(format!("a manifest is never larger than {MANIFEST_BYTES_MAX} bytes")));
        }
    }
    let manifest = Manifest::from_bytes(&bytes).map_err(|error| failed(error.to_string()))?;
    if !key.contains(&manifest.content_hash()) {
        return Err(failed("the content is not the one that the key names".to_owned()));
    }
    Ok(manifest)
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

#[cfg(test)]
mod tests {
    use super::*;

    fn environment(handler: &str, without: &str) -> Result<Environment, String> {
        Environment::read(|name| match name {
            name if name == without => None,
            "_HANDLER" => Some(handler.to_owned()),
            "AWS_LAMBDA_FUNCTION_MEMORY_SIZE" => Some("2048".to_owned()),
            name => Some(format!("value of {name}")),
        })
    }

    #[test]
    fn the_handler_setting_tells_which_function_it_is() {
        assert_eq!(environment("intake", "").unwrap().face, Face::Intake);
        assert_eq!(environment("convert", "").unwrap().face, Face::Convert);
        assert!(environment("main", "").unwrap_err().contains("`main`"));
    }

    #[test]
    fn a_missing_variable_is_named_and_convert_needs_no_function_to_invoke() {
        assert!(environment("intake", "LAKE_CONVERT_FUNCTION").unwrap_err().contains("LAKE_CONVERT_FUNCTION"));
        assert!(environment("convert", "LAKE_CONVERT_FUNCTION").is_ok());
        assert!(environment("convert", "LAKE_MANIFEST").unwrap_err().contains("LAKE_MANIFEST"));
    }
}
