use crate::{
    resource::{
        Program,
        aws::{
            iam::Role,
            s3::{Bucket, BucketVersioning},
        },
    },
    state::Snapshot,
};

use super::{dot::dot, mermaid::mermaid};

fn program() -> Program {
    let mut program = Program::default();
    let bucket = program.declare("raw", Bucket {});
    program.declare("raw", BucketVersioning { bucket: bucket.name(), status: "Enabled".into() });
    program.declare("intake \"one\"", Role { trust: serde_json::Value::Null.into(), description: "".into() });
    program
}

#[test]
fn dot_groups_by_service_and_leads_from_what_is_made_first_to_what_needs_it() {
    insta::assert_snapshot!(dot("flights", &program(), None), @r#""#);
}

#[test]
fn mermaid_groups_by_service_and_leads_from_what_is_made_first_to_what_needs_it() {
    insta::assert_snapshot!(mermaid(&program(), None), @r#""#);
}

#[test]
fn what_is_applied_has_no_dashed_border() {
    let snapshot = Snapshot::new("flights", "local");
    assert_eq!(dot("flights", &program(), Some(&snapshot)).matches("dashed").count(), 3);
    assert_eq!(mermaid(&program(), Some(&snapshot)).matches(":::pending").count(), 3);
}
