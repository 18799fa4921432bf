use proptest::prelude::*;

use super::{super::value::DateOrder, *};

fn evidence_with(values: &[&str], formats: Formats) -> Evidence {
    let mut evidence = Evidence::default();
    values.iter().for_each(|value| evidence.look(value.as_bytes().into(), formats));
    evidence
}

/// The type of a column of these values, which must not depend on their order or on how they are cut into parts.
fn column_type_with(values: &[&str], formats: Formats) -> String {
    let all = evidence_with(values, formats);
    let reversed: Vec<&str> = values.iter().rev().copied().collect();
    assert_eq!(evidence_with(&reversed, formats), all, "{values:?}");
    for cut in 0..=values.len() {
        let (one, other) = (evidence_with(&values[..cut], formats), evidence_with(&values[cut..], formats));
        let (mut merged, mut swapped) = (one, other);
        merged.merge(&other);
        swapped.merge(&one);
        assert_eq!((merged, swapped), (all, all), "{values:?} cut at {cut}");
    }
    all.column_type().to_string()
}

fn column_type(values: &[&str]) -> String {
    column_type_with(values, Formats::default())
}

#[test]
fn a_type_must_fit_every_value() {
    assert_eq!(column_type(&["1", "-2", "0"]), "int64");
    assert_eq!(column_type(&["1", "2.5"]), "double");
    assert_eq!(column_type(&["2.5", "1e5", "-3"]), "double");
    assert_eq!(column_type(&["true", "FALSE"]), "boolean");
    assert_eq!(column_type(&["2013-01-01", "2014-12-31"]), "date");
    assert_eq!(column_type(&["2013-01-01", "2014-12-31T05:00:00Z"]), "timestamp");
    assert_eq!(column_type(&["1", "x"]), "string");
    assert_eq!(column_type(&["1", "true"]), "string");
    assert_eq!(column_type(&["1", "2013-01-01"]), "string");
    assert_eq!(column_type(&["2013-01-01", "2013-02-30"]), "string");
}

#[test]
fn a_column_without_a_value_is_text_but_open() {
    assert_eq!(column_type(&[]), "string");
    assert!(!Evidence::default().is_text());
}

#[test]
fn text_stays_text() {
    let mut evidence = evidence_with(&["x"], Formats::default());
    assert!(evidence.is_text());
    assert_eq!(evidence, Evidence::TEXT);
    evidence.look(b"1".as_slice().into(), Formats::default());
    evidence.merge(&evidence_with(&["1"], Formats::default()));
    assert_eq!(evidence, Evidence::TEXT);
}

#[test]
fn leading_zeros_signs_and_digits_beyond_64_bits_make_text() {
    for value in ["007", "+4", "99999999999999999999", "-01"] {
        assert_eq!(column_type(&["1", value]), "string", "{value}");
    }
    assert_eq!(column_type(&["1.5", "99999999999999999999"]), "string", "no decimal either: that is an id");
}

#[test]
fn nan_fits_a_double_and_makes_none() {
    assert_eq!(column_type(&["1.5", "NaN"]), "double");
    assert_eq!(column_type(&["inf", "3"]), "double");
    assert_eq!(column_type(&["NaN", "inf"]), "string");
    assert_eq!(column_type(&["9007199254740993", "NaN"]), "string");
}

#[test]
fn numbers_that_a_double_cannot_tell_apart_are_decimals() {
    assert_eq!(column_type(&["0.1234567890123456789"]), "decimal(19,19)");
    assert_eq!(column_type(&["1.5", "0.1234567890123456789", "-1234"]), "decimal(23,19)");
    assert_eq!(column_type(&["12345678901234567.25", "3"]), "decimal(19,2)");
    assert_eq!(column_type(&["0.00", "123456789012345678.9"]), "decimal(20,2)");
    assert_eq!(column_type(&["0.1234567890123456789", "1e5"]), "string", "an exponent is for doubles");
    assert_eq!(column_type(&["0.1234567890123456789", "NaN"]), "string");
}

#[test]
fn integers_that_a_double_cannot_hold_make_decimals_of_fractions_next_to_them() {
    assert_eq!(column_type(&["9007199254740993"]), "int64");
    assert_eq!(column_type(&["9007199254740993", "1.5"]), "decimal(17,1)");
    assert_eq!(column_type(&["9007199254740993", "1e5"]), "string");
    assert_eq!(column_type(&["9007199254740992", "1.5"]), "double");
}

#[test]
fn a_decimal_has_at_most_38_digits() {
    let (whole, fraction) = ("9".repeat(19), "1".repeat(20));
    assert_eq!(column_type(&[&format!("{}.5", &whole[..18]), &format!("0.{fraction}")]), "decimal(38,20)");
    assert_eq!(column_type(&[&format!("{whole}.5"), &format!("0.{fraction}")]), "string");
    assert_eq!(column_type(&[&format!("0.{}", "3".repeat(39))]), "string");
    assert_eq!(column_type(&[&format!("0.{}", "3".repeat(400))]), "string");
}

#[test]
fn formats_may_be_mixed_when_each_value_says_what_it_means() {
    assert_eq!(column_type(&["1996-03-13", "13.03.1996", "Mar 13, 1996"]), "date");
    assert_eq!(column_type(&["1996-03-13", "03/13/1996"]), "string");
    let formats = Formats { date_order: DateOrder::MonthFirst, decimal_comma: false };
    assert_eq!(column_type_with(&["1996-03-13", "03/13/1996"], formats), "date");
    assert_eq!(column_type_with(&["03/13/1996", "13/03/1996"], formats), "string");
}

#[test]
fn a_decimal_comma_makes_numbers_of_texts_and_texts_of_numbers() {
    let formats = Formats { date_order: DateOrder::None, decimal_comma: true };
    assert_eq!(column_type_with(&["1,5", "1.234,56"], formats), "double");
    assert_eq!(column_type_with(&["1", "1.234"], formats), "int64");
    assert_eq!(column_type_with(&["1,5", "1.5"], formats), "string");
    assert_eq!(column_type(&["1,5"]), "string");
}

fn value() -> impl Strategy<Value = String> {
    prop_oneof![
        "-?[0-9]{1,3}",
        "-?[1-9][0-9]{0,20}",
        "-?[0-9]{0,20}\\.[0-9]{0,20}",
        "[0-9]\\.[0-9]e[0-9]",
        "NaN|inf|true|false|x|007",
        "2013-0[1-3]-[0-3][0-9]([T ][0-2][0-9]:00:00Z?)?",
    ]
}

proptest! {
    #[test]
    fn parts_may_be_merged_in_any_order(parts in prop::collection::vec(prop::collection::vec(value(), 0..4), 0..5)) {
        let formats = Formats::default();
        let of = |part: &Vec<String>| evidence_with(&part.iter().map(String::as_str).collect::<Vec<_>>(), formats);
        let at_once = of(&parts.concat());
        let merged = |parts: &mut dyn Iterator<Item = Evidence>| parts.fold(Evidence::default(), |mut all, part| { all.merge(&part); all });
        prop_assert_eq!(merged(&mut parts.iter().map(of)), at_once);
        prop_assert_eq!(merged(&mut parts.iter().rev().map(of)), at_once);
        let (front, back) = parts.split_at(parts.len() / 2);
        let mut halves = [front, back].map(|half| merged(&mut half.iter().map(of)));
        let (one, other) = halves.split_at_mut(1);
        one[0].merge(&other[0]);
        prop_assert_eq!(one[0], at_once);
    }

    #[test]
    fn every_value_of_a_column_fits_the_type_found_out(values in prop::collection::vec(value(), 1..6)) {
        let formats = Formats::default();
        let evidence = evidence_with(&values.iter().map(String::as_str).collect::<Vec<_>>(), formats);
        for text in &values {
            let text = Text::from(text.as_bytes());
            let fits = match evidence.column_type() {
                ColumnType::Boolean => value::boolean(text).is_some(),
                ColumnType::Int64 => value::strict_int(text, formats).is_some(),
                ColumnType::Double => value::strict_double(text, formats).is_some(),
                ColumnType::Decimal { precision, scale } => value::decimal(text, precision, scale, formats).is_some(),
                ColumnType::Date => value::date(text, formats).is_some(),
                ColumnType::Timestamp => value::timestamp(text, formats).is_some(),
                ColumnType::String => true,
                ColumnType::Int32 => false,
            };
            prop_assert!(fits, "{:?} in {:?}", text, values);
        }
    }
}
