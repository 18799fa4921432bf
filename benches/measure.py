#!/usr/bin/env python3
"""Measures what a user waits for, and prints the medians as the table of docs/performance.md.

    cargo build --release && benches/measure.py [--rounds N]

Needs Python's standard library alone. Everything runs in temporary folders, on the embedded cloud.
"""

import argparse
import http.server
import os
import pathlib
import platform
import shutil
import socketserver
import statistics
import subprocess
import tempfile
import threading
import time
import zipfile

ROOT = pathlib.Path(__file__).resolve().parent.parent
CSV_BYTES = 1_000_000


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
        (self.folder / "lake.toml").write_text('[lake]\nname = "bench"\n\n[dataset.orders]\nsource = "orders/"\n')
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
                elapsed = timed(lambda: lake(folder, "put", "orders", str(path), "--wait"))
                if seed > 0:  # the first also starts the functions
                    put.append(elapsed)
            nothing_left.append(timed(lambda: lake(folder, "destroy", "--yes")))
    polls = [first_poll() for _ in range(rounds * 3)]
    size, package = sizes()
    seconds = lambda values: f"{statistics.median(values):.3f} s"
    return [
        ("apply from nothing: start the cloud, package, provision", seconds(from_nothing), "2 s"),
        ("apply without changes, cloud running", seconds(unchanged), "0.3 s"),
        ("put of a 1 MB CSV → Parquet committed, functions warm", seconds(put), "0.3 s"),
        ("destroy, and proof that nothing is left", seconds(nothing_left), ""),
        ("bootstrap: start to first poll", f"{statistics.median(polls) * 1000:.0f} ms", "50 ms"),
        ("binary, stripped", f"{size / 1e6:.1f} MB", "60 MB"),
        ("function package, deflated", f"{package / 1e6:.1f} MB", "25 MB"),
    ]


def main():
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rounds", type=int, default=5)
    arguments = parser.parse_args()
    rows = measure(arguments.rounds)
    print(f"{os.cpu_count()} cores, {platform.system()} {platform.machine()}, medians of {arguments.rounds} rounds\n")
    print("| what | measured | aim |\n|---|---|---|")
    for what, measured, aim in rows:
        print(f"| {what} | {measured} | {aim} |")


if __name__ == "__main__":
    main()
