//! Between `lake` and the cloud: a proxy that counts API calls, and at one of them stops the world or, with a seed,
//! lets calls go wrong as networks and services do.

use std::{
    convert::Infallible,
    net::SocketAddr,
    sync::{Arc, Mutex},
    time::Duration,
};

use bytes::Bytes;
use http::{Request, Response, request::Parts};
use http_body_util::{BodyExt, Full};
use hyper::{body::Incoming, client::conn::http1::SendRequest, server::conn::http1, service::service_fn};
use hyper_util::rt::TokioIo;
use tokio::{
    net::{TcpListener, TcpStream},
    sync::{mpsc, watch},
    task::JoinHandle,
};

use super::{
    bucket::HEARTBEAT,
    call::{Call, STATE},
    faults::{Fault, Weather},
};

/// A whole answer.
pub type Answer = Response<Full<Bytes>>;

/// When the caller dies, seen from a call.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Mode {
    /// Before it is forwarded: the cloud never hears of it.
    Before,
    /// Once the cloud has answered, before the caller has the answer.
    After,
}

/// A call of a run.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Point {
    /// The call of this number, from 1 on.
    Number(usize),
    /// The so-manieth call that is written so, from 1 on.
    Named(String, usize),
}

/// What the proxy does besides passing calls on.
pub enum Behaviour {
    /// Nothing.
    Pass,
    /// The world stops at one call.
    Stop(Point, Mode),
    /// Calls go wrong.
    Faults(Weather),
}

struct Shared {
    upstream: SocketAddr,
    /// Connections to the cloud that are at rest.
    idle: Mutex<Vec<SendRequest<Full<Bytes>>>>,
    state: Mutex<State>,
    stopped: watch::Sender<Option<Call>>,
}

struct State {
    behaviour: Behaviour,
    calls: Vec<Call>,
    is_stopped: bool,
    /// Held by each call that is on its way to the cloud.
    under_way: Option<mpsc::Sender<Infallible>>,
}

/// What is to be done with a call.
enum Verdict {
    Forward,
    Hold,
    /// Holds it, and tells that this was the one.
    StopBefore,
    StopAfter,
    GoesWrong(Fault),
}

/// A running proxy on a port of its own.
pub struct Proxy {
    address: SocketAddr,
    shared: Arc<Shared>,
    landed: mpsc::Receiver<Infallible>,
    accepting: JoinHandle<()>,
}

impl Proxy {
    pub async fn start(upstream: SocketAddr, behaviour: Behaviour) -> Proxy {
        let listener = TcpListener::bind(("127.0.0.1", 0)).await.unwrap();
        let address = listener.local_addr().unwrap();
        let (under_way, landed) = mpsc::channel(1);
        let state = State { behaviour, calls: Vec::new(), is_stopped: false, under_way: Some(under_way) };
        let stopped = watch::channel(None).0;
        let shared = Arc::new(Shared { upstream, idle: Mutex::default(), state: Mutex::new(state), stopped });
        let accepting = tokio::spawn(accept(listener, Arc::clone(&shared)));
        Proxy { address, shared, landed, accepting }
    }

    pub fn endpoint(&self) -> String {
        format!("http://{}", self.address)
    }

    /// Waits until the world has stopped; which call it was.
    pub async fn stopped(&self) -> Call {
        let mut stopped = self.shared.stopped.subscribe();
        let seen = stopped.wait_for(Option::is_some).await.unwrap();
        seen.clone().unwrap()
    }

    /// Ends it, once what was forwarded has been answered; gives the calls that came.
    pub async fn end(mut self) -> Vec<Call> {
        let (calls, under_way) = {
            let mut state = self.shared.state.lock().unwrap();
            state.is_stopped = true;
            (std::mem::take(&mut state.calls), state.under_way.take())
        };
        drop(under_way);
        let _ = self.landed.recv().await;
        self.accepting.abort();
        calls
    }
}

impl Drop for Proxy {
    fn drop(&mut self) {
        self.accepting.abort();
    }
}

async fn accept(listener: TcpListener, shared: Arc<Shared>) {
    // Connections end with the proxy.
    let mut connections = tokio::task::JoinSet::new();
    while let Ok((stream, _)) = listener.accept().await {
        stream.set_nodelay(true).unwrap();
        let shared = Arc::clone(&shared);
        connections.spawn(async move {
            let answer = service_fn(|request| handle(request, Arc::clone(&shared)));
            // A connection that breaks is what this is for.
            let _ = http1::Builder::new().serve_connection(TokioIo::new(stream), answer).await;
        });
        while connections.try_join_next().is_some() {}
    }
}

/// The connection is cut without an answer.
#[derive(Debug, thiserror::Error)]
#[error("cut off")]
struct CutOff;

async fn handle(request: Request<Incoming>, shared: Arc<Shared>) -> Result<Answer, CutOff> {
    let (parts, body) = request.into_parts();
    let body = body.collect().await.map_err(|_| CutOff)?.to_bytes();
    let call = Call::of(&parts.method, &parts.uri, &parts.headers, &body);
    let (verdict, under_way) = shared.judge(&call);
    let forward = |under_way: Option<mpsc::Sender<Infallible>>| {
        let (shared, parts, body) = (Arc::clone(&shared), parts.clone(), body.clone());
        // On its own: what is on its way arrives, whatever becomes of the caller.
        tokio::spawn(async move {
            let answer = shared.forward(parts, body).await;
            drop(under_way);
            answer
        })
    };
    let arrived = |answer: Result<Option<Answer>, tokio::task::JoinError>| answer.ok().flatten().ok_or(CutOff);
    match verdict {
        Verdict::Forward => arrived(forward(under_way).await),
        Verdict::Hold => std::future::pending().await,
        Verdict::StopBefore => {
            drop(under_way);
            shared.stop(call);
            std::future::pending().await
        }
        Verdict::StopAfter => {
            let answer = forward(under_way).await;
            assert!(matches!(answer, Ok(Some(_))), "the cloud has not answered {call}");
            shared.stop(call);
            std::future::pending().await
        }
        Verdict::GoesWrong(Fault::DroppedBefore) => Err(CutOff),
        Verdict::GoesWrong(Fault::DroppedAfter) => {
            let _ = forward(under_way).await;
            Err(CutOff)
        }
        Verdict::GoesWrong(Fault::Delayed(milliseconds)) => {
            let answer = arrived(forward(under_way).await);
            tokio::time::sleep(Duration::from_millis(milliseconds)).await;
            answer
        }
        Verdict::GoesWrong(Fault::Twice { first_counts }) => {
            let first = arrived(forward(under_way.clone()).await)?;
            let second = arrived(forward(under_way).await)?;
            Ok(if first_counts { first } else { second })
        }
        Verdict::GoesWrong(Fault::Throttled) => Ok(super::faults::throttled(&call, &parts)),
    }
}

impl Shared {
    /// Counts the call and decides on it, in one step: nothing is forwarded any more once the world has stopped.
    fn judge(&self, call: &Call) -> (Verdict, Option<mpsc::Sender<Infallible>>) {
        let state = &mut *self.state.lock().unwrap();
        if state.is_stopped {
            return (Verdict::Hold, None);
        }
        state.calls.push(call.clone());
        let verdict = match &mut state.behaviour {
            Behaviour::Pass => Verdict::Forward,
            Behaviour::Stop(point, mode) if point.is_reached(&state.calls) => {
                state.is_stopped = true;
                match mode {
                    Mode::Before => Verdict::StopBefore,
                    Mode::After => Verdict::StopAfter,
                }
            }
            // The command takes as long as it has to until one comes.
            Behaviour::Stop(Point::Named(name, _), _) if name == HEARTBEAT && call.writes && call.service != STATE => {
                return (Verdict::Hold, None);
            }
            Behaviour::Stop(..) => Verdict::Forward,
            Behaviour::Faults(weather) => weather.next(call).map_or(Verdict::Forward, Verdict::GoesWrong),
        };
        (verdict, state.under_way.clone())
    }

    fn stop(&self, call: Call) {
        self.stopped.send_replace(Some(call));
    }

    /// The cloud's whole answer; `None` if it gives none.
    async fn forward(&self, parts: Parts, body: Bytes) -> Option<Answer> {
        let mut connection = self.connection().await?;
        let answer = connection.send_request(Request::from_parts(parts, Full::new(body))).await.ok()?;
        let (parts, body) = answer.into_parts();
        let body = body.collect().await.ok()?.to_bytes();
        self.idle.lock().unwrap().push(connection);
        Some(Response::from_parts(parts, Full::new(body)))
    }

    async fn connection(&self) -> Option<SendRequest<Full<Bytes>>> {
        loop {
            let idle = self.idle.lock().unwrap().pop();
            let Some(mut connection) = idle else { break };
            if connection.ready().await.is_ok() {
                return Some(connection);
            }
        }
        let stream = TcpStream::connect(self.upstream).await.ok()?;
        stream.set_nodelay(true).ok()?;
        let (sender, connection) = hyper::client::conn::http1::handshake(TokioIo::new(stream)).await.ok()?;
        tokio::spawn(connection);
        Some(sender)
    }
}

impl Point {
    /// Whether the last of these calls is the one.
    fn is_reached(&self, calls: &[Call]) -> bool {
        match self {
            Point::Number(number) => calls.len() == *number,
            Point::Named(name, nth) => {
                let is_it = |call: &&Call| call.to_string() == *name;
                calls.last().as_ref().is_some_and(is_it) && calls.iter().filter(is_it).count() == *nth
            }
        }
    }
}
