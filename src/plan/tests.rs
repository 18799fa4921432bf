use std::sync::Arc;

use serde_json::json;

use super::*;
use crate::{
    resource::{
        Handle, Input,
        aws::{
            iam::{Role, RolePolicy},
            lambda::Permission,
            logs::LogGroup,
            s3::{Bucket, BucketVersioning},
        },
    },
    state::{Recorded, Tombstone},
};

fn address(text: &str) -> Address {
    text.parse().unwrap()
}

fn bucket(program: &mut Program, name: &str) -> Handle<Bucket> {
    program.declare(name, Bucket::default())
}

fn versioning(program: &mut Program, bucket: &Handle<Bucket>, status: &str) -> Handle<BucketVersioning> {
    program.declare("raw", BucketVersioning { bucket: bucket.name(), status: status.into() })
}

fn schemas() -> Schemas {
    crate::resource::aws::SCHEMAS.iter().copied().collect()
}

fn plan_of(program: &Program, prior: &Snapshot) -> Plan {
    plan(Inputs { program, prior, schemas: &schemas(), config_hash: "c" }).unwrap()
}

/// The state after `program` was applied to `prior`: references become `value of <reference>`.
fn applied(program: &Program, mut prior: Snapshot) -> Snapshot {
    let plan = plan_of(program, &prior);
    for step in &plan.steps {
        if let Operation::Create(desired) = &step.operation {
            let resolved = |value: &Value| {
                resolve_with(value, &|reference| {
                    prior.output(reference).unwrap_or_else(|| panic!("{reference} is not there yet"))
                })
            };
            let inputs: Fields = desired.inputs.iter().map(|(name, value)| (name.clone(), resolved(value))).collect();
            let identity = desired.name.clone().unwrap_or_else(|| format!("part {}", step.address));
            let outputs = json!({ "name": identity, "arn": format!("arn:{identity}") });
            let recorded = Recorded {
                address: step.address.clone(),
                generation: desired.generation,
                identity,
                inputs: inputs.into(),
                outputs: outputs.as_object().unwrap().into(),
                dependencies: desired.dependencies.clone(),
                retain: desired.retain,
            };
            prior.resources.insert(step.address.clone(), recorded.into());
        }
    }
    prior
}

fn resolve_with(value: &Value, lookup: &dyn Fn(&crate::resource::Reference) -> Value) -> Value {
    crate::resource::resolve(value, &|reference| Some(lookup(reference)))
}

fn sentences(plan: &Plan) -> Vec<String> {
    plan.changes.iter().map(|change| format!("{} {}", change.action.symbol(), change.address)).collect()
}

#[test]
fn what_is_declared_and_not_there_is_created_in_dependency_order() {
    let mut program = Program::default();
    let raw = bucket(&mut program, "raw");
    versioning(&mut program, &raw, "Enabled");
    let plan = plan_of(&program, &Snapshot::new("flights", "local"));
    assert_eq!(sentences(&plan), ["+ aws:s3:Bucket/raw", "+ aws:s3:BucketVersioning/raw"]);
    assert_eq!(plan.steps[1].after, [0]);
    let name = plan.changes[0].identity.clone().unwrap();
    assert!(name.starts_with("flights-local-raw-"), "{name}");
    assert_eq!(plan.changes[1].fields[0].after, Some(json!(name)), "a name is known before apply");
}

#[test]
fn an_applied_program_plans_to_nothing() {
    let mut program = Program::default();
    let raw = bucket(&mut program, "raw");
    versioning(&mut program, &raw, "Enabled");
    let prior = applied(&program, Snapshot::new("flights", "local"));
    let plan = plan_of(&program, &prior);
    assert!(plan.is_empty());
    assert_eq!(plan.unchanged, 2);
}

#[test]
fn a_changed_field_is_an_update_in_place_that_names_the_field() {
    let program = |status| {
        let mut program = Program::default();
        let raw = bucket(&mut program, "raw");
        versioning(&mut program, &raw, status);
        program
    };
    let prior = applied(&program("Enabled"), Snapshot::new("flights", "local"));
    let plan = plan_of(&program("Suspended"), &prior);
    assert_eq!(sentences(&plan), ["~ aws:s3:BucketVersioning/raw"]);
    assert_eq!(plan.changes[0].fields[0].path, "status");
    assert_eq!(plan.changes[0].fields[0].after, Some(json!("Suspended")));
}

#[test]
fn the_empty_program_deletes_dependents_first_and_forgets_what_is_retained() {
    let mut program = Program::default();
    let raw = bucket(&mut program, "raw");
    let versioning = versioning(&mut program, &raw, "Enabled");
    let mut prior = applied(&program, Snapshot::new("flights", "local"));
    let plan = plan_of(&Program::default(), &prior);
    assert_eq!(sentences(&plan), ["- aws:s3:BucketVersioning/raw", "- aws:s3:Bucket/raw"]);
    let bucket_step = plan.steps.iter().position(|step| step.address == *raw.address()).unwrap();
    let versioning_step = plan.steps.iter().position(|step| step.address == *versioning.address()).unwrap();
    assert_eq!(plan.steps[bucket_step].after, [versioning_step]);

    Arc::make_mut(prior.resources.get_mut(raw.address()).unwrap()).retain = true;
    let plan = plan_of(&Program::default(), &prior);
    assert_eq!(sentences(&plan), ["- aws:s3:BucketVersioning/raw", ". aws:s3:Bucket/raw"]);
}

#[test]
fn a_name_is_not_used_again_after_deletion_but_what_was_retained_is_taken_up() {
    let mut program = Program::default();
    let raw = bucket(&mut program, "raw");
    let generation = |retained| {
        let mut prior = Snapshot::new("flights", "local");
        prior.tombstones.insert(raw.address().clone(), Tombstone { generation: 3, retained });
        match &plan_of(&program, &prior).steps[0].operation {
            Operation::Create(desired) => desired.generation,
            other => panic!("{other:?}"),
        }
    };
    assert_eq!((generation(false), generation(true)), (4, 3));
}

#[test]
fn replacing_a_part_of_another_resource_moves_it_and_then_removes_the_old_one() {
    let program = |of: &str| {
        let mut program = Program::default();
        let one = bucket(&mut program, "one");
        let other = bucket(&mut program, "other");
        versioning(&mut program, if of == "one" { &one } else { &other }, "Enabled");
        program
    };
    let mut prior = applied(&program("one"), Snapshot::new("flights", "local"));
    let part = address("aws:s3:BucketVersioning/raw");
    let bucket_name = prior.resources[&address("aws:s3:Bucket/one")].identity.clone();
    Arc::make_mut(prior.resources.get_mut(&part).unwrap()).identity.clone_from(&bucket_name);
    let plan = plan_of(&program("other"), &prior);
    assert_eq!(sentences(&plan), ["+- aws:s3:BucketVersioning/raw"]);
    assert_eq!(plan.steps[1].operation, Operation::DeleteDeposed(bucket_name));
    assert_eq!(plan.steps[1].after, [0]);
}

/// A permission, of which there can be but one under its name.
fn permission(program: &mut Program, principal: &str) -> Handle<Permission> {
    let permission = Permission {
        function: "f".into(),
        statement: "s3".into(),
        principal: principal.into(),
        source_arn: "arn:aws:s3:::b".into(),
        source_account: "0".into(),
    };
    program.declare("s3", permission)
}

/// The state after `program` was applied, with the permission under its name.
fn permitted(program: &Program) -> Snapshot {
    let mut prior = applied(program, Snapshot::new("flights", "local"));
    let permission = prior.resources.get_mut(&address("aws:lambda:Permission/s3")).unwrap();
    Arc::make_mut(permission).identity = "f/s3".to_owned();
    prior
}

#[test]
fn a_replacement_of_the_same_identity_deletes_first() {
    let program = |principal: &str| {
        let mut program = Program::default();
        permission(&mut program, principal);
        program
    };
    let plan = plan_of(&program("events.amazonaws.com"), &permitted(&program("s3.amazonaws.com")));
    assert_eq!(sentences(&plan), ["-+ aws:lambda:Permission/s3"]);
    assert_eq!(plan.steps[0].operation, Operation::Delete);
    assert_eq!(plan.steps[1].after, [0]);
}

#[test]
fn what_stays_when_what_it_comes_after_is_deleted_first_is_noted_again() {
    let program = |principal: &str| {
        let mut program = Program::default();
        let permission = permission(&mut program, principal);
        let raw = bucket(&mut program, "raw");
        program.after(&raw, &permission);
        program
    };
    let prior = permitted(&program("s3.amazonaws.com"));
    let wanted = program("events.amazonaws.com");
    let excluded = part(&wanted, &prior, &[], &["aws:s3:Bucket/raw"]).unwrap();
    for plan in [plan_of(&wanted, &prior), excluded] {
        assert_eq!(sentences(&plan), ["-+ aws:lambda:Permission/s3"]);
        let Operation::Note(desired) = &plan.steps[2].operation else { panic!("{:?}", plan.steps) };
        let recorded = &prior.resources[&address("aws:s3:Bucket/raw")];
        assert_eq!((&plan.steps[2].address, &plan.steps[2].after), (&recorded.address, &vec![1]));
        assert_eq!((&desired.dependencies, &desired.name), (&recorded.dependencies, &Some(recorded.identity.clone())));
    }
}

#[test]
fn what_a_policy_refers_to_is_known_once_it_is_recorded() {
    let mut program = Program::default();
    let logs = program.declare("convert", LogGroup { retention_days: Input::Value(30) });
    let role = program.declare("convert", Role { trust: json!({}), description: "d".into() });
    let document = json!({ "Resource": logs.arn() });
    program.declare("convert", RolePolicy { role: role.name(), policy: "lake".into(), document });
    let fresh = Snapshot::new("flights", "local");
    let plan = plan_of(&program, &fresh);
    let policy = plan.changes.iter().find(|change| change.address.kind() == "aws:iam:RolePolicy").unwrap();
    let document = policy.fields.iter().find(|field| field.path == "document").unwrap();
    assert!(document.is_unknown(), "an ARN is known only after apply");
    assert!(plan_of(&program, &applied(&program, fresh)).is_empty());
}

#[test]
fn a_circle_is_refused_by_name() {
    let mut program = Program::default();
    let one = bucket(&mut program, "one");
    let other = bucket(&mut program, "other");
    program.after(&one, &other);
    program.after(&other, &one);
    let prior = Snapshot::new("flights", "local");
    let error = plan(Inputs { program: &program, prior: &prior, schemas: &schemas(), config_hash: "c" }).unwrap_err();
    assert!(error.to_string().contains("aws:s3:Bucket/one → "), "{error}");
}

#[test]
fn a_plan_reads_back_from_its_file() {
    let mut program = Program::default();
    let raw = bucket(&mut program, "raw");
    program.output("raw_bucket", raw.name());
    let plan = plan_of(&program, &Snapshot::new("flights", "local"));
    let bytes = serde_json::to_vec(&plan).unwrap();
    assert_eq!(serde_json::from_slice::<Plan>(&bytes).unwrap(), plan);
}

/// Two buckets with versioning each, and an output.
fn two_buckets() -> (Program, Snapshot) {
    let mut program = Program::default();
    for name in ["one", "other"] {
        let bucket = bucket(&mut program, name);
        program.declare(name, BucketVersioning { bucket: bucket.name(), status: "Enabled".into() });
        program.output(name, bucket.name());
    }
    (program, Snapshot::new("flights", "local"))
}

fn part(program: &Program, prior: &Snapshot, targets: &[&str], excludes: &[&str]) -> Result<Plan, PlanError> {
    let patterns = |texts: &[&str]| texts.iter().map(|text| text.parse().unwrap()).collect();
    let scope = Scope { targets: patterns(targets), excludes: patterns(excludes), replaces: Vec::new() };
    plan_within(Inputs { program, prior, schemas: &schemas(), config_hash: "c" }, &scope)
}

#[test]
fn a_target_takes_along_what_it_needs_and_says_so() {
    let (program, prior) = two_buckets();
    let plan = part(&program, &prior, &["aws:s3:BucketVersioning/one"], &[]).unwrap();
    assert_eq!(sentences(&plan), ["+ aws:s3:Bucket/one", "+ aws:s3:BucketVersioning/one"]);
    let partial = plan.partial.unwrap();
    assert_eq!((partial.left_out, partial.along.len()), (2, 1));
    let along = "aws:s3:Bucket/one comes along: aws:s3:BucketVersioning/one needs it";
    assert_eq!(partial.along[0].to_string(), along);
}

#[test]
fn a_target_that_goes_takes_along_what_depends_on_it() {
    let (program, prior) = two_buckets();
    let prior = applied(&program, prior);
    let plan = part(&Program::default(), &prior, &["aws:s3:Bucket/one"], &[]).unwrap();
    assert_eq!(sentences(&plan), ["- aws:s3:BucketVersioning/one", "- aws:s3:Bucket/one"]);
    assert_eq!(plan.partial.unwrap().left_out, 2);
}

#[test]
fn what_is_excluded_keeps_out_what_needs_it_and_keeps_what_it_needs() {
    let (program, prior) = two_buckets();
    let plan = part(&program, &prior, &[], &["aws:s3:Bucket/one"]).unwrap();
    assert_eq!(sentences(&plan), ["+ aws:s3:Bucket/other", "+ aws:s3:BucketVersioning/other"]);
    let prior = applied(&program, prior);
    let plan = part(&Program::default(), &prior, &[], &["aws:s3:BucketVersioning/one"]).unwrap();
    assert_eq!(sentences(&plan), ["- aws:s3:BucketVersioning/other", "- aws:s3:Bucket/other"]);
}

#[test]
fn a_pattern_that_nothing_matches_is_refused_and_a_plan_of_a_part_reads_back_from_its_file() {
    let (program, prior) = two_buckets();
    let refused = part(&program, &prior, &["aws:s3:Bucket/*", "aws:sns:*/*"], &[]).unwrap_err();
    assert_eq!(refused.to_string(), "no resource matches `aws:sns:*/*`");
    let plan = part(&program, &prior, &["aws:s3:Bucket/*"], &["aws:s3:*/one"]).unwrap();
    assert_eq!(sentences(&plan), ["+ aws:s3:Bucket/other"]);
    assert_eq!(serde_json::from_slice::<Plan>(&serde_json::to_vec(&plan).unwrap()).unwrap(), plan);
}

#[test]
fn of_two_resources_of_one_name_the_program_is_refused() {
    let mut program = Program::default();
    let raw = bucket(&mut program, "raw");
    for name in ["one", "other"] {
        program.declare(name, BucketVersioning { bucket: raw.name(), status: "Enabled".into() });
    }
    let prior = Snapshot::new("flights", "local");
    let refused = plan(Inputs { program: &program, prior: &prior, schemas: &schemas(), config_hash: "c" }).unwrap_err();
    assert!(refused.to_string().contains("would both be `flights-local-raw-"), "{refused}");
}

#[test]
fn a_name_that_passes_to_another_resource_goes_before_it_comes() {
    let program = |name: &str| {
        let mut program = Program::default();
        let raw = bucket(&mut program, "raw");
        program.declare(name, BucketVersioning { bucket: raw.name(), status: "Enabled".into() });
        program
    };
    let mut prior = applied(&program("one"), Snapshot::new("flights", "local"));
    let name = prior.resources[&address("aws:s3:Bucket/raw")].identity.clone();
    Arc::make_mut(prior.resources.get_mut(&address("aws:s3:BucketVersioning/one")).unwrap()).identity = name;
    let plan = plan_of(&program("other"), &prior);
    assert_eq!(sentences(&plan), ["+ aws:s3:BucketVersioning/other", "- aws:s3:BucketVersioning/one"]);
    assert_eq!((&plan.steps[0].after, &plan.steps[1].after), (&vec![1], &vec![]));
}
