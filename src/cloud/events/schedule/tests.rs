use proptest::prelude::*;

use super::*;

fn at(text: &str) -> Timestamp {
    text.parse().unwrap()
}

/// The first `count` times after 2026-11-22 (a Sunday), midnight.
fn times(expression: &str, count: usize) -> Vec<String> {
    let schedule = Schedule::parse(expression).unwrap();
    let made = at("2026-11-22T00:00:00Z");
    let mut after = made;
    let next = std::iter::from_fn(|| {
        after = schedule.next(made, after)?;
        Some(after.to_string())
    });
    next.take(count).collect()
}

#[test]
fn a_rate_counts_from_the_moment_the_rule_was_made() {
    let schedule = Schedule::parse("rate(5 minutes)").unwrap();
    let made = at("2026-11-22T10:00:30Z");
    assert_eq!(schedule.next(made, made), Some(at("2026-11-22T10:05:30Z")));
    assert_eq!(schedule.next(made, at("2026-11-22T10:05:30Z")), Some(at("2026-11-22T10:10:30Z")));
    assert_eq!(schedule.next(made, at("2026-11-22T10:14:59Z")), Some(at("2026-11-22T10:15:30Z")));
    assert_eq!(times("rate(1 day)", 2), ["2026-11-23T00:00:00Z", "2026-11-24T00:00:00Z"]);
    assert_eq!(times("rate(12 hours)", 2), ["2026-11-22T12:00:00Z", "2026-11-23T00:00:00Z"]);
}

#[test]
fn cron_expressions_of_the_documentation() {
    assert_eq!(times("cron(0 10 * * ? *)", 2), ["2026-11-22T10:00:00Z", "2026-11-23T10:00:00Z"]);
    assert_eq!(times("cron(15 12 * * ? *)", 1), ["2026-11-22T12:15:00Z"]);
    assert_eq!(times("cron(0 18 ? * MON-FRI *)", 1), ["2026-11-23T18:00:00Z"]);
    assert_eq!(times("cron(0 8 1 * ? *)", 2), ["2026-12-01T08:00:00Z", "2027-01-01T08:00:00Z"]);
    assert_eq!(
        times("cron(0/15 * * * ? *)", 3),
        ["2026-11-22T00:15:00Z", "2026-11-22T00:30:00Z", "2026-11-22T00:45:00Z"]
    );
    assert_eq!(times("cron(1/10 * * * ? *)", 2), ["2026-11-22T00:01:00Z", "2026-11-22T00:11:00Z"]);
    assert_eq!(times("cron(0/5 8-17 ? * MON-FRI *)", 1), ["2026-11-23T08:00:00Z"]);
    assert_eq!(times("cron(0 9 ? * 2#1 *)", 1), ["2026-12-07T09:00:00Z"], "the first Monday");
}

#[test]
fn days_of_the_week_are_counted_from_sunday_as_1() {
    let of = |field: &str| times(&format!("cron(0 0 ? * {field} *)"), 1).remove(0)[..10].to_owned();
    for (number, (name, date)) in [
        ("SUN", "2026-11-29"),
        ("MON", "2026-11-23"),
        ("TUE", "2026-11-24"),
        ("WED", "2026-11-25"),
        ("THU", "2026-11-26"),
        ("FRI", "2026-11-27"),
        ("SAT", "2026-11-28"),
    ]
    .into_iter()
    .enumerate()
    {
        assert_eq!(of(name), date);
        assert_eq!(of(&(number + 1).to_string()), date, "{name} by number");
    }
    assert_eq!(of("3#2"), "2026-12-08", "the second Tuesday");
    assert_eq!(of("L"), "2026-11-28", "Saturday is the week's last");
    assert_eq!(of("6L"), "2026-11-27", "the month's last Friday");
    assert_eq!(
        times("cron(0 0 ? * FRI-MON *)", 3),
        ["2026-11-23T00:00:00Z", "2026-11-27T00:00:00Z", "2026-11-28T00:00:00Z"]
    );
    assert_eq!(
        times("cron(0 0 ? * 2/2 *)", 3),
        ["2026-11-23T00:00:00Z", "2026-11-25T00:00:00Z", "2026-11-27T00:00:00Z"]
    );
}

#[test]
fn last_days_and_working_days_of_a_month() {
    assert_eq!(times("cron(0 0 L * ? *)", 2), ["2026-11-30T00:00:00Z", "2026-12-31T00:00:00Z"]);
    assert_eq!(times("cron(0 0 5W DEC ? *)", 1), ["2026-12-04T00:00:00Z"], "the 5th is a Saturday");
    assert_eq!(times("cron(0 0 29 2 ? *)", 1), ["2028-02-29T00:00:00Z"]);
    assert_eq!(times("cron(0 0 1 1 ? 2030)", 2), ["2030-01-01T00:00:00Z"], "once");
    assert!(times("cron(0 0 30 2 ? *)", 1).is_empty(), "never");
}

#[test]
fn what_is_no_expression_is_refused() {
    for text in [
        "",
        "rate()",
        "rate(0 minutes)",
        "rate(-1 minutes)",
        "rate(1 minutes)",
        "rate(5 minute)",
        "rate(10 seconds)",
        "rate(5minutes)",
        "rate(1.5 hours)",
        "rate (5 minutes)",
        "rate(5 minutes",
        "cron(0 12 * * * *)",
        "cron(0 12 ? * ? *)",
        "cron(0 12 1 * MON *)",
        "cron(0 12 * * ?)",
        "cron(0 0 12 * * ? *)",
        "cron(60 12 * * ? *)",
        "cron(0 24 * * ? *)",
        "cron(0 0 32 * ? *)",
        "cron(0 0 1 13 ? *)",
        "cron(0 0 ? * 8 *)",
        "cron(0 0 ? * 0 *)",
        "cron(0 0 ? * 3#6 *)",
        "cron(0 0 ? * 3#1,6#3 *)",
        "cron(0 0 * * ? 1969)",
        "cron(0 0 * * ? 2200)",
        "cron(0 0 * * +2 *)",
        "cron(1,,2 0 * * ? *)",
        "cron(@daily)",
        "cron(? 0 * * ? *)",
        "at(2026-11-22T00:00:00)",
    ] {
        assert!(Schedule::parse(text).is_none(), "{text}");
    }
}

proptest! {
    #[test]
    fn the_next_time_of_a_rate_lies_within_one_period(value in 2i64..10_000, passed in 0i64..10_000_000) {
        let schedule = Schedule::parse(&format!("rate({value} minutes)")).unwrap();
        let made = at("2026-11-22T10:00:30Z");
        let after = made + SignedDuration::from_secs(passed);
        let next = schedule.next(made, after).unwrap();
        prop_assert!(next > after && next.duration_since(after) <= SignedDuration::from_mins(value));
        prop_assert_eq!(next.duration_since(made).as_secs() % (value * 60), 0);
    }

    #[test]
    fn the_next_time_of_a_cron_expression_has_its_minute_hour_and_weekday(
        minute in 0i8..60, hour in 0i8..24, weekday in 1i8..=7, passed in 0i64..100_000_000,
    ) {
        let schedule = Schedule::parse(&format!("cron({minute} {hour} ? * {weekday} *)")).unwrap();
        let after = at("2026-11-22T10:00:30Z") + SignedDuration::from_secs(passed);
        let next = schedule.next(Timestamp::UNIX_EPOCH, after).unwrap();
        let civil = next.to_zoned(TimeZone::UTC).datetime();
        prop_assert_eq!((civil.minute(), civil.hour(), civil.second()), (minute, hour, 0));
        prop_assert_eq!(civil.weekday().to_sunday_one_offset(), weekday);
        prop_assert!(next > after && next.duration_since(after) <= SignedDuration::from_hours(7 * 24));
    }

    #[test]
    fn no_text_makes_the_parser_panic(text in "(cron|rate)\\([0-9A-Z*?/#,L -]{0,30}\\)?") {
        if let Some(schedule) = Schedule::parse(&text) {
            let _ = schedule.next(at("2026-11-22T10:00:30Z"), at("2027-11-22T10:00:30Z"));
        }
    }
}
