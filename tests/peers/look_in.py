"""Lists with boto3 what the cloud at AWS_ENDPOINT_URL has, as one JSON document."""

import json

import boto3

s3 = boto3.client("s3")
buckets = [bucket["Name"] for bucket in s3.list_buckets()["Buckets"]]
objects = [
    item["Key"] for bucket in buckets for item in s3.list_objects_v2(Bucket=bucket).get("Contents", [])
]
functions = [item["FunctionName"] for item in boto3.client("lambda").list_functions()["Functions"]]
roles = [item["RoleName"] for item in boto3.client("iam").list_roles()["Roles"]]
glue = boto3.client("glue")
tables = [
    table["Name"]
    for database in glue.get_databases()["DatabaseList"]
    for table in glue.get_tables(DatabaseName=database["Name"])["TableList"]
]
logs = boto3.client("logs")
# Glue makes a group for all crawlers of the account: it is no lake's, and stays.
groups = [
    group["logGroupName"]
    for group in logs.describe_log_groups()["logGroups"]
    if group["logGroupName"] != "/aws-glue/crawlers"
]
lines = [
    event["message"] for group in groups for event in logs.filter_log_events(logGroupName=group)["events"]
]
account = boto3.client("sts").get_caller_identity()["Account"]
print(
    json.dumps(
        {
            "account": account,
            "buckets": buckets,
            "objects": objects,
            "functions": functions,
            "roles": roles,
            "tables": tables,
            "lines": lines,
        }
    )
)
