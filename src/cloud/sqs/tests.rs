//! Queues, by AWS's own client through the gateway.

use std::time::Duration;

use aws_credential_types::Credentials;
use aws_sdk_sqs::{
    Client,
    error::ProvideErrorMetadata,
    types::{
        ChangeMessageVisibilityBatchRequestEntry, DeleteMessageBatchRequestEntry, Message, MessageAttributeValue,
        MessageSystemAttributeName, QueueAttributeName, SendMessageBatchRequestEntry, SendMessageBatchResultEntry,
    },
};

use crate::cloud::{
    delivery::{self, Destination, Sender},
    server::{Options, Server},
};

struct Cloud {
    _folder: tempfile::TempDir,
    server: Server,
    sqs: Client,
}

impl Cloud {
    async fn start() -> Cloud {
        let folder = tempfile::tempdir().unwrap();
        let server = Server::start(Options { folder: folder.path().to_owned(), port: None, iam: true, smtp: None })
            .await
            .unwrap();
        let root = server.root_credentials();
        let config = aws_sdk_sqs::Config::builder()
            .behavior_version(aws_sdk_sqs::config::BehaviorVersion::latest())
            .endpoint_url(server.endpoint())
            .region(aws_sdk_sqs::config::Region::new("eu-west-1"))
            .credentials_provider(Credentials::new(&root.access_key_id, &root.secret_access_key, None, None, "root"))
            .build();
        let sqs = Client::from_conf(config);
        Cloud { _folder: folder, server, sqs }
    }

    async fn queue(&self, name: &str, attributes: &[(QueueAttributeName, &str)]) -> String {
        let mut create = self.sqs.create_queue().queue_name(name);
        for (attribute, value) in attributes {
            create = create.attributes(attribute.clone(), *value);
        }
        create.send().await.unwrap().queue_url.unwrap()
    }

    async fn send(&self, url: &str, body: &str) {
        self.sqs.send_message().queue_url(url).message_body(body).send().await.unwrap();
    }

    async fn receive(&self, url: &str) -> Vec<Message> {
        let receive = self.sqs.receive_message().queue_url(url).max_number_of_messages(10);
        let receive = receive.message_system_attribute_names(MessageSystemAttributeName::All);
        receive.message_attribute_names("All").send().await.unwrap().messages.unwrap_or_default()
    }

    async fn counts(&self, url: &str) -> [String; 3] {
        let names = [
            QueueAttributeName::ApproximateNumberOfMessages,
            QueueAttributeName::ApproximateNumberOfMessagesNotVisible,
            QueueAttributeName::ApproximateNumberOfMessagesDelayed,
        ];
        let get = self.sqs.get_queue_attributes().queue_url(url).attribute_names(QueueAttributeName::All);
        let attributes = get.send().await.unwrap().attributes.unwrap();
        names.map(|name| attributes[&name].clone())
    }
}

fn bodies(messages: &[Message]) -> Vec<&str> {
    messages.iter().filter_map(Message::body).collect()
}

#[tokio::test]
async fn a_queue_is_made_once_and_made_again_only_with_the_same_attributes() {
    let cloud = Cloud::start().await;
    let timeout = QueueAttributeName::VisibilityTimeout;
    let url = cloud.queue("jobs", &[(timeout.clone(), "60")]).await;
    assert_eq!(url, format!("{}/000000000000/jobs", cloud.server.endpoint()));
    assert_eq!(cloud.queue("jobs", &[(timeout.clone(), "60")]).await, url);
    assert_eq!(cloud.queue("jobs", &[]).await, url);
    let other = cloud.sqs.create_queue().queue_name("jobs").attributes(timeout.clone(), "61").send().await;
    assert!(other.unwrap_err().into_service_error().is_queue_name_exists());
    let bad = cloud.sqs.create_queue().queue_name("more").attributes(timeout, "43201").send().await;
    assert!(bad.unwrap_err().into_service_error().is_invalid_attribute_value());
    let fifo = cloud.sqs.create_queue().queue_name("jobs.fifo").send().await;
    assert!(fifo.unwrap_err().into_service_error().is_unsupported_operation());
    assert_eq!(cloud.sqs.get_queue_url().queue_name("jobs").send().await.unwrap().queue_url, Some(url.clone()));
    assert_eq!(
        cloud.sqs.list_queues().queue_name_prefix("j").send().await.unwrap().queue_urls(),
        std::slice::from_ref(&url)
    );

    cloud.sqs.tag_queue().queue_url(&url).tags("a", "1").tags("b", "2").send().await.unwrap();
    cloud.sqs.untag_queue().queue_url(&url).tag_keys("a").send().await.unwrap();
    let tags = cloud.sqs.list_queue_tags().queue_url(&url).send().await.unwrap().tags.unwrap();
    assert_eq!(tags, [("b".to_owned(), "2".to_owned())].into());

    cloud.sqs.delete_queue().queue_url(&url).send().await.unwrap();
    let gone = cloud.sqs.get_queue_url().queue_name("jobs").send().await.unwrap_err().into_service_error();
    assert!(gone.is_queue_does_not_exist());
    assert_eq!(gone.code(), Some("AWS.SimpleQueueService.NonExistentQueue"));
    let soon = cloud.sqs.create_queue().queue_name("jobs").send().await.unwrap_err().into_service_error();
    assert!(soon.is_queue_deleted_recently(), "{soon:?}");
}

#[tokio::test]
async fn a_message_is_hidden_while_it_is_held_and_gone_when_it_is_deleted() {
    let cloud = Cloud::start().await;
    let url = cloud.queue("jobs", &[]).await;
    let attribute =
        |kind: &str, value: &str| MessageAttributeValue::builder().data_type(kind).string_value(value).build().unwrap();
    let sent = cloud.sqs.send_message().queue_url(&url).message_body("one");
    let sent = sent.message_attributes("n", attribute("Number", "7")).message_attributes("s", attribute("String", "x"));
    let sent = sent.send().await.unwrap();
    assert_eq!(sent.md5_of_message_body(), Some("f97c5d29941bfb1b2fdab0874906ab82"));

    let held = cloud.receive(&url).await;
    let message = &held[0];
    assert_eq!((message.body(), message.message_id()), (Some("one"), sent.message_id()));
    assert_eq!(message.md5_of_message_attributes(), sent.md5_of_message_attributes());
    assert_eq!(message.message_attributes().unwrap()["n"], attribute("Number", "7"));
    let attributes = message.attributes().unwrap();
    assert_eq!(attributes[&MessageSystemAttributeName::ApproximateReceiveCount], "1");
    assert_eq!(attributes[&MessageSystemAttributeName::SenderId], "000000000000");
    assert!(cloud.receive(&url).await.is_empty());
    assert_eq!(cloud.counts(&url).await, ["0", "1", "0"]);

    let first_handle = message.receipt_handle().unwrap();
    let change = cloud.sqs.change_message_visibility().queue_url(&url).visibility_timeout(0);
    change.receipt_handle(first_handle).send().await.unwrap();
    let again = cloud.receive(&url).await;
    assert_eq!(bodies(&again), ["one"]);
    // The handle of the earlier receive does nothing any more.
    cloud.sqs.delete_message().queue_url(&url).receipt_handle(first_handle).send().await.unwrap();
    assert_eq!(cloud.counts(&url).await, ["0", "1", "0"]);
    let handle = again[0].receipt_handle().unwrap();
    cloud.sqs.delete_message().queue_url(&url).receipt_handle(handle).send().await.unwrap();
    cloud.sqs.delete_message().queue_url(&url).receipt_handle(handle).send().await.unwrap();
    assert_eq!(cloud.counts(&url).await, ["0", "0", "0"]);
    let garbled = cloud.sqs.delete_message().queue_url(&url).receipt_handle("x").send().await;
    assert!(garbled.unwrap_err().into_service_error().is_receipt_handle_is_invalid());
}

#[tokio::test]
async fn batches_succeed_and_fail_entry_by_entry() {
    let cloud = Cloud::start().await;
    let url = cloud.queue("jobs", &[]).await;
    let entry =
        |id: &str, body: &str| SendMessageBatchRequestEntry::builder().id(id).message_body(body).build().unwrap();
    let sent = cloud.sqs.send_message_batch().queue_url(&url);
    let sent = sent.entries(entry("a", "one")).entries(entry("b", "\u{1}")).entries(entry("c", "three"));
    let sent = sent.send().await.unwrap();
    let ids: Vec<_> = sent.successful().iter().map(SendMessageBatchResultEntry::id).collect();
    assert_eq!(ids, ["a", "c"]);
    assert_eq!((sent.failed()[0].id(), sent.failed()[0].code()), ("b", "InvalidMessageContents"));
    let received = cloud.receive(&url).await;
    assert_eq!(bodies(&received), ["one", "three"]);
    let handles: Vec<_> = received.iter().map(|message| message.receipt_handle().unwrap()).collect();
    let change = |id: &str, handle: &str| {
        ChangeMessageVisibilityBatchRequestEntry::builder().id(id).receipt_handle(handle).visibility_timeout(0).build()
    };
    let changed = cloud.sqs.change_message_visibility_batch().queue_url(&url);
    let changed = changed.entries(change("a", handles[0]).unwrap()).entries(change("b", "none").unwrap());
    let changed = changed.send().await.unwrap();
    assert_eq!((changed.successful().len(), changed.failed()[0].code()), (1, "ReceiptHandleIsInvalid"));
    let delete = DeleteMessageBatchRequestEntry::builder().id("x").receipt_handle(handles[1]).build().unwrap();
    cloud.sqs.delete_message_batch().queue_url(&url).entries(delete).send().await.unwrap();
    assert_eq!(cloud.counts(&url).await, ["1", "0", "0"]);
    cloud.sqs.purge_queue().queue_url(&url).send().await.unwrap();
    assert_eq!(cloud.counts(&url).await, ["0", "0", "0"]);
    let again = cloud.sqs.purge_queue().queue_url(&url).send().await.unwrap_err().into_service_error();
    assert!(again.is_purge_queue_in_progress());
}

#[tokio::test]
async fn a_receiver_that_waits_gets_what_arrives_and_what_becomes_due() {
    let cloud = Cloud::start().await;
    let url = cloud.queue("jobs", &[]).await;
    let wait = || cloud.sqs.receive_message().queue_url(&url).wait_time_seconds(20).visibility_timeout(1).send();
    let waiting = tokio::spawn(wait());
    tokio::task::yield_now().await;
    cloud.send(&url, "one").await;
    assert_eq!(bodies(waiting.await.unwrap().unwrap().messages()), ["one"]);
    // Seen again once its visibility timeout is over.
    let again = wait().await.unwrap();
    assert_eq!(bodies(again.messages()), ["one"]);
    cloud.sqs.send_message().queue_url(&url).message_body("late").delay_seconds(1).send().await.unwrap();
    assert_eq!(cloud.counts(&url).await[2], "1");
}

#[tokio::test]
async fn a_message_that_was_received_too_often_goes_to_the_dead_letter_queue() {
    let cloud = Cloud::start().await;
    let dead = cloud.queue("dead", &[]).await;
    let redrive = r#"{"deadLetterTargetArn":"arn:aws:sqs:eu-west-1:000000000000:dead","maxReceiveCount":2}"#;
    let attributes = [(QueueAttributeName::RedrivePolicy, redrive), (QueueAttributeName::VisibilityTimeout, "0")];
    let url = cloud.queue("jobs", &attributes).await;
    let sources = cloud.sqs.list_dead_letter_source_queues().queue_url(&dead).send().await.unwrap();
    assert_eq!(sources.queue_urls(), std::slice::from_ref(&url));
    cloud.send(&url, "poison").await;
    for _ in 0..2 {
        assert_eq!(bodies(&cloud.receive(&url).await), ["poison"]);
    }
    let waiting = cloud.sqs.receive_message().queue_url(&dead).wait_time_seconds(20);
    let waiting = waiting.message_system_attribute_names(MessageSystemAttributeName::All).send();
    let waiting = tokio::spawn(waiting);
    assert!(cloud.receive(&url).await.is_empty());
    let buried = waiting.await.unwrap().unwrap();
    let attributes = buried.messages()[0].attributes().unwrap();
    assert_eq!(
        attributes[&MessageSystemAttributeName::DeadLetterQueueSourceArn],
        "arn:aws:sqs:eu-west-1:000000000000:jobs"
    );
    let none = r#"{"deadLetterTargetArn":"arn:aws:sqs:eu-west-1:000000000000:none","maxReceiveCount":"3"}"#;
    let set = cloud.sqs.set_queue_attributes().queue_url(&url).attributes(QueueAttributeName::RedrivePolicy, none);
    let refused = set.send().await.unwrap_err().into_service_error();
    assert_eq!(refused.code(), Some("InvalidParameterValue"));
    let off = cloud.sqs.set_queue_attributes().queue_url(&url).attributes(QueueAttributeName::RedrivePolicy, "");
    off.send().await.unwrap();
    assert!(cloud.sqs.list_dead_letter_source_queues().queue_url(&dead).send().await.unwrap().queue_urls().is_empty());
}

#[tokio::test]
async fn messages_expire_when_the_queue_has_kept_them_long_enough() {
    let cloud = Cloud::start().await;
    let url = cloud.queue("jobs", &[(QueueAttributeName::MessageRetentionPeriod, "60")]).await;
    cloud.send(&url, "old").await;
    let store = cloud.server.store();
    let mut queue = store.read(|tx| super::model::QUEUES.get(tx, "eu-west-1/jobs")).unwrap().unwrap();
    assert_eq!(super::gauge::expire(store, &queue).await.unwrap(), 0);
    queue.attributes.insert("MessageRetentionPeriod".into(), "0".into());
    tokio::time::sleep(Duration::from_millis(2)).await;
    assert_eq!(super::gauge::expire(store, &queue).await.unwrap(), 1);
    assert_eq!(cloud.counts(&url).await, ["0", "0", "0"]);
}

#[tokio::test]
async fn what_a_service_sends_shares_the_fate_of_its_transaction() {
    let folder = tempfile::tempdir().unwrap();
    let store = crate::cloud::store::Store::open(folder.path()).unwrap();
    let (meter, mut data) = crate::cloud::meter::Meter::channel();
    let sqs = super::Sqs::start(std::sync::Arc::clone(&store), "http://localhost", meter).unwrap();
    let mut queue = super::Queue {
        region: "eu-west-1".into(),
        name: "jobs".into(),
        id: "id".into(),
        created: 0,
        modified: 0,
        purged: None,
        attributes: Default::default(),
        tags: Default::default(),
    };
    store.write(|tx| super::model::QUEUES.put(tx, "eu-west-1/jobs", &queue)).unwrap();
    let sender = Sender::service("sns.amazonaws.com", "arn:aws:sns:eu-west-1:000000000000:t");
    let arn = queue.arn();
    let send = |fail: bool| {
        store.write(|tx| {
            sqs.accept(tx, &arn, &sender, &delivery::Message::text("hello"))?;
            if fail { Err(super::error::no_queue()) } else { Ok(()) }
        })
    };
    assert_eq!(send(false).unwrap_err().code, "AccessDenied", "a queue without a policy lets no service in");
    let policy = r#"{"Version":"2012-10-17","Statement":[{"Effect":"Allow","Principal":{"Service":"sns.amazonaws.com"},"Action":"sqs:SendMessage","Resource":"*","Condition":{"ArnEquals":{"aws:SourceArn":"arn:aws:sns:eu-west-1:000000000000:t"}}}]}"#;
    queue.attributes.insert("Policy".into(), policy.into());
    store.write(|tx| super::model::QUEUES.put(tx, "eu-west-1/jobs", &queue)).unwrap();
    assert_eq!(send(true).unwrap_err().code, "QueueDoesNotExist");
    assert!(sqs.wait_for("eu-west-1/jobs", 1, None, Some(0)).await.unwrap().is_empty());
    send(false).unwrap();
    let received = sqs.wait_for("eu-west-1/jobs", 1, None, Some(0)).await.unwrap();
    assert_eq!(
        (received[0].message.body.as_str(), received[0].message.sender.as_str()),
        ("hello", "sns.amazonaws.com")
    );
    let missing = store.write(|tx| sqs.would_accept(tx, "arn:aws:sqs:eu-west-1:000000000000:none", &sender)).unwrap();
    assert!(!missing);
    let sent = data.recv().await.unwrap();
    assert_eq!((sent.namespace.as_str(), sent.dimensions[0].1.as_str()), ("AWS/SQS", "jobs"));
}
