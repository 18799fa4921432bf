"""Calls the cloud at AWS_ENDPOINT_URL as the lake does and holds each raw answer against botocore's service models.

Every member of an answer must be in the operation's output shape, of its type, with the enum values that are declared
and timestamps in the protocol's format; required members must be there. The code of every error must be one that the
operation declares or one that is common to all operations. Prints one JSON document: how many answers were looked at,
what is wrong with them, and which operations are not there.
"""

import base64
import datetime
import io
import json
import re
import sys
import time
import xml.etree.ElementTree as ET
import zipfile

import boto3
import botocore.model
import botocore.parsers
import botocore.utils
from botocore.config import Config
from botocore.exceptions import ClientError

# https://docs.aws.amazon.com/IAM/latest/APIReference/CommonErrors.html and its likes of the other services.
COMMON = {
    "AccessDenied", "AccessDeniedException", "AuthFailure", "ExpiredToken", "ExpiredTokenException",
    "IncompleteSignature", "InternalFailure", "InternalServerError", "InvalidAction", "InvalidClientTokenId",
    "InvalidSignatureException", "MissingAction", "OptInRequired", "RequestExpired", "SerializationException",
    "ServiceUnavailable", "SignatureDoesNotMatch", "Throttling", "ThrottlingException",
    "UnrecognizedClientException", "ValidationError", "ValidationException",
}
# S3's model declares next to none of its errors: https://docs.aws.amazon.com/AmazonS3/latest/API/ErrorResponses.html
S3 = {
    "BadDigest", "BucketAlreadyOwnedByYou", "BucketNotEmpty", "EntityTooLarge", "EntityTooSmall", "InvalidArgument",
    "InvalidBucketName", "InvalidPart", "InvalidPartOrder", "InvalidRange", "InvalidRequest", "MalformedXML",
    "MethodNotAllowed", "NoSuchBucket", "NoSuchBucketPolicy", "NoSuchKey", "NoSuchLifecycleConfiguration",
    "NoSuchPublicAccessBlockConfiguration", "NoSuchTagSet", "NoSuchUpload", "NoSuchVersion", "PreconditionFailed",
    "ServerSideEncryptionConfigurationNotFoundError", "304", "400", "403", "404", "405", "412",
}
# Where AWS itself does not keep to its model.
EXCEPTIONS = {
    ("iam.GetUser", "/User/UserName"): "the account's root user has no name",
}
ABSENT = {"UnknownOperationException", "InvalidAction", "NotImplemented", "UnknownOperation"}
ISO = re.compile(r"^\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d(\.\d+)?(Z|[+-]\d\d:?\d\d)$")
HTTP_DATE = re.compile(r"^\w{3}, \d\d \w{3} \d{4} \d\d:\d\d:\d\d GMT$")

complaints, absent, seen = [], [], {}


class Answer:
    """One answer on its way through the model."""

    def __init__(self, operation, protocol, response):
        self.operation, self.protocol, self.response = operation, protocol, response
        self.title = f"{operation.service_model.service_name}.{operation.name} ({protocol})"

    def complain(self, path, what):
        if (self.title.split()[0], path) in EXCEPTIONS:
            return
        complaints.append(f"{self.title} {path or '/'}: {what}")

    def check(self):
        if self.response["status_code"] >= 300 and self.response["status_code"] != 304:
            return
        output = self.operation.output_shape
        if output is None:
            return
        for name, member in output.members.items():
            if "location" in member.serialization:
                self.header(name, member)
        body = self.response["body"]
        if self.operation.has_streaming_output or not isinstance(body, (bytes, str)):
            return
        payload = output.serialization.get("payload")
        shape = output.members[payload] if payload else output
        if shape.type_name in ("blob", "string"):
            return
        if self.protocol in ("query", "rest-xml"):
            self.xml_body(shape, body)
        elif self.protocol == "smithy-rpc-v2-cbor":
            parser = botocore.parsers.create_parser("smithy-rpc-v2-cbor")
            document = parser.parse_data_item(io.BufferedReader(io.BytesIO(body))) if body else {}
            self.walk(shape, document, "")
        else:
            document = json.loads(body) if body.strip() else {}
            self.walk(shape, document, "")

    def header(self, name, shape):
        if shape.serialization["location"] != "header":
            return
        value = self.response["headers"].get(shape.serialization.get("name", name))
        if value is None:
            if name in self.operation.output_shape.required_members:
                self.complain(f"/{name}", "the required header is not there")
        else:
            self.text(shape, value, f"/{name}", "rfc822")

    # --- documents: JSON and CBOR ---

    def walk(self, shape, value, path):
        if value is None:
            # A member that is null is one that is not there.
            return
        kind = shape.type_name
        expected = {"structure": dict, "map": dict, "list": list, "boolean": bool, "string": str}.get(kind)
        if expected and not isinstance(value, expected):
            return self.complain(path, f"{kind} expected: {value!r}")
        if kind == "structure":
            self.structure(shape, value, path)
        elif kind == "map":
            for key, item in value.items():
                self.enum(shape.key, key, path)
                self.walk(shape.value, item, f"{path}/{key}")
        elif kind == "list":
            for place, item in enumerate(value):
                self.walk(shape.member, item, f"{path}/{place}")
        elif kind == "string":
            self.enum(shape, value, path)
        elif kind in ("integer", "long"):
            if not isinstance(value, int) or isinstance(value, bool):
                self.complain(path, f"{kind} expected: {value!r}")
        elif kind in ("float", "double"):
            if not isinstance(value, (int, float)) or isinstance(value, bool):
                self.complain(path, f"{kind} expected: {value!r}")
        elif kind == "timestamp":
            self.timestamp(shape, value, path)
        elif kind == "blob" and self.protocol != "smithy-rpc-v2-cbor":
            try:
                base64.b64decode(value, validate=True)
            except (TypeError, ValueError):
                self.complain(path, f"base 64 expected: {value!r}")

    def structure(self, shape, value, path):
        members = {m.serialization.get("name", n): (n, m) for n, m in shape.members.items() if "location" not in m.serialization}
        for key, item in value.items():
            if key in members:
                self.walk(members[key][1], item, f"{path}/{key}")
            elif key != "__type":
                self.complain(f"{path}/{key}", f"not a member of {shape.name}")
        for key, (name, _) in members.items():
            if name in shape.required_members and value.get(key) is None:
                self.complain(f"{path}/{key}", f"the required member of {shape.name} is not there")

    def timestamp(self, shape, value, path):
        style = shape.serialization.get("timestampFormat", "unixTimestamp")
        if self.protocol == "smithy-rpc-v2-cbor":
            right = isinstance(value, datetime.datetime)
        elif style == "iso8601":
            right = isinstance(value, str) and ISO.match(value)
        else:
            right = isinstance(value, (int, float)) and not isinstance(value, bool)
        # Seconds, not milliseconds: before the year 5000.
        if not right or (isinstance(value, (int, float)) and value > 1e11):
            self.complain(path, f"timestamp ({style}) expected: {value!r}")

    def enum(self, shape, value, path):
        values = getattr(shape, "enum", None)
        if values and value not in values:
            self.complain(path, f"{value!r} is none of {shape.name}: {values}")

    # --- XML ---

    def xml_body(self, shape, body):
        if not body:
            return
        root = ET.fromstring(body)
        if self.protocol == "query":
            result = shape.serialization.get("resultWrapper")
            if plain(root) != f"{self.operation.name}Response":
                self.complain("", f"{plain(root)} is not {self.operation.name}Response")
            root = next((child for child in root if plain(child) == result), None) if result else root
            if root is None:
                return self.complain("", f"there is no {result}")
        self.element(shape, root, "")

    def element(self, shape, element, path):
        kind = shape.type_name
        if kind == "structure":
            self.xml_structure(shape, element, path)
        elif kind == "list":
            name = shape.member.serialization.get("name", "member")
            for child in element:
                if plain(child) == name:
                    self.element(shape.member, child, f"{path}/{name}")
                else:
                    self.complain(f"{path}/{plain(child)}", f"{name} expected")
        elif kind == "map":
            for entry in element:
                parts = {plain(child): child for child in entry}
                names = (shape.key.serialization.get("name", "key"), shape.value.serialization.get("name", "value"))
                if set(parts) != set(names):
                    self.complain(path, f"entry of {names} expected: {sorted(parts)}")
        else:
            self.text(shape, element.text or "", path, "iso8601")

    def xml_structure(self, shape, element, path):
        members = {}
        for name, member in shape.members.items():
            if "location" in member.serialization or member.serialization.get("xmlAttribute"):
                continue
            key = member.serialization.get("name", name)
            if member.type_name == "list" and member.serialization.get("flattened"):
                key = member.member.serialization.get("name", key)
            members[key] = (name, member)
        there = set()
        for child in element:
            key = plain(child)
            if key not in members:
                if key not in ("ResponseMetadata", "requestId"):
                    self.complain(f"{path}/{key}", f"not a member of {shape.name}")
                continue
            name, member = members[key]
            there.add(name)
            if member.type_name == "list" and member.serialization.get("flattened"):
                self.element(member.member, child, f"{path}/{key}")
            else:
                self.element(member, child, f"{path}/{key}")
        for name, member in members.values():
            # An empty flattened list leaves nothing.
            if name in shape.required_members and name not in there and not member.serialization.get("flattened"):
                self.complain(f"{path}/{name}", f"the required member of {shape.name} is not there")

    def text(self, shape, value, path, default):
        kind = shape.type_name
        if kind in ("integer", "long"):
            right = re.fullmatch(r"-?\d+", value)
        elif kind in ("float", "double"):
            right = re.fullmatch(r"-?\d+(\.\d+)?([eE]-?\d+)?", value)
        elif kind == "boolean":
            right = value in ("true", "false")
        elif kind == "timestamp":
            style = shape.serialization.get("timestampFormat", default)
            right = (HTTP_DATE if style == "rfc822" else ISO).match(value) or (style == "unixTimestamp" and value.isdigit())
        else:
            if kind == "string" and value:
                self.enum(shape, value, path)
            right = True
        if not right:
            self.complain(path, f"{kind} expected: {value!r}")


def plain(element):
    """The element's name without its namespace."""
    return element.tag.rpartition("}")[2]


def declared(operation):
    names = set()
    for shape in operation.error_shapes:
        names |= {shape.name, shape.metadata.get("error", {}).get("code", shape.name)}
    return names


class Peer:
    """A client whose answers are looked at."""

    def __init__(self, service, protocol=None):
        # The bucket stands in the path: its name does not resolve.
        config = Config(retries={"total_max_attempts": 1}, s3={"addressing_style": "path"})
        order = botocore.model.PRIORITY_ORDERED_SUPPORTED_PROTOCOLS
        if protocol:
            botocore.model.PRIORITY_ORDERED_SUPPORTED_PROTOCOLS = (protocol,)
        try:
            self.client = boto3.session.Session().client(service, config=config)
            self.protocol = self.client.meta.service_model.resolved_protocol
        finally:
            botocore.model.PRIORITY_ORDERED_SUPPORTED_PROTOCOLS = order
        self.client.meta.events.register("response-received", self.received)

    def received(self, response_dict, parsed_response, **_):
        if response_dict is None:
            return
        operation = self.client.meta.service_model.operation_model(response_dict["context"]["operation_name"])
        answer = Answer(operation, self.protocol, response_dict)
        seen[answer.title] = seen.get(answer.title, 0) + 1
        try:
            answer.check()
        except Exception as error:  # what cannot be read at all is a complaint as well
            answer.complain("", f"{type(error).__name__}: {error}")
        error = (parsed_response or {}).get("Error") if response_dict["status_code"] >= 300 else None
        if not error:
            return
        code = error.get("Code", "")
        if "awsQueryCompatible" in self.client.meta.service_model.metadata and answer.protocol == "json":
            # boto3 gives the code that the query protocol had, from a header; the model knows the error by its shape.
            code = json.loads(response_dict["body"])["__type"].rpartition("#")[2]
        if code in ABSENT:
            absent.append(answer.title)
        elif code not in declared(operation) | COMMON | (S3 if answer.protocol == "rest-xml" else set()):
            answer.complain("", f"the error {code!r} is not declared: {error.get('Message')}")

    def __call__(self, method, **arguments):
        """The parsed answer, or nothing where there is an error; that was looked at on its way."""
        try:
            return getattr(self.client, method)(**arguments)
        except ClientError:
            return {}
        except Exception as error:
            complaints.append(f"{method}: boto3 cannot read the answer: {type(error).__name__}: {error}")
            return {}


TRUST = json.dumps({"Version": "2012-10-17", "Statement": [{
    "Effect": "Allow", "Action": "sts:AssumeRole",
    "Principal": {"Service": ["lambda.amazonaws.com", "glue.amazonaws.com"], "AWS": "*"},
}]})
READ = json.dumps({"Version": "2012-10-17", "Statement": [
    {"Effect": "Allow", "Action": "s3:GetObject", "Resource": "arn:aws:s3:::models-check/*"},
]})


def s3():
    call, bucket = Peer("s3"), "models-check"
    region = call.client.meta.region_name
    call("head_bucket", Bucket="models-none")
    call("list_objects_v2", Bucket="models-none")
    place = {} if region == "us-east-1" else {"CreateBucketConfiguration": {"LocationConstraint": region}}
    call("create_bucket", Bucket=bucket, **place)
    for method in ["head_bucket", "get_bucket_location", "get_bucket_tagging", "get_bucket_policy",
                   "get_public_access_block", "get_bucket_encryption", "get_bucket_lifecycle_configuration",
                   "get_bucket_versioning", "get_bucket_notification_configuration"]:
        call(method, Bucket=bucket)
    call("put_bucket_versioning", Bucket=bucket, VersioningConfiguration={"Status": "Enabled"})
    call("put_bucket_tagging", Bucket=bucket, Tagging={"TagSet": [{"Key": "stack", "Value": "models"}]})
    access = ["BlockPublicAcls", "IgnorePublicAcls", "BlockPublicPolicy", "RestrictPublicBuckets"]
    call("put_public_access_block", Bucket=bucket, PublicAccessBlockConfiguration=dict.fromkeys(access, True))
    call("put_bucket_lifecycle_configuration", Bucket=bucket, LifecycleConfiguration={"Rules": [{
        "ID": "uploads", "Status": "Enabled", "Filter": {"Prefix": ""},
        "AbortIncompleteMultipartUpload": {"DaysAfterInitiation": 1},
    }]})
    policy = {"Version": "2012-10-17", "Statement": [{
        "Effect": "Deny", "Principal": "*", "Action": "s3:*", "Resource": f"arn:aws:s3:::{bucket}/never",
        "Condition": {"Bool": {"aws:SecureTransport": "false"}},
    }]}
    call("put_bucket_policy", Bucket=bucket, Policy=json.dumps(policy))
    call("put_bucket_notification_configuration", Bucket=bucket, NotificationConfiguration={})
    for method in ["get_bucket_tagging", "get_bucket_policy", "get_public_access_block", "get_bucket_versioning",
                   "get_bucket_lifecycle_configuration", "get_bucket_notification_configuration"]:
        call(method, Bucket=bucket)
    call("put_object", Bucket=bucket, Key="a/1", Body=b"one", Metadata={"k": "v"})
    call("put_object", Bucket=bucket, Key="a/1", Body=b"two", IfNoneMatch="*")
    call("put_object", Bucket=bucket, Key="b", Body=b"two")
    for method in ["get_object", "head_object", "get_object_tagging"]:
        call(method, Bucket=bucket, Key="a/1")
        call(method, Bucket=bucket, Key="none")
    call("copy_object", Bucket=bucket, Key="c", CopySource={"Bucket": bucket, "Key": "a/1"})
    call("list_buckets")
    call("list_objects_v2", Bucket=bucket, Delimiter="/", MaxKeys=1)
    call("list_object_versions", Bucket=bucket)
    upload = call("create_multipart_upload", Bucket=bucket, Key="big").get("UploadId", "none")
    part = call("upload_part", Bucket=bucket, Key="big", UploadId=upload, PartNumber=1, Body=b"x" * 1024)
    call("list_multipart_uploads", Bucket=bucket)
    call("list_parts", Bucket=bucket, Key="big", UploadId=upload)
    parts = {"Parts": [{"ETag": part.get("ETag", ""), "PartNumber": 1}]}
    call("complete_multipart_upload", Bucket=bucket, Key="big", UploadId=upload, MultipartUpload=parts)
    call("abort_multipart_upload", Bucket=bucket, Key="big", UploadId="none")
    call("delete_object", Bucket=bucket, Key="b")
    call("delete_bucket", Bucket=bucket)
    versions = call("list_object_versions", Bucket=bucket)
    entries = versions.get("Versions", []) + versions.get("DeleteMarkers", [])
    gone = [{"Key": entry["Key"], "VersionId": entry["VersionId"]} for entry in entries]
    call("delete_objects", Bucket=bucket, Delete={"Objects": gone})
    call("delete_bucket", Bucket=bucket)


def iam():
    call, sts, role = Peer("iam"), Peer("sts"), "models-check"
    sts("get_caller_identity")
    call("get_role", RoleName="none")
    arn = call("create_role", RoleName=role, AssumeRolePolicyDocument=TRUST, Tags=[{"Key": "k", "Value": "v"}])
    arn = arn.get("Role", {}).get("Arn", "arn:aws:iam::000000000000:role/models-check")
    call("create_role", RoleName=role, AssumeRolePolicyDocument=TRUST)
    call("put_role_policy", RoleName=role, PolicyName="read", PolicyDocument=READ)
    call("put_role_policy", RoleName=role, PolicyName="broken", PolicyDocument="{")
    call("get_role", RoleName=role)
    call("get_role_policy", RoleName=role, PolicyName="read")
    call("get_role_policy", RoleName=role, PolicyName="none")
    call("update_role", RoleName=role, MaxSessionDuration=3600)
    call("update_assume_role_policy", RoleName=role, PolicyDocument=TRUST)
    call("tag_role", RoleName=role, Tags=[{"Key": "l", "Value": "w"}])
    call("untag_role", RoleName=role, TagKeys=["l"])
    for method in ["list_role_policies", "list_attached_role_policies", "list_role_tags",
                   "list_instance_profiles_for_role"]:
        call(method, RoleName=role)
    call("list_roles")
    call("get_user")
    sts("assume_role", RoleArn=arn, RoleSessionName="models")
    sts("assume_role", RoleArn=arn + "-none", RoleSessionName="models")
    return arn


def end_iam():
    call = Peer("iam")
    call("delete_role", RoleName="models-check")
    call("delete_role_policy", RoleName="models-check", PolicyName="read")
    call("delete_role", RoleName="models-check")
    call("delete_role", RoleName="models-check")


def glue(role):
    call, db = Peer("glue"), "models_check"
    storage = {
        "Columns": [{"Name": "a", "Type": "string"}], "Location": "s3://models-check/a/",
        "SerdeInfo": {"SerializationLibrary": "org.apache.hadoop.hive.ql.io.parquet.serde.ParquetHiveSerDe"},
    }
    table = {"Name": "t", "StorageDescriptor": storage, "PartitionKeys": [{"Name": "year", "Type": "int"}],
             "TableType": "EXTERNAL_TABLE", "Parameters": {"classification": "parquet"}}
    of_table = {"DatabaseName": db, "TableName": "t"}
    call("get_database", Name="none")
    call("create_database", DatabaseInput={"Name": db}, Tags={"k": "v"})
    call("create_database", DatabaseInput={"Name": db})
    call("get_database", Name=db)
    call("get_databases")
    call("update_database", Name=db, DatabaseInput={"Name": db, "Description": "models"})
    call("create_table", DatabaseName=db, TableInput=table)
    call("get_table", DatabaseName=db, Name="t")
    call("get_table", DatabaseName=db, Name="none")
    call("get_tables", DatabaseName=db)
    call("update_table", DatabaseName=db, TableInput={**table, "Description": "again"})
    call("get_table_versions", **of_table)
    call("get_table_version", **of_table)
    partition = {"Values": ["2026"], "StorageDescriptor": storage}
    call("create_partition", **of_table, PartitionInput=partition)
    call("create_partition", **of_table, PartitionInput=partition)
    call("batch_create_partition", **of_table, PartitionInputList=[partition, {**partition, "Values": ["2027"]}])
    call("get_partition", **of_table, PartitionValues=["2026"])
    call("get_partitions", **of_table, Expression="year > 2025")
    call("batch_get_partition", **of_table, PartitionsToGet=[{"Values": ["2026"]}, {"Values": ["1"]}])
    call("update_partition", **of_table, PartitionValueList=["2026"], PartitionInput=partition)
    call("batch_delete_partition", **of_table, PartitionsToDelete=[{"Values": ["2026"]}, {"Values": ["1"]}])
    region, account = call.client.meta.region_name, role.split(":")[4]
    arn = f"arn:aws:glue:{region}:{account}:database/{db}"
    call("tag_resource", ResourceArn=arn, TagsToAdd={"l": "w"})
    call("get_tags", ResourceArn=arn)
    call("untag_resource", ResourceArn=arn, TagsToRemove=["l"])
    crawler = {"Name": "models-check", "Role": role, "DatabaseName": db,
               "Targets": {"S3Targets": [{"Path": "s3://models-check/a/"}]}}
    call("get_crawler", Name="none")
    call("create_crawler", **crawler, Tags={"k": "v"})
    call("create_crawler", **crawler)
    call("update_crawler", **{**crawler, "Description": "models"})
    call("get_crawler", Name="models-check")
    call("get_crawlers")
    call("list_crawlers")
    call("start_crawler", Name="models-check")
    call("stop_crawler", Name="models-check")
    call("get_crawler_metrics")
    for _ in range(100):
        if call("get_crawler", Name="models-check").get("Crawler", {}).get("State", "READY") == "READY":
            break
        time.sleep(0.1)
    call("list_crawls", CrawlerName="models-check")
    call("delete_crawler", Name="models-check")
    call("delete_crawler", Name="models-check")
    call("delete_table", DatabaseName=db, Name="t")
    call("delete_table", DatabaseName=db, Name="t")
    call("delete_database", Name=db)
    call("delete_database", Name=db)


def zipped():
    packed = io.BytesIO()
    with zipfile.ZipFile(packed, "w") as package:
        entry = zipfile.ZipInfo("bootstrap")
        entry.external_attr = 0o100755 << 16
        package.writestr(entry, "#!/bin/sh\nexit 1\n")
    return packed.getvalue()


def function(role):
    """A function that fails at once; it stays for those who send to it."""
    call, name = Peer("lambda"), "models-check"
    call("get_function", FunctionName=name)
    made = call("create_function", FunctionName=name, Role=role, Runtime="provided.al2023", Handler="bootstrap",
                Code={"ZipFile": zipped()}, Tags={"k": "v"}, Environment={"Variables": {"A": "b"}}, Timeout=3)
    call("create_function", FunctionName=name, Role=role, Runtime="provided.al2023", Handler="bootstrap",
         Code={"ZipFile": zipped()})
    call("get_function", FunctionName=name)
    call("get_function_configuration", FunctionName=name)
    call("list_functions")
    call("update_function_configuration", FunctionName=name, Description="models")
    call("update_function_code", FunctionName=name, ZipFile=zipped())
    permission = {"StatementId": "s3", "Action": "lambda:InvokeFunction", "Principal": "s3.amazonaws.com"}
    call("get_policy", FunctionName=name)
    call("add_permission", FunctionName=name, **permission)
    call("add_permission", FunctionName=name, **permission)
    call("get_policy", FunctionName=name)
    call("remove_permission", FunctionName=name, StatementId="s3")
    call("remove_permission", FunctionName=name, StatementId="s3")
    call("get_function_event_invoke_config", FunctionName=name)
    call("put_function_event_invoke_config", FunctionName=name, MaximumRetryAttempts=0)
    call("get_function_event_invoke_config", FunctionName=name)
    call("list_function_event_invoke_configs", FunctionName=name)
    call("delete_function_event_invoke_config", FunctionName=name)
    call("invoke", FunctionName=name, Payload=b"{}", LogType="Tail")
    call("invoke", FunctionName=name, Payload=b"{}", InvocationType="Event")
    call("invoke", FunctionName="none", Payload=b"{}")
    call("get_account_settings")
    arn = made.get("FunctionArn", "arn:aws:lambda:eu-west-1:000000000000:function:models-check")
    call("list_tags", Resource=arn)
    call("tag_resource", Resource=arn, Tags={"l": "w"})
    call("untag_resource", Resource=arn, TagKeys=["l"])
    return arn


def end_function():
    call = Peer("lambda")
    call("delete_function", FunctionName="models-check")
    call("delete_function", FunctionName="models-check")


def logs():
    call, group = Peer("logs"), "/models/check"
    call("describe_log_streams", logGroupName=group)
    call("create_log_group", logGroupName=group, tags={"k": "v"})
    call("create_log_group", logGroupName=group)
    call("put_retention_policy", logGroupName=group, retentionInDays=7)
    found = call("describe_log_groups", logGroupNamePrefix=group).get("logGroups", [{}])[0]
    call("list_tags_for_resource", resourceArn=found.get("logGroupArn") or found.get("arn", "none").removesuffix(":*"))
    call("create_log_stream", logGroupName=group, logStreamName="s")
    call("create_log_stream", logGroupName=group, logStreamName="s")
    now = int(time.time() * 1000)
    events = [{"timestamp": now, "message": "one"}]
    call("put_log_events", logGroupName=group, logStreamName="s", logEvents=events)
    call("put_log_events", logGroupName=group, logStreamName="none", logEvents=events)
    call("describe_log_streams", logGroupName=group)
    call("get_log_events", logGroupName=group, logStreamName="s")
    call("filter_log_events", logGroupName=group)
    call("delete_retention_policy", logGroupName=group)
    call("delete_log_stream", logGroupName=group, logStreamName="s")
    call("delete_log_group", logGroupName=group)
    call("delete_log_group", logGroupName=group)


def monitoring(protocol, topic):
    call, now = Peer("cloudwatch", protocol), datetime.datetime.now(datetime.timezone.utc)
    data = [{"MetricName": "Rows", "Value": 1.5, "Unit": "Count", "Dimensions": [{"Name": "d", "Value": "v"}]}]
    call("put_metric_data", Namespace="models", MetricData=data)
    call("put_metric_data", Namespace="models", MetricData=[{"MetricName": "Rows"}])
    call("put_metric_data", Namespace="models", MetricData=[{**data[0], "Values": [1.0]}])
    call("list_metrics", Namespace="models")
    span = {"StartTime": now - datetime.timedelta(hours=1), "EndTime": now + datetime.timedelta(minutes=1)}
    metric = {"Namespace": "models", "MetricName": "Rows", "Dimensions": data[0]["Dimensions"]}
    call("get_metric_statistics", **metric, **span, Period=60, Statistics=["Sum", "Average"])
    call("get_metric_statistics", **metric, **span, Period=7, Statistics=["Sum"])
    query = {"Id": "m1", "MetricStat": {"Metric": metric, "Period": 60, "Stat": "Sum"}}
    call("get_metric_data", MetricDataQueries=[query], **span)
    call("get_metric_data", MetricDataQueries=[query], **span, NextToken="none")
    alarm = {**metric, "AlarmName": "models", "AlarmDescription": "check", "Statistic": "Sum", "Period": 60,
             "EvaluationPeriods": 1, "DatapointsToAlarm": 1, "Threshold": 1.0, "TreatMissingData": "notBreaching",
             "ComparisonOperator": "GreaterThanThreshold", "AlarmActions": [topic]}
    call("put_metric_alarm", **alarm, Tags=[{"Key": "k", "Value": "v"}])
    call("put_metric_alarm", **{**alarm, "Period": 7})
    call("set_alarm_state", AlarmName="models", StateValue="ALARM", StateReason="check", StateReasonData="{}")
    call("set_alarm_state", AlarmName="none", StateValue="ALARM", StateReason="check")
    found = call("describe_alarms").get("MetricAlarms", [{}])[0]
    call("describe_alarms", NextToken="none")
    call("describe_alarms_for_metric", **metric)
    call("describe_alarm_history", AlarmName="models")
    call("disable_alarm_actions", AlarmNames=["models"])
    call("enable_alarm_actions", AlarmNames=["models"])
    arn = found.get("AlarmArn", "none")
    call("tag_resource", ResourceARN=arn, Tags=[{"Key": "l", "Value": "w"}])
    call("list_tags_for_resource", ResourceARN=arn)
    call("untag_resource", ResourceARN=arn, TagKeys=["l"])
    call("delete_alarms", AlarmNames=["models"])
    call("delete_alarms", AlarmNames=["models"])
    call("list_tags_for_resource", ResourceARN=arn)
    body = json.dumps({"widgets": [{"type": "text", "properties": {"markdown": "models"}}]})
    call("put_dashboard", DashboardName="models", DashboardBody=body)
    call("put_dashboard", DashboardName="models", DashboardBody="{}")
    call("get_dashboard", DashboardName="models")
    call("list_dashboards")
    call("delete_dashboards", DashboardNames=["models"])
    call("delete_dashboards", DashboardNames=["models"])
    call("get_dashboard", DashboardName="models")


def queue():
    call, name = Peer("sqs"), "models-check"
    call("get_queue_url", QueueName=name)
    url = call("create_queue", QueueName=name, Attributes={"VisibilityTimeout": "30"}, tags={"k": "v"}).get("QueueUrl")
    url = url or "http://127.0.0.1/000000000000/models-check"
    call("create_queue", QueueName=name, Attributes={"VisibilityTimeout": "31"})
    call("get_queue_url", QueueName=name)
    call("list_queues", QueueNamePrefix="models")
    call("set_queue_attributes", QueueUrl=url, Attributes={"MessageRetentionPeriod": "3600"})
    attributes = call("get_queue_attributes", QueueUrl=url, AttributeNames=["All"]).get("Attributes", {})
    call("list_queue_tags", QueueUrl=url)
    call("tag_queue", QueueUrl=url, Tags={"l": "w"})
    call("untag_queue", QueueUrl=url, TagKeys=["l"])
    call("send_message", QueueUrl=url, MessageBody="one",
         MessageAttributes={"a": {"DataType": "String", "StringValue": "b"}})
    call("send_message_batch", QueueUrl=url, Entries=[{"Id": "1", "MessageBody": "two"}])
    got = call("receive_message", QueueUrl=url, AttributeNames=["All"], MessageAttributeNames=["All"],
               MaxNumberOfMessages=10)
    for message in got.get("Messages", []):
        call("change_message_visibility", QueueUrl=url, ReceiptHandle=message["ReceiptHandle"], VisibilityTimeout=10)
        call("delete_message", QueueUrl=url, ReceiptHandle=message["ReceiptHandle"])
    call("delete_message", QueueUrl=url, ReceiptHandle="none")
    call("delete_message_batch", QueueUrl=url, Entries=[{"Id": "1", "ReceiptHandle": "none"}])
    call("list_dead_letter_source_queues", QueueUrl=url)
    call("purge_queue", QueueUrl=url)
    call("receive_message", QueueUrl=url + "-none")
    return url, attributes.get("QueueArn", "arn:aws:sqs:eu-west-1:000000000000:models-check")


def end_queue(url):
    call = Peer("sqs")
    call("delete_queue", QueueUrl=url)
    call("delete_queue", QueueUrl=url)


def topic(queue_arn):
    call = Peer("sns")
    arn = call("create_topic", Name="models-check", Tags=[{"Key": "k", "Value": "v"}]).get("TopicArn")
    arn = arn or "arn:aws:sns:eu-west-1:000000000000:models-check"
    call("create_topic", Name="models check")
    call("get_topic_attributes", TopicArn=arn)
    call("get_topic_attributes", TopicArn=arn + "-none")
    call("set_topic_attributes", TopicArn=arn, AttributeName="DisplayName", AttributeValue="models")
    call("set_topic_attributes", TopicArn=arn, AttributeName="Nothing", AttributeValue="")
    call("list_topics")
    subscription = call("subscribe", TopicArn=arn, Protocol="sqs", Endpoint=queue_arn, ReturnSubscriptionArn=True)
    subscription = subscription.get("SubscriptionArn", arn + ":none")
    call("subscribe", TopicArn=arn, Protocol="email", Endpoint="someone@example.org")
    call("subscribe", TopicArn=arn, Protocol="pigeon", Endpoint="x")
    call("get_subscription_attributes", SubscriptionArn=subscription)
    call("set_subscription_attributes", SubscriptionArn=subscription, AttributeName="RawMessageDelivery",
         AttributeValue="true")
    call("list_subscriptions")
    call("list_subscriptions_by_topic", TopicArn=arn)
    call("publish", TopicArn=arn, Message="one", Subject="models",
         MessageAttributes={"a": {"DataType": "String", "StringValue": "b"}})
    call("publish", TopicArn=arn + "-none", Message="one")
    call("publish_batch", TopicArn=arn, PublishBatchRequestEntries=[{"Id": "1", "Message": "two"}])
    call("confirm_subscription", TopicArn=arn, Token="none")
    call("list_tags_for_resource", ResourceArn=arn)
    call("tag_resource", ResourceArn=arn, Tags=[{"Key": "l", "Value": "w"}])
    call("untag_resource", ResourceArn=arn, TagKeys=["l"])
    call("unsubscribe", SubscriptionArn=subscription)
    return arn


def end_topic(arn):
    Peer("sns")("delete_topic", TopicArn=arn)


def events(function_arn, queue_arn):
    call, rule = Peer("events"), "models-check"
    call("describe_rule", Name=rule)
    pattern = json.dumps({"source": ["models"]})
    arn = call("put_rule", Name=rule, EventPattern=pattern, Tags=[{"Key": "k", "Value": "v"}]).get("RuleArn", "none")
    call("put_rule", Name="models-broken", EventPattern="{")
    call("put_rule", Name="models-schedule", ScheduleExpression="rate(5 minutes)", State="DISABLED")
    call("put_rule", Name="models-broken", ScheduleExpression="often")
    call("describe_rule", Name=rule)
    call("list_rules", NamePrefix="models")
    targets = [
        {"Id": "function", "Arn": function_arn, "RetryPolicy": {"MaximumRetryAttempts": 1},
         "DeadLetterConfig": {"Arn": queue_arn}},
        {"Id": "queue", "Arn": queue_arn,
         "InputTransformer": {"InputPathsMap": {"s": "$.source"}, "InputTemplate": '"from <s>"'}},
    ]
    call("put_targets", Rule=rule, Targets=targets)
    call("put_targets", Rule="none", Targets=targets)
    call("list_targets_by_rule", Rule=rule)
    call("list_rule_names_by_target", TargetArn=queue_arn)
    entry = {"Source": "models", "DetailType": "check", "Detail": "{}"}
    call("put_events", Entries=[entry, {**entry, "Detail": "{"}, {**entry, "Source": "aws.models"}])
    call("test_event_pattern", EventPattern=pattern, Event=json.dumps({
        "id": "1", "account": "000000000000", "source": "models", "time": "2026-01-31T12:00:00Z",
        "region": "eu-west-1", "resources": [], "detail-type": "check", "detail": {},
    }))
    call("disable_rule", Name=rule)
    call("enable_rule", Name=rule)
    call("list_event_buses")
    call("describe_event_bus")
    call("list_tags_for_resource", ResourceARN=arn)
    call("tag_resource", ResourceARN=arn, Tags=[{"Key": "l", "Value": "w"}])
    call("untag_resource", ResourceARN=arn, TagKeys=["l"])
    call("delete_rule", Name=rule)
    call("remove_targets", Rule=rule, Ids=["function", "queue", "none"])
    call("remove_targets", Rule="none", Ids=["x"])
    for name in [rule, "models-schedule", "none"]:
        call("delete_rule", Name=name)


def main():
    role = iam()
    s3()
    glue(role)
    logs()
    queue_url, queue_arn = queue()
    function_arn = function(role)
    topic_arn = topic(queue_arn)
    events(function_arn, queue_arn)
    for protocol in ["json", "smithy-rpc-v2-cbor", "query"]:
        monitoring(protocol, topic_arn)
    end_topic(topic_arn)
    end_function()
    end_queue(queue_url)
    end_iam()
    document = {"answers": sum(seen.values()), "operations": sorted(seen), "complaints": complaints,
                "absent": sorted(set(absent))}
    json.dump(document, sys.stdout, indent=1)


main()
