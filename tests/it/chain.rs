//! The event chain with the real binary and the real embedded cloud: each hop by the cloud's own records.

use serde_json::Value;

use crate::{
    record::{Recorder, confirm_mails, mails, until},
    world::{ORDERS, Project},
};

const HEADER: &str = "id,price,placed,note\n";

/// The dataset `orders` with its crawler, and somebody who is told.
fn watched() -> Project {
    let project = Project::new(&ORDERS.replace("[lake]\n", "[lake]\nalerts = [\"ann@example.com\"]\n"));
    project.lake(&["apply", "--yes"]).ok();
    project
}

fn rows(ids: std::ops::Range<i64>) -> String {
    let rows: String = ids.map(|id| format!("{id},1.50,2026-01-01T00:00:00Z,note {id}\n")).collect();
    format!("{HEADER}{rows}")
}

#[track_caller]
fn ids(project: &Project) -> Vec<i64> {
    let rows = project.lake(&["show", "orders", "--limit", "1000000", "--json"]).documents();
    let mut ids: Vec<i64> = rows.iter().map(|row| row["id"].as_i64().unwrap()).collect();
    ids.sort_unstable();
    ids
}

fn output(project: &Project, name: &str) -> String {
    let outputs = project.lake(&["outputs", "--json"]).document();
    outputs[name].as_str().unwrap_or_else(|| panic!("{name} in {outputs}")).to_owned()
}

#[tokio::test]
async fn an_upload_goes_by_marker_crawl_catalog_event_conversion_and_event_to_a_mail() {
    let project = watched();
    confirm_mails(&project).await;
    let mut recorder = Recorder::start(&project).await;
    let path = project.write("january.csv", rows(0..1_000));
    let put = project.lake(&["put", "orders", &path, "--wait", "--json"]).document();
    let result = &put["files"][0]["result"];
    assert_eq!(result["state"], "committed", "{put}");
    let run = result["run"]["id"].as_str().unwrap();

    // S3 has told intake, which wrote the marker: its versions are there, and that it is cleared.
    let s3 = project.s3().await;
    let processed = output(&project, "processed_bucket");
    let pending = s3.list_object_versions().bucket(&processed).prefix("_lake/pending/orders/").send().await.unwrap();
    assert!(!pending.versions().is_empty(), "a marker was written");
    until("the marker is cleared", async || {
        let left = s3.list_objects_v2().bucket(&processed).prefix("_lake/pending/").send().await.unwrap();
        left.contents().is_empty().then_some(())
    })
    .await;

    // The crawler has run and filled the catalog; its table does not collide with the processed one.
    let sdk = project.sdk().await;
    let glue = aws_sdk_glue::Client::new(&sdk);
    let crawler = glue.get_crawler().name(output(&project, "crawler_orders")).send().await.unwrap().crawler.unwrap();
    let crawl = crawler.last_crawl().unwrap();
    assert_eq!(crawl.status().unwrap().as_str(), "SUCCEEDED", "{crawl:?}");
    let database = output(&project, "database");
    let table = async |name: &str| {
        let found = glue.get_table().database_name(&database).name(name).send().await;
        found.unwrap_or_else(|error| panic!("{name}: {error:?}")).table.unwrap()
    };
    let raw = table("raw_orders").await;
    assert_eq!(raw.parameters().unwrap()["classification"], "csv");
    assert_eq!(raw.parameters().unwrap()["UPDATED_BY_CRAWLER"], crawler.name().unwrap());
    let columns: Vec<_> =
        raw.storage_descriptor().unwrap().columns().iter().map(aws_sdk_glue::types::Column::name).collect();
    assert_eq!(columns, ["id", "price", "placed", "note"]);
    assert!(table("orders").await.storage_descriptor().unwrap().location().unwrap().contains(&processed));

    // EventBridge has heard this crawler's success, and the job's.
    let succeeded = until("the crawler's event", async || {
        let heard = recorder.of("Glue Crawler State Change", "Succeeded").await;
        (!heard.is_empty()).then_some(heard)
    });
    let succeeded = succeeded.await;
    assert_eq!(succeeded[0]["detail"]["crawlerName"], crawler.name().unwrap());
    assert_eq!(recorder.of("Glue Crawler State Change", "Started").await.len(), succeeded.len());
    let job = until("the job's event", async || recorder.of("Lake Job State Change", "Succeeded").await.pop()).await;
    assert_eq!((job["source"].as_str(), job["detail"]["run"].as_str()), (Some("lake.shop"), Some(run)));
    assert_eq!(job["detail"]["rows"]["kept"], 1_000);

    // Convert was started by the rule: its log has the event's run.
    let logs = project.lake(&["logs", "convert"]).ok();
    assert!(logs.contains(run), "{logs}");
    assert_eq!(ids(&project), (0..1_000).collect::<Vec<_>>());

    // SNS has delivered the mail that names the run.
    let mail = until("the mail", async || mails(&project).into_iter().find(|mail| mail.contains(run))).await;
    assert!(mail.contains("To: ann@example.com") && mail.contains("orders/january.csv"), "{mail}");

    // Nothing was left over on the way.
    let queue = output(&project, "dead_letters_queue");
    let dead = aws_sdk_sqs::Client::new(&sdk).receive_message().queue_url(queue).send().await.unwrap();
    assert!(dead.messages().is_empty(), "{dead:?}");
    project.lake(&["destroy", "--yes"]).ok();
}

#[tokio::test]
async fn a_file_that_cannot_be_converted_is_parked_and_somebody_is_told_why() {
    let project = watched();
    confirm_mails(&project).await;
    let path = project.write("other.csv", "colour,size\nred,1\nblue,2\n");
    let put = project.lake(&["put", "orders", &path, "--wait"]).failed();
    assert!(put.contains("parked"), "{put}");
    let mail = until("the mail", async || mails(&project).into_iter().find(|mail| mail.contains("other.csv"))).await;
    assert!(mail.contains("colour"), "the mail gives the reason: {mail}");
}

#[tokio::test]
async fn of_300_files_in_a_burst_each_is_committed_once_with_a_few_crawls() {
    let project = watched();
    let mut recorder = Recorder::start(&project).await;
    let s3 = project.s3().await;
    let raw = output(&project, "raw_bucket");
    // The crawler runs all the time: one crawl is under way when the first file comes, and each end starts another
    // as long as files wait.
    let uploads = (0..300_i64).map(|file| {
        let put = s3.put_object().bucket(&raw).key(format!("orders/{file:03}.csv"));
        put.body(rows(file * 10..file * 10 + 10).into_bytes().into()).send()
    });
    for uploaded in futures::future::join_all(uploads).await {
        uploaded.unwrap();
    }
    let processed = output(&project, "processed_bucket");
    until("all 300 are committed and none is pending", async || {
        let list = async |prefix: &str| {
            let listed = s3.list_objects_v2().bucket(&processed).prefix(prefix).send().await.unwrap();
            listed.contents().len()
        };
        (list("_lake/commits/orders/").await == 300 && list("_lake/pending/").await == 0).then_some(())
    })
    .await;
    assert_eq!(ids(&project), (0..3_000).collect::<Vec<_>>(), "each row once");
    let runs = project.lake(&["runs", "--limit", "1000", "--json"]).document();
    let mut keys: Vec<&str> = runs["runs"].as_array().unwrap().iter().map(|run| run["key"].as_str().unwrap()).collect();
    keys.sort_unstable();
    assert_eq!(keys.len(), 300, "each object was committed once");
    keys.dedup();
    assert_eq!(keys.len(), 300);
    let crawls = recorder.of("Glue Crawler State Change", "Started").await.len();
    // One as long as the crawler takes and rests, from the first upload to the last: a handful, more on a busy machine.
    assert!((1..=30).contains(&crawls), "{crawls} crawls for 300 files");
}

#[tokio::test]
async fn an_object_whose_event_never_came_is_found_by_the_sweep() {
    let project = watched();
    let plan = project.write("faults.json", r#"{"events": {"drop": 1.0}}"#);
    project.lake(&["cloud", "faults", &plan]).ok();
    let path = project.write("unheard.csv", rows(0..10));
    project.lake(&["put", "orders", &path]).ok();
    let lost = async || {
        let faults = project.lake(&["cloud", "faults", "--json"]).document();
        (faults["counts"]["events_lost"].as_u64() > Some(0)).then_some(())
    };
    until("the event is lost", lost).await;
    project.lake(&["cloud", "faults", "--off"]).ok();
    sweep(&project).await;
    until("it is committed", async || {
        (!project.lake(&["runs", "--json"]).document()["runs"].as_array().unwrap().is_empty()).then_some(())
    })
    .await;
    assert_eq!(ids(&project), (0..10).collect::<Vec<_>>());
}

/// Runs the sweep now, for whatever age.
pub async fn sweep(project: &Project) -> Value {
    let lambda = aws_sdk_lambda::Client::new(&project.sdk().await);
    let payload = aws_sdk_lambda::primitives::Blob::new(br#"{"sweep": true, "grace_seconds": 0}"#.as_slice());
    let answer =
        lambda.invoke().function_name(output(project, "sweep_function")).payload(payload).send().await.unwrap();
    assert_eq!(answer.function_error(), None, "{:?}", answer.payload());
    serde_json::from_slice(answer.payload().unwrap().as_ref()).unwrap_or_default()
}

#[tokio::test]
async fn a_crawler_whose_role_may_no_longer_read_fails_is_reported_and_goes_on_when_it_may() {
    let project = watched();
    confirm_mails(&project).await;
    let iam = aws_sdk_iam::Client::new(&project.sdk().await);
    let roles = iam.list_roles().send().await.unwrap();
    let role = roles
        .roles()
        .iter()
        .map(aws_sdk_iam::types::Role::role_name)
        .find(|name| name.contains("crawler"))
        .unwrap()
        .to_owned();
    iam.delete_role_policy().role_name(&role).policy_name("crawler").send().await.unwrap();
    let path = project.write("a.csv", rows(0..10));
    project.lake(&["put", "orders", &path]).ok();
    let told = until("somebody is told", async || {
        mails(&project).into_iter().find(|mail| mail.to_lowercase().contains("crawl"))
    });
    let mail = told.await;
    assert!(mail.contains("orders"), "{mail}");
    // The policy is drift: an apply puts it back, and a retry drives what was parked.
    project.lake(&["apply", "--yes"]).ok();
    until("it is parked or committed", async || {
        let status = project.lake(&["status", "--json"]).document();
        let states = &status["datasets"][0]["totals"]["by_state"];
        (states["parked"].as_u64() == Some(1) || states["committed"].as_u64() == Some(1)).then_some(())
    })
    .await;
    project.lake(&["retry", "orders"]).ok();
    until("it is committed", async || {
        let status = project.lake(&["status", "--json"]).document();
        (status["datasets"][0]["totals"]["by_state"]["committed"].as_u64() == Some(1)).then_some(())
    })
    .await;
    assert_eq!(ids(&project), (0..10).collect::<Vec<_>>());
}
