//! An executor that "converts" a source into a file with the same content.

use bytes::Bytes;

use super::{BAD, Inner, Process, has_rows};
use crate::{
    dataset::{Column, ColumnType, Dataset},
    executor::Report,
    pipeline::ports::{CloudError, Engine, EngineError, Inferred, Job, Product, SourceObject, Upload},
};

fn engine_error(error: CloudError) -> EngineError {
    EngineError::Retriable(error.to_string())
}

impl Engine for Process {
    type Dialect = ();

    async fn infer(&self, _: &Dataset, source: &SourceObject) -> Result<Inferred<()>, EngineError> {
        let content = self.read(source).await?;
        let rows = u64::from(has_rows(&content));
        let column = Column { name: "a".into(), ty: ColumnType::Int64 };
        let columns = if content.is_empty() { Vec::new() } else { vec![column] };
        Ok(Inferred { columns, rows, dialect: Some(()) })
    }

    async fn convert(&self, job: Job<'_, ()>) -> Result<Product, EngineError> {
        let content = self.read(job.source).await?;
        let mut report = Report { config_hash: job.dataset.config_hash(), ..Report::default() };
        report.bytes_read = job.source.head.bytes;
        let mut data = None;
        let mut rejects = None;
        if has_rows(&content) {
            report.kept = 1;
            data = Some(self.upload_part(&job.data_key, &content).await?);
        }
        if content.contains("reject") {
            report.rejected = 1;
            rejects = Some(self.upload_part(&job.rejects_key, "rejected").await?);
        }
        report.read = report.kept + report.rejected;
        Ok(Product { report, data, rejects })
    }
}

impl Process {
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
