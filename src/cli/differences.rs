//! What `lake.toml` says of datasets now, and said when they were deployed. The plan of a manifest shows two hashes.

use serde::Serialize;
use serde_json::Value;

use crate::dataset::{Dataset, Manifest};

use super::{console::Console, stale::shown, table::printable};

/// A setting of a dataset that is another one now.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Difference {
    /// Where it stands: `dataset.flights.transform.config.late_minutes`.
    pub setting: String,
    /// What the deployed functions go by; null where it was not set.
    pub before: Value,
    /// What `lake.toml` says; null where it is not set.
    pub after: Value,
}

/// What differs between the `deployed` datasets and those of the same names in `lake.toml`. Datasets that come or go
/// are resources of the plan.
pub fn between(deployed: &Manifest, datasets: &[Dataset]) -> Vec<Difference> {
    let mut found = Vec::new();
    for after in datasets {
        let Some(before) = deployed.dataset(&after.name) else { continue };
        compare(&format!("dataset.{}", after.name), &value(before), &value(after), &mut found);
    }
    found
}

/// A dataset as `lake.toml` has it. Of a plugin's machine code nothing is said there.
fn value(dataset: &Dataset) -> Value {
    let mut value = serde_json::to_value(dataset).unwrap_or_default();
    if let Some(transform) = value.get_mut("transform").and_then(Value::as_object_mut) {
        transform.remove("precompiled");
        if let Some(component) = transform.get_mut("component") {
            *component = component.as_str().map_or(Value::Null, |hash| shown(hash).into());
        }
    }
    value
}

fn compare(setting: &str, before: &Value, after: &Value, found: &mut Vec<Difference>) {
    if let (Value::Object(old), Value::Object(new)) = (before, after) {
        let added = new.keys().filter(|name| !old.contains_key(*name));
        for name in old.keys().chain(added) {
            let side = |side: &Value| side.get(name).cloned().unwrap_or_default();
            compare(&format!("{setting}.{name}"), &side(before), &side(after), found);
        }
    } else if before != after {
        found.push(Difference { setting: setting.to_owned(), before: before.clone(), after: after.clone() });
    }
}

/// Tells each on a line.
pub fn tell(console: &Console, differences: &[Difference]) {
    let said = |value: &Value| match value {
        Value::Null => "(not set)".to_owned(),
        Value::String(text) => printable(text),
        other => printable(&other.to_string()),
    };
    for Difference { setting, before, after } in differences {
        console.note(format!("{}: {} → {}", printable(setting), said(before), said(after)));
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use super::*;
    use crate::dataset::Transform;

    fn dataset(component: &str, late: &str) -> Dataset {
        let transform = Transform {
            name: "clean-flights".into(),
            component: component.repeat(64),
            precompiled: Some("p".repeat(64)),
            config: BTreeMap::from([("late_minutes".to_owned(), late.to_owned())]),
            memory_mb: 128,
            call_seconds: 60,
        };
        Dataset { transform: Some(transform), ..Dataset::new("flights", "flights/") }
    }

    fn told(before: Dataset, after: Dataset) -> Vec<String> {
        let differences = between(&Manifest::new(vec![before]), &[after]);
        differences.iter().map(|it| format!("{} {} {}", it.setting, it.before, it.after)).collect()
    }

    #[test]
    fn a_setting_that_changes_is_named_with_what_it_was_and_is() {
        let setting = "dataset.flights.transform.config.late_minutes";
        assert_eq!(told(dataset("a", "15"), dataset("a", "30")), [format!("{setting} \"15\" \"30\"")]);
        let component = "dataset.flights.transform.component";
        assert_eq!(told(dataset("a", "15"), dataset("b", "15")), [format!("{component} \"aaaaaaaa…\" \"bbbbbbbb…\"")]);
    }

    #[test]
    fn a_section_that_comes_is_told_as_a_whole_and_a_dataset_that_comes_not_at_all() {
        let plain = Dataset::new("flights", "flights/");
        let told = told(plain.clone(), dataset("a", "15"));
        assert!(told.len() == 1 && told[0].starts_with("dataset.flights.transform null {"), "{told:?}");
        assert_eq!(between(&Manifest::new(vec![plain]), &[Dataset::new("weather", "weather/")]), []);
    }
}
