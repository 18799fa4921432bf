#!/usr/bin/env python3
"""Measures what a user waits for, and prints the medians as the table of docs/performance.md.

    cargo build --release && benches/measure.py [--rounds N]

Needs Python's standard library alone. Everything runs in temporary folders, on the embedded cloud.
"""

import argparse
import concurrent.futures
import datetime
import email
import hashlib
import hmac
import http.client
import http.server
import json
import os
import pathlib
import platform
import re
import shutil
import socketserver
import statistics
import subprocess
import tempfile
import threading
import time
import urllib.parse
import urllib.request
import zipfile

ROOT = pathlib.Path(__file__).resolve().parent.parent
CSV_BYTES = 1_000_000
BURST_FILES = 300
BURST_ROWS = 100
EVENTS = 20_000
NOTIFICATIONS = 10_000
# Longer than a crawler of the embedded cloud rests between two crawls.
CRAWLER_RESTS = 0.7
TOML = """[lake]
name = "bench"
alerts = ["bench@example.com"]

[dataset.orders]
source = "orders/"

[dataset.direct]
source = "direct/"
catalog = "direct"
"""


def binary():
    target = os.environ.get("CARGO_TARGET_DIR", ROOT / "target")
    return pathlib.Path(target) / "release" / "lake"


def environment():
    return {name: value for name, value in os.environ.items() if not name.startswith(("AWS_", "LAKE_"))}


def lake(folder, *args):
    subprocess.run([binary(), *args], cwd=folder, env=environment(), check=True, stdout=subprocess.DEVNULL)


def timed(call):
    start = time.perf_counter()
    call()
    return time.perf_counter() - start


def csv(folder, seed):
    path = folder / f"orders-{seed}.csv"
    with path.open("w") as file:
        file.write("id,price,placed,note\n")
        row = 0
        while file.tell() < CSV_BYTES:
            file.write(f"{seed * 1_000_000 + row},{row % 997}.50,2026-01-01T00:00:{row % 60:02}Z,note number {row}\n")
            row += 1
    return path


class Project:
    """A project in a temporary folder; its cloud ends with it."""

    def __enter__(self):
        self.folder = pathlib.Path(tempfile.mkdtemp(prefix="lake-measure-"))
        (self.folder / "lake.toml").write_text(TOML)
        return self.folder

    def __exit__(self, *_):
        lake(self.folder, "cloud", "stop")
        shutil.rmtree(self.folder)


def first_poll():
    """From starting the bootstrap to its first request for an event."""
    polled = threading.Event()

    class Handler(http.server.BaseHTTPRequestHandler):
        def do_GET(self):
            polled.set()
            time.sleep(5)  # an event that never comes; the process is killed before

        def log_message(self, *_):
            pass

    class Server(socketserver.ThreadingMixIn, http.server.HTTPServer):
        daemon_threads = True

    server = Server(("127.0.0.1", 0), Handler)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    env = {
        "AWS_LAMBDA_RUNTIME_API": f"127.0.0.1:{server.server_port}",
        "AWS_LAMBDA_FUNCTION_NAME": "convert",
        "AWS_LAMBDA_FUNCTION_MEMORY_SIZE": "1769",
        "AWS_LAMBDA_FUNCTION_VERSION": "$LATEST",
        "AWS_LAMBDA_LOG_GROUP_NAME": "group",
        "AWS_LAMBDA_LOG_STREAM_NAME": "stream",
        "AWS_REGION": "us-east-1",
        "_HANDLER": "convert",
        "LAKE_NAME": "bench",
        "LAKE_STACK": "local",
        "LAKE_RAW_BUCKET": "raw",
        "LAKE_PROCESSED_BUCKET": "processed",
        "LAKE_ARTIFACTS_BUCKET": "artifacts",
        "LAKE_DATABASE": "database",
        "LAKE_CONVERT_FUNCTION": "convert",
        "LAKE_MANIFEST": "manifests/x.json",
    }
    start = time.perf_counter()
    process = subprocess.Popen([binary()], env=env, stdout=subprocess.DEVNULL)
    assert polled.wait(10), "the bootstrap never asked for an event"
    elapsed = time.perf_counter() - start
    process.kill()
    process.wait()
    server.shutdown()
    return elapsed


class Cloud:
    """The project's cloud, called as AWS is."""

    def __init__(self, folder):
        self.mail = folder / "state/cloud/mail"
        self.server = json.loads((folder / "state/cloud/server.json").read_text())
        self.region = self.server["region"]

    def call(self, service, target, body, content="application/x-amz-json-1.0"):
        """One signed request: https://docs.aws.amazon.com/IAM/latest/UserGuide/reference_sigv-create-signed-request.html"""
        host = f"127.0.0.1:{self.server['port']}"
        data = (body if isinstance(body, str) else json.dumps(body)).encode()
        now = datetime.datetime.now(datetime.timezone.utc).strftime("%Y%m%dT%H%M%SZ")
        headers = {"content-type": content, "host": host, "x-amz-date": now}
        if target:
            headers["x-amz-target"] = target
        names = ";".join(sorted(headers))
        lines = "".join(f"{name}:{headers[name]}\n" for name in sorted(headers))
        canonical = f"POST\n/\n\n{lines}\n{names}\n{hashlib.sha256(data).hexdigest()}"
        scope = f"{now[:8]}/{self.region}/{service}/aws4_request"
        text = f"AWS4-HMAC-SHA256\n{now}\n{scope}\n{hashlib.sha256(canonical.encode()).hexdigest()}"
        key = ("AWS4" + self.server["secret_access_key"]).encode()
        for part in scope.split("/"):
            key = hmac.new(key, part.encode(), hashlib.sha256).digest()
        signature = hmac.new(key, text.encode(), hashlib.sha256).hexdigest()
        headers["authorization"] = (
            f"AWS4-HMAC-SHA256 Credential={self.server['access_key_id']}/{scope}, "
            f"SignedHeaders={names}, Signature={signature}"
        )
        connection = getattr(LOCAL, "connection", None)
        if connection is None:
            connection = LOCAL.connection = http.client.HTTPConnection(host)
        connection.request("POST", "/", data, headers)
        answer = connection.getresponse()
        text = answer.read().decode()
        assert answer.status == 200, text
        return json.loads(text) if "json" in content else text

    def sqs(self, operation, **members):
        return self.call("sqs", f"AmazonSQS.{operation}", members)

    def events(self, operation, **members):
        return self.call("events", f"AWSEvents.{operation}", members, "application/x-amz-json-1.1")

    def sns(self, action, **params):
        form = urllib.parse.urlencode({"Action": action, "Version": "2010-03-31", **params})
        return self.call("sns", None, form, "application/x-www-form-urlencoded")

    def mails(self):
        return sorted(self.mail.glob("*.eml"))

    def confirm(self):
        """Follows the link in the confirmation mail."""
        until(lambda: self.mails())
        text = email.message_from_bytes(self.mails()[0].read_bytes()).get_payload(decode=True).decode()
        urllib.request.urlopen(re.search(r"http://127[^ \r\n]*ConfirmSubscription[^ \r\n]*", text).group()).read()

    def queue(self, name, service):
        """A queue that `service` may send to: its URL and ARN."""
        url = self.sqs("CreateQueue", QueueName=name)["QueueUrl"]
        arn = self.sqs("GetQueueAttributes", QueueUrl=url, AttributeNames=["QueueArn"])["Attributes"]["QueueArn"]
        statement = {
            "Effect": "Allow",
            "Principal": {"Service": service},
            "Action": "sqs:SendMessage",
            "Resource": arn,
        }
        policy = json.dumps({"Version": "2012-10-17", "Statement": [statement]})
        self.sqs("SetQueueAttributes", QueueUrl=url, Attributes={"Policy": policy})
        return url, arn

    def depth(self, url):
        name = "ApproximateNumberOfMessages"
        return int(self.sqs("GetQueueAttributes", QueueUrl=url, AttributeNames=[name])["Attributes"][name])

    def peak_memory(self):
        """The server's largest resident set so far, in bytes."""
        status = pathlib.Path(f"/proc/{self.server['pid']}/status").read_text()
        return int(re.search(r"VmHWM:\s+(\d+) kB", status).group(1)) * 1024


LOCAL = threading.local()


def until(look, seconds=120):
    end = time.monotonic() + seconds
    while not look():
        assert time.monotonic() < end, "gave up waiting"
        time.sleep(0.002)


def put_to_mail(folder, cloud, dataset, path):
    """From the start of the upload until the mail of its run is delivered."""
    before = len(cloud.mails())

    def whole():
        lake(folder, "put", dataset, str(path))
        until(lambda: len(cloud.mails()) > before)

    return timed(whole)


def burst(folder, cloud):
    """Many small files at once: until all are committed and each has its mail."""
    paths = []
    for file in range(BURST_FILES):
        path = folder / f"burst-{file}.csv"
        rows = (f"{file * BURST_ROWS + row},1.50,2026-01-01T00:00:00Z,burst\n" for row in range(BURST_ROWS))
        path.write_text("id,price,placed,note\n" + "".join(rows))
        paths.append(str(path))
    before = len(cloud.mails())

    def whole():
        lake(folder, "put", "orders", *paths)
        until(lambda: len(cloud.mails()) >= before + BURST_FILES, 600)

    return timed(whole)


def in_tens(calls, call):
    with concurrent.futures.ThreadPoolExecutor(8) as pool:
        list(pool.map(call, range(calls // 10)))


def events_a_second(cloud):
    """PutEvents → a rule → a queue, until the queue has them all."""
    url, arn = cloud.queue("events", "events.amazonaws.com")
    cloud.events("PutRule", Name="bench", EventPattern=json.dumps({"source": ["bench"], "detail": {"kind": ["a"]}}))
    cloud.events("PutTargets", Rule="bench", Targets=[{"Id": "queue", "Arn": arn}])
    entry = {"Source": "bench", "DetailType": "t", "Detail": json.dumps({"kind": "a", "text": "x" * 200})}

    def whole():
        in_tens(EVENTS, lambda _: cloud.events("PutEvents", Entries=[entry] * 10))
        until(lambda: cloud.depth(url) >= EVENTS)

    return EVENTS / timed(whole)


def notifications_a_second(cloud):
    """Publish → a topic → a queue, until the queue has them all."""
    url, arn = cloud.queue("notifications", "sns.amazonaws.com")
    topic = re.search(r"<TopicArn>(.*?)</TopicArn>", cloud.sns("CreateTopic", Name="bench")).group(1)
    cloud.sns("Subscribe", TopicArn=topic, Protocol="sqs", Endpoint=arn)
    batch = {}
    for place in range(1, 11):
        batch[f"PublishBatchRequestEntries.member.{place}.Id"] = str(place)
        batch[f"PublishBatchRequestEntries.member.{place}.Message"] = "x" * 200

    def whole():
        in_tens(NOTIFICATIONS, lambda _: cloud.sns("PublishBatch", TopicArn=topic, **batch))
        until(lambda: cloud.depth(url) >= NOTIFICATIONS)

    return NOTIFICATIONS / timed(whole)


def chain(rounds):
    """What goes through the event chain."""
    crawled, direct, bursts, memory, events, notifications = [], [], [], [], [], []
    for _ in range(rounds):
        with Project() as folder:
            lake(folder, "apply", "--yes")
            cloud = Cloud(folder)
            LOCAL.connection = None
            cloud.confirm()
            for seed in range(4):
                path = csv(folder, seed)
                time.sleep(CRAWLER_RESTS)
                elapsed = put_to_mail(folder, cloud, "orders", path), put_to_mail(folder, cloud, "direct", path)
                if seed > 0:  # the first also starts the functions
                    crawled.append(elapsed[0])
                    direct.append(elapsed[1])
            bursts.append(burst(folder, cloud))
            memory.append(cloud.peak_memory())
            events.append(events_a_second(cloud))
            notifications.append(notifications_a_second(cloud))
    median = statistics.median
    return [
        ("put of a 1 MB CSV → crawl → Parquet → mail, functions warm", f"{median(crawled):.3f} s", "1 s"),
        ("the same without a crawler", f"{median(direct):.3f} s", "0.3 s"),
        (f"burst of {BURST_FILES} files with a crawler → as many mails", f"{median(bursts):.1f} s", ""),
        ("memory of the cloud after it, at its peak", f"{median(memory) / 1e6:.0f} MB", ""),
        ("events a second, PutEvents → rule → queue", f"{median(events):,.0f}", ""),
        ("notifications a second, PublishBatch → topic → queue", f"{median(notifications):,.0f}", ""),
    ]


def sizes():
    """The binary, and its function package as it goes to AWS (deflated)."""
    with tempfile.TemporaryDirectory() as folder:
        path = pathlib.Path(folder) / "function.zip"
        with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as package:
            package.write(binary(), "bootstrap")
        return binary().stat().st_size, path.stat().st_size


def measure(rounds):
    from_nothing, unchanged, put, nothing_left = [], [], [], []
    for _ in range(rounds):
        with Project() as folder:
            from_nothing.append(timed(lambda: lake(folder, "apply", "--yes")))
            for _ in range(3):
                unchanged.append(timed(lambda: lake(folder, "apply", "--yes")))
            for seed in range(4):
                path = csv(folder, seed)
                elapsed = timed(lambda: lake(folder, "put", "direct", str(path), "--wait"))
                if seed > 0:  # the first also starts the functions
                    put.append(elapsed)
            nothing_left.append(timed(lambda: lake(folder, "destroy", "--yes")))
    polls = [first_poll() for _ in range(rounds * 3)]
    size, package = sizes()
    seconds = lambda values: f"{statistics.median(values):.3f} s"
    return [
        ("apply from nothing: start the cloud, package, provision", seconds(from_nothing), "2 s"),
        ("apply without changes, cloud running", seconds(unchanged), "0.3 s"),
        ("put of a 1 MB CSV → Parquet committed, no crawler, functions warm", seconds(put), "0.3 s"),
        ("destroy, and proof that nothing is left", seconds(nothing_left), ""),
        ("bootstrap: start to first poll", f"{statistics.median(polls) * 1000:.0f} ms", "50 ms"),
        ("binary, stripped", f"{size / 1e6:.1f} MB", "60 MB"),
        ("function package, deflated", f"{package / 1e6:.1f} MB", "25 MB"),
    ]


def main():
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--chain-rounds", type=int, default=3)
    arguments = parser.parse_args()
    rows = measure(arguments.rounds) + chain(arguments.chain_rounds)
    print(f"{os.cpu_count()} cores, {platform.system()} {platform.machine()}, medians of {arguments.rounds} rounds ({arguments.chain_rounds} of the chain)\n")
    print("| what | measured | aim |\n|---|---|---|")
    for what, measured, aim in rows:
        print(f"| {what} | {measured} | {aim} |")


if __name__ == "__main__":
    main()
