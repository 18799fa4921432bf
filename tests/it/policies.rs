//! No policy allows, or refuses, more than the lake needs: every action of every statement, and each of its
//! resources, has a check that fails without it.

mod checks;
mod rights;
mod stage;

use std::{
    collections::{BTreeMap, BTreeSet},
    time::{Duration, Instant},
};

use checks::Check::{self, *};
use stage::Stage;

use crate::record::PATIENCE;

/// Lakes, each in a cloud of its own, that share the work.
const STAGES: usize = 3;

/// A check that takes this long where it took less with everything in place, has failed.
const LIMIT_MIN: Duration = Duration::from_secs(3);

/// The same, in times of what it took with everything in place.
const LIMIT_TIMES: u32 = 4;

/// Place, statement, and action or resource, with what fails without it.
const TABLE: &[(&str, Check)] = &[
    ("trust intake - sts:AssumeRole", ColdStart("intake")),
    ("trust convert - sts:AssumeRole", ColdStart("convert")),
    ("trust sweep - sts:AssumeRole", ColdStart("sweep")),
    ("trust crawler - sts:AssumeRole", Crawls),
    ("role intake/intake Log logs:CreateLogStream", FunctionLog("intake")),
    ("role intake/intake Log logs:PutLogEvents", FunctionLog("intake")),
    ("role intake/intake Manifest s3:GetObject", ColdStart("intake")),
    ("role intake/intake DeadLetters sqs:SendMessage", DeadLetter("intake")),
    ("role intake/intake Write s3:PutObject", Chain("orders")),
    ("role intake/intake Invoke lambda:InvokeFunction", Direct),
    ("role intake/intake Read s3:GetObject", Noted),
    ("role intake/intake Crawl glue:GetCrawler", Chain("orders")),
    ("role intake/intake Crawl glue:StartCrawler", Chain("orders")),
    ("role convert/convert Log logs:CreateLogStream", FunctionLog("convert")),
    ("role convert/convert Log logs:PutLogEvents", FunctionLog("convert")),
    ("role convert/convert Manifest s3:GetObject", ColdStart("convert")),
    ("role convert/convert DeadLetters sqs:SendMessage", DeadLetter("convert")),
    ("role convert/convert Missing s3:ListBucket", MissingKey),
    ("role convert/convert Missing on raw", MissingKey),
    ("role convert/convert Missing on processed", MissingKey),
    ("role convert/convert Write s3:GetObject", Direct),
    ("role convert/convert Write s3:PutObject", Direct),
    ("role convert/convert Write s3:DeleteObject", Direct),
    ("role convert/convert Write s3:AbortMultipartUpload", Discarded),
    ("role convert/convert Write on processed/orders/*", Chain("orders")),
    ("role convert/convert Write on processed/days/*", Chain("days")),
    ("role convert/convert Write on processed/sizes/*", Direct),
    ("role convert/convert Write on processed/parted/*", Partitions),
    ("role convert/convert Write on processed/rated/*", Transformed),
    ("role convert/convert Write on processed/_lake/*", Direct),
    ("role convert/convert Catalog glue:GetTable", Direct),
    ("role convert/convert Catalog glue:CreateTable", FirstTable),
    ("role convert/convert Catalog glue:UpdateTable", NewColumn),
    ("role convert/convert Catalog glue:BatchCreatePartition", Partitions),
    ("role convert/convert Catalog glue:GetPartitions", Repartition),
    ("role convert/convert Catalog glue:BatchDeletePartition", Repartition),
    ("role convert/convert Catalog on catalog", Direct),
    ("role convert/convert Catalog on database", Direct),
    ("role convert/convert Catalog on table/orders", Chain("orders")),
    ("role convert/convert Catalog on table/days", Chain("days")),
    ("role convert/convert Catalog on table/sizes", Direct),
    ("role convert/convert Catalog on table/parted", Partitions),
    ("role convert/convert Catalog on table/rated", Transformed),
    ("role convert/convert Tell events:PutEvents", Chain("orders")),
    ("role convert/convert Read s3:GetObject", Direct),
    ("role convert/convert Read on raw/orders/*", Chain("orders")),
    ("role convert/convert Read on raw/days/*", Chain("days")),
    ("role convert/convert Read on raw/sizes/*", Direct),
    ("role convert/convert Read on raw/parted/*", Partitions),
    ("role convert/convert Read on raw/rated/*", Transformed),
    ("role convert/convert Transforms s3:GetObject", Transformed),
    ("role convert/convert Crawl glue:GetCrawler", Chain("orders")),
    ("role convert/convert Crawl glue:StartCrawler", Retry),
    ("role convert/itself Itself lambda:InvokeFunction", Several),
    ("role sweep/sweep Log logs:CreateLogStream", FunctionLog("sweep")),
    ("role sweep/sweep Log logs:PutLogEvents", FunctionLog("sweep")),
    ("role sweep/sweep Manifest s3:GetObject", ColdStart("sweep")),
    ("role sweep/sweep DeadLetters sqs:SendMessage", DeadLetter("sweep")),
    ("role sweep/sweep List s3:ListBucket", SweepFinds),
    ("role sweep/sweep List on raw", SweepFinds),
    ("role sweep/sweep List on processed", SweepFinds),
    ("role sweep/sweep Read s3:GetObject", SweepFinds),
    ("role sweep/sweep Read on processed/_lake/pending/*", SweepDrives),
    ("role sweep/sweep Read on processed/_lake/commits/*", SweepFinds),
    ("role sweep/sweep Read on processed/_lake/parked/*", SweepFinds),
    ("role sweep/sweep Write s3:PutObject", SweepFinds),
    ("role sweep/sweep Write on processed/_lake/pending/*", SweepFinds),
    ("role sweep/sweep Write on processed/_lake/parked/*", SweepTells),
    ("role sweep/sweep Tell events:PutEvents", SweepTells),
    ("role sweep/sweep Invoke lambda:InvokeFunction", SweepFinds),
    ("role sweep/sweep Crawl glue:GetCrawler", SweepFinds),
    ("role sweep/sweep Crawl glue:StartCrawler", SweepFinds),
    ("role crawler/crawler List s3:ListBucket", Crawls),
    ("role crawler/crawler Read s3:GetObject", Crawls),
    ("role crawler/crawler Read on raw/orders/*", Chain("orders")),
    ("role crawler/crawler Read on raw/days/*", Crawls),
    ("role crawler/crawler Tables glue:GetDatabase", Crawls),
    ("role crawler/crawler Tables glue:GetTable", Crawls),
    ("role crawler/crawler Tables glue:CreateTable", Crawls),
    ("role crawler/crawler Tables glue:UpdateTable", Crawls),
    ("role crawler/crawler Tables glue:BatchGetPartition", Crawls),
    ("role crawler/crawler Tables glue:BatchCreatePartition", Crawls),
    ("role crawler/crawler Tables glue:BatchUpdatePartition", Crawls),
    ("role crawler/crawler Tables glue:BatchDeletePartition", Crawls),
    ("role crawler/crawler Tables on catalog", Crawls),
    ("role crawler/crawler Tables on database", Crawls),
    ("role crawler/crawler Tables on table/raw_*", Crawls),
    ("role crawler/crawler Log logs:CreateLogGroup", CrawlLog),
    ("role crawler/crawler Log logs:CreateLogStream", CrawlLog),
    ("role crawler/crawler Log logs:PutLogEvents", CrawlLog),
    ("queue Rules sqs:SendMessage", RuleDeadLetter),
    ("topic Rules sns:Publish", Chain("orders")),
    ("topic Alarms sns:Publish", Alarm),
    ("bucket raw SecureTransportOnly s3:*", PlainHttp("raw")),
    ("bucket raw SecureTransportOnly on raw", PlainHttp("raw")),
    ("bucket raw SecureTransportOnly on raw/*", PlainHttp("raw")),
    ("bucket processed SecureTransportOnly s3:*", PlainHttp("processed")),
    ("bucket processed SecureTransportOnly on processed", PlainHttp("processed")),
    ("bucket processed SecureTransportOnly on processed/*", PlainHttp("processed")),
    ("bucket artifacts SecureTransportOnly s3:*", PlainHttp("artifacts")),
    ("bucket artifacts SecureTransportOnly on artifacts", PlainHttp("artifacts")),
    ("bucket artifacts SecureTransportOnly on artifacts/*", PlainHttp("artifacts")),
    ("function intake lake-raw-bucket lambda:InvokeFunction", Chain("orders")),
    ("function convert lake-rules lambda:InvokeFunction", Chain("orders")),
    ("function sweep lake-rules lambda:InvokeFunction", SweepByRule),
];

/// Runs a check for at most `limit`; how long it took.
async fn within(stage: &Stage, check: Check, limit: Duration) -> Result<Duration, String> {
    let begun = Instant::now();
    match tokio::time::timeout(limit, check.run(stage)).await {
        Ok(result) => result.map(|()| begun.elapsed()),
        Err(_) => Err(format!("nothing to see after {} ms", limit.as_millis())),
    }
}

/// Runs the checks of `share` with everything in place, and once more without each of its rights. Gives what is not
/// as it should be.
async fn play(share: &[(&str, Check)]) -> Vec<String> {
    let stage = Stage::open().await;
    let rights = rights::by_name(&stage).await;
    let named: BTreeSet<&str> = TABLE.iter().map(|(name, _)| *name).collect();
    let there: BTreeSet<&str> = rights.keys().map(String::as_str).collect();
    let mut wrong: Vec<String> = Vec::new();
    wrong.extend(there.difference(&named).map(|name| format!("{name}: no check fails without it")));
    wrong.extend(named.difference(&there).map(|name| format!("{name}: no policy has it")));
    let checks: BTreeSet<Check> = share.iter().map(|(_, check)| *check).collect();
    let mut took = BTreeMap::new();
    for check in &checks {
        match within(&stage, *check, PATIENCE).await {
            Ok(time) => drop(took.insert(*check, time)),
            Err(reason) => wrong.push(format!("{check:?} fails with everything in place: {reason}")),
        }
        stage.settle().await;
    }
    for (name, check) in share {
        let (Some(right), Some(time)) = (rights.get(*name), took.get(check)) else { continue };
        right.take_away(&stage).await;
        if within(&stage, *check, LIMIT_MIN.max(*time * LIMIT_TIMES)).await.is_ok() {
            wrong.push(format!("{name}: {check:?} passes without it"));
        }
        right.put_back(&stage).await;
        stage.settle().await;
    }
    for check in took.keys() {
        if let Err(reason) = within(&stage, *check, PATIENCE).await {
            wrong.push(format!("{check:?} fails after everything was put back: {reason}"));
        }
        stage.settle().await;
    }
    wrong
}

#[test]
fn without_any_one_right_that_a_policy_gives_a_check_fails_that_passes_with_all_of_them() {
    // Rights of one check stay together, as the check is then to be seen passing in one lake only.
    let mut by_check: BTreeMap<Check, Vec<(&str, Check)>> = BTreeMap::new();
    TABLE.iter().for_each(|row| by_check.entry(row.1).or_default().push(*row));
    let mut groups: Vec<_> = by_check.into_values().collect();
    groups.sort_by_key(|group| std::cmp::Reverse(group.len()));
    let mut shares = vec![Vec::new(); STAGES];
    for group in groups {
        shares.iter_mut().min_by_key(|share: &&mut Vec<_>| share.len()).unwrap().extend(group);
    }
    let play = |share: Vec<(&'static str, Check)>| {
        tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap().block_on(play(&share))
    };
    let threads: Vec<_> = shares.into_iter().map(|share| std::thread::spawn(move || play(share))).collect();
    let wrong: BTreeSet<String> = threads.into_iter().flat_map(|thread| thread.join().unwrap()).collect();
    assert!(wrong.is_empty(), "{}", wrong.into_iter().collect::<Vec<_>>().join("\n"));
}
