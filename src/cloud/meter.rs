//! How services tell CloudWatch their metrics: into a queue, never waiting for it.

use tokio::sync::mpsc;

/// Data points waiting to be taken in; what comes on top is dropped, as a metric is worth no delay.
const QUEUED_DATA: usize = 65_536;

/// CloudWatch's units.
/// <https://docs.aws.amazon.com/AmazonCloudWatch/latest/APIReference/API_MetricDatum.html>
pub const UNITS: [&str; 27] = [
    "Seconds",
    "Microseconds",
    "Milliseconds",
    "Bytes",
    "Kilobytes",
    "Megabytes",
    "Gigabytes",
    "Terabytes",
    "Bits",
    "Kilobits",
    "Megabits",
    "Gigabits",
    "Terabits",
    "Percent",
    "Count",
    "Bytes/Second",
    "Kilobytes/Second",
    "Megabytes/Second",
    "Gigabytes/Second",
    "Terabytes/Second",
    "Bits/Second",
    "Kilobits/Second",
    "Megabits/Second",
    "Gigabits/Second",
    "Terabits/Second",
    "Count/Second",
    "None",
];

/// The unit of that name, if there is one.
pub fn unit(name: &str) -> Option<&'static str> {
    UNITS.into_iter().find(|unit| *unit == name)
}

/// One data point of a metric.
#[derive(Debug, Clone, PartialEq)]
pub struct Datum {
    /// Region it is kept in.
    pub region: String,
    /// `AWS/Lambda`.
    pub namespace: String,
    /// `Errors`.
    pub name: String,
    /// Pairs of name and value, in any order.
    pub dimensions: Vec<(String, String)>,
    /// The value.
    pub value: f64,
    /// CloudWatch's name of the unit (`Count`, `Milliseconds`), or `None`.
    pub unit: &'static str,
    /// Milliseconds since 1970.
    pub timestamp: i64,
}

/// Where services put their metrics. Clones put into the same queue.
#[derive(Debug, Clone)]
pub struct Meter(mpsc::Sender<Datum>);

impl Meter {
    /// A meter, and what comes out of it.
    pub fn channel() -> (Meter, mpsc::Receiver<Datum>) {
        let (queue, data) = mpsc::channel(QUEUED_DATA);
        (Meter(queue), data)
    }

    /// Hands a data point over.
    pub fn record(&self, datum: Datum) {
        if let Err(error) = self.0.try_send(datum) {
            tracing::debug!(%error, "a data point is dropped");
        }
    }
}
