//! What an alarm makes of its data: a function of the window alone.
//! <https://docs.aws.amazon.com/AmazonCloudWatch/latest/monitoring/alarm-evaluation.html>,
//! <https://docs.aws.amazon.com/AmazonCloudWatch/latest/monitoring/alarms-and-missing-data.html>

use serde::{Deserialize, Serialize};

use super::values::reason_time;

/// How many periods beyond `EvaluationPeriods` are looked at, so that data which comes late or seldom counts. AWS's
/// own number depends on the period; its examples have three periods and look at five.
pub(super) const EXTRA_PERIODS: u32 = 2;
/// Most data points that a reason tells.
const TOLD_POINTS: usize = 5;

/// The state of an alarm.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub(super) enum State {
    #[serde(rename = "OK")]
    Ok,
    #[serde(rename = "ALARM")]
    Alarm,
    #[serde(rename = "INSUFFICIENT_DATA")]
    InsufficientData,
}

impl State {
    pub const ALL: [State; 3] = [State::Ok, State::Alarm, State::InsufficientData];

    pub fn name(self) -> &'static str {
        match self {
            State::Ok => "OK",
            State::Alarm => "ALARM",
            State::InsufficientData => "INSUFFICIENT_DATA",
        }
    }
}

/// How a value is compared with the threshold.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub(super) enum Comparison {
    #[serde(rename = "GreaterThanOrEqualToThreshold")]
    AtLeast,
    #[serde(rename = "GreaterThanThreshold")]
    Above,
    #[serde(rename = "LessThanThreshold")]
    Below,
    #[serde(rename = "LessThanOrEqualToThreshold")]
    AtMost,
}

impl Comparison {
    pub const ALL: [Comparison; 4] = [Comparison::AtLeast, Comparison::Above, Comparison::Below, Comparison::AtMost];

    pub fn name(self) -> &'static str {
        match self {
            Comparison::AtLeast => "GreaterThanOrEqualToThreshold",
            Comparison::Above => "GreaterThanThreshold",
            Comparison::Below => "LessThanThreshold",
            Comparison::AtMost => "LessThanOrEqualToThreshold",
        }
    }

    pub fn breaches(self, value: f64, threshold: f64) -> bool {
        match self {
            Comparison::AtLeast => value >= threshold,
            Comparison::Above => value > threshold,
            Comparison::Below => value < threshold,
            Comparison::AtMost => value <= threshold,
        }
    }

    /// Whether larger values breach.
    pub fn is_upward(self) -> bool {
        matches!(self, Comparison::AtLeast | Comparison::Above)
    }

    fn words(self) -> &'static str {
        match self {
            Comparison::AtLeast => "greater than or equal to",
            Comparison::Above => "greater than",
            Comparison::Below => "less than",
            Comparison::AtMost => "less than or equal to",
        }
    }
}

/// What periods without data count as.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub(super) enum Treatment {
    Missing,
    Ignore,
    Breaching,
    NotBreaching,
}

impl Treatment {
    pub const ALL: [Treatment; 4] =
        [Treatment::Missing, Treatment::Ignore, Treatment::Breaching, Treatment::NotBreaching];

    pub fn name(self) -> &'static str {
        match self {
            Treatment::Missing => "missing",
            Treatment::Ignore => "ignore",
            Treatment::Breaching => "breaching",
            Treatment::NotBreaching => "notBreaching",
        }
    }
}

/// What an alarm watches for.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(super) struct Rule {
    pub comparison: Comparison,
    pub threshold: f64,
    /// N
    pub evaluation_periods: u32,
    /// M, where it was given.
    pub datapoints_to_alarm: Option<u32>,
    pub missing: Treatment,
}

impl Rule {
    fn n(&self) -> usize {
        self.evaluation_periods as usize
    }

    /// M
    fn m(&self) -> usize {
        self.datapoints_to_alarm.unwrap_or(self.evaluation_periods) as usize
    }

    fn breaches(&self, datum: &Datapoint) -> bool {
        self.comparison.breaches(datum.value, self.threshold)
    }
}

/// The data of one period.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(super) struct Datapoint {
    /// Begin of the period, in milliseconds.
    pub time: i64,
    pub value: f64,
    pub samples: f64,
}

/// What was decided, and on what grounds.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct Verdict {
    /// The state to be in; none to stay in the one there is.
    pub state: Option<State>,
    /// The data points that counted, the oldest first.
    pub counted: Vec<Datapoint>,
    /// How many periods without data counted as `Rule::missing` says.
    pub filled: usize,
}

/// Decides on a window of periods, the oldest first.
///
/// - Data of N periods or more: the newest N of them decide; missing ones do not count.
/// - Fewer: `breaching` and `notBreaching` fill up to N.
/// - With `missing` and `ignore`, M breaching periods make an alarm and a period within the threshold makes OK. Where
///   all the data breaches but is less than M, it is an alarm once the oldest of it is at least M periods old (what
///   has come since cannot have been within the threshold M times); before that nothing can be said.
pub(super) fn decide(rule: &Rule, window: &[Option<Datapoint>]) -> Verdict {
    let (n, m) = (rule.n(), rule.m());
    let present: Vec<Datapoint> = window.iter().flatten().copied().collect();
    let breaching = |points: &[Datapoint]| points.iter().filter(|point| rule.breaches(point)).count();
    let alarm = |is_alarm: bool| Some(if is_alarm { State::Alarm } else { State::Ok });
    if present.len() >= n {
        let counted = present[present.len() - n..].to_vec();
        return Verdict { state: alarm(breaching(&counted) >= m), counted, filled: 0 };
    }
    let filled = n - present.len();
    let many = breaching(&present);
    let (state, filled) = match rule.missing {
        Treatment::Breaching => (alarm(many + filled >= m), filled),
        Treatment::NotBreaching => (alarm(many >= m), filled),
        Treatment::Missing | Treatment::Ignore => {
            // Periods from the oldest breaching one to the newest.
            let age = window.iter().position(Option::is_some).map_or(0, |place| window.len() - place);
            let unsure = if rule.missing == Treatment::Missing { Some(State::InsufficientData) } else { None };
            let state = if present.is_empty() {
                unsure
            } else if many >= m {
                Some(State::Alarm)
            } else if many < present.len() {
                Some(State::Ok)
            } else if age >= m {
                if rule.missing == Treatment::Missing { Some(State::Alarm) } else { None }
            } else {
                unsure
            };
            (state, filled)
        }
    };
    Verdict { state, counted: present, filled }
}

/// `StateReason`, in AWS's words, of a change from `old` to `new`.
pub(super) fn reason(rule: &Rule, verdict: &Verdict, old: State, new: State) -> String {
    let count = |number: usize, one: &str| if number == 1 { format!("1 {one}") } else { format!("{number} {one}s") };
    let was = |number: usize| if number == 1 { "was" } else { "were" };
    let treated = match rule.missing {
        Treatment::Breaching => Some("Breaching"),
        Treatment::NotBreaching => Some("NonBreaching"),
        Treatment::Missing | Treatment::Ignore => None,
    };
    let filled = verdict.filled;
    if new == State::InsufficientData {
        return format!("Insufficient Data: {} {} unknown.", count(filled, "datapoint"), was(filled));
    }
    let missing = treated
        .filter(|_| filled > 0)
        .map(|treated| format!(" and {} {} treated as [{treated}]", count(filled, "missing datapoint"), was(filled)));
    if verdict.counted.is_empty() {
        let missing = missing.unwrap_or_default();
        return format!("Threshold Crossed: no datapoints were received for {}{missing}.", count(filled, "period"));
    }
    let crossed = new == State::Alarm;
    let told: Vec<&Datapoint> = match rule.datapoints_to_alarm {
        Some(_) => verdict.counted.iter().filter(|point| rule.breaches(point) == crossed).collect(),
        None => verdict.counted.iter().collect(),
    };
    let not = if crossed { "" } else { "not " };
    let comparison = format!("{not}{} the threshold ({:?})", rule.comparison.words(), rule.threshold);
    // The newest first.
    let values: Vec<_> = told.iter().rev().take(TOLD_POINTS).map(|point| value(point)).collect();
    let values = values.join(", ");
    let missing = missing.unwrap_or_default();
    let many = told.len();
    match rule.datapoints_to_alarm {
        Some(_) => {
            let least = if crossed { rule.m() } else { rule.n() - rule.m() + 1 };
            let (least, from, to) = (count(least, "datapoint"), old.name(), new.name());
            let last = count(rule.n(), "datapoint");
            let last = last.strip_prefix("1 ").map_or(last.clone(), |_| "1 datapoints".to_owned());
            format!(
                "Threshold Crossed: {many} out of the last {last} [{values}] {} {comparison}{missing} (minimum {least} \
                 for {from} -> {to} transition).",
                was(many)
            )
        }
        None if many > TOLD_POINTS => format!(
            "Threshold Crossed: {many} datapoints were {comparison}{missing}. The most recent datapoints: [{values}]."
        ),
        None => {
            let many_points = count(many, "datapoint");
            format!("Threshold Crossed: {many_points} [{values}] {} {comparison}{missing}.", was(many))
        }
    }
}

fn value(point: &Datapoint) -> String {
    format!("{:?} ({})", point.value, reason_time(point.time))
}

#[cfg(test)]
mod tests;
