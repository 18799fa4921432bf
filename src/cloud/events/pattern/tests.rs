use proptest::prelude::*;
use serde_json::json;

use super::*;

fn event() -> Value {
    json!({
        "version": "0",
        "source": "aws.glue",
        "detail-type": "Glue Crawler State Change",
        "time": "2022-07-13T13:48:01Z",
        "resources": ["arn:aws:glue:eu-west-1:000000000000:crawler/a", "arn:b"],
        "empty": [],
        "detail": {
            "crawlerName": "lake-orders",
            "state": "Succeeded",
            "count": 5,
            "ratio": 3.018e2,
            "nothing": null,
            "done": true,
            "blank": "",
            "ip": "10.0.0.33",
            "six": "2001:db8:1234:1a00::7",
            "file": "dir/sub/Report.PNG",
            "people": [{ "name": "Anna", "age": 3 }, { "name": "Ben", "age": 7 }],
        },
    })
}

fn matches(pattern: Value) -> bool {
    Pattern::parse(&pattern.to_string()).unwrap().matches(&event())
}

fn detail(pattern: Value) -> bool {
    matches(json!({ "detail": pattern }))
}

fn reason(pattern: Value) -> String {
    Pattern::parse(&pattern.to_string()).unwrap_err().reason().to_owned()
}

#[test]
fn all_fields_have_to_match_and_of_each_one_value() {
    assert!(matches(json!({ "source": ["aws.s3", "aws.glue"], "detail": { "state": ["Succeeded"] } })));
    assert!(!matches(json!({ "source": ["aws.s3"], "detail": { "state": ["Succeeded"] } })));
    assert!(!matches(json!({ "source": ["aws.glue"], "detail": { "state": ["Failed"] } })));
    assert!(!matches(json!({ "detail": ["aws.glue"] })), "an object is no value");
    assert!(!matches(json!({ "source": { "name": ["aws.glue"] } })), "and a value no object");
}

#[test]
fn a_rule_for_another_crawler_does_not_match() {
    let of = |name: &str| json!({ "detail": { "crawlerName": [name], "state": ["Succeeded"] } });
    assert!(matches(of("lake-orders")));
    assert!(!matches(of("lake-flights")));
    assert!(!matches(of("lake-orders-2")));
}

#[test]
fn types_are_told_apart_and_numbers_compared_as_such() {
    assert!(detail(json!({ "count": [5] })) && detail(json!({ "count": [5.0] })));
    assert!(!detail(json!({ "count": ["5"] })));
    assert!(detail(json!({ "nothing": [null] })) && !detail(json!({ "blank": [null] })));
    assert!(detail(json!({ "done": [true] })) && !detail(json!({ "done": ["true"] })));
    assert!(detail(json!({ "blank": [""] })));
    let large = Pattern::parse(r#"{"id": [9007199254740993]}"#).unwrap();
    assert!(large.matches(&json!({ "id": 9007199254740993_i64 })));
    assert!(!large.matches(&json!({ "id": 9007199254740992_i64 })), "a double would not tell these two apart");
}

#[test]
fn one_element_of_an_array_is_enough_and_objects_in_it_match_as_a_whole() {
    assert!(matches(json!({ "resources": ["arn:b", "arn:c"] })));
    assert!(!matches(json!({ "resources": ["arn:c"] })));
    assert!(detail(json!({ "people": { "name": ["Ben"], "age": [7] } })));
    assert!(!detail(json!({ "people": { "name": ["Ben"], "age": [3] } })), "Anna's age");
    assert!(!matches(json!({ "empty": [null] })));
}

#[test]
fn text_operators() {
    assert!(matches(json!({ "time": [{ "prefix": "2022-07" }] })));
    assert!(!detail(json!({ "count": [{ "prefix": "5" }] })), "of strings alone");
    assert!(detail(json!({ "file": [{ "suffix": ".PNG" }] })) && !detail(json!({ "file": [{ "suffix": ".png" }] })));
    assert!(detail(json!({ "file": [{ "suffix": { "equals-ignore-case": ".pNg" } }] })));
    assert!(detail(json!({ "file": [{ "prefix": { "equals-ignore-case": "DIR/" } }] })));
    assert!(detail(json!({ "state": [{ "equals-ignore-case": "SUCCEEDED" }] })));
    assert!(!detail(json!({ "state": [{ "equals-ignore-case": "SUCCEED" }] })));
    assert!(detail(json!({ "file": [{ "wildcard": "dir/*/*.PNG" }] })));
    assert!(!detail(json!({ "file": [{ "wildcard": "dir/*/*/*.PNG" }] })));
    assert!(!detail(json!({ "file": [{ "wildcard": "dir/\\*/Report.PNG" }] })));
}

#[test]
fn anything_but_wants_a_value() {
    assert!(detail(json!({ "state": [{ "anything-but": "Failed" }] })));
    assert!(!detail(json!({ "state": [{ "anything-but": ["Failed", "Succeeded"] }] })));
    assert!(
        !detail(json!({ "count": [{ "anything-but": [5, 6] }] }))
            && detail(json!({ "count": [{ "anything-but": 6 }] }))
    );
    assert!(detail(json!({ "nothing": [{ "anything-but": "x" }] })), "null is a value");
    assert!(!detail(json!({ "missing": [{ "anything-but": "x" }] })));
    assert!(!detail(json!({ "file": [{ "anything-but": { "prefix": "dir" } }] })));
    assert!(detail(json!({ "file": [{ "anything-but": { "prefix": ["a", "b"] } }] })));
    assert!(!detail(json!({ "file": [{ "anything-but": { "suffix": ".PNG" } }] })));
    assert!(!detail(json!({ "state": [{ "anything-but": { "equals-ignore-case": ["x", "SUCCEEDED"] } }] })));
    assert!(!detail(json!({ "file": [{ "anything-but": { "wildcard": "*/sub/*" } }] })));
    assert!(matches(json!({ "resources": [{ "anything-but": "arn:b" }] })), "the other element");
}

#[test]
fn numbers_lie_in_ranges() {
    assert!(detail(json!({ "count": [{ "numeric": [">", 0, "<=", 5] }] })));
    assert!(!detail(json!({ "count": [{ "numeric": [">", 0, "<", 5] }] })));
    assert!(detail(json!({ "ratio": [{ "numeric": ["=", 301.8] }] })));
    assert!(
        detail(json!({ "count": [{ "numeric": [">=", 5] }] }))
            && !detail(json!({ "count": [{ "numeric": ["<", 5] }] }))
    );
    assert!(
        !detail(json!({ "ip": [{ "numeric": [">", 0] }] })) && !detail(json!({ "nothing": [{ "numeric": ["=", 0] }] }))
    );
}

#[test]
fn existence_is_a_matter_of_leaves() {
    assert!(detail(json!({ "state": [{ "exists": true }] })) && !detail(json!({ "other": [{ "exists": true }] })));
    assert!(!detail(json!({ "state": [{ "exists": false }] })) && detail(json!({ "other": [{ "exists": false }] })));
    assert!(detail(json!({ "nothing": [{ "exists": true }] })), "null is there");
    assert!(matches(json!({ "detail": [{ "exists": false }] })), "an object is no leaf");
    assert!(!matches(json!({ "empty": [{ "exists": true }] })) && matches(json!({ "empty": [{ "exists": false }] })));
    assert!(matches(json!({ "none": { "at": { "all": [{ "exists": false }, "x"] } } })));
    assert!(!detail(json!({ "people": { "name": [{ "exists": false }] } })));
    assert!(detail(json!({ "people": { "size": [{ "exists": false }], "name": ["Ben"] } })));
}

#[test]
fn addresses_lie_in_blocks() {
    assert!(
        detail(json!({ "ip": [{ "cidr": "10.0.0.0/24" }] })) && !detail(json!({ "ip": [{ "cidr": "10.0.1.0/24" }] }))
    );
    assert!(
        detail(json!({ "ip": [{ "cidr": "0.0.0.0/0" }] })) && detail(json!({ "ip": [{ "cidr": "10.0.0.33/32" }] }))
    );
    assert!(detail(json!({ "six": [{ "cidr": "2001:db8:1234:1a00::/64" }] })));
    assert!(
        !detail(json!({ "six": [{ "cidr": "0.0.0.0/0" }] })) && !detail(json!({ "state": [{ "cidr": "0.0.0.0/0" }] }))
    );
}

#[test]
fn of_an_or_one_branch_has_to_hold() {
    let either = |a: Value, b: Value| detail(json!({ "done": [true], "$or": [a, b] }));
    assert!(either(json!({ "state": ["Failed"] }), json!({ "count": [{ "numeric": [">", 1] }] })));
    assert!(!either(json!({ "state": ["Failed"] }), json!({ "count": [1] })));
    assert!(!either(json!({ "state": ["Succeeded"], "count": [1] }), json!({ "count": [2] })), "all of a branch");
    assert!(matches(
        json!({ "$or": [{ "source": ["x"] }, { "detail": { "$or": [{ "count": [5] }, { "state": ["y"] }] } }] })
    ));
    let field = Pattern::parse(r#"{"$or": {"a": [1]}}"#).unwrap();
    assert!(field.matches(&json!({ "$or": { "a": 1 } })), "not an array: the name of a field");
}

#[test]
fn a_dot_is_a_step() {
    assert!(detail(json!({ "people.name": ["Anna"] })) && matches(json!({ "detail.state": ["Succeeded"] })));
    let nested = Pattern::parse(r#"{"a": {"b": {"c": [1]}}}"#).unwrap();
    assert!(nested.matches(&json!({ "a.b": { "c": 1 } })) && nested.matches(&json!({ "a": { "b.c": 1 } })));
    assert!(!nested.matches(&json!({ "a.b.d": 1 })));
}

#[test]
fn refusals_give_the_reasons_of_aws() {
    for (pattern, expected) in [
        (json!(["a"]), "Filter is not an object"),
        (json!({ "int": 42 }), "\"int\" must be an object or an array"),
        (json!({ "resources": [] }), "Empty arrays are not allowed"),
        (json!({ "detail": {} }), "Empty objects are not allowed"),
        (json!({ "a": [["b"]] }), "Match value must be String, number, true, false, or null"),
        (json!({ "a": [{ "EXISTS": true }] }), "Unrecognized match type EXISTS"),
        (json!({ "a": [{ "exists": "yes" }] }), "exists match pattern must be either true or false."),
        (json!({ "a": [{ "prefix": ["x"] }] }), "prefix match pattern must be a string"),
        (json!({ "a": [{ "prefix": "x", "suffix": "y" }] }), "Only one key allowed in match expression"),
        (json!({ "a": [{ "suffix": 1 }] }), "suffix match pattern must be a string"),
        (json!({ "a": [{ "equals-ignore-case": ["x"] }] }), "equals-ignore-case match pattern must be a string"),
        (json!({ "a": [{ "wildcard": 1 }] }), "wildcard match pattern must be a string"),
        (json!({ "a": [{ "wildcard": "a**b" }] }), "Consecutive wildcard characters at pos 2"),
        (json!({ "a": [{ "wildcard": "a\\b" }] }), "Invalid escape character at pos 2"),
        (json!({ "a": [{ "numeric": [">", 0, ">", 0] }] }), "Bad numeric range operator: >"),
        (json!({ "a": [{ "numeric": [">", 0, "<"] }] }), "Value of < must be numeric"),
        (json!({ "a": [{ "numeric": [">", 5, "<", 5] }] }), "Bottom must be less than top"),
        (json!({ "a": [{ "numeric": ["=", 6.0e9] }] }), "Value must be between -5.0E9 and 5.0E9, inclusive"),
        (json!({ "a": [{ "numeric": ["<", 1, "<", 2] }] }), "Too many elements in numeric expression"),
        (json!({ "a": [{ "cidr": "10.0.0.0" }] }), "Malformed CIDR, one '/' required"),
        (json!({ "a": [{ "cidr": "10.0.0.0/x" }] }), "Malformed CIDR, mask bits must be an integer"),
        (json!({ "a": [{ "cidr": "xx.11.xx/8" }] }), "Nonstandard IP address: xx.11.xx"),
        (json!({ "a": [{ "anything-but": { "prefix": "" } }] }), "Null prefix/suffix not allowed"),
        (json!({ "a": [{ "anything-but": { "suffix": 1 } }] }), "prefix/suffix match pattern must be a string"),
        (
            json!({ "a": [{ "anything-but": { "prefix": { "equals-ignore-case": "x" } } }] }),
            "Value of anything-but must be an array or single string/number value.",
        ),
        (
            json!({ "a": [{ "anything-but": ["x", 1] }] }),
            "Inside anything but list, either all values are number or string, mixed type is not supported",
        ),
        (
            json!({ "a": [{ "anything-but": { "equals-ignore-case": [1] } }] }),
            "Inside anything-but/equals-ignore-case list, number|start|null|boolean is not supported.",
        ),
    ] {
        assert_eq!(reason(pattern.clone()), expected, "{pattern}");
    }
    let error = Pattern::parse("{").unwrap_err().to_string();
    assert!(error.starts_with("Event pattern is not valid. Reason: "), "{error}");
}

#[test]
fn alternatives_that_multiply_too_far_are_refused() {
    let or = |count: usize| (0..count).map(|number| json!({ "a": [number] })).collect::<Vec<_>>();
    let with = |count| json!({ "x": { "$or": or(10) }, "y": { "$or": or(10) }, "z": { "$or": or(count) } });
    assert!(Pattern::parse(&with(10).to_string()).is_ok());
    assert!(reason(with(11)).starts_with("Rule is too complex"));
}

/// A second opinion: the event as a list of leaves with the array elements they lie in, the pattern as a list of
/// branches without `$or`, and every way to choose a leaf for every field.
mod naive {
    use std::collections::BTreeMap;

    use serde_json::{Value, json};

    type Path = Vec<String>;
    /// Index by array.
    type Places = BTreeMap<String, usize>;
    type Branch = Vec<(Path, Vec<Value>)>;

    fn leaves(value: &Value, path: &Path, at: &str, places: &Places, out: &mut Vec<(Path, Places, Value)>) {
        match value {
            Value::Object(members) => {
                for (name, value) in members {
                    let path = [path.as_slice(), std::slice::from_ref(name)].concat();
                    leaves(value, &path, &format!("{at}/{name}"), places, out);
                }
            }
            Value::Array(items) => {
                for (index, item) in items.iter().enumerate() {
                    let mut places = places.clone();
                    places.insert(at.to_owned(), index);
                    leaves(item, path, &format!("{at}/{index}"), &places, out);
                }
            }
            scalar => out.push((path.clone(), places.clone(), scalar.clone())),
        }
    }

    fn branches(pattern: &Value, path: &Path) -> Vec<Branch> {
        let mut all: Vec<Branch> = vec![Vec::new()];
        for (name, value) in pattern.as_object().unwrap() {
            let below = [path.as_slice(), std::slice::from_ref(name)].concat();
            let choices: Vec<Branch> = match value {
                Value::Array(items) if name == "$or" => items.iter().flat_map(|item| branches(item, path)).collect(),
                Value::Array(items) => vec![vec![(below, items.clone())]],
                value => branches(value, &below),
            };
            all = all.iter().flat_map(|one| choices.iter().map(|more| [one.clone(), more.clone()].concat())).collect();
        }
        all
    }

    fn glob(pattern: &[char], text: &[char]) -> bool {
        match pattern {
            [] => text.is_empty(),
            ['*', rest @ ..] => (0..=text.len()).any(|skip| glob(rest, &text[skip..])),
            [letter, rest @ ..] => text.first() == Some(letter) && glob(rest, &text[1..]),
        }
    }

    fn value_matches(wanted: &Value, value: &Value) -> bool {
        let Some(expression) = wanted.as_object() else { return wanted == value };
        let (operator, operand) = expression.iter().next().unwrap();
        let (text, operand_text) = (value.as_str(), operand.as_str().unwrap_or_default());
        match operator.as_str() {
            "prefix" => text.is_some_and(|text| text.starts_with(operand_text)),
            "suffix" => text.is_some_and(|text| text.ends_with(operand_text)),
            "equals-ignore-case" => text.is_some_and(|text| text.eq_ignore_ascii_case(operand_text)),
            "wildcard" => text
                .is_some_and(|text| glob(&operand_text.chars().collect::<Vec<_>>(), &text.chars().collect::<Vec<_>>())),
            "numeric" => value.as_f64().is_some_and(|it| it > operand[1].as_f64().unwrap()),
            "exists" => operand == &json!(true),
            "anything-but" => !operand.as_array().unwrap().contains(value),
            _ => unreachable!(),
        }
    }

    fn assign(branch: &[(Path, Vec<Value>)], places: &Places, event: &[(Path, Places, Value)]) -> bool {
        let Some(((path, wanted), rest)) = branch.split_first() else { return true };
        let at = |leaf: &&(Path, Places, Value)| leaf.0 == *path;
        if wanted.contains(&json!({ "exists": false })) && !event.iter().any(|leaf| at(&leaf)) {
            return assign(rest, places, event);
        }
        event.iter().filter(at).any(|(_, leaf_places, value)| {
            let agrees = leaf_places.iter().all(|(array, index)| places.get(array).is_none_or(|it| it == index));
            let mut together = places.clone();
            together.extend(leaf_places.clone());
            agrees && wanted.iter().any(|one| value_matches(one, value)) && assign(rest, &together, event)
        })
    }

    pub fn matches(pattern: &Value, event: &Value) -> bool {
        let mut flat = Vec::new();
        leaves(event, &Vec::new(), "", &Places::new(), &mut flat);
        branches(pattern, &Vec::new()).iter().any(|branch| assign(branch, &Places::new(), &flat))
    }
}

fn scalar() -> impl Strategy<Value = Value> {
    prop_oneof![
        "[ab]{0,3}".prop_map(Value::from),
        (0..3).prop_map(Value::from),
        any::<bool>().prop_map(Value::from),
        Just(Value::Null),
    ]
}

fn some_event() -> impl Strategy<Value = Value> {
    scalar().prop_recursive(4, 24, 3, |inner| {
        prop_oneof![
            prop::collection::vec(inner.clone(), 0..3).prop_map(Value::from),
            prop::collection::btree_map("[x-z]", inner, 0..3)
                .prop_map(|members| Value::Object(members.into_iter().collect())),
        ]
    })
}

fn condition() -> impl Strategy<Value = Value> {
    prop_oneof![
        3 => scalar(),
        1 => "[ab]{1,2}".prop_map(|text| json!({ "prefix": text })),
        1 => "[ab]{1,2}".prop_map(|text| json!({ "suffix": text })),
        1 => "[abAB]{1,3}".prop_map(|text| json!({ "equals-ignore-case": text })),
        1 => r"\*?([ab]\*?){0,3}".prop_map(|text| json!({ "wildcard": text })),
        1 => (0..3).prop_map(|number| json!({ "numeric": [">", number] })),
        1 => any::<bool>().prop_map(|there| json!({ "exists": there })),
        1 => prop::collection::vec("[ab]{0,2}", 1..3).prop_map(|texts| json!({ "anything-but": texts })),
    ]
}

fn some_pattern() -> impl Strategy<Value = Value> {
    let leaf = || prop::collection::vec(condition(), 1..3).prop_map(Value::from);
    let fields = |names: &'static str, inner: BoxedStrategy<Value>| {
        prop::collection::btree_map(names, inner, 1..3)
            .prop_map(|members| Value::Object(members.into_iter().collect()))
            .boxed()
    };
    let flat = fields("[x-z]", leaf().boxed());
    let deep = fields("[x-z]", prop_oneof![leaf(), flat.clone()].boxed());
    let or = prop::collection::vec(fields("[z]", prop_oneof![leaf(), flat].boxed()), 2..3).prop_map(Value::from);
    (deep, prop::option::of(or)).prop_map(|(mut pattern, or)| {
        if let Some(or) = or {
            // A field in and outside of an `$or` would be two conditions on perhaps two elements.
            pattern.as_object_mut().unwrap().remove("z");
            pattern["$or"] = or;
        }
        pattern
    })
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(2000))]

    #[test]
    fn a_pattern_matches_what_the_naive_reading_matches(
        pattern in some_pattern(),
        members in prop::collection::btree_map("[x-z]", some_event(), 0..4),
    ) {
        let event = Value::Object(members.into_iter().collect());
        let compiled = Pattern::parse(&pattern.to_string()).unwrap();
        prop_assert_eq!(compiled.matches(&event), naive::matches(&pattern, &event));
    }

    #[test]
    fn no_text_makes_the_parser_panic(text in r#"[\[\]{}",:a$or0-9*\\/]{0,40}"#) {
        let _ = Pattern::parse(&text);
    }
}
