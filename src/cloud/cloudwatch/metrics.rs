//! `PutMetricData` and `ListMetrics`.
//! <https://docs.aws.amazon.com/AmazonCloudWatch/latest/APIReference/API_PutMetricData.html>,
//! <https://docs.aws.amazon.com/AmazonCloudWatch/latest/APIReference/API_ListMetrics.html>

use redb::{ReadTransaction, WriteTransaction};
use serde::Deserialize;
use serde_json::{Value, json};

use super::{
    Done, Scope, Touched,
    data::{self, Dimension, METRICS, MINUTE_MS, MetricId, Point, SEPARATOR, Summary, check_unit, checked_value},
    fault::{Fault, invalid_combination, invalid_value, missing},
    page::{Page, after, token},
    values::{Number, Time, Whole, input, input_or_missing},
};
use crate::cloud::store::Step;

/// Most data of one call.
const CALL_DATA: usize = 1000;
/// Most values of one datum.
const DATUM_VALUES: usize = 150;
/// Metrics of a page.
const PAGE_METRICS: usize = 500;
/// Most filters on dimensions.
const FILTERS: usize = 10;
/// Metrics that report nothing for this long are not listed, in milliseconds.
const LISTED_MS: i64 = 14 * 24 * 60 * MINUTE_MS;
/// What `RecentlyActive` asks for, in milliseconds.
const RECENT_MS: i64 = 3 * 60 * MINUTE_MS;

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase", deny_unknown_fields)]
struct PutMetricData {
    namespace: String,
    #[serde(default)]
    metric_data: Vec<MetricDatum>,
}

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase", deny_unknown_fields)]
struct MetricDatum {
    metric_name: Option<String>,
    #[serde(default)]
    dimensions: Vec<Dimension>,
    timestamp: Option<Time>,
    value: Option<Number>,
    statistic_values: Option<StatisticSet>,
    values: Option<Vec<Number>>,
    counts: Option<Vec<Number>>,
    unit: Option<String>,
    storage_resolution: Option<Whole>,
}

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase", deny_unknown_fields)]
struct StatisticSet {
    sample_count: Number,
    sum: Number,
    minimum: Number,
    maximum: Number,
}

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase", deny_unknown_fields)]
struct ListMetrics {
    namespace: Option<String>,
    metric_name: Option<String>,
    #[serde(default)]
    dimensions: Vec<DimensionFilter>,
    next_token: Option<String>,
    recently_active: Option<String>,
}

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase", deny_unknown_fields)]
struct DimensionFilter {
    name: String,
    value: Option<String>,
}

/// `PutMetricData`: on disk, together, once it is answered.
pub(super) fn put(tx: &WriteTransaction, scope: &Scope, value: Value) -> Result<Done, Fault> {
    let PutMetricData { namespace, metric_data } = input_or_missing(value)?;
    if metric_data.is_empty() {
        return Err(missing("MetricData"));
    }
    if metric_data.len() > CALL_DATA {
        return Err(invalid_value(format!(
            "The parameter MetricData has {} members; the limit is {CALL_DATA}.",
            metric_data.len()
        )));
    }
    let mut points = Vec::with_capacity(metric_data.len());
    for (place, datum) in metric_data.into_iter().enumerate() {
        points.push(point(scope, &namespace, datum, &format!("MetricData.member.{}", place + 1))?);
    }
    let touched = data::record(tx, &scope.region, points)?;
    Ok(Done::without_output().touching(touched.into_iter().map(Touched::Metric)))
}

fn point(scope: &Scope, namespace: &str, datum: MetricDatum, at: &str) -> Result<Point, Fault> {
    let MetricDatum { metric_name, dimensions, timestamp, unit, storage_resolution, .. } = &datum;
    match storage_resolution {
        None | Some(Whole(60)) => {}
        Some(Whole(1)) => {
            return Err(invalid_value(format!(
                "The value 1 for parameter {at}.StorageResolution is not one that the embedded cloud has: it keeps one \
                 summary a minute. Leave it out."
            )));
        }
        Some(Whole(other)) => {
            return Err(invalid_value(format!("The value {other} for parameter {at}.StorageResolution is invalid.")));
        }
    }
    let name = metric_name.clone().ok_or_else(|| missing(&format!("{at}.MetricName")))?;
    let metric = MetricId::checked(namespace.to_owned(), name, dimensions.clone())?;
    let unit = check_unit(unit.clone())?.unwrap_or_else(|| "None".to_owned());
    let time = timestamp.map_or(scope.now, |time| time.0);
    if !data::is_timely(time, scope.now) {
        return Err(invalid_value(format!(
            "The parameter {at}.Timestamp must specify a time no later than 2 hours and no earlier than two weeks \
             from the current date and time."
        )));
    }
    Ok(Point { metric, time, unit, summary: summary(datum, at)? })
}

fn summary(datum: MetricDatum, at: &str) -> Result<Summary, Fault> {
    let MetricDatum { value, statistic_values, values, counts, .. } = datum;
    let both = |one: &str, other: &str| {
        Err(invalid_combination(format!(
            "The parameters {at}.{one} and {at}.{other} are mutually exclusive and you have specified both."
        )))
    };
    match (value, statistic_values, values) {
        (Some(_), Some(_), _) => both("Value", "StatisticValues"),
        (Some(_), _, Some(_)) => both("Value", "Values"),
        (_, Some(_), Some(_)) => both("StatisticValues", "Values"),
        (Some(value), None, None) => Ok(Summary::of(checked_value(value, &format!("{at}.Value"))?, 1.0)),
        (None, Some(set), None) => {
            let at = format!("{at}.StatisticValues");
            let summary = Summary {
                count: checked_value(set.sample_count, &format!("{at}.SampleCount"))?,
                sum: checked_value(set.sum, &format!("{at}.Sum"))?,
                min: checked_value(set.minimum, &format!("{at}.Minimum"))?,
                max: checked_value(set.maximum, &format!("{at}.Maximum"))?,
            };
            if summary.count <= 0.0 {
                return Err(invalid_value(format!("The parameter {at}.SampleCount must be greater than 0.")));
            }
            if summary.min > summary.max {
                return Err(invalid_value(format!("The parameter {at}.Maximum must be at least {at}.Minimum.")));
            }
            Ok(summary)
        }
        (None, None, Some(values)) => distribution(values, counts, at),
        (None, None, None) => Err(missing(&format!("{at}.Value"))),
    }
}

fn distribution(values: Vec<Number>, counts: Option<Vec<Number>>, at: &str) -> Result<Summary, Fault> {
    if values.len() > DATUM_VALUES {
        let many = values.len();
        return Err(invalid_value(format!(
            "The parameter {at}.Values has {many} members; the limit is {DATUM_VALUES}."
        )));
    }
    let counts = counts.unwrap_or_else(|| vec![Number(1.0); values.len()]);
    if counts.len() != values.len() {
        return Err(invalid_value(format!("The parameters {at}.Values and {at}.Counts must have the same length.")));
    }
    let mut summary: Option<Summary> = None;
    for (value, count) in values.into_iter().zip(counts) {
        let value = checked_value(value, &format!("{at}.Values"))?;
        let count = checked_value(count, &format!("{at}.Counts"))?;
        if count < 0.0 {
            return Err(invalid_value(format!("The parameter {at}.Counts must not hold a negative number.")));
        }
        if count > 0.0 {
            let seen = Summary::of(value, count);
            summary.get_or_insert(Summary { count: 0.0, sum: 0.0, ..seen }).add(seen);
        }
    }
    summary.ok_or_else(|| invalid_value(format!("The parameter {at}.Values must hold a value.")))
}

/// `ListMetrics`
pub(super) fn list(tx: &ReadTransaction, scope: &Scope, value: Value) -> Result<Value, Fault> {
    let wanted: ListMetrics = input(value)?;
    if wanted.dimensions.len() > FILTERS {
        return Err(invalid_value(format!("The parameter Dimensions has more than {FILTERS} members.")));
    }
    let recent = match wanted.recently_active.as_deref() {
        None => scope.now - LISTED_MS,
        Some("PT3H") => scope.now - RECENT_MS,
        Some(other) => {
            return Err(invalid_value(format!(
                "The value {other} for parameter RecentlyActive is invalid; PT3H is not."
            )));
        }
    };
    let mut prefix = format!("{}{SEPARATOR}", scope.region);
    if let Some(namespace) = &wanted.namespace {
        prefix += &format!("{namespace}{SEPARATOR}");
    }
    // ListMetrics declares InvalidParameterValue for a token that is none.
    let start = after(wanted.next_token.as_deref(), &prefix)
        .map_err(|_| invalid_value("The value for parameter NextToken is invalid."))?;
    let mut page = Page::new(PAGE_METRICS);
    METRICS.walk::<Fault>(tx, start.as_deref().unwrap_or(&prefix), |key, entry| {
        if !key.starts_with(&prefix) {
            return Ok(Step::Stop);
        }
        if start.as_deref() == Some(key) {
            return Ok(Step::Next);
        }
        let metric = entry.value()?;
        let fits = metric.last >= recent
            && wanted.metric_name.as_ref().is_none_or(|name| *name == metric.id.name)
            && wanted.dimensions.iter().all(|filter| filter.fits(&metric.id));
        Ok(page.take(key, fits.then(|| metric.id.view())))
    })?;
    let mut output = json!({ "Metrics": page.items, "OwningAccounts": [] });
    if let Some(last) = page.last_of_many {
        output["NextToken"] = token(&last, &prefix).into();
    }
    Ok(output)
}

impl DimensionFilter {
    fn fits(&self, metric: &MetricId) -> bool {
        metric
            .dimensions
            .iter()
            .any(|(name, value)| *name == self.name && self.value.as_ref().is_none_or(|wanted| wanted == value))
    }
}
