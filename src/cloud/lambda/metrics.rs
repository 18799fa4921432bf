//! The metrics of functions, each by function and for all of them together.
//! <https://docs.aws.amazon.com/lambda/latest/dg/monitoring-metrics-types.html>

use std::time::Duration;

use super::model::Reference;
use crate::cloud::meter::{Datum, Meter};

type Measured = (&'static str, f64, &'static str);

/// Reports `metrics` (name, value, unit) of the function at `arn`.
fn record(meter: &Meter, arn: &str, metrics: &[Measured]) {
    record_each(meter, arn, metrics, metrics);
}

/// [`record`], with other values for all functions together.
fn record_each(meter: &Meter, arn: &str, of_function: &[Measured], of_all: &[Measured]) {
    let Ok(function) = Reference::of_arn(arn) else { return };
    // arn:aws:lambda:REGION:ACCOUNT:function:NAME
    let mut parts = function.arn.split(':');
    let (Some(region), Some(name)) = (parts.nth(3), parts.nth(2)) else { return };
    let timestamp = jiff::Timestamp::now().as_millisecond();
    let by_function = vec![("FunctionName".to_owned(), name.to_owned())];
    for (metrics, dimensions) in [(of_function, by_function), (of_all, Vec::new())] {
        for (metric, value, unit) in metrics {
            meter.record(Datum {
                region: region.to_owned(),
                namespace: "AWS/Lambda".to_owned(),
                name: (*metric).to_owned(),
                dimensions: dimensions.clone(),
                value: *value,
                unit,
                timestamp,
            });
        }
    }
}

/// An invocation has begun: so many of the function, and of all functions, run now.
pub(super) fn running(meter: &Meter, arn: &str, of_function: usize, of_all: usize) {
    let count = |number: usize| [("ConcurrentExecutions", number as f64, "Count")];
    record_each(meter, arn, &count(of_function), &count(of_all));
}

/// An invocation has ended. An error is counted as 0 where there was none, as AWS does, so that alarms see data.
pub(super) fn invoked(meter: &Meter, arn: &str, duration: Duration, failed: bool) {
    let errors = if failed { 1.0 } else { 0.0 };
    let milliseconds = duration.as_secs_f64() * 1000.0;
    let metrics = [
        ("Invocations", 1.0, "Count"),
        ("Errors", errors, "Count"),
        ("Throttles", 0.0, "Count"),
        ("Duration", milliseconds, "Milliseconds"),
    ];
    record(meter, arn, &metrics);
}

/// A call was turned away: everything that may run at once does.
pub(super) fn throttled(meter: &Meter, arn: &str) {
    record(meter, arn, &[("Throttles", 1.0, "Count")]);
}

/// An event was taken into the asynchronous queue.
pub(super) fn received(meter: &Meter, arn: &str) {
    record(meter, arn, &[("AsyncEventsReceived", 1.0, "Count")]);
}

/// A queued event has waited this long for an invocation, in milliseconds.
pub(super) fn waited(meter: &Meter, arn: &str, milliseconds: i64) {
    record(meter, arn, &[("AsyncEventAge", milliseconds.max(0) as f64, "Milliseconds")]);
}

/// A queued event is given up.
pub(super) fn dropped(meter: &Meter, arn: &str) {
    record(meter, arn, &[("AsyncEventsDropped", 1.0, "Count")]);
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_metric_is_told_of_the_function_and_of_all_functions() {
        let (meter, mut data) = Meter::channel();
        invoked(&meter, "arn:aws:lambda:eu-west-1:000000000000:function:f", Duration::from_millis(5), true);
        let told: Vec<Datum> = std::iter::from_fn(|| data.try_recv().ok()).collect();
        assert_eq!(told.len(), 8);
        assert_eq!((told[1].name.as_str(), told[1].value, told[1].unit), ("Errors", 1.0, "Count"));
        assert_eq!(told[1].dimensions, [("FunctionName".to_owned(), "f".to_owned())]);
        assert_eq!((told[5].name.as_str(), told[5].dimensions.len()), ("Errors", 0));
        assert_eq!(told[5].region, "eu-west-1");
        assert_eq!((told[3].name.as_str(), told[3].value), ("Duration", 5.0));
    }
}
