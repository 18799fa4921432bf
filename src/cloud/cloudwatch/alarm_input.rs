//! `PutMetricAlarm` and the other operations that change alarms.
//! <https://docs.aws.amazon.com/AmazonCloudWatch/latest/APIReference/API_PutMetricAlarm.html>
//!
//! Left out, and refused: alarms on metric math, anomaly bands, queries and logs, composite alarms, percentiles,
//! periods below a minute, actions of EC2, Auto Scaling and Systems Manager.

use redb::WriteTransaction;
use serde::Deserialize;
use serde_json::Value;

use super::{
    Done, Scope, Touched,
    alarm::{self, ALARMS, Alarm, Current},
    data::{Dimension, MetricId, Statistic, check_unit, is_in_range},
    evaluation::{Comparison, State, Treatment},
    fault::{Fault, invalid_format, limit_exceeded, no_such_alarm, validation},
    history, statistics,
    tags::{self, Tag},
    transition,
    values::{Flag, Number, Whole, input},
};
use crate::cloud::json::must_not_be_null;

/// Most alarms of a region.
/// <https://docs.aws.amazon.com/AmazonCloudWatch/latest/monitoring/cloudwatch_limits.html>
const ALARMS_PER_REGION: usize = 5000;
/// Most actions for one state.
const ACTIONS: usize = 5;
/// Most alarms named in one call.
pub(super) const NAMED_ALARMS: usize = 100;
/// Longest name, in letters.
const NAME_LETTERS: usize = 255;
/// Longest description, in letters.
const DESCRIPTION_LETTERS: usize = 1024;
/// Longest reason, in letters.
const REASON_LETTERS: usize = 1023;
/// Longest reason data, in letters.
const REASON_DATA_LETTERS: usize = 4000;
/// How far an alarm looks back at most, in milliseconds: with periods below an hour, and from an hour on.
const LOOKS_BACK_MS: [i64; 2] = [24 * 60 * 60 * 1000, 7 * 24 * 60 * 60 * 1000];
const HOUR_MS: i64 = 60 * 60 * 1000;

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase", deny_unknown_fields)]
struct PutMetricAlarm {
    alarm_name: String,
    alarm_description: Option<String>,
    actions_enabled: Option<Flag>,
    #[serde(default, rename = "OKActions")]
    ok_actions: Vec<String>,
    #[serde(default)]
    alarm_actions: Vec<String>,
    #[serde(default)]
    insufficient_data_actions: Vec<String>,
    metric_name: Option<String>,
    namespace: Option<String>,
    statistic: Option<String>,
    #[serde(default)]
    dimensions: Vec<Dimension>,
    period: Option<Whole>,
    unit: Option<String>,
    evaluation_periods: Option<Whole>,
    datapoints_to_alarm: Option<Whole>,
    threshold: Option<Number>,
    comparison_operator: Option<String>,
    treat_missing_data: Option<String>,
    #[serde(default)]
    tags: Vec<Tag>,
}

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase", deny_unknown_fields)]
struct AlarmNames {
    alarm_names: Vec<String>,
}

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase", deny_unknown_fields)]
struct SetAlarmState {
    alarm_name: String,
    state_value: String,
    state_reason: String,
    state_reason_data: Option<String>,
}

/// `PutMetricAlarm`: a new alarm begins in INSUFFICIENT_DATA, one that is there keeps its state.
pub(super) fn put(tx: &WriteTransaction, scope: &Scope, value: Value) -> Result<Done, Fault> {
    let wanted: PutMetricAlarm = input(value)?;
    let tags = wanted.tags.clone();
    let mut alarm = checked(scope, wanted)?;
    let old = ALARMS.get(tx, &alarm.key())?;
    match &old {
        Some(old) => alarm.current = old.current.clone(),
        None => {
            if ALARMS.scan(tx, &alarm::key(&scope.region, ""), None, ALARMS_PER_REGION)?.len() == ALARMS_PER_REGION {
                return Err(limit_exceeded(format!(
                    "There are {ALARMS_PER_REGION} alarms already, which is the limit."
                )));
            }
            // Tags of an alarm that is there are left as they are, as the API's reference says.
            tags::set(tx, &alarm.arn(), &tags)?;
        }
    }
    alarm.put(tx)?;
    history::configuration(tx, &alarm, old.as_ref(), scope.now)?;
    Ok(Done::without_output().touching([Touched::Alarm(alarm.key())]))
}

fn checked(scope: &Scope, wanted: PutMetricAlarm) -> Result<Alarm, Fault> {
    fn required<T>(value: Option<T>, member: &str) -> Result<T, Fault> {
        value.ok_or_else(|| validation(must_not_be_null(member)))
    }
    check_text("alarmName", &wanted.alarm_name, 1, NAME_LETTERS)?;
    if wanted.alarm_name.contains(char::is_control) {
        return Err(validation("AlarmName must not contain control characters"));
    }
    if let Some(description) = &wanted.alarm_description {
        check_text("alarmDescription", description, 0, DESCRIPTION_LETTERS)?;
    }
    for actions in [&wanted.ok_actions, &wanted.alarm_actions, &wanted.insufficient_data_actions] {
        check_actions(actions)?;
    }
    // What the metric's parts may be is the same as for PutMetricData, only the error's code is not.
    let as_validation = |fault: Fault| validation(fault.error.message);
    let (namespace, name) = (required(wanted.namespace, "namespace")?, required(wanted.metric_name, "metricName")?);
    let metric = MetricId::checked(namespace, name, wanted.dimensions).map_err(as_validation)?;
    let statistic = Statistic::parse(&required(wanted.statistic, "statistic")?).map_err(as_validation)?;
    let period = statistics::period_ms(required(wanted.period, "period")?).map_err(as_validation)?;
    let unit = check_unit(wanted.unit).map_err(as_validation)?;
    let (evaluation_periods, datapoints_to_alarm) =
        check_periods(required(wanted.evaluation_periods, "evaluationPeriods")?, wanted.datapoints_to_alarm, period)?;
    let threshold = required(wanted.threshold, "threshold")?.0;
    if !is_in_range(threshold) {
        return Err(validation("Threshold must be a number from -2^360 to 2^360"));
    }
    let comparison = one_of(
        "comparisonOperator",
        &required(wanted.comparison_operator, "comparisonOperator")?,
        &Comparison::ALL,
        Comparison::name,
    )?;
    let missing =
        wanted.treat_missing_data.map(|name| one_of("treatMissingData", &name, &Treatment::ALL, Treatment::name));
    Ok(Alarm {
        name: wanted.alarm_name,
        region: scope.region.clone(),
        description: wanted.alarm_description,
        actions_enabled: wanted.actions_enabled.is_none_or(|flag| flag.0),
        ok_actions: wanted.ok_actions,
        alarm_actions: wanted.alarm_actions,
        insufficient_data_actions: wanted.insufficient_data_actions,
        metric,
        statistic,
        period,
        unit,
        evaluation_periods,
        datapoints_to_alarm,
        threshold,
        comparison,
        missing: missing.transpose()?,
        configured: scope.now,
        current: Current {
            state: State::InsufficientData,
            reason: "Unchecked: Initial alarm creation".into(),
            reason_data: None,
            updated: scope.now,
            transitioned: scope.now,
        },
    })
}

fn check_text(member: &str, text: &str, least: usize, most: usize) -> Result<(), Fault> {
    if (least..=most).contains(&text.chars().count()) {
        return Ok(());
    }
    Err(validation(format!(
        "1 validation error detected: Value at '{member}' failed to satisfy constraint: Member must have length from \
         {least} to {most}"
    )))
}

fn one_of<T: Copy>(member: &str, name: &str, all: &[T], name_of: fn(T) -> &'static str) -> Result<T, Fault> {
    all.iter().copied().find(|one| name_of(*one) == name).ok_or_else(|| {
        let names: Vec<_> = all.iter().map(|one| name_of(*one)).collect();
        validation(format!(
            "1 validation error detected: Value '{name}' at '{member}' failed to satisfy constraint: Member must satisfy \
             enum value set: [{}]",
            names.join(", ")
        ))
    })
}

/// Topics and functions take alarms here.
/// <https://docs.aws.amazon.com/AmazonCloudWatch/latest/monitoring/alarm-actions.html>
fn check_actions(actions: &[String]) -> Result<(), Fault> {
    if actions.len() > ACTIONS {
        return Err(validation(format!("There are {} actions for a state; the limit is {ACTIONS}", actions.len())));
    }
    for action in actions {
        let parts: Vec<&str> = action.split(':').collect();
        match parts.as_slice() {
            ["arn", "aws", "sns", region, account, topic]
                if !region.is_empty() && !account.is_empty() && !topic.is_empty() => {}
            ["arn", "aws", "lambda", _, _, "function", name, ..] if !name.is_empty() => {}
            ["arn", "aws", "sns" | "lambda", ..] | [] | [_] => {
                return Err(validation(format!("Invalid arn syntax: {action}")));
            }
            _ => {
                return Err(validation(format!(
                    "The embedded cloud's alarms notify topics of SNS and functions of Lambda, not {action}"
                )));
            }
        }
    }
    Ok(())
}

fn check_periods(n: Whole, m: Option<Whole>, period: i64) -> Result<(u32, Option<u32>), Fault> {
    let number = |whole: Whole, member: &str| {
        u32::try_from(whole.0).ok().filter(|number| *number > 0).ok_or_else(|| {
            validation(format!(
                "1 validation error detected: Value '{}' at '{member}' failed to satisfy constraint: Member must have \
                 value greater than or equal to 1",
                whole.0
            ))
        })
    };
    let n = number(n, "evaluationPeriods")?;
    let m = m.map(|m| number(m, "datapointsToAlarm")).transpose()?;
    if m.is_some_and(|m| m > n) {
        return Err(validation("DatapointsToAlarm must be less than or equal to EvaluationPeriods"));
    }
    let most = LOOKS_BACK_MS[usize::from(period >= HOUR_MS)];
    if i64::from(n).saturating_mul(period) > most {
        let seconds = most / 1000;
        let span = if period >= HOUR_MS { "seven days" } else { "a day" };
        return Err(validation(format!(
            "Metrics cannot be checked across more than {span} (EvaluationPeriods * Period must be <= {seconds})."
        )));
    }
    Ok((n, m))
}

fn names(value: Value) -> Result<Vec<String>, Fault> {
    let AlarmNames { alarm_names } = input(value)?;
    if alarm_names.len() > NAMED_ALARMS {
        return Err(validation(format!(
            "1 validation error detected: Value at 'alarmNames' failed to satisfy constraint: Member must have length \
             less than or equal to {NAMED_ALARMS}"
        )));
    }
    Ok(alarm_names)
}

/// `DeleteAlarms`: those that are there go, even where others are not.
/// <https://docs.aws.amazon.com/AmazonCloudWatch/latest/APIReference/API_DeleteAlarms.html>
pub(super) fn delete(tx: &WriteTransaction, scope: &Scope, value: Value) -> Result<Done, Fault> {
    let mut unknown = Vec::new();
    for name in names(value)? {
        match ALARMS.get(tx, &alarm::key(&scope.region, &name))? {
            Some(alarm) => {
                alarm.delete(tx)?;
                history::deletion(tx, &alarm, scope.now)?;
            }
            None => unknown.push(name),
        }
    }
    let mut done = Done::without_output();
    if !unknown.is_empty() {
        done.answer = Err(no_such_alarm(format!("Unknown alarms: {}", unknown.join(", "))));
    }
    Ok(done)
}

/// `SetAlarmState`: until the next evaluation finds another one.
/// <https://docs.aws.amazon.com/AmazonCloudWatch/latest/APIReference/API_SetAlarmState.html>
pub(super) fn set_state(tx: &WriteTransaction, scope: &Scope, value: Value) -> Result<Done, Fault> {
    let SetAlarmState { alarm_name, state_value, state_reason, state_reason_data } = input(value)?;
    let state = one_of("stateValue", &state_value, &State::ALL, State::name)?;
    check_text("stateReason", &state_reason, 0, REASON_LETTERS)?;
    if let Some(data) = &state_reason_data {
        check_text("stateReasonData", data, 0, REASON_DATA_LETTERS)?;
        if serde_json::from_str::<Value>(data).is_err() {
            return Err(invalid_format("StateReasonData was not valid JSON"));
        }
    }
    let alarm = alarm::existing(tx, &scope.region, &alarm_name)?;
    transition::apply(tx, alarm, state, state_reason, state_reason_data, scope.now)?;
    Ok(Done::without_output())
}

/// `EnableAlarmActions`
pub(super) fn enable(tx: &WriteTransaction, scope: &Scope, value: Value) -> Result<Done, Fault> {
    switch(tx, scope, value, true)
}

/// `DisableAlarmActions`
pub(super) fn disable(tx: &WriteTransaction, scope: &Scope, value: Value) -> Result<Done, Fault> {
    switch(tx, scope, value, false)
}

/// The model declares no error for a name that nothing has.
fn switch(tx: &WriteTransaction, scope: &Scope, value: Value, enabled: bool) -> Result<Done, Fault> {
    for name in names(value)? {
        let Some(old) = ALARMS.get(tx, &alarm::key(&scope.region, &name))? else { continue };
        if old.actions_enabled != enabled {
            let alarm = Alarm { actions_enabled: enabled, configured: scope.now, ..old.clone() };
            alarm.put(tx)?;
            history::configuration(tx, &alarm, Some(&old), scope.now)?;
        }
    }
    Ok(Done::without_output())
}
