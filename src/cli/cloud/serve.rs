//! `lake cloud serve`: the server itself, in the foreground.

use std::path::{Path, PathBuf};

use tokio::signal::unix::{Signal, SignalKind, signal};

use crate::{
    cli::{context::Context, error::CliError},
    cloud::server::{Options, Server, ServerError},
    config::DEFAULT_REGION,
};

use super::{
    files::{Announced, Enforcement, Files, ServerFile},
    process::{Ready, Settings},
    relay::{Relay, RelayError},
};

/// Runs the embedded cloud in the foreground, for whoever keeps it running.
///
/// Example: lake cloud serve --folder state/cloud --port 4566
#[derive(Debug, clap::Args)]
pub struct Args {
    /// Where it keeps its data.
    #[arg(long, value_name = "DIR")]
    folder: PathBuf,
    /// Port on 127.0.0.1; 0 takes a free one.
    #[arg(long, value_name = "N", default_value_t = 0)]
    port: u16,
    /// Region for clients that are told none.
    #[arg(long, value_name = "REGION", default_value = DEFAULT_REGION)]
    region: String,
    /// Whether IAM policies are evaluated.
    #[arg(long, value_name = "WHETHER", default_value = "on")]
    iam: Enforcement,
    /// Relay that mail is sent to besides its files, without the password, which is in LAKE_SMTP_PASSWORD.
    #[arg(long, value_name = "URL")]
    smtp: Option<String>,
    /// Tells on stdout, in one line of JSON, how the start went, and outlives its terminal.
    #[arg(long)]
    detached: bool,
}

pub async fn run(args: Args, context: &Context) -> Result<(), CliError> {
    let smtp = args.smtp.as_deref().map(Relay::parse).transpose()?;
    let settings = Settings { iam: args.iam, smtp };
    let started = Serving::start(&args.folder, args.port, &args.region, &settings).await;
    if !args.detached {
        return started?.until_signalled(context).await;
    }
    match started {
        Ok(serving) => {
            tell(context, &Ready::Ready { port: serving.file.port })?;
            serving.until_signalled(context).await
        }
        Err(error) => {
            let port_taken = matches!(error, StartError::Server(ServerError::PortTaken { .. }));
            tell(context, &Ready::Failed { message: error.to_string(), port_taken })?;
            Err(error.into())
        }
    }
}

fn tell(context: &Context, ready: &Ready) -> Result<(), CliError> {
    context.console.raw(&format!("{}\n", serde_json::to_string(ready)?));
    Ok(())
}

/// Why it did not start.
#[derive(Debug, thiserror::Error)]
pub(super) enum StartError {
    /// The server.
    #[error(transparent)]
    Server(#[from] ServerError),
    /// The relay of its mail.
    #[error(transparent)]
    Relay(RelayError),
    /// What tells others of it.
    #[error("the embedded cloud cannot tell how to reach it: {0}")]
    Announce(#[from] std::io::Error),
}

impl From<StartError> for CliError {
    fn from(error: StartError) -> Self {
        CliError::failed(error)
    }
}

/// A server that serves and can be found.
pub(super) struct Serving {
    server: Server,
    announced: Announced,
    pub(super) file: ServerFile,
    signals: Signals,
}

/// What ends a server; a hang-up of the terminal does not.
struct Signals {
    terminate: Signal,
    interrupt: Signal,
    _hang_up: Signal,
}

impl Serving {
    /// Starts the server and lets it be found.
    pub(super) async fn start(folder: &Path, port: u16, region: &str, settings: &Settings) -> Result<Self, StartError> {
        let smtp = settings.smtp.as_ref().map(Relay::with_password).transpose().map_err(StartError::Relay)?;
        // First of all: a signal that comes while it starts is not to cut it off half way.
        let signals = Signals {
            terminate: signal(SignalKind::terminate())?,
            interrupt: signal(SignalKind::interrupt())?,
            _hang_up: signal(SignalKind::hangup())?,
        };
        crate::files::create_private_folder(folder)?;
        let iam = settings.iam;
        let options = Options { folder: folder.to_owned(), port: Some(port), iam: iam == Enforcement::On, smtp };
        let server = Server::start(options).await?;
        let root = server.root_credentials();
        let file = ServerFile {
            pid: std::process::id(),
            port: server.port(),
            access_key_id: root.access_key_id.clone(),
            secret_access_key: root.secret_access_key.clone(),
            region: region.to_owned(),
            started: jiff::Timestamp::now(),
            iam,
            smtp: settings.smtp.as_ref().map(Relay::to_string),
        };
        let announced = Files::new(folder).announce(&file)?;
        Ok(Serving { server, announced, file, signals })
    }

    /// Serves until it is told to end, then ends in good order.
    pub(super) async fn until_signalled(self, context: &Context) -> Result<(), CliError> {
        let Serving { server, announced, mut signals, .. } = self;
        tokio::select! {
            _ = signals.terminate.recv() => {}
            _ = signals.interrupt.recv() => context.console.note("stopping"),
        }
        tracing::info!("the embedded cloud is stopping");
        announced.withdraw();
        tokio::select! {
            () = server.shutdown() => {}
            _ = signals.interrupt.recv() => tracing::warn!("stopped at once"),
        }
        // Its lock ends with the process: then the store is surely closed, and another may open it.
        std::mem::forget(announced);
        Ok(())
    }
}
