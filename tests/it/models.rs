//! The cloud's answers on the wire, held against botocore's service models.

use serde_json::json;

use crate::{
    peers::environment,
    python,
    world::{ORDERS, Project},
};

#[test]
fn every_answer_and_every_error_is_one_of_the_service_s_model() {
    let project = Project::new(ORDERS);
    project.lake(&["cloud", "start"]).ok();
    let seen = python::script("models.py", &[], &environment(&project));
    assert_eq!(seen["complaints"], json!([]), "{seen:#}");
    assert_eq!(seen["absent"], json!([]), "{seen:#}");
    assert!(seen["answers"].as_u64().unwrap() > 250, "{seen:#}");
}
