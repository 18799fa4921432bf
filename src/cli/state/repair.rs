//! `lake state repair`

use std::sync::Arc;

use serde_json::json;

use crate::{
    apply::Recorder,
    state::{
        Diagnosis, Remedy,
        store::{Lock, Store},
    },
};

use super::{CliError, Context, store};

/// Tells what is damaged of the state and what can be done, and does it with --yes.
///
/// A damaged journal is cut, a damaged or missing base made of the history, what contradicts itself set right; nothing
/// that may be in the cloud is forgotten. The damaged files stay beside as `*.damaged-…`.
///
/// Example: lake state repair --yes
#[derive(Debug, clap::Args)]
pub struct Args {
    /// Does what can be done.
    #[arg(short, long)]
    yes: bool,
}

pub async fn run(args: &Args, context: &Context) -> Result<(), CliError> {
    let store = store(context).await?;
    let diagnosis = if args.yes {
        let lock = Arc::new(context.lock(&store, "state repair").await?);
        let repaired = repair(&store, &lock).await;
        let released = lock.release().await;
        let diagnosis = repaired?;
        released?;
        diagnosis
    } else {
        store.diagnose().await?
    };
    tell(&diagnosis, args.yes, context)
}

async fn repair(store: &Store, lock: &Arc<Lock>) -> Result<Diagnosis, CliError> {
    let diagnosis = store.diagnose().await?;
    let mark = super::mark();
    match &diagnosis.remedy {
        Remedy::None(_) => store.discard(lock, &diagnosis, &mark).await?,
        Remedy::Lost => {}
        Remedy::Mend { snapshot, .. } => {
            store.mend(lock, snapshot, &diagnosis, &mark).await?;
            // For the history.
            if let Some(stored) = store.load().await? {
                let recorder = Recorder::begin(store, Arc::clone(lock), stored, snapshot, "state repair").await?;
                recorder.close().await?;
            }
        }
    }
    Ok(diagnosis)
}

fn tell(diagnosis: &Diagnosis, done: bool, context: &Context) -> Result<(), CliError> {
    let console = &context.console;
    if diagnosis.findings.is_empty() {
        console.note("nothing to repair: the state is sound");
        return console.json(&json!({ "findings": [], "steps": [], "repaired": false }));
    }
    for finding in &diagnosis.findings {
        console.note(format!("damaged: {finding}"));
    }
    let (mut steps, lossy) = match &diagnosis.remedy {
        Remedy::Mend { steps, lossy, .. } => (steps.clone(), *lossy),
        Remedy::None(_) | Remedy::Lost => (Vec::new(), false),
    };
    steps.extend(
        diagnosis.damaged_history.iter().map(|serial| format!("the state of serial {serial} leaves the history")),
    );
    for step in &steps {
        console.note(format!("{}: {step}", if done { "done" } else { "can be done" }));
    }
    let is_lost = matches!(diagnosis.remedy, Remedy::Lost);
    let repaired = done && !is_lost;
    console.json(&json!({
        "findings": diagnosis.findings, "steps": steps, "lossy": lossy, "lost": is_lost, "repaired": repaired,
    }))?;
    if is_lost {
        return Err(CliError::failed("nothing is left that the state could be made of")
            .hint("`lake state recover` finds by its tags what the stack has in the cloud"));
    }
    if !done {
        return Err(CliError::failed("the state is damaged; nothing was changed").hint("--yes does what can be done"));
    }
    console.note("repaired; the damaged files stay beside as *.damaged-…");
    console.note("`lake refresh` now asks the cloud for every resource");
    if lossy {
        console.note("edits are lost: `lake state recover --missing` finds by its tags what they made");
    }
    Ok(())
}
