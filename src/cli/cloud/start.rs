//! `lake cloud start`

use serde_json::json;

use crate::{
    cli::{console::Style, context::Context, error::CliError},
    config::DEFAULT_REGION,
};

use super::{
    files::{Enforcement, Files, ServerFile},
    process::{Settings, ensure_running_on},
    relay::Relay,
    serve::Serving,
};

/// Starts the embedded cloud in the background.
///
/// It takes the port of last time unless told otherwise. One that runs already is left as it is.
///
/// What SNS mails is a file in state/cloud/mail. With --smtp it is sent as well, as long as this cloud runs: through
/// smtp:// (unencrypted, for a relay on this machine), smtp+starttls:// or smtps://. The password of a user is read
/// from the environment variable LAKE_SMTP_PASSWORD.
///
/// Example: lake cloud start --port 4566 --smtp smtp://127.0.0.1:2525
#[derive(Debug, clap::Args)]
pub struct Args {
    /// Port on 127.0.0.1; 0 takes a free one.
    #[arg(long, value_name = "N")]
    port: Option<u16>,
    /// Whether IAM policies are evaluated, as long as it runs (on unless told otherwise).
    #[arg(long, value_name = "WHETHER")]
    iam: Option<Enforcement>,
    /// Relay that sends the mail of SNS, such as smtp+starttls://USER@HOST:587.
    // Read in `run`: what clap says of a wrong value repeats it, and there may be a password in it.
    #[arg(long, value_name = "URL")]
    smtp: Option<String>,
    /// Stays in the foreground until Ctrl-C.
    #[arg(long)]
    foreground: bool,
}

pub async fn run(args: Args, context: &Context) -> Result<(), CliError> {
    let smtp = args.smtp.as_deref().map(Relay::parse).transpose()?;
    if let Some(relay) = &smtp {
        // Told here, and not by a server that does not start.
        relay.with_password()?;
    }
    let settings = Settings { iam: args.iam.unwrap_or_default(), smtp };
    if args.foreground {
        return foreground(args.port, &settings, context).await;
    }
    let (server, started) = ensure_running_on(context, args.port, &settings).await?;
    if let Some(port) = args.port.filter(|&port| port != 0 && port != server.port) {
        return Err(runs_otherwise(&format!("on port {} and not on {port}", server.port), &format!("--port {port}")));
    }
    if let Some(iam) = args.iam.filter(|&iam| iam != server.iam) {
        return Err(runs_otherwise(&format!("with IAM {} and not {iam}", server.iam), &format!("--iam {iam}")));
    }
    if let Some(relay) = settings.smtp.map(|relay| relay.to_string()).filter(|it| Some(it) != server.smtp.as_ref()) {
        let now = server.smtp.as_deref().map_or_else(|| "no relay".to_owned(), |now| format!("the relay {now}"));
        return Err(runs_otherwise(&format!("with {now} and not {relay}"), &format!("--smtp {relay}")));
    }
    say(context, &server, if started { "started" } else { "running already" })
}

async fn foreground(port: Option<u16>, settings: &Settings, context: &Context) -> Result<(), CliError> {
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
    let serving = Serving::start(files.folder(), port, region, settings).await?;
    drop(starting);
    say(context, &serving.file, "started, until Ctrl-C")?;
    serving.until_signalled(context).await
}

/// What runs is not what was asked for, and it is not stopped without a word.
fn runs_otherwise(how: &str, option: &str) -> CliError {
    CliError::failed(format!("the embedded cloud runs already, {how}"))
        .hint(format!("`lake cloud stop`, then `lake cloud start {option}`"))
}

fn say(context: &Context, server: &ServerFile, what: &str) -> Result<(), CliError> {
    let endpoint = context.console.paint(server.endpoint(), Style::Strong);
    context.console.note(format!("embedded cloud {what}: {endpoint} (pid {})", server.pid));
    if let Some(relay) = &server.smtp {
        context.console.note(format!("mail is sent through {relay}"));
    }
    context.console.json(&json!({
        "running": true,
        "endpoint": server.endpoint(),
        "pid": server.pid,
        "iam": server.iam,
        "smtp": server.smtp,
    }))
}
