//! What a lake does, each in one check. A check ends when it has seen what it waits for, or fails as soon as it knows
//! that this will not come; else it waits, and whoever runs it sets the limit.

use aws_sdk_glue::types::{Column, PartitionInput, TableInput};
use lake::pipeline::{
    ledger::{Commit, Kind, Marker, Origin, body},
    ports::Upload,
};
use serde_json::{Value, json};

use super::stage::Stage;
use crate::record::mails;

/// What is looked at.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Check {
    /// An upload to a dataset with a crawler goes by crawl and conversion to a mail.
    Chain(&'static str),
    /// An upload to a dataset without a crawler is committed.
    Direct,
    /// A new process converts an object of a dataset whose rows go through a plugin.
    Transformed,
    /// Intake writes down what it has started, and has nothing to complain of.
    Noted,
    /// Several objects of one crawl are converted, each by an invocation of its own.
    Several,
    /// A marker that no crawl was started for gets one from convert.
    Retry,
    /// The first conversion of a dataset makes its table.
    FirstTable,
    /// A table without one of the contract's columns gets it.
    NewColumn,
    /// The partitions of a file are registered.
    Partitions,
    /// A table that was partitioned otherwise forgets its partitions.
    Repartition,
    /// Uploads of an attempt that was rolled back are removed.
    Discarded,
    /// An object that was deleted before its conversion is not there, and that is no error.
    MissingKey,
    /// A function starts anew.
    ColdStart(&'static str),
    /// A function's log has the lines of an invocation, in a stream that was not there before.
    FunctionLog(&'static str),
    /// What a function fails on for good is among the dead letters.
    DeadLetter(&'static str),
    /// What a rule could not deliver is among the dead letters.
    RuleDeadLetter,
    /// The sweep finds objects of which nobody has told, with and without a crawler.
    SweepFinds,
    /// The sweep drives markers that nobody works on.
    SweepDrives,
    /// The sweep tells of a parked object that nobody was told of.
    SweepTells,
    /// A rule starts the sweep.
    SweepByRule,
    /// An alarm becomes a mail.
    Alarm,
    /// Crawls make tables and partitions, and follow files that change and folders that move.
    Crawls,
    /// A crawl writes its log, in a group that was not there before.
    CrawlLog,
    /// A bucket refuses a request that came without TLS.
    PlainHttp(&'static str),
}

impl Check {
    pub async fn run(self, stage: &Stage) -> Result<(), String> {
        match self {
            Check::Chain(dataset) => chain(stage, dataset).await,
            Check::Direct => {
                let key = stage.put("sizes").await;
                stage.committed("sizes", &key).await;
                Ok(())
            }
            Check::Transformed => {
                // One that is warm has the plugin already.
                stage.restart("convert").await;
                let key = format!("rated/{}.csv", stage.token());
                stage.put_at(&key, "v\n0\n5\n").await;
                stage.committed("rated", &key).await;
                Ok(())
            }
            Check::Noted => {
                let keys = stage.put_unheard(&["orders"]).await;
                stage.invoke("intake", &stage.s3_event(&keys)).await.map(drop)
            }
            Check::Several => {
                let keys = stage.put_unheard(&["orders"; 3]).await;
                stage.invoke("intake", &stage.s3_event(&keys)).await?;
                for key in keys {
                    stage.committed("orders", &key).await;
                }
                Ok(())
            }
            Check::Retry => {
                let key = stage.put_unheard(&["orders"]).await.remove(0);
                let marker = stage.mark("orders", &key).await;
                stage.invoke("convert", &json!({ "marker": marker })).await?;
                stage.committed("orders", &key).await;
                Ok(())
            }
            Check::FirstTable => first_table(stage).await,
            Check::NewColumn => new_column(stage).await,
            Check::Partitions => {
                parted(stage).await;
                Ok(())
            }
            Check::Repartition => repartition(stage).await,
            Check::Discarded => discarded(stage).await,
            Check::MissingKey => {
                let key = format!("sizes/{}.csv", stage.token());
                let marker = stage.mark("sizes", &key).await;
                let (answer, _) = stage.invoke("convert", &json!({ "marker": marker })).await?;
                stage.cleared("sizes", &key).await;
                (answer["outcome"] == "deleted").then_some(()).ok_or_else(|| answer.to_string())
            }
            Check::ColdStart(name) => {
                stage.restart(name).await;
                stage.invoke(name, &harmless(name)).await.map(drop)
            }
            Check::FunctionLog(name) => {
                stage.restart(name).await;
                let (_, request) = stage.invoke(name, &harmless(name)).await?;
                stage.logged(&stage.log_group(name).await, 0, Some(format!("\"{request}\""))).await;
                Ok(())
            }
            Check::DeadLetter(name) => dead_letter(stage, name).await,
            Check::RuleDeadLetter => rule_dead_letter(stage).await,
            Check::SweepFinds => {
                let keys = stage.put_unheard(&["orders", "sizes"]).await;
                sweep(stage).await?;
                stage.committed("orders", &keys[0]).await;
                stage.committed("sizes", &keys[1]).await;
                Ok(())
            }
            Check::SweepDrives => {
                let keys = stage.put_unheard(&["orders", "sizes"]).await;
                for (dataset, key) in ["orders", "sizes"].iter().zip(&keys) {
                    stage.mark(dataset, key).await;
                }
                sweep(stage).await?;
                stage.committed("orders", &keys[0]).await;
                stage.committed("sizes", &keys[1]).await;
                Ok(())
            }
            Check::SweepTells => sweep_tells(stage).await,
            Check::SweepByRule => sweep_by_rule(stage).await,
            Check::Alarm => alarm(stage).await,
            Check::Crawls => crawls(stage).await,
            Check::CrawlLog => crawl_log(stage).await,
            Check::PlainHttp(bucket) => plain_http(stage, bucket).await,
        }
    }
}

async fn mailed(stage: &Stage, word: &str) {
    stage.until(async || mails(&stage.project).iter().any(|mail| mail.contains(word)).then_some(())).await;
}

async fn chain(stage: &Stage, dataset: &str) -> Result<(), String> {
    let key = stage.put(dataset).await;
    stage.committed(dataset, &key).await;
    mailed(stage, &key).await;
    Ok(())
}

async fn first_table(stage: &Stage) -> Result<(), String> {
    let database = stage.output("database");
    // It may not be there yet.
    let _ = stage.glue.delete_table().database_name(database).name("sizes").send().await;
    let key = stage.put("sizes").await;
    stage.committed("sizes", &key).await;
    let table = stage.glue.get_table().database_name(database).name("sizes").send().await;
    table.map(drop).map_err(|error| format!("{error:?}"))
}

async fn new_column(stage: &Stage) -> Result<(), String> {
    let database = stage.output("database");
    let first = stage.put("sizes").await;
    stage.committed("sizes", &first).await;
    let get = || stage.glue.get_table().database_name(database).name("sizes").send();
    let table = get().await.unwrap().table.unwrap();
    let mut storage = table.storage_descriptor.unwrap();
    storage.columns.as_mut().unwrap().pop();
    let input = TableInput::builder()
        .name("sizes")
        .storage_descriptor(storage)
        .set_parameters(table.parameters)
        .set_table_type(table.table_type)
        .build()
        .unwrap();
    stage.glue.update_table().database_name(database).table_input(input).send().await.unwrap();
    let second = stage.put("sizes").await;
    stage.committed("sizes", &second).await;
    let storage = get().await.unwrap().table.unwrap().storage_descriptor.unwrap();
    (storage.columns().len() == 2).then_some(()).ok_or_else(|| format!("{:?}", storage.columns()))
}

/// The first object of a table with partitions. A check that failed may have left another table there.
async fn parted(stage: &Stage) -> String {
    let _ = stage.glue.delete_table().database_name(stage.output("database")).name("parted").send().await;
    let key = stage.put("parted").await;
    stage.committed("parted", &key).await;
    key
}

/// A table that somebody has partitioned otherwise, and a backfill that makes it as the dataset says.
async fn repartition(stage: &Stage) -> Result<(), String> {
    let database = stage.output("database");
    let first = parted(stage).await;
    let get = || stage.glue.get_table().database_name(database).name("parted").send();
    let table = get().await.unwrap().table.unwrap();
    let other = Column::builder().name("other").r#type("string").build().unwrap();
    let input = TableInput::builder()
        .name("parted")
        .set_storage_descriptor(table.storage_descriptor.clone())
        .partition_keys(other)
        .set_parameters(table.parameters)
        .set_table_type(table.table_type)
        .build()
        .unwrap();
    stage.glue.update_table().database_name(database).table_input(input).send().await.unwrap();
    let there =
        PartitionInput::builder().values(stage.token()).set_storage_descriptor(table.storage_descriptor).build();
    let create = stage.glue.create_partition().database_name(database).table_name("parted");
    create.partition_input(there).send().await.unwrap();
    let key = stage.put_unheard(&["parted"]).await.remove(0);
    let version = stage.record(&Kind::Commits.key("parted", &first)).await.unwrap()["current"]["config_hash"].clone();
    let mut marker = Marker::new("parted", &key, Origin::Backfill, None, jiff::Timestamp::now());
    marker.columns_of = version.as_str().map(str::to_owned);
    let marker_key = Kind::Pending.key("parted", &key);
    stage.put_record(&marker_key, body(&marker)).await;
    stage.invoke("convert", &json!({ "marker": marker_key })).await?;
    stage.committed("parted", &key).await;
    let keys = get().await.unwrap().table.unwrap().partition_keys.unwrap_or_default();
    let listed = stage.glue.get_partitions().database_name(database).table_name("parted").send().await.unwrap();
    match (keys.first().map(Column::name), listed.partitions().len()) {
        (Some("note"), 2) => Ok(()),
        other => Err(format!("{other:?}")),
    }
}

/// A commit record as a rollback leaves it, with an upload that it could not remove before it died.
async fn discarded(stage: &Stage) -> Result<(), String> {
    let processed = stage.output("processed_bucket");
    let key = format!("sizes/{}.csv", stage.token());
    let target = format!("sizes/{}.parquet", stage.token());
    let upload = stage.s3.create_multipart_upload().bucket(processed).key(&target).send().await.unwrap();
    let left = Upload {
        key: target,
        upload_id: upload.upload_id.unwrap(),
        token: "left".to_owned(),
        parts: Vec::new(),
        bytes: 0,
    };
    let commit = Commit { generation: 1, discarded: vec![left.clone()], ..Commit::new("sizes", &key) };
    stage.put_record(&Kind::Commits.key("sizes", &key), body(&commit)).await;
    stage.put_at(&key, "id,note\n1,one\n").await;
    stage.committed("sizes", &key).await;
    let uploads = stage.s3.list_multipart_uploads().bucket(processed).prefix(&left.key).send().await.unwrap();
    uploads.uploads().is_empty().then_some(()).ok_or_else(|| "the upload is still there".to_owned())
}

/// An event that a function has nothing to do for.
fn harmless(name: &str) -> Value {
    match name {
        "intake" => json!({ "Records": [] }),
        "convert" => json!({ "marker": Kind::Pending.key("sizes", "sizes/none.csv") }),
        _ => json!({ "sweep": true }),
    }
}

async fn dead_letter(stage: &Stage, name: &str) -> Result<(), String> {
    let token = stage.token();
    let payload = match name {
        "intake" => json!({ "Records": [{ "nonsense": token }] }),
        "convert" => json!({ "nonsense": token }),
        _ => json!([token]),
    };
    let payload = aws_sdk_lambda::primitives::Blob::new(payload.to_string());
    let invoke = stage.lambda.invoke().function_name(stage.function(name)).payload(payload);
    invoke.invocation_type(aws_sdk_lambda::types::InvocationType::Event).send().await.unwrap();
    stage.dead_letter(&token).await;
    Ok(())
}

async fn put_event(stage: &Stage, source: &str, detail_type: &str, detail: Value) {
    let entry = aws_sdk_eventbridge::types::PutEventsRequestEntry::builder()
        .source(source)
        .detail_type(detail_type)
        .detail(detail.to_string())
        .build();
    let answer = stage.events.put_events().entries(entry).send().await.unwrap();
    assert_eq!(answer.failed_entry_count(), 0, "{answer:?}");
}

/// The topic lets no rule in for a while.
async fn rule_dead_letter(stage: &Stage) -> Result<(), String> {
    let mut policy = stage.topic_policy();
    policy["Statement"].as_array_mut().unwrap().retain(|statement| statement["Sid"] != "Rules");
    stage.set_topic_policy(&policy.to_string()).await;
    let token = stage.token();
    let detail = json!({ "stack": "local", "state": "Succeeded", "lake": "shop", "message": token });
    put_event(stage, "lake.shop", "Lake Job State Change", detail).await;
    stage.dead_letter(&token).await;
    stage.set_topic_policy(&stage.topic_policy().to_string()).await;
    Ok(())
}

async fn sweep(stage: &Stage) -> Result<(), String> {
    stage.invoke("sweep", &json!({ "sweep": true, "grace_seconds": 0 })).await.map(drop)
}

async fn sweep_tells(stage: &Stage) -> Result<(), String> {
    let key = format!("sizes/{}.csv", stage.token());
    stage.put_at(&key, "colour,size\nred,1\n").await;
    let record = Kind::Parked.key("sizes", &key);
    let told = async || stage.record(&record).await.filter(|parked| parked["told"] == true);
    let mut parked = stage.until(told).await;
    stage.cleared("sizes", &key).await;
    parked["told"] = json!(false);
    stage.put_record(&record, parked.to_string()).await;
    sweep(stage).await?;
    stage.until(told).await;
    Ok(())
}

/// The rule of the clock hears an event besides: what it may do does not depend on what set it off.
async fn sweep_by_rule(stage: &Stage) -> Result<(), String> {
    let (rule, schedule) = stage.sweep_rule();
    let source = format!("test.{}", stage.token());
    let pattern = json!({ "source": [source] }).to_string();
    let put = stage.events.put_rule().name(rule).schedule_expression(schedule).event_pattern(pattern);
    put.send().await.unwrap();
    let group = stage.log_group("sweep").await;
    let since = jiff::Timestamp::now().as_millisecond() + 1;
    put_event(stage, &source, "Tick", json!({})).await;
    // To its end: a sweep that goes on finds what the next check puts, and does the work of the right that is missing.
    for line in ["START", "REPORT"] {
        stage.logged(&group, since, Some(line.to_owned())).await;
    }
    stage.events.put_rule().name(rule).schedule_expression(schedule).send().await.unwrap();
    Ok(())
}

async fn alarm(stage: &Stage) -> Result<(), String> {
    let alarms = stage.cloudwatch.describe_alarms().send().await.unwrap();
    let names = alarms.metric_alarms().iter().filter_map(|alarm| alarm.alarm_name());
    let name = names.into_iter().find(|name| name.contains("pending-age")).unwrap();
    let token = stage.token();
    for state in ["OK", "ALARM"] {
        let set = stage.cloudwatch.set_alarm_state().alarm_name(name).state_value(state.into());
        set.state_reason(&token).send().await.unwrap();
    }
    mailed(stage, &token).await;
    Ok(())
}

/// Runs the crawler of `days` once.
async fn crawl(stage: &Stage) -> Result<(), String> {
    let name = stage.output("crawler_days");
    let crawler = async || stage.glue.get_crawler().name(name).send().await.unwrap().crawler.unwrap();
    let ready = async || {
        let crawler = crawler().await;
        (crawler.state() == Some(&aws_sdk_glue::types::CrawlerState::Ready)).then_some(crawler.last_crawl)
    };
    let before = stage.until(ready).await.and_then(|last| last.start_time);
    stage.glue.start_crawler().name(name).send().await.map_err(|error| format!("{error:?}"))?;
    let last = stage
        .until(async || {
            let last = ready().await??;
            (last.start_time != before).then_some(last)
        })
        .await;
    match last.status().map(aws_sdk_glue::types::LastCrawlStatus::as_str) {
        Some("SUCCEEDED") => Ok(()),
        _ => Err(format!("{last:?}")),
    }
}

async fn crawls(stage: &Stage) -> Result<(), String> {
    let database = stage.output("database");
    stage.notify(false).await;
    // What an earlier run has left.
    let _ = stage.glue.delete_table().database_name(database).name("raw_days").send().await;
    let left = stage.s3.list_objects_v2().bucket(stage.raw()).prefix("days/").send().await.unwrap();
    for object in left.contents() {
        stage.s3.delete_object().bucket(stage.raw()).key(object.key().unwrap()).send().await.unwrap();
    }
    let partitions = async || {
        let get = stage.glue.get_partitions().database_name(database).table_name("raw_days").send().await;
        let all = get.map_err(|error| format!("{error:?}"))?.partitions.unwrap_or_default();
        Ok::<_, String>(all.into_iter().map(|partition| partition.values.unwrap_or_default()).collect::<Vec<_>>())
    };
    let rows = "id,note\n1,one\n2,two\n";
    stage.put_at("days/month=1/a.csv", rows).await;
    crawl(stage).await?;
    expect(partitions().await?, [vec!["1"]])?;
    stage.put_at("days/month=1/b.csv", rows).await;
    crawl(stage).await?;
    for gone in ["days/month=1/a.csv", "days/month=1/b.csv"] {
        stage.s3.delete_object().bucket(stage.raw()).key(gone).send().await.unwrap();
    }
    stage.put_at("days/year=1/month=2/a.csv", rows).await;
    crawl(stage).await?;
    expect(partitions().await?, [vec!["1", "2"]])?;
    stage.notify(true).await;
    Ok(())
}

fn expect<const N: usize>(partitions: Vec<Vec<String>>, expected: [Vec<&str>; N]) -> Result<(), String> {
    (partitions == expected).then_some(()).ok_or_else(|| format!("partitions {partitions:?}, not {expected:?}"))
}

async fn crawl_log(stage: &Stage) -> Result<(), String> {
    const GROUP: &str = "/aws-glue/crawlers";
    // No crawl may have been there before.
    let _ = stage.logs.delete_log_group().log_group_name(GROUP).send().await;
    crawl(stage).await?;
    stage.logged(GROUP, 0, None).await;
    Ok(())
}

async fn plain_http(stage: &Stage, part: &str) -> Result<(), String> {
    let buckets = stage.s3.list_buckets().send().await.unwrap();
    let names = buckets.buckets().iter().filter_map(|bucket| bucket.name());
    let name = names.into_iter().find(|name| name.contains(&format!("-{part}-"))).unwrap();
    // As a proxy tells that it has taken a request without TLS.
    let proxied = |request: &mut aws_smithy_runtime_api::client::orchestrator::HttpRequest, over: &'static str| {
        request.headers_mut().insert("x-forwarded-proto", over);
    };
    for (over, answer) in [("https", 200), ("http", 403)] {
        let list = stage.s3.list_objects_v2().bucket(name).customize().mutate_request(move |it| proxied(it, over));
        let put = stage.s3.put_object().bucket(name).key("plain").body(Vec::new().into());
        let put = put.customize().mutate_request(move |it| proxied(it, over));
        let (list, put) = (list.send().await.map(drop), put.send().await.map(drop));
        let listed = list.map_or_else(|error| error.raw_response().map_or(0, |it| it.status().as_u16()), |()| 200);
        let written = put.map_or_else(|error| error.raw_response().map_or(0, |it| it.status().as_u16()), |()| 200);
        if (listed, written) != (answer, answer) {
            return Err(format!("over {over}: a list is answered with {listed}, a write with {written}"));
        }
    }
    Ok(())
}
