//! Event notifications: what S3 tells functions, queues, topics and EventBridge of a write, handed over in the very
//! transaction that writes.
//! <https://docs.aws.amazon.com/AmazonS3/latest/userguide/notification-content-structure.html>
//! <https://docs.aws.amazon.com/AmazonS3/latest/userguide/ev-events.html>

use percent_encoding::{AsciiSet, NON_ALPHANUMERIC, utf8_percent_encode};
use redb::WriteTransaction;
use s3s::S3Result;
use serde_json::{Value, json};

use super::{
    Caller,
    meta::{Bucket, OWNER_ID, Version},
};
use crate::cloud::{
    delivery::{Exchange, Message, Sender, ServiceEvent},
    error::ApiError,
    service::ACCOUNT_ID,
};

/// Subject of what topics are told.
const SUBJECT: &str = "Amazon S3 Notification";

/// What stays as it is in an event's key; the slash does, a space becomes `+`.
const KEPT: &AsciiSet = &NON_ALPHANUMERIC.remove(b'-').remove(b'_').remove(b'.').remove(b'*').remove(b'/').remove(b' ');

/// What happened to a key, as configurations and events name it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Happening {
    Put,
    Copy,
    CompleteMultipartUpload,
    Delete,
    DeleteMarkerCreated,
}

impl Happening {
    /// Event type without its `s3:`.
    pub fn name(self) -> &'static str {
        match self {
            Happening::Put => "ObjectCreated:Put",
            Happening::Copy => "ObjectCreated:Copy",
            Happening::CompleteMultipartUpload => "ObjectCreated:CompleteMultipartUpload",
            Happening::Delete => "ObjectRemoved:Delete",
            Happening::DeleteMarkerCreated => "ObjectRemoved:DeleteMarkerCreated",
        }
    }

    /// EventBridge's `detail-type`, `reason` and, for deletes, `deletion-type`.
    fn bridged(self) -> (&'static str, &'static str, Option<&'static str>) {
        match self {
            Happening::Put => ("Object Created", "PutObject", None),
            Happening::Copy => ("Object Created", "CopyObject", None),
            Happening::CompleteMultipartUpload => ("Object Created", "CompleteMultipartUpload", None),
            Happening::Delete => ("Object Deleted", "DeleteObject", Some("Permanently Deleted")),
            Happening::DeleteMarkerCreated => ("Object Deleted", "DeleteObject", Some("Delete Marker Created")),
        }
    }
}

/// S3 on behalf of a bucket.
pub(super) fn sender(bucket: &str) -> Sender {
    Sender::service("s3.amazonaws.com", arn(bucket))
}

fn arn(bucket: &str) -> String {
    format!("arn:aws:s3:::{bucket}")
}

/// Who asked for a change, for the event's sake.
#[derive(Debug, Clone)]
pub(super) struct Origin {
    pub caller: Caller,
    pub request_id: String,
}

/// Hands an event over for every rule of the bucket that matches, and for EventBridge when the bucket tells it;
/// tells whether there was one. A destination that refuses does not hinder the write.
pub(super) fn enqueue(
    tx: &WriteTransaction,
    exchange: &Exchange,
    origin: &Origin,
    bucket: (&str, &Bucket),
    key: &str,
    version: &Version,
    happening: Happening,
) -> S3Result<bool> {
    let mut queued = false;
    for rule in bucket.1.notifications.iter().filter(|rule| rule.matches(happening, key)) {
        let event = event(origin, bucket, key, version, happening, &rule.id);
        queued |= taken(send(tx, exchange, bucket.0, &rule.target, event.to_string()), &rule.target)?;
    }
    if bucket.1.event_bridge {
        let event = bridged(origin, bucket.0, key, version, happening);
        queued |= taken(exchange.emit(tx, &bucket.1.region, event), "EventBridge")?;
    }
    Ok(queued)
}

/// Sends a document of a bucket's to a destination.
pub(super) fn send(
    tx: &WriteTransaction,
    exchange: &Exchange,
    bucket: &str,
    target: &str,
    body: String,
) -> Result<(), ApiError> {
    let message = Message { subject: Some(SUBJECT.to_owned()), ..Message::text(body) };
    exchange.send(tx, target, &sender(bucket), &message)
}

/// What S3 sends a queue or a topic when a bucket begins to notify it.
pub(super) fn test_event(bucket: &str, request_id: &str) -> String {
    json!({
        "Service": "Amazon S3",
        "Event": "s3:TestEvent",
        "Time": format!("{:.3}", jiff::Timestamp::now()),
        "Bucket": bucket,
        "RequestId": request_id,
        "HostId": request_id,
    })
    .to_string()
}

/// A refusal is told and dropped; a fault of the cloud's own is not, as it may have left half of what it wrote.
fn taken(sent: Result<(), ApiError>, target: &str) -> S3Result<bool> {
    match sent {
        Ok(()) => Ok(true),
        Err(error) if error.status.is_server_error() => Err(error.into()),
        Err(error) => {
            tracing::warn!(%error, target, "an event of a bucket was refused and is dropped");
            Ok(false)
        }
    }
}

fn bridged(origin: &Origin, bucket: &str, key: &str, version: &Version, happening: Happening) -> ServiceEvent<'static> {
    let (detail_type, reason, deletion) = happening.bridged();
    // Unlike in notifications, the key stands as it is.
    let mut object = json!({ "key": key });
    if let Some(written) = &version.object
        && deletion.is_none()
    {
        object["size"] = written.size.into();
        object["etag"] = written.etag.clone().into();
    }
    if let Some(id) = &version.id {
        object["version-id"] = id.clone().into();
    }
    object["sequencer"] = sequencer(version).into();
    let mut detail = json!({
        "version": "0",
        "bucket": { "name": bucket },
        "object": object,
        "request-id": origin.request_id,
        "requester": ACCOUNT_ID,
        "source-ip-address": "127.0.0.1",
        "reason": reason,
    });
    if let Some(deletion) = deletion {
        detail["deletion-type"] = deletion.into();
    }
    ServiceEvent { source: "aws.s3", detail_type, resources: vec![arn(bucket)], detail }
}

fn sequencer(version: &Version) -> String {
    format!("{:018X}", version.sequence)
}

fn event(
    origin: &Origin,
    (name, bucket): (&str, &Bucket),
    key: &str,
    version: &Version,
    happening: Happening,
    rule: &str,
) -> Value {
    let mut object = json!({ "key": event_key(key) });
    if let Some(written) = &version.object
        && happening != Happening::Delete
    {
        object["size"] = written.size.into();
        object["eTag"] = written.etag.clone().into();
    }
    if let Some(id) = &version.id {
        object["versionId"] = id.clone().into();
    }
    object["sequencer"] = sequencer(version).into();
    json!({
        "Records": [{
            "eventVersion": "2.1",
            "eventSource": "aws:s3",
            "awsRegion": bucket.region,
            "eventTime": format!("{:.3}", version.written()),
            "eventName": happening.name(),
            "userIdentity": { "principalId": format!("AWS:{}", origin.caller.user_id) },
            "requestParameters": { "sourceIPAddress": "127.0.0.1" },
            "responseElements": { "x-amz-request-id": origin.request_id, "x-amz-id-2": origin.request_id },
            "s3": {
                "s3SchemaVersion": "1.0",
                "configurationId": rule,
                "bucket": {
                    "name": name,
                    "ownerIdentity": { "principalId": OWNER_ID },
                    "arn": arn(name),
                },
                "object": object,
            },
        }]
    })
}

/// The key as events carry it: URL encoded, with the slash kept and a space as `+`.
fn event_key(key: &str) -> String {
    utf8_percent_encode(key, KEPT).to_string().replace(' ', "+")
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::cloud::s3::meta::{Object, Versioning};

    #[test]
    fn keys_are_encoded_as_aws_does() {
        assert_eq!(event_key("raw/a b+é.csv"), "raw/a+b%2B%C3%A9.csv");
        assert_eq!(event_key("a=1/b_c-d.e*f~g"), "a%3D1/b_c-d.e*f%7Eg");
    }

    #[test]
    fn an_event_has_the_shape_that_the_crate_of_events_reads() {
        let origin = Origin {
            caller: Caller { arn: "arn:aws:iam::000000000000:root".into(), user_id: "000000000000".into() },
            request_id: "r".into(),
        };
        let bucket = Bucket {
            created: jiff::Timestamp::UNIX_EPOCH,
            region: "eu-west-1".into(),
            versioning: Versioning::Enabled,
            tags: Vec::new(),
            encryption: Default::default(),
            public_access_block: None,
            ownership: None,
            policy: None,
            lifecycle: None,
            notifications: Vec::new(),
            event_bridge: true,
        };
        let object = Object { size: 5, etag: "e".into(), ..Object::default() };
        let version = Version { sequence: 1_700_000_000_123_456, id: Some("v".into()), object: Some(object) };
        let event = event(&origin, ("b", &bucket), "a b", &version, Happening::Put, "rule");
        let read: aws_lambda_events::event::s3::S3Event = serde_json::from_value(event).unwrap();
        let record = &read.records[0];
        assert_eq!(record.event_name.as_deref(), Some("ObjectCreated:Put"));
        assert_eq!(record.event_time.to_rfc3339(), "2023-11-14T22:13:20.123+00:00");
        assert_eq!(record.s3.object.key.as_deref(), Some("a+b"));
        assert_eq!(record.s3.object.size, Some(5));
        assert_eq!(record.s3.object.version_id.as_deref(), Some("v"));
        assert_eq!(record.s3.bucket.arn.as_deref(), Some("arn:aws:s3:::b"));
        assert_eq!(record.s3.configuration_id.as_deref(), Some("rule"));
        let bridged = bridged(&origin, "b", "a b", &version, Happening::Put);
        assert_eq!((bridged.detail_type, bridged.resources), ("Object Created", vec!["arn:aws:s3:::b".to_owned()]));
        let object = json!({ "key": "a b", "size": 5, "etag": "e", "version-id": "v",
            "sequencer": record.s3.object.sequencer });
        assert_eq!((&bridged.detail["object"], &bridged.detail["reason"]), (&object, &json!("PutObject")));
    }
}
