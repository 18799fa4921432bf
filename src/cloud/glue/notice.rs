//! The catalog's own events: what an operation has changed, told in the transaction that changes it. Glue delivers
//! them as best it can, so that an event which the bus refuses does not undo the change.
//! <https://docs.aws.amazon.com/glue/latest/dg/automating-awsglue-with-cloudwatch-events.html>
//! <https://docs.aws.amazon.com/eventbridge/latest/ref/events-ref-glue.html>

use redb::WriteTransaction;
use serde_json::json;

use super::{Scope, tags};
use crate::cloud::{
    delivery::{Exchange, ServiceEvent},
    error::ApiError,
};

/// Names or partitions that one event tells of at most.
const CHANGES_PER_EVENT: usize = 100;

/// What one operation has changed.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Change {
    /// The API operation, as events name it.
    pub operation: &'static str,
    pub database: String,
    pub changed: Changed,
}

#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Changed {
    /// The database itself.
    Database,
    /// Tables that came or went.
    Tables(Vec<String>),
    /// A table or, by their values, partitions of it.
    Table { name: String, partitions: Vec<Vec<String>> },
}

impl Scope {
    /// Notes what is to be told once the operation is through.
    pub(super) fn changed(&self, operation: &'static str, database: &str, changed: Changed) {
        self.changes.borrow_mut().push(Change { operation, database: database.to_owned(), changed });
    }

    pub(super) fn changed_table(&self, operation: &'static str, database: &str, table: &str) {
        self.changed(operation, database, Changed::Table { name: table.to_owned(), partitions: Vec::new() });
    }

    pub(super) fn changed_partitions(
        &self,
        operation: &'static str,
        database: &str,
        table: &str,
        partitions: Vec<Vec<String>>,
    ) {
        if !partitions.is_empty() {
            self.changed(operation, database, Changed::Table { name: table.to_owned(), partitions });
        }
    }
}

/// Emits all that was noted in `scope`, as part of `tx`.
pub(super) fn emit(exchange: &Exchange, tx: &WriteTransaction, scope: &Scope) -> Result<(), ApiError> {
    for change in scope.changes.take() {
        for event in events(scope, change) {
            send(exchange, tx, &scope.region, event)?;
        }
    }
    Ok(())
}

/// Emits one event; the bus may refuse it, only a fault of the cloud itself is one of the caller's.
pub(super) fn send(
    exchange: &Exchange,
    tx: &WriteTransaction,
    region: &str,
    event: ServiceEvent<'_>,
) -> Result<(), ApiError> {
    let detail_type = event.detail_type.to_owned();
    match exchange.emit(tx, region, event) {
        Err(error) if error.status.is_client_error() => {
            tracing::warn!(%error, detail_type, "the default bus did not take an event of Glue's");
            Ok(())
        }
        outcome => outcome,
    }
}

fn events(scope: &Scope, change: Change) -> Vec<ServiceEvent<'static>> {
    let Change { operation, database, changed } = change;
    let of_database = |resources: Vec<String>, tables: &[String]| ServiceEvent {
        source: "aws.glue",
        detail_type: "Glue Data Catalog Database State Change",
        resources,
        detail: json!({ "databaseName": database, "typeOfChange": operation, "changedTables": tables }),
    };
    match changed {
        Changed::Database => vec![of_database(vec![tags::database_arn(scope, &database)], &[])],
        Changed::Tables(names) => {
            let arns = |names: &[String]| names.iter().map(|name| tags::table_arn(scope, &database, name)).collect();
            names.chunks(CHANGES_PER_EVENT).map(|names| of_database(arns(names), names)).collect()
        }
        Changed::Table { name, partitions } => {
            let event = |partitions: &[Vec<String>]| ServiceEvent {
                source: "aws.glue",
                detail_type: "Glue Data Catalog Table State Change",
                resources: vec![tags::table_arn(scope, &database, &name)],
                detail: json!({
                    "databaseName": database,
                    "typeOfChange": operation,
                    "tableName": name,
                    "changedPartitions":
                        partitions.iter().map(|values| format!("[{}]", values.join(", "))).collect::<Vec<_>>(),
                }),
            };
            if partitions.is_empty() {
                return vec![event(&[])];
            }
            partitions.chunks(CHANGES_PER_EVENT).map(event).collect()
        }
    }
}
