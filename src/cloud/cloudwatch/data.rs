//! Metrics and their data points: one summary a metric, minute and unit.
//! <https://docs.aws.amazon.com/AmazonCloudWatch/latest/monitoring/cloudwatch_concepts.html>
//!
//! A summary is a statistic set: single values are not kept, so percentiles and other statistics of the distribution
//! are refused where they are asked for.

use std::collections::{BTreeMap, BTreeSet};

use redb::WriteTransaction;
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};
use sha2::{Digest, Sha256};

use super::{
    fault::{Fault, invalid_value},
    values::Number,
};
use crate::cloud::{
    meter::{self, Datum},
    store::{Step, StoreError, Table, Transaction},
};

/// Metrics by region, namespace, name and dimensions.
pub(super) const METRICS: Table<Metric> = Table::new("cloudwatch.metrics");
/// Summaries by metric, minute and unit.
const POINTS: Table<Summary> = Table::new("cloudwatch.points");

/// Between the parts of a key; no name may hold a control character.
pub(super) const SEPARATOR: char = '\0';
/// How long data points are kept, in milliseconds: AWS's 15 days of one-minute data. What AWS keeps longer, of
/// coarser resolution, is not kept here.
pub(super) const RETENTION_MS: i64 = 15 * 24 * 60 * MINUTE_MS;
/// A minute, in milliseconds.
pub(super) const MINUTE_MS: i64 = 60_000;
/// How old a data point may be on arrival, in milliseconds.
const PAST_MS: i64 = 14 * 24 * 60 * MINUTE_MS;
/// How far in the future a data point may lie, in milliseconds.
const FUTURE_MS: i64 = 2 * 60 * MINUTE_MS;
/// Longest namespace or name, in letters.
const NAME_LETTERS: usize = 255;
/// Longest value of a dimension, in letters.
const DIMENSION_VALUE_LETTERS: usize = 1024;
/// Most dimensions of a metric.
const DIMENSIONS: usize = 30;
/// Largest absolute value: 2^360.
/// <https://docs.aws.amazon.com/AmazonCloudWatch/latest/APIReference/API_MetricDatum.html>
const LARGEST: f64 = 2.348_542_582_773_833_3e108;
/// Metrics looked at in one step of the sweep.
const SWEPT_METRICS: usize = 500;

/// What tells one metric from another.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub(super) struct MetricId {
    pub namespace: String,
    pub name: String,
    /// By name.
    pub dimensions: Vec<(String, String)>,
}

/// A metric that there is data of.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub(super) struct Metric {
    pub id: MetricId,
    /// Time of its newest data point, in milliseconds.
    pub last: i64,
}

/// A dimension as inputs carry it.
#[derive(Debug, Clone, Deserialize)]
#[serde(rename_all = "PascalCase", deny_unknown_fields)]
pub(super) struct Dimension {
    pub name: String,
    pub value: String,
}

impl MetricId {
    /// The metric of these names, which are checked.
    pub fn checked(namespace: String, name: String, dimensions: Vec<Dimension>) -> Result<MetricId, Fault> {
        let pairs = dimensions.into_iter().map(|dimension| (dimension.name, dimension.value)).collect();
        let id = MetricId::new(namespace, name, pairs);
        id.check()?;
        Ok(id)
    }

    pub fn new(namespace: String, name: String, mut dimensions: Vec<(String, String)>) -> MetricId {
        dimensions.sort();
        MetricId { namespace, name, dimensions }
    }

    fn check(&self) -> Result<(), Fault> {
        name("Namespace", &self.namespace, NAME_LETTERS)?;
        if self.namespace.starts_with(':') {
            return Err(invalid_value("The value for parameter Namespace is invalid: it begins with a colon."));
        }
        name("MetricName", &self.name, NAME_LETTERS)?;
        if self.dimensions.len() > DIMENSIONS {
            let many = self.dimensions.len();
            return Err(invalid_value(format!(
                "The parameter Dimensions has {many} members; the limit is {DIMENSIONS}."
            )));
        }
        for (key, value) in &self.dimensions {
            name("Dimensions.member.Name", key, NAME_LETTERS)?;
            name("Dimensions.member.Value", value, DIMENSION_VALUE_LETTERS)?;
        }
        if self.dimensions.windows(2).any(|pair| pair[0].0 == pair[1].0) {
            return Err(invalid_value("The parameter Dimensions names one dimension twice."));
        }
        Ok(())
    }

    /// Its key among the metrics of all regions.
    pub fn key(&self, region: &str) -> String {
        let mut key = [region, &self.namespace, &self.name].join("\0");
        for (name, value) in &self.dimensions {
            key.extend([SEPARATOR]);
            key += name;
            key.extend([SEPARATOR]);
            key += value;
        }
        key
    }

    /// A short key of even length.
    pub fn digest(&self, region: &str) -> String {
        hex::encode(&Sha256::digest(self.key(region))[..16])
    }

    /// `Metric` of the model.
    pub fn view(&self) -> Value {
        json!({ "Namespace": self.namespace, "MetricName": self.name, "Dimensions": self.dimensions_view() })
    }

    /// `Dimensions` of the model.
    pub fn dimensions_view(&self) -> Value {
        self.dimensions.iter().map(|(name, value)| json!({ "Name": name, "Value": value })).collect()
    }
}

fn name(parameter: &str, value: &str, letters: usize) -> Result<(), Fault> {
    if value.trim().is_empty() || value.chars().count() > letters || value.contains(char::is_control) {
        return Err(invalid_value(format!(
            "The value {value:?} for parameter {parameter} is invalid: it needs 1 to {letters} letters, and none of \
             them a control character."
        )));
    }
    Ok(())
}

/// Refuses a unit that CloudWatch does not have.
pub(super) fn check_unit(unit: Option<String>) -> Result<Option<String>, Fault> {
    match unit {
        Some(name) if meter::unit(&name).is_none() => {
            Err(invalid_value(format!("The value {name} for parameter Unit is invalid.")))
        }
        unit => Ok(unit),
    }
}

/// What is known of the values of a time: a statistic set.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
pub(super) struct Summary {
    #[serde(rename = "n")]
    pub count: f64,
    #[serde(rename = "s")]
    pub sum: f64,
    #[serde(rename = "l")]
    pub min: f64,
    #[serde(rename = "h")]
    pub max: f64,
}

impl Summary {
    /// `value`, seen `count` times.
    pub fn of(value: f64, count: f64) -> Summary {
        Summary { count, sum: value * count, min: value, max: value }
    }

    pub fn add(&mut self, other: Summary) {
        self.count += other.count;
        self.sum += other.sum;
        self.min = self.min.min(other.min);
        self.max = self.max.max(other.max);
    }
}

/// Whether CloudWatch takes `value`.
pub(super) fn is_in_range(value: f64) -> bool {
    value.is_finite() && value.abs() <= LARGEST
}

/// Whether a data point of that time is taken at `now`.
pub(super) fn is_timely(time: i64, now: i64) -> bool {
    time >= now - PAST_MS && time <= now + FUTURE_MS && time >= 0
}

/// A statistic that summaries can tell.
/// <https://docs.aws.amazon.com/AmazonCloudWatch/latest/monitoring/Statistics-definitions.html>
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub(super) enum Statistic {
    SampleCount,
    Average,
    Sum,
    Minimum,
    Maximum,
}

impl Statistic {
    pub const ALL: [Statistic; 5] =
        [Statistic::SampleCount, Statistic::Average, Statistic::Sum, Statistic::Minimum, Statistic::Maximum];

    /// Its name in the model.
    pub fn name(self) -> &'static str {
        match self {
            Statistic::SampleCount => "SampleCount",
            Statistic::Average => "Average",
            Statistic::Sum => "Sum",
            Statistic::Minimum => "Minimum",
            Statistic::Maximum => "Maximum",
        }
    }

    /// The statistic that `name` names; one of the distribution is refused.
    pub fn parse(name: &str) -> Result<Statistic, Fault> {
        Statistic::ALL.into_iter().find(|statistic| statistic.name() == name).ok_or_else(|| {
            invalid_value(format!(
                "The statistic {name} is not one that the embedded cloud can tell: it keeps SampleCount, Average, Sum, \
                 Minimum and Maximum of each minute, not the single values."
            ))
        })
    }

    pub fn of(self, summary: &Summary) -> f64 {
        match self {
            Statistic::SampleCount => summary.count,
            Statistic::Average => summary.sum / summary.count,
            Statistic::Sum => summary.sum,
            Statistic::Minimum => summary.min,
            Statistic::Maximum => summary.max,
        }
    }
}

/// A data point on its way in.
#[derive(Debug, Clone)]
pub(super) struct Point {
    pub metric: MetricId,
    /// Milliseconds since 1970.
    pub time: i64,
    pub unit: String,
    pub summary: Summary,
}

/// What a service has measured as a data point, if CloudWatch takes it.
pub(super) fn measured(datum: Datum, now: i64) -> Option<(String, Point)> {
    let Datum { region, namespace, name, dimensions, value, unit, timestamp } = datum;
    let metric = MetricId::new(namespace, name, dimensions);
    if metric.check().is_err() || !is_in_range(value) || !is_timely(timestamp, now) {
        tracing::debug!(?metric, value, timestamp, "a data point is refused");
        return None;
    }
    let summary = Summary::of(value, 1.0);
    Some((region, Point { metric, time: timestamp, unit: unit.to_owned(), summary }))
}

/// Writes data points; gives the digests of the metrics that they are of.
pub(super) fn record(
    tx: &WriteTransaction,
    region: &str,
    points: impl IntoIterator<Item = Point>,
) -> Result<BTreeSet<String>, StoreError> {
    let mut metrics: BTreeMap<MetricId, BTreeMap<(i64, String), Summary>> = BTreeMap::new();
    for Point { metric, time, unit, summary } in points {
        let minutes = metrics.entry(metric).or_default();
        minutes.entry((time.div_euclid(MINUTE_MS), unit)).and_modify(|known| known.add(summary)).or_insert(summary);
    }
    let mut touched = BTreeSet::new();
    for (id, minutes) in metrics {
        let (key, digest) = (id.key(region), id.digest(region));
        let newest = minutes.keys().next_back().map_or(0, |(minute, _)| minute * MINUTE_MS);
        for ((minute, unit), mut summary) in minutes {
            let key = format!("{}{SEPARATOR}{unit}", minute_key(&digest, minute));
            if let Some(known) = POINTS.get(tx, &key)? {
                summary.add(known);
            }
            POINTS.put(tx, &key, &summary)?;
        }
        if METRICS.get(tx, &key)?.is_none_or(|known| known.last < newest) {
            METRICS.put(tx, &key, &Metric { id, last: newest })?;
        }
        touched.insert(digest);
    }
    Ok(touched)
}

fn minute_key(digest: &str, minute: i64) -> String {
    format!("{digest}{SEPARATOR}{:012}", minute.max(0))
}

/// Visits the summaries of a metric from `from` on, before `before` (milliseconds): time, unit, summary.
pub(super) fn visit(
    tx: &impl Transaction,
    digest: &str,
    (from, before): (i64, i64),
    mut visit: impl FnMut(i64, &str, Summary),
) -> Result<(), StoreError> {
    let end = minute_key(digest, before.div_euclid(MINUTE_MS) + i64::from(before.rem_euclid(MINUTE_MS) > 0));
    POINTS.walk(tx, &minute_key(digest, from.div_euclid(MINUTE_MS)), |key, entry| {
        if key >= end.as_str() {
            return Ok(Step::Stop);
        }
        let mut parts = key.splitn(3, SEPARATOR).skip(1);
        if let (Some(minute), Some(unit)) = (parts.next().and_then(|minute| minute.parse::<i64>().ok()), parts.next()) {
            visit(minute * MINUTE_MS, unit, entry.value()?);
        }
        Ok(Step::Next)
    })
}

/// The summaries of a metric in periods that begin at `from`, keyed by where they begin. Without a `unit`, data of
/// every unit is taken together.
pub(super) fn periods(
    tx: &impl Transaction,
    digest: &str,
    span: (i64, i64),
    period: i64,
    unit: Option<&str>,
) -> Result<BTreeMap<i64, Summary>, StoreError> {
    let mut periods: BTreeMap<i64, Summary> = BTreeMap::new();
    visit(tx, digest, span, |time, of, summary| {
        if unit.is_none_or(|unit| unit == of) {
            let start = span.0 + (time - span.0).div_euclid(period) * period;
            periods.entry(start).and_modify(|known| known.add(summary)).or_insert(summary);
        }
    })?;
    Ok(periods)
}

/// Deletes what has outlived [`RETENTION_MS`]; tells how many summaries that were.
pub(super) fn sweep(tx: &WriteTransaction, now: i64) -> Result<u64, StoreError> {
    let cutoff = now - RETENTION_MS;
    let (mut removed, mut after) = (0, None::<String>);
    loop {
        let metrics = METRICS.scan(tx, "", after.as_deref(), SWEPT_METRICS)?;
        let Some((last, _)) = metrics.last() else { return Ok(removed) };
        after = Some(last.clone());
        for (key, Metric { id, last }) in &metrics {
            let region = key.split(SEPARATOR).next().unwrap_or_default();
            let digest = id.digest(region);
            let (from, before) = (minute_key(&digest, 0), minute_key(&digest, cutoff.div_euclid(MINUTE_MS)));
            removed += POINTS.delete_range(tx, &from, &before)?;
            if *last < cutoff {
                METRICS.delete(tx, key)?;
            }
        }
    }
}

/// A value of an input, within CloudWatch's range.
pub(super) fn checked_value(value: Number, parameter: &str) -> Result<f64, Fault> {
    if is_in_range(value.0) {
        return Ok(value.0);
    }
    Err(invalid_value(format!(
        "The value {} for parameter {parameter} is invalid: values lie from -2^360 to 2^360.",
        value.0
    )))
}
