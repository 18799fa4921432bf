//! The cloud's S3 as the AWS SDK sees it: a server of the test's own, on a port of the system's choice.

mod buckets;
mod conditions;
mod durability;
mod events;
mod gate;
mod multipart;
mod objects;
mod versions;

use std::sync::{Arc, Mutex};

use aws_sdk_s3::{
    Client,
    config::{BehaviorVersion, Credentials, Region, retry::RetryConfig},
    error::{ProvideErrorMetadata, SdkError},
    operation::{get_object::GetObjectOutput, put_object::builders::PutObjectFluentBuilder},
    primitives::ByteStream,
    types::{BucketLocationConstraint, BucketVersioningStatus, CreateBucketConfiguration, VersioningConfiguration},
};
use redb::WriteTransaction;

use crate::cloud::{
    assembly::Services,
    delivery::{Destination, Exchange, Message, Sender},
    error::ApiError,
    server::{Options, Server},
};

const REGION: &str = "eu-west-1";
const FUNCTION: &str = "arn:aws:lambda:eu-west-1:000000000000:function:intake";
const QUEUE: &str = "arn:aws:sqs:eu-west-1:000000000000:intake";
const TOPIC: &str = "arn:aws:sns:eu-west-1:000000000000:intake";
const BUS: &str = "arn:aws:events:eu-west-1:000000000000:event-bus/default";

/// Stands for Lambda, SQS and SNS: knows one function, one queue and one topic, which let S3 in, and remembers what
/// they were sent.
#[derive(Default)]
struct Recorder {
    events: Mutex<Vec<serde_json::Value>>,
    /// Targets whose policy no longer lets S3 in.
    closed: Mutex<Vec<String>>,
    wakes: Mutex<usize>,
}

impl Destination for Recorder {
    fn accept(&self, tx: &WriteTransaction, target: &str, sender: &Sender, message: &Message) -> Result<(), ApiError> {
        if !self.would_accept(tx, target, sender)? {
            return Err(ApiError::client("AccessDenied", "no"));
        }
        self.events.lock().unwrap().push(serde_json::from_str(&message.body).unwrap());
        Ok(())
    }

    fn wake(&self) {
        *self.wakes.lock().unwrap() += 1;
    }

    fn would_accept(&self, _: &WriteTransaction, target: &str, sender: &Sender) -> Result<bool, ApiError> {
        let open = !self.closed.lock().unwrap().contains(&target.to_owned());
        let known = [FUNCTION, QUEUE, TOPIC, BUS].contains(&target);
        let from_s3 = matches!(sender, Sender::Service(source) if source.principal == "s3.amazonaws.com");
        Ok(open && known && from_s3)
    }
}

/// A server and a client with its root credentials.
struct Cloud {
    server: Server,
    client: Client,
    recorder: Arc<Recorder>,
    folder: tempfile::TempDir,
}

impl Cloud {
    async fn start() -> Cloud {
        let folder = tempfile::tempdir().unwrap();
        let recorder = Arc::new(Recorder::default());
        let server = start(folder.path(), &recorder).await;
        let client = client_of(&server);
        Cloud { server, client, recorder, folder }
    }

    /// A cloud with the bucket `lake-raw`.
    async fn with_bucket() -> Cloud {
        let cloud = Cloud::start().await;
        cloud.create("lake-raw").await;
        cloud
    }

    async fn create(&self, name: &str) {
        let constraint = BucketLocationConstraint::from(REGION);
        let configuration = CreateBucketConfiguration::builder().location_constraint(constraint).build();
        self.client.create_bucket().bucket(name).create_bucket_configuration(configuration).send().await.unwrap();
    }

    async fn version(&self, status: BucketVersioningStatus) {
        let configuration = VersioningConfiguration::builder().status(status).build();
        let put = self.client.put_bucket_versioning().bucket("lake-raw");
        put.versioning_configuration(configuration).send().await.unwrap();
    }

    fn put(&self, key: &str, body: impl Into<Vec<u8>>) -> PutObjectFluentBuilder {
        self.client.put_object().bucket("lake-raw").key(key).body(ByteStream::from(body.into()))
    }

    async fn get(&self, key: &str) -> GetObjectOutput {
        self.client.get_object().bucket("lake-raw").key(key).send().await.unwrap()
    }

    async fn text(&self, key: &str) -> String {
        String::from_utf8(bytes(self.get(key).await).await).unwrap()
    }

    async fn keys(&self) -> Vec<String> {
        let listed = self.client.list_objects_v2().bucket("lake-raw").send().await.unwrap();
        listed.contents().iter().map(|object| object.key().unwrap().to_owned()).collect()
    }

    fn blob_files(&self) -> usize {
        std::fs::read_dir(self.folder.path().join("blobs")).unwrap().count()
    }
}

async fn start(folder: &std::path::Path, recorder: &Arc<Recorder>) -> Server {
    let options = Options { folder: folder.to_owned(), port: None, iam: true, smtp: None };
    let exchange = Exchange::new();
    for service in ["lambda", "sqs", "sns", "events"] {
        exchange.enter(service, &(Arc::clone(recorder) as _));
    }
    let services =
        async |_, _, _| Ok(Services { services: Vec::new(), exchange, background: Vec::new(), faults: Arc::default() });
    Server::start_with(options, services).await.unwrap()
}

fn client_of(server: &Server) -> Client {
    let root = server.root_credentials();
    client(&server.endpoint(), Credentials::new(&root.access_key_id, &root.secret_access_key, None, None, "test"))
}

fn client(endpoint: &str, credentials: Credentials) -> Client {
    let config = aws_sdk_s3::Config::builder()
        .behavior_version(BehaviorVersion::latest())
        .region(Region::new(REGION))
        .endpoint_url(endpoint)
        .credentials_provider(credentials)
        .retry_config(RetryConfig::disabled())
        .build();
    Client::from_conf(config)
}

async fn bytes(output: GetObjectOutput) -> Vec<u8> {
    output.body.collect().await.unwrap().to_vec()
}

/// The error code of a call that must fail, and its HTTP status.
fn code<T, E>(result: Result<T, SdkError<E>>) -> (String, u16)
where
    SdkError<E>: ProvideErrorMetadata + std::fmt::Debug,
{
    let error = result.err().expect("the call must fail");
    let status = error.raw_response().map_or(0, |response| response.status().as_u16());
    (ProvideErrorMetadata::code(&error).unwrap_or_default().to_owned(), status)
}

fn error(code: &str, status: u16) -> (String, u16) {
    (code.to_owned(), status)
}

/// Bytes that do not repeat soon.
fn noise(length: usize) -> Vec<u8> {
    (0..length as u64).map(|index| (index.wrapping_mul(0x9e37_79b9_7f4a_7c15) >> 40) as u8).collect()
}
