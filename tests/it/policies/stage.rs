//! A project on whose cloud checks are run: clients, names, and what several checks do.

use std::{
    sync::{
        Mutex,
        atomic::{AtomicU64, Ordering},
    },
    time::Duration,
};

use aws_sdk_lambda::primitives::Blob;
use lake::pipeline::ledger::{Kind, Marker, Origin, body};
use serde_json::{Value, json};

use crate::{
    record::{PATIENCE, confirm_mails},
    world::Project,
};

/// How often a check looks.
const LOOK_EVERY: Duration = Duration::from_millis(40);

const TOML: &str = r#"
[lake]
name = "shop"
region = "eu-west-1"
alerts = ["ann@example.com"]

[dataset.orders]
source = "orders/"
schema = { id = "int64", note = "string" }

[dataset.days]
source = "days/"
schema = { id = "int64", note = "string" }

[dataset.sizes]
source = "sizes/"
catalog = "direct"
schema = { id = "int64", note = "string" }

[dataset.parted]
source = "parted/"
catalog = "direct"
schema = { id = "int64", note = "string" }
partition_by = ["note"]

[dataset.rated]
source = "rated/"
catalog = "direct"
schema = { v = "int64" }
transform = "by_value.wasm"
"#;

/// The functions, by their names in the program.
pub const FUNCTIONS: [&str; 3] = ["intake", "convert", "sweep"];

pub struct Stage {
    pub project: Project,
    pub s3: aws_sdk_s3::Client,
    pub lambda: aws_sdk_lambda::Client,
    pub glue: aws_sdk_glue::Client,
    pub iam: aws_sdk_iam::Client,
    pub sqs: aws_sdk_sqs::Client,
    pub sns: aws_sdk_sns::Client,
    pub events: aws_sdk_eventbridge::Client,
    pub cloudwatch: aws_sdk_cloudwatch::Client,
    pub logs: aws_sdk_cloudwatchlogs::Client,
    outputs: Value,
    notifications: aws_sdk_s3::types::NotificationConfiguration,
    topic_policy: String,
    sweep_rule: (String, String),
    number: AtomicU64,
    dead: Mutex<Vec<String>>,
}

impl Stage {
    /// Applies a lake with datasets of either kind. What its functions fail on is not tried again: a dead letter at
    /// once instead of one after minutes.
    pub async fn open() -> Stage {
        let project = Project::new(TOML);
        let plugin = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/guests/by_value.wat");
        project.write("by_value.wasm", wat::parse_file(plugin).unwrap());
        project.lake(&["apply", "--yes"]).ok();
        confirm_mails(&project).await;
        let outputs = project.lake(&["outputs", "--json"]).document();
        let sdk = project.sdk().await;
        let (s3, sns) = (project.s3().await, aws_sdk_sns::Client::new(&sdk));
        let events = aws_sdk_eventbridge::Client::new(&sdk);
        let raw = outputs["raw_bucket"].as_str().unwrap();
        let there = s3.get_bucket_notification_configuration().bucket(raw).send().await.unwrap();
        let notifications = aws_sdk_s3::types::NotificationConfiguration::builder()
            .set_lambda_function_configurations(there.lambda_function_configurations)
            .build();
        let topic = outputs["alerts_topic"].as_str().unwrap();
        let attributes = sns.get_topic_attributes().topic_arn(topic).send().await.unwrap().attributes.unwrap();
        let rules = events.list_rules().send().await.unwrap().rules.unwrap();
        let sweep = rules.into_iter().find(|rule| rule.name().unwrap().contains("-sweep-")).unwrap();
        let stage = Stage {
            lambda: aws_sdk_lambda::Client::new(&sdk),
            glue: aws_sdk_glue::Client::new(&sdk),
            iam: aws_sdk_iam::Client::new(&sdk),
            sqs: aws_sdk_sqs::Client::new(&sdk),
            cloudwatch: aws_sdk_cloudwatch::Client::new(&sdk),
            logs: aws_sdk_cloudwatchlogs::Client::new(&sdk),
            topic_policy: attributes["Policy"].clone(),
            sweep_rule: (sweep.name.unwrap(), sweep.schedule_expression.unwrap()),
            number: AtomicU64::new(0),
            dead: Mutex::default(),
            project,
            s3,
            sns,
            events,
            outputs,
            notifications,
        };
        for name in FUNCTIONS {
            let config = stage.lambda.put_function_event_invoke_config().function_name(stage.function(name));
            let to = aws_sdk_lambda::types::OnFailure::builder().destination(stage.dead_letters_arn()).build();
            let to = aws_sdk_lambda::types::DestinationConfig::builder().on_failure(to).build();
            config.maximum_retry_attempts(0).destination_config(to).send().await.unwrap();
        }
        stage
    }

    /// Puts back what checks change for a while, and forgets what they have left unfinished.
    pub async fn settle(&self) {
        self.notify(true).await;
        self.set_topic_policy(&self.topic_policy).await;
        let (rule, schedule) = &self.sweep_rule;
        self.events.put_rule().name(rule).schedule_expression(schedule).send().await.unwrap();
        let processed = self.output("processed_bucket");
        let left = self.s3.list_objects_v2().bucket(processed).prefix("_lake/pending/").send().await.unwrap();
        for object in left.contents() {
            self.s3.delete_object().bucket(processed).key(object.key().unwrap()).send().await.unwrap();
        }
        // A crawl that is still under way would have its end do the next check's work.
        let ready = async || {
            let found = self.glue.get_crawler().name(self.output("crawler_orders")).send().await.unwrap();
            let state = found.crawler().and_then(aws_sdk_glue::types::Crawler::state).cloned();
            (state == Some(aws_sdk_glue::types::CrawlerState::Ready)).then_some(())
        };
        tokio::time::timeout(PATIENCE, self.until(ready)).await.expect("the crawler never becomes ready");
    }

    pub fn output(&self, name: &str) -> &str {
        self.outputs[name].as_str().unwrap_or_else(|| panic!("{name} in {}", self.outputs))
    }

    pub fn function(&self, name: &str) -> &str {
        self.output(&format!("{name}_function"))
    }

    pub fn raw(&self) -> &str {
        self.output("raw_bucket")
    }

    pub fn sweep_rule(&self) -> (&str, &str) {
        (&self.sweep_rule.0, &self.sweep_rule.1)
    }

    fn dead_letters_arn(&self) -> String {
        // https://sqs.<region>…/<account>/<name>
        let mut parts = self.output("dead_letters_queue").rsplit('/');
        let (name, account) = (parts.next().unwrap(), parts.next().unwrap());
        format!("arn:aws:sqs:eu-west-1:{account}:{name}")
    }

    /// A word that no check has used before.
    pub fn token(&self) -> String {
        format!("token{}x", self.number.fetch_add(1, Ordering::Relaxed))
    }

    /// Makes S3 tell intake, or nobody.
    pub async fn notify(&self, told: bool) {
        let nobody = aws_sdk_s3::types::NotificationConfiguration::builder().build();
        let to = if told { self.notifications.clone() } else { nobody };
        let put = self.s3.put_bucket_notification_configuration().bucket(self.raw()).notification_configuration(to);
        put.send().await.unwrap();
    }

    pub async fn set_topic_policy(&self, policy: &str) {
        let set = self.sns.set_topic_attributes().topic_arn(self.output("alerts_topic")).attribute_name("Policy");
        set.attribute_value(policy).send().await.unwrap();
    }

    pub fn topic_policy(&self) -> Value {
        serde_json::from_str(&self.topic_policy).unwrap()
    }

    /// Uploads a file of a few rows; gives its key.
    pub async fn put(&self, dataset: &str) -> String {
        let key = format!("{dataset}/{}.csv", self.token());
        self.put_at(&key, "id,note\n1,one\n2,two\n").await;
        key
    }

    pub async fn put_at(&self, key: &str, text: &str) {
        let body = text.as_bytes().to_vec().into();
        self.s3.put_object().bucket(self.raw()).key(key).body(body).send().await.unwrap();
    }

    /// [`Stage::put`] of several, of which nobody is told.
    pub async fn put_unheard(&self, datasets: &[&str]) -> Vec<String> {
        self.notify(false).await;
        let mut keys = Vec::new();
        for dataset in datasets {
            keys.push(self.put(dataset).await);
        }
        self.notify(true).await;
        keys
    }

    /// A JSON object of the processed bucket.
    pub async fn record(&self, key: &str) -> Option<Value> {
        let object = self.s3.get_object().bucket(self.output("processed_bucket")).key(key).send().await.ok()?;
        Some(serde_json::from_slice(&object.body.collect().await.unwrap().into_bytes()).unwrap())
    }

    pub async fn put_record(&self, key: &str, bytes: impl Into<Vec<u8>>) {
        let put = self.s3.put_object().bucket(self.output("processed_bucket")).key(key);
        put.body(bytes.into().into()).send().await.unwrap();
    }

    /// Writes a marker as a person does who asks for another try; gives its key.
    pub async fn mark(&self, dataset: &str, key: &str) -> String {
        let marker = Marker::new(dataset, key, Origin::Retry, None, jiff::Timestamp::now());
        let marker_key = Kind::Pending.key(dataset, key);
        self.put_record(&marker_key, body(&marker)).await;
        marker_key
    }

    /// Waits until the object's rows are in the table and nothing is left to do.
    pub async fn committed(&self, dataset: &str, key: &str) {
        self.until(async || {
            let commit = self.record(&Kind::Commits.key(dataset, key)).await?;
            (!commit["current"].is_null() && commit["attempt"].is_null()).then_some(())
        })
        .await;
        self.cleared(dataset, key).await;
    }

    /// Waits until there is no marker.
    pub async fn cleared(&self, dataset: &str, key: &str) {
        let marker = Kind::Pending.key(dataset, key);
        self.until(async || self.record(&marker).await.is_none().then_some(())).await;
    }

    /// Looks until there is something to see; who has enough of waiting drops it.
    pub async fn until<T>(&self, mut look: impl AsyncFnMut() -> Option<T>) -> T {
        loop {
            if let Some(seen) = look().await {
                return seen;
            }
            tokio::time::sleep(LOOK_EVERY).await;
        }
    }

    /// Invokes a function and waits for its answer, with its request id.
    pub async fn invoke(&self, name: &str, payload: &Value) -> Result<(Value, String), String> {
        use aws_sdk_lambda::operation::RequestId;
        let payload = Blob::new(payload.to_string());
        let answer = self.lambda.invoke().function_name(self.function(name)).payload(payload).send().await;
        let answer = answer.map_err(|error| format!("{name} was not invoked: {:?}", error.into_service_error()))?;
        let text = String::from_utf8_lossy(answer.payload().map(Blob::as_ref).unwrap_or_default()).into_owned();
        match answer.function_error() {
            Some(_) => Err(format!("{name} failed: {text}")),
            None => Ok((serde_json::from_str(&text).unwrap(), answer.request_id().unwrap().to_owned())),
        }
    }

    /// Another revision of the function: processes that are warm serve no more.
    pub async fn restart(&self, name: &str) {
        let update = self.lambda.update_function_configuration().function_name(self.function(name));
        update.description(self.token()).send().await.unwrap();
    }

    /// S3's event of these objects.
    pub fn s3_event(&self, keys: &[String]) -> Value {
        let record = |key: &String| {
            json!({
                "eventVersion": "2.1", "eventSource": "aws:s3", "eventName": "ObjectCreated:Put",
                "eventTime": "2026-01-01T00:00:00.000Z", "awsRegion": "eu-west-1",
                "userIdentity": { "principalId": "test" }, "requestParameters": { "sourceIPAddress": "127.0.0.1" },
                "responseElements": {},
                "s3": { "bucket": { "name": self.raw() }, "object": { "key": key, "size": 20 } },
            })
        };
        json!({ "Records": keys.iter().map(record).collect::<Vec<_>>() })
    }

    /// Waits for a dead letter that has the token.
    pub async fn dead_letter(&self, token: &str) {
        let queue = self.output("dead_letters_queue");
        self.until(async || {
            let taken = self.sqs.receive_message().queue_url(queue).max_number_of_messages(10).send().await.unwrap();
            for message in taken.messages() {
                let delete =
                    self.sqs.delete_message().queue_url(queue).receipt_handle(message.receipt_handle().unwrap());
                delete.send().await.unwrap();
                self.dead.lock().unwrap().push(message.body().unwrap().to_owned());
            }
            self.dead.lock().unwrap().iter().any(|letter| letter.contains(token)).then_some(())
        })
        .await;
    }

    /// Waits for a line in a log group, from `since` on, that the pattern matches.
    pub async fn logged(&self, group: &str, since: i64, pattern: Option<String>) {
        self.until(async || {
            let filter = self.logs.filter_log_events().log_group_name(group).start_time(since);
            let found = filter.set_filter_pattern(pattern.clone()).send().await.ok()?;
            (!found.events().is_empty()).then_some(())
        })
        .await;
    }

    /// The log group of a function.
    pub async fn log_group(&self, name: &str) -> String {
        let function = self.lambda.get_function_configuration().function_name(self.function(name)).send().await;
        function.unwrap().logging_config.unwrap().log_group.unwrap()
    }
}
