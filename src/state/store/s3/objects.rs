//! The bucket: reads, lists, and writes of which it is known afterwards whether they took effect.

use std::{
    collections::HashMap,
    sync::{Arc, Mutex, PoisonError},
    time::Duration,
};

use aws_sdk_s3::{
    Client,
    config::{
        ConfigBag, Intercept, RuntimeComponents, interceptors::BeforeDeserializationInterceptorContextRef,
        timeout::TimeoutConfig,
    },
    error::{ProvideErrorMetadata, SdkError},
    primitives::{ByteStream, DateTime, DateTimeFormat},
    types::{Delete, ObjectIdentifier},
};
use aws_smithy_runtime_api::client::orchestrator::HttpResponse;
use uuid::Uuid;

use crate::state::store::StateError;

/// Metadata that says who wrote an object.
const WRITER: &str = "lake-writer";
/// Longest time for one try of a request, besides the time for its body.
const ATTEMPT_MAX: Duration = Duration::from_secs(10);
/// Slowest way to S3 that is waited for, in bytes a second.
const BYTES_PER_SECOND_MIN: u64 = 128 * 1024;
/// Tries of a write whose outcome is not known, or that S3 could not decide (409). Each has the SDK's own within it.
const WRITES_MAX: u32 = 5;
/// Tries of a read that was not answered, likewise.
const READS_MAX: u32 = 2;
/// Pause before the second try; doubles with each further one.
const PAUSE: Duration = Duration::from_millis(100);
/// Objects that one request deletes at most
/// (<https://docs.aws.amazon.com/AmazonS3/latest/API/API_DeleteObjects.html>).
const DELETES_MAX: usize = 1000;
/// What is asked for of an object whose beginning is enough, in bytes.
const HEAD_BYTES: u64 = 256;

/// The objects under a prefix of a bucket.
#[derive(Debug, Clone)]
pub(super) struct Objects {
    client: Client,
    bucket: String,
    folder: String,
    pub(super) pause: Duration,
}

/// An object, read.
#[derive(Debug, Clone)]
pub(super) struct Object {
    pub body: Vec<u8>,
    pub etag: String,
    pub writer: Option<Uuid>,
    /// When it was written, by the service's clock.
    pub modified: Option<jiff::Timestamp>,
    /// What the service's clock said when it answered.
    pub now: Option<jiff::Timestamp>,
}

impl Object {
    /// How long ago it was written; both times are the service's.
    pub fn age(&self) -> Option<Duration> {
        let (now, modified) = (self.now?, self.modified?);
        Some(Duration::try_from(now.duration_since(modified)).unwrap_or_default())
    }
}

/// An object, listed.
#[derive(Debug, Clone)]
pub(super) struct Listed {
    /// Behind the prefix.
    pub name: String,
    pub bytes: u64,
}

/// What has to be so for a write to take effect.
#[derive(Debug, Clone, Copy)]
pub(super) enum Condition<'a> {
    /// Nothing is there.
    Absent,
    /// What is there has this etag.
    Is(&'a str),
}

/// How a conditional write ended.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Put {
    /// It took effect, and this is the etag.
    Written(String),
    /// The condition did not hold, and never will again.
    Refused,
}

/// Why a request failed.
#[derive(Debug)]
struct Failure {
    kind: Kind,
    message: String,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Kind {
    /// 412.
    Refused,
    /// 404 of an object.
    NotFound,
    /// 404 of the bucket.
    NoBucket,
    /// 409: S3 could not decide between two writes at once.
    Conflict,
    /// No answer, or one that says nothing of what became of the request.
    Unknown,
    /// It did not take effect, and will not.
    Failed,
}

impl Failure {
    fn of<E>(operation: &str, error: &SdkError<E, HttpResponse>) -> Self
    where
        E: ProvideErrorMetadata + std::error::Error + 'static,
    {
        let status = error.raw_response().map(|response| response.status().as_u16());
        let code = error.code().unwrap_or_default();
        let kind = match (status, code) {
            (_, "NoSuchBucket") => Kind::NoBucket,
            (Some(412), _) => Kind::Refused,
            (Some(404), _) => Kind::NotFound,
            (Some(409), _) => Kind::Conflict,
            (Some(408 | 429 | 500..), _) | (_, "RequestTimeout" | "SlowDown") => Kind::Unknown,
            (Some(300..), _) => Kind::Failed,
            _ if matches!(error, SdkError::ConstructionFailure(_)) => Kind::Failed,
            _ => Kind::Unknown,
        };
        let said = match (status, error.message()) {
            (Some(301), _) => "the bucket is in another region than the stack; it has to be in the same".to_owned(),
            (Some(status), None) if code.is_empty() => format!("HTTP status {status}"),
            (_, None) if !code.is_empty() => code.to_owned(),
            (_, Some(message)) => format!("{code}: {message}"),
            _ => causes(error),
        };
        Failure { kind, message: format!("{operation}: {said}") }
    }
}

/// An error with its causes.
fn causes(error: &(dyn std::error::Error + 'static)) -> String {
    let chain = std::iter::successors(Some(error), |error| (*error).source()).map(ToString::to_string);
    chain.collect::<Vec<_>>().join(": ")
}

impl Objects {
    pub fn new(client: Client, bucket: &str, folder: &str) -> Self {
        // Only the head of an answer is waited for so long: S3's clients watch over the rest themselves.
        let timeouts = client.config().timeout_config().map_or_else(TimeoutConfig::builder, TimeoutConfig::to_builder);
        let timeouts = timeouts.operation_attempt_timeout(ATTEMPT_MAX).build();
        let config = client.config().to_builder().timeout_config(timeouts).build();
        let client = Client::from_conf(config);
        Objects { client, bucket: bucket.to_owned(), folder: folder.to_owned(), pause: PAUSE }
    }

    fn key(&self, name: &str) -> String {
        format!("{}/{name}", self.folder)
    }

    /// What people call an object.
    pub fn url(&self, name: &str) -> String {
        format!("s3://{}/{}", self.bucket, self.key(name))
    }

    /// The service did not do what it was asked for.
    pub fn failed(&self, message: impl Into<String>) -> StateError {
        StateError::Service { place: self.url(""), message: message.into() }
    }

    fn error(&self, failure: Failure) -> StateError {
        match failure.kind {
            Kind::NoBucket => StateError::NoBucket { bucket: self.bucket.clone() },
            _ => self.failed(failure.message),
        }
    }

    /// The object `name`; `None` when there is none.
    pub async fn get(&self, name: &str) -> Result<Option<Object>, StateError> {
        self.get_part(name, None).await
    }

    /// The object `name` with the beginning of its bytes.
    pub async fn head(&self, name: &str) -> Result<Option<Object>, StateError> {
        self.get_part(name, Some(format!("bytes=0-{}", HEAD_BYTES - 1))).await
    }

    async fn get_part(&self, name: &str, range: Option<String>) -> Result<Option<Object>, StateError> {
        let (mut tries, mut pause) = (1, self.pause);
        loop {
            let failure = match self.try_get(name, range.clone()).await {
                Ok(object) => return Ok(Some(object)),
                Err(failure) => failure,
            };
            match failure.kind {
                Kind::NotFound => return Ok(None),
                Kind::Unknown if tries < READS_MAX => {}
                _ => return Err(self.error(failure)),
            }
            tries += 1;
            tokio::time::sleep(pause).await;
            pause *= 2;
        }
    }

    async fn try_get(&self, name: &str, range: Option<String>) -> Result<Object, Failure> {
        let clock = ServiceClock::default();
        let get = self.client.get_object().bucket(&self.bucket).key(self.key(name)).set_range(range);
        let sent = get.customize().interceptor(clock.clone()).send().await;
        let got = sent.map_err(|error| Failure::of("GetObject", &error))?;
        let etag = got.e_tag().unwrap_or_default().to_owned();
        let writer = got.metadata().and_then(|metadata| metadata.get(WRITER)?.parse().ok());
        let modified = got.last_modified().and_then(timestamp);
        let body = got.body.collect().await;
        let body = body.map_err(|error| Failure { kind: Kind::Unknown, message: format!("GetObject: {error}") })?;
        Ok(Object { body: body.to_vec(), etag, writer, modified, now: clock.now() })
    }

    /// Writes `name` when `condition` holds, as `writer`. An error leaves it open whether the write takes effect;
    /// after [`Put::Refused`] it has not and will not.
    pub async fn put(
        &self,
        name: &str,
        body: Vec<u8>,
        condition: Condition<'_>,
        writer: Uuid,
    ) -> Result<Put, StateError> {
        let (mut tries, mut pause) = (1, self.pause);
        loop {
            let mut failure = match self.try_put(name, body.clone(), condition, writer).await {
                Ok(etag) => return Ok(Put::Written(etag)),
                Err(failure) => failure,
            };
            if matches!(failure.kind, Kind::Failed | Kind::NoBucket) {
                return Err(self.error(failure));
            }
            if failure.kind != Kind::Conflict {
                match self.try_get(name, None).await {
                    Ok(there) if there.writer == Some(writer) && there.body == body => {
                        return Ok(Put::Written(there.etag));
                    }
                    // A condition that does not hold now never will: numbers and etags do not come again.
                    Ok(there) if !matches!(condition, Condition::Is(etag) if etag == there.etag) => {
                        return Ok(Put::Refused);
                    }
                    Err(Failure { kind: Kind::NotFound, .. }) if matches!(condition, Condition::Is(_)) => {
                        return Ok(Put::Refused);
                    }
                    Ok(_) | Err(Failure { kind: Kind::NotFound, .. }) => {}
                    Err(unread) => failure = unread,
                }
            }
            if tries == WRITES_MAX {
                return Err(self.error(failure));
            }
            tries += 1;
            tokio::time::sleep(pause).await;
            pause *= 2;
        }
    }

    async fn try_put(
        &self,
        name: &str,
        body: Vec<u8>,
        condition: Condition<'_>,
        writer: Uuid,
    ) -> Result<String, Failure> {
        let attempt = ATTEMPT_MAX + Duration::from_secs(body.len() as u64 / BYTES_PER_SECOND_MIN);
        let timeouts = TimeoutConfig::builder().operation_attempt_timeout(attempt).build();
        let metadata = HashMap::from([(WRITER.to_owned(), writer.to_string())]);
        let put = self.client.put_object().bucket(&self.bucket).key(self.key(name)).set_metadata(Some(metadata));
        let put = match condition {
            Condition::Absent => put.if_none_match("*"),
            Condition::Is(etag) => put.if_match(etag),
        };
        let put = put.body(ByteStream::from(body)).customize();
        let put = put.config_override(aws_sdk_s3::Config::builder().timeout_config(timeouts));
        match put.send().await {
            Ok(put) => Ok(put.e_tag().unwrap_or_default().to_owned()),
            Err(error) => Err(Failure::of("PutObject", &error)),
        }
    }

    /// Copies `from`, as long as it has that etag; whether it had.
    pub async fn copy(&self, from: &str, etag: &str, to: &str) -> Result<bool, StateError> {
        let source = format!("{}/{}", self.bucket, self.key(from));
        let source = percent_encoding::utf8_percent_encode(&source, SOURCE).to_string();
        let (mut tries, mut pause) = (1, self.pause);
        loop {
            let copy = self.client.copy_object().copy_source(&source).copy_source_if_match(etag);
            let Err(error) = copy.bucket(&self.bucket).key(self.key(to)).send().await else { return Ok(true) };
            let failure = Failure::of("CopyObject", &error);
            match failure.kind {
                Kind::Refused | Kind::NotFound => return Ok(false),
                Kind::Unknown | Kind::Conflict if tries < WRITES_MAX => {}
                _ => return Err(self.error(failure)),
            }
            tries += 1;
            tokio::time::sleep(pause).await;
            pause *= 2;
        }
    }

    /// All objects whose names begin with `prefix`, in their order.
    pub async fn list(&self, prefix: &str) -> Result<Vec<Listed>, StateError> {
        let mut listed = Vec::new();
        let pages = self.client.list_objects_v2().bucket(&self.bucket).prefix(self.key(prefix));
        let mut pages = pages.into_paginator().send();
        while let Some(page) = pages.next().await {
            let page = page.map_err(|error| self.error(Failure::of("ListObjectsV2", &error)))?;
            listed.extend(page.contents().iter().filter_map(|object| {
                let name = object.key()?.strip_prefix(&self.folder)?.strip_prefix('/')?.to_owned();
                Some(Listed { name, bytes: object.size()?.try_into().ok()? })
            }));
        }
        Ok(listed)
    }

    /// Deletes all objects whose names begin with `prefix`.
    pub async fn delete(&self, prefix: &str) -> Result<(), StateError> {
        let listed = self.list(prefix).await?;
        for some in listed.chunks(DELETES_MAX) {
            let keys = some.iter().map(|listed| ObjectIdentifier::builder().key(self.key(&listed.name)).build());
            let keys = keys.collect::<Result<Vec<_>, _>>().map_err(StateError::unwritable)?;
            let delete = Delete::builder().set_objects(Some(keys)).quiet(true).build();
            let delete = delete.map_err(StateError::unwritable)?;
            let deleted = self.client.delete_objects().bucket(&self.bucket).delete(delete).send().await;
            let deleted = deleted.map_err(|error| self.error(Failure::of("DeleteObjects", &error)))?;
            if let Some(error) = deleted.errors().first() {
                return Err(self.failed(format!("DeleteObjects: {}", error.message().unwrap_or_default())));
            }
        }
        Ok(())
    }
}

/// What is encoded in the name of a copy's source: all but what every URL takes, and slashes.
const SOURCE: &percent_encoding::AsciiSet =
    &percent_encoding::NON_ALPHANUMERIC.remove(b'/').remove(b'-').remove(b'.').remove(b'_').remove(b'~');

fn timestamp(time: &DateTime) -> Option<jiff::Timestamp> {
    jiff::Timestamp::from_second(time.secs()).ok()
}

/// Reads the service's clock from the header `Date` of its answer.
#[derive(Debug, Clone, Default)]
struct ServiceClock(Arc<Mutex<Option<jiff::Timestamp>>>);

impl ServiceClock {
    fn now(&self) -> Option<jiff::Timestamp> {
        *self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Intercept for ServiceClock {
    fn name(&self) -> &'static str {
        "service clock"
    }

    fn read_before_deserialization(
        &self,
        context: &BeforeDeserializationInterceptorContextRef<'_>,
        _components: &RuntimeComponents,
        _config: &mut ConfigBag,
    ) -> Result<(), aws_sdk_s3::error::BoxError> {
        let date = context.response().headers().get("date");
        let date = date.and_then(|date| DateTime::from_str(date, DateTimeFormat::HttpDate).ok());
        *self.0.lock().unwrap_or_else(PoisonError::into_inner) = date.as_ref().and_then(timestamp);
        Ok(())
    }
}
