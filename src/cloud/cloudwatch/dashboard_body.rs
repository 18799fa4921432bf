//! What a dashboard's body has to be.
//! <https://docs.aws.amazon.com/AmazonCloudWatch/latest/APIReference/CloudWatch-Dashboard-Body-Structure.html>

use serde_json::{Map, Value, json};

/// Most widgets of a dashboard.
const WIDGETS: usize = 500;
/// Columns of the grid.
const COLUMNS: i64 = 24;
/// Most rows of a widget.
const ROWS: i64 = 1000;
/// Kinds of widgets.
const KINDS: [&str; 6] = ["metric", "text", "log", "alarm", "explorer", "custom"];
/// Ways to show metrics.
const VIEWS: [&str; 6] = ["timeSeries", "singleValue", "bar", "pie", "gauge", "table"];

/// What is wrong with a body, as `DashboardValidationMessage`s.
#[derive(Debug, Default, PartialEq)]
pub(super) struct Problems {
    /// It is not taken with these.
    pub errors: Vec<Value>,
    /// It is taken, but not all of it is shown.
    pub warnings: Vec<Value>,
}

impl Problems {
    fn error(&mut self, path: impl Into<String>, message: impl Into<String>) {
        self.errors.push(json!({ "DataPath": path.into(), "Message": message.into() }));
    }

    fn warn(&mut self, path: impl Into<String>, message: impl Into<String>) {
        self.warnings.push(json!({ "DataPath": path.into(), "Message": message.into() }));
    }
}

/// Checks a body.
pub(super) fn check(body: &str) -> Problems {
    let mut problems = Problems::default();
    let Ok(Value::Object(body)) = serde_json::from_str(body) else {
        problems.error("", "The field DashboardBody must be a valid JSON object");
        return problems;
    };
    let Some(widgets) = body.get("widgets") else {
        problems.error("", "Should have required property 'widgets'");
        return problems;
    };
    let Some(widgets) = widgets.as_array() else {
        problems.error("/widgets", "Should be array");
        return problems;
    };
    if widgets.len() > WIDGETS {
        problems.error("/widgets", format!("Should NOT have more than {WIDGETS} items"));
    }
    for (place, widget) in widgets.iter().enumerate() {
        let path = format!("/widgets/{place}");
        match widget.as_object() {
            Some(widget) => check_widget(&mut problems, &path, widget),
            None => problems.error(path, "Should be object"),
        }
    }
    problems
}

fn check_widget(problems: &mut Problems, path: &str, widget: &Map<String, Value>) {
    for (name, least, most) in [("x", 0, COLUMNS - 1), ("y", 0, i64::MAX), ("width", 1, COLUMNS), ("height", 1, ROWS)] {
        let path = format!("{path}/{name}");
        match widget.get(name).map(|value| (value, value.as_i64())) {
            None => {}
            Some((_, Some(number))) if (least..=most).contains(&number) => {}
            Some((_, Some(number))) if number < least => problems.error(path, format!("Should be >= {least}")),
            Some((_, Some(_))) => problems.error(path, format!("Should be <= {most}")),
            Some((_, None)) => problems.error(path, "Should be integer"),
        }
    }
    // One without the other is placed by itself.
    if widget.contains_key("x") != widget.contains_key("y") {
        problems.warn(path, "Should have both x and y, or none of them");
    }
    let kind = match widget.get("type") {
        None => return problems.error(path, "Should have required property 'type'"),
        Some(Value::String(kind)) if KINDS.contains(&kind.as_str()) => kind.as_str(),
        Some(_) => {
            let values = KINDS.join(", ");
            return problems
                .error(format!("{path}/type"), format!("Should be equal to one of the allowed values: {values}"));
        }
    };
    match widget.get("properties").map(Value::as_object) {
        None if kind == "explorer" => {}
        None => problems.error(path, "Should have required property 'properties'"),
        Some(None) => problems.error(format!("{path}/properties"), "Should be object"),
        Some(Some(properties)) => check_properties(problems, &format!("{path}/properties"), kind, properties),
    }
}

fn check_properties(problems: &mut Problems, path: &str, kind: &str, properties: &Map<String, Value>) {
    let mut require = |name: &str, is_right: fn(&Value) -> bool, what: &str| match properties.get(name) {
        None => problems.error(path, format!("Should have required property '{name}'")),
        Some(value) if is_right(value) => {}
        Some(_) => problems.error(format!("{path}/{name}"), format!("Should be {what}")),
    };
    match kind {
        "text" => require("markdown", Value::is_string, "string"),
        "log" => {
            require("region", Value::is_string, "string");
            require("query", Value::is_string, "string");
        }
        "alarm" => require("alarms", Value::is_array, "array"),
        "custom" => require("endpoint", Value::is_string, "string"),
        "metric" => {
            require("region", Value::is_string, "string");
            if !properties.contains_key("annotations") {
                require("metrics", Value::is_array, "array");
            }
            check_metrics(problems, path, properties);
        }
        _ => {}
    }
}

fn check_metrics(problems: &mut Problems, path: &str, properties: &Map<String, Value>) {
    if let Some(view) = properties.get("view")
        && !view.as_str().is_some_and(|view| VIEWS.contains(&view))
    {
        let values = VIEWS.join(", ");
        problems.error(format!("{path}/view"), format!("Should be equal to one of the allowed values: {values}"));
    }
    match properties.get("period").map(Value::as_i64) {
        None => {}
        Some(Some(period)) if period > 0 && (period % 60 == 0 || matches!(period, 1 | 5 | 10 | 20 | 30)) => {}
        Some(_) => problems.error(format!("{path}/period"), "Should be 1, 5, 10, 20, 30 or a multiple of 60"),
    }
    for (place, metric) in properties.get("metrics").and_then(Value::as_array).into_iter().flatten().enumerate() {
        let path = format!("{path}/metrics/{place}");
        let Some(parts) = metric.as_array() else {
            problems.error(path, "Should be array");
            continue;
        };
        // Namespace, name, pairs of dimensions; then what concerns its looks. An expression has nothing but those.
        let names: Vec<&Value> = match parts.split_last() {
            Some((Value::Object(_), names)) => names.iter().collect(),
            _ => parts.iter().collect(),
        };
        let is_expression = names.is_empty() && parts.last().is_some_and(|looks| looks.get("expression").is_some());
        if names.iter().any(|name| !name.is_string()) {
            problems.error(path, "Should hold names before the rendering properties");
        } else if !is_expression && names.len() < 2 {
            problems.error(path, "Should NOT have less than 2 items");
        } else if names.len() % 2 == 1 {
            problems.error(path, "Should have a value for each dimension");
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn errors(body: Value) -> Vec<(String, String)> {
        let text = |value: &Value| value.as_str().unwrap().to_owned();
        check(&body.to_string())
            .errors
            .iter()
            .map(|error| (text(&error["DataPath"]), text(&error["Message"])))
            .collect()
    }

    #[test]
    fn a_body_with_metrics_and_texts_is_right() {
        let body = json!({ "start": "-PT6H", "widgets": [
            { "type": "text", "x": 0, "y": 0, "width": 24, "height": 2, "properties": { "markdown": "# lake" } },
            { "type": "metric", "width": 12, "height": 6, "properties": {
                "region": "eu-west-1", "title": "Rows", "view": "timeSeries", "period": 300, "stat": "Sum",
                "metrics": [["lake", "RowsRead", "lake", "flights", { "stat": "Sum" }], [".", "RowsWritten", ".", "."],
                    [{ "expression": "m1 - m2", "id": "e1" }]],
            } },
            { "type": "alarm", "properties": { "alarms": [] } },
        ] });
        assert_eq!(check(&body.to_string()), Problems::default());
    }

    #[test]
    fn what_cannot_be_shown_is_told_with_its_place() {
        assert_eq!(check("[").errors[0]["DataPath"], "");
        assert_eq!(errors(json!({})), [(String::new(), "Should have required property 'widgets'".to_owned())]);
        let widgets = json!({ "widgets": [
            { "properties": {} },
            { "type": "metric", "width": 25, "properties": { "metrics": [["a"]] } },
            { "type": "text", "properties": { "markdown": 1 } },
        ] });
        let expected = [
            ("/widgets/0", "Should have required property 'type'"),
            ("/widgets/1/width", "Should be <= 24"),
            ("/widgets/1/properties", "Should have required property 'region'"),
            ("/widgets/1/properties/metrics/0", "Should NOT have less than 2 items"),
            ("/widgets/2/properties/markdown", "Should be string"),
        ];
        assert_eq!(errors(widgets), expected.map(|(path, message)| (path.to_owned(), message.to_owned())));
        let alone = json!({ "widgets": [{ "type": "text", "x": 1, "properties": { "markdown": "" } }] });
        assert_eq!(check(&alone.to_string()).warnings.len(), 1);
    }
}
