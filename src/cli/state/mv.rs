//! `lake state mv`

use std::sync::Arc;

use serde_json::json;

use crate::{apply::by_hand, resource::Address, state::Snapshot};

use super::{ByHand, CliError, Context};

/// Gives a resource another address. In the cloud it keeps its name and all it has; only its tags change.
///
/// For what lake.toml calls otherwise from now on: without this, the next apply would make a new one and delete the old.
///
/// Example: lake state mv aws:s3:Bucket/raw aws:s3:Bucket/landing
#[derive(Debug, clap::Args)]
pub struct Args {
    /// Its address, as `list` shows it.
    old: Address,
    /// Its new address, where nothing is.
    new: Address,
}

pub async fn run(args: &Args, context: &Context) -> Result<(), CliError> {
    let hand = ByHand::open(context, "state mv").await?;
    let lock = Arc::clone(&hand.lock);
    let moved = relocate(args, &hand).await;
    let released = lock.release().await;
    let identity = moved?;
    released?;
    context.console.note(format!("{identity} is {} now, no longer {}", args.new, args.old));
    context.console.json(&json!({ "old": args.old, "new": args.new, "identity": identity }))
}

async fn relocate(Args { old, new }: &Args, hand: &ByHand) -> Result<String, CliError> {
    let identity = check(&hand.prior.snapshot, old, new)?;
    let recorder = hand.begin().await?;
    let moved = by_hand::relocate(&recorder, &hand.provider, old, new).await;
    recorder.close().await?;
    moved?;
    Ok(identity)
}

/// What the resource of `old` is known by, if it may be moved to `new`.
fn check(snapshot: &Snapshot, old: &Address, new: &Address) -> Result<String, CliError> {
    if old.kind() != new.kind() {
        return Err(CliError::usage(format!("{old} and {new} are of two kinds: one cannot become the other")));
    }
    let Some(recorded) = snapshot.resources.get(old) else {
        return Err(CliError::failed(format!("{old} is not in the state")).hint("`lake state list` shows what is"));
    };
    if let Some(there) = snapshot.resources.get(new) {
        return Err(CliError::failed(format!("{new} is in the state already: {}", there.identity))
            .hint(format!("move it elsewhere, or forget it with `lake state rm {new}`")));
    }
    if snapshot.tombstones.get(new).is_some_and(|tombstone| tombstone.retained) {
        return Err(CliError::failed(format!("a resource of {new} was left in the cloud, to be taken up again"))
            .hint("apply takes it up; or choose another address"));
    }
    Ok(recorded.identity.clone())
}
