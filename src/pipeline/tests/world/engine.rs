//! An executor that "converts" a source into a file with the same content, or with what a plugin in memory makes of it.

use std::collections::BTreeMap;

use bytes::Bytes;
use jiff::Timestamp;

use super::{BAD, Inner, Process, has_rows};
use crate::{
    dataset::{Column, ColumnType, Dataset, Partition, SchemaChange, Transform},
    executor::Report,
    pipeline::{
        ledger::{data_key, key_hash, rejects_key},
        ports::{CloudError, Engine, EngineError, Inferred, Job, Product, SourceObject, Upload},
    },
};

/// Plugins of the world, and what they do.
pub const PLUGINS: [&str; 6] = [
    "tags",    // adds a column
    "marks",   // as "tags", another plugin
    "sieves",  // filters what contains "two"
    "retypes", // makes another type of the column
    "refuses", // refuses every dataset
    "traps",   // as "tags", and traps on what contains "three"
];

pub fn transform(plugin: &str) -> Transform {
    Transform {
        name: plugin.into(),
        component: key_hash(plugin).repeat(2),
        precompiled: None,
        config: BTreeMap::new(),
        memory_mb: 1,
        call_seconds: 1,
    }
}

/// The plugin that a commit record names.
pub fn plugin_of_hash(hash: Option<&str>) -> Option<&'static str> {
    let hash = hash?;
    Some(PLUGINS.into_iter().find(|plugin| transform(plugin).plugin_hash() == hash).unwrap())
}

pub fn column(name: &str, ty: ColumnType) -> Column {
    Column { name: name.into(), ty }
}

/// The table's columns that `plugin` makes of those of the CSV.
pub fn columns_by(plugin: Option<&str>, input: &[Column]) -> Vec<Column> {
    let mut columns = input.to_vec();
    match plugin {
        Some("tags" | "marks" | "traps") => columns.push(column("tag", ColumnType::String)),
        Some("retypes") => columns[0].ty = ColumnType::String,
        _ => {}
    }
    columns
}

/// Content that contains it has a column more, of whole numbers.
pub const WITH_B: &str = "with b";
/// Content that contains it has that column as text.
pub const WITH_TEXT_IN_B: &str = "with b as text";
/// Content that contains it has a third column, and `b` behind it.
pub const WITH_C: &str = "with c and b";
/// Content that begins so has nothing in common with other content.
pub const STRANGE: &str = "strange";

/// The columns of a source.
pub fn columns_of(content: &str) -> Vec<Column> {
    let mut columns = vec![column("a", ColumnType::Int64)];
    match content {
        "" => columns.clear(),
        _ if content.starts_with(STRANGE) => columns = vec![column("colour", ColumnType::String)],
        _ if content.contains(WITH_TEXT_IN_B) => columns.push(column("b", ColumnType::String)),
        _ if content.contains(WITH_C) => {
            columns.extend([column("c", ColumnType::Date), column("b", ColumnType::Int64)]);
        }
        _ if content.contains(WITH_B) => columns.push(column("b", ColumnType::Int64)),
        _ => {}
    }
    columns
}

/// Of a partitioned dataset, a file is in the partition of its first word.
fn partition_of(dataset: &Dataset, content: &str) -> Partition {
    let word = content.split(' ').next().map(str::to_owned);
    Partition::new(dataset.partition_by.iter().map(|name| (name.clone(), word.clone())))
}

/// The data file that `plugin` makes of a source; none without a row.
pub fn made_of(plugin: Option<&str>, content: &str) -> Option<String> {
    match plugin {
        _ if !has_rows(content) => None,
        None => Some(content.to_owned()),
        Some("sieves") if content.contains("two") => None,
        Some(plugin) => Some(format!("{plugin}({content})")),
    }
}

fn engine_error(error: CloudError) -> EngineError {
    EngineError::Retriable(error.to_string())
}

impl Engine for Process {
    type Dialect = ();

    async fn infer(&self, _: &Dataset, source: &SourceObject, _: &[Column]) -> Result<Inferred<()>, EngineError> {
        let content = self.read(source).await?;
        let rows = u64::from(has_rows(&content));
        Ok(Inferred { columns: columns_of(&content), rows, dialect: Some(()) })
    }

    async fn open(&self, dataset: &Dataset, input: &[Column], _: Timestamp) -> Result<Vec<Column>, EngineError> {
        let Some(transform) = &dataset.transform else { return Ok(input.to_vec()) };
        let plugin = Some(transform.name.as_str());
        self.load(dataset).await?;
        if plugin == Some("refuses") {
            let message = "plugin refuses refuses the dataset: no".into();
            return Err(EngineError::Input { code: "plugin_refused".into(), message });
        }
        // Nothing here is decoded by columns: those of the CSV are always the same.
        assert_eq!(input[0].ty, ColumnType::Int64, "the input is not what the CSV holds");
        Ok(columns_by(plugin, input))
    }

    async fn convert(&self, job: Job<'_, ()>) -> Result<Product, EngineError> {
        let plugin = job.dataset.transform.as_ref().map(|transform| transform.name.as_str());
        self.load(job.dataset).await?;
        let content = self.read(job.source).await?;
        let is_asked_for = |name: &String| job.columns.iter().any(|column| column.name == *name);
        let mut unknown: Vec<String> = columns_of(&content).into_iter().map(|column| column.name).collect();
        unknown.retain(|name| !is_asked_for(name));
        let sets_aside = job.dataset.schema_change() == SchemaChange::Reject;
        if !unknown.is_empty() && !sets_aside {
            let message = format!("{}: the table has no column {}", job.source.key, unknown.join(", "));
            return Err(EngineError::UnknownColumns { names: unknown, message });
        }
        let plugin_hash = job.dataset.plugin_hash().map(str::to_owned);
        let mut report = Report { config_hash: job.dataset.config_hash(), plugin_hash, ..Report::default() };
        report.bytes_read = job.source.head.bytes;
        let made = made_of(plugin, &content);
        let mut data = Vec::new();
        let mut rejects = None;
        if has_rows(&content) {
            report.kept = u64::from(made.is_some());
            report.filtered = u64::from(made.is_none());
        }
        if let Some(made) = made {
            let key =
                data_key(&job.dataset.name, &job.source.key, job.generation, &partition_of(job.dataset, &content), 0);
            data.push(self.upload_part(&key, &made).await?);
        }
        if plugin == Some("traps") && content.contains("three") {
            if let Some(upload) = data.first() {
                self.call("AbortMultipartUpload", &upload.key, None, |inner| inner.uploads.remove(&upload.upload_id))
                    .await
                    .map_err(engine_error)?;
            }
            let message = format!("{}: plugin traps stopped in lines 2 to 3: unreachable", job.source.key);
            return Err(EngineError::Input { code: "plugin_trapped".into(), message });
        }
        // Of a file with a column too many, one row has a value in it, and another has none.
        if content.contains("reject") || !unknown.is_empty() {
            report.rejected = 1;
            let key = rejects_key(&job.dataset.name, &job.source.key, job.generation);
            rejects = Some(self.upload_part(&key, "rejected").await?);
        }
        report.read = report.kept + report.filtered + report.rejected;
        Ok(Product { report, data, rejects })
    }
}

impl Process {
    /// The dataset's plugin comes from a bucket.
    async fn load(&self, dataset: &Dataset) -> Result<(), EngineError> {
        match &dataset.transform {
            Some(transform) => {
                self.call("GetObject", &transform.component_key(), None, |_| {}).await.map_err(engine_error)
            }
            None => Ok(()),
        }
    }

    async fn read(&self, source: &SourceObject) -> Result<String, EngineError> {
        let read = |inner: &mut Inner| inner.sources.get(&source.key).cloned();
        let there = self.call("GetObject", &source.key, None, read).await.map_err(engine_error)?;
        match there {
            Some((etag, content)) if etag == source.head.etag => {
                if content.starts_with(BAD) {
                    return Err(EngineError::Input { code: "not_csv".into(), message: "not a CSV file".into() });
                }
                Ok(content)
            }
            _ => Err(EngineError::Changed),
        }
    }

    async fn upload_part(&self, key: &str, content: &str) -> Result<Upload, EngineError> {
        self.call("UploadPart", key, None, |inner| {
            inner.conversions += 1;
            let upload_id = inner.next("upload");
            inner.uploads.insert(upload_id.clone(), (key.into(), Bytes::copy_from_slice(content.as_bytes())));
            let (token, bytes) = (inner.next("token"), content.len() as u64);
            Upload { key: key.into(), upload_id, token, parts: Vec::new(), bytes }
        })
        .await
        .map_err(engine_error)
    }
}
