use super::*;

fn event() -> Value {
    json!({
        "version": "0", "id": "7bf7", "detail-type": "State change", "source": "lake.demo", "account": "000000000000",
        "time": "2026-11-11T21:29:54Z", "region": "eu-west-1", "resources": ["arn:a", "arn:b"],
        "detail": {
            "instance": "i-0123", "state": "RUNNING", "count": 3, "ok": true, "none": null,
            "said": "\"x\"", "runs": [{ "id": 1 }, { "id": 2 }], "inner": { "a": "b" },
        },
    })
}

fn render(input: &Input) -> String {
    let event = event();
    let given = Given {
        event: &event,
        rule_arn: "arn:aws:events:eu-west-1:000000000000:rule/example",
        rule_name: "example",
        ingestion_time: "2026-11-11T21:29:55Z",
    };
    input.render(&given).unwrap_or_else(|| given.event.to_string())
}

fn try_template(template: &str) -> Result<Input, TemplateError> {
    let paths = [
        ("instance", "$.detail.instance"),
        ("state", "$.detail.state"),
        ("count", "$.detail.count"),
        ("said", "$.detail.said"),
        ("detail", "$.detail.inner"),
        ("ids", "$.detail.runs[*].id"),
        ("missing", "$.detail.missing"),
    ];
    Input::template(&paths.map(|(name, path)| (name.to_owned(), path.to_owned())).into(), template)
}

fn template(template: &str) -> String {
    render(&try_template(template).unwrap())
}

#[test]
fn without_anything_the_whole_event_is_passed() {
    assert_eq!(render(&Input::Event), event().to_string());
    assert_eq!(render(&Input::constant(r#"{ "a": 1 }"#).unwrap()), r#"{ "a": 1 }"#);
    assert!(Input::constant("not json").is_err());
}

#[test]
fn a_path_passes_a_part_as_json() {
    let at = |path: &str| render(&Input::path(path).unwrap());
    assert_eq!(at("$.detail.inner"), r#"{"a":"b"}"#);
    assert_eq!(at("$.detail.inner.a"), r#""b""#, "a string in its quotes");
    assert_eq!(at("$.resources[1]"), r#""arn:b""#);
    assert_eq!(at("$['detail-type']"), r#""State change""#);
    assert_eq!(at("$.detail.runs[*].id"), "[1,2]");
    assert_eq!(at("$"), event().to_string());
    assert_eq!(at("$.nowhere"), "null");
    for path in ["", "detail", "$..a", "$.a[b]", "$.", "$.a[0", "$['a'"] {
        assert_eq!(Input::path(path), None, "{path}");
    }
}

#[test]
fn a_quoted_string_is_delivered_in_its_quotes() {
    assert_eq!(template(r#""instance <instance> is in <state>""#), r#""instance i-0123 is in RUNNING""#);
    assert_eq!(template(r#""\"<instance>\" is <state>""#), r#""\"i-0123\" is RUNNING""#);
    assert_eq!(template("\"a <count>\"\n\"b <missing>.\""), "\"a 3\"\n\"b .\"", "line by line");
}

#[test]
fn strings_get_quotes_where_a_json_template_has_none() {
    assert_eq!(
        template(r#"{"instance": <instance>, "state": [9, <state>, true], "n": <count>, "text": "<state>!"}"#),
        r#"{"instance": "i-0123", "state": [9, "RUNNING", true], "n": 3, "text": "RUNNING!"}"#
    );
    assert_eq!(template(r#"{"a": <missing>, "b": "<missing>"}"#), r#"{"a": "", "b": ""}"#);
}

#[test]
fn objects_lose_their_quotes_inside_a_string_and_keep_them_as_a_value() {
    assert_eq!(template(r#""Detail is <detail>, ids <ids>""#), r#""Detail is {a:b}, ids [1,2]""#);
    assert_eq!(template(r#"{"detail": <detail>, "ids": <ids>}"#), r#"{"detail": {"a":"b"}, "ids": [1,2]}"#);
}

#[test]
fn values_are_not_escaped_inside_a_string() {
    assert_eq!(template(r#""said <said>""#), "\"said \"x\"\"");
    assert_eq!(template(r#"{"said": <said>}"#), r#"{"said": "\"x\""}"#);
}

#[test]
fn reserved_variables_need_no_path() {
    assert_eq!(template(r#""<aws.events.rule-name> triggered""#), r#""example triggered""#);
    let told = template(
        r#"{"arn": <aws.events.rule-arn>, "at": <aws.events.event.ingestion-time>, "json": <aws.events.event.json>,
            "event": <aws.events.event>}"#,
    );
    let told: Value = serde_json::from_str(&told).unwrap();
    assert_eq!(told["arn"], "arn:aws:events:eu-west-1:000000000000:rule/example");
    assert_eq!(told["at"], "2026-11-11T21:29:55Z");
    assert_eq!(told["json"], event());
    assert_eq!(told["event"]["detailType"], "State change");
    assert_eq!(told["event"]["detail"], Value::Null, "without its detail");
}

#[test]
fn a_template_that_cannot_be_filled_in_is_refused() {
    assert_eq!(try_template(r#""<other>""#), Err(TemplateError::Placeholder("other".into())));
    assert!(matches!(try_template("instance <instance>"), Err(TemplateError::Json(_))), "no quotes");
    assert!(matches!(try_template(r#"{"a": <instance>"#), Err(TemplateError::Json(_))));
    assert_eq!(template(r#""1 < 2 and 3 > 2""#), r#""1 < 2 and 3 > 2""#, "no placeholder");
    let paths = |name: &str, path: &str| BTreeMap::from([(name.to_owned(), path.to_owned())]);
    let refused = |name, path| Input::template(&paths(name, path), "\"x\"").unwrap_err();
    assert_eq!(refused("x", "a"), TemplateError::Path("a".into()));
}
