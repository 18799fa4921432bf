//! What happened to events, for CloudWatch.
//! <https://docs.aws.amazon.com/eventbridge/latest/userguide/eb-monitoring.html>

use std::collections::BTreeMap;

use super::model::{DEFAULT_BUS, RuleName};
use crate::cloud::meter::{Datum, Meter};

/// Counts of one transaction, told after its commit.
#[derive(Debug, Default)]
pub(super) struct Tally {
    /// Events that matched at least one rule, by region.
    matched: BTreeMap<String, u32>,
    rules: BTreeMap<RuleName, Counts>,
}

/// Counts of a rule.
#[derive(Debug, Default, Clone, Copy, PartialEq, Eq)]
pub(super) struct Counts {
    pub triggered: u32,
    pub invocations: u32,
    pub failed: u32,
    pub to_dead_letters: u32,
    pub dead_letters_failed: u32,
}

impl Tally {
    pub fn matched(&mut self, region: &str) {
        *self.matched.entry(region.to_owned()).or_default() += 1;
    }

    pub fn of(&mut self, rule: &RuleName) -> &mut Counts {
        if !self.rules.contains_key(rule) {
            self.rules.insert(rule.clone(), Counts::default());
        }
        self.rules.entry(rule.clone()).or_default()
    }

    /// Tells what there is to tell: AWS sends these metrics only when they are not zero.
    pub fn record(self, meter: &Meter, now: i64) {
        let datum = |region: &str, name: &str, dimensions: &[(String, String)], count: u32| {
            if count > 0 {
                meter.record(Datum {
                    region: region.to_owned(),
                    namespace: "AWS/Events".to_owned(),
                    name: name.to_owned(),
                    dimensions: dimensions.to_vec(),
                    value: f64::from(count),
                    unit: "Count",
                    timestamp: now,
                });
            }
        };
        for (region, count) in self.matched {
            datum(&region, "MatchedEvents", &[], count);
        }
        for (rule, counts) in self.rules {
            // "Metrics that specify only the RuleName dimension refer to the default event bus."
            let mut dimensions = vec![("RuleName".to_owned(), rule.name)];
            if rule.bus != DEFAULT_BUS {
                dimensions.insert(0, ("EventBusName".to_owned(), rule.bus));
            }
            let tell = |name, count| datum(&rule.region, name, &dimensions, count);
            tell("MatchedEvents", counts.triggered);
            tell("TriggeredRules", counts.triggered);
            tell("Invocations", counts.invocations);
            datum(&rule.region, "Invocations", &[], counts.invocations);
            tell("FailedInvocations", counts.failed);
            tell("InvocationsSentToDlq", counts.to_dead_letters);
            tell("InvocationsFailedToBeSentToDlq", counts.dead_letters_failed);
        }
    }
}
