//! What is to go wrong, as a person writes it down in JSON.

use serde::{Deserialize, Serialize};

/// Longest delay of an event, in milliseconds: what is later than this is as good as lost to whoever waits.
const DELAY_MS_MAX: u64 = 600_000;

/// What is to go wrong, and how often. Shares are from 0 (never) to 1 (always).
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Plan {
    /// Of the dice.
    pub seed: u64,
    /// Events between services.
    pub events: EventFaults,
    /// Requests to the cloud.
    pub requests: RequestFaults,
    /// Functions.
    pub functions: FunctionFaults,
    /// The cloud itself.
    pub cloud: CloudFaults,
}

/// Events between services.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct EventFaults {
    /// Share of the best-effort events that never arrive.
    pub drop: f64,
    /// Share that arrives twice.
    pub duplicate: f64,
    /// Share that arrives late, and so in another order.
    pub delay: f64,
    /// How late at most, in milliseconds.
    pub delay_ms_max: u64,
}

impl Default for EventFaults {
    fn default() -> Self {
        EventFaults { drop: 0.0, duplicate: 0.0, delay: 0.0, delay_ms_max: 1_000 }
    }
}

/// Requests to the cloud.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct RequestFaults {
    /// Share that is throttled.
    pub throttle: f64,
    /// Share that fails with a server error, before it takes effect.
    pub fail: f64,
    /// Share that takes effect, and whose connection breaks before the answer.
    pub lose_answer: f64,
    /// Whose requests: those of functions, or of everyone.
    pub everyone: bool,
    /// Which services, by their names in signatures (`s3`, `glue`, `events`); none: all of them.
    pub services: Vec<String>,
}

impl RequestFaults {
    pub(super) fn concerns(&self, service: &str) -> bool {
        self.services.is_empty() || self.services.iter().any(|name| name == service)
    }
}

/// Functions.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct FunctionFaults {
    /// Share of a function's requests over which its process is killed: half of them before the request takes
    /// effect, if that is refused besides, else after it.
    pub kill: f64,
}

/// The cloud itself.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct CloudFaults {
    /// The cloud kills itself when this request comes, counted from when the plan was set. Once.
    pub kill_at_request: Option<u64>,
}

impl Plan {
    /// What is wrong with the plan, if anything.
    pub fn check(&self) -> Result<(), String> {
        let EventFaults { drop, duplicate, delay, delay_ms_max } = self.events;
        let RequestFaults { throttle, fail, lose_answer, .. } = self.requests;
        for (name, share) in [
            ("events.drop", drop),
            ("events.duplicate", duplicate),
            ("events.delay", delay),
            ("requests.throttle", throttle),
            ("requests.fail", fail),
            ("requests.lose_answer", lose_answer),
            ("functions.kill", self.functions.kill),
        ] {
            if !(0.0..=1.0).contains(&share) {
                return Err(format!("{name} is {share}; a share is from 0 (never) to 1 (always)"));
            }
        }
        if delay_ms_max > DELAY_MS_MAX {
            return Err(format!("events.delay_ms_max is {delay_ms_max}; at most {DELAY_MS_MAX}"));
        }
        if self.cloud.kill_at_request == Some(0) {
            return Err("cloud.kill_at_request counts from 1".to_owned());
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_plan_is_read_with_what_it_leaves_out_and_refused_with_what_it_gets_wrong() {
        let plan: Plan = serde_json::from_str(r#"{"seed": 7, "events": {"drop": 0.5}}"#).unwrap();
        assert_eq!((plan.seed, plan.events.drop, plan.events.delay_ms_max), (7, 0.5, 1_000));
        assert!(plan.check().is_ok());
        assert!(serde_json::from_str::<Plan>(r#"{"event": {}}"#).is_err());
        let share = |text: &str| serde_json::from_str::<Plan>(text).unwrap().check();
        assert!(share(r#"{"functions": {"kill": 1.5}}"#).unwrap_err().contains("functions.kill is 1.5"));
        assert!(share(r#"{"requests": {"fail": -1}}"#).is_err());
        assert!(share(r#"{"cloud": {"kill_at_request": 0}}"#).is_err());
    }
}
