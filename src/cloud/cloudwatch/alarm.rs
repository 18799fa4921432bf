//! What is kept of an alarm, and how its data is looked at.

use redb::WriteTransaction;
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value, json};

use super::{
    data::{self, MetricId, SEPARATOR, Statistic, Summary},
    evaluation::{Comparison, Datapoint, EXTRA_PERIODS, Rule, State, Treatment},
    fault::{Fault, no_such_alarm},
    statistics::floor,
    tags,
    values::offset_time,
};
use crate::cloud::{
    service::ACCOUNT_ID,
    store::{StoreError, Table, Transaction},
};

/// Alarms by region and name.
pub(super) const ALARMS: Table<Alarm> = Table::new("cloudwatch.alarms");
/// Alarms' keys by the metric that they watch.
pub(super) const WATCHERS: Table<()> = Table::new("cloudwatch.watchers");

/// An alarm on a metric.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub(super) struct Alarm {
    pub name: String,
    pub region: String,
    pub description: Option<String>,
    pub actions_enabled: bool,
    pub ok_actions: Vec<String>,
    pub alarm_actions: Vec<String>,
    pub insufficient_data_actions: Vec<String>,
    pub metric: MetricId,
    pub statistic: Statistic,
    /// Milliseconds, as all times here.
    pub period: i64,
    pub unit: Option<String>,
    pub evaluation_periods: u32,
    pub datapoints_to_alarm: Option<u32>,
    pub threshold: f64,
    pub comparison: Comparison,
    /// Without it, `missing`.
    pub missing: Option<Treatment>,
    pub configured: i64,
    pub current: Current,
}

/// The state that an alarm is in.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub(super) struct Current {
    pub state: State,
    pub reason: String,
    /// JSON
    pub reason_data: Option<String>,
    /// When reason or state was last set.
    pub updated: i64,
    /// When the state last became another one.
    pub transitioned: i64,
}

/// The key of an alarm.
pub(super) fn key(region: &str, name: &str) -> String {
    format!("{region}{SEPARATOR}{name}")
}

/// The ARN of an alarm.
pub(super) fn arn(region: &str, name: &str) -> String {
    format!("arn:aws:cloudwatch:{region}:{ACCOUNT_ID}:alarm:{name}")
}

/// The alarm, or AWS's refusal.
pub(super) fn existing(tx: &impl Transaction, region: &str, name: &str) -> Result<Alarm, Fault> {
    ALARMS.get(tx, &key(region, name))?.ok_or_else(|| no_such_alarm(format!("Unknown alarm {name}")))
}

impl Alarm {
    pub fn key(&self) -> String {
        key(&self.region, &self.name)
    }

    pub fn arn(&self) -> String {
        arn(&self.region, &self.name)
    }

    fn watcher_key(&self) -> String {
        format!("{}{SEPARATOR}{}", self.metric.digest(&self.region), self.key())
    }

    pub fn put(&self, tx: &WriteTransaction) -> Result<(), StoreError> {
        if let Some(old) = ALARMS.get(tx, &self.key())?
            && old.metric != self.metric
        {
            WATCHERS.delete(tx, &old.watcher_key())?;
        }
        WATCHERS.put(tx, &self.watcher_key(), &())?;
        ALARMS.put(tx, &self.key(), self)
    }

    pub fn delete(&self, tx: &WriteTransaction) -> Result<(), StoreError> {
        WATCHERS.delete(tx, &self.watcher_key())?;
        ALARMS.delete(tx, &self.key())?;
        tags::forget(tx, &self.arn())
    }

    pub fn rule(&self) -> Rule {
        Rule {
            comparison: self.comparison,
            threshold: self.threshold,
            evaluation_periods: self.evaluation_periods,
            datapoints_to_alarm: self.datapoints_to_alarm,
            missing: self.missing.unwrap_or(Treatment::Missing),
        }
    }

    /// The actions for a state.
    pub fn actions(&self, state: State) -> &[String] {
        match state {
            State::Ok => &self.ok_actions,
            State::Alarm => &self.alarm_actions,
            State::InsufficientData => &self.insufficient_data_actions,
        }
    }

    /// The periods that decide at `now`, the oldest first. The period under way counts only where it breaches for
    /// good: everything that can still come leaves it breaching. So an alarm need not wait for the period's end, and
    /// half a period is not taken for a whole one.
    pub fn window(&self, tx: &impl Transaction, now: i64) -> Result<Vec<Option<Datapoint>>, StoreError> {
        let under_way = floor(now, self.period);
        let periods = i64::from(self.evaluation_periods + EXTRA_PERIODS);
        let span = (under_way - periods * self.period, under_way + self.period);
        let summaries = data::periods(tx, &self.metric.digest(&self.region), span, self.period, self.unit.as_deref())?;
        let counts = summaries.get(&under_way).is_some_and(|summary| self.breaches_for_good(summary));
        let first = if counts { span.0 + self.period } else { span.0 };
        let datum = |place: i64| {
            let time = first + place * self.period;
            let summary = summaries.get(&time)?;
            Some(Datapoint { time, value: self.statistic.of(summary), samples: summary.count })
        };
        Ok((0..periods).map(datum).collect())
    }

    fn breaches_for_good(&self, summary: &Summary) -> bool {
        let upward = self.comparison.is_upward();
        let final_way = match self.statistic {
            Statistic::Maximum | Statistic::SampleCount => upward,
            Statistic::Minimum => !upward,
            Statistic::Sum if upward => summary.min >= 0.0,
            Statistic::Sum => summary.max <= 0.0,
            Statistic::Average => false,
        };
        final_way && self.comparison.breaches(self.statistic.of(summary), self.threshold)
    }

    /// `MetricAlarm` of the model.
    pub fn view(&self) -> Value {
        let mut view = json!({
            "AlarmName": self.name,
            "AlarmArn": self.arn(),
            "AlarmConfigurationUpdatedTimestamp": self.configured,
            "ActionsEnabled": self.actions_enabled,
            "OKActions": self.ok_actions,
            "AlarmActions": self.alarm_actions,
            "InsufficientDataActions": self.insufficient_data_actions,
            "StateValue": self.current.state,
            "StateReason": self.current.reason,
            "StateUpdatedTimestamp": self.current.updated,
            "StateTransitionedTimestamp": self.current.transitioned,
            "MetricName": self.metric.name,
            "Namespace": self.metric.namespace,
            "Statistic": self.statistic,
            "Dimensions": self.metric.dimensions_view(),
            "Period": self.period / 1000,
            "EvaluationPeriods": self.evaluation_periods,
            "Threshold": self.threshold,
            "ComparisonOperator": self.comparison,
        });
        let optional = [
            ("AlarmDescription", self.description.clone().map(Value::from)),
            ("StateReasonData", self.current.reason_data.clone().map(Value::from)),
            ("Unit", self.unit.clone().map(Value::from)),
            ("DatapointsToAlarm", self.datapoints_to_alarm.map(Value::from)),
            ("TreatMissingData", self.missing.map(|missing| missing.name().into())),
        ];
        for (name, value) in optional {
            if let Some(value) = value {
                view[name] = value;
            }
        }
        view
    }

    /// `StateReasonData`: what the decision was made on.
    pub fn reason_data(&self, counted: &[Datapoint], now: i64) -> String {
        let newest_first = counted.iter().rev();
        let evaluated: Vec<_> = newest_first
            .map(|point| {
                json!({ "timestamp": offset_time(point.time), "sampleCount": point.samples, "value": point.value })
            })
            .collect();
        let recent: Vec<f64> = counted.iter().map(|point| point.value).collect();
        let mut data = Map::new();
        data.insert("version".into(), "1.0".into());
        data.insert("queryDate".into(), offset_time(now).into());
        if let Some(first) = counted.first() {
            data.insert("startDate".into(), offset_time(first.time).into());
        }
        if let Some(unit) = &self.unit {
            data.insert("unit".into(), unit.clone().into());
        }
        data.insert("statistic".into(), self.statistic.name().into());
        data.insert("period".into(), (self.period / 1000).into());
        data.insert("recentDatapoints".into(), recent.into());
        data.insert("threshold".into(), self.threshold.into());
        data.insert("evaluatedDatapoints".into(), evaluated.into());
        Value::Object(data).to_string()
    }
}
