//! The catalog's structures, with AWS's member names. What an input leaves out, an answer leaves out, but for
//! numbers and flags, which answers always have.
//! <https://docs.aws.amazon.com/glue/latest/dg/aws-glue-api-catalog.html>

use std::collections::BTreeMap;

use serde::{Deserialize, Deserializer, Serialize};
use serde_json::{Number, Value, json};

use crate::cloud::service::ACCOUNT_ID;

/// Parameters and tags.
pub(super) type Map = BTreeMap<String, String>;

fn null_as_default<'de, D: Deserializer<'de>, T: Default + Deserialize<'de>>(value: D) -> Result<T, D::Error> {
    Ok(Option::deserialize(value)?.unwrap_or_default())
}

#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(rename_all = "PascalCase")]
pub(super) struct DatabaseInput {
    pub name: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub description: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub location_uri: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub parameters: Option<Map>,
    /// Who may do what with new tables; without Lake Formation everybody whom IAM lets.
    #[serde(default = "everybody_whom_iam_lets")]
    pub create_table_default_permissions: Option<Value>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub target_database: Option<Value>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub federated_database: Option<Value>,
}

fn everybody_whom_iam_lets() -> Option<Value> {
    let everybody = json!({ "DataLakePrincipalIdentifier": "IAM_ALLOWED_PRINCIPALS" });
    Some(json!([{ "Principal": everybody, "Permissions": ["ALL"] }]))
}

/// A database as it is kept and told.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(rename_all = "PascalCase")]
pub(super) struct Database {
    #[serde(flatten)]
    pub input: DatabaseInput,
    /// Seconds since 1970.
    pub create_time: i64,
    #[serde(default = "catalog_id")]
    pub catalog_id: String,
}

pub(super) fn catalog_id() -> String {
    ACCOUNT_ID.to_owned()
}

#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "PascalCase")]
pub(super) struct Column {
    pub name: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub r#type: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub comment: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub parameters: Option<Map>,
}

#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(rename_all = "PascalCase")]
pub(super) struct Order {
    pub column: String,
    pub sort_order: i32,
}

#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(rename_all = "PascalCase")]
pub(super) struct SerdeInfo {
    #[serde(skip_serializing_if = "Option::is_none")]
    pub name: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub serialization_library: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub parameters: Option<Map>,
}

#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(rename_all = "PascalCase")]
pub(super) struct StorageDescriptor {
    #[serde(skip_serializing_if = "Option::is_none")]
    pub columns: Option<Vec<Column>>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub location: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub additional_locations: Option<Vec<String>>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub input_format: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub output_format: Option<String>,
    #[serde(default, deserialize_with = "null_as_default")]
    pub compressed: bool,
    #[serde(default, deserialize_with = "null_as_default")]
    pub number_of_buckets: i32,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub serde_info: Option<SerdeInfo>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub bucket_columns: Option<Vec<String>>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub sort_columns: Option<Vec<Order>>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub parameters: Option<Map>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub skewed_info: Option<Value>,
    #[serde(default, deserialize_with = "null_as_default")]
    pub stored_as_sub_directories: bool,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub schema_reference: Option<Value>,
}

#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(rename_all = "PascalCase")]
pub(super) struct TableInput {
    pub name: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub description: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub owner: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub last_access_time: Option<Number>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub last_analyzed_time: Option<Number>,
    #[serde(default, deserialize_with = "null_as_default")]
    pub retention: i32,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub storage_descriptor: Option<StorageDescriptor>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub partition_keys: Option<Vec<Column>>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub view_original_text: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub view_expanded_text: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub table_type: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub parameters: Option<Map>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub target_table: Option<Value>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub federated_table: Option<Value>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub view_definition: Option<Value>,
}

/// A version of a table as it is kept and told.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(rename_all = "PascalCase")]
pub(super) struct Table {
    #[serde(flatten)]
    pub input: TableInput,
    pub database_name: String,
    /// Seconds since 1970.
    pub create_time: i64,
    /// Seconds since 1970.
    pub update_time: i64,
    pub created_by: String,
    /// Counts up from `"0"`.
    pub version_id: String,
    pub is_registered_with_lake_formation: bool,
    pub is_multi_dialect_view: bool,
    pub catalog_id: String,
}

impl Table {
    pub(super) fn partition_keys(&self) -> &[Column] {
        self.input.partition_keys.as_deref().unwrap_or_default()
    }
}

#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(rename_all = "PascalCase")]
pub(super) struct PartitionInput {
    #[serde(default)]
    pub values: Vec<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub last_access_time: Option<Number>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub storage_descriptor: Option<StorageDescriptor>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub parameters: Option<Map>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub last_analyzed_time: Option<Number>,
}

/// A partition as it is kept and told.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(rename_all = "PascalCase")]
pub(super) struct Partition {
    #[serde(flatten)]
    pub input: PartitionInput,
    pub database_name: String,
    pub table_name: String,
    /// Seconds since 1970.
    pub creation_time: i64,
    pub catalog_id: String,
}
