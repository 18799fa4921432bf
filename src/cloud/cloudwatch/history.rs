//! What has happened to alarms.
//! <https://docs.aws.amazon.com/AmazonCloudWatch/latest/APIReference/API_DescribeAlarmHistory.html>

use std::sync::atomic::{AtomicU64, Ordering};

use redb::{ReadTransaction, WriteTransaction};
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};

use super::{
    Scope,
    alarm::{Alarm, Current},
    alarm_list::{is_alarm_type, page_size},
    data::{MINUTE_MS, SEPARATOR},
    fault::{Fault, invalid_token, validation},
    page::{Page, after, token},
    values::{Time, Whole, input},
};
use crate::cloud::store::{StoreError, Table};

/// Items by time, region and alarm.
const HISTORY: Table<Item> = Table::new("cloudwatch.history");

/// How long items are kept, in milliseconds: 30 days, as on AWS.
const RETENTION_MS: i64 = 30 * 24 * 60 * MINUTE_MS;
/// Longest `HistoryData`, in bytes.
const DATA_BYTES: usize = 4095;
/// Items read in one step when the newest come first.
const READ_ITEMS: usize = 256;
/// After every key.
const PAST_ALL_KEYS: &str = ":";

/// Something that happened.
#[derive(Debug, Clone, Serialize, Deserialize)]
struct Item {
    kind: Kind,
    summary: String,
    data: String,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
enum Kind {
    ConfigurationUpdate,
    StateUpdate,
    Action,
}

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase", deny_unknown_fields)]
struct DescribeAlarmHistory {
    alarm_name: Option<String>,
    #[serde(default)]
    alarm_types: Vec<String>,
    history_item_type: Option<String>,
    start_date: Option<Time>,
    end_date: Option<Time>,
    max_records: Option<Whole>,
    next_token: Option<String>,
    scan_by: Option<String>,
}

fn put(tx: &WriteTransaction, (region, alarm): (&str, &str), now: i64, item: &Item) -> Result<(), StoreError> {
    // Tells items of the same millisecond apart and keeps their order.
    static SEQUENCE: AtomicU64 = AtomicU64::new(0);
    let sequence = SEQUENCE.fetch_add(1, Ordering::Relaxed);
    let key = format!("{}{SEPARATOR}{sequence:010}{SEPARATOR}{region}{SEPARATOR}{alarm}", time_key(now));
    HISTORY.put(tx, &key, item)
}

fn time_key(time: i64) -> String {
    format!("{:016}", time.max(0))
}

/// What a key says: time, region, alarm.
fn parts(key: &str) -> Option<(i64, &str, &str)> {
    let mut parts = key.splitn(4, SEPARATOR);
    let time = parts.next()?.parse().ok()?;
    parts.next()?;
    Some((time, parts.next()?, parts.next()?))
}

/// The alarm was made or changed.
pub(super) fn configuration(
    tx: &WriteTransaction,
    alarm: &Alarm,
    old: Option<&Alarm>,
    now: i64,
) -> Result<(), StoreError> {
    let (kind, verb) = if old.is_some() { ("Update", "updated") } else { ("Create", "created") };
    let mut data = json!({ "version": "1.0", "type": kind });
    data[if old.is_some() { "updatedAlarm" } else { "createdAlarm" }] = configured(alarm);
    write_configuration(tx, alarm, verb, &data, now)
}

/// The alarm was deleted.
pub(super) fn deletion(tx: &WriteTransaction, alarm: &Alarm, now: i64) -> Result<(), StoreError> {
    let data = json!({ "version": "1.0", "type": "Delete", "deletedAlarm": configured(alarm) });
    write_configuration(tx, alarm, "deleted", &data, now)
}

fn write_configuration(
    tx: &WriteTransaction,
    alarm: &Alarm,
    verb: &str,
    data: &Value,
    now: i64,
) -> Result<(), StoreError> {
    let mut data = data.to_string();
    if data.len() > DATA_BYTES {
        // A long description with long actions: their place is DescribeAlarms.
        data = json!({ "version": "1.0", "type": verb }).to_string();
    }
    let summary = format!("Alarm \"{}\" {verb}", alarm.name);
    let item = Item { kind: Kind::ConfigurationUpdate, summary, data };
    put(tx, (&alarm.region, &alarm.name), now, &item)
}

/// The alarm's settings without its state.
fn configured(alarm: &Alarm) -> Value {
    json!({
        "alarmName": alarm.name,
        "alarmArn": alarm.arn(),
        "alarmDescription": alarm.description,
        "actionsEnabled": alarm.actions_enabled,
        "okActions": alarm.ok_actions,
        "alarmActions": alarm.alarm_actions,
        "insufficientDataActions": alarm.insufficient_data_actions,
        "metricName": alarm.metric.name,
        "namespace": alarm.metric.namespace,
        "dimensions": alarm.metric.dimensions_view(),
        "statistic": alarm.statistic,
        "period": alarm.period / 1000,
        "evaluationPeriods": alarm.evaluation_periods,
        "datapointsToAlarm": alarm.datapoints_to_alarm,
        "threshold": alarm.threshold,
        "comparisonOperator": alarm.comparison,
        "treatMissingData": alarm.missing,
    })
}

/// The alarm's state became another one.
pub(super) fn state(tx: &WriteTransaction, alarm: &Alarm, old: &Current, now: i64) -> Result<(), StoreError> {
    let told = |current: &Current| {
        let mut told = json!({ "stateValue": current.state, "stateReason": current.reason });
        let data = current.reason_data.as_ref().and_then(|data| serde_json::from_str::<Value>(data).ok());
        if let Some(data) = data {
            told["stateReasonData"] = data;
        }
        told
    };
    let mut data = json!({ "version": "1.0", "oldState": told(old), "newState": told(&alarm.current) });
    if data.to_string().len() > DATA_BYTES {
        for state in ["oldState", "newState"] {
            data[state].as_object_mut().map(|members| members.remove("stateReasonData"));
        }
    }
    let summary = format!("Alarm updated from {} to {}", old.state.name(), alarm.current.state.name());
    let item = Item { kind: Kind::StateUpdate, summary, data: data.to_string() };
    put(tx, (&alarm.region, &alarm.name), now, &item)
}

/// An action was carried out, or could not be.
pub(super) fn action(
    tx: &WriteTransaction,
    alarm: (&str, &str),
    target: &str,
    failure: Option<&str>,
    now: i64,
) -> Result<(), StoreError> {
    let (summary, state) = match failure {
        None => (format!("Successfully executed action {target}"), "Succeeded"),
        Some(why) => {
            let summary = format!("Failed to execute action {target}. Received error: \"{why}\"");
            (summary.chars().take(255).collect(), "Failed")
        }
    };
    let data = json!({
        "actionState": state, "stateUpdateTimestamp": now, "notificationResource": target, "error": failure,
    });
    put(tx, alarm, now, &Item { kind: Kind::Action, summary, data: data.to_string() })
}

/// Deletes what is older than [`RETENTION_MS`].
pub(super) fn sweep(tx: &WriteTransaction, now: i64) -> Result<u64, StoreError> {
    HISTORY.delete_range(tx, "", &time_key(now - RETENTION_MS))
}

/// `DescribeAlarmHistory`: the newest first, unless asked otherwise.
pub(super) fn describe(tx: &ReadTransaction, scope: &Scope, value: Value) -> Result<Value, Fault> {
    let wanted: DescribeAlarmHistory = input(value)?;
    let kind = match wanted.history_item_type.as_deref() {
        None => None,
        Some("ConfigurationUpdate") => Some(Kind::ConfigurationUpdate),
        Some("StateUpdate") => Some(Kind::StateUpdate),
        Some("Action") => Some(Kind::Action),
        Some(other) => {
            return Err(validation(format!(
                "The value {other} at 'historyItemType' is not one of the embedded cloud's"
            )));
        }
    };
    if let Some(name) = wanted.alarm_types.iter().find(|kind| !is_alarm_type(kind)) {
        return Err(validation(format!("The value {name} at 'alarmTypes' is no type of alarms")));
    }
    let newest_first = match wanted.scan_by.as_deref() {
        None | Some("TimestampDescending") => true,
        Some("TimestampAscending") => false,
        Some(other) => return Err(validation(format!("The value {other} at 'scanBy' is invalid"))),
    };
    let metric_alarms = wanted.alarm_types.is_empty() || wanted.alarm_types.iter().any(|kind| kind == "MetricAlarm");
    let mut from = wanted.start_date.map_or(String::new(), |start| time_key(start.0));
    let mut before = wanted.end_date.map_or(PAST_ALL_KEYS.to_owned(), |end| time_key(end.0.saturating_add(1)));
    let start = after(wanted.next_token.as_deref(), "")?;
    if let Some(start) = &start {
        parts(start).ok_or_else(invalid_token)?;
        if newest_first {
            before = before.min(start.clone());
        } else {
            // The next key after it.
            from = from.max(format!("{start}{SEPARATOR}"));
        }
    }
    let mut page = Page::new(page_size(wanted.max_records)?);
    loop {
        let chunk = if newest_first {
            HISTORY.scan_back(tx, &from, &before, READ_ITEMS)?
        } else {
            let mut chunk = HISTORY.scan(tx, "", Some(&from), READ_ITEMS)?;
            chunk.retain(|(key, _)| *key < before);
            chunk
        };
        let Some((last, _)) = chunk.last() else { break };
        if newest_first {
            before = last.clone();
        } else {
            from = last.clone();
        }
        let more = chunk.len() == READ_ITEMS;
        for (key, item) in chunk {
            let Some((time, region, alarm)) = parts(&key) else { continue };
            let fits = metric_alarms
                && region == scope.region
                && wanted.alarm_name.as_ref().is_none_or(|name| name == alarm)
                && kind.is_none_or(|kind| kind == item.kind);
            page.take(&key, fits.then(|| view(time, alarm, &item)));
            if page.last_of_many.is_some() {
                break;
            }
        }
        if !more || page.last_of_many.is_some() {
            break;
        }
    }
    let mut output = json!({ "AlarmHistoryItems": page.items });
    if let Some(last) = page.last_of_many {
        output["NextToken"] = token(&last, "").into();
    }
    Ok(output)
}

fn view(time: i64, alarm: &str, item: &Item) -> Value {
    json!({
        "AlarmName": alarm, "AlarmType": "MetricAlarm", "Timestamp": time, "HistoryItemType": item.kind,
        "HistorySummary": item.summary, "HistoryData": item.data,
    })
}
