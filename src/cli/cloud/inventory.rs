//! What is in a cloud, from the listings that any AWS client sees.

use aws_config::SdkConfig;
use serde::Serialize;

use crate::cli::{error::CliError, service_error};

/// Log groups that services make for the account, not for a lake: Glue's, for what all crawlers say
/// (<https://docs.aws.amazon.com/glue/latest/dg/monitor-glue.html>). They stay when a lake goes.
const ACCOUNTS_LOG_GROUPS: [&str; 1] = ["/aws-glue/crawlers"];

/// The names of what a cloud holds, of the kinds that lakes are made of.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize)]
pub struct Inventory {
    /// S3 ListBuckets.
    pub buckets: Vec<String>,
    /// Lambda ListFunctions.
    pub functions: Vec<String>,
    /// IAM ListRoles.
    pub roles: Vec<String>,
    /// Glue GetDatabases.
    pub databases: Vec<String>,
    /// Glue ListCrawlers.
    pub crawlers: Vec<String>,
    /// EventBridge ListRules, of the default bus.
    pub rules: Vec<String>,
    /// SNS ListTopics.
    pub topics: Vec<String>,
    /// SQS ListQueues.
    pub queues: Vec<String>,
    /// CloudWatch DescribeAlarms.
    pub alarms: Vec<String>,
    /// CloudWatch ListDashboards.
    pub dashboards: Vec<String>,
    /// CloudWatch Logs DescribeLogGroups, without those of the account.
    pub log_groups: Vec<String>,
}

impl Inventory {
    /// Asks the cloud.
    pub async fn of(sdk: &SdkConfig) -> Result<Self, CliError> {
        let (buckets, functions, roles, databases, crawlers) =
            futures::try_join!(buckets(sdk), functions(sdk), roles(sdk), databases(sdk), crawlers(sdk))?;
        let (rules, topics, queues) = futures::try_join!(rules(sdk), topics(sdk), queues(sdk))?;
        let (alarms, dashboards, log_groups) = futures::try_join!(alarms(sdk), dashboards(sdk), log_groups(sdk))?;
        Ok(Inventory {
            buckets,
            functions,
            roles,
            databases,
            crawlers,
            rules,
            topics,
            queues,
            alarms,
            dashboards,
            log_groups,
        })
    }

    /// Each kind with its names.
    pub fn kinds(&self) -> [(&'static str, &[String]); 11] {
        [
            ("buckets", &self.buckets),
            ("functions", &self.functions),
            ("roles", &self.roles),
            ("databases", &self.databases),
            ("crawlers", &self.crawlers),
            ("rules", &self.rules),
            ("topics", &self.topics),
            ("queues", &self.queues),
            ("alarms", &self.alarms),
            ("dashboards", &self.dashboards),
            ("log groups", &self.log_groups),
        ]
    }

    /// Whether there is nothing.
    pub fn is_empty(&self) -> bool {
        self.kinds().iter().all(|(_, names)| names.is_empty())
    }
}

/// What a URL or ARN ends with.
fn last(text: &str) -> String {
    text.rsplit(['/', ':']).next().unwrap_or_default().to_owned()
}

async fn crawlers(sdk: &SdkConfig) -> Result<Vec<String>, CliError> {
    let mut pages = aws_sdk_glue::Client::new(sdk).list_crawlers().into_paginator().send();
    let mut names = Vec::new();
    while let Some(page) = pages.next().await {
        let page = page.map_err(|error| service_error("glue:ListCrawlers", "the cloud", error))?;
        names.extend(page.crawler_names().iter().cloned());
    }
    Ok(names)
}

/// The SDK has no paginator for rules.
async fn rules(sdk: &SdkConfig) -> Result<Vec<String>, CliError> {
    let client = aws_sdk_eventbridge::Client::new(sdk);
    let (mut names, mut token) = (Vec::new(), None);
    loop {
        let page = client.list_rules().set_next_token(token).send().await;
        let page = page.map_err(|error| service_error("events:ListRules", "the cloud", error))?;
        names.extend(page.rules().iter().filter_map(|rule| rule.name()).map(str::to_owned));
        token = page.next_token;
        if token.is_none() {
            return Ok(names);
        }
    }
}

async fn topics(sdk: &SdkConfig) -> Result<Vec<String>, CliError> {
    let mut pages = aws_sdk_sns::Client::new(sdk).list_topics().into_paginator().send();
    let mut names = Vec::new();
    while let Some(page) = pages.next().await {
        let page = page.map_err(|error| service_error("sns:ListTopics", "the cloud", error))?;
        names.extend(page.topics().iter().filter_map(|topic| topic.topic_arn()).map(last));
    }
    Ok(names)
}

async fn queues(sdk: &SdkConfig) -> Result<Vec<String>, CliError> {
    let mut pages = aws_sdk_sqs::Client::new(sdk).list_queues().into_paginator().send();
    let mut names = Vec::new();
    while let Some(page) = pages.next().await {
        let page = page.map_err(|error| service_error("sqs:ListQueues", "the cloud", error))?;
        names.extend(page.queue_urls().iter().map(|url| last(url)));
    }
    Ok(names)
}

async fn alarms(sdk: &SdkConfig) -> Result<Vec<String>, CliError> {
    let mut pages = aws_sdk_cloudwatch::Client::new(sdk).describe_alarms().into_paginator().send();
    let mut names = Vec::new();
    while let Some(page) = pages.next().await {
        let page = page.map_err(|error| service_error("cloudwatch:DescribeAlarms", "the cloud", error))?;
        names.extend(page.metric_alarms().iter().filter_map(|alarm| alarm.alarm_name()).map(str::to_owned));
    }
    Ok(names)
}

async fn dashboards(sdk: &SdkConfig) -> Result<Vec<String>, CliError> {
    let mut pages = aws_sdk_cloudwatch::Client::new(sdk).list_dashboards().into_paginator().send();
    let mut names = Vec::new();
    while let Some(page) = pages.next().await {
        let page = page.map_err(|error| service_error("cloudwatch:ListDashboards", "the cloud", error))?;
        names.extend(page.dashboard_entries().iter().filter_map(|entry| entry.dashboard_name()).map(str::to_owned));
    }
    Ok(names)
}

async fn buckets(sdk: &SdkConfig) -> Result<Vec<String>, CliError> {
    let config = aws_sdk_s3::config::Builder::from(sdk).force_path_style(sdk.endpoint_url().is_some()).build();
    let mut pages = aws_sdk_s3::Client::from_conf(config).list_buckets().into_paginator().send();
    let mut names = Vec::new();
    while let Some(page) = pages.next().await {
        let page = page.map_err(|error| service_error("s3:ListBuckets", "the cloud", error))?;
        names.extend(page.buckets().iter().filter_map(|bucket| bucket.name()).map(str::to_owned));
    }
    Ok(names)
}

async fn functions(sdk: &SdkConfig) -> Result<Vec<String>, CliError> {
    let mut pages = aws_sdk_lambda::Client::new(sdk).list_functions().into_paginator().send();
    let mut names = Vec::new();
    while let Some(page) = pages.next().await {
        let page = page.map_err(|error| service_error("lambda:ListFunctions", "the cloud", error))?;
        names.extend(page.functions().iter().filter_map(|function| function.function_name()).map(str::to_owned));
    }
    Ok(names)
}

async fn roles(sdk: &SdkConfig) -> Result<Vec<String>, CliError> {
    let mut pages = aws_sdk_iam::Client::new(sdk).list_roles().into_paginator().send();
    let mut names = Vec::new();
    while let Some(page) = pages.next().await {
        let page = page.map_err(|error| service_error("iam:ListRoles", "the cloud", error))?;
        names.extend(page.roles().iter().map(|role| role.role_name().to_owned()));
    }
    Ok(names)
}

async fn databases(sdk: &SdkConfig) -> Result<Vec<String>, CliError> {
    let mut pages = aws_sdk_glue::Client::new(sdk).get_databases().into_paginator().send();
    let mut names = Vec::new();
    while let Some(page) = pages.next().await {
        let page = page.map_err(|error| service_error("glue:GetDatabases", "the cloud", error))?;
        names.extend(page.database_list().iter().map(|database| database.name().to_owned()));
    }
    Ok(names)
}

async fn log_groups(sdk: &SdkConfig) -> Result<Vec<String>, CliError> {
    let mut pages = aws_sdk_cloudwatchlogs::Client::new(sdk).describe_log_groups().into_paginator().send();
    let mut names = Vec::new();
    while let Some(page) = pages.next().await {
        let page = page.map_err(|error| service_error("logs:DescribeLogGroups", "the cloud", error))?;
        let groups = page.log_groups().iter().filter_map(|group| group.log_group_name());
        names.extend(groups.filter(|name| !ACCOUNTS_LOG_GROUPS.contains(name)).map(str::to_owned));
    }
    Ok(names)
}
