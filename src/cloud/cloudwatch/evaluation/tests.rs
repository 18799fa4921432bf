use proptest::prelude::*;

use super::*;

const MINUTE: i64 = 60_000;

fn rule(n: u32, m: Option<u32>, missing: Treatment) -> Rule {
    Rule { comparison: Comparison::Above, threshold: 1.0, evaluation_periods: n, datapoints_to_alarm: m, missing }
}

/// `0` is within the threshold, `X` breaches it, `-` is missing; the newest is the last.
fn window(text: &str) -> Vec<Option<Datapoint>> {
    let marks: Vec<char> = text.chars().filter(|mark| !mark.is_whitespace()).collect();
    let point = |(place, mark): (usize, char)| {
        let time = MINUTE * i64::try_from(place).unwrap();
        let value = match mark {
            '0' => 0.0,
            'X' => 5.0,
            _ => return None,
        };
        Some(Datapoint { time, value, samples: 1.0 })
    };
    marks.into_iter().enumerate().map(point).collect()
}

const OK: Option<State> = Some(State::Ok);
const ALARM: Option<State> = Some(State::Alarm);
const UNKNOWN: Option<State> = Some(State::InsufficientData);
const KEPT: Option<State> = None;

#[test]
fn missing_data_is_treated_as_the_documentation_s_tables_say() {
    // M, window, then the states for missing, ignore, breaching, notBreaching.
    let cases = [
        (3, "0 - X - X", [OK, OK, OK, OK]),
        (3, "0 - - - -", [OK, OK, OK, OK]),
        (3, "- - - - -", [UNKNOWN, KEPT, ALARM, OK]),
        (3, "0 X X - X", [ALARM, ALARM, ALARM, ALARM]),
        (3, "- - X - -", [ALARM, KEPT, ALARM, OK]),
        (3, "X - - - -", [ALARM, KEPT, ALARM, OK]),
        // No premature alarm: the next data point may be within the threshold.
        (3, "- - - - X", [UNKNOWN, KEPT, ALARM, OK]),
        (3, "- - - X -", [UNKNOWN, KEPT, ALARM, OK]),
        (3, "- - - X 0", [OK, OK, OK, OK]),
        (3, "- - X - 0", [OK, OK, OK, OK]),
        (2, "0 - X - X", [ALARM, ALARM, ALARM, ALARM]),
        (2, "0 0 X 0 X", [ALARM, ALARM, ALARM, ALARM]),
        (2, "0 - X - -", [OK, OK, ALARM, OK]),
        (2, "- - - - 0", [OK, OK, ALARM, OK]),
        (2, "- - - X -", [ALARM, KEPT, ALARM, OK]),
        (2, "- - - - X", [UNKNOWN, KEPT, ALARM, OK]),
        (2, "- - - X X", [ALARM, ALARM, ALARM, ALARM]),
        (1, "- - - - X", [ALARM, ALARM, ALARM, ALARM]),
    ];
    for (m, marks, expected) in cases {
        for (missing, expected) in Treatment::ALL.into_iter().zip(expected) {
            let state = decide(&rule(3, Some(m), missing), &window(marks)).state;
            assert_eq!(state, expected, "{m} of 3, {marks}, {missing:?}");
        }
    }
}

#[test]
fn every_operator_compares_with_the_threshold() {
    let breaching = |comparison: Comparison| {
        [0.0, 1.0, 2.0].into_iter().filter(|value| comparison.breaches(*value, 1.0)).collect::<Vec<_>>()
    };
    assert_eq!(breaching(Comparison::Above), [2.0]);
    assert_eq!(breaching(Comparison::AtLeast), [1.0, 2.0]);
    assert_eq!(breaching(Comparison::Below), [0.0]);
    assert_eq!(breaching(Comparison::AtMost), [0.0, 1.0]);
}

fn told(rule: &Rule, marks: &str, old: State) -> String {
    let verdict = decide(rule, &window(marks));
    reason(rule, &verdict, old, verdict.state.unwrap())
}

#[test]
fn reasons_are_aws_s_sentences() {
    let (insufficient, ok, alarm) = (State::InsufficientData, State::Ok, State::Alarm);
    assert_eq!(
        told(&rule(1, None, Treatment::NotBreaching), "--X", ok),
        "Threshold Crossed: 1 datapoint [5.0 (01/01/70 00:02:00)] was greater than the threshold (1.0)."
    );
    assert_eq!(
        told(&rule(1, Some(1), Treatment::Missing), "--0", alarm),
        "Threshold Crossed: 1 out of the last 1 datapoints [0.0 (01/01/70 00:02:00)] was not greater than the threshold \
         (1.0) (minimum 1 datapoint for ALARM -> OK transition)."
    );
    assert_eq!(
        told(&rule(1, Some(1), Treatment::NotBreaching), "---", insufficient),
        "Threshold Crossed: no datapoints were received for 1 period and 1 missing datapoint was treated as \
         [NonBreaching]."
    );
    assert_eq!(
        told(&rule(3, None, Treatment::Breaching), "--X--", ok),
        "Threshold Crossed: 1 datapoint [5.0 (01/01/70 00:02:00)] was greater than the threshold (1.0) and 2 missing \
         datapoints were treated as [Breaching]."
    );
    assert_eq!(told(&rule(2, None, Treatment::Missing), "----", ok), "Insufficient Data: 2 datapoints were unknown.");
    assert_eq!(
        told(&rule(2, Some(2), Treatment::Missing), "--XX", ok),
        "Threshold Crossed: 2 out of the last 2 datapoints [5.0 (01/01/70 00:03:00), 5.0 (01/01/70 00:02:00)] were \
         greater than the threshold (1.0) (minimum 2 datapoints for OK -> ALARM transition)."
    );
    assert!(told(&rule(6, None, Treatment::Missing), "--XXXXXX", ok).starts_with(
        "Threshold Crossed: 6 datapoints were greater than the threshold (1.0). The most recent datapoints: [5.0"
    ));
}

fn any_rule() -> impl Strategy<Value = Rule> {
    let n = 1_u32..=10;
    let rule = n.prop_flat_map(|n| {
        let m = proptest::option::of(1..=n);
        (Just(n), m, 0..4_usize, 0..4_usize, -10.0..10.0_f64)
    });
    rule.prop_map(|(n, m, missing, comparison, threshold)| Rule {
        comparison: Comparison::ALL[comparison],
        threshold,
        evaluation_periods: n,
        datapoints_to_alarm: m,
        missing: Treatment::ALL[missing],
    })
}

fn any_window() -> impl Strategy<Value = Vec<Option<Datapoint>>> {
    let value = proptest::option::of(-20.0..20.0_f64);
    proptest::collection::vec(value, 0..14).prop_map(|values| {
        let point = |(place, value): (usize, Option<f64>)| {
            value.map(|value| Datapoint { time: MINUTE * i64::try_from(place).unwrap(), value, samples: 1.0 })
        };
        values.into_iter().enumerate().map(point).collect()
    })
}

proptest! {
    #[test]
    fn a_verdict_is_a_function_of_the_window(rule in any_rule(), window in any_window()) {
        let verdict = decide(&rule, &window);
        prop_assert_eq!(&verdict, &decide(&rule, &window));
        prop_assert!(verdict.counted.len() + verdict.filled >= rule.n());
        for old in State::ALL {
            if let Some(new) = verdict.state {
                prop_assert!(!reason(&rule, &verdict, old, new).is_empty());
            }
        }
    }

    #[test]
    fn only_whether_data_breaches_and_where_it_lies_matters(rule in any_rule(), window in any_window()) {
        let far = |point: &Datapoint| {
            let out = if rule.comparison.is_upward() { 100.0 } else { -100.0 };
            let value = if rule.breaches(point) { out } else { -out };
            Datapoint { value, time: point.time + 7, samples: 3.0 }
        };
        let other: Vec<_> = window.iter().map(|point| point.as_ref().map(far)).collect();
        prop_assert_eq!(decide(&rule, &window).state, decide(&rule, &other).state);
    }

    #[test]
    fn with_all_data_there_m_breaching_periods_of_the_last_n_make_the_alarm(
        rule in any_rule(), values in proptest::collection::vec(-20.0..20.0_f64, 12..14)
    ) {
        let point = |value: &f64| Some(Datapoint { time: 0, value: *value, samples: 1.0 });
        let window: Vec<_> = values.iter().map(point).collect();
        let last = &values[values.len() - rule.n()..];
        let many = last.iter().filter(|value| rule.comparison.breaches(**value, rule.threshold)).count();
        let expected = if many >= rule.m() { State::Alarm } else { State::Ok };
        prop_assert_eq!(decide(&rule, &window).state, Some(expected));
    }
}
