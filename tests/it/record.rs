//! What happens in a cloud, by its own records: events through a rule of the test's own, mails as files.

use std::{
    io::{Read, Write},
    net::TcpStream,
    time::{Duration, Instant},
};

use serde_json::{Value, json};

use crate::world::Project;

/// How long a test waits for what has to happen.
pub const PATIENCE: Duration = Duration::from_secs(60);

/// Looks until there is something to see.
pub async fn until<T>(what: &str, mut look: impl AsyncFnMut() -> Option<T>) -> T {
    let begun = Instant::now();
    loop {
        if let Some(found) = look().await {
            return found;
        }
        assert!(begun.elapsed() < PATIENCE, "gave up waiting: {what}");
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
}

/// The events that a rule of the test's own sends to a queue of the test's own.
pub struct Recorder {
    sqs: aws_sdk_sqs::Client,
    queue: String,
    heard: Vec<Value>,
}

impl Recorder {
    /// Listens to what crawlers and the lake tell from now on.
    pub async fn start(project: &Project) -> Recorder {
        let sdk = project.sdk().await;
        let sqs = aws_sdk_sqs::Client::new(&sdk);
        let queue = sqs.create_queue().queue_name("recorder").send().await.unwrap().queue_url.unwrap();
        let name = aws_sdk_sqs::types::QueueAttributeName::QueueArn;
        let attributes =
            sqs.get_queue_attributes().queue_url(&queue).attribute_names(name.clone()).send().await.unwrap();
        let arn = attributes.attributes().unwrap()[&name].clone();
        let policy = json!({ "Version": "2012-10-17", "Statement": [{
            "Effect": "Allow", "Principal": { "Service": "events.amazonaws.com" },
            "Action": "sqs:SendMessage", "Resource": arn,
        }] });
        let policy_name = aws_sdk_sqs::types::QueueAttributeName::Policy;
        sqs.set_queue_attributes().queue_url(&queue).attributes(policy_name, policy.to_string()).send().await.unwrap();
        let events = aws_sdk_eventbridge::Client::new(&sdk);
        let pattern = json!({ "source": ["aws.glue", { "prefix": "lake." }] }).to_string();
        events.put_rule().name("recorder").event_pattern(pattern).send().await.unwrap();
        let target = aws_sdk_eventbridge::types::Target::builder().id("queue").arn(arn).build().unwrap();
        events.put_targets().rule("recorder").targets(target).send().await.unwrap();
        Recorder { sqs, queue, heard: Vec::new() }
    }

    /// All that was heard so far.
    pub async fn heard(&mut self) -> &[Value] {
        loop {
            let taken =
                self.sqs.receive_message().queue_url(&self.queue).max_number_of_messages(10).send().await.unwrap();
            if taken.messages().is_empty() {
                return &self.heard;
            }
            for message in taken.messages() {
                self.heard.push(serde_json::from_str(message.body().unwrap()).unwrap());
                let receipt = message.receipt_handle().unwrap();
                self.sqs.delete_message().queue_url(&self.queue).receipt_handle(receipt).send().await.unwrap();
            }
        }
    }

    /// The events of this detail-type in this state.
    pub async fn of(&mut self, detail_type: &str, state: &str) -> Vec<Value> {
        let heard = self.heard().await.iter();
        heard.filter(|it| it["detail-type"] == detail_type && it["detail"]["state"] == state).cloned().collect()
    }
}

/// The mails that the project's cloud has delivered, in the order of their file names, each as its text.
pub fn mails(project: &Project) -> Vec<String> {
    let Ok(folder) = std::fs::read_dir(project.path().join("state/cloud/mail")) else { return Vec::new() };
    let mut paths: Vec<_> = folder.map(|entry| entry.unwrap().path()).collect();
    paths.retain(|path| path.extension().is_some_and(|extension| extension == "eml"));
    paths.sort();
    paths.iter().map(|path| unfolded(&std::fs::read_to_string(path).unwrap())).collect()
}

/// Quoted-printable's soft line breaks and escapes undone, as a mail program does.
fn unfolded(mail: &str) -> String {
    if !mail.contains("quoted-printable") {
        return mail.to_owned();
    }
    let joined = mail.replace("=\r\n", "").replace("=\n", "");
    let mut text = Vec::new();
    let mut bytes = joined.bytes().peekable();
    while let Some(byte) = bytes.next() {
        if byte != b'=' {
            text.push(byte);
            continue;
        }
        let hex: Vec<u8> = bytes.clone().take(2).collect();
        match std::str::from_utf8(&hex).ok().and_then(|hex| u8::from_str_radix(hex, 16).ok()) {
            Some(decoded) if hex.len() == 2 && hex.iter().all(|digit| !digit.is_ascii_lowercase()) => {
                text.push(decoded);
                bytes.nth(1);
            }
            _ => text.push(b'='),
        }
    }
    String::from_utf8_lossy(&text).into_owned()
}

/// Follows the link of every confirmation mail, as whoever got it would.
pub async fn confirm_mails(project: &Project) {
    let link = until("the confirmation mail", async || mails(project).iter().find_map(|mail| confirmation_link(mail)));
    follow(&link.await);
}

/// The link of a mail that confirms a subscription.
pub fn confirmation_link(mail: &str) -> Option<String> {
    let start = mail.find("http://127.0.0.1")?;
    let link: String = mail[start..].chars().take_while(|c| !c.is_whitespace() && *c != '"' && *c != '<').collect();
    link.contains("ConfirmSubscription").then_some(link)
}

/// Opens a link that must work.
pub fn follow(link: &str) {
    let answer = get(link);
    assert!(answer.starts_with("HTTP/1.1 200"), "{answer}");
}

/// The whole answer to a GET without a signature.
fn get(url: &str) -> String {
    let rest = url.strip_prefix("http://").unwrap();
    let (host, path) = rest.split_once('/').unwrap();
    let mut stream = TcpStream::connect(host).unwrap();
    write!(stream, "GET /{path} HTTP/1.1\r\nHost: {host}\r\nConnection: close\r\n\r\n").unwrap();
    let mut answer = String::new();
    stream.read_to_string(&mut answer).unwrap();
    answer
}
