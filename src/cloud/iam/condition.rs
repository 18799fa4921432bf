//! Condition operators.
//! <https://docs.aws.amazon.com/IAM/latest/UserGuide/reference_policies_elements_condition_operators.html>

use std::{cmp::Ordering, net::IpAddr};

use jiff::{Timestamp, civil::Date, tz::TimeZone};

use super::{context::Context, wildcard::Pattern};

/// One operator over one key.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Condition {
    /// What is compared, and how.
    pub operator: Operator,
    /// The context key, as written.
    pub key: String,
    /// Any of these.
    pub values: Vec<String>,
}

/// `ForAnyValue:StringNotLikeIfExists`, taken apart.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Operator {
    /// For keys with many values.
    pub quantifier: Option<Quantifier>,
    /// What is compared.
    pub test: Test,
    /// `Not…`: none of the values.
    pub negated: bool,
    /// Holds when the request does not carry the key.
    pub if_exists: bool,
}

/// How many of a key's values have to match.
/// <https://docs.aws.amazon.com/IAM/latest/UserGuide/reference_policies_condition-single-vs-multi-valued-context-keys.html>
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Quantifier {
    /// `ForAllValues:`
    All,
    /// `ForAnyValue:`
    Any,
}

/// What an operator compares, without its negation.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Test {
    /// `StringEquals`
    Text,
    /// `StringEqualsIgnoreCase`
    TextIgnoringCase,
    /// `StringLike`
    Like,
    /// `ArnEquals` and `ArnLike`, which are the same.
    Arn,
    /// `Numeric…`
    Number(Comparison),
    /// `Date…`
    Time(Comparison),
    /// `Bool`
    Bool,
    /// `BinaryEquals`; no key of this cloud is binary, so that it is never judged.
    Binary,
    /// `IpAddress`
    Address,
    /// `Null`
    Null,
}

/// How numbers and times compare.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Comparison {
    /// `Equals`
    Equal,
    /// `LessThan`
    Less,
    /// `LessThanEquals`
    AtMost,
    /// `GreaterThan`
    Greater,
    /// `GreaterThanEquals`
    AtLeast,
}

impl Comparison {
    fn holds(self, ordering: Ordering) -> bool {
        match self {
            Comparison::Equal => ordering.is_eq(),
            Comparison::Less => ordering.is_lt(),
            Comparison::AtMost => ordering.is_le(),
            Comparison::Greater => ordering.is_gt(),
            Comparison::AtLeast => ordering.is_ge(),
        }
    }
}

/// Operators without their quantifier and `IfExists`: name, what it compares, whether it is negated.
const OPERATORS: [(&str, Test, bool); 27] = [
    ("StringEquals", Test::Text, false),
    ("StringNotEquals", Test::Text, true),
    ("StringEqualsIgnoreCase", Test::TextIgnoringCase, false),
    ("StringNotEqualsIgnoreCase", Test::TextIgnoringCase, true),
    ("StringLike", Test::Like, false),
    ("StringNotLike", Test::Like, true),
    ("NumericEquals", Test::Number(Comparison::Equal), false),
    ("NumericNotEquals", Test::Number(Comparison::Equal), true),
    ("NumericLessThan", Test::Number(Comparison::Less), false),
    ("NumericLessThanEquals", Test::Number(Comparison::AtMost), false),
    ("NumericGreaterThan", Test::Number(Comparison::Greater), false),
    ("NumericGreaterThanEquals", Test::Number(Comparison::AtLeast), false),
    ("DateEquals", Test::Time(Comparison::Equal), false),
    ("DateNotEquals", Test::Time(Comparison::Equal), true),
    ("DateLessThan", Test::Time(Comparison::Less), false),
    ("DateLessThanEquals", Test::Time(Comparison::AtMost), false),
    ("DateGreaterThan", Test::Time(Comparison::Greater), false),
    ("DateGreaterThanEquals", Test::Time(Comparison::AtLeast), false),
    ("Bool", Test::Bool, false),
    ("BinaryEquals", Test::Binary, false),
    ("IpAddress", Test::Address, false),
    ("NotIpAddress", Test::Address, true),
    ("ArnEquals", Test::Arn, false),
    ("ArnLike", Test::Arn, false),
    ("ArnNotEquals", Test::Arn, true),
    ("ArnNotLike", Test::Arn, true),
    ("Null", Test::Null, false),
];

impl Operator {
    /// Reads an operator's name; `None` when there is no such operator.
    pub fn parse(name: &str) -> Option<Operator> {
        let (quantifier, plain) = match (name.strip_prefix("ForAllValues:"), name.strip_prefix("ForAnyValue:")) {
            (Some(rest), _) => (Some(Quantifier::All), rest),
            (_, Some(rest)) => (Some(Quantifier::Any), rest),
            _ => (None, name),
        };
        let (plain, if_exists) = match plain.strip_suffix("IfExists") {
            Some(plain) => (plain, true),
            None => (plain, false),
        };
        let found = OPERATORS.iter().find(|(known, ..)| known.eq_ignore_ascii_case(plain));
        let (_, test, negated) = *found?;
        // Null asks after existence itself.
        (test != Test::Null || (!if_exists && quantifier.is_none())).then_some(Operator {
            quantifier,
            test,
            negated,
            if_exists,
        })
    }
}

impl Condition {
    /// Whether the condition holds; `None` when that cannot be judged: a value that is not of the operator's type,
    /// a key with several values without a quantifier, a key that this cloud does not know.
    pub fn holds(&self, context: &Context, variables: bool) -> Option<bool> {
        let Operator { quantifier, test, negated, if_exists } = self.operator;
        if !context.knows(&self.key) {
            return None;
        }
        let actual = context.get(&self.key).filter(|values| !values.is_empty());
        if test == Test::Null {
            let wanted = |value: &String| value.eq_ignore_ascii_case("true") == actual.is_none();
            return Some(self.values.iter().any(wanted));
        }
        let Some(actual) = actual else {
            return Some(if_exists || quantifier == Some(Quantifier::All) || (negated && quantifier.is_none()));
        };
        let one = |actual: &String| {
            let matched = self.any_value(actual, context, variables)?;
            Some(matched != negated)
        };
        match quantifier {
            Some(Quantifier::All) => all(actual.iter().map(one)),
            Some(Quantifier::Any) => all(actual.iter().map(|value| one(value).map(|held| !held))).map(|none| !none),
            None => match actual {
                [actual] => one(actual),
                _ => None,
            },
        }
    }

    /// Whether any of the policy's values matches this one of the request's.
    fn any_value(&self, actual: &str, context: &Context, variables: bool) -> Option<bool> {
        let none = all(self.values.iter().map(|value| {
            let matched = compare(self.operator.test, value, actual, context, variables);
            matched.map(|matched| !matched)
        }));
        none.map(|none| !none)
    }
}

/// Whether all hold: one that does not decides, even where another cannot be judged.
pub fn all(held: impl Iterator<Item = Option<bool>>) -> Option<bool> {
    let mut all = Some(true);
    for held in held {
        match held {
            Some(false) => return Some(false),
            Some(true) => {}
            None => all = None,
        }
    }
    all
}

fn compare(test: Test, value: &str, actual: &str, context: &Context, variables: bool) -> Option<bool> {
    // A variable without a value is equal to nothing.
    let text = |test: &dyn Fn(&Pattern) -> bool| {
        let pattern = match variables {
            true => Pattern::filled(value, context),
            false => Some(Pattern::plain(value)),
        };
        Some(pattern.is_some_and(|pattern| test(&pattern)))
    };
    match test {
        Test::Text => text(&|pattern| pattern.equals(actual, false)),
        Test::TextIgnoringCase => text(&|pattern| pattern.equals(actual, true)),
        Test::Like => text(&|pattern| pattern.matches(actual, false)),
        Test::Arn => text(&|pattern| actual.starts_with("arn:") && pattern.matches_arn(actual)),
        Test::Number(comparison) => {
            let (value, actual) = (value.trim().parse::<f64>().ok()?, actual.trim().parse::<f64>().ok()?);
            actual.partial_cmp(&value).map(|ordering| comparison.holds(ordering))
        }
        Test::Time(comparison) => Some(comparison.holds(time(actual)?.cmp(&time(value)?))),
        Test::Bool => match (boolean(value), boolean(actual)) {
            (Some(value), Some(actual)) => Some(value == actual),
            _ => None,
        },
        Test::Address => Some(Network::parse(value)?.contains(actual.parse().ok()?)),
        Test::Binary | Test::Null => None,
    }
}

fn boolean(text: &str) -> Option<bool> {
    match text {
        text if text.eq_ignore_ascii_case("true") => Some(true),
        text if text.eq_ignore_ascii_case("false") => Some(false),
        _ => None,
    }
}

/// A time of ISO 8601, a day, or seconds since 1970.
fn time(text: &str) -> Option<Timestamp> {
    if let Ok(seconds) = text.parse::<i64>() {
        return Timestamp::from_second(seconds).ok();
    }
    text.parse::<Timestamp>().ok().or_else(|| {
        let day = text.parse::<Date>().ok()?;
        day.to_zoned(TimeZone::UTC).ok().map(|day| day.timestamp())
    })
}

/// Addresses in CIDR notation, or one address.
struct Network {
    address: IpAddr,
    bits: u32,
}

impl Network {
    fn parse(text: &str) -> Option<Network> {
        let (address, bits) = match text.split_once('/') {
            Some((address, bits)) => (address.parse::<IpAddr>().ok()?, Some(bits.parse::<u32>().ok()?)),
            None => (text.parse::<IpAddr>().ok()?, None),
        };
        let most = if address.is_ipv4() { 32 } else { 128 };
        let bits = bits.unwrap_or(most);
        (bits <= most).then_some(Network { address, bits })
    }

    fn contains(&self, other: IpAddr) -> bool {
        match (self.address, other) {
            (IpAddr::V4(own), IpAddr::V4(other)) => {
                let apart = 32 - self.bits;
                (u64::from(own.to_bits()) >> apart) == (u64::from(other.to_bits()) >> apart)
            }
            (IpAddr::V6(own), IpAddr::V6(other)) => {
                self.bits == 0 || (own.to_bits() >> (128 - self.bits)) == (other.to_bits() >> (128 - self.bits))
            }
            _ => false,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn holds(operator: &str, values: &[&str], actual: &[&str]) -> Option<bool> {
        let condition = Condition {
            operator: Operator::parse(operator).unwrap(),
            key: "aws:Key".into(),
            values: values.iter().map(|value| (*value).to_owned()).collect(),
        };
        let context = actual.iter().map(|value| ("AWS:key", *value)).chain([("aws:username", "ann")]).collect();
        condition.holds(&context, true)
    }

    #[test]
    fn operators_hold_as_the_reference_says() {
        type Case<'a> = (&'a str, &'a [&'a str], &'a [&'a str], Option<bool>);
        let cases: &[Case<'_>] = &[
            ("StringEquals", &["a", "b"], &["b"], Some(true)),
            ("StringEquals", &["a"], &["A"], Some(false)),
            ("StringEquals", &["a*"], &["ab"], Some(false)),
            ("StringEquals", &["a"], &[], Some(false)),
            ("StringEqualsIfExists", &["a"], &[], Some(true)),
            ("StringEqualsIfExists", &["a"], &["b"], Some(false)),
            ("StringNotEquals", &["a", "b"], &["b"], Some(false)),
            ("StringNotEquals", &["a", "b"], &["c"], Some(true)),
            ("StringNotEquals", &["a"], &[], Some(true)),
            ("StringEqualsIgnoreCase", &["É"], &["é"], Some(true)),
            ("StringNotEqualsIgnoreCase", &["A"], &["a"], Some(false)),
            ("StringLike", &["a*"], &["ab"], Some(true)),
            ("StringLike", &["A*"], &["ab"], Some(false)),
            ("StringNotLike", &["a*"], &["ab"], Some(false)),
            ("StringEquals", &["home/${aws:username}"], &["home/ann"], Some(true)),
            ("StringLike", &["${aws:PrincipalTag/team}"], &["a"], Some(false)),
            ("StringNotLike", &["${aws:PrincipalTag/team}"], &["a"], Some(true)),
            ("ArnLike", &["arn:aws:s3:::raw*"], &["arn:aws:s3:::raw-1"], Some(true)),
            ("ArnEquals", &["arn:aws:s3:::raw*"], &["arn:aws:s3:::raw-1"], Some(true)),
            ("ArnNotLike", &["arn:aws:s3:::raw*"], &["arn:aws:s3:::raw-1"], Some(false)),
            ("ArnLike", &["arn:aws:s3:::raw*"], &["raw"], Some(false)),
            ("NumericLessThanEquals", &["10"], &["10"], Some(true)),
            ("NumericGreaterThan", &["10"], &["9"], Some(false)),
            ("NumericNotEquals", &["10"], &["9"], Some(true)),
            ("NumericEquals", &["10"], &["ten"], None),
            ("DateGreaterThan", &["2024-01-01"], &["2024-01-01T00:00:01Z"], Some(true)),
            ("DateLessThan", &["2024-01-01T00:00:00Z"], &["1700000000"], Some(true)),
            ("DateEquals", &["some day"], &["2024-01-01T00:00:01Z"], None),
            ("Bool", &["true"], &["True"], Some(true)),
            ("Bool", &["false"], &["true"], Some(false)),
            ("Bool", &["false"], &[], Some(false)),
            ("BoolIfExists", &["false"], &[], Some(true)),
            ("Bool", &["maybe"], &["true"], None),
            ("Null", &["true"], &[], Some(true)),
            ("Null", &["false"], &[], Some(false)),
            ("Null", &["false"], &["a"], Some(true)),
            ("IpAddress", &["127.0.0.0/8"], &["127.0.0.1"], Some(true)),
            ("IpAddress", &["0.0.0.0/0"], &["127.0.0.1"], Some(true)),
            ("NotIpAddress", &["10.0.0.0/8", "127.0.0.1"], &["127.0.0.1"], Some(false)),
            ("IpAddress", &["2001:db8::/32"], &["2001:db8::7"], Some(true)),
            ("IpAddress", &["10.0.0.0/33"], &["10.0.0.1"], None),
            ("BinaryEquals", &["YQ=="], &["YQ=="], None),
            ("ForAllValues:StringEquals", &["a", "b"], &["a", "b"], Some(true)),
            ("ForAllValues:StringEquals", &["a"], &["a", "b"], Some(false)),
            ("ForAllValues:StringEquals", &["a"], &[], Some(true)),
            ("ForAnyValue:StringEquals", &["a"], &["a", "b"], Some(true)),
            ("ForAnyValue:StringEquals", &["a"], &["b"], Some(false)),
            ("ForAnyValue:StringEquals", &["a"], &[], Some(false)),
            ("ForAnyValue:StringLikeIfExists", &["a"], &[], Some(true)),
            ("ForAllValues:StringNotEquals", &["a"], &["b", "c"], Some(true)),
            ("ForAllValues:StringNotEquals", &["a"], &["b", "a"], Some(false)),
            ("ForAnyValue:StringNotEquals", &["a"], &["a", "b"], Some(true)),
            ("ForAnyValue:StringNotEquals", &["a"], &[], Some(false)),
            ("StringEquals", &["a"], &["a", "b"], None),
        ];
        for (operator, values, actual, expected) in cases {
            assert_eq!(holds(operator, values, actual), *expected, "{operator} {values:?} {actual:?}");
        }
    }

    #[test]
    fn a_key_that_the_cloud_does_not_know_is_not_judged_as_absent() {
        let condition = |key: &str| Condition {
            operator: Operator::parse("StringNotEquals").unwrap(),
            key: key.into(),
            values: vec!["x".into()],
        };
        assert_eq!(condition("s3:ExistingObjectTag/team").holds(&Context::default(), true), None);
        assert_eq!(condition("aws:SourceVpce").holds(&Context::default(), true), Some(true));
    }

    #[test]
    fn there_are_no_other_operators() {
        for name in ["StringIs", "NullIfExists", "ForAllValues:Null", "ForSomeValues:Bool", "IfExists", ""] {
            assert_eq!(Operator::parse(name), None, "{name}");
        }
        assert!(Operator::parse("stringequals").is_some());
    }
}
