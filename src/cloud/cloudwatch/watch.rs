//! When alarms are evaluated: at each end of their period, soon after data of their metric has come, and when they
//! are made or changed. Nothing is looked at in between.

use std::{collections::BTreeSet, sync::Arc, time::Duration};

use super::{
    Core, Touched,
    alarm::{ALARMS, Alarm, WATCHERS},
    data::{MINUTE_MS, SEPARATOR},
    statistics::floor,
    transition,
};
use crate::cloud::store::{Step, StoreError, Transaction};

/// How long the first of several changes waits for the others.
const DEBOUNCE: Duration = Duration::from_millis(100);
/// How long after the end of a period its alarms are evaluated, in milliseconds: data of its last moment is on its way.
const GRACE_MS: i64 = 1_000;
/// Alarms of one metric that are evaluated at once.
const METRIC_ALARMS: usize = 5000;
/// Alarms that go over into their states in one transaction.
const CHANGED_ALARMS: usize = 100;
/// How long the task waits when the store itself fails.
const STORE_PAUSE: Duration = Duration::from_secs(5);

/// Evaluates alarms as long as it is polled.
pub(super) async fn run(core: Arc<Core>) {
    // What has happened while nobody looked counts: everything is evaluated at first.
    let mut evaluated = 0;
    loop {
        match evaluate(&core, evaluated).await {
            Ok(now) => evaluated = now,
            Err(error) => {
                tracing::error!(%error, "alarms could not be evaluated; it is tried again");
                tokio::time::sleep(STORE_PAUSE).await;
                continue;
            }
        }
        wait(&core, evaluated).await;
    }
}

/// Returns when there is something to evaluate: changes, or the end of a minute while there are alarms.
async fn wait(core: &Arc<Core>, evaluated: i64) {
    let are_alarms = core.store.read(|tx| ALARMS.scan(tx, "", None, 1)).is_ok_and(|alarms| !alarms.is_empty());
    if are_alarms {
        // Periods are whole minutes.
        let next = floor(evaluated - GRACE_MS, MINUTE_MS) + MINUTE_MS + GRACE_MS;
        let left = Duration::from_millis((next - core.now()).max(0).unsigned_abs());
        tokio::select! {
            () = core.changed.notified() => {}
            () = tokio::time::sleep(left) => return,
        }
    } else {
        core.changed.notified().await;
    }
    tokio::time::sleep(DEBOUNCE).await;
}

/// Evaluates the alarms whose period has ended since `last`, and those of what was touched. Gives the time that it
/// was done for.
pub(super) async fn evaluate(core: &Arc<Core>, last: i64) -> Result<i64, StoreError> {
    let now = core.now();
    let touched = std::mem::take(&mut *core.touched());
    let found = {
        let (core, touched) = (Arc::clone(core), touched.clone());
        tokio::task::spawn_blocking(move || core.store.read(|tx| candidates(tx, &touched, last, now))).await
    };
    let changed = match found {
        Ok(Ok(keys)) => change(core, keys, now).await,
        Ok(Err(error)) => Err(error),
        Err(panic) => std::panic::resume_unwind(panic.into_panic()),
    };
    match changed {
        Ok(true) => core.outgoing.notify_one(),
        Ok(false) => {}
        Err(error) => {
            // Not forgotten: the next try takes them up again.
            core.touched().extend(touched);
            return Err(error);
        }
    }
    Ok(now)
}

/// Alarms that are not in the state that their data makes.
fn candidates(
    tx: &impl Transaction,
    touched: &BTreeSet<Touched>,
    last: i64,
    now: i64,
) -> Result<Vec<String>, StoreError> {
    let mut found = BTreeSet::new();
    let mut look = |key: &str, alarm: &Alarm| {
        if transition::due(tx, alarm, now)?.is_some() {
            found.insert(key.to_owned());
        }
        Ok::<_, StoreError>(())
    };
    // No period ends within a minute that has been looked at.
    let minute = |time: i64| floor(time - GRACE_MS, MINUTE_MS);
    if minute(last) != minute(now) {
        ALARMS.walk::<StoreError>(tx, "", |key, entry| {
            let alarm = entry.value()?;
            if floor(last - GRACE_MS, alarm.period) != floor(now - GRACE_MS, alarm.period) {
                look(key, &alarm)?;
            }
            Ok(Step::Next)
        })?;
    }
    for touched in touched {
        let keys = match touched {
            Touched::Alarm(key) => vec![key.clone()],
            Touched::Metric(digest) => {
                let prefix = format!("{digest}{SEPARATOR}");
                let watchers = WATCHERS.scan(tx, &prefix, None, METRIC_ALARMS)?;
                watchers.into_iter().map(|(key, ())| key[prefix.len()..].to_owned()).collect()
            }
        };
        for key in keys {
            if let Some(alarm) = ALARMS.get(tx, &key)? {
                look(&key, &alarm)?;
            }
        }
    }
    Ok(found.into_iter().collect())
}

/// Takes alarms over into their states, unless something else has happened to them meanwhile.
async fn change(core: &Arc<Core>, keys: Vec<String>, now: i64) -> Result<bool, StoreError> {
    for some in keys.chunks(CHANGED_ALARMS) {
        let some = some.to_vec();
        let changed = core.store.commit(move |tx| {
            for key in some {
                let Some(alarm) = ALARMS.get(tx, &key)? else { continue };
                if let Some((state, reason, data)) = transition::due(tx, &alarm, now)? {
                    transition::apply(tx, alarm, state, reason, Some(data), now)?;
                }
            }
            Ok::<_, StoreError>(())
        });
        changed.await?;
    }
    Ok(!keys.is_empty())
}
