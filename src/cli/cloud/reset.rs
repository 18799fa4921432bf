//! `lake cloud reset`

use std::{fs, io, path::Path};

use indicatif::HumanBytes;
use serde_json::json;

use crate::{
    cli::{context::Context, error::CliError},
    config::Target,
    state::store::{Local, StateError, Store},
};

use super::{files::Files, process, status::folder_bytes};

/// Stops the embedded cloud and deletes everything in it.
///
/// Refuses while a stack still has resources there: `lake destroy` removes them in good order. With --yes they go
/// with the cloud, and the next apply makes them again.
///
/// Example: lake cloud reset --yes
#[derive(Debug, clap::Args)]
pub struct Args {
    /// Resets although stacks have resources in it.
    #[arg(short, long)]
    yes: bool,
}

pub async fn run(args: Args, context: &Context) -> Result<(), CliError> {
    let files = Files::new(context.cloud_folder());
    if !files.folder().exists() {
        context.console.note("there is nothing to reset");
        return context.console.json(&json!({ "deleted_bytes": 0 }));
    }
    if !args.yes {
        refuse_when_used(context).await?;
    }
    // Nobody starts it meanwhile.
    let _exclusive = files.exclusive().await?;
    process::stop(context).await?;
    let bytes = folder_bytes(files.folder())?;
    empty(files.folder()).map_err(|error| {
        CliError::failed(format!("{} could not be deleted as a whole: {error}", files.folder().display()))
            .hint("run `lake cloud reset` again once that is mended")
    })?;
    context.console.note(format!("embedded cloud reset: {} deleted", HumanBytes(bytes)));
    context.console.json(&json!({ "deleted_bytes": bytes }))
}

/// An error when a stack of the embedded cloud has resources in it.
async fn refuse_when_used(context: &Context) -> Result<(), CliError> {
    let mut used = Vec::new();
    for (name, store) in stores(&context.state_folder())? {
        if let Some(snapshot) =
            store.load().await?.map(|loaded| loaded.snapshot).filter(|snapshot| !snapshot.is_empty())
            && is_embedded(context, &name)
        {
            used.push(format!("`{name}` ({} resources)", snapshot.resources.len() + snapshot.deposed.len()));
        }
    }
    // State that lies in the cloud itself goes with it.
    let config = context.config().ok();
    let stacks = config.iter().flat_map(|config| config.stacks.values());
    for stack in stacks.filter(|stack| stack.target == Target::Embedded && stack.state.is_some()) {
        let loaded = match context.store(stack).await?.load().await {
            Err(StateError::NoBucket { .. }) => None,
            loaded => loaded?,
        };
        if let Some(snapshot) = loaded.map(|loaded| loaded.snapshot).filter(|snapshot| !snapshot.is_empty()) {
            let resources = snapshot.resources.len() + snapshot.deposed.len();
            used.push(format!("`{}` ({resources} resources)", stack.name));
        }
    }
    if used.is_empty() {
        return Ok(());
    }
    Err(CliError::failed(format!("the embedded cloud is in use by {}; nothing was deleted", used.join(", ")))
        .hint("`lake destroy` removes what is in it; `lake cloud reset --yes` deletes it all the same"))
}

/// The states in the project's folder by stack.
fn stores(folder: &Path) -> Result<Vec<(String, Store)>, CliError> {
    let mut stores = Vec::new();
    for entry in fs::read_dir(folder)? {
        let path = entry?.path();
        if path.join("state.json").exists() {
            let name = path.file_name().unwrap_or_default().to_string_lossy().into_owned();
            stores.push((name, Store::new(Local::new(path))));
        }
    }
    stores.sort_by(|a, b| a.0.cmp(&b.0));
    Ok(stores)
}

/// A stack that lake.toml does not know (any more) counts as one here: better asked once too often.
fn is_embedded(context: &Context, stack: &str) -> bool {
    let config = context.config().ok();
    let stack = config.as_ref().and_then(|config| config.stacks.get(stack));
    stack.is_none_or(|stack| stack.target == Target::Embedded)
}

/// Deletes all that is in the folder but the lock that we hold.
fn empty(folder: &Path) -> io::Result<()> {
    for entry in fs::read_dir(folder)? {
        let entry = entry?;
        match entry.file_type()?.is_dir() {
            true => fs::remove_dir_all(entry.path())?,
            false if entry.file_name() == "start.lock" => {}
            false => fs::remove_file(entry.path())?,
        }
    }
    crate::files::sync_folder(folder)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_reset_leaves_nothing_but_the_lock() {
        let folder = tempfile::tempdir().unwrap();
        fs::create_dir_all(folder.path().join("s3/objects")).unwrap();
        for file in ["start.lock", "store.redb", "server.json", "s3/objects/1"] {
            fs::write(folder.path().join(file), b"x").unwrap();
        }
        empty(folder.path()).unwrap();
        let left: Vec<_> = fs::read_dir(folder.path()).unwrap().map(|entry| entry.unwrap().file_name()).collect();
        assert_eq!(left, ["start.lock"]);
    }
}
