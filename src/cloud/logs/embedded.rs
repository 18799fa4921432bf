//! The embedded metric format: log events that carry metrics.
//! <https://docs.aws.amazon.com/AmazonCloudWatch/latest/monitoring/CloudWatch_Embedded_Metric_Format_Specification.html>
//!
//! What breaks the format is counted in metrics of its own, since nobody hears of it otherwise.
//! <https://docs.aws.amazon.com/AmazonCloudWatchLogs/latest/UserGuide/CloudWatch-Logs-Monitoring-CloudWatch-Metrics.html>

use serde::Deserialize;
use serde_json::{Map, Value};

use super::model::now_ms;
use crate::cloud::meter::{self, Datum};

/// Most metrics of one directive.
const DIRECTIVE_METRICS: usize = 100;
/// Most dimensions of one set.
const SET_DIMENSIONS: usize = 30;
/// Most values of one metric.
const METRIC_VALUES: usize = 100;
/// Longest name, in letters.
const NAME_LETTERS: usize = 255;
/// Longest value of a dimension, in letters.
const DIMENSION_LETTERS: usize = 1024;
/// The member that a document of the format has.
const MARK: &str = "\"CloudWatchMetrics\"";

#[derive(Deserialize)]
struct Document {
    #[serde(rename = "_aws")]
    metadata: Metadata,
    #[serde(flatten)]
    root: Map<String, Value>,
}

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
struct Metadata {
    timestamp: i64,
    cloud_watch_metrics: Vec<Value>,
}

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
struct Directive {
    namespace: String,
    dimensions: Vec<Vec<String>>,
    metrics: Vec<Definition>,
}

/// A metric's storage resolution is not looked at: data is kept by the minute.
#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
struct Definition {
    name: String,
    unit: Option<String>,
}

/// The data points in messages of one log group.
pub(super) fn metrics<'a>(region: &str, group: &str, messages: impl IntoIterator<Item = &'a str>) -> Vec<Datum> {
    let mut data = Vec::new();
    for message in messages.into_iter().filter(|message| message.contains(MARK)) {
        let (mut broken, mut wrong) = (0, 0);
        // Lambda may write something of its own before the document.
        let document =
            message.find('{').and_then(|start| serde_json::from_str::<Value>(message[start..].trim_end()).ok());
        match document {
            None => broken = 1,
            Some(document) if document.get("_aws").is_none() => {}
            Some(document) => match serde_json::from_value::<Document>(document) {
                Ok(document) => wrong = extract(region, &document, &mut data),
                Err(_) => wrong = 1,
            },
        }
        for (name, count) in [("EMFParsingErrors", broken), ("EMFValidationErrors", wrong)] {
            if count > 0 {
                data.push(error_datum(region, group, name, count));
            }
        }
    }
    data
}

fn error_datum(region: &str, group: &str, name: &str, count: u32) -> Datum {
    Datum {
        region: region.to_owned(),
        namespace: "AWS/Logs".to_owned(),
        name: name.to_owned(),
        dimensions: vec![("LogGroupName".to_owned(), group.to_owned())],
        value: f64::from(count),
        unit: "Count",
        timestamp: now_ms(),
    }
}

/// Adds the document's data points to `data`; tells how much of it breaks the format. What does is left out, alone.
fn extract(region: &str, document: &Document, data: &mut Vec<Datum>) -> u32 {
    let mut wrong = 0;
    for directive in &document.metadata.cloud_watch_metrics {
        let directive = Directive::deserialize(directive).ok().filter(is_right);
        let Some(directive) = directive else {
            wrong += 1;
            continue;
        };
        let sets: Option<Vec<_>> = directive.dimensions.iter().map(|set| dimensions(&document.root, set)).collect();
        let Some(sets) = sets else {
            wrong += 1;
            continue;
        };
        for definition in &directive.metrics {
            let Some((unit, values)) = measured(&document.root, definition) else {
                wrong += 1;
                continue;
            };
            for dimensions in &sets {
                data.extend(values.iter().map(|value| Datum {
                    region: region.to_owned(),
                    namespace: directive.namespace.clone(),
                    name: definition.name.clone(),
                    dimensions: dimensions.clone(),
                    value: *value,
                    unit,
                    timestamp: document.metadata.timestamp,
                }));
            }
        }
    }
    wrong
}

fn is_name(name: &str) -> bool {
    (1..=NAME_LETTERS).contains(&name.chars().count())
}

fn is_right(directive: &Directive) -> bool {
    is_name(&directive.namespace)
        && !directive.dimensions.is_empty()
        && directive.dimensions.iter().all(|set| set.len() <= SET_DIMENSIONS)
        && directive.metrics.len() <= DIRECTIVE_METRICS
}

/// The dimensions of a set with the values that the root has for them.
fn dimensions(root: &Map<String, Value>, set: &[String]) -> Option<Vec<(String, String)>> {
    let value = |name: &String| {
        let value = root.get(name)?.as_str()?;
        let fits = is_name(name) && (1..=DIMENSION_LETTERS).contains(&value.chars().count());
        fits.then(|| (name.clone(), value.to_owned()))
    };
    set.iter().map(value).collect()
}

/// A metric's unit and values.
fn measured(root: &Map<String, Value>, definition: &Definition) -> Option<(&'static str, Vec<f64>)> {
    let unit = meter::unit(definition.unit.as_deref().unwrap_or("None"))?;
    let values = match root.get(&definition.name)? {
        Value::Array(values) if values.len() <= METRIC_VALUES => values.iter().map(Value::as_f64).collect(),
        value => value.as_f64().map(|value| vec![value]),
    };
    values.filter(|_| is_name(&definition.name)).map(|values| (unit, values))
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn of(message: &str) -> Vec<Datum> {
        metrics("eu-west-1", "/g", [message])
    }

    fn document(directive: Value) -> Value {
        json!({
            "_aws": { "Timestamp": 1_574_109_732_004_i64, "CloudWatchMetrics": [directive] },
            "lake": "shop", "stack": "prod", "rows": 100, "times": [1.5, 2], "note": { "deep": 1 },
        })
    }

    fn directive(dimensions: Value, metrics: Value) -> Value {
        json!({ "Namespace": "lake", "Dimensions": dimensions, "Metrics": metrics })
    }

    fn names(data: &[Datum]) -> Vec<&str> {
        data.iter().map(|datum| datum.name.as_str()).collect()
    }

    #[test]
    fn each_set_of_dimensions_is_a_metric_of_its_own() {
        let metrics = json!([{ "Name": "rows", "Unit": "Count" }, { "Name": "times" }]);
        let document = document(directive(json!([["lake", "stack"], []]), metrics)).to_string();
        let data = of(&document);
        let told = |datum: &Datum| (datum.name.clone(), datum.dimensions.len(), datum.value, datum.unit);
        let (rows, times) = ("rows".to_owned(), "times".to_owned());
        assert_eq!(
            data.iter().map(told).collect::<Vec<_>>(),
            [
                (rows.clone(), 2, 100.0, "Count"),
                (rows, 0, 100.0, "Count"),
                (times.clone(), 2, 1.5, "None"),
                (times.clone(), 2, 2.0, "None"),
                (times.clone(), 0, 1.5, "None"),
                (times, 0, 2.0, "None"),
            ]
        );
        assert_eq!(data[0].dimensions, [("lake".into(), "shop".into()), ("stack".into(), "prod".into())]);
        assert!(data.iter().all(|datum| datum.timestamp == 1_574_109_732_004 && datum.namespace == "lake"));
        // After what Lambda puts before a line.
        assert_eq!(of(&format!("2026-01-31T00:00:00Z\tid\tINFO\t{document}\n")), data);
    }

    #[test]
    fn what_breaks_the_format_is_left_out_and_counted() {
        let metrics = json!([
            { "Name": "rows", "Unit": "Count" }, { "Name": "rows", "Unit": "Heaps" }, { "Name": "note" }, { "Name": "none" },
        ]);
        let data = of(&document(directive(json!([["lake"]]), metrics)).to_string());
        assert_eq!(names(&data), ["rows", "EMFValidationErrors"]);
        assert_eq!((data[1].value, data[1].namespace.as_str()), (3.0, "AWS/Logs"));
        assert_eq!(data[1].dimensions, [("LogGroupName".to_owned(), "/g".to_owned())]);

        let rows = || json!([{ "Name": "rows" }]);
        for wrong in [
            directive(json!([["rows"]]), rows()),
            directive(json!([["nothing"]]), rows()),
            directive(json!([]), rows()),
            directive(json!([["lake"]]), vec![json!({ "Name": "rows" }); 101].into()),
            json!({ "Dimensions": [["lake"]], "Metrics": rows() }),
            json!(7),
        ] {
            assert_eq!(names(&of(&document(wrong.clone()).to_string())), ["EMFValidationErrors"], "{wrong}");
        }
        assert_eq!(names(&of(r#"{"_aws": {"CloudWatchMetrics": []}}"#)), ["EMFValidationErrors"]);
        assert_eq!(names(&of(r#"{"_aws": {"CloudWatchMetrics": "#)), ["EMFParsingErrors"]);
    }

    #[test]
    fn lines_of_another_kind_are_just_lines() {
        for line in ["", "text", "{}", r#"{"about": "CloudWatchMetrics"}"#, r#"{"CloudWatchMetrics": 1}"#] {
            assert_eq!(of(line), [], "{line}");
        }
    }
}
