//! Fires rules that have a schedule, when they are due. What was due while the cloud was down is not made up for.
//! <https://docs.aws.amazon.com/eventbridge/latest/userguide/eb-create-rule-schedule.html>

use std::sync::Arc;

use jiff::{SignedDuration, Timestamp};
use redb::WriteTransaction;
use serde_json::value::RawValue;
use tokio_util::sync::CancellationToken;

use super::{
    Core,
    event::{Draft, Event},
    model::{DEFAULT_BUS, RULES, Rule, RuleName, SCHEDULED},
    schedule::Schedule,
    tally::Tally,
};
use crate::cloud::{error::ApiError, store::Transaction};

/// What is later than this is not fired any more: the machine slept, or its clock was set.
const LATEST: SignedDuration = SignedDuration::from_mins(1);
/// Pause after a fault of the store.
const FAULT_PAUSE: SignedDuration = SignedDuration::from_secs(1);

/// Fires rules that are due after `from` until `stop`.
pub(super) async fn run(core: Arc<Core>, mut from: Timestamp, stop: CancellationToken) {
    loop {
        let next = match core.store.read(|tx| next(tx, from)) {
            Ok(next) => next,
            Err(error) => {
                tracing::error!(%error, "the schedules of rules could not be read");
                from.checked_add(FAULT_PAUSE).ok()
            }
        };
        let due = async {
            match next {
                Some(next) => core.clock.sleep_until(next).await,
                None => std::future::pending().await,
            }
        };
        tokio::select! {
            () = stop.cancelled() => return,
            () = core.rules_changed.notified() => {}
            () = due => {
                let now = core.clock.now();
                core.fire(from, now).await;
                from = now;
            }
        }
    }
}

impl Core {
    async fn fire(self: &Arc<Self>, from: Timestamp, now: Timestamp) {
        let core = Arc::clone(self);
        let from = from.max(now - LATEST);
        match self.store.commit(move |tx| core.trigger_due(tx, from, now)).await {
            Ok(tally) => {
                tally.record(&self.meter, now.as_millisecond());
                self.outbox.wake.notify_one();
            }
            Err(error) => tracing::error!(%error, "rules that are due could not be fired"),
        }
    }

    /// Triggers the rules that are due after `from` and not after `now`.
    fn trigger_due(&self, tx: &WriteTransaction, from: Timestamp, now: Timestamp) -> Result<Tally, ApiError> {
        let mut tally = Tally::default();
        for (name, rule) in scheduled(tx)? {
            let Some(due) = due(&rule, from).filter(|due| *due <= now) else { continue };
            let bus = self.matching.bus(tx, &name.region, &name.bus)?;
            let Some(compiled) = bus.rules.iter().find(|rule| rule.name == name) else { continue };
            let event = scheduled_event(&name, due, now)?;
            self.trigger(tx, &event, compiled, &mut tally)?;
        }
        Ok(tally)
    }
}

/// "Scheduled Event" of `aws.events`, about the rule; its detail is empty.
fn scheduled_event(name: &RuleName, due: Timestamp, now: Timestamp) -> Result<Event, ApiError> {
    let draft = Draft {
        id: None,
        source: "aws.events",
        detail_type: "Scheduled Event",
        time: Some(due),
        resources: &[name.arn()],
        detail: &RawValue::from_string("{}".to_owned()).map_err(ApiError::internal)?,
    };
    Event::new(&name.region, DEFAULT_BUS, draft, now)
}

/// Enabled rules with a schedule.
fn scheduled(tx: &impl Transaction) -> Result<Vec<(RuleName, Rule)>, ApiError> {
    let mut rules = Vec::new();
    for (key, ()) in SCHEDULED.scan(tx, "", None, usize::MAX)? {
        let rule = RULES.get(tx, &key)?.filter(|rule| rule.enabled);
        rules.extend(RuleName::of_key(&key).zip(rule));
    }
    Ok(rules)
}

fn due(rule: &Rule, from: Timestamp) -> Option<Timestamp> {
    let schedule = Schedule::parse(rule.schedule.as_deref()?)?;
    schedule.next(Timestamp::from_millisecond(rule.scheduled).ok()?, from)
}

fn next(tx: &impl Transaction, from: Timestamp) -> Result<Option<Timestamp>, ApiError> {
    Ok(scheduled(tx)?.iter().filter_map(|(_, rule)| due(rule, from)).min())
}
