//! The embedded cloud as a server: one folder, one loopback port.

use std::{
    io,
    net::{Ipv4Addr, SocketAddr},
    path::PathBuf,
    sync::Arc,
    time::Duration,
};

use hyper::{body::Incoming, server::conn::http1, service::service_fn};
use hyper_util::rt::{TokioIo, TokioTimer};
use tokio::{
    net::{TcpListener, TcpStream},
    sync::Semaphore,
    task::{JoinHandle, JoinSet},
};
use tokio_util::sync::{CancellationToken, DropGuard};

use super::{
    assembly::{self, Background, Services},
    authorise,
    credentials::{self, AccessKey},
    gateway::Gateway,
    s3::{S3Front, S3Objects, S3Sweeper},
    sns::SmtpRelay,
    store::{Store, StoreError},
};

/// Connections served at once; more wait to be accepted.
const MAX_CONNECTIONS: usize = 1024;
/// A connection that sends no request for this long is closed. Longer than the SDKs keep idle connections, so that
/// it is they who close.
const IDLE_CONNECTION: Duration = Duration::from_secs(120);
/// A shutdown waits this long for requests under way and for functions to stop.
const SHUTDOWN_WAIT: Duration = Duration::from_secs(10);
/// Pause after the system refused a connection (out of file descriptors), before the next try.
const ACCEPT_PAUSE: Duration = Duration::from_millis(50);

/// What a server is started with.
#[derive(Debug, Clone)]
pub struct Options {
    /// Where the cloud keeps its data.
    pub folder: PathBuf,
    /// Port on 127.0.0.1; `None` or 0 lets the system choose.
    pub port: Option<u16>,
    /// Whether policies are evaluated. Signatures are checked either way.
    pub iam: bool,
    /// Where mail is sent besides its files.
    pub smtp: Option<SmtpRelay>,
}

/// Why the cloud could not start.
#[derive(Debug, thiserror::Error)]
pub enum ServerError {
    /// Another program listens there.
    #[error(
        "port {port} on 127.0.0.1 is taken by another program: stop that one, or choose another port (0 takes a free one)"
    )]
    PortTaken {
        /// The port.
        port: u16,
    },
    /// The port cannot be used for another reason.
    #[error("cannot listen on 127.0.0.1:{port}: {source}")]
    Bind {
        /// The port.
        port: u16,
        /// What the system says.
        source: io::Error,
    },
    /// Another cloud runs on the same folder.
    #[error("`{}` is in use by another embedded cloud: use that one, or stop it first", folder.display())]
    FolderInUse {
        /// The folder.
        folder: PathBuf,
    },
    /// The folder's data cannot be opened.
    #[error("cannot open the embedded cloud in `{}`: {source}", folder.display())]
    Store {
        /// The folder.
        folder: PathBuf,
        /// What the store says.
        source: StoreError,
    },
}

/// A running embedded cloud. Dropping it ends it at once, as a crash would; [`Server::shutdown`] is the polite way.
pub struct Server {
    address: SocketAddr,
    store: Arc<Store>,
    root: AccessKey,
    background: Vec<Arc<dyn Background>>,
    stop: CancellationToken,
    serving: JoinHandle<()>,
    _abort: DropGuard,
}

impl Server {
    /// Opens the folder, binds the port and begins to serve on the current tokio runtime.
    pub async fn start(options: Options) -> Result<Server, ServerError> {
        let smtp = options.smtp.clone();
        let services = async move |store, objects, endpoint| assembly::services(store, objects, endpoint, smtp).await;
        Self::start_with(options, services).await
    }

    /// [`Server::start`] with services of the caller's choice.
    pub async fn start_with(
        options: Options,
        services: impl AsyncFnOnce(Arc<Store>, S3Objects, String) -> Result<Services, StoreError>,
    ) -> Result<Server, ServerError> {
        let Options { folder, port, iam, smtp: _ } = options;
        let store = Store::open(&folder).map_err(|error| match error {
            StoreError::Database(source) if matches!(*source, redb::Error::DatabaseAlreadyOpen) => {
                ServerError::FolderInUse { folder: folder.clone() }
            }
            source => ServerError::Store { folder: folder.clone(), source },
        })?;
        let failed = |source| ServerError::Store { folder: folder.clone(), source };
        let (listener, address) = bind(port.unwrap_or(0)).await?;
        authorise::enforce(&store, iam).map_err(failed)?;
        let root = credentials::root(&store).map_err(failed)?;
        let objects = S3Objects::open(Arc::clone(&store)).map_err(failed)?;
        let services = services(Arc::clone(&store), objects.clone(), format!("http://{address}"));
        let Services { services, exchange, background, faults } = services.await.map_err(failed)?;
        let s3 = S3Front::new(Arc::clone(&store), objects, exchange);
        let sweeper = s3.sweeper();
        let gateway = Arc::new(Gateway::new(Arc::clone(&store), s3, services, faults));
        let (stop, abort) = (CancellationToken::new(), CancellationToken::new());
        let serving = tokio::spawn(serve(listener, gateway, sweeper, stop.clone(), abort.clone()));
        tracing::info!(%address, folder = %folder.display(), "the embedded cloud is up");
        Ok(Server { address, store, root, background, stop, serving, _abort: abort.drop_guard() })
    }

    /// The URL that clients are pointed at.
    pub fn endpoint(&self) -> String {
        format!("http://{}", self.address)
    }

    /// The port it listens on.
    pub fn port(&self) -> u16 {
        self.address.port()
    }

    /// Credentials of the account's root user.
    pub fn root_credentials(&self) -> &AccessKey {
        &self.root
    }

    /// What the cloud remembers.
    pub fn store(&self) -> &Arc<Store> {
        &self.store
    }

    /// Takes no more connections, lets requests under way finish, stops functions. Bounded: what has not ended
    /// after ten seconds is cut off; acknowledged writes are safe either way.
    pub async fn shutdown(self) {
        let Server { background, stop, mut serving, _abort, .. } = self;
        stop.cancel();
        let stopped = futures::future::join_all(background.iter().map(|one| one.stop()));
        let all = async { tokio::join!(stopped, &mut serving) };
        if tokio::time::timeout(SHUTDOWN_WAIT, all).await.is_err() {
            tracing::warn!("some requests or functions had not ended after {} s: cut off", SHUTDOWN_WAIT.as_secs());
            drop(_abort);
            if let Err(error) = serving.await {
                tracing::error!(%error, "the server's task failed");
            }
        }
    }
}

async fn bind(port: u16) -> Result<(TcpListener, SocketAddr), ServerError> {
    let failed = |source: io::Error| match source.kind() {
        io::ErrorKind::AddrInUse => ServerError::PortTaken { port },
        _ => ServerError::Bind { port, source },
    };
    // Loopback only: credentials and data never leave the machine.
    let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, port)).await.map_err(failed)?;
    let address = listener.local_addr().map_err(failed)?;
    Ok((listener, address))
}

/// Accepts until `stop`, then waits for the connections to finish; `abort` ends everything at once.
async fn serve(
    listener: TcpListener,
    gateway: Arc<Gateway>,
    sweeper: S3Sweeper,
    stop: CancellationToken,
    abort: CancellationToken,
) {
    let slots = Arc::new(Semaphore::new(MAX_CONNECTIONS));
    let mut connections = JoinSet::new();
    let accepting = async {
        loop {
            while connections.try_join_next().is_some() {}
            let Ok(slot) = Arc::clone(&slots).acquire_owned().await else { return };
            match listener.accept().await {
                Ok((stream, _)) => {
                    let (gateway, stop) = (Arc::clone(&gateway), stop.clone());
                    connections.spawn(async move {
                        serve_connection(stream, gateway, stop).await;
                        drop(slot);
                    });
                }
                Err(error) => {
                    tracing::warn!(%error, "could not accept a connection");
                    tokio::time::sleep(ACCEPT_PAUSE).await;
                }
            }
        }
    };
    tokio::select! {
        () = accepting => {}
        () = S3Front::keep_sweeping(sweeper) => {}
        () = stop.cancelled() => {}
        () = abort.cancelled() => return,
    }
    drop(listener);
    tokio::select! {
        () = async { while connections.join_next().await.is_some() {} } => {}
        () = abort.cancelled() => {}
    }
}

async fn serve_connection(stream: TcpStream, gateway: Arc<Gateway>, stop: CancellationToken) {
    if let Err(error) = stream.set_nodelay(true) {
        tracing::debug!(%error, "could not set TCP_NODELAY");
    }
    let answer = service_fn(move |request: hyper::Request<Incoming>| {
        let gateway = Arc::clone(&gateway);
        async move { gateway.handle(request).await }
    });
    let connection = http1::Builder::new()
        .timer(TokioTimer::new())
        .header_read_timeout(IDLE_CONNECTION)
        .serve_connection(TokioIo::new(stream), answer);
    let mut connection = std::pin::pin!(connection);
    let result = tokio::select! {
        result = connection.as_mut() => result,
        () = stop.cancelled() => {
            connection.as_mut().graceful_shutdown();
            connection.await
        }
    };
    if let Err(error) = result {
        tracing::debug!(%error, "a connection ended badly");
    }
}
