use crate::{
    resource::{
        Packed, Program,
        aws::{
            iam::Role,
            s3::{Bucket, BucketVersioning},
        },
    },
    state::{Recorded, Snapshot},
};

use super::{dot::dot, mermaid::mermaid};

fn program() -> Program {
    let mut program = Program::default();
    let bucket = program.declare("raw", Bucket {});
    program.declare("raw", BucketVersioning { bucket: bucket.name(), status: "Enabled".into() });
    program.declare("intake \"one\"", Role { trust: serde_json::Value::Null, description: "".into() });
    program
}

#[test]
fn dot_groups_by_service_and_leads_from_what_is_made_first_to_what_needs_it() {
    insta::assert_snapshot!(dot("flights", &program(), None), @r#"
    digraph "flights" {
        rankdir=LR;
        node [shape=box, style=rounded, fontname="sans-serif"];
        subgraph "cluster_s3" {
            label="s3";
            "aws:s3:Bucket/raw" [label="Bucket\nraw", style="rounded,dashed"];
            "aws:s3:BucketVersioning/raw" [label="BucketVersioning\nraw", style="rounded,dashed"];
        }
        subgraph "cluster_iam" {
            label="iam";
            "aws:iam:Role/intake \"one\"" [label="Role\nintake \"one\"", style="rounded,dashed"];
        }
        "aws:s3:Bucket/raw" -> "aws:s3:BucketVersioning/raw";
    }
    "#);
}

#[test]
fn mermaid_groups_by_service_and_leads_from_what_is_made_first_to_what_needs_it() {
    insta::assert_snapshot!(mermaid(&program(), None), @r#"
    flowchart LR
        subgraph service_s3 ["s3"]
            n0["Bucket<br>raw"]:::pending
            n1["BucketVersioning<br>raw"]:::pending
        end
        subgraph service_iam ["iam"]
            n2["Role<br>intake #quot;one#quot;"]:::pending
        end
        n0 --> n1
        classDef pending stroke-dasharray: 5 5
    "#);
}

#[test]
fn what_is_applied_has_no_dashed_border() {
    let program = program();
    let mut snapshot = Snapshot::new("flights", "local");
    let address = program.resources()[0].address.clone();
    let recorded = Recorded {
        address: address.clone(),
        generation: 0,
        identity: "flights-local-raw-1a2b3c".into(),
        inputs: Packed::default(),
        outputs: Packed::default(),
        dependencies: Vec::new(),
        retain: false,
    };
    snapshot.resources.insert(address, recorded.into());
    assert_eq!(dot("flights", &program, Some(&snapshot)).matches("dashed").count(), 2);
    assert_eq!(mermaid(&program, Some(&snapshot)).matches(":::pending").count(), 2);
}
