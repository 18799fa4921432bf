//! The Runtime API: what a bootstrap speaks, one listener for each execution environment.
//! <https://docs.aws.amazon.com/lambda/latest/dg/runtimes-api.html>

use std::{
    convert::Infallible,
    net::SocketAddr,
    sync::{Arc, Mutex, PoisonError},
};

use bytes::Bytes;
use http::{Method, Request, Response, StatusCode};
use http_body_util::{BodyExt, Full, LengthLimitError, Limited};
use hyper::{body::Incoming, server::conn::http1, service::service_fn};
use hyper_util::rt::TokioIo;
use serde_json::json;
use tokio::{
    net::{TcpListener, TcpStream},
    sync::mpsc,
    task::{JoinHandle, JoinSet},
};

/// Largest response of a function, in bytes.
pub(super) const RESPONSE_BYTES: usize = 6_291_556;
/// Signals on their way from the API to the environment.
const QUEUED_SIGNALS: usize = 8;

/// An event as the runtime gets it.
pub(super) struct Event {
    pub request_id: String,
    pub function_arn: String,
    /// Milliseconds since 1970.
    pub deadline_ms: i64,
    pub trace_id: String,
    pub client_context: Option<String>,
    pub payload: Bytes,
}

/// What the runtime has to say.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Signal {
    /// It asks for the next event.
    Ready,
    /// The function has answered.
    Response(Bytes),
    /// The function has failed; the error document.
    Failed(Bytes),
    /// The answer is larger than [`RESPONSE_BYTES`].
    TooLarge,
    /// The runtime could not initialise; the error document.
    InitFailed(Bytes),
}

/// One environment's API. Dropping it closes listener and connections, which tells the runtime to end.
pub(super) struct RuntimeApi {
    pub address: SocketAddr,
    shared: Arc<Shared>,
    events: mpsc::Sender<Event>,
    signals: mpsc::Receiver<Signal>,
    server: JoinHandle<()>,
}

struct Shared {
    events: tokio::sync::Mutex<mpsc::Receiver<Event>>,
    signals: mpsc::Sender<Signal>,
    /// Request that waits for an answer.
    open: Mutex<Option<String>>,
}

impl Drop for RuntimeApi {
    fn drop(&mut self) {
        self.server.abort();
    }
}

impl RuntimeApi {
    /// Listens on a free port of the loopback interface.
    pub(super) async fn start() -> std::io::Result<RuntimeApi> {
        let listener = TcpListener::bind(("127.0.0.1", 0)).await?;
        let address = listener.local_addr()?;
        let (events, queue) = mpsc::channel(1);
        let (signals, received) = mpsc::channel(QUEUED_SIGNALS);
        let shared = Arc::new(Shared { events: tokio::sync::Mutex::new(queue), signals, open: Mutex::new(None) });
        let server = tokio::spawn(serve(listener, Arc::clone(&shared)));
        Ok(RuntimeApi { address, shared, events, signals: received, server })
    }

    /// Gives an event to the runtime. To be called when it is ready, so there is room.
    pub(super) async fn deliver(&self, event: Event) {
        *self.shared.lock_open() = Some(event.request_id.clone());
        // The receiver lives as long as `shared`.
        let _ = self.events.send(event).await;
    }

    /// What the runtime says next. Cancel safe.
    pub(super) async fn signal(&mut self) -> Signal {
        match self.signals.recv().await {
            Some(signal) => signal,
            None => std::future::pending().await, // `shared` holds a sender
        }
    }

    /// What the runtime has said already.
    pub(super) fn try_signal(&mut self) -> Option<Signal> {
        self.signals.try_recv().ok()
    }
}

async fn serve(listener: TcpListener, shared: Arc<Shared>) {
    let mut connections = JoinSet::new();
    loop {
        tokio::select! {
            accepted = listener.accept() => match accepted {
                Ok((stream, _)) => drop(connections.spawn(serve_connection(stream, Arc::clone(&shared)))),
                Err(error) => tracing::warn!(%error, "the Runtime API could not accept a connection"),
            },
            Some(_) = connections.join_next() => {}
        }
    }
}

async fn serve_connection(stream: TcpStream, shared: Arc<Shared>) {
    let _ = stream.set_nodelay(true); // only speed is at stake
    let service = service_fn(move |request| {
        let shared = Arc::clone(&shared);
        async move { Ok::<_, Infallible>(shared.answer(request).await) }
    });
    if let Err(error) =
        http1::Builder::new().title_case_headers(true).serve_connection(TokioIo::new(stream), service).await
    {
        tracing::debug!(%error, "a runtime's connection ended");
    }
}

type Answer = Response<Full<Bytes>>;

impl Shared {
    fn lock_open(&self) -> std::sync::MutexGuard<'_, Option<String>> {
        self.open.lock().unwrap_or_else(PoisonError::into_inner)
    }

    async fn answer(&self, request: Request<Incoming>) -> Answer {
        let path = request.uri().path().to_owned();
        let Some(path) = path.strip_prefix("/2018-06-01/runtime/") else {
            return refuse(StatusCode::NOT_FOUND, "UnknownPath", "the Runtime API has no such path");
        };
        let segments: Vec<&str> = path.split('/').collect();
        match (request.method(), segments.as_slice()) {
            (&Method::GET, ["invocation", "next"]) => self.next().await,
            (&Method::POST, ["invocation", id, "response"]) => self.finish(id, request, Signal::Response).await,
            (&Method::POST, ["invocation", id, "error"]) => self.finish(id, request, Signal::Failed).await,
            (&Method::POST, ["init", "error"]) => match read_body(request).await {
                Ok(Some(body)) => self.accept(Signal::InitFailed(body)).await,
                Ok(None) => too_large(),
                Err(refusal) => refusal,
            },
            _ => refuse(StatusCode::NOT_FOUND, "UnknownPath", "the Runtime API has no such path"),
        }
    }

    async fn next(&self) -> Answer {
        if self.lock_open().is_some() {
            return refuse(
                StatusCode::FORBIDDEN,
                "InvalidStateTransition",
                "the last event has to be answered before the next one is asked for",
            );
        }
        let _ = self.signals.send(Signal::Ready).await; // no receiver: the environment is ending
        let Some(event) = self.events.lock().await.recv().await else {
            return refuse(StatusCode::GONE, "EnvironmentEnded", "the execution environment has ended");
        };
        let mut response = Response::builder()
            .header("Content-Type", "application/json")
            .header("Lambda-Runtime-Aws-Request-Id", &event.request_id)
            .header("Lambda-Runtime-Deadline-Ms", event.deadline_ms)
            .header("Lambda-Runtime-Invoked-Function-Arn", &event.function_arn)
            .header("Lambda-Runtime-Trace-Id", &event.trace_id);
        if let Some(context) = &event.client_context {
            response = response.header("Lambda-Runtime-Client-Context", context);
        }
        response.body(Full::new(event.payload)).unwrap_or_else(|error| {
            refuse(StatusCode::INTERNAL_SERVER_ERROR, "InternalError", &format!("the event has a bad header: {error}"))
        })
    }

    async fn finish(&self, id: &str, request: Request<Incoming>, signal: fn(Bytes) -> Signal) -> Answer {
        if self.lock_open().as_deref() != Some(id) {
            return refuse(StatusCode::BAD_REQUEST, "InvalidRequestID", "Invalid request ID");
        }
        let (signal, answer) = match read_body(request).await {
            Ok(Some(body)) => (signal(body), None),
            Ok(None) => (Signal::TooLarge, Some(too_large())),
            Err(refusal) => return refusal,
        };
        // Of two answers that came at once, the first counts.
        if self.lock_open().take_if(|open| open.as_str() == id).is_none() {
            return refuse(StatusCode::BAD_REQUEST, "InvalidRequestID", "Invalid request ID");
        }
        let accepted = self.accept(signal).await;
        answer.unwrap_or(accepted)
    }

    async fn accept(&self, signal: Signal) -> Answer {
        let _ = self.signals.send(signal).await; // no receiver: the environment is ending
        document(StatusCode::ACCEPTED, &json!({ "status": "OK" }))
    }
}

/// The body, or `None` when it is larger than a response may be.
async fn read_body(request: Request<Incoming>) -> Result<Option<Bytes>, Answer> {
    match Limited::new(request.into_body(), RESPONSE_BYTES).collect().await {
        Ok(body) => Ok(Some(body.to_bytes())),
        Err(error) if error.is::<LengthLimitError>() => Ok(None),
        Err(error) => Err(refuse(StatusCode::BAD_REQUEST, "InvalidBody", &error.to_string())),
    }
}

fn too_large() -> Answer {
    refuse(
        StatusCode::PAYLOAD_TOO_LARGE,
        "RequestEntityTooLarge",
        &format!("Exceeded maximum allowed payload size ({RESPONSE_BYTES} bytes)."),
    )
}

fn refuse(status: StatusCode, kind: &str, message: &str) -> Answer {
    document(status, &json!({ "errorMessage": message, "errorType": kind }))
}

fn document(status: StatusCode, body: &serde_json::Value) -> Answer {
    let mut response = Response::new(Full::new(body.to_string().into()));
    *response.status_mut() = status;
    response.headers_mut().insert("Content-Type", http::HeaderValue::from_static("application/json"));
    response
}
