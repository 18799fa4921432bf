//! `lake cloud start`

use serde_json::json;

use crate::{
    cli::{console::Style, context::Context, error::CliError},
    config::DEFAULT_REGION,
};

use super::{
    files::{Enforcement, Files, ServerFile},
    process::ensure_running_on,
    serve::Serving,
};

/// Starts the embedded cloud in the background.
///
/// It takes the port of last time unless told otherwise. One that runs already is left as it is.
///
/// Example: lake cloud start --port 4566
#[derive(Debug, clap::Args)]
pub struct Args {
    /// Port on 127.0.0.1; 0 takes a free one.
    #[arg(long, value_name = "N")]
    port: Option<u16>,
    /// Whether IAM policies are evaluated, as long as it runs (on unless told otherwise).
    #[arg(long, value_name = "WHETHER")]
    iam: Option<Enforcement>,
    /// Stays in the foreground until Ctrl-C.
    #[arg(long)]
    foreground: bool,
}

pub async fn run(args: Args, context: &Context) -> Result<(), CliError> {
    if args.foreground {
        return foreground(args.port, args.iam, context).await;
    }
    let (server, started) = ensure_running_on(context, args.port, args.iam.unwrap_or_default()).await?;
    if let Some(port) = args.port.filter(|&port| port != 0 && port != server.port) {
        return Err(other_port(&server, port));
    }
    if let Some(iam) = args.iam.filter(|&iam| iam != server.iam) {
        return Err(CliError::failed(format!(
            "the embedded cloud runs already, with IAM {} and not {iam}",
            server.iam
        ))
        .hint(format!("`lake cloud stop`, then `lake cloud start --iam {iam}`")));
    }
    say(context, &server, if started { "started" } else { "running already" })
}

async fn foreground(port: Option<u16>, iam: Option<Enforcement>, context: &Context) -> Result<(), CliError> {
    let files = Files::new(context.cloud_folder());
    let starting = files.exclusive().await?;
    if let Some(server) = super::process::running(context).await? {
        return Err(CliError::failed(format!("the embedded cloud runs already on {}", server.endpoint()))
            .hint("stop it with `lake cloud stop`"));
    }
    let config = context.config().ok();
    let stack = config.as_ref().and_then(|config| context.stack(config).ok());
    let region = stack.map_or(DEFAULT_REGION, |stack| stack.region.as_str());
    let port = port.or_else(|| files.remembered_port()).unwrap_or(0);
    let serving = Serving::start(files.folder(), port, region, iam.unwrap_or_default()).await?;
    drop(starting);
    say(context, &serving.file, "started, until Ctrl-C")?;
    serving.until_signalled(context).await
}

fn other_port(server: &ServerFile, port: u16) -> CliError {
    CliError::failed(format!("the embedded cloud runs already, on port {} and not on {port}", server.port))
        .hint(format!("`lake cloud stop`, then `lake cloud start --port {port}`"))
}

fn say(context: &Context, server: &ServerFile, what: &str) -> Result<(), CliError> {
    let endpoint = context.console.paint(server.endpoint(), Style::Strong);
    context.console.note(format!("embedded cloud {what}: {endpoint} (pid {})", server.pid));
    let endpoint = server.endpoint();
    context.console.json(&json!({ "running": true, "endpoint": endpoint, "pid": server.pid, "iam": server.iam }))
}
