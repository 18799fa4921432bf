use proptest::prelude::*;

use super::*;

fn kinds(text: &str) -> Kinds {
    classify(text.as_bytes()).0
}

#[test]
fn numbers_are_found_out_only_when_nothing_is_lost_by_it() {
    let int = Kinds::INT.or(Kinds::DOUBLE);
    for text in ["0", "7", "-12", "9007199254740992"] {
        assert_eq!(kinds(text), int, "{text}");
    }
    for text in ["9007199254740993", "9223372036854775807", "-9223372036854775807"] {
        assert_eq!(kinds(text), Kinds::INT, "{text} is not exact as a double");
    }
    for text in ["0.5", "-1.25", ".5", "1.", "1e5", "-2.5E-3", "0.30000000000000004", "100.0"] {
        assert_eq!(kinds(text), Kinds::DOUBLE, "{text}");
    }
    let texts =
        ["007", "-01", "00.5", "+4", "9223372036854775808", "1e999", "0.1234567890123456789", "1.2.3", "1e", "-"];
    for text in texts {
        assert_eq!(kinds(text), Kinds::NONE, "{text}");
    }
}

#[test]
fn what_is_no_finite_number_fits_a_double_but_makes_none() {
    for text in ["NaN", "nan", "inf", "-inf", "-Infinity"] {
        assert_eq!(classify(text.as_bytes()), (Kinds::DOUBLE, false), "{text}");
    }
    assert_eq!(kinds("Nancy"), Kinds::NONE);
}

#[test]
fn booleans_are_true_and_false_in_any_case_and_nothing_else() {
    assert_eq!(
        (boolean(b"TRUE"), boolean(b"False"), boolean(b"t"), boolean(b"1")),
        (Some(true), Some(false), None, None)
    );
    assert_eq!(kinds("tRuE"), Kinds::BOOLEAN);
}

#[test]
fn a_date_must_be_one_of_the_calendar() {
    assert_eq!(date(b"1970-01-01"), Some(0));
    assert_eq!(date(b"2013-01-31"), Some(15_736));
    assert_eq!(date(b"1969-12-31"), Some(-1));
    assert_eq!(date(b"2000-02-29"), Some(11_016));
    for text in ["1900-02-29", "2013-02-30", "2013-13-01", "2013-00-10", "2013-1-1", "2013/01/01", "0000-01-01"] {
        assert_eq!(date(text.as_bytes()), None, "{text}");
        assert_eq!(kinds(text), Kinds::NONE, "{text}");
    }
}

#[test]
fn a_timestamp_is_utc_unless_it_says_otherwise() {
    let noon = Some(1_357_041_600_000_000);
    for text in [
        "2013-01-01T12:00:00Z",
        "2013-01-01 12:00:00",
        "2013-01-01 12:00:00.000",
        "2013-01-01T14:00:00+02:00",
        "2013-01-01T06:30:00-0530",
        "2013-01-01t13:00:00+01",
    ] {
        assert_eq!(timestamp(text.as_bytes()), noon, "{text}");
        assert_eq!(kinds(text), Kinds::TIMESTAMP, "{text}");
    }
    assert_eq!(timestamp(b"2013-01-01"), Some(1_356_998_400_000_000), "a date is its midnight");
    for text in ["2013-01-01T24:00:00", "2013-01-01T12:00", "2013-01-01T12:00:60", "2013-01-01 12:00:00 CET"] {
        assert_eq!(timestamp(text.as_bytes()), None, "{text}");
    }
}

#[test]
fn digits_behind_the_microsecond_are_cut_off() {
    assert_eq!(timestamp(b"1970-01-01T00:00:00.1"), Some(100_000));
    assert_eq!(timestamp(b"1970-01-01T00:00:00.123456789Z"), Some(123_456));
    assert_eq!(timestamp(b"1970-01-01T00:00:00.1234567890"), None);
}

#[test]
fn a_column_that_is_decided_takes_the_same_number_in_another_spelling() {
    assert_eq!((int(b"007"), int(b"+4"), int(b"5.0"), int(b"-3.")), (Some(7), Some(4), Some(5), Some(-3)));
    assert_eq!((int(b"5.5"), int(b"1e3"), int(b""), int(b"-"), int(b".0")), (None, None, None, None, None));
    assert_eq!((int(b"9223372036854775807"), int(b"9223372036854775808")), (Some(i64::MAX), None));
    assert_eq!((int(b"-9223372036854775808"), int(b"-9223372036854775809")), (Some(i64::MIN), None));
    assert_eq!((int32(b"2147483647"), int32(b"2147483648")), (Some(i32::MAX), None));
}

#[test]
fn a_decimal_is_exact_or_nothing() {
    assert_eq!(decimal(b"12.30", 5, 2), Some(1230));
    assert_eq!(decimal(b"-12.3", 5, 2), Some(-1230));
    assert_eq!(decimal(b"+7", 5, 2), Some(700));
    assert_eq!(decimal(b"1.2300", 5, 2), Some(123));
    assert_eq!(decimal(b".5", 5, 2), Some(50));
    assert_eq!(decimal(b"5.0", 3, 0), Some(5));
    assert_eq!(decimal(b"99999999999999999999999999999999999999", 38, 0), Some(10i128.pow(38) - 1));
    for text in ["1.234", "1000.00", "1e2", "", ".", "-", "1,5", "999999999999999999999999999999999999999999"] {
        assert_eq!(decimal(text.as_bytes(), 5, 2), None, "{text}");
    }
}

#[test]
fn a_double_too_large_is_none_and_words_are_taken_in_any_case() {
    assert_eq!(double(b"1e999"), None);
    assert_eq!(double(b"-Infinity"), Some(f64::NEG_INFINITY));
    assert!(double(b"NAN").unwrap().is_nan());
    assert_eq!((double(b"abc"), double(b"0x10"), double(b"1e5x"), double(b"--1")), (None, None, None, None));
    assert_eq!(double(b"-0").map(f64::to_bits), Some((-0.0f64).to_bits()));
}

proptest! {
    #[test]
    fn a_double_is_the_nearest_one(bits: u64, digits in "-?[0-9]{1,20}(\\.[0-9]{1,20})?(e-?[0-9]{1,2})?") {
        let value = f64::from_bits(bits);
        if value.is_finite() {
            prop_assert_eq!(double(format!("{value:e}").as_bytes()), Some(value));
            prop_assert_eq!(double(format!("{value}").as_bytes()), Some(value));
        }
        prop_assert_eq!(double(digits.as_bytes()), Some(digits.parse::<f64>().unwrap()));
    }

    #[test]
    fn what_is_found_out_parses(text in "[-+]?[0-9]{0,4}[-.eE:T ]?[0-9]{0,3}[-.eE+]?[0-9]{0,3}|[0-9]{4}-[01][0-9]-[0-3][0-9]([T ][0-2][0-9]:[0-5][0-9]:[0-5][0-9](\\.[0-9]{0,9})?(Z|[+-][0-9]{2}:?[0-9]{2})?)?") {
        let (kinds, _) = classify(text.as_bytes());
        let bytes = text.as_bytes();
        prop_assert!(!kinds.has(Kinds::INT) || int(bytes).is_some());
        prop_assert!(!kinds.has(Kinds::DOUBLE) || double(bytes).is_some());
        prop_assert!(!kinds.has(Kinds::DATE) || date(bytes).is_some());
        prop_assert!(!kinds.has(Kinds::TIMESTAMP) || timestamp(bytes).is_some());
    }

    #[test]
    fn a_date_is_the_one_that_jiff_counts(day in -719_162i32..2_932_896) {
        let epoch = jiff::civil::date(1970, 1, 1);
        let text = epoch.checked_add(jiff::Span::new().days(day)).unwrap().to_string();
        prop_assert_eq!(date(text.as_bytes()), Some(day), "{}", text);
    }
}
