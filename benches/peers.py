#!/usr/bin/env python3
"""Measures CSV → Parquet of lake against its peers, and prints the tables of docs/performance.md.

    python3 -m venv peers && peers/bin/pip install -r benches/peers-requirements.txt
    cargo build --release && peers/bin/python benches/peers.py [--runs N] [DATA ...]
    peers/bin/python benches/peers.py --scale 0.01 0.1 1        (lake alone, gigabytes of input)

Every conversion is a process of its own; the tools take turns. Each output is read back and held against lake's: rows,
and a checksum of each column and of whole rows that do not depend on their order. Data is made once, in --cache.

Peers have their best documented settings: zstd of lake's level, and leave to reorder rows. They are told which texts
mean null and whether texts have newlines in them; dialect and types they find out from the sample that is their
default, and if the data refutes it, from all rows (DataFusion cannot where texts have newlines, and is given
pyarrow's). What fails is printed. --spark adds PySpark where it is installed (`pip install pyspark==4.3.0`, and Java).
"""

import argparse
import importlib.metadata
import importlib.util
import json
import os
import pathlib
import platform
import re
import shlex
import shutil
import statistics
import subprocess
import sys
import time

ROOT = pathlib.Path(__file__).resolve().parent.parent
CORES = len(os.sched_getaffinity(0))
# What lake writes where lake.toml says nothing.
ZSTD_LEVEL = 1
MB = 1_000_000
GB = 1_000_000_000
COPY_BYTES = 8 << 20
# Rows of the made tables: about 500 MB each.
NUMERIC_ROWS = 310_000
NUMERIC_COLUMNS = 200
QUOTED_ROWS = 1_150_000
WORDS = 3000
PHRASES = 65_536
ERROR_LINES = 3


# --- Data ------------------------------------------------------------------------------------------------------------


def lineitem(path):
    """TPC-H's lineitem at scale factor 1, 766 MB."""
    tool = pathlib.Path(sys.executable).parent / "tpchgen-cli"
    folder = path.parent / "tpch"
    subprocess.run([tool, "csv", "-s", "1", "-T", "lineitem", "-o", folder], check=True)
    os.replace(folder / "lineitem.csv", path)


def flights(path):
    """The rows of the example, in turn, until there is 1 GB."""
    files = [ROOT / f"examples/flights/data/flights-2013-0{month}.csv" for month in (1, 2)]
    header, rows = files[0].read_bytes().split(b"\n", 1)
    rows += files[1].read_bytes().split(b"\n", 1)[1]
    with path.open("wb") as file:
        file.write(header + b"\n")
        while file.tell() + len(rows) <= GB:
            file.write(rows)


# By the column's number modulo their count; `h` is a hash of row `i` and the column.
NUMBERS = [
    "{h} % 100",
    "({h} % 2_000_000)::BIGINT - 1_000_000",
    "i * 7 + {c}",
    "{h} % 1_000_000_000_000",
    "(({h} % 1_000_000)::BIGINT / 100.0)::DECIMAL(10, 2)",
    "(({h} % 500)::BIGINT / 10.0 - 20)::DECIMAL(5, 1)",
    "(({h} % 1_000_000_000)::BIGINT / 1000000.0)::DECIMAL(12, 6)",
    "CASE WHEN {h} % 20 = 0 THEN NULL ELSE round(sin(i * {c}), 12) END",
]


def numeric(path):
    """Integers and decimals of eight kinds in 200 columns; a twentieth of one kind is null."""
    import duckdb

    columns = []
    for c in range(NUMERIC_COLUMNS):
        number = NUMBERS[c % len(NUMBERS)].format(h=f"hash(i * {NUMERIC_COLUMNS} + {c})", c=c)
        columns.append(f"{number} AS c{c:03}")
    query = f"SELECT {', '.join(columns)} FROM range({NUMERIC_ROWS}) t(i)"
    duckdb.execute(f"COPY ({query}) TO '{path}' (FORMAT csv, HEADER)")


# What joins two phrases: often a space, else a delimiter, doubled quotes, a newline or an empty line.
JOINS = [" ", ", ", " ", ' "so" ', " ", "\n", " ", "; ", " ", ' ""', " ", "\n\n", ". ", '",', " ", "\n"]


def phrases():
    """Two to five words of a made language, in which some words are much more frequent than others."""
    syllables = [consonant + vowel for consonant in "bdfgklmnprstvz" for vowel in "aeiou"]
    state = 1

    def number(below):
        nonlocal state
        state = (state * 6364136223846793005 + 1442695040888963407) % 2**64
        return (state >> 33) % below

    words = ["".join(syllables[number(len(syllables))] for _ in range(1 + number(4))) for _ in range(WORDS)]
    for place in range(PHRASES):
        chosen = [words[number(1 + number(WORDS))] for _ in range(2 + number(4))]
        yield " ".join(chosen) + JOINS[place % len(JOINS)]


def quoted(path):
    """Texts with newlines, doubled quotes and delimiters in them, an integer, a decimal and a timestamp."""
    import duckdb

    connection = duckdb.connect()
    connection.execute("CREATE TABLE phrase (place INTEGER, text VARCHAR)")
    everyone = list(phrases())
    connection.execute("INSERT INTO phrase SELECT unnest(range(?)), unnest(?)", [PHRASES, everyone])
    connection.execute("SET VARIABLE phrases = (SELECT list(text ORDER BY place) FROM phrase)")
    number = lambda seed, below: f"(hash(i * 64 + {seed}) % {below})::BIGINT"
    text = lambda *seeds: " || ".join(f"getvariable('phrases')[{number(seed, PHRASES)} + 1]" for seed in seeds)
    query = f"""
        SELECT i AS id,
            {text(1, 2)} || i AS title,
            {text(*range(10, 24))} || 'end' AS body,
            {number(3, 1000)} AS votes,
            ({number(4, 10_000)} / 100.0)::DECIMAL(5, 2) AS score,
            strftime(TIMESTAMP '2024-01-01' + to_seconds({number(5, 60_000_000)}), '%Y-%m-%dT%H:%M:%SZ') AS written,
            CASE WHEN {number(6, 3)} = 0 THEN NULL ELSE {text(7, 8, 9)} || votes END AS note
        FROM range({QUOTED_ROWS}) t(i)"""
    connection.execute(f"COPY ({query}) TO '{path}' (FORMAT csv, HEADER, FORCE_QUOTE (title, body, note))")


# What peers are told: texts that mean null, and whether texts have newlines.
DATA = {
    "lineitem": (lineitem, {"nulls": [], "newlines": False}),
    "flights": (flights, {"nulls": ["NA"], "newlines": False}),
    "numeric": (numeric, {"nulls": [], "newlines": False}),
    "quoted": (quoted, {"nulls": [], "newlines": True}),
}


def data(name, cache):
    path = cache / f"{name}.csv"
    if not path.exists():
        print(f"making {path}", file=sys.stderr)
        unfinished = path.with_suffix(".unfinished")
        # In a process of its own, so that this one stays small: see `measured`.
        subprocess.run([sys.executable, __file__, "--child", json.dumps(["make", name, str(unfinished)])], check=True)
        os.replace(unfinished, path)
    return path


def cut(source, path, size):
    """A file of this size of the rows of another, which has no newlines within quotes."""
    with source.open("rb") as rows, path.open("wb") as file:
        file.write(rows.readline())
        first = rows.tell()
        while file.tell() < size:
            block = rows.read(COPY_BYTES)
            if not block:
                rows.seek(first)
                continue
            left = size - file.tell()
            file.write(block if left > len(block) else block[: block.rfind(b"\n", 0, left) + 1])
            if left <= len(block):
                break


# --- Peers -----------------------------------------------------------------------------------------------------------


def duckdb_peer(told, every_row):
    # https://duckdb.org/docs/current/guides/performance/how_to_tune_workloads
    import duckdb

    def convert(source, out):
        options = ["sample_size = -1"] if every_row else []
        if told["nulls"]:
            options.append(f"nullstr = {['', *told['nulls']]}")
        if told["newlines"]:
            options.append("""quote = '"', escape = '"'""")
        reader = ", ".join([f"'{source}'", *options])
        connection = duckdb.connect()
        connection.execute("SET preserve_insertion_order = false")
        writing = f"FORMAT parquet, COMPRESSION zstd, COMPRESSION_LEVEL {ZSTD_LEVEL}"
        connection.execute(f"COPY (FROM read_csv({reader})) TO '{out}' ({writing})")

    return convert


def polars_peer(told, every_row):
    # https://docs.pola.rs/api/python/stable/reference/api/polars.LazyFrame.sink_parquet.html
    import polars

    def convert(source, out):
        options = {"infer_schema_length": None} if every_row else {}
        frame = polars.scan_csv(source, try_parse_dates=True, null_values=told["nulls"] or None, **options)
        frame.sink_parquet(out, compression="zstd", compression_level=ZSTD_LEVEL, maintain_order=False)

    return convert


def pyarrow_peer(told, every_row):
    # https://arrow.apache.org/docs/python/csv.html#incremental-reading
    from pyarrow import csv, parquet

    if every_row:
        raise SystemExit("types come from the first block alone")

    def convert(source, out):
        parse = csv.ParseOptions(newlines_in_values=told["newlines"])
        nulls = ["", *told["nulls"]]
        reader = csv.open_csv(
            source,
            read_options=csv.ReadOptions(block_size=COPY_BYTES),
            parse_options=parse,
            convert_options=csv.ConvertOptions(null_values=nulls, strings_can_be_null=True),
        )
        with parquet.ParquetWriter(out, reader.schema, compression="zstd", compression_level=ZSTD_LEVEL) as writer:
            for batch in reader:
                writer.write_batch(batch)

    return convert


def datafusion_peer(told, every_row):
    # https://datafusion.apache.org/user-guide/configs.html
    import datafusion
    from pyarrow import csv

    def convert(source, out):
        # Its decoder takes no notice of null_regex: a column with such texts is text.
        options = {"newlines_in_values": told["newlines"]}
        if every_row and told["newlines"]:
            # Its inference takes no notice of newlines_in_values: it is given pyarrow's types of the first block.
            parse = csv.ParseOptions(newlines_in_values=True)
            options["schema"] = csv.open_csv(source, parse_options=parse).schema
        elif every_row:
            options["schema_infer_max_records"] = sys.maxsize
        reading = datafusion.CsvReadOptions(**options)
        writing = datafusion.ParquetWriterOptions(
            compression=f"zstd({ZSTD_LEVEL})", maximum_parallel_row_group_writers=CORES
        )
        datafusion.SessionContext().read_csv(source, options=reading).write_parquet_with_options(out, writing)

    return convert


def pyspark_peer(told, every_row):
    # https://spark.apache.org/docs/latest/sql-data-sources-csv.html
    from pyspark.sql import SparkSession

    def convert(source, out):
        spark = (
            SparkSession.builder.config("spark.sql.session.timeZone", "UTC")
            .config("spark.sql.parquet.outputTimestampType", "TIMESTAMP_MICROS")
            .config("parquet.compression.codec.zstd.level", ZSTD_LEVEL)
            .getOrCreate()
        )
        spark.sparkContext.setLogLevel("ERROR")
        options = {"header": True, "inferSchema": True, "multiLine": told["newlines"], "escape": '"'}
        if told["nulls"]:
            options["nullValue"] = told["nulls"][0]
        spark.read.options(**options).csv(source).write.mode("overwrite").option("compression", "zstd").parquet(out)
        spark.stop()

    return convert


PEERS = {
    "duckdb": duckdb_peer,
    "polars": polars_peer,
    "pyarrow": pyarrow_peer,
    "datafusion": datafusion_peer,
    "pyspark": pyspark_peer,
}


def child(task):
    """What a process of its own does."""
    match task:
        case ["make", name, path]:
            DATA[name][0](pathlib.Path(path))
        case ["start", peer]:
            PEERS[peer](DATA["lineitem"][1], False)
        case ["convert", peer, name, every_row, source, out]:
            PEERS[peer](DATA[name][1], every_row)(source, out)
        case ["compare", name, ours, theirs]:
            from peers_rows import compare

            print(json.dumps(compare(ours, theirs, ["", *DATA[name][1]["nulls"]])))


def command(peer, *task):
    script = [__file__, "--child", json.dumps(task)]
    if peer != "pyspark":
        return [sys.executable, *script]
    # Java first, so that its time counts: Python's is a child that it waits for.
    submit = pathlib.Path(importlib.util.find_spec("pyspark").origin).parent / "bin/spark-submit"
    return [submit, "--master", f"local[{CORES}]", "--driver-memory", "4g", *script]


# --- Measuring -------------------------------------------------------------------------------------------------------


def measured(argv, log):
    """Runs a process to its end: what it took, or why it failed.

    Linux counts the memory of who starts a process towards its peak; hence nothing is imported here that is large.
    """
    env = {name: value for name, value in os.environ.items() if not name.startswith(("AWS_", "LAKE_"))}
    env["PYSPARK_PYTHON"] = env["PYSPARK_DRIVER_PYTHON"] = sys.executable
    os.sync()  # what the run before has left to write
    with log.open("wb") as file:
        redirect = [(os.POSIX_SPAWN_DUP2, file.fileno(), 1), (os.POSIX_SPAWN_DUP2, file.fileno(), 2)]
        begun = time.perf_counter()
        pid = os.posix_spawn(argv[0], [str(arg) for arg in argv], env, file_actions=redirect)
        _, status, usage = os.wait4(pid, 0)
        wall = time.perf_counter() - begun
    if status != 0:
        lines = [line for line in log.read_text(errors="replace").splitlines() if line.strip()]
        return {"failed": " / ".join(line[:200] for line in lines[-ERROR_LINES:]) or f"status {status}"}
    return {"wall": wall, "cpu": usage.ru_utime + usage.ru_stime, "memory": usage.ru_maxrss * 1024}


def parts(out):
    """The files of an output: itself, or what a folder has."""
    return sorted(out.glob("*.parquet")) if out.is_dir() else [out]


def remove(out):
    if out.is_dir():
        shutil.rmtree(out)
    else:
        out.unlink(missing_ok=True)


def warm(path):
    with path.open("rb") as file:
        while file.read(COPY_BYTES):
            pass


class Bench:
    def __init__(self, arguments):
        self.arguments = arguments
        self.cache = arguments.cache
        self.log = self.cache / "log"
        self.every_row = {}

    def lake(self, source, out):
        fill = {"{in}": source, "{out}": out}
        return [self.arguments.lake, *(fill.get(arg, arg) for arg in shlex.split(self.arguments.lake_args))]

    def run(self, tool, name, source):
        out = self.cache / f"{name}-{tool}.parquet"
        remove(out)
        if tool == "lake":
            run = measured(self.lake(source, out), self.log)
        else:
            every_row = self.every_row.get((tool, name), False)
            run = measured(command(tool, "convert", tool, name, every_row, str(source), str(out)), self.log)
            if "failed" in run and not every_row:
                print(f"{name}: {tool} with types of its sample: {run['failed']}", file=sys.stderr)
                self.every_row[tool, name] = True
                remove(out)
                run = measured(command(tool, "convert", tool, name, True, str(source), str(out)), self.log)
        if "failed" not in run:
            run["size"] = sum(part.stat().st_size for part in parts(out))
        return run

    def data_set(self, name, tools):
        """All runs of all tools in turn; the medians of each, and what its output differs in."""
        source = data(name, self.cache)
        warm(source)
        runs = {tool: [] for tool in tools}
        failed = {}
        for _ in range(self.arguments.runs):
            for tool in tools:
                if tool in failed:
                    continue
                run = self.run(tool, name, source)
                print(f"{name}: {tool}: {run}", file=sys.stderr)
                if "failed" in run:
                    failed[tool] = run
                else:
                    runs[tool].append(run)
        results = {}
        for tool in tools:
            results[tool] = failed.get(tool) or self.medians(tool, name, runs[tool])
        return {"bytes": source.stat().st_size, "tools": results}

    def medians(self, tool, name, runs):
        found = {key: statistics.median(run[key] for run in runs) for key in ("wall", "cpu", "memory", "size")}
        found["every_row"] = self.every_row.get((tool, name), False)
        if tool != "lake":
            found["compared"] = self.compared(name, tool)
        if not self.arguments.keep and tool != "lake":
            remove(self.cache / f"{name}-{tool}.parquet")
        return found

    def compared(self, name, tool):
        ours, theirs = (parts(self.cache / f"{name}-{each}.parquet") for each in ("lake", tool))
        task = ["compare", name, [str(part) for part in ours], [str(part) for part in theirs]]
        done = subprocess.run(command("duckdb", *task), capture_output=True, text=True)
        if done.returncode != 0:
            return {"failed": done.stderr.strip().splitlines()[-1]}
        return json.loads(done.stdout)

    def starts(self, tools):
        """What each peer takes to be ready: its interpreter and imports."""
        found = {}
        for tool in tools:
            if tool not in ("lake", "pyspark"):
                runs = [measured(command(tool, "start", tool), self.log) for _ in range(3)]
                found[tool] = {key: statistics.median(run[key] for run in runs) for key in ("wall", "cpu")}
        return found

    def scale(self, gigabytes):
        """lake alone on more and more of the same."""
        source = data("lineitem", self.cache)
        found = []
        for size in gigabytes:
            path, out = self.cache / "scale.csv", self.cache / "scale.parquet"
            cut(source, path, int(size * GB))
            warm(path)
            runs = [measured(self.lake(path, out), self.log) for _ in range(self.arguments.runs)]
            failed = [run for run in runs if "failed" in run]
            if failed:
                raise SystemExit(failed[0]["failed"])
            each = {key: statistics.median(run[key] for run in runs) for key in ("wall", "cpu", "memory")}
            found.append({"bytes": path.stat().st_size, **each, "size": out.stat().st_size})
            remove(path), remove(out)
        return found


# --- Printing --------------------------------------------------------------------------------------------------------


def versions(tools, lake):
    found = {}
    for tool in tools:
        if tool == "lake":
            done = subprocess.run([lake, "--version"], capture_output=True, text=True)
            found[tool] = done.stdout.split()[-1] if done.returncode == 0 and done.stdout else ""
        else:
            found[tool] = importlib.metadata.version(tool)
    return found


def verdict(result):
    """One cell on how a peer's output compares with lake's."""
    if "compared" not in result:
        return ""
    compared = result["compared"]
    if "failed" in compared:
        return f"not compared: {compared['failed']}"
    rows = compared["rows"]
    said = [f"{rows[0]:,} rows against {rows[1]:,}"] if rows and rows[0] != rows[1] else []
    if compared["values"]:
        said.append(f"{len(compared['values'])} differences")
    said = said or [f"same {rows[0]:,} rows"]
    if compared["types"]:
        said.append(f"{len(compared['types'])} columns of another type")
    return ", ".join(said)


def wrong(result):
    """Whether an output has other rows than lake's, or could not be compared."""
    compared = result.get("compared", {"rows": [], "values": []})
    return "failed" in compared or bool(compared["values"]) or len(set(compared["rows"])) > 1


def ratios(results, starts):
    """lake against the best peer in each, whose start is taken off; size against DuckDB's."""
    peers = {tool: one for tool, one in results.items() if tool != "lake" and "failed" not in one}
    mine = results["lake"]
    if "failed" in mine or not peers:
        return {}
    found = {}
    for key in ("wall", "cpu"):
        best = min(peers, key=lambda tool: peers[tool][key] - starts.get(tool, {}).get(key, 0))
        found[key] = {"of": best, "ratio": mine[key] / (peers[best][key] - starts.get(best, {}).get(key, 0))}
    if "duckdb" in peers:
        found["size"] = {"of": "duckdb", "ratio": mine["size"] / peers["duckdb"]["size"]}
    return found


def table(name, found, starts, version):
    print(f"\n`{name}`, {found['bytes'] / MB:,.0f} MB:\n")
    print("| | wall | CPU | peak memory | file | against lake's |\n|---|---|---|---|---|---|")
    for tool, one in found["tools"].items():
        title = f"{tool} {version[tool]}".strip()
        if "failed" in one:
            print(f"| {title} | failed: {one['failed']} | | | | |")
            continue
        title += " (its sample failed)" if one["every_row"] else ""
        cells = f"{one['wall']:.2f} s | {one['cpu']:.2f} s | {one['memory'] / MB:.0f} MB | {one['size'] / MB:.1f} MB"
        print(f"| {title} | {cells} | {verdict(one)} |")
    cells = [f"{key} {one['ratio']:.2f} of {one['of']}'s" for key, one in ratios(found["tools"], starts).items()]
    print(f"\nlake: {', '.join(cells)}")
    for tool, one in found["tools"].items():
        for sort in ("types", "values"):
            for difference in one.get("compared", {}).get(sort, []):
                print(f"- {tool}, {sort}: {difference}")


def tables(report):
    machine = f"{CORES} cores, {platform.system()} {platform.machine()}"
    print(f"{machine}, medians of {report['runs']} runs; zstd {ZSTD_LEVEL}")
    for name, found in report["data"].items():
        table(name, found, report["starts"], report["versions"])
    starts = ", ".join(f"{tool} {one['wall']:.2f} s ({one['cpu']:.2f} s CPU)" for tool, one in report["starts"].items())
    if starts:
        print(f"\nStart and imports, within the times above, taken off in the ratios: {starts}")
    if report["scale"]:
        print("\n| input | wall | a GB | CPU | peak memory | file |\n|---|---|---|---|---|---|")
    for one in report["scale"]:
        cells = f"{one['wall']:.2f} s | {one['wall'] / one['bytes'] * GB:.2f} s | {one['cpu']:.2f} s"
        print(f"| {one['bytes'] / MB:,.0f} MB | {cells} | {one['memory'] / MB:.0f} MB | {one['size'] / MB:.1f} MB |")


def skipped(tool):
    """Why a peer takes no part."""
    if importlib.util.find_spec(tool) is None:
        return "not installed"
    return "no java" if tool == "pyspark" and shutil.which("java") is None else None


def arguments():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    target = pathlib.Path(os.environ.get("CARGO_TARGET_DIR", ROOT / "target"))
    cache = pathlib.Path(os.environ.get("XDG_CACHE_HOME", pathlib.Path.home() / ".cache"))
    parser.add_argument("data", nargs="*", metavar="DATA", help=f"of {', '.join(DATA)}; all unless --scale is given")
    parser.add_argument("--runs", type=int, default=5)
    parser.add_argument("--peers", default="duckdb,polars,pyarrow,datafusion", help="names with commas between")
    parser.add_argument("--spark", action="store_true", help="PySpark, too")
    parser.add_argument("--scale", type=float, nargs="+", default=[], metavar="GB", help="lake alone on such inputs")
    parser.add_argument("--lake", type=pathlib.Path, default=target / "release" / "lake")
    parser.add_argument("--lake-args", default="convert {in} --out {out}")
    parser.add_argument("--cache", type=pathlib.Path, default=cache / "lake/peers", help="where data and outputs are")
    parser.add_argument("--keep", action="store_true", help="keeps the peers' outputs")
    parser.add_argument("--json", action="store_true", help="one JSON document in place of the tables")
    parser.add_argument("--child", type=json.loads, help=argparse.SUPPRESS)
    given = parser.parse_args()
    unknown = [name for name in given.data if name not in DATA]
    if unknown:
        parser.error(f"no data called {', '.join(unknown)}")
    return given


def main():
    given = arguments()
    if given.child:
        return child(given.child)
    given.cache.mkdir(parents=True, exist_ok=True)
    bench = Bench(given)
    tools = ["lake", *filter(None, given.peers.split(",")), *(["pyspark"] if given.spark else [])]
    for tool in tools[1:]:
        if why := skipped(tool):
            print(f"{tool} is skipped: {why}", file=sys.stderr)
    tools = ["lake", *(tool for tool in tools[1:] if not skipped(tool))]
    names = given.data or ([] if given.scale else list(DATA))
    report = {
        "cores": CORES,
        "runs": given.runs,
        "zstd": ZSTD_LEVEL,
        "versions": versions(tools, given.lake),
        "starts": bench.starts(tools) if names else {},
        "data": {name: bench.data_set(name, tools) for name in names},
        "scale": bench.scale(given.scale),
    }
    print(json.dumps(report, indent=2)) if given.json else tables(report)
    tried = [one for found in report["data"].values() for one in found["tools"].values()]
    return int(any(wrong(one) for one in tried))


if __name__ == "__main__":
    sys.exit(main())
