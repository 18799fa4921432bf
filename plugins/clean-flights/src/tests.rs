//! Rows as they are in the data, and as they cannot be.

use lake_transform::{
    Timestamp,
    testing::{Done, Table},
};
use proptest::prelude::*;

use super::{
    CleanFlights,
    rules::{self, Departure, Fault, Flight, Thresholds},
};

/// A flight of the sample data: 2013-01-01, scheduled 05:15, left 05:17.
#[derive(Clone, Copy)]
struct Said {
    date: (i64, i64, i64),
    dep_time: Option<i64>,
    sched_dep_time: Option<i64>,
    dep_delay: Option<i64>,
    distance: Option<i64>,
    time_hour: Option<&'static str>,
}

const FLIGHT: Said = Said {
    date: (2013, 1, 1),
    dep_time: Some(517),
    sched_dep_time: Some(515),
    dep_delay: Some(2),
    distance: Some(1400),
    time_hour: Some("2013-01-01T10:00:00Z"),
};

fn parse_time(text: &str) -> Timestamp {
    let number = |from: usize, to: usize| text[from..to].parse::<i64>().unwrap();
    let days = rules::days(number(0, 4), number(5, 7), number(8, 10)).unwrap();
    Timestamp::from_seconds(days * 86_400 + number(11, 13) * 3600 + number(14, 16) * 60 + number(17, 19))
}

fn table(rows: &[Said]) -> Table {
    Table::new()
        .column("year", rows.iter().map(|row| row.date.0))
        .column("month", rows.iter().map(|row| row.date.1))
        .column("day", rows.iter().map(|row| row.date.2))
        .column("dep_time", rows.iter().map(|row| row.dep_time))
        .column("sched_dep_time", rows.iter().map(|row| row.sched_dep_time))
        .column("dep_delay", rows.iter().map(|row| row.dep_delay))
        .column("carrier", rows.iter().map(|_| "UA"))
        .column("distance", rows.iter().map(|row| row.distance))
        .column("hour", rows.iter().map(|row| row.sched_dep_time.map(|time| time / 100)))
        .column("minute", rows.iter().map(|row| row.sched_dep_time.map(|time| time % 100)))
        .column("time_hour", rows.iter().map(|row| row.time_hour.map(parse_time)))
}

fn clean(rows: &[Said], config: &[(&str, &str)]) -> Done {
    table(rows).transform::<CleanFlights>(config).unwrap()
}

fn rejects(row: Said) -> Vec<String> {
    clean(&[row], &[]).rejects()
}

#[test]
fn local_times_become_times_of_utc() {
    let done = clean(&[FLIGHT], &[]);
    let columns = "carrier string, dep_delay int64, distance int64, scheduled_at timestamp, departed_at timestamp, \
                   delay_class string";
    let mut expected: Vec<&str> = columns.split(", ").collect();
    expected.swap(0, 1); // dep_delay and distance keep their places
    assert_eq!(done.columns(), expected);
    assert_eq!(done.cells("scheduled_at"), ["2013-01-01T10:15:00Z"]);
    assert_eq!(done.cells("departed_at"), ["2013-01-01T10:17:00Z"]);
    assert_eq!(done.cells("delay_class"), ["on_time"]);
    assert_eq!(done.source_rows(), None);
}

#[test]
fn the_day_of_departure_is_the_one_that_fits_the_delay() {
    let evening = Said { sched_dep_time: Some(2359), time_hour: Some("2013-01-02T04:00:00Z"), ..FLIGHT };
    let night = Said { date: (2013, 1, 2), sched_dep_time: Some(5), time_hour: Some("2013-01-02T05:00:00Z"), ..FLIGHT };
    let rows = [
        Said { dep_time: Some(34), dep_delay: Some(35), ..evening },
        Said { dep_time: Some(2400), dep_delay: Some(1), ..evening },
        Said { dep_time: Some(0), dep_delay: Some(1), ..evening },
        Said { dep_time: Some(2353), dep_delay: Some(-6), ..evening },
        Said { dep_time: Some(2358), dep_delay: Some(-7), ..night },
        Said { dep_time: Some(105), dep_delay: Some(60), ..night },
        // Two days late.
        Said { dep_time: Some(517), dep_delay: Some(2882), ..FLIGHT },
    ];
    let done = clean(&rows, &[]);
    assert_eq!(done.rejects(), [""; 0]);
    let expected = [
        "2013-01-02T05:34:00Z",
        "2013-01-02T05:00:00Z",
        "2013-01-02T05:00:00Z",
        "2013-01-02T04:53:00Z",
        "2013-01-02T04:58:00Z",
        "2013-01-02T06:05:00Z",
        "2013-01-03T10:17:00Z",
    ];
    assert_eq!(done.cells("departed_at"), expected);
}

#[test]
fn cancelled_flights_leave_unless_they_are_to_be_kept() {
    let cancelled = Said { dep_time: None, dep_delay: None, ..FLIGHT };
    let done = clean(&[cancelled, FLIGHT], &[]);
    assert_eq!(done.source_rows(), Some([1].as_slice()));
    assert_eq!(done.rejects(), [""; 0]);
    let done = clean(&[cancelled, FLIGHT], &[("cancelled", "keep")]);
    assert_eq!(done.cells("departed_at"), ["null", "2013-01-01T10:17:00Z"]);
    assert_eq!(done.cells("delay_class"), ["cancelled", "on_time"]);
    assert_eq!(done.cells("scheduled_at"), ["2013-01-01T10:15:00Z", "2013-01-01T10:15:00Z"]);
}

#[test]
fn rows_that_cannot_be_are_rejected_with_code_column_and_reason() {
    let cases = [
        (Said { date: (2013, 2, 30), ..FLIGHT }, "impossible_date (day): there is no 2013-02-30"),
        (Said { date: (2013, 13, 1), ..FLIGHT }, "impossible_date (month): there is no 2013-13-01"),
        (Said { date: (0, 1, 1), ..FLIGHT }, "impossible_date (year): there is no 0-01-01"),
        (Said { dep_time: Some(2575), ..FLIGHT }, "impossible_time (dep_time): no clock shows 2575"),
        (Said { dep_time: Some(1267), ..FLIGHT }, "impossible_time (dep_time): no clock shows 1267"),
        (Said { dep_time: Some(2401), ..FLIGHT }, "impossible_time (dep_time): no clock shows 2401"),
        (Said { dep_time: Some(-5), ..FLIGHT }, "impossible_time (dep_time): no clock shows -5"),
        (Said { sched_dep_time: Some(960), ..FLIGHT }, "impossible_time (sched_dep_time): no clock shows 960"),
        (Said { dep_delay: Some(3), ..FLIGHT }, "delay_mismatch (dep_delay): 3 minutes; from 515 to 517 it is 2"),
        (
            Said { dep_delay: Some(i64::MAX), ..FLIGHT },
            "delay_mismatch (dep_delay): 9223372036854775807 minutes; from 515 to 517 it is 2",
        ),
        (Said { distance: Some(0), ..FLIGHT }, "impossible_distance (distance): 0 miles"),
        (
            Said { date: (2013, 1, 3), ..FLIGHT },
            "impossible_zone (time_hour): the schedule is 2580 minutes from it, which is no time zone",
        ),
        (Said { time_hour: None, ..FLIGHT }, "missing_value (time_hour): there is no value"),
        (Said { dep_delay: None, ..FLIGHT }, "missing_value (dep_delay): there is no value"),
    ];
    for (row, expected) in cases {
        assert_eq!(rejects(row), [format!("row 0: {expected}")]);
    }
    assert_eq!(rejects(Said { distance: None, ..FLIGHT }), [""; 0], "an unknown distance is no wrong one");
}

#[test]
fn delays_have_names_which_the_configuration_moves() {
    let thresholds = Thresholds { late: 15, very_late: 60 };
    let names = [-1, 0, 14, 15, 59, 60].map(|delay| rules::delay_class(delay, thresholds));
    assert_eq!(names, ["early", "on_time", "on_time", "late", "late", "very_late"]);
    let late = Said { dep_time: Some(535), dep_delay: Some(20), ..FLIGHT };
    assert_eq!(clean(&[late], &[]).cells("delay_class"), ["late"]);
    assert_eq!(clean(&[late], &[("late_minutes", "30")]).cells("delay_class"), ["on_time"]);
    let strict = [("late_minutes", "5"), ("very_late_minutes", "20")];
    assert_eq!(clean(&[late], &strict).cells("delay_class"), ["very_late"]);
}

#[test]
fn nonsense_is_refused_before_any_row() {
    let refused = |config: &[(&str, &str)]| table(&[FLIGHT]).transform::<CleanFlights>(config).unwrap_err();
    assert_eq!(refused(&[("late_minutes", "soon")]), "config late_minutes = \"soon\": expected a whole number");
    assert_eq!(
        refused(&[("late_minutes", "60")]),
        "config late_minutes = 60: must be less than very_late_minutes, which is 60"
    );
    assert_eq!(
        refused(&[("late_minutes", "0")]),
        "config late_minutes = 0: a flight is not late before its time; 1 is the least"
    );
    assert_eq!(refused(&[("cancelled", "maybe")]), "config cancelled = \"maybe\": expected \"filter\" or \"keep\"");
    assert_eq!(
        refused(&[("late_minute", "30")]),
        "config late_minute is not known: this transform knows late_minutes, very_late_minutes, cancelled"
    );
    let without = Table::new().column("year", [2013_i64]).column("hour", [5_i64]).column("minute", [15_i64]);
    assert_eq!(
        without.transform::<CleanFlights>(&[]).unwrap_err(),
        "there is no column month: those that come are year, hour, minute"
    );
}

#[test]
fn every_flight_of_the_sample_data_passes() {
    let (mut rows, mut cancelled) = (0, 0);
    for month in ["01", "02"] {
        let path = format!("{}/../../examples/flights/data/flights-2013-{month}.csv", env!("CARGO_MANIFEST_DIR"));
        let text = std::fs::read_to_string(path).unwrap();
        let (header, lines) = text.split_once('\n').unwrap();
        let place = |name: &str| header.split(',').position(|column| column == name).unwrap();
        let names = ["year", "month", "day", "dep_time", "sched_dep_time", "dep_delay", "distance", "time_hour"];
        let places = names.map(place);
        for line in lines.lines() {
            let fields: Vec<&str> = line.split(',').collect();
            let number = |column: usize| fields[places[column]].parse::<i64>().ok();
            let flight = Flight {
                year: number(0).unwrap(),
                month: number(1).unwrap(),
                day: number(2).unwrap(),
                sched_dep_time: number(4).unwrap(),
                time_hour: parse_time(fields[places[7]]).0,
                distance: number(6),
            };
            rows += 1;
            let scheduled_at = rules::scheduled_at(&flight).unwrap_or_else(|fault| panic!("{fault:?}: {line}"));
            let Some(dep_time) = number(3) else {
                cancelled += 1;
                continue;
            };
            let departure = Departure { dep_time, dep_delay: number(5).unwrap() };
            let departed_at = rules::departed_at(&flight, scheduled_at, &departure);
            assert_eq!(departed_at, Ok(scheduled_at + departure.dep_delay * 60_000_000), "{line}");
        }
    }
    assert_eq!((rows, cancelled), (51_955, 1_782));
}

proptest! {
    #[test]
    fn a_flight_left_when_its_clock_says_on_the_day_that_its_delay_says(
        sched in 0_i64..1440, delay in -2000_i64..4000, year in 1970_i64..2100, month in 1_i64..=12, day in 1_i64..=28,
    ) {
        let midnight = rules::days(year, month, day).unwrap() * 86_400_000_000;
        let hhmm = |minutes: i64| minutes / 60 * 100 + minutes % 60;
        let flight = Flight {
            year, month, day, distance: Some(1), sched_dep_time: hhmm(sched),
            time_hour: midnight + (sched / 60 + 5) * 3_600_000_000,
        };
        let scheduled_at = rules::scheduled_at(&flight).unwrap();
        prop_assert_eq!(scheduled_at, midnight + (sched + 300) * 60_000_000);
        let departure = Departure { dep_time: hhmm((sched + delay).rem_euclid(1440)), dep_delay: delay };
        prop_assert_eq!(rules::departed_at(&flight, scheduled_at, &departure), Ok(scheduled_at + delay * 60_000_000));
        let wrong = Departure { dep_delay: delay + 7, ..departure };
        prop_assert!(matches!(rules::departed_at(&flight, scheduled_at, &wrong), Err(Fault::Delay(_))));
    }

    #[test]
    fn no_numbers_make_the_rules_stumble(
        numbers in proptest::array::uniform8(prop_oneof![any::<i64>(), -100_i64..3000]),
    ) {
        let [year, month, day, sched_dep_time, time_hour, distance, dep_time, dep_delay] = numbers;
        let flight = Flight { year, month, day, sched_dep_time, time_hour, distance: Some(distance) };
        let departure = Departure { dep_time, dep_delay };
        if let Ok(at) = rules::scheduled_at(&flight).and_then(|at| rules::departed_at(&flight, at, &departure)) {
            prop_assert_eq!((at - time_hour) % 60_000_000, 0);
        }
        let _ = rules::departed_at(&flight, time_hour, &departure);
    }
}
