//! Event notifications: what S3 tells a Lambda function of a write, queued in the very transaction that writes.
//! <https://docs.aws.amazon.com/AmazonS3/latest/userguide/notification-content-structure.html>

use percent_encoding::{AsciiSet, NON_ALPHANUMERIC, utf8_percent_encode};
use redb::WriteTransaction;
use s3s::S3Result;
use serde_json::{Value, json};

use super::{
    Caller,
    meta::{Bucket, OWNER_ID, Version},
};
use crate::cloud::delivery::{AsyncInvocation, AsyncInvoker};

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
}

/// Who asked for a change, for the event's sake.
#[derive(Debug, Clone)]
pub(super) struct Origin {
    pub caller: Caller,
    pub request_id: String,
}

/// Queues an event for every rule of the bucket that matches; tells whether there was one.
pub(super) fn enqueue(
    tx: &WriteTransaction,
    invoker: &dyn AsyncInvoker,
    origin: &Origin,
    bucket: (&str, &Bucket),
    key: &str,
    version: &Version,
    happening: Happening,
) -> S3Result<bool> {
    let mut queued = false;
    for rule in bucket.1.notifications.iter().filter(|rule| rule.matches(happening, key)) {
        let event = event(origin, bucket, key, version, happening, &rule.id);
        let invocation =
            AsyncInvocation { function_arn: rule.function_arn.clone(), payload: event.to_string().into_bytes() };
        invoker.enqueue(tx, invocation)?;
        queued = true;
    }
    Ok(queued)
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
    object["sequencer"] = format!("{:018X}", version.sequence).into();
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
                    "arn": format!("arn:aws:s3:::{name}"),
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
    }
}
