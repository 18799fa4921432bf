//! `lake state unlock`

use serde_json::json;

use crate::state::store::{Holder, Life, Standing};

use crate::cli::{apply::confirm, context::Context, error::CliError};

/// Takes the stack's lock away from whoever has it.
///
/// Says who that is, since when, and whether it still lives. A command that meets the lock of one that has ended takes
/// it over by itself: this is for one that lives and should not. It can then record nothing more and stops; what it has
/// begun is found again by the next command.
///
/// Example: lake state unlock --yes
#[derive(Debug, clap::Args)]
pub struct Args {
    /// Does not ask.
    #[arg(short, long)]
    yes: bool,
}

pub async fn run(args: Args, context: &Context) -> Result<(), CliError> {
    let console = &context.console;
    let config = context.config()?;
    let stack = context.stack(&config)?;
    let store = context.store(stack).await?;
    let Some(Standing { holder, life }) = store.standing().await? else {
        console.note(format!("nothing is locked: nobody works on stack `{}`", stack.name));
        return console.json(&json!({ "unlocked": false, "holder": null }));
    };
    let (lives, why) = match &life {
        Life::Lives(why) => (true, why),
        Life::Ended(why) => (false, why),
    };
    console.note(format!("stack `{}` is locked by {holder}", stack.name));
    console.note(match lives {
        true => format!("it lives: {why}"),
        false => format!("it has ended: {why}; the next command would take its lock over without being asked to"),
    });
    if lives {
        console.note(what_may_happen(&holder));
    }
    confirm(context, args.yes, "Take the lock away?")?;
    store.unlock(&holder).await?;
    console.note("unlocked");
    console.json(&json!({ "unlocked": true, "holder": holder, "lives": lives, "why": why }))
}

/// What becomes of a command that loses its lock.
fn what_may_happen(holder: &Holder) -> String {
    format!(
        "`lake {}` can then record nothing more, and stops; calls to the cloud that it has under way may still take \
         effect, and the next command finds what they made by the intents that are recorded",
        holder.command
    )
}
