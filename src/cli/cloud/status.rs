//! `lake cloud status`

use std::{
    fs, io,
    path::{Path, PathBuf},
};

use indicatif::HumanBytes;
use serde_json::json;

use crate::cli::{context::Context, error::CliError};

use super::{files::ServerFile, inventory::Inventory, process};

/// Tells whether the embedded cloud runs, where, since when, and what is in it.
///
/// Example: lake cloud status
#[derive(Debug, clap::Args)]
pub struct Args {}

pub async fn run(_args: Args, context: &Context) -> Result<(), CliError> {
    let folder = shown_folder(context);
    let bytes = folder_bytes(&context.cloud_folder())?;
    match process::running(context).await? {
        Some(server) => {
            let inventory = Inventory::of(&server.sdk().await).await?;
            show_running(context, &server, bytes, &inventory)
        }
        None => {
            context.console.say("embedded cloud: not running");
            if bytes > 0 {
                context.console.say(format!("data            {} in {}", HumanBytes(bytes), folder.display()));
            }
            context.console.json(&json!({ "running": false, "data_bytes": bytes, "folder": folder }))
        }
    }
}

fn show_running(context: &Context, server: &ServerFile, bytes: u64, inventory: &Inventory) -> Result<(), CliError> {
    let folder = shown_folder(context);
    let console = &context.console;
    console.say("embedded cloud: running");
    console.say(format!("endpoint        {}", server.endpoint()));
    console.say(format!("pid             {}", server.pid));
    console.say(format!("since           {:.0}", server.started));
    console.say(format!("iam             {}", server.iam));
    console.say(format!("data            {} in {}", HumanBytes(bytes), folder.display()));
    let relay = server.smtp.as_ref().map_or_else(String::new, |relay| format!(", sent through {relay}"));
    console.say(format!("mail            files in {}{relay}", folder.join("mail").display()));
    for (what, names) in inventory.kinds() {
        console.say(format!("{what:<15} {}", names.len()));
    }
    console.json(&json!({
        "running": true,
        "endpoint": server.endpoint(),
        "pid": server.pid,
        "since": server.started,
        "iam": server.iam,
        "smtp": server.smtp,
        "data_bytes": bytes,
        "folder": folder,
        "inventory": inventory,
    }))
}

/// The data's folder as a person would write it.
fn shown_folder(context: &Context) -> PathBuf {
    let folder = context.cloud_folder();
    folder.strip_prefix(".").map(Path::to_owned).unwrap_or(folder)
}

/// Bytes of all files below `folder`; what goes while it is looked at counts nothing.
pub(super) fn folder_bytes(folder: &Path) -> io::Result<u64> {
    let gone = |error: &io::Error| error.kind() == io::ErrorKind::NotFound;
    let (mut bytes, mut folders) = (0, vec![folder.to_owned()]);
    while let Some(folder) = folders.pop() {
        let entries = match fs::read_dir(&folder) {
            Ok(entries) => entries,
            Err(error) if gone(&error) => continue,
            Err(error) => return Err(error),
        };
        for entry in entries {
            let entry = entry?;
            match entry.metadata() {
                Ok(metadata) if metadata.is_dir() => folders.push(entry.path()),
                Ok(metadata) => bytes += metadata.len(),
                Err(error) if gone(&error) => {}
                Err(error) => return Err(error),
            }
        }
    }
    Ok(bytes)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_folder_weighs_what_its_files_do_however_deep_and_a_missing_one_nothing() {
        let folder = tempfile::tempdir().unwrap();
        fs::create_dir_all(folder.path().join("a/b")).unwrap();
        fs::write(folder.path().join("one"), [0; 3]).unwrap();
        fs::write(folder.path().join("a/b/two"), [0; 4]).unwrap();
        assert_eq!(folder_bytes(folder.path()).unwrap(), 7);
        assert_eq!(folder_bytes(&folder.path().join("none")).unwrap(), 0);
    }
}
