//! `DescribeAlarms` and `DescribeAlarmsForMetric`.
//! <https://docs.aws.amazon.com/AmazonCloudWatch/latest/APIReference/API_DescribeAlarms.html>,
//! <https://docs.aws.amazon.com/AmazonCloudWatch/latest/APIReference/API_DescribeAlarmsForMetric.html>

use redb::ReadTransaction;
use serde::Deserialize;
use serde_json::{Value, json};

use super::{
    Scope,
    alarm::{self, ALARMS, Alarm, WATCHERS},
    alarm_input::NAMED_ALARMS,
    data::{Dimension, MetricId, SEPARATOR, Statistic},
    fault::{Fault, validation},
    page::{Page, after, token},
    values::{Whole, input},
};
use crate::cloud::store::Step;

/// Alarms of a page when nothing is asked, and at most.
const PAGE_ALARMS: usize = 50;
const PAGE_ALARMS_MAX: usize = 100;
/// Alarms read of one metric.
const METRIC_ALARMS: usize = 5000;

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase", deny_unknown_fields)]
struct DescribeAlarms {
    alarm_names: Option<Vec<String>>,
    alarm_name_prefix: Option<String>,
    #[serde(default)]
    alarm_types: Vec<String>,
    state_value: Option<String>,
    action_prefix: Option<String>,
    max_records: Option<Whole>,
    next_token: Option<String>,
}

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase", deny_unknown_fields)]
struct DescribeAlarmsForMetric {
    metric_name: String,
    namespace: String,
    statistic: Option<String>,
    #[serde(default)]
    dimensions: Vec<Dimension>,
    period: Option<Whole>,
    unit: Option<String>,
}

/// The size of a page.
pub(super) fn page_size(asked: Option<Whole>) -> Result<usize, Fault> {
    let Some(Whole(asked)) = asked else { return Ok(PAGE_ALARMS) };
    usize::try_from(asked).ok().filter(|asked| (1..=PAGE_ALARMS_MAX).contains(asked)).ok_or_else(|| {
        validation(format!(
            "1 validation error detected: Value '{asked}' at 'maxRecords' failed to satisfy constraint: Member must have \
             value from 1 to {PAGE_ALARMS_MAX}"
        ))
    })
}

/// `DescribeAlarms`. There are no composite alarms here, so there are none to tell.
pub(super) fn describe(tx: &ReadTransaction, scope: &Scope, value: Value) -> Result<Value, Fault> {
    let wanted: DescribeAlarms = input(value)?;
    if let Some(name) = wanted.alarm_types.iter().find(|kind| !is_alarm_type(kind)) {
        return Err(validation(format!("The value {name} at 'alarmTypes' is none of MetricAlarm and CompositeAlarm")));
    }
    let mut output = json!({ "CompositeAlarms": [], "MetricAlarms": [] });
    // Without types, all kinds are told; metric alarms are the only one.
    if !wanted.alarm_types.is_empty() && !wanted.alarm_types.iter().any(|kind| kind == "MetricAlarm") {
        return Ok(output);
    }
    let fits = |alarm: &Alarm| {
        let actions = [&alarm.ok_actions, &alarm.alarm_actions, &alarm.insufficient_data_actions];
        wanted.state_value.as_ref().is_none_or(|state| state == alarm.current.state.name())
            && wanted
                .action_prefix
                .as_ref()
                .is_none_or(|prefix| actions.into_iter().flatten().any(|action| action.starts_with(prefix.as_str())))
    };
    if let Some(names) = &wanted.alarm_names {
        if wanted.alarm_name_prefix.is_some() {
            return Err(validation("AlarmNames and AlarmNamePrefix cannot be given together"));
        }
        if names.len() > NAMED_ALARMS {
            return Err(validation(format!("There are more than {NAMED_ALARMS} AlarmNames")));
        }
        let mut found = Vec::new();
        for name in names {
            found.extend(ALARMS.get(tx, &alarm::key(&scope.region, name))?.filter(fits).map(|alarm| alarm.view()));
        }
        output["MetricAlarms"] = found.into();
        return Ok(output);
    }
    let prefix = alarm::key(&scope.region, wanted.alarm_name_prefix.as_deref().unwrap_or_default());
    let all = alarm::key(&scope.region, "");
    let start = after(wanted.next_token.as_deref(), &all)?;
    let mut page = Page::new(page_size(wanted.max_records)?);
    ALARMS.walk::<Fault>(tx, start.as_deref().unwrap_or(&prefix), |key, entry| {
        if !key.starts_with(&prefix) {
            return Ok(Step::Stop);
        }
        if start.as_deref() == Some(key) {
            return Ok(Step::Next);
        }
        let alarm = entry.value()?;
        Ok(page.take(key, fits(&alarm).then(|| alarm.view())))
    })?;
    output["MetricAlarms"] = page.items.into();
    if let Some(last) = page.last_of_many {
        output["NextToken"] = token(&last, &all).into();
    }
    Ok(output)
}

/// Whether it is one of the kinds of alarms.
pub(super) fn is_alarm_type(name: &str) -> bool {
    matches!(name, "MetricAlarm" | "CompositeAlarm" | "LogAlarm")
}

/// `DescribeAlarmsForMetric`
pub(super) fn for_metric(tx: &ReadTransaction, scope: &Scope, value: Value) -> Result<Value, Fault> {
    let wanted: DescribeAlarmsForMetric = input(value)?;
    let metric = MetricId::checked(wanted.namespace, wanted.metric_name, wanted.dimensions)
        .map_err(|fault| validation(fault.error.message))?;
    let statistic = wanted.statistic.map(|name| Statistic::parse(&name)).transpose();
    let statistic = statistic.map_err(|fault| validation(fault.error.message))?;
    let prefix = format!("{}{SEPARATOR}", metric.digest(&scope.region));
    let mut found = Vec::new();
    for (key, ()) in WATCHERS.scan(tx, &prefix, None, METRIC_ALARMS)? {
        let Some(alarm) = ALARMS.get(tx, &key[prefix.len()..])? else { continue };
        let fits = statistic.is_none_or(|statistic| statistic == alarm.statistic)
            && wanted.period.is_none_or(|period| period.0 * 1000 == alarm.period)
            && (wanted.unit.is_none() || wanted.unit == alarm.unit);
        found.extend(fits.then(|| alarm.view()));
    }
    Ok(json!({ "MetricAlarms": found }))
}
