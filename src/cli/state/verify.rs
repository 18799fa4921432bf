//! `lake state verify`

use serde_json::json;

use crate::state::Remedy;

use super::{CliError, Context, no_state, store};

/// Checks that base, journal and history of the state are whole and sound. Exits with 1 when they are not.
///
/// Example: lake state verify
#[derive(Debug, clap::Args)]
pub struct Args {}

pub async fn run(_args: &Args, context: &Context) -> Result<(), CliError> {
    let console = &context.console;
    let store = store(context).await?;
    let diagnosis = store.diagnose().await?;
    if diagnosis.findings.is_empty() {
        let Remedy::None(Some(snapshot)) = &diagnosis.remedy else { return Err(no_state(context)) };
        let pending = snapshot.pending.len();
        console.note(format!(
            "sound: serial {}, {} resources, {} to be deleted, {pending} calls without a record",
            snapshot.serial,
            snapshot.resources.len(),
            snapshot.deposed.len(),
        ));
        let torn =
            if diagnosis.torn { "; its end was torn by a crash, and is cut off by the next command" } else { "" };
        let (edits, groups) = (diagnosis.edits, diagnosis.groups);
        console.note(format!("journal: {edits} edits in {groups} groups{torn}"));
        console.note(format!("history: {} earlier states", diagnosis.history));
        return console.json(&json!({
            "sound": true, "serial": snapshot.serial, "pending": pending, "torn": diagnosis.torn,
            "journal": { "edits": edits, "groups": groups }, "history": diagnosis.history,
        }));
    }
    console.json(&json!({ "sound": false, "findings": diagnosis.findings }))?;
    let findings = diagnosis.findings.join("\n  ");
    let message = format!("the state at {} is unsound:\n  {findings}", store.name());
    Err(CliError::failed(message).hint("`lake state repair` tells what can be done"))
}
