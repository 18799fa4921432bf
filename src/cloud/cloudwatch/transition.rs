//! An alarm goes over into a state: it is kept, remembered in the history, and told to those who are to know, all in
//! one transaction.

use redb::WriteTransaction;

use super::{
    alarm::{Alarm, Current},
    evaluation::{State, decide, reason},
    history, message,
    outbox::{self, Outgoing},
};
use crate::cloud::store::{StoreError, Transaction};

/// What an alarm's data makes of it at `now`: the state it has to go over into, with reason and reason data. None
/// where it is in that state.
pub(super) fn due(
    tx: &impl Transaction,
    alarm: &Alarm,
    now: i64,
) -> Result<Option<(State, String, String)>, StoreError> {
    let rule = alarm.rule();
    let verdict = decide(&rule, &alarm.window(tx, now)?);
    let Some(state) = verdict.state.filter(|state| *state != alarm.current.state) else { return Ok(None) };
    let data = alarm.reason_data(&verdict.counted, now);
    Ok(Some((state, reason(&rule, &verdict, alarm.current.state, state), data)))
}

/// Takes `alarm` over into `state`. Actions and events come of a change only.
pub(super) fn apply(
    tx: &WriteTransaction,
    mut alarm: Alarm,
    state: State,
    reason: String,
    reason_data: Option<String>,
    now: i64,
) -> Result<(), StoreError> {
    let changes = alarm.current.state != state;
    let transitioned = if changes { now } else { alarm.current.transitioned };
    let current = Current { state, reason, reason_data, updated: now, transitioned };
    let old = std::mem::replace(&mut alarm.current, current);
    alarm.put(tx)?;
    if !changes {
        return Ok(());
    }
    history::state(tx, &alarm, &old, now)?;
    let event = Outgoing::Event {
        region: alarm.region.clone(),
        detail_type: "CloudWatch Alarm State Change".into(),
        resources: vec![alarm.arn()],
        detail: message::detail(&alarm, &old),
    };
    outbox::put(tx, event, now)?;
    if alarm.actions_enabled {
        for target in alarm.actions(state) {
            let is_function = target.starts_with("arn:aws:lambda:");
            let body =
                if is_function { message::invocation(&alarm, &old) } else { message::notification(&alarm, &old) };
            let action = Outgoing::Action {
                region: alarm.region.clone(),
                alarm: alarm.name.clone(),
                target: target.clone(),
                subject: (!is_function).then(|| message::subject(&alarm)),
                body: body.to_string(),
            };
            outbox::put(tx, action, now)?;
        }
    }
    Ok(())
}
