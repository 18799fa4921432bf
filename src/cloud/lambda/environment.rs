//! One execution environment: a bootstrap process, its Runtime API, its log stream. It serves one event at a time.
//! <https://docs.aws.amazon.com/lambda/latest/dg/lambda-runtime-environment.html>

use std::{
    os::unix::process::ExitStatusExt,
    path::PathBuf,
    process::ExitStatus,
    sync::Arc,
    time::{Duration, Instant},
};

use bytes::Bytes;
use serde_json::json;
use tokio::task::JoinHandle;
use tokio_util::sync::CancellationToken;

use super::{
    metrics,
    model::Function,
    options::Options,
    output::{Log, Output},
    package::{Lease, Packages},
    process::Process,
    report::{self, Report, Status},
    runtime_api::{Event, RESPONSE_BYTES, RuntimeApi, Signal},
    seams::{CredentialIssuer, Roles},
    variables::{Surroundings, variables},
};
use crate::cloud::{
    delivery::Exchange,
    error::ApiError,
    faults::{Victim, Victims},
    logs::LogSink,
    meter::Meter,
};

/// What every environment is made with.
pub(super) struct Host {
    pub options: Options,
    pub packages: Arc<Packages>,
    pub credentials: Arc<dyn CredentialIssuer>,
    pub roles: Arc<dyn Roles>,
    pub sink: LogSink,
    /// Takes what functions make of asynchronous events.
    pub exchange: Arc<Exchange>,
    /// Takes the functions' metrics.
    pub meter: Meter,
    /// Where faults find the functions' processes.
    pub victims: Arc<Victims>,
    /// Folder with the ids of running processes.
    pub records: PathBuf,
    /// Cancelled when the cloud stops: whatever runs is killed.
    pub stop: CancellationToken,
}

/// An event for a function.
#[derive(Clone)]
pub(super) struct Invocation {
    pub request_id: String,
    pub payload: Bytes,
    pub client_context: Option<String>,
}

/// How an invocation ended, as its caller gets to know it.
pub(super) struct Outcome {
    /// The function's answer, or the error document.
    pub payload: Bytes,
    /// Whether it is an error of the function.
    pub failed: bool,
    /// The end of the log.
    pub tail: Vec<u8>,
}

/// A warm environment.
pub(super) struct Environment {
    pub function: Arc<Function>,
    /// When its credentials are too old to begin another invocation.
    pub retire_at: Instant,
    process: Process,
    api: RuntimeApi,
    output: Arc<Output>,
    pump: JoinHandle<()>,
    log: Arc<Log>,
    /// How long its initialisation took, until that is reported.
    init: Option<Duration>,
    max_memory_mb: u64,
    _package: Lease,
    /// Where faults find its process.
    _victim: Option<Victim>,
}

impl Drop for Environment {
    fn drop(&mut self) {
        self.pump.abort();
    }
}

/// Why there is no environment.
struct InitFailure {
    status: Status,
    document: Bytes,
}

/// What a failed run leaves: how it ended and the error document.
struct Failure {
    status: Status,
    document: Bytes,
}

impl Environment {
    /// Starts an environment and drives its first event through it. The environment is given back when it can take
    /// another one.
    pub(super) async fn first(
        host: &Host,
        function: &Arc<Function>,
        invocation: Invocation,
    ) -> Result<(Outcome, Option<Environment>), ApiError> {
        let settings = &function.settings;
        let mut log = Log::new(host.sink.clone(), &function.region, &settings.log_group);
        log.kept = host.roles.may_log(&settings.role, &function.region, &log.group, &log.stream)?;
        let log = Arc::new(log);
        let begin = Instant::now();
        let mut started = Environment::start(host, function, &log, host.options.init_timeout).await?;
        if let Err(InitFailure { status: Status::Timeout, .. }) = &started {
            // As on AWS: once more, with the invocation's own time.
            log.platform(report::init_report(function, begin.elapsed(), Status::Timeout)).await;
            let limit = Duration::from_secs(function.settings.timeout_seconds.into());
            started = Environment::start(host, function, &log, limit).await?;
        }
        match started {
            Ok(environment) => Ok(environment.invoke(host, invocation).await),
            Err(failure) => {
                log.platform(report::init_report(function, begin.elapsed(), failure.status)).await;
                log.begin(report::start(function, &invocation.request_id)).await;
                let document = match failure.status {
                    Status::Timeout => timed_out(&log, function, &invocation.request_id).await.document,
                    _ => failure.document,
                };
                let ended = Report {
                    request_id: &invocation.request_id,
                    duration: begin.elapsed(),
                    init: None,
                    max_memory_mb: 0,
                    status: failure.status,
                };
                log.platform(report::end(function, &invocation.request_id, failure.status)).await;
                log.platform(report::report(function, &ended)).await;
                metrics::invoked(&host.meter, &function.arn(), ended.duration, true);
                Ok((Outcome { payload: document, failed: true, tail: log.take_tail() }, None))
            }
        }
    }

    async fn start(
        host: &Host,
        function: &Arc<Function>,
        log: &Arc<Log>,
        limit: Duration,
    ) -> Result<Result<Environment, InitFailure>, ApiError> {
        let credentials =
            host.credentials.issue(&function.settings.role, &function.name, host.options.credentials_ttl).await?;
        let retire_at = Instant::now() + host.options.credentials_ttl / 2;
        let api = RuntimeApi::start().await.map_err(ApiError::internal)?;
        let folder = host.packages.folder(&function.code.sha256);
        let package = host.packages.lease(&function.code.sha256);
        log.begin(report::init_start(function)).await;
        let begin = Instant::now();
        let variables = variables(&Surroundings {
            function,
            credentials: &credentials,
            endpoint_url: &host.options.endpoint_url,
            runtime_api: api.address,
            log_stream: &log.stream,
            task_root: &folder,
        });
        let (process, pipe) = match Process::start(&folder.join("bootstrap"), &folder, variables, &host.records).await {
            Ok(started) => started,
            Err(error) => {
                let message = format!("Couldn't start the package's `bootstrap`: {error}");
                log.platform(format!("{message}\tRuntime.InvalidEntrypoint")).await;
                return Ok(Err(InitFailure {
                    status: Status::Error("Runtime.InvalidEntrypoint"),
                    document: document("Runtime.InvalidEntrypoint", &message),
                }));
            }
        };
        let victim = process.group().map(|group| host.victims.enter(&credentials.access_key_id, group));
        let output = Output::new(pipe, Arc::clone(log)).map_err(ApiError::internal)?;
        let pump = tokio::spawn(Arc::clone(&output).pump());
        let mut environment = Environment {
            function: Arc::clone(function),
            retire_at,
            process,
            api,
            output,
            pump,
            log: Arc::clone(log),
            init: None,
            max_memory_mb: 0,
            _package: package,
            _victim: victim,
        };
        Ok(match environment.initialise(limit, &host.stop).await {
            Ok(()) => {
                environment.init = Some(begin.elapsed());
                Ok(environment)
            }
            Err(failure) => {
                environment.end().await;
                Err(failure)
            }
        })
    }

    /// Waits until the runtime asks for its first event.
    async fn initialise(&mut self, limit: Duration, stop: &CancellationToken) -> Result<(), InitFailure> {
        let deadline = tokio::time::sleep(limit);
        tokio::pin!(deadline);
        tokio::select! {
            biased;
            signal = self.api.signal() => match signal {
                Signal::Ready => Ok(()),
                Signal::InitFailed(document) => Err(InitFailure { status: Status::Error("Runtime.InitError"), document }),
                _ => Err(InitFailure {
                    status: Status::Error("Runtime.Unknown"),
                    document: document("Runtime.Unknown", "The runtime answered before it asked for an event"),
                }),
            },
            ended = self.process.wait() => {
                if let Some(Signal::InitFailed(document)) = self.api.try_signal() {
                    return Err(InitFailure { status: Status::Error("Runtime.InitError"), document });
                }
                let message = format!("Error: {}", exit_text(ended));
                Err(InitFailure { status: Status::Error("Runtime.ExitError"), document: document("Runtime.ExitError", &message) })
            }
            () = &mut deadline => Err(InitFailure { status: Status::Timeout, document: Bytes::new() }),
            () = stop.cancelled() => Err(InitFailure { status: Status::Error("Sandbox.Stopped"), document: stopped() }),
        }
    }

    /// Drives one event through the runtime, until that asks for the next one. The environment is given back unless
    /// it is spent.
    pub(super) async fn invoke(mut self, host: &Host, invocation: Invocation) -> (Outcome, Option<Environment>) {
        let function = Arc::clone(&self.function);
        let request_id = invocation.request_id.clone();
        let timeout = Duration::from_secs(function.settings.timeout_seconds.into());
        self.log.begin(report::start(&function, &request_id)).await;
        let begin = Instant::now();
        let deadline_ms = jiff::Timestamp::now().as_millisecond() + i64::from(function.settings.timeout_seconds) * 1000;
        self.api
            .deliver(Event {
                request_id: request_id.clone(),
                function_arn: function.arn(),
                deadline_ms,
                trace_id: trace_id(),
                client_context: invocation.client_context,
                payload: invocation.payload,
            })
            .await;
        let (answer, alive) = self.answer(&request_id, timeout, &host.stop).await;
        let duration = begin.elapsed().min(timeout);
        self.max_memory_mb = self.process.max_memory_mb().unwrap_or(self.max_memory_mb);
        if !alive {
            self.process.kill();
        }
        self.output.drain().await;
        let (payload, failed, status) = match answer {
            Ok((payload, failed)) => (payload, failed, Status::Success),
            Err(failure) => {
                let document = match failure.status {
                    Status::Timeout => timed_out(&self.log, &function, &request_id).await.document,
                    _ => failure.document,
                };
                (document, true, failure.status)
            }
        };
        let ended = Report {
            request_id: &request_id,
            duration,
            init: self.init.take(),
            max_memory_mb: self.max_memory_mb,
            status,
        };
        self.log.platform(report::end(&function, &request_id, status)).await;
        self.log.platform(report::report(&function, &ended)).await;
        metrics::invoked(&host.meter, &function.arn(), duration, failed);
        let outcome = Outcome { payload, failed, tail: self.log.take_tail() };
        (outcome, alive.then_some(self))
    }

    /// The function's answer (and whether it is an error), and whether the environment can go on.
    async fn answer(
        &mut self,
        request_id: &str,
        timeout: Duration,
        stop: &CancellationToken,
    ) -> (Result<(Bytes, bool), Failure>, bool) {
        let deadline = tokio::time::sleep(timeout);
        tokio::pin!(deadline);
        let mut answer = None;
        loop {
            tokio::select! {
                biased;
                signal = self.api.signal() => match signal {
                    Signal::Ready => {
                        // Without an answer it had asked twice before the event went out.
                        if let Some(answer) = answer {
                            return (answer, true);
                        }
                    }
                    other => answer = Some(take(other)),
                },
                ended = self.process.wait() => {
                    // What it said last may still be on its way to us.
                    if let Some(signal) = self.api.try_signal().filter(|signal| *signal != Signal::Ready) {
                        answer = Some(take(signal));
                    }
                    return (answer.unwrap_or_else(|| Err(exited(request_id, ended))), false);
                }
                () = &mut deadline => {
                    let late = Err(Failure { status: Status::Timeout, document: Bytes::new() });
                    return (answer.unwrap_or(late), false);
                }
                () = stop.cancelled() => {
                    let status = Status::Error("Sandbox.Stopped");
                    return (answer.unwrap_or_else(|| Err(Failure { status, document: stopped() })), false);
                }
            }
        }
    }

    /// Whether it can take an event for this state of the function.
    pub(super) fn serves(&mut self, function: &Function) -> bool {
        self.function.revision == function.revision && Instant::now() < self.retire_at && !self.process.has_ended()
    }

    /// Kills it, once its last output is written.
    pub(super) async fn end(mut self) {
        self.process.kill();
        let _ = self.process.wait().await; // killed
        self.output.drain().await;
    }
}

fn take(signal: Signal) -> Result<(Bytes, bool), Failure> {
    match signal {
        Signal::Response(payload) => Ok((payload, false)),
        Signal::Failed(payload) | Signal::InitFailed(payload) => Ok((payload, true)),
        Signal::TooLarge => Err(Failure {
            status: Status::Error("Function.ResponseSizeTooLarge"),
            document: document(
                "Function.ResponseSizeTooLarge",
                &format!("Response payload size exceeded maximum allowed payload size ({RESPONSE_BYTES} bytes)."),
            ),
        }),
        Signal::Ready => Ok((Bytes::new(), false)),
    }
}

async fn timed_out(log: &Log, function: &Function, request_id: &str) -> Failure {
    let text = format!("Task timed out after {}.00 seconds", function.settings.timeout_seconds);
    let time = jiff::Timestamp::now().strftime("%Y-%m-%dT%H:%M:%S%.3fZ");
    log.platform(format!("{time} {request_id} {text}\n")).await;
    let message = format!("RequestId: {request_id} Error: {text}");
    Failure { status: Status::Timeout, document: document("Sandbox.Timedout", &message) }
}

fn exited(request_id: &str, ended: std::io::Result<ExitStatus>) -> Failure {
    let message = format!("RequestId: {request_id} Error: {}", exit_text(ended));
    Failure { status: Status::Error("Runtime.ExitError"), document: document("Runtime.ExitError", &message) }
}

fn exit_text(ended: std::io::Result<ExitStatus>) -> String {
    match ended {
        Ok(status) => match (status.code(), status.signal()) {
            (Some(0), _) => "Runtime exited without providing a reason".into(),
            (Some(code), _) => format!("Runtime exited with error: exit status {code}"),
            (None, Some(9)) => "Runtime exited with error: signal: killed".into(),
            (None, signal) => format!("Runtime exited with error: signal: {}", signal.unwrap_or_default()),
        },
        Err(error) => format!("Runtime could not be waited for: {error}"),
    }
}

fn stopped() -> Bytes {
    document("Sandbox.Stopped", "The embedded cloud stopped while the function ran")
}

fn document(kind: &str, message: &str) -> Bytes {
    json!({ "errorType": kind, "errorMessage": message }).to_string().into()
}

/// An X-Ray header of a trace that is not sampled.
/// <https://docs.aws.amazon.com/xray/latest/devguide/xray-concepts.html#xray-concepts-tracingheader>
fn trace_id() -> String {
    let seconds = jiff::Timestamp::now().as_second();
    let (root, parent) = (uuid::Uuid::new_v4().simple().to_string(), uuid::Uuid::new_v4().simple().to_string());
    format!("Root=1-{seconds:08x}-{};Parent={};Sampled=0", &root[..24], &parent[..16])
}
