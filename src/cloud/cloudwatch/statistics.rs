//! `GetMetricStatistics` and `GetMetricData`.
//! <https://docs.aws.amazon.com/AmazonCloudWatch/latest/APIReference/API_GetMetricStatistics.html>,
//! <https://docs.aws.amazon.com/AmazonCloudWatch/latest/APIReference/API_GetMetricData.html>
//!
//! Left out, and refused: statistics of the distribution (percentiles, trimmed means), metric math and Metrics
//! Insights expressions, periods below a minute, dynamic labels, other accounts.

use std::collections::BTreeMap;

use redb::ReadTransaction;
use serde::Deserialize;
use serde_json::{Map, Value, json};

use super::{
    Scope,
    data::{self, Dimension, MINUTE_MS, MetricId, Statistic, Summary, check_unit},
    fault::{Fault, invalid_combination, invalid_token, invalid_value, validation},
    values::{Flag, Time, Whole, input, input_or_missing},
};

/// Most data points of an answer of `GetMetricStatistics`.
const STATISTICS_POINTS: i64 = 1440;
/// Most queries of one call of `GetMetricData`.
const QUERIES: usize = 500;
/// Most data points of an answer of `GetMetricData`, and how many it has when nothing is asked.
const DATA_POINTS: i64 = 100_800;
/// Longest id of a query, in letters.
const ID_LETTERS: usize = 255;

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase", deny_unknown_fields)]
struct GetMetricStatistics {
    namespace: String,
    metric_name: String,
    #[serde(default)]
    dimensions: Vec<Dimension>,
    start_time: Time,
    end_time: Time,
    period: Whole,
    #[serde(default)]
    statistics: Vec<String>,
    #[serde(default)]
    extended_statistics: Vec<String>,
    unit: Option<String>,
}

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase", deny_unknown_fields)]
struct GetMetricData {
    metric_data_queries: Vec<Query>,
    start_time: Time,
    end_time: Time,
    next_token: Option<String>,
    scan_by: Option<String>,
    max_datapoints: Option<Whole>,
}

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase", deny_unknown_fields)]
struct Query {
    id: String,
    metric_stat: Option<MetricStat>,
    expression: Option<String>,
    label: Option<String>,
    return_data: Option<Flag>,
    period: Option<Whole>,
}

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase", deny_unknown_fields)]
struct MetricStat {
    metric: MetricInput,
    period: Whole,
    stat: String,
    unit: Option<String>,
}

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase", deny_unknown_fields)]
struct MetricInput {
    namespace: Option<String>,
    metric_name: Option<String>,
    #[serde(default)]
    dimensions: Vec<Dimension>,
}

/// `GetMetricStatistics`
pub(super) fn get_statistics(tx: &ReadTransaction, scope: &Scope, value: Value) -> Result<Value, Fault> {
    let wanted: GetMetricStatistics = input_or_missing(value)?;
    let metric = MetricId::checked(wanted.namespace, wanted.metric_name, wanted.dimensions)?;
    let period = period_ms(wanted.period)?;
    let (start, end) = (floor(wanted.start_time.0, MINUTE_MS), wanted.end_time.0);
    if wanted.start_time.0 >= end {
        return Err(invalid_value("The parameter StartTime must be less than the parameter EndTime."));
    }
    let asked = (end - start + period - 1) / period;
    if asked > STATISTICS_POINTS {
        return Err(invalid_combination(format!(
            "You have requested up to {asked} datapoints, which exceeds the limit of {STATISTICS_POINTS}. You may reduce \
             the datapoints requested by increasing Period, or decreasing the time range."
        )));
    }
    if let Some(extended) = wanted.extended_statistics.first() {
        Statistic::parse(extended)?;
        return Err(invalid_value(format!("The value {extended} belongs to the parameter Statistics.")));
    }
    if wanted.statistics.is_empty() {
        return Err(invalid_combination(
            "At least one of the parameters Statistics and ExtendedStatistics must be specified.",
        ));
    }
    let statistics = wanted.statistics.iter().map(|name| Statistic::parse(name)).collect::<Result<Vec<_>, _>>()?;
    let unit = check_unit(wanted.unit)?;
    // Data of different units is told apart.
    let mut points: BTreeMap<(i64, String), Summary> = BTreeMap::new();
    data::visit(tx, &metric.digest(&scope.region), (start, end), |time, of, summary| {
        if unit.as_deref().is_none_or(|unit| unit == of) {
            let begin = start + floor(time - start, period);
            points.entry((begin, of.to_owned())).and_modify(|known| known.add(summary)).or_insert(summary);
        }
    })?;
    let told = points.iter().map(|((time, unit), summary)| {
        let mut point = Map::from_iter([("Timestamp".to_owned(), json!(time)), ("Unit".to_owned(), json!(unit))]);
        point.extend(statistics.iter().map(|statistic| (statistic.name().to_owned(), json!(statistic.of(summary)))));
        Value::Object(point)
    });
    Ok(json!({ "Label": metric.name, "Datapoints": told.collect::<Vec<_>>() }))
}

/// `GetMetricData`
pub(super) fn get_data(tx: &ReadTransaction, scope: &Scope, value: Value) -> Result<Value, Fault> {
    let wanted: GetMetricData = input(value)?;
    if !(1..=QUERIES).contains(&wanted.metric_data_queries.len()) {
        return Err(validation(format!("The parameter MetricDataQueries needs from 1 to {QUERIES} members.")));
    }
    let (start, end) = (wanted.start_time.0, wanted.end_time.0);
    if start >= end {
        return Err(validation("The parameter StartTime must be less than the parameter EndTime."));
    }
    let newest_first = match wanted.scan_by.as_deref() {
        None | Some("TimestampDescending") => true,
        Some("TimestampAscending") => false,
        Some(other) => return Err(validation(format!("The value {other} for parameter ScanBy is invalid."))),
    };
    let most = wanted.max_datapoints.map_or(DATA_POINTS, |most| most.0);
    if !(1..=DATA_POINTS).contains(&most) {
        return Err(validation(format!("The parameter MaxDatapoints must be from 1 to {DATA_POINTS}.")));
    }
    let given = match wanted.next_token.as_deref().filter(|token| !token.is_empty()) {
        None => 0,
        Some(token) => token.parse::<usize>().map_err(|_| invalid_token())?,
    };
    let mut results = Vec::new();
    let mut ids = Vec::new();
    for query in wanted.metric_data_queries {
        check_id(&query.id, &mut ids)?;
        let returned = query.return_data.is_none_or(|flag| flag.0);
        let mut series = series(tx, scope, query, (start, end))?;
        if newest_first {
            series.points.reverse();
        }
        if returned {
            results.push(series);
        }
    }
    Ok(cut(results, given, usize::try_from(most).unwrap_or(usize::MAX)))
}

/// The data of one query.
struct Series {
    id: String,
    label: String,
    points: Vec<(i64, f64)>,
}

fn series(tx: &ReadTransaction, scope: &Scope, query: Query, (start, end): (i64, i64)) -> Result<Series, Fault> {
    let Query { id, metric_stat, expression, label, period, .. } = query;
    let stat = match (metric_stat, expression) {
        (Some(stat), None) => stat,
        (None, Some(_)) => {
            return Err(validation(format!(
                "The query {id} has an expression; the embedded cloud's CloudWatch has no metric math. Ask for the \
                 metrics themselves."
            )));
        }
        _ => return Err(validation(format!("The query {id} needs either MetricStat or Expression."))),
    };
    if period.is_some() {
        return Err(validation(format!("The query {id} has a Period besides that of its MetricStat.")));
    }
    if label.as_ref().is_some_and(|label| label.contains("${")) {
        return Err(validation("The embedded cloud's CloudWatch has no dynamic labels."));
    }
    let required = |member: Option<String>, name: &str| {
        member.ok_or_else(|| validation(format!("The query {id} names no {name} in its MetricStat.")))
    };
    let MetricInput { namespace, metric_name, dimensions } = stat.metric;
    let metric =
        MetricId::checked(required(namespace, "Namespace")?, required(metric_name, "MetricName")?, dimensions)?;
    let (period, statistic) = (period_ms(stat.period)?, Statistic::parse(&stat.stat)?);
    let unit = check_unit(stat.unit)?;
    let span = (floor(start, period), end);
    let periods = data::periods(tx, &metric.digest(&scope.region), span, period, unit.as_deref())?;
    let points = periods.iter().map(|(time, summary)| (*time, statistic.of(summary))).collect();
    Ok(Series { id, label: label.unwrap_or(metric.name), points })
}

/// The page that begins after `given` points of all the queries' together and holds `most`.
fn cut(results: Vec<Series>, given: usize, most: usize) -> Value {
    let total: usize = results.iter().map(|series| series.points.len()).sum();
    let last = given.saturating_add(most).min(total);
    let mut passed = 0;
    let mut told = Vec::new();
    for Series { id, label, points } in results {
        let (from, before) = (given.saturating_sub(passed), last.saturating_sub(passed));
        passed += points.len();
        let complete = before >= points.len();
        let page = points.get(from.min(points.len())..before.min(points.len())).unwrap_or_default();
        let times: Vec<i64> = page.iter().map(|(time, _)| *time).collect();
        let values: Vec<f64> = page.iter().map(|(_, value)| *value).collect();
        told.push(json!({
            "Id": id, "Label": label, "Timestamps": times, "Values": values,
            "StatusCode": if complete { "Complete" } else { "PartialData" },
        }));
    }
    let mut output = json!({ "MetricDataResults": told, "Messages": [] });
    if last < total {
        output["NextToken"] = last.to_string().into();
    }
    output
}

fn check_id(id: &str, known: &mut Vec<String>) -> Result<(), Fault> {
    let mut letters = id.chars();
    let begins = letters.next().is_some_and(|first| first.is_ascii_lowercase());
    if !begins || !letters.all(|letter| letter.is_ascii_alphanumeric() || letter == '_') || id.len() > ID_LETTERS {
        return Err(validation(format!(
            "The value {id:?} for parameter MetricDataQueries.member.Id is invalid: it needs letters, numbers and \
             underscores, and a lower case letter before them."
        )));
    }
    if known.iter().any(|other| other == id) {
        return Err(validation(format!("The id {id} stands for two queries.")));
    }
    known.push(id.to_owned());
    Ok(())
}

/// A period in milliseconds. Those below a minute are for metrics of high resolution, which are not kept.
pub(super) fn period_ms(period: Whole) -> Result<i64, Fault> {
    if period.0 >= 60 && period.0 % 60 == 0 && period.0 <= data::RETENTION_MS / 1000 {
        return Ok(period.0 * 1000);
    }
    Err(invalid_value(format!(
        "The value {} for parameter Period is invalid: it must be a multiple of 60 (the embedded cloud keeps one summary \
         a minute, for 15 days).",
        period.0
    )))
}

pub(super) fn floor(time: i64, step: i64) -> i64 {
    time.div_euclid(step) * step
}
