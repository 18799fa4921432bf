//! What tells that something piles up: alarms that notify the topic, and a dashboard to look at.

use std::collections::BTreeMap;

use serde_json::{Value, json};

use super::{Inputs, function::Deployed};
use crate::resource::{
    Handle, Input, Program,
    aws::{
        cloudwatch::{Alarm, Dashboard},
        sns::Topic,
        sqs::Queue,
    },
};

use crate::dataset::METRICS_NAMESPACE as NAMESPACE;

/// Seconds that the oldest object may wait before somebody is told.
const PENDING_AGE_MAX_SECONDS: f64 = 3_600.0;

/// The functions by their names.
pub(super) type Functions<'a> = [(&'static str, &'a Deployed); 3];

pub(super) fn declare(
    program: &mut Program,
    inputs: &Inputs,
    functions: &Functions<'_>,
    dead: &Handle<Queue>,
    alerts: &Handle<Topic>,
) {
    let ground = Alarm {
        namespace: String::new().into(),
        metric: String::new().into(),
        dimensions: BTreeMap::new(),
        statistic: "Maximum".into(),
        period_seconds: 60.into(),
        evaluation_periods: 1.into(),
        datapoints_to_alarm: 1.into(),
        threshold: 0.0.into(),
        comparison: "GreaterThanThreshold".into(),
        treat_missing_data: "notBreaching".into(),
        description: String::new().into(),
        alarm_actions: vec![alerts.arn()],
        ok_actions: Vec::new(),
    };
    let dead_letters = Alarm {
        namespace: "AWS/SQS".into(),
        metric: "ApproximateNumberOfMessagesVisible".into(),
        dimensions: dimensions([("QueueName", dead.name())]),
        description: "Events could not be delivered or handled; they wait in the queue of dead letters".into(),
        ..ground.clone()
    };
    program.declare("dead-letters", dead_letters);
    for (name, deployed) in functions {
        let errors = Alarm {
            namespace: "AWS/Lambda".into(),
            metric: "Errors".into(),
            dimensions: dimensions([("FunctionName", deployed.function.name())]),
            statistic: "Sum".into(),
            period_seconds: 300.into(),
            description: format!("The function {name} has failed; `lake logs {name}` says why").into(),
            ..ground.clone()
        };
        program.declare(&format!("errors-{name}"), errors);
    }
    let pending = Alarm {
        namespace: NAMESPACE.into(),
        metric: "OldestPendingSeconds".into(),
        dimensions: dimensions([("lake", inputs.lake.as_str().into()), ("stack", inputs.stack.as_str().into())]),
        period_seconds: 300.into(),
        threshold: PENDING_AGE_MAX_SECONDS.into(),
        description: "An object waits for more than an hour; `lake status` shows where".into(),
        ..ground
    };
    program.declare("pending-age", pending);
    program.declare("lake", Dashboard { body: dashboard(inputs, functions, dead) });
}

fn dimensions<const N: usize>(pairs: [(&str, Input<String>); N]) -> BTreeMap<String, Input<String>> {
    pairs.into_iter().map(|(name, value)| (name.to_owned(), value)).collect()
}

/// Three rows: what the lake does, what waits, how the functions are.
/// <https://docs.aws.amazon.com/AmazonCloudWatch/latest/APIReference/CloudWatch-Dashboard-Body-Structure.html>
fn dashboard(inputs: &Inputs, functions: &Functions<'_>, dead: &Handle<Queue>) -> Value {
    let (lake, stack) = (inputs.lake.as_str(), inputs.stack.as_str());
    let by_dataset = |metric: &str| -> Vec<Value> {
        let line = |name: &str| json!([NAMESPACE, metric, "lake", lake, "stack", stack, "dataset", name]);
        inputs.datasets.iter().map(|dataset| line(&dataset.name)).collect()
    };
    let of_lake = |metric: &str| json!([NAMESPACE, metric, "lake", lake, "stack", stack]);
    let by_function = |metric: &str| -> Vec<Value> {
        let line =
            |deployed: &Deployed| json!(["AWS/Lambda", metric, "FunctionName", deployed.function.name().to_value()]);
        functions.iter().map(|(_, deployed)| line(deployed)).collect()
    };
    let dead = json!(["AWS/SQS", "ApproximateNumberOfMessagesVisible", "QueueName", dead.name().to_value()]);
    let rows = [
        [("Rows written", "Sum", by_dataset("RowsWritten")), ("Rows rejected", "Sum", by_dataset("RowsRejected"))],
        [
            ("Oldest object that waits, seconds", "Maximum", vec![of_lake("OldestPendingSeconds")]),
            ("Dead letters", "Maximum", vec![dead]),
        ],
        [("Errors of functions", "Sum", by_function("Errors")), ("Duration, ms", "Average", by_function("Duration"))],
    ];
    let mut widgets = Vec::new();
    for (row, widgets_of_row) in rows.into_iter().enumerate() {
        for (column, (title, statistic, metrics)) in widgets_of_row.into_iter().enumerate() {
            // A widget without a metric is refused.
            if metrics.is_empty() {
                continue;
            }
            widgets.push(json!({
                "type": "metric", "x": column * 12, "y": row * 6, "width": 12, "height": 6,
                "properties": {
                    "title": title, "region": inputs.region, "stat": statistic, "period": 300, "metrics": metrics,
                },
            }));
        }
    }
    json!({ "widgets": widgets })
}
