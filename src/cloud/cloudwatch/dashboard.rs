//! Dashboards. They belong to the account, not to a region.
//! <https://docs.aws.amazon.com/AmazonCloudWatch/latest/APIReference/API_PutDashboard.html>

use redb::{ReadTransaction, WriteTransaction};
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};

use super::{
    Done, Scope,
    dashboard_body::{self, Problems},
    fault::{Fault, invalid_dashboard, invalid_value, no_such_dashboard},
    page::{Page, after, token},
    tags::{self, Tag},
    values::{input, input_or_missing},
};
use crate::cloud::{
    service::ACCOUNT_ID,
    store::{Step, StoreError, Table, Transaction},
};

const DASHBOARDS: Table<Dashboard> = Table::new("cloudwatch.dashboards");

/// Longest name, in letters.
const NAME_LETTERS: usize = 255;
/// Dashboards of a page.
const PAGE_DASHBOARDS: usize = 1000;
/// Most dashboards deleted in one call.
const DELETED_DASHBOARDS: usize = 100;

#[derive(Debug, Serialize, Deserialize)]
struct Dashboard {
    body: String,
    /// Milliseconds since 1970.
    modified: i64,
}

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase", deny_unknown_fields)]
struct PutDashboard {
    dashboard_name: String,
    dashboard_body: String,
    #[serde(default)]
    tags: Vec<Tag>,
}

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase", deny_unknown_fields)]
struct GetDashboard {
    dashboard_name: String,
}

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase", deny_unknown_fields)]
struct ListDashboards {
    dashboard_name_prefix: Option<String>,
    next_token: Option<String>,
}

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase", deny_unknown_fields)]
struct DeleteDashboards {
    dashboard_names: Vec<String>,
}

/// The ARN of a dashboard.
pub(super) fn arn(name: &str) -> String {
    format!("arn:aws:cloudwatch::{ACCOUNT_ID}:dashboard/{name}")
}

/// Whether there is such a dashboard.
pub(super) fn exists(tx: &impl Transaction, name: &str) -> Result<bool, StoreError> {
    Ok(DASHBOARDS.get(tx, name)?.is_some())
}

fn is_name(name: &str) -> bool {
    (1..=NAME_LETTERS).contains(&name.len())
        && name.bytes().all(|byte| byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'_'))
}

/// `PutDashboard`: a body that could not be shown is refused, one that shows less than it says is warned of.
pub(super) fn put(tx: &WriteTransaction, scope: &Scope, value: Value) -> Result<Done, Fault> {
    let PutDashboard { dashboard_name: name, dashboard_body: body, tags } = input(value)?;
    if !is_name(&name) {
        let message = format!(
            "The value {name:?} for parameter DashboardName is invalid: it needs 1 to {NAME_LETTERS} of the letters \
             A-Z, a-z, 0-9, - and _."
        );
        return Err(invalid_dashboard(message, json!([])));
    }
    let Problems { errors, warnings } = dashboard_body::check(&body);
    if !errors.is_empty() {
        let count = errors.len();
        let problems = Value::from(errors);
        let message = format!("The dashboard body is invalid, there are {count} validation errors: {problems}");
        return Err(invalid_dashboard(message, problems));
    }
    if !exists(tx, &name)? {
        tags::set(tx, &arn(&name), &tags)?;
    }
    DASHBOARDS.put(tx, &name, &Dashboard { body, modified: scope.now })?;
    Ok(Done::with(json!({ "DashboardValidationMessages": warnings })))
}

/// `GetDashboard`
pub(super) fn get(tx: &ReadTransaction, _: &Scope, value: Value) -> Result<Value, Fault> {
    let GetDashboard { dashboard_name: name } = input_or_missing(value)?;
    let found = DASHBOARDS.get(tx, &name)?.ok_or_else(|| no_such_dashboard(&name))?;
    Ok(json!({ "DashboardArn": arn(&name), "DashboardBody": found.body, "DashboardName": name }))
}

/// `ListDashboards`
pub(super) fn list(tx: &ReadTransaction, _: &Scope, value: Value) -> Result<Value, Fault> {
    let wanted: ListDashboards = input(value)?;
    let prefix = wanted.dashboard_name_prefix.unwrap_or_default();
    let start = after(wanted.next_token.as_deref(), "")
        .map_err(|_| invalid_value("The value for parameter NextToken is invalid."))?;
    let mut page = Page::new(PAGE_DASHBOARDS);
    DASHBOARDS.walk::<Fault>(tx, start.as_deref().unwrap_or(&prefix), |name, entry| {
        if !name.starts_with(&prefix) {
            return Ok(Step::Stop);
        }
        if start.as_deref() == Some(name) {
            return Ok(Step::Next);
        }
        let Dashboard { body, modified } = entry.value()?;
        let told = json!({
            "DashboardName": name, "DashboardArn": arn(name), "LastModified": modified, "Size": body.len(),
        });
        Ok(page.take(name, Some(told)))
    })?;
    let mut output = json!({ "DashboardEntries": page.items });
    if let Some(last) = page.last_of_many {
        output["NextToken"] = token(&last, "").into();
    }
    Ok(output)
}

/// `DeleteDashboards`: as many as can be deleted are, also where others are not there.
/// <https://docs.aws.amazon.com/AmazonCloudWatch/latest/APIReference/API_DeleteDashboards.html>
pub(super) fn delete(tx: &WriteTransaction, _: &Scope, value: Value) -> Result<Done, Fault> {
    let DeleteDashboards { dashboard_names: names } = input_or_missing(value)?;
    if names.len() > DELETED_DASHBOARDS {
        return Err(invalid_value(format!("The parameter DashboardNames has more than {DELETED_DASHBOARDS} members.")));
    }
    let mut done = Done::with(json!({}));
    for name in names {
        if !DASHBOARDS.delete(tx, &name)? {
            // The model has no error of its own for it.
            done.answer = Err(invalid_value(no_such_dashboard(&name).error.message));
        }
        tags::forget(tx, &arn(&name))?;
    }
    Ok(done)
}
