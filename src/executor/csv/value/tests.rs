mod reference;

use proptest::prelude::*;

use super::*;

const DAY_FIRST: Formats = Formats { date_order: DateOrder::DayFirst, decimal_comma: false };
const MONTH_FIRST: Formats = Formats { date_order: DateOrder::MonthFirst, decimal_comma: false };
const COMMA: Formats = Formats { date_order: DateOrder::None, decimal_comma: true };
const PLAIN: Formats = Formats { date_order: DateOrder::None, decimal_comma: false };

fn kinds(text: &str) -> Kinds {
    classify(text.as_bytes()).0
}

/// Reads a text alone in a buffer and in the midst of others; what stands around it must not matter.
fn read<T: PartialEq + std::fmt::Debug>(text: &str, read: impl Fn(Text<'_>) -> T) -> T {
    let alone = read(Text::from(text.as_bytes()));
    for (before, behind) in [("", ",1.5-9,23 45"), ("12345678.", "0000000000"), ("-", ".........")] {
        let buffer = format!("{before}{text}{behind}");
        let amid = read(Text::new(buffer.as_bytes(), before.len(), before.len() + text.len()));
        assert!(
            amid == alone || format!("{amid:?}") == format!("{alone:?}"),
            "`{text}` in `{buffer}`: {amid:?}, alone: {alone:?}"
        );
    }
    alone
}

fn days(text: &str) -> Option<i32> {
    read(text, |text| date(text, PLAIN))
}

fn micros(text: &str) -> Option<i64> {
    read(text, |text| timestamp(text, PLAIN))
}

fn number(text: &str) -> Option<f64> {
    read(text, |text| double(text, PLAIN))
}

fn integer(text: &str) -> Option<i64> {
    read(text, |text| int(text, PLAIN))
}

#[test]
fn numbers_are_found_out_only_when_nothing_is_lost_by_it() {
    let int = Kinds::INT.or(Kinds::DOUBLE).or(Kinds::DECIMAL);
    for text in ["0", "7", "-12", "9007199254740992"] {
        assert_eq!(kinds(text), int, "{text}");
    }
    for text in ["9007199254740993", "9223372036854775807", "-9223372036854775807"] {
        assert_eq!(kinds(text), Kinds::INT.or(Kinds::DECIMAL), "{text} is not exact as a double");
    }
    for text in ["0.5", "-1.25", ".5", "1.", "0.30000000000000004", "100.0", "12345678.123456789"] {
        assert_eq!(kinds(text), Kinds::DOUBLE.or(Kinds::DECIMAL), "{text}");
    }
    for text in ["1e5", "-2.5E-3", "1E+10"] {
        assert_eq!(kinds(text), Kinds::DOUBLE, "{text}");
    }
    for text in ["0.1234567890123456789", "123456789012345678.5", "12345678901234567890.123456789"] {
        assert_eq!(kinds(text), Kinds::DECIMAL, "{text} has more digits than a double");
    }
    let texts =
        ["007", "-01", "00.5", "+4", "9223372036854775808", "1e999", "1.2.3", "1e", "-", ".", "-.", "1-2", "--1"];
    for text in texts {
        assert_eq!(kinds(text), Kinds::NONE, "{text}");
    }
    for text in ["1,000", "$5", "5 €", "12%", "1_000", "0x10", "1 000"] {
        assert_eq!(kinds(text), Kinds::NONE, "{text} is text");
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
    for (text, value) in [("TRUE", Some(true)), ("False", Some(false)), ("t", None), ("1", None), ("truE", Some(true))]
    {
        assert_eq!(read(text, boolean), value, "{text}");
    }
    for text in ["TRUE\0", "tr\u{15}e", "fals", "falsey", "f\u{1}lse", ""] {
        assert_eq!(read(text, boolean), None, "{text:?}");
    }
    assert_eq!(kinds("tRuE"), Kinds::BOOLEAN);
}

#[test]
fn a_date_must_be_one_of_the_calendar() {
    assert_eq!(days("1970-01-01"), Some(0));
    assert_eq!(days("2013-01-31"), Some(15_736));
    assert_eq!(days("1969-12-31"), Some(-1));
    assert_eq!(days("2000-02-29"), Some(11_016));
    let texts = [
        "1900-02-29",
        "2013-02-30",
        "2013-13-01",
        "2013-00-10",
        "2013-01-00",
        "0000-01-01",
        "2013-17-01",
        "2013-04-31",
        "31.04.2013",
        "30.02.2013",
        "32-Jan-2013",
        "Feb 29, 2013",
        "2013-1-32",
    ];
    for text in texts {
        assert_eq!(days(text), None, "{text}");
        assert_eq!(kinds(text), Kinds::NONE, "{text}");
    }
}

#[test]
fn a_date_is_understood_in_every_form_that_says_what_it_means() {
    let texts = [
        "1996-03-13",
        "1996/03/13",
        "1996-3-13",
        "1996/3/13",
        "13.03.1996",
        "13.3.1996",
        "13-Mar-1996",
        "13-MAR-1996",
        "13 Mar 1996",
        "13 march 1996",
        "Mar 13, 1996",
        "March 13, 1996",
        "mar 13 1996",
        "March  13,  1996",
    ];
    for text in texts {
        assert_eq!(days(text), Some(9_568), "{text}");
        assert_eq!(kinds(text), Kinds::DATE.or(Kinds::TIMESTAMP), "{text}");
    }
    assert_eq!(days("01.02.2013"), days("2013-02-01"), "with points the day comes first");
    assert_eq!(
        read("01.02.2013", |text| date(text, MONTH_FIRST)),
        days("2013-02-01"),
        "whatever the order with others"
    );
    for (month, name) in (1..).zip("jan feb mar apr may jun jul aug sep oct nov dec".split(' ')) {
        assert_eq!(days(&format!("7 {name} 2001")), days(&format!("2001-{month:02}-07")), "{name}");
    }
}

#[test]
fn a_text_that_is_nearly_a_date_is_none() {
    let texts = [
        "96-03-13",
        "13.03.96",
        "13-Mar-96",
        "1996-03/13",
        "1996.03.13",
        "13.03-1996",
        "13 Marc 1996",
        "13 Mar, 1996",
        "13-Mar 1996",
        "Mar 1996",
        "13 1996",
        "1996-03",
        "1996",
        "1996-03-",
        "1996-03-1x",
        "1996-03-131",
        "01996-03-13",
        "19960313",
        "Mar 13, 19960",
        "13Mar1996",
        "Mar13,1996",
        "1996-Mar-13",
        "13-03 1996",
        "",
        "-",
        "Mar",
        "1.1.1",
        "2013-01-0:",
        "2013-0/-01",
        "2013:01:01",
        "２０１３-01",
    ];
    for text in texts {
        assert_eq!(days(text), None, "{text}");
        assert!(!kinds(text).has(Kinds::DATE.or(Kinds::TIMESTAMP)), "{text}");
    }
}

#[test]
fn without_a_date_order_days_and_months_with_slashes_stay_text() {
    for text in ["03/04/2013", "3/4/2013", "03-04-2013", "13/03/2013", "03/13/2013"] {
        assert_eq!((days(text), micros(text), kinds(text)), (None, None, Kinds::NONE), "{text}");
    }
}

#[test]
fn a_date_order_says_what_comes_first() {
    for text in ["03/04/2013", "3/4/2013", "03-04-2013"] {
        assert_eq!(read(text, |text| date(text, DAY_FIRST)), days("2013-04-03"), "{text}");
        assert_eq!(read(text, |text| date(text, MONTH_FIRST)), days("2013-03-04"), "{text}");
        assert!(shape(text.as_bytes().into(), DAY_FIRST).kinds.has(Kinds::DATE), "{text}");
    }
    assert_eq!(read("13/03/2013", |text| date(text, MONTH_FIRST)), None, "there is no 13th month");
    assert_eq!(read("03/13/2013", |text| date(text, DAY_FIRST)), None);
    assert_eq!(read("03/04/13", |text| date(text, DAY_FIRST)), None, "two-digit years are none");
    let at = read("3/4/2013 1:05 pm", |text| timestamp(text, MONTH_FIRST));
    assert_eq!(at, micros("2013-03-04T13:05:00Z"));
}

#[test]
fn a_timestamp_is_utc_unless_it_says_otherwise() {
    let noon = Some(1_357_041_600_000_000);
    let texts = [
        "2013-01-01T12:00:00Z",
        "2013-01-01 12:00:00",
        "2013-01-01 12:00:00.000",
        "2013-01-01T14:00:00+02:00",
        "2013-01-01T06:30:00-0530",
        "2013-01-01t13:00:00+01",
        "2013-01-01T12:00",
        "2013-01-01 12:00Z",
        "2013-01-01  12:00:00 UTC",
        "2013-01-01 12:00:00 gmt",
        "2013-01-01 12:00:00 +00:00",
        "2013-01-01 12:00:00 Z",
        "2013/01/01 12:00:00",
        "01.01.2013 12:00",
        "1-Jan-2013 12:00:00.0",
        "January 1, 2013 12:00 PM",
        "1 Jan 2013 12:00:00PM",
        "2013-1-1 2:00 pm +0200",
        "20130101T120000Z",
        "20130101T120000",
        "20130101T140000.0+0200",
        "2013-01-01T12:00:00UTC",
    ];
    for text in texts {
        assert_eq!(micros(text), noon, "{text}");
        assert_eq!(kinds(text), Kinds::TIMESTAMP, "{text}");
    }
    assert_eq!(micros("2013-01-01"), Some(1_356_998_400_000_000), "a date is its midnight");
    assert_eq!(micros("01.01.2013"), Some(1_356_998_400_000_000));
    assert_eq!(days("2013-01-01T12:00:00"), None, "a date has no time");
}

#[test]
fn hours_count_to_12_before_am_and_pm() {
    assert_eq!(micros("2013-01-01 12:30 AM"), micros("2013-01-01T00:30:00"));
    assert_eq!(micros("2013-01-01 1:30am"), micros("2013-01-01T01:30:00"));
    assert_eq!(micros("2013-01-01 12:30 PM"), micros("2013-01-01T12:30:00"));
    assert_eq!(micros("2013-01-01 11:59:59.5 pm"), micros("2013-01-01T23:59:59.5"));
    assert_eq!((micros("2013-01-01 0:30 AM"), micros("2013-01-01 13:30 PM")), (None, None));
}

#[test]
fn moments_that_a_day_does_not_have_and_unknown_zones_are_refused() {
    let texts = [
        "2013-01-01T24:00:00",
        "2013-01-01T12:00:60",
        "2016-12-31T23:59:60Z",
        "2013-01-01T12:60",
        "2013-01-01T12",
        "2013-01-01 12:00:00 CET",
        "2013-01-01 12:00:00 UTC+2",
        "2013-01-01T12:00:00+24:00",
        "2013-01-01T12:00:00+1",
        "2013-01-01T12:00:00+01:60",
        "2013-01-01T12:00:00.",
        "2013-01-01T12:00.5",
        "2013-01-01T",
        "2013-01-01 x",
        "2013-01-01T12:0",
        "2013-01-01T12:00:0",
        "2013-01-01T 12:00",
        "2013-01-01Z",
        "20130101T1200",
        "20130101",
        "12:00:00",
        "2013-01-01_12:00:00",
        "2013-01-01T12-00-00",
        "2013-02-30T12:00:00",
        "2013-01-01T12:00:00ZZ",
        "20131301T120000Z",
    ];
    for text in texts {
        assert_eq!(micros(text), None, "{text}");
        assert!(!kinds(text).has(Kinds::TIMESTAMP), "{text}");
    }
}

#[test]
fn digits_behind_the_microsecond_are_cut_off() {
    assert_eq!(micros("1970-01-01T00:00:00.1"), Some(100_000));
    assert_eq!(micros("1970-01-01T00:00:00.123456789Z"), Some(123_456));
    assert_eq!(micros("1969-12-31T23:59:59.9999999Z"), Some(-1));
    assert_eq!(micros("1970-01-01T00:00:00.1234567890"), None);
}

#[test]
fn a_column_that_is_decided_takes_the_same_number_in_another_spelling() {
    let values =
        [("007", Some(7)), ("+4", Some(4)), ("5.0", Some(5)), ("-3.", Some(-3)), ("-0", Some(0)), ("  8\t", Some(8))];
    for (text, value) in values {
        assert_eq!(integer(text), value, "{text}");
    }
    for text in ["5.5", "1e3", "", "-", ".0", "+", "1,5", "--1", "1-", "12345678-", "123456789a", "/", ":"] {
        assert_eq!(integer(text), None, "{text}");
    }
    assert_eq!((integer("9223372036854775807"), integer("9223372036854775808")), (Some(i64::MAX), None));
    assert_eq!((integer("-9223372036854775808"), integer("-9223372036854775809")), (Some(i64::MIN), None));
    let small = |text| read(text, |text| int32(text, PLAIN));
    assert_eq!((small("2147483647"), small("2147483648")), (Some(i32::MAX), None));
}

#[test]
fn a_decimal_is_exact_or_nothing() {
    let exact = |text, precision, scale| read(text, |text| decimal(text, precision, scale, PLAIN));
    assert_eq!(exact("12.30", 5, 2), Some(1230));
    assert_eq!(exact("-12.3", 5, 2), Some(-1230));
    assert_eq!(exact("+7", 5, 2), Some(700));
    assert_eq!(exact("1.2300", 5, 2), Some(123));
    assert_eq!(exact(".5", 5, 2), Some(50));
    assert_eq!(exact("5.0", 3, 0), Some(5));
    assert_eq!(exact("-999.99", 5, 2), Some(-99_999));
    assert_eq!(exact("99999999999999999999999999999999999999", 38, 0), Some(10i128.pow(38) - 1));
    assert_eq!(exact("0.00000000000000000000000000000000000001", 38, 38), Some(1));
    assert_eq!(exact("1", 38, 38), None);
    for text in ["1.234", "1000.00", "1e2", "", ".", "-", "1,5", "999999999999999999999999999999999999999999"] {
        assert_eq!(exact(text, 5, 2), None, "{text}");
    }
}

#[test]
fn a_double_too_large_is_none_and_words_are_taken_in_any_case() {
    assert_eq!((number("1e999"), number("1e0000001")), (None, None));
    assert_eq!(number("-Infinity"), Some(f64::NEG_INFINITY));
    assert!(number("NAN").unwrap().is_nan());
    for text in ["abc", "0x10", "1e5x", "--1", "", "-", ".", "-.", "1..2", "1.2.3", "e5", "123456789.1.1"] {
        assert_eq!(number(text), None, "{text}");
    }
    for text in ["-0", "-0.00", "-0.0000000000000000"] {
        assert_eq!(number(text).map(f64::to_bits), Some((-0.0f64).to_bits()), "{text}");
    }
}

#[test]
fn a_double_between_two_others_goes_to_the_even_one() {
    // 2^53 + 1 and 2^54 + 2 lie in the middle; a digit far behind decides otherwise.
    for text in [
        "9007199254740993",
        "9007199254740993.0",
        "18014398509481986.",
        "9007199254740993.000000",
        "9007199254740993.5",
    ] {
        assert_eq!(number(text), Some(text.parse().unwrap()), "{text}");
    }
}

#[test]
fn with_a_decimal_comma_points_stand_between_thousands_or_nowhere() {
    let number = |text| read(text, |text| double(text, COMMA));
    let values = [
        ("1.234,56", 1234.56),
        ("1234,5", 1234.5),
        ("-1.234.567,5", -1_234_567.5),
        (",5", 0.5),
        ("7", 7.0),
        ("1.234", 1234.0),
        ("1,5e3", 1500.0),
        ("0,04", 0.04),
        ("-12345678901234,25", -12_345_678_901_234.25),
    ];
    for (text, value) in values {
        assert_eq!(number(text), Some(value), "{text}");
        assert!(shape(text.as_bytes().into(), COMMA).kinds.has(Kinds::DOUBLE), "{text}");
    }
    for text in
        ["1.5", "12.34,5", "1234.567", "0.123", "1.234.56", "1,2,3", "1,234.5", ".123", "1..234", "1.234e5", "1.2345"]
    {
        assert_eq!(number(text), None, "{text}");
        assert_eq!(shape(text.as_bytes().into(), COMMA).kinds, Kinds::NONE, "{text}");
    }
    let int = |text| read(text, |text| int(text, COMMA));
    assert_eq!((int("1.234.567"), int("-12"), int("5,0"), int("5.0")), (Some(1_234_567), Some(-12), Some(5), None));
    let decimal = |text| read(text, |text| decimal(text, 9, 2, COMMA));
    assert_eq!((decimal("1.234,5"), decimal("1234,567"), decimal("1.5")), (Some(123_450), None, None));
    assert_eq!(shape(b"1.234".as_slice().into(), COMMA).kinds, kinds("1234"));
    assert_eq!(read("13.03.1996", |text| date(text, COMMA)), days("1996-03-13"), "dates have points all the same");
}

#[test]
fn spaces_around_a_value_do_not_count() {
    assert_eq!(trim(b" \t a b\t "), b"a b");
    assert_eq!((trim(b"  "), trim(b""), trim(b" x"), trim(b"x ")), (&b""[..], &b""[..], &b"x"[..], &b"x"[..]));
    assert_eq!(
        (integer(" 12 "), number("\t1.5"), days("1996-03-13 "), read(" true", boolean)),
        (Some(12), Some(1.5), Some(9_568), Some(true))
    );
    assert_eq!(read("  1.5 ", |text| decimal(text, 5, 2, PLAIN)), Some(150));
    assert_eq!(micros(" 2013-01-01T12:00:00Z "), micros("2013-01-01T12:00:00Z"));
    assert_eq!(kinds(" 12 "), kinds("12"));
}

/// Numbers in every spelling, and what is nearly one.
fn numberlike() -> impl Strategy<Value = String> {
    prop_oneof![
        "-?[0-9]{1,26}",
        "-?[0-9]{0,20}\\.[0-9]{0,20}",
        "[-+]?0{0,3}[0-9]{0,18}\\.?[0-9]{0,18}(e[-+]?[0-9]{0,3})?",
        "[-+.0-9eE,/:]{0,26}",
        "[ \t]{0,2}-?[0-9]{1,8}(\\.[0-9]{1,2})?[ \t]{0,2}",
        "-?(nan|NaN|inf|INF|Infinity|infinite|NA|e)",
        any::<i64>().prop_map(|value| value.to_string()),
        any::<f64>().prop_map(|value| value.to_string()),
    ]
}

proptest! {
    #[test]
    fn numbers_are_read_as_a_byte_at_a_time(text in numberlike(), precision in 1u8..=38, scale in 0u8..=38) {
        let bytes = trim(text.as_bytes());
        let scale = scale.min(precision);
        prop_assert_eq!(integer(&text), reference::int(bytes));
        prop_assert_eq!(number(&text).map(f64::to_bits), reference::double(bytes).map(f64::to_bits));
        prop_assert_eq!(read(&text, |text| decimal(text, precision, scale, PLAIN)), reference::decimal(bytes, precision, scale));
        let (kinds, makes_type) = reference::classify(bytes);
        let found = read(&text, |text| shape(text, PLAIN));
        if text.len() < 10 || text.as_bytes()[4] != b'-' {
            prop_assert_eq!((found.kinds.without(Kinds::DECIMAL), found.makes_type), (kinds, makes_type));
        }
        let strict = read(&text, |text| strict_int(text, PLAIN));
        prop_assert_eq!(strict, integer(&text).filter(|_| found.kinds.has(Kinds::INT)));
        let strict = read(&text, |text| strict_double(text, PLAIN));
        let expected = number(&text).filter(|_| found.kinds.has(Kinds::DOUBLE));
        prop_assert_eq!(strict.map(f64::to_bits), expected.map(f64::to_bits));
        if found.kinds.has(Kinds::DECIMAL) {
            let value = read(&text, |text| decimal(text, 38, found.fraction, PLAIN));
            prop_assert!(value.is_some_and(|value| value.abs() < 10i128.pow(u32::from(found.whole + found.fraction))));
        }
    }

    #[test]
    fn iso_dates_and_timestamps_are_read_as_a_byte_at_a_time(
        text in "[0-9]{3,4}[-/.0-9][01][0-9][-0][0-3][0-9/:]|[0-2][0-9]{3}-[01][0-9]-[0-3][0-9][T t][0-2][0-9]:[0-6][0-9]:[0-6][0-9](\\.[0-9]{0,10})?(Z|[+-][0-9]{2}:?[0-9]{2})?"
    ) {
        let bytes = text.as_bytes();
        if let Some(day) = reference::date(bytes) {
            prop_assert_eq!(days(&text), Some(day));
        }
        if let Some(at) = reference::timestamp(bytes) {
            prop_assert_eq!(micros(&text), Some(at));
        } else {
            prop_assert_eq!(micros(&text), micros(&format!("{text} ")));
            let other_form = !text.starts_with(|c: char| c.is_ascii_digit()) || text.as_bytes()[4] != b'-' || text.len() < 10;
            prop_assert!(other_form || micros(&text).is_none(), "{}", text);
        }
    }

    #[test]
    fn a_double_is_the_nearest_one(bits: u64, digits in "-?[0-9]{1,20}(\\.[0-9]{1,20})?(e-?[0-9]{1,2})?", places in 0usize..20) {
        let value = f64::from_bits(bits);
        if value.is_finite() {
            prop_assert_eq!(number(&format!("{value:e}")), Some(value));
            prop_assert_eq!(number(&format!("{value}")), Some(value));
        }
        prop_assert_eq!(number(&digits), Some(digits.parse::<f64>().unwrap()));
        let usual = format!("{:.places$}", (bits >> 11) as f64 / (1u64 << (bits & 63)) as f64);
        prop_assert_eq!(number(&usual), Some(usual.parse::<f64>().unwrap()), "{}", usual);
    }

    #[test]
    fn what_is_found_out_parses(
        text in "[-+]?[0-9]{0,4}[-.eE:T /]?[0-9A-Ma-m]{0,3}[-.eE+/ ]?[0-9]{0,4}|[0-9]{4}-[01][0-9]-[0-3][0-9]([T ][0-2][0-9]:[0-5][0-9]:[0-5][0-9](\\.[0-9]{0,9})?(Z|[+-][0-9]{2}:?[0-9]{2})?)?",
        order in prop_oneof![Just(DateOrder::None), Just(DateOrder::DayFirst), Just(DateOrder::MonthFirst)],
        decimal_comma: bool,
    ) {
        let formats = Formats { date_order: order, decimal_comma };
        let text = Text::from(text.as_bytes());
        let shape = shape(text, formats);
        let kinds = shape.kinds;
        prop_assert!(!kinds.has(Kinds::INT) || int(text, formats).is_some());
        prop_assert!(!kinds.has(Kinds::DOUBLE) || double(text, formats).is_some());
        prop_assert!(!kinds.has(Kinds::DECIMAL) || decimal(text, 38, shape.fraction, formats).is_some());
        prop_assert_eq!(kinds.has(Kinds::DATE), date(text, formats).is_some());
        prop_assert_eq!(kinds.has(Kinds::TIMESTAMP), timestamp(text, formats).is_some());
        prop_assert!(!kinds.has(Kinds::NUMBER) || !kinds.has(Kinds::TIMESTAMP.or(Kinds::BOOLEAN)), "no text is both");
    }

    #[test]
    fn a_date_is_the_one_that_jiff_counts(day in -719_162i32..2_932_896) {
        let epoch = jiff::civil::date(1970, 1, 1);
        let date = epoch.checked_add(jiff::Span::new().days(day)).unwrap();
        prop_assert_eq!(days(&date.to_string()), Some(day), "{}", date);
        let german = format!("{}.{}.{:04}", date.day(), date.month(), date.year());
        prop_assert_eq!(days(&german), Some(day), "{}", german);
        let at = format!("{date}T23:59:59.999999");
        prop_assert_eq!(micros(&at), Some((i64::from(day) + 1) * 86_400_000_000 - 1), "{}", at);
    }
}
