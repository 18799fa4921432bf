use std::fmt::Write;

use serde_json::Value;

use super::*;
use crate::{
    graph::Graph,
    resource::{Address, resolve},
};

fn inputs() -> Inputs {
    Inputs {
        lake: "flights".into(),
        stack: "local".into(),
        region: "eu-west-1".into(),
        account_id: "123456789012".into(),
        partition: "aws".into(),
        secure_transport: true,
        alerts: vec!["ann@example.com".into()],
        on_destroy_retain: false,
        datasets: vec![crawled("flights", "in/flights/"), Dataset::new("airlines", "in/airlines/")],
        package: FunctionPackage { sha256: "feed".into(), architecture: Architecture::Arm64 },
        manifest: ManifestObject { key: "manifests/cafe.json".into(), sha256: "cafe".into() },
        intake: FunctionSize::INTAKE,
        convert: FunctionSize::CONVERT,
        sweep: FunctionSize::SWEEP,
    }
}

fn crawled(name: &str, source: &str) -> Dataset {
    Dataset { catalog: CatalogMode::Crawler, ..Dataset::new(name, source) }
}

/// The same lake, one of whose datasets has a transform.
fn transformed() -> Inputs {
    let mut inputs = inputs();
    inputs.datasets[0].transform = Some(Transform {
        name: "clean-flights".into(),
        component: "beef".into(),
        precompiled: Some("f00d".into()),
        config: [("late_minutes".to_owned(), "30".to_owned())].into(),
        memory_mb: 128,
        call_seconds: 60,
    });
    inputs
}

/// The same lake, none of whose datasets has a crawler.
fn direct() -> Inputs {
    let mut inputs = inputs();
    inputs.datasets.iter_mut().for_each(|dataset| dataset.catalog = CatalogMode::Direct);
    inputs
}

fn declared<'a>(program: &'a Program, kind: &str, name: &str) -> &'a crate::resource::Declared {
    let address = Address::new(kind, name);
    program.resources().iter().find(|declared| declared.address == address).expect("the program declares it")
}

/// `value` with each reference as `<name.output>`.
fn readable(value: &Value) -> Value {
    resolve(value, &|reference| {
        let kind = reference.address.kind().rsplit(':').next().unwrap_or_default();
        Some(Value::String(format!("<{kind} {} {}>", reference.address.name(), reference.output)))
    })
}

fn texts(value: &Value) -> Vec<String> {
    value.as_array().unwrap().iter().map(|text| text.as_str().unwrap().to_owned()).collect()
}

fn rights(program: &Program, role: &str) -> String {
    let document = readable(&declared(program, "aws:iam:RolePolicy", role).inputs.unpack()["document"]);
    let mut lines = String::new();
    for statement in document["Statement"].as_array().unwrap() {
        assert_eq!(statement["Effect"], "Allow");
        writeln!(lines, "{}", texts(&statement["Action"]).join(" ")).unwrap();
        for resource in texts(&statement["Resource"]) {
            writeln!(lines, "    {resource}").unwrap();
        }
    }
    lines
}

#[test]
fn the_program_declares_these_resources_and_no_others() {
    let program = program(&inputs());
    program.check().unwrap();
    let mut addresses: Vec<_> = program.resources().iter().map(|declared| declared.address.to_string()).collect();
    addresses.sort();
    insta::assert_snapshot!(addresses.join("\n"), @r"
    aws:cloudwatch:Alarm/dead-letters
    aws:cloudwatch:Alarm/errors-convert
    aws:cloudwatch:Alarm/errors-intake
    aws:cloudwatch:Alarm/errors-sweep
    aws:cloudwatch:Alarm/pending-age
    aws:cloudwatch:Dashboard/lake
    aws:events:Rule/crawl-failed-flights
    aws:events:Rule/crawled-flights
    aws:events:Rule/job-failed
    aws:events:Rule/job-succeeded
    aws:events:Rule/sweep
    aws:events:Target/crawl-failed-flights
    aws:events:Target/crawled-flights
    aws:events:Target/job-failed
    aws:events:Target/job-succeeded
    aws:events:Target/sweep
    aws:glue:Crawler/flights
    aws:glue:Database/lake
    aws:glue:Tables/airlines
    aws:glue:Tables/flights
    aws:iam:Role/convert
    aws:iam:Role/crawler
    aws:iam:Role/intake
    aws:iam:Role/sweep
    aws:iam:RolePolicy/convert
    aws:iam:RolePolicy/convert-itself
    aws:iam:RolePolicy/crawler
    aws:iam:RolePolicy/intake
    aws:iam:RolePolicy/sweep
    aws:lambda:EventInvokeConfig/convert
    aws:lambda:EventInvokeConfig/intake
    aws:lambda:EventInvokeConfig/sweep
    aws:lambda:Function/convert
    aws:lambda:Function/intake
    aws:lambda:Function/sweep
    aws:lambda:Permission/convert
    aws:lambda:Permission/intake
    aws:lambda:Permission/sweep
    aws:logs:LogGroup/convert
    aws:logs:LogGroup/intake
    aws:logs:LogGroup/sweep
    aws:s3:Bucket/artifacts
    aws:s3:Bucket/processed
    aws:s3:Bucket/raw
    aws:s3:BucketEncryption/artifacts
    aws:s3:BucketEncryption/processed
    aws:s3:BucketEncryption/raw
    aws:s3:BucketLifecycle/artifacts
    aws:s3:BucketLifecycle/processed
    aws:s3:BucketLifecycle/raw
    aws:s3:BucketNotification/raw
    aws:s3:BucketPolicy/artifacts
    aws:s3:BucketPolicy/processed
    aws:s3:BucketPolicy/raw
    aws:s3:BucketPublicAccessBlock/artifacts
    aws:s3:BucketPublicAccessBlock/processed
    aws:s3:BucketPublicAccessBlock/raw
    aws:s3:BucketVersioning/artifacts
    aws:s3:BucketVersioning/processed
    aws:s3:BucketVersioning/raw
    aws:s3:Document/crawlers
    aws:s3:Object/manifest
    aws:s3:Object/package
    aws:s3:Prefix/airlines
    aws:s3:Prefix/flights
    aws:s3:Prefix/raw/in/airlines
    aws:s3:Prefix/raw/in/flights
    aws:sns:Subscription/ann@example.com
    aws:sns:Topic/alerts
    aws:sns:TopicPolicy/alerts
    aws:sqs:Queue/dead-letters
    aws:sqs:QueuePolicy/dead-letters
    ");
}

#[test]
fn intake_may_write_markers_start_crawls_and_invoke_convert() {
    insta::assert_snapshot!(rights(&program(&inputs()), "intake"), @r"
    logs:CreateLogStream logs:PutLogEvents
        <LogGroup intake arn>:*
    s3:GetObject
        <Bucket artifacts arn>/manifests/*
    sqs:SendMessage
        <Queue dead-letters arn>
    s3:PutObject
        <Bucket processed arn>/_lake/pending/*
    lambda:InvokeFunction
        <Function convert arn>
    s3:GetObject
        <Bucket processed arn>/_lake/pending/*
    glue:GetCrawler glue:StartCrawler
        arn:aws:glue:eu-west-1:123456789012:crawler/flights-local-*
    ");
}

#[test]
fn convert_may_read_its_sources_and_write_its_outputs_its_ledger_and_its_tables() {
    insta::assert_snapshot!(rights(&program(&inputs()), "convert"), @r"
    logs:CreateLogStream logs:PutLogEvents
        <LogGroup convert arn>:*
    s3:GetObject
        <Bucket artifacts arn>/manifests/*
    sqs:SendMessage
        <Queue dead-letters arn>
    s3:ListBucket
        <Bucket raw arn>
        <Bucket processed arn>
    s3:GetObject s3:PutObject s3:DeleteObject s3:AbortMultipartUpload
        <Bucket processed arn>/flights/*
        <Bucket processed arn>/airlines/*
        <Bucket processed arn>/_lake/*
    glue:GetTable glue:CreateTable glue:UpdateTable glue:BatchCreatePartition glue:GetPartitions glue:BatchDeletePartition
        arn:aws:glue:eu-west-1:123456789012:catalog
        <Database lake arn>
        arn:aws:glue:eu-west-1:123456789012:table/<Database lake name>/flights
        arn:aws:glue:eu-west-1:123456789012:table/<Database lake name>/airlines
    events:PutEvents
        arn:aws:events:eu-west-1:123456789012:event-bus/default
    s3:GetObject
        <Bucket raw arn>/in/flights/*
        <Bucket raw arn>/in/airlines/*
    glue:GetCrawler glue:StartCrawler
        arn:aws:glue:eu-west-1:123456789012:crawler/flights-local-*
    ");
}

#[test]
fn sweep_may_read_the_ledger_and_write_markers_and_nothing_else_there() {
    insta::assert_snapshot!(rights(&program(&inputs()), "sweep"), @r"
    logs:CreateLogStream logs:PutLogEvents
        <LogGroup sweep arn>:*
    s3:GetObject
        <Bucket artifacts arn>/manifests/*
    sqs:SendMessage
        <Queue dead-letters arn>
    s3:ListBucket
        <Bucket raw arn>
        <Bucket processed arn>
    s3:GetObject
        <Bucket processed arn>/_lake/pending/*
        <Bucket processed arn>/_lake/commits/*
        <Bucket processed arn>/_lake/parked/*
    s3:PutObject
        <Bucket processed arn>/_lake/pending/*
        <Bucket processed arn>/_lake/parked/*
    events:PutEvents
        arn:aws:events:eu-west-1:123456789012:event-bus/default
    lambda:InvokeFunction
        <Function convert arn>
    glue:GetCrawler glue:StartCrawler
        arn:aws:glue:eu-west-1:123456789012:crawler/flights-local-*
    ");
}

#[test]
fn the_crawlers_may_read_the_files_of_crawled_datasets_and_write_raw_tables_only() {
    insta::assert_snapshot!(rights(&program(&inputs()), "crawler"), @r"
    s3:ListBucket
        <Bucket raw arn>
    s3:GetObject
        <Bucket raw arn>/in/flights/*
    glue:GetDatabase glue:GetTable glue:CreateTable glue:UpdateTable glue:BatchGetPartition glue:BatchCreatePartition glue:BatchUpdatePartition glue:BatchDeletePartition
        arn:aws:glue:eu-west-1:123456789012:catalog
        <Database lake arn>
        arn:aws:glue:eu-west-1:123456789012:table/<Database lake name>/raw_*
    logs:CreateLogGroup logs:CreateLogStream logs:PutLogEvents
        arn:aws:logs:eu-west-1:123456789012:log-group:/aws-glue/crawlers:*
    ");
}

#[test]
fn without_crawlers_nothing_of_crawling_is_declared() {
    let program = program(&direct());
    let text: Vec<String> = program
        .resources()
        .iter()
        .map(|declared| format!("{} {}", declared.address, serde_json::to_string(&declared.inputs).unwrap()))
        .collect();
    let crawling: Vec<_> = text.iter().filter(|text| text.to_lowercase().contains("crawler")).collect();
    assert!(crawling.is_empty(), "{crawling:?}");
    assert!(!text.iter().any(|text| text.starts_with("aws:iam:RolePolicy/convert-itself")));
}

#[test]
fn rules_hear_their_own_crawler_and_their_own_stack() {
    let program = program(&inputs());
    let pattern = |name| readable(&declared(&program, "aws:events:Rule", name).inputs.unpack()["pattern"]);
    let crawled = pattern("crawled-flights");
    assert_eq!(
        crawled["detail"],
        serde_json::json!({ "crawlerName": ["<Crawler flights name>"], "state": ["Succeeded"] })
    );
    assert_eq!(pattern("crawl-failed-flights")["detail"]["state"][0], "Failed");
    let job = pattern("job-failed");
    assert_eq!(job["source"][0], "lake.flights");
    assert_eq!(job["detail"], serde_json::json!({ "stack": ["local"], "state": ["Failed"] }));
}

#[test]
fn every_target_has_a_dead_letter_queue_and_comes_after_the_permission_it_needs() {
    let program = program(&inputs());
    let targets = program.resources().iter().filter(|declared| declared.address.kind() == "aws:events:Target");
    for target in targets {
        assert_eq!(readable(&target.inputs.unpack()["dead_letter"]), "<Queue dead-letters arn>", "{}", target.address);
        let arn = readable(&target.inputs.unpack()["arn"]);
        let function = arn.as_str().unwrap().strip_prefix("<Function ").and_then(|rest| rest.split(' ').next());
        if let Some(function) = function {
            let permission = Address::new("aws:lambda:Permission", function);
            assert!(target.dependencies().contains(&permission), "{}", target.address);
        }
    }
}

#[test]
fn datasets_whose_folders_bear_one_name_have_raw_tables_of_their_own() {
    let prefix = |name: &str, source: &str| dataset::raw_table_prefix(&Dataset::new(name, source));
    assert_eq!(prefix("flights", "in/flights/"), "raw_");
    assert_eq!(prefix("arrivals", "in/flights/"), "raw_arrivals_");
}

#[test]
fn a_bucket_refuses_what_comes_without_tls_where_the_endpoint_has_it() {
    let policies = |inputs: &Inputs| {
        let program = program(inputs);
        program.resources().iter().filter(|declared| declared.address.kind() == "aws:s3:BucketPolicy").count()
    };
    assert_eq!(policies(&inputs()), 3);
    assert_eq!(policies(&Inputs { secure_transport: false, ..inputs() }), 0);
    let program = program(&inputs());
    let document = readable(&declared(&program, "aws:s3:BucketPolicy", "raw").inputs.unpack()["document"]);
    assert_eq!(document["Statement"][0]["Effect"], "Deny");
    assert_eq!(document["Statement"][0]["Condition"]["Bool"]["aws:SecureTransport"], "false");
}

#[test]
fn no_policy_allows_an_action_or_a_resource_by_a_bare_wildcard() {
    let program = program(&inputs());
    let policies = program.resources().iter().filter(|declared| declared.address.kind() == "aws:iam:RolePolicy");
    let mut statements = 0;
    for declared in policies {
        for statement in declared.inputs.unpack()["document"]["Statement"].as_array().unwrap() {
            statements += 1;
            assert!(texts(&statement["Action"]).iter().all(|action| !action.contains('*')), "{statement}");
            let resources = readable(&statement["Resource"]);
            assert!(!texts(&resources).is_empty(), "{statement}");
            assert!(texts(&resources).iter().all(|resource| !resource.starts_with('*')), "{statement}");
        }
    }
    assert_eq!(statements, 30);
}

fn through_a_plugin(dataset: Dataset) -> Dataset {
    Dataset { transform: transformed().datasets.remove(0).transform, ..dataset }
}

#[test]
fn a_role_never_outgrows_its_quota_however_many_datasets_there_are() {
    use crate::resource::physical_name;
    let (lake, stack) = ("a-lake-of-20-letters", "15-letter-stack");
    let partition = "aws-us-gov";
    let mut exact = 0;
    for count in 1..100 {
        let dataset = |number| crawled(&format!("dataset_{number}"), &format!("a/source/{number}/"));
        let inputs = Inputs {
            lake: lake.into(),
            stack: stack.into(),
            region: "ap-southeast-3".into(),
            partition: partition.into(),
            datasets: (0..count).map(dataset).map(through_a_plugin).collect(),
            ..inputs()
        };
        let program = program(&inputs);
        let resolved = |policy: &str| {
            resolve(&declared(&program, "aws:iam:RolePolicy", policy).inputs.unpack()["document"], &|reference| {
                let schema = crate::resource::aws::schema(reference.address.kind())?;
                let name = physical_name(schema.naming, lake, stack, "lineage", &reference.address, 1)?;
                let arn = match reference.address.kind() {
                    "aws:s3:Bucket" => format!("arn:{partition}:s3:::{name}"),
                    "aws:lambda:Function" => {
                        format!("arn:{partition}:lambda:ap-southeast-3:123456789012:function:{name}")
                    }
                    "aws:sqs:Queue" => format!("arn:{partition}:sqs:ap-southeast-3:123456789012:{name}"),
                    "aws:logs:LogGroup" => format!("arn:{partition}:logs:ap-southeast-3:123456789012:log-group:{name}"),
                    _ => format!("arn:{partition}:glue:ap-southeast-3:123456789012:database/{name}"),
                };
                Some(Value::String(if reference.output == "arn" { arn } else { name }))
            })
        };
        let document = resolved("convert");
        let characters = document.to_string().len() + resolved("convert-itself").to_string().len();
        assert!(resolved("crawler").to_string().len() <= function::ROLE_POLICIES_CHARS_MAX, "{count}");
        assert!(characters <= function::ROLE_POLICIES_CHARS_MAX, "{count}: {document}");
        exact += u32::from(document.to_string().contains("/a/source/0/*"));
    }
    assert!((20..99).contains(&exact), "the policy names every dataset of up to {exact}");
}

#[test]
fn functions_come_after_what_they_may_do_and_notifications_after_everything() {
    let program = program(&inputs());
    let mut graph = Graph::default();
    for declared in program.resources() {
        graph.insert(declared.address.clone());
        for dependency in declared.dependencies() {
            graph.order(declared.address.clone(), dependency.clone());
        }
    }
    let order: Vec<Address> = graph.sorted().unwrap().into_iter().cloned().collect();
    let place = |kind: &str, name: &str| order.iter().position(|a| *a == Address::new(kind, name)).unwrap();
    for name in ["intake", "convert"] {
        assert!(place("aws:iam:RolePolicy", name) < place("aws:lambda:Function", name));
        assert!(place("aws:lambda:Function", name) < place("aws:s3:BucketNotification", "raw"));
    }
    for object in ["package", "manifest"] {
        assert!(place("aws:s3:Object", object) < place("aws:lambda:Function", "convert"));
    }
    assert!(place("aws:lambda:Permission", "intake") < place("aws:s3:BucketNotification", "raw"));
}

#[test]
fn each_dataset_has_a_notification_for_its_prefix_and_an_output() {
    let program = program(&inputs());
    let notification = declared(&program, "aws:s3:BucketNotification", "raw");
    let entries: Vec<_> = notification.inputs.unpack()["functions"].as_array().unwrap().iter().map(readable).collect();
    assert_eq!((entries.len(), &entries[1]["prefix"]), (2, &Value::from("in/airlines/")));
    assert_eq!(entries[1]["function"], "<Function intake arn>");
    let outputs: Vec<_> =
        program.outputs().iter().map(|(name, value)| format!("{name} = {}", readable(value))).collect();
    insta::assert_snapshot!(outputs.join("\n"), @r#"
    alerts_topic = "<Topic alerts arn>"
    convert_function = "<Function convert name>"
    crawler_flights = "<Crawler flights name>"
    database = "<Database lake name>"
    dead_letters_queue = "<Queue dead-letters url>"
    intake_function = "<Function intake name>"
    processed_bucket = "<Bucket processed name>"
    raw_bucket = "<Bucket raw name>"
    sweep_function = "<Function sweep name>"
    upload_airlines = "s3://<Bucket raw name>/in/airlines/"
    upload_flights = "s3://<Bucket raw name>/in/flights/"
    "#);
}

#[test]
fn only_data_stay_when_the_lake_is_told_to_retain_them() {
    let retained = |on_destroy_retain| {
        let program = program(&Inputs { on_destroy_retain, ..inputs() });
        let kept = program.resources().iter().filter(|declared| declared.retain);
        kept.map(|declared| declared.address.to_string()).collect::<Vec<_>>()
    };
    assert!(retained(false).is_empty());
    let kept = retained(true);
    assert_eq!(kept.len(), 16, "{kept:?}");
    let is_data = |address: &&String| {
        address.ends_with("/raw") || address.ends_with("/processed") || address.starts_with("aws:s3:Prefix/")
    };
    assert_eq!(kept.iter().filter(is_data).count(), kept.len(), "{kept:?}");
    let program = program(&Inputs { on_destroy_retain: true, ..inputs() });
    let tables = program.resources().iter().find(|declared| declared.address.kind() == "aws:glue:Tables");
    assert_eq!(tables, None, "what is not declared is not deleted with a dataset");
}

#[test]
fn a_transform_is_uploaded_for_convert_which_alone_may_read_it() {
    let with = program(&transformed());
    with.check().unwrap();
    let own: Vec<_> = with
        .resources()
        .iter()
        .filter(|declared| declared.address.name().starts_with("transform-"))
        .map(|declared| {
            format!("{} {} {}", declared.address, declared.inputs.unpack()["key"], declared.inputs.unpack()["sha256"])
        })
        .collect();
    insta::assert_snapshot!(own.join("\n"), @r#"
    aws:s3:Object/transform-beef "transforms/beef.wasm" "beef"
    aws:s3:Object/transform-f00d-precompiled "transforms/f00d.arm64.cwasm" "f00d"
    "#);
    let shared = Inputs { datasets: inputs().datasets.into_iter().map(through_a_plugin).collect(), ..inputs() };
    program(&shared).check().expect("datasets may share a plugin");
    let reads = "    <Bucket artifacts arn>/transforms/*\n";
    assert!(rights(&with, "convert").contains(reads), "{}", rights(&with, "convert"));
    for role in ["intake", "sweep"] {
        assert_eq!(rights(&with, role), rights(&program(&inputs()), role));
    }
    assert!(!rights(&program(&inputs()), "convert").contains(reads), "nobody has a transform");
    for function in ["intake", "convert", "sweep"] {
        let dependencies = declared(&with, "aws:lambda:Function", function).dependencies();
        let waits = dependencies.iter().filter(|address| address.name().starts_with("transform-")).count();
        assert_eq!(waits, if function == "convert" { 2 } else { 0 }, "{function}");
        let environment = &declared(&with, "aws:lambda:Function", function).inputs.unpack()["environment"];
        let before = program(&inputs());
        assert_eq!(environment, &declared(&before, "aws:lambda:Function", function).inputs.unpack()["environment"]);
    }
}

#[test]
fn what_a_dataset_leaves_behind_covers_all_that_the_ledger_writes_of_it() {
    use crate::{
        dataset::Partition,
        pipeline::ledger::{Kind, data_key, rejects_key, runs_prefix},
    };
    let program = program(&inputs());
    let data = declared(&program, "aws:s3:Prefix", "flights");
    let mut prefixes = texts(&data.inputs.unpack()["with"]);
    prefixes.push(data.inputs.unpack()["prefix"].as_str().unwrap().to_owned());
    let keys = [
        Kind::Pending.key("flights", "a.csv"),
        Kind::Commits.key("flights", "a.csv"),
        Kind::Parked.key("flights", "a.csv"),
        data_key("flights", "a.csv", 1, &Partition::of_key("flights/year=2013/a"), 1),
        rejects_key("flights", "a.csv", 1),
        runs_prefix("flights"),
    ];
    for key in &keys {
        assert!(prefixes.iter().any(|prefix| key.starts_with(prefix)), "{key} in {prefixes:?}");
    }
    assert_eq!(prefixes.len(), keys.len());
    let raw = declared(&program, "aws:s3:Prefix", "raw/in/flights");
    assert_eq!(raw.inputs.unpack()["prefix"], "in/flights/");
}

#[test]
fn data_of_a_dataset_go_after_whoever_writes_or_hears_of_them() {
    let program = program(&inputs());
    let waits_for = |kind: &str, name: &str| declared(&program, kind, name).dependencies();
    let (files, raw) = (Address::new("aws:s3:Prefix", "flights"), Address::new("aws:s3:Prefix", "raw/in/flights"));
    let tables = Address::new("aws:glue:Tables", "flights");
    for name in ["intake", "convert", "sweep"] {
        for kind in ["aws:lambda:Function", "aws:iam:RolePolicy"] {
            let dependencies = waits_for(kind, name);
            assert!(dependencies.contains(&files) && dependencies.contains(&tables), "{kind}/{name}");
        }
    }
    assert!(waits_for("aws:s3:BucketNotification", "raw").contains(&raw));
    let crawler = waits_for("aws:glue:Crawler", "flights");
    assert!(crawler.contains(&raw) && crawler.contains(&tables));
    assert!(waits_for("aws:s3:Prefix", "flights").contains(&Address::new("aws:s3:Bucket", "processed")));
    assert!(waits_for("aws:glue:Tables", "flights").contains(&Address::new("aws:glue:Database", "lake")));
}

#[test]
fn a_crawler_is_told_how_files_are_written_where_lake_toml_says_so() {
    let mut inputs = inputs();
    inputs.datasets[0].csv.nulls = Some(vec!["NA".into()]);
    let none = program(&inputs);
    assert_eq!(declared(&none, "aws:glue:Crawler", "flights").inputs.unpack()["classifiers"], Value::Array(Vec::new()));
    inputs.datasets[0].csv.delimiter = Some(';');
    inputs.datasets[0].csv.header = Some(false);
    let some = program(&inputs);
    let classifier = declared(&some, "aws:glue:Classifier", "flights").inputs.unpack();
    assert_eq!((&classifier["delimiter"], &classifier["header"]), (&";".into(), &"ABSENT".into()));
    assert!(!classifier.contains_key("quote"));
    let crawler = declared(&some, "aws:glue:Crawler", "flights");
    assert!(crawler.dependencies().contains(&Address::new("aws:glue:Classifier", "flights")));
    assert_eq!(some.resources().len(), none.resources().len() + 1);
}

#[test]
fn functions_get_their_environment_and_only_intake_knows_convert() {
    let program = program(&inputs());
    let names = |function: &str| {
        let environment = &declared(&program, "aws:lambda:Function", function).inputs.unpack()["environment"];
        environment.as_object().unwrap().keys().cloned().collect::<Vec<_>>().join(" ")
    };
    insta::assert_snapshot!(names("convert"), @"LAKE_ARTIFACTS_BUCKET LAKE_CRAWLERS LAKE_CRAWLERS_VERSION LAKE_DATABASE LAKE_MANIFEST LAKE_NAME LAKE_PROCESSED_BUCKET LAKE_RAW_BUCKET LAKE_STACK");
    assert_eq!(names("intake").replace("LAKE_CONVERT_FUNCTION ", ""), names("convert"));
    assert_ne!(names("intake"), names("convert"));
}

#[test]
fn a_lake_without_datasets_is_a_program_too() {
    let program = program(&Inputs { datasets: Vec::new(), ..inputs() });
    program.check().unwrap();
    for declared in program.resources() {
        assert_ne!(declared.address.kind(), "aws:s3:BucketNotification");
    }
}
