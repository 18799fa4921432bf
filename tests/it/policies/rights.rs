//! What the policies of an applied lake allow or refuse, statement by statement and action by action: listed, taken
//! away, put back.

use std::collections::BTreeMap;

use aws_sdk_sqs::types::QueueAttributeName;
use serde_json::{Value, json};

use super::stage::{FUNCTIONS, Stage};

/// Where a policy is.
#[derive(Debug, Clone)]
enum Holder {
    Role { role: String, policy: String },
    Trust(String),
    Queue(String),
    Topic,
    Bucket(String),
    Function(String),
}

/// One action of one statement, or one of several resources.
#[derive(Debug, Clone)]
pub struct Right {
    /// Place, statement, and action or resource.
    pub name: String,
    holder: Holder,
    document: Value,
    statement: usize,
    /// `Action` or `Resource`, and which of them.
    part: (&'static str, String),
}

fn parse(document: &str) -> Value {
    // IAM gives documents URL-encoded.
    let plain = percent_encoding::percent_decode_str(document).decode_utf8().unwrap();
    serde_json::from_str(&plain).unwrap()
}

/// The texts of a member that is one or many.
fn texts(statement: &Value, member: &str) -> Vec<String> {
    match &statement[member] {
        Value::String(text) => vec![text.clone()],
        Value::Array(texts) => texts.iter().map(|text| text.as_str().unwrap().to_owned()).collect(),
        _ => Vec::new(),
    }
}

/// The name of a resource without what no other lake has: `processed/orders/*`, `table/orders`.
fn short(arn: &str) -> String {
    let parts: Vec<&str> = arn.splitn(6, ':').collect();
    if parts[2] == "glue" {
        let mut names = parts[5].split('/');
        let kind = names.next().unwrap();
        return names.nth(1).map_or(kind.to_owned(), |table| format!("{kind}/{table}"));
    }
    let (bucket, path) =
        parts[5].split_once('/').map_or((parts[5], String::new()), |(b, path)| (b, format!("/{path}")));
    format!("{}{path}", part_of(bucket))
}

/// What a physical name is made from.
fn part_of(name: &str) -> &str {
    name.strip_prefix("shop-local-").and_then(|rest| rest.rsplit_once('-')).unwrap_or_else(|| panic!("{name}")).0
}

/// Everything that any policy in the cloud says.
pub async fn list(stage: &Stage) -> Vec<Right> {
    let mut found = Vec::new();
    let mut add = |place: String, holder: Holder, document: Value| {
        for (number, statement) in document["Statement"].as_array().unwrap().iter().enumerate() {
            let sid = statement["Sid"].as_str().unwrap_or("-");
            let mut push = |rest: &str, part| {
                found.push(Right {
                    name: format!("{place} {sid} {rest}"),
                    holder: holder.clone(),
                    document: document.clone(),
                    statement: number,
                    part,
                });
            };
            texts(statement, "Action").into_iter().for_each(|action| push(&action.clone(), ("Action", action)));
            let resources = texts(statement, "Resource");
            for resource in resources.iter().filter(|_| resources.len() > 1) {
                push(&format!("on {}", short(resource)), ("Resource", resource.clone()));
            }
        }
    };
    for role in stage.iam.list_roles().send().await.unwrap().roles() {
        let name = role.role_name();
        let part = part_of(name);
        let trust = parse(role.assume_role_policy_document().unwrap());
        add(format!("trust {part}"), Holder::Trust(name.to_owned()), trust);
        let policies = stage.iam.list_role_policies().role_name(name).send().await.unwrap();
        for policy in policies.policy_names() {
            let got = stage.iam.get_role_policy().role_name(name).policy_name(policy).send().await.unwrap();
            let holder = Holder::Role { role: name.to_owned(), policy: policy.clone() };
            add(format!("role {part}/{policy}"), holder, parse(got.policy_document()));
        }
        let attached = stage.iam.list_attached_role_policies().role_name(name).send().await.unwrap();
        assert!(attached.attached_policies().is_empty(), "managed policies are not looked at");
    }
    for queue in stage.sqs.list_queues().send().await.unwrap().queue_urls() {
        let get = stage.sqs.get_queue_attributes().queue_url(queue).attribute_names(QueueAttributeName::Policy);
        if let Some(policy) =
            get.send().await.unwrap().attributes().and_then(|all| all.get(&QueueAttributeName::Policy))
        {
            add("queue".to_owned(), Holder::Queue(queue.clone()), parse(policy));
        }
    }
    for topic in stage.sns.list_topics().send().await.unwrap().topics() {
        let arn = topic.topic_arn().unwrap();
        let attributes = stage.sns.get_topic_attributes().topic_arn(arn).send().await.unwrap().attributes.unwrap();
        add("topic".to_owned(), Holder::Topic, parse(&attributes["Policy"]));
    }
    for bucket in stage.s3.list_buckets().send().await.unwrap().buckets() {
        let name = bucket.name().unwrap();
        let part = part_of(name);
        let policy = stage.s3.get_bucket_policy().bucket(name).send().await.unwrap().policy.unwrap();
        add(format!("bucket {part}"), Holder::Bucket(name.to_owned()), serde_json::from_str(&policy).unwrap());
    }
    let functions = stage.lambda.list_functions().send().await.unwrap();
    assert_eq!(functions.functions().len(), FUNCTIONS.len());
    for part in FUNCTIONS {
        let policy = stage.lambda.get_policy().function_name(stage.function(part)).send().await;
        if let Some(policy) = policy.ok().and_then(|answer| answer.policy) {
            let holder = Holder::Function(stage.function(part).to_owned());
            add(format!("function {part}"), holder, serde_json::from_str(&policy).unwrap());
        }
    }
    found
}

/// The rights of `stage` by their names.
pub async fn by_name(stage: &Stage) -> BTreeMap<String, Right> {
    list(stage).await.into_iter().map(|right| (right.name.clone(), right)).collect()
}

impl Right {
    /// Its policy without it; none when nothing is left of that.
    fn without(&self) -> Option<Value> {
        let mut document = self.document.clone();
        let statements = document["Statement"].as_array_mut().unwrap();
        let (member, taken) = &self.part;
        let mut left = texts(&statements[self.statement], member);
        left.retain(|text| text != taken);
        match left.is_empty() {
            true => drop(statements.remove(self.statement)),
            false => statements[self.statement][*member] = json!(left),
        }
        (!statements.is_empty()).then_some(document)
    }

    pub async fn take_away(&self, stage: &Stage) {
        match (&self.holder, self.without()) {
            (Holder::Trust(_), _) => {
                // A role trusts somebody, always.
                let mut other = self.document.clone();
                other["Statement"][self.statement]["Principal"]["Service"] = json!("ec2.amazonaws.com");
                self.write(stage, &other).await;
            }
            (Holder::Function(function), _) => {
                let id = self.document["Statement"][self.statement]["Sid"].as_str().unwrap();
                stage.lambda.remove_permission().function_name(function).statement_id(id).send().await.unwrap();
            }
            (_, Some(rest)) => self.write(stage, &rest).await,
            (Holder::Role { role, policy }, None) => {
                stage.iam.delete_role_policy().role_name(role).policy_name(policy).send().await.unwrap();
            }
            (Holder::Bucket(bucket), None) => {
                stage.s3.delete_bucket_policy().bucket(bucket).send().await.unwrap();
            }
            (Holder::Queue(url), None) => set_queue_policy(stage, url, "").await,
            (Holder::Topic, None) => panic!("a topic keeps a policy"),
        }
    }

    pub async fn put_back(&self, stage: &Stage) {
        self.write(stage, &self.document).await;
        let now = by_name(stage).await;
        assert_eq!(now[&self.name].document, self.document, "{} is as it was", self.name);
    }

    async fn write(&self, stage: &Stage, document: &Value) {
        let text = document.to_string();
        match &self.holder {
            Holder::Role { role, policy } => {
                let put = stage.iam.put_role_policy().role_name(role).policy_name(policy).policy_document(text);
                put.send().await.unwrap();
            }
            Holder::Trust(role) => {
                stage.iam.update_assume_role_policy().role_name(role).policy_document(text).send().await.unwrap();
            }
            Holder::Queue(url) => set_queue_policy(stage, url, &text).await,
            Holder::Topic => stage.set_topic_policy(&text).await,
            Holder::Bucket(bucket) => {
                stage.s3.put_bucket_policy().bucket(bucket).policy(text).send().await.unwrap();
            }
            Holder::Function(function) => {
                let statement = &document["Statement"][self.statement];
                let text = |value: &Value| value.as_str().unwrap().to_owned();
                let condition = &statement["Condition"];
                let add = stage.lambda.add_permission().function_name(function).statement_id(text(&statement["Sid"]));
                let add = add.action(text(&statement["Action"])).principal(text(&statement["Principal"]["Service"]));
                let add = add.source_arn(text(&condition["ArnLike"]["AWS:SourceArn"]));
                let account = condition["StringEquals"]["AWS:SourceAccount"].as_str().map(str::to_owned);
                add.set_source_account(account).send().await.unwrap();
            }
        }
    }
}

async fn set_queue_policy(stage: &Stage, url: &str, policy: &str) {
    let set = stage.sqs.set_queue_attributes().queue_url(url).attributes(QueueAttributeName::Policy, policy);
    set.send().await.unwrap();
}
