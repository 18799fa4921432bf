//! Deleting objects: DeleteObject and DeleteObjects, as the bucket's versioning wants it.
//! <https://docs.aws.amazon.com/AmazonS3/latest/userguide/DeletingObjectVersions.html>

use redb::WriteTransaction;
use s3s::{
    S3Error, S3Request, S3Response, S3Result,
    dto::{self, DeleteObjectInput, DeleteObjectOutput, DeleteObjectsInput, DeleteObjectsOutput, ETagCondition},
    s3_error,
};

use super::{
    Cloud,
    access::Asking,
    blob::Released,
    condition,
    meta::{self, Bucket, Version, Versioning},
    notify::{self, Happening, Origin},
    version,
};
use crate::cloud::delivery::AsyncInvoker;

/// Most keys of one DeleteObjects request.
const MAX_KEYS: usize = 1000;

/// One key to delete, or one version of it.
struct Target {
    key: String,
    version: Option<String>,
    if_match: Option<ETagCondition>,
}

/// What a delete did.
#[derive(Debug, Default)]
struct Deleted {
    /// The delete marker that was put, or the version that was taken away.
    version: Option<String>,
    /// Whether that is a delete marker.
    marker: bool,
}

/// The transaction's side of deleting.
struct Deletion<'a> {
    tx: &'a WriteTransaction,
    invoker: &'a dyn AsyncInvoker,
    origin: &'a Origin,
    name: &'a str,
    bucket: &'a Bucket,
    released: Released,
    queued: bool,
}

impl Cloud {
    pub(super) async fn delete(
        &self,
        request: S3Request<DeleteObjectInput>,
    ) -> S3Result<S3Response<DeleteObjectOutput>> {
        let origin = super::origin(&request);
        let input = request.input;
        if input.if_match_last_modified_time.is_some() || input.if_match_size.is_some() {
            return Err(s3_error!(NotImplemented, "Deleting by time or size is for directory buckets alone"));
        }
        let target = Target { key: input.key, version: input.version_id, if_match: input.if_match };
        let mut deleted = self.delete_all(input.bucket, vec![target], origin).await?;
        let deleted = deleted.pop().unwrap_or_else(|| Ok(Deleted::default()))?;
        Ok(S3Response::new(DeleteObjectOutput {
            delete_marker: deleted.marker.then_some(true),
            version_id: deleted.version,
            request_charged: None,
        }))
    }

    pub(super) async fn delete_many(
        &self,
        request: S3Request<DeleteObjectsInput>,
    ) -> S3Result<S3Response<DeleteObjectsOutput>> {
        let origin = super::origin(&request);
        let asking = request.extensions.get::<Asking>().cloned();
        let asking = asking.ok_or_else(|| s3_error!(AccessDenied, "Access Denied"))?;
        let DeleteObjectsInput { bucket, delete, .. } = request.input;
        if delete.objects.is_empty() || delete.objects.len() > MAX_KEYS {
            return Err(s3_error!(MalformedXML, "A request deletes between 1 and {MAX_KEYS} keys"));
        }
        let quiet = delete.quiet.unwrap_or(false);
        let target = |object: dto::ObjectIdentifier| Target {
            key: object.key,
            version: object.version_id,
            if_match: object.e_tag.map(ETagCondition::ETag),
        };
        let targets: Vec<_> = delete.objects.into_iter().map(target).collect();
        let named: Vec<_> = targets.iter().map(|target| (target.key.clone(), target.version.clone())).collect();
        let results = self.delete_permitted(bucket, targets, origin, &asking).await?;
        let (mut deleted, mut errors) = (Vec::new(), Vec::new());
        for ((key, version_id), result) in named.into_iter().zip(results) {
            match result {
                Ok(_) if quiet => {}
                Ok(done) => deleted.push(dto::DeletedObject {
                    key: Some(key),
                    version_id,
                    delete_marker: done.marker.then_some(true),
                    delete_marker_version_id: done.version.filter(|_| done.marker),
                }),
                Err(error) => errors.push(dto::Error {
                    code: Some(error.code().as_str().to_owned()),
                    message: error.message().map(str::to_owned),
                    key: Some(key),
                    version_id,
                }),
            }
        }
        Ok(S3Response::new(DeleteObjectsOutput {
            deleted: (!deleted.is_empty()).then_some(deleted),
            errors: (!errors.is_empty()).then_some(errors),
            request_charged: None,
        }))
    }

    /// Deletes those targets that the caller may delete; tells of the others that it may not.
    async fn delete_permitted(
        &self,
        bucket: String,
        targets: Vec<Target>,
        origin: Origin,
        asking: &Asking,
    ) -> S3Result<Vec<S3Result<Deleted>>> {
        let mut refusals = Vec::with_capacity(targets.len());
        let mut permitted = Vec::with_capacity(targets.len());
        for target in targets {
            let etag = target.if_match.as_ref().map(|condition| match condition {
                ETagCondition::ETag(etag) => etag.value().to_owned(),
                ETagCondition::Any => "*".to_owned(),
            });
            let version = target.version.as_deref();
            match asking.may_delete(&self.store, &bucket, &target.key, version, etag.as_deref()) {
                Ok(()) => {
                    refusals.push(None);
                    permitted.push(target);
                }
                Err(refusal) => refusals.push(Some(refusal)),
            }
        }
        let mut results = self.delete_all(bucket, permitted, origin).await?.into_iter();
        let merged = refusals.into_iter().map(|refusal| match refusal {
            Some(refusal) => Err(refusal),
            None => results.next().unwrap_or_else(|| Ok(Deleted::default())),
        });
        Ok(merged.collect())
    }

    /// Deletes each target in one transaction. A refusal of one does not touch the others.
    async fn delete_all(&self, name: String, targets: Vec<Target>, origin: Origin) -> S3Result<Vec<S3Result<Deleted>>> {
        let invoker = self.invoker.clone();
        let (results, released, queued) = self
            .store
            .commit(move |tx| {
                let bucket = meta::bucket(tx, &name)?;
                let (name, bucket, origin, invoker) = (&name, &bucket, &origin, &*invoker);
                let released = Released::default();
                let mut deletion = Deletion { tx, invoker, origin, name, bucket, released, queued: false };
                let mut results = Vec::with_capacity(targets.len());
                for target in targets {
                    results.push(match deletion.delete(target) {
                        // The transaction must not commit half of what a failing store did.
                        Err(error) if *error.code() == s3s::S3ErrorCode::InternalError => return Err(error),
                        result => result,
                    });
                }
                Ok::<_, S3Error>((results, deletion.released, deletion.queued))
            })
            .await?;
        self.blobs.collect(released);
        if queued {
            self.invoker.wake();
        }
        Ok(results)
    }
}

impl Deletion<'_> {
    fn delete(&mut self, target: Target) -> S3Result<Deleted> {
        let Target { key, version, if_match } = target;
        if if_match.is_some() {
            let current = version::current(self.tx, self.name, &key)?;
            condition::check_delete(if_match.as_ref(), current.as_ref())?;
        }
        match version {
            Some(id) => self.delete_version(&key, &id),
            None if self.bucket.versioning == Versioning::Off => self.delete_for_good(&key),
            None => {
                let version = version::write(self.tx, (self.name, self.bucket), &key, None, &mut self.released)?;
                self.tell(&key, &version, Happening::DeleteMarkerCreated)?;
                Ok(Deleted { version: Some(version.wire_id().to_owned()), marker: true })
            }
        }
    }

    /// Takes one version away. One that is not there any more was deleted before: success, as on AWS.
    fn delete_version(&mut self, key: &str, id: &str) -> S3Result<Deleted> {
        let mut deleted = Deleted { version: Some(id.to_owned()), marker: false };
        match version::find(self.tx, self.name, key, id)? {
            Some(version) => {
                deleted.marker = version.object.is_none();
                self.remove(key, version)?;
            }
            None if id == "null" || meta::sequence_of(id).is_some() => {}
            None => return Err(version::no_such_version(id)),
        }
        Ok(deleted)
    }

    fn delete_for_good(&mut self, key: &str) -> S3Result<Deleted> {
        if let Some(version) = version::current(self.tx, self.name, key)? {
            self.remove(key, version)?;
        }
        Ok(Deleted::default())
    }

    fn remove(&mut self, key: &str, version: Version) -> S3Result<()> {
        version::remove(self.tx, self.name, key, version.clone(), &mut self.released)?;
        // The event's sequencer is that of the delete, which comes after the version's own.
        let event = Version { sequence: meta::next_sequence(self.tx)?, ..version };
        self.tell(key, &event, Happening::Delete)
    }

    fn tell(&mut self, key: &str, version: &Version, happening: Happening) -> S3Result<()> {
        let bucket = (self.name, self.bucket);
        self.queued |= notify::enqueue(self.tx, self.invoker, self.origin, bucket, key, version, happening)?;
        Ok(())
    }
}
