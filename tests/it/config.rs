//! What is wrong in `lake.toml` or on the command line is told, and nothing is done.

use crate::world::{ORDERS, Project};

#[test]
fn every_mistake_in_lake_toml_points_at_its_line() {
    let project = Project::new(&ORDERS.replace("source =", "sorce =").replace("int64", "int65"));
    let refused = project.lake(&["plan"]).failed();
    for part in ["lake.toml:", "sorce", "source", "int65"] {
        assert!(refused.contains(part), "{part} in {refused}");
    }
    assert!(!project.path().join("state").exists(), "nothing was written");
}

#[test]
fn a_wrong_command_line_exits_with_64_and_help_with_0() {
    let project = Project::new(ORDERS);
    assert_eq!(project.lake(&["aply"]).code, 64);
    assert_eq!(project.lake(&["apply"]).code, 64, "there is nobody to ask");
    assert!(project.lake(&["apply", "--help"]).ok().contains("Example"));
}

#[test]
fn an_unknown_stack_is_refused_with_those_that_exist() {
    let project = Project::new(ORDERS);
    let refused = project.lake(&["--stack", "prod", "plan"]).failed();
    assert!(refused.contains("prod") && refused.contains("local"), "{refused}");
}
