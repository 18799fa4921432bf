"""Drives every service of the event chain by hand with boto3, through the cloud at AWS_ENDPOINT_URL; prints what it
saw as one JSON document."""

import json
import time

import boto3
from botocore.exceptions import ClientError

REGION = boto3.session.Session().region_name
ACCOUNT = boto3.client("sts").get_caller_identity()["Account"]
seen = {}


def until(what, look, seconds=30):
    """Looks until there is something to see."""
    end = time.monotonic() + seconds
    while True:
        found = look()
        if found:
            return found
        if time.monotonic() > end:
            raise SystemExit(f"gave up waiting: {what}")
        time.sleep(0.05)


def refused(call, **arguments):
    """The error code of a call that must be refused."""
    try:
        call(**arguments)
    except ClientError as error:
        return error.response["Error"]["Code"]
    return None


# --- SQS -------------------------------------------------------------------------------------------------------------
sqs = boto3.client("sqs")
dead = sqs.create_queue(QueueName="hand-dead")["QueueUrl"]
dead_arn = sqs.get_queue_attributes(QueueUrl=dead, AttributeNames=["QueueArn"])["Attributes"]["QueueArn"]
redrive = json.dumps({"deadLetterTargetArn": dead_arn, "maxReceiveCount": "1"})
queue = sqs.create_queue(QueueName="hand", Attributes={"VisibilityTimeout": "1", "RedrivePolicy": redrive})["QueueUrl"]
queue_arn = sqs.get_queue_attributes(QueueUrl=queue, AttributeNames=["QueueArn"])["Attributes"]["QueueArn"]
sqs.send_message(QueueUrl=queue, MessageBody="poison", MessageAttributes={"n": {"DataType": "Number", "StringValue": "1"}})
first = sqs.receive_message(QueueUrl=queue, WaitTimeSeconds=5, MessageAttributeNames=["All"])["Messages"][0]
assert first["MessageAttributes"]["n"]["StringValue"] == "1", first
assert "Messages" not in sqs.receive_message(QueueUrl=queue), "hidden while it is visible to nobody"
until(
    "the poisonous message among the dead letters",
    lambda: [sqs.receive_message(QueueUrl=queue).get("Messages"), sqs.receive_message(QueueUrl=dead).get("Messages")][1],
)
seen["missing queue"] = refused(sqs.get_queue_url, QueueName="nowhere")


def bodies(url):
    """Takes the messages out of the queue; their bodies."""
    messages = sqs.receive_message(QueueUrl=url, MaxNumberOfMessages=10, WaitTimeSeconds=1).get("Messages", [])
    for message in messages:
        sqs.delete_message(QueueUrl=url, ReceiptHandle=message["ReceiptHandle"])
    return [message["Body"] for message in messages]


def let_in(principal):
    """Lets a service send to the queue."""
    statement = {
        "Effect": "Allow",
        "Principal": {"Service": principal},
        "Action": "sqs:SendMessage",
        "Resource": queue_arn,
    }
    policy = json.dumps({"Version": "2012-10-17", "Statement": [statement]})
    sqs.set_queue_attributes(QueueUrl=queue, Attributes={"Policy": policy})


# --- SNS -------------------------------------------------------------------------------------------------------------
sns = boto3.client("sns")
topic = sns.create_topic(Name="hand", Tags=[{"Key": "by", "Value": "hand"}])["TopicArn"]
subscribed = sns.subscribe(TopicArn=topic, Protocol="sqs", Endpoint=queue_arn, ReturnSubscriptionArn=True)
pending = sns.subscribe(TopicArn=topic, Protocol="email", Endpoint="ann@example.com")["SubscriptionArn"]
seen["mail is pending"] = pending
filter_policy = json.dumps({"kind": ["wanted"]})
sns.set_subscription_attributes(
    SubscriptionArn=subscribed["SubscriptionArn"], AttributeName="FilterPolicy", AttributeValue=filter_policy
)
let_in("sns.amazonaws.com")
kind = lambda value: {"kind": {"DataType": "String", "StringValue": value}}
sns.publish(TopicArn=topic, Message="not this one", MessageAttributes=kind("other"))
sns.publish(TopicArn=topic, Subject="hello", Message="this one", MessageAttributes=kind("wanted"))
notification = json.loads(until("the notification", lambda: bodies(queue))[0])
seen["notification"] = [notification["Type"], notification["Subject"], notification["Message"]]
seen["missing topic"] = refused(sns.publish, TopicArn=topic + "-nowhere", Message="x")

# --- EventBridge -----------------------------------------------------------------------------------------------------
events = boto3.client("events")
pattern = {"source": ["hand.made"], "detail": {"size": [{"numeric": [">", 10]}], "name": [{"prefix": "a"}]}}
rule = events.put_rule(Name="hand", EventPattern=json.dumps(pattern))["RuleArn"]
transformer = {"InputPathsMap": {"name": "$.detail.name"}, "InputTemplate": '"it is <name>"'}
failed = events.put_targets(Rule="hand", Targets=[{"Id": "queue", "Arn": queue_arn, "InputTransformer": transformer}])
assert failed["FailedEntryCount"] == 0, failed
let_in("events.amazonaws.com")
entry = lambda source, **detail: {"Source": source, "DetailType": "t", "Detail": json.dumps(detail)}
put = events.put_events(
    Entries=[entry("hand.made", name="apple", size=11), entry("hand.made", name="apple", size=1), entry("aws.s3", name="a")]
)
seen["put"] = [put["FailedEntryCount"], put["Entries"][2].get("ErrorCode")]
seen["transformed"] = until("the event", lambda: bodies(queue))
seen["a pattern is tested"] = events.test_event_pattern(
    EventPattern=json.dumps({"source": [{"suffix": "made"}]}),
    Event=json.dumps(
        {"id": "1", "account": ACCOUNT, "source": "hand.made", "time": "2026-01-01T00:00:00Z", "region": REGION,
         "resources": [], "detail-type": "t", "detail": {}}
    ),
)["Result"]
seen["bad pattern"] = refused(events.put_rule, Name="bad", EventPattern='{"source": "not a list"}')
seen["rule with targets"] = refused(events.delete_rule, Name="hand")
events.put_rule(Name="clock", ScheduleExpression="rate(1 minute)")
events.delete_rule(Name="clock")

# --- CloudWatch ------------------------------------------------------------------------------------------------------
cloudwatch = boto3.client("cloudwatch")
sns.set_subscription_attributes(
    SubscriptionArn=subscribed["SubscriptionArn"], AttributeName="FilterPolicy", AttributeValue="{}"
)
let_in("sns.amazonaws.com")
statement = {
    "Effect": "Allow",
    "Principal": {"Service": "cloudwatch.amazonaws.com"},
    "Action": "sns:Publish",
    "Resource": topic,
}
policy = json.dumps({"Version": "2012-10-17", "Statement": [statement]})
sns.set_topic_attributes(TopicArn=topic, AttributeName="Policy", AttributeValue=policy)
cloudwatch.put_metric_alarm(
    AlarmName="hand",
    Namespace="hand",
    MetricName="depth",
    Statistic="Maximum",
    Period=60,
    EvaluationPeriods=1,
    Threshold=5,
    ComparisonOperator="GreaterThanThreshold",
    TreatMissingData="notBreaching",
    AlarmActions=[topic],
)
cloudwatch.put_metric_data(Namespace="hand", MetricData=[{"MetricName": "depth", "Value": 7, "Unit": "Count"}])
alarmed = until(
    "the alarm's notification",
    lambda: [body for body in bodies(queue) if "ALARM" in body],
    seconds=90,
)
seen["alarm"] = json.loads(json.loads(alarmed[0])["Message"])["NewStateValue"]
seen["metrics"] = [metric["MetricName"] for metric in cloudwatch.list_metrics(Namespace="hand")["Metrics"]]
now = time.time()
statistics = cloudwatch.get_metric_statistics(
    Namespace="hand", MetricName="depth", StartTime=now - 600, EndTime=now + 60, Period=60, Statistics=["Maximum", "SampleCount"]
)
seen["statistics"] = [statistics["Datapoints"][0]["Maximum"], statistics["Datapoints"][0]["SampleCount"]]
cloudwatch.put_dashboard(DashboardName="hand", DashboardBody='{"widgets": []}')
seen["dashboards"] = [entry["DashboardName"] for entry in cloudwatch.list_dashboards()["DashboardEntries"]]

# --- Glue crawler ----------------------------------------------------------------------------------------------------
s3, iam, glue = boto3.client("s3"), boto3.client("iam"), boto3.client("glue")
s3.create_bucket(Bucket="hand-raw", CreateBucketConfiguration={"LocationConstraint": REGION})
s3.put_object(Bucket="hand-raw", Key="sales/year=2025/a.csv", Body=b"id,price,day\n1,2.5,2025-01-01\n2,3,2025-01-02\n")
s3.put_object(Bucket="hand-raw", Key="sales/year=2026/b.csv", Body=b"id,price,day\n3,4.5,2026-01-01\n4,5,2026-01-02\n")
trust = lambda service: json.dumps(
    {"Version": "2012-10-17",
     "Statement": [{"Effect": "Allow", "Principal": {"Service": service}, "Action": "sts:AssumeRole"}]}
)
role = iam.create_role(RoleName="hand-crawler", AssumeRolePolicyDocument=trust("glue.amazonaws.com"))["Role"]["Arn"]
allow = lambda *actions: json.dumps(
    {"Version": "2012-10-17", "Statement": [{"Effect": "Allow", "Action": list(actions), "Resource": "*"}]}
)
iam.put_role_policy(RoleName="hand-crawler", PolicyName="all", PolicyDocument=allow("s3:*", "glue:*", "logs:*"))
glue.create_database(DatabaseInput={"Name": "hand"})
glue.create_crawler(
    Name="hand", Role=role, DatabaseName="hand", TablePrefix="raw_", Targets={"S3Targets": [{"Path": "s3://hand-raw/sales/"}]}
)
glue.start_crawler(Name="hand")
ready = until("the crawl", lambda: [c for c in [glue.get_crawler(Name="hand")["Crawler"]] if c["State"] == "READY"])[0]
seen["crawl"] = ready["LastCrawl"]["Status"]
table = glue.get_table(DatabaseName="hand", Name="raw_sales")["Table"]
seen["columns"] = [[column["Name"], column["Type"]] for column in table["StorageDescriptor"]["Columns"]]
seen["partition keys"] = [key["Name"] for key in table["PartitionKeys"]]
partitions = glue.get_partitions(DatabaseName="hand", TableName="raw_sales")["Partitions"]
seen["partitions"] = sorted(partition["Values"][0] for partition in partitions)
seen["missing crawler"] = refused(glue.start_crawler, Name="nowhere")

# --- IAM, enforced ---------------------------------------------------------------------------------------------------
iam.create_user(UserName="ann")
key = iam.create_access_key(UserName="ann")["AccessKey"]
as_ann = boto3.session.Session(
    aws_access_key_id=key["AccessKeyId"], aws_secret_access_key=key["SecretAccessKey"], region_name=REGION
)
seen["without a policy"] = [
    refused(as_ann.client("s3").list_objects_v2, Bucket="hand-raw"),
    refused(as_ann.client("glue").get_table, DatabaseName="hand", Name="raw_sales"),
    refused(as_ann.client("sqs").send_message, QueueUrl=queue, MessageBody="x"),
    refused(as_ann.client("sns").publish, TopicArn=topic, Message="x"),
    refused(as_ann.client("events").put_events, Entries=[entry("hand.made")]),
    refused(as_ann.client("cloudwatch").list_metrics),
    refused(as_ann.client("iam").list_roles),
]
iam.put_user_policy(UserName="ann", PolicyName="look", PolicyDocument=allow("s3:ListBucket", "glue:GetTable"))
seen["with a policy"] = [
    refused(as_ann.client("s3").list_objects_v2, Bucket="hand-raw"),
    refused(as_ann.client("glue").get_table, DatabaseName="hand", Name="raw_sales"),
    refused(as_ann.client("s3").get_object, Bucket="hand-raw", Key="sales/year=2025/a.csv"),
]

print(json.dumps(seen))
