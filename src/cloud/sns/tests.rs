//! Topics, by AWS's own client through the gateway, with queues and mail behind them.

use std::time::Duration;

use aws_credential_types::Credentials;
use aws_sdk_sns::{
    error::ProvideErrorMetadata,
    types::{MessageAttributeValue, PublishBatchRequestEntry, Tag},
};
use serde_json::{Value, json};
use tokio::{
    io::{AsyncBufReadExt, AsyncWriteExt, BufReader},
    net::TcpListener,
};

use super::{mail::Mail, *};
use crate::cloud::server::{Options as ServerOptions, Server};

/// How long a test waits for what has to happen.
const PATIENCE: Duration = Duration::from_secs(20);

macro_rules! client {
    ($server:expr, $sdk:ident) => {
        $sdk::Client::from_conf(
            $sdk::Config::builder()
                .behavior_version($sdk::config::BehaviorVersion::latest())
                .endpoint_url($server.endpoint())
                .region($sdk::config::Region::new("eu-west-1"))
                .credentials_provider({
                    let root = $server.root_credentials();
                    Credentials::new(&root.access_key_id, &root.secret_access_key, None, None, "root")
                })
                .build(),
        )
    };
}

struct Cloud {
    folder: tempfile::TempDir,
    server: Server,
    sns: aws_sdk_sns::Client,
    sqs: aws_sdk_sqs::Client,
}

impl Cloud {
    async fn start() -> Cloud {
        let folder = tempfile::tempdir().unwrap();
        let server =
            Server::start(ServerOptions { folder: folder.path().to_owned(), port: None, iam: true, smtp: None })
                .await
                .unwrap();
        let (sns, sqs) = (client!(server, aws_sdk_sns), client!(server, aws_sdk_sqs));
        Cloud { folder, server, sns, sqs }
    }

    async fn topic(&self) -> String {
        self.sns.create_topic().name("news").send().await.unwrap().topic_arn.unwrap()
    }

    /// A queue that lets the topics of the account in, and its URL and ARN.
    async fn queue(&self, name: &str) -> (String, String) {
        let arn = format!("arn:aws:sqs:eu-west-1:000000000000:{name}");
        let policy = json!({ "Version": "2012-10-17", "Statement": [{ "Effect": "Allow",
            "Principal": { "Service": "sns.amazonaws.com" }, "Action": "sqs:SendMessage", "Resource": arn }] });
        let create = self.sqs.create_queue().queue_name(name);
        let create = create.attributes(aws_sdk_sqs::types::QueueAttributeName::Policy, policy.to_string());
        (create.send().await.unwrap().queue_url.unwrap(), arn)
    }

    /// Waits for the queue's next message and takes it out.
    async fn next(&self, url: &str) -> aws_sdk_sqs::types::Message {
        let receive = self.sqs.receive_message().queue_url(url).wait_time_seconds(20).message_attribute_names("All");
        let message = receive.send().await.unwrap().messages.unwrap().remove(0);
        let handle = message.receipt_handle().unwrap();
        self.sqs.delete_message().queue_url(url).receipt_handle(handle).send().await.unwrap();
        message
    }

    async fn is_empty(&self, url: &str) -> bool {
        self.sqs.receive_message().queue_url(url).send().await.unwrap().messages.is_none()
    }

    /// The mails so far, in order, once there are `count`.
    async fn mails(&self, count: usize) -> Vec<String> {
        let folder = self.folder.path().join("mail");
        let deadline = tokio::time::Instant::now() + PATIENCE;
        loop {
            let mut files: Vec<_> = std::fs::read_dir(&folder).unwrap().map(|file| file.unwrap().path()).collect();
            files.retain(|file| file.extension().is_some_and(|end| end == "eml"));
            files.sort();
            if files.len() >= count {
                return files.iter().map(|file| unfolded(&std::fs::read_to_string(file).unwrap())).collect();
            }
            assert!(tokio::time::Instant::now() < deadline, "{} mails, not {count}", files.len());
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
    }
}

/// A mail with its quoted-printable lines put together.
fn unfolded(mail: &str) -> String {
    match mail.contains("quoted-printable") {
        true => mail.replace("=\r\n", "").replace("=3D", "="),
        false => mail.to_owned(),
    }
}

/// The link in a mail that does `action`.
fn link(mail: &str, action: &str) -> String {
    mail.lines().find(|line| line.contains(&format!("Action={action}"))).unwrap().trim().to_owned()
}

/// Follows a link as a browser does: a GET without a signature.
async fn follow(link: &str, host: Option<&str>) -> String {
    let (authority, path) = link.strip_prefix("http://").unwrap().split_once('/').unwrap();
    let mut stream = tokio::net::TcpStream::connect(authority).await.unwrap();
    let host = host.unwrap_or(authority);
    let request = format!("GET /{path} HTTP/1.1\r\nHost: {host}\r\nConnection: close\r\n\r\n");
    stream.write_all(request.as_bytes()).await.unwrap();
    let mut answer = String::new();
    tokio::io::AsyncReadExt::read_to_string(&mut stream, &mut answer).await.unwrap();
    answer
}

#[tokio::test]
async fn a_topic_is_made_once_and_made_again_only_with_the_same_settings() {
    let cloud = Cloud::start().await;
    let arn = cloud.topic().await;
    assert_eq!(arn, "arn:aws:sns:eu-west-1:000000000000:news");
    assert_eq!(cloud.topic().await, arn);
    let tag = |value: &str| Tag::builder().key("k").value(value).build().unwrap();
    let tagged = cloud.sns.create_topic().name("news").tags(tag("1")).send().await;
    let refused = tagged.unwrap_err().into_service_error();
    assert!(refused.is_invalid_parameter_exception());
    assert!(refused.message().unwrap().contains("different tags"));
    cloud.sns.tag_resource().resource_arn(&arn).tags(tag("1")).send().await.unwrap();
    let tags = cloud.sns.list_tags_for_resource().resource_arn(&arn).send().await.unwrap();
    assert_eq!(tags.tags(), [tag("1")]);
    cloud.sns.untag_resource().resource_arn(&arn).tag_keys("k").send().await.unwrap();

    let set = cloud.sns.set_topic_attributes().topic_arn(&arn).attribute_name("DisplayName");
    set.attribute_value("The lake").send().await.unwrap();
    let attributes = cloud.sns.get_topic_attributes().topic_arn(&arn).send().await.unwrap().attributes.unwrap();
    assert_eq!((attributes["DisplayName"].as_str(), attributes["SubscriptionsConfirmed"].as_str()), ("The lake", "0"));
    let policy: Value = serde_json::from_str(&attributes["Policy"]).unwrap();
    assert_eq!(policy["Statement"][0]["Resource"], arn);
    let fifo = cloud.sns.create_topic().name("news.fifo").send().await.unwrap_err().into_service_error();
    assert!(fifo.is_invalid_parameter_exception());
    assert_eq!(cloud.sns.list_topics().send().await.unwrap().topics()[0].topic_arn(), Some(arn.as_str()));
    cloud.sns.delete_topic().topic_arn(&arn).send().await.unwrap();
    cloud.sns.delete_topic().topic_arn(&arn).send().await.unwrap();
    let gone = cloud.sns.get_topic_attributes().topic_arn(&arn).send().await.unwrap_err().into_service_error();
    assert!(gone.is_not_found_exception());
}

#[tokio::test]
async fn a_queue_gets_the_envelope_or_the_message_itself() {
    let cloud = Cloud::start().await;
    let topic = cloud.topic().await;
    let ((plain_url, plain), (raw_url, raw)) = (cloud.queue("plain").await, cloud.queue("raw").await);
    let subscribe = || cloud.sns.subscribe().topic_arn(&topic).protocol("sqs");
    let subscription = subscribe().endpoint(&plain).send().await.unwrap().subscription_arn.unwrap();
    assert!(subscription.starts_with(&format!("{topic}:")));
    assert_eq!(subscribe().endpoint(&plain).send().await.unwrap().subscription_arn.unwrap(), subscription);
    subscribe().endpoint(&raw).attributes("RawMessageDelivery", "true").send().await.unwrap();
    let number = MessageAttributeValue::builder().data_type("Number").string_value("7").build().unwrap();
    let publish = cloud.sns.publish().topic_arn(&topic).subject("Hear").message("a \"b\" & <c>");
    let id = publish.message_attributes("n", number).send().await.unwrap().message_id.unwrap();

    let envelope: Value = serde_json::from_str(cloud.next(&plain_url).await.body().unwrap()).unwrap();
    assert_eq!((&envelope["Type"], &envelope["MessageId"]), (&json!("Notification"), &json!(id)));
    assert_eq!((&envelope["Subject"], &envelope["Message"]), (&json!("Hear"), &json!("a \"b\" & <c>")));
    assert_eq!(envelope["MessageAttributes"]["n"], json!({ "Type": "Number", "Value": "7" }));
    let message = cloud.next(&raw_url).await;
    assert_eq!(message.body(), Some("a \"b\" & <c>"));
    assert_eq!(message.message_attributes().unwrap()["n"].string_value(), Some("7"));

    let link = envelope["UnsubscribeURL"].as_str().unwrap();
    assert!(follow(link, None).await.starts_with("HTTP/1.1 200"));
    let left = cloud.sns.list_subscriptions_by_topic().topic_arn(&topic).send().await.unwrap();
    let endpoints: Vec<_> = left.subscriptions().iter().filter_map(|it| it.endpoint()).collect();
    assert_eq!(endpoints, [raw]);
}

#[tokio::test]
async fn filter_policies_let_through_by_attributes_or_by_the_body() {
    let cloud = Cloud::start().await;
    let topic = cloud.topic().await;
    let ((by_attribute, one), (by_body, other)) = (cloud.queue("one").await, cloud.queue("other").await);
    let subscribe = |queue: &str, policy: &str| {
        let subscribe = cloud.sns.subscribe().topic_arn(&topic).protocol("sqs").endpoint(queue);
        subscribe.attributes("FilterPolicy", policy).attributes("RawMessageDelivery", "true")
    };
    subscribe(&one, r#"{"kind":["csv"],"rows":[{"numeric":[">",1]}]}"#).send().await.unwrap();
    let body = subscribe(&other, r#"{"state":{"name":["ok"]}}"#).attributes("FilterPolicyScope", "MessageBody");
    body.send().await.unwrap();
    let refused = subscribe("arn:aws:sqs:eu-west-1:000000000000:x", r#"{"kind":"csv"}"#).send().await;
    assert!(refused.unwrap_err().into_service_error().is_invalid_parameter_exception());
    let publish = |message: &str, kind: &str, rows: &str| {
        let value = |kind: &str, value: &str| {
            MessageAttributeValue::builder().data_type(kind).string_value(value).build().unwrap()
        };
        let publish = cloud.sns.publish().topic_arn(&topic).message(message);
        publish
            .message_attributes("kind", value("String", kind))
            .message_attributes("rows", value("Number", rows))
            .send()
    };
    publish("few", "csv", "1").await.unwrap();
    publish(r#"{"state":{"name":"ok"}}"#, "txt", "5").await.unwrap();
    publish("many", "csv", "2").await.unwrap();
    assert_eq!(cloud.next(&by_attribute).await.body(), Some("many"));
    assert_eq!(cloud.next(&by_body).await.body(), Some(r#"{"state":{"name":"ok"}}"#));
    assert!(cloud.is_empty(&by_attribute).await && cloud.is_empty(&by_body).await);
}

#[tokio::test]
async fn an_address_gets_mail_only_once_it_has_confirmed() {
    let cloud = Cloud::start().await;
    let topic = cloud.topic().await;
    let subscribe = || cloud.sns.subscribe().topic_arn(&topic).protocol("email").endpoint("ada@example.org");
    let told = subscribe().send().await.unwrap().subscription_arn.unwrap();
    assert_eq!(told, "pending confirmation");
    cloud.sns.publish().topic_arn(&topic).message("too early").send().await.unwrap();
    let confirmation = link(&cloud.mails(1).await[0], "ConfirmSubscription");

    let arn = subscribe().return_subscription_arn(true).send().await.unwrap().subscription_arn.unwrap();
    let listed = cloud.sns.list_subscriptions().send().await.unwrap();
    assert_eq!(listed.subscriptions()[0].subscription_arn(), Some("PendingConfirmation"));
    let pending = cloud.sns.unsubscribe().subscription_arn(&arn).send().await.unwrap_err().into_service_error();
    assert!(pending.is_invalid_parameter_exception());
    // Asked for again, the earlier link is no longer good; the newer one is.
    assert!(follow(&confirmation, None).await.starts_with("HTTP/1.1 400"));
    let mails = cloud.mails(2).await;
    let confirmation = link(mails.last().unwrap(), "ConfirmSubscription");
    assert!(follow(&confirmation, Some("evil.example.com")).await.starts_with("HTTP/1.1 403"));
    let confirmed = follow(&confirmation, None).await;
    assert!(confirmed.starts_with("HTTP/1.1 200") && confirmed.contains(&arn), "{confirmed}");
    let attributes = cloud.sns.get_subscription_attributes().subscription_arn(&arn).send().await.unwrap();
    let attributes = attributes.attributes.unwrap();
    assert_eq!(
        (attributes["PendingConfirmation"].as_str(), attributes["Endpoint"].as_str()),
        ("false", "ada@example.org")
    );

    cloud.sns.publish().topic_arn(&topic).subject("Flights").message("\"42 rows\"").send().await.unwrap();
    let mail = cloud.mails(3).await.pop().unwrap();
    for part in ["Subject: Flights\r\n", "To: ada@example.org\r\n", "AWS Notifications", "\"42 rows\"\r\n"] {
        assert!(mail.contains(part), "{part} in {mail}");
    }
    let file = std::fs::read_dir(cloud.folder.path().join("mail")).unwrap().next().unwrap().unwrap();
    assert_eq!(std::os::unix::fs::PermissionsExt::mode(&file.metadata().unwrap().permissions()) & 0o777, 0o600);
    let unsubscribe = link(&mail, "Unsubscribe");
    assert!(follow(&format!("{unsubscribe}x"), None).await.starts_with("HTTP/1.1 400"));
    assert!(follow(&unsubscribe, None).await.starts_with("HTTP/1.1 200"));
    assert!(cloud.sns.list_subscriptions().send().await.unwrap().subscriptions().is_empty());
    // Other actions take a signature.
    let unsigned = format!("{}/?Action=ListTopics", cloud.server.endpoint());
    assert!(follow(&unsigned, None).await.starts_with("HTTP/1.1 403"));
}

#[tokio::test]
async fn what_a_subscriber_refuses_goes_to_the_dead_letter_queue() {
    let cloud = Cloud::start().await;
    let topic = cloud.topic().await;
    let (dead_url, dead) = cloud.queue("dead").await;
    let subscribe = cloud.sns.subscribe().topic_arn(&topic).protocol("sqs");
    let subscribe = subscribe.endpoint("arn:aws:sqs:eu-west-1:000000000000:none");
    subscribe.attributes("RedrivePolicy", json!({ "deadLetterTargetArn": dead }).to_string()).send().await.unwrap();
    cloud.sns.publish().topic_arn(&topic).message("lost?").send().await.unwrap();
    let envelope: Value = serde_json::from_str(cloud.next(&dead_url).await.body().unwrap()).unwrap();
    assert_eq!(envelope["Message"], "lost?");
}

#[tokio::test]
async fn a_batch_succeeds_and_fails_entry_by_entry_and_texts_differ_by_protocol() {
    let cloud = Cloud::start().await;
    let topic = cloud.topic().await;
    let (url, queue) = cloud.queue("q").await;
    let subscribe = cloud.sns.subscribe().topic_arn(&topic).protocol("sqs").endpoint(&queue);
    subscribe.attributes("RawMessageDelivery", "true").send().await.unwrap();
    let entry = |id: &str, message: &str| PublishBatchRequestEntry::builder().id(id).message(message);
    let texts = r#"{"default":"for all","sqs":"for queues"}"#;
    let batch = cloud.sns.publish_batch().topic_arn(&topic);
    let batch = batch.publish_batch_request_entries(entry("a", texts).message_structure("json").build().unwrap());
    let batch = batch.publish_batch_request_entries(entry("b", "x").subject("no\nsubject").build().unwrap());
    let result = batch.send().await.unwrap();
    assert_eq!(result.successful()[0].id(), Some("a"));
    assert_eq!((result.failed()[0].id(), result.failed()[0].code()), ("b", "InvalidParameter"));
    assert_eq!(cloud.next(&url).await.body(), Some("for queues"));
    let empty = cloud.sns.publish().topic_arn(&topic).message(r#"{"sqs":"x"}"#).message_structure("json").send().await;
    assert!(empty.unwrap_err().into_service_error().is_invalid_parameter_exception());
}

/// A relay that answers the recipient with each of these in turn, a mail each; gives the port.
async fn relay(answers: &'static [&'static str]) -> u16 {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let port = listener.local_addr().unwrap().port();
    tokio::spawn(async move {
        for answer in answers {
            let (stream, _) = listener.accept().await.unwrap();
            let mut stream = BufReader::new(stream);
            stream.write_all(b"220 relay\r\n").await.unwrap();
            let (mut line, mut in_data) = (String::new(), false);
            while {
                line.clear();
                stream.read_line(&mut line).await.unwrap() > 0
            } {
                let reply = match line.trim_end() {
                    "." if in_data => {
                        in_data = false;
                        "250 taken"
                    }
                    _ if in_data => continue,
                    text if text.starts_with("RCPT") => *answer,
                    "DATA" => {
                        in_data = true;
                        "354 go on"
                    }
                    "QUIT" => "221 bye",
                    _ => "250 fine",
                };
                stream.write_all(format!("{reply}\r\n").as_bytes()).await.unwrap();
            }
        }
    });
    port
}

#[tokio::test]
async fn a_relay_that_refuses_for_now_is_asked_again_and_one_that_refuses_for_good_is_not() {
    let folder = tempfile::tempdir().unwrap();
    let port = relay(&["451 later", "250 fine", "550 nobody"]).await;
    let mail = Mail {
        topic: "arn:aws:sns:eu-west-1:000000000000:news".into(),
        to: "ada@example.org".into(),
        file: "one.eml".into(),
        content: "Subject: s\r\n\r\ntext\r\n".into(),
        counted: true,
        dead: None,
    };
    let mut outcomes = Vec::new();
    for _ in 0..3 {
        // A connection each, as the relay answers one mail each.
        let relay = SmtpRelay { host: "127.0.0.1".into(), port, tls: SmtpTls::None, user: None };
        let post = Post::new(folder.path().join("mail"), Some(&relay)).unwrap();
        outcomes.push(post.send(&mail).await.map_err(|refusal| refusal.temporary));
    }
    assert_eq!(outcomes, [Err(true), Ok(()), Err(false)]);
    assert_eq!(std::fs::read_to_string(folder.path().join("mail/one.eml")).unwrap(), mail.content);
}
