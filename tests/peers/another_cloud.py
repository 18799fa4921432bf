"""Looks at, and meddles with, a lake on the cloud at AWS_ENDPOINT_URL: another client than the lake's own.

    another_cloud.py list                    what is there, by kind
    another_cloud.py meddle STACK            changes a resource of each kind; prints the addresses that drift
    another_cloud.py leave STACK             leaves behind what somebody at work might: a file, an open upload, a policy
    another_cloud.py tag STACK               puts crawlers' tags where CreateCrawler has forgotten them
    another_cloud.py untaggable STACK        takes away what the cloud cannot tag, so that nobody can tell whose it is
    another_cloud.py user NAME POLICY        makes an IAM user with the policy in a file; prints an access key
"""

import io
import json
import sys
import zipfile

import boto3


def client(service):
    return boto3.client(service)


def names(answer, members, member):
    return [item[member] for item in answer[members]]


def buckets():
    return names(client("s3").list_buckets(), "Buckets", "Name")


def listing():
    """Everything of the kinds that a lake makes."""
    events = client("events")
    rules = names(events.list_rules(), "Rules", "Name")
    alarms = client("cloudwatch").describe_alarms()["MetricAlarms"]
    glue = client("glue")
    databases = names(glue.get_databases(), "DatabaseList", "Name")
    return {
        "buckets": buckets(),
        "functions": names(client("lambda").list_functions(), "Functions", "FunctionName"),
        "roles": names(client("iam").list_roles(), "Roles", "RoleName"),
        "groups": [
            name
            for name in names(client("logs").describe_log_groups(), "logGroups", "logGroupName")
            if name != "/aws-glue/crawlers"
        ],
        "databases": databases,
        "crawlers": names(glue.get_crawlers(), "Crawlers", "Name"),
        "classifiers": [one["CsvClassifier"]["Name"] for one in glue.get_classifiers()["Classifiers"]],
        "queues": client("sqs").list_queues().get("QueueUrls", []),
        "topics": names(client("sns").list_topics(), "Topics", "TopicArn"),
        "subscriptions": names(client("sns").list_subscriptions(), "Subscriptions", "Endpoint"),
        "rules": rules,
        "alarms": [alarm["AlarmName"] for alarm in alarms],
        "dashboards": names(client("cloudwatch").list_dashboards(), "DashboardEntries", "DashboardName"),
    }


def one(found, part):
    """The name that has this part, between dashes or at the end."""
    matching = [name for name in found if f"-{part}-" in name]
    assert len(matching) == 1, (part, found)
    return matching[0]


def meddle(stack):
    there = {kind: [name for name in found if f"-{stack}-" in name] for kind, found in listing().items()}
    raw = one(there["buckets"], "raw")
    drifted = []

    s3 = client("s3")
    s3.put_bucket_versioning(Bucket=raw, VersioningConfiguration={"Status": "Suspended"})
    drifted.append("aws:s3:BucketVersioning/raw")
    s3.delete_public_access_block(Bucket=raw)
    drifted.append("aws:s3:BucketPublicAccessBlock/raw")
    s3.delete_bucket_lifecycle(Bucket=raw)
    drifted.append("aws:s3:BucketLifecycle/raw")
    s3.put_bucket_notification_configuration(Bucket=raw, NotificationConfiguration={})
    drifted.append("aws:s3:BucketNotification/raw")

    iam = client("iam")
    role = one(there["roles"], "intake")
    iam.delete_role_policy(RoleName=role, PolicyName="intake")
    drifted.append("aws:iam:RolePolicy/intake")
    role = one(there["roles"], "sweep")
    iam.update_role_description(RoleName=role, Description="changed")
    nobody = {"Effect": "Allow", "Action": "sts:AssumeRole", "Principal": {"Service": "ec2.amazonaws.com"}}
    document = json.dumps({"Version": "2012-10-17", "Statement": [nobody]})
    iam.update_assume_role_policy(RoleName=role, PolicyDocument=document)
    drifted.append("aws:iam:Role/sweep")

    functions = client("lambda")
    convert = one(there["functions"], "convert")
    functions.update_function_configuration(FunctionName=convert, Timeout=100)
    drifted.append("aws:lambda:Function/convert")
    package = io.BytesIO()
    with zipfile.ZipFile(package, "w") as archive:
        archive.writestr("bootstrap", "#!/bin/sh\nexit 1\n")
    functions.update_function_code(FunctionName=one(there["functions"], "sweep"), ZipFile=package.getvalue())
    drifted.append("aws:lambda:Function/sweep")
    intake = one(there["functions"], "intake")
    functions.remove_permission(FunctionName=intake, StatementId="lake-raw-bucket")
    drifted.append("aws:lambda:Permission/intake")
    functions.put_function_event_invoke_config(FunctionName=intake, MaximumRetryAttempts=0)
    drifted.append("aws:lambda:EventInvokeConfig/intake")

    group = one(there["groups"], "convert")
    client("logs").put_retention_policy(logGroupName=group, retentionInDays=7)
    drifted.append("aws:logs:LogGroup/convert")

    glue = client("glue")
    glue.update_crawler(Name=one(there["crawlers"], "orders"), Description="changed")
    drifted.append("aws:glue:Crawler/orders")

    database = [name for name in listing()["databases"] if f"_{stack}_" in name][0]
    glue.update_database(Name=database, DatabaseInput={"Name": database, "Description": "changed"})
    drifted.append("aws:glue:Database/lake")

    queue = client("sqs")
    queue.set_queue_attributes(QueueUrl=one(there["queues"], "dead-letters"), Attributes={"VisibilityTimeout": "30"})
    drifted.append("aws:sqs:Queue/dead-letters")

    topic = one(there["topics"], "alerts")
    client("sns").set_topic_attributes(TopicArn=topic, AttributeName="DisplayName", AttributeValue="changed")
    drifted.append("aws:sns:Topic/alerts")

    events = client("events")
    events.put_rule(Name=one(there["rules"], "job-succeeded"), EventPattern='{"source": ["somebody"]}')
    drifted.append("aws:events:Rule/job-succeeded")
    events.remove_targets(Rule=one(there["rules"], "job-failed"), Ids=["job-failed"])
    drifted.append("aws:events:Target/job-failed")

    client("cloudwatch").delete_alarms(AlarmNames=[one(there["alarms"], "dead-letters")])
    drifted.append("aws:cloudwatch:Alarm/dead-letters")
    return sorted(drifted)


def leave(stack):
    there = {kind: [name for name in found if f"-{stack}-" in name] for kind, found in listing().items()}
    raw = one(there["buckets"], "raw")
    s3 = client("s3")
    # Of no dataset: a function that still runs when its log group goes would have ministack make the group again.
    s3.put_object(Bucket=raw, Key="left/left.csv", Body=b"id\n1\n")
    s3.delete_object(Bucket=raw, Key="left/left.csv")
    s3.create_multipart_upload(Bucket=raw, Key="orders/open.csv")
    nothing = {"Effect": "Deny", "Action": "s3:*", "Resource": "*"}
    document = json.dumps({"Version": "2012-10-17", "Statement": [nothing]})
    iam = client("iam")
    role = one(there["roles"], "sweep")
    iam.put_role_policy(RoleName=role, PolicyName="somebodys", PolicyDocument=document)
    policy = iam.create_policy(PolicyName=f"somebodys-{stack}", PolicyDocument=document)["Policy"]["Arn"]
    iam.attach_role_policy(RoleName=role, PolicyArn=policy)
    events = client("events")
    queue = client("sqs").get_queue_attributes(
        QueueUrl=one(there["queues"], "dead-letters"), AttributeNames=["QueueArn"]
    )["Attributes"]["QueueArn"]
    events.put_targets(Rule=one(there["rules"], "job-failed"), Targets=[{"Id": "somebodys", "Arn": queue}])
    return None


def tag(stack):
    glue = client("glue")
    place = f"{glue.meta.region_name}:{client('sts').get_caller_identity()['Account']}"
    tagged = []
    for crawler in glue.get_crawlers()["Crawlers"]:
        name = crawler["Name"]
        if f"-{stack}-" not in name:
            continue
        # A database is tagged as it should be; the address is all that differs.
        tags = glue.get_tags(ResourceArn=f"arn:aws:glue:{place}:database/{crawler['DatabaseName']}")["Tags"]
        tags["lake:address"] = f"aws:glue:Crawler/{name.rsplit('-', 2)[1]}"
        glue.tag_resource(ResourceArn=f"arn:aws:glue:{place}:crawler/{name}", TagsToAdd=tags)
        tagged.append(name)
    return tagged


def untaggable(stack):
    cloudwatch = client("cloudwatch")
    found = names(cloudwatch.list_dashboards(), "DashboardEntries", "DashboardName")
    found = [name for name in found if f"-{stack}-" in name]
    cloudwatch.delete_dashboards(DashboardNames=found)
    return found


def user(name, policy):
    iam = client("iam")
    iam.create_user(UserName=name)
    with open(policy, encoding="utf-8") as file:
        arn = iam.create_policy(PolicyName=name, PolicyDocument=file.read())["Policy"]["Arn"]
    iam.attach_user_policy(UserName=name, PolicyArn=arn)
    key = iam.create_access_key(UserName=name)["AccessKey"]
    return [key["AccessKeyId"], key["SecretAccessKey"]]


if __name__ == "__main__":
    command, *arguments = sys.argv[1:]
    known = {
        "list": listing,
        "meddle": meddle,
        "leave": leave,
        "tag": tag,
        "untaggable": untaggable,
        "user": user,
    }
    print(json.dumps(known[command](*arguments)))
