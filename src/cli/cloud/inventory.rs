//! What is in a cloud, from the listings that any AWS client sees.

use aws_config::SdkConfig;
use serde::Serialize;

use crate::cli::{error::CliError, service_error};

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
    /// CloudWatch Logs DescribeLogGroups.
    pub log_groups: Vec<String>,
}

impl Inventory {
    /// Asks the cloud.
    pub async fn of(sdk: &SdkConfig) -> Result<Self, CliError> {
        let (buckets, functions, roles, databases, log_groups) =
            futures::try_join!(buckets(sdk), functions(sdk), roles(sdk), databases(sdk), log_groups(sdk))?;
        Ok(Inventory { buckets, functions, roles, databases, log_groups })
    }

    /// Each kind with its names.
    pub fn kinds(&self) -> [(&'static str, &[String]); 5] {
        [
            ("buckets", &self.buckets),
            ("functions", &self.functions),
            ("roles", &self.roles),
            ("databases", &self.databases),
            ("log groups", &self.log_groups),
        ]
    }

    /// Whether there is nothing.
    pub fn is_empty(&self) -> bool {
        self.kinds().iter().all(|(_, names)| names.is_empty())
    }
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
        names.extend(page.log_groups().iter().filter_map(|group| group.log_group_name()).map(str::to_owned));
    }
    Ok(names)
}
